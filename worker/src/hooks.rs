//! The script's hooks: the functions that have their names at top level now, and whether that is
//! what the hub knows; calling them is left to [`serve`](crate::serve).
//!
//! A script may give a hook another function at any time, set it to `None` or delete it, as
//! inside of a hub that looks it up for each call. So the table here is compared with the
//! script's globals before each event and each answer, if [`changes`] says that they are
//! different. The hub is told of other hooks before it is told anything else.

use std::ffi::CStr;

use plugin_abi::frame::Wants;
use plugin_abi::{FromWorker, HOOKS, Hook, Value};
use pyo3::ffi;

use crate::channel::Channel;
use crate::py::{
    Exception, Gil, GilCell, Obj, PyResult, Raised, Raw, clear_error, describe, import, raise,
    take_exception, type_name, warn,
};
use crate::{changes, declared, signature};

/// The attribute that marks observers.
const OBSERVER: &CStr = c"__vh_observer__";

/// What has a hook's name.
struct Named {
    object: Obj,
    /// How it is called, if it can be.
    called: Option<Called>,
}

/// How a hook is called.
struct Called {
    /// How many arguments it gets at most.
    arity: usize,
    /// Whether it wants nobody to wait for its answer.
    observer: bool,
    /// Whether a call of it gives a coroutine. Such a hook is an observer.
    is_async: bool,
    /// Which events it is for, as it travels.
    filter: Option<Value<'static>>,
}

struct Hooks {
    /// The script's, while it serves.
    globals: Option<Obj>,
    names: [Option<Obj>; Hook::COUNT],
    named: [Option<Named>; Hook::COUNT],
    /// Functions that cannot carry the mark.
    observers: Vec<Obj>,
    /// How the hub's bytes are read where there are filters.
    table: Option<Value<'static>>,
    /// What the hub was told.
    told: Option<Wants<'static>>,
}

impl Hooks {
    const fn new() -> Hooks {
        Hooks {
            globals: None,
            names: [const { None }; Hook::COUNT],
            named: [const { None }; Hook::COUNT],
            observers: Vec::new(),
            table: None,
            told: None,
        }
    }
}

static STATE: GilCell<Hooks> = GilCell::new(Hooks::new());

/// The function of a hook, how many arguments it gets, and whether it gives a coroutine, if the
/// script has it.
#[inline]
pub fn target(gil: Gil, hook: Hook) -> Option<(Obj, usize, bool)> {
    STATE.with(gil, |state| {
        let named = state.named[hook as usize].as_ref()?;
        named.called.as_ref().map(|called| (named.object.again(), called.arity, called.is_async))
    })
}

/// `@vh.observer`: marks a function, and gives it back.
pub fn observer(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    let Some(&function) = args.first() else {
        // `@vh.observer()` is meant like `@vh.observer`.
        return import(gil, c"vh")?.attr(c"observer");
    };
    // SAFETY: the argument is alive.
    let function = unsafe { Obj::borrow(function) };
    if function.set_attr(OBSERVER, &Obj::bool(gil, true)).is_err() {
        clear_error();
        let again = function.again();
        STATE.with(gil, |state| state.observers.push(again));
    }
    Ok(function)
}

fn is_observer(gil: Gil, function: &Obj) -> bool {
    let is_marked = function.attr_if_any(OBSERVER).is_some_and(|mark| !mark.is_none());
    is_marked
        || STATE.with(gil, |state| state.observers.iter().any(|observer| observer.raw() == function.raw()))
}

/// Finds the hooks of a script that has been loaded. The hub is told what this gives. A filter that
/// cannot be used is an error.
pub fn find(gil: Gil, globals: &Obj, warnings: &mut Vec<String>) -> PyResult<Wants<'static>> {
    for spec in &HOOKS {
        // SAFETY: the GIL is held; the text of a `str` that is made here is valid.
        let name = unsafe {
            let mut name = Obj::text(gil, spec.name)?.into_raw();
            ffi::PyUnicode_InternInPlace(&mut name);
            Obj::own(name)?
        };
        STATE.with(gil, |state| state.names[spec.hook as usize] = Some(name));
    }
    let kept = globals.again();
    STATE.with(gil, |state| state.globals = Some(kept));
    changes::watch(gil, globals);
    if let Some(wrong) = look(gil, warnings).into_iter().next() {
        return Err(raise(gil, Exception::Value, wrong));
    }
    declared::add_warnings(gil, globals, warnings)?;
    Ok(to_be_told(gil).unwrap_or_default())
}

/// Tells the hub if the script has other hooks now. One comparison, where nothing has changed.
#[inline]
pub fn keep_up(gil: Gil, channel: &Channel) -> PyResult<()> {
    if changes::are_there(gil) { catch_up(gil, channel) } else { Ok(()) }
}

#[cold]
fn catch_up(gil: Gil, channel: &Channel) -> PyResult<()> {
    if STATE.with(gil, |state| state.told.is_none()) {
        // The script is still being run.
        return Ok(());
    }
    let mut warnings = Vec::new();
    let wrong = look(gil, &mut warnings);
    warnings.iter().chain(&wrong).for_each(|warning| warn(gil, warning));
    // No code of the script's runs in between, so what is told last is how it is.
    match to_be_told(gil) {
        Some(wants) => channel.send_frame(gil, FromWorker::Hooks(wants), channel.notify(gil)),
        None => Ok(()),
    }
}

/// What the script wants, if it is not what the hub was told.
fn to_be_told(gil: Gil) -> Option<Wants<'static>> {
    let commands = declared::commands(gil);
    STATE.with(gil, |state| {
        let mut wants = Wants { commands, ..Wants::default() };
        let mut filters = Vec::new();
        for (spec, named) in HOOKS.iter().zip(&state.named) {
            if let Some(called) = named.as_ref().and_then(|named| named.called.as_ref()) {
                wants.hooks.insert(spec.hook);
                if called.observer {
                    wants.observers.insert(spec.hook);
                }
                filters.extend(called.filter.clone());
            }
        }
        if !filters.is_empty() {
            wants.filters = Value::List(filters);
            wants.table = state.table.clone().unwrap_or_default();
        }
        if state.told.as_ref() == Some(&wants) {
            return None;
        }
        state.told = Some(wants.clone());
        Some(wants)
    })
}

/// Makes the table what the globals are. Gives what is wrong with filters: a hook whose filter
/// cannot be used is not called.
fn look(gil: Gil, warnings: &mut Vec<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    // First: what changes while this looks may run code of the script's.
    let has_new_names = changes::look(gil);
    let mut from = 0;
    while let Some((at, now)) = STATE.with(gil, |state| next_difference(state, from, has_new_names)) {
        let named = now.map(|object| {
            let called = call_of(gil, &object, at, warnings).unwrap_or_else(|why| {
                wrong.push(why);
                None
            });
            Named { object, called }
        });
        let old = STATE.with(gil, |state| std::mem::replace(&mut state.named[at], named));
        // Outside of the cell: an object's end may run Python code.
        drop(old);
        from = at + 1;
    }
    wrong
}

/// The first hook from this one on whose name is something else now, and what.
fn next_difference(state: &Hooks, from: usize, has_new_names: bool) -> Option<(usize, Option<Obj>)> {
    let globals = state.globals.as_ref()?;
    (from..Hook::COUNT).find_map(|at| {
        let known = state.named[at].as_ref();
        let name = state.names[at].as_ref().filter(|_| known.is_some() || has_new_names)?;
        // SAFETY: both are alive and `globals` is a dict; the result is borrowed from it. Names
        // are compared without running Python code, because they are all `str`.
        let now = unsafe { ffi::PyDict_GetItemWithError(globals.raw(), name.raw()) };
        if now == known.map_or(std::ptr::null_mut(), |known| known.object.raw()) {
            return None;
        }
        // SAFETY: alive, in the globals.
        Some((at, (!now.is_null()).then(|| unsafe { Obj::borrow(now) })))
    })
}

/// How what has a hook's name is called. `None` is a hook that is switched off.
fn call_of(gil: Gil, object: &Obj, at: usize, warnings: &mut Vec<String>) -> Result<Option<Called>, String> {
    let spec = &HOOKS[at];
    if object.is_none() {
        return Ok(None);
    }
    if !object.is_callable() {
        // SAFETY: the object is alive.
        let kind = unsafe { type_name(gil, object.raw()) };
        warnings.push(format!("{} is a {kind}, not a function: it is not called", spec.name));
        return Ok(None);
    }
    let observer = is_observer(gil, object);
    let filter = filter_of(gil, spec.name, object).map_err(|Raised| {
        let exception = take_exception(gil);
        let text = exception.map_or_else(String::new, |exception| describe(gil, &exception));
        text.strip_prefix("ValueError: ").unwrap_or(&text).to_owned()
    })?;
    let (arity, is_async) = signature::arity(gil, spec, object, warnings);
    Ok(Some(Called { arity, observer: observer || is_async, is_async, filter }))
}

/// The filter of a function; with the first one comes how bytes are read.
fn filter_of(gil: Gil, hook: &str, object: &Obj) -> PyResult<Option<Value<'static>>> {
    let filter = declared::filter_of(gil, hook, object)?;
    if filter.is_some() && STATE.with(gil, |state| state.table.is_none()) {
        let table = declared::table(gil)?;
        STATE.with(gil, |state| state.table = Some(table));
    }
    Ok(filter)
}

/// Lets go of the script's functions.
pub fn let_go(gil: Gil) {
    changes::stop(gil);
    // Dropped outside of the cell.
    let state = STATE.with(gil, |state| std::mem::replace(state, Hooks::new()));
    drop(state);
}

/// Warnings of names that were probably meant to be hooks.
pub fn warn_of_names(gil: Gil, globals: &Obj, warnings: &mut Vec<String>) -> PyResult<()> {
    // SAFETY: `globals` is a dict; its list of items lives while it is walked, and has pairs.
    unsafe {
        let items = Obj::own(ffi::PyDict_Items(globals.raw()))?;
        for at in 0..ffi::PyList_Size(items.raw()) {
            let pair = ffi::PyList_GetItem(items.raw(), at);
            let (name, value) = (ffi::PyTuple_GetItem(pair, 0), ffi::PyTuple_GetItem(pair, 1));
            if ffi::PyUnicode_Check(name) == 0 || ffi::PyCallable_Check(value) == 0 {
                continue;
            }
            let name = Obj::borrow(name).lossy(gil);
            let meant = Hook::meant_by(&name).map(Hook::name);
            let is_unload = name != "UnLoad" && name.eq_ignore_ascii_case("unload");
            if let Some(meant) = meant.or(is_unload.then_some("UnLoad")) {
                warnings.push(format!("{name} is no hook and is not called; {meant} was probably meant"));
            } else if is_hook_like(&name) && Obj::borrow(value).attr_if_any(c"__code__").is_some() {
                warnings.push(format!("{name} is no hook: the hub does not call it by itself"));
            }
        }
    }
    Ok(())
}

/// Whether a name is of the form of hooks' names, but no hook's.
fn is_hook_like(name: &str) -> bool {
    let rest = name.strip_prefix("On").unwrap_or_default();
    rest.starts_with(|first: char| first.is_ascii_uppercase()) && Hook::from_name(name).is_none()
}
