//! Where a script is in its life, and what can happen to it there.
//!
//! Invariant: **a state changes by a [`Transition`] only, and only by one that the state allows**;
//! [`State::after`] is the table. One that is not allowed is a fault of ours: it fails in debug
//! builds, and otherwise changes nothing and is logged.

use std::cell::{Ref, RefCell};
use std::fmt;
use std::time::{Duration, Instant};

/// Where a script is in its life. A state holds what exists in it, and nothing else.
#[derive(Clone, Debug, PartialEq)]
pub enum State<P> {
    /// Its process is being started.
    Spawning {
        /// The serial of the process to be.
        serial: u64,
        /// When nobody waits for it any longer.
        deadline: Instant,
    },
    /// Its process runs the script's top level.
    Starting {
        /// The process.
        process: P,
        /// When it is killed if it has not finished.
        deadline: Instant,
    },
    /// It serves events.
    Ready {
        /// The process.
        process: P,
        /// Since when.
        since: Instant,
    },
    /// It owes an answer, and gets no more events.
    Stuck {
        /// The process.
        process: P,
        /// Since when it was ready.
        since: Instant,
        /// When it is killed.
        kill_at: Instant,
    },
    /// It died, and will be started again.
    Backoff {
        /// When.
        until: Instant,
    },
    /// It was told to end.
    Stopping {
        /// The process.
        process: P,
        /// When it is told more firmly, or given up.
        deadline: Instant,
        /// How firmly it was told.
        told: Told,
    },
    /// It died too often or cannot be loaded, until an operator reloads it.
    Failed {
        /// The last reason.
        reason: String,
    },
    /// It has no process.
    Stopped,
}

/// How firmly a script was told to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It may run `UnLoad()`.
    Asked,
    /// By SIGTERM.
    Terminated,
    /// By SIGKILL.
    Killed,
}

/// Something that happens to a script.
#[derive(Clone, Debug, PartialEq)]
pub enum Transition<P> {
    /// It is to get a process, which was asked for.
    Spawning {
        /// The serial of the process to be.
        serial: u64,
        /// When nobody waits for it any longer.
        deadline: Instant,
    },
    /// It is to get another one instead.
    Respawning {
        /// The serial of the process to be.
        serial: u64,
    },
    /// It got a process, and loads.
    Spawned {
        /// The process.
        process: P,
        /// When it is killed if it has not finished.
        deadline: Instant,
    },
    /// It has other time to load, or to end after it could not.
    GivenUntil {
        /// When it is killed.
        deadline: Instant,
    },
    /// It ran to its end.
    Loaded {
        /// When.
        at: Instant,
    },
    /// Its answer is late.
    Overran {
        /// When it is killed if it does not come.
        kill_at: Instant,
    },
    /// It gave its late answer.
    CameBack,
    /// It is to end; one that is ending already goes on with that.
    ToldToStop {
        /// When it is told more firmly, or given up.
        deadline: Instant,
        /// How firmly it is told.
        told: Told,
    },
    /// It has not ended, and is told more firmly.
    Urged {
        /// When it is told more firmly, or given up.
        deadline: Instant,
        /// How firmly it is told.
        told: Told,
    },
    /// Its process ended as it was told to.
    Ended,
    /// Its process is gone, or did not come, and it is started again later.
    PutOff {
        /// When.
        until: Instant,
    },
    /// Its process is gone, or did not come.
    Failed {
        /// Why.
        reason: String,
    },
    /// The hub was forked: its process is the parent's.
    Forked,
    /// It was taken out of the list.
    Forgotten,
}

impl<P> State<P> {
    /// The state that follows; an error is the same state, in which this cannot happen.
    pub fn after(self, transition: Transition<P>) -> Result<State<P>, State<P>> {
        use Transition as T;
        Ok(match (self, transition) {
            (
                State::Stopped | State::Failed { .. } | State::Backoff { .. },
                T::Spawning { serial, deadline },
            ) => State::Spawning { serial, deadline },
            (State::Spawning { deadline, .. }, T::Respawning { serial }) => {
                State::Spawning { serial, deadline }
            }
            (
                State::Stopped | State::Failed { .. } | State::Backoff { .. } | State::Spawning { .. },
                T::Spawned { process, deadline },
            ) => State::Starting { process, deadline },
            (State::Starting { process, .. }, T::GivenUntil { deadline }) => {
                State::Starting { process, deadline }
            }
            (State::Starting { process, .. }, T::Loaded { at }) => State::Ready { process, since: at },
            (State::Ready { process, since }, T::Overran { kill_at }) => {
                State::Stuck { process, since, kill_at }
            }
            (State::Stuck { process, since, .. }, T::CameBack) => State::Ready { process, since },
            (
                State::Starting { process, .. } | State::Ready { process, .. } | State::Stuck { process, .. },
                T::ToldToStop { deadline, told },
            )
            | (State::Stopping { process, .. }, T::Urged { deadline, told }) => {
                State::Stopping { process, deadline, told }
            }
            (state @ State::Stopping { .. }, T::ToldToStop { .. }) => state,
            (_, T::ToldToStop { .. } | T::Forgotten) => State::Stopped,
            (State::Stopping { .. }, T::Ended | T::Forked) => State::Stopped,
            (state @ (State::Failed { .. } | State::Stopped), T::Forked) => state,
            (_, T::Forked) => State::Failed { reason: "the hub was forked".into() },
            (state @ (State::Stopping { .. } | State::Stopped), T::PutOff { .. }) => return Err(state),
            (_, T::PutOff { until }) => State::Backoff { until },
            (state @ State::Stopping { .. }, T::Failed { .. }) => return Err(state),
            (_, T::Failed { reason }) => State::Failed { reason },
            (state, _) => return Err(state),
        })
    }

    /// The process, if there is one.
    pub fn process(&self) -> Option<&P> {
        match self {
            State::Starting { process, .. }
            | State::Ready { process, .. }
            | State::Stuck { process, .. }
            | State::Stopping { process, .. } => Some(process),
            State::Spawning { .. } | State::Backoff { .. } | State::Failed { .. } | State::Stopped => None,
        }
    }

    /// Whether it is on its way to being ready.
    pub fn is_starting(&self) -> bool {
        matches!(self, State::Spawning { .. } | State::Starting { .. })
    }

    /// One word for lists.
    pub fn word(&self) -> &'static str {
        match self {
            State::Spawning { .. } | State::Starting { .. } => "starting",
            State::Ready { .. } => "ready",
            State::Stuck { .. } => "stuck",
            State::Backoff { .. } => "backoff",
            State::Stopping { .. } => "stopping",
            State::Failed { .. } => "failed",
            State::Stopped => "stopped",
        }
    }
}

impl<P> State<P> {
    /// When something must be done about it. Of a process that is killed nothing but its end is
    /// awaited, and that makes itself known; of one that was told to end, not for ever.
    pub fn due(&self, is_killed: impl Fn(&P) -> bool) -> Option<Instant> {
        if let State::Stopping { deadline, .. } = self {
            return Some(*deadline);
        }
        if self.process().is_some_and(is_killed) {
            return None;
        }
        match *self {
            State::Spawning { deadline, .. } | State::Starting { deadline, .. } => Some(deadline),
            State::Stuck { kill_at, .. } => Some(kill_at),
            State::Backoff { until } => Some(until),
            _ => None,
        }
    }
}

impl<P> fmt::Display for State<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// The state of one script.
pub struct Life<P>(RefCell<State<P>>);

impl<P> Life<P> {
    /// That of a script without a process.
    pub fn new() -> Life<P> {
        Life(RefCell::new(State::Stopped))
    }

    /// The state, for a look.
    #[inline]
    pub fn state(&self) -> Ref<'_, State<P>> {
        self.0.borrow()
    }

    /// Something happened. False when that cannot happen in this state, which remains.
    pub fn transition(&self, transition: Transition<P>) -> bool {
        // Nothing is borrowed while an old process is let go of.
        let (new, is_allowed) = match self.0.replace(State::Stopped).after(transition) {
            Ok(new) => (new, true),
            Err(old) => (old, false),
        };
        self.0.replace(new);
        is_allowed
    }

    /// It has so much longer to do what it has a deadline for.
    pub fn extend(&self, time: Duration) {
        match &mut *self.0.borrow_mut() {
            State::Starting { deadline, .. } | State::Stopping { deadline, .. } => *deadline += time,
            State::Stuck { kill_at, .. } => *kill_at += time,
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every state, then what follows each transition, or `-` where it cannot happen.
    const TABLE: &str = "
                  spawning starting ready    stuck    backoff  stopping failed   stopped
        Spawning  -        -        -        -        spawning -        spawning spawning
        Respawn   spawning -        -        -        -        -        -        -
        Spawned   starting -        -        -        starting -        starting starting
        GivenUnt  -        starting -        -        -        -        -        -
        Loaded    -        ready    -        -        -        -        -        -
        Overran   -        -        stuck    -        -        -        -        -
        CameBack  -        -        -        ready    -        -        -        -
        ToldToSt  stopped  stopping stopping stopping stopped  stopping stopped  stopped
        Urged     -        -        -        -        -        stopping -        -
        Ended     -        -        -        -        -        stopped  -        -
        PutOff    backoff  backoff  backoff  backoff  backoff  -        backoff  -
        Failed    failed   failed   failed   failed   failed   -        failed   failed
        Forked    failed   failed   failed   failed   failed   stopped  failed   stopped
        Forgotte  stopped  stopped  stopped  stopped  stopped  stopped  stopped  stopped
    ";

    const FIRST: &str = "first";
    const SECOND: &str = "second";

    fn states(at: Instant) -> [State<&'static str>; 8] {
        let process = FIRST;
        [
            State::Spawning { serial: 1, deadline: at },
            State::Starting { process, deadline: at },
            State::Ready { process, since: at },
            State::Stuck { process, since: at, kill_at: at },
            State::Backoff { until: at },
            State::Stopping { process, deadline: at, told: Told::Asked },
            State::Failed { reason: "it died".into() },
            State::Stopped,
        ]
    }

    fn transitions(at: Instant) -> [Transition<&'static str>; 14] {
        [
            Transition::Spawning { serial: 2, deadline: at },
            Transition::Respawning { serial: 2 },
            Transition::Spawned { process: SECOND, deadline: at },
            Transition::GivenUntil { deadline: at },
            Transition::Loaded { at },
            Transition::Overran { kill_at: at },
            Transition::CameBack,
            Transition::ToldToStop { deadline: at, told: Told::Asked },
            Transition::Urged { deadline: at, told: Told::Killed },
            Transition::Ended,
            Transition::PutOff { until: at },
            Transition::Failed { reason: "it died again".into() },
            Transition::Forked,
            Transition::Forgotten,
        ]
    }

    /// As the table has them.
    fn name(state: &State<&str>) -> &'static str {
        match state {
            State::Spawning { .. } => "spawning",
            state => state.word(),
        }
    }

    #[test]
    fn every_transition_does_in_every_state_what_the_table_says() {
        let old = Instant::now();
        let new = old + Duration::from_secs(1);
        let rows: Vec<Vec<&str>> = TABLE
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|row| !row.is_empty())
            .collect();
        let (names, rows) = rows.split_first().unwrap();
        assert_eq!(rows.len(), transitions(new).len());
        for (row, transition) in rows.iter().zip(transitions(new)) {
            assert!(format!("{transition:?}").starts_with(row[0]), "{row:?} is about {transition:?}");
            for ((state, expected), is_named) in states(old).into_iter().zip(&row[1..]).zip(names) {
                assert_eq!(name(&state), *is_named);
                let what = format!("{state:?} after {transition:?}");
                match state.clone().after(transition.clone()) {
                    Ok(next) => assert_eq!(name(&next), *expected, "{what}"),
                    Err(same) => {
                        assert_eq!("-", *expected, "{what}");
                        assert_eq!(same, state, "{what}: it remains");
                    }
                }
            }
        }
    }

    #[test]
    fn what_a_state_holds_is_kept_where_it_goes_on() {
        let (old, new) = (Instant::now(), Instant::now() + Duration::from_secs(1));
        let after = |at: usize, transition| states(old)[at].clone().after(transition).unwrap();
        assert_eq!(
            after(0, Transition::Respawning { serial: 2 }),
            State::Spawning { serial: 2, deadline: old }
        );
        assert_eq!(
            after(1, Transition::GivenUntil { deadline: new }),
            State::Starting { process: FIRST, deadline: new }
        );
        assert_eq!(
            after(2, Transition::Overran { kill_at: new }),
            State::Stuck { process: FIRST, since: old, kill_at: new }
        );
        assert_eq!(after(3, Transition::CameBack), State::Ready { process: FIRST, since: old });
        let stop = Transition::ToldToStop { deadline: new, told: Told::Asked };
        let stopping = |deadline, told| State::Stopping { process: FIRST, deadline, told };
        assert_eq!(after(3, stop.clone()), stopping(new, Told::Asked));
        assert_eq!(after(5, stop), stopping(old, Told::Asked), "it is ending already");
        let urge = Transition::Urged { deadline: new, told: Told::Killed };
        assert_eq!(after(5, urge), stopping(new, Told::Killed));
    }

    #[test]
    fn who_is_killed_has_no_deadline_any_more() {
        let at = Instant::now();
        let due = |is_killed: bool| states(at).map(|state| state.due(|_| is_killed).is_some());
        assert_eq!(due(false), [true, true, false, true, true, true, false, false]);
        assert_eq!(due(true), [true, false, false, false, true, true, false, false]);
    }
}
