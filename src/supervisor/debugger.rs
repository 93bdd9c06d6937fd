//! The two ends between pdb in a script's process and a client's terminal; who may have them, and what
//! that means for the script, is left to [`debugging`](super::debugging).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use plugin_abi::Value;

use super::forks::Unforked;

/// How many texts wait for the client, and how many lines for pdb.
const WAITING: usize = 32;
/// How many threads of a script may wait for its debugger.
const ASKING: usize = 64;

/// What pdb is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpenPdb {
    /// Since when the script's deadlines stand still.
    pub(super) since: Instant,
    /// It lets the script do a step.
    pub(super) steps: bool,
}

/// The hub's end of a client that is attached to a process.
#[derive(Debug)]
pub(super) struct Attached {
    link: Unforked<Link>,
    reads: VecDeque<u64>,
    writes: VecDeque<(u64, Vec<u8>)>,
}

#[derive(Debug)]
struct Link {
    shown: Sender<Vec<u8>>,
    typed: Receiver<Vec<u8>>,
    has_gone: Arc<AtomicBool>,
}

/// The client's end. Dropping it, the client is gone.
pub(super) struct Terminal {
    /// What pdb shows; it ends when the process does.
    pub(super) shown: Receiver<Vec<u8>>,
    /// Lines for pdb.
    pub(super) typed: Sender<Vec<u8>>,
    /// What is said when the process has ended.
    pub(super) ended: String,
    has_gone: Arc<AtomicBool>,
}

impl Terminal {
    /// The client types nothing more.
    pub(super) fn hang_up(&self) {
        self.has_gone.store(true, Ordering::Relaxed);
    }

    /// Whether the client types nothing more.
    pub(super) fn has_hung_up(&self) -> bool {
        self.has_gone.load(Ordering::Relaxed)
    }

    /// Whether there is something for the hub to look at.
    pub(super) fn wants_a_look(&self) -> bool {
        !self.typed.is_empty() || self.has_hung_up()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.hang_up();
    }
}

/// How a connection goes on.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Client {
    /// It is there.
    There,
    /// It types nothing more, but what it has typed is still read.
    HungUp,
    /// Nothing more comes from it.
    Gone,
}

impl Attached {
    pub(super) fn new(script: &str) -> (Attached, Terminal) {
        let (shown, to_show) = bounded(WAITING);
        let (typed, to_read) = bounded(WAITING);
        let has_gone = Arc::new(AtomicBool::new(false));
        let link = Link { shown, typed: to_read, has_gone: has_gone.clone() };
        let ended = format!("The process of script {script} has ended");
        let attached =
            Attached { link: Unforked::new(link), reads: VecDeque::new(), writes: VecDeque::new() };
        (attached, Terminal { shown: to_show, typed, ended, has_gone })
    }

    /// Moves what can be moved; `reply` gets what is answered by that.
    pub(super) fn relay(&mut self, mut reply: impl FnMut(u64, Value<'static>)) -> Client {
        let Some(link) = self.link.get() else { return Client::Gone };
        // First, or what was typed before might be overlooked.
        let has_gone = link.has_gone.load(Ordering::Acquire);
        while let Some((id, text)) = self.writes.pop_front() {
            match link.shown.try_send(text) {
                Err(TrySendError::Full(text)) => {
                    self.writes.push_front((id, text));
                    break;
                }
                Ok(()) | Err(TrySendError::Disconnected(_)) => reply(id, Value::Bool(true)),
            }
        }
        while let Some(id) = self.reads.front() {
            let Ok(line) = link.typed.try_recv() else { break };
            reply(*id, Value::Text(line.into()));
            self.reads.pop_front();
        }
        match has_gone {
            false => Client::There,
            true if link.typed.is_empty() => Client::Gone,
            true => Client::HungUp,
        }
    }

    /// Lets pdb wait for a line, or for room for this; false when too much waits.
    pub(super) fn wait(&mut self, id: u64, shows: Option<&[u8]>) -> bool {
        if self.reads.len() + self.writes.len() >= ASKING {
            return false;
        }
        match shows {
            None => self.reads.push_back(id),
            Some(text) => self.writes.push_back((id, printable(text))),
        }
        true
    }

    /// Lets go of everybody who waits.
    pub(super) fn end(self, mut reply: impl FnMut(u64, Value<'static>)) {
        self.writes.iter().for_each(|(id, _)| reply(*id, Value::Bool(true)));
        self.reads.iter().for_each(|id| reply(*id, Value::Nil));
    }
}

/// What a terminal shows and does not obey.
fn printable(text: &[u8]) -> Vec<u8> {
    let harmless =
        |c: char| if c.is_control() && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
    String::from_utf8_lossy(text).chars().map(harmless).collect::<String>().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::printable;

    #[test]
    fn what_a_terminal_would_obey_is_not_shown() {
        let shown = |text: &[u8]| String::from_utf8(printable(text)).unwrap();
        assert_eq!(shown("(Pdb) né\n\t1".as_bytes()), "(Pdb) né\n\t1");
        assert_eq!(shown(b"\x1b[2J\x1b]0;title\x07\r"), "\u{fffd}[2J\u{fffd}]0;title\u{fffd}\u{fffd}");
        assert_eq!(shown("\u{9b}2J\u{7f}".as_bytes()), "\u{fffd}2J\u{fffd}");
        assert_eq!(shown(b"\x9b\xff"), "\u{fffd}\u{fffd}");
    }
}
