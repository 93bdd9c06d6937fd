//! Loads scripts again in a way that cannot hurt: the next process is started and compiles the source
//! while the one before serves; only then that is told to end, and the next one loads.

use std::io;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use plugin_abi::frame::MAX_KEPT;
use plugin_abi::{Hook, ToWorker};

use super::config::WhenAway;
use super::load_error::not_loaded_in_log;
use super::process::{Phase, Process};
use super::script::{Script, ScriptId, State, Successor, Task, Transition};
use super::store;
use super::tasks::Outcome;
use super::ticket::Ticket;
use super::version::Version;
use super::{Config, Host, LoadError, Loaded, Supervisor};
use crate::local_time;
use crate::log_level::SCRIPT;

impl Supervisor {
    /// Loads a script again from its file, under the same number, and waits for that. Its deaths are
    /// forgiven. When its source does not compile, nothing has changed. When it cannot be loaded, it
    /// stays in the list as failed, to be reloaded once it is mended.
    pub fn reload(&self, host: &mut dyn Host, id: ScriptId) -> Result<Loaded, LoadError> {
        self.visit(host);
        let script = self.registry.get(id).ok_or(LoadError::NoScript(id))?;
        let level = self.enter().ok_or(LoadError::TooDeep)?;
        // Whoever waits for it would wait for what waits for them.
        if script.is_busy() {
            return Err(LoadError::Script("it is inside a hook: try again when it has returned".into()));
        }
        let ticket = self.begin_reload(id)?;
        self.tasks.expect(ticket);
        self.catch_up(ticket);
        self.await_task(host, &script, ticket);
        drop(level);
        let reloaded = match self.tasks.take(ticket) {
            Some(Outcome::Reloaded(result)) => result,
            _ => Err(LoadError::Script("its process does not end although it was killed".into())),
        };
        self.take_out_robots(host, &script);
        self.keep_house(host);
        reloaded
    }

    /// Begins to load a script again, and returns at once; the host is told of
    /// [`Outcome::Reloaded`] by [`Host::finished`]. The version before serves until the source of the
    /// next one was compiled. Then events that the script hooks wait for it, for
    /// [`Config::restart_wait`](super::Config::restart_wait) at most in all.
    ///
    /// # Errors
    /// When there is no such script, or something else is being done with it.
    pub fn begin_reload(&self, id: ScriptId) -> Result<Ticket, LoadError> {
        let script = self.registry.get(id).ok_or(LoadError::NoScript(id))?;
        if self.agenda.is_ending() {
            return Err(LoadError::Ending);
        }
        if let Some(task) = &*script.task.borrow() {
            let doing = match task {
                Task::Load(_) => "loaded",
                Task::Reload(_) => "reloaded",
                Task::Unload(_) => "unloaded",
            };
            return Err(LoadError::Script(format!("it is being {doing}: try again when that is done")));
        }
        let serves = script.with_state(|state| matches!(state, State::Ready { .. } | State::Stuck { .. }));
        if script.with_state(|state| matches!(state, State::Stopping { .. })) {
            return Err(LoadError::Script("it is stopping: try again when its process has ended".into()));
        }
        if serves {
            self.prepare(&script)?;
        }
        let ticket = self.tasks.issue();
        *script.task.borrow_mut() = Some(Task::Reload(ticket));
        if !serves {
            // There is nothing that could be lost.
            self.stop_when_idle(&script);
        }
        self.set_timer();
        Ok(ticket)
    }

    /// Gets the process that is to follow the one that serves.
    fn prepare(&self, script: &Rc<Script>) -> Result<(), LoadError> {
        let config = self.config();
        let python = self.pool.interpreter(&script.path, config.python.as_deref())?;
        script.python.borrow_mut().clone_from(&python);
        if let Some(spare) = self.a_spare(script, &python) {
            self.let_compile(script, spare);
            return Ok(());
        }
        let serial = match self.claim(&python, &script.output()) {
            Some(serial) => serial,
            None => self.spawn(&python, script.output())?,
        };
        let deadline = Instant::now() + config.load_timeout;
        *script.successor.borrow_mut() = Some(Successor::Spawning { serial, deadline });
        Ok(())
    }

    /// The process that is to follow is there: it compiles the script's source.
    pub(super) fn let_compile(&self, script: &Rc<Script>, process: Rc<Process>) {
        use std::os::unix::ffi::OsStrExt;
        let config = self.config();
        if let Err(error) = self.limit(script, &process, &config) {
            return self.reload_refused(script, error);
        }
        *process.script.borrow_mut() = Rc::downgrade(script);
        process.phase.set(Phase::Preparing);
        let path = script.path.as_os_str().as_bytes().into();
        let deadline = Instant::now() + config.load_timeout;
        *script.successor.borrow_mut() = Some(Successor::Preparing { process: process.clone(), deadline });
        self.tell(&process, &ToWorker::Prepare { path });
        self.set_timer();
    }

    /// The process that is to follow has compiled the source: it is time for the one before to end.
    pub(super) fn is_prepared(&self, script: &Rc<Script>, process: &Rc<Process>) {
        process.phase.set(Phase::Waiting);
        *script.successor.borrow_mut() = Some(Successor::Prepared { process: process.clone() });
        let until = Instant::now() + self.config.borrow().restart_wait;
        script.awaited_until.set(Some(until));
        self.stop_when_idle(script);
    }

    /// The process before has ended: the next one loads.
    pub(super) fn load_in_successor(&self, script: &Rc<Script>) {
        script.deaths.borrow_mut().forgive();
        script.was_ready.set(false);
        script.instead_of.take();
        let started = match script.successor.take() {
            Some(Successor::Prepared { process }) if !process.has_ended() => self.adopt(script, process),
            _ => self.start(script),
        };
        if let Err(error) = started {
            self.could_not_load(script, error);
        }
    }

    /// The source does not compile, or there is no process to load it: the script is as before.
    pub(super) fn reload_refused(&self, script: &Rc<Script>, error: LoadError) {
        self.drop_successor(script);
        let Some(task) = script.task.take() else { return };
        let Task::Reload(ticket) = task else {
            *script.task.borrow_mut() = Some(task);
            return;
        };
        let error = match script.loaded_at.get() {
            Some(at) if script.ready().is_some() => serves_on(&error.to_string(), at),
            _ => error,
        };
        log::error!("script {} is not reloaded: {error}", script.name);
        self.agenda.need_housekeeping();
        self.finish(ticket, Outcome::Reloaded(Err(error)));
    }

    /// The process that is to follow died.
    pub(super) fn successor_died(&self, script: &Rc<Script>, reason: String) {
        if script.with_state(|state| matches!(state, State::Stopping { .. })) {
            // Another one is started when that has ended.
            return self.drop_successor(script);
        }
        script.is_to_stop.set(false);
        script.awaited_until.set(None);
        self.reload_refused(script, LoadError::Script(reason));
    }

    /// The process that is to follow takes too long.
    pub(super) fn successor_is_late(&self, script: &Rc<Script>) {
        let python = script.python.borrow().clone();
        let is_up = script.next_process().map(|process| process.is_up.get());
        let error = match is_up {
            Some(true) => {
                LoadError::Script(format!("{}: its source was not compiled in time", script.path.display()))
            }
            Some(false) => LoadError::Script(format!("{} had not started in time", python.display())),
            None => LoadError::Start {
                python,
                error: io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the system does not start it: does its disk hang?",
                ),
            },
        };
        self.reload_refused(script, error);
    }

    pub(super) fn drop_successor(&self, script: &Rc<Script>) {
        let successor = script.successor.take();
        if let Some(process) = successor.as_ref().and_then(Successor::process) {
            *process.script.borrow_mut() = Weak::new();
            process.kill("its script is not loaded in it".into());
            self.let_go_of(process);
        }
    }

    /// A process was to load the script and has not: whoever asked for that is told.
    pub(super) fn could_not_load(&self, script: &Rc<Script>, error: LoadError) {
        let reason = error.to_string();
        if self.fall_back(script, &reason) {
            return;
        }
        // Why the files could not be loaded is what can be mended.
        let (reason, error) = match script.instead_of.take() {
            Some(first) => (first.clone(), LoadError::Script(first)),
            None => (reason, error),
        };
        script.transition(Transition::Failed { reason: reason.clone() }, "it could not be loaded");
        self.agenda.abandon_robots(script);
        script.store.borrow_mut().undo();
        match script.task.take() {
            Some(Task::Load(ticket)) => {
                let is_logged = log::log_enabled!(target: SCRIPT, log::Level::Warn);
                let last = script.output().last_line().filter(|_| is_logged);
                log::error!("script {}", not_loaded_in_log(&script.path, &reason, last.as_deref()));
                self.forget(script);
                self.agenda.need_housekeeping();
                self.finish(ticket, Outcome::Loaded(Err(error)));
            }
            Some(Task::Reload(ticket)) => {
                log::error!("script {} is not reloaded: {reason}", script.name);
                self.finish(ticket, Outcome::Reloaded(Err(error)));
            }
            other => *script.task.borrow_mut() = other,
        }
    }

    /// What is on disk could not be loaded: the version that served last is, if it is kept. False when
    /// there is none, or when that was it.
    pub(super) fn fall_back(&self, script: &Rc<Script>, reason: &str) -> bool {
        if script.version.borrow().is_none() || script.instead_of.borrow().is_some() {
            return false;
        }
        log::error!("script {}: {reason}; the version that served before is loaded again", script.name);
        self.agenda.abandon_robots(script);
        script.store.borrow_mut().undo();
        let failed = Transition::Failed { reason: reason.to_string() };
        script.transition(failed, "what is on disk could not be loaded");
        *script.instead_of.borrow_mut() = Some(reason.to_string());
        self.start(script).is_ok()
    }

    /// A process of the script serves: what it was loaded from is kept.
    pub(super) fn keep_version(&self, script: &Script, process: &Process) {
        let sources = process.sources.take();
        if script.instead_of.borrow().is_some() {
            return;
        }
        if sources.is_too_much() {
            log::warn!(
                "script {}: no version of it is kept: its sources have more than {} MiB",
                script.name,
                MAX_KEPT >> 20
            );
        }
        let version = Version::new(sources).map(|mut version| {
            let (filtered, observers) = (script.filtered.get(), script.observers.get());
            let is_asked = |hook: &Hook| !filtered.contains(*hook) && !observers.contains(*hook);
            script.own_hooks.get().iter().filter(is_asked).for_each(|hook| version.hooks.insert(hook));
            Arc::new(version)
        });
        script.version.replace(version);
        self.write_version(script);
    }

    /// A script that serves has loaded one more file.
    pub(super) fn adds_to_version(&self, script: &Script, file: &[u8], text: &[u8]) {
        {
            let mut version = script.version.borrow_mut();
            let Some(known) = &mut *version else { return };
            if !Arc::make_mut(known).add(file, text) {
                *version = None;
            }
        }
        self.write_version(script);
    }

    fn write_version(&self, script: &Script) {
        if let Some(file) = &*script.version_file.borrow() {
            self.kept_versions.keep(file, script.version.borrow().clone());
        }
    }

    /// A script that is new in the list has the version that was kept on disk. If it must not be open
    /// while it is away, it is not before it has loaded.
    pub(super) fn recall_version(&self, script: &Script, config: &Config) {
        let Some(folder) = &config.store_dir else { return };
        let file = store::version_file(folder, &script.path, config.scripts_dir.as_deref());
        let version = self.kept_versions.read(&file);
        let when_away = script.overrides.borrow().when_away.unwrap_or(config.when_away);
        if let Some(version) = &version
            && when_away == WhenAway::Block
        {
            script.hooks.set(version.hooks);
        }
        script.version.replace(version.map(Arc::new));
        script.version_file.replace(Some(file));
    }

    /// An operator has a script unloaded: no version of it is kept.
    pub(super) fn drop_version(&self, id: ScriptId) {
        let Some(script) = self.registry.get(id) else { return };
        script.version.take();
        self.write_version(&script);
        script.version_file.take();
    }

    /// A script has run to its end: whoever asked for that is told.
    pub(super) fn has_loaded(&self, script: &Rc<Script>) {
        script.awaited_until.set(None);
        script.store.borrow_mut().keep_changes();
        let instead_of = script.instead_of.borrow().clone();
        let kept_at = script.version.borrow().as_ref().map(|version| version.loaded_at);
        if let (Some(reason), Some(at)) = (instead_of, kept_at) {
            return self.serves_instead(script, &reason, at);
        }
        script.loaded_at.set(Some(SystemTime::now()));
        match script.task.take() {
            Some(Task::Load(ticket)) => {
                log::info!("script {} is loaded as number {}", script.path.display(), script.id);
                self.agenda.tell_loaded(script);
                self.finish(ticket, Outcome::Loaded(Ok(loaded_of(script))));
            }
            Some(Task::Reload(ticket)) => {
                log::info!("script {} is reloaded", script.name);
                self.agenda.tell_loaded(script);
                self.finish(ticket, Outcome::Reloaded(Ok(loaded_of(script))));
            }
            other => *script.task.borrow_mut() = other,
        }
    }
}

impl Supervisor {
    /// The version that is kept serves, because what is on disk does not load.
    fn serves_instead(&self, script: &Rc<Script>, reason: &str, at: SystemTime) {
        script.loaded_at.set(Some(at));
        let error = serves_on(reason, at);
        match script.task.take() {
            Some(Task::Load(ticket)) => {
                log::error!("script {} is loaded from the version that is kept: {error}", script.name);
                self.agenda.tell_operators(format!("Script {}: {error}", script.name));
                script.warnings.borrow_mut().push(error.to_string());
                self.agenda.tell_loaded(script);
                self.finish(ticket, Outcome::Loaded(Ok(loaded_of(script))));
            }
            Some(Task::Reload(ticket)) => {
                log::error!("script {} is not reloaded: {error}", script.name);
                self.finish(ticket, Outcome::Reloaded(Err(error)));
            }
            other => {
                *script.task.borrow_mut() = other;
                self.agenda.tell_operators(format!("Script {}: {error}", script.name));
            }
        }
    }
}

fn loaded_of(script: &Script) -> Loaded {
    let warnings = script.warnings.borrow().clone();
    Loaded { id: script.id, name: script.name.clone(), warnings }
}

fn serves_on(reason: &str, since: SystemTime) -> LoadError {
    LoadError::ServesOn { reason: reason.to_string(), since: local_time::clock(since) }
}
