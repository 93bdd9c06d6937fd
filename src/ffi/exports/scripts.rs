//! Scripts: begin and end, load, reload, unload, which there are, the operators' commands.

use std::ffi::{OsStr, c_char, c_int, c_long, c_longlong, c_ulonglong, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use plugin_abi::Value;
use plugin_abi::command::Command;

use super::values::to_hub;
use crate::ffi::fault::{Fault, bytes, guard, utf8};
use crate::ffi::library::{self, visit};
use crate::ffi::logger;
use crate::ffi::running::{Done, DoneFunction};
use crate::ffi::targs::{self, Callback, Targs, owned};
use crate::json;
use crate::supervisor::console::{Answer, is_command, script_files};
use crate::supervisor::{Identity, Loaded, ScriptId, ScriptStatus, Ticket};

/// Starts, with the host's functions.
#[unsafe(no_mangle)]
unsafe extern "C" fn w_Begin(callbacks: *const Option<Callback>) -> c_int {
    logger::install();
    guard("w_Begin", 0, || {
        if callbacks.is_null() {
            return Err(Fault::Null("the table of callbacks"));
        }
        // SAFETY: the header asks for a table of 100 places that stays until w_End.
        unsafe { library::begin(callbacks) }.map(|()| 1)
    })
}

/// Unloads every script and stops.
#[unsafe(no_mangle)]
extern "C" fn w_End() -> c_int {
    guard("w_End", 0, || library::end().map(|()| 1))
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
        let text = |at: usize| unsafe { bytes(elements[at].value.text) };
        // SAFETY: as above.
        let number = |at: usize| unsafe { elements[at].value.long };
        let path = Path::new(OsStr::from_bytes(text(1).ok_or(Fault::Null("the script's path"))?));
        let id = i32::try_from(number(0)).map_err(|_| Fault::Refused("the id is too large".into()))?;
        let known = library::options().identity;
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

fn loaded(result: Result<Loaded, impl std::fmt::Display>, what: &str) -> Result<c_int, Fault> {
    result.map(|loaded| loaded.id.0).map_err(|error| Fault::Refused(format!("{what}: {error}")))
}

/// # Safety
/// `path` is NULL or a C string that lives for `'a`.
unsafe fn path<'a>(path: *const c_char, what: &'static str) -> Result<&'a Path, Fault> {
    // SAFETY: as the caller promises.
    Ok(Path::new(OsStr::from_bytes(unsafe { bytes(path) }.ok_or(Fault::Null(what))?)))
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

/// From now on this function is told of what was begun.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_set_done(function: Option<DoneFunction>, data: *mut c_void) -> c_int {
    guard("vhpy_set_done", 0, || {
        visit(|running, _| {
            running.done.set(function.map(|function| Done { function, data }));
            Ok(1)
        })
    })
}

fn begun(result: Result<Ticket, impl std::fmt::Display>, what: &str) -> Result<c_longlong, Fault> {
    let ticket = result.map_err(|error| Fault::Refused(format!("{what}: {error}")))?;
    Ok(c_longlong::try_from(ticket.0).unwrap_or(c_longlong::MAX))
}

/// Begins to load a script.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_begin_load(file: *const c_char) -> c_longlong {
    guard("vhpy_begin_load", -1, || {
        // SAFETY: the header asks for a C string.
        let file = unsafe { path(file, "the script's path") }?;
        visit(|running, _| {
            running.notice_table();
            begun(running.supervisor.begin_load(file), &file.display().to_string())
        })
    })
}

/// Begins to load a script anew.
#[unsafe(no_mangle)]
extern "C" fn vhpy_begin_reload(id: c_int) -> c_longlong {
    guard("vhpy_begin_reload", -1, || {
        visit(|running, _| {
            running.notice_table();
            begun(running.supervisor.begin_reload(ScriptId(id)), &format!("script {id}"))
        })
    })
}

/// Begins to unload a script.
#[unsafe(no_mangle)]
extern "C" fn vhpy_begin_unload(id: c_int) -> c_longlong {
    guard("vhpy_begin_unload", -1, || {
        visit(|running, _| match running.supervisor.begin_unload(ScriptId(id)) {
            Err(_) => Err(Fault::NoScript(id)),
            ticket => begun(ticket, &format!("script {id}")),
        })
    })
}

/// Begins what an operator's command asks for.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_begin_console(command: *const c_char, ticket: *mut c_longlong) -> *mut c_char {
    if ticket.is_null() {
        return std::ptr::null_mut();
    }
    // SAFETY: the header asks for a place for a ticket.
    unsafe { ticket.write(-1) };
    guard("vhpy_begin_console", std::ptr::null_mut(), || {
        // SAFETY: the header asks for a C string.
        let command = unsafe { bytes(command) }.ok_or(Fault::Null("the command"))?;
        let command = String::from_utf8_lossy(command);
        let answer = visit(|running, visit| {
            running.notice_table();
            Ok(running.supervisor.begin_console(&mut visit.host, &command))
        })?;
        match answer {
            None => Ok(std::ptr::null_mut()),
            Some(Answer::Said(text)) => owned(text.as_bytes()),
            Some(Answer::Later(later)) => {
                // SAFETY: as above.
                unsafe { ticket.write(c_longlong::try_from(later.0).unwrap_or(c_longlong::MAX)) };
                Ok(std::ptr::null_mut())
            }
        }
    })
}

/// The script that an operator means.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_find(what: *const c_char) -> c_int {
    guard("vhpy_find", -1, || {
        // SAFETY: the header asks for a C string.
        let what = unsafe { utf8(what, "the name") }?;
        visit(|running, _| Ok(running.supervisor.find(what).map_or(-1, |id| id.0)))
    })
}

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

/// All scripts and how each does, as JSON.
#[unsafe(no_mangle)]
extern "C" fn vhpy_figures() -> *mut c_char {
    guard("vhpy_figures", std::ptr::null_mut(), || {
        let list = visit(|running, _| Ok(running.supervisor.scripts()))?;
        let mut text = Vec::new();
        json::write(&mut text, &Value::List(list.iter().map(ScriptStatus::to_value).collect()));
        owned(&text)
    })
}

/// Which state the commands of scripts are in, and the entries that put them into menus.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_menu(class: c_int, entries: *mut *mut c_char) -> c_ulonglong {
    if !entries.is_null() {
        // SAFETY: the header asks for a place for the text's address.
        unsafe { entries.write(std::ptr::null_mut()) };
    }
    guard("vhpy_menu", 0, || {
        let (version, commands) = visit(|running, visit| {
            let wanted = !entries.is_null();
            let commands = wanted.then(|| running.supervisor.commands(&mut visit.host, class.into()));
            Ok((running.supervisor.commands_version(), commands))
        })?;
        if let Some(commands) = commands {
            let text = to_hub(commands.iter().map(Command::menu_entry).collect::<String>().as_bytes());
            // SAFETY: as above.
            unsafe { entries.write(owned(&text)?) };
        }
        Ok(version + 1)
    })
}

/// Runs an operator's command.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_console(command: *const c_char) -> *mut c_char {
    guard("vhpy_console", std::ptr::null_mut(), || {
        // SAFETY: the header asks for a C string.
        let command = unsafe { bytes(command) }.ok_or(Fault::Null("the command"))?;
        let command = String::from_utf8_lossy(command);
        let answer = visit(|running, visit| Ok(running.supervisor.console(&mut visit.host, &command)))?;
        answer.map_or(Ok(std::ptr::null_mut()), |answer| owned(answer.as_bytes()))
    })
}

/// Whether `vhpy_console` would run this.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_is_command(command: *const c_char) -> c_int {
    guard("vhpy_is_command", 0, || {
        // SAFETY: the header asks for a C string.
        let command = unsafe { bytes(command) }.ok_or(Fault::Null("the command"))?;
        Ok(is_command(&String::from_utf8_lossy(command)).into())
    })
}
