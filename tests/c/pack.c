/* What needs no script: values, names, bad input, beginning and ending. */
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdint.h>

#include "host.h"

static void check_every_format(void)
{
    char *list[] = {"one", "", "three", NULL}, **L, *s, *D;
    void *p, *O;
    long l;
    double d;
    w_Targs *args = vh.pack("lsdpLDO", LONG_MIN, "text", 0.1, (void *)list, list, "{\"a\":[1]}", (void *)7);

    CHECK(args && args->args[0].type == 'l' && args->args[6].type == 'O');
    CHECK_TEXT(args->format, "lsdpLDO");
    CHECK(vh.unpack(args, "lsdpLDO", &l, &s, &d, &p, &L, &D, &O));
    CHECK(l == LONG_MIN && d == 0.1 && p == (void *)list && L == list && O == (void *)7);
    CHECK_TEXT(s, "text");
    CHECK_TEXT(D, "{\"a\":[1]}");
    CHECK(strstr(vh.packprint(args), "lsdpLDO [ -9223372036854775808 'text' 0.1 0x"));
    vh.free_args(args);
    args = vh.pack("");
    CHECK(args && vh.unpack(args, ""));
    CHECK_TEXT(vh.packprint(args), " [ ]");
    free(args); /* as old hubs do: nothing else was allocated */
}

static void check_many_elements(void)
{
    w_Telement values[100];
    char format[101];
    w_Targs *args;
    long first, last;
    int at;

    for (at = 0; at < 100; at++) {
        format[at] = "ld"[at % 2];
        if (at % 2)
            values[at].d = at / 2.0;
        else
            values[at].l = at;
    }
    format[100] = 0;
    args = vh.vpack(format, values);
    memset(values, 0, sizeof values);
    CHECK(args && vh.vunpack(args, format, values));
    for (at = 0; at < 100; at++)
        CHECK(at % 2 ? values[at].d == at / 2.0 : values[at].l == at);
    CHECK(strlen(vh.packprint(args)) <= 1023);
    free(args);
    /* More than the variadic functions keep on the stack, and more than registers hold. */
    args = vh.pack("llllllllllllllllllllllllllllllllllll", 0L, 1L, 2L, 3L, 4L, 5L, 6L, 7L, 8L, 9L, 10L, 11L,
                   12L, 13L, 14L, 15L, 16L, 17L, 18L, 19L, 20L, 21L, 22L, 23L, 24L, 25L, 26L, 27L, 28L, 29L,
                   30L, 31L, 32L, 33L, 34L, 35L);
    CHECK(args && args->args[35].l == 35 && args->args[31].l == 31);
    CHECK(vh.unpack(args, "llllllllllllllllllllllllllllllll|llll", &first, NULL, NULL, NULL, NULL, NULL, NULL,
                    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
                    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, &last));
    CHECK(first == 0 && last == 35);
    free(args);
    args = vh.pack("dddddddddd", 0., 1., 2., 3., 4., 5., 6., 7., 8., 9.);
    CHECK(args && args->args[0].d == 0 && args->args[9].d == 9);
    free(args);
}

static void check_optional(void)
{
    w_Targs *args = vh.pack("sl", "a", 2L);
    char *s = "old", *t = "old", **L = &s;
    long l = 9, m = 9;
    double d = 9;
    void *p = &l;

    CHECK(vh.unpack(args, "sl|sdLlp", &s, &l, &t, &d, &L, &m, &p));
    CHECK_TEXT(s, "a");
    CHECK(l == 2 && !t && d == 0 && !L && m == 0 && !p);
    CHECK(vh.unpack(args, "s|l", &s, &l) && vh.unpack(args, "|sl", &s, &l));
    t = "kept";
    CHECK(!vh.unpack(args, "slsl", &s, &l, &t, &m));
    CHECK(!vh.unpack(args, "s", &s) && !vh.unpack(args, "ls", &l, &s) && !vh.unpack(args, "", &s));
    CHECK(!vh.unpack(args, "sd", &s, &d) && !vh.unpack(args, "sls|", &s, &l, &t));
    CHECK_TEXT(t, "kept");
    CHECK(log_lines() == 0); /* trying one format after another is no error */
    CHECK(!vh.unpack(args, "s|l|", &s, &l) && log_lines() == 1);
    CHECK(!vh.unpack(args, "sx", &s, &l) && log_lines() == 1);
    free(args);
    args = vh.pack("s", NULL);
    CHECK(args && vh.unpack(args, "s", &s) && !s);
    CHECK_TEXT(vh.packprint(args), "s [ NULL ]");
    free(args);
}

static void check_conversion(void)
{
    char *list[] = {"say \"hi\"", "\xc3\xa4\\", "", NULL}, **L = NULL, *D = NULL;
    w_Targs *args = vh.pack("L", list);

    CHECK(vh.unpack(args, "D", &D));
    CHECK_TEXT(D, "[\"say \\\"hi\\\"\",\"\xc3\xa4\\\\\",\"\"]");
    CHECK_TEXT(args->format, "D");
    CHECK(args->args[0].type == 'D');
    CHECK(vh.unpack(args, "L", &L));
    CHECK_TEXT(L[0], list[0]);
    CHECK_TEXT(L[1], list[1]);
    CHECK_TEXT(L[2], "");
    CHECK(!L[3]);
    CHECK(vh.unpack(args, "|D", &D) && vh.unpack(args, "|L", &L));
    vh.free_args(args);
    CHECK_TEXT(list[0], "say \"hi\""); /* what was borrowed is whole */

    args = vh.pack("D", "{\"a\": 1}");
    CHECK(!vh.unpack(args, "L", &L) && vh.unpack(args, "D", &D));
    CHECK_TEXT(D, "{\"a\": 1}");
    vh.free_args(args);
    args = vh.pack("D", "[\"a\", 1]");
    CHECK(!vh.unpack(args, "L", &L));
    vh.free_args(args);
    args = vh.pack("D", "[no json");
    CHECK(!vh.unpack(args, "L", &L));
    vh.free_args(args);
    args = vh.pack("lL", 1L, NULL);
    CHECK(vh.unpack(args, "lD", NULL, &D));
    CHECK_TEXT(D, "[]");
    vh.free_args(args);
}

static void check_print(void)
{
    char text[5000], *list[] = {"a", "b", NULL};
    const char *printed;
    w_Targs *args;

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = 0;
    args = vh.pack("sls", text, 5L, "end");
    printed = vh.packprint(args);
    CHECK(strlen(printed) == 1023 && !strncmp(printed, "sls [ 'xxx", 10));
    free(args);
    args = vh.pack("ldLDO", -3L, 1.0, list, "[1]", (void *)4);
    CHECK_TEXT(vh.packprint(args), "ldLDO [ -3 1.0 [\"a\", \"b\"] [1] object 4 ]");
    free(args);
    args = vh.pack("s", "\xff\xfe not UTF-8");
    CHECK(strstr(vh.packprint(args), "not UTF-8"));
    free(args);
    CHECK_TEXT(vh.packprint(NULL), "(null)");
}

/* A structure that a host made by hand, all of it from malloc. */
static void check_by_hand(void)
{
    w_Targs *args = calloc(1, sizeof(w_Targs) + 2 * sizeof(w_Telement));
    long l;
    char *s;

    args->format = strdup("ls");
    args->args[0].l = 4;
    args->args[1].s = strdup("mine");
    CHECK(vh.unpack(args, "ls", &l, &s) && l == 4);
    CHECK_TEXT(s, "mine");
    CHECK_TEXT(vh.packprint(args), "ls [ 4 'mine' ]");
    vh.free_args(args);
    args = calloc(1, sizeof(w_Targs) + sizeof(w_Telement));
    args->format = "s"; /* a literal is not freed */
    args->args[0].s = "literal";
    vh.free_args(args);
}

static void check_names(void)
{
    int at;

    for (at = 0; at < W_HOOK_COUNT; at++)
        CHECK(vh.HookName(at) && vh.hook_format(at));
    CHECK_TEXT(vh.HookName(W_OnNewConn), "OnNewConn");
    CHECK_TEXT(vh.HookName(W_OnSetConfig), "OnSetConfig");
    CHECK_TEXT(vh.hook_format(W_OnSetConfig), "sssssl");
    CHECK(!vh.HookName(-1) && !vh.HookName(W_HOOK_COUNT) && !vh.HookName(INT_MAX) && !vh.HookName(INT_MIN));
    for (at = 0; at < W_CALL_COUNT; at++)
        CHECK(vh.CallName(at));
    CHECK_TEXT(vh.CallName(W_CALL_SendToOpChat), "SendToOpChat");
    CHECK_TEXT(vh.CallName(42), "SQLQuery");
    CHECK_TEXT(vh.CallName(44), "SQLFree");
    CHECK_TEXT(vh.CallName(W_CALL_StopHub), "StopHub");
    CHECK(!vh.CallName(-1) && !vh.CallName(W_CALL_COUNT) && !vh.CallName(INT_MIN));
    CHECK_TEXT(vh.call_format(W_CALL_GetGeoIP, 1), "sdsdslslp");
    CHECK_TEXT(vh.call_format(W_CALL_CloseConnection, 0), "sll");
    CHECK(!vh.call_format(42, 0) && !vh.call_format(-1, 1));
    CHECK(!vh.GetHook(0) && !vh.GetHook(-5));
    CHECK(vh.version()[0]);
    log_lines();
}

void run_pack(void)
{
    enum { WARM = 100, ROUNDS = 200, SMALLEST = 32 };
    size_t before = 0;
    int at;

    for (at = -WARM; at < ROUNDS; at++) {
        if (at == 0)
            before = allocated();
        check_every_format();
        check_many_elements();
        check_optional();
        check_conversion();
        check_print();
        check_by_hand();
        check_names();
    }
    /* malloc's own caches change a little; one lost block a round would be more. */
    CHECK(allocated() < before + ROUNDS * SMALLEST / 2);
}

/* ---------------------------------------------------------------- bad input */

/* Runs a statement that must fail with exactly one log line and a reason. */
#define FAILS(condition)                                                                           \
    do {                                                                                           \
        CHECK(condition);                                                                          \
        CHECK(log_lines() == 1);                                                                   \
        CHECK(vh.last_error()[0]);                                                                 \
    } while (0)

static void check_scripts_are_unknown(void)
{
    w_Targs *args = vh.pack("ss", "nick", "text"), *wrong = vh.pack("sl", "nick", 1L);

    FAILS(!vh.Unload(5));
    FAILS(!vh.Unload(-1));
    FAILS(!vh.CallHook(5, W_OnParsedMsgChat, args));
    FAILS(!vh.CallHook(5, W_OnParsedMsgChat, wrong));
    FAILS(!vh.CallHook(5, W_OnParsedMsgChat, NULL));
    FAILS(!vh.CallHook(5, -1, args));
    FAILS(!vh.CallHook(5, 41, args));
    FAILS(!vh.CallFunction(5, "f", NULL));
    FAILS(!vh.CallFunction(5, NULL, NULL));
    FAILS(!vh.CallFunction(INT_MIN, "\xff\xff", args));
    FAILS(!vh.RegisterFunction(5, "f", NULL));
    FAILS(!vh.RegisterFunction(5, NULL, NULL));
    FAILS(!vh.UnregisterFunction(5, "f"));
    FAILS(!vh.UnregisterFunction(-3, NULL));
    FAILS(vh.reload(77) == -1);
    free(args);
    free(wrong);
}

static void check_before_begin(void)
{
    vhpy_script *scripts;
    w_Telement none[1];
    vhpy_verdict verdict;

    check_scripts_are_unknown();
    FAILS(vh.ReserveID() == -1);
    FAILS(vh.Load(NULL) == -1);
    FAILS(vh.HasHook(0, 0) == 0);
    FAILS(!vh.End());
    FAILS(!vh.Begin(NULL));
    FAILS(!vh.serve());
    FAILS(vh.poll_fd() == -1);
    FAILS(!vh.wants(W_OnTimer));
    FAILS(vh.status(&scripts) == 0 && !scripts);
    FAILS(!vh.console("pylist"));
    FAILS(vh.load("nothing.py") == -1);
    FAILS(vh.find("nothing") == -1);
    none[0].type = 'd';
    none[0].d = 1;
    FAILS(vh.event(W_OnTimer, none, 1, &verdict) == 1 && !verdict.blocked && !verdict.send);
    vh.verdict_free(&verdict);
    vh.verdict_free(NULL);
}

static void check_values(void)
{
    w_Telement value;
    w_Targs *args = vh.pack("l", 1L), empty = {0};
    vhpy_verdict verdict;

    FAILS(!vh.pack(NULL));
    FAILS(!vh.pack("lx", 1L, 2L));
    FAILS(!vh.pack("%s", "text"));
    FAILS(!vh.pack("l|s", 1L, "text"));
    FAILS(!vh.vpack("l", NULL));
    FAILS(!vh.unpack(NULL, "l", NULL));
    FAILS(!vh.unpack(args, NULL));
    FAILS(!vh.unpack(args, "q", NULL));
    FAILS(!vh.unpack(&empty, "l", NULL));
    FAILS(!vh.vunpack(args, "l", NULL));
    CHECK(!vh.vunpack(args, "ll", &value) && vh.unpack(args, "l", NULL));
    CHECK(vh.packprint(&empty)[0]);
    vh.free_args(NULL);
    vh.free(NULL);
    FAILS(vh.event(999, NULL, 0, &verdict) == 1);
    FAILS(vh.event(W_OnTimer, NULL, 3, NULL) == 1);
    value.type = 's';
    value.s = "no number";
    FAILS(vh.event(W_OnTimer, &value, 1, NULL) == 1);
    value.type = 'x';
    FAILS(vh.event(W_OnTimer, &value, 1, NULL) == 1);
    FAILS(!vh.wants(41));
    FAILS(!vh.hook_format(-1));
    CHECK(vh.status(NULL) == 0);
    FAILS(!vh.console(NULL));
    FAILS(!vh.set_option("nothing", "1"));
    FAILS(!vh.set_option(NULL, "1"));
    FAILS(!vh.set_option("hook_timeout", NULL));
    FAILS(!vh.set_option("hook_timeout", "soon"));
    FAILS(!vh.set_option("hook_timeout", "-1"));
    FAILS(!vh.set_option("hook_timeout", "nan"));
    FAILS(!vh.set_option("spare", "perhaps"));
    FAILS(!vh.set_option("stay_awake", "2"));
    CHECK(vh.set_option("hook_timeout", "2.5") && vh.set_names(NULL, NULL) && vh.set_names("Bot", NULL));
    FAILS(vh.load(NULL) == -1);
    FAILS(vh.load_all(NULL) == -1);
    FAILS(vh.load_all("/does/not/exist") == -1);
    FAILS(vh.find(NULL) == -1);
    free(args);
}

static void check_load(void)
{
    w_Targs *args = vh.pack("lssssls", 0L, NULL, "bot", "op", "/tmp", 0L, "config");

    FAILS(vh.Load(NULL) == -1);
    FAILS(vh.Load(args) == -1);
    free(args);
    args = vh.pack("ls", 0L, "x.py");
    FAILS(vh.Load(args) == -1);
    free(args);
    args = vh.pack("lssssls", 0L, "/does/not/exist.py", "bot", "op", "/tmp", 0L, "config");
    FAILS(vh.Load(args) == -1);
    free(args);
    args = vh.pack("lssssls", (long)INT_MAX + 1, "/does/not/exist.py", NULL, NULL, NULL, 0L, NULL);
    FAILS(vh.Load(args) == -1);
    free(args);
}

void run_bad(void)
{
    vhpy_script *scripts;
    int round;

    log_lines();
    check_before_begin();
    for (round = 0; round < 2; round++) {
        memset(table, 0, sizeof table); /* a hub that offers nothing */
        CHECK(vh.Begin(table));
        CHECK(vh.poll_fd() >= 0 && vh.serve());
        CHECK(vh.HasHook(5, 0) == 0 && vh.HasHook(5, -1) == 0 && vh.HasHook(-5, 1000) == 0);
        CHECK(!vh.wants(W_OnTimer) && vh.find("nothing") == -1);
        CHECK(vh.status(&scripts) == 0);
        vh.free(scripts);
        log_lines();
        check_scripts_are_unknown();
        check_values();
        check_load();
        CHECK(vh.End());
        FAILS(!vh.End());
    }
    check_before_begin();
}

/* With a table that tells nothing, which function is at 22? */
void run_numbering(const char *name, long count)
{
    (void)count;
    memset(table, 0, sizeof table);
    CHECK(vh.Begin(table));
    CHECK_TEXT(vh.CallName(22), name);
    CHECK(vh.End());
}

void run_cycle(void)
{
    int round;

    for (round = 0; round < 20; round++) {
        fill_table(round % 2 ? SECOND : FIRST, RAW);
        CHECK(vh.Begin(table));
        CHECK_TEXT(vh.CallName(22), round % 2 ? "GetIPCity" : "GetIPASN");
        CHECK_TEXT(vh.CallName(56), round % 2 ? "StopHub" : NULL);
        CHECK_TEXT(vh.call_format(22, 0), "ss");
        if (round % 3 == 0) { /* again without an end */
            fill_table(round % 2 ? SECOND : FIRST, RAW);
            CHECK(vh.Begin(table));
        }
        CHECK(vh.End());
    }
}
