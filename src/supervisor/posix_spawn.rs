//! `posix_spawn`, wrapped: a process with the descriptors that it is given, and nothing else.
//!
//! It does not copy the hub's page tables as `fork` would, closes every descriptor from
//! [`FIRST_CLOSED`] on, also those that lack close-on-exec, sets all signals to their defaults,
//! unblocks them, and gives the process a group of its own.

use std::ffi::{CString, c_char, c_int, c_void};
use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use plugin_abi::start;

use super::credentials::Credentials;

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

/// Starts a process; its number. Nobody has waited for it yet.
pub fn posix_spawn(command: &Command) -> io::Result<libc::pid_t> {
    let program = CString::new(command.program.as_os_str().as_bytes())?;
    let mut arguments: Vec<*mut c_char> = vec![program.as_ptr().cast_mut()];
    arguments.extend(command.arguments.iter().map(|argument| argument.as_ptr().cast_mut()));
    arguments.push(std::ptr::null_mut());

    let mut attributes = Attributes::new()?;
    attributes.isolate()?;
    let copies = copies_of(command)?;
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
    Ok(pid)
}

/// Copies of its descriptors above the range into which they go, so that no duplication overwrites
/// the source of a later one.
fn copies_of(command: &Command) -> io::Result<Vec<OwnedFd>> {
    let given = command.fds.iter().map(AsFd::as_fd).chain([command.library.as_fd()]);
    given.map(copy_above).collect()
}

fn copy_above(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    let copy = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_DUPFD_CLOEXEC(FIRST_CLOSED))?;
    // SAFETY: the descriptor was made just now and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

#[cfg(test)]
mod tests {
    use std::os::fd::FromRawFd;

    use super::*;

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
        // SAFETY: as in `posix_spawn`.
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
}
