//! What workers say: answers are kept for who waits, calls are served at once ([`calls`](super::calls)),
//! the rest changes what is known of the script.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Instant;

use plugin_abi::Value;
use plugin_abi::frame::{FromWorker, Noticed, PROTOCOL, Wants};

use super::calls::check;
use super::process::{Outcome, Phase, Process, Violation};
use super::script::{Script, State, Transition};
use super::wanted::Unwanted;
use super::{Host, LoadError, Supervisor};

/// Who sent a frame.
pub(super) enum Sender<'h> {
    /// A process that runs: what it asks for, the host does.
    Running(&'h mut dyn Host),
    /// One that has ended: what it had done still counts, and nobody waits for what it had asked for.
    Ended,
}

impl Sender<'_> {
    fn is_running(&self) -> bool {
        matches!(self, Sender::Running(_))
    }
}

impl Supervisor {
    /// Acts on one frame of a worker. One that is kept leaves another buffer in its place.
    pub(super) fn handle(
        &self,
        sender: Sender<'_>,
        process: &Rc<Process>,
        frame: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        let size = frame.len();
        let mut returned = None;
        match (FromWorker::read(frame)?, sender) {
            (FromWorker::Answer { seq, answer }, sender) => {
                process.settle(seq, Outcome::Answered(own(answer)))?;
                self.came_back(sender, process);
            }
            // Only below nothing is borrowed from the frame any more.
            (FromWorker::Returned { seq, .. }, sender) => returned = Some((seq, sender)),
            (FromWorker::Raised { seq, reason }, sender) => {
                process.settle(seq, Outcome::Raised(short(&reason)))?;
                self.came_back(sender, process);
            }
            (FromWorker::Store { key, value }, sender) => {
                let script = owner(process)?;
                let stored = script.store.borrow_mut().set(&key, value.map(Value::into_owned), size);
                // One that is too big was refused by an honest worker already.
                if sender.is_running() {
                    stored.map_err(|error| Violation::Unexpected(error.to_string()))?;
                }
            }
            (FromWorker::LoadFailed { reason }, _) => self.load_failed(process, short(&reason))?,
            (FromWorker::Unloaded, sender) => unloaded(&sender, process)?,
            (FromWorker::Call { id, call, args }, Sender::Running(host)) => {
                let script = owner(process)?;
                script.counts.called();
                check(call, &args)?;
                let value = self.serve_call(host, &script, process, call, &args);
                self.reply(process, id, value);
            }
            (FromWorker::Dynamic { id, name, args }, Sender::Running(host)) => {
                let script = owner(process)?;
                script.counts.called();
                match self.serve_dynamic(host, &script, &lossy(&name), &args) {
                    Ok(value) => self.reply(process, id, value),
                    Err((failure, reason)) => self.refuse(process, id, failure, &reason),
                }
            }
            (FromWorker::Hello { protocol, python }, Sender::Running(_)) => {
                hello(process, protocol, &python)?
            }
            (FromWorker::Loaded { wants, warnings }, Sender::Running(host)) => {
                let warnings = warnings.iter().take(MAX_WARNINGS).map(|warning| short(warning)).collect();
                self.loaded(host, process, &wants, warnings)?;
            }
            (FromWorker::Prepared, Sender::Running(_)) => {
                expect_phase(process, Phase::Preparing, "that it has compiled the script")?;
                self.is_prepared(&owner(process)?, process);
            }
            (FromWorker::Source { file, text }, Sender::Running(_)) => {
                self.has_loaded_from(process, &file, &text)?
            }
            (FromWorker::Later(number), Sender::Running(_)) => self.wants_to_know(process, number)?,
            (FromWorker::Hooks(wants), Sender::Running(host)) => self.changed(host, process, &wants)?,
            (FromWorker::Debug { id, ask, text }, Sender::Running(_)) => {
                self.debugger_asks(process, id, ask, &text)?;
            }
            (FromWorker::Noticed { hook, what, place }, _) => {
                let script = owner(process)?;
                self.noticed(&script, process, hook, &shortened(what), &short(&place));
            }
            (_, Sender::Ended) => {}
        }
        if let Some((seq, sender)) = returned {
            process.settle(seq, Outcome::Returned(self.keep(frame)))?;
            self.came_back(sender, process);
        }
        Ok(())
    }

    /// After a death: what had been written still counts, except calls, whose caller is gone.
    pub(super) fn drain(&self, process: &Rc<Process>) {
        if process.killed_for.borrow().is_some() {
            return;
        }
        let mut buffer = self.buffers.take();
        process.expect_no_more();
        while let Ok(true) = process.receive(&mut buffer) {
            if self.handle(Sender::Ended, process, &mut buffer).is_err() {
                break;
            }
        }
        self.buffers.give(buffer);
    }

    /// Takes a frame out of the buffer that it came in. Who has looked at it gives it back as
    /// a buffer.
    fn keep(&self, frame: &mut Vec<u8>) -> Vec<u8> {
        std::mem::replace(frame, self.buffers.take())
    }

    /// The script ran to its end.
    fn loaded(
        &self,
        host: &mut dyn Host,
        process: &Rc<Process>,
        wants: &Wants<'_>,
        mut warnings: Vec<String>,
    ) -> Result<(), Violation> {
        let script = owner(process)?;
        expect_phase(process, Phase::Loading, "that it has loaded")?;
        match self.heed(&script, wants) {
            Ok(_) => {}
            Err(Unwanted::Violation(violation)) => return Err(violation),
            Err(Unwanted::Lacking(reason)) => {
                self.load_failed(process, reason.clone())?;
                process.kill(reason);
                return Ok(());
            }
        }
        process.phase.set(Phase::Serving);
        warnings.extend(self.command_warnings(host, &script));
        script.was_ready.set(true);
        for warning in &warnings {
            log::warn!("script {}: {warning}", script.name);
        }
        *script.warnings.borrow_mut() = warnings;
        if script.with_state(|state| matches!(state, State::Starting { .. })) {
            script.transition(Transition::Loaded { at: Instant::now() }, "it has loaded");
            self.keep_version(&script, process);
            self.has_loaded(&script);
        }
        self.registry.hooks_changed();
        // A spare may be missing now.
        self.agenda.need_housekeeping();
        Ok(())
    }

    /// A process has loaded a file of its script from this.
    fn has_loaded_from(&self, process: &Process, file: &[u8], text: &[u8]) -> Result<(), Violation> {
        let script = owner(process)?;
        let outside = || Violation::Unexpected("it has loaded a file that is none of its script's".into());
        if process.phase.get() != Phase::Serving {
            return if process.sources.borrow_mut().add(file, text) { Ok(()) } else { Err(outside()) };
        }
        // What serves instead of the files is complete.
        if script.instead_of.borrow().is_some() {
            return Ok(());
        }
        self.adds_to_version(&script, file, text);
        Ok(())
    }

    /// The script has other hooks from now on.
    fn changed(&self, host: &mut dyn Host, process: &Process, wants: &Wants<'_>) -> Result<(), Violation> {
        let script = owner(process)?;
        expect_phase(process, Phase::Serving, "which hooks it has now")?;
        let commands = script.commands.borrow().clone();
        match self.heed(&script, wants) {
            Ok(true) => {
                log::debug!("script {}: its hooks have changed", script.name);
                self.registry.hooks_changed();
            }
            Ok(false) => {}
            Err(Unwanted::Violation(violation)) => return Err(violation),
            Err(Unwanted::Lacking(reason)) => return Err(Violation::Unexpected(reason)),
        }
        if *script.commands.borrow() != commands {
            for warning in self.command_warnings(host, &script) {
                log::warn!("script {}: {warning}", script.name);
            }
        }
        Ok(())
    }

    fn load_failed(&self, process: &Rc<Process>, reason: String) -> Result<(), Violation> {
        let script = owner(process)?;
        if process.phase.get() == Phase::Preparing {
            // It ends by itself, but nobody waits for that.
            self.reload_refused(&script, LoadError::Script(reason));
            return Ok(());
        }
        expect_phase(process, Phase::Loading, "that it could not load")?;
        *script.load_error.borrow_mut() = Some(reason);
        process.phase.set(Phase::Unloaded);
        // It ends by itself, and writes what its files still lack.
        let deadline = Instant::now() + self.hook_timeout(&script, None);
        if script.with_state(|state| matches!(state, State::Starting { .. })) {
            script.transition(Transition::GivenUntil { deadline }, "it could not be loaded");
        }
        self.set_timer();
        Ok(())
    }

    /// A stuck script that has given all its late answers serves events again.
    fn came_back(&self, sender: Sender<'_>, process: &Rc<Process>) {
        if !sender.is_running() || !process.has_caught_up() {
            return;
        }
        let Ok(script) = owner(process) else { return };
        if self.is_debugged_still(&script, process) {
            return;
        }
        if script.with_state(|state| matches!(state, State::Stuck { .. })) {
            log::warn!("script {}: it answered at last and serves events again", script.name);
            script.transition(Transition::CameBack, "it gave its late answer");
        }
    }
}

fn hello(process: &Process, protocol: u32, python: &[u8]) -> Result<(), Violation> {
    if !matches!(process.phase.get(), Phase::Started | Phase::Preparing | Phase::Loading)
        || process.is_up.get()
    {
        return Err(Violation::Unexpected("it introduces itself twice".into()));
    }
    if protocol != PROTOCOL {
        let what = format!(
            "libvh_worker.so speaks protocol {protocol} and the hub {PROTOCOL}: install both from one build"
        );
        return Err(Violation::Unexpected(what));
    }
    process.is_up.set(true);
    log::debug!("process {}: Python {} is up", process.pid, lossy(python));
    if process.phase.get() == Phase::Started {
        process.phase.set(Phase::Waiting);
    }
    Ok(())
}

fn unloaded(sender: &Sender<'_>, process: &Process) -> Result<(), Violation> {
    if sender.is_running() {
        let is_stopping = owner(process)?.with_state(|state| matches!(state, State::Stopping { .. }));
        if !is_stopping {
            return Err(Violation::Unexpected("it unloads without being told to".into()));
        }
    }
    process.phase.set(Phase::Unloaded);
    Ok(())
}

fn expect_phase(process: &Process, phase: Phase, says: &str) -> Result<(), Violation> {
    if process.phase.get() == phase {
        return Ok(());
    }
    Err(Violation::Unexpected(format!("it says {says} at the wrong time")))
}

/// The script of a process; a spare that says more than hello breaks the rules.
pub(super) fn owner(process: &Process) -> Result<Rc<Script>, Violation> {
    let script = process.script.borrow().upgrade();
    script.ok_or_else(|| Violation::Unexpected("it acts without a script".into()))
}

fn own(answer: plugin_abi::Answer<'_>) -> plugin_abi::Answer<'static> {
    use plugin_abi::Answer;
    let text = |text: Option<Cow<'_, [u8]>>| text.map(|text| Cow::Owned(text.into_owned()));
    match answer {
        Answer::GoOn => Answer::GoOn,
        Answer::Block => Answer::Block,
        Answer::Chat { nick, message } => Answer::Chat { nick: text(nick), message: text(message) },
        Answer::MyInfo(fields) => Answer::MyInfo(fields.map(text)),
        Answer::Send { data, then } => Answer::Send { data: Cow::Owned(data.into_owned()), then },
    }
}

/// How many warnings of one load are logged.
const MAX_WARNINGS: usize = 100;
/// How long a text of a worker's for the log may be, in bytes.
const MAX_TEXT: usize = 4096;

fn shortened(what: Noticed) -> Noticed {
    match what {
        Noticed::Raised(exception) => Noticed::Raised(short(exception.as_bytes())),
        slow => slow,
    }
}

/// A text for operators, cut where it gets too long for them.
fn short(text: &[u8]) -> String {
    match text.get(..MAX_TEXT) {
        Some(start) if text.len() > MAX_TEXT => lossy(start) + " …",
        _ => lossy(text),
    }
}

fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
