//! Functions that send messages to users.

use std::rc::Rc;

use plugin_abi::Value;

use super::super::protocol::{chat_text, shown_nick, with_end};
use super::super::{ConnId, Hub};
use super::{Args, done};

impl Hub {
    pub(super) fn call_send_to_opchat(&mut self, args: Args<'_>) -> Value<'static> {
        let Some(message) = args.text(0) else { return Value::Nil };
        let from = args.some_text(1).unwrap_or(&self.settings.hub_security).to_vec();
        done(self.send_to_opchat(&shown_nick(&from), message, None))
    }

    /// Raw data to users of these classes: all, or the active or passive ones. The delay that
    /// scripts give only says that the data may wait for other data, which it always does here,
    /// no longer than to the end of the turn.
    pub(super) fn call_send_raw(
        &mut self,
        args: Args<'_>,
        active: Option<bool>,
        min_class: i64,
        max_class: i64,
    ) -> Value<'static> {
        let Some(data) = args.some_text(0).filter(|_| min_class <= max_class) else { return Value::Nil };
        let data = with_end(data);
        match active {
            None => self.send_to_classes(min_class, max_class, &[&data]),
            Some(active) => {
                let classes = min_class..=max_class;
                self.send_to_some(
                    |user, _| user.active == active && classes.contains(&user.class.number()),
                    &[&data],
                );
            }
        }
        done(true)
    }

    pub(super) fn call_send_data_to_user(&mut self, args: Args<'_>) -> Value<'static> {
        let (Some(data), Some(nick)) = (args.some_text(0), args.text(1)) else { return Value::Nil };
        let Some(id) = self.online_user(nick).and_then(|user| user.connection()) else { return Value::Nil };
        self.send_to(id, &[&with_end(data)]);
        done(true)
    }

    pub(super) fn call_send_pm_to_all(&mut self, args: Args<'_>) -> Value<'static> {
        let (Some(message), Some(from)) = (args.text(0), args.some_text(1)) else { return Value::Nil };
        let classes = args.int(2)..=args.int(3);
        if classes.is_empty() {
            return Value::Nil;
        }
        let from = shown_nick(from);
        let wanted =
            self.users.listed().filter(|(_, user)| !user.is_bot() && classes.contains(&user.class.number()));
        let users: Vec<(ConnId, Rc<[u8]>)> =
            wanted.filter_map(|(_, user)| Some((user.connection()?, Rc::clone(&user.nick)))).collect();
        let rest = self.shared(&[b" From: ", &from, b" $<", &from, b"> ", &chat_text(message), b"|"]);
        for (id, nick) in users {
            self.send_shared_to(id, &[b"$To: ", &nick], &rest);
        }
        done(true)
    }

    pub(super) fn call_mc(&mut self, args: Args<'_>) -> Value<'static> {
        self.call_bot_says(args.text(0), args.some_text(1), 0, 10)
    }

    pub(super) fn call_classmc(&mut self, args: Args<'_>) -> Value<'static> {
        self.call_bot_says(args.text(0), args.some_text(3), args.int(1), args.int(2))
    }

    fn call_bot_says(
        &mut self,
        message: Option<&[u8]>,
        from: Option<&[u8]>,
        min_class: i64,
        max_class: i64,
    ) -> Value<'static> {
        let Some(message) = message.filter(|_| min_class <= max_class) else { return Value::Nil };
        let from = from.unwrap_or(&self.settings.hub_security).to_vec();
        done(self.bot_says(&from, message, min_class, max_class))
    }

    pub(super) fn call_usermc(&mut self, args: Args<'_>) -> Value<'static> {
        let (Some(message), Some(nick)) = (args.text(0), args.text(1)) else { return Value::Nil };
        let Some(id) = self.online_user(nick).and_then(|user| user.connection()) else { return Value::Nil };
        let from = args.some_text(2).unwrap_or(&self.settings.hub_security).to_vec();
        self.send_to(id, &[b"<", &shown_nick(&from), b"> ", &chat_text(message), b"|"]);
        done(true)
    }

    pub(super) fn call_pm(&mut self, args: Args<'_>) -> Value<'static> {
        let (Some(message), Some(nick)) = (args.text(0), args.text(1)) else { return Value::Nil };
        let Some(user) = self.online(nick) else { return Value::Nil };
        let from: Rc<[u8]> = args.some_text(2).unwrap_or(&self.settings.hub_security).into();
        let shown = args.some_text(3).unwrap_or(&from);
        done(self.private(user, &shown_nick(&from), &shown_nick(shown), message))
    }
}
