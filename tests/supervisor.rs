//! Scripts in processes: events, calls, deaths, restarts, ends, with a host that records.

mod support;

use std::rc::Rc;
use std::time::Duration;

use support::{LIMIT, Recorder, Stage, Watchdog, config, kill, poll, text, wait_until};
use vhpy::supervisor::{CallError, Config, Replacement, RestartLimits};
use vhpy::{Call, Hook, ScriptId, Value};

fn chat(stage: &mut Stage, nick: &str, message: &str) -> vhpy::supervisor::Verdict {
    stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &[nick.into(), message.into()])
}

#[test]
fn every_form_of_an_answer_has_its_effect() {
    let mut stage = Stage::new();
    stage.load(
        "answers.py",
        "
        ANSWERS = {'none': None, 'one': 1, 'true': True, 'seven': 7, 'zero': 0, 'false': False,
                   'text': 'instead', 'pair': ('Nick', None), 'send': ('$Hello x', 0), 'send on': ('hi|', 1),
                   'odd': [1, 2], 'float': 1.5}
        def OnParsedMsgChat(nick, message):
            return ANSWERS[message]
        ",
    );
    let replaced = |nick: Option<&str>, message: Option<&str>| {
        let bytes = |text: &str| text.as_bytes().to_vec();
        Some(Replacement::Chat { nick: nick.map(bytes), message: message.map(bytes) })
    };
    for (message, blocked, replacement, send) in [
        ("none", false, None, None),
        ("one", false, None, None),
        ("true", false, None, None),
        ("seven", false, None, None),
        ("zero", true, None, None),
        ("false", true, None, None),
        ("text", false, replaced(None, Some("instead")), None),
        ("pair", false, replaced(Some("Nick"), None), None),
        ("send", true, None, Some("$Hello x|")),
        ("send on", false, None, Some("hi|")),
        ("odd", false, None, None),
        ("float", false, None, None),
        ("an exception", false, None, None),
    ] {
        let verdict = chat(&mut stage, "someone", message);
        assert_eq!(verdict.blocked, blocked, "{message}");
        assert_eq!(verdict.replacement, replacement, "{message}");
        let send: Vec<Vec<u8>> = send.into_iter().map(|text: &str| text.as_bytes().to_vec()).collect();
        assert_eq!(verdict.send, send, "{message}");
    }
}

#[test]
fn all_scripts_get_the_event_and_any_may_block_it() {
    let mut stage = Stage::new();
    for (name, answer) in [("a", "'from a'"), ("b", "0"), ("c", "'from c'"), ("d", "1")] {
        stage.load(
            &format!("{name}.py"),
            &format!("seen = []\ndef OnParsedMsgChat(nick, message):\n    seen.append(message)\n    return {answer}\ndef get_seen():\n    return seen"),
        );
    }
    let verdict = chat(&mut stage, "n", "original");
    assert!(verdict.blocked);
    let expected = Replacement::Chat { nick: None, message: Some(b"from c".to_vec()) };
    assert_eq!(verdict.replacement, Some(expected), "the last in load order wins");
    for status in stage.supervisor.scripts() {
        let seen = stage.call(status.id, "get_seen", &[]);
        assert_eq!(seen.to_string(), "[\"original\"]", "{}", status.name);
    }
}

#[test]
fn scripts_without_the_hook_are_not_touched() {
    let mut stage = Stage::new();
    let loaded = stage.load("other.py", "def OnTimer(): pass");
    assert!(!stage.supervisor.wants(Hook::OnParsedMsgChat));
    assert!(stage.supervisor.wants(Hook::OnTimer));
    chat(&mut stage, "n", "m");
    assert_eq!(stage.supervisor.status(loaded.id).unwrap().events, 0);
}

#[test]
fn calls_inside_a_hook_are_served_at_once() {
    let mut stage = Stage::new();
    stage.host = Recorder::answering(|_, _, call, _| match call {
        Call::GetUserClass => Value::Int(3),
        Call::GetUserIP => Value::from("10.0.0.7".to_string()),
        _ => Value::Int(1),
    });
    stage.load(
        "calls.py",
        "
        def OnParsedMsgChat(nick, message):
            vh.mc(f'{nick} {vh.GetUserClass(nick)} {vh.GetUserIP(nick)}')
            return 0
        ",
    );
    assert!(chat(&mut stage, "ann", "x").blocked);
    assert_eq!(stage.host.texts(Call::mc), ["ann 3 10.0.0.7"]);
}

#[test]
fn what_is_put_off_comes_after_the_outermost_event_whatever_the_host_does_in_it() {
    let mut stage = Stage::new();
    stage.host = Recorder::answering(|supervisor, host, call, _| {
        if call == Call::KickUser {
            let args = ["op".into(), "nick".into(), "why".into()];
            supervisor.event(host, Hook::OnOperatorKicks, &args);
            supervisor.serve(host);
            // What should not come has its chance here.
            poll(supervisor.poll_fd(), 20);
            supervisor.serve(host);
            supervisor.visit(host);
        }
        Value::Int(1)
    });
    stage.load(
        "later.py",
        "
        import vh
        def OnParsedMsgChat(nick, message):
            vh.after(0, vh.mc, 'after ' + message)
            vh.KickUser('op', nick, 'why')
            vh.mc('in ' + message)
        def OnOperatorKicks(op, nick, reason):
            vh.after(0, vh.mc, 'after the kick')
        ",
    );
    for message in ["one", "two"] {
        stage.host.calls.clear();
        chat(&mut stage, "n", message);
        assert_eq!(stage.host.texts(Call::mc), [format!("in {message}")]);
        stage.serve_until("what was put off", |_, host| host.texts(Call::mc).len() == 3);
        let expected = [format!("in {message}"), format!("after {message}"), "after the kick".into()];
        assert_eq!(stage.host.texts(Call::mc), expected);
    }
    // A hub that does not poll, and asks one script: the next visit it is.
    let id = stage.supervisor.scripts()[0].id;
    stage.host.calls.clear();
    stage.supervisor.event_to(
        &mut stage.host,
        id,
        Hook::OnOperatorKicks,
        &["op".into(), "n".into(), "".into()],
    );
    assert_eq!(stage.host.texts(Call::mc), [""; 0]);
    wait_until("what was put off", || {
        stage.supervisor.visit(&mut stage.host);
        !stage.host.texts(Call::mc).is_empty()
    });
    // What is put off by a process that dies meanwhile is nobody's.
    stage.supervisor.event_to(
        &mut stage.host,
        id,
        Hook::OnOperatorKicks,
        &["op".into(), "n".into(), "".into()],
    );
    kill(stage.pid(id), libc::SIGKILL);
    stage.host.calls.clear();
    stage.serve_until("the next process", |supervisor, _| {
        supervisor.scripts()[0].restarts == 1 && supervisor.scripts()[0].state == "ready"
    });
    chat(&mut stage, "n", "three");
    stage.serve_until("what was put off", |_, host| host.texts(Call::mc).len() == 3);
}

#[test]
fn a_call_can_raise_an_event_in_the_same_script() {
    let mut stage = Stage::new();
    stage.host = Recorder::answering(|supervisor, host, call, args| {
        if call == Call::KickUser {
            let verdict = supervisor.event(host, Hook::OnOperatorKicks, &args[..3]);
            return Value::Int(i64::from(!verdict.blocked));
        }
        Value::Int(1)
    });
    stage.load(
        "nested.py",
        "
        def OnParsedMsgChat(nick, message):
            vh.mc(str(vh.KickUser('op', nick, message)))
        def OnOperatorKicks(op, nick, reason):
            vh.mc(f'kick {nick}')
            return reason != 'not me'
        ",
    );
    chat(&mut stage, "ann", "go");
    chat(&mut stage, "bob", "not me");
    assert_eq!(stage.host.texts(Call::mc), ["kick ann", "True", "kick bob", "False"]);
}

#[test]
fn nesting_ends_at_its_limit() {
    let mut stage = Stage::new();
    stage.host = Recorder::answering(|supervisor, host, call, args| {
        if call == Call::ScriptCommand {
            let args = [args[0].clone(), args[1].clone(), "".into(), "".into()];
            supervisor.event(host, Hook::OnScriptCommand, &args);
        }
        Value::Int(1)
    });
    let loaded = stage.load(
        "deep.py",
        "
        depth = 0
        def OnScriptCommand(command, data, plugin, script):
            global depth
            depth += 1
            vh.ScriptCommand(command, data, 1)
        def get_depth():
            return depth
        ",
    );
    let args = ["deep".into(), "".into(), "".into(), "".into()];
    stage.supervisor.event(&mut stage.host, Hook::OnScriptCommand, &args);
    let depth = stage.call(loaded.id, "get_depth", &[]).as_int().unwrap();
    assert!((10..=32).contains(&depth), "{depth}");
}

#[test]
fn functions_take_and_give_anything() {
    let mut stage = Stage::new();
    let loaded = stage.load(
        "functions.py",
        "
        def echo(x): return x
        def add(a, b): return a + b
        def fail(): raise ValueError('on purpose')
        ",
    );
    assert_eq!(stage.call(loaded.id, "add", &[1i64.into(), 2i64.into()]), Value::Int(3));
    let deep = Value::List(vec![
        Value::Map(vec![("key".into(), Value::List(vec![1.5.into(), true.into(), Value::Nil]))]),
        "text".into(),
    ]);
    assert_eq!(stage.call(loaded.id, "echo", std::slice::from_ref(&deep)), deep);
    let many: Value<'static> = (0..100_000).map(|number| Value::from(format!("nick{number}"))).collect();
    assert_eq!(stage.call(loaded.id, "echo", std::slice::from_ref(&many)), many);
    let long = Value::from("x".repeat(10 << 20));
    assert_eq!(stage.call(loaded.id, "echo", std::slice::from_ref(&long)), long);

    let mut error = |name: &str| {
        let result = stage.supervisor.call(&mut stage.host, loaded.id, name, &[]);
        result.expect_err(name).to_string()
    };
    assert!(error("fail").contains("ValueError: on purpose"));
    assert!(error("missing").contains("missing"));
}

#[test]
fn a_borrowed_result_stays_while_others_come() {
    let mut stage = Stage::new();
    let id = stage.load("echo.py", "def echo(value): return value").id;
    let value: Value<'static> = (0..500).map(|number| Value::from(format!("nick{number}"))).collect();
    let args = std::slice::from_ref(&value);
    let supervisor = &stage.supervisor;
    let is_same = supervisor.call_with(&mut stage.host, id, "echo", args, |result| {
        let other = Value::from("x".repeat(10_000));
        let echo = supervisor.call(&mut Recorder::default(), id, "echo", std::slice::from_ref(&other));
        assert_eq!(echo.unwrap(), other);
        result == value
    });
    assert!(is_same.unwrap());
}

#[test]
fn a_frame_beyond_the_limit_is_refused_with_a_reason() {
    let mut stage = Stage::new();
    let loaded = stage.load("big.py", "def size(x): return len(x)\ndef huge(): return 'x' * (65 << 20)");
    let huge = Value::from("x".repeat(65 << 20));
    let error = stage.supervisor.call(&mut stage.host, loaded.id, "size", &[huge]).unwrap_err();
    assert!(error.to_string().contains("at most"), "{error}");
    let error = stage.supervisor.call(&mut stage.host, loaded.id, "huge", &[]).unwrap_err();
    assert!(matches!(error, CallError::Raised(_)), "{error}");
    assert_eq!(stage.call(loaded.id, "size", &["abc".into()]), Value::Int(3), "the script goes on");
}

#[test]
fn an_answer_beyond_the_limit_fails_the_call_and_nothing_else() {
    let mut stage = Stage::new();
    let loaded = stage.load(
        "big.py",
        "
        def run():
            try:
                return len(vh.CallDynamicFunction('huge'))
            except RuntimeError as error:
                return str(error)
        ",
    );
    let huge = std::rc::Rc::new(|_: &mut dyn vhpy::Host, _: &vhpy::Supervisor, _: &[Value<'_>]| {
        Ok(Value::from("x".repeat(65 << 20)))
    });
    assert!(stage.supervisor.register_raw(loaded.id, "huge", huge));
    let reason = text(&stage.call(loaded.id, "run", &[]));
    assert!(reason.contains("at most"), "{reason}");
}

#[test]
fn a_killed_script_is_back_before_the_next_event() {
    let mut stage = Stage::with(Config { restart_wait: support::LIMIT, ..config() });
    let loaded = stage.load("filter.py", "def OnParsedMsgChat(nick, message): return 'bad' not in message");
    let pid = stage.pid(loaded.id);
    kill(pid, libc::SIGKILL);
    assert!(
        chat(&mut stage, "n", "bad").blocked,
        "the event that it had not read is given to the next process"
    );
    assert_ne!(stage.pid(loaded.id), pid);
    assert!(!chat(&mut stage, "n", "good").blocked);
    let told = stage.host.told.join("\n");
    assert!(told.contains("filter") && told.contains("SIGKILL"), "{told}");
}

#[test]
fn an_event_that_kills_is_not_given_again() {
    let mut stage = Stage::with(Config { restart_wait: support::LIMIT, ..config() });
    let loaded = stage.load(
        "dies.py",
        "
        import os
        def OnParsedMsgChat(nick, message):
            open(os.path.join(os.path.dirname(__file__), 'seen'), 'a').write(message + ' ')
            if message == 'die':
                os._exit(3)
            return 0
        ",
    );
    assert!(chat(&mut stage, "n", "one").blocked);
    assert!(!chat(&mut stage, "n", "die").blocked, "a dead script says: go on");
    assert!(chat(&mut stage, "n", "two").blocked);
    let seen = std::fs::read_to_string(stage.folder.path().join("seen")).unwrap();
    assert_eq!(seen, "one die two ");
    assert!(stage.host.told[0].contains("exit code 3"), "{:?}", stage.host.told);
    assert_eq!(stage.supervisor.status(loaded.id).unwrap().restarts, 1);
}

#[test]
fn a_script_that_dies_too_often_is_given_up_until_it_is_reloaded() {
    let restart = RestartLimits { first_delay: Duration::from_millis(1), ..RestartLimits::default() };
    let mut stage = Stage::with(Config { restart, ..config() });
    let loaded = stage.load("dies.py", "import os\ndef OnTimer(): os._exit(1)");
    for death in 1..=6 {
        stage.serve_until("the script to be ready", |supervisor, _| {
            supervisor.status(loaded.id).unwrap().state == "ready"
        });
        stage.supervisor.event(&mut stage.host, Hook::OnTimer, &[0.0.into()]);
        stage.serve_until("the death to be told", |_, host| host.told.len() == death);
    }
    assert_eq!(stage.state(loaded.id), "failed");
    assert!(stage.host.told[5].contains("!pyreload"), "{:?}", stage.host.told);
    stage.supervisor.reload(&mut stage.host, loaded.id).unwrap();
    assert_eq!(stage.state(loaded.id), "ready");
}

#[test]
fn a_script_that_comes_back_in_time_is_not_killed() {
    let mut stage = Stage::with(Config { hook_timeout: Duration::from_millis(100), ..config() });
    let loaded = stage.load(
        "slow.py",
        "
        import os, time
        def OnParsedMsgChat(nick, message):
            go = os.path.join(os.path.dirname(__file__), 'go')
            while message == 'slow' and not os.path.exists(go):
                time.sleep(0.01)
            return 0
        ",
    );
    let pid = stage.pid(loaded.id);
    assert!(!chat(&mut stage, "n", "slow").blocked);
    assert_eq!(stage.state(loaded.id), "stuck");
    stage.write("go", "");
    stage.serve_until("the late answer", |supervisor, _| {
        supervisor.status(loaded.id).unwrap().state == "ready"
    });
    assert_eq!(stage.pid(loaded.id), pid);
    stage.supervisor.configure(|config| config.hook_timeout = support::LIMIT);
    assert!(chat(&mut stage, "n", "x").blocked);
}

#[test]
fn threads_of_a_script_are_served_between_events() {
    let mut stage = Stage::new();
    stage.load(
        "threads.py",
        "
        import threading
        def work(number):
            for turn in range(50):
                vh.mc(f'{number} {turn} {vh.GetUserClass(str(number))}')
        for number in range(4):
            threading.Thread(target=work, args=(number,), daemon=True).start()
        ",
    );
    stage.serve_until("200 messages of four threads", |_, host| host.texts(Call::mc).len() == 200);
    for number in 0..4 {
        let own: Vec<_> = stage
            .host
            .texts(Call::mc)
            .into_iter()
            .filter(|line| line.starts_with(&format!("{number} ")))
            .collect();
        let expected: Vec<_> = (0..50).map(|turn| format!("{number} {turn} 1")).collect();
        assert_eq!(own, expected);
    }
}

#[test]
fn events_and_threads_go_on_side_by_side() {
    let mut stage = Stage::new();
    stage.load(
        "busy.py",
        "
        import threading
        count = 0
        def work():
            while True:
                vh.GetUsersCount()
        threading.Thread(target=work, daemon=True).start()
        def OnParsedMsgChat(nick, message):
            return message + str(vh.GetUserClass(nick))
        ",
    );
    for number in 0..2000 {
        let verdict = chat(&mut stage, "n", &format!("{number}:"));
        let expected = format!("{number}:1").into_bytes();
        assert_eq!(verdict.replacement, Some(Replacement::Chat { nick: None, message: Some(expected) }));
    }
}

/// A hub that does not poll, and wants one thing only.
#[test]
fn whatever_a_hub_calls_brings_a_script_back() {
    type Visit = fn(&mut Stage, ScriptId);
    let ways: [(&str, Visit); 6] = [
        ("an event that nobody wants", |stage, _| {
            stage.supervisor.event(&mut stage.host, Hook::OnUserLogout, &["nick".into()]);
        }),
        ("an event for it", |stage, id| {
            stage.supervisor.event_to(&mut stage.host, id, Hook::OnUserLogin, &["nick".into()]);
        }),
        ("a function that is not there", |stage, id| {
            let _ = stage.supervisor.call(&mut stage.host, id, "nothing", &[]);
        }),
        ("a command", |stage, _| {
            stage.supervisor.console(&mut stage.host, "pylist");
        }),
        ("a script that is not there", |stage, _| {
            assert!(!stage.supervisor.unload(&mut stage.host, ScriptId(77)));
        }),
        ("a glance", |stage, _| stage.supervisor.glance()),
    ];
    for (name, visit) in ways {
        let restart = RestartLimits { first_delay: Duration::from_millis(20), ..RestartLimits::default() };
        let mut stage = Stage::with(Config { restart, restart_wait: Duration::ZERO, ..config() });
        let source = "
            import threading
            def OnUserLogin(nick): return 0
            threading.Thread(target=lambda: vh.mc('from a thread'), daemon=True).start()
            ";
        let id = stage.load("dies.py", source).id;
        let has_host = name != "a glance";
        for death in 1..=2 {
            let pid = stage.pid(id);
            kill(pid, libc::SIGKILL);
            wait_until(&format!("{name}, after death {death}"), || {
                visit(&mut stage, id);
                let status = stage.supervisor.status(id).unwrap();
                let is_new = status.pid.is_some_and(|new| new != pid.unsigned_abs());
                is_new && (status.state == "ready" || !has_host)
            });
            if !has_host {
                assert!(stage.host.told.is_empty(), "a glance tells nobody anything");
                stage.serve_until("the script", |supervisor, _| {
                    supervisor.status(id).unwrap().state == "ready"
                });
                assert_eq!(stage.host.told.len(), death, "a visit tells it");
                stage.host.told.clear();
                break;
            }
            wait_until(&format!("{name}, for the call of a thread"), || {
                visit(&mut stage, id);
                stage.host.texts(Call::mc).len() > death
            });
        }
    }
}

#[test]
fn robots_go_with_their_script() {
    let mut stage = Stage::with(Config { restart_wait: Duration::ZERO, ..config() });
    let loaded = stage.load(
        "robots.py",
        "
        vh.AddRobot('one', 3, 'd', 's', 'm', '0')
        vh.AddRobot('two', 3, 'd', 's', 'm', '0')
        vh.DelRobot('one')
        ",
    );
    kill(stage.pid(loaded.id), libc::SIGKILL);
    stage.serve_until("the robot to be taken out", |_, host| host.texts(Call::DelRobot).len() >= 2);
    assert_eq!(stage.host.texts(Call::DelRobot)[1], "two");
    stage.serve_until("the restart", |supervisor, _| supervisor.status(loaded.id).unwrap().state == "ready");
    stage.supervisor.unload(&mut stage.host, loaded.id);
    assert_eq!(stage.host.texts(Call::DelRobot).last().unwrap(), "two");
}

/// A hub whose operator chat scripts can read, and in which they can give commands.
fn with_operator_chat() -> Recorder {
    let mut host = Recorder::answering(|supervisor, host, call, args| {
        if call == Call::ParseCommand {
            let answer = supervisor.console(host, &text(&args[1]));
            host.answers.push(answer.unwrap_or_default());
        }
        Value::Int(1)
    });
    host.on_told = Some(Rc::new(|supervisor, host, told| {
        supervisor.event(host, Hook::OnOpChatMessage, &["hub".into(), told.into()]);
    }));
    host
}

#[test]
fn a_script_may_give_commands_when_it_hears_of_a_death() {
    for (command, answer) in [
        ("!pyload more.py", "Script more is loaded"),
        ("!pyload dies.py", "Script "),
        ("!pyreload other", "Script other is reloaded"),
        ("!pyreload victim", "Script victim is reloaded"),
        ("!pyunload other", "Script other is unloaded"),
        ("!pyunload victim", "Script victim is unloaded"),
    ] {
        let _watchdog = Watchdog::of(&format!("{command} while the operators are told of a death"));
        let mut stage = Stage::with(Config { restart_wait: Duration::ZERO, ..config() });
        stage.host = with_operator_chat();
        stage.write("more.py", "vh.AddRobot('more', 3, 'd', 's', 'm', '0')");
        stage.write("dies.py", "import os; os._exit(3)");
        stage.load("other.py", "def UnLoad(): vh.mc('other ends in order')");
        let victim = stage.load("victim.py", "import vh");
        stage.load(
            "operator.py",
            &format!(
                "
                def OnOpChatMessage(nick, message):
                    if 'died' in message: vh.ParseCommand('op', {command:?}, 0)
                "
            ),
        );
        kill(stage.pid(victim.id), libc::SIGKILL);
        stage.serve_until(command, |_, host| !host.answers.is_empty());
        assert!(stage.host.answers[0].starts_with(answer), "{command}: {:?}", stage.host.answers);
        if command.ends_with("other") {
            assert_eq!(stage.host.texts(Call::mc), ["other ends in order"]);
        }
        // Everything goes on as before.
        stage.serve_until("every script to be ready", |supervisor, _| {
            supervisor.scripts().iter().all(|script| script.state == "ready")
        });
    }
}

/// It dies while the host is told of something else, in a wait below which it comes back.
#[test]
fn a_dead_scripts_robots_are_out_before_its_next_process_speaks() {
    let _watchdog = Watchdog::of("a script to die and come back while operators are told of another");
    let mut stage = Stage::with(Config { restart_wait: Duration::ZERO, ..config() });
    let back = stage.folder.path().join("back");
    let victim = stage.load("victim.py", "import vh");
    let owner = stage.load(
        "owner.py",
        &format!(
            "
            import os
            vh.AddRobot('robot', 3, 'd', 's', 'm', '0')
            if vh.store.get('again'): open({back:?}, 'w').close()
            vh.store['again'] = True
            "
        ),
    );
    let waits = stage.write(
        "waits.py",
        &format!("import os, time\nwhile not os.path.exists({back:?}): time.sleep(0.001)"),
    );
    let pid = stage.pid(owner.id);
    stage.host.on_told = Some(Rc::new(move |supervisor, host, told| {
        if told.starts_with("Script victim") {
            kill(pid, libc::SIGKILL);
            supervisor.load(host, &waits).unwrap();
        }
    }));
    kill(stage.pid(victim.id), libc::SIGKILL);
    stage.serve_until("the operators to be told of both", |_, host| host.told.len() == 2);
    let robots: Vec<Call> = stage.host.calls.iter().map(|(_, call, _)| *call).collect();
    assert_eq!(robots, [Call::AddRobot, Call::DelRobot, Call::AddRobot]);
    assert!(stage.host.told[1].starts_with("Script owner"), "{:?}", stage.host.told);
}

#[test]
fn where_calls_are_nested_too_deeply_a_reload_changes_nothing() {
    let mut stage = Stage::new();
    let deep = stage.load("deep.py", "def again(): vh.KickUser('op', 'nick', 'why')").id;
    let other = stage.load("other.py", "import vh").id;
    let pid = stage.pid(other);
    stage.host = Recorder::answering(move |supervisor, host, _, _| {
        if let Err(CallError::TooDeep) = supervisor.call(host, deep, "again", &[]) {
            let error = supervisor.reload(host, other).map(|_| ()).unwrap_err();
            host.answers.push(error.to_string());
        }
        Value::Int(1)
    });
    stage.call(deep, "again", &[]);
    assert!(stage.host.answers[0].contains("nested deeper"), "{:?}", stage.host.answers);
    assert_eq!((stage.state(other), stage.pid(other)), ("ready", pid));
}

#[test]
fn a_script_that_unloads_itself_while_it_loads_takes_nobody_along() {
    let mut stage = Stage::new();
    let next = stage.write("next.py", "import vh");
    stage.host = Recorder::answering(move |supervisor, host, _, _| {
        let id = supervisor.find("first").unwrap();
        assert!(supervisor.unload(host, id));
        assert_eq!(supervisor.load(host, &next).unwrap().id, id, "the number is free");
        Value::Int(1)
    });
    let first = stage.write("first.py", "vh.ParseCommand('op', '!pyunload first', 0)");
    stage.supervisor.load(&mut stage.host, &first).unwrap_err();
    let left = stage.supervisor.scripts();
    assert_eq!(left.iter().map(|script| script.name.as_str()).collect::<Vec<_>>(), ["next"]);
    assert_eq!(left[0].state, "ready");
}

#[test]
fn nothing_is_loaded_while_all_is_unloaded() {
    let mut stage = Stage::new();
    stage.host = with_operator_chat();
    stage.load(
        "ends.py",
        "
        def UnLoad():
            vh.ParseCommand('op', '!pyload more.py', 0)
            vh.ParseCommand('op', '!pyreload ends', 0)
        ",
    );
    stage.write("more.py", "import vh");
    stage.supervisor.shutdown(&mut stage.host);
    assert!(stage.supervisor.scripts().is_empty());
    let answers = &stage.host.answers;
    assert!(answers.len() == 2 && answers.iter().all(|answer| answer.contains("unloaded")), "{answers:?}");
    stage.load("more.py", "import vh");
}

#[test]
fn unloading_lets_a_script_finish() {
    let mut stage = Stage::new();
    let loaded = stage.load("ends.py", "def UnLoad(): vh.mc('good bye')");
    let pid = stage.pid(loaded.id);
    assert!(stage.supervisor.unload(&mut stage.host, loaded.id));
    assert_eq!(stage.host.texts(Call::mc), ["good bye"]);
    assert!(stage.supervisor.scripts().is_empty());
    wait_until("the process to be gone", || !std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!stage.supervisor.unload(&mut stage.host, loaded.id), "there is no such script any more");
}

#[test]
fn a_script_that_does_not_end_is_made_to() {
    let mut stage = Stage::with(Config {
        hook_timeout: Duration::from_millis(100),
        kill_timeout: Duration::from_millis(100),
        ..config()
    });
    let loaded = stage.load(
        "stays.py",
        "
        import signal
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        def UnLoad():
            while True: pass
        ",
    );
    assert!(stage.supervisor.unload(&mut stage.host, loaded.id));
    assert!(stage.supervisor.scripts().is_empty());
}

#[test]
fn a_script_may_unload_itself() {
    let mut stage = Stage::new();
    stage.host = Recorder::answering(|supervisor, host, call, _| {
        if call == Call::StopHub {
            let id = supervisor.scripts()[0].id;
            assert!(supervisor.unload(host, id));
        }
        Value::Int(1)
    });
    stage.load(
        "self.py",
        "
        def OnParsedMsgChat(nick, message):
            vh.StopHub(0)
            vh.mc('still here')
            return 0
        def UnLoad(): vh.mc('now')
        ",
    );
    assert!(chat(&mut stage, "n", "m").blocked);
    assert_eq!(stage.host.texts(Call::mc), ["still here", "now"]);
    assert!(stage.supervisor.scripts().is_empty());
}

#[test]
fn what_cannot_be_loaded_says_why_and_where() {
    let mut stage = Stage::with(Config { load_timeout: Duration::from_millis(500), ..config() });
    let cases = [
        ("syntax.py", "x = 1\ndef broken(:\n", &["syntax.py:2", "SyntaxError"][..]),
        ("raises.py", "x = 1\ny = x / 0\n", &["raises.py:2", "ZeroDivisionError"]),
        ("exits.py", "import sys\nsys.exit('bye')\n", &["exits.py:2", "SystemExit", "bye"]),
        ("dies.py", "import os\nos._exit(5)\n", &["dies.py", "exit code 5"]),
        ("kills.py", "import os\nos.kill(os.getpid(), 11)\n", &["kills.py", "SIGSEGV"]),
        ("imports.py", "import does_not_exist\n", &["imports.py:1", "ModuleNotFoundError"]),
        ("hangs.py", "while True: pass\n", &["in time"]),
    ];
    for (name, source, expected) in cases {
        let path = stage.write(name, source);
        let error = stage.supervisor.load(&mut stage.host, &path).expect_err(name).to_string();
        for part in expected {
            assert!(error.contains(part), "{name}: {error}");
        }
    }
    let error = stage.supervisor.load(&mut stage.host, "/nowhere/at-all.py".as_ref()).unwrap_err();
    assert!(error.to_string().contains("no such file"), "{error}");
    assert!(stage.supervisor.scripts().is_empty());
}

#[test]
fn almost_right_names_and_missing_hooks_are_warnings() {
    let mut stage = Stage::new();
    let loaded = stage.load("almost.py", "def OnParsedMsgChatt(nick, message): pass");
    let warnings = loaded.warnings.join("\n");
    assert!(warnings.contains("OnParsedMsgChatt") && warnings.contains("OnParsedMsgChat"), "{warnings}");
}

#[test]
fn a_reload_runs_the_file_as_it_is_now() {
    let mut stage = Stage::new();
    let loaded = stage.load("changes.py", "def version(): return 1");
    stage.write("changes.py", "def version(): return 2");
    stage.supervisor.reload(&mut stage.host, loaded.id).unwrap();
    assert_eq!(stage.call(loaded.id, "version", &[]), Value::Int(2));
    stage.write("changes.py", "def version(: return 3");
    let error = stage.supervisor.reload(&mut stage.host, loaded.id).unwrap_err();
    assert!(error.to_string().contains("SyntaxError"), "{error}");
    assert_eq!(stage.state(loaded.id), "failed");
    stage.write("changes.py", "def version(): return 4");
    stage.supervisor.reload(&mut stage.host, loaded.id).unwrap();
    assert_eq!(stage.call(loaded.id, "version", &[]), Value::Int(4));
}

#[test]
fn what_is_stored_survives_a_kill_and_a_reload() {
    let mut stage = Stage::with(Config { restart_wait: support::LIMIT, ..config() });
    let loaded = stage.load(
        "stores.py",
        "
        def put(key, value): vh.store[key] = value
        def get(key): return vh.store.get(key)
        def drop(key): del vh.store[key]
        ",
    );
    let value = Value::List(vec![1i64.into(), "two".into(), Value::Map(vec![("k".into(), 3.5.into())])]);
    stage.call(loaded.id, "put", &["a".into(), value.clone()]);
    stage.call(loaded.id, "put", &["b".into(), 1i64.into()]);
    stage.call(loaded.id, "drop", &["b".into()]);
    kill(stage.pid(loaded.id), libc::SIGKILL);
    stage.serve_until("the restart", |supervisor, _| supervisor.status(loaded.id).unwrap().restarts == 1);
    assert_eq!(stage.call(loaded.id, "get", &["a".into()]), value);
    stage.supervisor.reload(&mut stage.host, loaded.id).unwrap();
    assert_eq!(stage.call(loaded.id, "get", &["a".into()]), value);
    assert_eq!(stage.call(loaded.id, "get", &["b".into()]), Value::Nil);
}

#[test]
fn usermc_and_pm_find_out_which_argument_is_the_nick() {
    let mut stage = Stage::new();
    stage.host = Recorder::answering(|_, _, call, args| match call {
        Call::GetUserClass => {
            Value::Int(if ["ann", "bob"].contains(&text(&args[0]).as_str()) { 1 } else { -2 })
        }
        _ => Value::Int(1),
    });
    let loaded = stage.load(
        "orders.py",
        "
        def run():
            vh.pm('hello', 'ann')
            vh.pm('ann', 'hello')
            vh.pm('bob', 'ann', 'hello')
            vh.usermc('ann', 'hello')
            vh.usermc('hello', 'ann', 'bot')
            vh.pm('hello', 'nobody')
        ",
    );
    stage.call(loaded.id, "run", &[]);
    let calls: Vec<String> = stage
        .host
        .calls
        .iter()
        .filter(|(_, call, _)| matches!(call, Call::pm | Call::usermc))
        .map(|(_, call, args)| {
            let args: Vec<String> =
                args.iter().map(|arg| arg.as_text().map_or("-".into(), |_| text(arg))).collect();
            format!("{} {}", call.name(), args.join(" "))
        })
        .collect();
    assert_eq!(
        calls,
        [
            "pm hello ann - -",
            "pm hello ann - -",
            "pm hello ann bob -",
            "usermc hello ann -",
            "usermc hello ann bot",
            "pm hello nobody - -",
        ]
    );
}

#[test]
fn host_functions_belong_to_one_script_and_survive_its_restart() {
    let mut stage = Stage::with(Config { restart_wait: support::LIMIT, ..config() });
    let source = "
        def run(*args):
            try:
                return vh.CallDynamicFunction('twice', *args)
            except Exception as error:
                return f'{type(error).__name__}: {error}'
        ";
    let owner = stage.load("owner.py", source);
    let other = stage.load("other.py", source);
    let function = std::rc::Rc::new(|_: &mut dyn vhpy::Host, _: &vhpy::Supervisor, args: &[Value<'_>]| {
        args.first()
            .and_then(Value::as_int)
            .map(|number| Value::Int(2 * number))
            .ok_or("no number".to_string())
    });
    assert!(stage.supervisor.register_raw(owner.id, "twice", function));
    assert_eq!(stage.call(owner.id, "run", &[21i64.into()]), Value::Int(42));
    assert_eq!(text(&stage.call(owner.id, "run", &["x".into()])), "RuntimeError: no number");
    assert!(text(&stage.call(other.id, "run", &[21i64.into()])).starts_with("NameError"));
    kill(stage.pid(owner.id), libc::SIGKILL);
    stage.serve_until("the restart", |supervisor, _| supervisor.status(owner.id).unwrap().restarts == 1);
    assert_eq!(stage.call(owner.id, "run", &[4i64.into()]), Value::Int(8));
    assert!(stage.supervisor.unregister(owner.id, "twice"));
    assert!(text(&stage.call(owner.id, "run", &[4i64.into()])).starts_with("NameError"));
}

#[test]
fn observers_are_not_waited_for_and_miss_nothing() {
    let mut stage = Stage::new();
    let loaded = stage.load(
        "observes.py",
        "
        seen = []
        @vh.observer
        def OnParsedMsgChat(nick, message):
            seen.append(int(message))
            return 0
        def get_seen(): return seen
        ",
    );
    for number in 0..5000 {
        assert!(!chat(&mut stage, "n", &number.to_string()).blocked);
    }
    let seen = stage.call(loaded.id, "get_seen", &[]);
    let expected: Value<'static> = (0..5000i64).collect();
    assert_eq!(seen, expected);
}

#[test]
fn many_scripts_load_at_once_in_order() {
    let mut stage = Stage::with(Config { spare: true, ..config() });
    let paths: Vec<_> = (0..16)
        .map(|number| {
            stage.write(
                &format!("s{number:02}.py"),
                "def OnParsedMsgChat(nick, message): return message + '!'",
            )
        })
        .collect();
    let loaded = stage.supervisor.load_all(&mut stage.host, &paths);
    let ids: Vec<i32> = loaded.iter().map(|result| result.as_ref().unwrap().id.0).collect();
    assert_eq!(ids, (0..16).collect::<Vec<_>>());
    for number in 0..100 {
        let verdict = chat(&mut stage, "n", &number.to_string());
        let expected = format!("{number}!").into_bytes();
        assert_eq!(verdict.replacement, Some(Replacement::Chat { nick: None, message: Some(expected) }));
    }
    stage.supervisor.shutdown(&mut stage.host);
    assert!(stage.supervisor.scripts().is_empty());
}

#[test]
fn files_that_a_script_left_open_are_whole_when_it_has_ended() {
    let ends = ["unload", "reload", "shutdown", "a load that fails", "sys.exit"];
    for end in ends {
        let mut stage = Stage::new();
        let file = stage.folder.path().join("kept");
        let source = format!(
            "
            import sys
            file = open({file:?}, 'a')
            file.write('precious\\n')
            def OnTimer(): sys.exit()
            "
        );
        let written = || std::fs::read_to_string(&file).unwrap();
        if end == "a load that fails" {
            let path = stage.write("keeps.py", &format!("{source}raise OSError('no more')\n"));
            let error = stage.supervisor.load(&mut stage.host, &path).unwrap_err();
            assert!(error.to_string().contains("OSError: no more"), "{error}");
            assert_eq!(written(), "precious\n", "{end}");
            continue;
        }
        let id = stage.load("keeps.py", &source).id;
        match end {
            "unload" => assert!(stage.supervisor.unload(&mut stage.host, id)),
            "reload" => drop(stage.supervisor.reload(&mut stage.host, id).unwrap()),
            "shutdown" => stage.supervisor.shutdown(&mut stage.host),
            _ => {
                stage.supervisor.event(&mut stage.host, Hook::OnTimer, &[Value::Float(0.0)]);
                stage.serve_until("the restart", |_, host| !host.told.is_empty());
            }
        }
        assert!(written().starts_with("precious\n"), "{end}");
    }
}

#[test]
fn a_load_that_fails_is_not_waited_for_longer_than_a_hook() {
    let mut stage = Stage::with(Config { hook_timeout: Duration::from_millis(50), ..config() });
    let path = stage.write(
        "stays.py",
        "
        import threading
        threading.Thread(target=threading.Event().wait).start()
        raise OSError('no more')
        ",
    );
    let error = stage.supervisor.load(&mut stage.host, &path).unwrap_err();
    assert!(error.to_string().ends_with("OSError: no more"), "{error}");
    assert!(stage.supervisor.scripts().is_empty());
}

#[test]
fn an_extension_module_that_crashes_at_the_end_is_no_death() {
    let mut stage = Stage::new();
    let source = "
        import ctypes
        class Bad:
            crash = ctypes.string_at
            def __del__(self): self.crash(0)
        bad = Bad()
        def OnTimer(): pass
        ";
    let id = stage.load("bad.py", source).id;
    stage.supervisor.reload(&mut stage.host, id).unwrap();
    assert_eq!(stage.state(id), "ready");
    assert!(stage.supervisor.unload(&mut stage.host, id));
    assert!(stage.host.told.is_empty(), "{:?}", stage.host.told);
}

#[test]
fn hooks_that_change_while_the_script_runs_are_those_that_the_hub_calls() {
    let mut stage = Stage::new();
    let source = "
        def OnParsedMsgChat(nick, message):
            global OnUserLogin
            if message == 'listen':
                OnUserLogin = lambda nick: 0
            else:
                del OnUserLogin
        ";
    let id = stage.load("listens.py", source).id;
    let login = |stage: &mut Stage| {
        let before = stage.supervisor.status(id).unwrap().events;
        let verdict = stage.supervisor.event(&mut stage.host, Hook::OnUserLogin, &["a".into()]);
        (verdict.blocked, stage.supervisor.status(id).unwrap().events - before)
    };
    assert_eq!(login(&mut stage), (false, 0));
    chat(&mut stage, "a", "listen");
    assert!(stage.supervisor.wants(Hook::OnUserLogin));
    assert_eq!(login(&mut stage), (true, 1));
    chat(&mut stage, "a", "stop");
    assert!(!stage.supervisor.wants(Hook::OnUserLogin));
    assert_eq!(login(&mut stage), (false, 0));
}

/// The hub learns of the change only when events are on their way already.
#[test]
fn a_hook_may_become_an_observer_and_back_at_any_time() {
    let mut stage = Stage::new();
    let source = "
        seen = 0
        def plain(nick, message):
            global OnParsedMsgChat, seen
            seen += 1
            OnParsedMsgChat = vh.observer(lambda *all: plain(*all)) if seen % 3 else plain
        OnParsedMsgChat = plain
        def count(): return seen
        ";
    let id = stage.load("turns.py", source).id;
    stage.load("blocks.py", "def OnParsedMsgChat(nick, message): return 0\n");
    for number in 1..=2000i64 {
        assert!(chat(&mut stage, "a", "b").blocked);
        if number % 500 == 0 {
            assert_eq!(stage.call(id, "count", &[]).as_int(), Some(number));
        }
    }
    assert_eq!(stage.state(id), "ready");
    assert!(stage.host.told.is_empty(), "{:?}", stage.host.told);
}

#[test]
fn a_folder_with_an_init_file_loads_as_a_package() {
    let mut stage = Stage::new();
    let folder = stage.folder.path().join("games");
    std::fs::create_dir_all(folder.join("cards")).unwrap();
    stage.write(
        "games/__init__.py",
        "
        import os, sys
        from . import dice
        from .cards import pick
        def who(): return [vh.name, __name__, __package__, os.path.basename(vh.path), dice.roll(), pick()]
        def is_importable(): return sys.modules[__name__].who is who
        def OnTimer(): pass
        ",
    );
    stage.write("games/dice.py", "def roll(): return 4\n");
    stage.write("games/cards/__init__.py", "from ..dice import roll\ndef pick(): return -roll()\n");
    let loaded = stage.supervisor.load(&mut stage.host, &folder).unwrap();
    assert_eq!(loaded.name, "games");
    for _ in 0..2 {
        let who = stage.call(loaded.id, "who", &[]).to_string();
        assert_eq!(who, r#"["games", "games", "games", "__init__.py", 4, -4]"#);
        assert_eq!(stage.call(loaded.id, "is_importable", &[]), Value::Bool(true));
        stage.supervisor.reload(&mut stage.host, loaded.id).unwrap();
    }
    assert_eq!(stage.supervisor.find("games"), Some(loaded.id));
    assert_eq!(stage.supervisor.find(folder.to_str().unwrap()), Some(loaded.id));
    let error = stage.supervisor.load(&mut stage.host, &folder).unwrap_err();
    assert!(error.to_string().contains("is loaded already"), "{error}");
    let empty = stage.folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let error = stage.supervisor.load(&mut stage.host, &empty).unwrap_err();
    assert!(error.to_string().ends_with("empty/__init__.py: no such file"), "{error}");
}

/// Puts an interpreter beside the scripts that runs this code before the one that it is given.
fn pretend(stage: &Stage, before: &str) {
    use std::os::unix::fs::PermissionsExt;
    let python = stage.folder.path().join(".venv/bin/python");
    std::fs::create_dir_all(python.parent().unwrap()).unwrap();
    let wrapper = format!("import sys\nboot = sys.argv[2]\nsys.argv[:3] = [\"-c\"]\n{before}\nexec(boot)");
    std::fs::write(&python, format!("#!/bin/sh\nexec python3 -c '{wrapper}' \"$@\"\n")).unwrap();
    std::fs::set_permissions(&python, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_interpreter_that_cannot_run_scripts_says_which_it_is() {
    let mut stage = Stage::new();
    let path = stage.write("a.py", "def OnTimer(): pass\n");
    for (before, is) in [
        ("sys.version_info = (3, 9, 18)", "Python 3.9.18"),
        // As in Python 2, which has none of the two.
        ("sys.version_info = (2, 7, 18); del sys.implementation, sys.abiflags", "Python 2.7.18"),
        ("sys.version_info = (3, 13, 0); sys.abiflags = \"t\"", "a free-threaded Python 3.13.0"),
        ("sys.version_info = (3, 10, 14); sys.implementation.name = \"pypy\"", "pypy 3.10.14"),
    ] {
        pretend(&stage, before);
        let error = stage.supervisor.load(&mut stage.host, &path).unwrap_err().to_string();
        let expected = format!(".venv/bin/python is {is}, but scripts need CPython 3.10 or later");
        assert!(error.contains(&expected) && error.contains("--python"), "{error}");
    }
    pretend(&stage, "");
    stage.supervisor.load(&mut stage.host, &path).unwrap();
}

#[test]
fn an_interpreter_that_does_not_start_in_time_is_said_to_be_late() {
    let mut stage = Stage::with(Config { load_timeout: Duration::from_millis(200), ..config() });
    let path = stage.write("a.py", "def OnTimer(): pass\n");
    pretend(&stage, "import time; time.sleep(1000)");
    let error = stage.supervisor.load(&mut stage.host, &path).unwrap_err().to_string();
    assert!(error.starts_with("it did not load in time: /") && error.ends_with("had not started"), "{error}");
}

/// The answer 0 blocks where the table says so, and is nothing where it is asked for no verdict.
#[test]
fn the_table_of_hooks_says_what_an_answer_of_0_does() {
    let mut stage = Stage::new();
    let names: Vec<&str> = plugin_abi::HOOKS.iter().map(|spec| spec.name).collect();
    let source = format!(
        "
        seen = []
        def hook(name):
            def called(*args): seen.append(name); return 0
            return called
        for name in {names:?}: globals()[name] = hook(name)
        def last(): return seen[-1]
        "
    );
    let id = stage.load("all.py", &source).id;
    for spec in &plugin_abi::HOOKS {
        let args: Vec<Value<'_>> = spec
            .args
            .iter()
            .map(|arg| match arg.kind {
                plugin_abi::hook::ArgKind::Text => "text".into(),
                plugin_abi::hook::ArgKind::Int => 1i64.into(),
                plugin_abi::hook::ArgKind::Float => 1.0.into(),
            })
            .collect();
        let verdict = stage.supervisor.event(&mut stage.host, spec.hook, &args);
        assert_eq!(verdict.blocked, spec.hook.can_block(), "{}", spec.name);
        assert!(verdict.replacement.is_none(), "{}", spec.name);
        let seen = stage.call(id, "last", &[]);
        assert_eq!(support::text(&seen), spec.name);
    }
}

/// Deaths before a reload count no more: the script has as many before it as any other.
#[test]
fn a_reload_forgives_the_deaths_before_it() {
    let restart =
        RestartLimits { max_deaths: 2, first_delay: Duration::from_millis(1), ..RestartLimits::default() };
    let mut stage = Stage::with(Config { restart, restart_wait: LIMIT, ..config() });
    let id = stage.load("dies.py", "def OnTimer(): pass").id;
    for reload in 0..3 {
        for death in 1..=2 {
            kill(stage.pid(id), libc::SIGKILL);
            stage.serve_until("the restart", |supervisor, _| {
                let status = supervisor.status(id).unwrap();
                status.state == "ready" && status.restarts == 2 * reload + death
            });
        }
        assert_eq!(stage.state(id), "ready", "reload {reload}");
        stage.supervisor.reload(&mut stage.host, id).unwrap();
    }
    for _ in 1..=3 {
        stage.serve_until("a process", |supervisor, _| supervisor.status(id).unwrap().state == "ready");
        let pid = stage.pid(id);
        kill(pid, libc::SIGKILL);
        stage.serve_until("its end", |supervisor, _| {
            supervisor.status(id).unwrap().pid.is_none_or(|other| i64::from(other) != i64::from(pid))
        });
    }
    stage
        .serve_until("the end of patience", |supervisor, _| supervisor.status(id).unwrap().state == "failed");
}

/// A script that fails after it put robots into the list leaves none there, whether it is loaded
/// for the first time, again, or after a death.
#[test]
fn the_robots_of_a_load_that_failed_are_taken_out() {
    let mut stage = Stage::with(Config { restart_wait: Duration::ZERO, ..config() });
    let robots = "vh.AddRobot('Robot', 3, 'd', 's', 'm', '0')\n";
    let path = stage.write("fails.py", &format!("{robots}raise ValueError('no')"));
    assert!(stage.supervisor.load(&mut stage.host, &path).is_err());
    assert_eq!(stage.host.texts(Call::AddRobot), ["Robot"]);
    stage.serve_until("the robot's end", |_, host| host.texts(Call::DelRobot) == ["Robot"]);
    stage.host.calls.clear();
    let id = stage.load("fails.py", robots).id;
    stage.write("fails.py", "vh.AddRobot('Other', 3, 'd', 's', 'm', '0')\nraise ValueError('no')");
    assert!(stage.supervisor.reload(&mut stage.host, id).is_err());
    // Whether or not it goes on as it was: the other robot is not there, and its own only with it.
    let there = |host: &Recorder, nick: &str| {
        let count = |call| host.texts(call).iter().filter(|robot| *robot == nick).count();
        count(Call::AddRobot) - count(Call::DelRobot)
    };
    stage.serve_until("the other robot's end", |_, host| there(host, "Other") == 0);
    let state = stage.state(id);
    assert_eq!(there(&stage.host, "Robot"), usize::from(state == "ready"), "{state}: {:?}", stage.host.calls);
}

/// An object that the host kept of a process that died is not one of the next process's.
#[test]
fn a_handle_kept_over_a_restart_is_nobody_elses() {
    let mut stage = Stage::with(Config { restart_wait: LIMIT, ..config() });
    let id = stage
        .load(
            "objects.py",
            "
            class Thing:
                def __init__(self, name): self.name = name
            def make(name): return Thing(name)
            def name_of(thing): return thing.name
            ",
        )
        .id;
    let old = stage.call(id, "make", &["old".into()]);
    assert!(matches!(old, Value::Handle(_)), "{old}");
    assert_eq!(stage.call(id, "name_of", std::slice::from_ref(&old)), Value::from("old"));
    kill(stage.pid(id), libc::SIGKILL);
    stage.serve_until("the restart", |supervisor, _| {
        let status = supervisor.status(id).unwrap();
        status.state == "ready" && status.restarts == 1
    });
    let new = stage.call(id, "make", &["new".into()]);
    let Value::Handle(old) = old else { unreachable!() };
    stage.supervisor.release(id, old);
    assert_eq!(stage.call(id, "name_of", std::slice::from_ref(&new)), Value::from("new"));
    let stale = stage.supervisor.call(&mut stage.host, id, "name_of", &[Value::Handle(old)]);
    assert!(stale.is_err() || new == Value::Handle(old), "{stale:?}");
}
