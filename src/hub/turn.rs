//! A turn of the hub's loop: what is done at its beginning and its end, in which order; waiting
//! for sockets is left to the server.

use plugin_abi::{Hook, Value};

use super::{Clock, CloseReason, ConnId, Hub};

/// How often scripts' commands may lead to others within a turn.
const SCRIPT_COMMANDS_PER_TURN: usize = 1000;

impl Hub {
    /// Looks at the clock. A turn begins with it.
    pub fn begin_turn(&mut self) {
        self.meter.iter_mut().for_each(|meter| meter.turn_begins());
        self.clock = Clock::now(self.ahead);
        self.frequency.count(self.clock.seconds);
    }

    /// Ends a turn: results of other threads, timers, leaving users, writing.
    pub fn end_turn(&mut self) {
        self.take_passwords();
        self.check_passwords();
        self.take_host_names();
        self.take_findings();
        self.run_timers();
        self.run_script_commands();
        self.keep_menus();
        // Leaving may lead to more leaving, and so may writing.
        for _ in 0..64 {
            self.write();
            if self.closing.is_empty() {
                break;
            }
            self.let_leave();
        }
        self.note_logouts();
        self.send_late_lists();
        self.finish_lingering();
        self.meter.iter_mut().for_each(|meter| meter.turn_ends());
    }

    fn run_script_commands(&mut self) {
        for _ in 0..SCRIPT_COMMANDS_PER_TURN {
            let Some([command, data, plugin, script]) = self.script_commands.pop_front() else { return };
            let args = [&command, &data, &plugin, &script].map(Value::text);
            self.raise(Hook::OnScriptCommand, &args);
        }
    }

    /// A socket takes bytes again.
    pub(super) fn can_write(&mut self, id: ConnId) {
        if let Some(connection) = self.connections.get_mut(id) {
            connection.blocked = None;
            self.unsent = true;
        }
    }

    /// Ends everything in order: scripts, then connections. Gives the exit code.
    pub fn shut_down(&mut self) -> i64 {
        let code = self.stop.unwrap_or(0);
        self.raise(Hook::OnUnLoad, &[Value::Int(code)]);
        let scripts = self.supervisor();
        scripts.shutdown(self);
        for id in self.connections.ids() {
            self.close(id, CloseReason::HubLoad);
        }
        self.end_turn();
        code
    }
}
