//! One worker process and what is outstanding with it; when to start or end it is decided by
//! the supervisor.

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use plugin_abi::Answer;
use plugin_abi::asleep::{Asleep, Place, Processor};
use plugin_abi::figures::Figures;
use plugin_abi::frame::FrameError;
use plugin_abi::link::{HubEnd, Woken};
use plugin_abi::ring::{Corrupt, Push};
use plugin_abi::wait::{Oversubscription, SHORT};
use smallvec::SmallVec;

use super::child::{Child, Exit, Signaller};
use super::config::Limits;
use super::counts::Claims;
use super::credentials::Credentials;
use super::debugger::{Attached, OpenPdb};
use super::limits;
use super::output::Output;
use super::pending_spawn::PendingSpawn;
use super::room::Room;
use super::script::Script;
use super::version::Sources;

/// What became of an event or function call.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// The answer to an event.
    Answered(Answer<'static>),
    /// The result of a function: the frame that brought it, read once and found right.
    Returned(Vec<u8>),
    /// The function is missing or raised.
    Raised(String),
    /// There will be no answer in time.
    Gone {
        /// Whether the worker had read the frame. One that had not can be given to the next
        /// process without the script seeing it twice.
        taken: bool,
        /// Why.
        why: Gone,
    },
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gone {
    /// The process ended.
    Died,
    /// It took longer than it may.
    Overran,
}

/// An event or function call that waits for its outcome.
#[derive(Debug)]
struct Pending {
    seq: u64,
    /// Where its frame begins.
    sent: u64,
    /// What the script had been kept waiting before.
    kept: Duration,
    outcome: Option<Outcome>,
}

/// How far the worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Its interpreter starts.
    Started,
    /// It waits for a script.
    Waiting,
    /// It compiles the script's source.
    Preparing,
    /// It runs the script's top level.
    Loading,
    /// It serves events.
    Serving,
    /// `UnLoad()` has run.
    Unloaded,
}

/// The worker wrote something that no worker of ours writes.
#[derive(Debug, thiserror::Error)]
pub enum Violation {
    /// The ring itself is wrong.
    #[error("{0}")]
    Ring(#[from] Corrupt),
    /// A frame is wrong.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// It makes room for what it is sent again and again at the last moment.
    #[error("it reads what it is sent too slowly, and keeps the hub waiting")]
    TooSlow,
    /// A frame at a time when it makes no sense.
    #[error("{0}")]
    Unexpected(String),
}

/// A worker process.
#[derive(Debug)]
pub struct Process {
    /// Never used twice by one supervisor, unlike `pid`.
    pub serial: u64,
    /// The process's number.
    pub pid: libc::pid_t,
    child: Child,
    /// The interpreter it runs.
    pub python: PathBuf,
    /// What it was allowed when it was started.
    pub credentials: Credentials,
    /// What its files may not allow, if that is known.
    pub umask: Option<u32>,
    /// What it prints.
    pub output: RefCell<Arc<Output>>,
    /// How far it has come.
    pub phase: Cell<Phase>,
    /// The script it runs; a spare has none.
    pub script: RefCell<Weak<Script>>,
    /// Set when its end was noticed.
    pub dead: Cell<bool>,
    /// Why the supervisor ended it.
    pub killed_for: RefCell<Option<String>>,
    link: RefCell<HubEnd>,
    pending: RefCell<SmallVec<[Pending; 4]>>,
    /// Events whose answer nobody waits for any more.
    abandoned: RefCell<Vec<u64>>,
    oversubscription: Cell<Oversubscription>,
    /// When it was last asked alone, in the supervisor's count of such events.
    turn: Cell<u64>,
    /// For how many more events it may be on the processor where it slept.
    here: Cell<u8>,
    /// What it may use.
    limits: Cell<Limits>,
    is_limited: Cell<bool>,
    /// Set when its interpreter has started, and knows what signals of the hub's mean.
    pub is_up: Cell<bool>,
    /// Set when its stack was asked for before it is killed.
    pub dumped: Cell<bool>,
    /// Set when it was ended because it had closed its end of the doorbell.
    hung_up: Cell<bool>,
    /// How much the hub has waited for room in its ring.
    room: Cell<Room>,
    /// What it has put off until no event is in flight, up to which number; 0 is nothing.
    pub later: Cell<u64>,
    /// What it has loaded until its script serves.
    pub sources: RefCell<Sources>,
    /// Who debugs it.
    pub attached: RefCell<Option<Attached>>,
    /// Whether its debugger is open.
    pub pdb: Cell<Option<OpenPdb>>,
    /// When it was there.
    pub born: Instant,
    figures: Figures,
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl Process {
    /// The process that was started.
    pub fn new(pending: PendingSpawn, child: Child) -> Rc<Process> {
        let figures = pending.link.figures();
        Rc::new(Process {
            serial: pending.serial,
            pid: child.pid,
            child,
            python: pending.python,
            credentials: pending.credentials,
            umask: pending.umask,
            output: RefCell::new(pending.output),
            phase: Cell::new(Phase::Started),
            script: RefCell::default(),
            dead: Cell::new(false),
            killed_for: RefCell::default(),
            link: RefCell::new(pending.link),
            pending: RefCell::default(),
            abandoned: RefCell::default(),
            oversubscription: Cell::new(Oversubscription::NONE),
            turn: Cell::new(0),
            here: Cell::new(0),
            limits: Cell::default(),
            is_limited: Cell::new(false),
            is_up: Cell::new(false),
            dumped: Cell::new(false),
            hung_up: Cell::new(false),
            room: Cell::default(),
            later: Cell::new(0),
            sources: RefCell::default(),
            attached: RefCell::default(),
            pdb: Cell::default(),
            born: Instant::now(),
            figures,
        })
    }

    /// Sets what it may use, before it gets its script; once, since niceness adds up.
    pub fn limit(&self, limits: Limits, inherited_files: Option<u64>) -> io::Result<()> {
        if self.is_limited.replace(true) {
            return Ok(());
        }
        self.limits.set(limits);
        match limits::apply(self.pid, &limits, inherited_files) {
            // It has ended, which will be noticed.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            applied => applied,
        }
    }

    /// Readable when the process has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.child.pidfd()
    }

    /// Readable when the worker has something to say. The descriptor lives as long as `self`.
    pub fn with_doorbell<R>(&self, with: impl FnOnce(BorrowedFd<'_>) -> R) -> R {
        with(self.link.borrow().doorbell())
    }

    /// Makes the doorbell unreadable again. False when the worker has closed its end.
    pub fn silence(&self) -> bool {
        self.link.borrow().silence()
    }

    /// Asks to be woken; false when there is something already. Of a process that is being
    /// killed only its end matters.
    pub fn arm(&self) -> bool {
        self.dead.get() || self.killed_for.borrow().is_some() || self.link.borrow().arm()
    }

    /// The opposite of [`Process::arm`].
    pub fn disarm(&self) {
        if !self.dead.get() {
            self.link.borrow().disarm();
        }
    }

    /// Whether a frame may have arrived. One load.
    #[inline]
    pub fn is_ready(&self) -> bool {
        !self.dead.get() && self.link.borrow().is_ready()
    }

    /// Puts the next frame into `frame`; false when none is complete.
    #[inline]
    pub fn receive(&self, frame: &mut Vec<u8>) -> Result<bool, Violation> {
        Ok(!self.dead.get() && self.link.borrow_mut().receive(frame)?)
    }

    /// It has ended: what it left is read, and nothing that comes after it.
    pub fn expect_no_more(&self) {
        self.link.borrow_mut().expect_no_more();
    }

    /// Sends a frame if there is room for it at once.
    #[inline]
    pub fn try_send(&self, frame: &[u8]) -> Result<Push, Violation> {
        if self.dead.get() {
            return Ok(Push::Done);
        }
        Ok(self.link.borrow_mut().try_send(frame)?)
    }

    /// Sends a frame of any length and waits for room until `deadline`, but over time no longer
    /// than `budget` allows. False when the worker did not make room: it cannot be used any more,
    /// because half a frame may be in the ring.
    pub fn send(&self, frame: &[u8], deadline: Instant, budget: Duration) -> Result<bool, Violation> {
        if self.dead.get() {
            return Ok(true);
        }
        let start = Instant::now();
        let go_on = || !self.has_ended() && Instant::now() < deadline;
        let sent = self.link.borrow_mut().send(frame, go_on)?;
        if !sent {
            return Ok(self.has_ended());
        }
        let end = Instant::now();
        let mut room = self.room.get();
        let is_tolerable = room.waited(end, end - start, frame.len(), budget);
        self.room.set(room);
        if is_tolerable { Ok(true) } else { Err(Violation::TooSlow) }
    }

    /// How the worker was woken if it slept when it was last sent something; told once.
    #[inline]
    pub fn woken(&self) -> Option<Woken> {
        self.link.borrow().woken()
    }

    /// Says where the worker is to sleep.
    #[inline]
    pub fn set_place(&self, place: Place) {
        if !self.dead.get() {
            self.link.borrow().set_place(place);
        }
    }

    /// Whether it has been woken on this very processor, or is still there: then it waits for the
    /// caller to let it run.
    #[inline]
    pub fn is_here(&self, woken: Option<Woken>) -> bool {
        let left = match woken {
            Some(woken) => u8::from(slept_here(woken)) * (SHORT + 1),
            None => self.here.get(),
        };
        if left > 0 {
            self.here.set(left - 1);
        }
        left > 0
    }

    /// How many scripts are asked one by one in turns with this one, which is among them.
    #[inline]
    pub fn turns_since(&self, turn: u64) -> usize {
        let since = turn.saturating_sub(self.turn.replace(turn));
        // One that is asked seldom takes no turns.
        usize::try_from(since).ok().filter(|since| *since <= TURNS).unwrap_or(1)
    }

    /// Tells the worker how many threads are hot.
    #[inline]
    pub fn set_oversubscription(&self, oversubscription: Oversubscription) {
        if self.oversubscription.replace(oversubscription) != oversubscription && !self.dead.get() {
            self.link.borrow().set_oversubscription(oversubscription);
        }
    }

    /// Notes that an outcome is awaited of the frame that is sent next, and for how long the
    /// script has been kept waiting before.
    #[inline]
    pub fn expect(&self, seq: u64, kept: Duration) {
        let sent = self.link.borrow().position();
        self.pending.borrow_mut().push(Pending { seq, sent, kept, outcome: None });
    }

    /// Whether the outcome is still awaited.
    #[inline]
    pub fn awaits(&self, seq: u64) -> bool {
        self.pending.borrow().iter().any(|pending| pending.seq == seq && pending.outcome.is_none())
    }

    /// For how long the script had been kept waiting when this was sent.
    pub fn kept_before(&self, seq: u64) -> Duration {
        let pending = self.pending.borrow();
        pending.iter().find(|pending| pending.seq == seq).map_or(Duration::ZERO, |pending| pending.kept)
    }

    /// Whether any outcome is awaited: the script is inside a hook or function.
    pub fn is_busy(&self) -> bool {
        !self.pending.borrow().is_empty()
    }

    /// Takes the outcome and forgets that it was awaited.
    #[inline]
    pub fn take(&self, seq: u64) -> Option<Outcome> {
        let mut pending = self.pending.borrow_mut();
        let at = pending.iter().position(|pending| pending.seq == seq)?;
        pending.swap_remove(at).outcome
    }

    /// Notes an outcome. An answer that nobody asked for is a violation.
    #[inline]
    pub fn settle(&self, seq: u64, outcome: Outcome) -> Result<(), Violation> {
        let mut pending = self.pending.borrow_mut();
        if let Some(found) =
            pending.iter_mut().find(|pending| pending.seq == seq && pending.outcome.is_none())
        {
            found.outcome = Some(outcome);
            return Ok(());
        }
        let mut abandoned = self.abandoned.borrow_mut();
        match abandoned.iter().position(|known| *known == seq) {
            Some(at) => {
                abandoned.swap_remove(at);
                Ok(())
            }
            None => Err(Violation::Unexpected(format!("an answer to event {seq}, which it was not given"))),
        }
    }

    /// Gives up waiting for an outcome; a late one will be accepted and ignored.
    pub fn abandon(&self, seq: u64) {
        for pending in self.pending.borrow_mut().iter_mut() {
            if pending.seq == seq && pending.outcome.is_none() {
                pending.outcome = Some(Outcome::Gone { taken: true, why: Gone::Overran });
                self.abandoned.borrow_mut().push(seq);
            }
        }
    }

    /// Whether pdb is open in it: its deadlines stand still.
    pub fn is_debugged(&self) -> bool {
        self.pdb.get().is_some()
    }

    /// Gives up waiting for all that is awaited.
    pub fn abandon_all(&self) {
        let open: SmallVec<[u64; 4]> = self.pending.borrow().iter().map(|pending| pending.seq).collect();
        open.into_iter().for_each(|seq| self.abandon(seq));
    }

    /// Whether it owes no answer that was given up.
    pub fn has_caught_up(&self) -> bool {
        self.abandoned.borrow().is_empty()
    }

    /// Settles everything that is awaited: the process is dead.
    pub fn fail_pending(&self) {
        for pending in self.pending.borrow_mut().iter_mut() {
            if pending.outcome.is_none() {
                let taken = self.link.borrow().has_read(pending.sent);
                pending.outcome = Some(Outcome::Gone { taken, why: Gone::Died });
            }
        }
    }

    /// Whether the process has ended, noticed or not.
    pub fn has_ended(&self) -> bool {
        self.dead.get() || self.child.has_ended()
    }

    /// Sends a signal to the process. One that the hub may not signal, because it has become
    /// another user since, can only be ended.
    pub fn signal(&self, number: i32) {
        let Err(error) = self.child.signal(number) else { return };
        if number == libc::SIGKILL {
            self.link.borrow_mut().let_go();
        } else {
            log::warn!("process {} does not get signal {number}: {error}", self.pid);
        }
    }

    /// What another thread may ask for its stacks by: `None` while an interpreter that still starts
    /// would die of the signal.
    pub fn to_dump(&self) -> Option<Signaller> {
        let knows_it = self.is_up.get() && matches!(self.phase.get(), Phase::Loading | Phase::Serving);
        knows_it.then(|| self.child.signaller().ok()).flatten()
    }

    /// Its end of the doorbell is closed: either it is ending, or it can wake nobody any more, and
    /// is ended.
    pub fn hang_up(&self) {
        self.hung_up.set(self.is_exiting() == Some(false));
        self.signal(libc::SIGKILL);
    }

    /// Whether it has begun to exit, which closes its descriptors before its end can be noticed.
    fn is_exiting(&self) -> Option<bool> {
        const PF_EXITING: u64 = 4;
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid)).ok()?;
        // Behind the name, which may hold anything.
        let (_, fields) = stat.rsplit_once(')')?;
        let flags: u64 = fields.split_whitespace().nth(6)?.parse().ok()?;
        Some(flags & PF_EXITING != 0)
    }

    /// Kills the process, and says in the log why.
    pub fn kill(&self, why: String) {
        self.killed_for.borrow_mut().get_or_insert(why);
        self.signal(libc::SIGKILL);
    }

    /// Ends what the script has started in its process group, and takes its status. Call it
    /// only when the process has ended.
    pub fn reap(&self) -> Exit {
        self.child.reap()
    }

    /// How it ended, with the limit that ended it if that can be told.
    pub fn explain(&self, exit: Exit) -> String {
        // One that was ending anyway has its own reason.
        if self.hung_up.get() && matches!(exit, Exit::Signal(libc::SIGKILL) | Exit::Unknown) {
            return HUNG_UP.into();
        }
        limits::explain(&self.limits.get(), exit)
    }

    /// After a fork: the process belongs to the parent, and so do its answers; nothing is
    /// read from it or written to it any more. Events that it was given are not given again.
    pub fn disown(&self) {
        self.dead.set(true);
        for pending in self.pending.borrow_mut().iter_mut() {
            pending.outcome.get_or_insert(Outcome::Gone { taken: true, why: Gone::Died });
        }
    }

    /// What it says of itself, and what can be true of it.
    pub fn claims(&self) -> Claims<'_> {
        Claims { figures: &self.figures, age: self.born.elapsed(), processor: self.processor() }
    }

    /// From when on it reports a hook as slow.
    pub fn set_slow_hook(&self, slow: Duration) {
        if !self.dead.get() {
            self.figures.set_slow(nanoseconds(slow));
        }
    }

    /// The processor time of all its threads until now; as long as it was not reaped also of one
    /// that has ended.
    fn processor(&self) -> Option<Duration> {
        nix::time::ClockId::pid_cpu_clock_id(nix::unistd::Pid::from_raw(self.pid))
            .and_then(nix::time::clock_gettime)
            .ok()
            .map(Duration::from)
    }

    /// Resident memory in bytes.
    pub fn memory(&self) -> Option<u64> {
        let statm = std::fs::read_to_string(format!("/proc/{}/statm", self.pid)).ok()?;
        let pages: u64 = statm.split(' ').nth(1)?.parse().ok()?;
        Some(pages * page_size())
    }
}

impl Drop for Process {
    /// Before the child's own end, which waits for it.
    fn drop(&mut self) {
        if !self.dead.get() {
            self.signal(libc::SIGKILL);
        }
    }
}

/// More scripts than these do not take turns.
const TURNS: usize = 64;

/// Whether it says that it slept on the processor that this thread runs on.
fn slept_here(woken: Woken) -> bool {
    matches!(woken.asleep, Asleep::At(processor) if Processor::current() == Some(processor))
}

/// What became of a process that can wake nobody.
const HUNG_UP: &str = "it closed a descriptor of its link to the hub, or ran another program in its own \
                       place (exec): a script must close only what it has opened";

fn page_size() -> u64 {
    // SAFETY: a call without pointers.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::pending_spawn::tests::a_pending_process;
    use super::super::reactor::Helpers;
    use super::*;

    /// A process without Python: it says nothing, and lives until it is ended.
    pub(in super::super) fn a_process(helpers: &Helpers, serial: u64) -> Rc<Process> {
        a_process_of(a_pending_process(helpers, serial))
    }

    /// What becomes of this one.
    pub(in super::super) fn a_process_of(pending: PendingSpawn) -> Rc<Process> {
        let start = Instant::now();
        let child = loop {
            if let Some(child) = pending.child() {
                break child.unwrap();
            }
            assert!(start.elapsed() < Duration::from_secs(60), "waiting for a process to be started");
            std::thread::yield_now();
        };
        Process::new(pending, child)
    }
}
