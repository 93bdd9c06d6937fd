/* Stands in for a system that is slow, for tests/hygiene/slow_system.rs.
 *
 * Preloaded, it lets posix_spawn and fdatasync wait as long as there is a FIFO of that name
 * in the folder VHPY_HOLD, until somebody opens it for writing. The file NAME.held tells that
 * somebody waits.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void hold(const char *name)
{
	const char *folder = getenv("VHPY_HOLD");
	char gate[4096], held[4096];
	int fd;
	if (!folder)
		return;
	snprintf(gate, sizeof gate, "%s/%s", folder, name);
	snprintf(held, sizeof held, "%s/%s.held", folder, name);
	if (access(gate, F_OK))
		return;
	close(open(held, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	fd = open(gate, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
}

int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attributes, char *const arguments[], char *const environment[])
{
	int (*real)(pid_t *, const char *, const posix_spawn_file_actions_t *, const posix_spawnattr_t *,
		    char *const[], char *const[]) = dlsym(RTLD_NEXT, "posix_spawn");
	hold("posix_spawn");
	return real(pid, path, actions, attributes, arguments, environment);
}

int fdatasync(int fd)
{
	int (*real)(int) = dlsym(RTLD_NEXT, "fdatasync");
	hold("fdatasync");
	return real(fd);
}
