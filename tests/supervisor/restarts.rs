//! What a script's death leaves, and how the script comes back.

use std::rc::Rc;
use std::time::Duration;

use crate::chat;
use crate::support::{LIMIT, Recorder, Stage, Watchdog, config, kill, text, wait_until};
use vhpy::supervisor::{Config, Replacement, RestartLimits};
use vhpy::{Call, Hook, ScriptId, Value};

#[test]
fn a_killed_script_is_back_before_the_next_event() {
    let mut stage = Stage::with(Config { restart_wait: LIMIT, ..config() });
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
fn who_is_restarted_meanwhile_has_their_say_in_load_order() {
    let mut stage = Stage::with(Config { restart_wait: LIMIT, ..config() });
    let replaces = |text: &str| format!("def OnParsedMsgChat(nick, message): return '{text}'");
    let first = stage.load("first.py", &replaces("first")).id;
    stage.load("second.py", &replaces("second"));
    let pid = stage.pid(first);
    kill(pid, libc::SIGKILL);
    // Seen before the event: it is handed over late, once there is a process for it.
    stage.serve_until("the death", |supervisor, _| {
        supervisor.status(first).is_some_and(|status| status.pid != u32::try_from(pid).ok())
    });
    let message = Some(b"second".to_vec());
    let replacement = chat(&mut stage, "n", "text").replacement;
    assert_eq!(replacement, Some(Replacement::Chat { nick: None, message }), "the last in load order counts");
}

#[test]
fn an_event_that_kills_is_not_given_again() {
    let mut stage = Stage::with(Config { restart_wait: LIMIT, ..config() });
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
    stage.supervisor.configure(|config| config.hook_timeout = LIMIT);
    assert!(chat(&mut stage, "n", "x").blocked);
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
pub fn with_operator_chat() -> Recorder {
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
fn what_is_stored_survives_a_kill_and_a_reload() {
    let mut stage = Stage::with(Config { restart_wait: LIMIT, ..config() });
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
