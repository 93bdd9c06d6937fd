//! Queries of scripts on the hub's database, in the dialect that they were written for; what
//! is in the hub's own tables is left to `database` and `bans`.
//!
//! They run on a connection of their own ([`guard`]), which says what they may do. Each query
//! stands for itself: `begin`, `commit` and the like do nothing, since a script that died within
//! a transaction would take the hub's own writes with it.

mod dialect;
mod guard;

use std::path::Path;

use rusqlite::{Connection, params_from_iter};

use super::database::{FILE, Text, bytes_of};
use super::text::Charset;
use dialect::{Translated, translate};
use guard::Guarded;

/// How many rows a query gives when it asks for none.
const DEFAULT_ROWS: usize = 100;

/// How many bytes all rows together may have.
const MOST_BYTES: usize = 16 << 20;

/// The rows of a result; NULL is `None`.
pub type Rows = Vec<Vec<Option<Vec<u8>>>>;

/// Why a query gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum SqlError {
    /// SQLite's own reason.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
    /// Not for scripts.
    #[error("`{0}` is not for scripts: it would change how the hub itself keeps its data")]
    NotForScripts(String),
    /// The query is too long.
    #[error("the query has more than {} MiB", guard::LONGEST_VALUE >> 20)]
    TooLarge,
    /// The rows are too many.
    #[error("the rows have more than {} MiB; select fewer, or fewer columns", MOST_BYTES >> 20)]
    TooMuch,
    /// The query took too long.
    #[error("the query was stopped after {} seconds; the hub waits for each", guard::LONGEST.as_secs())]
    TooLong,
    /// The query needed too much memory.
    #[error("the query needs more memory than one may have; select less at a time")]
    TooMuchMemory,
}

impl SqlError {
    fn is_out_of_memory(&self) -> bool {
        matches!(self, SqlError::Sqlite(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OutOfMemory))
    }
}

/// The database as scripts have it.
#[derive(Debug)]
pub struct Sql {
    guarded: Guarded,
}

impl Sql {
    /// Opens the database of a data folder, which the hub has made.
    pub fn open(folder: &Path) -> rusqlite::Result<Sql> {
        Ok(Sql { guarded: Guarded::open(&folder.join(FILE))? })
    }

    /// Runs a query and gives at most so many rows. `charset` is what its text is in.
    pub fn query(&self, query: &[u8], limit: i64, charset: Charset) -> Result<Rows, SqlError> {
        if query.len() > guard::LONGEST_VALUE {
            return Err(SqlError::TooLarge);
        }
        let translated = translate(query, charset);
        let first = translated.words.first().map(String::as_str).unwrap_or_default();
        if matches!(
            first,
            "" | "begin"
                | "commit"
                | "rollback"
                | "savepoint"
                | "release"
                | "start"
                | "set"
                | "lock"
                | "unlock"
        ) {
            return Ok(Rows::new());
        }
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(DEFAULT_ROWS);
        self.guarded.run(|connection| rows(connection, &translated, limit))
    }
}

fn rows(connection: &Connection, query: &Translated, limit: usize) -> Result<Rows, SqlError> {
    let mut statement = connection.prepare_cached(&query.text)?;
    let columns = statement.column_count();
    let mut found = statement.query(params_from_iter(query.strings.iter().map(|text| Text(text))))?;
    let mut rows = Rows::new();
    let mut bytes = 0;
    // Also a statement without a result is stepped through here.
    while rows.len() < limit
        && let Some(row) = found.next()?
    {
        let mut values = Vec::with_capacity(columns);
        for at in 0..columns {
            let value = bytes_of(row.get_ref(at)?);
            bytes += value.as_ref().map_or(0, Vec::len) + 32;
            if bytes > MOST_BYTES {
                return Err(SqlError::TooMuch);
            }
            values.push(value);
        }
        rows.push(values);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::super::database::Database;
    use super::*;

    fn database() -> (tempfile::TempDir, Database, Sql) {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(folder.path()).unwrap();
        let sql = Sql::open(folder.path()).unwrap();
        (folder, database, sql)
    }

    fn text(value: &str) -> Option<Vec<u8>> {
        Some(value.into())
    }

    #[test]
    fn queries_of_mysql_scripts_run() {
        let (_folder, _database, sql) = database();
        for query in [
            "CREATE TABLE IF NOT EXISTS `pi_test` (`id` bigint(20) unsigned not null auto_increment primary key, \
             `nick` varchar(128) not null default '', `points` int(11)) engine = myisam default character set utf8",
            "insert into `pi_test` (`nick`, `points`) values ('it\\'s', 1), (\"say \\\"hi\\\"\", 2)",
            "insert ignore into pi_test (id, nick) values (1, 'again')",
            "begin",
            "update `pi_test` set `points` = unix_timestamp() where `nick` = 'it''s'; ",
        ] {
            assert_eq!(sql.query(query.as_bytes(), 0, Charset::UTF_8).unwrap(), Rows::new(), "{query}");
        }
        let rows = sql
            .query(b"select `id`, nick, points > 1600000000 from `pi_test` order by id", 0, Charset::UTF_8)
            .unwrap();
        assert_eq!(rows, [[text("1"), text("it's"), text("1")], [text("2"), text("say \"hi\""), text("0")],]);
        assert_eq!(sql.query(b"select id from pi_test", 1, Charset::UTF_8).unwrap().len(), 1);
        assert_eq!(sql.query(b"select null", 1, Charset::UTF_8).unwrap(), [[None]]);
        assert!(sql.query(b"show tables", 0, Charset::UTF_8).unwrap().contains(&vec![text("reglist")]));
        sql.query(b"truncate table `pi_test`", 0, Charset::UTF_8).unwrap();
        assert_eq!(sql.query(b"select * from pi_test", 0, Charset::UTF_8).unwrap(), Rows::new());
    }

    #[test]
    fn bytes_of_any_encoding_survive() {
        let (_folder, _database, sql) = database();
        sql.query(b"create table pi_x (t text)", 0, Charset::UTF_8).unwrap();
        sql.query(b"insert into pi_x values ('\xff\\'\xfe')", 0, Charset::UTF_8).unwrap();
        assert_eq!(
            sql.query(b"select t from pi_x where t = '\xff\\'\xfe'", 0, Charset::UTF_8).unwrap(),
            [[Some(b"\xff'\xfe".to_vec())]]
        );
    }

    #[test]
    fn a_character_of_two_bytes_can_end_in_a_backslash() {
        let (_folder, _database, sql) = database();
        let gbk = Charset::named("gbk").unwrap();
        let rows = sql.query(b"select '\x81\x5c', 'it\\'s'", 9, gbk).unwrap();
        assert_eq!(rows, [[Some(b"\x81\x5c".to_vec()), text("it's")]]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let (_folder, _database, sql) = database();
        for query in [
            "select",
            "selec 1",
            "select * from nowhere",
            "attach database 'x' as y",
            "select 1; select 2",
            "select 'open",
        ] {
            if let Ok(rows) = sql.query(query.as_bytes(), 0, Charset::UTF_8) {
                assert_eq!(query, "select 'open", "{rows:?}");
            }
        }
    }

    #[test]
    fn an_endless_query_ends() {
        let (_folder, _database, sql) = database();
        let endless =
            b"with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n";
        assert!(sql.query(endless, 0, Charset::UTF_8).is_err());
        assert_eq!(sql.query(b"select 1", 0, Charset::UTF_8).unwrap().len(), 1);
    }
}
