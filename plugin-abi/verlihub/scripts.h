// scripts.h - the scripts of one hub: starting and ending them, events, the operators'
// commands, the options that operators set; how the hub comes to call these methods is the
// hub's side's matter (plugin.cpp).
//
// All on the hub's thread. No method throws.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#ifndef VHPY_VERLIHUB_SCRIPTS_H
#define VHPY_VERLIHUB_SCRIPTS_H

#include <array>
#include <map>
#include <optional>
#include <string>

#include "hub.h"
#include "vhpy.h"
#include "waiting.h"

namespace vhpy_verlihub {

// The file in the hub's configuration under which operators set options.
inline constexpr char CONFIG_FILE[] = "pi_python";

// What all scripts together want done with an event.
struct Answer {
    bool go_on = true;
    // Of chat: nick and message; of MyINFO: desc, tag, speed, mail, size. What is not there
    // stays as it was. Nothing in them ends or splits a protocol message.
    bool replaced = false;
    std::array<std::optional<std::string>, 5> parts;

    std::string part(size_t at, const std::string &original) const
    {
        return parts[at] ? *parts[at] : original;
    }
};

// An event's argument.
inline w_Telement element(const std::string &text)
{
    w_Telement value;
    value.type = 's';
    value.s = const_cast<char *>(text.c_str());
    return value;
}

inline w_Telement element(long number)
{
    w_Telement value;
    value.type = 'l';
    value.l = number;
    return value;
}

inline w_Telement element(double number)
{
    w_Telement value;
    value.type = 'd';
    value.d = number;
    return value;
}

// Who gave a command, and where.
struct Command {
    Connection connection;
    const std::string &nick;
    const std::string &line; // with its prefix
    long rank;
    bool in_pm;
};

class Scripts {
public:
    // The hub must outlive this.
    explicit Scripts(Hub &hub);
    ~Scripts();
    Scripts(const Scripts &) = delete;
    Scripts &operator=(const Scripts &) = delete;

    // Starts with the hub's options and loads the scripts folder. False, with the reason in
    // the log, when scripts cannot run; every other method is then harmless.
    bool begin();

    // Raises OnUnLoad, unloads all scripts and waits for their processes' end. Again: nothing.
    void end(long code);

    bool running() const { return running_; }

    // Whether any script defines a hook.
    bool wants(int hook) const { return running_ && vhpy_wants(hook); }

    // An event for all scripts. What they send goes to the connection.
    template <class... A> Answer raise(int hook, Connection connection, const A &...args)
    {
        if (!wants(hook))
            return {};
        const w_Telement values[] = {element(args)...};
        return raise_values(hook, connection, values, sizeof...(A));
    }

    // Hook 32, and our own commands before it, so that no script can keep them from an
    // operator: of commands from operators those of rank `trusted` and above may give them.
    // False: handled.
    bool command(const Command &command, long trusted);

    // Hook 33; the names of the hub's bots arrive by it.
    void script_command(const std::string &command, const std::string &data, const std::string &plugin,
                        const std::string &script);

    // Hook 40; our options are changed by it. False: keep the old value.
    bool set_config(Connection connection, const std::string &nick, const std::string &file,
                    const std::string &variable, const std::string &value, const std::string &old, long type);

    // Once a second: hook 37, and what the hub does not tell.
    void tick(double now);

    // A user is in the list: their client gets the menu of the scripts' commands, if it has menus.
    void greet(Connection connection, long rank);

    // The scripts want to be visited: vhpy_poll_fd is readable, or the hub was asked to wake. To
    // be called from the hub's loop, where nothing of it is under way.
    void serve();

    // Whether a script has had this user's connection ended, which will happen when the hub is
    // back in its loop: what they say until then is not for others.
    bool is_leaving(const std::string &nick) { return waiting_.is_leaving(nick); }

    // A command that loads or unloads one script; -1 or false, with the reason in vhpy_last_error.
    int load(const std::string &file);
    bool unload(const std::string &file);
    bool is_loaded(const std::string &file);

    // Whether scripts' frames lie below: the plugin must not be unloaded now.
    bool inside() const;

private:
    // Who gave a command that takes its time, and where: the connection may be gone by then.
    struct Asker {
        std::string nick;
        bool in_pm;
    };

    Answer raise_values(int hook, Connection connection, const w_Telement *values, size_t count);
    void set_options();
    bool set_option(const std::string &name, const std::string &value);
    bool set_own_option(Connection connection, const std::string &variable, const std::string &value);
    void follow_names();
    void follow_encoding();
    void follow_commands();
    const std::string &menu(long rank);
    void keep_log_level();
    void run_console(const Command &command);
    static void is_done(void *scripts, long long ticket, int id, const char *text);
    void answer(const Asker &asker, const std::string &text);
    void write_log();

    Hub &hub_;
    bool running_ = false;
    Waiting waiting_;
    std::map<long long, Asker> askers_;        // by the commands' tickets
    std::map<long long, std::string> unasked_; // answers that came before their tickets
    long step_delay_ = -1;
    std::string encoding_, bot_, op_chat_, log_level_;
    // Of which commands the menus are, and whether there are others by now.
    unsigned long long commands_ = 0;
    bool has_other_commands_ = false;
    std::map<long, std::string> menus_; // what clients were sent, by class
};

} // namespace vhpy_verlihub

#endif
