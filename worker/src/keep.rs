//! From what the script and the modules beside it were loaded: the hub is told, so that it has a version
//! that serves; and that version is loaded when the hub says so, instead of what is on disk.

use std::sync::atomic::{AtomicUsize, Ordering};

use plugin_abi::frame::MAX_KEPT;
use plugin_abi::link::Notify;
use plugin_abi::{FromWorker, Value};
use pyo3::ffi;

use crate::channel;
use crate::function::builtin;
use crate::py::{Gil, GilCell, Obj, PyResult, Raw, import};
use crate::text::bytes_of_bytes;

/// What `keep.py` defines.
static SCOPE: GilCell<Option<Obj>> = GilCell::new(None);
/// How much the hub was told.
static TOLD: AtomicUsize = AtomicUsize::new(0);

/// Compiles what the others need, before there is a script.
pub fn prepare(gil: Gil) -> PyResult<()> {
    let scope = Obj::dict(gil)?;
    let builtins = import(gil, c"builtins")?;
    let report = builtin!(gil, c"report", c"", 2..=2, report)?;
    for (name, value) in
        [("__builtins__", &builtins), ("__name__", &Obj::text(gil, "vh._keep")?), ("report", &report)]
    {
        scope.set_item(&Obj::text(gil, name)?, value)?;
    }
    let source = Obj::text(gil, include_str!("keep.py"))?;
    builtins.attr(c"exec")?.call(gil, [&source, &scope])?;
    SCOPE.with(gil, |place| *place = Some(scope));
    Ok(())
}

fn defined(gil: Gil, name: &str) -> PyResult<Option<Obj>> {
    let Some(scope) = SCOPE.with(gil, |scope| scope.as_ref().map(Obj::again)) else { return Ok(None) };
    let name = Obj::text(gil, name)?;
    // SAFETY: both are alive, and the code that was run above gives the name a value.
    unsafe { Obj::own(ffi::PyObject_GetItem(scope.raw(), name.raw())).map(Some) }
}

/// The script of this folder is loaded, from these sources if there are any.
pub fn begin(gil: Gil, folder: &[u8], kept: &[(Value<'_>, Value<'_>)]) -> PyResult<()> {
    let Some(begin) = defined(gil, "begin")? else { return Ok(()) };
    let text = |value: &Value<'_>| value.as_text().unwrap_or_default().to_vec();
    let list = Obj::list(gil, kept.len(), |at| {
        let (name, source) = (text(&kept[at].0), text(&kept[at].1));
        Obj::tuple(gil, [Obj::path(gil, &name)?, Obj::bytes(gil, &source)?])
    })?;
    begin.call(gil, [&Obj::path(gil, folder)?, &list]).map(|_| ())
}

/// The script's own file was loaded from this.
pub fn note(gil: Gil, path: &Obj, source: &Obj) -> PyResult<()> {
    let Some(note) = defined(gil, "note")? else { return Ok(()) };
    note.call(gil, [path, source]).map(|_| ())
}

/// `report(file, source)`: tells the hub. More than it keeps is told as nothing at all, once.
fn report(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    // SAFETY: `keep.py` calls it with two objects of type `bytes`, which live until this returns.
    let (file, source) = unsafe { (bytes_of_bytes(args[0]), bytes_of_bytes(args[1])) };
    let before = TOLD.fetch_add(file.len() + source.len(), Ordering::Relaxed);
    if before <= MAX_KEPT && !channel::is_forked() {
        let is_too_much = before + file.len() + source.len() > MAX_KEPT;
        let (file, text): (&[u8], &[u8]) = if is_too_much { (b"", b"") } else { (file, source) };
        let frame = FromWorker::Source { file: file.into(), text: text.into() };
        channel::get(gil)?.send_frame(gil, frame, Notify::Ring)?;
    }
    Ok(Obj::none(gil))
}
