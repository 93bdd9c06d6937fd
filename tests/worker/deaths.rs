//! Every way in which a script can die, and what the hub makes of it: the event goes on, the
//! others notice nothing, a new process has the script, what is known of the end can be read.

use crate::support;
use std::path::Path;
use std::time::Duration;

use crate::support::{LIMIT, Recorder, Stage, config, kill};
use vhpy::supervisor::{CallError, Config, RestartLimits, Verdict};
use vhpy::{Call, Hook, ScriptId, Value};

/// Restarts at once, and as often as a test likes.
fn patient() -> Config {
    Config {
        restart_wait: LIMIT,
        // Every death is the first one.
        restart: RestartLimits { window: Duration::ZERO, ..RestartLimits::default() },
        ..config()
    }
}

fn chat(stage: &mut Stage, message: &str) -> Verdict {
    stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &["nick".into(), message.into()])
}

fn bystander(stage: &mut Stage) -> ScriptId {
    stage.load("bystander.py", "def OnParsedMsgChat(nick, message): return ('here', 1)").id
}

fn wait_until_ready(stage: &mut Stage, id: ScriptId, restarts: u64) {
    stage.serve_until("the script to be back", |supervisor, _| {
        let status = supervisor.status(id).unwrap();
        status.state == "ready" && status.restarts >= restarts
    });
}

/// What the hub or the worker says when a descriptor of the link is closed.
const CLOSED: &str = "a script must close only what it has opened";

/// Name, body of the hook, what the report says, whether a Python stack comes with it.
const DEATHS: [(&str, &str, &str, bool); 17] = [
    ("segv", "import ctypes; ctypes.string_at(0)", "SIGSEGV", true),
    ("raise_segv", "os.kill(os.getpid(), 11)", "SIGSEGV", true),
    ("sigkill", "os.kill(os.getpid(), 9)", "SIGKILL", false),
    ("abort", "os.abort()", "SIGABRT", true),
    ("fpe", "os.kill(os.getpid(), 8)", "SIGFPE", true),
    ("bus", "os.kill(os.getpid(), 7)", "SIGBUS", true),
    ("term", "os.kill(os.getpid(), 15); import time; time.sleep(3600)", "SIGTERM", false),
    ("exit_now", "os._exit(7)", "exit code 7", false),
    ("exit_zero", "os._exit(0)", "exit code 0", false),
    ("sys_exit", "sys.exit(3)", "exit code 3", false),
    ("sys_exit_text", "sys.exit('enough')", "exit code 1", false),
    (
        "thread",
        "t = threading.Thread(target=os._exit, args=(9,)); t.start(); t.join(60)",
        "exit code 9",
        false,
    ),
    // The C library's own parser calls itself for each bracket, which Python cannot count: what
    // goes through Python's own code is a RecursionError from 3.12 on.
    (
        "recursion",
        "import ctypes, resource\n        \
         resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, resource.getrlimit(resource.RLIMIT_STACK)[1]))\n        \
         ctypes.CDLL(None).regcomp(ctypes.create_string_buffer(256), b'(' * (1 << 20), 1)",
        "SIGSEGV",
        true,
    ),
    ("exec", "os.execv('/bin/sleep', ['sleep', '3600'])", "exec", false),
    ("closing_everything", "os.closerange(3, 256); import time; time.sleep(3600)", CLOSED, false),
    (
        "closing_while_a_child_has_it_open",
        "os.fork() or time.sleep(3600); os.closerange(3, 256)\n        \
         while True: vh.GetConfig('config', 'hub_name')",
        CLOSED,
        false,
    ),
    (
        "opening_another_under_its_number",
        "os.fork() or time.sleep(3600); os.closerange(3, 7)\n        \
         files = [open('/dev/null', 'r+') for _ in range(4)]\n        \
         while True: vh.GetConfig('config', 'hub_name')",
        CLOSED,
        false,
    ),
];

#[test]
fn every_death_lets_the_event_go_on_and_is_reported() {
    let mut stage = Stage::with(patient());
    let other = bystander(&mut stage);
    let other_pid = stage.pid(other);
    for (name, body, report, has_stack) in DEATHS {
        let name = &format!("dies_by_{name}");
        let file = format!("{name}.py");
        let source = format!(
            "import os, sys, threading, time, vh\ndef OnParsedMsgChat(nick, message):\n    if message == 'die':\n        \
             print('about to die', flush=True)\n        {body}\n    return 0\n"
        );
        let id = stage.load(&file, &source).id;
        let pid = stage.pid(id);
        let verdict = chat(&mut stage, "die");
        assert!(!verdict.blocked, "{name}: the event goes on");
        assert_eq!(verdict.send, [b"here|"], "{name}: the others are heard");
        wait_until_ready(&mut stage, id, 1);
        assert_ne!(stage.pid(id), pid, "{name}");
        assert!(!Path::new(&format!("/proc/{pid}")).exists(), "{name}: it is no zombie");
        assert!(chat(&mut stage, "hello").blocked, "{name}: it serves again");
        assert_eq!(stage.supervisor.status(id).unwrap().restarts, 1, "{name}: the event was not given again");
        let told = stage.host.told.join("\n");
        assert!(told.contains(&format!("Script {name} ")) && told.contains(report), "{name}: {told}");
        let lines = stage.supervisor.console(&mut stage.host, &format!("!pylog show {name}")).unwrap();
        assert!(lines.contains("about to die") && lines.contains(report), "{name}: {lines}");
        if has_stack {
            assert!(lines.contains(&file) && lines.contains("OnParsedMsgChat"), "{name}: the stack: {lines}");
        }
        stage.host.told.clear();
        stage.supervisor.unload(&mut stage.host, id);
        assert_eq!(stage.pid(other), other_pid, "{name}: the others notice nothing");
    }
}

#[test]
fn death_between_events_is_noticed_by_the_hub_alone() {
    let mut stage = Stage::with(patient());
    let id = stage.load("quiet.py", "def OnParsedMsgChat(nick, message): return 0").id;
    for death in 1..=3 {
        kill(stage.pid(id), libc::SIGKILL);
        wait_until_ready(&mut stage, id, death);
    }
    assert_eq!(stage.host.told.len(), 3);
}

#[test]
fn death_while_loading_says_how() {
    let mut stage = Stage::with(patient());
    for (name, source, expected) in [
        ("killed.py", "import os\nos.kill(os.getpid(), 9)", "SIGKILL"),
        ("segv.py", "import ctypes\nctypes.string_at(0)", "SIGSEGV while it was loading: Fatal Python error"),
        ("exit.py", "import os\nos._exit(4)", "exit code 4"),
        ("sys.py", "import sys\nsys.exit(4)", "SystemExit"),
        ("abort.py", "import os\nos.abort()", "SIGABRT"),
    ] {
        let path = stage.write(name, source);
        let error = stage.supervisor.load(&mut stage.host, &path).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains(name), "{name}: {error}");
    }
    assert!(stage.supervisor.scripts().is_empty());
}

#[test]
fn an_interpreter_that_dies_at_once_is_no_script() {
    for (program, expected) in [("/bin/false", "exit code 1"), ("/bin/true", "exit code 0")] {
        let mut stage = Stage::with(Config { python: Some(program.into()), ..patient() });
        let path = stage.write("any.py", "");
        let error = stage.supervisor.load(&mut stage.host, &path).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    let mut stage = Stage::with(Config { python: Some("/nowhere/python3".into()), ..patient() });
    let path = stage.write("any.py", "");
    let error = stage.supervisor.load(&mut stage.host, &path).unwrap_err().to_string();
    assert!(error.contains("/nowhere/python3"), "{error}");
}

#[test]
fn dying_again_while_it_is_restarted_ends_in_a_pause() {
    let mut stage = Stage::with(Config { restart_wait: Duration::from_millis(1), ..config() });
    let path = stage.folder.path().join("dies");
    let id = stage
        .load(
            "twice.py",
            "
            import os
            flag = os.path.join(os.path.dirname(__file__), 'dies')
            if os.path.exists(flag):
                os._exit(5)
            def OnTimer(msec): os._exit(6)
            ",
        )
        .id;
    std::fs::write(&path, "").unwrap();
    stage.supervisor.event(&mut stage.host, Hook::OnTimer, &[0.0.into()]);
    stage.serve_until("the second death", |supervisor, _| supervisor.status(id).unwrap().state == "backoff");
    std::fs::remove_file(&path).unwrap();
    wait_until_ready(&mut stage, id, 2);
    let told = stage.host.told.join("\n");
    assert!(
        told.contains("exit code 6") && told.contains("exit code 5") && told.contains("in 1 s"),
        "{told}"
    );
}

#[test]
fn all_scripts_can_die_at_once() {
    let mut stage = Stage::with(patient());
    let source =
        "import os\ndef OnParsedMsgChat(nick, message):\n    if message == 'die': os.abort()\n    return 0";
    let ids: Vec<_> = (0..8).map(|number| stage.load(&format!("s{number}.py"), source).id).collect();
    for round in 1..=2 {
        assert!(!chat(&mut stage, "die").blocked);
        for id in &ids {
            wait_until_ready(&mut stage, *id, round);
        }
        assert!(chat(&mut stage, "hello").blocked);
    }
    for id in &ids {
        kill(stage.pid(*id), libc::SIGKILL);
    }
    assert!(chat(&mut stage, "hello").blocked, "who had not read the event gets it");
    for id in ids {
        wait_until_ready(&mut stage, id, 3);
    }
}

#[test]
fn death_inside_a_call_of_the_hub() {
    let mut stage = Stage::with(patient());
    stage.host = Recorder::answering(|supervisor, _, call, _| {
        if call == Call::KickUser {
            let pid = supervisor.scripts()[0].pid.unwrap();
            kill(i32::try_from(pid).unwrap(), libc::SIGKILL);
            // It is dead before the call ends.
            support::wait_until("the end of the caller", || {
                let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
                stat.is_empty() || stat.contains(") Z ")
            });
        }
        Value::Int(1)
    });
    let id = stage
        .load(
            "caller.py",
            "def OnParsedMsgChat(nick, message):\n    if message == 'kick': vh.KickUser('op', nick, 'x')\n    return 0",
        )
        .id;
    assert!(!chat(&mut stage, "kick").blocked);
    assert_eq!(stage.host.texts(Call::KickUser).len(), 1, "the event is not given again");
    wait_until_ready(&mut stage, id, 1);
    assert!(chat(&mut stage, "x").blocked);
}

#[test]
fn an_event_that_was_read_is_not_given_again_whatever_else_was_sent() {
    let mut stage = Stage::with(patient());
    // The call is answered with an event that the dead script cannot have read, while the
    // event around it has been.
    stage.host = Recorder::answering(|supervisor, host, call, args| {
        if call == Call::KickUser {
            let pid = supervisor.scripts()[0].pid.unwrap();
            kill(i32::try_from(pid).unwrap(), libc::SIGSTOP);
            kill(i32::try_from(pid).unwrap(), libc::SIGKILL);
            supervisor.event(host, Hook::OnOperatorKicks, &args[..3]);
        }
        Value::Int(1)
    });
    let id = stage
        .load(
            "reads.py",
            "
            import os
            def note(text): open(os.path.join(os.path.dirname(__file__), 'seen'), 'a').write(text + ' ')
            def OnParsedMsgChat(nick, message):
                note('chat')
                vh.KickUser('op', nick, 'x')
            def OnOperatorKicks(op, nick, reason): note('kick')
            ",
        )
        .id;
    chat(&mut stage, "kick");
    wait_until_ready(&mut stage, id, 1);
    let seen = std::fs::read_to_string(stage.folder.path().join("seen")).unwrap();
    assert_eq!(seen, "chat kick ", "the outer event once, the inner one by the next process");
}

#[test]
fn death_in_a_function_and_in_unload() {
    let mut stage = Stage::with(patient());
    let id = stage.load("ends.py", "import os\ndef run(): os._exit(1)\ndef UnLoad(): os.abort()").id;
    let error = stage.supervisor.call(&mut stage.host, id, "run", &[]).unwrap_err();
    assert!(matches!(error, CallError::Died), "{error}");
    wait_until_ready(&mut stage, id, 1);
    let pid = stage.pid(id);
    assert!(stage.supervisor.unload(&mut stage.host, id));
    assert!(stage.supervisor.scripts().is_empty());
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn what_a_script_started_ends_with_it() {
    let mut stage = Stage::with(patient());
    let id = stage
        .load(
            "parent.py",
            "
            import os, subprocess
            child = subprocess.Popen(['sleep', '3600'])
            def get(): return child.pid
            def OnTimer(msec): os.abort()
            ",
        )
        .id;
    let child = stage.call(id, "get", &[]).as_int().unwrap();
    assert!(Path::new(&format!("/proc/{child}")).exists());
    stage.supervisor.event(&mut stage.host, Hook::OnTimer, &[0.0.into()]);
    // It may stay a zombie of whoever adopts it.
    support::wait_until("the child's end", || {
        let stat = std::fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        stat.is_empty() || stat.contains(") Z ")
    });
    wait_until_ready(&mut stage, id, 1);
}

#[test]
fn a_forked_child_cannot_speak_for_its_dead_parent() {
    let mut stage = Stage::with(patient());
    // The child has the shared memory still, and is in another process group.
    let id = stage
        .load(
            "forks.py",
            "
            import os, time
            def OnParsedMsgChat(nick, message):
                if message == 'fork':
                    if os.fork():
                        os._exit(2)
                    os.setsid()
                    for turn in range(100):
                        try: vh.mc('from the grave')
                        except Exception: pass
                        time.sleep(0.01)
                    os._exit(0)
                return 0
            ",
        )
        .id;
    assert!(!chat(&mut stage, "fork").blocked);
    wait_until_ready(&mut stage, id, 1);
    assert!(chat(&mut stage, "x").blocked);
    assert!(stage.host.texts(Call::mc).is_empty());
}

// ---------------------------------------------------------------- an upgrade meanwhile

/// A worker library of its own for the test, as it is built.
fn copied_worker(folder: &Path) -> std::path::PathBuf {
    let built = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().join("libvh_worker.so");
    let worker = folder.join("libvh_worker.so");
    std::fs::copy(built, &worker).unwrap();
    worker
}

/// What a hub of another version has.
fn of_another_build(worker: &Path) -> Vec<u8> {
    let mut bytes = std::fs::read(worker).unwrap();
    let mark = plugin_abi::start::MARK;
    let at = bytes.windows(mark.len()).position(|window| window == mark).unwrap() + mark.len();
    bytes[at..at + 5].copy_from_slice(b"9.8.7");
    bytes
}

#[test]
fn a_script_is_restarted_with_the_library_that_the_hub_began_with() {
    let folder = tempfile::tempdir().unwrap();
    let worker = copied_worker(folder.path());
    let mut stage = Stage::with(Config { worker: Some(worker.clone()), ..patient() });
    let source = "
import multiprocessing, os, vh
def OnTimer(): pass
def loaded(): return str([line for line in open('/proc/self/maps') if 'worker' in line])
def version(): return vh.__version__
def in_another(): return multiprocessing.get_context('spawn').Pool(1).apply(version)
";
    let id = stage.load("script.py", source).id;
    // A package is upgraded: another file under the name, and then none, as when it is removed.
    let newer = folder.path().join("new");
    std::fs::write(&newer, "no library at all").unwrap();
    std::fs::rename(&newer, &worker).unwrap();
    for restarts in 1..3 {
        kill(stage.pid(id), libc::SIGKILL);
        wait_until_ready(&mut stage, id, restarts);
        let loaded = support::text(&stage.call(id, "loaded", &[]));
        assert!(loaded.contains("libvh_worker.so (deleted)"), "{loaded}");
        let version = stage.call(id, "in_another", &[]);
        assert_eq!(version, env!("CARGO_PKG_VERSION").into(), "what the script starts has it too");
        let _ = std::fs::remove_file(&worker);
    }
}

#[test]
fn a_worker_library_of_another_version_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let worker = copied_worker(folder.path());
    std::fs::write(&worker, of_another_build(&worker)).unwrap();
    let refused = |worker: &Path| {
        let config = Config { worker: Some(worker.to_path_buf()), ..config() };
        vhpy::Supervisor::new(config).err().expect("it fits another hub").to_string()
    };
    let said = refused(&worker);
    let own = plugin_abi::start::BUILD;
    for part in [own, "9.8.7, protocol", &worker.display().to_string(), "from one package"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    std::fs::write(&worker, "no library at all").unwrap();
    assert!(refused(&worker).contains("an unknown version"), "{}", refused(&worker));
}
