//! Loading the script: running its file as a module, and letting go of it in the end.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use plugin_abi::Value;
use plugin_abi::frame::{Load, Wants};
use pyo3::ffi;

use crate::py::{
    Gil, GilCell, Obj, PyResult, Raised, clear_error, describe, import, is_exit, print_exception,
    restore_exception, status, take_exception,
};
use crate::{children, declared, hooks, keep};

struct Script {
    /// The module stays as long as its globals may be used, also where `sys.modules` has another.
    module: Option<Obj>,
    globals: Option<Obj>,
    name: String,
}

static SCRIPT: GilCell<Script> = GilCell::new(Script { module: None, globals: None, name: String::new() });

/// The script's name.
pub fn name(gil: Gil) -> String {
    SCRIPT.with(gil, |script| script.name.clone())
}

/// What the script calls by this name at top level.
pub fn global(gil: Gil, name: &str) -> Option<Obj> {
    let globals = SCRIPT.with(gil, |script| script.globals.as_ref().map(Obj::again))?;
    let name = Obj::text(gil, name).inspect_err(|_| clear_error()).ok()?;
    // SAFETY: both are alive and `globals` is a dict; the result is borrowed from it.
    unsafe {
        let found = ffi::PyDict_GetItemWithError(globals.raw(), name.raw());
        if found.is_null() {
            clear_error();
            return None;
        }
        Some(Obj::borrow(found))
    }
}

// --------------------------------------------------------------------- loading

/// A script that was compiled: its code, and from what.
struct Compiled {
    code: Obj,
    source: Obj,
}

/// The script that was compiled before it is to run, and its file.
static PREPARED: GilCell<Option<(Vec<u8>, Compiled)>> = GilCell::new(None);

/// Compiles the script of this file, so that it is known whether that can be done. The error says file,
/// line and reason.
pub fn prepare(gil: Gil, path: &[u8]) -> Result<(), String> {
    let compiled = Obj::path(gil, path).and_then(|name| compile(gil, read(gil, path, &name)?, &name));
    let compiled = compiled.map_err(|Raised| failure(gil, path))?;
    PREPARED.with(gil, |prepared| *prepared = Some((path.to_vec(), compiled)));
    Ok(())
}

/// The script that is to be loaded: the kept one, the one that was compiled, or the one on disk.
fn compiled(gil: Gil, load: &Load<'_>, name: &Obj) -> PyResult<Compiled> {
    let folder = folder_of(&load.path);
    let own = load.path.strip_prefix(folder).unwrap_or(&load.path);
    let own = own.strip_prefix(b"/").unwrap_or(own);
    if let Some((_, kept)) = load.kept.iter().find(|(file, _)| file.as_text() == Some(own)) {
        return compile(gil, Obj::bytes(gil, kept.as_text().unwrap_or_default())?, name);
    }
    let prepared = PREPARED.with(gil, Option::take);
    match prepared.filter(|(path, _)| **path == *load.path) {
        Some((_, compiled)) => Ok(compiled),
        None => compile(gil, read(gil, &load.path, name)?, name),
    }
}

/// Runs the script and finds its hooks: all of them, and those that are observers. The error
/// says file, line and reason; the traceback has been printed.
pub fn load(gil: Gil, load: &Load<'_>, warnings: &mut Vec<String>) -> Result<Wants<'static>, String> {
    run_and_find(gil, load, warnings).map_err(|Raised| {
        let mut reason = failure(gil, &load.path);
        // These are what a load fails for.
        if warn_of_hidden_modules(gil, load, warnings).is_err() {
            clear_error();
        }
        for warning in warnings {
            reason.push_str("; ");
            reason.push_str(warning);
        }
        reason
    })
}

fn run_and_find(gil: Gil, load: &Load<'_>, warnings: &mut Vec<String>) -> PyResult<Wants<'static>> {
    let globals = run(gil, load, warnings)?;
    let wants = hooks::find(gil, &globals, warnings)?;
    hooks::warn_of_names(gil, &globals, warnings)?;
    warn_of_hidden_modules(gil, load, warnings)?;
    if wants.hooks.is_empty() && wants.commands == Value::Nil {
        warnings.push("the script defines no hook, so the hub's events do not reach it".into());
    }
    Ok(wants)
}

/// Runs the script and gives its globals.
fn run(gil: Gil, load: &Load<'_>, warnings: &mut Vec<String>) -> PyResult<Obj> {
    let path = Obj::path(gil, &load.path)?;
    set_paths(gil, load, &path)?;
    keep::begin(gil, folder_of(&load.path), &load.kept)?;
    let Compiled { code, source } = compiled(gil, load, &path)?;
    keep::note(gil, &path, &source)?;
    let stem = stem(&load.path);
    let name = Obj::path(gil, stem)?;
    // SAFETY: `name` is a str; the dict of a module is borrowed from it.
    let (module, globals) = unsafe {
        let module = Obj::own(ffi::PyModule_NewObject(name.raw()))?;
        let globals = Obj::borrow(ffi::PyModule_GetDict(module.raw()));
        (module, globals)
    };
    let builtins = import(gil, c"builtins")?;
    let vh = import(gil, c"vh")?;
    for (name, value) in [("__file__", &path), ("__builtins__", &builtins), ("vh", &vh)] {
        globals.set_item(&Obj::text(gil, name)?, value)?;
    }
    if is_package(&load.path) {
        let folder = Obj::path(gil, parent(&load.path).as_os_str().as_bytes())?;
        let folders = Obj::list(gil, 1, |_| Ok(folder.again()))?;
        for (key, value) in [("__path__", &folders), ("__package__", &name)] {
            globals.set_item(&Obj::text(gil, key)?, value)?;
        }
    }
    register(gil, &name, &module, warnings)?;
    let (kept, shown) = (globals.again(), String::from_utf8_lossy(stem).into_owned());
    SCRIPT.with(gil, |script| {
        script.module = Some(module);
        script.globals = Some(kept);
        script.name = shown;
    });
    // SAFETY: a code object and a dict, both alive.
    unsafe { Obj::own(ffi::PyEval_EvalCode(code.raw(), globals.raw(), globals.raw()))? };
    Ok(globals)
}

/// The name of the script of this file, and of its module: the file's without extension; for a
/// package, the folder's.
pub fn stem(path: &[u8]) -> &[u8] {
    let name = if is_package(path) { parent(path).file_name() } else { as_path(path).file_stem() };
    name.unwrap_or_default().as_bytes()
}

/// The folder from which the script can be imported.
fn folder_of(path: &[u8]) -> &[u8] {
    let folder = parent(path);
    let folder = if is_package(path) { folder.parent().unwrap_or(folder) } else { folder };
    folder.as_os_str().as_bytes()
}

fn is_package(path: &[u8]) -> bool {
    as_path(path).file_name().is_some_and(|name| name == "__init__.py") && parent(path).file_name().is_some()
}

fn parent(path: &[u8]) -> &Path {
    as_path(path).parent().unwrap_or(Path::new(""))
}

fn as_path(path: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(path))
}

/// `sys.argv` and `sys.path`: the script's own folder, the hub's scripts, what Python has.
fn set_paths(gil: Gil, load: &Load<'_>, path: &Obj) -> PyResult<()> {
    let sys = import(gil, c"sys")?;
    sys.set_attr(c"argv", &Obj::list(gil, 1, |_| Ok(path.again()))?)?;
    let own = folder_of(&load.path);
    let mut folders = vec![children::folder(gil, &Obj::path(gil, own)?)?];
    if !load.scripts_dir.is_empty() && *load.scripts_dir != *own {
        folders.push(Obj::path(gil, &load.scripts_dir)?);
    }
    let list = sys.attr(c"path")?;
    // SAFETY: sys.path is alive; the functions raise if the script's site code made it
    // anything but a list.
    unsafe {
        // What `python3 -c` puts first is the folder in which the hub happens to run.
        if ffi::PyList_Size(list.raw()) > 0 {
            let first = Obj::borrow(ffi::PyList_GetItem(list.raw(), 0));
            if ffi::PyObject_IsTrue(first.raw()) == 0 {
                status(ffi::PyList_SetSlice(list.raw(), 0, 1, std::ptr::null_mut()))?;
            }
        }
        let folders = Obj::list(gil, folders.len(), |at| Ok(folders[at].again()))?;
        status(ffi::PyList_SetSlice(list.raw(), 0, 0, folders.raw()))
    }
}

fn read(gil: Gil, path: &[u8], name: &Obj) -> PyResult<Obj> {
    match std::fs::read(as_path(path)) {
        Ok(source) => Obj::bytes(gil, &source),
        Err(error) => {
            let number = error.raw_os_error().unwrap_or_default();
            // SAFETY: the GIL is held, the name is alive; errno names the reason.
            unsafe {
                *libc::__errno_location() = number;
                ffi::PyErr_SetFromErrnoWithFilenameObject(ffi::PyExc_OSError, name.raw());
            }
            Err(Raised)
        }
    }
}

fn compile(gil: Gil, source: Obj, name: &Obj) -> PyResult<Compiled> {
    let compile = import(gil, c"builtins")?.attr(c"compile")?;
    let (mode, flags, yes) = (Obj::text(gil, "exec")?, Obj::int(gil, 0)?, Obj::bool(gil, true));
    let code = compile.call(gil, [&source, name, &mode, &flags, &yes])?;
    Ok(Compiled { code, source })
}

/// Puts the script among the loaded modules, unless it would hide one that Python uses.
fn register(gil: Gil, name: &Obj, module: &Obj, warnings: &mut Vec<String>) -> PyResult<()> {
    let sys = import(gil, c"sys")?;
    let modules = sys.attr(c"modules")?;
    // SAFETY: both are alive; sys.modules is a dict, or the function raises.
    let is_taken = unsafe { ffi::PyDict_Contains(modules.raw(), name.raw()) };
    status(is_taken)?;
    if is_taken != 0 {
        let name = name.lossy(gil);
        warnings.push(format!(
            "Python itself uses a module {name}: the script runs, but what it pickles or imports by \
             that name is not the script; rename the file"
        ));
        return Ok(());
    }
    let standard = sys.attr(c"stdlib_module_names")?;
    // SAFETY: both are alive.
    let is_standard = unsafe { ffi::PySequence_Contains(standard.raw(), name.raw()) };
    status(is_standard)?;
    if is_standard != 0 {
        let name = name.lossy(gil);
        warnings.push(format!(
            "Python has a module {name}, and what is in this folder gets the script when it imports that: \
             rename the file"
        ));
    }
    modules.set_item(name, module)
}

/// Warns of files beside the script that were imported in place of modules of Python's own.
fn warn_of_hidden_modules(gil: Gil, load: &Load<'_>, warnings: &mut Vec<String>) -> PyResult<()> {
    let folders =
        [String::from_utf8_lossy(folder_of(&load.path)), String::from_utf8_lossy(&load.scripts_dir)];
    let own = String::from_utf8_lossy(stem(&load.path));
    let sys = import(gil, c"sys")?;
    let (modules, standard) = (sys.attr(c"modules")?, sys.attr(c"stdlib_module_names")?);
    // SAFETY: alive; what is no dict raises. The list is this function's alone, and its items are
    // pairs that it keeps.
    unsafe {
        let items = Obj::own(ffi::PyDict_Items(modules.raw()))?;
        for at in 0..ffi::PyList_Size(items.raw()) {
            let pair = ffi::PyList_GetItem(items.raw(), at);
            let name = Obj::borrow(ffi::PyTuple_GetItem(pair, 0));
            let module = Obj::borrow(ffi::PyTuple_GetItem(pair, 1));
            if ffi::PySequence_Contains(standard.raw(), name.raw()) != 1 {
                clear_error();
                continue;
            }
            let Some(file) = module.attr_if_any(c"__file__").filter(|file| !file.is_none()) else { continue };
            let (name, file) = (name.lossy(gil), file.lossy(gil));
            let folder = Path::new(&file).parent().unwrap_or(Path::new(""));
            if name != own && folders.iter().any(|known| !known.is_empty() && folder == Path::new(&**known)) {
                warnings
                    .push(format!("{file} was imported in place of Python's own module {name}: rename it"));
            }
        }
    }
    Ok(())
}

/// Lets go of the script, so that the interpreter finalises what its globals hold as it does
/// for any program. To be called when no code of the script runs any more but that of daemon
/// threads.
pub fn let_go(gil: Gil) -> PyResult<()> {
    hooks::let_go(gil);
    declared::let_go(gil);
    // Dropped outside of the cell: an object's end may run the script's code.
    let (module, globals) = SCRIPT.with(gil, |script| (script.module.take(), script.globals.take()));
    drop(globals);
    let Some(module) = module else { return Ok(()) };
    let sys = import(gil, c"sys")?;
    // Its own name there may be another's.
    sys.attr(c"modules")?.set_item(&Obj::text(gil, "vh.script")?, &module)?;
    let frames = sys.attr(c"_current_frames")?.call(gil, [])?;
    // This thread has no frame. SAFETY: alive; what is no dict has no size and raises.
    if unsafe { ffi::PyDict_Size(frames.raw()) } > 0 {
        // A daemon thread is in a function of the script for ever, perhaps, and keeps its globals.
        // The interpreter empties the globals of modules that are still there in the end.
        std::mem::forget(module);
    }
    Ok(())
}

// -------------------------------------------------------------------- failures

/// `FILE:LINE: Type: message` for the exception that is set, which is printed and forgotten.
fn failure(gil: Gil, path: &[u8]) -> String {
    let asked_to_exit = is_exit(gil);
    let Some(exception) = take_exception(gil) else {
        return "the script failed without an exception".into();
    };
    let file = String::from_utf8_lossy(path).into_owned();
    let place = place(gil, &exception, path).unwrap_or(file);
    let mut reason = format!("{place}: {}", describe(gil, &exception));
    if asked_to_exit {
        reason.push_str(" (the script asked to exit while it was loaded)");
        return reason;
    }
    restore_exception(gil, &exception);
    print_exception(gil);
    reason
}

/// `FILE:LINE`: where the script that runs raised.
pub fn place_of(gil: Gil, exception: &Obj) -> Option<String> {
    let file = global(gil, "__file__").map(|file| file.lossy(gil)).unwrap_or_default();
    place(gil, exception, file.as_bytes())
}

/// `FILE:LINE`: where the script, or a module beside it, raised.
fn place(gil: Gil, exception: &Obj, script: &[u8]) -> Option<String> {
    if let (Some(file), Some(line)) = (exception.attr_if_any(c"filename"), exception.attr_if_any(c"lineno"))
        && let Some(line) = line.as_int()
    {
        return Some(format!("{}:{line}", file.lossy(gil)));
    }
    let folder = parent(script).to_string_lossy().into_owned();
    let is_ours = |file: &str| {
        let rest = file.strip_prefix(&folder).and_then(|rest| rest.strip_prefix('/'));
        rest.is_some_and(|rest| !rest.contains("site-packages"))
    };
    let mut found = None;
    let mut entry = exception.attr_if_any(c"__traceback__");
    while let Some(traceback) = entry.filter(|entry| !entry.is_none()) {
        let code = traceback.attr_if_any(c"tb_frame")?.attr_if_any(c"f_code")?;
        let file = code.attr_if_any(c"co_filename")?.lossy(gil);
        if found.is_none() || is_ours(&file) {
            found = Some(format!("{file}:{}", traceback.attr_if_any(c"tb_lineno")?.as_int()?));
        }
        entry = traceback.attr_if_any(c"tb_next");
    }
    found
}
