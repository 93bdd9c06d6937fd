//! Writes frames, through serde; the sizes of pieces and rings are not its concern.

use std::borrow::Cow;

use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use super::{
    Answer, EXT_BYTES, EXT_HANDLE, EXT_POINTER, FrameError, FromWorker, MAX_FRAME, Noticed, ToWorker, Wants,
    kind, verdict,
};
use crate::hook::Hook;
use crate::value::Value;

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

/// Writes a command into `out` without taking ownership of its arguments.
pub fn write_command(out: &mut Vec<u8>, seq: u64, name: &str, args: &[Value<'_>]) -> Result<(), FrameError> {
    write(out, (kind::COMMAND, seq, Bin(name.as_bytes()), Values(args)))
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
                    Entries(&load.kept),
                ),
            ),
            ToWorker::Prepare { path } => write(out, (kind::PREPARE, Bin(path))),
            ToWorker::Event { seq, hook, args } => write_event(out, *seq, *hook, args),
            ToWorker::Command { seq, name, args } => {
                write(out, (kind::COMMAND, seq, Bin(name), Values(args)))
            }
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
            ToWorker::Due(number) => write(out, (kind::DUE, number)),
            ToWorker::Unload { within } => write(out, (kind::UNLOAD, within)),
        }
    }
}

impl FromWorker<'_> {
    /// Replaces the contents of `out` by this frame.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), FrameError> {
        match self {
            FromWorker::Hello { protocol, python } => write(out, (kind::HELLO, protocol, Bin(python))),
            FromWorker::Loaded { wants, warnings } => {
                let warnings: Vec<Bin<'_>> = warnings.iter().map(|warning| Bin(warning)).collect();
                let Wants { hooks, observers, filters, table, commands } = wants;
                write(out, (kind::LOADED, hooks.bits(), observers.bits(), filters, table, commands, warnings))
            }
            FromWorker::Hooks(Wants { hooks, observers, filters, table, commands }) => {
                write(out, (kind::HOOKS, hooks.bits(), observers.bits(), filters, table, commands))
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
            FromWorker::Later(number) => write(out, (kind::LATER, number)),
            FromWorker::Unloaded => write(out, (kind::UNLOADED,)),
            FromWorker::Prepared => write(out, (kind::PREPARED,)),
            FromWorker::Source { file, text } => write(out, (kind::SOURCE, Bin(file), Bin(text))),
            FromWorker::Debug { id, ask, text } => write(out, (kind::DEBUG, id, *ask as u8, Bin(text))),
            FromWorker::Noticed { hook, what, place } => {
                let (nanoseconds, exception) = match what {
                    Noticed::Slow(nanoseconds) => (Some(*nanoseconds), ""),
                    Noticed::Raised(exception) => (None, exception.as_str()),
                };
                write(out, (kind::NOTICED, *hook as u8, nanoseconds, Bin(exception.as_bytes()), Bin(place)))
            }
        }
    }
}
