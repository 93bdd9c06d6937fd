//! Whether `cargo install` builds this: that would install the program without the worker library,
//! which it needs, so the program's build ends with what works instead.
//!
//! `cargo install` of something that embeds the library is no such case: it builds the library alone.
//! `tests/hygiene.rs` tests this file.

/// What whoever runs `cargo install vhpy` reads.
pub const REFUSAL: &str = "`cargo install` would install the program without libvh_worker.so, which it needs. These ways work:\n\
    1. `pip install vhpy-hub` (or `uv tool install vhpy-hub`, `pipx install vhpy-hub`);\n\
    2. on Debian and Ubuntu, the package: `dpkg -i vhpy_…_amd64.deb`;\n\
    3. from the sources: `make all library`, then as root `make install`.";

/// What cargo builds for.
#[derive(Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `cargo build`, `package`, `test` and so on.
    Other,
    /// `cargo install` of something; the program is part of it if it is compiled at all.
    Install,
    /// `cargo install vhpy`.
    InstallOfThis,
}

/// By cargo's command line, and by the folder that the build script writes to: without
/// `CARGO_TARGET_DIR`, `cargo install` builds in a temporary folder with its name.
pub fn purpose<'a>(command_line: impl IntoIterator<Item = &'a str>, out_dir: &str) -> Purpose {
    let mut words = command_line.into_iter().skip(1);
    let is_install = command(&mut words) == Some("install");
    if is_install && words.any(|word| word == "vhpy" || word.starts_with("vhpy@")) {
        Purpose::InstallOfThis
    } else if is_install || out_dir.split('/').any(|folder| folder.starts_with("cargo-install")) {
        Purpose::Install
    } else {
        Purpose::Other
    }
}

/// Cargo's options that may stand before the command and have a value of their own.
const WITH_VALUE: [&str; 4] = ["--color", "--config", "-C", "-Z"];

/// `install` in `+nightly --color never install --locked`; what follows it is left in `words`.
fn command<'a>(words: &mut impl Iterator<Item = &'a str>) -> Option<&'a str> {
    while let Some(word) = words.next() {
        if WITH_VALUE.contains(&word) {
            words.next();
        } else if !word.starts_with(['-', '+']) {
            return Some(word);
        }
    }
    None
}
