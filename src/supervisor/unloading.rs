//! Lets scripts finish, ends their processes and takes them out of the list.

use std::rc::Rc;
use std::time::Duration;

use plugin_abi::ToWorker;

use super::process::Phase;
use super::script::{Script, ScriptId, State, Transition};
use super::{Host, Supervisor};

/// How long a killed process may take to vanish.
pub(super) const VANISH: Duration = Duration::from_secs(10);

impl Supervisor {
    /// Lets a script finish and ends its process. False when there is none with this number.
    ///
    /// A script that is inside a hook or function of its own is unloaded when it returns.
    pub fn unload(&self, host: &mut dyn Host, id: ScriptId) -> bool {
        self.visit(host);
        let Some(script) = self.registry.get(id) else { return false };
        if script.process().is_some_and(|process| process.is_busy()) {
            log::info!("script {} will be unloaded when it has returned", script.name);
            script.unload_requested.set(true);
            self.agenda.need_housekeeping();
            return true;
        }
        self.end(host, &[script]);
        true
    }

    /// Unloads every script, and waits until no process is left.
    pub fn shutdown(&self, host: &mut dyn Host) {
        let _ending = self.agenda.begin_ending();
        self.end(host, &self.registry.snapshot());
        self.pool.end_all();
    }

    /// Stops scripts and takes them out of the list.
    pub(super) fn end(&self, host: &mut dyn Host, scripts: &[Rc<Script>]) {
        self.stop(host, scripts);
        for script in scripts {
            self.forget(script);
            log::info!("script {} is unloaded", script.name);
        }
        self.agenda.need_housekeeping();
        self.keep_house(host);
    }

    pub(super) fn forget(&self, script: &Rc<Script>) {
        if let Some(process) = script.process() {
            process.kill("its script was given up".into());
            self.reactor.unregister(&process);
            // Even if a child of it still holds its pipes.
            self.reactor.helpers().reader.finish(process.serial);
        }
        self.agenda.abandon_robots(script);
        self.registry.remove(script);
        self.functions.forget(script.id);
        script.transition(Transition::Forgotten, "it was taken out of the list");
    }

    /// Lets scripts run `UnLoad()` and end, all at the same time; then they are told to, then
    /// made to.
    pub(super) fn stop(&self, host: &mut dyn Host, scripts: &[Rc<Script>]) {
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

fn name_of(signal: i32) -> &'static str {
    if signal == libc::SIGTERM { "SIGTERM" } else { "SIGKILL" }
}
