//! Gives a forked child of the hub processes of its own.

use std::rc::Rc;
use std::time::Instant;

use super::script::{Script, State, Task, Transition};
use super::tasks::Outcome;
use super::{Host, LoadError, StartError, Supervisor};

impl Supervisor {
    /// In a forked child: the scripts' processes belong to the parent, so the child starts its
    /// own, and waits until they have loaded, so that no event slips past a filter. Call it
    /// before anything else. Those that are down stay down, and those that were being unloaded
    /// are gone.
    ///
    /// The program's logger must be one that can be used in a forked child whatever other
    /// threads were doing with it at that moment.
    ///
    /// # Errors
    ///
    /// When the system refuses a thread or a descriptor.
    pub fn after_fork(&self, host: &mut dyn Host) -> Result<(), StartError> {
        for process in self.processes() {
            process.disown();
        }
        self.pool.clear();
        self.agenda.clear();
        self.kept_versions.after_fork();
        let mut orphans = self.registry.snapshot();
        orphans.retain(|script| self.lose_process(script));
        self.metrics.close();
        self.control.close();
        self.reactor.after_fork()?;
        self.serve_metrics_when_possible();
        self.open_control();
        for script in self.registry.snapshot() {
            self.go_on_in_child(&script);
        }
        for script in &orphans {
            script.awaited_until.set(Some(Instant::now() + self.config.borrow().restart_wait));
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
        self.keep_house(host);
        Ok(())
    }

    /// In a forked child: what was asked for and needed the process that a script had is over.
    fn go_on_in_child(&self, script: &Rc<Script>) {
        match script.task.take() {
            Some(Task::Reload(ticket)) => {
                let why = LoadError::Script("the hub was forked meanwhile: try again".into());
                self.finish(ticket, Outcome::Reloaded(Err(why)));
            }
            Some(task @ Task::Unload(_)) => {
                *script.task.borrow_mut() = Some(task);
                self.has_stopped(script);
            }
            other => *script.task.borrow_mut() = other,
        }
    }

    /// In a forked child: a script has no process. False when it shall not get one.
    fn lose_process(&self, script: &Script) -> bool {
        // It was disowned.
        drop(script.successor.take());
        script.is_to_stop.set(false);
        script.store.borrow_mut().undo();
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
}
