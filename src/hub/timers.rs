//! What happens later without anybody's doing: deadlines of logins, closes and stops that were
//! put off, scripts' `OnTimer`; and how often the hub's loop turned lately.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use plugin_abi::{Hook, Value};

use super::connection::{Stage, State};
use super::{Clock, CloseReason, ConnId, Hub, since_epoch};

/// How much may be due before scripts can add nothing to it.
const MOST_TIMERS: usize = 100_000;

/// Something that is to happen later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// Look at a connection's deadline.
    Deadline(ConnId),
    /// Close a connection, with the number of the reason.
    Close(ConnId, i64),
    /// Stop the hub with this code.
    Stop(i64),
}

/// What is to happen later, the next first.
#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Reverse<(Instant, Due)>>,
    /// When scripts' `OnTimer` is due; `None` when none has it.
    tick: Option<Instant>,
}

impl Timers {
    /// Whether scripts have to wait before they can let more happen later.
    pub fn is_full(&self) -> bool {
        self.heap.len() >= MOST_TIMERS
    }

    /// Lets something happen at a time.
    pub fn add(&mut self, at: Instant, due: Due) {
        self.heap.push(Reverse((at, due)));
    }

    fn pop(&mut self, now: Instant) -> Option<Due> {
        if self.heap.peek()?.0.0 > now {
            return None;
        }
        self.heap.pop().map(|Reverse((_, due))| due)
    }
}

/// How often the loop turned lately.
#[derive(Default)]
pub(super) struct Frequency {
    /// Turns in each of the last seconds.
    seconds: [(i64, u32); 16],
}

impl Frequency {
    /// Counts a turn.
    pub fn count(&mut self, second: i64) {
        let at = second.rem_euclid(self.seconds.len() as i64) as usize;
        if let Some(slot) = self.seconds.get_mut(at) {
            if slot.0 != second {
                *slot = (second, 0);
            }
            slot.1 = slot.1.saturating_add(1);
        }
    }

    /// The mean of the last ten whole seconds, or of fewer if the hub is younger.
    pub fn mean(&self, second: i64, started: i64) -> f64 {
        let span = (second - started).clamp(1, 10);
        let turns: u64 = self
            .seconds
            .iter()
            .filter(|(at, _)| (1..=span).contains(&(second - at)) || (span == 1 && *at == second))
            .map(|(_, turns)| u64::from(*turns))
            .sum();
        turns as f64 / span as f64
    }
}

impl Hub {
    /// Sets by when a connection's login must have gone on.
    pub(super) fn set_deadline(&mut self, id: ConnId, seconds: i64) {
        let at =
            self.clock.instant + Duration::from_secs(u64::try_from(seconds).unwrap_or(0).clamp(1, 86_400));
        if let Some(connection) = self.connections.get_mut(id) {
            (connection.deadline, connection.since) = (Some(at), self.clock.instant);
            self.timers.add(at, Due::Deadline(id));
        }
    }

    /// When the next turn is due, if nothing comes before.
    pub(super) fn next_turn(&mut self) -> Option<Instant> {
        if !self.closing.is_empty() || !self.script_commands.is_empty() || self.unsent {
            return Some(self.clock.instant.checked_sub(self.ahead).unwrap_or(self.clock.instant));
        }
        if !self.scripts.wants(Hook::OnTimer) || self.is_tested {
            self.timers.tick = None;
        } else if self.timers.tick.is_none() {
            self.timers.tick = Some(self.clock.instant + Duration::from_secs(1));
        }
        let next = self.timers.heap.peek().map(|Reverse((at, _))| *at);
        let late = (!self.late_lists.is_empty()).then(|| self.clock.instant + Duration::from_secs(1));
        // The passwords' delays are in the time that passes.
        let by_clock = [next, late, self.timers.tick, self.menus.next()].into_iter().flatten().min();
        let by_clock = by_clock.map(|at| at.checked_sub(self.ahead).unwrap_or(at));
        [by_clock, self.passwords.next_delay()].into_iter().flatten().min()
    }

    /// Does what is due by now.
    pub(super) fn run_timers(&mut self) {
        let now = self.clock.instant;
        while let Some(due) = self.timers.pop(now) {
            match due {
                Due::Deadline(id) => self.deadline(id, now),
                Due::Close(id, reason) => self.close(id, CloseReason::from_number(reason)),
                Due::Stop(code) => self.stop = Some(code),
            }
        }
        if self.timers.tick.is_some_and(|tick| tick <= now) {
            // A late tick is not made up for.
            self.timers.tick = Some(now + Duration::from_secs(1));
            self.tick();
        }
    }

    /// Tells scripts the time.
    pub(super) fn tick(&mut self) {
        let since = since_epoch(self.ahead);
        self.raise(Hook::OnTimer, &[Value::Float(since.as_millis() as f64 / 1000.0)]);
    }

    /// Puts the clock forward, for tests: what is due until then happens.
    pub(super) fn put_clock_forward(&mut self, by: Duration) {
        self.ahead = self.ahead.saturating_add(by);
        self.sql.put_clock_forward(self.ahead);
        self.clock = Clock::now(self.ahead);
        self.run_timers();
    }

    fn deadline(&mut self, id: ConnId, now: Instant) {
        let Some(connection) = self.connections.get(id) else { return };
        match connection.state {
            State::Open if connection.deadline.is_some_and(|deadline| deadline <= now) => {
                let missing = match connection.stage {
                    Stage::Proxy => "PROXY header",
                    Stage::Connected => "key",
                    Stage::Key => "nick",
                    Stage::Password => "password",
                    Stage::Nick | Stage::LoggedIn => "user information",
                };
                let text = format!("Login timeout: your client did not send its {missing} in time.");
                self.dismiss(id, CloseReason::Timeout, &text);
            }
            State::Lingering(until) if until <= now => {
                self.connections.remove(id);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_that_of_the_last_ten_seconds_or_since_the_start() {
        let mut frequency = Frequency::default();
        for second in 100..130 {
            (100..second).for_each(|_| frequency.count(second));
        }
        // In the second 120 there were 20 turns, in 129 there were 29.
        assert_eq!(frequency.mean(130, 100), 24.5);
        assert_eq!(frequency.mean(130, 128), 28.5);
        assert_eq!(frequency.mean(129, 129), 28.0 + 29.0);
        assert_eq!(frequency.mean(1000, 100), 0.0);
    }
}
