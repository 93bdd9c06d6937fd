//! When a dead script is started again; noticing the death and starting are left to the
//! supervisor.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::config::RestartLimits;

/// The deaths of one script.
#[derive(Debug, Default)]
pub struct Deaths {
    recent: VecDeque<Instant>,
}

/// What follows a death.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Start at once.
    Now,
    /// Start after a pause.
    After(Duration),
    /// It died too often; an operator must look.
    GiveUp,
}

impl Deaths {
    /// Counts a death and decides what follows.
    pub fn another(&mut self, now: Instant, limits: &RestartLimits) -> Decision {
        while self.recent.front().is_some_and(|death| now.duration_since(*death) > limits.window) {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
        let count = u32::try_from(self.recent.len()).unwrap_or(u32::MAX);
        if count > limits.max_deaths {
            return Decision::GiveUp;
        }
        match count {
            0 | 1 => Decision::Now,
            _ => {
                let doubled = 2u32.saturating_pow(count - 2);
                Decision::After(limits.first_delay.saturating_mul(doubled).min(limits.max_delay))
            }
        }
    }

    /// Forgets all deaths, as an operator's reload does.
    pub fn forgive(&mut self) {
        self.recent.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_until_the_script_is_given_up() {
        let limits = RestartLimits::default();
        let mut deaths = Deaths::default();
        let start = Instant::now();
        let decisions: Vec<Decision> =
            (0..6).map(|second| deaths.another(start + Duration::from_secs(second), &limits)).collect();
        let after = |seconds| Decision::After(Duration::from_secs(seconds));
        assert_eq!(decisions, [Decision::Now, after(1), after(2), after(4), after(8), Decision::GiveUp]);
    }

    #[test]
    fn old_deaths_do_not_count() {
        let limits = RestartLimits::default();
        let mut deaths = Deaths::default();
        let start = Instant::now();
        for minute in 0..20 {
            assert_eq!(deaths.another(start + Duration::from_secs(61 * minute), &limits), Decision::Now);
        }
    }

    #[test]
    fn pauses_end_at_the_longest() {
        let limits = RestartLimits { max_deaths: 100, ..RestartLimits::default() };
        let mut deaths = Deaths::default();
        let start = Instant::now();
        let last = (0..50).map(|_| deaths.another(start, &limits)).last();
        assert_eq!(last, Some(Decision::After(Duration::from_secs(60))));
    }
}
