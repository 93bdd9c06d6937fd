//! What waits to be sent: one buffer that everybody gets, and each connection's own queue; when to
//! send, and who is dropped when too much waits, is left to the hub.
//!
//! A message to all is written once, into the [`Broadcast`], a log that is as long as the slowest
//! client needs it. Each connection's [`Queue`] only knows how far it has taken the log. Something
//! for one connection alone goes into its queue as a [`Piece`] of its own, behind a piece that says
//! which part of the log comes before it, so that the order stays and nothing is copied. A long
//! text for many is one [`Kept`] that all their queues point to.
//!
//! At the end of the loop's turn each connection is written to once: its pieces, then the part of
//! the log that it has not taken, in one `writev`.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, ErrorKind, IoSlice, Write};
use std::ops::Deref;
use std::rc::Rc;

/// Up to this length, in bytes, a copy costs less than a piece that points somewhere.
const COPIED: usize = 512;

/// A piece of a connection's own that has this many bytes is followed by another.
const PIECE: usize = 16 << 10;

/// How many pieces are written in one system call.
const WRITTEN_TOGETHER: usize = 32;

/// How many bytes the hub keeps for its clients: what waits for them, and what they sent in part.
#[derive(Clone, Default)]
pub struct Memory(Rc<Cell<usize>>);

/// Bytes that count in the hub's [`Memory`] for as long as they are there.
pub struct Kept {
    bytes: Vec<u8>,
    counted: usize,
    memory: Memory,
}

impl Kept {
    /// Nothing yet.
    pub fn new(memory: &Memory) -> Kept {
        Kept { bytes: Vec::new(), counted: 0, memory: memory.clone() }
    }

    /// Adds bytes.
    pub fn push(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.bytes.extend_from_slice(part);
        }
        self.count();
    }

    /// Takes the bytes out; from then on they are the caller's.
    pub fn take(&mut self) -> Vec<u8> {
        let bytes = std::mem::take(&mut self.bytes);
        self.count();
        bytes
    }

    /// Keeps other bytes in the place of these.
    pub fn set(&mut self, bytes: Vec<u8>) {
        self.bytes = bytes;
        self.count();
    }

    fn count(&mut self) {
        let used = self.memory.0.get() + self.bytes.capacity() - self.counted;
        self.memory.0.set(used);
        self.counted = self.bytes.capacity();
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.memory.0.set(self.memory.0.get() - self.counted);
    }
}

impl Deref for Kept {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// What everybody gets, from what the slowest has not taken to the latest. Positions count the
/// bytes since the hub's start.
#[derive(Default)]
pub struct Broadcast {
    data: Vec<u8>,
    /// The position of the first byte that is still there.
    start: u64,
    /// Up to where it has been offered to everybody.
    written: u64,
    memory: Memory,
}

impl Broadcast {
    /// Adds data that ends with `|`.
    #[inline]
    pub fn push(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.data.extend_from_slice(part);
        }
    }

    /// How many bytes nobody has been offered yet.
    #[inline]
    pub fn unwritten(&self) -> usize {
        length(self.written, self.end())
    }

    /// How many bytes the hub keeps for its clients, with what waits for everybody.
    pub fn memory_used(&self) -> usize {
        self.memory.0.get() + self.data.capacity()
    }

    /// Bytes that count in the same memory.
    pub fn keep(&self, parts: &[&[u8]]) -> Kept {
        let mut kept = Kept::new(&self.memory);
        kept.bytes.reserve_exact(parts.iter().map(|part| part.len()).sum());
        kept.push(parts);
        kept
    }

    /// Notes that everybody has been offered everything, and forgets what nobody needs.
    pub fn offered(&mut self, needed_from: u64) {
        self.written = self.end();
        self.forget_before(needed_from);
    }

    /// Forgets what is before a position.
    pub fn forget_before(&mut self, needed_from: u64) {
        let over = length(self.start, needed_from.min(self.end()));
        if over == self.data.len() {
            self.data.clear();
            // One burst should not hold its memory for ever.
            self.data.shrink_to(1 << 20);
            self.start += over as u64;
        } else if over > self.data.len() / 2 {
            // Not each time: moving the rest costs as much as it has bytes.
            self.data.drain(..over);
            self.data.shrink_to((2 * self.data.len()).max(1 << 20));
            self.start += over as u64;
        }
    }

    fn end(&self) -> u64 {
        self.start + self.data.len() as u64
    }

    fn part(&self, from: u64, to: u64) -> &[u8] {
        self.data.get(length(self.start, from)..length(self.start, to)).unwrap_or_default()
    }
}

/// How many bytes are between two positions, both of which are in memory.
fn length(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}

/// A part of what waits for one connection.
enum Piece {
    /// For this connection alone.
    Own(Kept),
    /// Bytes that several connections get.
    Shared(Rc<Kept>),
    /// What everybody got, from one position to another.
    Everybody(u64, u64),
}

impl Piece {
    fn bytes<'a>(&'a self, broadcast: &'a Broadcast) -> &'a [u8] {
        match self {
            Piece::Own(kept) => kept,
            Piece::Shared(kept) => kept,
            Piece::Everybody(from, to) => broadcast.part(*from, *to),
        }
    }
}

/// What waits to be sent to one connection.
#[derive(Default)]
pub struct Queue {
    pieces: VecDeque<Piece>,
    /// How much of the first piece has been sent.
    sent: usize,
    /// How many bytes wait in the pieces.
    waiting: usize,
    /// How far the broadcast was taken; `None` when it is not for this connection.
    taken: Option<u64>,
    /// How many bytes are left up to the end of the list of users that was sent last.
    until_list: usize,
}

impl Queue {
    /// From here on, the connection gets what everybody gets.
    pub fn follow(&mut self, broadcast: &Broadcast) {
        self.taken = Some(broadcast.end());
    }

    /// From here on, it does not; what was said before still reaches it.
    pub fn unfollow(&mut self, broadcast: &Broadcast) {
        self.take(broadcast);
        self.taken = None;
    }

    /// Whether the connection gets what everybody gets.
    pub fn follows(&self) -> bool {
        self.taken.is_some()
    }

    /// Adds data for this connection alone.
    pub fn push(&mut self, broadcast: &Broadcast, parts: &[&[u8]]) {
        self.take(broadcast);
        self.push_own(broadcast, parts);
    }

    /// Adds data of which the second part is the same for many connections.
    pub fn push_shared(&mut self, broadcast: &Broadcast, own: &[&[u8]], shared: &Rc<Kept>) {
        self.take(broadcast);
        self.push_own(broadcast, own);
        if shared.len() <= COPIED {
            self.push_own(broadcast, &[shared]);
        } else {
            self.waiting += shared.len();
            self.pieces.push_back(Piece::Shared(Rc::clone(shared)));
        }
    }

    fn push_own(&mut self, broadcast: &Broadcast, parts: &[&[u8]]) {
        let count: usize = parts.iter().map(|part| part.len()).sum();
        if count == 0 {
            return;
        }
        self.waiting += count;
        match self.pieces.back_mut() {
            Some(Piece::Own(last)) if last.len() < PIECE => last.push(parts),
            _ => self.pieces.push_back(Piece::Own(broadcast.keep(parts))),
        }
    }

    /// Keeps its place in what was said to everybody, before something else comes.
    pub fn take(&mut self, broadcast: &Broadcast) {
        let end = broadcast.end();
        let Some(taken) = &mut self.taken else { return };
        let from = std::mem::replace(taken, end);
        if from == end {
            return;
        }
        match self.pieces.back_mut() {
            Some(Piece::Everybody(_, to)) if *to == from => {
                *to = end;
                self.waiting += length(from, end);
            }
            Some(_) if length(from, end) <= COPIED => self.push_own(broadcast, &[broadcast.part(from, end)]),
            _ => {
                self.waiting += length(from, end);
                self.pieces.push_back(Piece::Everybody(from, end));
            }
        }
    }

    /// Passes over what was said to everybody since it was last taken.
    pub fn skip(&mut self, broadcast: &Broadcast) {
        if let Some(taken) = &mut self.taken {
            *taken = broadcast.end();
        }
    }

    /// How many bytes wait.
    pub fn len(&self, broadcast: &Broadcast) -> usize {
        self.waiting + self.taken.map_or(0, |taken| length(taken, broadcast.end()))
    }

    /// Notes that a list of users ends here.
    pub fn list_ends(&mut self, broadcast: &Broadcast) {
        self.until_list = self.len(broadcast);
    }

    /// Whether a list of users waits; all that changes in it comes after it.
    pub fn has_list(&self) -> bool {
        self.until_list > 0
    }

    /// From where on it still needs what was said to everybody.
    pub fn needed_from(&self) -> u64 {
        let first = self.pieces.iter().find_map(|piece| match piece {
            Piece::Everybody(from, _) => Some(*from),
            Piece::Own(_) | Piece::Shared(_) => None,
        });
        first.or(self.taken).unwrap_or(u64::MAX)
    }

    /// Writes as much as the connection takes. True when nothing is left.
    pub fn write(&mut self, broadcast: &Broadcast, mut to: impl Write) -> io::Result<bool> {
        loop {
            let rest = self.taken.map_or(&[][..], |taken| broadcast.part(taken, broadcast.end()));
            if self.pieces.is_empty() && rest.is_empty() {
                return Ok(true);
            }
            let wrote = if self.pieces.is_empty() {
                to.write(rest)
            } else {
                let mut slices = [IoSlice::new(&[]); WRITTEN_TOGETHER + 1];
                let own = self.pieces.iter().map(|piece| piece.bytes(broadcast)).take(WRITTEN_TOGETHER);
                let mut skip = self.sent;
                let mut count = 0;
                for (slice, bytes) in slices.iter_mut().zip(own) {
                    *slice = IoSlice::new(bytes.get(std::mem::take(&mut skip)..).unwrap_or_default());
                    count += 1;
                }
                if count == self.pieces.len()
                    && let Some(slice) = slices.get_mut(count)
                {
                    *slice = IoSlice::new(rest);
                    count += 1;
                }
                to.write_vectored(slices.get(..count).unwrap_or_default())
            };
            match wrote {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(wrote) => self.was_written(broadcast, wrote),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    fn was_written(&mut self, broadcast: &Broadcast, count: usize) {
        self.until_list = self.until_list.saturating_sub(count);
        let mut left = count;
        while let Some(first) = self.pieces.front() {
            let rest = first.bytes(broadcast).len() - self.sent;
            if left < rest {
                self.sent += left;
                self.waiting -= left;
                return;
            }
            left -= rest;
            self.waiting -= rest;
            self.sent = 0;
            self.pieces.pop_front();
        }
        if let Some(taken) = &mut self.taken {
            *taken += left as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes a few bytes at a time, and now and then nothing.
    struct Slow(Vec<u8>, usize);

    impl Write for Slow {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1.is_multiple_of(3) {
                return Err(ErrorKind::WouldBlock.into());
            }
            let most = data.len().min(3000);
            self.0.extend_from_slice(&data[..most]);
            Ok(most)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    proptest! {
        #[test]
        fn each_connection_gets_everything_once_and_in_order(
            steps in proptest::collection::vec((0..6u8, 0..3000usize, any::<u8>()), 0..80),
        ) {
            let mut broadcast = Broadcast::default();
            // The other one is written to only at the end.
            let (mut queue, mut other) = (Queue::default(), Queue::default());
            queue.follow(&broadcast);
            other.follow(&broadcast);
            let (mut to, mut to_other) = (Slow(Vec::new(), 0), Slow(Vec::new(), 0));
            let (mut expected, mut expected_other) = (Vec::new(), Vec::new());
            for (step, length, byte) in steps {
                let text = vec![byte; length];
                match step {
                    0 => {
                        broadcast.push(&[&text, b"|"]);
                        expected_other.extend_from_slice(&[&text[..], b"|"].concat());
                    }
                    1 => queue.push(&broadcast, &[&text, b"|"]),
                    2 => {
                        // A message to everybody but this one.
                        queue.take(&broadcast);
                        broadcast.push(&[&text, b"|"]);
                        queue.skip(&broadcast);
                        expected_other.extend_from_slice(&[&text[..], b"|"].concat());
                        continue;
                    }
                    3 => {
                        let shared = Rc::new(broadcast.keep(&[&text, b"|"]));
                        other.push_shared(&broadcast, &[b"to other"], &shared);
                        queue.push_shared(&broadcast, &[b"to one"], &shared);
                        expected.extend_from_slice(b"to one");
                        expected_other.extend_from_slice(&[b"to other", &text[..], b"|"].concat());
                    }
                    _ => {
                        queue.write(&broadcast, &mut to).unwrap();
                        let waits = expected.len() - to.0.len();
                        prop_assert_eq!(queue.len(&broadcast), waits);
                        broadcast.offered(queue.needed_from().min(other.needed_from()));
                        prop_assert_eq!(broadcast.unwritten(), 0);
                        continue;
                    }
                }
                expected.extend_from_slice(&text);
                expected.push(b'|');
            }
            while !queue.write(&broadcast, &mut to).unwrap() {}
            prop_assert!(to.0 == expected);
            while !other.write(&broadcast, &mut to_other).unwrap() {}
            prop_assert!(to_other.0 == expected_other);
            broadcast.offered(queue.needed_from().min(other.needed_from()));
            drop((queue, other));
            prop_assert_eq!(broadcast.memory.0.get(), 0);
        }
    }

    #[test]
    fn what_waits_for_many_is_kept_once() {
        let mut broadcast = Broadcast::default();
        let mut queues: Vec<Queue> = (0..100).map(|_| Queue::default()).collect();
        let long = Rc::new(broadcast.keep(&[&[b'x'; 100_000]]));
        for queue in &mut queues {
            queue.follow(&broadcast);
            queue.push_shared(&broadcast, &[b"$To: somebody"], &long);
        }
        for _ in 0..1000 {
            broadcast.push(&[&[b'y'; 100]]);
            broadcast.offered(0);
        }
        assert_eq!(queues.iter().map(|queue| queue.len(&broadcast)).sum::<usize>(), 100 * 200_013);
        assert!(broadcast.memory_used() < 300_000, "{}", broadcast.memory_used());
        queues.truncate(1);
        drop(long);
        let mut to = Vec::new();
        assert!(queues[0].write(&broadcast, &mut to).unwrap());
        broadcast.offered(queues[0].needed_from());
        assert_eq!(to.len(), 200_013);
        assert_eq!((broadcast.memory.0.get(), broadcast.data.len()), (0, 0));
    }
}
