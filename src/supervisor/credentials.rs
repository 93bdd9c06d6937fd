//! What the kernel lets a thread do, to be compared; nothing is changed here.
//!
//! A hub may become another user after its first scripts were loaded. A process that was started
//! before still is who the hub was then, so a script must not get it. Credentials belong to
//! threads: the C library's `setuid` changes them all, the bare system call one.

use std::io;

use nix::unistd::{ResGid, ResUid, getresgid, getresuid};

/// The credentials of a thread, as a process that it starts gets them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    users: ResUid,
    groups: ResGid,
    more_groups: Vec<libc::gid_t>,
    /// Effective, permitted and inheritable, each in halves, as `capget` writes them.
    capabilities: [u32; 6],
    bounding: u64,
    ambient: u64,
    no_new_privileges: bool,
    secure_bits: i32,
}

/// Version 3 of `capget`'s structures, of Linux 2.6.26.
const VERSION: u32 = 0x2008_0522;

impl Credentials {
    /// Those of the calling thread. System calls only, which need no descriptor.
    pub fn of_this_thread() -> io::Result<Credentials> {
        let mut header = [VERSION, 0];
        let mut capabilities = [0; 6];
        // SAFETY: both are of the size and alignment that this version has; 0 is this thread.
        let read = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), capabilities.as_mut_ptr()) };
        if read != 0 {
            return Err(io::Error::last_os_error());
        }
        let ambient = libc::PR_CAP_AMBIENT_IS_SET;
        let [_, _, inheritable, _, _, inheritable_high] = capabilities;
        let bounding = set_of(|number| ask(libc::PR_CAPBSET_READ, number, 0));
        // Only what is inheritable can be ambient, and hardly any hub has that.
        let ambient = match inheritable | inheritable_high {
            0 => 0,
            _ => set_of(|number| ask(libc::PR_CAP_AMBIENT, ambient as u64, number)),
        };
        Ok(Credentials {
            users: getresuid()?,
            groups: getresgid()?,
            more_groups: more_groups()?,
            capabilities,
            bounding,
            ambient,
            no_new_privileges: ask(libc::PR_GET_NO_NEW_PRIVS, 0, 0) == 1,
            secure_bits: ask(libc::PR_GET_SECUREBITS, 0, 0),
        })
    }
}

/// What the hub's files may not allow. `None` where /proc cannot be read: nothing else tells it
/// without changing it, for the hub's other threads as well.
pub fn umask() -> Option<u32> {
    let status = std::fs::read_to_string("/proc/thread-self/status").ok()?;
    let umask = status.lines().find_map(|line| line.strip_prefix("Umask:"))?;
    u32::from_str_radix(umask.trim(), 8).ok()
}

/// The capabilities for which the answer is 1. Numbers beyond the kernel's last one are errors.
fn set_of(answer: impl Fn(u64) -> i32) -> u64 {
    let answers = (0..64).map(|number| (number, answer(number)));
    answers
        .take_while(|(_, answer)| *answer >= 0)
        .fold(0, |set, (number, answer)| set | (answer as u64) << number)
}

/// The supplementary groups. The bare call: the library's asks /proc how many there can be.
fn more_groups() -> io::Result<Vec<libc::gid_t>> {
    loop {
        // SAFETY: a size of 0 asks for the number, and writes nothing.
        let count = unsafe { libc::getgroups(0, std::ptr::null_mut()) };
        let mut groups = vec![0; usize::try_from(count).map_err(|_| io::Error::last_os_error())?];
        // SAFETY: there is room for `count` of them.
        let written = unsafe { libc::getgroups(count, groups.as_mut_ptr()) };
        match usize::try_from(written) {
            Ok(written) => {
                groups.truncate(written);
                return Ok(groups);
            }
            // More since.
            Err(_) if io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL) => {}
            Err(_) => return Err(io::Error::last_os_error()),
        }
    }
}

/// A `prctl` that only reads, and answers with a number.
fn ask(what: i32, second: u64, third: u64) -> i32 {
    // SAFETY: none of the questions above has pointers.
    unsafe { libc::prctl(what, second, third, 0u64, 0u64) }
}
