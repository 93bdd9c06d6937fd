//! Somebody in the user list, or on the way there: a client's user, a bot, a script's robot; and
//! the list itself, which alone changes what it counts.

use std::collections::HashMap;
use std::rc::Rc;

use super::class::{Class, needs_password};
use super::database::{Account, Restrictions};
use super::ids::{ConnId, OfUsers, UserId};
use super::protocol::MyInfo;
use super::slots::Slots;
use super::text::nick_key;
use crate::supervisor::ScriptId;

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
    /// As they wrote it.
    pub nick: Rc<[u8]>,
    /// What they may do.
    pub class: Class,
    /// Who or what they are.
    pub behind: Behind,
    /// The list's.
    listed: Option<Listed>,
    /// The whole `$MyINFO …|` as others see it.
    pub shown: Vec<u8>,
    /// The `$MyINFO …` as their client sent it last, without the `|`.
    pub sent: Vec<u8>,
    /// The list's.
    share: u64,
    /// Whether others can connect to them.
    pub active: bool,
    /// Their registration, if they have one.
    pub account: Option<Account>,
    /// The stored password that their client has shown to know.
    pub proof: Option<Vec<u8>>,
    /// What they may not do for now.
    pub restrictions: Restrictions,
    /// Since when they are here, in seconds since the epoch.
    pub login_time: i64,
    /// The whole `$ExtJSON …|` that their client sent.
    pub ext_json: Vec<u8>,
}

impl User {
    /// Somebody of whom no more is known.
    pub fn new(nick: &[u8], class: Class, behind: Behind) -> User {
        User {
            nick: nick.into(),
            class,
            behind,
            listed: None,
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

    /// Whether others see them: they are in the list.
    pub fn is_listed(&self) -> bool {
        self.listed.is_some()
    }

    /// What they share, in bytes.
    pub fn share(&self) -> u64 {
        self.share
    }

    /// The connection of a client's user.
    pub fn connection(&self) -> Option<ConnId> {
        match self.behind {
            Behind::Client(id) => Some(id),
            _ => None,
        }
    }

    /// Whether a registration is theirs: they know its password, or it has none yet and they are the
    /// first to come.
    pub fn owns(&self, account: &Account) -> bool {
        match &self.proof {
            Some(proof) => *proof == account.login_pwd,
            None => account.is_without_password(),
        }
    }

    /// Whether a program is behind them.
    pub fn is_bot(&self) -> bool {
        self.connection().is_none()
    }

    /// What others see of them.
    pub fn info(&self) -> MyInfo<'_> {
        let text = self.shown.strip_suffix(b"|").unwrap_or(&self.shown);
        let parsed = text.strip_prefix(b"$MyINFO $ALL ").and_then(MyInfo::parse);
        parsed.unwrap_or(MyInfo { nick: &self.nick, size: b"0", ..MyInfo::default() })
    }
}

/// A place in the list.
#[derive(Clone, Copy, Debug)]
struct Listed {
    /// Whether their client needs a `$Hello` for each newcomer.
    needs_hello: bool,
}

/// All users, and which of them are in the list. Nobody else can change whether somebody is in
/// it or what they share, so these hold after every call: `names` has exactly those in the list,
/// each under the key of their nick, and the sums are over exactly them.
#[derive(Default)]
pub struct UserList {
    users: Slots<User, OfUsers>,
    names: HashMap<Box<[u8]>, UserId>,
    clients: usize,
    needing_hello: usize,
    /// Of so many bits that no sum of shares is too large.
    share: u128,
}

impl UserList {
    /// Takes somebody in who is not in the list yet.
    pub fn insert(&mut self, mut user: User) -> UserId {
        user.listed = None;
        self.users.insert(user)
    }

    /// Puts a user into the list. False when they are gone or another one there has their nick.
    #[must_use]
    pub fn enter(&mut self, id: UserId, needs_hello: bool) -> bool {
        let Some(user) = self.users.get_mut(id) else { return false };
        if user.listed.is_some() {
            return true;
        }
        let key = nick_key(&user.nick);
        if self.names.contains_key(&*key) {
            return false;
        }
        user.listed = Some(Listed { needs_hello });
        self.share += u128::from(user.share);
        self.clients += usize::from(!user.is_bot());
        self.needing_hello += usize::from(needs_hello);
        self.names.insert(key, id);
        true
    }

    /// Takes a user out of the list. False when they were not in it.
    pub fn leave(&mut self, id: UserId) -> bool {
        let Some(user) = self.users.get_mut(id) else { return false };
        let Some(listed) = user.listed.take() else { return false };
        self.share -= u128::from(user.share);
        self.clients -= usize::from(!user.is_bot());
        self.needing_hello -= usize::from(listed.needs_hello);
        self.names.remove(&nick_key(&user.nick));
        true
    }

    /// Forgets a user, who leaves the list too.
    pub fn remove(&mut self, id: UserId) {
        self.leave(id);
        self.users.remove(id);
    }

    /// Says what a user shares now, in bytes.
    pub fn set_share(&mut self, id: UserId, share: u64) {
        let Some(user) = self.users.get_mut(id) else { return };
        if user.listed.is_some() {
            self.share = self.share - u128::from(user.share) + u128::from(share);
        }
        user.share = share;
    }

    /// Somebody in the list.
    pub fn find(&self, nick: &[u8]) -> Option<UserId> {
        // Nicks of up to this length, which are nearly all, are looked up without a copy.
        let mut lower = [0; 64];
        match lower.get_mut(..nick.len()) {
            Some(lower) => {
                lower.copy_from_slice(nick);
                lower.make_ascii_lowercase();
                self.names.get(&*lower).copied()
            }
            None => self.names.get(&nick_key(nick)).copied(),
        }
    }

    /// A user, in the list or not.
    #[inline]
    pub fn get(&self, id: UserId) -> Option<&User> {
        self.users.get(id)
    }

    /// A user, in the list or not.
    #[inline]
    pub fn get_mut(&mut self, id: UserId) -> Option<&mut User> {
        self.users.get_mut(id)
    }

    /// All users, in the list or not.
    pub fn iter(&self) -> impl Iterator<Item = (UserId, &User)> {
        self.users.iter()
    }

    /// Those in the list.
    pub fn listed(&self) -> impl Iterator<Item = (UserId, &User)> {
        self.users.iter().filter(|(_, user)| user.is_listed())
    }

    /// How many in the list have a client.
    pub fn listed_clients(&self) -> usize {
        self.clients
    }

    /// Whether a client in the list needs a `$Hello` for each newcomer.
    pub fn anybody_needs_hello(&self) -> bool {
        self.needing_hello > 0
    }

    /// What those in the list share together, in bytes.
    pub fn total_share(&self) -> u64 {
        u64::try_from(self.share).unwrap_or(u64::MAX)
    }
}

impl Account {
    /// Whether its user is still to choose a password, and none is asked for until then.
    pub fn is_without_password(&self) -> bool {
        self.login_pwd.is_empty() && self.pwd_change
    }

    /// What its user may do: nothing more than a guest until the password is of their own choice.
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

/// A client's tag, as far as the hub looks at it: `<client V:1,M:A,H:1/0/0,S:3>`.
#[derive(Debug, Default, PartialEq)]
pub struct Tag {
    /// Whether the client can be connected to.
    pub active: bool,
    /// In how many hubs the user is.
    pub hubs: i64,
    /// How many uploads they give at a time.
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

    #[test]
    fn the_list_is_what_its_users_are() {
        let mut list = UserList::default();
        let mut known: Vec<UserId> = Vec::new();
        let mut random = 12345u32;
        for _ in 0..20_000 {
            random = random.wrapping_mul(1_103_515_245).wrapping_add(12345);
            let (what, which, size) = (random >> 16 & 7, random >> 19 & 15, u64::from(random >> 8));
            let id = known.get(which as usize).copied();
            match (what, id) {
                (0 | 1, _) => {
                    let behind = if size & 1 == 0 {
                        Behind::HubBot
                    } else {
                        Behind::Client(Slots::<(), super::super::ids::OfConnections>::default().insert(()))
                    };
                    let nick = [b'a' + (size % 8) as u8, if size & 16 == 0 { b'X' } else { b'x' }];
                    known.push(list.insert(User::new(&nick, Class::Guest, behind)));
                }
                (2 | 3, Some(id)) => {
                    let free = list.find(&list.get(id).unwrap().nick).is_none_or(|there| there == id);
                    assert_eq!(list.enter(id, size & 2 != 0), free, "a nick is there once");
                }
                (4, Some(id)) => _ = list.leave(id),
                (5, Some(id)) => {
                    list.remove(id);
                    known.remove(which as usize);
                }
                (_, Some(id)) => list.set_share(id, if size & 4 == 0 { u64::MAX } else { size }),
                _ => {}
            }
            let listed: Vec<(UserId, &User)> = list.listed().collect();
            assert_eq!(listed.len(), list.names.len());
            assert!(listed.iter().all(|(id, user)| list.find(&user.nick) == Some(*id)));
            assert_eq!(list.share, listed.iter().map(|(_, user)| u128::from(user.share)).sum());
            assert_eq!(list.listed_clients(), listed.iter().filter(|(_, user)| !user.is_bot()).count());
            let needing = listed.iter().filter(|(_, user)| user.listed.unwrap().needs_hello).count();
            assert_eq!(list.anybody_needs_hello(), needing > 0);
        }
        assert!(!known.is_empty());
    }
}
