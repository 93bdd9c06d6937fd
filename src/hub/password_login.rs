//! The password of a login: it is handed over for its check, and what the check says is acted on.

use plugin_abi::{Hook, Value};

use super::class::Class;
use super::connection::{Pause, Stage};
use super::networks::Network;
use super::passwords::{Check, Source, Trust};
use super::{CloseReason, ConnId, Hub};

impl Hub {
    pub(super) fn on_my_pass(&mut self, id: ConnId, password: &[u8]) {
        if self.stage(id) != Some(Stage::Password) {
            return self.out_of_order(id, "your client sent a password that it was not asked for");
        }
        let Some(nick) = self.nick_of(id) else { return };
        let args = [Value::text(&*nick), Value::text(password)];
        if self.raise_for(id, Hook::OnParsedMsgMyPass, &args).blocked {
            return self.close(id, CloseReason::Plugin);
        }
        let Some(account) = self.user_of(id).and_then(|user| user.account.as_ref()) else {
            // A guest was asked for form's sake; any answer will do.
            return self.say_hello(id);
        };
        let (hash, stored) = (account.login_pwd.clone(), account.stored);
        let Some(ip) = self.connections.get(id).map(|connection| connection.ip) else { return };
        let source = Source::new(Network::of(ip), &nick, self.trust(id, &nick));
        let check = Check { id, source, password: password.to_vec(), hash, stored };
        let connections = &self.connections;
        let waits = |id| connections.get(id).is_some_and(super::Connection::waits_for_password);
        if !self.passwords.add(check, self.clock.instant, waits) {
            let text = "Too many passwords from your address wait to be checked; try again later.";
            return self.dismiss(id, CloseReason::HubLoad, text);
        }
        if let Some(connection) = self.connections.get_mut(id) {
            // What the hub's own queue takes is no time of the client's.
            (connection.pause, connection.deadline) = (Some(Pause::Password), None);
        }
        self.check_passwords();
    }

    /// Lets the next passwords be checked.
    pub(super) fn check_passwords(&mut self) {
        let connections = &self.connections;
        let waits = |id| connections.get(id).is_some_and(super::Connection::waits_for_password);
        for id in self.passwords.hand_over(self.clock.instant, waits) {
            self.dismiss(id, CloseReason::HubLoad, "The hub cannot check passwords now; try again later.");
        }
    }

    /// Takes the passwords that were checked.
    pub(super) fn take_passwords(&mut self) {
        while let Some(checked) = self.passwords.result() {
            let id = checked.id;
            let is_there = match self.connections.get_mut(id) {
                Some(connection) if connection.is_open() => {
                    connection.pause = None;
                    true
                }
                _ => false,
            };
            // Wrong is wrong, also of who has gone meanwhile.
            if !checked.right {
                self.count_failure(&checked.source);
            }
            self.passwords.release(&checked.source, self.clock.instant);
            if !is_there {
                continue;
            }
            if checked.right {
                self.passwords.succeeded(&checked.source);
                self.password_was_right(id, checked.stored, checked.rehashed);
            } else {
                self.password_was_wrong(id);
            }
            self.resume(id);
        }
    }

    fn count_failure(&mut self, source: &Source) {
        let failures = i64::from(self.passwords.failed(source, self.clock.instant));
        if source.trust() == Trust::Stranger && failures >= self.settings.pwd_tries.max(1) {
            let seconds = self.settings.pwd_tmpban;
            self.ban_for_a_while(source.address(), seconds, "too many wrong passwords", true);
            self.dismiss_waiting(source);
        }
    }

    /// Turns away those whose passwords wait although their address is kept out by now.
    fn dismiss_waiting(&mut self, source: &Source) {
        let Some(refusal) = self.kept_out(source.address(), |_| false) else { return };
        let network = Network::of(source.address());
        let waiting = self.connections.iter().filter(|(_, connection)| connection.waits_for_password());
        let waiting: Vec<ConnId> =
            waiting.filter(|(_, other)| Network::of(other.ip) == network).map(|(id, _)| id).collect();
        for id in waiting {
            let is_spared = self.nick_of(id).is_some_and(|nick| self.trust(id, &nick) != Trust::Stranger);
            if !is_spared {
                self.refuse(id, &refusal);
            }
        }
    }

    /// A client knows a password: the one that was stored when it was asked.
    fn password_was_right(&mut self, id: ConnId, stored: Vec<u8>, rehashed: Option<String>) {
        let now = self.clock.seconds;
        let ip = self.ip_of(id);
        let Some(nick) = self.nick_of(id) else { return };
        let proof = rehashed.filter(|hash| {
            let replaced = self.database.replace_plain_password(&nick, &stored, hash);
            self.stored("storing a password", replaced) == Some(true)
        });
        let Some(user) = self.user_of_mut(id) else { return };
        user.proof = Some(proof.map_or(stored, String::into_bytes));
        if let Err(refusal) = self.decide_again(id) {
            return self.refuse(id, &refusal);
        }
        let class = self.user_of(id).map_or(Class::Guest, |user| user.class);
        let noted = self.database.note_login(&nick, &ip, now);
        self.noted("noting a login", noted);
        if let Some(ip) = self.connections.get(id).map(|connection| connection.ip) {
            let noted = self.database.note_address(&nick, Network::of(ip), now);
            self.noted("noting a user's address", noted);
        }
        self.set_deadline(id, self.settings.timeout_login);
        self.say_hello(id);
        if class >= Class::Operator {
            self.send_to(id, &[b"$LogedIn ", &nick, b"|"]);
        }
    }

    fn password_was_wrong(&mut self, id: ConnId) {
        let Some(nick) = self.nick_of(id) else { return };
        let ip = self.ip_of(id);
        let noted = self.database.note_login_error(&nick, &ip, self.clock.seconds);
        self.noted("noting a wrong password", noted);
        if self.settings.wrongpassword_report {
            let text = format!("Wrong password for {} from {}", self.readable(&nick), self.readable(&ip));
            self.report(&text);
        }
        self.send_to(id, &[b"$BadPass|"]);
        self.dismiss(id, CloseReason::Password, "The password is wrong.");
    }
}
