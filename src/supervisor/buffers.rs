//! Memory that is used again and again: frames, decoded texts, the numbers of events.
//!
//! Invariant: **what is taken is given back, and what is kept is bounded.** There are never more
//! buffers than were in use at one moment, which [`MAX_NESTING`](super::MAX_NESTING) and the number
//! of scripts limit; at most [`KEPT_BUFFERS`] of them stay, each with at most [`KEPT_BYTES`] of
//! room.

use std::cell::{Cell, RefCell};

/// How many buffers are kept while nobody uses them.
const KEPT_BUFFERS: usize = 256;
/// How many bytes of room a buffer keeps while nobody uses it.
const KEPT_BYTES: usize = 1 << 20;

/// Buffers and numbers for what is sent to workers.
pub(super) struct Buffers {
    free: RefCell<Vec<Vec<u8>>>,
    /// Where texts are decoded that filters test.
    decoded: RefCell<String>,
    next_seq: Cell<u64>,
}

impl Default for Buffers {
    fn default() -> Buffers {
        Buffers { free: RefCell::default(), decoded: RefCell::default(), next_seq: Cell::new(1) }
    }
}

impl Buffers {
    /// An empty buffer, with room from earlier use if there is one.
    #[inline]
    pub(super) fn take(&self) -> Vec<u8> {
        self.free.borrow_mut().pop().unwrap_or_default()
    }

    /// Keeps a buffer for the next who takes one.
    #[inline]
    pub(super) fn give(&self, mut buffer: Vec<u8>) {
        let mut free = self.free.borrow_mut();
        if free.len() < KEPT_BUFFERS {
            buffer.clear();
            buffer.shrink_to(KEPT_BYTES);
            free.push(buffer);
        }
    }

    /// Lends the memory into which texts are decoded. `work` calls nobody who needs it as well.
    #[inline]
    pub(super) fn with_decoded<R>(&self, work: impl FnOnce(&mut String) -> R) -> R {
        work(&mut self.decoded.borrow_mut())
    }

    /// The number of the next event or function call. None is given out twice.
    #[inline]
    pub(super) fn next_seq(&self) -> u64 {
        let seq = self.next_seq.get();
        self.next_seq.set(seq + 1);
        seq
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_and_is_empty_then() {
        let buffers = Buffers::default();
        let mut buffer = buffers.take();
        buffer.extend_from_slice(b"a frame");
        let room = buffer.capacity();
        buffers.give(buffer);
        let again = buffers.take();
        assert!(again.is_empty());
        assert_eq!(again.capacity(), room);
        assert_eq!(buffers.take().capacity(), 0, "there was only one");
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let buffers = Buffers::default();
        buffers.give(Vec::with_capacity(10 * KEPT_BYTES));
        let kept = buffers.take().capacity();
        assert!((1..2 * KEPT_BYTES).contains(&kept), "{kept} bytes");
        for _ in 0..2 * KEPT_BUFFERS {
            buffers.give(Vec::with_capacity(8));
        }
        assert_eq!(buffers.free.borrow().len(), KEPT_BUFFERS);
    }

    #[test]
    fn numbers_begin_at_one_and_never_come_twice() {
        let buffers = Buffers::default();
        // 0 is the number of what nobody awaits.
        assert_ne!(buffers.next_seq(), plugin_abi::frame::NOT_AWAITED);
        let numbers: Vec<u64> = (0..3).map(|_| buffers.next_seq()).collect();
        assert_eq!(numbers, [2, 3, 4]);
    }
}
