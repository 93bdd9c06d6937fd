//! Reads and writes the messages of the NMDC protocol; what they lead to is left to the hub.
//!
//! Messages end with `|` and most begin with `$Command`; all else is chat. Nothing here
//! allocates to read a message: the parts point into it.
//!
//! # Characters with a meaning
//!
//! A `|` ends a message, so a text that comes from a script must not hold one:
//! [`chat_text`] writes it as `&#124;`, which clients show as `|`. A `$` begins a command only
//! at the start of a message. Chat starts with `<nick>`, so a `$` in a text is left as it is,
//! as clients show it and as users' own messages have it. NUL ends a text in many clients and
//! is left out. A nick is more delicate, since it stands in front: [`shown_nick`] replaces what
//! no nick may hold. In encodings such as GBK the second byte of a character can be `|`; on the
//! wire it would end the message all the same, so it is escaped too.

use std::borrow::Cow;

/// What a client sent.
#[derive(Debug, PartialEq)]
#[allow(missing_docs, reason = "the fields are named as in the protocol's documents")]
pub enum Message<'a> {
    /// Nothing: a sign of life.
    Empty,
    Chat {
        nick: &'a [u8],
        text: &'a [u8],
    },
    /// A private message.
    To {
        to: &'a [u8],
        from: &'a [u8],
        /// The nick that stands in front of the text, which is what the receiver sees.
        shown: &'a [u8],
        text: &'a [u8],
    },
    /// Main chat that one user sees.
    McTo {
        to: &'a [u8],
        from: &'a [u8],
        text: &'a [u8],
    },
    Supports(&'a [u8]),
    Key(&'a [u8]),
    ValidateNick(&'a [u8]),
    MyPass(&'a [u8]),
    Version(&'a [u8]),
    GetNickList,
    GetInfo {
        other: &'a [u8],
        nick: &'a [u8],
    },
    MyInfo(MyInfo<'a>),
    /// What is searched, and who: an address, or `Hub:nick`.
    Search {
        who: Searcher<'a>,
        what: &'a [u8],
    },
    /// A search for a tree hash, in the short form of `TTHS`.
    SearchTth {
        who: Searcher<'a>,
        tth: &'a [u8],
    },
    /// A result: the whole of it without the last part, which is the nick it is for.
    SearchResult {
        from: &'a [u8],
        result: &'a [u8],
        to: &'a [u8],
    },
    /// `address` is `ip:port` with what NAT traversal and TLS put behind it; `from` is the
    /// sender's own nick, where their client gives it.
    ConnectToMe {
        nick: &'a [u8],
        address: &'a [u8],
        from: Option<&'a [u8]>,
    },
    RevConnectToMe {
        nick: &'a [u8],
        other: &'a [u8],
    },
    UserIp(&'a [u8]),
    Kick(&'a [u8]),
    Close(&'a [u8]),
    OpForceMove {
        who: &'a [u8],
        to: &'a [u8],
        reason: &'a [u8],
    },
    BotInfo(&'a [u8]),
    MyHubUrl(&'a [u8]),
    ExtJson {
        nick: &'a [u8],
        json: &'a [u8],
    },
    GetTopic,
    SetTopic(&'a [u8]),
    Quit,
    /// Not from a client of the hub: from one that was told to connect to it as to a client.
    MyNick(&'a [u8]),
    Lock(&'a [u8]),
    /// A command that the hub does not know.
    Unknown,
    /// A command that the hub knows, but not in this form.
    Malformed,
}

impl<'a> Message<'a> {
    /// Every nick by which the message says who sends it. All must be the sender's own before
    /// anything is done with it. `$ValidateNick` and `$MyNick` come from somebody without one.
    pub fn claims(&self) -> [Option<&'a [u8]>; 2] {
        match *self {
            Message::To { from, shown, .. } => [Some(from), Some(shown)],
            Message::Chat { nick, .. }
            | Message::McTo { from: nick, .. }
            | Message::MyInfo(MyInfo { nick, .. })
            | Message::Search { who: Searcher::Passive(nick), .. }
            | Message::SearchTth { who: Searcher::Passive(nick), .. }
            | Message::SearchResult { from: nick, .. }
            | Message::RevConnectToMe { nick, .. }
            | Message::GetInfo { nick, .. }
            | Message::ExtJson { nick, .. } => [Some(nick), None],
            Message::ConnectToMe { from, .. } => [from, None],
            Message::Empty
            | Message::Supports(_)
            | Message::Key(_)
            | Message::ValidateNick(_)
            | Message::MyPass(_)
            | Message::Version(_)
            | Message::GetNickList
            | Message::Search { who: Searcher::Active(_), .. }
            | Message::SearchTth { who: Searcher::Active(_), .. }
            | Message::UserIp(_)
            | Message::Kick(_)
            | Message::Close(_)
            | Message::OpForceMove { .. }
            | Message::BotInfo(_)
            | Message::MyHubUrl(_)
            | Message::GetTopic
            | Message::SetTopic(_)
            | Message::Quit
            | Message::MyNick(_)
            | Message::Lock(_)
            | Message::Unknown
            | Message::Malformed => [None, None],
        }
    }
}

/// Who searches.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Searcher<'a> {
    /// An active user: results go there directly.
    Active(&'a [u8]),
    /// A passive user: results come by way of the hub.
    Passive(&'a [u8]),
}

/// What a user tells about themselves.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MyInfo<'a> {
    /// Whose it is.
    pub nick: &'a [u8],
    /// The description, without the tag.
    pub desc: &'a [u8],
    /// `<client V:…,M:A,H:…,S:…>`, or nothing.
    pub tag: &'a [u8],
    /// The connection's speed and the status byte.
    pub speed: &'a [u8],
    /// The e-mail address.
    pub mail: &'a [u8],
    /// The size of what is shared, in decimal.
    pub size: &'a [u8],
}

impl<'a> MyInfo<'a> {
    /// Parses what follows `$MyINFO $ALL `.
    pub fn parse(text: &'a [u8]) -> Option<MyInfo<'a>> {
        let (nick, rest) = split(text, b' ')?;
        let (description, rest) = split(rest, b'$')?;
        let (_mode, rest) = split(rest, b'$')?;
        let (speed, rest) = split(rest, b'$')?;
        let (mail, rest) = split(rest, b'$')?;
        let size = rest.strip_suffix(b"$").unwrap_or(rest);
        if nick.is_empty() || size.contains(&b'$') {
            return None;
        }
        let (desc, tag) = split_tag(description);
        Some(MyInfo { nick, desc, tag, speed, mail, size })
    }

    /// The whole message, with its `|`.
    pub fn message(&self) -> Vec<u8> {
        let parts: [&[u8]; 12] = [
            b"$MyINFO $ALL ",
            self.nick,
            b" ",
            self.desc,
            self.tag,
            b"$ $",
            self.speed,
            b"$",
            self.mail,
            b"$",
            self.size,
            b"$|",
        ];
        parts.concat()
    }

    /// The five parts that scripts see after the nick.
    pub fn parts(&self) -> [&'a [u8]; 5] {
        [self.desc, self.tag, self.speed, self.mail, self.size]
    }
}

/// A description and the tag at its end.
pub fn split_tag(description: &[u8]) -> (&[u8], &[u8]) {
    if description.ends_with(b">")
        && let Some(at) = description.iter().rposition(|byte| *byte == b'<')
    {
        return description.split_at(at);
    }
    (description, b"")
}

/// Takes a message apart; it comes without its `|`.
pub fn parse(message: &[u8]) -> Message<'_> {
    match message.first() {
        None => Message::Empty,
        Some(b'<') => parse_chat(message).unwrap_or(Message::Malformed),
        Some(b'$') => {
            let (command, rest) = split(message, b' ').unwrap_or((message, b""));
            parse_command(command, rest).unwrap_or(Message::Malformed)
        }
        Some(_) => Message::Unknown,
    }
}

fn parse_chat(message: &[u8]) -> Option<Message<'_>> {
    let (nick, text) = split(message.get(1..)?, b'>')?;
    Some(Message::Chat { nick, text: text.strip_prefix(b" ").unwrap_or(text) })
}

/// `None` when a known command has the wrong form.
fn parse_command<'a>(command: &'a [u8], rest: &'a [u8]) -> Option<Message<'a>> {
    Some(match command {
        b"$To:" => {
            let (to, rest) = split_at_text(rest, b" From: ")?;
            let (from, rest) = split_at_text(rest, b" $<")?;
            let (shown, text) = split(rest, b'>')?;
            Message::To { to, from, shown, text: text.strip_prefix(b" ").unwrap_or(text) }
        }
        b"$MCTo:" => {
            let (to, rest) = split_at_text(rest, b" $")?;
            let (from, text) = split(rest, b' ')?;
            let from = from.strip_prefix(b"<").and_then(|from| from.strip_suffix(b">")).unwrap_or(from);
            Message::McTo { to, from, text }
        }
        b"$MyINFO" => Message::MyInfo(MyInfo::parse(rest.strip_prefix(b"$ALL ")?)?),
        b"$Search" => {
            let (who, what) = split(rest, b' ')?;
            Message::Search { who: searcher(who)?, what }
        }
        b"$SA" => {
            let (tth, who) = split(rest, b' ')?;
            Message::SearchTth { who: Searcher::Active(some(who)?), tth }
        }
        b"$SP" => {
            let (tth, who) = split(rest, b' ')?;
            Message::SearchTth { who: Searcher::Passive(some(who)?), tth }
        }
        b"$SR" => {
            let at = rest.iter().rposition(|byte| *byte == 5)?;
            let (result, to) = (rest.get(..at)?, rest.get(at + 1..)?);
            let (from, _) = split(result, b' ')?;
            Message::SearchResult { from, result, to: some(to)? }
        }
        b"$ConnectToMe" | b"$MultiConnectToMe" => {
            let (nick, rest) = split(rest, b' ')?;
            // A client may put its own nick in between, or behind it for NAT traversal.
            let (address, from) = match split(rest, b' ') {
                None => (rest, None),
                Some((address, from)) if is_nat_traversal(address) => (address, Some(from)),
                Some((from, address)) => (address, Some(from)),
            };
            Message::ConnectToMe { nick: some(nick)?, address: some(address)?, from }
        }
        b"$RevConnectToMe" => {
            let (nick, other) = split(rest, b' ')?;
            Message::RevConnectToMe { nick: some(nick)?, other: some(other)? }
        }
        b"$GetINFO" => {
            let (other, nick) = split(rest, b' ')?;
            Message::GetInfo { other: some(other)?, nick: some(nick)? }
        }
        b"$Supports" => Message::Supports(rest),
        b"$Key" => Message::Key(rest),
        b"$ValidateNick" => Message::ValidateNick(rest),
        b"$MyPass" => Message::MyPass(rest),
        b"$Version" => Message::Version(rest),
        b"$GetNickList" => Message::GetNickList,
        b"$UserIP" => Message::UserIp(rest),
        b"$Kick" => Message::Kick(some(rest)?),
        b"$Close" => Message::Close(some(rest)?),
        b"$OpForceMove" => {
            let rest = rest.strip_prefix(b"$Who:")?;
            let (who, rest) = split_at_text(rest, b"$Where:")?;
            let (to, reason) = split_at_text(rest, b"$Msg:")?;
            Message::OpForceMove { who: some(who)?, to: some(to)?, reason }
        }
        b"$BotINFO" => Message::BotInfo(rest),
        b"$MyHubURL" => Message::MyHubUrl(rest),
        b"$ExtJSON" => {
            let (nick, json) = split(rest, b' ')?;
            Message::ExtJson { nick: some(nick)?, json }
        }
        b"$GetTopic" => Message::GetTopic,
        b"$SetTopic" => Message::SetTopic(rest),
        b"$Quit" => Message::Quit,
        b"$MyNick" => Message::MyNick(rest),
        b"$Lock" => Message::Lock(rest),
        _ => Message::Unknown,
    })
}

fn searcher(who: &[u8]) -> Option<Searcher<'_>> {
    match who.strip_prefix(b"Hub:") {
        Some(nick) => Some(Searcher::Passive(some(nick)?)),
        None if who.contains(&b':') => Some(Searcher::Active(who)),
        None => None,
    }
}

/// `ip:portN` or `ip:portNS`.
fn is_nat_traversal(address: &[u8]) -> bool {
    let address = address.strip_suffix(b"S").unwrap_or(address);
    address.strip_suffix(b"N").and_then(<[u8]>::last).is_some_and(u8::is_ascii_digit)
        && address.contains(&b':')
}

fn some(text: &[u8]) -> Option<&[u8]> {
    (!text.is_empty()).then_some(text)
}

/// What is before and after the first such byte.
pub fn split(text: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let at = text.iter().position(|byte| *byte == at)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

fn split_at_text<'a>(text: &'a [u8], at: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let start = super::text::find(text, at)?;
    Some((text.get(..start)?, text.get(start + at.len()..)?))
}

/// The answer to a lock.
pub fn lock_to_key(lock: &[u8]) -> Vec<u8> {
    let (Some(first), Some(last)) = (lock.first(), lock.last()) else { return Vec::new() };
    let before_last = lock.len().checked_sub(2).and_then(|at| lock.get(at)).unwrap_or(last);
    let mixed = std::iter::once(first ^ last ^ before_last ^ 5)
        .chain(lock.iter().zip(lock.iter().skip(1)).map(|(before, this)| before ^ this));
    let mut key = Vec::with_capacity(lock.len() + 16);
    for byte in mixed {
        match byte.rotate_left(4) {
            byte @ (0 | 5 | 36 | 96 | 124 | 126) => {
                key.extend_from_slice(format!("/%DCN{byte:03}%/").as_bytes());
            }
            byte => key.push(byte),
        }
    }
    key
}

/// A text of a script as it can stand in chat: see the module's page. One `|` at the end, which
/// many scripts put there, is taken for the end of the message.
pub fn chat_text(text: &[u8]) -> Cow<'_, [u8]> {
    let text = text.strip_suffix(b"|").unwrap_or(text);
    if !text.iter().any(|byte| matches!(byte, b'|' | 0)) {
        return Cow::Borrowed(text);
    }
    let mut out = Vec::with_capacity(text.len() + 16);
    for byte in text {
        match byte {
            b'|' => out.extend_from_slice(b"&#124;"),
            0 => {}
            byte => out.push(*byte),
        }
    }
    Cow::Owned(out)
}

/// A nick of a script as it can stand in front of a text: what no nick may hold becomes `_`.
pub fn shown_nick(nick: &[u8]) -> Cow<'_, [u8]> {
    if nick_is_clean(nick) {
        return Cow::Borrowed(nick);
    }
    let bad = |byte: &u8| if is_bad_in_nick(*byte) { b'_' } else { *byte };
    Cow::Owned(if nick.is_empty() { b"_".to_vec() } else { nick.iter().map(bad).collect() })
}

/// A part of a message such as `$MyINFO`, in which `$` separates: it and `|` become `_`.
pub fn field(text: &[u8]) -> Cow<'_, [u8]> {
    let bad = |byte: &u8| matches!(byte, b'$' | b'|' | 0);
    if !text.iter().any(bad) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.iter().map(|byte| if bad(byte) { b'_' } else { *byte }).collect())
}

fn is_bad_in_nick(byte: u8) -> bool {
    matches!(byte, b' ' | b'$' | b'|' | b'<' | b'>' | b'\r' | b'\n' | 0)
}

/// Whether a nick holds no character that the protocol gives a meaning.
pub fn nick_is_clean(nick: &[u8]) -> bool {
    !nick.is_empty() && !nick.iter().any(|byte| is_bad_in_nick(*byte))
}

/// Raw protocol data, with a `|` at its end.
pub fn with_end(data: &[u8]) -> Cow<'_, [u8]> {
    if data.ends_with(b"|") { Cow::Borrowed(data) } else { Cow::Owned([data, b"|"].concat()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn messages_are_taken_apart() {
        let cases: &[(&[u8], Message<'_>)] = &[
            (b"", Message::Empty),
            (b"<me> hello $ you", Message::Chat { nick: b"me", text: b"hello $ you" }),
            (
                b"$To: you From: me $<me> hi",
                Message::To { to: b"you", from: b"me", shown: b"me", text: b"hi" },
            ),
            (b"$MCTo: you $me hi all", Message::McTo { to: b"you", from: b"me", text: b"hi all" }),
            (
                b"$Search 1.2.3.4:412 F?T?0?1?linux$iso",
                Message::Search { who: Searcher::Active(b"1.2.3.4:412"), what: b"F?T?0?1?linux$iso" },
            ),
            (
                b"$Search Hub:me F?T?0?9?TTH:ABC",
                Message::Search { who: Searcher::Passive(b"me"), what: b"F?T?0?9?TTH:ABC" },
            ),
            (b"$SP ABC me", Message::SearchTth { who: Searcher::Passive(b"me"), tth: b"ABC" }),
            (
                b"$SR me a\\b.iso\x05700 1/2\x05TTH:ABC (1.2.3.4:411)\x05you",
                Message::SearchResult {
                    from: b"me",
                    result: b"me a\\b.iso\x05700 1/2\x05TTH:ABC (1.2.3.4:411)",
                    to: b"you",
                },
            ),
            (
                b"$ConnectToMe you 1.2.3.4:412S",
                Message::ConnectToMe { nick: b"you", address: b"1.2.3.4:412S", from: None },
            ),
            (
                b"$ConnectToMe you me 1.2.3.4:412",
                Message::ConnectToMe { nick: b"you", address: b"1.2.3.4:412", from: Some(b"me") },
            ),
            (
                b"$ConnectToMe you 1.2.3.4:412NS me",
                Message::ConnectToMe { nick: b"you", address: b"1.2.3.4:412NS", from: Some(b"me") },
            ),
            (
                b"$OpForceMove $Who:you$Where:hub.example$Msg:bye",
                Message::OpForceMove { who: b"you", to: b"hub.example", reason: b"bye" },
            ),
            (b"$GetNickList", Message::GetNickList),
            (b"$Nonsense x", Message::Unknown),
            (b"nonsense", Message::Unknown),
            (b"$To: you", Message::Malformed),
            (b"$SR x", Message::Malformed),
            (b"<me", Message::Malformed),
        ];
        for (message, expected) in cases {
            assert_eq!(&parse(message), expected, "{}", message.escape_ascii());
        }
    }

    #[test]
    fn my_info_has_six_parts() {
        let text: &[u8] = b"$MyINFO $ALL me hello there<ncdc V:1,M:A,H:1/0/0,S:3>$ $50\x01$me@x$123$";
        let Message::MyInfo(info) = parse(text) else { panic!("not understood") };
        assert_eq!(info.desc, b"hello there");
        assert_eq!(info.tag, b"<ncdc V:1,M:A,H:1/0/0,S:3>");
        assert_eq!((info.speed, info.mail, info.size), (&b"50\x01"[..], &b"me@x"[..], &b"123"[..]));
        assert_eq!(info.message(), [text, b"|"].concat());
        assert_eq!(MyInfo::parse(b"me $ $\x01$$0$").unwrap().size, b"0");
        assert_eq!(MyInfo::parse(b"me x$ $\x01$0"), None);
    }

    #[test]
    fn keys_are_those_that_clients_compute() {
        assert_eq!(lock_to_key(b"1234567890ABCDEF"), {
            let mut expected = vec![0x73];
            for byte in [3u8, 1, 7, 1, 3, 1, 0xf, 1, 9, 0x71, 3, 1, 7, 1, 3] {
                match byte.rotate_left(4) {
                    byte @ (0 | 5 | 36 | 96 | 124 | 126) => {
                        expected.extend(format!("/%DCN{byte:03}%/").bytes());
                    }
                    byte => expected.push(byte),
                }
            }
            expected
        });
        assert!(lock_to_key(b"").is_empty());
        lock_to_key(b"x");
    }

    #[test]
    fn a_text_cannot_end_its_message() {
        assert_eq!(&*chat_text(b"a|$Quit b|"), b"a&#124;$Quit b");
        assert_eq!(&*chat_text(b"a\0b"), b"ab");
        assert_eq!(&*shown_nick(b"a> <|b"), b"a____b");
        assert_eq!(&*shown_nick(b""), b"_");
        assert_eq!(&*field(b"a$b|c"), b"a_b_c");
        assert_eq!(&*with_end(b"x"), b"x|");
    }

    proptest! {
        #[test]
        fn nothing_a_client_sends_is_too_much(message in proptest::collection::vec(any::<u8>(), 0..300)) {
            parse(&message);
            lock_to_key(&message);
        }

        #[test]
        fn commands_in_any_form_are_taken(
            command in "(To:|MCTo:|MyINFO|Search|SA|SP|SR|ConnectToMe|RevConnectToMe|GetINFO|OpForceMove|ExtJSON|Kick)",
            rest in "[ $<>:A-Za-z0-9?\\x05]{0,60}",
        ) {
            parse(format!("${command} {rest}").as_bytes());
            parse(format!("${command}{rest}").as_bytes());
        }

        #[test]
        fn chat_is_one_message_whatever_it_says(text in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(!chat_text(&text).contains(&b'|'));
            prop_assert!(nick_is_clean(&shown_nick(&text)));
        }
    }
}
