//! Each flood limit, with as many messages as it allows and one more.

use super::variables::COMES;

use super::*;
use crate::support::client::Client;

/// What is counted within a time.
pub struct Flood {
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
    pub fn variables(&self) -> [String; 3] {
        let name = self.name;
        [
            format!("int_flood_{name}_period"),
            format!("int_flood_{name}_limit"),
            format!("proto_flood_{name}_action"),
        ]
    }
}

pub const FLOODS: &[Flood] = &[
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
