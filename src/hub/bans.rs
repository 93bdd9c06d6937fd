//! What a ban is: by nick, address, range, host, share or prefix, and whom it keeps out. Where
//! bans are kept is in `banlist`.

use std::net::IpAddr;

use super::networks::Range;

/// What a ban goes by; the number is `vh.eBF_…` and the column `ban_type`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BanKind {
    /// The nick, and the address.
    NickIp = 0,
    /// The address.
    Ip = 1,
    /// The nick.
    Nick = 2,
    /// A range of addresses.
    Range = 3,
    /// The last part of the host name: `.example`.
    Host1 = 4,
    /// The last two parts.
    Host2 = 5,
    /// The last three parts.
    Host3 = 6,
    /// The exact share.
    Share = 7,
    /// What nicks begin with.
    Prefix = 8,
    /// The first part of the host name.
    HostR1 = 9,
}

impl BanKind {
    /// All kinds, in the order of their numbers.
    pub const ALL: [BanKind; 10] = [
        BanKind::NickIp,
        BanKind::Ip,
        BanKind::Nick,
        BanKind::Range,
        BanKind::Host1,
        BanKind::Host2,
        BanKind::Host3,
        BanKind::Share,
        BanKind::Prefix,
        BanKind::HostR1,
    ];

    /// The kind with this number.
    pub fn from_number(number: i64) -> Option<BanKind> {
        usize::try_from(number).ok().and_then(|number| BanKind::ALL.get(number)).copied()
    }

    /// What operators call what it goes by.
    pub fn word(self) -> &'static str {
        match self {
            BanKind::NickIp => "user",
            BanKind::Ip => "address",
            BanKind::Nick => "nick",
            BanKind::Range => "range",
            BanKind::Host1 | BanKind::Host2 | BanKind::Host3 | BanKind::HostR1 => "host",
            BanKind::Share => "share",
            BanKind::Prefix => "prefix",
        }
    }

    /// What stands in the column that does not say whom it is for, as in Verlihub.
    pub fn mark(self) -> &'static [u8] {
        match self {
            BanKind::NickIp => b"",
            BanKind::Ip => b"_ipban_",
            BanKind::Nick => b"_nickban_",
            BanKind::Range => b"_rangeban_",
            BanKind::Host1 => b"_host1ban_",
            BanKind::Host2 => b"_host2ban_",
            BanKind::Host3 => b"_host3ban_",
            BanKind::Share => b"_shareban_",
            BanKind::Prefix => b"_prefixban_",
            BanKind::HostR1 => b"_hostr1ban_",
        }
    }
}

/// Whom a ban is for: what is known of somebody who is online, or what an operator wrote.
#[derive(Clone, Debug, Default)]
pub struct Target {
    /// The nick; empty when unknown.
    pub nick: Vec<u8>,
    /// The address.
    pub ip: Option<IpAddr>,
    /// The addresses, for a range.
    pub range: Option<Range>,
    /// The host name; empty when unknown.
    pub host: Vec<u8>,
    /// The share in bytes.
    pub share: Option<u64>,
}

impl Target {
    /// What an operator wrote about somebody who is not online.
    pub fn written(kind: BanKind, text: &[u8]) -> Target {
        let readable = String::from_utf8_lossy(text);
        let mut target = Target::default();
        match kind {
            BanKind::NickIp => match readable.parse() {
                Ok(ip) => target.ip = Some(IpAddr::to_canonical(&ip)),
                Err(_) => target.nick = text.to_vec(),
            },
            BanKind::Nick | BanKind::Prefix => target.nick = text.to_vec(),
            BanKind::Ip => target.ip = readable.parse().ok().map(|ip: IpAddr| ip.to_canonical()),
            BanKind::Range => target.range = Range::parse(&readable),
            BanKind::Share => target.share = readable.parse().ok(),
            BanKind::Host1 | BanKind::Host2 | BanKind::Host3 | BanKind::HostR1 => target.host = text.to_vec(),
        }
        target
    }
}

/// A ban that is to be set.
#[derive(Debug)]
pub struct NewBan<'a> {
    /// What it goes by.
    pub kind: BanKind,
    /// Whom it is for.
    pub target: &'a Target,
    /// Who sets it.
    pub op: &'a [u8],
    /// Why.
    pub reason: &'a [u8],
    /// For how many seconds; 0 is for ever.
    pub seconds: i64,
    /// For operators.
    pub note_op: &'a [u8],
    /// For the user.
    pub note_usr: &'a [u8],
}

impl NewBan<'_> {
    /// Whether it keeps somebody out, as [`Database::find_ban`](super::Database::find_ban) would say once it is stored;
    /// without a query, since very many may be online.
    pub fn keeps_out(&self, who: &Target) -> bool {
        let target = self.target;
        let same_ip = || target.ip.is_some() && target.ip == who.ip;
        let same_nick = || !target.nick.is_empty() && target.nick.eq_ignore_ascii_case(&who.nick);
        match self.kind {
            BanKind::NickIp => same_ip() || same_nick(),
            BanKind::Ip => same_ip(),
            BanKind::Nick => same_nick(),
            BanKind::Range => target.range.zip(who.ip).is_some_and(|(range, ip)| range.contains(ip)),
            BanKind::Share => target.share.is_some_and(|share| share > 0 && who.share == Some(share)),
            BanKind::Prefix => {
                let start = who.nick.get(..target.nick.len());
                !target.nick.is_empty() && start.is_some_and(|start| start.eq_ignore_ascii_case(&target.nick))
            }
            BanKind::Host1 | BanKind::Host2 | BanKind::Host3 | BanKind::HostR1 => {
                let part = host_part(self.kind, &target.host);
                part.is_some() && part == host_part(self.kind, &who.host)
            }
        }
    }
}

/// A ban that holds.
#[derive(Debug, PartialEq)]
pub struct Ban {
    /// Until when, in seconds since the epoch; `None` is for ever.
    pub until: Option<i64>,
    /// Who set it.
    pub op: Vec<u8>,
    /// Why.
    pub reason: Vec<u8>,
}

/// How a host name is cut for a ban; `None` when it has too few parts.
pub fn host_part(kind: BanKind, host: &[u8]) -> Option<Vec<u8>> {
    let host = host.to_ascii_lowercase();
    let parts: Vec<&[u8]> = host.split(|byte| *byte == b'.').collect();
    let last = |count: usize| {
        let from = parts.len().checked_sub(count)?;
        Some([b".", parts.get(from..)?.join(&b'.').as_slice()].concat())
    };
    if host.is_empty() {
        return None;
    }
    match kind {
        BanKind::Host1 => last(1),
        BanKind::Host2 => last(2),
        BanKind::Host3 => last(3),
        BanKind::HostR1 => parts.first().map(|first| first.to_vec()),
        _ => None,
    }
}
