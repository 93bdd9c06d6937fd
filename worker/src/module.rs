//! The module `vh`: its functions that need no hub, attributes and constants; the functions
//! of the call table are [`call`](crate::call)'s.

use std::ffi::CString;
use std::ptr::null_mut;

use plugin_abi::frame::Load;
use plugin_abi::{Args, CONSTANTS, Call, FromWorker};
use pyo3::ffi;

use crate::call;
use crate::children::ELSEWHERE;
use crate::convert::{Outgoing, to_python};
use crate::function::builtin;
use crate::py::{Exception, Gil, Obj, PyResult, Raw, import, raise, type_name};
use crate::text::{self, Encoding};
use crate::{debug, declared, entities, hooks, nicks, reply, script, sql, store};

const ANY: usize = usize::MAX;

/// Fills the new module.
pub fn fill(gil: Gil, module: &Obj) -> PyResult<()> {
    call::add_functions(gil, module)?;
    sql::add_functions(gil, module)?;
    for constant in CONSTANTS {
        let name = CString::new(constant.name).unwrap_or_default();
        module.set_attr(&name, &Obj::int(gil, constant.value)?)?;
    }
    module.set_attr(c"__version__", &Obj::text(gil, env!("CARGO_PKG_VERSION"))?)?;
    module.set_attr(c"_elsewhere", &Obj::text(gil, ELSEWHERE)?)?;
    module.set_attr(c"NickList", &nicks::make_type(gil)?)?;
    macro_rules! add {
        ($($name:literal / $doc:literal: $count:expr => $body:expr;)*) => { $(
            module.set_attr($name, &builtin!(gil, $name, $doc, $count, $body)?)?;
        )* };
    }
    add! {
        c"Encode" / c"Encode(text)\n--\n\nWrites $, |, `, ~ and \\x05 as entities.": 1..=1 => encode;
        c"Decode" / c"Decode(text)\n--\n\nThe opposite of Encode.": 1..=1 => decode;
        c"encode" / c"encode(text)\n--\n\nThe same as Encode.": 1..=1 => encode;
        c"decode" / c"decode(text)\n--\n\nThe same as Decode.": 1..=1 => decode;
        c"CallDynamicFunction" / c"CallDynamicFunction(name, *args)\n--\n\nCalls a function that the host registered for this script.": 1..=ANY => dynamic;
        c"call" / c"call(name, *args)\n--\n\nThe same as CallDynamicFunction.": 1..=ANY => dynamic;
        c"SendToAll" / c"SendToAll(message)\n--\n\nWrites in the main chat.": 1..=1 => send_to_all;
        c"SendToUser" / c"SendToUser(nick, message)\n--\n\nWrites in the main chat, seen by one user only.": 2..=2 => send_to_user;
        c"GetUserNick" / c"GetUserNick(nick)\n--\n\nThe nick: hooks hand over nicks.": 1..=1 => same;
        c"GetConnNick" / c"GetConnNick(nick)\n--\n\nThe nick: hooks hand over nicks.": 1..=1 => same;
        c"GetChatMessage" / c"GetChatMessage(message)\n--\n\nThe message: hooks hand over texts.": 1..=1 => same;
        c"sql_error" / c"sql_error()\n--\n\nWhy the last SQL() of this thread failed; empty when it did not.": 0..=0 => |gil, _| reply::sql_error(gil);
        c"observer" / c"observer(function)\n--\n\nMarks a hook for whose answer the hub does not wait.": 0..=1 => hooks::observer;
    }
    debug::add_function(gil, module)?;
    declared::add_functions(gil, module)
}

/// What the hub says about the script.
pub fn set_attributes(gil: Gil, load: &Load<'_>) -> PyResult<()> {
    let module = import(gil, c"vh")?;
    module.set_attr(c"myid", &Obj::int(gil, load.id)?)?;
    module.set_attr(c"starttime", &Obj::int(gil, load.starttime)?)?;
    module.set_attr(c"path", &Obj::path(gil, &load.path)?)?;
    module.set_attr(c"name", &Obj::path(gil, script::stem(&load.path))?)?;
    module.set_attr(c"basedir", &Obj::path(gil, &load.basedir)?)?;
    module.set_attr(c"config_name", &text::hub().text(gil, &load.config_name)?)?;
    module.set_attr(c"store", &store::new(gil, &load.store)?)?;
    if load.has_ip_city {
        call::add_ip_city(gil, &module)?;
    }
    set_names(gil, &load.botname, &load.opchatname)
}

/// The names of the hub's bots.
pub fn set_names(gil: Gil, botname: &[u8], opchatname: &[u8]) -> PyResult<()> {
    let module = import(gil, c"vh")?;
    module.set_attr(c"botname", &text::hub().text(gil, botname)?)?;
    module.set_attr(c"opchatname", &text::hub().text(gil, opchatname)?)
}

// ------------------------------------------------------------------- functions

fn same(_gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    // SAFETY: arguments are alive.
    Ok(unsafe { Obj::borrow(args[0]) })
}

fn send_to_all(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    // SAFETY: arguments are alive, and there are no keywords.
    unsafe { call::call(gil, Call::mc.spec(), false, args, &[], null_mut()) }
}

fn send_to_user(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    // SAFETY: as above.
    unsafe { call::call(gil, Call::usermc.spec(), false, &[args[1], args[0]], &[], null_mut()) }
}

fn encode(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    with_text(gil, "Encode", args[0], entities::encode)
}

fn decode(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    with_text(gil, "Decode", args[0], entities::decode)
}

fn with_text(gil: Gil, name: &str, text: Raw, change: fn(&[u8]) -> Vec<u8>) -> PyResult<Obj> {
    // SAFETY: arguments are alive, and the type is checked.
    unsafe {
        if ffi::PyUnicode_Check(text) == 0 {
            let kind = type_name(gil, text);
            let message = format_args!("{name}() argument 'text' must be a str, not {kind}");
            return Err(raise(gil, Exception::Type, message));
        }
        Encoding::Lossless.text(gil, &change(&Encoding::Lossless.bytes_of(gil, text)?))
    }
}

fn dynamic(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    let encoding = text::hub();
    // SAFETY: arguments are alive; they stay so, and no Python code runs, until they are in
    // the frame.
    unsafe {
        if ffi::PyUnicode_Check(args[0]) == 0 {
            let message = format!("call() argument 'name' must be a str, not {}", type_name(gil, args[0]));
            return Err(raise(gil, Exception::Type, message));
        }
        let name = Encoding::Lossless.bytes_of(gil, args[0])?;
        let shown = String::from_utf8_lossy(&name).into_owned();
        let mut outgoing = Outgoing::argument(gil, encoding);
        let mut values = Args::new();
        for (at, &object) in args[1..].iter().enumerate() {
            let what = format!("{shown}() argument {}", at + 1);
            values.push(outgoing.value(object, 1, &what)?);
        }
        call::exchange(
            gil,
            &format_args!("{shown}()"),
            |id| FromWorker::Dynamic { id, name, args: values },
            |value| to_python(gil, value, encoding),
        )
    }
}
