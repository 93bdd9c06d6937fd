//! Starts processes that own nothing of the hub's.
//!
//! All processes are started by one thread that lives as long as the supervisor. A worker asks
//! the kernel to be killed when its parent dies, and for the kernel the parent is the thread
//! that started it: were that a thread of the host's, its end would take the scripts along.
//!
//! `posix_spawn` does not copy the hub's page tables as `fork` would, closes every descriptor
//! from [`FIRST_CLOSED`] on, also those that lack close-on-exec, sets all signals to their
//! defaults, unblocks them, and gives the process a group of its own.

use std::cell::{Cell, RefCell};
use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TryRecvError};
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::epoll::{Epoll, EpollCreateFlags};
use nix::sys::eventfd::{EfdFlags, EventFd};
use plugin_abi::{refusal, start};

use super::credentials::Credentials;
use super::forks::{ThisProcess, Unforked};

/// How many descriptors a new process gets besides the worker library.
const LINK_FDS: usize = start::LIBRARY_FD as usize;

/// The first descriptor that a new process does not get.
const FIRST_CLOSED: RawFd = start::LIBRARY_FD + 1;

/// A process to start.
#[derive(Debug)]
pub struct Command {
    /// The program's file.
    pub program: PathBuf,
    /// Its arguments without its own name.
    pub arguments: Vec<CString>,
    /// Its first descriptors.
    pub fds: [OwnedFd; LINK_FDS],
    /// The worker library, its descriptor [`start::LIBRARY_FD`].
    pub library: Arc<File>,
    /// What it is to be allowed: a thread with other credentials does not start it.
    pub credentials: Credentials,
}

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
const VANISH: Duration = Duration::from_secs(5);

impl Child {
    fn new(pid: libc::pid_t, pidfd: OwnedFd) -> Child {
        Child { pid, pidfd, reaped: Cell::new(None), parent: ThisProcess::new() }
    }

    /// Readable when the process has ended.
    pub fn pidfd(&self) -> BorrowedFd<'_> {
        self.pidfd.as_fd()
    }

    /// Whether the process has ended.
    pub fn has_ended(&self) -> bool {
        self.ends_within(Duration::ZERO)
    }

    fn ends_within(&self, limit: Duration) -> bool {
        is_readable_within(self.pidfd(), limit)
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
    let child = spawn(command)?;
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

/// Turns the error number that the `posix_spawn` family returns into a result.
fn check(errno: c_int) -> io::Result<()> {
    if errno == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(errno)) }
}

/// A `posix_spawnattr_t` that is destroyed again.
struct Attributes(libc::posix_spawnattr_t);

impl Attributes {
    fn new() -> io::Result<Attributes> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: init makes a valid object of the memory, or fails and it is not used.
        unsafe {
            check(libc::posix_spawnattr_init(attributes.as_mut_ptr()))?;
            Ok(Attributes(attributes.assume_init()))
        }
    }

    /// A process group of its own, no signal blocked, all signals at their defaults.
    fn isolate(&mut self) -> io::Result<()> {
        let flags = libc::POSIX_SPAWN_SETPGROUP | libc::POSIX_SPAWN_SETSIGMASK | libc::POSIX_SPAWN_SETSIGDEF;
        let mut all = MaybeUninit::uninit();
        let mut none = MaybeUninit::uninit();
        // SAFETY: the attributes are initialised; both sets are filled before they are read.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            libc::sigemptyset(none.as_mut_ptr());
            let flags = libc::c_short::try_from(flags).map_err(io::Error::other)?;
            check(libc::posix_spawnattr_setflags(&mut self.0, flags))?;
            check(libc::posix_spawnattr_setpgroup(&mut self.0, 0))?;
            check(libc::posix_spawnattr_setsigdefault(&mut self.0, all.as_ptr()))?;
            check(libc::posix_spawnattr_setsigmask(&mut self.0, none.as_ptr()))
        }
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: the object was initialised and is not used after this.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
}

/// A `posix_spawn_file_actions_t` that is destroyed again.
struct FileActions(libc::posix_spawn_file_actions_t);

/// `posix_spawn_file_actions_addclosefrom_np`.
type AddCloseFrom = unsafe extern "C" fn(*mut libc::posix_spawn_file_actions_t, c_int) -> c_int;

/// Looked up when it is needed, since glibc has it only from 2.34 on and older ones are to do.
fn add_close_from() -> Option<AddCloseFrom> {
    static FOUND: OnceLock<Option<AddCloseFrom>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        let name = c"posix_spawn_file_actions_addclosefrom_np";
        // SAFETY: the name ends with NUL; the symbol of this name is a function of this type, which
        // glibc documents in <spawn.h>, and a null pointer is `None`.
        unsafe {
            std::mem::transmute::<*mut c_void, Option<AddCloseFrom>>(libc::dlsym(
                libc::RTLD_DEFAULT,
                name.as_ptr(),
            ))
        }
    })
}

/// How many numbers above the highest open descriptor are closed one by one: other threads open
/// more while the process is being started.
const SLACK: RawFd = 256;

/// The highest descriptor of this process, and how many there may be.
fn highest_open() -> io::Result<(RawFd, RawFd)> {
    let (limit, _) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE)?;
    let limit = RawFd::try_from(limit).unwrap_or(RawFd::MAX);
    let mut highest = 0;
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?.file_name().to_str().and_then(|name| name.parse().ok());
        highest = highest.max(number.unwrap_or(0));
    }
    Ok((highest, limit))
}

impl FileActions {
    fn new() -> io::Result<FileActions> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: init makes a valid object of the memory, or fails and it is not used.
        unsafe {
            check(libc::posix_spawn_file_actions_init(actions.as_mut_ptr()))?;
            Ok(FileActions(actions.assume_init()))
        }
    }

    fn duplicate(&mut self, from: RawFd, to: RawFd) -> io::Result<()> {
        // SAFETY: the actions are initialised; bad descriptors make the spawn fail.
        check(unsafe { libc::posix_spawn_file_actions_adddup2(&mut self.0, from, to) })
    }

    fn close_from(&mut self, first: RawFd) -> io::Result<()> {
        match add_close_from() {
            // SAFETY: the actions are initialised.
            Some(add) => check(unsafe { add(&mut self.0, first) }),
            None => self.close_each_from(first),
        }
    }

    /// Closes the descriptors one by one, for an older glibc. That passes over numbers that are not open, but takes none from
    /// the limit of open files on; a descriptor there is from before the limit was lowered, and gets
    /// close-on-exec.
    fn close_each_from(&mut self, first: RawFd) -> io::Result<()> {
        let (highest, limit) = highest_open()?;
        for number in first..highest.saturating_add(SLACK).min(limit) {
            // SAFETY: the actions are initialised.
            check(unsafe { libc::posix_spawn_file_actions_addclose(&mut self.0, number) })?;
        }
        for number in first.max(limit)..=highest {
            // SAFETY: a system call without pointers; a number that is not open is refused.
            unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
        }
        Ok(())
    }
}

impl Drop for FileActions {
    fn drop(&mut self) {
        // SAFETY: the object was initialised and is not used after this.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

unsafe extern "C" {
    /// The environment, as `posix_spawn` wants it.
    static environ: *const *mut c_char;
}

fn spawn(command: &Command) -> io::Result<Child> {
    let program = CString::new(command.program.as_os_str().as_bytes())?;
    let mut arguments: Vec<*mut c_char> = vec![program.as_ptr().cast_mut()];
    arguments.extend(command.arguments.iter().map(|argument| argument.as_ptr().cast_mut()));
    arguments.push(std::ptr::null_mut());

    let mut attributes = Attributes::new()?;
    attributes.isolate()?;
    // Copies above the range into which they go, so that no duplication overwrites the
    // source of a later one.
    let given = command.fds.iter().map(AsFd::as_fd).chain([command.library.as_fd()]);
    let copies: Vec<OwnedFd> = given.map(copy_above).collect::<io::Result<_>>()?;
    let mut actions = FileActions::new()?;
    for (to, from) in (0..FIRST_CLOSED).zip(&copies) {
        actions.duplicate(from.as_raw_fd(), to)?;
    }
    actions.close_from(FIRST_CLOSED)?;

    let mut pid = 0;
    // SAFETY: the strings, both arrays (which end with NULL), the actions and the attributes
    // live until the call returns; `environ` is only read while no thread changes the
    // environment, which Rust's `set_var` and C's `setenv` forbid in threaded programs anyway.
    check(unsafe {
        libc::posix_spawn(
            &mut pid,
            program.as_ptr(),
            &actions.0,
            &attributes.0,
            arguments.as_ptr(),
            environ.cast(),
        )
    })?;
    let pidfd = pidfd_open(pid).or_else(|error| if is_refusal(&error) { watch_end(pid) } else { Err(error) });
    match pidfd {
        Ok(pidfd) => Ok(Child::new(pid, pidfd)),
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

/// A counter to wait for.
pub(super) fn eventfd() -> io::Result<EventFd> {
    EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)
        .map_err(|number| refusal::named("eventfd2", number))
}

/// What waits for several descriptors.
pub(super) fn epoll() -> io::Result<Epoll> {
    Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|number| refusal::named("epoll_create1", number))
}

/// Whether the system does not know a call or a filter of a container forbids it.
fn is_refusal(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

fn copy_above(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    let copy = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(FIRST_CLOSED))?;
    // SAFETY: the descriptor was made just now and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
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

/// Waits until a descriptor is readable. Signals that the hub handles, such as SIGCHLD, do not
/// end the wait.
pub(super) fn is_readable_within(fd: BorrowedFd<'_>, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    loop {
        let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
        let left = deadline.saturating_duration_since(Instant::now());
        match nix::poll::poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Err(nix::errno::Errno::EINTR) => continue,
            result => return matches!(result, Ok(1..)),
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

#[cfg(test)]
mod tests {
    use std::os::fd::FromRawFd;

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

    /// What glibc before 2.34 is given. The shell shows what is open in it.
    #[test]
    fn descriptors_are_closed_one_by_one_too() {
        let (output, writer) = nix::unistd::pipe().expect("a pipe");
        // Without close-on-exec, as C hubs open theirs: one in the midst, one far above.
        let leaky = [9, 300].map(|least| {
            let copy = nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_DUPFD(least)).expect("a copy");
            // SAFETY: the descriptor was made just now and belongs to nobody else.
            unsafe { OwnedFd::from_raw_fd(copy) }
        });
        let mut actions = FileActions::new().expect("actions");
        actions.duplicate(writer.as_raw_fd(), 1).expect("an action");
        actions.close_each_from(3).expect("actions");
        let arguments = [c"sh", c"-c", c"echo /proc/self/fd/*"];
        let mut arguments = arguments.map(|word| word.as_ptr().cast_mut()).to_vec();
        arguments.push(std::ptr::null_mut());
        let mut pid = 0;
        // SAFETY: as in `spawn`.
        let spawned = unsafe {
            let arguments = arguments.as_ptr();
            libc::posix_spawn(
                &mut pid,
                c"/bin/sh".as_ptr(),
                &actions.0,
                std::ptr::null(),
                arguments,
                environ.cast(),
            )
        };
        check(spawned).expect("a process");
        drop((writer, leaky));
        let mut said = String::new();
        std::io::Read::read_to_string(&mut File::from(output), &mut said).expect("what is open");
        // SAFETY: a child of this test, which nobody else waits for.
        unsafe { libc::waitpid(pid, std::ptr::null_mut(), 0) };
        // The shell has the folder open that it lists.
        let open: Vec<&str> = said.split_whitespace().filter_map(|path| path.rsplit('/').next()).collect();
        assert_eq!(open, ["0", "1", "2", "3"], "{said}");
    }

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
