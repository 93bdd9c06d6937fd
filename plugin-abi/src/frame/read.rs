//! Reads any frame, through serde, as something that an enemy may have written.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

use super::{
    Answer, Args, DebugAsk, EXT_BYTES, EXT_HANDLE, EXT_POINTER, Failure, FrameError, FromWorker, Load,
    MAX_FRAME, Noticed, ToWorker, Wants, believable, kind, quick, verdict,
};
use crate::call::Call;
use crate::hook::{Hook, HookSet};
use crate::value::{MAX_DEPTH, MAX_VALUES, Value};

impl ToWorker<'_> {
    /// Reads a frame; what it holds borrows from `bytes`.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<ToWorker<'_>, FrameError> {
        match quick::to_worker(bytes) {
            Some(frame) => Ok(frame),
            None => read(bytes),
        }
    }
}

impl FromWorker<'_> {
    /// Reads a frame; what it holds borrows from `bytes`.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<FromWorker<'_>, FrameError> {
        match quick::from_worker(bytes) {
            Some(frame) => Ok(frame),
            None => read(bytes),
        }
    }
}

/// Reads the value alone of a [`FromWorker::Returned`].
pub fn read_returned(bytes: &[u8]) -> Result<Value<'_>, FrameError> {
    match quick::returned(bytes) {
        Some(value) => Ok(value),
        None => match read(bytes)? {
            FromWorker::Returned { value, .. } => Ok(value),
            _ => Err(FrameError::Malformed("no result".into())),
        },
    }
}

/// Holds the quick reader against the general one, for the fuzz target.
#[cfg(fuzzing)]
pub fn compare_readers(bytes: &[u8]) {
    fn compare<F: fmt::Debug>(quick: Option<F>, general: impl FnOnce() -> Result<F, FrameError>) {
        if let Some(quick) = quick {
            let general = general().expect("what the quick reader reads is a frame");
            assert_eq!(format!("{quick:?}"), format!("{general:?}"));
        }
    }
    compare(quick::from_worker(bytes), || read(bytes));
    compare(quick::to_worker(bytes), || read(bytes));
    compare(quick::returned(bytes), || match read(bytes)? {
        FromWorker::Returned { value, .. } => Ok(value),
        other => panic!("{other:?} is no result"),
    });
}

/// Reads a frame without the quick reader's help.
pub(super) fn read<'a, F: FrameParts<'a>>(bytes: &'a [u8]) -> Result<F, FrameError> {
    if bytes.len() > MAX_FRAME {
        return Err(FrameError::TooLong(bytes.len()));
    }
    let budget = Cell::new(MAX_VALUES);
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH + 8);
    Ok(deserializer.deserialize_seq(FrameVisitor { budget: &budget, frame: PhantomData })?)
}

/// A frame that can be read from the elements of an array.
pub(super) trait FrameParts<'a>: Sized {
    fn from_parts<A: SeqAccess<'a>>(parts: &mut Parts<'_, A>) -> Result<Self, A::Error>;
}

struct FrameVisitor<'b, F> {
    budget: &'b Cell<usize>,
    frame: PhantomData<F>,
}

impl<'a, F: FrameParts<'a>> Visitor<'a> for FrameVisitor<'_, F> {
    type Value = F;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a frame")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, seq: A) -> Result<F, A::Error> {
        let mut parts = Parts { seq, budget: self.budget };
        let frame = F::from_parts(&mut parts)?;
        match parts.seq.next_element::<de::IgnoredAny>()? {
            None => Ok(frame),
            Some(_) => Err(de::Error::custom("the frame has more parts than its kind")),
        }
    }
}

/// The elements of a frame, one after the other.
pub(super) struct Parts<'b, A> {
    seq: A,
    budget: &'b Cell<usize>,
}

impl<'a, A: SeqAccess<'a>> Parts<'_, A> {
    fn next<T: Deserialize<'a>>(&mut self) -> Result<T, A::Error> {
        present(self.seq.next_element()?)
    }

    fn bytes(&mut self) -> Result<Cow<'a, [u8]>, A::Error> {
        self.next().map(|Bytes(bytes)| Cow::Borrowed(bytes))
    }

    fn optional_bytes(&mut self) -> Result<Option<Cow<'a, [u8]>>, A::Error> {
        Ok(self.next::<Option<Bytes<'a>>>()?.map(|Bytes(bytes)| Cow::Borrowed(bytes)))
    }

    fn value(&mut self) -> Result<Value<'a>, A::Error> {
        present(self.seq.next_element_seed(ValueSeed { budget: self.budget, depth: 0, place: Hand })?)
    }

    fn args(&mut self) -> Result<Args<'a>, A::Error> {
        present(self.seq.next_element_seed(ArgsSeed(self.budget))?)
    }

    fn entries(&mut self) -> Result<Vec<(Value<'a>, Value<'a>)>, A::Error> {
        match self.value()? {
            Value::Map(entries) => Ok(entries),
            other => Err(de::Error::custom(format_args!("a map expected, not {}", other.type_name()))),
        }
    }
}

fn present<T, E: de::Error>(part: Option<T>) -> Result<T, E> {
    part.ok_or_else(|| E::custom("the frame ends too early"))
}

fn known<T, E: de::Error>(what: &str, number: impl fmt::Display, found: Option<T>) -> Result<T, E> {
    found.ok_or_else(|| E::custom(format_args!("there is no {what} {number}")))
}

impl<'a> FrameParts<'a> for ToWorker<'a> {
    fn from_parts<A: SeqAccess<'a>>(parts: &mut Parts<'_, A>) -> Result<Self, A::Error> {
        Ok(match parts.next::<u8>()? {
            kind::EVENT => {
                let seq = parts.next()?;
                let number: u8 = parts.next()?;
                let hook = known("hook", number, Hook::from_number(number.into()))?;
                ToWorker::Event { seq, hook, args: parts.args()? }
            }
            kind::REPLY => ToWorker::Reply { id: parts.next()?, value: parts.value()? },
            kind::FUNCTION => {
                ToWorker::Function { seq: parts.next()?, name: parts.bytes()?, args: parts.args()? }
            }
            kind::COMMAND => {
                ToWorker::Command { seq: parts.next()?, name: parts.bytes()?, args: parts.args()? }
            }
            kind::REFUSAL => ToWorker::Refusal {
                id: parts.next()?,
                failure: match parts.next::<u8>()? {
                    0 => Failure::Missing,
                    _ => Failure::Failed,
                },
                reason: parts.bytes()?,
            },
            kind::LOAD => ToWorker::Load(Box::new(Load {
                id: parts.next()?,
                path: parts.bytes()?,
                scripts_dir: parts.bytes()?,
                botname: parts.bytes()?,
                opchatname: parts.bytes()?,
                basedir: parts.bytes()?,
                config_name: parts.bytes()?,
                starttime: parts.next()?,
                encoding: parts.bytes()?,
                has_ip_city: parts.next()?,
                store: parts.entries()?,
                kept: parts.entries()?,
            })),
            kind::PREPARE => ToWorker::Prepare { path: parts.bytes()? },
            kind::NAMES => ToWorker::Names { botname: parts.bytes()?, opchatname: parts.bytes()? },
            kind::RELEASE => ToWorker::Release(parts.next()?),
            kind::DUE => ToWorker::Due(parts.next()?),
            kind::UNLOAD => ToWorker::Unload { within: parts.next()? },
            other => return known("frame of kind", other, None),
        })
    }
}

impl<'a> FrameParts<'a> for FromWorker<'a> {
    fn from_parts<A: SeqAccess<'a>>(parts: &mut Parts<'_, A>) -> Result<Self, A::Error> {
        Ok(match parts.next::<u8>()? {
            kind::ANSWER => FromWorker::Answer { seq: parts.next()?, answer: read_answer(parts)? },
            kind::CALL => {
                let id = parts.next()?;
                let number: u8 = parts.next()?;
                let call = known("function", number, Call::from_number(number.into()))?;
                FromWorker::Call { id, call, args: parts.args()? }
            }
            kind::RETURNED => FromWorker::Returned { seq: parts.next()?, value: parts.value()? },
            kind::RAISED => FromWorker::Raised { seq: parts.next()?, reason: parts.bytes()? },
            kind::DYNAMIC => {
                FromWorker::Dynamic { id: parts.next()?, name: parts.bytes()?, args: parts.args()? }
            }
            kind::STORE => {
                let key = parts.bytes()?;
                let present: bool = parts.next()?;
                let value = parts.value()?;
                FromWorker::Store { key, value: present.then_some(value) }
            }
            kind::HELLO => FromWorker::Hello { protocol: parts.next()?, python: parts.bytes()? },
            kind::LOADED => FromWorker::Loaded {
                wants: read_wants(parts)?,
                warnings: match parts.value()? {
                    Value::List(list) => list.into_iter().filter_map(text).collect(),
                    _ => Vec::new(),
                },
            },
            kind::HOOKS => FromWorker::Hooks(read_wants(parts)?),
            kind::LOAD_FAILED => FromWorker::LoadFailed { reason: parts.bytes()? },
            kind::LATER => FromWorker::Later(parts.next()?),
            kind::UNLOADED => FromWorker::Unloaded,
            kind::PREPARED => FromWorker::Prepared,
            kind::SOURCE => FromWorker::Source { file: parts.bytes()?, text: parts.bytes()? },
            kind::DEBUG => {
                let id = parts.next()?;
                let number: u8 = parts.next()?;
                let ask =
                    known("wish of a debugger", number, DebugAsk::ALL.get(usize::from(number)).copied())?;
                FromWorker::Debug { id, ask, text: parts.bytes()? }
            }
            kind::NOTICED => {
                let number: u8 = parts.next()?;
                let hook = known("hook", number, Hook::from_number(number.into()))?;
                let nanoseconds: Option<u64> = parts.next()?;
                let exception = String::from_utf8_lossy(&parts.bytes()?).into_owned();
                let what = nanoseconds.map_or(Noticed::Raised(exception), Noticed::Slow);
                FromWorker::Noticed { hook, what, place: parts.bytes()? }
            }
            other => return known("frame of kind", other, None),
        })
    }
}

fn read_wants<'a, A: SeqAccess<'a>>(parts: &mut Parts<'_, A>) -> Result<Wants<'a>, A::Error> {
    Ok(Wants {
        hooks: HookSet::from_bits(parts.next()?),
        observers: HookSet::from_bits(parts.next()?),
        filters: parts.value()?,
        table: parts.value()?,
        commands: parts.value()?,
    })
}

fn text(value: Value<'_>) -> Option<Cow<'_, [u8]>> {
    match value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn read_answer<'a, A: SeqAccess<'a>>(parts: &mut Parts<'_, A>) -> Result<Answer<'a>, A::Error> {
    Ok(match parts.next::<u8>()? {
        verdict::GO_ON => Answer::GoOn,
        verdict::BLOCK => Answer::Block,
        verdict::CHAT => Answer::Chat { nick: parts.optional_bytes()?, message: parts.optional_bytes()? },
        verdict::MY_INFO => {
            let mut fields = [const { None }; 5];
            for field in &mut fields {
                *field = parts.optional_bytes()?;
            }
            Answer::MyInfo(fields)
        }
        verdict::SEND => Answer::Send { data: parts.bytes()?, then: parts.next()? },
        other => return known("answer", other, None),
    })
}

/// MessagePack `bin` (or `str`), borrowed from the frame.
struct Bytes<'a>(&'a [u8]);

impl<'a> Deserialize<'a> for Bytes<'a> {
    fn deserialize<D: Deserializer<'a>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a [u8]>::deserialize(deserializer).map(Bytes)
    }
}

/// Reads the arguments of an event or call.
struct ArgsSeed<'b>(&'b Cell<usize>);

impl<'a> DeserializeSeed<'a> for ArgsSeed<'_> {
    type Value = Args<'a>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Args<'a>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'a> Visitor<'a> for ArgsSeed<'_> {
    type Value = Args<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of arguments")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<Args<'a>, A::Error> {
        let mut args = Args::new();
        while seq.next_element_seed(ValueSeed { budget: self.0, depth: 1, place: &mut args })?.is_some() {}
        Ok(args)
    }
}

/// Where a value goes that was read. Elements of a list go straight into the list: handed up
/// through results, each would be copied several times.
trait Place<'a> {
    type Handed;
    fn put(self, value: Value<'a>) -> Self::Handed;
}

/// The caller gets the value.
struct Hand;

impl<'a> Place<'a> for Hand {
    type Handed = Value<'a>;

    fn put(self, value: Value<'a>) -> Value<'a> {
        value
    }
}

impl<'a> Place<'a> for &mut Vec<Value<'a>> {
    type Handed = ();

    #[inline(always)]
    fn put(self, value: Value<'a>) {
        self.push(value);
    }
}

impl<'a> Place<'a> for &mut Args<'a> {
    type Handed = ();

    #[inline(always)]
    fn put(self, value: Value<'a>) {
        self.push(value);
    }
}

/// Reads one value and counts it.
struct ValueSeed<'b, P> {
    budget: &'b Cell<usize>,
    depth: usize,
    place: P,
}

impl<'b, P> ValueSeed<'b, P> {
    fn inner_depth<E: de::Error>(&self) -> Result<usize, E> {
        if self.depth >= MAX_DEPTH {
            return Err(E::custom(format_args!("nested deeper than {MAX_DEPTH}")));
        }
        Ok(self.depth + 1)
    }
}

impl<'a, P: Place<'a>> DeserializeSeed<'a> for ValueSeed<'_, P> {
    type Value = P::Handed;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<P::Handed, D::Error> {
        match self.budget.get().checked_sub(1) {
            Some(left) => self.budget.set(left),
            None => return Err(de::Error::custom(format_args!("more than {MAX_VALUES} values"))),
        }
        deserializer.deserialize_any(self)
    }
}

impl<'a, P: Place<'a>> Visitor<'a> for ValueSeed<'_, P> {
    type Value = P::Handed;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<P::Handed, E> {
        Ok(self.place.put(Value::Nil))
    }

    fn visit_bool<E: de::Error>(self, yes: bool) -> Result<P::Handed, E> {
        Ok(self.place.put(Value::Bool(yes)))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<P::Handed, E> {
        Ok(self.place.put(Value::Int(number)))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<P::Handed, E> {
        match i64::try_from(number) {
            Ok(number) => Ok(self.place.put(Value::Int(number))),
            Err(_) => Err(E::custom("a number beyond 64 bits")),
        }
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<P::Handed, E> {
        Ok(self.place.put(Value::Float(number)))
    }

    fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'a [u8]) -> Result<P::Handed, E> {
        Ok(self.place.put(Value::Text(Cow::Borrowed(bytes))))
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'a str) -> Result<P::Handed, E> {
        Ok(self.place.put(Value::Text(Cow::Borrowed(text.as_bytes()))))
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<P::Handed, A::Error> {
        let (budget, depth) = (self.budget, self.inner_depth()?);
        let mut list = Vec::with_capacity(believable(seq.size_hint().unwrap_or(0)));
        while seq.next_element_seed(ValueSeed { budget, depth, place: &mut list })?.is_some() {}
        Ok(self.place.put(Value::List(list)))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<P::Handed, A::Error> {
        let (budget, depth) = (self.budget, self.inner_depth()?);
        let mut entries = Vec::with_capacity(believable(map.size_hint().unwrap_or(0)));
        while let Some(entry) = map.next_entry_seed(
            ValueSeed { budget, depth, place: Hand },
            ValueSeed { budget, depth, place: Hand },
        )? {
            entries.push(entry);
        }
        Ok(self.place.put(Value::Map(entries)))
    }

    fn visit_newtype_struct<D: Deserializer<'a>>(self, deserializer: D) -> Result<P::Handed, D::Error> {
        let (tag, Bytes(bytes)) = <(i8, Bytes<'a>)>::deserialize(deserializer)?;
        let number = |bytes: &[u8]| {
            let bytes = bytes.try_into().map_err(|_| de::Error::custom("a handle of the wrong length"))?;
            Ok(u64::from_le_bytes(bytes))
        };
        Ok(self.place.put(match tag {
            EXT_HANDLE => Value::Handle(number(bytes)?),
            EXT_POINTER => Value::Pointer(number(bytes)?),
            EXT_BYTES => Value::Bytes(Cow::Borrowed(bytes)),
            other => return Err(de::Error::custom(format_args!("there is no extension type {other}"))),
        }))
    }
}
