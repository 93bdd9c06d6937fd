//! Limits on what a process may use, set from outside before the script runs.

use std::io;

use plugin_abi::start::{OVER_FILES, OVER_MEMORY, OVER_PROCESSES};

use super::child::Exit;
use super::config::Limits;

/// Sets the limits of a process; without one of its own for open files, the soft one to this.
pub fn apply(pid: libc::pid_t, limits: &Limits, inherited_files: Option<u64>) -> io::Result<()> {
    // Beyond the first limit of processor time the kernel sends SIGXCPU, which says why; a
    // script that does not die of it is killed a second later.
    let table = [
        (libc::RLIMIT_AS, limits.memory, 0),
        (libc::RLIMIT_CPU, limits.cpu_seconds, 1),
        (libc::RLIMIT_NOFILE, limits.open_files, 0),
        (libc::RLIMIT_NPROC, limits.processes, 0),
    ];
    for (resource, limit, more) in table {
        let Some(limit) = limit else { continue };
        let new = libc::rlimit { rlim_cur: limit, rlim_max: limit.saturating_add(more) };
        // SAFETY: `new` is valid for reading, and the old limits are not asked for.
        if unsafe { libc::prlimit(pid, resource, &new, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    if let Some(files) = inherited_files.filter(|_| limits.open_files.is_none()) {
        set_soft_files(pid, files)?;
    }
    if let Some(nice) = limits.nice {
        let who = libc::id_t::try_from(pid).map_err(io::Error::other)?;
        // SAFETY: system calls without pointers.
        unsafe {
            let own = libc::getpriority(libc::PRIO_PROCESS, who);
            if libc::setpriority(libc::PRIO_PROCESS, who, own.saturating_add(nice).min(19)) != 0 {
                return Err(io::Error::last_os_error());
            }
        }
    }
    Ok(())
}

fn set_soft_files(pid: libc::pid_t, files: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the first call only writes the structure and the second only reads it; it is valid
    // for both.
    unsafe {
        if libc::prlimit(pid, libc::RLIMIT_NOFILE, std::ptr::null(), &mut limit) != 0 {
            return Err(io::Error::last_os_error());
        }
        limit.rlim_cur = files.min(limit.rlim_max);
        if libc::prlimit(pid, libc::RLIMIT_NOFILE, &limit, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// How a process ended, with the limit that ended it if that can be told.
pub fn explain(limits: &Limits, exit: Exit) -> String {
    let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
    match (exit, *limits) {
        (Exit::Code(OVER_MEMORY), Limits { memory: Some(bytes), .. }) => {
            format!("it needed more than its limit of {} MiB of memory", mib(bytes))
        }
        (Exit::Signal(libc::SIGABRT | libc::SIGSEGV | libc::SIGBUS), Limits { memory: Some(bytes), .. }) => {
            format!("{exit}, perhaps for lack of memory: its limit is {} MiB", mib(bytes))
        }
        (Exit::Code(OVER_FILES), Limits { open_files: Some(files), .. }) => {
            format!("it needed more than its limit of {files} open files")
        }
        (Exit::Code(OVER_PROCESSES), Limits { processes: Some(processes), .. }) => {
            format!("it needed more than its limit of {processes} processes and threads")
        }
        (Exit::Signal(libc::SIGXCPU), Limits { cpu_seconds: Some(seconds), .. }) => {
            format!("{exit}: it used up its limit of {seconds} s of processor time")
        }
        (Exit::Signal(libc::SIGKILL), Limits { cpu_seconds: Some(seconds), .. }) => {
            format!("{exit}, perhaps for its limit of {seconds} s of processor time")
        }
        (exit, _) => exit.to_string(),
    }
}
