//! What an expression becomes: a piece of SQLite's text, with the type that it has in MySQL.

use std::rc::Rc;

use super::collate;
use super::types::Type;

/// What an expression became.
#[derive(Clone, Debug)]
pub struct Ex {
    /// SQLite's expression.
    pub sql: String,
    /// What it gives.
    pub kind: Type,
    /// The expression as a number, where that is another expression.
    pub number: Option<String>,
    /// What it is, when it stands in the query.
    pub literal: Option<Literal>,
    /// How its rows are found by a text, if it is a column with an index and never NULL.
    pub indexed: Option<Rc<Indexed>>,
    /// Whether it gathers rows.
    pub gathers: bool,
}

/// A text column by whose indexes rows are found.
#[derive(Debug)]
pub struct Indexed {
    /// The number of the query's row.
    pub row: String,
    /// The query of the numbers of rows, up to its condition.
    pub numbers: String,
    /// That query by the index of what is beyond ASCII.
    pub others: String,
    /// The column in those.
    pub column: String,
}

/// What stands in a query.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// A whole number.
    Int(i64),
    /// Text.
    Text(Vec<u8>),
}

impl Ex {
    /// An expression of this type.
    pub fn new(sql: impl Into<String>, kind: Type) -> Ex {
        Ex { sql: sql.into(), kind, number: None, literal: None, indexed: None, gathers: false }
    }

    /// A truth.
    pub fn truth(sql: impl Into<String>) -> Ex {
        Ex::new(sql, Type::Int)
    }

    /// The expression, gathering rows if one of those does.
    pub fn like<'a>(mut self, parts: impl IntoIterator<Item = &'a Ex>) -> Ex {
        self.gathers |= parts.into_iter().any(|part| part.gathers);
        self
    }

    /// As a number that SQLite counts with.
    pub fn number(&self) -> String {
        match (&self.number, self.kind) {
            (Some(number), _) => number.clone(),
            // What division gives has more digits than are shown, and compared.
            (None, Type::Decimal(scale)) => format!("cast(vh_dec({}, {scale}) as real)", self.sql),
            (None, Type::Text | Type::Bytes) => format!("vh_num({})", self.sql),
            (None, kind) if kind.is_temporal() => format!("vh_tnum({})", self.sql),
            _ => self.sql.clone(),
        }
    }

    /// As text.
    pub fn text(&self) -> String {
        match self.kind {
            Type::Int => format!("cast({} as text)", self.sql),
            Type::UInt => format!("vh_ustr({})", self.sql),
            Type::Decimal(scale) => format!("vh_dec({}, {scale})", self.sql),
            Type::Double => format!("vh_dbl({})", self.sql),
            Type::Float => format!("vh_flt({})", self.sql),
            _ => self.sql.clone(),
        }
    }

    /// As a date and time.
    pub fn moment(&self) -> String {
        if self.kind == Type::DateTime { self.sql.clone() } else { format!("vh_dt({})", self.sql) }
    }

    /// As another type, as where values of both are results of one expression.
    pub fn converted(&self, kind: Type) -> String {
        match (self.kind, kind) {
            (own, kind) if own == kind => self.sql.clone(),
            (Type::Null, _) => self.sql.clone(),
            (_, Type::Text | Type::Bytes) => self.text(),
            (_, Type::Double | Type::Float) => self.number(),
            (own, Type::Decimal(_)) if own.is_number() => self.sql.clone(),
            (_, Type::Decimal(scale)) => format!("vh_dec({}, {scale})", self.number()),
            (_, Type::DateTime) => self.moment(),
            _ => self.sql.clone(),
        }
    }

    /// What it is ordered by.
    pub fn order(&self) -> String {
        match self.kind {
            Type::Text if self.number.is_none() => format!("{} collate {}", self.sql, collate::NAME),
            Type::Text | Type::Decimal(_) => self.number(),
            _ => self.sql.clone(),
        }
    }

    /// What rows are grouped by.
    pub fn group(&self) -> String {
        match self.kind {
            Type::Text => format!("{} collate {}", self.sql, collate::NAME),
            _ => self.sql.clone(),
        }
    }
}
