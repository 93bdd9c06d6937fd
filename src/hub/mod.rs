//! The embedded hub: an NMDC hub that real clients use. It hands its events to the supervisor.
//!
//! A [`Hub`] is everything about users, chat and state, and knows no sockets' readiness: it is
//! told that bytes came ([`Hub::message`]) and that a turn is over ([`Hub::end_turn`]). The
//! [`Server`] is the loop around it: one thread on epoll, with the sockets, the supervisor's
//! descriptor, signals and timers. For a benchmark or a test without sockets, use
//! [`Hub::connect_sink`] and drive the hub yourself:
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use vhpy::hub::{Hub, Options};
//! let mut hub = Hub::open(Options::new("/tmp/data"))?;
//! let somebody = hub.connect_sink("10.0.0.1:5000".parse()?, true);
//! hub.message(somebody, b"$Key x|$ValidateNick me|$MyINFO $ALL me $ $\x01$$0$|");
//! hub.end_turn();
//! hub.message(somebody, b"<me> hello|");
//! hub.end_turn();
//! println!("{:?}", hub.sink(somebody));
//! # Ok(())
//! # }
//! ```
//!
//! # Events within events
//!
//! A hook's script may call the hub, which may close the very connection that the hub is
//! working for. So nothing is borrowed across an event: connections and users go by
//! [`ConnId`] and [`UserId`], which are looked up again after it. A connection that is closed
//! is only marked; at the end of the turn its user leaves ([`turn`](self)).
//!
//! # Modules
//!
//! - `server`: the loop; `turn`: what a turn does; `timers`: what happens later; `options`: how a hub is started
//! - `arriving`, `input`, `leaving`: connections, from their first byte to their last
//! - `lists`, `connection`, `output`: what clients see, a client's connection, what waits to be sent; `delivery`: to whom
//! - `protocol`, `text`: messages, encodings
//! - `networks`, `proxy`, `places`, `descriptors`: whose connections there are, and how many
//! - `login`, `admission`, `password_login`, `entering`: the way in; `passwords`: whose password is checked next
//! - `nicks`: which nicks can be told apart
//! - `my_info`, `chat`, `search`, `operators`: what clients' messages lead to
//! - `user`: users and their list; `ids`, `slots`: what they are called; `flood`: how much they may send
//! - `commands`: what is typed after `!` and `+`; `accounts`, `moderation`: what it leads to
//! - `settings`, `configuration`: the variables and what a change leads to
//! - `data_folder`, `database`, `banlist`, `sql`: what is kept; `bans`: what a ban is
//! - `upkeep`: what is done to the data from outside of the hub
//! - `findings`: what `vhpy check` says of scripts that are loaded
//! - `background`: passwords and host names; `geoip`: places
//! - `menus`: scripts' commands in clients' menus; `meter`: what is counted for metrics
//! - `functions`: what scripts may call, the trait [`Host`](crate::supervisor::Host)

mod accounts;
mod admission;
mod arriving;
mod audit;
mod background;
mod backup;
mod banlist;
mod bans;
mod chat;
mod class;
mod commands;
mod configuration;
mod connection;
mod data_folder;
mod database;
mod delivery;
mod descriptors;
mod entering;
mod findings;
mod flood;
mod functions;
mod geoip;
mod history;
mod ids;
mod input;
mod leaving;
mod lists;
mod login;
mod menus;
mod meter;
mod moderation;
mod my_info;
mod networks;
mod nicks;
mod operators;
mod options;
mod output;
mod password_login;
mod passwords;
mod pattern;
mod places;
mod protocol;
mod proxy;
mod search;
mod server;
mod service;
mod settings;
mod slots;
mod sql;
mod stage;
mod stored_configuration;
mod test_control;
mod text;
mod timers;
mod tls;
mod turn;
mod upkeep;
mod user;

use std::collections::{HashMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};

use plugin_abi::{Hook, Value};

use crate::supervisor::{LoadError, Loaded, Supervisor, Ticket, Verdict};
use background::{Background, Lookup};
pub use backup::{BackupError, Contents, Restored, backup, check as check_backup, restore};
pub use class::Class;
pub use connection::CloseReason;
use connection::Connection;
pub use data_folder::DatabaseError;
use database::Database;
pub use descriptors::raise_limit;
use geoip::GeoIp;
use ids::OfConnections;
pub use ids::{ConnId, UserId};
pub use options::{HubError, Options};
use output::Broadcast;
pub use protocol::lock_to_key;
pub use server::{Server, ServerError};
pub use service::ServiceManager;
pub use settings::{Kind, Setting, Settings, settings};
use slots::Slots;
pub use stage::{JoinError, Sight, Stage};
pub use stored_configuration::{StoredConfiguration, StoredConfigurationError, Variable};
pub use text::Charset;
pub use tls::{Acceptor, Identity, TlsError};
pub use upkeep::{Accounts, UpkeepError};
use user::{User, UserList};

/// What the hub calls itself to clients.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A hub. Everything happens on the thread that calls its methods; none of them waits for a
/// client, and only scripts' hooks take noticeable time.
pub struct Hub {
    /// Shared with nobody but the call that is being made, which may change the rest of the hub.
    scripts: Rc<Supervisor>,
    options: Options,
    settings: Settings,
    charset: Charset,
    database: Database,
    /// The database as scripts have it.
    sql: sql::Sql,
    geoip: GeoIp,
    connections: Slots<Connection, OfConnections>,
    users: UserList,
    bot: Option<UserId>,
    opchat: Option<UserId>,
    broadcast: Broadcast,
    /// Whether anything waits to be sent.
    unsent: bool,
    closing: VecDeque<ConnId>,
    /// Who is sent the list of users as soon as there is room for it.
    late_lists: VecDeque<ConnId>,
    /// The accounts of those who left in this turn.
    logouts: Vec<Vec<u8>>,
    /// Those that still have something to take.
    lingering: Vec<ConnId>,
    timers: timers::Timers,
    clock: Clock,
    /// By how much a test has put the clock forward.
    ahead: Duration,
    /// Whether a test steers the hub: see [`test_control`].
    is_tested: bool,
    frequency: timers::Frequency,
    passwords: passwords::Passwords,
    /// Connections that have not logged in, by where they come from.
    places: places::Places,
    host_names: Background<Lookup, (ConnId, Option<String>)>,
    findings: Background<findings::Unread, findings::Read>,
    temporary_bans: HashMap<networks::Network, moderation::TemporaryBan>,
    script_commands: VecDeque<[Vec<u8>; 4]>,
    /// Who waits for the answer to a command about scripts.
    askers: HashMap<Ticket, commands::Asker>,
    /// The scripts of the start: what has become of them, or nothing yet.
    first_scripts: HashMap<Ticket, Option<Result<Loaded, LoadError>>>,
    /// What scripts call themselves, and their versions, by their paths.
    script_names: HashMap<Vec<u8>, [Vec<u8>; 2]>,
    /// Set while scripts are asked about a bot's message, so that their own do not ask again.
    in_bot_message: bool,
    stop: Option<i64>,
    /// What the first start made: a nick and its password.
    first_account: Option<(String, String)>,
    started: i64,
    /// What is counted, if anybody can read it.
    meter: Option<Box<meter::Meter>>,
    /// Scripts' commands in clients' menus.
    menus: menus::Menus,
    /// What was said last.
    history: history::History,
}

/// What time it is in this turn.
#[derive(Clone, Copy, Debug)]
struct Clock {
    instant: Instant,
    /// Seconds since the epoch.
    seconds: i64,
}

impl Clock {
    /// The time, put forward.
    fn now(ahead: Duration) -> Clock {
        let seconds = since_epoch(ahead).as_secs();
        Clock { instant: Instant::now() + ahead, seconds: i64::try_from(seconds).unwrap_or(0) }
    }
}

/// The time since the epoch, put forward; zero before it.
fn since_epoch(ahead: Duration) -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default() + ahead
}

impl Hub {
    /// The scripts.
    pub fn supervisor(&self) -> Rc<Supervisor> {
        Rc::clone(&self.scripts)
    }

    /// The configuration that holds now.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Nick and password of the master account, if this start made it. They are shown once.
    pub fn take_first_account(&mut self) -> Option<(String, String)> {
        self.first_account.take()
    }

    /// How many clients' users are in the list.
    pub fn users_count(&self) -> usize {
        self.users.listed_clients()
    }

    /// The exit code that a script or operator asked for, once the hub is to stop.
    pub fn stop_code(&self) -> Option<i64> {
        self.stop
    }

    /// Asks the scripts. Nothing of the hub may be borrowed: they may change all of it.
    fn raise(&mut self, hook: Hook, args: &[Value<'_>]) -> Verdict {
        if !self.scripts.wants(hook) {
            return Verdict::default();
        }
        let scripts = Rc::clone(&self.scripts);
        scripts.event(self, hook, args)
    }

    /// Asks the scripts about something that came from a connection, which gets what they send.
    fn raise_for(&mut self, id: ConnId, hook: Hook, args: &[Value<'_>]) -> Verdict {
        let verdict = self.raise(hook, args);
        for data in &verdict.send {
            self.send_to(id, &[data]);
        }
        verdict
    }

    /// Somebody in the user list.
    fn online(&self, nick: &[u8]) -> Option<UserId> {
        self.users.find(nick)
    }

    fn online_user(&self, nick: &[u8]) -> Option<&User> {
        self.users.get(self.online(nick)?)
    }

    /// The user of a connection, whether in the list or not.
    fn user_of(&self, id: ConnId) -> Option<&User> {
        self.users.get(self.connections.get(id)?.user?)
    }

    fn user_of_mut(&mut self, id: ConnId) -> Option<&mut User> {
        let user = self.connections.get(id)?.user?;
        self.users.get_mut(user)
    }

    fn nick_of(&self, id: ConnId) -> Option<Rc<[u8]>> {
        Some(Rc::clone(&self.user_of(id)?.nick))
    }

    fn ip_of(&self, id: ConnId) -> Rc<[u8]> {
        self.connections
            .get(id)
            .map_or_else(|| Rc::from(&b""[..]), |connection| Rc::clone(&connection.ip_text))
    }

    /// Text in the hub's encoding, for logs and file names.
    fn readable(&self, text: &[u8]) -> String {
        self.charset.decode(text)
    }

    /// What the database came to; an error is logged, and it is for the caller to say so to
    /// whoever waits for it.
    #[must_use = "nobody may be told of what was not stored; `noted` is for what nobody waits for"]
    fn stored<T>(&self, what: &str, result: rusqlite::Result<T>) -> Option<T> {
        result.map_err(|error| log::error!("{what}: the database says: {error}")).ok()
    }

    /// Logs the errors of what nobody waits for and nothing depends on, such as when somebody came.
    fn noted<T>(&self, what: &str, result: rusqlite::Result<T>) {
        let _ = self.stored(what, result);
    }
}
