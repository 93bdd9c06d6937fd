//! Who may do what: every command, variable, flood limit and kind of account, with somebody who
//! just may, and with somebody who just may not. What there is the hub says itself (`+help`,
//! `!pyhelp`, `!getconfig`), so what is new and has no row here fails.
#![cfg(feature = "cli")]

#[path = "support/client.rs"]
mod client;
#[path = "support/eval.rs"]
mod eval;

use std::collections::{BTreeMap, BTreeSet};

use client::{Client, HubBuilder, TestHub};
use eval::{EVAL, eval};

/// All classes, from the lowest.
const CLASSES: [i64; 8] = [-1, 0, 1, 2, 3, 4, 5, 10];

/// The highest class below another.
fn just_below(class: i64) -> Option<i64> {
    CLASSES.into_iter().filter(|other| *other < class).max()
}

/// A hub with somebody of each class, who come when they are needed.
struct Town {
    hub: TestHub,
    master: Client,
    /// A guest who does nothing, and sees what everybody sees.
    witness: Client,
    people: BTreeMap<i64, Client>,
    newcomers: u8,
}

impl Town {
    fn new() -> Town {
        Town::with(HubBuilder::new())
    }

    fn with(builder: HubBuilder) -> Town {
        let hub = builder.script("eval.py", EVAL).set("wrongpassword_report", "1").start();
        let mut master = hub.master();
        let witness = Client::connect(&hub, 2).login("witness", None);
        for class in [1, 2, 3, 4, 5] {
            for name in ["class", "late"] {
                master.chat(&format!("!regnew {name}{class} {class} password{class}"));
                master.wait_for("is registered.");
            }
        }
        Town { hub, master, witness, people: BTreeMap::new(), newcomers: 0 }
    }

    fn nick(class: i64) -> String {
        match class {
            10 => "master".into(),
            -1 => "pinger".into(),
            class => format!("class{class}"),
        }
    }

    /// Everybody has an address of their own: 127.0.0.HOST.
    fn host(class: i64) -> u8 {
        u8::try_from(10 + class).expect("a class")
    }

    /// The value of a variable.
    fn get(&mut self, name: &str) -> String {
        self.master.chat(&format!("!getconfig {name}"));
        let answer = self.master.wait_for(&format!("<vhpy> {name} ="));
        answer.split_once(" = ").map(|(_, value)| value.to_string()).unwrap_or_default()
    }

    fn set(&mut self, name: &str, value: &str) {
        self.master.chat(&format!("!setconfig {name} {value}"));
        let answer = self.master.wait_for("<vhpy> ");
        assert!(answer.contains(&format!("> {name} = {value}")), "{answer}");
    }

    /// Sets variables; gives what undoes it.
    fn set_all<'n>(&mut self, values: &[(&'n str, &str)]) -> Vec<(&'n str, String)> {
        let before = values.iter().map(|(name, _)| (*name, self.get(name))).collect();
        values.iter().for_each(|(name, value)| self.set(name, value));
        before
    }

    fn set_back(&mut self, before: Vec<(&str, String)>) {
        before.iter().for_each(|(name, value)| self.set(name, value));
    }

    /// Somebody of a class.
    fn person(&mut self, class: i64) -> &mut Client {
        if class == 10 {
            return &mut self.master;
        }
        let hub = &self.hub;
        self.people.entry(class).or_insert_with(|| {
            let mut client = Client::connect(hub, Town::host(class));
            if class == -1 {
                client.supports += " BotINFO";
            }
            let password = (class > 0).then(|| format!("password{class}"));
            client.login(&Town::nick(class), password.as_deref())
        })
    }

    /// Lets somebody say something, in which `@` is their nick. What they, the witness and the
    /// master were sent then, and whether they are still there.
    fn says(&mut self, class: i64, message: &str) -> String {
        let nick = Town::nick(class);
        self.person(class).so_far();
        self.witness.so_far();
        self.master.so_far();
        let person = self.person(class);
        person.send(&message.replace('@', &nick));
        let (mut seen, open) = until_answered(person, &nick);
        self.settle(&nick, open, &mut seen);
        if !open {
            self.people.remove(&class);
        }
        seen
    }

    /// A new connection from 127.0.0.HOST that sends this, in which `@` is a new nick unless it
    /// logs in with another. What is seen then.
    fn newcomer(&mut self, host: u8, message: &str) -> String {
        self.newcomers += 1;
        let message = message.replace('@', &format!("new{}", self.newcomers));
        let nick = message.split("$ValidateNick ").nth(1).and_then(|rest| rest.split('|').next());
        let nick = nick.unwrap_or("nobody").to_string();
        self.witness.so_far();
        self.master.so_far();
        let mut client = Client::connect(&self.hub, host);
        client.send(&message);
        let (mut seen, open) = until_answered(&mut client, &nick);
        self.settle(&nick, open || !seen.contains("$MyINFO"), &mut seen);
        drop(client);
        if open {
            self.witness.wait_for(&format!("$Quit {nick}"));
        }
        seen
    }

    /// What the witness and the master have seen; of who is gone, they have seen that too.
    fn settle(&mut self, nick: &str, open: bool, seen: &mut String) {
        for other in [&mut self.witness, &mut self.master] {
            let mut gone = open || other.nick == nick;
            loop {
                let messages = other.so_far();
                gone |= messages.iter().any(|message| *message == format!("$Quit {nick}"));
                *seen += &messages.join("|\n");
                if gone {
                    break;
                }
            }
        }
    }

    /// What happens when somebody does something.
    fn does(&mut self, class: i64, deed: &str) -> String {
        match deed.strip_prefix('*') {
            None => self.says(class, deed),
            Some(rest) => {
                let (host, message) = rest.split_once(' ').expect("a host and what it sends");
                self.newcomer(host.parse().expect("a number"), message)
            }
        }
    }
}

/// All that a client is sent until the hub has answered to something that is sent now; whether
/// the connection is still open.
fn until_answered(client: &mut Client, nick: &str) -> (String, bool) {
    client.send(&format!("$GetINFO nobody-at-all {nick}|"));
    let mut seen = String::new();
    while let Some(message) = client.next() {
        let message = String::from_utf8_lossy(&message).into_owned();
        if message == "$Quit nobody-at-all" {
            return (seen + "[open]", true);
        }
        seen += &message;
        seen += "|\n";
    }
    (seen + "[closed]", false)
}

/// Variables as `!getconfig` lists them: name and meaning.
fn variables(town: &mut Town) -> Vec<(String, String)> {
    town.master.chat("!getconfig");
    let list = town.master.wait_for("> Variables:");
    let rows = list.lines().skip(1).filter_map(|line| {
        let (name, rest) = line.split_once(" = ")?;
        Some((name.to_string(), rest.split_once("  - ")?.1.to_string()))
    });
    let rows: Vec<_> = rows.collect();
    assert!(rows.len() > 100, "{list}");
    rows
}

/// Each command of the hub: from which class on, and how it answers when nothing follows it.
const COMMANDS: &[(&str, i64, &str)] = &[
    ("help", -1, "> Commands:"),
    ("myip", -1, "> Your address is 127.0.0."),
    ("passwd", 0, "> Usage: !passwd"),
    ("regnew", 4, "> Usage: !regnew"),
    ("regclass", 4, "> Usage: !regclass"),
    ("regpasswd", 4, "> Usage: !regpasswd"),
    ("delreg", 4, "> Usage: !delreg"),
    ("kick", 3, "> Usage: !kick"),
    ("drop", 3, "> Usage: !drop"),
    ("ban", 3, "> Usage: !ban"),
    ("unban", 3, "> Usage: !unban"),
    ("topic", 4, "> There is no topic."),
    ("getconfig", 5, "> Variables:"),
    ("setconfig", 5, "> Usage: !setconfig"),
    ("stop", 5, "> The hub stops."),
];

/// Those about scripts; below class 4 they are nothing that the hub knows.
const SCRIPT_COMMANDS: &[(&str, &str)] = &[
    ("pyload", "Usage: !pyload"),
    ("pyunload", "Usage: !pyunload"),
    ("pyreload", "eval is reloaded"),
    ("pylist", "ID  Name"),
    ("pyfiles", "eval.py"),
    ("pylog", "log level"),
    ("pyset", "Usage: !pyset"),
    ("pyhelp", "!pyload"),
];

#[test]
fn every_command_is_for_its_class_and_no_lower() {
    let mut town = Town::new();
    let names = |help: &str| -> BTreeSet<String> {
        let lines =
            help.lines().filter_map(|line| line.trim_start_matches("<vhpy> ").strip_prefix(['!', '+']));
        lines.filter_map(|line| line.split([' ', ',']).next()).map(str::to_string).collect()
    };
    // `+help` shows everybody what they may do, and nothing else.
    for class in CLASSES {
        let person = town.person(class);
        person.chat("+help");
        let help = person.wait_for("Commands:");
        let mut wanted: BTreeSet<String> = COMMANDS
            .iter()
            .filter(|(_, least, _)| class >= *least)
            .map(|(name, ..)| (*name).into())
            .collect();
        wanted.extend((class >= 4).then(|| "pylist".to_string()));
        assert_eq!(names(&help), wanted, "what class {class} may do");
    }
    town.master.chat("!pyhelp");
    let help = town.master.wait_for("!pyload");
    assert_eq!(names(&help), SCRIPT_COMMANDS.iter().map(|(name, _)| (*name).into()).collect());

    // In the chat and to the bot; what is refused says so, and leads to nothing.
    for deed in ["<@> +%|", "$To: vhpy From: @ $<@> +%|"] {
        for (name, least, answer) in COMMANDS {
            let deed = deed.replace('%', name);
            if let Some(class) = just_below(*least) {
                let seen = town.says(class, &deed);
                let refusal = format!("> {name} is for class {least} and higher.");
                assert!(seen.contains(&refusal) && !seen.contains(answer), "{name} by class {class}: {seen}");
            }
            if *name != "stop" {
                let seen = town.says(*least, &deed);
                assert!(seen.contains(answer), "{name} by class {least}: {seen}");
            }
        }
        for (name, answer) in SCRIPT_COMMANDS {
            let deed = deed.replace('%', name);
            let seen = town.says(3, &deed);
            let refusal = format!("Unknown command: {name};");
            assert!(seen.contains(&refusal) && !seen.contains(answer), "{name} by class 3: {seen}");
            let seen = town.says(4, &deed);
            assert!(seen.contains(answer) && !seen.contains(&refusal), "{name} by class 4: {seen}");
        }
    }
    town.person(5).chat("!stop 3");
    assert_eq!(town.hub.ended().0, 3);
}

/// What is seen of a deed, or not.
enum Then {
    /// This is seen.
    Seen(&'static str),
    /// The first is seen, and the second is not.
    Refused(&'static str, &'static str),
}

use Then::{Refused, Seen};

/// With a variable's value, what somebody of a class does, and what comes of it.
type Step = (&'static str, i64, &'static str, Then);

/// Logs in as somebody new, from 127.0.0.3.
macro_rules! new {
    ($nick:literal, $info:literal) => {
        new!("*3 ", "NoHello NoGetINFO", $nick, $info)
    };
    ($from:literal, $supports:literal, $nick:literal, $info:literal) => {
        concat!(
            $from,
            "$Supports ",
            $supports,
            "|$Key x|$ValidateNick ",
            $nick,
            "|$GetNickList|$MyINFO $ALL ",
            $nick,
            " ",
            $info,
            "|"
        )
    };
}

/// Logs in with a password.
macro_rules! late {
    ($class:literal, $info:literal) => {
        late!("*3 ", $class, $info)
    };
    ($from:literal, $class:literal, $info:literal) => {
        concat!(
            $from,
            "$Supports NoHello NoGetINFO|$Key x|$ValidateNick late",
            $class,
            "|$MyPass password",
            $class,
            "|$MyINFO $ALL late",
            $class,
            " ",
            $info,
            "|"
        )
    };
}

const CHAT: &str = "<@> word|";
const PM: &str = "$To: witness From: @ $<@> word|";
const SEARCH: &str = "$Search 127.0.0.1:5 F?T?0?1?word|";
const KICK_NOBODY: &str = "$OpForceMove $Who:vhpy$Where:x$Msg:y|";
const PINGER: &str =
    "*9 $Supports BotINFO NoHello|$Key x|$ValidateNick @|$BotINFO x|$MyINFO $ALL @ d$ $5\x01$$1$|";
const COMES: &str = new!("@", "d<t V:1,M:A,H:1/0/0,S:1>$ $5\x01$m$100$");

/// Every variable that decides who may do what, and how much. Those in the second list are
/// tested elsewhere.
#[rustfmt::skip]
const VARIABLES: &[(&str, &[Step])] = &[
    // Classes: just below, and the one that may.
    ("opchat_class", &[
        ("2", 1, "$To: OpChat From: @ $<@> word|", Refused("operators' chat is for operators", "$<class1> word")),
        ("2", 2, "$To: OpChat From: @ $<@> word|", Seen("$<class2> word")),
            // Who may not write there reads nothing either.
        ("3", 3, "$To: OpChat From: @ $<@> word|", Refused("From: OpChat $<class3> word", "To: witness")),
    ]),
    ("oplist_class", &[
        ("2", 1, "$GetNickList|", Refused("$OpList ", "class1$$")),
        ("1", 1, "$GetNickList|", Seen("class1$$")),
    ]),
    ("min_class_use_hub", &[
        ("2", 1, SEARCH, Refused("Searches and downloads are for class 2", "?word")),
        ("2", 2, SEARCH, Seen("?word")),
        ("2", 1, "$ConnectToMe witness 127.0.0.1:5|", Refused("Searches and downloads are for", "$ConnectToMe")),
        ("2", 2, "$ConnectToMe witness 127.0.0.1:5|", Seen("$ConnectToMe witness")),
        ("2", 1, "$RevConnectToMe @ witness|", Refused("Searches and downloads are for", "$RevConnectToMe")),
        ("2", 2, "$RevConnectToMe @ witness|", Seen("$RevConnectToMe class2 witness")),
    ]),
    ("min_class_register", &[
        ("3", 2, "<@> +regnew|", Refused("regnew is for class 3", "Usage")),
        ("3", 3, "<@> +regnew|", Seen("Usage: !regnew")),
    ]),
    ("min_class_redir", &[
        ("4", 3, KICK_NOBODY, Refused("This is for class 4 and higher.", "is a bot")),
        ("4", 4, KICK_NOBODY, Seen("vhpy is a bot.")),
        ("5", 4, KICK_NOBODY, Refused("This is for class 5 and higher.", "is a bot")),
            // Operators alone put anybody out, whatever the variable says.
        ("1", 2, "$OpForceMove $Who:witness$Where:x$Msg:y|", Refused("You may not put witness out.", "$Quit witness")),
    ]),
    ("topic_mod_class", &[
        ("2", 1, "<@> +topic word|", Refused("topic is for class 2 and higher.", "word")),
        ("2", 2, "<@> +topic word|", Seen("The topic is now: word")),
        ("2", 1, "$SetTopic other|", Refused("This is for class 2 and higher.", "other")),
        ("2", 2, "$SetTopic other|", Seen("$HubTopic other")),
        ("2", 2, "<@> +topic -|", Seen("The topic is now: ")),
    ]),
    ("plugin_mod_class", &[
        ("2", 1, "<@> +pylist|", Refused("Unknown command: pylist", "ID  Name")),
        ("2", 2, "<@> +pylist|", Seen("ID  Name")),
        ("5", 4, "<@> +pylist|", Refused("Unknown command: pylist", "ID  Name")),
    ]),
    ("user_ip_class", &[
        ("3", 2, "$UserIP witness$$@|", Refused("$UserIP class2 127.0.0.12$$|", "witness 127")),
        ("3", 3, "$UserIP witness$$@|", Seen("$UserIP witness 127.0.0.2$$class3 127.0.0.13$$")),
        ("2", 2, "$UserIP witness$$@|", Seen("witness 127.0.0.2$$")),
        ("2", 1, "$UserIP witness$$@|", Refused("$UserIP class1 127.0.0.11$$|", "witness 127")),
    ]),
    ("mainchat_class", &[
        ("2", 1, CHAT, Refused("The main chat is for class 2 and higher.", "> word")),
        ("2", 2, CHAT, Seen("<class2> word")),
    ]),
    ("private_class", &[
        ("2", 1, PM, Refused("Private messages are not for your class.", "$<class1>")),
        ("2", 2, PM, Seen("$<class2> word")),
        ("2", 1, "$MCTo: witness $@ word|", Refused("Private messages are not for your class.", "$class1")),
        ("2", 2, "$MCTo: witness $@ word|", Seen("$class2 word")),
    ]),
    ("classdif_pm", &[
        ("8", 1, "$To: master From: @ $<@> word|", Refused("You may not write to this user.", "$<class1>")),
        ("8", 2, "$To: master From: @ $<@> word|", Seen("$<class2> word")),
    ]),
    ("classdif_download", &[
        ("8", 1, "$ConnectToMe master 127.0.0.1:5|", Refused("You may not download from master.", "$ConnectToMe")),
        ("8", 2, "$ConnectToMe master 127.0.0.1:5|", Seen("$ConnectToMe master")),
        ("8", 1, "$RevConnectToMe @ master|", Refused("You may not download from master.", "$RevConnectToMe")),
        ("8", 2, "$RevConnectToMe @ master|", Seen("$RevConnectToMe class2 master")),
    ]),
    ("classdif_reg", &[
        ("2", 4, "<@> !regnew @x 3 password|", Refused("your class does not allow it", "is registered")),
        ("2", 4, "<@> !regnew @x 2 password|", Seen("class4x is registered.")),
        ("2", 4, "<@> !regclass @x 3|", Refused("your class does not allow it", "has class 3")),
        ("2", 4, "<@> !regclass @x 1|", Seen("has class 1 now")),
        ("2", 4, "<@> !regclass late3 1|", Refused("your class does not allow it", "has class 1")),
        ("2", 4, "<@> !regpasswd late3 password|", Refused("your class does not allow it", "has a new")),
        ("2", 4, "<@> !regpasswd @x password|", Seen("has a new password")),
        ("2", 4, "<@> !delreg late3|", Refused("your class does not allow it", "no longer")),
        ("2", 4, "<@> !delreg @x|", Seen("is no longer registered")),
        ("1", 4, "<@> !regnew @y 4 password|", Refused("your class does not allow it", "is registered")),
        ("1", 4, "<@> !regnew @y 3 password|", Seen("class4y is registered.")),
        ("1", 4, "<@> !delreg @y|", Seen("is no longer registered")),
        ("6", 10, "<@> !regnew @z 10 password|", Seen("masterz is registered.")),
        ("6", 10, "<@> !delreg @z|", Seen("is no longer registered")),
    ]),
    // How many.
    ("max_users", &[
        ("0", 0, COMES, Refused("$HubIsFull", "$MyINFO")),
        ("0", 2, late!(2, "d$ $5\x01$m$100$"), Refused("$HubIsFull", "$MyINFO")),
        ("0", 3, late!(3, "d$ $5\x01$m$100$"), Seen("$MyINFO $ALL late3")),
    ]),
    ("max_users_from_ip", &[
        ("1", 0, new!("*2 ", "NoHello", "@", "d$ $5\x01$m$100$"), Refused("From your address 127.0.0.2 there are 1 users", "$MyINFO")),
        ("1", 0, COMES, Seen("$MyINFO $ALL new")),
        ("2", 0, new!("*2 ", "NoHello", "@", "d$ $5\x01$m$100$"), Seen("$MyINFO $ALL new")),
        ("1", 3, late!("*2 ", 3, "d$ $5\x01$m$100$"), Seen("$MyINFO $ALL late3")),
    ]),
    ("min_share", &[
        ("1", 0, new!("@", "d$ $5\x01$m$1048575$"), Refused("at least 1.00 MiB is wanted", "$MyINFO")),
        ("1", 0, new!("@", "d$ $5\x01$m$1048576$"), Seen("$MyINFO $ALL new")),
        ("1", 1, late!(1, "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL late1")),
    ]),
    ("min_share_reg", &[
        ("1", 1, late!(1, "d$ $5\x01$m$1048575$"), Refused("is wanted", "$MyINFO")),
        ("1", 1, late!(1, "d$ $5\x01$m$1048576$"), Seen("$MyINFO $ALL late1")),
        ("1", 2, late!(2, "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL late2")),
    ]),
    ("min_share_vip", &[
        ("1", 2, late!(2, "d$ $5\x01$m$1048575$"), Refused("is wanted", "$MyINFO")),
        ("1", 2, late!(2, "d$ $5\x01$m$1048576$"), Seen("$MyINFO $ALL late2")),
        ("1", 3, late!(3, "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL late3")),
    ]),
    ("min_share_ops", &[
        ("1", 3, late!(3, "d$ $5\x01$m$1048575$"), Refused("is wanted", "$MyINFO")),
        ("1", 3, late!(3, "d$ $5\x01$m$1048576$"), Seen("$MyINFO $ALL late3")),
        ("1", 4, late!(4, "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL late4")),
    ]),
    ("max_share", &[
        ("1", 0, new!("@", "d$ $5\x01$m$1048577$"), Refused("at most 1.00 MiB is wanted", "$MyINFO")),
        ("1", 0, new!("@", "d$ $5\x01$m$1048576$"), Seen("$MyINFO $ALL new")),
        ("1", 3, late!(3, "d$ $5\x01$m$1048577$"), Refused("at most", "$MyINFO")),
        ("1", 4, late!(4, "d$ $5\x01$m$1048577$"), Seen("$MyINFO $ALL late4")),
    ]),
    ("max_nick", &[
        ("5", 0, new!("sixsix", "d$ $5\x01$m$1$"), Refused("$ValidateDenide sixsix", "$MyINFO")),
        ("5", 0, new!("fives", "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL fives")),
    ]),
    ("min_nick", &[
        ("3", 0, new!("ab", "d$ $5\x01$m$1$"), Refused("A nick must have 3 to 64 bytes.", "$MyINFO")),
        ("3", 0, new!("abc", "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL abc")),
    ]),
    ("nick_chars", &[
        ("abc", 0, new!("abcd", "d$ $5\x01$m$1$"), Refused("A nick may hold only these characters: abc", "$MyINFO")),
        ("abc", 0, new!("cab", "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL cab")),
    ]),
    ("nick_prefix", &[
        ("[x]", 0, new!("x", "d$ $5\x01$m$1$"), Refused("A nick must begin with [x]", "$MyINFO")),
        ("[x]", 0, new!("[x]x", "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL [x]x")),
        ("[x]", 1, late!(1, "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL late1")),
    ]),
    ("max_chat_msg", &[
        ("5", 1, "<@> 123456|", Refused("it has 6 bytes, and 5 are allowed", "> 123456")),
        ("5", 1, "<@> 12345|", Seen("<class1> 12345")),
        ("5", 2, "<@> 123456|", Seen("<class2> 123456")),
    ]),
    ("max_chat_lines", &[
        ("2", 1, "<@> a\nb\nc|", Refused("2 lines are allowed", "> a")),
        ("2", 1, "<@> a\nb|", Seen("<class1> a\nb")),
        ("2", 2, "<@> a\nb\nc|", Seen("<class2> a\nb\nc")),
    ]),
    ("max_pm_msg", &[
        ("5", 1, "$To: witness From: @ $<@> 123456|", Refused("it has 6 bytes, and 5 are allowed", "$<class1>")),
        ("5", 1, "$To: witness From: @ $<@> 12345|", Seen("$<class1> 12345")),
        ("5", 2, "$To: witness From: @ $<@> 123456|", Seen("$<class2> 123456")),
    ]),
    ("max_mcto_msg", &[
        ("5", 1, "$MCTo: witness $@ 123456|", Refused("it has 6 bytes, and 5 are allowed", "$class1")),
        ("5", 1, "$MCTo: witness $@ 12345|", Seen("$class1 12345")),
        ("5", 2, "$MCTo: witness $@ 123456|", Seen("$class2 123456")),
    ]),
    ("max_len_myinfo", &[
        ("38", 5, "$MyINFO $ALL @ 123456789$ $5\x01$$100$|", Refused("38 are allowed", "123456789$")),
        ("38", 5, "$MyINFO $ALL @ 1234567$ $5\x01$$100$|", Seen("1234567$")),
    ]),
    ("max_len_supports", &[
        ("19", 0, "*3 $Supports NoGetINFO|$Key x|", Seen("$Supports")),
        ("18", 0, "*3 $Supports NoGetINFO|$Key x|", Refused("$Supports of 19 bytes; 18 are allowed", "$Supports NoGetINFO")),
    ]),
    ("max_len_search", &[
        ("32", 5, SEARCH, Seen("?word")),
        ("31", 5, SEARCH, Refused("$Search of 32 bytes; 31 are allowed", "?word")),
    ]),
    ("max_len_extjson", &[
        ("24", 5, "$ExtJSON @ {\"a\":\"word\"}|", Refused("bytes; 24 are allowed", "$ExtJSON class5")),
        ("29", 5, "$ExtJSON @ {\"a\":\"word\"}|", Seen("$ExtJSON class5")),
    ]),
    ("max_len_myhuburl", &[
        ("22", 5, "$MyHubURL dchub://word|", Seen("[open]")),
        ("21", 5, "$MyHubURL dchub://word|", Refused("$MyHubURL of 22 bytes; 21 are allowed", "[open]")),
    ]),
    ("min_search_chars", &[
        ("5", 1, SEARCH, Refused("Search for at least 5 characters.", "?word")),
        ("4", 1, SEARCH, Seen("?word")),
        ("5", 2, SEARCH, Seen("?word")),
    ]),
    ("max_passive_sr", &[
        ("1", 1, "$SR @ first\x051 1/1\x05h (x:1)\x05witness|$SR @ second\x051 1/1\x05h (x:1)\x05witness|", Refused("first", "second")),
        ("3", 1, "$SR @ third\x051 1/1\x05h (x:1)\x05witness|$SR @ fourth\x051 1/1\x05h (x:1)\x05witness|", Refused("third", "fourth")),
    ]),
    ("adv_max_message_size", &[
        ("64", 5, "<@> 12345678901234567890123456789012345678901234567890123456|", Refused("a message of more than 64 bytes", "<class5>")),
        ("64", 5, "<@> 1234567890123456789012345678901234567890123456789012345|", Seen("<class5> 1234567")),
    ]),
    ("int_chat_ms", &[
        ("80000000", 1, "<@> one|<@> two|", Refused("wait 80000000 ms between two", "> two")),
        ("80000000", 2, "<@> one|<@> two|", Seen("<class2> two")),
        ("80000000", 0, "<@> one|", Seen("<class0> one")),
    ]),
    ("max_flood_counter_pm", &[
        ("1", 2, "$To: witness From: @ $<@> a|$To: witness From: @ $<@> a|$To: witness From: @ $<@> a|", Refused("the same private message too often", "[open]")),
        ("2", 2, "$To: witness From: @ $<@> a|$To: witness From: @ $<@> a|$To: witness From: @ $<@> a|", Seen("[open]")),
        ("1", 3, "$To: witness From: @ $<@> a|$To: witness From: @ $<@> a|$To: witness From: @ $<@> a|", Seen("[open]")),
    ]),
    ("tag_allow_none", &[
        ("0", 0, new!("@", "d$ $5\x01$m$1$"), Refused("Your client must show its tag.", "$MyINFO")),
        ("0", 0, COMES, Seen("$MyINFO $ALL new")),
        ("0", 2, late!(2, "d$ $5\x01$m$1$"), Refused("Your client must show its tag.", "$MyINFO")),
        ("0", 3, late!(3, "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL late3")),
    ]),
    ("tag_max_hubs", &[
        ("5", 0, new!("@", "d<t V:1,M:A,H:3/2/1,S:1>$ $5\x01$m$1$"), Refused("You are in 6 hubs; 5 are allowed.", "$MyINFO")),
        ("6", 0, new!("@", "d<t V:1,M:A,H:3/2/1,S:1>$ $5\x01$m$1$"), Seen("$MyINFO $ALL new")),
        ("5", 3, late!(3, "d<t V:1,M:A,H:3/2/1,S:1>$ $5\x01$m$1$"), Seen("$MyINFO $ALL late3")),
    ]),
    ("password_min_len", &[
        ("9", 5, "<@> !regpasswd late1 password|", Refused("at least 9 bytes", "has a new password")),
        ("9", 5, "<@> !regpasswd late1 password1|", Seen("late1 has a new password")),
        ("9", 1, "<@> +passwd password|", Refused("at least 9 bytes", "has a new password")),
        ("9", 1, "<@> +passwd password1|", Seen("class1 has a new password")),
        ("9", 5, "<@> !regnew @x 1 password|", Refused("at least 9 bytes", "is registered")),
    ]),
    ("classdif_kick", &[
        ("0", 3, "$Kick class4|", Refused("You may not put class4 out.", "$Quit class4")),
        ("1", 3, "$Kick class3|", Refused("You may not put class3 out.", "$Quit")),
        ("2", 4, "$Kick class3|", Refused("You may not put class3 out.", "$Quit")),
        ("1", 4, "$Close class3|", Seen("$Quit class3")),
    ]),
    // Whether and how.
    ("send_user_ip", &[
        ("0", 0, COMES, Refused("$MyINFO $ALL new", "127.0.0.3$$")),
        ("1", 0, COMES, Seen("127.0.0.3$$")),
        ("0", 4, "$GetNickList|", Refused("$OpList", "$UserIP")),
        ("1", 4, "$GetNickList|", Seen("witness 127.0.0.2$$")),
    ]),
    ("send_user_info", &[
        ("1", 0, COMES, Seen("(guest) from 127.0.0.3 and share 100 B.")),
        ("0", 0, COMES, Refused("$MyINFO", "(guest) from")),
    ]),
    ("drop_invalid_key", &[
        ("1", 0, COMES, Refused("Your client sent a wrong key.", "$MyINFO")),
        ("0", 0, COMES, Seen("$MyINFO")),
    ]),
    ("detect_ctmtohub", &[
        ("1", 0, "*3 $MyNick x|$Lock y Ref=z|", Seen("$Error CTM2HUB")),
        ("0", 0, "*3 $MyNick x|$Lock y Ref=z|", Refused("", "$Error CTM2HUB")),
    ]),
    ("disable_extjson", &[
        ("1", 5, "$ExtJSON @ {\"b\":1}|", Refused("[open]", "$ExtJSON")),
        ("0", 5, "$ExtJSON @ {\"b\":2}|", Seen("$ExtJSON class5")),
        ("1", 0, new!("*3 ", "NoHello ExtJSON2", "@", "d$ $5\x01$m$1$"), Refused("$Supports ", "$Supports ExtJSON2")),
    ]),
    ("show_desc_len", &[
        ("2", 0, new!("@", "word<t V:1>$ $5\x01$m$1$"), Refused(" wo<t V:1>$ $5", "word")),
        ("-1", 0, new!("@", "word<t V:1>$ $5\x01$m$1$"), Seen(" word<t V:1>$ $5")),
    ]),
    ("show_email", &[
        ("0", 0, new!("@", "d$ $5\x01$post$1$"), Refused("$MyINFO $ALL new", "post")),
        ("1", 0, new!("@", "d$ $5\x01$post$1$"), Seen("$post$")),
    ]),
    ("show_tags", &[
        ("0", 0, new!("@", "d<tag V:1>$ $5\x01$m$1$"), Refused("$MyINFO $ALL new", "<tag V:1>")),
        ("1", 0, new!("@", "d<tag V:1>$ $5\x01$m$1$"), Seen("d<tag V:1>")),
    ]),
    ("always_ask_password", &[
        ("1", 0, "*3 $Supports NoHello|$Key x|$ValidateNick @|$MyPass any|$MyINFO $ALL @ d$ $5\x01$m$1$|", Seen("$GetPass|")),
        ("1", 0, COMES, Refused("must send the password first", "$MyINFO")),
        ("0", 0, COMES, Refused("$MyINFO", "$GetPass")),
    ]),
    ("pwd_tmpban", &[
        ("7000", 0, "*7 $Supports NoHello|$Key x|$ValidateNick late1|$MyPass wrong|", Seen("$BadPass")),
        ("7000", 0, "*7 $Supports NoHello|$Key x|$ValidateNick @|", Refused("You are kept out for another 1 h", "$Hello")),
        ("0", 0, "*8 $Supports NoHello|$Key x|$ValidateNick late1|$MyPass wrong|", Seen("$BadPass")),
        ("0", 0, "*8 $Supports NoHello|$Key x|$ValidateNick @|", Refused("$Hello", "kept out")),
    ]),
    ("wrongpassword_report", &[
        ("1", 0, "*5 $Supports NoHello|$Key x|$ValidateNick late1|$MyPass wrong|", Seen("Wrong password for late1 from 127.0.0.5")),
        ("0", 0, "*6 $Supports NoHello|$Key x|$ValidateNick late1|$MyPass wrong|", Refused("$BadPass", "Wrong password for")),
    ]),
    ("unknown_cmd_chat", &[
        ("1", 1, "<@> +nonsense|", Seen("<class1> +nonsense")),
        ("0", 1, "<@> +nonsense|", Refused("Unknown command: nonsense", "<class1>")),
    ]),
    ("cmd_start_op", &[
        (".!", 3, "<@> +help|", Refused("<class3> +help", "Commands:")),
        (".!", 3, "<@> .help|", Refused("Commands:", "<class3>")),
        (".!", 2, "<@> +help|", Refused("Commands:", "<class2>")),
    ]),
    ("cmd_start_user", &[
        (".", 2, "<@> +help|", Refused("<class2> +help", "Commands:")),
        (".", 2, "<@> .help|", Refused("Commands:", "<class2>")),
        (".", 3, "<@> +help|", Refused("Commands:", "<class3>")),
    ]),
    ("hide_all_kicks", &[
        ("1", 4, "<@> !kick class1 because|", Refused("$Quit class1", "is kicking")),
        ("0", 4, "<@> !kick class2 because|", Seen("class4 is kicking class2 because: because")),
    ]),
    ("tban_kick", &[("7000", 4, "<@> !kick class1 because|", Seen("class1 was kicked and banned for 1 h"))]),
    ("tban_max", &[("7000", 4, "<@> !kick class1 _ban_9d|", Seen("class1 was kicked and banned for 1 h"))]),
    ("tban_max", &[("7000", 3, "<@> !kick class1 _ban_|", Refused("was kicked and banned for", "for ever"))]),
    ("tban_max", &[("7000", 4, "<@> !kick class1 _ban_|", Seen("class1 was kicked and banned for ever"))]),
    ("ban_extra_message", &[
        ("appeal", 10, "<@> !ban late1|", Seen("late1 is banned")),
        ("appeal", 1, late!(1, "d$ $5\x01$m$1$"), Refused("\nappeal", "$MyINFO")),
    ]),
    ("ban_bypass_class", &[
        ("10", 10, "<@> !ban late4|", Seen("late4 is banned")),
        ("5", 4, late!(4, "d$ $5\x01$m$1$"), Refused("You are banned from this hub for ever", "$MyINFO")),
        ("4", 4, late!(4, "d$ $5\x01$m$1$"), Seen("$MyINFO $ALL late4")),
    ]),
    // What the hub says.
    ("hub_name", &[("the name", 0, COMES, Seen("$HubName the name|"))]),
    ("hub_topic", &[("the topic", 1, "$GetTopic|", Seen("$HubTopic the topic|"))]),
    ("hub_desc", &[("the desc", 0, PINGER, Seen("$the desc$"))]),
    ("hub_category", &[("the category", 0, PINGER, Seen("$the category$"))]),
    ("hub_owner", &[("the owner", 0, PINGER, Seen("$the owner$"))]),
    ("hub_host", &[("host.example", 0, PINGER, Seen("$host.example$"))]),
    ("hub_icon_url", &[("http://icon", 0, PINGER, Seen("$SetIcon http://icon|"))]),
    ("hub_logo_url", &[("http://logo", 0, PINGER, Seen("$SetLogo http://logo|"))]),
    ("hub_failover_hosts", &[( "a.example", 0, new!("*3 ", "NoHello FailOver", "@", "d$ $5\x01$m$1$"), Seen("$FailOver a.example|"), )]),
    ("hubfull_message", &[("come later", 0, COMES, Refused("users are online. come later", "$MyINFO"))]),
    ("hub_security_desc", &[("guards", 1, "$GetINFO vhpy @|", Seen("$MyINFO $ALL vhpy guards<"))]),
    ("opchat_desc", &[("ops talk", 1, "$GetINFO OpChat @|", Seen("$MyINFO $ALL OpChat ops talk<"))]),
    ("msg_welcome_guest", &[
        ("hi %[nick]!", 0, new!("guesty", "d$ $5\x01$m$1$"), Seen("> hi guesty!|")),
        ("hi %[nick]!", 1, late!(2, "d$ $5\x01$m$1$"), Refused("$MyINFO", "hi late2")),
    ]),
    ("msg_welcome_reg", &[("hi %[nick]!", 1, late!(1, "d$ $5\x01$m$100$"), Seen("> hi late1!|"))]),
    ("msg_welcome_vip", &[("hi %[nick]!", 2, late!(2, "d$ $5\x01$m$1$"), Seen("> hi late2!|"))]),
    ("msg_welcome_op", &[("hi %[nick]!", 3, late!(3, "d$ $5\x01$m$1$"), Seen("> hi late3!|"))]),
    ("msg_welcome_cheef", &[("hi %[nick]!", 4, late!(4, "d$ $5\x01$m$100$"), Seen("> hi late4!|"))]),
    ("msg_welcome_admin", &[("hi %[nick]!", 5, late!(5, "d$ $5\x01$m$1$"), Seen("> hi late5!|"))]),
];

/// What else must hold for a variable to matter.
const BESIDES: &[(&str, &[(&str, &str)])] =
    &[("hubfull_message", &[("max_users", "0")]), ("pwd_tmpban", &[("pwd_tries", "1")])];

/// The variables that other tests are about: the file, and its tests.
const ELSEWHERE: &[(&str, &str, &[&str])] = &[
    ("hub_text", "no_byte_is_lost_in_any_encoding", &["hub_encoding"]),
    ("hub_functions", "the_configuration_is_kept", &["hub_security", "opchat_name"]),
    ("hub_strangers", "a_guessers_address_is_kept_out_but_for_those_who_came_from_there", &["pwd_tries"]),
    ("hub_strangers", "idle_connections_of_an_address_make_room_for_new_ones", &["max_logins_from_ip"]),
    ("hub_strangers", "exempt_addresses_may_be_wrong_as_often_as_they_like", &["limit_exempt"]),
    ("hub_strangers", "proxies_tell_for_whom_they_connect", &["trusted_proxies"]),
    ("hub_abuse", "slow_readers_are_dropped", &["adv_max_outbuf_size"]),
    ("hub_load", "all_clients_together_let_only_so_much_wait", &["adv_max_outbuf_total"]),
    ("hub_abuse", "silence_is_ended", &["timeout_key", "timeout_nick", "timeout_login"]),
    ("hub_geoip", "places_are_told_in_the_hubs_encoding", &["mmdb_names_lang"]),
    (
        "hub_refusals",
        "each_flood_limit_stops_its_messages",
        &["max_class_proto_flood", "proto_flood_tban_time"],
    ),
    ("hub_refusals", "accounts_let_in_whom_they_should", &["msg_welcome_master", "dns_lookup"]),
];

/// The options about scripts, whose effects are tested without a hub.
const OPTIONS: &[&str] = &[
    "hook_timeout",
    "kill_timeout",
    "load_timeout",
    "restart_wait",
    "restart_limit",
    "limit_memory",
    "limit_cpu",
    "limit_files",
    "limit_processes",
    "nice",
    "python",
    "spare",
    "stay_awake",
];

#[test]
fn every_variable_is_obeyed() {
    let mut town = Town::new();
    for (variable, steps) in VARIABLES {
        let besides = BESIDES.iter().find(|(name, _)| name == variable).map_or(&[][..], |(_, values)| values);
        for (value, class, deed, then) in *steps {
            // Whoever takes part is there before the variable is changed.
            let nick = deed.replace('@', &Town::nick(*class));
            let others = CLASSES.into_iter().filter(|other| nick.contains(&Town::nick(*other)));
            for class in others.chain([*class]).collect::<Vec<_>>() {
                let quiet = deed.starts_with('*') || town.people.contains_key(&class);
                if !quiet {
                    town.person(class);
                }
            }
            let before = town.set_all(&[&[(*variable, *value)], besides].concat());
            let seen = town.does(*class, deed);
            town.people.retain(|class, _| !seen.contains(&format!("$Quit {}", Town::nick(*class))));
            town.set_back(before);
            let holds = match then {
                Seen(what) => seen.contains(what),
                Refused(said, what) => seen.contains(said) && !seen.contains(what),
            };
            assert!(holds, "{variable} = {value}, class {class}: {deed:?} led to\n{seen}");
        }
        assert_eq!(eval(&mut town.master, "vh.SQL('delete from banlist')"), "(1, [])");
    }
}

#[test]
fn no_variable_is_without_a_test() {
    let mut town = Town::new();
    let here = VARIABLES.iter().map(|(name, _)| *name);
    let elsewhere = ELSEWHERE.iter().flat_map(|(_, _, names)| names.iter().copied());
    let floods = FLOODS.iter().flat_map(|flood| flood.variables());
    let tested: BTreeSet<String> =
        here.chain(elsewhere).chain(OPTIONS.iter().copied()).map(str::to_string).chain(floods).collect();
    let there: BTreeSet<String> = variables(&mut town).into_iter().map(|(name, _)| name).collect();
    let lacking: Vec<_> = there.difference(&tested).collect();
    let gone: Vec<_> = tested.difference(&there).collect();
    assert!(lacking.is_empty() && gone.is_empty(), "without a test: {lacking:?}; no longer there: {gone:?}");
    for (file, test, names) in ELSEWHERE {
        let path = format!("{}/tests/{file}.rs", env!("CARGO_MANIFEST_DIR"));
        let source = std::fs::read_to_string(path).unwrap();
        assert!(source.contains(&format!("fn {test}()")), "{file} has no test {test}");
        assert!(names.iter().all(|name| source.contains(name)), "{file} is not about {names:?}");
    }
}

/// What is counted within a time.
struct Flood {
    /// In the variables' names.
    name: &'static str,
    /// One message of its kind; `#` is a number.
    message: &'static str,
    /// What the hub calls it.
    called: &'static str,
    /// What the witness sees of each, or nothing.
    seen: &'static str,
}

impl Flood {
    fn variables(&self) -> [String; 3] {
        let name = self.name;
        [
            format!("int_flood_{name}_period"),
            format!("int_flood_{name}_limit"),
            format!("proto_flood_{name}_action"),
        ]
    }
}

const FLOODS: &[Flood] = &[
    Flood { name: "chat", message: "<@> number #|", called: "chat", seen: "> number #" },
    Flood {
        name: "to",
        message: "$To: witness From: @ $<@> number #|",
        called: "private messages",
        seen: "> number #",
    },
    Flood {
        name: "myinfo",
        message: "$MyINFO $ALL @ number #$ $5\x01$$1$|",
        called: "user information",
        seen: " number #$",
    },
    Flood {
        name: "search",
        message: "$Search 127.0.0.1:5 F?T?0?1?number#|",
        called: "searches",
        seen: "?number#",
    },
    Flood {
        name: "sr",
        message: "$SR @ number#\x051 1/1\x05h (x:1)\x05witness|",
        called: "search results",
        seen: " number#",
    },
    Flood {
        name: "ctm",
        message: "$ConnectToMe witness 127.0.0.1:777#|",
        called: "requests for connections",
        seen: ":777#",
    },
    Flood { name: "other", message: "$UserIP witness|", called: "messages", seen: "" },
];

/// Three messages of a kind pass, and the fourth is a flood; those who are exempt send them all.
#[test]
fn each_flood_limit_stops_its_messages() {
    let mut town = Town::new();
    for class in [0, 1, 2] {
        town.person(class);
    }
    // Whoever looks on asks the hub very often.
    town.witness.send("$Quit|");
    town.master.wait_for("$Quit witness");
    town.master.chat("!regnew witness 3 password");
    town.master.wait_for("is registered.");
    town.witness = Client::connect(&town.hub, 2).login("witness", Some("password"));
    for flood in FLOODS {
        let [period, limit, action] = flood.variables();
        let message = |number: usize| flood.message.replace('#', &number.to_string());
        let burst: String = (1..=4).map(message).collect();
        let three: String = (1..=3).map(message).collect();
        let seen_of = |number: usize| flood.seen.replace('#', &number.to_string());
        let complaint = format!("Your client floods the hub with {}.", flood.called);
        // (action, up to which class, who) and whether all four pass, and whether they stay.
        for (what, up_to, class, text, passes, stays) in [
            ("2", "1", 1, &three, true, true),
            ("2", "1", 2, &burst, true, true),
            ("0", "1", 1, &burst, true, true),
            ("1", "1", 1, &burst, false, true),
            ("2", "2", 2, &burst, false, false),
            ("2", "1", 1, &burst, false, false),
            ("3", "1", 0, &burst, false, false),
        ] {
            town.person(class);
            let name = flood.name;
            // What was counted before is long ago.
            let others = town.set_all(&[
                (&period, "0"),
                ("max_class_proto_flood", up_to),
                ("proto_flood_tban_time", "1000"),
                (&action, what),
                (&limit, "3"),
            ]);
            let fresh = town.people.remove(&class);
            drop(fresh);
            let nick = Town::nick(class);
            town.witness.wait_for(&format!("$Quit {nick}"));
            let mut client = Client::connect(&town.hub, 40 + class as u8);
            client = client.login(&nick, (class > 0).then(|| format!("password{class}")).as_deref());
            town.set(&period, "80000");
            town.people.insert(class, client);
            town.witness.so_far();
            let seen = {
                let person = town.people.get_mut(&class).unwrap();
                person.send(&text.replace('@', &nick));
                // This is of another kind, and not counted.
                let after = if name == "to" {
                    format!("<{nick}> after|")
                } else {
                    format!("$To: {nick} From: {nick} $<{nick}> after|")
                };
                person.send(&after);
                let mut seen = String::new();
                while let Some(message) = person.next() {
                    seen += &String::from_utf8_lossy(&message);
                    seen += "|\n";
                    if seen.ends_with("> after|\n") {
                        break;
                    }
                }
                seen
            };
            let stayed = seen.ends_with("> after|\n");
            if !stayed {
                town.people.remove(&class);
            }
            let others_saw = {
                let mut all = town.witness.so_far().join("\n");
                while !stayed && !all.contains(&format!("$Quit {nick}")) {
                    all += &town.witness.so_far().join("\n");
                }
                all
            };
            let case = format!("{name} {what} {up_to} class {class}: {seen}\n---\n{others_saw}");
            assert_eq!(stayed, stays, "{case}");
            assert_eq!(seen.contains(&complaint), !passes, "{case}");
            if !flood.seen.is_empty() {
                assert!((1..=3).all(|number| others_saw.contains(&seen_of(number))), "{case}");
                let count = text.matches(&flood.message[..4]).count();
                assert_eq!(others_saw.contains(&seen_of(4)), passes && count > 3, "{case}");
            }
            // An action of 3 keeps the address out for that long.
            let again = town.newcomer(40 + class as u8, &COMES[3..]);
            assert_eq!(again.contains("You are kept out for another"), what == "3", "{case}\n{again}");
            if what == "3" {
                town.master.chat(&format!("!unban 127.0.0.{}", 40 + class));
                town.master.wait_for("One ban was lifted.");
            }
            town.set_back(others);
        }
    }
}

/// Who may put whom out, in all ways.
#[test]
fn nobody_puts_out_who_is_above_them() {
    let mut town = Town::new();
    let ways = [
        ("<@> !kick % out|", "You may not put % out.", 0),
        ("<@> !drop % out|", "You may not put % out.", 0),
        ("<@> @ is kicking % because: out|", "You may not put % out.", 0),
        ("<@> is kicking % because: out|", "You may not put % out.", 0),
        ("$Kick %|", "You may not put % out.", 0),
        ("$Close %|", "You may not put % out.", 0),
        ("$OpForceMove $Who:%$Where:x$Msg:y|", "You may not put % out.", 0),
        // A ban is for those below alone.
        ("<@> !ban % 1h out|", "You may not ban a user of your class or a higher one.", 1),
    ];
    town.set("min_class_redir", "3");
    for (way, refusal, least) in ways {
        for (op, victim) in [(3, 4), (3, 5), (4, 5), (3, 10), (3, 3), (3, 2), (4, 3)] {
            // Of one class there is but one, who cannot put themselves out.
            let allowed = op != victim && op >= victim + least;
            let nick = Town::nick(victim);
            for class in [op, victim] {
                town.person(class);
            }
            let seen = town.says(op, &way.replace('%', &nick));
            let gone = seen.contains(&format!("$Quit {nick}"));
            let refused = seen.contains(&refusal.replace('%', &nick));
            assert_eq!((gone, refused), (allowed, !allowed), "{op} {way} {victim}: {seen}");
            if gone {
                town.people.remove(&victim);
            }
            assert_eq!(eval(&mut town.master, "vh.SQL('delete from banlist')"), "(1, [])");
        }
        // Below operators there is no such right at all.
        let seen = town.says(2, &way.replace('%', "class1"));
        assert!(!seen.contains("$Quit class1"), "2 {way} 1: {seen}");
    }
}

/// Puts an account of the right password `secret` into the table by hand.
fn account(town: &mut Town, nick: &str, values: &str) {
    let insert = format!(
        "vh.SQL('insert into reglist (nick, class, enabled, pwd_change, pwd_crypt, login_pwd, auth_ip) select \
         \\'{nick}\\', class, enabled, pwd_change, pwd_crypt, login_pwd, auth_ip from reglist where nick = \
         \\'late1\\''), vh.SQL('update reglist set {} where nick = \\'{nick}\\'')",
        values.replace('\'', "\\'")
    );
    assert_eq!(eval(&mut town.master, &insert), "((1, []), (1, []))");
}

/// What of an account lets in, and as what.
#[test]
fn accounts_let_in_whom_they_should() {
    let mut town = Town::new();
    let password = "password1";
    // What the account says, what the user sends, what is seen, and their class then.
    let cases: &[(&str, &str, &str, Option<i64>)] = &[
        ("enabled = 1", password, "$Hello", Some(1)),
        ("enabled = 1", "password2", "$BadPass", None),
        ("enabled = 1", "", "$BadPass", None),
        ("enabled = 0", password, "This account is disabled.", None),
        ("auth_ip = '127.0.0.3'", password, "$Hello", Some(1)),
        ("auth_ip = '127.0.0.4'", password, "may not be used from your address 127.0.0.3", None),
        ("class = 3", password, "$LogedIn", Some(3)),
        ("class = 77", password, "$Hello", Some(1)),
        // A password that is still another's gives no class.
        ("class = 3, pwd_change = 1", password, "Please set a password of your own now", Some(0)),
        // As it is, where somebody wrote it by hand.
        ("pwd_crypt = 0, login_pwd = 'by hand'", "by hand", "$Hello", Some(1)),
        ("pwd_crypt = 0, login_pwd = 'by hand'", "by hind", "$BadPass", None),
        ("pwd_crypt = 0, login_pwd = 'by hand'", "", "$BadPass", None),
        ("pwd_crypt = 0, login_pwd = ''", "", "$BadPass", None),
        ("pwd_crypt = 1, login_pwd = 'no hash'", "no hash", "$BadPass", None),
        ("pwd_crypt = 7", password, "$BadPass", None),
        // Without a password: a guest until there is one; from class 3 on nobody.
        ("pwd_change = 1, login_pwd = ''", "-", "Please set a password of your own now", Some(0)),
        ("pwd_change = 1, login_pwd = '', class = 2", "-", "Please set a password of your own now", Some(0)),
        ("pwd_change = 1, login_pwd = '', class = 3", "-", "This account has no password yet", None),
        ("pwd_change = 0, login_pwd = ''", "", "$BadPass", None),
    ];
    for (at, (values, password, said, class)) in cases.iter().enumerate() {
        let nick = format!("acc{at}");
        account(&mut town, &nick, values);
        let mut client = Client::connect(&town.hub, 3);
        let pass = if *password == "-" { String::new() } else { format!("$MyPass {password}|") };
        client.send(&format!(
            "$Supports NoHello NoGetINFO|$Key x|$ValidateNick {nick}|{pass}$MyINFO $ALL {nick} d$ $5\x01$$1$|"
        ));
        let (seen, open) = until_answered(&mut client, &nick);
        let case = format!("{values:?} with {password:?}: {seen}");
        assert!(seen.contains(said), "{case}");
        assert_eq!(open, class.is_some(), "{case}");
        let is = eval(&mut town.master, &format!("vh.GetUserClass('{nick}')"));
        assert_eq!(is, class.unwrap_or(-2).to_string(), "{case}");
        let stored =
            format!("vh.SQL('select pwd_crypt, login_pwd from reglist where nick = \\'{nick}\\'')[1][0]");
        let stored = eval(&mut town.master, &stored);
        // One that lay there as it is does so no longer, once it was used.
        assert_eq!(stored.contains("by hand"), values.contains("by hand") && class.is_none(), "{stored}");
        // Guesses from here are no stranger's, or each would wait for the last.
        town.master.chat("!unban 127.0.0.3");
        town.master.wait_for("There is no ban");
    }
    town.set("msg_welcome_master", "hail");
    town.set("dns_lookup", "0");
    let password = town.hub.password.clone();
    let mut again = Client::connect(&town.hub, 250);
    again.send(&format!(
        "$Supports NoHello|$Key x|$ValidateNick master|$MyPass {password}|$MyINFO $ALL master d$ $5\x01$$1$|"
    ));
    again.wait_for("> hail");
}

/// Whose address is shown to whom: at a login, in the list, when asked.
#[test]
fn addresses_are_shown_to_operators_and_to_oneself() {
    let mut town = Town::new();
    for class in [0, 1, 2, 3, 4, 5] {
        let sees = class >= 3;
        let nick = Town::nick(class);
        town.person(class).so_far();
        let newcomer = Client::connect(&town.hub, 77).login("newcomer", None);
        town.master.wait_for("$UserIP newcomer 127.0.0.77$$");
        let person = town.person(class);
        let at_login = person.so_far().join("\n");
        assert_eq!(at_login.contains("$UserIP newcomer 127.0.0.77$$"), sees, "{nick}: {at_login}");
        person.send("$GetNickList|");
        let list = person.so_far().join("\n");
        assert_eq!(list.contains("newcomer 127.0.0.77$$"), sees, "{nick}: {list}");
        person.send("$UserIP newcomer|");
        let asked = person.so_far().join("\n");
        assert_eq!(asked.contains("127.0.0.77"), sees, "{nick}: {asked}");
        person.send(&format!("$UserIP {nick}|"));
        let own = person.so_far().join("\n");
        assert!(own.contains(&format!("$UserIP {nick} 127.0.0.{}$$", Town::host(class))), "{nick}: {own}");
        person.chat("+myip");
        person.wait_for(&format!("Your address is 127.0.0.{}", Town::host(class)));
        drop(newcomer);
        town.master.wait_for("$Quit newcomer");
    }
}
