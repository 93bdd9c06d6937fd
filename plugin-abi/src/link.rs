//! The two ends of the way between a hub and one worker: frames over rings, and who wakes
//! whom; what frames mean is left to the two sides.
//!
//! A consumer that has nothing to do sets its *asleep* word and looks once more before it
//! sleeps; a producer looks at that word after it has published a record. Both put a
//! sequentially consistent fence between their store and their load, so at least one of them
//! sees the other: no record waits for a sleeper. The sleeping itself is a read or a poll of
//! an eventfd, so that a wake-up that comes early is not lost.
//!
//! The hub sleeps in one of two ways. While it waits for answers, it sets *asleep* and the
//! worker wakes it as above. When it is elsewhere, in the host's own loop, the worker *rings*:
//! it writes to the eventfd that is in the hub's poll set, once until the hub has looked.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::{Duration, Instant};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::ring::{Consumer, Corrupt, Producer, Push};
use crate::segment::{Direction, RingMemory, Segment};
use crate::wait::Patience;

/// What a worker process is given, in this order, as the descriptors 3, 4 and 5.
#[derive(Debug)]
pub struct WorkerFds {
    /// The shared memory.
    pub memory: OwnedFd,
    /// The eventfd on which the worker sleeps.
    pub wake: OwnedFd,
    /// The eventfd that wakes the hub.
    pub bell: OwnedFd,
}

/// The hub's end. One thread at a time.
#[derive(Debug)]
pub struct HubEnd {
    segment: Arc<Segment>,
    producer: Producer<RingMemory>,
    consumer: Consumer<RingMemory>,
    /// Pieces of a frame whose end has not arrived.
    partial: Vec<u8>,
    wake: EventFd,
    bell: EventFd,
}

fn event_fd(flags: EfdFlags) -> io::Result<EventFd> {
    Ok(EventFd::from_value_and_flags(0, flags | EfdFlags::EFD_CLOEXEC)?)
}

fn duplicate(fd: &EventFd) -> io::Result<OwnedFd> {
    fd.as_fd().try_clone_to_owned()
}

impl HubEnd {
    /// Makes the shared memory and the eventfds, and the descriptors for the worker.
    pub fn create(ring_bytes: usize) -> io::Result<(HubEnd, WorkerFds)> {
        let (segment, memory) = Segment::create(ring_bytes)?;
        let segment = Arc::new(segment);
        let wake = event_fd(EfdFlags::empty())?;
        let bell = event_fd(EfdFlags::EFD_NONBLOCK)?;
        let fds = WorkerFds { memory, wake: duplicate(&wake)?, bell: duplicate(&bell)? };
        let end = HubEnd {
            producer: Producer::new(RingMemory::new(segment.clone(), Direction::ToWorker)),
            consumer: Consumer::new(RingMemory::new(segment.clone(), Direction::ToHub)),
            segment,
            partial: Vec::new(),
            wake,
            bell,
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
        fence(Ordering::SeqCst);
        let asleep = self.segment.worker_asleep();
        if asleep.load(Ordering::Relaxed) != 0 {
            asleep.store(0, Ordering::Relaxed);
            // Fails only if the counter is at its limit, and then the worker is awake.
            let _ = self.wake.write(1);
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
        receive(&mut self.consumer, &mut self.partial, frame)
    }

    /// Whether the worker has taken everything that was sent.
    pub fn is_drained(&self) -> bool {
        self.producer.is_drained()
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
    pub fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    /// Makes the bell unreadable again. Look for frames after it, not before.
    pub fn silence(&self) {
        let _ = self.bell.read();
        self.segment.bell_rung().swap(0, Ordering::AcqRel);
    }

    /// Tells the worker whether there are more hot threads than processors.
    pub fn set_crowded(&self, crowded: bool) {
        self.segment.crowded().store(u32::from(crowded), Ordering::Relaxed);
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
    bell: EventFd,
}

/// The worker's receiving half. One thread at a time.
#[derive(Debug)]
pub struct WorkerReceiver {
    segment: Arc<Segment>,
    consumer: Consumer<RingMemory>,
    partial: Vec<u8>,
    wake: EventFd,
    patience: Patience,
}

/// Both halves of the worker's end, from the descriptors it was given.
pub fn open(fds: WorkerFds) -> io::Result<(WorkerSender, WorkerReceiver)> {
    let segment = Arc::new(Segment::map(fds.memory.as_fd())?);
    // SAFETY: WorkerFds is made of eventfds, by `HubEnd::create` or by a starting worker that
    // was given them; should one be something else, reads and writes fail and nothing more.
    let (wake, bell) = unsafe { (EventFd::from_owned_fd(fds.wake), EventFd::from_owned_fd(fds.bell)) };
    Ok((
        WorkerSender {
            producer: Producer::new(RingMemory::new(segment.clone(), Direction::ToHub)),
            segment: segment.clone(),
            bell,
        },
        WorkerReceiver {
            consumer: Consumer::new(RingMemory::new(segment.clone(), Direction::ToWorker)),
            segment,
            partial: Vec::new(),
            wake,
            patience: Patience::default(),
        },
    ))
}

impl WorkerSender {
    /// Sends a frame, if the ring has room for it at once.
    #[inline]
    pub fn try_send(&mut self, frame: &[u8], notify: Notify) -> Result<Push, Corrupt> {
        if frame.len() > self.producer.longest_piece() {
            return Ok(Push::Full);
        }
        let pushed = self.producer.push(frame, false)?;
        if pushed == Push::Done {
            self.notify(notify);
        }
        Ok(pushed)
    }

    /// Sends a frame of any length, in pieces if need be. `make_room` is called while there is
    /// no room: it must read what the hub sends meanwhile, or both may wait for each other.
    pub fn send(&mut self, frame: &[u8], notify: Notify, mut make_room: impl FnMut()) -> Result<(), Corrupt> {
        let longest = self.producer.longest_piece();
        let mut pieces = frame.chunks(longest).peekable();
        while let Some(piece) = pieces.next() {
            let more = pieces.peek().is_some();
            let mut nap = Nap::default();
            while self.producer.push(piece, more)? == Push::Full {
                self.notify(Notify::Ring);
                make_room();
                nap.rest();
            }
        }
        self.notify(notify);
        Ok(())
    }

    #[inline]
    fn notify(&self, notify: Notify) {
        let wake = match notify {
            Notify::Waiting => {
                fence(Ordering::SeqCst);
                let asleep = self.segment.hub_asleep();
                asleep.load(Ordering::Relaxed) != 0 && asleep.swap(0, Ordering::AcqRel) != 0
            }
            Notify::Ring => self.segment.bell_rung().swap(1, Ordering::AcqRel) == 0,
        };
        if wake {
            // Fails only if the counter is at its limit, and then the bell rings already.
            let _ = self.bell.write(1);
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
    pub fn stay_awake(&self) -> bool {
        self.patience.stay_awake(self.is_crowded(), || self.consumer.is_ready())
    }

    /// Whether there are more hot threads than processors, so that spinning only hurts.
    #[inline]
    pub fn is_crowded(&self) -> bool {
        self.segment.crowded().load(Ordering::Relaxed) != 0
    }

    /// Sleeps until the hub has sent something. Also returns when a signal arrived, so that
    /// its handler can run; `is_ready` tells. With `mask`, that is the thread's signal mask
    /// while it sleeps: a thread that blocks signals, looks for what they left, and sleeps with
    /// the mask it had before misses none.
    pub fn sleep(&mut self, mask: Option<&libc::sigset_t>) {
        let start = Instant::now();
        let asleep = self.segment.worker_asleep();
        asleep.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !self.consumer.is_ready() {
            let mut fds =
                [libc::pollfd { fd: self.wake.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 }];
            let mask = mask.map_or(std::ptr::null(), std::ptr::from_ref);
            // SAFETY: one valid pollfd is passed, with its number; no time limit, and a mask
            // that is NULL or borrowed.
            let woken = unsafe { libc::ppoll(fds.as_mut_ptr(), 1, std::ptr::null(), mask) };
            if woken == 1 {
                // Does not block: nobody else reads it.
                let _ = self.wake.read();
            }
        }
        asleep.store(0, Ordering::Relaxed);
        self.patience.slept(start.elapsed());
    }

    /// What another thread can end a sleep with.
    pub fn waker(&self) -> io::Result<Waker> {
        // SAFETY: a duplicate of an eventfd is one.
        Ok(Waker(unsafe { EventFd::from_owned_fd(duplicate(&self.wake)?) }))
    }
}

/// Ends the sleep of a [`WorkerReceiver`], or the next one, without a frame.
#[derive(Debug)]
pub struct Waker(EventFd);

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
    while let Some(whole) = consumer.pop(partial)? {
        if whole {
            std::mem::swap(partial, frame);
            partial.clear();
            partial.shrink_to(1 << 16);
            return Ok(true);
        }
    }
    Ok(false)
}

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
                receiver.sleep(None);
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
                    receiver.patience.slept(Duration::from_secs(1));
                    receiver.patience.slept(Duration::from_secs(1));
                }
            }
        });
        let mut frame = Vec::new();
        for number in 0..COUNT {
            assert!(hub.send(&number.to_le_bytes(), || true).unwrap());
            while !hub.receive(&mut frame).unwrap() {
                if hub.arm() {
                    let mut fds =
                        [libc::pollfd { fd: hub.bell().as_raw_fd(), events: libc::POLLIN, revents: 0 }];
                    // SAFETY: one valid pollfd is passed, with its number.
                    let woken = unsafe { libc::poll(fds.as_mut_ptr(), 1, 60_000) };
                    assert_eq!(woken, 1, "waited 60 s for the answer to frame {number}");
                }
                hub.disarm();
                hub.silence();
            }
            assert_eq!(frame, number.to_le_bytes());
        }
        worker.join().unwrap();
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
