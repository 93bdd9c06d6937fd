//! What clients send: bytes become whole messages, scripts may keep each back, and each kind goes
//! to what acts on it.

use std::io::ErrorKind;

use plugin_abi::{Hook, Value};

use super::connection::{Connection, Stage, State};
use super::protocol::{Message, parse};
use super::text::first_word;
use super::{CloseReason, ConnId, Hub};

/// How much of one connection is read in a turn, so that the others have theirs.
const READ_PER_TURN: usize = 64 << 10;

impl Hub {
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
        self.meter.iter_mut().for_each(|meter| meter.acts_on(&parsed));
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
                let (command, _) = first_word(message);
                let shown = self.readable(command.get(..command.len().min(32)).unwrap_or_default());
                self.dismiss(id, CloseReason::Syntax, &format!("Your client sent a broken message: {shown}"));
            }
        }
    }
}
