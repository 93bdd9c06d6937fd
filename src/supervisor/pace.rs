//! How often a visit does what costs something.
//!
//! To poll costs a system call, and a hub may call a million times a second. So a
//! visit first looks at the time, and that at a clock which costs nothing because it stands
//! still for some milliseconds. With each of its ticks come deadlines and what scripts have said,
//! for which a read of memory is enough; every few ticks the system is polled, for deaths.
//! Scripts that are asked something are polled anyway, all the time.

use std::cell::Cell;

/// When the clock that ticks every few milliseconds has ticked last: one read of memory. 0 only
/// where there is no such clock.
#[inline]
pub(crate) fn tick() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is valid for writing. Every observed event passes here: no checks
    // and conversions that cost as much as the read itself.
    if unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut time) } != 0 {
        return 0;
    }
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// When was done what a visit does now and then.
#[derive(Default)]
pub(super) struct Pace {
    served: Cell<u64>,
    polled: Cell<u64>,
    noticed: Cell<u64>,
}

/// How many nanoseconds pass between two polls.
const POLL_INTERVAL: u64 = 20_000_000;

/// Whether the clock has ticked since this was asked last.
#[inline]
fn has_ticked(last: &Cell<u64>) -> bool {
    let tick = tick();
    last.replace(tick) != tick || tick == 0
}

impl Pace {
    /// Whether scripts are to be served now; the next time is a tick later.
    #[inline]
    pub(super) fn serves(&self) -> bool {
        has_ticked(&self.served)
    }

    /// Whether a visit without a host is to see what has happened; the next time is a tick later.
    #[inline]
    pub(super) fn notices(&self) -> bool {
        has_ticked(&self.noticed)
    }

    /// Whether a visit that serves is to ask the system as well.
    pub(super) fn polls(&self) -> bool {
        let tick = self.served.get();
        let is_due = tick.saturating_sub(self.polled.get()) >= POLL_INTERVAL || tick == 0;
        if is_due {
            self.polled.set(tick);
        }
        is_due
    }
}
