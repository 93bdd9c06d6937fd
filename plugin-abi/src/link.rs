//! The two ends of the way between a hub and one worker: frames over rings, and who wakes
//! whom; what frames mean is left to the two sides.
//!
//! A consumer that has nothing to do sets its *asleep* word and looks once more before it
//! sleeps; a producer looks at that word after it has published a record: see
//! [`asleep`](crate::asleep). The sleeping itself is a poll of a pipe, so that a wake-up that
//! comes early is not lost.
//!
//! To wake a sleeper on another processor costs tens of microseconds where that processor is
//! idle, as it then mostly is, and most of all in a virtual machine; on the own one it costs one or
//! two. So the hub says on which processor its thread runs, and a worker that is going to sleep
//! moves there first ([`lodging`](crate::lodging)), if the hub wants it to, and is itself again as
//! soon as it wakes. The hub, which waits for it, lets it run at once.
//!
//! The hub sleeps in one of two ways. While it waits for answers, it sets *asleep* and the
//! worker wakes it as above. When it is elsewhere, in the host's own loop, the worker *rings*:
//! it writes to the pipe that is in the hub's poll set, once until the hub has looked.
//!
//! A third pipe, into which nobody writes, tells a worker that its hub is gone: its last writing
//! end is closed then, and the kernel sends the signal that the worker has asked for. The hub
//! can close it, too, which ends a worker that it may not signal.
//!
//! Pipes and not eventfds or sockets: both ends of those share one set of flags, so a hostile
//! worker could take the hub's `O_NONBLOCK` away and leave it waiting for ever.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::asleep::{Asleep, Place, Processor, get_up, lie_down, to_be_woken};
use crate::figures::Figures;
use crate::lodging::{Lodging, Tied, Untied};
use crate::refusal;
use crate::ring::{Consumer, Corrupt, Producer, Push};
use crate::segment::{Direction, RingMemory, Segment};
use crate::wait::{Oversubscription, SpinPolicy, Waking};

/// What a worker process is given, in this order, as the descriptors 3 to 6.
#[derive(Debug)]
pub struct WorkerFds {
    /// The shared memory.
    pub memory: OwnedFd,
    /// The reading end of the pipe on which the worker sleeps.
    pub wake: OwnedFd,
    /// The writing end of the pipe that wakes the hub.
    pub doorbell: OwnedFd,
    /// The reading end of the pipe that ends with the hub.
    pub life: OwnedFd,
}

/// A worker that was woken.
#[derive(Clone, Copy, Debug)]
pub struct Woken {
    /// How it says it slept.
    pub asleep: Asleep,
    /// When that began.
    pub since: Instant,
}

/// The hub's end. One thread at a time.
#[derive(Debug)]
pub struct HubEnd {
    segment: Arc<Segment>,
    producer: Producer<RingMemory>,
    consumer: Consumer<RingMemory>,
    /// Pieces of a frame whose end has not arrived.
    partial: Vec<u8>,
    /// Where reading ends for good.
    last: u64,
    wake: OwnedFd,
    /// Never read. While it is open, writing to `wake` raises no SIGPIPE in the hub.
    _wake_reader: OwnedFd,
    doorbell: OwnedFd,
    /// The worker lives as long as this is open.
    life: Option<OwnedFd>,
    /// Where the worker is to sleep.
    place: Cell<Place>,
    /// How the worker was woken for the last frame.
    woke: Cell<Option<Woken>>,
}

/// Reading end, writing end.
fn pipe(flags: OFlag) -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(flags | OFlag::O_CLOEXEC)?)
}

/// Writes one byte, if there is room. Where there is none, the reader is awake or will be.
fn write_byte(pipe: &OwnedFd) -> nix::Result<usize> {
    nix::unistd::write(pipe, &[1])
}

/// Why a worker's end is of no more use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The hub wrote what no hub writes.
    #[error("{0}")]
    Corrupt(#[from] Corrupt),
    /// The worker lacks a descriptor of its own, or has another in its place.
    #[error("a descriptor that belongs to it was closed: a script must close only what it has opened")]
    Closed,
    /// The hub has ended.
    #[error("the hub has ended")]
    Orphaned,
}

/// A descriptor of a worker, which the script that runs there can close, and open another file
/// under its number.
#[derive(Debug)]
struct Exposed {
    fd: OwnedFd,
    file: (u64, u64),
}

impl Exposed {
    fn new(fd: OwnedFd) -> io::Result<Exposed> {
        let file = identity(&fd)?;
        Ok(Exposed { fd, file })
    }

    /// The descriptor, if it still is what it was.
    fn get(&self) -> Result<&OwnedFd, Broken> {
        if identity(&self.fd).ok() == Some(self.file) { Ok(&self.fd) } else { Err(Broken::Closed) }
    }
}

/// What file it is.
fn identity(fd: &OwnedFd) -> nix::Result<(u64, u64)> {
    let stat = nix::sys::stat::fstat(fd)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// What one look at a pipe takes away at most.
const TAKEN: usize = 512;

impl HubEnd {
    /// Makes the shared memory and the pipes, and the descriptors for the worker.
    pub fn create(ring_bytes: usize) -> io::Result<(HubEnd, WorkerFds)> {
        let (segment, memory) = Segment::create(ring_bytes)?;
        let segment = Arc::new(segment);
        let (wake_reader, wake) = pipe(OFlag::O_NONBLOCK)?;
        let (doorbell, doorbell_writer) = pipe(OFlag::O_NONBLOCK)?;
        let (life_reader, life) = pipe(OFlag::empty())?;
        let wake_copy = wake_reader.try_clone()?;
        let fds = WorkerFds { memory, wake: wake_copy, doorbell: doorbell_writer, life: life_reader };
        let end = HubEnd {
            producer: Producer::new(RingMemory::new(segment.clone(), Direction::ToWorker)),
            consumer: Consumer::new(RingMemory::new(segment.clone(), Direction::ToHub)),
            segment,
            partial: Vec::new(),
            last: u64::MAX,
            wake,
            _wake_reader: wake_reader,
            doorbell,
            life: Some(life),
            place: Cell::default(),
            woke: Cell::new(None),
        };
        Ok((end, fds))
    }

    /// Sends a frame, if the ring has room for it at once.
    #[inline]
    pub fn try_send(&mut self, frame: &[u8]) -> Result<Push, Corrupt> {
        if frame.len() > self.producer.longest_piece() {
            return Ok(Push::Full);
        }
        let pushed = self.producer.push(frame, false)?;
        if pushed == Push::Done {
            self.wake_worker();
        }
        Ok(pushed)
    }

    /// Sends a frame of any length, in pieces if need be, and waits for room. `go_on` is asked
    /// while there is none; when it says no, the rest of the frame is not sent and the worker
    /// is of no more use. Returns whether the whole frame was sent.
    pub fn send(&mut self, frame: &[u8], mut go_on: impl FnMut() -> bool) -> Result<bool, Corrupt> {
        let longest = self.producer.longest_piece();
        let mut pieces = frame.chunks(longest).peekable();
        while let Some(piece) = pieces.next() {
            let more = pieces.peek().is_some();
            let mut nap = Nap::default();
            while self.producer.push(piece, more)? == Push::Full {
                self.wake_worker();
                if !go_on() {
                    return Ok(false);
                }
                nap.rest();
            }
            self.wake_worker();
        }
        Ok(true)
    }

    #[inline]
    fn wake_worker(&self) {
        if let Some(asleep) = to_be_woken(self.segment.worker_asleep()) {
            self.woke.set(Some(Woken { asleep, since: Instant::now() }));
            let _ = write_byte(&self.wake);
        }
    }

    /// How the worker was woken if it slept when it was last sent something; told once.
    #[inline]
    pub fn woken(&self) -> Option<Woken> {
        self.woke.take()
    }

    /// Says where the worker is to sleep from now on. What it makes of that is its own affair.
    #[inline]
    pub fn set_place(&self, place: Place) {
        if self.place.replace(place) != place {
            self.segment.place().store(place.word(), Ordering::Relaxed);
        }
    }

    /// Whether something may have arrived. One load.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.consumer.is_ready()
    }

    /// Puts the next frame into `frame`, replacing its contents. False when none is complete.
    #[inline]
    pub fn receive(&mut self, frame: &mut Vec<u8>) -> Result<bool, Corrupt> {
        if self.consumer.position() >= self.last {
            return Ok(false);
        }
        receive(&mut self.consumer, &mut self.partial, frame)
    }

    /// The worker is dead: from now on no more is read than the ring can hold. Garbage in it, or
    /// what a child of the worker writes, could be read round and round.
    pub fn expect_no_more(&mut self) {
        self.last = self.consumer.position() + self.consumer.words();
    }

    /// Where the next frame will begin, for [`HubEnd::has_read`].
    #[inline]
    pub fn position(&self) -> u64 {
        self.producer.position()
    }

    /// Whether the worker has read the frame that began there, or the beginning of it.
    pub fn has_read(&self, position: u64) -> bool {
        self.producer.has_read(position)
    }

    /// Asks to be woken by the next frame. False when there is one already.
    pub fn arm(&self) -> bool {
        self.segment.hub_asleep().store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        !self.is_ready()
    }

    /// The opposite of [`HubEnd::arm`].
    pub fn disarm(&self) {
        self.segment.hub_asleep().store(0, Ordering::Relaxed);
    }

    /// Readable when the worker has rung or woken the hub.
    pub fn doorbell(&self) -> BorrowedFd<'_> {
        self.doorbell.as_fd()
    }

    /// Makes the doorbell unreadable again. Look for frames after it, not before. False when the
    /// worker has closed its end, so that the doorbell stays readable for ever.
    pub fn silence(&self) -> bool {
        let open = nix::unistd::read(&self.doorbell, &mut [0; TAKEN]) != Ok(0);
        self.segment.doorbell_rung().swap(0, Ordering::AcqRel);
        open
    }

    /// Ends the worker, if it has asked for that and still has its end.
    pub fn let_go(&mut self) {
        self.life = None;
    }

    /// What the worker counts.
    pub fn figures(&self) -> Figures {
        Figures::new(self.segment.clone())
    }

    /// Tells the worker how many threads are hot.
    pub fn set_oversubscription(&self, oversubscription: Oversubscription) {
        self.segment.oversubscription().store(oversubscription.number(), Ordering::Relaxed);
    }
}

/// How a worker makes sure that the hub sees a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// The hub waits for this worker; it needs waking only if it sleeps.
    Waiting,
    /// The hub may be anywhere.
    Ring,
}

/// The worker's sending half. One thread at a time.
#[derive(Debug)]
pub struct WorkerSender {
    segment: Arc<Segment>,
    producer: Producer<RingMemory>,
    doorbell: Exposed,
}

/// The worker's receiving half. One thread at a time.
#[derive(Debug)]
pub struct WorkerReceiver {
    segment: Arc<Segment>,
    consumer: Consumer<RingMemory>,
    partial: Vec<u8>,
    wake: Exposed,
    /// Whether there is something in `wake` to be read.
    rung: bool,
    /// Open as long as the hub lives.
    _life: OwnedFd,
    /// Ends a sleep from within the worker.
    local_wake: Arc<EventFd>,
    spin: SpinPolicy,
    lodging: Lodging,
}

/// Both halves of the worker's end, from the descriptors it was given.
pub fn open(fds: WorkerFds) -> io::Result<(WorkerSender, WorkerReceiver)> {
    let segment = Arc::new(Segment::map(fds.memory.as_fd())?);
    let local_wake = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
        .map_err(|number| refusal::named("eventfd2", number))?;
    Ok((
        WorkerSender {
            producer: Producer::new(RingMemory::new(segment.clone(), Direction::ToHub)),
            segment: segment.clone(),
            doorbell: Exposed::new(fds.doorbell)?,
        },
        WorkerReceiver {
            consumer: Consumer::new(RingMemory::new(segment.clone(), Direction::ToWorker)),
            segment,
            partial: Vec::new(),
            wake: Exposed::new(fds.wake)?,
            rung: false,
            _life: fds.life,
            local_wake: Arc::new(local_wake),
            spin: SpinPolicy::default(),
            lodging: Lodging::default(),
        },
    ))
}

impl WorkerSender {
    /// What this worker counts, and when it reports.
    pub fn figures(&self) -> Figures {
        Figures::new(self.segment.clone())
    }

    /// Sends a frame, if the ring has room for it at once.
    #[inline]
    pub fn try_send(&mut self, frame: &[u8], notify: Notify) -> Result<Push, Broken> {
        if frame.len() > self.producer.longest_piece() {
            return Ok(Push::Full);
        }
        let pushed = self.producer.push(frame, false)?;
        if pushed == Push::Done {
            self.notify(notify)?;
        }
        Ok(pushed)
    }

    /// Sends a frame of any length, in pieces if need be. `make_room` is called while there is
    /// no room: it must read what the hub sends meanwhile, or both may wait for each other.
    pub fn send(&mut self, frame: &[u8], notify: Notify, mut make_room: impl FnMut()) -> Result<(), Broken> {
        let longest = self.producer.longest_piece();
        let mut pieces = frame.chunks(longest).peekable();
        while let Some(piece) = pieces.next() {
            let more = pieces.peek().is_some();
            let mut nap = Nap::default();
            while self.producer.push(piece, more)? == Push::Full {
                self.notify(Notify::Ring)?;
                make_room();
                nap.rest();
            }
        }
        self.notify(notify)
    }

    #[inline]
    fn notify(&self, notify: Notify) -> Result<(), Broken> {
        let wake = match notify {
            Notify::Waiting => {
                fence(Ordering::SeqCst);
                let asleep = self.segment.hub_asleep();
                asleep.load(Ordering::Relaxed) != 0 && asleep.swap(0, Ordering::AcqRel) != 0
            }
            Notify::Ring => self.segment.doorbell_rung().swap(1, Ordering::AcqRel) == 0,
        };
        if wake { self.ring_doorbell() } else { Ok(()) }
    }

    #[cold]
    fn ring_doorbell(&self) -> Result<(), Broken> {
        match write_byte(self.doorbell.get()?) {
            Err(nix::errno::Errno::EPIPE) => Err(Broken::Orphaned),
            // It is full, so the hub has enough to read.
            _ => Ok(()),
        }
    }
}

impl WorkerReceiver {
    /// Puts the next frame into `frame`, replacing its contents. False when none is complete.
    #[inline]
    pub fn receive(&mut self, frame: &mut Vec<u8>) -> Result<bool, Corrupt> {
        receive(&mut self.consumer, &mut self.partial, frame)
    }

    /// Whether something may have arrived. One load.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.consumer.is_ready()
    }

    /// Looks for a frame as long as that pays, without sleeping. Returns whether there may be one.
    #[inline]
    pub fn stay_awake(&mut self) -> bool {
        let oversubscription = self.oversubscription();
        match self.place() {
            Place::Anywhere => {
                self.spin.stay_awake(oversubscription, Waking::Dear, || self.consumer.is_ready())
            }
            Place::Beside(hub) if Processor::current() == Some(hub) => self.stay_beside(hub),
            Place::Beside(_) => {
                self.spin.stay_awake(oversubscription, Waking::Cheap, || self.consumer.is_ready())
            }
        }
    }

    /// This thread has the processor that the hub needs now. Whether there is a frame when the hub
    /// has had it; if not, this thread had better sleep.
    #[cold]
    fn stay_beside(&mut self, hub: Processor) -> bool {
        if self.consumer.is_ready() {
            return true;
        }
        if self.spin.is_worth_moving() {
            self.lodging.leave(hub);
            if Processor::current() != Some(hub) {
                let oversubscription = self.oversubscription();
                return self.spin.stay_awake(oversubscription, Waking::Cheap, || self.consumer.is_ready());
            }
        }
        self.oversubscription() != Oversubscription::SLEEPERS
            && self.spin.make_room(|| self.consumer.is_ready())
    }

    /// Whether the hub may be running meanwhile: there are processors for all, and it is not on
    /// this one.
    #[inline]
    pub fn may_spin(&self) -> bool {
        let is_beside = |hub| Processor::current() == Some(hub);
        !self.oversubscription().is_some() && !matches!(self.place(), Place::Beside(hub) if is_beside(hub))
    }

    #[inline]
    fn place(&self) -> Place {
        Place::from_word(self.segment.place().load(Ordering::Relaxed))
    }

    /// Whether there are more hot threads than processors, so that spinning only hurts.
    #[inline]
    pub fn oversubscription(&self) -> Oversubscription {
        Oversubscription::from_number(self.segment.oversubscription().load(Ordering::Relaxed))
    }

    /// Sleeps until the hub has sent something. Also returns when a signal arrived, so that
    /// its handler can run; `is_ready` tells. With `mask`, that is the thread's signal mask
    /// while it sleeps: a thread that blocks signals, looks for what they left, and sleeps with
    /// the mask it had before misses none.
    pub fn sleep(&mut self, mask: Option<&libc::sigset_t>) -> Result<(), Broken> {
        let start = Instant::now();
        if std::mem::take(&mut self.rung) && nix::unistd::read(self.wake.get()?, &mut [0; TAKEN]) == Ok(0) {
            return Err(Broken::Orphaned);
        }
        let wake = self.wake.get()?.as_raw_fd();
        let (how, tied) = self.choose_place();
        let asleep = self.segment.worker_asleep();
        lie_down(asleep, how);
        let mut events = [0; 2];
        if !self.consumer.is_ready() {
            let pollfd = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
            let mut fds = [pollfd(wake), pollfd(self.local_wake.as_raw_fd())];
            let mask = mask.map_or(std::ptr::null(), std::ptr::from_ref);
            // SAFETY: two valid pollfds are passed, with their number; no time limit, and a
            // mask that is NULL or borrowed.
            unsafe { libc::ppoll(fds.as_mut_ptr(), 2, std::ptr::null(), mask) };
            events = fds.map(|fd| fd.revents);
        }
        get_up(asleep);
        match (tied, how) {
            (Some(tied), _) => self.lodging.untie(tied),
            (None, Asleep::At(place)) => self.lodging.woke_untied(place),
            (None, _) => {}
        }
        let [woken, woken_here] = events;
        // What was rung is read before the next sleep, when nobody waits for this thread.
        self.rung = woken != 0;
        if self.rung && woken & libc::POLLIN == 0 {
            self.wake.get()?;
            return Err(Broken::Orphaned);
        }
        if woken_here != 0 && self.local_wake.read() == Err(nix::errno::Errno::EBADF) {
            return Err(Broken::Closed);
        }
        let waking = if matches!(how, Asleep::At(_)) { Waking::Cheap } else { Waking::Dear };
        self.spin.slept(start.elapsed(), waking, self.oversubscription());
        Ok(())
    }

    /// Moves this thread to where it is to sleep.
    fn choose_place(&mut self) -> (Asleep, Option<Tied>) {
        let Place::Beside(hub) = self.place() else { return (Asleep::Anywhere, None) };
        match self.lodging.lie_down(hub) {
            Ok(tied) => (Asleep::At(hub), tied),
            Err(Untied::NoNeed) if Processor::current() == Some(hub) => (Asleep::At(hub), None),
            Err(Untied::NoNeed) => (Asleep::Anywhere, None),
            Err(Untied::Refused) => (Asleep::Refused, None),
        }
    }

    /// What another thread can end a sleep with.
    pub fn waker(&self) -> Waker {
        Waker(self.local_wake.clone())
    }
}

/// Ends the sleep of a [`WorkerReceiver`], or the next one, without a frame.
#[derive(Debug)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// Ends the sleep.
    pub fn wake(&self) {
        // Fails only if the counter is at its limit, and then no sleep is possible.
        let _ = self.0.write(1);
    }
}

#[inline]
fn receive(
    consumer: &mut Consumer<RingMemory>,
    partial: &mut Vec<u8>,
    frame: &mut Vec<u8>,
) -> Result<bool, Corrupt> {
    frame.clear();
    if partial.is_empty() {
        match consumer.pop(frame)? {
            None => return Ok(false),
            Some(true) => return Ok(true),
            Some(false) => std::mem::swap(partial, frame),
        }
    }
    // A worker can announce piece after piece for ever: the rest is for the next call.
    for _ in 0..PIECES {
        match consumer.pop(partial)? {
            None => break,
            Some(false) => {}
            Some(true) => {
                std::mem::swap(partial, frame);
                partial.clear();
                partial.shrink_to(1 << 16);
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// How many pieces of a frame one call takes at most.
const PIECES: usize = 256;

/// Longer and longer rests for one who waits for room in a full ring.
#[derive(Default)]
struct Nap(u32);

impl Nap {
    fn rest(&mut self) {
        self.0 += 1;
        match self.0 {
            0..100 => std::hint::spin_loop(),
            100..120 => std::thread::yield_now(),
            _ => std::thread::sleep(Duration::from_micros(200)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(ring_bytes: usize) -> (HubEnd, WorkerSender, WorkerReceiver) {
        let (hub, fds) = HubEnd::create(ring_bytes).unwrap();
        let (sender, receiver) = open(fds).unwrap();
        (hub, sender, receiver)
    }

    fn wait_for(receiver: &mut WorkerReceiver, frame: &mut Vec<u8>) {
        while !receiver.receive(frame).unwrap() {
            if !receiver.stay_awake() {
                receiver.sleep(None).unwrap();
            }
        }
    }

    #[test]
    fn a_sleeping_worker_misses_no_frame() {
        let (mut hub, mut sender, mut receiver) = pair(4096);
        const COUNT: u32 = 20_000;
        let worker = std::thread::spawn(move || {
            let mut frame = Vec::new();
            for number in 0..COUNT {
                wait_for(&mut receiver, &mut frame);
                assert_eq!(frame, number.to_le_bytes());
                sender.send(&frame, Notify::Waiting, || ()).unwrap();
                if number % 100 == 0 {
                    receiver.spin.slept(Duration::from_secs(1), Waking::Dear, Oversubscription::NONE);
                    receiver.spin.slept(Duration::from_secs(1), Waking::Dear, Oversubscription::NONE);
                }
            }
        });
        let mut frame = Vec::new();
        for number in 0..COUNT {
            assert!(hub.send(&number.to_le_bytes(), || true).unwrap());
            while !hub.receive(&mut frame).unwrap() {
                if hub.arm() {
                    let mut fds =
                        [libc::pollfd { fd: hub.doorbell().as_raw_fd(), events: libc::POLLIN, revents: 0 }];
                    // SAFETY: one valid pollfd is passed, with its number.
                    let woken = unsafe { libc::poll(fds.as_mut_ptr(), 1, 60_000) };
                    // It may also be interrupted.
                    assert_ne!(woken, 0, "waited 60 s for the answer to frame {number}");
                }
                hub.disarm();
                hub.silence();
            }
            assert_eq!(frame, number.to_le_bytes());
        }
        worker.join().unwrap();
    }

    #[test]
    fn a_worker_that_lost_a_descriptor_knows_it() {
        let (_hub, mut sender, mut receiver) = pair(4096);
        let other = || OwnedFd::from(std::fs::File::open("/dev/null").unwrap());
        // Under the old number is another file, as after a script's `os.close(4); open(…)`.
        nix::unistd::dup2(other(), &mut receiver.wake.fd).unwrap();
        assert_eq!(receiver.sleep(None), Err(Broken::Closed));
        nix::unistd::dup2(other(), &mut sender.doorbell.fd).unwrap();
        assert_eq!(sender.try_send(b"x", Notify::Ring), Err(Broken::Closed));
    }

    #[test]
    fn a_worker_without_hub_knows_it() {
        let (hub, mut sender, mut receiver) = pair(4096);
        drop(hub);
        assert_eq!(receiver.sleep(None), Err(Broken::Orphaned));
        assert_eq!(sender.try_send(b"x", Notify::Ring), Err(Broken::Orphaned));
    }

    #[test]
    fn a_worker_cannot_make_the_hub_wait() {
        let (mut hub, fds) = HubEnd::create(1 << 20).unwrap();
        // Flags of the worker's ends are not those of the hub's.
        for fd in [&fds.wake, &fds.doorbell] {
            nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_SETFL(OFlag::empty())).unwrap();
        }
        assert!(hub.silence(), "nothing to read");
        // It claims to sleep again and again, and never looks.
        for _ in 0..100_000 {
            hub.segment.worker_asleep().store(1, Ordering::Relaxed);
            hub.wake_worker();
        }
        assert_eq!(hub.try_send(b"frame"), Ok(Push::Done));
        drop(fds);
        assert!(!hub.silence(), "the worker's end is closed");
        hub.segment.worker_asleep().store(1, Ordering::Relaxed);
        assert_eq!(hub.try_send(b"frame"), Ok(Push::Done), "and SIGPIPE does not come");
    }

    #[test]
    fn a_frame_without_an_end_is_not_waited_for() {
        for length in [0, 1] {
            let (mut hub, fds) = HubEnd::create(4096).unwrap();
            let worker = Segment::map(fds.memory.as_fd()).unwrap();
            let words = RingMemory::new(Arc::new(worker), Direction::ToHub);
            for word in crate::ring::Storage::words(&words) {
                word.store(0b11 << 62 | length, Ordering::Relaxed);
            }
            let mut frame = Vec::new();
            let received = (0..10).map(|_| hub.receive(&mut frame)).find(|received| *received != Ok(false));
            assert!(matches!(received, None | Some(Err(_))), "{received:?}");
        }
    }

    /// 120 s of copying was possible: as many messages as the shortest would be, each as long as
    /// the longest.
    #[test]
    fn what_is_read_of_a_dead_worker_is_no_more_than_its_ring_holds() {
        let (mut hub, _sender, _receiver) = pair(4096);
        let words = RingMemory::new(hub.segment.clone(), Direction::ToHub);
        for piece_goes_on in [0, 1 << 62] {
            for word in crate::ring::Storage::words(&words) {
                // Wherever a message begins, it has eight bytes.
                word.store(1 << 63 | piece_goes_on | 8, Ordering::Relaxed);
            }
            hub.expect_no_more();
            let (mut frame, mut bytes, mut looks) = (Vec::new(), 0, 0);
            while hub.consumer.position() < hub.last {
                looks += 1;
                bytes += if hub.receive(&mut frame).unwrap() { frame.len() } else { 0 };
            }
            assert!(looks <= 256 && bytes <= 4096, "{looks} looks, {bytes} bytes");
            assert_eq!(hub.receive(&mut frame), Ok(false), "although there is more");
            assert!(hub.is_ready());
        }
    }

    #[test]
    fn frames_longer_than_the_ring_travel_both_ways_at_once() {
        let (mut hub, mut sender, mut receiver) = pair(4096);
        let big: Vec<u8> = (0..1_000_000u32).map(|number| number as u8).collect();
        let expected = big.clone();
        let worker = std::thread::spawn(move || {
            let mut received = Vec::new();
            let mut frame = Vec::new();
            sender
                .send(&expected, Notify::Waiting, || {
                    if receiver.receive(&mut frame).unwrap() {
                        received.push(frame.clone());
                    }
                })
                .unwrap();
            if received.is_empty() {
                wait_for(&mut receiver, &mut frame);
                received.push(frame);
            }
            assert!(received == [expected]);
        });
        assert!(hub.send(&big, || true).unwrap());
        let mut frame = Vec::new();
        while !hub.receive(&mut frame).unwrap() {
            std::thread::yield_now();
        }
        assert!(frame == big);
        worker.join().unwrap();
    }

    #[test]
    fn a_worker_that_never_reads_does_not_hold_the_hub() {
        let (mut hub, _sender, _receiver) = pair(4096);
        let mut patience = 5;
        let sent = hub.send(&[0; 100_000], || {
            patience -= 1;
            patience > 0
        });
        assert_eq!(sent, Ok(false));
    }
}
