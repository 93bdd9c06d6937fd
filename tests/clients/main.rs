//! Real clients in the embedded hub with the example scripts: what users see who have never heard
//! of this project's own test client.
#![cfg(feature = "cli")]

mod eiskaltdcpp;
mod hub;
mod ncdc;
#[path = "../support/mod.rs"]
mod support;
mod terminal;

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

/// A port that nobody uses now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
