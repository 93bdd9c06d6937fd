// fake_hub.h - a hub in the adapter's terms that has no network: it writes down what it is
// asked for and answers from what a test put into it.
#ifndef FAKE_HUB_H
#define FAKE_HUB_H

#include <cstdio>
#include <cstdlib>
#include <map>
#include <sstream>
#include <stdexcept>
#include <string>
#include <strings.h>
#include <vector>

#include "hub.h"
#include "scripts.h"

#define CHECK(condition)                                                                                              \
    do {                                                                                                              \
        if (!(condition))                                                                                             \
            failed(__FILE__, __LINE__, #condition);                                                                   \
    } while (0)

#define CHECK_EQUAL(have, want)                                                                                       \
    do {                                                                                                              \
        std::ostringstream have_, want_;                                                                              \
        have_ << (have);                                                                                              \
        want_ << (want);                                                                                              \
        if (have_.str() != want_.str())                                                                               \
            failed(__FILE__, __LINE__, #have " is \"" + have_.str() + "\", not \"" + want_.str() + "\"");             \
    } while (0)

[[noreturn]] inline void failed(const char *file, int line, const std::string &what)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
    exit(1);
}

class FakeHub final : public vhpy_verlihub::Hub {
public:
    explicit FakeHub(std::string folder) : folder(std::move(folder)) {}

    // What a test looks at and sets.
    std::string folder, bot = "Bot", room = "OpChat", charset = "cp1252", about;
    long step_delay = -1;
    std::vector<std::string> calls, logged, sent, replies;
    std::map<std::string, std::string> settings;
    std::map<vhpy_verlihub::Connection, std::optional<std::string>> connections;
    std::vector<std::pair<vhpy_verlihub::Connection, long>> menus; // whose clients have them, and their classes
    unsigned woken = 0;
    bool refuses = false; // every function fails
    vhpy_verlihub::Scripts *scripts = nullptr;

    bool has_logged(const std::string &text) const
    {
        for (const std::string &line : logged)
            if (line.find(text) != std::string::npos)
                return true;
        return false;
    }

    std::string bot_name() override { return bot; }
    std::string op_chat_name() override { return room; }
    std::string config_folder() override { return folder; }
    std::string config_name() override { return "config"; }
    std::string encoding() override { return charset; }
    long start_time() override { return 1234567890; }

    void log(int level, const std::string &line) override { logged.push_back(std::to_string(level) + " " + line); }
    void send(vhpy_verlihub::Connection, const std::string &data) override { sent.push_back(data); }
    void reply(vhpy_verlihub::Connection, const std::string &text, bool in_pm) override
    {
        replies.push_back((in_pm ? "PM: " : "") + text);
    }
    void set_step_delay(long milliseconds) override { step_delay = milliseconds; }
    void wake() override { woken++; }
    // A test's connections are nicks.
    std::optional<std::string> nick_of(vhpy_verlihub::Connection of) override { return connections[of]; }
    bool is_same_nick(const std::string &one, const char *other) override { return !strcasecmp(one.c_str(), other); }
    bool is_online(const char *nick) override { return is_same_nick("op", nick) || is_same_nick("user", nick); }
    bool is_robot(const char *nick) override { return is(nick, "R"); }
    bool may_kick(const char *op, const char *nick) override { return is(op, "op") && is_online(nick); }
    bool has_menus(vhpy_verlihub::Connection connection) override
    {
        for (const auto &[one, rank] : menus)
            if (one == connection)
                return true;
        return false;
    }
    std::vector<std::pair<vhpy_verlihub::Connection, long>> with_menus() override { return menus; }

    bool send_to_op_chat(const char *text, const char *from) override { return note("send_to_op_chat", text, from); }
    bool send_to_active(const char *data, long delay) override { return note("send_to_active", data, delay); }
    bool send_to_passive(const char *data, long delay) override { return note("send_to_passive", data, delay); }
    bool send_to_active_class(const char *data, long min, long max, long delay) override
    {
        return note("send_to_active_class", data, min, max, delay);
    }
    bool send_to_passive_class(const char *data, long min, long max, long delay) override
    {
        return note("send_to_passive_class", data, min, max, delay);
    }
    bool send_to_user(const char *data, const char *nick, long delay) override
    {
        return note("send_to_user", data, nick, delay);
    }
    bool send_to_all(const char *data, long min, long max, long delay) override
    {
        return note("send_to_all", data, min, max, delay);
    }
    bool send_pm_to_all(const char *text, const char *from, long min, long max) override
    {
        return note("send_pm_to_all", text, from, min, max);
    }
    bool close_connection(const char *nick, long delay, long reason) override
    {
        return note("close_connection", nick, delay, reason);
    }
    std::optional<vhpy_verlihub::MyInfo> my_info(const char *nick) override
    {
        if (!note("my_info", nick) || is(nick, "nobody"))
            return std::nullopt;
        return vhpy_verlihub::MyInfo{nick, "desc", "<tag>", "100\x01", "a@b", "1234"};
    }
    bool set_my_info(const char *nick, const char *desc, const char *tag, const char *speed, const char *mail,
                     const char *size) override
    {
        return note("set_my_info", nick, desc, tag, speed, mail, size);
    }
    long user_class(const char *nick) override { return is(nick, "op") ? 3 : is(nick, "user") ? 0 : -2; }
    std::optional<std::string> user_host(const char *nick) override { return maybe("user_host", nick); }
    std::optional<std::string> user_ip(const char *nick) override { return maybe("user_ip", nick); }
    bool set_user_ip(const char *nick, const char *ip) override { return note("set_user_ip", nick, ip); }
    bool set_flag(const char *nick, long flag) override { return note("set_flag", nick, flag); }
    bool unset_flag(const char *nick, long flag) override { return note("unset_flag", nick, flag); }
    std::optional<std::string> user_hub_url(const char *nick) override { return maybe("user_hub_url", nick); }
    std::optional<std::string> user_ext_json(const char *nick) override { return maybe("user_ext_json", nick); }
    std::optional<std::string> user_country_code(const char *nick) override { return maybe("user_cc", nick); }
    std::optional<std::string> ip_country_code(const char *ip) override { return maybe("ip_cc", ip); }
    std::optional<std::string> ip_country(const char *ip) override { return maybe("ip_country", ip); }
    std::optional<std::string> ip_asn(const char *ip, const char *database) override
    {
        if (!note("ip_asn", ip, database))
            return std::nullopt;
        return "AS1";
    }
    std::optional<vhpy_verlihub::Place> ip_place(const char *ip, const char *database) override
    {
        if (!note("ip_place", ip, database) || is(ip, "nobody"))
            return std::nullopt;
        vhpy_verlihub::Place place;
        place.latitude = 64.125;
        place.longitude = -21.5;
        place.metro_code = 7;
        place.texts = {{"host", ip}, {"city", "Reykjav\xedk"}};
        return place;
    }
    std::optional<vhpy_verlihub::Table> users(const char *fields) override
    {
        note("users", fields);
        return vhpy_verlihub::Table{2, {"op", "3", "Bot", std::nullopt}};
    }
    std::string nick_list() override { return "$NickList op$$user$$"; }
    std::string op_list() override { return "$OpList op$$"; }
    std::string bot_list() override { return "$BotList Bot$$"; }
    bool add_reg_user(const char *nick, long rank, const char *password, const char *op) override
    {
        return note("add_reg_user", nick, rank, password, op);
    }
    bool del_reg_user(const char *nick) override { return note("del_reg_user", nick); }
    bool set_reg_class(const char *nick, long rank) override { return note("set_reg_class", nick, rank); }
    bool ban(const char *op, const char *nick, const char *reason, long seconds, long type) override
    {
        return note("ban", op, nick, reason, seconds, type);
    }
    bool kick(const char *op, const char *nick, const char *reason, const char *address, const char *note_op,
              const char *note_user) override
    {
        return note("kick", op, nick, reason, address, note_op, note_user);
    }
    bool del_nick_temp_ban(const char *nick) override { return note("del_nick_temp_ban", nick); }
    bool del_ip_temp_ban(const char *ip) override { return note("del_ip_temp_ban", ip); }
    // As a hub does: the command comes back as an event, and a kick raises one.
    bool parse_command(const char *nick, const char *command, long in_pm) override
    {
        if (!note("parse_command", nick, command, in_pm))
            return false;
        scripts->command({this, nick, command, 10, in_pm != 0}, 5);
        return true;
    }
    bool script_command(const std::string &source, const char *command, const char *data, long immediate) override
    {
        const bool done = note("script_command", source.substr(folder.size()).c_str(), command, data, immediate);
        if (done && immediate)
            scripts->script_command(command, data, "python", source);
        return done;
    }
    bool set_config(const char *file, const char *variable, const char *value) override
    {
        if (refuses)
            return false;
        const std::string name = std::string(file ? file : "config") + "." + variable;
        if (scripts && !scripts->set_config(nullptr, bot, file ? file : "config", variable, value, settings[name], 12))
            return false;
        settings[name] = value;
        return true;
    }
    std::optional<std::string> config(const char *file, const char *variable, const char *fallback) override
    {
        const auto found = settings.find(std::string(file ? file : "config") + "." + variable);
        if (refuses)
            return std::nullopt;
        if (found != settings.end())
            return found->second;
        if (!fallback)
            return std::nullopt;
        return fallback;
    }
    long is_robot_nick_bad(const char *nick) override { return is(nick, "bad") ? 3 : 0; }
    bool add_robot(const char *nick, long rank, const char *desc, const char *speed, const char *mail,
                   const char *share) override
    {
        return note("add_robot", nick, rank, desc, speed, mail, share);
    }
    bool del_robot(const char *nick) override { return note("del_robot", nick); }
    std::optional<vhpy_verlihub::Table> sql(const char *query, long limit) override
    {
        if (!note("sql", query, limit) || is(query, "bad"))
            return std::nullopt;
        if (is(query, "throw"))
            throw "a text, as Verlihub does";
        vhpy_verlihub::Table table;
        table.columns = 2;
        if (!is(query, "empty"))
            table.cells = {"one", "1", std::nullopt, "2"};
        return table;
    }
    double frequency() override { return 12.5; }
    long users_count() override { return 2; }
    std::string total_share() override { return "12345678901234567890"; }
    std::optional<long> restrictions(const char *nick, const char *chat, const char *pm, const char *search,
                                     const char *ctm) override
    {
        if (!note("restrictions", nick, chat, pm, search, ctm) || is(nick, "nobody"))
            return std::nullopt;
        return 9;
    }
    std::string topic(const char *topic) override { return topic ? about = topic : about; }
    bool chat_to_all(const char *text, const char *from) override { return note("chat_to_all", text, from); }
    bool chat_to_user(const char *text, const char *nick, const char *from) override
    {
        return note("chat_to_user", text, nick, from);
    }
    bool chat_to_class(const char *text, long min, long max, const char *from) override
    {
        return note("chat_to_class", text, min, max, from);
    }
    bool pm(const char *text, const char *nick, const char *from, const char *shown) override
    {
        return note("pm", text, nick, from, shown);
    }
    bool stop_hub(long code, long delay) override { return note("stop_hub", code, delay); }

private:
    static bool is(const char *text, const char *other) { return text && std::string(text) == other; }
    static std::string show(const char *text) { return text ? text : "NULL"; }
    static std::string show(long number) { return std::to_string(number); }

    template <class... A> bool note(const std::string &name, A... args)
    {
        std::string line = name;
        ((line += " " + show(args)), ...);
        calls.push_back(line);
        return !refuses;
    }

    std::optional<std::string> maybe(const char *name, const char *of)
    {
        if (!note(name, of) || is(of, "nobody"))
            return std::nullopt;
        return name;
    }
};

#endif
