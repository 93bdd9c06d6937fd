//! The virtual environment that tests share: `target/venv`, made by `make venv`.

use std::path::PathBuf;
use std::process::Command;

use super::skip::skip;

/// The folder of the environment. `None`, and the test is skipped, when pip cannot install.
pub fn packages() -> Option<PathBuf> {
    let root = env!("CARGO_MANIFEST_DIR");
    // `make` does nothing if it is there; the lock is for tests that run at the same time.
    let made = Command::new("flock")
        .args(["target/venv.lock", "make", "--silent", "--no-print-directory", "venv"])
        .current_dir(root)
        .env_remove("MAKEFLAGS")
        .output();
    let said = match made {
        Ok(output) if output.status.success() => return Some(PathBuf::from(root).join("target/venv")),
        Ok(output) => String::from_utf8_lossy(&[output.stderr, output.stdout].concat()).into_owned(),
        Err(error) => error.to_string(),
    };
    let why = said.lines().find(|line| !line.is_empty() && !line.starts_with("make")).unwrap_or_default();
    let remedy = "apt-get install make python3-venv, and let pip reach its index, for `make venv`";
    skip(&format!("the Python packages that it needs cannot be installed ({why})"), remedy);
    None
}
