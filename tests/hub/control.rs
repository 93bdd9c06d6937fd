//! `vhpy ctl` and `vhpy top` with the embedded hub: what they print, change and keep, and their exit
//! codes.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};

use crate::support::Watchdog;
use crate::support::client::{HubBuilder, TestHub};

const SCRIPT: &str = "
    import vh
    def OnParsedMsgChat(nick, message):
        print('heard', message)
        return ('changed', message.upper()) if message == 'loud' else 1
    def double(number): return number * 2
    vh.store['kept'] = [1, 'two']
    ";

fn vhpy(command: &str) -> Command {
    let mut vhpy = Command::new(env!("CARGO_BIN_EXE_vhpy"));
    vhpy.arg(command);
    vhpy
}

fn folder(hub: &TestHub) -> &Path {
    hub.data.as_ref().unwrap().path()
}

/// What `vhpy ctl` printed: its exit code, its output, its complaint.
fn ctl(data: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = vhpy("ctl").arg("--data").arg(data).args(args).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// What is done, and what it prints contains.
fn done(hub: &TestHub, args: &[&str], wanted: &str) -> String {
    let (code, out, err) = ctl(folder(hub), args);
    assert!(code == Some(0) && out.contains(wanted), "{args:?}: {code:?}\n{out}\n{err}\n{wanted} is missing");
    out
}

/// What is refused, and why.
fn refused(hub: &TestHub, args: &[&str], wanted: &str) {
    let (code, out, err) = ctl(folder(hub), args);
    assert!(code == Some(1) && err.contains(wanted), "{args:?}: {code:?}\n{out}\n{err}\n{wanted} is missing");
}

#[test]
fn a_hub_is_asked_and_steered_from_the_shell() {
    let hub = HubBuilder::new().script("one.py", SCRIPT).start();
    let mut master = hub.master();
    done(&hub, &["list"], "0 one: ready");
    done(&hub, &["stat"], "one: ready");
    done(&hub, &["status", "one"], "one: ready");
    done(&hub, &["call", "one", "double", "21"], "42");
    done(&hub, &["call", "one", "double", "text"], "\"texttext\"");
    done(&hub, &["event", "OnParsedMsgChat", "alice", "loud"], "\"replacement\":[\"changed\",\"LOUD\"]");
    done(&hub, &["log", "one"], "one: heard loud");
    done(&hub, &["store", "one"], r#"{"kept":[1,"two"]}"#);
    done(&hub, &["stacks", "one"], "Current thread");
    let listed = done(&hub, &["--json", "list"], "\"unseen_seconds\":");
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(listed["answer"]["scripts"][0]["name"], "one");
    let two = folder(&hub).join("two.py");
    std::fs::write(&two, "def OnTimer(): pass\n").unwrap();
    done(&hub, &["load", two.to_str().unwrap()], "Script two is loaded as number 1");
    done(&hub, &["reload", "two"], "Script two is reloaded");
    done(&hub, &["reload"], "Script one is reloaded");
    done(&hub, &["unload", "two"], "Script two is unloaded");

    refused(&hub, &["unload", "two"], "There is no script two");
    refused(&hub, &["call", "one", "missing"], "missing");
    refused(&hub, &["set", "max_users", "many"], "whole number");
    refused(&hub, &["set", "no_such_option", "1"], "there is no option no_such_option");
    refused(&hub, &["set", "control", "/elsewhere"], "cannot be changed while the hub runs");
    assert_eq!(ctl(folder(&hub), &["dance"]).0, Some(2));
    let nowhere = tempfile::tempdir().unwrap();
    let (code, _, said) = ctl(nowhere.path(), &["list"]);
    assert!(code == Some(3) && said.contains("no hub listens"), "{code:?} {said}");

    // A variable of the hub's own, an option about scripts, one of a script alone: all are kept.
    done(&hub, &["set", "hub_topic", "Grüße"], "hub_topic is now Grüße");
    master.wait_for("Grüße");
    done(&hub, &["set", "kill_timeout", "7"], "kill_timeout is now 7");
    done(&hub, &["set", "one", "nice", "3"], "Script one: nice is now 3");
    done(&hub, &["set", "one", "OnTimer", "hook_timeout", "9"], "Script one: hook_timeout is now 9");
    master.chat("!audit ctl");
    let audit = master.wait_for("load two");
    assert!(audit.contains("set") && audit.contains("(vhpy ctl)"), "{audit}");
    let hub = HubBuilder::in_folder(hub.stop()).start();
    for (variable, value) in [("hub_topic", "Grüße"), ("kill_timeout", "7")] {
        let mut config = vhpy("config");
        let config = config.args(["get", variable, "--data"]).arg(folder(&hub)).output().unwrap();
        assert!(String::from_utf8_lossy(&config.stdout).contains(value), "{config:?}");
    }
    let options = std::fs::read_to_string(folder(&hub).join("store/options")).unwrap();
    assert!(options.contains("\tnice\t3") && options.contains("OnTimer\thook_timeout\t9"), "{options}");
}

#[test]
fn a_log_is_followed_until_the_hub_ends() {
    let _watchdog = Watchdog::of("a followed log to end");
    let hub = HubBuilder::new().script("one.py", SCRIPT).start();
    let mut alice = hub.guest("alice");
    alice.chat("first");
    alice.wait_for("first");
    let mut follow = vhpy("ctl");
    follow
        .args(["log", "-f", "one", "--data"])
        .arg(folder(&hub))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut follow = follow.spawn().unwrap();
    let mut lines = BufReader::new(follow.stdout.take().unwrap()).lines();
    let mut until = |wanted: &str| {
        let found = lines.by_ref().map_while(Result::ok).any(|line| line == wanted);
        assert!(found, "the log ended before {wanted:?}");
    };
    until("one: heard first");
    alice.chat("second");
    until("one: heard second");
    drop(hub.stop());
    let ended = follow.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("has ended"), "{ended:?}");
}

/// A terminal that a program runs in, and its other end.
fn terminal() -> (std::fs::File, OwnedFd) {
    let (mut master, mut slave) = (-1, -1);
    let size = libc::winsize { ws_row: 30, ws_col: 120, ws_xpixel: 0, ws_ypixel: 0 };
    let none = std::ptr::null_mut();
    // SAFETY: the two numbers are valid for writing, the size for reading, no name is asked for.
    let opened = unsafe { libc::openpty(&mut master, &mut slave, none, std::ptr::null(), &size) };
    assert_eq!(opened, 0);
    // SAFETY: both were just opened, and nothing else has them.
    unsafe { (std::fs::File::from_raw_fd(master), OwnedFd::from_raw_fd(slave)) }
}

#[test]
fn top_shows_scripts_and_obeys_keys() {
    let _watchdog = Watchdog::of("vhpy top");
    let hub = HubBuilder::new().script("one.py", SCRIPT).start();
    assert!(!vhpy("top").stdin(Stdio::null()).output().unwrap().status.success(), "this is no terminal");
    let (mut screen, slave) = terminal();
    let mut top = vhpy("top");
    top.arg("--data").arg(folder(&hub)).env("TERM", "xterm");
    top.stdin(slave.try_clone().unwrap()).stdout(slave.try_clone().unwrap()).stderr(slave);
    let mut child = top.spawn().unwrap();
    // It has the terminal alone: its end is seen there.
    drop(top);
    let mut seen = String::new();
    let mut until = |screen: &mut std::fs::File, wanted: &str| {
        let mut bytes = [0; 4096];
        seen.clear();
        while !seen.contains(wanted) {
            let count = screen.read(&mut bytes).unwrap_or(0);
            assert!(count > 0, "it ended before {wanted:?}: {seen}");
            seen += &String::from_utf8_lossy(&bytes[..count]);
        }
    };
    until(&mut screen, "one");
    screen.write_all(b"s").unwrap();
    until(&mut screen, "Current");
    screen.write_all(b"\x1b").unwrap();
    screen.write_all(b"x").unwrap();
    until(&mut screen, "Unload");
    screen.write_all(b"y").unwrap();
    until(&mut screen, "unloaded");
    screen.write_all(b"q").unwrap();
    assert!(child.wait().unwrap().success());
    done(&hub, &["list"], "No script is loaded");
}

#[test]
fn a_hub_whose_process_is_stopped_is_told_from_none() {
    let _watchdog = Watchdog::of("the answer about a hub that is stopped");
    let hub = HubBuilder::new().start();
    kill(hub.pid(), Signal::SIGSTOP).unwrap();
    let (code, out, err) = ctl(folder(&hub), &["list"]);
    kill(hub.pid(), Signal::SIGCONT).unwrap();
    assert!(code == Some(1) && err.contains("is its process stopped?"), "{code:?} {out} {err}");
    done(&hub, &["list"], "No script is loaded");
}

#[test]
fn a_script_is_debugged_from_the_shell() {
    let _watchdog = Watchdog::of("vhpy debug");
    let stops = "
    def OnParsedMsgChat(nick, message):
        breakpoint()
        return 0
    ";
    let hub = HubBuilder::new().script("one.py", stops).start();
    let debug = |args: &[&str]| {
        let output = vhpy("debug").arg("--data").arg(folder(&hub)).args(args).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, pid) = debug(&["one", "--pid"]);
    assert!(code == Some(0) && done(&hub, &["list"], "ready").contains(&format!("process {}", pid.trim())));
    let (code, stack) = debug(&["one", "--stack"]);
    assert!(code == Some(0) && stack.contains("Current thread"), "{stack}");
    assert_eq!(debug(&["nobody"]).0, Some(1));
    let mut debugger = vhpy("debug");
    debugger.arg("--data").arg(folder(&hub)).arg("one").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut debugger = debugger.spawn().unwrap();
    let mut shown = BufReader::new(debugger.stdout.take().unwrap());
    let mut typed = debugger.stdin.take().unwrap();
    let mut until = |wanted: &str| {
        let mut seen = String::new();
        while !seen.contains(wanted) {
            let mut byte = [0];
            shown.read_exact(&mut byte).unwrap_or_else(|_| panic!("it ended before {wanted:?}: {seen}"));
            seen.push(char::from(byte[0]));
        }
    };
    until("Attached to script one");
    done(&hub, &["event", "OnParsedMsgChat", "alice", "hello"], "\"blocked\":false");
    until("(Pdb) ");
    done(&hub, &["list"], "0 one: debugged");
    typed.write_all(b"p nick + message\n").unwrap();
    until("'alicehello'");
    drop(typed);
    assert_eq!(debugger.wait().unwrap().code(), Some(0));
    done(&hub, &["event", "OnParsedMsgChat", "alice", "hello"], "\"blocked\":true");
    hub.stop();
}
