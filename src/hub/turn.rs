//! What a turn of the hub's loop does: takes connections and their bytes, hands messages on,
//! runs timers, lets users leave, writes what waits; waiting for sockets is the server's matter.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use plugin_abi::{Hook, Value};

use super::connection::{Connection, Link, Stage, State};
use super::networks::Network;
use super::protocol::{Message, parse};
use super::proxy::{self, Header};
use super::user::Behind;
use super::{Clock, CloseReason, ConnId, Hub, since_epoch};
use crate::supervisor::Replacement;

/// How long a client that was closed has to take what still waits for it.
const LINGER: Duration = Duration::from_secs(3);

/// How much of one connection is read in a turn, so that the others have theirs.
const READ_PER_TURN: usize = 64 << 10;

/// How often scripts' commands may lead to others within a turn.
const SCRIPT_COMMANDS_PER_TURN: usize = 1000;

/// How much may be due before scripts can add nothing to it.
const MOST_TIMERS: usize = 100_000;

/// Something that is to happen later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// Look at a connection's deadline.
    Deadline(ConnId),
    /// Close a connection, with the number of the reason.
    Close(ConnId, i64),
    /// Stop the hub with this code.
    Stop(i64),
}

/// What is to happen later, the next first.
#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Due)>>,
    /// When scripts' `OnTimer` is due; `None` when none has it.
    tick: Option<Instant>,
}

impl Timers {
    /// Whether scripts have to wait before they can let more happen later.
    pub fn is_full(&self) -> bool {
        self.heap.len() >= MOST_TIMERS
    }

    /// Lets something happen at a time.
    pub fn add(&mut self, at: Instant, due: Due) {
        self.heap.push(Reverse((at, due)));
    }

    fn pop(&mut self, now: Instant) -> Option<Due> {
        if self.heap.peek()?.0.0 > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, due))| due)
    }
}

/// How often the loop turned lately.
#[derive(Default)]
pub(super) struct Frequency {
    /// Turns in each of the last seconds.
    seconds: [(i64, u32); 16],
}

impl Frequency {
    fn count(&mut self, second: i64) {
        let at = second.rem_euclid(self.seconds.len() as i64) as usize;
        if let Some(slot) = self.seconds.get_mut(at) {
            if slot.0 != second {
                *slot = (second, 0);
            }
            slot.1 = slot.1.saturating_add(1);
        }
    }

    /// The mean of the last ten whole seconds, or of fewer if the hub is younger.
    pub fn mean(&self, second: i64, started: i64) -> f64 {
        let span = (second - started).clamp(1, 10);
        let turns: u64 = self
            .seconds
            .iter()
            .filter(|(at, _)| (1..=span).contains(&(second - at)) || (span == 1 && *at == second))
            .map(|(_, turns)| u64::from(*turns))
            .sum();
        turns as f64 / span as f64
    }
}

impl Hub {
    /// Takes a new connection and greets it. If a script does not want it, it is closed at the
    /// end of the turn, with nothing said.
    pub(super) fn connect(&mut self, link: Link, peer: SocketAddr, server_port: u16) -> ConnId {
        let input = self.broadcast.keep(&[]);
        let mut connection = Connection::new(link, peer, server_port, input);
        if self.settings.trusted_proxies.contain(connection.ip) {
            connection.stage = Stage::Proxy;
            let id = self.connections.insert(connection);
            self.set_deadline(id, self.settings.timeout_key);
            return id;
        }
        let id = self.connections.insert(connection);
        self.meet(id);
        id
    }

    /// Greets a client whose address is known.
    fn meet(&mut self, id: ConnId) {
        if !self.take_place(id) {
            return;
        }
        let ip = self.ip_of(id);
        if self.raise_for(id, Hook::OnNewConn, &[Value::text(&*ip)]).blocked {
            self.close(id, CloseReason::Plugin);
        } else {
            self.greet(id);
        }
    }

    /// Counts a connection among those of its network that are on their way in. When they are
    /// too many, the one that has been idle for longest goes, or the new one if none is idle.
    fn take_place(&mut self, id: ConnId) -> bool {
        let Some(ip) = self.connections.get(id).map(|connection| connection.ip) else { return false };
        let most = usize::try_from(self.settings.max_logins_from_ip).unwrap_or(0);
        if most == 0 || self.settings.limit_exempt.contain(ip) {
            return true;
        }
        let network = Network::of(ip);
        if self.places.count(network) >= most && !self.make_room(Some(network)) {
            let text = "Too many connections from your address are logging in; try again later.";
            self.dismiss_at_once(id, text);
            return false;
        }
        let place = self.places.take(network);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.place = Some(place);
        }
        true
    }

    /// Closes the connection that has been idle for longest on its way in, of a network or of
    /// all. False when there is none.
    pub(super) fn make_room(&mut self, network: Option<Network>) -> bool {
        let idle = self.connections.iter().filter(|(_, connection)| {
            connection.is_open()
                && connection.stage != Stage::LoggedIn
                && connection.pause.is_none()
                && network.is_none_or(|network| {
                    connection.stage != Stage::Proxy && Network::of(connection.ip) == network
                })
        });
        let Some((longest, _)) = idle.min_by_key(|(_, connection)| connection.since) else { return false };
        self.dismiss_at_once(longest, "Others want to log in, and your client was idle for longest.");
        true
    }

    /// Says why, and closes a connection without waiting for the client to do so too.
    fn dismiss_at_once(&mut self, id: ConnId, text: &str) {
        self.dismiss(id, CloseReason::UserLimit, text);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.hung_up = true;
            connection.place = None;
        }
    }

    /// Reads what a proxy says about its client. Gives how many bytes that was.
    fn read_proxy(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let (length, client) = match proxy::parse(bytes) {
            Header::Part => return 0,
            Header::Whole { length, client } => (length, client),
            Header::Wrong => {
                let ip = self.ip_of(id);
                log::warn!("{} is a trusted proxy and sent no PROXY header", self.readable(&ip));
                self.close(id, CloseReason::Syntax);
                return 0;
            }
        };
        let Some(connection) = self.connections.get_mut(id) else { return 0 };
        connection.stage = Stage::Connected;
        if let Some(client) = client {
            connection.set_peer(client);
        }
        self.meet(id);
        length
    }

    /// Sets by when a connection's login must have gone on.
    pub(super) fn set_deadline(&mut self, id: ConnId, seconds: i64) {
        let at =
            self.clock.instant + Duration::from_secs(u64::try_from(seconds).unwrap_or(0).clamp(1, 86_400));
        if let Some(connection) = self.connections.get_mut(id) {
            (connection.deadline, connection.since) = (Some(at), self.clock.instant);
            self.timers.add(at, Due::Deadline(id));
        }
    }

    /// Reads what has come. True when there may be more.
    pub(super) fn read_from(&mut self, id: ConnId, buffer: &mut [u8]) -> bool {
        let mut left = READ_PER_TURN;
        while left > 0 {
            let Some(connection) = self.connections.get_mut(id) else { return false };
            // What waits for a password's check is not read either: it stays the sender's. Who has
            // hung up meanwhile waits for nothing.
            if connection.pause.is_some() {
                return !connection.hung_up || self.ended(id);
            }
            match connection.link.read(buffer) {
                Ok(0) => return self.ended(id),
                Ok(count) => {
                    left = left.saturating_sub(count);
                    self.message(id, buffer.get(..count).unwrap_or_default());
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.ended(id),
            }
        }
        true
    }

    /// Whether a connection's messages wait, so that reading it is of no use now.
    pub(super) fn is_paused(&self, id: ConnId) -> bool {
        self.connections.get(id).is_some_and(|connection| connection.pause.is_some())
    }

    /// The client has closed its side.
    fn ended(&mut self, id: ConnId) -> bool {
        match self.connections.get_mut(id).map(|connection| (&mut connection.hung_up, connection.state)) {
            Some((hung_up, State::Open)) => {
                *hung_up = true;
                self.close(id, CloseReason::Quit);
            }
            Some((_, State::Lingering(_))) => {
                self.connections.remove(id);
            }
            _ => {}
        }
        false
    }

    /// The kernel says that the client has closed its side, which may come before all that it
    /// has sent is read.
    pub(super) fn has_hung_up(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.hung_up = true;
        }
    }

    /// Takes bytes that came from a client: whole messages are acted on, a part is kept.
    pub fn message(&mut self, id: ConnId, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if !connection.is_open() {
            return;
        }
        if connection.input.is_empty() && connection.pause.is_none() {
            let used = self.messages(id, bytes);
            self.keep(id, bytes.get(used..).unwrap_or_default());
        } else {
            self.keep(id, bytes);
            self.resume(id);
        }
    }

    /// Goes on with what was kept.
    pub(super) fn resume(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        if connection.pause.is_some() || connection.input.is_empty() {
            return;
        }
        let mut input = connection.input.take();
        let used = self.messages(id, &input);
        input.drain(..used);
        if input.is_empty() {
            input = Vec::new();
        }
        if let Some(connection) = self.connections.get_mut(id).filter(|connection| connection.is_open()) {
            connection.input.set(input);
        }
    }

    fn keep(&mut self, id: ConnId, bytes: &[u8]) {
        let most = self.longest_message();
        let Some(connection) = self.connections.get_mut(id) else { return };
        if bytes.is_empty() || !connection.is_open() {
            return;
        }
        connection.input.push(&[bytes]);
        // While it is paused, whole messages gather here too, at most one turn's.
        let room = if connection.pause.is_some() { most + READ_PER_TURN } else { most };
        let unended = connection.input.iter().rposition(|byte| *byte == b'|').map_or(0, |at| at + 1);
        if connection.input.len() - unended > most || connection.input.len() > room + READ_PER_TURN {
            connection.input.set(Vec::new());
            self.too_long(id);
        }
        self.hold_limits(0);
    }

    fn longest_message(&self) -> usize {
        usize::try_from(self.settings.adv_max_message_size).unwrap_or(0).max(64)
    }

    fn too_long(&mut self, id: ConnId) {
        let most = self.longest_message();
        self.dismiss(
            id,
            CloseReason::Syntax,
            &format!("Your client sent a message of more than {most} bytes."),
        );
    }

    /// Acts on all whole messages, until the connection is closed or must wait. Gives how many
    /// bytes that were.
    fn messages(&mut self, id: ConnId, bytes: &[u8]) -> usize {
        let mut at = 0;
        if self.stage(id) == Some(Stage::Proxy) {
            at = self.read_proxy(id, bytes);
            if at == 0 {
                return 0;
            }
        }
        let most = self.longest_message();
        while let Some(rest) = bytes.get(at..)
            && let Some(length) = rest.iter().position(|byte| *byte == b'|')
        {
            match self.connections.get(id) {
                Some(connection) if connection.is_open() && connection.pause.is_none() => {}
                _ => break,
            }
            at += length + 1;
            if length > most {
                self.too_long(id);
            } else {
                self.one_message(id, rest.get(..length).unwrap_or_default());
            }
        }
        at
    }

    fn one_message(&mut self, id: ConnId, message: &[u8]) {
        // Some clients end with line breaks or NULs, which mean nothing.
        let mut message = message;
        while let Some((0, rest)) = message.split_last() {
            message = rest;
        }
        if message.contains(&0) {
            return self.dismiss(id, CloseReason::Syntax, "Your client sent a message with a NUL in it.");
        }
        if self.is_tested
            && let Some(mark) = message.strip_prefix(b"$VhpyMark ")
        {
            return self.send_to(id, &[b"$VhpyMark ", mark, b"|"]);
        }
        let known = self.user_of(id).is_some();
        if known && self.scripts.wants(Hook::OnParsedMsgAny) {
            let Some(nick) = self.nick_of(id) else { return };
            if self.raise_for(id, Hook::OnParsedMsgAny, &[Value::text(&*nick), Value::text(message)]).blocked
            {
                return;
            }
        } else if !known && self.scripts.wants(Hook::OnParsedMsgAnyEx) {
            let ip = self.ip_of(id);
            if self.raise_for(id, Hook::OnParsedMsgAnyEx, &[Value::text(&*ip), Value::text(message)]).blocked
            {
                return self.close(id, CloseReason::Plugin);
            }
        }
        if self.connections.get(id).is_some_and(Connection::is_open) {
            self.act_on(id, message);
        }
    }

    fn act_on(&mut self, id: ConnId, message: &[u8]) {
        let parsed = parse(message);
        // Whoever has no nick yet is told by what the message leads to that it comes too early.
        let has_nick = self.user_of(id).is_some();
        for nick in parsed.claims().into_iter().flatten() {
            if has_nick && !self.is_own_nick(id, nick) {
                return;
            }
        }
        match parsed {
            Message::Chat { nick, text } => self.on_chat(id, nick, text),
            Message::To { to, from, text, .. } => self.on_private(id, to, from, text, message),
            Message::McTo { to, from, text } => self.on_mcto(id, to, from, text, message),
            Message::Search { who, what } => self.on_search(id, who, what, message),
            Message::SearchTth { who, tth } => self.on_search_tth(id, who, tth),
            Message::SearchResult { from, result, to } => self.on_result(id, from, result, to, message),
            Message::ConnectToMe { nick, address, .. } => self.on_connect_to_me(id, nick, address),
            Message::RevConnectToMe { nick, other } => self.on_rev_connect_to_me(id, nick, other),
            Message::MyInfo(info) => self.on_my_info(id, &info, message),
            Message::ExtJson { nick, json } => self.on_ext_json(id, nick, json, message),
            Message::Supports(list) => self.on_supports(id, list, message),
            Message::Key(key) => self.on_key(id, key),
            Message::ValidateNick(nick) => self.on_validate_nick(id, nick, message),
            Message::MyPass(password) => self.on_my_pass(id, password),
            Message::Version(_) => self.on_version(id, message),
            Message::GetNickList => self.on_get_nick_list(id),
            Message::GetInfo { other, .. } => self.on_get_info(id, other),
            Message::MyHubUrl(url) => self.on_my_hub_url(id, url, message),
            Message::BotInfo(info) => self.on_bot_info(id, info, message),
            Message::UserIp(nicks) => self.on_user_ip(id, nicks),
            Message::Kick(nick) => self.on_kick(id, nick),
            Message::Close(nick) => self.on_close(id, nick),
            Message::OpForceMove { who, to, reason } => self.on_force_move(id, who, to, reason),
            Message::GetTopic => self.on_get_topic(id),
            Message::SetTopic(topic) => self.on_set_topic(id, topic),
            Message::MyNick(nick) => self.on_my_nick(id, nick, message),
            Message::Lock(lock) => self.on_lock(id, lock, message),
            Message::Quit => self.close(id, CloseReason::Quit),
            Message::Empty => {}
            Message::Unknown => self.on_unknown(id, message),
            Message::Malformed => {
                let (command, _) = super::text::first_word(message);
                let shown = self.readable(command.get(..command.len().min(32)).unwrap_or_default());
                self.dismiss(id, CloseReason::Syntax, &format!("Your client sent a broken message: {shown}"));
            }
        }
    }

    /// Looks at the clock. A turn begins with it.
    pub fn begin_turn(&mut self) {
        self.clock = Clock::now(self.ahead);
        self.frequency.count(self.clock.seconds);
    }

    /// Ends a turn: results of other threads, timers, leaving users, writing.
    pub fn end_turn(&mut self) {
        self.take_passwords();
        self.check_passwords();
        self.take_host_names();
        self.run_timers();
        self.run_script_commands();
        // Leaving may lead to more leaving, and so may writing.
        for _ in 0..64 {
            self.write();
            if self.closing.is_empty() {
                break;
            }
            self.let_leave();
        }
        self.note_logouts();
        self.send_late_lists();
        self.finish_lingering();
    }

    /// When the next turn is due, if nothing comes before.
    pub(super) fn next_turn(&mut self) -> Option<Instant> {
        if !self.closing.is_empty() || !self.script_commands.is_empty() || self.unsent {
            return Some(self.clock.instant.checked_sub(self.ahead).unwrap_or(self.clock.instant));
        }
        if !self.scripts.wants(Hook::OnTimer) || self.is_tested {
            self.timers.tick = None;
        } else if self.timers.tick.is_none() {
            self.timers.tick = Some(self.clock.instant + Duration::from_secs(1));
        }
        let next = self.timers.heap.peek().map(|Reverse((at, _))| *at);
        let late = (!self.late_lists.is_empty()).then(|| self.clock.instant + Duration::from_secs(1));
        // The passwords' delays are in the time that passes.
        let by_clock = [next, late, self.timers.tick].into_iter().flatten().min();
        let by_clock = by_clock.map(|at| at.checked_sub(self.ahead).unwrap_or(at));
        [by_clock, self.passwords.next_delay()].into_iter().flatten().min()
    }

    fn run_timers(&mut self) {
        let now = self.clock.instant;
        while let Some(due) = self.timers.pop(now) {
            match due {
                Due::Deadline(id) => self.deadline(id, now),
                Due::Close(id, reason) => self.close(id, CloseReason::from_number(reason)),
                Due::Stop(code) => self.stop = Some(code),
            }
        }
        if self.timers.tick.is_some_and(|tick| tick <= now) {
            // A late tick is not made up for.
            self.timers.tick = Some(now + Duration::from_secs(1));
            self.tick();
        }
    }

    /// Tells scripts the time.
    pub(super) fn tick(&mut self) {
        let since = since_epoch(self.ahead);
        self.raise(Hook::OnTimer, &[Value::Float(since.as_millis() as f64 / 1000.0)]);
    }

    /// Puts the clock forward, for tests: what is due until then happens.
    pub(super) fn put_clock_forward(&mut self, by: Duration) {
        self.ahead = self.ahead.saturating_add(by);
        self.sql.put_clock_forward(self.ahead);
        self.clock = Clock::now(self.ahead);
        self.run_timers();
    }

    fn deadline(&mut self, id: ConnId, now: Instant) {
        let Some(connection) = self.connections.get(id) else { return };
        match connection.state {
            State::Open if connection.deadline.is_some_and(|deadline| deadline <= now) => {
                let missing = match connection.stage {
                    Stage::Proxy => "PROXY header",
                    Stage::Connected => "key",
                    Stage::Key => "nick",
                    Stage::Password => "password",
                    Stage::Nick | Stage::LoggedIn => "user information",
                };
                let text = format!("Login timeout: your client did not send its {missing} in time.");
                self.dismiss(id, CloseReason::Timeout, &text);
            }
            State::Lingering(until) if until <= now => {
                self.connections.remove(id);
            }
            _ => {}
        }
    }

    fn run_script_commands(&mut self) {
        for _ in 0..SCRIPT_COMMANDS_PER_TURN {
            let Some([command, data, plugin, script]) = self.script_commands.pop_front() else { return };
            let args = [&command, &data, &plugin, &script].map(Value::text);
            self.raise(Hook::OnScriptCommand, &args);
        }
    }

    /// Lets the users of closed connections leave.
    pub(super) fn let_leave(&mut self) {
        while let Some(id) = self.closing.pop_front() {
            self.leave(id);
        }
    }

    /// Lets the user of a closed connection leave: scripts hear of it while he is still in the
    /// list, then the others see him go.
    pub(super) fn leave(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get(id) else { return };
        let State::Closing(reason) = connection.state else { return };
        let ip = Rc::clone(&connection.ip_text);
        let user = connection.user;
        let nick = self.nick_of(id).unwrap_or_else(|| Rc::from(&b""[..]));
        if let Some(user) = user {
            if self.users.get(user).is_some_and(|user| user.is_listed()) {
                self.raise(Hook::OnUserLogout, &[Value::text(&*nick)]);
                self.note_logout(user);
                self.hide(user);
            }
            self.users.remove(user);
        }
        self.raise(Hook::OnCloseConn, &[Value::text(&*ip)]);
        let args = [Value::text(&*ip), Value::from(reason as i32), Value::text(&*nick)];
        self.raise(Hook::OnCloseConnEx, &args);
        let until = self.clock.instant + LINGER;
        if let Some(connection) = self.connections.get_mut(id) {
            connection.user = None;
            connection.place = None;
            connection.input.set(Vec::new());
            connection.state = State::Lingering(until);
            self.timers.add(until, Due::Deadline(id));
            self.lingering.push(id);
            self.unsent = true;
        }
    }

    fn note_logout(&mut self, user: super::UserId) {
        let Some(user) = self.users.get(user) else { return };
        if let (Some(account), Behind::Client(_)) = (&user.account, user.behind) {
            self.logouts.push(account.nick.clone());
        }
    }

    /// Notes all who left in one go: an operator can put out very many at once.
    fn note_logouts(&mut self) {
        let nicks = std::mem::take(&mut self.logouts);
        if !nicks.is_empty() {
            self.noted("noting logouts", self.database.note_logouts(&nicks, self.clock.seconds));
        }
    }

    /// Closes the sockets' writing side of those who have got everything.
    fn finish_lingering(&mut self) {
        let mut lingering = std::mem::take(&mut self.lingering);
        lingering.retain(|id| {
            let Some(connection) = self.connections.get_mut(*id) else { return false };
            if connection.has_unsent(&self.broadcast) {
                return true;
            }
            if connection.link.socket().is_some() && (connection.hung_up || connection.link.end().is_err()) {
                self.connections.remove(*id);
            }
            false
        });
        self.lingering = lingering;
    }

    /// A socket takes bytes again.
    pub(super) fn can_write(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.blocked = None;
            self.unsent = true;
        }
    }

    /// Ends everything in order: scripts, then connections. Gives the exit code.
    pub fn shut_down(&mut self) -> i64 {
        let code = self.stop.unwrap_or(0);
        self.raise(Hook::OnUnLoad, &[Value::Int(code)]);
        let scripts = self.supervisor();
        scripts.shutdown(self);
        for id in self.connections.ids() {
            self.close(id, CloseReason::HubLoad);
        }
        self.end_turn();
        code
    }
}

/// What a script put in the place of a chat message: nick and text.
pub(super) fn chat_replacement(replacement: Option<Replacement>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    match replacement {
        Some(Replacement::Chat { nick, message }) => (nick, message),
        _ => (None, None),
    }
}
