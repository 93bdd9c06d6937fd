//! Who may do what: every command, variable, flood limit and kind of account, with somebody who
//! just may, and with somebody who just may not. What there is the hub says itself (`+help`,
//! `!pyhelp`, `!getconfig`), so what is new and has no row here fails.

mod accounts;
mod commands;
mod floods;
mod hooks;
mod variables;

use std::collections::BTreeMap;

use crate::support::client::{Client, HubBuilder, TestHub};
use crate::support::eval::EVAL;

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
