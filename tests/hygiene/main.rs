//! What a script's process gets from the hub and what is left of it: descriptors, signals,
//! zombies, shared memory; under the circumstances that hubs run in.
//!
//! Some circumstances are a whole process's. For those this program runs itself again with
//! `HYGIENE_CASE` set; that is a hub with one script, which prints what it finds.

mod circumstances;
mod death_of_the_hub;
mod leftovers;
mod lives;
mod processors;
mod slow_system;
#[path = "../support/mod.rs"]
mod support;

use std::time::Duration;

use crate::support::{LIMIT, config};
use vhpy::supervisor::{Config, RestartLimits};

fn patient() -> Config {
    let restart = RestartLimits { window: Duration::ZERO, ..RestartLimits::default() };
    Config { restart_wait: LIMIT, restart, ..config() }
}

/// A script that evaluates what it is asked.
const ASKED: &str = "
    import os, signal, sys
    def ask(what): return eval(what)
    def OnParsedMsgChat(nick, message):
        if message == 'die': os.abort()
        return 0
    ";

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn gone(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

/// The processes that this one has started as spares: its children without a script.
fn children() -> Vec<i64> {
    let own = std::process::id();
    let mut found = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path().join("children");
        let listed = std::fs::read_to_string(path).unwrap_or_default();
        found.extend(listed.split_whitespace().filter_map(|pid| pid.parse::<i64>().ok()));
    }
    assert!(!found.contains(&i64::from(own)));
    found
}
