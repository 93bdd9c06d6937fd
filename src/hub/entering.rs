//! The end of a login: a user gets a place in the list, the others see them, and the hub says
//! what it says to newcomers.

use std::rc::Rc;

use plugin_abi::{Hook, Value};

use super::admission::Refusal;
use super::class::Class;
use super::connection::{Stage, Supports};
use super::text::{find, spoken_size};
use super::user::User;
use super::{CloseReason, ConnId, Hub};

impl Hub {
    /// Puts a user into the list, shows them to all, and all to them.
    pub(super) fn enter(&mut self, id: ConnId) {
        let Some(nick) = self.nick_of(id) else { return };
        loop {
            if let Err(refusal) = self.decide_again(id) {
                return self.refuse(id, &refusal);
            }
            // Whoever may still come in knows the password of the one who is there: it is the same user.
            let Some(ghost) = self.online_user(&nick).and_then(User::connection) else { break };
            self.dismiss(ghost, CloseReason::Clone, "You logged in from elsewhere.");
            self.closing.retain(|closing| *closing != ghost);
            self.leave(ghost);
        }
        let restrictions = self.database.restrictions(&nick);
        let Some(restrictions) = self.stored("reading restrictions", restrictions) else {
            let text = "The hub cannot look up what you may do now.";
            return self.refuse(id, &Refusal::new(CloseReason::HubLoad, text));
        };
        let now = self.clock.seconds;
        let Some(connection) = self.connections.get_mut(id).filter(|connection| connection.is_open()) else {
            return;
        };
        connection.stage = Stage::LoggedIn;
        connection.place = None;
        connection.deadline = None;
        let (wants_list, needs_hello) = (connection.wants_list, !connection.has(Supports::NO_HELLO));
        let Some(user) = connection.user else { return };
        let Some(entering) = self.users.get_mut(user) else { return };
        entering.login_time = now;
        entering.restrictions = restrictions;
        let class = entering.class;
        if !self.users.enter(user, needs_hello) {
            return self.close(id, CloseReason::InvalidUser);
        }
        if self.raise_for(id, Hook::OnUserInList, &[Value::text(&*nick)]).blocked {
            // He has been seen by nobody, but the others' list may have been asked for meanwhile.
            return self.close(id, CloseReason::Plugin);
        }
        if !self.connections.get(id).is_some_and(super::Connection::is_open) {
            return;
        }
        self.send_hub_name(id);
        self.show_user(user);
        if wants_list {
            self.send_list(id);
        }
        if let Some(connection) = self.connections.get_mut(id) {
            connection.queue.follow(&self.broadcast);
        }
        self.send_after_list(id, class);
        if self.raise_for(id, Hook::OnUserLogin, &[Value::text(&*nick)]).blocked {
            self.close(id, CloseReason::Plugin);
        }
    }

    fn send_hub_name(&mut self, id: ConnId) {
        let message = self.hub_name_message();
        self.send_to(id, &[&message]);
    }

    /// Topic, welcome, and what else is said at the end of a login.
    fn send_after_list(&mut self, id: ConnId, class: Class) {
        let topic = super::protocol::chat_text(&self.settings.hub_topic).into_owned();
        if !topic.is_empty() && self.connections.get(id).is_some_and(|c| c.has(Supports::HUB_TOPIC)) {
            self.send_to(id, &[b"$HubTopic ", &topic, b"|"]);
        }
        let settings = &self.settings;
        let hosts = settings.hub_failover_hosts.clone();
        let welcome = match class {
            Class::Pinger => Vec::new(),
            Class::Guest => settings.msg_welcome_guest.clone(),
            Class::Registered => settings.msg_welcome_reg.clone(),
            Class::Vip => settings.msg_welcome_vip.clone(),
            Class::Operator => settings.msg_welcome_op.clone(),
            Class::Chief => settings.msg_welcome_cheef.clone(),
            Class::Admin => settings.msg_welcome_admin.clone(),
            Class::Master => settings.msg_welcome_master.clone(),
        };
        if !hosts.is_empty() && self.connections.get(id).is_some_and(|c| c.has(Supports::FAIL_OVER)) {
            self.send_to(id, &[b"$FailOver ", &hosts, b"|"]);
        }
        let Some(user) = self.user_of(id) else { return };
        let must_set_password = user.account.as_ref().is_some_and(|account| account.pwd_change);
        let (nick, share) = (Rc::clone(&user.nick), user.share());
        if must_set_password {
            self.tell(id, "Please set a password of your own now: +passwd YOUR-PASSWORD");
        }
        if self.settings.send_user_info {
            let text = format!(
                "You are {} ({}) from {} and share {}.",
                self.readable(&nick),
                class.name(),
                self.readable(&self.ip_of(id)),
                spoken_size(share)
            );
            self.tell(id, &text);
        }
        if !welcome.is_empty() {
            let text = replace_all(&welcome, b"%[nick]", &nick);
            self.tell_bytes(id, &text);
        }
        if class != Class::Pinger {
            self.show_history(id);
            self.send_menu(id, class, false);
        }
    }
}

fn replace_all(text: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + with.len());
    let mut rest = text;
    while let Some(at) = find(rest, what) {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before);
        out.extend_from_slice(with);
        rest = after.get(what.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}
