/* Runs about what happens to scripts: functions of the host, nesting, death, forks, and the
 * functions for new hosts. */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

static int loaded;

static w_Targs *add(int id, w_Targs *args)
{
    long a, b;

    CHECK(id == -1);
    return vh.unpack(args, "ll", &a, &b) ? vh.pack("l", a + b) : NULL;
}

static w_Targs *reverse(int id, w_Targs *args)
{
    char *text, *back;
    size_t length, at;

    (void)id;
    if (!vh.unpack(args, "s", &text) || !text)
        return vh.pack("s", "");
    length = strlen(text);
    back = malloc(length + 1);
    for (at = 0; at < length; at++)
        back[at] = text[length - 1 - at];
    back[length] = 0;
    return vh.pack("s", back);
}

static w_Targs *statistics(int id, w_Targs *args)
{
    (void)id;
    (void)args;
    return vh.pack("ll", 7L, 3L);
}

static w_Targs *top(int id, w_Targs *args)
{
    char **list = calloc(3, sizeof *list);

    (void)id;
    (void)args;
    list[0] = strdup("alice");
    list[1] = strdup("bob");
    return vh.pack("L", list);
}

static w_Targs *json(int id, w_Targs *args)
{
    char *text;

    (void)id;
    CHECK(vh.unpack(args, "D", &text));
    return vh.pack("D", text); /* the very text */
}

static w_Targs *echo(int id, w_Targs *args)
{
    (void)id;
    return args;
}

static w_Targs *failing(int id, w_Targs *args)
{
    (void)id;
    (void)args;
    vh.set_error("the reason");
    return NULL;
}

static w_Targs *broken(int id, w_Targs *args)
{
    (void)id;
    (void)args;
    return vh.pack("D", "{no json");
}

/* Calls back into the script that calls. */
static w_Targs *back(int id, w_Targs *args)
{
    long depth = 0;
    w_Targs *inner, *result;

    (void)id;
    CHECK(vh.unpack(args, "l", &depth));
    if (depth == 0)
        return vh.pack("l", 0L);
    inner = vh.pack("sl", "back", depth - 1);
    result = vh.CallFunction(loaded, "call_host", inner);
    free(inner);
    if (!result)
        return NULL;
    CHECK(vh.unpack(result, "l", &depth));
    vh.free_args(result);
    return vh.pack("l", depth + 1);
}

static void check_call(int id, w_Targs *args, const char *function, const char *printed)
{
    w_Targs *result = vh.CallFunction(id, function, args);

    CHECK(result);
    CHECK_TEXT(vh.packprint(result), printed);
    vh.free_args(result);
    free(args);
}

static int dropped;

static w_Targs *with_data(void *data, w_Targs *args)
{
    (void)args;
    return vh.pack("l", *(long *)data);
}

static void drop(void *data)
{
    free(data);
    dropped++;
}

void run_dynamic(const char *script, long count)
{
    long *data = malloc(sizeof *data);
    char *list[] = {"x", "y", NULL};
    int other;

    (void)count;
    begin(FIRST, RAW);
    loaded = load(script);
    other = load(script);
    CHECK(vh.RegisterFunction(loaded, "add", add) && vh.RegisterFunction(loaded, "reverse", reverse));
    CHECK(vh.RegisterFunction(loaded, "statistics", statistics) && vh.RegisterFunction(loaded, "top", top));
    CHECK(vh.RegisterFunction(loaded, "json", json) && vh.RegisterFunction(loaded, "echo", echo));
    CHECK(vh.RegisterFunction(loaded, "failing", failing) && vh.RegisterFunction(loaded, "broken", broken));
    CHECK(vh.RegisterFunction(loaded, "back", back));
    check_call(loaded, vh.pack("sll", "add", 10L, 32L), "call_host", "l [ 42 ]");
    check_call(loaded, vh.pack("ss", "reverse", "abc"), "call_host", "s [ 'cba' ]");
    check_call(loaded, vh.pack("s", "statistics"), "call_host", "D [ [7,3] ]");
    check_call(loaded, vh.pack("s", "top"), "call_host", "L [ [\"alice\", \"bob\"] ]");
    check_call(loaded, vh.pack("sD", "json", "{\"a\":[1,{}]}"), "call_host", "D [ {\"a\":[1,{}]} ]");
    check_call(loaded, vh.pack("sL", "echo", list), "call_host", "L [ [\"x\", \"y\"] ]");
    check_call(loaded, vh.pack("sdss", "echo", 1.5, "a", NULL), "call_host", "D [ [1.5,\"a\",null] ]");
    check_call(loaded, vh.pack("sl", "back", 5L), "call_host", "l [ 5 ]");
    check_call(loaded, vh.pack("ss", "failing", "x"), "call_host_failing", "s [ 'RuntimeError: the reason' ]");
    CHECK(!vh.CallFunction(other, "call_host", NULL));
    /* Per script, and gone when unregistered. */
    {
        static const char *gone[] = {"add", "nothing"};
        int at;

        CHECK(vh.UnregisterFunction(loaded, "add") == 1 && vh.UnregisterFunction(loaded, "add") == 0);
        for (at = 0; at < 4; at++) {
            w_Targs *args = vh.pack("s", gone[at % 2]);
            w_Targs *result = vh.CallFunction(at < 2 ? loaded : other, "call_host_failing", args);
            const char *text;

            CHECK(vh.unpack(result, "s", &text) && !strncmp(text, "NameError", 9));
            vh.free_args(result);
            free(args);
        }
    }
    {
        w_Targs *args = vh.pack("s", "broken"), *result = vh.CallFunction(loaded, "call_host_failing", args);
        const char *text;

        CHECK(vh.unpack(result, "s", &text) && strstr(text, "RuntimeError") && strstr(text, "JSON"));
        vh.free_args(result);
        free(args);
    }
    *data = 11;
    CHECK(vh.register_(loaded, "data", with_data, data, drop));
    check_call(loaded, vh.pack("s", "data"), "call_host", "l [ 11 ]");
    CHECK(vh.reload(loaded) == loaded);
    check_call(loaded, vh.pack("s", "data"), "call_host", "l [ 11 ]"); /* survives */
    CHECK(dropped == 0 && vh.Unload(loaded) == 1 && dropped == 1);
    data = malloc(sizeof *data);
    CHECK(!vh.register_(77, "data", with_data, data, drop) && dropped == 2);
    CHECK(vh.End() == 1);
}

/* ---------------------------------------------------------------- nesting and death */

/* KickUser raises an event in the script that called it, as hubs do. */
static w_Targs *kick(int id, w_Targs *args)
{
    w_Targs *event = vh.pack("s", "bob"), *result;
    long number = 0;

    (void)args;
    result = vh.CallHook(id, W_OnUserLogin, event);
    CHECK(result && vh.unpack(result, "l", &number));
    vh.free_args(result);
    free(event);
    CHECK(vh.HasHook(id, W_OnTimer) == 1);
    return vh.pack("l", number);
}

static int unloaded;

/* Unloads the script that asks for it; the library tells operators things here too. */
static w_Targs *unload_caller(int id, w_Targs *args)
{
    const char *text;

    if (vh.unpack(args, "ss", &text, NULL) && text && !strcmp(text, "unload me"))
        unloaded = vh.Unload(id);
    return vh.pack("l", 1L);
}

static long hook(int id, const char *message)
{
    w_Targs *args = vh.pack("ss", "alice", message), *result = vh.CallHook(id, W_OnParsedMsgChat, args);
    long number = -1;

    if (result)
        vh.unpack(result, "l", &number);
    vh.free_args(result);
    free(args);
    return number;
}

/* Serves until a function of the script works again, for a minute at most. */
static void wait_until_back(int id)
{
    int tries;

    for (tries = 0; tries < 600; tries++) {
        struct pollfd wait = {vh.poll_fd(), POLLIN, 0};
        w_Targs *result = vh.CallFunction(id, "yes", NULL);

        vh.free_args(result);
        if (result)
            return;
        poll(&wait, 1, 100);
        vh.serve();
    }
    fprintf(stderr, "waited a minute for script %d to come back\n", id);
    exit(1);
}

void run_recovery(const char *script, long count)
{
    w_Targs *args, *thing;
    long pid;
    int id, tries;

    (void)count;
    begin(FIRST, RAW);
    table[W_CALL_KickUser] = kick;
    table[W_CALL_SendToOpChat] = unload_caller;
    CHECK(vh.Begin(table)); /* the same again with other callbacks */
    id = load(script);
    CHECK(hook(id, "nested") == 1);
    args = vh.pack("s", "login");
    check_call(id, args, "count_of", "l [ 1 ]");

    /* Killed: the function fails, and the script comes back. Its objects do not. */
    thing = vh.CallFunction(id, "make_thing", NULL);
    pid = call_number(id, "pid");
    CHECK(!kill((pid_t)pid, SIGKILL));
    wait_until_back(id);
    CHECK(call_number(id, "pid") != pid && call_number(id, "get_total_calls") == 0);
    vh.free_args(vh.CallFunction(id, "make_thing", NULL));
    CHECK(thing && !vh.CallFunction(id, "keep_thing", thing));
    vh.free_args(thing);
    CHECK(!vh.CallFunction(id, "die", NULL));
    wait_until_back(id);
    /* Too long: fails, stuck, killed, back. */
    pid = call_number(id, "pid");
    args = vh.pack("l", 3600L);
    CHECK(vh.set_option("hook_timeout", "1") && vh.set_option("kill_timeout", "1"));
    CHECK(!vh.CallFunction(id, "sleeps", args));
    CHECK(vh.set_option("hook_timeout", "120") && vh.set_option("kill_timeout", "120"));
    free(args);
    CHECK(hook(id, "block") != 0); /* it gets no events */
    wait_until_back(id);
    CHECK(call_number(id, "pid") != pid);

    /* Threads of the script, served by visits alone. */
    args = vh.pack("ll", 4L, 25L);
    check_call(id, args, "start_threads", "l [ 1 ]");
    for (tries = 0; call_number(id, "threads_answered") < 100; tries++) {
        struct pollfd wait = {vh.poll_fd(), POLLIN, 0};

        CHECK(tries < 3000);
        poll(&wait, 1, 20);
        vh.HasHook(id, W_OnTimer);
    }

    /* Unloaded by a callback of its own hook: the event goes on. */
    unloaded = -1;
    hook(id, "unload");
    CHECK(unloaded == 1 && vh.HasHook(id, W_OnTimer) == 0 && vh.Unload(id) == 0);
    CHECK(call_number(load(script), "yes") == 1);
    CHECK(vh.End() == 1);
    CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD); /* no process is left */
}

static pid_t forked;

static w_Targs *fork_in_callback(int id, w_Targs *args)
{
    (void)id;
    (void)args;
    forked = fork();
    CHECK(forked >= 0);
    return vh.pack("l", 5L);
}

/* Ends the child of a fork well, and waits for that in the parent. */
static void check_child(pid_t child)
{
    int status = 0;

    if (child == 0) {
        CHECK(vh.End() == 1);
        CHECK(waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD);
        _exit(0);
    }
    while (waitpid(child, &status, 0) == -1)
        CHECK(errno == EINTR);
    if (WIFSIGNALED(status))
        fprintf(stderr, "the child ended by signal %d\n", WTERMSIG(status));
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* A hub that becomes a daemon after loading. */
void run_fork(const char *script, long count)
{
    pid_t child;
    long before;
    int id;

    (void)count;
    fill_table(FIRST, RAW);
    table[W_CALL_GetUserClass] = fork_in_callback;
    CHECK(vh.Begin(table));
    id = load(script);
    before = call_number(id, "pid");
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK(hook(id, "block") == 0);
        CHECK(call_number(id, "pid") != before && call_number(id, "my_id") == id);
    }
    check_child(child);
    CHECK(call_number(id, "pid") == before); /* the parent's is untouched */

    /* The same in the middle of an event, whose answer only the parent gets. */
    CHECK(hook(id, "call") == 1);
    if (forked == 0)
        CHECK(call_number(id, "pid") != before && hook(id, "block") == 0);
    check_child(forked);
    CHECK(call_number(id, "pid") == before && hook(id, "block") == 0);
    CHECK(vh.End() == 1);
}

/* ---------------------------------------------------------------- signals */

static volatile sig_atomic_t in_library, turned_away, let_in;
static int interrupted_id;
static w_Targs *interrupted_args;

/* As a hub's handler that says goodbye in the chat. The message is one that the script blocks. */
static void interrupt(int number)
{
    w_Telement args[2];
    vhpy_verdict verdict;

    (void)number;
    if (!in_library)
        return; /* the host itself may hold the allocator's lock */
    args[0].type = args[1].type = 's';
    args[0].s = "alice";
    args[1].s = "block";
    if (vh.event(W_OnParsedMsgChat, args, 2, &verdict) == 0) {
        let_in++; /* between the host's flag and the library's first line */
        vh.verdict_free(&verdict);
        return;
    }
    CHECK(!verdict.blocked && !verdict.send);
    CHECK(!vh.wants(W_OnParsedMsgChat) && !vh.serve() && vh.poll_fd() == -1);
    CHECK(!vh.CallHook(interrupted_id, W_OnParsedMsgChat, interrupted_args));
    CHECK(!vh.HasHook(interrupted_id, W_OnParsedMsgChat) && !vh.status(&(vhpy_script *){NULL}));
    turned_away++;
}

static w_Targs *class_outside(int id, w_Targs *args)
{
    w_Targs *answer;

    (void)id;
    (void)args;
    in_library = 0;
    answer = vh.pack("l", 5L);
    in_library = 1;
    return answer;
}

void run_signals(const char *script, long count)
{
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    struct sigaction action;
    w_Telement args[2];
    time_t end = time(NULL) + 60;

    begin(FIRST, RAW);
    table[W_CALL_GetUserClass] = class_outside;
    CHECK(vh.Begin(table));
    interrupted_id = load(script);
    interrupted_args = vh.pack("ss", "alice", "block");
    log_lines();
    memset(&action, 0, sizeof action);
    action.sa_handler = interrupt;
    CHECK(!sigaction(SIGALRM, &action, NULL) && !setitimer(ITIMER_REAL, &often, NULL));
    args[0].type = args[1].type = 's';
    args[0].s = "alice";
    args[1].s = "call"; /* its verdict is that of class_outside */
    while (turned_away < count) {
        int goes_on;

        if (time(NULL) > end) {
            fprintf(stderr, "waited a minute for %ld interruptions; there were %d\n", count, (int)turned_away);
            exit(1);
        }
        in_library = 1;
        goes_on = vh.event(W_OnParsedMsgChat, args, 2, NULL);
        in_library = 0;
        CHECK(goes_on == 1);
    }
    CHECK(!setitimer(ITIMER_REAL, &never, NULL));
    CHECK(log_lines() == 0);
    /* Nothing is left of it. */
    CHECK(hook(interrupted_id, "block") == 0 && hook(interrupted_id, "call") == 1);
    free(interrupted_args);
    printf("%d times turned away, %d let in\n", (int)turned_away, (int)let_in);
    CHECK(vh.End() == 1);
}

/* ---------------------------------------------------------------- new hosts */

void run_plugin(const char *script, long count)
{
    w_Telement args[6];
    vhpy_verdict verdict;
    vhpy_script *scripts;
    char *text;
    int first, second, at;

    (void)count;
    CHECK(vh.set_names("Security", "Operators"));
    begin(FIRST, RAW);
    first = vh.load(script);
    CHECK(vh.load(script) == -1); /* once is enough */
    second = load(script); /* but who numbers scripts themselves may want it twice */
    CHECK(first >= 0 && first != second);
    CHECK(vh.wants(W_OnParsedMsgChat) && !vh.wants(W_OnNewBan) && vh.poll_fd() >= 0 && vh.serve());
    for (at = 0; at < 6; at++)
        args[at].type = 's';
    args[0].s = "alice";
    args[1].s = "hello";
    CHECK(vh.event(W_OnParsedMsgChat, args, 2, &verdict) == 1 && !verdict.blocked && !verdict.replaces);
    vh.verdict_free(&verdict);
    args[1].s = "block";
    CHECK(vh.event(W_OnParsedMsgChat, args, 2, &verdict) == 0 && verdict.blocked);
    CHECK(vh.event(W_OnParsedMsgChat, args, 2, NULL) == 0);
    args[1].s = "both";
    CHECK(vh.event(W_OnParsedMsgChat, args, 2, &verdict) == 1 && verdict.replaces == 1 && !verdict.parts[1]);
    CHECK_TEXT(verdict.parts[0], "someone");
    vh.verdict_free(&verdict);
    CHECK(!verdict.parts[0]);
    args[1].s = "send"; /* from both scripts */
    CHECK(vh.event(W_OnParsedMsgChat, args, 2, &verdict) == 0);
    CHECK_TEXT(verdict.send, "<Bot> hello|<Bot> hello|");
    CHECK(verdict.send_length == strlen(verdict.send));
    vh.verdict_free(&verdict);
    for (at = 1; at < 6; at++)
        args[at].s = "x";
    CHECK(vh.event(W_OnParsedMsgMyINFO, args, 6, &verdict) == 1 && verdict.replaces == 2);
    CHECK_TEXT(verdict.parts[1], "<tag>");
    CHECK(!verdict.parts[4]);
    vh.verdict_free(&verdict);

    CHECK(vh.status(&scripts) == 2 && scripts[0].id == first && scripts[1].id == second);
    CHECK_TEXT(scripts[0].name, "host");
    CHECK(scripts[0].path[0] == '/' && strstr(scripts[0].path, "host.py"));
    CHECK(scripts[0].pid > 0 && scripts[0].events > 0 && scripts[0].state[0]);
    vh.free(scripts);
    text = vh.figures();
    CHECK(text && text[0] == '[' && strstr(text, "\"name\":\"host\"") && strstr(text, "\"hook\":\"On"));
    vh.free(text);
    text = vh.console("pylist");
    CHECK(text && strstr(text, "host"));
    vh.free(text);
    CHECK(!vh.console("somethingelse"));
    {
        w_Targs *result = vh.CallFunction(first, "identity", NULL);
        char **texts;

        CHECK(vh.unpack(result, "L", &texts));
        CHECK_TEXT(texts[0], "Security");
        CHECK_TEXT(texts[1], "Operators");
        vh.free_args(result);
    }
    CHECK(vh.reload(first) == first && vh.find("host") >= 0);
    CHECK(vh.End() == 1);
}
