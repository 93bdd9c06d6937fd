//! Tells scripts when no event is in flight any more, for what they have put off until then
//! (`vh.after(0, …)`): the host has the verdict by then, and has had its turn to act on it.
//!
//! Only the numbers are kept here, one for each process: the script knows what it has put off.

use std::rc::Rc;

use plugin_abi::ToWorker;

use super::Supervisor;
use super::inbound::owner;
use super::process::{Process, Violation};

impl Supervisor {
    /// A process wants to know when no event is in flight.
    pub(super) fn wants_to_know(&self, process: &Rc<Process>, number: u64) -> Result<(), Violation> {
        owner(process)?;
        process.later.set(process.later.get().max(number));
        self.agenda.set_later(true);
        // So that the end of the outermost level looks.
        self.agenda.need_housekeeping();
        Ok(())
    }

    /// No event is in flight, but the host has the last verdict only when it is not in here any
    /// more: the next visit is to come soon.
    pub(super) fn ask_for_a_visit(&self) {
        if self.agenda.has_later() {
            self.reactor.wake();
        }
    }

    /// At the end of a visit: if it is the outermost one, and so inside of no event, those who
    /// wait for that are told.
    pub(super) fn say_what_is_due(&self) {
        if !self.agenda.has_later() || !self.agenda.is_outermost() {
            return;
        }
        self.agenda.set_later(false);
        for script in self.registry.snapshot() {
            let Some(process) = script.process().filter(|process| process.later.get() > 0) else { continue };
            if script.ready().is_none() {
                // It does not read now. When it does again, the next visit tells it.
                self.agenda.set_later(true);
                continue;
            }
            self.tell(&process, &ToWorker::Due(process.later.take()));
        }
    }
}
