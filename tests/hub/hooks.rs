//! Every hook is raised by the hub at its moment, with its arguments, and its answer is
//! honoured. Scripts tell what they saw in the log; clients see what follows.
#![cfg(feature = "cli")]

use crate::support::client::{Client, HubBuilder, TestHub};

/// A script that defines all hooks, prints each call, and does what the test says: `answers`
/// is Python code with entries such as `"OnNewConn": lambda args: 0,`.
fn recorder(answers: &str) -> String {
    let names: Vec<&str> = vhpy_hooks().collect();
    format!(
        "ANSWERS = {{{answers}}}\n\
         def hook(name):\n    \
             def called(*args):\n        \
                 if name != 'OnTimer':\n            \
                     print('HOOK', name, args, flush=True)\n        \
                 return ANSWERS[name](args) if name in ANSWERS else 1\n    \
             return called\n\
         {}\n",
        names.iter().map(|name| format!("{name} = hook('{name}')")).collect::<Vec<_>>().join("\n")
    )
}

fn vhpy_hooks() -> impl Iterator<Item = &'static str> {
    plugin_abi::HOOKS.iter().map(|spec| spec.name)
}

fn hub(answers: &str) -> TestHub {
    TestHub::with_script(&recorder(answers))
}

/// A connection that has got as far as the nick.
fn with_nick(hub: &TestHub, nick: &str) -> Client {
    let mut client = Client::connect(hub, 9);
    client.nick = nick.into();
    client.wait_for("$Lock");
    client
        .send(&format!("$Supports NoHello NoGetINFO HubURL BotINFO ExtJSON2 |$Key x|$ValidateNick {nick}|"));
    client.wait_for(&format!("$Hello {nick}"));
    client
}

#[test]
fn a_login_raises_its_hooks_in_order() {
    let mut hub = hub("");
    let mut nick = with_nick(&hub, "nick");
    nick.send("$Version 1,0091|$MyHubURL dchub://x|$MyINFO $ALL nick d<t V:1,M:A>$ $5\x01$m$9$|");
    nick.wait_for("$MyINFO $ALL nick");
    nick.send("$MyINFO $ALL nick e<t V:1,M:A>$ $5\x01$m$8$|$ExtJSON nick {\"a\": 1}|$Strange thing|");
    nick.wait_for("$ExtJSON");
    drop(nick);
    for expected in [
        "HOOK OnNewConn ('127.0.0.9',)",
        "HOOK OnParsedMsgAnyEx ('127.0.0.9', '$Supports NoHello",
        "HOOK OnParsedMsgSupports ('127.0.0.9', '$Supports NoHello NoGetINFO HubURL BotINFO ExtJSON2 ', 'NoHello NoGetINFO HubURL HubINFO ExtJSON2 ')",
        "HOOK OnParsedMsgValidateNick ('$ValidateNick nick',)",
        "HOOK OnParsedMsgAny ('nick', '$Version 1,0091')",
        "HOOK OnParsedMsgVersion ('127.0.0.9', '$Version 1,0091')",
        "HOOK OnParsedMsgMyHubURL ('nick', '$MyHubURL dchub://x')",
        "HOOK OnValidateTag ('nick', '<t V:1,M:A>')",
        "HOOK OnFirstMyINFO ('nick', 'd', '<t V:1,M:A>', '5\\x01', 'm', '9')",
        "HOOK OnUserInList ('nick',)",
        "HOOK OnUserLogin ('nick',)",
        "HOOK OnParsedMsgMyINFO ('nick', 'e', '<t V:1,M:A>', '5\\x01', 'm', '8')",
        "HOOK OnParsedMsgExtJSON ('nick', '$ExtJSON nick {\"a\": 1}')",
        "HOOK OnUnknownMsg ('nick', '$Strange thing')",
        "HOOK OnUserLogout ('nick',)",
        "HOOK OnCloseConn ('127.0.0.9',)",
        "HOOK OnCloseConnEx ('127.0.0.9', 4, 'nick')",
    ] {
        hub.logs_next(expected);
    }
    let mut pinger = with_nick(&hub, "ping");
    pinger.send("$BotINFO list|");
    pinger.wait_for("$HubINFO");
    hub.logs("HOOK OnParsedMsgBotINFO ('ping', '$BotINFO list')");
    let mut attacked = Client::connect(&hub, 8);
    attacked.wait_for("$Lock");
    attacked.send("$MyNick victim|$Lock EXTENDEDPROTOCOL Pk=xRef=evil.example:411|");
    attacked.wait_for("$Error CTM2HUB");
    let line = hub.logs("HOOK OnCtmToHub ('victim', '127.0.0.8', ");
    assert!(line.contains(&format!(", {}, 'evil.example:411')", hub.address.port())), "{line}");
    let mut master = hub.master();
    hub.logs("HOOK OnParsedMsgMyPass ('master', '");
    master.chat("!stop");
    master.closed();
    hub.logs("HOOK OnUnLoad (0,)");
    assert_eq!(hub.ended().0, 0);
}

#[test]
fn talk_and_orders_raise_their_hooks() {
    let mut hub = hub("");
    let mut master = hub.master();
    let mut nick = hub.guest("nick");
    nick.chat("hello");
    nick.private("master", "psst");
    nick.send("$MCTo: master $nick aside|$Search 127.0.0.1:5 F?T?0?1?word|");
    nick.send("$SR nick f\x051 1/1\x05h (x:1)\x05master|$ConnectToMe master 127.0.0.1:77|$RevConnectToMe nick master|");
    nick.chat("+mine it");
    nick.private("vhpy", "+help");
    nick.wait_for("$To: nick From: vhpy $<vhpy> Commands:");
    master.private("OpChat", "among us");
    master.chat("!topic new");
    master.chat("!regnew other 2 passwort");
    master.chat("!ban other 3h bad one");
    master.wait_for("other is banned for 3 hours");
    master.chat("!drop nick go");
    assert!(nick.closed().contains("You were dropped because: go"));
    let mut nick = hub.guest("nick");
    master.wait_for("$MyINFO $ALL nick");
    master.chat("!kick nick out");
    assert!(nick.closed().contains("You were kicked because: out"));
    for expected in [
        "HOOK OnParsedMsgChat ('nick', 'hello')",
        "HOOK OnParsedMsgPM ('nick', 'psst', 'master')",
        "HOOK OnParsedMsgMCTo ('nick', 'aside', 'master')",
        "HOOK OnParsedMsgSearch ('nick', '$Search 127.0.0.1:5 F?T?0?1?word')",
        "HOOK OnParsedMsgSR ('nick', '$SR nick f\\x051 1/1\\x05h (x:1)\\x05master')",
        "HOOK OnParsedMsgConnectToMe ('nick', 'master', '127.0.0.1', '77')",
        "HOOK OnParsedMsgRevConnectToMe ('nick', 'master')",
        "HOOK OnHubCommand ('nick', 'mine it', 0, 0, '+')",
        "HOOK OnUserCommand ('nick', '+mine it')",
        "HOOK OnParsedMsgPM ('nick', '+help', 'vhpy')",
        "HOOK OnHubCommand ('nick', 'help', 0, 1, '+')",
    ] {
        hub.logs_next(expected);
    }
    for expected in [
        "HOOK OnParsedMsgPM ('master', 'among us', 'OpChat')",
        "HOOK OnOpChatMessage ('master', 'among us')",
        "HOOK OnOperatorCommand ('master', '!topic new')",
        "HOOK OnSetConfig ('master', 'config', 'hub_topic', 'new', '', 12)",
        "HOOK OnNewReg ('master', 'other', 2)",
        "HOOK OnNewBan ('master', '', 'other', 'bad one')",
        "HOOK OnOperatorDrops ('master', 'nick')",
        "HOOK OnOperatorDropsWithReason ('master', 'nick', 'go')",
        "HOOK OnCloseConnEx ('127.0.0.1', 2, 'nick')",
        "HOOK OnOperatorKicks ('master', 'nick', 'out')",
    ] {
        hub.logs_next(expected);
    }
}

#[test]
fn scripts_and_time_raise_the_rest() {
    let mut hub = TestHub::with_script(
        "def OnTimer(time):\n    print('TICK', type(time).__name__, time > 1.6e9, flush=True)\n\
         def OnParsedMsgChat(nick, text):\n    vh.mc('echo ' + text); vh.ScriptCommand('later', 'data'); \
         vh.ScriptCommand('now', 'data', 1)\n\
         def OnPublicBotMessage(nick, text, least, most):\n    print('BOT', nick, text, least, most, flush=True)\n\
         def OnScriptCommand(*args):\n    print('COMMAND', args, flush=True)\n\
         def OnUnLoad(code):\n    print('UNLOAD', code, flush=True)\n\
         def OnUserCommand(nick, text):\n    vh.StopHub(7)\n",
    );
    hub.logs("TICK float True");
    let mut nick = hub.guest("nick");
    nick.chat("hello");
    nick.wait_for("<vhpy> echo hello");
    hub.logs("BOT vhpy echo hello 0 10");
    let path = hub.data.as_ref().unwrap().path().join("scripts/script.py");
    hub.logs_next(&format!("COMMAND ('now', 'data', 'python', '{}')", path.display()));
    hub.logs_next("COMMAND ('later', 'data', 'python', '");
    nick.chat("+stop");
    hub.logs("UNLOAD 7");
    assert_eq!(hub.ended().0, 7);
}

/// For each hook: what is sent, and another user gets unless it is blocked.
#[test]
fn every_block_blocks() {
    let cases: &[(&str, &str)] = &[
        ("OnParsedMsgChat", "<nick> WORD|"),
        ("OnParsedMsgPM", "$To: other From: nick $<nick> WORD|"),
        ("OnParsedMsgMCTo", "$MCTo: other $nick WORD|"),
        ("OnParsedMsgSearch", "$Search 127.0.0.1:5 F?T?0?1?WORD|"),
        ("OnParsedMsgSR", "$SR nick WORD\x051 1/1\x05h (x:1)\x05other|"),
        ("OnParsedMsgConnectToMe", "$ConnectToMe other 127.0.0.1:77|"),
        ("OnParsedMsgRevConnectToMe", "$RevConnectToMe nick other|"),
        ("OnParsedMsgMyINFO", "$MyINFO $ALL nick WORD<t V:1,M:A>$ $5\x01$m$9$|"),
        ("OnParsedMsgExtJSON", "$ExtJSON nick {\"WORD\": 1}|"),
    ];
    // `+NAME` lets the script block that hook from then on.
    let hub =
        hub("'OnHubCommand': lambda args: ANSWERS.update({args[1]: lambda args: 0}) or ('<x> it is', 0)");
    let mut other = hub.guest("other");
    let mut nick = hub.guest("nick");
    other.so_far();
    for (hook, message) in cases {
        let trace = if message.contains("WORD") { "allowed" } else { "ConnectToMe" };
        nick.send(&message.replace("WORD", "allowed"));
        other.wait_for(trace);
        nick.chat(&format!("+{hook}"));
        nick.wait_for("<x> it is");
        nick.send(&message.replace("WORD", "forbidden"));
        nick.so_far();
        let seen = other.so_far().join("\n");
        assert!(!seen.contains("forbidden") && !seen.contains("ConnectToMe"), "{hook} did not block: {seen}");
    }
    // From here on nothing passes, not even the end of the connection.
    nick.chat("+OnParsedMsgAny");
    nick.wait_for("<x> it is");
    nick.send("$RevConnectToMe nick other|<nick> forbidden|$Quit|");
    drop(nick);
    assert_eq!(other.next().as_deref(), Some(&b"$Quit nick"[..]));
}

#[test]
fn every_block_at_the_login_closes_or_drops() {
    let refused: &[(&str, i64)] = &[
        ("OnNewConn", 21),
        ("OnParsedMsgAnyEx", 21),
        ("OnParsedMsgValidateNick", 21),
        ("OnParsedMsgVersion", 21),
        ("OnParsedMsgMyHubURL", 21),
        ("OnValidateTag", 11),
        ("OnFirstMyINFO", 2),
        ("OnUserInList", 21),
        ("OnUserLogin", 21),
        ("OnParsedMsgBotINFO", 21),
        ("OnParsedMsgMyPass", 21),
    ];
    for (hook, reason) in refused {
        let mut hub = hub(&format!("'{hook}': lambda args: 0"));
        let mut nick = Client::connect(&hub, 9);
        nick.send("$Supports BotINFO HubURL NoHello|$Key x|");
        if *hook == "OnParsedMsgMyPass" {
            nick.send(&format!("$ValidateNick master|$MyPass {}|", hub.password));
        } else {
            nick.send("$ValidateNick nick|$Version 1|$MyHubURL x|$BotINFO x|$MyINFO $ALL nick d<t V:1,M:A>$ $5\x01$m$9$|");
        }
        let got = nick.closed();
        assert!(*hook != "OnNewConn" || got.is_empty(), "{got}");
        hub.logs(&format!("HOOK OnCloseConnEx ('127.0.0.9', {reason}, '"));
    }
    let hub = hub("'OnParsedMsgSupports': lambda args: 0");
    let mut nick = Client::connect(&hub, 9);
    nick.send("$Supports NoHello|$Key x|$ValidateNick nick|");
    nick.wait_for("$Lock");
    assert!(nick.wait_for("$").starts_with("$HubName"), "no $Supports");
}

#[test]
fn orders_can_be_prevented() {
    let hub = hub(
        "**{name: lambda args: 0 for name in ('OnOperatorKicks', 'OnOperatorDropsWithReason', 'OnNewReg', \
         'OnNewBan', 'OnSetConfig', 'OnOpChatMessage', 'OnUserCommand', 'OnPublicBotMessage')}, \
         'OnOperatorCommand': lambda args: args[1] != '!help', \
         'OnParsedMsgChat': lambda args: (vh.mc('robot says'), 1)[1]",
    );
    let mut master = hub.master();
    let mut nick = hub.guest("nick");
    for (order, answer) in [
        ("!kick nick", "A script prevented the kick."),
        ("!drop nick", "A script prevented the drop."),
        ("!regnew nick", "a script prevented it"),
        ("!ban nick", "A script prevented the ban."),
        ("!topic x", "a script prevented the change"),
    ] {
        master.chat(order);
        master.wait_for(answer);
    }
    master.private("OpChat", "hidden");
    master.chat("!help");
    nick.chat("+help");
    nick.chat("hello");
    let seen = nick.so_far().join("\n");
    assert!(seen.contains("<nick> hello"), "still here");
    assert!(!seen.contains("Commands:") && !seen.contains("robot says"), "{seen}");
    assert!(!master.so_far().join("\n").contains("Commands:"));
}

/// What goes to a program is the scripts' first, whoever may write to it: a block is the end of
/// it, also before the operators' chat turns a guest away.
#[test]
fn messages_to_programs_are_the_scripts_first() {
    let script = "
def robots(): return vh.AddRobot('Robot', 10, 'd', '', '', '0')
def OnOpChatMessage(nick, message): vh.usermc('opchat ' + message, nick)
def OnParsedMsgPM(nick, message, to):
    vh.usermc(f'pm {message} to {to}', nick)
    return 'block' not in message
def OnHubCommand(nick, command, *_):
    if command == 'robots': return not robots()
";
    let hub = HubBuilder::new().script("script.py", script).set("private_class", "2").start();
    let mut master = hub.master();
    let mut nick = hub.guest("nick");
    nick.chat("+robots");
    nick.wait_for("$MyINFO $ALL Robot ");
    nick.so_far();
    for (to, then) in [
        ("OpChat", Some("<vhpy> The operators' chat is for operators.")),
        ("Robot", None),
        ("vhpy", Some("$To: nick From: vhpy $<vhpy> I understand commands only; +help lists them.")),
    ] {
        nick.private(to, "words");
        let asked = format!("<vhpy> pm words to {to}");
        let wanted: Vec<&str> = [Some(asked.as_str()), then].into_iter().flatten().collect();
        assert_eq!(nick.so_far(), wanted, "{to}");
        nick.private(to, "block this");
        assert_eq!(nick.so_far(), [format!("<vhpy> pm block this to {to}")]);
    }
    // Between users, scripts are asked about what may be said.
    nick.private("master", "words");
    assert_eq!(nick.so_far(), ["<vhpy> Private messages are not for your class."]);
    master.so_far();
    master.private("OpChat", "block this");
    assert_eq!(master.so_far(), ["<vhpy> pm block this to OpChat"]);
    master.private("OpChat", "words");
    assert_eq!(master.so_far(), ["<vhpy> pm words to OpChat", "<vhpy> opchat words"]);
}

/// A command that a script handles goes no further: no other hook, no answer of the hub.
#[test]
fn a_hub_command_can_be_handled_alone() {
    let mut hub = hub("'OnHubCommand': lambda args: args[1] != 'myip'");
    let mut nick = hub.guest("nick");
    nick.chat("+myip");
    nick.private("vhpy", "+myip");
    let seen = nick.so_far().join("|");
    assert!(!seen.contains("Your address"), "{seen}");
    nick.chat("+help");
    nick.wait_for("<vhpy> Commands:");
    hub.logs_next("HOOK OnHubCommand ('nick', 'myip', 0, 0, '+')");
    hub.logs_next("HOOK OnHubCommand ('nick', 'myip', 0, 1, '+')");
    hub.logs_next("HOOK OnUserCommand ('nick', '+help')");
    assert!(!hub.has_logged("HOOK OnUserCommand ('nick', '+myip')"));
}

/// An attacked client's connection is closed with a word, or without one.
#[test]
fn a_connection_meant_for_a_client_can_be_closed_silently() {
    for (answers, word) in [("", true), ("'OnCtmToHub': lambda args: 0", false)] {
        let mut hub = hub(answers);
        let mut attacked = Client::connect(&hub, 8);
        attacked.wait_for("$Lock");
        attacked.send("$MyNick victim|$Lock EXTENDEDPROTOCOL Pk=xRef=evil.example:411|");
        assert_eq!(attacked.closed().contains("$Error CTM2HUB"), word);
        hub.logs("HOOK OnCtmToHub ('victim', '127.0.0.8', ");
        hub.logs("HOOK OnCloseConnEx ('127.0.0.8', 20, '')");
    }
}

/// Each of the two hooks of a drop prevents it, and a script that has no opinion does not.
#[test]
fn each_hook_of_a_drop_prevents_it() {
    for hook in ["OnOperatorDrops", "OnOperatorDropsWithReason"] {
        let mut hub = hub(&format!("'{hook}': lambda args: args[1] != 'kept'"));
        let mut master = hub.master();
        let mut kept = hub.guest("kept");
        let mut dropped = hub.guest("dropped");
        master.chat("!drop kept why");
        master.wait_for("A script prevented the drop.");
        master.chat("!drop dropped why");
        dropped.closed();
        hub.logs_next("HOOK OnOperatorDrops ('master', 'kept')");
        hub.logs_next("HOOK OnOperatorDropsWithReason ('master', 'dropped', 'why')");
        let seen = kept.so_far().join("|");
        assert!(seen.contains("$Quit dropped") && !seen.contains("You were dropped"), "{seen}");
    }
}

/// A command that the hub does not know is shown to scripts as chat; many look there for theirs.
#[test]
fn unknown_commands_are_chat_to_scripts() {
    let mut hub = hub("'OnParsedMsgChat': lambda args: args[1] != '+mine'");
    let mut other = hub.guest("other");
    let mut nick = hub.guest("nick");
    nick.chat("+mine");
    nick.chat("+nobodys");
    nick.wait_for("Unknown command: nobodys");
    hub.logs_next("HOOK OnParsedMsgChat ('nick', '+mine')");
    hub.logs_next("HOOK OnParsedMsgChat ('nick', '+nobodys')");
    let seen = nick.so_far().join("|") + &other.so_far().join("|");
    assert!(!seen.contains("Unknown command: mine") && !seen.contains("<nick>"), "{seen}");
}

#[test]
fn answers_of_every_form_are_honoured() {
    let hub = hub(
        "'OnParsedMsgChat': lambda args: {'text': 'other text', 'nick': ('Somebody', None), 'both': ('A>', 'b|$Quit x'), \
           'pair': ('<x> for you', 0), 'pair1': ('<x> also for you|', 1), 'none': None, 'odd': 3.5}.get(args[1], 1), \
         'OnFirstMyINFO': lambda args: ('new$desc', None, None, 'm2', '77'), \
         'OnParsedMsgMyINFO': lambda args: (None, '<y V:2,M:P>', None, None, None)",
    );
    let mut other = hub.guest("other");
    let mut nick = Client::connect(&hub, 9);
    nick.wait_for("$Lock");
    nick.send("$Supports NoHello NoGetINFO |$Key x|$ValidateNick nick|$GetNickList|$MyINFO $ALL nick d<t V:1,M:A>$ $5\x01$m$9$|");
    nick.nick = "nick".into();
    other.wait_for("$MyINFO $ALL nick new_desc<t V:1,M:A>$ $5\x01$m2$77$");
    nick.send("$MyINFO $ALL nick e<t V:1,M:A>$ $5\x01$m$9$|");
    other.wait_for("$MyINFO $ALL nick e<y V:2,M:P>$ $5\x01$m$9$");
    for (said, heard) in [
        ("text", "<nick> other text"),
        ("nick", "<Somebody> nick"),
        ("both", "<A_> b&#124;$Quit x"),
        ("none", "<nick> none"),
        ("odd", "<nick> odd"),
        ("pair1", "<nick> pair1"),
    ] {
        nick.chat(said);
        assert_eq!(other.wait_for("<"), heard);
    }
    nick.wait_for("<x> also for you");
    nick.chat("pair");
    nick.wait_for("<x> for you");
    nick.so_far();
    assert!(!other.so_far().join("|").contains("pair"));
}

#[test]
fn a_script_may_put_out_whom_it_is_asked_about() {
    let hub = HubBuilder::new()
        .script(
            "out.py",
            "def OnParsedMsgChat(nick, text):\n    vh.CloseConnection(nick)\n    return text\n\
             def OnUserLogout(nick):\n    vh.mc('bye ' + str(nick in vh.GetNickList()))\n",
        )
        .start();
    let mut other = hub.guest("other");
    let mut nick = hub.guest("nick");
    nick.chat("last words");
    other.wait_for("<nick> last words");
    other.wait_for("<vhpy> bye True");
    other.wait_for("$Quit nick");
    nick.closed();
}

/// Each row of the table of hooks has its place in these tests: as a line of the log, or as a
/// function of a script.
#[test]
fn what_a_script_says_while_it_is_asked_about_a_bots_message_is_not_asked_about() {
    let script = "
        import vh

        def OnPublicBotMessage(nick, text, least, most):
            print('ASKED', text, flush=True)
            vh.mc('nested', 'Bot')

        def OnUserLogin(nick):
            vh.mc('first', 'Bot')
            vh.mc('second', 'Bot')
        ";
    let mut hub = TestHub::with_script(&crate::support::dedent(script));
    let mut nick = hub.guest("nick");
    for said in ["nested", "first", "nested", "second"] {
        assert_eq!(nick.wait_for("<Bot> "), format!("<Bot> {said}"));
    }
    hub.logs_next("ASKED first");
    assert!(!hub.has_logged("ASKED nested"));
}

#[test]
fn who_tells_the_same_again_is_not_asked_about() {
    let script = "
        told = []

        def OnParsedMsgMyINFO(nick, desc, *rest):
            told.append(desc)
            print('TOLD', told, flush=True)
        ";
    let mut hub = TestHub::with_script(&crate::support::dedent(script));
    let mut nick = hub.guest("nick");
    for desc in ["a", "a", "b", "b", "a"] {
        nick.send(&format!("$MyINFO $ALL nick {desc}<t V:1,M:A,H:1/0/0,S:1>$ $5\x01$m$9$|"));
    }
    hub.logs("TOLD ['a', 'b', 'a']");
}

#[test]
fn no_hook_is_without_a_test() {
    let tests = include_str!("hooks.rs");
    for hook in &plugin_abi::HOOKS {
        let name = hook.name;
        let is_seen = tests.contains(&format!("HOOK {name} (")) || tests.contains(&format!("def {name}("));
        assert!(is_seen, "{name} is raised by no test");
        // Those that can block are seen to block: they answer 0, or are in a table of such.
        let blocks = [
            format!("'{name}': lambda"),
            format!("(\"{name}\", "),
            format!("'{name}', "),
            format!("'{name}')"),
        ];
        let is_blocked = blocks.iter().any(|what| tests.contains(what.as_str()));
        let drops = matches!(name, "OnOperatorDrops" | "OnParsedMsgAny");
        assert!(!hook.hook.can_block() || is_blocked || drops, "{name} blocks in no test");
    }
}
