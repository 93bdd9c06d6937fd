//! What went wrong, and what is logged.

use std::ffi::{c_char, c_int, c_void};

use crate::ffi::fault::{bytes, last_error, remember};
use crate::ffi::logger::{self, LogFunction};
use crate::log_level;

/// Why the last call of this thread failed.
#[unsafe(no_mangle)]
extern "C" fn vhpy_last_error() -> *const c_char {
    last_error()
}

/// The reason for the NULL that a host's function is about to answer.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_set_error(reason: *const c_char) {
    // SAFETY: the header asks for a C string.
    let reason = unsafe { bytes(reason) }.unwrap_or_default();
    remember(&String::from_utf8_lossy(reason));
}

/// Sends log lines to a function of the host.
#[unsafe(no_mangle)]
unsafe extern "C" fn vhpy_set_log(function: Option<LogFunction>, data: *mut c_void) {
    logger::install();
    logger::set_sink(function, data);
}

/// How much vhpy says itself: from 0, errors only, to 5, everything. What scripts print has
/// the option `log_level`: the old plugin sets 1 here by itself and does not mean that.
#[unsafe(no_mangle)]
extern "C" fn w_LogLevel(level: c_int) {
    logger::install();
    log_level::set_own(level.into());
}
