//! The library's one supervisor, between `w_Begin` and `w_End`: behind a lock, rebuilt after
//! a fork, with the options the host has set; what it does is left to the
//! [`supervisor`](crate::supervisor).

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::atomic::Ordering;

use plugin_abi::Hook;

use super::board::BOARD;
use super::chost::CHost;
use super::fault::Fault;
use super::lock::{Guard, Reentrant};
use super::options::{self, encoding_of};
use super::running::Running;
use super::table::Table;
use super::targs::Callback;
use super::{forks, handles, logger};
use crate::supervisor::ScriptId;
use crate::supervisor::pace;
use crate::supervisor::{Config, Supervisor};

struct Library {
    running: RefCell<Option<Rc<Running>>>,
    /// `None` until first needed, and while it is changed: a fork at that moment leaves the
    /// child without, not with half of it.
    config: Cell<Option<Box<Config>>>,
}

static LIBRARY: Reentrant<Library> =
    Reentrant::new(Library { running: RefCell::new(None), config: Cell::new(None) });

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
    BOARD.noticed.store(pace::tick(), Ordering::Relaxed);
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
    forks::register(|| LIBRARY.in_child());
    handles::when_released(give_back_if_idle);
    let config = with_config(&lock, |config| config.clone());
    let encoding = encoding_of(&config.encoding);
    // SAFETY: as the caller promises.
    let table = unsafe { Table::at(places) };
    let supervisor = Supervisor::new(config).map_err(|error| Fault::Refused(error.to_string()))?;
    supervisor.serve_metrics_when_possible();
    supervisor.publish_hooks(&BOARD.hooks);
    let running =
        Running { supervisor, table, encoding: Cell::new(encoding), done: Cell::new(None), after_callback };
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
        running.supervisor.serve_metrics_when_possible();
    }
    Ok(())
}

/// A copy of the options.
pub(crate) fn options() -> Config {
    with_config(&LIBRARY.lock(), |config| config.clone())
}

fn with_config<R>(lock: &Guard<'static, Library>, work: impl FnOnce(&mut Config) -> R) -> R {
    let mut config = lock.config.take().unwrap_or_else(|| Box::new(options::defaults()));
    let result = work(&mut config);
    lock.config.set(Some(config));
    result
}

fn give_back(running: &Running) {
    for (script, handle) in handles::take_released() {
        running.supervisor.release(ScriptId(script), handle);
    }
}

/// Gives handles back at once if no thread is in the library.
fn give_back_if_idle() {
    if let Some(lock) = LIBRARY.try_lock()
        && lock.depth() == 1
        && let Ok(running) = lock.running.try_borrow()
        && let Some(running) = running.clone()
    {
        give_back(&running);
    }
}

/// In the child of a fork, before anything else there: the workers are the parent's, so the
/// scripts are started anew.
fn notice_fork(lock: &Guard<'static, Library>) {
    if !forks::notice() {
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
fn after_callback() {
    if forks::is_unnoticed() {
        notice_fork(&LIBRARY.lock());
    }
}
