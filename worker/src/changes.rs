//! Notices that the script's globals have changed since somebody last looked, at the price of
//! comparing two numbers; what has changed is left to [`hooks`](crate::hooks).
//!
//! CPython up to 3.11 keeps in every dict the number of its last change, and beside it where its
//! names are and how many have been added there. Later versions tell who watches a dict of each
//! change while it happens; only names that may be hooks' are counted. None of this is part of the
//! stable interface, so it is tried before it is relied on. Where there is neither, everything
//! counts as changed.

use std::ffi::{c_int, c_void};
use std::ptr::{NonNull, null, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use pyo3::ffi;

use crate::py::{Gil, Obj, PyResult, Raw, clear_error};

/// How many changes the watcher was told of. Stays 0 until there are globals to watch.
static TOLD: AtomicU64 = AtomicU64::new(0);
/// Where the number of the last change is; null where there is none.
static NUMBER: AtomicPtr<AtomicU64> = AtomicPtr::new((&raw const TOLD).cast_mut());
/// The number that was there when somebody last looked.
static SEEN: AtomicU64 = AtomicU64::new(0);

/// The dict whose names can be compared; null where they cannot.
static NAMES: AtomicPtr<ffi::PyObject> = AtomicPtr::new(null_mut());
/// Where its names were, and how many had been added there.
static NAMES_PLACE: AtomicUsize = AtomicUsize::new(0);
static NAMES_ADDED: AtomicUsize = AtomicUsize::new(0);

fn number() -> Option<u64> {
    let number = NonNull::new(NUMBER.load(Ordering::Relaxed))?;
    // SAFETY: the number is a static of this module, or lies in the script's globals, which
    // `watch` keeps alive until `stop`. The GIL, which both users of this hold, guards it.
    Some(unsafe { number.as_ref() }.load(Ordering::Relaxed))
}

/// Whether the globals may have changed since the last [`look`].
#[inline]
pub fn are_there(_gil: Gil) -> bool {
    number().is_none_or(|number| number != SEEN.load(Ordering::Relaxed))
}

/// What has changed until now is being looked at. Whether names may be among it that were not
/// there before; otherwise it is values only.
pub fn look(_gil: Gil) -> bool {
    SEEN.store(number().unwrap_or_default(), Ordering::Relaxed);
    let Some(names) = NonNull::new(NAMES.load(Ordering::Relaxed)) else { return true };
    // SAFETY: they are those of the script's globals; see `number`.
    let (place, added) = unsafe { names_in(names.as_ptr()) };
    let old_place = NAMES_PLACE.swap(place, Ordering::Relaxed);
    let old_added = NAMES_ADDED.swap(added, Ordering::Relaxed);
    (old_place, old_added) != (place, added)
}

/// Something else has changed of which the hub is to be told.
pub fn make(_gil: Gil) {
    SEEN.store(!number().unwrap_or_default(), Ordering::Relaxed);
}

/// Watches these globals from now on. They must stay alive until [`stop`].
pub fn watch(gil: Gil, globals: &Obj) {
    let number = if numbers_changes(gil).unwrap_or(false) {
        NAMES.store(globals.raw(), Ordering::Relaxed);
        number_in(globals)
    } else if tells_of_changes(gil, globals) {
        (&raw const TOLD).cast_mut()
    } else {
        null_mut()
    };
    clear_error();
    NUMBER.store(number, Ordering::Relaxed);
    // All names are new to the first look.
    NAMES_PLACE.store(0, Ordering::Relaxed);
}

/// Watches nothing any more.
pub fn stop(gil: Gil) {
    NUMBER.store((&raw const TOLD).cast_mut(), Ordering::Relaxed);
    NAMES.store(null_mut(), Ordering::Relaxed);
    look(gil);
}

// ------------------------------------------------------------------ up to 3.11

/// Where a dict's number of its last change is: after the head of every object and the count of
/// its entries.
fn number_in(dict: &Obj) -> *mut AtomicU64 {
    // SAFETY: a dict has more than these four words.
    unsafe { dict.raw().cast::<AtomicU64>().add(3) }
}

/// Where the names of a dict are, and how many were added there, also those deleted since. A dict
/// that needs more room moves its names.
///
/// # Safety
/// `dict` is a living dict of CPython 3.10 or 3.11 with the usual head.
unsafe fn names_in(dict: Raw) -> (usize, usize) {
    // SAFETY: promised by the caller: the place follows the number, and what is there begins with
    // a count of references, then sizes, and in the fourth or fifth word the count of names added.
    unsafe {
        let place = dict.cast::<*const usize>().add(4).read();
        let at = if is_version(b"3.10.") { 4 } else { 3 };
        (place as usize, place.add(at).read())
    }
}

fn is_version(start: &[u8]) -> bool {
    // SAFETY: a constant string of the interpreter.
    unsafe { std::ffi::CStr::from_ptr(ffi::Py_GetVersion()) }.to_bytes().starts_with(start)
}

/// Whether dicts of this interpreter have that number and those names: tried with a dict that
/// nobody else knows.
fn numbers_changes(gil: Gil) -> PyResult<bool> {
    let is_old = is_version(b"3.10.") || is_version(b"3.11.");
    if !is_old || cfg!(not(target_pointer_width = "64")) {
        return Ok(false);
    }
    let dict = Obj::dict(gil)?;
    let (one, two) = (Obj::text(gil, "one")?, Obj::text(gil, "two")?);
    dict.set_item(&one, &one)?;
    let mut before = 0;
    let mut has_changed = || {
        // SAFETY: the dict is alive, and has more than four words.
        let now = unsafe { &*number_in(&dict) }.load(Ordering::Relaxed);
        std::mem::replace(&mut before, now) != now
    };
    let by_itself = (has_changed(), has_changed()).1;
    dict.set_item(&one, &two)?;
    let by_assignment = has_changed();
    if by_itself || !by_assignment {
        return Ok(false);
    }
    // SAFETY: alive, and its head is the usual one: the number was where it is then.
    let names = || unsafe { names_in(dict.raw()) };
    let before = names();
    dict.set_item(&one, &one)?;
    let by_assignment = names() != before;
    // SAFETY: both are alive and the name is there.
    crate::py::status(unsafe { ffi::PyDict_DelItem(dict.raw(), one.raw()) })?;
    dict.set_item(&two, &two)?;
    let after = names();
    Ok(!by_assignment && before.1 == 1 && after == (before.0, 2) && has_changed())
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
