// callbacks.cpp - turns the library's arguments into a Hub's and its results back; what each
// method does is the hub's matter.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#include "callbacks.h"

#include <cstdlib>
#include <cstring>
#include <new>
#include <stdexcept>
#include <tuple>
#include <type_traits>

namespace vhpy_verlihub {
namespace {

Hub *hub = nullptr;
unsigned depth = 0;

// ---------------------------------------------------------------- arguments

template <class T> struct Argument;
template <> struct Argument<const char *> {
    static constexpr char letter = 's';
    static const char *read(const w_Telement &value) { return value.s; }
};
template <> struct Argument<long> {
    static constexpr char letter = 'l';
    static long read(const w_Telement &value) { return value.l; }
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
        return pack(hub->script_command(path_of(script), values[0].s, values[1].s, values[2].l));
    });
}

// 42 to 44 are nobody's; name_and_version is answered by the library.
const std::pair<int, w_Tcallback> TABLE[] = {
    {W_CALL_SendToOpChat, callback<&Hub::send_to_op_chat>},
    {W_CALL_SendToActive, callback<&Hub::send_to_active>},
    {W_CALL_SendToPassive, callback<&Hub::send_to_passive>},
    {W_CALL_SendToActiveClass, callback<&Hub::send_to_active_class>},
    {W_CALL_SendToPassiveClass, callback<&Hub::send_to_passive_class>},
    {W_CALL_SendDataToUser, callback<&Hub::send_to_user>},
    {W_CALL_SendDataToAll, callback<&Hub::send_to_all>},
    {W_CALL_SendPMToAll, callback<&Hub::send_pm_to_all>},
    {W_CALL_CloseConnection, callback<&Hub::close_connection>},
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
    {W_CALL_AddRegUser, callback<&Hub::add_reg_user>},
    {W_CALL_DelRegUser, callback<&Hub::del_reg_user>},
    {W_CALL_SetRegClass, callback<&Hub::set_reg_class>},
    {W_CALL_Ban, callback<&Hub::ban>},
    {W_CALL_KickUser, callback<&Hub::kick>},
    {W_CALL_DelNickTempBan, callback<&Hub::del_nick_temp_ban>},
    {W_CALL_DelIPTempBan, callback<&Hub::del_ip_temp_ban>},
    {W_CALL_ParseCommand, callback<&Hub::parse_command>},
    {W_CALL_ScriptCommand, script_command},
    {W_CALL_SetConfig, callback<&Hub::set_config>},
    {W_CALL_GetConfig, callback<&Hub::config>},
    {W_CALL_IsRobotNickBad, callback<&Hub::is_robot_nick_bad>},
    {W_CALL_AddRobot, callback<&Hub::add_robot>},
    {W_CALL_DelRobot, callback<&Hub::del_robot>},
    {W_CALL_SQL, callback<&Hub::sql>},
    {W_CALL_GetServFreq, callback<&Hub::frequency>},
    {W_CALL_GetUsersCount, callback<&Hub::users_count>},
    {W_CALL_GetTotalShareSize, callback<&Hub::total_share>},
    {W_CALL_UserRestrictions, callback<&Hub::restrictions>},
    {W_CALL_Topic, callback<&Hub::topic>},
    {W_CALL_mc, callback<&Hub::chat_to_all>},
    {W_CALL_usermc, callback<&Hub::chat_to_user>},
    {W_CALL_classmc, callback<&Hub::chat_to_class>},
    {W_CALL_pm, callback<&Hub::pm>},
    {W_CALL_StopHub, callback<&Hub::stop_hub>},
};

} // namespace

w_Tcallback *callbacks(Hub &of)
{
    static w_Tcallback places[W_CALL_PLACES];
    hub = &of;
    for (const auto &[place, function] : TABLE)
        places[place] = function;
    return places;
}

unsigned callback_depth()
{
    return depth;
}

} // namespace vhpy_verlihub
