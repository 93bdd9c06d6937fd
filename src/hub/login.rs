//! The way into the hub: `$Lock` and `$Key`, extensions, nick, password, up to the user's place
//! in the list; `my_info` looks at what they tell of themselves.
//!
//! The order is `$Lock` → `$Supports`, `$Key` → `$ValidateNick` → (`$GetPass` → `$MyPass`) →
//! `$Hello` → `$Version`, `$GetNickList`, `$MyINFO`. The first `$MyINFO` completes the login.
//! A step out of order gets a message that says so, and a disconnect.

use std::hash::{BuildHasher, Hasher};
use std::net::IpAddr;
use std::rc::Rc;

use plugin_abi::{Hook, Value};

use super::background::{hash_password, password_is};
use super::bans::{Ban, Target};
use super::connection::{Pause, Stage, Supports};
use super::database::{Account, Stored};
use super::networks::Network;
use super::passwords::{Check, Checked, Source, Trust};
use super::protocol::{lock_to_key, nick_is_clean};
use super::text::{spoken_period, spoken_size};
use super::user::{Behind, Class, User};
use super::{CloseReason, ConnId, Hub, VERSION};

/// Checks a password; takes some milliseconds.
pub(super) fn check(check: Check) -> Checked {
    let plain = check.stored == Stored::Plain;
    let right = match check.stored {
        Stored::Argon2 => password_is(&check.password, &check.hash),
        Stored::Plain => !check.hash.is_empty() && check.password == check.hash,
        Stored::Unknown => false,
    };
    let rehashed = if right && plain { hash_password(&check.password) } else { None };
    Checked { id: check.id, source: check.source, right, stored: check.hash, rehashed }
}

/// Why somebody is not let in.
pub(super) struct Refusal {
    reason: CloseReason,
    text: String,
    /// A message of the protocol that says it to the client.
    message: Vec<u8>,
}

impl Refusal {
    pub fn new(reason: CloseReason, text: impl Into<String>) -> Refusal {
        Refusal { reason, text: text.into(), message: Vec::new() }
    }

    fn with(mut self, parts: &[&[u8]]) -> Refusal {
        self.message = parts.concat();
        self
    }
}

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
        let started = (wait || self.settings.dns_lookup) && self.host_names.start((id, ip));
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

    fn set_stage(&mut self, id: ConnId, stage: Stage) {
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
        self.send_to(id, &[b"$HubName ", &super::protocol::field(&name), b"|"]);
        if asks {
            self.set_stage(id, Stage::Password);
            self.send_to(id, &[b"$GetPass|"]);
        } else {
            self.say_hello(id);
        }
    }

    pub(super) fn refuse(&mut self, id: ConnId, refusal: &Refusal) {
        if self.connections.get(id).is_some_and(super::Connection::is_open) {
            self.tell(id, &refusal.text);
            self.send_to(id, &[&refusal.message]);
            self.close(id, refusal.reason);
        }
    }

    fn account_of(&self, nick: &[u8]) -> Result<Option<Account>, Refusal> {
        let found = self.database.account(nick);
        // Who cannot be looked up is not taken for a guest.
        self.stored("reading an account", found)
            .ok_or_else(|| Refusal::new(CloseReason::HubLoad, "The hub cannot look up your nick now."))
    }

    /// Decides again what was decided at earlier steps of a login: since then the nick may have
    /// been registered, banned, given another password or class, and taken by somebody else.
    fn decide_again(&mut self, id: ConnId) -> Result<(), Refusal> {
        let Some(nick) = self.nick_of(id) else { return Ok(()) };
        let account = self.account_of(&nick)?;
        self.may_come_in(id, &nick, account.as_ref())?;
        let Some(user) = self.user_of_mut(id) else { return Ok(()) };
        match &account {
            Some(account) if user.owns(account) => user.class = account.standing(),
            Some(_) => {
                let text = "This nick was registered or has a new password since you came; log in again.";
                return Err(Refusal::new(CloseReason::LoginErr, text));
            }
            None if user.class != Class::Pinger => user.class = Class::Guest,
            None => {}
        }
        user.account = account;
        Ok(())
    }

    /// Whether somebody may log in with a nick, as far as that can be told without a password.
    fn may_come_in(&self, id: ConnId, nick: &[u8], account: Option<&Account>) -> Result<(), Refusal> {
        let denied = |text: String| {
            Err(Refusal::new(CloseReason::BadNick, text).with(&[b"$ValidateDenide ", nick, b"|"]))
        };
        let settings = &self.settings;
        let length = i64::try_from(nick.len()).unwrap_or(i64::MAX);
        if account.is_none()
            && let Some(unseen) = super::nicks::unseen(nick, self.charset)
        {
            let code = u32::from(unseen);
            return denied(format!(
                "A nick must not hold characters that nobody sees, such as U+{code:04X}."
            ));
        }
        if !nick_is_clean(nick) {
            return denied("A nick must not be empty, nor hold blanks or any of $ | < >.".into());
        }
        if length > settings.max_nick || length < settings.min_nick {
            return denied(format!("A nick must have {} to {} bytes.", settings.min_nick, settings.max_nick));
        }
        if !settings.nick_chars.is_empty() && !nick.iter().all(|byte| settings.nick_chars.contains(byte)) {
            let allowed = self.readable(&settings.nick_chars);
            return denied(format!("A nick may hold only these characters: {allowed}"));
        }
        if account.is_none() && !nick.starts_with(&settings.nick_prefix) {
            return denied(format!("A nick must begin with {}", self.readable(&settings.nick_prefix)));
        }
        if let Some(there) = self.online_user(nick) {
            if there.is_bot() {
                return denied("This nick is a bot's.".into());
            }
            // A registered user's password tells whether it is himself again.
            if account.is_none_or(|account| account.login_pwd.is_empty()) {
                return denied("This nick is in use.".into());
            }
        }
        if account.is_some_and(Account::is_shut) {
            let text = "This account has no password yet; an operator has to give it one with !regpasswd.";
            return Err(Refusal::new(CloseReason::LoginErr, text));
        }
        if account.is_some_and(|account| !account.enabled) {
            return Err(Refusal::new(CloseReason::Kicked, "This account is disabled."));
        }
        let class =
            account.map_or(Class::Guest, |account| Class::from_number(account.class).unwrap_or_default());
        let Some(connection) = self.connections.get(id) else { return Ok(()) };
        if let Some(account) = account
            && !account.auth_ip.is_empty()
            && account.auth_ip != *connection.ip_text
        {
            let text = format!("This account may not be used from your address {}.", connection.ip);
            return Err(Refusal::new(CloseReason::LoginErr, text));
        }
        let is_known = || account.is_some() && self.trust(id, nick) == Trust::Known;
        if let Some(refusal) = self.kept_out(connection.ip, |spares_known| spares_known && is_known()) {
            return Err(refusal);
        }
        if class.number() < settings.ban_bypass_class {
            let who = Target {
                nick: nick.to_vec(),
                ip: Some(connection.ip),
                host: connection.host.clone().unwrap_or_default().into_bytes(),
                ..Target::default()
            };
            self.not_banned(&who)?;
        }
        self.not_full(id, nick, class)
    }

    /// What keeps an address out for a while, unless somebody is spared.
    fn kept_out(&self, ip: IpAddr, is_spared: impl FnOnce(bool) -> bool) -> Option<Refusal> {
        let (seconds, ban) = self.temporary_ban(ip)?;
        let for_long = spoken_period(seconds);
        let text = format!("You are kept out for another {for_long} because: {}", ban.reason);
        (!is_spared(ban.spares_known)).then(|| Refusal::new(CloseReason::Kicked, text))
    }

    /// What is known of a nick at an address.
    fn trust(&self, id: ConnId, nick: &[u8]) -> Trust {
        let Some(ip) = self.connections.get(id).map(|connection| connection.ip) else {
            return Trust::Stranger;
        };
        if self.settings.limit_exempt.contain(ip) {
            return Trust::Exempt;
        }
        let has_come = self.database.has_come_from(nick, Network::of(ip));
        match self.stored("reading a user's addresses", has_come) {
            Some(true) => Trust::Known,
            _ => Trust::Stranger,
        }
    }

    pub(super) fn not_banned(&self, who: &Target) -> Result<(), Refusal> {
        let found = self.database.find_ban(who, self.clock.seconds);
        match self.stored("looking for bans", found) {
            Some(Some(ban)) => Err(Refusal::new(CloseReason::Kicked, self.explain_ban(&ban))),
            Some(None) => Ok(()),
            // Who may be banned is not let in.
            None => Err(Refusal::new(CloseReason::HubLoad, "The hub cannot look up bans now.")),
        }
    }

    fn explain_ban(&self, ban: &Ban) -> String {
        let how_long = match ban.until {
            Some(until) => format!("for another {}", spoken_period(until - self.clock.seconds)),
            None => "for ever".into(),
        };
        let mut text = format!("You are banned from this hub {how_long}");
        if !ban.reason.is_empty() {
            text += &format!(" because: {}", self.readable(&ban.reason));
        }
        if !self.settings.ban_extra_message.is_empty() {
            text += &format!("\n{}", self.readable(&self.settings.ban_extra_message));
        }
        text
    }

    fn not_full(&self, id: ConnId, nick: &[u8], class: Class) -> Result<(), Refusal> {
        if class >= Class::Operator {
            return Ok(());
        }
        // Whoever comes in the place of himself takes none.
        let ghost = self.online_user(nick).and_then(User::connection);
        let count = self.users.listed_clients().saturating_sub(usize::from(ghost.is_some()));
        if i64::try_from(count).is_ok_and(|count| count >= self.settings.max_users) {
            let more = self.readable(&self.settings.hubfull_message);
            let text = format!("The hub is full: {count} users are online. {more}");
            return Err(Refusal::new(CloseReason::UserLimit, text.trim_end()).with(&[b"$HubIsFull|"]));
        }
        let most = usize::try_from(self.settings.max_users_from_ip).unwrap_or(0);
        let own = self.connections.get(id).filter(|_| most > 0);
        if let Some(ip) = own.map(|own| own.ip) {
            let others = self.connections.iter().filter(|(other, _)| *other != id && Some(*other) != ghost);
            let from_there = others.filter(|(_, other)| other.ip == ip && other.user.is_some()).count();
            if from_there >= most {
                let text = format!("From your address {ip} there are {from_there} users already.");
                return Err(Refusal::new(CloseReason::UserLimit, text).with(&[b"$HubIsFull|"]));
            }
        }
        Ok(())
    }

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

    fn say_hello(&mut self, id: ConnId) {
        let Some(nick) = self.nick_of(id) else { return };
        self.set_stage(id, Stage::Nick);
        self.send_to(id, &[b"$Hello ", &nick, b"|"]);
        if self.connections.get(id).is_some_and(|connection| connection.has(Supports::HUB_URL)) {
            self.send_to(id, &[b"$GetHubURL|"]);
        }
    }

    /// Puts a user into the list, shows him to all, and all to him.
    pub(super) fn enter(&mut self, id: ConnId) {
        let Some(nick) = self.nick_of(id) else { return };
        loop {
            if let Err(refusal) = self.decide_again(id) {
                return self.refuse(id, &refusal);
            }
            // Whoever may still come in knows the password of the one who is there: it is himself.
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
    }
}

fn replace_all(text: &[u8], what: &[u8], with: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + with.len());
    let mut rest = text;
    while let Some(at) = super::text::find(rest, what) {
        let (before, after) = rest.split_at(at);
        out.extend_from_slice(before);
        out.extend_from_slice(with);
        rest = after.get(what.len()..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
    out
}
