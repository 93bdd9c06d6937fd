//! Tells a process from the children that are forked from it: what is shared between threads is
//! of use only where those threads are.
//!
//! A fork copies the memory of one moment and, of all threads, the one that forks. What another
//! thread was changing at that moment stays half changed in the child: a lock is locked for
//! ever, a channel waits for a message whose sender does not exist, the end of a thread never
//! comes. So in a child nothing is touched that another thread may have been changing. It is
//! [`Unforked`]: in a child it is neither used nor dropped.
//!
//! | | shared with | in a child |
//! | --- | --- | --- |
//! | requests to start a process, and what becomes of them | `vhpy-spawn` | unforked |
//! | the pipes that scripts print to, the last lines of each | `vhpy-output` | unforked; pipes are closed and lines kept if nobody had them locked |
//! | the handles of threads | those threads | unforked: to detach one writes to its stack, which may be another's |
//! | the queue of a recording | `vhpy-record` | unforked: the child records nothing |
//! | the new journal of a store | `vhpy-store` | let go of; its words are atomic |
//! | the versions of scripts that are to be on disk | `vhpy-version` | unforked; the child writes its own |
//! | the control socket and its clients | `vhpy-control`, a thread for each client | unforked; the sockets are closed at the fork |
//! | processes, their rings and pipes | the parent | of the parent; closed and unmapped, not written to, see `Process::disown` |
//! | everything else of a supervisor | nobody: it belongs to the hub's thread | usable |
//! | the log | all | up to the program's logger; that of the C library has no lock |
//! | the allocator | all | the C library takes care of it |
//!
//! A child made by `vfork`, or by `clone` without the C library, must not use a supervisor.

use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

/// How many forks lie between the first process and this one.
static GENERATION: AtomicU32 = AtomicU32::new(0);

/// Descriptors that no child shall have; `NONE` where there is none.
static CLOSED_IN_CHILDREN: [AtomicI32; 256] = [const { AtomicI32::new(NONE) }; 256];
const NONE: i32 = -1;

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
    for place in &CLOSED_IN_CHILDREN {
        let fd = place.swap(NONE, Ordering::Relaxed);
        if fd != NONE {
            // SAFETY: the call is allowed in a forked child whatever other threads were doing.
            // Whoever owned the descriptor is `Unforked` or on a thread that does not exist here.
            unsafe { libc::close(fd) };
        }
    }
}

/// A socket that forked children do not inherit: it listens, or is connected, for as long as
/// anybody has it, also a child that does not know of it.
#[derive(Debug)]
pub struct Uninherited<T> {
    /// `None` if there was no place left: then it is inherited like any other.
    place: Option<&'static AtomicI32>,
    socket: T,
}

impl<T: AsFd> Uninherited<T> {
    /// The value must be used on threads of this process only, or be [`Unforked`].
    pub fn new(socket: T) -> Uninherited<T> {
        let fd = socket.as_fd().as_raw_fd();
        let take = |place: &&AtomicI32| {
            place.compare_exchange(NONE, fd, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        };
        Uninherited { place: CLOSED_IN_CHILDREN.iter().find(take), socket }
    }
}

impl<T> std::ops::Deref for Uninherited<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.socket
    }
}

impl<T> Drop for Uninherited<T> {
    /// Before the socket itself is closed, whose number may be another's then.
    fn drop(&mut self) {
        if let Some(place) = self.place {
            place.store(NONE, Ordering::Relaxed);
        }
    }
}

/// Counts forks from now on, and closes in children what they shall not have.
pub fn register() -> std::io::Result<()> {
    static WATCHED: AtomicBool = AtomicBool::new(false);
    if WATCHED.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    // SAFETY: the handler changes an atomic and nothing else; the library that it is in is
    // never unmapped.
    match unsafe { libc::pthread_atfork(None, None, Some(in_child)) } {
        0 => Ok(()),
        errno => {
            WATCHED.store(false, Ordering::Relaxed);
            Err(std::io::Error::from_raw_os_error(errno))
        }
    }
}

/// One process, as opposed to its forked children and its parent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThisProcess(u32);

impl ThisProcess {
    /// The process that asks.
    pub fn new() -> ThisProcess {
        ThisProcess(GENERATION.load(Ordering::Relaxed))
    }

    /// Whether this is still the same process.
    pub fn is_here(self) -> bool {
        self == ThisProcess::new()
    }
}

/// A value that exists for the process that made it only.
#[derive(Debug)]
pub struct Unforked<T> {
    value: ManuallyDrop<T>,
    home: ThisProcess,
}

impl<T> Unforked<T> {
    /// A value of this process.
    pub fn new(value: T) -> Unforked<T> {
        Unforked { value: ManuallyDrop::new(value), home: ThisProcess::new() }
    }

    /// The value; `None` in a forked child.
    pub fn get(&self) -> Option<&T> {
        self.home.is_here().then_some(&*self.value)
    }

    /// The value, to be changed; `None` in a forked child.
    pub fn get_mut(&mut self) -> Option<&mut T> {
        self.home.is_here().then_some(&mut *self.value)
    }

    /// The value, for good; `None` in a forked child.
    pub fn into_inner(mut self) -> Option<T> {
        let is_here = self.home.is_here();
        // SAFETY: taken once: `self` is forgotten next, so it is not dropped.
        let value = is_here.then(|| unsafe { ManuallyDrop::take(&mut self.value) });
        std::mem::forget(self);
        value
    }

    /// The value in a child, too. What may be looked at there, the caller knows.
    pub fn even_in_a_child(&self) -> &T {
        &self.value
    }
}

impl<T> Drop for Unforked<T> {
    fn drop(&mut self) {
        if self.home.is_here() {
            // SAFETY: dropped once, here; `into_inner` forgets `self`.
            unsafe { ManuallyDrop::drop(&mut self.value) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counted<'a>(&'a AtomicU32);

    impl Drop for Counted<'_> {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_value_is_dropped_where_it_was_made_and_nowhere_else() {
        let drops = AtomicU32::new(0);
        let own = Unforked::new(Counted(&drops));
        assert!(own.get().is_some());
        drop(own);
        assert_eq!(drops.load(Ordering::Relaxed), 1);
        drop(Unforked::new(Counted(&drops)).into_inner());
        assert_eq!(drops.load(Ordering::Relaxed), 2);

        // As a child sees it, of which one cannot be made in a test of many threads.
        let of_the_parent =
            || Unforked { value: ManuallyDrop::new(Counted(&drops)), home: ThisProcess(u32::MAX) };
        assert!(of_the_parent().get().is_none());
        assert!(of_the_parent().into_inner().is_none());
        drop(of_the_parent());
        assert_eq!(drops.load(Ordering::Relaxed), 2);
    }
}
