//! What the hub keeps on disk: accounts, configuration, kicks, restrictions; bans and scripts'
//! own queries are in `bans` and `sql`, which use the same file.
//!
//! Tables and columns are Verlihub's, so that scripts' queries find them. Text is stored as the
//! bytes that clients sent, in the hub's encoding.

use std::fs::File;
use std::path::{Path, PathBuf};

use nix::fcntl::Flock;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::class::Class;
use super::data_folder::{DatabaseError, FILE, lock};
use super::pattern::Pattern;
use crate::private_files;

const SCHEMA: &str = "
create table if not exists SetupList (
    file varchar(30) not null, var varchar(50) not null, val text, primary key (file, var));
create table if not exists reglist (
    nick varchar(128) not null collate nocase primary key,
    class int(2) default 1, class_protect int(2) default 0, class_hidekick int(2) default 0,
    hide_kick tinyint(1) default 0, hide_keys tinyint(1) default 0, show_keys tinyint(1) default 0,
    hide_share tinyint(1) default 0, hide_chat tinyint(1) default 0, hide_ctmmsg tinyint(1) default 0,
    reg_date int(11), reg_op varchar(64), pwd_change tinyint(1) default 1,
    pwd_crypt tinyint(1) default 1, login_pwd varchar(255), login_last int(11) default 0,
    logout_last int(11) default 0, login_cnt int(11) default 0, login_ip varchar(45),
    error_last int(11), error_cnt int(11) default 0, error_ip varchar(45),
    enabled tinyint(1) default 1, note_op varchar(255), note_usr varchar(255),
    auth_ip varchar(45), alternate_ip varchar(45), fake_ip varchar(45));
create table if not exists banlist (
    ip varchar(45) not null default '', nick varchar(128) not null default '' collate nocase,
    ban_type tinyint(4) default 0, host varchar(255), range_fr bigint(32), range_to bigint(32),
    date_start int(11) default 0, date_limit int(11), last_hit int(11), nick_op varchar(128),
    reason varchar(255), note_op varchar(255), note_usr varchar(255), share_size varchar(18),
    primary key (ip, nick));
create index if not exists nick_index on banlist (nick);
create index if not exists date_index on banlist (date_limit);
create index if not exists range_index on banlist (range_fr);
create table if not exists unbanlist (
    ip varchar(45) not null default '', nick varchar(128) not null default '' collate nocase,
    ban_type tinyint(4) default 0, host varchar(255), range_fr bigint(32), range_to bigint(32),
    date_start int(11) default 0, date_limit int(11), last_hit int(11), nick_op varchar(128),
    reason varchar(255), note_op varchar(255), note_usr varchar(255), share_size varchar(18),
    date_unban int(11) not null, unban_op varchar(128), unban_reason varchar(255),
    primary key (ip, nick, date_unban));
create table if not exists kicklist (
    nick varchar(128) not null collate nocase, time int(11) not null, ip varchar(45),
    host varchar(255), share_size varchar(18), reason varchar(255), op varchar(128) not null,
    is_drop tinyint(1), primary key (nick, time));
create table if not exists temp_rights (
    nick varchar(128) not null collate nocase primary key, op varchar(128), since int(11),
    st_chat int(11) default 1, st_search int(11) default 1, st_ctm int(11) default 1,
    st_pm int(11) default 1, st_kick int(11) default 1, st_share0 int(11) default 1,
    st_reg int(11) default 1, st_opchat int(11) default 1);
create table if not exists login_addresses (
    nick varchar(128) not null collate nocase, network varchar(45) not null, last int(11) not null,
    primary key (nick, network));
create table if not exists vhpy_audit (
    number integer primary key autoincrement, time int(11) not null, op varchar(128) not null,
    what varchar(64) not null, whom varchar(255) not null, detail varchar(255) not null);
";

/// The hub's database. Statements take well under a millisecond: a write waits for no disk.
pub struct Database {
    pub(super) connection: Connection,
    /// Held for as long as a hub uses the data folder.
    _lock: Option<Flock<File>>,
}

/// Bytes in the hub's encoding, stored as text.
pub(super) struct Text<'a>(pub &'a [u8]);

impl ToSql for Text<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

/// A column as the bytes of a text; NULL is empty.
pub(super) fn column(row: &Row<'_>, at: usize) -> rusqlite::Result<Vec<u8>> {
    Ok(bytes_of(row.get_ref(at)?).unwrap_or_default())
}

/// A value as the bytes of a text.
pub(super) fn bytes_of(value: ValueRef<'_>) -> Option<Vec<u8>> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string().into_bytes()),
        ValueRef::Real(number) => Some(number.to_string().into_bytes()),
        ValueRef::Text(text) => Some(text.to_vec()),
        ValueRef::Blob(bytes) => Some(bytes.to_vec()),
    }
}

/// An account in a list.
#[derive(Debug, PartialEq)]
pub struct ListedAccount {
    /// The nick.
    pub nick: Vec<u8>,
    /// The class, as it is stored.
    pub class: i64,
    /// Who registered it; empty when unknown.
    pub op: Vec<u8>,
    /// When somebody logged in with it last, in seconds since the epoch; 0 is never.
    pub last_login: i64,
    /// Whether it may be used.
    pub enabled: bool,
}

/// A registered user.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// As it was registered.
    pub nick: Vec<u8>,
    /// The class it logs in with.
    pub class: i64,
    /// Whether a password is still to be set by the user.
    pub pwd_change: bool,
    /// How `login_pwd` is stored.
    pub stored: Stored,
    /// The password's hash.
    pub login_pwd: Vec<u8>,
    /// Whether it can log in.
    pub enabled: bool,
    /// The only address it may come from; empty for any.
    pub auth_ip: Vec<u8>,
    /// Whether it is not shown as an operator.
    pub hide_keys: bool,
}

/// How a password is stored: the column `pwd_crypt`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stored {
    /// As it is: only where somebody wrote it into the database by hand. Replaced at login.
    Plain,
    /// An argon2 hash.
    #[default]
    Argon2,
    /// Something that this hub cannot check.
    Unknown,
}

const STORED_PLAIN: i64 = 0;
const STORED_ARGON2: i64 = 3;

/// Until when a user may not do something, in seconds since the epoch; 1 is never restricted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Restrictions {
    /// Main chat.
    pub chat: i64,
    /// Private messages.
    pub pm: i64,
    /// Searches.
    pub search: i64,
    /// Downloads.
    pub ctm: i64,
}

impl Default for Restrictions {
    fn default() -> Restrictions {
        Restrictions { chat: 1, pm: 1, search: 1, ctm: 1 }
    }
}

/// A kick, for the list of kicks.
#[derive(Debug)]
#[allow(missing_docs, reason = "named as the table's columns")]
pub struct Kick<'a> {
    pub nick: &'a [u8],
    pub time: i64,
    pub ip: &'a [u8],
    pub host: &'a [u8],
    pub share_size: u64,
    pub reason: &'a [u8],
    pub op: &'a [u8],
    pub is_drop: bool,
}

impl Database {
    /// Opens the database of a data folder, and makes both if they are missing.
    pub fn open(folder: &Path) -> Result<Database, DatabaseError> {
        let lock = lock(folder)?;
        let in_folder = |error| DatabaseError::Folder(folder.to_path_buf(), error);
        super::backup::finish_interrupted(folder).map_err(in_folder)?;
        Database::connect(&folder.join(FILE), Some(lock))
    }

    /// Opens the database of a data folder, which must be there, also while a hub uses it: for
    /// what is short, and needs nothing that the hub has in memory.
    pub fn open_beside(folder: &Path) -> Result<Database, DatabaseError> {
        Database::connect(&folder.join(FILE), None)
    }

    fn connect(path: &Path, lock: Option<Flock<File>>) -> Result<Database, DatabaseError> {
        let explain = |error| explain(path, error);
        keep_private(path);
        let connection = Connection::open(path).map_err(explain)?;
        connection.busy_timeout(std::time::Duration::from_millis(200)).map_err(explain)?;
        // More than there are statements, so that none is compiled again and again.
        connection.set_prepared_statement_cache_capacity(64);
        if connection.is_readonly("main").map_err(explain)? {
            return Err(DatabaseError::ReadOnly(path.into()));
        }
        let check: String =
            connection.query_row("pragma quick_check(1)", [], |row| row.get(0)).map_err(explain)?;
        if check != "ok" {
            return Err(DatabaseError::Damaged(path.into(), check));
        }
        connection
            .execute_batch(
                "pragma journal_mode = wal; pragma synchronous = normal; pragma foreign_keys = off;",
            )
            .map_err(explain)?;
        // Written each time, so that a database that cannot be is found out now.
        connection
            .execute_batch(&format!("begin immediate; {SCHEMA} pragma user_version = 1; commit;"))
            .map_err(explain)?;
        Ok(Database { connection, _lock: lock })
    }

    /// All variables that were changed in one configuration.
    pub fn setup_all(&self, file: &[u8]) -> rusqlite::Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let mut statement =
            self.connection.prepare_cached("select var, val from SetupList where file = ?")?;
        let rows = statement.query_map([Text(file)], |row| Ok((column(row, 0)?, column(row, 1)?)))?;
        rows.collect()
    }

    /// A variable of a configuration.
    pub fn setup(&self, file: &[u8], var: &[u8]) -> rusqlite::Result<Option<Vec<u8>>> {
        let mut statement =
            self.connection.prepare_cached("select val from SetupList where file = ? and var = ?")?;
        statement.query_row([Text(file), Text(var)], |row| column(row, 0)).optional()
    }

    /// Changes a variable of a configuration.
    pub fn set_setup(&self, file: &[u8], var: &[u8], val: &[u8]) -> rusqlite::Result<()> {
        let mut statement =
            self.connection.prepare_cached("replace into SetupList (file, var, val) values (?, ?, ?)")?;
        statement.execute([Text(file), Text(var), Text(val)])?;
        Ok(())
    }

    /// The nicks that are registered with this class or a higher one.
    pub fn nicks_from_class(&self, least: Class) -> rusqlite::Result<Vec<Vec<u8>>> {
        let mut statement =
            self.connection.prepare_cached("select nick from reglist where class >= ? order by nick")?;
        let rows = statement.query_map([least.number()], |row| column(row, 0))?;
        rows.collect()
    }

    /// The accounts that are meant, the highest class first, and whether there are more.
    pub fn list_accounts(
        &self,
        pattern: &Pattern,
        most: usize,
    ) -> rusqlite::Result<(Vec<ListedAccount>, bool)> {
        let mut statement = self.connection.prepare_cached(
            "select nick, ifnull(class, 0), reg_op, ifnull(login_last, 0), ifnull(enabled, 1) from reglist
             order by class desc, nick",
        )?;
        let mut rows = statement.query([])?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let nick = column(row, 0)?;
            if !pattern.is_match(&nick) {
                continue;
            }
            if found.len() == most {
                return Ok((found, true));
            }
            found.push(ListedAccount {
                nick,
                class: row.get(1)?,
                op: column(row, 2)?,
                last_login: row.get(3)?,
                enabled: row.get(4)?,
            });
        }
        Ok((found, false))
    }

    /// How many users are registered.
    pub fn accounts(&self) -> rusqlite::Result<i64> {
        self.connection.query_row("select count(*) from reglist", [], |row| row.get(0))
    }

    /// A registered user.
    pub fn account(&self, nick: &[u8]) -> rusqlite::Result<Option<Account>> {
        let mut statement = self.connection.prepare_cached(
            "select nick, class, pwd_change, pwd_crypt, login_pwd, enabled, auth_ip, hide_keys
             from reglist where nick = ?",
        )?;
        let read = |row: &Row<'_>| {
            let flag = |at| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.unwrap_or(0) != 0);
            Ok(Account {
                nick: column(row, 0)?,
                class: row.get::<_, Option<i64>>(1)?.unwrap_or(1),
                pwd_change: flag(2)?,
                stored: match row.get::<_, Option<i64>>(3)? {
                    Some(STORED_PLAIN) => Stored::Plain,
                    Some(STORED_ARGON2) => Stored::Argon2,
                    _ => Stored::Unknown,
                },
                login_pwd: column(row, 4)?,
                enabled: flag(5)?,
                auth_ip: column(row, 6)?,
                hide_keys: flag(7)?,
            })
        };
        statement.query_row([Text(nick)], read).optional()
    }

    /// Registers a user; `hash` is empty when there is no password yet, and `pwd_change` says
    /// whether the user is to set one. False when the nick is registered already.
    pub fn add_account(
        &self,
        nick: &[u8],
        class: i64,
        hash: &str,
        pwd_change: bool,
        op: &[u8],
        now: i64,
    ) -> rusqlite::Result<bool> {
        let mut statement = self.connection.prepare_cached(
            "insert or ignore into reglist (nick, class, reg_date, reg_op, pwd_change, pwd_crypt, login_pwd)
             values (?, ?, ?, ?, ?, ?, ?)",
        )?;
        let added =
            statement.execute(params![Text(nick), class, now, Text(op), pwd_change, STORED_ARGON2, hash])?;
        Ok(added > 0)
    }

    /// Removes a registration. False when there was none.
    pub fn remove_account(&self, nick: &[u8]) -> rusqlite::Result<bool> {
        Ok(self.connection.prepare_cached("delete from reglist where nick = ?")?.execute([Text(nick)])? > 0)
    }

    /// Changes a registered user's class. False when the nick is not registered.
    pub fn set_account_class(&self, nick: &[u8], class: i64) -> rusqlite::Result<bool> {
        let mut statement = self.connection.prepare_cached("update reglist set class = ? where nick = ?")?;
        Ok(statement.execute(params![class, Text(nick)])? > 0)
    }

    /// Changes a registered user's password. False when the nick is not registered.
    pub fn set_account_password(&self, nick: &[u8], hash: &str) -> rusqlite::Result<bool> {
        let mut statement = self.connection.prepare_cached(
            "update reglist set login_pwd = ?, pwd_crypt = ?, pwd_change = 0 where nick = ?",
        )?;
        Ok(statement.execute(params![hash, STORED_ARGON2, Text(nick)])? > 0)
    }

    /// Puts a hash in the place of a password that lay there as it is, if it still does.
    pub fn replace_plain_password(&self, nick: &[u8], plain: &[u8], hash: &str) -> rusqlite::Result<bool> {
        let mut statement = self.connection.prepare_cached(
            "update reglist set login_pwd = ?, pwd_crypt = ? where nick = ? and login_pwd = ?",
        )?;
        Ok(statement.execute(params![hash, STORED_ARGON2, Text(nick), Text(plain)])? > 0)
    }

    /// Notes that a registered user logged in.
    pub fn note_login(&self, nick: &[u8], ip: &[u8], now: i64) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "update reglist set login_last = ?, login_ip = ?, login_cnt = login_cnt + 1 where nick = ?",
        )?;
        statement.execute(params![now, Text(ip), Text(nick)])?;
        Ok(())
    }

    /// Notes that registered users left.
    pub fn note_logouts(&self, nicks: &[Vec<u8>], now: i64) -> rusqlite::Result<()> {
        let together = self.connection.unchecked_transaction()?;
        let mut statement = together.prepare_cached("update reglist set logout_last = ? where nick = ?")?;
        for nick in nicks {
            statement.execute(params![now, Text(nick)])?;
        }
        drop(statement);
        together.commit()
    }

    /// Notes a wrong password.
    pub fn note_login_error(&self, nick: &[u8], ip: &[u8], now: i64) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "update reglist set error_last = ?, error_ip = ?, error_cnt = error_cnt + 1 where nick = ?",
        )?;
        statement.execute(params![now, Text(ip), Text(nick)])?;
        Ok(())
    }

    /// What a user may not do.
    pub fn restrictions(&self, nick: &[u8]) -> rusqlite::Result<Restrictions> {
        let mut statement = self
            .connection
            .prepare_cached("select st_chat, st_pm, st_search, st_ctm from temp_rights where nick = ?")?;
        let read = |row: &Row<'_>| {
            let until = |at| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.unwrap_or(1));
            Ok(Restrictions { chat: until(0)?, pm: until(1)?, search: until(2)?, ctm: until(3)? })
        };
        Ok(statement.query_row([Text(nick)], read).optional()?.unwrap_or_default())
    }

    /// Changes what a user may not do.
    pub fn set_restrictions(
        &self,
        nick: &[u8],
        to: Restrictions,
        op: &[u8],
        now: i64,
    ) -> rusqlite::Result<()> {
        if to == Restrictions::default() {
            self.connection
                .prepare_cached("delete from temp_rights where nick = ?")?
                .execute([Text(nick)])?;
            return Ok(());
        }
        let mut statement = self.connection.prepare_cached(
            "insert into temp_rights (nick, op, since, st_chat, st_pm, st_search, st_ctm)
             values (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             on conflict (nick) do update set op = ?2, since = ?3, st_chat = ?4, st_pm = ?5,
             st_search = ?6, st_ctm = ?7",
        )?;
        statement.execute(params![Text(nick), Text(op), now, to.chat, to.pm, to.search, to.ctm])?;
        Ok(())
    }

    /// Adds to the list of kicks.
    pub fn add_kick(&self, kick: &Kick<'_>) -> rusqlite::Result<()> {
        let mut statement = self.connection.prepare_cached(
            "replace into kicklist (nick, time, ip, host, share_size, reason, op, is_drop)
             values (?, ?, ?, ?, ?, ?, ?, ?)",
        )?;
        statement.execute(params![
            Text(kick.nick),
            kick.time,
            Text(kick.ip),
            Text(kick.host),
            kick.share_size.to_string(),
            Text(kick.reason),
            Text(kick.op),
            kick.is_drop
        ])?;
        Ok(())
    }
}

/// Makes the database's files their user's alone. SQLite makes those beside it with the same
/// permissions, and says what is wrong with it.
fn keep_private(database: &Path) {
    if let Ok(file) = private_files::options().create(true).truncate(false).write(true).open(database) {
        private_files::tighten(&file, database);
    }
    for more in ["-wal", "-shm"] {
        let mut beside = database.as_os_str().to_owned();
        beside.push(more);
        let beside = PathBuf::from(beside);
        if let Ok(file) = File::open(&beside) {
            private_files::tighten(&file, &beside);
        }
    }
}

fn explain(path: &Path, error: rusqlite::Error) -> DatabaseError {
    use rusqlite::ErrorCode::{CannotOpen, DatabaseCorrupt, NotADatabase, PermissionDenied, ReadOnly};
    match error.sqlite_error_code() {
        Some(ReadOnly | CannotOpen | PermissionDenied) => DatabaseError::ReadOnly(path.to_path_buf()),
        Some(DatabaseCorrupt | NotADatabase) => DatabaseError::Damaged(path.to_path_buf(), error.to_string()),
        _ => DatabaseError::Other(path.to_path_buf(), error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_are_found_in_any_case_and_any_encoding() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        assert!(database.add_account(b"J\xfcrgen", 3, "", true, b"Op", 7).unwrap());
        assert!(!database.add_account(b"j\xfcrgen", 1, "", true, b"Op", 7).unwrap());
        let account = database.account(b"j\xfcRGEN").unwrap().unwrap();
        assert_eq!(
            (account.nick.as_slice(), account.class, account.pwd_change),
            (&b"J\xfcrgen"[..], 3, true)
        );
        assert!(database.set_account_password(b"j\xfcrgen", "hash").unwrap());
        let account = database.account(b"j\xfcrgen").unwrap().unwrap();
        assert_eq!((account.login_pwd.as_slice(), account.stored), (&b"hash"[..], Stored::Argon2));
        assert!(database.remove_account(b"J\xfcrgen").unwrap());
        assert_eq!(database.account(b"J\xfcrgen").unwrap(), None);
    }

    #[test]
    fn what_was_written_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        database.set_setup(b"config", b"hub_name", b"a\xff").unwrap();
        let restricted = Restrictions { chat: 5000, ..Restrictions::default() };
        database.set_restrictions(b"Nick", restricted, b"op", 1).unwrap();
        assert!(matches!(Database::open(folder.path()), Err(DatabaseError::InUse(_))));
        drop(database);
        let database = Database::open(folder.path()).unwrap();
        assert_eq!(database.setup(b"config", b"hub_name").unwrap(), Some(b"a\xff".to_vec()));
        assert_eq!(database.restrictions(b"nick").unwrap(), restricted);
    }

    #[test]
    fn a_damaged_database_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let garbage = b"this is no database at all, but something of somebody's".repeat(100);
        std::fs::write(&path, &garbage).unwrap();
        assert!(matches!(Database::open(folder.path()), Err(DatabaseError::Damaged(..))));
        assert_eq!(std::fs::read(&path).unwrap(), garbage);
    }
}
