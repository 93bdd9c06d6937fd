/* The hub behind the test host: a table of callbacks that note their arguments and answer as
 * a small hub with three users would. */
#include <pthread.h>

#include "host.h"

w_Tcallback table[W_CALL_PLACES];

static enum lists list_form;
static char notes[W_CALL_PLACES][1024];
static long calls;
static char topic[256] = "A topic";

const char *seen(int place)
{
    return notes[place];
}

void forget_seen(void)
{
    memset(notes, 0, sizeof notes);
    calls = 0;
}

long calls_seen(void)
{
    return calls;
}

static w_Targs *text(const char *answer)
{
    return vh.pack("s", strdup(answer));
}

static w_Targs *nicks(const char *raw, const char *json)
{
    return list_form == RAW ? text(raw) : vh.pack("D", strdup(json));
}

static int is_user(const char *nick)
{
    return nick && (!strcmp(nick, "alice") || !strcmp(nick, "bob") || !strcmp(nick, "Bot"));
}

/* Two rows of three columns, one cell NULL. */
static w_Targs *rows(w_Targs *args)
{
    const char *query;
    char **cells;
    long limit;

    if (!vh.unpack(args, "sl", &query, &limit) || !query)
        return NULL;
    if (!strcmp(query, "bad"))
        return vh.pack("lllp", 0L, 0L, 0L, NULL);
    if (!strcmp(query, "empty"))
        return vh.pack("lllp", 1L, 0L, 0L, NULL);
    if (!strcmp(query, "wrong"))
        return vh.pack("lllp", 1L, -1L, 1L << 40, NULL);
    cells = calloc(6, sizeof *cells);
    cells[0] = strdup("alice");
    cells[1] = strdup("5");
    cells[2] = strdup("");
    cells[3] = strdup("bob");
    cells[5] = strdup("x y");
    return vh.pack("lllp", 1L, 2L, 3L, cells);
}

static w_Targs *place_on_earth(w_Targs *args)
{
    const char *ip, *database;
    char **more;

    if (!vh.unpack(args, "s|s", &ip, &database) || !ip || !strcmp(ip, "nowhere"))
        return NULL;
    more = calloc(5, sizeof *more);
    more[0] = strdup("host");
    more[1] = strdup(ip);
    more[2] = strdup("city");
    more[3] = strdup("Reykjavík, which is far away");
    return vh.pack("sdsdslslp", strdup("latitude"), 64.1, strdup("longitude"), -21.9, strdup("metro_code"), 1L,
                   strdup("area_code"), 2L, more);
}

/* What the hub does. Places are those of the first table. */
static w_Targs *answer(int place, w_Targs *args)
{
    const char *nick = NULL, *name = NULL, *version = NULL;
    static char shared[] = "a static buffer";

    switch (place) {
    case W_CALL_GetMyINFO:
        if (!vh.unpack(args, "s", &nick) || !is_user(nick))
            return NULL;
        return vh.pack("ssssss", strdup(nick), strdup("desc"), strdup("<++ V:1>"), strdup("100"), strdup("a@b"),
                       strdup("1234"));
    case W_CALL_GetUserClass:
        if (!vh.unpack(args, "s", &nick))
            return NULL;
        return vh.pack("l", is_user(nick) ? strcmp(nick, "alice") ? 1L : 5L : -2L);
    case W_CALL_GetUserIP:
        return vh.unpack(args, "s", &nick) && is_user(nick) ? text("10.0.0.7") : NULL;
    case W_CALL_GetUserHost: return vh.pack("s", shared); /* no block from malloc: left alone */
    case W_CALL_GetUserHubURL: return vh.pack("s", "a literal");
    case W_CALL_GetUserExtJSON: return vh.pack("s", NULL);
    case W_CALL_GetUserCC: /* the very argument */
        return vh.unpack(args, "s", &nick) ? vh.pack("s", nick) : NULL;
    case W_CALL_GetIPCC: return args; /* the very arguments */
    case W_CALL_GetIPCN: return vh.pack("ls", 1L, strdup("a wrong format"));
    case W_CALL_GetIPASN: return text("AS1 \xff no UTF-8");
    case W_CALL_GetGeoIP: return place_on_earth(args);
    case W_CALL_GetNickList: return nicks("$NickList alice$$bob$$Bot$$", "[\"alice\",\"bob\",\"Bot\"]");
    case W_CALL_GetOpList: return nicks("$OpList alice$$", "[\"alice\"]");
    case W_CALL_GetBotList: return nicks("$BotList Bot$$", "[\"Bot\"]");
    case W_CALL_GetConfig: return text("a value");
    case W_CALL_IsRobotNickBad: return vh.pack("l", 3L);
    case W_CALL_SQL: return rows(args);
    case W_CALL_GetServFreq: return vh.pack("d", 12.5);
    case W_CALL_GetUsersCount: return vh.pack("l", 3L);
    case W_CALL_GetTotalShareSize: return text("12345678901234567890");
    case W_CALL_UserRestrictions: return vh.pack("l", 1L | 8L);
    case W_CALL_Topic:
        if (vh.unpack(args, "s", &name) && name)
            snprintf(topic, sizeof topic, "%s", name);
        return text(topic);
    case W_CALL_name_and_version:
        if (!vh.unpack(args, "ss", &name, &version))
            return NULL;
        return vh.pack("ss", strdup(name ? name : "the name"), strdup(version ? version : "1.0"));
    case W_CALL_DelRegUser: return NULL;       /* fails */
    case W_CALL_DelRobot: return vh.pack("");  /* answers nothing */
    case W_CALL_SetRegClass: return vh.pack("l", 0L);
    default: return vh.pack("l", 1L);
    }
}

static w_Targs *note(int place, w_Targs *args)
{
    CHECK(args);
    snprintf(notes[place], sizeof notes[place], "%s", vh.packprint(args));
    calls++;
    return answer(place, args);
}

#define PLACES(X)                                                                                   \
    X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) X(16)     \
    X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) X(31)       \
    X(32) X(33) X(34) X(35) X(36) X(37) X(38) X(39) X(40) X(41) X(45) X(46) X(47) X(48) X(49)       \
    X(50) X(51) X(52) X(53) X(54) X(55)

#define FUNCTION(place)                                                                             \
    static w_Targs *on_##place(int id, w_Targs *args)                                               \
    {                                                                                               \
        (void)id;                                                                                   \
        return note(place, args);                                                                   \
    }
PLACES(FUNCTION)

static w_Targs *on_city(int id, w_Targs *args)
{
    const char *ip = NULL;

    (void)id;
    CHECK(vh.unpack(args, "ss", &ip, NULL));
    return text("Reykjavík");
}

void fill_table(enum numbering numbering, enum lists lists)
{
    memset(table, 0, sizeof table);
    list_form = lists;
#define PUT(place) table[numbering == SECOND && place >= 22 ? place + 1 : place] = on_##place;
    PLACES(PUT)
    if (numbering == SECOND)
        table[22] = on_city;
}

void begin(enum numbering numbering, enum lists lists)
{
    fill_table(numbering, lists);
    /* No run waits for a deadline, so none may come on a busy machine. */
    CHECK(vh.set_option("hook_timeout", "120") && vh.set_option("load_timeout", "120"));
    CHECK(vh.Begin(table));
}

int load(const char *path)
{
    int wanted = vh.ReserveID(), id;
    w_Targs *args = vh.pack("lssssls", (long)wanted, path, "Bot", "OpChat", "/hub", 1234L, "config");

    CHECK(wanted >= 0 && args);
    id = vh.Load(args);
    free(args);
    CHECK(id == wanted);
    return id;
}

long call_number(int id, const char *name)
{
    w_Targs *result = vh.CallFunction(id, name, NULL);
    long number;

    CHECK(result && vh.unpack(result, "l", &number));
    vh.free_args(result);
    return number;
}
