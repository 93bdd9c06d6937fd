//! Limits on what a process may use, set from outside before the script runs; what follows
//! when one is exceeded is the kernel's and Python's matter.

use std::io;

use super::config::Limits;
use super::spawn::Exit;

/// Sets the limits of a process that was just started.
pub fn apply(pid: libc::pid_t, limits: &Limits) -> io::Result<()> {
    let table = [
        (libc::RLIMIT_AS, limits.memory),
        (libc::RLIMIT_CPU, limits.cpu_seconds),
        (libc::RLIMIT_NOFILE, limits.open_files),
        (libc::RLIMIT_NPROC, limits.processes),
    ];
    for (resource, limit) in table {
        let Some(limit) = limit else { continue };
        let new = libc::rlimit { rlim_cur: limit, rlim_max: limit };
        // SAFETY: `new` is valid for reading, and the old limits are not asked for.
        if unsafe { libc::prlimit(pid, resource, &new, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    if let Some(nice) = limits.nice {
        let who = libc::id_t::try_from(pid).map_err(io::Error::other)?;
        // SAFETY: a system call without pointers.
        if unsafe { libc::setpriority(libc::PRIO_PROCESS, who, nice) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// How a process ended, with the limit that ended it if that can be told.
pub fn explain(limits: &Limits, exit: Exit) -> String {
    match (exit, limits) {
        (Exit::Signal(libc::SIGXCPU | libc::SIGKILL), Limits { cpu_seconds: Some(seconds), .. }) => {
            format!("{exit}: it used up its {seconds} s of processor time")
        }
        (exit, _) => exit.to_string(),
    }
}
