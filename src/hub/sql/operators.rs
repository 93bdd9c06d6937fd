//! Operators: what two terms come to, and with which type.

use super::SqlError;
use super::term::{Ex, Literal};
use super::types::Type;

/// A moment, and an interval added to it.
pub fn moved(start: &Ex, value: &Ex, unit: &str, back: bool) -> Ex {
    let of_time = ["hour", "minute", "second"].iter().any(|name| unit.contains(name));
    let (kind, code) = match start.kind {
        Type::Date if !of_time => (Type::Date, 1),
        Type::Time if of_time || unit == "day" => (Type::Time, 3),
        Type::Date | Type::DateTime | Type::Time => (Type::DateTime, 2),
        _ => (Type::Text, 0),
    };
    let sign = if back { -1 } else { 1 };
    let sql = format!("vh_date_add({}, {}, '{unit}', {sign}, {code})", start.sql, value.text());
    Ex::new(sql, kind).like([start, value])
}

/// A condition or its opposite.
pub fn not_if(negated: bool, sql: String) -> Ex {
    Ex::truth(if negated { format!("(not {sql})") } else { sql })
}

/// A number that stands in a query.
pub fn number(digits: &str) -> Result<Ex, SqlError> {
    if digits.contains(['e', 'E']) {
        return Ok(Ex::new(digits, Type::Double));
    }
    if let Some((_, fraction)) = digits.split_once('.') {
        let scale = u8::try_from(fraction.len()).unwrap_or(38).min(38);
        let written = format!("'{}{digits}'", if digits.starts_with('.') { "0" } else { "" });
        return Ok(Ex { number: Some(digits.into()), ..Ex::new(written, Type::Decimal(scale)) });
    }
    match digits.parse::<i64>() {
        Ok(number) => Ok(Ex { literal: Some(Literal::Int(number)), ..Ex::new(digits, Type::Int) }),
        Err(_) => match digits.parse::<u64>() {
            Ok(number) => Ok(Ex::new(number.cast_signed().to_string(), Type::UInt)),
            Err(_) => Ok(Ex::new(format!("'{digits}'"), Type::Decimal(0))),
        },
    }
}

/// What type something has in arithmetic.
pub fn counts(ex: &Ex) -> Type {
    match ex.kind {
        Type::Text | Type::Bytes if ex.number.is_some() => Type::Int,
        Type::Text | Type::Bytes | Type::Float => Type::Double,
        Type::Null | Type::Date | Type::DateTime | Type::Time => Type::Int,
        kind => kind,
    }
}

/// As an exact number: a whole one, or text of digits.
pub fn exact(ex: &Ex) -> String {
    match ex.kind {
        Type::Decimal(_) => ex.sql.clone(),
        _ => ex.number(),
    }
}

/// As a whole number.
pub fn int(ex: &Ex) -> String {
    if ex.kind.is_int() { ex.sql.clone() } else { format!("vh_int({})", ex.number()) }
}

pub fn cast_int(ex: &Ex) -> String {
    match ex.kind {
        Type::Int | Type::UInt => ex.sql.clone(),
        // Text is cut off at what is no digit.
        Type::Text | Type::Bytes if ex.number.is_none() => {
            format!("cast(vh_trim({}, 3, ' ') as integer)", ex.sql)
        }
        _ => format!("vh_int({})", ex.number()),
    }
}

/// The type of text made of these.
pub fn text_kind<'a>(parts: impl IntoIterator<Item = &'a Ex>) -> Type {
    if parts.into_iter().any(|part| part.kind == Type::Bytes) { Type::Bytes } else { Type::Text }
}

pub fn bits(one: &Ex, op: &str, other: &Ex) -> Ex {
    Ex::new(format!("({} {op} {})", int(one), int(other)), Type::UInt)
}

pub fn arithmetic(one: &Ex, op: char, exactly: &str, other: &Ex) -> Ex {
    let (a, b) = (counts(one), counts(other));
    if a == Type::Double || b == Type::Double {
        return Ex::new(format!("({} {op} {})", one.number(), other.number()), Type::Double);
    }
    if a.is_int() && b.is_int() {
        let sql = format!("({} {op} {})", one.number(), other.number());
        return if a == Type::UInt || b == Type::UInt {
            Ex::new(format!("vh_uint{sql}"), Type::UInt)
        } else {
            Ex::new(sql, Type::Int)
        };
    }
    let scale =
        if op == '*' { a.scale().saturating_add(b.scale()).min(38) } else { a.scale().max(b.scale()) };
    Ex::new(format!("{exactly}({}, {})", exact(one), exact(other)), Type::Decimal(scale))
}

pub fn divide(one: &Ex, other: &Ex) -> Ex {
    let (a, b) = (counts(one), counts(other));
    if a == Type::Double || b == Type::Double {
        return Ex::new(format!("(cast({} as real) / {})", one.number(), other.number()), Type::Double);
    }
    let scale = a.scale().saturating_add(4).min(38);
    Ex::new(format!("vh_div({}, {})", exact(one), exact(other)), Type::Decimal(scale))
}

/// The remainder.
pub fn modulo(one: &Ex, other: &Ex) -> Ex {
    let (a, b) = (counts(one), counts(other));
    if a == Type::Double || b == Type::Double {
        return Ex::new(format!("vh_fmod({}, {})", one.number(), other.number()), Type::Double);
    }
    if a.is_int() && b.is_int() {
        return Ex::new(format!("({} % {})", one.number(), other.number()), a);
    }
    Ex::new(format!("vh_mod({}, {})", exact(one), exact(other)), Type::Decimal(a.scale().max(b.scale())))
}
