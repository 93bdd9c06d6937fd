//! Functions, from hub to script and from script to hub, with events inside them.

use crate::chat;
use crate::support::{LIMIT, Recorder, Stage, config, kill, poll, text, wait_until};
use vhpy::supervisor::{CallError, Config, Replacement};
use vhpy::{Call, Hook, Value};

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
        def deep(levels):
            value = []
            for _ in range(levels - 1): value = [value]
            return value
        ",
    );
    let most = plugin_abi::value::MAX_DEPTH as i64;
    assert!(matches!(stage.call(loaded.id, "deep", &[most.into()]), Value::List(_)));
    let deeper = stage.supervisor.call(&mut stage.host, loaded.id, "deep", &[(most + 1).into()]);
    let reason = deeper.map_err(|error| error.to_string()).expect_err("a level too many");
    assert!(reason.contains("nested deeper than 64 levels"), "{reason}");
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

#[test]
fn a_thread_of_another_script_is_served_while_a_hook_is_waited_for() {
    let mut stage = Stage::new();
    let served = std::rc::Rc::new(std::cell::Cell::new(false));
    let seen = served.clone();
    stage.host = Recorder::answering(move |_, _, call, _| match call {
        Call::mc => {
            seen.set(true);
            Value::Int(1)
        }
        Call::GetUsersCount => Value::Int(seen.get().into()),
        _ => Value::Int(1),
    });
    stage.load(
        "waits.py",
        "
        import pathlib, time
        def OnParsedMsgChat(nick, message):
            pathlib.Path(vh.path).with_name('go').touch()
            while not vh.GetUsersCount(): time.sleep(0.001)
            return 0
        ",
    );
    stage.load(
        "threaded.py",
        "
        import pathlib, threading, time
        def work():
            while not pathlib.Path(vh.path).with_name('go').exists(): time.sleep(0.001)
            vh.mc('now')
        threading.Thread(target=work, daemon=True).start()
        ",
    );
    assert!(chat(&mut stage, "n", "wait").blocked, "it waits for what the other script's thread says");
    assert!(served.get());
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
    let mut stage = Stage::with(Config { restart_wait: LIMIT, ..config() });
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
