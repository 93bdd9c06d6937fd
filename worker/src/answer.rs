//! What a hook's return value means; the table is in the manual's chapter on hooks.

use std::borrow::Cow;

use plugin_abi::Answer;
use plugin_abi::hook::{Hook, Replaces};
use pyo3::ffi;

use crate::convert;
use crate::py::{Gil, Obj, PyResult, Raw, clear_error, warn};
use crate::text;

/// How many characters of a value a warning shows.
const SHOWN: usize = 200;

/// The answer that a returned value stands for. What stands for none is "go on", after a
/// warning. Text in the answer is borrowed from the value.
#[inline]
pub fn of<'a>(gil: Gil, hook: Hook, returned: &'a Obj) -> Answer<'a> {
    let raw = returned.raw();
    // SAFETY: the GIL is held and the value is alive; each use follows its type check.
    unsafe {
        if returned.is_none() || raw == ffi::Py_True() {
            return Answer::GoOn;
        }
        if ffi::PyLong_Check(raw) != 0 {
            // Beyond 64 bits is not 0 either.
            return if convert::int(raw) == Some(0) { Answer::Block } else { Answer::GoOn };
        }
        replacement(gil, hook, raw).unwrap_or_else(|| {
            warn_of(gil, hook, returned);
            Answer::GoOn
        })
    }
}

/// # Safety
/// `raw` is alive and unchanged during 'a; the GIL is held.
unsafe fn replacement<'a>(gil: Gil, hook: Hook, raw: Raw) -> Option<Answer<'a>> {
    let replaces = hook.spec().replaces;
    // SAFETY: promised by the caller; each use follows its type check, items of a tuple live
    // as long as the tuple.
    unsafe {
        if ffi::PyUnicode_Check(raw) != 0 {
            let message = Some(string(gil, raw)?);
            return (replaces == Replaces::Chat).then_some(Answer::Chat { nick: None, message });
        }
        if ffi::PyTuple_Check(raw) == 0 {
            return None;
        }
        let item = |at| ffi::PyTuple_GetItem(raw, at);
        match ffi::PyTuple_Size(raw) {
            2 if ffi::PyUnicode_Check(item(0)) != 0 && ffi::PyLong_Check(item(1)) != 0 => {
                let mut data = string(gil, item(0))?;
                if !data.is_empty() && !data.ends_with(b"|") {
                    data.to_mut().push(b'|');
                }
                Some(Answer::Send { data, then: convert::int(item(1)).unwrap_or(1) })
            }
            2 if replaces == Replaces::Chat => Some(Answer::Chat {
                nick: optional_string(gil, item(0))?,
                message: optional_string(gil, item(1))?,
            }),
            5 if replaces == Replaces::MyInfo => {
                let mut fields = [const { None }; 5];
                for (at, field) in fields.iter_mut().enumerate() {
                    *field = optional_string(gil, item(at as isize))?;
                }
                Some(Answer::MyInfo(fields))
            }
            _ => None,
        }
    }
}

/// The bytes of a `str` that the hub's strings can carry.
///
/// # Safety
/// As for `replacement`.
unsafe fn string<'a>(gil: Gil, raw: Raw) -> Option<Cow<'a, [u8]>> {
    // SAFETY: promised by the caller; the type is checked.
    unsafe {
        if ffi::PyUnicode_Check(raw) == 0 {
            return None;
        }
        let bytes = text::hub().bytes_of(gil, raw).inspect_err(|_| clear_error()).ok()?;
        (!bytes.contains(&0)).then_some(bytes)
    }
}

/// The bytes of what may be `None`.
///
/// # Safety
/// As for `replacement`.
unsafe fn optional_string<'a>(gil: Gil, raw: Raw) -> Option<Option<Cow<'a, [u8]>>> {
    // SAFETY: promised by the caller.
    unsafe { if raw == ffi::Py_None() { Some(None) } else { string(gil, raw).map(Some) } }
}

#[cold]
fn warn_of(gil: Gil, hook: Hook, returned: &Obj) {
    let also = match hook.spec().replaces {
        Replaces::Never => "",
        Replaces::Chat => ", a str, (nick, message)",
        Replaces::MyInfo => ", (desc, tag, speed, mail, size)",
    };
    let shown = shown(gil, returned);
    warn(
        gil,
        &format!(
            "{hook} returned {shown}, which has no meaning, so the hub goes on; meant were None, \
             an int, a bool{also} or (str, int), with text free of null characters"
        ),
    );
}

/// `repr(value)`, shortened.
fn shown(gil: Gil, value: &Obj) -> String {
    // SAFETY: the GIL is held and the value is alive.
    let repr: PyResult<Obj> = unsafe { Obj::own(ffi::PyObject_Repr(value.raw())) };
    match repr {
        Ok(repr) => {
            let repr = repr.lossy(gil);
            match repr.char_indices().nth(SHOWN) {
                Some((end, _)) => format!("{}…", &repr[..end]),
                None => repr,
            }
        }
        Err(_) => {
            clear_error();
            // SAFETY: as above.
            format!("a {} whose repr() fails", unsafe { crate::py::type_name(gil, value.raw()) })
        }
    }
}
