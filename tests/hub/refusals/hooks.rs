//! What scripts answer holds for every class: each row is a hook, an answer, something that raises
//! the hook, and what is seen of it with and without the answer.

use super::{CLASSES, Town};
use crate::support::client::HubBuilder;
use crate::support::eval::eval;

/// Answers what it was last told to, with an expression of `args`; 1 to all else.
const ANSWERS: &str = "
    answers = {}
    def OnScriptCommand(command, data, *_):
        if command == 'answer':
            name, _, value = data.partition('=')
            answers.clear()
            answers[name] = value
    def hook(name):
        return lambda *args: eval(answers.get(name, '1'))
    ";

/// A hook, an answer, the classes that are tried, what they send, what is seen only if nothing is
/// answered, what is seen only with the answer. `@` is the nick, `%` the address, `WORD` is another
/// one each time.
type Row =
    (&'static str, &'static str, std::ops::RangeInclusive<i64>, &'static str, &'static str, &'static str);

const INFO: &str = "$MyINFO $ALL @ WORD<t V:1,M:A,H:1/0/0,S:1>$ $5\x01$m$100$|";

#[rustfmt::skip]
const TALK: &[Row] = &[
    ("OnParsedMsgChat", "0", 0..=10, "<@> WORD|", "WORD", ""),
    ("OnParsedMsgChat", "'other'", 0..=10, "<@> WORD|", "WORD", "<@> other|"),
    ("OnParsedMsgChat", "('Somebody', None)", 0..=10, "<@> WORD|", "<@> WORD", "<Somebody> WORD"),
    ("OnParsedMsgChat", "('Somebody', 'other')", 0..=10, "<@> WORD|", "WORD", "<Somebody> other"),
    ("OnParsedMsgChat", "('<x> for you', 0)", 0..=10, "<@> WORD|", "WORD", "<x> for you"),
    ("OnParsedMsgAny", "'word' not in args[1]", 0..=10, "<@> WORD|", "WORD", ""),
    ("OnParsedMsgPM", "0", 0..=10, "$To: witness From: @ $<@> WORD|", "WORD", ""),
    ("OnParsedMsgMCTo", "0", 0..=10, "$MCTo: witness $@ WORD|", "WORD", ""),
    ("OnParsedMsgSearch", "0", 0..=10, "$Search %:5 F?T?0?1?WORD|", "WORD", ""),
    ("OnParsedMsgSR", "0", 0..=10, "$SR @ WORD\x051 1/1\x05h (x:1)\x05witness|", "WORD", ""),
    ("OnParsedMsgConnectToMe", "0", 0..=10, "$ConnectToMe witness %:77|", "$ConnectToMe", ""),
    ("OnParsedMsgRevConnectToMe", "0", 0..=10, "$RevConnectToMe @ witness|", "$RevConnectToMe", ""),
    ("OnParsedMsgMyINFO", "0", 0..=10, INFO, "WORD", ""),
    ("OnParsedMsgMyINFO", "('new', None, None, None, None)", 0..=10, INFO, "WORD", "$MyINFO $ALL @ new<t"),
    ("OnParsedMsgMyINFO", "(None, None, None, 'mail', '77')", 0..=10, INFO, "$m$100$", "$mail$77$"),
    ("OnParsedMsgExtJSON", "0", 0..=10, "$ExtJSON @ {\"WORD\": 1}|", "WORD", ""),
    ("OnUserCommand", "0", 0..=2, "<@> +myip|", "Your address", ""),
    ("OnHubCommand", "args[1] != 'myip'", 0..=10, "<@> +myip|", "Your address", ""),
    ("OnOperatorCommand", "0", 3..=10, "<@> !help|", "Commands", ""),
    ("OnOpChatMessage", "0", 3..=5, "$To: OpChat From: @ $<@> WORD|", "<@> WORD", ""),
    ("OnSetConfig", "0", 10..=10, "<@> !topic WORD|", "WORD", "a script prevented the change"),
    ("OnOperatorKicks", "0", 3..=10, "<@> !kick victim WORD|", "$Quit victim", "A script prevented the kick."),
    ("OnOperatorDrops", "0", 3..=10, "<@> !drop victim WORD|", "$Quit victim", "A script prevented the drop."),
    ("OnOperatorDropsWithReason", "0", 3..=10, "<@> !drop victim WORD|", "$Quit victim", "A script prevented the drop."),
    ("OnNewBan", "0", 4..=10, "<@> !ban WORD 1h x|", "is banned", "A script prevented the ban."),
    ("OnNewReg", "0", 5..=10, "<@> !regnew WORD 1 password|", "is registered", "a script prevented it"),
];

/// Hooks of a login; the answer 0 is its end.
const LOGIN: &[&str] = &[
    "OnNewConn",
    "OnParsedMsgAnyEx",
    "OnParsedMsgValidateNick",
    "OnParsedMsgVersion",
    "OnParsedMsgMyHubURL",
    "OnParsedMsgBotINFO",
    "OnParsedMsgMyPass",
    "OnValidateTag",
    "OnFirstMyINFO",
    "OnUserInList",
    "OnUserLogin",
];

/// The hooks that can block and have tests of their own: [`crate::hooks`].
const ELSEWHERE: &[&str] = &["OnPublicBotMessage", "OnParsedMsgSupports", "OnCtmToHub"];

fn town() -> Town {
    let hooks = plugin_abi::HOOKS.iter().filter(|spec| spec.hook.can_block());
    let functions: String = hooks.map(|spec| format!("    {0} = hook('{0}')\n", spec.name)).collect();
    let builder = HubBuilder::new().set("max_class_proto_flood", "10").set("classdif_kick", "0");
    Town::with(builder.script("answers.py", &format!("{ANSWERS}\n{functions}")))
}

fn answer(town: &mut Town, hook: &str, value: &str) {
    let command = format!("vh.ScriptCommand('answer', {:?}, 1)", format!("{hook}={value}"));
    eval(&mut town.master, &command);
}

#[test]
fn answers_hold_for_every_class() {
    let mut town = town();
    let mut number = 0;
    for (hook, value, classes, deed, without, with) in TALK {
        for class in CLASSES.into_iter().filter(|class| classes.contains(class)) {
            let host = if class == 10 { 1 } else { Town::host(class) };
            for answered in [false, true] {
                number += 1;
                let word = format!("word{number}");
                let fill = |text: &str| {
                    let text = text.replace('@', &Town::nick(class)).replace("WORD", &word);
                    text.replace('%', &format!("127.0.0.{host}"))
                };
                let mut victim = None;
                if deed.contains("victim") {
                    victim =
                        Some(crate::support::client::Client::connect(&town.hub, 99).login("victim", None));
                    // A kick keeps its victim out for a while.
                    eval(&mut town.master, "vh.SQL('delete from banlist')");
                }
                town.person(class);
                answer(&mut town, hook, if answered { value } else { "1" });
                let seen = town.does(class, &fill(deed));
                answer(&mut town, "", "");
                if let Some(victim) = victim {
                    drop(victim);
                    town.witness.so_far();
                    eval(&mut town.master, "vh.SQL('delete from banlist')");
                }
                let holds = seen.contains(&fill(without)) != answered
                    && (with.is_empty() || seen.contains(&fill(with)) == answered);
                let answered = if answered { value } else { "1" };
                assert!(holds, "{hook} answers {answered}, class {class}: {} led to\n{seen}", fill(deed));
            }
        }
    }
}

#[test]
fn answers_end_logins_of_every_class() {
    let mut town = town();
    for class in [0, 1, 2, 3, 4, 5] {
        let (nick, password) = match class {
            0 => ("@".to_string(), String::new()),
            _ => (format!("late{class}"), format!("$MyPass password{class}|")),
        };
        let login = format!(
            "$Supports NoHello BotINFO HubURL|$Key x|$ValidateNick {nick}|{password}$Version 1|$MyHubURL x|$BotINFO x|\
             $MyINFO $ALL {nick} d<t V:1,M:A,H:1/0/0,S:1>$ $5\x01$m$100$|"
        );
        for hook in [""].iter().chain(LOGIN).filter(|hook| class > 0 || **hook != "OnParsedMsgMyPass") {
            answer(&mut town, hook, "0");
            let seen = town.newcomer(50 + u8::try_from(class).unwrap(), &login);
            answer(&mut town, "", "");
            assert_eq!(
                seen.contains("[closed]"),
                !hook.is_empty(),
                "{hook} answers 0, class {class}:\n{seen}"
            );
        }
    }
}

#[test]
fn no_hook_that_can_block_is_without_a_row() {
    let tried = |name: &str| {
        TALK.iter().any(|row| row.0 == name) || LOGIN.contains(&name) || ELSEWHERE.contains(&name)
    };
    for spec in plugin_abi::HOOKS.iter().filter(|spec| spec.hook.can_block()) {
        assert!(tried(spec.name), "{} has no row", spec.name);
    }
    let replaces = |name: &str| TALK.iter().any(|row| row.0 == name && row.1 != "0");
    for spec in plugin_abi::HOOKS.iter().filter(|spec| spec.replaces != plugin_abi::hook::Replaces::Never) {
        // The first MyINFO is replaced in a login: `answers_of_every_form_are_honoured`.
        assert!(replaces(spec.name) || spec.name == "OnFirstMyINFO", "{} replaces in no row", spec.name);
    }
}
