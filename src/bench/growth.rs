//! What more scripts cost: those with the hook, and those without.

use std::path::PathBuf;

use super::events::beside;
use super::measure::{Rounds, in_turns, time};
use super::report::{Figure, Goal, Line, Unit};
use super::rig::{ELSEWHERE, Rig, TRIVIAL};
use super::{Context, Error};

/// More and more scripts with the hook; then one, beside a hundred without it.
pub fn growth(context: &Context) -> Result<Vec<Line>, Error> {
    let mut lines = with_hook(context, if context.quick { 8 } else { 32 })?;
    lines.extend(without_hook(context, 100)?);
    Ok(lines)
}

fn with_hook(context: &Context, most: usize) -> Result<Vec<Line>, Error> {
    let paths = context.scratch.scripts("growth", TRIVIAL, most)?;
    let mut rig = Rig::empty(context)?;
    let mut lines = Vec::new();
    let mut count = 1;
    while count <= most {
        let wanted = paths.get(rig.scripts.len()..count).unwrap_or_default();
        rig.load(wanted)?;
        let all: &[PathBuf] = paths.get(..count).unwrap_or_default();
        let mut inside = context.baseline.as_ref().map(|baseline| baseline.load(all)).transpose()?;
        let mut ours = |count| rig.events(count);
        let inside = inside.as_mut().map(|inside| |count| inside.events(count));
        let (ours, inside) = beside(context, &mut ours, inside)?;
        let each = ours.median() / count as f64 / 1e3;
        let work = format!("chat hook, scripts: {count}");
        let figure = Figure::new(format!("growth.{count}"), work, Unit::Nanoseconds, ours);
        lines.push(figure.beside(inside).note(format!("{each:.2} µs for each script")).into());
        count *= 2;
    }
    Ok(lines)
}

fn without_hook(context: &Context, others: usize) -> Result<Vec<Line>, Error> {
    let one = context.scratch.scripts("wanting", TRIVIAL, 1)?;
    let mut few = Rig::with(context, &one)?;
    let mut many = Rig::with(context, &one)?;
    let paths = context.scratch.scripts("elsewhere", ELSEWHERE, others)?;
    let loading = time(|| many.load(&paths))?;
    let mut alone = |count| few.events(count);
    let mut among = |count| many.events(count);
    let mut rounds = in_turns(context.plan, &mut [&mut alone, &mut among])?;
    let (among, alone) = (rounds.pop().unwrap_or_default(), rounds.pop().unwrap_or_default());
    let more = among.over(&alone).median();
    let work = format!("chat hook, 1 script, {others} others without it");
    let goal = Goal::value(alone.median() * 1.1);
    let figure = Figure::new("growth.others", work, Unit::Nanoseconds, among).reach(goal);
    let loading = Rounds(vec![loading.as_nanos() as f64]);
    let work = format!("{others} scripts loaded");
    Ok(vec![
        figure.note(format!("{more:.2} times the script alone")).into(),
        Figure::new(format!("load.{others}"), work, Unit::Nanoseconds, loading).into(),
    ])
}
