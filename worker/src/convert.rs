//! Python objects to values and back, for functions, their arguments and `vh.store`; the hot
//! arguments of events and calls have ways of their own.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Display;

use plugin_abi::Value;
use plugin_abi::value::{MAX_DEPTH, MAX_VALUES};
use pyo3::ffi;

use crate::py::{Exception, Gil, GilCell, Obj, PyResult, Raised, Raw, clear_error, raise, type_name};
use crate::text::{Encoding, bytes_of_bytes};

/// Objects of the script that the hub holds by number.
struct Handles {
    next: u64,
    objects: Option<HashMap<u64, Obj>>,
}

static HANDLES: GilCell<Handles> = GilCell::new(Handles { next: 1, objects: None });

fn keep(gil: Gil, object: Obj) -> u64 {
    HANDLES.with(gil, |handles| {
        // No other process of this script gives the same numbers: one that the host kept
        // through a restart must not name another object.
        let number = (u64::from(std::process::id()) << 32) + handles.next;
        handles.next += 1;
        handles.objects.get_or_insert_default().insert(number, object);
        number
    })
}

fn kept(gil: Gil, number: u64) -> Option<Obj> {
    HANDLES.with(gil, |handles| handles.objects.as_ref()?.get(&number).map(Obj::again))
}

/// The hub no longer needs the object.
pub fn release(gil: Gil, number: u64) {
    let object = HANDLES.with(gil, |handles| handles.objects.as_mut()?.remove(&number));
    // Outside of the cell: an object's end may run Python code.
    drop(object);
}

/// Lets go of all objects that the hub holds by number: it asks for none any more.
pub fn let_go(gil: Gil) {
    let objects = HANDLES.with(gil, |handles| handles.objects.take());
    drop(objects);
}

/// A Python object for a value.
pub fn to_python(gil: Gil, value: &Value<'_>, encoding: &Encoding) -> PyResult<Obj> {
    match value {
        Value::Nil => Ok(Obj::none(gil)),
        Value::Bool(yes) => Ok(Obj::bool(gil, *yes)),
        Value::Int(number) => Obj::int(gil, *number),
        Value::Float(number) => Obj::float(gil, *number),
        Value::Text(text) => encoding.text(gil, text),
        Value::Bytes(bytes) => Obj::bytes(gil, bytes),
        Value::List(list) => Obj::list(gil, list.len(), |at| to_python(gil, &list[at], encoding)),
        Value::Map(map) => {
            let dict = Obj::dict(gil)?;
            for (key, value) in map {
                dict.set_item(&to_key(gil, key, encoding)?, &to_python(gil, value, encoding)?)?;
            }
            Ok(dict)
        }
        Value::Handle(number) => kept(gil, *number).ok_or_else(|| {
            raise(gil, Exception::Runtime, format_args!("the object {number} was released before"))
        }),
        // SAFETY: the GIL is held.
        Value::Pointer(address) => unsafe { Obj::own(ffi::PyLong_FromUnsignedLongLong(*address)) },
    }
}

/// Tuples travel as lists, which cannot be keys.
fn to_key(gil: Gil, key: &Value<'_>, encoding: &Encoding) -> PyResult<Obj> {
    let Value::List(list) = key else {
        return to_python(gil, key, encoding);
    };
    // SAFETY: the GIL is held; SetItem takes over the references, and places that an error
    // leaves empty are NULL, which a tuple that nobody else has seen may hold.
    unsafe {
        let tuple = Obj::own(ffi::PyTuple_New(list.len() as isize))?;
        for (at, item) in list.iter().enumerate() {
            ffi::PyTuple_SetItem(tuple.raw(), at as isize, to_key(gil, item, encoding)?.into_raw());
        }
        Ok(tuple)
    }
}

/// What becomes of objects that no value can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Others {
    /// They stay here, and the hub gets a number.
    Stay,
    /// They are an error.
    Refused,
}

/// Why an object cannot be sent.
enum Unfit {
    TooLarge,
    TooDeep,
    TooMany,
    HasNul,
    Foreign(String),
    /// An exception of Python's own.
    Raised,
}

impl From<Raised> for Unfit {
    fn from(_: Raised) -> Unfit {
        Unfit::Raised
    }
}

impl Unfit {
    fn raise(self, gil: Gil, what: &dyn Display) -> Raised {
        match self {
            Unfit::TooLarge => raise(
                gil,
                Exception::Overflow,
                format_args!("{what} has an int beyond 64 bits, which cannot be sent to the hub"),
            ),
            Unfit::TooDeep => raise(
                gil,
                Exception::Value,
                format_args!("{what} is nested deeper than {MAX_DEPTH} levels, or holds itself"),
            ),
            Unfit::TooMany => raise(
                gil,
                Exception::Value,
                format_args!("{what} holds more than {MAX_VALUES} values: send it in parts"),
            ),
            Unfit::HasNul => raise(
                gil,
                Exception::Value,
                format_args!("{what} has a null character, which the hub's strings cannot carry"),
            ),
            Unfit::Foreign(kind) => raise(
                gil,
                Exception::Type,
                format_args!(
                    "{what} has a {kind}, which cannot be sent; None, bool, int, float, str, bytes, \
                     list, tuple, set and dict can"
                ),
            ),
            Unfit::Raised => Raised,
        }
    }
}

/// Turns Python objects into the values of one frame.
pub struct Outgoing<'e> {
    gil: Gil,
    encoding: &'e Encoding,
    others: Others,
    has_nul: bool,
    left: usize,
}

impl<'e> Outgoing<'e> {
    /// For the result of a function: anything goes.
    pub fn result(gil: Gil, encoding: &'e Encoding) -> Outgoing<'e> {
        Outgoing { gil, encoding, others: Others::Stay, has_nul: true, left: MAX_VALUES }
    }

    /// For arguments of a function of the host.
    pub fn argument(gil: Gil, encoding: &'e Encoding) -> Outgoing<'e> {
        Outgoing { gil, encoding, others: Others::Refused, has_nul: false, left: MAX_VALUES }
    }

    /// For `vh.store`.
    pub fn stored(gil: Gil) -> Outgoing<'static> {
        Outgoing {
            gil,
            encoding: &Encoding::Lossless,
            others: Others::Refused,
            has_nul: true,
            left: MAX_VALUES,
        }
    }

    /// The value of an object, borrowing text from it. `what` names it in exceptions; `depth`
    /// is 0, or 1 for what travels as one of several arguments.
    ///
    /// # Safety
    /// `object` stays alive and unchanged during 'a. That is so as long as no Python code
    /// runs; text in encodings whose codec is Python code is copied.
    pub unsafe fn value<'a>(&mut self, object: Raw, depth: usize, what: &dyn Display) -> PyResult<Value<'a>> {
        // SAFETY: promised by the caller.
        unsafe { self.convert(object, depth) }.map_err(|unfit| unfit.raise(self.gil, what))
    }

    /// # Safety
    /// As for `value`.
    unsafe fn convert<'a>(&mut self, object: Raw, depth: usize) -> Result<Value<'a>, Unfit> {
        self.left = self.left.checked_sub(1).ok_or(Unfit::TooMany)?;
        // SAFETY: `object` is alive; each cast follows its type check.
        unsafe {
            if ffi::PyUnicode_Check(object) != 0 {
                let text = self.encoding.bytes_of(self.gil, object)?;
                if !self.has_nul && text.contains(&0) {
                    return Err(Unfit::HasNul);
                }
                return Ok(Value::Text(text));
            }
            if object == ffi::Py_None() {
                return Ok(Value::Nil);
            }
            if ffi::PyBool_Check(object) != 0 {
                return Ok(Value::Bool(object == ffi::Py_True()));
            }
            if ffi::PyLong_Check(object) != 0 {
                return int(object).map(Value::Int).ok_or(Unfit::TooLarge);
            }
            if ffi::PyFloat_Check(object) != 0 {
                return Ok(Value::Float(ffi::PyFloat_AsDouble(object)));
            }
            if ffi::PyBytes_Check(object) != 0 {
                return Ok(Value::Bytes(Cow::Borrowed(bytes_of_bytes(object))));
            }
            if ffi::PyByteArray_Check(object) != 0 {
                let start = ffi::PyByteArray_AsString(object).cast::<u8>();
                let bytes = std::slice::from_raw_parts(start, ffi::PyByteArray_Size(object) as usize);
                return Ok(Value::Bytes(Cow::Owned(bytes.to_vec())));
            }
            if ffi::PyList_Check(object) != 0 {
                // The size is read anew each time: a codec may let another thread run.
                let length = |object| ffi::PyList_Size(object) as usize;
                return self.items(object, depth, length, |list, at| ffi::PyList_GetItem(list, at));
            }
            if ffi::PyTuple_Check(object) != 0 {
                let length = |object| ffi::PyTuple_Size(object) as usize;
                return self.items(object, depth, length, |tuple, at| ffi::PyTuple_GetItem(tuple, at));
            }
            if ffi::PyDict_Check(object) != 0 {
                return self.entries(object, depth);
            }
            if ffi::PyAnySet_Check(object) != 0 {
                return self.set(object, depth);
            }
            match self.others {
                Others::Refused => Err(Unfit::Foreign(type_name(self.gil, object))),
                Others::Stay => Ok(Value::Handle(keep(self.gil, Obj::borrow(object)))),
            }
        }
    }

    /// # Safety
    /// As for `value`; `length` and `get` are those of the object's type.
    unsafe fn items<'a>(
        &mut self,
        object: Raw,
        depth: usize,
        length: impl Fn(Raw) -> usize,
        get: impl Fn(Raw, isize) -> Raw,
    ) -> Result<Value<'a>, Unfit> {
        let depth = deeper(depth)?;
        let mut list = Vec::with_capacity(length(object));
        while list.len() < length(object) {
            // SAFETY: the place is inside; the reference keeps the item while it is looked at.
            unsafe {
                let item = Obj::borrow(get(object, list.len() as isize));
                // The usual item. Where there is room it goes straight into the list; a value
                // that comes out of a call is copied there, which takes as long as the rest.
                if self.has_nul
                    && self.left > 0
                    && list.len() < list.capacity()
                    && ffi::PyUnicode_Check(item.raw()) != 0
                    && let Some(text) = self.encoding.bytes_in(self.gil, item.raw())
                {
                    self.left -= 1;
                    list.push(Value::Text(Cow::Borrowed(text)));
                } else {
                    list.push(self.convert(item.raw(), depth)?);
                }
            }
        }
        Ok(Value::List(list))
    }

    /// # Safety
    /// As for `value`; `dict` is a dict.
    unsafe fn entries<'a>(&mut self, dict: Raw, depth: usize) -> Result<Value<'a>, Unfit> {
        let depth = deeper(depth)?;
        // SAFETY: `dict` is a living dict.
        let mut entries = Vec::with_capacity(unsafe { ffi::PyDict_Size(dict) } as usize);
        let (mut at, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: as above; the references keep key and value while they are looked at. A dict
        // that another thread changes meanwhile is iterated wrongly, but safely.
        unsafe {
            while ffi::PyDict_Next(dict, &mut at, &mut key, &mut value) != 0 {
                let (key, value) = (Obj::borrow(key), Obj::borrow(value));
                entries.push((self.convert(key.raw(), depth)?, self.convert(value.raw(), depth)?));
            }
        }
        Ok(Value::Map(entries))
    }

    /// # Safety
    /// As for `value`; `set` is a set or frozenset.
    unsafe fn set<'a>(&mut self, set: Raw, depth: usize) -> Result<Value<'a>, Unfit> {
        let depth = deeper(depth)?;
        let mut list = Vec::new();
        // SAFETY: `set` is alive and a set, whose iterator is not Python code; the set keeps
        // what the loop lets go of.
        unsafe {
            let items = Obj::own(ffi::PyObject_GetIter(set))?;
            while let Ok(item) = Obj::own(ffi::PyIter_Next(items.raw())) {
                list.push(self.convert(item.raw(), depth)?);
            }
            if !ffi::PyErr_Occurred().is_null() {
                return Err(Unfit::Raised);
            }
        }
        Ok(Value::List(list))
    }
}

fn deeper(depth: usize) -> Result<usize, Unfit> {
    if depth >= MAX_DEPTH { Err(Unfit::TooDeep) } else { Ok(depth + 1) }
}

/// An `int` of 64 bits.
///
/// # Safety
/// `object` is a living `int`; the GIL is held.
pub unsafe fn int(object: Raw) -> Option<i64> {
    // SAFETY: promised by the caller; an int that is too large sets an exception.
    let number = unsafe { ffi::PyLong_AsLongLong(object) };
    // SAFETY: the GIL is held.
    if number == -1 && !unsafe { ffi::PyErr_Occurred() }.is_null() {
        clear_error();
        return None;
    }
    Some(number)
}
