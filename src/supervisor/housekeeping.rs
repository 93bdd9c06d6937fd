//! Acts on what is on the [`agenda`](super::agenda): what happened to processes, what is due, and
//! what the host is to be told.
//!
//! # Invariants
//! - **Changes of state know no `Host`** ([`Supervisor::settle`]). So they cannot be interrupted
//!   by anything, least of all by themselves, and every wait makes them, however deeply it is
//!   nested in callbacks of the host: no wait depends on what only an outer one would do.
//! - **A process's robots are out of the hub before a call of the next process is served**:
//!   whoever serves one looks first ([`Supervisor::take_out_robots`]), whether the notice about
//!   them has been delivered or not.

use plugin_abi::{Call, Value};

use super::agenda::{Deferred, Notice};
use super::script::{Script, State};
use super::{Host, Supervisor};

/// Whether scripts have been heard whose time is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// What they had said was read, and their calls are served.
    Heard,
    /// There is no host to serve them: who waits for that is not late.
    Unheard,
}

impl Supervisor {
    /// At the end of every visit: ends what was waiting for it, renews spares.
    #[inline]
    pub(super) fn keep_house(&self, host: &mut dyn Host) {
        if !self.agenda.is_inside() && (self.agenda.needs_housekeeping() || !self.agenda.is_empty()) {
            self.keep_house_now(host);
        }
    }

    #[cold]
    fn keep_house_now(&self, host: &mut dyn Host) {
        // What the host does about one thing may lead to the next.
        while self.agenda.begin_housekeeping() {
            self.act_on_agenda(host);
            for script in self.registry.snapshot() {
                if script.unload_requested.get() && !script.is_busy() {
                    self.end(host, &[script]);
                } else if script.is_to_stop.get() && !script.is_busy() {
                    self.tell_to_stop(&script);
                }
            }
        }
        self.renew_spares();
        self.set_timer();
        self.ask_for_a_visit();
    }

    /// Acts on everything that has happened, and tells the host of it.
    pub(super) fn act_on_agenda(&self, host: &mut dyn Host) {
        self.hear_who_is_due(host);
        self.settle(Heard::Heard);
        self.deliver(host);
    }

    /// Acts on what happened to processes, and on what is due. It calls nobody: see
    /// [`agenda`](super::agenda).
    pub(super) fn settle(&self, heard: Heard) {
        loop {
            while let Some(deferred) = self.agenda.next_deferred() {
                match deferred {
                    Deferred::Died(process) => self.after_death(&process),
                    // It may have been told to end meanwhile.
                    Deferred::NotStarted(script, error) => {
                        if script.with_state(|state| matches!(state, State::Spawning { .. })) {
                            self.not_started(&script, &error);
                        }
                    }
                    Deferred::Overran(script, process, what) => self.stuck(&script, &process, &what),
                }
            }
            self.do_what_is_due(heard);
            if !self.agenda.has_deferred() {
                break;
            }
        }
    }

    /// Tells the host what it has not been told, unless that is what it is doing: then the
    /// outer delivery goes on with it.
    fn deliver(&self, host: &mut dyn Host) {
        if !self.agenda.has_notices() {
            return;
        }
        let Some(delivery) = self.agenda.begin_delivery() else { return };
        // So deep the host is not called any more; the levels around this one deliver.
        let Some(_level) = self.enter() else { return };
        while let Some(notice) = delivery.next() {
            match notice {
                Notice::Robots(script) => self.take_out_robots(host, &script),
                Notice::Loaded(script) => {
                    self.on_the_hosts_time(None, || host.script_loaded(self, script.id));
                }
                Notice::Finished(ticket, outcome) => {
                    self.on_the_hosts_time(None, || host.finished(self, ticket, outcome));
                }
                Notice::Operators(text) => self.on_the_hosts_time(None, || host.tell_operators(self, &text)),
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
