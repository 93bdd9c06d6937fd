//! How long hooks take and how often they raise, for the hub's figures; what a hook is and who
//! calls it is left to [`serve`](crate::serve).
//!
//! A look at the exact clock costs a tenth of what a small hook does, so not every call gets two
//! of them:
//!
//! - Where the worker has waited for the event, the call is measured, if it is the hook's first
//!   since the coarse clock has ticked. So is whatever comes less than some hundred times a second.
//! - Of calls that come one straight after another, one in about sixteen, at random intervals,
//!   is measured, and counts for those before it. What it says of their sum is right on average.
//! - All others are looked at with the coarse clock, which costs next to nothing, after their
//!   answer is on its way: what takes two of its ticks (8 ms mostly) is always seen. Observers are
//!   exempt, because nobody waits for them and they come by the million.

use std::time::Instant;

use plugin_abi::figures::coarse_clock;
use plugin_abi::frame::Noticed;
use plugin_abi::link::Notify;
use plugin_abi::{FromWorker, Hook};

use crate::channel::Channel;
use crate::py::{Gil, GilCell, Obj, PyResult, clear_error, describe, restore_exception, take_exception};
use crate::{hooks, script};

/// How many calls of a hook are measured before any is left out.
const FIRST: u32 = 64;
/// Intervals between measured calls are shorter than this: a power of two.
const INTERVALS: u32 = 32;
/// For how many nanoseconds the hub is told of one hook's exceptions, or slowness, once.
const QUIET: u64 = 60_000_000_000;

/// What is known of one hook.
#[derive(Clone, Copy)]
struct PerHook {
    /// How many of its first calls are still to be measured.
    first: u32,
    /// How many calls are left out before the next that is measured.
    interval: u32,
    /// How many were left out since the last that was measured.
    left_out: u32,
    /// When the coarse clock had ticked when it was last measured.
    measured: u64,
    told_raised: Option<u64>,
    told_slow: Option<u64>,
}

struct Timing {
    hooks: [PerHook; Hook::COUNT],
    /// The coarse clock as it was read last.
    now: u64,
    /// Whether it can be as late as that still.
    is_now_fresh: bool,
    random: u32,
}

static STATE: GilCell<Timing> = GilCell::new(Timing {
    hooks: [PerHook {
        first: FIRST,
        interval: 0,
        left_out: 0,
        measured: 0,
        told_raised: None,
        told_slow: None,
    }; Hook::COUNT],
    now: 0,
    is_now_fresh: false,
    random: 0x9e37_79b9,
});

/// One call of a hook that is under way.
pub struct Call {
    hook: Hook,
    /// The coarse clock before it, where that is known.
    from: Option<u64>,
    /// Its exact beginning, and how many calls it stands for.
    exact: Option<(Instant, u32)>,
    /// For how long the hub had been waited for before.
    waited: u64,
}

/// What two ticks of the coarse clock take.
fn two_ticks() -> u64 {
    static TWO_TICKS: std::sync::OnceLock<u64> = std::sync::OnceLock::new();
    *TWO_TICKS.get_or_init(|| {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the structure is valid for writing.
        unsafe { libc::clock_getres(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
        (time.tv_nsec as u64).max(1_000_000) * 2
    })
}

impl Timing {
    fn interval(&mut self) -> u32 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.random & (INTERVALS - 1)
    }

    /// For how many calls the next one of this hook is measured, if it is.
    #[inline]
    fn weight(&mut self, hook: Hook, has_waited: bool) -> Option<u32> {
        let now = self.now;
        let known = &mut self.hooks[hook as usize];
        if known.first > 0 || has_waited && known.measured != now {
            known.first = known.first.saturating_sub(1);
            known.measured = now;
            return Some(1);
        }
        if known.interval > 0 {
            known.interval -= 1;
            known.left_out += 1;
            return None;
        }
        let weight = known.left_out + 1;
        known.left_out = 0;
        let interval = self.interval();
        self.hooks[hook as usize].interval = interval;
        Some(weight)
    }
}

/// A hook is about to be called; whether the hub waits for it.
#[inline]
pub fn begin(gil: Gil, channel: &Channel, hook: Hook, is_awaited: bool) -> Call {
    let (has_waited, waited) = channel.has_waited(gil);
    STATE.with(gil, |state| {
        if has_waited || is_awaited && !state.is_now_fresh {
            state.now = coarse_clock();
        }
        state.is_now_fresh = is_awaited;
        let weight = state.weight(hook, has_waited);
        let exact = weight.map(|weight| (Instant::now(), weight));
        Call { hook, from: is_awaited.then_some(state.now), exact, waited }
    })
}

/// It has returned, and the answer is on its way.
#[inline]
pub fn end(gil: Gil, channel: &Channel, call: Call) -> PyResult<()> {
    let hook = call.hook;
    let took = match (call.exact, call.from) {
        (Some((start, weight)), _) => {
            let took = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let is_long = took >= two_ticks();
            // One that would have been seen anyway stands for itself alone.
            let alone = if is_long && call.from.is_some() { weight - 1 } else { 0 };
            channel.figures().took(hook, took, weight - alone);
            STATE.with(gil, |state| {
                state.hooks[hook as usize].left_out += alone;
                state.is_now_fresh = false;
            });
            took
        }
        (None, Some(from)) => {
            let now = coarse_clock();
            let took = now.wrapping_sub(from);
            let is_long = took >= two_ticks();
            STATE.with(gil, |state| {
                state.now = now;
                if is_long {
                    let known = &mut state.hooks[hook as usize];
                    known.left_out = known.left_out.saturating_sub(1);
                }
            });
            if !is_long {
                return Ok(());
            }
            channel.figures().took(hook, took, 1);
            took
        }
        (None, None) => return Ok(()),
    };
    let Some(limit) = channel.figures().slow().filter(|limit| took >= *limit) else { return Ok(()) };
    // What the hub needed for the script's calls, and who it waited for meanwhile, is not its own.
    let own = took.saturating_sub(channel.waited(gil).wrapping_sub(call.waited));
    if own >= limit { slow(gil, channel, hook, own) } else { Ok(()) }
}

/// Whether the hub is to be told, which is remembered.
fn is_to_be_told(gil: Gil, hook: Hook, which: fn(&mut PerHook) -> &mut Option<u64>) -> bool {
    let now = coarse_clock();
    STATE.with(gil, |state| {
        let told = which(&mut state.hooks[hook as usize]);
        let is_due = told.is_none_or(|told| now.wrapping_sub(told) >= QUIET);
        if is_due {
            *told = Some(now);
        }
        is_due
    })
}

#[cold]
fn slow(gil: Gil, channel: &Channel, hook: Hook, took: u64) -> PyResult<()> {
    if !is_to_be_told(gil, hook, |known| &mut known.told_slow) {
        return Ok(());
    }
    let place = hooks::target(gil, hook).and_then(|(function, ..)| definition(gil, &function));
    tell(gil, channel, hook, Noticed::Slow(took), place)
}

/// `FILE:LINE` of a function's beginning.
fn definition(gil: Gil, function: &Obj) -> Option<String> {
    let mut function = function.again();
    while let Some(inner) = function.attr_if_any(c"__wrapped__") {
        function = inner;
    }
    let code = function.attr_if_any(c"__code__")?;
    let file = code.attr_if_any(c"co_filename")?.lossy(gil);
    let line = code.attr_if_any(c"co_firstlineno")?.as_int()?;
    Some(format!("{file}:{line}"))
}

/// The hook has raised the exception that is set, and that stays set.
#[cold]
pub fn raised(gil: Gil, channel: &Channel, hook: Hook) -> PyResult<()> {
    channel.figures().raised(hook);
    if !is_to_be_told(gil, hook, |known| &mut known.told_raised) {
        return Ok(());
    }
    let Some(exception) = take_exception(gil) else { return Ok(()) };
    let place = script::place_of(gil, &exception);
    let text = describe(gil, &exception);
    let told = tell(gil, channel, hook, Noticed::Raised(text), place);
    if told.is_ok() {
        restore_exception(gil, &exception);
    }
    told
}

fn tell(gil: Gil, channel: &Channel, hook: Hook, what: Noticed, place: Option<String>) -> PyResult<()> {
    clear_error();
    let place = place.unwrap_or_default().into_bytes().into();
    channel.send_frame(gil, FromWorker::Noticed { hook, what, place }, Notify::Ring)
}
