//! Started interpreters that wait to take over a script, so that a restart costs less than
//! starting Python; one for each interpreter in use.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Instant;

use super::credentials::{Credentials, umask};
use super::output::Output;
use super::process::Process;
use super::spawn::Exit;
use super::{LoadError, Supervisor};

impl Supervisor {
    /// A spare that runs this interpreter and is allowed what the hub is, if there is one.
    pub(super) fn take_spare(&self, python: &Path) -> Option<Rc<Process>> {
        self.end_foreign_spares();
        let mut spares = self.spares.borrow_mut();
        let at = spares.iter().position(|spare| spare.python == python && !spare.has_ended())?;
        self.spare_pauses.borrow_mut().end();
        Some(spares.swap_remove(at))
    }

    /// Ends those that were started when the hub was another user, or had another umask.
    fn end_foreign_spares(&self) {
        if self.spares.borrow().is_empty() {
            return;
        }
        let (own, umask) = (Credentials::of_this_thread().ok(), umask());
        let is_own = |spare: &Rc<Process>| own.as_ref() == Some(&spare.credentials) && spare.umask == umask;
        let (kept, foreign) = self.spares.take().into_iter().partition(is_own);
        self.spares.replace(kept);
        drop::<Vec<Rc<Process>>>(foreign);
    }

    /// Starts a spare for every interpreter in use that has none, and ends the others.
    pub(super) fn renew_spares(&self) {
        if self.ending.get() {
            return;
        }
        self.end_foreign_spares();
        let mut wanted: Vec<PathBuf> = Vec::new();
        if self.config.borrow().spare {
            for script in self.registry.list().iter() {
                let python = script.python.borrow();
                if !wanted.contains(&python) {
                    wanted.push(python.clone());
                }
            }
        }
        let (kept, unused) = self.spares.take().into_iter().partition(|spare| wanted.contains(&spare.python));
        self.spares.replace(kept);
        // Each takes about a millisecond to end.
        drop::<Vec<Rc<Process>>>(unused);
        if self.spares_from.get().is_some_and(|from| Instant::now() < from) {
            return;
        }
        self.spares_from.set(None);
        wanted.retain(|python| !self.has_spare(python));
        for python in wanted {
            if let Err(error) = self.begin_birth(&python, Output::new("spare")) {
                self.no_spare(&error);
            }
        }
    }

    /// Whether there is a spare of this interpreter, or will be.
    fn has_spare(&self, python: &Path) -> bool {
        self.spares.borrow().iter().any(|spare| spare.python == python)
            || self
                .births
                .borrow()
                .iter()
                .any(|birth| birth.python == python && self.who_waits_for(birth.serial).is_none())
    }

    /// A process was started, or was not, that no script waits for.
    pub(super) fn spare_born(&self, started: Result<Rc<Process>, LoadError>) {
        match started {
            Ok(spare) => self.spares.borrow_mut().push(spare),
            Err(error) => self.no_spare(&error),
        }
    }

    fn no_spare(&self, error: &LoadError) {
        self.try_again_later(&format!("no spare interpreter: {error}"));
    }

    /// Scripts do without a spare meanwhile; what is wrong may stay wrong for long, and need not
    /// be said every second.
    fn try_again_later(&self, why: &str) {
        let pause = self.spare_pauses.borrow_mut().another();
        log::warn!("{why}; the next attempt is in {} s", pause.as_secs());
        self.spares_from.set(Some(Instant::now() + pause));
    }

    /// A spare has ended before it was of any use.
    pub(super) fn spare_died(&self, process: &Process, exit: Exit) {
        self.spares.borrow_mut().retain(|spare| spare.serial != process.serial);
        if !self.ending.get() {
            self.try_again_later(&format!(
                "the spare interpreter {} ended with {exit}",
                process.python.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::Config;
    use super::*;

    #[test]
    fn attempts_that_fail_become_rarer() {
        let supervisor =
            Supervisor::new(Config::default()).expect("a supervisor; was `cargo build --workspace` run?");
        let pauses_are = |seconds: &[u64]| {
            for seconds in seconds {
                let pause = Duration::from_secs(*seconds);
                let before = Instant::now();
                supervisor.spare_born(Err(LoadError::TooDeep));
                let from = supervisor.spares_from.get().expect("a pause");
                assert!((before + pause..=Instant::now() + pause).contains(&from), "{seconds}");
            }
        };
        pauses_are(&[1, 2, 4, 8, 16, 32, 60, 60]);
    }
}
