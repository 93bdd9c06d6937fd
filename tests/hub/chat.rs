//! Users talk, search and find each other over TCP.
#![cfg(feature = "cli")]

use crate::support::client::{Client, HubBuilder};
use crate::support::write_script;

#[test]
fn users_see_and_hear_each_other() {
    let hub = HubBuilder::new().start();
    let mut alice = hub.guest("alice");
    let mut bob = hub.guest("bob");
    assert!(
        alice.wait_for("$MyINFO $ALL bob").contains("desc<test V:1,M:A,H:1/0/0,S:1>$ $50\x01$mail@x$100$")
    );
    alice.chat("hello $ all");
    assert_eq!(bob.wait_for("hello"), "<alice> hello $ all");
    assert_eq!(alice.wait_for("hello"), "<alice> hello $ all");
    bob.private("alice", "psst");
    assert_eq!(alice.wait_for("psst"), "$To: alice From: bob $<bob> psst");
    bob.send("$MCTo: alice $bob just you|");
    assert_eq!(alice.wait_for("just you"), "$MCTo: alice $bob just you");
    bob.private("nobody", "hm");
    bob.wait_for("nobody is not online");
    bob.send("$MyINFO $ALL bob new words$ $50\x01$$7$|");
    alice.wait_for("$MyINFO $ALL bob new words$ $50\x01$$7$");
    drop(bob);
    alice.wait_for("$Quit bob");
    assert!(!alice.so_far().iter().any(|message| message.contains("$Quit")));
}

#[test]
fn searches_and_connections_reach_the_right_ones() {
    let hub = HubBuilder::new().start();
    let mut active = hub.guest("active");
    let mut passive = Client::connect(&hub, 2);
    passive.info = "x<test V:1,M:P,H:1/0/0,S:1>$ $50\x01$$100$".into();
    let mut passive = passive.login("passive", None);
    let mut other = Client::connect(&hub, 3);
    other.info = "x<test V:1,M:P,H:1/0/0,S:1>$ $50\x01$$100$".into();
    let mut other = other.login("other", None);

    passive.send("$Search Hub:passive F?T?0?1?some$file|");
    assert_eq!(active.wait_for("$Search"), "$Search Hub:passive F?T?0?1?some$file");
    active.send("$SR active a\\some file\x0512 1/1\x05TTH:X (127.0.0.1:4111)\x05passive|");
    assert_eq!(passive.wait_for("$SR"), "$SR active a\\some file\x0512 1/1\x05TTH:X (127.0.0.1:4111)");
    assert!(!other.so_far().iter().any(|message| message.starts_with("$S")), "a passive user cannot help");

    active.send("$Search 127.0.0.1:5000 F?T?0?1?else|");
    assert_eq!(passive.wait_for("$Search"), "$Search 127.0.0.1:5000 F?T?0?1?else");
    assert!(!active.so_far().iter().any(|message| message.starts_with("$Search")), "not to oneself");
    active.send("$SA ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLM 127.0.0.1:5000|");
    passive.wait_for("$Search 127.0.0.1:5000 F?T?0?9?TTH:ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJKLM");

    active.send("$ConnectToMe passive 127.0.0.1:5000|");
    assert_eq!(passive.wait_for("$ConnectToMe"), "$ConnectToMe passive 127.0.0.1:5000");
    passive.send("$RevConnectToMe passive active|");
    assert_eq!(active.wait_for("$RevConnectToMe"), "$RevConnectToMe passive active");
    passive.send("$Search Hub:active F?T?0?1?in your name|");
    passive.wait_for("Your nick is passive, not active");
    passive.closed();
}

/// What is announced is kept: each of these is acted upon somewhere in the hub.
#[test]
fn only_extensions_that_are_kept_are_announced() {
    let hub = HubBuilder::new().start();
    let mut client = Client::connect(&hub, 2);
    client.send(
        "$Supports NoHello NoGetINFO UserIP2 HubTopic BotList TTHS MCTo ExtJSON2 BotINFO HubURL TTHSearch \
         OpPlus ChatOnly FailOver TLS NickRule SearchRule QuickList UserCommand ZPipe0 Nonsense|",
    );
    assert_eq!(
        client.wait_for("$Supports"),
        "$Supports NoHello NoGetINFO UserIP2 HubTopic BotList TTHS MCTo ExtJSON2 HubINFO HubURL TTHSearch \
         FailOver TLS NickRule"
    );
    client.wait_for("$NickRule Min 1$$Max 64$$");
}

#[test]
fn pingers_and_old_clients_are_served() {
    let hub = HubBuilder::new().set("hub_name", "A hub").set("hub_owner", "me").start();
    let mut pinger = Client::connect(&hub, 4);
    pinger.supports = "NoHello NoGetINFO BotINFO".into();
    pinger.wait_for("$Lock");
    pinger.send("$Supports NoHello NoGetINFO BotINFO|$Key x|$ValidateNick ping|$BotINFO list|");
    assert!(pinger.wait_for("$HubINFO").starts_with("$HubINFO A hub$$$6000$0$0$0$vhpy "));

    let mut old = Client::connect(&hub, 5);
    old.supports = "Feed".into();
    let mut old = old.login("old", None);
    let _new = hub.guest("new");
    old.wait_for("$Hello new");
    old.send("$GetINFO new old|$GetNickList|");
    old.wait_for("$MyINFO $ALL new");
    old.wait_for("$NickList vhpy$$OpChat$$old$$new$$");
    old.send("$Quit|");
    old.closed();
}

#[test]
fn commands_of_scripts_are_in_menus_as_long_as_they_are_there() {
    let hub = HubBuilder::new().script("dice.py", DICE).start();
    let mut old = hub.guest("old");
    let mut anna = Client::connect(&hub, 2);
    anna.supports += " UserCommand";
    let mut anna = anna.login("anna", None);
    let dice = r"$UserCommand 1 1 Scripts\dice: rolls a die$<%[mynick]> +dice %[line:count]&#124;";
    assert_eq!(anna.wait_for("dice"), dice);
    let mut master = Client::connect(&hub, 250);
    master.supports += " UserCommand";
    let mut master = master.login("master", Some(&hub.password));
    master.wait_for(r"Scripts\secret$");

    // What the entry says is what the script answers.
    anna.chat("+dice 6");
    anna.wait_for("anna rolls 6");
    let other = write_script(
        hub.data.as_ref().unwrap().path(),
        "other.py",
        "import vh\n@vh.command('extra')\ndef extra(nick):\n    pass\n",
    );
    master.chat(&format!("!pyload {}", other.display()));
    anna.wait_for("$UserCommand 255 1");
    assert_eq!(anna.wait_for("dice"), dice);
    anna.wait_for(r"Scripts\extra$<%[mynick]> +extra&#124;");
    master.chat("!pyunload dice");
    anna.wait_for("$UserCommand 255 1");
    anna.wait_for(r"Scripts\extra$");
    master.chat("!pyunload other");
    anna.wait_for("$UserCommand 255 1");
    let seen = anna.so_far().join("\n");
    assert!(!seen.contains("secret"), "{seen}");
    old.chat("bye");
    old.wait_for("<old> bye");
    assert!(!old.so_far().join("\n").contains("$UserCommand"), "a client that does not know it");
}

#[test]
fn a_pinger_needs_no_share() {
    let hub = HubBuilder::new().set("min_share", "1").start();
    let mut pinger = Client::connect(&hub, 4);
    pinger.nick = "ping".into();
    pinger.wait_for("$Lock");
    pinger.send("$Supports NoHello NoGetINFO BotINFO|$Key x|$ValidateNick ping|$BotINFO list|");
    pinger.wait_for("$HubINFO");
    pinger.send("$MyINFO $ALL ping <t V:1,M:A,H:1/0/0,S:1>$ $5\x01$$0$|");
    pinger.wait_for("$MyINFO $ALL ping");
}

const DICE: &str = "
import vh

@vh.command('dice', help='rolls a die')
def dice(nick: str, count: int = 1):
    vh.answer(nick, f'{nick} rolls {count}')

@vh.command('tell')
def tell(nick, to, text):
    vh.answer(nick, f'[{to}] [{text}]')

@vh.command('echo')
def echo(nick, args):
    vh.answer(nick, f'[{args}]')

@vh.command('all')
def every(nick, first: float, *words: bool):
    vh.answer(nick, f'{first} {words}')

@vh.command('bare')
def bare():
    vh.mc('bare was called')

@vh.command('secret', min_class=10)
def secret(nick):
    vh.answer(nick, 'a secret')

@vh.command('help')
@vh.command('broken')
def broken(nick):
    raise KeyError('broken on purpose')

@vh.when(startswith='mine')
def OnHubCommand(nick, command, user_class, in_pm, prefix):
    vh.answer(nick, f'hook: {command}')
    return 0
";

#[test]
fn a_scripts_commands_are_given_as_the_hubs_are() {
    let second = "
        import vh
        @vh.command('dice')
        def dice(nick):
            vh.answer(nick, 'the second')
        @vh.command('other', help='of the second script')
        def other(nick, a='', b: int = 0):
            vh.answer(nick, 'other')
        ";
    let mut hub = HubBuilder::new().script("a.py", DICE).script("b.py", second).start();
    let mut alice = hub.guest("alice");
    for (given, expected) in [
        ("+dice", "<vhpy> alice rolls 1"),
        ("!dice 6", "<vhpy> alice rolls 6"),
        ("+DICE   7 ", "<vhpy> alice rolls 7"),
        ("+dice six", "<vhpy> Usage: +dice [count]"),
        ("!dice 1 2", "<vhpy> Usage: !dice [count]"),
        ("+tell bob hello  there", "<vhpy> [bob] [hello  there]"),
        ("+tell bob", "<vhpy> Usage: +tell to text"),
        ("+echo", "<vhpy> []"),
        ("+echo  a  b ", "<vhpy> [a  b]"),
        ("+all 1.5 yes off", "<vhpy> 1.5 (True, False)"),
        ("+all 1.5 perhaps", "<vhpy> Usage: +all first [words …]"),
        ("+bare", "<vhpy> bare was called"),
        ("+bare x", "<vhpy> Usage: +bare"),
        ("+other x 2", "<vhpy> other"),
        // Not of this class, and of no command.
        ("+secret", "<vhpy> Unknown command: secret"),
        ("+dices", "<vhpy> Unknown command: dices"),
        ("+mine x", "<vhpy> hook: mine x"),
    ] {
        alice.chat(given);
        assert_eq!(alice.wait_for("<vhpy> ").split(';').next().unwrap(), expected, "{given}");
    }
    alice.chat("+broken");
    hub.logs("KeyError: 'broken on purpose'");
    alice.private("vhpy", "+dice 3");
    alice.wait_for("$To: alice From: vhpy $<vhpy> alice rolls 3");
    alice.private("vhpy", "+dice x");
    alice.wait_for("$To: alice From: vhpy $<vhpy> Usage: +dice [count]");
    let mut master = hub.master();
    master.chat("!secret");
    assert_eq!(master.wait_for("<vhpy> "), "<vhpy> a secret");
    // The hub's own help lists them.
    alice.chat("+help");
    let help = alice.wait_for("<vhpy> Commands:");
    assert!(help.contains("\n+dice [count] - rolls a die\n"), "{help}");
    assert!(help.contains("\n+other [a] [b] - of the second script"), "{help}");
    assert!(!help.contains("secret") && help.matches("+help").count() == 1, "{help}");
    hub.logs("the hub has a command help of its own: the script's is not called");
    // Both start at the same time: whoever is ready last is told.
    hub.logs("has a command dice, too: that of a is called, which was loaded first");
    // Who comes next has it when the first is gone.
    master.chat("!pyunload a");
    master.wait_for("<vhpy> ");
    alice.chat("+dice");
    assert_eq!(alice.wait_for("<vhpy> "), "<vhpy> the second");
}

#[test]
fn operators_are_told_what_the_check_finds_in_a_script_that_is_loaded() {
    let mut hub = HubBuilder::new().start();
    let mut master = hub.master();
    let path = hub.data.as_ref().unwrap().path().join("faulty.py");
    // The misspelt hook is said at once, as a warning; the rest when it is known, and once.
    let faulty = "import time, vh\ndef OnUserLogin(nick):\n    time.sleep(0)\n    vh.mcc(nick)\ndef OnTimerr(): pass\n";
    std::fs::write(&path, faulty).unwrap();
    master.chat(&format!("!pyload {}", path.display()));
    let warned = master.wait_for("is loaded as number");
    assert!(warned.contains("Warning: OnTimerr is no hook"), "{warned}");
    let found = master.wait_for("vhpy check finds in script faulty:");
    for expected in ["line 3: VH106 time.sleep", "line 4: VH201 the module vh has no mcc: vh.mc was probably"]
    {
        assert!(found.contains(expected), "{expected} is not in {found}");
    }
    assert!(!found.contains("VH101"), "{found}");
    hub.logs("script faulty, line 3: VH106");
    master.chat("!setconfig check_scripts 0");
    master.wait_for("check_scripts");
    let unread = path.with_file_name("unread.py");
    std::fs::write(&unread, faulty).unwrap();
    master.chat(&format!("!pyload {}", unread.display()));
    master.wait_for("is loaded as number");
    // By the time that a third script's findings are known, those of the second would be.
    master.chat("!setconfig check_scripts 1");
    master.wait_for("check_scripts");
    let third = path.with_file_name("third.py");
    std::fs::write(&third, faulty).unwrap();
    master.chat(&format!("!pyload {}", third.display()));
    loop {
        let found = master.wait_for("vhpy check finds in script");
        assert!(!found.contains("script unread"), "{found}");
        if found.contains("script third") {
            break;
        }
    }
}

/// Python that waits until a file is there.
fn wait_for_file(gate: &std::path::Path) -> String {
    format!("import os, time\nwhile not os.path.exists({gate:?}): time.sleep(0.002)\n")
}

#[test]
fn nobody_waits_for_a_script_that_loads() {
    let hub = HubBuilder::new().start();
    let folder = tempfile::tempdir().unwrap();
    let gate = folder.path().join("gate");
    let slow = folder.path().join("slow.py");
    std::fs::write(&slow, wait_for_file(&gate) + "def OnParsedMsgChat(nick, message): return 0\n").unwrap();
    let (mut master, mut alice, mut bob) = (hub.master(), hub.guest("alice"), hub.guest("bob"));
    master.chat(&format!("!pyload {}", slow.display()));
    master.chat("!pylist");
    master.wait_for("slow: starting");
    for number in 0..20 {
        alice.chat(&format!("number {number}"));
        bob.wait_for(&format!("<alice> number {number}"));
    }
    std::fs::write(&gate, "").unwrap();
    master.wait_for("Script slow is loaded as number 0");
    alice.chat("blocked");
    // Nor for one that does not end, nor is it of any matter that who asked has left.
    std::fs::remove_file(&gate).unwrap();
    let ends: String = wait_for_file(&gate).lines().map(|line| format!("    {line}\n")).collect();
    std::fs::write(&slow, format!("def OnParsedMsgChat(nick, message): return 0\ndef UnLoad():\n{ends}"))
        .unwrap();
    master.chat("!pyreload slow");
    master.wait_for("Script slow is reloaded");
    master.chat("!pyunload slow");
    master.chat("!pylist");
    master.wait_for("slow: stopping");
    alice.chat("and now");
    bob.wait_for("<alice> and now");
    drop(master);
    std::fs::write(&gate, "").unwrap();
    let mut hub = hub;
    hub.logs("script slow is unloaded");
    assert!(!bob.so_far().iter().any(|message| message.contains("blocked")));
}
