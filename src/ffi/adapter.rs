//! The exported functions that save an adapter work it would do in C++: reading options back,
//! knowing the operators' commands before running one, the hub's encoding.

use std::ffi::{c_char, c_int};

use super::state::options;
use super::targs::malloc_text;
use super::{Fault, guard, state};
use crate::encoding::encode;
use crate::supervisor::console::is_command;
use crate::supervisor::option;

fn owned(text: &[u8]) -> Result<*mut c_char, Fault> {
    malloc_text(text).map(|text| text.as_ptr()).ok_or(Fault::Memory)
}

/// An option's value, as `vhpy_set_option` takes it.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_option(name: *const c_char) -> *mut c_char {
    guard("vhpy_option", std::ptr::null_mut(), || {
        // SAFETY: the header asks for a C string.
        let name = unsafe { super::utf8(name, "the option's name") }?;
        owned(&option::find(name)?.get(&options()))
    })
}

/// Whether `vhpy_console` would run this.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_is_command(command: *const c_char) -> c_int {
    guard("vhpy_is_command", 0, || {
        // SAFETY: the header asks for a C string.
        let command = unsafe { super::bytes(command) }.ok_or(Fault::Null("the command"))?;
        Ok(is_command(&String::from_utf8_lossy(command)).into())
    })
}

/// UTF-8 in the hub's encoding.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_to_hub(text: *const c_char) -> *mut c_char {
    guard("vhpy_to_hub", std::ptr::null_mut(), || {
        // SAFETY: the header asks for a C string.
        let text = unsafe { super::bytes(text) }.ok_or(Fault::Null("the text"))?;
        match state::encoding_of(&options().encoding) {
            Some(encoding) => owned(&encode(encoding, &String::from_utf8_lossy(text))),
            None => owned(text),
        }
    })
}

/// Text of the hub as UTF-8.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_from_hub(text: *const c_char) -> *mut c_char {
    guard("vhpy_from_hub", std::ptr::null_mut(), || {
        // SAFETY: the header asks for a C string.
        let text = unsafe { super::bytes(text) }.ok_or(Fault::Null("the text"))?;
        match state::encoding_of(&options().encoding) {
            Some(encoding) => owned(encoding.decode_without_bom_handling(text).0.as_bytes()),
            None => owned(String::from_utf8_lossy(text).as_bytes()),
        }
    })
}
