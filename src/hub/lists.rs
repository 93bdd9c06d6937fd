//! The lists that clients see: users, operators, bots, addresses; who comes in is left to
//! `login`.

use std::rc::Rc;

use super::class::Class;
use super::connection::Supports;
use super::protocol::{MyInfo, field};
use super::user::{Behind, User};
use super::{ConnId, Hub, UserId, VERSION};

impl Hub {
    /// Whether others see a user as an operator.
    fn is_shown_as_op(&self, user: &User) -> bool {
        user.class.number() >= self.settings.oplist_class
            && !user.account.as_ref().is_some_and(|account| account.hide_keys)
    }

    /// The nicks of the users in the list for whom this is true.
    pub(super) fn nicks(&self, wanted: impl Fn(&User) -> bool) -> Vec<&[u8]> {
        let listed = self.users.listed().filter(|(_, user)| wanted(user));
        listed.map(|(_, user)| &*user.nick).collect()
    }

    /// The nicks of the operators.
    pub(super) fn op_nicks(&self) -> Vec<&[u8]> {
        self.nicks(|user| self.is_shown_as_op(user))
    }

    fn nick_message(command: &[u8], nicks: &[&[u8]]) -> Vec<u8> {
        let mut message = command.to_vec();
        for nick in nicks {
            message.extend_from_slice(nick);
            message.extend_from_slice(b"$$");
        }
        message.push(b'|');
        message
    }

    /// `$OpList …|`.
    pub(super) fn op_list(&self) -> Vec<u8> {
        Self::nick_message(b"$OpList ", &self.op_nicks())
    }

    fn bot_list(&self) -> Vec<u8> {
        Self::nick_message(b"$BotList ", &self.nicks(User::is_bot))
    }

    /// `$HubName …|`, with the topic.
    pub(super) fn hub_name_message(&self) -> Vec<u8> {
        let mut message = [b"$HubName ", &*field(&self.settings.hub_name)].concat();
        if !self.settings.hub_topic.is_empty() {
            message.extend_from_slice(b" - ");
            message.extend_from_slice(&super::protocol::chat_text(&self.settings.hub_topic));
        }
        message.push(b'|');
        message
    }

    /// Shows a user to all who are in the list. To their own client they are shown too, so that it
    /// knows that the login is complete.
    pub(super) fn show_user(&mut self, id: UserId) {
        let Some(user) = self.users.get(id) else { return };
        let (nick, shown) = (Rc::clone(&user.nick), user.shown.clone());
        let (is_op, is_bot, connection) = (self.is_shown_as_op(user), user.is_bot(), user.connection());
        if self.users.anybody_needs_hello() {
            let hello = [b"$Hello ", &*nick, b"|"].concat();
            self.send_to_some(|_, connection| !connection.has(Supports::NO_HELLO), &[&hello]);
        }
        self.send_to_all(&[&shown]);
        if let Some(own) = connection {
            self.send_to(own, &[&shown]);
        }
        if is_op {
            let list = self.op_list();
            self.send_to_all(&[&list]);
        }
        if is_bot {
            let list = self.bot_list();
            self.send_to_some(|_, connection| connection.has(Supports::BOT_LIST), &[&list]);
        }
        self.show_ip(id);
    }

    /// Tells a user's address to operators, and to themselves.
    pub(super) fn show_ip(&mut self, id: UserId) {
        let Some(user) = self.users.get(id) else { return };
        let nick = Rc::clone(&user.nick);
        let own = user.connection();
        let ip = own.map_or_else(|| Rc::from(&b"127.0.0.1"[..]), |own| self.ip_of(own));
        let message = [b"$UserIP ", &*nick, b" ", &*ip, b"$$|"].concat();
        if let Some(own) = own
            && self.connections.get(own).is_some_and(|connection| connection.has(Supports::USER_IP2))
        {
            self.send_to(own, &[&message]);
        }
        if self.settings.send_user_ip {
            let least = self.settings.user_ip_class;
            let wanted = |user: &User, connection: &super::Connection| {
                user.class.number() >= least && user.nick != nick && connection.has(Supports::USER_IP2)
            };
            self.send_to_some(wanted, &[&message]);
        }
    }

    /// Takes a user out of the list; the others see them go.
    pub(super) fn hide(&mut self, id: UserId) {
        if !self.users.leave(id) {
            return;
        }
        let Some(user) = self.users.get(id) else { return };
        let nick = Rc::clone(&user.nick);
        if let Some(connection) = user.connection().and_then(|id| self.connections.get_mut(id)) {
            connection.queue.unfollow(&self.broadcast);
        }
        self.send_to_all(&[b"$Quit ", &nick, b"|"]);
    }

    /// Sends the whole list to one client, in the form that it knows; later, when very much waits
    /// for all clients together, as after a start to which thousands come at once.
    pub(super) fn send_list(&mut self, id: ConnId) {
        let tight = self.has_little_room();
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.wants_list = false;
        // One that waits, with what comes after it, is an answer to this too.
        if connection.queue.has_list() {
            return;
        }
        if tight {
            if !std::mem::replace(&mut connection.list_is_late, true) {
                self.late_lists.push_back(id);
            }
            return;
        }
        let (no_get_info, has_bots, has_ips) = (
            connection.has(Supports::NO_GET_INFO),
            connection.has(Supports::BOT_LIST),
            connection.has(Supports::USER_IP2),
        );
        let has_json = connection.has(Supports::EXT_JSON2) && !self.settings.disable_extjson;
        let mut list = Vec::new();
        if !no_get_info {
            list.extend_from_slice(&Self::nick_message(b"$NickList ", &self.nicks(|_| true)));
        }
        for (_, user) in self.users.listed() {
            list.extend_from_slice(&user.shown);
        }
        list.extend_from_slice(&self.op_list());
        if has_bots {
            list.extend_from_slice(&self.bot_list());
        }
        if has_json {
            for (_, user) in self.users.listed() {
                list.extend_from_slice(&user.ext_json);
            }
        }
        let sees_ips =
            self.user_of(id).is_some_and(|user| user.class.number() >= self.settings.user_ip_class);
        if has_ips && sees_ips && self.settings.send_user_ip {
            list.extend_from_slice(b"$UserIP ");
            for (_, user) in self.users.listed() {
                self.append_ip(&mut list, user);
            }
            list.push(b'|');
        }
        self.send_to(id, &[&list]);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.queue.list_ends(&self.broadcast);
        }
    }

    fn has_little_room(&self) -> bool {
        self.broadcast.memory_used() > self.most_kept() / 2
    }

    /// Sends the lists for which there was no room before. If there is still none, those go that
    /// take nothing of what waits for them.
    pub(super) fn send_late_lists(&mut self) {
        if !self.late_lists.is_empty() && self.has_little_room() {
            self.give_up_stuck();
        }
        while !self.has_little_room()
            && let Some(id) = self.late_lists.pop_front()
        {
            let Some(connection) = self.connections.get_mut(id) else { continue };
            connection.list_is_late = false;
            if self.user_of(id).is_some_and(|user| user.is_listed()) {
                self.send_list(id);
            }
        }
    }

    /// `nick ip$$`
    pub(super) fn append_ip(&self, list: &mut Vec<u8>, user: &User) {
        list.extend_from_slice(&user.nick);
        list.push(b' ');
        let connection = user.connection().and_then(|id| self.connections.get(id));
        list.extend_from_slice(connection.map_or(b"127.0.0.1", |connection| &connection.ip_text));
        list.extend_from_slice(b"$$");
    }

    /// Puts a bot into the list. False when its nick is taken.
    pub(super) fn add_bot(&mut self, behind: Behind, class: Class, info: &MyInfo<'_>) -> bool {
        let mut user = User::new(info.nick, class, behind);
        user.shown = info.message();
        user.login_time = self.clock.seconds;
        let id = self.users.insert(user);
        let share = super::text::number(info.size).and_then(|size| size.try_into().ok()).unwrap_or(0);
        self.users.set_share(id, share);
        if !self.users.enter(id, false) {
            self.users.remove(id);
            return false;
        }
        match behind {
            Behind::HubBot => self.bot = Some(id),
            Behind::OpChat => self.opchat = Some(id),
            Behind::Robot(_) | Behind::Client(_) => {}
        }
        self.show_user(id);
        true
    }

    /// Takes a bot out again.
    pub(super) fn remove_bot(&mut self, id: UserId) {
        self.hide(id);
        self.users.remove(id);
    }

    /// Shows the hub's bot and the operators' chat as they are configured now.
    pub(super) fn show_bots(&mut self) {
        for old in [self.bot.take(), self.opchat.take()].into_iter().flatten() {
            self.remove_bot(old);
        }
        let tag = format!("<vhpy V:{VERSION},M:A,H:0/0/1,S:0>").into_bytes();
        let settings = self.settings.clone();
        let bots = [
            (Behind::HubBot, &settings.hub_security, &settings.hub_security_desc),
            (Behind::OpChat, &settings.opchat_name, &settings.opchat_desc),
        ];
        for (behind, nick, desc) in bots {
            if nick.is_empty() {
                continue;
            }
            let desc = field(desc);
            let info = MyInfo { nick, desc: &desc, tag: &tag, speed: b"\x01", mail: b"", size: b"0" };
            if !self.add_bot(behind, Class::Master, &info) {
                log::warn!("the bot {} is not shown: somebody has its nick", self.readable(nick));
            }
        }
    }
}
