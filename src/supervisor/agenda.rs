//! What is still to be done: what happened to processes and nobody has acted upon, and what the
//! host has not been told; what acting means is [`lifecycle`](super::lifecycle)'s matter.
//!
//! # Invariants
//! - **Changes of state know no `Host`** ([`Supervisor::settle`]). So they cannot be interrupted
//!   by anything, least of all by themselves, and every wait makes them, however deeply it is
//!   nested in callbacks of the host: no wait depends on what only an outer one would do.
//! - **A notice is not delivered inside another one** ([`Supervisor::deliver`]), and nobody waits
//!   for one. They arrive in the order of what happened.
//! - **A process's robots are out of the hub before a call of the next process is served**:
//!   whoever serves one looks first ([`Supervisor::take_out_robots`]), whether the notice about
//!   them has been delivered or not.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;

use plugin_abi::{Call, Value};

use super::process::Process;
use super::script::Script;
use super::visits::Heard;
use super::{LoadError, Supervisor};
use crate::host::Host;

/// Something that happened to a process and that nobody has acted upon yet.
#[derive(Debug)]
pub(super) enum Chore {
    /// It ended.
    Died(Rc<Process>),
    /// It did not come to be.
    NotStarted(Rc<Script>, LoadError),
    /// Its answer is late.
    Overran(Rc<Script>, Rc<Process>, String),
}

/// Something that the host is to be told.
#[derive(Debug)]
enum Notice {
    /// The script has robots in the hub whose process is gone.
    Robots(Rc<Script>),
    /// This is for operators.
    Operators(String),
}

/// What is still to be done.
#[derive(Default)]
pub(super) struct Agenda {
    chores: RefCell<VecDeque<Chore>>,
    notices: RefCell<VecDeque<Notice>>,
    /// Whether a notice is being delivered.
    is_telling: Cell<bool>,
}

impl Agenda {
    /// Something has happened.
    pub(super) fn add(&self, chore: Chore) {
        self.chores.borrow_mut().push_back(chore);
    }

    /// The oldest thing that happened and was not acted upon.
    pub(super) fn next(&self) -> Option<Chore> {
        self.chores.borrow_mut().pop_front()
    }

    /// Whether something has happened that was not acted upon.
    pub(super) fn has_chores(&self) -> bool {
        !self.chores.borrow().is_empty()
    }

    /// Whether the end of a visit has anything to do here.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.chores.borrow().is_empty() && self.notices.borrow().is_empty()
    }

    /// The operators are to be told this.
    pub(super) fn tell_operators(&self, text: String) {
        self.notices.borrow_mut().push_back(Notice::Operators(text));
    }

    /// The process of a script is gone, so its robots go, too.
    pub(super) fn abandon_robots(&self, script: &Rc<Script>) {
        let robots = std::mem::take(&mut *script.robots.borrow_mut());
        if !robots.is_empty() {
            script.abandoned_robots.borrow_mut().extend(robots);
            self.notices.borrow_mut().push_back(Notice::Robots(script.clone()));
        }
    }

    /// After a fork, what happened to the parent's processes is the parent's affair.
    pub(super) fn clear(&self) {
        self.chores.take();
        self.notices.take();
    }

    fn begin_telling(&self) -> Option<Telling<'_>> {
        (!self.is_telling.replace(true)).then_some(Telling(self))
    }
}

/// Lives as long as notices are being delivered.
struct Telling<'a>(&'a Agenda);

impl Drop for Telling<'_> {
    fn drop(&mut self) {
        self.0.is_telling.set(false);
    }
}

impl Supervisor {
    /// Acts on everything that has happened, and tells the host of it.
    pub(super) fn do_chores(&self, host: &mut dyn Host) {
        self.hear_who_is_due(host);
        self.settle(Heard::Heard);
        self.deliver(host);
    }

    /// Tells the host what it has not been told, unless that is what it is doing: then the
    /// outer delivery goes on with it.
    fn deliver(&self, host: &mut dyn Host) {
        if self.agenda.notices.borrow().is_empty() {
            return;
        }
        let Some(_telling) = self.agenda.begin_telling() else { return };
        // So deep the host is not called any more; the levels around this one deliver.
        let Some(_level) = self.enter() else { return };
        loop {
            let notice = self.agenda.notices.borrow_mut().pop_front();
            match notice {
                Some(Notice::Robots(script)) => self.take_out_robots(host, &script),
                Some(Notice::Operators(text)) => {
                    self.on_the_hosts_time(None, || host.tell_operators(self, &text))
                }
                None => break,
            }
        }
    }

    /// Takes out of the hub what processes of the script that are gone have left there.
    pub(super) fn take_out_robots(&self, host: &mut dyn Host, script: &Script) {
        loop {
            // One at a time: the host may raise events meanwhile, in which a call of this script
            // is served, and the rest must be out before that.
            let robot = script.abandoned_robots.borrow_mut().pop_front();
            let Some(nick) = robot else { break };
            let nick = [Value::from(nick)];
            self.on_the_hosts_time(Some(script), || host.call(self, script.id, Call::DelRobot, &nick));
        }
    }
}
