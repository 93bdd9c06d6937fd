//! Loads scripts and loads them again, and waits until they have run to their end.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::config::Identity;
use super::script::{Script, ScriptId, State, Transition};
use super::script_file::PACKAGE;
use super::store::Store;
use super::unloading::VANISH;
use super::{Host, LoadError, Loaded, Supervisor};

impl Supervisor {
    /// The number that the next script without a number of its own will get.
    pub fn reserve_id(&self) -> ScriptId {
        self.registry.reserve()
    }

    /// Loads a script and waits until it has run to its end.
    pub fn load(&self, host: &mut dyn Host, path: &Path) -> Result<Loaded, LoadError> {
        self.load_as(host, None, path, None)
    }

    /// Loads a script under a number and with an identity of its own; `None` leaves both to
    /// the supervisor.
    pub fn load_as(
        &self,
        host: &mut dyn Host,
        id: Option<ScriptId>,
        path: &Path,
        identity: Option<Identity>,
    ) -> Result<Loaded, LoadError> {
        self.visit(host);
        let script = self.begin_load(id, path, identity)?;
        let loaded = self.finish_load(host, &script);
        // Only now a spare is started: it would compete with what is loading.
        self.agenda.need_housekeeping();
        self.keep_house(host);
        loaded
    }

    /// Loads several scripts at the same time. The results, the numbers and the load order are
    /// those of the paths.
    pub fn load_all(&self, host: &mut dyn Host, paths: &[PathBuf]) -> Vec<Result<Loaded, LoadError>> {
        self.visit(host);
        let begun: Vec<_> = paths.iter().map(|path| self.begin_load(None, path, None)).collect();
        let loaded = begun
            .into_iter()
            .map(|script| script.and_then(|script| self.finish_load(host, &script)))
            .collect();
        self.agenda.need_housekeeping();
        self.keep_house(host);
        loaded
    }

    fn begin_load(
        &self,
        id: Option<ScriptId>,
        path: &Path,
        identity: Option<Identity>,
    ) -> Result<Rc<Script>, LoadError> {
        if self.agenda.is_ending() {
            return Err(LoadError::Ending);
        }
        let path = file_of(path)?;
        // Who asks for a number of its own keeps its own list, and may want one file twice.
        if id.is_none()
            && let Some(loaded) = self.registry.of_file(&path)
        {
            return Err(LoadError::Twice { path, id: loaded.id });
        }
        let id = self.registry.claim(id).map_err(LoadError::Taken)?;
        let identity = identity.unwrap_or_else(|| self.config.borrow().identity.clone());
        let config = self.config();
        let store = Store::open(config.store_dir.as_deref(), &path, config.scripts_dir.as_deref());
        let script = Script::new(id, path, identity, store);
        self.recall_options(&script);
        self.registry.add(script.clone());
        if let Err(error) = self.start(&script) {
            self.forget(&script);
            return Err(error);
        }
        Ok(script)
    }

    fn finish_load(&self, host: &mut dyn Host, script: &Rc<Script>) -> Result<Loaded, LoadError> {
        let loaded = self.await_load(host, script);
        match &loaded {
            Ok(_) => {
                log::info!("script {} is loaded as number {}", script.path.display(), script.id);
                self.on_the_hosts_time(None, || host.script_loaded(self, script.id));
            }
            Err(error) => {
                self.forget(script);
                self.take_out_robots(host, script);
                log::error!("script {} is not loaded: {error}", script.path.display());
            }
        }
        loaded
    }

    /// Waits until a script has run to its end, or will not.
    fn await_load(&self, host: &mut dyn Host, script: &Rc<Script>) -> Result<Loaded, LoadError> {
        let level = self.enter().ok_or(LoadError::TooDeep)?;
        // It has so much to be started and so much to load, and is killed then.
        let longest = self.config.borrow().load_timeout * 2 + VANISH;
        self.wait_inside(host, longest, std::slice::from_ref(script), || {
            !script.with_state(State::is_starting)
        });
        drop(level);
        script.with_state(|state| match state {
            State::Ready { .. } | State::Stuck { .. } => {
                let warnings = script.warnings.borrow().clone();
                Ok(Loaded { id: script.id, name: script.name.clone(), warnings })
            }
            State::Failed { reason } => Err(LoadError::Script(reason.clone())),
            State::Spawning { .. } | State::Starting { .. } => {
                Err(LoadError::Script("its process does not end although it was killed".into()))
            }
            other => Err(LoadError::Script(format!("it is {other}"))),
        })
    }

    /// Ends a script's process and starts it again from its file, under the same number.
    /// Its deaths are forgiven. When it cannot be loaded, it stays in the list as failed, to
    /// be reloaded once it is mended.
    pub fn reload(&self, host: &mut dyn Host, id: ScriptId) -> Result<Loaded, LoadError> {
        self.visit(host);
        let script = self.stop_for_reload(host, id)?;
        script.deaths.borrow_mut().forgive();
        script.was_ready.set(false);
        self.forget_wants(&script);
        self.registry.hooks_changed();
        if let Err(error) = self.start(&script) {
            let failed = Transition::Failed { reason: error.to_string() };
            script.transition(failed, "it could not be started");
            return Err(error);
        }
        let loaded = self.await_load(host, &script);
        self.take_out_robots(host, &script);
        self.keep_house(host);
        if loaded.is_ok() {
            log::info!("script {} is reloaded", script.name);
            self.on_the_hosts_time(None, || host.script_loaded(self, id));
        }
        loaded
    }

    /// Ends the process of a script that can be reloaded.
    fn stop_for_reload(&self, host: &mut dyn Host, id: ScriptId) -> Result<Rc<Script>, LoadError> {
        let script = self.registry.get(id).ok_or(LoadError::NoScript(id))?;
        if self.agenda.is_ending() {
            return Err(LoadError::Ending);
        }
        // Twice a level is needed, and one that is not there must not leave half of this done.
        drop(self.enter().ok_or(LoadError::TooDeep)?);
        if script.process().is_some_and(|process| process.is_busy()) {
            return Err(LoadError::Script("it is inside a hook: try again when it has returned".into()));
        }
        self.stop(host, std::slice::from_ref(&script));
        // The host may have loaded or unloaded it meanwhile.
        if !self.registry.list().iter().any(|other| Rc::ptr_eq(other, &script)) {
            return Err(LoadError::NoScript(id));
        }
        if !script.with_state(|state| matches!(state, State::Stopped)) {
            let state = script.with_state(State::word);
            return Err(LoadError::Script(format!("it is {state}: try again when its process has ended")));
        }
        Ok(script)
    }
}

/// The file of a script that is named by a path: a package's is in its folder.
fn file_of(path: &Path) -> Result<PathBuf, LoadError> {
    let mut file = path.canonicalize().map_err(|_| LoadError::NoFile(path.to_path_buf()))?;
    if file.is_dir() {
        file.push(PACKAGE);
    }
    if file.is_file() { Ok(file) } else { Err(LoadError::NoFile(file)) }
}
