//! How users are put out, whoever wants it: kicks, drops, redirects, bans for a while and
//! lasting ones. What a ban goes by is in `bans`.

use std::net::IpAddr;
use std::rc::Rc;

use plugin_abi::{Hook, Value};

use super::bans::{BanKind, NewBan, Target};
use super::class::Class;
use super::database::Kick;
use super::networks::{Network, Range};
use super::protocol::chat_text;
use super::text::{find, period, spoken_period};
use super::{CloseReason, ConnId, Hub, UserId};

/// An address that is kept out until the hub stops, at the longest.
pub(super) struct TemporaryBan {
    until: i64,
    pub reason: &'static str,
    /// Whether users who have come from there before may come in all the same.
    pub spares_known: bool,
}

/// How many addresses are kept in mind, so that an attacker cannot fill the memory.
const MOST_TEMPORARY_BANS: usize = 10_000;

/// What goes with a kick.
#[derive(Default)]
pub(super) struct KickNotes<'a> {
    /// Where the user is sent; empty for nowhere.
    pub redirect: &'a [u8],
    /// For operators.
    pub note_op: &'a [u8],
    /// For the user.
    pub note_user: &'a [u8],
}

/// What a kick came to; the user is out in any case.
#[derive(Debug, PartialEq)]
pub(super) struct Kicked {
    /// For how many seconds they are banned, 0 for ever; `None` when the ban could not be stored.
    pub banned: Option<i64>,
    /// Whether the list of kicks has it.
    pub listed: bool,
}

/// What an operator is told besides when the list of kicks lacks one.
pub(super) const NOT_LISTED: &str = " It could not be put into the list of kicks; see the log.";

impl Hub {
    /// Keeps an address out for some seconds; of IPv6, the whole /64.
    pub(super) fn ban_for_a_while(
        &mut self,
        ip: IpAddr,
        seconds: i64,
        reason: &'static str,
        spares_known: bool,
    ) {
        if self.settings.limit_exempt.contain(ip) {
            return;
        }
        let now = self.clock.seconds;
        if self.temporary_bans.len() >= MOST_TEMPORARY_BANS {
            self.temporary_bans.retain(|_, ban| ban.until > now);
        }
        if seconds > 0 && self.temporary_bans.len() < MOST_TEMPORARY_BANS {
            let ban = TemporaryBan { until: now.saturating_add(seconds), reason, spares_known };
            self.temporary_bans.insert(Network::of(ip), ban);
        }
    }

    /// What keeps an address out for a while, and for how many more seconds.
    pub(super) fn temporary_ban(&self, ip: IpAddr) -> Option<(i64, &TemporaryBan)> {
        let ban = self.temporary_bans.get(&Network::of(ip))?;
        let left = ban.until - self.clock.seconds;
        (left > 0).then_some((left, ban))
    }

    /// Lifts what [`Hub::ban_for_a_while`] did.
    pub(super) fn lift_temporary_ban(&mut self, ip: IpAddr) -> bool {
        self.passwords.forgive(Network::of(ip));
        self.temporary_bans.remove(&Network::of(ip)).is_some_and(|ban| ban.until > self.clock.seconds)
    }

    /// What bans can go by, of somebody who is online.
    pub(super) fn target_of(&self, user: UserId) -> Option<Target> {
        let user = self.users.get(user)?;
        let connection = self.connections.get(user.connection()?)?;
        // Whoever bans the range of a user means their neighbours too; of IPv6, the user's own network.
        let bits = if connection.ip.is_ipv4() { 24 } else { 64 };
        let range = Range::around(connection.ip, bits);
        Some(Target {
            nick: user.nick.to_vec(),
            ip: Some(connection.ip),
            range,
            host: connection.host.clone().unwrap_or_default().into_bytes(),
            share: Some(user.share()),
        })
    }

    /// Kicks as the user of a connection, who is told what came of it.
    pub(super) fn kick_as(&mut self, id: ConnId, nick: &[u8], reason: &[u8]) {
        let Some(op) = self.connections.get(id).and_then(|connection| connection.user) else { return };
        let answer = match self.kick(op, nick, reason, &KickNotes::default()) {
            Ok(kicked) => {
                let nick = self.readable(nick);
                let banned = match kicked.banned {
                    Some(0) => format!("{nick} was kicked and banned for ever."),
                    Some(seconds) => format!("{nick} was kicked and banned for {}.", spoken_period(seconds)),
                    None => format!("{nick} was kicked, but the ban could not be stored; see the log."),
                };
                banned + if kicked.listed { "" } else { NOT_LISTED }
            }
            Err(why) => why,
        };
        self.tell(id, &answer);
    }

    /// The user that another wants to put out, if they may.
    fn victim(&self, op: UserId, nick: &[u8]) -> Result<(UserId, ConnId), String> {
        let found = self.online(nick).and_then(|user| Some((user, self.users.get(user)?)));
        let Some((user, other)) = found else {
            return Err(format!("{} is not online.", self.readable(nick)));
        };
        let Some(connection) = other.connection() else {
            return Err(format!("{} is a bot.", self.readable(nick)));
        };
        let class = self.users.get(op).map_or(Class::Guest, |op| op.class);
        let enough = class.number() >= other.class.number() + self.settings.classdif_kick;
        if op == user || class < Class::Operator || !enough {
            return Err(format!("You may not put {} out.", self.readable(nick)));
        }
        Ok((user, connection))
    }

    /// Kicks: a disconnect, and a ban of nick and address for a while. `_ban_3h` in the reason
    /// says how long, `_ban_` for ever.
    pub(super) fn kick(
        &mut self,
        op: UserId,
        nick: &[u8],
        reason: &[u8],
        notes: &KickNotes<'_>,
    ) -> Result<Kicked, String> {
        let (user, connection) = self.victim(op, nick)?;
        let (Some(op_user), Some(other)) = (self.users.get(op), self.users.get(user)) else {
            return Err("not online".into());
        };
        let (op_nick, op_class) = (Rc::clone(&op_user.nick), op_user.class);
        let other_nick = Rc::clone(&other.nick);
        let args = [&*op_nick, &*other_nick, reason].map(Value::text);
        let verdict = match op_user.connection() {
            Some(id) => self.raise_for(id, Hook::OnOperatorKicks, &args),
            None => self.raise(Hook::OnOperatorKicks, &args),
        };
        if verdict.blocked {
            return Err("A script prevented the kick.".into());
        }
        // He may have left while the scripts thought about it.
        let Some(target) = self.target_of(user) else {
            return Err(format!("{} has left.", self.readable(&other_nick)));
        };
        let seconds = self.kick_seconds(reason, op_class);
        let listed = self.add_to_kicks(user, &op_nick, reason, false);
        let ban = NewBan {
            kind: BanKind::NickIp,
            target: &target,
            op: &op_nick,
            reason,
            seconds,
            note_op: notes.note_op,
            note_usr: notes.note_user,
        };
        let added = self.database.add_ban(&ban, self.clock.seconds);
        let banned = self.stored("banning", added).flatten().map(|until| self.left_of_ban(until));
        if !self.settings.hide_all_kicks {
            let text = [&*op_nick, b" is kicking ", &*other_nick, b" because: ", reason].concat();
            let bot = self.settings.hub_security.clone();
            let text = chat_text(&text);
            self.send_to_all(&[b"<", &bot, b"> ", &text, b"|"]);
        }
        let told = if reason.is_empty() {
            b"You were kicked.".to_vec()
        } else {
            [b"You were kicked because: ", reason].concat()
        };
        self.private(user, &op_nick, &op_nick, &told);
        if !notes.redirect.is_empty() {
            self.send_to(connection, &[b"$ForceMove ", &super::protocol::field(notes.redirect), b"|"]);
        }
        self.close(connection, CloseReason::Kicked);
        self.acted(&op_nick, "kick", &other_nick, reason);
        Ok(Kicked { banned, listed })
    }

    /// For how many seconds a ban until then holds, 0 for ever.
    pub(super) fn left_of_ban(&self, until: i64) -> i64 {
        if until == 0 { 0 } else { until.saturating_sub(self.clock.seconds).max(1) }
    }

    fn kick_seconds(&self, reason: &[u8], class: Class) -> i64 {
        let Some(at) = find(reason, b"_ban_") else { return self.settings.tban_kick };
        let rest = reason.get(at + 5..).unwrap_or_default();
        let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric()).unwrap_or(rest.len());
        let wanted = period(rest.get(..end).unwrap_or_default());
        match wanted {
            Some(seconds) => seconds.min(self.settings.tban_max.max(1)),
            None if class >= Class::Chief => 0,
            None => self.settings.tban_kick,
        }
    }

    /// Drops: a disconnect, and nothing more. Gives whether the list of kicks has it.
    pub(super) fn drop_user(&mut self, op: UserId, nick: &[u8], reason: &[u8]) -> Result<bool, String> {
        let (user, connection) = self.victim(op, nick)?;
        let (Some(op_user), Some(other)) = (self.users.get(op), self.users.get(user)) else {
            return Err("not online".into());
        };
        let (op_nick, other_nick) = (Rc::clone(&op_user.nick), Rc::clone(&other.nick));
        let own = op_user.connection();
        let mut blocked = false;
        for (hook, count) in [(Hook::OnOperatorDrops, 2), (Hook::OnOperatorDropsWithReason, 3)] {
            let args = [&*op_nick, &*other_nick, reason].map(Value::text);
            let args = args.get(..count).unwrap_or_default();
            let verdict = match own {
                Some(id) => self.raise_for(id, hook, args),
                None => self.raise(hook, args),
            };
            blocked |= verdict.blocked;
        }
        if blocked {
            return Err("A script prevented the drop.".into());
        }
        let listed = self.add_to_kicks(user, &op_nick, reason, true);
        if !reason.is_empty() {
            self.private(user, &op_nick, &op_nick, &[b"You were dropped because: ", reason].concat());
        }
        self.close(connection, CloseReason::Kicked);
        self.acted(&op_nick, "drop", &other_nick, reason);
        Ok(listed)
    }

    fn add_to_kicks(&mut self, user: UserId, op: &[u8], reason: &[u8], is_drop: bool) -> bool {
        let Some(other) = self.users.get(user) else { return false };
        let connection = other.connection().and_then(|id| self.connections.get(id));
        let Some(connection) = connection else { return false };
        let kick = Kick {
            nick: &other.nick,
            time: self.clock.seconds,
            ip: &connection.ip_text,
            host: connection.host.as_deref().unwrap_or_default().as_bytes(),
            share_size: other.share(),
            reason,
            op,
            is_drop,
        };
        let added = self.database.add_kick(&kick);
        self.stored("noting a kick", added).is_some()
    }

    /// Sends a user to another hub.
    pub(super) fn redirect(
        &mut self,
        op: UserId,
        nick: &[u8],
        to: &[u8],
        reason: &[u8],
    ) -> Result<(), String> {
        let (user, connection) = self.victim(op, nick)?;
        let Some(op_nick) = self.users.get(op).map(|op| Rc::clone(&op.nick)) else { return Ok(()) };
        let text = [b"You are being redirected to ", to, b" because: ", reason].concat();
        self.private(user, &op_nick, &op_nick, &text);
        self.send_to(connection, &[b"$ForceMove ", &super::protocol::field(to), b"|"]);
        self.close(connection, CloseReason::ForceMove);
        Ok(())
    }

    /// The class that a nick has, by who is online under it or else by its registration; `None`
    /// when that cannot be told now.
    pub(super) fn class_under(&self, nick: &[u8]) -> Option<Option<Class>> {
        if let Some(user) = self.online_user(nick) {
            return Some(Some(user.class));
        }
        let account = self.account(nick).ok()?;
        Some(account.and_then(|account| Class::from_number(account.class)))
    }

    /// Sets a ban, unless a script prevents it, and puts out whom it is for. Gives for how many
    /// seconds they are banned now, 0 for ever: a longer ban that there was stays.
    pub(super) fn set_ban(&mut self, from: Option<ConnId>, ban: &NewBan<'_>) -> Result<i64, &'static str> {
        let ip = ban.target.ip.map(|ip| ip.to_string().into_bytes()).unwrap_or_default();
        let args =
            [Value::text(ban.op), Value::from(&ip), Value::from(&ban.target.nick), Value::text(ban.reason)];
        let verdict = match from {
            Some(id) => self.raise_for(id, Hook::OnNewBan, &args),
            None => self.raise(Hook::OnNewBan, &args),
        };
        if verdict.blocked {
            return Err("A script prevented the ban.");
        }
        let added = self.database.add_ban(ban, self.clock.seconds);
        let until = match self.stored("banning", added) {
            Some(Some(until)) => until,
            Some(None) => return Err("This user has no address or host name that such a ban could match."),
            None => return Err("The ban could not be stored; see the log."),
        };
        self.put_out_banned(ban);
        Ok(self.left_of_ban(until))
    }

    /// Disconnects all whom a new ban keeps out.
    fn put_out_banned(&mut self, ban: &NewBan<'_>) {
        let bypass = self.settings.ban_bypass_class;
        let candidates: Vec<(UserId, ConnId)> = self
            .users
            .iter()
            .filter(|(_, user)| user.class.number() < bypass)
            .filter_map(|(id, user)| Some((id, user.connection()?)))
            .collect();
        for (user, id) in candidates {
            if self.target_of(user).is_some_and(|target| ban.keeps_out(&target)) {
                let text = [b"You were banned because: ", ban.reason].concat();
                let text = chat_text(&text).into_owned();
                self.private(user, ban.op, ban.op, &text);
                self.close(id, CloseReason::Kicked);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Options;

    fn target(ip: &str) -> Target {
        Target { ip: ip.parse().ok(), ..Target::default() }
    }

    /// How often bans have been looked for in the database.
    fn searches(hub: &Hub) -> i32 {
        let statement = hub.database.connection.prepare_cached(crate::hub::banlist::FIND).unwrap();
        statement.get_status(rusqlite::StatementStatus::Run)
    }

    #[test]
    fn a_ban_asks_the_database_about_nobody_who_is_online() {
        let data = tempfile::tempdir().unwrap();
        let mut hub = Hub::open(Options::new(data.path())).unwrap();
        let users: Vec<ConnId> = (0..100u8)
            .map(|at| {
                let id = hub.connect_sink(([10, 0, at % 2, at], 5000).into(), false);
                let login = format!(
                    "$Supports NoHello NoGetINFO|$Key x|$ValidateNick u{at}|$MyINFO $ALL u{at} d$ $5\x01$$1$|"
                );
                hub.message(id, login.as_bytes());
                hub.end_turn();
                id
            })
            .collect();
        assert_eq!(hub.users_count(), 100);
        let before = searches(&hub);
        assert!(before >= 100, "each login looks for bans");
        let mut range = target("");
        range.range = Range::parse("10.0.1.0/24");
        for (kind, target) in [(BanKind::Ip, &target("10.0.0.4")), (BanKind::Range, &range)] {
            let ban =
                NewBan { kind, target, op: b"op", reason: b"why", seconds: 60, note_op: b"", note_usr: b"" };
            assert_eq!(hub.set_ban(None, &ban), Ok(60));
        }
        hub.end_turn();
        assert_eq!(searches(&hub), before);
        let gone = |at: usize| hub.user_of(users[at]).is_none();
        assert!((0..100).all(|at| gone(at) == (at == 4 || at % 2 == 1)));
    }
}
