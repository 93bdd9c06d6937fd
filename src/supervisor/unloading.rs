//! Lets scripts finish, ends their processes and takes them out of the list.
//!
//! A script is told to end ([`Supervisor::tell_to_stop`]), then more firmly each time its deadline
//! passes ([`Supervisor::urge`]); what follows its end is what was asked for
//! ([`Supervisor::has_stopped`]). All of this is done without a host, so that nobody has to wait for it.

use std::rc::Rc;
use std::time::{Duration, Instant};

use plugin_abi::ToWorker;

use super::process::{Phase, Process};
use super::script::{Script, ScriptId, State, Task, Transition};
use super::state::Told;
use super::tasks::Outcome;
use super::ticket::Ticket;
use super::{FOREVER, Host, LoadError, Supervisor};

/// How long a killed process may take to vanish.
pub(super) const VANISH: Duration = Duration::from_secs(10);

impl Supervisor {
    /// Lets a script finish and ends its process. False when there is none with this number.
    ///
    /// A script that is inside a hook or function of its own is unloaded when it returns.
    pub fn unload(&self, host: &mut dyn Host, id: ScriptId) -> bool {
        self.visit(host);
        let Some(script) = self.registry.get(id) else { return false };
        let is_ending = matches!(*script.task.borrow(), Some(Task::Unload(_)));
        if script.is_busy() || is_ending {
            log::info!("script {} will be unloaded when it has returned", script.name);
            script.unload_requested.set(!is_ending);
            self.agenda.need_housekeeping();
            return true;
        }
        self.end(host, &[script]);
        true
    }

    /// Begins to unload a script, and returns at once; the host is told of [`Outcome::Unloaded`] by
    /// [`Host::finished`]. The script gets no events from now on.
    ///
    /// # Errors
    /// When there is no such script.
    pub fn begin_unload(&self, id: ScriptId) -> Result<Ticket, LoadError> {
        let script = self.registry.get(id).ok_or(LoadError::NoScript(id))?;
        Ok(self.unload_later(&script))
    }

    fn unload_later(&self, script: &Rc<Script>) -> Ticket {
        let ticket = self.tasks.issue();
        if let Some(Task::Unload(tickets)) = &mut *script.task.borrow_mut() {
            tickets.push(ticket);
            return ticket;
        }
        self.cancel(script);
        *script.task.borrow_mut() = Some(Task::Unload(vec![ticket]));
        self.forget_wants(script);
        self.registry.hooks_changed();
        self.stop_when_idle(script);
        ticket
    }

    /// What was asked for of a script is not done any more.
    fn cancel(&self, script: &Rc<Script>) {
        self.drop_successor(script);
        script.is_to_stop.set(false);
        let why = || LoadError::Script("it was unloaded meanwhile".into());
        match script.task.take() {
            Some(Task::Load(ticket)) => self.finish(ticket, Outcome::Loaded(Err(why()))),
            Some(Task::Reload(ticket)) => self.finish(ticket, Outcome::Reloaded(Err(why()))),
            Some(Task::Unload(tickets)) => {
                tickets.into_iter().for_each(|ticket| self.finish(ticket, Outcome::Unloaded));
            }
            None => {}
        }
    }

    /// What was asked for has ended: whoever asked is told.
    pub(super) fn finish(&self, ticket: Ticket, outcome: Outcome) {
        if let Some((ticket, outcome)) = self.tasks.finish(ticket, outcome) {
            self.agenda.tell_finished(ticket, outcome);
            // It may be found out in a look that has no host to tell.
            self.reactor.wake();
        }
    }

    /// It is known from now on who is told of this. What took no time has ended already.
    pub(super) fn catch_up(&self, ticket: Ticket) {
        if let Some(outcome) = self.agenda.take_finished(ticket) {
            self.tasks.reopen(ticket);
            self.finish(ticket, outcome);
        }
    }

    /// Unloads every script, and waits until no process is left.
    pub fn shutdown(&self, host: &mut dyn Host) {
        let _ending = self.agenda.begin_ending();
        self.end(host, &self.registry.snapshot());
        self.pool.end_all();
        self.kept_versions.finish();
    }

    /// Stops scripts, waits for that, and takes them out of the list.
    pub(super) fn end(&self, host: &mut dyn Host, scripts: &[Rc<Script>]) {
        for script in scripts {
            self.cancel(script);
        }
        self.await_stop(host, scripts);
        for script in scripts {
            self.agenda.abandon_robots(script);
            // Whoever gets their names or numbers next finds none of theirs.
            self.take_out_robots(host, script);
            self.cancel(script);
            if self.registry.has(script) {
                self.forget(script);
                log::info!("script {} is unloaded", script.name);
            }
        }
        self.agenda.need_housekeeping();
        self.keep_house(host);
    }

    pub(super) fn forget(&self, script: &Rc<Script>) {
        self.drop_successor(script);
        if let Some(process) = script.process() {
            process.kill("its script was given up".into());
            self.let_go_of(&process);
        }
        self.agenda.abandon_robots(script);
        script.store.borrow_mut().undo();
        self.registry.remove(script);
        self.functions.forget(script.id);
        script.transition(Transition::Forgotten, "it was taken out of the list");
    }

    /// Nothing that this process says or does matters any more.
    pub(super) fn let_go_of(&self, process: &Process) {
        self.reactor.unregister(process);
        // Even if a child of it still holds its pipes.
        self.reactor.helpers().reader.finish(process.serial);
    }

    /// Tells scripts to end, all at the same time, and waits until they have.
    fn await_stop(&self, host: &mut dyn Host, scripts: &[Rc<Script>]) {
        let Some(_level) = self.enter() else { return };
        for script in scripts {
            // The hub waits for them, so nobody may keep them.
            if let Some(process) = script.process() {
                self.detach(script, &process);
            }
            self.tell_to_stop(script);
        }
        let patience =
            |script: &Rc<Script>| 2 * self.hook_timeout(script, None) + self.kill_timeout(script) + VANISH;
        // Each has its own deadline before that.
        let longest = 2 * scripts.iter().map(patience).max().unwrap_or_default();
        self.wait_inside(host, longest, scripts, || {
            scripts.iter().all(|script| {
                script.with_state(|state| match state {
                    State::Stopped => true,
                    State::Stopping { deadline, told, .. } => {
                        *told == Told::Killed && *deadline > Instant::now() + FOREVER / 2
                    }
                    _ => false,
                })
            })
        });
    }

    /// Tells a script to end as soon as it is not inside a hook or function.
    pub(super) fn stop_when_idle(&self, script: &Rc<Script>) {
        if script.is_busy() {
            script.is_to_stop.set(true);
            self.agenda.need_housekeeping();
        } else {
            self.tell_to_stop(script);
        }
    }

    /// Lets a script run `UnLoad()` and end.
    pub(super) fn tell_to_stop(&self, script: &Rc<Script>) {
        script.is_to_stop.set(false);
        let patience = self.hook_timeout(script, None);
        let process = script.process();
        let serves = process.as_ref().is_some_and(|process| process.phase.get() == Phase::Serving);
        let (told, patience) = if serves { (Told::Asked, patience) } else { (Told::Killed, VANISH) };
        let is_ending = script.with_state(|state| matches!(state, State::Stopping { .. }));
        let deadline = Instant::now() + patience;
        script.transition(Transition::ToldToStop { deadline, told }, "it was told to end");
        let Some(process) = process else { return self.has_stopped(script) };
        if is_ending {
            return;
        }
        script.forgivable.set(patience);
        if serves {
            let within = u32::try_from(patience.as_millis()).unwrap_or(u32::MAX);
            self.tell(&process, &ToWorker::Unload { within });
        } else {
            process.signal(libc::SIGKILL);
        }
        self.set_timer();
    }

    /// A script that was told to end has not, so it is told more firmly.
    pub(super) fn urge(&self, script: &Rc<Script>, process: &Rc<Process>, told: Told) {
        let patience = self.hook_timeout(script, None);
        let (told, signal, name, patience) = match told {
            Told::Asked => {
                (Told::Terminated, libc::SIGTERM, "SIGTERM", self.kill_timeout(script).min(patience))
            }
            Told::Terminated => (Told::Killed, libc::SIGKILL, "SIGKILL", VANISH),
            Told::Killed => return self.does_not_vanish(script),
        };
        log::warn!("script {} does not end: {name}", script.name);
        self.dump_stack(process);
        process.signal(signal);
        let deadline = Instant::now() + patience;
        script.transition(Transition::Urged { deadline, told }, "it does not end");
        self.set_timer();
    }

    fn does_not_vanish(&self, script: &Rc<Script>) {
        log::error!(
            "the process of script {} does not end although it was killed: is its disk or network hung?",
            script.name
        );
        let forever = Transition::Urged { deadline: Instant::now() + FOREVER, told: Told::Killed };
        script.transition(forever, "nothing more can be done about it");
        self.set_timer();
        match script.task.take() {
            Some(Task::Unload(tickets)) => self.is_unloaded(script, tickets),
            Some(Task::Reload(ticket)) => {
                self.drop_successor(script);
                let why = "its process does not end although it was killed";
                self.finish(ticket, Outcome::Reloaded(Err(LoadError::Script(why.into()))));
            }
            other => *script.task.borrow_mut() = other,
        }
    }

    /// The script has no process any more, as it was told: what was asked for goes on.
    pub(super) fn has_stopped(&self, script: &Rc<Script>) {
        match script.task.take() {
            Some(Task::Unload(tickets)) => self.is_unloaded(script, tickets),
            Some(Task::Reload(ticket)) => {
                *script.task.borrow_mut() = Some(Task::Reload(ticket));
                self.load_in_successor(script);
            }
            other => *script.task.borrow_mut() = other,
        }
    }

    fn is_unloaded(&self, script: &Rc<Script>, tickets: Vec<Ticket>) {
        self.forget(script);
        self.agenda.need_housekeeping();
        log::info!("script {} is unloaded", script.name);
        tickets.into_iter().for_each(|ticket| self.finish(ticket, Outcome::Unloaded));
    }
}
