//! The functions of the Python module `vh` that the hub answers: numbers, parameters,
//! answers. The worker builds the module from here.

use crate::grammar::{Grammar, Unfit};
use crate::hook::ArgKind;
use crate::privacy::Privacy;
use crate::value::Value;

/// What a script may pass for a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParamKind {
    /// `str`, or `None` for NULL.
    Text,
    /// `int` or `bool`; `None` is 0.
    Int,
    /// `str`, or a number, which travels as decimal text.
    TextOrNumber,
}

impl ParamKind {
    /// What the host is handed.
    pub const fn host(self) -> ArgKind {
        match self {
            ParamKind::Text | ParamKind::TextOrNumber => ArgKind::Text,
            ParamKind::Int => ArgKind::Int,
        }
    }

    /// What a script passes, as an error message or a type stub says it.
    pub const fn python(self) -> &'static str {
        match self {
            ParamKind::Text => "str",
            ParamKind::Int => "int",
            ParamKind::TextOrNumber => "str | int | float",
        }
    }
}

/// What stands for a parameter that a script leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Omitted {
    /// It cannot be left out.
    Required,
    /// NULL, or 0 for a number.
    Empty,
    /// This number.
    Int(i64),
    /// This text.
    Text(&'static str),
}

/// One parameter, in the order of the Python signature.
#[derive(Clone, Copy, Debug)]
pub struct Param {
    /// Its name, also as a keyword.
    pub name: &'static str,
    /// More keywords under which scripts in the wild pass it.
    pub aliases: &'static [&'static str],
    /// What may be passed.
    pub kind: ParamKind,
    /// What may stand where it goes.
    pub grammar: Grammar,
    /// Whom it is meant for.
    pub privacy: Privacy,
    /// What is used when it is left out.
    pub default: Omitted,
}

/// How positional arguments find their parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As the signature says.
    AsWritten,
    /// The first parameter is left out when fewer than this many are given.
    FirstOptional {
        /// The number of positional arguments from which on the first is given.
        full: usize,
    },
    /// Two arguments of different types in either order: the `int` is the second.
    IntLast,
    /// A `str` in third place is the sender, and `max_class` is 10.
    SenderThird,
    /// Message and nick may change places; who is online decides, in the hub's process.
    OnlineDecides,
}

/// What a script gets for the host's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gives {
    /// `bool`; `False` when the host fails.
    Bool,
    /// `int`; this number when the host fails.
    Int(i64),
    /// `float`; 0.0 when the host fails.
    Float,
    /// `str`; empty when the host fails.
    Text,
    /// `str`, or `None` when the host fails or answers NULL.
    OptionalText,
    /// Six texts as a tuple, or `None`.
    MyInfo,
    /// A `dict` of a place on earth, or `None`.
    Geo,
    /// A list of nicks; the raw form is a protocol string with this prefix.
    Nicks(&'static str),
    /// `(ok, rows)`.
    Rows,
    /// A `dict` of four `bool`s; empty when the host fails.
    Restrictions,
    /// Two texts as a tuple.
    Pair,
    /// A list of `dict`s, from rows with a text or NULL for each field that was asked for.
    Users,
}

impl Gives {
    /// The Python type, for type stubs and the manual.
    pub const fn python(self) -> &'static str {
        match self {
            Gives::Bool => "bool",
            Gives::Int(_) => "int",
            Gives::Float => "float",
            Gives::Text => "str",
            Gives::OptionalText => "str | None",
            Gives::MyInfo => "tuple[str, str, str, str, str, str] | None",
            Gives::Geo => "dict[str, str | float | int] | None",
            Gives::Nicks(_) => "NickList",
            Gives::Rows => "tuple[int, list[list[str]]]",
            Gives::Restrictions => "dict[str, bool]",
            Gives::Pair => "tuple[str, str]",
            Gives::Users => "list[dict[str, Any]]",
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct CallSpec {
    /// Its number; up to 55 the place in the C ABI's first callback table.
    pub call: Call,
    /// The function's name in `vh`.
    pub name: &'static str,
    /// The parameters in the order of the Python signature.
    pub params: &'static [Param],
    /// For each of the host's arguments, the place of its parameter in `params`.
    pub host_order: &'static [u8],
    /// How positional arguments find their parameters.
    pub order: Order,
    /// The format of the C ABI's answer.
    pub answer: &'static str,
    /// What a script gets.
    pub gives: Gives,
    /// Whom the answer is meant for.
    pub privacy: Privacy,
    /// One line for the manual and the docstring.
    pub summary: &'static str,
}

impl CallSpec {
    /// A host's arguments made to fit what each parameter may hold: `None` when they do as they are,
    /// which costs a look at each and nothing else.
    ///
    /// # Errors
    /// When one of them cannot be made to fit.
    pub fn fit<'a>(&self, args: &[Value<'a>]) -> Result<Option<Vec<Value<'a>>>, Unfit> {
        let mut fitted: Option<Vec<Value<'a>>> = None;
        for (at, value) in args.iter().enumerate() {
            let Some(param) = self.host_order.get(at).and_then(|&place| self.params.get(usize::from(place)))
            else {
                continue;
            };
            let unfit = |wanted| Unfit { parameter: param.name, wanted };
            if let Some(better) = param.grammar.better(value).map_err(unfit)? {
                fitted.get_or_insert_with(|| args.to_vec())[at] = better;
            }
        }
        Ok(fitted)
    }

    /// The host's arguments as a format of the C ABI.
    pub fn host_format(&self) -> String {
        self.host_order.iter().map(|&at| self.params[at as usize].kind.host().format()).collect()
    }

    /// How many parameters cannot be left out.
    pub fn required(&self) -> usize {
        self.params.iter().filter(|param| param.default == Omitted::Required).count()
    }
}

/// What the table below says of a parameter: what may be passed, and what may stand where it goes.
#[allow(non_upper_case_globals, reason = "they stand where types do")]
mod sorts {
    use super::{Grammar, ParamKind};

    type Sort = (ParamKind, Grammar);

    pub(super) const Text: Sort = (ParamKind::Text, Grammar::Free);
    pub(super) const Speech: Sort = (ParamKind::Text, Grammar::Speech);
    pub(super) const Name: Sort = (ParamKind::Text, Grammar::Name);
    pub(super) const Field: Sort = (ParamKind::Text, Grammar::Field);
    pub(super) const Int: Sort = (ParamKind::Int, Grammar::Number);
    pub(super) const Bits: Sort = (ParamKind::Int, Grammar::Bits);
    pub(super) const TextOrNumber: Sort = (ParamKind::TextOrNumber, Grammar::Free);
    pub(super) const Size: Sort = (ParamKind::TextOrNumber, Grammar::Size);
}

macro_rules! default_of {
    () => {
        Omitted::Required
    };
    (None) => {
        Omitted::Empty
    };
    ($number:literal) => {
        Omitted::Int($number)
    };
    ((text $text:literal)) => {
        Omitted::Text($text)
    };
}

macro_rules! calls {
    ($( $number:literal $name:ident ( $( $param:ident $(/ $alias:ident)* : $kind:ident $privacy:ident $(= $default:tt)? ),* )
        -> $tells:ident $answer:literal $gives:expr, [$($at:literal),*] $order:expr, $summary:literal; )*) => {
        /// A function that the hub answers. Up to 55 the discriminant is the number in the C
        /// ABI's first callback table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u8)]
        #[allow(non_camel_case_types, reason = "the names are those of the Python functions")]
        pub enum Call { $( #[doc = $summary] $name = $number, )* }

        /// All calls in the order of their numbers; the numbers 42 to 44 are reserved and absent.
        pub static CALLS: [CallSpec; Call::COUNT] = [ $( CallSpec {
            call: Call::$name,
            name: stringify!($name),
            params: &[ $( Param {
                name: stringify!($param),
                aliases: &[ $( stringify!($alias) ),* ],
                kind: sorts::$kind.0,
                grammar: sorts::$kind.1,
                privacy: Privacy::$privacy,
                default: default_of!($($default)?),
            } ),* ],
            host_order: &[ $( $at ),* ],
            order: $order,
            answer: $answer,
            gives: $gives,
            privacy: Privacy::$tells,
            summary: $summary,
        }, )* ];
    };
}

use Gives::*;
use Order::*;

calls! {
    0 SendToOpChat(message: Speech Private, from_nick: Name Public = None) -> Public "l" Bool, [0, 1] AsWritten, "Writes in the operator chat.";
    1 SendToActive(data: Text Raw, delay: Int Public = None) -> Public "l" Bool, [0, 1] AsWritten, "Sends raw protocol data to all active users.";
    2 SendToPassive(data: Text Raw, delay: Int Public = None) -> Public "l" Bool, [0, 1] AsWritten, "Sends raw protocol data to all passive users.";
    3 SendToActiveClass(data: Text Raw, min_class: Int Public, max_class: Int Public, delay: Int Public = None) -> Public "l" Bool, [0, 1, 2, 3] AsWritten, "Sends raw protocol data to active users of these classes.";
    4 SendToPassiveClass(data: Text Raw, min_class: Int Public, max_class: Int Public, delay: Int Public = None) -> Public "l" Bool, [0, 1, 2, 3] AsWritten, "Sends raw protocol data to passive users of these classes.";
    5 SendDataToUser(data: Text RawToOne, nick: Text Public, delay: Int Public = None) -> Public "l" Bool, [0, 1, 2] AsWritten, "Sends raw protocol data to one user.";
    6 SendDataToAll(data: Text Raw, min_class: Int Public, max_class: Int Public, delay: Int Public = None) -> Public "l" Bool, [0, 1, 2, 3] AsWritten, "Sends raw protocol data to users of these classes.";
    7 SendPMToAll(message: Speech Private, from_nick: Name Public, min_class: Int Public, max_class: Int Public) -> Public "l" Bool, [0, 1, 2, 3] AsWritten, "Sends a private message to everybody of these classes.";
    8 CloseConnection(nick: Text Public, reason: Int Public = None, delay: Int Public = None) -> Public "l" Bool, [0, 2, 1] AsWritten, "Disconnects a user; the reason is one of `vh.eCR_…`, the delay in milliseconds.";
    9 GetMyINFO(nick: Text Public) -> Public "ssssss" MyInfo, [0] AsWritten, "A user's nick, description, tag, speed, mail and share.";
    10 SetMyINFO(nick: Text Public, desc: Field Public = None, tag: Field Public = None, speed: Field Public = None, mail / email: Field Public = None, size / share: Size Public = None) -> Public "l" Bool, [0, 1, 2, 3, 4, 5] AsWritten, "Replaces parts of a user's `$MyINFO`; None leaves a part as it is.";
    11 GetUserClass(nick: Text Public) -> Public "l" Int(-2), [0] AsWritten, "A user's class; -2 when not online.";
    12 GetUserHost(nick: Text Public) -> Address "s" OptionalText, [0] AsWritten, "A user's host name.";
    13 GetUserIP(nick: Text Public) -> Address "s" OptionalText, [0] AsWritten, "A user's address.";
    14 SetUserIP(nick: Text Public, ip: Text Address) -> Public "l" Bool, [0, 1] AsWritten, "Changes the address that the hub shows for a user.";
    15 SetMyINFOFlag(nick: Text Public, flag: Bits Public) -> Public "l" Bool, [0, 1] AsWritten, "Sets bits in a user's status byte.";
    16 UnsetMyINFOFlag(nick: Text Public, flag: Bits Public) -> Public "l" Bool, [0, 1] AsWritten, "Clears bits in a user's status byte.";
    17 GetUserHubURL(nick: Text Public) -> Public "s" OptionalText, [0] AsWritten, "The address by which a user found the hub.";
    18 GetUserExtJSON(nick: Text Public) -> Public "s" OptionalText, [0] AsWritten, "What a user's client sent as `$ExtJSON`.";
    19 GetUserCC(nick: Text Public) -> Public "s" OptionalText, [0] AsWritten, "A user's country code.";
    20 GetIPCC(ip: Text Address) -> Public "s" OptionalText, [0] AsWritten, "An address's country code.";
    21 GetIPCN(ip: Text Address) -> Public "s" OptionalText, [0] AsWritten, "An address's country name.";
    22 GetIPASN(ip: Text Address, database / db: Text Public = None) -> Public "s" OptionalText, [0, 1] AsWritten, "An address's autonomous system.";
    23 GetGeoIP(ip: Text Address, database / db: Text Public = None) -> Private "sdsdslslp" Geo, [0, 1] AsWritten, "All that the city database knows of an address.";
    24 GetNickList() -> Public "s" Nicks("$NickList "), [] AsWritten, "The nicks of everybody in the user list.";
    25 GetOpList() -> Public "s" Nicks("$OpList "), [] AsWritten, "The nicks of the operators.";
    26 GetBotList() -> Public "s" Nicks("$BotList "), [] AsWritten, "The nicks of the bots.";
    27 AddRegUser(nick: Text Public, user_class / uclass: Int Public, password / passwd: Text Secret = None, op / op_note: Text Public = None) -> Public "l" Bool, [0, 1, 2, 3] AsWritten, "Registers a user.";
    28 DelRegUser(nick: Text Public) -> Public "l" Bool, [0] AsWritten, "Removes a registration.";
    29 SetRegClass(nick: Text Public, user_class / uclass: Int Public) -> Public "l" Bool, [0, 1] AsWritten, "Changes a registered user's class.";
    30 Ban(op: Name Public, nick: Text Public, reason: Speech Public, seconds / duration_sec / howlong: Int Public, ban_type / bantype: Int Public) -> Public "l" Bool, [0, 1, 2, 3, 4] AsWritten, "Bans a user; 0 seconds is for ever, the type is one of `vh.eBF_…`.";
    31 KickUser(op: Text Public, nick: Text Public, reason: Speech Public, address / note / addr: Field Address = None, note_op / op_note: Text Private = None, note_user / note_usr / ban_time: Text Private = None) -> Public "l" Bool, [0, 1, 2, 3, 4, 5] AsWritten, "Kicks a user as an operator would.";
    32 DelNickTempBan(nick: Text Public) -> Public "l" Bool, [0] AsWritten, "Lifts a nick's temporary ban.";
    33 DelIPTempBan(ip: Text Address) -> Public "l" Bool, [0] AsWritten, "Lifts an address's temporary ban.";
    34 ParseCommand(nick: Text Public, command: Speech Command, in_pm / is_pm: Int Public) -> Public "l" Bool, [0, 1, 2] AsWritten, "Runs a hub command as that user.";
    35 ScriptCommand(command / cmd: Text Command, data: Text Private, immediate: Int Public = None) -> Public "l" Bool, [0, 1, 2] AsWritten, "Sends a command to every script.";
    36 SetConfig(conf / config_type: Text Public = (text "config"), variable / var: Text Public, value / val: TextOrNumber Setting) -> Public "l" Bool, [0, 1, 2] FirstOptional { full: 3 }, "Changes a configuration variable.";
    37 GetConfig(conf / config_type: Text Public = (text "config"), variable / var: Text Public, default / def_val: TextOrNumber Setting = None) -> Setting "s" OptionalText, [0, 1, 2] FirstOptional { full: 2 }, "Reads a configuration variable.";
    38 IsRobotNickBad(nick: Text Public) -> Public "l" Int(5), [0] AsWritten, "Whether a nick can be a robot's: one of `vh.eBOT_…`.";
    39 AddRobot(nick: Text Public, user_class / uclass: Int Public, desc: Field Public, speed: Field Public, mail / email: Field Public, share: Size Public) -> Public "l" Bool, [0, 1, 2, 3, 4, 5] AsWritten, "Puts a robot into the user list.";
    40 DelRobot(nick: Text Public) -> Public "l" Bool, [0] AsWritten, "Takes a robot out again.";
    41 SQL(query: Text Query, limit: Int Public = 100) -> Query "lllp" Rows, [0, 1] IntLast, "Runs a query on the hub's database.";
    45 GetServFreq() -> Public "d" Float, [] AsWritten, "How often per second the hub's loop runs.";
    46 GetUsersCount() -> Public "l" Int(0), [] AsWritten, "How many users are online.";
    47 GetTotalShareSize() -> Public "s" Text, [] AsWritten, "The sum of all shares in bytes.";
    48 UserRestrictions(nick: Text Public, nochat / chat: TextOrNumber Public = None, nopm / pm: TextOrNumber Public = None, nosearch / search: TextOrNumber Public = None, noctm / ctm: TextOrNumber Public = None) -> Public "l" Restrictions, [0, 1, 2, 3, 4] AsWritten, "Sets and tells what a user may not do: a period such as `3h` or `1d` restricts, `0` lifts, None leaves.";
    49 Topic(topic / new_topic: Speech Public = None) -> Public "s" Text, [0] AsWritten, "The hub's topic; with an argument, sets it.";
    50 mc(message: Speech Public, from_nick: Name Public = None) -> Public "l" Bool, [0, 1] AsWritten, "Writes in the main chat.";
    51 usermc(message: Speech Private, nick: Text Public, from_nick: Name Public = None) -> Public "l" Bool, [0, 1, 2] OnlineDecides, "Writes in the main chat, seen by one user only.";
    52 classmc(message: Speech Private, min_class: Int Public, max_class: Int Public = 10, from_nick: Name Public = None) -> Public "l" Bool, [0, 1, 2, 3] SenderThird, "Writes in the main chat, seen by these classes only.";
    53 pm(message: Speech Private, nick: Text Public, from_nick: Name Public = None, shown_nick: Name Public = None) -> Public "l" Bool, [0, 1, 2, 3] OnlineDecides, "Sends a private message.";
    54 name_and_version(name: Text Public = None, version: Text Public = None) -> Public "ss" Pair, [0, 1] AsWritten, "The script's name and version as operators see them; with arguments, sets them.";
    55 StopHub(code: Int Public, delay: Int Public = None) -> Public "l" Bool, [0, 1] AsWritten, "Stops the hub with this exit code after so many seconds.";
    56 GetIPCity(ip: Text Address, database / db: Text Public = None) -> Private "s" OptionalText, [0, 1] AsWritten, "An address's city; only on hubs of the later callback table.";
    57 users(fields: Text Public) -> Public "lllp" Users, [0] AsWritten, "Everybody in the user list, with the fields that are asked for, or all: `nick`, `class`, `ip`, `cc`, `desc`, `tag`, `speed`, `mail`, `share`.";
}

impl Call {
    /// How many calls there are, without the three reserved numbers.
    pub const COUNT: usize = 55;

    /// The call with this number.
    pub fn from_number(number: usize) -> Option<Call> {
        let at = match number {
            0..=41 => number,
            45..=57 => number - 3,
            _ => return None,
        };
        Some(CALLS[at].call)
    }

    /// The call whose Python function has exactly this name.
    pub fn from_name(name: &str) -> Option<Call> {
        CALLS.iter().find(|spec| spec.name == name).map(|spec| spec.call)
    }

    /// The row of the table.
    pub fn spec(self) -> &'static CallSpec {
        let number = self as usize;
        &CALLS[if number > 41 { number - 3 } else { number }]
    }

    /// The function's name in `vh`.
    pub fn name(self) -> &'static str {
        self.spec().name
    }

    /// The place in the C ABI's callback table.
    pub fn place(self, numbering: Numbering) -> Option<usize> {
        let number = self as usize;
        match (numbering, self) {
            (Numbering::V1_6, Call::GetIPCity) => None,
            (Numbering::V1_6, _) => Some(number),
            (Numbering::V1_7, Call::GetIPCity) => Some(22),
            (Numbering::V1_7, _) => Some(number + usize::from(number >= 22)),
        }
    }

    /// The call at this place of the C ABI's callback table.
    pub fn at_place(place: usize, numbering: Numbering) -> Option<Call> {
        CALLS.iter().map(|spec| spec.call).find(|call| call.place(numbering) == Some(place))
    }
}

/// A field that `vh.users` can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserField {
    /// Its name.
    pub name: &'static str,
    /// Whether it is a number; otherwise it is a text.
    pub is_number: bool,
}

/// The fields of `vh.users`. What a user lacks is NULL.
pub static USER_FIELDS: [UserField; 9] = [
    UserField { name: "nick", is_number: false },
    UserField { name: "class", is_number: true },
    UserField { name: "ip", is_number: false },
    UserField { name: "cc", is_number: false },
    UserField { name: "desc", is_number: false },
    UserField { name: "tag", is_number: false },
    UserField { name: "speed", is_number: false },
    UserField { name: "mail", is_number: false },
    UserField { name: "share", is_number: true },
];

/// Which of the two callback tables of the C ABI a hub fills.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Numbering {
    /// 56 places; 42 to 44 are NULL.
    V1_6,
    /// GetIPCity at 22, everything after it one higher; 43 to 45 are NULL.
    V1_7,
}

/// A named number in `vh`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Constant {
    /// The name, such as `eCR_KICKED`.
    pub name: &'static str,
    /// The number.
    pub value: i64,
}

macro_rules! constants {
    ($($prefix:literal: $($name:ident $value:literal),+;)*) => {
        /// The constants of the module `vh`: reasons to close a connection (`eCR_`), what is
        /// wrong with a robot's nick (`eBOT_`), types of configuration values (`eIT_`) and
        /// of bans (`eBF_`).
        pub static CONSTANTS: &[Constant] = &[
            $($( Constant { name: concat!($prefix, stringify!($name)), value: $value }, )+)*
        ];
    };
}

constants! {
    "eCR_": DEFAULT 0, INVALID_USER 1, KICKED 2, BANNED 2, FORCEMOVE 3, QUIT 4, HUB_LOAD 5, TIMEOUT 6,
        TO_ANYACTION 7, USERLIMIT 8, SHARE_LIMIT 9, TAG_NONE 10, TAG_INVALID 11, PASSWORD 12,
        LOGIN_ERR 13, SYNTAX 14, INVALID_KEY 15, RECONNECT 16, CLONE 17, SELF 18, BADNICK 19,
        NOREDIR 20, PLUGIN 21;
    "eBOT_": OK 0, EXISTS 1, WITHOUT_NICK 2, BAD_CHARS 3, RESERVED_NICK 4, API_ERROR 5;
    "eIT_": VOID 0, BOOL 1, CHAR 2, INT 3, UINT 4, LONG 5, ULONG 6, PCHAR 7, TIMET 8, LLONG 9,
        ULLONG 10, AR_BYTE 11, STRING 12, DOUBLE 13;
    "eBF_": NICKIP 0, IP 1, NICK 2, RANGE 3, HOST1 4, HOST2 5, HOST3 6, SHARE 7, PREFIX 8, HOSTR1 9;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_their_rows() {
        for spec in &CALLS {
            assert_eq!(Call::from_number(spec.call as usize), Some(spec.call));
            assert_eq!(spec.call.spec().name, spec.name);
            assert_eq!(spec.host_order.len(), spec.params.len(), "{}", spec.name);
        }
        for reserved in [42, 43, 44, 58, 1000] {
            assert_eq!(Call::from_number(reserved), None);
        }
    }

    #[test]
    fn host_formats_are_those_of_the_c_abi() {
        let formats = [
            (Call::SendToOpChat, "ss"),
            (Call::SendToActiveClass, "slll"),
            (Call::CloseConnection, "sll"),
            (Call::SetMyINFO, "ssssss"),
            (Call::AddRegUser, "slss"),
            (Call::Ban, "sssll"),
            (Call::KickUser, "ssssss"),
            (Call::ParseCommand, "ssl"),
            (Call::SetConfig, "sss"),
            (Call::AddRobot, "slssss"),
            (Call::SQL, "sl"),
            (Call::UserRestrictions, "sssss"),
            (Call::classmc, "slls"),
            (Call::pm, "ssss"),
            (Call::StopHub, "ll"),
            (Call::GetNickList, ""),
        ];
        for (call, format) in formats {
            assert_eq!(call.spec().host_format(), format, "{}", call.name());
        }
    }

    #[test]
    fn both_callback_tables_are_numbered_as_hubs_fill_them() {
        assert_eq!(Call::GetIPASN.place(Numbering::V1_6), Some(22));
        assert_eq!(Call::GetIPASN.place(Numbering::V1_7), Some(23));
        assert_eq!(Call::StopHub.place(Numbering::V1_7), Some(56));
        assert_eq!(Call::at_place(22, Numbering::V1_7), Some(Call::GetIPCity));
        assert_eq!(Call::at_place(43, Numbering::V1_6), None);
        assert_eq!(Call::at_place(42, Numbering::V1_7), Some(Call::SQL));
    }
}
