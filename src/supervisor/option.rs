//! The options of a supervisor, one row each: name, type, unit, range, meaning. Everything that
//! takes options reads this table: the C ABI and its environment variables, the embedded hub's
//! variables and flags, Verlihub's `pi_python`, the header, the manual.

use std::ffi::OsStr;
use std::fmt::Write;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use super::config::{Config, Limits, WhenAway};
use super::script::Overrides;
use crate::log_level;

/// Seconds in a day.
const DAY: f64 = 86_400.0;

/// One option.
pub struct OptionSpec {
    /// Its name, the same everywhere; in the environment `VHPY_` and the name in capitals.
    pub name: &'static str,
    /// What a value is, in a word: `SECONDS`, `MIB`, `NUMBER`, `0|1`, `pass|block`, `PATH`, `TEXT`.
    pub value: &'static str,
    /// Who chooses it.
    pub chosen_by: ChosenBy,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    field: Field,
    /// Keeps the value for one script, where that is possible.
    for_script: Option<fn(Option<&Config>, &mut Overrides)>,
}

/// Who chooses an option's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChosenBy {
    /// Operators, while the hub runs.
    Operators,
    /// Whoever starts the hub.
    Host,
    /// The hub's own code, from what it is.
    Hub,
}

/// Where the value is kept, and what is allowed there.
enum Field {
    Seconds(fn(&mut Config) -> &mut Duration, RangeInclusive<f64>),
    Count(fn(&mut Config) -> &mut u32, RangeInclusive<u32>),
    /// Empty or `none` is no limit; the kept number is as many times as large.
    Limit(fn(&mut Config) -> &mut Option<u64>, RangeInclusive<u64>, u64),
    Nice(fn(&mut Config) -> &mut Option<i32>),
    Switch(fn(&mut Config) -> &mut bool),
    Away(fn(&mut Config) -> &mut WhenAway),
    /// Empty is none.
    Path(fn(&mut Config) -> &mut Option<PathBuf>),
    /// Empty is none.
    Address(fn(&mut Config) -> &mut Option<SocketAddr>),
    Folder(fn(&mut Config) -> &mut PathBuf),
    Text(fn(&mut Config) -> &mut String),
    Bytes(fn(&mut Config) -> &mut Vec<u8>),
    Time(fn(&mut Config) -> &mut i64),
    /// Belongs to the whole program.
    LogLevel,
}

/// Why an option was not set. The text tells an operator what to do.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum OptionError {
    /// There is none of this name.
    #[error("there is no option {name}; there are {}", names().join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
    },
    /// The text is no value of this option.
    #[error("the option {name} must be {wanted}, not \"{given}\"")]
    Value {
        /// The option.
        name: &'static str,
        /// What it takes.
        wanted: String,
        /// What was given.
        given: String,
    },
    /// It cannot differ between scripts.
    #[error("the option {name} is the same for all scripts; for one there are {}", names_for_scripts().join(", "))]
    NotForScripts {
        /// The option.
        name: &'static str,
    },
    /// It cannot differ between hooks.
    #[error("only hook_timeout can be set for one hook, not {0}")]
    NotForHooks(&'static str),
}

/// All options.
pub static OPTIONS: [OptionSpec; 28] = [
    OptionSpec {
        name: "hook_timeout",
        value: "SECONDS",
        chosen_by: ChosenBy::Operators,
        meaning: "How many seconds the hub waits for one hook or function of a script.",
        field: Field::Seconds(|config| &mut config.hook_timeout, 0.001..=DAY),
        for_script: Some(|config, own| own.hook_timeout = config.map(|config| config.hook_timeout)),
    },
    OptionSpec {
        name: "kill_timeout",
        value: "SECONDS",
        chosen_by: ChosenBy::Operators,
        meaning: "How many seconds a stuck script has to come back before it is killed.",
        field: Field::Seconds(|config| &mut config.kill_timeout, 0.001..=DAY),
        for_script: Some(|config, own| own.kill_timeout = config.map(|config| config.kill_timeout)),
    },
    OptionSpec {
        name: "load_timeout",
        value: "SECONDS",
        chosen_by: ChosenBy::Operators,
        meaning: "How many seconds a script has to load.",
        field: Field::Seconds(|config| &mut config.load_timeout, 0.1..=DAY),
        for_script: None,
    },
    OptionSpec {
        name: "restart_wait",
        value: "SECONDS",
        chosen_by: ChosenBy::Operators,
        meaning: "How many seconds events wait for a script that just died or is reloaded, within its \
                  hook_timeout.",
        field: Field::Seconds(|config| &mut config.restart_wait, 0.0..=DAY),
        for_script: None,
    },
    OptionSpec {
        name: "when_away",
        value: "pass|block",
        chosen_by: ChosenBy::Operators,
        meaning: "Whether events that a script hooks go on without it (pass) or are blocked (block) while \
                  it cannot answer: after restart_wait, when it is stuck, late, or has died.",
        field: Field::Away(|config| &mut config.when_away),
        for_script: Some(|config, own| own.when_away = config.map(|config| config.when_away)),
    },
    OptionSpec {
        name: "restart_limit",
        value: "NUMBER",
        chosen_by: ChosenBy::Operators,
        meaning: "After how many deaths in a minute a script is given up.",
        field: Field::Count(|config| &mut config.restart.max_deaths, 0..=1000),
        for_script: None,
    },
    OptionSpec {
        name: "limit_memory",
        value: "MIB",
        chosen_by: ChosenBy::Operators,
        meaning: "How many MiB of address space a script may use, from its next start on; the \
                  interpreter takes about 40; none is no limit.",
        field: Field::Limit(|config| &mut config.limits.memory, 16..=1 << 30, 1 << 20),
        for_script: Some(|config, own| own.memory = config.map(|config| config.limits.memory)),
    },
    OptionSpec {
        name: "limit_cpu",
        value: "SECONDS",
        chosen_by: ChosenBy::Operators,
        meaning: "How many seconds of processor time a script's process may use; none is no limit.",
        field: Field::Limit(|config| &mut config.limits.cpu_seconds, 1..=1 << 32, 1),
        for_script: Some(|config, own| own.cpu_seconds = config.map(|config| config.limits.cpu_seconds)),
    },
    OptionSpec {
        name: "limit_files",
        value: "NUMBER",
        chosen_by: ChosenBy::Operators,
        meaning: "How many files a script may have open; none is no limit.",
        field: Field::Limit(|config| &mut config.limits.open_files, 16..=1 << 20, 1),
        for_script: Some(|config, own| own.open_files = config.map(|config| config.limits.open_files)),
    },
    OptionSpec {
        name: "limit_processes",
        value: "NUMBER",
        chosen_by: ChosenBy::Operators,
        meaning: "How many processes and threads the hub's user may have when a script starts one; \
                  none is no limit.",
        field: Field::Limit(|config| &mut config.limits.processes, 1..=1 << 22, 1),
        for_script: Some(|config, own| own.processes = config.map(|config| config.limits.processes)),
    },
    OptionSpec {
        name: "nice",
        value: "NUMBER",
        chosen_by: ChosenBy::Operators,
        meaning: "How much nicer than the hub scripts are, 0 to 19.",
        field: Field::Nice(|config| &mut config.limits.nice),
        for_script: Some(|config, own| own.nice = config.map(|config| config.limits.nice)),
    },
    OptionSpec {
        name: "slow_hook",
        value: "SECONDS",
        chosen_by: ChosenBy::Operators,
        meaning: "How many seconds a hook may take before operators are told, once a minute for each.",
        field: Field::Seconds(|config| &mut config.slow_hook, 0.0001..=DAY),
        for_script: None,
    },
    OptionSpec {
        name: "spare",
        value: "0|1",
        chosen_by: ChosenBy::Operators,
        meaning: "Whether a started interpreter waits to take over a script.",
        field: Field::Switch(|config| &mut config.spare),
        for_script: None,
    },
    OptionSpec {
        name: "stay_awake",
        value: "0|1",
        chosen_by: ChosenBy::Operators,
        meaning: "Whether hub and scripts spin for up to 0.1 ms before they sleep: 0 saves processor \
                  time and costs speed.",
        field: Field::Switch(|config| &mut config.stay_awake),
        for_script: None,
    },
    OptionSpec {
        name: "log_level",
        value: "NUMBER",
        chosen_by: ChosenBy::Operators,
        meaning: "How much is logged: 0 errors, 1 warnings, 2 what scripts print, 3 every change of a \
                  script's state, 4 and 5 everything.",
        field: Field::LogLevel,
        for_script: None,
    },
    OptionSpec {
        name: "python",
        value: "PATH",
        chosen_by: ChosenBy::Operators,
        meaning: "The interpreter of scripts that have no .venv beside them; empty is python3 on the PATH.",
        field: Field::Path(|config| &mut config.python),
        for_script: None,
    },
    OptionSpec {
        name: "worker",
        value: "PATH",
        chosen_by: ChosenBy::Host,
        meaning: "Where libvh_worker.so is; empty is beside the library.",
        field: Field::Path(|config| &mut config.worker),
        for_script: None,
    },
    OptionSpec {
        name: "metrics",
        value: "ADDRESS",
        chosen_by: ChosenBy::Host,
        meaning: "Where metrics can be read over HTTP: ADDRESS:PORT; empty is nowhere.",
        field: Field::Address(|config| &mut config.metrics),
        for_script: None,
    },
    OptionSpec {
        name: "control",
        value: "PATH",
        chosen_by: ChosenBy::Host,
        meaning: "Where the control socket is, for vhpy ctl; empty is none.",
        field: Field::Path(|config| &mut config.control),
        for_script: None,
    },
    OptionSpec {
        name: "control_group",
        value: "TEXT",
        chosen_by: ChosenBy::Host,
        meaning: "The group that may use the control socket besides its user; empty is none.",
        field: Field::Text(|config| &mut config.control_group),
        for_script: None,
    },
    OptionSpec {
        name: "scripts_dir",
        value: "PATH",
        chosen_by: ChosenBy::Hub,
        meaning: "The hub's folder of scripts: second on every script's sys.path, after its own folder.",
        field: Field::Path(|config| &mut config.scripts_dir),
        for_script: None,
    },
    OptionSpec {
        name: "store_dir",
        value: "PATH",
        chosen_by: ChosenBy::Hub,
        meaning: "Where scripts' stores are kept; empty keeps them in memory only.",
        field: Field::Path(|config| &mut config.store_dir),
        for_script: None,
    },
    OptionSpec {
        name: "encoding",
        value: "TEXT",
        chosen_by: ChosenBy::Hub,
        meaning: "The hub's encoding as Python names it: utf-8, cp1251, ….",
        field: Field::Text(|config| &mut config.encoding),
        for_script: None,
    },
    OptionSpec {
        name: "basedir",
        value: "PATH",
        chosen_by: ChosenBy::Hub,
        meaning: "vh.basedir.",
        field: Field::Folder(|config| &mut config.identity.basedir),
        for_script: None,
    },
    OptionSpec {
        name: "config_name",
        value: "TEXT",
        chosen_by: ChosenBy::Hub,
        meaning: "vh.config_name.",
        field: Field::Text(|config| &mut config.identity.config_name),
        for_script: None,
    },
    OptionSpec {
        name: "starttime",
        value: "NUMBER",
        chosen_by: ChosenBy::Hub,
        meaning: "vh.starttime: seconds since 1970.",
        field: Field::Time(|config| &mut config.identity.starttime),
        for_script: None,
    },
    OptionSpec {
        name: "botname",
        value: "TEXT",
        chosen_by: ChosenBy::Hub,
        meaning: "vh.botname, in the hub's encoding.",
        field: Field::Bytes(|config| &mut config.identity.botname),
        for_script: None,
    },
    OptionSpec {
        name: "opchatname",
        value: "TEXT",
        chosen_by: ChosenBy::Hub,
        meaning: "vh.opchatname, in the hub's encoding.",
        field: Field::Bytes(|config| &mut config.identity.opchatname),
        for_script: None,
    },
];

/// The names of all options.
pub fn names() -> Vec<&'static str> {
    OPTIONS.iter().map(|option| option.name).collect()
}

fn names_for_scripts() -> Vec<&'static str> {
    OPTIONS.iter().filter(|option| option.for_script.is_some()).map(|option| option.name).collect()
}

/// Those that operators choose and that hold for one supervisor: all but the log level, which
/// is the whole program's.
pub fn of_operators_for_scripts() -> impl Iterator<Item = &'static OptionSpec> {
    of_operators().filter(|option| !matches!(option.field, Field::LogLevel))
}

/// Those that operators choose.
pub fn of_operators() -> impl Iterator<Item = &'static OptionSpec> {
    OPTIONS.iter().filter(|option| option.chosen_by == ChosenBy::Operators)
}

/// The option of this name.
pub fn find(name: &str) -> Result<&'static OptionSpec, OptionError> {
    let found = OPTIONS.iter().find(|option| option.name == name);
    found.ok_or_else(|| OptionError::Unknown { name: name.to_string() })
}

impl OptionSpec {
    /// Whether a script may have a value of its own.
    pub fn is_for_scripts(&self) -> bool {
        self.for_script.is_some()
    }

    /// The value as text, as [`OptionSpec::set`] takes it.
    pub fn get(&self, config: &Config) -> Vec<u8> {
        let config = &mut config.clone();
        let path = |path: &PathBuf| path.as_os_str().as_bytes().to_vec();
        match self.field {
            Field::Seconds(at, _) => at(config).as_secs_f64().to_string().into_bytes(),
            Field::Count(at, _) => at(config).to_string().into_bytes(),
            Field::Limit(at, _, unit) => at(config)
                .map(|limit| limit / unit)
                .map_or(Vec::new(), |number| number.to_string().into_bytes()),
            Field::Nice(at) => at(config).unwrap_or_default().to_string().into_bytes(),
            Field::Switch(at) => vec![if *at(config) { b'1' } else { b'0' }],
            Field::Away(at) => match at(config) {
                WhenAway::Pass => b"pass".to_vec(),
                WhenAway::Block => b"block".to_vec(),
            },
            Field::Path(at) => at(config).as_ref().map_or(Vec::new(), path),
            Field::Address(at) => at(config).map_or(Vec::new(), |address| address.to_string().into_bytes()),
            Field::Folder(at) => path(at(config)),
            Field::Text(at) => at(config).clone().into_bytes(),
            Field::Bytes(at) => at(config).clone(),
            Field::Time(at) => at(config).to_string().into_bytes(),
            Field::LogLevel => log_level::current().to_string().into_bytes(),
        }
    }

    /// Changes the value. Nothing is changed when the text is none.
    pub fn set(&self, config: &mut Config, value: &[u8]) -> Result<(), OptionError> {
        self.try_set(config, value).map_err(|wanted| OptionError::Value {
            name: self.name,
            wanted,
            given: String::from_utf8_lossy(value).into_owned(),
        })
    }

    /// The error says what the value must be.
    fn try_set(&self, config: &mut Config, value: &[u8]) -> Result<(), String> {
        let text = String::from_utf8_lossy(value);
        let path = || PathBuf::from(OsStr::from_bytes(value));
        match &self.field {
            Field::Seconds(at, range) => {
                let seconds = text.trim().parse().ok().filter(|seconds| range.contains(seconds));
                let time = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
                *at(config) = time.ok_or_else(|| self.wanted())?;
            }
            Field::Count(at, range) => {
                let number = text.trim().parse().ok().filter(|number| range.contains(number));
                *at(config) = number.ok_or_else(|| self.wanted())?;
            }
            Field::Limit(at, ..) if ["", "none"].contains(&text.trim()) => *at(config) = None,
            Field::Limit(at, range, unit) => {
                let number = text.trim().parse().ok().filter(|number| range.contains(number));
                *at(config) = Some(number.ok_or_else(|| self.wanted())?.saturating_mul(*unit));
            }
            Field::Nice(at) => {
                let nice = text.trim().parse().ok().filter(|nice| (0..=19).contains(nice));
                *at(config) = Some(nice.ok_or_else(|| self.wanted())?);
            }
            Field::Switch(at) => {
                *at(config) = match text.trim().to_ascii_lowercase().as_str() {
                    "0" | "no" | "false" | "off" => false,
                    "1" | "yes" | "true" | "on" => true,
                    _ => return Err(self.wanted()),
                };
            }
            Field::Away(at) => {
                *at(config) = match text.trim().to_ascii_lowercase().as_str() {
                    "pass" => WhenAway::Pass,
                    "block" => WhenAway::Block,
                    _ => return Err(self.wanted()),
                };
            }
            Field::Path(at) => *at(config) = Some(path()).filter(|_| !value.is_empty()),
            Field::Address(at) if text.trim().is_empty() => *at(config) = None,
            Field::Address(at) => {
                *at(config) = Some(text.trim().parse().map_err(|_| self.wanted())?);
            }
            Field::Folder(at) => *at(config) = path(),
            Field::Text(at) => *at(config) = text.into_owned(),
            Field::Bytes(at) => *at(config) = value.to_vec(),
            Field::Time(at) => *at(config) = text.trim().parse().map_err(|_| self.wanted())?,
            Field::LogLevel => {
                let level = text.trim().parse().ok().filter(|level| (0..=5).contains(level));
                log_level::set(level.ok_or_else(|| self.wanted())?);
            }
        }
        Ok(())
    }

    /// What a value must be, in words.
    fn wanted(&self) -> String {
        match &self.field {
            Field::Seconds(_, range) => {
                format!("a number of seconds from {} to {}", range.start(), range.end())
            }
            Field::Count(_, range) => format!("a number from {} to {}", range.start(), range.end()),
            Field::Limit(_, range, _) => {
                format!("a number from {} to {}, or none for no limit", range.start(), range.end())
            }
            Field::Nice(_) => "a number from 0 to 19".into(),
            Field::Switch(_) => "0 or 1".into(),
            Field::Away(_) => "pass or block".into(),
            Field::LogLevel => "a number from 0 to 5".into(),
            Field::Time(_) => "seconds since 1970".into(),
            Field::Address(_) => "an address and a port, such as 127.0.0.1:9111, or empty".into(),
            Field::Path(_) | Field::Folder(_) => "a path".into(),
            Field::Text(_) | Field::Bytes(_) => "text".into(),
        }
    }

    /// Keeps a value for one script, whose other options are as `config` and `own` say.
    pub fn set_for_script(
        &self,
        config: &Config,
        own: &mut Overrides,
        value: &[u8],
    ) -> Result<(), OptionError> {
        let keep = self.for_script.ok_or(OptionError::NotForScripts { name: self.name })?;
        let mut effective = config.clone();
        own.apply(&mut effective);
        self.set(&mut effective, value)?;
        keep(Some(&effective), own);
        Ok(())
    }

    /// Takes a script's own value back, if it has one.
    pub fn take_back(&self, own: &mut Overrides) {
        if let Some(keep) = self.for_script {
            keep(None, own);
        }
    }

    /// The value that holds where nobody chose another, as the manual shows it.
    pub fn default_text(&self) -> String {
        match &self.field {
            Field::Limit(..) => "none".into(),
            // This program's level may differ at the moment.
            Field::LogLevel => "2".into(),
            _ => String::from_utf8_lossy(&self.get(&Config::default())).into_owned(),
        }
    }
}

impl Overrides {
    /// All limits of its own, whatever the hub's are.
    pub fn limited(limits: Limits) -> Overrides {
        Overrides {
            memory: Some(limits.memory),
            cpu_seconds: Some(limits.cpu_seconds),
            open_files: Some(limits.open_files),
            processes: Some(limits.processes),
            nice: Some(limits.nice),
            ..Overrides::default()
        }
    }

    /// What holds for the script whose options these are.
    pub fn apply(&self, config: &mut Config) {
        config.hook_timeout = self.hook_timeout.unwrap_or(config.hook_timeout);
        config.kill_timeout = self.kill_timeout.unwrap_or(config.kill_timeout);
        config.when_away = self.when_away.unwrap_or(config.when_away);
        let limits = &mut config.limits;
        limits.memory = self.memory.unwrap_or(limits.memory);
        limits.cpu_seconds = self.cpu_seconds.unwrap_or(limits.cpu_seconds);
        limits.open_files = self.open_files.unwrap_or(limits.open_files);
        limits.processes = self.processes.unwrap_or(limits.processes);
        limits.nice = self.nice.unwrap_or(limits.nice);
    }
}

/// Operators' options as a Markdown table.
pub fn operators_table() -> String {
    let mut table =
        String::from("| option | unless changed | value | what it is |\n| --- | --- | --- | --- |\n");
    for option in of_operators() {
        let default = option.default_text();
        let value = option.value.replace('|', " or ");
        let _ = writeln!(table, "| `{}` | {default} | {value} | {} |", option.name, option.meaning);
    }
    table
}

/// All options as lines of a C comment.
pub fn header_lines() -> String {
    let mut lines = String::new();
    for option in &OPTIONS {
        let mut line = format!(" *   {:<16}", option.name);
        let default = option.default_text();
        let default = if default.is_empty() || option.chosen_by != ChosenBy::Operators {
            String::new()
        } else {
            format!(" ({default})")
        };
        for word in format!("{}{default}", option.meaning).split_whitespace() {
            if line.chars().count() + 1 + word.chars().count() > 92 {
                let _ = writeln!(lines, "{line}");
                line = format!(" *   {:<16}", "");
            }
            line.push(' ');
            line.push_str(word);
        }
        let _ = writeln!(lines, "{line}");
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_can_be_read_and_its_value_set_again() {
        let mut config = Config::default();
        for option in &OPTIONS {
            let value = option.get(&config);
            option.set(&mut config, &value).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(option.get(&config), value, "{}", option.name);
        }
    }

    #[test]
    fn each_name_changes_its_own_value_in_its_own_unit() {
        let mut config = Config::default();
        let rows = OPTIONS.iter().filter(|option| !matches!(option.field, Field::LogLevel)).enumerate();
        for (at, option) in rows.clone() {
            let value: Vec<u8> = match option.field {
                Field::Switch(_) => b"0".to_vec(),
                Field::Away(_) => b"block".to_vec(),
                Field::Nice(_) => b"7".to_vec(),
                Field::Address(_) => b"127.0.0.1:7".to_vec(),
                _ => (at + 40).to_string().into_bytes(),
            };
            option.set(&mut config, &value).unwrap_or_else(|error| panic!("{error}"));
        }
        for (at, option) in rows {
            if !matches!(option.field, Field::Switch(_) | Field::Away(_) | Field::Nice(_) | Field::Address(_))
            {
                assert_eq!(option.get(&config), (at + 40).to_string().into_bytes(), "{}", option.name);
            }
        }
        assert_eq!(config.hook_timeout, Duration::from_secs(40));
        assert_eq!(config.kill_timeout, Duration::from_secs(41));
        assert_eq!(config.load_timeout, Duration::from_secs(42));
        assert_eq!(config.restart_wait, Duration::from_secs(43));
        assert_eq!(config.when_away, WhenAway::Block);
        assert_eq!(config.restart.max_deaths, 45);
        assert_eq!(config.limits.memory, Some(46 << 20));
        assert_eq!(config.limits.cpu_seconds, Some(47));
        assert_eq!(config.limits.open_files, Some(48));
        assert_eq!(config.limits.processes, Some(49));
        assert_eq!(config.limits.nice, Some(7));
        assert!(!config.spare && !config.stay_awake);
        assert_eq!(config.metrics, "127.0.0.1:7".parse().ok());
    }

    #[test]
    fn wrong_values_say_what_is_wanted_and_change_nothing() {
        let mut config = Config::default();
        let refused = |config: &mut Config, name: &str, value: &str| {
            find(name).and_then(|option| option.set(config, value.as_bytes())).unwrap_err().to_string()
        };
        let wanted = "the option hook_timeout must be a number of seconds from 0.001 to 86400, not \"-1\"";
        assert_eq!(refused(&mut config, "hook_timeout", "-1"), wanted);
        for value in ["0", "nan", "inf", "1e9", "", "two"] {
            refused(&mut config, "hook_timeout", value);
        }
        for (name, value) in [
            ("limit_memory", "1"),
            ("limit_memory", "-5"),
            ("nice", "20"),
            ("spare", "2"),
            ("when_away", "open"),
            ("restart_limit", "1001"),
            ("log_level", "6"),
            ("metrics", "localhost"),
            ("metrics", "127.0.0.1"),
            ("metrics", "9111"),
        ] {
            assert!(refused(&mut config, name, value).contains(value), "{name}");
        }
        assert!(refused(&mut config, "colour", "red").contains("hook_timeout, kill_timeout"));
        assert_eq!(config.hook_timeout, Duration::from_secs(2));
        assert_eq!(config.limits.memory, None);
    }

    #[test]
    fn a_script_may_have_its_own() {
        let config = Config {
            limits: super::super::Limits { nice: Some(3), ..Default::default() },
            ..Config::default()
        };
        let mut own = Overrides::default();
        let mut set = |name: &str, value: &str| {
            find(name).and_then(|option| option.set_for_script(&config, &mut own, value.as_bytes()))
        };
        set("hook_timeout", "5").unwrap();
        set("limit_memory", "100").unwrap();
        assert_eq!(set("spare", "0"), Err(OptionError::NotForScripts { name: "spare" }));
        let mut effective = config.clone();
        own.apply(&mut effective);
        assert_eq!(effective.hook_timeout, Duration::from_secs(5));
        assert_eq!(effective.kill_timeout, config.kill_timeout);
        assert_eq!(effective.limits.memory, Some(100 << 20));
        assert_eq!(effective.limits.nice, Some(3), "what was not set stays the hub's");
    }
}
