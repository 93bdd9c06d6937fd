//! A hot event makes no system call and takes nothing from the heap, in the hub and in the
//! worker, nor does a call of a script's function: shown by counting, not by timing.
//!
//! System calls are counted by the kernel's tracepoint where it lets us, which stops nobody; elsewhere
//! this very program is started again under `strace`, which takes minutes. For the heap it is started again
//! with a counting `malloc` in front of the C library's. Events that find the other side asleep may do both, because
//! waking costs a system call anyway, and on a busy machine there are some of these. So both
//! tests look for a stretch of events without; where the hot path itself did one, there is none.
//! Where other processes want the processors all the time, hot events yield, and do no more.

mod support;
#[path = "hot_path/system_calls.rs"]
mod system_calls;

use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::skip::{cannot_run_here, has, skip};
use crate::system_calls::Counters;
use vhpy::supervisor::Config;
use vhpy::{Call, Hook, Host, ScriptId, Supervisor, Value};

/// Says to the program started again what it is for.
const ROLE: &str = "VHPY_HOT_PATH";
/// How long a test looks for its stretch.
const PATIENCE: Duration = Duration::from_secs(120);
/// For how long nothing but no system call at all will do.
const STRICT: Duration = Duration::from_secs(30);

const SCRIPT: &str = "
import vh

def OnParsedMsgChat(nick, message):
    return vh.GetUserClass(nick) == 3

@vh.when(startswith=\"!\", contains=[\"casino\", \"poker\"])
@vh.when(matches=r\"https?://\\S+\\.example\", min_class=3)
@vh.when(endswith=\"привет\", ignore_case=True)
def OnOpChatMessage(nick, message):
    return 0

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
        let supervisor =
            Supervisor::new(Config { spare: false, hook_timeout: PATIENCE, ..Config::default() }).unwrap();
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

    /// So many events, each with a call of the hub, and as many calls of a function.
    fn stretch(&mut self, length: u64) {
        self.events(length);
        self.functions(length);
    }

    /// So many events that are not for their hook: the script gets none of them.
    fn kept_back(&mut self, count: u64) {
        // One that reached the script would be blocked.
        for at in 0..count {
            let message = ["good morning", "! https://good.org", "доброе утро", "\u{fffd}"][at as usize % 4];
            let args = [Value::text("alice"), Value::text(message)];
            assert!(!self.supervisor.event(&mut self.hub, Hook::OnOpChatMessage, &args).blocked);
        }
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

/// On a single core, each side must let the other run, which is a system call.
fn has_two_cores() -> bool {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    if cores < 2 {
        skip("there is one processor only", "run it where there are two");
    }
    cores >= 2
}

#[test]
#[ignore = "what the other tests start"]
fn in_a_role() {
    match std::env::var(ROLE).as_deref() {
        Ok("count allocations") => count_allocations(),
        Ok("make marked stretches") => make_marked_stretches(Rig::stretch),
        Ok("keep marked stretches back") => make_marked_stretches(Rig::kept_back),
        Ok(other) => panic!("{other} is no role"),
        Err(_) => panic!("it does nothing by itself"),
    }
}

/// A hot stretch has none at all. Where strace takes so long over each that hub and worker lose
/// sight of each other, and so yield to each other again and again, it has none but these.
#[test]
fn a_hot_event_or_call_makes_no_system_call() {
    if !has_two_cores() {
        return;
    }
    let mut rig = Rig::start();
    // Whoever is to wake up for the first time has done so.
    rig.stretch(MARKED);
    match Counters::of(&[std::process::id(), rig.worker]) {
        Ok(mut counters) => find_quiet(&mut counters, || rig.stretch(COUNTED)),
        Err(error) => {
            drop(rig);
            eprintln!("with strace, since the kernel does not count: {error}");
            look_with_strace();
        }
    }
}

/// Looks for a stretch in which only the counters' reading made system calls.
fn find_quiet(counters: &mut Counters, mut stretch: impl FnMut()) {
    fn count(counters: &mut Counters, mut work: impl FnMut()) -> u64 {
        let before = counters.read();
        work();
        counters.read() - before
    }
    let of_reading = (0..10).map(|_| count(counters, || {})).min().unwrap();
    let (start, others) = (Instant::now(), processor_time_of_others());
    let (mut fewest, mut is_strict) = (u64::MAX, true);
    while fewest > of_reading {
        if is_strict && start.elapsed() > STRICT / 10 {
            is_strict = false;
            counters.leave_out_yields();
        }
        fewest = fewest.min(count(counters, &mut stretch));
        if start.elapsed() > PATIENCE {
            let others = processor_time_of_others().saturating_sub(others).as_secs_f64();
            if others > start.elapsed().as_secs_f64() / 5.0 {
                return cannot_run_here("others had the processors all the time, nothing could be seen");
            }
            let calls = fewest - of_reading;
            panic!("{calls} system calls at least in {COUNTED} events and calls; strace -f tells which");
        }
    }
}

fn look_with_strace() {
    if !has(&["strace"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calls");
    let mut was_idle = false;
    let start = Instant::now();
    loop {
        let is_strict = start.elapsed() < STRICT;
        let mut strace = vec!["-f", "-o", file.to_str().unwrap()];
        if !is_strict {
            // What is not traced costs nothing then.
            strace.extend(["--seccomp-bpf", "-e", "trace=!sched_yield"]);
        }
        let before = (Instant::now(), processor_time_of_others());
        run(again(&[&["strace"], &strace[..]].concat(), "make marked stretches"));
        let others = processor_time_of_others().saturating_sub(before.1).as_secs_f64();
        was_idle |= others < before.0.elapsed().as_secs_f64() / 5.0;
        let log = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
        let quietest = quietest_stretch(&log, |_| true);
        if quietest.len() < MADE_BY_THE_MARK {
            return;
        }
        if start.elapsed() < PATIENCE {
            continue;
        }
        if !was_idle {
            // Hub and worker sleep, as they should.
            return cannot_run_here("others had the processors all the time, nothing could be seen");
        }
        let count = quietest.len();
        // One for each event or call would be many more.
        if count < MARKED as usize {
            return cannot_run_here(&format!(
                "strace makes hub and worker lose sight of each other: {count} system calls in {MARKED} events and calls"
            ));
        }
        panic!(
            "no {MARKED} events and calls without system calls in {PATIENCE:?}; the fewest are:\n{}",
            quietest.join("\n")
        );
    }
}

/// The script waits meanwhile, and goes to sleep: it is the hub's thread that counts.
#[test]
fn an_event_that_is_kept_back_makes_no_system_call() {
    let mut rig = Rig::start();
    if let Ok(mut counters) = Counters::of_this_thread() {
        return find_quiet(&mut counters, || rig.kept_back(COUNTED));
    }
    drop(rig);
    if !has(&["strace"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("calls");
    run(again(&["strace", "-f", "-o", file.to_str().unwrap()], "keep marked stretches back"));
    let log = String::from_utf8_lossy(&std::fs::read(&file).unwrap()).into_owned();
    let hub = log.lines().find(|line| line.contains(MARK)).unwrap().split(' ').next().unwrap();
    let quietest = quietest_stretch(&log, |call| {
        call.split(' ').next() == Some(hub) && !call.contains("getsid resumed")
    });
    assert!(quietest.is_empty(), "{}", quietest.join("\n"));
}

/// How long the processors have worked for others than this test and what it started, also
/// outside of this machine if it is a virtual one.
fn processor_time_of_others() -> Duration {
    use nix::sys::resource::{UsageWho, getrusage};
    use nix::sys::time::TimeValLike;
    let stat = std::fs::read_to_string("/proc/stat").unwrap();
    let times: Vec<u64> =
        stat.lines().next().unwrap().split(' ').filter_map(|time| time.parse().ok()).collect();
    let [user, nice, system, _idle, _iowait, irq, softirq, steal, ..] = times[..] else { panic!("{stat}") };
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).unwrap().unwrap();
    let all =
        Duration::from_secs(user + nice + system + irq + softirq + steal) / u32::try_from(ticks).unwrap();
    let own = [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN].map(|who| {
        let usage = getrusage(who).unwrap();
        [usage.user_time(), usage.system_time()].map(|time| time.num_microseconds())
    });
    let own: i64 = own.concat().into_iter().sum();
    all.saturating_sub(Duration::from_micros(own.unsigned_abs()))
}

/// System calls of which there are no others.
const MARK: &str = "getsid(";
/// While strace notes one, the worker waits so long that it yields, and then the hub does.
const MADE_BY_THE_MARK: usize = 20;
const MARKED_STRETCHES: usize = 100;
const MARKED: u64 = 2000;
/// How many events, and as many calls, are to be without a system call.
const COUNTED: u64 = 300;

fn make_marked_stretches(stretch: impl Fn(&mut Rig, u64)) {
    let mut rig = Rig::start();
    for _ in 0..MARKED_STRETCHES {
        nix::unistd::getsid(None).unwrap();
        stretch(&mut rig, MARKED);
    }
    nix::unistd::getsid(None).unwrap();
}

/// The system calls of that stretch which has the fewest, of those that count.
fn quietest_stretch(log: &str, counts: impl Fn(&str) -> bool) -> Vec<&str> {
    let lines: Vec<&str> = log.lines().filter(|line| counts(line)).collect();
    let mut stretches: Vec<&[&str]> = lines.split(|line| line.contains(MARK)).collect();
    // What was before the first mark, and after the last.
    stretches.pop();
    stretches.remove(0);
    assert_eq!(stretches.len(), MARKED_STRETCHES);
    stretches.into_iter().min_by_key(|stretch| stretch.len()).unwrap().to_vec()
}

#[test]
fn a_hot_event_or_call_takes_nothing_from_the_heap() {
    if !has_two_cores() || !has(&["cc"]) {
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
    const STRETCH: u64 = 200;
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
        rig.stretch(STRETCH);
        rig.kept_back(STRETCH);
        least_hub = least_hub.min(hub() - before.0);
        least_worker = least_worker.min(worker() - before.1);
    }
}
