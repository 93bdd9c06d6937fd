//! How long to stay awake for something that is about to happen in another process; how to
//! sleep is left to the two ends.
//!
//! A round trip between two spinning threads costs a quarter of a microsecond, one with a
//! sleeper eighty. So a thread first spins, then lets others run, then sleeps. Which of these
//! pays depends on the recent past: a thread whose last waits were long gives up spinning
//! soon, and one that shares its processor with the thread it waits for must yield at once.

use std::hint::spin_loop;
use std::time::{Duration, Instant};

/// How long a hot thread spins before it yields.
const SPIN: Duration = Duration::from_micros(12);
/// How long a hot thread stays awake altogether.
const AWAKE: Duration = Duration::from_micros(100);
/// How long a thread stays awake whose last waits were longer than [`AWAKE`].
const GLANCE: Duration = Duration::from_micros(2);
/// How many looks there are between two looks at the clock.
const LOOKS: u32 = 32;

/// What a thread learned from its last waits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    /// Waits in a row that were longer than it pays to stay awake.
    long: u8,
}

impl Patience {
    /// Looks until `ready` says yes, or it no longer pays to stay awake. `crowded` says that
    /// there are more hot threads than processors. Returns whether it was ready.
    ///
    /// Before it gives up, it makes no system call unless it is crowded or [`SPIN`] is over.
    #[inline]
    pub fn stay_awake(&self, crowded: bool, mut ready: impl FnMut() -> bool) -> bool {
        if ready() {
            return true;
        }
        if !crowded {
            for _ in 0..LOOKS {
                spin_loop();
                if ready() {
                    return true;
                }
            }
        }
        self.stay_awake_longer(crowded, &mut ready)
    }

    #[cold]
    fn stay_awake_longer(&self, crowded: bool, ready: &mut dyn FnMut() -> bool) -> bool {
        let limit = if self.long >= 2 { GLANCE } else { AWAKE };
        let start = Instant::now();
        loop {
            let waited = start.elapsed();
            if waited > limit {
                return false;
            }
            if crowded || waited > SPIN {
                // The thread we wait for may need this very processor.
                std::thread::yield_now();
                if ready() {
                    return true;
                }
            } else {
                for _ in 0..LOOKS {
                    spin_loop();
                    if ready() {
                        return true;
                    }
                }
            }
        }
    }

    /// The patience of one who waits for a sleeper: it is better to sleep as well than to
    /// stay awake for as long as that takes.
    pub fn for_a_sleeper(self) -> Patience {
        Patience { long: u8::MAX }
    }

    /// Remembers how long a wait took in which the thread slept.
    pub fn slept(&mut self, waited: Duration) {
        self.long = if waited > AWAKE * 2 { self.long.saturating_add(1) } else { 0 };
    }
}
