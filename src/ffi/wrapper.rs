//! The exported functions `w_*` about scripts, hooks and functions, as old hubs call them;
//! those about `w_Targs` are in [`pack`](super::pack).

use std::ffi::{CString, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::OnceLock;

use plugin_abi::{Answer, Call, HOOKS, Hook, Numbering, Value};

use super::chost::call_dynamic;
use super::state::{Running, visit};
use super::targs::{Callback, Targs};
use super::{Fault, guard, logger, state, targs, values};
use crate::host::ScriptId;
use crate::log_level;
use crate::supervisor::{CallError, Identity};

/// Starts, with the host's functions.
#[unsafe(no_mangle)]
unsafe extern "C" fn w_Begin(callbacks: *const Option<Callback>) -> c_int {
    logger::install();
    guard("w_Begin", 0, || {
        if callbacks.is_null() {
            return Err(Fault::Null("the table of callbacks"));
        }
        // SAFETY: the header asks for a table of 100 places that stays until w_End.
        unsafe { state::begin(callbacks) }.map(|()| 1)
    })
}

/// Unloads every script and stops.
#[unsafe(no_mangle)]
extern "C" fn w_End() -> c_int {
    guard("w_End", 0, || state::end().map(|()| 1))
}

/// The id that the next `w_Load` will use.
#[unsafe(no_mangle)]
extern "C" fn w_ReserveID() -> c_int {
    guard("w_ReserveID", -1, || visit(|running, _| Ok(running.supervisor.reserve_id().0)))
}

/// Loads a script: `"lssssls"`.
#[unsafe(no_mangle)]
unsafe extern "C" fn w_Load(args: *mut Targs) -> c_int {
    guard("w_Load", -1, || {
        // SAFETY: the header asks for a structure as its format says.
        let (format, elements) = unsafe { targs::parts(args) }?;
        if format != b"lssssls" {
            let given = format.escape_ascii();
            return Err(Fault::Refused(format!("the arguments have format \"{given}\", not \"lssssls\"")));
        }
        // SAFETY: the format says so.
        let text = |at: usize| unsafe { super::bytes(elements[at].value.text) };
        // SAFETY: as above.
        let number = |at: usize| unsafe { elements[at].value.long };
        let path = Path::new(OsStr::from_bytes(text(1).ok_or(Fault::Null("the script's path"))?));
        let id = i32::try_from(number(0)).map_err(|_| Fault::Refused("the id is too large".into()))?;
        let known = state::options().identity;
        let path_or = |at, known| text(at).map_or(known, |text| PathBuf::from(OsStr::from_bytes(text)));
        let identity = Identity {
            botname: text(2).map_or(known.botname, <[u8]>::to_vec),
            opchatname: text(3).map_or(known.opchatname, <[u8]>::to_vec),
            basedir: path_or(4, known.basedir),
            starttime: number(5),
            config_name: text(6).map_or(known.config_name, |text| String::from_utf8_lossy(text).into_owned()),
        };
        visit(|running, visit| {
            let id = (id >= 0).then_some(ScriptId(id));
            running.notice_table();
            let loaded = running.supervisor.load_as(&mut visit.host, id, path, Some(identity));
            let loaded = loaded.map_err(|error| Fault::Refused(format!("{}: {error}", path.display())))?;
            Ok(loaded.id.0)
        })
    })
}

/// Unloads a script.
#[unsafe(no_mangle)]
extern "C" fn w_Unload(id: c_int) -> c_int {
    guard("w_Unload", 0, || {
        visit(|running, visit| match running.supervisor.unload(&mut visit.host, ScriptId(id)) {
            true => Ok(1),
            false => Err(Fault::NoScript(id)),
        })
    })
}

/// Whether a script defines a hook. Hosts ask this at every tick of their timers, so waiting
/// calls of scripts are served here.
#[unsafe(no_mangle)]
extern "C" fn w_HasHook(id: c_int, hook: c_int) -> c_int {
    guard("w_HasHook", 0, || {
        // No number of a hook is no hook that anybody has.
        let Some(hook) = usize::try_from(hook).ok().and_then(Hook::from_number) else {
            return visit(|_, _| Ok(0));
        };
        state::has_hook(ScriptId(id), hook).map(c_int::from)
    })
}

/// One event to one script.
#[unsafe(no_mangle)]
unsafe extern "C" fn w_CallHook(id: c_int, hook: c_int, args: *mut Targs) -> *mut Targs {
    guard("w_CallHook", std::ptr::null_mut(), || {
        let hook = usize::try_from(hook).ok().and_then(Hook::from_number).ok_or(Fault::NoHook(hook))?;
        visit(|running, visit| {
            // SAFETY: the header asks for a structure as its format says, for as long as this
            // runs.
            let values = unsafe {
                let (format, elements) = targs::parts(args)?;
                values::read_any_event(hook, format, elements, running.encoding())?
            };
            let script = ScriptId(id);
            // One without this hook, stuck or dead goes on; only one that is not there is none.
            if !running.supervisor.contains(script) {
                return Err(Fault::NoScript(id));
            }
            let answer = running.supervisor.event_to(&mut visit.host, script, hook, &values);
            let answer = answer.unwrap_or(Answer::GoOn);
            Ok(values::write_answer(answer, id)?.as_ptr())
        })
    })
}

/// Calls a function of a script.
#[unsafe(no_mangle)]
unsafe extern "C" fn w_CallFunction(id: c_int, name: *const c_char, args: *mut Targs) -> *mut Targs {
    guard("w_CallFunction", std::ptr::null_mut(), || {
        // SAFETY: the header asks for a C string.
        let name = unsafe { super::utf8(name, "the function's name") }?;
        visit(|running, visit| {
            let values = match args.is_null() {
                true => Default::default(),
                // SAFETY: the header asks for a structure as its format says, for as long as
                // this runs.
                false => unsafe { values::read(args, running.encoding()) }?,
            };
            let write = |result: Value<'_>| values::write_return(&result, running.table.numbering(), id);
            let written = running.supervisor.call_with(&mut visit.host, ScriptId(id), name, &values, write);
            let written = written.map_err(|error| {
                let reason = format!("script {id}, {name}: {error}");
                // What a script raises is in the log already, with its traceback.
                if matches!(error, CallError::Raised(_)) {
                    Fault::Raised(reason)
                } else {
                    Fault::Refused(reason)
                }
            })?;
            Ok(written?.as_ptr())
        })
    })
}

/// Gives one script a function of the host.
#[unsafe(no_mangle)]
unsafe extern "C" fn w_RegisterFunction(id: c_int, name: *const c_char, function: Option<Callback>) -> c_int {
    guard("w_RegisterFunction", 0, || {
        let function = function.ok_or(Fault::Null("the callback"))?;
        // SAFETY: the header asks for a C string, and for a callback that can be called with
        // -1 and arguments until it is unregistered.
        unsafe {
            let name = super::utf8(name, "the function's name")?;
            register(id, name, move |args| function(-1, args))
        }
    })
}

/// Registers anything that takes arguments and answers like a callback.
///
/// # Safety
/// The answers are NULL or structures as their formats say, handed over.
pub(crate) unsafe fn register(
    id: c_int,
    name: &str,
    function: impl Fn(*mut Targs) -> *mut Targs + 'static,
) -> Result<c_int, Fault> {
    visit(|running, visit| {
        // The supervisor keeps the function, and must not keep itself alive with it.
        let weak: std::rc::Weak<Running> = Rc::downgrade(&visit.running);
        let called = name.to_owned();
        let registered = running.supervisor.register_raw(
            ScriptId(id),
            name,
            Rc::new(move |_, _, args: &[Value<'_>]| {
                let running = weak.upgrade().ok_or_else(|| Fault::NotBegun.to_string())?;
                super::take_last_error();
                // SAFETY: as the caller of `register` promises.
                unsafe { call_dynamic(&running, id, args, &function) }.map_err(|fault| {
                    let told = super::take_last_error().filter(|_| matches!(fault, Fault::Null(_)));
                    told.unwrap_or_else(|| format!("the host's function {called} failed: {fault}"))
                })
            }),
        );
        if registered { Ok(1) } else { Err(Fault::NoScript(id)) }
    })
}

/// Takes a function of the host away from a script.
#[unsafe(no_mangle)]
unsafe extern "C" fn w_UnregisterFunction(id: c_int, name: *const c_char) -> c_int {
    guard("w_UnregisterFunction", 0, || {
        // SAFETY: the header asks for a C string.
        let name = unsafe { super::utf8(name, "the function's name") }?;
        visit(|running, _| match running.supervisor.unregister(ScriptId(id), name) {
            true => Ok(1),
            false => Err(Fault::Refused(format!("script {id} has no function {name} of the host"))),
        })
    })
}

/// A hook's name.
#[unsafe(no_mangle)]
extern "C" fn w_HookName(hook: c_int) -> *const c_char {
    static NAMES: OnceLock<Vec<CString>> = OnceLock::new();
    guard("w_HookName", std::ptr::null(), || {
        let names = NAMES.get_or_init(|| c_names(HOOKS.iter().map(|spec| spec.name)));
        Ok(at(names, hook))
    })
}

/// The name of a place in the host's table, by the numbering in use.
#[unsafe(no_mangle)]
extern "C" fn w_CallName(place: c_int) -> *const c_char {
    static NAMES: OnceLock<[Vec<CString>; 2]> = OnceLock::new();
    guard("w_CallName", std::ptr::null(), || {
        let names = NAMES.get_or_init(|| [Numbering::V1_6, Numbering::V1_7].map(places));
        let numbering = visit(|running, _| Ok(running.table.numbering())).unwrap_or(Numbering::V1_6);
        Ok(at(&names[usize::from(numbering == Numbering::V1_7)], place))
    })
}

fn places(numbering: Numbering) -> Vec<CString> {
    let reserved = if numbering == Numbering::V1_6 { 42 } else { 43 };
    let count = if numbering == Numbering::V1_6 { 56 } else { 57 };
    c_names((0..count).map(|place| match Call::at_place(place, numbering) {
        Some(call) => call.name(),
        None => ["SQLQuery", "SQLFetch", "SQLFree"].get(place - reserved).copied().unwrap_or_default(),
    }))
}

fn c_names(names: impl Iterator<Item = &'static str>) -> Vec<CString> {
    names.map(|name| CString::new(name).unwrap_or_default()).collect()
}

fn at(names: &[CString], number: c_int) -> *const c_char {
    let name = usize::try_from(number).ok().and_then(|number| names.get(number));
    name.map_or(std::ptr::null(), |name| name.as_ptr())
}

/// A script's function has no address in this process.
#[unsafe(no_mangle)]
extern "C" fn w_GetHook(_: c_int) -> *mut c_void {
    std::ptr::null_mut()
}

/// How much vhpy says itself: from 0, errors only, to 5, everything. What scripts print has
/// the option `log_level`: the old plugin sets 1 here by itself and does not mean that.
#[unsafe(no_mangle)]
extern "C" fn w_LogLevel(level: c_int) {
    logger::install();
    log_level::set_own(level.into());
}
