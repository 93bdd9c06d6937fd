//! How scripts are loaded, loaded again and unloaded, and what is said where that fails.

use crate::restarts::with_operator_chat;
use std::time::Duration;

use crate::chat;
use crate::support::{Recorder, Stage, config, wait_until};
use vhpy::supervisor::{CallError, Config, Replacement};
use vhpy::{Call, Hook, Value};

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
    stage.serve_until("the script to be gone", |supervisor, _| supervisor.scripts().is_empty());
    assert_eq!(stage.host.texts(Call::mc), ["still here", "now"]);
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
    assert!(error.to_string().contains(" serves on"), "{error}");
    assert_eq!(stage.call(loaded.id, "version", &[]), Value::Int(2));
    stage.write("changes.py", "def version(): return 4");
    stage.supervisor.reload(&mut stage.host, loaded.id).unwrap();
    assert_eq!(stage.call(loaded.id, "version", &[]), Value::Int(4));
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

#[test]
fn a_script_is_not_reloaded_inside_of_its_own_hook() {
    let mut stage = Stage::new();
    stage.host = Recorder::answering(|supervisor, host, call, _| {
        if call == Call::mc {
            let id = supervisor.find("inside").expect("it is loaded");
            let reason = supervisor.reload(host, id).map_err(|error| error.to_string());
            host.answers.push(reason.expect_err("it is inside a hook"));
        }
        Value::Int(1)
    });
    let id = stage.load("inside.py", "def OnParsedMsgChat(nick, message): vh.mc('reload me'); return 0").id;
    let pid = stage.pid(id);
    let args = ["n".into(), "text".into()];
    assert!(stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &args).blocked);
    assert!(stage.host.answers[0].contains("it is inside a hook: try again"), "{:?}", stage.host.answers);
    assert_eq!(stage.pid(id), pid);
    assert!(stage.supervisor.reload(&mut stage.host, id).is_ok());
}
