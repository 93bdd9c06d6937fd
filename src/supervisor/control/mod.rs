//! The control socket: how a program on the same machine asks a hub about its scripts and steers
//! them, in lines of JSON; docs/control.md describes them.
//!
//! One thread lets clients in ([`clients`]), and each has a thread that answers it ([`client`]). What
//! can be said without the hub is said by that thread from a snapshot ([`look`]), so that a hub that
//! hangs can be looked into. What acts waits in a queue for the hub's next visit ([`act`]), and when
//! that does not come, the answer says so. The hub's thread never waits for a client: where it would
//! have to wait for a lock it comes back later.
//!
//! A request is a row of one of two tables: [`look::LOOKS`] or [`act::ACTS`].

mod act;
mod client;
mod clients;
mod look;
mod request;
mod socket;
mod terminal;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use plugin_abi::Value;

pub use socket::connect_to;

use super::child::Signaller;
use super::debugger::Terminal;
use super::forks::Unforked;
use super::output::Output;
use super::{Host, ScriptStatus, Supervisor};
use clients::Clients;
use socket::{OpenError, SocketFile};

/// The version of the protocol: what a client of this version relies on stays as it is.
pub const VERSION: i64 = 1;
/// The name of the socket in a folder of its hub.
pub const FILE: &str = "control";
/// How old the snapshot of a hub that works becomes.
const SNAPSHOT: Duration = Duration::from_secs(5);
/// When a socket that could not be opened is tried again.
const AGAIN: Duration = Duration::from_secs(5);

/// What a request led to.
type Answer = Result<Done, Refused>;

/// Answers and who waits for them.
type Ready = Rc<RefCell<Vec<(Sender<Answer>, Answer)>>>;

/// What was done or found out.
struct Done {
    /// For programs.
    answer: Value<'static>,
    /// The same for people.
    text: String,
    /// What the connection becomes after that.
    terminal: Option<Terminal>,
}

impl Done {
    fn new(answer: Value<'static>, text: String) -> Done {
        Done { answer, text, terminal: None }
    }
}

/// Why a request was not fulfilled. The text tells an operator what to do.
#[derive(Debug, thiserror::Error)]
enum Refused {
    #[error("this is no request: {0}")]
    NotJson(String),
    #[error("a request is an object with \"do\"; there are {}", names().join(", "))]
    NoRequest,
    #[error("there is no request {name}; there are {}", names().join(", "))]
    UnknownRequest { name: String },
    #[error("a request is one line of at most {} bytes", client::LONGEST)]
    TooLong,
    #[error("this request needs \"{0}\"")]
    Needs(&'static str),
    #[error("{}", super::console::unknown(.0))]
    NoScript(String),
    #[error("the hub has not looked for {} s: nothing was done", .0.as_secs())]
    Unseen(Duration),
    #[error("the hub has ended")]
    Ended,
    #[error("there are {} clients already: try again later", clients::MOST)]
    TooManyClients,
    #[error(
        "script {0} says nothing: it has no process just now, that has not come so far, or it blocks all \
         signals, or was stopped (see the state)"
    )]
    NoStacks(String),
    #[error("{0}")]
    Failed(String),
}

/// The names of all requests.
fn names() -> Vec<&'static str> {
    look::LOOKS.iter().map(|look| look.name).chain(act::ACTS.iter().map(|act| act.name)).collect()
}

/// A request that waits for the hub.
struct Act {
    number: u64,
    what: &'static act::ActSpec,
    request: Value<'static>,
    /// Who asks: the user's number.
    user: u32,
    reply: Sender<Answer>,
}

/// What waits for the hub, until nothing may wait any more.
#[derive(Default)]
struct Queue {
    acts: VecDeque<Act>,
    is_closed: bool,
}

/// One script, as it was.
struct Seen {
    status: ScriptStatus,
    output: Arc<Output>,
    /// Asks its process for stacks.
    dump: Option<Signaller>,
}

/// What is known of the scripts without the hub.
#[derive(Default)]
struct Snapshot {
    scripts: Vec<Seen>,
    /// How often it was taken.
    number: u64,
    at: Option<Instant>,
}

/// What the hub's thread and the others share.
struct Shared {
    start: Instant,
    /// When the hub looked last, in milliseconds since the start.
    looked: AtomicU64,
    snapshot: Mutex<Snapshot>,
    /// A snapshot was taken, or the hub ends.
    taken: Condvar,
    is_snapshot_wanted: AtomicBool,
    queue: Mutex<Queue>,
    next: AtomicU64,
    has_ended: AtomicBool,
    /// Makes the hub look.
    wake: OwnedFd,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    fn new(wake: OwnedFd) -> Shared {
        Shared {
            start: Instant::now(),
            looked: AtomicU64::new(0),
            snapshot: Mutex::default(),
            taken: Condvar::new(),
            is_snapshot_wanted: AtomicBool::new(true),
            queue: Mutex::default(),
            next: AtomicU64::new(0),
            has_ended: AtomicBool::new(false),
            wake,
        }
    }

    /// Lets the hub visit the supervisor, if it polls.
    fn wake_hub(&self) {
        // It fails only when it is woken already.
        let _ = nix::unistd::write(&self.wake, &1u64.to_ne_bytes());
    }

    /// For how long the hub has not looked.
    fn unseen(&self) -> Duration {
        let looked = Duration::from_millis(self.looked.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(looked)
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Relaxed)
    }

    /// Lets go of everybody who waits.
    fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        let mut queue = lock(&self.queue);
        queue.is_closed = true;
        queue.acts.clear();
        drop(queue);
        // With the lock, or who is about to wait would not hear it.
        let _snapshot = lock(&self.snapshot);
        self.taken.notify_all();
    }

    /// The next request, unless the queue is locked: who has it rings again.
    fn next_act(&self) -> Option<Act> {
        self.queue.try_lock().ok()?.acts.pop_front()
    }
}

/// A socket that is listened on. Dropping it ends that.
struct Control {
    shared: Arc<Shared>,
    group: String,
    clients: Clients,
    file: SocketFile,
}

impl Control {
    fn open(path: &Path, group: &str, wake: OwnedFd) -> Result<Control, OpenError> {
        let (listener, file) = socket::open(path, group)?;
        let shared = Arc::new(Shared::new(wake));
        let clients = Clients::let_in(listener, shared.clone())?;
        Ok(Control { shared, group: group.into(), clients, file })
    }

    fn is_at(&self, path: Option<&PathBuf>, group: &str) -> bool {
        path.is_some_and(|path| self.file.path() == path) && self.group == group
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.shared.end();
        self.clients.end();
    }
}

/// The supervisor's part of it.
#[derive(Default)]
pub(super) struct ControlSocket {
    open: RefCell<Option<Unforked<Control>>>,
    /// When it could not be opened, and what was said about it.
    failed: RefCell<Option<(Instant, String)>>,
    /// Whether a request is acted on.
    is_acting: Cell<bool>,
    /// Answers that go out at the hub's next visit.
    ready: Ready,
}

impl ControlSocket {
    fn shared(&self) -> Option<Arc<Shared>> {
        let open = self.open.borrow();
        open.as_ref().and_then(Unforked::get).map(|control| control.shared.clone())
    }

    /// A request is fulfilled, or refused.
    fn is_ready(&self, reply: Sender<Answer>, answer: Answer) {
        self.ready.borrow_mut().push((reply, answer));
    }

    /// Ends it.
    pub(super) fn close(&self) {
        let closed = self.open.take();
        drop(closed);
    }

    /// Notes why there is no socket, and says it once.
    fn failed(&self, path: &Path, error: &OpenError) {
        let why = error.to_string();
        let before = self.failed.replace(Some((Instant::now(), why.clone())));
        if before.is_none_or(|(_, said)| said != why) {
            log::error!("there is no control socket {}: {why}", path.display());
        }
    }

    fn is_due_again(&self) -> bool {
        self.failed.borrow().as_ref().is_some_and(|(at, _)| at.elapsed() >= AGAIN)
    }
}

impl Supervisor {
    /// Listens where the configuration says, if it does not do so already. What cannot be done is
    /// in the log, and tried again later: the scripts run without it.
    pub(super) fn open_control(&self) {
        let (path, group) = {
            let config = self.config.borrow();
            (config.control.clone(), config.control_group.clone())
        };
        let is_done = match self.control.open.borrow().as_ref().and_then(Unforked::get) {
            Some(open) => open.is_at(path.as_ref(), &group),
            None => path.is_none(),
        };
        if is_done {
            return;
        }
        self.control.close();
        let Some(path) = path else { return };
        let wake = self.reactor.waker().map_err(OpenError::from);
        match wake.and_then(|wake| Control::open(&path, &group, wake)) {
            Ok(control) => {
                // Whoever looks before the hub's next visit sees how it is now.
                self.take_snapshot(&control.shared);
                self.control.failed.take();
                self.control.open.replace(Some(Unforked::new(control)));
            }
            Err(error) => self.control.failed(&path, &error),
        }
    }

    /// Takes a snapshot if one is due, and acts on what was asked for.
    pub(super) fn serve_control(&self, host: &mut dyn Host) {
        let Some(shared) = self.control.shared() else {
            if self.control.is_due_again() {
                self.open_control();
            }
            return;
        };
        let now = u64::try_from(shared.start.elapsed().as_millis()).unwrap_or(u64::MAX);
        shared.looked.store(now, Ordering::Relaxed);
        self.take_snapshot(&shared);
        self.answer_ready(&shared);
        // A request may let the host come back here.
        if self.control.is_acting.replace(true) {
            return;
        }
        while let Some(act) = shared.next_act() {
            self.act(host, &shared, act);
            self.answer_ready(&shared);
        }
        self.control.is_acting.set(false);
        self.relay_all();
    }

    /// Sends the answers that are ready; whoever gets one and looks then sees what was done.
    fn answer_ready(&self, shared: &Shared) {
        if self.control.ready.borrow().is_empty() {
            return;
        }
        shared.is_snapshot_wanted.store(true, Ordering::Relaxed);
        self.take_snapshot(shared);
        for (reply, answer) in self.control.ready.take() {
            // Whoever asked may be gone.
            let _ = reply.try_send(answer);
        }
    }

    /// Where the hub waits for scripts and cannot act: whoever looks at it sees how they are now.
    #[inline]
    pub(super) fn show_to_control(&self) {
        let is_wanted = |control: &Control| control.shared.is_snapshot_wanted.load(Ordering::Relaxed);
        if self.control.open.borrow().as_ref().and_then(Unforked::get).is_some_and(is_wanted)
            && let Some(shared) = self.control.shared()
        {
            self.take_snapshot(&shared);
        }
    }

    fn take_snapshot(&self, shared: &Shared) {
        // Who has it copies it, and is done in a moment; then there is a next time.
        let Ok(mut snapshot) = shared.snapshot.try_lock() else { return shared.wake_hub() };
        let is_old = snapshot.at.is_none_or(|at| at.elapsed() >= SNAPSHOT);
        if !shared.is_snapshot_wanted.swap(false, Ordering::Relaxed) && !is_old {
            return;
        }
        let scripts = self.registry.snapshot();
        let seen = self.scripts().into_iter().zip(scripts).map(|(status, script)| Seen {
            status,
            output: script.output(),
            dump: script.process().and_then(|process| process.to_dump()),
        });
        snapshot.scripts = seen.collect();
        snapshot.number += 1;
        snapshot.at = Some(Instant::now());
        drop(snapshot);
        shared.taken.notify_all();
    }
}
