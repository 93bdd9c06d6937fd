//! Every way in which a script can hang, and what the hub makes of it: the event goes on at its
//! deadline, the others notice nothing, the stack is kept, the script is replaced.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::{Duration, Instant};

use crate::support::{LIMIT, Recorder, Stage, config, kill, poll, wait_until};
use plugin_abi::Answer;
use vhpy::supervisor::{CallError, Config, Overrides, RestartLimits, Verdict};
use vhpy::{Call, Hook, ScriptId, Value};

const DEADLINE: Duration = Duration::from_millis(250);

/// Deadlines that a test can wait for.
fn impatient() -> Config {
    Config {
        hook_timeout: DEADLINE,
        kill_timeout: DEADLINE,
        // What is told is about lateness alone.
        slow_hook: LIMIT,
        restart: RestartLimits { max_deaths: 1000, ..RestartLimits::default() },
        ..config()
    }
}

fn chat(stage: &mut Stage, message: &str) -> Verdict {
    stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &["nick".into(), message.into()])
}

/// The same without a deadline: a busy machine must not miss it where nothing hangs.
fn chat_patiently(stage: &mut Stage, message: &str) -> Verdict {
    let short = stage.supervisor.config().hook_timeout;
    stage.supervisor.configure(|config| config.hook_timeout = LIMIT);
    let verdict = chat(stage, message);
    stage.supervisor.configure(|config| config.hook_timeout = short);
    verdict
}

/// Gives a script a deadline of its own.
fn may_take(stage: &Stage, id: ScriptId, hook_timeout: Duration) {
    let overrides = Overrides { hook_timeout: Some(hook_timeout), ..Overrides::default() };
    assert!(stage.supervisor.set_overrides(id, overrides));
}

/// One more script, which answers whatever happens to others.
fn bystander(stage: &mut Stage) -> ScriptId {
    let id = stage.load("bystander.py", "def OnParsedMsgChat(nick, message): return ('here', 1)").id;
    may_take(stage, id, LIMIT);
    id
}

/// A host in which a kick raises an event inside the event.
fn kicks_raise_events() -> Recorder {
    Recorder::answering(|supervisor, host, call, args| {
        if call == Call::KickUser {
            supervisor.event(host, Hook::OnOperatorKicks, &args[..3]);
        }
        Value::Int(1)
    })
}

/// A script that waits for a file in its hook, and the file. Then it runs `after`.
fn answers_late(stage: &mut Stage, after: &str) -> (ScriptId, PathBuf) {
    let go = stage.folder.path().join("go");
    let source = format!(
        "import os\ndef OnParsedMsgChat(nick, message):\n    while not os.path.exists({go:?}): pass\n    {after}\n    \
         return 0"
    );
    (stage.load("late.py", &source).id, go)
}

/// Waits, without the hub, until a script that was in its hook has answered.
fn wait_for_answer(pid: i32) {
    wait_until(&format!("process {pid} to answer"), || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").is_some_and(|(_, state)| state.starts_with('S'))
    });
}

fn serve_until_it_is(stage: &mut Stage, id: ScriptId, state: &str) {
    stage.serve_until(&format!("script {id} to be {state}"), |supervisor, _| {
        supervisor.status(id).unwrap().state == state
    });
}

fn wait_for_restart(stage: &mut Stage, id: ScriptId, restarts: u64) {
    stage.serve_until("the hanging script to be replaced", |supervisor, _| {
        let status = supervisor.status(id).unwrap();
        status.state == "ready" && status.restarts >= restarts
    });
}

/// Name, top level, body of the hook.
const HANGS: [(&str, &str, &str); 9] = [
    ("loop", "", "while True: pass"),
    ("sleep", "import time", "time.sleep(3600)"),
    ("socket", "import socket\na, b = socket.socketpair()", "a.recv(1)"),
    ("lock", "import threading\nlock = threading.Lock()\nlock.acquire()", "lock.acquire()"),
    (
        "handler",
        "import os, signal, time\ndef forever(*_):\n    while True: time.sleep(1)\n\
         signal.signal(signal.SIGUSR1, forever)",
        "os.kill(os.getpid(), signal.SIGUSR1); time.sleep(3600)",
    ),
    ("child", "import subprocess", "subprocess.run(['sleep', '3600'])"),
    ("native", "import ctypes\nlibc = ctypes.PyDLL(None)", "while True: libc.sleep(3600)"),
    ("regex", "import re", "re.match(r'(a+)+$', 'a' * 64 + 'b')"),
    ("deaf", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))", "while True: pass"),
];

#[test]
fn every_hang_costs_one_deadline_and_the_script_is_replaced() {
    let mut stage = Stage::with(impatient());
    let other = bystander(&mut stage);
    let other_pid = stage.pid(other);
    for (name, top, body) in HANGS {
        let name = &format!("hangs_in_{name}");
        let file = format!("{name}.py");
        let source = format!(
            "{top}\ndef OnParsedMsgChat(nick, message):\n    if message == 'hang':\n        {body}\n    return 0\n"
        );
        let id = stage.load(&file, &source).id;
        let pid = stage.pid(id);
        let start = Instant::now();
        let verdict = chat(&mut stage, "hang");
        assert!(start.elapsed() >= DEADLINE, "{name}: it has its time");
        assert!(!verdict.blocked, "{name}: the event goes on");
        assert_eq!(verdict.send, [b"here|"], "{name}: the others are heard");
        assert_eq!(stage.state(id), "stuck", "{name}");
        assert!(!chat(&mut stage, "next").blocked, "{name}: it gets no more events");
        wait_for_restart(&mut stage, id, 1);
        assert_ne!(stage.pid(id), pid, "{name}");
        assert!(chat_patiently(&mut stage, "hello").blocked, "{name}: it serves again");
        let lines = stage.supervisor.console(&mut stage.host, &format!("!pylog show {name}")).unwrap();
        assert!(lines.contains("SIGKILL") && lines.contains("stuck"), "{name}: the end is kept: {lines}");
        // Nothing reaches a script that has blocked all signals but SIGKILL.
        if name != "hangs_in_deaf" {
            assert!(lines.contains(&file) && lines.contains("OnParsedMsgChat"), "{name}: the stack: {lines}");
        }
        let told = stage.host.told.join("\n");
        assert!(told.contains(&format!("Script {name} is stuck in OnParsedMsgChat")), "{name}: {told}");
        assert!(told.contains("died: it was stuck"), "{name}: {told}");
        stage.host.told.clear();
        stage.supervisor.unload(&mut stage.host, id);
        assert_eq!(stage.pid(other), other_pid, "{name}: the others notice nothing");
    }
}

#[test]
fn a_stopped_script_is_replaced() {
    let mut stage = Stage::with(impatient());
    let id = stage.load("stopped.py", "def OnParsedMsgChat(nick, message): return 0").id;
    let other = bystander(&mut stage);
    let (pid, other_pid) = (stage.pid(id), stage.pid(other));
    kill(pid, libc::SIGSTOP);
    let verdict = chat(&mut stage, "one");
    assert!(!verdict.blocked);
    assert_eq!(verdict.send, [b"here|"]);
    wait_for_restart(&mut stage, id, 1);
    assert_ne!(stage.pid(id), pid);
    assert_eq!(stage.pid(other), other_pid);
    assert!(chat_patiently(&mut stage, "two").blocked);
}

#[test]
fn a_stopped_observer_costs_its_deadline_once() {
    let mut stage =
        Stage::with(Config { ring_bytes: 4096, hook_timeout: Duration::from_secs(2), ..impatient() });
    let id = stage.load("observer.py", "@vh.observer\ndef OnParsedMsgChat(nick, message): pass").id;
    bystander(&mut stage);
    kill(stage.pid(id), libc::SIGSTOP);
    // Its ring is full after a few of these; nothing waits for it until then.
    for _ in 0..100 {
        assert_eq!(chat(&mut stage, &"x".repeat(1000)).send, [b"here|"]);
    }
    wait_for_restart(&mut stage, id, 1);
    let told = stage.host.told.join("\n");
    assert!(told.contains("does not read"), "{told}");
}

#[test]
fn a_hang_in_an_event_that_a_call_raised_ends_too() {
    let mut stage = Stage::with(impatient());
    stage.host = kicks_raise_events();
    let outer = stage.load(
        "outer.py",
        "def OnParsedMsgChat(nick, message):\n    vh.KickUser('op', nick, 'why')\n    return 0",
    );
    let inner = stage.load("inner.py", "def OnOperatorKicks(op, nick, reason):\n    while True: pass");
    may_take(&stage, outer.id, 4 * DEADLINE);
    may_take(&stage, inner.id, 5 * DEADLINE);
    assert!(chat(&mut stage, "kick").blocked, "the outer script's time stood still meanwhile");
    assert_eq!(stage.state(outer.id), "ready");
    assert_eq!(stage.state(inner.id), "stuck");
}

/// The hub's thread may be kept by its own work, or by a machine that has too much to do, while
/// an answer lies there that came in time.
#[test]
fn an_answer_that_is_there_counts_however_late_the_hub_looks() {
    let mut stage = Stage::with(impatient());
    let (late, go) = answers_late(&mut stage, "pass");
    let pid = stage.pid(late);
    stage.host = Recorder::answering(move |supervisor, host, call, args| {
        if call == Call::KickUser {
            // Time that an inner level uses makes the hub look at the clock next.
            supervisor.event(host, Hook::OnOperatorKicks, &args[..3]);
            std::fs::write(&go, "").unwrap();
            wait_for_answer(pid);
            // The deadline passes, and what is forgiven for the inner level.
            std::thread::sleep(2 * DEADLINE);
        }
        Value::Int(1)
    });
    let calls = stage.load(
        "calls.py",
        "def OnParsedMsgChat(nick, message): vh.KickUser('op', nick, 'why')\n\
         import time\ndef OnOperatorKicks(op, nick, reason): time.sleep(0.05)",
    );
    may_take(&stage, calls.id, LIMIT);
    assert!(chat(&mut stage, "kick").blocked, "the answer was there");
    assert_eq!(stage.state(late), "ready");
}

#[test]
fn an_event_waits_for_a_restart_no_longer_than_for_an_answer() {
    let forever = 10 * LIMIT;
    let mut stage = Stage::with(Config { restart_wait: forever, load_timeout: forever, ..impatient() });
    let once = stage.folder.path().join("once");
    let id = stage
        .load(
            "loads_once.py",
            &format!(
                "import os, time\nif os.path.exists({once:?}): time.sleep(3600)\nopen({once:?}, 'w').close()\n\
                 def OnParsedMsgChat(nick, message): return 0\ndef add(a, b): return a + b"
            ),
        )
        .id;
    bystander(&mut stage);
    assert!(chat_patiently(&mut stage, "before").blocked);
    kill(stage.pid(id), libc::SIGKILL);
    for _ in 0..2 {
        let verdict = chat(&mut stage, "after");
        assert!(!verdict.blocked && verdict.send.len() == 1, "only the other answers: {verdict:?}");
        assert_eq!(stage.state(id), "starting");
    }
    let call = stage.supervisor.call(&mut stage.host, id, "add", &[Value::Int(1), Value::Int(2)]);
    assert!(matches!(call, Err(CallError::NotReady { state: "starting", .. })), "{call:?}");
}

#[test]
fn waiting_for_a_restart_is_not_the_outer_scripts_fault() {
    let forever = 10 * LIMIT;
    let mut stage = Stage::with(Config { restart_wait: forever, load_timeout: forever, ..impatient() });
    let once = stage.folder.path().join("once");
    stage.host = kicks_raise_events();
    let outer = stage.load(
        "outer.py",
        "import time\ndef OnParsedMsgChat(nick, message):\n    vh.KickUser('op', nick, 'why')\n    time.sleep(0.01)\n    \
         return 0",
    );
    let loads_once = stage.load(
        "loads_once.py",
        &format!(
            "import os, time\nif os.path.exists({once:?}): time.sleep(3600)\nopen({once:?}, 'w').close()\n\
             def OnOperatorKicks(op, nick, reason): return 1"
        ),
    );
    may_take(&stage, outer.id, 4 * DEADLINE);
    may_take(&stage, loads_once.id, 5 * DEADLINE);
    kill(stage.pid(loads_once.id), libc::SIGKILL);
    serve_until_it_is(&mut stage, loads_once.id, "starting");
    assert!(chat(&mut stage, "kick").blocked, "the outer script's time stood still meanwhile");
    assert_eq!(stage.state(outer.id), "ready");
}

#[test]
fn a_script_that_came_back_while_the_hub_did_not_look_is_not_killed() {
    let mut stage = Stage::with(impatient());
    let (late, go) = answers_late(&mut stage, "pass");
    stage.load("slow.py", "import time\ndef OnTimer(millis): time.sleep(0.05)");
    assert!(!chat(&mut stage, "before").blocked);
    assert_eq!(stage.state(late), "stuck");
    let pid = stage.pid(late);
    std::fs::write(go, "").unwrap();
    wait_for_answer(pid);
    // The hub has other things to do, and then another script that it has to wait for.
    std::thread::sleep(2 * DEADLINE);
    stage.supervisor.event(&mut stage.host, Hook::OnTimer, &[Value::Int(1)]);
    serve_until_it_is(&mut stage, late, "ready");
    assert_eq!(stage.pid(late), pid);
}

/// In a hub where nothing else happens, nothing but the script itself can tell of its return.
#[test]
fn a_stuck_script_that_returns_wakes_the_hub() {
    for after in ["pass", "vh.usermc('one', nick); vh.usermc('two', nick)"] {
        for others in [false, true] {
            let mut stage = Stage::with(Config { kill_timeout: 10 * LIMIT, ..impatient() });
            let (late, go) = answers_late(&mut stage, after);
            let slow = stage.load("slow.py", "import time\ndef OnTimer(millis): time.sleep(0.05)");
            may_take(&stage, slow.id, LIMIT);
            assert!(!chat(&mut stage, "before").blocked);
            assert_eq!(stage.state(late), "stuck");
            if others {
                // The hub sleeps for another script, and is woken by that.
                stage.supervisor.event(&mut stage.host, Hook::OnTimer, &[Value::Int(1)]);
            }
            std::fs::write(go, "").unwrap();
            serve_until_it_is(&mut stage, late, "ready");
            assert!(chat_patiently(&mut stage, "after").blocked);
        }
    }
}

/// What a script has put off until no event is in flight waits for as long as it hangs; the hub
/// sleeps meanwhile.
#[test]
fn a_hub_sleeps_while_a_script_that_has_put_something_off_is_stuck() {
    let mut stage = Stage::with(Config { kill_timeout: 10 * LIMIT, ..impatient() });
    let go = stage.folder.path().join("go");
    let source = format!(
        "import os, vh\ndef OnParsedMsgChat(nick, message):\n    vh.after(0, vh.mc, 'at last')\n    \
         while not os.path.exists({go:?}): pass\n"
    );
    let late = stage.load("late.py", &source).id;
    assert!(!chat(&mut stage, "before").blocked);
    assert_eq!(stage.state(late), "stuck");
    let mut visits = 0;
    while poll(stage.supervisor.poll_fd(), 0) {
        stage.supervisor.serve(&mut stage.host);
        visits += 1;
        assert!(visits < 1000, "the hub has something to do again and again");
    }
    std::fs::write(go, "").unwrap();
    serve_until_it_is(&mut stage, late, "ready");
    stage.serve_until("what was put off", |_, host| host.texts(Call::mc) == ["at last"]);
}

#[test]
fn a_script_that_returns_while_it_is_found_stuck_is_seen() {
    let mut stage = Stage::with(Config { kill_timeout: 10 * LIMIT, ..impatient() });
    let (late, go) = answers_late(&mut stage, "pass");
    let pid = stage.pid(late);
    stage.host.on_told = Some(Rc::new(move |_, _, text| {
        assert!(text.contains("stuck"), "{text}");
        std::fs::write(&go, "").unwrap();
        wait_for_answer(pid);
    }));
    assert!(!chat(&mut stage, "before").blocked);
    serve_until_it_is(&mut stage, late, "ready");
}

/// The moment between the hub's last look and its leaving.
#[test]
fn a_stuck_script_that_returns_while_the_hub_is_busy_is_seen() {
    let mut stage = Stage::with(Config { kill_timeout: 10 * LIMIT, ..impatient() });
    let (late, go) = answers_late(&mut stage, "pass");
    let pid = stage.pid(late);
    let slow =
        stage.load("slow.py", "import time\ndef OnTimer(millis): time.sleep(0.01); vh.SQL('select 1')");
    may_take(&stage, slow.id, LIMIT);
    for _ in 0..10 {
        let _ = std::fs::remove_file(&go);
        stage.host.respond = None;
        assert!(!chat(&mut stage, "before").blocked);
        serve_until_it_is(&mut stage, late, "stuck");
        let go = go.clone();
        stage.host.respond = Some(Rc::new(move |_, _, call, _| {
            if call == Call::SQL {
                std::fs::write(&go, "").unwrap();
                wait_for_answer(pid);
            }
            Value::Int(1)
        }));
        stage.supervisor.event(&mut stage.host, Hook::OnTimer, &[Value::Int(1)]);
        serve_until_it_is(&mut stage, late, "ready");
    }
}

/// A hub that asks a slow database cannot blame the script for the time that this takes.
#[test]
fn a_call_that_takes_the_hub_long_is_not_the_scripts_fault() {
    let deadline = Duration::from_secs(3);
    let mut stage = Stage::with(Config { hook_timeout: deadline, ..impatient() });
    stage.host = Recorder::answering(move |_, _, call, _| {
        if call == Call::SQL {
            std::thread::sleep(deadline);
        }
        Value::Int(1)
    });
    let id = stage
        .load(
            "asks.py",
            "import time\ndef ask():\n    time.sleep(0.05)  # the hub sleeps, so its clock runs\n    \
             vh.SQL('select 1')\n    time.sleep(0.05)\n    return 0\n\
             def OnParsedMsgChat(nick, message): return ask()\n\
             def UnLoad():\n    ask()\n    vh.usermc('saved', 'nick')",
        )
        .id;
    assert!(chat(&mut stage, "ask").blocked, "its answer counts");
    assert_eq!(stage.state(id), "ready");
    stage.supervisor.unload(&mut stage.host, id);
    assert_eq!(stage.host.texts(Call::usermc), ["saved"], "it could end in order");
}

/// Nor are those late whose own calls lie there meanwhile, however long that takes.
#[test]
fn who_waits_for_the_hub_is_not_late() {
    let deadline = Duration::from_secs(2);
    let mut stage = Stage::with(Config { hook_timeout: deadline, ..impatient() });
    let go = stage.folder.path().join("go");
    let asks = stage
        .load(
            "asks.py",
            "import time\ndef OnParsedMsgChat(nick, message):\n    \
             time.sleep(0.05)  # the hub sleeps, so its clock runs\n    vh.SQL('select 1')\n    return ('asked', 1)",
        )
        .id;
    may_take(&stage, asks, LIMIT);
    let waiting = ["one", "two"].map(|name| {
        let source = format!(
            "import os, time\ndef OnParsedMsgChat(nick, message):\n    while not os.path.exists({go:?}): pass\n    \
             vh.usermc('{name}', nick)\n    time.sleep(0.05)\n    return ('{name}', 1)"
        );
        stage.load(&format!("{name}.py"), &source).id
    });
    let pids = waiting.map(|id| stage.pid(id));
    stage.host = Recorder::answering(move |_, _, call, _| {
        if call == Call::SQL {
            std::fs::write(&go, "").unwrap();
            // They wait for the hub now, which takes more than all that is forgiven for calls.
            pids.into_iter().for_each(wait_for_answer);
            std::thread::sleep(2 * deadline + DEADLINE);
        }
        Value::Int(1)
    });
    let verdict = chat(&mut stage, "go");
    assert_eq!(verdict.send, [b"asked|".as_slice(), b"one|", b"two|"], "all are heard");
    for id in waiting {
        assert_eq!(stage.state(id), "ready");
    }
    assert!(stage.host.told.is_empty(), "{:?}", stage.host.told);
}

/// The same while a script loads, while it has so much time until it is killed, and in its
/// `UnLoad`.
#[test]
fn who_waits_for_the_hub_loads_returns_and_ends_in_time() {
    let deadline = Duration::from_secs(2);
    let config = Config { load_timeout: LIMIT, kill_timeout: deadline, ..impatient() };
    let mut stage = Stage::with(config);
    let [begun, go, stuck] = ["begun", "go", "stuck"].map(|name| stage.folder.path().join(name));
    let asks = format!(
        "import os, threading, time\ndef work():\n    while not os.path.exists({begun:?}): time.sleep(0.001)\n    \
         vh.SQL('select 1')\ndef ask(): threading.Thread(target=work).start()"
    );
    let asks = stage.load("asks.py", &asks).id;
    may_take(&stage, asks, LIMIT);
    stage.host = Recorder::answering({
        let (begun, go) = (begun.clone(), go.clone());
        move |_, _, call, _| {
            if call == Call::SQL {
                let pid = std::fs::read_to_string(&begun).unwrap().parse().unwrap();
                std::fs::write(&go, "").unwrap();
                // It waits for the hub now, longer than it may take.
                wait_for_answer(pid);
                std::thread::sleep(2 * deadline + DEADLINE);
            }
            Value::Int(1)
        }
    });
    let source = format!(
        "import os, time\ndef step(name):\n    with open({begun:?} + '.new', 'w') as file: file.write(str(os.getpid()))\n    \
         os.rename({begun:?} + '.new', {begun:?})\n    while not os.path.exists({go:?}): pass\n    \
         vh.usermc(name, 'nick')\n    time.sleep(0.05)\n    vh.usermc(name, 'nick')\n\
         step('loading')\ndef OnParsedMsgChat(nick, message):\n    while not os.path.exists({stuck:?}): pass\n    step('stuck')\ndef UnLoad(): step('ending')"
    );
    let next = |stage: &mut Stage| {
        for file in [&begun, &go] {
            let _ = std::fs::remove_file(file);
        }
        stage.call(asks, "ask", &[]);
    };
    next(&mut stage);
    stage.supervisor.configure(|config| config.load_timeout = deadline);
    let waits = stage.load("waits.py", &source).id;

    next(&mut stage);
    let pid = stage.pid(waits);
    chat(&mut stage, "go");
    assert_eq!(stage.state(waits), "stuck");
    std::fs::write(&stuck, "").unwrap();
    serve_until_it_is(&mut stage, waits, "ready");
    assert_eq!(stage.pid(waits), pid, "it was not killed");

    next(&mut stage);
    may_take(&stage, waits, deadline);
    assert!(stage.supervisor.unload(&mut stage.host, waits));
    assert_eq!(
        stage.host.texts(Call::usermc),
        ["loading", "loading", "stuck", "stuck", "ending", "ending"],
        "each step was done to its end"
    );
}

#[test]
fn a_script_cannot_buy_time_with_calls() {
    let mut stage = Stage::with(impatient());
    stage.host = Recorder::answering(|supervisor, host, call, args| {
        match call {
            Call::KickUser => drop(supervisor.event(host, Hook::OnOperatorKicks, &args[..3])),
            // A slow hub, such as one that asks a database.
            Call::SQL => std::thread::sleep(Duration::from_millis(5)),
            _ => {}
        }
        Value::Int(1)
    });
    for (name, body) in [
        // An event inside the event, again and again, each of which ends in time.
        ("nesting", "vh.KickUser('op', nick, 'why')"),
        ("calling", "vh.SQL('SELECT 1')"),
        ("quick", "vh.GetUserClass(nick)"),
        ("flooding", "threading.Thread(target=vh.SQL, args=('SELECT 1',), daemon=True).start()"),
    ] {
        let id = stage
            .load(
                &format!("{name}.py"),
                &format!(
                    "import threading, time\n\
                     def OnParsedMsgChat(nick, message):\n    while True: {body}\n\
                     def OnOperatorKicks(op, nick, reason): time.sleep(0.1)"
                ),
            )
            .id;
        let start = Instant::now();
        chat(&mut stage, "go");
        // Twice the deadline and no more is what nested events can take; the rest is room for
        // a busy machine. Without an end to it, this test would not end either.
        assert!(start.elapsed() < LIMIT, "{name}: {:?}", start.elapsed());
        assert_ne!(stage.state(id), "ready", "{name}");
        stage.supervisor.unload(&mut stage.host, id);
    }
}

#[test]
fn a_script_that_hangs_while_it_ends_is_made_to() {
    let mut stage = Stage::with(impatient());
    for (name, body) in [
        ("loops", "while True: pass"),
        ("sleeps", "import time; time.sleep(3600)"),
        ("native", "import ctypes; ctypes.PyDLL(None).sleep(3600)"),
        ("ignores", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"),
    ] {
        let id = stage.load(&format!("{name}.py"), &format!("def UnLoad():\n    {body}")).id;
        let pid = stage.pid(id);
        assert!(stage.supervisor.unload(&mut stage.host, id), "{name}");
        assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists(), "{name}: nothing is left");
    }
    let id = stage.load("exits.py", "import atexit, time\natexit.register(time.sleep, 3600)").id;
    assert!(stage.supervisor.unload(&mut stage.host, id));
    assert!(stage.supervisor.scripts().is_empty());
}

#[test]
fn a_script_that_hangs_while_it_loads_says_where() {
    let mut stage = Stage::with(Config { load_timeout: Duration::from_secs(1), ..config() });
    let path = stage.write("loads.py", "def forever():\n    while True: pass\nforever()");
    let error = stage.supervisor.load(&mut stage.host, &path).unwrap_err().to_string();
    assert!(error.contains("in time") && error.contains("loads.py\", line 2 in forever"), "{error}");
}

#[test]
fn a_function_that_hangs_is_given_up() {
    let mut stage = Stage::with(impatient());
    let id = stage.load("function.py", "def run():\n    while True: pass\ndef one(): return 1").id;
    let error = stage.supervisor.call(&mut stage.host, id, "run", &[]).unwrap_err();
    assert!(matches!(error, vhpy::supervisor::CallError::Overran), "{error}");
    wait_for_restart(&mut stage, id, 1);
    stage.supervisor.configure(|config| config.hook_timeout = LIMIT);
    assert_eq!(stage.call(id, "one", &[]), Value::Int(1));
}

#[test]
fn deadlines_can_be_set_for_a_script_and_for_a_hook() {
    let mut stage = Stage::with(Config { hook_timeout: LIMIT, kill_timeout: LIMIT, ..config() });
    let id = stage
        .load(
            "own.py",
            "
            import time
            def OnParsedMsgChat(nick, message): time.sleep(3600)
            def OnTimer(msec): time.sleep(3600)
            def OnUserLogin(nick):
                time.sleep(0.3)
                return 0
            ",
        )
        .id;
    let short = Duration::from_millis(50);
    let per_hook = [(Hook::OnTimer, 4 * short), (Hook::OnUserLogin, LIMIT)].into_iter().collect();
    let overrides =
        Overrides { hook_timeout: Some(short), per_hook, kill_timeout: Some(short), ..Overrides::default() };
    assert!(stage.supervisor.set_overrides(id, overrides));

    let start = Instant::now();
    chat(&mut stage, "x");
    assert!(start.elapsed() >= short && start.elapsed() < LIMIT, "the script's own: {:?}", start.elapsed());
    wait_for_restart(&mut stage, id, 1);

    let start = Instant::now();
    stage.supervisor.event(&mut stage.host, Hook::OnTimer, &[0.0.into()]);
    assert!(start.elapsed() >= 4 * short, "the hook's own: {:?}", start.elapsed());
    wait_for_restart(&mut stage, id, 2);

    let answer = stage.supervisor.event_to(&mut stage.host, id, Hook::OnUserLogin, &["nick".into()]);
    assert_eq!(answer, Some(Answer::Block), "a longer one for a hook beats the script's shorter one");
    assert!(!stage.supervisor.set_overrides(ScriptId(77), Overrides::default()));
}
