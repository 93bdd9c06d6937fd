//! Clients that send what they should not, or nothing, and starts that cannot succeed: a clear
//! message, and a hub that goes on.
#![cfg(feature = "cli")]

use std::io::Write;
use std::os::unix::fs::PermissionsExt;

use crate::support::client::{Client, HubBuilder, TestHub};

fn start() -> TestHub {
    HubBuilder::new().set("tban_kick", "1").start()
}

/// Who sends this gets that, and is closed; the hub goes on.
#[test]
fn nonsense_gets_a_message_and_a_disconnect() {
    let hub = start();
    let mut witness = hub.guest("witness");
    let long = "x".repeat(20_000);
    let hello = "$Supports NoHello |$Key x|$ValidateNick ";
    let long_nick = format!("{hello}{}|", "n".repeat(65));
    let cases: &[(&str, &str)] = &[
        ("GET / HTTP/1.1\r\n\r\n|", "Direct Connect hub"),
        (&long, "more than 10240 bytes"),
        ("<x\0y> z|", "NUL"),
        ("$Key x|$Key x|", "sent its key twice"),
        ("$ValidateNick early|", "before its key"),
        ("$MyINFO $ALL early d$ $5\x01$$1$|", "must ask for a nick"),
        ("<early> hello|", "must log in first"),
        ("$Search 1.2.3.4:5 F?T?0?1?x|", "must log in first"),
        ("$MyPass x|", "not asked for"),
        ("$Supports a|$Supports b|", "too late"),
        ("$To: x|", "broken message: $To:"),
        ("$Supports NoHello |$Key x|$ValidateNick |", "$ValidateDenide "),
        ("$Supports NoHello |$Key x|$ValidateNick a b|", "$ValidateDenide a b"),
        ("$Supports NoHello |$Key x|$ValidateNick a<b|", "$ValidateDenide a<b"),
        ("$Supports NoHello |$Key x|$ValidateNick WITNESS|", "This nick is in use"),
        ("$Supports NoHello |$Key x|$ValidateNick vhpy|", "This nick is a bot's"),
        (&long_nick, "1 to 64 bytes"),
        ("$Supports NoHello |$Key x|$ValidateNick a|$ValidateNick b|", "or twice"),
        ("$Supports NoHello |$Key x|$ValidateNick a|$MyINFO $ALL b d$ $5\x01$$1$|", "Your nick is a, not b"),
        ("$Supports NoHello |$Key x|$ValidateNick a|$MyINFO $ALL a broken|", "broken message: $MyINFO"),
        (
            "$Supports NoHello |$Key x|$ValidateNick a|$MyINFO $ALL a d$ $5\x01$$1$|<b> I am b|",
            "Your nick is a, not b",
        ),
        (
            "$Supports NoHello |$Key x|$ValidateNick master|$MyINFO $ALL master d$ $5\x01$$1$|",
            "password first",
        ),
        ("$Supports NoHello |$Key x|$ValidateNick master|$MyPass x|", "The password is wrong"),
    ];
    for (sent, answer) in cases {
        let mut client = Client::connect(&hub, 2);
        client.send(sent);
        let got = client.closed();
        assert!(got.contains(answer), "{}: {got}", sent.escape_debug());
    }
    witness.chat("still here");
    witness.wait_for("<witness> still here");
}

/// Whoever claims another's nick, in whatever message, is gone, and nobody gets the message.
/// `Message::claims` has the list that the compiler keeps whole.
#[test]
fn nobody_speaks_in_anothers_name() {
    let hub = start();
    let mut master = hub.master();
    let mut victim = hub.guest("victim");
    for claim in [
        "<master> send me your passwords",
        "<MALLORY> in other letters",
        "$To: victim From: master $<master> psst",
        "$To: victim From: mallory $<master> psst",
        "$To: victim From: master $<mallory> psst",
        "$To: OpChat From: mallory $<master> psst",
        "$To: vhpy From: mallory $<master> !stop",
        "$MCTo: victim $master psst",
        "$MCTo: victim $<master> psst",
        "$MyINFO $ALL master d$ $5\x01$$1$",
        "$Search Hub:master F?T?0?1?something",
        "$SP ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLM master",
        "$SR master a\\file\x0512 1/1\x05TTH:X (127.0.0.1:4111)\x05victim",
        "$ConnectToMe victim master 127.0.0.1:5000",
        "$ConnectToMe victim 127.0.0.1:5000N master",
        "$ConnectToMe victim 127.0.0.1:5000NS master",
        "$MultiConnectToMe victim master 127.0.0.1:5000",
        "$RevConnectToMe master victim",
        "$GetINFO victim master",
        "$ExtJSON master {}",
    ] {
        let mut mallory = hub.guest("mallory");
        victim.wait_for("$MyINFO $ALL mallory ");
        mallory.send(&format!("{claim}|"));
        let said = mallory.closed();
        assert!(said.contains("Your nick is mallory, not "), "{}: {said}", claim.escape_debug());
        victim.wait_for("$Quit mallory");
        let heard = victim.so_far();
        assert!(heard.is_empty(), "{}: {heard:?}", claim.escape_debug());
    }
    // An address is no nick: others are told the real one, and ranks are not claimed at all.
    let mut mallory = hub.guest("mallory");
    for (sent, answer) in [
        ("$Kick victim", "This is for class 3"),
        ("$Close victim", "This is for class 3"),
        ("$OpForceMove $Who:victim$Where:hub.example$Msg:out", "This is for class 4"),
        ("$SetTopic mine", "This is for class 4"),
        ("$ConnectToMe victim 127.0.0.1:5000NSmaster", "an address that is none"),
        ("$Search master:5000 F?T?0?1?something", ""),
        ("$ConnectToMe victim 127.0.0.1:5000NS mallory", ""),
    ] {
        mallory.send(&format!("{sent}|"));
        if !answer.is_empty() {
            mallory.wait_for(answer);
        }
    }
    victim.wait_for("$MyINFO $ALL mallory ");
    assert_eq!(victim.wait_for("$Search"), "$Search 127.0.0.1:5000 F?T?0?1?something");
    assert_eq!(victim.wait_for("$ConnectToMe"), "$ConnectToMe victim 127.0.0.1:5000NS mallory");
    assert_eq!(victim.so_far(), [""; 0]);
    master.chat("still here");
    victim.wait_for("<master> still here");
}

/// A nick with characters that nobody sees is another's for everybody who reads it.
#[test]
fn nicks_that_look_alike_stay_out() {
    let hub = start();
    let mut master = hub.master();
    for nick in
        ["master\u{200b}", "\u{202e}retsam", "mas\u{ad}ter", "master\u{a0}", "master\u{7}", "master\u{3164}"]
    {
        let mut client = Client::connect(&hub, 2);
        client.send(&format!("$Supports NoHello |$Key x|$ValidateNick {nick}|"));
        let said = client.closed();
        let wanted = [&format!("$ValidateDenide {nick}"), "characters that nobody sees"];
        assert!(wanted.iter().all(|wanted| said.contains(*wanted)), "{}: {said}", nick.escape_unicode());
    }
    for nick in ["می\u{200c}خواهم", "Jürgen", "你好"] {
        drop(hub.guest(nick));
    }
    // Operators know whom they register.
    master.chat("!regnew odd\u{200b} 1 password");
    master.wait_for("is registered");
    let _odd = Client::connect(&hub, 3).login("odd\u{200b}", Some("password"));
}

#[test]
fn silence_is_ended() {
    let hub =
        HubBuilder::new().set("timeout_key", "1").set("timeout_nick", "1").set("timeout_login", "1").start();
    for (sent, missing) in [
        ("", "key"),
        ("$Key x|", "nick"),
        ("$Key x|$ValidateNick master|", "password"),
        ("$Key x|$ValidateNick a|", "user information"),
    ] {
        let mut client = Client::connect(&hub, 2);
        client.send(sent);
        let got = client.closed();
        assert!(got.contains(&format!("Login timeout: your client did not send its {missing}")), "{got}");
    }
}

#[test]
fn floods_are_stopped() {
    let hub = HubBuilder::new()
        .set("int_flood_chat_period", "60")
        .set("int_flood_chat_limit", "20")
        .set("max_flood_counter_pm", "3")
        .start();
    let mut other = hub.guest("other");
    let mut nick = hub.guest("nick");
    for at in 0..30 {
        nick.chat(&format!("number {at}"));
    }
    assert!(nick.closed().contains("floods the hub with chat"));
    other.wait_for("number 19");
    assert!(!other.so_far().join("|").contains("number 20"));
    let mut nick = hub.guest("nick");
    for _ in 0..6 {
        nick.private("other", "buy this");
    }
    assert!(nick.closed().contains("same private message too often"));
    let mut master = hub.master();
    (0..40).for_each(|at| master.chat(&format!("number {at}")));
    master.wait_for("number 39");
}

#[test]
fn messages_may_be_only_so_long() {
    let hub = HubBuilder::new().set("max_chat_msg", "20").set("max_chat_lines", "2").start();
    let mut other = hub.guest("other");
    let mut nick = hub.guest("nick");
    nick.chat("this one is far longer than twenty bytes");
    nick.wait_for("20 are allowed");
    nick.chat("a\nb\nc");
    nick.wait_for("2 lines are allowed");
    nick.chat("short");
    assert_eq!(other.wait_for("<nick>"), "<nick> short");
}

/// A client that reads nothing is dropped when too much waits for it; the others go on.
#[test]
fn slow_readers_are_dropped() {
    let hub = HubBuilder::new().set("adv_max_outbuf_size", "100000").set("max_chat_msg", "0").start();
    let mut writer = hub.guest("writer");
    let _slow = hub.guest("slow");
    let text = "x".repeat(8000);
    let mut gone = false;
    for _ in 0..2000 {
        writer.chat(&text);
        gone |= writer.so_far().iter().any(|message| message == "$Quit slow");
        if gone {
            break;
        }
    }
    assert!(gone, "slow is still there");
}

#[test]
fn a_hub_may_be_full() {
    let hub = HubBuilder::new().arg("--max-users").arg("1").start();
    let _one = hub.guest("one");
    let mut two = Client::connect(&hub, 2);
    two.send("$Supports NoHello |$Key x|$ValidateNick two|");
    let got = two.closed();
    assert!(got.contains("The hub is full") && got.contains("$HubIsFull"), "{got}");
    hub.master();
}

#[test]
fn registered_users_replace_their_own_ghosts() {
    let hub = start();
    let mut ghost = hub.master();
    let _again = hub.master();
    assert!(ghost.closed().contains("You logged in from elsewhere"));
}

/// Whatever is wrong with a command line, or the environment that belongs to it, is said before
/// anything starts, with exit code 2.
#[test]
fn wrong_command_lines_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file.py");
    std::fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    for (args, log, reason) in [
        (&["--scripts", "/nowhere"][..], "", "there is no such folder"),
        (&["--scripts", file], "", "this is no folder"),
        (&["--hook-timeout", "-1"], "", "hook_timeout"),
        (&["--kill-timeout=0"], "", "kill_timeout"),
        (&["--load-timeout", "nan"], "", "load_timeout"),
        (&["--set", "hook_timeout=-2"], "", "a number of seconds"),
        (&["--set", "timeout_login=-1"], "", "a whole number of seconds, at least 1"),
        (&["--set", "max_users=many"], "", "give a whole number"),
        (&["--set", "limit_exempt=localhost"], "", "list of addresses and ranges"),
        (&["--set", "nonsense=1"], "", "there is no such variable"),
        (&["--max-users=-1"], "", "--max-users"),
        (&[], "verbose", "no level"),
        (&[], "info,vhpy=loud", "no level"),
        (&[], "vhpy::hub=", "no level"),
    ] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vhpy"));
        command.args(["hub", "--listen", "127.0.0.1:0", "--data"]).arg(folder.path()).args(args);
        let output = command.env("RUST_LOG", log).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?} {log}: {said}");
        assert!(said.contains(reason), "{args:?} {log}: {said}");
    }
    assert!(!folder.path().join("hub.db").exists(), "something was started");
    for log in ["", "debug", "warn,vhpy::hub=trace", "vhpy", "off", "info/pattern"] {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_vhpy"));
        let output = command.arg("stub").env("RUST_LOG", log).output().unwrap();
        assert!(output.status.success(), "{log}: {output:?}");
    }
}

/// What the hub keeps is nobody else's to read, whatever its folder lets others do.
#[test]
fn what_is_kept_is_private() {
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let script = "def OnParsedMsgChat(nick, message):\n    vh.store[message] = 1\n    vh.mc('kept')\n";
    let keep = |hub: &TestHub| {
        let mut nick = hub.guest("nick");
        nick.chat("secret");
        nick.wait_for("<vhpy> kept");
        let data = hub.data.as_ref().unwrap().path();
        let mut seen = 0;
        for folder in [data.to_path_buf(), data.join("store")] {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_file() && path.file_name().unwrap() != "tested" {
                    assert_eq!(mode(&path), 0o600, "{}", path.display());
                    seen += 1;
                }
            }
        }
        assert!(seen >= 5, "{seen} files: hub.db and two beside it, the lock, a store");
        seen
    };
    let hub = HubBuilder::in_folder(folder).script("keeps.py", script).start();
    keep(&hub);
    // An earlier version left them for all to read.
    let folder = hub.kill();
    for within in [folder.path().to_path_buf(), folder.path().join("store")] {
        for entry in std::fs::read_dir(within).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path.file_name().unwrap() != "lock" {
                std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
            }
        }
    }
    keep(&HubBuilder::in_folder(folder).start());
}

/// The one line on the error output of a start that fails.
fn failure(builder: &HubBuilder, address: &str) -> String {
    let mut command = builder.command();
    if !address.is_empty() {
        command = std::process::Command::new(env!("CARGO_BIN_EXE_vhpy"));
        command.args(["hub", "--listen", address, "--data"]).arg(builder.folder());
    }
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    text
}

#[test]
fn starts_that_fail_say_what_to_do() {
    let hub = start();
    let other = HubBuilder::new();
    let text = failure(&other, &hub.address.to_string());
    assert!(text.contains("is in use") && text.contains("--listen"), "{text}");
    let text = failure(&other, "203.0.113.1:4111");
    assert!(text.contains("cannot listen"), "{text}");
    let text = failure(&HubBuilder::new().arg("--encoding").arg("klingon"), "");
    assert!(text.contains("no encoding") && text.contains("cp1251"), "{text}");
    let data = hub.data.as_ref().unwrap().path().to_path_buf();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_vhpy"))
        .args(["hub", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&output.stderr).contains("another hub uses"));
    assert_eq!(output.status.code(), Some(1));

    let data = hub.stop();
    let database = data.path().join("hub.db");
    let good = std::fs::read(&database).unwrap();
    let mut file = std::fs::OpenOptions::new().write(true).open(&database).unwrap();
    file.write_all(&[0xff; 2000]).unwrap();
    let spoilt = std::fs::read(&database).unwrap();
    let text = failure(&HubBuilder::in_folder(data), "");
    assert!(text.contains("is damaged") && text.contains("backup"), "{text}");
    drop(spoilt);

    // Only somebody other than root can be kept from writing.
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("hub.db"), &good).unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o555)).unwrap();
    if std::fs::write(folder.path().join("probe"), "").is_err() {
        let text = failure(&HubBuilder::in_folder(folder), "");
        assert!(text.contains("read-only"), "{text}");
    }
}
