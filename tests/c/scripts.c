/* Runs with a script: hooks, functions, every call, values of all types. */
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#include "host.h"

/* One chat message to one script; the result's format, and its number if it is an l. */
static const char *chat(int id, const char *message, long *number)
{
    static __thread char format[16];
    w_Targs *args = vh.pack("ss", "alice", message), *result = vh.CallHook(id, W_OnParsedMsgChat, args);

    CHECK(result);
    snprintf(format, sizeof format, "%s", result->format);
    *number = -1;
    vh.unpack(result, "l", number);
    vh.free_args(result);
    free(args);
    return format;
}

static int hook_ss(int id, int hook, const char *one, const char *two)
{
    w_Targs *args = vh.pack("ss", one, two), *result = vh.CallHook(id, hook, args);
    long number = 1;

    CHECK(result && vh.unpack(result, "l", &number));
    vh.free_args(result);
    free(args);
    return (int)number;
}

void run_basics(const char *script, long count)
{
    const char *nick, *message, *desc, *tag, *speed, *mail, *size, *data;
    char **texts;
    long number;
    int first, second;
    w_Targs *args, *result;

    (void)count;
    begin(FIRST, RAW);
    first = load(script);
    second = load(script);
    CHECK(first != second && vh.ReserveID() != first);
    CHECK(vh.HasHook(first, W_OnParsedMsgChat) == 1 && vh.HasHook(first, W_OnTimer) == 1);
    CHECK(vh.HasHook(first, W_OnNewBan) == 0 && vh.HasHook(first, 41) == 0 && vh.HasHook(99, 0) == 0);

    CHECK_TEXT(chat(first, "hello", &number), "l");
    CHECK(number == 1);
    CHECK_TEXT(chat(first, "block", &number), "l");
    CHECK(number == 0);
    CHECK_TEXT(chat(first, "raise", &number), "l");
    CHECK(number == 1);
    CHECK_TEXT(chat(first, "call", &number), "l");
    CHECK(number == 1);
    CHECK_TEXT(seen(W_CALL_GetUserClass), "s [ 'alice' ]");

    args = vh.pack("ss", "alice", "replace");
    result = vh.CallHook(first, W_OnParsedMsgChat, args);
    CHECK(vh.unpack(result, "ss", &nick, &message) && !nick);
    CHECK_TEXT(message, "another message");
    vh.free_args(result);
    args->args[1].s = "both";
    result = vh.CallHook(first, W_OnParsedMsgChat, args);
    CHECK(vh.unpack(result, "ss", &nick, &message) && !message);
    CHECK_TEXT(nick, "someone");
    vh.free_args(result);
    args->args[1].s = "send";
    result = vh.CallHook(first, W_OnParsedMsgChat, args);
    CHECK(vh.unpack(result, "sl", &data, &number) && number == 0);
    CHECK_TEXT(data, "<Bot> hello|");
    vh.free_args(result);
    free(args);
    args = vh.pack("ssssss", "alice", "d", "t", "s", "m", "1");
    result = vh.CallHook(first, W_OnParsedMsgMyINFO, args);
    CHECK(vh.unpack(result, "sssss", &desc, &tag, &speed, &mail, &size) && !desc && !speed && !size);
    CHECK_TEXT(tag, "<tag>");
    CHECK_TEXT(mail, "mail@example.org");
    vh.free_args(result);
    free(args);
    args = vh.pack("d", 1234.5);
    vh.free_args(vh.CallHook(first, W_OnTimer, args));
    free(args);

    /* The two do not share anything. */
    /* A hook that the script lacks goes on. */
    CHECK(hook_ss(first, W_OnOpChatMessage, "alice", "hello") == 1);
    CHECK(call_number(first, "get_total_calls") == 8);
    CHECK(call_number(second, "get_total_calls") == 0);
    CHECK(call_number(first, "my_id") == first && call_number(second, "my_id") == second);
    CHECK(call_number(first, "pid") != call_number(second, "pid") && call_number(first, "pid") != getpid());
    result = vh.CallFunction(first, "identity", NULL);
    CHECK(vh.unpack(result, "L", &texts));
    CHECK_TEXT(texts[0], "Bot");
    CHECK_TEXT(texts[1], "OpChat");
    CHECK_TEXT(texts[2], "1234");
    CHECK_TEXT(texts[3], "config");
    CHECK_TEXT(texts[4], "host");
    vh.free_args(result);

    CHECK(vh.Unload(first) == 1);
    CHECK(vh.Unload(first) == 0 && vh.HasHook(first, W_OnParsedMsgChat) == 0);
    args = vh.pack("ss", "alice", "hello");
    CHECK(!vh.CallHook(first, W_OnParsedMsgChat, args) && !vh.CallFunction(first, "yes", NULL));
    free(args);
    CHECK(call_number(second, "get_total_calls") == 0);
    CHECK(vh.End() == 1);
    CHECK(vh.End() == 0);
    begin(FIRST, RAW); /* and again */
    CHECK(call_number(load(script), "yes") == 1);
    CHECK(vh.End() == 1);
}

/* ---------------------------------------------------------------- values */

static void check_result(int id, const char *name, const char *printed)
{
    w_Targs *result = vh.CallFunction(id, name, NULL);

    CHECK(result);
    CHECK_TEXT(vh.packprint(result), printed);
    vh.free_args(result);
}

static void check_echo(int id, w_Targs *args, const char *types, const char *printed)
{
    w_Targs *result = vh.CallFunction(id, "types_of", args);
    const char *text;

    CHECK(vh.unpack(result, "s", &text));
    CHECK_TEXT(text, types);
    vh.free_args(result);
    result = vh.CallFunction(id, "echo", args);
    CHECK(result);
    CHECK_TEXT(vh.packprint(result), printed);
    vh.free_args(result);
    free(args);
}

/* Lists of a thousand texts there and back. */
static void check_large_list(int id)
{
    char *names[1001], **back;
    long count;
    int at;
    w_Targs *args, *result;

    for (at = 0; at < 1000; at++) {
        names[at] = malloc(16);
        snprintf(names[at], 16, "user_%d", at);
    }
    names[1000] = NULL;
    args = vh.pack("L", names);
    result = vh.CallFunction(id, "length", args);
    CHECK(vh.unpack(result, "l", &count) && count == 1000);
    vh.free_args(result);
    result = vh.CallFunction(id, "echo", args);
    CHECK(vh.unpack(result, "L", &back));
    for (at = 0; at < 1000; at++)
        CHECK_TEXT(back[at], names[at]);
    CHECK(!back[1000]);
    vh.free_args(result);
    free(args);
    result = vh.CallFunction(id, "large_list", NULL);
    CHECK(vh.unpack(result, "L", &back));
    for (at = 0; back[at]; at++) { /* freed in parts, as hubs do */
        CHECK_TEXT(back[at], names[at]);
        free(back[at]);
        free(names[at]);
    }
    CHECK(at == 1000);
    free(back);
    free(result);
}

/* A hundred thousand numbers as JSON. */
static void check_huge_list(int id)
{
    w_Targs *args = vh.pack("l", 100000L), *list = vh.CallFunction(id, "huge_list", args), *result;
    long count;
    char *json;

    CHECK(list && vh.unpack(list, "D", &json));
    CHECK(!strncmp(json, "[0,1,2,", 7));
    CHECK_TEXT(json + strlen(json) - 7, ",99999]");
    result = vh.CallFunction(id, "length", list);
    CHECK(vh.unpack(result, "l", &count) && count == 100000);
    vh.free_args(result);
    vh.free_args(list);
    free(args);
}

static void check_objects(int id)
{
    w_Targs *thing = vh.CallFunction(id, "make_thing", NULL), *args, *result;
    void *handle;
    long number;

    CHECK(vh.unpack(thing, "O", &handle) && handle);
    result = vh.CallFunction(id, "keep_thing", thing); /* a result is as good as arguments */
    CHECK(vh.unpack(result, "l", &number) && number == 42);
    vh.free_args(result);
    args = vh.pack("O", handle);
    result = vh.CallFunction(id, "is_kept", args);
    CHECK(vh.unpack(result, "l", &number) && number == 1);
    vh.free_args(result);
    vh.free_args(thing);
    CHECK(!vh.CallFunction(id, "is_kept", args)); /* a freed handle */
    free(args);
}

static void check_conversions(int id)
{
    w_Targs *result = vh.CallFunction(id, "texts", NULL);
    char *json, **list;

    CHECK(vh.unpack(result, "D", &json));
    CHECK_TEXT(json, "[\"a\",\"\",\"c d\"]");
    CHECK(vh.unpack(result, "L", &list));
    CHECK_TEXT(list[2], "c d");
    vh.free_args(result);
    result = vh.CallFunction(id, "numbers", NULL);
    CHECK(!vh.unpack(result, "L", &list) && vh.unpack(result, "D", &json));
    CHECK_TEXT(json, "[1,2.5,null,[true]]");
    free(json); /* in parts */
    free(result);
}

void run_types(const char *script, long count)
{
    char *users[] = {"alice", "bob", "charlie", NULL};
    w_Targs *args, *result, *again;
    char *json;
    int id, round;

    (void)count;
    for (round = 0; round < 2; round++) {
        begin(round ? SECOND : FIRST, RAW);
        id = load(script);
        check_result(id, "nothing", "l [ 0 ]");
        check_result(id, "yes", "l [ 1 ]");
        check_result(id, "number", "l [ -9223372036854775808 ]");
        check_result(id, "fraction", "d [ 2.5 ]");
        check_result(id, "text", "s [ 't\xc3\xa4xt' ]");
        check_result(id, "texts", round ? "D [ [\"a\",\"\",\"c d\"] ]" : "L [ [\"a\", \"\", \"c d\"] ]");
        check_result(id, "empty_list", round ? "D [ [] ]" : "L [ [] ]");
        check_result(id, "a_tuple", "D [ [1,\"two\"] ]");
        check_result(id, "a_set", "D [ [7] ]");
        check_result(id, "nested",
                     "D [ {\"users\":[{\"name\":\"alice\",\"tags\":[\"x\",\"y\"]}],"
                     "\"n\":{\"deep\":{\"er\":[1,[2,[3]]]}}} ]");
        check_echo(id, vh.pack("l", 5L), "int", "l [ 5 ]");
        check_echo(id, vh.pack("d", 0.5), "float", "d [ 0.5 ]");
        check_echo(id, vh.pack("s", "\xc3\xa4"), "str", "s [ '\xc3\xa4' ]");
        check_echo(id, vh.pack("s", NULL), "NoneType", "l [ 0 ]");
        check_echo(id, vh.pack("p", (void *)4096), "int", "l [ 4096 ]");
        check_echo(id, vh.pack("L", users), "list",
                   round ? "D [ [\"alice\",\"bob\",\"charlie\"] ]" : "L [ [\"alice\", \"bob\", \"charlie\"] ]");
        check_echo(id, vh.pack("D", "{\"a\":[1,null,true,\"\\u00e4\"]}"), "dict",
                   "D [ {\"a\":[1,null,true,\"\xc3\xa4\"]} ]");
        check_echo(id, vh.pack("D", "7"), "int", "l [ 7 ]");
        check_echo(id, vh.pack("lsd", 1L, "b", 2.0), "int str float", "D [ [1,\"b\",2.0] ]");
        if (!round) {
            check_large_list(id);
            check_conversions(id);
        }
        check_huge_list(id);
        check_objects(id);

        args = vh.pack("D", "{\"hub_name\":\"My Hub\",\"max_users\":100}");
        check_result(id, "nothing", "l [ 0 ]");
        result = vh.CallFunction(id, "validate", args);
        CHECK(vh.unpack(result, "D", &json));
        CHECK_TEXT(json, "{\"valid\":true,\"keys\":[\"hub_name\",\"max_users\"]}");
        vh.free_args(result);
        free(args);
        args = vh.pack("D", "{\"count\":1,\"list\":[]}");
        result = vh.CallFunction(id, "modify", args);
        again = vh.CallFunction(id, "modify", result); /* round and round */
        CHECK(vh.unpack(again, "D", &json));
        CHECK_TEXT(json, "{\"count\":3,\"list\":[\"more\",\"more\"]}");
        vh.free_args(result);
        vh.free_args(again);
        free(args);

        log_lines();
        /* What scripts raise is logged, when the reader of their output comes to it. */
        CHECK(!vh.CallFunction(id, "missing", NULL) && strstr(vh.last_error(), "NameError"));
        CHECK(!vh.CallFunction(id, "fails", NULL) && strstr(vh.last_error(), "as asked"));
        args = vh.pack("D", "{broken");
        CHECK(!vh.CallFunction(id, "echo", args) && strstr(vh.last_error(), "JSON"));
        free(args);
        CHECK(call_number(id, "yes") == 1);
        CHECK(vh.End() == 1);
    }
}

/* ---------------------------------------------------------------- calls */

void run_calls(const char *script, long count)
{
    static const struct {
        int place;
        const char *args;
    } wanted[] = {
        {W_CALL_SendToOpChat, "ss [ 'a' 'b' ]"},
        {W_CALL_SendToPassive, "sl [ 'a' 0 ]"},
        {W_CALL_SendToActiveClass, "slll [ 'a' 1 2 3 ]"},
        {W_CALL_SendPMToAll, "ssll [ 'a' 'b' 0 10 ]"},
        {W_CALL_CloseConnection, "sll [ 'bob' 5 2 ]"},
        {W_CALL_SetMyINFO, "ssssss [ 'bob' NULL '<t>' NULL NULL NULL ]"},
        {W_CALL_GetNickList, " [ ]"},
        {W_CALL_AddRegUser, "slss [ 'new' 1 NULL NULL ]"},
        {W_CALL_Ban, "sssll [ 'op' 'bob' 'why' 60 1 ]"},
        {W_CALL_KickUser, "ssssss [ 'op' 'bob' 'why' NULL NULL NULL ]"},
        {W_CALL_SetConfig, "sss [ 'config' 'hub_name' 'x' ]"},
        {W_CALL_GetConfig, "sss [ 'config' 'hub_name' NULL ]"},
        {W_CALL_AddRobot, "slssss [ 'R' 1 'd' 's' 'm' '0' ]"},
        {W_CALL_UserRestrictions, "sssss [ 'bob' '1d' NULL NULL NULL ]"},
        {W_CALL_classmc, "slls [ 'm' 1 10 'f' ]"},
        {W_CALL_pm, "ssss [ 'm' 'bob' 'alice' 'shown' ]"},
        {W_CALL_StopHub, "ll [ 1 2 ]"},
    };
    size_t at;
    int id, round, place;
    w_Targs *result;
    const char *city;

    (void)count;
    for (round = 0; round < 4; round++) {
        begin(round & 1 ? SECOND : FIRST, round & 2 ? JSON : RAW);
        forget_seen();
        id = load(script);
        CHECK(call_number(id, "run") == 1);
        for (place = 0; place < W_CALL_COUNT; place++)
            CHECK((place >= 42 && place <= 44) || seen(place)[0]);
        for (at = 0; at < sizeof wanted / sizeof *wanted; at++)
            CHECK_TEXT(seen(wanted[at].place), wanted[at].args);
        CHECK(call_number(id, "has_city") == (round & 1));
        if (round & 1) {
            result = vh.CallFunction(id, "city", NULL);
            CHECK(vh.unpack(result, "s", &city));
            CHECK_TEXT(city, "Reykjavík");
            vh.free_args(result);
        }
        CHECK(vh.End() == 1);
    }
    /* A hub that offers nothing: failures, no exceptions but the script's own. */
    memset(table, 0, sizeof table);
    CHECK(vh.Begin(table));
    id = load(script);
    CHECK(!vh.CallFunction(id, "run", NULL));
    CHECK(vh.End() == 1);
}

/* ---------------------------------------------------------------- load */

static int shared_id;
static long shared_count;

static void *call_in_thread(void *number)
{
    long at, count = 0, total;

    for (at = 0; at < shared_count; at++) {
        switch ((at + (long)(size_t)number) % 3) {
        case 0: CHECK_TEXT(chat(shared_id, "hello", &total), "l"); break;
        case 1: CHECK(call_number(shared_id, "yes") == 1); break;
        default: CHECK(hook_ss(shared_id, W_OnParsedMsgChat, "bob", "block") == 0); break;
        }
        count++;
    }
    return (void *)(size_t)count;
}

/* Hooks, functions and threads, at random turns. */
void run_stress(const char *script, long count)
{
    pthread_t threads[4];
    void *done;
    long at, number;
    size_t thread;

    begin(FIRST, RAW);
    shared_id = load(script);
    for (at = 0; at < count; at++) {
        CHECK_TEXT(chat(shared_id, at % 5 ? "hello" : "call", &number), "l");
        CHECK(number == 1);
        if (at % 10 == 0)
            CHECK(call_number(shared_id, "yes") == 1);
        if (at % 100 == 0)
            check_result(shared_id, "texts", "L [ [\"a\", \"\", \"c d\"] ]");
    }
    shared_count = count / 10;
    for (thread = 0; thread < 4; thread++)
        CHECK(!pthread_create(&threads[thread], NULL, call_in_thread, (void *)thread));
    for (thread = 0; thread < 4; thread++) {
        CHECK(!pthread_join(threads[thread], &done));
        CHECK((long)(size_t)done == shared_count);
    }
    CHECK(call_number(shared_id, "get_total_calls") >= count);
    CHECK(vh.End() == 1);
}

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* A hub's messages: four types, of which one has a hook in the script; as a hub does, every
 * message asks whether anybody wants it. */
void run_messages(const char *script, long count)
{
    static const int hooks[] = {W_OnParsedMsgSearch, W_OnParsedMsgChat, W_OnParsedMsgSR, W_OnParsedMsgAny};
    w_Telement args[2];
    vhpy_verdict verdict;
    long at, called = 0;
    double start;
    int id;

    begin(FIRST, RAW);
    id = load(script);
    args[0].type = args[1].type = 's';
    args[0].s = "alice";
    start = now();
    for (at = 0; at < count; at++) {
        int hook = hooks[at % 4];

        if (!vh.wants(hook))
            continue;
        args[1].s = at % 1000 == 1 ? "block" : "a message of usual length, as users write them";
        CHECK(vh.event(hook, args, 2, &verdict) == !(at % 1000 == 1));
        vh.verdict_free(&verdict);
        called++;
    }
    printf("%ld messages in %.2f s, %ld of them with a hook\n", count, now() - start, called);
    CHECK(called == (count + 2) / 4);
    {
        w_Targs *name = vh.pack("s", "chat"), *result = vh.CallFunction(id, "count_of", name);
        long number;

        CHECK(vh.unpack(result, "l", &number) && number == called);
        vh.free_args(result);
        free(name);
    }
    CHECK(vh.End() == 1);
}

/* Memory does not grow with events: what malloc has out is the same after many of them. */
void run_leaks(const char *script, long count)
{
    w_Telement args[2];
    vhpy_verdict verdict;
    size_t before = 0, after;
    long at, number;
    int id;

    begin(FIRST, RAW);
    id = load(script);
    args[0].type = args[1].type = 's';
    args[0].s = "alice";
    for (at = -1000; at < count; at++) {
        if (at == 0)
            before = allocated();
        chat(id, at % 3 ? "replace" : "call", &number);
        args[1].s = at % 2 ? "send" : "both";
        vh.event(W_OnParsedMsgChat, args, 2, &verdict);
        vh.verdict_free(&verdict);
        if (at % 50 == 0) {
            vh.free_args(vh.CallFunction(id, "texts", NULL));
            vh.free_args(vh.CallFunction(id, "make_thing", NULL));
            vh.free_args(vh.CallFunction(id, "nested", NULL));
        }
    }
    after = allocated();
    printf("%zu bytes before %ld events, %zu after\n", before, count, after);
    CHECK(after < before + 65536); /* less than a byte an event: buffers grow a little */
    CHECK(vh.End() == 1);
}
