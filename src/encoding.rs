//! Text in the hub's encoding: the one conversion of this crate, so that a character that the
//! encoding lacks looks the same wherever it came from.

use std::borrow::Cow;

use encoding_rs::{DecoderResult, EncoderResult, Encoding};

/// Text in this encoding; what it lacks becomes `?`, as in scripts. (The web's way, which
/// `encoding_rs` offers first, would be `&#20320;`.)
pub fn encode<'a>(encoding: &'static Encoding, text: &'a str) -> Cow<'a, [u8]> {
    if encoding == encoding_rs::UTF_8 {
        return Cow::Borrowed(text.as_bytes());
    }
    let mut encoder = encoding.new_encoder();
    let mut out = Vec::with_capacity(text.len() + 16);
    let mut rest = text;
    loop {
        out.reserve(rest.len() * 2 + 16);
        let (result, read) = encoder.encode_from_utf8_to_vec_without_replacement(rest, &mut out, true);
        rest = rest.get(read..).unwrap_or_default();
        match result {
            EncoderResult::InputEmpty => return Cow::Owned(out),
            EncoderResult::OutputFull => {}
            EncoderResult::Unmappable(_) => out.push(b'?'),
        }
    }
}

/// The encoding of a Python name; `None` for names nobody knows.
pub fn of_name(name: &str) -> Option<&'static Encoding> {
    let plain = name.replace('_', "-").to_ascii_lowercase();
    let label = match plain.as_str() {
        "latin-1" | "iso8859-1" => "iso-8859-1",
        other => other,
    };
    Encoding::for_label(label.as_bytes())
}

/// Adds the text of these bytes; each that means nothing is U+FFFD.
pub fn decode(encoding: &'static Encoding, bytes: &[u8], out: &mut String) {
    let mut decoder = encoding.new_decoder_without_bom_handling();
    let mut rest = bytes;
    loop {
        out.reserve(decoder.max_utf8_buffer_length_without_replacement(rest.len()).unwrap_or(rest.len() * 3));
        let (result, read) = decoder.decode_to_string_without_replacement(rest, out, true);
        rest = rest.get(read..).unwrap_or_default();
        match result {
            DecoderResult::InputEmpty => return,
            DecoderResult::OutputFull => {}
            DecoderResult::Malformed(bad, _) => (0..bad).for_each(|_| out.push('\u{fffd}')),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_encoding_lacks_is_a_question_mark() {
        let latin = encoding_rs::WINDOWS_1252;
        assert_eq!(&*encode(latin, "naïve"), b"na\xefve");
        assert_eq!(&*encode(latin, "a→b"), b"a?b");
        assert_eq!(&*encode(encoding_rs::UTF_8, "a→b"), "a→b".as_bytes());
        let cyrillic = encoding_rs::WINDOWS_1251;
        assert_eq!(&*encode(cyrillic, &"你п".repeat(100)), b"?\xef".repeat(100));
    }
}
