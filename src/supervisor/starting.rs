//! Gives scripts their processes, without ever waiting for the system to start one: a script
//! asks, and gets its process when it is there.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use plugin_abi::ToWorker;
use plugin_abi::frame::Load;

use super::agenda::Deferred;
use super::child::{Child, Exit};
use super::credentials::Credentials;
use super::output::Output;
use super::pending_spawn::PendingSpawn;
use super::process::{Phase, Process};
use super::script::{Script, State, Successor, Transition};
use super::spawn::OtherCredentials;
use super::{LoadError, Supervisor};

impl Supervisor {
    /// Gives a script a process, a spare one if there is, and lets it load.
    pub(super) fn start(&self, script: &Rc<Script>) -> Result<(), LoadError> {
        let config = self.config();
        let python = self.pool.interpreter(&script.path, config.python.as_deref())?;
        *script.python.borrow_mut() = python.clone();
        if let Some(spare) = self.a_spare(script, &python) {
            return self.adopt(script, spare);
        }
        let serial = match self.claim(&python, &script.output()) {
            Some(serial) => serial,
            None => self.spawn(&python, script.output())?,
        };
        let deadline = Instant::now() + config.load_timeout;
        script.transition(Transition::Spawning { serial, deadline }, "its process is being started");
        self.set_timer();
        Ok(())
    }

    /// A spare, which prints for this script from now on.
    pub(super) fn a_spare(&self, script: &Script, python: &Path) -> Option<Rc<Process>> {
        // One that was started a moment ago is a spare, too.
        self.collect_started();
        let spare = self.pool.take_spare(python)?;
        self.reactor.helpers().reader.rename(spare.serial, &script.output());
        *spare.output.borrow_mut() = script.output();
        Some(spare)
    }

    /// Limits what a process may use to what the script may.
    pub(super) fn limit(
        &self,
        script: &Script,
        process: &Process,
        config: &super::Config,
    ) -> Result<(), LoadError> {
        let mut own = config.clone();
        script.overrides.borrow().apply(&mut own);
        process.limit(own.limits, config.inherited_files).map_err(|error| {
            let error = io::Error::new(error.kind(), format!("its limits cannot be set: {error}"));
            LoadError::Start { python: process.python.clone(), error }
        })
    }

    /// Gives a script this process.
    pub(super) fn adopt(&self, script: &Rc<Script>, process: Rc<Process>) -> Result<(), LoadError> {
        let config = self.config();
        self.limit(script, &process, &config)?;
        *process.script.borrow_mut() = Rc::downgrade(script);
        process.phase.set(Phase::Loading);
        script.deaths.borrow_mut().started();
        *script.load_error.borrow_mut() = None;
        script.store.borrow_mut().note_changes();
        let deadline = Instant::now() + config.load_timeout;
        let spawned = Transition::Spawned { process: process.clone(), deadline };
        script.transition(spawned, "its process was started");
        self.send_load(script, &process, &config);
        self.set_timer();
        Ok(())
    }

    fn send_load(&self, script: &Script, process: &Rc<Process>, config: &super::Config) {
        use std::os::unix::ffi::OsStrExt;
        let identity = script.identity.borrow();
        let kept = script.version.borrow().clone().filter(|_| script.instead_of.borrow().is_some());
        let scripts_dir = config.scripts_dir.clone().unwrap_or_default();
        let load = Load {
            id: i64::from(script.id.0),
            path: script.path.as_os_str().as_bytes().into(),
            scripts_dir: scripts_dir.as_os_str().as_bytes().into(),
            botname: identity.botname.as_slice().into(),
            opchatname: identity.opchatname.as_slice().into(),
            basedir: identity.basedir.as_os_str().as_bytes().into(),
            config_name: identity.config_name.as_bytes().into(),
            starttime: identity.starttime,
            encoding: config.encoding.as_bytes().into(),
            has_ip_city: config.has_ip_city,
            store: script.store.borrow().entries(),
            kept: kept.as_ref().map_or(Vec::new(), |version| version.entries()),
        };
        process.set_slow_hook(self.config.borrow().slow_hook);
        self.tell(process, &ToWorker::Load(Box::new(load)));
    }

    /// Lets a process be started; [`Supervisor::collect_started`] will find it.
    pub(super) fn spawn(&self, python: &Path, output: Arc<Output>) -> Result<u64, LoadError> {
        let ring_bytes = self.config.borrow().ring_bytes;
        self.pool
            .spawn(&self.reactor.helpers(), python, ring_bytes, output)
            .map_err(|error| LoadError::Start { python: python.to_path_buf(), error })
    }

    /// A process that is being started and that no script waits for yet.
    pub(super) fn claim(&self, python: &Path, output: &Arc<Output>) -> Option<u64> {
        let serial = self.pool.claim(python, output, |serial| self.is_awaited(serial))?;
        self.reactor.helpers().reader.rename(serial, output);
        Some(serial)
    }

    /// The script that gets the process which is being started.
    fn who_waits_for(&self, pending: u64) -> Option<Rc<Script>> {
        let waits = |state: &State| matches!(state, State::Spawning { serial, .. } if *serial == pending);
        let is_it = |script: &Script| script.with_state(waits) || is_successor(script, pending);
        self.registry.find_by(is_it)
    }

    fn is_awaited(&self, serial: u64) -> bool {
        self.who_waits_for(serial).is_some()
    }

    /// Gives the processes that were started to the scripts that wait for them; those that
    /// nobody waits for are spares.
    pub(super) fn collect_started(&self) {
        self.reactor.helpers().spawner.silence();
        for (pending, child) in self.pool.started() {
            let (serial, python) = (pending.serial, pending.python.clone());
            let started = match self.is_foreign(&pending, &child) {
                Ok(false) => self.process_of(pending, child),
                Ok(true) => {
                    self.spawn_again(pending, child);
                    continue;
                }
                Err(error) => Err(error),
            };
            let started = started.map_err(|error| LoadError::Start { python, error });
            self.deliver_started(serial, started);
        }
    }

    fn process_of(&self, pending: PendingSpawn, child: io::Result<Child>) -> io::Result<Rc<Process>> {
        let process = Process::new(pending, child?);
        self.reactor.register(&process)?;
        Ok(process)
    }

    /// Whether the hub has become another user since it asked for the process. If the thread that
    /// starts processes has not, there is another one from now on.
    fn is_foreign(&self, pending: &PendingSpawn, child: &io::Result<Child>) -> io::Result<bool> {
        if matches!(child, Err(error) if OtherCredentials::is_why(error)) {
            self.reactor.helpers().spawner.renew()?;
            return Ok(true);
        }
        Ok(pending.credentials != Credentials::of_this_thread()?)
    }

    /// Ends a process that is allowed something else than the hub, and starts another one for
    /// the script that waits for it.
    fn spawn_again(&self, pending: PendingSpawn, child: io::Result<Child>) {
        let (serial, python, output) = (pending.serial, pending.python.clone(), pending.output.clone());
        // One that the hub may not signal any more ends with its link.
        drop(child.map(|child| Process::new(pending, child)));
        self.reactor.helpers().reader.finish(serial);
        self.agenda.need_housekeeping();
        let Some(script) = self.who_waits_for(serial) else { return };
        let is_successor = is_successor(&script, serial);
        match self.spawn(&python, output) {
            Ok(serial) if is_successor => {
                if let Some(Successor::Spawning { serial: old, .. }) = &mut *script.successor.borrow_mut() {
                    *old = serial;
                }
            }
            Err(error) if is_successor => self.reload_refused(&script, error),
            Ok(serial) => {
                script.transition(Transition::Respawning { serial }, "the hub has become another user");
            }
            Err(error) => self.agenda.defer(Deferred::NotStarted(script, error)),
        }
    }

    /// A process was started, or was not.
    fn deliver_started(&self, serial: u64, started: Result<Rc<Process>, LoadError>) {
        // A spare may be one too many now, or one too few.
        self.agenda.need_housekeeping();
        let Some(script) = self.who_waits_for(serial) else {
            return match started {
                Ok(spare) => self.pool.add_spare(spare),
                Err(error) => self.no_spare(&error),
            };
        };
        if is_successor(&script, serial) {
            return match started {
                Ok(process) => self.let_compile(&script, process),
                Err(error) => self.reload_refused(&script, error),
            };
        }
        let adopted = started.and_then(|process| self.adopt(&script, process));
        if let Err(error) = adopted {
            self.agenda.defer(Deferred::NotStarted(script, error));
        }
    }

    /// Starts a spare for every interpreter in use that has none, and ends the others.
    pub(super) fn renew_spares(&self) {
        if self.agenda.is_ending() {
            return;
        }
        let mut wanted: Vec<PathBuf> = Vec::new();
        if self.config.borrow().spare {
            for script in self.registry.list().iter() {
                let python = script.python.borrow();
                if !wanted.contains(&python) {
                    wanted.push(python.clone());
                }
            }
        }
        let missing = self.pool.missing_spares(wanted, Instant::now(), |serial| self.is_awaited(serial));
        for python in missing {
            if let Err(error) = self.spawn(&python, Output::new("spare")) {
                self.no_spare(&error);
            }
        }
    }

    fn no_spare(&self, error: &LoadError) {
        self.try_again_later(&format!("no spare interpreter: {error}"));
    }

    fn try_again_later(&self, why: &str) {
        let pause = self.pool.spare_failed(Instant::now());
        log::warn!("{why}; the next attempt is in {} s", pause.as_secs());
    }

    /// A spare has ended before it was of any use.
    pub(super) fn spare_died(&self, process: &Process, exit: Exit) {
        self.pool.remove_spare(process.serial);
        if !self.agenda.is_ending() {
            self.try_again_later(&format!(
                "the spare interpreter {} ended with {exit}",
                process.python.display()
            ));
        }
    }
}

/// Whether the process that is being started is to follow the one that the script has.
fn is_successor(script: &Script, pending: u64) -> bool {
    matches!(&*script.successor.borrow(), Some(Successor::Spawning { serial, .. }) if *serial == pending)
}
