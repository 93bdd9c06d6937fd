//! How a hub is started: what is on the command line, what a first start makes, and what can
//! go wrong.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::background::{Background, Lookup, Wake, hash_password, random_password};
use super::class::Class;
use super::data_folder::DatabaseError;
use super::database::Database;
use super::geoip::GeoIp;
use super::output::Broadcast;
use super::passwords::Passwords;
use super::places::Places;
use super::settings::{SettingError, Settings, canonical};
use super::slots::Slots;
use super::sql::{Sql, is_of_verlihub};
use super::text::Charset;
use super::timers::{Frequency, Timers};
use super::user::UserList;
use super::{Clock, Hub};
use crate::supervisor::{self, LoadError, Loaded, Supervisor};

/// The nick of the account that the first start makes.
const FIRST_NICK: &str = "master";

/// How a hub is started.
#[derive(Clone)]
pub struct Options {
    /// Where the hub keeps its state.
    pub data: PathBuf,
    /// Where scripts are that are loaded by themselves; `None` is `scripts` in the data folder.
    pub scripts: Option<PathBuf>,
    /// Where MaxMind's files are.
    pub geoip: Option<PathBuf>,
    /// `libvh_worker.so`; `None` finds it.
    pub worker: Option<PathBuf>,
    /// Where the control socket is; `None` is `control` in the data folder, an empty path is none.
    pub control: Option<PathBuf>,
    /// The group that may use it besides its user; empty is none.
    pub control_group: String,
    /// Variables that differ from the stored ones for this run.
    pub settings: Vec<(String, Vec<u8>)>,
    /// How many files scripts may have open without a limit of their own; `None` is as many as
    /// the hub. See [`raise_limit`](super::raise_limit).
    pub script_files: Option<u64>,
    /// Where metrics can be read over HTTP.
    pub metrics: Option<SocketAddr>,
    /// Called from other threads when [`Hub::end_turn`] should be called soon.
    pub wake: Wake,
}

impl Options {
    /// All defaults, with the state in this folder.
    pub fn new(data: impl Into<PathBuf>) -> Options {
        Options {
            data: data.into(),
            scripts: None,
            geoip: None,
            worker: None,
            control: None,
            control_group: String::new(),
            settings: Vec::new(),
            script_files: None,
            metrics: None,
            wake: Arc::new(|| {}),
        }
    }
}

/// Why a hub cannot start. The text tells an operator what to do.
#[derive(Debug, thiserror::Error)]
pub enum HubError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A query failed at once.
    #[error("the database does not work: {0}; is the disk full?")]
    Query(#[from] rusqlite::Error),
    /// A variable on the command line.
    #[error("--set {0}: {1}")]
    Setting(String, SettingError),
    /// The encoding.
    #[error("there is no encoding {0:?}; try utf-8, cp1251, cp1252, iso-8859-2 or gbk")]
    Encoding(String),
    /// The folder of MaxMind's files.
    #[error("cannot read the folder {0} of --geoip: {1}")]
    GeoIp(PathBuf, std::io::Error),
    /// The supervisor.
    #[error("scripts cannot run: {0}")]
    Scripts(supervisor::StartError),
    /// The address of metrics.
    #[error("nobody could read metrics at {0}: {1}; give another address with --metrics")]
    Metrics(SocketAddr, std::io::Error),
    /// No randomness for the first password.
    #[error("cannot make a password for the first account: {0}")]
    FirstAccount(std::io::Error),
}

/// The configuration: the defaults, what is stored, what is on the command line.
pub(super) fn read_settings(database: &Database, options: &Options) -> Result<Settings, HubError> {
    let mut settings = Settings::default();
    for (name, value) in database.setup_all(b"config")? {
        let name = String::from_utf8_lossy(&name);
        if !is_of_verlihub(&name)
            && let Err(error) = settings.set(&name, &value)
        {
            log::warn!("the stored variable {name} is left out: {error}");
        }
    }
    for (name, value) in &options.settings {
        let name = canonical(name);
        settings.set(name, value).map_err(|error| HubError::Setting(name.into(), error))?;
    }
    Ok(settings)
}

/// The hub's encoding.
pub(super) fn charset_of(settings: &Settings) -> Result<Charset, HubError> {
    let encoding = String::from_utf8_lossy(&settings.hub_encoding).into_owned();
    Charset::named(&encoding).ok_or(HubError::Encoding(encoding))
}

impl Hub {
    /// Opens the state folder and makes what is missing there. No script is loaded yet.
    ///
    /// # Errors
    /// See [`HubError`]; nothing was changed then.
    pub fn open(options: Options) -> Result<Hub, HubError> {
        let database = Database::open(&options.data)?;
        let settings = read_settings(&database, &options)?;
        let charset = charset_of(&settings)?;
        let sql = Sql::open(&options.data, charset)?;
        let mut geoip = match &options.geoip {
            Some(folder) => GeoIp::open(folder).map_err(|error| HubError::GeoIp(folder.clone(), error))?,
            None => GeoIp::default(),
        };
        geoip.set_language(&String::from_utf8_lossy(&settings.mmdb_names_lang));
        let clock = Clock::now(Duration::ZERO);
        let scripts = start_supervisor(&options, &settings, charset, clock.seconds)?;
        let first_account = first_account(&database, clock.seconds)?;
        if options.scripts.is_none() {
            let folder = options.data.join("scripts");
            if let Err(error) = std::fs::create_dir_all(&folder) {
                log::warn!("the scripts folder {} cannot be made: {error}", folder.display());
            }
        }
        let wake = Arc::clone(&options.wake);
        let meter = options.metrics.map(|_| Box::default());
        let mut hub = Hub {
            scripts: Rc::new(scripts),
            options,
            settings,
            charset,
            database,
            sql,
            geoip,
            connections: Slots::default(),
            users: UserList::default(),
            lingering: Vec::new(),
            bot: None,
            opchat: None,
            broadcast: Broadcast::default(),
            unsent: false,
            closing: VecDeque::new(),
            late_lists: VecDeque::new(),
            logouts: Vec::new(),
            timers: Timers::default(),
            clock,
            ahead: Duration::ZERO,
            is_tested: false,
            frequency: Frequency::default(),
            passwords: Passwords::new(Arc::clone(&wake)),
            places: Places::default(),
            host_names: Background::new("host-names", Lookup::find, Arc::clone(&wake)),
            findings: Background::new("findings", super::findings::Unread::read, wake),
            temporary_bans: HashMap::new(),
            script_commands: VecDeque::new(),
            askers: HashMap::new(),
            first_scripts: HashMap::new(),
            script_names: HashMap::new(),
            in_bot_message: false,
            stop: None,
            first_account,
            started: clock.seconds,
            meter,
            menus: super::menus::Menus::default(),
            history: super::history::History::default(),
        };
        hub.show_bots();
        Ok(hub)
    }

    /// The folder of scripts that are loaded by themselves.
    pub fn scripts_folder(&self) -> PathBuf {
        self.options.scripts.clone().unwrap_or_else(|| self.options.data.join("scripts"))
    }

    /// Loads scripts, all at the same time; the results are in the order of the paths.
    pub fn load_scripts(&mut self, paths: &[PathBuf]) -> Vec<Result<Loaded, LoadError>> {
        let scripts = self.supervisor();
        scripts.load_all(self, paths)
    }
}

fn start_supervisor(
    options: &Options,
    settings: &Settings,
    charset: Charset,
    starttime: i64,
) -> Result<Supervisor, HubError> {
    let scripts_dir = options.scripts.clone().unwrap_or_else(|| options.data.join("scripts"));
    let control = options.control.clone().unwrap_or_else(|| options.data.join(supervisor::control::FILE));
    let mut config = supervisor::Config {
        worker: options.worker.clone(),
        scripts_dir: Some(scripts_dir),
        identity: supervisor::Identity {
            botname: settings.hub_security.clone(),
            opchatname: settings.opchat_name.clone(),
            basedir: options.data.clone(),
            config_name: "config".into(),
            starttime,
        },
        encoding: charset.python_name(),
        has_ip_city: true,
        store_dir: Some(options.data.join("store")),
        control: Some(control).filter(|path| !path.as_os_str().is_empty()),
        control_group: options.control_group.clone(),
        inherited_files: options.script_files,
        metrics: options.metrics,
        ..supervisor::Config::default()
    };
    settings.configure_scripts(&mut config);
    let supervisor = Supervisor::new(config).map_err(HubError::Scripts)?;
    if let Some(address) = options.metrics {
        supervisor.serve_metrics().map_err(|error| HubError::Metrics(address, error))?;
    }
    Ok(supervisor)
}

/// The account by which the hub's owner comes in for the first time.
fn first_account(database: &Database, now: i64) -> Result<Option<(String, String)>, HubError> {
    if database.accounts()? > 0 {
        return Ok(None);
    }
    let password = random_password().map_err(HubError::FirstAccount)?;
    let hash = hash_password(password.as_bytes())
        .ok_or_else(|| HubError::FirstAccount(std::io::Error::other("hashing failed")))?;
    database.add_account(FIRST_NICK.as_bytes(), Class::Master.number(), &hash, false, b"", now)?;
    Ok(Some((FIRST_NICK.into(), password)))
}
