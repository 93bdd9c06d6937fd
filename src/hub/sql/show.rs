//! What tells about tables and the server: `SHOW`, `DESCRIBE`, `information_schema`, system
//! variables.

use super::SqlError;
use super::catalog::{Column as TableColumn, Default, Table, quoted};
use super::expression::{Binder, Column, From};
use super::parse::Show;
use super::term::Ex;
use super::types::{Kind, Type};
use super::variables::VARIABLES;

/// The database's name.
const DATABASE: &str = "verlihub";

/// Rows of text; NULL is `None`.
pub type Answer = Vec<Vec<Option<String>>>;

fn some(text: impl Into<String>) -> Option<String> {
    Some(text.into())
}

fn yes(yes: bool) -> Option<String> {
    some(if yes { "YES" } else { "NO" })
}

impl Table {
    /// `PRI`, `UNI`, `MUL` or nothing.
    fn key_of(&self, column: &str) -> &'static str {
        let has_primary = self.keys.iter().any(|key| key.is_primary());
        // Without a primary key, the first unique one that has no NULL takes its place.
        let stands_in = self.keys.iter().find(|key| {
            key.unique
                && key.columns.iter().all(|name| self.column(name).is_some_and(|column| column.not_null))
        });
        let first = |key: &&super::catalog::Key| key.columns.first().is_some_and(|first| first == column);
        if self.keys.iter().any(|key| key.is_primary() && key.columns.iter().any(|name| name == column))
            || !has_primary && stands_in.is_some_and(|key| key.columns.iter().any(|name| name == column))
        {
            "PRI"
        } else if self.keys.iter().any(|key| key.unique && key.columns.len() == 1 && first(&key)) {
            "UNI"
        } else if self.keys.iter().any(|key| first(&key)) {
            "MUL"
        } else {
            ""
        }
    }

    fn described(&self, column: &TableColumn) -> Vec<Option<String>> {
        vec![
            some(&column.name),
            some(column.kind.written()),
            yes(!column.not_null),
            some(self.key_of(&column.name)),
            column.default.as_ref().map(super::catalog::shown),
            some(extra(column)),
        ]
    }

    /// As `SHOW CREATE TABLE` has it.
    fn created(&self) -> String {
        let name = |name: &str| format!("`{}`", name.replace('`', "``"));
        let text = |text: &str| format!("'{}'", text.replace('\'', "''"));
        let mut lines = Vec::new();
        for column in &self.columns {
            let mut line = format!("  {} {}", name(&column.name), column.kind.written());
            if column.bytes && column.kind.gives(false).is_text() {
                line += " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin";
            }
            if column.not_null {
                line += " NOT NULL";
            } else if matches!(column.kind, Kind::Timestamp(_)) {
                line += " NULL";
            }
            let is_number = column.kind.gives(false).is_number();
            match &column.default {
                Some(Default::Text(value)) if is_number => line += &format!(" DEFAULT {value}"),
                Some(Default::Text(value)) => line += &format!(" DEFAULT {}", text(value)),
                Some(Default::Now) => line += " DEFAULT current_timestamp()",
                None if !column.not_null => line += " DEFAULT NULL",
                None => {}
            }
            if column.on_update_now {
                line += " ON UPDATE current_timestamp()";
            }
            if column.auto {
                line += " AUTO_INCREMENT";
            }
            if !column.comment.is_empty() {
                line += &format!(" COMMENT {}", text(&column.comment));
            }
            lines.push(line);
        }
        for key in &self.keys {
            let columns = key.columns.iter().map(|column| name(column)).collect::<Vec<_>>().join(",");
            lines.push(match (key.is_primary(), key.unique) {
                (true, _) => format!("  PRIMARY KEY ({columns})"),
                (_, true) => format!("  UNIQUE KEY {} ({columns})", name(&key.name)),
                _ => format!("  KEY {} ({columns})", name(&key.name)),
            });
        }
        let comment =
            if self.comment.is_empty() { String::new() } else { format!(" COMMENT={}", text(&self.comment)) };
        format!(
            "CREATE TABLE {} (\n{}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_general_ci{comment}",
            name(&self.name),
            lines.join(",\n")
        )
    }
}

fn extra(column: &TableColumn) -> &'static str {
    match (column.auto, column.on_update_now) {
        (true, _) => "auto_increment",
        (_, true) => "on update current_timestamp()",
        _ => "",
    }
}

fn collation(column: &TableColumn) -> Option<String> {
    match column.kind.gives(column.bytes) {
        Type::Text => some("utf8mb4_general_ci"),
        Type::Bytes if column.bytes => some("utf8mb4_bin"),
        _ => None,
    }
}

impl Binder<'_> {
    /// Whether a name is like a pattern, in the order of its weights.
    fn is_like(&self, name: &str, pattern: Option<&String>) -> Result<bool, SqlError> {
        let Some(pattern) = pattern else { return Ok(true) };
        let pattern = self.source.bytes(pattern);
        let found = self.connection.query_row(
            "select vh_like(?1, ?2, '\\')",
            [super::super::database::Text(&self.source.encode(name)), super::super::database::Text(&pattern)],
            |row| row.get::<_, bool>(0),
        )?;
        Ok(found)
    }

    fn all_tables(&self) -> Result<Vec<std::rc::Rc<Table>>, SqlError> {
        let names = self.catalog.names(self.connection)?;
        names.iter().map(|name| self.stored(name)).collect()
    }

    /// The answer to `SHOW` or `DESCRIBE`.
    pub fn show(&mut self, show: &Show) -> Result<Answer, SqlError> {
        let mut rows = Answer::new();
        match show {
            Show::Tables(full, pattern) => {
                for name in self.catalog.names(self.connection)? {
                    if self.is_like(&name, pattern.as_ref())? {
                        let kind = full.then(|| some("BASE TABLE"));
                        rows.push([some(name)].into_iter().chain(kind).collect());
                    }
                }
            }
            Show::Columns(full, table, pattern) => {
                let name = self.table_name(table)?;
                let table = self.stored(&name)?;
                for column in &table.columns {
                    if self.is_like(&column.name, pattern.as_ref())? {
                        let mut row = table.described(column);
                        if *full {
                            row.insert(2, collation(column));
                            row.push(some("select,insert,update,references"));
                            row.push(some(&column.comment));
                        }
                        rows.push(row);
                    }
                }
            }
            Show::Index(table) => {
                let name = self.table_name(table)?;
                let table = self.stored(&name)?;
                for key in &table.keys {
                    for (at, column) in key.columns.iter().enumerate() {
                        let null = table.column(column).is_some_and(|column| !column.not_null);
                        rows.push(vec![
                            some(&table.name),
                            some(if key.unique { "0" } else { "1" }),
                            some(&key.name),
                            some((at + 1).to_string()),
                            some(column),
                            some("A"),
                            some("0"),
                            None,
                            None,
                            some(if null { "YES" } else { "" }),
                            some("BTREE"),
                            some(""),
                            some(""),
                            some("NO"),
                        ]);
                    }
                }
            }
            Show::CreateTable(table) => {
                let name = self.table_name(table)?;
                let table = self.stored(&name)?;
                rows.push(vec![some(&table.name), some(table.created())]);
            }
            Show::TableStatus(pattern) => {
                for table in self.all_tables()? {
                    if self.is_like(&table.name, pattern.as_ref())? {
                        let count = self.count(&table)?;
                        let mut row =
                            vec![some(&table.name), some("InnoDB"), some("10"), some("Dynamic"), some(count)];
                        row.extend(["0", "0", "0", "0", "0"].map(some));
                        row.extend([
                            None,
                            None,
                            None,
                            None,
                            some("utf8mb4_general_ci"),
                            None,
                            some(""),
                            some(&table.comment),
                        ]);
                        rows.push(row);
                    }
                }
            }
            Show::Databases(pattern) => {
                for name in ["information_schema", DATABASE] {
                    if self.is_like(name, pattern.as_ref())? {
                        rows.push(vec![some(name)]);
                    }
                }
            }
            Show::Variables(pattern) => {
                for (name, value) in VARIABLES {
                    if self.is_like(name, pattern.as_ref())? {
                        rows.push(vec![some(*name), some(*value)]);
                    }
                }
            }
            Show::Warnings => {}
        }
        Ok(rows)
    }

    fn count(&self, table: &Table) -> Result<String, SqlError> {
        let sql = format!("select count(*) from {}", quoted(&table.name));
        Ok(self.connection.query_row(&sql, [], |row| row.get::<_, i64>(0))?.to_string())
    }

    /// A table of `information_schema`: as a query, and in the scope.
    pub fn information(&mut self, table: &str, alias: &str) -> Result<(String, From), SqlError> {
        // It is as the tables are now.
        self.lasting = false;
        let (columns, rows) = match table.to_ascii_lowercase().as_str() {
            "tables" => self.information_tables()?,
            "columns" => self.information_columns()?,
            "statistics" => self.information_statistics()?,
            "schemata" => (
                vec![("CATALOG_NAME", Type::Text), ("SCHEMA_NAME", Type::Text)],
                vec![vec![some("def"), some("information_schema")], vec![some("def"), some(DATABASE)]],
            ),
            _ => return Err(SqlError::NoTable(format!("information_schema.{table}"))),
        };
        let written: Vec<String> = rows
            .iter()
            .map(|row| {
                let values: Vec<String> = row
                    .iter()
                    .zip(&columns)
                    .map(|(value, (_, kind))| match value {
                        None => "null".into(),
                        Some(text) if kind.is_int() => text.clone(),
                        Some(text) => format!("'{}'", text.replace('\'', "''")),
                    })
                    .collect();
                format!("({})", values.join(", "))
            })
            .collect();
        let names: Vec<String> = columns.iter().map(|(name, _)| quoted(name)).collect();
        let sql = format!(
            "(with \"vh_info\" ({}) as (values {}) select * from \"vh_info\") as {}",
            names.join(", "),
            written.join(", "),
            quoted(alias)
        );
        let columns = columns
            .iter()
            .map(|(name, kind)| Column {
                name: (*name).into(),
                ex: Ex::new(format!("{}.{}", quoted(alias), quoted(name)), *kind),
            })
            .collect();
        Ok((sql, From { name: alias.into(), columns, table: None }))
    }

    #[allow(clippy::type_complexity, reason = "columns and rows")]
    fn information_tables(&self) -> Result<(Vec<(&'static str, Type)>, Answer), SqlError> {
        let columns = vec![
            ("TABLE_CATALOG", Type::Text),
            ("TABLE_SCHEMA", Type::Text),
            ("TABLE_NAME", Type::Text),
            ("TABLE_TYPE", Type::Text),
            ("ENGINE", Type::Text),
            ("TABLE_ROWS", Type::Int),
            ("TABLE_COLLATION", Type::Text),
            ("TABLE_COMMENT", Type::Text),
        ];
        let mut rows = Answer::new();
        for table in self.all_tables()? {
            rows.push(vec![
                some("def"),
                some(DATABASE),
                some(&table.name),
                some("BASE TABLE"),
                some("InnoDB"),
                some(self.count(&table)?),
                some("utf8mb4_general_ci"),
                some(&table.comment),
            ]);
        }
        Ok((columns, rows))
    }

    #[allow(clippy::type_complexity, reason = "columns and rows")]
    fn information_columns(&self) -> Result<(Vec<(&'static str, Type)>, Answer), SqlError> {
        let columns = vec![
            ("TABLE_CATALOG", Type::Text),
            ("TABLE_SCHEMA", Type::Text),
            ("TABLE_NAME", Type::Text),
            ("COLUMN_NAME", Type::Text),
            ("ORDINAL_POSITION", Type::Int),
            ("COLUMN_DEFAULT", Type::Text),
            ("IS_NULLABLE", Type::Text),
            ("DATA_TYPE", Type::Text),
            ("CHARACTER_MAXIMUM_LENGTH", Type::Int),
            ("COLLATION_NAME", Type::Text),
            ("COLUMN_TYPE", Type::Text),
            ("COLUMN_KEY", Type::Text),
            ("EXTRA", Type::Text),
            ("COLUMN_COMMENT", Type::Text),
        ];
        let mut rows = Answer::new();
        for table in self.all_tables()? {
            for (at, column) in table.columns.iter().enumerate() {
                let written = column.kind.written();
                let name = written.split(['(', ' ']).next().unwrap_or_default();
                let length = match column.kind {
                    Kind::Char(length) | Kind::Varchar(length) => some(length.to_string()),
                    _ => None,
                };
                // A default is shown as it would be written.
                let default = match &column.default {
                    Some(Default::Text(text)) if column.kind.gives(false).is_number() => some(text),
                    Some(Default::Text(text)) => some(format!("'{text}'")),
                    Some(Default::Now) => some("current_timestamp()"),
                    None if !column.not_null => some("NULL"),
                    None => None,
                };
                rows.push(vec![
                    some("def"),
                    some(DATABASE),
                    some(&table.name),
                    some(&column.name),
                    some((at + 1).to_string()),
                    default,
                    yes(!column.not_null),
                    some(name),
                    length,
                    collation(column),
                    some(&written),
                    some(table.key_of(&column.name)),
                    some(extra(column)),
                    some(&column.comment),
                ]);
            }
        }
        Ok((columns, rows))
    }

    #[allow(clippy::type_complexity, reason = "columns and rows")]
    fn information_statistics(&self) -> Result<(Vec<(&'static str, Type)>, Answer), SqlError> {
        let columns = vec![
            ("TABLE_SCHEMA", Type::Text),
            ("TABLE_NAME", Type::Text),
            ("NON_UNIQUE", Type::Int),
            ("INDEX_NAME", Type::Text),
            ("SEQ_IN_INDEX", Type::Int),
            ("COLUMN_NAME", Type::Text),
        ];
        let mut rows = Answer::new();
        for table in self.all_tables()? {
            for key in &table.keys {
                for (at, column) in key.columns.iter().enumerate() {
                    rows.push(vec![
                        some(DATABASE),
                        some(&table.name),
                        some(if key.unique { "0" } else { "1" }),
                        some(&key.name),
                        some((at + 1).to_string()),
                        some(column),
                    ]);
                }
            }
        }
        Ok((columns, rows))
    }
}
