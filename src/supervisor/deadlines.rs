//! Scripts that are late: who is, by when they must be back, and what is done when they are not.

use std::io;
use std::rc::Rc;
use std::time::{Duration, Instant};

use plugin_abi::{Hook, start};

use super::housekeeping::Heard;
use super::process::{Phase, Process};
use super::script::{Script, State, Successor, Transition};
use super::state::Told;
use super::{Host, LoadError, Supervisor};

/// How long a script that is about to be killed may take to write its stack.
const DUMP: Duration = Duration::from_millis(200);

impl Supervisor {
    pub(super) fn hook_timeout(&self, script: &Script, hook: Option<Hook>) -> Duration {
        let overrides = script.overrides.borrow();
        hook.and_then(|hook| overrides.per_hook.get(&hook).copied())
            .or(overrides.hook_timeout)
            .unwrap_or_else(|| self.config.borrow().hook_timeout)
    }

    pub(super) fn kill_timeout(&self, script: &Script) -> Duration {
        script.overrides.borrow().kill_timeout.unwrap_or_else(|| self.config.borrow().kill_timeout)
    }

    /// Those whose time is up.
    fn due(&self) -> Vec<Rc<Script>> {
        let now = Instant::now();
        let is_due = |script: &&Rc<Script>| script.due().is_some_and(|due| due <= now);
        self.registry.list().iter().filter(is_due).cloned().collect()
    }

    /// Whose time is up may have said something in time; it may be the hub's thread that was
    /// kept from looking.
    pub(super) fn hear_who_is_due(&self, host: &mut dyn Host) {
        for script in self.due() {
            for process in [script.process(), script.next_process()].into_iter().flatten() {
                self.pump(host, &process);
            }
        }
    }

    pub(super) fn do_what_is_due(&self, heard: Heard) {
        let now = Instant::now();
        for script in self.due() {
            let is_late = script.successor.borrow().as_ref().and_then(Successor::due);
            if is_late.is_some_and(|due| due <= now) && !self.may_have_said(heard, script.next_process()) {
                self.successor_is_late(&script);
            }
            if script.state_due().is_none_or(|due| due > now) {
                continue;
            }
            enum Act {
                Kill(Rc<Process>, &'static str),
                Urge(Rc<Process>, Told),
                Start,
                Forsake,
                Nothing,
            }
            let act = script.with_state(|state| match state {
                State::Starting { process, .. } => Act::Kill(process.clone(), "it did not load in time"),
                State::Stuck { process, .. } => Act::Kill(process.clone(), "it was stuck"),
                State::Stopping { process, told, .. } => Act::Urge(process.clone(), *told),
                State::Backoff { .. } => Act::Start,
                State::Spawning { .. } => Act::Forsake,
                _ => Act::Nothing,
            });
            match act {
                Act::Kill(process, _) | Act::Urge(process, _)
                    if self.may_have_said(heard, Some(process.clone())) => {}
                // Its end will be noticed.
                Act::Urge(process, told) if told != Told::Killed && process.has_ended() => {}
                Act::Urge(process, told) => self.urge(&script, &process, told),
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

    /// Whether there is something that this process has said in time, perhaps.
    fn may_have_said(&self, heard: Heard, process: Option<Rc<Process>>) -> bool {
        heard == Heard::Unheard && process.is_some_and(|process| process.is_ready())
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

    /// Asks the interpreter to write every thread's Python stack to the log.
    pub(super) fn dump_stack(&self, process: &Process) {
        // An interpreter that still starts would die of the signal.
        if process.is_up.get() && matches!(process.phase.get(), Phase::Loading | Phase::Serving) {
            process.signal(start::STACK_SIGNAL);
        }
    }

    pub(super) fn stuck(&self, script: &Rc<Script>, process: &Rc<Process>, what: &str) {
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
        self.agenda.set_stuck(true);
        if !self.agenda.is_inside() {
            self.listen_to_stuck();
        }
    }

    /// The hub leaves: nobody waits for the late answers of stuck scripts, and their calls, so
    /// these must wake it.
    #[cold]
    pub(super) fn listen_to_stuck(&self) {
        self.agenda.set_stuck(false);
        for script in self.registry.list().iter() {
            let process = script.with_state(|state| match state {
                State::Stuck { process, .. } => Some(process.clone()),
                _ => None,
            });
            let Some(process) = process else { continue };
            self.agenda.set_stuck(true);
            if !process.arm() {
                self.reactor.wake();
            }
        }
    }

    /// Lets `poll_fd` become readable when the next thing is due.
    pub(super) fn set_timer(&self) {
        let scripts = self.registry.list();
        let due = scripts.iter().filter_map(|script| script.due());
        let next = due.chain(self.pool.spares_from()).min();
        self.reactor.set_timer(next);
    }
}
