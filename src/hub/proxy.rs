//! The header by which a proxy tells for whom it connects: the PROXY protocol, in both of its
//! versions; who is trusted to send one is left to the configuration.
//!
//! See <https://www.haproxy.org/download/1.8/doc/proxy-protocol.txt>.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How the second version begins.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// How long the first version may be, with its line's end.
const LONGEST_LINE: usize = 107;

/// How long the second version may be: more than any proxy adds to the addresses.
const LONGEST_BINARY: usize = 4096;

/// What the beginning of a proxy's connection is.
#[derive(Debug, PartialEq, Eq)]
pub enum Header {
    /// Not all of it is there yet.
    Part,
    /// No header.
    Wrong,
    /// A whole one, with its length.
    Whole {
        /// How many bytes it has.
        length: usize,
        /// For whom the proxy connects; `None` is for itself.
        client: Option<SocketAddr>,
    },
}

/// Reads a header.
pub fn parse(bytes: &[u8]) -> Header {
    if bytes.starts_with(SIGNATURE) {
        parse_binary(bytes)
    } else if SIGNATURE.starts_with(bytes) || b"PROXY ".starts_with(bytes) {
        Header::Part
    } else {
        parse_line(bytes)
    }
}

fn parse_line(bytes: &[u8]) -> Header {
    let start = bytes.get(..bytes.len().min(LONGEST_LINE)).unwrap_or_default();
    let Some(end) = super::text::find(start, b"\r\n") else {
        return if bytes.starts_with(b"PROXY ") && bytes.len() < LONGEST_LINE {
            Header::Part
        } else {
            Header::Wrong
        };
    };
    let line = std::str::from_utf8(bytes.get(..end).unwrap_or_default()).unwrap_or_default();
    let mut words = line.split(' ');
    if words.next() != Some("PROXY") {
        return Header::Wrong;
    }
    let protocol = words.next().unwrap_or_default();
    let words: Vec<&str> = words.collect();
    let client = match (protocol, words.as_slice()) {
        ("UNKNOWN", _) => None,
        ("TCP4" | "TCP6", [source, _, port, _]) => {
            let (Ok(ip), Ok(port)) = (source.parse::<IpAddr>(), port.parse()) else { return Header::Wrong };
            if ip.is_ipv4() != (protocol == "TCP4") {
                return Header::Wrong;
            }
            Some(SocketAddr::new(ip, port))
        }
        _ => return Header::Wrong,
    };
    Header::Whole { length: end + 2, client }
}

fn parse_binary(bytes: &[u8]) -> Header {
    let Some((&[command, family, high, low], rest)) =
        bytes.get(SIGNATURE.len()..).and_then(|rest| rest.split_first_chunk::<4>())
    else {
        return Header::Part;
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    if command >> 4 != 2 || length > LONGEST_BINARY {
        return Header::Wrong;
    }
    let Some(addresses) = rest.get(..length) else { return Header::Part };
    let client = match (command & 15, family) {
        (0, _) => None,
        (1, 0x11) => match addresses.first_chunk::<12>() {
            Some(&[a, b, c, d, _, _, _, _, high, low, _, _]) => {
                let port = u16::from_be_bytes([high, low]);
                Some(SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), port))
            }
            None => return Header::Wrong,
        },
        (1, 0x21) => {
            let ip = addresses.first_chunk::<16>().map(|ip| Ipv6Addr::from(*ip));
            let port = addresses.get(32..34).and_then(|port| Some(u16::from_be_bytes(*port.first_chunk()?)));
            let (Some(ip), Some(port)) = (ip, port) else { return Header::Wrong };
            Some(SocketAddr::new(ip.into(), port))
        }
        // Something other than TCP: the receiver is to take the connection's own addresses.
        (1, _) => None,
        _ => return Header::Wrong,
    };
    Header::Whole { length: SIGNATURE.len() + 4 + length, client }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn whole(length: usize, client: &str) -> Header {
        Header::Whole { length, client: client.parse().ok() }
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE.as_slice(), &[command, family], &length, rest].concat()
    }

    #[test]
    fn lines_are_read() {
        let line = |text: &str| parse(text.as_bytes());
        assert_eq!(line("PROXY TCP4 192.0.2.7 10.0.0.1 5000 411\r\n$Key"), whole(40, "192.0.2.7:5000"));
        assert_eq!(line("PROXY TCP6 2001:db8::7 ::1 5000 411\r\n"), whole(37, "[2001:db8::7]:5000"));
        assert_eq!(line("PROXY UNKNOWN\r\n"), whole(15, ""));
        assert_eq!(line("PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n"), whole(35, ""));
        for part in ["", "P", "PROXY", "PROXY TCP4 192.0.2.7 10.0.0.1 5000 411\r"] {
            assert_eq!(line(part), Header::Part, "{part}");
        }
        let long = format!("PROXY {}", "x".repeat(200));
        for wrong in [
            "$Supports x|",
            "PROXX ",
            "PROXY TCP4 x 10.0.0.1 5000 411\r\n",
            "PROXY TCP4 ::1 ::1 5000 411\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 70000 411\r\n",
            "PROXY TCP4 192.0.2.7 10.0.0.1 5000\r\n",
            "PROXY UDP4 192.0.2.7 10.0.0.1 5000 411\r\n",
            "PROXY\r\n",
            &long,
        ] {
            assert_eq!(line(wrong), Header::Wrong, "{wrong}");
        }
    }

    #[test]
    fn binary_headers_are_read() {
        let four = [192, 0, 2, 7, 10, 0, 0, 1, 0x13, 0x88, 1, 155];
        assert_eq!(parse(&binary(0x21, 0x11, &four)), whole(28, "192.0.2.7:5000"));
        let mut with_more = four.to_vec();
        with_more.extend([4, 0, 1, 0]);
        assert_eq!(parse(&binary(0x21, 0x11, &with_more)), whole(32, "192.0.2.7:5000"));
        let mut six = [0; 36];
        six[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        six[15] = 7;
        six[32..34].copy_from_slice(&[0x13, 0x88]);
        assert_eq!(parse(&binary(0x21, 0x21, &six)), whole(52, "[2001:db8::7]:5000"));
        assert_eq!(parse(&binary(0x20, 0, &[])), whole(16, ""));
        assert_eq!(parse(&binary(0x21, 0x31, &[0; 216])), whole(232, ""));
        for wrong in [
            binary(0x11, 0x11, &four),
            binary(0x22, 0x11, &four),
            binary(0x21, 0x11, &four[..11]),
            binary(0x21, 0x21, &six[..33]),
            binary(0x21, 0x11, &[0; 5000]),
        ] {
            assert_eq!(parse(&wrong), Header::Wrong, "{}", wrong.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn a_header_in_pieces_is_waited_for(cut in 0..28usize) {
            let header = binary(0x21, 0x11, &[192, 0, 2, 7, 10, 0, 0, 1, 0x13, 0x88, 1, 155]);
            prop_assert_eq!(parse(&header[..cut]), Header::Part);
        }

        #[test]
        fn anything_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for start in [&b""[..], b"PROXY ", SIGNATURE] {
                parse(&[start, &bytes].concat());
            }
        }
    }
}
