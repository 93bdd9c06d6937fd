//! The configuration in a data folder, from outside of the hub, whether it runs or not; what the
//! variables are is in `settings`, how a running hub changes one, in `configuration`.

use std::path::{Path, PathBuf};

use super::configuration::CONFIG;
use super::data_folder::{DatabaseError, FILE};
use super::database::Database;
use super::options::{charset_of, read_settings};
use super::settings::{Kind, SettingError, Settings, canonical, setting, settings};
use super::text::Charset;
use super::{HubError, Options};

/// Why a variable was not read or changed. The text tells an operator what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoredConfigurationError {
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A query failed.
    #[error("nothing was changed: the database says: {0}")]
    Query(#[from] rusqlite::Error),
    /// What is stored cannot be used.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// There is no such variable.
    #[error("there is no variable {name}{}", near(.like))]
    #[allow(missing_docs, reason = "what was asked for, and names like it")]
    Unknown { name: String, like: Vec<&'static str> },
    /// The value is none of that variable's.
    #[error("nothing was changed: {name}: {reason}")]
    #[allow(missing_docs, reason = "which variable, and what is wrong")]
    Value { name: &'static str, reason: String },
}

fn near(like: &[&'static str]) -> String {
    match like {
        [] => "; vhpy config list shows all".into(),
        like => format!("; did you mean {}?", like.join(", ")),
    }
}

/// A variable and what it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// What values it takes.
    pub kind: Kind,
    /// What it means.
    pub meaning: &'static str,
    /// The value that holds at the hub's next start, unless its command line says otherwise.
    pub value: String,
    /// What it is when nobody has changed it.
    pub default: String,
}

impl Variable {
    /// Whether it was changed.
    pub fn is_changed(&self) -> bool {
        self.value != self.default
    }
}

/// The configuration that is kept in a data folder.
pub struct StoredConfiguration {
    data: PathBuf,
    /// None before something is changed in a folder that has never been used.
    database: Option<Database>,
    settings: Settings,
    charset: Charset,
}

impl StoredConfiguration {
    /// Opens a data folder, also while a hub runs there. One that has never been used has the
    /// defaults, and is made by the first change.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub fn open(data: &Path) -> Result<StoredConfiguration, StoredConfigurationError> {
        let is_used = data.join(FILE).is_file();
        let database = is_used.then(|| Database::open_beside(data)).transpose()?;
        let settings = match &database {
            Some(database) => read_settings(database, &Options::new(data))?,
            None => Settings::default(),
        };
        let charset = charset_of(&settings)?;
        Ok(StoredConfiguration { data: data.into(), database, settings, charset })
    }

    /// All variables, as the manual lists them.
    pub fn variables(&self) -> Vec<Variable> {
        settings().map(|setting| self.variable_of(setting.name, setting.kind, setting.meaning)).collect()
    }

    /// One variable.
    ///
    /// # Errors
    /// There is none of this name; the text names some like it.
    pub fn variable(&self, name: &str) -> Result<Variable, StoredConfigurationError> {
        let row = setting(canonical(name)).ok_or_else(|| unknown(name))?;
        Ok(self.variable_of(row.name, row.kind, row.meaning))
    }

    fn variable_of(&self, name: &'static str, kind: Kind, meaning: &'static str) -> Variable {
        let text = |settings: &Settings| self.charset.decode(&settings.get(name).unwrap_or_default());
        Variable { name, kind, meaning, value: text(&self.settings), default: text(&Settings::default()) }
    }

    /// Changes a variable; `None` makes it what it is by default. A running hub takes it over
    /// when it reads its configuration again.
    ///
    /// # Errors
    /// There is none of this name, or this is no value of it; nothing was changed then.
    pub fn set(&mut self, name: &str, value: Option<&str>) -> Result<Variable, StoredConfigurationError> {
        let row = setting(canonical(name)).ok_or_else(|| unknown(name))?;
        let refused = |reason: String| StoredConfigurationError::Value { name: row.name, reason };
        let mut tried = self.settings.clone();
        let value = match value {
            Some(value) => self.charset.encode(value),
            None => Settings::default().get(row.name).unwrap_or_default(),
        };
        tried.set(row.name, &value).map_err(|error: SettingError| refused(error.to_string()))?;
        check(&tried).map_err(|reason| refused(reason.into()))?;
        let new = tried.get(row.name).unwrap_or_default();
        let database = match self.database.take() {
            Some(database) => database,
            None => Database::open(&self.data)?,
        };
        let stored = database.set_setup(CONFIG, row.name.as_bytes(), &new);
        self.database = Some(database);
        stored?;
        self.settings = tried;
        Ok(self.variable_of(row.name, row.kind, row.meaning))
    }
}

/// What no single variable tells.
fn check(settings: &Settings) -> Result<(), &'static str> {
    if Charset::named(&String::from_utf8_lossy(&settings.hub_encoding)).is_none() {
        return Err("there is no such encoding; try utf-8, cp1251, cp1252, iso-8859-2 or gbk");
    }
    let (bot, chat) = (&settings.hub_security, &settings.opchat_name);
    if bot.is_empty() || bot.eq_ignore_ascii_case(chat) {
        return Err("the hub's bot and the operators' chat need two different nicks");
    }
    Ok(())
}

fn unknown(name: &str) -> StoredConfigurationError {
    let is_like = |other: &str| strsim::damerau_levenshtein(name, other) <= 2 || other.contains(name);
    let like = settings().map(|setting| setting.name).filter(|other| is_like(other));
    StoredConfigurationError::Unknown { name: name.into(), like: like.take(5).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_is_there_for_the_hub() {
        let data = tempfile::tempdir().unwrap();
        let mut stored = StoredConfiguration::open(data.path()).unwrap();
        assert!(stored.variables().iter().all(|variable| !variable.is_changed()));
        assert_eq!(stored.set("hub_encoding", Some("cp1251")).unwrap().value, "cp1251");
        drop(stored);
        let mut stored = StoredConfiguration::open(data.path()).unwrap();
        stored.set("hub_name", Some("Хаб")).unwrap();
        stored.set("hook_timeout", Some("5")).unwrap();
        drop(stored);
        let database = Database::open(data.path()).unwrap();
        let settings = read_settings(&database, &Options::new(data.path())).unwrap();
        assert_eq!(settings.hub_name, b"\xd5\xe0\xe1");
        assert_eq!(settings.get("hook_timeout").unwrap(), b"5");
        drop(database);
        let mut stored = StoredConfiguration::open(data.path()).unwrap();
        assert_eq!(stored.variable("hub_name").unwrap().value, "Хаб");
        assert!(!stored.set("hub_name", None).unwrap().is_changed());
    }

    #[test]
    fn to_look_makes_nothing() {
        let data = tempfile::tempdir().unwrap();
        let folder = data.path().join("mistyped");
        let mut stored = StoredConfiguration::open(&folder).unwrap();
        assert!(stored.variables().iter().all(|variable| !variable.is_changed()));
        assert!(stored.set("max_users", Some("many")).is_err());
        assert!(!folder.exists());
        stored.set("max_users", Some("7")).unwrap();
        drop(stored);
        assert_eq!(StoredConfiguration::open(&folder).unwrap().variable("max_users").unwrap().value, "7");
    }

    #[test]
    fn wrong_names_and_values_change_nothing() {
        let data = tempfile::tempdir().unwrap();
        let mut stored = StoredConfiguration::open(data.path()).unwrap();
        let before = stored.variables();
        for (name, value, reason) in [
            ("users", "1", "did you mean max_users"),
            ("max_userz", "1", "did you mean max_users?"),
            ("klingons", "1", "no variable klingons; vhpy config list"),
            ("max_users", "many", "max_users: give a whole number"),
            ("hub_encoding", "klingon", "no such encoding"),
            ("hub_security", "opchat", "two different nicks"),
            ("timeout_login", "0", "at least 1"),
        ] {
            let error = stored.set(name, Some(value)).unwrap_err().to_string();
            assert!(error.contains(reason), "{name}: {error}");
        }
        assert_eq!(stored.variables(), before);
    }
}
