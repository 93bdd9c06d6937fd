//! What tests share: a supervisor with a host that records, a hub of a few lines for one worker, the
//! embedded hub with clients, programs that are compiled here; waits with generous limits.
#![allow(dead_code, reason = "each test program uses its own part")]

#[cfg(feature = "cli")]
pub mod client;
pub mod compiled;
#[cfg(feature = "cli")]
pub mod eval;
pub mod fake_hub;
pub mod mmdb;
pub mod processes;
pub mod skip;
pub mod venv;

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use vhpy::supervisor::{Config, Loaded, Outcome, Ticket};
use vhpy::{Call, Host, ScriptId, Supervisor, Value};

#[allow(unused_imports, reason = "each test program uses its own part")]
pub use skip::{cannot_run_here, has};

/// How long a test waits for something that must happen.
pub const LIMIT: Duration = Duration::from_secs(60);

type Responder = Rc<dyn Fn(&Supervisor, &mut Recorder, Call, &[Value<'_>]) -> Value<'static>>;

type Told = Rc<dyn Fn(&Supervisor, &mut Recorder, &str)>;

/// A host that remembers what scripts asked for.
#[derive(Default)]
pub struct Recorder {
    /// The calls, without those that `respond` handled by itself.
    pub calls: Vec<(ScriptId, Call, Vec<Value<'static>>)>,
    /// What operators were told.
    pub told: Vec<String>,
    /// What was begun and has ended.
    pub finished: Vec<(Ticket, Outcome)>,
    /// What a test notes.
    pub answers: Vec<String>,
    /// Answers instead of the usual 1.
    pub respond: Option<Responder>,
    /// What happens while operators are told something.
    pub on_told: Option<Told>,
}

impl Recorder {
    /// With a function that answers all calls; it may raise events.
    pub fn answering(
        respond: impl Fn(&Supervisor, &mut Recorder, Call, &[Value<'_>]) -> Value<'static> + 'static,
    ) -> Recorder {
        Recorder { respond: Some(Rc::new(respond)), ..Recorder::default() }
    }

    /// The first text argument of every call of this kind.
    pub fn texts(&self, call: Call) -> Vec<String> {
        self.calls.iter().filter(|(_, known, _)| *known == call).map(|(_, _, args)| text(&args[0])).collect()
    }
}

impl Host for Recorder {
    fn call(
        &mut self,
        supervisor: &Supervisor,
        script: ScriptId,
        call: Call,
        args: &[Value<'_>],
    ) -> Value<'static> {
        self.calls.push((script, call, args.iter().cloned().map(Value::into_owned).collect()));
        match self.respond.clone() {
            Some(respond) => respond(supervisor, self, call, args),
            None => Value::Int(1),
        }
    }

    fn finished(&mut self, _: &Supervisor, ticket: Ticket, outcome: Outcome) {
        self.finished.push((ticket, outcome));
    }

    fn tell_operators(&mut self, supervisor: &Supervisor, text: &str) {
        self.told.push(text.to_string());
        if let Some(on_told) = self.on_told.clone() {
            on_told(supervisor, self, text);
        }
    }
}

/// A text value as a string.
pub fn text(value: &Value<'_>) -> String {
    String::from_utf8_lossy(value.as_text().unwrap_or_default()).into_owned()
}

/// A supervisor with a folder for scripts.
pub struct Stage {
    /// The folder.
    pub folder: tempfile::TempDir,
    /// Without scripts at first.
    pub supervisor: Supervisor,
    /// Its host.
    pub host: Recorder,
}

/// The usual configuration for tests: no spare, so that each test has its own processes only,
/// and no deadline that a machine which has too much to do could miss.
pub fn config() -> Config {
    Config { spare: false, hook_timeout: LIMIT, load_timeout: LIMIT, ..Config::default() }
}

impl Stage {
    /// With the usual configuration.
    pub fn new() -> Stage {
        Stage::with(config())
    }

    /// With this configuration.
    pub fn with(mut config: Config) -> Stage {
        let _ = env_logger::builder().is_test(true).try_init();
        let folder = tempfile::tempdir().expect("a temporary folder");
        config.scripts_dir = Some(folder.path().to_path_buf());
        let supervisor = Supervisor::new(config).expect("a supervisor; was `cargo build --workspace` run?");
        Stage { folder, supervisor, host: Recorder::default() }
    }

    /// Writes a script.
    pub fn write(&self, name: &str, source: &str) -> PathBuf {
        write_script(self.folder.path(), name, source)
    }

    /// Writes and loads a script.
    pub fn load(&mut self, name: &str, source: &str) -> Loaded {
        let path = self.write(name, source);
        self.supervisor.load(&mut self.host, &path).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The process of a script.
    pub fn pid(&self, id: ScriptId) -> i32 {
        let status = self.supervisor.status(id).expect("the script is loaded");
        i32::try_from(status.pid.expect("the script has a process")).expect("a pid")
    }

    /// One word.
    pub fn state(&self, id: ScriptId) -> &'static str {
        self.supervisor.status(id).map_or("gone", |status| status.state)
    }

    /// Serves until the condition holds, as a hub does: only when the supervisor asks for it.
    pub fn serve_until(&mut self, what: &str, mut done: impl FnMut(&Supervisor, &Recorder) -> bool) {
        let start = Instant::now();
        while !done(&self.supervisor, &self.host) {
            assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} for {what}");
            if poll(self.supervisor.poll_fd(), 100) {
                self.supervisor.serve(&mut self.host);
            }
        }
    }

    /// Calls a function of a script.
    pub fn call(&mut self, id: ScriptId, function: &str, args: &[Value<'_>]) -> Value<'static> {
        self.supervisor
            .call(&mut self.host, id, function, args)
            .unwrap_or_else(|error| panic!("{function}: {error}"))
    }
}

/// A source without the line feeds it begins with, and without the indentation of its first line.
pub fn dedent(source: &str) -> String {
    let source = source.trim_start_matches('\n');
    let indent = source.len() - source.trim_start_matches(' ').len();
    source.lines().map(|line| line.get(indent..).unwrap_or("").to_string() + "\n").collect()
}

/// Writes a script into a folder, without the indentation that its first line has.
pub fn write_script(folder: &Path, name: &str, source: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, dedent(source)).expect("the script is written");
    path.canonicalize().expect("the script is there")
}

/// Waits until the descriptor is readable, at most so many milliseconds. Whether it is.
pub fn poll(fd: i32, millis: i32) -> bool {
    let mut fds = [libc::pollfd { fd, events: libc::POLLIN, revents: 0 }];
    // SAFETY: one valid pollfd is passed, with its number.
    unsafe { libc::poll(fds.as_mut_ptr(), 1, millis) == 1 }
}

/// Sends a signal.
pub fn kill(pid: i32, signal: i32) {
    // SAFETY: a system call without pointers.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0, "signal {signal} to {pid}");
}

/// Ends the test program when what must end by itself does not, until it is dropped.
pub struct Watchdog(Option<std::sync::mpsc::Sender<()>>);

impl Watchdog {
    /// It says that it waited for this.
    pub fn of(what: &str) -> Watchdog {
        let what = what.to_string();
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || {
            if receiver.recv_timeout(LIMIT) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                // Not through the test's own output, which would be lost.
                let _ = std::io::Write::write_all(
                    &mut std::io::stderr(),
                    format!("waited {LIMIT:?} for {what}\n").as_bytes(),
                );
                std::process::abort();
            }
        });
        Watchdog(Some(sender))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.0.take();
    }
}

/// Waits until a condition holds that nobody serves.
pub fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}
