//! Whose time it is that passes while the hub's thread waits.
//!
//! Invariant: **time charged to a script is its own.** What passes in waits of inner levels and
//! in long calls of the host is *forgiven*: it moves the deadlines of the waits around it, each at
//! most by as much again as it may last. Every wait that has a deadline holds a [`Stopwatch`]; the
//! end of one is forgiven time to those around it.

use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

use plugin_abi::wait::{Oversubscription, SpinPolicy, Waking};

use super::wakeups::Wakeups;

/// From here on a call of the host is not the calling script's fault. Shorter ones are: a
/// script can make as many of them as it likes.
const LONG_CALL: Duration = Duration::from_millis(10);
/// For how long other scripts' calls may keep who is waited for, in one wait.
const MOST_KEPT: Duration = Duration::from_secs(60);

/// What the hub's thread knows of its waits.
#[derive(Default)]
pub(super) struct Waits {
    processors: usize,
    spin: RefCell<SpinPolicy>,
    /// Time that passed in waits of inner levels and in long calls of the host, which is not
    /// the fault of the scripts that are waited for.
    forgiven: Cell<Duration>,
    /// Time that long calls of the host have taken, that of calls inside of calls once.
    in_long_calls: Cell<Duration>,
    /// How many stopwatches run.
    stopwatches: Cell<u32>,
    /// How many events went to one script alone.
    turn: Cell<u64>,
    /// Where scripts that are asked alone sleep.
    pub(super) wakeups: Wakeups,
}

impl Waits {
    /// On a machine with so many processors.
    pub(super) fn new(processors: usize) -> Waits {
        Waits { processors, ..Waits::default() }
    }

    /// How many threads compete for the processors when the hub waits for this many scripts.
    #[inline]
    pub(super) fn oversubscription(&self, asked: usize, stay_awake: bool) -> Oversubscription {
        if stay_awake { Oversubscription::of(asked + 1, self.processors) } else { Oversubscription::SLEEPERS }
    }

    /// Stays awake for as long as that pays; whether `ready` has come true.
    #[inline]
    pub(super) fn stay_awake(&self, oversubscription: Oversubscription, ready: impl FnMut() -> bool) -> bool {
        self.spin.borrow_mut().stay_awake(oversubscription, Waking::Dear, ready)
    }

    /// Lets others of this processor run, among them a script that was woken here; whether `ready`
    /// has come true.
    pub(super) fn give_way(&self, ready: impl FnMut() -> bool) -> bool {
        self.spin.borrow_mut().give_way(ready)
    }

    /// The number of the next event that goes to one script alone.
    #[inline]
    pub(super) fn next_turn(&self) -> u64 {
        let turn = self.turn.get() + 1;
        self.turn.set(turn);
        turn
    }

    /// The thread has slept for so long in vain or until something came.
    pub(super) fn slept(&self, time: Duration) {
        self.spin.borrow_mut().slept(time, Waking::Dear, Oversubscription::NONE);
    }

    /// All the time that was forgiven until now; when it has changed, something took long.
    #[inline]
    pub(super) fn forgiven(&self) -> Duration {
        self.forgiven.get()
    }

    /// Whether any wait has a deadline that time could be charged to.
    #[inline]
    pub(super) fn is_anybody_timed(&self) -> bool {
        self.stopwatches.get() > 0
    }

    /// Begins a wait with a deadline.
    pub(super) fn start(&self) -> Stopwatch<'_> {
        self.stopwatches.set(self.stopwatches.get() + 1);
        Stopwatch { waits: self, start: Instant::now(), forgiven_before: self.forgiven.get() }
    }

    /// Begins a call of the host.
    pub(super) fn begin_call(&self) -> HostCall {
        HostCall {
            start: Instant::now(),
            forgiven_before: self.forgiven.get(),
            in_long_calls_before: self.in_long_calls.get(),
        }
    }

    /// Ends a call of the host. `Some` when it was a long one: then everybody is forgiven it, and
    /// this is what it took without the calls inside of it, which are accounted for.
    pub(super) fn end_call(&self, call: HostCall) -> Option<Duration> {
        self.end_call_after(call.start.elapsed(), &call)
    }

    fn end_call_after(&self, took: Duration, call: &HostCall) -> Option<Duration> {
        if took < LONG_CALL {
            return None;
        }
        self.forgiven.set(call.forgiven_before + took);
        let inner = self.in_long_calls.get().saturating_sub(call.in_long_calls_before);
        self.in_long_calls.set(call.in_long_calls_before + took);
        Some(took.saturating_sub(inner))
    }
}

/// A call of the host that is under way.
pub(super) struct HostCall {
    start: Instant,
    forgiven_before: Duration,
    in_long_calls_before: Duration,
}

/// When a wait began, and how much time had been forgiven before.
pub(super) struct Stopwatch<'s> {
    waits: &'s Waits,
    start: Instant,
    forgiven_before: Duration,
}

impl Stopwatch<'_> {
    /// When the wait began.
    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// When a wait of this length is over. The time for which the calls of others `kept` who is
    /// waited for is not counted, up to [`MOST_KEPT`]: else two scripts could hold the hub for
    /// ever, one by long calls and the other by waiting for them. Other time in which they could
    /// not go on, because of what they have raised or of the host, is forgiven, but not more than
    /// as much again: else a script could buy time by raising events.
    pub(super) fn deadline(&self, longest: Duration, kept: Duration) -> Instant {
        let inner = self.waits.forgiven.get().saturating_sub(self.forgiven_before);
        let kept = kept.min(MOST_KEPT);
        self.start + longest + kept + inner.saturating_sub(kept).min(longest)
    }
}

impl Drop for Stopwatch<'_> {
    /// At the end of the wait: to the levels around it, all of it was an inner one.
    fn drop(&mut self) {
        self.waits.forgiven.set(self.forgiven_before + self.start.elapsed());
        self.waits.stopwatches.set(self.waits.stopwatches.get() - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn call_of(waits: &Waits, took: Duration) -> Option<Duration> {
        let call = waits.begin_call();
        waits.end_call_after(took, &call)
    }

    #[test]
    fn a_long_call_moves_the_deadline_and_a_short_one_does_not() {
        let waits = Waits::new(1);
        let stopwatch = waits.start();
        let before = stopwatch.deadline(10 * SECOND, Duration::ZERO);
        assert_eq!(call_of(&waits, LONG_CALL - Duration::from_nanos(1)), None);
        assert_eq!(stopwatch.deadline(10 * SECOND, Duration::ZERO), before);
        assert_eq!(call_of(&waits, SECOND), Some(SECOND));
        assert_eq!(stopwatch.deadline(10 * SECOND, Duration::ZERO), before + SECOND);
    }

    #[test]
    fn nobody_is_forgiven_more_than_as_much_again() {
        let waits = Waits::new(1);
        let stopwatch = waits.start();
        call_of(&waits, 100 * SECOND);
        assert_eq!(stopwatch.deadline(2 * SECOND, Duration::ZERO), stopwatch.start() + 4 * SECOND);
    }

    #[test]
    fn time_that_others_kept_a_script_is_not_forgiven_a_second_time() {
        let waits = Waits::new(1);
        let stopwatch = waits.start();
        call_of(&waits, 3 * SECOND);
        // All of it was kept from the script: it has all of that, and nothing on top.
        assert_eq!(stopwatch.deadline(2 * SECOND, 3 * SECOND), stopwatch.start() + 5 * SECOND);
        // A part of it was.
        assert_eq!(stopwatch.deadline(2 * SECOND, 2 * SECOND), stopwatch.start() + 5 * SECOND);
    }

    #[test]
    fn what_is_forgiven_has_an_end() {
        let waits = Waits::new(1);
        let stopwatch = waits.start();
        let hour = 3600 * SECOND;
        let allowed = |kept| stopwatch.deadline(SECOND, kept) - stopwatch.start();
        assert_eq!(allowed(Duration::ZERO), SECOND);
        assert_eq!(allowed(10 * SECOND), 11 * SECOND, "so long the hub was somebody else's");
        assert_eq!(allowed(hour), SECOND + MOST_KEPT);
        call_of(&waits, hour);
        assert_eq!(allowed(Duration::ZERO), 2 * SECOND, "events that it has raised");
        assert_eq!(allowed(hour), 2 * SECOND + MOST_KEPT);
    }

    #[test]
    fn a_call_inside_of_a_call_is_counted_once() {
        let waits = Waits::new(1);
        let outer = waits.begin_call();
        assert_eq!(call_of(&waits, 2 * SECOND), Some(2 * SECOND));
        assert_eq!(waits.end_call_after(3 * SECOND, &outer), Some(SECOND));
        assert_eq!(waits.forgiven(), 3 * SECOND);
        assert_eq!(waits.in_long_calls.get(), 3 * SECOND);
    }

    #[test]
    fn an_inner_wait_is_forgiven_to_the_outer_one_as_a_whole() {
        let waits = Waits::new(1);
        let outer = waits.start();
        let inner = waits.start();
        // What is forgiven inside of the inner wait is part of it.
        call_of(&waits, 100 * SECOND);
        drop(inner);
        assert!(waits.is_anybody_timed());
        let forgiven = waits.forgiven();
        assert!(forgiven > Duration::ZERO && forgiven < 100 * SECOND, "{forgiven:?}");
        assert_eq!(outer.deadline(1000 * SECOND, Duration::ZERO), outer.start() + 1000 * SECOND + forgiven);
        drop(outer);
        assert!(!waits.is_anybody_timed());
    }

    #[test]
    fn nobody_stays_awake_when_that_is_switched_off() {
        let waits = Waits::new(64);
        assert_eq!(waits.oversubscription(3, false), Oversubscription::SLEEPERS);
        assert_eq!(waits.oversubscription(3, true), Oversubscription::NONE);
        assert_eq!(waits.oversubscription(64, true), Oversubscription::of(65, 64));
        assert!(!waits.stay_awake(Oversubscription::SLEEPERS, || false));
    }
}
