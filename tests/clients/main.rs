//! Real clients in the embedded hub with the example scripts: what users see who have never heard
//! of this project's own test client.
#![cfg(feature = "cli")]

mod eiskaltdcpp;
mod hub;
mod ncdc;
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

/// Whether these programs are there. If not, says so; where `VHPY_NO_SKIP` is set, that is a
/// failure.
pub fn has(programs: &[&str]) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there =
        |program: &&&str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let missing: Vec<_> = programs.iter().filter(|program| !is_there(program)).collect();
    if missing.is_empty() {
        return true;
    }
    let text = format!("this test needs {missing:?}: on Debian, apt-get install {}", programs.join(" "));
    assert!(std::env::var_os("VHPY_NO_SKIP").is_none(), "{text}");
    eprintln!("SKIPPED: {text}");
    false
}

/// A port that nobody uses now.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
