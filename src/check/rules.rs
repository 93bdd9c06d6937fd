//! The rules of `vhpy check`: one row each, from which `--explain` and the manual's page come;
//! `check.py` finds them.

use std::fmt::Write;

/// One rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// `VH101`; never changes its meaning.
    pub code: &'static str,
    /// A short name.
    pub name: &'static str,
    /// What goes wrong.
    pub reason: &'static str,
    /// The name of the file that the examples are for.
    pub file: &'static str,
    /// What the rule finds, once.
    pub bad: &'static str,
    /// The example, mended.
    pub good: &'static str,
    /// Whether loading the script says so as well, or fails for it.
    pub is_said_at_load: bool,
}

const fn rule(
    code: &'static str,
    name: &'static str,
    reason: &'static str,
    bad: &'static str,
    good: &'static str,
) -> Rule {
    Rule { code, name, reason, file: "script.py", bad, good, is_said_at_load: false }
}

impl Rule {
    const fn said_at_load(self) -> Rule {
        Rule { is_said_at_load: true, ..self }
    }
}

/// Whether who loads a script knows of such a finding already.
pub fn is_said_at_load(code: &str) -> bool {
    rule_named(code).is_some_and(|rule| rule.is_said_at_load)
}

/// All rules.
pub const RULES: &[Rule] = &[
    rule(
        "VH001",
        "unreadable",
        "The Python that would run the script cannot read it: the script would not be loaded.",
        "def OnTimer(:\n    pass\n",
        "def OnTimer():\n    pass\n",
    )
    .said_at_load(),
    rule(
        "VH101",
        "misspelt-hook",
        "The hub calls hooks by their names. A function whose name is almost a hook's is never called.",
        "def OnParsedMsgChatt(nick, message):\n    return 0\n",
        "def OnParsedMsgChat(nick, message):\n    return 0\n",
    )
    .said_at_load(),
    rule(
        "VH102",
        "unknown-hook",
        "A function looks like a hook and is none; nothing in the script calls it either.",
        "def OnUserSneezes(nick):\n    print(nick)\n",
        "def OnUserLogin(nick):\n    print(nick)\n",
    )
    .said_at_load(),
    rule(
        "VH103",
        "hook-parameters",
        "The hub gives a hook's arguments by their places. A function may take fewer; one that needs more, or one by its name, fails each time. A class is no function.",
        "def OnUserLogin(nick, ip):\n    print(nick, ip)\n",
        "def OnUserLogin(nick):\n    print(nick)\n",
    )
    .said_at_load(),
    rule(
        "VH104",
        "hook-without-answer",
        "A coroutine or a generator is no answer: what the hub asks about has happened by the time such a hook runs, if it runs at all.",
        "async def OnParsedMsgChat(nick, message):\n    return 0\n",
        "def OnParsedMsgChat(nick, message):\n    return 0\n",
    )
    .said_at_load(),
    rule(
        "VH105",
        "exit-in-hook",
        "Ending the process in a hook is a crash to the hub: the script is started again, and given up after too many.",
        "import sys\n\ndef OnUserLogin(nick):\n    sys.exit()\n",
        "def OnUserLogin(nick):\n    return\n",
    ),
    rule(
        "VH106",
        "hook-waits",
        "The hub waits for a hook, and with it everybody. What takes long belongs into a thread. Functions that a hook calls are looked into, too.",
        "import time\n\ndef OnUserLogin(nick):\n    time.sleep(5)\n",
        "import threading\n\ndef OnUserLogin(nick):\n    threading.Timer(5, print, [nick]).start()\n",
    ),
    rule(
        "VH107",
        "called-at-once",
        "vh.after and vh.every take a function, and call it later; vh.spawn takes a coroutine, which is what the call of an async def gives.",
        "import vh\n\ndef OnUserLogin(nick):\n    vh.after(5, vh.usermc(\"Welcome!\", nick))\n",
        "import vh\n\ndef OnUserLogin(nick):\n    vh.after(5, vh.usermc, \"Welcome!\", nick)\n",
    ),
    rule(
        "VH201",
        "unknown-name",
        "The module vh has no such function, constant or variable: an AttributeError when the line runs. Names that hasattr(vh, …) asks for are left alone.",
        "import vh\n\ndef OnUserLogin(nick):\n    vh.SendToAl(nick)\n",
        "import vh\n\ndef OnUserLogin(nick):\n    vh.SendToAll(nick)\n",
    ),
    rule(
        "VH202",
        "call-arguments",
        "A function of vh gets too many or too few arguments, or one that it does not have: a TypeError when the line runs.",
        "import vh\n\ndef OnUserLogin(nick):\n    vh.usermc(\"hello\")\n",
        "import vh\n\ndef OnUserLogin(nick):\n    vh.usermc(\"hello\", nick)\n",
    ),
    rule(
        "VH203",
        "argument-type",
        "An argument is written out and is of a type that the function does not take.",
        "import vh\n\ndef OnUserLogin(nick):\n    vh.SetRegClass(nick, \"3\")\n",
        "import vh\n\ndef OnUserLogin(nick):\n    vh.SetRegClass(nick, 3)\n",
    ),
    rule(
        "VH301",
        "meaningless-answer",
        "What the hook returns is no answer that it can give, so the hub goes on.",
        "def OnUserLogin(nick):\n    return \"blocked\"\n",
        "def OnUserLogin(nick):\n    return 0\n",
    ),
    rule(
        "VH302",
        "answer-of-notice",
        "Nobody waits for the answer of a notice or an observer: 0 blocks nothing.",
        "def OnUserLogout(nick):\n    return 0\n",
        "def OnUserLogout(nick):\n    print(nick)\n",
    ),
    Rule {
        code: "VH401",
        name: "hides-module",
        reason: "A file with the name of another module is what everything in its folder gets that imports it.",
        file: "random.py",
        bad: "def OnTimer():\n    pass\n",
        good: "",
        is_said_at_load: true,
    },
    rule(
        "VH402",
        "missing-module",
        "The Python that would run the script does not have this module. An import within try … except ImportError is left alone.",
        "import no_such_module_anywhere\n",
        "try:\n    import no_such_module_anywhere\nexcept ImportError:\n    no_such_module_anywhere = None\n",
    ),
    rule(
        "VH501",
        "pasted-into-sql",
        "Whoever chooses the text, such as a nick, can end the literal and change the query. Doubling quotes or backslashes is not enough in every encoding.",
        "import vh\n\ndef OnUserLogin(nick):\n    vh.SQL(f\"select * from notes where nick = '{nick}'\")\n",
        "import vh\n\ndef OnUserLogin(nick):\n    vh.SQL(\"select * from notes where nick = ?\", 100, (nick,))\n",
    ),
];

/// A rule by its code.
pub fn rule_named(code: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.code.eq_ignore_ascii_case(code))
}

impl Rule {
    /// What `--explain` prints.
    pub fn explain(&self) -> String {
        let mut text = format!("{} {}\n\n{}\n", self.code, self.name, self.reason);
        for (heading, example) in [("Found", self.bad), ("Instead", self.good)] {
            if !example.is_empty() {
                let _ = write!(text, "\n{heading}, in {}:\n\n{}", self.file, indented(example));
            }
        }
        text
    }
}

fn indented(example: &str) -> String {
    example.lines().map(|line| format!("    {line}").trim_end().to_string() + "\n").collect()
}

/// The rules as the manual has them.
pub fn manual() -> String {
    let mut text = String::new();
    for rule in RULES {
        let _ = write!(text, "### {} {}\n\n{}\n", rule.code, rule.name, rule.reason);
        for (heading, example) in [("Found", rule.bad), ("Instead", rule.good)] {
            if !example.is_empty() {
                // Not `python`: what is found wrong need not pass a type checker.
                let _ = write!(text, "\n{heading}, in `{}`:\n\n```py\n{example}```\n", rule.file);
            }
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text + "\n"
}
