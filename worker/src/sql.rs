//! Values in queries: `vh.SQL(query, limit, parameters)` writes them in the places of `?`,
//! `vh.sql_quote` gives one of them as text; the query itself goes the way of all calls.
//!
//! Hubs take a query as one text, so a value must become a literal that is the same value to every
//! server, whatever its settings and encodings. Text of plain ASCII stands in quotes; all else is
//! hexadecimal, since in encodings of two bytes a backslash may be the half of a character, and
//! servers differ in what a backslash means.

use std::borrow::Cow;
use std::ptr::null_mut;

use plugin_abi::Call;
use pyo3::ffi;

use crate::call;
use crate::function;
use crate::py::{Exception, Gil, Obj, PyResult, Raised, Raw, clear_error, raise, type_name};
use crate::text::{self, Encoding};

/// The keyword of the values.
const PARAMETERS: &str = "parameters";

/// Puts both functions into the module; `SQL` takes the place of the table's.
pub fn add_functions(gil: Gil, module: &Obj) -> PyResult<()> {
    let help = c"SQL(query, limit=100, parameters=())\n--\n\nRuns a query on the hub's database; each ? in it is one of the parameters. Returns tuple[int, list[list[str]]].";
    module.set_attr(c"SQL", &function::with_keywords(gil, c"SQL", help, enter)?)?;
    let help = c"sql_quote(value)\n--\n\nA value as it is written in a query.";
    module.set_attr(c"sql_quote", &function::builtin!(gil, c"sql_quote", help, 1..=1, quote)?)
}

fn quote(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    // SAFETY: arguments are alive.
    let literal = unsafe { literal(gil, args[0], &"sql_quote() argument 'value'")? };
    Obj::text(gil, &literal)
}

/// Where Python's call of `SQL` arrives.
unsafe extern "C" fn enter(_module: Raw, args: *const Raw, count: isize, keywords: Raw) -> Raw {
    // SAFETY: as for the functions of the table: the GIL is held, `args` are `count` positional
    // arguments and one for each name in the tuple `keywords`, all alive.
    unsafe {
        let gil = Gil::assume();
        let (positional, named) = function::split_arguments(args, count, keywords);
        run(gil, positional, named, keywords).map_or(null_mut(), Obj::into_raw)
    }
}

/// # Safety
/// All objects are alive; `keywords` is NULL or a tuple of as many names as `named` has values.
unsafe fn run(gil: Gil, positional: &[Raw], named: &[Raw], keywords: Raw) -> PyResult<Obj> {
    let names: Vec<String> = (0..named.len())
        // SAFETY: promised by the caller.
        .map(|at| unsafe { Obj::borrow(ffi::PyTuple_GetItem(keywords, at as isize)) }.lossy(gil))
        .collect();
    let by_name = names.iter().position(|name| name == PARAMETERS);
    let parameters = match (positional, by_name) {
        ([_, _, parameters], None) => *parameters,
        (_, Some(at)) => named[at],
        // SAFETY: promised by the caller.
        _ => return unsafe { call::call(gil, Call::SQL.spec(), false, positional, named, keywords) },
    };
    let mut positional = positional[..positional.len().min(2)].to_vec();
    let mut named = named.to_vec();
    let mut names = names;
    if let Some(at) = by_name {
        named.remove(at);
        names.remove(at);
    }
    // SAFETY: the arguments are alive.
    let is_text = |object: Raw| unsafe { ffi::PyUnicode_Check(object) != 0 };
    // As ever, query and limit may change places.
    let query = positional.iter_mut().chain(&mut named).find(|object| is_text(**object));
    // Kept until the call is over.
    let mut written = None;
    if let Some(query) = query {
        // SAFETY: it is a living str.
        let text = unsafe { Encoding::Lossless.bytes_of(gil, *query)? };
        // SAFETY: the parameters are alive.
        let text = unsafe { fill(gil, &text, parameters)? };
        let object = written.insert(Encoding::Lossless.text(gil, &text)?);
        *query = object.raw();
    }
    let keywords = match names.len() {
        0 => None,
        count => {
            let list = Obj::list(gil, count, |at| Obj::text(gil, &names[at]))?;
            // SAFETY: it is a list, and alive.
            Some(unsafe { Obj::own(ffi::PyList_AsTuple(list.raw()))? })
        }
    };
    let keywords = keywords.as_ref().map_or(null_mut(), Obj::raw);
    // SAFETY: all are alive, and there is a name for each value.
    unsafe { call::call(gil, Call::SQL.spec(), false, &positional, &named, keywords) }
}

/// The query with the values in it.
///
/// # Safety
/// `parameters` is alive.
unsafe fn fill(gil: Gil, query: &[u8], parameters: Raw) -> PyResult<Vec<u8>> {
    // SAFETY: alive; the items are borrowed from the list or tuple, which nobody changes here: no
    // Python code runs.
    let values: Vec<Raw> = unsafe {
        if ffi::PyTuple_Check(parameters) != 0 {
            (0..ffi::PyTuple_Size(parameters)).map(|at| ffi::PyTuple_GetItem(parameters, at)).collect()
        } else if ffi::PyList_Check(parameters) != 0 {
            (0..ffi::PyList_Size(parameters)).map(|at| ffi::PyList_GetItem(parameters, at)).collect()
        } else {
            let kind = type_name(gil, parameters);
            let message = format!("SQL() argument 'parameters' must be a tuple or list, not {kind}");
            return Err(raise(gil, Exception::Type, message));
        }
    };
    let places = places(query);
    if places.len() != values.len() {
        let message =
            format!("SQL() has {} places (?) in the query, and {} parameters", places.len(), values.len());
        return Err(raise(gil, Exception::Value, message));
    }
    let mut filled = Vec::with_capacity(query.len());
    let mut from = 0;
    for (at, (place, value)) in places.into_iter().zip(values).enumerate() {
        filled.extend_from_slice(&query[from..place]);
        let what = format!("SQL() parameter {}", at + 1);
        // SAFETY: alive, as above.
        filled.extend_from_slice(unsafe { literal(gil, value, &what)? }.as_bytes());
        from = place + 1;
    }
    filled.extend_from_slice(&query[from..]);
    Ok(filled)
}

/// Where there is a `?` that stands for a value: outside of quotes and comments. The query is
/// UTF-8, in which no part of another character looks like one of these.
fn places(query: &[u8]) -> Vec<usize> {
    let mut places = Vec::new();
    let mut at = 0;
    while let Some(rest) = query.get(at..).filter(|rest| !rest.is_empty()) {
        let end = |mark: &[u8]| {
            let found = rest.windows(mark.len()).position(|part| part == mark);
            found.map_or(rest.len(), |found| found + mark.len())
        };
        at += match rest {
            [b'?', ..] => {
                places.push(at);
                1
            }
            [quote @ (b'\'' | b'"' | b'`'), ..] => quoted(rest, *quote),
            [b'#', ..] => end(b"\n"),
            [b'-', b'-', after, ..] if after.is_ascii_whitespace() => end(b"\n"),
            [b'/', b'*', ..] => end(b"*/"),
            _ => 1,
        };
    }
    places
}

/// How long a text in quotes is. A quote that is doubled ends it and begins the next.
fn quoted(text: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while let Some(byte) = text.get(at) {
        at += match byte {
            b'\\' if quote != b'`' => 2,
            byte if *byte == quote => return at + 1,
            _ => 1,
        };
    }
    text.len()
}

/// A value as a literal. What a subclass makes of itself as text is not asked for.
///
/// # Safety
/// `value` is alive.
unsafe fn literal(gil: Gil, value: Raw, what: &dyn std::fmt::Display) -> PyResult<String> {
    // SAFETY: alive; each use follows its type check.
    unsafe {
        if value == ffi::Py_None() {
            return Ok("NULL".into());
        }
        if value == ffi::Py_True() || value == ffi::Py_False() {
            return Ok(if value == ffi::Py_True() { "1" } else { "0" }.into());
        }
        if ffi::PyLong_Check(value) != 0 {
            return Ok(Obj::own(ffi::PyNumber_ToBase(value, 10))?.lossy(gil));
        }
        if ffi::PyFloat_Check(value) != 0 {
            let number = ffi::PyFloat_AsDouble(value);
            if !number.is_finite() {
                let message = format!("{what} is {number}, which no query can hold");
                return Err(raise(gil, Exception::Value, message));
            }
            return Ok(format!("{number:e}"));
        }
        if ffi::PyUnicode_Check(value) != 0 {
            return text_literal(gil, value);
        }
        if ffi::PyBytes_Check(value) != 0 {
            let start = ffi::PyBytes_AsString(value).cast::<u8>();
            let bytes = std::slice::from_raw_parts(start, ffi::PyBytes_Size(value) as usize);
            return Ok(hexadecimal(bytes));
        }
        let kind = type_name(gil, value);
        let message = format!("{what} must be a str, int, float, bool, bytes or None, not {kind}");
        Err(raise(gil, Exception::Type, message))
    }
}

/// # Safety
/// `value` is a living `str`.
unsafe fn text_literal(gil: Gil, value: Raw) -> PyResult<String> {
    // SAFETY: promised by the caller.
    let utf8: Cow<'_, [u8]> = unsafe { Encoding::Lossless.bytes_of(gil, value)? };
    let is_plain = |byte: &u8| matches!(byte, b' '..=b'~') && !matches!(byte, b'\'' | b'\\');
    if utf8.iter().all(is_plain) {
        return Ok(format!("'{}'", String::from_utf8_lossy(&utf8)));
    }
    if std::str::from_utf8(&utf8).is_ok() {
        // The server is told what text it is, and compares and stores it as such.
        return Ok(format!("_utf8mb4 {}", hexadecimal(&utf8)));
    }
    // Bytes that are no text in the hub's encoding: they go as they came.
    // SAFETY: as above.
    unsafe { text::hub().bytes_of(gil, value) }.map(|bytes| hexadecimal(&bytes)).map_err(|Raised| {
        clear_error();
        raise(gil, Exception::Value, "a text has characters that cannot be sent")
    })
}

fn hexadecimal(bytes: &[u8]) -> String {
    let digits: String = bytes.iter().map(|byte| format!("{byte:02X}")).collect();
    format!("X'{digits}'")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_outside_of_quotes_and_comments() {
        let at = |query: &str| places(query.as_bytes());
        assert_eq!(at("a = ? and b = ?"), [4, 14]);
        assert_eq!(at("'?' \"?\" `?` ?"), [12]);
        assert_eq!(at(r"'it''s ?' 'it\'s ?' ?"), [20]);
        assert_eq!(at("# ?\n?"), [4]);
        assert_eq!(at("-- ?\n/* ? */ ?"), [13]);
        // Not a comment: a difference of negative numbers.
        assert_eq!(at("1--?"), [3]);
        assert_eq!(at("'open ?"), [0; 0]);
        assert_eq!(at("/* open ?"), [0; 0]);
        assert_eq!(at("'open \\"), [0; 0]);
        assert_eq!(at("ä?"), [2]);
    }
}
