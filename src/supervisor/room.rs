//! How long the hub waits for a process to read what it is sent.

use std::time::{Duration, Instant};

/// How long the hub has waited for one process to read what it is sent. Each send has a deadline;
/// this is for many that come close to it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Room {
    /// What was waited and is not forgiven yet.
    debt: Duration,
    since: Option<Instant>,
}

/// How many bytes a second a decent process reads, even on a machine that has much else to do.
const DECENT: f64 = (64 << 20) as f64;
/// In how long a whole budget is forgiven.
const FORGIVEN: f64 = 60.0;

impl Room {
    /// Notes a wait for so many bytes; whether the budget allows it.
    pub fn waited(&mut self, now: Instant, wait: Duration, bytes: usize, budget: Duration) -> bool {
        let past =
            self.since.replace(now).map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        let forgiven = budget.mul_f64((past.as_secs_f64() / FORGIVEN).min(1.0));
        let decent = Duration::from_secs_f64(bytes as f64 / DECENT);
        self.debt = self.debt.saturating_sub(forgiven) + wait.saturating_sub(decent);
        self.debt <= budget
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_secs(2);

    #[test]
    fn who_reads_at_the_last_moment_again_and_again_is_found_out() {
        let start = Instant::now();
        let drip = Duration::from_millis(750);
        let mut room = Room::default();
        let times = (1..100).find(|number| !room.waited(start + drip * *number, drip, 16 << 20, BUDGET));
        assert_eq!(times, Some(5), "each is 0.25 s of decent reading and 0.5 s too much");
    }

    #[test]
    fn who_reads_as_fast_as_can_be_expected_may_be_sent_anything() {
        let start = Instant::now();
        let (wait, mut room) = (Duration::from_millis(200), Room::default());
        assert!((1..10_000).all(|number| room.waited(start + wait * number, wait, 16 << 20, BUDGET)));
        // And one that was slow once is forgiven.
        let (wait, mut room) = (Duration::from_millis(1900), Room::default());
        assert!((1..100).all(|number| room.waited(
            start + number * Duration::from_secs(60),
            wait,
            100,
            BUDGET
        )));
    }
}
