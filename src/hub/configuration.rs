//! Changes of configuration variables: who is asked, what is stored, what follows; the table of
//! variables is in `settings`.

use plugin_abi::{Hook, Value};

use super::connection::Supports;
use super::options::read_settings;
use super::protocol::{chat_text, shown_nick};
use super::settings::{Kind, SettingError, canonical, setting, settings};
use super::sql::is_of_verlihub;
use super::{Charset, ConnId, Hub};

/// The configuration that the hub itself reads; scripts keep theirs under other names.
pub(super) const CONFIG: &[u8] = b"config";

/// Why a variable was not changed. The text tells an operator what to do.
#[derive(Debug, PartialEq, thiserror::Error)]
pub(super) enum ConfigError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error("a script prevented the change")]
    Blocked,
    #[error("the hub's bot and the operators' chat need two different nicks that nobody has")]
    BotNick,
    #[error("there is no such encoding; try utf-8, cp1251, cp1252, iso-8859-2 or gbk")]
    Encoding,
    #[error("it could not be stored; see the log")]
    Database,
}

/// What a change came to.
#[derive(Debug, PartialEq)]
pub(super) struct Change {
    pub old: Vec<u8>,
    pub new: Vec<u8>,
}

impl Hub {
    /// Reads a variable.
    pub(super) fn get_config(&self, conf: &[u8], variable: &[u8]) -> Option<Vec<u8>> {
        if conf == CONFIG
            && let Some(value) = self.settings.get(canonical(&String::from_utf8_lossy(variable)))
        {
            return Some(value);
        }
        let found = self.database.setup(conf, variable);
        self.stored("reading a variable", found).flatten()
    }

    /// Changes a variable, unless a script prevents it. It is stored, and takes effect at once.
    pub(super) fn set_config(
        &mut self,
        nick: &[u8],
        from: Option<ConnId>,
        conf: &[u8],
        variable: &[u8],
        value: &[u8],
    ) -> Result<Change, ConfigError> {
        let name = String::from_utf8_lossy(variable).into_owned();
        let name = canonical(&name);
        let ours = conf == CONFIG && !is_of_verlihub(name);
        let (old, new, kind) = if ours {
            let row = setting(name).ok_or(SettingError::Unknown)?;
            let value = self.fitting(name, value)?;
            let mut tried = self.settings.clone();
            tried.set(name, &value)?;
            (self.settings.get(name).unwrap_or_default(), tried.get(name).unwrap_or_default(), row.kind)
        } else {
            (self.get_config(conf, variable).unwrap_or_default(), value.to_vec(), Kind::Text)
        };
        let args = [
            Value::text(nick),
            Value::text(conf),
            Value::text(if conf == CONFIG { name.as_bytes() } else { variable }),
            Value::text(&new),
            Value::text(&old),
            Value::Int(kind as i64),
        ];
        let verdict = match from {
            Some(id) => self.raise_for(id, Hook::OnSetConfig, &args),
            None => self.raise(Hook::OnSetConfig, &args),
        };
        if verdict.blocked {
            return Err(ConfigError::Blocked);
        }
        let variable = if conf == CONFIG { name.as_bytes() } else { variable };
        let stored = self.database.set_setup(conf, variable, &new);
        self.stored("storing a variable", stored).ok_or(ConfigError::Database)?;
        if ours {
            self.settings.set(name, &new)?;
            // What was on the command line holds no longer than until somebody changes it.
            self.options.settings.retain(|(overridden, _)| canonical(overridden) != name);
            self.has_changed(name);
        }
        Ok(Change { old, new })
    }

    /// A value as some variables need it.
    fn fitting(&self, name: &str, value: &[u8]) -> Result<Vec<u8>, ConfigError> {
        let other = match name {
            "hub_security" => &self.settings.opchat_name,
            "opchat_name" => &self.settings.hub_security,
            "hub_encoding" => {
                let known = Charset::named(&String::from_utf8_lossy(value)).is_some();
                return if known { Ok(value.to_vec()) } else { Err(ConfigError::Encoding) };
            }
            _ => return Ok(value.to_vec()),
        };
        if value.is_empty() && name == "opchat_name" {
            return Ok(Vec::new());
        }
        let nick = shown_nick(value).into_owned();
        let own = self.settings.get(name).unwrap_or_default();
        let taken = !nick.eq_ignore_ascii_case(&own) && self.online(&nick).is_some();
        if value.is_empty() || taken || nick.eq_ignore_ascii_case(other) {
            return Err(ConfigError::BotNick);
        }
        Ok(nick)
    }

    /// What follows from a change.
    fn has_changed(&mut self, name: &str) {
        match name {
            "hub_name" => {
                let message = self.hub_name_message();
                self.send_to_all(&[&message]);
            }
            "hub_topic" => {
                let message = self.hub_name_message();
                self.send_to_all(&[&message]);
                let topic = chat_text(&self.settings.hub_topic).into_owned();
                let message = [b"$HubTopic ", topic.as_slice(), b"|"].concat();
                self.send_to_some(|_, connection| connection.has(Supports::HUB_TOPIC), &[&message]);
            }
            "hub_security" | "opchat_name" | "hub_security_desc" | "opchat_desc" => {
                self.show_bots();
                let (bot, opchat) = (self.settings.hub_security.clone(), self.settings.opchat_name.clone());
                self.scripts.set_names(&bot, &opchat);
                let told = match name {
                    "hub_security" => Some(("_hub_security_change", bot)),
                    "opchat_name" => Some(("_opchat_name_change", opchat)),
                    _ => None,
                };
                if let Some((command, nick)) = told {
                    self.script_commands.push_back([command.into(), nick, Vec::new(), Vec::new()]);
                }
            }
            "mmdb_names_lang" => {
                let language = String::from_utf8_lossy(&self.settings.mmdb_names_lang).into_owned();
                self.geoip.set_language(&language);
            }
            "oplist_class" => {
                let list = self.op_list();
                self.send_to_all(&[&list]);
            }
            _ => self.scripts.configure(|config| self.settings.configure_scripts(config)),
        }
    }

    /// Changes a variable for somebody at the control socket: its new value, or why it has the old
    /// one. `None` when there is none of this name.
    pub(super) fn set_variable_of(&mut self, name: &str, value: &str) -> Option<Result<String, String>> {
        setting(canonical(name))?;
        let value = self.charset.encode(value);
        let changed = self.set_config(b"", None, CONFIG, name.as_bytes(), &value);
        Some(changed.map(|change| self.readable(&change.new)).map_err(|error| error.to_string()))
    }

    /// Reads the configuration from the database again, where somebody may have changed it.
    pub fn reload(&mut self) {
        match read_settings(&self.database, &self.options) {
            Ok(read) => {
                let old = std::mem::replace(&mut self.settings, read);
                let changed: Vec<&str> = settings()
                    .map(|setting| setting.name)
                    .filter(|name| old.get(name) != self.settings.get(name))
                    .collect();
                log::info!(
                    "configuration read again; changed: {}",
                    if changed.is_empty() { "nothing".into() } else { changed.join(", ") }
                );
                changed.into_iter().for_each(|name| self.has_changed(name));
            }
            Err(error) => log::error!("the configuration stays as it is: {error}"),
        }
    }
}
