//! What scripts declare with `vh.when` and `vh.command`: most of it is written in Python, and
//! loaded when a script first uses one of them; a script that uses none pays nothing for it.

use std::ffi::CStr;
use std::ptr::null_mut;

use plugin_abi::call::USER_FIELDS;
use plugin_abi::command;
use plugin_abi::filter::{Decoder, Filters};
use plugin_abi::hook::ArgKind;
use plugin_abi::{HOOKS, Value};
use pyo3::ffi;

use crate::changes;
use crate::convert::{Outgoing, to_python};
use crate::function::{builtin, split_arguments, with_keywords};
use crate::py::{Exception, Gil, GilCell, Obj, PyResult, Raw, import, raise};
use crate::text::{self, Encoding};

/// The script's commands, as they travel.
static COMMANDS: GilCell<Value<'static>> = GilCell::new(Value::Nil);

/// The Python part, once it is loaded: its names.
static SCOPE: GilCell<Option<Obj>> = GilCell::new(None);

/// Where Python's call of one of [`FORWARDED`] arrives.
unsafe extern "C" fn enter<const AT: usize>(
    _module: Raw,
    args: *const Raw,
    count: isize,
    keywords: Raw,
) -> Raw {
    // SAFETY: the interpreter calls with the GIL held, with `count` positional arguments and then
    // one for each name in the tuple `keywords`, all alive.
    unsafe {
        let gil = Gil::assume();
        let (positional, named) = split_arguments(args, count, keywords);
        forward(gil, FORWARDED[AT].0, positional, named, keywords).map_or(null_mut(), Obj::into_raw)
    }
}

type Entry = ffi::PyCFunctionFastWithKeywords;

/// Functions that are written in Python: name, help, where a call arrives.
const FORWARDED: [(&CStr, &CStr, Entry); 4] = [
    (
        c"when",
        c"when(*, startswith=None, endswith=None, contains=None, matches=None, min_class=None, ignore_case=False, arg=None)\n--\n\nSays for which events a hook is; the hub keeps the others back.",
        enter::<0>,
    ),
    (
        c"command",
        c"command(name, *, help='', min_class=0)\n--\n\nMakes a function the answer to a command of users.",
        enter::<1>,
    ),
    (
        c"answer",
        c"answer(nick, text)\n--\n\nWrites to a user where the command came from: in the main chat, seen by that user only, or by private message.",
        enter::<2>,
    ),
    (
        c"users",
        c"users(*fields)\n--\n\nEverybody in the user list, each as a dict with the fields that are asked for, or all.",
        enter::<3>,
    ),
];

/// Puts the functions into the module.
pub fn add_functions(gil: Gil, module: &Obj) -> PyResult<()> {
    for (name, help, entry) in FORWARDED {
        module.set_attr(name, &with_keywords(gil, name, help, entry)?)?;
    }
    let check = builtin!(gil, c"_check_filters", c"", 1..=1, check_filters)?;
    module.set_attr(c"_check_filters", &check)?;
    let set = builtin!(gil, c"_set_commands", c"", 1..=1, set_commands)?;
    module.set_attr(c"_set_commands", &set)
}

/// # Safety
/// All objects are alive; `keywords` is NULL or a tuple of as many names as `named` has values.
unsafe fn forward(gil: Gil, name: &CStr, positional: &[Raw], named: &[Raw], keywords: Raw) -> PyResult<Obj> {
    let function = name_in(gil, &scope(gil)?, name)?;
    // SAFETY: the GIL is held.
    let tuple = unsafe { Obj::own(ffi::PyTuple_New(positional.len() as isize))? };
    let options = Obj::dict(gil)?;
    // SAFETY: promised by the caller; SetItem takes over the references.
    unsafe {
        for (at, value) in positional.iter().enumerate() {
            ffi::PyTuple_SetItem(tuple.raw(), at as isize, Obj::borrow(*value).into_raw());
        }
        for (at, value) in named.iter().enumerate() {
            let name = Obj::borrow(ffi::PyTuple_GetItem(keywords, at as isize));
            options.set_item(&name, &Obj::borrow(*value))?;
        }
        Obj::own(ffi::PyObject_Call(function.raw(), tuple.raw(), options.raw()))
    }
}

/// The names of the Python part, which is loaded if it is not yet.
fn scope(gil: Gil) -> PyResult<Obj> {
    if let Some(scope) = loaded(gil) {
        return Ok(scope);
    }
    let builtins = import(gil, c"builtins")?;
    let scope = Obj::dict(gil)?;
    let name = Obj::text(gil, "vh")?;
    for (key, value) in [
        ("vh", import(gil, c"vh")?),
        ("hooks", table_of_hooks(gil)?),
        ("USER_FIELDS", table_of_fields(gil)?),
        ("__builtins__", builtins.again()),
        ("__name__", name),
    ] {
        scope.set_item(&Obj::text(gil, key)?, &value)?;
    }
    let source = Obj::text(gil, include_str!("declare.py"))?;
    let (file, mode) = (Obj::text(gil, "<vh>")?, Obj::text(gil, "exec")?);
    let code = builtins.attr(c"compile")?.call(gil, [&source, &file, &mode])?;
    builtins.attr(c"exec")?.call(gil, [&code, &scope])?;
    let kept = scope.again();
    let old = SCOPE.with(gil, |place| place.replace(kept));
    drop(old);
    Ok(scope)
}

fn loaded(gil: Gil) -> Option<Obj> {
    SCOPE.with(gil, |scope| scope.as_ref().map(Obj::again))
}

fn name_in(gil: Gil, scope: &Obj, name: &CStr) -> PyResult<Obj> {
    let name = Obj::text(gil, &name.to_string_lossy())?;
    // SAFETY: both are alive; a name that is not there raises KeyError.
    unsafe { Obj::own(ffi::PyObject_GetItem(scope.raw(), name.raw())) }
}

/// For the Python part: number, places of arguments with text, which of them is usually meant, and
/// whether there is a nick.
fn table_of_hooks(gil: Gil) -> PyResult<Obj> {
    let table = Obj::dict(gil)?;
    for spec in &HOOKS {
        let places = Obj::dict(gil)?;
        for (at, arg) in spec.args.iter().enumerate().filter(|(_, arg)| arg.kind == ArgKind::Text) {
            places.set_item(&Obj::text(gil, arg.name)?, &Obj::int(gil, at as i64)?)?;
        }
        let usual = match spec.filtered {
            Some(at) => Obj::int(gil, at as i64)?,
            None => Obj::none(gil),
        };
        let has_nick = Obj::bool(gil, spec.hook.actor().is_some());
        let row = Obj::tuple(gil, [Obj::int(gil, spec.hook as i64)?, places, usual, has_nick])?;
        table.set_item(&Obj::text(gil, spec.name)?, &row)?;
    }
    Ok(table)
}

/// Which fields `vh.users` has, and whether they are numbers.
fn table_of_fields(gil: Gil) -> PyResult<Obj> {
    let table = Obj::dict(gil)?;
    for field in &USER_FIELDS {
        table.set_item(&Obj::text(gil, field.name)?, &Obj::bool(gil, field.is_number))?;
    }
    Ok(table)
}

// ------------------------------------------------------------- for the Python part

/// A list of the Python part's as it travels.
fn value_of(gil: Gil, list: Raw) -> PyResult<Value<'static>> {
    // SAFETY: the caller keeps the list alive until the value is a copy, and no Python code runs.
    unsafe {
        let value = Outgoing::argument(gil, &Encoding::Lossless).value(list, 0, &"what is declared")?;
        Ok(value.into_owned())
    }
}

fn check_filters(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    let filters = value_of(gil, args[0])?;
    Filters::read(&filters, Decoder::Utf8, None)
        .map_err(|error| raise(gil, Exception::Value, format_args!("vh.when(): {error}")))?;
    Ok(Obj::none(gil))
}

fn set_commands(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    let commands = value_of(gil, args[0])?;
    command::read(&commands)
        .map_err(|error| raise(gil, Exception::Value, format_args!("vh.command(): {error}")))?;
    COMMANDS.with(gil, |kept| *kept = commands);
    changes::make(gil);
    Ok(Obj::none(gil))
}

// -------------------------------------------------------------- for the other modules

/// The filter of a hook's function, as it travels.
pub fn filter_of(gil: Gil, hook: &str, function: &Obj) -> PyResult<Option<Value<'static>>> {
    let Some(scope) = loaded(gil) else { return Ok(None) };
    let filter = name_in(gil, &scope, c"filter_of")?.call(gil, [&Obj::text(gil, hook)?, function])?;
    if filter.is_none() { Ok(None) } else { value_of(gil, filter.raw()).map(Some) }
}

/// Which character each byte of the hub's is, or nil.
pub fn table(gil: Gil) -> PyResult<Value<'static>> {
    let Encoding::Other { name, .. } = text::hub() else { return Ok(Value::Nil) };
    let name = Obj::text(gil, &name.to_string_lossy())?;
    let table = name_in(gil, &scope(gil)?, c"table")?.call(gil, [&name])?;
    // Of several bytes each: the hub must know how.
    if table.is_none() { Ok(Value::Bool(true)) } else { value_of(gil, table.raw()) }
}

/// What is to be said about the declarations of a script that has run.
pub fn add_warnings(gil: Gil, globals: &Obj, warnings: &mut Vec<String>) -> PyResult<()> {
    let Some(scope) = loaded(gil) else { return Ok(()) };
    let list = name_in(gil, &scope, c"load_warnings")?.call(gil, [globals])?;
    // SAFETY: alive; what is no list has no size and raises, and its items are borrowed from it.
    unsafe {
        for at in 0..ffi::PyList_Size(list.raw()) {
            warnings.push(Obj::borrow(ffi::PyList_GetItem(list.raw(), at)).lossy(gil));
        }
    }
    Ok(())
}

/// Answers a command.
pub fn run_command(gil: Gil, name: &[u8], args: &[Value<'_>]) -> PyResult<()> {
    let run = name_in(gil, &scope(gil)?, c"run")?;
    let list = Obj::list(gil, args.len() + 1, |at| match at.checked_sub(1) {
        None => text::hub().text(gil, name),
        Some(at) => to_python(gil, &args[at], text::hub()),
    })?;
    // SAFETY: both are alive; `list` is a list, so what is made of it is a tuple.
    unsafe {
        let tuple = Obj::own(ffi::PyList_AsTuple(list.raw()))?;
        Obj::own(ffi::PyObject_Call(run.raw(), tuple.raw(), null_mut()))?;
    }
    Ok(())
}

/// The script's commands, as they travel.
pub fn commands(gil: Gil) -> Value<'static> {
    COMMANDS.with(gil, |commands| commands.clone())
}

/// Lets go of what was declared.
pub fn let_go(gil: Gil) {
    COMMANDS.with(gil, |commands| *commands = Value::Nil);
    let scope = SCOPE.with(gil, Option::take);
    drop(scope);
}
