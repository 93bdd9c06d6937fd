//! What requests of the control socket do, on the hub's thread.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use crossbeam_channel::Sender;
use plugin_abi::hook::ArgKind;
use plugin_abi::{Hook, Value};

use super::request::{field, needed, text};
use super::{Act, Answer, Done, Refused, Shared};
use crate::encoding::{decode, encode, of_name};
use crate::json;
use crate::supervisor::console::report;
use crate::supervisor::figures::map;
use crate::supervisor::option::{self, ChosenBy};
use crate::supervisor::{
    Host, LoadError, Loaded, Outcome, RECORDING_LIMIT, Replacement, ScriptId, Supervisor, Ticket, Verdict,
};

/// A request that acts.
pub(super) struct ActSpec {
    pub(super) name: &'static str,
    /// What it is about: a key of the request.
    pub(super) about: &'static str,
    /// Whether it changes something, which is noted.
    pub(super) changes: bool,
    /// Runs on the hub's thread.
    run: Run,
}

/// How a request is fulfilled.
enum Run {
    /// At once.
    Now(fn(&Supervisor, &mut dyn Host, &Value<'_>) -> Answer),
    /// It takes its time, and the hub does not wait for it.
    Begin(fn(&Supervisor, &Value<'_>) -> Result<Work, Refused>),
}

/// What was begun for one request, a part for each script.
struct Work {
    parts: Vec<Part>,
    /// What the answer to all of them is.
    combine: fn(Vec<Answer>) -> Answer,
}

/// What was begun with one script.
struct Part {
    begun: Result<Ticket, LoadError>,
    /// The script, as people are told of it.
    name: String,
    /// What was to be done.
    done: &'static str,
}

/// The answers to the parts of a request, until all of them are there.
struct Gathering {
    answers: Vec<Option<Answer>>,
    combine: fn(Vec<Answer>) -> Answer,
    reply: Sender<Answer>,
}

impl Gathering {
    /// One more answer; that to the request when it was the last.
    fn add(&mut self, at: usize, answer: Answer) -> Option<(Sender<Answer>, Answer)> {
        if let Some(place) = self.answers.get_mut(at) {
            *place = Some(answer);
        }
        if self.answers.iter().any(Option::is_none) {
            return None;
        }
        let answers = std::mem::take(&mut self.answers).into_iter().flatten().collect();
        Some((self.reply.clone(), (self.combine)(answers)))
    }
}

/// All of them.
pub(super) static ACTS: [ActSpec; 9] = [
    ActSpec { name: "load", about: "path", changes: true, run: Run::Begin(Supervisor::control_load) },
    ActSpec { name: "unload", about: "script", changes: true, run: Run::Begin(Supervisor::control_unload) },
    ActSpec { name: "reload", about: "script", changes: true, run: Run::Begin(Supervisor::control_reload) },
    ActSpec { name: "call", about: "script", changes: true, run: Run::Now(Supervisor::control_call) },
    ActSpec { name: "event", about: "hook", changes: true, run: Run::Now(Supervisor::control_event) },
    ActSpec { name: "set", about: "option", changes: true, run: Run::Now(Supervisor::control_set) },
    ActSpec { name: "record", about: "path", changes: true, run: Run::Now(Supervisor::control_record) },
    ActSpec { name: "debug", about: "script", changes: true, run: Run::Now(Supervisor::control_debug) },
    ActSpec { name: "store", about: "script", changes: false, run: Run::Now(Supervisor::control_store) },
];

/// The longest name of anything that is noted, in characters.
const LONGEST_NAME: usize = 200;

impl Supervisor {
    /// Does what a request asks for, or begins it; who asked for a change is in the log, and noted by
    /// the host. The answer is ready now or later.
    pub(super) fn act(&self, host: &mut dyn Host, shared: &Arc<Shared>, act: Act) {
        if act.what.changes {
            let who = format!("user {} (vhpy ctl)", act.user);
            let about = text(&act.request, act.what.about).unwrap_or_default();
            let printable = |c: char| if c.is_control() { '?' } else { c };
            let about: String = about.chars().take(LONGEST_NAME).map(printable).collect();
            log::info!("{who}: {} {about}", act.what.name);
            host.acted(&who, act.what.name, &about);
        }
        match act.what.run {
            Run::Now(run) => {
                let answer = run(self, host, &act.request);
                self.control.is_ready(act.reply, answer);
            }
            Run::Begin(begin) => match begin(self, &act.request) {
                Ok(work) => self.answer_when_done(shared, act.reply, work),
                Err(refused) => self.control.is_ready(act.reply, Err(refused)),
            },
        }
    }

    /// Answers a request when everything that was begun for it is done.
    fn answer_when_done(&self, shared: &Arc<Shared>, reply: Sender<Answer>, work: Work) {
        let Work { parts, combine } = work;
        if parts.is_empty() {
            return self.control.is_ready(reply, combine(Vec::new()));
        }
        let answers = parts.iter().map(|_| None).collect();
        let gathering = Rc::new(RefCell::new(Gathering { answers, combine, reply }));
        let ready = self.control.ready.clone();
        for (at, Part { begun, name, done }) in parts.into_iter().enumerate() {
            let (gathering, ready, shared) = (gathering.clone(), ready.clone(), shared.clone());
            let add = move |answer: Answer| {
                let answered = gathering.borrow_mut().add(at, answer);
                if let Some(answered) = answered {
                    ready.borrow_mut().push(answered);
                    shared.wake_hub();
                }
            };
            match begun {
                Ok(ticket) => {
                    self.tasks.tell(ticket, Box::new(move |outcome| add(ended(&name, outcome, done))));
                    self.catch_up(ticket);
                }
                Err(error) => add(loaded(&name, Err(error), done)),
            }
        }
    }
}

impl Supervisor {
    fn control_load(&self, request: &Value<'_>) -> Result<Work, Refused> {
        let path = needed(request, "path")?;
        Ok(Work::of_one(Part { begun: self.begin_load(Path::new(&path)), name: path, done: "loaded" }))
    }

    fn control_unload(&self, request: &Value<'_>) -> Result<Work, Refused> {
        let (id, name) = self.meant(request)?;
        self.drop_version(id);
        Ok(Work::of_one(Part { begun: self.begin_unload(id), name, done: "unloaded" }))
    }

    fn control_reload(&self, request: &Value<'_>) -> Result<Work, Refused> {
        let part = |id, name| Part { begun: self.begin_reload(id), name, done: "reloaded" };
        if field(request, "script").is_none() {
            let parts = self.scripts().into_iter().map(|status| part(status.id, status.name)).collect();
            return Ok(Work { parts, combine: all_or_refused });
        }
        let (id, name) = self.meant(request)?;
        Ok(Work::of_one(part(id, name)))
    }

    fn control_call(&self, host: &mut dyn Host, request: &Value<'_>) -> Answer {
        let (id, _) = self.meant(request)?;
        let args: Vec<_> = arguments(request)?.iter().map(|value| self.in_hub_encoding(value)).collect();
        let result = self.call(host, id, &needed(request, "function")?, &args);
        Ok(shown_as_json(self.as_utf8(&result.map_err(failed)?)))
    }

    fn control_store(&self, _host: &mut dyn Host, request: &Value<'_>) -> Answer {
        let (id, _) = self.meant(request)?;
        Ok(shown_as_json(Value::Map(self.stored(id).unwrap_or_default())))
    }

    /// After the answer the connection is a terminal for pdb.
    fn control_debug(&self, _host: &mut dyn Host, request: &Value<'_>) -> Answer {
        let (id, name) = self.meant(request)?;
        let script = self.registry.get(id).ok_or_else(|| Refused::NoScript(name.clone()))?;
        let terminal = self.attach(&script).map_err(failed)?;
        let text = format!("Attached to script {name}: breakpoint() opens pdb here");
        Ok(Done { terminal: Some(terminal), ..Done::new(Value::Bool(true), text) })
    }

    /// Begins a recording, or ends the one that there is.
    fn control_record(&self, _host: &mut dyn Host, request: &Value<'_>) -> Answer {
        if field(request, "path").is_none() {
            let path = self.stop_recording().ok_or_else(|| failed("nothing is being recorded"))?;
            let text = format!("The recording {} has ended", path.display());
            return Ok(Done::new(Value::from(path.display().to_string()), text));
        }
        let path = needed(request, "path")?;
        self.record(Path::new(&path), RECORDING_LIMIT).map_err(failed)?;
        Ok(Done::new(Value::Bool(true), format!("Recording into {path}")))
    }

    fn meant(&self, request: &Value<'_>) -> Result<(ScriptId, String), Refused> {
        let what = needed(request, "script")?;
        let script = self.registry.find(&what).ok_or(Refused::NoScript(what))?;
        Ok((script.id, script.name.clone()))
    }

    fn control_event(&self, host: &mut dyn Host, request: &Value<'_>) -> Answer {
        let name = needed(request, "hook")?;
        let hook = known_hook(&name)?;
        let given = arguments(request)?;
        let wanted = hook.spec().args;
        if given.len() != wanted.len() {
            return Err(failed(format!("{hook} takes {} arguments, not {}", wanted.len(), given.len())));
        }
        let args = given.iter().zip(wanted).map(|(value, arg)| match (arg.kind, value) {
            (ArgKind::Text, Value::Text(_))
            | (ArgKind::Int, Value::Int(_))
            | (ArgKind::Float, Value::Float(_)) => Ok(self.in_hub_encoding(value)),
            (ArgKind::Float, Value::Int(number)) => Ok(Value::Float(*number as f64)),
            _ => Err(failed(format!("{hook}: the argument {} is of another type", arg.name))),
        });
        let args = args.collect::<Result<Vec<_>, _>>()?;
        let verdict = self.event(host, hook, &args);
        Ok(shown_as_json(self.as_utf8(&verdict_value(&verdict))))
    }

    fn control_set(&self, host: &mut dyn Host, request: &Value<'_>) -> Answer {
        let (name, value) = (needed(request, "option")?, needed(request, "value")?);
        if field(request, "script").is_some() {
            let (id, script) = self.meant(request)?;
            let own = Some(value.as_str()).filter(|value| *value != "-");
            let hook = text(request, "hook").map(|hook| known_hook(&hook)).transpose()?;
            self.set_script_option(id, hook, &name, own).map_err(failed)?;
            let text = format!("Script {script}: {name} is now {}", own.unwrap_or("as the hub's"));
            return Ok(Done::new(Value::Bool(true), text));
        }
        if let Some(changed) = host.set_variable(self, &name, &value) {
            let value = changed.map_err(failed)?;
            return Ok(Done::new(Value::Bool(true), format!("{name} is now {value}")));
        }
        let option = option::find(&name).map_err(failed)?;
        if option.chosen_by != ChosenBy::Operators {
            return Err(failed(format!("{name} cannot be changed while the hub runs")));
        }
        let mut set = Ok(());
        self.configure(|config| set = option.set(config, value.as_bytes()));
        set.map_err(failed)?;
        Ok(Done::new(Value::Bool(true), format!("{name} is now {value}")))
    }

    /// Text in the hub's encoding instead of UTF-8.
    fn in_hub_encoding(&self, value: &Value<'_>) -> Value<'static> {
        let encoding = of_name(&self.config.borrow().encoding).unwrap_or(encoding_rs::UTF_8);
        with_texts(value, &|text| encode(encoding, &String::from_utf8_lossy(text)).into_owned())
    }

    /// And back.
    fn as_utf8(&self, value: &Value<'_>) -> Value<'static> {
        let encoding = of_name(&self.config.borrow().encoding).unwrap_or(encoding_rs::UTF_8);
        with_texts(value, &|text| {
            let mut decoded = String::new();
            decode(encoding, text, &mut decoded);
            decoded.into_bytes()
        })
    }
}

fn with_texts(value: &Value<'_>, change: &dyn Fn(&[u8]) -> Vec<u8>) -> Value<'static> {
    match value {
        Value::Text(text) => Value::Text(change(text).into()),
        Value::List(items) => Value::List(items.iter().map(|item| with_texts(item, change)).collect()),
        Value::Map(entries) => {
            let entry =
                |(key, item): &(Value<'_>, Value<'_>)| (with_texts(key, change), with_texts(item, change));
            Value::Map(entries.iter().map(entry).collect())
        }
        other => other.clone().into_owned(),
    }
}

fn known_hook(name: &str) -> Result<Hook, Refused> {
    Hook::from_name(name).ok_or_else(|| failed(format!("there is no hook {name}")))
}

fn failed(error: impl ToString) -> Refused {
    Refused::Failed(error.to_string())
}

fn arguments<'v>(request: &'v Value<'_>) -> Result<&'v [Value<'v>], Refused> {
    match field(request, "args") {
        None => Ok(&[]),
        Some(Value::List(args)) => Ok(args),
        Some(_) => Err(failed("\"args\" is a list")),
    }
}

/// An answer that people read as JSON too.
fn shown_as_json(answer: Value<'static>) -> Done {
    let mut text = Vec::new();
    json::write(&mut text, &answer);
    Done::new(answer, String::from_utf8_lossy(&text).into_owned())
}

impl Work {
    fn of_one(part: Part) -> Work {
        let only = |mut answers: Vec<Answer>| answers.pop().unwrap_or(Err(Refused::Ended));
        Work { parts: vec![part], combine: only }
    }
}

/// Refused when one of them was; the others are done, all the same.
fn all_or_refused(answers: Vec<Answer>) -> Answer {
    let count = i64::try_from(answers.len()).unwrap_or(i64::MAX);
    let text = |answer: &Answer| match answer {
        Ok(done) => done.text.clone(),
        Err(refused) => refused.to_string(),
    };
    let text = answers.iter().map(text).collect::<Vec<_>>().join("\n");
    match answers.iter().any(Result::is_err) {
        true => Err(Refused::Failed(text)),
        false => Ok(Done::new(Value::Int(count), text)),
    }
}

/// What became of something that was begun.
fn ended(name: &str, outcome: Outcome, done: &str) -> Answer {
    match outcome {
        Outcome::Loaded(result) | Outcome::Reloaded(result) => loaded(name, result, done),
        Outcome::Unloaded => Ok(Done::new(Value::Bool(true), format!("Script {name} is unloaded"))),
        Outcome::Said(text) => Ok(Done::new(Value::Bool(true), text)),
    }
}

fn loaded(what: &str, result: Result<Loaded, LoadError>, done: &str) -> Answer {
    let value = result.as_ref().ok().map(|loaded| {
        let warnings = loaded.warnings.iter().cloned().map(Value::from).collect();
        map([
            ("id", Value::Int(loaded.id.0.into())),
            ("name", loaded.name.clone().into()),
            ("warnings", Value::List(warnings)),
        ])
    });
    let text = report(what, result, done);
    match value {
        Some(answer) => Ok(Done::new(answer, text)),
        None => Err(Refused::Failed(text)),
    }
}

fn verdict_value(verdict: &Verdict) -> Value<'static> {
    let text = |text: &Option<Vec<u8>>| text.clone().map_or(Value::Nil, |text| Value::Text(text.into()));
    let replacement = match &verdict.replacement {
        None => Value::Nil,
        Some(Replacement::Chat { nick, message }) => Value::List(vec![text(nick), text(message)]),
        Some(Replacement::MyInfo(fields)) => Value::List(fields.iter().map(text).collect()),
    };
    map([
        ("blocked", Value::Bool(verdict.blocked)),
        ("replacement", replacement),
        ("send", Value::List(verdict.send.iter().map(|data| Value::Text(data.clone().into())).collect())),
    ])
}
