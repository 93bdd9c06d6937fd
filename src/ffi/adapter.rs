//! The exported functions that save an adapter work it would do in C++: reading options back,
//! knowing the operators' commands before running one, the hub's encoding.

use std::ffi::{c_char, c_int};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::state::options;
use super::targs::malloc_text;
use super::{Fault, guard, state};
use crate::encoding::encode;
use crate::log_level;
use crate::supervisor::Config;
use crate::supervisor::console::is_command;

fn owned(text: &[u8]) -> Result<*mut c_char, Fault> {
    malloc_text(text).map(|text| text.as_ptr()).ok_or(Fault::Memory)
}

/// An option's value, as `vhpy_set_option` takes it.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_option(name: *const c_char) -> *mut c_char {
    guard("vhpy_option", std::ptr::null_mut(), || {
        // SAFETY: the header asks for a C string.
        let name = unsafe { super::utf8(name, "the option's name") }?;
        let value = option(&options(), name).ok_or_else(|| super::plugin::no_option(name))?;
        owned(&value)
    })
}

fn option(config: &Config, name: &str) -> Option<Vec<u8>> {
    let path = |path: &Option<PathBuf>| {
        path.as_ref().map(|path| path.as_os_str().as_bytes().to_vec()).unwrap_or_default()
    };
    let seconds = |time: Duration| time.as_secs_f64().to_string().into_bytes();
    let number = |number: Option<u64>| number.map(|n| n.to_string()).unwrap_or_default().into_bytes();
    let (identity, limits) = (&config.identity, &config.limits);
    Some(match name {
        "python" => path(&config.python),
        "worker" => path(&config.worker),
        "scripts_dir" => path(&config.scripts_dir),
        "store_dir" => path(&config.store_dir),
        "encoding" => config.encoding.clone().into_bytes(),
        "hook_timeout" => seconds(config.hook_timeout),
        "kill_timeout" => seconds(config.kill_timeout),
        "load_timeout" => seconds(config.load_timeout),
        "restart_wait" => seconds(config.restart_wait),
        "restart_limit" => config.restart.max_deaths.to_string().into_bytes(),
        "limit_memory" => number(limits.memory.map(|bytes| bytes >> 20)),
        "limit_cpu" => number(limits.cpu_seconds),
        "limit_files" => number(limits.open_files),
        "limit_processes" => number(limits.processes),
        "nice" => limits.nice.unwrap_or_default().to_string().into_bytes(),
        "spare" => u8::from(config.spare).to_string().into_bytes(),
        "stay_awake" => u8::from(config.stay_awake).to_string().into_bytes(),
        "basedir" => identity.basedir.as_os_str().as_bytes().to_vec(),
        "config_name" => identity.config_name.clone().into_bytes(),
        "starttime" => identity.starttime.to_string().into_bytes(),
        "botname" => identity.botname.clone(),
        "opchatname" => identity.opchatname.clone(),
        "log_level" => log_level::current().to_string().into_bytes(),
        _ => return None,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_can_be_read_and_its_value_set_again() {
        let mut config = Config::default();
        for name in super::super::plugin::OPTIONS {
            let value = option(&config, name).unwrap_or_else(|| panic!("{name} cannot be read"));
            super::super::plugin::set_option(&mut config, name, &value)
                .unwrap_or_else(|fault| panic!("{fault}"));
            assert_eq!(option(&config, name), Some(value), "{name}");
        }
        assert_eq!(option(&config, "colour"), None);
    }
}
