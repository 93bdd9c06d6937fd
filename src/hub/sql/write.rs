//! Statements that change rows.

use std::rc::Rc;

use sqlparser::ast::{
    Assignment, AssignmentTarget, Delete, Expr, FromTable, Insert, OnInsert, OrderByExpr, SetExpr,
    TableFactor, TableObject, TableWithJoins, Update,
};

use super::SqlError;
use super::catalog::{Column as TableColumn, Table, has_other, quoted};
use super::collate;
use super::expression::{Binder, Column, Scope, balanced, unsupported};
use super::term::{Ex, Literal};
use super::types::Type;

/// What a statement changes, for SQLite.
#[derive(Debug)]
pub enum Change {
    /// Statements, one after the other.
    Steps(Vec<String>),
    /// Rows are found first; then, for each, statements whose `?1`, `?2` … are what was found.
    Found {
        /// What finds them.
        query: String,
        /// For each target: from which column on, how many, the statement.
        targets: Vec<(usize, usize, String)>,
    },
}

/// A change of a table's rows.
#[derive(Debug)]
pub struct Write {
    /// What is done.
    pub change: Change,
    /// The table, for messages and numbers.
    pub table: Rc<Table>,
    /// Whether SQLite counts the rows as MySQL does.
    pub counted: bool,
}

/// What `vh_store` is told besides.
const NOT_NULL: u8 = 1;
const IGNORE: u8 = 2;
const REMEMBER: u8 = 4;

impl Binder<'_> {
    /// A value as a column has it.
    fn store(&self, table: &Table, column: &TableColumn, value: &Ex, ignore: bool) -> String {
        let in_unique = table.keys.iter().any(|key| key.unique && key.columns.contains(&column.name));
        let sql = match value.kind {
            Type::Decimal(scale) => format!("vh_dec({}, {scale})", value.sql),
            Type::Double | Type::Float if column.kind.gives(false).is_text() => value.text(),
            _ if column.kind.gives(false).is_number() && value.number.is_some() => value.number(),
            _ => value.sql.clone(),
        };
        let bits = if column.not_null && !column.auto { NOT_NULL } else { 0 }
            | if ignore { IGNORE } else { 0 }
            | if in_unique { REMEMBER } else { 0 };
        let [name, kind, table] =
            [&column.name, &column.kind.written(), &table.name].map(|text| text.replace('\'', "''"));
        format!("vh_store({sql}, '{name}', '{kind}', {bits}, '{table}')")
    }

    /// A text that is the key of another row in other letters, which SQLite's `nocase` does not
    /// see, is written as it is there: then the key is found to be there.
    fn as_it_is_there(&self, table: &Table, column: &TableColumn, value: &Ex, stored: String) -> String {
        if self.several {
            // SQLite takes no more than a few such queries in one.
            return stored;
        }
        let in_unique = table.keys.iter().any(|key| key.unique && key.columns.contains(&column.name));
        if !in_unique || column.kind.gives(column.bytes) != Type::Text || !table.has_text_index(&column.name)
        {
            return stored;
        }
        let name = format!("\"vh_there\".{}", quoted(&column.name));
        let visible =
            matches!(&value.literal, Some(Literal::Text(text)) if text.iter().all(u8::is_ascii_graphic));
        let others = format!("{} and {name} collate {} = \"vh_new\".\"v\"", has_other(&name), collate::NAME);
        let condition = if visible {
            others
        } else {
            let new = has_other("\"vh_new\".\"v\"");
            format!("({others}) or ({new} and {name} = vh_fold(\"vh_new\".\"v\") collate nocase)")
        };
        format!(
            "(with \"vh_new\" (\"v\") as (values ({stored})) select coalesce((select {name} from {} as \"vh_there\" where {condition} limit 1), \"v\") from \"vh_new\")",
            quoted(&table.name)
        )
    }

    /// `INSERT` and `REPLACE`.
    pub fn insert(&mut self, insert: &Insert) -> Result<Write, SqlError> {
        let TableObject::TableName(name) = &insert.table else { return Err(unsupported("INSERT into this")) };
        let name = self.table_name(name)?;
        let table = self.stored(&name)?;
        let ignore = insert.ignore;
        let mut places = Vec::new();
        let named: Vec<String> = if insert.assignments.is_empty() {
            insert
                .columns
                .iter()
                .filter_map(|column| column.0.last()?.as_ident())
                .map(|column| self.source.name(&column.value))
                .collect()
        } else {
            insert.assignments.iter().map(|each| self.target(each)).collect::<Result<_, _>>()?
        };
        for name in &named {
            let at = table.position(name).ok_or_else(|| SqlError::NoColumn(name.clone()))?;
            if places.contains(&at) {
                return Err(SqlError::Wrong(format!("Column '{name}' specified twice")));
            }
            places.push(at);
        }
        let body = insert.source.as_ref().map(|source| &*source.body);
        let empty =
            matches!(body, Some(SetExpr::Values(values)) if values.rows.iter().all(|row| row.is_empty()));
        if named.is_empty() && insert.columns.is_empty() && insert.assignments.is_empty() && !empty {
            places = (0..table.columns.len()).collect();
        }
        let columns: Vec<String> = table.columns.iter().map(|column| quoted(&column.name)).collect();
        let source = match body {
            _ if !insert.assignments.is_empty() => {
                let values: Vec<Expr> = insert.assignments.iter().map(|each| each.value.clone()).collect();
                format!("values {}", self.row(&table, &places, &values, ignore)?)
            }
            Some(SetExpr::Values(values)) => {
                self.several = values.rows.len() > 1;
                let rows = values
                    .rows
                    .iter()
                    .map(|row| self.row(&table, &places, row, ignore))
                    .collect::<Result<Vec<_>, _>>()?;
                format!("values {}", rows.join(", "))
            }
            None if empty || insert.source.is_none() => {
                format!("values {}", self.row(&table, &[], &[], ignore)?)
            }
            _ => {
                let Some(query) = &insert.source else { return Err(unsupported("INSERT without values")) };
                let bound = self.query(query)?;
                if bound.columns.len() != places.len() {
                    return Err(SqlError::Wrong("Column count doesn't match value count at row 1".into()));
                }
                let names: Vec<String> = (1..=places.len()).map(|at| format!("\"c{at}\"")).collect();
                let given: Vec<Ex> = bound
                    .columns
                    .iter()
                    .zip(&names)
                    .map(|((_, kind), name)| Ex::new(name.clone(), *kind))
                    .collect();
                let values = self.values(&table, &places, &given, ignore)?;
                format!(
                    "select {} from (with \"vh_from\" ({}) as ({}) select * from \"vh_from\") where true",
                    values.join(", "),
                    names.join(", "),
                    bound.sql
                )
            }
        };
        let how = match (insert.replace_into, ignore) {
            (true, _) => "insert or replace",
            (_, true) => "insert or ignore",
            _ => "insert",
        };
        let mut sql = format!("{how} into {} ({}) {source}", quoted(&table.name), columns.join(", "));
        if let Some(OnInsert::DuplicateKeyUpdate(assignments)) = &insert.on {
            let from = self.table_as(&table.name, Rc::clone(&table));
            self.scopes.push(Scope { tables: vec![from], values: true, ..Scope::default() });
            let set = self.assignments(&table, assignments, ignore);
            self.scopes.pop();
            sql = sql.replacen("insert or ignore", "insert", 1);
            let mut set = set?;
            self.touched(&table, &mut set, ignore);
            sql += &format!(" on conflict do update set {}", assigned(&set).join(", "));
        }
        let counted = !insert.replace_into && insert.on.is_none();
        Ok(Write { change: Change::Steps(vec![sql]), table, counted })
    }

    fn row(
        &mut self,
        table: &Rc<Table>,
        places: &[usize],
        values: &[Expr],
        ignore: bool,
    ) -> Result<String, SqlError> {
        if values.len() != places.len() {
            return Err(SqlError::Wrong("Column count doesn't match value count at row 1".into()));
        }
        let from = self.table_as(&table.name, Rc::clone(table));
        let mut given = Vec::new();
        for (value, at) in values.iter().zip(places) {
            given.push(match value {
                Expr::Identifier(name)
                    if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default") =>
                {
                    let Some(column) = table.columns.get(*at) else { continue };
                    self.left_out(column, ignore)?
                }
                Expr::Function(function) if function.name.to_string().eq_ignore_ascii_case("default") => {
                    self.scopes.push(Scope { tables: vec![from.clone()], ..Scope::default() });
                    let ex = self.expression(value);
                    self.scopes.pop();
                    ex?
                }
                value => self.expression(value)?,
            });
        }
        Ok(format!("({})", self.values(table, places, &given, ignore)?.join(", ")))
    }

    /// The values of all columns of a row, of which some are given.
    fn values(
        &mut self,
        table: &Table,
        places: &[usize],
        given: &[Ex],
        ignore: bool,
    ) -> Result<Vec<String>, SqlError> {
        let mut values = Vec::new();
        for (at, column) in table.columns.iter().enumerate() {
            let value = match places.iter().position(|place| *place == at).and_then(|place| given.get(place))
            {
                Some(value) => value.clone(),
                None => self.left_out(column, ignore)?,
            };
            let stored = self.store(table, column, &value, ignore);
            values.push(if column.auto {
                format!("vh_auto({stored})")
            } else {
                self.as_it_is_there(table, column, &value, stored)
            });
        }
        Ok(values)
    }

    /// What a column gets that no value is given for.
    fn left_out(&mut self, column: &TableColumn, ignore: bool) -> Result<Ex, SqlError> {
        if column.auto || column.default.is_some() || !column.not_null {
            return Ok(self.default_value(column));
        }
        let first_of_enum = matches!(column.kind, super::types::Kind::Enum(_));
        if ignore || first_of_enum {
            return Ok(self.string(column.kind.implicit_default().into_bytes()));
        }
        Err(SqlError::NoDefault(column.name.clone()))
    }

    fn target(&self, assignment: &Assignment) -> Result<String, SqlError> {
        match &assignment.target {
            AssignmentTarget::ColumnName(name) => {
                let last = name.0.last().and_then(|part| part.as_ident());
                last.map(|name| self.source.name(&name.value)).ok_or_else(|| unsupported("this assignment"))
            }
            AssignmentTarget::Tuple(_) => Err(unsupported("assignments to rows")),
        }
    }

    /// `column = value`, each of which sees what those before it assigned.
    fn assignments(
        &mut self,
        table: &Rc<Table>,
        assignments: &[Assignment],
        ignore: bool,
    ) -> Result<Vec<(String, String)>, SqlError> {
        let mut set: Vec<(String, String)> = Vec::new();
        for assignment in assignments {
            let name = self.target(assignment)?;
            let column = table.column(&name).ok_or(SqlError::NoColumn(name))?.clone();
            let stored = self.assigned(table, &column, &assignment.value, ignore)?;
            set.retain(|(other, _)| *other != column.name);
            set.push((column.name.clone(), stored));
        }
        Ok(set)
    }

    fn assigned(
        &mut self,
        table: &Rc<Table>,
        column: &TableColumn,
        value: &Expr,
        ignore: bool,
    ) -> Result<String, SqlError> {
        let value = match value {
            Expr::Identifier(name)
                if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default") =>
            {
                self.left_out(column, ignore)?
            }
            value => self.expression(value)?,
        };
        let stored = self.store(table, column, &value, ignore);
        if let Some(scope) = self.scopes.last_mut() {
            let mut ex = Ex::new(stored.clone(), column.kind.gives(column.bytes));
            if let Type::Decimal(scale) = ex.kind {
                ex.sql = format!("vh_dec({stored}, {scale})");
            }
            scope.assigned.push(Column { name: column.name.clone(), ex });
        }
        Ok(stored)
    }

    /// Columns that note when a row was changed.
    fn touched(&mut self, table: &Table, set: &mut Vec<(String, String)>, ignore: bool) {
        for column in table.columns.iter().filter(|column| column.on_update_now) {
            if !set.iter().any(|(other, _)| *other == column.name) {
                let stored = self.store(table, column, &Ex::new("vh_now()", Type::DateTime), ignore);
                set.push((column.name.clone(), stored));
            }
        }
    }

    /// `UPDATE`.
    pub fn update(&mut self, update: &Update, ignore: bool) -> Result<Write, SqlError> {
        if update.from.is_some() {
            return Err(unsupported("UPDATE … FROM"));
        }
        self.scopes.push(Scope::default());
        let result = self.update_in_scope(update, ignore);
        self.scopes.pop();
        result
    }

    fn update_in_scope(&mut self, update: &Update, ignore: bool) -> Result<Write, SqlError> {
        let from = self.from(std::slice::from_ref(&update.table))?;
        let tables = self.scopes.last().map_or_else(Vec::new, |scope| scope.tables.clone());
        let verb = if ignore { "update or ignore" } else { "update" };
        if let [only] = tables.as_slice() {
            let table = only.table.clone().ok_or_else(|| unsupported("UPDATE of a derived table"))?;
            let selection = self.rows(
                &update.selection,
                &update.order_by,
                update.limit.as_ref(),
                &table,
                &from,
                &only.name,
            )?;
            let mut set = self.assignments(&table, &update.assignments, ignore)?;
            // Rows that would not change are not touched, and not counted.
            let changes: Vec<String> = set
                .iter()
                .map(|(column, value)| {
                    format!("{}.{} collate binary is not {value}", quoted(&only.name), quoted(column))
                })
                .collect();
            let changes = if self.lasting { balanced(&changes, "or") } else { "1".into() };
            let selection = match selection.strip_prefix(" where ") {
                Some(condition) => format!(" where ({condition}) and {changes}"),
                None => format!(" where {changes}"),
            };
            self.touched(&table, &mut set, ignore);
            let sql = format!("{verb} {from} set {}{selection}", assigned(&set).join(", "));
            return Ok(Write { change: Change::Steps(vec![sql]), table, counted: true });
        }
        if !update.order_by.is_empty() || update.limit.is_some() {
            return Err(SqlError::Wrong("Incorrect usage of UPDATE and LIMIT".into()));
        }
        // For each table: what is assigned to it.
        let mut sets: Vec<(usize, Vec<(String, String)>)> = Vec::new();
        for assignment in &update.assignments {
            let (at, column) = self.column_of(assignment, &tables)?;
            let table = self.table_at(&tables, at)?;
            let value = match &assignment.value {
                Expr::Identifier(name)
                    if name.quote_style.is_none() && name.value.eq_ignore_ascii_case("default") =>
                {
                    self.left_out(&column, ignore)?
                }
                value => self.expression(value)?,
            };
            let stored = self.store(&table, &column, &value, ignore);
            match sets.iter_mut().find(|(place, _)| *place == at) {
                Some((_, set)) => set.push((column.name, stored)),
                None => sets.push((at, vec![(column.name, stored)])),
            }
        }
        let mut columns = Vec::new();
        let mut targets = Vec::new();
        let mut first = None;
        for (at, mut set) in sets {
            let table = self.table_at(&tables, at)?;
            self.touched(&table, &mut set, ignore);
            let Some(from) = tables.get(at) else { continue };
            let start = columns.len();
            columns.push(format!("{}.{}", quoted(&from.name), table.rowid()?));
            let mut assigned = Vec::new();
            for (column, value) in set {
                columns.push(value);
                assigned.push(format!("{} = ?{}", quoted(&column), columns.len() - start));
            }
            let statement = format!(
                "{verb} {} set {} where {} = ?1",
                quoted(&table.name),
                assigned.join(", "),
                table.rowid()?
            );
            targets.push((start, columns.len() - start, statement));
            first.get_or_insert(table);
        }
        let condition = self.condition(update.selection.as_ref())?;
        let query = format!("select {} from {from}{condition}", columns.join(", "));
        let table = first.ok_or_else(|| unsupported("UPDATE without assignments"))?;
        Ok(Write { change: Change::Found { query, targets }, table, counted: true })
    }

    fn table_at(&self, tables: &[super::expression::From], at: usize) -> Result<Rc<Table>, SqlError> {
        tables
            .get(at)
            .and_then(|from| from.table.clone())
            .ok_or_else(|| unsupported("a change of a derived table"))
    }

    /// The table and column that an assignment of several tables means.
    fn column_of(
        &self,
        assignment: &Assignment,
        tables: &[super::expression::From],
    ) -> Result<(usize, TableColumn), SqlError> {
        let AssignmentTarget::ColumnName(name) = &assignment.target else {
            return Err(unsupported("assignments to rows"));
        };
        let parts: Vec<String> = name
            .0
            .iter()
            .filter_map(|part| part.as_ident())
            .map(|part| self.source.name(&part.value))
            .collect();
        let (owner, column) = match parts.as_slice() {
            [column] => (None, column),
            [table, column] | [_, table, column] => (Some(table), column),
            _ => return Err(unsupported("this assignment")),
        };
        let mut found = tables
            .iter()
            .enumerate()
            .filter(|(_, from)| owner.is_none_or(|owner| from.name.eq_ignore_ascii_case(owner)));
        found
            .find_map(|(at, from)| Some((at, from.table.as_ref()?.column(column)?.clone())))
            .ok_or_else(|| SqlError::NoColumn(parts.join(".")))
    }

    fn condition(&mut self, selection: Option<&Expr>) -> Result<String, SqlError> {
        Ok(match selection {
            Some(selection) => format!(" where {}", self.expression(selection)?.number()),
            None => String::new(),
        })
    }

    /// Which rows of one table are meant.
    fn rows(
        &mut self,
        selection: &Option<Expr>,
        order: &[OrderByExpr],
        limit: Option<&Expr>,
        table: &Table,
        from: &str,
        alias: &str,
    ) -> Result<String, SqlError> {
        let condition = self.condition(selection.as_ref())?;
        let Some(limit) = limit else { return Ok(condition) };
        let limit =
            limit.to_string().parse::<u64>().map_err(|_| SqlError::Wrong("LIMIT needs a number".into()))?;
        let mut by = Vec::new();
        for each in order {
            let ex = self.expression(&each.expr)?;
            by.push(format!("{}{}", ex.order(), super::expression::direction(each)));
        }
        let order = if by.is_empty() { String::new() } else { format!(" order by {}", by.join(", ")) };
        let row = table.rowid()?;
        Ok(format!(
            " where {row} in (select {}.{row} from {from}{condition}{order} limit {})",
            quoted(alias),
            i64::try_from(limit).unwrap_or(i64::MAX)
        ))
    }

    /// `DELETE`.
    pub fn delete(&mut self, delete: &Delete) -> Result<Write, SqlError> {
        self.scopes.push(Scope::default());
        let result = self.delete_in_scope(delete);
        self.scopes.pop();
        result
    }

    fn delete_in_scope(&mut self, delete: &Delete) -> Result<Write, SqlError> {
        let (FromTable::WithFromKeyword(list) | FromTable::WithoutKeyword(list)) = &delete.from;
        let (names, list) = match (&delete.using, delete.tables.is_empty()) {
            // DELETE FROM a, b USING …
            (Some(using), _) => (list.iter().map(table_of).collect::<Result<Vec<_>, _>>()?, using),
            (None, false) => (delete.tables.clone(), list),
            (None, true) => (Vec::new(), list),
        };
        let from = self.from(list)?;
        let tables = self.scopes.last().map_or_else(Vec::new, |scope| scope.tables.clone());
        if let ([only], []) = (tables.as_slice(), names.as_slice()) {
            let table = only.table.clone().ok_or_else(|| unsupported("DELETE from a derived table"))?;
            let rows = self.rows(
                &delete.selection,
                &delete.order_by,
                delete.limit.as_ref(),
                &table,
                &from,
                &only.name,
            )?;
            return Ok(Write {
                change: Change::Steps(vec![format!("delete from {from}{rows}")]),
                table,
                counted: true,
            });
        }
        if names.is_empty() || !delete.order_by.is_empty() || delete.limit.is_some() {
            return Err(SqlError::Wrong("DELETE from several tables names them, and has no LIMIT".into()));
        }
        let mut columns = Vec::new();
        let mut targets = Vec::new();
        let mut first = None;
        for name in names {
            let name = self.table_name(&name)?;
            let from = tables
                .iter()
                .find(|from| from.name.eq_ignore_ascii_case(&name))
                .ok_or(SqlError::NoTable(name))?;
            let table = from.table.clone().ok_or_else(|| unsupported("DELETE from a derived table"))?;
            let row = table.rowid()?;
            targets.push((columns.len(), 1, format!("delete from {} where {row} = ?1", quoted(&table.name))));
            columns.push(format!("{}.{row}", quoted(&from.name)));
            first.get_or_insert(table);
        }
        let condition = self.condition(delete.selection.as_ref())?;
        let query = format!("select {} from {from}{condition}", columns.join(", "));
        let table = first.ok_or_else(|| unsupported("DELETE without a table"))?;
        Ok(Write { change: Change::Found { query, targets }, table, counted: true })
    }
}

fn table_of(table: &TableWithJoins) -> Result<sqlparser::ast::ObjectName, SqlError> {
    match &table.relation {
        TableFactor::Table { name, .. } => Ok(name.clone()),
        _ => Err(unsupported("DELETE from a derived table")),
    }
}

/// Assignments as SQLite has them.
fn assigned(set: &[(String, String)]) -> Vec<String> {
    set.iter().map(|(column, value)| format!("{} = {value}", quoted(column))).collect()
}

/// What is said of rows that have the same key.
pub fn duplicate(
    table: &Table,
    columns: &[&str],
    written: &std::collections::HashMap<String, Vec<u8>>,
) -> Option<String> {
    let same = |key: &&super::catalog::Key| {
        key.unique
            && key.columns.len() == columns.len()
            && key.columns.iter().zip(columns).all(|(one, other)| one == other)
    };
    let key = table.keys.iter().find(same)?;
    let values: Vec<String> = key
        .columns
        .iter()
        .map(|column| {
            written
                .get(column)
                .map_or_else(|| "NULL".into(), |value| String::from_utf8_lossy(value).into_owned())
        })
        .collect();
    Some(format!("Duplicate entry '{:.200}' for key '{}'", values.join("-"), key.name))
}
