//! Values: `w_Targs` are built, read, printed and freed, by the rules of memory of [`targs`]; text
//! is turned between UTF-8 and the hub's encoding.

use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::fmt::Write;

use crate::encoding::encode;
use crate::ffi::fault::{Fault, bytes, guard};
use crate::ffi::library;
use crate::ffi::options::encoding_of;
use crate::ffi::targs::{self, Element, Marked, NONE, Targs, owned};
use crate::json;

unsafe extern "C" {
    // In variadic.c. They call `vhpy_pack` and `vhpy_unpack`.
    fn vhpy_variadic_pack();
    fn vhpy_variadic_unpack();
}

/// The jump to a C function, as the whole body of a Rust function. The linker exports Rust's
/// functions only, and stable Rust cannot define variadic ones; arguments stay where the
/// caller put them.
macro_rules! jump_to {
    ($target:path) => {
        core::arch::naked_asm!(
            #[cfg(any(target_arch = "x86_64", target_arch = "x86"))]
            "jmp {target}",
            #[cfg(any(target_arch = "aarch64", target_arch = "arm"))]
            "b {target}",
            #[cfg(any(target_arch = "riscv64", target_arch = "riscv32"))]
            "tail {target}",
            target = sym $target,
        )
    };
}

/// `w_Targs *w_pack(const char *format, …)`.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn w_pack() {
    jump_to!(vhpy_variadic_pack)
}

/// `int w_unpack(w_Targs *args, const char *format, …)`.
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn w_unpack() {
    jump_to!(vhpy_variadic_unpack)
}

/// A structure of values that are given as elements; see `vhpy.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_pack(format: *const c_char, values: *const Element) -> *mut Targs {
    guard("w_pack", std::ptr::null_mut(), || {
        // SAFETY: the header asks for a C string.
        let format = unsafe { bytes(format) }.ok_or(Fault::Null("the format"))?;
        if let Some(letter) = format.iter().copied().find(|&letter| !targs::is_known(letter)) {
            return Err(Fault::UnknownLetter(letter));
        }
        if values.is_null() && !format.is_empty() {
            return Err(Fault::Null("the array of values"));
        }
        let packed = Marked::new(format, -1, 0).ok_or(Fault::Memory)?;
        for at in 0..format.len() {
            // SAFETY: the header asks for one value for each letter.
            packed.element(at).value = unsafe { (*values.add(at)).value };
        }
        Ok(packed.as_ptr())
    })
}

/// Reads a structure into elements; see `vhpy.h`.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_unpack(args: *mut Targs, format: *const c_char, values: *mut Element) -> c_int {
    guard("w_unpack", 0, || {
        // SAFETY: the header asks for a C string and for a structure as its format says.
        let (wanted, marked, given) = unsafe { (bytes(format), Marked::find(args), targs::parts(args)) };
        let wanted = wanted.ok_or(Fault::Null("the format"))?;
        let (given, elements) = given?;
        let (required, wanted) = split(wanted)?;
        let mismatch = || Fault::Mismatch {
            given: given.escape_ascii().to_string(),
            wanted: wanted.escape_ascii().to_string(),
        };
        if given.len() < required || given.len() > wanted.len() {
            return Err(mismatch());
        }
        for (at, (&has, &wants)) in given.iter().zip(&wanted).enumerate() {
            let same = has == wants || marked.is_some_and(|marked| *marked.flags(at) & NONE != 0);
            if !same && !convertible(marked, at, wants) {
                return Err(mismatch());
            }
        }
        if values.is_null() && !wanted.is_empty() {
            return Err(Fault::Null("the array of values"));
        }
        for (at, &wants) in wanted.iter().enumerate() {
            if let Some(marked) = marked.filter(|marked| at < marked.count())
                && marked.letter(at) != wants
                && *marked.flags(at) & NONE == 0
            {
                marked.convert(at, wants)?;
            }
            // SAFETY: elements are read anew after conversion, through the pointer; the
            // header asks for room for each letter of the wanted format.
            unsafe {
                let value = if at < elements.len() {
                    (&raw const (*elements.as_ptr().add(at)).value).read()
                } else {
                    targs::Slot { long: 0 }
                };
                values.add(at).write(Element { kind: wants as c_char, value });
            }
        }
        Ok(1)
    })
}

/// How many letters are required, and all letters without the bar.
fn split(format: &[u8]) -> Result<(usize, Vec<u8>), Fault> {
    let required = format.iter().position(|&letter| letter == b'|').unwrap_or(format.len());
    let mut letters = format.to_vec();
    if required < format.len() {
        letters.remove(required);
    }
    match letters.iter().copied().find(|&letter| !targs::is_known(letter)) {
        Some(letter) => Err(Fault::UnknownLetter(letter)),
        None => Ok((required, letters)),
    }
}

/// Whether an element would become another type by conversion, which is tried on a copy of
/// the decision only: nothing changes before the whole format is known to fit.
fn convertible(marked: Option<Marked>, at: usize, wants: u8) -> bool {
    let Some(marked) = marked else { return false };
    match (marked.letter(at), wants) {
        (b'L', b'D') => true,
        // SAFETY: the letter says that it is text.
        (b'D', b'L') => unsafe {
            json::read_texts(bytes(marked.element(at).value.text).unwrap_or(b"[]")).is_some()
        },
        _ => false,
    }
}

/// Frees a structure and what it owns.
#[unsafe(no_mangle)]
unsafe extern "C" fn w_free_args(args: *mut Targs) {
    guard("w_free_args", (), || {
        // SAFETY: the header asks for a structure that nobody uses any more.
        unsafe { targs::free_args(args) };
        Ok(())
    });
}

/// The longest text of `w_packprint`, without its NUL.
const PRINT: usize = 1023;

/// A structure's format and values, readable.
#[unsafe(no_mangle)]
unsafe extern "C" fn w_packprint(args: *mut Targs) -> *const c_char {
    thread_local! {
        static PRINTED: Cell<[u8; PRINT + 1]> = const { Cell::new([0; PRINT + 1]) };
    }
    guard("w_packprint", c"(null)".as_ptr(), || {
        if args.is_null() {
            return Ok(c"(null)".as_ptr());
        }
        // SAFETY: the header asks for a structure as its format says.
        let text = unsafe { print(args) };
        let length = (0..=text.len().min(PRINT)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
        let printed = PRINTED.try_with(|printed| {
            let mut buffer = [0; PRINT + 1];
            for (to, from) in buffer.iter_mut().zip(text.as_bytes()[..length].iter()) {
                *to = *from;
            }
            printed.set(buffer);
            printed.as_ptr().cast::<c_char>().cast_const()
        });
        Ok(printed.unwrap_or(c"".as_ptr()))
    })
}

/// # Safety
/// `args` points to a structure as its format says.
unsafe fn print(args: *const Targs) -> String {
    // SAFETY: as the caller promises.
    let (format, elements) = match unsafe { targs::parts(args) } {
        Ok(parts) => parts,
        Err(fault) => return format!("({fault})"),
    };
    let mut text = format!("{} [ ", format.escape_ascii());
    for (letter, element) in format.iter().zip(elements) {
        if text.len() > PRINT {
            break;
        }
        // SAFETY: the letter says which member is meant. Writing to a string cannot fail.
        let _ = unsafe {
            let value = element.value;
            match letter {
                b'l' => write!(text, "{} ", value.long),
                b'd' => write!(text, "{:?} ", value.double),
                b's' if value.text.is_null() => write!(text, "NULL "),
                b's' => write!(text, "'{}' ", targs::lossy(value.text)),
                b'D' => write!(text, "{} ", targs::lossy(value.text)),
                b'L' => write!(text, "{} ", plugin_abi::Value::from_iter(targs::list_items(value.list))),
                b'O' => write!(text, "object {} ", value.pointer as usize),
                _ => write!(text, "{:p} ", value.pointer),
            }
        };
    }
    text.push(']');
    text
}

/// Frees a text or list that the library gave.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_free(block: *mut c_void) {
    // SAFETY: the header asks for NULL or such a block.
    unsafe { libc::free(block) };
}

/// UTF-8 in the hub's encoding.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_to_hub(text: *const c_char) -> *mut c_char {
    guard("vhpy_to_hub", std::ptr::null_mut(), || {
        // SAFETY: the header asks for a C string.
        let text = unsafe { bytes(text) }.ok_or(Fault::Null("the text"))?;
        owned(&to_hub(text))
    })
}

/// UTF-8 in the hub's encoding.
pub(super) fn to_hub(text: &[u8]) -> Vec<u8> {
    match encoding_of(&library::options().encoding) {
        Some(encoding) => encode(encoding, &String::from_utf8_lossy(text)).into_owned(),
        None => text.to_vec(),
    }
}

/// Text of the hub as UTF-8.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_from_hub(text: *const c_char) -> *mut c_char {
    guard("vhpy_from_hub", std::ptr::null_mut(), || {
        // SAFETY: the header asks for a C string.
        let text = unsafe { bytes(text) }.ok_or(Fault::Null("the text"))?;
        match encoding_of(&library::options().encoding) {
            Some(encoding) => owned(encoding.decode_without_bom_handling(text).0.as_bytes()),
            None => owned(String::from_utf8_lossy(text).as_bytes()),
        }
    })
}
