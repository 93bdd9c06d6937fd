//! The example of an own hub works, and so do the example scripts in it.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// How long anything may take before it counts as missing.
const PATIENCE: Duration = Duration::from_secs(60);

/// The example's process, and what it says.
struct TinyHub {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    /// Everything that was said so far, for when something is missing.
    said: Vec<String>,
}

impl TinyHub {
    fn start(scripts: &[&str]) -> TinyHub {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut child = Command::new(example())
            .args(scripts.iter().map(|script| root.join("examples/scripts").join(script)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in stdout.lines() {
                if sender.send(line.unwrap()).is_err() {
                    return;
                }
            }
        });
        TinyHub { stdin: child.stdin.take(), child, lines, said: Vec::new() }
    }

    fn type_line(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{line}").unwrap();
    }

    /// The next line that holds this text.
    fn hear(&mut self, text: &str) -> String {
        self.hear_within(text, PATIENCE)
            .unwrap_or_else(|| panic!("waited for {text:?} in vain; heard {:#?}", self.said))
    }

    fn hear_within(&mut self, text: &str, patience: Duration) -> Option<String> {
        let deadline = Instant::now() + patience;
        loop {
            let line = self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
            self.said.push(line.clone());
            if line.contains(text) {
                return Some(line);
            }
        }
    }

    /// Ends the input; the hub ends in order.
    fn finish(mut self) {
        self.stdin = None;
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait().unwrap() {
                assert!(status.success(), "{status}");
                return;
            }
            std::thread::yield_now();
        }
        panic!("the tiny hub does not end");
    }
}

impl Drop for TinyHub {
    fn drop(&mut self) {
        // Both fail if it has ended, as it should.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The example beside this test's program.
fn example() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().unwrap().parent().unwrap().join("examples/tiny_hub")
}

#[test]
fn example_scripts_greet_filter_count_and_remind() {
    let mut hub = TinyHub::start(&["filter.py", "reminders.py", "stats.py", "welcome.py"]);
    hub.type_line("alice hello");
    hub.hear("Hello alice, welcome to the tiny hub!");
    hub.hear("<alice> hello");
    hub.type_line("alice my casino");
    hub.hear("'casino' is not welcome here");
    hub.type_line("alice damn!");
    hub.hear("<alice> d***!");
    assert!(!hub.said.iter().any(|line| line.contains("my casino")), "{:#?}", hub.said);

    hub.type_line("op +word add spam");
    hub.hear("Banned words: casino, viagra, spam");
    hub.type_line("alice no spam please");
    hub.hear("'spam' is not welcome here");

    hub.type_line("alice +stats");
    hub.hear("4 messages");
    hub.type_line("alice +remind 0s stand up");
    hub.hear("(Reminder to alice) You wanted to be reminded: stand up");
    hub.finish();
}

#[test]
fn a_script_that_dies_comes_back_and_remembers() {
    let mut hub = TinyHub::start(&["crash.py"]);
    for (deaths, how, shown) in [(1, "kill", "SIGKILL"), (2, "segv", "SIGSEGV"), (3, "exit", "exit code 3")] {
        hub.type_line(&format!("op +crash {how}"));
        hub.hear(shown);
        let deadline = Instant::now() + PATIENCE;
        let wanted = format!("deaths so far: {deaths}.");
        loop {
            hub.type_line("op +crash");
            if hub.hear_within(&wanted, Duration::from_secs(1)).is_some() {
                break;
            }
            assert!(Instant::now() < deadline, "not back after {deaths} deaths: {:#?}", hub.said);
        }
        hub.type_line(&format!("op still here {deaths}"));
        hub.hear(&format!("<op> still here {deaths}"));
    }
    hub.finish();
}
