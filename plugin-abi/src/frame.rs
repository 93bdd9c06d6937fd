//! Frames: the messages between hub and worker, as MessagePack arrays; moving them is the
//! [`ring`](crate::ring)'s work, acting on them that of the two sides.
//!
//! A frame is an array whose first element is its kind. Text in the hub's encoding travels
//! as MessagePack `bin`; raw bytes, handles and pointers as extension types.
//!
//! The hub does not trust what it decodes. Decoding never panics, allocates no more than the
//! frame's own size times a constant, refuses nesting beyond [`MAX_DEPTH`] and more values
//! than [`MAX_VALUES`], and borrows from a private copy of the frame.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};
use smallvec::SmallVec;

use crate::call::Call;
use crate::hook::{Hook, HookSet};
use crate::value::{MAX_DEPTH, MAX_VALUES, Value};

/// The largest frame in bytes. A longer one is refused before it is sent.
pub const MAX_FRAME: usize = 64 << 20;

/// The version of everything in this module; both sides must have the same.
pub const PROTOCOL: u32 = 1;

/// The arguments of an event or a call; the usual ones need no allocation.
pub type Args<'a> = SmallVec<[Value<'a>; 8]>;

/// What a script answered to an event.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer<'a> {
    /// Go on.
    GoOn,
    /// Block.
    Block,
    /// Go on with another nick or message; `None` keeps the original.
    Chat {
        /// The nick to show.
        nick: Option<Cow<'a, [u8]>>,
        /// The message to show.
        message: Option<Cow<'a, [u8]>>,
    },
    /// Go on with other parts of a `$MyINFO`: description, tag, speed, mail, size.
    MyInfo([Option<Cow<'a, [u8]>>; 5]),
    /// Send this to the connection the event came from, then treat the number as an answer.
    Send {
        /// Protocol data; a final `|` is there.
        data: Cow<'a, [u8]>,
        /// 0 blocks, everything else goes on.
        then: i64,
    },
}

/// Why a call of a script failed; decides which exception it sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Failure {
    /// There is no such function: `NameError`.
    Missing = 0,
    /// The host's function failed: `RuntimeError`.
    Failed = 1,
}

/// What the hub tells a new worker about its script.
#[derive(Clone, Debug, PartialEq)]
pub struct Load<'a> {
    /// `vh.myid`.
    pub id: i64,
    /// The script's file.
    pub path: Cow<'a, [u8]>,
    /// The hub's `scripts` folder, empty when there is none.
    pub scripts_dir: Cow<'a, [u8]>,
    /// `vh.botname`.
    pub botname: Cow<'a, [u8]>,
    /// `vh.opchatname`.
    pub opchatname: Cow<'a, [u8]>,
    /// `vh.basedir`.
    pub basedir: Cow<'a, [u8]>,
    /// `vh.config_name`.
    pub config_name: Cow<'a, [u8]>,
    /// `vh.starttime`, seconds since the epoch.
    pub starttime: i64,
    /// The hub's encoding as Python names it.
    pub encoding: Cow<'a, [u8]>,
    /// Whether the hub answers [`Call::GetIPCity`].
    pub has_ip_city: bool,
    /// The contents of `vh.store`: keys and values.
    pub store: Vec<(Value<'a>, Value<'a>)>,
}

/// A frame from the hub.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker<'a> {
    /// The first frame: run this script.
    Load(Box<Load<'a>>),
    /// An event.
    Event {
        /// Comes back in the answer.
        seq: u64,
        /// Which one.
        hook: Hook,
        /// The hook's arguments.
        args: Args<'a>,
    },
    /// Call a top-level function of the script.
    Function {
        /// Comes back in the result.
        seq: u64,
        /// Its name.
        name: Cow<'a, [u8]>,
        /// Its positional arguments.
        args: Args<'a>,
    },
    /// The answer to a call of the script; nil when the host failed.
    Reply {
        /// The number the call had.
        id: u64,
        /// The answer.
        value: Value<'a>,
    },
    /// A call of the script failed in a way that raises an exception.
    Refusal {
        /// The number the call had.
        id: u64,
        /// Which exception.
        failure: Failure,
        /// Its text.
        reason: Cow<'a, [u8]>,
    },
    /// The hub's bots have new names.
    Names {
        /// `vh.botname`.
        botname: Cow<'a, [u8]>,
        /// `vh.opchatname`.
        opchatname: Cow<'a, [u8]>,
    },
    /// The hub no longer needs the object with this handle.
    Release(u64),
    /// Run `UnLoad()`, say [`FromWorker::Unloaded`], and end.
    Unload,
}

/// A frame from the worker. Everything in it is what the worker claims.
#[derive(Clone, Debug, PartialEq)]
pub enum FromWorker<'a> {
    /// The interpreter runs and waits for its script.
    Hello {
        /// Must be [`PROTOCOL`].
        protocol: u32,
        /// Python's version, such as `3.11.2`.
        python: Cow<'a, [u8]>,
    },
    /// The script ran to its end and serves events now.
    Loaded {
        /// The hooks it defines.
        hooks: HookSet,
        /// Those it marked as observers.
        observers: HookSet,
        /// What an operator should know: names that look like misspelt hooks, for one.
        warnings: Vec<Cow<'a, [u8]>>,
    },
    /// The script could not be loaded.
    LoadFailed {
        /// File, line and reason.
        reason: Cow<'a, [u8]>,
    },
    /// The answer to an event.
    Answer {
        /// The event's.
        seq: u64,
        /// What the script said.
        answer: Answer<'a>,
    },
    /// The result of a function.
    Returned {
        /// The function call's.
        seq: u64,
        /// What it returned.
        value: Value<'a>,
    },
    /// The function is missing or raised.
    Raised {
        /// The function call's.
        seq: u64,
        /// The exception; the traceback went to the log.
        reason: Cow<'a, [u8]>,
    },
    /// The script calls a function of the hub.
    Call {
        /// Comes back in the reply.
        id: u64,
        /// Which one.
        call: Call,
        /// The host's arguments, in the host's order.
        args: Args<'a>,
    },
    /// The script calls a function that the host registered for it.
    Dynamic {
        /// Comes back in the reply.
        id: u64,
        /// Its name.
        name: Cow<'a, [u8]>,
        /// Its arguments.
        args: Args<'a>,
    },
    /// `vh.store[key] = value`, or `del vh.store[key]` when nil.
    Store {
        /// The key, UTF-8.
        key: Cow<'a, [u8]>,
        /// The value; `None` removes the key.
        value: Option<Value<'a>>,
    },
    /// `UnLoad()` has run.
    Unloaded,
}

/// Why bytes are not a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Not MessagePack, or not a frame of ours.
    #[error("not a frame: {0}")]
    Malformed(String),
    /// More than [`MAX_FRAME`] bytes.
    #[error("a message of {0} bytes; at most {MAX_FRAME} can be sent in one: send it in parts")]
    TooLong(usize),
}

impl From<rmp_serde::decode::Error> for FrameError {
    fn from(error: rmp_serde::decode::Error) -> FrameError {
        FrameError::Malformed(error.to_string())
    }
}

impl From<rmp_serde::encode::Error> for FrameError {
    fn from(error: rmp_serde::encode::Error) -> FrameError {
        FrameError::Malformed(error.to_string())
    }
}

/// The first element of a frame.
pub(crate) mod kind {
    pub const LOAD: u8 = 0;
    pub const EVENT: u8 = 1;
    pub const FUNCTION: u8 = 2;
    pub const REPLY: u8 = 3;
    pub const REFUSAL: u8 = 4;
    pub const NAMES: u8 = 5;
    pub const RELEASE: u8 = 6;
    pub const UNLOAD: u8 = 7;

    pub const HELLO: u8 = 32;
    pub const LOADED: u8 = 33;
    pub const LOAD_FAILED: u8 = 34;
    pub const ANSWER: u8 = 35;
    pub const RETURNED: u8 = 36;
    pub const RAISED: u8 = 37;
    pub const CALL: u8 = 38;
    pub const DYNAMIC: u8 = 39;
    pub const STORE: u8 = 40;
    pub const UNLOADED: u8 = 41;
}

/// The third element of an answer frame.
pub(crate) mod verdict {
    pub const GO_ON: u8 = 1;
    pub const BLOCK: u8 = 0;
    pub const CHAT: u8 = 2;
    pub const MY_INFO: u8 = 3;
    pub const SEND: u8 = 4;
}

const EXT_HANDLE: i8 = 1;
const EXT_POINTER: i8 = 2;
const EXT_BYTES: i8 = 3;

// ---------------------------------------------------------------- writing

fn write(out: &mut Vec<u8>, parts: impl Serialize) -> Result<(), FrameError> {
    out.clear();
    parts.serialize(&mut rmp_serde::Serializer::new(&mut *out))?;
    if out.len() > MAX_FRAME {
        let length = out.len();
        *out = Vec::new();
        return Err(FrameError::TooLong(length));
    }
    Ok(())
}

/// Bytes as MessagePack `bin`.
struct Bin<'a>(&'a [u8]);

impl Serialize for Bin<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

fn bin<'a>(bytes: &'a Option<Cow<'_, [u8]>>) -> Option<Bin<'a>> {
    bytes.as_deref().map(Bin)
}

struct Ext<'a>(i8, &'a [u8]);

impl Serialize for Ext<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(rmp_serde::MSGPACK_EXT_STRUCT_NAME, &(self.0, Bin(self.1)))
    }
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Nil => serializer.serialize_unit(),
            Value::Bool(yes) => serializer.serialize_bool(*yes),
            Value::Int(number) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Text(text) => serializer.serialize_bytes(text),
            Value::Bytes(bytes) => Ext(EXT_BYTES, bytes).serialize(serializer),
            Value::List(list) => Values(list).serialize(serializer),
            Value::Map(map) => Entries(map).serialize(serializer),
            Value::Handle(handle) => Ext(EXT_HANDLE, &handle.to_le_bytes()).serialize(serializer),
            Value::Pointer(address) => Ext(EXT_POINTER, &address.to_le_bytes()).serialize(serializer),
        }
    }
}

struct Values<'a, 'v>(&'a [Value<'v>]);

impl Serialize for Values<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut seq = serializer.serialize_seq(Some(self.0.len()))?;
        for value in self.0 {
            seq.serialize_element(value)?;
        }
        seq.end()
    }
}

struct Entries<'a, 'v>(&'a [(Value<'v>, Value<'v>)]);

impl Serialize for Entries<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (key, value) in self.0 {
            map.serialize_entry(key, value)?;
        }
        map.end()
    }
}

/// Writes an event into `out` without taking ownership of its arguments.
pub fn write_event(out: &mut Vec<u8>, seq: u64, hook: Hook, args: &[Value<'_>]) -> Result<(), FrameError> {
    write(out, (kind::EVENT, seq, hook as u8, Values(args)))
}

/// Writes a function call into `out` without taking ownership of its arguments.
pub fn write_function(out: &mut Vec<u8>, seq: u64, name: &str, args: &[Value<'_>]) -> Result<(), FrameError> {
    write(out, (kind::FUNCTION, seq, Bin(name.as_bytes()), Values(args)))
}

impl ToWorker<'_> {
    /// Replaces the contents of `out` by this frame.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        match self {
            ToWorker::Load(load) => write(
                out,
                (
                    kind::LOAD,
                    load.id,
                    Bin(&load.path),
                    Bin(&load.scripts_dir),
                    Bin(&load.botname),
                    Bin(&load.opchatname),
                    Bin(&load.basedir),
                    Bin(&load.config_name),
                    load.starttime,
                    Bin(&load.encoding),
                    load.has_ip_city,
                    Entries(&load.store),
                ),
            ),
            ToWorker::Event { seq, hook, args } => write_event(out, *seq, *hook, args),
            ToWorker::Function { seq, name, args } => {
                write(out, (kind::FUNCTION, seq, Bin(name), Values(args)))
            }
            ToWorker::Reply { id, value } => write(out, (kind::REPLY, id, value)),
            ToWorker::Refusal { id, failure, reason } => {
                write(out, (kind::REFUSAL, id, *failure as u8, Bin(reason)))
            }
            ToWorker::Names { botname, opchatname } => {
                write(out, (kind::NAMES, Bin(botname), Bin(opchatname)))
            }
            ToWorker::Release(handle) => write(out, (kind::RELEASE, handle)),
            ToWorker::Unload => write(out, (kind::UNLOAD,)),
        }
    }

    /// Reads a frame; what it holds borrows from `bytes`.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<ToWorker<'_>, FrameError> {
        match crate::quick::to_worker(bytes) {
            Some(frame) => Ok(frame),
            None => read(bytes),
        }
    }
}

impl FromWorker<'_> {
    /// Replaces the contents of `out` by this frame.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        match self {
            FromWorker::Hello { protocol, python } => write(out, (kind::HELLO, protocol, Bin(python))),
            FromWorker::Loaded { hooks, observers, warnings } => {
                let warnings: Vec<Bin<'_>> = warnings.iter().map(|warning| Bin(warning)).collect();
                write(out, (kind::LOADED, hooks.bits(), observers.bits(), warnings))
            }
            FromWorker::LoadFailed { reason } => write(out, (kind::LOAD_FAILED, Bin(reason))),
            FromWorker::Answer { seq, answer } => match answer {
                Answer::GoOn => write(out, (kind::ANSWER, seq, verdict::GO_ON)),
                Answer::Block => write(out, (kind::ANSWER, seq, verdict::BLOCK)),
                Answer::Chat { nick, message } => {
                    write(out, (kind::ANSWER, seq, verdict::CHAT, bin(nick), bin(message)))
                }
                Answer::MyInfo([desc, tag, speed, mail, size]) => write(
                    out,
                    (
                        kind::ANSWER,
                        seq,
                        verdict::MY_INFO,
                        bin(desc),
                        bin(tag),
                        bin(speed),
                        bin(mail),
                        bin(size),
                    ),
                ),
                Answer::Send { data, then } => {
                    write(out, (kind::ANSWER, seq, verdict::SEND, Bin(data), then))
                }
            },
            FromWorker::Returned { seq, value } => write(out, (kind::RETURNED, seq, value)),
            FromWorker::Raised { seq, reason } => write(out, (kind::RAISED, seq, Bin(reason))),
            FromWorker::Call { id, call, args } => write(out, (kind::CALL, id, *call as u8, Values(args))),
            FromWorker::Dynamic { id, name, args } => {
                write(out, (kind::DYNAMIC, id, Bin(name), Values(args)))
            }
            FromWorker::Store { key, value: Some(value) } => write(out, (kind::STORE, Bin(key), true, value)),
            FromWorker::Store { key, value: None } => write(out, (kind::STORE, Bin(key), false, ())),
            FromWorker::Unloaded => write(out, (kind::UNLOADED,)),
        }
    }

    /// Reads a frame; what it holds borrows from `bytes`.
    #[inline]
    pub fn read(bytes: &[u8]) -> Result<FromWorker<'_>, FrameError> {
        match crate::quick::from_worker(bytes) {
            Some(frame) => Ok(frame),
            None => read(bytes),
        }
    }
}

// ---------------------------------------------------------------- reading

fn read<'a, F: FrameParts<'a>>(bytes: &'a [u8]) -> Result<F, FrameError> {
    if bytes.len() > MAX_FRAME {
        return Err(FrameError::TooLong(bytes.len()));
    }
    let budget = Cell::new(MAX_VALUES);
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(MAX_DEPTH + 8);
    Ok(deserializer.deserialize_seq(FrameVisitor { budget: &budget, frame: PhantomData })?)
}

/// A frame that can be read from the elements of an array.
trait FrameParts<'a>: Sized {
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
struct Parts<'b, A> {
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
            })),
            kind::NAMES => ToWorker::Names { botname: parts.bytes()?, opchatname: parts.bytes()? },
            kind::RELEASE => ToWorker::Release(parts.next()?),
            kind::UNLOAD => ToWorker::Unload,
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
                hooks: HookSet::from_bits(parts.next()?),
                observers: HookSet::from_bits(parts.next()?),
                warnings: match parts.value()? {
                    Value::List(list) => list.into_iter().filter_map(text).collect(),
                    _ => Vec::new(),
                },
            },
            kind::LOAD_FAILED => FromWorker::LoadFailed { reason: parts.bytes()? },
            kind::UNLOADED => FromWorker::Unloaded,
            other => return known("frame of kind", other, None),
        })
    }
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
        let mut list = Vec::with_capacity(believable(seq.size_hint()));
        while seq.next_element_seed(ValueSeed { budget, depth, place: &mut list })?.is_some() {}
        Ok(self.place.put(Value::List(list)))
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<P::Handed, A::Error> {
        let (budget, depth) = (self.budget, self.inner_depth()?);
        let mut entries = Vec::with_capacity(believable(map.size_hint()));
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

/// How much room to make for a list that claims this length. The claim is not believed far:
/// the list grows as values really arrive.
fn believable(claimed: Option<usize>) -> usize {
    claimed.unwrap_or(0).min(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn any_value() -> impl Strategy<Value = Value<'static>> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (-1e300f64..1e300).prop_map(Value::Float),
            any::<Vec<u8>>().prop_map(|bytes| Value::Text(Cow::Owned(bytes))),
            any::<Vec<u8>>().prop_map(|bytes| Value::Bytes(Cow::Owned(bytes))),
            any::<u64>().prop_map(Value::Handle),
            any::<u64>().prop_map(Value::Pointer),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
                prop::collection::vec((inner.clone(), inner), 0..8).prop_map(Value::Map),
            ]
        })
    }

    fn bytes() -> impl Strategy<Value = Cow<'static, [u8]>> {
        any::<Vec<u8>>().prop_map(Cow::Owned)
    }

    fn any_from_worker() -> impl Strategy<Value = FromWorker<'static>> {
        let field = || prop::option::of(bytes());
        let answer = prop_oneof![
            Just(Answer::GoOn),
            Just(Answer::Block),
            (field(), field()).prop_map(|(nick, message)| Answer::Chat { nick, message }),
            prop::array::uniform5(field()).prop_map(Answer::MyInfo),
            (bytes(), any::<i64>()).prop_map(|(data, then)| Answer::Send { data, then }),
        ];
        let args = || prop::collection::vec(any_value(), 0..10).prop_map(Args::from_vec);
        prop_oneof![
            (any::<u64>(), answer).prop_map(|(seq, answer)| FromWorker::Answer { seq, answer }),
            (any::<u64>(), 0..Call::COUNT, args()).prop_map(|(id, at, args)| FromWorker::Call {
                id,
                call: crate::call::CALLS[at].call,
                args
            }),
            (any::<u64>(), bytes(), args()).prop_map(|(id, name, args)| FromWorker::Dynamic {
                id,
                name,
                args
            }),
            (any::<u64>(), any_value()).prop_map(|(seq, value)| FromWorker::Returned { seq, value }),
            (bytes(), prop::option::of(any_value()))
                .prop_map(|(key, value)| FromWorker::Store { key, value }),
            (any::<u64>(), bytes()).prop_map(|(seq, reason)| FromWorker::Raised { seq, reason }),
            prop::collection::vec(bytes(), 0..4).prop_map(|warnings| FromWorker::Loaded {
                hooks: HookSet::from_bits(5),
                observers: HookSet::EMPTY,
                warnings
            }),
        ]
    }

    proptest! {
        #[test]
        fn frames_survive_the_way(frame in any_from_worker()) {
            let mut buffer = Vec::new();
            frame.write(&mut buffer).unwrap();
            prop_assert_eq!(FromWorker::read(buffer.leak()).unwrap(), frame);
        }

        #[test]
        fn events_survive_the_way(seq in any::<u64>(), number in 0..Hook::COUNT,
                                  args in prop::collection::vec(any_value(), 0..10)) {
            let frame = ToWorker::Event {
                seq, hook: Hook::from_number(number).unwrap(), args: Args::from_vec(args),
            };
            let mut buffer = Vec::new();
            frame.write(&mut buffer).unwrap();
            prop_assert_eq!(ToWorker::read(buffer.leak()).unwrap(), frame);
        }

        #[test]
        fn the_quick_reader_reads_what_the_general_one_reads(
            frame in any_from_worker(), seq in any::<u64>(), number in 0..Hook::COUNT,
            args in prop::collection::vec(any_value(), 0..10), damage in any::<Option<(prop::sample::Index, u8)>>()
        ) {
            let hook = Hook::from_number(number).unwrap();
            let event = ToWorker::Event { seq, hook, args: Args::from_vec(args) };
            let (mut from, mut to) = (Vec::new(), Vec::new());
            frame.write(&mut from).unwrap();
            event.write(&mut to).unwrap();
            for bytes in [&mut from, &mut to] {
                if let Some((at, byte)) = damage {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            if let Some(quick) = crate::quick::from_worker(&from) {
                let general = read::<FromWorker<'_>>(&from).unwrap();
                prop_assert_eq!(format!("{quick:?}"), format!("{general:?}"));
            }
            if let Some(quick) = crate::quick::to_worker(&to) {
                let general = read::<ToWorker<'_>>(&to).unwrap();
                prop_assert_eq!(format!("{quick:?}"), format!("{general:?}"));
            }
        }

        #[test]
        fn garbage_is_an_error_and_nothing_worse(bytes in any::<Vec<u8>>()) {
            let _ = FromWorker::read(&bytes);
            let _ = ToWorker::read(&bytes);
        }

        #[test]
        fn damaged_frames_are_an_error_and_nothing_worse(
            frame in any_from_worker(), at in any::<prop::sample::Index>(), to in any::<u8>()
        ) {
            let mut buffer = Vec::new();
            frame.write(&mut buffer).unwrap();
            let at = at.index(buffer.len());
            buffer[at] = to;
            let _ = FromWorker::read(&buffer);
            let _ = FromWorker::read(&buffer[..at]);
        }
    }

    #[test]
    fn the_load_frame_survives_the_way() {
        let frame = ToWorker::Load(Box::new(Load {
            id: 7,
            path: b"/hub/scripts/a.py"[..].into(),
            scripts_dir: b"/hub/scripts"[..].into(),
            botname: b"bot"[..].into(),
            opchatname: b"ops"[..].into(),
            basedir: b"/hub"[..].into(),
            config_name: b"config"[..].into(),
            starttime: 1,
            encoding: b"utf-8"[..].into(),
            has_ip_city: true,
            store: vec![("key".into(), 5i64.into())],
        }));
        let mut buffer = Vec::new();
        frame.write(&mut buffer).unwrap();
        assert_eq!(ToWorker::read(buffer.leak()).unwrap(), frame);
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |depth| (0..depth).fold(Value::Nil, |inner, _| Value::List(vec![inner]));
        let mut buffer = Vec::new();
        FromWorker::Returned { seq: 1, value: nested(MAX_DEPTH) }.write(&mut buffer).unwrap();
        assert!(FromWorker::read(&buffer).is_ok());
        FromWorker::Returned { seq: 1, value: nested(MAX_DEPTH + 1) }.write(&mut buffer).unwrap();
        assert!(FromWorker::read(&buffer).is_err());

        let mut hostile = vec![0x93, kind::RETURNED, 1];
        hostile.extend(std::iter::repeat_n(0x91, 10_000));
        assert!(FromWorker::read(&hostile).is_err());
    }

    #[test]
    fn claimed_lengths_are_not_believed() {
        // A list, a map, a bin and a str of 4 GiB each.
        for claim in [0xdd, 0xdf, 0xc6, 0xdb] {
            let hostile = [0x93, kind::RETURNED, 1, claim, 0xff, 0xff, 0xff, 0xff, 0];
            assert!(FromWorker::read(&hostile).is_err());
        }
    }

    #[test]
    fn more_values_than_the_budget_are_refused() {
        let mut hostile = vec![0x93, kind::RETURNED, 1, 0xdd];
        hostile.extend((MAX_VALUES as u32 + 1).to_be_bytes());
        hostile.extend(std::iter::repeat_n(0xc0, MAX_VALUES + 1));
        assert!(FromWorker::read(&hostile).is_err());
    }
}
