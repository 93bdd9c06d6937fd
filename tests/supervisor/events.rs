//! Which scripts an event reaches, and what their answers do.

use crate::support;

use crate::chat;
use crate::support::Stage;
use vhpy::supervisor::Replacement;
use vhpy::{Hook, Value};

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
