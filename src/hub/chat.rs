//! What users say: main chat, private messages, the operators' chat; commands in it are left to
//! `commands`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;

use plugin_abi::{Hook, Value};

use super::class::Class;
use super::connection::Supports;
use super::flood::Kind;
use super::functions::limits;
use super::protocol::{chat_text, shown_nick};
use super::text::find;
use super::user::Behind;
use super::{CloseReason, ConnId, Hub, UserId};
use crate::supervisor::Replacement;

/// A message that is too long, has too many lines, or comes too often.
enum Excess {
    Bytes(i64),
    Lines(i64),
}

fn excess(text: &[u8], bytes: i64, lines: i64) -> Option<Excess> {
    let over = |count: usize, most: i64| most > 0 && i64::try_from(count).is_ok_and(|count| count > most);
    if over(text.len(), bytes) {
        return Some(Excess::Bytes(bytes));
    }
    over(text.split(|byte| *byte == b'\n').count(), lines).then_some(Excess::Lines(lines))
}

impl Hub {
    /// Whether somebody is logged in; if not, they are gone.
    pub(super) fn is_logged_in(&mut self, id: ConnId) -> bool {
        let logged_in = self.user_of(id).is_some_and(|user| user.is_listed());
        if !logged_in {
            self.out_of_order(id, "your client must log in first");
        }
        logged_in
    }

    pub(super) fn on_chat(&mut self, id: ConnId, nick: &[u8], text: &[u8]) {
        if !self.is_logged_in(id) || self.is_flood(id, Kind::Chat) || text.is_empty() {
            return;
        }
        if self.command(id, text, false) || !self.may_chat(id, text) || self.is_kick(id, text) {
            return;
        }
        if !self.scripts.wants(Hook::OnParsedMsgChat) {
            self.remember_chat(nick, text);
            return self.send_to_all(&[b"<", nick, b"> ", text, b"|"]);
        }
        let args = [Value::text(nick), Value::text(text)];
        let verdict = self.raise_for(id, Hook::OnParsedMsgChat, &args);
        // A script may have put the user out meanwhile; what they said before that counts.
        if verdict.blocked {
            return;
        }
        let (new_nick, new_text) = chat_replacement(verdict.replacement);
        let fits = |new: &Option<Vec<u8>>, what, most| {
            new.as_ref().is_none_or(|new| self.may_replace(what, new, most))
        };
        // What a filter wanted to change does not go out as it was.
        if !fits(&new_nick, "nick", limits::NICK) || !fits(&new_text, "message", limits::TEXT) {
            return self.tell(id, "Your message was not sent: a script made it too long.");
        }
        let nick = new_nick.as_deref().map_or(nick.into(), shown_nick);
        let text = new_text.as_deref().map_or(text.into(), chat_text);
        self.remember_chat(&nick, &text);
        self.send_to_all(&[b"<", &nick, b"> ", &text, b"|"]);
    }

    fn may_chat(&mut self, id: ConnId, text: &[u8]) -> bool {
        let Some(user) = self.user_of(id) else { return false };
        let class = user.class;
        if user.restrictions.chat > self.clock.seconds {
            self.tell(id, "You may not use the main chat now.");
            return false;
        }
        if class.number() < self.settings.mainchat_class {
            let text = format!("The main chat is for class {} and higher.", self.settings.mainchat_class);
            self.tell(id, &text);
            return false;
        }
        if class < Class::Vip {
            if self.is_hasty(id) {
                return false;
            }
            return self.is_short(id, text, self.settings.max_chat_msg, self.settings.max_chat_lines);
        }
        true
    }

    fn is_short(&mut self, id: ConnId, text: &[u8], bytes: i64, lines: i64) -> bool {
        let text = match excess(text, bytes, lines) {
            None => return true,
            Some(Excess::Bytes(most)) => {
                format!("Your message was not sent: it has {} bytes, and {most} are allowed.", text.len())
            }
            Some(Excess::Lines(most)) => format!("Your message was not sent: {most} lines are allowed."),
        };
        self.tell(id, &text);
        false
    }

    /// Clients write `is kicking NICK because: REASON` before they kick.
    fn is_kick(&mut self, id: ConnId, text: &[u8]) -> bool {
        let Some(at) = find(text, b"is kicking ") else { return false };
        let Some((nick, reason)) = text.get(at + 11..).and_then(|rest| {
            let because = find(rest, b" because: ")?;
            Some((rest.get(..because)?, rest.get(because + 10..)?))
        }) else {
            return false;
        };
        if at != 0
            && self.nick_of(id).is_none_or(|own| text.get(..at).unwrap_or_default().trim_ascii() != &*own)
        {
            return false;
        }
        if self.user_of(id).is_some_and(|user| user.class >= Class::Operator) {
            self.kick_as(id, nick, reason);
        }
        true
    }

    /// Whom a private message goes to; the sender is told if that is nobody.
    fn addressee(&mut self, id: ConnId, to: &[u8]) -> Option<UserId> {
        let found = self.online(to);
        if found.is_none() {
            let text = format!("{} is not online.", self.readable(to));
            self.tell(id, &text);
        }
        found
    }

    fn may_write_to(&mut self, id: ConnId, to: UserId, text: &[u8], most: i64) -> bool {
        let (Some(user), Some(other)) = (self.user_of(id), self.users.get(to)) else { return false };
        let (class, other_class) = (user.class.number(), other.class.number());
        let denied = if user.restrictions.pm > self.clock.seconds {
            Some("You may not write private messages now.")
        } else if class < self.settings.private_class {
            Some("Private messages are not for your class.")
        } else if class + self.settings.classdif_pm < other_class {
            Some("You may not write to this user.")
        } else {
            None
        };
        if let Some(denied) = denied {
            self.tell(id, denied);
            return false;
        }
        if class < Class::Vip.number() && !self.is_short(id, text, most, 0) {
            return false;
        }
        !self.is_repeated(id, text)
    }

    /// Whether the same private message comes again and again.
    fn is_repeated(&mut self, id: ConnId, text: &[u8]) -> bool {
        let most = self.settings.max_flood_counter_pm;
        let exempt = self.user_of(id).is_some_and(|user| user.class >= Class::Operator);
        if most <= 0 || exempt {
            return false;
        }
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = hasher.finish();
        let Some(connection) = self.connections.get_mut(id) else { return true };
        let (last, count) = &mut connection.last_pm;
        *count = if *last == hash { *count + 1 } else { 0 };
        *last = hash;
        let repeated = *count > most;
        if repeated {
            self.dismiss(id, CloseReason::Kicked, "You sent the same private message too often.");
        }
        repeated
    }

    pub(super) fn on_private(&mut self, id: ConnId, to: &[u8], from: &[u8], text: &[u8], message: &[u8]) {
        if !self.is_logged_in(id) || self.is_flood(id, Kind::Private) {
            return;
        }
        let Some(other) = self.addressee(id, to) else { return };
        let Some(behind) = self.users.get(other).map(|user| user.behind) else { return };
        // What users may write to each other is no matter of programs: there the scripts come first.
        if matches!(behind, Behind::Client(_))
            && !self.may_write_to(id, other, text, self.settings.max_pm_msg)
        {
            return;
        }
        let args = [Value::text(from), Value::text(text), Value::text(to)];
        if self.raise_for(id, Hook::OnParsedMsgPM, &args).blocked {
            return;
        }
        match behind {
            Behind::Client(to) => self.send_to(to, &[message, b"|"]),
            Behind::OpChat => self.on_opchat(id, text),
            Behind::HubBot => {
                if !self.command(id, text, true) {
                    self.answer(id, true, "I understand commands only; +help lists them.");
                }
            }
            // Its script has got the message by the hook.
            Behind::Robot(_) => {}
        }
    }

    fn on_opchat(&mut self, id: ConnId, text: &[u8]) {
        let Some(user) = self.user_of(id) else { return };
        if user.class.number() < self.settings.opchat_class {
            return self.tell(id, "The operators' chat is for operators.");
        }
        let nick = Rc::clone(&user.nick);
        if self.raise_for(id, Hook::OnOpChatMessage, &[Value::text(&*nick), Value::text(text)]).blocked {
            return;
        }
        self.send_to_opchat(&nick, text, Some(id));
    }

    pub(super) fn on_mcto(&mut self, id: ConnId, to: &[u8], from: &[u8], text: &[u8], message: &[u8]) {
        if !self.is_logged_in(id) || self.is_flood(id, Kind::Chat) {
            return;
        }
        let Some(other) = self.addressee(id, to) else { return };
        if !self.may_write_to(id, other, text, self.settings.max_mcto_msg) {
            return;
        }
        let args = [Value::text(from), Value::text(text), Value::text(to)];
        if self.raise_for(id, Hook::OnParsedMsgMCTo, &args).blocked {
            return;
        }
        let Some(other) = self.users.get(other).and_then(|user| user.connection()) else { return };
        if self.connections.get(other).is_some_and(|connection| connection.has(Supports::MC_TO)) {
            self.send_to(other, &[message, b"|"]);
        } else {
            self.send_to(other, &[b"<", from, b"> ", text, b"|"]);
        }
    }

    /// Something a bot says in the main chat, to users of these classes; scripts are asked.
    pub(super) fn bot_says(&mut self, from: &[u8], text: &[u8], min_class: i64, max_class: i64) -> bool {
        let (from, text) = (shown_nick(from), chat_text(text));
        if !self.in_bot_message && self.scripts.wants(Hook::OnPublicBotMessage) {
            self.in_bot_message = true;
            let args =
                [Value::text(&*from), Value::text(&*text), Value::Int(min_class), Value::Int(max_class)];
            let verdict = self.raise(Hook::OnPublicBotMessage, &args);
            self.in_bot_message = false;
            if verdict.blocked {
                return false;
            }
        }
        self.send_to_classes(min_class, max_class, &[b"<", &from, b"> ", &text, b"|"]);
        true
    }
}

/// What a script put in the place of a chat message: nick and text.
fn chat_replacement(replacement: Option<Replacement>) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    match replacement {
        Some(Replacement::Chat { nick, message }) => (nick, message),
        _ => (None, None),
    }
}
