//! The lock around the library's one supervisor: hubs call from several threads and from
//! within callbacks, so the thread that holds it may take it again; what is inside is left
//! to [`library`](super::library).
//!
//! A hub's signal handler may call, too, while its thread is at work in here and not in a
//! callback. Then anything may be half done, this lock included, so [`Inside`] turns it away.

use std::cell::Cell;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering, compiler_fence};

const FREE: u32 = 0;
const HELD: u32 = 1;
/// Held, and somebody may be asleep.
const CONTENDED: u32 = 2;

/// A lock that its holder may take again. It gives out shared references only; what changes
/// needs a `Cell` or `RefCell`.
///
/// The value is moved between threads in effect. That is sound for what is stored (a
/// `Supervisor`, `Rc`s reachable only from inside) because none of it is tied to the thread
/// that made it: no thread-local state and no clone outside the lock.
pub(super) struct Reentrant<T> {
    word: AtomicU32,
    owner: AtomicUsize,
    depth: Cell<u32>,
    /// The process was forked while a thread that is not in the child held the lock.
    torn: AtomicBool,
    value: T,
}

// SAFETY: `value` and `depth` are only touched by the thread that holds the lock (a `Guard` is
// not `Send`, references are bound to it), and `word` (release, acquire) makes its work happen
// before the next holder's: what a `!Sync` value needs. For the move see the type.
unsafe impl<T> Sync for Reentrant<T> {}

thread_local! {
    static MARK: u8 = const { 0 };
}

/// A number that no other live thread has; the same before and after a fork.
fn this_thread() -> usize {
    MARK.with(|mark| std::ptr::from_ref(mark) as usize)
}

impl<T> Reentrant<T> {
    pub(super) const fn new(value: T) -> Reentrant<T> {
        Reentrant {
            word: AtomicU32::new(FREE),
            owner: AtomicUsize::new(0),
            depth: Cell::new(0),
            torn: AtomicBool::new(false),
            value,
        }
    }

    /// Waits for the lock; returns at once when this thread has it already.
    pub(super) fn lock(&self) -> Guard<'_, T> {
        if !self.is_mine() {
            if self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_err() {
                while self.word.swap(CONTENDED, Ordering::Acquire) != FREE {
                    futex(&self.word, libc::FUTEX_WAIT, CONTENDED);
                }
            }
            self.owner.store(this_thread(), Ordering::Relaxed);
        }
        self.depth.set(self.depth.get() + 1);
        Guard { lock: self, not_send: std::marker::PhantomData }
    }

    /// The lock, if this thread has it already or nobody has.
    pub(super) fn try_lock(&self) -> Option<Guard<'_, T>> {
        if !self.is_mine() {
            self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).ok()?;
            self.owner.store(this_thread(), Ordering::Relaxed);
        }
        self.depth.set(self.depth.get() + 1);
        Some(Guard { lock: self, not_send: std::marker::PhantomData })
    }

    /// Whether this thread holds the lock. Relaxed is enough: only this thread can have
    /// stored its own number, and it takes it out before it lets go.
    pub(super) fn is_mine(&self) -> bool {
        self.owner.load(Ordering::Relaxed) == this_thread()
    }

    /// To be called in a forked child, by the only thread there: a lock that another thread
    /// of the parent held is opened, since nobody else will.
    pub(super) fn in_child(&self) {
        let owner = self.owner.load(Ordering::Relaxed);
        if owner != this_thread() && self.word.load(Ordering::Relaxed) != FREE {
            self.depth.set(0);
            self.owner.store(0, Ordering::Relaxed);
            self.torn.store(true, Ordering::Relaxed);
            self.word.store(FREE, Ordering::Release);
        }
    }

    /// Whether a fork caught another thread at work inside; asked once.
    pub(super) fn take_torn(&self) -> bool {
        self.torn.swap(false, Ordering::Relaxed)
    }
}

/// Access to what the lock protects, until dropped, on this thread only.
pub(super) struct Guard<'a, T> {
    lock: &'a Reentrant<T>,
    not_send: std::marker::PhantomData<*const ()>,
}

impl<T> Guard<'_, T> {
    /// How often this thread holds the lock: 1 when it did not come from a callback.
    pub(super) fn depth(&self) -> u32 {
        self.lock.depth.get()
    }
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.lock.value
    }
}

impl<T> Drop for Guard<'_, T> {
    fn drop(&mut self) {
        let depth = self.lock.depth.get().saturating_sub(1);
        self.lock.depth.set(depth);
        if depth == 0 {
            self.lock.owner.store(0, Ordering::Relaxed);
            if self.lock.word.swap(FREE, Ordering::Release) == CONTENDED {
                futex(&self.lock.word, libc::FUTEX_WAKE, 1);
            }
        }
    }
}

thread_local! {
    /// Whether this thread is at work in the library, and in no callback.
    static AT_WORK: AtomicBool = const { AtomicBool::new(false) };
}

/// A thread that has entered the library, until dropped.
pub(super) struct Inside(());

impl Inside {
    /// `None` when this thread is inside already and comes from no callback: it was interrupted.
    /// Nothing may be touched then, not even the log.
    pub(super) fn enter() -> Option<Inside> {
        if AT_WORK.with(|at_work| at_work.load(Ordering::Relaxed)) {
            return None;
        }
        set_at_work(true);
        Some(Inside(()))
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        set_at_work(false);
    }
}

/// Runs a callback of the host, which may enter the library again.
pub(super) fn outside<R>(callback: impl FnOnce() -> R) -> R {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            set_at_work(self.0);
        }
    }
    let _back = Back(AT_WORK.with(|at_work| at_work.load(Ordering::Relaxed)));
    set_at_work(false);
    callback()
}

/// A signal handler of this very thread must see it before what follows, and after what was
/// before; no other thread looks.
fn set_at_work(is: bool) {
    compiler_fence(Ordering::SeqCst);
    AT_WORK.with(|at_work| at_work.store(is, Ordering::Relaxed));
    compiler_fence(Ordering::SeqCst);
}

fn futex(word: &AtomicU32, operation: libc::c_int, value: u32) {
    // SAFETY: the word lives as long as the borrow; the kernel reads it and nothing else.
    // Errors (a changed value, a signal) mean that the caller looks again, which it does.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            operation | libc::FUTEX_PRIVATE_FLAG,
            value,
            std::ptr::null::<libc::timespec>(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_turns_and_the_holder_may_enter_again() {
        static LOCK: Reentrant<Cell<u64>> = Reentrant::new(Cell::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10_000 {
                        let outer = LOCK.lock();
                        let inner = LOCK.lock();
                        assert_eq!(inner.depth(), 2);
                        let before = outer.get();
                        inner.set(before + 1);
                    }
                });
            }
        });
        assert_eq!(LOCK.lock().get(), 40_000);
        assert!(!LOCK.is_mine());
    }

    #[test]
    fn only_a_callback_may_enter_again() {
        let inside = Inside::enter().expect("nobody is inside");
        assert!(Inside::enter().is_none());
        outside(|| {
            assert!(Inside::enter().is_some());
            assert!(Inside::enter().is_some(), "the callback is outside again");
        });
        assert!(Inside::enter().is_none());
        std::thread::spawn(|| assert!(Inside::enter().is_some())).join().expect("another thread");
        drop(inside);
        assert!(Inside::enter().is_some());
    }

    #[test]
    fn a_lock_held_elsewhere_is_not_given_but_opened_in_a_child() {
        static LOCK: Reentrant<()> = Reentrant::new(());
        let guard = LOCK.lock();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert!(LOCK.try_lock().is_none());
                LOCK.in_child();
                assert!(LOCK.take_torn());
                assert!(LOCK.try_lock().is_some());
            });
        });
        assert!(!LOCK.take_torn());
        std::mem::forget(guard);
    }
}
