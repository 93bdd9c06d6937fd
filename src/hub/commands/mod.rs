//! What is typed after `!` or `+`: the table of commands, who may give them, and what is asked
//! of scripts first. What a command does stands in a file by its subject.
//!
//! Scripts are asked first (`OnHubCommand`, then `OnOperatorCommand` or `OnUserCommand`), but
//! for the commands about scripts themselves: a script that blocks everything must not keep
//! operators from unloading it.

mod accounts;
mod caller;
mod configuration;
mod lists;
mod people;

use std::rc::Rc;

use plugin_abi::{Hook, Value};

use super::class::Class;
use super::settings::Settings;
use super::text::first_word;
use super::{ConnId, Hub};
use crate::supervisor::{Outcome, Ticket, console};
use caller::{Answer, Caller, Misused};

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
    run: fn(&mut Hub, &Caller, &[u8]) -> Answer,
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
        run: configuration::my_ip,
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
        run: people::kick,
    },
    Command {
        name: "drop",
        least: Least::Class(Class::Operator),
        usage: "NICK [REASON]",
        help: "disconnects and no more",
        run: people::drop_user,
    },
    Command {
        name: "ban",
        least: Least::Class(Class::Operator),
        usage: "NICK|ADDRESS|RANGE [PERIOD] [REASON]",
        help: "bans, for a period such as 30m, 3h, 1d or for ever",
        run: people::ban,
    },
    Command {
        name: "unban",
        least: Least::Class(Class::Operator),
        usage: "NICK|ADDRESS|RANGE",
        help: "lifts bans",
        run: people::unban,
    },
    Command {
        name: "who",
        least: Least::Class(Class::Operator),
        usage: "[PATTERN]",
        help: "lists the users and their addresses; a part of nick or address, or with * and ?",
        run: lists::who,
    },
    Command {
        name: "reglist",
        least: Setting(|s| s.min_class_register),
        usage: "[PATTERN]",
        help: "lists the accounts",
        run: lists::reglist,
    },
    Command {
        name: "banlist",
        least: Least::Class(Class::Operator),
        usage: "[PATTERN]",
        help: "lists the bans, the newest first",
        run: lists::banlist,
    },
    Command {
        name: "hubinfo",
        least: Least::Class(Class::Operator),
        usage: "",
        help: "tells about the hub: its version, users, scripts",
        run: lists::hub_info,
    },
    Command {
        name: "history",
        least: Least::Class(Class::Guest),
        usage: "[COUNT]",
        help: "tells what was said last",
        run: lists::history,
    },
    Command {
        name: "audit",
        least: Least::Class(Class::Chief),
        usage: "[PATTERN]",
        help: "tells what operators did, the latest first",
        run: lists::audit,
    },
    Command {
        name: "topic",
        least: Setting(|s| s.topic_mod_class),
        usage: "[TOPIC|-]",
        help: "tells or sets the topic; - clears it",
        run: configuration::topic,
    },
    Command {
        name: "getconfig",
        least: Least::Class(Class::Admin),
        usage: "[[CONF] VARIABLE]",
        help: "tells a variable, or all",
        run: configuration::get_config,
    },
    Command {
        name: "setconfig",
        least: Least::Class(Class::Admin),
        usage: "[CONF] VARIABLE VALUE",
        help: "changes a variable",
        run: configuration::set_config,
    },
    Command {
        name: "stop",
        least: Least::Class(Class::Admin),
        usage: "[CODE]",
        help: "stops the hub",
        run: configuration::stop,
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

    fn how_it_is_given(&self) -> String {
        format!("Usage: !{} {}", self.name, self.usage)
    }
}

/// Who waits for the answer to a command.
pub(super) struct Asker {
    id: ConnId,
    in_pm: bool,
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
        if self.script_console(&caller, command, in_pm) {
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
                let answer = answer.unwrap_or_else(|Misused| known.how_it_is_given().into_bytes());
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

    /// Does what a `!py…` command asks for. What takes its time is answered when it is done. False
    /// when it is none.
    fn script_console(&mut self, caller: &Caller, command: &[u8], in_pm: bool) -> bool {
        if !command.get(..2).is_some_and(|start| start.eq_ignore_ascii_case(b"py"))
            || caller.class.number() < self.settings.plugin_mod_class
        {
            return false;
        }
        let command = self.readable(command);
        let scripts = self.supervisor();
        let Some(answer) = scripts.begin_console(self, &command) else { return false };
        if console::is_act(&command) {
            let (name, args) = first_word(command.as_bytes());
            self.acted(&caller.nick, &String::from_utf8_lossy(name).to_ascii_lowercase(), args, b"");
        }
        match answer {
            console::Answer::Said(text) => self.answer(caller.id, in_pm, &text),
            console::Answer::Later(ticket) => {
                self.askers.insert(ticket, Asker { id: caller.id, in_pm });
            }
        }
        true
    }

    /// Something is done that a command or the start of the hub has begun. Who has asked may have left
    /// meanwhile.
    pub(super) fn finished(&mut self, ticket: Ticket, outcome: Outcome) {
        match outcome {
            Outcome::Said(text) => {
                if let Some(asker) = self.askers.remove(&ticket) {
                    self.answer(asker.id, asker.in_pm, &text);
                }
            }
            Outcome::Loaded(result) => {
                if let Some(place) = self.first_scripts.get_mut(&ticket) {
                    *place = Some(result);
                }
            }
            Outcome::Reloaded(_) | Outcome::Unloaded => {}
        }
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
}

fn help(hub: &mut Hub, caller: &Caller, _args: &[u8]) -> Answer {
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
    Ok(text)
}
