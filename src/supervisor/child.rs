//! A process that was started: its signals, its end and its status, whether the system has pidfds
//! or not.

use std::cell::Cell;
use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use super::forks::ThisProcess;
use super::poll::{eventfd, is_readable_within};

/// A process that was started. It ends with its owner.
#[derive(Debug)]
pub struct Child {
    /// Its number, also that of its process group.
    pub pid: libc::pid_t,
    /// Names the process even when its number is used again, and is readable when it has
    /// ended. Where the system has no such descriptors, only the latter; see [`watch_end`].
    pidfd: OwnedFd,
    reaped: Cell<Option<Exit>>,
    /// Whose child it is; to a forked child of the hub it is nobody.
    parent: ThisProcess,
}

/// How long a killed process may take to vanish: one that waits for a dead disk does not die.
pub const VANISH: Duration = Duration::from_secs(5);

impl Child {
    /// The process with this number, which was started just now and that nobody has waited for. It
    /// is ended if it cannot be watched.
    pub fn of(pid: libc::pid_t) -> io::Result<Child> {
        let pidfd =
            pidfd_open(pid).or_else(|error| if is_refusal(&error) { watch_end(pid) } else { Err(error) });
        match pidfd {
            Ok(pidfd) => Ok(Child { pid, pidfd, reaped: Cell::new(None), parent: ThisProcess::new() }),
            Err(error) => {
                // SAFETY: plain system calls on a child of ours that nobody has waited for.
                unsafe {
                    libc::kill(pid, libc::SIGKILL);
                    libc::waitpid(pid, std::ptr::null_mut(), 0);
                }
                Err(error)
            }
        }
    }

    /// Readable when the process has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Whether the process has ended.
    pub fn has_ended(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    /// Whether it has ended, or does within this time.
    pub fn ends_within(&self, limit: Duration) -> bool {
        is_readable_within(self.pidfd(), limit)
    }

    /// What another thread sends signals by, also when the process has ended meanwhile.
    pub fn signaller(&self) -> io::Result<Signaller> {
        Ok(Signaller(self.pidfd.try_clone()?))
    }

    /// Sends a signal. Nothing happens to a process that has ended.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        if !self.parent.is_here() {
            return Ok(());
        }
        match signal(self.pidfd(), self.pid, number) {
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            sent => sent,
        }
    }

    /// Ends what the process has started in its group, and takes its status. Call it only
    /// when the process has ended.
    pub fn reap(&self) -> Exit {
        if let Some(exit) = self.reaped.get() {
            return exit;
        }
        if !self.parent.is_here() {
            return Exit::Unknown;
        }
        if is_number_ours(self.pidfd(), self.pid) {
            // SAFETY: a system call without pointers.
            unsafe { libc::kill(-self.pid, libc::SIGKILL) };
        }
        let exit = reap(self.pidfd(), self.pid, true).unwrap_or(Exit::Unknown);
        self.reaped.set(Some(exit));
        exit
    }
}

/// Sends signals to a process that it does not own.
#[derive(Debug)]
pub struct Signaller(OwnedFd);

impl Signaller {
    /// Another one for the same process.
    pub fn try_clone(&self) -> io::Result<Signaller> {
        Ok(Signaller(self.0.try_clone()?))
    }

    /// Sends a signal. Unlike [`Child::signal`] it fails where the system has no pidfds: the number
    /// may be another process's by now.
    pub fn send(&self, number: i32) -> io::Result<()> {
        // SAFETY: a system call; the null pointer means "no siginfo".
        let result = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                number,
                std::ptr::null::<c_void>(),
                0,
            )
        };
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.reaped.get().is_some() || !self.parent.is_here() {
            return;
        }
        let signalled = self.signal(libc::SIGKILL);
        if self.ends_within(VANISH) {
            self.reap();
        } else if let Err(error) = signalled {
            log::error!("process {} goes on: the hub may not end it: {error}", self.pid);
        } else {
            log::error!("process {} does not end although it was killed", self.pid);
        }
    }
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Somebody else waited for it: the hub ignores SIGCHLD, or waits for all children.
    Unknown,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {
            Exit::Code(code) => write!(f, "exit code {code}"),
            Exit::Signal(number) => match nix::sys::signal::Signal::try_from(number) {
                Ok(signal) => write!(f, "signal {signal}"),
                Err(_) => write!(f, "signal {number}"),
            },
            Exit::Unknown => write!(f, "an unknown end: the hub itself waits for or ignores its children"),
        }
    }
}

/// Sends a signal.
fn signal(pidfd: BorrowedFd<'_>, pid: libc::pid_t, number: i32) -> io::Result<()> {
    // SAFETY: a system call; the null pointer means "no siginfo".
    let result = unsafe {
        libc::syscall(libc::SYS_pidfd_send_signal, pidfd.as_raw_fd(), number, std::ptr::null::<c_void>(), 0)
    };
    if result == 0 {
        return Ok(());
    }
    match io::Error::last_os_error() {
        // Where pidfds are refused, or stand-ins for them used, the number must do: it is the
        // child's until that is reaped.
        error if is_refusal(&error) || error.raw_os_error() == Some(libc::EBADF) => {
            // SAFETY: a system call without pointers.
            match unsafe { libc::kill(pid, number) } {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        }
        error => Err(error),
    }
}

/// Takes the status of a process that has ended; `None` while it still runs.
fn reap(pidfd: BorrowedFd<'_>, pid: libc::pid_t, block: bool) -> Option<Exit> {
    let mut by = (libc::P_PIDFD, pidfd.as_raw_fd() as libc::id_t);
    let flags = libc::WEXITED | if block { 0 } else { libc::WNOHANG };
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        // SAFETY: the structure is valid for writing; zeroed, it is a valid value, in which a
        // pid of 0 means that the process still runs.
        let (result, info) =
            unsafe { (libc::waitid(by.0, by.1, info.as_mut_ptr(), flags), info.assume_init()) };
        if result != 0 {
            match io::Error::last_os_error().raw_os_error() {
                Some(libc::EINTR) => continue,
                Some(libc::EBADF | libc::EINVAL | libc::ENOSYS | libc::EPERM) if by.0 == libc::P_PIDFD => {
                    by = (libc::P_PID, pid.unsigned_abs());
                    continue;
                }
                _ => return Some(Exit::Unknown),
            }
        }
        // SAFETY: waitid filled the fields of a child's end, or left them zero.
        let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
        return match (pid, info.si_code) {
            (0, _) => None,
            (_, libc::CLD_EXITED) => Some(Exit::Code(status)),
            _ => Some(Exit::Signal(status)),
        };
    }
}

/// Whether the system does not know a call or a filter of a container forbids it.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

fn pidfd_open(pid: libc::pid_t) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    // SAFETY: a system call without pointers.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    let fd = RawFd::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: the descriptor was made just now and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Stands in for a pidfd under systems that lack them, such as older versions of valgrind, and
/// where a container's filter forbids them: a
/// thread waits for the end of the process, without taking its status, and makes the
/// descriptor readable.
fn watch_end(pid: libc::pid_t) -> io::Result<OwnedFd> {
    let ended = eventfd()?;
    let told = ended.as_fd().try_clone_to_owned()?;
    std::thread::Builder::new().name("vhpy-watch".into()).spawn(move || {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let flags = libc::WEXITED | libc::WNOWAIT;
        // SAFETY: the structure is valid for writing; any error but an interruption means that
        // somebody else has taken the status, so the process has ended.
        while unsafe { libc::waitid(libc::P_PID, pid.unsigned_abs(), info.as_mut_ptr(), flags) } != 0
            && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted
        {}
        // Fails only if the number in it would overflow, and then it is readable.
        let _ = nix::unistd::write(&told, &1u64.to_ne_bytes());
    })?;
    Ok(ended.into())
}

/// Whether a process that has ended still owns its number, and with it that of its group.
fn is_number_ours(pidfd: BorrowedFd<'_>, pid: libc::pid_t) -> bool {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: the structure is valid for writing; the other calls have no pointers.
    unsafe {
        let id = pidfd.as_raw_fd() as libc::id_t;
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        if libc::waitid(libc::P_PIDFD, id, info.as_mut_ptr(), flags) == 0 {
            return true;
        }
        // Somebody else has waited for it. As long as its group has members, nobody else gets
        // the number; without members, it may be somebody's by now.
        libc::kill(pid, 0) != 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::zombie_processes, reason = "`reap` is what is tested")]
    fn an_end_is_noticed_without_a_pidfd_too() {
        let child = std::process::Command::new("sleep").arg("3600").spawn().expect("a child");
        let pid = libc::pid_t::try_from(child.id()).expect("a small number");
        let ended = watch_end(pid).expect("a watcher");
        let readable = |limit| is_readable_within(ended.as_fd(), limit);
        assert!(!readable(Duration::ZERO));
        assert_eq!(reap(ended.as_fd(), pid, false), None);
        signal(ended.as_fd(), pid, libc::SIGKILL).expect("a signal");
        assert!(readable(Duration::from_secs(60)), "waited a minute for the end of process {pid}");
        assert_eq!(reap(ended.as_fd(), pid, true), Some(Exit::Signal(libc::SIGKILL)));
    }
}
