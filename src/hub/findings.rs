//! What `vhpy check` finds in a script that was loaded: operators are told when it is known; how it
//! is found is [`check`](crate::check)'s matter.
//!
//! A process of its own reads the script, with the lowest priority, and a thread waits for it: the
//! hub and the script do not.

use std::path::PathBuf;

use crate::check::{self, Finding};
use crate::supervisor::{ScriptId, Supervisor};

use super::Hub;

/// A script that was loaded.
pub(super) struct Unread {
    name: String,
    path: PathBuf,
    /// The interpreter that the hub is configured with.
    python: Option<PathBuf>,
}

/// What was found in a script, a line for each finding.
pub(super) struct Read {
    name: String,
    found: Vec<String>,
}

/// How many findings operators are told of one script.
const MOST: usize = 10;

/// The lowest priority there is.
const NICE: libc::c_int = 19;

impl Unread {
    /// Reads the script. What cannot be read has no findings: it was loaded, so the fault is not
    /// its own.
    pub(super) fn read(self) -> Read {
        // SAFETY: has no conditions. On Linux it is this thread alone, and what it starts.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
        let found = check::check(&[self.path], self.python.as_deref()).unwrap_or_else(|error| {
            log::debug!("script {} is not checked: {error}", self.name);
            Vec::new()
        });
        let is_news = |finding: &&Finding| !check::is_said_at_load(&finding.code);
        let found = found.iter().filter(is_news).map(line).collect();
        Read { name: self.name, found }
    }
}

fn line(finding: &Finding) -> String {
    let Finding { line, code, message, help, .. } = finding;
    format!("line {line}: {code} {message}: {help}")
}

impl Hub {
    /// A script was loaded by command, or with the hub.
    pub(super) fn read_script(&mut self, supervisor: &Supervisor, script: ScriptId) {
        if self.is_tested || !self.settings.check_scripts {
            return;
        }
        let Some(status) = supervisor.status(script) else { return };
        let python = supervisor.config().python.clone();
        self.findings.start(Unread { name: status.name, path: status.path, python });
    }

    /// Tells what was found meanwhile.
    pub(super) fn take_findings(&mut self) {
        while let Some(Read { name, found }) = self.findings.result() {
            found.iter().for_each(|line| log::warn!("script {name}, {line}"));
            if found.is_empty() {
                continue;
            }
            let mut text = format!("vhpy check finds in script {name}:");
            found.iter().take(MOST).for_each(|line| text += &format!("\n{line}"));
            if found.len() > MOST {
                text += &format!("\nand {} more, in the log", found.len() - MOST);
            }
            self.report(&text);
        }
    }
}
