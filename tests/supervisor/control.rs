//! The control socket: what it answers, also while the hub hangs, and what it refuses.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{self, Receiver};

use crate::chat;
use crate::support::{LIMIT, Stage, Watchdog, config, kill};
use vhpy::supervisor::Config;

fn stage() -> (Stage, std::path::PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    let stage = Stage::with(Config { control: Some(path.clone()), ..config() });
    (stage, path, folder)
}

/// Sends lines; the answers come without the hello.
fn ask(path: &Path, lines: &[&str]) -> Receiver<String> {
    let mut stream = UnixStream::connect(path).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let text = lines.iter().map(|line| format!("{line}\n")).collect::<String>();
    let count = lines.len();
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        assert!(line.contains("\"control\":1"), "{line}");
        stream.write_all(text.as_bytes()).unwrap();
        for _ in 0..count {
            line.clear();
            reader.read_line(&mut line).unwrap();
            sender.send(line.trim().to_string()).unwrap();
        }
    });
    receiver
}

/// The answers, while the hub visits.
fn answers(stage: &mut Stage, path: &Path, lines: &[&str]) -> Vec<String> {
    let receiver = ask(path, lines);
    let mut answers = Vec::new();
    stage.serve_until("the answers", |_, _| {
        answers.extend(receiver.try_iter());
        answers.len() == lines.len()
    });
    answers
}

const SCRIPT: &str = "
    import vh
    def OnParsedMsgChat(nick, message):
        return 0 if message == 'bad' else 1
    def double(number):
        print('doubles', number)
        return {'twice': number * 2}
    vh.store['kept'] = [1, 'two']
";

#[test]
fn scripts_are_listed_loaded_called_and_unloaded() {
    let (mut stage, path, _folder) = stage();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let file = stage.write("one.py", SCRIPT);
    let load = format!(r#"{{"id": 1, "do": "load", "path": "{}"}}"#, file.display());
    let said = answers(
        &mut stage,
        &path,
        &[
            &load,
            r#"{"id": 2, "do": "list"}"#,
            r#"{"id": "three", "do": "call", "script": "one", "function": "double", "args": [4]}"#,
            r#"{"do": "event", "hook": "OnParsedMsgChat", "args": ["alice", "bad"]}"#,
            r#"{"do": "store", "script": "one"}"#,
            r#"{"do": "set", "option": "slow_hook", "value": "3"}"#,
            r#"{"do": "status", "script": "one"}"#,
            r#"{"do": "reload"}"#,
            r#"{"do": "unload", "script": "one"}"#,
            r#"{"do": "list"}"#,
        ],
    );
    let wanted = [
        r#"{"id":1,"answer":{"id":0,"name":"one","warnings":[]}"#,
        r#""text":"0 one: ready, process "#,
        r#"{"id":"three","answer":{"twice":8}"#,
        r#""blocked":true"#,
        r#""answer":{"kept":[1,"two"]}"#,
        "slow_hook is now 3",
        r#""hook":"OnParsedMsgChat","events":1,"blocked":1"#,
        "Script one is reloaded",
        "Script one is unloaded",
        "No script is loaded",
    ];
    for (said, wanted) in said.iter().zip(wanted) {
        assert!(said.contains(wanted), "{wanted} is not in {said}");
    }
    assert_eq!(stage.supervisor.config().slow_hook.as_secs(), 3);
    drop(stage);
    assert!(!path.exists());
}

#[test]
fn what_is_wrong_is_refused_and_the_next_request_answered() {
    let (mut stage, path, _folder) = stage();
    stage.load("one.py", SCRIPT);
    let wrong = [
        ("nonsense", "this is no request"),
        (r#"{"id": 1}"#, "an object with \\\"do\\\""),
        (r#"{"do": "dance"}"#, "there is no request dance"),
        (r#"{"do": "unload"}"#, "needs \\\"script\\\""),
        (r#"{"do": "unload", "script": "nobody"}"#, "There is no script nobody"),
        (r#"{"do": "call", "script": "one", "function": "missing"}"#, "has no function missing"),
        (r#"{"do": "event", "hook": "OnParsedMsgChat", "args": ["alone"]}"#, "takes 2 arguments, not 1"),
        (r#"{"do": "event", "hook": "OnParsedMsgChat", "args": ["alice", 5]}"#, "of another type"),
        (r#"{"do": "event", "hook": "OnNothing"}"#, "there is no hook OnNothing"),
        (r#"{"do": "set", "option": "spare", "value": "7"}"#, "must be 0 or 1"),
        (r#"{"do": "set", "option": "control", "value": "/"}"#, "cannot be changed while the hub runs"),
        (r#"{"do": "load", "path": "/nowhere.py"}"#, "no such file"),
        (r#"{"do": "log", "script": "nobody"}"#, "There is no script nobody"),
    ];
    let lines: Vec<&str> = wrong.iter().map(|(line, _)| *line).collect();
    let said = answers(&mut stage, &path, &lines);
    for (said, (line, wanted)) in said.iter().zip(wrong) {
        assert!(said.contains("\"error\":") && said.contains(wanted), "{line}: {said}");
    }
}

#[test]
fn a_hub_that_hangs_is_looked_into_and_nothing_is_done_later() {
    let (mut stage, path, _folder) = stage();
    stage.load("one.py", SCRIPT);
    let receiver = ask(&path, &[r#"{"do": "call", "script": "one", "function": "double", "args": [1]}"#]);
    stage.serve_until("the answer", |_, _| receiver.try_recv().is_ok());
    stage.supervisor.catch_up_with_output();
    // From here on this thread is a hub that hangs.
    let said = ask(&path, &[r#"{"do": "list"}"#, r#"{"do": "log", "script": "one"}"#]);
    let list = said.recv_timeout(LIMIT).unwrap();
    assert!(list.contains("one: ready") && list.contains("unseen_seconds"), "{list}");
    assert!(said.recv_timeout(LIMIT).unwrap().contains("doubles 1"));
    let said = ask(&path, &[r#"{"do": "unload", "script": "one"}"#]);
    let refused = said.recv_timeout(LIMIT).unwrap();
    assert!(
        refused.contains("the hub has not looked for ") && refused.contains("nothing was done"),
        "{refused}"
    );
    stage.supervisor.serve(&mut stage.host);
    assert!(stage.supervisor.find("one").is_some());
}

/// In Python, in C with the interpreter's lock, in a thread beside.
#[test]
fn stacks_are_seen_wherever_a_script_hangs_and_it_goes_on() {
    let go = tempfile::tempdir().unwrap();
    let file = go.path().join("go");
    let (mut stage, path, _folder) = stage();
    let id = stage.load(
        "stuck.py",
        &format!(
            "
    import ctypes, os, threading
    def beside():
        threading.Event().wait()
    threading.Thread(target=beside, daemon=True).start()
    def in_python():
        while not os.path.exists({file:?}): pass
    def in_c():
        # Keeps the interpreter's lock.
        sleep = ctypes.PyDLL(None).usleep
        while not os.path.exists({file:?}): sleep(500000)
    def OnParsedMsgChat(nick, message):
        globals()[message]()
        return 0
    "
        ),
    );
    for place in ["in_python", "in_c"] {
        let _ = std::fs::remove_file(&file);
        let (path, go) = (path.clone(), file.clone());
        let looks = std::thread::spawn(move || {
            let mut said = String::new();
            // Until the event is there.
            while !said.contains(&format!(" in {place}")) {
                let answers = ask(&path, &[r#"{"do": "stacks", "script": "stuck"}"#]);
                said = answers.recv_timeout(LIMIT).unwrap();
            }
            std::fs::write(go, "").unwrap();
            said
        });
        assert!(chat(&mut stage, "nick", place).blocked, "{place}");
        let said = looks.join().unwrap();
        assert!(said.contains(" in beside") && said.contains("Current thread"), "{said}");
    }
    assert_eq!(stage.state(id.id), "ready");
    let said = answers(&mut stage, &path, &[r#"{"do": "stacks", "script": "nobody"}"#]);
    assert!(said[0].contains("There is no script nobody"), "{said:?}");
}

fn hello(stream: &UnixStream) -> String {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    line
}

#[test]
fn clients_are_bounded_and_a_socket_that_was_left_behind_is_replaced() {
    let (stage, path, folder) = stage();
    let clients: Vec<_> = (0..16).map(|_| UnixStream::connect(&path).unwrap()).collect();
    assert!(clients.iter().all(|client| hello(client).contains("control")));
    assert!(hello(&UnixStream::connect(&path).unwrap()).contains("16 clients already"));
    drop(clients);
    drop(stage);
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    let stage = Stage::with(Config { control: Some(path.clone()), ..config() });
    assert!(hello(&UnixStream::connect(&path).unwrap()).contains("control"));
    // Nothing is left beside it.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    drop(stage);
}

/// One that says nothing, one whose request waits for the hub, one that does not read, one that has
/// sent half a line.
#[test]
fn a_hub_that_ends_waits_for_no_client_and_leaves_none_behind() {
    let _watchdog = Watchdog::of("a hub with clients to end");
    let (stage, path, _folder) = stage();
    let connected = || {
        let stream = UnixStream::connect(&path).unwrap();
        assert!(hello(&stream).contains("control"));
        stream
    };
    let (silent, half) = (connected(), connected());
    (&half).write_all(b"{\"do\": \"li").unwrap();
    let waiting = ask(&path, &[r#"{"do": "unload", "script": "one"}"#]);
    let deaf = connected();
    deaf.set_nonblocking(true).unwrap();
    // Until it is not read any more, because no answer is.
    while (&deaf).write(&[b"{}\n".as_slice(); 1000].concat()).is_ok() {}
    drop(stage);
    for stream in [silent, half] {
        assert_eq!((&stream).read(&mut [0; 100]).unwrap_or(0), 0);
    }
    // Its request was not acted on.
    assert!(waiting.recv().is_ok_and(|line| line.is_empty() || line.contains("the hub has ended")));
}

#[test]
fn a_line_that_is_too_long_is_told_so_and_nobody_else_notices() {
    let (_stage, path, _folder) = stage();
    let long = UnixStream::connect(&path).unwrap();
    assert!(hello(&long).contains("control"));
    let writer = std::thread::spawn({
        let long = long.try_clone().unwrap();
        // It stops in the middle: the hub has closed the connection.
        move || (&long).write_all(&vec![b'['; 1 << 20])
    });
    assert!(hello(&long).contains("at most 1048576 bytes"));
    assert_eq!(hello(&long), "");
    writer.join().unwrap().unwrap();
    let deep = "[".repeat(1000) + "\n";
    let other = UnixStream::connect(&path).unwrap();
    assert!(hello(&other).contains("control"));
    (&other).write_all(deep.as_bytes()).unwrap();
    assert!(hello(&other).contains("nested more than"));
}

/// The numbers of a process's sockets.
fn sockets(pid: i32) -> Vec<String> {
    let folder = format!("/proc/{pid}/fd");
    let links =
        std::fs::read_dir(folder).unwrap().filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
    links.map(|link| link.display().to_string()).filter(|link| link.starts_with("socket:")).collect()
}

/// The number of the socket that listens, or is connected, at a path, as in `/proc/self/fd`.
fn sockets_at(path: &Path) -> Vec<String> {
    let table = std::fs::read_to_string("/proc/net/unix").unwrap();
    let lines = table.lines().filter(|line| line.ends_with(path.to_str().unwrap()));
    lines.map(|line| format!("socket:[{}]", line.split_whitespace().nth(6).unwrap())).collect()
}

#[test]
fn a_forked_child_has_neither_the_socket_nor_its_clients() {
    let (_stage, path, _folder) = stage();
    let client = UnixStream::connect(&path).unwrap();
    assert!(hello(&client).contains("control"));
    let at = sockets_at(&path);
    assert_eq!(at.len(), 2, "{at:?}");
    let own = i32::try_from(std::process::id()).unwrap();
    assert!(at.iter().all(|socket| sockets(own).contains(socket)));
    let (mut forked, in_child) = std::io::pipe().unwrap();
    // SAFETY: the child writes a byte that is there, and then waits until it is killed.
    let child = unsafe { libc::fork() };
    if child == 0 {
        // SAFETY: the same.
        unsafe { libc::write(in_child.as_raw_fd(), b"1".as_ptr().cast(), 1) };
        loop {
            // SAFETY: a system call without arguments.
            unsafe { libc::pause() };
        }
    }
    drop(in_child);
    forked.read_exact(&mut [0]).unwrap();
    let inherited = sockets(child);
    kill(child, libc::SIGKILL);
    // SAFETY: waits for a child of its own; no status is asked for.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
    assert!(at.iter().all(|socket| !inherited.contains(socket)), "{at:?} {inherited:?}");
    assert!(hello(&UnixStream::connect(&path).unwrap()).contains("control"));
}

#[test]
fn a_recording_is_begun_and_ended() {
    let (mut stage, path, folder) = stage();
    stage.load("one.py", SCRIPT);
    let file = folder.path().join("recording.jsonl");
    let begin = format!(r#"{{"do": "record", "path": "{}"}}"#, file.display());
    let said = answers(
        &mut stage,
        &path,
        &[
            r#"{"do": "record"}"#,
            r#"{"do": "record", "path": 7}"#,
            &begin,
            &begin,
            r#"{"do": "event", "hook": "OnParsedMsgChat", "args": ["alice", "bad"]}"#,
            r#"{"do": "record"}"#,
        ],
    );
    assert!(said[0].contains("nothing is being recorded"), "{said:?}");
    assert!(said[1].contains("\"error\""), "{said:?}");
    assert!(said[2].contains("\"answer\":true"), "{said:?}");
    assert!(said[3].contains("being recorded into already"), "{said:?}");
    assert!(said[5].contains("has ended"), "{said:?}");
    drop(stage);
    let text = std::fs::read_to_string(file).unwrap();
    assert!(text.contains(r#""args":["alice","bad"]"#) && text.contains(r#""what":"end""#), "{text}");
}

#[test]
fn the_hub_waits_for_nothing_that_it_was_asked_for() {
    let (mut stage, path, folder) = stage();
    stage.load("one.py", SCRIPT);
    let (gate, reached) = (folder.path().join("gate"), folder.path().join("reached"));
    let slow = format!(
        "import os, time\nopen({reached:?}, 'w').close()\nwhile not os.path.exists({gate:?}): time.sleep(0.002)\n"
    );
    let slow = stage.write("slow.py", &slow);
    let load = ask(&path, &[&format!(r#"{{"do": "load", "path": "{}"}}"#, slow.display())]);
    stage.serve_until("the script to load", |_, _| reached.exists());
    for _ in 0..100 {
        assert!(chat(&mut stage, "alice", "bad").blocked);
    }
    assert!(load.try_recv().is_err(), "it has not loaded");
    // Others are answered meanwhile, also about what cannot be done just now.
    let said = answers(&mut stage, &path, &[r#"{"do": "list"}"#, r#"{"do": "reload"}"#]);
    assert!(said[0].contains("slow: starting"), "{said:?}");
    let both = said[1].contains("Script one is reloaded") && said[1].contains("slow is not reloaded");
    assert!(both && said[1].contains("\"error\":"), "{said:?}");
    std::fs::write(&gate, "").unwrap();
    let mut answer = None;
    stage.serve_until("the answer", |_, _| {
        answer = load.try_recv().ok();
        answer.is_some()
    });
    let answer = answer.unwrap();
    assert!(answer.contains(r#""name":"slow""#) && answer.contains("Script slow is loaded"), "{answer}");
    // The end of the hub waits for none of it.
    std::fs::remove_file(&gate).unwrap();
    std::fs::remove_file(&reached).unwrap();
    let reload = ask(&path, &[r#"{"do": "reload", "script": "slow"}"#]);
    stage.serve_until("the script to load again", |_, _| reached.exists());
    let _watchdog = Watchdog::of("the end of the hub");
    drop(stage);
    assert!(!reload.recv_timeout(LIMIT).unwrap().contains("\"answer\""));
}

/// A script without a process has nothing to end.
#[test]
fn what_takes_no_time_is_answered_too() {
    let (mut stage, path, _folder) = stage();
    let id = stage.load("one.py", SCRIPT).id;
    stage.supervisor.configure(|config| config.restart.max_deaths = 0);
    kill(stage.pid(id), libc::SIGKILL);
    stage.serve_until("its end", |supervisor, _| supervisor.scripts()[0].state == "failed");
    let said = answers(&mut stage, &path, &[r#"{"do": "unload", "script": "one"}"#, r#"{"do": "list"}"#]);
    assert!(
        said[0].contains("Script one is unloaded") && said[1].contains("No script is loaded"),
        "{said:?}"
    );
}
