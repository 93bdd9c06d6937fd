//! `vh.store`: a dict that outlives the script's process, because the hub keeps a copy; where
//! the hub keeps it is not known here.
//!
//! Each value is held as the very frame that was sent to the hub. Reading makes a new object
//! from it, so that the store changes by assignment only, as the hub's copy does. Text in it,
//! keys too, is UTF-8 whatever the hub's encoding, and comes back unchanged: a nick with bytes
//! that the encoding lacks is a key as any other.

use std::borrow::Cow;

use plugin_abi::frame::MAX_STORE;
use plugin_abi::{FromWorker, Value};
use pyo3::ffi;

use crate::channel;
use crate::convert::{Outgoing, to_python};
use crate::function::builtin;
use crate::py::{Exception, Gil, GilCell, Obj, PyResult, Raised, Raw, import, raise, status, type_name};
use crate::text::{Encoding, bytes_of_bytes};

struct Store {
    /// From keys to frames, as `bytes`.
    frames: Option<Obj>,
    bytes: usize,
}

static STORE: GilCell<Store> = GilCell::new(Store { frames: None, bytes: 0 });

/// The store with its first contents, as an object with all methods of a mutable mapping.
pub fn new(gil: Gil, entries: &[(Value<'_>, Value<'_>)]) -> PyResult<Obj> {
    let frames = Obj::dict(gil)?;
    let mut bytes = 0;
    for (key, value) in entries {
        let Some(key) = key.as_text() else { continue };
        let frame = FromWorker::Store { key: Cow::Borrowed(key), value: Some(value.clone()) };
        let mut buffer = Vec::new();
        if frame.write(&mut buffer).is_ok() {
            bytes += buffer.len();
            frames.set_item(&Encoding::Lossless.text(gil, key)?, &Obj::bytes(gil, &buffer)?)?;
        }
    }
    STORE.with(gil, |store| *store = Store { frames: Some(frames), bytes });
    make_object(gil)
}

/// There is one store, so its methods need no `self`: functions in C are not bound to the
/// object through which they are found.
fn make_object(gil: Gil) -> PyResult<Obj> {
    let base = import(gil, c"_collections_abc")?.attr(c"MutableMapping")?;
    let methods = Obj::dict(gil)?;
    macro_rules! add {
        ($($name:literal: $count:expr => $body:expr;)*) => { $(
            let name = Obj::text(gil, &$name.to_string_lossy())?;
            methods.set_item(&name, &builtin!(gil, $name, c"", $count, $body)?)?;
        )* };
    }
    add! {
        c"__getitem__": 1..=1 => get;
        c"__setitem__": 2..=2 => set;
        c"__delitem__": 1..=1 => delete;
        c"__iter__": 0..=0 => iterate;
        c"__len__": 0..=0 => length;
        c"__contains__": 1..=1 => contains;
        c"__repr__": 0..=0 => repr;
    }
    let doc = "A dict that outlives the process: str keys, values that can be sent, at most 4 MiB.";
    methods.set_item(&Obj::text(gil, "__doc__")?, &Obj::text(gil, doc)?)?;
    methods.set_item(&Obj::text(gil, "__module__")?, &Obj::text(gil, "vh")?)?;
    methods.set_item(&Obj::text(gil, "__slots__")?, &Obj::tuple(gil, [])?)?;
    // SAFETY: the type of a living class is alive.
    let meta = unsafe { Obj::borrow(ffi::Py_TYPE(base.raw()).cast()) };
    let bases = Obj::tuple(gil, [base])?;
    meta.call(gil, [&Obj::text(gil, "Store")?, &bases, &methods])?.call(gil, [])
}

fn frames(gil: Gil) -> PyResult<Obj> {
    let frames = STORE.with(gil, |store| store.frames.as_ref().map(Obj::again));
    frames.ok_or_else(|| raise(gil, Exception::Runtime, "vh.store is there once the script is loaded"))
}

/// The frame of a key, if it is there.
fn frame_of(gil: Gil, key: Raw) -> PyResult<Option<Obj>> {
    // SAFETY: arguments are alive; what the dict gives is borrowed from it.
    unsafe {
        let frame = ffi::PyDict_GetItemWithError(frames(gil)?.raw(), key);
        if !frame.is_null() {
            return Ok(Some(Obj::borrow(frame)));
        }
        if ffi::PyErr_Occurred().is_null() { Ok(None) } else { Err(Raised) }
    }
}

fn missing(_gil: Gil, key: Raw) -> Raised {
    // SAFETY: arguments are alive, the GIL is held.
    unsafe { ffi::PyErr_SetObject(ffi::PyExc_KeyError, key) };
    Raised
}

/// The bytes that an entry takes.
fn size_of(frame: Option<&Obj>) -> usize {
    // SAFETY: the frames are bytes objects that only this module sees.
    frame.map_or(0, |frame| unsafe { bytes_of_bytes(frame.raw()) }.len())
}

fn get(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    let frame = frame_of(gil, args[0])?.ok_or_else(|| missing(gil, args[0]))?;
    // SAFETY: a bytes object, alive.
    match FromWorker::read(unsafe { bytes_of_bytes(frame.raw()) }) {
        Ok(FromWorker::Store { value: Some(value), .. }) => to_python(gil, &value, &Encoding::Lossless),
        _ => Err(missing(gil, args[0])),
    }
}

fn set(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    // SAFETY: arguments are alive, and no Python code runs until they are in the frame.
    unsafe {
        if ffi::PyUnicode_Check(args[0]) == 0 {
            let kind = type_name(gil, args[0]);
            let message = format_args!("a key of vh.store must be a str, not {kind}");
            return Err(raise(gil, Exception::Type, message));
        }
        let key = Encoding::Lossless.bytes_of(gil, args[0])?;
        let what = format!("vh.store[{:?}]", String::from_utf8_lossy(&key));
        let value = Some(Outgoing::stored(gil).value(args[1], 0, &what)?);
        let mut buffer = Vec::new();
        let written = FromWorker::Store { key, value }.write(&mut buffer);
        written.map_err(|error| channel::unsendable(gil, &what, &error))?;

        let before = size_of(frame_of(gil, args[0])?.as_ref());
        let total = STORE.with(gil, |store| store.bytes) - before + buffer.len();
        if total > MAX_STORE {
            let message =
                format_args!("{what} does not fit: vh.store would hold {total} bytes, at most {MAX_STORE}");
            return Err(raise(gil, Exception::Value, message));
        }
        let frame = Obj::bytes(gil, &buffer)?;
        send(gil, &buffer)?;
        status(ffi::PyDict_SetItem(frames(gil)?.raw(), args[0], frame.raw()))?;
        STORE.with(gil, |store| store.bytes = total);
    }
    Ok(Obj::none(gil))
}

fn send(gil: Gil, frame: &[u8]) -> PyResult<()> {
    let channel = channel::get(gil)?;
    // The hub reads it at its next visit, before any later frame; it needs no waking for it.
    channel.send(gil, frame, plugin_abi::link::Notify::Waiting)
}

fn delete(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    let frame = frame_of(gil, args[0])?.ok_or_else(|| missing(gil, args[0]))?;
    // SAFETY: arguments are alive; a key that was found is a str.
    unsafe {
        let key = Encoding::Lossless.bytes_of(gil, args[0])?;
        let mut buffer = Vec::new();
        let written = FromWorker::Store { key, value: None }.write(&mut buffer);
        written.map_err(|error| channel::unsendable(gil, &"vh.store", &error))?;
        send(gil, &buffer)?;
        status(ffi::PyDict_DelItem(frames(gil)?.raw(), args[0]))?;
    }
    STORE.with(gil, |store| store.bytes -= size_of(Some(&frame)));
    Ok(Obj::none(gil))
}

fn iterate(gil: Gil, _args: &[Raw]) -> PyResult<Obj> {
    // SAFETY: a dict, alive.
    unsafe { Obj::own(ffi::PyObject_GetIter(frames(gil)?.raw())) }
}

fn length(gil: Gil, _args: &[Raw]) -> PyResult<Obj> {
    // SAFETY: a dict, alive.
    let length = unsafe { ffi::PyDict_Size(frames(gil)?.raw()) };
    Obj::int(gil, length as i64)
}

fn contains(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    frame_of(gil, args[0]).map(|frame| Obj::bool(gil, frame.is_some()))
}

fn repr(gil: Gil, _args: &[Raw]) -> PyResult<Obj> {
    // SAFETY: all are alive; the dict's own iterator and values are used.
    unsafe {
        let keys = Obj::own(ffi::PyDict_Keys(frames(gil)?.raw()))?;
        let dict = Obj::dict(gil)?;
        for at in 0..ffi::PyList_Size(keys.raw()) {
            let key = Obj::borrow(ffi::PyList_GetItem(keys.raw(), at));
            dict.set_item(&key, &get(gil, &[key.raw()])?)?;
        }
        let repr = Obj::own(ffi::PyObject_Repr(dict.raw()))?;
        let shown = format!("<vh.store {}>", repr.lossy(gil));
        Obj::text(gil, &shown)
    }
}
