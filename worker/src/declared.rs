//! What scripts declare with `vh.when` and `vh.command`, and what they want done beside their hooks,
//! with `vh.every`, `vh.after` and `vh.spawn`: most of it is written in Python, and loaded when a
//! script first uses one of them; a script that uses none pays nothing for it.

use std::ffi::CStr;
use std::ptr::null_mut;
use std::time::Duration;

use plugin_abi::call::USER_FIELDS;
use plugin_abi::command;
use plugin_abi::filter::{Decoder, Filters};
use plugin_abi::frame::DebugAsk;
use plugin_abi::hook::ArgKind;
use plugin_abi::{FromWorker, HOOKS, Value};
use pyo3::ffi;

use crate::changes;
use crate::channel;
use crate::convert::{Outgoing, to_python};
use crate::function::{builtin, split_arguments, with_keywords};
use crate::py::{Exception, Gil, GilCell, Obj, PyResult, Raw, import, raise};
use crate::text::{self, Encoding};

/// The script's commands, as they travel.
static COMMANDS: GilCell<Value<'static>> = GilCell::new(Value::Nil);

/// A part that is written in Python.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// Filters, commands, users.
    Declare,
    /// Timers and coroutines.
    Later,
    /// pdb.
    Debug,
}

impl Part {
    const fn source(self) -> &'static str {
        match self {
            Part::Declare => include_str!("declare.py"),
            Part::Later => include_str!("later.py"),
            Part::Debug => include_str!("debug.py"),
        }
    }
}

/// Whether the script has run to its end.
static HAS_LOADED: GilCell<bool> = GilCell::new(false);

/// The names of the Python parts that are loaded.
static SCOPES: GilCell<[Option<Obj>; 3]> = GilCell::new([const { None }; 3]);

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
        let (name, _, _, part) = FORWARDED[AT];
        forward(gil, part, name, positional, named, keywords).map_or(null_mut(), Obj::into_raw)
    }
}

type Entry = ffi::PyCFunctionFastWithKeywords;

/// Functions that are written in Python: name, help, where a call arrives, where they are.
const FORWARDED: [(&CStr, &CStr, Entry, Part); 7] = [
    (
        c"when",
        c"when(*, startswith=None, endswith=None, contains=None, matches=None, min_class=None, ignore_case=False, arg=None)\n--\n\nSays for which events a hook is; the hub keeps the others back.",
        enter::<0>,
        Part::Declare,
    ),
    (
        c"command",
        c"command(name, *, help='', min_class=0)\n--\n\nMakes a function the answer to a command of users.",
        enter::<1>,
        Part::Declare,
    ),
    (
        c"answer",
        c"answer(nick, text)\n--\n\nWrites to a user where the command came from: in the main chat, seen by that user only, or by private message.",
        enter::<2>,
        Part::Declare,
    ),
    (
        c"users",
        c"users(*fields)\n--\n\nEverybody in the user list, each as a dict with the fields that are asked for, or all.",
        enter::<3>,
        Part::Declare,
    ),
    (
        c"every",
        c"every(seconds, /)\n--\n\nCalls a function, or starts a coroutine, again and again, on a thread beside the hooks.",
        enter::<4>,
        Part::Later,
    ),
    (
        c"after",
        c"after(seconds, function, /, *args)\n--\n\nCalls a function, or starts a coroutine, once, on a thread beside the hooks.",
        enter::<5>,
        Part::Later,
    ),
    (
        c"spawn",
        c"spawn(coroutine, /)\n--\n\nRuns a coroutine on a loop beside the hooks; gives its concurrent.futures.Future.",
        enter::<6>,
        Part::Later,
    ),
];

/// Puts the functions into the module.
pub fn add_functions(gil: Gil, module: &Obj) -> PyResult<()> {
    for (name, help, entry, _) in FORWARDED {
        module.set_attr(name, &with_keywords(gil, name, help, entry)?)?;
    }
    let check = builtin!(gil, c"_check_filters", c"", 1..=1, check_filters)?;
    module.set_attr(c"_check_filters", &check)?;
    let later = builtin!(gil, c"_later", c"", 1..=1, put_off)?;
    module.set_attr(c"_later", &later)?;
    let set = builtin!(gil, c"_set_commands", c"", 1..=1, set_commands)?;
    module.set_attr(c"_set_commands", &set)
}

/// # Safety
/// All objects are alive; `keywords` is NULL or a tuple of as many names as `named` has values.
unsafe fn forward(
    gil: Gil,
    part: Part,
    name: &CStr,
    positional: &[Raw],
    named: &[Raw],
    keywords: Raw,
) -> PyResult<Obj> {
    let function = name_in(gil, &scope(gil, part)?, name)?;
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

/// What the debugger asks of the hub, as its Python part names it.
const DEBUG_ASKS: [(&str, DebugAsk); 5] = [
    ("OPEN", DebugAsk::Open),
    ("WRITE", DebugAsk::Write),
    ("READ", DebugAsk::Read),
    ("CLOSE", DebugAsk::Close),
    ("STEP", DebugAsk::Step),
];

/// Calls a function of the debugger with the frame that it is for.
pub fn call_debugger(gil: Gil, name: &CStr, frame: &Obj) -> PyResult<Obj> {
    name_in(gil, &scope(gil, Part::Debug)?, name)?.call(gil, [frame])
}

/// The names of a Python part, which is loaded if it is not yet.
fn scope(gil: Gil, part: Part) -> PyResult<Obj> {
    if let Some(scope) = loaded(gil, part) {
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
        ("loaded", Obj::bool(gil, HAS_LOADED.with(gil, |has_loaded| *has_loaded))),
    ] {
        scope.set_item(&Obj::text(gil, key)?, &value)?;
    }
    if part == Part::Debug {
        for (key, ask) in DEBUG_ASKS {
            scope.set_item(&Obj::text(gil, key)?, &Obj::int(gil, ask as i64)?)?;
        }
    }
    let source = Obj::text(gil, part.source())?;
    let (file, mode) = (Obj::text(gil, "<vh>")?, Obj::text(gil, "exec")?);
    let code = builtins.attr(c"compile")?.call(gil, [&source, &file, &mode])?;
    builtins.attr(c"exec")?.call(gil, [&code, &scope])?;
    let kept = scope.again();
    let old = SCOPES.with(gil, |scopes| scopes[part as usize].replace(kept));
    drop(old);
    Ok(scope)
}

fn loaded(gil: Gil, part: Part) -> Option<Obj> {
    SCOPES.with(gil, |scopes| scopes[part as usize].as_ref().map(Obj::again))
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

/// Asks the hub to say when no event is in flight any more.
fn put_off(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    // SAFETY: `args` holds one living object.
    let number = unsafe { Obj::borrow(args[0]) }.as_int().and_then(|number| u64::try_from(number).ok());
    let channel = channel::get(gil)?;
    channel.send_frame(gil, FromWorker::Later(number.unwrap_or_default()), channel.notify(gil))?;
    Ok(Obj::none(gil))
}

// -------------------------------------------------------------- for the other modules

/// The filter of a hook's function, as it travels.
pub fn filter_of(gil: Gil, hook: &str, function: &Obj) -> PyResult<Option<Value<'static>>> {
    let Some(scope) = loaded(gil, Part::Declare) else { return Ok(None) };
    let filter = name_in(gil, &scope, c"filter_of")?.call(gil, [&Obj::text(gil, hook)?, function])?;
    if filter.is_none() { Ok(None) } else { value_of(gil, filter.raw()).map(Some) }
}

/// Which character each byte of the hub's is, or nil.
pub fn table(gil: Gil) -> PyResult<Value<'static>> {
    let Encoding::Other { name, .. } = text::hub() else { return Ok(Value::Nil) };
    let name = Obj::text(gil, &name.to_string_lossy())?;
    let table = name_in(gil, &scope(gil, Part::Declare)?, c"table")?.call(gil, [&name])?;
    // Of several bytes each: the hub must know how.
    if table.is_none() { Ok(Value::Bool(true)) } else { value_of(gil, table.raw()) }
}

/// What is to be said about the declarations of a script that has run.
pub fn add_warnings(gil: Gil, globals: &Obj, warnings: &mut Vec<String>) -> PyResult<()> {
    let Some(scope) = loaded(gil, Part::Declare) else { return Ok(()) };
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
    let run = name_in(gil, &scope(gil, Part::Declare)?, c"run")?;
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

/// Runs the coroutine that an async hook gave.
pub fn spawn(gil: Gil, coroutine: &Obj) -> PyResult<()> {
    name_in(gil, &scope(gil, Part::Later)?, c"spawn")?.call(gil, [coroutine]).map(drop)
}

/// The script has run to its end: from now on its timers run.
pub fn has_loaded(gil: Gil) -> PyResult<()> {
    // Also where there is none yet: the next one may run at once.
    HAS_LOADED.with(gil, |has_loaded| *has_loaded = true);
    let Some(scope) = loaded(gil, Part::Later) else { return Ok(()) };
    name_in(gil, &scope, c"has_loaded")?.call(gil, []).map(drop)
}

/// The hub says that no event is in flight any more.
pub fn no_event_since(gil: Gil, number: u64) -> PyResult<()> {
    let Some(scope) = loaded(gil, Part::Later) else { return Ok(()) };
    let number = Obj::int(gil, i64::try_from(number).unwrap_or(i64::MAX))?;
    name_in(gil, &scope, c"no_event_since")?.call(gil, [&number]).map(drop)
}

/// Ends timers and coroutines, and waits for them for a while.
pub fn stop(gil: Gil, patience: Duration) -> PyResult<()> {
    let Some(scope) = loaded(gil, Part::Later) else { return Ok(()) };
    let patience = Obj::float(gil, patience.as_secs_f64())?;
    name_in(gil, &scope, c"stop")?.call(gil, [&patience]).map(drop)
}

/// Lets go of what was declared.
pub fn let_go(gil: Gil) {
    COMMANDS.with(gil, |commands| *commands = Value::Nil);
    let scopes = SCOPES.with(gil, |scopes| std::mem::replace(scopes, [const { None }; 3]));
    drop(scopes);
}
