//! A recording as it is read: lines of JSON, and what of them one script is given.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use encoding_rs::Encoding;
use plugin_abi::{Call, Hook, Value};

use super::{listed, shown};
use crate::supervisor::masking::encoded;
use crate::supervisor::recorder::RECORDING_VERSION;
use crate::{encoding, json};

/// Why a recording cannot be read. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be read.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
    /// The file is something else.
    #[error("{0} is no recording: make one with vhpy hub --record FILE")]
    Other(PathBuf),
    /// Another version's.
    #[error(
        "{0} is a recording of version {1}, and this vhpy reads {RECORDING_VERSION}: use the vhpy that made it"
    )]
    Version(PathBuf, i64),
    /// The hub's encoding is not known.
    #[error("{0}: there is no encoding {1}")]
    Encoding(PathBuf, String),
    /// Somebody has changed it.
    #[error("{0}: line {1} is none of a recording; remove it, or record again")]
    Line(PathBuf, usize),
}

/// A recording.
pub struct Recording {
    /// The names of the scripts that it tells of.
    pub scripts: Vec<String>,
    pub(super) encoding: &'static Encoding,
    pub(super) encoding_name: String,
    pub(super) botname: Vec<u8>,
    pub(super) opchatname: Vec<u8>,
    pub(super) lost: u64,
    lines: Vec<Line>,
}

/// An event that was recorded.
pub(super) struct RecordedEvent {
    pub(super) line: usize,
    pub(super) hook: Hook,
    /// In the hub's encoding.
    pub(super) args: Vec<Value<'static>>,
    /// As people read it.
    pub(super) text: String,
    pub(super) masked: bool,
    /// What the script answered; `None` when it was down.
    pub(super) answer: Option<String>,
}

/// A call that was recorded.
pub(super) struct RecordedCall {
    pub(super) line: usize,
    pub(super) call: Call,
    /// As people read it; that of an equal call is equal.
    pub(super) text: String,
    pub(super) answer: Value<'static>,
    pub(super) masked: bool,
    /// The event that it was made in.
    pub(super) during: Option<usize>,
    /// The events that came in the middle of it.
    pub(super) inside: Vec<usize>,
}

/// What one script is given, and what it did.
pub(super) struct Played {
    pub(super) events: Vec<RecordedEvent>,
    /// The events that come by themselves, in their order; others come inside of calls.
    pub(super) first: Vec<usize>,
    pub(super) calls: Vec<RecordedCall>,
}

/// One line.
struct Line {
    number: usize,
    masked: bool,
    inside: i64,
    what: What,
}

enum What {
    Event {
        number: i64,
        hook: Hook,
        args: Vec<Value<'static>>,
        scripts: Vec<String>,
    },
    Answer {
        event: i64,
        script: String,
        answer: Value<'static>,
    },
    Call {
        number: i64,
        script: String,
        call: Call,
        args: Value<'static>,
        answer: Value<'static>,
    },
    /// Nothing that can be given again.
    Other,
}

/// The entries of a JSON object.
struct Fields(Vec<(Value<'static>, Value<'static>)>);

impl Fields {
    fn of(line: &[u8]) -> Option<Fields> {
        match json::read(line, None) {
            Ok(Value::Map(entries)) => Some(Fields(entries)),
            _ => None,
        }
    }

    fn get(&self, name: &str) -> Option<&Value<'static>> {
        self.0.iter().find(|(key, _)| key.as_text() == Some(name.as_bytes())).map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.as_text().map(|text| String::from_utf8_lossy(text).into_owned())
    }

    fn number(&self, name: &str) -> Option<i64> {
        self.get(name)?.as_int()
    }

    fn list(&self, name: &str) -> Option<&[Value<'static>]> {
        self.get(name)?.as_list()
    }

    fn texts(&self, name: &str) -> Option<Vec<String>> {
        let texts = self.list(name)?.iter().map(|item| item.as_text());
        texts.map(|text| text.map(|text| String::from_utf8_lossy(text).into_owned())).collect()
    }
}

impl Recording {
    /// Reads a recording. A line that is cut off at the end is left out: the hub was killed there.
    ///
    /// # Errors
    /// When it is none, or cannot be read.
    pub fn read(path: &Path) -> Result<Recording, ReadError> {
        let failed = |error| ReadError::File(path.into(), error);
        // A pipe would be waited for.
        if !std::fs::metadata(path).map_err(failed)?.is_file() {
            return Err(failed(io::Error::other("this is no file")));
        }
        let bytes = std::fs::read(path).map_err(failed)?;
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').unwrap_or(0);
        let mut lines = bytes.get(..whole).unwrap_or_default().split(|&byte| byte == b'\n').enumerate();
        let head = lines.next().and_then(|(_, line)| Fields::of(line));
        let head = head.filter(|head| head.text("what").as_deref() == Some("recording"));
        let head = head.ok_or_else(|| ReadError::Other(path.into()))?;
        let mut recording = begin(path, &head)?;
        let mut scripts: BTreeSet<String> = head.texts("scripts").unwrap_or_default().into_iter().collect();
        for (at, line) in lines {
            let wrong = || ReadError::Line(path.into(), at + 1);
            let fields = Fields::of(line).ok_or_else(wrong)?;
            let what = recording.what(&fields).ok_or_else(wrong)?;
            match &what {
                What::Event { scripts: given, .. } => scripts.extend(given.iter().cloned()),
                What::Call { script, .. } => scripts.extend([script.clone()]),
                What::Answer { .. } | What::Other => {}
            }
            let masked = matches!(fields.get("masked"), Some(Value::Bool(true)));
            let inside = fields.number("inside").unwrap_or(0);
            recording.lines.push(Line { number: at + 1, masked, inside, what });
        }
        recording.scripts = scripts.into_iter().collect();
        Ok(recording)
    }

    /// What a line says; `None` when that makes no sense.
    fn what(&mut self, fields: &Fields) -> Option<What> {
        let own = |value: &Value<'static>| encoded(self.encoding, value.clone());
        Some(match &*fields.text("what")? {
            "event" => {
                let hook = Hook::from_name(&fields.text("hook")?)?;
                let args: Vec<Value<'static>> = fields.list("args")?.to_vec();
                if args.len() != hook.spec().args.len() {
                    return None;
                }
                What::Event {
                    number: fields.number("number")?,
                    hook,
                    args,
                    scripts: fields.texts("scripts")?,
                }
            }
            "answer" => What::Answer {
                event: fields.number("event")?,
                script: fields.text("script")?,
                answer: fields.get("answer")?.clone(),
            },
            "call" => What::Call {
                number: fields.number("number")?,
                script: fields.text("script")?,
                call: Call::from_name(&fields.text("name")?)?,
                args: fields.get("args")?.clone(),
                answer: own(fields.get("answer")?),
            },
            "lost" => {
                self.lost += u64::try_from(fields.number("entries")?).ok()?;
                What::Other
            }
            _ => What::Other,
        })
    }

    /// What of it is about one script.
    pub(super) fn of(&self, script: &str) -> Played {
        let answers = self.answers(script);
        let mut played = Played { events: Vec::new(), first: Vec::new(), calls: Vec::new() };
        // Which are open, innermost last; which calls of the script events came in.
        let mut open: Vec<(i64, usize)> = Vec::new();
        let mut within: HashMap<i64, Vec<usize>> = HashMap::new();
        let own_calls = self.calls_of(script);
        for line in &self.lines {
            match &line.what {
                What::Event { number, hook, args, scripts } if scripts.iter().any(|name| name == script) => {
                    let at = played.events.len();
                    let answer = answers.get(number);
                    played.events.push(RecordedEvent {
                        line: line.number,
                        hook: *hook,
                        args: args.iter().map(|value| encoded(self.encoding, value.clone())).collect(),
                        text: format!("{hook}({})", listed(args)),
                        masked: line.masked,
                        answer: answer.map(|answer| as_given(answer)),
                    });
                    match own_calls.contains(&line.inside) {
                        true => within.entry(line.inside).or_default().push(at),
                        false => played.first.push(at),
                    }
                    if answer.is_some_and(|answer| is_awaited(answer)) {
                        open.push((*number, at));
                    }
                }
                What::Answer { event, script: of, .. } if of == script => {
                    open.retain(|(number, _)| number != event);
                }
                What::Call { number, script: of, call, args, answer } if of == script => {
                    played.calls.push(RecordedCall {
                        line: line.number,
                        call: *call,
                        text: RecordedCall::text_of(*call, args),
                        answer: answer.clone(),
                        masked: line.masked,
                        during: open.last().map(|(_, at)| *at),
                        inside: within.remove(number).unwrap_or_default(),
                    });
                }
                _ => {}
            }
        }
        played
    }

    fn answers(&self, script: &str) -> HashMap<i64, &Value<'static>> {
        let answers = self.lines.iter().filter_map(|line| match &line.what {
            What::Answer { event, script: of, answer } if of == script => Some((*event, answer)),
            _ => None,
        });
        answers.collect()
    }

    fn calls_of(&self, script: &str) -> HashSet<i64> {
        let calls = self.lines.iter().filter_map(|line| match &line.what {
            What::Call { number, script: of, .. } if of == script => Some(*number),
            _ => None,
        });
        calls.collect()
    }
}

/// What the first line says.
fn begin(path: &Path, head: &Fields) -> Result<Recording, ReadError> {
    let version = head.number("version").unwrap_or(0);
    if version != RECORDING_VERSION {
        return Err(ReadError::Version(path.into(), version));
    }
    let encoding_name = head.text("encoding").unwrap_or_default();
    let encoding = encoding::of_name(&encoding_name)
        .ok_or_else(|| ReadError::Encoding(path.into(), encoding_name.clone()))?;
    let name = |name: &str| {
        let text = head.text(name).unwrap_or_default();
        encoding::encode(encoding, &text).into_owned()
    };
    Ok(Recording {
        scripts: Vec::new(),
        encoding,
        encoding_name,
        botname: name("botname"),
        opchatname: name("opchatname"),
        lost: 0,
        lines: Vec::new(),
    })
}

/// The answer as it would be given again: a script that was not asked let the event pass.
fn as_given(answer: &Value<'_>) -> String {
    match answer.as_text() {
        Some(b"kept back" | b"observed") => shown(&Value::from("go on")),
        Some(b"none") => "no answer: it died, or was late".into(),
        _ => shown(answer),
    }
}

fn is_awaited(answer: &Value<'_>) -> bool {
    !matches!(answer.as_text(), Some(b"kept back" | b"observed"))
}
