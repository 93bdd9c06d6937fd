//! Options: set, read back, listed; the names of the hub's bots, which change while it runs.

use std::ffi::{CString, c_char, c_int};

use crate::ffi::fault::{Fault, bytes, guard, utf8};
use crate::ffi::library::{self, configure, visit};
use crate::ffi::logger;
use crate::ffi::targs::owned;
use crate::supervisor::{Config, option};

/// Sets an option; see `vhpy.h` for their names.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_set_option(name: *const c_char, value: *const c_char) -> c_int {
    logger::install();
    guard("vhpy_set_option", 0, || {
        // SAFETY: the header asks for C strings.
        let (name, value) = unsafe { (utf8(name, "the option's name")?, bytes(value)) };
        let value = value.ok_or(Fault::Null("the option's value"))?;
        configure(|config| set_option(config, name, value)).map(|()| 1)
    })
}

/// The name of the option at this place among those that operators choose; NULL after the
/// last.
#[unsafe(no_mangle)]
extern "C" fn vhpy_option_name(at: c_int) -> *const c_char {
    static NAMES: std::sync::OnceLock<Vec<CString>> = std::sync::OnceLock::new();
    guard("vhpy_option_name", std::ptr::null(), || {
        let names = NAMES.get_or_init(|| {
            option::of_operators().map(|option| CString::new(option.name).unwrap_or_default()).collect()
        });
        let name = usize::try_from(at).ok().and_then(|at| names.get(at));
        Ok(name.map_or(std::ptr::null(), |name| name.as_ptr()))
    })
}

/// The hub's bots have new names.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_set_names(botname: *const c_char, opchatname: *const c_char) -> c_int {
    guard("vhpy_set_names", 0, || {
        // SAFETY: the header asks for C strings.
        let (botname, opchatname) = unsafe { (bytes(botname), bytes(opchatname)) };
        configure(|config| {
            config.identity.botname = botname.map_or_else(|| config.identity.botname.clone(), <[u8]>::to_vec);
            config.identity.opchatname =
                opchatname.map_or_else(|| config.identity.opchatname.clone(), <[u8]>::to_vec);
            Ok(())
        })?;
        let names = library::options().identity;
        match visit(|running, _| {
            running.supervisor.set_names(&names.botname, &names.opchatname);
            Ok(())
        }) {
            // Before `w_Begin` the names wait in the options.
            Ok(()) | Err(Fault::NotBegun) => Ok(1),
            Err(fault) => Err(fault),
        }
    })
}

fn set_option(config: &mut Config, name: &str, value: &[u8]) -> Result<(), Fault> {
    Ok(option::find(name)?.set(config, value)?)
}

/// An option's value, as `vhpy_set_option` takes it.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_option(name: *const c_char) -> *mut c_char {
    guard("vhpy_option", std::ptr::null_mut(), || {
        // SAFETY: the header asks for a C string.
        let name = unsafe { utf8(name, "the option's name") }?;
        owned(&option::find(name)?.get(&library::options()))
    })
}
