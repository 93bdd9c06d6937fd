//! A hot event makes no system call and takes nothing from the heap, in the hub and in the
//! worker, nor does a call of a script's function: shown by counting, not by timing.
//!
//! The tests start this very program again: once under `strace`, once with a counting `malloc`
//! in front of the C library's. Events that find the other side asleep may do both, because
//! waking costs a system call anyway, and on a busy machine there are some of these. So both
//! tests look for a stretch of events without; where the hot path itself did one, there is none.

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use vhpy::supervisor::Config;
use vhpy::{Call, Hook, Host, ScriptId, Supervisor, Value};

/// Says to the program started again what it is for.
const ROLE: &str = "VHPY_HOT_PATH";
/// How long a test looks for its stretch.
const PATIENCE: Duration = Duration::from_secs(120);

const SCRIPT: &str = "
import vh

def OnParsedMsgChat(nick, message):
    return vh.GetUserClass(nick) == 3

def add(a, b):
    return a + b
";

struct Hub {
    calls: u64,
}

impl Host for Hub {
    fn call(&mut self, _: &Supervisor, _: ScriptId, call: Call, _: &[Value<'_>]) -> Value<'static> {
        assert_eq!(call, Call::GetUserClass);
        self.calls += 1;
        Value::Int(3)
    }

    fn tell_operators(&mut self, _: &Supervisor, text: &str) {
        panic!("the operators are told: {text}");
    }
}

struct Rig {
    supervisor: Supervisor,
    hub: Hub,
    script: ScriptId,
    worker: u32,
    _folder: tempfile::TempDir,
}

impl Rig {
    fn start() -> Rig {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hot.py");
        std::fs::write(&path, SCRIPT).unwrap();
        let supervisor = Supervisor::new(Config { spare: false, ..Config::default() }).unwrap();
        let mut hub = Hub { calls: 0 };
        let script = supervisor.load(&mut hub, &path).unwrap().id;
        let worker = supervisor.scripts()[0].pid.unwrap();
        Rig { supervisor, hub, script, worker, _folder: folder }
    }

    fn events(&mut self, count: u64) {
        let before = self.hub.calls;
        for _ in 0..count {
            let args = [Value::text("alice"), Value::text("good morning")];
            let verdict = self.supervisor.event(&mut self.hub, Hook::OnParsedMsgChat, &args);
            assert!(!verdict.blocked);
        }
        assert_eq!(self.hub.calls - before, count, "every event reaches the script and its call the hub");
    }

    fn functions(&mut self, count: u64) {
        let args = [Value::Int(1), Value::Int(2)];
        for _ in 0..count {
            let sum = self.supervisor.call_with(&mut self.hub, self.script, "add", &args, |sum| sum.as_int());
            assert_eq!(sum.unwrap(), Some(3));
        }
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.supervisor.shutdown(&mut self.hub);
    }
}

/// This program, to be started again in a role.
fn again(wrapper: &[&str], role: &str) -> Command {
    let program = std::env::current_exe().unwrap();
    let mut command = match wrapper {
        [] => Command::new(program),
        [wrapper, arguments @ ..] => {
            let mut command = Command::new(wrapper);
            command.args(arguments).arg(program);
            command
        }
    };
    command.args(["--exact", "in_a_role", "--ignored", "--nocapture"]).env(ROLE, role);
    command
}

fn run(mut command: Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn exists(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("skipped: there is no {program}");
    }
    there
}

/// On a single core, each side must let the other run, which is a system call.
fn has_two_cores() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        eprintln!("skipped: one core");
    }
    cores >= 2
}

#[test]
#[ignore = "what the other tests start"]
fn in_a_role() {
    match std::env::var(ROLE).as_deref() {
        Ok("count allocations") => count_allocations(),
        Ok(count) => Rig::start().events(count.parse().unwrap()),
        Err(_) => eprintln!("skipped: it does nothing by itself"),
    }
}

#[test]
fn a_hot_event_makes_no_system_call() {
    const COUNT: u64 = 20_000;
    if !has_two_cores() || !exists("strace") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let summary = |count: u64| {
        let file = folder.path().join(count.to_string());
        run(again(&["strace", "-f", "-c", "-o", file.to_str().unwrap()], &count.to_string()));
        std::fs::read_to_string(file).unwrap()
    };
    let start = Instant::now();
    loop {
        let (once, twice) = (summary(COUNT), summary(2 * COUNT));
        let more = total(&twice).saturating_sub(total(&once));
        if more < COUNT / 100 {
            return;
        }
        assert!(
            start.elapsed() < PATIENCE,
            "{COUNT} events more made {more} system calls more, in every attempt of {PATIENCE:?}:\n{once}\n{twice}"
        );
    }
}

/// The number of calls in a summary of strace.
fn total(summary: &str) -> u64 {
    let line = summary.lines().find(|line| line.ends_with(" total"));
    let calls = line.and_then(|line| line.split_whitespace().nth(3)?.parse().ok());
    calls.unwrap_or_else(|| panic!("no total in {summary}"))
}

#[test]
fn a_hot_event_or_call_takes_nothing_from_the_heap() {
    if !has_two_cores() || !exists("cc") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let library = folder.path().join("count.so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hot_path/count_allocations.c");
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(source);
    run(cc);
    let mut command = again(&[], "count allocations");
    command.env("LD_PRELOAD", library).env("VHPY_COUNTS", folder.path().join("count"));
    run(command);
}

/// Looks for a stretch without an allocation, on either side.
fn count_allocations() {
    const STRETCH: u64 = 1000;
    let mut rig = Rig::start();
    let count = |pid: u32| {
        let path = format!("{}.{pid}", std::env::var("VHPY_COUNTS").unwrap());
        let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
        move || {
            let mut count = [0; 8];
            file.read_exact_at(&mut count, 0).unwrap();
            u64::from_ne_bytes(count)
        }
    };
    let (hub, worker) = (count(std::process::id()), count(rig.worker));
    assert!(hub() > 0 && worker() > 0, "the counting malloc is not in place");
    let (mut least_hub, mut least_worker) = (u64::MAX, u64::MAX);
    let start = Instant::now();
    while least_hub > 0 || least_worker > 0 {
        assert!(
            start.elapsed() < PATIENCE,
            "no {STRETCH} events and calls without an allocation in {PATIENCE:?}: at least {least_hub} in the hub, \
             {least_worker} in the worker"
        );
        let before = (hub(), worker());
        rig.events(STRETCH);
        rig.functions(STRETCH);
        least_hub = least_hub.min(hub() - before.0);
        least_worker = least_worker.min(worker() - before.1);
    }
}
