//! The functions of `vh` that the hub answers: one function for all rows of the call table;
//! what becomes of the answer is left to [`reply`](crate::reply).

use std::borrow::Cow;
use std::ffi::CString;
use std::fmt::Display;
use std::fmt::Write;
use std::ops::ControlFlow;
use std::ptr::null_mut;

use plugin_abi::call::{Call, CallSpec, Gives, Omitted, Order, Param, ParamKind};
use plugin_abi::{Args, CALLS, FromWorker, ToWorker, Value};
use pyo3::ffi;

use crate::channel;
use crate::convert;
use crate::function;
use crate::py::{Exception, Gil, Obj, PyResult, Raised, Raw, clear_error, raise, type_name};
use crate::{hooks, reply, text};

/// No function has more parameters.
const MOST_PARAMETERS: usize = 8;

/// What was passed for each parameter; NULL for what was left out. All borrowed.
type Passed = [Raw; MOST_PARAMETERS];

/// Where Python's call of the function at this place of the table arrives.
unsafe extern "C" fn enter<const AT: usize, const RAW: bool>(
    _module: Raw,
    args: *const Raw,
    count: isize,
    keywords: Raw,
) -> Raw {
    // SAFETY: the interpreter calls with the GIL held; `args` are `count` positional arguments
    // and then one for each name in the tuple `keywords`, all alive.
    unsafe {
        let gil = Gil::assume();
        let (positional, named) = function::split_arguments(args, count, keywords);
        call(gil, &CALLS[AT], RAW, positional, named, keywords).map_or(null_mut(), Obj::into_raw)
    }
}

macro_rules! entries {
    ($raw:literal: $($at:literal)*) => { [ $( enter::<$at, $raw> ),* ] };
}

const ENTRIES: [ffi::PyCFunctionFastWithKeywords; Call::COUNT] = entries!(false:
    0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33
    34 35 36 37 38 39 40 41 42 43 44 45 46 47 48 49 50 51 52 53 54);

/// The raw forms of the three lists of nicks.
const RAW: [(&str, Call, ffi::PyCFunctionFastWithKeywords); 3] = [
    ("GetRawNickList", Call::GetNickList, enter::<24, true>),
    ("GetRawOpList", Call::GetOpList, enter::<25, true>),
    ("GetRawBotList", Call::GetBotList, enter::<26, true>),
];

const _: () = {
    // The places in `RAW` are written by hand, and so is `MOST_PARAMETERS`.
    assert!(matches!(CALLS[24].call, Call::GetNickList) && matches!(CALLS[24].gives, Gives::Nicks(_)));
    assert!(matches!(CALLS[25].call, Call::GetOpList) && matches!(CALLS[25].gives, Gives::Nicks(_)));
    assert!(matches!(CALLS[26].call, Call::GetBotList) && matches!(CALLS[26].gives, Gives::Nicks(_)));
    let mut at = 0;
    while at < CALLS.len() {
        assert!(CALLS[at].params.len() <= MOST_PARAMETERS);
        at += 1;
    }
};

/// Puts the functions of the table into the module.
pub fn add_functions(gil: Gil, module: &Obj) -> PyResult<()> {
    for (spec, entry) in CALLS.iter().zip(ENTRIES) {
        // The hub says later whether it has this one.
        if spec.call != Call::GetIPCity {
            // Behind a function that makes dicts of its rows.
            let name = if spec.gives == Gives::Users { "_users" } else { spec.name };
            add(gil, module, name, &help(spec), entry)?;
        }
    }
    for (name, call, entry) in RAW {
        let Gives::Nicks(prefix) = call.spec().gives else { continue };
        let help = format!("{name}()\n--\n\n{} As `{prefix}a$$b$$`.", call.spec().summary);
        add(gil, module, name, &help, entry)?;
    }
    Ok(())
}

/// Puts the function into the module that only hubs of the later callback table answer.
pub fn add_ip_city(gil: Gil, module: &Obj) -> PyResult<()> {
    let spec = Call::GetIPCity.spec();
    let at = CALLS.iter().position(|other| other.call == spec.call).unwrap_or_default();
    add(gil, module, spec.name, &help(spec), ENTRIES[at])
}

fn add(
    gil: Gil,
    module: &Obj,
    name: &str,
    help: &str,
    entry: ffi::PyCFunctionFastWithKeywords,
) -> PyResult<()> {
    // Names and help come from the table, which has no NUL.
    let [name, help] = [name, help].map(|text| CString::new(text).unwrap_or_default());
    module.set_attr(&name, &function::with_keywords(gil, &name, &help, entry)?)
}

/// The docstring, with a first line from which Python takes the signature.
fn help(spec: &CallSpec) -> String {
    let mut signature = String::new();
    for (at, param) in spec.params.iter().enumerate() {
        let comma = if at == 0 { "" } else { ", " };
        let default = match param.default {
            Omitted::Required => String::new(),
            Omitted::Empty => "=None".into(),
            Omitted::Int(number) => format!("={number}"),
            Omitted::Text(text) => format!("={text:?}"),
        };
        let _ = write!(signature, "{comma}{}{default}", param.name);
    }
    // "(conf='config', variable)" is no signature to Python.
    let end = if matches!(spec.order, Order::FirstOptional { .. }) { "" } else { "--\n\n" };
    let returns = spec.gives.python();
    format!("{}({signature})\n{end}{} Returns {returns}.", spec.name, spec.summary)
}

// ------------------------------------------------------------------ calling

/// Calls the hub and waits for its answer.
///
/// # Safety
/// All objects are alive; `keywords` is NULL or a tuple of as many names as `named` has values.
#[inline]
pub unsafe fn call(
    gil: Gil,
    spec: &'static CallSpec,
    raw: bool,
    positional: &[Raw],
    named: &[Raw],
    keywords: Raw,
) -> PyResult<Obj> {
    let mut passed: Passed = [null_mut(); MOST_PARAMETERS];
    place(gil, spec, &mut passed, positional, named.len(), keywords)?;
    if !named.is_empty() {
        // SAFETY: promised by the caller.
        unsafe { place_named(gil, spec, &mut passed, named, keywords)? };
    }
    let mut args = Args::new();
    for &at in spec.host_order {
        let at = usize::from(at);
        let (param, object) = (&spec.params[at], passed[at]);
        args.push(if object.is_null() {
            left_out(gil, spec, param)?
        } else {
            // SAFETY: the caller keeps the arguments alive; no Python code runs until they
            // are in the frame.
            unsafe { argument(gil, spec, param, object)? }
        });
    }
    exchange(
        gil,
        &format_args!("{}()", spec.name),
        |id| FromWorker::Call { id, call: spec.call, args },
        |value| reply::to_script(gil, spec.gives, raw, value),
    )
}

/// Sends a call and waits for what `give` makes of its answer.
#[inline]
pub fn exchange<'a>(
    gil: Gil,
    what: &dyn Display,
    frame: impl FnOnce(u64) -> FromWorker<'a>,
    give: impl Fn(&Value<'_>) -> PyResult<Obj>,
) -> PyResult<Obj> {
    let channel = channel::get(gil)?;
    hooks::keep_up(gil, channel)?;
    let id = channel.next_id(gil);
    channel.try_send_frame(gil, frame(id), channel.notify(gil), what)?;
    channel.wait(gil, Some(id), |frame| match frame {
        ToWorker::Reply { value, .. } => channel::done(give(&value)),
        ToWorker::Refusal { failure, reason, .. } => Err(reply::refused(gil, failure, &reason)),
        // Only the main thread is given anything else.
        other => channel.serve_nested(gil, other).map(ControlFlow::Continue),
    })
}

// ---------------------------------------------------------------- arguments

/// Gives positional arguments their places.
#[inline]
fn place(
    gil: Gil,
    spec: &CallSpec,
    passed: &mut Passed,
    positional: &[Raw],
    named: usize,
    keywords: Raw,
) -> PyResult<()> {
    let too_many = || {
        let allowed = spec.required()..=spec.params.len();
        Err(function::wrong_count(gil, spec.name, allowed, positional.len() + named))
    };
    if positional.len() > spec.params.len() {
        return too_many();
    }
    let shift = match spec.order {
        Order::FirstOptional { full } => {
            // SAFETY: `keywords` is NULL or a tuple of names, and the GIL is held.
            unsafe { usize::from(is_first_left_out(gil, spec, full, positional.len(), keywords)) }
        }
        _ => 0,
    };
    if positional.len() + shift > spec.params.len() {
        return too_many();
    }
    passed[shift..shift + positional.len()].copy_from_slice(positional);
    // SAFETY: the arguments are alive, the GIL is held.
    let is_text = |object: Raw| unsafe { !object.is_null() && ffi::PyUnicode_Check(object) != 0 };
    match spec.order {
        // SAFETY: as above.
        Order::IntLast if !is_text(passed[0]) && is_text(passed[1]) => passed.swap(0, 1),
        Order::IntLast if positional.len() == 1 && named == 1 && !is_text(passed[0]) => {
            // SQL(100, query=…)
            passed.swap(0, 1);
        }
        Order::SenderThird if positional.len() == 3 && is_text(passed[2]) => {
            passed[3] = std::mem::replace(&mut passed[2], null_mut());
        }
        _ => (),
    }
    Ok(())
}

/// Whether the first parameter is the one that is missing: fewer than `full` of the first
/// ones are given, and it is not among the keywords.
///
/// # Safety
/// `keywords` is NULL or a living tuple of names; the GIL is held.
unsafe fn is_first_left_out(gil: Gil, spec: &CallSpec, full: usize, given: usize, keywords: Raw) -> bool {
    let mut given = given;
    if !keywords.is_null() {
        // SAFETY: promised by the caller.
        for at in 0..unsafe { ffi::PyTuple_Size(keywords) } {
            // SAFETY: as above.
            let name = unsafe { Obj::borrow(ffi::PyTuple_GetItem(keywords, at)) }.lossy(gil);
            match spec.params.iter().position(|param| is_called(param, &name)) {
                Some(0) => return true,
                Some(place) if place < full => given += 1,
                _ => (),
            }
        }
    }
    given < full
}

fn is_called(param: &Param, name: &str) -> bool {
    param.name == name || param.aliases.contains(&name)
}

/// # Safety
/// `keywords` is a living tuple of as many names as `named` has values.
#[cold]
unsafe fn place_named(
    gil: Gil,
    spec: &CallSpec,
    passed: &mut Passed,
    named: &[Raw],
    keywords: Raw,
) -> PyResult<()> {
    for (at, &value) in named.iter().enumerate() {
        // SAFETY: promised by the caller.
        let name = unsafe { Obj::borrow(ffi::PyTuple_GetItem(keywords, at as isize)) }.lossy(gil);
        let Some(place) = spec.params.iter().position(|param| is_called(param, &name)) else {
            let names: Vec<_> = spec.params.iter().map(|param| param.name).collect();
            let takes = if names.is_empty() { "none".into() } else { names.join(", ") };
            let function = spec.name;
            let message =
                format!("{function}() got an unexpected keyword argument '{name}'; it takes {takes}");
            return Err(raise(gil, Exception::Type, message));
        };
        if !passed[place].is_null() {
            let (function, name) = (spec.name, spec.params[place].name);
            let message = format_args!("{function}() got two values for argument '{name}'");
            return Err(raise(gil, Exception::Type, message));
        }
        passed[place] = value;
    }
    Ok(())
}

#[inline]
fn left_out(gil: Gil, spec: &CallSpec, param: &'static Param) -> PyResult<Value<'static>> {
    match (param.default, param.kind) {
        (Omitted::Empty, ParamKind::Int) => Ok(Value::Int(0)),
        (Omitted::Empty, _) => Ok(Value::Nil),
        (Omitted::Int(number), _) => Ok(Value::Int(number)),
        (Omitted::Text(text), _) => Ok(Value::text(text)),
        (Omitted::Required, kind) => {
            let message =
                format!("{}() misses argument '{}', which is {}", spec.name, param.name, kind.python());
            Err(raise(gil, Exception::Type, message))
        }
    }
}

/// The value of one argument.
///
/// # Safety
/// `object` stays alive during 'a.
#[inline]
unsafe fn argument<'a>(gil: Gil, spec: &CallSpec, param: &Param, object: Raw) -> PyResult<Value<'a>> {
    let what = || format!("{}() argument '{}'", spec.name, param.name);
    // SAFETY: the object is alive; each use follows its type check.
    unsafe {
        match param.kind {
            ParamKind::Text | ParamKind::TextOrNumber if ffi::PyUnicode_Check(object) != 0 => {
                let text = text::hub().bytes_of(gil, object)?;
                if text.contains(&0) {
                    let message = "has a null character, which the hub's strings cannot carry";
                    return Err(raise(gil, Exception::Value, format_args!("{} {message}", what())));
                }
                Ok(Value::Text(text))
            }
            ParamKind::Int => match integer(gil, object, &what)? {
                Some(number) => Ok(Value::Int(number)),
                None if object == ffi::Py_None() => Ok(Value::Int(0)),
                None => Err(wrong_type(gil, &what(), "an int", object)),
            },
            _ if object == ffi::Py_None() => Ok(Value::Nil),
            ParamKind::Text => Err(wrong_type(gil, &what(), "a str or None", object)),
            ParamKind::TextOrNumber => {
                if let Some(number) = integer(gil, object, &what)? {
                    return Ok(decimal(number.to_string()));
                }
                if ffi::PyFloat_Check(object) == 0 {
                    return Err(wrong_type(gil, &what(), "a str, a number or None", object));
                }
                let number = ffi::PyFloat_AsDouble(object);
                if !number.is_finite() {
                    let message = format_args!("{} is {number}, which is no number for the hub", what());
                    return Err(raise(gil, Exception::Value, message));
                }
                // Without exponent, and whole numbers without a point: hubs read digits.
                Ok(decimal(number.to_string()))
            }
        }
    }
}

fn decimal<'a>(digits: String) -> Value<'a> {
    Value::Text(Cow::Owned(digits.into_bytes()))
}

/// The number of an `int`, or of what Python accepts in its place as an index.
///
/// # Safety
/// `object` is alive.
#[inline]
unsafe fn integer(gil: Gil, object: Raw, what: &impl Fn() -> String) -> PyResult<Option<i64>> {
    // SAFETY: the object is alive; each use follows its type check.
    unsafe {
        let number = if ffi::PyLong_Check(object) != 0 {
            convert::int(object)
        } else if ffi::PyIndex_Check(object) != 0 {
            convert::int(Obj::own(ffi::PyNumber_Index(object))?.raw())
        } else {
            return Ok(None);
        };
        number.map(Some).ok_or_else(|| {
            clear_error();
            raise(gil, Exception::Overflow, format_args!("{} does not fit into 64 bits", what()))
        })
    }
}

/// # Safety
/// `object` is alive.
#[cold]
unsafe fn wrong_type(gil: Gil, what: &str, expected: &str, object: Raw) -> Raised {
    // SAFETY: promised by the caller.
    let given = unsafe { type_name(gil, object) };
    raise(gil, Exception::Type, format_args!("{what} must be {expected}, not {given}"))
}
