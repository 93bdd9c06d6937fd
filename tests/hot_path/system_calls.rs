//! Counts the system calls of threads without stopping them, by the kernel's own tracepoint.

use std::fs::File;
use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, RawFd};

/// Where the kernel tells the number of the tracepoint, depending on what is mounted.
const IDS: [&str; 2] = [
    "/sys/kernel/tracing/events/raw_syscalls/sys_enter/id",
    "/sys/kernel/debug/tracing/events/raw_syscalls/sys_enter/id",
];
const TYPE_TRACEPOINT: u32 = 2;
const CLOSE_ON_EXEC: u64 = 8;
/// `PERF_EVENT_IOC_SET_FILTER`
const SET_FILTER: libc::Ioctl = 0x4008_2406;

/// The first version of the kernel's `perf_event_attr`, which all later kernels take.
#[repr(C)]
#[derive(Default)]
struct Attributes {
    kind: u32,
    size: u32,
    config: u64,
    sample_period: u64,
    sample_type: u64,
    read_format: u64,
    flags: u64,
    wakeup_events: u32,
    breakpoint_type: u32,
    breakpoint_address: u64,
}

/// A counter for each thread of some processes.
pub struct Counters(Vec<File>);

impl Counters {
    /// For the threads that these processes have now. The error says why the kernel does not count.
    pub fn of(processes: &[u32]) -> Result<Counters, String> {
        let config = tracepoint()?;
        let mut counters = Vec::new();
        for process in processes {
            let threads = std::fs::read_dir(format!("/proc/{process}/task")).map_err(|e| e.to_string())?;
            for thread in threads {
                let name = thread.map_err(|error| error.to_string())?.file_name();
                let thread = name.to_string_lossy().parse().map_err(|_| "a thread without a number")?;
                counters.push(open(thread, config)?);
            }
        }
        Ok(Counters(counters))
    }

    /// For the thread that asks.
    pub fn of_this_thread() -> Result<Counters, String> {
        Ok(Counters(vec![open(0, tracepoint()?)?]))
    }

    /// Leaves out those by which a thread lets others run.
    pub fn leave_out_yields(&self) {
        let filter = std::ffi::CString::new(format!("id != {}", libc::SYS_sched_yield)).expect("no NUL");
        for counter in &self.0 {
            // SAFETY: the filter is a C string that the kernel only reads.
            let result = unsafe { libc::ioctl(counter.as_raw_fd(), SET_FILTER, filter.as_ptr()) };
            assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
        }
    }

    /// How many system calls there were, those that read this among them.
    pub fn read(&mut self) -> u64 {
        let count = |mut file: &File| {
            let mut count = [0; 8];
            file.read_exact(&mut count).expect("a counter");
            u64::from_ne_bytes(count)
        };
        self.0.iter().map(count).sum()
    }
}

/// The number of the tracepoint of all system calls.
fn tracepoint() -> Result<u64, String> {
    let id = IDS.iter().find_map(|path| std::fs::read_to_string(path).ok());
    let id = id.ok_or("tracefs is not mounted, or not for us")?;
    id.trim().parse().map_err(|_| format!("no number: {id}"))
}

fn open(thread: libc::pid_t, config: u64) -> Result<File, String> {
    let size = u32::try_from(size_of::<Attributes>()).expect("64");
    let attributes = Attributes { kind: TYPE_TRACEPOINT, size, config, ..Attributes::default() };
    let (any_processor, no_group): (i32, RawFd) = (-1, -1);
    // SAFETY: the structure is as long as it says, and the kernel only reads it.
    let fd = unsafe {
        libc::syscall(libc::SYS_perf_event_open, &attributes, thread, any_processor, no_group, CLOSE_ON_EXEC)
    };
    match RawFd::try_from(fd) {
        // SAFETY: it is new, and nobody else's.
        Ok(fd) if fd >= 0 => Ok(unsafe { File::from_raw_fd(fd) }),
        _ => Err(format!("perf_event_open: {}", std::io::Error::last_os_error())),
    }
}
