//! A supervisor with scripts, the hub that these believe in, and a folder for their files.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::supervisor::{Config, Supervisor};
use crate::{Call, Hook, Host, ScriptId, Value};

use super::{Context, Error};

/// Who speaks in the chat events.
pub const NICK: &str = "alice";
/// What is said in them.
pub const MESSAGE: &str = "good morning, has anybody seen the new release?";

/// The least that a chat hook can do.
pub const TRIVIAL: &str = "def OnParsedMsgChat(nick, message):\n    return 1\n";

/// A script that does not want chat.
pub const ELSEWHERE: &str = "def OnUserLogin(nick):\n    return 1\n";

/// A folder that is removed at the end.
#[derive(Debug)]
pub struct Scratch(pub PathBuf);

impl Scratch {
    /// A new one in the system's folder for such things.
    pub fn new() -> Result<Scratch, Error> {
        let number = std::process::id();
        let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let folder = std::env::temp_dir().join(format!("vhpy-bench-{number}-{}", time.subsec_nanos()));
        std::fs::create_dir(&folder).map_err(Error::system(folder.display().to_string()))?;
        Ok(Scratch(folder))
    }

    /// So many files with the same script. Their names begin with `name`.
    pub fn scripts(&self, name: &str, source: &str, count: usize) -> Result<Vec<PathBuf>, Error> {
        (0..count)
            .map(|number| {
                let path = self.0.join(format!("{name}_{number}.py"));
                std::fs::write(&path, source).map_err(Error::system(path.display().to_string()))?;
                Ok(path)
            })
            .collect()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A hub in which everybody has class 3.
#[derive(Debug, Default)]
pub struct Hub {
    /// What the operators were told last.
    told: String,
}

impl Host for Hub {
    fn call(&mut self, _: &Supervisor, _: ScriptId, call: Call, _: &[Value<'_>]) -> Value<'static> {
        if call == Call::GetUserClass { Value::Int(3) } else { Value::Nil }
    }

    fn tell_operators(&mut self, _: &Supervisor, text: &str) {
        self.told = text.to_string();
    }
}

/// A supervisor with its scripts loaded; they end when it is dropped.
pub struct Rig {
    /// The supervisor.
    pub supervisor: Supervisor,
    /// The hub.
    pub hub: Hub,
    /// The scripts in load order.
    pub scripts: Vec<ScriptId>,
}

impl Rig {
    /// A supervisor without scripts, and without the spare process, which would only disturb.
    pub fn empty(context: &Context) -> Result<Rig, Error> {
        Rig::configured(Config { spare: false, python: context.python.clone(), ..Config::default() })
    }

    /// A rig whose supervisor is configured.
    pub fn configured(config: Config) -> Result<Rig, Error> {
        Ok(Rig { supervisor: Supervisor::new(config)?, hub: Hub::default(), scripts: Vec::new() })
    }

    /// A supervisor with these scripts.
    pub fn with(context: &Context, paths: &[PathBuf]) -> Result<Rig, Error> {
        let mut rig = Rig::empty(context)?;
        rig.load(paths)?;
        Ok(rig)
    }

    /// Loads more scripts.
    pub fn load(&mut self, paths: &[PathBuf]) -> Result<(), Error> {
        for loaded in self.supervisor.load_all(&mut self.hub, paths) {
            self.scripts.push(loaded?.id);
        }
        Ok(())
    }

    /// One chat event to all scripts.
    #[inline]
    pub fn chat(&mut self) {
        self.supervisor.event(&mut self.hub, Hook::OnParsedMsgChat, &chat());
    }

    /// One chat event to one script. Whether it answered.
    pub fn chat_to(&mut self, script: ScriptId) -> bool {
        self.supervisor.event_to(&mut self.hub, script, Hook::OnParsedMsgChat, &chat()).is_some()
    }

    /// So many chat events; how long they took.
    pub fn events(&mut self, count: u64) -> Result<Duration, Error> {
        let start = Instant::now();
        for _ in 0..count {
            self.chat();
        }
        let took = start.elapsed();
        self.check()?;
        Ok(took)
    }

    /// Calls a function of the first script and looks at its result.
    pub fn function<R>(
        &mut self,
        name: &str,
        args: &[Value<'_>],
        take: impl FnOnce(Value<'_>) -> R,
    ) -> Result<R, Error> {
        let first = self.scripts.first().copied().unwrap_or(ScriptId(0));
        Ok(self.supervisor.call_with(&mut self.hub, first, name, args, take)?)
    }

    /// That every script is well; events that a dead one missed cost nothing.
    pub fn check(&self) -> Result<(), Error> {
        match self.supervisor.scripts().iter().find(|it| it.state != "ready" || it.restarts > 0) {
            None => Ok(()),
            Some(it) => Err(Error::Wrong(format!("{} is {}: {}", it.name, it.state, self.hub.told))),
        }
    }

    /// The scripts' processes.
    pub fn pids(&self) -> Vec<u32> {
        self.supervisor.scripts().iter().filter_map(|script| script.pid).collect()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        self.supervisor.shutdown(&mut self.hub);
    }
}

/// The arguments of a chat event.
#[inline]
fn chat() -> [Value<'static>; 2] {
    [Value::text(NICK), Value::text(MESSAGE)]
}

/// The program that scripts' processes really run.
pub fn worker_python(context: &Context) -> Result<PathBuf, Error> {
    let rig = Rig::with(context, &context.scratch.scripts("who", TRIVIAL, 1)?)?;
    let pid = rig.pids().first().copied().unwrap_or(0);
    let link = format!("/proc/{pid}/exe");
    std::fs::read_link(Path::new(&link)).map_err(Error::system(link))
}
