//! Who may come in: what accounts, bans, limits and scripts say about somebody who is on their
//! way. All of it is asked again when anything may have changed meanwhile.

use std::net::IpAddr;

use super::bans::{Ban, Target};
use super::class::Class;
use super::database::Account;
use super::networks::Network;
use super::passwords::Trust;
use super::protocol::nick_is_clean;
use super::text::spoken_period;
use super::user::User;
use super::{CloseReason, ConnId, Hub};

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

    pub fn with(mut self, parts: &[&[u8]]) -> Refusal {
        self.message = parts.concat();
        self
    }
}

impl Hub {
    pub(super) fn refuse(&mut self, id: ConnId, refusal: &Refusal) {
        if self.connections.get(id).is_some_and(super::Connection::is_open) {
            self.tell(id, &refusal.text);
            self.send_to(id, &[&refusal.message]);
            self.close(id, refusal.reason);
        }
    }

    pub(super) fn account_of(&self, nick: &[u8]) -> Result<Option<Account>, Refusal> {
        let found = self.database.account(nick);
        // Who cannot be looked up is not taken for a guest.
        self.stored("reading an account", found)
            .ok_or_else(|| Refusal::new(CloseReason::HubLoad, "The hub cannot look up your nick now."))
    }

    /// Decides again what was decided at earlier steps of a login: since then the nick may have
    /// been registered, banned, given another password or class, and taken by somebody else.
    pub(super) fn decide_again(&mut self, id: ConnId) -> Result<(), Refusal> {
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
    pub(super) fn may_come_in(
        &self,
        id: ConnId,
        nick: &[u8],
        account: Option<&Account>,
    ) -> Result<(), Refusal> {
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
            // A registered user's password tells whether it is the same user again.
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
    pub(super) fn kept_out(&self, ip: IpAddr, is_spared: impl FnOnce(bool) -> bool) -> Option<Refusal> {
        let (seconds, ban) = self.temporary_ban(ip)?;
        let for_long = spoken_period(seconds);
        let text = format!("You are kept out for another {for_long} because: {}", ban.reason);
        (!is_spared(ban.spares_known)).then(|| Refusal::new(CloseReason::Kicked, text))
    }

    /// What is known of a nick at an address.
    pub(super) fn trust(&self, id: ConnId, nick: &[u8]) -> Trust {
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
        // Whoever comes in their own place takes none.
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
}
