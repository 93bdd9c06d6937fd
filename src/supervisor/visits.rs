//! Every call of the hub's is a visit: what is due is done then, whatever the hub called for; a
//! hub that never polls, or asks for one thing only, has its scripts restarted and served all the
//! same.

use std::time::Duration;

use super::hook_board::HookBoard;
use super::housekeeping::Heard;
use super::{Host, Supervisor};

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
        if self.pace.serves() {
            self.visit_now(host);
        }
    }

    #[cold]
    fn visit_now(&self, host: &mut dyn Host) {
        if self.agenda.is_inside() {
            return self.notice();
        }
        if self.pace.polls() {
            self.poll(Duration::ZERO);
        }
        self.serve_seen(host);
    }

    /// What methods do that have no host, and whose callers expect them to be quick: notices
    /// deaths, restarts what is due, kills what is late; at most once in a few milliseconds.
    /// Nothing is said to the host, and no script's call is served, until the next visit.
    #[inline]
    pub fn glance(&self) {
        if self.pace.notices() {
            self.notice();
        }
    }

    #[cold]
    fn notice(&self) {
        self.poll(Duration::ZERO);
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
        self.poll(Duration::ZERO);
        self.serve_seen(host);
    }

    /// Acts on what can be known without asking the system.
    fn serve_seen(&self, host: &mut dyn Host) {
        let Some(level) = self.enter() else { return };
        self.pump_all(host);
        self.act_on_agenda(host);
        self.say_what_is_due();
        drop(level);
        self.publish_metrics(host);
        self.serve_control(host);
        self.keep_house(host);
    }
}

impl Supervisor {
    /// From now on the hooks of all scripts can be read there.
    pub(crate) fn publish_hooks(&self, board: &'static HookBoard) {
        self.registry.publish(board);
    }
}
