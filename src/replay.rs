//! Gives a recording's events to a script and tells where its answers differ: [`Recording::read`],
//! [`replay`]. The script runs in a process as in a hub; what it asks the hub is answered as the
//! recording has it.
//!
//! An event that came in the middle of a call of the script's is given in the middle of that call
//! again. Timers and threads of the script go by the clock and not by the recording.

mod reading;

use std::cell::Cell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use plugin_abi::call::Gives;
use plugin_abi::{Call, CallSpec, Value};
use std::os::fd::BorrowedFd;

pub use reading::{ReadError, Recording};

use crate::json;
use crate::supervisor::masking::Masker;
use crate::supervisor::recorder::answer_value;
use crate::supervisor::{Config, Host, Identity, LoadError, RestartLimits, ScriptId, StartError, Supervisor};
use reading::{Played, RecordedCall};

/// How long a hook may take; longer than in a hub, whose machine may have been a faster one.
const HOOK_TIMEOUT: Duration = Duration::from_secs(10);
/// How long is waited for what the script did then and has not done yet, by itself.
const LINGER: Duration = Duration::from_secs(1);
/// How long is waited for a script that has died to be there again.
const RESTART: Duration = Duration::from_secs(60);

/// Where one of two did something and the other did not.
const NOTHING: &str = "nothing";

/// Why nothing was replayed. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The recording has nothing of this script.
    #[error("the recording has nothing of a script {name}; it has {there}: say which with --as")]
    NoScript {
        /// The name.
        name: String,
        /// Those that there are.
        there: String,
    },
    /// Scripts cannot be run here.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The script cannot be loaded.
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Why a difference is no proof that the script does something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reservation {
    /// The script was given or told something that the recording does not show.
    Masked,
    /// The script asked for something that the recording does not have.
    Unknown,
    /// It came from no event: timers and threads go by the clock.
    Clock,
}

impl Reservation {
    /// For people.
    pub fn text(self) -> &'static str {
        match self {
            Reservation::Masked => "hangs on masked text",
            Reservation::Unknown => "hangs on what the recording does not know",
            Reservation::Clock => "from no event: timers and threads go by the clock",
        }
    }
}

/// Something that the script does otherwise than when it was recorded.
#[derive(Clone, Debug)]
pub struct Difference {
    /// The line of the recording.
    pub line: usize,
    /// The event there, with its arguments; empty when it was none.
    pub event: String,
    /// What the script answered or did then.
    pub then: String,
    /// What it answers or does now.
    pub now: String,
    /// Why this may mean nothing.
    pub reservation: Option<Reservation>,
}

/// What a replay came to.
#[derive(Clone, Debug)]
pub struct Replayed {
    /// The script's name in the recording.
    pub script: String,
    /// How many events it was given.
    pub events: usize,
    /// How many of its calls were answered.
    pub calls: usize,
    /// Where it differs, by the recording's lines.
    pub differences: Vec<Difference>,
    /// How many entries the recording lacks because they came too fast.
    pub lost: u64,
}

impl Replayed {
    /// Whether nothing differs for sure.
    pub fn is_alike(&self) -> bool {
        self.differences.iter().all(|difference| difference.reservation.is_some())
    }
}

/// Gives a script the events that the one of this name got then: its own name unless another is
/// said. `python` is for a script that has no `.venv` beside it.
///
/// # Errors
/// When there is nothing to give, or the script cannot be run.
pub fn replay(
    recording: &Recording,
    path: &Path,
    name: Option<&str>,
    python: Option<PathBuf>,
) -> Result<Replayed, ReplayError> {
    let own = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let name = name.unwrap_or(&own);
    if !recording.scripts.iter().any(|script| script == name) {
        let there = match recording.scripts.join(", ") {
            none if none.is_empty() => "none at all".into(),
            there => there,
        };
        return Err(ReplayError::NoScript { name: name.into(), there });
    }
    let supervisor = Supervisor::new(config(recording, python))?;
    let mut stage = Stage::new(recording.of(name), recording.encoding);
    let id = supervisor.load(&mut stage, path)?.id;
    for at in stage.played.first.clone() {
        stage.give(&supervisor, id, at);
        // What the script has put off until after the event.
        supervisor.serve(&mut stage);
    }
    stage.linger(&supervisor);
    supervisor.shutdown(&mut stage);
    let mut replayed = stage.end();
    replayed.script = name.into();
    replayed.lost = recording.lost;
    Ok(replayed)
}

fn config(recording: &Recording, python: Option<PathBuf>) -> Config {
    Config {
        python,
        encoding: recording.encoding_name.clone(),
        identity: Identity {
            botname: recording.botname.clone(),
            opchatname: recording.opchatname.clone(),
            ..Identity::default()
        },
        hook_timeout: HOOK_TIMEOUT,
        // What dies at every event is to show that at every event.
        restart: RestartLimits {
            max_deaths: u32::MAX,
            first_delay: Duration::ZERO,
            max_delay: Duration::ZERO,
            ..RestartLimits::default()
        },
        restart_wait: HOOK_TIMEOUT,
        has_ip_city: true,
        ..Config::default()
    }
}

/// Something that is going on, and what it hangs on.
struct Open {
    /// Its place among the events.
    event: usize,
    reservation: Cell<Option<Reservation>>,
}

/// Calls that were alike, and how many of them have been made again.
#[derive(Default)]
struct Alike {
    calls: Vec<usize>,
    made: usize,
}

/// The hub as the recording knows it.
struct Stage {
    played: Rc<Played>,
    calls: HashMap<String, Alike>,
    masker: Masker,
    open: Vec<Open>,
    /// Answers that differ, and what is done that was not done then with the event in which it is.
    answers: Vec<Difference>,
    acts: Vec<(Option<usize>, Difference)>,
    events: usize,
    answered: usize,
}

impl Stage {
    fn new(played: Played, encoding: &'static encoding_rs::Encoding) -> Stage {
        let mut calls: HashMap<String, Alike> = HashMap::new();
        for (at, call) in played.calls.iter().enumerate() {
            calls.entry(call.text.clone()).or_default().calls.push(at);
        }
        Stage {
            played: Rc::new(played),
            calls,
            masker: Masker::of_recording(encoding),
            open: Vec::new(),
            answers: Vec::new(),
            acts: Vec::new(),
            events: 0,
            answered: 0,
        }
    }

    /// Gives the script an event.
    fn give(&mut self, supervisor: &Supervisor, id: ScriptId, at: usize) {
        self.await_restart(supervisor, id);
        let played = Rc::clone(&self.played);
        let Some(event) = played.events.get(at) else { return };
        let reservation = Cell::new(event.masked.then_some(Reservation::Masked));
        self.open.push(Open { event: at, reservation });
        self.events += 1;
        let answer = supervisor.event_to(self, id, event.hook, &event.args);
        let reservation = self.open.pop().and_then(|open| open.reservation.get());
        let Some(then) = &event.answer else { return };
        let now = match answer {
            Some(answer) => shown(&answer_value(&mut self.masker, &answer)),
            None => "no answer: it died, or was late".into(),
        };
        if *then != now {
            let (line, event, then) = (event.line, event.text.clone(), then.clone());
            self.answers.push(Difference { line, event, then, now, reservation });
        }
    }

    /// Nobody is given an event while they are down.
    fn await_restart(&mut self, supervisor: &Supervisor, id: ScriptId) {
        let end = Instant::now() + RESTART;
        let is_coming = |supervisor: &Supervisor| {
            let status = supervisor.status(id);
            status.is_some_and(|status| matches!(status.state, "starting" | "backoff" | "stuck"))
        };
        while is_coming(supervisor) && Instant::now() < end {
            self.wait_a_moment(supervisor);
        }
    }

    /// A script's threads and what it has put off come in their own time.
    fn linger(&mut self, supervisor: &Supervisor) {
        let end = Instant::now() + LINGER;
        while self.is_anything_missing() && Instant::now() < end {
            self.wait_a_moment(supervisor);
        }
    }

    fn is_anything_missing(&self) -> bool {
        let act = |at: &usize| self.played.calls.get(*at).is_some_and(|call| is_act(call.call.spec()));
        self.calls.values().any(|alike| alike.made < alike.calls.len() && alike.calls.iter().any(act))
    }

    fn wait_a_moment(&mut self, supervisor: &Supervisor) {
        // SAFETY: the supervisor has it open for longer than this borrows it.
        let fd = unsafe { BorrowedFd::borrow_raw(supervisor.poll_fd()) };
        // An interruption, or nothing, leads to another look.
        let _ = poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::from(50u8));
        supervisor.serve(self);
    }

    /// What is open now hangs on this, too.
    fn hangs_on(&self, reservation: Reservation) {
        for open in &self.open {
            open.reservation.set(open.reservation.get().or(Some(reservation)));
        }
    }

    /// The script does something that it did not do then.
    fn new_call(&mut self, text: String) {
        let open = self.open.last();
        let event = open.and_then(|open| self.played.events.get(open.event));
        let reservation = match open {
            Some(open) => open.reservation.get(),
            None => Some(Reservation::Clock),
        };
        let difference = Difference {
            line: event.map_or(0, |event| event.line),
            event: event.map_or_else(String::new, |event| event.text.clone()),
            then: NOTHING.into(),
            now: text,
            reservation,
        };
        self.acts.push((open.map(|open| open.event), difference));
    }

    /// What was done then and not now: instead of it, what is new in the same event, if anything is.
    fn gone_call(&mut self, call: &RecordedCall) {
        let instead = self.acts.iter_mut().find(|(during, difference)| {
            during.is_some() && *during == call.during && difference.then == NOTHING
        });
        if let Some((_, difference)) = instead {
            difference.line = call.line;
            difference.then.clone_from(&call.text);
            difference.reservation = difference.reservation.or(call.masked.then_some(Reservation::Masked));
            return;
        }
        let during = call.during.and_then(|at| self.played.events.get(at));
        let is_masked = call.masked || during.is_some_and(|event| event.masked);
        let difference = Difference {
            line: call.line,
            event: during.map_or_else(String::new, |event| event.text.clone()),
            then: call.text.clone(),
            now: NOTHING.into(),
            reservation: match during {
                None => Some(Reservation::Clock),
                Some(_) => is_masked.then_some(Reservation::Masked),
            },
        };
        self.acts.push((call.during, difference));
    }

    /// All that differs.
    fn end(mut self) -> Replayed {
        let played = Rc::clone(&self.played);
        let not_made = |alike: &Alike| alike.calls.iter().skip(alike.made).copied().collect::<Vec<_>>();
        let mut gone: Vec<usize> = self.calls.values().flat_map(not_made).collect();
        gone.sort_unstable();
        for call in gone.into_iter().filter_map(|at| played.calls.get(at)) {
            if is_act(call.call.spec()) {
                self.gone_call(call);
            }
        }
        let acts = self.acts.into_iter().map(|(_, difference)| difference);
        let mut differences: Vec<Difference> = self.answers.into_iter().chain(acts).collect();
        differences.sort_by_key(|difference| difference.line);
        Replayed { script: String::new(), events: self.events, calls: self.answered, differences, lost: 0 }
    }
}

impl Host for Stage {
    fn call(
        &mut self,
        supervisor: &Supervisor,
        script: ScriptId,
        call: Call,
        args: &[Value<'_>],
    ) -> Value<'static> {
        let spec = call.spec();
        let (args, _) = self.masker.call(spec, args, &Value::Nil);
        let text = call_text(spec, &args);
        let Some(alike) = self.calls.get_mut(&text) else {
            if is_act(spec) {
                self.new_call(text);
                return Value::Int(1);
            }
            self.hangs_on(Reservation::Unknown);
            return Value::Nil;
        };
        let at = alike.calls.get(alike.made).copied();
        alike.made += 1;
        let last = at.or_else(|| alike.calls.last().copied());
        let played = Rc::clone(&self.played);
        let Some(recorded) = last.and_then(|at| played.calls.get(at)) else { return Value::Nil };
        self.answered += 1;
        if recorded.masked {
            self.hangs_on(Reservation::Masked);
        }
        match at {
            Some(_) => recorded.inside.iter().for_each(|&event| self.give(supervisor, script, event)),
            None if is_act(spec) => self.new_call(text),
            None => {}
        }
        recorded.answer.clone()
    }

    /// There are none.
    fn tell_operators(&mut self, _: &Supervisor, _: &str) {}
}

/// Whether a call does something, as opposed to one that asks.
fn is_act(spec: &CallSpec) -> bool {
    spec.gives == Gives::Bool
}

/// A call as people write it: `vh.mc("hello")`.
fn call_text(spec: &CallSpec, args: &Value<'_>) -> String {
    let mut args = args.as_list().unwrap_or_default();
    while let Some((Value::Nil, rest)) = args.split_last() {
        args = rest;
    }
    format!("vh.{}({})", spec.name, listed(args))
}

fn listed(values: &[Value<'_>]) -> String {
    values.iter().map(shown).collect::<Vec<_>>().join(", ")
}

/// A value in JSON, and an answer that is a word without quotes.
fn shown(value: &Value<'_>) -> String {
    let mut text = Vec::new();
    json::write(&mut text, value);
    String::from_utf8_lossy(&text).into_owned()
}

impl RecordedCall {
    fn text_of(call: Call, args: &Value<'_>) -> String {
        call_text(call.spec(), args)
    }
}
