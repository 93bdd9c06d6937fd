//! What is recorded of the supervisor's work, while somebody wants that.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use plugin_abi::{Call, Hook, Value};

use super::recorder::{About, Entry, Given, RecordError};
use super::script::Script;
use super::{Host, Supervisor};

/// How long whoever ends a recording waits for it to be written.
const PATIENCE: Duration = Duration::from_secs(1);

impl Supervisor {
    /// From now on writes events, calls and answers into a new file, as lines of JSON, until it has
    /// so many bytes. Passwords and private texts are masked, addresses get pseudonyms. The hub does
    /// not wait for the file.
    ///
    /// # Errors
    /// When the file is there already or cannot be made, or another is being written.
    pub fn record(&self, path: &Path, limit: u64) -> Result<(), RecordError> {
        let about = {
            let config = self.config.borrow();
            About {
                encoding: config.encoding.clone(),
                botname: config.identity.botname.clone(),
                opchatname: config.identity.opchatname.clone(),
                scripts: self.registry.list().iter().map(|script| script.name.clone()).collect(),
            }
        };
        self.recorder.start(path, limit, &about)
    }

    /// Ends the recording, and gives its file; `None` when there is none.
    pub fn stop_recording(&self) -> Option<PathBuf> {
        let path = self.recorder.path();
        self.recorder.stop(PATIENCE);
        path
    }

    /// The file of the recording, while there is one.
    pub fn recording(&self) -> Option<PathBuf> {
        self.recorder.path()
    }

    #[cold]
    pub(super) fn record_event(&self, number: u64, hook: Hook, args: &[Value<'_>], scripts: &[Rc<Script>]) {
        let scripts = scripts.iter().map(|script| script.name.clone()).collect();
        self.recorder.note(Entry::Event { number, hook, scripts, args: owned(args) });
    }

    #[inline]
    pub(super) fn record_given(&self, event: u64, script: &Script, given: impl FnOnce() -> Given) {
        if self.recorder.is_on() {
            self.recorder.note(Entry::Answer { event, script: script.name.clone(), given: given() });
        }
    }

    /// Lets the host answer what a script asks for, or what is asked because of it.
    #[inline]
    pub(super) fn ask_host(
        &self,
        host: &mut dyn Host,
        script: &Script,
        call: Call,
        args: &[Value<'_>],
    ) -> Value<'static> {
        if !self.recorder.is_on() {
            return self.on_the_hosts_time(Some(script), || host.call(self, script.id, call, args));
        }
        self.ask_host_on_record(host, script, call, args)
    }

    #[cold]
    fn ask_host_on_record(
        &self,
        host: &mut dyn Host,
        script: &Script,
        call: Call,
        args: &[Value<'_>],
    ) -> Value<'static> {
        let (number, outer) = self.recorder.begin_call();
        let answer = self.on_the_hosts_time(Some(script), || host.call(self, script.id, call, args));
        self.recorder.end_call(outer);
        let (script, args) = (script.name.clone(), owned(args));
        self.recorder.note(Entry::Call { number, script, call, args, answer: answer.clone() });
        answer
    }

    pub(super) fn record_dynamic(
        &self,
        script: &Script,
        name: &str,
        args: &[Value<'_>],
        answer: Option<&Value<'static>>,
    ) {
        if self.recorder.is_on() {
            let (script, name, answer) = (script.name.clone(), name.to_string(), answer.cloned());
            self.recorder.note(Entry::Dynamic { script, name, args: owned(args), answer });
        }
    }
}

fn owned(args: &[Value<'_>]) -> Vec<Value<'static>> {
    args.iter().map(|value| value.clone().into_owned()).collect()
}
