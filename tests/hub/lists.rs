//! What there is and what was done: lists for operators, the chat of before, scripts that are kept.

use std::path::Path;

use crate::support::client::{Client, HubBuilder};

/// What a command is answered with.
fn ask(client: &mut Client, command: &str) -> String {
    client.so_far();
    client.chat(command);
    client.wait_for("<vhpy> ")
}

#[test]
fn users_accounts_and_bans_are_listed() {
    let hub = HubBuilder::new().start();
    let mut master = hub.master();
    let _alice = Client::connect(&hub, 7).login("alice", None);
    let _bob = Client::connect(&hub, 8).login("bob", None);
    let all = ask(&mut master, "!who");
    assert!(all.starts_with("<vhpy> Users: 3\nmaster: master from 127.0.0.250, shares "), "{all}");
    let one = ask(&mut master, "!who 127.0.0.7");
    assert!(one.contains("Users: 1\nalice: guest from 127.0.0.7, shares 100 B, here since 20"), "{one}");
    assert!(ask(&mut master, "!who b*").contains("Users: 1\nbob: guest"));
    assert_eq!(ask(&mut master, "!who carol"), "<vhpy> No users.");

    ask(&mut master, "!regnew vera 2 a-password");
    let accounts = ask(&mut master, "!reglist");
    assert!(accounts.starts_with("<vhpy> Accounts: 2\nmaster: master"), "{accounts}");
    assert!(accounts.ends_with("\nvera: VIP, registered by master, never logged in"), "{accounts}");
    assert!(ask(&mut master, "!reglist VER").contains("Accounts: 1\nvera"));

    assert_eq!(ask(&mut master, "!banlist"), "<vhpy> No bans.");
    for ban in ["!ban 192.0.2.7 3h spam", "!ban 198.51.100.0/24 2h", "!ban mallory for ever rude"] {
        assert!(ask(&mut master, ban).contains("is banned"));
    }
    let bans = ask(&mut master, "!banlist");
    assert!(bans.starts_with("<vhpy> Bans: 3\n"), "{bans}");
    let has = |start: &str, end: &str| {
        let found = bans.lines().any(|line| line.starts_with(start) && line.ends_with(end));
        assert!(found, "{start}…{end}: {bans}");
    };
    has("address 192.0.2.7: for ", " more, by master, because: spam");
    has("range 198.51.100.0-198.51.100.255: for ", " more, by master");
    has("nick mallory: for ever, by master, because: for ever rude", "");
    assert!(ask(&mut master, "!banlist SPAM").contains("Bans: 1\naddress 192.0.2.7"));
    assert!(ask(&mut master, "!unban 192.0.2.7 sorry").contains("One ban was lifted."));
    assert!(ask(&mut master, "!banlist").contains("Bans: 2\n"));

    let info = ask(&mut master, "!hubinfo");
    for what in [
        "vhpy ",
        "up for ",
        "3 users of ",
        "2 accounts, 2 bans",
        "0 scripts, 0 of them ready",
        "data folder /",
    ] {
        assert!(info.contains(what), "{what}: {info}");
    }
}

#[test]
fn a_long_list_says_that_it_is_not_all() {
    let hub = HubBuilder::new().start();
    let mut master = hub.master();
    for number in 0..101 {
        assert!(ask(&mut master, &format!("!ban nick{number:03}")).contains("is banned"));
    }
    let bans = ask(&mut master, "!banlist");
    assert!(bans.contains("Bans: the first 100; give a pattern to see others\n"), "{bans}");
    assert_eq!(bans.lines().count(), 101);
    assert!(ask(&mut master, "!banlist nick0?0").contains("Bans: 10\n"));
    assert!(ask(&mut master, &format!("!banlist {}", "x".repeat(257))).contains("Usage: !banlist"));
}

#[test]
fn what_operators_did_can_be_read_back_after_a_restart_and_holds_no_password() {
    let hub = HubBuilder::new().start();
    let mut master = hub.master();
    ask(&mut master, "!regnew olga 3 olgas-password");
    ask(&mut master, "!regnew rita 1");
    ask(&mut master, "!regpasswd rita ritas-password");
    ask(&mut master, "!regclass rita 2");
    ask(&mut master, "!regclass nobody 2");
    ask(&mut master, "!delreg rita");
    ask(&mut master, "!ban 192.0.2.9 2h flood");
    ask(&mut master, "!unban 192.0.2.9");
    ask(&mut master, "!unban 192.0.2.9");
    ask(&mut master, "!topic fish");
    ask(&mut master, "!setconfig max_users 77");
    ask(&mut master, "!setconfig max_users many");
    ask(&mut master, "!pylist");
    ask(&mut master, "!pylog");
    ask(&mut master, "!pylog 3");
    ask(&mut master, "!pyunload nothing");
    let mut olga = Client::connect(&hub, 5).login("olga", Some("olgas-password"));
    let _alice = Client::connect(&hub, 6).login("alice", None);
    olga.wait_for("$MyINFO $ALL alice");
    olga.send("$Kick alice|");
    olga.wait_for("alice was kicked");
    // Nobody writes an entry of somebody else by a reason of several lines.
    let _bob = Client::connect(&hub, 7).login("bob", None);
    olga.wait_for("$MyINFO $ALL bob");
    olga.chat("!drop bob rude\n2026-11-25 18:40 master: stop");
    olga.wait_for("bob was dropped.");
    assert!(ask(&mut olga, "!audit").contains("audit is for class 4 and higher"));
    drop((master, olga));

    let password = hub.password.clone();
    let hub = HubBuilder::in_folder(hub.stop()).start();
    let mut master = Client::connect(&hub, 250).login("master", Some(&password));
    let acts = ask(&mut master, "!audit");
    let did: Vec<String> =
        acts.lines().skip(1).map(|line| line.chars().skip("2026-11-25 18:40 ".len()).collect()).collect();
    assert_eq!(
        did,
        [
            "olga: drop bob rude 2026-11-25 18:40 master: stop",
            "olga: kick alice",
            "master: pyunload nothing",
            "master: pylog 3",
            "master: setconfig max_users = 77 (was 6000)",
            "master: topic fish",
            "master: unban 192.0.2.9",
            "master: ban 192.0.2.9 for 2 hours: flood",
            "master: delreg rita",
            "master: regclass rita class 2",
            "master: regpasswd rita",
            "master: regnew rita class 1",
            "master: regnew olga class 3",
        ],
        "{acts}"
    );
    assert!(!acts.contains("password"), "{acts}");
    assert!(ask(&mut master, "!audit olga").starts_with("<vhpy> Acts of operators: 3\n"));
}

#[test]
fn who_comes_reads_what_was_said_before() {
    let hub = HubBuilder::new().set("chat_history", "2").start();
    let mut alice = Client::connect(&hub, 2).login("alice", None);
    assert_eq!(ask(&mut alice, "+history"), "<vhpy> Nothing was said yet.");
    for text in ["one", "two", "three", "+myip"] {
        alice.chat(text);
        alice.wait_for(if text == "+myip" { "Your address" } else { text });
    }
    let mut bob = Client::connect(&hub, 3).login("bob", None);
    let said = bob.wait_for("What was said last:");
    let lines: Vec<&str> = said.lines().skip(1).collect();
    assert!(
        matches!(lines[..], [two, three] if two.ends_with("] <alice> two") && three.ends_with("] <alice> three")),
        "{said}"
    );
    let last = ask(&mut bob, "+history 1");
    assert!(last.ends_with("] <alice> three") && !last.contains("two"), "{last}");
    assert!(ask(&mut bob, "+history x").contains("Usage: !history"));

    // A pinger is told nothing, and nobody is once it is switched off.
    let mut pinger = Client::connect(&hub, 4);
    pinger.supports += " BotINFO";
    let mut pinger = pinger.login("pinger", None);
    let mut master = hub.master();
    master.wait_for("What was said last:");
    assert!(ask(&mut master, "!setconfig chat_history 0").contains("chat_history = 0"));
    assert!(ask(&mut master, "+history").contains("No chat is kept"));
    let mut carol = Client::connect(&hub, 5).login("carol", None);
    carol.chat("+myip");
    carol.wait_for("Your address");
    for client in [&mut carol, &mut pinger] {
        let seen = client.so_far();
        assert!(!seen.iter().any(|message| message.contains("What was said")), "{seen:?}");
    }
}

#[test]
fn a_script_that_was_loaded_by_its_path_can_be_kept() {
    let elsewhere = tempfile::tempdir().unwrap();
    let script = elsewhere.path().canonicalize().unwrap().join("dice.py");
    std::fs::write(elsewhere.path().join("sides.py"), "SIDES = 6\n").unwrap();
    std::fs::write(&script, "import sides\ndef OnTimer(msec=0):\n    return 1\n").unwrap();
    let hub = HubBuilder::new().start();
    let folder = hub.data.as_ref().unwrap().path().join("scripts");
    let mut master = hub.master();
    let loaded = ask(&mut master, &format!("!pyload {}", script.display()));
    assert!(loaded.contains("Script dice is loaded as number 0\n"), "{loaded}");
    assert!(loaded.contains("the next start does not load it: !pykeep dice keeps it"), "{loaded}");
    assert!(ask(&mut master, "!pykeep nothing").contains("There is no script nothing"));
    let kept = ask(&mut master, "!pykeep dice");
    assert!(kept.contains("Script dice is kept: "), "{kept}");
    assert_eq!(std::fs::read_link(folder.join("dice.py")).unwrap(), script);
    assert!(ask(&mut master, "!pykeep dice").contains("is loaded at every start already"));

    // One of the same name that is there already stays.
    let other = elsewhere.path().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::copy(&script, other.join("dice.py")).unwrap();
    std::fs::copy(elsewhere.path().join("sides.py"), other.join("sides.py")).unwrap();
    ask(&mut master, &format!("!pyload {}", other.join("dice.py").display()));
    let refused = ask(&mut master, "!pykeep 1");
    assert!(refused.contains("is not kept: ") && refused.contains("File exists"), "{refused}");
    assert_eq!(std::fs::read_link(folder.join("dice.py")).unwrap(), script);

    // The modules beside it are found, as before.
    let password = hub.password.clone();
    let hub = HubBuilder::in_folder(hub.stop()).start();
    let mut master = Client::connect(&hub, 250).login("master", Some(&password));
    let list = ask(&mut master, "!pylist");
    assert!(list.contains("dice") && list.contains(&script.display().to_string()), "{list}");
    std::fs::write(folder.join("own.py"), "def OnTimer(msec=0):\n    return 1\n").unwrap();
    let own = ask(&mut master, "!pyload own.py");
    assert!(own.contains("own is loaded") && !own.contains("!pykeep"), "{own}");
    assert!(Path::new(&folder).join("own.py").is_file());
}
