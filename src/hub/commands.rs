//! What is typed after `!` or `+`: who may, what is asked of scripts first, and the commands
//! that need no account; `account_commands` has those that do.
//!
//! Scripts are asked first (`OnHubCommand`, then `OnOperatorCommand` or `OnUserCommand`), but
//! for the commands about scripts themselves: a script that blocks everything must not keep
//! operators from unloading it.

use std::rc::Rc;

use plugin_abi::{Hook, Value};

use super::account_commands as accounts;
use super::bans::{BanKind, NewBan, Target};
use super::kicks;
use super::networks::Range;
use super::protocol::chat_text;
use super::settings::{Settings, settings};
use super::text::{first_word, number, period, spoken_period};
use super::user::Class;
use super::{ConnId, Hub, UserId};

/// Who gave a command.
pub(super) struct Caller {
    /// His connection.
    pub id: ConnId,
    /// His user.
    pub user: UserId,
    /// His nick.
    pub nick: Rc<[u8]>,
    /// His class.
    pub class: Class,
}

/// From which class on a command may be given.
enum Least {
    Class(Class),
    Setting(fn(&Settings) -> i64),
}

/// One row of the table of commands.
struct Command {
    name: &'static str,
    least: Least,
    usage: &'static str,
    help: &'static str,
    /// Gives the answer, in the hub's encoding.
    run: fn(&mut Hub, &Caller, &[u8]) -> Vec<u8>,
}

use Least::Setting;

const COMMANDS: &[Command] = &[
    Command {
        name: "help",
        least: Least::Class(Class::Pinger),
        usage: "",
        help: "lists the commands that you may give",
        run: help,
    },
    Command {
        name: "myip",
        least: Least::Class(Class::Pinger),
        usage: "",
        help: "tells your address",
        run: my_ip,
    },
    Command {
        name: "passwd",
        least: Least::Class(Class::Guest),
        usage: "PASSWORD",
        help: "sets your password",
        run: accounts::passwd,
    },
    Command {
        name: "regnew",
        least: Setting(|s| s.min_class_register),
        usage: "NICK [CLASS] [PASSWORD]",
        help: "registers a user: 1 registered, 2 VIP, 3 operator, 4 chief, 5 admin",
        run: accounts::regnew,
    },
    Command {
        name: "regclass",
        least: Setting(|s| s.min_class_register),
        usage: "NICK CLASS",
        help: "changes a registered user's class",
        run: accounts::regclass,
    },
    Command {
        name: "regpasswd",
        least: Setting(|s| s.min_class_register),
        usage: "NICK PASSWORD",
        help: "sets a registered user's password",
        run: accounts::regpasswd,
    },
    Command {
        name: "delreg",
        least: Setting(|s| s.min_class_register),
        usage: "NICK",
        help: "removes a registration",
        run: accounts::delreg,
    },
    Command {
        name: "kick",
        least: Least::Class(Class::Operator),
        usage: "NICK [REASON]",
        help: "disconnects and bans for a while; _ban_3h in the reason says how long",
        run: kick,
    },
    Command {
        name: "drop",
        least: Least::Class(Class::Operator),
        usage: "NICK [REASON]",
        help: "disconnects and no more",
        run: drop_user,
    },
    Command {
        name: "ban",
        least: Least::Class(Class::Operator),
        usage: "NICK|ADDRESS|RANGE [PERIOD] [REASON]",
        help: "bans, for a period such as 30m, 3h, 1d or for ever",
        run: ban,
    },
    Command {
        name: "unban",
        least: Least::Class(Class::Operator),
        usage: "NICK|ADDRESS|RANGE",
        help: "lifts bans",
        run: unban,
    },
    Command {
        name: "topic",
        least: Setting(|s| s.topic_mod_class),
        usage: "[TOPIC|-]",
        help: "tells or sets the topic; - clears it",
        run: topic,
    },
    Command {
        name: "getconfig",
        least: Least::Class(Class::Admin),
        usage: "[[CONF] VARIABLE]",
        help: "tells a variable, or all",
        run: get_config,
    },
    Command {
        name: "setconfig",
        least: Least::Class(Class::Admin),
        usage: "[CONF] VARIABLE VALUE",
        help: "changes a variable",
        run: set_config,
    },
    Command {
        name: "stop",
        least: Least::Class(Class::Admin),
        usage: "[CODE]",
        help: "stops the hub",
        run: stop,
    },
];

/// Whether the hub has a command of this name.
pub(super) fn is_own(name: &str) -> bool {
    COMMANDS.iter().any(|command| command.name == name)
}

impl Command {
    fn least(&self, settings: &Settings) -> i64 {
        match self.least {
            Least::Class(class) => class.number(),
            Least::Setting(setting) => setting(settings),
        }
    }
}

impl Hub {
    /// Acts on a text if it is a command. Gives whether it is one.
    pub(super) fn command(&mut self, id: ConnId, text: &[u8], in_pm: bool) -> bool {
        let Some(user) = self.user_of(id) else { return false };
        let is_op = user.class >= Class::Operator;
        let triggers = if is_op { &self.settings.cmd_start_op } else { &self.settings.cmd_start_user };
        let Some((trigger, command)) = text.split_first() else { return false };
        // `!!!` and `+1` are talk.
        let is_command = triggers.contains(trigger) && command.first().is_some_and(u8::is_ascii_alphabetic);
        if !is_command {
            return false;
        }
        let Some(user_id) = self.connections.get(id).and_then(|connection| connection.user) else {
            return false;
        };
        let caller = Caller { id, user: user_id, nick: Rc::clone(&user.nick), class: user.class };
        if let Some(answer) = self.script_console(&caller, command) {
            self.answer_bytes(id, in_pm, &answer);
            return true;
        }
        if self.scripts_handle(&caller, text, command, in_pm) {
            return true;
        }
        let (name, args) = first_word(command);
        let class = caller.class.number();
        let found = COMMANDS.iter().find(|known| known.name.as_bytes().eq_ignore_ascii_case(name));
        match found {
            Some(known) if class >= known.least(&self.settings) => {
                let answer = (known.run)(self, &caller, args);
                self.answer_bytes(id, in_pm, &answer);
            }
            Some(known) => {
                let text = format!("{} is for class {} and higher.", known.name, known.least(&self.settings));
                self.answer(id, in_pm, &text);
            }
            None if self.settings.unknown_cmd_chat => return false,
            // Many scripts look for their commands in the chat.
            None if !in_pm && self.chat_scripts_handle(&caller, text) => {}
            None => {
                let text =
                    format!("Unknown command: {}; +help lists those that there are.", self.readable(name));
                self.answer(id, in_pm, &text);
            }
        }
        true
    }

    /// The answer to a `!py…` command.
    fn script_console(&mut self, caller: &Caller, command: &[u8]) -> Option<Vec<u8>> {
        if !command.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"py"))
            || caller.class.number() < self.settings.plugin_mod_class
        {
            return None;
        }
        let command = self.readable(command);
        let scripts = self.supervisor();
        let answer = scripts.console(self, &command)?;
        Some(self.charset.encode(&answer))
    }

    /// Asks the scripts about a command. True when one has handled it.
    fn scripts_handle(&mut self, caller: &Caller, text: &[u8], command: &[u8], in_pm: bool) -> bool {
        let prefix = text.get(..1).unwrap_or_default();
        let args = [
            Value::text(&*caller.nick),
            Value::text(command),
            Value::Int(caller.class.number()),
            Value::Int(i64::from(in_pm)),
            Value::text(prefix),
        ];
        if self.raise_for(caller.id, Hook::OnHubCommand, &args).blocked {
            return true;
        }
        let hook =
            if caller.class >= Class::Operator { Hook::OnOperatorCommand } else { Hook::OnUserCommand };
        self.raise_for(caller.id, hook, &[Value::text(&*caller.nick), Value::text(text)]).blocked
    }

    /// Shows the scripts a command that nobody knows as the chat message that it is. True when
    /// one has blocked it.
    fn chat_scripts_handle(&mut self, caller: &Caller, text: &[u8]) -> bool {
        let args = [Value::text(&*caller.nick), Value::text(text)];
        self.raise_for(caller.id, Hook::OnParsedMsgChat, &args).blocked
    }

    /// Answers a command where it was given. The text is UTF-8.
    pub(super) fn answer(&mut self, id: ConnId, in_pm: bool, text: &str) {
        let text = self.charset.encode(text);
        self.answer_bytes(id, in_pm, &text);
    }

    fn answer_bytes(&mut self, id: ConnId, in_pm: bool, text: &[u8]) {
        if text.is_empty() {
            return;
        }
        if in_pm && let Some(user) = self.connections.get(id).and_then(|connection| connection.user) {
            let bot = self.settings.hub_security.clone();
            self.private(user, &bot, &bot, text);
        } else {
            self.tell_bytes(id, text);
        }
    }

    /// How a command is given.
    pub(super) fn usage(&self, name: &str) -> Vec<u8> {
        let known = COMMANDS.iter().find(|command| command.name == name);
        known
            .map(|command| format!("Usage: !{} {}", command.name, command.usage).into_bytes())
            .unwrap_or_default()
    }
}

fn help(hub: &mut Hub, caller: &Caller, _args: &[u8]) -> Vec<u8> {
    let class = caller.class.number();
    let trigger = if caller.class >= Class::Operator { '!' } else { '+' };
    let mut text = String::from("Commands:");
    for command in COMMANDS.iter().filter(|command| class >= command.least(&hub.settings)) {
        text += &format!("\n{trigger}{} {} - {}", command.name, command.usage, command.help);
    }
    if class >= hub.settings.plugin_mod_class {
        text += "\n!pylist, !pyload, !pyunload, !pyreload, !pyfiles, !pylog - the scripts";
    }
    let mut text = text.replace("  -", " -").into_bytes();
    let scripts = hub.supervisor();
    for command in scripts.commands(hub, class) {
        let usage = if command.usage.is_empty() { String::new() } else { format!(" {}", command.usage) };
        let help = if command.help.is_empty() { String::new() } else { format!(" - {}", command.help) };
        text.extend(hub.charset.encode(&format!("\n{trigger}{}{usage}{help}", command.name)));
    }
    text
}

fn my_ip(hub: &mut Hub, caller: &Caller, _args: &[u8]) -> Vec<u8> {
    [b"Your address is ", &*hub.ip_of(caller.id)].concat()
}

fn kick(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Vec<u8> {
    let (nick, reason) = first_word(args);
    if nick.is_empty() {
        return hub.usage("kick");
    }
    hub.kick_as(caller.id, nick, reason);
    Vec::new()
}

fn drop_user(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Vec<u8> {
    let (nick, reason) = first_word(args);
    if nick.is_empty() {
        return hub.usage("drop");
    }
    match hub.drop_user(caller.user, nick, reason) {
        Ok(listed) => {
            [nick, b" was dropped.", if listed { "" } else { kicks::NOT_LISTED }.as_bytes()].concat()
        }
        Err(why) => hub.charset.encode(&why),
    }
}

fn ban(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Vec<u8> {
    let (who, rest) = first_word(args);
    if who.is_empty() {
        return hub.usage("ban");
    }
    let (word, after) = first_word(rest);
    // A bare number is the start of a reason.
    let seconds = period(word).filter(|_| word.last().is_some_and(|unit| !unit.is_ascii_digit()));
    let reason = if seconds.is_some() { after } else { rest };
    let readable = hub.readable(who);
    let is_range = Range::parse(&readable).is_some() && (readable.contains('/') || readable.contains('-'));
    let online = hub.online(who);
    let (kind, target) = match online.and_then(|user| hub.target_of(user)) {
        Some(target) => (BanKind::NickIp, target),
        None if is_range => (BanKind::Range, Target::written(BanKind::Range, who)),
        None if readable.parse::<std::net::IpAddr>().is_ok() => {
            (BanKind::Ip, Target::written(BanKind::Ip, who))
        }
        None => (BanKind::Nick, Target::written(BanKind::Nick, who)),
    };
    let protected = match online.and_then(|user| hub.users.get(user)) {
        Some(user) => Some(user.class),
        None => {
            let account = hub.database.account(who);
            let Some(account) = hub.stored("reading an account", account) else {
                return [who, b" could not be looked up and is not banned; see the log."].concat();
            };
            account.and_then(|account| Class::from_number(account.class))
        }
    };
    if protected.is_some_and(|class| class >= caller.class) {
        return b"You may not ban a user of your class or a higher one.".to_vec();
    }
    let seconds = seconds.unwrap_or(0);
    let ban =
        NewBan { kind, target: &target, op: &caller.nick, reason, seconds, note_op: b"", note_usr: b"" };
    match hub.set_ban(Some(caller.id), &ban) {
        Ok(seconds) => {
            let how_long =
                if seconds > 0 { format!("for {}", spoken_period(seconds)) } else { "for ever".into() };
            hub.charset.encode(&format!("{readable} is banned {how_long}."))
        }
        Err(why) => hub.charset.encode(why),
    }
}

impl Hub {
    /// Sets a ban, unless a script prevents it, and puts out whom it is for. Gives for how many
    /// seconds they are banned now, 0 for ever: a longer ban that there was stays.
    pub(super) fn set_ban(&mut self, from: Option<ConnId>, ban: &NewBan<'_>) -> Result<i64, &'static str> {
        let ip = ban.target.ip.map(|ip| ip.to_string().into_bytes()).unwrap_or_default();
        let args =
            [Value::text(ban.op), Value::from(&ip), Value::from(&ban.target.nick), Value::text(ban.reason)];
        let verdict = match from {
            Some(id) => self.raise_for(id, Hook::OnNewBan, &args),
            None => self.raise(Hook::OnNewBan, &args),
        };
        if verdict.blocked {
            return Err("A script prevented the ban.");
        }
        let added = self.database.add_ban(ban, self.clock.seconds);
        let until = match self.stored("banning", added) {
            Some(Some(until)) => until,
            Some(None) => return Err("There is nothing known of him that such a ban could go by."),
            None => return Err("The ban could not be stored; see the log."),
        };
        self.put_out_banned(ban);
        Ok(self.left_of_ban(until))
    }

    /// Disconnects all whom a new ban keeps out.
    fn put_out_banned(&mut self, ban: &NewBan<'_>) {
        let bypass = self.settings.ban_bypass_class;
        let candidates: Vec<(UserId, ConnId)> = self
            .users
            .iter()
            .filter(|(_, user)| user.class.number() < bypass)
            .filter_map(|(id, user)| Some((id, user.connection()?)))
            .collect();
        for (user, id) in candidates {
            if self.target_of(user).is_some_and(|target| ban.keeps_out(&target)) {
                let text = [b"You were banned because: ", ban.reason].concat();
                let text = chat_text(&text).into_owned();
                self.private(user, ban.op, ban.op, &text);
                self.close(id, super::CloseReason::Kicked);
            }
        }
    }
}

fn unban(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Vec<u8> {
    let (who, reason) = first_word(args);
    if who.is_empty() {
        return hub.usage("unban");
    }
    let lifted = hub.database.lift_bans(who, &caller.nick, reason, hub.clock.seconds);
    let lifted = hub.stored("lifting bans", lifted);
    let temporary = hub.readable(who).parse().is_ok_and(|ip| hub.lift_temporary_ban(ip));
    let Some(lifted) = lifted else {
        return [b"The bans of ", who, b" could not be lifted; see the log."].concat();
    };
    match lifted + usize::from(temporary) {
        0 => [b"There is no ban of ", who].concat(),
        1 => b"One ban was lifted.".to_vec(),
        count => format!("{count} bans were lifted.").into_bytes(),
    }
}

fn topic(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Vec<u8> {
    let topic: &[u8] = match args {
        b"" if hub.settings.hub_topic.is_empty() => return b"There is no topic.".to_vec(),
        b"" => return [b"The topic is: ", hub.settings.hub_topic.as_slice()].concat(),
        b"-" => b"",
        topic => topic,
    };
    match hub.set_config(&caller.nick, Some(caller.id), b"config", b"hub_topic", topic) {
        Ok(change) => [b"The topic is now: ", change.new.as_slice()].concat(),
        Err(error) => error.to_string().into_bytes(),
    }
}

fn get_config(hub: &mut Hub, _caller: &Caller, args: &[u8]) -> Vec<u8> {
    let (first, second) = first_word(args);
    if first.is_empty() {
        let mut text = b"Variables:".to_vec();
        for setting in settings() {
            let value = hub.settings.get(setting.name).unwrap_or_default();
            let line = [b"\n", setting.name.as_bytes(), b" = ", &value, b"  - ", setting.meaning.as_bytes()];
            text.extend(line.concat());
        }
        return text;
    }
    let (conf, variable) = if second.is_empty() { (&b"config"[..], first) } else { (first, second) };
    match hub.get_config(conf, variable) {
        Some(value) => [variable, b" = ", &value].concat(),
        None => [b"There is no variable ", variable].concat(),
    }
}

fn set_config(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Vec<u8> {
    let (first, rest) = first_word(args);
    if rest.is_empty() && first.is_empty() {
        return hub.usage("setconfig");
    }
    let known = |name: &[u8]| {
        super::settings::setting(super::settings::canonical(&String::from_utf8_lossy(name))).is_some()
    };
    let (conf, variable, value) = if known(first) {
        (&b"config"[..], first, rest)
    } else {
        let (variable, value) = first_word(rest);
        (first, variable, value)
    };
    // Two words are a variable of the hub and its value; `nonsense 5` is a slip of the pen.
    if variable.is_empty() || (value.is_empty() && !known(first)) {
        return [b"There is no variable ", first].concat();
    }
    match hub.set_config(&caller.nick, Some(caller.id), conf, variable, value) {
        Ok(change) => [variable, b" = ", &change.new, b" (was ", &change.old, b")"].concat(),
        Err(error) => [variable, b": ", error.to_string().as_bytes()].concat(),
    }
}

fn stop(hub: &mut Hub, caller: &Caller, args: &[u8]) -> Vec<u8> {
    log::info!("{} stops the hub", hub.readable(&caller.nick));
    hub.stop = Some(number(args).unwrap_or(0));
    b"The hub stops.".to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::Options;

    fn target(ip: &str) -> Target {
        Target { ip: ip.parse().ok(), ..Target::default() }
    }

    /// How often bans have been looked for in the database.
    fn searches(hub: &Hub) -> i32 {
        let statement = hub.database.connection.prepare_cached(crate::hub::bans::FIND).unwrap();
        statement.get_status(rusqlite::StatementStatus::Run)
    }

    #[test]
    fn a_ban_asks_the_database_about_nobody_who_is_online() {
        let data = tempfile::tempdir().unwrap();
        let mut hub = Hub::open(Options::new(data.path())).unwrap();
        let users: Vec<ConnId> = (0..100u8)
            .map(|at| {
                let id = hub.connect_sink(([10, 0, at % 2, at], 5000).into(), false);
                let login = format!(
                    "$Supports NoHello NoGetINFO|$Key x|$ValidateNick u{at}|$MyINFO $ALL u{at} d$ $5\x01$$1$|"
                );
                hub.message(id, login.as_bytes());
                hub.end_turn();
                id
            })
            .collect();
        assert_eq!(hub.users_count(), 100);
        let before = searches(&hub);
        assert!(before >= 100, "each login looks for bans");
        let mut range = target("");
        range.range = Range::parse("10.0.1.0/24");
        for (kind, target) in [(BanKind::Ip, &target("10.0.0.4")), (BanKind::Range, &range)] {
            let ban =
                NewBan { kind, target, op: b"op", reason: b"why", seconds: 60, note_op: b"", note_usr: b"" };
            assert_eq!(hub.set_ban(None, &ban), Ok(60));
        }
        hub.end_turn();
        assert_eq!(searches(&hub), before);
        let gone = |at: usize| hub.user_of(users[at]).is_none();
        assert!((0..100).all(|at| gone(at) == (at == 4 || at % 2 == 1)));
    }
}
