//! Functions for Python that are written in Rust, in the two shapes of the stable ABI that
//! need no tuple of arguments; what they do is left to their bodies.

use std::ffi::{CStr, CString, c_char};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::ptr::null_mut;

use pyo3::ffi;

use crate::py::{Exception, Gil, Obj, PyResult, Raised, Raw, raise};

/// What runs when Python calls a simple function: positional arguments only.
pub type Body = fn(Gil, &[Raw]) -> PyResult<Obj>;

/// A function for Python: name, help, how many arguments, and the [`Body`].
macro_rules! builtin {
    ($gil:expr, $name:expr, $doc:expr, $count:expr, $body:expr) => {{
        unsafe extern "C" fn enter(
            _module: $crate::py::Raw,
            args: *mut $crate::py::Raw,
            count: isize,
        ) -> $crate::py::Raw {
            // SAFETY: the interpreter calls with the GIL held and `count` living arguments.
            unsafe { $crate::function::enter($name, $count, $body, args, count) }
        }
        $crate::function::positional($gil, $name, $doc, enter)
    }};
}
pub(crate) use builtin;

/// # Safety
/// The GIL is held; `args` are `count` living objects.
pub unsafe fn enter(
    name: &CStr,
    allowed: RangeInclusive<usize>,
    body: Body,
    args: *const Raw,
    count: isize,
) -> Raw {
    // SAFETY: promised by the caller.
    let gil = unsafe { Gil::assume() };
    let args = match count {
        0 => &[],
        // SAFETY: promised by the caller.
        _ => unsafe { std::slice::from_raw_parts(args, count as usize) },
    };
    let result = if allowed.contains(&args.len()) {
        body(gil, args)
    } else {
        Err(wrong_count(gil, name.to_string_lossy(), allowed, args.len()))
    };
    result.map_or(null_mut(), Obj::into_raw)
}

/// What a function with keywords is called with: positional arguments, and the values of those
/// with a name.
///
/// # Safety
/// As the interpreter calls: `args` are `count` objects and one more for each name in `keywords`,
/// which is NULL or a tuple. All are alive for as long as the slices are used.
#[inline]
pub unsafe fn split_arguments<'a>(args: *const Raw, count: isize, keywords: Raw) -> (&'a [Raw], &'a [Raw]) {
    // SAFETY: promised by the caller.
    unsafe {
        let named = if keywords.is_null() { 0 } else { ffi::PyTuple_Size(keywords) as usize };
        let all = match count as usize + named {
            0 => &[],
            all => std::slice::from_raw_parts(args, all),
        };
        all.split_at(count as usize)
    }
}

/// Sets the exception for a wrong number of arguments.
pub fn wrong_count(gil: Gil, name: impl Display, allowed: RangeInclusive<usize>, given: usize) -> Raised {
    let (least, most) = (*allowed.start(), *allowed.end());
    let takes = match (least, most) {
        (_, usize::MAX) => format!("at least {least}"),
        (0, 0) => "no".into(),
        _ if least == most => format!("{least}"),
        _ => format!("{least} to {most}"),
    };
    let s = if takes.ends_with(" 1") || takes == "1" { "" } else { "s" };
    raise(gil, Exception::Type, format_args!("{name}() takes {takes} argument{s}, {given} given"))
}

/// A function of positional arguments.
pub fn positional(gil: Gil, name: &CStr, doc: &CStr, body: ffi::PyCFunctionFast) -> PyResult<Obj> {
    new(gil, name, doc, ffi::METH_FASTCALL, ffi::PyMethodDefPointer { PyCFunctionFast: body })
}

/// A function that takes keywords, too.
pub fn with_keywords(
    gil: Gil,
    name: &CStr,
    doc: &CStr,
    body: ffi::PyCFunctionFastWithKeywords,
) -> PyResult<Obj> {
    let body = ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: body };
    new(gil, name, doc, ffi::METH_FASTCALL | ffi::METH_KEYWORDS, body)
}

fn new(
    gil: Gil,
    name: &CStr,
    doc: &CStr,
    flags: std::ffi::c_int,
    body: ffi::PyMethodDefPointer,
) -> PyResult<Obj> {
    // The interpreter keeps pointers to all of it; there is a fixed number of functions, each
    // made once in the life of the process.
    let forever = |text: &CStr| CString::from(text).into_raw() as *const c_char;
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: forever(name),
        ml_meth: body,
        ml_flags: flags,
        ml_doc: forever(doc),
    }));
    let module = Obj::text(gil, "vh")?;
    // SAFETY: the definition is never freed; flags and body belong together.
    unsafe { Obj::own(ffi::PyCFunction_NewEx(definition, null_mut(), module.raw())) }
}
