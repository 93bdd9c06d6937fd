//! Loads scripts, gives each a process, hands them the hub's events, serves their calls and
//! brings them back when they die; what a hub is, it leaves to the [`Host`].
//!
//! # Theory of operation
//!
//! The supervisor belongs to the hub's thread. It does its work while that thread is inside
//! one of its methods, whichever that is ([`visits`]); when it has work to do at another time,
//! [`Supervisor::poll_fd`] becomes readable and the hub calls [`Supervisor::serve`].
//!
//! An event is encoded once and copied into the ring of every script that defines the hook;
//! then the hub's thread waits for all answers ([`dispatch`], [`outbound`], [`waiting`]). While it
//! waits it reads what workers say ([`inbound`]) and serves their calls ([`calls`]), which may raise further events: the same thing, one level deeper. Each answer
//! carries the number of its event, and is kept with the process until the level that waits
//! for it looks.
//!
//! A script's state is one enum, [`state::State`], that moves by named transitions only: when it is
//! loaded ([`loading`]), gets a process ([`starting`]), is loaded again ([`reloading`]), is late
//! ([`deadlines`]), dies ([`deaths`]) or is unloaded ([`unloading`]); none of that waits for the script. Deaths, deadlines and pauses are noticed where the hub's thread would
//! sleep anyway, and acted upon at once, however deeply that is nested ([`housekeeping`]); what the
//! host is to be told of it waits on the [`agenda`].
//!
//! Two threads help: one starts processes ([`spawn`]), one reads what they print ([`output`]).
//! The hub's thread waits for neither.
//!
//! Nothing is borrowed and no lock is held while the host runs, so it may call any method from
//! within its own.

mod after_fork;
mod agenda;
mod buffers;
mod calls;
mod child;
mod config;
pub mod console;
pub mod control;
mod counts;
mod credentials;
mod deadlines;
mod deaths;
mod debugger;
mod debugging;
mod dispatch;
mod due;
pub mod dynamic;
pub mod figures;
mod forks;
mod functions;
pub(crate) mod hook_board;
mod housekeeping;
mod hub_figures;
mod inbound;
mod interpreter;
mod journal;
mod kept_options;
mod kept_versions;
mod limits;
mod load_error;
mod loading;
pub(crate) mod masking;
#[cfg(feature = "metrics")]
mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "no_metrics.rs"]
mod metrics;
mod one_event;
pub mod option;
mod outbound;
mod output;
pub(crate) mod pace;
mod pending_spawn;
mod poll;
mod pool;
mod posix_spawn;
mod process;
mod reactor;
mod recorded;
pub(crate) mod recorder;
mod registry;
mod reloading;
mod restart;
mod room;
mod script;
mod script_file;
mod spawn;
mod starting;
mod state;
mod status;
mod store;
mod tasks;
mod ticket;
mod unloading;
mod verdict;
mod version;
mod visits;
mod waiting;
mod waits;
mod wakeups;
mod wanted;
mod worker_library;

use std::cell::RefCell;
use std::io;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use plugin_abi::{Call, Hook, Value};

pub use child::Exit;
pub use config::{Config, Identity, Limits, MAX_NESTING, RestartLimits, WhenAway};
pub use dispatch::CallError;
pub use hub_figures::HubFigures;
pub use interpreter::{NotFound, interpreter_of};
pub use kept_options::SetError;
pub use load_error::{LoadError, Loaded};
pub use recorder::{RECORDING_LIMIT, RecordError};
pub use script::{Overrides, ScriptId};
pub use status::ScriptStatus;
pub use tasks::Outcome;
pub use ticket::Ticket;
pub use verdict::{Replacement, Verdict};
pub use worker_library::{WorkerError, WorkerLibrary, describe as describe_worker};

use agenda::Agenda;
use buffers::Buffers;
use control::ControlSocket;
use functions::Functions;
use kept_versions::KeptVersions;
use metrics::Metrics;
use pace::Pace;
use pool::Pool;
use reactor::Reactor;
use recorder::Recorder;
use registry::Registry;
use tasks::Tasks;

use waits::Waits;

/// A hub, as its scripts see it.
///
/// All methods run on the thread that is inside one of the supervisor's methods, and may
/// call the supervisor again: to raise an event that the call causes, for one. While they do,
/// the supervisor holds no lock and no borrow.
pub trait Host {
    /// Does what a script asks for.
    ///
    /// `args` are in the host's order and of the types that
    /// [`CallSpec::host_format`](plugin_abi::CallSpec::host_format) says: [`Value::Text`] or
    /// [`Value::Nil`] for `s`, [`Value::Int`] for `l`; their number is always right.
    ///
    /// The answer:
    ///
    /// | [`Gives`](plugin_abi::call::Gives) | value |
    /// | --- | --- |
    /// | `Bool`, `Int` | `Int` or `Bool` |
    /// | `Float` | `Float` |
    /// | `Text`, `OptionalText` | `Text` |
    /// | `MyInfo` | `List` of six `Text`s |
    /// | `Geo` | `Map` with `Text` keys |
    /// | `Nicks` | `List` of `Text`s, or the raw protocol string |
    /// | `Rows` | `List`: `Int` 0 or 1, then a `List` of rows, each a `List` of `Text`s or `Nil`s |
    /// | `Restrictions` | `Int`, bits 1 chat, 2 pm, 4 search, 8 ctm |
    /// | `Pair` | `List` of two `Text`s |
    /// | `Users` | as `Rows`: for everybody in the user list a row with a `Text` or `Int` for each of the [fields](plugin_abi::call::USER_FIELDS) whose names, with a blank between them, are the argument; `Nil` for what is missing |
    ///
    /// [`Value::Nil`] means that the call failed; the script sees `False` or `None`.
    fn call(
        &mut self,
        supervisor: &Supervisor,
        script: ScriptId,
        call: Call,
        args: &[Value<'_>],
    ) -> Value<'static>;

    /// Whether the hub has a command of this name itself, which then is no script's to answer. The
    /// name is in lower case.
    fn has_command(&mut self, _name: &str) -> bool {
        false
    }

    /// A script was loaded or reloaded: it is served, and its warnings are known. It is not said of one
    /// that was started again after its death.
    fn script_loaded(&mut self, _supervisor: &Supervisor, _script: ScriptId) {}

    /// How the hub does, for those who read metrics: [`Supervisor::serve_metrics`]. `None` when it counts
    /// nothing itself.
    fn figures(&mut self, _supervisor: &Supervisor) -> Option<HubFigures> {
        None
    }

    /// Changes a variable of the host's own for an operator at the control socket, and keeps it where
    /// the host keeps those; `None` when it has none of this name. Gives the new value, or why it was
    /// not changed. All text is UTF-8.
    fn set_variable(
        &mut self,
        _supervisor: &Supervisor,
        _name: &str,
        _value: &str,
    ) -> Option<Result<String, String>> {
        None
    }

    /// Somebody has steered the scripts by the control socket, for the host's own record: who, what,
    /// and to what.
    fn acted(&mut self, _who: &str, _what: &str, _whom: &str) {}

    /// Something that was asked for without waiting for it has ended: see [`Supervisor::begin_load`],
    /// [`Supervisor::begin_unload`], [`Supervisor::begin_reload`], [`Supervisor::begin_console`].
    fn finished(&mut self, _supervisor: &Supervisor, _ticket: Ticket, _outcome: Outcome) {}

    /// Tells the operators something about the scripts: a crash, a restart. The text is UTF-8.
    ///
    /// By default, it is written in the operator chat through [`Host::call`].
    fn tell_operators(&mut self, supervisor: &Supervisor, text: &str) {
        let args = [Value::from(text), Value::Nil];
        self.call(supervisor, ScriptId(-1), Call::SendToOpChat, &args);
    }
}

/// A function of the host that one script can call by name.
pub type DynamicFunction =
    Rc<dyn Fn(&mut dyn Host, &Supervisor, &[Value<'_>]) -> Result<Value<'static>, String>>;

/// Why there is no supervisor.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The worker library is missing, or another version's.
    #[error(transparent)]
    Worker(#[from] WorkerError),
    /// The system refused a thread or a descriptor.
    #[error("cannot prepare for scripts: {0}")]
    System(#[from] io::Error),
}

impl From<nix::errno::Errno> for StartError {
    fn from(errno: nix::errno::Errno) -> StartError {
        StartError::System(errno.into())
    }
}

/// The scripts of one hub. It belongs to the hub's thread.
///
/// ```
/// use vhpy::supervisor::{Config, Replacement};
/// use vhpy::{Call, Hook, Host, ScriptId, Supervisor, Value};
///
/// struct Hub {
///     said: Vec<String>,
/// }
///
/// impl Host for Hub {
///     // What scripts ask for.
///     fn call(&mut self, _: &Supervisor, _: ScriptId, call: Call, args: &[Value<'_>]) -> Value<'static> {
///         match call {
///             Call::mc => self.said.push(args[0].to_string()),
///             _ => return Value::Nil,
///         }
///         Value::Int(1)
///     }
///
///     fn tell_operators(&mut self, _: &Supervisor, text: &str) {
///         eprintln!("{text}");
///     }
/// }
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = std::env::temp_dir().join(format!("vhpy-example-{}", std::process::id()));
/// # std::fs::create_dir_all(&folder)?;
/// # let path = folder.join("dice.py");
/// std::fs::write(&path, "
/// import vh
/// def OnParsedMsgChat(nick, message):
///     vh.mc(nick + ' speaks')
///     return message.upper()
/// def double(number):
///     return 2 * number
/// ")?;
///
/// let config = Config::default();
/// # // A program has the worker library beside it.
/// # let built = std::env::var_os("VHPY_WORKER").map(Into::into).or_else(|| {
/// #     let program = std::env::current_exe().ok()?;
/// #     let places = program.ancestors().map(std::path::Path::to_path_buf);
/// #     let target = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/debug");
/// #     places.chain([target]).map(|place| place.join("libvh_worker.so")).find(|file| file.exists())
/// # });
/// # // A busy machine must not make it late.
/// # let long = std::time::Duration::from_secs(60);
/// # let config = Config { worker: built, hook_timeout: long, load_timeout: long, ..config };
/// let supervisor = Supervisor::new(config)?;
/// let mut hub = Hub { said: Vec::new() };
/// let script = supervisor.load(&mut hub, &path)?.id;
///
/// // An event: what a user writes goes on as the scripts say.
/// assert!(supervisor.wants(Hook::OnParsedMsgChat));
/// let verdict = supervisor.event(&mut hub, Hook::OnParsedMsgChat, &["alice".into(), "hello".into()]);
/// assert!(!verdict.blocked);
/// let message = Some(b"HELLO".to_vec());
/// assert_eq!(verdict.replacement, Some(Replacement::Chat { nick: None, message }));
/// assert_eq!(hub.said.len(), 1);
///
/// // A function of the script.
/// assert_eq!(supervisor.call(&mut hub, script, "double", &[21.into()])?, Value::Int(42));
///
/// // What operators do.
/// assert_eq!(supervisor.find("dice"), Some(script));
/// assert!(supervisor.console(&mut hub, "!pylist").is_some_and(|list| list.contains("dice")));
/// supervisor.reload(&mut hub, script)?;
/// assert_eq!(supervisor.status(script).map(|status| status.state), Some("ready"));
/// assert!(supervisor.unload(&mut hub, script));
///
/// // In the hub's loop: when `supervisor.poll_fd()` is readable.
/// supervisor.serve(&mut hub);
/// supervisor.shutdown(&mut hub);
/// # std::fs::remove_dir_all(folder)?;
/// # Ok(())
/// # }
/// ```
pub struct Supervisor {
    config: RefCell<Config>,
    reactor: Reactor,
    registry: Registry,
    functions: Functions<DynamicFunction>,
    waits: Waits,
    buffers: Buffers,
    pool: Pool,
    agenda: Agenda,
    tasks: Tasks,
    kept_versions: KeptVersions,
    pace: Pace,
    metrics: Metrics,
    control: ControlSocket,
    recorder: Recorder,
    /// The files that the last `!pyfiles` listed.
    listed_files: RefCell<Vec<PathBuf>>,
}

impl Supervisor {
    /// A supervisor without scripts. Finds the worker library, starts two threads.
    ///
    /// # Errors
    ///
    /// When there is no worker library of this version, or the system refuses a thread or a
    /// descriptor.
    pub fn new(config: Config) -> Result<Supervisor, StartError> {
        let pool = Pool::new(WorkerLibrary::open(config.worker.as_deref())?);
        forks::register()?;
        let supervisor = Supervisor {
            reactor: Reactor::start()?,
            registry: Registry::default(),
            functions: Functions::default(),
            config: RefCell::new(config),
            waits: Waits::new(std::thread::available_parallelism().map_or(1, usize::from)),
            buffers: Buffers::default(),
            pool,
            agenda: Agenda::default(),
            tasks: Tasks::default(),
            kept_versions: KeptVersions::default(),
            pace: Pace::default(),
            metrics: Metrics::default(),
            control: ControlSocket::default(),
            recorder: Recorder::default(),
            listed_files: RefCell::default(),
        };
        supervisor.open_control();
        Ok(supervisor)
    }

    /// Whether any script defines the hook. Costs nothing, and does nothing: a hub may ask before
    /// it builds arguments. One that may ask for long without an event calls
    /// [`Supervisor::glance`] as well.
    #[inline]
    pub fn wants(&self, hook: Hook) -> bool {
        self.registry.wants(hook)
    }

    /// How many scripts there are, ready or not. Costs nothing.
    pub fn count(&self) -> usize {
        self.registry.list().len()
    }

    /// Whether there is a script with this id, ready or not.
    pub fn contains(&self, id: ScriptId) -> bool {
        self.registry.get(id).is_some()
    }

    /// Whether this script defines the hook.
    pub fn has_hook(&self, id: ScriptId, hook: Hook) -> bool {
        self.registry.get(id).is_some_and(|script| script.hooks.get().contains(hook))
    }

    /// The script that an operator means: an id, a name with or without `.py`, or a path.
    pub fn find(&self, what: &str) -> Option<ScriptId> {
        self.registry.find(what).map(|script| script.id)
    }

    /// Readable when [`Supervisor::serve`] has something to do. For the hub's own poll or
    /// epoll, level-triggered. After [`Supervisor::after_fork`] it is another one.
    pub fn poll_fd(&self) -> std::os::fd::RawFd {
        self.reactor.fd()
    }

    /// A copy of the configuration.
    pub fn config(&self) -> Config {
        self.config.borrow().clone()
    }

    /// Changes deadlines, limits and the like. Processes that run keep their limits.
    pub fn configure(&self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config.borrow_mut());
        self.set_slow_hook();
        self.open_control();
    }

    /// Changes the deadlines and limits of one script. False when there is none with this id.
    pub fn set_overrides(&self, id: ScriptId, overrides: Overrides) -> bool {
        self.registry.get(id).map(|script| *script.overrides.borrow_mut() = overrides).is_some()
    }

    /// The hub's bots have new names: `vh.botname` and `vh.opchatname` of all scripts follow.
    pub fn set_names(&self, botname: &[u8], opchatname: &[u8]) {
        self.configure(|config| {
            config.identity.botname = botname.to_vec();
            config.identity.opchatname = opchatname.to_vec();
        });
        for script in self.registry.snapshot() {
            {
                let mut identity = script.identity.borrow_mut();
                identity.botname = botname.to_vec();
                identity.opchatname = opchatname.to_vec();
            }
            if let Some(process) = script.ready() {
                let names =
                    plugin_abi::ToWorker::Names { botname: botname.into(), opchatname: opchatname.into() };
                self.tell(&process, &names);
            }
        }
    }

    /// Lets one script alone call a function of the host by name, with `vh.CallDynamicFunction`.
    /// It is removed with the script and survives its restarts. A script whose id is reserved
    /// has it from its first line on. False when there is no such script.
    pub fn register_raw(&self, id: ScriptId, name: &str, function: DynamicFunction) -> bool {
        let is_given_out = self.registry.is_given_out(id);
        if is_given_out {
            self.functions.insert(id, name, function);
        }
        is_given_out
    }

    /// Takes a function away again. False when there is no such script or function.
    pub fn unregister(&self, id: ScriptId, name: &str) -> bool {
        self.functions.remove(id, name)
    }

    /// Lets go of an object that a function of the script returned.
    pub fn release(&self, id: ScriptId, handle: u64) {
        if let Some(process) = self.registry.get(id).and_then(|script| script.process()) {
            self.tell(&process, &plugin_abi::ToWorker::Release(handle));
        }
    }
}

impl Drop for Supervisor {
    /// Kills what still runs; [`Supervisor::shutdown`] lets scripts finish.
    fn drop(&mut self) {
        self.metrics.close();
        self.control.close();
        self.pool.clear();
        for script in self.registry.clear() {
            script.transition(script::Transition::Forgotten, "the supervisor is gone");
        }
        self.kept_versions.finish();
    }
}

/// So long that it is no deadline.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    /// What has an invariant of its own cannot be interrupted by the host.
    #[test]
    fn parts_do_not_know_the_host() {
        let parts = [
            ("agenda", include_str!("agenda.rs")),
            ("buffers", include_str!("buffers.rs")),
            ("functions", include_str!("functions.rs")),
            ("kept_versions", include_str!("kept_versions.rs")),
            ("pace", include_str!("pace.rs")),
            ("pool", include_str!("pool.rs")),
            ("reactor", include_str!("reactor.rs")),
            ("recorder", include_str!("recorder.rs")),
            ("registry", include_str!("registry.rs")),
            ("tasks", include_str!("tasks.rs")),
            ("waits", include_str!("waits.rs")),
        ];
        for (part, text) in parts {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let names_it = text.split(|c| !is_word(c)).any(|word| word == "Host" || word == "Supervisor");
            assert!(!names_it, "{part}.rs names the host or the supervisor");
        }
    }
}
