//! Each command, with the class that may give it and the one just below.

use std::collections::BTreeSet;

use super::*;

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
    ("who", 3, "> Users: "),
    ("reglist", 4, "> Accounts: "),
    ("banlist", 3, "> No bans."),
    ("hubinfo", 3, "> This hub:"),
    ("history", 0, "> No chat is kept"),
    ("audit", 4, "> Acts of operators: "),
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
    ("pylist", "eval: ready"),
    ("pystat", "eval: ready"),
    ("pyfiles", "eval.py"),
    ("pylog", "log level"),
    ("pyset", "Usage: !pyset"),
    ("pykeep", "Usage: !pykeep"),
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
            let mut seen = town.says(4, &deed);
            // What takes its time is answered when it is done.
            if !seen.contains(answer) {
                seen += &town.person(4).wait_for(answer);
            }
            assert!(seen.contains(answer) && !seen.contains(&refusal), "{name} by class 4: {seen}");
        }
    }
    town.person(5).chat("!stop 3");
    assert_eq!(town.hub.ended().0, 3);
}
