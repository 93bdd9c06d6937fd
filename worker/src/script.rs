//! Loading the script: running its file as a module and finding its hooks; when hooks are
//! called is left to [`serve`](crate::serve).

use std::ffi::CStr;
use std::path::Path;

use plugin_abi::frame::Load;
use plugin_abi::{HOOKS, Hook, HookSet};
use pyo3::ffi;

use crate::py::{
    Gil, GilCell, Obj, PyResult, Raised, Raw, clear_error, import, is_exit, print_exception,
    restore_exception, status, take_exception, type_name,
};

/// The attribute that marks observers.
pub const OBSERVER: &CStr = c"__vh_observer__";

/// Set in a code object's flags when the function has `*args`.
const VARARGS: i64 = 4;

/// The function of a hook.
#[derive(Clone, Copy)]
pub struct Target {
    /// Kept alive by the script's table, until the script is let go of.
    pub function: Raw,
    /// How many of the hook's arguments it gets at most.
    pub arity: usize,
    /// Whether nobody waits for its answer.
    pub observer: bool,
}

struct Script {
    /// The module stays as long as its globals may be used, also where `sys.modules` has another.
    module: Option<Obj>,
    globals: Option<Obj>,
    name: String,
    targets: [Option<Target>; Hook::COUNT],
    observers: Vec<Obj>,
}

static SCRIPT: GilCell<Script> = GilCell::new(Script {
    module: None,
    globals: None,
    name: String::new(),
    targets: [None; Hook::COUNT],
    observers: Vec::new(),
});

/// The function of a hook, if the script has it.
#[inline]
pub fn target(gil: Gil, hook: Hook) -> Option<Target> {
    SCRIPT.with(gil, |script| script.targets[hook as usize])
}

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
        SCRIPT.with(gil, |script| script.observers.push(again));
    }
    Ok(function)
}

// --------------------------------------------------------------------- loading

/// Runs the script and finds its hooks: all of them, and those that are observers. The error
/// says file, line and reason; the traceback has been printed.
pub fn load(gil: Gil, load: &Load<'_>, warnings: &mut Vec<String>) -> Result<(HookSet, HookSet), String> {
    run(gil, load, warnings).and_then(|()| find_hooks(gil, warnings)).map_err(|Raised| failure(gil, load))
}

fn run(gil: Gil, load: &Load<'_>, warnings: &mut Vec<String>) -> PyResult<()> {
    let path = Obj::path(gil, &load.path)?;
    set_paths(gil, load, &path)?;
    let code = compile(gil, &load.path, &path)?;
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
    register(gil, &name, &module, warnings)?;
    let (kept, shown) = (globals.again(), String::from_utf8_lossy(stem).into_owned());
    SCRIPT.with(gil, |script| {
        script.module = Some(module);
        script.globals = Some(kept);
        script.name = shown;
    });
    // SAFETY: a code object and a dict, both alive.
    unsafe { Obj::own(ffi::PyEval_EvalCode(code.raw(), globals.raw(), globals.raw())).map(drop) }
}

/// The file's name without its extension.
pub fn stem(path: &[u8]) -> &[u8] {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    path.file_stem().unwrap_or_default().as_bytes()
}

fn folder(path: &[u8]) -> &[u8] {
    use std::os::unix::ffi::OsStrExt;
    let path = Path::new(std::ffi::OsStr::from_bytes(path));
    path.parent().unwrap_or(Path::new("")).as_os_str().as_bytes()
}

/// `sys.argv` and `sys.path`: the script's own folder, the hub's scripts, what Python has.
fn set_paths(gil: Gil, load: &Load<'_>, path: &Obj) -> PyResult<()> {
    let sys = import(gil, c"sys")?;
    sys.set_attr(c"argv", &Obj::list(gil, 1, |_| Ok(path.again()))?)?;
    let mut folders = vec![Obj::path(gil, folder(&load.path))?];
    if !load.scripts_dir.is_empty() && *load.scripts_dir != *folder(&load.path) {
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

fn compile(gil: Gil, path: &[u8], name: &Obj) -> PyResult<Obj> {
    use std::os::unix::ffi::OsStrExt;
    let source = match std::fs::read(std::ffi::OsStr::from_bytes(path)) {
        Ok(source) => Obj::bytes(gil, &source)?,
        Err(error) => {
            let number = error.raw_os_error().unwrap_or_default();
            // SAFETY: the GIL is held, the name is alive; errno names the reason.
            unsafe {
                *libc::__errno_location() = number;
                ffi::PyErr_SetFromErrnoWithFilenameObject(ffi::PyExc_OSError, name.raw());
            }
            return Err(Raised);
        }
    };
    let compile = import(gil, c"builtins")?.attr(c"compile")?;
    let (mode, flags, yes) = (Obj::text(gil, "exec")?, Obj::int(gil, 0)?, Obj::bool(gil, true));
    compile.call(gil, [&source, name, &mode, &flags, &yes])
}

/// Puts the script among the loaded modules, unless it would hide one that Python uses.
fn register(gil: Gil, name: &Obj, module: &Obj, warnings: &mut Vec<String>) -> PyResult<()> {
    let modules = import(gil, c"sys")?.attr(c"modules")?;
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
    modules.set_item(name, module)
}

/// Lets go of the script, so that the interpreter finalises what its globals hold as it does
/// for any program. To be called when no code of the script runs any more but that of daemon
/// threads.
pub fn let_go(gil: Gil) -> PyResult<()> {
    let nothing = Script {
        module: None,
        globals: None,
        name: String::new(),
        targets: [None; Hook::COUNT],
        observers: Vec::new(),
    };
    // Dropped outside of the cell: an object's end may run the script's code.
    let script = SCRIPT.with(gil, |script| std::mem::replace(script, nothing));
    let functions: Vec<Obj> = script
        .targets
        .into_iter()
        .flatten()
        // SAFETY: the table owned a reference to each function, which nobody uses any more.
        .filter_map(|target| unsafe { Obj::own(target.function) }.ok())
        .collect();
    drop(functions);
    let Some(module) = script.module else { return Ok(()) };
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

// ----------------------------------------------------------------------- hooks

fn find_hooks(gil: Gil, warnings: &mut Vec<String>) -> PyResult<(HookSet, HookSet)> {
    let (mut hooks, mut observers) = (HookSet::EMPTY, HookSet::EMPTY);
    for spec in &HOOKS {
        let Some(function) = global(gil, spec.name) else { continue };
        if !function.is_callable() {
            // SAFETY: the object is alive.
            let kind = unsafe { type_name(gil, function.raw()) };
            warnings.push(format!("{} is a {kind}, not a function: it is not called", spec.name));
            continue;
        }
        let observer = is_observer(gil, &function);
        let arity = arity(&function, spec.args.len(), spec.name, warnings);
        hooks.insert(spec.hook);
        if observer {
            observers.insert(spec.hook);
        }
        // The table keeps its reference, so a running hook cannot lose its function.
        let target = Target { function: function.into_raw(), arity, observer };
        SCRIPT.with(gil, |script| script.targets[spec.hook as usize] = Some(target));
    }
    warn_of_names(gil, warnings)?;
    if hooks.is_empty() {
        warnings.push("the script defines no hook, so the hub's events do not reach it".into());
    }
    Ok((hooks, observers))
}

fn is_observer(gil: Gil, function: &Obj) -> bool {
    let is_marked = function.attr_if_any(OBSERVER).is_some_and(|mark| !mark.is_none());
    is_marked
        || SCRIPT.with(gil, |script| script.observers.iter().any(|observer| observer.raw() == function.raw()))
}

/// Names that were probably meant to be hooks.
fn warn_of_names(gil: Gil, warnings: &mut Vec<String>) -> PyResult<()> {
    let Some(globals) = SCRIPT.with(gil, |script| script.globals.as_ref().map(Obj::again)) else {
        return Ok(());
    };
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
            }
        }
    }
    Ok(())
}

/// How many arguments a hook's function takes at most; `given` is what the table says.
fn arity(function: &Obj, given: usize, hook: &str, warnings: &mut Vec<String>) -> usize {
    let Some((least, most)) = signature(function) else {
        return given;
    };
    if least > given {
        warnings
            .push(format!("{hook} needs {least} arguments, but the hub gives {given}: every call will fail"));
    }
    // A host may hand over more than the table says: who takes everything gets it.
    most
}

/// The fewest and the most positional arguments of a function or method written in Python.
fn signature(function: &Obj) -> Option<(usize, usize)> {
    // A wrapper that passes everything on takes what the wrapped function takes.
    let mut function = function.again();
    for _ in 0..32 {
        match function.attr_if_any(c"__wrapped__") {
            Some(wrapped) if code_of(&function).is_some_and(|(.., flags)| flags & VARARGS != 0) => {
                function = wrapped;
            }
            _ => break,
        }
    }
    // A bound method passes on the attributes of its function; `__call__` of an object whose
    // class is written in Python is a bound method, too.
    let method = match function.attr_if_any(c"__func__") {
        Some(inner) => Some(inner),
        None if function.attr_if_any(c"__code__").is_none() => {
            Some(function.attr_if_any(c"__call__")?.attr_if_any(c"__func__")?)
        }
        None => None,
    };
    let (count, defaults, flags) = code_of(method.as_ref().unwrap_or(&function))?;
    let count = count.saturating_sub(usize::from(method.is_some()));
    let most = if flags & VARARGS != 0 { usize::MAX } else { count };
    Some((count.saturating_sub(defaults), most))
}

/// Positional parameters, how many of them have defaults, and the flags of a function's code.
fn code_of(function: &Obj) -> Option<(usize, usize, i64)> {
    let code = function.attr_if_any(c"__code__")?;
    let number = |name| code.attr_if_any(name)?.as_int();
    let defaults = function.attr_if_any(c"__defaults__").filter(|defaults| !defaults.is_none());
    // SAFETY: the object is alive; what is no tuple has no size and raises.
    let defaults = defaults.map_or(0, |defaults| unsafe { ffi::PyTuple_Size(defaults.raw()) });
    if defaults < 0 {
        clear_error();
    }
    let count = usize::try_from(number(c"co_argcount")?).ok()?;
    Some((count, defaults.max(0) as usize, number(c"co_flags")?))
}

// -------------------------------------------------------------------- failures

/// `FILE:LINE: Type: message` for the exception that is set, which is printed and forgotten.
fn failure(gil: Gil, load: &Load<'_>) -> String {
    let asked_to_exit = is_exit(gil);
    let Some(exception) = take_exception(gil) else {
        return "the script failed without an exception".into();
    };
    let file = String::from_utf8_lossy(&load.path).into_owned();
    let place = place(gil, &exception, &load.path).unwrap_or(file);
    let mut reason = format!("{place}: {}", describe(gil, &exception));
    if asked_to_exit {
        reason.push_str(" (the script asked to exit while it was loaded)");
        return reason;
    }
    restore_exception(gil, &exception);
    print_exception(gil);
    reason
}

/// `Type: message`.
pub fn describe(gil: Gil, exception: &Obj) -> String {
    // SAFETY: the exception is alive.
    let kind = unsafe { type_name(gil, exception.raw()) };
    // What str() of a SyntaxError adds is in front already, and that of an OSError repeats it.
    let message = match kind.as_str() {
        "SyntaxError" | "IndentationError" | "TabError" => exception.attr_if_any(c"msg"),
        "FileNotFoundError" | "PermissionError" | "IsADirectoryError" => exception.attr_if_any(c"strerror"),
        _ => None,
    };
    let message = message.or_else(|| {
        // SAFETY: the exception is alive.
        unsafe { Obj::own(ffi::PyObject_Str(exception.raw())) }.inspect_err(|_| clear_error()).ok()
    });
    match message.map(|message| message.lossy(gil)).filter(|message| !message.is_empty()) {
        Some(message) => format!("{kind}: {message}"),
        None => kind,
    }
}

/// `FILE:LINE`: where the script, or a module beside it, raised.
fn place(gil: Gil, exception: &Obj, script: &[u8]) -> Option<String> {
    if let (Some(file), Some(line)) = (exception.attr_if_any(c"filename"), exception.attr_if_any(c"lineno"))
        && let Some(line) = line.as_int()
    {
        return Some(format!("{}:{line}", file.lossy(gil)));
    }
    let folder = String::from_utf8_lossy(folder(script)).into_owned();
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
