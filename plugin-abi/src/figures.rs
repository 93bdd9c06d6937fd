//! What a worker counts of its hooks, in the memory that it shares with the hub: how long they
//! took, how often they raised; when the hub looks at it is the supervisor's matter.
//!
//! The worker adds, the hub reads whenever somebody asks; an event costs neither of them a frame
//! or a lock for it. What is there is what the worker claims: [`Times::capped`] takes from it
//! what cannot be.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::hook::Hook;
use crate::segment::Segment;

/// The upper bounds of the histogram's buckets in nanoseconds; the last bucket has none.
pub const BOUNDS: [u64; BUCKETS - 1] = [
    1_000,
    3_000,
    10_000,
    30_000,
    100_000,
    300_000,
    1_000_000,
    3_000_000,
    10_000_000,
    100_000_000,
    1_000_000_000,
];

/// How many buckets there are.
pub const BUCKETS: usize = 12;

const TOTAL: usize = BUCKETS;
const LONGEST: usize = BUCKETS + 1;
const RAISED: usize = BUCKETS + 2;

/// How long a hook's calls took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Times {
    /// How many calls there were in each bucket of [`BOUNDS`].
    pub buckets: [u64; BUCKETS],
    /// Nanoseconds of all calls together.
    pub total: u64,
    /// Nanoseconds of the longest.
    pub longest: u64,
    /// How many ended with an exception.
    pub raised: u64,
}

impl Times {
    /// How many calls there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |sum, bucket| sum.saturating_add(*bucket))
    }

    /// Adds one call.
    #[inline]
    pub fn took(&mut self, nanoseconds: u64) {
        if let Some(calls) = self.buckets.get_mut(bucket(nanoseconds)) {
            *calls = calls.saturating_add(1);
        }
        self.total = self.total.saturating_add(nanoseconds);
        self.longest = self.longest.max(nanoseconds);
    }

    /// Adds those of others.
    pub fn add(&mut self, other: &Times) {
        for (bucket, more) in self.buckets.iter_mut().zip(other.buckets) {
            *bucket = bucket.saturating_add(more);
        }
        self.total = self.total.saturating_add(other.total);
        self.longest = self.longest.max(other.longest);
        self.raised = self.raised.saturating_add(other.raised);
    }

    /// What of it can be true of a process that has lived for so long and was given so many
    /// events.
    pub fn capped(mut self, age: Duration, events: u64) -> Times {
        let age = u64::try_from(age.as_nanos()).unwrap_or(u64::MAX);
        let mut left = events;
        for bucket in &mut self.buckets {
            *bucket = (*bucket).min(left);
            left -= *bucket;
        }
        self.total = self.total.min(age);
        self.longest = self.longest.min(self.total);
        self.raised = self.raised.min(events);
        self
    }
}

/// The coarse clock in nanoseconds: it ticks every few milliseconds, and costs next to nothing.
#[inline]
pub fn coarse_clock() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is valid for writing; where there is no such clock it stays 0.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut time) };
    (time.tv_sec as u64).wrapping_mul(1_000_000_000).wrapping_add(time.tv_nsec as u64)
}

/// The bucket of a call that took so many nanoseconds.
fn bucket(took: u64) -> usize {
    BOUNDS.iter().position(|bound| took <= *bound).unwrap_or(BUCKETS - 1)
}

/// The figures of one worker, seen from either end.
#[derive(Clone, Debug)]
pub struct Figures(Arc<Segment>);

impl Figures {
    pub(crate) fn new(segment: Arc<Segment>) -> Figures {
        Figures(segment)
    }

    fn words(&self, hook: Hook) -> &[AtomicU64] {
        self.0.figures(hook)
    }

    /// What the worker says of a hook.
    pub fn read(&self, hook: Hook) -> Times {
        let mut times = Times::default();
        let [total, longest, raised] = [TOTAL, LONGEST, RAISED];
        for (at, word) in self.words(hook).iter().enumerate() {
            let value = word.load(Ordering::Relaxed);
            match at {
                at if at < BUCKETS => times.buckets[at] = value,
                at if at == total => times.total = value,
                at if at == longest => times.longest = value,
                at if at == raised => times.raised = value,
                _ => {}
            }
        }
        times
    }

    /// So many calls of the hook took so many nanoseconds each. The worker's main thread alone
    /// says so: nothing is lost although the words are not added to atomically.
    #[inline]
    pub fn took(&self, hook: Hook, nanoseconds: u64, calls: u32) {
        let words = self.words(hook);
        let add = |at: usize, more: u64| {
            if let Some(word) = words.get(at) {
                word.store(word.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
            }
        };
        add(bucket(nanoseconds), u64::from(calls));
        add(TOTAL, nanoseconds.saturating_mul(u64::from(calls)));
        if let Some(longest) = words.get(LONGEST)
            && longest.load(Ordering::Relaxed) < nanoseconds
        {
            longest.store(nanoseconds, Ordering::Relaxed);
        }
    }

    /// A call of the hook ended with an exception. As [`Figures::took`].
    pub fn raised(&self, hook: Hook) {
        if let Some(word) = self.words(hook).get(RAISED) {
            word.store(word.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
        }
    }

    /// From how many nanoseconds on the worker reports a call, if the hub has said so.
    #[inline]
    pub fn slow(&self) -> Option<u64> {
        Some(self.0.slow().load(Ordering::Relaxed)).filter(|slow| *slow > 0)
    }

    /// Says so.
    pub fn set_slow(&self, nanoseconds: u64) {
        self.0.slow().store(nanoseconds, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_one_end_adds_the_other_reads() {
        let (segment, fd) = Segment::create(4096).unwrap();
        let ours = Figures::new(Arc::new(segment));
        let theirs = Figures::new(Arc::new(Segment::map(std::os::fd::AsFd::as_fd(&fd)).unwrap()));
        let last = *crate::HOOKS.iter().map(|spec| &spec.hook).next_back().unwrap();
        for hook in [Hook::OnTimer, last] {
            theirs.took(hook, 900, 2);
            theirs.took(hook, 2_000_000_000, 1);
            theirs.raised(hook);
            let times = ours.read(hook);
            assert_eq!((times.buckets[0], times.buckets[BUCKETS - 1], times.count()), (2, 1, 3));
            assert_eq!((times.total, times.longest, times.raised), (2_000_001_800, 2_000_000_000, 1));
        }
        assert_eq!(ours.read(Hook::OnUserLogin), Times::default());
        assert_eq!(theirs.slow(), None);
        ours.set_slow(7);
        assert_eq!(theirs.slow(), Some(7));
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let claimed = Times { buckets: [u64::MAX; BUCKETS], total: u64::MAX, longest: u64::MAX, raised: 9 };
        let times = claimed.capped(Duration::from_secs(1), 5);
        assert_eq!(
            (times.count(), times.total, times.longest, times.raised),
            (5, 1_000_000_000, 1_000_000_000, 5)
        );
        let honest = Times { buckets: [1; BUCKETS], total: 10, longest: 7, raised: 2 };
        assert_eq!(honest.capped(Duration::from_secs(1), 12), honest);
        let mut sum = claimed;
        sum.add(&claimed);
        assert_eq!(sum.count(), u64::MAX);
    }

    #[test]
    fn bounds_belong_to_the_bucket_below() {
        assert_eq!([0, 1_000, 1_001, 1_000_000_000, u64::MAX].map(bucket), [0, 0, 1, 10, 11]);
    }
}
