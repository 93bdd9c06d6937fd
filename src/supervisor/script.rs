//! One script: its file, its settings, its counters, and its [`State`].

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime};

use plugin_abi::command::Command;
use plugin_abi::filter::Filters;
use plugin_abi::{Hook, HookSet};

use super::config::{Identity, WhenAway};
use super::counts::Counts;
use super::output::Output;
use super::process::Process;
use super::restart::Deaths;
use super::script_file::name_of;
use super::state;
use super::store::Store;
use super::ticket::Ticket;
use super::version::Version;
use std::sync::Arc;

/// Names one loaded script. Numbers are small and reused only after an unload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ScriptId(pub i32);

impl std::fmt::Display for ScriptId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Deadlines and limits of one script that differ from the supervisor's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Overrides {
    /// Instead of [`Config::hook_timeout`](super::Config::hook_timeout).
    pub hook_timeout: Option<Duration>,
    /// Instead of the above, for one hook.
    pub per_hook: HashMap<Hook, Duration>,
    /// Instead of [`Config::kill_timeout`](super::Config::kill_timeout).
    pub kill_timeout: Option<Duration>,
    /// Instead of [`Config::when_away`](super::Config::when_away).
    pub when_away: Option<WhenAway>,
    /// Instead of [`Limits::memory`](super::Limits::memory), from its next process on; so are
    /// those below. `Some(None)` is no limit, whatever the hub's is.
    pub memory: Option<Option<u64>>,
    /// Instead of [`Limits::cpu_seconds`](super::Limits::cpu_seconds).
    pub cpu_seconds: Option<Option<u64>>,
    /// Instead of [`Limits::open_files`](super::Limits::open_files).
    pub open_files: Option<Option<u64>>,
    /// Instead of [`Limits::processes`](super::Limits::processes).
    pub processes: Option<Option<u64>>,
    /// Instead of [`Limits::nice`](super::Limits::nice).
    pub nice: Option<Option<i32>>,
}

/// Where a script is in its life.
pub type State = state::State<Rc<Process>>;

/// Something that happens to a script.
pub type Transition = state::Transition<Rc<Process>>;

/// What was asked for of a script.
#[derive(Debug, PartialEq, Eq)]
pub enum Task {
    /// To load it.
    Load(Ticket),
    /// To load it again.
    Reload(Ticket),
    /// To unload it; so many have asked for it.
    Unload(Vec<Ticket>),
}

/// A process that is to follow the one that a script has.
#[derive(Debug)]
pub enum Successor {
    /// It is being started.
    Spawning {
        /// Its serial.
        serial: u64,
        /// When nobody waits for it any longer.
        deadline: Instant,
    },
    /// It compiles the script's source.
    Preparing {
        /// The process.
        process: Rc<Process>,
        /// When nobody waits for it any longer.
        deadline: Instant,
    },
    /// It can load the script.
    Prepared {
        /// The process.
        process: Rc<Process>,
    },
}

impl Successor {
    /// The process, if it is there.
    pub fn process(&self) -> Option<&Rc<Process>> {
        match self {
            Successor::Spawning { .. } => None,
            Successor::Preparing { process, .. } | Successor::Prepared { process } => Some(process),
        }
    }

    /// When nobody waits for it any longer.
    pub fn due(&self) -> Option<Instant> {
        match self {
            Successor::Spawning { deadline, .. } | Successor::Preparing { deadline, .. } => Some(*deadline),
            Successor::Prepared { .. } => None,
        }
    }
}

/// A script.
pub struct Script {
    /// Its number.
    pub id: ScriptId,
    /// Its file.
    pub path: PathBuf,
    /// The file's name without `.py`.
    pub name: String,
    /// What it was told about the hub.
    pub identity: RefCell<Identity>,
    /// Where it is in its life.
    life: state::Life<Rc<Process>>,
    /// The interpreter that ran it last.
    pub python: RefCell<PathBuf>,
    /// The hooks for which it gets events, also those that carry its commands; kept while it is
    /// restarted, as are those below.
    pub hooks: Cell<HookSet>,
    /// Those that it defines.
    pub own_hooks: Cell<HookSet>,
    /// Those of which it does not get all events.
    pub filtered: Cell<HookSet>,
    /// Which events it gets.
    pub filters: RefCell<Rc<Filters>>,
    /// Since when it has spent how much on new filters.
    pub filter_pace: Cell<Option<(Instant, usize)>>,
    /// Its commands.
    pub commands: RefCell<Vec<Command>>,
    /// Those it marked as observers.
    pub observers: Cell<HookSet>,
    /// Whether it has ever been ready: before that, a death is a failed load.
    pub was_ready: Cell<bool>,
    /// What to tell an operator about the last load.
    pub warnings: RefCell<Vec<String>>,
    /// Why the last load failed.
    pub load_error: RefCell<Option<String>>,
    /// Its deaths.
    pub deaths: RefCell<Deaths>,
    /// How often it was started again.
    pub restarts: Cell<u64>,
    /// How it does.
    pub counts: Counts,
    /// How many of its calls the host is inside of.
    pub calls: Cell<u32>,
    /// For how long it has waited for the hub while that was inside long calls of others.
    pub kept: Cell<Duration>,
    /// The robots that its process put into the hub.
    pub robots: RefCell<Vec<Vec<u8>>>,
    /// Robots of its earlier processes that are still in the hub.
    pub abandoned_robots: RefCell<VecDeque<Vec<u8>>>,
    /// `vh.store`.
    pub store: RefCell<Store>,
    /// Its own deadlines and limits.
    pub overrides: RefCell<Overrides>,
    /// What was asked for and is not done.
    pub task: RefCell<Option<Task>>,
    /// Unload it, and wait for that, as soon as it is not inside a hook.
    pub unload_requested: Cell<bool>,
    /// Tell it to end as soon as it is not inside a hook.
    pub is_to_stop: Cell<bool>,
    /// The process that is to follow the one that it has.
    pub successor: RefCell<Option<Successor>>,
    /// How much of the time of its calls is not on its clock while it ends.
    pub forgivable: Cell<Duration>,
    /// Until when events wait for it, while it is not ready.
    pub awaited_until: Cell<Option<Instant>>,
    /// When the version was loaded that serves, or served last.
    pub loaded_at: Cell<Option<SystemTime>>,
    /// The version that served last, if it could be kept.
    pub version: RefCell<Option<Arc<Version>>>,
    /// Where that is on disk.
    pub version_file: RefCell<Option<PathBuf>>,
    /// Why that is loaded, or serves, instead of what is on disk.
    pub instead_of: RefCell<Option<String>>,
    /// What it printed; survives its processes, but not a fork of the hub.
    pub output: RefCell<Arc<Output>>,
    /// A name and version it gave itself.
    pub title: RefCell<Option<(Vec<u8>, Vec<u8>)>>,
}

impl Script {
    /// A script without a process.
    pub fn new(id: ScriptId, path: PathBuf, identity: Identity, store: Store) -> Rc<Script> {
        let name = name_of(&path);
        Rc::new(Script {
            id,
            output: RefCell::new(Output::new(&name)),
            name,
            path,
            identity: RefCell::new(identity),
            life: state::Life::new(),
            python: RefCell::default(),
            hooks: Cell::default(),
            own_hooks: Cell::default(),
            filtered: Cell::default(),
            filters: RefCell::default(),
            filter_pace: Cell::default(),
            commands: RefCell::default(),
            observers: Cell::default(),
            was_ready: Cell::new(false),
            warnings: RefCell::default(),
            load_error: RefCell::default(),
            deaths: RefCell::default(),
            restarts: Cell::new(0),
            counts: Counts::default(),
            calls: Cell::new(0),
            kept: Cell::default(),
            robots: RefCell::default(),
            abandoned_robots: RefCell::default(),
            store: RefCell::new(store),
            overrides: RefCell::default(),
            task: RefCell::default(),
            unload_requested: Cell::new(false),
            is_to_stop: Cell::new(false),
            successor: RefCell::default(),
            forgivable: Cell::default(),
            awaited_until: Cell::default(),
            loaded_at: Cell::default(),
            version: RefCell::default(),
            version_file: RefCell::default(),
            instead_of: RefCell::default(),
            title: RefCell::default(),
        })
    }

    /// Something happened to the script; logs why its state changes.
    pub fn transition(&self, transition: Transition, why: &str) {
        let old = self.life.state().word();
        let is_allowed = self.life.transition(transition);
        if is_allowed {
            log::debug!("script {} ({}): {old} → {}: {why}", self.name, self.id, self.life.state());
        } else {
            log::error!("script {} ({}) is {old} and remains so, although {why}", self.name, self.id);
        }
        debug_assert!(is_allowed, "{} is {old}: {why}", self.name);
    }

    /// The hub kept it waiting: that is on none of its clocks.
    pub fn keep(&self, time: Duration) {
        self.kept.set(self.kept.get() + time);
        self.life.extend(time);
    }

    /// Its deadlines stood still for so long.
    pub fn stood_still(&self, time: Duration) {
        self.life.extend(time);
    }

    /// One word for lists.
    pub fn word(&self) -> &'static str {
        let state = self.life.state();
        if state.process().is_some_and(|process| process.is_debugged()) { "debugged" } else { state.word() }
    }

    /// A call that it made while it ends took the hub so long: that is not on its clock, up to as much
    /// as it has.
    pub fn forgive_ending(&self, time: Duration) {
        let left = self.forgivable.get();
        if self.with_state(|state| matches!(state, State::Stopping { .. })) {
            let time = time.min(left);
            self.forgivable.set(left - time);
            self.life.extend(time);
        }
    }

    /// Looks at the state.
    pub fn with_state<R>(&self, look: impl FnOnce(&State) -> R) -> R {
        look(&self.life.state())
    }

    /// When something must be done about it, or about its successor.
    pub fn due(&self) -> Option<Instant> {
        let successor = self.successor.borrow().as_ref().and_then(Successor::due);
        self.state_due().into_iter().chain(successor).min()
    }

    /// When something must be done about its state.
    pub fn state_due(&self) -> Option<Instant> {
        let state = self.life.state();
        if state
            .process()
            .is_some_and(|process| process.is_debugged() && process.killed_for.borrow().is_none())
        {
            return None;
        }
        state.due(|process| process.killed_for.borrow().is_some())
    }

    /// The process that is to follow the one that it has, if that is there.
    pub fn next_process(&self) -> Option<Rc<Process>> {
        self.successor.borrow().as_ref().and_then(Successor::process).cloned()
    }

    /// Whether it is inside a hook or function, so that it cannot be told to end.
    pub fn is_busy(&self) -> bool {
        self.life.state().process().is_some_and(|process| process.is_busy())
    }

    /// Whether an event may wait for it: it will be ready soon, or was to be.
    pub fn is_awaited(&self) -> bool {
        let is_reloaded = || matches!(*self.task.borrow(), Some(Task::Reload(_)));
        self.with_state(|state| match state {
            State::Spawning { .. } | State::Starting { .. } => true,
            State::Stopping { .. } => is_reloaded(),
            _ => false,
        })
    }

    /// What it printed.
    pub fn output(&self) -> Arc<Output> {
        self.output.borrow().clone()
    }

    /// The process, if there is one.
    pub fn process(&self) -> Option<Rc<Process>> {
        self.life.state().process().cloned()
    }

    /// The process, if it serves events.
    #[inline]
    pub fn ready(&self) -> Option<Rc<Process>> {
        match &*self.life.state() {
            State::Ready { process, .. } => Some(process.clone()),
            _ => None,
        }
    }

    /// Whether this is the process that the script runs in.
    pub fn runs_in(&self, process: &Process) -> bool {
        self.life.state().process().is_some_and(|own| own.serial == process.serial)
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Script").field("id", &self.id).field("path", &self.path).finish_non_exhaustive()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A script of this name that keeps nothing.
    pub(in super::super) fn a_script(id: ScriptId, name: &str) -> Rc<Script> {
        let path = PathBuf::from(format!("/nowhere/{name}.py"));
        let store = Store::open(None, &path, None);
        Script::new(id, path, Identity::default(), store)
    }
}
