//! Requests that are answered without the hub, from what it left when it looked last: for a hub that
//! hangs is when they are needed most.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use plugin_abi::Value;
use plugin_abi::start::STACK_SIGNAL;

use super::request::{field, needed, text};
use super::{Answer, Done, Refused, Seen, Shared, lock};
use crate::supervisor::console;
use crate::supervisor::figures::map;
use crate::supervisor::output::Output;

/// A request that looks.
pub(super) struct LookSpec {
    pub(super) name: &'static str,
    /// Runs on the client's thread.
    pub(super) run: fn(&Shared, &Value<'_>) -> Answer,
}

/// All of them.
pub(super) static LOOKS: [LookSpec; 5] = [
    LookSpec { name: "list", run: list },
    LookSpec { name: "stat", run: stat },
    LookSpec { name: "status", run: status },
    LookSpec { name: "log", run: log },
    LookSpec { name: "stacks", run: stacks },
];

/// How often to look for stacks, how long nothing more may come until they are whole, and how long
/// they are waited for in all.
const TURN: Duration = Duration::from_millis(10);
const QUIET: Duration = Duration::from_millis(200);
const PATIENCE: Duration = Duration::from_secs(3);
/// How long a new snapshot is waited for.
const FRESH: Duration = Duration::from_millis(250);
/// From when on people are told that the hub has not looked.
const LONG: Duration = Duration::from_secs(2);

/// Lets the hub take a snapshot, if it can just now.
fn refresh(shared: &Shared) {
    let snapshot = lock(&shared.snapshot);
    let number = snapshot.number;
    shared.is_snapshot_wanted.store(true, Ordering::Relaxed);
    shared.wake_hub();
    let is_as_before = |snapshot: &mut super::Snapshot| snapshot.number == number && !shared.has_ended();
    let _ = shared.taken.wait_timeout_while(snapshot, FRESH, is_as_before);
}

/// What people should know if the hub did not answer.
fn warning(shared: &Shared) -> String {
    let unseen = shared.unseen();
    if unseen < LONG { String::new() } else { format!("The hub has not looked for {} s\n", unseen.as_secs()) }
}

fn list(shared: &Shared, _request: &Value<'_>) -> Answer {
    scripts(shared, |scripts| {
        let lines: Vec<_> = scripts.iter().map(|seen| console::line_of(&seen.status)).collect();
        lines.join("\n")
    })
}

fn stat(shared: &Shared, _request: &Value<'_>) -> Answer {
    scripts(shared, |scripts| console::stat_lines(scripts.iter().map(|seen| seen.status.clone()).collect()))
}

fn scripts(shared: &Shared, lines: fn(&[Seen]) -> String) -> Answer {
    refresh(shared);
    let snapshot = lock(&shared.snapshot);
    let text = match snapshot.scripts.as_slice() {
        [] => "No script is loaded".into(),
        scripts => lines(scripts),
    };
    let statuses = snapshot.scripts.iter().map(|seen| seen.status.to_value()).collect();
    let answer = map([
        ("unseen_seconds", Value::Float(shared.unseen().as_secs_f64())),
        ("scripts", Value::List(statuses)),
    ]);
    Ok(Done::new(answer, warning(shared) + &text))
}

impl Seen {
    /// Whether this script is meant: by its number, its name or its path.
    fn is_meant(&self, what: &str) -> bool {
        let status = &self.status;
        status.id.to_string() == what
            || status.name == what.strip_suffix(".py").unwrap_or(what)
            || status.path.to_str() == Some(what)
    }
}

fn status(shared: &Shared, request: &Value<'_>) -> Answer {
    let what = needed(request, "script")?;
    refresh(shared);
    let snapshot = lock(&shared.snapshot);
    let found = snapshot.scripts.iter().find(|seen| seen.is_meant(&what));
    let status = &found.ok_or(Refused::NoScript(what))?.status;
    let text = warning(shared) + &console::figures_of(status).join("\n");
    Ok(Done::new(status.to_value(), text))
}

/// What scripts printed: all that is kept, or what came after the request before.
fn log(shared: &Shared, request: &Value<'_>) -> Answer {
    let what = text(request, "script");
    refresh(shared);
    let snapshot = lock(&shared.snapshot);
    let mut meant =
        snapshot.scripts.iter().filter(|seen| what.as_ref().is_none_or(|what| seen.is_meant(what)));
    let mut next = Vec::new();
    let mut lines = Vec::new();
    for seen in meant.by_ref() {
        let key = Value::from(seen.status.id.to_string());
        let since = since(request, &key);
        let (count, new) = seen.output.lines_from(since.unwrap_or(0));
        let lost = since.map_or(0, |since| count.saturating_sub(since).saturating_sub(new.len() as u64));
        if lost > 0 {
            lines.push(format!("{}: ({lost} lines came too fast)", seen.status.name));
        }
        next.push((key, Value::Int(i64::try_from(count).unwrap_or(i64::MAX))));
        lines.extend(new.into_iter().map(|line| format!("{}: {line}", seen.status.name)));
    }
    if let Some(what) = what.filter(|_| next.is_empty()) {
        return Err(Refused::NoScript(what));
    }
    let answer = Value::List(lines.iter().cloned().map(Value::from).collect());
    Ok(Done::new(map([("lines", answer), ("next", Value::Map(next))]), lines.join("\n")))
}

/// Where all threads of a script are. Its interpreter writes that in a signal handler, to where its
/// output goes, so it goes on with what it does, and need not do anything for it.
fn stacks(shared: &Shared, request: &Value<'_>) -> Answer {
    let what = needed(request, "script")?;
    refresh(shared);
    let (name, state, output, dump) = {
        let snapshot = lock(&shared.snapshot);
        let found = snapshot.scripts.iter().find(|seen| seen.is_meant(&what));
        let seen = found.ok_or(Refused::NoScript(what))?;
        let dump = seen.dump.as_ref().and_then(|dump| dump.try_clone().ok());
        (seen.status.name.clone(), seen.status.state, seen.output.clone(), dump)
    };
    let dump = dump.ok_or_else(|| Refused::NoStacks(name.clone()))?;
    let (before, _) = output.lines_from(u64::MAX);
    dump.send(STACK_SIGNAL).map_err(|error| Refused::Failed(format!("cannot ask script {name}: {error}")))?;
    let lines = dumped(shared, &output, before);
    if lines.is_empty() {
        return Err(Refused::NoStacks(name));
    }
    let text = format!("{name}: {state}\n{}", lines.join("\n"));
    let lines = lines.into_iter().map(Value::from).collect();
    Ok(Done::new(map([("state", state.into()), ("lines", Value::List(lines))]), text))
}

/// The stacks among the lines after so many, once they have come to their end.
fn dumped(shared: &Shared, output: &Output, before: u64) -> Vec<String> {
    let start = Instant::now();
    let mut last = (before, start);
    loop {
        std::thread::sleep(TURN);
        let (count, lines) = output.lines_from(before);
        if count != last.0 {
            last = (count, Instant::now());
        }
        let stacks = only_stacks(lines);
        // The thread that ran the handler comes last, most often; nothing marks the end.
        let is_whole =
            stacks.iter().any(|line| line.starts_with("Current thread")) && last.1.elapsed() >= QUIET;
        if is_whole || start.elapsed() >= PATIENCE || shared.has_ended() {
            return stacks;
        }
    }
}

/// Leaves out what was printed besides.
fn only_stacks(lines: Vec<String>) -> Vec<String> {
    let mut is_stack = false;
    let of_stack = |line: &String| {
        let is_head = line.ends_with(" (most recent call first):");
        is_stack = is_head || is_stack && (line.starts_with("  ") || line.is_empty());
        is_stack && !line.is_empty()
    };
    lines.into_iter().filter(of_stack).collect()
}

/// How many lines of a script the client has seen.
fn since(request: &Value<'_>, script: &Value<'_>) -> Option<u64> {
    let Some(Value::Map(since)) = field(request, "since") else { return None };
    match since.iter().find(|(id, _)| id == script)? {
        (_, Value::Int(count)) => u64::try_from(*count).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_between_the_stacks_is_left_out() {
        let lines = [
            "before",
            "Thread 0x00007f (most recent call first):",
            "  File \"a.py\", line 1 in wait",
            "",
            "Current thread 0x00007e [python3] (most recent call first):",
            "  File \"a.py\", line 7 in loop",
            "printed",
            "  indented",
        ];
        let stacks = only_stacks(lines.map(String::from).to_vec());
        assert_eq!(stacks, [lines[1], lines[2], lines[4], lines[5]]);
    }
}
