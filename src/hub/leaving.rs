//! A connection goes: its user leaves the list, scripts and the others hear of it, and what still
//! waits for the client is sent.

use std::rc::Rc;
use std::time::Duration;

use plugin_abi::{Hook, Value};

use super::connection::State;
use super::timers::Due;
use super::user::Behind;
use super::{ConnId, Hub, UserId};

/// How long a client that was closed has to take what still waits for it.
const LINGER: Duration = Duration::from_secs(3);

impl Hub {
    /// Lets the users of closed connections leave.
    pub(super) fn let_leave(&mut self) {
        while let Some(id) = self.closing.pop_front() {
            self.leave(id);
        }
    }

    /// Lets the user of a closed connection leave: scripts hear of it while they are still in the
    /// list, then the others see them go.
    pub(super) fn leave(&mut self, id: ConnId) {
        let Some(connection) = self.connections.get(id) else { return };
        let State::Closing(reason) = connection.state else { return };
        let ip = Rc::clone(&connection.ip_text);
        let user = connection.user;
        let nick = self.nick_of(id).unwrap_or_else(|| Rc::from(&b""[..]));
        if let Some(user) = user {
            if self.users.get(user).is_some_and(|user| user.is_listed()) {
                self.raise(Hook::OnUserLogout, &[Value::text(&*nick)]);
                self.note_logout(user);
                self.hide(user);
            }
            self.users.remove(user);
        }
        self.raise(Hook::OnCloseConn, &[Value::text(&*ip)]);
        let args = [Value::text(&*ip), Value::from(reason as i32), Value::text(&*nick)];
        self.raise(Hook::OnCloseConnEx, &args);
        let until = self.clock.instant + LINGER;
        if let Some(connection) = self.connections.get_mut(id) {
            connection.user = None;
            connection.place = None;
            connection.input.set(Vec::new());
            connection.state = State::Lingering(until);
            self.timers.add(until, Due::Deadline(id));
            self.lingering.push(id);
            self.unsent = true;
        }
    }

    fn note_logout(&mut self, user: UserId) {
        let Some(user) = self.users.get(user) else { return };
        if let (Some(account), Behind::Client(_)) = (&user.account, user.behind) {
            self.logouts.push(account.nick.clone());
        }
    }

    /// Notes all who left in one go: an operator can put out very many at once.
    pub(super) fn note_logouts(&mut self) {
        let nicks = std::mem::take(&mut self.logouts);
        if !nicks.is_empty() {
            self.noted("noting logouts", self.database.note_logouts(&nicks, self.clock.seconds));
        }
    }

    /// Closes the sockets' writing side of those who have got everything.
    pub(super) fn finish_lingering(&mut self) {
        let mut lingering = std::mem::take(&mut self.lingering);
        lingering.retain(|id| {
            let Some(connection) = self.connections.get_mut(*id) else { return false };
            if connection.has_unsent(&self.broadcast) {
                return true;
            }
            if connection.link.socket().is_some() && (connection.hung_up || connection.link.end().is_err()) {
                self.connections.remove(*id);
            }
            false
        });
        self.lingering = lingering;
    }
}
