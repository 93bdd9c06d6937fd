//! Figures of scripts and hooks: what they count, what becomes of them when processes end, and what
//! operators are told.

use std::time::Duration;

use crate::support::{Stage, config, kill};
use vhpy::supervisor::{Config, Verdict};
use vhpy::{Hook, ScriptId};

fn chat(stage: &mut Stage, message: &str) -> Verdict {
    stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &["alice".into(), message.into()])
}

/// What is known of the script, once its worker has counted what it did.
fn figures(stage: &mut Stage, id: ScriptId) -> vhpy::supervisor::figures::ScriptFigures {
    stage.call(id, "done", &[]);
    stage.supervisor.status(id).unwrap().figures
}

const SCRIPT: &str = "
    import time
    import vh
    def OnParsedMsgChat(nick, message):
        if message == 'raise':
            return {}['missing']
        if message == 'sleep':
            time.sleep(0.05)
        if message == 'ask':
            vh.GetUserClass(nick)
        return 0 if message == 'block' else 1
    @vh.observer
    def OnUserLogin(nick):
        time.sleep(0.02)
    def done():
        pass
";

#[test]
fn events_blocks_exceptions_calls_and_time_are_counted_by_hook() {
    let mut stage = Stage::new();
    let id = stage.load("counted.py", SCRIPT).id;
    for message in ["one", "block", "raise", "raise", "ask", "sleep"] {
        assert_eq!(chat(&mut stage, message).blocked, message == "block");
    }
    stage.supervisor.event(&mut stage.host, Hook::OnUserLogin, &["alice".into()]);
    let figures = figures(&mut stage, id);
    assert_eq!((figures.events(), figures.blocked(), figures.raised(), figures.calls), (7, 1, 2, 1));
    let [chat, login] = &figures.hooks[..] else { panic!("{figures:?}") };
    // The slowest comes first.
    assert_eq!(
        (chat.hook, chat.events, login.hook, login.events),
        (Hook::OnParsedMsgChat, 6, Hook::OnUserLogin, 1)
    );
    assert_eq!((chat.times.count(), chat.times.raised, login.times.count()), (6, 2, 1));
    assert!(chat.times.longest >= 50_000_000 && login.times.longest >= 20_000_000, "{figures:?}");
    assert!(chat.times.total >= chat.times.longest, "{figures:?}");
    assert_eq!(figures.longest().unwrap().0, Hook::OnParsedMsgChat);
    assert!(figures.processor.unwrap() > Duration::ZERO);
}

/// However events come: what is not measured counts as what is.
#[test]
fn of_many_events_none_is_lost_and_a_long_one_is_seen() {
    let mut stage = Stage::new();
    let id = stage.load("counted.py", SCRIPT).id;
    let rounds = 500;
    for _ in 0..rounds {
        chat(&mut stage, "one");
    }
    // None of the first, which are all measured, and in the middle of others.
    chat(&mut stage, "sleep");
    for _ in 0..rounds {
        chat(&mut stage, "one");
    }
    let figures = figures(&mut stage, id);
    let hook = &figures.hooks[0];
    assert_eq!(hook.events, 2 * rounds + 1);
    // Up to an interval between two that are measured is still to be counted.
    let missing = hook.events - hook.times.count();
    assert!(missing < 64, "{figures:?}");
    assert!(hook.times.longest >= 40_000_000, "{figures:?}");
    assert!(hook.times.total >= hook.times.longest, "{figures:?}");
}

#[test]
fn figures_outlive_processes() {
    let mut stage = Stage::new();
    let id = stage.load("counted.py", SCRIPT).id;
    for message in ["raise", "sleep", "block"] {
        chat(&mut stage, message);
    }
    let before = figures(&mut stage, id);
    let pid = stage.pid(id);
    kill(pid, libc::SIGKILL);
    stage.serve_until("the restart", |supervisor, _| {
        supervisor.serving(id).is_some_and(|serving| serving as i32 != pid)
    });
    let after = figures(&mut stage, id);
    assert_eq!(after.hooks, before.hooks);
    assert!(after.processor.unwrap() >= before.processor.unwrap());
    stage.supervisor.reload(&mut stage.host, id).unwrap();
    chat(&mut stage, "block");
    let after = figures(&mut stage, id);
    assert_eq!((after.events(), after.blocked(), after.raised()), (4, 2, 1));
}

#[test]
fn what_came_late_is_counted() {
    let mut stage = Stage::with(Config { hook_timeout: Duration::from_millis(100), ..config() });
    let id = stage
        .load(
            "late.py",
            "
            import time
            def OnTimer(milliseconds):
                time.sleep(0.5)
            def done():
                pass
            ",
        )
        .id;
    stage.supervisor.event(&mut stage.host, Hook::OnTimer, &[0.into()]);
    stage.serve_until("the script to come back", |supervisor, _| supervisor.serving(id).is_some());
    let figures = figures(&mut stage, id);
    assert_eq!((figures.late, figures.hooks[0].late), (1, 1));
    assert!(figures.hooks[0].times.longest >= 500_000_000, "{figures:?}");
}

#[test]
fn operators_are_told_once_of_exceptions_and_slow_hooks_and_where_they_are() {
    let mut stage = Stage::with(Config { slow_hook: Duration::from_millis(20), ..config() });
    let id = stage.load("counted.py", SCRIPT).id;
    for message in ["raise", "sleep", "raise", "sleep"] {
        chat(&mut stage, message);
    }
    figures(&mut stage, id);
    stage.serve_until("the operators to be told", |_, host| host.told.len() >= 2);
    assert_eq!(stage.host.told.len(), 2, "{:?}", stage.host.told);
    let raised = stage.host.told.iter().find(|line| line.contains("raised")).unwrap();
    assert!(raised.contains("counted raised in OnParsedMsgChat: KeyError: 'missing' ("), "{raised}");
    assert!(raised.ends_with("counted.py:5)"), "{raised}");
    let slow = stage.host.told.iter().find(|line| line.contains("slow")).unwrap();
    assert!(
        slow.contains("counted is slow: OnParsedMsgChat took ") && slow.ends_with("counted.py:3)"),
        "{slow}"
    );
}

#[test]
fn slow_hook_can_be_changed_while_scripts_run() {
    let mut stage = Stage::new();
    let id = stage.load("counted.py", SCRIPT).id;
    stage.supervisor.configure(|config| config.slow_hook = Duration::from_millis(10));
    chat(&mut stage, "sleep");
    figures(&mut stage, id);
    stage.serve_until("the operators to be told", |_, host| !host.told.is_empty());
}

#[test]
fn the_lists_are_lines_without_columns() {
    let mut stage = Stage::new();
    stage.load("counted.py", SCRIPT);
    for message in ["raise", "sleep", "block"] {
        chat(&mut stage, message);
    }
    let id = stage.supervisor.find("counted").unwrap();
    figures(&mut stage, id);
    let mut say = |command: &str| stage.supervisor.console(&mut stage.host, command).unwrap();
    let list = say("!pylist");
    assert!(list.starts_with("0 counted: ready, process "), "{list}");
    assert!(list.contains(", 3 events, slowest "), "{list}");
    assert!(list.contains(" ms in OnParsedMsgChat, 1 exception, "), "{list}");
    assert!(!list.contains("  "), "{list}");
    let all = say("!pystat");
    assert!(all.starts_with("counted: ready, 3 events, ") && all.contains("1 blocked, 1 exception"), "{all}");
    let one = say("!pystat counted");
    let hook = one.lines().nth(1).unwrap();
    assert!(
        hook.starts_with("OnParsedMsgChat: 3 events, ") && hook.ends_with("1 blocked, 1 raised"),
        "{one}"
    );
    assert!(say("!pystat nobody").starts_with("There is no script nobody"));
}
