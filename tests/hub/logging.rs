//! What the program says of itself: the log in its forms, and how it takes the end of its terminal.

use std::io::{BufRead, BufReader, Read};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::client::HubBuilder;

const CRASH: &str =
    "import os\ndef OnParsedMsgChat(nick, text):\n    print('say \"it\"\\\\n')\n    os.abort()\n";

#[test]
fn the_log_can_be_json() {
    let mut hub = HubBuilder::new().script("crash.py", CRASH).arg("--log-format").arg("json").start();
    hub.guest("alice").chat("hello");
    let line = hub.logs("SIGABRT");
    let object: serde_json::Value =
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let text = |key: &str| object[key].as_str().unwrap_or_else(|| panic!("{key}: {line}")).to_string();
    assert!(text("level") == "ERROR" && text("target").starts_with("vhpy"), "{line}");
    assert!(text("time").starts_with("20") && text("time").ends_with('Z'), "{line}");
    let printed = hub.logs(r#"say \"it\""#);
    assert!(serde_json::from_str::<serde_json::Value>(&printed).is_ok(), "{printed}");
}

/// The standard error is a file here, which says that it is the journal's or that it is not.
#[test]
fn the_journal_stamps_lines_itself() {
    let folder = tempfile::tempdir().unwrap();
    for is_journal in [true, false] {
        let file = folder.path().join(format!("log-{is_journal}"));
        let log = std::fs::File::create(&file).unwrap();
        let metadata = log.metadata().unwrap();
        let inode = metadata.ino() + u64::from(!is_journal);
        let builder = HubBuilder::new().env("JOURNAL_STREAM", &format!("{}:{inode}", metadata.dev()));
        let mut command = builder.script("broken.py", "def f(:\n").command();
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut greeting = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
        kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM).unwrap();
        child.wait().unwrap();
        let said = std::fs::read_to_string(&file).unwrap();
        let is_prefixed = |line: &str| line.starts_with('<') && line.get(2..3) == Some(">");
        let is_stamped = |line: &str| line.starts_with("[20");
        assert!(!said.is_empty(), "nothing was logged: {greeting}");
        for line in said.lines() {
            assert_eq!((is_prefixed(line), is_stamped(line)), (is_journal, !is_journal), "{line}");
        }
    }
}

/// The parts of a line that is for people: its time, what is in the brackets with it, the text.
fn parts(line: &str) -> (&str, &str, &str) {
    let (stamp, text) = line.strip_prefix('[').and_then(|rest| rest.split_once("] ")).expect(line);
    let (time, rest) = stamp.split_once(' ').expect(line);
    (time, rest.trim(), text)
}

#[test]
fn a_line_is_as_short_as_the_readme_shows() {
    let script = "print('good morning')\n";
    for levels in ["", "info"] {
        let mut hub = HubBuilder::new().script("early.py", script).env("RUST_LOG", levels).start();
        let (loaded, printed) = (hub.logs("is loaded as number 0"), hub.logs("good morning"));
        let is_asked_for = !levels.is_empty();
        let (time, level, text) = parts(&loaded);
        assert!(time.starts_with("20") && time.ends_with('Z'), "{loaded}");
        assert_eq!(level.split_whitespace().count(), 1 + usize::from(is_asked_for), "{loaded}");
        assert!(level.starts_with("INFO") && level.contains("vhpy::") == is_asked_for, "{loaded}");
        assert!(text.starts_with("script /"), "{loaded}");
        assert_eq!(parts(&printed).1, if is_asked_for { "INFO  script" } else { "INFO" }, "{printed}");
        assert_eq!(parts(&printed).2, "early: good morning");
    }
}

#[test]
fn why_a_script_is_not_loaded_is_said_once() {
    let broken = "def f():\n    raise ValueError('no rank')\nf()\n";
    let builder = HubBuilder::new().script("fine.py", "");
    let path = builder.folder().join("scripts/broken.py");
    std::fs::write(&path, broken).unwrap();
    let mut hub = builder.start();
    let path = path.display();
    assert!(
        hub.greeting.contains(&format!("  {path} is not loaded; the log says why\n")),
        "{}",
        hub.greeting
    );
    assert!(!hub.greeting.contains("no rank"), "{}", hub.greeting);
    let mut master = hub.master();
    master.chat("!pyload broken.py");
    let answer = master.wait_for("is not loaded");
    assert!(answer.contains(&format!("Script {path}:2 is not loaded: ValueError: no rank")), "{answer}");
    // What comes after this is of something else.
    master.chat("!pyreload fine");
    hub.logs("script fine is reloaded");
    // At the start and by the command.
    let line = format!("ERROR] script {path} is not loaded; it failed at {path}:2");
    let counts = ["Traceback", "raise ValueError", "Error: no rank", &line, "ERROR"]
        .map(|what| hub.count_logged(what));
    assert_eq!(counts, [2; 5]);
}

#[test]
fn the_scripts_folder_is_there_after_the_first_start_and_is_named() {
    let hub = HubBuilder::new().start();
    let folder = hub.data.as_ref().unwrap().path().join("scripts");
    assert!(folder.is_dir());
    assert!(hub.greeting.contains(&format!("Scripts go into {}\n", folder.display())), "{}", hub.greeting);
}

/// One of them lets nobody say anything, one is on the command line.
#[test]
fn a_safe_start_names_its_scripts_and_loads_none() {
    let elsewhere = tempfile::tempdir().unwrap();
    let other = crate::support::write_script(elsewhere.path(), "other.py", "def OnTimer(ms): pass\n");
    let silence = "def OnParsedMsgChat(nick, message): return 0\n";
    let builder = HubBuilder::new().script("silence.py", silence).more(&other).arg("--safe").scripts(0);
    let silence = builder.folder().join("scripts/silence.py").display().to_string();
    let hub = builder.start();
    assert!(hub.greeting.contains(", with no scripts (--safe).\n"), "{}", hub.greeting);
    for path in [&silence, &other.display().to_string()] {
        let line = format!("  {path} is not loaded: !pyload {path} does it\n");
        assert!(hub.greeting.contains(&line), "{}", hub.greeting);
    }
    let mut master = hub.master();
    let mut alice = hub.guest("alice");
    alice.chat("hello");
    master.wait_for("<alice> hello");
    master.chat(&format!("!pyload {silence}"));
    master.wait_for("Script silence is loaded as number 0");
    alice.chat("again");
    alice.so_far();
    let seen = master.so_far().join("\n");
    assert!(!seen.contains("<alice> again"), "{seen}");
}

/// A pseudo-terminal: the side of who looks at it, and that of the program.
fn terminal() -> (OwnedFd, OwnedFd) {
    let (mut ours, mut theirs) = (0, 0);
    let null = std::ptr::null_mut();
    // SAFETY: two places for descriptors, and no name, settings or size.
    let result = unsafe { libc::openpty(&mut ours, &mut theirs, null, std::ptr::null(), std::ptr::null()) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
    for descriptor in [ours, theirs] {
        // SAFETY: no memory is involved. The hub must not keep its own terminal open.
        assert_eq!(unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) }, 0);
    }
    // SAFETY: both are open and belong to nobody else.
    unsafe { (OwnedFd::from_raw_fd(ours), OwnedFd::from_raw_fd(theirs)) }
}

#[test]
fn a_hub_ends_in_order_with_its_terminal() {
    let (ours, theirs) = terminal();
    let builder = HubBuilder::new().script("last.py", "def UnLoad():\n    print('saved')\n");
    let mut command = builder.command();
    let descriptor = theirs.as_raw_fd();
    // SAFETY: system calls alone, between fork and exec; the descriptor is open until then.
    unsafe {
        command.pre_exec(move || {
            // It leads a session already, which has no terminal.
            match libc::ioctl(descriptor, libc::TIOCSCTTY, 0) {
                0 => Ok(()),
                _ => Err(std::io::Error::last_os_error()),
            }
        });
    }
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut greeting = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut greeting).unwrap();
    drop((ours, theirs));
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(0), "{said}");
    assert!(said.contains("saved"), "the script was told: {said}");
}
