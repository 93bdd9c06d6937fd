//! The last lines of the main chat, for those who come later. They are in memory alone: a hub that
//! starts has none.

use std::collections::VecDeque;

use super::text::spoken_time;
use super::{ConnId, Hub};

/// How many bytes are kept, however many lines these are.
const MOST_BYTES: usize = 64 << 10;

/// What was said.
#[derive(Default)]
pub(super) struct History {
    /// When, in seconds since the epoch, and `<nick> text`.
    lines: VecDeque<(i64, Vec<u8>)>,
    bytes: usize,
}

impl History {
    /// Keeps a line, and forgets what is more than so many.
    fn add(&mut self, time: i64, line: Vec<u8>, most: usize) {
        self.bytes += line.len();
        self.lines.push_back((time, line));
        while self.lines.len() > most || self.bytes > MOST_BYTES {
            let Some((_, oldest)) = self.lines.pop_front() else { break };
            self.bytes -= oldest.len();
        }
    }

    /// The last lines, each with its time.
    fn last(&self, count: usize) -> Vec<u8> {
        let from = self.lines.len().saturating_sub(count);
        let mut text = Vec::new();
        for (time, line) in self.lines.iter().skip(from) {
            text.extend_from_slice(format!("\n[{}] ", spoken_time(*time)).as_bytes());
            text.extend_from_slice(line);
        }
        text
    }
}

impl Hub {
    /// How many lines are kept.
    fn most_history(&self) -> usize {
        usize::try_from(self.settings.chat_history).unwrap_or(0)
    }

    /// Somebody said something that everybody has read.
    pub(super) fn remember_chat(&mut self, nick: &[u8], text: &[u8]) {
        let most = self.most_history();
        if most > 0 {
            let line = [b"<", nick, b"> ", text].concat();
            self.history.add(self.clock.seconds, line, most);
        }
    }

    /// What was said last, at most so many lines; empty when nothing was, or nothing is kept.
    pub(super) fn last_chat(&self, count: usize) -> Vec<u8> {
        self.history.last(count.min(self.most_history()))
    }

    /// Shows a newcomer what was said before.
    pub(super) fn show_history(&mut self, id: ConnId) {
        let lines = self.last_chat(usize::MAX);
        if !lines.is_empty() {
            self.tell_bytes(id, &[b"What was said last:", lines.as_slice()].concat());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_lines_and_bytes_are_kept_and_no_more() {
        let mut history = History::default();
        for number in 0..10 {
            history.add(number, format!("<a> line {number}").into(), 3);
        }
        let last = String::from_utf8(history.last(2)).unwrap();
        assert!(
            !last.contains("line 7") && last.contains("line 8") && last.ends_with("<a> line 9"),
            "{last}"
        );
        assert_eq!(String::from_utf8(history.last(100)).unwrap().lines().count(), 4, "the first is empty");
        for _ in 0..10 {
            history.add(0, vec![b'x'; MOST_BYTES / 4], 1000);
            assert!(history.bytes <= MOST_BYTES);
        }
        assert_eq!(history.lines.len(), 4);
        history.add(0, vec![b'x'; MOST_BYTES + 1], 1000);
        assert_eq!((history.lines.len(), history.bytes), (0, 0));
    }
}
