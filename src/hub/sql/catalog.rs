//! The tables that scripts see: their columns and keys as MySQL has them, read from SQLite's
//! schema and from a table of ours, and how SQLite is told of them.
//!
//! SQLite's schema has no unsigned columns, no keys that begin with a part of a column, no
//! comments; for tables that scripts make, all of that is in `vhpy_tables`, as JSON. A table
//! that is not there, or is there with other columns, is taken as SQLite has it.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::fmt::Write;
use std::rc::Rc;

use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use super::SqlError;
use super::guard::{TABLES, is_hidden, is_own};
use super::types::Kind;

/// What stands in a column when nothing is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Default {
    /// This text.
    Text(String),
    /// The time of the statement.
    Now,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// Whether it may not be NULL.
    pub not_null: bool,
    /// What stands there when nothing is said.
    pub default: Option<Default>,
    /// Whether it counts by itself.
    pub auto: bool,
    /// Whether a change of the row sets it to the time.
    pub on_update_now: bool,
    /// Whether its text is compared by bytes.
    pub bytes: bool,
    /// A note.
    pub comment: String,
}

/// A key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Key {
    /// `PRIMARY` for the primary one.
    pub name: String,
    /// Columns, by name.
    pub columns: Vec<String>,
    /// Whether no two rows may have the same.
    pub unique: bool,
}

impl Key {
    /// Whether it is the primary one.
    pub fn is_primary(&self) -> bool {
        self.name == "PRIMARY"
    }
}

/// A table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// In order.
    pub columns: Vec<Column>,
    /// In order.
    pub keys: Vec<Key>,
    /// A note.
    pub comment: String,
    /// Columns with an index that has SQLite's collation `nocase`, and one for what that does
    /// not see.
    #[serde(skip)]
    pub nocase: Vec<String>,
}

impl Table {
    /// The place of a column.
    pub fn position(&self, column: &str) -> Option<usize> {
        self.columns.iter().position(|each| each.name.eq_ignore_ascii_case(column))
    }

    /// A column.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.position(name).and_then(|at| self.columns.get(at))
    }

    /// The column that counts by itself.
    pub fn auto(&self) -> Option<&Column> {
        self.columns.iter().find(|column| column.auto)
    }

    /// A name by which SQLite knows the row's number.
    pub fn rowid(&self) -> Result<&'static str, SqlError> {
        ["_rowid_", "rowid", "oid"]
            .into_iter()
            .find(|name| self.position(name).is_none())
            .ok_or(SqlError::Unsupported("a table with columns _rowid_, rowid and oid".into()))
    }

    /// Whether a text column has an index, so that looking for a text is quick.
    pub fn has_text_index(&self, column: &str) -> bool {
        self.nocase.iter().any(|each| each.eq_ignore_ascii_case(column))
    }

    /// Statements that make the table in SQLite under this name.
    pub fn statements(&self, name: &str) -> Vec<String> {
        let auto = self.auto().map(|column| column.name.clone());
        let mut lines = Vec::new();
        for column in &self.columns {
            let mut line = quoted(&column.name);
            if auto.as_deref() == Some(column.name.as_str()) {
                line += " integer primary key autoincrement";
            } else {
                let _ = write!(line, " {}", column.kind.stored());
                if column.not_null {
                    line += " not null";
                }
                match &column.default {
                    Some(Default::Text(text)) => {
                        let _ = write!(line, " default '{}'", text.replace('\'', "''"));
                    }
                    Some(Default::Now) => line += " default (datetime('now', 'localtime'))",
                    None => {}
                }
                if self.is_nocase(&column.name) {
                    line += " collate nocase";
                }
            }
            lines.push(line);
        }
        let mut indexes = Vec::new();
        for key in &self.keys {
            let columns = key.columns.iter().map(|column| quoted(column)).collect::<Vec<_>>().join(", ");
            let counted =
                key.columns.len() == 1 && auto.as_deref() == key.columns.first().map(String::as_str);
            if counted && key.unique {
                // SQLite's own number of the row.
            } else if key.is_primary() && auto.is_none() {
                lines.push(format!("primary key ({columns})"));
            } else {
                indexes.push(format!(
                    "create {}index {} on {} ({columns})",
                    if key.unique { "unique " } else { "" },
                    quoted(&index_name(name, &key.name)),
                    quoted(name)
                ));
            }
        }
        let mut statements = vec![format!("create table {} ({})", quoted(name), lines.join(", "))];
        statements.append(&mut indexes);
        for column in self.first_of_keys().filter(|column| self.is_nocase(column)) {
            statements.push(other_index(name, column));
        }
        statements
    }

    /// The columns with which a key begins.
    fn first_of_keys(&self) -> impl Iterator<Item = &str> {
        let mut seen = Vec::new();
        self.keys.iter().filter_map(|key| key.columns.first()).map(String::as_str).filter(move |column| {
            let new = !seen.contains(column);
            seen.push(column);
            new
        })
    }

    /// Whether the column is stored with SQLite's collation `nocase`.
    fn is_nocase(&self, column: &str) -> bool {
        self.column(column).is_some_and(|column| column.kind.gives(column.bytes) == super::types::Type::Text)
    }
}

/// The name of an index in SQLite, where all have to differ.
fn index_name(table: &str, key: &str) -> String {
    format!("{table}.{key}")
}

/// How the names of those indexes end.
const BEYOND: &str = " beyond ASCII";

/// An index of the texts of a column in which SQLite's `nocase` does not see all that MySQL's
/// collation does: those with other signs than visible ASCII.
pub fn other_index(table: &str, column: &str) -> String {
    let name = quoted(&other_index_name(table, column));
    let (table, column) = (quoted(table), quoted(column));
    let other = has_other(&column);
    format!("create index if not exists {name} on {table} ({column}) where {other}")
}

/// The name of that index.
pub fn other_index_name(table: &str, column: &str) -> String {
    format!("{table}.{column}{BEYOND}")
}

/// Whether a text has other signs than visible ASCII.
pub fn has_other(text: &str) -> String {
    format!("{text} glob '*[^!-~]*'")
}

/// A name in a query.
pub fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// All tables, read when they are asked for.
#[derive(Debug, std::default::Default)]
pub struct Catalog {
    tables: RefCell<HashMap<String, Rc<Table>>>,
    version: Cell<i64>,
}

impl Catalog {
    /// Makes the table of tables, and indexes of the hub's own ones for scripts' queries.
    pub fn prepare(connection: &Connection) -> rusqlite::Result<()> {
        connection.execute_batch(&format!(
            "create table if not exists {TABLES} (name text not null collate nocase primary key, definition text not null)"
        ))?;
        for (table, column) in [
            ("reglist", "nick"),
            ("banlist", "nick"),
            ("banlist", "ip"),
            ("kicklist", "nick"),
            ("temp_rights", "nick"),
        ] {
            connection.execute_batch(&other_index(table, column))?;
        }
        Ok(())
    }

    /// Forgets what is no longer so. Whether that was anything.
    pub fn refresh(&self, connection: &Connection) -> rusqlite::Result<bool> {
        let mut statement = connection.prepare_cached("pragma schema_version")?;
        let version = statement.query_row([], |row| row.get(0))?;
        let changed = self.version.replace(version) != version;
        if changed {
            self.tables.borrow_mut().clear();
        }
        Ok(changed)
    }

    /// A table, if there is one.
    pub fn table(&self, connection: &Connection, name: &str) -> Result<Option<Rc<Table>>, SqlError> {
        let key = name.to_lowercase();
        if let Some(table) = self.tables.borrow().get(&key) {
            return Ok(Some(Rc::clone(table)));
        }
        if is_hidden(name) {
            return Ok(None);
        }
        let Some(table) = read(connection, name)? else { return Ok(None) };
        let table = Rc::new(table);
        self.tables.borrow_mut().insert(key, Rc::clone(&table));
        Ok(Some(table))
    }

    /// All tables' names, in order.
    pub fn names(&self, connection: &Connection) -> Result<Vec<String>, SqlError> {
        let mut statement = connection.prepare_cached(
            "select name from sqlite_master where type = 'table' order by name collate nocase",
        )?;
        let names = statement.query_map([], |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()?;
        Ok(names.into_iter().filter(|name| !is_hidden(name)).collect())
    }
}

/// A table as SQLite's schema and ours have it.
fn read(connection: &Connection, name: &str) -> Result<Option<Table>, SqlError> {
    let mut table = as_sqlite_has_it(connection, name)?;
    if table.columns.is_empty() {
        return Ok(None);
    }
    if !is_own(name) {
        let mut statement =
            connection.prepare_cached(&format!("select definition from {TABLES} where name = ?"))?;
        let mut rows = statement.query([&table.name])?;
        if let Some(row) = rows.next()?
            && let Ok(ours) = serde_json::from_str::<Table>(&row.get::<_, String>(0)?)
            && ours.columns.len() == table.columns.len()
            && ours.columns.iter().zip(&table.columns).all(|(one, other)| one.name == other.name)
        {
            let nocase = std::mem::take(&mut table.nocase);
            return Ok(Some(Table { name: table.name, nocase, ..ours }));
        }
    }
    Ok(Some(table))
}

fn as_sqlite_has_it(connection: &Connection, name: &str) -> Result<Table, SqlError> {
    let real: Option<String> = {
        let mut statement = connection.prepare_cached(
            "select name from sqlite_master where type = 'table' and name = ? collate nocase",
        )?;
        let mut rows = statement.query([name])?;
        rows.next()?.map(|row| row.get(0)).transpose()?
    };
    let mut table = Table {
        name: real.unwrap_or_else(|| name.into()),
        columns: Vec::new(),
        keys: Vec::new(),
        comment: String::new(),
        nocase: Vec::new(),
    };
    let mut primary: Vec<(i64, String)> = Vec::new();
    let mut statement = connection
        .prepare_cached("select name, type, \"notnull\", dflt_value, pk from pragma_table_info(?)")?;
    let mut rows = statement.query([&table.name])?;
    while let Some(row) = rows.next()? {
        let column: String = row.get(0)?;
        let declared: String = row.get(1)?;
        let place: i64 = row.get(4)?;
        if place > 0 {
            primary.push((place, column.clone()));
        }
        let default: Option<String> = row.get(3)?;
        table.columns.push(Column {
            auto: place > 0 && declared.eq_ignore_ascii_case("integer"),
            name: column,
            kind: Kind::parse(&declared).unwrap_or(Kind::Text("longtext".into())),
            not_null: row.get::<_, bool>(2)? || place > 0,
            default: default.and_then(|text| literal(&text)),
            on_update_now: false,
            bytes: false,
            comment: String::new(),
        });
    }
    primary.sort();
    let single = primary.len() == 1;
    for column in &mut table.columns {
        column.auto &= single;
    }
    if !primary.is_empty() {
        let columns = primary.into_iter().map(|(_, column)| column).collect();
        table.keys.push(Key { name: "PRIMARY".into(), columns, unique: true });
    }
    let mut statement = connection.prepare_cached(
        "select name, \"unique\", origin, partial from pragma_index_list(?) order by seq desc",
    )?;
    let mut rows = statement.query([&table.name])?;
    while let Some(row) = rows.next()? {
        let index: String = row.get(0)?;
        let mut statement = connection.prepare_cached(
            "select name, coll from pragma_index_xinfo(?) where key = 1 and name is not null order by seqno",
        )?;
        let columns = statement
            .query_map([&index], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?
            .collect::<Result<Vec<_>, _>>()?;
        if row.get::<_, bool>(3)? {
            // The hub's index of what is beyond ASCII: with it, looking for a text is quick.
            let start = format!("{}.", table.name);
            let column = index.strip_prefix(&start).and_then(|rest| rest.strip_suffix(BEYOND));
            table.nocase.extend(column.map(String::from));
        } else if row.get::<_, String>(2)? != "pk" {
            let name = index.strip_prefix(&format!("{}.", table.name)).unwrap_or(&index).to_string();
            let columns = columns.into_iter().map(|(column, _)| column).collect();
            table.keys.push(Key { name, columns, unique: row.get(1)? });
        }
    }
    Ok(table)
}

/// The value of a default in SQLite's schema.
fn literal(text: &str) -> Option<Default> {
    match text.strip_prefix('\'').and_then(|text| text.strip_suffix('\'')) {
        Some(text) => Some(Default::Text(text.replace("''", "'"))),
        None if text.eq_ignore_ascii_case("null") => None,
        None if text.starts_with('(') || text.to_ascii_lowercase().starts_with("current_") => {
            Some(Default::Now)
        }
        None => Some(Default::Text(text.into())),
    }
}

/// Names of the indexes that statements made for a table.
pub fn indexes(connection: &Connection, table: &str) -> Result<Vec<String>, SqlError> {
    let mut statement =
        connection.prepare_cached("select name from sqlite_master where type = 'index' and tbl_name = ? collate nocase and sql is not null")?;
    let names = statement.query_map([table], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(names)
}

/// What a default is, for messages.
pub fn shown(default: &Default) -> String {
    match default {
        Default::Text(text) => text.clone(),
        Default::Now => "current_timestamp()".into(),
    }
}
