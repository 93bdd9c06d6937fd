//! What can be told about a hook's function without calling it: how many arguments it takes,
//! and what about it cannot have been meant.

use std::ffi::CStr;

use plugin_abi::hook::{HookSpec, OnBlock};
use pyo3::ffi;

use crate::py::{Gil, Obj, Raw, clear_error};

/// Flags of a code object: `*args`, a generator, `async def`, `async def` with `yield`.
const VARARGS: i64 = 0x4;
const GENERATOR: i64 = 0x20;
const COROUTINE: i64 = 0x80;
const ASYNC_GENERATOR: i64 = 0x200;

/// How many arguments a hook's function gets at most, and whether a call of it gives a coroutine.
pub fn arity(gil: Gil, spec: &HookSpec, function: &Obj, warnings: &mut Vec<String>) -> (usize, bool) {
    let (hook, given) = (spec.name, spec.args.len());
    // SAFETY: the object is alive.
    if unsafe { ffi::PyType_Check(function.raw()) } != 0 {
        warnings.push(format!("{hook} is a class: each event makes an object of it, which is no answer"));
        return (given, false);
    }
    let Some(signature) = Signature::of(gil, function) else {
        return (given, false);
    };
    if signature.least > given {
        let least = signature.least;
        warnings
            .push(format!("{hook} needs {least} arguments, but the hub gives {given}: every call will fail"));
    }
    if let Some(name) = &signature.required_keyword {
        warnings.push(format!(
            "{hook} has the keyword-only parameter {name} without a default, but the hub gives arguments by \
             their places: every call will fail"
        ));
    }
    let is = |flag| signature.flags & flag != 0;
    if is(GENERATOR | ASYNC_GENERATOR) {
        warnings.push(format!(
            "{hook} is a generator (it has a yield): a call of it runs nothing and makes a generator that nobody \
             asks for anything; use a plain def"
        ));
    } else if is(COROUTINE) && spec.on_block != OnBlock::Notice {
        warnings.push(format!(
            "{hook} is async: it runs beside the hub, which does not wait for it, so what it returns means nothing"
        ));
    }
    // A host may hand over more than the table says: who takes everything gets it.
    (signature.most, is(COROUTINE))
}

/// The parameters of a function or method written in Python.
struct Signature {
    /// The fewest positional arguments.
    least: usize,
    /// The most.
    most: usize,
    /// A parameter that must be given by its name.
    required_keyword: Option<String>,
    flags: i64,
}

impl Signature {
    fn of(gil: Gil, function: &Obj) -> Option<Signature> {
        // A wrapper that passes everything on takes what the wrapped function takes.
        let mut function = function.again();
        for _ in 0..32 {
            match function.attr_if_any(c"__wrapped__") {
                Some(wrapped) if Code::of(&function).is_some_and(|code| code.flags & VARARGS != 0) => {
                    function = wrapped;
                }
                _ => break,
            }
        }
        // A bound method passes on the attributes of its function; `__call__` of an object whose
        // class is written in Python is a bound method, too.
        let method = match function.attr_if_any(c"__func__") {
            Some(inner) => Some(inner),
            None if function.attr_if_any(c"__code__").is_none() => {
                Some(function.attr_if_any(c"__call__")?.attr_if_any(c"__func__")?)
            }
            None => None,
        };
        let function_itself = method.as_ref().unwrap_or(&function);
        let code = Code::of(function_itself)?;
        let count = code.positional.saturating_sub(usize::from(method.is_some()));
        let most = if code.flags & VARARGS != 0 { usize::MAX } else { count };
        Some(Signature {
            least: count.saturating_sub(code.defaults),
            most,
            required_keyword: code.required_keyword(gil, function_itself),
            flags: code.flags,
        })
    }
}

/// What a function's code says.
struct Code {
    code: Obj,
    positional: usize,
    /// How many of these have a default.
    defaults: usize,
    keyword_only: usize,
    flags: i64,
}

impl Code {
    fn of(function: &Obj) -> Option<Code> {
        let code = function.attr_if_any(c"__code__")?;
        let number = |name: &CStr| code.attr_if_any(name)?.as_int();
        let count = |name: &CStr| usize::try_from(number(name)?).ok();
        let defaults = function.attr_if_any(c"__defaults__").filter(|defaults| !defaults.is_none());
        // SAFETY: the object is alive; what is no tuple has no size and raises.
        let defaults = defaults.map_or(0, |defaults| unsafe { ffi::PyTuple_Size(defaults.raw()) });
        if defaults < 0 {
            clear_error();
        }
        Some(Code {
            positional: count(c"co_argcount")?,
            defaults: defaults.max(0) as usize,
            keyword_only: count(c"co_kwonlyargcount")?,
            flags: number(c"co_flags")?,
            code,
        })
    }

    /// The first keyword-only parameter that has no default.
    fn required_keyword(&self, gil: Gil, function: &Obj) -> Option<String> {
        let names = self.code.attr_if_any(c"co_varnames").filter(|_| self.keyword_only > 0)?;
        let defaults = function.attr_if_any(c"__kwdefaults__").filter(|defaults| !defaults.is_none());
        let has_default = |name: Raw| {
            defaults.as_ref().is_some_and(|defaults| {
                // SAFETY: both are alive; what is no dict raises.
                let found = unsafe { ffi::PyDict_Contains(defaults.raw(), name) };
                if found < 0 {
                    clear_error();
                }
                found > 0
            })
        };
        (self.positional..self.positional + self.keyword_only).find_map(|at| {
            // SAFETY: the tuple is alive and gives a borrowed reference, or NULL and raises.
            let name = unsafe { ffi::PyTuple_GetItem(names.raw(), at as isize) };
            if name.is_null() {
                clear_error();
                return None;
            }
            // SAFETY: alive, in the tuple.
            (!has_default(name)).then(|| unsafe { Obj::borrow(name) }.lossy(gil))
        })
    }
}
