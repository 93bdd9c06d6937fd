//! How long scripts take to load, and to come back from the dead.

use std::time::{Duration, Instant};

use crate::supervisor::Config;

use super::measure::{Rounds, time};
use super::report::{Figure, Goal, Line, Unit};
use super::rig::{Rig, TRIVIAL};
use super::{Context, Error};

/// How often a process is started or killed: each takes long enough to be exact by itself.
fn rounds(context: &Context) -> usize {
    if context.quick { 3 } else { 9 }
}

/// One script and sixteen, at once.
pub fn load(context: &Context) -> Result<Vec<Line>, Error> {
    let mut lines = Vec::new();
    for (count, goal) in [(1, Goal::default()), (16, Goal::value(280e6))] {
        let paths = context.scratch.scripts(&format!("load{count}"), TRIVIAL, count)?;
        let (mut ours, mut theirs) = (Rounds::default(), Rounds::default());
        // The first of each fills the file system's caches.
        for round in 0..=rounds(context) {
            let mut rig = Rig::empty(context)?;
            let took = time(|| rig.load(&paths))?;
            drop(rig);
            let mut inside = None;
            if let Some(baseline) = &context.baseline {
                inside = Some(time(|| baseline.load(&paths))?);
            }
            if round > 0 {
                ours.0.push(took.as_nanos() as f64);
                theirs.0.extend(inside.map(|took| took.as_nanos() as f64));
            }
        }
        let theirs = context.baseline.as_ref().map(|_| theirs);
        let work = if count == 1 { "1 script loaded".into() } else { format!("{count} scripts loaded") };
        let figure = Figure::new(format!("load.{count}"), work, Unit::Nanoseconds, ours);
        lines.push(figure.beside(theirs).reach(goal).into());
    }
    Ok(lines)
}

/// From kill -9 to the next event that a new process has answered.
pub fn restart(context: &Context) -> Result<Vec<Line>, Error> {
    let cases = [("restart.spare", "with a spare", true, 10e6), ("restart.cold", "without", false, 40e6)];
    let mut lines = Vec::new();
    for (name, how, spare, goal) in cases {
        let config = Config { spare, python: context.python.clone(), ..Config::default() };
        let mut rig = Rig::configured(config)?;
        rig.load(&context.scratch.scripts("restart", TRIVIAL, 1)?)?;
        let mut ours = Rounds::default();
        for _ in 0..rounds(context) {
            ours.0.push(killed(&mut rig)?.as_nanos() as f64);
            // An operator's reload forgives the death, so that the next restart is at once too.
            for script in rig.scripts.clone() {
                rig.supervisor.reload(&mut rig.hub, script)?;
            }
        }
        let work = format!("kill -9 to the next event served, {how}");
        lines.push(Figure::new(name, work, Unit::Nanoseconds, ours).reach(Goal::value(goal)).into());
    }
    Ok(lines)
}

fn killed(rig: &mut Rig) -> Result<Duration, Error> {
    let (Some(script), Some(pid)) = (rig.scripts.first().copied(), rig.pids().first().copied()) else {
        return Err(Error::Wrong("there is no process to kill".into()));
    };
    rest(rig, Duration::from_millis(500));
    rig.chat();
    let start = Instant::now();
    // SAFETY: a call without pointers. The process is a child that nobody has reaped.
    unsafe { libc::kill(libc::pid_t::try_from(pid).unwrap_or(0), libc::SIGKILL) };
    loop {
        let answered = rig.chat_to(script);
        let took = start.elapsed();
        if answered && rig.pids().first() != Some(&pid) {
            return Ok(took);
        }
        if took > Duration::from_secs(30) {
            return Err(Error::Wrong("a killed script was not back in 30 s".into()));
        }
    }
}

/// What a hub does without events: it serves when there is something to serve.
pub(super) fn rest(rig: &mut Rig, how_long: Duration) -> u64 {
    let end = Instant::now() + how_long;
    let mut visits = 0;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return visits;
        }
        let mut fd = libc::pollfd { fd: rig.supervisor.poll_fd(), events: libc::POLLIN, revents: 0 };
        let timeout = i32::try_from(left.as_millis() + 1).unwrap_or(i32::MAX);
        // SAFETY: one valid pollfd is passed, with its number.
        if unsafe { libc::poll(&mut fd, 1, timeout) } > 0 {
            visits += 1;
            rig.supervisor.serve(&mut rig.hub);
        }
    }
}
