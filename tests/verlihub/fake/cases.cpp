// cases.cpp - the adapter's translation with a fake hub: everything of libpython_pi.so but
// what needs Verlihub's classes.
//
//     cases NAME FOLDER      with fake.py in FOLDER/scripts
#include <fstream>
#include <functional>
#include <poll.h>

#include "fake_hub.h"

using namespace vhpy_verlihub;

namespace {

// A hub with its scripts.
struct Both {
    FakeHub hub;
    Scripts scripts{hub};

    explicit Both(const std::string &folder) : hub(folder)
    {
        hub.scripts = &scripts;
        // A busy machine must not miss it.
        hub.settings["pi_python.hook_timeout"] = "60";
    }
    ~Both() { hub.scripts = nullptr; }

    Both &begin()
    {
        hub.scripts = nullptr; // the hub raises no events of what the adapter itself stores
        CHECK(scripts.begin());
        hub.scripts = &scripts;
        return *this;
    }

    // The text that a function of the script returns.
    std::string ask(const char *function)
    {
        w_Targs *answer = w_CallFunction(vhpy_find("fake"), function, nullptr);
        const char *text = nullptr;
        std::string copy = "nothing";
        if (answer && w_unpack(answer, "s", &text) && text)
            copy = text;
        else
            for (const std::string &line : hub.logged)
                fprintf(stderr, "    log %s\n", line.c_str());
        w_free_args(answer);
        return copy;
    }

    Answer chat(const std::string &text)
    {
        return scripts.raise(W_OnParsedMsgChat, this, std::string("user"), text);
    }

    bool command(const std::string &line, long rank, bool in_pm = false)
    {
        const std::string nick = "op";
        hub.replies.clear();
        return scripts.command({this, nick, line, rank, in_pm}, 5);
    }
};

const char *const CALLS[] = {
    "send_to_op_chat a NULL",
    "send_to_active a 1",
    "send_to_passive a 0",
    "send_to_active_class a 1 2 3",
    "send_to_passive_class a 1 2 0",
    "send_to_user a user 0",
    "send_to_all a 0 10 0",
    "send_pm_to_all a b 0 10",
    "close_connection user 5 21",
    "my_info user",
    "my_info nobody",
    "set_my_info user NULL <t> NULL NULL NULL",
    "user_host user",
    "user_host nobody",
    "user_ip user",
    "user_ip nobody",
    "set_user_ip user 1.1.1.1",
    "set_flag user 2",
    "unset_flag user 2",
    "user_hub_url user",
    "user_ext_json nobody",
    "user_cc user",
    "ip_cc 1",
    "ip_country nobody",
    "ip_asn 1 file",
    "ip_place 1 NULL",
    "ip_place nobody NULL",
    "users nick class",
    "add_reg_user new 1 pass NULL",
    "del_reg_user new",
    "set_reg_class new 3",
    "ban op user why 60 1",
    "kick op user why NULL NULL NULL",
    "del_nick_temp_ban user",
    "del_ip_temp_ban 1.2.3.4",
    "script_command /scripts/fake.py command data 0",
    "add_robot R 1 d s m 0",
    "sql select 10",
    "sql empty 100",
    "sql bad 100",
    "sql throw 100",
    "restrictions user 1d NULL NULL NULL",
    "restrictions nobody NULL NULL NULL NULL",
    "chat_to_all m NULL",
    "chat_to_user m user NULL",
    "chat_to_class m 1 10 f",
    "pm m user op shown",
    "stop_hub 1 2",
};

void calls(const std::string &folder)
{
    Both both(folder);
    both.begin();
    CHECK_EQUAL(both.ask("functions"), "all");
    size_t at = 0;
    for (const char *wanted : CALLS) {
        CHECK(at < both.hub.calls.size());
        CHECK_EQUAL(both.hub.calls[at++], wanted);
    }
    CHECK_EQUAL(both.hub.calls.size(), at);
    CHECK_EQUAL(both.hub.settings["config.hub_name"], "x");
    // Its robot goes with the script.
    w_Unload(vhpy_find("fake"));
    CHECK_EQUAL(both.hub.calls.back(), "del_robot R");
}

// A hub that refuses everything: no script is told that something was done.
void refusals(const std::string &folder)
{
    Both both(folder);
    both.begin();
    both.hub.refuses = true;
    CHECK_EQUAL(both.ask("refused"), "all");
    // Each of them has asked the hub; two are not written down.
    CHECK_EQUAL(both.hub.calls.size(), 41);
}

void events(const std::string &folder)
{
    Both both(folder);
    CHECK(both.chat("before").go_on);
    both.begin();
    CHECK_EQUAL(both.ask("names"), "Bot OpChat config 1234567890");
    Answer answer = both.chat("plain");
    CHECK(answer.go_on && !answer.replaced);
    CHECK(!both.chat("block").go_on);
    answer = both.chat("replace");
    CHECK(answer.go_on && answer.replaced);
    CHECK_EQUAL(answer.part(0, "user"), "user");
    CHECK_EQUAL(answer.part(1, "replace"), "other&#124;text");
    answer = both.chat("both");
    CHECK_EQUAL(answer.part(0, "user") + " " + answer.part(1, ""), "Other else");
    CHECK_EQUAL(both.chat("spoof").part(0, ""), "a_ b_");
    CHECK(!both.chat("send").go_on);
    CHECK_EQUAL(both.hub.sent.back(), "<Bot> you|");
    // Without a connection there is nobody to send it to.
    both.scripts.raise(W_OnParsedMsgChat, nullptr, std::string("user"), std::string("send"));
    CHECK_EQUAL(both.hub.sent.size(), 1);
    const std::string text = "x";
    answer = both.scripts.raise(W_OnFirstMyINFO, &both, text, text, text, text, text, text);
    CHECK_EQUAL(answer.part(0, "") + "," + answer.part(1, "tag") + "," + answer.part(3, "mail") + "," + answer.part(4, ""),
                "d&#124;&#36;,tag,,7");
    CHECK(!both.scripts.wants(W_OnParsedMsgSearch));
    CHECK(both.scripts.raise(W_OnParsedMsgSearch, &both, text, text).go_on);
    both.scripts.tick(12.5);
    CHECK_EQUAL(both.ask("last"), "12.5");
    both.chat("caf\xe9 \x81");
    CHECK_EQUAL(both.ask("last"), "'caf\xe9 \\udc81'");
    both.chat("nested");
    CHECK_EQUAL(both.ask("last"), "('inner', 'data')");
    CHECK(!both.scripts.inside());
    both.scripts.script_command("_hub_security_change", "Guard", "", "");
    both.scripts.script_command("_opchat_name_change", "Ops", "", "");
    both.scripts.script_command("_hub_security_change", "Fake", "python", "x.py");
    CHECK_EQUAL(both.ask("names"), "Guard Ops config 1234567890");
    both.scripts.tick(1);
    CHECK_EQUAL(both.ask("names"), "Bot OpChat config 1234567890");
}

// What reaches a hub fits into the lines that it goes into.
void grammar(const std::string &folder)
{
    Both both(folder);
    both.begin();
    CHECK_EQUAL(both.ask("lines"), "all");
    const char *const wanted[] = {
        "chat_to_all a&#124;$Quit b x_ y_",
        "pm a&#124;b user f_ s_",
        "set_my_info user a_b <_> _\x01 _@ 7",
        "add_robot R 1 d_d s m 0",
        "ban op_ user a&#124;b 2147483647 2",
        "kick op user a&#124;b host_ NULL NULL",
        "parse_command op !topic a&#124;b 0",
        "stop_hub 2147483647 2147483647",
        "send_to_user <a> b|$Quit c| user -2147483648",
    };
    for (const char *line : wanted) {
        CHECK(!both.hub.calls.empty());
        CHECK_EQUAL(both.hub.calls.front(), line);
        both.hub.calls.erase(both.hub.calls.begin());
    }
    CHECK(both.hub.calls.empty());
    CHECK(both.hub.has_logged("SetMyINFO fails: its argument 'size' must be a number of bytes, in digits"));
}

// The answer to a command that took its time, as the hub is asked to hand it on.
std::string later(Both &both)
{
    for (int turn = 0; turn < 600; turn++) {
        for (const std::string &call : both.hub.calls)
            if (call.rfind("pm ", 0) == 0 || call.rfind("chat_to_user ", 0) == 0) {
                const std::string found = call;
                both.hub.calls.clear();
                return found;
            }
        pollfd ready{vhpy_poll_fd(), POLLIN, 0};
        poll(&ready, 1, 100);
        both.scripts.serve();
    }
    return "nothing within a minute";
}

void console(const std::string &folder)
{
    Both both(folder);
    both.begin();
    CHECK(!both.command("!pylist", 10));
    CHECK(both.hub.replies.at(0).find("0 fake: ready") != std::string::npos);
    both.hub.calls.clear();
    CHECK(!both.command("+pyreload fake", 5, true));
    CHECK(both.hub.replies.empty());
    CHECK_EQUAL(later(both), "pm Script fake is reloaded as number 0 op NULL NULL");
    CHECK(!both.command("!pylist", 3));
    CHECK_EQUAL(both.hub.replies.at(0), "You have no rights to do this.");
    // The script blocks every command, but not ours, and of users it gets all.
    CHECK(!both.command("!pyothers", 10));
    CHECK(!both.command("+pylist", 0));
    CHECK(both.hub.replies.empty());
    // Names that UTF-8 knows and the hub's encoding does not, and separators, do no harm.
    CHECK(!both.command("!pyload a|b\xe9.py", 10));
    CHECK(both.hub.replies.at(0).find("a&#124;b\xe9.py") != std::string::npos);
    // Kept for the next start.
    CHECK(!both.command("!pylog 4", 10));
    CHECK_EQUAL(both.hub.settings["pi_python.log_level"], "4");
    CHECK(!both.command("!pylog 2", 10));
    CHECK_EQUAL(both.hub.settings["pi_python.log_level"], "2");
    // From within a script's call the plugin cannot be unloaded, from outside it can.
    for (const char *way : {"!plugout Python", "!plugoutPython", "+plugreloadPython", "!PlugReload x", "!offplug python",
                            "!replug python", "!delplug python"}) {
        both.hub.replies.clear();
        CHECK(both.chat(std::string("command ") + way).go_on);
        CHECK_EQUAL(both.hub.replies.size(), 1);
        CHECK_EQUAL(both.hub.replies[0], "A Python script cannot unload plugins.");
    }
    both.hub.replies.clear();
    both.hub.calls.clear();
    CHECK(!both.command("!pyunload fake", 10));
    CHECK_EQUAL(later(both), "chat_to_user Script fake is unloaded op NULL");
    CHECK(both.command("!plugout Python", 10));
    CHECK(both.hub.replies.empty());
}

// Commands of scripts are in the menus of clients that have them.
void menus(const std::string &folder)
{
    Both both(folder);
    int anna = 0, master = 0, old = 0;
    both.hub.menus = {{&anna, 0}, {&master, 10}};
    const auto write = [&](const char *commands) {
        std::ofstream(folder + "/scripts/dice.py") << "import vh\n" << commands;
    };
    const auto sent = [&] {
        both.scripts.tick(1);
        CHECK(both.hub.sent.empty());
        both.scripts.tick(2);
        std::string all;
        for (const std::string &data : both.hub.sent)
            all += (all.empty() ? "" : ", ") + data;
        both.hub.sent.clear();
        return all;
    };
    const std::string dice = "$UserCommand 1 1 Scripts\\dice: W\xfcrfel$<%[mynick]> +dice %[line:count]&#124;|",
                      wall = "$UserCommand 1 1 Scripts\\wall$<%[mynick]> +wall&#124;|", none = "$UserCommand 255 1|";
    const char *const with_dice = "@vh.command('dice', help='W\u00fcrfel')\ndef dice(nick, count: int): pass\n";
    const char *const with_both = "@vh.command('dice', help='W\u00fcrfel')\ndef dice(nick, count: int): pass\n"
                                  "@vh.command('wall', min_class=5)\ndef wall(nick): pass\n";
    write(with_dice);
    both.begin();
    CHECK_EQUAL(sent(), dice + ", " + dice);
    // What comes is added, whoever may give it.
    write(with_both);
    both.command("!pyreload dice", 10);
    later(both);
    CHECK_EQUAL(sent(), wall);
    both.scripts.greet(&old, 10);
    CHECK(both.hub.sent.empty());
    both.scripts.greet(&master, 10);
    CHECK_EQUAL(both.hub.sent.at(0), dice + wall);
    both.hub.sent.clear();
    both.command("!pyreload dice", 10);
    later(both);
    CHECK_EQUAL(sent(), "");
    // What goes can only go with all.
    write(with_dice);
    both.command("!pyreload dice", 10);
    later(both);
    CHECK_EQUAL(sent(), none + dice);
    both.command("!pyunload dice", 10);
    later(both);
    CHECK_EQUAL(sent(), none + ", " + none);
    both.command("!pyload dice.py", 10);
    later(both);
    CHECK_EQUAL(sent(), dice + ", " + dice);
    both.scripts.end(0);
    CHECK_EQUAL(both.hub.sent.size(), 2);
    CHECK_EQUAL(both.hub.sent.back(), none);
}

// What the script does in an event, and what of it reached the hub: then, and when the hub was
// back in its loop.
void check_waits(Both &both, const std::function<Answer()> &event, const std::string &does, const char *at_once,
                 const char *later)
{
    const auto joined = [&] {
        std::string all;
        for (const std::string &call : both.hub.calls)
            all += (all.empty() ? "" : ", ") + call;
        both.hub.calls.clear();
        return all;
    };
    both.hub.calls.clear();
    both.hub.woken = 0;
    both.hub.settings["config.does"] = does;
    CHECK(event().go_on);
    CHECK_EQUAL(joined(), at_once);
    CHECK_EQUAL(does + ": " + (both.hub.woken ? "waits" : "is done"), does + ": " + (*later ? "waits" : "is done"));
    both.hub.settings["config.does"] = "";
    both.scripts.serve();
    CHECK_EQUAL(joined(), later);
    both.scripts.serve();
    CHECK_EQUAL(joined(), "");
}

void waiting(const std::string &folder)
{
    Both both(folder);
    both.begin();
    const std::string op = "op", user = "user", robot = "R", other = "x", nothing;
    int connection = 0;
    both.hub.connections[&connection] = "User"; // the same nick to a hub
    const auto raise = [&](int hook, auto... args) {
        return [&both, &connection, hook, args...] { return both.scripts.raise(hook, &connection, args...); };
    };
    const auto login = raise(W_OnUserLogin, user), list = raise(W_OnUserInList, other);
    const auto kick = raise(W_OnOperatorKicks, robot, user, other);
    const auto registration = raise(W_OnNewReg, op, other, 1L);
    const auto timer = [&] {
        both.scripts.tick(1);
        return Answer();
    };
    const auto command = [&] {
        both.scripts.command({&connection, op, "!something", 10, false}, 5);
        return Answer();
    };
    const char *const ban = "vh.Ban('op', 'USER', 'why', 1, 1)", *const done = "ban op USER why 1 1";
    // About the event's own user it waits, about another it does not.
    check_waits(both, login, ban, "", done);
    check_waits(both, list, ban, "", done); // it is the connection's
    check_waits(both, login, "vh.Ban('x', 'op', 'why', 1, 1)", "ban x op why 1 1", "");
    check_waits(both, timer, ban, done, "");
    check_waits(both, login, "vh.CloseConnection('user')", "", "close_connection user 0 0");
    check_waits(both, login, "vh.KickUser('op', 'user', 'why', 'elsewhere')", "",
                "kick op user why elsewhere NULL NULL");
    check_waits(both, login, "vh.DelRegUser('nobody')", "del_reg_user nobody", "");
    check_waits(both, kick, "vh.DelRobot('R')", "", "del_robot R");
    check_waits(both, login, "vh.DelRobot('R')", "del_robot R", "");
    // What would enter the hub's consoles or its lists a second time waits, too, and in order.
    const char *const parse = "vh.ParseCommand('op', '!regnew beta 1', 0)";
    check_waits(both, registration, parse, "", "parse_command op !regnew beta 1 0");
    check_waits(both, command, parse, "", "parse_command op !regnew beta 1 0");
    check_waits(both, login, parse, "parse_command op !regnew beta 1 0", "");
    check_waits(both, kick, "vh.KickUser('op', 'op', 'why'), vh.KickUser('op', 'user', 'why')", "",
                "kick op op why NULL NULL NULL, kick op user why NULL NULL NULL");
    check_waits(both, kick, "vh.DelRobot('R'), vh.AddRobot('R', 1, '', '', '', '')", "",
                "del_robot R, add_robot R 1    ");
    check_waits(both, login, std::string(ban) + ", " + parse, "", "ban op USER why 1 1, parse_command op !regnew beta 1 0");
    check_waits(both, raise(W_OnScriptCommand, other, other, other, other), "vh.ScriptCommand('c', 'd', 1)", "",
                "script_command /scripts/fake.py c d 1");
    check_waits(both, login, "vh.ScriptCommand('c', 'd', 1)", "script_command /scripts/fake.py c d 1", "");
    // Nor is the configuration changed while the hub asks whether it may be.
    both.hub.settings["config.does"] = "vh.SetConfig('g', 'w', 'z')";
    CHECK(both.scripts.set_config(&both, "op", "f", "v", "x", "y", 12));
    both.hub.settings["config.does"] = "";
    CHECK_EQUAL(both.hub.settings["g.w"], "");
    both.scripts.serve();
    CHECK_EQUAL(both.hub.settings["g.w"], "z");
    // What it is told is what will be.
    for (const char *refused : {"vh.KickUser('nobody', 'user', '')", "vh.DelRobot('user')",
                                "vh.ParseCommand('nobody', '!x', 0)", "vh.SetConfig('nothing', '1')",
                                "vh.AddRobot('bad', 1, '', '', '', '')"}) {
        check_waits(both, kick, std::string("check(") + refused + ", False)", "", "");
        CHECK_EQUAL(both.ask("last_error"), "none");
    }
    // Whoever will go is not heard any more.
    both.hub.settings["config.does"] = "vh.CloseConnection('user')";
    CHECK(!both.scripts.is_leaving("user"));
    login();
    CHECK(both.scripts.is_leaving("USER") && !both.scripts.is_leaving("op"));
    // The end: a command may be what ends us, so none is given.
    both.hub.settings["config.does"] = parse;
    login();
    both.hub.calls.clear();
    both.scripts.end(0);
    const std::vector<std::string> rest = {"chat_to_all OnUnLoad 0 NULL", "chat_to_all UnLoad NULL",
                                           "close_connection user 0 0", "del_robot R"};
    CHECK(both.hub.calls == rest);
}

void options(const std::string &folder)
{
    Both both(folder);
    both.hub.settings.clear();
    both.hub.settings["pi_python.kill_timeout"] = "7";
    both.hub.settings["pi_python.load_timeout"] = "nonsense";
    both.begin();
    // Stored options count, bad ones are logged, the others are there to be seen.
    CHECK_EQUAL(vhpy_option("kill_timeout"), "7");
    CHECK(both.hub.has_logged("load_timeout must be"));
    CHECK_EQUAL(vhpy_option("load_timeout"), "30");
    CHECK_EQUAL(both.hub.settings["pi_python.hook_timeout"], "2");
    CHECK_EQUAL(both.hub.settings["pi_python.limit_memory"], "");
    CHECK_EQUAL(both.hub.step_delay, 1);
    const auto set = [&](const char *name, const char *value) {
        both.hub.replies.clear();
        return both.scripts.set_config(&both, "op", CONFIG_FILE, name, value, "old", 12);
    };
    CHECK(set("hook_timeout", "0.5"));
    CHECK_EQUAL(vhpy_option("hook_timeout"), "0.5");
    CHECK(!set("hook_timeout", "never"));
    CHECK(both.hub.replies.at(0).find("must be a number of seconds") != std::string::npos);
    CHECK(!set("colour", "red"));
    CHECK(both.hub.replies.at(0).find("there is no option colour; there are step_delay, hook_timeout") == 0);
    CHECK(!set("basedir", "/"));
    CHECK(set("step_delay", "20"));
    CHECK_EQUAL(both.hub.step_delay, 20);
    CHECK(set("step_delay", ""));
    CHECK_EQUAL(both.hub.step_delay, -1);
    CHECK(!set("step_delay", "-5"));
    CHECK(!set("step_delay", "5 ms"));
    // A script may refuse.
    CHECK(!set("python", "refused"));
    CHECK_EQUAL(vhpy_option("python"), "");
    CHECK(both.scripts.set_config(&both, "op", "config", "hub_name", "x", "y", 12));
    // Another encoding: scripts are loaded again with it.
    both.hub.charset = "utf-8";
    both.scripts.tick(1);
    both.chat("caf\xc3\xa9");
    CHECK_EQUAL(both.ask("last"), "'caf\xc3\xa9'");
}

void endings(const std::string &folder)
{
    Both both(folder);
    for (int cycle = 0; cycle < 3; cycle++) {
        both.begin();
        CHECK_EQUAL(both.hub.step_delay, 1);
        both.hub.calls.clear();
        both.scripts.end(0);
        CHECK_EQUAL(both.hub.calls.at(0), "chat_to_all OnUnLoad 0 NULL");
        CHECK_EQUAL(both.hub.calls.at(1), "chat_to_all UnLoad NULL");
        CHECK_EQUAL(both.hub.calls.size(), 2);
        CHECK_EQUAL(both.hub.step_delay, -1);
        CHECK(!both.scripts.running());
        // All is harmless now.
        both.scripts.end(0);
        both.scripts.tick(1);
        both.scripts.serve();
        both.scripts.script_command("a", "b", "", "");
        CHECK(both.chat("block").go_on);
        CHECK(both.command("!pylist", 10));
        CHECK(both.scripts.set_config(nullptr, "op", CONFIG_FILE, "hook_timeout", "never", "", 12));
        CHECK_EQUAL(both.hub.calls.size(), 2);
    }
}

void thread(const std::string &folder)
{
    Both both(folder);
    both.begin();
    w_free_args(w_CallFunction(vhpy_find("fake"), "thread", nullptr));
    // The call may have been answered within that one already.
    for (int rounds = 0; both.hub.calls.empty(); rounds++) {
        CHECK(rounds < 1000);
        pollfd wake{vhpy_poll_fd(), POLLIN, 0};
        CHECK(poll(&wake, 1, 60000) != 0); // it may also be interrupted
        both.scripts.serve();
    }
    CHECK_EQUAL(both.hub.calls.at(0), "chat_to_all from a thread NULL");
}

void broken(const std::string &folder)
{
    setenv("VHPY_WORKER", "/nowhere/libvh_worker.so", 1);
    Both both(folder);
    CHECK(!both.scripts.begin());
    CHECK(both.hub.has_logged("Python scripts cannot run: "));
    CHECK_EQUAL(both.hub.step_delay, -1);
    CHECK(both.chat("block").go_on);
    CHECK(both.command("!pylist", 10));
    both.scripts.tick(1);
}

} // namespace

int main(int, char **argv)
{
    const std::string name = argv[1], folder = argv[2];
    const std::pair<const char *, void (*)(const std::string &)> CASES[] = {
        {"calls", calls},     {"refusals", refusals}, {"events", events}, {"console", console}, {"options", options},
        {"waiting", waiting}, {"grammar", grammar},   {"menus", menus},
        {"endings", endings}, {"thread", thread}, {"broken", broken},
    };
    for (const auto &[known, run] : CASES) {
        if (name == known) {
            run(folder);
            puts("ok");
            return 0;
        }
    }
    failed(__FILE__, __LINE__, "no case " + name);
}
