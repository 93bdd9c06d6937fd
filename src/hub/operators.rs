//! Messages of operators' clients, of pingers, and what else is no talk: `$UserIP`, `$Kick`,
//! `$BotINFO`, `$ExtJSON`, `$MyHubURL`, and messages that were meant for somebody else.

use std::rc::Rc;

use plugin_abi::{Hook, Value};

use super::class::Class;
use super::connection::Supports;
use super::flood::Kind;
use super::protocol::field;
use super::{CloseReason, ConnId, Hub, UserId, VERSION};

impl Hub {
    /// The user of a connection, if they have this class; they are told if not.
    fn operator(&mut self, id: ConnId, least: i64) -> Option<UserId> {
        if !self.is_logged_in(id) {
            return None;
        }
        let class = self.user_of(id)?.class;
        if class.number() >= least {
            return self.connections.get(id)?.user;
        }
        self.tell(id, &format!("This is for class {least} and higher."));
        None
    }

    pub(super) fn on_get_nick_list(&mut self, id: ConnId) {
        if self.is_flood(id, Kind::Other) {
            return;
        }
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.wants_list = true;
        if self.user_of(id).is_some_and(|user| user.is_listed()) {
            self.send_list(id);
        }
    }

    pub(super) fn on_get_info(&mut self, id: ConnId, other: &[u8]) {
        if !self.is_logged_in(id) || self.is_flood(id, Kind::Other) {
            return;
        }
        match self.online_user(other).map(|user| user.shown.clone()) {
            Some(shown) => self.send_to(id, &[&shown]),
            None => self.send_to(id, &[b"$Quit ", other, b"|"]),
        }
    }

    pub(super) fn on_user_ip(&mut self, id: ConnId, nicks: &[u8]) {
        if self.is_flood(id, Kind::Other) || !self.is_logged_in(id) {
            return;
        }
        let Some(user) = self.user_of(id) else { return };
        let (own, sees_all) = (Rc::clone(&user.nick), user.class.number() >= self.settings.user_ip_class);
        let mut list = b"$UserIP ".to_vec();
        for nick in nicks.split(|byte| *byte == b'$').filter(|nick| !nick.is_empty()) {
            if let Some(user) = self.online_user(nick).filter(|user| sees_all || user.nick == own) {
                self.append_ip(&mut list, user);
            }
        }
        list.push(b'|');
        self.send_to(id, &[&list]);
    }

    pub(super) fn on_kick(&mut self, id: ConnId, nick: &[u8]) {
        if self.operator(id, Class::Operator.number()).is_none() {
            return;
        }
        // Clients send this after the chat message that has kicked them already.
        let Some(other) = self.online_user(nick).and_then(|user| user.connection()) else { return };
        if self.connections.get(other).is_some_and(super::Connection::is_open) {
            self.kick_as(id, nick, b"");
        }
    }

    pub(super) fn on_close(&mut self, id: ConnId, nick: &[u8]) {
        let Some(op) = self.operator(id, Class::Operator.number()) else { return };
        if let Err(why) = self.drop_user(op, nick, b"") {
            self.tell(id, &why);
        }
    }

    pub(super) fn on_force_move(&mut self, id: ConnId, nick: &[u8], to: &[u8], reason: &[u8]) {
        let Some(op) = self.operator(id, self.settings.min_class_redir) else { return };
        if let Err(why) = self.redirect(op, nick, to, reason) {
            self.tell(id, &why);
        }
    }

    pub(super) fn on_get_topic(&mut self, id: ConnId) {
        if self.is_logged_in(id) && !self.settings.hub_topic.is_empty() {
            let topic = super::protocol::chat_text(&self.settings.hub_topic).into_owned();
            self.send_to(id, &[b"$HubTopic ", &topic, b"|"]);
        }
    }

    pub(super) fn on_set_topic(&mut self, id: ConnId, topic: &[u8]) {
        if self.operator(id, self.settings.topic_mod_class).is_some() {
            let Some(nick) = self.nick_of(id) else { return };
            if let Err(error) = self.set_config(&nick, Some(id), b"config", b"hub_topic", topic) {
                self.tell(id, &error.to_string());
            }
        }
    }

    pub(super) fn on_my_hub_url(&mut self, id: ConnId, url: &[u8], message: &[u8]) {
        let Some(nick) = self.nick_of(id) else {
            return self.out_of_order(id, "your client told the hub's address before its nick");
        };
        if self.is_flood(id, Kind::Other) || self.is_too_long(id, message, self.settings.max_len_myhuburl) {
            return;
        }
        let args = [Value::text(&*nick), Value::text(message)];
        if self.raise_for(id, Hook::OnParsedMsgMyHubURL, &args).blocked {
            return self.close(id, CloseReason::Plugin);
        }
        if let Some(connection) = self.connections.get_mut(id) {
            connection.hub_url = url.to_vec();
        }
    }

    pub(super) fn on_ext_json(&mut self, id: ConnId, nick: &[u8], json: &[u8], message: &[u8]) {
        if self.user_of(id).is_none() {
            return self.out_of_order(id, "your client must ask for a nick first");
        }
        if self.is_flood(id, Kind::MyInfo)
            || self.is_too_long(id, message, self.settings.max_len_extjson)
            || self.settings.disable_extjson
        {
            return;
        }
        if !(json.starts_with(b"{") && json.ends_with(b"}")) {
            return self.dismiss(id, CloseReason::Syntax, "Your client sent a broken $ExtJSON.");
        }
        let args = [Value::text(nick), Value::text(message)];
        if self.raise_for(id, Hook::OnParsedMsgExtJSON, &args).blocked {
            return;
        }
        let message = [message, b"|"].concat();
        let Some(user) = self.user_of_mut(id) else { return };
        if user.ext_json == message {
            return;
        }
        user.ext_json.clone_from(&message);
        if user.is_listed() {
            self.send_to_some(|_, connection| connection.has(Supports::EXT_JSON2), &[&message]);
        }
    }

    pub(super) fn on_bot_info(&mut self, id: ConnId, _info: &[u8], message: &[u8]) {
        let Some(nick) = self.nick_of(id) else {
            return self.out_of_order(id, "a pinger must ask for a nick first");
        };
        let Some(connection) = self.connections.get_mut(id) else { return };
        if !connection.has(Supports::BOT_INFO) || std::mem::replace(&mut connection.bot_info, true) {
            return self.out_of_order(id, "a pinger must announce BotINFO and send it once");
        }
        let args = [Value::text(&*nick), Value::text(message)];
        if self.raise_for(id, Hook::OnParsedMsgBotINFO, &args).blocked {
            return self.close(id, CloseReason::Plugin);
        }
        let s = &self.settings;
        let min_share = u64::try_from(s.min_share).unwrap_or(0).saturating_mul(1 << 20);
        let fields = [
            field(&s.hub_name).into_owned(),
            field(&s.hub_host).into_owned(),
            field(&s.hub_desc).into_owned(),
            s.max_users.to_string().into_bytes(),
            min_share.to_string().into_bytes(),
            b"0".to_vec(),
            s.tag_max_hubs.to_string().into_bytes(),
            format!("vhpy {VERSION}").into_bytes(),
            field(&s.hub_owner).into_owned(),
            field(&s.hub_category).into_owned(),
            field(&s.hub_encoding).into_owned(),
        ];
        let (icon, logo) = (field(&s.hub_icon_url).into_owned(), field(&s.hub_logo_url).into_owned());
        for (command, url) in [(&b"$SetIcon "[..], icon), (b"$SetLogo ", logo)] {
            if !url.is_empty() {
                self.send_to(id, &[command, &url, b"|"]);
            }
        }
        self.send_to(id, &[b"$HubINFO ", &fields.join(&b'$'), b"|"]);
    }

    /// A client says its nick as to another client: an attacker told it that this is one.
    pub(super) fn on_my_nick(&mut self, id: ConnId, nick: &[u8], message: &[u8]) {
        if !self.settings.detect_ctmtohub || self.user_of(id).is_some() {
            return self.on_unknown(id, message);
        }
        let Some(connection) = self.connections.get_mut(id) else { return };
        if !connection.my_nick.is_empty() || nick.is_empty() || nick.len() > 128 {
            return self.close(id, CloseReason::Syntax);
        }
        connection.my_nick = nick.to_vec();
    }

    /// And its lock, which names the hub that sent it.
    pub(super) fn on_lock(&mut self, id: ConnId, lock: &[u8], message: &[u8]) {
        let Some(connection) = self.connections.get(id) else { return };
        if !self.settings.detect_ctmtohub || connection.user.is_some() {
            return self.on_unknown(id, message);
        }
        if connection.my_nick.is_empty() {
            return self.close(id, CloseReason::LoginErr);
        }
        let referer = super::text::find(lock, b"Ref=").and_then(|at| lock.get(at + 4..)).unwrap_or_default();
        let nick = connection.my_nick.clone();
        let ip = Rc::clone(&connection.ip_text);
        let args = [
            Value::from(&nick),
            Value::text(&*ip),
            Value::from(connection.port),
            Value::from(connection.server_port),
            Value::text(referer),
        ];
        if !self.raise_for(id, Hook::OnCtmToHub, &args).blocked {
            log::info!("{} was sent here by an attack on {}", self.readable(&ip), self.readable(referer));
            self.send_to(id, &[b"$Error CTM2HUB|"]);
        }
        self.close(id, CloseReason::NoRedir);
    }

    pub(super) fn on_unknown(&mut self, id: ConnId, message: &[u8]) {
        if self.is_flood(id, Kind::Other) {
            return;
        }
        match self.nick_of(id) {
            Some(nick) => {
                self.raise_for(id, Hook::OnUnknownMsg, &[Value::text(&*nick), Value::text(message)]);
            }
            // Before there is a nick, an extension is passed over; anything else is no client's.
            None if message.starts_with(b"$") => {}
            None => {
                let text = "This is a Direct Connect hub; your client speaks something else.";
                self.dismiss(id, CloseReason::Syntax, text);
            }
        }
    }
}
