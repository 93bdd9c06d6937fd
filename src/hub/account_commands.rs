//! Registrations: the commands about them, and what scripts' functions do with them too.

use plugin_abi::{Hook, Value};

use super::background::hash_password;
use super::commands::Caller;
use super::text::{first_word, number};
use super::user::Class;
use super::{ConnId, Hub};

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
    #[error("a script prevented it")]
    Blocked,
    #[error("it could not be stored; see the log")]
    Database,
}

impl Hub {
    /// Registers a user. Without a password, he is asked to set one at his first login, and
    /// has no more than class 1 until then.
    pub(super) fn register(
        &mut self,
        op: &[u8],
        from: Option<ConnId>,
        nick: &[u8],
        class: i64,
        password: &[u8],
    ) -> Result<(), AccountError> {
        let class = Class::from_number(class).ok_or(AccountError::NoClass)?;
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
        let hash = if password.is_empty() { String::new() } else { self.hash(password)? };
        let added = self.database.add_account(nick, class.number(), &hash, op, self.clock.seconds);
        match self.stored("registering", added) {
            Some(true) => {
                self.account_changed(nick);
                Ok(())
            }
            Some(false) => Err(AccountError::Exists),
            None => Err(AccountError::Database),
        }
    }

    fn account(&self, nick: &[u8]) -> Result<Option<super::database::Account>, AccountError> {
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
                self.account_changed(nick);
                Ok(())
            }
            Some(false) => Err(AccountError::Missing),
            None => Err(AccountError::Database),
        }
    }

    /// Changes a registered user's class, also while he is online.
    pub(super) fn set_class(&mut self, nick: &[u8], class: i64) -> Result<(), AccountError> {
        let class = Class::from_number(class).ok_or(AccountError::NoClass)?;
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

    /// Changes a registered user's password.
    pub(super) fn set_password(&mut self, nick: &[u8], password: &[u8]) -> Result<(), AccountError> {
        let hash = self.hash(password)?;
        let set = self.database.set_account_password(nick, &hash);
        match self.stored("storing a password", set) {
            Some(true) => {
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
        let class = match &account {
            // He is in without a password, so more must wait for his next login with one.
            Some(account) if account.pwd_change => Class::Registered,
            Some(account) => Class::from_number(account.class).unwrap_or(Class::Registered),
            None => Class::Guest,
        };
        // Who came in as a guest has proved nothing by being registered meanwhile.
        let proved = user.account.is_some();
        let old = user.class;
        user.class = if proved || account.is_none() { class } else { old };
        user.account = if proved { account } else { user.account.take() };
        let least = self.settings.oplist_class;
        if user.class != old && (user.class.number() >= least) != (old.number() >= least) {
            let list = self.op_list();
            self.send_to_all(&[&list]);
        }
    }
}

fn said(hub: &Hub, what: &str, nick: &[u8], result: Result<(), AccountError>) -> Vec<u8> {
    let nick = hub.readable(nick);
    hub.charset.encode(&match result {
        Ok(()) => format!("{nick} {what}."),
        Err(error) => format!("{nick}: {error}."),
    })
}

/// Whether an operator may give or change this class.
fn may_give(hub: &Hub, caller: &Caller, class: i64) -> bool {
    caller.class == Class::Master || caller.class.number() >= class + hub.settings.classdif_reg
}

/// Whether an operator may change this registration.
fn may_change(hub: &Hub, caller: &Caller, nick: &[u8]) -> Result<(), AccountError> {
    let account = hub.account(nick)?.ok_or(AccountError::Missing)?;
    if may_give(hub, caller, account.class) { Ok(()) } else { Err(AccountError::NotAllowed) }
}

pub(super) fn passwd(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Vec<u8> {
    if args.is_empty() {
        return hub.usage("passwd");
    }
    let result = hub.set_password(&caller.nick, args);
    said(hub, "has a new password; use it at the next login", &caller.nick, result)
}

pub(super) fn regnew(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Vec<u8> {
    let (nick, rest) = first_word(args);
    let (class, password) = first_word(rest);
    let class = if class.is_empty() { Some(1) } else { number(class) };
    let (false, Some(class)) = (nick.is_empty(), class) else { return hub.usage("regnew") };
    if !may_give(hub, caller, class) {
        return said(hub, "", nick, Err(AccountError::NotAllowed));
    }
    let result = hub.register(&caller.nick, Some(caller.id), nick, class, password);
    let what = if password.is_empty() {
        "is registered, and must set a password at the next login"
    } else {
        "is registered"
    };
    said(hub, what, nick, result)
}

pub(super) fn regclass(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Vec<u8> {
    let (nick, class) = first_word(args);
    let Some(class) = number(class) else { return hub.usage("regclass") };
    let result = may_change(hub, caller, nick).and_then(|()| {
        if may_give(hub, caller, class) { hub.set_class(nick, class) } else { Err(AccountError::NotAllowed) }
    });
    said(hub, &format!("has class {class} now"), nick, result)
}

pub(super) fn regpasswd(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Vec<u8> {
    let (nick, password) = first_word(args);
    if password.is_empty() {
        return hub.usage("regpasswd");
    }
    let result = may_change(hub, caller, nick).and_then(|()| hub.set_password(nick, password));
    said(hub, "has a new password", nick, result)
}

pub(super) fn delreg(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Vec<u8> {
    let (nick, _) = first_word(args);
    if nick.is_empty() {
        return hub.usage("delreg");
    }
    let result = may_change(hub, caller, nick).and_then(|()| hub.unregister(nick));
    said(hub, "is no longer registered", nick, result)
}
