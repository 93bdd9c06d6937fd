//! The boundary to C: why a call failed, where the reason is kept, and that no panic passes it.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{lock, logger};
use crate::json::JsonError;
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
    Json(#[from] JsonError),
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
pub(crate) fn remember(reason: &str) {
    let text = CString::new(reason.replace('\0', " ")).ok();
    // A thread that is ending has no place for it any more; nobody can ask it either.
    let _ = LAST_ERROR.try_with(|last| last.replace(text));
}

/// The kept reason; empty when there is none. Valid until the next failure on this thread.
pub(crate) fn last_error() -> *const c_char {
    LAST_ERROR
        .try_with(|last| last.borrow().as_ref().map_or(c"".as_ptr(), |text| text.as_ptr()))
        .unwrap_or(c"".as_ptr())
}

/// Takes the reason away, so that an old one is not mistaken for a new one.
pub(crate) fn take_last_error() -> Option<String> {
    let text = LAST_ERROR.try_with(|last| last.take()).ok().flatten()?;
    Some(text.to_string_lossy().into_owned())
}

/// The boundary: runs `work`, and answers `failure` when it fails or panics, and when this thread
/// was interrupted inside the library.
pub(crate) fn guard<T>(function: &str, failure: T, work: impl FnOnce() -> Result<T, Fault>) -> T {
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
pub(crate) unsafe fn utf8<'a>(text: *const c_char, what: &'static str) -> Result<&'a str, Fault> {
    // SAFETY: as the caller promises.
    let bytes = unsafe { bytes(text) }.ok_or(Fault::Null(what))?;
    std::str::from_utf8(bytes).map_err(|_| Fault::NotUtf8(what))
}

/// The bytes of a C string, without its NUL; `None` for NULL.
///
/// # Safety
/// `text` is NULL or points to a string that ends with NUL and lives for `'a`.
pub(crate) unsafe fn bytes<'a>(text: *const c_char) -> Option<&'a [u8]> {
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
