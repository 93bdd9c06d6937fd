//! What is still to be done, and how many events and calls the hub's thread is inside of.
//!
//! Invariants: **nothing runs inside itself**: events and calls are nested [`MAX_NESTING`] deep at
//! most, and a notice is not delivered inside the delivery of another; **nothing that happened is
//! forgotten**: it is handed out once, in the order in which it happened, and housekeeping stays due
//! until it begins.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use super::config::MAX_NESTING;
use super::load_error::LoadError;
use super::process::Process;
use super::script::Script;
use super::tasks::Outcome;
use super::ticket::Ticket;

/// Something that happened to a process and that nobody has acted upon yet.
#[derive(Debug)]
pub(super) enum Deferred {
    /// It ended.
    Died(Rc<Process>),
    /// It could not be started.
    NotStarted(Rc<Script>, LoadError),
    /// Its answer is late.
    Overran(Rc<Script>, Rc<Process>, String),
}

/// Something that the host is to be told.
#[derive(Debug)]
pub(super) enum Notice {
    /// The script has robots in the hub whose process is gone.
    Robots(Rc<Script>),
    /// This is for operators.
    Operators(String),
    /// The script was loaded or reloaded.
    Loaded(Rc<Script>),
    /// What was asked for has ended.
    Finished(Ticket, Outcome),
}

/// What is still to be done.
#[derive(Default)]
pub(super) struct Agenda {
    deferred: RefCell<VecDeque<Deferred>>,
    notices: RefCell<VecDeque<Notice>>,
    /// Whether a notice is being delivered.
    is_delivering: Cell<bool>,
    /// How many events and calls the hub's thread is inside of.
    depth: Cell<u32>,
    /// Whether there may be something to do at the end of the visit.
    is_housekeeping_due: Cell<bool>,
    /// Whether all scripts are being unloaded.
    is_ending: Cell<bool>,
    /// Whether a script may be stuck, so that its late answer must wake the hub.
    has_stuck: Cell<bool>,
    /// Whether a script may wait for the moment when no event is in flight.
    has_later: Cell<bool>,
}

impl Agenda {
    /// One level deeper; false when that is too deep. Every level that is entered is left.
    #[inline]
    pub(super) fn enter(&self) -> bool {
        let depth = self.depth.get();
        if depth >= MAX_NESTING {
            return false;
        }
        self.depth.set(depth + 1);
        true
    }

    /// Back from a level. True when that was the last one and a script may be stuck.
    #[inline]
    pub(super) fn leave(&self) -> bool {
        let depth = self.depth.get().saturating_sub(1);
        self.depth.set(depth);
        depth == 0 && self.has_stuck.get()
    }

    /// Whether the hub's thread is inside an event or a call.
    #[inline]
    pub(super) fn is_inside(&self) -> bool {
        self.depth.get() > 0
    }

    /// Whether the level that the hub's thread is on is inside of no event and no call.
    #[inline]
    pub(super) fn is_outermost(&self) -> bool {
        self.depth.get() == 1
    }

    /// Something has happened.
    pub(super) fn defer(&self, what: Deferred) {
        self.deferred.borrow_mut().push_back(what);
    }

    /// Takes out the oldest thing that happened and was not acted upon.
    pub(super) fn next_deferred(&self) -> Option<Deferred> {
        self.deferred.borrow_mut().pop_front()
    }

    /// Whether something has happened that was not acted upon.
    pub(super) fn has_deferred(&self) -> bool {
        !self.deferred.borrow().is_empty()
    }

    /// The operators are to be told this.
    pub(super) fn tell_operators(&self, text: String) {
        self.notices.borrow_mut().push_back(Notice::Operators(text));
    }

    /// The host is to be told that a script was loaded.
    pub(super) fn tell_loaded(&self, script: &Rc<Script>) {
        self.notices.borrow_mut().push_back(Notice::Loaded(script.clone()));
    }

    /// The host is to be told how this ended.
    pub(super) fn tell_finished(&self, ticket: Ticket, outcome: Outcome) {
        self.notices.borrow_mut().push_back(Notice::Finished(ticket, outcome));
    }

    /// What the host would be told of this, and is not.
    pub(super) fn take_finished(&self, ticket: Ticket) -> Option<Outcome> {
        let mut notices = self.notices.borrow_mut();
        let is_it = |notice: &Notice| matches!(notice, Notice::Finished(known, _) if *known == ticket);
        let at = notices.iter().position(is_it)?;
        match notices.remove(at) {
            Some(Notice::Finished(_, outcome)) => Some(outcome),
            _ => None,
        }
    }

    /// The process of a script is gone, so its robots go, too.
    pub(super) fn abandon_robots(&self, script: &Rc<Script>) {
        let robots = std::mem::take(&mut *script.robots.borrow_mut());
        if !robots.is_empty() {
            script.abandoned_robots.borrow_mut().extend(robots);
            self.notices.borrow_mut().push_back(Notice::Robots(script.clone()));
        }
    }

    /// Whether the host is to be told something.
    pub(super) fn has_notices(&self) -> bool {
        !self.notices.borrow().is_empty()
    }

    /// Whether nothing has happened and nothing is to be told.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.deferred.borrow().is_empty() && self.notices.borrow().is_empty()
    }

    /// Begins to deliver notices. `None` while that is being done.
    pub(super) fn begin_delivery(&self) -> Option<Delivery<'_>> {
        // Made only then: to drop one ends the delivery.
        (!self.is_delivering.replace(true)).then(|| Delivery(self))
    }

    /// From now on there may be something to do at the end of the visit.
    #[inline]
    pub(super) fn need_housekeeping(&self) {
        self.is_housekeeping_due.set(true);
    }

    /// Whether there may be something to do at the end of the visit.
    #[inline]
    pub(super) fn needs_housekeeping(&self) -> bool {
        self.is_housekeeping_due.get()
    }

    /// Whether there is anything to do; what comes from now on is to be done again.
    pub(super) fn begin_housekeeping(&self) -> bool {
        self.is_housekeeping_due.replace(false) || !self.is_empty()
    }

    /// Until this is dropped, all scripts are being unloaded.
    pub(super) fn begin_ending(&self) -> Ending<'_> {
        Ending { agenda: self, was_ending: self.is_ending.replace(true) }
    }

    /// Whether all scripts are being unloaded.
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending.get()
    }

    /// Whether a script may be stuck from now on.
    pub(super) fn set_stuck(&self, has_stuck: bool) {
        self.has_stuck.set(has_stuck);
    }

    /// Whether a script may be stuck.
    #[inline]
    pub(super) fn has_stuck(&self) -> bool {
        self.has_stuck.get()
    }

    /// Whether a script may wait for the moment when no event is in flight, from now on.
    pub(super) fn set_later(&self, has_later: bool) {
        self.has_later.set(has_later);
    }

    /// Whether a script may wait for the moment when no event is in flight.
    #[inline]
    pub(super) fn has_later(&self) -> bool {
        self.has_later.get()
    }

    /// After a fork, what happened to the parent's processes is the parent's affair. What was asked
    /// for goes on in the child.
    pub(super) fn clear(&self) {
        self.deferred.take();
        self.notices.borrow_mut().retain(|notice| matches!(notice, Notice::Finished(..)));
    }
}

/// Lives as long as notices are being delivered.
pub(super) struct Delivery<'a>(&'a Agenda);

impl Delivery<'_> {
    /// Takes out the oldest thing that the host is to be told.
    pub(super) fn next(&self) -> Option<Notice> {
        self.0.notices.borrow_mut().pop_front()
    }
}

impl Drop for Delivery<'_> {
    fn drop(&mut self) {
        self.0.is_delivering.set(false);
    }
}

/// Lives as long as all scripts are being unloaded.
pub(super) struct Ending<'a> {
    agenda: &'a Agenda,
    was_ending: bool,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.agenda.is_ending.set(self.was_ending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::script::ScriptId;
    use crate::supervisor::script::tests::a_script;

    #[test]
    fn levels_are_limited_and_counted_down_again() {
        let agenda = Agenda::default();
        assert!((0..MAX_NESTING).all(|_| agenda.enter()));
        assert!(!agenda.enter() && !agenda.enter(), "one that was refused is none");
        agenda.set_stuck(true);
        assert!((1..MAX_NESTING).all(|_| !agenda.leave()), "not the last");
        assert!(agenda.is_inside());
        assert!(agenda.leave() && !agenda.is_inside(), "a late answer must wake the hub");
        agenda.set_stuck(false);
        assert!(agenda.enter() && agenda.is_outermost() && agenda.enter() && !agenda.is_outermost());
        assert!(!agenda.leave() && !agenda.leave());
    }

    #[test]
    fn what_happened_is_handed_out_once_and_in_order() {
        let agenda = Agenda::default();
        let scripts = ["a", "b"].map(|name| a_script(ScriptId(0), name));
        for script in &scripts {
            agenda.defer(Deferred::NotStarted(script.clone(), LoadError::TooDeep));
        }
        assert!(agenda.has_deferred() && !agenda.is_empty());
        for script in &scripts {
            match agenda.next_deferred() {
                Some(Deferred::NotStarted(found, _)) => assert!(Rc::ptr_eq(&found, script)),
                other => panic!("{other:?}"),
            }
        }
        assert!(agenda.next_deferred().is_none() && !agenda.has_deferred() && agenda.is_empty());
    }

    #[test]
    fn a_notice_is_not_delivered_inside_another_and_none_is_lost() {
        let agenda = Agenda::default();
        for text in ["first", "second"] {
            agenda.tell_operators(text.into());
        }
        let text = |notice| match notice {
            Some(Notice::Operators(text)) => text,
            other => panic!("{other:?}"),
        };
        let delivery = agenda.begin_delivery().unwrap();
        assert_eq!(text(delivery.next()), "first");
        assert!(agenda.begin_delivery().is_none() && agenda.begin_delivery().is_none());
        agenda.tell_operators("third".into());
        drop(delivery);
        let delivery = agenda.begin_delivery().unwrap();
        assert_eq!([text(delivery.next()), text(delivery.next())], ["second", "third"]);
        assert!(delivery.next().is_none() && !agenda.has_notices());
    }

    #[test]
    fn robots_of_a_process_that_is_gone_are_noticed_once() {
        let agenda = Agenda::default();
        let script = a_script(ScriptId(0), "a");
        agenda.abandon_robots(&script);
        assert!(agenda.is_empty());
        script.robots.borrow_mut().push(b"robot".to_vec());
        agenda.abandon_robots(&script);
        agenda.abandon_robots(&script);
        let delivery = agenda.begin_delivery().unwrap();
        assert!(matches!(delivery.next(), Some(Notice::Robots(found)) if Rc::ptr_eq(&found, &script)));
        assert!(delivery.next().is_none());
        assert_eq!(*script.abandoned_robots.borrow(), [b"robot"]);
    }

    #[test]
    fn housekeeping_is_due_until_it_begins_and_when_something_came_meanwhile() {
        let agenda = Agenda::default();
        assert!(!agenda.begin_housekeeping());
        agenda.need_housekeeping();
        assert!(agenda.needs_housekeeping() && agenda.begin_housekeeping());
        assert!(!agenda.needs_housekeeping() && !agenda.begin_housekeeping());
        agenda.tell_operators(String::new());
        assert!(agenda.begin_housekeeping());
        agenda.clear();
        assert!(!agenda.begin_housekeeping());
    }

    #[test]
    fn an_end_inside_of_an_end_is_over_with_the_outer_one() {
        let agenda = Agenda::default();
        let outer = agenda.begin_ending();
        drop(agenda.begin_ending());
        assert!(agenda.is_ending());
        drop(outer);
        assert!(!agenda.is_ending());
    }
}
