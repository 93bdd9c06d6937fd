//! A hub of a few lines, to see a worker from the hub's side.

use std::borrow::Cow;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;

use plugin_abi::frame::{Failure, Load, NOT_AWAITED, Wants};
use plugin_abi::link::{HubEnd, WorkerFds};
use plugin_abi::start::{BOOT, DOORBELL_FD, LIFE_FD, MEMORY_FD, WAKE_FD};
use plugin_abi::{Answer, Args, Call, FromWorker, Hook, HookSet, ToWorker, Value};

use super::compiled::worker;
use super::{LIMIT, dedent};

/// The interpreter that is tested: `python3` on the PATH. `tests/run` puts each of those that
/// `VHPY_TEST_PYTHONS` names in that place.
pub fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| executable("python3").expect("a python3 from 3.10 on is on the PATH"))
}

/// Where an interpreter really is; `None` if it is not there, or too old.
pub fn executable(name: &str) -> Option<PathBuf> {
    let program = "import sys; sys.version_info >= (3, 10) and print(sys.executable)";
    let output = Command::new(name).args(["-c", program]).output().ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    std::fs::canonicalize(path.trim()).ok()
}

/// A hub with one worker.
pub struct FakeHub {
    pub end: HubEnd,
    pub child: Child,
    /// What the script printed.
    pub log: Arc<Mutex<String>>,
    /// The calls that the script made.
    pub calls: Vec<(Call, Vec<Value<'static>>)>,
    /// What else came that nobody waited for.
    pub others: Vec<FromWorker<'static>>,
    /// From what the script and the modules beside it were loaded: file, source.
    pub sources: Vec<(Vec<u8>, Vec<u8>)>,
    pub folder: tempfile::TempDir,
    pub options: Options,
    /// Answers calls; the usual one gives Nil.
    #[allow(clippy::type_complexity)]
    pub reply: Box<dyn FnMut(Call, &[Value<'static>]) -> Value<'static>>,
    #[allow(clippy::type_complexity)]
    pub dynamic: Box<dyn FnMut(&str, &[Value<'static>]) -> Result<Value<'static>, (Failure, String)>>,
    seq: u64,
}

/// How to start a worker.
#[derive(Clone)]
pub struct Options {
    pub python: PathBuf,
    pub flags: Vec<&'static str>,
    pub encoding: &'static str,
    pub ring_bytes: usize,
    pub has_ip_city: bool,
    pub file: &'static str,
    pub store: Vec<(Value<'static>, Value<'static>)>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            python: python().to_owned(),
            flags: vec![],
            encoding: "utf-8",
            ring_bytes: 1 << 20,
            has_ip_city: false,
            file: "script.py",
            store: vec![],
        }
    }
}

/// What became of a load.
#[derive(Debug)]
pub struct Loaded {
    pub hooks: HookSet,
    pub observers: HookSet,
    pub warnings: Vec<String>,
    pub wants: Wants<'static>,
}

fn place_descriptors(fds: &WorkerFds) -> std::io::Result<()> {
    let place = |fd: &OwnedFd, at: i32| {
        // SAFETY: duplicating descriptors has no conditions; 20 is beyond all four places.
        unsafe {
            let high = libc::fcntl(fd.as_raw_fd(), libc::F_DUPFD, 20);
            (high, at)
        }
    };
    for (high, at) in [
        place(&fds.memory, MEMORY_FD),
        place(&fds.wake, WAKE_FD),
        place(&fds.doorbell, DOORBELL_FD),
        place(&fds.life, LIFE_FD),
    ] {
        // SAFETY: as above.
        unsafe {
            if libc::dup2(high, at) < 0 {
                return Err(std::io::Error::last_os_error());
            }
            libc::close(high);
        }
    }
    Ok(())
}

impl FakeHub {
    /// A worker that has said hello and waits for its script.
    pub fn spare(script: impl AsRef<[u8]>, options: Options) -> FakeHub {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(options.file), without_indentation(script.as_ref())).unwrap();
        let (end, fds) = HubEnd::create(options.ring_bytes).unwrap();
        let mut command = Command::new(&options.python);
        command.args(&options.flags).arg("-c").arg(BOOT).arg(worker());
        command.arg(std::process::id().to_string());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // SAFETY: only system calls that are safe after a fork.
        unsafe { command.pre_exec(move || place_descriptors(&fds)) };
        let mut child = command.spawn().unwrap();
        drop(command);
        let log = Arc::new(Mutex::new(String::new()));
        for stream in [
            Box::new(child.stdout.take().unwrap()) as Box<dyn std::io::Read + Send>,
            Box::new(child.stderr.take().unwrap()),
        ] {
            let log = log.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).split(b'\n').map_while(Result::ok) {
                    let mut log = log.lock().unwrap();
                    log.push_str(&String::from_utf8_lossy(&line));
                    log.push('\n');
                }
            });
        }
        let mut hub = FakeHub {
            end,
            child,
            log,
            calls: vec![],
            others: vec![],
            sources: vec![],
            folder,
            options,
            reply: Box::new(|_, _| Value::Nil),
            dynamic: Box::new(|name, _| Err((Failure::Missing, format!("there is no function {name}")))),
            seq: 0,
        };
        match hub.next("hello") {
            FromWorker::Hello { protocol, .. } => assert_eq!(protocol, plugin_abi::frame::PROTOCOL),
            other => panic!("{other:?} instead of hello"),
        }
        hub
    }

    /// Runs the script.
    pub fn load(&mut self) -> Result<Loaded, String> {
        let path = self.folder.path().join(self.options.file);
        let path = path.to_str().unwrap().as_bytes().to_vec();
        let frame = ToWorker::Load(Box::new(Load {
            id: 7,
            path: path.into(),
            scripts_dir: b"/nowhere/scripts"[..].into(),
            botname: b"Security"[..].into(),
            opchatname: b"OpChat"[..].into(),
            basedir: b"/nowhere"[..].into(),
            config_name: b"config"[..].into(),
            starttime: 1_700_000_000,
            encoding: self.options.encoding.as_bytes().into(),
            has_ip_city: self.options.has_ip_city,
            store: self.options.store.clone(),
            kept: Vec::new(),
        }));
        self.send(&frame);
        loop {
            match self.next("loaded") {
                FromWorker::Loaded { wants, warnings } => {
                    let warnings = warnings.iter().map(|text| String::from_utf8_lossy(text).into());
                    let (hooks, observers) = (wants.hooks, wants.observers);
                    return Ok(Loaded { hooks, observers, warnings: warnings.collect(), wants });
                }
                FromWorker::LoadFailed { reason } => {
                    return Err(String::from_utf8_lossy(&reason).into());
                }
                other => self.serve(other),
            }
        }
    }

    /// A worker with a loaded script.
    pub fn with(script: impl AsRef<[u8]>, options: Options) -> FakeHub {
        let mut hub = FakeHub::spare(script, options);
        let loaded = hub.load();
        assert!(loaded.is_ok(), "{loaded:?}\n{}", hub.log());
        hub
    }

    pub fn new(script: impl AsRef<[u8]>) -> FakeHub {
        FakeHub::with(script, Options::default())
    }

    pub fn send(&mut self, frame: &ToWorker<'_>) {
        let mut buffer = Vec::new();
        frame.write(&mut buffer).unwrap();
        let start = Instant::now();
        let sent = self.end.send(&buffer, || start.elapsed() < LIMIT).unwrap();
        assert!(sent, "no room in the ring for {LIMIT:?}\n{}", self.log());
    }

    /// The next frame, but for what a script was loaded from, which can come at any time.
    pub fn next(&mut self, what: &str) -> FromWorker<'static> {
        let mut frame = Vec::new();
        let start = Instant::now();
        loop {
            if self.end.receive(&mut frame).unwrap() {
                match FromWorker::read(std::mem::take(&mut frame).leak()).unwrap() {
                    FromWorker::Source { file, text } => {
                        self.sources.push((file.into_owned(), text.into_owned()));
                        continue;
                    }
                    other => return other,
                }
            }
            if self.end.arm() {
                let fd = self.end.doorbell().as_raw_fd();
                let mut fds = [libc::pollfd { fd, events: libc::POLLIN, revents: 0 }];
                // SAFETY: one valid pollfd is passed, with its number.
                unsafe { libc::poll(fds.as_mut_ptr(), 1, 200) };
            }
            self.end.disarm();
            self.end.silence();
            if let Some(status) = self.child.try_wait().unwrap()
                && !self.end.is_ready()
            {
                panic!("the worker ended with {status} while the hub waited for {what}\n{}", self.log());
            }
            assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} for {what}\n{}", self.log());
        }
    }

    /// Does what a frame asks for.
    pub fn serve(&mut self, frame: FromWorker<'static>) {
        match frame {
            FromWorker::Call { id, call, args } => {
                let args = args.into_vec();
                let value = (self.reply)(call, &args);
                self.calls.push((call, args));
                self.send(&ToWorker::Reply { id, value });
            }
            FromWorker::Dynamic { id, name, args } => {
                let name = String::from_utf8(name.into_owned()).unwrap();
                match (self.dynamic)(&name, &args) {
                    Ok(value) => self.send(&ToWorker::Reply { id, value }),
                    Err((failure, reason)) => {
                        let reason = reason.into_bytes().into();
                        self.send(&ToWorker::Refusal { id, failure, reason });
                    }
                }
            }
            other => self.others.push(other),
        }
    }

    /// Sends an event and gives its number.
    pub fn post(&mut self, hook: Hook, args: &[Value<'static>]) -> u64 {
        self.seq += 1;
        let args = Args::from(args);
        self.send(&ToWorker::Event { seq: self.seq, hook, args });
        self.seq
    }

    /// Sends an event for whose answer nobody waits.
    pub fn observe(&mut self, hook: Hook, args: &[Value<'static>]) {
        self.send(&ToWorker::Event { seq: NOT_AWAITED, hook, args: Args::from(args) });
    }

    /// Raises an event and serves calls until it is answered.
    pub fn event(&mut self, hook: Hook, args: &[Value<'static>]) -> Answer<'static> {
        let wanted = self.post(hook, args);
        self.answer(wanted)
    }

    /// Serves calls until an event is answered.
    pub fn answer(&mut self, wanted: u64) -> Answer<'static> {
        loop {
            match self.next("an answer") {
                FromWorker::Answer { seq, answer } if seq == wanted => return answer,
                other => self.serve(other),
            }
        }
    }

    pub fn chat(&mut self, nick: &'static str, message: &'static str) -> Answer<'static> {
        self.event(Hook::OnParsedMsgChat, &[nick.into(), message.into()])
    }

    /// Calls a function of the script.
    pub fn function(&mut self, name: &str, args: &[Value<'static>]) -> Result<Value<'static>, String> {
        self.seq += 1;
        let wanted = self.seq;
        let args = Args::from(args);
        self.send(&ToWorker::Function { seq: wanted, name: name.as_bytes().into(), args });
        loop {
            match self.next("a result") {
                FromWorker::Returned { seq, value } if seq == wanted => return Ok(value),
                FromWorker::Raised { seq, reason } if seq == wanted => {
                    return Err(String::from_utf8_lossy(&reason).into());
                }
                other => self.serve(other),
            }
        }
    }

    /// Runs Python code in the script, which must define `run(code)`, and gives its result.
    pub fn run(&mut self, code: &str) -> Result<Value<'static>, String> {
        self.function("run", &[Value::from(code.to_owned())])
    }

    /// Unloads the script and gives how the process ended.
    pub fn unload(&mut self) -> ExitStatus {
        self.send(&ToWorker::Unload { within: 60_000 });
        loop {
            match self.next("unloaded") {
                FromWorker::Unloaded => return self.wait(),
                other => self.serve(other),
            }
        }
    }

    /// How the process ended.
    pub fn wait(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < LIMIT, "the worker does not end\n{}", self.log());
            std::thread::yield_now();
        }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    /// Waits until the log holds a text.
    pub fn wait_for_log(&self, text: &str) {
        let start = Instant::now();
        while !self.log().contains(text) {
            assert!(start.elapsed() < LIMIT, "{text:?} did not appear in the log:\n{}", self.log());
            std::thread::yield_now();
        }
    }
}

impl Drop for FakeHub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Scripts that are indented begin with a line feed; others are taken as they are, with each line in
/// its place.
fn without_indentation(script: &[u8]) -> Cow<'_, [u8]> {
    match std::str::from_utf8(script) {
        Ok(text) if text.starts_with("\n ") => dedent(text).into_bytes().into(),
        _ => script.into(),
    }
}

/// A script in which tests run what they like: `run(code)` gives the value of `it`, or the
/// exception as text.
pub const ANYTHING: &str = "
import vh
def run(code):
    names = dict(globals())
    try:
        exec(code, names)
    except Exception as error:
        if isinstance(error, AssertionError):
            raise
        return f'{type(error).__name__}: {error}'
    return names.get('it')
";
