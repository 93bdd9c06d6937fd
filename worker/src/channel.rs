//! The worker's end of the link, shared by all of the script's threads; what frames mean is
//! left to [`serve`](crate::serve) and [`call`](crate::call).
//!
//! # Who reads
//!
//! Everything here is guarded by the GIL, so that the main thread alone pays for no lock. A
//! thread that waits for the hub first looks with the GIL held; if nothing comes it gives up
//! the GIL and becomes the *leader*, the one thread that watches the ring. Others that wait
//! meanwhile sleep on a [`Waiter`] of their own. The leader hands on what is not its own: a
//! reply to the thread that called, everything else to the main thread. A leader that has
//! what it waited for, or that goes on to run Python code, wakes one of the others to lead.
//!
//! # Who writes
//!
//! Any thread, with the GIL held, as long as the ring has room. When it has none, the writer
//! gives up the GIL and, while it waits for room, keeps frames that arrive, since the hub may
//! be waiting for room, too. Other writers wait for their turn.

use std::cell::UnsafeCell;
use std::collections::VecDeque;
use std::fmt::Display;
use std::io::Write;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use plugin_abi::figures::{Figures, coarse_clock};
use plugin_abi::frame::FrameError;
use plugin_abi::link::{self, Broken, Notify, Waker, WorkerFds, WorkerReceiver, WorkerSender};
use plugin_abi::ring::Push;
use plugin_abi::start::LINK_BROKEN;
use plugin_abi::{FromWorker, ToWorker};
use pyo3::ffi;

use crate::children::ELSEWHERE;
use crate::py::{Exception, Gil, GilCell, PyResult, Raised, clear_error, import, raise};

/// A call that comes after the end, or waits for it: raises, so that the thread can end. A daemon
/// thread, for which nobody waits, stands still instead, as Python's own do from then on: its
/// traceback would meet the finalisation of the streams, for which Python 3.13 aborts.
#[cold]
fn ended(gil: Gil, reason: &str) -> Raised {
    if is_daemon(gil) {
        gil.release(|| {
            loop {
                std::thread::park();
            }
        });
    }
    raise(gil, Exception::Runtime, reason)
}

/// Whether Python does not wait for the thread that calls this, in the end.
fn is_daemon(gil: Gil) -> bool {
    let ask = || import(gil, c"threading")?.attr(c"current_thread")?.call(gil, [])?.attr(c"daemon");
    match ask() {
        // SAFETY: the GIL is held and the object is alive.
        Ok(answer) => answer.raw() == unsafe { ffi::Py_True() },
        Err(Raised) => {
            clear_error();
            false
        }
    }
}

/// How often a waiting thread looks before it gives up the GIL: about a microsecond.
const LOOKS: u32 = 48;

/// How long the main thread sleeps at most while another thread leads: Python's signal
/// handlers run on it alone, and a condition variable is deaf to signals.
const SIGNALS: Duration = Duration::from_millis(100);

/// The worker's end of the link.
pub struct Channel {
    /// Used with the GIL held while nobody is `sending`, or by the one who is.
    sender: UnsafeCell<WorkerSender>,
    /// Used with the GIL held while there is no leader, or by the leader.
    receiver: UnsafeCell<WorkerReceiver>,
    state: GilCell<State>,
    waker: Waker,
    figures: Figures,
    main: libc::pthread_t,
    /// What the main thread does with a frame that is no reply.
    nested: Nested,
}

/// Does what a frame asks for that is no reply; also while the main thread waits for one.
pub type Nested = fn(Gil, &'static Channel, ToWorker<'_>) -> PyResult<()>;

// SAFETY: see the fields; the GIL or the flags in `state` give one thread at a time access.
unsafe impl Sync for Channel {}
// SAFETY: nothing in it belongs to a thread.
unsafe impl Send for Channel {}

struct State {
    next_id: u64,
    leader: bool,
    sending: bool,
    closed: bool,
    /// The hub waits for the main thread, in an event or function that is not an observer's.
    awaited: bool,
    /// The script shall be unloaded, and how long that may take.
    unload: Option<Duration>,
    /// The main thread has waited for more than a microsecond since it was asked last.
    has_waited: bool,
    /// For how many nanoseconds it has waited for replies.
    waited: u64,
    /// Threads that sleep on a waiter.
    sleepers: usize,
    /// Frames for the main thread that others took from the ring.
    inbox: VecDeque<Vec<u8>>,
    main_waiter: Option<Arc<Waiter>>,
    pending: Vec<Pending>,
    buffers: Vec<Vec<u8>>,
}

/// A call that waits for its reply.
struct Pending {
    id: u64,
    waiter: Option<Arc<Waiter>>,
    reply: Option<Vec<u8>>,
}

/// Where one thread sleeps while another leads.
#[derive(Default)]
struct Waiter {
    woken: Mutex<bool>,
    changed: Condvar,
}

impl Waiter {
    fn wake(&self) {
        *self.woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    fn wait(&self, limit: Option<Duration>) {
        let mut woken = self.woken.lock().unwrap_or_else(PoisonError::into_inner);
        while !*woken {
            woken = match limit {
                None => self.changed.wait(woken).unwrap_or_else(PoisonError::into_inner),
                Some(limit) => {
                    let waited = self.changed.wait_timeout(woken, limit);
                    let (woken, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
                    if timeout.timed_out() {
                        return;
                    }
                    woken
                }
            };
        }
        *woken = false;
    }
}

static CHANNEL: OnceLock<Channel> = OnceLock::new();
/// Set in a process that the script forked off.
static FORKED: AtomicBool = AtomicBool::new(false);

extern "C" fn forked_child() {
    FORKED.store(true, Ordering::Relaxed);
}

/// Whether this is a process that the script forked off, which has no part in the link.
#[inline]
pub fn is_forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Opens the link. Once, on the main thread, which does what `nested` says with all that is no reply.
pub fn open(fds: WorkerFds, nested: Nested) -> std::io::Result<&'static Channel> {
    let (sender, receiver) = link::open(fds)?;
    let waker = receiver.waker();
    let figures = sender.figures();
    let channel = CHANNEL.get_or_init(|| Channel {
        sender: UnsafeCell::new(sender),
        receiver: UnsafeCell::new(receiver),
        state: GilCell::new(State {
            next_id: 1,
            leader: false,
            sending: false,
            closed: false,
            awaited: false,
            unload: None,
            has_waited: true,
            waited: 0,
            sleepers: 0,
            inbox: VecDeque::new(),
            main_waiter: None,
            pending: Vec::new(),
            buffers: Vec::new(),
        }),
        waker,
        figures,
        // SAFETY: has no conditions.
        main: unsafe { libc::pthread_self() },
        nested,
    });
    // SAFETY: the handler only stores to an atomic.
    unsafe { libc::pthread_atfork(None, None, Some(forked_child)) };
    Ok(channel)
}

/// The link, for a call of the script; an exception where calls are not possible.
#[inline]
pub fn get(gil: Gil) -> PyResult<&'static Channel> {
    match CHANNEL.get() {
        Some(channel) if !is_forked() => Ok(channel),
        Some(_) => Err(raise(
            gil,
            Exception::Runtime,
            "vh works only in the script's own process, not in one that it forked; \
             start processes with subprocess or multiprocessing's 'spawn'",
        )),
        None => Err(raise(gil, Exception::Runtime, format_args!("vh cannot be used here: {ELSEWHERE}"))),
    }
}

/// The exception for a frame that cannot be made.
pub fn unsendable(gil: Gil, what: &dyn Display, error: &FrameError) -> Raised {
    raise(gil, Exception::Value, format_args!("{what}: {error}"))
}

/// The link cannot be used any more: one of the two sides is broken.
pub fn broken(reason: impl std::fmt::Display) -> ! {
    // No hub may be there to read it, and no descriptor to write to.
    let _ = writeln!(std::io::stderr(), "vhpy: the link to the hub is broken: {reason}");
    // SAFETY: has no conditions; Python's exit handlers could wait for the hub.
    unsafe { libc::_exit(LINK_BROKEN) }
}

/// As [`broken`]; a process without hub takes along what it has started.
fn unlinked(why: Broken) -> ! {
    if why == Broken::Orphaned {
        // SAFETY: have no conditions. The group is this process's own, unless the script has
        // left it.
        unsafe {
            if libc::getpgrp() == libc::getpid() {
                libc::kill(0, libc::SIGKILL);
            }
        }
    }
    broken(why)
}

impl Channel {
    /// Whether this is the thread on which hooks run.
    #[inline]
    pub fn on_main(&self) -> bool {
        // SAFETY: have no conditions.
        unsafe { libc::pthread_equal(libc::pthread_self(), self.main) != 0 }
    }

    /// Says whether the hub waits for the main thread, and gives what was said before.
    #[inline]
    pub fn set_awaited(&self, gil: Gil, awaited: bool) -> bool {
        self.state.with(gil, |state| std::mem::replace(&mut state.awaited, awaited))
    }

    /// Whether there was more than a moment in which there was nothing to do, since this was
    /// asked last; and for how many nanoseconds the main thread has waited for replies.
    #[inline]
    pub fn has_waited(&self, gil: Gil) -> (bool, u64) {
        self.state.with(gil, |state| (std::mem::take(&mut state.has_waited), state.waited))
    }

    /// For how many nanoseconds the main thread has waited for replies until now.
    pub fn waited(&self, gil: Gil) -> u64 {
        self.state.with(gil, |state| state.waited)
    }

    /// What this worker counts.
    #[inline]
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// How to tell the hub of a frame of this thread.
    #[inline]
    pub fn notify(&self, gil: Gil) -> Notify {
        if self.on_main() && self.state.with(gil, |state| state.awaited) {
            Notify::Waiting
        } else {
            Notify::Ring
        }
    }

    /// A number for a call.
    #[inline]
    pub fn next_id(&self, gil: Gil) -> u64 {
        self.state.with(gil, |state| {
            state.next_id += 1;
            state.next_id
        })
    }

    /// A buffer to be given back.
    #[inline]
    pub fn buffer(&self, gil: Gil) -> Vec<u8> {
        self.state.with(gil, |state| state.buffers.pop()).unwrap_or_default()
    }

    /// Takes a buffer back.
    #[inline]
    pub fn recycle(&self, gil: Gil, mut buffer: Vec<u8>) {
        buffer.clear();
        buffer.shrink_to(1 << 16);
        self.state.with(gil, |state| state.buffers.push(buffer));
    }

    /// Sends a frame that is never too long.
    pub fn send_frame(&self, gil: Gil, frame: FromWorker<'_>, notify: Notify) -> PyResult<()> {
        let mut buffer = self.buffer(gil);
        frame.write(&mut buffer).unwrap_or_else(|error| broken(error));
        let sent = self.send(gil, &buffer, notify);
        self.recycle(gil, buffer);
        sent
    }

    /// Sends a frame that may not be possible; `what` names it for the script.
    #[inline]
    pub fn try_send_frame(
        &self,
        gil: Gil,
        frame: FromWorker<'_>,
        notify: Notify,
        what: &dyn Display,
    ) -> PyResult<()> {
        let mut buffer = self.buffer(gil);
        let sent = frame
            .write(&mut buffer)
            .map_err(|error| unsendable(gil, what, &error))
            .and_then(|()| self.send(gil, &buffer, notify));
        self.recycle(gil, buffer);
        sent
    }

    /// Does what a frame asks for that is no reply.
    #[inline]
    pub fn serve_nested(&'static self, gil: Gil, frame: ToWorker<'_>) -> PyResult<()> {
        (self.nested)(gil, self, frame)
    }

    /// Remembers that the script shall be unloaded, once its main thread is done.
    pub fn ask_unload(&self, gil: Gil, within: Duration) {
        self.state.with(gil, |state| state.unload = Some(within));
    }

    /// How long the script has for its end, once it shall be unloaded.
    #[inline]
    pub fn unload_asked(&self, gil: Gil) -> Option<Duration> {
        self.state.with(gil, |state| state.unload)
    }

    /// Ends all calls: those that wait and those that come.
    pub fn close(&self, gil: Gil) {
        self.state.with(gil, |state| {
            state.closed = true;
            state.pending.iter().filter_map(|pending| pending.waiter.as_deref()).for_each(Waiter::wake);
            if state.leader {
                self.waker.wake();
            }
        });
    }

    // ------------------------------------------------------------ sending

    /// Sends a frame.
    #[inline]
    pub fn send(&self, gil: Gil, frame: &[u8], notify: Notify) -> PyResult<()> {
        let (sending, closed) = self.state.with(gil, |state| (state.sending, state.closed));
        if closed {
            return Err(ended(gil, "the script is being unloaded; the hub is gone"));
        }
        if !sending {
            // SAFETY: the GIL is held and nobody is sending.
            let sender = unsafe { &mut *self.sender.get() };
            match sender.try_send(frame, notify) {
                Ok(Push::Done) => return Ok(()),
                Ok(Push::Full) => (),
                Err(why) => unlinked(why),
            }
        }
        self.send_patiently(gil, frame, notify);
        Ok(())
    }

    #[cold]
    fn send_patiently(&self, gil: Gil, frame: &[u8], notify: Notify) {
        while self.state.with(gil, |state| std::mem::replace(&mut state.sending, true)) {
            gil.release(|| std::thread::sleep(Duration::from_micros(100)));
        }
        gil.release_mostly(|away| {
            // SAFETY: `sending` is ours until it is reset below.
            let sender = unsafe { &mut *self.sender.get() };
            let sent = sender.send(frame, notify, || away.back(|gil| self.keep_arrivals(gil)));
            sent.unwrap_or_else(|why| unlinked(why));
        });
        self.state.with(gil, |state| state.sending = false);
    }

    /// Takes from the ring what is there and keeps it for whom it is for. Where there is a
    /// leader, that one does.
    fn keep_arrivals(&self, gil: Gil) {
        let mut frame = Vec::new();
        while self.take_from_ring(gil, &mut frame) {
            self.hand_on(gil, std::mem::take(&mut frame));
        }
    }

    // ---------------------------------------------------------- receiving

    /// Waits until `take` has had enough. It is given the reply to the call `want`, and on the
    /// main thread also everything that is not a reply.
    pub fn wait<R>(
        &self,
        gil: Gil,
        want: Option<u64>,
        mut take: impl FnMut(ToWorker<'_>) -> PyResult<ControlFlow<R>>,
    ) -> PyResult<R> {
        if let Some(id) = want {
            let pending = Pending { id, waiter: None, reply: None };
            self.state.with(gil, |state| state.pending.push(pending));
        }
        let mut frame = self.buffer(gil);
        let result = self.wait_with(gil, want, self.on_main(), &mut frame, &mut take);
        self.recycle(gil, frame);
        if let Some(id) = want {
            self.state.with(gil, |state| {
                if let Some(at) = state.pending.iter().rposition(|pending| pending.id == id) {
                    state.pending.swap_remove(at);
                }
            });
        }
        self.pass_the_lead(gil);
        result
    }

    fn wait_with<R>(
        &self,
        gil: Gil,
        want: Option<u64>,
        is_main: bool,
        frame: &mut Vec<u8>,
        take: &mut impl FnMut(ToWorker<'_>) -> PyResult<ControlFlow<R>>,
    ) -> PyResult<R> {
        loop {
            if !self.take_kept(gil, want, is_main, frame) && !self.take_from_ring(gil, frame) {
                if self.state.with(gil, |state| state.closed) {
                    let reason = "the script is being unloaded; the hub does not answer any more";
                    return Err(ended(gil, reason));
                }
                self.rest(gil, want, is_main)?;
                continue;
            }
            let parsed = ToWorker::read(frame).unwrap_or_else(|error| broken(error));
            let is_mine = match parsed {
                ToWorker::Reply { id, .. } | ToWorker::Refusal { id, .. } => Some(id) == want,
                _ => is_main,
            };
            if !is_mine {
                drop(parsed);
                self.hand_on(gil, std::mem::take(frame));
                continue;
            }
            // `take` may run the script's code, and that may wait for another thread.
            self.pass_the_lead(gil);
            if let ControlFlow::Break(result) = take(parsed)? {
                return Ok(result);
            }
            if is_forked() {
                // A forked child came back from the script's code: it must not serve.
                // SAFETY: has no conditions.
                unsafe { libc::_exit(0) }
            }
        }
    }

    /// A frame that another thread, or another level of this one, has kept for us.
    #[inline]
    fn take_kept(&self, gil: Gil, want: Option<u64>, is_main: bool, frame: &mut Vec<u8>) -> bool {
        self.state.with(gil, |state| {
            let reply = want.and_then(|id| {
                let mut own = state.pending.iter_mut().rev();
                own.find(|pending| pending.id == id).and_then(|pending| pending.reply.take())
            });
            let kept = match reply {
                None if is_main => state.inbox.pop_front(),
                reply => reply,
            };
            kept.map(|kept| *frame = kept).is_some()
        })
    }

    /// The next frame of the ring, if nobody leads.
    #[inline]
    fn take_from_ring(&self, gil: Gil, frame: &mut Vec<u8>) -> bool {
        if self.state.with(gil, |state| state.leader) {
            return false;
        }
        // SAFETY: the GIL is held and there is no leader.
        let receiver = unsafe { &mut *self.receiver.get() };
        receiver.receive(frame).unwrap_or_else(|corrupt| broken(corrupt))
    }

    /// Keeps a frame for the thread that it is for.
    #[cold]
    fn hand_on(&self, gil: Gil, frame: Vec<u8>) {
        let reply_to = match ToWorker::read(&frame) {
            Ok(ToWorker::Reply { id, .. } | ToWorker::Refusal { id, .. }) => Some(id),
            Ok(_) => None,
            Err(error) => broken(error),
        };
        self.state.with(gil, |state| match reply_to {
            None => {
                state.inbox.push_back(frame);
                state.main_waiter.as_deref().inspect(|waiter| waiter.wake());
            }
            Some(id) => {
                // Nobody waits for it when the call was given up by an exception.
                if let Some(pending) = state.pending.iter_mut().find(|pending| pending.id == id) {
                    pending.reply = Some(frame);
                    pending.waiter.as_deref().inspect(|waiter| waiter.wake());
                }
            }
        });
    }

    /// Waits for something to happen: as the leader if there is none.
    fn rest(&self, gil: Gil, want: Option<u64>, is_main: bool) -> PyResult<()> {
        if self.state.with(gil, |state| state.leader) {
            let from = coarse_clock();
            self.follow(gil, want, is_main);
            self.add_wait(gil, want, is_main, from);
            return if is_main { gil.check_signals() } else { Ok(()) };
        }
        // SAFETY: the GIL is held and there is no leader; from where the GIL is given up to
        // where it is held again, this thread is the leader.
        let receiver = unsafe { &mut *self.receiver.get() };
        if receiver.may_spin() {
            for _ in 0..LOOKS {
                std::hint::spin_loop();
                if receiver.is_ready() {
                    return Ok(());
                }
            }
        }
        let from = coarse_clock();
        let ready = self.lead(gil, receiver, |receiver| receiver.stay_awake());
        let rested = match (ready, is_main) {
            (true, _) => Ok(()),
            (false, true) => self.sleep_on_main(gil, want),
            (false, false) => {
                // SAFETY: as above; the GIL has been held since the lead was given up.
                let receiver = unsafe { &mut *self.receiver.get() };
                self.lead(gil, receiver, |receiver| receiver.sleep(None)).unwrap_or_else(|why| unlinked(why));
                Ok(())
            }
        };
        self.add_wait(gil, want, is_main, from);
        rested
    }

    /// The main thread has waited for a reply.
    fn add_wait(&self, gil: Gil, want: Option<u64>, is_main: bool, from: u64) {
        if is_main && want.is_some() {
            self.state.with(gil, |state| state.waited += coarse_clock().saturating_sub(from));
        }
    }

    /// Does something with the ring as the leader, without the GIL.
    fn lead<'a, R>(
        &self,
        gil: Gil,
        receiver: &'a mut WorkerReceiver,
        work: impl FnOnce(&'a mut WorkerReceiver) -> R + Send,
    ) -> R {
        self.state.with(gil, |state| {
            state.leader = true;
            state.has_waited = true;
        });
        let result = gil.release(|| work(receiver));
        self.state.with(gil, |state| state.leader = false);
        result
    }

    /// Sleeps as the leader without missing a signal: one that arrives before the sleep stays
    /// blocked until then, and ends it.
    fn sleep_on_main(&self, gil: Gil, want: Option<u64>) -> PyResult<()> {
        let blocked = BlockedSignals::new();
        gil.check_signals()?;
        // A handler of the script's may have let other threads run.
        let has_work = self.state.with(gil, |state| {
            let has_reply = |pending: &Pending| Some(pending.id) == want && pending.reply.is_some();
            state.leader || !state.inbox.is_empty() || state.pending.iter().any(has_reply)
        });
        if !has_work {
            // SAFETY: the GIL is held and there is no leader.
            let receiver = unsafe { &mut *self.receiver.get() };
            let slept = self.lead(gil, receiver, |receiver| receiver.sleep(Some(&blocked.before)));
            slept.unwrap_or_else(|why| unlinked(why));
        }
        drop(blocked);
        gil.check_signals()
    }

    /// Sleeps until the leader has something for this thread, or it shall lead.
    #[cold]
    fn follow(&self, gil: Gil, want: Option<u64>, is_main: bool) {
        let waiter = Arc::new(Waiter::default());
        let register = |state: &mut State, waiter: Option<Arc<Waiter>>| {
            let pending = want.and_then(|id| state.pending.iter_mut().find(|pending| pending.id == id));
            if is_main {
                state.main_waiter.clone_from(&waiter);
            }
            if let Some(pending) = pending {
                pending.waiter = waiter;
            }
        };
        self.state.with(gil, |state| {
            state.sleepers += 1;
            state.has_waited = true;
            register(state, Some(waiter.clone()));
        });
        gil.release(|| waiter.wait(is_main.then_some(SIGNALS)));
        self.state.with(gil, |state| {
            state.sleepers -= 1;
            register(state, None);
        });
    }

    /// Wakes a thread that can lead, if there is one and nobody leads. The main thread first.
    #[inline]
    fn pass_the_lead(&self, gil: Gil) {
        self.state.with(gil, |state| {
            if state.sleepers > 0 && !state.leader {
                let others = state.pending.iter().filter_map(|pending| pending.waiter.as_ref());
                if let Some(waiter) = state.main_waiter.iter().chain(others).next() {
                    waiter.wake();
                }
            }
        });
    }
}

/// All signals blocked on this thread, until it is dropped.
struct BlockedSignals {
    before: libc::sigset_t,
}

impl BlockedSignals {
    fn new() -> BlockedSignals {
        // SAFETY: both sets are filled before they are read; a set is plain data.
        unsafe {
            let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
            BlockedSignals { before }
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: the set was filled by pthread_sigmask.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, std::ptr::null_mut()) };
    }
}

/// The result of a wait that ended by [`ControlFlow::Break`] with a result of its own.
pub fn done<R>(result: PyResult<R>) -> PyResult<ControlFlow<R>> {
    result.map(ControlFlow::Break).map_err(|Raised| Raised)
}
