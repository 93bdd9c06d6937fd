//! Real clients in the embedded hub with the example scripts: what users see who have never heard
//! of this project's own test client.
#![cfg(feature = "cli")]

mod eiskaltdcpp;
mod hub;
mod ncdc;
#[path = "../support/mod.rs"]
mod support;
mod terminal;

use std::io::Write;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long anything may take before it counts as missing.
const PATIENCE: Duration = Duration::from_secs(90);

/// Looks until what is there is good; panics, telling what it waited for and what is there
/// instead, when that takes too long.
pub fn wait_for<T: std::fmt::Debug>(what: &str, mut look: impl FnMut() -> T, good: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let found = look();
        if good(&found) {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} for {what}; there is {found:#?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Tells with which version of a Debian package this was seen, past what captures tests' output.
fn tell_version(package: &str) {
    let output = Command::new("dpkg-query").args(["-W", "-f", "${Package} ${Version}", package]).output();
    let version = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let version = version.ok().filter(|version| !version.is_empty());
    let said = version.unwrap_or_else(|| format!("{package}, not from a Debian package"));
    std::io::stderr().write_all(format!("seen with {said}\n").as_bytes()).unwrap();
}

/// The hub's address for TLS with a keyprint that is another certificate's.
fn with_another_keyprint(url: &str) -> String {
    let (address, keyprint) = url.split_once("SHA256/").unwrap();
    let other = if keyprint.starts_with('A') { "B" } else { "A" };
    format!("{address}SHA256/{other}{}", &keyprint[1..])
}

/// A port that nobody uses now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
