//! The way into the hub: `$Lock` and `$Key`, extensions, nick. Whether somebody may come in is
//! in `admission`, the password in `password_login`, what they tell of themselves in `my_info`,
//! and their place in the list in `entering`.
//!
//! The order is `$Lock` → `$Supports`, `$Key` → `$ValidateNick` → (`$GetPass` → `$MyPass`) →
//! `$Hello` → `$Version`, `$GetNickList`, `$MyINFO`. The first `$MyINFO` completes the login.
//! A step out of order gets a message that says so, and a disconnect.

use std::hash::{BuildHasher, Hasher};

use plugin_abi::{Hook, Value};

use super::admission::Refusal;
use super::class::Class;
use super::connection::{Pause, Stage, Supports};
use super::protocol::{field, lock_to_key};
use super::user::{Behind, User};
use super::{CloseReason, ConnId, Hub, VERSION};

impl Hub {
    /// Sends the `$Lock`.
    pub(super) fn greet(&mut self, id: ConnId) {
        let random = std::hash::RandomState::new().build_hasher().finish();
        let lock = format!("EXTENDEDPROTOCOL_vhpy_{:04}", random % 10_000);
        self.send_to(id, &[b"$Lock ", lock.as_bytes(), format!(" Pk=vhpy{VERSION}|").as_bytes()]);
        let Some(connection) = self.connections.get_mut(id) else { return };
        connection.lock = lock.into_bytes();
        let ip = connection.ip;
        self.set_deadline(id, self.settings.timeout_key);
        // Whether it is one whom a ban spares is not known before the nick is.
        if let Some(refusal) = self.kept_out(ip, |spares_known| spares_known) {
            return self.refuse(id, &refusal);
        }
        let has_host_bans = self.database.has_host_bans(self.clock.seconds);
        let wait = self.stored("host bans", has_host_bans).unwrap_or(true);
        let lookup = self.connections.get(id).map(|connection| connection.lookup(id));
        let started =
            (wait || self.settings.dns_lookup) && lookup.is_some_and(|lookup| self.host_names.start(lookup));
        if let Some(connection) = self.connections.get_mut(id).filter(|_| wait && started) {
            connection.pause = Some(Pause::HostName);
        }
    }

    /// Takes the host names that were found.
    pub(super) fn take_host_names(&mut self) {
        while let Some((id, host)) = self.host_names.result() {
            if let Some(connection) = self.connections.get_mut(id) {
                connection.host = Some(host.unwrap_or_default());
                if connection.pause == Some(Pause::HostName) {
                    connection.pause = None;
                    self.resume(id);
                }
            }
        }
    }

    pub(super) fn out_of_order(&mut self, id: ConnId, what: &str) {
        self.dismiss(id, CloseReason::LoginErr, &format!("Invalid login sequence: {what}."));
    }

    pub(super) fn stage(&self, id: ConnId) -> Option<Stage> {
        self.connections.get(id).map(|connection| connection.stage)
    }

    pub(super) fn set_stage(&mut self, id: ConnId, stage: Stage) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.stage = stage;
        }
    }

    pub(super) fn on_key(&mut self, id: ConnId, key: &[u8]) {
        if self.stage(id) != Some(Stage::Connected) {
            return self.out_of_order(id, "your client sent its key twice");
        }
        let wrong = self.connections.get(id).is_some_and(|connection| lock_to_key(&connection.lock) != key);
        if wrong && self.settings.drop_invalid_key {
            return self.dismiss(id, CloseReason::InvalidKey, "Your client sent a wrong key.");
        }
        self.set_stage(id, Stage::Key);
        self.set_deadline(id, self.settings.timeout_nick);
    }

    pub(super) fn on_supports(&mut self, id: ConnId, list: &[u8], message: &[u8]) {
        let Some(connection) = self.connections.get(id) else { return };
        if connection.supports.is_some() || connection.stage > Stage::Key {
            return self.out_of_order(id, "your client told its extensions too late");
        }
        if self.is_too_long(id, message, self.settings.max_len_supports) {
            return;
        }
        let (supports, answer) = Supports::parse(list, !self.settings.disable_extjson);
        let ip = self.ip_of(id);
        let args = [Value::text(&*ip), Value::text(message), Value::from(&answer)];
        let blocked = self.raise_for(id, Hook::OnParsedMsgSupports, &args).blocked;
        if let Some(connection) = self.connections.get_mut(id) {
            connection.supports = Some(supports);
        }
        if !blocked {
            self.send_to(id, &[b"$Supports ", answer.trim_end().as_bytes(), b"|"]);
            if supports.has(Supports::NICK_RULE) {
                let rule = format!(
                    "$NickRule Min {}$$Max {}$$Char 32 36 60 62 124$$|",
                    self.settings.min_nick, self.settings.max_nick
                );
                self.send_to(id, &[rule.as_bytes()]);
            }
        }
    }

    /// Whether a message is longer than it may be; then the client is gone.
    pub(super) fn is_too_long(&mut self, id: ConnId, message: &[u8], most: i64) -> bool {
        let most = usize::try_from(most).unwrap_or(0);
        let too_long = most > 0 && message.len() > most;
        if too_long {
            let (command, _) = super::text::first_word(message);
            let command = self.readable(command.get(..command.len().min(32)).unwrap_or_default());
            let text =
                format!("Your client sent a {command} of {} bytes; {most} are allowed.", message.len());
            self.dismiss(id, CloseReason::Syntax, &text);
        }
        too_long
    }

    pub(super) fn on_version(&mut self, id: ConnId, message: &[u8]) {
        let ip = self.ip_of(id);
        if self.raise_for(id, Hook::OnParsedMsgVersion, &[Value::text(&*ip), Value::text(message)]).blocked {
            self.close(id, CloseReason::Plugin);
        }
    }

    pub(super) fn on_validate_nick(&mut self, id: ConnId, nick: &[u8], message: &[u8]) {
        if self.stage(id) != Some(Stage::Key) {
            return self.out_of_order(id, "your client asked for a nick before its key, or twice");
        }
        let found = self.account_of(nick).and_then(|account| {
            self.may_come_in(id, nick, account.as_ref())?;
            Ok(account)
        });
        let account = match found {
            Ok(account) => account,
            Err(refusal) => return self.refuse(id, &refusal),
        };
        if self.raise_for(id, Hook::OnParsedMsgValidateNick, &[Value::text(message)]).blocked {
            let refusal = Refusal::new(CloseReason::Plugin, "This nick is not wanted here.");
            return self.refuse(id, &refusal.with(&[b"$ValidateDenide ", nick, b"|"]));
        }
        if !self.connections.get(id).is_some_and(super::Connection::is_open) {
            return;
        }
        let mut user = User::new(nick, Class::Guest, Behind::Client(id));
        let pinger = self.connections.get(id).is_some_and(|connection| connection.has(Supports::BOT_INFO));
        if pinger && account.is_none() {
            user.class = Class::Pinger;
        }
        let asks = match &account {
            // Who is registered without a password comes in, and is asked to set one.
            Some(account) => !account.is_without_password(),
            None => self.settings.always_ask_password,
        };
        user.account = account;
        let user = self.users.insert(user);
        if let Some(connection) = self.connections.get_mut(id) {
            connection.user = Some(user);
        }
        self.set_deadline(id, self.settings.timeout_login);
        let name = self.settings.hub_name.clone();
        self.send_to(id, &[b"$HubName ", &field(&name), b"|"]);
        if asks {
            self.set_stage(id, Stage::Password);
            self.send_to(id, &[b"$GetPass|"]);
        } else {
            self.say_hello(id);
        }
    }

    pub(super) fn say_hello(&mut self, id: ConnId) {
        let Some(nick) = self.nick_of(id) else { return };
        self.set_stage(id, Stage::Nick);
        self.send_to(id, &[b"$Hello ", &nick, b"|"]);
        if self.connections.get(id).is_some_and(|connection| connection.has(Supports::HUB_URL)) {
            self.send_to(id, &[b"$GetHubURL|"]);
        }
    }
}
