//! What is counted of a script: its events and what became of them, and what its processes say of
//! the time that they took.
//!
//! The hub counts what it sees itself, in plain cells beside the script. How long hooks take and
//! how often they raise only the worker knows. It counts that in the memory that both share, so
//! an event costs the hub nothing for it; here it is read when somebody asks, and when the process
//! ends. It is believed as far as it can be true: no more calls than the hub has given, and no
//! more time than the process has lived.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use plugin_abi::figures::{Figures, Times};
use plugin_abi::{Answer, HOOKS, Hook};

/// How one hook of a script does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookFigures {
    /// The hook.
    pub hook: Hook,
    /// How many events it was given.
    pub events: u64,
    /// How many of them it has blocked.
    pub blocked: u64,
    /// How many answers were late.
    pub late: u64,
    /// How long it took, and how often it raised, as its processes say. The sum and the buckets
    /// are estimates where events come one straight after another: see the manual.
    pub times: Times,
}

/// How a script does, since it was loaded first; restarts and reloads do not begin anew.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScriptFigures {
    /// The hooks that it had events for, the slowest call first.
    pub hooks: Vec<HookFigures>,
    /// How many functions of the hub it has called.
    pub calls: u64,
    /// How many hooks and functions came back late.
    pub late: u64,
    /// Processor time of all its processes; `None` if the system does not tell.
    pub processor: Option<Duration>,
}

impl ScriptFigures {
    /// How many events were given to it.
    pub fn events(&self) -> u64 {
        self.hooks.iter().map(|hook| hook.events).sum()
    }

    /// How many of them it has blocked.
    pub fn blocked(&self) -> u64 {
        self.hooks.iter().map(|hook| hook.blocked).sum()
    }

    /// How many of its hooks' calls have raised.
    pub fn raised(&self) -> u64 {
        self.hooks.iter().fold(0, |sum, hook| sum.saturating_add(hook.times.raised))
    }

    /// How long all of its hooks' calls took together.
    pub fn time(&self) -> Duration {
        self.hooks
            .iter()
            .fold(Duration::ZERO, |sum, hook| sum.saturating_add(Duration::from_nanos(hook.times.total)))
    }

    /// The longest call: in which hook, and how long it took.
    pub fn longest(&self) -> Option<(Hook, Duration)> {
        let slowest = self.hooks.iter().max_by_key(|hook| hook.times.longest)?;
        let took = Duration::from_nanos(slowest.times.longest);
        (!took.is_zero()).then_some((slowest.hook, took))
    }
}

/// What the hub counts of one hook.
#[derive(Debug, Default)]
struct Seen {
    events: Cell<u64>,
    blocked: Cell<u64>,
    late: Cell<u64>,
}

/// What operators were told about one hook.
#[derive(Clone, Copy, Debug)]
struct Told {
    hook: Hook,
    is_slow: bool,
    at: Instant,
}

/// For how long operators hear nothing more of the same.
const QUIET: Duration = Duration::from_secs(60);
/// How many lines about one script they get in such a time.
const MOST_TOLD: usize = 10;

/// What can be known of a process from outside, and what it says of itself.
#[derive(Debug)]
pub struct Claims<'a> {
    /// What it says that its hooks took.
    pub figures: &'a Figures,
    /// How long it has lived: they cannot have taken more.
    pub age: Duration,
    /// Its processor time, if the system tells.
    pub processor: Option<Duration>,
}

/// What is counted of one script.
#[derive(Debug)]
pub struct Counts {
    seen: [Seen; Hook::COUNT],
    /// What processes that have ended said.
    past: RefCell<[Times; Hook::COUNT]>,
    past_processor: Cell<Duration>,
    calls: Cell<u64>,
    late: Cell<u64>,
    told: RefCell<Vec<Told>>,
}

impl Default for Counts {
    fn default() -> Counts {
        Counts {
            seen: std::array::from_fn(|_| Seen::default()),
            past: RefCell::new([Times::default(); Hook::COUNT]),
            past_processor: Cell::default(),
            calls: Cell::default(),
            late: Cell::default(),
            told: RefCell::default(),
        }
    }
}

fn increment(counter: &Cell<u64>) {
    counter.set(counter.get().wrapping_add(1));
}

impl Counts {
    /// The script was given an event.
    #[inline]
    pub fn given(&self, hook: Hook) {
        increment(&self.seen[hook as usize].events);
    }

    /// It has answered it.
    #[inline]
    pub fn answered(&self, hook: Hook, answer: &Answer<'_>) {
        let blocks = matches!(answer, Answer::Block | Answer::Send { then: 0, .. });
        if blocks && hook.can_block() {
            increment(&self.seen[hook as usize].blocked);
        }
    }

    /// A hook, or a function, came back late.
    pub fn overran(&self, hook: Option<Hook>) {
        increment(&self.late);
        if let Some(hook) = hook {
            increment(&self.seen[hook as usize].late);
        }
    }

    /// It has called a function of the hub.
    #[inline]
    pub fn called(&self) {
        increment(&self.calls);
    }

    /// How many events it was given.
    pub fn events(&self) -> u64 {
        self.seen.iter().map(|seen| seen.events.get()).sum()
    }

    /// What its process says of a hook, as far as that can be true.
    fn believed(&self, claims: &Claims<'_>, hook: Hook) -> Times {
        let past = self.past.borrow()[hook as usize].count();
        let given = self.seen[hook as usize].events.get().saturating_sub(past);
        claims.figures.read(hook).capped(claims.age, given)
    }

    /// Its process has ended, and its memory goes.
    pub fn keep(&self, claims: &Claims<'_>) {
        for spec in &HOOKS {
            let times = self.believed(claims, spec.hook);
            self.past.borrow_mut()[spec.hook as usize].add(&times);
        }
        let processor = self.past_processor.get() + claims.processor.unwrap_or_default();
        self.past_processor.set(processor);
    }

    /// All of it, with what the process says that runs now.
    pub fn figures(&self, process: Option<&Claims<'_>>) -> ScriptFigures {
        let mut hooks: Vec<HookFigures> = HOOKS
            .iter()
            .map(|spec| {
                let seen = &self.seen[spec.hook as usize];
                let mut times = self.past.borrow()[spec.hook as usize];
                if let Some(claims) = process {
                    times.add(&self.believed(claims, spec.hook));
                }
                let [events, blocked, late] = [&seen.events, &seen.blocked, &seen.late].map(Cell::get);
                HookFigures { hook: spec.hook, events, blocked, late, times }
            })
            .filter(|hook| hook.events > 0)
            .collect();
        hooks.sort_by_key(|hook| std::cmp::Reverse(hook.times.longest));
        let now = process.map_or(Some(Duration::ZERO), |claims| claims.processor);
        ScriptFigures {
            hooks,
            calls: self.calls.get(),
            late: self.late.get(),
            processor: now.map(|now| now + self.past_processor.get()),
        }
    }

    /// Whether operators are to be told now, which is remembered. A process that has just been
    /// started has forgotten what the last one said, and a hostile one never knew.
    pub fn is_to_be_told(&self, hook: Hook, is_slow: bool, now: Instant) -> bool {
        let mut told = self.told.borrow_mut();
        told.retain(|told| now.saturating_duration_since(told.at) < QUIET);
        let is_known = told.iter().any(|told| told.hook == hook && told.is_slow == is_slow);
        if is_known || told.len() >= MOST_TOLD {
            return false;
        }
        told.push(Told { hook, is_slow, at: now });
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operators_hear_of_a_hook_once_a_minute_and_of_a_script_ten_times() {
        let counts = Counts::default();
        let start = Instant::now();
        assert!(counts.is_to_be_told(Hook::OnTimer, false, start));
        assert!(!counts.is_to_be_told(Hook::OnTimer, false, start));
        assert!(counts.is_to_be_told(Hook::OnTimer, true, start));
        let told = HOOKS.iter().filter(|spec| counts.is_to_be_told(spec.hook, false, start)).count();
        assert_eq!(told, MOST_TOLD - 2);
        assert!(counts.is_to_be_told(Hook::OnTimer, false, start + QUIET));
    }

    #[test]
    fn what_is_counted_is_told() {
        let counts = Counts::default();
        counts.given(Hook::OnParsedMsgChat);
        counts.given(Hook::OnParsedMsgChat);
        counts.given(Hook::OnUserLogout);
        counts.answered(Hook::OnParsedMsgChat, &Answer::Block);
        counts.answered(Hook::OnParsedMsgChat, &Answer::GoOn);
        // Nothing can be blocked there.
        counts.answered(Hook::OnUserLogout, &Answer::Block);
        counts.overran(Some(Hook::OnUserLogout));
        counts.overran(None);
        counts.called();
        let figures = counts.figures(None);
        assert_eq!((figures.events(), figures.blocked(), figures.late, figures.calls), (3, 1, 2, 1));
        assert_eq!(figures.hooks.len(), 2);
        assert_eq!(figures.longest(), None);
    }
}
