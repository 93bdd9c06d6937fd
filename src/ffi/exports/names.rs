//! What things are called, and of which types they are: hooks, the host's functions, this library.

use std::ffi::{CString, c_char, c_int, c_void};
use std::sync::OnceLock;

use plugin_abi::{Call, HOOKS, Hook, Numbering};

use crate::ffi::fault::{Fault, guard};
use crate::ffi::library::visit;

/// The library's version.
#[unsafe(no_mangle)]
extern "C" fn vhpy_version() -> *const c_char {
    const { concat!(env!("CARGO_PKG_VERSION"), "\0") }.as_ptr().cast()
}

/// The format of a hook's arguments.
#[unsafe(no_mangle)]
extern "C" fn vhpy_hook_format(number: c_int) -> *const c_char {
    static FORMATS: OnceLock<Vec<CString>> = OnceLock::new();
    guard("vhpy_hook_format", std::ptr::null(), || {
        let hook = usize::try_from(number).ok().and_then(Hook::from_number).ok_or(Fault::NoHook(number))?;
        let formats = FORMATS.get_or_init(|| {
            let format = |spec: &plugin_abi::HookSpec| {
                spec.args.iter().map(|arg| arg.kind.format()).collect::<String>()
            };
            HOOKS.iter().map(|spec| CString::new(format(spec)).unwrap_or_default()).collect()
        });
        Ok(formats[hook as usize].as_ptr())
    })
}

/// What the functions of a numbering take and answer, by place.
type Formats = Vec<Option<(CString, CString)>>;

/// The formats of a place in the host's table: its arguments, or its answer.
#[unsafe(no_mangle)]
extern "C" fn vhpy_call_format(place: c_int, answer: c_int) -> *const c_char {
    static FORMATS: OnceLock<[Formats; 2]> = OnceLock::new();
    guard("vhpy_call_format", std::ptr::null(), || {
        let formats = FORMATS.get_or_init(|| {
            [Numbering::V1_6, Numbering::V1_7].map(|numbering| {
                (0..57)
                    .map(|place| {
                        let spec = Call::at_place(place, numbering)?.spec();
                        Some((CString::new(spec.host_format()).ok()?, CString::new(spec.answer).ok()?))
                    })
                    .collect()
            })
        });
        let numbering = visit(|running, _| Ok(running.table.numbering())).unwrap_or(Numbering::V1_6);
        let row = usize::try_from(place)
            .ok()
            .and_then(|place| formats[usize::from(numbering == Numbering::V1_7)].get(place)?.as_ref());
        Ok(row.map_or(std::ptr::null(), |(takes, gives)| if answer != 0 { gives } else { takes }.as_ptr()))
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
