//! What operators write to pick entries of a list: a part of a text, or a whole one in which `*`
//! stands for anything and `?` for one character; upper and lower case are alike.

use regex::bytes::{Regex, RegexBuilder};

/// One such pattern.
#[derive(Debug)]
pub struct Pattern(Regex);

/// A longer one is nobody's.
const MOST: usize = 256;

impl Pattern {
    /// The pattern that somebody wrote; an empty one is for everything. `None` when it is too long.
    pub fn new(text: &[u8]) -> Option<Pattern> {
        if text.len() > MOST {
            return None;
        }
        let is_whole = text.iter().any(|byte| matches!(byte, b'*' | b'?'));
        let inner: String = text.iter().map(|byte| piece(*byte)).collect();
        let source = if is_whole { format!("^{inner}$") } else { inner };
        RegexBuilder::new(&source)
            .unicode(false)
            .case_insensitive(true)
            .dot_matches_new_line(true)
            .build()
            .ok()
            .map(Pattern)
    }

    /// Whether a text is meant.
    pub fn is_match(&self, text: &[u8]) -> bool {
        self.0.is_match(text)
    }

    /// Whether any of these is meant.
    pub fn is_any(&self, texts: &[&[u8]]) -> bool {
        texts.iter().any(|text| self.is_match(text))
    }
}

fn piece(byte: u8) -> String {
    match byte {
        b'*' => ".*".into(),
        b'?' => ".".into(),
        byte => format!("\\x{byte:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_enough_and_signs_stand_for_others() {
        let is =
            |pattern: &str, text: &str| Pattern::new(pattern.as_bytes()).unwrap().is_match(text.as_bytes());
        assert!(is("", "anything") && is("lic", "alice") && is("LIC", "alice") && !is("bob", "alice"));
        assert!(is("a*e", "alice") && is("*ice", "alice") && !is("*ic", "alice") && !is("a?e", "alice"));
        assert!(is("192.0.2.?", "192.0.2.7") && !is("192.0.2.?", "192.0.2.77") && !is("192.0", "192x0"));
        assert!(is("[x](+", "a [x](+ b") && is("\\d", "\\d") && is("ä", "xäx"));
        assert!(Pattern::new(&[0xe4, b'*']).unwrap().is_match(b"\xe4\n\xff"));
        assert!(Pattern::new(&[b'*'; MOST]).is_some() && Pattern::new(&[b'x'; MOST + 1]).is_none());
    }
}
