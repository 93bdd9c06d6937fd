//! Starts processes that own nothing of the hub's.
//!
//! All processes are started by one thread that lives as long as the supervisor. A worker asks
//! the kernel to be killed when its parent dies, and for the kernel the parent is the thread
//! that started it: were that a thread of the host's, its end would take the scripts along.

use std::cell::RefCell;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use nix::sys::eventfd::EventFd;

use super::child::{Child, VANISH};
use super::credentials::Credentials;
use super::forks::Unforked;
use super::poll::eventfd;
use super::posix_spawn::{Command, posix_spawn};

/// The thread that starts processes has other credentials than the hub's.
#[derive(Debug, thiserror::Error)]
#[error("the hub has become another user since vhpy was started")]
pub struct OtherCredentials;

impl OtherCredentials {
    /// Whether this is why there is no process.
    pub fn is_why(error: &io::Error) -> bool {
        error.get_ref().is_some_and(|inner| inner.is::<OtherCredentials>())
    }
}

/// A process that is being started.
#[derive(Debug)]
pub struct PendingChild(Unforked<Receiver<io::Result<Child>>>);

impl PendingChild {
    /// The process, or why there is none; `None` as long as that is not known.
    pub fn take(&self) -> Option<io::Result<Child>> {
        let Some(receiver) = self.0.get() else { return Some(Err(thread_is_gone())) };
        match receiver.try_recv() {
            Ok(started) => Some(started),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(thread_is_gone())),
        }
    }

    /// Waits for it, for a while: whoever lets go of it now does not wait for its end.
    pub fn wait(&self) -> Option<Child> {
        self.0.get()?.recv_timeout(VANISH).ok()?.ok()
    }
}

fn thread_is_gone() -> io::Error {
    io::Error::other("the thread that starts scripts has ended")
}

type Request = (Command, Sender<io::Result<Child>>);

/// The thread that starts processes.
#[derive(Debug)]
pub struct SpawnThread {
    /// The last one starts processes. The others live on, as their processes end with them.
    threads: Unforked<RefCell<Vec<Thread>>>,
    started: Arc<EventFd>,
}

#[derive(Debug)]
struct Thread {
    requests: Sender<Request>,
    handle: std::thread::JoinHandle<()>,
}

impl Thread {
    /// A thread has the credentials of the one that starts it.
    fn start(told: Arc<EventFd>) -> io::Result<Thread> {
        let (requests, receiver) = crossbeam_channel::unbounded::<Request>();
        let handle = std::thread::Builder::new().name("vhpy-spawn".into()).spawn(move || {
            for (command, reply) in receiver {
                // Fails only if nobody waits any more, and then the child ends at once.
                let _ = reply.send(spawn_as_asked(&command));
                // Fails only if the counter is at its limit, and then it is readable.
                let _ = told.write(1);
            }
        })?;
        Ok(Thread { requests, handle })
    }
}

/// Before and after, as they may change at any moment.
fn spawn_as_asked(command: &Command) -> io::Result<Child> {
    let check = || match Credentials::of_this_thread()? == command.credentials {
        true => Ok(()),
        false => Err(io::Error::other(OtherCredentials)),
    };
    check()?;
    let child = Child::of(posix_spawn(command)?)?;
    check()?;
    Ok(child)
}

impl SpawnThread {
    /// Starts the thread.
    pub fn start() -> io::Result<SpawnThread> {
        let started = Arc::new(eventfd()?);
        let thread = Thread::start(started.clone())?;
        Ok(SpawnThread { threads: Unforked::new(RefCell::new(vec![thread])), started })
    }

    /// From now on another thread starts processes, with the credentials of the calling one.
    pub fn renew(&self) -> io::Result<()> {
        let threads = self.threads.get().ok_or_else(thread_is_gone)?;
        let thread = Thread::start(self.started.clone())?;
        threads.borrow_mut().push(thread);
        Ok(())
    }

    /// Starts a process, which takes about a millisecond, on an overloaded machine much
    /// longer; nobody waits for that.
    pub fn begin(&self, command: Command) -> io::Result<PendingChild> {
        let (reply, child) = crossbeam_channel::bounded(1);
        let threads = self.threads.get().ok_or_else(thread_is_gone)?.borrow();
        let thread = threads.last().ok_or_else(thread_is_gone)?;
        thread.requests.send((command, reply)).map_err(|_| thread_is_gone())?;
        Ok(PendingChild(Unforked::new(child)))
    }

    /// Readable when a process was started, or could not be.
    pub fn started(&self) -> BorrowedFd<'_> {
        self.started.as_fd()
    }

    /// Makes that unreadable again. Look for the processes after it, not before.
    pub fn silence(&self) {
        let _ = self.started.read();
    }
}

impl Drop for SpawnThread {
    fn drop(&mut self) {
        let Some(threads) = self.threads.get_mut() else { return };
        for Thread { requests, handle } in threads.take() {
            drop(requests);
            let _ = handle.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::c_int;
    use std::fs::File;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use super::super::child::Exit;
    use super::*;

    extern "C" fn nothing(_signal: c_int) {}

    /// A hub that handles SIGCHLD is interrupted by the very death that it waits for.
    #[test]
    fn waiting_for_an_end_goes_on_after_a_signal() {
        let spawner = SpawnThread::start().expect("a thread");
        let null = || OwnedFd::from(std::fs::File::open("/dev/null").expect("/dev/null"));
        let pending = spawner.begin(Command {
            program: "/bin/sleep".into(),
            arguments: vec![c"3600".into()],
            fds: [null(), null(), null(), null(), null(), null(), null()],
            library: Arc::new(File::open("/dev/null").expect("/dev/null")),
            credentials: Credentials::of_this_thread().expect("credentials"),
        });
        let child = pending.expect("a request").wait().expect("a process");
        // SAFETY: the handler does nothing; no pointers else.
        let waiter = unsafe {
            libc::signal(libc::SIGUSR1, nothing as extern "C" fn(c_int) as libc::sighandler_t);
            libc::pthread_self()
        };
        let pid = child.pid;
        let interrupter = std::thread::spawn(move || {
            for _ in 0..50 {
                std::thread::sleep(Duration::from_millis(1));
                // SAFETY: the waiting thread joins this one.
                unsafe { libc::pthread_kill(waiter, libc::SIGUSR1) };
            }
            // SAFETY: a system call without pointers; the process is not reaped before.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        });
        assert!(child.ends_within(Duration::from_secs(60)), "waited a minute for process {pid}");
        interrupter.join().expect("the signals");
        assert_eq!(child.reap(), Exit::Signal(libc::SIGKILL));
    }
}
