//! The frames of the hot path – events, answers, calls, functions and what is replied to them –
//! read without serde's machinery, which moves every value several times; everything else,
//! and everything wrong, is left to the general reader.
//!
//! Whatever is read here the general reader reads in the same way; a test holds both against
//! each other. `None` means "not here", never "wrong".

use std::borrow::Cow;

use super::{Answer, Args, FromWorker, MAX_FRAME, ToWorker, believable, kind, verdict};
use crate::call::Call;
use crate::hook::Hook;
use crate::value::{MAX_DEPTH, MAX_VALUES, Value};

/// The rest of a frame.
#[derive(Clone, Copy)]
struct Reader<'a> {
    rest: &'a [u8],
    /// How many more values the frame may hold.
    left: usize,
}

impl<'a> Reader<'a> {
    #[inline(always)]
    fn new(frame: &'a [u8]) -> Option<Reader<'a>> {
        (frame.len() <= MAX_FRAME).then_some(Reader { rest: frame, left: MAX_VALUES })
    }

    #[inline(always)]
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    #[inline(always)]
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk()?;
        self.rest = rest;
        Some(*bytes)
    }

    #[inline(always)]
    fn unsigned(&mut self) -> Option<u64> {
        Some(match self.byte()? {
            small @ 0..=0x7f => small.into(),
            0xcc => self.byte()?.into(),
            0xcd => u16::from_be_bytes(self.array()?).into(),
            0xce => u32::from_be_bytes(self.array()?).into(),
            0xcf => u64::from_be_bytes(self.array()?),
            _ => return None,
        })
    }

    /// Counts values before they are read.
    #[inline(always)]
    fn count(&mut self, values: usize) -> Option<()> {
        self.left = self.left.checked_sub(values)?;
        Some(())
    }

    /// The contents of a `bin`.
    #[inline(always)]
    fn bin(&mut self, marker: u8) -> Option<&'a [u8]> {
        let length = match marker {
            0xc4 => self.byte()?.into(),
            0xc5 => u16::from_be_bytes(self.array()?).into(),
            0xc6 => usize::try_from(u32::from_be_bytes(self.array()?)).ok()?,
            _ => return None,
        };
        self.bytes(length)
    }

    /// The usual element of a list. Looked for first because it can go straight into the list.
    #[inline(always)]
    fn short_text(&mut self) -> Option<&'a [u8]> {
        let ([0xc4, length], rest) = self.rest.split_first_chunk()? else { return None };
        let (text, rest) = rest.split_at_checked(usize::from(*length))?;
        self.rest = rest;
        Some(text)
    }

    /// Any other element.
    #[inline(never)]
    fn push(&mut self, list: &mut Vec<Value<'a>>, depth: usize) -> Option<()> {
        list.push(self.value(depth)?);
        Some(())
    }

    /// A value that is no extension, already counted.
    #[inline(always)]
    fn value(&mut self, depth: usize) -> Option<Value<'a>> {
        Some(match self.byte()? {
            marker @ 0xc4..=0xc6 => Value::Text(Cow::Borrowed(self.bin(marker)?)),
            small @ 0..=0x7f => Value::Int(small.into()),
            negative @ 0xe0..=0xff => Value::Int((negative as i8).into()),
            0xcc => Value::Int(self.byte()?.into()),
            0xcd => Value::Int(u16::from_be_bytes(self.array()?).into()),
            0xce => Value::Int(u32::from_be_bytes(self.array()?).into()),
            0xcf => Value::Int(i64::try_from(u64::from_be_bytes(self.array()?)).ok()?),
            0xd0 => Value::Int((self.byte()? as i8).into()),
            0xd1 => Value::Int(i16::from_be_bytes(self.array()?).into()),
            0xd2 => Value::Int(i32::from_be_bytes(self.array()?).into()),
            0xd3 => Value::Int(i64::from_be_bytes(self.array()?)),
            0xcb => Value::Float(f64::from_be_bytes(self.array()?)),
            0xc0 => Value::Nil,
            0xc2 => Value::Bool(false),
            0xc3 => Value::Bool(true),
            marker @ (0x80..=0x9f | 0xdc..=0xdf) => {
                // A copy goes there, so that the reader itself can stay in registers.
                let mut reader = *self;
                let value = reader.container(marker, depth);
                *self = reader;
                return value;
            }
            _ => return None,
        })
    }

    /// A list or map.
    #[inline(never)]
    fn container(&mut self, marker: u8, depth: usize) -> Option<Value<'a>> {
        if depth >= MAX_DEPTH {
            return None;
        }
        let length = match marker {
            0x80..=0x9f => (marker & 0x0f).into(),
            0xdc | 0xde => u16::from_be_bytes(self.array()?).into(),
            _ => usize::try_from(u32::from_be_bytes(self.array()?)).ok()?,
        };
        if matches!(marker, 0x90..=0x9f | 0xdc | 0xdd) {
            self.count(length)?;
            let mut list = Vec::with_capacity(believable(length));
            for _ in 0..length {
                if list.len() < list.capacity()
                    && let Some(text) = self.short_text()
                {
                    list.push(Value::Text(Cow::Borrowed(text)));
                } else {
                    self.push(&mut list, depth + 1)?;
                }
            }
            return Some(Value::List(list));
        }
        self.count(length.checked_mul(2)?)?;
        let mut map = Vec::with_capacity(believable(length));
        for _ in 0..length {
            map.push((self.value(depth + 1)?, self.value(depth + 1)?));
        }
        Some(Value::Map(map))
    }

    /// A short list of arguments.
    #[inline(always)]
    fn args(&mut self, args: &mut Args<'a>) -> Option<()> {
        let marker = self.byte()?;
        if marker & 0xf0 != 0x90 {
            return None;
        }
        let length = marker & 0x0f;
        self.count(length.into())?;
        for _ in 0..length {
            args.push(self.value(1)?);
        }
        Some(())
    }

    /// The rest of a result or reply: the number of the call and the value.
    #[inline(always)]
    fn numbered_value(&mut self) -> Option<(u64, Value<'a>)> {
        let seq = self.unsigned()?;
        self.count(1)?;
        let value = self.value(0)?;
        self.end()?;
        Some((seq, value))
    }

    #[inline(always)]
    fn end(&self) -> Option<()> {
        self.rest.is_empty().then_some(())
    }
}

/// The marker of an array with so many elements.
const fn array_of(length: u8) -> u8 {
    0x90 | length
}

/// An event or reply, if it is a plain one.
#[inline]
pub(super) fn to_worker(bytes: &[u8]) -> Option<ToWorker<'_>> {
    let mut reader = Reader::new(bytes)?;
    match (reader.byte()?, reader.byte()?) {
        (marker, kind::EVENT) if marker == array_of(4) => {
            let seq = reader.unsigned()?;
            let hook = Hook::from_number(usize::try_from(reader.unsigned()?).ok()?)?;
            let mut args = Args::new();
            reader.args(&mut args)?;
            reader.end()?;
            Some(ToWorker::Event { seq, hook, args })
        }
        (marker, kind::REPLY) if marker == array_of(3) => {
            let (id, value) = reader.numbered_value()?;
            Some(ToWorker::Reply { id, value })
        }
        (marker, kind::FUNCTION) if marker == array_of(4) => {
            let seq = reader.unsigned()?;
            let marker = reader.byte()?;
            let name = Cow::Borrowed(reader.bin(marker)?);
            let mut args = Args::new();
            reader.args(&mut args)?;
            reader.end()?;
            Some(ToWorker::Function { seq, name, args })
        }
        _ => None,
    }
}

/// An answer, call or result, if it is a plain one.
#[inline]
pub(super) fn from_worker(bytes: &[u8]) -> Option<FromWorker<'_>> {
    let mut reader = Reader::new(bytes)?;
    match (reader.byte()?, reader.byte()?) {
        (marker, kind::ANSWER) if marker == array_of(3) => {
            let seq = reader.unsigned()?;
            let answer = match reader.byte()? {
                verdict::GO_ON => Answer::GoOn,
                verdict::BLOCK => Answer::Block,
                _ => return None,
            };
            reader.end()?;
            Some(FromWorker::Answer { seq, answer })
        }
        (marker, kind::CALL) if marker == array_of(4) => {
            let id = reader.unsigned()?;
            let call = Call::from_number(usize::try_from(reader.unsigned()?).ok()?)?;
            let mut args = Args::new();
            reader.args(&mut args)?;
            reader.end()?;
            Some(FromWorker::Call { id, call, args })
        }
        (marker, kind::RETURNED) if marker == array_of(3) => {
            let (seq, value) = reader.numbered_value()?;
            Some(FromWorker::Returned { seq, value })
        }
        _ => None,
    }
}

/// The value of a result.
#[inline]
pub(super) fn returned(bytes: &[u8]) -> Option<Value<'_>> {
    let mut reader = Reader::new(bytes)?;
    let is_result = (reader.byte()?, reader.byte()?) == (array_of(3), kind::RETURNED);
    if is_result { reader.numbered_value().map(|(_, value)| value) } else { None }
}
