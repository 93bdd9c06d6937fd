//! How long to stay awake for something that is about to happen in another process; how to
//! sleep is left to the two ends.
//!
//! A round trip between two spinning threads costs a quarter of a microsecond, one with a
//! sleeper eighty. So a thread first spins, then lets others run, then sleeps. Which of these
//! pays depends on the recent past:
//!
//! * A thread whose last waits were long gives up soon.
//! * Where there are more hot threads than processors, the one we wait for may need this very
//!   processor: yield at once.
//! * A yield that takes long gave the processor to somebody who keeps it, a program of others
//!   with work to do. The scheduler wakes a sleeper at such a program's cost, but lets one who
//!   yields wait for its whole turn, milliseconds. So for many times as long nothing is yielded:
//!   a few looks, then sleep.
//! * A sleeper on the processor of who waits for it is back in a few microseconds, without
//!   disturbing another processor. One who may sleep there stays awake only for what comes at once.
//! * One who has looked in vain several times does not look before it yields or sleeps: the
//!   thread it waits for may be behind it on its own processor, whatever the number of hot
//!   threads is, because other programs use processors, too.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

/// How long a thread spins before it yields.
const SPIN: Duration = Duration::from_micros(5);
/// How long a hot thread stays awake altogether.
const AWAKE: Duration = Duration::from_micros(100);
/// The same for a thread that sleeps beside the one that wakes it.
const BRIEFLY: Duration = Duration::from_micros(20);
/// After how many short sleeps in a row a thread stays awake that sleeps beside its waker: before
/// that it would have to move to another processor, and that costs as much as some sleeps.
pub const SHORT: u8 = 4;
/// How often one who has woken somebody on its own processor lets others run, before it sleeps.
const YIELDS: u32 = 4;
/// How long a thread stays awake whose last waits were longer than [`AWAKE`].
const GLANCE: Duration = Duration::from_micros(2);
/// A yield that takes longer gave the processor to somebody else than a peer.
const ROBBED: Duration = Duration::from_micros(200);
/// What each runnable thread adds when there are more of them than processors to [`AWAKE`] and [`ROBBED`]: its turn on the processor.
const SCHEDULER_TURN: Duration = Duration::from_micros(10);
/// For how many times as long nothing is yielded when that comes twice in such a time: four
/// percent is lost at most.
const WARY: u32 = 50;
/// How many looks come before the first look at the clock: one to five microseconds, by the
/// processor. A hot answer must come within them, for the way behind them costs as much again.
const FIRST_LOOKS: u32 = 100;
/// How many looks there are between two looks at the clock.
const LOOKS: u32 = 32;
/// How often in a row a thread looks in vain before it stops looking.
const VAIN: u8 = 4;
/// After how many waits it tries again.
const RETRY: u8 = 32;

/// How many hot threads there are, if they are more than the processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Oversubscription(u32);

impl Oversubscription {
    /// Each thread has a processor to itself.
    pub const NONE: Oversubscription = Oversubscription(0);
    /// Nobody shall stay awake for anything.
    pub const SLEEPERS: Oversubscription = Oversubscription(u32::MAX);
    /// More are not told apart: those who wait for them would hardly ever sleep.
    const MOST_TOLD_APART: u32 = 100;

    /// `threads` runnable threads on `processors` CPUs.
    pub fn of(threads: usize, processors: usize) -> Oversubscription {
        if threads > processors {
            Oversubscription::from_number(u32::try_from(threads).unwrap_or(u32::MAX))
        } else {
            Oversubscription::NONE
        }
    }

    /// As [`Oversubscription::number`] gives it.
    pub fn from_number(threads: u32) -> Oversubscription {
        if threads == u32::MAX {
            Oversubscription::SLEEPERS
        } else {
            Oversubscription(threads.min(Oversubscription::MOST_TOLD_APART))
        }
    }

    /// How many threads, or 0.
    pub fn number(self) -> u32 {
        self.0
    }

    /// Whether a thread that spins may keep the one it waits for from running.
    #[inline]
    pub fn is_some(self) -> bool {
        self.0 > 0
    }

    /// How long it takes until each had its turn.
    fn round(self) -> Duration {
        SCHEDULER_TURN * self.0
    }
}

/// What it costs to be woken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waking {
    /// From another processor.
    Dear,
    /// From the processor where one sleeps.
    Cheap,
}

impl Waking {
    /// How long it pays to stay awake.
    fn awake(self) -> Duration {
        match self {
            Waking::Dear => AWAKE,
            Waking::Cheap => BRIEFLY,
        }
    }
}

/// What a thread learned from its last waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct SpinPolicy {
    /// Waits in a row that were longer than it pays to stay awake.
    long: u8,
    /// Sleeps in a row that were too short to be worth it.
    short: u8,
    /// Waits in a row in which the first looks were in vain, or left out.
    vain: u8,
    /// Yields since the last that was timed although it was answered.
    untimed: u8,
    yields: Caution,
    /// The same for one who gives way.
    no_way: Caution,
}

/// Whether yielding costs too much.
#[derive(Clone, Copy, Debug, Default)]
struct Caution {
    /// When a yield took long the last time.
    robbed: Option<Instant>,
    /// Until when nothing is yielded.
    wary: Option<Instant>,
}

impl Caution {
    fn is_wary(&mut self, now: Instant) -> bool {
        self.wary = self.wary.filter(|until| now < *until);
        self.wary.is_some()
    }

    /// A yield took so long. Once in a while that may happen.
    fn robbed(&mut self, now: Instant, took: Duration) {
        let span = took * WARY;
        let last = self.robbed.replace(now);
        if last.is_some_and(|last| now - last < span) {
            self.wary = Some(now + span);
        }
    }
}

impl SpinPolicy {
    /// Looks until `ready` says yes, or it no longer pays to stay awake. Returns whether it was
    /// ready.
    ///
    /// Before it gives up, it makes no system call unless there are more threads than processors, or [`SPIN`] is over.
    #[inline]
    pub fn stay_awake(
        &mut self,
        oversubscription: Oversubscription,
        waking: Waking,
        mut ready: impl FnMut() -> bool,
    ) -> bool {
        if ready() {
            return true;
        }
        if !oversubscription.is_some() && self.vain < VAIN && spin(FIRST_LOOKS, &mut ready) {
            self.vain = 0;
            return true;
        }
        self.stay_awake_longer(oversubscription, waking, &mut ready)
    }

    #[cold]
    fn stay_awake_longer(
        &mut self,
        oversubscription: Oversubscription,
        waking: Waking,
        ready: &mut dyn FnMut() -> bool,
    ) -> bool {
        if oversubscription == Oversubscription::SLEEPERS {
            return false;
        }
        let start = Instant::now();
        self.vain = if self.vain < RETRY { self.vain + 1 } else { VAIN - 1 };
        if self.yields.is_wary(start) {
            return false;
        }
        let shares = oversubscription.is_some() || self.vain >= VAIN;
        let limit = if self.long >= 2 { GLANCE } else { waking.awake() + oversubscription.round() };
        let mut waited = Duration::ZERO;
        while waited <= limit {
            let yields = shares && limit > GLANCE || waited > SPIN;
            if yields {
                std::thread::yield_now();
            }
            let is_ready = if yields { ready() } else { spin(LOOKS, &mut *ready) };
            if is_ready && !(yields && self.takes_the_time()) {
                return true;
            }
            let before = waited;
            waited = start.elapsed();
            if waited - before > ROBBED + oversubscription.round() {
                self.yields.robbed(start + waited, waited - before);
                return is_ready;
            }
            if is_ready {
                return true;
            }
        }
        false
    }

    /// Whether a yield that was answered is timed as well: one in four, because a look at the
    /// clock costs a tenth of a yield, and somebody who keeps the processor does so each time.
    fn takes_the_time(&mut self) -> bool {
        self.untimed = (self.untimed + 1) % 4;
        self.untimed == 0
    }

    /// Lets others of this processor run until `ready` says yes: for one who has just woken
    /// somebody there. Returns whether it was ready; if not, it is time to sleep.
    #[cold]
    pub fn give_way(&mut self, mut ready: impl FnMut() -> bool) -> bool {
        let start = Instant::now();
        if self.no_way.is_wary(start) {
            return false;
        }
        for _ in 0..YIELDS {
            std::thread::yield_now();
            if ready() {
                return true;
            }
            let waited = start.elapsed();
            if waited > ROBBED {
                // It was somebody else's turn, or who was woken needs more than one.
                self.no_way.robbed(start + waited, waited);
                return false;
            }
        }
        false
    }

    /// The same for one who has done its work, most likely, and has somebody wait for it there.
    #[cold]
    pub fn make_room(&mut self, ready: impl FnOnce() -> bool) -> bool {
        std::thread::yield_now();
        let is_ready = ready();
        self.short = if is_ready { self.short.saturating_add(1) } else { self.short };
        is_ready
    }

    /// Remembers how long a wait took in which the thread slept.
    pub fn slept(&mut self, waited: Duration, waking: Waking, oversubscription: Oversubscription) {
        let is_long = match waking {
            _ if oversubscription == Oversubscription::SLEEPERS => true,
            Waking::Dear => waited > AWAKE * 2,
            Waking::Cheap => waited > (BRIEFLY + oversubscription.round()) * 2,
        };
        self.long = if is_long { self.long.saturating_add(1) } else { 0 };
        self.short = if is_long { 0 } else { self.short.saturating_add(1) };
    }

    /// Whether sleeps have been so short that one had better stay awake, at the price of moving to
    /// another processor first.
    #[inline]
    pub fn is_worth_moving(&self) -> bool {
        self.short >= SHORT
    }
}

/// Looks so many times.
#[inline]
fn spin(looks: u32, mut ready: impl FnMut() -> bool) -> bool {
    for _ in 0..looks {
        spin_loop();
        if ready() {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_threads_as_processors_are_not_too_many() {
        assert_eq!(Oversubscription::of(1, 2), Oversubscription::NONE);
        assert_eq!(Oversubscription::of(2, 2), Oversubscription::NONE);
        assert_eq!(Oversubscription::of(3, 2).number(), 3);
        assert_eq!(Oversubscription::of(1000, 2).number(), Oversubscription::MOST_TOLD_APART);
        assert_eq!(Oversubscription::from_number(u32::MAX), Oversubscription::SLEEPERS);
    }

    #[test]
    fn what_is_ready_is_seen_and_who_sleeps_does_not_look_again() {
        let mut policy = SpinPolicy::default();
        let mut looks = 0;
        let ready = |looks: &mut u32, at: u32| {
            *looks += 1;
            *looks >= at
        };
        assert!(policy.stay_awake(Oversubscription::NONE, Waking::Dear, || ready(&mut looks, 3)));
        looks = 0;
        assert!(!policy.stay_awake(Oversubscription::SLEEPERS, Waking::Dear, || ready(&mut looks, 2)));
        assert_eq!(looks, 1);
    }
}
