//! The library's one supervisor, between `w_Begin` and `w_End`: behind a lock, rebuilt after
//! a fork, with the options the host has set; what it does is left to the
//! [`supervisor`](crate::supervisor).

use std::cell::{Cell, RefCell};
use std::ffi::c_int;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, TryLockError};
use std::time::{SystemTime, UNIX_EPOCH};

use encoding_rs::Encoding;
use plugin_abi::{Call, Hook};

use super::chost::{CHost, Table};
use super::lock::{Guard, Reentrant};
use super::targs::Callback;
use super::{Fault, logger};
use crate::host::ScriptId;
use crate::supervisor::hook_board::HookBoard;
use crate::supervisor::visits;
use crate::supervisor::{Config, Identity, Supervisor};

/// What exists while scripts can run.
pub(crate) struct Running {
    pub(crate) supervisor: Supervisor,
    pub(crate) table: Table,
    encoding: Cell<Option<&'static Encoding>>,
}

impl Running {
    /// The hub's encoding; `None` is UTF-8.
    pub(crate) fn encoding(&self) -> Option<&'static Encoding> {
        self.encoding.get()
    }

    /// Before a script is loaded: what it can call is what the table has at this moment.
    pub(crate) fn notice_table(&self) {
        let has_ip_city = self.table.has(Call::GetIPCity);
        self.supervisor.configure(|config| config.has_ip_city = has_ip_city);
    }
}

struct Library {
    running: RefCell<Option<Rc<Running>>>,
    /// `None` until first needed, and while it is changed: a fork at that moment leaves the
    /// child without, not with half of it.
    config: Cell<Option<Box<Config>>>,
}

static LIBRARY: Reentrant<Library> =
    Reentrant::new(Library { running: RefCell::new(None), config: Cell::new(None) });

/// Set in the child of a fork, until the next call there.
static FORKED: AtomicBool = AtomicBool::new(false);

/// What is known without the lock. The clock is that of [`visits`]; its ticks are 0 here while
/// nothing runs.
struct Board {
    hooks: HookBoard,
    /// The tick at which scripts were served for the sake of this board.
    served: AtomicU64,
    /// The tick at which was noticed what is due.
    noticed: AtomicU64,
    /// How often was asked; two threads may count as one.
    asked: AtomicU32,
}

static BOARD: Board = Board {
    hooks: HookBoard::new(),
    served: AtomicU64::new(0),
    noticed: AtomicU64::new(0),
    asked: AtomicU32::new(0),
};

/// A host that asks without end is let in once in so many times: scripts' threads wait for it.
const ASKED: u32 = 256;

impl Board {
    #[inline]
    fn is_fresh(&self, since: &AtomicU64) -> bool {
        since.load(Ordering::Relaxed) == visits::tick() && !FORKED.load(Ordering::Relaxed)
    }

    /// Whether a host that asks is to be let in, however fresh the board is.
    #[inline]
    fn is_turn(&self) -> bool {
        let asked = self.asked.load(Ordering::Relaxed).wrapping_add(1);
        self.asked.store(asked, Ordering::Relaxed);
        asked.is_multiple_of(ASKED)
    }

    fn was_served(&self) {
        let tick = visits::tick();
        self.served.store(tick, Ordering::Relaxed);
        self.noticed.store(tick, Ordering::Relaxed);
    }

    /// Nothing runs any more.
    fn wipe(&self) {
        self.served.store(0, Ordering::Relaxed);
        self.noticed.store(0, Ordering::Relaxed);
    }
}

/// Handles that were freed, with the scripts whose they are; given back when a thread leaves.
static RELEASED: Mutex<Vec<(i32, u64)>> = Mutex::new(Vec::new());

/// One call of the host into the running library.
pub(crate) struct Visit {
    pub(crate) running: Rc<Running>,
    pub(crate) host: CHost,
    /// Whether it came from within one of the host's own functions.
    pub(crate) nested: bool,
    _lock: Guard<'static, Library>,
}

/// Lets the host in, waiting while another thread is inside, and does what is due.
pub(crate) fn visit<R>(work: impl FnOnce(&Running, &mut Visit) -> Result<R, Fault>) -> Result<R, Fault> {
    let mut visit = enter()?;
    let running = visit.running.clone();
    running.supervisor.visit(&mut visit.host);
    let result = work(&running, &mut visit);
    if !visit.nested {
        give_back(&running);
    }
    result
}

fn enter() -> Result<Visit, Fault> {
    let lock = LIBRARY.lock();
    notice_fork(&lock);
    let running = lock.running.borrow().clone().ok_or(Fault::NotBegun)?;
    Ok(Visit { host: CHost::new(running.clone()), nested: lock.depth() > 1, running, _lock: lock })
}

/// Whether a script has a hook. As in any visit, what is due is done; when that was just done,
/// the answer is read off the board, without the lock and without a system call.
pub(crate) fn has_hook(id: ScriptId, hook: Hook) -> Result<bool, Fault> {
    if BOARD.is_fresh(&BOARD.served)
        && !BOARD.is_turn()
        && let Some(has) = BOARD.hooks.has_hook(id, hook)
    {
        return Ok(has);
    }
    let mut visit = enter()?;
    let running = visit.running.clone();
    BOARD.was_served();
    if visit.nested {
        // A served call could lead here again, endlessly.
        running.supervisor.visit(&mut visit.host);
    } else {
        running.supervisor.serve(&mut visit.host);
        give_back(&running);
    }
    Ok(running.supervisor.has_hook(id, hook))
}

/// Whether any script has a hook. The host is not called meanwhile, whatever is due.
pub(crate) fn wants(hook: Hook) -> Result<bool, Fault> {
    if BOARD.is_fresh(&BOARD.noticed) {
        return Ok(BOARD.hooks.wants(hook));
    }
    let running = enter()?.running;
    BOARD.noticed.store(visits::tick(), Ordering::Relaxed);
    running.supervisor.glance();
    Ok(running.supervisor.wants(hook))
}

/// `w_Begin`. Ends what is running first.
///
/// # Safety
/// As [`Table::at`] asks, where the table stays until [`end`] or the next `begin`.
pub(crate) unsafe fn begin(places: *const Option<Callback>) -> Result<(), Fault> {
    logger::install();
    let lock = LIBRARY.lock();
    notice_fork(&lock);
    if lock.depth() > 1 {
        return Err(Fault::Refused("w_Begin cannot be called from one of its own callbacks".into()));
    }
    if let Some(running) = &*lock.running.borrow() {
        log::warn!("w_Begin without w_End: the scripts of the last time are unloaded");
        // Who left without a word may have taken the table along.
        running.table.forget();
    }
    if lock.running.borrow().is_some() {
        end_running(&lock);
    }
    watch_forks();
    let config = with_config(&lock, |config| config.clone());
    let encoding = encoding_of(&config.encoding);
    // SAFETY: as the caller promises.
    let table = unsafe { Table::at(places) };
    let supervisor = Supervisor::new(config).map_err(|error| Fault::Refused(error.to_string()))?;
    supervisor.publish_hooks(&BOARD.hooks);
    let running = Running { supervisor, table, encoding: Cell::new(encoding) };
    lock.running.replace(Some(Rc::new(running)));
    Ok(())
}

/// `w_End`.
pub(crate) fn end() -> Result<(), Fault> {
    let lock = LIBRARY.lock();
    notice_fork(&lock);
    if end_running(&lock) { Ok(()) } else { Err(Fault::NotBegun) }
}

fn end_running(lock: &Guard<'static, Library>) -> bool {
    let Some(running) = lock.running.borrow().clone() else { return false };
    running.supervisor.shutdown(&mut CHost::new(running.clone()));
    // Only now: what `shutdown` does in scripts may call the host, and the host the library.
    lock.running.take();
    BOARD.wipe();
    true
}

/// Changes the options, and the running supervisor's too, which may differ from them in what
/// operators have set since.
pub(crate) fn configure(change: impl Fn(&mut Config) -> Result<(), Fault>) -> Result<(), Fault> {
    let lock = LIBRARY.lock();
    notice_fork(&lock);
    with_config(&lock, |config| change(config))?;
    let encoding = with_config(&lock, |config| encoding_of(&config.encoding));
    let running = lock.running.borrow().clone();
    if let Some(running) = running {
        running.encoding.set(encoding);
        // It was good a moment ago, so it is good again.
        running.supervisor.configure(|config| drop(change(config)));
    }
    Ok(())
}

/// A copy of the options.
pub(crate) fn options() -> Config {
    with_config(&LIBRARY.lock(), |config| config.clone())
}

fn with_config<R>(lock: &Guard<'static, Library>, work: impl FnOnce(&mut Config) -> R) -> R {
    let mut config = lock.config.take().unwrap_or_else(|| {
        let mut config = defaults();
        super::plugin::options_from_environment(&mut config);
        Box::new(config)
    });
    let result = work(&mut config);
    lock.config.set(Some(config));
    result
}

fn defaults() -> Config {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let identity = Identity {
        basedir: std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/")),
        starttime: i64::try_from(now.as_secs()).unwrap_or_default(),
        ..Config::default().identity
    };
    Config { identity, ..Config::default() }
}

/// The encoding of a Python name; `None` is UTF-8, also for names nobody knows, whose
/// escapes in JSON then stay UTF-8.
pub(crate) fn encoding_of(name: &str) -> Option<&'static Encoding> {
    crate::encoding::of_name(name).filter(|&encoding| encoding != encoding_rs::UTF_8)
}

/// Notes that a script's object is needed no more. Never waits: this is called wherever a
/// host frees a result, and a host may hold locks of its own.
pub(crate) fn release(script: i32, handle: u64) {
    if handle == 0 || script < 0 {
        return;
    }
    // A handle that is not noted stays until its script ends. That happens only when another
    // thread panicked, or was lost in a fork, at this very place.
    for _ in 0..1000 {
        match RELEASED.try_lock() {
            Ok(mut released) => {
                released.push((script, handle));
                break;
            }
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            Err(TryLockError::Poisoned(_)) => break,
        }
    }
    if let Some(lock) = LIBRARY.try_lock()
        && lock.depth() == 1
        && let Ok(running) = lock.running.try_borrow()
        && let Some(running) = running.clone()
    {
        give_back(&running);
    }
}

fn give_back(running: &Running) {
    let released = match RELEASED.try_lock() {
        Ok(mut released) if !released.is_empty() => std::mem::take(&mut *released),
        _ => return,
    };
    for (script, handle) in released {
        running.supervisor.release(ScriptId(script), handle);
    }
}

/// In the child of a fork, before anything else there: the workers are the parent's, so the
/// scripts are started anew.
fn notice_fork(lock: &Guard<'static, Library>) {
    if !FORKED.load(Ordering::Relaxed) || !FORKED.swap(false, Ordering::Relaxed) {
        return;
    }
    if LIBRARY.take_torn() {
        // What the lost thread left half done must not be looked at, nor dropped.
        if let Ok(mut running) = lock.running.try_borrow_mut() {
            std::mem::forget(running.take());
            BOARD.wipe();
        }
        log::error!(
            "the process was forked while another thread was in the plugin: its scripts run in \
             the parent only; call w_Begin again and load them"
        );
        return;
    }
    let Some(running) = lock.running.borrow().clone() else { return };
    log::info!("the process was forked: its scripts are started anew");
    if let Err(error) = running.supervisor.after_fork(&mut CHost::new(running.clone())) {
        log::error!("no scripts run after the fork: {error}");
    }
}

/// A callback may have forked, and the child be the one that returns from it.
pub(crate) fn after_callback() {
    if FORKED.load(Ordering::Relaxed) {
        notice_fork(&LIBRARY.lock());
    }
}

fn watch_forks() {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    extern "C" fn in_child() {
        LIBRARY.in_child();
        FORKED.store(true, Ordering::Relaxed);
    }
    if !WATCHED.swap(true, Ordering::Relaxed) {
        // SAFETY: the handler only stores to atomics and cells of a lock that no other thread
        // of the child can hold; the library is never unmapped (build.rs).
        let failed: c_int = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
        if failed != 0 {
            log::warn!("forks cannot be noticed: after one, call w_End and w_Begin");
        }
    }
}
