//! The text of a query: bytes in the hub's encoding as the parser's characters, and back.
//!
//! Strings in a query keep their bytes. Where they are no UTF-8, each byte from 0x80 on becomes
//! a private character ([`private`]), which [`Source::bytes`] turns back.

use super::super::text::Charset;
use super::SqlError;

/// How many words and signs a query may have: each costs the parser up to a kilobyte.
const MOST_TOKENS: usize = 30_000;

/// The first of 128 private characters at Unicode's end; they stand for the bytes 0x80 to 0xff.
const PRIVATE: u32 = 0x10_ff80;

/// How text of a query is read and written.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    charset: Charset,
}

impl Source {
    /// For text in this encoding.
    pub fn new(charset: Charset) -> Source {
        Source { charset }
    }

    /// A query as the parser reads it.
    pub fn read(self, query: &[u8]) -> Result<String, SqlError> {
        let query = query.strip_prefix(b"\xef\xbb\xbf").unwrap_or(query);
        if count_tokens(query) > MOST_TOKENS {
            return Err(SqlError::TooManyWords(MOST_TOKENS));
        }
        let mut text = String::with_capacity(query.len() + 16);
        if self.charset.is_utf8() {
            for chunk in query.utf8_chunks() {
                let valid = chunk.valid();
                if valid.chars().any(|sign| sign as u32 >= PRIVATE) {
                    valid.bytes().for_each(|byte| push(&mut text, byte));
                } else {
                    text.push_str(valid);
                }
                chunk.invalid().iter().for_each(|byte| push(&mut text, *byte));
            }
            return Ok(text);
        }
        let mut bytes = query.iter().copied().peekable();
        while let Some(byte) = bytes.next() {
            push(&mut text, byte);
            // The second byte of a pair may look like a backslash.
            if byte > 0x80
                && self.charset.has_pairs()
                && let Some(second) = bytes.next_if(|second| *second >= 0x40)
            {
                text.extend(private(second));
            }
        }
        Ok(text)
    }

    /// The bytes of a string of a query.
    pub fn bytes(self, text: &str) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(text.len());
        for sign in text.chars() {
            match (sign as u32).checked_sub(PRIVATE - 0x80) {
                // A pair's second byte may be below 0x80.
                Some(byte) if byte <= 0xff => bytes.push(byte as u8),
                _ => bytes.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        bytes
    }

    /// A name in a query, as it is in the schema.
    pub fn name(self, text: &str) -> String {
        if text.is_ascii() { text.to_string() } else { self.charset.decode(&self.bytes(text)) }
    }

    /// A name of the schema, as a script has it.
    pub fn encode(self, name: &str) -> Vec<u8> {
        self.charset.encode(name)
    }
}

/// The character that stands for a byte.
fn private(byte: u8) -> Option<char> {
    char::from_u32(PRIVATE - 0x80 + u32::from(byte))
}

fn push(text: &mut String, byte: u8) {
    match byte {
        0..0x80 => text.push(byte.into()),
        byte => text.extend(private(byte)),
    }
}

/// About how many tokens there are: never fewer than there are.
fn count_tokens(query: &[u8]) -> usize {
    let mut count = 0;
    let mut quote = None;
    let mut in_word = false;
    let mut bytes = query.iter();
    while let Some(&byte) = bytes.next() {
        if let Some(end) = quote {
            if byte == b'\\' && end != b'`' {
                bytes.next();
            } else if byte == end {
                quote = None;
            }
            continue;
        }
        let word = byte.is_ascii_alphanumeric() || matches!(byte, b'_' | 0x80..);
        if matches!(byte, b'\'' | b'"' | b'`') {
            quote = Some(byte);
            count += 1;
        } else if !byte.is_ascii_whitespace() && (!word || !in_word) {
            count += 1;
        }
        in_word = word;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_byte_comes_back(bytes in proptest::collection::vec(1u8.., 0..100)) {
            for name in ["utf-8", "cp1251", "gbk", "shift_jis"] {
                let source = Source::new(Charset::named(name).unwrap());
                let text = source.read(&bytes).unwrap();
                let expected = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
                prop_assert_eq!(source.bytes(&text), expected);
            }
        }
    }

    #[test]
    fn a_query_of_too_many_words_is_refused_before_it_is_parsed() {
        let source = Source::new(Charset::UTF_8);
        assert!(source.read(format!("select {}", "1,".repeat(20_000)).as_bytes()).is_err());
        assert!(source.read(format!("select '{}'", "1,".repeat(20_000)).as_bytes()).is_ok());
    }
}
