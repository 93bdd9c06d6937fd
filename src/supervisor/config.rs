//! What a host can choose about its scripts.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How deeply events and calls may be nested in each other.
pub const MAX_NESTING: u32 = 32;

/// How a supervisor runs its scripts.
#[derive(Clone, Debug)]
pub struct Config {
    /// `libvh_worker.so`. `None` looks at the environment's `VHPY_WORKER`, then beside the
    /// running program or library.
    pub worker: Option<PathBuf>,
    /// The interpreter for scripts without a `.venv`; `None` is `python3` from the PATH.
    pub python: Option<PathBuf>,
    /// The hub's `scripts` folder: second on every script's `sys.path`.
    pub scripts_dir: Option<PathBuf>,
    /// What scripts are told about the hub.
    pub identity: Identity,
    /// The hub's encoding, as Python names it: `utf-8`, `cp1251`, …
    pub encoding: String,
    /// Whether the host answers [`Call::GetIPCity`](plugin_abi::Call::GetIPCity).
    pub has_ip_city: bool,
    /// How long the hub waits for one hook or function. The time of events that it raises and
    /// of calls that take the host 10 ms or more is not counted, up to as much again.
    pub hook_timeout: Duration,
    /// How long a stuck script may take to come back before it is killed, and a script that
    /// was told to end before it is made to.
    pub kill_timeout: Duration,
    /// How long a script may take to load.
    pub load_timeout: Duration,
    /// How long an event waits for a script that is just being restarted after its first
    /// death, so that a filter which crashed does not let the next message through. It counts
    /// towards `hook_timeout`, which is not exceeded.
    pub restart_wait: Duration,
    /// Where the control socket is; `None` is none. The folder must be there.
    pub control: Option<PathBuf>,
    /// The group that may use it besides its user; empty is none.
    pub control_group: String,
    /// What becomes of an event that a script hooks while it cannot be asked, and does not come back
    /// within [`Config::restart_wait`].
    pub when_away: WhenAway,
    /// From when on operators are told of a hook that took long.
    pub slow_hook: Duration,
    /// When dead scripts are started again.
    pub restart: RestartLimits,
    /// Whether a started interpreter waits to take over a script.
    pub spare: bool,
    /// Whether hub and scripts stay awake for a moment after an event, because the next one
    /// often comes at once and waking takes longer than handling it. Without, every event costs
    /// two wake-ups and no moment of processor time is spent in waiting.
    pub stay_awake: bool,
    /// What every script may use.
    pub limits: Limits,
    /// How many files a script without a limit of its own may have open; `None` is what it
    /// inherits from the host. For a host that has raised its own soft limit.
    pub inherited_files: Option<u64>,
    /// The folder where `vh.store` is kept on disk; `None` keeps it in memory only.
    pub store_dir: Option<PathBuf>,
    /// Where metrics can be read over HTTP: see [`Supervisor::serve_metrics`](super::Supervisor::serve_metrics).
    pub metrics: Option<SocketAddr>,
    /// The size of each of the two rings of a script in bytes; a power of two.
    pub ring_bytes: usize,
}

/// What becomes of an event that a script hooks, but cannot be asked about or does not answer: while it
/// is loaded, reloaded or restarted, is stuck or has failed, or because it died or was late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenAway {
    /// It goes on, as if the script had said so.
    #[default]
    Pass,
    /// It is blocked, where its hook can block.
    Block,
}

/// What scripts are told about the hub they run in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// `vh.botname`, in the hub's encoding.
    pub botname: Vec<u8>,
    /// `vh.opchatname`, in the hub's encoding.
    pub opchatname: Vec<u8>,
    /// `vh.basedir`.
    pub basedir: PathBuf,
    /// `vh.config_name`.
    pub config_name: String,
    /// `vh.starttime`: seconds since the epoch.
    pub starttime: i64,
}

/// How often a script may die. As in Erlang's supervisors, the number of deaths within a
/// span of time decides, not their sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RestartLimits {
    /// More deaths than this within [`RestartLimits::window`] and the script is given up.
    pub max_deaths: u32,
    /// The span of time in which deaths are counted.
    pub window: Duration,
    /// The pause before the second restart; the first has none. It doubles with every death.
    pub first_delay: Duration,
    /// The longest pause.
    pub max_delay: Duration,
}

impl Default for RestartLimits {
    fn default() -> RestartLimits {
        RestartLimits {
            max_deaths: 5,
            window: Duration::from_secs(60),
            first_delay: Duration::from_secs(1),
            max_delay: Duration::from_secs(60),
        }
    }
}

/// What one script's process may use. `None` is no limit. A process that runs into one ends,
/// and the log says which; its script is started again as after any death.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Address space in bytes (`RLIMIT_AS`); the interpreter itself takes about 40 MiB. The
    /// script ends when a `MemoryError` leaves one of its hooks or functions.
    pub memory: Option<u64>,
    /// Seconds of processor time over the life of the process (`RLIMIT_CPU`).
    pub cpu_seconds: Option<u64>,
    /// Open files (`RLIMIT_NOFILE`). The script ends when a hook or function fails for it.
    pub open_files: Option<u64>,
    /// Processes and threads (`RLIMIT_NPROC`). The kernel counts all of the hub's user, and
    /// does not limit root. The script ends when a hook or function fails for it.
    pub processes: Option<u64>,
    /// Niceness added to the hub's own, 0 to 19.
    pub nice: Option<i32>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            worker: None,
            python: None,
            scripts_dir: None,
            identity: Identity::default(),
            encoding: "utf-8".into(),
            has_ip_city: false,
            hook_timeout: Duration::from_secs(2),
            kill_timeout: Duration::from_secs(10),
            load_timeout: Duration::from_secs(30),
            restart_wait: Duration::from_millis(250),
            control: None,
            control_group: String::new(),
            when_away: WhenAway::Pass,
            slow_hook: Duration::from_millis(100),
            restart: RestartLimits::default(),
            spare: true,
            stay_awake: true,
            limits: Limits::default(),
            inherited_files: None,
            store_dir: None,
            metrics: None,
            ring_bytes: plugin_abi::segment::RING_BYTES,
        }
    }
}
