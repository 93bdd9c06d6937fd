//! A thin layer over the interpreter's C interface: the proof that the GIL is held, owned
//! references, exceptions; what is done with them is left to the other modules.
//!
//! `pyo3` is used for its declarations alone, not for its safe layer. One file serves every
//! CPython from 3.10 on, so only the limited API is there, and that has a way to call a hook
//! without a tuple of arguments from 3.12 on only: `serve` finds it in older ones too. What is
//! here instead is small: [`Gil`] and [`Obj`], whose promises are those of `Python` and `Py`
//! there.

use std::cell::RefCell;
use std::ffi::CStr;
use std::fmt::Display;
use std::marker::PhantomData;
use std::ptr::{NonNull, null_mut};

use pyo3::ffi;

/// A bare reference, as the interpreter hands them out.
pub type Raw = *mut ffi::PyObject;

/// The proof that this thread holds the GIL.
#[derive(Clone, Copy)]
pub struct Gil(PhantomData<*mut ()>);

/// A Python exception is set on this thread.
#[derive(Debug)]
pub struct Raised;

/// What most functions give that touch Python objects.
pub type PyResult<T> = Result<T, Raised>;

impl Gil {
    /// # Safety
    /// The thread must hold the GIL wherever the value or a copy of it is used.
    pub unsafe fn assume() -> Gil {
        Gil(PhantomData)
    }

    /// Lets other Python threads run during `work`, which cannot touch Python: a [`Gil`] and
    /// an [`Obj`] are not `Send`.
    pub fn release<R>(self, work: impl FnOnce() -> R + Send) -> R {
        // SAFETY: `self` proves that the GIL is held; the guard takes it back on every way out.
        // Where the interpreter ends meanwhile, taking it back never returns.
        let _guard = Released(unsafe { ffi::PyEval_SaveThread() });
        work()
    }

    /// Runs the handlers of signals that have arrived. Only the main thread has any.
    pub fn check_signals(self) -> PyResult<()> {
        // SAFETY: the GIL is held.
        match unsafe { ffi::PyErr_CheckSignals() } {
            0 => Ok(()),
            _ => Err(Raised),
        }
    }
}

struct Released(*mut ffi::PyThreadState);

impl Released {
    /// Holds the GIL during `work`.
    fn back<R>(&mut self, work: impl FnOnce(Gil) -> R) -> R {
        // SAFETY: the state was saved by this thread and is restored once per save.
        unsafe { ffi::PyEval_RestoreThread(self.0) };
        // SAFETY: the line above took the GIL.
        let result = work(unsafe { Gil::assume() });
        // SAFETY: the GIL is held.
        self.0 = unsafe { ffi::PyEval_SaveThread() };
        result
    }
}

impl Drop for Released {
    fn drop(&mut self) {
        // SAFETY: as in `back`.
        unsafe { ffi::PyEval_RestoreThread(self.0) }
    }
}

/// The way back to the GIL for work that runs without it.
pub struct Away<'a>(&'a mut Released);

impl Away<'_> {
    /// Holds the GIL during `work`.
    pub fn back<R>(&mut self, work: impl FnOnce(Gil) -> R) -> R {
        self.0.back(work)
    }
}

impl Gil {
    /// Like [`Gil::release`], for work that needs the GIL again now and then.
    pub fn release_mostly<R>(self, work: impl FnOnce(&mut Away<'_>) -> R) -> R {
        // SAFETY: as in `release`.
        let mut guard = Released(unsafe { ffi::PyEval_SaveThread() });
        work(&mut Away(&mut guard))
    }
}

/// Something that only holders of the GIL reach.
pub struct GilCell<T>(RefCell<T>);

// SAFETY: `with` needs the GIL, which one thread at a time holds; should a closure give up the
// GIL in between, the RefCell's flag, passed on by the GIL's own lock, stops the next thread.
unsafe impl<T> Sync for GilCell<T> {}
// SAFETY: as above; what the cell holds is dropped under the GIL or never.
unsafe impl<T> Send for GilCell<T> {}

impl<T> GilCell<T> {
    /// A cell with this content.
    pub const fn new(value: T) -> GilCell<T> {
        GilCell(RefCell::new(value))
    }

    /// Reaches the content. `work` must neither run Python code nor drop references, since
    /// either can come back here.
    #[inline]
    pub fn with<R>(&self, _gil: Gil, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.0.borrow_mut())
    }
}

/// An owned reference. Not `Send`: made, used and dropped with the GIL held.
#[derive(Debug)]
pub struct Obj(NonNull<ffi::PyObject>);

impl Drop for Obj {
    fn drop(&mut self) {
        // SAFETY: the reference is ours, and the GIL is held as the type demands.
        unsafe { ffi::Py_DECREF(self.0.as_ptr()) }
    }
}

impl Obj {
    /// Takes over a reference that the interpreter gave away; NULL means an exception is set.
    ///
    /// # Safety
    /// `raw` is NULL with an exception set, or a new reference; the GIL is held.
    #[inline]
    pub unsafe fn own(raw: Raw) -> PyResult<Obj> {
        NonNull::new(raw).map(Obj).ok_or(Raised)
    }

    /// A new reference to a borrowed object.
    ///
    /// # Safety
    /// `raw` is alive; the GIL is held.
    #[inline]
    pub unsafe fn borrow(raw: Raw) -> Obj {
        // SAFETY: promised by the caller; an object that is alive is not NULL.
        unsafe {
            ffi::Py_INCREF(raw);
            Obj(NonNull::new_unchecked(raw))
        }
    }

    /// `None`.
    #[inline]
    pub fn none(_gil: Gil) -> Obj {
        // SAFETY: None is always alive.
        unsafe { Obj::borrow(ffi::Py_None()) }
    }

    /// `True` or `False`.
    #[inline]
    pub fn bool(_gil: Gil, yes: bool) -> Obj {
        // SAFETY: both are always alive.
        unsafe { Obj::borrow(if yes { ffi::Py_True() } else { ffi::Py_False() }) }
    }

    /// An `int`.
    #[inline]
    pub fn int(_gil: Gil, number: i64) -> PyResult<Obj> {
        // SAFETY: the GIL is held.
        unsafe { Obj::own(ffi::PyLong_FromLongLong(number)) }
    }

    /// A `float`.
    pub fn float(_gil: Gil, number: f64) -> PyResult<Obj> {
        // SAFETY: the GIL is held.
        unsafe { Obj::own(ffi::PyFloat_FromDouble(number)) }
    }

    /// `bytes`.
    pub fn bytes(_gil: Gil, bytes: &[u8]) -> PyResult<Obj> {
        // SAFETY: the GIL is held; pointer and length are those of a slice.
        unsafe { Obj::own(ffi::PyBytes_FromStringAndSize(bytes.as_ptr().cast(), bytes.len() as isize)) }
    }

    /// A `str`.
    #[inline]
    pub fn text(_gil: Gil, text: &str) -> PyResult<Obj> {
        // SAFETY: the GIL is held; pointer and length are those of a slice.
        unsafe { Obj::own(ffi::PyUnicode_FromStringAndSize(text.as_ptr().cast(), text.len() as isize)) }
    }

    /// A path as Python spells it.
    pub fn path(_gil: Gil, bytes: &[u8]) -> PyResult<Obj> {
        // SAFETY: the GIL is held; pointer and length are those of a slice.
        unsafe {
            Obj::own(ffi::PyUnicode_DecodeFSDefaultAndSize(bytes.as_ptr().cast(), bytes.len() as isize))
        }
    }

    /// A `dict` without entries.
    pub fn dict(_gil: Gil) -> PyResult<Obj> {
        // SAFETY: the GIL is held.
        unsafe { Obj::own(ffi::PyDict_New()) }
    }

    /// A `tuple` of these.
    pub fn tuple<const N: usize>(_gil: Gil, items: [Obj; N]) -> PyResult<Obj> {
        // SAFETY: the GIL is held; every place of the new tuple is filled, and SetItem takes
        // over the references.
        unsafe {
            let tuple = Obj::own(ffi::PyTuple_New(N as isize))?;
            for (at, item) in items.into_iter().enumerate() {
                ffi::PyTuple_SetItem(tuple.raw(), at as isize, item.into_raw());
            }
            Ok(tuple)
        }
    }

    /// A `list` of what the function gives, so many times.
    pub fn list(_gil: Gil, length: usize, mut item: impl FnMut(usize) -> PyResult<Obj>) -> PyResult<Obj> {
        // SAFETY: the GIL is held; the places that an error leaves empty are NULL, which a
        // list that nobody else has seen may hold until it is freed.
        unsafe {
            let list = Obj::own(ffi::PyList_New(length as isize))?;
            for at in 0..length {
                ffi::PyList_SetItem(list.raw(), at as isize, item(at)?.into_raw());
            }
            Ok(list)
        }
    }

    /// The bare reference, borrowed.
    #[inline]
    pub fn raw(&self) -> Raw {
        self.0.as_ptr()
    }

    /// The bare reference, given away.
    #[inline]
    pub fn into_raw(self) -> Raw {
        let raw = self.0.as_ptr();
        std::mem::forget(self);
        raw
    }

    /// One more reference.
    pub fn again(&self) -> Obj {
        // SAFETY: `self` keeps the object alive.
        unsafe { Obj::borrow(self.raw()) }
    }

    /// Whether it is `None`.
    pub fn is_none(&self) -> bool {
        // SAFETY: None is always there.
        self.raw() == unsafe { ffi::Py_None() }
    }

    /// `self.name`.
    pub fn attr(&self, name: &CStr) -> PyResult<Obj> {
        // SAFETY: the object is alive and the name ends with NUL.
        unsafe { Obj::own(ffi::PyObject_GetAttrString(self.raw(), name.as_ptr())) }
    }

    /// `self.name`, or nothing when it has no such attribute or asking for it fails.
    pub fn attr_if_any(&self, name: &CStr) -> Option<Obj> {
        self.attr(name).ok().or_else(|| {
            clear_error();
            None
        })
    }

    /// `self.name = value`.
    pub fn set_attr(&self, name: &CStr, value: &Obj) -> PyResult<()> {
        // SAFETY: both are alive and the name ends with NUL.
        status(unsafe { ffi::PyObject_SetAttrString(self.raw(), name.as_ptr(), value.raw()) })
    }

    /// `self[key] = value` for a `dict`.
    pub fn set_item(&self, key: &Obj, value: &Obj) -> PyResult<()> {
        // SAFETY: all three are alive; a `self` that is no dict raises SystemError.
        status(unsafe { ffi::PyDict_SetItem(self.raw(), key.raw(), value.raw()) })
    }

    /// `self(*args)`.
    pub fn call<const N: usize>(&self, gil: Gil, args: [&Obj; N]) -> PyResult<Obj> {
        let args = Obj::tuple(gil, args.map(Obj::again))?;
        // SAFETY: both are alive and `args` is a tuple.
        unsafe { Obj::own(ffi::PyObject_Call(self.raw(), args.raw(), null_mut())) }
    }

    /// Whether it can be called.
    pub fn is_callable(&self) -> bool {
        // SAFETY: the object is alive.
        unsafe { ffi::PyCallable_Check(self.raw()) != 0 }
    }

    /// `int(self)` for an `int` of 64 bits.
    pub fn as_int(&self) -> Option<i64> {
        // SAFETY: the object is alive; the error that may be set is cleared.
        unsafe {
            let number = ffi::PyLong_AsLongLong(self.raw());
            if number == -1 && !ffi::PyErr_Occurred().is_null() {
                ffi::PyErr_Clear();
                return None;
            }
            Some(number)
        }
    }
}

/// The name of an object's type.
///
/// # Safety
/// `raw` is alive; the GIL is held.
pub unsafe fn type_name(gil: Gil, raw: Raw) -> String {
    // SAFETY: promised by the caller; the type of a living object is alive.
    let kind = unsafe { Obj::borrow(ffi::Py_TYPE(raw).cast()) };
    kind.attr_if_any(c"__name__").map_or_else(|| "?".into(), |name| name.lossy(gil))
}

/// An exception as `Type: message`.
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

/// What the interpreter's functions that give 0 or -1 mean.
pub fn status(code: std::ffi::c_int) -> PyResult<()> {
    if code < 0 { Err(Raised) } else { Ok(()) }
}

/// Forgets the exception that is set.
pub fn clear_error() {
    // SAFETY: whoever got a `Raised` holds the GIL.
    unsafe { ffi::PyErr_Clear() }
}

/// Imports a module.
pub fn import(_gil: Gil, name: &CStr) -> PyResult<Obj> {
    // SAFETY: the GIL is held and the name ends with NUL.
    unsafe { Obj::own(ffi::PyImport_ImportModule(name.as_ptr())) }
}

/// The exceptions that this library raises.
#[derive(Clone, Copy, Debug)]
pub enum Exception {
    /// A value of the wrong type.
    Type,
    /// A value that cannot be used.
    Value,
    /// A number that does not fit.
    Overflow,
    /// Something that does not work now.
    Runtime,
    /// An unknown function.
    Name,
}

/// Sets an exception.
pub fn raise(gil: Gil, exception: Exception, message: impl Display) -> Raised {
    // SAFETY: the GIL is held; the interpreter's own exceptions are always alive.
    unsafe {
        let kind = match exception {
            Exception::Type => ffi::PyExc_TypeError,
            Exception::Value => ffi::PyExc_ValueError,
            Exception::Overflow => ffi::PyExc_OverflowError,
            Exception::Runtime => ffi::PyExc_RuntimeError,
            Exception::Name => ffi::PyExc_NameError,
        };
        if let Ok(message) = Obj::text(gil, &message.to_string()) {
            ffi::PyErr_SetObject(kind, message.raw());
        }
    }
    Raised
}

/// Whether the exception that is set asks for the end of the process.
pub fn is_exit(_gil: Gil) -> bool {
    // SAFETY: the GIL is held.
    unsafe { ffi::PyErr_ExceptionMatches(ffi::PyExc_SystemExit) != 0 }
}

/// Prints the exception that is set, with its traceback, and forgets it.
pub fn print_exception(_gil: Gil) {
    // SAFETY: the GIL is held. 0: `sys.last_traceback` would keep the frame's objects alive.
    unsafe { ffi::PyErr_PrintEx(0) }
}

/// Prints a line to `sys.stderr`, without touching an exception that is set.
pub fn warn(gil: Gil, message: &str) {
    let Ok(text) = Obj::text(gil, message) else {
        return clear_error();
    };
    // SAFETY: the GIL is held; the format takes one object, which is alive.
    unsafe { ffi::PySys_FormatStderr(c"%U\n".as_ptr(), text.raw()) }
}

/// Takes the exception that is set: the exception object, its traceback attached.
pub fn take_exception(_gil: Gil) -> Option<Obj> {
    let (mut kind, mut value, mut traceback) = (null_mut(), null_mut(), null_mut());
    // SAFETY: the GIL is held; the three references that come back are ours. The functions are
    // deprecated since 3.12, whose replacement 3.10 lacks.
    #[allow(deprecated)]
    unsafe {
        ffi::PyErr_Fetch(&mut kind, &mut value, &mut traceback);
        ffi::PyErr_NormalizeException(&mut kind, &mut value, &mut traceback);
        drop(Obj::own(kind));
        let value = Obj::own(value).ok();
        if let (Some(value), Ok(traceback)) = (&value, Obj::own(traceback)) {
            ffi::PyException_SetTraceback(value.raw(), traceback.raw());
        }
        value
    }
}

/// Sets an exception that [`take_exception`] took.
pub fn restore_exception(_gil: Gil, exception: &Obj) -> Raised {
    // SAFETY: the GIL is held and the exception is alive; its type is, too.
    unsafe { ffi::PyErr_SetObject(ffi::Py_TYPE(exception.raw()).cast(), exception.raw()) };
    Raised
}
