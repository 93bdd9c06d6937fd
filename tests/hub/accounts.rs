//! Accounts and the steps of a login: commands change them, and each step decides anew.

use crate::support::client::{Client, HubBuilder, TestHub};
use crate::support::eval::{EVAL, all, eval};

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

/// Whoever asked for a nick before its owner had a password does not take their place by it.
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

    // Whoever came in with a password that counts no longer keeps what they had and gets no more.
    master.chat("!regpasswd boss the operator's");
    master.wait_for("boss has a new password");
    again.chat("+passwd the thief's");
    again.wait_for("log in with the password of this nick first");
    master.chat("!regclass boss 5");
    master.wait_for("boss has class 5 now");
    assert_eq!(eval(&mut again, "vh.GetUserClass('boss')"), "2");
    let mut boss = Client::connect(&hub, 3).login("boss", Some("the operator's"));
    assert_eq!(eval(&mut boss, "vh.GetUserClass('boss')"), "5");
    // Nor does a guest who was there when their nick was registered.
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
    // Who waits: a guest, or the owner who is asked for their password; what happens then; what they
    // are told when they go on, or nothing when they are let in with the class that follows.
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
