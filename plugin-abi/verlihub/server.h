// server.h - a Hub that is Verlihub's server object.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#ifndef VHPY_VERLIHUB_SERVER_H
#define VHPY_VERLIHUB_SERVER_H

#include <list>

#include "doorbell.h"
#include "hub.h"
#include "verlihub.h"

namespace vhpy_verlihub {

// A MyINFO's fields by the hub's own parser; nothing when it is none.
std::optional<MyInfo> split_my_info(nVerliHub::nProtocol::cMessageDC &message);

// Puts the parts into a message of the hub, which treats it as its client's own from here on.
void rewrite(nVerliHub::nProtocol::cMessageDC &message, const std::string &text);

class Server final : public Hub {
public:
    // The plugin owns the scripts' robots.
    Server(nVerliHub::nSocket::cServerDC &server, nVerliHub::nPlugin::cVHPlugin &plugin)
        : server_(server), plugin_(plugin), configured_delay_(server.mStepDelay)
    {
    }

    // The strings of immediate script commands outlive the hub's whole round of plugins: it
    // hands on pointers, and a nested command replaces those of the outer one. Once no round
    // is under way they can go.
    void forget_script_commands() { sent_commands_.clear(); }

    // Readable when the scripts are to be served.
    Doorbell &doorbell() { return doorbell_; }

    std::string bot_name() override;
    std::string op_chat_name() override;
    std::string config_folder() override;
    std::string config_name() override;
    std::string encoding() override;
    long start_time() override;

    void log(int level, const std::string &line) override;
    void send(Connection to, const std::string &data) override;
    void reply(Connection to, const std::string &text, bool in_pm) override;
    void set_step_delay(long milliseconds) override;
    void wake() override { doorbell_.ring(); }
    std::optional<std::string> nick_of(Connection connection) override;
    bool is_same_nick(const std::string &one, const char *other) override;
    bool is_online(const char *nick) override;
    bool is_robot(const char *nick) override;
    bool may_kick(const char *op, const char *nick) override;
    bool has_menus(Connection connection) override;
    std::vector<std::pair<Connection, long>> with_menus() override;

    bool send_to_op_chat(const char *text, const char *from) override;
    bool send_to_active(const char *data, long delay) override;
    bool send_to_passive(const char *data, long delay) override;
    bool send_to_active_class(const char *data, long min, long max, long delay) override;
    bool send_to_passive_class(const char *data, long min, long max, long delay) override;
    bool send_to_user(const char *data, const char *nick, long delay) override;
    bool send_to_all(const char *data, long min, long max, long delay) override;
    bool send_pm_to_all(const char *text, const char *from, long min, long max) override;
    bool close_connection(const char *nick, long delay, long reason) override;
    std::optional<MyInfo> my_info(const char *nick) override;
    bool set_my_info(const char *nick, const char *desc, const char *tag, const char *speed, const char *mail,
                     const char *size) override;
    long user_class(const char *nick) override;
    std::optional<std::string> user_host(const char *nick) override;
    std::optional<std::string> user_ip(const char *nick) override;
    bool set_user_ip(const char *nick, const char *ip) override;
    bool set_flag(const char *nick, long flag) override;
    bool unset_flag(const char *nick, long flag) override;
    std::optional<std::string> user_hub_url(const char *nick) override;
    std::optional<std::string> user_ext_json(const char *nick) override;
    std::optional<std::string> user_country_code(const char *nick) override;
    std::optional<std::string> ip_country_code(const char *ip) override;
    std::optional<std::string> ip_country(const char *ip) override;
    std::optional<std::string> ip_asn(const char *ip, const char *database) override;
    std::optional<Place> ip_place(const char *ip, const char *database) override;
    std::optional<Table> users(const char *fields) override;
    std::string nick_list() override;
    std::string op_list() override;
    std::string bot_list() override;
    bool add_reg_user(const char *nick, long rank, const char *password, const char *op) override;
    bool del_reg_user(const char *nick) override;
    bool set_reg_class(const char *nick, long rank) override;
    bool ban(const char *op, const char *nick, const char *reason, long seconds, long type) override;
    bool kick(const char *op, const char *nick, const char *reason, const char *address, const char *note_op,
              const char *note_user) override;
    bool del_nick_temp_ban(const char *nick) override;
    bool del_ip_temp_ban(const char *ip) override;
    bool parse_command(const char *nick, const char *command, long in_pm) override;
    bool script_command(const std::string &source, const char *command, const char *data, long immediate) override;
    bool set_config(const char *file, const char *variable, const char *value) override;
    std::optional<std::string> config(const char *file, const char *variable, const char *fallback) override;
    long is_robot_nick_bad(const char *nick) override;
    bool add_robot(const char *nick, long rank, const char *desc, const char *speed, const char *mail,
                   const char *share) override;
    bool del_robot(const char *nick) override;
    std::optional<Table> sql(const char *query, long limit) override;
    double frequency() override;
    long users_count() override;
    std::string total_share() override;
    std::optional<long> restrictions(const char *nick, const char *chat, const char *pm, const char *search,
                                     const char *ctm) override;
    std::string topic(const char *topic) override;
    bool chat_to_all(const char *text, const char *from) override;
    bool chat_to_user(const char *text, const char *nick, const char *from) override;
    bool chat_to_class(const char *text, long min, long max, const char *from) override;
    bool pm(const char *text, const char *nick, const char *from, const char *shown) override;
    bool stop_hub(long code, long delay) override;

private:
    nVerliHub::cUser *user(const char *nick);
    nVerliHub::cUser *online(const char *nick); // with a connection
    std::vector<std::string> nicks(); // of the user list
    std::string file(const char *name);
    std::string name_or_bot(const char *name);
    bool to_chat(const char *text, long min, long max, const char *from);
    void show_my_info(nVerliHub::cUser &user, std::string &info);

    nVerliHub::nSocket::cServerDC &server_;
    nVerliHub::nPlugin::cVHPlugin &plugin_;
    unsigned configured_delay_; // the hub's step delay without us
    long own_delay_ = -1;
    std::list<std::string> sent_commands_;
    Doorbell doorbell_;
};

} // namespace vhpy_verlihub

#endif
