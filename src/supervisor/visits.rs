//! Every call of the hub's is a visit: what is due is done then, whatever the hub called for; a
//! hub that never polls, or asks for one thing only, has its scripts restarted and served all the
//! same.
//!
//! A look at the system costs a system call, and a hub may call a million times a second. So a
//! visit first looks at the time, and that at a clock which costs nothing because it stands
//! still for some milliseconds. With each of its ticks come deadlines and what scripts have said,
//! for which a look at memory is enough; every few ticks comes a look at the system, for deaths.
//! Scripts that are asked something are looked at anyway, all the time.

use std::cell::Cell;
use std::time::Duration;

use super::Supervisor;
use super::hook_board::HookBoard;
use super::housekeeping::Heard;
use crate::host::Host;

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

/// When looks were taken last.
#[derive(Default)]
pub(super) struct Pace {
    served: Cell<u64>,
    looked: Cell<u64>,
    noticed: Cell<u64>,
}

/// How many nanoseconds pass between two looks at the system.
const LOOK: u64 = 20_000_000;

/// Whether the clock has ticked since this was asked last.
#[inline]
fn has_ticked(last: &Cell<u64>) -> bool {
    let tick = tick();
    last.replace(tick) != tick || tick == 0
}

/// Counts a level of nesting for as long as it lives.
pub(super) struct Level<'s>(&'s Supervisor);

impl Drop for Level<'_> {
    #[inline]
    fn drop(&mut self) {
        if self.0.agenda.leave() {
            self.0.listen_to_stuck();
        }
    }
}

impl Supervisor {
    /// One level deeper; `None` when that is too deep.
    pub(super) fn enter(&self) -> Option<Level<'_>> {
        self.agenda.enter().then(|| Level(self))
    }

    /// What every method with a host begins with. Does what [`Supervisor::serve`] does, at most
    /// once in a few milliseconds; deaths are noticed within 20. From within the host, where the
    /// visit around this one serves whoever waits, it does what [`Supervisor::glance`] does.
    #[inline]
    pub fn visit(&self, host: &mut dyn Host) {
        if has_ticked(&self.pace.served) {
            self.visit_now(host);
        }
    }

    #[cold]
    fn visit_now(&self, host: &mut dyn Host) {
        if self.agenda.is_inside() {
            return self.notice();
        }
        let tick = self.pace.served.get();
        if tick.saturating_sub(self.pace.looked.get()) >= LOOK || tick == 0 {
            self.pace.looked.set(tick);
            self.look(Duration::ZERO);
        }
        self.serve_seen(host);
    }

    /// What methods do that have no host, and whose callers expect them to be quick: notices
    /// deaths, restarts what is due, kills what is late; at most once in a few milliseconds.
    /// Nothing is said to the host, and no script's call is served, until the next visit.
    #[inline]
    pub fn glance(&self) {
        if has_ticked(&self.pace.noticed) {
            self.notice();
        }
    }

    #[cold]
    fn notice(&self) {
        self.look(Duration::ZERO);
        self.settle(Heard::Unheard);
        if self.agenda.is_inside() {
            return;
        }
        if self.agenda.needs_housekeeping() {
            self.renew_spares();
            self.set_timer();
        }
        if !self.agenda.is_empty() {
            self.reactor.wake();
        }
    }

    /// Serves the calls of scripts' own threads, notices deaths, restarts what is due. A hub
    /// calls it when [`Supervisor::poll_fd`] is readable; more often does no harm.
    pub fn serve(&self, host: &mut dyn Host) {
        self.look(Duration::ZERO);
        self.serve_seen(host);
    }

    /// Acts on what can be known without asking the system.
    fn serve_seen(&self, host: &mut dyn Host) {
        let Some(level) = self.enter() else { return };
        self.pump_all(host);
        self.act_on_agenda(host);
        self.say_what_is_due();
        drop(level);
        self.keep_house(host);
    }
}

impl Supervisor {
    /// From now on the hooks of all scripts can be read there.
    pub(crate) fn publish_hooks(&self, board: &'static HookBoard) {
        self.registry.publish(board);
    }
}
