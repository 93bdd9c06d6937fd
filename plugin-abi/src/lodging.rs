//! Moves a thread to a processor for a sleep and lets it go again, so that nothing of it can be
//! seen while the thread runs other code; when that pays is decided elsewhere.
//!
//! What the thread may run on was set by somebody: by an operator for the hub, by the script for
//! itself, by the kernel when a container's share changes. It is found as it was after each sleep:
//!
//! * It is read before each, because it may have changed.
//! * Afterwards it is put back only if the thread is still tied as it was. If not, somebody has
//!   set it meanwhile, and theirs counts.
//! * Putting back a set fixes it, as far as the kernel is concerned: when the container gets
//!   further processors, this thread would not. So a thread that may use all that its container
//!   has gets back "everything", of which the kernel makes what there is at any time.

use std::io;
use std::mem::MaybeUninit;

use crate::asleep::Processor;

/// A set of processors.
#[derive(Clone, Copy)]
struct Processors(libc::cpu_set_t);

const BYTES: usize = size_of::<libc::cpu_set_t>();

impl Processors {
    fn none() -> Processors {
        // SAFETY: a set is an array of integers.
        Processors(unsafe { MaybeUninit::zeroed().assume_init() })
    }

    fn all() -> Processors {
        let mut all = Processors::none();
        for number in 0..Processor::MOST {
            // SAFETY: the set has room for all of them.
            unsafe { libc::CPU_SET(number, &mut all.0) };
        }
        all
    }

    fn only(processor: Processor) -> Processors {
        let mut only = Processors::none();
        // SAFETY: the set has room for any `Processor`.
        unsafe { libc::CPU_SET(processor.number(), &mut only.0) };
        only
    }

    fn without(mut self, processor: Processor) -> Processors {
        // SAFETY: as in `only`.
        unsafe { libc::CPU_CLR(processor.number(), &mut self.0) };
        self
    }

    fn contains(&self, processor: Processor) -> bool {
        // SAFETY: as in `only`.
        unsafe { libc::CPU_ISSET(processor.number(), &self.0) }
    }

    fn count(&self) -> i32 {
        // SAFETY: the set is a whole one.
        unsafe { libc::CPU_COUNT(&self.0) }
    }

    /// Those that this thread may run on. An error also where there are more than fit.
    fn of_this_thread() -> io::Result<Processors> {
        let mut set = Processors::none();
        // SAFETY: the set is valid for writing so many bytes; 0 is the calling thread.
        match unsafe { libc::sched_getaffinity(0, BYTES, &mut set.0) } {
            0 => Ok(set),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// From now on this thread runs on these, or on those of them that its container has.
    fn set(&self) -> io::Result<()> {
        // SAFETY: the set is valid for reading so many bytes; 0 is the calling thread.
        match unsafe { libc::sched_setaffinity(0, BYTES, &self.0) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

impl PartialEq for Processors {
    fn eq(&self, other: &Processors) -> bool {
        // SAFETY: both are whole sets.
        unsafe { libc::CPU_EQUAL(&self.0, &other.0) }
    }
}

impl std::fmt::Debug for Processors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let numbers = (0..Processor::MOST).filter_map(Processor::from_number);
        f.debug_set().entries(numbers.filter(|processor| self.contains(*processor))).finish()
    }
}

/// What a thread may run on when nobody moves it.
#[derive(Clone, Copy, Debug)]
struct Home {
    allowed: Processors,
    /// Whether that is all that its container has.
    is_everything: bool,
}

impl Home {
    fn go_back(&self) -> io::Result<()> {
        if self.is_everything { Processors::all().set() } else { self.allowed.set() }
    }
}

/// Moves the threads of one worker.
#[derive(Debug, Default)]
pub struct Lodging {
    /// As it was seen last. Several threads may take turns; one that may run elsewhere is seen anew.
    home: Option<Home>,
    /// The system does not allow it.
    refused: bool,
    /// For how many more sleeps threads are tied, because the kernel does not leave them where
    /// they lay down.
    restless: u32,
}

/// For how many sleeps in a row.
const RESTLESS: u32 = 256;

/// The thread is tied to a processor.
#[derive(Debug)]
#[must_use = "a thread that is not untied stays tied for ever"]
pub struct Tied {
    to: Processor,
    home: Home,
}

/// Why a thread is not tied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untied {
    /// It may not run there, or nowhere else.
    NoNeed,
    /// The system lets nobody choose, or did so once.
    Refused,
}

impl Lodging {
    /// Prepares the calling thread for a sleep on a processor: moves it there, and ties it if it
    /// would wake elsewhere otherwise. The kernel may well leave a sleeper where it is, and to tie
    /// one costs as much as to wake it.
    pub fn lie_down(&mut self, to: Processor) -> Result<Option<Tied>, Untied> {
        if self.restless == 0 && Processor::current() == Some(to) {
            return Ok(None);
        }
        let tied = self.tie(to)?;
        if self.restless == 0 {
            self.untie(tied);
            return Ok(None);
        }
        self.restless -= 1;
        Ok(Some(tied))
    }

    /// The calling thread was woken that lay down there without being tied.
    pub fn woke_untied(&mut self, there: Processor) {
        if Processor::current() != Some(there) {
            self.restless = RESTLESS;
        }
    }

    /// Ties the calling thread to a processor, if it may run there among others.
    pub fn tie(&mut self, to: Processor) -> Result<Tied, Untied> {
        let home = self.home()?;
        if home.allowed.count() < 2 || !home.allowed.contains(to) {
            return Err(Untied::NoNeed);
        }
        match Processors::only(to).set() {
            Ok(()) => Ok(Tied { to, home }),
            Err(error) => Err(self.failed(&error)),
        }
    }

    /// The opposite. Whoever has set what the thread may run on meanwhile is obeyed.
    pub fn untie(&mut self, tied: Tied) {
        let only = Processors::only(tied.to);
        let Ok(now) = Processors::of_this_thread() else { return };
        let put_back = if now == only || only.set().is_err() {
            // Nothing has happened, or the kernel has taken the processor away: a set that
            // was asked for counts again when it is back, and that must not be ours.
            tied.home.go_back()
        } else {
            now.set()
        };
        if let Err(error) = put_back {
            self.failed(&error);
        }
    }

    /// Moves the calling thread to another processor than this one, if it may run on others.
    pub fn leave(&mut self, processor: Processor) {
        let Ok(home) = self.home() else { return };
        let others = home.allowed.without(processor);
        if others.count() == 0 || home.allowed == others {
            return;
        }
        if let Err(error) = others.set().and_then(|()| home.go_back()) {
            self.failed(&error);
        }
    }

    fn home(&mut self) -> Result<Home, Untied> {
        if self.refused {
            return Err(Untied::Refused);
        }
        let allowed = Processors::of_this_thread().map_err(|error| self.failed(&error))?;
        match self.home {
            Some(home) if home.allowed == allowed => Ok(home),
            _ => self.look_around(allowed).map_err(|error| self.failed(&error)),
        }
    }

    /// Finds out whether that is all that there is.
    #[cold]
    fn look_around(&mut self, allowed: Processors) -> io::Result<Home> {
        Processors::all().set()?;
        let is_everything = Processors::of_this_thread()? == allowed;
        if !is_everything {
            allowed.set()?;
        }
        let home = Home { allowed, is_everything };
        self.home = Some(home);
        Ok(home)
    }

    #[cold]
    fn failed(&mut self, error: &io::Error) -> Untied {
        // A set that the container has none of is gone a moment later, and no reason to give up.
        let is_moment = error.raw_os_error() == Some(libc::EINVAL) && self.home.is_some();
        self.home = None;
        self.refused |= !is_moment;
        if is_moment { Untied::NoNeed } else { Untied::Refused }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In a thread of its own, whose processors are nobody else's business. Nothing where there
    /// is only one.
    fn with_several(test: impl FnOnce(Processors, Processor, Processor) + Send + 'static) {
        let tested = std::thread::spawn(|| {
            let allowed = Processors::of_this_thread().unwrap();
            let all = (0..Processor::MOST).filter_map(Processor::from_number);
            let several: Vec<_> = all.filter(|processor| allowed.contains(*processor)).take(2).collect();
            match several[..] {
                [one, other] => test(allowed, one, other),
                _ => eprintln!("there is one processor only: nothing to see"),
            }
        });
        tested.join().unwrap();
    }

    #[test]
    fn who_is_untied_may_run_where_it_could_before() {
        with_several(|allowed, one, other| {
            let mut lodging = Lodging::default();
            for processor in [one, other, one] {
                let tied = lodging.tie(processor).unwrap();
                assert_eq!(Processors::of_this_thread().unwrap(), Processors::only(processor));
                assert_eq!(Processor::current(), Some(processor));
                lodging.untie(tied);
                assert_eq!(Processors::of_this_thread().unwrap(), allowed);
            }
        });
    }

    #[test]
    fn only_who_is_moved_in_its_sleep_is_tied() {
        with_several(|allowed, one, other| {
            let mut lodging = Lodging::default();
            assert!(lodging.lie_down(one).unwrap().is_none());
            assert_eq!(Processors::of_this_thread().unwrap(), allowed);
            lodging.woke_untied(if Processor::current() == Some(one) { other } else { one });
            for processor in [one, other].repeat(RESTLESS as usize / 2) {
                let tied = lodging.lie_down(processor).unwrap().unwrap();
                assert_eq!(Processors::of_this_thread().unwrap(), Processors::only(processor));
                lodging.untie(tied);
            }
            assert!(lodging.lie_down(one).unwrap().is_none(), "it is tried again");
        });
    }

    #[test]
    fn what_somebody_sets_meanwhile_counts() {
        with_several(|_, one, other| {
            let mut lodging = Lodging::default();
            let tied = lodging.tie(one).unwrap();
            Processors::only(other).set().unwrap();
            lodging.untie(tied);
            assert_eq!(Processors::of_this_thread().unwrap(), Processors::only(other));
            // And it is not to be moved from there any more.
            assert_eq!(lodging.tie(one).unwrap_err(), Untied::NoNeed);
            lodging.leave(other);
            assert_eq!(Processors::of_this_thread().unwrap(), Processors::only(other));
        });
    }

    #[test]
    fn who_leaves_is_elsewhere_and_may_come_back() {
        with_several(|allowed, one, _| {
            let mut lodging = Lodging::default();
            Processors::only(one).set().unwrap();
            Processors::all().set().unwrap();
            let others = Processors::of_this_thread().unwrap().without(one);
            lodging.leave(one);
            assert_eq!(Processors::of_this_thread().unwrap(), allowed);
            assert!(others.count() > 0);
        });
    }

    #[test]
    fn a_processor_that_there_is_not_is_no_place() {
        with_several(|allowed, _, _| {
            let mut lodging = Lodging::default();
            let none = (0..Processor::MOST).rev().filter_map(Processor::from_number);
            let Some(none) = none.into_iter().find(|processor| !allowed.contains(*processor)) else { return };
            assert_eq!(lodging.tie(none).unwrap_err(), Untied::NoNeed);
            assert_eq!(Processors::of_this_thread().unwrap(), allowed);
        });
    }

    #[test]
    fn where_nobody_may_choose_nothing_is_changed_nor_tried_again() {
        with_several(|allowed, one, _| {
            forbid_choice();
            let mut lodging = Lodging::default();
            for _ in 0..2 {
                assert_eq!(lodging.tie(one).unwrap_err(), Untied::Refused);
                lodging.leave(one);
                assert_eq!(Processors::of_this_thread().unwrap(), allowed);
            }
        });
    }

    /// Makes the system call fail from now on in this thread.
    fn forbid_choice() {
        let call = u32::try_from(libc::SYS_sched_setaffinity).unwrap();
        let step = |code: u32, jf, k| libc::sock_filter { code: u16::try_from(code).unwrap(), jt: 0, jf, k };
        let mut filter = [
            // The call's number; if it is this one, the error, else nothing.
            step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
            step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, call),
            step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs()),
            step(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
        // SAFETY: the program and its four steps live until the calls return.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program), 0);
        }
    }
}
