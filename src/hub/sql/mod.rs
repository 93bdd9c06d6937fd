//! Queries of scripts on the hub's database. Scripts speak MySQL; here it becomes SQLite's, with
//! the answers that a MariaDB server would give. What cannot be is an error that names it.
//!
//! A query is read ([`source`], [`parse`]), and each expression becomes one of SQLite's with a
//! type of MySQL's ([`expression`], [`call`], [`select`], [`write`], [`define`], [`show`]); the
//! tables' MySQL side is kept beside SQLite's ([`catalog`], [`types`]). What SQLite's functions
//! and collations lack is in [`functions`] and [`collate`]. All of it runs on a connection of
//! its own ([`guard`]), which says what it may do.
//!
//! Each query stands for itself: `begin`, `commit` and the like do nothing, since a script that
//! died within a transaction would take the hub's own writes with it. What a script has of its
//! own between queries is its [`session`].

mod alter;
mod call;
mod catalog;
mod collate;
mod comparison;
mod define;
mod expression;
mod functions;
mod guard;
mod operators;
mod parse;
mod select;
mod session;
mod show;
mod source;
mod term;
#[cfg(test)]
mod tests;
mod types;
mod variables;
mod verlihub;
mod write;

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::num::NonZeroUsize;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use lru::LruCache;
use rusqlite::hooks::Action;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, params_from_iter};
use sqlparser::ast::{ObjectType, Statement as Parsed};

use super::data_folder::FILE;
use super::database::Text;
use super::text::Charset;
use crate::supervisor::ScriptId;
use catalog::{Catalog, Table};
use define::Definition;
use expression::{Binder, unsupported};
use guard::Guarded;
use parse::Statement;
use session::{Datum, Env, Running, Session};
use source::Source;
use types::Type;
pub use verlihub::is_variable as is_of_verlihub;
use write::{Change, Write};

/// How many rows a query gives when it asks for none.
const DEFAULT_ROWS: usize = 100;

/// How many bytes all rows together may have.
const MOST_BYTES: usize = 16 << 20;

/// How many translations are kept, and how long a query may be to be kept.
const KEPT: (NonZeroUsize, usize) = (NonZeroUsize::new(256).expect("it is not 0"), 4096);

/// How many scripts' sessions are kept.
const MOST_SESSIONS: usize = 1000;

/// The rows of a result; NULL is `None`.
pub type Rows = Vec<Vec<Option<Vec<u8>>>>;

/// Why a query gave nothing. The words are MySQL's where MySQL has some.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the texts say what each is")]
pub enum SqlError {
    #[error("{0}")]
    Sqlite(rusqlite::Error),
    #[error("{0}")]
    Refused(String),
    #[error("`{0}` is not for scripts: it would change how the hub itself keeps its data")]
    NotForScripts(String),
    #[error("the query has more than {} MiB", guard::LONGEST_VALUE >> 20)]
    TooLarge,
    #[error("the query has more than {0} words and signs; insert fewer rows at a time")]
    TooManyWords(usize),
    #[error("the rows have more than {} MiB; select fewer, or fewer columns", MOST_BYTES >> 20)]
    TooMuch,
    #[error("the query was stopped after {} seconds; the hub waits for each", guard::LONGEST.as_secs())]
    TooLong,
    #[error("the query needs more memory than one may have; select less at a time")]
    TooMuchMemory,
    #[error("{0}")]
    Wrong(String),
    #[error("You have an error in your SQL syntax: {0}")]
    Syntax(String),
    #[error("{0} is not supported by this hub's database; docs/sql.md says what is")]
    Unsupported(String),
    #[error("Table 'verlihub.{0}' doesn't exist")]
    NoTable(String),
    #[error("Unknown table 'verlihub.{0}'")]
    UnknownTable(String),
    #[error("Table '{0}' already exists")]
    TableExists(String),
    #[error("Unknown column '{0}'")]
    NoColumn(String),
    #[error("Column '{0}' in field list is ambiguous")]
    Ambiguous(String),
    #[error("FUNCTION {0} does not exist")]
    NoFunction(String),
    #[error("Unknown system variable '{0}'")]
    NoVariable(String),
    #[error("Field '{0}' doesn't have a default value")]
    NoDefault(String),
    #[error("Can't DROP {0}; check that it exists")]
    CannotDrop(String),
    #[error("Key '{0}' doesn't exist")]
    NoKey(String),
    #[error("Key column '{0}' doesn't exist in table")]
    NoKeyColumn(String),
    #[error("ROLLBACK cannot undo what was written: each query is committed by itself")]
    Rollback,
}

impl From<rusqlite::Error> for SqlError {
    fn from(error: rusqlite::Error) -> SqlError {
        // What a function of ours says comes as SQLite's message.
        match error {
            rusqlite::Error::SqliteFailure(code, Some(message))
                if code.extended_code == rusqlite::ffi::SQLITE_ERROR =>
            {
                SqlError::Refused(message)
            }
            other => SqlError::Sqlite(other),
        }
    }
}

impl From<sqlparser::parser::ParserError> for SqlError {
    fn from(error: sqlparser::parser::ParserError) -> SqlError {
        use sqlparser::parser::ParserError;
        match error {
            ParserError::ParserError(text) | ParserError::TokenizerError(text) => SqlError::Syntax(text),
            ParserError::RecursionLimitExceeded => SqlError::Syntax("it is nested too deep".into()),
        }
    }
}

impl SqlError {
    fn is_out_of_memory(&self) -> bool {
        matches!(self, SqlError::Sqlite(error)
            if error.sqlite_error_code() == Some(rusqlite::ErrorCode::OutOfMemory))
    }
}

/// A translated query.
#[derive(Debug)]
enum Plan {
    Rows { sql: String, strings: Vec<Vec<u8>>, kinds: Vec<Type>, counted: Option<String> },
    Write { write: Write, strings: Vec<Vec<u8>> },
    Define { definition: Definition, strings: Vec<Vec<u8>> },
    Given(Rows),
    Rollback,
    Nothing,
}

/// The database as scripts have it.
#[derive(Debug)]
pub struct Sql {
    guarded: Guarded,
    env: Env,
    source: Source,
    catalog: Catalog,
    kept: RefCell<LruCache<Vec<u8>, Rc<Plan>>>,
    sessions: RefCell<HashMap<ScriptId, Session>>,
    /// Whether the script that runs has written anything since it said `BEGIN`.
    written: Cell<bool>,
    /// By how much a test has put the clock forward.
    ahead: Cell<Duration>,
}

impl Sql {
    /// Opens the database of a data folder, which the hub has made. `charset` is what text is in.
    pub fn open(folder: &Path, charset: Charset) -> rusqlite::Result<Sql> {
        let mut guarded = Guarded::open(&folder.join(FILE))?;
        let env = Env::new(charset, guarded.deadline());
        let connection = guarded.connection();
        functions::register(connection, &env)?;
        collate::register(connection, charset, guarded.deadline())?;
        let counted = env.clone();
        connection.set_prepared_statement_cache_capacity(64);
        guarded.on_change(move |action, row| {
            let mut running = counted.running();
            if action == Action::SQLITE_INSERT && running.counting && running.first_id.is_none() {
                running.first_id = Some(row);
            }
        })?;
        guarded.trusted(Catalog::prepare)?;
        guarded.trusted(verlihub::prepare)?;
        Ok(Sql {
            guarded,
            env,
            source: Source::new(charset),
            catalog: Catalog::default(),
            kept: RefCell::new(LruCache::new(KEPT.0)),
            sessions: RefCell::default(),
            written: Cell::new(false),
            ahead: Cell::default(),
        })
    }

    /// By how much the clock of the queries is put forward, for tests.
    pub fn put_clock_forward(&self, ahead: Duration) {
        self.ahead.set(ahead);
    }

    /// Runs a query of a script and gives at most so many rows.
    pub fn query(&self, script: ScriptId, query: &[u8], limit: i64) -> Result<Rows, SqlError> {
        if query.len() > guard::LONGEST_VALUE {
            return Err(SqlError::TooLarge);
        }
        let limit = usize::try_from(limit).ok().filter(|limit| *limit > 0).unwrap_or(DEFAULT_ROWS);
        {
            let mut sessions = self.sessions.borrow_mut();
            if sessions.len() > MOST_SESSIONS {
                sessions.clear();
            }
            let session = sessions.remove(&script).unwrap_or_default();
            let now = super::since_epoch(self.ahead.get());
            let now = i64::try_from(now.as_micros()).unwrap_or(0);
            *self.env.running() = Running { session, now, ..Running::default() };
        }
        let result = self.guarded.run(|connection| {
            if self.guarded.trusted(|connection| self.catalog.refresh(connection))? {
                self.kept.borrow_mut().clear();
            }
            let plan = self.plan(connection, query)?;
            self.execute(connection, &plan, limit)
        });
        let running = std::mem::take(&mut *self.env.running());
        self.sessions.borrow_mut().insert(script, running.session);
        result
    }

    /// The translation, kept or new.
    fn plan(&self, connection: &Connection, query: &[u8]) -> Result<Rc<Plan>, SqlError> {
        if let Some(plan) = self.kept.borrow_mut().get(query) {
            return Ok(Rc::clone(plan));
        }
        let (plan, lasting) = self.translate(connection, query)?;
        let plan = Rc::new(plan);
        if lasting && query.len() <= KEPT.1 {
            self.kept.borrow_mut().put(query.to_vec(), Rc::clone(&plan));
        }
        Ok(plan)
    }

    fn translate(&self, connection: &Connection, query: &[u8]) -> Result<(Plan, bool), SqlError> {
        let text = self.source.read(query)?;
        let Some((statement, ignore)) = parse::parse(&text)? else { return Ok((Plan::Nothing, true)) };
        let mut binder = Binder {
            connection,
            catalog: &self.catalog,
            env: &self.env,
            source: self.source,
            strings: Vec::new(),
            scopes: Vec::new(),
            with: Vec::new(),
            several: false,
            lasting: true,
        };
        // Reading the schema is the hub's own doing.
        let plan = self.guarded.trusted(|_| plan(&mut binder, &statement, ignore))?;
        Ok((plan, binder.lasting))
    }

    fn execute(&self, connection: &Connection, plan: &Plan, limit: usize) -> Result<Rows, SqlError> {
        match plan {
            Plan::Rows { sql, strings, kinds, counted } => {
                let rows = rows(connection, sql, strings, kinds, limit)?;
                let count = match counted {
                    Some(counted) => {
                        let sql = format!("select count(*) from ({counted})");
                        let mut statement = connection.prepare(&sql)?;
                        statement
                            .query_row(params_from_iter(strings.iter().map(|text| Text(text))), |row| {
                                row.get(0)
                            })?
                    }
                    None => i64::try_from(rows.len()).unwrap_or(i64::MAX),
                };
                let mut running = self.env.running();
                running.session.found_rows = count;
                running.session.row_count = Some(-1);
                Ok(rows)
            }
            Plan::Write { write, strings } => {
                self.written.set(true);
                let changed =
                    self.write(connection, write, strings).map_err(|error| self.said(error, &write.table))?;
                let mut running = self.env.running();
                running.session.row_count = write.counted.then_some(changed);
                if let Some(id) = running.said_id.or(running.first_id) {
                    running.session.last_insert_id = id;
                }
                Ok(Rows::new())
            }
            Plan::Define { definition, strings } => {
                if definition.steps.is_empty() {
                    return Ok(Rows::new());
                }
                self.written.set(true);
                self.guarded.trusted(|connection| {
                    atomically(connection, || {
                        for step in &definition.steps {
                            run(connection, step, strings)?;
                        }
                        Ok(())
                    })
                })?;
                Ok(Rows::new())
            }
            Plan::Given(rows) => Ok(rows.iter().take(limit).cloned().collect()),
            Plan::Rollback if self.written.take() => Err(SqlError::Rollback),
            Plan::Rollback | Plan::Nothing => {
                self.written.set(false);
                Ok(Rows::new())
            }
        }
    }

    fn write(&self, connection: &Connection, write: &Write, strings: &[Vec<u8>]) -> Result<i64, SqlError> {
        let mut changed = 0;
        match &write.change {
            Change::Steps(steps) if steps.len() == 1 => {
                for step in steps {
                    changed += run(connection, step, strings)?;
                }
            }
            Change::Steps(steps) => self.guarded.trusted(|connection| {
                atomically(connection, || {
                    for step in steps {
                        changed += run(connection, step, strings)?;
                    }
                    Ok(())
                })
            })?,
            Change::Found { query, targets } => {
                let found = found(connection, query, strings)?;
                self.guarded.trusted(|connection| {
                    atomically(connection, || {
                        for (start, count, statement) in targets {
                            let mut seen = std::collections::HashSet::new();
                            for row in &found {
                                let values = row.get(*start..start + count).unwrap_or_default();
                                // A row that was found twice is changed once; outer joins find none.
                                let Some(Datum::Int(id)) = values.first() else { continue };
                                if seen.insert(*id) {
                                    changed += i64::try_from(
                                        connection
                                            .prepare_cached(statement)?
                                            .execute(params_from_iter(values))?,
                                    )
                                    .unwrap_or(0);
                                }
                            }
                        }
                        Ok(())
                    })
                })?;
            }
        }
        Ok(changed)
    }

    /// What SQLite says, in MySQL's words.
    fn said(&self, error: SqlError, table: &Table) -> SqlError {
        let SqlError::Sqlite(rusqlite::Error::SqliteFailure(_, Some(message))) = &error else { return error };
        let columns = |list: &str| -> Vec<String> {
            list.split(", ").filter_map(|column| Some(column.split_once('.')?.1.to_string())).collect()
        };
        if let Some(list) = message.strip_prefix("UNIQUE constraint failed: ") {
            let names = columns(list);
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            if let Some(text) = write::duplicate(table, &names, &self.env.running().written) {
                return SqlError::Refused(text);
            }
        }
        if let Some(list) = message.strip_prefix("NOT NULL constraint failed: ") {
            return SqlError::Refused(format!("Column '{}' cannot be null", columns(list).concat()));
        }
        error
    }
}

/// The plan of a statement.
fn plan(binder: &mut Binder<'_>, statement: &Statement, ignore: bool) -> Result<Plan, SqlError> {
    let define = |definition: Definition, binder: &mut Binder<'_>| {
        binder.lasting = false;
        Ok(Plan::Define { definition, strings: std::mem::take(&mut binder.strings) })
    };
    match statement {
        Statement::Nothing => Ok(Plan::Nothing),
        Statement::Rollback => Ok(Plan::Rollback),
        Statement::Show(show) => {
            binder.lasting = false;
            let rows = binder.show(show)?;
            let encode = |text: Option<String>| text.map(|text| binder.source.encode(&text));
            Ok(Plan::Given(rows.into_iter().map(|row| row.into_iter().map(encode).collect()).collect()))
        }
        Statement::Do(list) => {
            let list = list.iter().map(|each| binder.expression(each)).collect::<Result<Vec<_>, _>>()?;
            let sql: Vec<&str> = list.iter().map(|ex| ex.sql.as_str()).collect();
            Ok(Plan::Rows {
                // Computed, and not given.
                sql: format!(
                    "with x as materialized (select {}) select 1 from x limit 1 offset 1",
                    sql.join(", ")
                ),
                strings: std::mem::take(&mut binder.strings),
                kinds: vec![Type::Int],
                counted: None,
            })
        }
        Statement::Rename(names) => {
            let definition = binder.rename(names)?;
            define(definition, binder)
        }
        Statement::Alter { table, changes } => {
            let definition = binder.alter(table, changes)?;
            define(definition, binder)
        }
        Statement::Maintain(verb, tables) => {
            binder.lasting = false;
            let mut rows = Rows::new();
            for table in tables {
                let name = binder.table_name(table)?;
                let table = binder.stored(&name)?;
                let mut said = vec![("status", "OK")];
                if verb == "optimize" {
                    said.insert(
                        0,
                        ("note", "Table does not support optimize, doing recreate + analyze instead"),
                    );
                }
                for (kind, text) in said {
                    let row = [format!("verlihub.{}", table.name), verb.clone(), kind.into(), text.into()];
                    rows.push(row.into_iter().map(|text| Some(binder.source.encode(&text))).collect());
                }
            }
            Ok(Plan::Given(rows))
        }
        Statement::Parsed(parsed) => match &**parsed {
            Parsed::Query(query) => {
                let bound = binder.query(query)?;
                Ok(Plan::Rows {
                    sql: bound.sql,
                    strings: std::mem::take(&mut binder.strings),
                    kinds: bound.columns.into_iter().map(|(_, kind)| kind).collect(),
                    counted: bound.counted,
                })
            }
            Parsed::Insert(insert) => {
                let write = binder.insert(insert)?;
                Ok(Plan::Write { write, strings: std::mem::take(&mut binder.strings) })
            }
            Parsed::Update(update) => {
                let write = binder.update(update, ignore)?;
                Ok(Plan::Write { write, strings: std::mem::take(&mut binder.strings) })
            }
            Parsed::Delete(delete) => {
                let write = binder.delete(delete)?;
                Ok(Plan::Write { write, strings: std::mem::take(&mut binder.strings) })
            }
            Parsed::CreateTable(create) => {
                let definition = binder.create_table(create)?;
                define(definition, binder)
            }
            Parsed::CreateIndex(create) => {
                let definition = binder.create_index(create)?;
                define(definition, binder)
            }
            Parsed::Truncate(truncate) => match truncate.table_names.as_slice() {
                [table] => {
                    let definition = binder.truncate(&table.name)?;
                    define(definition, binder)
                }
                _ => Err(unsupported("TRUNCATE of several tables")),
            },
            Parsed::Drop { object_type: ObjectType::Table, if_exists, names, temporary: false, .. } => {
                let definition = binder.drop_tables(names, *if_exists)?;
                define(definition, binder)
            }
            Parsed::Drop { object_type: ObjectType::Index, names, table: Some(table), .. } => {
                match names.as_slice() {
                    [name] => {
                        let definition = binder.drop_index(name, table)?;
                        define(definition, binder)
                    }
                    _ => Err(unsupported("DROP of several indexes")),
                }
            }
            other => {
                let text = other.to_string();
                let start: Vec<&str> = text.split_whitespace().take(2).collect();
                Err(unsupported(start.join(" ")))
            }
        },
    }
}

/// All or nothing of several statements.
fn atomically<T>(connection: &Connection, work: impl FnOnce() -> Result<T, SqlError>) -> Result<T, SqlError> {
    connection.execute_batch("savepoint vhpy")?;
    match work() {
        Ok(value) => {
            connection.execute_batch("release vhpy")?;
            Ok(value)
        }
        Err(error) => {
            // What went wrong is said, not that undoing it did.
            let _ = connection.execute_batch("rollback to vhpy; release vhpy");
            Err(error)
        }
    }
}

fn run(connection: &Connection, sql: &str, strings: &[Vec<u8>]) -> Result<i64, SqlError> {
    let mut statement = connection.prepare_cached(sql)?;
    let count = statement.parameter_count();
    let mut rows = statement.query(params_from_iter(strings.iter().take(count).map(|text| Text(text))))?;
    while rows.next()?.is_some() {}
    Ok(i64::try_from(connection.changes()).unwrap_or(i64::MAX))
}

fn rows(
    connection: &Connection,
    sql: &str,
    strings: &[Vec<u8>],
    kinds: &[Type],
    limit: usize,
) -> Result<Rows, SqlError> {
    let mut statement = connection.prepare_cached(sql)?;
    let count = statement.parameter_count();
    let mut found = statement.query(params_from_iter(strings.iter().take(count).map(|text| Text(text))))?;
    let mut rows = Rows::new();
    let mut bytes = 0;
    while rows.len() < limit
        && let Some(row) = found.next()?
    {
        let mut values = Vec::with_capacity(kinds.len());
        for (at, kind) in kinds.iter().enumerate() {
            let value = functions::shown(row.get_ref(at)?, *kind).map_err(SqlError::Refused)?;
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

/// All rows of a query as they are, for what is done with them.
fn found(connection: &Connection, sql: &str, strings: &[Vec<u8>]) -> Result<Vec<Vec<Datum>>, SqlError> {
    let mut statement = connection.prepare_cached(sql)?;
    let (columns, count) = (statement.column_count(), statement.parameter_count());
    let mut found = statement.query(params_from_iter(strings.iter().take(count).map(|text| Text(text))))?;
    let mut rows = Vec::new();
    let mut bytes = 0;
    while let Some(row) = found.next()? {
        let mut values = Vec::with_capacity(columns);
        for at in 0..columns {
            let value = row.get_ref(at)?;
            bytes += 48 + if let ValueRef::Text(text) = value { text.len() } else { 0 };
            if bytes > MOST_BYTES {
                return Err(SqlError::TooMuch);
            }
            values.push(Datum::of(value));
        }
        rows.push(values);
    }
    Ok(rows)
}
