//! Events: one script, several, observers, scripts that compute, a busy machine.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::measure::{Rounds, Subject, in_turns};
use super::report::{Figure, Goal, Line, Unit};
use super::rig::{Rig, TRIVIAL};
use super::{Context, Error};

const CALLING: &str = "\
import vh

def OnParsedMsgChat(nick, message):
    vh.GetUserClass(nick)
    return 1
";

const OBSERVING: &str = "\
import vh

@vh.observer
def OnParsedMsgChat(nick, message):
    return 1

def caught_up():
    return True
";

/// Processor time, not time: a script that has to share its core does not get off lightly.
const BURNING: &str = "\
from time import thread_time_ns

def OnParsedMsgChat(nick, message):
    end = thread_time_ns() + 200_000
    while thread_time_ns() < end:
        pass
    return 1
";

/// How many events are posted to an observer before it is waited for: they fit into its ring.
const BURST: u64 = 4000;

/// Rounds of the same chat events, in processes and in-process.
pub(super) fn chat(context: &Context, paths: &[PathBuf]) -> Result<(Rounds, Option<Rounds>), Error> {
    let mut rig = Rig::with(context, paths)?;
    for script in rig.scripts.clone() {
        if !rig.chat_to(script) {
            return Err(Error::Wrong(format!("script {script} does not answer")));
        }
    }
    let mut inside = context.baseline.as_ref().map(|baseline| baseline.load(paths)).transpose()?;
    let mut ours = |count| rig.events(count);
    beside(context, &mut ours, inside.as_mut().map(|inside| |count| inside.events(count)))
}

/// Measures something, in turns with the same in-process if there is such a thing.
pub(super) fn beside(
    context: &Context,
    ours: &mut Subject<'_>,
    inside: Option<impl FnMut(u64) -> Result<Duration, Error>>,
) -> Result<(Rounds, Option<Rounds>), Error> {
    let mut rounds = match inside {
        Some(mut inside) => in_turns(context.plan, &mut [ours, &mut inside])?,
        None => in_turns(context.plan, &mut [ours])?,
    };
    let second = if rounds.len() > 1 { rounds.pop() } else { None };
    Ok((rounds.pop().unwrap_or_default(), second))
}

fn per_second(rounds: Rounds) -> Rounds {
    rounds.map(|nanoseconds| 1e9 / nanoseconds)
}

/// One script, events back to back.
pub fn hook(context: &Context) -> Result<Vec<Line>, Error> {
    let (ours, inside) = chat(context, &context.scratch.scripts("hook", TRIVIAL, 1)?)?;
    let goal = Goal { value: Some(600.0), ratio: Some(1.0) };
    let figure = Figure::new("hook", "chat hook, 1 script", Unit::Nanoseconds, ours);
    Ok(vec![figure.beside(inside).reach(goal).into()])
}

/// One script that asks the hub something in its hook.
pub fn call(context: &Context) -> Result<Vec<Line>, Error> {
    let (ours, inside) = chat(context, &context.scratch.scripts("call", CALLING, 1)?)?;
    let figure = Figure::new("call", "the same with one vh.GetUserClass", Unit::Nanoseconds, ours);
    Ok(vec![figure.beside(inside).reach(Goal::value(950.0)).into()])
}

/// Four and sixteen scripts.
pub fn several(context: &Context) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::new();
    for (count, goal) in [(4, Goal::value(150e3)), (16, Goal::default())] {
        let paths = context.scratch.scripts(&format!("several{count}"), TRIVIAL, count)?;
        let (ours, inside) = chat(context, &paths)?;
        let work = format!("chat hook, {count} scripts, events/s");
        let figure = Figure::new(format!("scripts.{count}"), work, Unit::PerSecond, per_second(ours));
        lines.push(figure.beside(inside.map(per_second)).reach(goal).into());
    }
    Ok(lines)
}

/// A script for whose answer the hub does not wait.
pub fn observer(context: &Context) -> Result<Vec<Line>, Error> {
    let paths = context.scratch.scripts("observer", OBSERVING, 1)?;
    let waiting = context.scratch.scripts("observed", TRIVIAL, 1)?;
    let rig = std::cell::RefCell::new(Rig::with(context, &paths)?);
    let mut inside = context.baseline.as_ref().map(|baseline| baseline.load(&waiting)).transpose()?;

    // What the hub's thread pays: the burst alone.
    let mut post = |count: u64| {
        let rig = &mut *rig.borrow_mut();
        let mut took = Duration::ZERO;
        let mut left = count;
        while left > 0 {
            let burst = left.min(BURST);
            took += rig.events(burst)?;
            rig.function("caught_up", &[], |_| ())?;
            left -= burst;
        }
        Ok(took)
    };
    let (posts, inside_posts) =
        beside(context, &mut post, inside.as_mut().map(|inside| |count| inside.events(count)))?;

    // What the worker makes of it: until it has seen them all.
    let mut drain = |count: u64| {
        let rig = &mut *rig.borrow_mut();
        let start = Instant::now();
        rig.events(count)?;
        rig.function("caught_up", &[], |_| ())?;
        Ok(start.elapsed())
    };
    let (drains, inside_drains) =
        beside(context, &mut drain, inside.as_mut().map(|inside| |count| inside.events(count)))?;

    let post =
        Figure::new("observer.post", "observer: the hub's thread, per event", Unit::Nanoseconds, posts);
    let work = "observer: one worker's events/s";
    let drain = Figure::new("observer.drain", work, Unit::PerSecond, per_second(drains));
    Ok(vec![
        post.beside(inside_posts).reach(Goal::value(120.0)).into(),
        drain.beside(inside_drains.map(per_second)).reach(Goal::value(2.5e6)).into(),
    ])
}

/// Scripts that each compute for 200 µs.
pub fn burn(context: &Context) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::new();
    for (count, goal) in [(1, Goal::default()), (2, Goal::ratio(1.8)), (4, Goal::default())] {
        let paths = context.scratch.scripts(&format!("burn{count}"), BURNING, count)?;
        let (ours, inside) = chat(context, &paths)?;
        let work = format!("200 µs of CPU per event, scripts: {count}, events/s");
        let figure = Figure::new(format!("burn.{count}"), work, Unit::PerSecond, per_second(ours));
        lines.push(figure.beside(inside.map(per_second)).reach(goal).into());
    }
    Ok(lines)
}

/// One script while all cores but one are busy with something else.
pub fn loaded(context: &Context) -> Result<Vec<Line>, Error> {
    let paths = context.scratch.scripts("loaded", TRIVIAL, 1)?;
    let mut rig = Rig::with(context, &paths)?;
    let mut sleepers = Rig::empty(context)?;
    sleepers.supervisor.configure(|config| config.stay_awake = false);
    sleepers.load(&paths)?;
    let mut inside = context.baseline.as_ref().map(|baseline| baseline.load(&paths)).transpose()?;
    let load = Load::start();
    let mut ours = |count| rig.events(count);
    let mut sleeping = |count| sleepers.events(count);
    let mut rounds = match &mut inside {
        Some(inside) => {
            let mut inside = |count| inside.events(count);
            in_turns(context.plan, &mut [&mut ours, &mut sleeping, &mut inside])?
        }
        None => in_turns(context.plan, &mut [&mut ours, &mut sleeping])?,
    };
    drop(load);
    let inside = if rounds.len() > 2 { rounds.pop() } else { None };
    let sleeping = rounds.pop().unwrap_or_default();
    let ours = rounds.pop().unwrap_or_default();
    // Not worse than waits that always sleep.
    let goal = Goal::value(sleeping.median());
    let work = format!("chat hook, 1 script, busy cores beside: {}", Load::cores());
    let figure = Figure::new("loaded.hook", work, Unit::Nanoseconds, ours).beside(inside).reach(goal);
    let work = "the same with waits that always sleep";
    Ok(vec![figure.into(), Figure::new("loaded.sleeping", work, Unit::Nanoseconds, sleeping).into()])
}

/// Threads that do nothing but use up processor time, one per core but the last.
struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn cores() -> usize {
        std::thread::available_parallelism().map_or(1, usize::from).saturating_sub(1).max(1)
    }

    fn start() -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let threads = (0..Load::cores())
            .map(|_| {
                let stop = stop.clone();
                std::thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        std::hint::spin_loop();
                    }
                })
            })
            .collect();
        Load { stop, threads }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
