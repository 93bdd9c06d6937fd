//! The memory that a hub and one worker share: a sealed memfd with two rings and a few words
//! beside them; what goes through the rings is not its concern.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use memmap2::{MmapOptions, MmapRaw};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::ring::{MIN_WORDS, Storage};

/// The usual size of each ring in bytes.
pub const RING_BYTES: usize = 1 << 20;

/// Every control word has two cache lines to itself: processors fetch them in pairs.
const LINE: usize = 128;
const CONTROL_LINES: usize = 8;
const CONTROL_BYTES: usize = LINE * CONTROL_LINES;

/// Which way a ring leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the hub to the worker.
    ToWorker,
    /// From the worker to the hub.
    ToHub,
}

/// The control words, by their line.
#[derive(Clone, Copy, Debug)]
enum Control {
    ToWorkerConsumed = 0,
    ToHubConsumed = 1,
    WorkerAsleep = 2,
    HubAsleep = 3,
    BellRung = 4,
    Crowd = 5,
}

/// The system lets nobody use what there is no other way for.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// A filter forbids the call, as those of older container runtimes do.
    #[error(
        "the system call {0} is forbidden: allow it in the container's filter (its seccomp profile), \
         or use a newer container runtime"
    )]
    Forbidden(&'static str),
    /// The kernel, or what stands in for it, has no such call.
    #[error("the system has no call {0}: a newer kernel is needed, or one that is built with it")]
    Unknown(&'static str),
}

impl Refusal {
    /// What a failed call's error number means for an operator; other numbers speak for
    /// themselves.
    fn or_plain(call: &'static str, number: Errno) -> io::Error {
        match number {
            Errno::EPERM => io::Error::new(io::ErrorKind::PermissionDenied, Refusal::Forbidden(call)),
            Errno::ENOSYS => io::Error::new(io::ErrorKind::Unsupported, Refusal::Unknown(call)),
            other => other.into(),
        }
    }
}

/// A mapping of the shared memory.
#[derive(Debug)]
pub struct Segment {
    map: MmapRaw,
    ring_words: usize,
}

impl Segment {
    /// Makes the memory, sealed against any change of its size, and maps it. The descriptor is
    /// for the worker. A forked child of this process inherits the mapping, and must not use
    /// it; were it left out there, dropping this in the child would unmap whatever has been
    /// mapped in its place since.
    pub fn create(ring_bytes: usize) -> io::Result<(Segment, OwnedFd)> {
        let ring_words = (ring_bytes / 8).next_power_of_two().max(MIN_WORDS);
        let fd = memfd_create("vhpy", MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING)
            .map_err(|number| Refusal::or_plain("memfd_create", number))?;
        let file = File::from(fd);
        file.set_len((CONTROL_BYTES + 2 * ring_words * 8) as u64)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        let segment = Segment::map(file.as_fd())?;
        Ok((segment, file.into()))
    }

    /// Maps memory that [`Segment::create`] made in another process.
    pub fn map(fd: BorrowedFd<'_>) -> io::Result<Segment> {
        let file = File::from(fd.try_clone_to_owned()?);
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let ring_words = length.saturating_sub(CONTROL_BYTES) / 16;
        if !ring_words.is_power_of_two() || ring_words < MIN_WORDS {
            return Err(io::Error::other("the shared memory is not of a size that vhpy makes"));
        }
        Ok(Segment { map: MmapOptions::new().len(length).map_raw(&file)?, ring_words })
    }

    fn control(&self, which: Control) -> *mut u8 {
        self.map.as_mut_ptr().wrapping_add(which as usize * LINE)
    }

    fn long(&self, which: Control) -> &AtomicU64 {
        // SAFETY: the address is inside the mapping, which is at least CONTROL_BYTES long,
        // cannot shrink (it is sealed) and lives as long as `self`; it is aligned to LINE as
        // mappings start at a page; every access to it anywhere is atomic.
        unsafe { AtomicU64::from_ptr(self.control(which).cast()) }
    }

    fn short(&self, which: Control) -> &AtomicU32 {
        // SAFETY: as in `long`; no control word is accessed in both widths.
        unsafe { AtomicU32::from_ptr(self.control(which).cast()) }
    }

    fn words(&self, direction: Direction) -> &[AtomicU64] {
        let offset = CONTROL_BYTES + if direction == Direction::ToHub { self.ring_words * 8 } else { 0 };
        let start = self.map.as_mut_ptr().wrapping_add(offset).cast::<AtomicU64>();
        // SAFETY: both rings lie inside the mapping (`map` computed ring_words from its
        // length), are aligned to 8, are only ever accessed as atomics, for which any bit
        // pattern is valid, and live as long as `self`.
        unsafe { std::slice::from_raw_parts(start, self.ring_words) }
    }

    /// Non-zero while the worker sleeps until the hub wakes it.
    pub fn worker_asleep(&self) -> &AtomicU32 {
        self.short(Control::WorkerAsleep)
    }

    /// Non-zero while the hub sleeps until the worker wakes it.
    pub fn hub_asleep(&self) -> &AtomicU32 {
        self.short(Control::HubAsleep)
    }

    /// Non-zero from when the worker rings for the hub until the hub has looked.
    pub fn bell_rung(&self) -> &AtomicU32 {
        self.short(Control::BellRung)
    }

    /// How many threads are hot, if they are more than the processors. Written by the hub.
    pub fn crowd(&self) -> &AtomicU32 {
        self.short(Control::Crowd)
    }
}

/// One of the two rings of a segment.
#[derive(Clone, Debug)]
pub struct RingMemory {
    segment: Arc<Segment>,
    direction: Direction,
}

impl RingMemory {
    /// The ring that leads this way.
    pub fn new(segment: Arc<Segment>, direction: Direction) -> RingMemory {
        RingMemory { segment, direction }
    }
}

impl Storage for RingMemory {
    #[inline]
    fn words(&self) -> &[AtomicU64] {
        self.segment.words(self.direction)
    }

    #[inline]
    fn consumed(&self) -> &AtomicU64 {
        self.segment.long(match self.direction {
            Direction::ToWorker => Control::ToWorkerConsumed,
            Direction::ToHub => Control::ToHubConsumed,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ring::{Consumer, Producer, Push};

    #[test]
    fn what_one_mapping_writes_another_reads() {
        let (ours, fd) = Segment::create(4096).unwrap();
        let theirs = Segment::map(fd.as_fd()).unwrap();
        let mut producer = Producer::new(RingMemory::new(Arc::new(ours), Direction::ToWorker));
        let mut consumer = Consumer::new(RingMemory::new(Arc::new(theirs), Direction::ToWorker));
        assert_eq!(producer.push(b"hello", false), Ok(Push::Done));
        let mut frame = Vec::new();
        assert_eq!(consumer.pop(&mut frame), Ok(Some(true)));
        assert_eq!(frame, b"hello");
    }

    #[test]
    fn the_size_is_sealed() {
        let (_ours, fd) = Segment::create(4096).unwrap();
        let file = File::from(fd);
        assert!(file.set_len(0).is_err());
        assert!(file.set_len(1 << 20).is_err());
    }

    /// Makes a system call fail from now on in this thread.
    fn forbid(call: libc::c_long, number: i32) {
        let call = u32::try_from(call).unwrap();
        let code = |code| u16::try_from(code).unwrap();
        let number = u32::try_from(number).unwrap();
        let mut filter = [
            // The call's number; if it is this one, the error, else nothing.
            libc::sock_filter { code: code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS), jt: 0, jf: 0, k: 0 },
            libc::sock_filter {
                code: code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K),
                jt: 0,
                jf: 1,
                k: call,
            },
            libc::sock_filter {
                code: code(libc::BPF_RET | libc::BPF_K),
                jt: 0,
                jf: 0,
                k: libc::SECCOMP_RET_ERRNO | number,
            },
            libc::sock_filter {
                code: code(libc::BPF_RET | libc::BPF_K),
                jt: 0,
                jf: 0,
                k: libc::SECCOMP_RET_ALLOW,
            },
        ];
        let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
        // SAFETY: the program and its four steps live until the calls return.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
        }
    }

    #[test]
    fn a_filter_that_forbids_the_memory_is_named() {
        for (number, advice) in [(libc::EPERM, "seccomp"), (libc::ENOSYS, "newer kernel")] {
            let said = std::thread::spawn(move || {
                forbid(libc::SYS_memfd_create, number);
                Segment::create(4096).unwrap_err().to_string()
            });
            let said = said.join().unwrap();
            assert!(said.contains("memfd_create") && said.contains(advice), "{said}");
        }
    }

    #[test]
    fn other_memory_is_refused() {
        let fd = memfd_create("test", MFdFlags::MFD_CLOEXEC).unwrap();
        let file = File::from(fd);
        file.set_len(1000).unwrap();
        assert!(Segment::map(file.as_fd()).is_err());
    }
}
