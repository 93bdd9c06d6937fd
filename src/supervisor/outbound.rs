//! What workers are sent: a frame goes into a process's ring, and one that does not read it breaks
//! the rules.

use std::borrow::Cow;
use std::rc::Rc;
use std::time::Instant;

use plugin_abi::frame::{self, Failure};
use plugin_abi::ring::Push;
use plugin_abi::{ToWorker, Value};

use super::Supervisor;
use super::process::Process;

impl Supervisor {
    /// Sends a frame, waits for room if need be.
    #[inline]
    pub(super) fn post(&self, process: &Rc<Process>, frame: &[u8]) {
        match process.try_send(frame) {
            Ok(Push::Done) => {}
            Ok(Push::Full) => self.post_slowly(process, frame),
            Err(violation) => self.violated(process, violation.to_string()),
        }
    }

    #[cold]
    fn post_slowly(&self, process: &Rc<Process>, frame: &[u8]) {
        let script = process.script.borrow().upgrade();
        let timeout =
            script.map_or(self.config.borrow().hook_timeout, |script| self.hook_timeout(&script, None));
        self.post_until(process, frame, Instant::now() + timeout);
    }

    pub(super) fn post_until(&self, process: &Rc<Process>, frame: &[u8], deadline: Instant) {
        let script = process.script.borrow().upgrade();
        let budget =
            script.map_or(self.config.borrow().hook_timeout, |script| self.hook_timeout(&script, None));
        match process.send(frame, deadline, budget) {
            Ok(true) => {}
            Ok(false) => self.violated(process, "it does not read what it is sent".into()),
            Err(violation) => self.violated(process, violation.to_string()),
        }
    }

    /// Encodes and sends a frame.
    pub(super) fn tell(&self, process: &Rc<Process>, frame: &frame::ToWorker<'_>) {
        let mut buffer = self.buffers.take();
        match frame.write(&mut buffer) {
            Ok(()) => self.post(process, &buffer),
            Err(error) => log::error!("process {}: not sent: {error}", process.pid),
        }
        self.buffers.give(buffer);
    }

    /// Answers a call. An answer that no frame can carry fails the call: a script that got
    /// none would wait for it until its deadline.
    pub(super) fn reply(&self, process: &Rc<Process>, id: u64, value: Value<'static>) {
        let mut buffer = self.buffers.take();
        let written = ToWorker::Reply { id, value }.write(&mut buffer);
        if written.is_ok() {
            self.post(process, &buffer);
        }
        self.buffers.give(buffer);
        if let Err(error) = written {
            log::error!("process {}: the answer to a call: {error}", process.pid);
            self.refuse(process, id, Failure::Failed, &error.to_string());
        }
    }

    /// Lets a call fail.
    pub(super) fn refuse(&self, process: &Rc<Process>, id: u64, failure: Failure, reason: &str) {
        let reason = Cow::Borrowed(reason.as_bytes());
        self.tell(process, &ToWorker::Refusal { id, failure, reason });
    }

    /// Ends a process that broke the rules.
    #[cold]
    pub(super) fn violated(&self, process: &Rc<Process>, what: String) {
        process.kill(format!("it broke the protocol: {what}"));
        process.fail_pending();
    }
}
