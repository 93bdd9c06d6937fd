//! What can wake the hub's thread, and the two threads that help it.
//!
//! Invariant: **what can need attention is registered**: the doorbells and the ends of all processes
//! that the supervisor knows, the timer of the next deadline, processes that were started, and a
//! flag by which the supervisor wakes itself. Which token means what is known here only; others
//! get an [`Event`].

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::EventFd;
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use plugin_abi::refusal;
use smallvec::SmallVec;

use super::output::OutputThread;
use super::poll::{epoll, eventfd};
use super::process::Process;
use super::spawn::SpawnThread;

const TIMER: u64 = u64::MAX;
const WAKE: u64 = u64::MAX - 1;
const STARTED: u64 = u64::MAX - 2;

/// How many events one poll takes at most; the rest comes with the next.
const EVENTS: usize = 32;

/// Something that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// The time is there that the timer was set to.
    Due,
    /// Processes were started, or could not be.
    Started,
    /// The process with this serial has rung its doorbell, or closed it.
    Doorbell(u64),
    /// The process with this serial has ended.
    Ended(u64),
}

/// The threads that help.
pub(super) struct Helpers {
    /// Starts processes.
    pub(super) spawner: SpawnThread,
    /// Reads what they print.
    pub(super) reader: OutputThread,
}

/// One epoll and what it belongs to.
pub(super) struct Reactor {
    /// Replaced after a fork, as is the next.
    helpers: RefCell<Rc<Helpers>>,
    poller: RefCell<Poller>,
}

struct Poller {
    epoll: Epoll,
    timer: TimerFd,
    wake: EventFd,
}

fn start() -> io::Result<(Rc<Helpers>, Poller)> {
    let helpers = Helpers { spawner: SpawnThread::start()?, reader: OutputThread::start()? };
    let poller = Poller {
        epoll: epoll()?,
        timer: TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)
            .map_err(|number| refusal::named("timerfd_create", number))?,
        wake: eventfd()?,
    };
    poller.add(poller.timer.as_fd(), TIMER)?;
    poller.add(poller.wake.as_fd(), WAKE)?;
    poller.add(helpers.spawner.started(), STARTED)?;
    Ok((Rc::new(helpers), poller))
}

impl Poller {
    fn add(&self, fd: BorrowedFd<'_>, token: u64) -> io::Result<()> {
        Ok(self.epoll.add(fd, EpollEvent::new(EpollFlags::EPOLLIN, token))?)
    }
}

impl Reactor {
    /// Starts the threads.
    pub(super) fn start() -> io::Result<Reactor> {
        let (helpers, poller) = start()?;
        Ok(Reactor { helpers: RefCell::new(helpers), poller: RefCell::new(poller) })
    }

    /// In a forked child: the threads exist in the parent only, and what is registered is the
    /// parent's. Starts anew, with nothing registered.
    pub(super) fn after_fork(&self) -> io::Result<()> {
        self.helpers().reader.leave();
        let (helpers, poller) = start()?;
        self.helpers.replace(helpers);
        self.poller.replace(poller);
        Ok(())
    }

    /// The threads that help.
    pub(super) fn helpers(&self) -> Rc<Helpers> {
        self.helpers.borrow().clone()
    }

    /// Readable when [`Reactor::poll`] would give something, or was to be woken.
    pub(super) fn fd(&self) -> RawFd {
        self.poller.borrow().epoll.0.as_raw_fd()
    }

    /// From now on this process can wake the hub.
    pub(super) fn register(&self, process: &Process) -> io::Result<()> {
        let poller = self.poller.borrow();
        process.with_doorbell(|doorbell| poller.add(doorbell, process.serial * 2))?;
        poller.add(process.pidfd(), process.serial * 2 + 1)
    }

    /// The opposite of [`Reactor::register`].
    pub(super) fn unregister(&self, process: &Process) {
        self.forget_doorbell(process);
        // It fails only if it was never added, as does the other.
        let _ = self.poller.borrow().epoll.delete(process.pidfd());
    }

    /// Whoever closed their end of a doorbell can ring no more: it would be readable for ever.
    pub(super) fn forget_doorbell(&self, process: &Process) {
        let _ = process.with_doorbell(|doorbell| self.poller.borrow().epoll.delete(doorbell));
    }

    /// Lets the next poll return at once.
    pub(super) fn wake(&self) {
        let _ = self.poller.borrow().wake.write(1);
    }

    /// For other threads: who writes a number there lets the next poll return at once.
    pub(super) fn waker(&self) -> io::Result<OwnedFd> {
        self.poller.borrow().wake.as_fd().try_clone_to_owned()
    }

    /// Asks the system what happened; waits for it at most this long.
    pub(super) fn poll(&self, timeout: Duration) -> SmallVec<[Event; EVENTS]> {
        let poller = self.poller.borrow();
        let mut events = [EpollEvent::empty(); EVENTS];
        // Rounded up: a wait that ends too early would only be repeated.
        let millis = i32::try_from(timeout.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
        let timeout = EpollTimeout::try_from(millis).unwrap_or(EpollTimeout::MAX);
        let count = poller.epoll.wait(&mut events, timeout).unwrap_or(0);
        events.iter().take(count).filter_map(|event| poller.event(event.data())).collect()
    }

    /// The next time at which something is due.
    pub(super) fn set_timer(&self, next: Option<Instant>) {
        let poller = self.poller.borrow();
        let set = match next {
            None => poller.timer.unset(),
            Some(next) => {
                // Zero would unset it.
                let wait = next.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
                poller.timer.set(Expiration::OneShot(TimeSpec::from(wait)), TimerSetTimeFlags::empty())
            }
        };
        if let Err(error) = set {
            log::error!("scripts' deadlines are noticed late from now on: timerfd: {error}");
        }
    }
}

impl Poller {
    /// What a token means.
    fn event(&self, token: u64) -> Option<Event> {
        match token {
            TIMER => {
                // Only to make it unreadable; what is due is decided by the clock.
                let _ = nix::unistd::read(self.timer.as_fd(), &mut [0; 8]);
                Some(Event::Due)
            }
            WAKE => {
                let _ = self.wake.read();
                None
            }
            STARTED => Some(Event::Started),
            token if token.is_multiple_of(2) => Some(Event::Doorbell(token / 2)),
            token => Some(Event::Ended(token / 2)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::process::tests::a_process;

    const LONG: Duration = Duration::from_secs(60);

    fn poll(reactor: &Reactor) -> Vec<Event> {
        reactor.poll(LONG).to_vec()
    }

    #[test]
    fn the_timer_makes_itself_known_once() {
        let reactor = Reactor::start().unwrap();
        reactor.set_timer(Some(Instant::now()));
        assert_eq!(poll(&reactor), [Event::Due]);
        reactor.set_timer(Some(Instant::now() + LONG));
        assert_eq!(reactor.poll(Duration::ZERO).to_vec(), []);
        reactor.set_timer(None);
        assert_eq!(reactor.poll(Duration::ZERO).to_vec(), []);
    }

    #[test]
    fn whoever_wakes_it_ends_one_wait_and_is_no_event() {
        let reactor = Reactor::start().unwrap();
        reactor.wake();
        reactor.wake();
        assert_eq!(poll(&reactor), []);
        assert_eq!(reactor.poll(Duration::ZERO).to_vec(), []);
    }

    #[test]
    fn the_end_of_a_process_is_known_by_its_serial_as_long_as_it_is_registered() {
        let reactor = Reactor::start().unwrap();
        let process = a_process(&reactor.helpers(), 7);
        reactor.register(&process).unwrap();
        process.signal(libc::SIGKILL);
        let start = Instant::now();
        while !poll(&reactor).contains(&Event::Ended(7)) {
            assert!(start.elapsed() < LONG, "waiting for the end of a process");
        }
        reactor.unregister(&process);
        let events = reactor.poll(Duration::ZERO);
        assert!(events.iter().all(|event| *event == Event::Started), "{events:?}");
    }
}
