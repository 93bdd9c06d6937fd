//! The frames of the hot path – events, answers, calls and replies that hold scalars only –
//! read without serde's machinery, which moves every value several times; everything else,
//! and everything wrong, is left to the general reader.
//!
//! Whatever is read here the general reader reads in the same way; a test holds both against
//! each other. `None` means "not here", never "wrong".

use std::borrow::Cow;

use super::{Answer, Args, FromWorker, ToWorker, kind, verdict};
use crate::call::Call;
use crate::hook::Hook;
use crate::value::Value;

/// The rest of a frame.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    #[inline(always)]
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    #[inline(always)]
    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    #[inline(always)]
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
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

    /// A value that is no list, map or extension.
    #[inline(always)]
    fn scalar(&mut self) -> Option<Value<'a>> {
        Some(match self.byte()? {
            0xc4 => {
                let length = self.byte()?;
                Value::Text(Cow::Borrowed(self.bytes(length.into())?))
            }
            0xc5 => {
                let length = u16::from_be_bytes(self.array()?);
                Value::Text(Cow::Borrowed(self.bytes(length.into())?))
            }
            0xc6 => {
                let length = u32::from_be_bytes(self.array()?);
                Value::Text(Cow::Borrowed(self.bytes(usize::try_from(length).ok()?)?))
            }
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
            _ => return None,
        })
    }

    /// A short list of scalars, put straight into place.
    #[inline(always)]
    fn args(&mut self, args: &mut Args<'a>) -> Option<()> {
        let marker = self.byte()?;
        if marker & 0xf0 != 0x90 {
            return None;
        }
        for _ in 0..marker & 0x0f {
            args.push(self.scalar()?);
        }
        Some(())
    }

    #[inline(always)]
    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// The marker of an array with so many elements.
const fn array_of(length: u8) -> u8 {
    0x90 | length
}

/// An event or reply, if it is a plain one.
#[inline]
pub(super) fn to_worker(bytes: &[u8]) -> Option<ToWorker<'_>> {
    let mut reader = Reader(bytes);
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
            let id = reader.unsigned()?;
            let value = reader.scalar()?;
            reader.end()?;
            Some(ToWorker::Reply { id, value })
        }
        (marker, kind::FUNCTION) if marker == array_of(4) => {
            let seq = reader.unsigned()?;
            let Value::Text(name) = reader.scalar()? else { return None };
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
    let mut reader = Reader(bytes);
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
            let seq = reader.unsigned()?;
            let value = reader.scalar()?;
            reader.end()?;
            Some(FromWorker::Returned { seq, value })
        }
        _ => None,
    }
}
