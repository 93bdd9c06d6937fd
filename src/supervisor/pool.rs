//! Which script gets which process: the processes that are being started, and the spares, started
//! interpreters that wait to take over a script, so that a restart costs less than starting Python.
//!
//! Invariants: **a script gets a process of its own interpreter that is allowed what the hub is
//! allowed at this moment**; **no process is given to two scripts**: a spare that was taken is none
//! any more, and of a pending one the caller says whether a script waits for it; **no serial is used
//! twice**; **attempts at spares that come to nothing become rarer**.

use std::cell::{Cell, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::child::Child;
use super::credentials::{Credentials, umask};
use super::interpreter::{Interpreters, NotFound};
use super::output::Output;
use super::pending_spawn::{PendingSpawn, Recipe};
use super::process::Process;
use super::reactor::Helpers;
use super::restart::Pauses;
use super::worker_library::WorkerLibrary;

/// The processes of one hub that are not, or not yet, a script's.
pub(super) struct Pool {
    worker: WorkerLibrary,
    interpreters: Interpreters,
    next_serial: Cell<u64>,
    /// Processes that are being started, for scripts and as spares.
    pending: RefCell<Vec<PendingSpawn>>,
    /// Started interpreters without a script.
    spares: RefCell<Vec<Rc<Process>>>,
    /// No spare is started before this: the last one came to nothing.
    spares_from: Cell<Option<Instant>>,
    spare_pauses: RefCell<Pauses>,
}

/// What a process is allowed that the calling thread starts.
fn allowed_now() -> io::Result<(Credentials, Option<u32>)> {
    Ok((Credentials::of_this_thread()?, umask()))
}

impl Pool {
    /// A pool without processes; all will load this library.
    pub(super) fn new(worker: WorkerLibrary) -> Pool {
        Pool {
            worker,
            interpreters: Interpreters::default(),
            next_serial: Cell::new(1),
            pending: RefCell::default(),
            spares: RefCell::default(),
            spares_from: Cell::default(),
            spare_pauses: RefCell::default(),
        }
    }

    /// The interpreter for a script; `configured` is the hub's.
    pub(super) fn interpreter(&self, script: &Path, configured: Option<&Path>) -> Result<PathBuf, NotFound> {
        self.interpreters.for_script(script, configured)
    }

    /// Lets a process be started; its serial. [`Pool::started`] will give it.
    pub(super) fn spawn(
        &self,
        helpers: &Helpers,
        python: &Path,
        ring_bytes: usize,
        output: Arc<Output>,
    ) -> io::Result<u64> {
        let serial = self.next_serial.get();
        self.next_serial.set(serial + 1);
        let recipe = Recipe { python, worker: &self.worker, ring_bytes };
        let pending = PendingSpawn::begin(&recipe, serial, &helpers.spawner, &helpers.reader, output)?;
        self.pending.borrow_mut().push(pending);
        Ok(serial)
    }

    /// A process that is being started and that no script waits for: from now on it prints there,
    /// and the caller's script waits for it.
    pub(super) fn claim(
        &self,
        python: &Path,
        output: &Arc<Output>,
        is_awaited: impl Fn(u64) -> bool,
    ) -> Option<u64> {
        let (own, umask) = allowed_now().ok()?;
        let mut pending = self.pending.borrow_mut();
        let found = pending.iter_mut().find(|pending| {
            pending.python == python
                && pending.credentials == own
                && pending.umask == umask
                && !is_awaited(pending.serial)
        })?;
        found.output = output.clone();
        Some(found.serial)
    }

    /// Takes out the processes that were started, and those that could not be.
    pub(super) fn started(&self) -> Vec<(PendingSpawn, io::Result<Child>)> {
        let mut started = Vec::new();
        for pending in self.pending.take() {
            match pending.child() {
                None => self.pending.borrow_mut().push(pending),
                Some(child) => started.push((pending, child)),
            }
        }
        started
    }

    /// This process has no script.
    pub(super) fn add_spare(&self, spare: Rc<Process>) {
        self.spares.borrow_mut().push(spare);
    }

    /// A spare that runs this interpreter and is allowed what the hub is, if there is one.
    pub(super) fn take_spare(&self, python: &Path) -> Option<Rc<Process>> {
        self.end_foreign_spares();
        let mut spares = self.spares.borrow_mut();
        let at = spares.iter().position(|spare| spare.python == python && !spare.has_ended())?;
        self.spare_pauses.borrow_mut().end();
        Some(spares.swap_remove(at))
    }

    /// The spares. Nothing may be added or taken meanwhile.
    pub(super) fn with_spares(&self, work: impl FnMut(&Rc<Process>)) {
        self.spares.borrow().iter().for_each(work);
    }

    /// Ends those that were started when the hub was another user, or had another umask.
    fn end_foreign_spares(&self) {
        if self.spares.borrow().is_empty() {
            return;
        }
        let now = allowed_now().ok();
        self.keep_spares(|spare| {
            now.as_ref().is_some_and(|(own, umask)| *own == spare.credentials && *umask == spare.umask)
        });
    }

    /// Ends the spares of which this is not true.
    fn keep_spares(&self, is_kept: impl Fn(&Process) -> bool) {
        let (kept, others) = self.spares.take().into_iter().partition(|spare| is_kept(spare));
        self.spares.replace(kept);
        // Each takes about a millisecond to end.
        drop::<Vec<Rc<Process>>>(others);
    }

    /// Ends the spares that nobody can use. Gives the interpreters among these of which a spare
    /// is to be started now.
    pub(super) fn missing_spares(
        &self,
        mut wanted: Vec<PathBuf>,
        now: Instant,
        is_awaited: impl Fn(u64) -> bool,
    ) -> Vec<PathBuf> {
        self.end_foreign_spares();
        self.keep_spares(|spare| wanted.contains(&spare.python));
        if self.spares_from.get().is_some_and(|from| now < from) {
            return Vec::new();
        }
        self.spares_from.set(None);
        let (spares, pending) = (self.spares.borrow(), self.pending.borrow());
        wanted.retain(|python| {
            let is_pending =
                |pending: &PendingSpawn| pending.python == *python && !is_awaited(pending.serial);
            !spares.iter().any(|spare| spare.python == *python) && !pending.iter().any(is_pending)
        });
        wanted
    }

    /// A spare came to nothing: for how long there is no other attempt. Scripts do without a spare
    /// meanwhile; what is wrong may stay wrong for long, and need not be said every second.
    pub(super) fn spare_failed(&self, now: Instant) -> Duration {
        let pause = self.spare_pauses.borrow_mut().another();
        self.spares_from.set(Some(now + pause));
        pause
    }

    /// When the next spare may be started, if that is to be awaited.
    pub(super) fn spares_from(&self) -> Option<Instant> {
        self.spares_from.get()
    }

    /// A process has ended, so it is no spare.
    pub(super) fn remove_spare(&self, serial: u64) {
        self.spares.borrow_mut().retain(|spare| spare.serial != serial);
    }

    /// Ends all processes, and waits until they have ended.
    pub(super) fn end_all(&self) {
        self.pending.take().into_iter().for_each(PendingSpawn::abort);
        self.spares.take();
    }

    /// Lets go of all processes: they end without being waited for.
    pub(super) fn clear(&self) {
        self.pending.take();
        self.spares.take();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::pending_spawn::tests::a_pending_process;
    use crate::supervisor::process::tests::{a_process, a_process_of};
    use crate::supervisor::reactor::Reactor;

    const NOBODY: fn(u64) -> bool = |_| false;

    fn a_pool() -> (Pool, Rc<Helpers>) {
        let helpers = Reactor::start().unwrap().helpers();
        (Pool::new(WorkerLibrary::of_tests()), helpers)
    }

    fn serial(spare: Option<Rc<Process>>) -> Option<u64> {
        spare.map(|spare| spare.serial)
    }

    #[test]
    fn a_spare_goes_to_one_script_and_only_to_one_of_its_interpreter() {
        let (pool, helpers) = a_pool();
        pool.add_spare(a_process(&helpers, 7));
        assert_eq!(serial(pool.take_spare(Path::new("/bin/python"))), None);
        assert_eq!(serial(pool.take_spare(Path::new("/bin/sleep"))), Some(7));
        assert_eq!(serial(pool.take_spare(Path::new("/bin/sleep"))), None);
    }

    #[test]
    fn a_spare_that_has_ended_or_is_allowed_something_else_is_no_use() {
        let (pool, helpers) = a_pool();
        let ended = a_process(&helpers, 7);
        ended.signal(libc::SIGKILL);
        let start = Instant::now();
        while !ended.has_ended() {
            assert!(start.elapsed() < Duration::from_secs(60), "waiting for the end of a process");
            std::thread::yield_now();
        }
        pool.add_spare(ended);
        let mut foreign = a_pending_process(&helpers, 8);
        foreign.umask = Some(0o7070);
        pool.add_spare(a_process_of(foreign));
        assert_eq!(serial(pool.take_spare(Path::new("/bin/sleep"))), None);
        let mut left = Vec::new();
        pool.with_spares(|spare| left.push(spare.serial));
        assert_eq!(left, [7], "the foreign one is ended; the other's end is noticed elsewhere");
        pool.remove_spare(7);
        pool.with_spares(|spare| panic!("{} is left", spare.serial));
    }

    #[test]
    fn a_pending_process_goes_to_one_script_and_only_to_one_of_its_interpreter() {
        let (pool, helpers) = a_pool();
        let output = Output::new("test");
        for serial in [7, 8] {
            pool.pending.borrow_mut().push(a_pending_process(&helpers, serial));
        }
        assert_eq!(pool.claim(Path::new("/bin/python"), &output, NOBODY), None);
        let python = Path::new("/bin/sleep");
        assert_eq!(pool.claim(python, &output, |serial| serial == 7), Some(8));
        assert_eq!(pool.claim(python, &output, |_| true), None);
        assert!(Arc::ptr_eq(&pool.pending.borrow()[1].output, &output), "what it prints is the script's");
        pool.pending.borrow_mut()[0].umask = Some(0o7070);
        assert_eq!(pool.claim(python, &output, |serial| serial == 8), None, "it is allowed something else");
    }

    #[test]
    fn no_serial_is_used_twice_and_all_that_was_asked_for_comes() {
        let (pool, helpers) = a_pool();
        let spawn =
            |python: &str| pool.spawn(&helpers, Path::new(python), 1 << 16, Output::new("test")).unwrap();
        let (first, second) = (spawn("/bin/true"), spawn("/nowhere/python"));
        let start = Instant::now();
        let mut come = Vec::new();
        while come.len() < 2 {
            assert!(start.elapsed() < Duration::from_secs(60), "waiting for two processes");
            come.extend(pool.started().into_iter().map(|(pending, child)| (pending.serial, child.is_ok())));
        }
        come.sort();
        assert_eq!(come, [(first, true), (second, false)]);
        assert_eq!(spawn("/bin/true"), second + 1);
        pool.end_all();
        assert!(pool.started().is_empty());
    }

    #[test]
    fn there_is_one_spare_for_each_interpreter_in_use() {
        let (pool, helpers) = a_pool();
        let now = Instant::now();
        let missing = |wanted: &[&str], is_awaited: fn(u64) -> bool| {
            pool.missing_spares(wanted.iter().map(PathBuf::from).collect(), now, is_awaited)
        };
        assert_eq!(missing(&["/bin/sleep", "/bin/python"], NOBODY).len(), 2);
        pool.add_spare(a_process(&helpers, 7));
        assert_eq!(missing(&["/bin/sleep", "/bin/python"], NOBODY), [Path::new("/bin/python")]);
        // Nobody uses it any more.
        assert_eq!(missing(&["/bin/python"], NOBODY), [Path::new("/bin/python")]);
        pool.with_spares(|spare| panic!("{} is left", spare.serial));
        // One that is being started counts, unless it is a script's.
        pool.pending.borrow_mut().push(a_pending_process(&helpers, 8));
        assert!(missing(&["/bin/sleep"], NOBODY).is_empty());
        assert_eq!(missing(&["/bin/sleep"], |serial| serial == 8), [Path::new("/bin/sleep")]);
    }

    #[test]
    fn attempts_that_fail_become_rarer() {
        let (pool, helpers) = a_pool();
        let python = PathBuf::from("/bin/sleep");
        let mut now = Instant::now();
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let pause = Duration::from_secs(seconds);
            assert_eq!(pool.spare_failed(now), pause);
            assert_eq!(pool.spares_from(), Some(now + pause));
            let before = now + pause - Duration::from_nanos(1);
            assert!(pool.missing_spares(vec![python.clone()], before, NOBODY).is_empty());
            now += pause;
            assert_eq!(pool.missing_spares(vec![python.clone()], now, NOBODY).len(), 1);
            assert_eq!(pool.spares_from(), None);
        }
        // One that was of use ends the series.
        pool.add_spare(a_process(&helpers, 7));
        assert!(pool.take_spare(&python).is_some());
        assert_eq!(pool.spare_failed(now), Duration::from_secs(1));
    }
}
