//! The script's side of vhpy: the Python module `vh`, and the loop in which it serves a hub.
//!
//! One file serves every CPython from 3.10 on. A hub starts an interpreter with
//! [`plugin_abi::start::BOOT`], which loads this library and calls `vh._serve`.
//!
//! - [`serve`]: the life of a worker, from its first frame to its last
//! - [`script`]: loading the script, letting go of it
//! - [`hooks`], [`changes`], [`signature`]: its hooks, as they are now
//! - [`declared`]: which events they are for, and commands
//! - [`answer`]: what hooks return
//! - [`call`], [`reply`], [`nicks`]: the functions that the hub answers
//! - [`module`], [`store`], [`entities`]: what else there is in `vh`
//! - [`debug`]: what `breakpoint()` does
//! - [`timing`]: how long hooks take, and how often they raise
//! - [`channel`]: the link to the hub, shared by all threads
//! - [`children`]: processes that the script starts with `multiprocessing`
//! - [`keep`]: from what the script was loaded, and loading it from that
//! - [`limits`]: when the script has run into one
//! - [`convert`], [`text`]: Python objects and values
//! - [`py`], [`function`]: the interpreter's C interface
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]
// A panic here is one in the hub or in a script. Tests and the fuzz targets may.
#![cfg_attr(not(any(test, fuzzing)), warn(clippy::unwrap_used, clippy::expect_used))]

mod answer;
mod call;
mod changes;
mod channel;
mod children;
mod convert;
mod debug;
mod declared;
mod entities;
mod function;
mod hooks;
mod keep;
mod limits;
mod module;
mod nicks;
mod py;
mod reply;
mod script;
mod serve;
mod signature;
mod sql;
mod store;
mod text;
mod timing;

use std::ptr::null_mut;

use pyo3::ffi;

use function::builtin;
use py::{Gil, Obj, PyResult};

const DOC: &std::ffi::CStr = c"The hub, as its scripts see it: functions that the hub answers, what it is \
called, and the numbers that its functions take and give.";

/// Tells the hub which build this is.
#[used]
static BUILD: &str = plugin_abi::start::MARKED_BUILD;

/// What the interpreter calls to load the module.
#[unsafe(no_mangle)]
pub extern "C" fn PyInit_vh() -> *mut ffi::PyObject {
    let definition = Box::leak(Box::new(ffi::PyModuleDef {
        m_base: ffi::PyModuleDef_HEAD_INIT,
        m_name: c"vh".as_ptr(),
        m_doc: DOC.as_ptr(),
        m_size: -1,
        m_methods: null_mut(),
        m_slots: null_mut(),
        m_traverse: None,
        m_clear: None,
        m_free: None,
    }));
    // SAFETY: the interpreter calls with the GIL held; the definition is never freed.
    let filled = unsafe {
        let gil = Gil::assume();
        Obj::own(ffi::PyModule_Create2(definition, ffi::PYTHON_ABI_VERSION))
            .and_then(|module| fill(gil, &module).map(|()| module))
    };
    filled.map_or(null_mut(), Obj::into_raw)
}

fn fill(gil: Gil, module: &Obj) -> PyResult<()> {
    module::fill(gil, module)?;
    let help = c"_serve(hub_pid)\n--\n\nRuns a worker; only hubs call it.";
    module.set_attr(c"_serve", &builtin!(gil, c"_serve", help, 1..=1, serve::serve)?)
}
