//! One event or function call: sent to its scripts, waited for, its answers combined.

use std::rc::Rc;
use std::time::Instant;

use plugin_abi::asleep::Place;
use plugin_abi::frame;
use plugin_abi::ring::Push;
use plugin_abi::{Answer, Hook, Value};
use smallvec::SmallVec;

use super::config::WhenAway;
use super::one_event::{Form, OneEvent};
use super::process::{Gone, Outcome, Process};
use super::recorder::Given;
use super::script::{Script, ScriptId};
use super::verdict::Verdict;
use super::waiting::Asked;
use super::waits::Stopwatch;
use super::{Host, MAX_NESTING, Supervisor};

/// Why a function of a script gave no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No script has this id.
    #[error("there is no script {0}")]
    NoScript(ScriptId),
    /// It is being restarted, stuck, or given up.
    #[error("script {name} is {state}, not ready")]
    NotReady {
        /// The script.
        name: String,
        /// One word.
        state: &'static str,
    },
    /// The function is missing or raised.
    #[error("{0}")]
    Raised(String),
    /// The script died meanwhile.
    #[error("the script died in this function")]
    Died,
    /// The script took too long and is treated as stuck.
    #[error("the function did not return in time")]
    Overran,
    /// The arguments do not fit into a frame.
    #[error(transparent)]
    Frame(#[from] frame::FrameError),
    /// Too many events and calls inside each other.
    #[error("calls are nested deeper than {MAX_NESTING}")]
    TooDeep,
}

impl Supervisor {
    /// Hands an event to all scripts that define the hook, and waits for their answers.
    ///
    /// A script that is not ready is waited for if it was just reloaded or is just being started again
    /// after a death, up to [`Config::restart_wait`](super::Config::restart_wait); then
    /// [`Config::when_away`](super::Config::when_away) says whether the event goes on without it.
    pub fn event(&self, host: &mut dyn Host, hook: Hook, args: &[Value<'_>]) -> Verdict {
        self.visit(host);
        if !self.wants(hook) {
            return Verdict::default();
        }
        let Some(listeners) = self.registry.listeners(hook) else { return Verdict::default() };
        let mut verdict = Verdict::default();
        self.ask(host, hook, args, &listeners, |answer| verdict.add(hook, answer));
        verdict
    }

    /// Hands an event to one script and waits for its answer. `None` when the script is not
    /// there, not ready, does not define the hook, or did not answer. An event that is not for
    /// the hook goes on.
    pub fn event_to(
        &self,
        host: &mut dyn Host,
        id: ScriptId,
        hook: Hook,
        args: &[Value<'_>],
    ) -> Option<Answer<'static>> {
        self.visit(host);
        let script = self.registry.get(id).filter(|script| script.hooks.get().contains(hook))?;
        let mut answer = None;
        let observed = script.observers.get().contains(hook);
        let kept_back = self.ask(host, hook, args, &[script], |given| answer = Some(given));
        answer.or((observed || kept_back > 0).then_some(Answer::GoOn))
    }

    /// Calls a top-level function of a script and waits for its result.
    ///
    /// # Errors
    ///
    /// When there is no such script or function, it raises, the script dies, or nothing comes within
    /// `hook_timeout`.
    pub fn call(
        &self,
        host: &mut dyn Host,
        id: ScriptId,
        function: &str,
        args: &[Value<'_>],
    ) -> Result<Value<'static>, CallError> {
        self.call_with(host, id, function, args, |result| result.into_owned())
    }

    /// Calls a top-level function of a script whose result is only read: `take` gets it as it lies in the
    /// frame that brought it. A result of many strings is not copied string by string then.
    ///
    /// # Errors
    ///
    /// As those of [`Supervisor::call`].
    pub fn call_with<R>(
        &self,
        host: &mut dyn Host,
        id: ScriptId,
        function: &str,
        args: &[Value<'_>],
        take: impl FnOnce(Value<'_>) -> R,
    ) -> Result<R, CallError> {
        match self.outcome_of_call(host, id, function, args)? {
            Outcome::Returned(bytes) => {
                // It was read when it arrived, so it can be read.
                let result = frame::read_returned(&bytes).map(take).map_err(CallError::from);
                self.buffers.give(bytes);
                result
            }
            Outcome::Raised(reason) => Err(CallError::Raised(reason)),
            Outcome::Gone { why: Gone::Overran, .. } => Err(CallError::Overran),
            Outcome::Gone { .. } | Outcome::Answered(_) => Err(CallError::Died),
        }
    }

    /// Calls a function and waits for what becomes of that.
    fn outcome_of_call(
        &self,
        host: &mut dyn Host,
        id: ScriptId,
        function: &str,
        args: &[Value<'_>],
    ) -> Result<Outcome, CallError> {
        self.visit(host);
        let script = self.registry.get(id).ok_or(CallError::NoScript(id))?;
        let level = self.enter().ok_or(CallError::TooDeep)?;
        self.await_restart(host, &script, Instant::now() + self.hook_timeout(&script, None));
        let Some(process) = script.ready() else {
            let state = script.word();
            return Err(CallError::NotReady { name: script.name.clone(), state });
        };
        let seq = self.buffers.next_seq();
        let mut buffer = self.buffers.take();
        let written = frame::write_function(&mut buffer, seq, function, args);
        let asked: [Asked; 1] = [(script, process)];
        let [(script, process)] = &asked;
        if written.is_ok() {
            process.expect(seq, script.kept.get());
            self.post(process, &buffer);
        }
        self.buffers.give(buffer);
        written?;
        self.await_outcomes(host, seq, &asked, None, &mut None);
        let outcome = process.take(seq);
        drop(level);
        self.keep_house(host);
        outcome.ok_or(CallError::Died)
    }

    /// One event to these scripts; `take` gets the answers in their order. Gives for how many of
    /// them it is not.
    fn ask(
        &self,
        host: &mut dyn Host,
        hook: Hook,
        args: &[Value<'_>],
        scripts: &[Rc<Script>],
        mut take: impl FnMut(Answer<'static>),
    ) -> usize {
        let Some(level) = self.enter() else {
            log::error!("{hook} is not handed to scripts: nested deeper than {MAX_NESTING}");
            return 0;
        };
        let lookup = self.look_up(host, hook, args);
        let mut event = OneEvent::new(self, hook, args, lookup);
        let (mut kept_back, mut is_written) = (0, false);
        let seq = event.seq;
        if self.recorder.is_on() {
            self.record_event(seq, hook, args, scripts);
        }
        let mut asked: SmallVec<[Asked; 8]> = SmallVec::new();
        let mut delayed: SmallVec<[Rc<Script>; 8]> = SmallVec::new();
        let mut away: SmallVec<[Rc<Script>; 8]> = SmallVec::new();
        for script in scripts {
            if !self.is_for(host, script, hook, args, &mut event.lookup) {
                kept_back += 1;
                self.record_given(seq, script, || Given::KeptBack);
                continue;
            }
            // Which form is needed first makes no difference to what can be wrong.
            if !is_written && let Err(error) = event.frame(event.form(script)) {
                log::error!("{hook} is not handed to scripts: {error}");
                return kept_back;
            }
            is_written = true;
            let Some(process) = script.ready() else {
                (if script.is_awaited() { &mut delayed } else { &mut away }).push(script.clone());
                continue;
            };
            if !self.hand_over(script, &process, &mut event, &mut asked) {
                delayed.push(script.clone());
            }
        }
        let mut stopwatch = None;
        if !delayed.is_empty() {
            stopwatch = Some(self.hand_over_late(host, &delayed, &mut event, &mut asked, &mut away));
            asked.sort_by_key(|(script, _)| scripts.iter().position(|other| other.id == script.id));
        }
        if !asked.is_empty() {
            self.await_outcomes(host, seq, &asked, Some(hook), &mut stopwatch);
            for (script, process) in &asked {
                match process.take(seq) {
                    Some(Outcome::Answered(answer)) => {
                        script.counts.answered(hook, &answer);
                        self.record_given(seq, script, || Given::Answered(answer.clone()));
                        take(answer);
                    }
                    Some(Outcome::Gone { taken: false, why: Gone::Died }) => {
                        match self.ask_again(host, script, &mut event, &mut stopwatch) {
                            Some(answer) => {
                                script.counts.answered(hook, &answer);
                                self.record_given(seq, script, || Given::Answered(answer.clone()));
                                take(answer);
                            }
                            None => away.push(script.clone()),
                        }
                    }
                    _ => {
                        self.record_given(seq, script, || Given::Silent);
                        away.push(script.clone());
                    }
                }
            }
        }
        for script in &away {
            if self.blocks_when_away(script, hook) {
                take(Answer::Block);
            }
        }
        drop(stopwatch);
        drop(event);
        drop(level);
        self.keep_house(host);
        kept_back
    }

    /// Whether an event is blocked about which a script could not be asked, or that it did not answer.
    #[cold]
    fn blocks_when_away(&self, script: &Script, hook: Hook) -> bool {
        let own = script.overrides.borrow().when_away;
        !script.observers.get().contains(hook)
            && own.unwrap_or_else(|| self.config.borrow().when_away) == WhenAway::Block
    }

    /// Gives a script the event. False when there is no room for it at the moment.
    #[inline]
    fn hand_over(
        &self,
        script: &Rc<Script>,
        process: &Rc<Process>,
        event: &mut OneEvent<'_>,
        asked: &mut SmallVec<[Asked; 8]>,
    ) -> bool {
        let form = event.form(script);
        let is_awaited = form != Form::Observed;
        let seq = event.seq;
        let Ok(frame) = event.frame(form) else { return true };
        if is_awaited {
            process.expect(seq, script.kept.get());
        } else {
            // It works while the hub goes on, so it needs another processor.
            process.set_place(Place::Anywhere);
        }
        match process.try_send(frame) {
            Ok(Push::Done) => {}
            Ok(Push::Full) => {
                process.take(seq);
                return false;
            }
            Err(violation) => self.violated(process, violation.to_string()),
        }
        script.counts.given(event.hook);
        if is_awaited {
            asked.push((script.clone(), process.clone()));
        } else {
            self.record_given(seq, script, || Given::Observed);
        }
        true
    }

    /// Gives the event to scripts that are being restarted or do not read, while the others work
    /// already. What passes meanwhile counts towards the deadline of the event.
    #[cold]
    fn hand_over_late(
        &self,
        host: &mut dyn Host,
        scripts: &[Rc<Script>],
        event: &mut OneEvent<'_>,
        asked: &mut SmallVec<[Asked; 8]>,
        away: &mut SmallVec<[Rc<Script>; 8]>,
    ) -> Stopwatch<'_> {
        let stopwatch = self.waits.start();
        for script in scripts {
            let deadline = stopwatch.start() + self.hook_timeout(script, Some(event.hook));
            self.await_restart(host, script, deadline);
            // It may have become another one's event meanwhile.
            if !self.is_for(host, script, event.hook, event.args, &mut event.lookup) {
                continue;
            }
            let Some(process) = script.ready() else {
                away.push(script.clone());
                continue;
            };
            let form = event.form(script);
            let is_awaited = form != Form::Observed;
            let seq = event.seq;
            let hook = event.hook;
            let Ok(frame) = event.frame(form) else { continue };
            script.counts.given(hook);
            if is_awaited {
                process.expect(seq, script.kept.get());
                asked.push((script.clone(), process.clone()));
            } else {
                self.record_given(seq, script, || Given::Observed);
            }
            self.post_until(&process, frame, deadline);
        }
        stopwatch
    }

    /// A process died before it had read the event: the script has not seen it, so its next
    /// process may, in what is left of the event's time.
    fn ask_again<'s>(
        &'s self,
        host: &mut dyn Host,
        script: &Rc<Script>,
        event: &mut OneEvent<'_>,
        stopwatch: &mut Option<Stopwatch<'s>>,
    ) -> Option<Answer<'static>> {
        let (seq, hook) = (event.seq, event.hook);
        let start = stopwatch.get_or_insert_with(|| self.waits.start()).start();
        let deadline = start + self.hook_timeout(script, Some(hook));
        self.act_on_agenda(host);
        self.await_restart(host, script, deadline);
        let process = script.ready().filter(|_| Instant::now() < deadline)?;
        let form = match event.form(script) {
            Form::Observed => Form::Awaited,
            form => form,
        };
        let frame = event.frame(form).ok()?;
        process.expect(seq, script.kept.get());
        self.post(&process, frame);
        self.await_outcomes(host, seq, &[(script.clone(), process.clone())], Some(hook), stopwatch);
        match process.take(seq) {
            Some(Outcome::Answered(answer)) => Some(answer),
            _ => None,
        }
    }

    /// Waits for a script that is being started again, as long as events wait for it, and not
    /// beyond the deadline of this one.
    fn await_restart(&self, host: &mut dyn Host, script: &Rc<Script>, deadline: Instant) {
        if let Some(until) = script.awaited_until.get().filter(|_| script.is_awaited()) {
            self.wait(host, until.min(deadline), || !script.is_awaited());
        }
    }
}
