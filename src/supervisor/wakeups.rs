//! Decides where scripts' processes sleep, so that waking them costs least: on the processor of
//! the hub's thread or wherever they are. It knows times only.
//!
//! Which of the two is better depends on the machine: to wake an idle processor costs a virtual
//! machine tens of microseconds, and bare metal one or two. It cannot be measured once and for all:
//! at the start others may be at work, and a container's share may change. So both are tried, the
//! worse one ever more seldom, and compared by the shortest of the last few times from handing
//! over an event to its answer. The shortest, because hooks take as long as they take.
//!
//! One script alone is moved so. Where several are asked at once they work at once, on as many
//! processors as there are, and each of them is better off elsewhere.

use std::cell::Cell;
use std::time::Duration;

use plugin_abi::asleep::{Asleep, Place, Processor};

/// How many times are compared.
const LAST: usize = 4;
/// After how many wake-ups the other way is tried for the first time.
const FIRST_TRIAL: u32 = 16;
/// And after how many at most.
const LAST_TRIAL: u32 = 4096;
/// How many wake-ups a trial takes: the first finds everybody where they were before.
const TRIAL: u32 = LAST as u32;
/// To sleep beside the hub must be so much better, in quarters of the time: the less is done to
/// scripts' processes the better.
const BETTER: u64 = 3;

/// Where to sleep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Beside,
    Anywhere,
}

impl Way {
    fn other(self) -> Way {
        match self {
            Way::Beside => Way::Anywhere,
            Way::Anywhere => Way::Beside,
        }
    }
}

/// The last few times in nanoseconds.
#[derive(Clone, Copy, Debug)]
struct Times {
    last: [u32; LAST],
    next: usize,
}

impl Times {
    const NONE: Times = Times { last: [u32::MAX; LAST], next: 0 };

    fn add(&mut self, took: Duration) {
        if let Some(place) = self.last.get_mut(self.next % LAST) {
            *place = u32::try_from(took.as_nanos()).unwrap_or(u32::MAX);
        }
        self.next = self.next.wrapping_add(1);
    }

    /// The shortest, once there are enough.
    fn shortest(&self) -> Option<u32> {
        self.last.iter().copied().min().filter(|_| self.next >= LAST)
    }
}

/// What is known about wake-ups on this machine.
#[derive(Debug)]
pub(super) struct Wakeups {
    /// What is done: the better way, or the other one on trial.
    way: Cell<Way>,
    better: Cell<Way>,
    beside: Cell<Times>,
    anywhere: Cell<Times>,
    /// How many more wake-ups go this way.
    left: Cell<u32>,
    /// How many of the better way come between two trials.
    between: Cell<u32>,
    /// The system lets no process choose where it sleeps.
    refused: Cell<bool>,
}

impl Default for Wakeups {
    fn default() -> Wakeups {
        Wakeups {
            // Nothing is done to anybody's process before it is known to be worth it.
            way: Cell::new(Way::Anywhere),
            better: Cell::new(Way::Anywhere),
            beside: Cell::new(Times::NONE),
            anywhere: Cell::new(Times::NONE),
            left: Cell::new(FIRST_TRIAL),
            between: Cell::new(FIRST_TRIAL),
            refused: Cell::new(false),
        }
    }
}

impl Wakeups {
    /// Where a process is to sleep that is asked alone. No system call.
    #[inline]
    pub(super) fn place(&self) -> Place {
        match self.way.get() {
            Way::Beside => Processor::current().map_or(Place::Anywhere, Place::Beside),
            Way::Anywhere => Place::Anywhere,
        }
    }

    /// A process slept like this, and its answer came after this time.
    #[cold]
    pub(super) fn woke(&self, asleep: Asleep, took: Duration) {
        match asleep {
            Asleep::Refused => self.refuse(),
            Asleep::At(_) if self.way.get() == Way::Beside => self.measured(&self.beside, took),
            Asleep::Anywhere if self.way.get() == Way::Anywhere => self.measured(&self.anywhere, took),
            // It lay down before the way was changed, or cannot run beside the hub.
            Asleep::At(_) | Asleep::Anywhere => {}
        }
    }

    /// What a process says that can say anything: so it is believed, once and for all, and no
    /// worse than slow.
    fn refuse(&self) {
        self.way.set(Way::Anywhere);
        self.left.set(u32::MAX);
        if !self.refused.replace(true) {
            log::warn!(
                "scripts cannot choose their processor (the system call sched_setaffinity is \
                 forbidden), so that an event after a pause takes longer: allow it in the container's \
                 filter (its seccomp profile)"
            );
        }
    }

    fn measured(&self, times: &Cell<Times>, took: Duration) {
        let mut known = times.get();
        known.add(took);
        times.set(known);
        if self.refused.get() {
            return;
        }
        self.left.set(self.left.get().saturating_sub(1));
        if self.left.get() == 0 {
            self.turn();
        }
    }

    /// Begins a trial, or ends one.
    fn turn(&self) {
        let better = self.better.get();
        if self.way.get() == better {
            self.way.set(better.other());
            self.left.set(TRIAL);
            return;
        }
        if let (Some(beside), Some(anywhere)) = (self.beside.get().shortest(), self.anywhere.get().shortest())
        {
            let is_worth_it = u64::from(beside) * 4 < u64::from(anywhere) * BETTER;
            self.better.set(if is_worth_it { Way::Beside } else { Way::Anywhere });
        }
        if self.better.get() == better {
            self.between.set((self.between.get() * 2).min(LAST_TRIAL));
        } else {
            log::debug!("the hub waits less for scripts that sleep like this: {:?}", self.better.get());
            self.between.set(FIRST_TRIAL);
        }
        self.way.set(self.better.get());
        self.left.set(self.between.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wakes so often, where waking beside and elsewhere takes so many microseconds. How many
    /// were woken beside.
    fn wake(wakeups: &Wakeups, count: u32, beside: u64, elsewhere: u64) -> u32 {
        let processor = Processor::from_number(0).unwrap();
        let mut woken = 0;
        for number in 0..count {
            // Hooks that take their time, but for one in three.
            let hook = u64::from(number % 3) * 1000;
            let is_beside = wakeups.way.get() == Way::Beside;
            woken += u32::from(is_beside);
            let (asleep, cost) =
                if is_beside { (Asleep::At(processor), beside) } else { (Asleep::Anywhere, elsewhere) };
            wakeups.woke(asleep, Duration::from_micros(cost + hook));
        }
        woken
    }

    #[test]
    fn scripts_sleep_where_they_are_woken_fastest_on_any_machine() {
        let virtual_machine = Wakeups::default();
        assert!(wake(&virtual_machine, 10_000, 5, 60) > 9900);
        let metal = Wakeups::default();
        assert!(wake(&metal, 10_000, 5, 3) < 100);
        // And when it changes: another machine took over, or a processor is lost to others.
        assert!(wake(&metal, 20_000, 5, 60) > 14_000);
    }

    #[test]
    fn where_it_is_forbidden_nobody_is_asked_to_again() {
        let wakeups = Wakeups::default();
        wakeups.woke(Asleep::Refused, Duration::from_micros(60));
        assert_eq!(wakeups.place(), Place::Anywhere);
        assert_eq!(wake(&wakeups, 10_000, 5, 60), 0);
    }
}
