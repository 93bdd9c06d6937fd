//! `NickList`: the list of nicks that also splits like the protocol string it once was.

use std::ffi::c_void;
use std::ptr::null_mut;

use pyo3::ffi;

use crate::function::wrong_count;
use crate::py::{Gil, GilCell, Obj, PyResult, Raw, status};

static TYPE: GilCell<Option<Obj>> = GilCell::new(None);

const DOC: &std::ffi::CStr =
    c"A list of nicks. Its split('$$') gives the same nicks, for scripts that expect \
a string; every other separator splits the nicks joined by '$$'.";

/// Makes the type. Once, before [`new`].
pub fn make_type(gil: Gil) -> PyResult<Obj> {
    let methods = Box::leak(Box::new([
        ffi::PyMethodDef {
            ml_name: c"split".as_ptr(),
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFast: split },
            ml_flags: ffi::METH_FASTCALL,
            ml_doc: c"split($self, sep='$$', maxsplit=-1, /)\n--\n\nThe nicks, for sep '$$'.".as_ptr(),
        },
        ffi::PyMethodDef::zeroed(),
    ]));
    let mut slots = [
        ffi::PyType_Slot { slot: ffi::Py_tp_methods, pfunc: methods.as_mut_ptr().cast() },
        ffi::PyType_Slot { slot: ffi::Py_tp_doc, pfunc: DOC.as_ptr() as *mut c_void },
        ffi::PyType_Slot { slot: 0, pfunc: null_mut() },
    ];
    let mut spec = ffi::PyType_Spec {
        name: c"vh.NickList".as_ptr(),
        basicsize: 0,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE) as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: the GIL is held; spec and slots live during the call, the methods for ever;
    // `list` is always alive and can be inherited from; a size of 0 means the base's.
    let made = unsafe {
        let base = Obj::borrow((&raw mut ffi::PyList_Type).cast());
        let bases = Obj::tuple(gil, [base])?;
        Obj::own(ffi::PyType_FromSpecWithBases(&mut spec, bases.raw()))?
    };
    TYPE.with(gil, |kept| *kept = Some(made.again()));
    Ok(made)
}

/// A `NickList` of what is in a list.
pub fn new(gil: Gil, list: Obj) -> PyResult<Obj> {
    let Some(kind) = TYPE.with(gil, |kept| kept.as_ref().map(Obj::again)) else {
        return Ok(list);
    };
    // SAFETY: both are alive; what the type makes is a list.
    unsafe {
        let nicks = Obj::own(ffi::PyObject_CallNoArgs(kind.raw()))?;
        status(ffi::PyList_SetSlice(nicks.raw(), 0, 0, list.raw()))?;
        Ok(nicks)
    }
}

unsafe extern "C" fn split(nicks: Raw, args: *mut Raw, count: isize) -> Raw {
    // SAFETY: the interpreter calls with the GIL held, `nicks` a NickList, and `count` living
    // arguments.
    unsafe {
        let gil = Gil::assume();
        let args = if count == 0 { &[] } else { std::slice::from_raw_parts(args, count as usize) };
        split_list(gil, nicks, args).map_or(null_mut(), Obj::into_raw)
    }
}

/// # Safety
/// `nicks` is a living list, `args` are alive.
unsafe fn split_list(gil: Gil, nicks: Raw, args: &[Raw]) -> PyResult<Obj> {
    if args.len() > 2 {
        return Err(wrong_count(gil, "NickList.split", 0..=2, args.len()));
    }
    // SAFETY: promised by the caller; the functions check what they are given.
    unsafe {
        let separator = Obj::text(gil, "$$")?;
        if args.is_empty()
            || args.len() == 1
                && ffi::PyUnicode_Check(args[0]) != 0
                && ffi::PyUnicode_Compare(args[0], separator.raw()) == 0
        {
            return Obj::own(ffi::PyList_GetSlice(nicks, 0, isize::MAX));
        }
        let joined = Obj::own(ffi::PyUnicode_Join(separator.raw(), nicks))?;
        let split = joined.attr(c"split")?;
        match args {
            [sep, most] => split.call(gil, [&Obj::borrow(*sep), &Obj::borrow(*most)]),
            _ => split.call(gil, [&Obj::borrow(args[0])]),
        }
    }
}
