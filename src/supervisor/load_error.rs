//! What becomes of loading a script, as the one who asked for it is told.

use std::io;
use std::path::PathBuf;

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
    /// Whether the system was short of what a process needs, and may have it in a moment.
    pub(super) fn is_shortage(&self) -> bool {
        matches!(self, LoadError::Start { error, .. } if is_shortage(error))
    }
}
