//! Somebody in the user list, or on the way there: a client's user, a bot, a script's robot;
//! connections and what users may do are left to others.

use std::rc::Rc;

use super::connection::ConnId;
use super::database::{Account, Restrictions};
use super::protocol::MyInfo;
use super::slots::Id;
use crate::host::ScriptId;

/// Names one user.
pub type UserId = Id<User>;

/// What a user may do, as a rank.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(i8)]
pub enum Class {
    /// A hub list's pinger.
    Pinger = -1,
    /// Not registered.
    #[default]
    Guest = 0,
    /// Registered.
    Registered = 1,
    /// With privileges.
    Vip = 2,
    /// Keeps order.
    Operator = 3,
    /// A chief of operators.
    Chief = 4,
    /// Configures the hub.
    Admin = 5,
    /// Owns the hub.
    Master = 10,
}

impl Class {
    /// All classes, from the lowest.
    pub const ALL: [Class; 8] = [
        Class::Pinger,
        Class::Guest,
        Class::Registered,
        Class::Vip,
        Class::Operator,
        Class::Chief,
        Class::Admin,
        Class::Master,
    ];

    /// The class with this number.
    pub fn from_number(number: i64) -> Option<Class> {
        Class::ALL.into_iter().find(|class| class.number() == number)
    }

    /// Its number, as configuration and scripts have it.
    pub fn number(self) -> i64 {
        i64::from(self as i8)
    }

    /// What operators call it.
    pub fn name(self) -> &'static str {
        match self {
            Class::Pinger => "pinger",
            Class::Guest => "guest",
            Class::Registered => "registered user",
            Class::Vip => "VIP",
            Class::Operator => "operator",
            Class::Chief => "chief",
            Class::Admin => "admin",
            Class::Master => "master",
        }
    }
}

/// Behind a user: a client or a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// A client.
    Client(ConnId),
    /// The hub's own bot.
    HubBot,
    /// The operators' chat.
    OpChat,
    /// A script's robot.
    Robot(ScriptId),
}

/// Somebody with a nick.
pub struct User {
    /// As he wrote it.
    pub nick: Rc<[u8]>,
    /// What he may do.
    pub class: Class,
    /// Who or what he is.
    pub behind: Behind,
    /// Whether others see him.
    pub in_list: bool,
    /// The whole `$MyINFO …|` as others see it.
    pub shown: Vec<u8>,
    /// The `$MyINFO …` as his client sent it last, without the `|`.
    pub sent: Vec<u8>,
    /// What he shares, in bytes.
    pub share: u64,
    /// Whether others can connect to him.
    pub active: bool,
    /// His registration, if he has one.
    pub account: Option<Account>,
    /// The stored password that his client has shown to know.
    pub proof: Option<Vec<u8>>,
    /// What he may not do for now.
    pub restrictions: Restrictions,
    /// Since when he is here, in seconds since the epoch.
    pub login_time: i64,
    /// The whole `$ExtJSON …|` that his client sent.
    pub ext_json: Vec<u8>,
}

impl User {
    /// Somebody of whom no more is known.
    pub fn new(nick: &[u8], class: Class, behind: Behind) -> User {
        User {
            nick: nick.into(),
            class,
            behind,
            in_list: false,
            shown: Vec::new(),
            sent: Vec::new(),
            share: 0,
            active: false,
            account: None,
            proof: None,
            restrictions: Restrictions::default(),
            login_time: 0,
            ext_json: Vec::new(),
        }
    }

    /// The connection of a client's user.
    pub fn connection(&self) -> Option<ConnId> {
        match self.behind {
            Behind::Client(id) => Some(id),
            _ => None,
        }
    }

    /// Whether a registration is his: he knows its password, or it has none yet and he is the
    /// first to come.
    pub fn owns(&self, account: &Account) -> bool {
        match &self.proof {
            Some(proof) => *proof == account.login_pwd,
            None => account.is_without_password(),
        }
    }

    /// Whether a program is behind him.
    pub fn is_bot(&self) -> bool {
        self.connection().is_none()
    }

    /// What others see of him.
    pub fn info(&self) -> MyInfo<'_> {
        let text = self.shown.strip_suffix(b"|").unwrap_or(&self.shown);
        let parsed = text.strip_prefix(b"$MyINFO $ALL ").and_then(MyInfo::parse);
        parsed.unwrap_or(MyInfo { nick: &self.nick, size: b"0", ..MyInfo::default() })
    }
}

impl Account {
    /// Whether its user is still to choose a password, and none is asked for until then.
    pub fn is_without_password(&self) -> bool {
        self.login_pwd.is_empty() && self.pwd_change
    }

    /// What its user may do: nothing more than a guest until the password is of his own choice.
    pub fn standing(&self) -> Class {
        if self.pwd_change {
            return Class::Guest;
        }
        Class::from_number(self.class).unwrap_or(Class::Registered)
    }

    /// Whether nobody can come in by it: it has no password, and too high a class to give it to
    /// whoever comes first.
    pub fn is_shut(&self) -> bool {
        self.is_without_password() && needs_password(self.class)
    }
}

/// Whether an account of this class must have a password from the beginning.
pub fn needs_password(class: i64) -> bool {
    class >= Class::Operator.number()
}

/// A client's tag, as far as the hub looks at it: `<client V:1,M:A,H:1/0/0,S:3>`.
#[derive(Debug, Default, PartialEq)]
pub struct Tag {
    /// Whether the client can be connected to.
    pub active: bool,
    /// In how many hubs the user is.
    pub hubs: i64,
    /// How many uploads he gives at a time.
    pub slots: i64,
}

impl Tag {
    /// Reads a tag; what it lacks is taken for nothing.
    pub fn parse(tag: &[u8]) -> Tag {
        let mut read = Tag::default();
        let inside = tag.strip_prefix(b"<").and_then(|tag| tag.strip_suffix(b">")).unwrap_or_default();
        for part in inside.split(|byte| matches!(byte, b',' | b' ')) {
            match part {
                [b'M', b':', mode, ..] => read.active = *mode == b'A',
                [b'H', b':', hubs @ ..] => {
                    read.hubs = hubs.split(|byte| *byte == b'/').filter_map(super::text::number).sum();
                }
                [b'S', b':', slots @ ..] => read.slots = super::text::number(slots).unwrap_or(0),
                _ => {}
            }
        }
        read
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_in_order() {
        assert!(Class::Pinger < Class::Guest && Class::Admin < Class::Master);
        assert_eq!(Class::from_number(4), Some(Class::Chief));
        assert_eq!(Class::from_number(7), None);
        assert_eq!(Class::Master.number(), 10);
    }

    #[test]
    fn tags_are_read() {
        let tag = Tag::parse(b"<++ V:0.868,M:A,H:2/1/3,S:5>");
        assert_eq!(tag, Tag { active: true, hubs: 6, slots: 5 });
        assert!(!Tag::parse(b"<ncdc V:1,M:P,H:1/0/0,S:1>").active);
        assert_eq!(Tag::parse(b"nonsense"), Tag::default());
    }
}
