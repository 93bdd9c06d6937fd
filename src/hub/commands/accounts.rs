//! Commands about registrations: `passwd`, `regnew`, `regclass`, `regpasswd`, `delreg`.

use super::caller::{Answer, Caller, Misused};
use crate::hub::Hub;
use crate::hub::accounts::{AccountError, FirstPassword};
use crate::hub::background::random_password;
use crate::hub::class::{Class, needs_password};
use crate::hub::text::{first_word, number};

fn said(hub: &Hub, what: &str, nick: &[u8], result: Result<(), AccountError>) -> Answer {
    let nick = hub.readable(nick);
    Ok(hub.charset.encode(&match result {
        Ok(()) => format!("{nick} {what}."),
        Err(error) => format!("{nick}: {error}."),
    }))
}

/// Notes what an operator did; never a password.
fn note(
    hub: &Hub,
    caller: &Caller,
    what: &str,
    nick: &[u8],
    detail: &str,
    result: &Result<(), AccountError>,
) {
    if result.is_ok() {
        hub.acted(&caller.nick, what, nick, detail.as_bytes());
    }
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

pub fn passwd(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Answer {
    if args.is_empty() {
        return Err(Misused);
    }
    let result = hub.set_own_password(caller.user, args);
    said(hub, "has a new password; use it at the next login", &caller.nick, result)
}

pub fn regnew(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Answer {
    let (nick, rest) = first_word(args);
    let (class, password) = first_word(rest);
    let class = if class.is_empty() { Some(1) } else { number(class) };
    let (false, Some(class)) = (nick.is_empty(), class) else { return Err(Misused) };
    if !may_give(hub, caller, class) {
        return said(hub, "", nick, Err(AccountError::NotAllowed));
    }
    let once = match password.is_empty() && needs_password(class) {
        true => match random_password() {
            Ok(once) => Some(once),
            Err(error) => return Ok(format!("No password can be made: {error}").into_bytes()),
        },
        false => None,
    };
    let (password, what) = match &once {
        Some(once) => (
            FirstPassword::Once(once.as_bytes()),
            format!("is registered with the password {once}, and has class {class} after a +passwd"),
        ),
        None if password.is_empty() => {
            (FirstPassword::None, "is registered, and must set a password at the next login".into())
        }
        None => (FirstPassword::Own(password), "is registered".into()),
    };
    let result = hub.register(&caller.nick, Some(caller.id), nick, class, password);
    note(hub, caller, "regnew", nick, &format!("class {class}"), &result);
    said(hub, &what, nick, result)
}

pub fn regclass(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Answer {
    let (nick, class) = first_word(args);
    let Some(class) = number(class) else { return Err(Misused) };
    let result = may_change(hub, caller, nick).and_then(|()| {
        if may_give(hub, caller, class) { hub.set_class(nick, class) } else { Err(AccountError::NotAllowed) }
    });
    note(hub, caller, "regclass", nick, &format!("class {class}"), &result);
    said(hub, &format!("has class {class} now"), nick, result)
}

pub fn regpasswd(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Answer {
    let (nick, password) = first_word(args);
    if password.is_empty() {
        return Err(Misused);
    }
    let result = may_change(hub, caller, nick).and_then(|()| hub.set_password(nick, password, None));
    note(hub, caller, "regpasswd", nick, "", &result);
    said(hub, "has a new password", nick, result)
}

pub fn delreg(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Answer {
    let (nick, _) = first_word(args);
    if nick.is_empty() {
        return Err(Misused);
    }
    let result = may_change(hub, caller, nick).and_then(|()| hub.unregister(nick));
    note(hub, caller, "delreg", nick, "", &result);
    said(hub, "is no longer registered", nick, result)
}
