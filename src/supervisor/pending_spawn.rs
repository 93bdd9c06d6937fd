//! A worker process that is being started: what it will be is known, and its link and pipes exist.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use plugin_abi::link::HubEnd;
use plugin_abi::start;

use super::child::Child;
use super::credentials::{Credentials, umask};
use super::output::{Output, OutputThread, Pipes};
use super::posix_spawn::Command;
use super::spawn::{PendingChild, SpawnThread};
use super::worker_library::WorkerLibrary;

/// What is needed to start a process.
#[derive(Debug)]
pub struct Recipe<'a> {
    /// The interpreter.
    pub python: &'a Path,
    /// `libvh_worker.so`.
    pub worker: &'a WorkerLibrary,
    /// The size of a ring in bytes.
    pub ring_bytes: usize,
}

/// A process that is being started.
#[derive(Debug)]
pub struct PendingSpawn {
    /// That of the process to be.
    pub serial: u64,
    /// The interpreter.
    pub python: PathBuf,
    /// What it prints.
    pub output: Arc<Output>,
    /// Those of the hub's thread that asked for it.
    pub credentials: Credentials,
    /// That of the hub's thread that asked for it, if that is known.
    pub umask: Option<u32>,
    pub(super) link: HubEnd,
    child: PendingChild,
}

impl PendingSpawn {
    /// Starts an interpreter that will wait for a script.
    pub fn begin(
        recipe: &Recipe<'_>,
        serial: u64,
        spawner: &SpawnThread,
        reader: &OutputThread,
        output: Arc<Output>,
    ) -> io::Result<PendingSpawn> {
        let credentials = Credentials::of_this_thread()?;
        let umask = umask();
        let (link, fds) = HubEnd::create(recipe.ring_bytes)?;
        let (stdout, stdout_writer) = pipe()?;
        let (stderr, stderr_writer) = pipe()?;
        let stdin = OwnedFd::from(File::open("/dev/null")?);
        let arguments = vec![
            CString::new("-c")?,
            CString::new(start::BOOT)?,
            CString::new(recipe.worker.path().as_os_str().as_bytes())?,
            CString::new(std::process::id().to_string())?,
        ];
        let child = spawner.begin(Command {
            program: recipe.python.to_path_buf(),
            arguments,
            fds: [stdin, stdout_writer, stderr_writer, fds.memory, fds.wake, fds.doorbell, fds.life],
            library: recipe.worker.file(),
            credentials: credentials.clone(),
        })?;
        reader.register(serial, Pipes { stdout, stderr }, output.clone());
        let python = recipe.python.to_path_buf();
        Ok(PendingSpawn { serial, python, output, credentials, umask, link, child })
    }

    /// The operating system's process, or why there is none; `None` as long as that is not
    /// known. It is told once.
    pub fn child(&self) -> Option<io::Result<Child>> {
        self.child.take()
    }

    /// Waits until the process is there, and ends it.
    pub fn abort(self) {
        drop(self.child.wait());
    }
}

fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC)?)
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::reactor::Helpers;
    use super::*;

    /// One without Python, `/bin/sleep`.
    pub(in super::super) fn a_pending_process(helpers: &Helpers, serial: u64) -> PendingSpawn {
        let (link, fds) = HubEnd::create(1 << 16).unwrap();
        let null = || OwnedFd::from(File::options().read(true).write(true).open("/dev/null").unwrap());
        let credentials = Credentials::of_this_thread().unwrap();
        let command = Command {
            program: "/bin/sleep".into(),
            arguments: vec![CString::new("1000").unwrap()],
            fds: [null(), null(), null(), fds.memory, fds.wake, fds.doorbell, fds.life],
            credentials: credentials.clone(),
            library: Arc::new(File::open("/dev/null").unwrap()),
        };
        let child = helpers.spawner.begin(command).unwrap();
        let (python, output) = ("/bin/sleep".into(), Output::new("test"));
        PendingSpawn { serial, python, output, credentials, umask: umask(), link, child }
    }
}
