//! Somebody debugs a script: between its pdb and their terminal the hub carries bytes, and waits for
//! neither.
//!
//! While pdb is open the script is a stuck one whose deadlines stand still: the events it was inside
//! of go on, and later ones find it away. What pdb wants are calls of the worker's that are answered
//! when there is something to read, or room for what it shows ([`DebugAsk`]). When whoever is attached
//! goes, pdb hears so and lets the script go on, and its deadlines count again.

use std::rc::Rc;
use std::time::Instant;

use plugin_abi::Value;
use plugin_abi::frame::{DebugAsk, MAX_SHOWN};

use super::Supervisor;
use super::debugger::{Attached, Client, OpenPdb, Terminal};
use super::inbound::owner;
use super::process::{Process, Violation};
use super::script::{Script, ScriptId, State, Transition};

impl Supervisor {
    /// Attaches a client to the process of a script; an error says why it cannot be.
    pub(super) fn attach(&self, script: &Script) -> Result<Terminal, String> {
        let process = script.process().filter(|process| !process.dead.get());
        let process = process.ok_or_else(|| format!("script {} has no process just now", script.name))?;
        self.relay(script, &process);
        if process.attached.borrow().is_some() {
            return Err(format!("somebody debugs script {} already: one at a time", script.name));
        }
        let (attached, terminal) = Attached::new(&script.name);
        *process.attached.borrow_mut() = Some(attached);
        Ok(terminal)
    }

    /// The debugger of a script wants something.
    pub(super) fn debugger_asks(
        &self,
        process: &Rc<Process>,
        id: u64,
        ask: DebugAsk,
        text: &[u8],
    ) -> Result<(), Violation> {
        let script = owner(process)?;
        if text.len() > MAX_SHOWN {
            return Err(Violation::Unexpected("its debugger shows more at once than it may".into()));
        }
        let is_attached = process.attached.borrow().is_some();
        let answer = match ask {
            DebugAsk::Attached => Value::Bool(is_attached),
            DebugAsk::Open => Value::Bool(is_attached && self.open_pdb(&script, process)),
            DebugAsk::Write | DebugAsk::Read => {
                let shows = (ask == DebugAsk::Write).then_some(text);
                let waits = process.attached.borrow_mut().as_mut().is_some_and(|there| there.wait(id, shows));
                if waits {
                    self.relay(&script, process);
                    return Ok(());
                }
                Value::Nil
            }
            DebugAsk::Close => {
                self.close_pdb(&script, process);
                Value::Nil
            }
            DebugAsk::Step => {
                self.step(&script, process);
                Value::Nil
            }
        };
        self.reply(process, id, answer);
        Ok(())
    }

    /// False when it is open on another thread.
    fn open_pdb(&self, script: &Rc<Script>, process: &Rc<Process>) -> bool {
        match process.pdb.get() {
            Some(open) if !open.steps => return false,
            Some(open) => {
                process.pdb.set(Some(OpenPdb { steps: false, ..open }));
                return true;
            }
            None => {}
        }
        process.pdb.set(Some(OpenPdb { since: Instant::now(), steps: false }));
        process.abandon_all();
        log::info!("script {} is being debugged: it gets no events until it goes on", script.name);
        if script.ready().is_some_and(|own| own.serial == process.serial) {
            let kill_at = Instant::now() + self.kill_timeout(script);
            script.transition(Transition::Overran { kill_at }, "it is being debugged");
            self.agenda.set_stuck(true);
            if !self.agenda.is_inside() {
                self.listen_to_stuck();
            }
        }
        self.set_timer();
        true
    }

    /// A step ends where pdb opens again, or where the script has given its answers: it may be long
    /// until it is given the next event, and that is what it waits for then.
    fn step(&self, script: &Rc<Script>, process: &Rc<Process>) {
        match process.pdb.get() {
            Some(open) if !process.has_caught_up() => {
                process.pdb.set(Some(OpenPdb { steps: true, ..open }));
            }
            _ => self.close_pdb(script, process),
        }
    }

    /// The script has given all its late answers.
    pub(super) fn is_debugged_still(&self, script: &Rc<Script>, process: &Rc<Process>) -> bool {
        if process.pdb.get().is_some_and(|open| open.steps) {
            self.close_pdb(script, process);
        }
        process.is_debugged()
    }

    /// The script's deadlines count again.
    fn close_pdb(&self, script: &Rc<Script>, process: &Rc<Process>) {
        let Some(open) = process.pdb.take() else { return };
        if !script.runs_in(process) {
            return;
        }
        script.stood_still(open.since.elapsed());
        log::info!("script {} goes on: nothing of it is debugged just now", script.name);
        if process.has_caught_up() && script.with_state(|state| matches!(state, State::Stuck { .. })) {
            script.transition(Transition::CameBack, "it is not debugged any more");
        }
        self.set_timer();
    }

    /// What clients and debuggers have for each other is handed on.
    pub(super) fn relay_all(&self) {
        for script in self.registry.snapshot() {
            if let Some(process) = script.process() {
                self.relay(&script, &process);
            }
        }
    }

    fn relay(&self, script: &Script, process: &Rc<Process>) {
        let mut replies = Vec::new();
        let client = match process.attached.borrow_mut().as_mut() {
            Some(attached) => attached.relay(|id, value| replies.push((id, value))),
            None => return,
        };
        for (id, value) in replies {
            self.reply(process, id, value);
        }
        let is_open = process.is_debugged();
        if client != Client::There && is_open {
            // Nobody is there to wait for.
            self.go_on(script.id, process);
        }
        if client == Client::Gone || client == Client::HungUp && !is_open && process.has_caught_up() {
            self.detach(script, process);
        }
    }

    fn go_on(&self, id: ScriptId, process: &Rc<Process>) {
        if let Some(script) = self.registry.get(id) {
            self.close_pdb(&script, process);
        }
    }

    /// Whoever debugs the script is sent away, and it goes on.
    pub(super) fn detach(&self, script: &Script, process: &Rc<Process>) {
        let Some(attached) = process.attached.take() else { return };
        attached.end(|id, value| self.reply(process, id, value));
        self.go_on(script.id, process);
        log::info!("script {}: nobody debugs it any more", script.name);
    }
}
