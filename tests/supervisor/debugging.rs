//! `vhpy debug`: pdb for one client over the control socket, while the hub goes on.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use crate::chat;
use crate::support::{LIMIT, Stage, Watchdog, config, kill};
use vhpy::supervisor::Config;

const SCRIPT: &str = "
    import threading, vh
    rank = {'alice': 1}
    def OnParsedMsgChat(nick, message):
        if message == 'stop':
            breakpoint()
            return 0
        return 0 if message == 'bad' else 1
    def OnUserLogin(nick):
        print('has seen', nick)
    def beside():
        threading.Thread(target=stops, daemon=True).start()
    def stops():
        breakpoint()
        print('went on beside')
";

/// Somebody who is attached, as `vhpy debug` is.
struct Person {
    stream: UnixStream,
    chunks: Receiver<Vec<u8>>,
    seen: String,
    has_ended: bool,
}

impl Person {
    fn attach(stage: &mut Stage, path: &Path, name: &str) -> Person {
        let mut person = Person::ask(path, name);
        person.sees(stage, "breakpoint() opens pdb here\"}\n");
        person
    }

    fn ask(path: &Path, name: &str) -> Person {
        let mut stream = UnixStream::connect(path).unwrap();
        writeln!(stream, r#"{{"id": 1, "do": "debug", "script": "{name}"}}"#).unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (sender, chunks) = mpsc::channel();
        std::thread::spawn(move || {
            reader.read_line(&mut String::new()).unwrap();
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = reader.read(&mut buffer) {
                let _ = sender.send(buffer[..count].to_vec());
            }
        });
        Person { stream, chunks, seen: String::new(), has_ended: false }
    }

    fn hear(&mut self) {
        loop {
            match self.chunks.try_recv() {
                Ok(chunk) => self.seen += std::str::from_utf8(&chunk).unwrap(),
                Err(mpsc::TryRecvError::Empty) => return,
                Err(mpsc::TryRecvError::Disconnected) => return self.has_ended = true,
            }
        }
    }

    /// What was shown until this, with it.
    fn sees(&mut self, stage: &mut Stage, what: &str) -> String {
        let mut end = None;
        stage.serve_until(&format!("{what:?} for whoever debugs"), |_, _| {
            self.hear();
            end = self.seen.find(what).map(|at| at + what.len());
            assert!(end.is_some() || !self.has_ended, "{what:?} did not come: {:?}", self.seen);
            end.is_some()
        });
        let rest = self.seen.split_off(end.unwrap());
        std::mem::replace(&mut self.seen, rest)
    }

    /// What is shown after this was typed, until the next prompt.
    fn types(&mut self, stage: &mut Stage, line: &str) -> String {
        writeln!(self.stream, "{line}").unwrap();
        self.sees(stage, "(Pdb) ")
    }

    /// The last that is shown.
    fn ends_with(mut self, stage: &mut Stage) -> String {
        stage.serve_until("the end of the connection", |_, _| {
            self.hear();
            self.has_ended
        });
        self.seen
    }
}

fn stage(config: Config) -> (Stage, PathBuf, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("control");
    let stage = Stage::with(Config { control: Some(path.clone()), ..config });
    (stage, path, folder)
}

fn is_ready(stage: &mut Stage, id: vhpy::supervisor::ScriptId) {
    stage.serve_until("the script to be ready", |supervisor, _| {
        supervisor.status(id).is_some_and(|status| status.state == "ready")
    });
}

#[test]
fn breakpoint_in_a_hook_opens_pdb_while_the_hub_and_other_scripts_go_on() {
    let _watchdog = Watchdog::of("the test");
    let (mut stage, path, _folder) = stage(config());
    let id = stage.load("one.py", SCRIPT).id;
    let other = stage
        .load("other.py", "def OnParsedMsgChat(nick, message): return 0 if message == 'worse' else 1\n")
        .id;
    // As long as nobody is attached it is a line in the log.
    assert!(chat(&mut stage, "alice", "stop").blocked);
    stage.supervisor.catch_up_with_output();
    let said = stage.supervisor.last_lines(id).unwrap().join("\n");
    assert!(said.contains("line 5: nobody debugs this script, it goes on"), "{said}");
    let mut person = Person::attach(&mut stage, &path, "one");
    assert!(chat(&mut stage, "alice", "bad").blocked, "who is attached changes nothing yet");
    assert!(!chat(&mut stage, "alice", "stop").blocked, "the event goes on");
    let shown = person.sees(&mut stage, "(Pdb) ");
    assert!(shown.contains("one.py(") && shown.contains("OnParsedMsgChat()"), "{shown}");
    assert_eq!((stage.state(id), stage.state(other)), ("debugged", "ready"));
    assert!(!chat(&mut stage, "alice", "bad").blocked, "it gets no events");
    assert!(chat(&mut stage, "alice", "worse").blocked, "the other one does");
    assert_eq!(person.types(&mut stage, "p nick, rank"), "('alice', {'alice': 1})\n(Pdb) ");
    assert_eq!(person.types(&mut stage, "import vh; print(vh.GetUserClass(nick) is None)"), "False\n(Pdb) ");
    let clean = person.types(&mut stage, "print('\\x1b[2J\\x9b1m\\ttab')");
    assert_eq!(clean, "\u{fffd}[2J\u{fffd}1m\ttab\n(Pdb) ");
    let long = person.types(&mut stage, "print('é' * 300000)");
    assert_eq!(long.matches('é').count(), 300_000);
    let mut second = Person::ask(&path, "one");
    second.sees(&mut stage, "somebody debugs script one already: one at a time\"}\n");
    writeln!(person.stream, "c").unwrap();
    is_ready(&mut stage, id);
    assert!(chat(&mut stage, "alice", "bad").blocked, "it gets events again");
    // The next time as well, also step by step.
    assert!(!chat(&mut stage, "alice", "stop").blocked);
    person.sees(&mut stage, "(Pdb) ");
    person.types(&mut stage, "n");
    assert_eq!(stage.state(id), "debugged");
    writeln!(person.stream, "q").unwrap();
    is_ready(&mut stage, id);
    // Steps beyond the end of the hook end there.
    assert!(!chat(&mut stage, "alice", "stop").blocked);
    person.sees(&mut stage, "(Pdb) ");
    while !person.types(&mut stage, "n").contains("--Return--") {}
    writeln!(person.stream, "n").unwrap();
    is_ready(&mut stage, id);
    assert_eq!(stage.supervisor.status(id).unwrap().restarts, 0);
    drop(person);
    stage.supervisor.reload(&mut stage.host, id).unwrap();
    stage.supervisor.catch_up_with_output();
    let said = stage.supervisor.last_lines(id).unwrap().join("\n");
    assert!(!said.contains("Traceback"), "{said}");
}

#[test]
fn pdb_of_a_thread_keeps_events_away_until_it_goes_on() {
    let _watchdog = Watchdog::of("the test");
    let (mut stage, path, _folder) = stage(config());
    let id = stage.load("one.py", SCRIPT).id;
    let mut person = Person::attach(&mut stage, &path, "one.py");
    stage.call(id, "beside", &[]);
    assert!(person.sees(&mut stage, "(Pdb) ").contains("stops()"));
    assert_eq!(stage.state(id), "debugged");
    assert!(!chat(&mut stage, "alice", "bad").blocked);
    writeln!(person.stream, "c").unwrap();
    is_ready(&mut stage, id);
    assert!(chat(&mut stage, "alice", "bad").blocked);
}

#[test]
fn deadlines_stand_still_while_pdb_is_open_and_count_again_when_whoever_debugs_has_gone() {
    let _watchdog = Watchdog::of("the test");
    let (mut stage, path, _folder) = stage(Config { kill_timeout: Duration::from_millis(1), ..config() });
    let id = stage.load("one.py", SCRIPT).id;
    let mut person = Person::attach(&mut stage, &path, "one");
    assert!(!chat(&mut stage, "alice", "stop").blocked);
    person.sees(&mut stage, "(Pdb) ");
    for _ in 0..5 {
        // Each takes longer than a stuck script has.
        assert_eq!(person.types(&mut stage, "import time; print(time.sleep(0.01))"), "None\n(Pdb) ");
        assert_eq!(stage.state(id), "debugged");
    }
    writeln!(person.stream, "exec('while True: pass')").unwrap();
    person.stream.shutdown(Shutdown::Both).unwrap();
    stage.serve_until("the script that hangs to be killed", |supervisor, _| {
        supervisor.status(id).is_some_and(|status| status.restarts == 1 && status.state == "ready")
    });
}

#[test]
fn who_goes_lets_the_script_go_on_and_who_stays_hears_of_its_end() {
    let _watchdog = Watchdog::of("the test");
    let (mut stage, path, _folder) = stage(config());
    let id = stage.load("one.py", SCRIPT).id;
    for how in [Shutdown::Both, Shutdown::Write] {
        let mut person = Person::attach(&mut stage, &path, "one");
        chat(&mut stage, "alice", "stop");
        person.sees(&mut stage, "(Pdb) ");
        person.stream.shutdown(how).unwrap();
        is_ready(&mut stage, id);
        person.ends_with(&mut stage);
        assert!(chat(&mut stage, "alice", "stop").blocked, "nobody is attached any more");
    }
    let mut person = Person::attach(&mut stage, &path, "one");
    chat(&mut stage, "alice", "stop");
    person.sees(&mut stage, "(Pdb) ");
    kill(stage.pid(id), libc::SIGKILL);
    assert_eq!(person.ends_with(&mut stage), "The process of script one has ended\n");
    is_ready(&mut stage, id);
    // Without pdb as well.
    let person = Person::attach(&mut stage, &path, "one");
    kill(stage.pid(id), libc::SIGKILL);
    assert_eq!(person.ends_with(&mut stage), "The process of script one has ended\n");
}

#[test]
fn an_open_pdb_keeps_neither_an_unload_nor_the_end_of_the_hub() {
    let _watchdog = Watchdog::of("the test");
    let (mut stage, path, _folder) = stage(config());
    let id = stage.load("one.py", SCRIPT).id;
    let mut person = Person::attach(&mut stage, &path, "one");
    chat(&mut stage, "alice", "stop");
    person.sees(&mut stage, "(Pdb) ");
    assert!(stage.supervisor.unload(&mut stage.host, id));
    assert_eq!(stage.state(id), "gone");
    person.ends_with(&mut stage);
    let id = stage.load("one.py", SCRIPT).id;
    let mut person = Person::attach(&mut stage, &path, "one");
    chat(&mut stage, "alice", "stop");
    person.sees(&mut stage, "(Pdb) ");
    assert_eq!(stage.state(id), "debugged");
    // What is typed ahead, and not read, keeps nobody either.
    writeln!(person.stream, "exec('while True: pass')").unwrap();
    person.stream.write_all("p 1\n".repeat(1000).as_bytes()).unwrap();
    drop(stage);
    while person.chunks.recv_timeout(LIMIT).is_ok() {}
}
