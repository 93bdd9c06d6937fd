//! The 41 hooks: their numbers, names, arguments and what an answer does.
//!
//! Everything that needs to know a hook reads this table: dispatch, the worker's search for
//! functions, the C ABI's `w_HookName`, the type stub `vh.pyi` and the manual.

use std::fmt;

use crate::privacy::Privacy;

/// What kind of value an argument is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArgKind {
    /// Text in the hub's encoding; `str` in Python, `s` in the C ABI.
    Text,
    /// A signed 64-bit number; `int` in Python, `l` in the C ABI.
    Int,
    /// A double; `float` in Python, `d` in the C ABI.
    Float,
}

impl ArgKind {
    /// The format character of the C ABI.
    pub const fn format(self) -> char {
        match self {
            ArgKind::Text => 's',
            ArgKind::Int => 'l',
            ArgKind::Float => 'd',
        }
    }

    /// The Python type a script sees.
    pub const fn python(self) -> &'static str {
        match self {
            ArgKind::Text => "str",
            ArgKind::Int => "int",
            ArgKind::Float => "float",
        }
    }
}

/// One argument of a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HookArg {
    /// The name used in documentation and type stubs.
    pub name: &'static str,
    /// Its type.
    pub kind: ArgKind,
    /// Whom it is meant for.
    pub privacy: Privacy,
}

/// What the hub does when a script answers 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnBlock {
    /// Nothing: the hook is a notice and its answer is ignored.
    Notice,
    /// The hub acts; the text says how, for the manual.
    Blocks(&'static str),
}

/// What may stand in for the original arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaces {
    /// Nothing.
    Never,
    /// `str`, or `(nick, message)`.
    Chat,
    /// `(desc, tag, speed, mail, size)`.
    MyInfo,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct HookSpec {
    /// Its number in the C ABI; never changes.
    pub hook: Hook,
    /// The name of the function that a script defines.
    pub name: &'static str,
    /// The arguments in order.
    pub args: &'static [HookArg],
    /// The effect of the answer 0.
    pub on_block: OnBlock,
    /// Whether an answer can replace the arguments.
    pub replaces: Replaces,
    /// The place of the argument that a filter is about unless it names another; `None` where
    /// there is no text.
    pub filtered: Option<usize>,
    /// One line for the manual: when the hub raises it.
    pub summary: &'static str,
}

macro_rules! hooks {
    ($( $number:literal $name:ident ( $($arg:ident : $kind:ident $privacy:ident),* ) $block:expr, $replaces:ident, $filtered:tt, $summary:literal; )*) => {
        /// One of the hub's events. The discriminant is the number in the C ABI.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Hook {
            $( #[doc = $summary] $name = $number, )*
        }

        /// All hooks; the index is the number.
        pub static HOOKS: [HookSpec; Hook::COUNT] = [
            $( HookSpec {
                hook: Hook::$name,
                name: stringify!($name),
                args: &[ $( HookArg {
                    name: stringify!($arg),
                    kind: ArgKind::$kind,
                    privacy: Privacy::$privacy,
                } ),* ],
                on_block: $block,
                replaces: Replaces::$replaces,
                filtered: filtered!($filtered: $($arg)*),
                summary: $summary,
            }, )*
        ];
    };
}

macro_rules! filtered {
    (-: $($arg:ident)*) => { None };
    ($name:ident: $($arg:ident)*) => { place_of(stringify!($name), &[$(stringify!($arg)),*]) };
}

/// The place of a name among others. In a constant, a name that is not there is no build.
const fn place_of(name: &str, all: &[&str]) -> Option<usize> {
    let mut at = 0;
    while at < all.len() {
        if is_same(name.as_bytes(), all[at].as_bytes()) {
            return Some(at);
        }
        at += 1;
    }
    panic!("a hook has no argument of this name")
}

const fn is_same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}

use OnBlock::{Blocks, Notice};

hooks! {
    0 OnNewConn(ip: Text Address) Blocks("close the connection"), Never, ip, "A client connected.";
    1 OnCloseConn(ip: Text Address) Notice, Never, ip, "A connection closed.";
    2 OnCloseConnEx(ip: Text Address, reason: Int Public, nick: Text Public) Notice, Never, nick, "A connection closed, with the reason (`vh.eCR_…`) and the nick, empty before login.";
    3 OnParsedMsgChat(nick: Text Public, message: Text Public) Blocks("drop the message"), Chat, message, "A user wrote in the main chat.";
    4 OnParsedMsgPM(nick: Text Public, message: Text Private, to_nick: Text Public) Blocks("drop the message"), Never, message, "A user sent a private message, also to a bot or the operator chat.";
    5 OnParsedMsgMCTo(nick: Text Public, message: Text Private, to_nick: Text Public) Blocks("drop the message"), Never, message, "A user sent a main chat message to one user.";
    6 OnParsedMsgSearch(nick: Text Public, data: Text Raw) Blocks("drop the search"), Never, data, "A user searches; data is the whole `$Search …`.";
    7 OnParsedMsgSR(nick: Text Public, data: Text Raw) Blocks("drop the result"), Never, data, "A passive user's search gets a result; data is the whole `$SR …`.";
    8 OnParsedMsgMyINFO(nick: Text Public, desc: Text Public, tag: Text Public, speed: Text Public, mail: Text Public, size: Text Public) Blocks("drop the change"), MyInfo, desc, "A user who is logged in changed the description, tag, speed, mail or share.";
    9 OnFirstMyINFO(nick: Text Public, desc: Text Public, tag: Text Public, speed: Text Public, mail: Text Public, size: Text Public) Blocks("disconnect"), MyInfo, desc, "A user's first `$MyINFO`, before the login is complete.";
    10 OnParsedMsgValidateNick(data: Text Raw) Blocks("reject the nick"), Never, data, "A client asks for a nick; data is the whole `$ValidateNick …`.";
    11 OnParsedMsgAny(nick: Text Public, data: Text Raw) Blocks("ignore the message"), Never, data, "Any message of a client whose nick is known.";
    12 OnParsedMsgAnyEx(ip: Text Address, data: Text Raw) Blocks("drop the message and disconnect"), Never, data, "Any message of a client whose nick is not known yet.";
    13 OnOpChatMessage(nick: Text Public, message: Text Private) Blocks("drop the message"), Never, message, "An operator wrote in the operator chat.";
    14 OnPublicBotMessage(nick: Text Public, message: Text Public, min_class: Int Public, max_class: Int Public) Blocks("drop the message"), Never, message, "A bot writes in the main chat to users of these classes.";
    15 OnUnLoad(code: Int Public) Notice, Never, -, "The hub stops; 0 is a normal shutdown.";
    16 OnCtmToHub(nick: Text Public, ip: Text Address, port: Int Public, server_port: Int Public, referer: Text Public) Blocks("disconnect silently"), Never, referer, "A client that attacks by sending `$ConnectToMe` to the hub was detected.";
    17 OnParsedMsgSupports(ip: Text Address, message: Text Raw, answer: Text Raw) Blocks("drop the message"), Never, message, "A client lists its protocol extensions; answer is what the hub will send back.";
    18 OnParsedMsgMyHubURL(nick: Text Public, data: Text Raw) Blocks("disconnect"), Never, data, "A client says by which address it found the hub.";
    19 OnParsedMsgExtJSON(nick: Text Public, data: Text Raw) Blocks("drop the message"), Never, data, "A client sent `$ExtJSON`.";
    20 OnParsedMsgBotINFO(nick: Text Public, data: Text Raw) Blocks("disconnect"), Never, data, "A hub list's pinger introduces itself.";
    21 OnParsedMsgVersion(ip: Text Address, data: Text Raw) Blocks("disconnect"), Never, data, "A client tells its protocol version.";
    22 OnParsedMsgMyPass(nick: Text Public, password: Text Secret) Blocks("disconnect"), Never, nick, "A client sent its password.";
    23 OnParsedMsgConnectToMe(nick: Text Public, other_nick: Text Public, ip: Text Address, port: Text Public) Blocks("drop the request"), Never, other_nick, "An active user asks another to connect.";
    24 OnParsedMsgRevConnectToMe(nick: Text Public, other_nick: Text Public) Blocks("drop the request"), Never, other_nick, "A passive user asks another to ask for a connection.";
    25 OnUnknownMsg(nick: Text Public, data: Text Raw) Notice, Never, data, "A message that the hub does not know.";
    26 OnOperatorCommand(nick: Text Public, command: Text Command) Blocks("handled: the hub does nothing more"), Never, command, "An operator gave a command; it comes with its prefix.";
    27 OnOperatorKicks(op: Text Public, nick: Text Public, reason: Text Public) Blocks("no kick"), Never, reason, "An operator kicks a user.";
    28 OnOperatorDrops(op: Text Public, nick: Text Public) Blocks("no drop"), Never, nick, "An operator drops a user.";
    29 OnOperatorDropsWithReason(op: Text Public, nick: Text Public, reason: Text Public) Blocks("no drop"), Never, reason, "The same drop, with its reason; raised after `OnOperatorDrops`.";
    30 OnValidateTag(nick: Text Public, tag: Text Public) Blocks("reject the tag"), Never, tag, "A client's tag is checked.";
    31 OnUserCommand(nick: Text Public, command: Text Command) Blocks("handled: the hub does nothing more"), Never, command, "A user gave a command; it comes with its prefix.";
    32 OnHubCommand(nick: Text Public, command: Text Command, user_class: Int Public, in_pm: Int Public, prefix: Text Public) Blocks("handled: the hub does nothing more"), Never, command, "Anybody gave a command; it comes without its prefix.";
    33 OnScriptCommand(command: Text Command, data: Text Private, plugin: Text Public, script: Text Public) Notice, Never, command, "A script or the hub sent a command to all scripts.";
    34 OnUserInList(nick: Text Public) Blocks("disconnect"), Never, nick, "A user was put into the user list.";
    35 OnUserLogin(nick: Text Public) Blocks("disconnect"), Never, nick, "A user's login is complete.";
    36 OnUserLogout(nick: Text Public) Notice, Never, nick, "A user leaves; the user list still has the nick while the hook runs.";
    37 OnTimer(time: Float Public) Notice, Never, -, "Every second or so; the time is in seconds since the epoch.";
    38 OnNewReg(op: Text Public, nick: Text Public, user_class: Int Public) Blocks("abort the registration"), Never, nick, "A user is about to be registered.";
    39 OnNewBan(op: Text Public, ip: Text Address, nick: Text Public, reason: Text Public) Blocks("abort the ban"), Never, reason, "A ban is about to be set.";
    40 OnSetConfig(nick: Text Public, conf: Text Public, variable: Text Public, new_value: Text Setting, old_value: Text Setting, value_type: Int Public) Blocks("keep the old value"), Never, variable, "A configuration variable is about to change; the type is one of `vh.eIT_…`.";
}

impl Hook {
    /// How many hooks there are.
    pub const COUNT: usize = 41;

    /// The hook with this number.
    pub fn from_number(number: usize) -> Option<Hook> {
        HOOKS.get(number).map(|spec| spec.hook)
    }

    /// The hook whose function has exactly this name.
    pub fn from_name(name: &str) -> Option<Hook> {
        HOOKS.iter().find(|spec| spec.name == name).map(|spec| spec.hook)
    }

    /// The row of the table.
    pub fn spec(self) -> &'static HookSpec {
        &HOOKS[self as usize]
    }

    /// The name of the function that a script defines.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The place of the argument with this name.
    pub fn arg(self, name: &str) -> Option<usize> {
        self.spec().args.iter().position(|arg| arg.name == name)
    }

    /// The place of the nick of who caused the event: the first that there is.
    pub fn actor(self) -> Option<usize> {
        self.arg("op").or_else(|| self.arg("nick"))
    }

    /// Whether an answer of 0 has an effect.
    pub fn can_block(self) -> bool {
        matches!(self.spec().on_block, OnBlock::Blocks(_))
    }

    /// The hook that a function with this name was probably meant to be: the name starts
    /// with `On` (in any case) and is at most three edits away from a hook's.
    pub fn meant_by(name: &str) -> Option<Hook> {
        if Hook::from_name(name).is_some() || !name.get(..2)?.eq_ignore_ascii_case("on") {
            return None;
        }
        let lower = name.to_ascii_lowercase();
        HOOKS
            .iter()
            .map(|spec| (edit_distance(&lower, &spec.name.to_ascii_lowercase()), spec.hook))
            .min_by_key(|(distance, _)| *distance)
            .filter(|(distance, _)| *distance <= 3)
            .map(|(_, hook)| hook)
    }
}

impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of hooks, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct HookSet(u64);

impl HookSet {
    /// No hook.
    pub const EMPTY: HookSet = HookSet(0);

    /// Adds a hook.
    pub fn insert(&mut self, hook: Hook) {
        self.0 |= 1 << hook as u8;
    }

    /// Whether the hook is in the set.
    #[inline]
    pub fn contains(self, hook: Hook) -> bool {
        self.0 & (1 << hook as u8) != 0
    }

    /// Whether no hook is in the set.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The bits, for a frame.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// A set from a frame's bits; bits that name no hook are dropped.
    pub fn from_bits(bits: u64) -> HookSet {
        HookSet(bits & ((1 << Hook::COUNT) - 1))
    }

    /// The hooks in order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = Hook> {
        HOOKS.iter().map(|spec| spec.hook).filter(move |hook| self.contains(*hook))
    }
}

/// Levenshtein's distance; names are short, so the plain table will do.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_in_the_table() {
        for (number, spec) in HOOKS.iter().enumerate() {
            assert_eq!(spec.hook as usize, number);
            assert_eq!(Hook::from_number(number), Some(spec.hook));
            assert_eq!(Hook::from_name(spec.name), Some(spec.hook));
        }
        assert_eq!(Hook::from_number(Hook::COUNT), None);
    }

    #[test]
    fn filters_are_about_text() {
        for spec in &HOOKS {
            let has_text = spec.args.iter().any(|arg| arg.kind == ArgKind::Text);
            assert_eq!(spec.filtered.is_some(), has_text, "{}", spec.name);
            assert!(spec.filtered.is_none_or(|at| spec.args[at].kind == ArgKind::Text), "{}", spec.name);
        }
        assert_eq!(Hook::OnParsedMsgChat.spec().filtered, Some(1));
        assert_eq!(Hook::OnNewReg.actor(), Some(0));
        assert_eq!(Hook::OnNewConn.actor(), None);
    }

    #[test]
    fn almost_right_names_are_recognised() {
        assert_eq!(Hook::meant_by("OnParsedMsgChatt"), Some(Hook::OnParsedMsgChat));
        assert_eq!(Hook::meant_by("onTimer"), Some(Hook::OnTimer));
        assert_eq!(Hook::meant_by("OnUserLogIn"), Some(Hook::OnUserLogin));
        assert_eq!(Hook::meant_by("OnTimer"), None, "right names are not mistakes");
        assert_eq!(Hook::meant_by("OnSomethingElseEntirely"), None);
        assert_eq!(Hook::meant_by("on"), None);
        assert_eq!(Hook::meant_by("ö"), None);
    }

    #[test]
    fn sets_hold_what_was_put_in() {
        let mut set = HookSet::EMPTY;
        set.insert(Hook::OnTimer);
        set.insert(Hook::OnSetConfig);
        assert_eq!(set.iter().collect::<Vec<_>>(), [Hook::OnTimer, Hook::OnSetConfig]);
        assert_eq!(HookSet::from_bits(set.bits() | 1 << 63), set);
    }
}
