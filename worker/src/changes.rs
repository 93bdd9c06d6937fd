//! Notices that the script's globals have changed since somebody last looked, at the price of
//! comparing two numbers; what has changed is left to [`hooks`](crate::hooks).
//!
//! CPython up to 3.11 keeps in every dict the number of its last change. Later versions tell who
//! watches a dict of each change while it happens; only names that may be hooks' are counted.
//! Neither is part of the stable interface, so both are tried before they are relied on. Where
//! there is neither, everything counts as changed.

use std::ffi::{c_int, c_void};
use std::ptr::{NonNull, null};
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use pyo3::ffi;

use crate::py::{Gil, Obj, PyResult, Raw, clear_error};

/// How many changes the watcher was told of. Stays 0 until there are globals to watch.
static TOLD: AtomicU64 = AtomicU64::new(0);
/// Where the number of the last change is; null where there is none.
static NUMBER: AtomicPtr<AtomicU64> = AtomicPtr::new((&raw const TOLD).cast_mut());
/// The number that was there when somebody last looked.
static SEEN: AtomicU64 = AtomicU64::new(0);

fn number() -> Option<u64> {
    let number = NonNull::new(NUMBER.load(Ordering::Relaxed))?;
    // SAFETY: the number is a static of this module, or lies in the script's globals, which
    // `watch` keeps alive until `stop`. The GIL, which both users of this hold, guards it.
    Some(unsafe { number.as_ref() }.load(Ordering::Relaxed))
}

/// Whether the globals may have changed since [`seen`].
#[inline]
pub fn are_there(_gil: Gil) -> bool {
    number().is_none_or(|number| number != SEEN.load(Ordering::Relaxed))
}

/// What has changed until now is being looked at.
pub fn seen(_gil: Gil) {
    SEEN.store(number().unwrap_or_default(), Ordering::Relaxed);
}

/// Watches these globals from now on. They must stay alive until [`stop`].
pub fn watch(gil: Gil, globals: &Obj) {
    let number = if numbers_changes(gil).unwrap_or(false) {
        number_in(globals)
    } else if tells_of_changes(gil, globals) {
        (&raw const TOLD).cast_mut()
    } else {
        std::ptr::null_mut()
    };
    clear_error();
    NUMBER.store(number, Ordering::Relaxed);
    seen(gil);
}

/// Watches nothing any more.
pub fn stop(gil: Gil) {
    NUMBER.store((&raw const TOLD).cast_mut(), Ordering::Relaxed);
    seen(gil);
}

// ------------------------------------------------------------------ up to 3.11

/// Where a dict's number of its last change is: after the head of every object and the count of
/// its entries.
fn number_in(dict: &Obj) -> *mut AtomicU64 {
    // SAFETY: a dict has more than these four words.
    unsafe { dict.raw().cast::<AtomicU64>().add(3) }
}

/// Whether dicts of this interpreter have that number: tried with one that nobody else knows.
fn numbers_changes(gil: Gil) -> PyResult<bool> {
    // SAFETY: a constant of the interpreter, which has it as a function from 3.11 on only.
    let version = unsafe { std::ffi::CStr::from_ptr(ffi::Py_GetVersion()) }.to_bytes();
    if !(version.starts_with(b"3.10.") || version.starts_with(b"3.11.")) {
        return Ok(false);
    }
    let dict = Obj::dict(gil)?;
    let (key, value) = (Obj::text(gil, "key")?, Obj::none(gil));
    // SAFETY: the dict is alive, and so is what lies in it.
    let number = || unsafe { &*number_in(&dict) }.load(Ordering::Relaxed);
    let mut before = number();
    let mut changes = || {
        let now = number();
        std::mem::replace(&mut before, now) != now
    };
    dict.set_item(&key, &value)?;
    let on_insertion = changes();
    let by_itself = changes();
    dict.set_item(&key, &key)?;
    let on_assignment = changes();
    // SAFETY: both are alive and the key is there.
    crate::py::status(unsafe { ffi::PyDict_DelItem(dict.raw(), key.raw()) })?;
    Ok(on_insertion && !by_itself && on_assignment && changes())
}

// ------------------------------------------------------------------- from 3.12

type Callback = unsafe extern "C" fn(c_int, Raw, Raw, Raw) -> c_int;
type AddWatcher = unsafe extern "C" fn(Callback) -> c_int;
type Watch = unsafe extern "C" fn(c_int, Raw) -> c_int;

/// Makes [`TOLD`] count the changes of these globals, where the interpreter can.
fn tells_of_changes(_gil: Gil, globals: &Obj) -> bool {
    // SAFETY: the names end with NUL; where they are found, they have these signatures. The
    // callback is told by threads that hold the GIL.
    unsafe {
        let find = |name: &std::ffi::CStr| libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr());
        let (add, watch) = (find(c"PyDict_AddWatcher"), find(c"PyDict_Watch"));
        if add.is_null() || watch.is_null() {
            return false;
        }
        let add = std::mem::transmute::<*mut c_void, AddWatcher>(add);
        let watch = std::mem::transmute::<*mut c_void, Watch>(watch);
        let watcher = add(told);
        watcher >= 0 && watch(watcher, globals.raw()) == 0
    }
}

/// Told of a change before it is made. Counting it then is early enough: who looks holds the GIL
/// that the one who makes it has not given up.
unsafe extern "C" fn told(_event: c_int, _dict: Raw, key: Raw, _value: Raw) -> c_int {
    // SAFETY: the key is NULL, where all keys change, or alive; the GIL is held.
    let may_be_a_hook = unsafe {
        std::ptr::eq(key, null())
            || ffi::PyUnicode_Check(key) != 0
                && ffi::PyUnicode_GetLength(key) > 2
                && ffi::PyUnicode_ReadChar(key, 0) == u32::from('O')
                && ffi::PyUnicode_ReadChar(key, 1) == u32::from('n')
    };
    if may_be_a_hook {
        TOLD.fetch_add(1, Ordering::Relaxed);
    }
    0
}
