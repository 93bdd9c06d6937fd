//! Text between Python and the hub's encoding, so that no byte is lost on the way.
//!
//! Bytes that are not valid in the encoding become surrogate escapes and turn back into the
//! same bytes; a character that the encoding lacks becomes `?`.

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::sync::OnceLock;

use pyo3::ffi;

use crate::function::builtin;
use crate::py::{Exception, Gil, Obj, PyResult, Raised, Raw, clear_error, raise, status};

/// The name of our error handler for encoding.
const ESCAPE: &CStr = c"vhpy.escape";

/// How text becomes bytes.
#[derive(Debug)]
pub enum Encoding {
    /// UTF-8, with escapes for what is not.
    Utf8,
    /// UTF-8 for ourselves: every `str` comes back as it was, lone surrogates too.
    Lossless,
    /// Another encoding of Python's.
    Other {
        /// Its name.
        name: CString,
        /// Whether ASCII text is the same bytes in it.
        has_ascii: bool,
    },
}

static HUB: OnceLock<Encoding> = OnceLock::new();

/// The hub's encoding; UTF-8 until the hub has said otherwise.
#[inline]
pub fn hub() -> &'static Encoding {
    HUB.get().unwrap_or(&Encoding::Utf8)
}

/// Sets the hub's encoding, by the name that Python has for it. Says what is wrong with it.
pub fn set_hub(gil: Gil, name: &[u8]) -> Result<(), String> {
    let shown = String::from_utf8_lossy(name);
    let unknown = || format!("Python has no encoding {shown:?}; the script sees the hub's text as UTF-8");
    let folded = shown.to_ascii_lowercase().replace(['-', '_'], "");
    let encoding = if folded == "utf8" || folded.is_empty() {
        Encoding::Utf8
    } else {
        let name = CString::new(name).map_err(|_| unknown())?;
        let encoding = Encoding::Other { name, has_ascii: false };
        let ascii: Vec<u8> = (0..128).collect();
        let encoded = Obj::bytes(gil, &ascii).and_then(|_| {
            let text = Encoding::Utf8.text(gil, &ascii)?;
            Ok(encoding.bytes(gil, &text)?.into_owned())
        });
        let encoded = encoded.map_err(|Raised| {
            clear_error();
            unknown()
        })?;
        match encoding {
            Encoding::Other { name, .. } => Encoding::Other { name, has_ascii: encoded == ascii },
            other => other,
        }
    };
    // A second Load never comes; should it, the first encoding stays.
    let _ = HUB.set(encoding);
    Ok(())
}

impl Encoding {
    /// A `str` of these bytes.
    #[inline]
    pub fn text(&self, _gil: Gil, bytes: &[u8]) -> PyResult<Obj> {
        let (start, length) = (bytes.as_ptr().cast(), bytes.len() as isize);
        if let Encoding::Other { name, has_ascii } = self
            && (!has_ascii || !bytes.is_ascii())
        {
            // SAFETY: the GIL is held; pointer and length are those of a slice.
            return unsafe {
                let errors = c"surrogateescape".as_ptr();
                Obj::own(ffi::PyUnicode_Decode(start, length, name.as_ptr(), errors))
            };
        }
        // SAFETY: as above.
        unsafe { Obj::own(ffi::PyUnicode_FromStringAndSize(start, length)) }.or_else(|Raised| {
            clear_error();
            let errors = match self {
                Encoding::Lossless => c"surrogatepass",
                _ => c"surrogateescape",
            };
            // SAFETY: as above.
            unsafe { Obj::own(ffi::PyUnicode_DecodeUTF8(start, length, errors.as_ptr())) }
        })
    }

    /// The bytes of a `str`.
    pub fn bytes<'a>(&self, gil: Gil, text: &'a Obj) -> PyResult<Cow<'a, [u8]>> {
        // SAFETY: `text` keeps the object alive for 'a.
        unsafe { self.bytes_of(gil, text.raw()) }
    }

    /// The bytes of a `str`, mostly borrowed from it.
    ///
    /// # Safety
    /// `text` is a `str` that stays alive during 'a.
    #[inline]
    pub unsafe fn bytes_of<'a>(&self, gil: Gil, text: Raw) -> PyResult<Cow<'a, [u8]>> {
        // SAFETY: promised by the caller.
        match unsafe { self.bytes_in(gil, text) } {
            Some(bytes) => Ok(Cow::Borrowed(bytes)),
            // SAFETY: as above.
            None => unsafe { self.encoded(gil, text) },
        }
    }

    /// The bytes of a `str` where they lie in it, as those of most do.
    ///
    /// # Safety
    /// As for `bytes_of`.
    #[inline(always)]
    pub unsafe fn bytes_in<'a>(&self, _gil: Gil, text: Raw) -> Option<&'a [u8]> {
        let mut length = 0;
        // SAFETY: `text` is a living str; the bytes lie in it as long as it lives.
        let utf8 = unsafe {
            let start = ffi::PyUnicode_AsUTF8AndSize(text, &mut length);
            if start.is_null() {
                clear_error();
                return None;
            }
            std::slice::from_raw_parts(start.cast::<u8>(), length as usize)
        };
        match self {
            Encoding::Utf8 | Encoding::Lossless => Some(utf8),
            Encoding::Other { has_ascii, .. } => (*has_ascii && utf8.is_ascii()).then_some(utf8),
        }
    }

    /// # Safety
    /// `text` is a living `str`.
    unsafe fn encoded(&self, _gil: Gil, text: Raw) -> PyResult<Cow<'static, [u8]>> {
        let (name, errors) = match self {
            Encoding::Utf8 => (c"utf-8", ESCAPE),
            Encoding::Lossless => (c"utf-8", c"surrogatepass"),
            Encoding::Other { name, .. } => (name.as_c_str(), ESCAPE),
        };
        // SAFETY: `text` is a living str, the names end with NUL; the bytes are copied before
        // their object goes.
        unsafe {
            let bytes = Obj::own(ffi::PyUnicode_AsEncodedString(text, name.as_ptr(), errors.as_ptr()))?;
            Ok(Cow::Owned(bytes_of_bytes(bytes.raw()).to_vec()))
        }
    }
}

impl Obj {
    /// A `str` for a message of ours: what is no valid text in it is replaced.
    pub fn lossy(&self, gil: Gil) -> String {
        let text = Encoding::Utf8.bytes(gil, self);
        let lossy = text.map(|text| String::from_utf8_lossy(&text).into_owned());
        lossy.unwrap_or_else(|Raised| {
            clear_error();
            String::from("?")
        })
    }
}

/// The contents of a `bytes`.
///
/// # Safety
/// `bytes` is a `bytes` object that stays alive during 'a.
pub unsafe fn bytes_of_bytes<'a>(bytes: Raw) -> &'a [u8] {
    // SAFETY: promised by the caller.
    unsafe {
        let length = ffi::PyBytes_Size(bytes) as usize;
        std::slice::from_raw_parts(ffi::PyBytes_AsString(bytes).cast(), length)
    }
}

/// Makes our error handler known to the interpreter.
pub fn register(gil: Gil) -> PyResult<()> {
    let handler = builtin!(gil, c"escape", c"", 1..=1, escape)?;
    // SAFETY: the GIL is held, the handler is alive and callable.
    status(unsafe { ffi::PyCodec_RegisterError(ESCAPE.as_ptr(), handler.raw()) })
}

/// Escapes turn into the bytes they stand for, everything else into `?`.
fn escape(gil: Gil, args: &[Raw]) -> PyResult<Obj> {
    let error = args[0];
    let (mut start, mut end) = (0, 0);
    // SAFETY: `error` is an argument of the call that runs, so it is alive; the three
    // functions raise TypeError when it is not a UnicodeEncodeError.
    let text = unsafe {
        if ffi::PyObject_TypeCheck(error, ffi::PyExc_UnicodeEncodeError.cast()) == 0 {
            return Err(raise(gil, Exception::Type, "this handler is for encoding only"));
        }
        status(ffi::PyUnicodeEncodeError_GetStart(error, &mut start))?;
        status(ffi::PyUnicodeEncodeError_GetEnd(error, &mut end))?;
        Obj::own(ffi::PyUnicodeEncodeError_GetObject(error))?
    };
    let mut bytes = Vec::new();
    for at in start..end {
        // SAFETY: `text` is a str and alive; a place beyond its end raises IndexError.
        let character = unsafe { ffi::PyUnicode_ReadChar(text.raw(), at) };
        bytes.push(match character {
            0xDC80..=0xDCFF => (character - 0xDC00) as u8,
            _ => b'?',
        });
    }
    Obj::tuple(gil, [Obj::bytes(gil, &bytes)?, Obj::int(gil, end as i64)?])
}
