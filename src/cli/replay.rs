//! `vhpy replay`: a recording is given to a script, and what differs is shown.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use vhpy::replay::{Difference, Recording, Replayed, replay};

use super::absolute;

pub(super) const HELP: &str = "Examples:\n  \
    vhpy hub --record party.jsonl quiz.py     record\n  \
    vhpy replay party.jsonl quiz.py           what would the script do now?\n\n\
    Exit code: 0 when nothing differs for sure, 1 when something does, 2 when nothing could be replayed.";

#[derive(Args)]
pub(super) struct ReplayArgs {
    /// The recording.
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// The script.
    #[arg(value_name = "SCRIPT")]
    script: PathBuf,

    /// The script's name in the recording [default: that of its file].
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,

    /// Print what differs as JSON.
    #[arg(long)]
    json: bool,

    /// The interpreter for a script that has no .venv beside it.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
}

/// Nothing could be replayed.
const NOT_REPLAYED: i64 = 2;

pub(super) fn run(args: &ReplayArgs) -> Result<i64, String> {
    if std::env::var_os("RUST_LOG").is_none() {
        // Of what scripts print, what they complain of.
        log::set_max_level(log::LevelFilter::Warn);
    }
    let replayed = match play(args) {
        Ok(replayed) => replayed,
        Err(error) => {
            eprintln!("vhpy: {error}");
            return Ok(NOT_REPLAYED);
        }
    };
    let text = if args.json { for_programs(&replayed) } else { for_people(&replayed) };
    super::print(&text)?;
    Ok(i64::from(!replayed.is_alike()))
}

fn play(args: &ReplayArgs) -> Result<Replayed, String> {
    let recording = Recording::read(&args.file).map_err(|error| error.to_string())?;
    let script = absolute(&args.script)?;
    let python = args.python.as_deref().map(absolute).transpose()?;
    replay(&recording, &script, args.name.as_deref(), python).map_err(|error| error.to_string())
}

fn for_people(replayed: &Replayed) -> String {
    let mut text = String::new();
    for Difference { line, event, then, now, reservation } in &replayed.differences {
        let event = if event.is_empty() { "no event" } else { event };
        let mark = reservation.map_or_else(String::new, |why| format!("   ({})", why.text()));
        text += &format!("line {line}: {event}{mark}\n  then: {then}\n  now:  {now}\n");
    }
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    let differences = match replayed.differences.len() {
        0 => "nothing differs".into(),
        1 => "1 difference".to_string(),
        many => format!("{many} differences"),
    };
    let uncertain = replayed.differences.iter().filter(|each| each.reservation.is_some()).count();
    let uncertain = if uncertain > 0 { format!(", {uncertain} of them uncertain") } else { String::new() };
    let lost = match replayed.lost {
        0 => String::new(),
        lost => format!("; the recording lacks {lost} entries that came too fast"),
    };
    text += &format!(
        "{}, {} of {}: {differences}{uncertain}{lost}.\n",
        count(replayed.events, "event"),
        count(replayed.calls, "call"),
        replayed.script
    );
    text
}

fn for_programs(replayed: &Replayed) -> String {
    let differences: Vec<_> = replayed
        .differences
        .iter()
        .map(|Difference { line, event, then, now, reservation }| {
            let why = reservation.map(|why| why.text());
            json!({"line": line, "event": event, "then": then, "now": now, "uncertain": why})
        })
        .collect();
    let all = json!({
        "script": replayed.script,
        "events": replayed.events,
        "calls": replayed.calls,
        "differences": differences,
        "lost": replayed.lost,
    });
    format!("{all:#}\n")
}
