//! What workers say: answers are kept for who waits, calls are served by the host at once;
//! sending events is [`dispatch`](super::dispatch)'s, waiting [`waiting`](super::waiting)'s.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Instant;

use plugin_abi::call::Order;
use plugin_abi::frame::{Failure, FromWorker, PROTOCOL, Wants};
use plugin_abi::hook::ArgKind;
use plugin_abi::{Call, ToWorker, Value, grammar};

use super::process::{Outcome, Phase, Process, Violation};
use super::script::Script;
use super::state::{State, Transition};
use super::wanted::Unwanted;
use super::{MAX_NESTING, Supervisor};
use crate::host::Host;

impl Supervisor {
    /// Acts on one frame of a worker. One that is kept leaves another buffer in its place.
    pub(super) fn handle(
        &self,
        host: &mut dyn Host,
        process: &Rc<Process>,
        frame: &mut Vec<u8>,
    ) -> Result<(), Violation> {
        let mut returned = None;
        match FromWorker::read(frame)? {
            FromWorker::Answer { seq, answer } => {
                let answer = own(answer);
                process.settle(seq, Outcome::Answered(answer))?;
                self.came_back(process);
            }
            FromWorker::Call { id, call, args } => {
                let script = owner(process)?;
                check(call, &args)?;
                let value = self.serve_call(host, &script, process, call, &args);
                self.reply(process, id, value);
            }
            FromWorker::Returned { seq, .. } => returned = Some(seq),
            FromWorker::Raised { seq, reason } => {
                process.settle(seq, Outcome::Raised(short(&reason)))?;
                self.came_back(process);
            }
            FromWorker::Dynamic { id, name, args } => {
                let script = owner(process)?;
                let reply = self.serve_dynamic(host, &script, &lossy(&name), &args);
                match reply {
                    Ok(value) => self.reply(process, id, value),
                    Err((failure, reason)) => {
                        let reason = Cow::Borrowed(reason.as_bytes());
                        self.tell(process, &ToWorker::Refusal { id, failure, reason });
                    }
                }
            }
            FromWorker::Store { key, value } => {
                let script = owner(process)?;
                let size = frame.len();
                let stored = script.store.borrow_mut().set(&key, value.map(Value::into_owned), size);
                stored.map_err(|error| Violation::Unexpected(error.to_string()))?;
            }
            FromWorker::Hello { protocol, python } => hello(process, protocol, &python)?,
            FromWorker::Loaded { wants, warnings } => {
                let warnings = warnings.iter().take(MAX_WARNINGS).map(|warning| short(warning)).collect();
                self.loaded(host, process, &wants, warnings)?;
            }
            FromWorker::Hooks(wants) => self.changed(host, process, &wants)?,
            FromWorker::LoadFailed { reason } => self.load_failed(process, short(&reason))?,
            FromWorker::Later(number) => self.wants_to_know(process, number)?,
            FromWorker::Unloaded => {
                let is_stopping = owner(process)?.with_state(|state| matches!(state, State::Stopping { .. }));
                if !is_stopping {
                    return Err(Violation::Unexpected("it unloads without being told to".into()));
                }
                process.phase.set(Phase::Unloaded);
            }
        }
        // Only here nothing is borrowed from the frame any more.
        if let Some(seq) = returned {
            process.settle(seq, Outcome::Returned(self.keep(frame)))?;
            self.came_back(process);
        }
        Ok(())
    }

    /// Takes a frame out of the buffer that it came in. Who has looked at it gives it back as
    /// a buffer.
    fn keep(&self, frame: &mut Vec<u8>) -> Vec<u8> {
        std::mem::replace(frame, self.buffers.take())
    }

    /// Answers a call. An answer that no frame can carry fails the call: a script that got
    /// none would wait for it until its deadline.
    fn reply(&self, process: &Rc<Process>, id: u64, value: Value<'static>) {
        let mut buffer = self.buffers.take();
        let written = ToWorker::Reply { id, value }.write(&mut buffer);
        if written.is_ok() {
            self.post(process, &buffer);
        }
        self.buffers.give(buffer);
        if let Err(error) = written {
            let reason = error.to_string();
            log::error!("process {}: the answer to a call: {reason}", process.pid);
            let refusal =
                ToWorker::Refusal { id, failure: Failure::Failed, reason: Cow::Borrowed(reason.as_bytes()) };
            self.tell(process, &refusal);
        }
    }

    /// After a death: what had been written still counts, except calls, whose caller is gone.
    pub(super) fn drain(&self, process: &Rc<Process>) {
        if process.killed_for.borrow().is_some() {
            return;
        }
        let mut buffer = self.buffers.take();
        process.expect_no_more();
        while let Ok(true) = process.receive(&mut buffer) {
            let mut returned = None;
            let handled = match FromWorker::read(&buffer) {
                Ok(FromWorker::Answer { seq, answer }) => process.settle(seq, Outcome::Answered(own(answer))),
                Ok(FromWorker::Returned { seq, .. }) => {
                    returned = Some(seq);
                    Ok(())
                }
                Ok(FromWorker::Raised { seq, reason }) => {
                    process.settle(seq, Outcome::Raised(short(&reason)))
                }
                Ok(FromWorker::Store { key, value }) => owner(process).map(|script| {
                    // One that is too big was refused by an honest worker already.
                    let _ = script.store.borrow_mut().set(&key, value.map(Value::into_owned), buffer.len());
                }),
                Ok(FromWorker::LoadFailed { reason }) => self.load_failed(process, short(&reason)),
                Ok(FromWorker::Unloaded) => {
                    process.phase.set(Phase::Unloaded);
                    Ok(())
                }
                Ok(_) => Ok(()),
                Err(_) => break,
            };
            let handled = match returned {
                Some(seq) => process.settle(seq, Outcome::Returned(self.keep(&mut buffer))),
                None => handled,
            };
            if handled.is_err() {
                break;
            }
        }
        self.buffers.give(buffer);
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
        }
        self.registry.hooks_changed();
        // A spare may be missing now.
        self.agenda.need_housekeeping();
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
    fn came_back(&self, process: &Rc<Process>) {
        if !process.has_caught_up() {
            return;
        }
        let Ok(script) = owner(process) else { return };
        if script.with_state(|state| matches!(state, State::Stuck { .. })) {
            log::warn!("script {}: it answered at last and serves events again", script.name);
            script.transition(Transition::CameBack, "it gave its late answer");
        }
    }

    fn serve_call(
        &self,
        host: &mut dyn Host,
        script: &Rc<Script>,
        process: &Rc<Process>,
        call: Call,
        args: &[Value<'_>],
    ) -> Value<'static> {
        let Some(level) = self.enter() else {
            log::error!("script {}: {} fails: nested deeper than {MAX_NESTING}", script.name, call.name());
            return Value::Nil;
        };
        let swapped;
        let args = if call.spec().order == Order::OnlineDecides && process.phase.get() != Phase::Unloaded {
            swapped = self.by_who_is_online(host, script, call, args);
            swapped.as_deref().unwrap_or(args)
        } else {
            args
        };
        let fitted = match grammar::fit(call.spec(), args) {
            Ok(fitted) => fitted,
            Err(unfit) => {
                log::warn!("script {}: {} fails: {unfit}", script.name, call.name());
                return Value::Nil;
            }
        };
        let args = fitted.as_deref().unwrap_or(args);
        if call == Call::AddRobot && script.robots.borrow().len() >= MAX_ROBOTS {
            log::warn!("script {}: AddRobot fails: it has {MAX_ROBOTS} robots already", script.name);
            return Value::Int(0);
        }
        self.take_out_robots(host, script);
        let value = self.on_the_hosts_time(Some(script), || host.call(self, script.id, call, args));
        drop(level);
        if call == Call::name_and_version {
            return title(script, args, value);
        }
        if matches!(call, Call::AddRobot | Call::DelRobot) && value.as_int().is_some_and(|done| done != 0) {
            remember_robot(script, call, args);
            if !script.runs_in(process) {
                // It died meanwhile, or was ended.
                self.agenda.abandon_robots(script);
            }
        }
        value
    }

    fn serve_dynamic(
        &self,
        host: &mut dyn Host,
        script: &Rc<Script>,
        name: &str,
        args: &[Value<'_>],
    ) -> Result<Value<'static>, (Failure, String)> {
        let function = script.functions.borrow().get(name).cloned();
        let Some(function) = function else {
            return Err((Failure::Missing, format!("the hub has no function '{name}' for this script")));
        };
        let Some(_level) = self.enter() else {
            return Err((Failure::Failed, format!("calls are nested deeper than {MAX_NESTING}")));
        };
        self.take_out_robots(host, script);
        self.on_the_hosts_time(Some(script), || function(host, self, args))
            .map_err(|reason| (Failure::Failed, reason))
    }

    /// `usermc` and `pm` are called as (message, nick, …) and as (nick, message), and `pm` as
    /// (from, to, message) too. `Some` when the arguments are to be reordered.
    fn by_who_is_online<'a>(
        &self,
        host: &mut dyn Host,
        script: &Script,
        call: Call,
        args: &[Value<'a>],
    ) -> Option<Vec<Value<'a>>> {
        let mut is_online = |at: usize| {
            let Some(nick @ Value::Text(_)) = args.get(at) else { return false };
            let class = host.call(self, script.id, Call::GetUserClass, std::slice::from_ref(nick));
            class.as_int().is_some_and(|class| class != -2)
        };
        if is_online(1) {
            // (message, nick) – or (from, to, message), where the third is no nick but the
            // first is the sender's.
            let three = call == Call::pm && matches!(args.get(2), Some(Value::Text(_)));
            // What has a blank is no nick, but may well be a message.
            let has_blank =
                |at: usize| args.get(at).and_then(Value::as_text).is_some_and(|text| text.contains(&b' '));
            let told_by_blanks = has_blank(2) && !has_blank(0);
            if three && !is_online(2) && (told_by_blanks || is_online(0)) {
                return Some(reorder(args, &[2, 1, 0]));
            }
            return None;
        }
        is_online(0).then(|| reorder(args, &[1, 0]))
    }
}

/// The arguments with the first ones in another order.
fn reorder<'a>(args: &[Value<'a>], order: &[usize]) -> Vec<Value<'a>> {
    (0..args.len())
        .map(|at| args.get(order.get(at).copied().unwrap_or(at)).cloned().unwrap_or_default())
        .collect()
}

/// A script that names itself is known by that name; hosts that keep no names leave it to us.
fn title(script: &Script, args: &[Value<'_>], value: Value<'static>) -> Value<'static> {
    if let [Value::Text(name), version] = args {
        let version = version.as_text().unwrap_or_default().to_vec();
        *script.title.borrow_mut() = Some((name.to_vec(), version));
    }
    if value != Value::Nil {
        return value;
    }
    let (name, version) = match &*script.title.borrow() {
        Some((name, version)) => (name.clone(), version.clone()),
        None => (script.name.clone().into_bytes(), Vec::new()),
    };
    [name, version].into_iter().collect()
}

fn remember_robot(script: &Script, call: Call, args: &[Value<'_>]) {
    let Some(nick) = args.first().and_then(Value::as_text) else { return };
    let mut robots = script.robots.borrow_mut();
    robots.retain(|known| known != nick);
    if call == Call::AddRobot {
        robots.push(nick.to_vec());
    }
}

/// Whether the arguments are those that the host was promised.
fn check(call: Call, args: &[Value<'_>]) -> Result<(), Violation> {
    let spec = call.spec();
    let fits = args.len() == spec.host_order.len()
        && spec.host_order.iter().zip(args).all(|(&at, value)| {
            let kind = spec.params.get(usize::from(at)).map(|param| param.kind.host());
            match kind {
                Some(ArgKind::Text) => matches!(value, Value::Text(_) | Value::Nil),
                Some(ArgKind::Int) => matches!(value, Value::Int(_)),
                Some(ArgKind::Float) => matches!(value, Value::Float(_)),
                None => false,
            }
        });
    if fits { Ok(()) } else { Err(Violation::Unexpected(format!("wrong arguments for {}", spec.name))) }
}

fn hello(process: &Process, protocol: u32, python: &[u8]) -> Result<(), Violation> {
    if process.phase.get() != Phase::Started && process.phase.get() != Phase::Loading {
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

/// How many robots one script may have; the hub must remember them.
const MAX_ROBOTS: usize = 1000;
/// How many warnings of one load are logged.
const MAX_WARNINGS: usize = 100;
/// How long a text of a worker's for the log may be, in bytes.
const MAX_TEXT: usize = 4096;

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
