//! What scripts cost while little or nothing happens: memory, wake-ups, processor time.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::supervisor::Config;

use super::lifecycle::rest;
use super::measure::Rounds;
use super::proc::{self, Memory};
use super::report::{Figure, Goal, Line, Unit};
use super::rig::{Rig, TRIVIAL, worker_python};
use super::{Context, Error};

/// How many processes of each kind are compared: with two of a kind, the pages of files that
/// all of them map are nobody's own.
const OF_EACH: usize = 4;

/// An idle script's memory beyond that of an interpreter that waits for input.
pub fn memory(context: &Context) -> Result<Vec<Line>, Error> {
    let python = worker_python(context)?;
    let mut rig = Rig::with(context, &context.scratch.scripts("memory", TRIVIAL, OF_EACH)?)?;
    let plain: Vec<Plain> = (0..OF_EACH).map(|_| Plain::start(&python)).collect::<Result<_, _>>()?;
    rest(&mut rig, Duration::from_secs(1));
    let scripts: Vec<Memory> = rig.pids().into_iter().map(Memory::of).collect::<Result<_, _>>()?;
    let plain: Vec<Memory> = plain.iter().map(|plain| Memory::of(plain.0.id())).collect::<Result<_, _>>()?;
    let middle = |of: &[Memory], which: fn(&Memory) -> f64| Rounds(of.iter().map(which).collect()).median();
    let beyond = |which: fn(&Memory) -> f64| {
        let floor = middle(&plain, which);
        Rounds(scripts.iter().map(|memory| which(memory) - floor).collect())
    };
    let whole = middle(&scripts, |memory| memory.private) / 1024.0;
    let private = Figure::new(
        "memory.private",
        "idle script: private memory beyond python3 -c \"input()\"",
        Unit::Bytes,
        beyond(|memory| memory.private),
    );
    let pss = Figure::new(
        "memory.pss",
        "the same: proportional set size",
        Unit::Bytes,
        beyond(|memory| memory.proportional),
    );
    Ok(vec![
        private.reach(Goal::value(2048.0 * 1024.0)).note(format!("{whole:.0} KiB in all")).into(),
        pss.into(),
    ])
}

/// An interpreter that waits for input; killed when dropped.
struct Plain(Child);

impl Plain {
    fn start(python: &Path) -> Result<Plain, Error> {
        let child = Command::new(python)
            .args(["-c", "input()"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .map_err(Error::system(python.display().to_string()))?;
        Ok(Plain(child))
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sixteen scripts that nobody disturbs, and the spare.
pub fn idle(context: &Context) -> Result<Vec<Line>, Error> {
    let mut rig = Rig::configured(Config { python: context.python.clone(), ..Config::default() })?;
    rig.load(&context.scratch.scripts("idle", TRIVIAL, 16)?)?;
    rig.events(100)?;
    rest(&mut rig, Duration::from_secs(2));
    let how_long = Duration::from_secs(if context.quick { 3 } else { 10 });
    let own = std::process::id();
    let processes = proc::children(own);
    let counted = || {
        let workers: u64 = processes.iter().map(|pid| proc::switches(*pid, |_| true)).sum();
        // The hub's own thread is this one; its wake-ups are its visits.
        (workers, proc::switches(own, |thread| thread != own))
    };
    let before = counted();
    let visits = rest(&mut rig, how_long);
    let after = counted();
    let (workers, helpers) = (after.0 - before.0, after.1 - before.1);
    let work = format!("16 idle scripts: wake-ups in {} s", how_long.as_secs());
    let sum = Rounds(vec![(workers + helpers + visits) as f64]);
    let note = format!(
        "{workers} of {} workers and spares, {helpers} of the supervisor's threads, {visits} of the hub's",
        processes.len()
    );
    Ok(vec![Figure::new("idle.wakeups", work, Unit::Count, sum).reach(Goal::value(0.0)).note(note).into()])
}

/// A thousand events a second.
pub fn steady(context: &Context) -> Result<Vec<Line>, Error> {
    let paths = context.scratch.scripts("steady", TRIVIAL, 1)?;
    let mut rig = Rig::with(context, &paths)?;
    let worker = rig.pids().first().copied();
    let mut inside = context.baseline.as_ref().map(|baseline| baseline.load(&paths)).transpose()?;
    let rounds = if context.quick { 1 } else { 3 };
    let how_long = Duration::from_millis(if context.quick { 1000 } else { 3000 });
    let (mut ours, mut theirs) = (Pace::default(), Pace::default());
    for _ in 0..rounds {
        ours.round(how_long, worker, || rig.events(1))?;
        if let Some(inside) = &mut inside {
            theirs.round(how_long, None, || inside.events(1))?;
        }
    }
    let beside = |rounds: Rounds| inside.is_some().then_some(rounds);
    let work = "1,000 events/s, 1 script: CPU of hub and worker, of one core";
    let cpu = Figure::new("steady.cpu", work, Unit::Percent, ours.cpu).beside(beside(theirs.cpu));
    let work = "the same: time of one event, median";
    let event = Figure::new("steady.event", work, Unit::Nanoseconds, ours.event).beside(beside(theirs.event));
    Ok(vec![cpu.reach(Goal::value(15.0)).into(), event.into()])
}

/// What a steady stream of events cost.
#[derive(Default)]
struct Pace {
    cpu: Rounds,
    event: Rounds,
}

impl Pace {
    fn round(
        &mut self,
        how_long: Duration,
        worker: Option<u32>,
        mut event: impl FnMut() -> Result<Duration, Error>,
    ) -> Result<(), Error> {
        let used = || -> Result<Duration, Error> {
            let workers = worker.map(|pid| proc::cpu_time(Some(pid))).transpose()?;
            Ok(proc::cpu_time(None)? + workers.unwrap_or_default())
        };
        let mut times = Rounds::default();
        let before = used()?;
        let start = Instant::now();
        let mut next = start;
        while start.elapsed() < how_long {
            next += Duration::from_millis(1);
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            times.0.push(event()?.as_nanos() as f64);
        }
        let wall = start.elapsed();
        self.cpu.0.push((used()? - before).as_secs_f64() / wall.as_secs_f64() * 100.0);
        self.event.0.push(times.median());
        Ok(())
    }
}
