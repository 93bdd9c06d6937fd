//! Limits on what a script may use: one that runs into a limit dies alone, and the log says
//! which limit it was.

use std::time::Duration;

use crate::support::{LIMIT, Stage, config};
use vhpy::supervisor::{Config, Limits, Overrides, RestartLimits};
use vhpy::{Hook, ScriptId, Value};

const MIB: u64 = 1 << 20;

fn patient() -> Config {
    let restart =
        RestartLimits { max_deaths: 1000, first_delay: Duration::from_millis(1), ..RestartLimits::default() };
    Config { restart_wait: LIMIT, restart, ..config() }
}

fn chat(stage: &mut Stage, message: &str) -> bool {
    let args = ["nick".into(), message.into()];
    stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &args).blocked
}

/// A hook that runs what it is told.
const RUNS: &str = "
    import os, resource, sys, threading
    kept = []
    def OnParsedMsgChat(nick, message):
        exec(message)
        return 0
    def get(what): return eval(what)
    ";

fn with_limits(stage: &mut Stage, name: &str, limits: Limits) -> ScriptId {
    let id = stage.load(name, RUNS).id;
    stage.supervisor.set_overrides(id, Overrides::limited(limits));
    stage.supervisor.reload(&mut stage.host, id).unwrap();
    id
}

fn dies_of(stage: &mut Stage, id: ScriptId, code: &str, reason: &str) {
    let before = stage.supervisor.status(id).unwrap();
    assert!(!chat(stage, code), "the event goes on");
    stage.serve_until("the restart", |supervisor, _| {
        let status = supervisor.status(id).unwrap();
        status.state == "ready" && status.restarts == before.restarts + 1
    });
    let told = std::mem::take(&mut stage.host.told).join("\n");
    assert!(told.contains(reason) && told.contains(&before.name), "{told}");
    let lines = stage.supervisor.last_lines(id).unwrap().join("\n");
    assert!(lines.contains(reason), "{lines}");
    assert!(chat(stage, "pass"), "it serves again");
}

#[test]
fn memory() {
    let mut stage = Stage::with(patient());
    let other = stage.load("other.py", "def get(): return 1").id;
    let pid = stage.pid(other);
    let limits = Limits { memory: Some(300 * MIB), ..Limits::default() };
    let id = with_limits(&mut stage, "greedy.py", limits);
    let reason = "300 MiB of memory";
    dies_of(&mut stage, id, "kept.append(bytearray(400 << 20))", reason);
    dies_of(&mut stage, id, "while True: kept.append(bytearray(1 << 20))", reason);
    // A frame that the worker itself finds no room for.
    dies_of(&mut stage, id, "kept.append(bytearray(200 << 20)); bytes(kept[0])", reason);
    assert_eq!(stage.pid(other), pid);
    assert!(
        chat(&mut stage, "try: bytearray(400 << 20)\nexcept MemoryError: pass"),
        "what it handles is its own"
    );
}

/// What operators choose for one script holds for its next process, and after the hub's end.
#[test]
fn operators_give_one_script_a_limit_of_its_own() {
    let stores = tempfile::tempdir().unwrap();
    let config = || Config { store_dir: Some(stores.path().into()), ..patient() };
    let mut stage = Stage::with(config());
    let path = stage.write("greedy.py", RUNS);
    let ask = |stage: &mut Stage, command: &str, answer: &str| {
        let said = stage.supervisor.console(&mut stage.host, command).unwrap();
        assert!(said.contains(answer), "{command}: {said}");
    };
    let id = stage.supervisor.load(&mut stage.host, &path).unwrap().id;
    ask(&mut stage, "!pyset greedy limit_memory 300", "Script greedy: limit_memory is now 300");
    ask(&mut stage, "!pyset greedy limit_memory lots", "must be a number");
    ask(&mut stage, "!pyset greedy OnTimer hook_timeout 7", "in OnTimer: hook_timeout is now 7");
    ask(&mut stage, "!pyset greedy OnTimer nice 7", "only hook_timeout");
    ask(&mut stage, "!pyset greedy spare 0", "the same for all scripts");
    ask(&mut stage, "!pyset nobody nice 7", "There is no script nobody");
    stage.supervisor.reload(&mut stage.host, id).unwrap();
    dies_of(&mut stage, id, "kept.append(bytearray(400 << 20))", "300 MiB of memory");
    stage.supervisor.shutdown(&mut stage.host);

    // The folder is the next hub's, too: a script is known by its place in the scripts' folder.
    let mut next = Stage::with(config());
    let path = next.write("greedy.py", RUNS);
    let id = next.supervisor.load(&mut next.host, &path).unwrap().id;
    dies_of(&mut next, id, "kept.append(bytearray(400 << 20))", "300 MiB of memory");
    ask(&mut next, "!pyset greedy limit_memory -", "limit_memory is now as the hub's");
    next.supervisor.reload(&mut next.host, id).unwrap();
    assert!(chat(&mut next, "kept.append(bytearray(400 << 20))"), "no limit any more");
}

#[test]
fn a_function_without_memory() {
    let mut stage = Stage::with(patient());
    let id = with_limits(&mut stage, "greedy.py", Limits { memory: Some(300 * MIB), ..Limits::default() });
    let error =
        stage.supervisor.call(&mut stage.host, id, "get", &["bytearray(400 << 20)".into()]).unwrap_err();
    assert!(matches!(error, vhpy::supervisor::CallError::Died), "{error}");
    stage.serve_until("the report", |_, host| host.told.iter().any(|told| told.contains("300 MiB")));
}

#[test]
fn processor_time() {
    let mut stage = Stage::with(patient());
    let id = with_limits(&mut stage, "busy.py", Limits { cpu_seconds: Some(1), ..Limits::default() });
    // By the signal that can be caught, a second before the other one.
    dies_of(&mut stage, id, "while True: pass", "it used up its limit of 1 s of processor time");
}

#[test]
fn open_files() {
    let mut stage = Stage::with(patient());
    let id = with_limits(&mut stage, "opens.py", Limits { open_files: Some(40), ..Limits::default() });
    dies_of(&mut stage, id, "while True: kept.append(open('/dev/null'))", "limit of 40 open files");
    let code = "try:\n    while True: kept.append(open('/dev/null'))\nexcept OSError: kept.clear()";
    assert!(chat(&mut stage, code), "what it handles is its own");
    // An error that has nothing to do with the limit.
    assert!(!chat(&mut stage, "raise OSError(24, 'not really')"));
    assert_eq!(stage.state(id), "ready");
}

#[test]
fn processes() {
    let limits = Limits { processes: Some(0), ..Limits::default() };
    let mut stage = Stage::with(patient());
    let id = with_limits(&mut stage, "forks.py", limits);
    let number = stage.call(id, "get", &["resource.getrlimit(resource.RLIMIT_NPROC)[0]".into()]);
    assert_eq!(number, Value::Int(0));
    // SAFETY: a call without pointers.
    if unsafe { libc::getuid() } == 0 {
        // The kernel limits root only once it has given up its rights; then the user counts.
        let become_nobody = "os.setgid(65534); os.setuid(65534)";
        let code = format!("{become_nobody}\nthreading.Thread(target=print).start()");
        dies_of(&mut stage, id, &code, "limit of 0 processes and threads");
        let code = format!("{become_nobody}\nos.fork()");
        dies_of(&mut stage, id, &code, "limit of 0 processes and threads");
    } else {
        dies_of(&mut stage, id, "threading.Thread(target=print).start()", "limit of 0 processes and threads");
    }
}

/// A limit of its own making, or the hub's, is none that the hub has set for it.
#[test]
fn a_script_that_limits_itself_does_not_die_of_that() {
    let mut stage = Stage::with(patient());
    let id = stage.load("own.py", RUNS).id;
    let pid = stage.pid(id);
    let own = "resource.setrlimit(resource.RLIMIT_AS, (1 << 40, resource.RLIM_INFINITY)); raise MemoryError";
    assert!(!chat(&mut stage, own), "the event goes on");
    assert!(chat(&mut stage, "pass"));
    assert_eq!((stage.pid(id), stage.supervisor.status(id).map(|status| status.restarts)), (pid, Some(0)));
}

#[test]
fn niceness_is_added_to_the_hubs() {
    // This thread alone is made nicer, and what it starts; the test has it to itself.
    // SAFETY: a call without pointers.
    unsafe { libc::nice(2) };
    let mut stage = Stage::with(patient());
    let id = with_limits(&mut stage, "nice.py", Limits { nice: Some(3), ..Limits::default() });
    // SAFETY: a call without pointers.
    let own = i64::from(unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) });
    let code = "os.getpriority(os.PRIO_PROCESS, 0)";
    assert_eq!(stage.call(id, "get", &[code.into()]), Value::Int((own + 3).min(19)));
}

#[test]
fn without_limits_nothing_is_limited_and_all_scripts_can_be() {
    let mut stage = Stage::with(patient());
    let id = stage.load("free.py", RUNS).id;
    let all = "[resource.getrlimit(what) for what in (resource.RLIMIT_AS, resource.RLIMIT_CPU, \
               resource.RLIMIT_NPROC, resource.RLIMIT_NOFILE)]";
    let ours: Vec<_> = [libc::RLIMIT_AS, libc::RLIMIT_CPU, libc::RLIMIT_NPROC, libc::RLIMIT_NOFILE]
        .into_iter()
        .map(|resource| {
            let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
            // SAFETY: the structure is valid for writing.
            assert_eq!(unsafe { libc::getrlimit(resource, &mut limit) }, 0);
            let python =
                |limit: u64| Value::Int(if limit == libc::RLIM_INFINITY { -1 } else { limit as i64 });
            Value::List(vec![python(limit.rlim_cur), python(limit.rlim_max)])
        })
        .collect();
    assert_eq!(stage.call(id, "get", &[all.into()]), Value::List(ours));

    let limits = Limits { memory: Some(512 * MIB), open_files: Some(64), ..Limits::default() };
    stage.supervisor.configure(|config| config.limits = limits);
    let limited = stage.load("limited.py", RUNS).id;
    let code = "resource.getrlimit(resource.RLIMIT_NOFILE)[0]";
    assert_eq!(stage.call(limited, "get", &[code.into()]), Value::Int(64));
    let more = Limits { open_files: Some(128), ..Limits::default() };
    stage.supervisor.set_overrides(limited, Overrides::limited(more));
    stage.supervisor.reload(&mut stage.host, limited).unwrap();
    assert_eq!(stage.call(limited, "get", &[code.into()]), Value::Int(128));
    let code = "resource.getrlimit(resource.RLIMIT_AS)[0]";
    assert_eq!(stage.call(limited, "get", &[code.into()]), Value::Int(-1), "its own limits, all of them");
}

#[test]
fn limits_hold_for_a_spare_too() {
    let mut stage = Stage::with(Config { spare: true, ..patient() });
    let id = with_limits(&mut stage, "greedy.py", Limits { memory: Some(300 * MIB), ..Limits::default() });
    for _ in 0..3 {
        dies_of(&mut stage, id, "kept.append(bytearray(400 << 20))", "300 MiB of memory");
    }
}
