//! What becomes of loading a script, as the one who asked for it is told.

use std::io;
use std::path::{Path, PathBuf};

use super::config::MAX_NESTING;
use super::interpreter::NotFound;
use super::restart::is_shortage;
use super::script::ScriptId;

/// A script that was loaded.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Its number.
    pub id: ScriptId,
    /// The file's name without `.py`.
    pub name: String,
    /// What an operator should know, such as a function whose name is almost a hook's.
    pub warnings: Vec<String>,
}

/// Why a script was not loaded. The text tells an operator what to do.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such file.
    #[error("{0}: no such file")]
    NoFile(PathBuf),
    /// It is loaded already.
    #[error("{path} is loaded already as number {id}: reload it with !pyreload {id}")]
    Twice {
        /// Its file.
        path: PathBuf,
        /// Its number.
        id: ScriptId,
    },
    /// No script has this number.
    #[error("there is no script {0}")]
    NoScript(ScriptId),
    /// Another script has the number that was asked for.
    #[error("the number {0} belongs to another script")]
    Taken(ScriptId),
    /// There is no interpreter for it.
    #[error(transparent)]
    NotFound(#[from] NotFound),
    /// Its process could not be started.
    #[error("{python} cannot be started: {error}")]
    Start {
        /// The interpreter.
        python: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It did not run to its end: file, line and reason.
    #[error("{0}")]
    Script(String),
    /// It did not run to its end, or its source does not compile, and the version before is there still.
    #[error("{reason}; the version from {since} serves on")]
    ServesOn {
        /// File, line and reason.
        reason: String,
        /// When the version was loaded that serves: hour and minute, and the date if that is another.
        since: String,
    },
    /// So many events and calls are inside each other that there is no room for another.
    #[error("events and calls are nested deeper than {MAX_NESTING}: try again when they are over")]
    TooDeep,
    /// All scripts are being unloaded.
    #[error("all scripts are being unloaded: load it when that is over")]
    Ending,
}

impl LoadError {
    /// `FILE:LINE is not loaded: why`, for who asked for this file; it is named once.
    pub fn about(&self, file: &Path) -> String {
        not_loaded(file, &self.to_string())
    }

    /// Whether the system was short of what a process needs, and may have it in a moment.
    pub(super) fn is_shortage(&self) -> bool {
        matches!(self, LoadError::Start { error, .. } if is_shortage(error))
    }
}

/// The number in front of a reason, with its colon, as in `:3: NameError`.
fn line_of(reason: &str) -> Option<(&str, &str)> {
    let (line, why) = reason.split_once(": ")?;
    let is_place = line.is_empty() || line.strip_prefix(':').is_some_and(|line| line.parse::<u32>().is_ok());
    is_place.then_some((line, why))
}

/// As an operator is told of it, who must not read the file's path twice.
fn not_loaded(file: &Path, reason: &str) -> String {
    let file = file.display().to_string();
    let Some(rest) = reason.strip_prefix(&file) else { return format!("{file} is not loaded: {reason}") };
    match line_of(rest) {
        Some((line, why)) => format!("{file}{line} is not loaded: {why}"),
        None if rest.starts_with(' ') => format!("{file} is not loaded: it{rest}"),
        None => format!("{file} is not loaded: {reason}"),
    }
}

/// As the log says it, where the script's traceback is already, if that ends with this line.
pub(super) fn not_loaded_in_log(file: &Path, reason: &str, last_line: Option<&str>) -> String {
    let place = last_line.and_then(|line| reason.strip_suffix(line)?.strip_suffix(": "));
    let line = place.and_then(|place| place.rsplit_once(':')).map(|(_, line)| line);
    match (place, line.and_then(|line| line.parse::<u32>().ok())) {
        (Some(place), Some(_)) => format!("{} is not loaded; it failed at {place}", file.display()),
        _ => not_loaded(file, reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_named_once() {
        let file = Path::new("/s/a.py");
        for (reason, told) in [
            ("/s/a.py:3: E: x: 1: y", "/s/a.py:3 is not loaded: E: x: 1: y"),
            ("/s/a.py: no such file", "/s/a.py is not loaded: no such file"),
            ("/s/a.py ended with exit code 5", "/s/a.py is not loaded: it ended with exit code 5"),
            ("/s/a.pyx:3: E", "/s/a.py is not loaded: /s/a.pyx:3: E"),
            ("/s/b.py:3: E", "/s/a.py is not loaded: /s/b.py:3: E"),
        ] {
            assert_eq!(not_loaded(file, reason), told);
        }
    }

    #[test]
    fn the_log_says_again_what_no_traceback_has_said() {
        let file = Path::new("/s/a.py");
        let log = |reason, last| not_loaded_in_log(file, reason, last);
        assert_eq!(log("/s/b.py:3: E: x", Some("E: x")), "/s/a.py is not loaded; it failed at /s/b.py:3");
        for last in [None, Some("print"), Some("")] {
            assert_eq!(log("/s/a.py:3: E: x", last), "/s/a.py:3 is not loaded: E: x");
        }
        let death = "/s/a.py ended with exit code 5 while it was loading: E: x";
        assert!(log(death, Some("E: x")).ends_with("exit code 5 while it was loading: E: x"));
    }
}
