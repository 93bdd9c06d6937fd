//! The virtual environment that tests share: `target/venv`, made by `make venv`.

use std::path::PathBuf;
use std::process::Command;

/// The folder of the environment. `None`, after saying so, when pip cannot install; that is a
/// failure where `VHPY_NO_SKIP` is set.
pub fn packages() -> Option<PathBuf> {
    let root = env!("CARGO_MANIFEST_DIR");
    // `make` does nothing if it is there; the lock is for tests that run at the same time.
    let made = Command::new("flock")
        .args(["target/venv.lock", "make", "--no-print-directory", "venv"])
        .current_dir(root)
        .env_remove("MAKEFLAGS")
        .output();
    let said = match made {
        Ok(output) if output.status.success() => return Some(PathBuf::from(root).join("target/venv")),
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    let text = format!("the Python packages that this test needs cannot be installed: {said}");
    assert!(std::env::var_os("VHPY_NO_SKIP").is_none(), "{text}");
    eprintln!("SKIPPED: {text}");
    None
}
