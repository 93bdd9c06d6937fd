//! What was asked for and is not done yet: each load, reload, unload and command has a ticket, by which
//! whoever asked is told of its outcome.
//!
//! Invariant: **a ticket is finished once, and its outcome goes to one**: to the caller that waits for
//! it, to the command that it is a part of, to whoever asked to be told of it, or to the host.

use std::cell::{Cell, RefCell};

use super::load_error::{LoadError, Loaded};
use super::ticket::Ticket;

/// How something ended that was asked for.
#[derive(Debug)]
pub enum Outcome {
    /// A script was loaded, or could not be.
    Loaded(Result<Loaded, LoadError>),
    /// A script was loaded again, or could not be: the error says whether the version before serves on.
    Reloaded(Result<Loaded, LoadError>),
    /// A script was unloaded.
    Unloaded,
    /// The answer to an operator's command: text of several lines in UTF-8.
    Said(String),
}

/// One thing that a command does.
struct Part {
    ticket: Ticket,
    /// How the operator is told.
    describe: Describe,
    said: Option<String>,
}

/// Says what an outcome means.
pub(super) type Describe = Box<dyn FnOnce(Outcome) -> String>;

/// Takes an outcome. It does nothing else but note it: what is finished may be half changed.
pub(super) type Tell = Box<dyn FnOnce(Outcome)>;

struct Command {
    ticket: Ticket,
    parts: Vec<Part>,
}

/// Everything that was asked for and is not done yet.
#[derive(Default)]
pub(super) struct Tasks {
    last: Cell<u64>,
    /// Those that are not finished.
    open: RefCell<Vec<Ticket>>,
    /// Those for which a caller waits, and what has become of them.
    awaited: RefCell<Vec<(Ticket, Option<Outcome>)>>,
    commands: RefCell<Vec<Command>>,
    /// Who is told of some of them instead of the host.
    told: RefCell<Vec<(Ticket, Tell)>>,
}

impl Tasks {
    /// A ticket for something that begins.
    pub(super) fn issue(&self) -> Ticket {
        self.last.set(self.last.get() + 1);
        let ticket = Ticket(self.last.get());
        self.open.borrow_mut().push(ticket);
        ticket
    }

    /// It was finished before it was known who is to be told of it.
    pub(super) fn reopen(&self, ticket: Ticket) {
        self.open.borrow_mut().push(ticket);
    }

    /// Whether anything is not finished.
    #[inline]
    pub(super) fn is_any_open(&self) -> bool {
        !self.open.borrow().is_empty()
    }

    /// From now on a caller waits for this one.
    pub(super) fn expect(&self, ticket: Ticket) {
        self.awaited.borrow_mut().push((ticket, None));
    }

    /// Whether the caller that waits for this one can [`take`](Tasks::take) its outcome.
    pub(super) fn is_done(&self, ticket: Ticket) -> bool {
        self.awaited.borrow().iter().any(|(known, outcome)| *known == ticket && outcome.is_some())
    }

    /// Ends the caller's wait. `None` when it is not finished: nobody is told of it then.
    pub(super) fn take(&self, ticket: Ticket) -> Option<Outcome> {
        let mut awaited = self.awaited.borrow_mut();
        let at = awaited.iter().position(|(known, _)| *known == ticket)?;
        awaited.swap_remove(at).1
    }

    /// Whoever asked for this one is told of its outcome.
    pub(super) fn tell(&self, ticket: Ticket, tell: Tell) {
        self.told.borrow_mut().push((ticket, tell));
    }

    /// What these come to is the answer to one command. Its ticket.
    pub(super) fn begin_command(&self, parts: Vec<(Ticket, Describe)>) -> Ticket {
        let ticket = self.issue();
        let parts =
            parts.into_iter().map(|(ticket, describe)| Part { ticket, describe, said: None }).collect();
        self.commands.borrow_mut().push(Command { ticket, parts });
        ticket
    }

    /// Something has come to its end. What the host is to be told, if it is.
    pub(super) fn finish(&self, ticket: Ticket, outcome: Outcome) -> Option<(Ticket, Outcome)> {
        {
            let mut open = self.open.borrow_mut();
            let at = open.iter().position(|known| *known == ticket)?;
            open.swap_remove(at);
        }
        if let Some(awaited) = self.awaited.borrow_mut().iter_mut().find(|(known, _)| *known == ticket) {
            awaited.1 = Some(outcome);
            return None;
        }
        let told = {
            let mut told = self.told.borrow_mut();
            let at = told.iter().position(|(known, _)| *known == ticket);
            at.map(|at| told.swap_remove(at).1)
        };
        if let Some(tell) = told {
            tell(outcome);
            return None;
        }
        let answered = {
            let mut commands = self.commands.borrow_mut();
            let part_of = |command: &Command| command.parts.iter().any(|part| part.ticket == ticket);
            let Some(at) = commands.iter().position(part_of) else { return Some((ticket, outcome)) };
            let command = commands.get_mut(at)?;
            let part = command.parts.iter_mut().find(|part| part.ticket == ticket)?;
            let describe = std::mem::replace(&mut part.describe, Box::new(|_| String::new()));
            part.said = Some(describe(outcome));
            let is_answered = command.parts.iter().all(|part| part.said.is_some());
            is_answered.then(|| commands.swap_remove(at))?
        };
        let said: Vec<String> = answered.parts.into_iter().filter_map(|part| part.said).collect();
        self.finish(answered.ticket, Outcome::Said(said.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(outcome: Option<(Ticket, Outcome)>) -> Option<(Ticket, String)> {
        outcome.map(|(ticket, outcome)| match outcome {
            Outcome::Said(text) => (ticket, text),
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn a_ticket_is_finished_once() {
        let tasks = Tasks::default();
        let ticket = tasks.issue();
        assert!(tasks.is_any_open());
        assert_eq!(said(tasks.finish(ticket, Outcome::Said("x".into()))), Some((ticket, "x".into())));
        assert!(tasks.finish(ticket, Outcome::Unloaded).is_none() && !tasks.is_any_open());
        assert_ne!(tasks.issue(), ticket);
    }

    #[test]
    fn who_waits_gets_the_outcome_and_the_host_does_not() {
        let tasks = Tasks::default();
        let ticket = tasks.issue();
        tasks.expect(ticket);
        assert!(!tasks.is_done(ticket));
        assert!(tasks.finish(ticket, Outcome::Unloaded).is_none());
        assert!(tasks.is_done(ticket) && matches!(tasks.take(ticket), Some(Outcome::Unloaded)));
        assert!(tasks.take(ticket).is_none());
    }

    #[test]
    fn who_asked_to_be_told_is_and_the_host_is_not() {
        let tasks = Tasks::default();
        let ticket = tasks.issue();
        let heard = std::rc::Rc::new(Cell::new(0));
        let hears = heard.clone();
        tasks.tell(ticket, Box::new(move |_| hears.set(hears.get() + 1)));
        assert!(tasks.finish(ticket, Outcome::Unloaded).is_none());
        assert!(tasks.finish(ticket, Outcome::Unloaded).is_none() && heard.get() == 1);
    }

    #[test]
    fn a_command_is_answered_when_all_of_it_is_done() {
        let tasks = Tasks::default();
        let (first, second) = (tasks.issue(), tasks.issue());
        let part = |ticket, text: &'static str| -> (Ticket, Describe) {
            (ticket, Box::new(move |_| text.to_string()))
        };
        let command = tasks.begin_command(vec![part(first, "first"), part(second, "second")]);
        assert!(tasks.finish(second, Outcome::Unloaded).is_none());
        let answer = said(tasks.finish(first, Outcome::Unloaded));
        assert_eq!(answer, Some((command, "first\nsecond".into())));
        assert!(!tasks.is_any_open());
    }
}
