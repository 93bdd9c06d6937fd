//! To whom messages go: one, all, all but one, some; what they say is left to others.

use super::connection::{Connection, Link, State};
use super::user::User;
use super::{CloseReason, ConnId, Hub, UserId};

/// How many bytes to everybody are collected within a turn before they are written.
const WRITE_AT: usize = 256 << 10;

impl Hub {
    /// Sends to one connection; the parts together are whole messages.
    pub(super) fn send_to(&mut self, id: ConnId, parts: &[&[u8]]) {
        if let Some(connection) = self.connections.get_mut(id)
            && !matches!(connection.state, State::Lingering(_))
        {
            connection.queue.push(&self.broadcast, parts);
            self.unsent = true;
        }
    }

    /// Sends to everybody in the list.
    #[inline]
    pub(super) fn send_to_all(&mut self, parts: &[&[u8]]) {
        self.broadcast.push(parts);
        self.unsent = true;
        if self.broadcast.len() > WRITE_AT {
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
        if self.broadcast.len() > WRITE_AT {
            self.write();
        }
    }

    /// Sends to those in the list for whom this is.
    pub(super) fn send_to_some(&mut self, wanted: impl Fn(&User, &Connection) -> bool, parts: &[&[u8]]) {
        let Hub { connections, users, broadcast, unsent, .. } = self;
        for (_, connection) in connections.iter_mut() {
            if !connection.queue.follows() {
                continue;
            }
            let user = connection.user.and_then(|user| users.get(user));
            if user.is_some_and(|user| user.in_list && wanted(user, connection)) {
                connection.queue.push(broadcast, parts);
                *unsent = true;
            }
        }
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

    /// The same with text that is in the hub's encoding already.
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
        let nick = std::rc::Rc::clone(&user.nick);
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
        let members: Vec<(ConnId, std::rc::Rc<[u8]>)> = self
            .users
            .iter()
            .filter(|(_, user)| user.in_list && user.class.number() >= least)
            .filter_map(|(_, user)| Some((user.connection()?, std::rc::Rc::clone(&user.nick))))
            .filter(|(id, _)| Some(*id) != but)
            .collect();
        for (id, nick) in members {
            self.send_to(id, &[b"$To: ", &nick, b" From: ", &name, b" $<", from, b"> ", &text, b"|"]);
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
        if !std::mem::take(&mut self.unsent) {
            return;
        }
        let most = usize::try_from(self.settings.adv_max_outbuf_size).unwrap_or(usize::MAX).max(64 << 10);
        let Hub { connections, broadcast, closing, .. } = self;
        for (id, connection) in connections.iter_mut() {
            if connection.queue.len(broadcast) > 0 && !connection.blocked {
                match connection.queue.write(broadcast, &mut connection.link) {
                    Ok(true) => {}
                    Ok(false) => connection.blocked = true,
                    Err(error) => {
                        log::debug!("{id:?}: cannot write: {error}");
                        connection.queue = super::output::Queue::default();
                        mark_closed(connection, id, CloseReason::Quit, closing);
                    }
                }
            }
            connection.queue.settle(broadcast);
            if connection.blocked && connection.queue.len(broadcast) > most {
                log::info!(
                    "{} reads too slowly: {} bytes wait",
                    String::from_utf8_lossy(&connection.ip_text),
                    connection.queue.len(broadcast)
                );
                // It would not read a message about it either.
                connection.queue = super::output::Queue::default();
                mark_closed(connection, id, CloseReason::Timeout, closing);
            }
        }
        broadcast.clear();
    }

    /// Whether anything waits that clients have not taken.
    pub(super) fn has_unsent(&self) -> bool {
        self.connections.iter().any(|(_, connection)| connection.queue.len(&self.broadcast) > 0)
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
            Link::Tcp(_) => None,
        }
    }
}

fn mark_closed(
    connection: &mut Connection,
    id: ConnId,
    reason: CloseReason,
    closing: &mut std::collections::VecDeque<ConnId>,
) {
    if connection.is_open() {
        connection.state = State::Closing(reason);
        closing.push_back(id);
    }
}
