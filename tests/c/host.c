/* The test host's harness: finds the library, checks, chooses what to run. */
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>

#include "host.h"

struct library vh;

void fail(const char *file, int line, const char *condition)
{
    fprintf(stderr, "%s:%d: not true: %s\n", file, line, condition);
    if (vh.last_error)
        fprintf(stderr, "the library's last error: %s\n", vh.last_error());
    exit(1);
}

void check_text(const char *file, int line, const char *what, const char *have, const char *want)
{
    if (have == want || (have && want && !strcmp(have, want)))
        return;
    fprintf(stderr, "%s:%d: %s is %s%s%s, not %s\n", file, line, what, have ? "\"" : "", have ? have : "NULL",
            have ? "\"" : "", want ? want : "NULL");
    exit(1);
}

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static int lines;

static void count_log(void *data, int level, const char *line)
{
    CHECK(data == &lines);
    pthread_mutex_lock(&log_lock);
    if (level <= 1)
        lines++;
    pthread_mutex_unlock(&log_lock);
    fprintf(stderr, "    log %d: %s\n", level, line);
}

int log_lines(void)
{
    int count;

    pthread_mutex_lock(&log_lock);
    count = lines;
    lines = 0;
    pthread_mutex_unlock(&log_lock);
    return count;
}

static void *symbol(void *library, const char *name)
{
    void *found = dlsym(library, name);

    if (!found) {
        fprintf(stderr, "%s is missing\n", name);
        exit(1);
    }
    return found;
}

/* ISO C knows no conversion from an object's address to a function's. */
#define FIND(member, name)                                                                         \
    do {                                                                                           \
        void *found = symbol(library, name);                                                       \
        memcpy(&vh.member, &found, sizeof found);                                                  \
    } while (0)

static void open_library(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);

    if (!library) {
        fprintf(stderr, "%s\n", dlerror());
        exit(1);
    }
    FIND(Begin, "w_Begin");
    FIND(End, "w_End");
    FIND(ReserveID, "w_ReserveID");
    FIND(Load, "w_Load");
    FIND(Unload, "w_Unload");
    FIND(HasHook, "w_HasHook");
    FIND(CallHook, "w_CallHook");
    FIND(CallFunction, "w_CallFunction");
    FIND(RegisterFunction, "w_RegisterFunction");
    FIND(UnregisterFunction, "w_UnregisterFunction");
    FIND(pack, "w_pack");
    FIND(unpack, "w_unpack");
    FIND(free_args, "w_free_args");
    FIND(packprint, "w_packprint");
    FIND(HookName, "w_HookName");
    FIND(CallName, "w_CallName");
    FIND(GetHook, "w_GetHook");
    FIND(LogLevel, "w_LogLevel");
    FIND(set_log, "vhpy_set_log");
    FIND(last_error, "vhpy_last_error");
    FIND(event, "vhpy_event");
    FIND(verdict_free, "vhpy_verdict_free");
    FIND(wants, "vhpy_wants");
    FIND(hook_format, "vhpy_hook_format");
    FIND(call_format, "vhpy_call_format");
    FIND(poll_fd, "vhpy_poll_fd");
    FIND(serve, "vhpy_serve");
    FIND(status, "vhpy_status");
    FIND(figures, "vhpy_figures");
    FIND(console, "vhpy_console");
    FIND(set_option, "vhpy_set_option");
    FIND(set_names, "vhpy_set_names");
    FIND(load, "vhpy_load");
    FIND(load_all, "vhpy_load_all");
    FIND(reload, "vhpy_reload");
    FIND(find, "vhpy_find");
    FIND(free, "vhpy_free");
    FIND(vpack, "vhpy_pack");
    FIND(vunpack, "vhpy_unpack");
    FIND(register_, "vhpy_register");
    FIND(set_error, "vhpy_set_error");
    FIND(version, "vhpy_version");
}

size_t allocated(void)
{
#if defined(__SANITIZE_ADDRESS__)
    return 0;
#else
    return mallinfo2().uordblks;
#endif
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*alone)(void);
        void (*with)(const char *, long);
    } runs[] = {
        {"pack", run_pack, NULL},         {"bad", run_bad, NULL},
        {"cycle", run_cycle, NULL},       {"basics", NULL, run_basics},
        {"stress", NULL, run_stress},     {"messages", NULL, run_messages},
        {"types", NULL, run_types},       {"calls", NULL, run_calls},
        {"dynamic", NULL, run_dynamic},   {"recovery", NULL, run_recovery},
        {"leaks", NULL, run_leaks},       {"fork", NULL, run_fork},
        {"plugin", NULL, run_plugin},     {"numbering", NULL, run_numbering},
        {"old_ways", NULL, run_old_ways}, {"visits", NULL, run_visits},   {"signals", NULL, run_signals},
    };
    size_t at;

    if (argc < 3) {
        fprintf(stderr, "usage: host LIBRARY RUN [SCRIPT [COUNT]]\n");
        return 2;
    }
    open_library(argv[1]);
    vh.set_log(count_log, &lines);
    for (at = 0; at < sizeof runs / sizeof *runs; at++) {
        if (strcmp(runs[at].name, argv[2]))
            continue;
        if (runs[at].alone)
            runs[at].alone();
        else if (argc > 3)
            runs[at].with(argv[3], argc > 4 ? atol(argv[4]) : 1);
        else
            return 2;
        vh.set_log(NULL, NULL);
        printf("%s: good\n", argv[2]);
        return 0;
    }
    fprintf(stderr, "there is no run %s\n", argv[2]);
    return 2;
}
