//! What is known about scripts, for lists and for those who look.

use std::path::PathBuf;
use std::time::Duration;

use plugin_abi::Value;

use super::Supervisor;
use super::counts::ScriptFigures;
use super::script::{Script, ScriptId, State};

/// What is known about one script, for lists.
#[derive(Clone, Debug)]
pub struct ScriptStatus {
    /// Its number.
    pub id: ScriptId,
    /// The file's name without `.py`.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// One word: `ready`, `starting`, `stuck`, `debugged`, `backoff`, `stopping`, `failed`.
    pub state: &'static str,
    /// The number of its process.
    pub pid: Option<u32>,
    /// How long it has been ready.
    pub uptime: Option<Duration>,
    /// How often it was started again.
    pub restarts: u64,
    /// How many events it was given.
    pub events: u64,
    /// Resident memory in bytes.
    pub memory: Option<u64>,
    /// What became of its events, and how long they took.
    pub figures: ScriptFigures,
    /// What it calls itself, if it said so: name and version, in the hub's encoding.
    pub title: Option<(Vec<u8>, Vec<u8>)>,
}

impl Supervisor {
    /// All scripts in load order.
    pub fn scripts(&self) -> Vec<ScriptStatus> {
        self.registry.list().iter().map(|script| status(script)).collect()
    }

    /// The process that gives a script's events to it at this moment; `None` while the script
    /// is not ready. Costs no system call, unlike [`Supervisor::status`].
    pub fn serving(&self, id: ScriptId) -> Option<u32> {
        let process = self.registry.get(id)?.ready()?;
        u32::try_from(process.pid).ok()
    }

    /// One script's status.
    pub fn status(&self, id: ScriptId) -> Option<ScriptStatus> {
        self.registry.get(id).map(|script| status(&script))
    }

    /// Logs what scripts have printed until now, which otherwise happens soon.
    pub fn catch_up_with_output(&self) {
        self.reactor.helpers().reader.catch_up();
    }

    /// What a script keeps in `vh.store`, by keys; all text in it is UTF-8, whatever the hub speaks.
    pub fn stored(&self, id: ScriptId) -> Option<Vec<(Value<'static>, Value<'static>)>> {
        self.registry.get(id).map(|script| script.store.borrow().entries())
    }

    /// The last lines that a script printed, and what became of its processes.
    pub fn last_lines(&self, id: ScriptId) -> Option<Vec<String>> {
        self.registry.get(id).map(|script| script.output().last_lines())
    }
}

fn status(script: &Script) -> ScriptStatus {
    let uptime = script.with_state(|state| match state {
        State::Ready { since, .. } | State::Stuck { since, .. } => Some(since.elapsed()),
        _ => None,
    });
    let process = script.process();
    let living = process.as_ref().filter(|process| !process.dead.get());
    ScriptStatus {
        id: script.id,
        name: script.name.clone(),
        path: script.path.clone(),
        state: script.word(),
        pid: process.as_ref().and_then(|process| u32::try_from(process.pid).ok()),
        uptime,
        restarts: script.restarts.get(),
        events: script.counts.events(),
        memory: process.as_ref().and_then(|process| process.memory()),
        figures: script.counts.figures(living.map(|process| process.claims()).as_ref()),
        title: script.title.borrow().clone(),
    }
}
