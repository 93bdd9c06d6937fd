//! Loads scripts, and waits until they have run to their end where somebody wants to.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::config::Identity;
use super::script::{Script, ScriptId, Task};
use super::script_file::PACKAGE;
use super::store::Store;
use super::tasks::Outcome;
use super::ticket::Ticket;
use super::unloading::VANISH;
use super::{Host, LoadError, Loaded, Supervisor};

impl Supervisor {
    /// The number that the next script without a number of its own will get.
    pub fn reserve_id(&self) -> ScriptId {
        self.registry.reserve()
    }

    /// Loads a script and waits until it has run to its end.
    ///
    /// # Errors
    ///
    /// When the file is not there or already loaded, no interpreter starts, or the script raises, dies
    /// or takes longer than `load_timeout`: the error says which, and where in the script.
    pub fn load(&self, host: &mut dyn Host, path: &Path) -> Result<Loaded, LoadError> {
        self.load_as(host, None, path, None)
    }

    /// Loads a script under a number and with an identity of its own; `None` leaves both to
    /// the supervisor.
    ///
    /// # Errors
    ///
    /// As those of [`Supervisor::load`]; also when the number is taken.
    pub fn load_as(
        &self,
        host: &mut dyn Host,
        id: Option<ScriptId>,
        path: &Path,
        identity: Option<Identity>,
    ) -> Result<Loaded, LoadError> {
        self.visit(host);
        let begun = self.begin_load_as(id, path, identity);
        self.await_loads(host, vec![begun]).pop().unwrap_or(Err(LoadError::TooDeep))
    }

    /// Loads several scripts at the same time, and waits for all. The results, the numbers and the load
    /// order are those of the paths.
    pub fn load_all(&self, host: &mut dyn Host, paths: &[PathBuf]) -> Vec<Result<Loaded, LoadError>> {
        self.visit(host);
        let begun = paths.iter().map(|path| self.begin_load(path)).collect();
        self.await_loads(host, begun)
    }

    /// Begins to load a script, and returns at once; the host is told of [`Outcome::Loaded`] by
    /// [`Host::finished`]. Scripts are in the list in the order in which this was called, and in the
    /// state `starting` until then.
    ///
    /// # Errors
    /// When it is known at once that the script cannot be loaded.
    pub fn begin_load(&self, path: &Path) -> Result<Ticket, LoadError> {
        self.begin_load_as(None, path, None)
    }

    /// [`Supervisor::begin_load`] under a number and with an identity of its own; `None` leaves both
    /// to the supervisor.
    ///
    /// # Errors
    /// When it is known at once that the script cannot be loaded.
    pub fn begin_load_as(
        &self,
        id: Option<ScriptId>,
        path: &Path,
        identity: Option<Identity>,
    ) -> Result<Ticket, LoadError> {
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
        self.recall_version(&script, &config);
        self.registry.add(script.clone());
        if let Err(error) = self.start(&script) {
            self.forget(&script);
            return Err(error);
        }
        let ticket = self.tasks.issue();
        *script.task.borrow_mut() = Some(Task::Load(ticket));
        Ok(ticket)
    }

    /// Waits until scripts have run to their ends, or will not.
    fn await_loads(
        &self,
        host: &mut dyn Host,
        begun: Vec<Result<Ticket, LoadError>>,
    ) -> Vec<Result<Loaded, LoadError>> {
        for ticket in begun.iter().flatten() {
            self.tasks.expect(*ticket);
            self.catch_up(*ticket);
        }
        let loaded = begun.into_iter().map(|ticket| self.await_load(host, ticket?)).collect();
        // Only now a spare is started: it would compete with what is loading.
        self.agenda.need_housekeeping();
        self.keep_house(host);
        loaded
    }

    fn await_load(&self, host: &mut dyn Host, ticket: Ticket) -> Result<Loaded, LoadError> {
        let script = self.registry.find_by(|script| *script.task.borrow() == Some(Task::Load(ticket)));
        let level = self.enter();
        if let (Some(script), Some(_)) = (&script, &level) {
            self.await_task(host, script, ticket);
        }
        let why = match level {
            Some(_) => LoadError::Script("its process does not end although it was killed".into()),
            None => LoadError::TooDeep,
        };
        drop(level);
        match self.tasks.take(ticket) {
            Some(Outcome::Loaded(Ok(loaded))) => Ok(loaded),
            Some(Outcome::Loaded(Err(error))) => {
                script.into_iter().for_each(|script| self.take_out_robots(host, &script));
                Err(error)
            }
            _ => {
                if let Some(script) = script {
                    script.task.take();
                    self.forget(&script);
                    self.take_out_robots(host, &script);
                }
                self.tasks.finish(ticket, Outcome::Unloaded);
                log::error!("a script is not loaded: {why}");
                Err(why)
            }
        }
    }

    /// Waits until a script's task is done, whose ticket this is.
    pub(super) fn await_task(&self, host: &mut dyn Host, script: &Rc<Script>, ticket: Ticket) {
        // Every step has a deadline of its own; this one is for what is no step.
        let steps = 3 * self.config.borrow().load_timeout
            + 2 * self.hook_timeout(script, None)
            + self.kill_timeout(script)
            + 2 * VANISH;
        self.wait_inside(host, 2 * steps, std::slice::from_ref(script), || self.tasks.is_done(ticket));
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
