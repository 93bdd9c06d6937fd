//! The C ABI of `libvhpy.so`: the 18 functions `w_*` of the wrapper library that it stands in
//! for, and the functions `vhpy_*` for hosts that want more; what happens to scripts is the
//! [`supervisor`](crate::supervisor)'s matter.
//!
//! - [`targs`]: the structures that carry values, and who frees what
//! - [`values`]: those structures and [`Value`](crate::Value)s, each from the other
//! - [`json`]: the text of format `D`
//! - [`heap`]: which memory a host's answer may hand over
//! - [`pack`], [`wrapper`], [`plugin`]: the exported functions
//! - [`chost`]: a host that is a table of C functions
//! - [`geo`]: the C++ vector in an old hub's answer to `GetGeoIP`
//! - [`state`]: the one supervisor, its lock, forks
//! - [`lock`], [`logger`]
//!
//! # Rules that hold for all of them
//! - Every exported function goes through [`guard`]: a panic or a fault becomes one log line
//!   and the documented value, and is kept for `vhpy_last_error`.
//! - Pointers from the host are checked for NULL; that they point to what the header says is
//!   the host's promise, as everywhere in C. What they point to is copied or only borrowed
//!   while the function runs.
//! - Functions may be called from any thread and from within callbacks; see [`lock`]. A call
//!   out of a signal handler that interrupted the library gets the value of a failure at once.
//! - A callback must not throw or jump out: Rust cannot let foreign unwinding through.

mod adapter;
mod chost;
mod geo;
mod heap;
mod json;
mod lock;
mod logger;
mod pack;
mod plugin;
mod state;
mod targs;
mod values;
mod wrapper;

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::supervisor::option::OptionError;

/// Why a call from C failed. The text goes to the log and to `vhpy_last_error`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("no scripts can run: call w_Begin first, and look at the log if it failed")]
    NotBegun,
    #[error("{0} is NULL")]
    Null(&'static str),
    #[error("{0} is not valid UTF-8")]
    NotUtf8(&'static str),
    #[error("the format has the unknown letter '{}'; known are l s d p L D O", .0.escape_ascii())]
    UnknownLetter(u8),
    #[error("the values have format \"{given}\", not \"{wanted}\"")]
    Mismatch { given: String, wanted: String },
    #[error("there is no hook {0}; hooks are numbered from 0 to 40")]
    NoHook(i32),
    #[error("there is no script {0}")]
    NoScript(i32),
    #[error("this JSON cannot be read: {0}")]
    Json(#[from] json::JsonError),
    #[error(transparent)]
    Option(#[from] OptionError),
    #[error("out of memory")]
    Memory,
    #[error("{0}")]
    Refused(String),
    #[error("{0}")]
    Raised(String),
}

impl Fault {
    /// Hosts try one format after another to learn what they were given; that is not worth
    /// an operator's attention; nor is what the supervisor has logged before.
    fn level(&self) -> log::Level {
        match self {
            Fault::Mismatch { .. } | Fault::Raised(_) => log::Level::Debug,
            _ => log::Level::Error,
        }
    }
}

thread_local! {
    static LAST_ERROR: RefCell<Option<CString>> = const { RefCell::new(None) };
}

/// Keeps a reason for `vhpy_last_error` on this thread.
fn remember(reason: &str) {
    let text = CString::new(reason.replace('\0', " ")).ok();
    // A thread that is ending has no place for it any more; nobody can ask it either.
    let _ = LAST_ERROR.try_with(|last| last.replace(text));
}

/// The kept reason; empty when there is none. Valid until the next failure on this thread.
fn last_error() -> *const c_char {
    LAST_ERROR
        .try_with(|last| last.borrow().as_ref().map_or(c"".as_ptr(), |text| text.as_ptr()))
        .unwrap_or(c"".as_ptr())
}

/// Takes the reason away, so that an old one is not mistaken for a new one.
fn take_last_error() -> Option<String> {
    let text = LAST_ERROR.try_with(|last| last.take()).ok().flatten()?;
    Some(text.to_string_lossy().into_owned())
}

/// The boundary: runs `work`, and answers `failure` when it fails or panics, and when this thread
/// was interrupted inside the library.
fn guard<T>(function: &str, failure: T, work: impl FnOnce() -> Result<T, Fault>) -> T {
    let Some(_inside) = lock::Inside::enter() else { return failure };
    // Unwind safe: what a panic leaves half done is inside the supervisor, whose cells are
    // released by unwinding, and every later call checks what it finds there.
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(value)) => value,
        Ok(Err(fault)) => {
            logger::install();
            let reason = fault.to_string();
            log::log!(fault.level(), "{function}: {reason}");
            remember(&reason);
            failure
        }
        Err(payload) => {
            logger::install();
            let what = payload
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("no message");
            let reason = format!("a defect in vhpy, please report it: {what}");
            log::error!("{function}: {reason}");
            remember(&reason);
            failure
        }
    }
}

/// A C string that must be there and be UTF-8.
///
/// # Safety
/// `text` is NULL or points to a string that ends with NUL and lives for `'a`.
unsafe fn utf8<'a>(text: *const c_char, what: &'static str) -> Result<&'a str, Fault> {
    // SAFETY: as the caller promises.
    let bytes = unsafe { bytes(text) }.ok_or(Fault::Null(what))?;
    std::str::from_utf8(bytes).map_err(|_| Fault::NotUtf8(what))
}

/// The bytes of a C string, without its NUL; `None` for NULL.
///
/// # Safety
/// `text` is NULL or points to a string that ends with NUL and lives for `'a`.
unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
    // SAFETY: not NULL here, and the caller promises the rest.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_and_faults_stop_at_the_boundary() {
        assert_eq!(guard("good", 0, || Ok(5)), 5);
        assert_eq!(guard("bad", -1, || Err(Fault::Null("the name"))), -1);
        assert_eq!(take_last_error().as_deref(), Some("the name is NULL"));
        assert_eq!(guard("defect", -1, || panic!("with {}", "text")), -1);
        assert!(take_last_error().is_some_and(|reason| reason.contains("with text")));
        assert_eq!(take_last_error(), None);
    }
}
