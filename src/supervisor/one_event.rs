//! The frames of one event, each encoded when it is first needed.

use std::rc::Rc;

use plugin_abi::{Hook, Value, frame};

use super::Supervisor;
use super::script::Script;
use super::wanted::Lookup;

/// How an event is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// With a number, because an answer is awaited.
    Awaited,
    /// Without.
    Observed,
    /// As a command of the script; the answer is awaited.
    Command,
}

/// An event as it is sent: with its number where an answer is awaited, without to observers.
/// Which of the two a script gets is the hub's decision at that moment; the script may think of
/// itself as the other already.
pub(super) struct OneEvent<'a> {
    supervisor: &'a Supervisor,
    pub(super) seq: u64,
    pub(super) hook: Hook,
    pub(super) args: &'a [Value<'a>],
    /// Empty before it is needed, as is the next.
    awaited: Vec<u8>,
    observed: Vec<u8>,
    command: Vec<u8>,
    pub(super) lookup: Lookup,
}

impl<'a> OneEvent<'a> {
    #[inline]
    pub(super) fn new(
        supervisor: &'a Supervisor,
        hook: Hook,
        args: &'a [Value<'a>],
        lookup: Lookup,
    ) -> OneEvent<'a> {
        let seq = supervisor.buffers.next_seq();
        let [awaited, observed, command] = [const { Vec::new() }; 3];
        OneEvent { supervisor, seq, hook, args, awaited, observed, command, lookup }
    }

    /// How it is sent to a script.
    #[inline]
    pub(super) fn form(&self, script: &Rc<Script>) -> Form {
        if let Some((owner, _)) = &self.lookup.command
            && Rc::ptr_eq(owner, script)
        {
            return Form::Command;
        }
        if script.observers.get().contains(self.hook) { Form::Observed } else { Form::Awaited }
    }

    /// The frame, encoded when it is first needed.
    #[inline]
    pub(super) fn frame(&mut self, form: Form) -> Result<&[u8], frame::FrameError> {
        let (seq, frame) = match form {
            Form::Awaited => (self.seq, &mut self.awaited),
            Form::Observed => (frame::NOT_AWAITED, &mut self.observed),
            Form::Command => (self.seq, &mut self.command),
        };
        if frame.is_empty() {
            *frame = self.supervisor.buffers.take();
            let written = match (form, &self.lookup.command) {
                (Form::Command, Some((_, name))) => frame::write_command(frame, seq, name, self.args),
                _ => frame::write_event(frame, seq, self.hook, self.args),
            };
            written.inspect_err(|_| frame.clear())?;
        }
        Ok(frame)
    }
}

impl Drop for OneEvent<'_> {
    #[inline]
    fn drop(&mut self) {
        // Nearly every event has one of them.
        for frame in [&mut self.awaited, &mut self.observed, &mut self.command] {
            if frame.capacity() > 0 {
                self.supervisor.buffers.give(std::mem::take(frame));
            }
        }
    }
}
