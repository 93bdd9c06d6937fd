// hub.h - what the scripts' side needs of a hub, in plain types: the seam of the adapter. The
// functions of scripts are bound to these methods in callbacks.cpp; server.cpp implements them
// with Verlihub's classes, tests with a fake.
//
// Text is in the hub's encoding. A `const char *` may be NULL: the script left it out. False
// and std::nullopt mean that the function failed. Methods may throw; they are called on the
// hub's thread only.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#ifndef VHPY_VERLIHUB_HUB_H
#define VHPY_VERLIHUB_HUB_H

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vhpy_verlihub {

// The connection of an event, as only the hub's side knows it. NULL: there is none.
using Connection = void *;

// The script that calls, for methods that must know; -1 is the library itself.
enum class Script : int {};

// nick, desc, tag, speed (with the status byte), mail, size
using MyInfo = std::array<std::string, 6>;

// The answer to a query: rows of equal length; a cell may be NULL.
struct Table {
    size_t columns = 0;
    std::vector<std::optional<std::string>> cells;
};

// Where an address is.
struct Place {
    double latitude = 0, longitude = 0;
    long metro_code = 0, area_code = 0;
    std::vector<std::pair<std::string, std::string>> texts;
};

class Hub {
public:
    virtual ~Hub() = default;

    // ------------------------------------------------ facts
    virtual std::string bot_name() = 0;
    virtual std::string op_chat_name() = 0;
    virtual std::string config_folder() = 0;
    virtual std::string config_name() = 0;
    virtual std::string encoding() = 0;
    virtual long start_time() = 0;

    // ------------------------------------------------ for the adapter
    // A line of UTF-8 for the hub's log; levels as vhpy.h numbers them.
    virtual void log(int level, const std::string &line) = 0;
    // Protocol data, complete, to one connection.
    virtual void send(Connection to, const std::string &data) = 0;
    // Text from the hub's bot to who gave a command, where the command was given.
    virtual void reply(Connection to, const std::string &text, bool in_pm) = 0;
    // Has Scripts::serve called soon, from the hub's loop.
    virtual void wake() = 0;
    // Who is at a connection, if anybody is yet.
    virtual std::optional<std::string> nick_of(Connection) = 0;
    // Whether the hub takes two nicks for one.
    virtual bool is_same_nick(const std::string &one, const char *other) = 0;
    // Whether somebody is there with a connection; whether a script made this robot.
    virtual bool is_online(const char *nick) = 0;
    virtual bool is_robot(const char *nick) = 0;
    // Whether a kick would come about, but for other plugins.
    virtual bool may_kick(const char *op, const char *nick) = 0;
    // Whether the client at a connection has menus that a hub adds to ($UserCommand).
    virtual bool has_menus(Connection) = 0;
    // The connections of those in the user list whose clients have, and their classes.
    virtual std::vector<std::pair<Connection, long>> with_menus() = 0;
    // How long the hub's loop sleeps in every turn; negative for the configured time.
    virtual void set_step_delay(long milliseconds) = 0;

    // ------------------------------------------------ functions of scripts
    virtual bool send_to_op_chat(const char *text, const char *from) = 0;
    virtual bool send_to_active(const char *data, long delay) = 0;
    virtual bool send_to_passive(const char *data, long delay) = 0;
    virtual bool send_to_active_class(const char *data, long min, long max, long delay) = 0;
    virtual bool send_to_passive_class(const char *data, long min, long max, long delay) = 0;
    virtual bool send_to_user(const char *data, const char *nick, long delay) = 0;
    virtual bool send_to_all(const char *data, long min, long max, long delay) = 0;
    virtual bool send_pm_to_all(const char *text, const char *from, long min, long max) = 0;
    virtual bool close_connection(const char *nick, long delay, long reason) = 0;
    virtual std::optional<MyInfo> my_info(const char *nick) = 0;
    virtual bool set_my_info(const char *nick, const char *desc, const char *tag, const char *speed, const char *mail,
                             const char *size) = 0;
    virtual long user_class(const char *nick) = 0;
    virtual std::optional<std::string> user_host(const char *nick) = 0;
    virtual std::optional<std::string> user_ip(const char *nick) = 0;
    virtual bool set_user_ip(const char *nick, const char *ip) = 0;
    virtual bool set_flag(const char *nick, long flag) = 0;
    virtual bool unset_flag(const char *nick, long flag) = 0;
    virtual std::optional<std::string> user_hub_url(const char *nick) = 0;
    virtual std::optional<std::string> user_ext_json(const char *nick) = 0;
    virtual std::optional<std::string> user_country_code(const char *nick) = 0;
    virtual std::optional<std::string> ip_country_code(const char *ip) = 0;
    virtual std::optional<std::string> ip_country(const char *ip) = 0;
    virtual std::optional<std::string> ip_asn(const char *ip, const char *database) = 0;
    virtual std::optional<Place> ip_place(const char *ip, const char *database) = 0;
    // Everybody in the user list; the fields' names, with a blank between them, are the columns.
    virtual std::optional<Table> users(const char *fields) = 0;
    virtual std::string nick_list() = 0; // "$NickList a$$b$$"
    virtual std::string op_list() = 0;
    virtual std::string bot_list() = 0;
    virtual bool add_reg_user(const char *nick, long rank, const char *password, const char *op) = 0;
    virtual bool del_reg_user(const char *nick) = 0;
    virtual bool set_reg_class(const char *nick, long rank) = 0;
    virtual bool ban(const char *op, const char *nick, const char *reason, long seconds, long type) = 0;
    virtual bool kick(const char *op, const char *nick, const char *reason, const char *address, const char *note_op,
                      const char *note_user) = 0;
    virtual bool del_nick_temp_ban(const char *nick) = 0;
    virtual bool del_ip_temp_ban(const char *ip) = 0;
    virtual bool parse_command(const char *nick, const char *command, long in_pm) = 0;
    // source: the script's file.
    virtual bool script_command(const std::string &source, const char *command, const char *data, long immediate) = 0;
    virtual bool set_config(const char *file, const char *variable, const char *value) = 0;
    virtual std::optional<std::string> config(const char *file, const char *variable, const char *fallback) = 0;
    virtual long is_robot_nick_bad(const char *nick) = 0;
    virtual bool add_robot(const char *nick, long rank, const char *desc, const char *speed, const char *mail,
                           const char *share) = 0;
    virtual bool del_robot(const char *nick) = 0;
    virtual std::optional<Table> sql(const char *query, long limit) = 0;
    virtual double frequency() = 0;
    virtual long users_count() = 0;
    virtual std::string total_share() = 0;
    // Bits: 1 no chat, 2 no PM, 4 no search, 8 no downloads.
    virtual std::optional<long> restrictions(const char *nick, const char *chat, const char *pm, const char *search,
                                             const char *ctm) = 0;
    virtual std::string topic(const char *topic) = 0;
    virtual bool chat_to_all(const char *text, const char *from) = 0;
    virtual bool chat_to_user(const char *text, const char *nick, const char *from) = 0;
    virtual bool chat_to_class(const char *text, long min, long max, const char *from) = 0;
    virtual bool pm(const char *text, const char *nick, const char *from, const char *shown) = 0;
    virtual bool stop_hub(long code, long delay) = 0;
};

} // namespace vhpy_verlihub

#endif
