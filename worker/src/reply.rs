//! The hub's answers to calls as Python objects, as [`Gives`] says for each function.

use std::cell::RefCell;

use plugin_abi::Value;
use plugin_abi::call::Gives;
use plugin_abi::frame::Failure;

use crate::convert::to_python;
use crate::nicks;
use crate::py::{Exception, Gil, Obj, PyResult, Raised, raise};
use crate::text;

/// What separates nicks in the protocol's lists.
const SEPARATOR: &[u8] = b"$$";

thread_local! {
    /// Why the last query of this thread failed; empty when it did not.
    static SQL_ERROR: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Keeps why a query failed, for `vh.sql_error()`. The hubs of the C interface give no reason.
fn note_sql_error(ok: bool, reason: Option<&[u8]>) {
    SQL_ERROR.with_borrow_mut(|error| {
        error.clear();
        if !ok {
            error.extend_from_slice(reason.unwrap_or(b"the hub gave no reason"));
        }
    });
}

/// Why the last query of this thread failed.
pub fn sql_error(gil: Gil) -> PyResult<Obj> {
    text::hub().text(gil, &SQL_ERROR.with_borrow(Clone::clone))
}

/// The exception for a refused call.
pub fn refused(gil: Gil, failure: Failure, reason: &[u8]) -> Raised {
    let exception = match failure {
        Failure::Missing => Exception::Name,
        Failure::Failed => Exception::Runtime,
    };
    raise(gil, exception, String::from_utf8_lossy(reason))
}

/// What a script gets. `raw` asks for the protocol string of a list of nicks.
#[inline]
pub fn to_script(gil: Gil, gives: Gives, raw: bool, value: &Value<'_>) -> PyResult<Obj> {
    match gives {
        Gives::Bool => Ok(Obj::bool(gil, value.as_int().is_some_and(|number| number != 0))),
        Gives::Int(failed) => Obj::int(gil, value.as_int().unwrap_or(failed)),
        Gives::Float => Obj::float(gil, value.as_float().unwrap_or(0.0)),
        Gives::Text => text_of(gil, value),
        Gives::OptionalText if matches!(value, Value::Nil) => Ok(Obj::none(gil)),
        Gives::OptionalText => text_of(gil, value),
        Gives::Nicks(prefix) if raw => raw_nicks(gil, prefix, value),
        Gives::Nicks(prefix) => nick_list(gil, prefix, value),
        other => structure(gil, other, value),
    }
}

fn text_of(gil: Gil, value: &Value<'_>) -> PyResult<Obj> {
    match value {
        Value::Text(text) => text::hub().text(gil, text),
        Value::Nil => Obj::text(gil, ""),
        other => Obj::text(gil, &other.to_string()),
    }
}

/// The nicks of a protocol string, with or without its prefix and final `|`.
fn split<'a>(prefix: &str, nicks: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    let nicks = nicks.strip_prefix(prefix.trim_end().as_bytes()).unwrap_or(nicks);
    let nicks = nicks.strip_prefix(b" ").unwrap_or(nicks);
    let mut rest = nicks.strip_suffix(b"|").unwrap_or(nicks);
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let end = rest.windows(2).position(|pair| pair == SEPARATOR);
            let nick = &rest[..end.unwrap_or(rest.len())];
            rest = end.map_or(&[], |end| &rest[end + SEPARATOR.len()..]);
            if !nick.is_empty() {
                return Some(nick);
            }
        }
        None
    })
}

fn nick_list(gil: Gil, prefix: &str, value: &Value<'_>) -> PyResult<Obj> {
    let nicks: Vec<&[u8]> = match value {
        Value::Text(raw) => split(prefix, raw).collect(),
        Value::List(list) => list.iter().filter_map(Value::as_text).collect(),
        _ => Vec::new(),
    };
    let list = Obj::list(gil, nicks.len(), |at| text::hub().text(gil, nicks[at]))?;
    nicks::new(gil, list)
}

fn raw_nicks(gil: Gil, prefix: &str, value: &Value<'_>) -> PyResult<Obj> {
    let mut raw = Vec::from(prefix);
    let mut push = |nick: &[u8]| {
        raw.extend_from_slice(nick);
        raw.extend_from_slice(SEPARATOR);
    };
    match value {
        Value::Text(text) => split(prefix, text).for_each(&mut push),
        Value::List(list) => list.iter().filter_map(Value::as_text).for_each(&mut push),
        _ => (),
    }
    text::hub().text(gil, &raw)
}

fn structure(gil: Gil, gives: Gives, value: &Value<'_>) -> PyResult<Obj> {
    let list = value.as_list();
    match gives {
        Gives::MyInfo => match list {
            Some([nick, desc, tag, speed, mail, size]) => {
                let [nick, desc] = [text_of(gil, nick)?, text_of(gil, desc)?];
                let [tag, speed] = [text_of(gil, tag)?, text_of(gil, speed)?];
                Obj::tuple(gil, [nick, desc, tag, speed, text_of(gil, mail)?, text_of(gil, size)?])
            }
            _ => Ok(Obj::none(gil)),
        },
        Gives::Pair => match list {
            Some([name, version]) => Obj::tuple(gil, [text_of(gil, name)?, text_of(gil, version)?]),
            _ => Obj::tuple(gil, [Obj::text(gil, "")?, Obj::text(gil, "")?]),
        },
        Gives::Rows => {
            let ok = list.and_then(|list| list.first()?.as_int()).unwrap_or(0);
            let reason = list.and_then(|list| list.get(1)?.as_text());
            note_sql_error(ok != 0, reason);
            let rows = list.and_then(|list| list.last()?.as_list()).unwrap_or_default();
            let rows = Obj::list(gil, rows.len(), |row| {
                let row = rows[row].as_list().unwrap_or_default();
                Obj::list(gil, row.len(), |column| match &row[column] {
                    Value::Nil => Obj::text(gil, "NULL"),
                    value => text_of(gil, value),
                })
            })?;
            Obj::tuple(gil, [Obj::int(gil, ok)?, rows])
        }
        Gives::Users => {
            let rows = list.and_then(|list| list.last()?.as_list()).unwrap_or_default();
            Obj::list(gil, rows.len(), |row| {
                let row = rows[row].as_list().unwrap_or_default();
                Obj::list(gil, row.len(), |column| to_python(gil, &row[column], text::hub()))
            })
        }
        Gives::Restrictions => {
            let dict = Obj::dict(gil)?;
            if let Some(bits) = value.as_int().filter(|bits| *bits >= 0) {
                for (at, name) in ["chat", "pm", "search", "ctm"].into_iter().enumerate() {
                    dict.set_item(&Obj::text(gil, name)?, &Obj::bool(gil, bits & 1 << at != 0))?;
                }
            }
            Ok(dict)
        }
        Gives::Geo => match value {
            Value::Map(_) => to_python(gil, value, text::hub()),
            // The C ABI's form: names and values in turn.
            Value::List(list) => {
                let dict = Obj::dict(gil)?;
                for pair in list.chunks_exact(2) {
                    dict.set_item(&text_of(gil, &pair[0])?, &to_python(gil, &pair[1], text::hub())?)?;
                }
                Ok(dict)
            }
            _ => Ok(Obj::none(gil)),
        },
        _ => to_python(gil, value, text::hub()),
    }
}
