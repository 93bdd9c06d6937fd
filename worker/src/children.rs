//! Processes that the script starts with `multiprocessing`: they can import `vh`, which says where
//! it can be used.
//!
//! `spawn` and `forkserver` hand on `sys.path`, by pickle, before they do anything else. So the
//! first entry of it is a `str` that is made again there by the code which makes the module known.

use plugin_abi::start::FIND;
use pyo3::ffi;

use crate::py::{Gil, GilCell, Obj, PyResult, import};

/// Why `vh` cannot be used in another process.
pub const ELSEWHERE: &str = "the hub is there for the script's own process, not for one that it started with \
                             multiprocessing: let that one return its result, and call vh in the script";

/// The kind of text that the folder is in `sys.path`, from when the interpreter has started until
/// the script gets it.
static KIND: GilCell<Option<Obj>> = GilCell::new(None);

/// Compiles what [`folder`] needs. That takes longer than to load a small script, so it is done
/// before there is one, while nobody waits.
pub fn prepare(gil: Gil) -> PyResult<()> {
    let source = Obj::text(gil, &format!("{FIND}{}", include_str!("children.py")))?;
    let scope = Obj::dict(gil)?;
    let library = import(gil, c"vh")?.attr(c"__spec__")?.attr(c"origin")?;
    let builtins = import(gil, c"builtins")?;
    let folder = Obj::text(gil, "")?;
    for (name, value) in
        [("source", &source), ("library", &library), ("folder", &folder), ("__builtins__", &builtins)]
    {
        scope.set_item(&Obj::text(gil, name)?, value)?;
    }
    builtins.attr(c"exec")?.call(gil, [&source, &scope])?;
    // SAFETY: both are alive, and the code above gives the name a value.
    let kind =
        unsafe { Obj::own(ffi::PyObject_GetItem(scope.raw(), Obj::text(gil, "ScriptFolder")?.raw()))? };
    KIND.with(gil, |place| *place = Some(kind));
    Ok(())
}

/// The script's folder as it has to stand in `sys.path`.
pub fn folder(gil: Gil, folder: &Obj) -> PyResult<Obj> {
    match KIND.with(gil, Option::take) {
        Some(kind) => kind.call(gil, [folder]),
        None => Ok(folder.again()),
    }
}
