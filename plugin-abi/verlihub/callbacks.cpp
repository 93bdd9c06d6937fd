// callbacks.cpp - turns the library's arguments into a Hub's and its results back, and says which
// calls may have to wait and when; what each method does is the hub's matter.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#include "callbacks.h"

#include <cstdlib>
#include <cstring>
#include <functional>
#include <new>
#include <stdexcept>
#include <tuple>
#include <type_traits>

namespace vhpy_verlihub {
namespace {

Hub *hub = nullptr;
Waiting *waiting = nullptr;
unsigned depth = 0;

// ---------------------------------------------------------------- arguments

template <class T> struct Argument;
template <> struct Argument<const char *> {
    using Kept = std::optional<std::string>;
    static constexpr char letter = 's';
    static const char *read(const w_Telement &value) { return value.s; }
    static Kept keep(const w_Telement &value) { return value.s ? Kept(value.s) : std::nullopt; }
    static const char *give(const Kept &kept) { return kept ? kept->c_str() : nullptr; }
};
template <> struct Argument<long> {
    using Kept = long;
    static constexpr char letter = 'l';
    static long read(const w_Telement &value) { return value.l; }
    static Kept keep(const w_Telement &value) { return value.l; }
    static long give(const Kept &kept) { return kept; }
};

// ---------------------------------------------------------------- results

// A block of its own, as results must have.
char *block(const std::string &text)
{
    char *copy = strdup(text.c_str());
    if (!copy)
        throw std::bad_alloc();
    return copy;
}

w_Targs *pack(bool done)
{
    return done ? w_pack("l", 1L) : nullptr;
}

w_Targs *pack(long number)
{
    return w_pack("l", number);
}

w_Targs *pack(double number)
{
    return w_pack("d", number);
}

w_Targs *pack(const std::string &text)
{
    return w_pack("s", block(text));
}

w_Targs *pack(const MyInfo &info)
{
    return w_pack("ssssss", block(info[0]), block(info[1]), block(info[2]), block(info[3]), block(info[4]),
                  block(info[5]));
}

w_Targs *pack(const Table &table)
{
    const size_t count = table.cells.size();
    const size_t rows = table.columns ? count / table.columns : 0;
    auto cells = static_cast<char **>(calloc(count ? count : 1, sizeof(char *)));
    if (!cells)
        throw std::bad_alloc();
    for (size_t at = 0; at < count; at++)
        if (table.cells[at])
            cells[at] = block(*table.cells[at]);
    return w_pack("lllp", 1L, static_cast<long>(rows), static_cast<long>(table.columns), static_cast<void *>(cells));
}

w_Targs *pack(const Place &place)
{
    auto list = static_cast<char **>(calloc(2 * place.texts.size() + 1, sizeof(char *)));
    if (!list)
        throw std::bad_alloc();
    size_t at = 0;
    for (const auto &[name, value] : place.texts) {
        list[at++] = block(name);
        list[at++] = block(value);
    }
    return w_pack("sdsdslslL", block("latitude"), place.latitude, block("longitude"), place.longitude,
                  block("metro_code"), place.metro_code, block("area_code"), place.area_code, list);
}

template <class T> w_Targs *pack(const std::optional<T> &value)
{
    return value ? pack(*value) : nullptr;
}

// ---------------------------------------------------------------- calling

struct Deeper {
    Deeper() { ++depth; }
    ~Deeper() { --depth; }
    Deeper(const Deeper &) = delete;
    Deeper &operator=(const Deeper &) = delete;
};

// No exception may reach the library's frames; Verlihub throws texts, too.
template <class F> w_Targs *shielded(F work) noexcept
{
    Deeper deeper;
    try {
        return work();
    } catch (const std::exception &error) {
        vhpy_set_error(error.what());
    } catch (const char *text) {
        vhpy_set_error(text);
    } catch (...) {
        vhpy_set_error("the hub threw something that is no std::exception");
    }
    return nullptr;
}

template <class R, class... A, size_t... I>
w_Targs *invoke(R (Hub::*method)(A...), const w_Telement *values, std::index_sequence<I...>)
{
    return pack((hub->*method)(Argument<A>::read(values[I])...));
}

// Reads the arguments that a method's type asks for, calls it, packs what it answers.
template <class R, class... A> w_Targs *call(R (Hub::*method)(A...), w_Targs *args)
{
    static constexpr char format[] = {Argument<A>::letter..., '\0'};
    w_Telement values[sizeof...(A) + 1];
    if (!hub || !vhpy_unpack(args, format, values))
        return nullptr;
    return invoke(method, values, std::index_sequence_for<A...>());
}

template <auto method> w_Targs *callback(int, w_Targs *args)
{
    return shielded([&] { return call(method, args); });
}

// ---------------------------------------------------------------- acts that may have to wait

// In these the hub is in the middle of its lists of users, of a kick, or of its operators' chat:
// no robot may come, go or change its name.
constexpr Hooks LISTS_IN_USE =
    hooks({W_OnOperatorKicks, W_OnOperatorDrops, W_OnOperatorDropsWithReason, W_OnNewReg, W_OnNewBan, W_OnOpChatMessage,
           W_OnPublicBotMessage, W_OnUserLogout, W_OnCloseConn, W_OnCloseConnEx});

// In these a command may be under way.
constexpr Hooks IN_A_COMMAND = LISTS_IN_USE | hooks({W_OnHubCommand, W_OnOperatorCommand, W_OnUserCommand,
                                                     W_OnSetConfig, W_OnScriptCommand});

// In these a kick is under way, or would raise the event again that is open.
constexpr Hooks IN_A_KICK =
    hooks({W_OnOperatorKicks, W_OnOperatorDrops, W_OnOperatorDropsWithReason, W_OnPublicBotMessage});

constexpr Hooks IN_THE_CONFIGURATION = LISTS_IN_USE | hooks({W_OnSetConfig});

using Values = const w_Telement *;

// When a call must wait, and what the script is told then.
struct Care {
    Kind kind;
    Hooks in;
    int nick_at; // which argument says whom it is about; negative: nobody
    bool (*accepts)(Hub &, Values);
};

bool is_registered(Hub &hub, Values values)
{
    return hub.user_class(values[0].s) != 0;
}

constexpr Care CLOSE{Kind::close, 0, 0, [](Hub &hub, Values values) { return hub.is_online(values[0].s); }};
constexpr Care KICK{Kind::close, IN_A_KICK, 1,
                    [](Hub &hub, Values values) { return hub.may_kick(values[0].s, values[1].s); }};
constexpr Care BAN{Kind::close, 0, 1, [](Hub &hub, Values values) {
                       return hub.is_online(values[1].s) && values[3].l >= 0 && values[4].l >= 0;
                   }};
constexpr Care REGISTER{Kind::user, 0, 0, [](Hub &, Values values) { return values[0].s != nullptr; }};
constexpr Care REGISTERED{Kind::user, 0, 0, is_registered};
constexpr Care NEW_ROBOT{Kind::user, LISTS_IN_USE, 0, [](Hub &hub, Values values) {
                             // Its namesake may be about to go.
                             return hub.is_robot_nick_bad(values[0].s) == 0 || hub.is_robot(values[0].s);
                         }};
constexpr Care ROBOT{Kind::user, LISTS_IN_USE, 0, [](Hub &hub, Values values) { return hub.is_robot(values[0].s); }};
constexpr Care COMMAND{Kind::command, IN_A_COMMAND, -1, [](Hub &hub, Values values) {
                           return hub.is_online(values[0].s) && values[1].s && *values[1].s;
                       }};
constexpr Care CONFIGURATION{Kind::other, IN_THE_CONFIGURATION, -1, [](Hub &hub, Values values) {
                                 const bool own = !values[0].s || !strcmp(values[0].s, "config");
                                 return values[1].s && values[2].s &&
                                        (!own || hub.config(values[0].s, values[1].s, nullptr));
                             }};

template <class R, class... A, size_t... I>
std::function<void()> later(R (Hub::*method)(A...), Values values, std::index_sequence<I...>)
{
    return [method, kept = std::make_tuple(Argument<A>::keep(values[I])...)] {
        (hub->*method)(Argument<A>::give(std::get<I>(kept))...);
    };
}

template <class... A> w_Targs *act_with(bool (Hub::*method)(A...), const Care &care, w_Targs *args)
{
    static constexpr char format[] = {Argument<A>::letter..., '\0'};
    w_Telement values[sizeof...(A)];
    if (!hub || !vhpy_unpack(args, format, values))
        return nullptr;
    const char *nick = care.nick_at < 0 ? nullptr : values[care.nick_at].s;
    if (!waiting->must_wait(care.kind, care.in, nick))
        return invoke(method, values, std::index_sequence_for<A...>());
    return pack(care.accepts(*hub, values) &&
                waiting->add(care.kind, nick, later(method, values, std::index_sequence_for<A...>())));
}

template <auto method, const Care &care> w_Targs *act(int, w_Targs *args)
{
    return shielded([&] { return act_with(method, care, args); });
}

// Only setting it is an act.
w_Targs *topic(int, w_Targs *args)
{
    return shielded([&]() -> w_Targs * {
        w_Telement value;
        if (!hub || !vhpy_unpack(args, "s", &value))
            return nullptr;
        if (!value.s || !waiting->must_wait(Kind::other, CONFIGURATION.in, nullptr))
            return pack(hub->topic(value.s));
        const std::string text = value.s;
        return waiting->add(Kind::other, nullptr, [text] { hub->topic(text.c_str()); }) ? pack(text) : nullptr;
    });
}

// ---------------------------------------------------------------- commands among scripts

// The path of a script's file, for other scripts and plugins to see.
std::string path_of(int script)
{
    vhpy_script *list = nullptr;
    const size_t count = vhpy_status(&list);
    std::string path;
    for (size_t at = 0; at < count; at++)
        if (list[at].id == script)
            path = list[at].path;
    vhpy_free(list);
    return path;
}

w_Targs *script_command(int script, w_Targs *args)
{
    return shielded([&]() -> w_Targs * {
        w_Telement values[3];
        if (!hub || !vhpy_unpack(args, "ssl", values))
            return nullptr;
        const std::string source = path_of(script);
        if (values[2].l <= 0 || !waiting->must_wait(Kind::other, hooks({W_OnScriptCommand}), nullptr))
            return pack(hub->script_command(source, values[0].s, values[1].s, values[2].l));
        if (!values[0].s || !*values[0].s)
            return nullptr;
        const std::string command = values[0].s, data = values[1].s ? values[1].s : "";
        return pack(waiting->add(Kind::other, nullptr, [source, command, data] {
            hub->script_command(source, command.c_str(), data.c_str(), 1);
        }));
    });
}

// 42 to 44 and 56 are nobody's; name_and_version is answered by the library.
const std::pair<int, w_Tcallback> TABLE[] = {
    {W_CALL_SendToOpChat, callback<&Hub::send_to_op_chat>},
    {W_CALL_SendToActive, callback<&Hub::send_to_active>},
    {W_CALL_SendToPassive, callback<&Hub::send_to_passive>},
    {W_CALL_SendToActiveClass, callback<&Hub::send_to_active_class>},
    {W_CALL_SendToPassiveClass, callback<&Hub::send_to_passive_class>},
    {W_CALL_SendDataToUser, callback<&Hub::send_to_user>},
    {W_CALL_SendDataToAll, callback<&Hub::send_to_all>},
    {W_CALL_SendPMToAll, callback<&Hub::send_pm_to_all>},
    {W_CALL_CloseConnection, act<&Hub::close_connection, CLOSE>},
    {W_CALL_GetMyINFO, callback<&Hub::my_info>},
    {W_CALL_SetMyINFO, callback<&Hub::set_my_info>},
    {W_CALL_GetUserClass, callback<&Hub::user_class>},
    {W_CALL_GetUserHost, callback<&Hub::user_host>},
    {W_CALL_GetUserIP, callback<&Hub::user_ip>},
    {W_CALL_SetUserIP, callback<&Hub::set_user_ip>},
    {W_CALL_SetMyINFOFlag, callback<&Hub::set_flag>},
    {W_CALL_UnsetMyINFOFlag, callback<&Hub::unset_flag>},
    {W_CALL_GetUserHubURL, callback<&Hub::user_hub_url>},
    {W_CALL_GetUserExtJSON, callback<&Hub::user_ext_json>},
    {W_CALL_GetUserCC, callback<&Hub::user_country_code>},
    {W_CALL_GetIPCC, callback<&Hub::ip_country_code>},
    {W_CALL_GetIPCN, callback<&Hub::ip_country>},
    {W_CALL_GetIPASN, callback<&Hub::ip_asn>},
    {W_CALL_GetGeoIP, callback<&Hub::ip_place>},
    {W_CALL_GetNickList, callback<&Hub::nick_list>},
    {W_CALL_GetOpList, callback<&Hub::op_list>},
    {W_CALL_GetBotList, callback<&Hub::bot_list>},
    {W_CALL_AddRegUser, act<&Hub::add_reg_user, REGISTER>},
    {W_CALL_DelRegUser, act<&Hub::del_reg_user, REGISTERED>},
    {W_CALL_SetRegClass, act<&Hub::set_reg_class, REGISTERED>},
    {W_CALL_Ban, act<&Hub::ban, BAN>},
    {W_CALL_KickUser, act<&Hub::kick, KICK>},
    {W_CALL_DelNickTempBan, callback<&Hub::del_nick_temp_ban>},
    {W_CALL_DelIPTempBan, callback<&Hub::del_ip_temp_ban>},
    {W_CALL_ParseCommand, act<&Hub::parse_command, COMMAND>},
    {W_CALL_ScriptCommand, script_command},
    {W_CALL_SetConfig, act<&Hub::set_config, CONFIGURATION>},
    {W_CALL_GetConfig, callback<&Hub::config>},
    {W_CALL_IsRobotNickBad, callback<&Hub::is_robot_nick_bad>},
    {W_CALL_AddRobot, act<&Hub::add_robot, NEW_ROBOT>},
    {W_CALL_DelRobot, act<&Hub::del_robot, ROBOT>},
    {W_CALL_SQL, callback<&Hub::sql>},
    {W_CALL_GetServFreq, callback<&Hub::frequency>},
    {W_CALL_GetUsersCount, callback<&Hub::users_count>},
    {W_CALL_GetTotalShareSize, callback<&Hub::total_share>},
    {W_CALL_UserRestrictions, callback<&Hub::restrictions>},
    {W_CALL_Topic, topic},
    {W_CALL_mc, callback<&Hub::chat_to_all>},
    {W_CALL_usermc, callback<&Hub::chat_to_user>},
    {W_CALL_classmc, callback<&Hub::chat_to_class>},
    {W_CALL_pm, callback<&Hub::pm>},
    {W_CALL_StopHub, callback<&Hub::stop_hub>},
    {W_CALL_users, callback<&Hub::users>},
};

} // namespace

w_Tcallback *callbacks(Hub &of, Waiting &acts)
{
    static w_Tcallback places[W_CALL_PLACES];
    hub = &of;
    waiting = &acts;
    for (const auto &[place, function] : TABLE)
        places[place] = function;
    return places;
}

unsigned callback_depth()
{
    return depth;
}

} // namespace vhpy_verlihub
