//! The connection that scripts' queries run on: what they may do, how long, and with how much
//! memory; what the queries are is left to the rest of [`sql`](super).
//!
//! SQLite itself says what a statement does (its authorizer) and keeps the limits, so nothing
//! here looks at the text of a query. What the hub itself has to do on this connection for a
//! script, such as changing a table, runs within [`Guarded::trusted`].

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};
use rusqlite::limits::Limit;
use rusqlite::{Connection, ffi};

use super::SqlError;

/// How long one query may take.
pub const LONGEST: Duration = Duration::from_secs(2);

/// How many bytes a text, a row or a query may have.
pub const LONGEST_VALUE: usize = 4 << 20;

/// How many bytes SQLite may use for a query beyond what it uses already.
const MOST_MEMORY: i64 = 24 << 20;

/// How many of SQLite's instructions pass between two looks at the clock.
const INSTRUCTIONS: i32 = 1000;

/// The hub's own tables: scripts change what is in them, and nothing else.
pub const OWN_TABLES: &[&str] = &[
    "SetupList",
    "reglist",
    "banlist",
    "unbanlist",
    "kicklist",
    "temp_rights",
    "login_addresses",
    "vhpy_audit",
];

/// The table that holds what SQLite's schema does not (`catalog`).
pub const TABLES: &str = "vhpy_tables";

/// What queries may call besides our own functions. SQLite's `instr`, `replace`, `like` and the
/// like take time that is the product of their arguments' lengths, within which nobody looks at
/// the clock: they are not here.
const FUNCTIONS: &[&str] = &[
    "avg",
    "datetime",
    "coalesce",
    "count",
    "cume_dist",
    "dense_rank",
    "first_value",
    "glob",
    "iif",
    "lag",
    "last_value",
    "lead",
    "max",
    "min",
    "nth_value",
    "ntile",
    "percent_rank",
    "rank",
    "row_number",
    "substr",
    "sum",
];

/// When the query that runs has to end. Functions that work for long look at it too.
#[derive(Debug)]
pub struct Deadline {
    start: Instant,
    /// Nanoseconds after `start`.
    end: AtomicU64,
}

impl Deadline {
    fn set(&self, from_now: Duration) {
        let end = self.start.elapsed() + from_now;
        self.end.store(u64::try_from(end.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// Whether the query has to end now.
    pub fn is_over(&self) -> bool {
        self.start.elapsed().as_nanos() > u128::from(self.end.load(Ordering::Relaxed))
    }
}

/// What the authorizer, which SQLite calls, has in common with the connection's owner.
#[derive(Debug, Default)]
struct Rules {
    trusted: AtomicBool,
    refused: Mutex<Option<String>>,
}

/// A connection with rules and limits.
#[derive(Debug)]
pub struct Guarded {
    connection: Connection,
    rules: Arc<Rules>,
    deadline: Arc<Deadline>,
}

impl Guarded {
    /// Opens the database that the hub has made.
    pub fn open(path: &Path) -> rusqlite::Result<Guarded> {
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(Duration::from_millis(200))?;
        connection.execute_batch("pragma synchronous = normal; pragma foreign_keys = off")?;
        for (switch, on) in [
            (DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true),
            (DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_VIEW, false),
            (DbConfig::SQLITE_DBCONFIG_ENABLE_FTS3_TOKENIZER, false),
        ] {
            connection.set_db_config(switch, on)?;
        }
        let longest = i32::try_from(LONGEST_VALUE).unwrap_or(i32::MAX);
        for (limit, most) in [
            (Limit::SQLITE_LIMIT_LENGTH, longest),
            (Limit::SQLITE_LIMIT_SQL_LENGTH, longest),
            (Limit::SQLITE_LIMIT_COLUMN, 500),
            (Limit::SQLITE_LIMIT_EXPR_DEPTH, 500),
            (Limit::SQLITE_LIMIT_COMPOUND_SELECT, 200),
            (Limit::SQLITE_LIMIT_VDBE_OP, 250_000),
            (Limit::SQLITE_LIMIT_ATTACHED, 0),
            (Limit::SQLITE_LIMIT_WORKER_THREADS, 0),
            (Limit::SQLITE_LIMIT_TRIGGER_DEPTH, 0),
        ] {
            connection.set_limit(limit, most)?;
        }
        let rules = Arc::new(Rules::default());
        let deadline = Arc::new(Deadline { start: Instant::now(), end: AtomicU64::new(u64::MAX) });
        let (asked, clock) = (Arc::clone(&rules), Arc::clone(&deadline));
        connection.authorizer(Some(move |what: AuthContext<'_>| asked.judge(&what)))?;
        connection.progress_handler(INSTRUCTIONS, Some(move || clock.is_over()))?;
        Ok(Guarded { connection, rules, deadline })
    }

    /// Runs a query of a script, within the limits of time and memory.
    pub fn run<T>(&self, query: impl FnOnce(&Connection) -> Result<T, SqlError>) -> Result<T, SqlError> {
        self.refusal().take();
        self.deadline.set(LONGEST);
        let memory = MemoryLimit::beyond_what_is_used(MOST_MEMORY);
        let result = query(&self.connection);
        drop(memory);
        result.map_err(|error| match self.refusal().take() {
            Some(what) => SqlError::NotForScripts(what),
            None if self.deadline.is_over() => SqlError::TooLong,
            None if error.is_out_of_memory() => SqlError::TooMuchMemory,
            None => error,
        })
    }

    /// Runs what the hub itself needs for a query: it may look at the schema and change scripts'
    /// tables. The hub's own tables stay as they are all the same.
    pub fn trusted<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        let before = self.rules.trusted.swap(true, Ordering::Relaxed);
        let result = work(&self.connection);
        self.rules.trusted.store(before, Ordering::Relaxed);
        result
    }

    /// The connection, for what is no query: functions, collations.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Calls something for each row that is changed, with what was done and the row's number.
    pub fn on_change(
        &mut self,
        told: impl FnMut(rusqlite::hooks::Action, i64) + Send + 'static,
    ) -> rusqlite::Result<()> {
        let mut told = told;
        self.connection.update_hook(Some(move |action, _: &str, _: &str, row| told(action, row)))
    }

    /// When the query that runs has to end.
    pub fn deadline(&self) -> Arc<Deadline> {
        Arc::clone(&self.deadline)
    }

    fn refusal(&self) -> std::sync::MutexGuard<'_, Option<String>> {
        self.rules.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rules {
    fn judge(&self, context: &AuthContext<'_>) -> Authorization {
        let trusted = self.trusted.load(Ordering::Relaxed);
        let refused = match context.action {
            AuthAction::Select | AuthAction::Recursive => None,
            AuthAction::Read { table_name, .. }
            | AuthAction::Insert { table_name }
            | AuthAction::Update { table_name, .. }
            | AuthAction::Delete { table_name } => name_if(table_name, is_hidden(table_name) && !trusted),
            AuthAction::Function { function_name } => {
                let known = function_name.starts_with("vh_") || FUNCTIONS.contains(&function_name);
                name_if(function_name, !known && !trusted)
            }
            AuthAction::CreateTable { table_name }
            | AuthAction::DropTable { table_name }
            | AuthAction::AlterTable { table_name, .. } => {
                name_if(table_name, !trusted || is_own(table_name))
            }
            AuthAction::DropIndex { table_name, .. } => name_if(table_name, !trusted || is_own(table_name)),
            AuthAction::CreateIndex { table_name, .. } => name_if(table_name, !trusted),
            AuthAction::Reindex { .. } | AuthAction::Savepoint { .. } | AuthAction::Transaction { .. }
                if trusted =>
            {
                None
            }
            AuthAction::Pragma { pragma_name, pragma_value }
                if trusted
                    && (pragma_name == "schema_version" && pragma_value.is_none()
                        || matches!(pragma_name, "table_info" | "index_list" | "index_xinfo")) =>
            {
                None
            }
            // The tables `pragma_table_info` and the like.
            AuthAction::CreateVtable { module_name, .. } if trusted && module_name.starts_with("pragma_") => {
                None
            }
            other => Some(spoken(&other)),
        };
        if refused.is_none() {
            return Authorization::Allow;
        }
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = refused;
        Authorization::Deny
    }
}

/// What a statement would do, as its author would say it.
fn spoken(action: &AuthAction<'_>) -> String {
    let debug = format!("{action:?}");
    debug.split([' ', '{']).next().unwrap_or_default().to_ascii_lowercase()
}

fn name_if(name: &str, refused: bool) -> Option<String> {
    refused.then(|| name.to_string())
}

/// Whether scripts do not see a table: it is SQLite's own, or [`TABLES`].
pub fn is_hidden(table: &str) -> bool {
    let is_internal = table.get(..7).is_some_and(|start| start.eq_ignore_ascii_case("sqlite_"));
    is_internal || table.eq_ignore_ascii_case(TABLES)
}

/// Whether a table is the hub's.
pub fn is_own(table: &str) -> bool {
    OWN_TABLES.iter().any(|own| own.eq_ignore_ascii_case(table))
}

/// How much memory SQLite may use in this process, while this value lives.
struct MemoryLimit;

impl MemoryLimit {
    fn beyond_what_is_used(bytes: i64) -> MemoryLimit {
        // SAFETY: SQLite counts under a lock of its own; any thread may ask and set.
        unsafe {
            ffi::sqlite3_hard_heap_limit64(ffi::sqlite3_memory_used() + bytes);
        }
        MemoryLimit
    }
}

impl Drop for MemoryLimit {
    fn drop(&mut self) {
        // SAFETY: as above; 0 is no limit.
        unsafe {
            ffi::sqlite3_hard_heap_limit64(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the translation lets through by mistake is refused here.
    #[test]
    fn the_hubs_tables_are_not_dropped_or_altered_even_where_that_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hub.sqlite");
        let tables =
            "create table reglist (nick); create index known on reglist (nick); create table own (a)";
        Connection::open(&path).unwrap().execute_batch(tables).unwrap();
        let guarded = Guarded::open(&path).unwrap();
        let run = |sql: &str| guarded.trusted(|connection| connection.execute_batch(sql));
        for refused in ["drop table RegList", "alter table reglist add column x", "drop index known"] {
            assert!(run(refused).is_err(), "{refused}");
        }
        for allowed in ["alter table own add column x", "drop table own", "create table reg (nick)"] {
            assert!(run(allowed).is_ok(), "{allowed}: {:?}", run(allowed));
        }
        assert!(guarded.connection().execute_batch("drop table reg").is_err(), "without trust");
    }
}
