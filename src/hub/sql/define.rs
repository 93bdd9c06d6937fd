//! Statements that make and change tables.

use sqlparser::ast::{
    ColumnDef, ColumnOption, CreateIndex, CreateTable, CreateTableLikeKind, CreateTableOptions, DataType,
    Expr, IndexColumn, MySQLColumnPosition, ObjectName, SqlOption, TableConstraint, Value,
};

use super::SqlError;
use super::catalog::{Column, Default, Key, Table, quoted};
use super::expression::{Binder, unsupported};
use super::guard::{TABLES, is_hidden, is_own};
use super::select::Bound;
use super::types::{Kind, Type};

/// Statements that change SQLite's schema, in one transaction.
#[derive(Debug, std::default::Default)]
pub struct Definition {
    /// One after the other.
    pub steps: Vec<String>,
}

impl Definition {
    fn remember(&mut self, table: &Table) -> Result<(), SqlError> {
        let json = serde_json::to_string(table).map_err(|error| unsupported(error.to_string()))?;
        self.steps.push(format!(
            "replace into {TABLES} (name, definition) values ('{}', '{}')",
            table.name.replace('\'', "''"),
            json.replace('\'', "''")
        ));
        Ok(())
    }

    pub(super) fn forget(&mut self, name: &str) {
        self.steps.push(format!("delete from {TABLES} where name = '{}'", name.replace('\'', "''")));
    }
}

/// A name that a script's table can have.
fn allowed(name: &str) -> Result<(), SqlError> {
    if is_own(name) || is_hidden(name) || name.is_empty() || name.len() > 64 {
        return Err(SqlError::NotForScripts(name.into()));
    }
    Ok(())
}

impl Binder<'_> {
    /// `CREATE TABLE`; nothing when it is there and may be.
    pub fn create_table(&mut self, create: &CreateTable) -> Result<Definition, SqlError> {
        if create.temporary {
            return Err(unsupported("CREATE TEMPORARY TABLE"));
        }
        if create.partition_by.is_some() {
            return Err(unsupported("PARTITION BY"));
        }
        let name = self.table_name(&create.name)?;
        if let Some(known) = self.catalog.table(self.connection, &name)? {
            return match (create.if_not_exists, create.or_replace) {
                (true, _) => Ok(Definition::default()),
                (_, true) => Err(unsupported("CREATE OR REPLACE TABLE")),
                _ => Err(SqlError::TableExists(known.name.clone())),
            };
        }
        allowed(&name)?;
        let mut definition = Definition::default();
        if let Some(CreateTableLikeKind::Parenthesized(like) | CreateTableLikeKind::Plain(like)) =
            &create.like
        {
            let other = self.table_name(&like.name)?;
            let other = self.stored(&other)?;
            let table = Table { name, nocase: Vec::new(), ..(*other).clone() };
            definition.steps = table.statements(&table.name);
            definition.remember(&table)?;
            return Ok(definition);
        }
        let mut table =
            Table { name, columns: Vec::new(), keys: Vec::new(), comment: String::new(), nocase: Vec::new() };
        let (bytes, counter) = self.options(&create.table_options, &mut table)?;
        for column in &create.columns {
            self.add_column(&mut table, column, bytes, None)?;
        }
        for constraint in &create.constraints {
            self.add_constraint(&mut table, constraint)?;
        }
        let filled = create.query.as_ref().map(|query| self.query(query)).transpose()?;
        if let Some(bound) = &filled {
            add_selected(&mut table, bound);
        }
        if table.columns.is_empty() {
            return Err(SqlError::Wrong("A table must have at least 1 column".into()));
        }
        check(&mut table)?;
        definition.steps = table.statements(&table.name);
        definition.remember(&table)?;
        if let Some(bound) = filled {
            let names: Vec<String> = bound.columns.iter().map(|(name, _)| quoted(name)).collect();
            definition.steps.push(format!(
                "insert into {} ({}) {}",
                quoted(&table.name),
                names.join(", "),
                bound.sql
            ));
        }
        if let (Some(counter), Some(_)) = (counter, table.auto()) {
            definition.steps.extend(count_from(&table.name, counter));
        }
        Ok(definition)
    }

    /// What matters of the options behind a table's columns: whether its text is compared by
    /// bytes, and where its numbers begin.
    pub(super) fn options(
        &self,
        options: &CreateTableOptions,
        table: &mut Table,
    ) -> Result<(bool, Option<i64>), SqlError> {
        let CreateTableOptions::Plain(options) = options else { return Ok((false, None)) };
        let (mut bytes, mut counter) = (false, None);
        for option in options {
            match option {
                SqlOption::Comment(comment) => {
                    table.comment = match comment {
                        sqlparser::ast::CommentDef::WithEq(text)
                        | sqlparser::ast::CommentDef::WithoutEq(text) => self.source.name(text),
                    };
                }
                SqlOption::KeyValue { key, value } => {
                    let value = value.to_string();
                    match key.to_string().to_ascii_uppercase().as_str() {
                        "AUTO_INCREMENT" => counter = value.parse().ok(),
                        "COLLATE" | "DEFAULT COLLATE" => bytes = value.trim_matches('\'').ends_with("_bin"),
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        Ok((bytes, counter))
    }

    pub(super) fn kind(&self, data_type: &DataType) -> Result<Kind, SqlError> {
        let text = match data_type {
            DataType::Enum(values, _) => {
                let values = values.iter().filter_map(|value| match value {
                    sqlparser::ast::EnumMember::Name(name) => Some(self.source.name(name)),
                    sqlparser::ast::EnumMember::NamedValue(..) => None,
                });
                return Ok(Kind::Enum(values.collect()));
            }
            DataType::Set(values) => {
                return Ok(Kind::Set(values.iter().map(|value| self.source.name(value)).collect()));
            }
            other => other.to_string(),
        };
        let lower = text.to_ascii_lowercase();
        Kind::parse(&lower).map_err(unsupported)
    }

    pub(super) fn defined(
        &mut self,
        name: &str,
        data_type: &DataType,
        options: &[ColumnOption],
        bytes: bool,
        keys: &mut Vec<Key>,
    ) -> Result<Column, SqlError> {
        let kind = self.kind(data_type)?;
        let serial = data_type.to_string().eq_ignore_ascii_case("serial");
        let mut column = Column {
            name: name.into(),
            bytes,
            not_null: serial,
            default: None,
            auto: serial,
            on_update_now: false,
            comment: String::new(),
            kind,
        };
        let mut key = |name: &str, unique: bool| {
            keys.push(Key { name: name.into(), columns: vec![column.name.clone()], unique })
        };
        if serial {
            key("", true);
        }
        for option in options {
            match option {
                ColumnOption::Null => column.not_null = false,
                ColumnOption::NotNull => column.not_null = true,
                ColumnOption::Default(expr) => column.default = self.default(expr, &column.kind)?,
                ColumnOption::PrimaryKey(_) => key("PRIMARY", true),
                ColumnOption::Unique(_) => key("", true),
                ColumnOption::DialectSpecific(tokens) => {
                    let words: Vec<String> =
                        tokens.iter().map(|token| token.to_string().to_ascii_uppercase()).collect();
                    match words.first().map(String::as_str) {
                        Some("AUTO_INCREMENT") => column.auto = true,
                        Some("KEY" | "PRIMARY") => key("PRIMARY", true),
                        Some("UNIQUE") => key("", true),
                        _ => return Err(unsupported(words.join(" "))),
                    }
                }
                ColumnOption::Collation(name) => {
                    column.bytes = name.to_string().trim_matches('\'').to_ascii_lowercase().ends_with("_bin")
                }
                ColumnOption::CharacterSet(name) => {
                    if name.to_string().eq_ignore_ascii_case("binary") {
                        column.bytes = true;
                    }
                }
                ColumnOption::Comment(text) => column.comment = self.source.name(text),
                ColumnOption::OnUpdate(_) => column.on_update_now = true,
                ColumnOption::ForeignKey(_) | ColumnOption::Invisible => {}
                ColumnOption::Check(_) => return Err(unsupported("CHECK")),
                ColumnOption::Generated { .. } => return Err(unsupported("generated columns")),
                other => return Err(unsupported(other.to_string())),
            }
        }
        if column.auto {
            column.not_null = true;
            column.default = None;
        }
        Ok(column)
    }

    pub(super) fn default(&mut self, expr: &Expr, kind: &Kind) -> Result<Option<Default>, SqlError> {
        let text = match expr {
            Expr::Value(value) => match &value.value {
                Value::Null => return Ok(None),
                Value::Boolean(yes) => i32::from(*yes).to_string(),
                Value::Number(digits, _) => digits.clone(),
                Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => self.source.name(text),
                other => return Err(unsupported(format!("the default {other}"))),
            },
            Expr::UnaryOp { .. } => expr.to_string().replace(' ', ""),
            Expr::Nested(inner) => return self.default(inner, kind),
            Expr::Function(function)
                if matches!(
                    function.name.to_string().to_ascii_lowercase().as_str(),
                    "current_timestamp" | "now" | "localtime" | "localtimestamp"
                ) =>
            {
                return Ok(Some(Default::Now));
            }
            other => return Err(unsupported(format!("the default {other:.60}"))),
        };
        Ok(Some(Default::Text(match kind {
            Kind::Decimal(_, scale) => {
                super::functions::decimal::rounded(rusqlite::types::ValueRef::Text(text.as_bytes()), *scale)
            }
            _ => text,
        })))
    }

    pub(super) fn add_column(
        &mut self,
        table: &mut Table,
        def: &ColumnDef,
        bytes: bool,
        place: Option<&MySQLColumnPosition>,
    ) -> Result<(), SqlError> {
        let name = self.source.name(&def.name.value);
        if table.column(&name).is_some() {
            return Err(SqlError::Wrong(format!("Duplicate column name '{name}'")));
        }
        let options: Vec<ColumnOption> = def.options.iter().map(|option| option.option.clone()).collect();
        let mut keys = Vec::new();
        let column = self.defined(&name, &def.data_type, &options, bytes, &mut keys)?;
        self.put(table, column, place)?;
        table.keys.append(&mut keys);
        Ok(())
    }

    pub(super) fn put(
        &self,
        table: &mut Table,
        column: Column,
        place: Option<&MySQLColumnPosition>,
    ) -> Result<(), SqlError> {
        let at = match place {
            None => table.columns.len(),
            Some(MySQLColumnPosition::First) => 0,
            Some(MySQLColumnPosition::After(other)) => {
                let other = self.source.name(&other.value);
                table.position(&other).ok_or(SqlError::NoColumn(other))? + 1
            }
        };
        table.columns.insert(at, column);
        Ok(())
    }

    pub(super) fn add_constraint(
        &mut self,
        table: &mut Table,
        constraint: &TableConstraint,
    ) -> Result<(), SqlError> {
        let name_of = |binder: &Self, name: Option<&sqlparser::ast::Ident>| {
            name.map(|name| binder.source.name(&name.value)).unwrap_or_default()
        };
        let (name, columns, unique) = match constraint {
            TableConstraint::PrimaryKey(key) => ("PRIMARY".into(), &key.columns, true),
            TableConstraint::Unique(key) => {
                (name_of(self, key.index_name.as_ref().or(key.name.as_ref())), &key.columns, true)
            }
            TableConstraint::Index(key) => (name_of(self, key.name.as_ref()), &key.columns, false),
            TableConstraint::FulltextOrSpatial(key) => {
                (name_of(self, key.opt_index_name.as_ref()), &key.columns, false)
            }
            // Without InnoDB nothing checks them in MySQL either.
            TableConstraint::ForeignKey(_) => return Ok(()),
            TableConstraint::Check(_) => return Err(unsupported("CHECK")),
            other => return Err(unsupported(other.to_string())),
        };
        let columns = self.key_columns(columns)?;
        table.keys.push(Key { name, columns, unique });
        Ok(())
    }

    fn key_columns(&self, columns: &[IndexColumn]) -> Result<Vec<String>, SqlError> {
        columns
            .iter()
            .map(|column| match &column.column.expr {
                Expr::Identifier(name) => Ok(self.source.name(&name.value)),
                // The start of a column, which is no other key here.
                Expr::Function(function) => {
                    let name = function.name.0.first().and_then(|part| part.as_ident());
                    name.map(|name| self.source.name(&name.value)).ok_or_else(|| unsupported("this key"))
                }
                other => Err(unsupported(format!("a key on {other}"))),
            })
            .collect()
    }

    pub(super) fn changeable(&self, name: &ObjectName) -> Result<std::rc::Rc<Table>, SqlError> {
        let name = self.table_name(name)?;
        let table = self.stored(&name)?;
        allowed(&table.name)?;
        Ok(table)
    }

    /// `CREATE INDEX`.
    pub fn create_index(&mut self, create: &CreateIndex) -> Result<Definition, SqlError> {
        let old = self.changeable(&create.table_name)?;
        let mut table = (*old).clone();
        let name = create.name.as_ref().map(|name| self.table_name(name)).transpose()?.unwrap_or_default();
        if create.if_not_exists && table.keys.iter().any(|key| key.name.eq_ignore_ascii_case(&name)) {
            return Ok(Definition::default());
        }
        let columns = self.key_columns(&create.columns)?;
        table.keys.push(Key { name, columns, unique: create.unique });
        let origins = own_names(&old);
        self.rebuilt(&old, table, &origins)
    }

    /// `DROP INDEX`.
    pub fn drop_index(&mut self, name: &ObjectName, table: &ObjectName) -> Result<Definition, SqlError> {
        let old = self.changeable(table)?;
        let mut new = (*old).clone();
        let name = self.table_name(name)?;
        remove_key(&mut new, &name)?;
        let origins = own_names(&old);
        self.rebuilt(&old, new, &origins)
    }

    /// `DROP TABLE`.
    pub fn drop_tables(&mut self, names: &[ObjectName], if_exists: bool) -> Result<Definition, SqlError> {
        let mut definition = Definition::default();
        for name in names {
            let name = self.table_name(name)?;
            match self.catalog.table(self.connection, &name)? {
                Some(table) => {
                    allowed(&table.name)?;
                    definition.steps.push(format!("drop table {}", quoted(&table.name)));
                    definition.forget(&table.name);
                }
                None if if_exists => {}
                None => return Err(SqlError::UnknownTable(name)),
            }
        }
        Ok(definition)
    }

    /// `TRUNCATE`: the numbers begin anew, too.
    pub fn truncate(&mut self, name: &ObjectName) -> Result<Definition, SqlError> {
        let name = self.table_name(name)?;
        let table = self.stored(&name)?;
        let mut definition = Definition::default();
        definition.steps.push(format!("delete from {}", quoted(&table.name)));
        if table.auto().is_some() && !is_own(&table.name) {
            definition.steps.push(format!(
                "delete from sqlite_sequence where name = '{}'",
                table.name.replace('\'', "''")
            ));
        }
        Ok(definition)
    }

    /// `RENAME TABLE`.
    pub fn rename(&mut self, names: &[(ObjectName, ObjectName)]) -> Result<Definition, SqlError> {
        let mut definition = Definition::default();
        for (from, to) in names {
            let old = self.changeable(from)?;
            let to = self.table_name(to)?;
            definition.steps.append(&mut self.renamed(&old, &to)?.steps);
        }
        Ok(definition)
    }

    pub(super) fn renamed(&mut self, old: &Table, to: &str) -> Result<Definition, SqlError> {
        let table = Table { name: to.into(), ..old.clone() };
        let origins = own_names(old);
        self.rebuilt(old, table, &origins)
    }

    /// The statements that put a new table into an old one's place, with its rows.
    pub(super) fn rebuilt(
        &mut self,
        old: &Table,
        mut table: Table,
        origins: &[(String, String)],
    ) -> Result<Definition, SqlError> {
        allowed(&table.name)?;
        if !old.name.eq_ignore_ascii_case(&table.name)
            && self.catalog.table(self.connection, &table.name)?.is_some()
        {
            return Err(SqlError::TableExists(table.name));
        }
        check(&mut table)?;
        let mut definition = Definition::default();
        let aside = format!("vhpy old {}", old.name);
        definition.steps.push(format!("alter table {} rename to {}", quoted(&old.name), quoted(&aside)));
        // Names of indexes are those of all tables.
        for index in super::catalog::indexes(self.connection, &old.name)? {
            definition.steps.push(format!("drop index {}", quoted(&index)));
        }
        definition.steps.extend(table.statements(&table.name));
        let mut new = Vec::new();
        let mut from = Vec::new();
        for column in &table.columns {
            let origin = origins.iter().find(|(new, _)| new.eq_ignore_ascii_case(&column.name));
            new.push(quoted(&column.name));
            let kind = column.kind.written().replace('\'', "''");
            let name = column.name.replace('\'', "''");
            from.push(match origin {
                Some((_, was)) => {
                    let same = old
                        .column(was)
                        .is_some_and(|old| old.kind == column.kind && (old.not_null || !column.not_null));
                    if same {
                        quoted(was)
                    } else {
                        format!(
                            "vh_store({}, '{name}', '{kind}', {})",
                            quoted(was),
                            i32::from(column.not_null)
                        )
                    }
                }
                None if column.auto => "null".into(),
                None => match &column.default {
                    Some(Default::Text(text)) => {
                        format!("vh_store('{}', '{name}', '{kind}', 2)", text.replace('\'', "''"))
                    }
                    Some(Default::Now) => "vh_now()".into(),
                    None if column.not_null => {
                        format!("'{}'", column.kind.implicit_default().replace('\'', "''"))
                    }
                    None => "null".into(),
                },
            });
        }
        definition.steps.push(format!(
            "insert into {} ({}) select {} from {}",
            quoted(&table.name),
            new.join(", "),
            from.join(", "),
            quoted(&aside)
        ));
        if table.auto().is_some() && old.auto().is_some() {
            definition.steps.push(format!(
                "update sqlite_sequence set seq = coalesce((select seq from sqlite_sequence where name = '{0}'), seq) where name = '{1}'",
                aside.replace('\'', "''"),
                table.name.replace('\'', "''")
            ));
        }
        definition.steps.push(format!("drop table {}", quoted(&aside)));
        definition.forget(&old.name);
        definition.remember(&table)?;
        Ok(definition)
    }
}

pub(super) fn own_names(table: &Table) -> Vec<(String, String)> {
    table.columns.iter().map(|column| (column.name.clone(), column.name.clone())).collect()
}

/// Names keys that have none, and sees that all is as MySQL wants it.
fn check(table: &mut Table) -> Result<(), SqlError> {
    let columns: Vec<String> = table.columns.iter().map(|column| column.name.clone()).collect();
    let mut names: Vec<String> = Vec::new();
    for key in &mut table.keys {
        for column in &mut key.columns {
            let found = columns.iter().find(|name| name.eq_ignore_ascii_case(column));
            column.clone_from(found.ok_or_else(|| SqlError::NoKeyColumn(column.clone()))?);
        }
        if key.name.is_empty() {
            let first = key.columns.first().cloned().unwrap_or_default();
            let mut name = first.clone();
            let mut count = 2;
            while names.iter().any(|other| other.eq_ignore_ascii_case(&name)) {
                name = format!("{first}_{count}");
                count += 1;
            }
            key.name = name;
        }
        if names.iter().any(|other| other.eq_ignore_ascii_case(&key.name)) {
            return Err(if key.is_primary() {
                SqlError::Wrong("Multiple primary key defined".into())
            } else {
                SqlError::Wrong(format!("Duplicate key name '{}'", key.name))
            });
        }
        names.push(key.name.clone());
    }
    // The primary key first, then the other unique ones.
    table.keys.sort_by_key(|key| (!key.is_primary(), !key.unique));
    let primary: Vec<String> =
        table.keys.iter().filter(|key| key.is_primary()).flat_map(|key| key.columns.clone()).collect();
    for column in &mut table.columns {
        column.not_null |= primary.contains(&column.name);
    }
    let counting: Vec<&Column> = table.columns.iter().filter(|column| column.auto).collect();
    let keyed = |column: &&&Column| table.keys.iter().any(|key| key.columns.first() == Some(&column.name));
    if counting.len() > 1 || counting.iter().any(|column| !keyed(&column)) {
        return Err(SqlError::Wrong(
            "Incorrect table definition; there can be only one auto column and it must be defined as a key"
                .into(),
        ));
    }
    Ok(())
}

/// Columns of what a table is filled with.
fn add_selected(table: &mut Table, bound: &Bound) {
    for (name, kind) in &bound.columns {
        if table.column(name).is_some() {
            continue;
        }
        table.columns.push(Column {
            name: name.clone(),
            kind: match kind {
                Type::Int | Type::Null => Kind::Int { name: "bigint".into(), width: 20, unsigned: false },
                Type::UInt => Kind::Int { name: "bigint".into(), width: 20, unsigned: true },
                Type::Decimal(scale) => Kind::Decimal(38, *scale),
                Type::Double => Kind::Double,
                Type::Float => Kind::Float,
                Type::Text => Kind::Text("longtext".into()),
                Type::Bytes => Kind::Bytes("longblob".into()),
                Type::Date => Kind::Date,
                Type::DateTime => Kind::DateTime(0),
                Type::Time => Kind::Time(0),
            },
            not_null: false,
            default: None,
            auto: false,
            on_update_now: false,
            bytes: *kind == Type::Bytes,
            comment: String::new(),
        });
    }
}

pub(super) fn remove_key(table: &mut Table, name: &str) -> Result<(), SqlError> {
    let before = table.keys.len();
    table.keys.retain(|key| !key.name.eq_ignore_ascii_case(name));
    if table.keys.len() == before { Err(SqlError::CannotDrop(format!("INDEX `{name}`"))) } else { Ok(()) }
}

/// Where numbers go on.
pub(super) fn count_from(table: &str, next: i64) -> [String; 2] {
    let name = table.replace('\'', "''");
    let last = next.saturating_sub(1);
    [
        format!("update sqlite_sequence set seq = max(seq, {last}) where name = '{name}'"),
        format!(
            "insert into sqlite_sequence (name, seq) select '{name}', {last}
             where not exists (select 1 from sqlite_sequence where name = '{name}')"
        ),
    ]
}
