//! Functions about users: what they show, where they are, what they may do, putting them out.

use std::net::IpAddr;
use std::rc::Rc;
use std::time::Duration;

use plugin_abi::Value;

use super::super::bans::{BanKind, NewBan, Target};
use super::super::moderation::KickNotes;
use super::super::protocol::{MyInfo, field, split_tag};
use super::super::text::{number, period};
use super::super::timers::Due;
use super::super::{CloseReason, Hub, User, UserId};
use super::{Args, done, text};

/// How long a script waits for a user's host name.
const HOST_NAME_WAIT: Duration = Duration::from_millis(300);

/// How long a restriction lasts for which a script only said `1`, in seconds.
const DEFAULT_RESTRICTION: i64 = 7 * 86_400;

fn address(bytes: &[u8]) -> Option<IpAddr> {
    std::str::from_utf8(bytes).ok()?.trim().parse().ok()
}

impl Hub {
    pub(super) fn call_close_connection(&mut self, args: Args<'_>) -> Value<'static> {
        let found = self.online_user(args.text_or_empty(0)).and_then(|user| user.connection());
        let Some(id) = found else { return Value::Nil };
        // 1 once meant "nicely".
        let delay = if args.int(1) == 1 { 1000 } else { args.int(1).clamp(0, 86_400_000) };
        if delay == 0 {
            self.close(id, CloseReason::from_number(args.int(2)));
        } else if self.timers.is_full() {
            return Value::Nil;
        } else {
            let at = self.clock.instant + Duration::from_millis(delay.unsigned_abs());
            self.timers.add(at, Due::Close(id, args.int(2)));
        }
        done(true)
    }

    pub(super) fn call_get_my_info(&mut self, args: Args<'_>) -> Value<'static> {
        let Some(user) = self.online_user(args.text_or_empty(0)) else { return Value::Nil };
        let info = user.info();
        let [desc, tag, speed, mail, size] = info.parts();
        [&*user.nick, desc, tag, speed, mail, size].into_iter().map(<[u8]>::to_vec).collect()
    }

    pub(super) fn call_set_my_info(&mut self, args: Args<'_>) -> Value<'static> {
        let Some(id) = self.online(args.text_or_empty(0)) else { return Value::Nil };
        let Some(user) = self.users.get(id) else { return Value::Nil };
        let info = user.info();
        let mut parts = info.parts().map(<[u8]>::to_vec);
        for (at, part) in parts.iter_mut().enumerate() {
            if let Some(new) = args.text(at + 1) {
                *part = field(new).into_owned();
            }
        }
        self.change_info(id, &parts)
    }

    /// Shows new information about a user.
    fn change_info(&mut self, id: UserId, parts: &[Vec<u8>; 5]) -> Value<'static> {
        let [desc, tag, speed, mail, size] = parts;
        // A tag in the description counts as the tag.
        let (desc, tag): (&[u8], &[u8]) = if tag.is_empty() { split_tag(desc) } else { (desc, tag) };
        let Some(share) = number(size).and_then(|size| u64::try_from(size).ok()) else { return Value::Nil };
        let Some(user) = self.users.get_mut(id) else { return Value::Nil };
        let nick = Rc::clone(&user.nick);
        let shown = MyInfo { nick: &nick, desc, tag, speed, mail, size }.message();
        user.shown.clone_from(&shown);
        self.users.set_share(id, share);
        self.send_to_all(&[&shown]);
        done(true)
    }

    pub(super) fn call_my_info_flag(&mut self, args: Args<'_>, set: bool) -> Value<'static> {
        let (Some(id), Ok(flag)) = (self.online(args.text_or_empty(0)), u8::try_from(args.int(1))) else {
            return Value::Nil;
        };
        let Some(user) = self.users.get(id).filter(|_| flag != 0) else { return Value::Nil };
        let info = user.info();
        let mut parts = info.parts().map(<[u8]>::to_vec);
        let Some(status) = parts.get_mut(2).and_then(|speed| speed.last_mut()) else { return Value::Nil };
        let new = if set { *status | flag } else { *status & !flag };
        // These would end the part or the message.
        if matches!(new, b'$' | b'|' | 0) {
            return Value::Nil;
        }
        if std::mem::replace(status, new) == new {
            return done(true);
        }
        self.change_info(id, &parts)
    }

    /// Everybody in the user list, a row with the fields for each.
    pub(super) fn call_users(&mut self, args: Args<'_>) -> Value<'static> {
        let fields: Vec<&[u8]> = args.text_or_empty(0).split(|byte| *byte == b' ').collect();
        let row = |(_, user): (UserId, &User)| {
            let info = user.info();
            let [desc, tag, speed, mail, size] = info.parts();
            let connection = user.connection().and_then(|id| self.connections.get(id));
            let value = |field: &&[u8]| match *field {
                b"nick" => text(&*user.nick),
                b"class" => Value::Int(user.class.number()),
                b"ip" => text(connection.map_or(&b"127.0.0.1"[..], |connection| &connection.ip_text)),
                b"cc" => {
                    self.encoded(connection.and_then(|connection| Some(self.geoip.country(connection.ip)?.0)))
                }
                b"desc" => text(desc),
                b"tag" => text(tag),
                b"speed" => text(speed),
                b"mail" => text(mail),
                b"share" => text(size),
                _ => Value::Nil,
            };
            Value::List(fields.iter().map(value).collect())
        };
        let rows = self.users.listed().map(row).collect();
        Value::List(vec![Value::Int(1), Value::List(rows)])
    }

    pub(super) fn call_get_user_class(&mut self, args: Args<'_>) -> Value<'static> {
        Value::Int(self.online_user(args.text_or_empty(0)).map_or(-2, |user| user.class.number()))
    }

    pub(super) fn call_get_user_host(&mut self, args: Args<'_>) -> Value<'static> {
        let Some(user) = self.online_user(args.text_or_empty(0)) else { return Value::Nil };
        let Some(id) = user.connection() else { return text("localhost") };
        let Some(connection) = self.connections.get(id) else { return Value::Nil };
        if connection.host.is_none() && self.host_names.start(connection.lookup(id)) {
            let end = std::time::Instant::now() + HOST_NAME_WAIT;
            while self.connections.get(id).is_some_and(|connection| connection.host.is_none()) {
                let left = end.saturating_duration_since(std::time::Instant::now());
                let Some((found, host)) = self.host_names.wait(left) else { break };
                if let Some(connection) = self.connections.get_mut(found) {
                    // One that waits for it is resumed at the end of the turn, by this thread's result.
                    connection.host = Some(host.unwrap_or_default());
                    connection.pause =
                        connection.pause.filter(|pause| *pause != super::super::connection::Pause::HostName);
                }
            }
        }
        let connection = self.connections.get_mut(id);
        // Whoever has no name now is not waited for again; a late result is still taken.
        connection.map_or(Value::Nil, |connection| text(connection.host.get_or_insert_default().as_bytes()))
    }

    pub(super) fn call_get_user_ip(&mut self, args: Args<'_>) -> Value<'static> {
        let Some(user) = self.online_user(args.text_or_empty(0)) else { return Value::Nil };
        let connection = user.connection().and_then(|id| self.connections.get(id));
        text(connection.map_or(&b"127.0.0.1"[..], |connection| &connection.ip_text))
    }

    pub(super) fn call_set_user_ip(&mut self, args: Args<'_>) -> Value<'static> {
        let Some(ip) = args.text(1).and_then(address) else { return Value::Nil };
        let Some(user) = self.online(args.text_or_empty(0)) else { return Value::Nil };
        let found = self.users.get(user).and_then(|user| user.connection());
        let Some(connection) = found.and_then(|id| self.connections.get_mut(id)) else { return Value::Nil };
        connection.ip = ip;
        connection.ip_text = ip.to_string().into_bytes().into();
        connection.host = None;
        self.show_ip(user);
        done(true)
    }

    pub(super) fn call_get_user_hub_url(&mut self, args: Args<'_>) -> Value<'static> {
        let Some(user) = self.online_user(args.text_or_empty(0)) else { return Value::Nil };
        let connection = user.connection().and_then(|id| self.connections.get(id));
        text(connection.map_or(&b""[..], |connection| &connection.hub_url))
    }

    pub(super) fn call_get_user_ext_json(&mut self, args: Args<'_>) -> Value<'static> {
        let Some(user) = self.online_user(args.text_or_empty(0)) else { return Value::Nil };
        text(user.ext_json.strip_suffix(b"|").unwrap_or_default())
    }

    fn encoded(&self, found: Option<String>) -> Value<'static> {
        found.map(|found| self.charset.encode(&found)).into()
    }

    pub(super) fn call_get_user_cc(&mut self, args: Args<'_>) -> Value<'static> {
        let user = self.online_user(args.text_or_empty(0));
        let connection = user.and_then(|user| user.connection()).and_then(|id| self.connections.get(id));
        self.encoded(connection.and_then(|connection| Some(self.geoip.country(connection.ip)?.0)))
    }

    pub(super) fn call_country(&mut self, args: Args<'_>, name: bool) -> Value<'static> {
        let found = args.text(0).and_then(address).and_then(|ip| self.geoip.country(ip));
        self.encoded(found.map(|(code, country)| if name { country } else { code }))
    }

    pub(super) fn call_get_ip_asn(&mut self, args: Args<'_>) -> Value<'static> {
        let database = args.some_text(1).map(String::from_utf8_lossy);
        let found = args.text(0).and_then(address).and_then(|ip| self.geoip.asn(ip, database.as_deref()));
        self.encoded(found)
    }

    pub(super) fn call_get_ip_city(&mut self, args: Args<'_>) -> Value<'static> {
        let database = args.some_text(1).map(String::from_utf8_lossy);
        let found = args.text(0).and_then(address).and_then(|ip| self.geoip.city(ip, database.as_deref()));
        self.encoded(found)
    }

    pub(super) fn call_get_geo_ip(&mut self, args: Args<'_>) -> Value<'static> {
        let database = args.some_text(1).map(String::from_utf8_lossy);
        let Some(ip) = args.text(0).and_then(address) else { return Value::Nil };
        let Some(place) = self.geoip.place(ip, database.as_deref()) else { return Value::Nil };
        let texts = [
            ("host", ip.to_string()),
            ("range_low", place.range_low),
            ("range_high", place.range_high),
            ("country_code", place.country_code),
            ("country", place.country),
            ("region_code", place.region_code),
            ("region", place.region),
            ("time_zone", place.time_zone),
            ("continent_code", place.continent_code),
            ("continent", place.continent),
            ("city", place.city),
            ("postal_code", place.postal_code),
        ];
        let mut map: Vec<(Value<'static>, Value<'static>)> = texts
            .into_iter()
            .map(|(key, value)| (text(key), Value::from(self.charset.encode(&value))))
            .collect();
        map.push((text("country_code_xxx"), text("")));
        map.push((text("latitude"), Value::Float(place.latitude)));
        map.push((text("longitude"), Value::Float(place.longitude)));
        map.push((text("metro_code"), Value::Int(place.metro_code)));
        map.push((text("area_code"), Value::Int(0)));
        Value::Map(map)
    }

    pub(super) fn call_user_restrictions(&mut self, args: Args<'_>) -> Value<'static> {
        let now = self.clock.seconds;
        let Some(id) = self.online(args.text_or_empty(0)) else { return Value::Nil };
        let Some(user) = self.users.get(id) else { return Value::Nil };
        let mut new = user.restrictions;
        let places = [&mut new.chat, &mut new.pm, &mut new.search, &mut new.ctm];
        for (at, until) in places.into_iter().enumerate() {
            match args.some_text(at + 1) {
                None => {}
                Some(b"0") => *until = 1,
                Some(b"1") => *until = now + DEFAULT_RESTRICTION,
                Some(written) => match period(written) {
                    Some(seconds) => *until = now.saturating_add(seconds),
                    None => return Value::Nil,
                },
            }
        }
        if user.restrictions != new {
            let set = self.database.set_restrictions(&user.nick, new, &self.settings.hub_security, now);
            if self.stored("restricting a user", set).is_none() {
                return Value::Nil;
            }
        }
        if let Some(user) = self.users.get_mut(id) {
            user.restrictions = new;
        }
        let bits = [new.chat, new.pm, new.search, new.ctm];
        let set = |(at, until): (usize, &i64)| i64::from(*until > now) << at;
        Value::Int(bits.iter().enumerate().map(set).sum())
    }

    pub(super) fn call_ban(&mut self, args: Args<'_>) -> Value<'static> {
        let (Some(op), Some(nick)) = (args.text(0), args.some_text(1)) else { return Value::Nil };
        let Some(kind) = BanKind::from_number(args.int(4)) else { return Value::Nil };
        let online = self.online(nick).filter(|id| self.users.get(*id).is_some_and(|user| !user.is_bot()));
        let mut target = match online.and_then(|user| self.target_of(user)) {
            Some(target) => target,
            None => Target::written(kind, nick),
        };
        let by_host = matches!(kind, BanKind::Host1 | BanKind::Host2 | BanKind::Host3 | BanKind::HostR1);
        if by_host && target.host.is_empty() {
            let host = self.call_get_user_host(Args(&[Value::text(nick)]));
            target.host = host.as_text().unwrap_or_default().to_vec();
        }
        if kind != BanKind::Range {
            target.range = None;
        }
        let ban = NewBan {
            kind,
            target: &target,
            op,
            reason: args.text_or_empty(2),
            seconds: args.int(3),
            note_op: b"",
            note_usr: b"",
        };
        match self.set_ban(None, &ban) {
            Ok(_) => {
                let connection =
                    online.and_then(|user| self.users.get(user)).and_then(|user| user.connection());
                if let Some(id) = connection {
                    self.close(id, CloseReason::Kicked);
                }
                done(true)
            }
            Err(why) => {
                log::info!("Ban({}): {why}", self.readable(nick));
                Value::Nil
            }
        }
    }

    pub(super) fn call_kick_user(&mut self, args: Args<'_>) -> Value<'static> {
        let Some(op) = self.online(args.text_or_empty(0)) else { return Value::Nil };
        let nick = args.text_or_empty(1);
        let notes = KickNotes {
            redirect: args.text_or_empty(3),
            note_op: args.text_or_empty(4),
            note_user: args.text_or_empty(5),
        };
        match self.kick(op, nick, args.text_or_empty(2), &notes) {
            Ok(kicked) => done(kicked.banned.is_some()),
            Err(why) => {
                log::info!("KickUser({}): {why}", self.readable(nick));
                Value::Nil
            }
        }
    }

    pub(super) fn call_del_nick_temp_ban(&mut self, args: Args<'_>) -> Value<'static> {
        let lifted = self.database.lift_temporary(args.text_or_empty(0), b"", self.clock.seconds);
        done(self.stored("lifting bans", lifted).is_some_and(|count| count > 0))
    }

    pub(super) fn call_del_ip_temp_ban(&mut self, args: Args<'_>) -> Value<'static> {
        let lifted = self.database.lift_temporary(b"", args.text_or_empty(0), self.clock.seconds);
        let lifted = self.stored("lifting bans", lifted).is_some_and(|count| count > 0);
        let in_memory = args.text(0).and_then(address).is_some_and(|ip| self.lift_temporary_ban(ip));
        done(lifted || in_memory)
    }
}
