//! Writes what scripts were given, asked and answered into a file, for `vhpy replay` and for those
//! who look into a fault.
//!
//! Invariant: **the hub never waits for the file.** The hub's thread copies values into a bounded
//! queue; a thread masks them ([`masking`](super::masking)) and writes. What finds no room is counted,
//! and the count is written. The file is its user's alone, is never one that was there before, and has
//! an end: after so many bytes it says that it is full.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use plugin_abi::{Answer, Call, Hook, Privacy, Value};

use super::forks::Unforked;
use super::masking::Masker;
use crate::{encoding, json, private_files};

/// How large a recording gets unless it is said otherwise, in bytes.
pub const RECORDING_LIMIT: u64 = 64 << 20;

/// The version of a recording's lines.
pub(crate) const RECORDING_VERSION: i64 = 1;

/// How many entries wait to be written at most.
const MOST_ENTRIES: usize = 8192;
/// How many bytes of values wait at most.
const MOST_BYTES: usize = 32 << 20;
/// How long the end of the hub waits for what is not written yet.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why nothing is recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// There is a recording already.
    #[error("{0} is being recorded into already: stop that first")]
    Recording(PathBuf),
    /// The file is there already.
    #[error("{0} is there already: name another file, or remove it")]
    Exists(PathBuf),
    /// The file cannot be made.
    #[error("{0}: {1}")]
    File(PathBuf, io::Error),
}

/// What became of an event at one script.
#[derive(Debug)]
pub(super) enum Given {
    /// It answered.
    Answered(Answer<'static>),
    /// It is not for this script, which said so before.
    KeptBack,
    /// The script had the event, and its answer does not count.
    Observed,
    /// It died, or did not answer in time.
    Silent,
}

/// Something that is recorded.
#[derive(Debug)]
pub(super) enum Entry {
    /// An event, before any script has it.
    Event { number: u64, hook: Hook, scripts: Vec<String>, args: Vec<Value<'static>> },
    /// What became of it at one script.
    Answer { event: u64, script: String, given: Given },
    /// A call of a script's that the host has answered.
    Call { number: u64, script: String, call: Call, args: Vec<Value<'static>>, answer: Value<'static> },
    /// A call of a function of the host's by name, and its answer, if it had one.
    Dynamic { script: String, name: String, args: Vec<Value<'static>>, answer: Option<Value<'static>> },
}

/// An entry with its time, and the call that it happened in.
struct Queued {
    time: Duration,
    inside: u64,
    bytes: usize,
    entry: Entry,
}

/// What both threads know.
#[derive(Default)]
struct Shared {
    bytes: AtomicUsize,
    lost: AtomicU64,
    /// Nothing more is written.
    is_over: AtomicBool,
}

struct Running {
    path: PathBuf,
    began: Instant,
    shared: Arc<Shared>,
    /// The queue, and what says that all of it is written.
    threads: Unforked<(Sender<Queued>, Receiver<()>)>,
}

/// What is said in a recording's first line.
pub(super) struct About {
    pub(super) encoding: String,
    pub(super) botname: Vec<u8>,
    pub(super) opchatname: Vec<u8>,
    pub(super) scripts: Vec<String>,
}

/// The recording, if there is one.
#[derive(Default)]
pub(super) struct Recorder {
    is_on: Cell<bool>,
    running: RefCell<Option<Running>>,
    /// The call that the host is inside of; 0 is none.
    inside: Cell<u64>,
    last_call: Cell<u64>,
}

impl Recorder {
    /// Whether there is anything to do. Costs nothing.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.is_on.get()
    }

    /// Begins a recording.
    pub(super) fn start(&self, path: &Path, limit: u64, about: &About) -> Result<(), RecordError> {
        if let Some(path) = self.path() {
            return Err(RecordError::Recording(path));
        }
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::AlreadyExists => RecordError::Exists(path.into()),
            _ => RecordError::File(path.into(), error),
        };
        let file = private_files::options().write(true).create_new(true).open(path).map_err(failed)?;
        let encoding = encoding::of_name(&about.encoding).unwrap_or(encoding_rs::UTF_8);
        let masker = Masker::new(encoding);
        let shared = Arc::new(Shared::default());
        let mut writer = Writer {
            path: path.into(),
            file: BufWriter::new(file),
            left: limit,
            masker,
            shared: Arc::clone(&shared),
            line: Vec::new(),
            written_lost: 0,
        };
        writer.begin(about).map_err(failed)?;
        let (sender, receiver) = crossbeam_channel::bounded(MOST_ENTRIES);
        let (done, finished) = crossbeam_channel::bounded(1);
        let write = move || {
            writer.run(&receiver);
            // Nobody may wait any more.
            let _ = done.send(());
        };
        std::thread::Builder::new().name("vhpy-record".into()).spawn(write).map_err(failed)?;
        let threads = Unforked::new((sender, finished));
        *self.running.borrow_mut() =
            Some(Running { path: path.into(), began: Instant::now(), shared, threads });
        self.is_on.set(true);
        Ok(())
    }

    /// Where the recording goes that there is.
    pub(super) fn path(&self) -> Option<PathBuf> {
        let running = self.running.borrow();
        let running = running.as_ref().filter(|running| !running.shared.is_over.load(Ordering::Relaxed));
        running.filter(|running| running.threads.get().is_some()).map(|running| running.path.clone())
    }

    /// Ends the recording. The rest of it is written soon; true when it has been.
    pub(super) fn stop(&self, patience: Duration) -> bool {
        self.is_on.set(false);
        let Some(running) = self.running.take() else { return true };
        let Some((sender, finished)) = running.threads.into_inner() else { return true };
        drop(sender);
        finished.recv_timeout(patience).is_ok()
    }

    /// Notes an entry, if anything is recorded.
    #[cold]
    pub(super) fn note(&self, entry: Entry) {
        let is_over = {
            let running = self.running.borrow();
            let Some(running) = running.as_ref() else { return };
            running.take(self.inside.get(), entry)
        };
        if is_over {
            // It has said so itself.
            self.stop(Duration::ZERO);
        }
    }

    /// The host begins a call: its number, and the one that it is inside of.
    pub(super) fn begin_call(&self) -> (u64, u64) {
        let number = self.last_call.get() + 1;
        self.last_call.set(number);
        (number, self.inside.replace(number))
    }

    /// The opposite of [`Recorder::begin_call`].
    pub(super) fn end_call(&self, outer: u64) {
        self.inside.set(outer);
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if !self.stop(PATIENCE) {
            log::warn!("the end of the recording is not written: its disk takes more than {PATIENCE:?}");
        }
    }
}

impl Running {
    /// Puts an entry into the queue. True when nothing is written any more.
    fn take(&self, inside: u64, entry: Entry) -> bool {
        let Some((sender, _)) = self.threads.get() else { return true };
        if self.shared.is_over.load(Ordering::Relaxed) {
            return true;
        }
        let bytes = entry.size();
        let waiting = self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        let queued = Queued { time: self.began.elapsed(), inside, bytes, entry };
        if waiting + bytes > MOST_BYTES || sender.try_send(queued).is_err() {
            self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
        }
        false
    }
}

impl Entry {
    /// About how many bytes it takes.
    fn size(&self) -> usize {
        const ITSELF: usize = 128;
        let of = |args: &[Value<'_>]| args.iter().map(size).sum::<usize>();
        ITSELF
            + match self {
                Entry::Event { args, .. } => of(args),
                Entry::Answer { given: Given::Answered(Answer::Send { data, .. }), .. } => data.len(),
                Entry::Answer { .. } => ITSELF,
                Entry::Call { args, answer, .. } => of(args) + size(answer),
                Entry::Dynamic { args, answer, .. } => of(args) + answer.as_ref().map_or(0, size),
            }
    }
}

fn size(value: &Value<'_>) -> usize {
    const ITSELF: usize = 32;
    ITSELF
        + match value {
            Value::Text(text) | Value::Bytes(text) => text.len(),
            Value::List(list) => list.iter().map(size).sum(),
            Value::Map(map) => map.iter().map(|(key, item)| size(key) + size(item)).sum(),
            _ => 0,
        }
}

// --------------------------------------------------------------------------- the writer

/// The thread that writes.
struct Writer {
    path: PathBuf,
    file: BufWriter<File>,
    /// How many bytes the file may still take.
    left: u64,
    masker: Masker,
    shared: Arc<Shared>,
    line: Vec<u8>,
    /// How many lost entries the file tells of.
    written_lost: u64,
}

/// Why no more is written.
enum Full {
    /// The file has its size.
    Limit,
    Disk(io::Error),
}

impl Writer {
    fn run(&mut self, receiver: &Receiver<Queued>) {
        let result = self.write_all(receiver);
        self.shared.is_over.store(true, Ordering::Relaxed);
        let path = self.path.display().to_string();
        match result {
            Ok(()) => {}
            Err(Full::Limit) => {
                // It has room kept for this line.
                let full = [("what", Value::from("full"))];
                self.put(&full);
                let _ = self.file.write_all(&self.line);
                log::warn!("the recording {path} has its size: nothing more is recorded");
            }
            Err(Full::Disk(error)) => log::warn!("the recording {path} ends here: {error}"),
        }
        if let Err(error) = self.file.flush() {
            log::warn!("the end of the recording {path} is not written: {error}");
        }
    }

    fn write_all(&mut self, receiver: &Receiver<Queued>) -> Result<(), Full> {
        loop {
            let queued = match receiver.try_recv() {
                Ok(queued) => queued,
                Err(TryRecvError::Disconnected) => break,
                Err(TryRecvError::Empty) => {
                    // Whoever looks at the file now sees all.
                    self.file.flush().map_err(Full::Disk)?;
                    let Ok(queued) = receiver.recv() else { break };
                    queued
                }
            };
            self.shared.bytes.fetch_sub(queued.bytes, Ordering::Relaxed);
            self.tell_lost()?;
            self.entry(queued)?;
        }
        self.tell_lost()?;
        self.write(&[("what", Value::from("end"))])
    }

    fn begin(&mut self, about: &About) -> io::Result<()> {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let scripts: Value<'_> = about.scripts.iter().collect();
        let line = [
            ("what", Value::from("recording")),
            ("version", Value::Int(RECORDING_VERSION)),
            ("vhpy", Value::from(env!("CARGO_PKG_VERSION"))),
            ("started", Value::Int(i64::try_from(started).unwrap_or(0))),
            ("encoding", Value::from(&about.encoding)),
            ("botname", Value::from(self.masker.public(&about.botname))),
            ("opchatname", Value::from(self.masker.public(&about.opchatname))),
            ("scripts", scripts),
        ];
        match self.write(&line) {
            Err(Full::Disk(error)) => return Err(error),
            Ok(()) | Err(Full::Limit) => {}
        }
        self.file.flush()
    }

    fn tell_lost(&mut self) -> Result<(), Full> {
        let lost = self.shared.lost.load(Ordering::Relaxed);
        if lost == self.written_lost {
            return Ok(());
        }
        let count = i64::try_from(lost - self.written_lost).unwrap_or(i64::MAX);
        self.written_lost = lost;
        self.write(&[("what", Value::from("lost")), ("entries", Value::Int(count))])
    }

    fn entry(&mut self, queued: Queued) -> Result<(), Full> {
        self.masker.take_hidden();
        let number = |number: u64| Value::Int(i64::try_from(number).unwrap_or(i64::MAX));
        let mut line: Vec<(&str, Value<'_>)> = Vec::with_capacity(8);
        // Microseconds are more than anybody reads.
        let seconds = (queued.time.as_secs_f64() * 1e6).round() / 1e6;
        line.push(("t", Value::Float(seconds)));
        match &queued.entry {
            Entry::Event { number: event, hook, scripts, args } => {
                line.push(("what", Value::from("event")));
                line.push(("number", number(*event)));
                line.push(("hook", Value::from(hook.name())));
                line.push(("args", self.masker.event(hook.spec(), args)));
                line.push(("scripts", scripts.iter().collect()));
            }
            Entry::Answer { event, script, given } => {
                line.push(("what", Value::from("answer")));
                line.push(("event", number(*event)));
                line.push(("script", Value::from(script)));
                line.push(("answer", self.given(given)));
            }
            Entry::Call { number: call_number, script, call, args, answer } => {
                let (args, answer) = self.masker.call(call.spec(), args, answer);
                line.push(("what", Value::from("call")));
                line.push(("number", number(*call_number)));
                line.push(("script", Value::from(script)));
                line.push(("name", Value::from(call.name())));
                line.push(("args", args));
                line.push(("answer", answer));
            }
            Entry::Dynamic { script, name, args, answer } => {
                line.push(("what", Value::from("host function")));
                line.push(("script", Value::from(script)));
                line.push(("name", Value::from(name)));
                let shown = args.iter().map(|value| self.masker.value(Privacy::Private, value));
                line.push(("args", Value::List(shown.collect())));
                if let Some(answer) = answer {
                    line.push(("answer", self.masker.value(Privacy::Private, answer)));
                }
            }
        }
        if queued.inside > 0 {
            line.push(("inside", number(queued.inside)));
        }
        if self.masker.take_hidden() {
            line.push(("masked", Value::Bool(true)));
        }
        self.write(&line)
    }

    fn given(&mut self, given: &Given) -> Value<'static> {
        match given {
            Given::KeptBack => Value::from("kept back"),
            Given::Observed => Value::from("observed"),
            Given::Silent => Value::from("none"),
            Given::Answered(answer) => answer_value(&mut self.masker, answer),
        }
    }

    /// Makes a line of it.
    fn put(&mut self, entries: &[(&str, Value<'_>)]) {
        self.line.clear();
        let map = entries.iter().map(|(key, value)| (Value::from(*key), value.clone())).collect();
        json::write(&mut self.line, &Value::Map(map));
        self.line.push(b'\n');
    }

    fn write(&mut self, entries: &[(&str, Value<'_>)]) -> Result<(), Full> {
        /// What the last line takes.
        const LAST: u64 = 64;
        self.put(entries);
        let length = self.line.len() as u64;
        if length + LAST > self.left {
            return Err(Full::Limit);
        }
        self.left -= length;
        self.file.write_all(&self.line).map_err(Full::Disk)
    }
}

/// An answer as a recording has it.
pub(crate) fn answer_value(masker: &mut Masker, answer: &Answer<'_>) -> Value<'static> {
    let mut text = |text: &Option<std::borrow::Cow<'_, [u8]>>| {
        text.as_ref().map_or(Value::Nil, |text| masker.value(Privacy::Public, &Value::text(text)))
    };
    let map = |entries: Vec<(&str, Value<'static>)>| {
        Value::Map(entries.into_iter().map(|(key, value)| (Value::from(key.to_string()), value)).collect())
    };
    match answer {
        Answer::GoOn => Value::from("go on"),
        Answer::Block => Value::from("block"),
        Answer::Chat { nick, message } => map(vec![("nick", text(nick)), ("message", text(message))]),
        Answer::MyInfo(fields) => Value::List(fields.iter().map(text).collect()),
        Answer::Send { data, then } => {
            let data = masker.value(Privacy::RawToOne, &Value::text(data));
            map(vec![("send", data), ("then", Value::Int(*then))])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about() -> About {
        About { encoding: "utf-8".into(), botname: Vec::new(), opchatname: Vec::new(), scripts: Vec::new() }
    }

    fn an_event(text: &str) -> Entry {
        let args = vec![Value::from("ann"), Value::from(text.to_string())];
        Entry::Event { number: 1, hook: Hook::OnParsedMsgChat, scripts: Vec::new(), args }
    }

    /// A recording whose writer has not begun, and the writer.
    fn held(file: File, limit: u64) -> (Running, Writer, Receiver<Queued>) {
        let shared = Arc::new(Shared::default());
        let (sender, receiver) = crossbeam_channel::bounded(MOST_ENTRIES);
        let (_, finished) = crossbeam_channel::bounded(1);
        let running = Running {
            path: PathBuf::new(),
            began: Instant::now(),
            shared: Arc::clone(&shared),
            threads: Unforked::new((sender, finished)),
        };
        let writer = Writer {
            path: PathBuf::new(),
            file: BufWriter::new(file),
            left: limit,
            masker: Masker::new(encoding_rs::UTF_8),
            shared,
            line: Vec::new(),
            written_lost: 0,
        };
        (running, writer, receiver)
    }

    #[test]
    fn what_finds_no_room_is_counted_and_nobody_waits() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let (running, mut writer, receiver) = held(File::create_new(&path).unwrap(), u64::MAX);
        (0..MOST_ENTRIES + 7).for_each(|_| assert!(!running.take(0, an_event("hello"))));
        // A few large ones are as much as many.
        assert!(!running.take(0, an_event(&"x".repeat(MOST_BYTES))));
        drop(running);
        writer.run(&receiver);
        let text = std::fs::read_to_string(path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), MOST_ENTRIES + 2);
        assert_eq!(lines[0], r#"{"what":"lost","entries":8}"#);
        assert_eq!(lines.last(), Some(&r#"{"what":"end"}"#));
    }

    #[test]
    fn what_has_been_written_makes_room_again() {
        let (running, mut writer, receiver) = held(File::create("/dev/null").unwrap(), u64::MAX);
        let large = || an_event(&"x".repeat(MOST_BYTES / 2 - 1024));
        for _ in 0..4 {
            running.take(0, large());
            writer.shared.bytes.fetch_sub(receiver.recv().unwrap().bytes, Ordering::Relaxed);
        }
        assert_eq!(running.shared.lost.load(Ordering::Relaxed), 0);
        drop(running);
        writer.run(&receiver);
    }

    #[test]
    fn a_full_disk_ends_the_recording_and_nothing_else() {
        let (running, mut writer, receiver) =
            held(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap(), u64::MAX);
        assert!(!running.take(0, an_event(&"x".repeat(100_000))));
        let writing = std::thread::spawn(move || writer.run(&receiver));
        writing.join().unwrap();
        assert!(running.take(0, an_event("hello")), "it is over");
    }

    #[test]
    fn a_file_that_was_there_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "mine").unwrap();
        let recorder = Recorder::default();
        assert!(matches!(recorder.start(&path, 1 << 20, &about()), Err(RecordError::Exists(_))));
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path().join("nowhere"), &link).unwrap();
        assert!(matches!(recorder.start(&link, 1 << 20, &about()), Err(RecordError::Exists(_))));
        assert!(!recorder.is_on());
        assert_eq!(std::fs::read_to_string(path).unwrap(), "mine");
        let other = folder.path().join("other");
        recorder.start(&other, 1 << 20, &about()).unwrap();
        let again = recorder.start(&folder.path().join("third"), 1 << 20, &about());
        assert!(matches!(again, Err(RecordError::Recording(path)) if path == other));
    }
}
