/* Counts what a process takes from the heap, for tests/hot_path.rs.
 *
 * Preloaded into the hub and its workers, it puts its own malloc in front of the C library's.
 * Each process writes its count into a file of its own, VHPY_COUNTS.PID, which others map.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);

static atomic_ulong before_start;
static atomic_ulong *count = &before_start;

__attribute__((constructor)) static void start(void)
{
	const char *prefix = getenv("VHPY_COUNTS");
	char path[4096];
	if (!prefix)
		return;
	snprintf(path, sizeof path, "%s.%d", prefix, getpid());
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || ftruncate(fd, sizeof *count))
		return;
	void *shared = mmap(NULL, sizeof *count, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (shared != MAP_FAILED)
		count = shared;
}

static void one_more(void)
{
	atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
}

void *malloc(size_t size)
{
	one_more();
	return __libc_malloc(size);
}

void *calloc(size_t members, size_t size)
{
	one_more();
	return __libc_calloc(members, size);
}

void *realloc(void *old, size_t size)
{
	one_more();
	return __libc_realloc(old, size);
}

void *memalign(size_t alignment, size_t size)
{
	one_more();
	return __libc_memalign(alignment, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

int posix_memalign(void **to, size_t alignment, size_t size)
{
	*to = memalign(alignment, size);
	return *to ? 0 : 12;
}
