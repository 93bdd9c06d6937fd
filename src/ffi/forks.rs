//! Whether the host has forked, and this is the child.

use std::ffi::c_int;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set in the child of a fork, until the next call there.
static FORKED: AtomicBool = AtomicBool::new(false);

static IN_CHILD: OnceLock<fn()> = OnceLock::new();

/// Whether this is a child that nobody has looked at yet.
#[inline]
pub(crate) fn is_unnoticed() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// Whether this is a child that nobody has looked at yet; from now on somebody has.
pub(crate) fn notice() -> bool {
    is_unnoticed() && FORKED.swap(false, Ordering::Relaxed)
}

/// Has forks noticed from now on. `in_child` runs in the child, and does nothing but store.
pub(crate) fn register(in_child: fn()) {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    extern "C" fn in_a_child() {
        if let Some(in_child) = IN_CHILD.get() {
            in_child();
        }
        FORKED.store(true, Ordering::Relaxed);
    }
    let _ = IN_CHILD.set(in_child);
    if !WATCHED.swap(true, Ordering::Relaxed) {
        // SAFETY: the handler only stores to atomics and cells of a lock that no other thread
        // of the child can hold; the library is never unmapped (build/main.rs).
        let failed: c_int = unsafe { libc::pthread_atfork(None, None, Some(in_a_child)) };
        if failed != 0 {
            log::warn!("forks cannot be noticed: after one, call w_End and w_Begin");
        }
    }
}
