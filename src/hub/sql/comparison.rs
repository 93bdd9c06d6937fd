//! Operators between expressions: what they compare or compute, in MySQL's order of types.

use sqlparser::ast::{BinaryOperator, Expr, InTarget, UnaryOperator};

use super::SqlError;
use super::catalog::has_other;
use super::collate;
use super::expression::{Binder, balanced, unsupported};
use super::operators::{arithmetic, bits, counts, divide, exact, int, modulo, not_if};
use super::parse::is_user_variable;
use super::term::{Ex, Indexed, Literal};
use super::types::Type;

impl Binder<'_> {
    pub(super) fn unary(&mut self, op: UnaryOperator, expr: &Expr) -> Result<Ex, SqlError> {
        let inner = self.expression(expr)?;
        let ex = match (op, inner.kind) {
            (UnaryOperator::Plus, _) => return Ok(inner),
            (UnaryOperator::Not | UnaryOperator::BangNot, _) => {
                Ex::truth(format!("(not {})", inner.number()))
            }
            (UnaryOperator::BitwiseNot, _) => Ex::new(format!("(~vh_int({}))", inner.number()), Type::UInt),
            (UnaryOperator::Minus, Type::Int | Type::UInt | Type::Null) => {
                let literal = match inner.literal {
                    Some(Literal::Int(number)) => number.checked_neg().map(Literal::Int),
                    _ => None,
                };
                Ex { literal, ..Ex::new(format!("(-{})", inner.sql), Type::Int) }
            }
            (UnaryOperator::Minus, Type::Decimal(scale)) => Ex {
                number: inner.number.as_ref().map(|number| format!("(-{number})")),
                ..Ex::new(format!("vh_decneg({})", inner.sql), Type::Decimal(scale))
            },
            (UnaryOperator::Minus, _) => Ex::new(format!("(-{})", inner.number()), Type::Double),
            (op, _) => return Err(unsupported(format!("the operator {op}"))),
        };
        Ok(ex.like([&inner]))
    }

    pub(super) fn binary(&mut self, left: &Expr, op: &BinaryOperator, right: &Expr) -> Result<Ex, SqlError> {
        use BinaryOperator as Op;
        match (op, left, right) {
            (Op::Plus | Op::Minus, _, Expr::Interval(interval)) => {
                return self.move_time(left, interval, *op == Op::Minus);
            }
            (Op::Plus, Expr::Interval(interval), _) => return self.move_time(right, interval, false),
            (Op::Assignment, Expr::Identifier(name), _) if is_user_variable(name) => {
                let value = self.expression(right)?;
                let name = name.value.trim_start_matches('@').trim_matches(['`', '\'', '"']).to_lowercase();
                let code = match value.kind {
                    Type::Int | Type::UInt => 0,
                    Type::Double | Type::Float => 1,
                    Type::Decimal(scale) => 10 + i32::from(scale),
                    _ => 2,
                };
                self.lasting = false;
                let call = format!("vh_set_variable('{}', {}, {code})", name.replace('\'', "''"), value.sql);
                return Ok(Ex::new(call, value.kind).like([&value]));
            }
            (_, Expr::Tuple(left), Expr::Tuple(right)) if left.len() == right.len() => {
                return self.tuples(left, op, right);
            }
            _ => {}
        }
        let (one, other) = (self.expression(left)?, self.expression(right)?);
        let comparison = match op {
            Op::Eq => Some("="),
            Op::NotEq => Some("<>"),
            Op::Lt => Some("<"),
            Op::LtEq => Some("<="),
            Op::Gt => Some(">"),
            Op::GtEq => Some(">="),
            Op::Spaceship => Some("is"),
            _ => None,
        };
        let ex = if let Some(comparison) = comparison {
            Ex::truth(self.compare(&one, comparison, &other)?)
        } else {
            match op {
                Op::And | Op::PGOverlap => Ex::truth(format!("({} and {})", one.number(), other.number())),
                Op::Or | Op::StringConcat => Ex::truth(format!("({} or {})", one.number(), other.number())),
                Op::Xor => Ex::truth(format!("vh_lxor({}, {})", one.number(), other.number())),
                Op::BitwiseAnd => bits(&one, "&", &other),
                Op::BitwiseOr => bits(&one, "|", &other),
                Op::BitwiseXor => Ex::new(format!("vh_xor({}, {})", int(&one), int(&other)), Type::UInt),
                Op::PGBitwiseShiftLeft => {
                    Ex::new(format!("vh_shl({}, {})", int(&one), int(&other)), Type::UInt)
                }
                Op::PGBitwiseShiftRight => {
                    Ex::new(format!("vh_shr({}, {})", int(&one), int(&other)), Type::UInt)
                }
                Op::Plus => arithmetic(&one, '+', "vh_add", &other),
                Op::Minus => arithmetic(&one, '-', "vh_sub", &other),
                Op::Multiply => arithmetic(&one, '*', "vh_mul", &other),
                Op::Divide => divide(&one, &other),
                Op::MyIntegerDivide | Op::DuckIntegerDivide => {
                    if counts(&one).is_int() && counts(&other).is_int() {
                        Ex::new(
                            format!("({} / {})", one.number(), other.number()),
                            counts(&one).or(counts(&other)),
                        )
                    } else {
                        Ex::new(format!("vh_intdiv({}, {})", exact(&one), exact(&other)), Type::Int)
                    }
                }
                Op::Modulo => modulo(&one, &other),
                Op::Regexp => Ex::truth(format!("vh_regexp({}, {}, 0)", one.text(), other.text())),
                op => return Err(unsupported(format!("the operator {op}"))),
            }
        };
        Ok(ex.like([&one, &other]))
    }

    fn tuples(&mut self, left: &[Expr], op: &BinaryOperator, right: &[Expr]) -> Result<Ex, SqlError> {
        let mut parts = Vec::new();
        for (one, other) in left.iter().zip(right) {
            let (one, other) = (self.expression(one)?, self.expression(other)?);
            parts.push(match op {
                BinaryOperator::Eq | BinaryOperator::NotEq => self.compare(&one, "=", &other)?,
                BinaryOperator::Spaceship => self.compare(&one, "is", &other)?,
                _ => return Err(unsupported("rows with other operators than =, <> and IN")),
            });
        }
        Ok(not_if(*op == BinaryOperator::NotEq, balanced(&parts, "and")))
    }

    pub(super) fn is_in(&mut self, expr: &Expr, target: &InTarget, negated: bool) -> Result<Ex, SqlError> {
        match target {
            InTarget::List(list) => {
                if let Expr::Tuple(left) = expr {
                    let mut parts = Vec::new();
                    for each in list {
                        let Expr::Tuple(right) = each else {
                            return Err(SqlError::Wrong("Operand should contain more columns".into()));
                        };
                        parts.push(self.tuples(left, &BinaryOperator::Eq, right)?.sql);
                    }
                    return Ok(not_if(negated, balanced(&parts, "or")));
                }
                let one = self.expression(expr)?;
                let others = list.iter().map(|each| self.expression(each)).collect::<Result<Vec<_>, _>>()?;
                let plain =
                    |ex: &Ex| matches!(ex.kind, Type::Int | Type::UInt | Type::Double) && ex.number.is_none();
                let found =
                    if plain(&one) && others.iter().all(|other| plain(other) || other.kind == Type::Null) {
                        let list: Vec<&str> = others.iter().map(|other| other.sql.as_str()).collect();
                        format!("({} in ({}))", one.sql, list.join(", "))
                    } else if one.kind == Type::Text
                        && one.indexed.is_none()
                        && others.iter().all(|other| matches!(other.kind, Type::Text | Type::Null))
                    {
                        let list: Vec<&str> = others.iter().map(|other| other.sql.as_str()).collect();
                        format!("({} collate {} in ({}))", one.sql, collate::NAME, list.join(", "))
                    } else {
                        let parts = others
                            .iter()
                            .map(|other| self.compare(&one, "=", other))
                            .collect::<Result<Vec<_>, _>>()?;
                        balanced(&parts, "or")
                    };
                Ok(not_if(negated, found).like([&one]).like(&others))
            }
            InTarget::Subquery(query) => {
                let left = match expr {
                    Expr::Tuple(parts) => {
                        parts.iter().map(|part| self.expression(part)).collect::<Result<Vec<_>, _>>()?
                    }
                    expr => vec![self.expression(expr)?],
                };
                let query = self.query(query)?;
                if query.columns.len() != left.len() {
                    return Err(SqlError::Wrong(format!("Operand should contain {} column(s)", left.len())));
                }
                let mut one = Vec::new();
                let mut items = Vec::new();
                for (at, (ex, (_, kind))) in left.iter().zip(&query.columns).enumerate() {
                    let other = Ex::new(format!("\"c{}\"", at + 1), *kind);
                    if ex.kind.is_text() && kind.is_text() {
                        let both = ex.kind.or(*kind);
                        let collation = if both == Type::Text { collate::NAME } else { "binary" };
                        one.push(format!("{} collate {collation}", ex.sql));
                        items.push(other.sql);
                    } else if ex.kind.is_temporal() || kind.is_temporal() {
                        one.push(ex.moment());
                        items.push(other.moment());
                    } else {
                        one.push(ex.number());
                        items.push(other.number());
                    }
                }
                let one = if one.len() == 1 { one.concat() } else { format!("({})", one.join(", ")) };
                let names: Vec<String> = (1..=items.len()).map(|at| format!("\"c{at}\"")).collect();
                let sql = format!(
                    "({one} in (with \"vh_in\" ({}) as ({}) select {} from \"vh_in\"))",
                    names.join(", "),
                    query.sql,
                    items.join(", ")
                );
                Ok(not_if(negated, sql).like(&left))
            }
            _ => Err(unsupported("IN of something else than a list or a query")),
        }
    }

    /// A comparison, as MySQL makes it of two types.
    pub fn compare(&self, one: &Ex, op: &str, other: &Ex) -> Result<String, SqlError> {
        let (a, b) = (one.kind, other.kind);
        let plain = |one: &str, other: &str| format!("({one} {op} {other})");
        if a == Type::Null || b == Type::Null {
            return Ok(plain(&one.sql, &other.sql));
        }
        if a == Type::Time && b == Type::Time || a == Type::Date && b == Type::Date {
            return Ok(plain(&one.sql, &other.sql));
        }
        if a == Type::Time && b.is_text() || b == Type::Time && a.is_text() {
            return Ok(plain(&format!("vh_time({})", one.sql), &format!("vh_time({})", other.sql)));
        }
        if a == Type::Time && b.is_number() || b == Type::Time && a.is_number() {
            return Ok(plain(&one.number(), &other.number()));
        }
        if a.is_temporal() || b.is_temporal() {
            return Ok(plain(&one.moment(), &other.moment()));
        }
        if a.is_text() && b.is_text() {
            if a == Type::Bytes || b == Type::Bytes {
                return Ok(format!("({} collate binary {op} {})", one.sql, other.sql));
            }
            let found = match (op, &one.indexed, &one.literal, &other.indexed, &other.literal) {
                ("=", Some(column), _, _, Some(Literal::Text(text))) => Some((column, text, &other.sql)),
                ("=", _, Some(Literal::Text(text)), Some(column), _) => Some((column, text, &one.sql)),
                _ => None,
            };
            if let Some((column, text, value)) = found {
                return Ok(self.by_index(column, text, value));
            }
            return Ok(format!("({} collate {} {op} {})", one.sql, collate::NAME, other.sql));
        }
        // A text that stands in the query is converted now, so that an index serves.
        Ok(plain(&self.as_number(one), &self.as_number(other)))
    }

    pub(super) fn as_number(&self, ex: &Ex) -> String {
        match (&ex.literal, &ex.number) {
            (Some(Literal::Text(text)), None) => {
                let number = super::functions::number_in(text);
                if number.fract() == 0.0 && number.abs() < 9e15 {
                    format!("{}", number as i64)
                } else {
                    format!("{number:e}")
                }
            }
            _ => ex.number(),
        }
    }

    /// Whether a column has this text, by its indexes: among texts of visible ASCII SQLite's
    /// `nocase` finds it; the few others are in an index of their own. SQLite does not use two
    /// indexes for an OR of these, so the rows' numbers are looked for.
    fn by_index(&self, column: &Indexed, text: &[u8], value: &str) -> String {
        let name = &column.column;
        let others =
            format!("{} {} and {name} collate {} = {value}", column.others, has_other(name), collate::NAME);
        let numbers = match collate::folded(text, self.env.charset) {
            Some(folded) => {
                // Without letters any index serves.
                let letters = folded.bytes().any(|byte| byte.is_ascii_alphabetic());
                let collation = if letters { " collate nocase" } else { "" };
                let folded = folded.replace('\'', "''");
                format!("{} {name} = '{folded}'{collation} union all {others}", column.numbers)
            }
            None => others,
        };
        format!("({} in ({numbers}))", column.row)
    }
}
