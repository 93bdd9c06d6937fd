//! What waits to be sent: one buffer that everybody gets, and each connection's own; when to
//! send is left to the hub.
//!
//! A message to all is written once, into the [`Broadcast`]. Each connection's [`Queue`] only
//! knows how much of it it has taken. Something for one connection alone goes into its queue
//! after the broadcast up to here has been copied there, so that the order stays. At the end
//! of the loop's turn each connection is written to once: its own bytes, then the part of the
//! broadcast that it has not taken, in one `writev`.

use std::io::{self, ErrorKind, IoSlice, Write};

/// What everybody gets in this turn of the loop.
#[derive(Default)]
pub struct Broadcast {
    data: Vec<u8>,
}

impl Broadcast {
    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.data.len()
    }

    /// Adds data that ends with `|`.
    #[inline]
    pub fn push(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.data.extend_from_slice(part);
        }
    }

    /// Forgets everything. Each queue must have been settled.
    pub fn clear(&mut self) {
        self.data.clear();
        // One burst should not hold its memory for ever.
        self.data.shrink_to(1 << 20);
    }

    fn from(&self, at: usize) -> &[u8] {
        self.data.get(at..).unwrap_or_default()
    }
}

/// What waits to be sent to one connection.
#[derive(Default)]
pub struct Queue {
    own: Vec<u8>,
    sent: usize,
    /// How much of the broadcast was taken; `None` when it is not for this connection.
    taken: Option<usize>,
}

impl Queue {
    /// From here on, the connection gets what everybody gets.
    pub fn follow(&mut self, broadcast: &Broadcast) {
        self.taken = Some(broadcast.len());
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
        for part in parts {
            self.own.extend_from_slice(part);
        }
    }

    /// Copies what was said to everybody until now.
    pub fn take(&mut self, broadcast: &Broadcast) {
        if let Some(taken) = &mut self.taken {
            self.own.extend_from_slice(broadcast.from(*taken));
            *taken = broadcast.len();
        }
    }

    /// Passes over what was said to everybody since it was last taken.
    pub fn skip(&mut self, broadcast: &Broadcast) {
        if let Some(taken) = &mut self.taken {
            *taken = broadcast.len();
        }
    }

    /// How many bytes wait.
    pub fn len(&self, broadcast: &Broadcast) -> usize {
        self.own.len() - self.sent + self.taken.map_or(0, |taken| broadcast.len() - taken)
    }

    /// Writes as much as the connection takes. True when nothing is left.
    pub fn write(&mut self, broadcast: &Broadcast, mut to: impl Write) -> io::Result<bool> {
        loop {
            let own = self.own.get(self.sent..).unwrap_or_default();
            let rest = self.taken.map_or(&[][..], |taken| broadcast.from(taken));
            if own.is_empty() && rest.is_empty() {
                self.own.clear();
                self.own.shrink_to(64 << 10);
                self.sent = 0;
                return Ok(true);
            }
            let wrote = match to.write_vectored(&[IoSlice::new(own), IoSlice::new(rest)]) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(wrote) => wrote,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            };
            let of_own = wrote.min(own.len());
            self.sent += of_own;
            if let Some(taken) = &mut self.taken {
                *taken += wrote - of_own;
            }
        }
    }

    /// Keeps what is left of the broadcast, which is about to be cleared.
    pub fn settle(&mut self, broadcast: &Broadcast) {
        if self.sent > 0 {
            self.own.drain(..self.sent);
            self.sent = 0;
        }
        self.take(broadcast);
        if let Some(taken) = &mut self.taken {
            *taken = 0;
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
            let most = data.len().min(3);
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
            steps in proptest::collection::vec((0..4u8, "[a-z]{0,9}"), 0..60),
        ) {
            let mut broadcast = Broadcast::default();
            let mut queue = Queue::default();
            queue.follow(&broadcast);
            let mut to = Slow(Vec::new(), 0);
            let mut expected = Vec::new();
            for (step, text) in steps {
                match step {
                    0 => broadcast.push(&[text.as_bytes(), b"|"]),
                    1 => queue.push(&broadcast, &[text.as_bytes(), b"|"]),
                    2 => {
                        // A message to everybody but this one.
                        queue.take(&broadcast);
                        broadcast.push(&[text.as_bytes(), b"|"]);
                        queue.skip(&broadcast);
                        continue;
                    }
                    _ => {
                        queue.write(&broadcast, &mut to).unwrap();
                        queue.settle(&broadcast);
                        broadcast.clear();
                        continue;
                    }
                }
                expected.extend_from_slice(text.as_bytes());
                expected.push(b'|');
            }
            while !queue.write(&broadcast, &mut to).unwrap() {}
            prop_assert_eq!(to.0, expected);
        }
    }
}
