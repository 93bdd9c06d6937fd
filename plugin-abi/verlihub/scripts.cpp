// scripts.cpp - the hub's thread in the library: options in, events in, verdicts and the
// console's answers out.
//
// Copyright: the vhpy authors. License: GPL-3.0-or-later.
#include "scripts.h"

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <strings.h>
#include <sys/stat.h>
#include <thread>
#include <vector>

#include "callbacks.h"

namespace vhpy_verlihub {
namespace {

// What operators may set as pi_python.*: the library's options of the same names.
std::vector<const char *> options()
{
    std::vector<const char *> names;
    while (const char *name = vhpy_option_name(int(names.size())))
        names.push_back(name);
    return names;
}

// And one of ours, in milliseconds: how long the hub's loop sleeps in every turn while this
// plugin is loaded; empty leaves it as the hub is configured.
constexpr char STEP_DELAY[] = "step_delay";
constexpr char STEP_DELAY_DEFAULT[] = "1";

bool is_option(const std::string &name)
{
    for (const char *known : options())
        if (name == known)
            return true;
    return false;
}

std::string option_names()
{
    std::string names = STEP_DELAY;
    for (const char *known : options())
        names.append(", ").append(known);
    return names;
}

// Text from the library, which is freed.
std::optional<std::string> take(char *text)
{
    if (!text)
        return std::nullopt;
    std::string copy(text);
    vhpy_free(text);
    return copy;
}

// What a text of scripts becomes a part of.
enum class PartOf { speech, name, my_info };

// In a message nothing may begin another, and no name may end before its end.
std::string harmless(const char *text, PartOf what)
{
    std::string plain;
    for (; *text; text++) {
        if (what == PartOf::name && strchr("$|<>\r\n", *text))
            plain += '_';
        else if (*text == '|')
            plain += "&#124;";
        else if (what == PartOf::my_info && *text == '$')
            plain += "&#36;";
        else
            plain += *text;
    }
    return plain;
}

std::string lines_of_hub(const std::string &utf8)
{
    const std::string text = take(vhpy_to_hub(utf8.c_str())).value_or("");
    std::string lines;
    for (const char letter : harmless(text.c_str(), PartOf::speech)) {
        if (letter == '\n')
            lines += '\r';
        lines += letter;
    }
    return lines;
}

// Takes all entries of hubs out of a client's menu: single ones cannot be.
constexpr char NO_MENU[] = "$UserCommand 255 1|";

// What makes one menu of entries another.
std::string change_of_menu(const std::string &before, const std::string &now)
{
    const auto missing = [](const std::string &from, const std::string &in) {
        std::string lines;
        for (size_t at = 0, end; (end = from.find('|', at)) != std::string::npos; at = end + 1) {
            const std::string line = from.substr(at, end + 1 - at);
            if (("|" + in).find("|" + line) == std::string::npos)
                lines += line;
        }
        return lines;
    };
    return missing(before, now).empty() ? missing(now, before) : NO_MENU + now;
}

// The hub's patterns are anchored at their start only: "!plugoutPython" is a command, too.
bool unloads_plugins(const std::string &line)
{
    for (const char *word : {"plugout", "plugreload", "offplug", "replug", "delplug"})
        if (line.size() > 1 && !strncasecmp(line.c_str() + 1, word, strlen(word)))
            return true;
    return false;
}

// Lines for the log, from any thread, until the hub's thread comes by. Never destroyed: the
// hub may exit while threads log.
struct Backlog {
    std::mutex lock;
    std::vector<std::pair<int, std::string>> lines;
    std::atomic<bool> any{false};
    std::thread::id hub_thread;
    std::atomic<Hub *> hub{nullptr};
};

Backlog &backlog()
{
    static Backlog *const only = new Backlog;
    return *only;
}

constexpr size_t BACKLOG_LINES = 1000;

// What the first lines of a script, and UnLoad, may do is what they may in this event: a command
// may be what loads and unloads them.
constexpr int LOADING = W_OnOperatorCommand;

extern "C" void log_line(void *, int level, const char *line)
{
    Backlog &log = backlog();
    try {
        Hub *hub = log.hub;
        if (hub && std::this_thread::get_id() == log.hub_thread) {
            hub->log(level, line);
            return;
        }
        const std::lock_guard<std::mutex> guard(log.lock);
        if (log.lines.size() < BACKLOG_LINES)
            log.lines.emplace_back(level, line);
        log.any = true;
    } catch (...) {
        // A line is lost for want of memory.
    }
}

} // namespace

Scripts::Scripts(Hub &hub) : hub_(hub), waiting_(hub) {}

Scripts::~Scripts()
{
    end(0);
}

bool Scripts::begin()
{
    const Waiting::Event command(waiting_, LOADING);
    try {
        backlog().hub_thread = std::this_thread::get_id();
        backlog().hub = &hub_;
        vhpy_set_log(log_line, nullptr);
        set_options();
        if (!w_Begin(callbacks(hub_, waiting_))) {
            hub_.set_step_delay(-1);
            hub_.log(0, std::string("Python scripts cannot run: ") + vhpy_last_error());
            return false;
        }
        running_ = true;
        vhpy_set_done(is_done, this);
        const std::string folder = hub_.config_folder() + "/scripts";
        mkdir(folder.c_str(), 0755);
        vhpy_load_all(folder.c_str());
        hub_.set_step_delay(step_delay_);
    } catch (const std::exception &error) {
        hub_.log(0, std::string("Python scripts cannot run: ") + error.what());
    }
    return running_;
}

void Scripts::end(long code)
{
    if (running_) {
        {
            const Waiting::Event command(waiting_, LOADING);
            raise(W_OnUnLoad, nullptr, code);
            running_ = false;
            w_End();
            commands_ = 0;
            has_other_commands_ = false;
            for (const auto &[connection, rank] : hub_.with_menus())
                if (!menus_[rank].empty())
                    hub_.send(connection, NO_MENU);
            menus_.clear();
        }
        waiting_.run_at_end();
        askers_.clear();
        hub_.set_step_delay(-1);
    }
    if (backlog().hub == &hub_) {
        write_log();
        vhpy_set_log(nullptr, nullptr);
        backlog().hub = nullptr;
    }
}

bool Scripts::inside() const
{
    return waiting_.busy() || callback_depth() > 0;
}

// ---------------------------------------------------------------- events

Answer Scripts::raise_values(int hook, Connection connection, const w_Telement *values, size_t count)
{
    vhpy_verdict verdict;
    Answer answer;
    {
        const Waiting::Event event(waiting_, hook, connection, values, count);
        answer.go_on = vhpy_event(hook, values, count, &verdict) != 0;
    }
    try {
        answer.replaced = verdict.replaces != 0;
        for (size_t at = 0; at < answer.parts.size(); at++)
            if (verdict.parts[at])
                answer.parts[at] = harmless(verdict.parts[at], verdict.replaces == 2 ? PartOf::my_info
                                                               : at == 0             ? PartOf::name
                                                                                     : PartOf::speech);
        if (verdict.send && connection)
            hub_.send(connection, std::string(verdict.send, verdict.send_length));
        if (backlog().any)
            write_log();
    } catch (const std::exception &error) {
        hub_.log(0, std::string("an answer of a script is lost: ") + error.what());
    }
    vhpy_verdict_free(&verdict);
    return answer;
}

void Scripts::script_command(const std::string &command, const std::string &data, const std::string &plugin,
                             const std::string &script)
{
    if (!running_)
        return;
    if (plugin.empty() && script.empty()) {
        if (command == "_hub_security_change")
            vhpy_set_names((bot_ = data).c_str(), nullptr);
        else if (command == "_opchat_name_change")
            vhpy_set_names(nullptr, (op_chat_ = data).c_str());
    }
    raise(W_OnScriptCommand, nullptr, command, data, plugin, script);
}

void Scripts::tick(double now)
{
    if (!running_)
        return;
    serve();
    // A reload of the hub's configuration raises no events.
    hub_.set_step_delay(step_delay_);
    follow_names();
    follow_encoding();
    follow_commands();
    raise(W_OnTimer, nullptr, now);
}

void Scripts::greet(Connection connection, long rank)
{
    if (running_ && hub_.has_menus(connection) && !menu(rank).empty())
        hub_.send(connection, menu(rank));
}

void Scripts::serve()
{
    waiting_.run();
    if (running_)
        vhpy_serve();
    if (backlog().any)
        write_log();
}

int Scripts::load(const std::string &file)
{
    const Waiting::Event command(waiting_, LOADING);
    return running_ ? vhpy_load(file.c_str()) : -1;
}

bool Scripts::unload(const std::string &file)
{
    const Waiting::Event command(waiting_, LOADING);
    const int id = running_ ? vhpy_find(file.c_str()) : -1;
    return id >= 0 && w_Unload(id);
}

bool Scripts::is_loaded(const std::string &file)
{
    return running_ && vhpy_find(file.c_str()) >= 0;
}

void Scripts::follow_names()
{
    std::string bot = hub_.bot_name(), op_chat = hub_.op_chat_name();
    if (bot == bot_ && op_chat == op_chat_)
        return;
    bot_ = std::move(bot);
    op_chat_ = std::move(op_chat);
    vhpy_set_names(bot_.c_str(), op_chat_.c_str());
}

// A script's process keeps the encoding it was started with.
void Scripts::follow_encoding()
{
    const std::string encoding = hub_.encoding();
    if (encoding == encoding_)
        return;
    encoding_ = encoding;
    set_option("encoding", encoding);
    hub_.log(1, "the hub's encoding is now " + encoding + ": scripts are loaded again");
    vhpy_free(vhpy_console("pyreload"));
}

void Scripts::follow_commands()
{
    const unsigned long long commands = vhpy_menu(0, nullptr);
    if (commands == commands_)
        return;
    // A script that is loaded anew has them again by the next time.
    has_other_commands_ = !has_other_commands_;
    if (has_other_commands_)
        return;
    commands_ = commands;
    std::map<long, std::string> before;
    before.swap(menus_);
    for (const auto &[connection, rank] : hub_.with_menus()) {
        const std::string change = change_of_menu(before[rank], menu(rank));
        if (!change.empty())
            hub_.send(connection, change);
    }
}

const std::string &Scripts::menu(long rank)
{
    const auto [known, is_new] = menus_.try_emplace(rank);
    char *entries = nullptr;
    if (is_new && vhpy_menu(int(rank), &entries))
        known->second = take(entries).value_or("");
    return known->second;
}

void Scripts::write_log()
{
    std::vector<std::pair<int, std::string>> lines;
    {
        const std::lock_guard<std::mutex> guard(backlog().lock);
        lines.swap(backlog().lines);
        backlog().any = false;
    }
    for (const auto &[level, line] : lines)
        hub_.log(level, line);
}

// ---------------------------------------------------------------- operators

bool Scripts::command(const Command &command, long trusted)
{
    constexpr long OPERATOR = 3;
    if (!running_ || command.line.empty())
        return true;
    if (inside() && unloads_plugins(command.line)) {
        hub_.reply(command.connection, "A Python script cannot unload plugins.", command.in_pm);
        return false;
    }
    if (command.rank >= OPERATOR && vhpy_is_command(command.line.c_str())) {
        if (command.rank >= trusted)
            run_console(command);
        else
            hub_.reply(command.connection, "You have no rights to do this.", command.in_pm);
        return false;
    }
    if (!wants(W_OnHubCommand))
        return true;
    const std::string prefix = command.line.substr(0, 1), rest = command.line.substr(1);
    return raise(W_OnHubCommand, command.connection, command.nick, rest, command.rank, long(command.in_pm), prefix).go_on;
}

// What takes its time is answered when it is done: the hub does not wait for it.
void Scripts::run_console(const Command &command)
{
    const std::string line = take(vhpy_from_hub(command.line.c_str())).value_or("");
    std::optional<std::string> text;
    long long ticket = -1;
    {
        const Waiting::Event event(waiting_, W_OnHubCommand, command.connection, nullptr, 0);
        text = take(vhpy_begin_console(line.c_str(), &ticket));
    }
    keep_log_level();
    const auto early = unasked_.find(ticket);
    if (early != unasked_.end())
        text = early->second;
    else if (ticket > 0)
        askers_[ticket] = {command.nick, command.in_pm};
    unasked_.clear();
    if (text || ticket <= 0)
        hub_.reply(command.connection, text ? lines_of_hub(*text) : vhpy_last_error(), command.in_pm);
}

void Scripts::is_done(void *scripts, long long ticket, int, const char *text)
{
    auto &self = *static_cast<Scripts *>(scripts);
    try {
        const auto asker = self.askers_.find(ticket);
        if (asker == self.askers_.end()) {
            self.unasked_[ticket] = text;
            return;
        }
        self.answer(asker->second, lines_of_hub(text));
        self.askers_.erase(asker);
    } catch (const std::exception &error) {
        self.hub_.log(0, std::string("the answer to a command is lost: ") + error.what());
    }
}

// From the hub's loop: it may be done in the middle of anything.
void Scripts::answer(const Asker &asker, const std::string &text)
{
    waiting_.add(Kind::other, nullptr, [this, asker, text] {
        if (asker.in_pm)
            hub_.pm(text.c_str(), asker.nick.c_str(), nullptr, nullptr);
        else
            hub_.chat_to_user(text.c_str(), asker.nick.c_str(), nullptr);
    });
}

// !pylog sets it in the library; the hub keeps it for the next start.
void Scripts::keep_log_level()
{
    const std::string level = take(vhpy_option("log_level")).value_or(log_level_);
    if (level == log_level_)
        return;
    log_level_ = level;
    hub_.set_config(CONFIG_FILE, "log_level", level.c_str());
}

// ---------------------------------------------------------------- options

void Scripts::set_options()
{
    const std::string folder = hub_.config_folder();
    bot_ = hub_.bot_name();
    op_chat_ = hub_.op_chat_name();
    set_option("scripts_dir", folder + "/scripts");
    set_option("store_dir", folder + "/store");
    set_option("basedir", folder);
    set_option("config_name", hub_.config_name());
    set_option("starttime", std::to_string(hub_.start_time()));
    set_option("botname", bot_);
    set_option("opchatname", op_chat_);
    encoding_ = hub_.encoding(); // Python knows the hub's names of encodings
    set_option("encoding", encoding_);
    // What is not in the hub's configuration is put there, for operators to see.
    for (const char *name : options()) {
        const std::optional<std::string> value = hub_.config(CONFIG_FILE, name, nullptr);
        if (!value)
            hub_.set_config(CONFIG_FILE, name, take(vhpy_option(name)).value_or("").c_str());
        else
            set_option(name, *value);
    }
    log_level_ = take(vhpy_option("log_level")).value_or("");
    const std::optional<std::string> delay = hub_.config(CONFIG_FILE, STEP_DELAY, nullptr);
    if (!delay)
        hub_.set_config(CONFIG_FILE, STEP_DELAY, STEP_DELAY_DEFAULT);
    set_own_option(nullptr, STEP_DELAY, delay.value_or(STEP_DELAY_DEFAULT));
}

// A failure is in the log.
bool Scripts::set_option(const std::string &name, const std::string &value)
{
    return vhpy_set_option(name.c_str(), value.c_str()) != 0;
}

bool Scripts::set_config(Connection connection, const std::string &nick, const std::string &file,
                         const std::string &variable, const std::string &value, const std::string &old, long type)
{
    if (!running_)
        return true;
    if (!raise(W_OnSetConfig, connection, nick, file, variable, value, old, type).go_on)
        return false;
    return file != CONFIG_FILE || set_own_option(connection, variable, value);
}

bool Scripts::set_own_option(Connection connection, const std::string &variable, const std::string &value)
{
    std::string reason;
    if (variable == STEP_DELAY) {
        char *end = nullptr;
        const long delay = value.empty() ? -1 : strtol(value.c_str(), &end, 10);
        if (value.empty() || (*end == '\0' && delay >= 0 && delay <= 1000)) {
            hub_.set_step_delay(step_delay_ = delay);
            return true;
        }
        reason = "the option step_delay must be a number of milliseconds up to 1000, or empty";
    } else if (!is_option(variable)) {
        reason = "there is no option " + variable + "; there are " + option_names();
    } else if (set_option(variable, value)) {
        if (variable == "log_level")
            log_level_ = take(vhpy_option("log_level")).value_or("");
        return true;
    } else {
        reason = vhpy_last_error();
    }
    if (connection)
        hub_.reply(connection, lines_of_hub(reason), false);
    else
        hub_.log(0, reason);
    return false;
}

} // namespace vhpy_verlihub
