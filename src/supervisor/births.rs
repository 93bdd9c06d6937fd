//! Gives scripts their processes, without ever waiting for the system to start one: a script
//! asks, and gets its process when it is there; what a script's states mean is
//! [`lifecycle`](super::lifecycle)'s matter.

use std::io;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use plugin_abi::ToWorker;
use plugin_abi::frame::Load;

use super::agenda::Chore;
use super::credentials::{Credentials, umask};
use super::output::Output;
use super::process::{Birth, Phase, Process, Recipe};
use super::script::Script;
use super::spawn::{Child, OtherCredentials};
use super::state::{State, Transition};
use super::{LoadError, Supervisor};

impl Supervisor {
    /// Gives a script a process, a spare one if there is, and lets it load.
    pub(super) fn start(&self, script: &Rc<Script>) -> Result<(), LoadError> {
        let config = self.config();
        let python = self.interpreters.for_script(&script.path, config.python.as_deref())?;
        *script.python.borrow_mut() = python.clone();
        let now = Instant::now();
        let awaited_until = script.was_ready.get().then(|| now + config.restart_wait);
        // One that was started a moment ago is a spare, too.
        self.collect_births();
        if let Some(spare) = self.take_spare(&python) {
            self.reactor.helpers().reader.rename(spare.serial, &script.output());
            *spare.output.borrow_mut() = script.output();
            return self.adopt(script, spare, awaited_until);
        }
        let serial = match self.claim_birth(&python, &script.output()) {
            Some(serial) => serial,
            None => self.begin_birth(&python, script.output())?,
        };
        let deadline = now + config.load_timeout;
        script.transition(
            Transition::Spawning { serial, deadline, awaited_until },
            "its process is being started",
        );
        self.set_timer();
        Ok(())
    }

    /// Gives a script this process.
    fn adopt(
        &self,
        script: &Rc<Script>,
        process: Rc<Process>,
        awaited_until: Option<Instant>,
    ) -> Result<(), LoadError> {
        let config = self.config();
        let mut own = config.clone();
        script.overrides.borrow().apply(&mut own);
        let limits = own.limits;
        if let Err(error) = process.limit(limits, config.inherited_files) {
            let error = io::Error::new(error.kind(), format!("its limits cannot be set: {error}"));
            return Err(LoadError::Start { python: process.python.clone(), error });
        }
        *process.script.borrow_mut() = Rc::downgrade(script);
        process.phase.set(Phase::Loading);
        script.deaths.borrow_mut().started();
        *script.load_error.borrow_mut() = None;
        let deadline = Instant::now() + config.load_timeout;
        let spawned = Transition::Spawned { process: process.clone(), deadline, awaited_until };
        script.transition(spawned, "its process was started");
        self.send_load(script, &process, &config);
        self.set_timer();
        Ok(())
    }

    fn send_load(&self, script: &Script, process: &Rc<Process>, config: &super::Config) {
        use std::os::unix::ffi::OsStrExt;
        let identity = script.identity.borrow();
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
        };
        self.tell(process, &ToWorker::Load(Box::new(load)));
    }

    /// Starts a process; [`Supervisor::collect_births`] will find it.
    pub(super) fn begin_birth(&self, python: &Path, output: Arc<Output>) -> Result<u64, LoadError> {
        let helpers = self.reactor.helpers();
        let recipe = Recipe { python, worker: &self.worker, ring_bytes: self.config.borrow().ring_bytes };
        let serial = self.next_serial.get();
        self.next_serial.set(serial + 1);
        let birth = Birth::begin(&recipe, serial, &helpers.spawner, &helpers.reader, output)
            .map_err(|error| LoadError::Start { python: python.to_path_buf(), error })?;
        self.births.borrow_mut().push(birth);
        Ok(serial)
    }

    /// A process that is being started and that no script waits for yet.
    fn claim_birth(&self, python: &Path, output: &Arc<Output>) -> Option<u64> {
        let own = Credentials::of_this_thread().ok()?;
        let mut births = self.births.borrow_mut();
        let umask = umask();
        let fits = |birth: &Birth| birth.python == python && birth.credentials == own && birth.umask == umask;
        let birth =
            births.iter_mut().find(|birth| fits(birth) && self.who_waits_for(birth.serial).is_none())?;
        self.reactor.helpers().reader.rename(birth.serial, output);
        birth.output = output.clone();
        Some(birth.serial)
    }

    /// The script that gets the process which is being started.
    pub(super) fn who_waits_for(&self, birth: u64) -> Option<Rc<Script>> {
        let waits = |state: &State| matches!(state, State::Spawning { serial, .. } if *serial == birth);
        self.registry.list().iter().find(|script| script.with_state(waits)).cloned()
    }

    /// Gives the processes that were started to the scripts that wait for them; those that
    /// nobody waits for are spares.
    pub(super) fn collect_births(&self) {
        self.reactor.helpers().spawner.silence();
        for birth in self.births.take() {
            match birth.child() {
                None => self.births.borrow_mut().push(birth),
                Some(child) => self.born(birth, child),
            }
        }
    }

    fn born(&self, birth: Birth, child: io::Result<Child>) {
        let (serial, python) = (birth.serial, birth.python.clone());
        match self.is_foreign(&birth, &child) {
            Ok(false) => {}
            Ok(true) => return self.bear_again(birth, child),
            Err(error) => return self.came_to_be(serial, Err(LoadError::Start { python, error })),
        }
        let started = child.and_then(|child| {
            let process = Process::new(birth, child);
            self.reactor.register(&process)?;
            Ok(process)
        });
        let started = started.map_err(|error| LoadError::Start { python, error });
        self.came_to_be(serial, started);
    }

    /// Whether the hub has become another user since it asked for the process. If the thread that
    /// starts processes has not, there is another one from now on.
    fn is_foreign(&self, birth: &Birth, child: &io::Result<Child>) -> io::Result<bool> {
        if matches!(child, Err(error) if OtherCredentials::is_why(error)) {
            self.reactor.helpers().spawner.renew()?;
            return Ok(true);
        }
        Ok(birth.credentials != Credentials::of_this_thread()?)
    }

    /// Ends a process that is allowed something else than the hub, and starts another one for
    /// the script that waits for it.
    fn bear_again(&self, birth: Birth, child: io::Result<Child>) {
        let (serial, python, output) = (birth.serial, birth.python.clone(), birth.output.clone());
        // One that the hub may not signal any more ends with its link.
        drop(child.map(|child| Process::new(birth, child)));
        self.reactor.helpers().reader.finish(serial);
        self.untidy.set(true);
        let Some(script) = self.who_waits_for(serial) else { return };
        match self.begin_birth(&python, output) {
            Ok(serial) => {
                script.transition(Transition::Respawning { serial }, "the hub has become another user");
            }
            Err(error) => self.agenda.add(Chore::NotStarted(script, error)),
        }
    }

    /// A process was started, or was not.
    fn came_to_be(&self, serial: u64, started: Result<Rc<Process>, LoadError>) {
        // A spare may be one too many now, or one too few.
        self.untidy.set(true);
        let Some(script) = self.who_waits_for(serial) else {
            return self.spare_born(started);
        };
        let awaited_until = script.with_state(State::awaited_until);
        let adopted = started.and_then(|process| self.adopt(&script, process, awaited_until));
        if let Err(error) = adopted {
            self.agenda.add(Chore::NotStarted(script, error));
        }
    }
}
