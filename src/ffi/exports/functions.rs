//! Functions: the scripts' for the host, and the host's for one script.

use std::ffi::{c_char, c_int, c_void};
use std::rc::Rc;

use plugin_abi::Value;

use crate::ffi::chost::call_dynamic;
use crate::ffi::fault::{Fault, guard, take_last_error, utf8};
use crate::ffi::library::visit;
use crate::ffi::running::Running;
use crate::ffi::targs::{Callback, Targs};
use crate::ffi::values;
use crate::supervisor::CallError;
use crate::supervisor::ScriptId;

/// Calls a function of a script.
#[unsafe(no_mangle)]
unsafe extern "C" fn w_CallFunction(id: c_int, name: *const c_char, args: *mut Targs) -> *mut Targs {
    guard("w_CallFunction", std::ptr::null_mut(), || {
        // SAFETY: the header asks for a C string.
        let name = unsafe { utf8(name, "the function's name") }?;
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
            let name = utf8(name, "the function's name")?;
            register(id, name, move |args| function(-1, args))
        }
    })
}

/// Registers anything that takes arguments and answers like a callback.
///
/// # Safety
/// The answers are NULL or structures as their formats say, handed over.
unsafe fn register(
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
                take_last_error();
                // SAFETY: as the caller of `register` promises.
                unsafe { call_dynamic(&running, id, args, &function) }.map_err(|fault| {
                    let told = take_last_error().filter(|_| matches!(fault, Fault::Null(_)));
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
        let name = unsafe { utf8(name, "the function's name") }?;
        visit(|running, _| match running.supervisor.unregister(ScriptId(id), name) {
            true => Ok(1),
            false => Err(Fault::Refused(format!("script {id} has no function {name} of the host"))),
        })
    })
}

/// Gives one script a function of the host that has data of its own.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_register(
    id: c_int,
    name: *const c_char,
    function: Option<unsafe extern "C" fn(*mut c_void, *mut Targs) -> *mut Targs>,
    data: *mut c_void,
    drop_data: Option<unsafe extern "C" fn(*mut c_void)>,
) -> c_int {
    struct Data(*mut c_void, Option<unsafe extern "C" fn(*mut c_void)>);
    impl Drop for Data {
        fn drop(&mut self) {
            if let Some(drop_data) = self.1 {
                // SAFETY: the header asks for a function that takes this data, once.
                unsafe { drop_data(self.0) };
            }
        }
    }
    let data = Data(data, drop_data);
    guard("vhpy_register", 0, || {
        let function = function.ok_or(Fault::Null("the function"))?;
        // SAFETY: the header asks for a C string, and for a function as callbacks are.
        unsafe {
            let name = utf8(name, "the function's name")?;
            register(id, name, move |args| {
                let data = &data;
                function(data.0, args)
            })
        }
    })
}
