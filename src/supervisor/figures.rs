//! What is known of how a script does, for people and machines: who asks gets all of it, and
//! operators are told of hooks that raise or are slow. What is counted is in [`counts`](super::counts).

use std::rc::Rc;
use std::time::{Duration, Instant};

use plugin_abi::figures::BOUNDS;
use plugin_abi::frame::Noticed;
use plugin_abi::{Hook, Value};

pub use super::counts::{HookFigures, ScriptFigures};
use super::process::Process;
use super::script::Script;
use super::{ScriptStatus, Supervisor};

impl ScriptFigures {
    /// As text for machines: see [`ScriptStatus::to_value`].
    fn entries(&self) -> Vec<(&'static str, Value<'static>)> {
        let longest = self.longest();
        let hooks = self.hooks.iter().map(hook_value).collect();
        vec![
            ("blocked", count(self.blocked())),
            ("raised", count(self.raised())),
            ("late", count(self.late)),
            ("calls", count(self.calls)),
            ("seconds", seconds(self.time())),
            ("longest_seconds", longest.map_or(Value::Nil, |(_, took)| seconds(took))),
            ("longest_in", longest.map_or(Value::Nil, |(hook, _)| hook.name().into())),
            ("cpu_seconds", self.processor.map_or(Value::Nil, seconds)),
            ("hooks", Value::List(hooks)),
        ]
    }
}

fn count(number: u64) -> Value<'static> {
    Value::Int(i64::try_from(number).unwrap_or(i64::MAX))
}

fn seconds(time: Duration) -> Value<'static> {
    Value::Float(time.as_secs_f64())
}

/// A map with these keys.
pub(super) fn map(entries: impl IntoIterator<Item = (&'static str, Value<'static>)>) -> Value<'static> {
    Value::Map(entries.into_iter().map(|(key, value)| (key.into(), value)).collect())
}

fn hook_value(hook: &HookFigures) -> Value<'static> {
    let times = &hook.times;
    let bounds = BOUNDS.iter().map(|bound| seconds(Duration::from_nanos(*bound))).chain([Value::Nil]);
    let buckets = bounds.zip(times.buckets).map(|(bound, calls)| Value::List(vec![bound, count(calls)]));
    map([
        ("hook", hook.hook.name().into()),
        ("events", count(hook.events)),
        ("blocked", count(hook.blocked)),
        ("raised", count(times.raised)),
        ("late", count(hook.late)),
        ("seconds", seconds(Duration::from_nanos(times.total))),
        ("longest_seconds", seconds(Duration::from_nanos(times.longest))),
        ("buckets", Value::List(buckets.collect())),
    ])
}

impl ScriptStatus {
    /// All of it for machines: a map, whose keys `vhpy.h` lists at `vhpy_figures`. Durations are seconds,
    /// what is not known is nil.
    pub fn to_value(&self) -> Value<'static> {
        let number = |value: Option<u64>| value.map_or(Value::Nil, count);
        let text = |text: &[u8]| Value::from(String::from_utf8_lossy(text).into_owned());
        let title = self.title.as_ref();
        let own = [
            ("id", Value::Int(self.id.0.into())),
            ("name", self.name.clone().into()),
            ("path", self.path.display().to_string().into()),
            ("title", title.map_or(Value::Nil, |(name, _)| text(name))),
            ("version", title.map_or(Value::Nil, |(_, version)| text(version))),
            ("state", self.state.into()),
            ("pid", number(self.pid.map(u64::from))),
            ("uptime_seconds", self.uptime.map_or(Value::Nil, seconds)),
            ("restarts", count(self.restarts)),
            ("events", count(self.events)),
            ("memory_bytes", number(self.memory)),
        ];
        map(own.into_iter().chain(self.figures.entries()))
    }
}

impl Supervisor {
    /// A worker says that a hook has raised, or is slow.
    pub(super) fn noticed(
        &self,
        script: &Rc<Script>,
        process: &Process,
        hook: Hook,
        what: &Noticed,
        place: &str,
    ) {
        let now = Instant::now();
        let is_slow = matches!(what, Noticed::Slow(_));
        // Of one that was too late for its answer they have heard.
        let is_awaited = !script.observers.get().contains(hook);
        if let Noticed::Slow(took) = what
            && is_awaited
            && Duration::from_nanos(*took) >= self.hook_timeout(script, Some(hook))
        {
            return;
        }
        if !script.counts.is_to_be_told(hook, is_slow, now) {
            return;
        }
        let place = if place.is_empty() { String::new() } else { format!(" ({place})") };
        let name = &script.name;
        let text = match what {
            Noticed::Raised(exception) => format!("Script {name} raised in {hook}: {exception}{place}"),
            Noticed::Slow(nanoseconds) => {
                let took = Duration::from_nanos(*nanoseconds).min(process.born.elapsed());
                format!("Script {name} is slow: {hook} took {}{place}", short_time(took))
            }
        };
        // The traceback of an exception is in the log already.
        if is_slow {
            log::warn!("{text}");
        }
        self.agenda.tell_operators(text);
    }

    /// All processes are told from when on a hook is slow.
    pub(super) fn set_slow_hook(&self) {
        let slow = self.config.borrow().slow_hook;
        self.processes().iter().for_each(|process| process.set_slow_hook(slow));
    }
}

/// A duration in the unit that suits it: `3 ms`.
pub(super) fn short_time(time: Duration) -> String {
    let nanoseconds = time.as_nanos();
    match nanoseconds {
        0..1_000 => format!("{nanoseconds} ns"),
        1_000..1_000_000 => format!("{} µs", nanoseconds / 1_000),
        1_000_000..10_000_000_000 => format!("{} ms", nanoseconds / 1_000_000),
        _ => format!("{} s", time.as_secs()),
    }
}
