//! What moves a script from one state to the next: loading, deaths, restarts, the end;
//! waiting meanwhile is [`waiting`](super::waiting)'s.

use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use plugin_abi::{ToWorker, Value, start};

use super::agenda::Chore;
use super::config::Identity;
use super::interpreter::NotFound;
use super::process::{Phase, Process};
use super::restart::{Decision, FIRST_PAUSE, is_shortage};
use super::script::{PACKAGE, Script};
use super::spawn::Exit;
use super::state::{State, Transition};
use super::store::Store;
use super::visits::Heard;
use super::{MAX_NESTING, ScriptStatus, StartError, Supervisor, status};
use crate::host::{Host, ScriptId};

/// How long a killed process may take to vanish.
const VANISH: Duration = Duration::from_secs(10);

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
        self.untidy.set(true);
        self.tidy(host);
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
        self.untidy.set(true);
        self.tidy(host);
        loaded
    }

    fn begin_load(
        &self,
        id: Option<ScriptId>,
        path: &Path,
        identity: Option<Identity>,
    ) -> Result<Rc<Script>, LoadError> {
        if self.ending.get() {
            return Err(LoadError::Ending);
        }
        let mut path = path.canonicalize().map_err(|_| LoadError::NoFile(path.to_path_buf()))?;
        if path.is_dir() {
            path.push(PACKAGE);
        }
        if !path.is_file() {
            return Err(LoadError::NoFile(path));
        }
        // Who asks for a number of its own keeps its own list, and may want one file twice.
        if id.is_none()
            && let Some(loaded) = self.registry.of_file(&path)
        {
            return Err(LoadError::Twice { path, id: loaded.id });
        }
        let (id, functions) = self.registry.claim(id).map_err(LoadError::Taken)?;
        let identity = identity.unwrap_or_else(|| self.config.borrow().identity.clone());
        let config = self.config();
        let store = Store::open(config.store_dir.as_deref(), &path, config.scripts_dir.as_deref());
        let script = Script::new(id, path, identity, store);
        script.functions.replace(functions);
        self.recall_options(&script);
        self.registry.add(script.clone());
        if let Err(error) = self.start(&script) {
            self.forget(&script);
            return Err(error);
        }
        Ok(script)
    }

    fn finish_load(&self, host: &mut dyn Host, script: &Rc<Script>) -> Result<Loaded, LoadError> {
        if let Err(error) = self.await_load(host, script) {
            self.forget(script);
            self.take_out_robots(host, script);
            log::error!("script {} is not loaded: {error}", script.path.display());
            return Err(error);
        }
        let warnings = script.warnings.borrow().clone();
        log::info!("script {} is loaded as number {}", script.path.display(), script.id);
        Ok(Loaded { id: script.id, name: script.name.clone(), warnings })
    }

    /// Waits until a script has run to its end, or will not.
    fn await_load(&self, host: &mut dyn Host, script: &Rc<Script>) -> Result<(), LoadError> {
        let level = self.enter().ok_or(LoadError::TooDeep)?;
        // It has so much to be started and so much to load, and is killed then.
        let longest = self.config.borrow().load_timeout * 2 + VANISH;
        self.wait_inside(host, longest, std::slice::from_ref(script), || {
            !script.with_state(State::is_starting)
        });
        drop(level);
        script.with_state(|state| match state {
            State::Ready { .. } | State::Stuck { .. } => Ok(()),
            State::Failed { reason } => Err(LoadError::Script(reason.clone())),
            State::Spawning { .. } | State::Starting { .. } => {
                Err(LoadError::Script("its process does not end although it was killed".into()))
            }
            other => Err(LoadError::Script(format!("it is {other}"))),
        })
    }

    /// Lets a script finish and ends its process. False when there is none with this number.
    ///
    /// A script that is inside a hook or function of its own is unloaded when it returns.
    pub fn unload(&self, host: &mut dyn Host, id: ScriptId) -> bool {
        self.visit(host);
        let Some(script) = self.registry.get(id) else { return false };
        if script.process().is_some_and(|process| process.is_busy()) {
            log::info!("script {} will be unloaded when it has returned", script.name);
            script.doomed.set(true);
            self.untidy.set(true);
            return true;
        }
        self.end(host, &[script]);
        true
    }

    /// Ends a script's process and starts it again from its file, under the same number.
    /// Its deaths are forgiven. When it cannot be loaded, it stays in the list as failed, to
    /// be reloaded once it is mended.
    pub fn reload(&self, host: &mut dyn Host, id: ScriptId) -> Result<Loaded, LoadError> {
        self.visit(host);
        let script = self.registry.get(id).ok_or(LoadError::NoScript(id))?;
        if self.ending.get() {
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
        self.tidy(host);
        loaded?;
        log::info!("script {} is reloaded", script.name);
        let warnings = script.warnings.borrow().clone();
        Ok(Loaded { id, name: script.name.clone(), warnings })
    }

    /// Unloads every script, and waits until no process is left.
    pub fn shutdown(&self, host: &mut dyn Host) {
        let was_ending = self.ending.replace(true);
        self.end(host, &self.registry.snapshot());
        self.pool.end_all();
        self.ending.set(was_ending);
    }

    /// In a forked child: the scripts' processes belong to the parent, so the child starts its
    /// own, and waits until they have loaded, so that no event slips past a filter. Call it
    /// before anything else. Those that are down stay down, and those that were being unloaded
    /// are gone.
    ///
    /// The program's logger must be one that can be used in a forked child whatever other
    /// threads were doing with it at that moment.
    pub fn after_fork(&self, host: &mut dyn Host) -> Result<(), StartError> {
        for process in self.processes() {
            process.disown();
        }
        self.pool.clear();
        self.agenda.clear();
        let mut orphans = self.registry.snapshot();
        orphans.retain(|script| self.lose_process(script));
        self.reactor.after_fork()?;
        for script in &orphans {
            if let Err(error) = self.start(script) {
                self.not_started(script, &error);
            }
        }
        if let Some(_level) = self.enter() {
            let patience = self.config.borrow().load_timeout;
            self.wait_inside(host, patience, &orphans, || {
                !orphans.iter().any(|script| script.with_state(State::is_starting))
            });
        }
        self.tidy(host);
        Ok(())
    }

    /// In a forked child: a script has no process. False when it shall not get one.
    fn lose_process(&self, script: &Script) -> bool {
        script.robots.borrow_mut().clear();
        script.abandoned_robots.borrow_mut().clear();
        script.store.borrow_mut().after_fork();
        let output = script.output().in_child();
        script.output.replace(output);
        let had_process = script.with_state(|state| {
            !matches!(state, State::Stopping { .. } | State::Failed { .. } | State::Stopped)
        });
        script.transition(Transition::Forked, "the hub was forked");
        had_process
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

    // ------------------------------------------------------------ chores

    /// At the end of every visit: unloads what was waiting for it, renews spares.
    #[inline]
    pub(super) fn tidy(&self, host: &mut dyn Host) {
        if self.depth.get() == 0 && (self.untidy.get() || !self.agenda.is_empty()) {
            self.tidy_up(host);
        }
    }

    #[cold]
    fn tidy_up(&self, host: &mut dyn Host) {
        // What the host does about one thing may lead to the next.
        while self.untidy.replace(false) || !self.agenda.is_empty() {
            self.do_chores(host);
            for script in self.registry.snapshot() {
                if script.doomed.get() && !script.process().is_some_and(|process| process.is_busy()) {
                    self.end(host, &[script]);
                }
            }
        }
        self.renew_spares();
        self.set_timer();
        self.ask_for_a_visit();
    }

    /// Acts on what happened to processes, and on what is due. It calls nobody: see
    /// [`agenda`](super::agenda).
    pub(super) fn settle(&self, heard: Heard) {
        loop {
            while let Some(chore) = self.agenda.next() {
                match chore {
                    Chore::Died(process) => self.after_death(&process),
                    // It may have been told to end meanwhile.
                    Chore::NotStarted(script, error) => {
                        if script.with_state(|state| matches!(state, State::Spawning { .. })) {
                            self.not_started(&script, &error);
                        }
                    }
                    Chore::Overran(script, process, what) => self.stuck(&script, &process, &what),
                }
            }
            self.do_what_is_due(heard);
            if !self.agenda.has_chores() {
                break;
            }
        }
    }

    /// Those whose time is up.
    fn due(&self) -> Vec<Rc<Script>> {
        let now = Instant::now();
        let is_due = |state: &State| state.due().is_some_and(|due| due <= now);
        self.registry.list().iter().filter(|script| script.with_state(is_due)).cloned().collect()
    }

    /// Whose time is up may have said something in time; it may be the hub's thread that was
    /// kept from looking.
    pub(super) fn hear_who_is_due(&self, host: &mut dyn Host) {
        for script in self.due() {
            if let Some(process) = script.process() {
                self.pump(host, &process);
            }
        }
    }

    fn do_what_is_due(&self, heard: Heard) {
        for script in self.due() {
            enum Act {
                Kill(Rc<Process>, &'static str),
                Start,
                Forsake,
                Nothing,
            }
            let act = script.with_state(|state| match state {
                State::Starting { process, .. } => Act::Kill(process.clone(), "it did not load in time"),
                State::Stuck { process, .. } => Act::Kill(process.clone(), "it was stuck"),
                State::Backoff { .. } => Act::Start,
                State::Spawning { .. } => Act::Forsake,
                _ => Act::Nothing,
            });
            match act {
                Act::Kill(process, _) if heard == Heard::Unheard && process.is_ready() => {}
                Act::Kill(process, why) => {
                    if !self.is_dumping(&script, &process) {
                        process.kill(why.into());
                    }
                }
                Act::Start => self.restart(&script),
                Act::Forsake => {
                    let python = script.python.borrow().clone();
                    let error = io::Error::new(
                        io::ErrorKind::TimedOut,
                        "the system does not start it: does its disk hang?",
                    );
                    self.not_started(&script, &LoadError::Start { python, error });
                }
                Act::Nothing => {}
            }
        }
    }

    /// A script that loads too long may say where it is before it is killed.
    fn is_dumping(&self, script: &Script, process: &Rc<Process>) -> bool {
        let is_starting = script.with_state(|state| matches!(state, State::Starting { .. }));
        if !is_starting || process.phase.get() == Phase::Unloaded || process.dumped.replace(true) {
            return false;
        }
        self.dump_stack(process);
        let deadline = Instant::now() + DUMP;
        script.transition(Transition::GivenUntil { deadline }, "it takes too long to load");
        self.set_timer();
        true
    }

    /// Lets `poll_fd` become readable when the next thing is due.
    pub(super) fn set_timer(&self) {
        let scripts = self.registry.list();
        let due = scripts.iter().filter_map(|script| script.with_state(State::due));
        let next = due.chain(self.pool.spares_from()).min();
        self.reactor.set_timer(next);
    }

    // ------------------------------------------------------------ trouble

    /// A process has ended.
    pub(super) fn died(&self, process: &Rc<Process>) {
        if process.dead.get() {
            return;
        }
        self.drain(process);
        process.dead.set(true);
        process.bury();
        self.reactor.unregister(process);
        self.agenda.add(Chore::Died(process.clone()));
    }

    fn after_death(&self, process: &Rc<Process>) {
        let exit = process.reap();
        // What it said last may explain its death.
        self.reactor.helpers().reader.finish(process.serial);
        self.untidy.set(true);
        let script = process.script.borrow().upgrade();
        let Some(script) = script.filter(|script| script.runs_in(process)) else {
            if process.script.borrow().upgrade().is_none() {
                self.spare_died(process, exit);
            }
            return;
        };
        if script.with_state(|state| matches!(state, State::Stopping { .. })) {
            if process.phase.get() == Phase::Unloaded && matches!(exit, Exit::Signal(_)) {
                // Extension modules that crash when the interpreter ends do so at every end.
                log::info!("script {}: its process ended with {exit} after it was unloaded", script.name);
            }
            script.transition(Transition::Ended, "it has ended");
            self.agenda.abandon_robots(&script);
            return;
        }
        let reason = self.reason_of_death(&script, process, exit);
        let shown = exit.to_string();
        let shown = if reason.contains(&shown) { String::new() } else { format!(" ({shown})") };
        script.output().note(format!("— process {} ended: {reason}{shown}", process.pid));
        if !script.was_ready.get() {
            script.transition(Transition::Failed { reason }, "it could not be loaded");
            self.agenda.abandon_robots(&script);
            return;
        }
        self.decide(&script, &format!("(process {}) died: {reason}", process.pid), &reason, true);
    }

    fn reason_of_death(&self, script: &Script, process: &Process, exit: Exit) -> String {
        if let Some(reason) = script.load_error.borrow_mut().take() {
            return reason;
        }
        if let Some(reason) = process.killed_for.borrow().clone() {
            let place = script.output().last_place().filter(|_| process.dumped.get());
            let place = place.map(|place| format!("it was in {place}"));
            let started = || format!("{} had not started", process.python.display());
            let place = place.or_else(|| (!process.is_up.get()).then(started));
            return place.map_or(reason.clone(), |place| format!("{reason}: {place}"));
        }
        if exit == Exit::Code(start::WRONG_PYTHON) && !process.is_up.get() {
            let version = script.output().last_line().unwrap_or_else(|| "of an unknown version".into());
            return format!(
                "{} is {version}, but scripts need CPython 3.10 or later, not free-threaded: put a .venv of such \
                 a one beside the script, or name another by the option `python` (vhpy hub --python PATH)",
                process.python.display()
            );
        }
        let last_line = script.output().last_line();
        let exit = match last_line {
            Some(line) if exit == Exit::Code(start::LINK_BROKEN) => format!("{exit}: {line}"),
            _ => process.explain(exit),
        };
        match process.phase.get() {
            Phase::Loading | Phase::Started | Phase::Waiting => {
                let last = script.output().last_line().map_or(String::new(), |line| format!(": {line}"));
                format!("{} ended with {exit} while it was loading{last}", script.path.display())
            }
            Phase::Serving | Phase::Unloaded => exit,
        }
    }

    /// A script that was ready is dead: start it again, or not.
    fn decide(&self, script: &Rc<Script>, what: &str, reason: &str, had_process: bool) {
        let limits = self.config.borrow().restart;
        let now = Instant::now();
        let decision = match script.deaths.borrow_mut().another(now, &limits) {
            // What the system lacks at this moment it lacks for the next attempt, too.
            Decision::Now if !had_process => Decision::After(limits.first_delay.max(BREATH)),
            decision => decision,
        };
        let name = &script.name;
        let what_next = match decision {
            Decision::Now => "it is being restarted".to_string(),
            Decision::After(pause) => format!("it will be restarted in {} s", pause.as_secs_f32()),
            Decision::GiveUp => format!("it died too often and stays down until !pyreload {name}"),
        };
        match decision {
            Decision::Now | Decision::GiveUp => {
                script.transition(Transition::Failed { reason: reason.to_string() }, reason);
            }
            Decision::After(pause) => script.transition(Transition::PutOff { until: now + pause }, reason),
        }
        let text = format!("Script {name} {what}; {what_next}");
        log::error!("{text}");
        self.agenda.abandon_robots(script);
        self.agenda.tell_operators(text);
        if decision == Decision::Now {
            self.restart(script);
        }
        self.set_timer();
    }

    fn restart(&self, script: &Rc<Script>) {
        script.restarts.set(script.restarts.get() + 1);
        if let Err(error) = self.start(script) {
            self.not_started(script, &error);
        }
    }

    /// A script got no process.
    fn not_started(&self, script: &Rc<Script>, error: &LoadError) {
        let reason = error.to_string();
        if !script.was_ready.get() {
            script.transition(Transition::Failed { reason }, "it could not be started");
        } else if error.is_shortage() {
            self.put_off(script, &reason);
        } else {
            self.decide(script, &format!("cannot be restarted: {reason}"), &reason, false);
        }
    }

    /// The system has no room for a script's process: that is tried again until it has. Operators
    /// hear of the first attempt.
    fn put_off(&self, script: &Rc<Script>, reason: &str) {
        let pause = script.deaths.borrow_mut().put_off();
        script.transition(Transition::PutOff { until: Instant::now() + pause }, reason);
        if pause == FIRST_PAUSE {
            let text = format!(
                "Script {} cannot be restarted: {reason}; it is tried again, at least once a minute, until the system has room",
                script.name
            );
            log::error!("{text}");
            self.agenda.tell_operators(text);
        }
        self.agenda.abandon_robots(script);
        self.set_timer();
    }

    fn stuck(&self, script: &Rc<Script>, process: &Rc<Process>, what: &str) {
        let is_ready = script.ready().is_some_and(|own| own.serial == process.serial);
        if !is_ready || process.dead.get() || process.has_caught_up() {
            return;
        }
        let kill_timeout = self.kill_timeout(script);
        let kill_at = Instant::now() + kill_timeout;
        let text = format!(
            "Script {} is stuck in {what}: it gets no more events, and is killed in {} s if it does not return",
            script.name,
            kill_timeout.as_secs_f32()
        );
        script.transition(Transition::Overran { kill_at }, "its answer is late");
        self.dump_stack(process);
        self.set_timer();
        log::warn!("{text}");
        self.agenda.tell_operators(text);
        self.has_stuck.set(true);
        if self.depth.get() == 0 {
            self.listen_to_stuck();
        }
    }

    fn kill_timeout(&self, script: &Script) -> Duration {
        script.overrides.borrow().kill_timeout.unwrap_or_else(|| self.config.borrow().kill_timeout)
    }

    /// Asks the interpreter to write every thread's Python stack to the log.
    fn dump_stack(&self, process: &Process) {
        // An interpreter that still starts would die of the signal.
        if process.is_up.get() && matches!(process.phase.get(), Phase::Loading | Phase::Serving) {
            process.signal(start::STACK_SIGNAL);
        }
    }

    // ------------------------------------------------------------ ending

    /// Stops scripts and takes them out of the list.
    fn end(&self, host: &mut dyn Host, scripts: &[Rc<Script>]) {
        self.stop(host, scripts);
        for script in scripts {
            self.forget(script);
            log::info!("script {} is unloaded", script.name);
        }
        self.untidy.set(true);
        self.tidy(host);
    }

    fn forget(&self, script: &Rc<Script>) {
        if let Some(process) = script.process() {
            process.kill("its script was given up".into());
            self.reactor.unregister(&process);
            // Even if a child of it still holds its pipes.
            self.reactor.helpers().reader.finish(process.serial);
        }
        self.agenda.abandon_robots(script);
        self.registry.remove(script);
        script.transition(Transition::Forgotten, "it was taken out of the list");
    }

    /// Lets scripts run `UnLoad()` and end, all at the same time; then they are told to, then
    /// made to.
    fn stop(&self, host: &mut dyn Host, scripts: &[Rc<Script>]) {
        self.await_stop(host, scripts);
        // Whoever gets their names or numbers next finds none of theirs.
        for script in scripts {
            self.agenda.abandon_robots(script);
            self.take_out_robots(host, script);
        }
    }

    fn await_stop(&self, host: &mut dyn Host, scripts: &[Rc<Script>]) {
        let Some(_level) = self.enter() else { return };
        let longest = |timeout: &dyn Fn(&Script) -> Duration| {
            scripts.iter().map(|script| timeout(script)).max().unwrap_or_default()
        };
        let patience = longest(&|script| self.hook_timeout(script, None));
        let kill_timeout = longest(&|script| self.kill_timeout(script));
        for script in scripts {
            let process = script.process();
            script.transition(Transition::ToldToStop, "it was told to end");
            let Some(process) = process else { continue };
            let serves = process.phase.get() == Phase::Serving;
            if serves {
                let within = u32::try_from(self.hook_timeout(script, None).as_millis()).unwrap_or(u32::MAX);
                self.tell(&process, &ToWorker::Unload { within });
            } else {
                process.signal(libc::SIGKILL);
            }
        }
        let stopped =
            || scripts.iter().all(|script| script.with_state(|state| matches!(state, State::Stopped)));
        let steps = [
            (None, patience),
            (Some(libc::SIGTERM), kill_timeout.min(patience)),
            (Some(libc::SIGKILL), VANISH),
        ];
        for (signal, patience) in steps {
            for script in scripts {
                if let (Some(signal), Some(process)) = (signal, script.process()) {
                    log::warn!("script {} does not end: {}", script.name, name_of(signal));
                    self.dump_stack(&process);
                    process.signal(signal);
                }
            }
            if self.wait_inside(host, patience, scripts, stopped) {
                return;
            }
        }
        log::error!("a script's process does not end although it was killed: is its disk or network hung?");
    }
}

/// The shortest pause after a start that failed.
const BREATH: Duration = Duration::from_millis(100);

/// How long a script that is about to be killed may take to write its stack.
const DUMP: Duration = Duration::from_millis(200);

fn name_of(signal: i32) -> &'static str {
    if signal == libc::SIGTERM { "SIGTERM" } else { "SIGKILL" }
}
