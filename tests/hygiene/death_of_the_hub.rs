//! Workers die with a hub that is killed.

use crate::circumstances::{become_nobody, is_root};
use crate::support;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::support::{Stage, wait_until};
use crate::*;
use vhpy::supervisor::Config;

#[test]
fn workers_die_with_a_hub_that_is_killed() {
    kill_a_hub("hub");
    if is_root() {
        kill_a_hub("hub that has become nobody");
    } else {
        support::cannot_run_here("case \"hub that has become nobody\": it needs root");
    }
}

fn kill_a_hub(case: &str) {
    let own = std::env::current_exe().unwrap();
    let mut hub = Command::new(own)
        .args(["--exact", "death_of_the_hub::a_hub_to_kill", "--nocapture", "--include-ignored"])
        .env("HYGIENE_CASE", case)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut pids = Vec::new();
    for line in BufReader::new(hub.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(listed) = line.strip_prefix("WORKERS ") {
            pids = listed.split_whitespace().map(|pid| pid.parse::<i64>().unwrap()).collect();
            break;
        }
    }
    assert_eq!(pids.len(), 6, "five scripts and a spare");
    assert!(pids.iter().all(|pid| !gone(*pid)));
    hub.kill().unwrap();
    hub.wait().unwrap();
    wait_until("the workers' end", || pids.iter().all(|pid| gone(*pid)));
}

/// The body of the process that `workers_die_with_a_hub_that_is_killed` starts.
#[test]
#[ignore = "run by the other"]
fn a_hub_to_kill() {
    let Ok(case) = std::env::var("HYGIENE_CASE") else { return };
    let mut stage = Stage::with(Config { spare: true, ..patient() });
    stage.load("idle.py", ASKED);
    stage.load(
        "busy.py",
        "import threading\ndef work():\n    while True: pass\nthreading.Thread(target=work).start()",
    );
    stage.load("deaf.py", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))");
    // Who does not want to die with its parent dies of the end of its pipe; who has closed that,
    // of the end of another, as soon as it waits for the hub.
    stage.load(
        "stays.py",
        "import ctypes, threading\nctypes.CDLL(None).prctl(1, 0)\n\
         def work():\n    while True: pass\nthreading.Thread(target=work).start()",
    );
    stage.load("stays_idle.py", "import ctypes, os\nctypes.CDLL(None).prctl(1, 0)\nos.close(6)");
    stage.serve_until("a spare", |_, _| children().len() == 6);
    // The spare must have come far enough to ask for its death.
    let pids: Vec<String> = children().iter().map(i64::to_string).collect();
    // The folder of scripts goes with the hub's last breath otherwise.
    let _ = std::fs::remove_dir_all(stage.folder.path());
    let becomes_nobody = case == "hub that has become nobody";
    if becomes_nobody {
        assert!(become_nobody());
    }
    println!("\nWORKERS {}", pids.join(" "));
    if becomes_nobody {
        // The spare that is root would be ended by the next visit.
        std::thread::park();
    }
    loop {
        support::poll(stage.supervisor.poll_fd(), 1000);
        stage.supervisor.serve(&mut stage.host);
    }
}
