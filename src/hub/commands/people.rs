//! Commands that put users out: `kick`, `drop`, `ban`, `unban`.

use super::caller::{Answer, Caller, Misused};
use crate::hub::Hub;
use crate::hub::bans::{BanKind, NewBan, Target};
use crate::hub::moderation::NOT_LISTED;
use crate::hub::networks::Range;
use crate::hub::text::{first_word, period, spoken_period};

pub fn kick(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Answer {
    let (nick, reason) = first_word(args);
    if nick.is_empty() {
        return Err(Misused);
    }
    hub.kick_as(caller.id, nick, reason);
    Ok(Vec::new())
}

pub fn drop_user(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Answer {
    let (nick, reason) = first_word(args);
    if nick.is_empty() {
        return Err(Misused);
    }
    Ok(match hub.drop_user(caller.user, nick, reason) {
        Ok(listed) => [nick, b" was dropped.", if listed { "" } else { NOT_LISTED }.as_bytes()].concat(),
        Err(why) => hub.charset.encode(&why),
    })
}

pub fn ban(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Answer {
    let (who, rest) = first_word(args);
    if who.is_empty() {
        return Err(Misused);
    }
    let (word, after) = first_word(rest);
    // A bare number is the start of a reason.
    let seconds = period(word).filter(|_| word.last().is_some_and(|unit| !unit.is_ascii_digit()));
    let (seconds, reason) = seconds.map_or((0, rest), |seconds| (seconds, after));
    let (kind, target) = whom_to_ban(hub, who);
    let Some(protected) = hub.class_under(who) else {
        return Ok([who, b" could not be looked up and is not banned; see the log."].concat());
    };
    if protected.is_some_and(|class| class >= caller.class) {
        return Ok(b"You may not ban a user of your class or a higher one.".to_vec());
    }
    let ban =
        NewBan { kind, target: &target, op: &caller.nick, reason, seconds, note_op: b"", note_usr: b"" };
    Ok(match hub.set_ban(Some(caller.id), &ban) {
        Ok(seconds) => {
            let how_long =
                if seconds > 0 { format!("for {}", spoken_period(seconds)) } else { "for ever".into() };
            let detail = if reason.is_empty() {
                how_long.clone().into_bytes()
            } else {
                [how_long.as_bytes(), b": ", reason].concat()
            };
            hub.acted(&caller.nick, "ban", who, &detail);
            hub.charset.encode(&format!("{} is banned {how_long}.", hub.readable(who)))
        }
        Err(why) => hub.charset.encode(why),
    })
}

/// What a word means to `ban`: who is online under it, a range, an address, or else a nick.
fn whom_to_ban(hub: &Hub, who: &[u8]) -> (BanKind, Target) {
    if let Some(target) = hub.online(who).and_then(|user| hub.target_of(user)) {
        return (BanKind::NickIp, target);
    }
    let readable = hub.readable(who);
    let is_range = Range::parse(&readable).is_some() && (readable.contains('/') || readable.contains('-'));
    let kind = match readable.parse::<std::net::IpAddr>() {
        _ if is_range => BanKind::Range,
        Ok(_) => BanKind::Ip,
        Err(_) => BanKind::Nick,
    };
    (kind, Target::written(kind, who))
}

pub fn unban(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Answer {
    let (who, reason) = first_word(args);
    if who.is_empty() {
        return Err(Misused);
    }
    let lifted = hub.database.lift_bans(who, &caller.nick, reason, hub.clock.seconds);
    let lifted = hub.stored("lifting bans", lifted);
    let temporary = hub.readable(who).parse().is_ok_and(|ip| hub.lift_temporary_ban(ip));
    let Some(lifted) = lifted else {
        return Ok([b"The bans of ", who, b" could not be lifted; see the log."].concat());
    };
    if lifted > 0 || temporary {
        hub.acted(&caller.nick, "unban", who, reason);
    }
    Ok(match lifted + usize::from(temporary) {
        0 => [b"There is no ban of ", who].concat(),
        1 => b"One ban was lifted.".to_vec(),
        count => format!("{count} bans were lifted.").into_bytes(),
    })
}
