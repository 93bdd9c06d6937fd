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
//!   yields wait for its whole turn, milliseconds. So for a while nothing is yielded: a short
//!   spin, then sleep.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

/// How long a thread spins before it yields.
const SPIN: Duration = Duration::from_micros(5);
/// How long a hot thread stays awake altogether.
const AWAKE: Duration = Duration::from_micros(100);
/// How long a thread stays awake whose last waits were longer than [`AWAKE`].
const GLANCE: Duration = Duration::from_micros(2);
/// A yield that takes longer gave the processor to somebody else than a peer.
const ROBBED: Duration = Duration::from_micros(200);
/// What each thread of a crowd adds to [`AWAKE`] and [`ROBBED`]: its turn on the processor.
const TURN: Duration = Duration::from_micros(10);
/// For how many waits nothing is yielded after that.
const WARY: u16 = 1000;
/// How many looks come before the first look at the clock: one to five microseconds, by the
/// processor. A hot answer must come within them, for the way behind them costs as much again.
const FIRST_LOOKS: u32 = 100;
/// How many looks there are between two looks at the clock.
const LOOKS: u32 = 32;

/// How many hot threads there are, if they are more than the processors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Crowd(u32);

impl Crowd {
    /// Each thread has a processor to itself.
    pub const NONE: Crowd = Crowd(0);
    /// More are not told apart: those who wait for them would hardly ever sleep.
    const MOST: u32 = 100;

    /// So many threads on so many processors.
    pub fn of(threads: usize, processors: usize) -> Crowd {
        if threads > processors {
            Crowd::from_number(u32::try_from(threads).unwrap_or(u32::MAX))
        } else {
            Crowd::NONE
        }
    }

    /// As [`Crowd::number`] gives it.
    pub fn from_number(threads: u32) -> Crowd {
        Crowd(threads.min(Crowd::MOST))
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
        TURN * self.0
    }
}

/// What a thread learned from its last waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    /// Waits in a row that were longer than it pays to stay awake.
    long: u8,
    /// Waits that are left until yielding is tried again.
    wary: u16,
}

impl Patience {
    /// Looks until `ready` says yes, or it no longer pays to stay awake. Returns whether it was
    /// ready.
    ///
    /// Before it gives up, it makes no system call unless there is a crowd or [`SPIN`] is over.
    #[inline]
    pub fn stay_awake(&mut self, crowd: Crowd, mut ready: impl FnMut() -> bool) -> bool {
        if ready() {
            return true;
        }
        if !crowd.is_some() && spin(FIRST_LOOKS, &mut ready) {
            return true;
        }
        self.stay_awake_longer(crowd, &mut ready)
    }

    #[cold]
    fn stay_awake_longer(&mut self, crowd: Crowd, ready: &mut dyn FnMut() -> bool) -> bool {
        let may_yield = self.long < 2 && self.wary == 0;
        let limit = match (self.long, self.wary) {
            (2.., _) => GLANCE,
            (_, 0) => AWAKE + crowd.round(),
            (_, 1..) if crowd.is_some() => Duration::ZERO,
            (_, 1..) => SPIN,
        };
        self.wary = self.wary.saturating_sub(1);
        let start = Instant::now();
        let mut waited = Duration::ZERO;
        while waited <= limit {
            if crowd.is_some() && may_yield || waited > SPIN {
                std::thread::yield_now();
                if ready() {
                    return true;
                }
            } else if spin(LOOKS, &mut *ready) {
                return true;
            }
            let before = waited;
            waited = start.elapsed();
            if waited - before > ROBBED + crowd.round() {
                self.wary = WARY;
                return false;
            }
        }
        false
    }

    /// The patience of one who waits for a sleeper: it is better to sleep as well than to
    /// stay awake for as long as that takes.
    pub fn for_a_sleeper(self) -> Patience {
        Patience { long: u8::MAX, ..self }
    }

    /// Remembers how long a wait took in which the thread slept.
    pub fn slept(&mut self, waited: Duration) {
        self.long = if waited > AWAKE * 2 { self.long.saturating_add(1) } else { 0 };
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
