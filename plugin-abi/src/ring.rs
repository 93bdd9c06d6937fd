//! A ring of frames between one producer and one consumer that do not trust each other.
//! It never waits; the [`link`](crate::link) does.
//!
//! # Layout
//!
//! The ring is a power of two of 64-bit words. A record is one header word and the payload,
//! padded to whole words. The header holds the payload's length and two flags: *present*,
//! without which the word does not count, and *more*, which says that the frame goes on in
//! the next record. Positions count words since the start and never wrap; the low bits are
//! the place in the ring.
//!
//! The header itself announces the record: the consumer polls the one word where the next
//! header will appear, so that a short frame and its announcement travel between two cores in
//! one cache line. That word must read as zero until the record is complete, which is why the
//! producer clears the word *behind* each record before it publishes the record.
//!
//! # Orderings
//!
//! * The producer writes the cleared word and the payload with relaxed stores and then the
//!   header with a release store. The consumer loads the header with acquire; if it sees the
//!   record, it therefore sees the payload and the cleared word behind it. So the next header
//!   that it polls reads as zero, or as a header published later, and never as something left
//!   from an earlier round.
//! * The consumer reads the payload and then stores its position in `consumed` with release.
//!   The producer loads `consumed` with acquire before it writes to a word that the consumer
//!   may have read, so no read of an old record can see bytes of a new one.
//! * Every access to the shared words is atomic. A process at the other end that writes where
//!   it should not can make a frame wrong, but not the behaviour of this process undefined.
//!
//! `cargo test` under `--cfg loom` walks through all interleavings of small rings.
//!
//! # Trust
//!
//! Both ends keep their own positions to themselves. What they read from the other end is
//! checked once and then used from a local copy: a length against the ring's size and
//! [`MAX_FRAME`], a position against what was really written.

#[cfg(loom)]
use loom::sync::atomic::{AtomicU64, Ordering};
#[cfg(not(loom))]
use std::sync::atomic::{AtomicU64, Ordering};

use crate::frame::MAX_FRAME;

const PRESENT: u64 = 1 << 63;
const MORE: u64 = 1 << 62;
const LENGTH: u64 = u32::MAX as u64;
const WORD: usize = size_of::<u64>();

/// The smallest ring in words.
pub const MIN_WORDS: usize = 8;

/// The memory of a ring, seen from one end.
pub trait Storage {
    /// The words: a power of two of them, at least [`MIN_WORDS`], all zero at first.
    fn words(&self) -> &[AtomicU64];
    /// How far the consumer has read.
    fn consumed(&self) -> &AtomicU64;
}

/// The other end wrote what no honest peer writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Corrupt {
    /// `consumed` is ahead of what was written, or went backwards.
    #[error("the peer claims to have read what was never written")]
    Position,
    /// A header that claims more than fits.
    #[error("the peer announced a record of {0} bytes, more than the ring holds")]
    Length(usize),
    /// Pieces that add up to more than [`MAX_FRAME`].
    #[error("the peer sent a frame of more than {MAX_FRAME} bytes")]
    Frame,
    /// A piece that brings the frame no nearer to its end.
    #[error("the peer sent an empty piece of a frame")]
    Nothing,
}

/// The writing end.
#[derive(Debug)]
pub struct Producer<S> {
    storage: S,
    position: u64,
    /// The last `consumed` that was checked; the real one may be further.
    consumed: u64,
}

/// The reading end.
#[derive(Debug)]
pub struct Consumer<S> {
    storage: S,
    position: u64,
}

/// What became of a piece that should be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Push {
    /// It is in the ring.
    Done,
    /// There is no room yet.
    Full,
}

fn words_for(bytes: usize) -> usize {
    bytes.div_ceil(WORD)
}

impl<S: Storage> Producer<S> {
    /// The writing end of a ring that is still all zero.
    pub fn new(storage: S) -> Producer<S> {
        debug_assert!(storage.words().len().is_power_of_two() && storage.words().len() >= MIN_WORDS);
        Producer { storage, position: 0, consumed: 0 }
    }

    /// The longest piece in bytes. Half of the ring, so that one piece can be written while
    /// another is read.
    pub fn longest_piece(&self) -> usize {
        (self.storage.words().len() / 2 - 2) * WORD
    }

    /// Writes one piece of a frame; `more` says that others follow.
    ///
    /// A piece longer than [`Producer::longest_piece`] never finds room.
    #[inline]
    pub fn push(&mut self, piece: &[u8], more: bool) -> Result<Push, Corrupt> {
        let length = words_for(piece.len());
        if !self.has_room(length as u64 + 2)? {
            return Ok(Push::Full);
        }
        let words = self.storage.words();
        let mask = words.len() - 1;
        let header = self.position as usize;
        let word = |offset: usize| &words[(header.wrapping_add(offset)) & mask];

        word(1 + length).store(0, Ordering::Relaxed);
        let mut chunks = piece.chunks_exact(WORD);
        let mut at = 1;
        for chunk in &mut chunks {
            let mut bytes = [0; WORD];
            bytes.copy_from_slice(chunk);
            word(at).store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
            at += 1;
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            let mut bytes = [0; WORD];
            bytes[..rest.len()].copy_from_slice(rest);
            word(at).store(u64::from_ne_bytes(bytes), Ordering::Relaxed);
        }
        let flags = if more { PRESENT | MORE } else { PRESENT };
        word(0).store(flags | piece.len() as u64, Ordering::Release);
        self.position += 1 + length as u64;
        Ok(Push::Done)
    }

    /// Where the next record will begin.
    #[inline]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Whether the record that began at this position has been read, as far as the peer says.
    pub fn has_read(&self, position: u64) -> bool {
        self.storage.consumed().load(Ordering::Acquire) > position
    }

    fn has_room(&mut self, words: u64) -> Result<bool, Corrupt> {
        let capacity = self.storage.words().len() as u64;
        if self.position - self.consumed + words <= capacity {
            return Ok(true);
        }
        let consumed = self.storage.consumed().load(Ordering::Acquire);
        if consumed < self.consumed || consumed > self.position {
            return Err(Corrupt::Position);
        }
        self.consumed = consumed;
        Ok(self.position - self.consumed + words <= capacity)
    }
}

impl<S: Storage> Consumer<S> {
    /// The reading end of a ring that is still all zero.
    pub fn new(storage: S) -> Consumer<S> {
        debug_assert!(storage.words().len().is_power_of_two() && storage.words().len() >= MIN_WORDS);
        Consumer { storage, position: 0 }
    }

    /// How many words were read.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// How many words the ring has.
    pub fn words(&self) -> u64 {
        self.storage.words().len() as u64
    }

    /// Whether a record waits. One load; what a spinning consumer polls.
    #[inline]
    pub fn is_ready(&self) -> bool {
        self.header().load(Ordering::Relaxed) & PRESENT != 0
    }

    /// Appends the next piece to `frame` and says whether that completes it; `None` when no
    /// record waits.
    #[inline]
    pub fn pop(&mut self, frame: &mut Vec<u8>) -> Result<Option<bool>, Corrupt> {
        let header = self.header().load(Ordering::Acquire);
        if header & PRESENT == 0 {
            return Ok(None);
        }
        let words = self.storage.words();
        let bytes = (header & LENGTH) as usize;
        let length = words_for(bytes);
        if length + 2 > words.len() {
            return Err(Corrupt::Length(bytes));
        }
        if frame.len() + bytes > MAX_FRAME {
            return Err(Corrupt::Frame);
        }
        if bytes == 0 && header & MORE != 0 {
            return Err(Corrupt::Nothing);
        }
        let mask = words.len() - 1;
        let start = frame.len();
        frame.resize(start + length * WORD, 0);
        let first = (self.position + 1) as usize;
        for (at, chunk) in frame[start..].chunks_exact_mut(WORD).enumerate() {
            let word = words[(first.wrapping_add(at)) & mask].load(Ordering::Relaxed);
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        frame.truncate(start + bytes);
        self.position += 1 + length as u64;
        self.storage.consumed().store(self.position, Ordering::Release);
        Ok(Some(header & MORE == 0))
    }

    fn header(&self) -> &AtomicU64 {
        let words = self.storage.words();
        &words[self.position as usize & (words.len() - 1)]
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    #[cfg(loom)]
    use loom::sync::Arc;
    #[cfg(not(loom))]
    use std::sync::Arc;

    pub struct Memory {
        words: Vec<AtomicU64>,
        consumed: AtomicU64,
    }

    impl Memory {
        pub fn new(words: usize) -> Arc<Memory> {
            Arc::new(Memory {
                words: (0..words).map(|_| AtomicU64::new(0)).collect(),
                consumed: AtomicU64::new(0),
            })
        }
    }

    impl Storage for Arc<Memory> {
        fn words(&self) -> &[AtomicU64] {
            &self.words
        }
        fn consumed(&self) -> &AtomicU64 {
            &self.consumed
        }
    }

    #[cfg(loom)]
    #[test]
    fn every_interleaving_delivers_every_record_whole_and_in_order() {
        loom::model(|| {
            let memory = Memory::new(MIN_WORDS);
            let mut consumer = Consumer::new(memory.clone());
            let producer = loom::thread::spawn(move || {
                let mut producer = Producer::new(memory);
                // Three records of three words in a ring of eight: the last ones reuse words. Each
                // word of a payload would pass for a header, were it not cleared.
                for number in 0x81..=0x83u8 {
                    while producer.push(&[number; 12], number == 0x81).unwrap() == Push::Full {
                        loom::thread::yield_now();
                    }
                }
            });
            let mut frame = Vec::new();
            for number in 0x81..=0x83u8 {
                let whole = loop {
                    match consumer.pop(&mut frame).unwrap() {
                        Some(whole) => break whole,
                        None => loom::thread::yield_now(),
                    }
                };
                assert_eq!(whole, number != 0x81);
                assert_eq!(frame, [number; 12]);
                frame.clear();
            }
            assert_eq!(consumer.pop(&mut frame), Ok(None));
            producer.join().unwrap();
        });
    }

    #[cfg(not(loom))]
    mod plain {
        use super::*;
        use proptest::prelude::*;

        fn push_all(producer: &mut Producer<Arc<Memory>>, frame: &[u8]) -> bool {
            let longest = producer.longest_piece();
            let mut pieces = frame.chunks(longest).peekable();
            if frame.is_empty() {
                return producer.push(&[], false).unwrap() == Push::Done;
            }
            while let Some(piece) = pieces.next() {
                if producer.push(piece, pieces.peek().is_some()).unwrap() == Push::Full {
                    return false;
                }
            }
            true
        }

        proptest! {
            #[test]
            fn frames_come_out_as_they_went_in(
                frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..60), 0..40)
            ) {
                let memory = Memory::new(16);
                let (mut producer, mut consumer) = (Producer::new(memory.clone()), Consumer::new(memory));
                for frame in frames {
                    // Piece by piece, as one that waits for room would.
                    let mut received = Vec::new();
                    let mut done = frame.is_empty() && push_all(&mut producer, &frame);
                    for piece in frame.chunks(producer.longest_piece()).enumerate() {
                        let more = (piece.0 + 1) * producer.longest_piece() < frame.len();
                        prop_assert_eq!(producer.push(piece.1, more), Ok(Push::Done));
                        done = consumer.pop(&mut received).unwrap().unwrap();
                    }
                    if frame.is_empty() {
                        done = consumer.pop(&mut received).unwrap().unwrap();
                    }
                    prop_assert!(done);
                    prop_assert_eq!(&received, &frame);
                    prop_assert!(producer.has_read(producer.position() - 1));
                }
            }

            #[test]
            fn whatever_stands_in_the_words_the_consumer_survives(
                words in prop::collection::vec(any::<u64>(), 16), consumed in any::<u64>()
            ) {
                let memory = Memory::new(16);
                for (to, from) in memory.words.iter().zip(words) {
                    to.store(from, Ordering::Relaxed);
                }
                memory.consumed.store(consumed, Ordering::Relaxed);
                let mut consumer = Consumer::new(memory.clone());
                let mut frame = Vec::new();
                for _ in 0..64 {
                    frame.clear();
                    if !matches!(consumer.pop(&mut frame), Ok(Some(_))) {
                        break;
                    }
                    prop_assert!(frame.len() <= 16 * WORD);
                }
                let mut producer = Producer::new(memory);
                for _ in 0..8 {
                    if producer.push(&[1; 24], false).is_err() {
                        break;
                    }
                }
            }
        }

        #[test]
        fn a_full_ring_takes_nothing_until_it_is_read() {
            let memory = Memory::new(MIN_WORDS);
            let (mut producer, mut consumer) = (Producer::new(memory.clone()), Consumer::new(memory));
            assert_eq!(producer.push(&[1; 16], false), Ok(Push::Done));
            assert_eq!(producer.push(&[2; 16], false), Ok(Push::Done));
            assert_eq!(producer.push(&[3; 16], false), Ok(Push::Full));
            let mut frame = Vec::new();
            assert_eq!(consumer.pop(&mut frame), Ok(Some(true)));
            assert_eq!(producer.push(&[3; 16], false), Ok(Push::Done));
        }

        #[test]
        fn pieces_beyond_the_longest_frame_are_refused() {
            let memory = Memory::new(MIN_WORDS);
            let (mut producer, mut consumer) = (Producer::new(memory.clone()), Consumer::new(memory));
            let mut frame = vec![0; MAX_FRAME];
            assert_eq!(producer.push(&[1], false), Ok(Push::Done));
            assert_eq!(consumer.pop(&mut frame), Err(Corrupt::Frame));
        }

        #[test]
        fn a_record_is_no_longer_than_a_ring_can_hold() {
            for (words, is_held) in [(MIN_WORDS - 2, true), (MIN_WORDS - 1, false)] {
                let memory = Memory::new(MIN_WORDS);
                let bytes = words * WORD;
                memory.words[0].store(PRESENT | bytes as u64, Ordering::Relaxed);
                let popped = Consumer::new(memory).pop(&mut Vec::new());
                assert_eq!(popped, if is_held { Ok(Some(true)) } else { Err(Corrupt::Length(bytes)) });
            }
        }

        #[test]
        fn a_position_that_was_never_written_is_refused() {
            let memory = Memory::new(MIN_WORDS);
            let mut producer = Producer::new(memory.clone());
            memory.consumed.store(1000, Ordering::Relaxed);
            assert_eq!(producer.push(&[1; 24], false), Ok(Push::Done));
            assert_eq!(producer.push(&[1; 24], false), Err(Corrupt::Position));
        }
    }
}
