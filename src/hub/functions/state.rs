//! Functions about registrations, the configuration, the database and the hub itself.

use std::time::Duration;

use plugin_abi::{Hook, Value};

use super::super::Hub;
use super::super::accounts::FirstPassword;
use super::super::timers::Due;
use super::limits::WAITING_COMMANDS;
use super::{Args, done, text};
use crate::supervisor::ScriptId;

/// How many commands may wait for scripts.
const MOST_SCRIPT_COMMANDS: usize = 1000;

/// How long a topic may be, in bytes.
const LONGEST_TOPIC: usize = 1023;

impl Hub {
    pub(super) fn call_add_reg_user(&mut self, args: Args<'_>) -> Value<'static> {
        let op = args.some_text(3).unwrap_or(&self.settings.hub_security).to_vec();
        // Nobody is registered as a pinger by mistake.
        let class = if args.int(1) < 0 { i64::MAX } else { args.int(1) };
        let nick = args.text_or_empty(0);
        match self.register(&op, None, nick, class, FirstPassword::given(args.text_or_empty(2))) {
            Ok(()) => done(true),
            Err(why) => {
                log::info!("AddRegUser({}): {why}", self.readable(nick));
                Value::Nil
            }
        }
    }

    pub(super) fn call_del_reg_user(&mut self, args: Args<'_>) -> Value<'static> {
        done(self.unregister(args.text_or_empty(0)).is_ok())
    }

    pub(super) fn call_set_reg_class(&mut self, args: Args<'_>) -> Value<'static> {
        let (nick, class) = (args.text_or_empty(0), args.int(1));
        // Nor is anybody made a pinger by mistake.
        match self.set_class(nick, if class < 0 { i64::MAX } else { class }) {
            Ok(()) => done(true),
            Err(why) => {
                log::info!("SetRegClass({}): {why}", self.readable(nick));
                Value::Nil
            }
        }
    }

    pub(super) fn call_parse_command(&mut self, args: Args<'_>) -> Value<'static> {
        let found = self.online_user(args.text_or_empty(0)).and_then(|user| user.connection());
        let (Some(id), Some(command)) = (found, args.some_text(1)) else { return Value::Nil };
        done(self.command(id, command, args.int(2) != 0))
    }

    pub(super) fn call_script_command(&mut self, script: ScriptId, args: Args<'_>) -> Value<'static> {
        let (Some(command), Some(data)) = (args.text(0), args.text(1)) else { return Value::Nil };
        let path = self.script_path(script);
        if args.int(2) > 0 {
            let args = [Value::text(command), Value::text(data), Value::from("python"), Value::from(&path)];
            self.raise(Hook::OnScriptCommand, &args);
        } else if self.script_commands.len() < MOST_SCRIPT_COMMANDS
            && self.waiting_commands() + command.len() + data.len() <= WAITING_COMMANDS
        {
            self.script_commands.push_back([command.to_vec(), data.to_vec(), b"python".to_vec(), path]);
        } else {
            return Value::Nil;
        }
        done(true)
    }

    /// How many bytes wait for scripts in commands.
    fn waiting_commands(&self) -> usize {
        self.script_commands.iter().flatten().map(Vec::len).sum()
    }

    /// The path of a script, in the hub's encoding.
    fn script_path(&self, script: ScriptId) -> Vec<u8> {
        let scripts = self.scripts.scripts();
        let found = scripts.into_iter().find(|status| status.id == script);
        found.map(|status| self.charset.encode(&status.path.to_string_lossy())).unwrap_or_default()
    }

    pub(super) fn call_set_config(&mut self, args: Args<'_>) -> Value<'static> {
        let (Some(conf), Some(variable), Some(value)) = (args.some_text(0), args.some_text(1), args.text(2))
        else {
            return Value::Nil;
        };
        let bot = self.settings.hub_security.clone();
        match self.set_config(&bot, None, conf, variable, value) {
            Ok(_) => done(true),
            Err(why) => {
                log::info!("SetConfig({}): {why}", self.readable(variable));
                Value::Nil
            }
        }
    }

    pub(super) fn call_get_config(&mut self, args: Args<'_>) -> Value<'static> {
        let (Some(conf), Some(variable)) = (args.some_text(0), args.some_text(1)) else { return Value::Nil };
        match self.get_config(conf, variable) {
            Some(value) => Value::from(value),
            None => args.text(2).map(<[u8]>::to_vec).into(),
        }
    }

    pub(super) fn call_sql(&mut self, script: ScriptId, args: Args<'_>) -> Value<'static> {
        let query = args.text_or_empty(0);
        let rows = match self.sql.query(script, query, args.int(1)) {
            Ok(rows) => rows,
            Err(error) => {
                // A query can have megabytes; its start tells which it is.
                let start = self.readable(query.get(..1000).unwrap_or(query));
                log::warn!("SQL of script {script}: {error:.1000}; the query: {start}");
                let reason = self.charset.encode(&format!("{error:.1000}"));
                return Value::List(vec![Value::Int(0), Value::from(reason), Value::List(Vec::new())]);
            }
        };
        let rows = rows.into_iter().map(|row| row.into_iter().collect::<Value<'static>>());
        Value::List(vec![Value::Int(1), Value::List(rows.collect())])
    }

    pub(super) fn call_topic(&mut self, args: Args<'_>) -> Value<'static> {
        if let Some(topic) = args.text(0) {
            let topic = topic.strip_suffix(b"|").unwrap_or(topic);
            let bot = self.settings.hub_security.clone();
            if topic.len() > LONGEST_TOPIC {
                log::info!("Topic: it has more than {LONGEST_TOPIC} bytes");
            } else if let Err(why) = self.set_config(&bot, None, b"config", b"hub_topic", topic) {
                log::info!("Topic: {why}");
            }
        }
        text(self.settings.hub_topic.clone())
    }

    pub(super) fn call_name_and_version(&mut self, script: ScriptId, args: Args<'_>) -> Value<'static> {
        let path = self.script_path(script);
        if !self.script_names.contains_key(&path) {
            let file = path.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
            let name = file.strip_suffix(b".py").unwrap_or(file).to_vec();
            self.script_names.insert(path.clone(), [name, b"1.0.0".to_vec()]);
        }
        let Some([name, version]) = self.script_names.get_mut(&path) else { return Value::Nil };
        if let Some(new) = args.some_text(0) {
            *name = new.to_vec();
        }
        if let Some(new) = args.some_text(1) {
            *version = new.to_vec();
        }
        [name.clone(), version.clone()].into_iter().collect()
    }

    pub(super) fn call_stop_hub(&mut self, args: Args<'_>) -> Value<'static> {
        let delay = Duration::from_secs(args.int(1).clamp(0, 365 * 86_400).unsigned_abs());
        if delay.is_zero() {
            self.stop = Some(args.int(0));
        } else if self.timers.is_full() {
            return Value::Nil;
        } else {
            self.timers.add(self.clock.instant + delay, Due::Stop(args.int(0)));
        }
        done(true)
    }
}
