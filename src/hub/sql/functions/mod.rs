//! What MySQL's functions do, as functions of SQLite; which of them a query means, and with
//! what types, is decided in [`call`](super::call).
//!
//! Their names in SQLite begin with `vh_`. All are linear in the size of their arguments, or
//! look at the clock.

mod aggregate;
mod date_format;
pub mod decimal;
mod moment;
mod number;
mod pattern;
mod store;
mod text;
mod time;

use std::borrow::Cow;

use rusqlite::Connection;
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::ValueRef;

use super::guard::LONGEST_VALUE;
use super::session::{Datum, Env};
use super::types::Type;

/// What a function came to; the error is for the script.
pub type Outcome = Result<Datum, String>;

/// A function.
type Function = fn(&Call<'_>) -> Outcome;

/// A call of a function.
pub struct Call<'a> {
    /// What all functions have in common.
    pub env: &'a Env,
    context: &'a Context<'a>,
}

impl Call<'_> {
    /// How many arguments there are.
    pub fn count(&self) -> usize {
        self.context.len()
    }

    /// An argument as it is; NULL when there is none.
    pub fn raw(&self, at: usize) -> ValueRef<'_> {
        if at < self.context.len() { self.context.get_raw(at) } else { ValueRef::Null }
    }

    /// Whether an argument is NULL.
    pub fn is_null(&self, at: usize) -> bool {
        self.raw(at) == ValueRef::Null
    }

    /// Whether any argument is NULL.
    pub fn any_null(&self) -> bool {
        (0..self.count()).any(|at| self.is_null(at))
    }

    /// An argument as text.
    pub fn text(&self, at: usize) -> Option<Cow<'_, [u8]>> {
        match self.raw(at) {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(Cow::Owned(number.to_string().into_bytes())),
            ValueRef::Real(number) => Some(Cow::Owned(number::shown(number).into_bytes())),
            ValueRef::Text(text) | ValueRef::Blob(text) => Some(Cow::Borrowed(text)),
        }
    }

    /// An argument as readable text, for formats and names.
    pub fn string(&self, at: usize) -> Option<String> {
        Some(String::from_utf8_lossy(&self.text(at)?).into_owned())
    }

    /// An argument as a number.
    pub fn real(&self, at: usize) -> Option<f64> {
        match self.raw(at) {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(number as f64),
            ValueRef::Real(number) => Some(number),
            ValueRef::Text(text) | ValueRef::Blob(text) => Some(number::leading(text)),
        }
    }

    /// An argument as a whole number, rounded.
    pub fn int(&self, at: usize) -> Option<i64> {
        match self.raw(at) {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(number),
            ValueRef::Real(number) => Some(number.round() as i64),
            ValueRef::Text(text) | ValueRef::Blob(text) => {
                let whole = std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok());
                Some(whole.unwrap_or_else(|| number::leading(text).round() as i64))
            }
        }
    }

    /// An error when the query has to end.
    pub fn in_time(&self) -> Result<(), String> {
        if self.env.deadline.is_over() { Err("the query was stopped".into()) } else { Ok(()) }
    }
}

/// Text as a result, if it is not too long.
pub fn text_of(text: impl Into<Vec<u8>>) -> Outcome {
    fits(Datum::Text(text.into()))
}

fn fits(datum: Datum) -> Outcome {
    match &datum {
        Datum::Text(text) if text.len() > LONGEST_VALUE => Err(too_long()),
        _ => Ok(datum),
    }
}

/// What is said of a text that is too long.
pub fn too_long() -> String {
    format!("a text has more than {} MiB", LONGEST_VALUE >> 20)
}

/// The number with which a text begins.
pub fn number_in(text: &[u8]) -> f64 {
    number::leading(text)
}

/// A truth as MySQL has it.
pub fn truth(yes: bool) -> Outcome {
    Ok(Datum::Int(yes.into()))
}

/// A value that a column of a result has, as text.
pub fn shown(value: ValueRef<'_>, kind: Type) -> Result<Option<Vec<u8>>, String> {
    Ok(Some(match (value, kind) {
        (ValueRef::Null, _) => return Ok(None),
        (ValueRef::Integer(number), Type::UInt) => number.cast_unsigned().to_string().into_bytes(),
        (_, Type::Decimal(scale)) => decimal::rounded(value, scale).into_bytes(),
        (ValueRef::Integer(number), Type::Double | Type::Float) => number::shown(number as f64).into_bytes(),
        (ValueRef::Integer(number), _) => number.to_string().into_bytes(),
        (ValueRef::Real(number), Type::Float) => number::shown_float(number).into_bytes(),
        (ValueRef::Real(number), Type::Int | Type::UInt) if number.abs() >= 9.2e18 => {
            return Err("BIGINT value is out of range".into());
        }
        (ValueRef::Real(number), _) => number::shown(number).into_bytes(),
        (ValueRef::Text(text) | ValueRef::Blob(text), _) => text.to_vec(),
    }))
}

/// Makes all functions known to a connection.
pub fn register(connection: &Connection, env: &Env) -> rusqlite::Result<()> {
    let tables = [text::FUNCTIONS, number::FUNCTIONS, time::FUNCTIONS, store::FUNCTIONS];
    for &(name, changes, function) in tables.into_iter().flatten() {
        let env = env.clone();
        let flags = if changes {
            FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DIRECTONLY
        } else {
            FunctionFlags::SQLITE_UTF8
                | FunctionFlags::SQLITE_DETERMINISTIC
                | FunctionFlags::SQLITE_DIRECTONLY
        };
        connection.create_scalar_function(name, -1, flags, move |context| {
            let call = Call { env: &env, context };
            let fault = |why: String| rusqlite::Error::UserFunctionError(why.into());
            call.in_time().map_err(fault)?;
            function(&call).and_then(fits).map_err(fault)
        })?;
    }
    aggregate::register(connection, env)
}
