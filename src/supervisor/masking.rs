//! What a recording shows of a value: passwords and private texts are masked, addresses get
//! pseudonyms, by what the tables say of each argument ([`Privacy`]).
//!
//! What is hidden is rather too much than too little: a message of the protocol that is not known to
//! be public is not shown, nor is any text of a query about accounts.

#[cfg(feature = "hub")]
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use encoding_rs::Encoding;
use plugin_abi::{CallSpec, HookSpec, Privacy, Value};

use crate::encoding;

/// What stands for a private text.
const PRIVATE: &str = "[private]";
/// What stands for a password.
const SECRET: &str = "[secret]";

/// Commands whose name has one of these in it carry passwords.
const COMMANDS_WITH_SECRETS: [&str; 9] =
    ["pass", "pwd", "reg", "login", "auth", "identify", "secret", "token", "key"];
/// Commands whose name has one of these in it carry messages.
const COMMANDS_WITH_MESSAGES: [&str; 8] =
    ["msg", "pm", "mail", "whisper", "tell", "offline", "private", "note"];
/// What is a command with a password even where its prefix was forgotten.
const TYPED_WITHOUT_PREFIX: [&str; 6] = ["passwd", "password", "regpass", "regpasswd", "identify", "login"];
/// What follows such a word of a command is a password.
const NAMES_OF_SECRETS: [&str; 6] = ["pass", "pwd", "secret", "token", "key", "salt"];
/// Queries with one of these in it are about accounts.
const QUERIES_WITH_SECRETS: [&str; 5] = ["reglist", "pass", "pwd", "secret", "token"];
/// Queries with one of these in it are about messages, or have addresses as numbers.
const QUERIES_WITH_MESSAGES: [&str; 8] =
    ["offline", "message", "msg", "mail", "privat", "range_fr", "range_to", "inet"];
/// Messages of the protocol of which all may be shown; passwords and texts to few are in none.
const PUBLIC_MESSAGES: [&str; 33] = [
    "$Version",
    "$ValidateNick",
    "$MyINFO",
    "$Search",
    "$SA",
    "$SP",
    "$GetNickList",
    "$GetINFO",
    "$ConnectToMe",
    "$RevConnectToMe",
    "$Supports",
    "$Key",
    "$Lock",
    "$Hello",
    "$Quit",
    "$HubName",
    "$HubTopic",
    "$NickList",
    "$OpList",
    "$BotList",
    "$UserIP",
    "$ForceMove",
    "$ExtJSON",
    "$MyHubURL",
    "$BotINFO",
    "$HubINFO",
    "$Kick",
    "$Close",
    "$ValidateDenide",
    "$LogedIn",
    "$BadPass",
    "$GetPass",
    "$HubIsFull",
];

/// How many addresses of a kind get a pseudonym of their own.
const MOST_PSEUDONYMS: u32 = 1 << 17;

/// Makes values fit to be shown, one recording long.
pub(crate) struct Masker {
    encoding: &'static Encoding,
    pseudonyms: Pseudonyms,
    hidden: bool,
}

/// Addresses and what they are called.
enum Pseudonyms {
    /// By the order in which they came.
    Given { addresses: HashMap<IpAddr, IpAddr>, hosts: HashMap<String, u32> },
    /// They are pseudonyms already.
    #[cfg_attr(not(any(test, feature = "hub")), expect(dead_code, reason = "for vhpy replay alone"))]
    AsTheyAre,
}

impl Masker {
    /// For values of a hub with this encoding.
    pub(crate) fn new(encoding: &'static Encoding) -> Masker {
        let pseudonyms = Pseudonyms::Given { addresses: HashMap::new(), hosts: HashMap::new() };
        Masker { encoding, pseudonyms, hidden: false }
    }

    /// For values of a recording, which come out as they are there.
    #[cfg(any(test, feature = "hub"))]
    pub(crate) fn of_recording(encoding: &'static Encoding) -> Masker {
        Masker { encoding, pseudonyms: Pseudonyms::AsTheyAre, hidden: false }
    }

    /// Whether anything was hidden since it was last asked.
    pub(crate) fn take_hidden(&mut self) -> bool {
        std::mem::take(&mut self.hidden)
    }

    /// The arguments of an event. Texts are UTF-8 in all that comes out.
    pub(crate) fn event(&mut self, spec: &HookSpec, args: &[Value<'_>]) -> Value<'static> {
        let privacy = |at: usize| spec.args.get(at).map_or(Privacy::Private, |arg| arg.privacy);
        self.row(args, privacy).0
    }

    /// The arguments of a call, in the host's order, and its answer.
    pub(crate) fn call(
        &mut self,
        spec: &CallSpec,
        args: &[Value<'_>],
        answer: &Value<'_>,
    ) -> (Value<'static>, Value<'static>) {
        let privacy = |at: usize| {
            let param = spec.host_order.get(at).and_then(|&place| spec.params.get(usize::from(place)));
            param.map_or(Privacy::Private, |param| param.privacy)
        };
        let (args, beside) = self.row(args, privacy);
        let answer = self.value(settled(spec.privacy, beside), answer);
        (args, answer)
    }

    /// One value.
    pub(crate) fn value(&mut self, privacy: Privacy, value: &Value<'_>) -> Value<'static> {
        match value {
            Value::Text(text) | Value::Bytes(text) => Value::from(self.text(privacy, text)),
            Value::List(list) => Value::List(list.iter().map(|item| self.value(privacy, item)).collect()),
            Value::Map(map) => {
                Value::Map(map.iter().map(|(key, item)| (self.key(key), self.value(privacy, item))).collect())
            }
            Value::Float(_) if matches!(privacy, Privacy::Private | Privacy::Secret) => {
                self.hidden = true;
                Value::Float(0.0)
            }
            other => other.clone().into_owned(),
        }
    }

    /// A name or text that is nobody's.
    pub(crate) fn public(&mut self, text: &[u8]) -> String {
        self.text(Privacy::Public, text)
    }

    fn key(&mut self, key: &Value<'_>) -> Value<'static> {
        match key {
            Value::Text(text) => Value::from(self.public(text)),
            other => other.clone().into_owned(),
        }
    }

    /// The values of a row, and what those beside them make of a variable's value or a query's answer.
    fn row(
        &mut self,
        args: &[Value<'_>],
        privacy: impl Fn(usize) -> Privacy,
    ) -> (Value<'static>, Option<Privacy>) {
        let mut beside = None;
        for (at, value) in args.iter().enumerate() {
            let Some(text) = value.as_text() else { continue };
            let text = self.decoded(text).to_lowercase();
            beside = beside.max_by_secrecy(match privacy(at) {
                Privacy::Query => of_query(&text),
                Privacy::Public if has_any(&text, &NAMES_OF_SECRETS) => Some(Privacy::Secret),
                _ => None,
            });
        }
        let shown = args.iter().enumerate().map(|(at, value)| {
            let privacy = match privacy(at) {
                Privacy::Setting => settled(Privacy::Setting, beside),
                other => other,
            };
            self.value(privacy, value)
        });
        (Value::List(shown.collect()), beside)
    }

    fn decoded(&mut self, text: &[u8]) -> String {
        let mut decoded = String::new();
        encoding::decode(self.encoding, text, &mut decoded);
        // What is no text in the encoding is lost.
        self.hidden |= decoded.contains('\u{fffd}');
        decoded
    }

    fn text(&mut self, privacy: Privacy, text: &[u8]) -> String {
        let text = self.decoded(text);
        match privacy {
            Privacy::Private => self.mask(&text, PRIVATE),
            Privacy::Secret => self.mask(&text, SECRET),
            Privacy::Address => self.address(&text),
            Privacy::Command => self.lines(&text, |masker, line| masker.command(line, true)),
            Privacy::Raw => self.messages(&text, false),
            Privacy::RawToOne => self.messages(&text, true),
            Privacy::Query => self.query(&text),
            Privacy::Public | Privacy::Setting => {
                self.lines(&text, |masker, line| masker.command(line, false))
            }
        }
    }

    /// An empty text tells nothing.
    fn mask(&mut self, text: &str, mask: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        self.hidden = true;
        mask.into()
    }

    fn lines(&mut self, text: &str, each: impl Fn(&mut Masker, &str) -> String) -> String {
        text.split_inclusive(['\r', '\n'])
            .map(|line| {
                let bare = line.trim_end_matches(['\r', '\n']);
                each(self, bare) + line.get(bare.len()..).unwrap_or_default()
            })
            .collect()
    }

    /// A line that is a command, or looks like one: passwords and messages are masked in it.
    fn command(&mut self, line: &str, is_command: bool) -> String {
        let bare = line.trim_start();
        let name = bare.trim_start_matches(|letter: char| !letter.is_alphanumeric());
        let has_prefix = name.len() < bare.len();
        let start = line.len() - name.len();
        let length = name.find(char::is_whitespace).unwrap_or(name.len());
        let (head, rest) = line.split_at(start + length);
        let name = line.get(start..start + length).unwrap_or_default();
        let lower = name.to_lowercase();
        let mask = if is_command || has_prefix {
            if has_any(&lower, &COMMANDS_WITH_SECRETS) {
                Some(SECRET)
            } else {
                has_any(&lower, &COMMANDS_WITH_MESSAGES).then_some(PRIVATE)
            }
        } else {
            TYPED_WITHOUT_PREFIX.contains(&&*lower).then_some(SECRET)
        };
        match mask {
            Some(mask) if !rest.trim().is_empty() => {
                self.hidden = true;
                self.addresses_in(head) + " " + mask
            }
            _ if is_command || has_prefix => self.addresses_in(head) + &self.after_names_of_secrets(rest),
            _ => self.addresses_in(line),
        }
    }

    /// `!set hub_password x`: what follows the name is masked.
    fn after_names_of_secrets(&mut self, rest: &str) -> String {
        let mut at = 0;
        for word in rest.split_inclusive(char::is_whitespace) {
            let name = word.split(['=', ':']).next().unwrap_or_default().trim_end();
            let (head, after) = rest.split_at(at + name.len());
            if has_any(&name.to_lowercase(), &NAMES_OF_SECRETS) && !after.trim().is_empty() {
                self.hidden = true;
                return self.addresses_in(head) + " " + SECRET;
            }
            at += word.len();
        }
        self.addresses_in(rest)
    }

    // -------------------------------------------------------------------- the protocol

    fn messages(&mut self, text: &str, to_one: bool) -> String {
        text.split_inclusive('|')
            .map(|message| match message.strip_suffix('|') {
                Some(bare) => self.message(bare, to_one) + "|",
                None => self.message(message, to_one),
            })
            .collect()
    }

    fn message(&mut self, message: &str, to_one: bool) -> String {
        if message.is_empty() {
            return String::new();
        }
        if let Some((name, text)) = message.split_once("> ")
            && message.starts_with('<')
        {
            let text = match to_one {
                true => self.mask(text, PRIVATE),
                false => self.lines(text, |masker, line| masker.command(line, false)),
            };
            return format!("{name}> {text}");
        }
        let (word, rest) = message.split_once(' ').unwrap_or((message, ""));
        if word == "$MyPass" {
            return format!("{word} {}", self.mask(rest, SECRET));
        }
        if PUBLIC_MESSAGES.contains(&word) {
            return self.addresses_in(message);
        }
        // To whom it is may be known; what is said there is not.
        if word == "$To:"
            && let Some((head, text)) = message.split_once("> ")
        {
            return format!("{head}> {}", self.mask(text, PRIVATE));
        }
        if word.starts_with('$') {
            format!("{word} {}", self.mask(rest, PRIVATE))
        } else {
            self.mask(message, PRIVATE)
        }
    }

    // ------------------------------------------------------------------------- queries

    /// A query about accounts keeps none of its texts; where one ends is nothing to rely on.
    fn query(&mut self, query: &str) -> String {
        let mask = match of_query(&query.to_lowercase()) {
            Some(Privacy::Secret) => SECRET,
            Some(_) => PRIVATE,
            None => return self.addresses_in(query),
        };
        let is_quote = |letter: char| letter == '\'' || letter == '"';
        let shown = match (query.find(is_quote), query.rfind(is_quote)) {
            (Some(first), Some(last)) => {
                self.hidden = true;
                // One that is open goes on to the end.
                let after = if last > first { query.get(last + 1..).unwrap_or_default() } else { "" };
                format!("{}{mask}{after}", query.get(..first).unwrap_or_default())
            }
            _ => query.to_string(),
        };
        // Texts are also written in hexadecimal digits.
        let words = shown.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric());
        let shown: String = words
            .map(|word| {
                let bare = word.trim_end_matches(|letter: char| !letter.is_ascii_alphanumeric());
                let is_text =
                    bare.len() > 2 && bare.get(..2).is_some_and(|two| two.eq_ignore_ascii_case("0x"));
                self.hidden |= is_text;
                if is_text {
                    mask.to_string() + word.get(bare.len()..).unwrap_or_default()
                } else {
                    word.into()
                }
            })
            .collect();
        self.addresses_in(&shown)
    }

    // ----------------------------------------------------------------------- addresses

    fn address(&mut self, text: &str) -> String {
        let shown = self.addresses_in(text);
        if shown != text || text.trim().is_empty() || has_address(text) {
            return shown;
        }
        match &mut self.pseudonyms {
            Pseudonyms::AsTheyAre => text.into(),
            Pseudonyms::Given { hosts, .. } => {
                self.hidden = true;
                let next = u32::try_from(hosts.len()).unwrap_or(MOST_PSEUDONYMS).min(MOST_PSEUDONYMS) + 1;
                let number = match hosts.get(text) {
                    Some(known) => *known,
                    None if next > MOST_PSEUDONYMS => next,
                    None => *hosts.entry(text.into()).or_insert(next),
                };
                format!("host-{number}.invalid")
            }
        }
    }

    /// Any text with pseudonyms in the place of addresses.
    fn addresses_in(&mut self, text: &str) -> String {
        let mut shown = String::with_capacity(text.len());
        let mut from = 0;
        for (start, end, address) in addresses(text) {
            shown.push_str(text.get(from..start).unwrap_or_default());
            shown.push_str(&self.pseudonym(address, text.get(start..end).unwrap_or_default()));
            from = end;
        }
        shown.push_str(text.get(from..).unwrap_or_default());
        shown
    }

    fn pseudonym(&mut self, address: IpAddr, written: &str) -> String {
        let Pseudonyms::Given { addresses, .. } = &mut self.pseudonyms else { return written.into() };
        self.hidden = true;
        // A network that is kept for measuring, and one for documentation: nobody's.
        let number = u32::try_from(addresses.len()).unwrap_or(MOST_PSEUDONYMS) + 1;
        let number = number.min(MOST_PSEUDONYMS - 1);
        let next = match address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 18, 0, 0)) + number)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(0x2001_0db8_u128 << 96 | u128::from(number))),
        };
        if addresses.len() < MOST_PSEUDONYMS as usize {
            return addresses.entry(address).or_insert(next).to_string();
        }
        addresses.get(&address).copied().unwrap_or(next).to_string()
    }
}

/// Of two, the one that hides more.
trait Secrecy {
    fn max_by_secrecy(self, other: Option<Privacy>) -> Option<Privacy>;
}

impl Secrecy for Option<Privacy> {
    fn max_by_secrecy(self, other: Option<Privacy>) -> Option<Privacy> {
        match (self, other) {
            (Some(Privacy::Secret), _) | (_, Some(Privacy::Secret)) => Some(Privacy::Secret),
            (one, other) => one.or(other),
        }
    }
}

/// What a value is, that depends on what stands beside it.
fn settled(privacy: Privacy, beside: Option<Privacy>) -> Privacy {
    match privacy {
        Privacy::Setting | Privacy::Query => beside.unwrap_or(Privacy::Public),
        other => other,
    }
}

/// What the texts of a query are, and its answer; the query is in lower case.
fn of_query(query: &str) -> Option<Privacy> {
    if has_any(query, &QUERIES_WITH_SECRETS) {
        return Some(Privacy::Secret);
    }
    has_any(query, &QUERIES_WITH_MESSAGES).then_some(Privacy::Private)
}

fn has_any(text: &str, words: &[&str]) -> bool {
    words.iter().any(|word| text.contains(word))
}

fn has_address(text: &str) -> bool {
    addresses(text).next().is_some()
}

/// The addresses in a text: where each begins and ends.
fn addresses(text: &str) -> impl Iterator<Item = (usize, usize, IpAddr)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        while from < text.len() {
            let start = from;
            let (end, found) = match address_at(text, start) {
                Some((end, address)) => (end, Some((start, end, address))),
                None => (after_word(text, start), None),
            };
            from = end;
            if found.is_some() {
                return found;
            }
        }
        None
    })
}

/// The end of the word or other character that begins there.
fn after_word(text: &str, start: usize) -> usize {
    let rest = text.get(start..).unwrap_or_default();
    let word = rest.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(rest.len());
    start + word.max(rest.chars().next().map_or(1, char::len_utf8))
}

/// The address that begins exactly there.
fn address_at(text: &str, start: usize) -> Option<(usize, IpAddr)> {
    let rest = text.get(start..)?;
    let run = |allowed: fn(u8) -> bool| {
        let length = rest.bytes().position(|byte| !allowed(byte)).unwrap_or(rest.len());
        rest.get(..length).unwrap_or_default()
    };
    let long = run(|byte| byte.is_ascii_hexdigit() || byte == b':' || byte == b'.');
    let six = long.trim_end_matches('.');
    for six in [six, six.strip_suffix(':').unwrap_or(six)] {
        let follows = rest.as_bytes().get(six.len()).is_some_and(u8::is_ascii_alphanumeric);
        if let Ok(address) = six.parse::<Ipv6Addr>()
            && !address.is_unspecified()
            && !follows
        {
            return Some((start + six.len(), IpAddr::V6(address)));
        }
    }
    ipv4_at(rest).map(|(length, address)| (start + length, IpAddr::V4(address)))
}

/// Four numbers with dots between, the first of which begins there; zeros may stand before each.
fn ipv4_at(rest: &str) -> Option<(usize, Ipv4Addr)> {
    let mut bytes = [0; 4];
    let mut at = 0;
    for (place, byte) in bytes.iter_mut().enumerate() {
        if place > 0 {
            rest.get(at..)?.starts_with('.').then_some(())?;
            at += 1;
        }
        let digits = rest.get(at..)?.bytes().take_while(u8::is_ascii_digit).count();
        *byte = rest.get(at..at + digits).filter(|digits| digits.len() <= 3)?.parse().ok()?;
        at += digits;
    }
    let follows = rest.as_bytes().get(at).is_some_and(u8::is_ascii_alphanumeric);
    (!follows).then(|| (at, Ipv4Addr::from(bytes)))
}

/// Text of a recording in the hub's encoding.
#[cfg(feature = "hub")]
pub(crate) fn encoded(encoding: &'static Encoding, value: Value<'static>) -> Value<'static> {
    let text = |text: &[u8]| match encoding::encode(encoding, &String::from_utf8_lossy(text)) {
        Cow::Borrowed(bytes) => bytes.to_vec(),
        Cow::Owned(bytes) => bytes,
    };
    match value {
        Value::Text(bytes) => Value::from(text(&bytes)),
        Value::List(list) => Value::List(list.into_iter().map(|item| encoded(encoding, item)).collect()),
        Value::Map(map) => Value::Map(
            map.into_iter().map(|(key, item)| (encoded(encoding, key), encoded(encoding, item))).collect(),
        ),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_abi::{Call, Hook};

    fn masker() -> Masker {
        Masker::new(encoding_rs::UTF_8)
    }

    fn shown(privacy: Privacy, text: &str) -> String {
        masker().text(privacy, text.as_bytes())
    }

    #[test]
    fn passwords_and_messages_are_in_no_form_of_a_text() {
        use Privacy::{Command, Private, Public, Query, Raw, RawToOne, Secret};
        let cases = [
            (Secret, "hunter2", "[secret]"),
            (Private, "psst", "[private]"),
            (Private, "", ""),
            (Public, "hello everybody", "hello everybody"),
            (Public, "+passwd hunter2", "+passwd [secret]"),
            (Public, "  !regnew bob 3 hunter2", "  !regnew [secret]"),
            (Public, "passwd hunter2", "passwd [secret]"),
            (Public, "hi\n+passwd hunter2\nbye", "hi\n+passwd [secret]\nbye"),
            (Public, "+stats", "+stats"),
            (Public, "the password is lost", "the password is lost"),
            (Command, "passwd hunter2", "passwd [secret]"),
            (Command, "regpass bob hunter2", "regpass [secret]"),
            (Command, "PASSWD hunter2", "PASSWD [secret]"),
            (Command, "!set hub_password hunter2", "!set hub_password [secret]"),
            (Command, "!set pass=hunter2 x", "!set pass [secret]"),
            (Command, "pm bob psst", "pm [private]"),
            (Command, "quiz paris", "quiz paris"),
            (Command, "!kick bob spam", "!kick bob spam"),
            (Raw, "$MyPass hunter2|", "$MyPass [secret]|"),
            (Raw, "$mypass hunter2|", "$mypass [private]|"),
            (Raw, "$To: bob From: ann $<ann> psst|", "$To: bob From: ann $<ann> [private]|"),
            (Raw, "$MCTo: bob From: ann $<ann> psst|", "$MCTo: [private]|"),
            (Raw, "<ann> hello|", "<ann> hello|"),
            (Raw, "<ann> +passwd hunter2|", "<ann> +passwd [secret]|"),
            (Raw, "$Hello ann|$MyPass hunter2|", "$Hello ann|$MyPass [secret]|"),
            (Raw, "$SR ann secret/file.txt\u{5}1 1/1", "$SR [private]"),
            (Raw, "hunter2", "[private]"),
            (RawToOne, "<bot> your password is hunter2|", "<bot> [private]|"),
            (
                Query,
                "select class from reglist where nick='ann'",
                "select class from reglist where nick=[secret]",
            ),
            (
                Query,
                "insert into reglist values ('ann', 'hunter2', 'a\\'b', \"c\")",
                "insert into reglist values ([secret])",
            ),
            (Query, "update reglist set login_pwd=0x68756e74", "update reglist set login_pwd=[secret]"),
            (Query, "select 1 from reglist where nick='hunter2", "select 1 from reglist where nick=[secret]"),
            (Query, "insert into offline_pm values ('psst')", "insert into offline_pm values ([private])"),
            (Query, "select score from quiz where nick='ann'", "select score from quiz where nick='ann'"),
        ];
        for (privacy, text, wanted) in cases {
            assert_eq!(shown(privacy, text), wanted, "{privacy:?} {text:?}");
            let again = Masker::of_recording(encoding_rs::UTF_8).text(privacy, wanted.as_bytes());
            assert_eq!(again, wanted, "what is masked stays as it is: {privacy:?} {text:?}");
        }
    }

    #[test]
    fn an_address_has_one_pseudonym_wherever_it_stands() {
        let mut masker = masker();
        let mut shown = |privacy, text: &str| masker.text(privacy, text.as_bytes());
        assert_eq!(shown(Privacy::Address, "10.1.2.3"), "198.18.0.1");
        assert_eq!(
            shown(Privacy::Public, "from 10.1.2.3, 010.001.002.003 and 10.1.2.4."),
            "from 198.18.0.1, 198.18.0.1 and 198.18.0.2."
        );
        assert_eq!(shown(Privacy::Raw, "$ConnectToMe bob 10.1.2.4:412|"), "$ConnectToMe bob 198.18.0.2:412|");
        assert_eq!(shown(Privacy::Address, "10.1.2.3..10.1.2.4"), "198.18.0.1..198.18.0.2");
        assert_eq!(shown(Privacy::Command, "!banip 10.1.2.4 spam"), "!banip 198.18.0.2 spam");
        assert_eq!(shown(Privacy::Address, "fe80::1"), "2001:db8::3");
        assert_eq!(shown(Privacy::Public, "[fe80::1]:411"), "[2001:db8::3]:411");
        assert_eq!(shown(Privacy::Address, "ann.example.org"), "host-1.invalid");
        assert_eq!(shown(Privacy::Address, "bob.example.org"), "host-2.invalid");
        assert_eq!(shown(Privacy::Address, "ann.example.org"), "host-1.invalid");
        assert_eq!(shown(Privacy::Address, ""), "");
        for plain in ["at 12:30:45", "version 1.2.3", "std::string", "1234.1.1.1", "1.2.3.4567", "привет"]
        {
            assert_eq!(shown(Privacy::Public, plain), plain);
        }
        assert!(masker.take_hidden());
        assert!(!masker.take_hidden());
    }

    #[test]
    fn what_stands_beside_a_value_says_what_it_is() {
        let set = |variable: &str| {
            let args = ["ann", "config", variable, "new", "old"].map(Value::from);
            masker().event(Hook::OnSetConfig.spec(), &args)
        };
        let texts = |texts: [&'static str; 5]| texts.into_iter().collect::<Value<'_>>();
        assert_eq!(set("hub_name"), texts(["ann", "config", "hub_name", "new", "old"]));
        assert_eq!(
            set("opchat_password"),
            texts(["ann", "config", "opchat_password", "[secret]", "[secret]"])
        );
        let rows = Value::List(vec![Value::Int(1), Value::List(vec![["ann"].into_iter().collect()])]);
        let answer = |query: &str| masker().call(Call::SQL.spec(), &[query.into(), Value::Int(1)], &rows).1;
        assert_eq!(answer("select nick from quiz"), rows);
        let hidden = Value::List(vec![Value::Int(1), Value::List(vec![["[secret]"].into_iter().collect()])]);
        assert_eq!(answer("select * from RegList"), hidden);
    }

    #[test]
    fn texts_of_other_encodings_are_looked_into() {
        let mut masker = Masker::new(encoding_rs::GBK);
        // The second byte of this character is `|` in ASCII.
        let text = encoding::encode(encoding_rs::GBK, "$MyPass 倈hunter2").into_owned();
        assert!(text.contains(&b'|'));
        assert_eq!(masker.text(Privacy::Raw, &text), "$MyPass [secret]");
        assert_eq!(masker.text(Privacy::Public, b"\xc4\xe3"), "你");
        masker.take_hidden();
        assert_eq!(masker.text(Privacy::Public, b"\xff"), "\u{fffd}");
        assert!(masker.take_hidden(), "what is lost is said");
    }
}
