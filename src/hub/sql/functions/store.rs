//! What becomes of a value that is written to a column, as a MySQL server in strict mode has
//! it; and what a script's session is asked.

use rusqlite::types::ValueRef;

use super::super::collate;
use super::super::session::{Datum, Env};
use super::super::types::{Kind, Type};
use super::{Call, Function, Outcome, decimal, moment, number, text_of};

/// Names, whether the answer changes by itself, functions.
pub const FUNCTIONS: &[(&str, bool, Function)] = &[
    ("vh_store", true, store),
    ("vh_auto", true, |call| {
        // 0 and NULL are the next number.
        let counts = matches!(call.raw(0), ValueRef::Null | ValueRef::Integer(0));
        call.env.running().counting = counts;
        Ok(if counts { Datum::Null } else { Datum::of(call.raw(0)) })
    }),
    ("vh_last_insert_id", true, |call| {
        let mut running = call.env.running();
        if call.count() == 0 {
            return Ok(Datum::Int(running.session.last_insert_id));
        }
        let said = call.int(0);
        running.said_id = Some(said.unwrap_or(0));
        running.session.last_insert_id = said.unwrap_or(0);
        Ok(said.map_or(Datum::Null, Datum::Int))
    }),
    ("vh_found_rows", true, |call| Ok(Datum::Int(call.env.running().session.found_rows))),
    ("vh_row_count", true, |call| {
        let count = call.env.running().session.row_count;
        let why = "ROW_COUNT() is not known after REPLACE and ON DUPLICATE KEY UPDATE";
        count.map(Datum::Int).ok_or_else(|| why.into())
    }),
    ("vh_variable", true, |call| {
        let name = call.string(0).unwrap_or_default();
        Ok(call.env.running().session.variable(&name).1)
    }),
    ("vh_set_variable", true, |call| {
        let (Some(name), Some(kind)) = (call.string(0), call.int(2)) else { return Ok(Datum::Null) };
        let value = Datum::of(call.raw(1));
        let kind = match kind {
            0 => Type::Int,
            1 => Type::Double,
            2 => Type::Text,
            kind => Type::Decimal(u8::try_from(kind - 10).unwrap_or(0)),
        };
        call.env.running().session.set_variable(&name, kind, value.clone())?;
        Ok(value)
    }),
    ("vh_fail", true, |call| Err(call.string(0).unwrap_or_default())),
];

/// The value, the column's name, its type, bits (1 not NULL, 2 `IGNORE`, 4 remembered for
/// messages), the table's name.
fn store(call: &Call<'_>) -> Outcome {
    let (Some(column), Some(written), Some(bits)) = (call.string(1), call.string(2), call.int(3)) else {
        return Err("a value without a column".into());
    };
    let kind =
        match call.context.get_or_create_aux(2, |_| Kind::parse(&written).map_err(std::io::Error::other)) {
            Ok(kind) => kind,
            Err(error) => return Err(error.to_string()),
        };
    let ignore = bits & 2 != 0;
    let value = call.raw(0);
    let stored = if value == ValueRef::Null {
        if bits & 1 == 0 {
            Datum::Null
        } else if ignore {
            Datum::Text(kind.implicit_default().into_bytes())
        } else {
            return Err(format!("Column '{column}' cannot be null"));
        }
    } else {
        let table = call.string(4).unwrap_or_default();
        let place = Place { table: &table, column: &column, ignore, env: call.env };
        place.fit(value, &kind)?
    };
    if bits & 4 != 0 {
        let shown = match &stored {
            Datum::Null => b"NULL".to_vec(),
            Datum::Int(number) => number.to_string().into_bytes(),
            Datum::Real(number) => number::shown(*number).into_bytes(),
            Datum::Text(text) => text.clone(),
        };
        call.env.running().written.insert(column.clone(), shown);
    }
    Ok(stored)
}

struct Place<'a> {
    table: &'a str,
    column: &'a str,
    ignore: bool,
    env: &'a Env,
}

impl Place<'_> {
    /// The value as the column has it.
    fn fit(&self, value: ValueRef<'_>, kind: &Kind) -> Outcome {
        match kind {
            Kind::Int { name, unsigned, .. } => self.int(value, name, *unsigned),
            Kind::Year => self.int(value, "smallint", false),
            Kind::Decimal(digits, scale) => {
                self.is_number(value, "decimal")?;
                let number = decimal::of(value).unwrap_or_default();
                let text = number
                    .with_scale_round((*scale).into(), bigdecimal::RoundingMode::HalfUp)
                    .to_plain_string();
                let whole = text
                    .trim_start_matches('-')
                    .split('.')
                    .next()
                    .unwrap_or_default()
                    .trim_start_matches('0')
                    .len();
                if whole > usize::from(digits.saturating_sub(*scale)) {
                    return Err(self.out_of_range());
                }
                text_of(text)
            }
            Kind::Float | Kind::Double => {
                self.is_number(value, "double")?;
                Ok(Datum::Real(match value {
                    ValueRef::Integer(number) => number as f64,
                    ValueRef::Real(number) => number,
                    ValueRef::Text(text) | ValueRef::Blob(text) => number::leading(text),
                    ValueRef::Null => 0.0,
                }))
            }
            Kind::Char(length) => self.text(value, *length, true),
            Kind::Varchar(length) => self.text(value, *length, false),
            Kind::Text(name) => {
                let most = match name.as_str() {
                    "tinytext" => 255,
                    "text" => 65_535,
                    _ => usize::MAX,
                };
                let text = as_text(value);
                if text.len() > most && !self.ignore {
                    Err(self.too_long())
                } else {
                    text_of(text.get(..most).map_or(text.clone(), <[u8]>::to_vec))
                }
            }
            Kind::Bytes(_) => text_of(as_text(value)),
            Kind::Enum(values) => self.one_of(value, values),
            Kind::Set(values) => self.some_of(value, values),
            Kind::Date => self.moment(value, "date", |text| text.get(..10).unwrap_or_default().to_string()),
            Kind::DateTime(fraction) | Kind::Timestamp(fraction) => {
                let fraction = usize::from(*fraction);
                self.moment(value, "datetime", move |text| with_fraction(text, fraction))
            }
            Kind::Time(fraction) => match moment::micros(value) {
                Some(micros) => {
                    text_of(with_fraction(&moment::written_micros(micros), usize::from(*fraction)))
                }
                None if self.ignore => text_of("00:00:00"),
                None => Err(self.incorrect("time", value)),
            },
        }
    }

    fn int(&self, value: ValueRef<'_>, name: &str, unsigned: bool) -> Outcome {
        self.is_number(value, "integer")?;
        let number = match value {
            ValueRef::Integer(number) => i128::from(number),
            ValueRef::Real(number) => number.round() as i128,
            ValueRef::Text(text) | ValueRef::Blob(text) => {
                let rounded = decimal::leading(text).with_scale_round(0, bigdecimal::RoundingMode::HalfUp);
                rounded.to_plain_string().parse().unwrap_or(i128::MAX)
            }
            ValueRef::Null => 0,
        };
        let bits = match name {
            "tinyint" => 8,
            "smallint" => 16,
            "mediumint" => 24,
            "int" => 32,
            _ => 64,
        };
        let (least, most) = if unsigned {
            // SQLite's numbers have a sign.
            (0, if bits == 64 { i128::from(i64::MAX) } else { (1 << bits) - 1 })
        } else {
            (-(1i128 << (bits - 1)), (1i128 << (bits - 1)) - 1)
        };
        if (number < least || number > most) && !self.ignore {
            return Err(self.out_of_range());
        }
        Ok(Datum::Int(i64::try_from(number.clamp(least, most)).unwrap_or(0)))
    }

    /// Whether a text is a number from its start to its end.
    fn is_number(&self, value: ValueRef<'_>, kind: &str) -> Result<(), String> {
        let (ValueRef::Text(text), false) = (value, self.ignore) else { return Ok(()) };
        let digits = decimal::leading_digits(text);
        if digits.is_empty() || digits == "-" || digits == "+" {
            return Err(self.incorrect(kind, value));
        }
        let trimmed = text.trim_ascii();
        if digits.len() < trimmed.len() {
            return Err(format!("Data truncated for column '{}' at row 1", self.column));
        }
        Ok(())
    }

    fn text(&self, value: ValueRef<'_>, length: u32, trimmed: bool) -> Outcome {
        let mut text = as_text(value);
        if text.len() > length as usize {
            let charset = self.env.charset;
            let count = collate::characters(&text, charset).count();
            if count > length as usize {
                let end = text.len() - text.iter().rev().take_while(|byte| **byte == b' ').count();
                let only_spaces = collate::characters(text.get(..end).unwrap_or_default(), charset).count()
                    <= length as usize;
                if !only_spaces && !self.ignore {
                    return Err(self.too_long());
                }
                let kept: Vec<Result<char, u8>> =
                    collate::characters(&text, charset).take(length as usize).collect();
                let mut out = Vec::new();
                for sign in kept {
                    match sign {
                        Ok(sign) => out.extend_from_slice(&charset.encode(sign.encode_utf8(&mut [0; 4]))),
                        Err(byte) => out.push(byte),
                    }
                }
                text = out;
            }
        }
        if trimmed {
            let end = text.len() - text.iter().rev().take_while(|byte| **byte == b' ').count();
            text.truncate(end);
        }
        text_of(text)
    }

    fn one_of(&self, value: ValueRef<'_>, values: &[String]) -> Outcome {
        let at = match value {
            ValueRef::Integer(number) => {
                usize::try_from(number).ok().and_then(|number| number.checked_sub(1))
            }
            _ => {
                let text = as_text(value);
                let same = |each: &String| collate::compare(each.as_bytes(), &text, self.env.charset).is_eq();
                values.iter().position(same)
            }
        };
        match at.and_then(|at| values.get(at)) {
            Some(value) => text_of(value.as_bytes()),
            None if self.ignore => text_of(""),
            None => Err(format!("Data truncated for column '{}' at row 1", self.column)),
        }
    }

    fn some_of(&self, value: ValueRef<'_>, values: &[String]) -> Outcome {
        let text = as_text(value);
        let given: Vec<&[u8]> = text.split(|byte| *byte == b',').filter(|each| !each.is_empty()).collect();
        let known = |each: &&[u8]| {
            values.iter().any(|value| collate::compare(value.as_bytes(), each, self.env.charset).is_eq())
        };
        if !self.ignore && !given.iter().all(known) {
            return Err(format!("Data truncated for column '{}' at row 1", self.column));
        }
        let chosen: Vec<&str> = values
            .iter()
            .filter(|value| {
                given.iter().any(|each| collate::compare(value.as_bytes(), each, self.env.charset).is_eq())
            })
            .map(String::as_str)
            .collect();
        text_of(chosen.join(","))
    }

    fn moment(&self, value: ValueRef<'_>, name: &str, cut: impl Fn(&str) -> String) -> Outcome {
        let zero = match value {
            ValueRef::Integer(number) => number == 0,
            ValueRef::Text(text) => text.starts_with(b"0000-00-00"),
            _ => false,
        };
        if zero || self.ignore && moment::moment(value).is_none() {
            return text_of(cut("0000-00-00 00:00:00"));
        }
        match moment::moment(value) {
            Some(moment) => text_of(cut(&moment::written(moment))),
            None => Err(self.incorrect(name, value)),
        }
    }

    fn out_of_range(&self) -> String {
        format!("Out of range value for column '{}' at row 1", self.column)
    }

    fn too_long(&self) -> String {
        format!("Data too long for column '{}' at row 1", self.column)
    }

    fn incorrect(&self, kind: &str, value: ValueRef<'_>) -> String {
        let text = self.env.charset.decode(&as_text(value));
        let (table, column) = (self.table, self.column);
        format!("Incorrect {kind} value: '{text:.100}' for column `verlihub`.`{table}`.`{column}` at row 1")
    }
}

/// A time with so many digits of its fraction.
fn with_fraction(text: &str, digits: usize) -> String {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if digits == 0 { whole.into() } else { format!("{whole}.{:0<digits$.digits$}", fraction) }
}

fn as_text(value: ValueRef<'_>) -> Vec<u8> {
    match value {
        ValueRef::Null => Vec::new(),
        ValueRef::Integer(number) => number.to_string().into_bytes(),
        ValueRef::Real(number) => number::shown(number).into_bytes(),
        ValueRef::Text(text) | ValueRef::Blob(text) => text.to_vec(),
    }
}
