//! Commands about the hub and how it is configured: `myip`, `topic`, `getconfig`, `setconfig`,
//! `stop`.

use super::caller::{Answer, Caller, Misused};
use crate::hub::Hub;
use crate::hub::settings::{canonical, setting, settings};
use crate::hub::text::{first_word, number};

pub fn my_ip(hub: &mut Hub, caller: &Caller, _args: &[u8]) -> Answer {
    Ok([b"Your address is ", &*hub.ip_of(caller.id)].concat())
}

pub fn topic(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Answer {
    let topic: &[u8] = match args {
        b"" if hub.settings.hub_topic.is_empty() => return Ok(b"There is no topic.".to_vec()),
        b"" => return Ok([b"The topic is: ", hub.settings.hub_topic.as_slice()].concat()),
        b"-" => b"",
        topic => topic,
    };
    Ok(match hub.set_config(&caller.nick, Some(caller.id), b"config", b"hub_topic", topic) {
        Ok(change) => {
            hub.acted(&caller.nick, "topic", b"", &change.new);
            [b"The topic is now: ", change.new.as_slice()].concat()
        }
        Err(error) => error.to_string().into_bytes(),
    })
}

pub fn get_config(hub: &mut Hub, _caller: &Caller, args: &[u8]) -> Answer {
    let (first, second) = first_word(args);
    if first.is_empty() {
        let mut text = b"Variables:".to_vec();
        for setting in settings() {
            let value = hub.settings.get(setting.name).unwrap_or_default();
            let line = [b"\n", setting.name.as_bytes(), b" = ", &value, b"  - ", setting.meaning.as_bytes()];
            text.extend(line.concat());
        }
        return Ok(text);
    }
    let (conf, variable) = if second.is_empty() { (&b"config"[..], first) } else { (first, second) };
    Ok(match hub.get_config(conf, variable) {
        Some(value) => [variable, b" = ", &value].concat(),
        None => [b"There is no variable ", variable].concat(),
    })
}

pub fn set_config(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Answer {
    let (first, rest) = first_word(args);
    if rest.is_empty() && first.is_empty() {
        return Err(Misused);
    }
    let known = |name: &[u8]| setting(canonical(&String::from_utf8_lossy(name))).is_some();
    let (conf, variable, value) = if known(first) {
        (&b"config"[..], first, rest)
    } else {
        let (variable, value) = first_word(rest);
        (first, variable, value)
    };
    // Two words are a variable of the hub and its value; `nonsense 5` is a slip of the pen.
    if variable.is_empty() || (value.is_empty() && !known(first)) {
        return Ok([b"There is no variable ", first].concat());
    }
    Ok(match hub.set_config(&caller.nick, Some(caller.id), conf, variable, value) {
        Ok(change) => {
            let detail = [b"= ", change.new.as_slice(), b" (was ", &change.old, b")"].concat();
            hub.acted(&caller.nick, "setconfig", variable, &detail);
            [variable, b" = ", &change.new, b" (was ", &change.old, b")"].concat()
        }
        Err(error) => [variable, b": ", error.to_string().as_bytes()].concat(),
    })
}

pub fn stop(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Answer {
    log::info!("{} stops the hub", hub.readable(&caller.nick));
    hub.acted(&caller.nick, "stop", b"", args);
    hub.stop = Some(number(args).unwrap_or(0));
    Ok(b"The hub stops.".to_vec())
}
