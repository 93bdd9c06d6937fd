//! Queries that give rows.

use sqlparser::ast::{
    Distinct, Expr, GroupByExpr, Join, JoinConstraint, JoinOperator, LimitClause, OrderBy, OrderByKind,
    Query, Select, SelectItem, SelectItemQualifiedWildcardKind, SetExpr, SetOperator, SetQuantifier,
    TableFactor, TableWithJoins, Value,
};

use super::SqlError;
use super::catalog::quoted;
use super::collate;
use super::expression::{Binder, Column, From, Names, Scope, balanced, direction, unsupported};
use super::term::Ex;
use super::types::Type;

/// A query for SQLite.
#[derive(Debug)]
pub struct Bound {
    /// Its text.
    pub sql: String,
    /// Names and types of its columns.
    pub columns: Vec<(String, Type)>,
    /// Its text without `LIMIT`, if its rows are to be counted.
    pub counted: Option<String>,
}

/// One `SELECT`, before its columns are written.
struct Part {
    distinct: bool,
    items: Vec<Column>,
    /// From `FROM` on.
    rest: String,
    found_rows: bool,
}

impl Part {
    fn write(&self, kinds: &[Type], distinct: bool) -> String {
        let items: Vec<String> = self
            .items
            .iter()
            .zip(kinds)
            .map(|(item, kind)| {
                let sql = item.ex.converted(*kind);
                let collation = if distinct && *kind == Type::Text {
                    format!(" collate {}", collate::NAME)
                } else {
                    String::new()
                };
                format!("{sql}{collation} as {}", quoted(&item.name))
            })
            .collect();
        format!("select {}{}{}", if self.distinct { "distinct " } else { "" }, items.join(", "), self.rest)
    }
}

impl Binder<'_> {
    /// A query within another statement.
    pub fn query(&mut self, query: &Query) -> Result<Bound, SqlError> {
        let with = self.with.len();
        let result = self.query_with(query);
        self.with.truncate(with);
        result
    }

    fn query_with(&mut self, query: &Query) -> Result<Bound, SqlError> {
        if query.fetch.is_some() || query.for_clause.is_some() || !query.pipe_operators.is_empty() {
            return Err(unsupported("FETCH, FOR and pipes in a query"));
        }
        let mut tables = Vec::new();
        if let Some(with) = &query.with {
            for each in &with.cte_tables {
                let name = self.source.name(&each.alias.name.value);
                let given: Vec<String> =
                    each.alias.columns.iter().map(|column| self.source.name(&column.name.value)).collect();
                if with.recursive {
                    // What the first part gives says what the whole does.
                    let columns = self.first_part(&each.query, &given)?;
                    self.with.push((name.clone(), columns));
                }
                let bound = self.query(&each.query)?;
                if with.recursive {
                    self.with.pop();
                }
                let columns = renamed(bound.columns, &given);
                let names: Vec<String> = columns.iter().map(|(name, _)| quoted(name)).collect();
                tables.push(format!("{} ({}) as ({})", quoted(&name), names.join(", "), bound.sql));
                self.with.push((name, columns));
            }
        }
        let mut bound = self.body(&query.body, query.order_by.as_ref(), query.limit_clause.as_ref())?;
        if !tables.is_empty() {
            let recursive =
                if query.with.as_ref().is_some_and(|with| with.recursive) { "recursive " } else { "" };
            let front = format!("with {recursive}{} ", tables.join(", "));
            bound.sql = format!("{front}{}", bound.sql);
            bound.counted = bound.counted.map(|counted| format!("{front}{counted}"));
        }
        Ok(bound)
    }

    fn first_part(&mut self, query: &Query, given: &[String]) -> Result<Vec<(String, Type)>, SqlError> {
        let mut body = &*query.body;
        while let SetExpr::SetOperation { left, .. } = body {
            body = left;
        }
        let strings = self.strings.len();
        let bound = self.body(body, None, None)?;
        self.strings.truncate(strings);
        Ok(renamed(bound.columns, given))
    }

    fn body(
        &mut self,
        body: &SetExpr,
        order: Option<&OrderBy>,
        limit: Option<&LimitClause>,
    ) -> Result<Bound, SqlError> {
        let limit = limit.map_or(Ok(String::new()), |limit| self.limit(limit))?;
        match body {
            SetExpr::Select(select) => {
                let (part, order) = self.select(select, order)?;
                let kinds: Vec<Type> = part.items.iter().map(|item| item.ex.kind).collect();
                let whole = format!("{}{order}", part.write(&kinds, part.distinct));
                Ok(Bound {
                    columns: columns(&part.items, &kinds),
                    counted: part.found_rows.then(|| whole.clone()),
                    sql: format!("{whole}{limit}"),
                })
            }
            SetExpr::Query(query) if order.is_none() && limit.is_empty() => self.query(query),
            SetExpr::Query(_) | SetExpr::SetOperation { .. } => {
                let mut parts = Vec::new();
                self.parts(body, &mut parts)?;
                let Some((_, first)) = parts.first() else { return Err(unsupported("this query")) };
                let width = first.items.len();
                if parts.iter().any(|(_, part)| part.items.len() != width) {
                    return Err(SqlError::Wrong(
                        "The used SELECT statements have a different number of columns".into(),
                    ));
                }
                let kinds: Vec<Type> = (0..width)
                    .map(|at| {
                        parts
                            .iter()
                            .filter_map(|(_, part)| part.items.get(at))
                            .fold(Type::Null, |kind, item| kind.or(item.ex.kind))
                    })
                    .collect();
                let items: Vec<Column> = first.items.clone();
                let sql = united(&parts, &kinds);
                let order =
                    order.map_or(Ok(String::new()), |order| self.order_of_all(order, &items, &kinds))?;
                Ok(Bound {
                    columns: columns(&items, &kinds),
                    counted: None,
                    sql: format!("{sql}{order}{limit}"),
                })
            }
            SetExpr::Values(values) => {
                let mut rows = Vec::new();
                let mut kinds: Vec<Type> = Vec::new();
                for row in &values.rows {
                    let row = row.iter().map(|each| self.expression(each)).collect::<Result<Vec<_>, _>>()?;
                    kinds.resize(row.len(), Type::Null);
                    kinds.iter_mut().zip(&row).for_each(|(kind, ex)| *kind = kind.or(ex.kind));
                    rows.push(row);
                }
                let written: Vec<String> = rows
                    .iter()
                    .map(|row| {
                        let row: Vec<String> =
                            row.iter().zip(&kinds).map(|(ex, kind)| ex.converted(*kind)).collect();
                        format!("({})", row.join(", "))
                    })
                    .collect();
                let columns =
                    kinds.iter().enumerate().map(|(at, kind)| (format!("column{}", at + 1), *kind)).collect();
                Ok(Bound { sql: format!("values {}{limit}", written.join(", ")), columns, counted: None })
            }
            _ => Err(unsupported("a statement that changes something within a query")),
        }
    }

    /// The parts of a `UNION`, each with what is in front of it.
    fn parts(&mut self, body: &SetExpr, parts: &mut Vec<(String, Part)>) -> Result<(), SqlError> {
        match body {
            SetExpr::SetOperation { left, op, set_quantifier, right } => {
                self.parts(left, parts)?;
                let operator = match (op, set_quantifier) {
                    (SetOperator::Union, SetQuantifier::All) => " union all ",
                    (SetOperator::Union, SetQuantifier::None | SetQuantifier::Distinct) => " union ",
                    (SetOperator::Except, SetQuantifier::None | SetQuantifier::Distinct) => " except ",
                    (SetOperator::Intersect, SetQuantifier::None | SetQuantifier::Distinct) => " intersect ",
                    _ => return Err(unsupported(format!("{op} {set_quantifier}"))),
                };
                let part = self.one_part(right)?;
                parts.push((operator.into(), part));
                Ok(())
            }
            other => {
                let part = self.one_part(other)?;
                parts.push((String::new(), part));
                Ok(())
            }
        }
    }

    fn one_part(&mut self, body: &SetExpr) -> Result<Part, SqlError> {
        match body {
            SetExpr::Select(select) => Ok(self.select(select, None)?.0),
            SetExpr::Query(query) => {
                let bound = self.query(query)?;
                Ok(wrapped(bound))
            }
            other => {
                let bound = self.body(other, None, None)?;
                Ok(wrapped(bound))
            }
        }
    }

    fn limit(&mut self, limit: &LimitClause) -> Result<String, SqlError> {
        let number = |expr: &Expr| match expr {
            Expr::Value(value) => match &value.value {
                Value::Number(digits, _) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                    // 18446744073709551615 is how MySQL says "all".
                    Ok(digits.parse::<i64>().unwrap_or(i64::MAX).to_string())
                }
                _ => Err(SqlError::Wrong("LIMIT needs a number".into())),
            },
            _ => Err(SqlError::Wrong("LIMIT needs a number".into())),
        };
        Ok(match limit {
            LimitClause::LimitOffset { limit: Some(limit), offset: None, .. } => {
                format!(" limit {}", number(limit)?)
            }
            LimitClause::LimitOffset { limit: Some(limit), offset: Some(offset), .. } => {
                format!(" limit {} offset {}", number(limit)?, number(&offset.value)?)
            }
            LimitClause::OffsetCommaLimit { offset, limit } => {
                format!(" limit {} offset {}", number(limit)?, number(offset)?)
            }
            LimitClause::LimitOffset { .. } => return Err(SqlError::Wrong("OFFSET needs LIMIT".into())),
        })
    }

    /// One `SELECT`, and its order.
    fn select(&mut self, select: &Select, order: Option<&OrderBy>) -> Result<(Part, String), SqlError> {
        self.scopes.push(Scope::default());
        let result = self.select_in_scope(select, order);
        self.scopes.pop();
        result
    }

    fn scope(&mut self) -> &mut Scope {
        if self.scopes.is_empty() {
            self.scopes.push(Scope::default());
        }
        let last = self.scopes.len() - 1;
        &mut self.scopes[last]
    }

    fn select_in_scope(
        &mut self,
        select: &Select,
        order: Option<&OrderBy>,
    ) -> Result<(Part, String), SqlError> {
        if select.into.is_some()
            || select.top.is_some()
            || !select.lateral_views.is_empty()
            || select.qualify.is_some()
        {
            return Err(unsupported("SELECT … INTO"));
        }
        if !select.named_window.is_empty() {
            return Err(unsupported("named windows"));
        }
        let from = self.from(&select.from)?;
        let mut rest = if from.is_empty() { String::new() } else { format!(" from {from}") };
        let mut conditions = Vec::new();
        if let Some(selection) = &select.selection {
            let condition = self.expression(selection)?;
            if condition.gathers {
                return Err(SqlError::Wrong("Invalid use of group function".into()));
            }
            conditions.push(condition.number());
        }
        let items = self.items(&select.projection)?;
        self.scope().items.clone_from(&items);
        let (groups, modifiers) = match &select.group_by {
            GroupByExpr::Expressions(groups, modifiers) => (groups.as_slice(), modifiers),
            GroupByExpr::All(_) => return Err(unsupported("GROUP BY ALL")),
        };
        if !modifiers.is_empty() {
            return Err(unsupported("GROUP BY … WITH ROLLUP"));
        }
        self.scope().names = Names::ColumnsFirst;
        let groups = groups
            .iter()
            .map(|group| Ok(self.item_or(group, &items)?.group()))
            .collect::<Result<Vec<_>, SqlError>>()?;
        self.scope().names = Names::ItemsFirst;
        let having = select.having.as_ref().map(|having| self.expression(having)).transpose()?;
        let gathers =
            items.iter().any(|item| item.ex.gathers) || having.as_ref().is_some_and(|having| having.gathers);
        let mut after = String::new();
        if let Some(having) = having {
            if groups.is_empty() && !gathers {
                conditions.push(having.number());
            } else {
                after = format!(" having {}", having.number());
            }
        }
        let distinct = match &select.distinct {
            None | Some(Distinct::All) => false,
            Some(Distinct::Distinct) => true,
            Some(Distinct::On(_)) => return Err(unsupported("DISTINCT ON")),
        };
        let order = order.map_or(Ok(String::new()), |order| self.order(order, &items))?;
        if !conditions.is_empty() {
            rest += &format!(" where {}", balanced(&conditions, "and"));
        }
        if !groups.is_empty() {
            rest += &format!(" group by {}", groups.join(", "));
        }
        rest += &after;
        let found_rows =
            select.select_modifiers.as_ref().is_some_and(|modifiers| modifiers.sql_calc_found_rows);
        Ok((Part { distinct, items, rest, found_rows }, order))
    }

    /// What a query gives.
    fn items(&mut self, projection: &[SelectItem]) -> Result<Vec<Column>, SqlError> {
        let mut items = Vec::new();
        for item in projection {
            match item {
                SelectItem::UnnamedExpr(expr) => {
                    let name = match expr {
                        Expr::Identifier(name) => self.source.name(&name.value),
                        Expr::CompoundIdentifier(parts) => {
                            parts.last().map_or_else(String::new, |last| self.source.name(&last.value))
                        }
                        expr => format!("{expr:.60}"),
                    };
                    let ex = self.expression(expr)?;
                    items.push(Column { name, ex });
                }
                SelectItem::ExprWithAlias { expr, alias } => {
                    let name = self.source.name(&alias.value);
                    let ex = self.expression(expr)?;
                    items.push(Column { name, ex });
                }
                SelectItem::Wildcard(_) => {
                    let scope = self.scope();
                    if scope.tables.is_empty() {
                        return Err(SqlError::Wrong("No tables used".into()));
                    }
                    let merged = scope.merged.clone();
                    let hidden = |column: &&Column| {
                        !merged.iter().any(|each| each.name.eq_ignore_ascii_case(&column.name))
                    };
                    items.extend(merged.iter().cloned());
                    items.extend(scope.tables.iter().flat_map(|from| &from.columns).filter(hidden).cloned());
                }
                SelectItem::QualifiedWildcard(SelectItemQualifiedWildcardKind::ObjectName(name), _) => {
                    let name = self.table_name(name)?;
                    let found = self.scope().tables.iter().find(|from| from.name.eq_ignore_ascii_case(&name));
                    let found = found.ok_or(SqlError::NoTable(name))?;
                    let columns = found.columns.clone();
                    items.extend(columns);
                }
                other => return Err(unsupported(format!("{other:.60} in a list of columns"))),
            }
        }
        // A column of its own has no index in what is made of it.
        Ok(items)
    }

    /// An item by its number, or an expression.
    fn item_or(&mut self, expr: &Expr, items: &[Column]) -> Result<Ex, SqlError> {
        if let Expr::Value(value) = expr
            && let Value::Number(digits, _) = &value.value
            && let Ok(at) = digits.parse::<usize>()
        {
            let item = at.checked_sub(1).and_then(|at| items.get(at));
            return item.map(|item| item.ex.clone()).ok_or_else(|| SqlError::NoColumn(digits.clone()));
        }
        self.expression(expr)
    }

    fn order(&mut self, order: &OrderBy, items: &[Column]) -> Result<String, SqlError> {
        let OrderByKind::Expressions(list) = &order.kind else { return Err(unsupported("ORDER BY ALL")) };
        let mut written = Vec::new();
        for by in list {
            let ex = self.item_or(&by.expr, items)?;
            // A constant orders nothing, and is a number of a column for SQLite.
            if ex.literal.is_none() && ex.kind != Type::Null {
                written.push(format!("{}{}", ex.order(), direction(by)));
            }
        }
        Ok(if written.is_empty() { String::new() } else { format!(" order by {}", written.join(", ")) })
    }

    /// The order of a `UNION`: by numbers or names of its columns.
    fn order_of_all(
        &mut self,
        order: &OrderBy,
        items: &[Column],
        kinds: &[Type],
    ) -> Result<String, SqlError> {
        let OrderByKind::Expressions(list) = &order.kind else { return Err(unsupported("ORDER BY ALL")) };
        let mut written = Vec::new();
        for by in list {
            let at = match &by.expr {
                Expr::Value(value) => {
                    value.value.to_string().parse::<usize>().ok().and_then(|at| at.checked_sub(1))
                }
                Expr::Identifier(name) => {
                    let name = self.source.name(&name.value);
                    items.iter().position(|item| item.name.eq_ignore_ascii_case(&name))
                }
                _ => None,
            };
            let Some((at, kind)) = at.and_then(|at| kinds.get(at).map(|kind| (at, kind))) else {
                return Err(unsupported("an order of a UNION by something else than its columns"));
            };
            match kind {
                Type::Text => written.push(format!("{} collate {}{}", at + 1, collate::NAME, direction(by))),
                Type::Decimal(_) => return Err(unsupported("an order of a UNION by decimal numbers")),
                _ => written.push(format!("{}{}", at + 1, direction(by))),
            }
        }
        Ok(format!(" order by {}", written.join(", ")))
    }

    /// The tables of a query, which are put into the scope.
    pub fn from(&mut self, from: &[TableWithJoins]) -> Result<String, SqlError> {
        let mut written = Vec::new();
        for each in from {
            let table = self.joined(each)?;
            if !table.is_empty() {
                written.push(table);
            }
        }
        Ok(written.join(", "))
    }

    fn joined(&mut self, tables: &TableWithJoins) -> Result<String, SqlError> {
        let first = self.scope().tables.len();
        let mut sql = self.factor(&tables.relation)?;
        for join in &tables.joins {
            sql += &self.join(join, first)?;
        }
        Ok(sql)
    }

    /// A join; its left side begins with the table at this place of the scope.
    fn join(&mut self, join: &Join, first: usize) -> Result<String, SqlError> {
        let (word, constraint, right) = match &join.join_operator {
            JoinOperator::Join(constraint)
            | JoinOperator::Inner(constraint)
            | JoinOperator::CrossJoin(constraint)
            | JoinOperator::StraightJoin(constraint) => ("join", constraint, false),
            JoinOperator::Left(constraint) | JoinOperator::LeftOuter(constraint) => {
                ("left join", constraint, false)
            }
            JoinOperator::Right(constraint) | JoinOperator::RightOuter(constraint) => {
                ("right join", constraint, true)
            }
            _ => return Err(unsupported("this kind of JOIN")),
        };
        let middle = self.scope().tables.len();
        let factor = self.factor(&join.relation)?;
        let condition = match constraint {
            JoinConstraint::None => String::new(),
            JoinConstraint::On(on) => format!(" on {}", self.expression(on)?.number()),
            JoinConstraint::Using(names) => {
                let names: Vec<String> = names
                    .iter()
                    .filter_map(|name| name.0.last()?.as_ident())
                    .map(|name| self.source.name(&name.value))
                    .collect();
                self.using(&names, first, middle, right)?
            }
            JoinConstraint::Natural => {
                let scope = self.scope();
                let (left, joined) = scope.tables.split_at(middle);
                let names: Vec<String> = left
                    .iter()
                    .skip(first)
                    .flat_map(|from| &from.columns)
                    .map(|column| column.name.clone())
                    .filter(|name| {
                        joined
                            .iter()
                            .flat_map(|from| &from.columns)
                            .any(|other| other.name.eq_ignore_ascii_case(name))
                    })
                    .collect();
                self.using(&names, first, middle, right)?
            }
            JoinConstraint::UsingAlias(..) => return Err(unsupported("USING … AS")),
        };
        Ok(format!(" {word} {factor}{condition}"))
    }

    /// Columns that both sides of a join have, as one.
    fn using(
        &mut self,
        names: &[String],
        first: usize,
        middle: usize,
        right: bool,
    ) -> Result<String, SqlError> {
        let mut conditions = Vec::new();
        for name in names {
            let scope = self.scope();
            let named = |column: &&Column| column.name.eq_ignore_ascii_case(name);
            let (left, joined) = scope.tables.split_at(middle);
            let known = scope.merged.iter().find(named);
            let one =
                known.or_else(|| left.iter().skip(first).flat_map(|from| &from.columns).find(named)).cloned();
            let other = joined.iter().flat_map(|from| &from.columns).find(named).cloned();
            let (Some(one), Some(other)) = (one, other) else { return Err(SqlError::NoColumn(name.clone())) };
            conditions.push(self.compare(&one.ex, "=", &other.ex)?);
            let shown = if right { other } else { one };
            let merged = &mut self.scope().merged;
            merged.retain(|column| !column.name.eq_ignore_ascii_case(name));
            merged.push(shown);
        }
        Ok(if conditions.is_empty() {
            String::new()
        } else {
            format!(" on {}", balanced(&conditions, "and"))
        })
    }

    fn factor(&mut self, factor: &TableFactor) -> Result<String, SqlError> {
        match factor {
            TableFactor::Table { name, alias, args: None, partitions, .. } => {
                if !partitions.is_empty() {
                    return Err(unsupported("PARTITION"));
                }
                let table = self.table_name(name)?;
                let alias = alias.as_ref().map(|alias| self.source.name(&alias.name.value));
                let qualified = name.0.len() > 1;
                if !qualified && table.eq_ignore_ascii_case("dual") {
                    return Ok(String::new());
                }
                let shown = alias.clone().unwrap_or_else(|| table.clone());
                if let Some(database) = name.0.first().filter(|_| qualified).and_then(|part| part.as_ident())
                {
                    let database = database.value.to_ascii_lowercase();
                    if database == "information_schema" {
                        let (sql, from) = self.information(&table, &shown)?;
                        self.add(from)?;
                        return Ok(sql);
                    }
                    if matches!(database.as_str(), "mysql" | "performance_schema" | "sys") {
                        return Err(SqlError::NoTable(format!("{database}.{table}")));
                    }
                }
                if let Some((name, columns)) =
                    self.with.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(&table))
                {
                    let (name, columns) = (name.clone(), columns.clone());
                    self.add(derived(&shown, &columns))?;
                    return Ok(format!("{} as {}", quoted(&name), quoted(&shown)));
                }
                let table = self.stored(&table)?;
                let sql = format!("{} as {}", quoted(&table.name), quoted(&shown));
                let from = self.table_as(&shown, table);
                self.add(from)?;
                Ok(sql)
            }
            TableFactor::Derived { lateral: false, subquery, alias, .. } => {
                let Some(alias) = alias else {
                    return Err(SqlError::Wrong("Every derived table must have its own alias".into()));
                };
                // It does not see the tables beside it.
                let scope = self.scopes.pop();
                let bound = self.query(subquery);
                self.scopes.extend(scope);
                let bound = bound?;
                let name = self.source.name(&alias.name.value);
                let given: Vec<String> =
                    alias.columns.iter().map(|column| self.source.name(&column.name.value)).collect();
                let columns = renamed(bound.columns, &given);
                let mut seen = std::collections::HashSet::new();
                if let Some((twice, _)) = columns.iter().find(|(name, _)| !seen.insert(name.to_lowercase())) {
                    return Err(SqlError::Wrong(format!("Duplicate column name '{twice}'")));
                }
                self.add(derived(&name, &columns))?;
                let sql = if given.is_empty() {
                    format!("({}) as {}", bound.sql, quoted(&name))
                } else {
                    let names: Vec<String> = columns.iter().map(|(name, _)| quoted(name)).collect();
                    format!(
                        "(with \"vh_named\" ({}) as ({}) select * from \"vh_named\") as {}",
                        names.join(", "),
                        bound.sql,
                        quoted(&name)
                    )
                };
                Ok(sql)
            }
            TableFactor::NestedJoin { table_with_joins, alias: None } => {
                let inner = self.joined(table_with_joins)?;
                Ok(format!("({inner})"))
            }
            other => Err(unsupported(format!("{other:.60} as a table"))),
        }
    }

    /// Puts a table into the scope.
    pub fn add(&mut self, from: From) -> Result<(), SqlError> {
        let scope = self.scope();
        if scope.tables.iter().any(|known| known.name.eq_ignore_ascii_case(&from.name)) {
            return Err(SqlError::Wrong(format!("Not unique table/alias: '{}'", from.name)));
        }
        scope.tables.push(from);
        Ok(())
    }
}

/// A query as a table.
fn derived(name: &str, columns: &[(String, Type)]) -> From {
    let columns = columns
        .iter()
        .map(|(column, kind)| Column {
            name: column.clone(),
            ex: Ex::new(format!("{}.{}", quoted(name), quoted(column)), *kind),
        })
        .collect();
    From { name: name.into(), columns, table: None }
}

/// The parts of a `UNION` as one. Of rows that are the same the first one stays, as `DISTINCT`
/// keeps it; SQLite's `UNION` keeps any.
fn united(parts: &[(String, Part)], kinds: &[Type]) -> String {
    let names: Vec<String> = (1..=kinds.len()).map(|at| format!("\"c{at}\"")).collect();
    let names = names.join(", ");
    let compared: Vec<String> = kinds
        .iter()
        .enumerate()
        .map(|(at, kind)| {
            let collation =
                if *kind == Type::Text { format!(" collate {}", collate::NAME) } else { String::new() };
            format!("\"c{}\"{collation}", at + 1)
        })
        .collect();
    let mut sql = String::new();
    for (operator, part) in parts {
        let text = part.write(kinds, operator != " union all ");
        if operator == " union " {
            sql = format!(
                "select distinct {} from (with \"vh_all\" ({names}) as ({sql} union all {text}) select * from \"vh_all\")",
                compared.join(", ")
            );
        } else {
            sql += &format!("{operator}{text}");
        }
    }
    sql
}

fn columns(items: &[Column], kinds: &[Type]) -> Vec<(String, Type)> {
    items.iter().zip(kinds).map(|(item, kind)| (item.name.clone(), *kind)).collect()
}

fn renamed(mut columns: Vec<(String, Type)>, names: &[String]) -> Vec<(String, Type)> {
    columns.iter_mut().zip(names).for_each(|((old, _), new)| old.clone_from(new));
    columns
}

/// A query as a part of a `UNION`.
fn wrapped(bound: Bound) -> Part {
    let names: Vec<String> = (1..=bound.columns.len()).map(|at| format!("\"c{at}\"")).collect();
    let items = bound
        .columns
        .iter()
        .zip(&names)
        .map(|((name, kind), column)| Column { name: name.clone(), ex: Ex::new(column.clone(), *kind) })
        .collect();
    let rest = format!(
        " from (with \"vh_part\" ({}) as ({}) select * from \"vh_part\")",
        names.join(", "),
        bound.sql
    );
    Part { distinct: false, items, rest, found_rows: false }
}
