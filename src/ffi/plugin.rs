//! The exported functions `vhpy_*`, for hosts that were made for this library: one event for
//! all scripts, waiting calls, lists, the console, options. `vhpy.h` documents them.

use std::ffi::{CString, OsStr, c_char, c_int, c_long, c_longlong, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use plugin_abi::{Call, Hook, Numbering};

use super::logger::{self, LogFunction};
use super::state::{configure, visit};
use super::targs::{Element, Targs, is_known, malloc_text};
use super::{Fault, guard, state, values, wrapper};
use crate::host::ScriptId;
use crate::supervisor::console::script_files;
use crate::supervisor::option;
use crate::supervisor::{Config, Loaded, Replacement, ScriptStatus, Verdict};

/// `vhpy_verdict`.
#[repr(C)]
struct CVerdict {
    blocked: c_int,
    replaces: c_int,
    parts: [*mut c_char; 5],
    send: *mut c_char,
    send_length: usize,
}

const NOTHING: CVerdict = CVerdict {
    blocked: 0,
    replaces: 0,
    parts: [std::ptr::null_mut(); 5],
    send: std::ptr::null_mut(),
    send_length: 0,
};

/// `vhpy_script`.
#[repr(C)]
struct CScript {
    id: c_int,
    name: *const c_char,
    path: *const c_char,
    state: *const c_char,
    pid: c_long,
    uptime: f64,
    restarts: c_longlong,
    events: c_longlong,
    memory: c_longlong,
}

fn hook(number: c_int) -> Result<Hook, Fault> {
    usize::try_from(number).ok().and_then(Hook::from_number).ok_or(Fault::NoHook(number))
}

fn owned(text: &[u8]) -> Result<*mut c_char, Fault> {
    malloc_text(text).map(|text| text.as_ptr()).ok_or(Fault::Memory)
}

/// The library's version.
#[unsafe(no_mangle)]
extern "C" fn vhpy_version() -> *const c_char {
    const { concat!(env!("CARGO_PKG_VERSION"), "\0") }.as_ptr().cast()
}

/// One event for all scripts.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_event(
    number: c_int,
    args: *const Element,
    count: usize,
    verdict: *mut CVerdict,
) -> c_int {
    if !verdict.is_null() {
        // SAFETY: the header asks for a verdict to fill.
        unsafe { verdict.write(NOTHING) };
    }
    // A failure here must not stop the hub's users: the event goes on.
    guard("vhpy_event", 1, || {
        let hook = hook(number)?;
        if args.is_null() && count > 0 {
            return Err(Fault::Null("the array of arguments"));
        }
        // SAFETY: the header asks for `count` elements that say their type.
        let elements = if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(args, count) } };
        let format: smallformat::Format = elements.iter().map(|element| element.kind as u8).collect();
        if let Some(letter) = format.iter().copied().find(|&letter| !is_known(letter)) {
            return Err(Fault::UnknownLetter(letter));
        }
        // SAFETY: as above.
        let values = unsafe { values::read_event(hook, &format, elements) }?;
        let answer = visit(|running, visit| Ok(running.supervisor.event(&mut visit.host, hook, &values)))?;
        let blocked = answer.blocked;
        if !verdict.is_null() {
            // SAFETY: as above.
            unsafe { fill(&mut *verdict, answer) }?;
        }
        Ok(c_int::from(!blocked))
    })
}

/// Room for the letters of any hook without a block from the heap.
mod smallformat {
    use std::ops::Deref;

    #[derive(Default)]
    pub(super) struct Format {
        letters: [u8; 8],
        count: usize,
    }

    impl FromIterator<u8> for Format {
        /// More than eight letters fit no hook; the last place then counts them.
        fn from_iter<I: IntoIterator<Item = u8>>(letters: I) -> Format {
            let mut format = Format::default();
            for letter in letters {
                let at = format.count.min(format.letters.len() - 1);
                format.letters[at] = letter;
                format.count = at + 1;
            }
            format
        }
    }

    impl Deref for Format {
        type Target = [u8];

        fn deref(&self) -> &[u8] {
            &self.letters[..self.count]
        }
    }
}

fn fill(verdict: &mut CVerdict, answer: Verdict) -> Result<(), Fault> {
    verdict.blocked = answer.blocked.into();
    let parts: Vec<Option<Vec<u8>>> = match answer.replacement {
        None => vec![],
        Some(Replacement::Chat { nick, message }) => {
            verdict.replaces = 1;
            vec![nick, message]
        }
        Some(Replacement::MyInfo(parts)) => {
            verdict.replaces = 2;
            parts.into()
        }
    };
    for (place, part) in verdict.parts.iter_mut().zip(parts) {
        if let Some(part) = part {
            *place = owned(&part)?;
        }
    }
    if !answer.send.is_empty() {
        let data = answer.send.concat();
        verdict.send = owned(&data)?;
        verdict.send_length = data.len();
    }
    Ok(())
}

/// Frees what a verdict holds.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_verdict_free(verdict: *mut CVerdict) {
    if verdict.is_null() {
        return;
    }
    // SAFETY: the header asks for a verdict that `vhpy_event` filled; its texts are from
    // `malloc` or NULL.
    unsafe {
        let old = verdict.replace(NOTHING);
        old.parts.into_iter().chain([old.send]).for_each(|text| libc::free(text.cast()));
    }
}

/// Frees a text or list that the library gave.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_free(block: *mut c_void) {
    // SAFETY: the header asks for NULL or such a block.
    unsafe { libc::free(block) };
}

/// Whether any script defines a hook.
#[unsafe(no_mangle)]
extern "C" fn vhpy_wants(number: c_int) -> c_int {
    guard("vhpy_wants", 0, || {
        let hook = hook(number)?;
        state::wants(hook).map(c_int::from)
    })
}

/// A descriptor that is readable when `vhpy_serve` has something to do.
#[unsafe(no_mangle)]
extern "C" fn vhpy_poll_fd() -> c_int {
    guard("vhpy_poll_fd", -1, || visit(|running, _| Ok(running.supervisor.poll_fd())))
}

/// Serves the scripts' waiting calls, notices deaths, restarts what is due.
#[unsafe(no_mangle)]
extern "C" fn vhpy_serve() -> c_int {
    guard("vhpy_serve", 0, || {
        visit(|running, visit| {
            running.supervisor.serve(&mut visit.host);
            Ok(1)
        })
    })
}

fn loaded(result: Result<Loaded, impl std::fmt::Display>, what: &str) -> Result<c_int, Fault> {
    result.map(|loaded| loaded.id.0).map_err(|error| Fault::Refused(format!("{what}: {error}")))
}

/// # Safety
/// `path` is NULL or a C string that lives for `'a`.
unsafe fn path<'a>(path: *const c_char, what: &'static str) -> Result<&'a Path, Fault> {
    // SAFETY: as the caller promises.
    Ok(Path::new(OsStr::from_bytes(unsafe { super::bytes(path) }.ok_or(Fault::Null(what))?)))
}

/// Loads a script.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_load(file: *const c_char) -> c_int {
    guard("vhpy_load", -1, || {
        // SAFETY: the header asks for a C string.
        let file = unsafe { path(file, "the script's path") }?;
        visit(|running, visit| {
            running.notice_table();
            loaded(running.supervisor.load(&mut visit.host, file), &file.display().to_string())
        })
    })
}

/// Loads every script of a folder.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_load_all(folder: *const c_char) -> c_int {
    guard("vhpy_load_all", -1, || {
        // SAFETY: the header asks for a C string.
        let folder = unsafe { path(folder, "the folder") }?;
        let files =
            script_files(folder).map_err(|error| Fault::Refused(format!("{}: {error}", folder.display())))?;
        visit(|running, visit| {
            running.notice_table();
            let results = running.supervisor.load_all(&mut visit.host, &files);
            let mut count = 0;
            for (result, file) in results.into_iter().zip(&files) {
                match loaded(result, &file.display().to_string()) {
                    Ok(_) => count += 1,
                    Err(fault) => log::error!("{fault}"),
                }
            }
            Ok(count)
        })
    })
}

/// Loads a script anew.
#[unsafe(no_mangle)]
extern "C" fn vhpy_reload(id: c_int) -> c_int {
    guard("vhpy_reload", -1, || {
        visit(|running, visit| {
            running.notice_table();
            loaded(running.supervisor.reload(&mut visit.host, ScriptId(id)), &format!("script {id}"))
        })
    })
}

/// The script that an operator means.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_find(what: *const c_char) -> c_int {
    guard("vhpy_find", -1, || {
        // SAFETY: the header asks for a C string.
        let what = unsafe { super::utf8(what, "the name") }?;
        visit(|running, _| Ok(running.supervisor.find(what).map_or(-1, |id| id.0)))
    })
}

/// All scripts, as an array in one block.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_status(scripts: *mut *mut CScript) -> usize {
    if scripts.is_null() {
        return 0;
    }
    // SAFETY: the header asks for a place for the array's address.
    unsafe { scripts.write(std::ptr::null_mut()) };
    guard("vhpy_status", 0, || {
        let list = visit(|running, _| Ok(running.supervisor.scripts()))?;
        // SAFETY: as above.
        unsafe { scripts.write(status_block(&list)?) };
        Ok(list.len())
    })
}

/// The structures, then their texts.
fn status_block(list: &[ScriptStatus]) -> Result<*mut CScript, Fault> {
    let texts = |script: &ScriptStatus| {
        [script.name.as_bytes(), script.path.as_os_str().as_bytes(), script.state.as_bytes()]
            .map(<[u8]>::to_vec)
    };
    let room: usize = list.iter().flat_map(texts).map(|text| text.len() + 1).sum();
    // SAFETY: the block has room for all structures, aligned for anything, and behind them
    // for all texts with their NULs, which the zeroes of `calloc` are.
    unsafe {
        let block = libc::calloc(1, list.len() * size_of::<CScript>() + room + 1).cast::<CScript>();
        if block.is_null() {
            return Err(Fault::Memory);
        }
        let mut text_at = block.add(list.len()).cast::<u8>();
        for (at, script) in list.iter().enumerate() {
            let [name, path, state] = texts(script).map(|text| {
                let place = text_at;
                place.copy_from_nonoverlapping(text.as_ptr(), text.len());
                text_at = place.add(text.len() + 1);
                place.cast::<c_char>().cast_const()
            });
            block.add(at).write(CScript {
                id: script.id.0,
                name,
                path,
                state,
                pid: script.pid.map_or(0, c_long::from),
                uptime: script.uptime.map_or(0.0, |uptime| uptime.as_secs_f64()),
                restarts: script.restarts.try_into().unwrap_or(c_longlong::MAX),
                events: script.events.try_into().unwrap_or(c_longlong::MAX),
                memory: script.memory.unwrap_or(0).try_into().unwrap_or(c_longlong::MAX),
            });
        }
        Ok(block)
    }
}

/// Runs an operator's command.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_console(command: *const c_char) -> *mut c_char {
    guard("vhpy_console", std::ptr::null_mut(), || {
        // SAFETY: the header asks for a C string.
        let command = unsafe { super::bytes(command) }.ok_or(Fault::Null("the command"))?;
        let command = String::from_utf8_lossy(command);
        let answer = visit(|running, visit| Ok(running.supervisor.console(&mut visit.host, &command)))?;
        answer.map_or(Ok(std::ptr::null_mut()), |answer| owned(answer.as_bytes()))
    })
}

/// Why the last call of this thread failed.
#[unsafe(no_mangle)]
extern "C" fn vhpy_last_error() -> *const c_char {
    super::last_error()
}

/// The reason for the NULL that a host's function is about to answer.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_set_error(reason: *const c_char) {
    // SAFETY: the header asks for a C string.
    let reason = unsafe { super::bytes(reason) }.unwrap_or_default();
    super::remember(&String::from_utf8_lossy(reason));
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
            let name = super::utf8(name, "the function's name")?;
            wrapper::register(id, name, move |args| {
                let data = &data;
                function(data.0, args)
            })
        }
    })
}

/// Sends log lines to a function of the host.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_set_log(function: Option<LogFunction>, data: *mut c_void) {
    logger::install();
    logger::set_sink(function, data);
}

/// The hub's bots have new names.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_set_names(botname: *const c_char, opchatname: *const c_char) -> c_int {
    guard("vhpy_set_names", 0, || {
        // SAFETY: the header asks for C strings.
        let (botname, opchatname) = unsafe { (super::bytes(botname), super::bytes(opchatname)) };
        configure(|config| {
            config.identity.botname = botname.map_or_else(|| config.identity.botname.clone(), <[u8]>::to_vec);
            config.identity.opchatname =
                opchatname.map_or_else(|| config.identity.opchatname.clone(), <[u8]>::to_vec);
            Ok(())
        })?;
        let names = state::options().identity;
        match visit(|running, _| {
            running.supervisor.set_names(&names.botname, &names.opchatname);
            Ok(())
        }) {
            // Before `w_Begin` the names wait in the options.
            Ok(()) | Err(Fault::NotBegun) => Ok(1),
            Err(fault) => Err(fault),
        }
    })
}

/// Sets an option; see `vhpy.h` for their names.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_set_option(name: *const c_char, value: *const c_char) -> c_int {
    logger::install();
    guard("vhpy_set_option", 0, || {
        // SAFETY: the header asks for C strings.
        let (name, value) = unsafe { (super::utf8(name, "the option's name")?, super::bytes(value)) };
        let value = value.ok_or(Fault::Null("the option's value"))?;
        configure(|config| set_option(config, name, value)).map(|()| 1)
    })
}

fn set_option(config: &mut Config, name: &str, value: &[u8]) -> Result<(), Fault> {
    Ok(option::find(name)?.set(config, value)?)
}

/// The name of the option at this place among those that operators choose; NULL after the
/// last.
#[unsafe(no_mangle)]
extern "C" fn vhpy_option_name(at: c_int) -> *const c_char {
    static NAMES: std::sync::OnceLock<Vec<CString>> = std::sync::OnceLock::new();
    guard("vhpy_option_name", std::ptr::null(), || {
        let names = NAMES.get_or_init(|| {
            option::of_operators().map(|option| CString::new(option.name).unwrap_or_default()).collect()
        });
        let name = usize::try_from(at).ok().and_then(|at| names.get(at));
        Ok(name.map_or(std::ptr::null(), |name| name.as_ptr()))
    })
}

/// Options for hubs that know nothing of them.
pub(crate) fn options_from_environment(config: &mut Config) {
    for option in &option::OPTIONS {
        if let Some(value) = std::env::var_os(format!("VHPY_{}", option.name.to_ascii_uppercase()))
            && let Err(error) = option.set(config, value.as_bytes())
        {
            log::error!("environment: {error}");
        }
    }
}

/// The format of a hook's arguments.
#[unsafe(no_mangle)]
extern "C" fn vhpy_hook_format(number: c_int) -> *const c_char {
    static FORMATS: std::sync::OnceLock<Vec<CString>> = std::sync::OnceLock::new();
    guard("vhpy_hook_format", std::ptr::null(), || {
        let hook = hook(number)?;
        let formats = FORMATS.get_or_init(|| {
            let format = |spec: &plugin_abi::HookSpec| {
                spec.args.iter().map(|arg| arg.kind.format()).collect::<String>()
            };
            plugin_abi::HOOKS.iter().map(|spec| CString::new(format(spec)).unwrap_or_default()).collect()
        });
        Ok(formats[hook as usize].as_ptr())
    })
}

/// What the functions of a numbering take and answer, by place.
type Formats = Vec<Option<(CString, CString)>>;

/// The formats of a place in the host's table: its arguments, or its answer.
#[unsafe(no_mangle)]
extern "C" fn vhpy_call_format(place: c_int, answer: c_int) -> *const c_char {
    static FORMATS: std::sync::OnceLock<[Formats; 2]> = std::sync::OnceLock::new();
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
        let numbering = state::visit(|running, _| Ok(running.table.numbering())).unwrap_or(Numbering::V1_6);
        let row = usize::try_from(place)
            .ok()
            .and_then(|place| formats[usize::from(numbering == Numbering::V1_7)].get(place)?.as_ref());
        Ok(row.map_or(std::ptr::null(), |(takes, gives)| if answer != 0 { gives } else { takes }.as_ptr()))
    })
}
