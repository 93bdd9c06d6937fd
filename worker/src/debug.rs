//! `breakpoint()`: a line in the log, or pdb for whoever is attached with `vhpy debug`; how pdb is
//! opened is written in Python, and loaded when it is first needed.

use std::ops::ControlFlow;

use plugin_abi::frame::DebugAsk;
use plugin_abi::link::Notify;
use plugin_abi::{FromWorker, ToWorker, Value};
use pyo3::ffi;

use crate::channel::{self, is_forked};
use crate::declared;
use crate::function::builtin;
use crate::py::{self, Exception, Gil, Obj, PyResult, Raised, Raw, clear_error, import, raise};
use crate::text::Encoding;

/// No caller of `sys.breakpointhook` gives more arguments.
const MOST_ARGUMENTS: usize = 8;

/// Makes `breakpoint()` ask who is attached.
pub fn prepare(gil: Gil) -> PyResult<()> {
    let hook = builtin!(gil, c"breakpointhook", c"", 0..=MOST_ARGUMENTS, breakpoint)?;
    // Who names a debugger of their own gets it.
    if std::env::var_os("PYTHONBREAKPOINT").is_none() {
        import(gil, c"sys")?.set_attr(c"breakpointhook", &hook)?;
    }
    Ok(())
}

/// `vh._debug`, by which the Python part asks the hub.
pub fn add_function(gil: Gil, module: &Obj) -> PyResult<()> {
    module.set_attr(c"_debug", &builtin!(gil, c"_debug", c"", 1..=2, ask_for_python)?)
}

/// pdb would wait for a keyboard, and the hub for the script: where nobody is attached the script goes
/// on, and the log says where.
fn breakpoint(gil: Gil, _args: &[Raw]) -> PyResult<Obj> {
    let frame = import(gil, c"sys")?.attr(c"_getframe")?.call(gil, [])?;
    if is_attached(gil) {
        return declared::call_debugger(gil, c"stop", &frame);
    }
    let file = frame.attr(c"f_code")?.attr(c"co_filename")?.lossy(gil);
    let line = frame.attr(c"f_lineno")?.as_int().unwrap_or_default();
    py::warn(gil, &format!("breakpoint() in {file}, line {line}: nobody debugs this script, it goes on"));
    Ok(Obj::none(gil))
}

fn is_attached(gil: Gil) -> bool {
    // SAFETY: the GIL is held; True lives for ever.
    let is_true = |answer: Obj| answer.raw() == unsafe { ffi::Py_True() };
    !is_forked()
        && ask(gil, DebugAsk::Attached, Vec::new()).map(is_true).unwrap_or_else(|Raised| {
            clear_error();
            false
        })
}

/// `_debug(number, text='')`
fn ask_for_python(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    // SAFETY: the arguments are alive.
    let number = unsafe { Obj::borrow(args[0]) }.as_int().and_then(|number| usize::try_from(number).ok());
    let wish = number.and_then(|number| DebugAsk::ALL.get(number));
    let wish = wish.ok_or_else(|| raise(gil, Exception::Value, "there is no such wish"))?;
    let text = match args.get(1) {
        // SAFETY: as above, and the type is checked.
        Some(&text) if unsafe { ffi::PyUnicode_Check(text) } != 0 => unsafe {
            Encoding::Lossless.bytes_of(gil, text)?.into_owned()
        },
        _ => Vec::new(),
    };
    ask(gil, *wish, text)
}

/// Asks the hub, and waits for its answer for as long as it takes.
fn ask(gil: Gil, ask: DebugAsk, text: Vec<u8>) -> PyResult<Obj> {
    let channel = channel::get(gil)?;
    let id = channel.next_id(gil);
    // The hub does not wait for this thread while the debugger is open.
    let frame = FromWorker::Debug { id, ask, text: text.into() };
    channel.try_send_frame(gil, frame, Notify::Ring, &"breakpoint()")?;
    channel.wait(gil, Some(id), |frame| match frame {
        ToWorker::Reply { value: Value::Text(line), .. } => {
            channel::done(Obj::text(gil, &String::from_utf8_lossy(&line)))
        }
        ToWorker::Reply { value: Value::Bool(yes), .. } => channel::done(Ok(Obj::bool(gil, yes))),
        ToWorker::Reply { .. } | ToWorker::Refusal { .. } => channel::done(Ok(Obj::none(gil))),
        // Only the main thread is given anything else.
        other => channel.serve_nested(gil, other).map(ControlFlow::Continue),
    })
}
