//! Searches, their results, and requests for connections between clients; what is shared is
//! the clients' matter.

use std::net::IpAddr;

use plugin_abi::{Hook, Value};

use super::class::Class;
use super::flood::Kind;
use super::protocol::Searcher;
use super::{ConnId, Hub, UserId};

/// `ip:port` with what may follow the port: `S` for TLS, `R` and `N…` for NAT traversal.
struct Address<'a> {
    ip: &'a [u8],
    /// With what follows it.
    port: &'a [u8],
}

impl<'a> Address<'a> {
    fn parse(text: &'a [u8]) -> Option<Address<'a>> {
        let at = text.iter().rposition(|byte| *byte == b':')?;
        let (ip, port) = (text.get(..at)?, text.get(at + 1..)?);
        let digits = port.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let number: u16 = std::str::from_utf8(port.get(..digits)?).ok()?.parse().ok()?;
        let rest = port.get(digits..)?;
        let known = matches!(rest, b"" | b"S" | b"R" | b"RS" | b"N" | b"NS");
        (number > 0 && known && !ip.is_empty()).then_some(Address { ip, port })
    }
}

impl Hub {
    /// The address that others are told for a client: its real one, whatever it says. Only a
    /// client from the hub's own network may name another, since the hub sees no better.
    fn real_ip(&self, id: ConnId, said: &[u8]) -> Option<Vec<u8>> {
        let connection = self.connections.get(id)?;
        let local = match connection.ip {
            IpAddr::V4(ip) => ip.is_private() || ip.is_loopback() || ip.is_link_local(),
            IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
        };
        let trimmed = said.strip_prefix(b"[").and_then(|said| said.strip_suffix(b"]")).unwrap_or(said);
        let is_ip = std::str::from_utf8(trimmed).is_ok_and(|said| said.parse::<IpAddr>().is_ok());
        let keep = *connection.ip_text == *trimmed || (local && is_ip);
        Some(match connection.ip {
            _ if keep => said.to_vec(),
            IpAddr::V4(ip) => ip.to_string().into_bytes(),
            IpAddr::V6(ip) => format!("[{ip}]").into_bytes(),
        })
    }

    /// Whether a user may search and download.
    fn may_use_hub(&mut self, id: ConnId) -> bool {
        let least = self.settings.min_class_use_hub;
        let may = self.user_of(id).is_some_and(|user| user.class.number() >= least);
        if !may {
            self.tell(id, &format!("Searches and downloads are for class {least} and higher."));
        }
        may
    }

    pub(super) fn on_search(&mut self, id: ConnId, who: Searcher<'_>, what: &[u8], message: &[u8]) {
        if !self.is_logged_in(id)
            || self.is_too_long(id, message, self.settings.max_len_search)
            || self.is_flood(id, Kind::Search)
            || !self.may_search(id, what)
        {
            return;
        }
        let Some(nick) = self.nick_of(id) else { return };
        let who = match who {
            Searcher::Passive(nick) => [b"Hub:", nick].concat(),
            Searcher::Active(address) => {
                let Some(address) = Address::parse(address) else {
                    return self.tell(id, "Your client searches with an address that is none.");
                };
                let Some(ip) = self.real_ip(id, address.ip) else { return };
                [&ip, &b":"[..], address.port].concat()
            }
        };
        if let Some(connection) = self.connections.get_mut(id) {
            connection.results = 0;
        }
        let args = [Value::text(&*nick), Value::text(message)];
        if self.raise_for(id, Hook::OnParsedMsgSearch, &args).blocked {
            return;
        }
        let parts: [&[u8]; 5] = [b"$Search ", &who, b" ", what, b"|"];
        if who.starts_with(b"Hub:") {
            // A passive user can download from active ones only.
            self.send_to_some(|user, _| user.active && user.nick != nick, &parts);
        } else {
            self.send_to_all_but(id, &parts);
        }
    }

    fn may_search(&mut self, id: ConnId, what: &[u8]) -> bool {
        let now = self.clock.seconds;
        let Some(user) = self.user_of(id) else { return false };
        let (class, restricted) = (user.class, user.restrictions.search > now);
        if restricted {
            self.tell(id, "You may not search now.");
            return false;
        }
        if !self.may_use_hub(id) {
            return false;
        }
        let pattern = what.rsplit(|byte| *byte == b'?').next().unwrap_or_default();
        let least = usize::try_from(self.settings.min_search_chars).unwrap_or(0);
        if class < Class::Vip && pattern.len() < least {
            self.tell(id, &format!("Search for at least {least} characters."));
            return false;
        }
        true
    }

    /// The short form is passed on as the long one, which every client understands.
    pub(super) fn on_search_tth(&mut self, id: ConnId, who: Searcher<'_>, tth: &[u8]) {
        let what = [b"F?T?0?9?TTH:", tth].concat();
        let message = match who {
            Searcher::Active(address) => [b"$Search ", address, b" ", &what].concat(),
            Searcher::Passive(nick) => [b"$Search Hub:", nick, b" ", &what].concat(),
        };
        self.on_search(id, who, &what, &message);
    }

    pub(super) fn on_result(&mut self, id: ConnId, from: &[u8], result: &[u8], to: &[u8], message: &[u8]) {
        if !self.is_logged_in(id) || self.is_flood(id, Kind::Result) {
            return;
        }
        let Some(other) = self.online_user(to).and_then(|user| user.connection()) else { return };
        let args = [Value::text(from), Value::text(message)];
        if self.raise_for(id, Hook::OnParsedMsgSR, &args).blocked {
            return;
        }
        let most = self.settings.max_passive_sr;
        if let Some(connection) = self.connections.get_mut(other) {
            connection.results += 1;
            if most > 0 && connection.results > most {
                return;
            }
        }
        self.send_to(other, &[b"$SR ", result, b"|"]);
    }

    /// The user that another wants to connect to.
    fn partner(&mut self, id: ConnId, nick: &[u8]) -> Option<(UserId, ConnId)> {
        let user = self.online(nick)?;
        let class = self.user_of(id)?.class.number();
        let other = self.users.get(user)?;
        let (other_class, connection) = (other.class.number(), other.connection());
        if self.user_of(id)?.restrictions.ctm > self.clock.seconds {
            self.tell(id, "You may not download now.");
            return None;
        }
        if !self.may_use_hub(id) {
            return None;
        }
        if class + self.settings.classdif_download < other_class {
            let text = format!("You may not download from {}.", self.readable(nick));
            self.tell(id, &text);
            return None;
        }
        connection.filter(|other| *other != id).map(|other| (user, other))
    }

    pub(super) fn on_connect_to_me(&mut self, id: ConnId, nick: &[u8], address: &[u8]) {
        if !self.is_logged_in(id) || self.is_flood(id, Kind::Connect) {
            return;
        }
        let Some((_, other)) = self.partner(id, nick) else { return };
        let Some(address) = Address::parse(address) else {
            return self.tell(id, "Your client wants a connection to an address that is none.");
        };
        let (Some(own), Some(ip)) = (self.nick_of(id), self.real_ip(id, address.ip)) else { return };
        let args = [&*own, nick, address.ip, address.port].map(Value::text);
        if self.raise_for(id, Hook::OnParsedMsgConnectToMe, &args).blocked {
            return;
        }
        // Who is asked for NAT traversal has to know by whom.
        let own: &[&[u8]] = if address.port.contains(&b'N') { &[b" ", &own] } else { &[] };
        let request: [&[u8]; 6] = [b"$ConnectToMe ", nick, b" ", &ip, b":", address.port];
        self.send_to(other, &[&request, own, &[&b"|"[..]]].concat());
    }

    pub(super) fn on_rev_connect_to_me(&mut self, id: ConnId, nick: &[u8], other_nick: &[u8]) {
        if !self.is_logged_in(id) || self.is_flood(id, Kind::Connect) {
            return;
        }
        let Some((_, other)) = self.partner(id, other_nick) else { return };
        let args = [nick, other_nick].map(Value::text);
        if self.raise_for(id, Hook::OnParsedMsgRevConnectToMe, &args).blocked {
            return;
        }
        self.send_to(other, &[b"$RevConnectToMe ", nick, b" ", other_nick, b"|"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_port_and_little_more() {
        let address = Address::parse(b"1.2.3.4:412S").unwrap();
        assert_eq!((address.ip, address.port), (&b"1.2.3.4"[..], &b"412S"[..]));
        assert_eq!(Address::parse(b"[::1]:1").unwrap().ip, b"[::1]");
        assert!(Address::parse(b"1.2.3.4:412NS").is_some());
        for wrong in [
            &b"1.2.3.4"[..],
            b"1.2.3.4:0",
            b"1.2.3.4:70000",
            b"1.2.3.4:1$Quit",
            b":412",
            b"x:",
            b"1.2.3.4:412NS me",
        ] {
            assert!(Address::parse(wrong).is_none(), "{}", wrong.escape_ascii());
        }
    }
}
