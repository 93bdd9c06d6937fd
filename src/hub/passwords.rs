//! Whose password is checked next, and how long whoever guesses has to wait; what a right or a
//! wrong one leads to is left to `password_login`.
//!
//! A check costs some ten milliseconds of another thread, and anybody may ask for one. So that
//! nobody waits for strangers' guesses:
//!
//! - the networks that ask take turns, and each has one check at a time;
//! - users who come from where they have come from before take turns of their own;
//! - a client that has hung up is not checked any more;
//! - after each wrong password, a network's next check waits longer, and in the end its
//!   addresses are banned for a while. A nick is not: that would lock its owner out.
//!
//! A user from a known address is spared both, for it may be shared with who guesses.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::time::{Duration, Instant};

use rusqlite::params;

use super::ConnId;
use super::background::{Background, Wake, hash_password, password_is};
use super::database::{Database, Stored, Text};
use super::networks::Network;

/// How many checks are handed to the thread at a time, so that it need not wait for the next.
const AHEAD: usize = 2;

/// How many checks of one source may wait.
const MOST_WAITING: usize = 16;

/// How many sources are kept in mind, so that an attacker cannot fill the memory.
const MOST_SUSPECTS: usize = 10_000;

/// How long a wrong password is kept in mind.
const FORGET: Duration = Duration::from_secs(3600);

/// How long a check waits at most for the wrong passwords before it.
const LONGEST_DELAY: Duration = Duration::from_secs(60);

/// How many wrong passwords a user may send from a known address before each further one waits.
const KNOWN_FREE: u32 = 20;

/// From how many addresses each user is remembered.
const ADDRESSES: i64 = 20;

/// Why a source is trusted, or is not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Trust {
    /// Nothing is known.
    Stranger,
    /// The nick has come from there before.
    Known,
    /// The address is exempt from limits.
    Exempt,
}

/// Who counts as one in the queue: a network, or a user of a trusted one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Source {
    network: Network,
    /// The lower-case nick, where it makes a difference.
    nick: Option<Box<[u8]>>,
    trust: Trust,
}

impl Source {
    pub fn new(network: Network, nick: &[u8], trust: Trust) -> Source {
        let nick = (trust != Trust::Stranger).then(|| super::text::nick_key(nick));
        Source { network, nick, trust }
    }

    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// One address of the network.
    pub fn address(&self) -> std::net::IpAddr {
        self.network.address()
    }

    fn delay(&self, failures: u32) -> Duration {
        match self.trust {
            Trust::Exempt => Duration::ZERO,
            Trust::Known if failures < KNOWN_FREE => Duration::ZERO,
            Trust::Known => Duration::from_secs(1),
            Trust::Stranger if failures == 0 => Duration::ZERO,
            Trust::Stranger => {
                Duration::from_secs(1).saturating_mul(1 << (failures - 1).min(16)).min(LONGEST_DELAY)
            }
        }
    }
}

/// A password that is to be checked.
pub(super) struct Check {
    pub id: ConnId,
    pub source: Source,
    pub password: Vec<u8>,
    pub hash: Vec<u8>,
    pub stored: Stored,
}

/// What the check came to.
pub(super) struct Checked {
    pub id: ConnId,
    pub source: Source,
    pub right: bool,
    /// What it was compared with.
    pub stored: Vec<u8>,
    /// The hash that is to be stored in the place of a password that lay there as it is.
    pub rehashed: Option<String>,
}

/// The checks of one source that wait.
#[derive(Default)]
struct Lane {
    checks: VecDeque<Check>,
    state: LaneState,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LaneState {
    /// Nothing was decided about it.
    #[default]
    New,
    /// Its turn comes.
    Listed,
    /// One of its checks is being made.
    Busy,
    /// It waits for the end of its delay.
    Delayed,
}

/// The wrong passwords of one source.
struct Failures {
    count: u32,
    last: Instant,
    /// Before that, nothing more is checked.
    until: Instant,
}

/// All that wait, and all that failed.
pub(super) struct Passwords {
    thread: Background<Check, Checked>,
    lanes: HashMap<Source, Lane>,
    /// Whose turn comes: strangers, and the others.
    turns: [VecDeque<Source>; 2],
    /// Which of the two is asked first next.
    next: usize,
    /// Whose turn does not come before these times; the numbers tell equal times apart.
    delayed: BTreeMap<(Instant, u64), Source>,
    delays: u64,
    checking: usize,
    suspects: HashMap<Source, Failures>,
}

impl Passwords {
    /// No thread is started yet.
    pub fn new(wake: Wake) -> Passwords {
        Passwords {
            thread: Background::new("passwords", check, wake),
            lanes: HashMap::new(),
            turns: Default::default(),
            next: 0,
            delayed: BTreeMap::new(),
            delays: 0,
            checking: 0,
            suspects: HashMap::new(),
        }
    }

    /// Takes a check. False when too many of its source wait; `waits` tells whether a
    /// connection still wants to know.
    pub fn add(&mut self, check: Check, now: Instant, waits: impl Fn(ConnId) -> bool) -> bool {
        let source = check.source.clone();
        let lane = self.lanes.entry(source.clone()).or_default();
        if source.trust != Trust::Exempt && lane.checks.len() >= MOST_WAITING {
            lane.checks.retain(|check| waits(check.id));
            if lane.checks.len() >= MOST_WAITING {
                return false;
            }
        }
        lane.checks.push_back(check);
        if lane.state == LaneState::New {
            self.list(&source, now);
        }
        true
    }

    /// Decides when the turn of a source comes, which is not listed nor busy.
    fn list(&mut self, source: &Source, now: Instant) {
        let until = self.suspects.get(source).map(|failures| failures.until).filter(|until| *until > now);
        let Some(lane) = self.lanes.get_mut(source) else { return };
        if lane.checks.is_empty() {
            self.lanes.remove(source);
        } else if let Some(until) = until {
            lane.state = LaneState::Delayed;
            self.delays += 1;
            self.delayed.insert((until, self.delays), source.clone());
        } else {
            lane.state = LaneState::Listed;
            let trusted = usize::from(source.trust != Trust::Stranger);
            self.turns.get_mut(trusted).into_iter().for_each(|turns| turns.push_back(source.clone()));
        }
    }

    /// When the next delay is over; then [`Passwords::hand_over`] is to be called.
    pub fn next_delay(&self) -> Option<Instant> {
        self.delayed.first_key_value().map(|((at, _), _)| *at)
    }

    /// Hands as many checks to the thread as it should have. Gives those for whom there is none.
    pub fn hand_over(&mut self, now: Instant, waits: impl Fn(ConnId) -> bool) -> Vec<ConnId> {
        while self.next_delay().is_some_and(|at| at <= now)
            && let Some((_, source)) = self.delayed.pop_first()
        {
            self.list(&source, now);
        }
        let mut lost = Vec::new();
        while self.checking < AHEAD
            && let Some(source) = self.next_source()
        {
            let Some(lane) = self.lanes.get_mut(&source) else { continue };
            let wanted = std::iter::from_fn(|| lane.checks.pop_front()).find(|check| waits(check.id));
            let Some(check) = wanted else {
                self.lanes.remove(&source);
                continue;
            };
            let id = check.id;
            if self.thread.start(check) {
                lane.state = LaneState::Busy;
                self.checking += 1;
            } else {
                lost.push(id);
                self.list(&source, now);
            }
        }
        lost
    }

    fn next_source(&mut self) -> Option<Source> {
        self.next ^= 1;
        let other = self.next ^ 1;
        for queue in [self.next, other] {
            if let Some(source) = self.turns.get_mut(queue).and_then(VecDeque::pop_front) {
                return Some(source);
            }
        }
        None
    }

    /// What has been checked. Then [`Passwords::release`] is to be called.
    pub fn result(&mut self) -> Option<Checked> {
        self.thread.result()
    }

    /// Lets the next check of a source come when it may, after one was made.
    pub fn release(&mut self, source: &Source, now: Instant) {
        self.checking = self.checking.saturating_sub(1);
        self.list(source, now);
    }

    /// Notes a wrong password. Gives how many there were of late.
    pub fn failed(&mut self, source: &Source, now: Instant) -> u32 {
        if source.trust == Trust::Exempt {
            return 0;
        }
        if self.suspects.len() >= MOST_SUSPECTS && !self.suspects.contains_key(source) {
            self.suspects.retain(|_, failures| now.saturating_duration_since(failures.last) < FORGET);
            let oldest = self.suspects.iter().min_by_key(|(_, failures)| failures.last);
            if self.suspects.len() >= MOST_SUSPECTS
                && let Some(oldest) = oldest.map(|(source, _)| source.clone())
            {
                self.suspects.remove(&oldest);
            }
        }
        let failures =
            self.suspects.entry(source.clone()).or_insert(Failures { count: 0, last: now, until: now });
        if now.saturating_duration_since(failures.last) >= FORGET {
            failures.count = 0;
        }
        failures.count = failures.count.saturating_add(1);
        failures.last = now;
        failures.until = now + source.delay(failures.count);
        failures.count
    }

    /// Notes a right password. A stranger's own account is no excuse for guesses at others'.
    pub fn succeeded(&mut self, source: &Source) {
        if source.trust == Trust::Known {
            self.suspects.remove(source);
        }
    }

    /// Forgets what came from a network.
    pub fn forgive(&mut self, network: Network) {
        self.suspects.retain(|source, _| source.network != network);
    }
}

impl Database {
    /// Whether a user has logged in with a password from there before.
    pub(super) fn has_come_from(&self, nick: &[u8], network: Network) -> rusqlite::Result<bool> {
        let mut statement = self.connection.prepare_cached(
            "select exists (select 1 from login_addresses where nick = ?1 and network = ?2)
             or exists (select 1 from reglist where nick = ?1 and login_ip = ?2)",
        )?;
        statement.query_row(params![Text(nick), network.to_string()], |row| row.get(0))
    }

    /// Remembers from where a user has logged in.
    pub(super) fn note_address(&self, nick: &[u8], network: Network, now: i64) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("replace into login_addresses (nick, network, last) values (?, ?, ?)")?
            .execute(params![Text(nick), network.to_string(), now])?;
        self.connection
            .prepare_cached(
                "delete from login_addresses where nick = ?1 and network not in (
                 select network from login_addresses where nick = ?1 order by last desc limit ?2)",
            )?
            .execute(params![Text(nick), ADDRESSES])?;
        Ok(())
    }

    /// Forgets from where a user has logged in: the nick is somebody else's next time.
    pub(super) fn forget_addresses(&self, nick: &[u8]) -> rusqlite::Result<()> {
        self.connection
            .prepare_cached("delete from login_addresses where nick = ?")?
            .execute([Text(nick)])?;
        Ok(())
    }
}

/// Checks a password; takes some milliseconds.
fn check(check: Check) -> Checked {
    let plain = check.stored == Stored::Plain;
    let right = match check.stored {
        Stored::Argon2 => password_is(&check.password, &check.hash),
        Stored::Plain => !check.hash.is_empty() && check.password == check.hash,
        Stored::Unknown => false,
    };
    let rehashed = if right && plain { hash_password(&check.password) } else { None };
    Checked { id: check.id, source: check.source, right, stored: check.hash, rehashed }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::hub::slots::Slots;

    fn source(ip: &str, trust: Trust) -> Source {
        Source::new(Network::of(ip.parse().unwrap()), b"Boss", trust)
    }

    fn check(id: ConnId, source: &Source) -> Check {
        let (password, hash) = (b"x".to_vec(), b"y".to_vec());
        Check { id, source: source.clone(), password, hash, stored: Stored::Plain }
    }

    /// Checks all that wait, and gives the order.
    fn drain(passwords: &mut Passwords, now: Instant, waits: impl Fn(ConnId) -> bool + Copy) -> Vec<ConnId> {
        let mut order = Vec::new();
        loop {
            assert_eq!(passwords.hand_over(now, waits), []);
            if passwords.checking == 0 {
                return order;
            }
            let Some(checked) = passwords.result() else {
                std::thread::yield_now();
                continue;
            };
            order.push(checked.id);
            passwords.release(&checked.source, now);
        }
    }

    fn ids(count: usize) -> Vec<ConnId> {
        let mut slots = Slots::default();
        (0..count)
            .map(|_| {
                let peer = "127.0.0.1:5".parse().unwrap();
                let link = crate::hub::connection::Link::Sink { bytes: 0, kept: None };
                slots.insert(crate::hub::Connection::new(
                    link,
                    peer,
                    0,
                    crate::hub::Broadcast::default().keep(&[]),
                ))
            })
            .collect()
    }

    #[test]
    fn networks_take_turns_and_who_has_gone_is_passed_over() {
        let now = Instant::now();
        let mut passwords = Passwords::new(Arc::new(|| {}));
        let ids = ids(12);
        let flood = source("10.0.0.1", Trust::Stranger);
        for id in &ids[..10] {
            assert!(passwords.add(check(*id, &flood), now, |_| true));
        }
        passwords.add(check(ids[10], &source("10.0.0.2", Trust::Stranger)), now, |_| true);
        passwords.add(check(ids[11], &source("10.0.0.3", Trust::Known)), now, |_| true);
        let gone = &ids[1..9];
        let order = drain(&mut passwords, now, |id| !gone.contains(&id));
        let place = |id| order.iter().position(|checked| *checked == id);
        assert_eq!(order.len(), 4, "{order:?}");
        assert!(place(ids[11]) < Some(2) && place(ids[10]) < Some(3), "{order:?}");
        assert_eq!(place(ids[9]), Some(3));
        assert!(passwords.lanes.is_empty());
    }

    #[test]
    fn a_source_may_have_only_so_many_waiting() {
        let now = Instant::now();
        let mut passwords = Passwords::new(Arc::new(|| {}));
        let ids = ids(MOST_WAITING + 1);
        for trust in [Trust::Stranger, Trust::Known] {
            let source = source("10.0.0.1", trust);
            for id in &ids[..MOST_WAITING] {
                assert!(passwords.add(check(*id, &source), now, |_| true));
            }
            let more = ids[MOST_WAITING];
            assert!(!passwords.add(check(more, &source), now, |_| true));
            assert!(passwords.add(check(more, &source), now, |id| id == more), "the others are gone");
        }
    }

    #[test]
    fn guesses_wait_longer_and_longer() {
        let now = Instant::now();
        let mut passwords = Passwords::new(Arc::new(|| {}));
        let id = ids(1)[0];
        let stranger = source("2001:db8::1", Trust::Stranger);
        // How long the next check of a source waits. It is made, so that the next can be asked for.
        let delay = |passwords: &mut Passwords, source: &Source| {
            assert!(passwords.add(check(id, source), now, |_| true));
            let delay = passwords.next_delay().map_or(0, |at| (at - now).as_secs());
            assert_eq!(drain(passwords, now + Duration::from_secs(delay), |_| true), [id]);
            delay
        };
        let mut delays = Vec::new();
        for _ in 0..9 {
            passwords.failed(&stranger, now);
            delays.push(delay(&mut passwords, &source("2001:db8::5:5", Trust::Stranger)));
        }
        assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        // A user from where they have come from before does not wait for others' guesses, and
        // hardly for their own.
        let known = source("2001:db8::1", Trust::Known);
        for _ in 1..KNOWN_FREE {
            passwords.failed(&known, now);
        }
        assert_eq!(delay(&mut passwords, &known), 0);
        passwords.failed(&known, now);
        assert_eq!(delay(&mut passwords, &known), 1);
        passwords.succeeded(&known);
        assert_eq!(delay(&mut passwords, &known), 0);
        let exempt = source("2001:db8::1", Trust::Exempt);
        (0..100).for_each(|_| assert_eq!(passwords.failed(&exempt, now), 0));
        // After an hour all is forgotten.
        assert_eq!(passwords.failed(&stranger, now + FORGET), 1);
    }

    #[test]
    fn the_memory_for_suspects_is_bounded() {
        let now = Instant::now();
        let mut passwords = Passwords::new(Arc::new(|| {}));
        for at in 0..MOST_SUSPECTS as u32 + 5 {
            let ip = std::net::Ipv4Addr::from(at);
            let source = Source::new(Network::of(ip.into()), b"x", Trust::Stranger);
            passwords.failed(&source, now + Duration::from_millis(at.into()));
        }
        assert_eq!(passwords.suspects.len(), MOST_SUSPECTS);
    }

    #[test]
    fn a_right_password_forgives_only_who_has_come_from_there_before() {
        let now = Instant::now();
        let mut passwords = Passwords::new(Arc::new(|| {}));
        for (trust, counted) in [(Trust::Stranger, 3), (Trust::Known, 1)] {
            let source = source("10.0.0.1", trust);
            passwords.failed(&source, now);
            assert_eq!(passwords.failed(&source, now), 2);
            passwords.succeeded(&source);
            assert_eq!(passwords.failed(&source, now), counted, "{trust:?}");
        }
    }

    #[test]
    fn addresses_are_remembered_for_a_while() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        let from = |at: u32| Network::of(std::net::Ipv4Addr::from(at).into());
        for at in 1..=ADDRESSES as u32 + 1 {
            database.note_address(b"Nick", from(at), at.into()).unwrap();
        }
        assert!(!database.has_come_from(b"nick", from(1)).unwrap(), "the oldest is forgotten");
        assert!(database.has_come_from(b"NICK", from(2)).unwrap());
        assert!(!database.has_come_from(b"other", from(2)).unwrap());
        database.forget_addresses(b"nick").unwrap();
        assert!(!database.has_come_from(b"nick", from(2)).unwrap());
    }
}
