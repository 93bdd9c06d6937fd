//! Loads scripts, gives each a process, sends them the hub's events, serves their calls and
//! brings them back when they die; what a hub is, it leaves to the [`Host`].
#![allow(unused_variables, missing_docs, clippy::all, dead_code)]

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plugin_abi::{Hook, Value};

use crate::host::{Host, ScriptId};

/// How a supervisor runs its scripts.
#[derive(Clone, Debug)]
pub struct Config {
    /// `libvh_worker.so`; `None` looks at `VHPY_WORKER`, then beside the running library.
    pub worker: Option<PathBuf>,
    /// The interpreter for scripts without a `.venv`; `None` is `python3` from the PATH.
    pub python: Option<PathBuf>,
    /// The hub's `scripts` folder: second on every script's `sys.path`.
    pub scripts_dir: Option<PathBuf>,
    /// `vh.basedir`.
    pub basedir: PathBuf,
    /// `vh.config_name`.
    pub config_name: String,
    /// `vh.botname`, in the hub's encoding.
    pub botname: Vec<u8>,
    /// `vh.opchatname`, in the hub's encoding.
    pub opchatname: Vec<u8>,
    /// `vh.starttime`: seconds since the epoch.
    pub starttime: i64,
    /// The hub's encoding, as Python names it: `utf-8`, `cp1251`, …
    pub encoding: String,
    /// How long the hub waits for one hook or function.
    pub hook_timeout: Duration,
    /// How long a stuck script may take to come back before it is killed.
    pub kill_timeout: Duration,
    /// How long a script may take to load.
    pub load_timeout: Duration,
    /// Whether a started interpreter waits to take over a script.
    pub spare: bool,
    /// The folder where `vh.store` is kept on disk.
    pub store_dir: Option<PathBuf>,
}

/// A script that was loaded.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub id: ScriptId,
    pub name: String,
    /// What an operator should know, such as a function whose name is almost a hook's.
    pub warnings: Vec<String>,
}

/// Why a script was not loaded. The text tells an operator what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    #[error("{0}")]
    Todo(String),
}

/// Why a function of a script gave no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    #[error("{0}")]
    Todo(String),
}

/// All scripts' answers to one event, combined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// Whether any script blocked the event.
    pub blocked: bool,
    /// What stands in for the original arguments; the last in load order.
    pub replacement: Option<Replacement>,
    /// Protocol data to send to the connection the event came from, each ending with `|`.
    pub send: Vec<Vec<u8>>,
}

/// What stands in for an event's arguments; `None` keeps the original.
#[derive(Clone, Debug, PartialEq)]
pub enum Replacement {
    Chat {
        nick: Option<Vec<u8>>,
        message: Option<Vec<u8>>,
    },
    /// Description, tag, speed, mail, size.
    MyInfo([Option<Vec<u8>>; 5]),
}

/// What is known about one script, for lists.
#[derive(Clone, Debug)]
pub struct ScriptStatus {
    pub id: ScriptId,
    pub name: String,
    pub path: PathBuf,
    /// `Ready`, `Stuck`, …
    pub state: String,
    pub pid: Option<u32>,
    pub uptime: Option<Duration>,
    pub restarts: u64,
    pub events: u64,
    /// Resident memory in bytes.
    pub memory: Option<u64>,
}

/// The scripts of one hub. Belongs to the hub's thread; every method may be called again from
/// within [`Host`]'s.
pub struct Supervisor {}

impl Supervisor {
    pub fn new(config: Config) -> Result<Supervisor, LoadError> {
        todo!()
    }
    /// Loads one script and waits until it has run to its end.
    pub fn load(&self, host: &mut dyn Host, path: &Path) -> Result<Loaded, LoadError> {
        todo!()
    }
    /// Loads several at the same time; the results and ids are in the order of the paths.
    pub fn load_all(&self, host: &mut dyn Host, paths: &[PathBuf]) -> Vec<Result<Loaded, LoadError>> {
        todo!()
    }
    /// Lets a script finish and ends its process. False when there is none with this id.
    pub fn unload(&self, host: &mut dyn Host, id: ScriptId) -> bool {
        todo!()
    }
    pub fn reload(&self, host: &mut dyn Host, id: ScriptId) -> Result<Loaded, LoadError> {
        todo!()
    }
    /// The script that an operator means: an id, a name with or without `.py`, or a path.
    pub fn find(&self, what: &str) -> Option<ScriptId> {
        todo!()
    }
    pub fn scripts(&self) -> Vec<ScriptStatus> {
        todo!()
    }
    /// Whether any script that is ready defines the hook. Costs nothing; a hub may ask
    /// before it builds arguments.
    pub fn wants(&self, hook: Hook) -> bool {
        todo!()
    }
    /// Hands an event to all scripts that define the hook and waits for their answers.
    pub fn event(&self, host: &mut dyn Host, hook: Hook, args: &[Value<'_>]) -> Verdict {
        todo!()
    }
    /// Calls a top-level function of a script.
    pub fn call(
        &self,
        host: &mut dyn Host,
        id: ScriptId,
        function: &str,
        args: &[Value<'_>],
    ) -> Result<Value<'static>, CallError> {
        todo!()
    }
    /// Serves the calls of scripts' own threads, notices deaths, restarts what is due.
    /// A hub calls it when [`Supervisor::poll_fd`] is readable.
    pub fn serve(&self, host: &mut dyn Host) {
        todo!()
    }
    /// Readable when [`Supervisor::serve`] has something to do. For the hub's own epoll; level-triggered.
    pub fn poll_fd(&self) -> BorrowedFd<'_> {
        todo!()
    }
    /// The hub's bots have new names: `vh.botname`, `vh.opchatname`.
    pub fn set_names(&self, botname: &[u8], opchatname: &[u8]) {
        todo!()
    }
    /// Changes deadlines and the like at run time.
    pub fn configure(&self, change: impl FnOnce(&mut Config)) {
        todo!()
    }
    /// Unloads every script, and waits until no process is left.
    pub fn shutdown(&self, host: &mut dyn Host) {
        todo!()
    }
    /// Runs an operator's `!py…` command, such as `pylist`, and gives the answer to show.
    /// `None` when it is no command of this plugin.
    pub fn console(&self, host: &mut dyn Host, command: &str) -> Option<String> {
        todo!()
    }
}
