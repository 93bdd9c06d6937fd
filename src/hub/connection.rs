//! One client's connection: how far its login is, what it has sent in part, what waits for it;
//! what its messages mean is left to others.

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;

use super::background::Lookup;
use super::ids::{ConnId, UserId};
use super::output::{Broadcast, Kept, Queue};
use super::places::Place;
use super::tls::TlsStream;

/// What a connection's bytes go to.
pub enum Link {
    /// A client's socket.
    Tcp(TcpStream),
    /// A client's socket with TLS.
    Tls(Box<TlsStream>),
    /// Nowhere: for benchmarks and tests without sockets. Counts the bytes; keeps them if
    /// there is a place for them.
    Sink {
        /// How many bytes there were.
        bytes: u64,
        /// The bytes.
        kept: Option<Vec<u8>>,
    },
}

impl std::io::Write for &mut Link {
    fn write(&mut self, data: &[u8]) -> std::io::Result<usize> {
        self.write_vectored(&[std::io::IoSlice::new(data)])
    }

    fn write_vectored(&mut self, data: &[std::io::IoSlice<'_>]) -> std::io::Result<usize> {
        match self {
            Link::Tcp(stream) => stream.write_vectored(data),
            Link::Tls(stream) => stream.write_vectored(data),
            Link::Sink { bytes, kept } => {
                let count = data.iter().map(|part| part.len()).sum();
                *bytes += count as u64;
                if let Some(kept) = kept {
                    data.iter().for_each(|part| kept.extend_from_slice(part));
                }
                Ok(count)
            }
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Link {
    /// Reads what has come, as far as there is room.
    pub fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Link::Tcp(stream) => stream.read(buffer),
            Link::Tls(stream) => stream.read(buffer),
            Link::Sink { .. } => Err(std::io::ErrorKind::WouldBlock.into()),
        }
    }

    /// The socket, if there is one.
    pub fn socket(&mut self) -> Option<&mut TcpStream> {
        match self {
            Link::Tcp(stream) => Some(stream),
            Link::Tls(stream) => Some(stream.socket()),
            Link::Sink { .. } => None,
        }
    }

    /// Whether the client has not been sent all that was written.
    fn has_waiting(&self) -> bool {
        matches!(self, Link::Tls(stream) if stream.has_waiting())
    }

    /// Sends what was written. True when nothing is left.
    fn flush(&mut self) -> std::io::Result<bool> {
        match self {
            Link::Tls(stream) => stream.flush(),
            Link::Tcp(_) | Link::Sink { .. } => Ok(true),
        }
    }

    /// Says that nothing more comes.
    pub fn end(&mut self) -> std::io::Result<()> {
        match self {
            Link::Tcp(stream) => stream.shutdown(std::net::Shutdown::Write),
            Link::Tls(stream) => stream.end(),
            Link::Sink { .. } => Ok(()),
        }
    }
}

/// Why a connection was closed; the number is `vh.eCR_…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the constants")]
pub enum CloseReason {
    Default = 0,
    InvalidUser = 1,
    Kicked = 2,
    ForceMove = 3,
    Quit = 4,
    HubLoad = 5,
    Timeout = 6,
    ToAnyAction = 7,
    UserLimit = 8,
    ShareLimit = 9,
    TagNone = 10,
    TagInvalid = 11,
    Password = 12,
    LoginErr = 13,
    Syntax = 14,
    InvalidKey = 15,
    Reconnect = 16,
    Clone = 17,
    Myself = 18,
    BadNick = 19,
    NoRedir = 20,
    Plugin = 21,
}

impl CloseReason {
    const ALL: [CloseReason; 22] = [
        CloseReason::Default,
        CloseReason::InvalidUser,
        CloseReason::Kicked,
        CloseReason::ForceMove,
        CloseReason::Quit,
        CloseReason::HubLoad,
        CloseReason::Timeout,
        CloseReason::ToAnyAction,
        CloseReason::UserLimit,
        CloseReason::ShareLimit,
        CloseReason::TagNone,
        CloseReason::TagInvalid,
        CloseReason::Password,
        CloseReason::LoginErr,
        CloseReason::Syntax,
        CloseReason::InvalidKey,
        CloseReason::Reconnect,
        CloseReason::Clone,
        CloseReason::Myself,
        CloseReason::BadNick,
        CloseReason::NoRedir,
        CloseReason::Plugin,
    ];

    /// The reason with this number; a script's own number is [`CloseReason::Default`].
    pub fn from_number(number: i64) -> CloseReason {
        let at = usize::try_from(number).ok();
        at.and_then(|at| CloseReason::ALL.get(at)).copied().unwrap_or(CloseReason::Default)
    }
}

/// The protocol extensions of a client, one bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Supports(u32);

macro_rules! supports {
    ($( $constant:ident $bit:literal $name:literal $answer:literal; )*) => {
        impl Supports {
            $( #[doc = concat!("`", $name, "`")] pub const $constant: Supports = Supports(1 << $bit); )*

            /// Each extension's bit and name, and what the hub answers to it.
            const TABLE: &[(Supports, &'static [u8], &'static str)] =
                &[ $( (Supports::$constant, $name.as_bytes(), $answer), )* ];
        }
    };
}

// Only what the hub keeps: an extension that it does not act upon is not announced.
supports! {
    NO_HELLO 0 "NoHello" "NoHello";
    NO_GET_INFO 1 "NoGetINFO" "NoGetINFO";
    USER_IP2 2 "UserIP2" "UserIP2";
    HUB_TOPIC 3 "HubTopic" "HubTopic";
    BOT_LIST 4 "BotList" "BotList";
    TTHS 5 "TTHS" "TTHS";
    MC_TO 6 "MCTo" "MCTo";
    EXT_JSON2 7 "ExtJSON2" "ExtJSON2";
    BOT_INFO 8 "BotINFO" "HubINFO";
    HUB_URL 9 "HubURL" "HubURL";
    TTH_SEARCH 10 "TTHSearch" "TTHSearch";
    FAIL_OVER 13 "FailOver" "FailOver";
    TLS 14 "TLS" "TLS";
    NICK_RULE 15 "NickRule" "NickRule";
    QUICK_LIST 17 "QuickList" "";
    USER_COMMAND 18 "UserCommand" "";
}

impl Supports {
    /// Reads a client's list, and gives with it what the hub answers: those of the client's
    /// extensions that the hub has too.
    pub fn parse(list: &[u8], ext_json: bool) -> (Supports, String) {
        let (mut found, mut answer) = (Supports::default(), String::new());
        for name in list.split(|byte| *byte == b' ') {
            let Some((bit, _, reply)) = Supports::TABLE.iter().find(|(_, known, _)| *known == name) else {
                continue;
            };
            let refused = *bit == Supports::EXT_JSON2 && !ext_json;
            if !found.has(*bit) && !reply.is_empty() && !refused {
                answer.push_str(reply);
                answer.push(' ');
            }
            found.0 |= bit.0;
        }
        (found, answer)
    }

    /// Whether the client has this extension.
    pub fn has(self, which: Supports) -> bool {
        self.0 & which.0 != 0
    }
}

/// How far a login is. Steps come in this order; some may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// The proxy that has connected is to tell for whom.
    Proxy,
    /// The hub has sent its `$Lock`.
    Connected,
    /// The client has sent its `$Key`.
    Key,
    /// The nick is good, and a password is asked for.
    Password,
    /// The nick is the client's own.
    Nick,
    /// The user is in the list.
    LoggedIn,
}

/// What a connection waits for, while its messages wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pause {
    /// The password is being checked.
    Password,
    /// The host name is being looked up, because bans go by it.
    HostName,
}

/// Whether a connection is still listened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is.
    Open,
    /// It is to be closed: nothing is read any more.
    Closing(CloseReason),
    /// The user is gone; what waits for the client is still sent until then.
    Lingering(Instant),
}

/// How often messages of a kind came lately.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter {
    /// When the counting began, in seconds since the epoch.
    pub since: i64,
    /// How many there were since.
    pub count: i64,
}

/// How many kinds of messages are counted.
pub const COUNTERS: usize = 7;

/// One client.
pub struct Connection {
    /// Where bytes go.
    pub link: Link,
    /// The client's address; a script may have changed it.
    pub ip: IpAddr,
    /// The address as text.
    pub ip_text: Rc<[u8]>,
    /// The client's port.
    pub port: u16,
    /// The hub's port.
    pub server_port: u16,
    /// The host name, once it was looked up; empty when there is none.
    pub host: Option<String>,
    /// Goes with the connection; who works for it on another thread can tell by it.
    pub alive: Arc<()>,
    /// What came of a message that is not complete.
    pub input: Kept,
    /// What waits to be sent.
    pub queue: Queue,
    /// Since when the socket takes no more.
    pub blocked: Option<Instant>,
    /// Whether it is listened to.
    pub state: State,
    /// Whether its messages wait.
    pub pause: Option<Pause>,
    /// How far the login is.
    pub stage: Stage,
    /// By when the login must have gone on; `None` while it waits for the hub.
    pub deadline: Option<Instant>,
    /// When the login went on last.
    pub since: Instant,
    /// What it takes of its network's share, until it is logged in.
    pub place: Option<Place>,
    /// Whether nothing more comes from it: the client has closed its side, or has to go at once.
    pub hung_up: bool,
    /// The lock that was sent.
    pub lock: Vec<u8>,
    /// The client's extensions; `None` before it has told.
    pub supports: Option<Supports>,
    /// Who it is.
    pub user: Option<UserId>,
    /// Whether it asked for the user list.
    pub wants_list: bool,
    /// Whether its list of users waits until there is room for it.
    pub list_is_late: bool,
    /// The address by which it found the hub.
    pub hub_url: Vec<u8>,
    /// Whether it has introduced itself as a pinger.
    pub bot_info: bool,
    /// The nick that it says as to another client.
    pub my_nick: Vec<u8>,
    /// How many messages came lately.
    pub counters: [Counter; COUNTERS],
    /// When it wrote in the main chat last.
    pub last_chat: Option<Instant>,
    /// The hash of its last private message, and how often it came again.
    pub last_pm: (u64, i64),
    /// How many results its last search had by way of the hub.
    pub results: i64,
}

impl Connection {
    /// What finds its host name; `id` is its own.
    pub fn lookup(&self, id: ConnId) -> Lookup {
        Lookup { id, ip: self.ip, alive: Arc::downgrade(&self.alive) }
    }

    /// A connection that has sent nothing yet.
    pub fn new(link: Link, peer: SocketAddr, server_port: u16, input: Kept) -> Connection {
        // An IPv4 address that came over IPv6 is shown as what it is.
        let ip = peer.ip().to_canonical();
        Connection {
            link,
            ip,
            ip_text: ip.to_string().into_bytes().into(),
            port: peer.port(),
            server_port,
            host: None,
            alive: Arc::default(),
            input,
            queue: Queue::default(),
            blocked: None,
            state: State::Open,
            pause: None,
            stage: Stage::Connected,
            deadline: None,
            since: Instant::now(),
            place: None,
            hung_up: false,
            lock: Vec::new(),
            supports: None,
            user: None,
            wants_list: false,
            list_is_late: false,
            hub_url: Vec::new(),
            bot_info: false,
            my_nick: Vec::new(),
            counters: [Counter::default(); COUNTERS],
            last_chat: None,
            last_pm: (0, 0),
            results: 0,
        }
    }

    /// Takes another address for the client's.
    pub fn set_peer(&mut self, peer: SocketAddr) {
        self.ip = peer.ip().to_canonical();
        self.ip_text = self.ip.to_string().into_bytes().into();
        self.port = peer.port();
    }

    /// Whether something waits to be sent.
    pub fn has_unsent(&self, broadcast: &Broadcast) -> bool {
        self.queue.len(broadcast) > 0 || self.link.has_waiting()
    }

    /// Sends what waits, as far as the client takes it. True when nothing is left.
    pub fn send(&mut self, broadcast: &Broadcast) -> std::io::Result<bool> {
        Ok(self.queue.write(broadcast, &mut self.link)? && self.link.flush()?)
    }

    /// Whether its messages are listened to.
    pub fn is_open(&self) -> bool {
        self.state == State::Open
    }

    /// Whether it is there to hear whether its password is right.
    pub fn waits_for_password(&self) -> bool {
        self.is_open() && self.pause == Some(Pause::Password)
    }

    /// Whether the client has this extension.
    pub fn has(&self, which: Supports) -> bool {
        self.supports.is_some_and(|supports| supports.has(which))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_what_both_have() {
        let (supports, answer) = Supports::parse(b"NoHello UserIP2 Nonsense BotINFO NoHello ExtJSON2", true);
        assert_eq!(answer, "NoHello UserIP2 HubINFO ExtJSON2 ");
        assert!(supports.has(Supports::USER_IP2) && !supports.has(Supports::MC_TO));
        assert_eq!(Supports::parse(b"ExtJSON2", false).1, "");
    }

    #[test]
    fn reasons_have_their_numbers() {
        for (number, reason) in CloseReason::ALL.into_iter().enumerate() {
            assert_eq!(CloseReason::from_number(number as i64), reason);
            assert_eq!(reason as usize, number);
        }
        assert_eq!(CloseReason::from_number(99), CloseReason::Default);
    }
}
