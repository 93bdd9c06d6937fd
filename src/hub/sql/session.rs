//! What each script has of its own between queries: variables, the last number that was made,
//! how many rows there were; and what functions know of the query that runs.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use super::super::text::Charset;
use super::guard::Deadline;
use super::types::Type;

/// How many variables a script may have, and how many bytes in all.
const MOST_VARIABLES: (usize, usize) = (1000, 1 << 20);

/// A value of SQLite's.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Datum {
    /// NULL.
    #[default]
    Null,
    /// A whole number.
    Int(i64),
    /// A number with a fraction.
    Real(f64),
    /// Text.
    Text(Vec<u8>),
}

impl Datum {
    /// A copy of SQLite's.
    pub fn of(value: ValueRef<'_>) -> Datum {
        match value {
            ValueRef::Null => Datum::Null,
            ValueRef::Integer(number) => Datum::Int(number),
            ValueRef::Real(number) => Datum::Real(number),
            ValueRef::Text(text) | ValueRef::Blob(text) => Datum::Text(text.to_vec()),
        }
    }
}

impl ToSql for Datum {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Datum::Null => ValueRef::Null,
            Datum::Int(number) => ValueRef::Integer(*number),
            Datum::Real(number) => ValueRef::Real(*number),
            Datum::Text(text) => ValueRef::Text(text),
        }))
    }
}

/// A script's own state.
#[derive(Debug, Default)]
pub struct Session {
    /// `LAST_INSERT_ID()`.
    pub last_insert_id: i64,
    /// `FOUND_ROWS()`.
    pub found_rows: i64,
    /// `ROW_COUNT()`; `None` where SQLite counts otherwise.
    pub row_count: Option<i64>,
    variables: HashMap<String, (Type, Datum)>,
    bytes: usize,
}

impl Session {
    /// A variable, by its name in lower case without `@`.
    pub fn variable(&self, name: &str) -> (Type, Datum) {
        self.variables.get(name).cloned().unwrap_or((Type::Null, Datum::Null))
    }

    /// Changes a variable.
    pub fn set_variable(&mut self, name: &str, kind: Type, value: Datum) -> Result<(), String> {
        let size = |value: &Datum| if let Datum::Text(text) = value { text.len() } else { 0 };
        let old = self.variables.get(name).map_or(0, |(_, value)| size(value));
        let bytes = self.bytes - old + size(&value);
        if bytes > MOST_VARIABLES.1
            || self.variables.len() >= MOST_VARIABLES.0 && !self.variables.contains_key(name)
        {
            return Err("the variables of this script have too many bytes, or are too many".into());
        }
        self.bytes = bytes;
        self.variables.insert(name.into(), (kind, value));
        Ok(())
    }
}

/// What functions know of the query that runs.
#[derive(Debug, Default)]
pub struct Running {
    /// The state of its script.
    pub session: Session,
    /// The first number that it made.
    pub first_id: Option<i64>,
    /// Whether the row that is being written has a number of its own making.
    pub counting: bool,
    /// `LAST_INSERT_ID(…)` said this.
    pub said_id: Option<i64>,
    /// The values that were last written, by column, for messages.
    pub written: HashMap<String, Vec<u8>>,
    /// Bytes of what is being gathered by `GROUP_CONCAT`.
    pub gathered: usize,
    /// When it began, in microseconds since the epoch.
    pub now: i64,
}

/// What all functions have in common.
#[derive(Clone, Debug)]
pub struct Env {
    /// What text is in.
    pub charset: Charset,
    /// When the query has to end.
    pub deadline: Arc<Deadline>,
    running: Arc<Mutex<Running>>,
}

impl Env {
    /// For a connection.
    pub fn new(charset: Charset, deadline: Arc<Deadline>) -> Env {
        Env { charset, deadline, running: Arc::default() }
    }

    /// The query that runs. All is on one thread: nobody waits.
    pub fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
