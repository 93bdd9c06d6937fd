//! Registrations: who gets one, which class and password it has, and what a change of it means
//! for who is online under its nick.

use std::rc::Rc;

use plugin_abi::{Hook, Value};

use super::background::hash_password;
use super::class::{Class, needs_password};
use super::{ConnId, Hub, UserId};

/// Why nothing was registered, or changed. The text is for operators.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum AccountError {
    #[error("there is no such class; 1 registered, 2 VIP, 3 operator, 4 chief, 5 admin, 10 master")]
    NoClass,
    #[error("your class does not allow it")]
    NotAllowed,
    #[error("this nick is registered already")]
    Exists,
    #[error("this nick is not registered")]
    Missing,
    #[error("this is no nick")]
    BadNick,
    #[error("a password must have at least {0} bytes")]
    ShortPassword(i64),
    #[error("an account of class 3 or higher needs a password; give it one first")]
    NoPassword,
    #[error("log in with the password of this nick first")]
    NotOwn,
    #[error("a script prevented it")]
    Blocked,
    #[error("it could not be stored; see the log")]
    Database,
}

/// The password of a new registration.
#[derive(Clone, Copy, Debug)]
pub(super) enum FirstPassword<'a> {
    /// There is none: whoever comes first sets it, and is a guest until then.
    None,
    /// The user's.
    Own(&'a [u8]),
    /// One that somebody else knows too: the user is a guest until they set another.
    Once(&'a [u8]),
}

impl<'a> FirstPassword<'a> {
    /// A password that may be missing.
    pub fn given(password: &'a [u8]) -> FirstPassword<'a> {
        if password.is_empty() { FirstPassword::None } else { FirstPassword::Own(password) }
    }
}

impl Hub {
    /// Registers a user.
    pub(super) fn register(
        &mut self,
        op: &[u8],
        from: Option<ConnId>,
        nick: &[u8],
        class: i64,
        password: FirstPassword<'_>,
    ) -> Result<(), AccountError> {
        let class = Class::from_number(class).ok_or(AccountError::NoClass)?;
        if matches!(password, FirstPassword::None) && needs_password(class.number()) {
            return Err(AccountError::NoPassword);
        }
        if !super::protocol::nick_is_clean(nick) {
            return Err(AccountError::BadNick);
        }
        if self.account(nick)?.is_some() {
            return Err(AccountError::Exists);
        }
        let args = [Value::text(op), Value::text(nick), Value::Int(class.number())];
        let verdict = match from {
            Some(id) => self.raise_for(id, Hook::OnNewReg, &args),
            None => self.raise(Hook::OnNewReg, &args),
        };
        if verdict.blocked {
            return Err(AccountError::Blocked);
        }
        let (hash, pwd_change) = match password {
            FirstPassword::None => (String::new(), true),
            FirstPassword::Own(password) => (self.hash(password)?, false),
            FirstPassword::Once(password) => (hash_password(password).ok_or(AccountError::Database)?, true),
        };
        let now = self.clock.seconds;
        let added = self.database.add_account(nick, class.number(), &hash, pwd_change, op, now);
        match self.stored("registering", added) {
            Some(true) => {
                self.account_changed(nick);
                Ok(())
            }
            Some(false) => Err(AccountError::Exists),
            None => Err(AccountError::Database),
        }
    }

    /// What is registered under a nick.
    pub(super) fn account(&self, nick: &[u8]) -> Result<Option<super::database::Account>, AccountError> {
        let found = self.database.account(nick);
        self.stored("reading an account", found).ok_or(AccountError::Database)
    }

    fn hash(&self, password: &[u8]) -> Result<String, AccountError> {
        let least = self.settings.password_min_len;
        if i64::try_from(password.len()).is_ok_and(|length| length < least) {
            return Err(AccountError::ShortPassword(least));
        }
        hash_password(password).ok_or(AccountError::Database)
    }

    /// Removes a registration; who is online under it is a guest from then on.
    pub(super) fn unregister(&mut self, nick: &[u8]) -> Result<(), AccountError> {
        let removed = self.database.remove_account(nick);
        match self.stored("removing a registration", removed) {
            Some(true) => {
                let forgotten = self.database.forget_addresses(nick);
                self.noted("forgetting a user's addresses", forgotten);
                self.account_changed(nick);
                Ok(())
            }
            Some(false) => Err(AccountError::Missing),
            None => Err(AccountError::Database),
        }
    }

    /// Changes a registered user's class, also while they are online.
    pub(super) fn set_class(&mut self, nick: &[u8], class: i64) -> Result<(), AccountError> {
        let class = Class::from_number(class).ok_or(AccountError::NoClass)?;
        let account = self.account(nick)?.ok_or(AccountError::Missing)?;
        if account.is_without_password() && needs_password(class.number()) {
            return Err(AccountError::NoPassword);
        }
        let set = self.database.set_account_class(nick, class.number());
        match self.stored("changing a class", set) {
            Some(true) => {
                self.account_changed(nick);
                Ok(())
            }
            Some(false) => Err(AccountError::Missing),
            None => Err(AccountError::Database),
        }
    }

    /// Changes the password of the user who wants it.
    pub(super) fn set_own_password(&mut self, id: UserId, password: &[u8]) -> Result<(), AccountError> {
        let user = self.users.get(id).ok_or(AccountError::Missing)?;
        let nick = Rc::clone(&user.nick);
        let account = self.account(&nick)?.ok_or(AccountError::Missing)?;
        let user = self.users.get(id);
        if !user.is_some_and(|user| user.account.is_some() && user.owns(&account)) {
            return Err(AccountError::NotOwn);
        }
        self.set_password(&nick, password, Some(id))
    }

    /// Changes a registered user's password; `known_to` knows it.
    pub(super) fn set_password(
        &mut self,
        nick: &[u8],
        password: &[u8],
        known_to: Option<UserId>,
    ) -> Result<(), AccountError> {
        let hash = self.hash(password)?;
        let set = self.database.set_account_password(nick, &hash);
        match self.stored("storing a password", set) {
            Some(true) => {
                if let Some(user) = known_to.and_then(|user| self.users.get_mut(user)) {
                    user.proof = Some(hash.into_bytes());
                }
                self.account_changed(nick);
                Ok(())
            }
            Some(false) => Err(AccountError::Missing),
            None => Err(AccountError::Database),
        }
    }

    /// Gives who is online under a nick what its registration now says.
    fn account_changed(&mut self, nick: &[u8]) {
        let Ok(account) = self.account(nick) else { return };
        let Some(user) = self.online(nick).and_then(|id| self.users.get_mut(id)) else { return };
        if user.is_bot() || user.class == Class::Pinger {
            return;
        }
        let old = user.class;
        user.class = match &account {
            None => Class::Guest,
            // Who came in as a guest has proved nothing by being registered meanwhile.
            Some(_) if user.account.is_none() => old,
            Some(account) if user.owns(account) => account.standing(),
            // Who came in with another password than the one that counts now does not rise by it.
            Some(account) => account.standing().min(old),
        };
        if user.account.is_some() {
            user.account = account;
        }
        let least = self.settings.oplist_class;
        if user.class != old && (user.class.number() >= least) != (old.number() >= least) {
            let list = self.op_list();
            self.send_to_all(&[&list]);
        }
    }
}
