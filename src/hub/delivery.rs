//! To whom messages go: one, all, all but one, some; what they say is left to others.

use std::collections::VecDeque;
use std::rc::Rc;

use super::class::Class;
use super::connection::{Connection, Link, State};
use super::output::{Kept, Queue};
use super::user::User;
use super::{CloseReason, ConnId, Hub, UserId};

/// How many bytes to everybody are collected within a turn before they are written.
const WRITE_AT: usize = 256 << 10;

/// How long a client may take nothing before it is dropped, when others wait for room.
const STUCK: std::time::Duration = std::time::Duration::from_secs(10);

impl Hub {
    /// Sends to one connection; the parts together are whole messages.
    pub(super) fn send_to(&mut self, id: ConnId, parts: &[&[u8]]) {
        if let Some(connection) = self.connections.get_mut(id)
            && !matches!(connection.state, State::Lingering(_))
        {
            connection.queue.push(&self.broadcast, parts);
            let waits = connection.queue.len(&self.broadcast);
            self.unsent = true;
            self.hold_limits(waits);
        }
    }

    /// Sends one connection bytes of its own and a second part that many get; see [`Hub::shared`].
    pub(super) fn send_shared_to(&mut self, id: ConnId, own: &[&[u8]], shared: &Rc<Kept>) {
        if let Some(connection) = self.connections.get_mut(id)
            && !matches!(connection.state, State::Lingering(_))
        {
            connection.queue.push_shared(&self.broadcast, own, shared);
            let waits = connection.queue.len(&self.broadcast);
            self.unsent = true;
            self.hold_limits(waits);
        }
    }

    /// The end of a message that goes to many.
    pub(super) fn shared(&self, parts: &[&[u8]]) -> Rc<Kept> {
        Rc::new(self.broadcast.keep(parts))
    }

    /// How many bytes may wait for one client.
    fn most_waiting(&self) -> usize {
        usize::try_from(self.settings.adv_max_outbuf_size).unwrap_or(0).max(64 << 10)
    }

    /// How many bytes the hub may keep for all clients.
    pub(super) fn most_kept(&self) -> usize {
        let total = usize::try_from(self.settings.adv_max_outbuf_total).unwrap_or(0).max(16 << 20);
        // The slowest client alone keeps that much of what is for everybody.
        total.max(self.most_waiting().saturating_mul(4))
    }

    /// Lets the limits hold at once, and not only at the end of a turn in which very much may be
    /// said, after so many bytes wait for somebody.
    #[inline]
    pub(super) fn hold_limits(&mut self, waits: usize) {
        if waits > self.most_waiting() || self.broadcast.memory_used() > self.most_kept() {
            self.write();
        }
    }

    /// Sends to everybody in the list.
    #[inline]
    pub(super) fn send_to_all(&mut self, parts: &[&[u8]]) {
        self.broadcast.push(parts);
        self.unsent = true;
        if self.broadcast.unwritten() > WRITE_AT {
            self.write();
        }
    }

    /// Sends to everybody in the list but one.
    pub(super) fn send_to_all_but(&mut self, id: ConnId, parts: &[&[u8]]) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.queue.take(&self.broadcast);
        }
        self.broadcast.push(parts);
        self.unsent = true;
        if let Some(connection) = self.connections.get_mut(id) {
            connection.queue.skip(&self.broadcast);
        }
        if self.broadcast.unwritten() > WRITE_AT {
            self.write();
        }
    }

    /// Sends to those in the list for whom this is.
    pub(super) fn send_to_some(&mut self, wanted: impl Fn(&User, &Connection) -> bool, parts: &[&[u8]]) {
        let shared = self.shared(parts);
        let Hub { connections, users, broadcast, unsent, .. } = self;
        let mut most = 0;
        for (_, connection) in connections.iter_mut() {
            if !connection.queue.follows() {
                continue;
            }
            let user = connection.user.and_then(|user| users.get(user));
            if user.is_some_and(|user| user.is_listed() && wanted(user, connection)) {
                connection.queue.push_shared(broadcast, &[], &shared);
                most = most.max(connection.queue.len(broadcast));
                *unsent = true;
            }
        }
        self.hold_limits(most);
    }

    /// Sends to users of these classes. Gives how many that are.
    pub(super) fn send_to_classes(&mut self, min_class: i64, max_class: i64, parts: &[&[u8]]) {
        if min_class <= -1 && max_class >= 10 {
            self.send_to_all(parts);
        } else {
            self.send_to_some(|user, _| (min_class..=max_class).contains(&user.class.number()), parts);
        }
    }

    /// Says something to one client as the hub's bot, in the main chat.
    pub(super) fn tell(&mut self, id: ConnId, text: &str) {
        let text = self.charset.encode(text);
        self.tell_bytes(id, &text);
    }

    /// Says to one client as the hub's bot what is in the hub's encoding already.
    pub(super) fn tell_bytes(&mut self, id: ConnId, text: &[u8]) {
        let text = super::protocol::chat_text(text);
        let bot = self.settings.hub_security.clone();
        self.send_to(id, &[b"<", &bot, b"> ", &text, b"|"]);
    }

    /// Says why, and closes a connection.
    pub(super) fn dismiss(&mut self, id: ConnId, reason: CloseReason, text: &str) {
        if self.connections.get(id).is_some_and(Connection::is_open) {
            log::debug!("{}: {text}", String::from_utf8_lossy(&self.ip_of(id)));
            self.tell(id, text);
            self.close(id, reason);
        }
    }

    /// Writes a private message into a user's client.
    pub(super) fn private(&mut self, to: UserId, from: &[u8], shown: &[u8], text: &[u8]) -> bool {
        let Some(user) = self.users.get(to) else { return false };
        let Some(id) = user.connection() else { return false };
        let nick = Rc::clone(&user.nick);
        let text = super::protocol::chat_text(text);
        self.send_to(id, &[b"$To: ", &nick, b" From: ", from, b" $<", shown, b"> ", &text, b"|"]);
        true
    }

    /// Writes in the operators' chat: to all who take part but one.
    pub(super) fn send_to_opchat(&mut self, from: &[u8], text: &[u8], but: Option<ConnId>) -> bool {
        let name = self.settings.opchat_name.clone();
        if name.is_empty() {
            return false;
        }
        let least = self.settings.opchat_class;
        let text = super::protocol::chat_text(text);
        let members: Vec<(ConnId, Rc<[u8]>)> = self
            .users
            .listed()
            .filter(|(_, user)| user.class.number() >= least)
            .filter_map(|(_, user)| Some((user.connection()?, Rc::clone(&user.nick))))
            .filter(|(id, _)| Some(*id) != but)
            .collect();
        let rest = self.shared(&[b" From: ", &name, b" $<", from, b"> ", &text, b"|"]);
        for (id, nick) in members {
            self.send_shared_to(id, &[b"$To: ", &nick], &rest);
        }
        true
    }

    /// Tells the operators, as the hub's bot. The text is UTF-8.
    pub(super) fn report(&mut self, text: &str) {
        let text = self.charset.encode(text);
        let bot = self.settings.hub_security.clone();
        self.send_to_opchat(&bot, &text, None);
    }

    /// Writes what waits, as far as clients take it. Those that take too little are closed.
    pub(super) fn write(&mut self) {
        if std::mem::take(&mut self.unsent) {
            self.write_all();
        }
        let most = self.most_kept();
        if self.broadcast.memory_used() > most {
            self.drop_the_slowest(most - most / 8);
        }
    }

    fn write_all(&mut self) {
        let most = self.most_waiting();
        let now = self.clock.instant;
        let Hub { connections, broadcast, closing, .. } = self;
        let mut needed_from = u64::MAX;
        for (id, connection) in connections.iter_mut() {
            if connection.blocked.is_none() && connection.has_unsent(broadcast) {
                match connection.send(broadcast) {
                    Ok(true) => {}
                    Ok(false) => connection.blocked = Some(now),
                    Err(error) => {
                        log::debug!("{id:?}: cannot write: {error}");
                        connection.queue = Queue::default();
                        mark_closed(connection, id, CloseReason::Quit, closing);
                    }
                }
            }
            let waits = connection.queue.len(broadcast);
            if connection.blocked.is_some() && waits > most {
                log::info!("{} reads too slowly: {waits} bytes wait", connection.ip);
                give_up(connection, id, closing);
            }
            needed_from = needed_from.min(connection.queue.needed_from());
        }
        broadcast.offered(needed_from);
    }

    /// Drops clients until the hub keeps no more than this for all: first those who are leaving
    /// or have not logged in, last operators; among each, who lets the most wait.
    #[cold]
    fn drop_the_slowest(&mut self, goal: usize) {
        let kept = self.broadcast.memory_used();
        let Hub { connections, users, broadcast, closing, .. } = self;
        let mut order: Vec<(u8, std::cmp::Reverse<usize>, ConnId)> = Vec::new();
        for (id, connection) in connections.iter_mut() {
            let cost = connection.queue.len(broadcast) + connection.input.len();
            let user = connection.user.and_then(|user| users.get(user)).filter(|user| user.is_listed());
            let rank = match user {
                None => 0,
                Some(user) if user.class < Class::Operator => 1,
                Some(_) => 2,
            };
            if cost > 0 {
                order.push((rank, std::cmp::Reverse(cost), id));
            }
        }
        order.sort_unstable();
        let mut dropped = 0;
        for (_, _, id) in order {
            if broadcast.memory_used() <= goal {
                break;
            }
            if let Some(connection) = connections.get_mut(id) {
                give_up(connection, id, closing);
                dropped += 1;
            }
        }
        let needed_from = connections.iter().map(|(_, other)| other.queue.needed_from()).min();
        broadcast.forget_before(needed_from.unwrap_or(0));
        log::warn!(
            "{kept} bytes were kept for clients, more than adv_max_outbuf_total allows; {dropped} of them, who let the most wait, are dropped"
        );
    }

    /// Drops the clients that have taken nothing for a while, though something waits for them.
    pub(super) fn give_up_stuck(&mut self) {
        let now = self.clock.instant;
        let Hub { connections, broadcast, closing, .. } = self;
        for (id, connection) in connections.iter_mut() {
            let stuck = connection.blocked.is_some_and(|since| now.saturating_duration_since(since) > STUCK);
            if stuck && connection.has_unsent(broadcast) {
                log::info!("{} reads nothing, and others wait for room", connection.ip);
                give_up(connection, id, closing);
            }
        }
    }

    /// Whether anything waits that clients have not taken.
    pub(super) fn has_unsent(&self) -> bool {
        self.connections.iter().any(|(_, connection)| connection.has_unsent(&self.broadcast))
    }

    /// Lets a connection be closed at the end of the turn.
    pub(super) fn close(&mut self, id: ConnId, reason: CloseReason) {
        if let Some(connection) = self.connections.get_mut(id) {
            mark_closed(connection, id, reason, &mut self.closing);
        }
    }

    /// A connection without a socket, as the in-process way to drive a hub: what is sent to it
    /// is counted, and kept on demand. Scripts see it as a client from `peer`.
    pub fn connect_sink(&mut self, peer: std::net::SocketAddr, keep: bool) -> ConnId {
        self.connect(Link::Sink { bytes: 0, kept: keep.then(Vec::new) }, peer, 0)
    }

    /// How many bytes were sent to a connection of [`Hub::connect_sink`], and those kept since
    /// the last call. `None` when it is closed.
    pub fn sink(&mut self, id: ConnId) -> Option<(u64, Vec<u8>)> {
        match &mut self.connections.get_mut(id)?.link {
            Link::Sink { bytes, kept } => {
                Some((*bytes, kept.as_mut().map(std::mem::take).unwrap_or_default()))
            }
            Link::Tcp(_) | Link::Tls(_) => None,
        }
    }
}

/// Drops a client that takes nothing; it would not read a message about it either.
fn give_up(connection: &mut Connection, id: ConnId, closing: &mut VecDeque<ConnId>) {
    connection.queue = Queue::default();
    connection.input.set(Vec::new());
    mark_closed(connection, id, CloseReason::Timeout, closing);
}

fn mark_closed(connection: &mut Connection, id: ConnId, reason: CloseReason, closing: &mut VecDeque<ConnId>) {
    if connection.is_open() {
        connection.state = State::Closing(reason);
        closing.push_back(id);
    }
}
