//! The life of a worker: from its first frame to its last; how a script is loaded and what
//! hooks return is left to [`script`] and [`answer`](crate::answer).

use std::fmt;
use std::ops::ControlFlow;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::null_mut;
use std::sync::OnceLock;
use std::time::Duration;

use plugin_abi::frame::{NOT_AWAITED, PROTOCOL};
use plugin_abi::hook::Hook;
use plugin_abi::link::{Notify, WorkerFds};
use plugin_abi::start::{DOORBELL_FD, LIFE_FD, MEMORY_FD, STACK_SIGNAL, WAKE_FD};
use plugin_abi::{Answer, FromWorker, ToWorker, Value};
use pyo3::ffi;

use crate::channel::{self, Channel, is_forked};
use crate::convert::{self, Outgoing, to_python};
use crate::function::builtin;
use crate::py::{
    Exception, Gil, Obj, PyResult, Raised, Raw, clear_error, import, is_exit, print_exception, raise,
    take_exception,
};
use crate::{answer, children, debug, declared, hooks, keep, limits, module, py, script, text, timing};

/// No hook has more arguments.
const MOST_ARGUMENTS: usize = 8;

// ------------------------------------------------------------------ the process

/// `vh._serve(hub_pid)`: runs the script until it is unloaded.
pub fn serve(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    // SAFETY: `args` holds one living object.
    let hub = unsafe { Obj::borrow(args[0]) }.as_int();
    let fds = take_descriptors()
        .map_err(|error| raise(gil, Exception::Runtime, format_args!("only a hub starts this: {error}")))?;
    die_with(hub, &fds.life);
    prepare_output(gil)?;
    text::register(gil)?;
    children::prepare(gil)?;
    keep::prepare(gil)?;
    let channel = channel::open(fds, nested)
        .map_err(|error| raise(gil, Exception::Runtime, format_args!("cannot map the memory: {error}")))?;
    let end = builtin!(gil, c"end", c"", 0..=0, end)?;
    import(gil, c"atexit")?.attr(c"register")?.call(gil, [&end])?;
    say_hello(gil, channel)?;
    let unloaded = run(gil, channel);
    channel.close(gil);
    unloaded.map(|()| Obj::none(gil))
}

/// The last of the interpreter's exit handlers, because it is the first that was registered:
/// lets go of the script. After it the interpreter finalises what nobody holds.
fn end(gil: Gil, _args: &[Raw]) -> PyResult<Obj> {
    convert::let_go(gil);
    script::let_go(gil)?;
    Ok(Obj::none(gil))
}

/// Takes over the descriptors; programs that the script starts do not inherit them.
fn take_descriptors() -> std::io::Result<WorkerFds> {
    let take = |fd: RawFd| {
        // SAFETY: fcntl on a number that is no descriptor is an error and nothing more.
        match unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) } {
            // SAFETY: the descriptor is open, and it is ours: the hub placed it here for us.
            0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
            _ => Err(std::io::Error::last_os_error()),
        }
    };
    Ok(WorkerFds {
        memory: take(MEMORY_FD)?,
        wake: take(WAKE_FD)?,
        doorbell: take(DOORBELL_FD)?,
        life: take(LIFE_FD)?,
    })
}

/// Makes sure that this process ends when the hub does, in two ways: the kernel kills it when
/// its parent ends, unless the script asks it not to, or the hub has become another user; and
/// when the pipe of life ends, for which a process has allowed itself to be killed.
fn die_with(hub: Option<i64>, life: &OwnedFd) {
    let life = life.as_raw_fd();
    // SAFETY: have no conditions, but for one structure that is valid while it is used.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        libc::fcntl(life, F_SETSIG, libc::SIGKILL);
        libc::fcntl(life, libc::F_SETOWN, libc::getpid());
        libc::fcntl(life, libc::F_SETFL, libc::O_ASYNC);
        // The hub may have died, or let go of this process, before.
        let mut end = libc::pollfd { fd: life, events: 0, revents: 0 };
        let has_ended = libc::poll(&mut end, 1, 0) > 0 && end.revents & (libc::POLLHUP | libc::POLLERR) != 0;
        if has_ended || Some(i64::from(libc::getppid())) != hub {
            libc::_exit(0);
        }
    }
}

/// Which signal tells of a change of the descriptor; of Linux alone, and not in the crate libc.
const F_SETSIG: libc::c_int = 10;

/// What the script prints goes to the hub line by line; crashes leave their Python stacks.
fn prepare_output(gil: Gil) -> PyResult<()> {
    let sys = import(gil, c"sys")?;
    let options = Obj::dict(gil)?;
    for (name, value) in [("encoding", "utf-8"), ("errors", "backslashreplace")] {
        options.set_item(&Obj::text(gil, name)?, &Obj::text(gil, value)?)?;
    }
    options.set_item(&Obj::text(gil, "line_buffering")?, &Obj::bool(gil, true))?;
    let nothing = Obj::tuple(gil, [])?;
    for stream in [c"stdout", c"stderr"] {
        let stream = sys.attr(stream)?;
        // A missing stream is None.
        if let Some(reconfigure) = stream.attr_if_any(c"reconfigure") {
            // SAFETY: all are alive, a tuple and a dict.
            unsafe { Obj::own(ffi::PyObject_Call(reconfigure.raw(), nothing.raw(), options.raw()))? };
        }
    }
    let handler = import(gil, c"faulthandler")?;
    let stderr = Obj::int(gil, 2)?;
    let (yes, no) = (Obj::bool(gil, true), Obj::bool(gil, false));
    handler.attr(c"enable")?.call(gil, [&stderr, &yes])?;
    let signal = Obj::int(gil, STACK_SIGNAL.into())?;
    handler.attr(c"register")?.call(gil, [&signal, &stderr, &yes, &no])?;
    debug::prepare(gil)
}

fn say_hello(gil: Gil, channel: &Channel) -> PyResult<()> {
    // SAFETY: the interpreter's version is a constant string.
    let version = unsafe { std::ffi::CStr::from_ptr(ffi::Py_GetVersion()) }.to_bytes();
    let python = version.split(|byte| *byte == b' ').next().unwrap_or_default();
    channel.send_frame(gil, FromWorker::Hello { protocol: PROTOCOL, python: python.into() }, Notify::Ring)
}

/// Serves until the script is unloaded or asks to exit.
fn run(gil: Gil, channel: &'static Channel) -> PyResult<()> {
    loop {
        let served = channel.wait(gil, None, |frame| {
            if let ToWorker::Load(load) = frame {
                load_script(gil, channel, &load)?;
            } else {
                nested(gil, channel, frame)?;
            }
            Ok(match channel.unload_asked(gil) {
                Some(within) => ControlFlow::Break(within),
                None => ControlFlow::Continue(()),
            })
        });
        match served {
            Ok(within) => return unload(gil, channel, within),
            Err(Raised) if is_exit(gil) || is_interrupt(gil) => return Err(Raised),
            // A signal handler of the script's.
            Err(Raised) => print_exception(gil),
        }
    }
}

fn is_interrupt(_gil: Gil) -> bool {
    // SAFETY: the GIL is held.
    unsafe { ffi::PyErr_ExceptionMatches(ffi::PyExc_KeyboardInterrupt) != 0 }
}

// ------------------------------------------------------------- load and unload

fn prepare(gil: Gil, channel: &Channel, path: &[u8]) -> PyResult<()> {
    let Err(reason) = script::prepare(gil, path) else {
        return channel.send_frame(gil, FromWorker::Prepared, Notify::Ring);
    };
    refuse(gil, channel, reason)
}

/// The script cannot be loaded: says why, and ends the process.
fn refuse(gil: Gil, channel: &Channel, reason: String) -> PyResult<()> {
    flush(gil);
    let reason = reason.into_bytes().into();
    channel.send_frame(gil, FromWorker::LoadFailed { reason }, Notify::Ring)?;
    // SAFETY: the GIL is held; SystemExit is always alive.
    unsafe { ffi::PyErr_SetObject(ffi::PyExc_SystemExit, Obj::int(gil, 1)?.raw()) };
    Err(Raised)
}

fn load_script(gil: Gil, channel: &Channel, load: &plugin_abi::frame::Load<'_>) -> PyResult<()> {
    let mut warnings = Vec::new();
    text::set_hub(gil, &load.encoding).unwrap_or_else(|warning| warnings.push(warning));
    module::set_attributes(gil, load)?;
    match script::load(gil, load, &mut warnings) {
        Ok(wants) => {
            let warnings = warnings.into_iter().map(|warning| warning.into_bytes().into()).collect();
            channel.send_frame(gil, FromWorker::Loaded { wants, warnings }, Notify::Ring)?;
            declared::has_loaded(gil)
        }
        Err(reason) => refuse(gil, channel, reason),
    }
}

/// Ends the script in its own way; `within` is how long the hub waits for that.
fn unload(gil: Gil, channel: &Channel, within: Duration) -> PyResult<()> {
    let mut exit = Ok(());
    // Half of it is left for `UnLoad()`.
    if declared::stop(gil, within / 2).is_err() {
        print_exception(gil);
    }
    if let Some(function) = script::global(gil, "UnLoad").filter(Obj::is_callable) {
        if function.call(gil, []).is_err() {
            if is_exit(gil) {
                clear_error();
            } else {
                print_exception(gil);
            }
        }
        if is_forked() {
            exit = Err(raise(gil, Exception::Runtime, "a forked process ends here"));
        }
    }
    flush(gil);
    exit?;
    channel.send_frame(gil, FromWorker::Unloaded, Notify::Ring)
}

fn flush(gil: Gil) {
    for stream in [c"stdout", c"stderr"] {
        let flush = import(gil, c"sys").and_then(|sys| sys.attr(stream)?.attr(c"flush")?.call(gil, []));
        if flush.is_err() {
            clear_error();
        }
    }
}

// ----------------------------------------------------------------------- frames

/// Does what a frame asks for that is no reply; also while the main thread waits for one.
#[inline]
fn nested(gil: Gil, channel: &'static Channel, frame: ToWorker<'_>) -> PyResult<()> {
    match frame {
        ToWorker::Event { seq, hook, args } => event(gil, channel, seq, hook, &args),
        ToWorker::Command { seq, name, args } => command(gil, channel, seq, &name, &args),
        ToWorker::Function { seq, name, args } => function(gil, channel, seq, &name, &args),
        ToWorker::Prepare { path } => prepare(gil, channel, &path),
        ToWorker::Names { botname, opchatname } => module::set_names(gil, &botname, &opchatname),
        ToWorker::Release(handle) => {
            convert::release(gil, handle);
            Ok(())
        }
        ToWorker::Due(number) => declared::no_event_since(gil, number),
        ToWorker::Unload { within } => {
            channel.ask_unload(gil, Duration::from_millis(within.into()));
            Ok(())
        }
        // A second Load, or the reply to a call that was given up.
        ToWorker::Load(_) | ToWorker::Reply { .. } | ToWorker::Refusal { .. } => Ok(()),
    }
}

/// Calls a hook's function and sends what it answers. An error asks for the process's end.
#[inline]
fn event(gil: Gil, channel: &'static Channel, seq: u64, hook: Hook, args: &[Value<'_>]) -> PyResult<()> {
    hooks::keep_up(gil, channel)?;
    let is_awaited = seq != NOT_AWAITED;
    let Some((function, arity, is_async)) = hooks::target(gil, hook) else {
        return if is_awaited { send_answer(gil, channel, seq, Answer::GoOn) } else { Ok(()) };
    };
    let count = args.len().min(arity).min(MOST_ARGUMENTS);
    let before = channel.set_awaited(gil, is_awaited);
    let timed = timing::begin(gil, channel, hook, is_awaited);
    let returned = call_with(gil, function.raw(), &args[..count]);
    drop(function);
    channel.set_awaited(gil, before);
    let returned = match ended(gil, channel, hook, returned)? {
        Some(coroutine) if is_async => {
            if declared::spawn(gil, &coroutine).is_err() {
                print_exception(gil);
            }
            None
        }
        returned => returned,
    };
    hooks::keep_up(gil, channel)?;
    match &returned {
        _ if !is_awaited => {}
        None => send_answer(gil, channel, seq, Answer::GoOn)?,
        Some(returned) => send_answer(gil, channel, seq, answer::of(gil, hook, returned))?,
    }
    timing::end(gil, channel, timed)
}

/// What the script's code came to that the hub's message has started; `None` when it raised,
/// which is in the log then. Only an exit goes on as an exception.
#[inline]
fn ended<T>(gil: Gil, channel: &Channel, hook: Hook, ran: PyResult<T>) -> PyResult<Option<T>> {
    if is_forked() {
        // SAFETY: has no conditions. A forked child came back.
        unsafe { libc::_exit(0) }
    }
    match ran {
        Ok(result) => Ok(Some(result)),
        Err(Raised) if is_exit(gil) => Err(Raised),
        Err(Raised) => {
            let over = limits::reached(gil);
            timing::raised(gil, channel, hook)?;
            print_exception(gil);
            if let Some(code) = over {
                limits::give_up(code);
            }
            Ok(None)
        }
    }
}

/// Answers a command. The hub has nothing more to do with it, whatever becomes of that.
fn command(gil: Gil, channel: &'static Channel, seq: u64, name: &[u8], args: &[Value<'_>]) -> PyResult<()> {
    hooks::keep_up(gil, channel)?;
    let before = channel.set_awaited(gil, true);
    let timed = timing::begin(gil, channel, Hook::OnHubCommand, true);
    let ran = declared::run_command(gil, name, args);
    channel.set_awaited(gil, before);
    ended(gil, channel, Hook::OnHubCommand, ran)?;
    hooks::keep_up(gil, channel)?;
    send_answer(gil, channel, seq, Answer::Block)?;
    timing::end(gil, channel, timed)
}

#[inline]
fn send_answer(gil: Gil, channel: &Channel, seq: u64, answer: Answer<'_>) -> PyResult<()> {
    let mut buffer = channel.buffer(gil);
    if let Err(error) = (FromWorker::Answer { seq, answer }).write(&mut buffer) {
        py::warn(gil, &format!("an answer cannot be sent, so the hub goes on: {error}"));
        let plain = FromWorker::Answer { seq, answer: Answer::GoOn };
        plain.write(&mut buffer).unwrap_or_else(|error| channel::broken(error));
    }
    let sent = channel.send(gil, &buffer, Notify::Waiting);
    channel.recycle(gil, buffer);
    sent
}

/// Calls a function with up to [`MOST_ARGUMENTS`] values.
#[inline]
fn call_with(gil: Gil, function: Raw, args: &[Value<'_>]) -> PyResult<Obj> {
    let mut objects: [Option<Obj>; MOST_ARGUMENTS] = [const { None }; MOST_ARGUMENTS];
    // The place before the first argument is the callee's to use.
    let mut bare = [null_mut(); MOST_ARGUMENTS + 1];
    for (at, value) in args.iter().enumerate() {
        let object = match value {
            Value::Text(text) => text::hub().text(gil, text)?,
            other => to_python(gil, other, text::hub())?,
        };
        bare[at + 1] = object.raw();
        objects[at] = Some(object);
    }
    // SAFETY: function and arguments are alive; there are as many as the count says.
    unsafe { vectorcall(gil, function, &mut bare, args.len()) }
}

type Vectorcall = unsafe extern "C" fn(Raw, *const Raw, usize, Raw) -> Raw;

/// The interpreter's way to call without a tuple. The function is exported by all of the
/// versions that we serve, but it is no part of their stable interface.
fn find_vectorcall() -> Option<Vectorcall> {
    static FOUND: OnceLock<Option<Vectorcall>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        [c"PyObject_Vectorcall", c"PyObject_VectorcallDict"].into_iter().find_map(|name| {
            // SAFETY: the name ends with NUL; what is found has had this signature since 3.9.
            unsafe {
                let found = libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr());
                (!found.is_null()).then(|| std::mem::transmute::<*mut libc::c_void, Vectorcall>(found))
            }
        })
    })
}

/// # Safety
/// `function` and `count` objects from the second place of `args` on are alive.
#[inline]
unsafe fn vectorcall(
    _gil: Gil,
    function: Raw,
    args: &mut [Raw; MOST_ARGUMENTS + 1],
    count: usize,
) -> PyResult<Obj> {
    const ARGUMENTS_OFFSET: usize = 1 << (usize::BITS - 1);
    // SAFETY: promised by the caller; with the offset flag the callee may use the place before
    // the arguments.
    unsafe {
        if let Some(vectorcall) = find_vectorcall() {
            let start = args.as_ptr().add(1);
            return Obj::own(vectorcall(function, start, count | ARGUMENTS_OFFSET, null_mut()));
        }
        let tuple = Obj::own(ffi::PyTuple_New(count as isize))?;
        for at in 0..count {
            ffi::PyTuple_SetItem(tuple.raw(), at as isize, Obj::borrow(args[at + 1]).into_raw());
        }
        Obj::own(ffi::PyObject_Call(function, tuple.raw(), null_mut()))
    }
}

// -------------------------------------------------------------------- functions

/// Calls a function of the script for the host.
fn function(gil: Gil, channel: &'static Channel, seq: u64, name: &[u8], args: &[Value<'_>]) -> PyResult<()> {
    let name = String::from_utf8_lossy(name);
    let before = channel.set_awaited(gil, true);
    let returned = call_function(gil, &name, args);
    channel.set_awaited(gil, before);
    if is_forked() {
        // SAFETY: has no conditions. A forked child came back from the function.
        unsafe { libc::_exit(0) }
    }
    let sent = returned.and_then(|returned| {
        hooks::keep_up(gil, channel)?;
        send_returned(gil, channel, seq, &returned, &format_args!("what {name}() returned"))
    });
    match sent {
        Ok(()) => Ok(()),
        Err(Raised) if is_exit(gil) => Err(Raised),
        Err(Raised) => {
            let over = limits::reached(gil);
            let reason = describe(gil);
            if let Some(code) = over {
                limits::give_up(code);
            }
            hooks::keep_up(gil, channel)?;
            let raised = FromWorker::Raised { seq, reason: reason.into_bytes().into() };
            channel.send_frame(gil, raised, Notify::Waiting)
        }
    }
}

/// The function without a name is there in every script and does nothing: a host that calls it knows
/// that the script has dealt with all before.
fn call_function(gil: Gil, name: &str, args: &[Value<'_>]) -> PyResult<Obj> {
    if name.is_empty() {
        return Ok(Obj::none(gil));
    }
    let function = script::global(gil, name).filter(Obj::is_callable).ok_or_else(|| {
        let script = script::name(gil);
        raise(gil, Exception::Name, format_args!("the script {script} has no function {name}"))
    })?;
    if args.len() <= MOST_ARGUMENTS {
        return call_with(gil, function.raw(), args);
    }
    let list = Obj::list(gil, args.len(), |at| to_python(gil, &args[at], text::hub()))?;
    // SAFETY: both are alive; `list` is a list, so what is made of it is a tuple.
    unsafe {
        let tuple = Obj::own(ffi::PyList_AsTuple(list.raw()))?;
        Obj::own(ffi::PyObject_Call(function.raw(), tuple.raw(), null_mut()))
    }
}

fn send_returned(
    gil: Gil,
    channel: &Channel,
    seq: u64,
    returned: &Obj,
    what: &fmt::Arguments<'_>,
) -> PyResult<()> {
    // SAFETY: `returned` is alive until the frame is written, and no Python code runs.
    let value = unsafe { Outgoing::result(gil, text::hub()).value(returned.raw(), 0, what)? };
    channel.try_send_frame(gil, FromWorker::Returned { seq, value }, Notify::Waiting, what)
}

/// Prints the exception that is set and gives `Type: message`.
fn describe(gil: Gil) -> String {
    let Some(exception) = take_exception(gil) else {
        return "an exception without a type".into();
    };
    let described = py::describe(gil, &exception);
    py::restore_exception(gil, &exception);
    print_exception(gil);
    described
}
