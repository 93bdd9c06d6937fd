//! What is recorded, and what a recording given to a script again comes to.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::support::{Recorder, Stage, dedent, wait_until};
use vhpy::replay::{Difference, Recording, Replayed, Reservation, replay};
use vhpy::supervisor::RECORDING_LIMIT;
use vhpy::{Call, Hook, Value};

/// A hub that answers, and raises an event in the middle of a kick.
fn host() -> Recorder {
    Recorder::answering(|supervisor, host, call, args| match call {
        Call::GetUserClass => Value::Int(3),
        Call::GetUserIP => Value::from("10.1.2.3".to_string()),
        Call::KickUser => {
            let args = [args[0].clone(), args[1].clone(), args[2].clone()];
            let blocked = supervisor.event(host, Hook::OnOperatorKicks, &args).blocked;
            Value::Int(i64::from(!blocked))
        }
        _ => Value::Int(1),
    })
}

fn record(folder: &Path, source: &str, events: &[(Hook, &[&str])]) -> PathBuf {
    let path = folder.join("recording.jsonl");
    let mut stage = Stage::new();
    stage.host = host();
    stage.supervisor.record(&path, RECORDING_LIMIT).unwrap();
    stage.load("script.py", source);
    for (hook, args) in events {
        let args: Vec<Value<'_>> = args.iter().map(|arg| Value::from(*arg)).collect();
        stage.supervisor.event(&mut stage.host, *hook, &args);
    }
    assert_eq!(stage.supervisor.recording(), Some(path.clone()));
    assert_eq!(stage.supervisor.stop_recording(), Some(path.clone()));
    // Whatever was not written within that time is when the supervisor is gone.
    drop(stage);
    path
}

fn played(folder: &Path, recording: &Path, source: &str) -> Replayed {
    let script = folder.join("script.py");
    std::fs::write(&script, dedent(source)).unwrap();
    replay(&Recording::read(recording).unwrap(), &script, None, None).unwrap()
}

const TALKER: &str = "
    import vh
    def OnParsedMsgChat(nick, message):
        if message == 'bad':
            vh.KickUser('op', nick, 'bad word')
            return 0
        vh.mc(f'{nick} has class {vh.GetUserClass(nick)}')
    def OnParsedMsgPM(nick, message, to):
        vh.pm('from ' + vh.GetUserIP(nick) + ': ' + message, to)
        return 0 if 'psst' in message else 1
    def OnParsedMsgMyPass(nick, password):
        return 0 if password == 'hunter2' else 1
    def OnParsedMsgAny(nick, data):
        return 1
    def OnOperatorKicks(op, nick, reason):
        vh.mc('kick of ' + nick)
        return 0
";

const EVENTS: &[(Hook, &[&str])] = &[
    (Hook::OnParsedMsgChat, &["ann", "hello"]),
    (Hook::OnParsedMsgChat, &["ann", "+passwd hunter2"]),
    (Hook::OnParsedMsgPM, &["ann", "psst", "bob"]),
    (Hook::OnParsedMsgMyPass, &["ann", "hunter2"]),
    (Hook::OnParsedMsgAny, &["ann", "$MyPass hunter2"]),
    (Hook::OnParsedMsgAny, &["ann", "$To: bob From: ann $<ann> psst"]),
    (Hook::OnParsedMsgChat, &["bob", "bad"]),
    (Hook::OnParsedMsgChat, &["bob", "I am 10.1.2.3"]),
];

#[test]
fn a_recording_has_what_happened_and_neither_passwords_nor_private_texts_nor_addresses() {
    let folder = tempfile::tempdir().unwrap();
    let path = record(folder.path(), TALKER, EVENTS);
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    for hidden in ["hunter2", "psst", "10.1.2.3"] {
        assert!(!text.contains(hidden), "{hidden} is in {text}");
    }
    for shown in [
        r#""hook":"OnParsedMsgChat","args":["ann","hello"],"scripts":["script"]"#,
        r#""name":"mc","args":["ann has class 3",null],"answer":1"#,
        r#""args":["ann","+passwd [secret]"],"scripts":["script"],"masked":true"#,
        r#""name":"GetUserIP","args":["ann"],"answer":"198.18.0.1","masked":true"#,
        r#""args":["bob","I am 198.18.0.1"]"#,
        r#""args":["ann","$To: bob From: ann $<ann> [private]"]"#,
        r#""script":"script","answer":"block""#,
        r#""what":"end""#,
    ] {
        assert!(text.contains(shown), "{shown} is not in {text}");
    }
}

#[test]
fn a_script_that_is_the_same_answers_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = record(folder.path(), TALKER, EVENTS);
    let replayed = played(folder.path(), &path, TALKER);
    // What hangs on a text that is masked cannot be the same, and is marked.
    let marked: Vec<&Difference> = replayed.differences.iter().collect();
    assert!(replayed.is_alike(), "{marked:#?}");
    assert_eq!(marked.len(), 2, "{marked:#?}");
    assert!(marked.iter().all(|each| each.reservation == Some(Reservation::Masked)), "{marked:#?}");
    assert_eq!((replayed.events, replayed.lost), (9, 0));
}

#[test]
fn what_a_changed_script_does_otherwise_is_told_with_its_event() {
    let folder = tempfile::tempdir().unwrap();
    let path = record(folder.path(), TALKER, EVENTS);
    let changed = TALKER
        .replace("has class", "is of class")
        .replace("'kick of '", "'no kick of '")
        .replace("            return 0\n        vh.mc", "            return 1\n        vh.mc");
    let replayed = played(folder.path(), &path, &changed);
    let told: Vec<[&str; 3]> = replayed
        .differences
        .iter()
        .filter(|each| each.reservation.is_none())
        .map(|each| [each.event.as_str(), each.then.as_str(), each.now.as_str()])
        .collect();
    assert_eq!(
        told,
        [
            [
                r#"OnParsedMsgChat("ann", "hello")"#,
                r#"vh.mc("ann has class 3")"#,
                r#"vh.mc("ann is of class 3")"#
            ],
            [r#"OnParsedMsgChat("bob", "bad")"#, r#""block""#, r#""go on""#],
            // Its event came within the kick, and does again.
            [
                r#"OnOperatorKicks("op", "bob", "bad word")"#,
                r#"vh.mc("kick of bob")"#,
                r#"vh.mc("no kick of bob")"#
            ],
        ]
    );
    assert!(!replayed.is_alike());
}

#[test]
fn what_the_recording_does_not_know_and_what_dies_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let source = "
        import vh
        def OnParsedMsgChat(nick, message):
            return 1
    ";
    let events: &[(Hook, &[&str])] = &[
        (Hook::OnParsedMsgChat, &["ann", "one"]),
        (Hook::OnParsedMsgChat, &["ann", "two"]),
        (Hook::OnParsedMsgChat, &["ann", "three"]),
    ];
    let path = record(folder.path(), source, events);
    let changed = "
        import os, vh
        def OnParsedMsgChat(nick, message):
            if message == 'one':
                return vh.GetUserClass(nick) == 3
            if message == 'two':
                os._exit(3)
            vh.mc('still here')
            return 1
    ";
    let replayed = played(folder.path(), &path, changed);
    let told: Vec<_> =
        replayed.differences.iter().map(|each| (each.now.as_str(), each.reservation)).collect();
    assert_eq!(
        told,
        [
            (r#""block""#, Some(Reservation::Unknown)),
            ("no answer: it died, or was late", None),
            (r#"vh.mc("still here")"#, None),
        ]
    );
}

#[test]
fn a_recording_ends_at_its_size_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording.jsonl");
    let mut stage = Stage::new();
    stage.load("script.py", "def OnParsedMsgChat(nick, message): return 1");
    stage.supervisor.record(&path, 4096).unwrap();
    wait_until("the recording to be full", || {
        stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &["ann".into(), "hello".into()]);
        stage.supervisor.recording().is_none()
    });
    drop(stage);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.ends_with("{\"what\":\"full\"}\n"), "{text}");
    assert!(text.len() <= 4096 && text.len() > 3000, "{}", text.len());
    assert!(Recording::read(&path).is_ok());
}

#[test]
fn what_is_no_recording_is_refused_with_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    let head = r#"{"what":"recording","version":1,"encoding":"utf-8","scripts":["a"]}"#;
    let event = r#"{"what":"event","number":1,"hook":"OnUserLogin","args":["ann"],"scripts":["a"]}"#;
    let read = |text: String| {
        std::fs::write(&path, text).unwrap();
        Recording::read(&path).err().map_or_else(String::new, |error| error.to_string())
    };
    assert_eq!(read(format!("{head}\n{event}\n")), "");
    // One that was cut off.
    assert_eq!(read(format!("{head}\n{event}\n{{\"wh")), "");
    assert!(read(String::new()).contains("is no recording"));
    assert!(read("{}\n".into()).contains("is no recording"));
    assert!(read(head.replace("\"version\":1", "\"version\":2") + "\n").contains("version 2"));
    assert!(read(head.replace("utf-8", "klingon") + "\n").contains("no encoding klingon"));
    for wrong in [
        "",
        "nothing",
        &event.replace("OnUserLogin", "OnUserLogim"),
        &event.replace("[\"ann\"]", "[]"),
        &event.replace("[\"ann\"]", "7"),
    ] {
        assert!(read(format!("{head}\n{event}\n{wrong}\n")).contains("line 3 "), "{wrong}");
    }
    nix::unistd::mkfifo(&folder.path().join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert!(Recording::read(&folder.path().join("pipe")).is_err());
}

#[test]
fn what_is_put_off_until_after_the_event_is_the_same_again() {
    const SOURCE: &str = "
        import vh
        def OnParsedMsgChat(nick, message):
            vh.after(0, vh.mc, f'after {message}')
    ";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("recording.jsonl");
    let mut stage = Stage::new();
    stage.load("script.py", SOURCE);
    stage.supervisor.record(&path, RECORDING_LIMIT).unwrap();
    for (count, message) in ["one", "two"].into_iter().enumerate() {
        let args = ["ann".into(), message.into()];
        stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &args);
        stage.serve_until("what was put off", |_, host| host.texts(Call::mc).len() == count + 1);
    }
    drop(stage);
    let replayed = played(folder.path(), &path, SOURCE);
    assert!(replayed.differences.is_empty(), "{:#?}", replayed.differences);
    let changed = played(folder.path(), &path, &SOURCE.replace("after {", "then {"));
    assert_eq!(changed.differences.len(), 4, "{:#?}", changed.differences);
}
