//! What the hub keeps: bans that refuse the next login, accounts, its configuration; over a
//! restart, a signal, and a death in the middle of everything. And the commands that change it.
#![cfg(feature = "cli")]

#[path = "support/client.rs"]
mod client;
#[path = "support/eval.rs"]
mod eval;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/skip.rs"]
mod skip;

use std::time::Instant;

use client::{Client, HubBuilder, LIMIT, TestHub};
use eval::{EVAL, all, eval};
use nix::sys::signal::{Signal, kill};
use processes::{descendants, runs};

/// What a login with this share from this host gets: what the hub said before it closed the
/// connection, or nothing when it let the user in.
fn login(hub: &TestHub, host: u8, nick: &str, share: u64) -> Option<String> {
    let mut client = Client::connect(hub, host);
    client.wait_for("$Lock");
    client.send(&format!(
        "$Supports NoHello NoGetINFO|$Key x|$ValidateNick {nick}|$GetNickList|$MyINFO $ALL {nick} d<t V:1,M:A>$ $5\x01$${share}$|"
    ));
    let mut said = Vec::new();
    while let Some(message) = client.next() {
        let message = String::from_utf8_lossy(&message).into_owned();
        if message.starts_with("$OpList ") {
            return None;
        }
        said.push(message);
    }
    Some(said.join("|"))
}

fn refused(hub: &TestHub, host: u8, nick: &str, share: u64) {
    let said = login(hub, host, nick, share);
    let said = said.unwrap_or_else(|| panic!("{nick} of 127.0.0.{host}, {share} was let in"));
    assert!(said.contains("banned from this hub") && said.contains("because: why"), "{said}");
}

fn welcome(hub: &TestHub, host: u8, nick: &str, share: u64) {
    assert_eq!(login(hub, host, nick, share), None, "{nick} of 127.0.0.{host}, {share}");
}

/// Bans of each kind; who is refused for them, and who is not.
fn bans_hold(hub: &TestHub) {
    for (host, nick, share) in [
        (20, "by_ip", 1),
        (21, "ByNick", 1),
        (22, "x", 4711),
        (23, "[EVIL]x", 1),
        (64, "x", 1),
        (127, "x", 1),
        (24, "nick_and_ip", 1),
    ] {
        refused(hub, host, nick, share);
    }
    for (host, nick, share) in [
        (25, "by_ip2", 1),
        (25, "ByNick2", 1),
        (25, "x", 4712),
        (25, "x[EVIL]", 1),
        (63, "x", 1),
        (128, "x", 1),
    ] {
        welcome(hub, host, nick, share);
    }
}

#[test]
fn bans_of_each_kind_outlive_the_hub() {
    let hub = HubBuilder::new().script("eval.py", EVAL).start();
    let mut master = hub.master();
    let password = hub.password.clone();
    all(
        &mut master,
        &[
            ("vh.Ban('master', '127.0.0.20', 'why', 3600, vh.eBF_IP)", "True"),
            ("vh.Ban('master', 'bynick', 'why', 0, vh.eBF_NICK)", "True"),
            ("vh.Ban('master', '4711', 'why', 0, vh.eBF_SHARE)", "True"),
            ("vh.Ban('master', '[evil]', 'why', 0, vh.eBF_PREFIX)", "True"),
            ("vh.Ban('master', '127.0.0.64/26', 'why', 0, vh.eBF_RANGE)", "True"),
            ("vh.Ban('master', 'nick_and_ip', 'why', 0, vh.eBF_NICKIP)", "True"),
            ("vh.Ban('master', 'a.b.example', 'why', 0, vh.eBF_HOST1)", "True"),
            ("vh.Ban('master', 'a.b.example', 'why', 0, vh.eBF_HOST2)", "True"),
            ("vh.Ban('master', 'a.b.example', 'why', 0, vh.eBF_HOST3)", "True"),
            ("vh.Ban('master', 'a.b.example', 'why', 0, vh.eBF_HOSTR1)", "True"),
            // What such a ban cannot go by.
            ("vh.Ban('master', 'no address', 'why', 0, vh.eBF_IP)", "False"),
            ("vh.Ban('master', 'no range', 'why', 0, vh.eBF_RANGE)", "False"),
            ("vh.Ban('master', 'no share', 'why', 0, vh.eBF_SHARE)", "False"),
            ("vh.Ban('master', 'example', 'why', 0, vh.eBF_HOST3)", "False"),
            ("vh.Ban('master', '', 'why', 0, vh.eBF_NICK)", "False"),
            (
                "vh.SQL('select nick, ip from banlist where ban_type between 4 and 9 order by ban_type')",
                "(1, [['.example', '_host1ban_'], ['.b.example', '_host2ban_'], ['.a.b.example', '_host3ban_'], \
                 ['_shareban_', '4711'], ['[evil]', '_prefixban_'], ['a', '_hostr1ban_']])",
            ),
        ],
    );
    bans_hold(&hub);
    let hub = HubBuilder::in_folder(hub.stop()).start();
    bans_hold(&hub);
    let hub = HubBuilder::in_folder(hub.kill()).start();
    bans_hold(&hub);
    let mut master = Client::connect(&hub, 250).login("master", Some(&password));
    for what in ["bynick", "127.0.0.64/26", "127.0.0.20"] {
        master.chat(&format!("!unban {what} sorry"));
        master.wait_for("One ban was lifted.");
    }
    master.chat("!unban bynick");
    master.wait_for("There is no ban of bynick");
    welcome(&hub, 21, "ByNick", 1);
    welcome(&hub, 64, "x", 1);
    welcome(&hub, 20, "by_ip", 1);
    refused(&hub, 22, "x", 4711);
    let lifted = "vh.SQL(\"select unban_op, unban_reason from unbanlist where nick = 'bynick'\")";
    assert_eq!(eval(&mut master, lifted), "(1, [['master', 'sorry']])");
}

#[test]
fn bans_by_host_refuse() {
    let hub = HubBuilder::new().script("eval.py", EVAL).start();
    let mut master = hub.master();
    let _nick = hub.guest("nick");
    let host = eval(&mut master, "vh.GetUserHost('nick')").trim_matches('\'').to_string();
    if host.is_empty() {
        return skip::skip("127.0.0.1 has no name here", "a line for it in /etc/hosts");
    }
    for kind in ["HOST1", "HOSTR1"] {
        assert_eq!(
            eval(&mut master, &format!("vh.Ban('master', '{host}', 'why', 0, vh.eBF_{kind})")),
            "True"
        );
        refused(&hub, 1, "other", 5);
        assert_eq!(eval(&mut master, "vh.SQL('delete from banlist')"), "(1, [])");
        welcome(&hub, 1, "other", 5);
    }
}

#[test]
fn sighup_reads_the_configuration_again() {
    let mut hub = HubBuilder::new().script("eval.py", EVAL).set("hub_name", "Given").start();
    let mut nick = hub.guest("nick");
    let file = hub.data.as_ref().unwrap().path().join("hub.db");
    let database = rusqlite::Connection::open(file).unwrap();
    let set = |name: &str, value: &str| {
        let sql = "replace into SetupList (file, var, val) values ('config', ?, ?)";
        database.execute(sql, [name, value]).unwrap();
    };
    set("hub_topic", "from outside");
    set("hub_name", "not this");
    set("max_users", "many");
    set("opchat_name", "Ops");
    kill(hub.pid(), Signal::SIGHUP).unwrap();
    let said = hub.logs("configuration read again; changed: ");
    assert!(said.ends_with("hub_topic, opchat_name"), "{said}");
    hub.logs("the stored variable max_users is left out: give a whole number");
    // What the command line says holds all the same.
    nick.wait_for("$HubName Given - from outside");
    nick.wait_for("$HubTopic from outside");
    nick.wait_for("$MyINFO $ALL Ops ");
    all(&mut nick, &[("vh.Topic(), vh.GetConfig('max_users')", "('from outside', '6000')")]);
    kill(hub.pid(), Signal::SIGHUP).unwrap();
    hub.logs_next("configuration read again; changed: nothing");
}

#[test]
fn a_killed_hub_leaves_nothing_running_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let hangs = folder.path().join("hangs");
    let endless = format!(
        "import signal, threading\n\
        def OnParsedMsgChat(nick, text):\n    \
            if text == 'hang':\n        open('{}', 'w').close()\n        while True: pass\n\
        signal.signal(signal.SIGTERM, signal.SIG_IGN)\n\
        threading.Thread(target=threading.Event().wait).start()\n",
        hangs.display()
    );
    let hub = HubBuilder::new().script("eval.py", EVAL).script("endless.py", &endless).start();
    let password = hub.password.clone();
    let mut master = hub.master();
    for number in 0..20 {
        let expression = format!(
            "vh.AddRegUser('reg{number}', 1, 'a password'), vh.Ban('master', 'bad{number}', 'why', 0, vh.eBF_NICK), \
             vh.SetConfig('mine', 'n{number}', 'value {number}')"
        );
        assert_eq!(eval(&mut master, &expression), "(True, True, True)");
    }
    assert_eq!(eval(&mut master, "vh.Topic('A topic')"), "'A topic'");
    let workers = descendants(hub.pid().as_raw());
    assert!(workers.len() >= 2, "{workers:?}");
    // One of them is in the middle of a hook.
    master.chat("hang");
    let end = Instant::now() + LIMIT;
    while !hangs.exists() {
        assert!(Instant::now() < end, "waited for the hook to hang");
        std::thread::yield_now();
    }
    let data = hub.kill();
    let end = Instant::now() + LIMIT;
    while let Some(pid) = workers.iter().find(|pid| runs(**pid)) {
        assert!(Instant::now() < end, "waited for worker {pid} of {workers:?} to end");
        std::thread::yield_now();
    }
    let hub = HubBuilder::in_folder(data).start();
    let mut master = Client::connect(&hub, 250).login("master", Some(&password));
    let all_there = "(1, [['20', '20', '20', 'ok']])";
    let counts = "vh.SQL(\"select (select count(*) from reglist where nick like 'reg%' and class = 1), \
        (select count(*) from banlist where nick like 'bad%' or ip like 'bad%'), \
        (select count(*) from SetupList where file = 'mine'), 'ok'\")";
    assert_eq!(eval(&mut master, counts), all_there);
    all(&mut master, &[("vh.Topic(), vh.GetConfig('mine', 'n19')", "('A topic', 'value 19')")]);
    drop(Client::connect(&hub, 2).login("reg19", Some("a password")));
    refused(&hub, 3, "bad19", 1);
    let file = hub.data.as_ref().unwrap().path().join("hub.db");
    let database = rusqlite::Connection::open(file).unwrap();
    let sound: String = database.query_row("pragma integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(sound, "ok");
}

#[test]
fn commands_change_accounts() {
    let hub = HubBuilder::new().start();
    let mut master = hub.master();
    let mut ask = |command: &str, answer: &str| {
        master.chat(command);
        let said = master.wait_for("<vhpy> ");
        assert!(said.contains(answer), "{command}: {said}");
    };
    ask("!regnew", "Usage: !regnew NICK");
    ask("!regnew reg 1 a-password", "reg is registered.");
    ask("!regnew reg 1 a-password", "reg: this nick is registered already.");
    ask("!regnew other 7", "there is no such class");
    let mut reg = Client::connect(&hub, 3).login("reg", Some("a-password"));
    reg.chat("+passwd");
    reg.wait_for("Usage: !passwd PASSWORD");
    reg.chat("+passwd abc");
    reg.wait_for("a password must have at least");
    reg.chat("+passwd new-password");
    reg.wait_for("reg has a new password");
    let others = reg.so_far();
    assert!(!others.iter().any(|message| message.contains("new-password")), "{others:?}");
    drop(reg);
    let mut wrong = Client::connect(&hub, 4);
    wrong.send("$Supports NoHello|$Key x|$ValidateNick reg|$MyPass a-password|");
    assert!(wrong.closed().contains("$BadPass"));
    let mut reg = Client::connect(&hub, 3).login("reg", Some("new-password"));
    let mut ask = |command: &str, answer: &str| {
        master.chat(command);
        loop {
            let said = master.wait_for("<vhpy> ");
            // Operators are told of the wrong password, too.
            if !said.starts_with("$To:") {
                assert!(said.contains(answer), "{command}: {said}");
                return;
            }
        }
    };
    ask("!regclass reg", "Usage: !regclass");
    ask("!regclass nobody 3", "nobody: this nick is not registered.");
    ask("!regclass reg 8", "there is no such class");
    ask("!regclass reg 3", "reg has class 3 now.");
    reg.wait_for("$$reg$$");
    // An operator of class 3 must not register, and one of class 4 not somebody of class 3.
    reg.chat("!regclass reg 5");
    reg.wait_for("regclass is for class 4 and higher.");
    ask("!regclass reg 4", "reg has class 4 now.");
    reg.chat("!regnew friend 3");
    reg.wait_for("friend: your class does not allow it.");
    reg.chat("!regnew friend 2");
    reg.wait_for("friend is registered, and must set a password");
    reg.chat("!delreg master");
    reg.wait_for("master: your class does not allow it.");
    ask("!delreg nobody", "nobody: this nick is not registered.");
    ask("!delreg reg", "reg is no longer registered.");
    reg.chat("!pylist");
    reg.wait_for("Unknown command: pylist");
    drop(reg);
    let _reg = Client::connect(&hub, 3).login("reg", None);
}

/// A client that has asked for a nick and was answered with `$Hello` or `$GetPass`, and now
/// waits for its chance.
fn waiting(hub: &TestHub, nick: &str, answer: &str) -> Client {
    let mut client = Client::connect(hub, 66);
    client.send(&format!("$Supports NoHello NoGetINFO|$Key x|$ValidateNick {nick}|"));
    client.wait_for(answer);
    client
}

const INFO: &str = "d<t V:1,M:A,H:1/0/0,S:1>$ $5\x01$$1$|";

/// Whoever asked for a nick before its owner had a password does not take his place by it.
#[test]
fn a_nick_is_not_taken_over() {
    let hub = HubBuilder::new().script("eval.py", EVAL).start();
    let mut master = hub.master();
    // Below class 3, whoever comes first sets the password, and is a guest until then.
    master.chat("!regnew boss 2");
    master.wait_for("boss is registered, and must set a password at the next login.");
    let mut early = waiting(&hub, "boss", "$Hello boss");
    let mut boss = Client::connect(&hub, 3).login("boss", None);
    boss.wait_for("Please set a password of your own now: +passwd");
    assert_eq!(eval(&mut boss, "vh.GetUserClass('boss')"), "0");
    let mut late = waiting(&hub, "other", "$Hello other");
    boss.chat("+passwd the owner's");
    boss.wait_for("boss has a new password");
    assert_eq!(eval(&mut boss, "vh.GetUserClass('boss')"), "2");
    early.send(&format!("$MyINFO $ALL boss {INFO}<boss> +passwd the stranger's|"));
    let said = early.closed();
    assert!(said.contains("This nick was registered or has a new password since you came"), "{said}");
    assert!(!boss.so_far().iter().any(|message| message.contains("from elsewhere")), "the owner was put out");
    late.send(&format!("$MyINFO $ALL other {INFO}"));
    late.wait_for("$MyINFO $ALL other ");
    let mut again = Client::connect(&hub, 3).login("boss", Some("the owner's"));
    assert!(boss.closed().contains("You logged in from elsewhere"));

    // Whoever came in with a password that counts no longer keeps what he had and gets no more.
    master.chat("!regpasswd boss the operator's");
    master.wait_for("boss has a new password");
    again.chat("+passwd the thief's");
    again.wait_for("log in with the password of this nick first");
    master.chat("!regclass boss 5");
    master.wait_for("boss has class 5 now");
    assert_eq!(eval(&mut again, "vh.GetUserClass('boss')"), "2");
    let mut boss = Client::connect(&hub, 3).login("boss", Some("the operator's"));
    assert_eq!(eval(&mut boss, "vh.GetUserClass('boss')"), "5");
    // Nor does a guest who was there when his nick was registered.
    let mut guest = hub.guest("newcomer");
    master.chat("!regnew newcomer 2");
    master.wait_for("newcomer is registered");
    guest.chat("+passwd a guest's");
    guest.wait_for("log in with the password of this nick first");
    guest.chat("+passwd");
    let mut guest = hub.guest("nobody");
    guest.chat("+passwd a guest's");
    guest.wait_for("nobody: this nick is not registered");
}

/// From class 3 on, nobody comes in without a password.
#[test]
fn operators_have_passwords_from_the_beginning() {
    let mut hub = HubBuilder::new().script("eval.py", EVAL).start();
    let mut master = hub.master();
    master.chat("!regnew boss 5");
    let said = master.wait_for("boss is registered with the password ");
    let once = said.split("password ").nth(1).and_then(|rest| rest.split(',').next()).unwrap();
    let mut stranger = Client::connect(&hub, 66);
    stranger.send("$Supports NoHello|$Key x|$ValidateNick boss|$MyPass |");
    assert!(stranger.closed().contains("$BadPass"));
    let mut boss = Client::connect(&hub, 3).login("boss", Some(once));
    assert_eq!(eval(&mut boss, "vh.GetUserClass('boss')"), "0");
    boss.chat("+passwd the owner's");
    boss.wait_for("boss has a new password");
    assert_eq!(eval(&mut boss, "vh.GetUserClass('boss')"), "5");
    let mut stranger = Client::connect(&hub, 66);
    stranger.send(&format!("$Supports NoHello|$Key x|$ValidateNick boss|$MyPass {once}|"));
    assert!(stranger.closed().contains("$BadPass"));

    all(
        &mut boss,
        &[
            ("vh.AddRegUser('op', 3)", "False"),
            ("vh.AddRegUser('vip', 2)", "True"),
            ("vh.SetRegClass('vip', 3)", "False"),
            ("vh.AddRegUser('by_hand', 1)", "True"),
            ("vh.SQL(\"update reglist set class = 10 where nick = 'by_hand'\")", "(1, [])"),
        ],
    );
    hub.logs("AddRegUser(op): an account of class 3 or higher needs a password");
    hub.logs("SetRegClass(vip): an account of class 3 or higher needs a password");
    master.chat("!regclass vip 3");
    master.wait_for("vip: an account of class 3 or higher needs a password; give it one first.");
    let mut stranger = Client::connect(&hub, 66);
    stranger.send("$Supports NoHello|$Key x|$ValidateNick by_hand|");
    assert!(stranger.closed().contains("This account has no password yet"));
}

/// What was decided at one step of a login is decided again at the next: each of these happens
/// while a client waits between two of them.
#[test]
fn each_step_of_a_login_decides_anew() {
    let hub = HubBuilder::new().script("eval.py", EVAL).start();
    let mut master = hub.master();
    let registered = "vh.AddRegUser('nick', 2, 'a password')";
    let sql = |what: &str| format!("vh.SQL(\"{what}\")");
    let set = |what: &str| sql(&format!("update reglist set {what} where nick = 'nick'"));
    let ban = |what: &str, kind: &str| format!("vh.Ban('master', '{what}', 'why', 60, vh.eBF_{kind})");
    let since = "registered or has a new password since";
    // Who waits: a guest, or the owner who is asked for his password; what happens then; what he
    // is told when he goes on, or nothing when he is let in with the class that follows.
    let cases: &[(bool, String, &str, &str)] = &[
        (false, registered.into(), since, ""),
        (false, "vh.AddRegUser('nick', 1)".into(), "", "0"),
        (false, "vh.AddRobot('nick', 0, '', '', '', '0')".into(), "This nick is a bot's", ""),
        (false, ban("nick", "NICK"), "banned", ""),
        (false, ban("127.0.0.66", "IP"), "banned", ""),
        (false, "vh.SetConfig('config', 'max_users', '1')".into(), "The hub is full", ""),
        (false, "vh.SetConfig('config', 'nick_prefix', '[x]')".into(), "must begin with", ""),
        (true, "vh.DelRegUser('nick')".into(), "", "0"),
        (true, set("login_pwd = 'other', pwd_crypt = 0"), since, ""),
        (true, set("enabled = 0"), "disabled", ""),
        (true, set("auth_ip = '1.2.3.4'"), "may not be used from your address", ""),
        (true, set("class = 1"), "", "1"),
        (true, "vh.SetRegClass('nick', 3)".into(), "", "3"),
        (true, ban("nick", "NICK"), "banned", ""),
    ];
    for (owner, meanwhile, told, class) in cases {
        for before_the_end in [false, true] {
            if *owner {
                assert_eq!(eval(&mut master, registered), "True");
            }
            let mut client = waiting(&hub, "nick", if *owner { "$GetPass" } else { "$Hello nick" });
            if *owner && before_the_end {
                client.send("$MyPass a password|");
                client.wait_for("$Hello nick");
            }
            let made = eval(&mut master, meanwhile);
            assert!(made == "True" || made.starts_with("(1"), "{meanwhile}: {made}");
            if *owner && !before_the_end {
                client.send("$MyPass a password|");
            }
            client.send(&format!("$GetNickList|$MyINFO $ALL nick {INFO}"));
            if told.is_empty() {
                client.wait_for("$OpList");
                let got = eval(&mut master, "vh.GetUserClass('nick')");
                assert_eq!(got, *class, "{meanwhile}, {before_the_end}");
            } else {
                let said = client.closed();
                assert!(said.contains(told), "{meanwhile}, {before_the_end}: {said}");
            }
            drop(client);
            if told.is_empty() {
                // The nick is free once the hub has noticed.
                master.wait_for("$Quit nick");
            }
            master.so_far();
            for again in [
                "vh.SQL('delete from banlist'), vh.DelRegUser('nick'), vh.DelRobot('nick')",
                "vh.SetConfig('config', 'max_users', '100'), vh.SetConfig('config', 'nick_prefix', '')",
                "vh.CloseConnection('nick')",
            ] {
                eval(&mut master, again);
            }
        }
    }
}

#[test]
fn commands_change_the_configuration() {
    let hub = HubBuilder::new().script("eval.py", EVAL).start();
    let mut master = hub.master();
    let mut nick = hub.guest("nick");
    let mut ask = |command: &str, answer: &str| {
        master.chat(command);
        let said = master.wait_for("<vhpy> ");
        assert!(said.contains(answer), "{command}: {said}");
    };
    ask("!setconfig max_chat_msg 30", "max_chat_msg = 30 (was 256)");
    ask("!setconfig max_chat_msg many", "max_chat_msg: give a whole number");
    ask("!setconfig nonsense 5", "There is no variable");
    ask("!setconfig mine nonsense some words", "nonsense = some words (was )");
    ask("!getconfig mine nonsense", "nonsense = some words");
    ask("!getconfig max_chat_msg", "max_chat_msg = 30");
    ask("!setconfig", "Usage: !setconfig");
    ask("!setconfig hub_name A hub", "hub_name = A hub (was vhpy hub)");
    nick.wait_for("$HubName A hub");
    nick.chat(&"x".repeat(31));
    nick.chat("short");
    let seen = nick.so_far().join("\n");
    assert!(seen.contains("<nick> short") && !seen.contains("<nick> xxx"), "{seen}");
    nick.chat("!setconfig hub_name mine");
    nick.chat("+setconfig hub_name mine");
    nick.wait_for("setconfig is for class 5 and higher.");
    // `$SetTopic` of an operator's client, and of others.
    nick.send("$SetTopic not mine|");
    nick.wait_for("This is for class 4 and higher.");
    master.send("$SetTopic By my client|");
    nick.wait_for("$HubTopic By my client");
    master.send("$GetTopic|");
    master.wait_for("$HubTopic By my client");
    let hub = HubBuilder::in_folder(hub.kill()).start();
    let mut nick = hub.guest("nick");
    all(
        &mut nick,
        &[(
            "vh.Topic(), vh.GetConfig('max_chat_msg'), vh.GetConfig('mine', 'nonsense'), vh.GetConfig('hub_name')",
            "('By my client', '30', 'some words', 'A hub')",
        )],
    );
}

/// The supervisor's options are variables and flags of the hub.
#[test]
fn options_about_scripts_are_variables_and_flags() {
    let limits = "
        import resource
        def OnParsedMsgChat(nick, message):
            memory = resource.getrlimit(resource.RLIMIT_AS)[0] >> 20
            vh.usermc(f'{memory} MiB, {resource.getrlimit(resource.RLIMIT_NOFILE)[0]} files', nick)
            return 0
        ";
    let hub = HubBuilder::new()
        .script("limits.py", limits)
        .arg("--set")
        .arg("limit_memory=300")
        .arg("--limit-files")
        .arg("99")
        .start();
    let mut master = hub.master();
    master.chat("hello");
    master.wait_for("300 MiB, 99 files");
    let mut ask = |command: &str, answer: &str| {
        master.chat(command);
        let said = master.wait_for("<vhpy> ");
        assert!(said.contains(answer), "{command}: {said}");
    };
    ask("!setconfig limit_memory 5", "limit_memory: give a number from 16");
    ask("!setconfig restart_limit 3", "restart_limit = 3 (was 5)");
    ask("!setconfig limit_memory 400", "limit_memory = 400 (was 300)");
    ask("!pyreload limits", "is reloaded");
    master.chat("hello");
    master.wait_for("400 MiB, 99 files");
    let hub = HubBuilder::in_folder(hub.kill()).start();
    let mut nick = hub.guest("nick");
    nick.chat("hello");
    nick.wait_for("400 MiB, ");
    for (wrong, reason) in [
        (["--hook-timeout", "-1"], "must be a number of seconds"),
        (["--spare", "perhaps"], "must be 0 or 1"),
    ] {
        let output = HubBuilder::new().arg(wrong[0]).arg(wrong[1]).command().output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(2) && said.contains(reason), "{wrong:?}: {said}");
    }
}

/// Each option about scripts reaches their processes, in its unit.
#[test]
fn options_about_scripts_have_their_effect() {
    let hub = HubBuilder::new()
        .script("eval.py", EVAL)
        .set("limit_memory", "4000")
        .set("limit_cpu", "5000")
        .set("limit_files", "77")
        .set("limit_processes", "4321")
        .set("nice", "3")
        .set("kill_timeout", "4000")
        .set("hook_timeout", "3000")
        .set("load_timeout", "2000")
        .set("restart_wait", "5")
        .start();
    let mut master = hub.master();
    let limit =
        |name: &str| format!("__import__('resource').getrlimit(__import__('resource').RLIMIT_{name})");
    for (expression, value) in [
        (limit("AS"), "(4194304000, 4194304000)".to_string()),
        (limit("NOFILE"), "(77, 77)".into()),
        (limit("NPROC"), "(4321, 4321)".into()),
        (format!("{}[0]", limit("CPU")), "5000".into()),
    ] {
        assert_eq!(eval(&mut master, &expression), value, "{expression}");
    }
    // SAFETY: a call without pointers.
    let own = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    assert_eq!(eval(&mut master, "__import__('os').nice(0)"), (own + 3).min(19).to_string());
    // Each by its own name, and no other.
    for (name, value) in
        [("kill_timeout", "4000"), ("hook_timeout", "3000"), ("load_timeout", "2000"), ("restart_wait", "5")]
    {
        assert_eq!(eval(&mut master, &format!("vh.GetConfig('config', '{name}')")), format!("'{value}'"));
    }
}

#[test]
fn operators_clients_redirect() {
    let hub = HubBuilder::new().start();
    let mut master = hub.master();
    let mut nick = hub.guest("nick");
    let mut other = hub.guest("other");
    other.send("$OpForceMove $Who:nick$Where:hub.example:411$Msg:out|");
    other.wait_for("This is for class 4 and higher.");
    master.send("$OpForceMove $Who:nobody$Where:hub.example:411$Msg:out|");
    master.wait_for("nobody");
    master.send("$OpForceMove $Who:nick$Where:hub.example:411$Msg:out with you|");
    let said = nick.closed();
    assert!(said.contains("redirected to hub.example:411 because: out with you"), "{said}");
    assert!(said.ends_with("$ForceMove hub.example:411"), "{said}");
    other.wait_for("$Quit nick");
    let _nick = hub.guest("nick");
}

/// Lets files of the hub grow no further, as a full disk does; or again as they like.
fn disk_is_full(hub: &TestHub, full: bool) {
    let limit = if full { 1 } else { libc::RLIM_INFINITY };
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: it reads the limit only, which outlives the call.
    let result =
        unsafe { libc::prlimit(hub.pid().as_raw(), libc::RLIMIT_FSIZE, &limit, std::ptr::null_mut()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

#[test]
fn every_answer_on_a_full_disk_is_true() {
    let hub = HubBuilder::new().script("eval.py", EVAL).start();
    let mut master = hub.master();
    for (command, answer) in [
        ("!ban 127.0.0.30 1h why", "127.0.0.30 is banned for 1 hour."),
        ("!ban 127.0.0.31", "127.0.0.31 is banned for ever."),
        ("!ban 127.0.0.31 1h", "127.0.0.31 is banned for ever."),
        ("!regnew there 3 a-password", "there is registered."),
        ("!topic before", "The topic is now: before"),
    ] {
        master.chat(command);
        assert_eq!(master.wait_for("<vhpy> "), format!("<vhpy> {answer}"), "{command}");
    }
    let mut clients: Vec<Client> = ["kicked", "dropped", "banned"].map(|nick| hub.guest(nick)).into();
    master.so_far();
    disk_is_full(&hub, true);
    for (command, answer) in [
        (
            "!kick kicked",
            "kicked was kicked, but the ban could not be stored; see the log. It could not be put into the list of kicks; see the log.",
        ),
        ("!drop dropped", "dropped was dropped. It could not be put into the list of kicks; see the log."),
        ("!ban banned", "The ban could not be stored; see the log."),
        ("!ban 10.0.0.0/8 1h", "The ban could not be stored; see the log."),
        ("!unban 127.0.0.30", "The bans of 127.0.0.30 could not be lifted; see the log."),
        ("!regnew new 1 a-password", "new: it could not be stored; see the log."),
        ("!regclass there 1", "there: it could not be stored; see the log."),
        ("!regpasswd there another", "there: it could not be stored; see the log."),
        ("!delreg there", "there: it could not be stored; see the log."),
        ("+passwd another-one", "master: it could not be stored; see the log."),
        ("!topic after", "it could not be stored; see the log"),
        ("!topic", "The topic is: before"),
        ("!setconfig hub_name other", "hub_name: it could not be stored; see the log"),
        ("!setconfig of_a_script x 1", "x: it could not be stored; see the log"),
    ] {
        master.chat(command);
        assert_eq!(master.wait_for("<vhpy> "), format!("<vhpy> {answer}"), "{command}");
    }
    all(
        &mut master,
        &[
            ("vh.Ban('master', 'banned', 'why', 60, vh.eBF_NICK)", "False"),
            ("vh.KickUser('master', 'banned', 'why')", "False"),
            ("vh.UserRestrictions('master', nochat='1h')", "{}"),
            ("vh.DelIPTempBan('127.0.0.30')", "False"),
            ("vh.AddRegUser('new', 1, 'a-password')", "False"),
            ("vh.DelRegUser('there')", "False"),
            ("vh.SetRegClass('there', 1)", "False"),
            ("vh.SetConfig('config', 'hub_name', 'other')", "False"),
            ("vh.GetConfig('config', 'hub_name')", "'vhpy hub'"),
            ("vh.Topic('after')", "'before'"),
            ("vh.SQL(\"insert into SetupList values ('a', 'b', 'c')\")[0]", "0"),
        ],
    );
    // Whoever was banned before stays out, and whoever is registered comes in.
    refused(&hub, 30, "anybody", 1);
    Client::connect(&hub, 2).login("there", Some("a-password"));
    assert!(clients.iter_mut().all(|client| !client.closed().is_empty()));

    disk_is_full(&hub, false);
    let password = hub.password.clone();
    master.chat("!ban 127.0.0.32 1h why");
    master.wait_for("127.0.0.32 is banned for 1 hour.");
    let hub = HubBuilder::in_folder(hub.stop()).start();
    Client::connect(&hub, 250).login("master", Some(&password));
    Client::connect(&hub, 2).login("there", Some("a-password"));
    for host in [30, 32] {
        refused(&hub, host, "anybody", 1);
    }
    for nick in ["kicked", "banned", "new"] {
        welcome(&hub, 3, nick, 1);
    }
}

/// What `vhpy passwd` says and returns, with this on its standard input.
fn passwd(data: &std::path::Path, args: &[&str], input: &str) -> (String, Option<i32>) {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut command = Command::new(env!("CARGO_BIN_EXE_vhpy"));
    command.arg("passwd").arg("--data").arg(data).args(args);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // It may have ended before it reads.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (said, output.status.code())
}

#[test]
fn a_lost_password_is_not_final() {
    let hub = HubBuilder::new().start();
    let data = hub.data.as_ref().unwrap().path().to_path_buf();
    assert_eq!(passwd(&data, &[], "another-one\n"), ("master has a new password.\n".into(), Some(0)));
    let mut master = Client::connect(&hub, 250).login("master", Some("another-one"));
    let mut old = Client::connect(&hub, 2);
    old.send(&format!("$Supports NoHello|$Key x|$ValidateNick master|$MyPass {}|", hub.password));
    assert!(old.closed().contains("The password is wrong"));
    master.chat("!regnew Anna 1 a-password");
    master.wait_for("Anna is registered.");

    let (said, code) = passwd(&data, &["anna", "--random"], "");
    assert_eq!(code, Some(0), "{said}");
    let password = said.trim().strip_prefix("Anna has a new password: ").unwrap().to_string();
    Client::connect(&hub, 2).login("Anna", Some(&password));
    for (args, input, error) in [
        (&["bert"][..], "", "bert is not registered; registered operators: master"),
        (&["anna"], "short\n", "nothing was changed: a password must have at least 6 bytes"),
        (&[], "", "nothing was changed: a password must have at least 6 bytes"),
    ] {
        assert_eq!(passwd(&data, args, input), (format!("vhpy: {error}\n"), Some(1)));
    }
    master.chat("!regnew boss 10 a-password");
    master.wait_for("boss is registered.");
    let (said, code) = passwd(&data, &[], "a-password\n");
    assert!(said.contains("say whose password") && said.contains("boss, master"), "{said}");
    assert_eq!(code, Some(1));

    let data = hub.stop();
    assert_eq!(passwd(data.path(), &["anna"], "a-third-one").1, Some(0));
    let nowhere = data.path().join("nowhere");
    let (said, code) = passwd(&nowhere, &[], "a-third-one");
    assert!(said.contains("--data") && code == Some(1) && !nowhere.exists(), "{said}");
    let hub = HubBuilder::in_folder(data).start();
    Client::connect(&hub, 2).login("Anna", Some("a-third-one"));
}

/// Keeps one more thing in its store and in the database with each message; says at its start
/// what is there, and whether it is a beginning of what was kept.
const KEEPER: &str = "
    import vh

    vh.SQL('create table if not exists kept (number int primary key)')
    _, rows = vh.SQL('select number from kept order by number', 1000000)
    numbers = [int(row[0]) for row in rows]
    stored = sorted(vh.store.values())
    whole = stored == list(range(len(stored))) and numbers == list(range(len(numbers)))
    print(f'kept {len(stored)} and {len(numbers)}, whole: {whole}')
    count = max(len(stored), len(numbers))
    for number in range(len(numbers), count):
        vh.SQL(f'insert into kept values ({number})')
    for number in range(len(stored), count):
        vh.store[f'number {number}'] = number

    def OnParsedMsgChat(nick, message):
        global count
        vh.store[f'number {count}'] = count
        vh.SQL(f'insert into kept values ({count})')
        count += 1
";

/// How often a backup is made and restored, each time with a kill in between.
fn backups() -> u32 {
    std::env::var("VHPY_TEST_BACKUPS").map_or(4, |times| times.parse().unwrap())
}

fn vhpy(args: &[&std::ffi::OsStr]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vhpy"));
    command.args(args).stdout(std::process::Stdio::null());
    command
}

/// What a hub keeps is whole after any of these: a backup while it is busy, its own death, the
/// death of the backup or of the restore at any moment.
#[test]
fn backups_are_whole_whoever_is_killed() {
    let archives = tempfile::tempdir().unwrap();
    let file = archives.path().join("hub.tar");
    let mut builder = HubBuilder::new().script("keeper.py", KEEPER);
    let mut least = 0;
    for round in 0..backups() {
        let mut hub = builder.start();
        let said = hub.logs_next("kept ");
        assert!(said.contains("whole: True"), "round {round}: {said}");
        let count: u32 = said.split("kept ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        assert!(count >= least, "round {round}: {said}, but {least} were in the backup");
        let mut guest = hub.guest("guest");
        let mut chat = || {
            guest.send(&"<guest> one more|".repeat(50));
            guest.so_far();
        };
        chat();
        // One backup that is killed, after as many of its own steps as chance will have; one
        // that is not; and the hub goes on all the while.
        let folder = hub.data.as_ref().unwrap().path().to_path_buf();
        let args = ["backup".as_ref(), file.as_os_str(), "--data".as_ref(), folder.as_os_str()];
        let mut killed = vhpy(&args).spawn().unwrap();
        (0..round * 977 % 50_000).for_each(|_| std::thread::yield_now());
        killed.kill().unwrap();
        killed.wait().unwrap();
        let mut made = vhpy(&args).spawn().unwrap();
        while made.try_wait().unwrap().is_none() {
            chat();
        }
        assert!(made.wait().unwrap().success());
        least = count + 50;
        chat();
        let data = hub.kill();
        // What was kept after the backup is lost; nothing of that before is.
        let args = ["restore".as_ref(), file.as_os_str(), "--data".as_ref(), data.path().as_os_str()];
        if round % 2 == 0 {
            let mut killed = vhpy(&args).spawn().unwrap();
            (0..round * 1499 % 50_000).for_each(|_| std::thread::yield_now());
            killed.kill().unwrap();
            killed.wait().unwrap();
        } else {
            assert!(vhpy(&args).status().unwrap().success());
        }
        builder = HubBuilder::in_folder(data).scripts(1);
    }
}

#[test]
fn backup_and_restore_say_what_is_wrong() {
    let hub = HubBuilder::new().start();
    let folder = hub.data.as_ref().unwrap().path().to_path_buf();
    let archives = tempfile::tempdir().unwrap();
    let file = archives.path().join("hub.tar");
    let run = |args: &[&std::ffi::OsStr]| {
        let output = vhpy(args).stderr(std::process::Stdio::piped()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let data = ["--data".as_ref(), folder.as_os_str()];
    let (code, said) = run(&[&["backup".as_ref(), file.as_os_str()], &data[..]].concat());
    assert_eq!((code, said.as_str()), (0, ""));
    assert_eq!(std::os::unix::fs::MetadataExt::mode(&file.metadata().unwrap()) & 0o777, 0o600);
    let (code, said) = run(&["restore".as_ref(), "--check".as_ref(), file.as_os_str()]);
    assert_eq!((code, said.as_str()), (0, ""));
    let (code, said) = run(&[&["restore".as_ref(), file.as_os_str()], &data[..]].concat());
    assert!(code == 1 && said.contains("another hub uses the data folder"), "{code} {said}");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let (code, said) = run(&["restore".as_ref(), "--check".as_ref(), file.as_os_str()]);
    assert!(code == 1 && said.contains("is damaged") && said.lines().count() == 1, "{code} {said}");
    let nowhere = archives.path().join("nowhere");
    let (code, said) = run(&["backup".as_ref(), file.as_os_str(), "--data".as_ref(), nowhere.as_os_str()]);
    assert!(code == 1 && said.contains("there is no hub's database"), "{code} {said}");
}

#[test]
fn a_hub_goes_on_when_nobody_reads_what_it_prints() {
    let builder = HubBuilder::new();
    let mut command = builder.command();
    let mut hub =
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(hub.stdout.take());
    let log = std::io::BufReader::new(hub.stderr.take().unwrap());
    let line = std::io::BufRead::lines(log).map_while(Result::ok).find(|line| line.contains("nobody reads"));
    assert!(line.is_some_and(|line| line.contains("listens on 127.0.0.1:")));
    assert!(hub.try_wait().unwrap().is_none());
    kill(nix::unistd::Pid::from_raw(hub.id() as i32), Signal::SIGTERM).unwrap();
    assert!(hub.wait().unwrap().success());
}

#[test]
fn the_configuration_is_changed_without_the_hub() {
    let data = tempfile::tempdir().unwrap();
    let run = |args: &str| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vhpy"));
        command.arg("config").args(args.split(' ')).arg("--data").arg(data.path());
        let output = command.output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(said).unwrap())
    };
    assert_eq!(run("set max_users 7"), (0, "max_users = 7\n".into()));
    assert_eq!(run("get max_users"), (0, "7\n".into()));
    assert_eq!(run("list --changed"), (0, "* max_users = 7\n".into()));
    let (code, said) = run("set max_users many");
    assert!(
        code == 1 && said.contains("max_users: give a whole number") && said.lines().count() == 1,
        "{said}"
    );
    let (code, said) = run("explain hook_timeout");
    assert!(code == 0 && said.contains("default  2"), "{said}");
    // A hub takes it, and one that runs takes changes over.
    let hub = HubBuilder::in_folder(data).script("eval.py", EVAL).start();
    let mut master = hub.master();
    all(&mut master, &[("vh.GetConfig('config', 'max_users')", "'7'")]);
    let folder = hub.data.as_ref().unwrap().path().to_path_buf();
    let changed = vhpy(&[
        "config".as_ref(),
        "reset".as_ref(),
        "max_users".as_ref(),
        "--data".as_ref(),
        folder.as_os_str(),
    ])
    .status();
    assert!(changed.unwrap().success());
    kill(hub.pid(), Signal::SIGHUP).unwrap();
    let end = Instant::now() + LIMIT;
    while eval(&mut master, "vh.GetConfig('config', 'max_users')") != "'6000'" {
        assert!(Instant::now() < end, "waited for the hub to read its configuration again");
    }
}
