//! Rounds in turns and what is made of them; what is measured is the benchmarks' matter.

use std::time::{Duration, Instant};

use super::Error;

/// How much is measured.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How many rounds everything gets.
    pub rounds: usize,
    /// How long one round takes, roughly.
    pub round: Duration,
}

impl Plan {
    /// For figures that are published.
    pub const THOROUGH: Plan = Plan { rounds: 21, round: Duration::from_millis(120) };
    /// For a look.
    pub const QUICK: Plan = Plan { rounds: 5, round: Duration::from_millis(30) };
}

/// Something that is measured: does so many events and says how long they took.
pub type Subject<'a> = dyn FnMut(u64) -> Result<Duration, Error> + 'a;

/// The rounds of one subject: each the value of one event, in nanoseconds or whatever was counted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rounds(pub Vec<f64>);

impl Rounds {
    /// The middle one; NaN when there are none.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The value below which this share of the rounds lies.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let Some(last) = sorted.len().checked_sub(1) else { return f64::NAN };
        let at = share.clamp(0.0, 1.0) * last as f64;
        let below = at.floor() as usize;
        let value = |at: usize| sorted.get(at.min(last)).copied().unwrap_or(f64::NAN);
        value(below) + (value(below + 1) - value(below)) * at.fract()
    }

    /// Round by round, this divided by the other.
    pub fn over(&self, other: &Rounds) -> Rounds {
        Rounds(self.0.iter().zip(&other.0).map(|(this, other)| this / other).collect())
    }

    /// Each round in another unit.
    pub fn map(&self, change: impl Fn(f64) -> f64) -> Rounds {
        Rounds(self.0.iter().map(|value| change(*value)).collect())
    }
}

/// Gives every subject its rounds, in turns; nanoseconds per event.
pub fn in_turns(plan: Plan, subjects: &mut [&mut Subject<'_>]) -> Result<Vec<Rounds>, Error> {
    let mut counts = Vec::new();
    for subject in subjects.iter_mut() {
        counts.push(calibrate(plan, *subject)?);
    }
    let mut rounds = vec![Rounds::default(); subjects.len()];
    for round in 0..plan.rounds {
        let mut order: Vec<usize> = (0..subjects.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for at in order {
            let (Some(subject), Some(&count), Some(rounds)) =
                (subjects.get_mut(at), counts.get(at), rounds.get_mut(at))
            else {
                continue;
            };
            // The other side slept during the others' rounds: let it wake, and let the kernel
            // find it a core of its own.
            subject((count / 4).max(1))?;
            let took = subject(count)?;
            rounds.0.push(took.as_nanos() as f64 / count as f64);
        }
    }
    Ok(rounds)
}

/// One subject alone.
pub fn alone(plan: Plan, subject: &mut Subject<'_>) -> Result<Rounds, Error> {
    Ok(in_turns(plan, &mut [subject])?.pop().unwrap_or_default())
}

/// How many events make a round.
fn calibrate(plan: Plan, subject: &mut Subject<'_>) -> Result<u64, Error> {
    let mut count = 1;
    loop {
        let took = subject(count)?;
        if took * 4 >= plan.round || count >= 1 << 32 {
            let scale = plan.round.as_secs_f64() / took.as_secs_f64().max(1e-9);
            return Ok(((count as f64 * scale) as u64).max(1));
        }
        count *= 2;
    }
}

/// How long `work` takes.
pub fn time<T>(work: impl FnOnce() -> Result<T, Error>) -> Result<Duration, Error> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_and_quantiles_lie_between() {
        let rounds = Rounds(vec![4.0, 1.0, 3.0, 2.0]);
        assert_eq!(rounds.median(), 2.5);
        assert_eq!(rounds.quantile(0.0), 1.0);
        assert_eq!(rounds.quantile(1.0), 4.0);
        assert!(Rounds::default().median().is_nan());
    }

    #[test]
    fn a_ratio_is_taken_round_by_round() {
        let ours = Rounds(vec![1.0, 10.0, 2.0]);
        let theirs = Rounds(vec![2.0, 20.0, 4.0]);
        assert_eq!(theirs.over(&ours).median(), 2.0);
    }

    #[test]
    fn everybody_gets_as_many_rounds() {
        let plan = Plan { rounds: 3, round: Duration::from_micros(10) };
        let mut one = |count| Ok(Duration::from_nanos(100 * count));
        let mut two = |count| Ok(Duration::from_nanos(300 * count));
        let rounds = in_turns(plan, &mut [&mut one, &mut two]).unwrap();
        assert_eq!(rounds, [Rounds(vec![100.0; 3]), Rounds(vec![300.0; 3])]);
    }
}
