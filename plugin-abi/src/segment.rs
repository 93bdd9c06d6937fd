//! The memory that a hub and one worker share: a sealed memfd with two rings, a few words
//! beside them and what the worker counts; what goes through the rings is not its concern.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};

use memmap2::{MmapOptions, MmapRaw};
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

use crate::hook::Hook;
use crate::refusal;
use crate::ring::{MIN_WORDS, Storage};

/// The usual size of each ring in bytes.
pub const RING_BYTES: usize = 1 << 20;

/// Every control word has two cache lines to itself: processors fetch them in pairs.
const LINE: usize = 128;
const CONTROL_LINES: usize = 8;
const CONTROL_BYTES: usize = LINE * CONTROL_LINES;
/// How many words the [`figures`](crate::figures) of a hook have: a multiple of a pair of cache lines.
const FIGURE_WORDS: usize = LINE / 8;
/// Where the rings begin: behind the control words and the figures of all hooks.
const RINGS: usize = CONTROL_BYTES + FIGURE_WORDS * Hook::COUNT * 8;

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
    Place = 7,
    HubAsleep = 3,
    DoorbellRung = 4,
    Oversubscription = 5,
    Slow = 6,
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
            .map_err(|number| refusal::named("memfd_create", number))?;
        let file = File::from(fd);
        file.set_len((RINGS + 2 * ring_words * 8) as u64)?;
        let seals = SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
        fcntl(&file, FcntlArg::F_ADD_SEALS(seals))?;
        let segment = Segment::map(file.as_fd())?;
        Ok((segment, file.into()))
    }

    /// Maps memory that [`Segment::create`] made in another process.
    pub fn map(fd: BorrowedFd<'_>) -> io::Result<Segment> {
        let file = File::from(fd.try_clone_to_owned()?);
        let length = usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?;
        let ring_words = length.saturating_sub(RINGS) / 16;
        if !ring_words.is_power_of_two() || ring_words < MIN_WORDS {
            return Err(io::Error::other("the shared memory is not of a size that vhpy makes"));
        }
        Ok(Segment { map: MmapOptions::new().len(length).map_raw(&file)?, ring_words })
    }

    fn control(&self, which: Control) -> *mut u8 {
        self.map.as_mut_ptr().wrapping_add(which as usize * LINE)
    }

    fn long(&self, which: Control) -> &AtomicU64 {
        // SAFETY: the address is inside the mapping, which is at least RINGS long,
        // cannot shrink (it is sealed) and lives as long as `self`; it is aligned to LINE as
        // mappings start at a page; every access to it anywhere is atomic.
        unsafe { AtomicU64::from_ptr(self.control(which).cast()) }
    }

    fn short(&self, which: Control) -> &AtomicU32 {
        // SAFETY: as in `long`; no control word is accessed in both widths.
        unsafe { AtomicU32::from_ptr(self.control(which).cast()) }
    }

    fn words(&self, direction: Direction) -> &[AtomicU64] {
        let offset = RINGS + if direction == Direction::ToHub { self.ring_words * 8 } else { 0 };
        let start = self.map.as_mut_ptr().wrapping_add(offset).cast::<AtomicU64>();
        // SAFETY: both rings lie inside the mapping (`map` computed ring_words from its
        // length), are aligned to 8, are only ever accessed as atomics, for which any bit
        // pattern is valid, and live as long as `self`.
        unsafe { std::slice::from_raw_parts(start, self.ring_words) }
    }

    /// What the worker counts of a hook.
    pub(crate) fn figures(&self, hook: Hook) -> &[AtomicU64] {
        let offset = CONTROL_BYTES + hook as usize * FIGURE_WORDS * 8;
        let start = self.map.as_mut_ptr().wrapping_add(offset).cast::<AtomicU64>();
        // SAFETY: they lie inside the mapping, between the control words and the rings, for every
        // hook, and are
        // aligned to 8 and accessed as the words of the rings are.
        unsafe { std::slice::from_raw_parts(start, FIGURE_WORDS) }
    }

    /// From how many nanoseconds on a hook is slow. 0 until the hub has written it.
    pub(crate) fn slow(&self) -> &AtomicU64 {
        self.long(Control::Slow)
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
    pub fn doorbell_rung(&self) -> &AtomicU32 {
        self.short(Control::DoorbellRung)
    }

    /// How many threads are hot, if they are more than the processors. Written by the hub.
    pub fn oversubscription(&self) -> &AtomicU32 {
        self.short(Control::Oversubscription)
    }

    /// Where the worker is to sleep. Written by the hub, which never reads it.
    pub fn place(&self) -> &AtomicU32 {
        self.short(Control::Place)
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

    #[test]
    fn other_memory_is_refused() {
        let fd = memfd_create("test", MFdFlags::MFD_CLOEXEC).unwrap();
        let file = File::from(fd);
        file.set_len(1000).unwrap();
        assert!(Segment::map(file.as_fd()).is_err());
    }
}
