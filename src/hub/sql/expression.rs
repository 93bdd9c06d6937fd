//! Expressions: each becomes SQLite's, with the type that it has in MySQL, so that what meets is
//! converted and compared as there.

use std::rc::Rc;

use rusqlite::Connection;
use sqlparser::ast::{
    BinaryOperator, CastKind, DataType, DateTimeField, Expr, Ident, InTarget, ObjectName, OrderByExpr, Value,
};

use super::SqlError;
use super::catalog::{Catalog, Table, quoted};
use super::operators::{cast_int, exact, moved, not_if, number, text_kind};
use super::parse::is_user_variable;
use super::session::Env;
use super::source::Source;
use super::term::{Ex, Indexed, Literal};
use super::types::{Kind, Type};
use super::variables::system_variable;

/// A column of a table in a query.
#[derive(Clone, Debug)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// What reads it.
    pub ex: Ex,
}

/// A table in a query.
#[derive(Clone, Debug)]
pub struct From {
    /// The name by which the query has it.
    pub name: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// What it is, if it is stored.
    pub table: Option<Rc<Table>>,
}

/// Which names come first: those of columns, or those that the query gives.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Names {
    /// Only columns.
    #[default]
    Columns,
    /// Columns, then what the query calls so.
    ColumnsFirst,
    /// What the query calls so, then columns.
    ItemsFirst,
}

/// Where names of one query are looked up.
#[derive(Debug, Default)]
pub struct Scope {
    /// Its tables.
    pub tables: Vec<From>,
    /// Columns that two tables have in common, by `USING`; they hide those of the tables.
    pub merged: Vec<Column>,
    /// What the query gives, by name.
    pub items: Vec<Column>,
    /// Which come first.
    pub names: Names,
    /// Columns that were assigned before, in the same statement.
    pub assigned: Vec<Column>,
    /// Whether `VALUES(column)` means what was to be inserted.
    pub values: bool,
}

/// Translates the parts of one query.
pub struct Binder<'a> {
    /// The database.
    pub connection: &'a Connection,
    /// Its tables.
    pub catalog: &'a Catalog,
    /// What functions have in common.
    pub env: &'a Env,
    /// How text is read.
    pub source: Source,
    /// Strings that stand where the query has `?1`, `?2` and so on.
    pub strings: Vec<Vec<u8>>,
    /// From the outermost to the innermost query.
    pub scopes: Vec<Scope>,
    /// Tables that `WITH` makes: names and columns.
    pub with: Vec<(String, Vec<(String, Type)>)>,
    /// Whether several rows are inserted at once.
    pub several: bool,
    /// Whether the translation holds for the next time.
    pub lasting: bool,
}

/// An error that names what there is none of.
pub fn unsupported(what: impl Into<String>) -> SqlError {
    SqlError::Unsupported(what.into())
}

/// Conditions of which one or all have to hold, as a tree that is not deep.
pub fn balanced(parts: &[String], between: &str) -> String {
    match parts {
        [] => "1".into(),
        [one] => one.clone(),
        parts => {
            let (first, last) = parts.split_at(parts.len() / 2);
            format!("({} {between} {})", balanced(first, between), balanced(last, between))
        }
    }
}

/// The direction of an order.
pub fn direction(by: &OrderByExpr) -> &'static str {
    match by.options.sort {
        Some(sqlparser::ast::OrderBySort::Desc) => " desc",
        _ => "",
    }
}

impl<'a> Binder<'a> {
    /// The last part of a name; what is before it is the database.
    pub fn table_name(&self, name: &ObjectName) -> Result<String, SqlError> {
        let parts: Vec<&Ident> = name.0.iter().filter_map(|part| part.as_ident()).collect();
        match parts.as_slice() {
            [table] | [_, table] => Ok(self.source.name(&table.value)),
            _ => Err(unsupported(format!("the table name {name}"))),
        }
    }

    /// A table that has to be there.
    pub fn stored(&self, name: &str) -> Result<Rc<Table>, SqlError> {
        self.catalog.table(self.connection, name)?.ok_or_else(|| SqlError::NoTable(name.into()))
    }

    /// What reads a column of a table that goes by this name.
    pub fn read(&self, alias: &str, table: &Table, column: &super::catalog::Column) -> Ex {
        let name = format!("{}.{}", quoted(alias), quoted(&column.name));
        let kind = column.kind.gives(column.bytes);
        let mut ex = Ex::new(name.clone(), kind);
        match (&column.kind, kind) {
            (_, Type::Decimal(scale)) => {
                ex.sql = format!("vh_dec({name}, {scale})");
                ex.number = Some(name);
            }
            (Kind::Enum(values), _) => {
                let values = values.join("\u{1}").replace('\'', "''");
                ex.number = Some(format!("vh_enum_index({name}, '{values}')"));
            }
            (_, Type::Text) if column.not_null && table.has_text_index(&column.name) => {
                ex.indexed = table.rowid().ok().map(|row| {
                    let index = quoted(&super::catalog::other_index_name(&table.name, &column.name));
                    let stored = quoted(&table.name);
                    Rc::new(Indexed {
                        row: format!("{}.{row}", quoted(alias)),
                        numbers: format!("select {row} from {stored} where"),
                        others: format!("select {row} from {stored} indexed by {index} where"),
                        column: quoted(&column.name),
                    })
                });
            }
            _ => {}
        }
        ex
    }

    /// A stored table as a part of a query.
    pub fn table_as(&self, alias: &str, table: Rc<Table>) -> From {
        let columns = table
            .columns
            .iter()
            .map(|column| Column { name: column.name.clone(), ex: self.read(alias, &table, column) })
            .collect();
        From { name: alias.into(), columns, table: Some(table) }
    }

    /// A string of the query.
    pub fn string(&mut self, bytes: Vec<u8>) -> Ex {
        let sql = match std::str::from_utf8(&bytes) {
            Ok(text) if !text.contains('\0') => format!("'{}'", text.replace('\'', "''")),
            _ => {
                self.strings.push(bytes.clone());
                format!("cast(?{} as text)", self.strings.len())
            }
        };
        Ex { literal: Some(Literal::Text(bytes)), ..Ex::new(sql, Type::Text) }
    }

    /// A column by its name, or by those of its table and its own.
    pub(super) fn column(&self, parts: &[Ident]) -> Result<Ex, SqlError> {
        let names: Vec<String> = parts.iter().map(|part| self.source.name(&part.value)).collect();
        let (table, name) = match names.as_slice() {
            [name] => (None, name),
            [table, name] | [_, table, name] => (Some(table), name),
            _ => return Err(unsupported("a name of more than three parts")),
        };
        for scope in self.scopes.iter().rev() {
            let item = || {
                let mut found = scope.items.iter().filter(|item| item.name.eq_ignore_ascii_case(name));
                found.next().map(|item| item.ex.clone())
            };
            if table.is_none()
                && scope.names == Names::ItemsFirst
                && let Some(ex) = item()
            {
                return Ok(ex);
            }
            if let Some(found) =
                scope.assigned.iter().rev().find(|column| column.name.eq_ignore_ascii_case(name))
            {
                return Ok(found.ex.clone());
            }
            if table.is_none()
                && let Some(found) = scope.merged.iter().find(|column| column.name.eq_ignore_ascii_case(name))
            {
                return Ok(found.ex.clone());
            }
            let mut found = scope
                .tables
                .iter()
                .filter(|from| table.is_none_or(|table| from.name.eq_ignore_ascii_case(table)))
                .flat_map(|from| from.columns.iter().filter(|column| column.name.eq_ignore_ascii_case(name)));
            if let Some(column) = found.next() {
                if found.next().is_some() {
                    return Err(SqlError::Ambiguous(name.clone()));
                }
                return Ok(column.ex.clone());
            }
            if table.is_none()
                && scope.names == Names::ColumnsFirst
                && let Some(ex) = item()
            {
                return Ok(ex);
            }
        }
        Err(SqlError::NoColumn(names.join(".")))
    }

    /// An expression.
    pub fn expression(&mut self, expr: &Expr) -> Result<Ex, SqlError> {
        // A query says how deep this goes: the stack grows where it is needed.
        stacker::maybe_grow(256 << 10, 2 << 20, || self.expression_on_this_stack(expr))
    }

    fn expression_on_this_stack(&mut self, expr: &Expr) -> Result<Ex, SqlError> {
        match expr {
            Expr::Identifier(name) if is_user_variable(name) => Ok(self.variable(name)),
            Expr::Identifier(name) if name.quote_style.is_none() && name.value.starts_with("@@") => {
                self.system_variable(&name.value)
            }
            Expr::CompoundIdentifier(parts)
                if parts.first().is_some_and(|first| first.value.starts_with("@@")) =>
            {
                self.system_variable(&parts.last().map_or_else(String::new, |last| last.value.clone()))
            }
            Expr::Identifier(name) => self.column(std::slice::from_ref(name)),
            Expr::CompoundIdentifier(parts) => self.column(parts),
            Expr::Value(value) => self.value(&value.value),
            Expr::Nested(inner) => {
                let mut inner = self.expression(inner)?;
                if !inner.sql.starts_with(['\'', '"']) && inner.literal.is_none() {
                    inner.sql = format!("({})", inner.sql);
                }
                Ok(inner)
            }
            Expr::Prefixed { prefix, value } => {
                if prefix.value.eq_ignore_ascii_case("_binary") {
                    return Ok(Ex { kind: Type::Bytes, ..self.expression(value)? });
                }
                if let Expr::Value(value) = &**value
                    && let Value::HexStringLiteral(digits) = &value.value
                {
                    // The bytes of a text, in the encoding that is named.
                    let bytes = hexadecimal(digits)?;
                    let is_utf8 = prefix.value.to_ascii_lowercase().starts_with("_utf8");
                    let text = std::str::from_utf8(&bytes).ok().filter(|_| is_utf8);
                    let bytes = text.map(|text| self.source.encode(text)).unwrap_or(bytes);
                    return Ok(self.string(bytes));
                }
                self.expression(value)
            }
            Expr::UnaryOp { op, expr } => self.unary(*op, expr),
            Expr::BinaryOp { left, op, right } => self.binary(left, op, right),
            Expr::IsNull(inner) => {
                let inner = self.expression(inner)?;
                Ok(Ex::truth(format!("({} is null)", inner.sql)).like([&inner]))
            }
            Expr::IsNotNull(inner) => {
                let inner = self.expression(inner)?;
                Ok(Ex::truth(format!("({} is not null)", inner.sql)).like([&inner]))
            }
            Expr::IsTrue(inner) => self.is(inner, "is true"),
            Expr::IsNotTrue(inner) => self.is(inner, "is not true"),
            Expr::IsFalse(inner) => self.is(inner, "is false"),
            Expr::IsNotFalse(inner) => self.is(inner, "is not false"),
            Expr::IsUnknown(inner) => self.is(inner, "is null"),
            Expr::IsNotUnknown(inner) => self.is(inner, "is not null"),
            Expr::Between { expr, negated, low, high } => {
                let expr = self.expression(expr)?;
                let (low, high) = (self.expression(low)?, self.expression(high)?);
                let from = self.compare(&expr, ">=", &low)?;
                let to = self.compare(&expr, "<=", &high)?;
                Ok(not_if(*negated, format!("({from} and {to})")).like([&expr, &low, &high]))
            }
            Expr::In { expr, target, negated, .. } => self.is_in(expr, target, *negated),
            Expr::Like { negated, expr, pattern, escape_char, any: false } => {
                let (text, pattern) = (self.expression(expr)?, self.expression(pattern)?);
                let escape = match escape_char {
                    Some(escape) => self.expression(escape)?.text(),
                    None => "'\\'".into(),
                };
                let bytes = text.kind == Type::Bytes || pattern.kind == Type::Bytes;
                let name = if bytes { "vh_like_bytes" } else { "vh_like" };
                let call = format!("{name}({}, {}, {escape})", text.text(), pattern.text());
                Ok(not_if(*negated, call).like([&text, &pattern]))
            }
            Expr::RLike { negated, expr, pattern, .. } => {
                let (text, pattern) = (self.expression(expr)?, self.expression(pattern)?);
                let bytes = text.kind == Type::Bytes || pattern.kind == Type::Bytes;
                let call = format!("vh_regexp({}, {}, {})", text.text(), pattern.text(), i32::from(bytes));
                Ok(not_if(*negated, call).like([&text, &pattern]))
            }
            Expr::Case { operand, conditions, else_result, .. } => {
                let operand = operand.as_deref().map(|operand| self.expression(operand)).transpose()?;
                let mut whens = Vec::new();
                let mut results = Vec::new();
                for each in conditions {
                    let condition = self.expression(&each.condition)?;
                    whens.push(match &operand {
                        Some(operand) => self.compare(operand, "=", &condition)?,
                        None => condition.number(),
                    });
                    results.push(self.expression(&each.result)?);
                }
                let otherwise = else_result.as_deref().map(|expr| self.expression(expr)).transpose()?;
                let kind = results.iter().chain(&otherwise).fold(Type::Null, |kind, ex| kind.or(ex.kind));
                let mut sql = String::from("case");
                for (when, then) in whens.iter().zip(&results) {
                    sql += &format!(" when {when} then {}", then.converted(kind));
                }
                if let Some(otherwise) = &otherwise {
                    sql += &format!(" else {}", otherwise.converted(kind));
                }
                Ok(Ex::new(format!("({sql} end)"), kind).like(results.iter().chain(&otherwise)))
            }
            Expr::Exists { subquery, negated } => {
                let query = self.query(subquery)?;
                Ok(not_if(*negated, format!("exists ({})", query.sql)))
            }
            Expr::Subquery(query) => {
                let query = self.query(query)?;
                match query.columns.as_slice() {
                    [(_, kind)] => Ok(Ex::new(format!("({})", query.sql), *kind)),
                    _ => Err(SqlError::Wrong("Operand should contain 1 column(s)".into())),
                }
            }
            Expr::Cast { kind: CastKind::Cast, expr, data_type, .. } => self.cast(expr, data_type),
            Expr::Convert { expr, data_type: Some(data_type), .. } => self.cast(expr, data_type),
            Expr::Convert { expr, charset: Some(charset), .. } => {
                let inner = self.expression(expr)?;
                let kind =
                    if charset.to_string().eq_ignore_ascii_case("binary") { Type::Bytes } else { Type::Text };
                Ok(Ex::new(inner.text(), kind).like([&inner]))
            }
            Expr::Collate { expr, collation } => {
                let inner = self.expression(expr)?;
                let name = collation.to_string().to_ascii_lowercase();
                let bytes = name.ends_with("_bin") || name == "binary";
                Ok(Ex::new(inner.text(), if bytes { Type::Bytes } else { Type::Text }).like([&inner]))
            }
            Expr::TypedString(typed) => {
                let text = typed.value.clone().into_string().unwrap_or_default();
                let bytes = self.source.bytes(&text);
                let text = self.string(bytes);
                match typed.data_type {
                    DataType::Date => Ok(Ex::new(format!("vh_date({})", text.sql), Type::Date)),
                    DataType::Time(..) => Ok(Ex::new(format!("vh_time({})", text.sql), Type::Time)),
                    DataType::Timestamp(..) | DataType::Datetime(_) => {
                        Ok(Ex::new(format!("vh_dt({})", text.sql), Type::DateTime))
                    }
                    _ => Err(unsupported(format!("{} before a string", typed.data_type))),
                }
            }
            Expr::Position { expr, r#in } => self.call("locate", &[(**expr).clone(), (**r#in).clone()]),
            Expr::Substring { expr, substring_from, substring_for, .. } => {
                let arguments: Vec<Expr> = [Some(expr), substring_from.as_ref(), substring_for.as_ref()]
                    .into_iter()
                    .flatten()
                    .map(|each| (**each).clone())
                    .collect();
                self.call("substr", &arguments)
            }
            Expr::Trim { trim_where, trim_what, expr, trim_characters: None } => {
                use sqlparser::ast::TrimWhereField;
                let text = self.expression(expr)?;
                let what = match trim_what {
                    Some(what) => self.expression(what)?.text(),
                    None => "' '".into(),
                };
                let place = match trim_where {
                    Some(TrimWhereField::Leading) => 1,
                    Some(TrimWhereField::Trailing) => 2,
                    _ => 3,
                };
                Ok(Ex::new(format!("vh_trim({}, {place}, {what})", text.text()), text_kind([&text]))
                    .like([&text]))
            }
            Expr::Ceil { expr, .. } => self.call("ceil", std::slice::from_ref(expr)),
            Expr::Floor { expr, .. } => self.call("floor", std::slice::from_ref(expr)),
            Expr::Extract { field: DateTimeField::Custom(unit), expr, .. } => {
                let inner = self.expression(expr)?;
                let unit = unit.value.to_ascii_lowercase();
                Ok(Ex::new(format!("vh_extract({}, '{unit}')", inner.sql), Type::Int).like([&inner]))
            }
            Expr::Interval(_) => Err(SqlError::Wrong("INTERVAL has to be added to something".into())),
            Expr::Function(function) => self.function(function),
            Expr::AnyOp { left, compare_op: BinaryOperator::Eq, right, .. } => match &**right {
                Expr::Subquery(query) => self.is_in(left, &InTarget::Subquery(query.clone()), false),
                _ => Err(unsupported("ANY of something else than a query")),
            },
            Expr::AllOp { left, compare_op: BinaryOperator::NotEq, right } => match &**right {
                Expr::Subquery(query) => self.is_in(left, &InTarget::Subquery(query.clone()), true),
                _ => Err(unsupported("ALL of something else than a query")),
            },
            Expr::AnyOp { .. } | Expr::AllOp { .. } => {
                Err(unsupported("ANY, SOME and ALL with other operators than = ANY and <> ALL"))
            }
            Expr::MatchAgainst { .. } => Err(unsupported("MATCH … AGAINST")),
            Expr::Tuple(_) => Err(SqlError::Wrong("Operand should contain 1 column(s)".into())),
            other => Err(unsupported(format!("{other:.60}"))),
        }
    }

    pub(super) fn is(&mut self, inner: &Expr, what: &str) -> Result<Ex, SqlError> {
        let inner = self.expression(inner)?;
        Ok(Ex::truth(format!("({} {what})", inner.number())).like([&inner]))
    }

    pub(super) fn value(&mut self, value: &Value) -> Result<Ex, SqlError> {
        match value {
            Value::Null => Ok(Ex::new("null", Type::Null)),
            Value::Boolean(yes) => {
                let number = i64::from(*yes);
                Ok(Ex { literal: Some(Literal::Int(number)), ..Ex::new(number.to_string(), Type::Int) })
            }
            Value::Number(digits, _) => number(digits),
            Value::SingleQuotedString(text)
            | Value::DoubleQuotedString(text)
            | Value::NationalStringLiteral(text) => {
                let bytes = self.source.bytes(text);
                Ok(self.string(bytes))
            }
            Value::HexStringLiteral(digits) => Ok(self.bits(hexadecimal(digits)?)),
            Value::SingleQuotedByteStringLiteral(digits) | Value::DoubleQuotedByteStringLiteral(digits) => {
                let number = u64::from_str_radix(digits, 2)
                    .map_err(|_| SqlError::Wrong(format!("b'{digits}' is no number")))?;
                let bytes = number.to_be_bytes();
                let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(7);
                Ok(self.bits(bytes.get(start..).unwrap_or_default().to_vec()))
            }
            other => Err(unsupported(format!("the literal {other:.60}"))),
        }
    }

    /// `0x41` is text, and a number where one is needed.
    pub(super) fn bits(&mut self, bytes: Vec<u8>) -> Ex {
        let number = (bytes.len() <= 8).then(|| {
            bytes.iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte)).cast_signed().to_string()
        });
        let mut ex = self.string(bytes);
        ex.kind = Type::Bytes;
        ex.literal = None;
        ex.number = number;
        ex
    }

    pub(super) fn variable(&mut self, name: &Ident) -> Ex {
        // Its type is that of this moment.
        self.lasting = false;
        let name = name.value.trim_start_matches('@').trim_matches(['`', '\'', '"']).to_lowercase();
        let (kind, _) = self.env.running().session.variable(&name);
        Ex::new(format!("vh_variable('{}')", name.replace('\'', "''")), kind)
    }

    pub(super) fn system_variable(&mut self, name: &str) -> Result<Ex, SqlError> {
        let name = name.trim_start_matches('@').to_ascii_lowercase();
        let name = name.strip_prefix("session.").or(name.strip_prefix("global.")).unwrap_or(&name);
        let value = system_variable(name).ok_or_else(|| SqlError::NoVariable(name.into()))?;
        Ok(match value.parse::<i64>() {
            Ok(number) => Ex::new(number.to_string(), Type::Int),
            Err(_) => self.string(value.into()),
        })
    }

    pub(super) fn cast(&mut self, expr: &Expr, to: &DataType) -> Result<Ex, SqlError> {
        let inner = self.expression(expr)?;
        let written = to.to_string().to_ascii_lowercase();
        let written = written.trim_end_matches(" integer").trim_end_matches(" int");
        let ex = match written {
            "signed" | "integer" | "int" | "bigint" => Ex::new(cast_int(&inner), Type::Int),
            "unsigned" => Ex::new(cast_int(&inner), Type::UInt),
            _ => match Kind::parse(written).map_err(unsupported)? {
                Kind::Char(_) | Kind::Varchar(_) => {
                    let kind = if inner.kind == Type::Bytes { Type::Bytes } else { Type::Text };
                    match written.split(['(', ')']).nth(1) {
                        Some(length) => Ex::new(format!("vh_left({}, {length})", inner.text()), kind),
                        None => Ex::new(inner.text(), kind),
                    }
                }
                Kind::Bytes(_) => Ex::new(inner.text(), Type::Bytes),
                Kind::Decimal(_, scale) => {
                    Ex::new(format!("vh_dec({}, {scale})", exact(&inner)), Type::Decimal(scale))
                }
                Kind::Double => Ex::new(format!("cast({} as real)", inner.number()), Type::Double),
                Kind::Float => Ex::new(format!("cast({} as real)", inner.number()), Type::Float),
                Kind::Date => Ex::new(format!("vh_date({})", inner.sql), Type::Date),
                Kind::DateTime(_) | Kind::Timestamp(_) => {
                    Ex::new(format!("substr(vh_dt({}), 1, 19)", inner.sql), Type::DateTime)
                }
                Kind::Time(_) => Ex::new(format!("vh_time({})", inner.sql), Type::Time),
                Kind::Int { unsigned, .. } => {
                    Ex::new(cast_int(&inner), if unsigned { Type::UInt } else { Type::Int })
                }
                _ => return Err(unsupported(format!("CAST to {to}"))),
            },
        };
        Ok(ex.like([&inner]))
    }

    /// Adds an interval to a moment.
    pub fn move_time(
        &mut self,
        moment: &Expr,
        interval: &sqlparser::ast::Interval,
        back: bool,
    ) -> Result<Ex, SqlError> {
        let start = self.expression(moment)?;
        let value = self.expression(&interval.value)?;
        let Some(DateTimeField::Custom(unit)) = &interval.leading_field else {
            return Err(SqlError::Wrong("INTERVAL needs a unit".into()));
        };
        let unit = unit.value.to_ascii_lowercase();
        Ok(moved(&start, &value, &unit, back))
    }
}

/// The bytes of `X'4142'` or `0x4142`.
fn hexadecimal(digits: &str) -> Result<Vec<u8>, SqlError> {
    let digits = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits.to_string() };
    let pairs = digits.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> =
        pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect();
    bytes.ok_or_else(|| SqlError::Wrong(format!("0x{digits} is no number")))
}
