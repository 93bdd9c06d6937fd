//! Whether a script has run into one of its limits, so that it ends and the hub can say which.

use plugin_abi::start::{OVER_FILES, OVER_MEMORY, OVER_PROCESSES};
use pyo3::ffi;

use crate::py::{Gil, Obj, Raw, restore_exception, take_exception};

/// The exit code for the limit that the exception which is set stands for, if the process is
/// at that limit indeed.
pub fn reached(gil: Gil) -> Option<i32> {
    let exception = take_exception(gil)?;
    let code = limit_of(&exception);
    restore_exception(gil, &exception);
    code
}

fn limit_of(exception: &Obj) -> Option<i32> {
    // SAFETY: the exception and the types are alive.
    let is = |kind: Raw| unsafe { ffi::PyErr_GivenExceptionMatches(exception.raw(), kind) != 0 };
    // SAFETY: statics of the interpreter, which is initialised.
    let (memory, system, runtime) =
        unsafe { (ffi::PyExc_MemoryError, ffi::PyExc_OSError, ffi::PyExc_RuntimeError) };
    if is(memory) {
        return is_limited(libc::RLIMIT_AS).then_some(OVER_MEMORY);
    }
    let errno = exception.attr_if_any(c"errno").and_then(|errno| errno.as_int());
    match errno.and_then(|errno| i32::try_from(errno).ok()) {
        Some(libc::EMFILE) if is(system) && is_limited(libc::RLIMIT_NOFILE) => {
            // SAFETY: has no conditions; what it makes is closed at once.
            let copy = unsafe { libc::fcntl(2, libc::F_DUPFD_CLOEXEC, 0) };
            if copy >= 0 {
                // SAFETY: nobody else knows it.
                unsafe { libc::close(copy) };
                return None;
            }
            Some(OVER_FILES)
        }
        // What Python raises when a thread cannot be started has no number.
        Some(libc::EAGAIN) | None if (is(system) || is(runtime)) && is_limited(libc::RLIMIT_NPROC) => {
            std::thread::Builder::new().spawn(|| ()).is_err().then_some(OVER_PROCESSES)
        }
        _ => None,
    }
}

/// Whether there is a limit that the process cannot raise by itself, as those that a hub sets.
fn is_limited(resource: libc::__rlimit_resource_t) -> bool {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure is valid for writing.
    let known = unsafe { libc::getrlimit(resource, &mut limit) } == 0;
    known && limit.rlim_cur != libc::RLIM_INFINITY && limit.rlim_cur == limit.rlim_max
}

/// Ends the process with this code. What it had to say has been printed.
pub fn give_up(code: i32) -> ! {
    // SAFETY: has no conditions; exit handlers could need what there is no more of.
    unsafe { libc::_exit(code) }
}
