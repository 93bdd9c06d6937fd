/* Runs in the ways of hosts that were made for the library that this one stands in for. */
#include <pthread.h>
#include <time.h>

#include "host.h"

/* An answer that no table of the test hub gives. */
static w_Targs *late_class(int id, w_Targs *args)
{
    (void)id, (void)args;
    return vh.pack("l", 42L);
}

static w_Targs *late_city(int id, w_Targs *args)
{
    (void)id, (void)args;
    return vh.pack("s", strdup("Reykjavik"));
}

/* Answers the sum of two numbers. */
static w_Targs *add(int id, w_Targs *args)
{
    long one, two;

    CHECK(id == -1 && vh.unpack(args, "ll", &one, &two));
    return vh.pack("l", one + two);
}

/* A function that is registered on a reserved id is there from the script's first line on. */
static int check_reserved(const char *path)
{
    int id = vh.ReserveID(), other = vh.ReserveID();
    w_Targs *args = vh.pack("lssssls", (long)id, path, "Bot", "OpChat", "/hub", 1234L, "config");

    CHECK(vh.RegisterFunction(id, "add", add) == 1);
    CHECK(vh.RegisterFunction(id, "gone", add) == 1 && vh.UnregisterFunction(id, "gone") == 1);
    CHECK(vh.UnregisterFunction(id, "gone") == 0 && vh.UnregisterFunction(other, "add") == 0);
    CHECK(vh.RegisterFunction(99, "add", add) == 0);
    CHECK(vh.Load(args) == id);
    free(args);
    CHECK(call_number(id, "sum_while_loading") == 7);
    CHECK(call_number(id, "sum_now") == 9);
    return id;
}

/* Entries of the table that are set after w_Begin count, and decide the numbering. */
static void check_table(int id)
{
    w_Targs *result;
    const char *city;

    CHECK(call_number(id, "class_of") == -2); /* no such function yet */
    table[W_CALL_GetUserClass] = late_class;
    CHECK(call_number(id, "class_of") == 42);
    CHECK_TEXT(vh.CallName(22), "GetIPASN");
    table[56] = late_class; /* only the later table is so long */
    CHECK_TEXT(vh.CallName(22), "GetIPCity");
    table[22] = late_city;
    CHECK(vh.reload(id) == id);
    result = vh.CallFunction(id, "city", NULL);
    CHECK(result && vh.unpack(result, "s", &city));
    CHECK_TEXT(city, "Reykjavik");
    vh.free_args(result);
}

/* Whatever a host hands over reaches the hook. */
static void check_formats(int id)
{
    w_Targs *args = vh.pack(""), *result = vh.CallHook(id, W_OnTimer, args);
    const char *text;
    long number;

    CHECK(result && vh.unpack(result, "l", &number) && number == 1);
    vh.free_args(result);
    free(args);
    args = vh.pack("psDl", NULL, "hello", "[1, 2]", 3L);
    result = vh.CallHook(id, W_OnParsedMsgChat, args);
    CHECK(result);
    vh.free_args(result);
    free(args);
    args = vh.pack("l", 5L); /* for the hook's float */
    vh.free_args(vh.CallHook(id, W_OnTimer, args));
    free(args);
    result = vh.CallFunction(id, "what_came", NULL);
    CHECK(result && vh.unpack(result, "s", &text));
    CHECK_TEXT(text, "[(), (0, 'hello', [1, 2], 3), (5.0,)]");
    vh.free_args(result);
}

static pthread_mutex_t seen_lock = PTHREAD_MUTEX_INITIALIZER;
static char log_text[1 << 16];

static void keep_log(void *data, int level, const char *line)
{
    size_t used;

    (void)data, (void)level;
    pthread_mutex_lock(&seen_lock);
    used = strlen(log_text);
    snprintf(log_text + used, sizeof log_text - used, "%s\n", line);
    pthread_mutex_unlock(&seen_lock);
}

static int was_logged(const char *text)
{
    int found;

    pthread_mutex_lock(&seen_lock);
    found = strstr(log_text, text) != NULL;
    pthread_mutex_unlock(&seen_lock);
    return found;
}

/* Prints come by a thread of their own. */
static void await_log(const char *text)
{
    const struct timespec pause = {0, 2000000};
    int rounds;

    for (rounds = 0; !was_logged(text); rounds++) {
        if (rounds == 30000) {
            fprintf(stderr, "waited 60 s for the log to say \"%s\"; it says:\n%s", text, log_text);
            exit(1);
        }
        nanosleep(&pause, NULL);
    }
}

/* w_LogLevel(1), which the old plugin calls by itself, keeps what scripts print. */
static void check_log(int id)
{
    vh.set_log(keep_log, NULL);
    vh.LogLevel(1);
    CHECK(vh.reload(id) == id);
    vh.free_args(vh.CallFunction(id, "say", NULL));
    await_log("printed by the script");
    CHECK(!was_logged("is reloaded"));
    vh.LogLevel(2);
    CHECK(vh.reload(id) == id && was_logged("is reloaded"));
    /* The option is about both, as the header says. */
    CHECK(vh.set_option("log_level", "1"));
    log_text[0] = 0;
    vh.free_args(vh.CallFunction(id, "say", NULL));
    vh.free_args(vh.CallFunction(id, "complain", NULL));
    await_log("complained the script");
    CHECK(!was_logged("printed by the script"));
}

void run_old_ways(const char *script, long count)
{
    int id;

    (void)count;
    memset(table, 0, sizeof table);
    CHECK(vh.set_option("hook_timeout", "120") && vh.set_option("load_timeout", "120"));
    CHECK(vh.Begin(table));
    id = check_reserved(script);
    check_formats(id);
    check_table(id);
    check_log(id);
    CHECK(vh.End() == 1);
}
