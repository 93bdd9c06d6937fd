//! Handles that a host has freed, on their way back to the scripts whose objects they are.

use std::sync::{Mutex, OnceLock, TryLockError};

/// Handles that were freed, with the scripts whose they are; given back when a thread leaves.
static RELEASED: Mutex<Vec<(i32, u64)>> = Mutex::new(Vec::new());

/// Notes that a script's object is needed no more. Never waits: this is called wherever a
/// host frees a result, and a host may hold locks of its own.
pub(crate) fn release(script: i32, handle: u64) {
    if handle == 0 || script < 0 {
        return;
    }
    // A handle that is not noted stays until its script ends. That happens only when another
    // thread panicked, or was lost in a fork, at this very place.
    for _ in 0..1000 {
        match RELEASED.try_lock() {
            Ok(mut released) => {
                released.push((script, handle));
                break;
            }
            Err(TryLockError::WouldBlock) => std::thread::yield_now(),
            Err(TryLockError::Poisoned(_)) => break,
        }
    }
    if let Some(give_back) = GIVE_BACK.get() {
        give_back();
    }
}

/// What gives the noted ones back, if that can be done at once.
static GIVE_BACK: OnceLock<fn()> = OnceLock::new();

/// Says what is to be called whenever a handle was noted.
pub(crate) fn when_released(give_back: fn()) {
    let _ = GIVE_BACK.set(give_back);
}

/// Takes the noted ones, with the scripts whose they are; none when another thread does.
pub(crate) fn take_released() -> Vec<(i32, u64)> {
    match RELEASED.try_lock() {
        Ok(mut released) => std::mem::take(&mut *released),
        Err(_) => Vec::new(),
    }
}
