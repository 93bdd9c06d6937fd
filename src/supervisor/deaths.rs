//! What follows the end of a process, or one that could not be started.

use std::rc::Rc;
use std::time::{Duration, Instant};

use plugin_abi::start;

use super::agenda::Deferred;
use super::child::Exit;
use super::process::{Phase, Process};
use super::restart::{Decision, FIRST_PAUSE};
use super::script::{Script, State, Transition};
use super::{LoadError, Supervisor};

/// The shortest pause after a start that failed.
const BREATH: Duration = Duration::from_millis(100);

impl Supervisor {
    /// A process has ended.
    pub(super) fn died(&self, process: &Rc<Process>) {
        if process.dead.get() {
            return;
        }
        self.drain(process);
        if let Some(script) = process.script.borrow().upgrade() {
            script.counts.keep(&process.claims());
        }
        process.dead.set(true);
        // Whoever debugs it hears of that.
        drop(process.attached.take());
        process.pdb.take();
        process.fail_pending();
        self.reactor.unregister(process);
        self.agenda.defer(Deferred::Died(process.clone()));
    }

    pub(super) fn after_death(&self, process: &Rc<Process>) {
        let exit = process.reap();
        // What it said last may explain its death.
        self.reactor.helpers().reader.finish(process.serial);
        self.agenda.need_housekeeping();
        let script = process.script.borrow().upgrade();
        if let Some(script) = &script
            && script.next_process().is_some_and(|next| next.serial == process.serial)
        {
            let reason = self.reason_of_death(script, process, exit);
            return self.successor_died(script, reason);
        }
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
            self.has_stopped(&script);
            return;
        }
        let reason = self.reason_of_death(&script, process, exit);
        let shown = exit.to_string();
        let shown = if reason.contains(&shown) { String::new() } else { format!(" ({shown})") };
        script.output().note_of(process.pid, &format!("ended: {reason}{shown}"));
        if !script.was_ready.get() {
            return self.could_not_load(&script, LoadError::Script(reason));
        }
        let is_loading = script.with_state(|state| matches!(state, State::Starting { .. }));
        if is_loading && self.fall_back(&script, &reason) {
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
            Phase::Loading | Phase::Started | Phase::Preparing | Phase::Waiting => {
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
        script.store.borrow_mut().undo();
        self.agenda.tell_operators(text);
        if decision == Decision::Now {
            self.restart(script);
        }
        self.set_timer();
    }

    pub(super) fn restart(&self, script: &Rc<Script>) {
        script.restarts.set(script.restarts.get() + 1);
        let until = Instant::now() + self.config.borrow().restart_wait;
        script.awaited_until.set(Some(until));
        script.instead_of.take();
        if let Err(error) = self.start(script) {
            self.not_started(script, &error);
        }
    }

    /// A script got no process.
    pub(super) fn not_started(&self, script: &Rc<Script>, error: &LoadError) {
        let reason = error.to_string();
        if !script.was_ready.get() {
            // The reason is all that is known of an error that came later.
            self.could_not_load(script, LoadError::Script(reason));
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
}
