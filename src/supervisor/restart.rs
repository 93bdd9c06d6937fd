//! When a dead script is started again; noticing the death and starting are left to the
//! supervisor.

use std::collections::VecDeque;
use std::io;
use std::time::{Duration, Instant};

use super::config::RestartLimits;

/// The deaths of one script.
#[derive(Debug, Default)]
pub struct Deaths {
    recent: VecDeque<Instant>,
    /// For starts that the system had no room for.
    pauses: Pauses,
}

/// Pauses between attempts, each of them twice as long as the one before: 1, 2, 4 … 60 s.
#[derive(Debug, Default)]
pub struct Pauses(u32);

impl Pauses {
    /// How long to wait with the next attempt; at first [`FIRST_PAUSE`].
    pub fn another(&mut self) -> Duration {
        let doubled = 2u32.saturating_pow(self.0);
        self.0 = self.0.saturating_add(1);
        FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
    }

    /// The last attempt came to something.
    pub fn end(&mut self) {
        self.0 = 0;
    }
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

    /// The system has no room for a process at this moment, which is no death of the script.
    /// How long to wait with the next attempt; the first pause is [`FIRST_PAUSE`].
    pub fn put_off(&mut self) -> Duration {
        self.pauses.another()
    }

    /// The system had room for a process.
    pub fn started(&mut self) {
        self.pauses.end();
    }

    /// Forgets all deaths, as an operator's reload does.
    pub fn forgive(&mut self) {
        *self = Deaths::default();
    }
}

/// How long to wait after the first start that the system had no room for.
pub const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Whether the system is short of what a process needs: descriptors, memory, processes, room in
/// a file system. All of them may be there again in a moment.
pub fn is_shortage(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::EAGAIN | libc::ENOSPC)
    )
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
    fn what_the_system_has_no_room_for_is_no_death() {
        let limits = RestartLimits::default();
        let mut deaths = Deaths::default();
        let seconds: Vec<u64> = (0..9).map(|_| deaths.put_off().as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(deaths.another(Instant::now(), &limits), Decision::Now, "the first death");
        deaths.started();
        assert_eq!(deaths.put_off(), FIRST_PAUSE);
        let short = |number| is_shortage(&io::Error::from_raw_os_error(number));
        assert!(
            [libc::EMFILE, libc::ENFILE, libc::ENOMEM, libc::EAGAIN, libc::ENOSPC].into_iter().all(short)
        );
        assert!(![libc::ENOENT, libc::EACCES, libc::EPERM, libc::ENOEXEC].into_iter().any(short));
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
