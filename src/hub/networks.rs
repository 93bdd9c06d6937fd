//! Addresses as limits and bans see them: what counts as one client, ranges, lists of ranges;
//! what follows from them is left to others.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The addresses that count as one client's: an address of IPv4, or the 64 bits in front that a
/// subscriber of IPv6 is given, who may take another address behind them for every connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Network(IpAddr);

impl Network {
    /// The one that an address belongs to.
    pub fn of(ip: IpAddr) -> Network {
        Network(match ip.to_canonical() {
            IpAddr::V4(ip) => ip.into(),
            IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) >> 64 << 64).into(),
        })
    }
}

impl Network {
    /// Its first address.
    pub fn address(self) -> IpAddr {
        self.0
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(ip) => ip.fmt(f),
            IpAddr::V6(ip) => write!(f, "{ip}/64"),
        }
    }
}

/// Addresses of one kind, from the first to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    first: IpAddr,
    last: IpAddr,
}

impl Range {
    /// `1.2.3.0-1.2.3.255`, `1.2.3.0/24` or one address; the same of IPv6.
    pub fn parse(text: &str) -> Option<Range> {
        let address = |text: &str| text.trim().parse::<IpAddr>().ok().map(|ip| ip.to_canonical());
        if let Some((first, last)) = text.split_once('-') {
            let (first, last) = (address(first)?, address(last)?);
            return (first <= last && first.is_ipv4() == last.is_ipv4()).then_some(Range { first, last });
        }
        let Some((ip, bits)) = text.split_once('/') else {
            let ip = address(text)?;
            return Some(Range { first: ip, last: ip });
        };
        Range::around(address(ip)?, bits.trim().parse().ok()?)
    }

    /// All addresses that begin as this one does, for so many bits; `None` when it has fewer.
    pub fn around(ip: IpAddr, bits: u32) -> Option<Range> {
        match ip.to_canonical() {
            IpAddr::V4(ip) if bits <= 32 => {
                let hosts = u32::MAX.checked_shr(bits).unwrap_or(0);
                let (first, last) = (u32::from(ip) & !hosts, u32::from(ip) | hosts);
                Some(Range { first: Ipv4Addr::from(first).into(), last: Ipv4Addr::from(last).into() })
            }
            IpAddr::V6(ip) if bits <= 128 => {
                let hosts = u128::MAX.checked_shr(bits).unwrap_or(0);
                let (first, last) = (u128::from(ip) & !hosts, u128::from(ip) | hosts);
                Some(Range { first: Ipv6Addr::from(first).into(), last: Ipv6Addr::from(last).into() })
            }
            _ => None,
        }
    }

    /// Whether an address is one of them.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = ip.to_canonical();
        ip.is_ipv4() == self.first.is_ipv4() && (self.first..=self.last).contains(&ip)
    }

    /// The first address and the last.
    pub fn ends(&self) -> (IpAddr, IpAddr) {
        (self.first, self.last)
    }
}

/// Addresses and ranges that an operator has listed, with blanks or commas between them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses {
    text: String,
    ranges: Vec<Range>,
}

impl Addresses {
    /// Reads a list; `None` when something in it is no address and no range.
    pub fn parse(text: &str) -> Option<Addresses> {
        let words = text.split([' ', ',', '\t']).filter(|word| !word.is_empty());
        let ranges = words.map(Range::parse).collect::<Option<_>>()?;
        Some(Addresses { text: text.trim().into(), ranges })
    }

    /// The list as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether an address is listed.
    pub fn contain(&self, ip: IpAddr) -> bool {
        self.ranges.iter().any(|range| range.contains(ip))
    }
}

/// A list that is known to be one.
impl From<&str> for Addresses {
    fn from(text: &str) -> Addresses {
        Addresses::parse(text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_subscriber_is_one_network() {
        let network = |text| Network::of(ip(text));
        assert_eq!(network("2001:db8:1:2::1"), network("2001:db8:1:2:ffff::9"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_eq!(network("::ffff:1.2.3.4"), network("1.2.3.4"));
        assert_ne!(network("1.2.3.4"), network("1.2.3.5"));
        assert_eq!(network("2001:db8:1:2::1").to_string(), "2001:db8:1:2::/64");
    }

    #[test]
    fn ranges_are_written_in_three_ways() {
        let ends = |text| Range::parse(text).map(|range| range.ends());
        assert_eq!(ends("1.2.3.4"), Some((ip("1.2.3.4"), ip("1.2.3.4"))));
        assert_eq!(ends("1.2.3.4/16"), Some((ip("1.2.0.0"), ip("1.2.255.255"))));
        assert_eq!(ends("1.2.3.4/0"), Some((ip("0.0.0.0"), ip("255.255.255.255"))));
        assert_eq!(ends("1.2.3.4/32"), Some((ip("1.2.3.4"), ip("1.2.3.4"))));
        assert_eq!(ends("2001:db8::5/64"), Some((ip("2001:db8::"), ip("2001:db8::ffff:ffff:ffff:ffff"))));
        assert_eq!(ends("::/0"), Some((ip("::"), ip("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"))));
        assert_eq!(ends("2001:db8::1-2001:db8::9"), Some((ip("2001:db8::1"), ip("2001:db8::9"))));
        for wrong in
            ["1.2.3.9-1.2.3.4", "1.2.3", "x", "", "1.2.3.4/33", "1.2.3.4/-1", "::/129", "1.2.3.4-::5", "::1-"]
        {
            assert_eq!(ends(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn lists_hold_addresses_and_ranges_of_both_kinds() {
        let list = Addresses::parse("127.0.0.1, ::1 10.0.0.0/8,2001:db8::/32").unwrap();
        for inside in ["127.0.0.1", "::ffff:127.0.0.1", "::1", "10.9.8.7", "2001:db8:5::1"] {
            assert!(list.contain(ip(inside)), "{inside}");
        }
        for outside in ["127.0.0.2", "::2", "11.0.0.1", "2001:db9::1"] {
            assert!(!list.contain(ip(outside)), "{outside}");
        }
        assert!(!Addresses::parse("").unwrap().contain(ip("127.0.0.1")));
        assert_eq!(Addresses::parse("127.0.0.1 localhost"), None);
    }
}
