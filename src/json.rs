//! Format `D`: values as JSON text and back; text stays bytes in the hub's encoding, so other
//! encodings than UTF-8 pass through unharmed.

use std::borrow::Cow;

use encoding_rs::Encoding;
use plugin_abi::Value;
use plugin_abi::value::{MAX_DEPTH, MAX_VALUES};

use crate::encoding::encode;

/// Why a text is no JSON that can be read; where is in bytes from the beginning.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum JsonError {
    #[error("it ends in the middle")]
    Ends,
    #[error("byte {0} is not what JSON allows there")]
    Unexpected(usize),
    #[error("it is nested more than {MAX_DEPTH} deep")]
    TooDeep,
    #[error("it holds more than {MAX_VALUES} values")]
    TooMany,
}

/// Appends a value as JSON. Tuples and sets have become lists; what JSON lacks becomes the
/// nearest it has: `null` for infinities and NaN, text for keys of any other type, for bytes
/// and for objects.
pub(crate) fn write(out: &mut Vec<u8>, value: &Value<'_>) {
    match value {
        Value::Nil => out.extend_from_slice(b"null"),
        Value::Bool(yes) => out.extend_from_slice(if *yes { b"true" } else { b"false" }),
        Value::Int(number) => out.extend_from_slice(number.to_string().as_bytes()),
        Value::Float(number) if number.is_finite() => {
            out.extend_from_slice(format!("{number:?}").as_bytes());
        }
        Value::Float(_) => out.extend_from_slice(b"null"),
        Value::Text(text) | Value::Bytes(text) => write_text(out, text),
        Value::List(list) => {
            out.push(b'[');
            for (at, item) in list.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(out, item);
            }
            out.push(b']');
        }
        Value::Map(map) => {
            out.push(b'{');
            for (at, (key, item)) in map.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_key(out, key);
                out.push(b':');
                write(out, item);
            }
            out.push(b'}');
        }
        Value::Pointer(address) => out.extend_from_slice(address.to_string().as_bytes()),
        Value::Handle(_) => write_text(out, value.to_string().as_bytes()),
    }
}

fn write_key(out: &mut Vec<u8>, key: &Value<'_>) {
    match key {
        Value::Text(text) | Value::Bytes(text) => write_text(out, text),
        other => {
            let mut text = Vec::new();
            write(&mut text, other);
            write_text(out, &text);
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for &byte in text {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 | 0x7f => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

/// Appends an array of strings.
pub(crate) fn write_texts(out: &mut Vec<u8>, texts: &[&[u8]]) {
    out.push(b'[');
    for (at, text) in texts.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_text(out, text);
    }
    out.push(b']');
}

/// The strings of a JSON array of strings; `None` when the text is anything else, or when a
/// string has a NUL character, which no C string can hold.
pub(crate) fn read_texts(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let Ok(Value::List(list)) = read(text, None) else { return None };
    list.into_iter()
        .map(|item| match item {
            Value::Text(text) if !text.contains(&0) => Some(text.into_owned()),
            _ => None,
        })
        .collect()
}

/// Reads one JSON value. Text comes out in `encoding` (`None` is UTF-8), which the JSON's own
/// bytes are in already; only escapes (`\u00e4`) are encoded. Numbers beyond 64 bits become
/// floats.
pub(crate) fn read(text: &[u8], encoding: Option<&'static Encoding>) -> Result<Value<'static>, JsonError> {
    let mut reader = Reader { text, at: 0, values: 0, encoding };
    let value = reader.value(0)?;
    reader.space();
    if reader.at < text.len() { Err(JsonError::Unexpected(reader.at)) } else { Ok(value) }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    values: usize,
    encoding: Option<&'static Encoding>,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, JsonError> {
        let byte = self.peek().ok_or(JsonError::Ends)?;
        self.at += 1;
        Ok(byte)
    }

    fn space(&mut self) {
        while self.peek().is_some_and(|byte| b" \t\r\n".contains(&byte)) {
            self.at += 1;
        }
    }

    fn unexpected<T>(&self) -> Result<T, JsonError> {
        Err(if self.at < self.text.len() { JsonError::Unexpected(self.at) } else { JsonError::Ends })
    }

    fn value(&mut self, depth: usize) -> Result<Value<'static>, JsonError> {
        if depth > MAX_DEPTH {
            return Err(JsonError::TooDeep);
        }
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(JsonError::TooMany);
        }
        self.space();
        match self.peek() {
            Some(b'{') => self.object(depth),
            Some(b'[') => self.array(depth),
            Some(b'"') => Ok(Value::Text(Cow::Owned(self.string()?))),
            Some(b'-' | b'0'..=b'9') if !self.text[self.at..].starts_with(b"-I") => self.number(),
            _ => self.word(),
        }
    }

    /// The names, and those that Python writes for numbers JSON lacks.
    fn word(&mut self) -> Result<Value<'static>, JsonError> {
        let words: [(&[u8], Value<'static>); 6] = [
            (b"null", Value::Nil),
            (b"true", Value::Bool(true)),
            (b"false", Value::Bool(false)),
            (b"NaN", Value::Float(f64::NAN)),
            (b"Infinity", Value::Float(f64::INFINITY)),
            (b"-Infinity", Value::Float(f64::NEG_INFINITY)),
        ];
        let rest = &self.text[self.at..];
        for (word, value) in words {
            if rest.starts_with(word) {
                self.at += word.len();
                return Ok(value);
            }
        }
        self.unexpected()
    }

    fn number(&mut self) -> Result<Value<'static>, JsonError> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte)) {
            self.at += 1;
        }
        let text = std::str::from_utf8(&self.text[start..self.at]).unwrap_or_default();
        if let Ok(number) = text.parse() {
            return Ok(Value::Int(number));
        }
        match text.parse::<f64>() {
            Ok(number) if text.ends_with(|last: char| last.is_ascii_digit()) => Ok(Value::Float(number)),
            _ => Err(JsonError::Unexpected(start)),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Value<'static>, JsonError> {
        self.at += 1;
        let mut items = Vec::new();
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(Value::List(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => break,
                _ => return self.unexpected(),
            }
        }
        self.at += 1;
        Ok(Value::List(items))
    }

    fn object(&mut self, depth: usize) -> Result<Value<'static>, JsonError> {
        self.at += 1;
        let mut entries = Vec::new();
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(Value::Map(entries));
        }
        loop {
            self.space();
            if self.peek() != Some(b'"') {
                return self.unexpected();
            }
            let key = Value::Text(Cow::Owned(self.string()?));
            self.space();
            if self.peek() != Some(b':') {
                return self.unexpected();
            }
            self.at += 1;
            entries.push((key, self.value(depth + 1)?));
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => break,
                _ => return self.unexpected(),
            }
        }
        self.at += 1;
        Ok(Value::Map(entries))
    }

    fn string(&mut self) -> Result<Vec<u8>, JsonError> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            match self.next()? {
                b'"' => return Ok(out),
                b'\\' => self.escape(&mut out)?,
                0..0x20 => return Err(JsonError::Unexpected(self.at - 1)),
                byte => out.push(byte),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), JsonError> {
        let byte = match self.next()? {
            byte @ (b'"' | b'\\' | b'/') => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let character = self.unicode()?;
                self.encode(character, out);
                return Ok(());
            }
            _ => return Err(JsonError::Unexpected(self.at - 1)),
        };
        out.push(byte);
        Ok(())
    }

    /// The character of an escape; half a surrogate pair is U+FFFD.
    fn unicode(&mut self) -> Result<char, JsonError> {
        let high = self.hex()?;
        if (0xd800..0xdc00).contains(&high) && self.text[self.at..].starts_with(b"\\u") {
            let before = self.at;
            self.at += 2;
            let low = self.hex()?;
            if (0xdc00..0xe000).contains(&low) {
                let code = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = before;
        }
        Ok(char::from_u32(high).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex(&mut self) -> Result<u32, JsonError> {
        (0..4).try_fold(0, |number, _| {
            let byte = self.next()?;
            let digit = char::from(byte).to_digit(16).ok_or(JsonError::Unexpected(self.at - 1))?;
            Ok(number * 16 + digit)
        })
    }

    fn encode(&self, character: char, out: &mut Vec<u8>) {
        let mut buffer = [0; 4];
        let text = character.encode_utf8(&mut buffer);
        match self.encoding {
            None => out.extend_from_slice(text.as_bytes()),
            Some(encoding) => out.extend_from_slice(&encode(encoding, text)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(text: &str) -> String {
        let mut out = Vec::new();
        write(&mut out, &read(text.as_bytes(), None).unwrap());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_come_back_as_they_went() {
        for text in [
            "null",
            "true",
            "-12",
            "1.5",
            "\"\"",
            "[]",
            "{}",
            r#"{"a":[1,2.0,"x\n\"\\",null,{"b":false}],"ä":-9223372036854775808}"#,
        ] {
            assert_eq!(round(text), text);
        }
        assert_eq!(round(" [ 1 , 2 ] "), "[1,2]");
        assert_eq!(round(r#""\u00e4\ud83d\ude00\u0000""#), "\"ä😀\\u0000\"");
        assert_eq!(round("1e3"), "1000.0");
        assert_eq!(round("123456789012345678901"), "1.2345678901234568e20");
        assert_eq!(round("[NaN,-Infinity]"), "[null,null]");
    }

    #[test]
    fn broken_text_is_refused() {
        for text in [
            "", "[", "[1", "[1,", "[1,]", "{\"a\"}", "{a:1}", "\"", "\"\\x\"", "tru", "1 2", "-", "1.",
            "\"\n\"",
        ] {
            assert!(read(text.as_bytes(), None).is_err(), "{text:?} was read");
        }
        assert_eq!(read(&vec![b'['; 100_000], None), Err(JsonError::TooDeep));
    }

    #[test]
    fn other_encodings_pass_through() {
        let cp1251 = Encoding::for_label(b"cp1251");
        let read = read(b"[\"\xe4\\u0436\\u4e2d\"]", cp1251).unwrap();
        assert_eq!(read, Value::List(vec![Value::Text(b"\xe4\xe6?".into())]));
    }

    #[test]
    fn only_arrays_of_strings_are_lists() {
        assert_eq!(read_texts(b"[\"a\",\"\"]"), Some(vec![b"a".to_vec(), vec![]]));
        assert_eq!(read_texts(b"[\"a\",1]"), None);
        assert_eq!(read_texts(b"{\"a\":1}"), None);
        assert_eq!(read_texts(b"[\"\\u0000\"]"), None);
    }
}
