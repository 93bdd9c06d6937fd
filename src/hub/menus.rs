//! Scripts' commands in the menus of clients that know `$UserCommand`. What is no longer there is taken
//! back: the protocol can only clear the hub's menu as a whole, and what is left is sent again.

use std::time::{Duration, Instant};

use plugin_abi::command::{Command, HUB_MENU};

use super::class::Class;
use super::connection::{Stage, Supports};
use super::{ConnId, Hub};

/// How long the hub waits with a change of menus: a script that is loaded anew is back by then.
const PAUSE: Duration = Duration::from_secs(1);

/// What clients have in their menus.
#[derive(Debug, Default)]
pub(super) struct Menus {
    shown: Vec<Command>,
    /// Of which state of the scripts that is.
    version: u64,
    /// When it is looked at what has changed.
    due: Option<Instant>,
}

impl Menus {
    /// When menus are to be changed.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due
    }
}

impl Hub {
    /// At the end of a turn: notices that scripts have other commands, and changes menus a moment later.
    pub(super) fn keep_menus(&mut self) {
        let version = self.scripts.commands_version();
        if self.menus.version != version {
            self.menus.version = version;
            self.menus.due.get_or_insert(self.clock.instant + PAUSE);
        }
        if self.menus.due.is_none_or(|due| due > self.clock.instant) {
            return;
        }
        self.menus.due = None;
        let scripts = self.supervisor();
        let now = scripts.commands(self, Class::Master.number());
        let before = std::mem::replace(&mut self.menus.shown, now);
        if before == self.menus.shown {
            return;
        }
        for id in self.connections.ids() {
            let is_in = self.connections.get(id).is_some_and(|one| one.stage == Stage::LoggedIn);
            let Some(class) = self.user_of(id).map(|user| user.class).filter(|_| is_in) else { continue };
            let has_any = before.iter().any(|command| command.min_class <= class.number());
            self.send_menu(id, class, has_any);
        }
    }

    /// The entries for whoever is of this class, in the place of those that they have.
    pub(super) fn send_menu(&mut self, id: ConnId, class: Class, has_any: bool) {
        if !self.connections.get(id).is_some_and(|one| one.has(Supports::USER_COMMAND)) {
            return;
        }
        let mut menu = if has_any { format!("$UserCommand 255 {HUB_MENU}|") } else { String::new() };
        let may = |command: &&Command| command.min_class <= class.number();
        menu.extend(self.menus.shown.iter().filter(may).map(Command::menu_entry));
        if !menu.is_empty() {
            let menu = self.charset.encode(&menu);
            self.send_to(id, &[&menu]);
        }
    }
}
