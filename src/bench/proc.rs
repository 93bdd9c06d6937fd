//! What the kernel knows about processes: time, switches, memory.

use std::time::Duration;

use super::Error;

/// How often the threads of a process were switched out: a wake-up ends in one switch.
///
/// `wanted` chooses threads by their numbers; the first one's is the process's.
pub fn switches(pid: u32, wanted: impl Fn(u32) -> bool) -> u64 {
    let mut sum = 0;
    for thread in threads(pid).into_iter().filter(|thread| wanted(*thread)) {
        let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/status")) else {
            continue;
        };
        for name in ["voluntary_ctxt_switches:", "nonvoluntary_ctxt_switches:"] {
            let count = status.lines().find_map(|line| line.strip_prefix(name));
            sum += count.and_then(|count| count.trim().parse::<u64>().ok()).unwrap_or(0);
        }
    }
    sum
}

fn threads(pid: u32) -> Vec<u32> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks.flatten().filter_map(|task| task.file_name().to_str()?.parse().ok()).collect()
}

/// The processes that a process has started.
pub fn children(pid: u32) -> Vec<u32> {
    let mut children = Vec::new();
    for thread in threads(pid) {
        let listed = std::fs::read_to_string(format!("/proc/{pid}/task/{thread}/children"));
        children.extend(listed.unwrap_or_default().split(' ').filter_map(|child| child.parse::<u32>().ok()));
    }
    children
}

/// The processor time that a process has used; `None` is this one.
pub fn cpu_time(pid: Option<u32>) -> Result<Duration, Error> {
    let mut clock = libc::CLOCK_PROCESS_CPUTIME_ID;
    if let Some(pid) = pid {
        let pid = libc::pid_t::try_from(pid).unwrap_or(0);
        // SAFETY: `clock` is valid for writing.
        let error = unsafe { libc::clock_getcpuclockid(pid, &mut clock) };
        if error != 0 {
            return Err(Error::system("a process's clock")(std::io::Error::from_raw_os_error(error)));
        }
    }
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is valid for writing.
    if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
        return Err(Error::system("a process's time")(std::io::Error::last_os_error()));
    }
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Ok(Duration::from_secs(seconds) + Duration::from_nanos(u64::try_from(time.tv_nsec).unwrap_or(0)))
}

/// Memory of a process in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// Pages that no other process maps.
    pub private: f64,
    /// Pages divided by the number of processes that map them.
    pub proportional: f64,
}

impl Memory {
    /// Of this process.
    pub fn of(pid: u32) -> Result<Memory, Error> {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = std::fs::read_to_string(&path).map_err(Error::system(path))?;
        let sum = |prefix: &str| {
            let kibibytes = text.lines().filter(|line| line.starts_with(prefix)).filter_map(|line| {
                line.split_once(':')?.1.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()
            });
            kibibytes.sum::<f64>() * 1024.0
        };
        Ok(Memory { private: sum("Private_"), proportional: sum("Pss:") })
    }
}
