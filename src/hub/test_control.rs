//! How a test kit steers a hub that it has started: JSON lines over a socket that it inherited.
//!
//! `vhpy hub --test-control FD` takes the number of a connected Unix stream socket. Each line to
//! the hub is a [`Request`]: `{"id": 7, "do": "call", "script": "dice", "function": "roll",
//! "args": [6]}`. Each is answered by `{"id": 7, "answer": …}` or `{"id": 7, "error": "why"}` once
//! the turn in which it was acted on is over, so that what it led to is on its way to the users.
//! The hub's first line, without being asked, is `{"ready": {"address": …, "scripts": …,
//! "not_loaded": …}}`. The hub stops when the socket is closed.
//!
//! In this mode:
//!
//! - `OnTimer` comes only when it is asked for, and the hub's clock can be put forward.
//! - A client's message `$VhpyMark X|` is seen by no script and comes back to this client, behind
//!   all that its messages before have led to.
//!
//! Values are JSON's; what JSON lacks is an object with one key: `{"__bytes__": "hex"}`,
//! `{"__dict__": [[key, value], …]}` for a dict whose keys are not all texts.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use plugin_abi::{Call, Hook, Value};
use serde::Deserialize;
use serde_json::{Map, Value as Json, json};

use super::background::hash_password;
use super::{Charset, Hub};
use crate::supervisor::{CallError, LoadError, Loaded, Replacement, ScriptStatus, Verdict};
use crate::supervisor::{Host, ScriptId};

/// A longer line is none of a test kit's.
const LONGEST_LINE: usize = 64 << 20;

/// By how much the clock goes on for a tick.
const TICK: Duration = Duration::from_secs(1);

/// The function that does nothing: calling it is a way through the script's process and back.
const NO_FUNCTION: &str = "";

#[derive(Deserialize)]
struct Request {
    id: u64,
    #[serde(flatten)]
    what: What,
}

/// What a kit can ask for.
#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum What {
    /// All scripts and how they are doing.
    List,
    /// Loads a script.
    Load { path: PathBuf },
    /// Unloads a script.
    Unload { script: String },
    /// Loads a script anew.
    Reload { script: String },
    /// Calls a function of a script.
    Call { script: String, function: String, args: Vec<Json> },
    /// Raises an event.
    Event { hook: String, args: Vec<Json> },
    /// What a script keeps in `vh.store`.
    Store { script: String },
    /// Calls a function of the module `vh`, as a script would.
    Vh { function: String, args: Vec<Json> },
    /// Puts the clock forward by so many seconds and raises one `OnTimer`.
    Forward { seconds: f64 },
    /// So often: puts the clock forward by a second, raises `OnTimer`.
    Tick { times: u32 },
    /// Waits until a script is ready, in another process than this one if there is one given.
    Ready { script: String, but: Option<u32> },
    /// Kills a script's process and waits for the next.
    Kill { script: String },
    /// Waits until all scripts have dealt with what they were told, logs what they have printed, and
    /// then a line with this mark.
    Settle { mark: String },
    /// Registers a nick, or gives it this class and password.
    Register { nick: String, class: i64, password: String },
    /// Ends the hub in order.
    Stop,
}

/// The hub's end of the socket.
pub(super) struct TestControl {
    stream: UnixStream,
    input: Vec<u8>,
    /// What is sent at the end of the turn.
    answers: Vec<u8>,
    /// Who waits for a script: the request, the script, the process that it must not be.
    waiting: Vec<(u64, ScriptId, Option<u32>)>,
}

impl TestControl {
    /// Takes the hub's end.
    pub fn new(stream: UnixStream) -> std::io::Result<TestControl> {
        stream.set_nonblocking(true)?;
        Ok(TestControl { stream, input: Vec::new(), answers: Vec::new(), waiting: Vec::new() })
    }

    /// For the loop's poll.
    pub fn fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }

    /// Tells where the hub listens and what was loaded.
    pub fn say_ready(
        &mut self,
        address: std::net::SocketAddr,
        loaded: &[(PathBuf, Result<Loaded, LoadError>)],
    ) {
        let mut scripts = Vec::new();
        let mut not_loaded = Vec::new();
        for (path, result) in loaded {
            match result {
                Ok(loaded) => scripts.push(loaded_json(loaded)),
                Err(error) => {
                    not_loaded.push(json!({"path": path.to_string_lossy(), "error": error.to_string()}));
                }
            }
        }
        let ready = json!({"address": address.to_string(), "scripts": scripts, "not_loaded": not_loaded});
        self.line(&json!({ "ready": ready }));
        self.flush();
    }

    /// Reads what has come and acts on it.
    pub fn read(&mut self, hub: &mut Hub) {
        let mut buffer = [0; 64 << 10];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return self.end(hub),
                Ok(count) => self.input.extend_from_slice(buffer.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return self.end(hub),
            }
        }
        while let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.input.drain(..=end).collect();
            self.request(hub, &line);
        }
        if self.input.len() > LONGEST_LINE {
            self.end(hub);
        }
    }

    /// Whoever tests has gone.
    fn end(&mut self, hub: &mut Hub) {
        hub.stop.get_or_insert(0);
    }

    /// Sends the answers, at the end of a turn.
    pub fn finish_turn(&mut self, hub: &Hub) {
        let waiting = std::mem::take(&mut self.waiting);
        for (id, script, but) in waiting {
            match hub.scripts.status(script) {
                Some(status) if status.state == "ready" && (but.is_none() || status.pid != but) => {
                    self.answer(id, Ok(status_json(&status)));
                }
                Some(status) if status.state == "failed" => {
                    self.answer(id, Err(format!("script {} has failed for good", status.name)));
                }
                Some(_) => self.waiting.push((id, script, but)),
                None => self.answer(id, Err("the script was unloaded".into())),
            }
        }
        self.flush();
    }

    fn flush(&mut self) {
        if self.answers.is_empty() {
            return;
        }
        let answers = std::mem::take(&mut self.answers);
        // A kit reads what it has asked for; that it is gone shows when the socket is read.
        let sent = self
            .stream
            .set_nonblocking(false)
            .and_then(|()| self.stream.write_all(&answers))
            .and_then(|()| self.stream.set_nonblocking(true));
        if let Err(error) = sent {
            log::debug!("the test control is gone: {error}");
        }
    }

    fn line(&mut self, json: &Json) {
        self.answers.extend_from_slice(json.to_string().as_bytes());
        self.answers.push(b'\n');
    }

    fn answer(&mut self, id: u64, answer: Result<Json, String>) {
        self.line(&match answer {
            Ok(answer) => json!({"id": id, "answer": answer}),
            Err(error) => json!({"id": id, "error": error}),
        });
    }

    fn request(&mut self, hub: &mut Hub, line: &[u8]) {
        let request: Request = match serde_json::from_slice(line) {
            Ok(request) => request,
            Err(error) => {
                let id = serde_json::from_slice::<Json>(line)
                    .ok()
                    .and_then(|json| json.get("id").and_then(Json::as_u64));
                return self.answer(id.unwrap_or(0), Err(format!("no request: {error}")));
            }
        };
        let id = request.id;
        match act(hub, request.what) {
            Ok(Done::Answer(answer)) => self.answer(id, Ok(answer)),
            Ok(Done::WhenReady { script, but }) => self.waiting.push((id, script, but)),
            Err(error) => self.answer(id, Err(error)),
        }
    }
}

/// What a request has come to.
enum Done {
    Answer(Json),
    /// It is answered when the script is ready.
    WhenReady {
        script: ScriptId,
        but: Option<u32>,
    },
}

fn act(hub: &mut Hub, what: What) -> Result<Done, String> {
    let supervisor = hub.supervisor();
    let find = |name: &str| supervisor.find(name).ok_or_else(|| format!("there is no script {name}"));
    let charset = hub.charset;
    let answer = match what {
        What::List => supervisor.scripts().iter().map(status_json).collect(),
        What::Load { path } => match supervisor.load(hub, &path) {
            Ok(loaded) => loaded_json(&loaded),
            Err(error) => return Err(error.to_string()),
        },
        What::Unload { script } => supervisor.unload(hub, find(&script)?).into(),
        What::Reload { script } => match supervisor.reload(hub, find(&script)?) {
            Ok(loaded) => loaded_json(&loaded),
            Err(error) => return Err(error.to_string()),
        },
        What::Call { script, function, args } => {
            let args = values(&args, charset)?;
            let result = supervisor.call(hub, find(&script)?, &function, &args);
            json(&result.map_err(|error| error.to_string())?, charset)
        }
        What::Event { hook, args } => {
            let known = Hook::from_name(&hook).ok_or_else(|| format!("there is no hook {hook}"))?;
            let wanted = known.spec().args.len();
            if args.len() != wanted {
                return Err(format!("{hook} has {wanted} arguments, not {}", args.len()));
            }
            let args = values(&args, charset)?;
            verdict_json(&hub.raise(known, &args), charset)
        }
        What::Store { script } => {
            let stored = supervisor.stored(find(&script)?).unwrap_or_default();
            json(&Value::Map(stored), Charset::UTF_8)
        }
        What::Vh { function, args } => {
            let call = plugin_abi::CALLS.iter().find(|spec| spec.name == function);
            let call: Call = call.ok_or_else(|| format!("the hub has no function {function}"))?.call;
            let args = values(&args, charset)?;
            let wanted = call.spec().host_order.len();
            if args.len() != wanted {
                return Err(format!("{function} has {wanted} arguments here, not {}", args.len()));
            }
            json(&hub.call(&supervisor, ScriptId(-1), call, &args), charset)
        }
        What::Forward { seconds } => {
            let by = Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())?;
            hub.put_clock_forward(by);
            hub.tick();
            Json::Null
        }
        What::Tick { times } => {
            for _ in 0..times {
                hub.put_clock_forward(TICK);
                hub.tick();
            }
            Json::Null
        }
        What::Ready { script, but } => return Ok(Done::WhenReady { script: find(&script)?, but }),
        What::Kill { script } => {
            let script = find(&script)?;
            let pid = supervisor.serving(script).ok_or("the script is not ready")?;
            let process = i32::try_from(pid).map_err(|error| error.to_string())?;
            kill(Pid::from_raw(process), Signal::SIGKILL).map_err(|error| error.to_string())?;
            return Ok(Done::WhenReady { script, but: Some(pid) });
        }
        What::Settle { mark } => {
            settle(hub)?;
            supervisor.catch_up_with_output();
            // Whoever reads the log knows by it that all before has been read, at any log level.
            writeln!(std::io::stderr(), "{mark}").map_err(|error| error.to_string())?;
            Json::Null
        }
        What::Register { nick, class, password } => {
            register(hub, &charset.encode(&nick), class, &charset.encode(&password))?;
            Json::Null
        }
        What::Stop => {
            hub.stop.get_or_insert(0);
            Json::Null
        }
    };
    Ok(Done::Answer(answer))
}

fn register(hub: &Hub, nick: &[u8], class: i64, password: &[u8]) -> Result<(), String> {
    let hash = hash_password(password).ok_or("the password cannot be hashed")?;
    let database = &hub.database;
    let now = hub.clock.seconds;
    let registered = match database.add_account(nick, class, &hash, false, b"", now) {
        Ok(false) => {
            database.set_account_class(nick, class).and_then(|_| database.set_account_password(nick, &hash))
        }
        added => added,
    };
    registered.map(|_| ()).map_err(|error| error.to_string())
}

/// Observers are told and not waited for; what they were told lies before this question.
fn settle(hub: &mut Hub) -> Result<(), String> {
    let supervisor = hub.supervisor();
    for status in supervisor.scripts() {
        match supervisor.call(hub, status.id, NO_FUNCTION, &[]) {
            Ok(_) => {}
            // What a script that is gone was told is gone with it.
            Err(CallError::NoScript(_) | CallError::NotReady { .. } | CallError::Died) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
    Ok(())
}

fn loaded_json(loaded: &Loaded) -> Json {
    json!({"name": loaded.name, "number": loaded.id.0, "warnings": loaded.warnings})
}

fn status_json(status: &ScriptStatus) -> Json {
    json!({
        "name": status.name,
        "number": status.id.0,
        "path": status.path.to_string_lossy(),
        "state": status.state,
        "pid": status.pid,
        "restarts": status.restarts,
        "events": status.events,
    })
}

fn verdict_json(verdict: &Verdict, charset: Charset) -> Json {
    let text = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| charset.decode(bytes));
    let replacement = match &verdict.replacement {
        None => Json::Null,
        Some(Replacement::Chat { nick, message }) => json!([text(nick), text(message)]),
        Some(Replacement::MyInfo(fields)) => fields.iter().map(text).collect(),
    };
    let send: Vec<String> = verdict.send.iter().map(|bytes| charset.decode(bytes)).collect();
    json!({"blocked": verdict.blocked, "replacement": replacement, "send": send})
}

fn values(json: &[Json], charset: Charset) -> Result<Vec<Value<'static>>, String> {
    json.iter().map(|json| value(json, charset)).collect()
}

fn value(json: &Json, charset: Charset) -> Result<Value<'static>, String> {
    Ok(match json {
        Json::Null => Value::Nil,
        Json::Bool(yes) => Value::Bool(*yes),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => Value::Int(whole),
            (None, Some(float)) if number.is_f64() => Value::Float(float),
            _ => return Err(format!("{number} has more than 64 bits")),
        },
        Json::String(text) => Value::from(charset.encode(text)),
        Json::Array(list) => Value::List(values(list, charset)?),
        Json::Object(map) => match special(map) {
            Some(("__bytes__", Json::String(hex))) => {
                Value::Bytes(from_hex(hex).ok_or("__bytes__ takes hexadecimal digits")?.into())
            }
            Some(("__dict__", Json::Array(entries))) => {
                let entry = |entry: &Json| match entry.as_array().map(Vec::as_slice) {
                    Some([key, entry]) => Ok((value(key, charset)?, value(entry, charset)?)),
                    _ => Err("__dict__ takes pairs".to_string()),
                };
                Value::Map(entries.iter().map(entry).collect::<Result<_, _>>()?)
            }
            _ => {
                let entry = |(key, entry): (&String, &Json)| {
                    Ok((Value::from(charset.encode(key)), value(entry, charset)?))
                };
                Value::Map(map.iter().map(entry).collect::<Result<_, String>>()?)
            }
        },
    })
}

fn special(map: &Map<String, Json>) -> Option<(&str, &Json)> {
    let (key, value) = map.iter().next()?;
    (map.len() == 1 && key.starts_with("__")).then_some((key, value))
}

fn json(value: &Value<'_>, charset: Charset) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Bool(yes) => json!(yes),
        Value::Int(number) => json!(number),
        Value::Float(number) => json!(number),
        Value::Text(text) => json!(charset.decode(text)),
        Value::Bytes(bytes) => json!({"__bytes__": to_hex(bytes)}),
        Value::List(list) => list.iter().map(|value| json(value, charset)).collect(),
        Value::Map(map) if map.iter().all(|(key, _)| key.as_text().is_some()) => map
            .iter()
            .map(|(key, value)| (charset.decode(key.as_text().unwrap_or_default()), json(value, charset)))
            .collect(),
        Value::Map(map) => {
            let entry =
                |(key, value): &(Value<'_>, Value<'_>)| json!([json(key, charset), json(value, charset)]);
            json!({"__dict__": map.iter().map(entry).collect::<Vec<Json>>()})
        }
        Value::Handle(_) | Value::Pointer(_) => json!(value.to_string()),
    }
}

fn to_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}
