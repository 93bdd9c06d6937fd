//! What is done to a hub's data from outside of the hub, whether it runs or not: a new password
//! for an account.

use std::path::{Path, PathBuf};

use super::background::{hash_password, random_password};
use super::data_folder::{DatabaseError, FILE};
use super::database::Database;
use super::options::{charset_of, read_settings};
use super::text::Charset;
use super::{Class, HubError, Options};

/// Why nothing was done. The text tells an operator what to do.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// There is no hub's data.
    #[error("there is no {FILE} in {0}; give the data folder of a hub with --data")]
    NoData(PathBuf),
    /// The database.
    #[error(transparent)]
    Database(#[from] DatabaseError),
    /// A query failed.
    #[error("nothing was changed: the database says: {0}")]
    Query(#[from] rusqlite::Error),
    /// The configuration cannot be used.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// It is not clear whose password is meant.
    #[error("say whose password, such as `vhpy passwd NICK`; {}", operators(.0))]
    Which(Vec<String>),
    /// There is no such account.
    #[error("{nick} is not registered; {}", operators(.there))]
    #[allow(missing_docs, reason = "the nick that was looked for, and the operators that there are")]
    NotRegistered { nick: String, there: Vec<String> },
    /// The password is too short.
    #[error("nothing was changed: a password must have at least {0} bytes")]
    ShortPassword(i64),
    /// There is no randomness.
    #[error("cannot make a password: {0}")]
    Random(#[from] std::io::Error),
}

fn operators(nicks: &[String]) -> String {
    match nicks {
        [] => "no operators are registered".into(),
        nicks => format!("registered operators: {}", nicks.join(", ")),
    }
}

/// The accounts in a hub's data folder. A hub that runs there sees what is changed at the next
/// login.
pub struct Accounts {
    database: Database,
    charset: Charset,
    shortest_password: i64,
}

impl Accounts {
    /// Opens a hub's data folder.
    ///
    /// # Errors
    /// When there is no database, or it cannot be used.
    pub fn open(data: &Path) -> Result<Accounts, UpkeepError> {
        if !data.join(FILE).is_file() {
            return Err(UpkeepError::NoData(data.into()));
        }
        let database = Database::open_beside(data)?;
        let settings = read_settings(&database, &Options::new(data))?;
        let charset = charset_of(&settings)?;
        Ok(Accounts { database, charset, shortest_password: settings.password_min_len })
    }

    /// The nick of an account as it is registered: this one, or the only master.
    ///
    /// # Errors
    /// When there is none, or more than one master and no nick.
    pub fn find(&self, nick: Option<&str>) -> Result<String, UpkeepError> {
        let readable = |nicks: Vec<Vec<u8>>| -> Vec<String> {
            nicks.iter().map(|nick| self.charset.decode(nick)).collect()
        };
        let operators = || Ok::<_, UpkeepError>(readable(self.database.nicks_from_class(Class::Operator)?));
        let Some(nick) = nick else {
            let masters = readable(self.database.nicks_from_class(Class::Master)?);
            return match <[String; 1]>::try_from(masters) {
                Ok([master]) => Ok(master),
                Err(_) => Err(UpkeepError::Which(operators()?)),
            };
        };
        match self.database.account(&self.charset.encode(nick))? {
            Some(account) => Ok(self.charset.decode(&account.nick)),
            None => Err(UpkeepError::NotRegistered { nick: nick.into(), there: operators()? }),
        }
    }

    /// Sets a password.
    ///
    /// # Errors
    /// When it is too short, the account is gone, or it cannot be stored.
    pub fn set_password(&self, nick: &str, password: &str) -> Result<(), UpkeepError> {
        let password = self.charset.encode(password);
        if i64::try_from(password.len()).is_ok_and(|length| length < self.shortest_password) {
            return Err(UpkeepError::ShortPassword(self.shortest_password));
        }
        let hash = hash_password(&password)
            .ok_or_else(|| UpkeepError::Random(std::io::Error::other("hashing failed; see the log")))?;
        match self.database.set_account_password(&self.charset.encode(nick), &hash)? {
            true => Ok(()),
            false => Err(UpkeepError::NotRegistered { nick: nick.into(), there: Vec::new() }),
        }
    }

    /// Sets a password that nobody has thought of, and gives it.
    ///
    /// # Errors
    /// As [`Accounts::set_password`].
    pub fn set_random_password(&self, nick: &str) -> Result<String, UpkeepError> {
        let password = random_password()?;
        self.set_password(nick, &password)?;
        Ok(password)
    }
}
