//! The one way in which a test says that it could not run.
//!
//! The library that runs tests knows "ok" and "FAILED" only. So a test that cannot run says so
//! here, and returns: what is missing goes to the terminal, and into the file that
//! `VHPY_SKIPPED` names. `tests/run` collects that file, so `make test` ends with a list, and does
//! not count such a test as passed. Where `VHPY_NO_SKIP` is set, a test that is skipped for want of
//! something that can be installed fails.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Each program, and the Debian package that it is in.
const TOOLS: &str = include_str!("../tools.txt");

/// Skips the calling test, or a part of it: `missing` is what it lacks, `remedy` what to do about
/// it, such as `apt-get install g++`. The test returns after it.
///
/// # Panics
///
/// Where `VHPY_NO_SKIP` is set.
pub fn skip(missing: &str, remedy: &str) {
    if std::env::var_os("VHPY_NO_SKIP").is_some_and(|value| !value.is_empty()) {
        panic!("VHPY_NO_SKIP is set, and this test cannot run: {missing}; {remedy}");
    }
    record(missing, remedy);
}

/// As [`skip`], for what CI does not install, since it comes from neither Debian nor PyPI: it is in the
/// list with its remedy, and no failure with `VHPY_NO_SKIP`.
pub fn skip_where_it_is_missing(missing: &str, remedy: &str) {
    record(missing, remedy);
}

/// As [`skip`], for what nobody can install: too few rights, too busy a machine. It is in the list
/// and not counted as passed, and no failure with `VHPY_NO_SKIP` either.
pub fn cannot_run_here(why: &str) {
    record(why, "");
}

/// Whether all these programs are there; skips the test if not. The programs are known to
/// `tests/tools.txt`, or paths.
pub fn has(programs: &[&str]) -> bool {
    let missing: Vec<&str> = programs.iter().copied().filter(|program| find(program).is_none()).collect();
    if missing.is_empty() {
        return true;
    }
    let packages: Vec<&str> = missing.iter().map(|program| package(program)).collect();
    skip(&format!("no {}", missing.join(", no ")), &format!("apt-get install {}", packages.join(" ")));
    false
}

/// Where a program is: on the PATH, or where the name says.
pub fn find(program: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return Some(PathBuf::from(program)).filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

fn package(program: &str) -> &'static str {
    let known = TOOLS.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once(' '));
    let found = known.into_iter().find(|(name, _)| *name == program);
    found.unwrap_or_else(|| panic!("{program} is not in tests/tools.txt")).1
}

/// One line, to the terminal past what captures the output of tests, and to the file. A line is
/// one write to a file that is appended to, so tests of several processes can share it.
fn record(missing: &str, remedy: &str) {
    let program = std::env::current_exe().expect("this test's own path");
    let binary = program.file_stem().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // Without the hash that cargo appends.
    let binary = binary.rsplit_once('-').map_or(binary.as_str(), |(name, _)| name);
    let test = std::thread::current().name().unwrap_or("main").to_owned();
    let flat = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (missing, remedy) = (flat(missing), flat(remedy));
    let dash = if remedy.is_empty() { "" } else { "; " };
    let said = format!("skipped: {binary}::{test}: {missing}{dash}{remedy}\n");
    std::io::stderr().write_all(said.as_bytes()).expect("the standard error output");
    if let Some(file) = std::env::var_os("VHPY_SKIPPED") {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(Path::new(&file))
            .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        file.write_all(format!("{binary}::{test}\t{missing}\t{remedy}\n").as_bytes())
            .expect("the file that VHPY_SKIPPED names");
    }
}
