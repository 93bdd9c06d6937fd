//! What requests of the control socket do, on the hub's thread.

use std::path::Path;

use plugin_abi::hook::ArgKind;
use plugin_abi::{Hook, Value};

use super::request::{field, needed, text};
use super::{Act, Answer, Done, Refused};
use crate::encoding::{decode, encode, of_name};
use crate::json;
use crate::supervisor::console::report;
use crate::supervisor::figures::map;
use crate::supervisor::option::{self, ChosenBy};
use crate::supervisor::{
    Host, LoadError, Loaded, RECORDING_LIMIT, Replacement, ScriptId, Supervisor, Verdict,
};

/// A request that acts.
pub(super) struct ActSpec {
    pub(super) name: &'static str,
    /// What it is about: a key of the request.
    pub(super) about: &'static str,
    /// Whether it changes something, which is noted.
    pub(super) changes: bool,
    /// Runs on the hub's thread.
    pub(super) run: fn(&Supervisor, &mut dyn Host, &Value<'_>) -> Answer,
}

/// All of them.
pub(super) static ACTS: [ActSpec; 8] = [
    ActSpec { name: "load", about: "path", changes: true, run: Supervisor::control_load },
    ActSpec { name: "unload", about: "script", changes: true, run: Supervisor::control_unload },
    ActSpec { name: "reload", about: "script", changes: true, run: Supervisor::control_reload },
    ActSpec { name: "call", about: "script", changes: true, run: Supervisor::control_call },
    ActSpec { name: "event", about: "hook", changes: true, run: Supervisor::control_event },
    ActSpec { name: "set", about: "option", changes: true, run: Supervisor::control_set },
    ActSpec { name: "record", about: "path", changes: true, run: Supervisor::control_record },
    ActSpec { name: "store", about: "script", changes: false, run: Supervisor::control_store },
];

/// The longest name of anything that is noted, in characters.
const LONGEST_NAME: usize = 200;

impl Supervisor {
    /// Does what a request asks for; who asked for a change is in the log, and noted by the host.
    pub(super) fn act(&self, host: &mut dyn Host, act: &Act) -> Answer {
        if act.what.changes {
            let who = format!("user {} (vhpy ctl)", act.user);
            let about = text(&act.request, act.what.about).unwrap_or_default();
            let printable = |c: char| if c.is_control() { '?' } else { c };
            let about: String = about.chars().take(LONGEST_NAME).map(printable).collect();
            log::info!("{who}: {} {about}", act.what.name);
            host.acted(&who, act.what.name, &about);
        }
        (act.what.run)(self, host, &act.request)
    }
}

impl Supervisor {
    fn control_load(&self, host: &mut dyn Host, request: &Value<'_>) -> Answer {
        let path = needed(request, "path")?;
        loaded(&path, self.load(host, Path::new(&path)), "loaded")
    }

    fn control_unload(&self, host: &mut dyn Host, request: &Value<'_>) -> Answer {
        let (id, name) = self.meant(request)?;
        self.drop_version(id);
        self.unload(host, id);
        Ok(Done { answer: Value::Bool(true), text: format!("Script {name} is unloaded") })
    }

    fn control_reload(&self, host: &mut dyn Host, request: &Value<'_>) -> Answer {
        if field(request, "script").is_none() {
            return self.reload_all(host);
        }
        let (id, name) = self.meant(request)?;
        loaded(&name, self.reload(host, id), "reloaded")
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

    /// Begins a recording, or ends the one that there is.
    fn control_record(&self, _host: &mut dyn Host, request: &Value<'_>) -> Answer {
        if field(request, "path").is_none() {
            let path = self.stop_recording().ok_or_else(|| failed("nothing is being recorded"))?;
            let text = format!("The recording {} has ended", path.display());
            return Ok(Done { answer: Value::from(path.display().to_string()), text });
        }
        let path = needed(request, "path")?;
        self.record(Path::new(&path), RECORDING_LIMIT).map_err(failed)?;
        Ok(Done { answer: Value::Bool(true), text: format!("Recording into {path}") })
    }

    fn meant(&self, request: &Value<'_>) -> Result<(ScriptId, String), Refused> {
        let what = needed(request, "script")?;
        let script = self.registry.find(&what).ok_or(Refused::NoScript(what))?;
        Ok((script.id, script.name.clone()))
    }

    /// Refused when one of them cannot be reloaded; the others are, all the same.
    fn reload_all(&self, host: &mut dyn Host) -> Answer {
        let all = self.scripts();
        let reload = |(id, name): (ScriptId, &String)| loaded(name, self.reload(host, id), "reloaded");
        let results: Vec<_> = all.iter().map(|status| (status.id, &status.name)).map(reload).collect();
        let is_failed = results.iter().any(Result::is_err);
        let text = |result: &Answer| match result {
            Ok(done) => done.text.clone(),
            Err(refused) => refused.to_string(),
        };
        let text = results.iter().map(text).collect::<Vec<_>>().join("\n");
        if is_failed {
            return Err(Refused::Failed(text));
        }
        Ok(Done { answer: Value::Int(i64::try_from(all.len()).unwrap_or(i64::MAX)), text })
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
            return Ok(Done { answer: Value::Bool(true), text });
        }
        if let Some(changed) = host.set_variable(self, &name, &value) {
            let value = changed.map_err(failed)?;
            return Ok(Done { answer: Value::Bool(true), text: format!("{name} is now {value}") });
        }
        let option = option::find(&name).map_err(failed)?;
        if option.chosen_by != ChosenBy::Operators {
            return Err(failed(format!("{name} cannot be changed while the hub runs")));
        }
        let mut set = Ok(());
        self.configure(|config| set = option.set(config, value.as_bytes()));
        set.map_err(failed)?;
        Ok(Done { answer: Value::Bool(true), text: format!("{name} is now {value}") })
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
    Done { answer, text: String::from_utf8_lossy(&text).into_owned() }
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
        Some(answer) => Ok(Done { answer, text }),
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
