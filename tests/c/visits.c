/* Every call of the library is a visit: the run kills a script and then calls one function
 * only, again and again, which must bring the script back. */
#include <signal.h>
#include <unistd.h>

#include "host.h"

static int id;
static char path[] = "/tmp/vhpy-visits-XXXXXX";

/* How many times the script was started, and its last process; neither asks the library. */
static long starts(pid_t *pid)
{
    FILE *file = fopen(path, "r");
    long count = 0, number;

    CHECK(file);
    while (fscanf(file, "%ld\n", &number) == 1) {
        *pid = (pid_t)number;
        count++;
    }
    fclose(file);
    return count;
}

static void ask_wants(void) { vh.wants(W_OnUserLogin); }
static void ask_wants_what_nobody_has(void) { vh.wants(W_OnNewBan); }
static void ask_has_hook(void) { vh.HasHook(id, W_OnUserLogin); }
static void ask_find(void) { vh.find("nothing"); }
static void ask_poll_fd(void) { vh.poll_fd(); }
static void ask_function(void) { vh.CallFunction(id, "there_is_none", NULL); }

static void ask_hook(void)
{
    w_Targs *args = vh.pack("s", "nick");

    vh.free_args(vh.CallHook(id, W_OnUserLogin, args));
    free(args);
}

static void ask_event_that_nobody_wants(void)
{
    w_Telement arg = {.type = 's', .s = "nick"};

    vh.event(W_OnUserLogout, &arg, 1, NULL);
}

static void ask_status(void)
{
    vhpy_script *scripts;

    vh.status(&scripts);
    vh.free(scripts);
}

static void ask_console(void) { vh.free(vh.console("pyhelp")); }

#define WAYS(way) {#way, way}
static const struct {
    const char *name;
    void (*ask)(void);
} ways[] = {
    WAYS(ask_wants),   WAYS(ask_wants_what_nobody_has), WAYS(ask_has_hook), WAYS(ask_find),
    WAYS(ask_poll_fd), WAYS(ask_function),              WAYS(ask_hook),     WAYS(ask_event_that_nobody_wants),
    WAYS(ask_status),  WAYS(ask_console),
};

static void wait_for(const char *name, const char *what, void (*ask)(void), int (*done)(void))
{
    int tries;

    for (tries = 0; !done(); tries++) {
        if (tries >= 30000)
            fail(name, __LINE__, what);
        ask();
        usleep(2000);
    }
}

static long started;
static int is_started_again(void)
{
    pid_t pid;

    return starts(&pid) > started;
}

static int has_called(void) { return *seen(W_CALL_mc) != 0; }

void run_visits(const char *script, long count)
{
    size_t at;
    int times;
    pid_t pid = 0;

    (void)count;
    close(mkstemp(path));
    setenv("VHPY_VISITS", path, 1);
    CHECK(vh.set_option("spare", "0") && vh.set_option("hook_timeout", "60"));
    begin(FIRST, RAW);
    id = load(script);
    for (at = 0; at < sizeof ways / sizeof *ways; at++) {
        CHECK(vh.reload(id) == id); /* its deaths are forgiven */
        started = starts(&pid);
        CHECK(!kill(pid, SIGKILL));
        wait_for(ways[at].name, "the script is started again", ways[at].ask, is_started_again);
        CHECK(vh.reload(id) == id);
        if (ways[at].ask == ask_wants || ways[at].ask == ask_wants_what_nobody_has)
            continue;
        forget_seen();
        vh.free_args(vh.CallFunction(id, "call_in_a_thread", NULL));
        wait_for(ways[at].name, "a thread's call is served", ways[at].ask, has_called);
    }
    /* This one is for places where no function of the host may run. */
    vh.free_args(vh.CallFunction(id, "call_in_a_thread", NULL));
    forget_seen();
    for (times = 0; times < 200; times++) {
        ask_wants();
        usleep(500);
    }
    CHECK(calls_seen() == 0);
    CHECK(vh.End() == 1);
    unlink(path);
}
