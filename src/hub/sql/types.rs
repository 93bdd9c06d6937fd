//! Types: what an expression gives ([`Type`]), and what a column holds ([`Kind`]).

use serde::{Deserialize, Serialize};

/// What an expression gives. SQLite has integers, doubles and text only; what they stand for is
/// known when a query is translated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// Nothing but NULL.
    Null,
    /// A whole number.
    Int,
    /// A whole number without a sign: 64 bits, in SQLite's integer.
    UInt,
    /// A decimal number with so many digits after the point: text of digits, which may have more.
    Decimal(u8),
    /// A number with a fraction.
    Double,
    /// A number with a fraction that is shown with six digits.
    Float,
    /// Text that is compared as people do.
    Text,
    /// Text that is compared by its bytes.
    Bytes,
    /// `2020-01-02`.
    Date,
    /// `2020-01-02 03:04:05`, perhaps with a fraction.
    DateTime,
    /// `03:04:05`, perhaps with a sign or a fraction.
    Time,
}

impl Type {
    /// Whether it is a number.
    pub fn is_number(self) -> bool {
        matches!(self, Type::Int | Type::UInt | Type::Decimal(_) | Type::Double | Type::Float)
    }

    /// Whether it is a whole number.
    pub fn is_int(self) -> bool {
        matches!(self, Type::Int | Type::UInt)
    }

    /// Whether it is a date, a time or both.
    pub fn is_temporal(self) -> bool {
        matches!(self, Type::Date | Type::DateTime | Type::Time)
    }

    /// Whether it is text.
    pub fn is_text(self) -> bool {
        matches!(self, Type::Text | Type::Bytes)
    }

    /// Digits after the point of a decimal or whole number.
    pub fn scale(self) -> u8 {
        match self {
            Type::Decimal(scale) => scale,
            _ => 0,
        }
    }

    /// The type of what is one of the two, as for `IF` and `UNION`.
    pub fn or(self, other: Type) -> Type {
        use Type::{Bytes, Date, DateTime, Decimal, Double, Float, Int, Null, Text, Time, UInt};
        match (self, other) {
            (Null, one) | (one, Null) => one,
            (one, same) if one == same => one,
            (Int | UInt, Int | UInt) => Int,
            (Int | UInt | Decimal(_), Int | UInt | Decimal(_)) => Decimal(self.scale().max(other.scale())),
            (Int | UInt | Decimal(_) | Double | Float, Int | UInt | Decimal(_) | Double | Float) => Double,
            (Date | DateTime, Date | DateTime) | (Time, Date | DateTime) | (Date | DateTime, Time) => {
                DateTime
            }
            (Bytes, _) | (_, Bytes) => Bytes,
            _ => Text,
        }
    }
}

/// What a column holds, as MySQL has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Kind {
    /// `int(11) unsigned` and the like.
    Int {
        /// `int`, `bigint`, …
        name: String,
        /// As it is shown.
        width: u32,
        /// Whether there is no sign.
        unsigned: bool,
    },
    /// `decimal(10,2)`.
    Decimal(u8, u8),
    /// `float`.
    Float,
    /// `double`.
    Double,
    /// `char(20)`.
    Char(u32),
    /// `varchar(20)`.
    Varchar(u32),
    /// `tinytext`, `text`, `mediumtext`, `longtext`.
    Text(String),
    /// `tinyblob`, `blob`, …, `binary(16)`, `varbinary(16)`.
    Bytes(String),
    /// `date`.
    Date,
    /// `datetime`, with digits of the seconds' fraction.
    DateTime(u8),
    /// `timestamp`, the same.
    Timestamp(u8),
    /// `time`, the same.
    Time(u8),
    /// `year(4)`.
    Year,
    /// `enum('a','b')`.
    Enum(Vec<String>),
    /// `set('a','b')`.
    Set(Vec<String>),
}

impl Kind {
    /// Reads a type as it is written, such as `int(10) unsigned`. The error is what is wrong.
    pub fn parse(written: &str) -> Result<Kind, String> {
        let lower = written.trim().to_ascii_lowercase();
        let name: String =
            lower.chars().take_while(|sign| sign.is_ascii_alphabetic() || *sign == ' ').collect();
        let name = name.trim_end_matches("unsigned").trim_end_matches("signed").trim();
        let arguments = written
            .split_once('(')
            .and_then(|(_, rest)| rest.rsplit_once(')'))
            .map_or("", |(inside, _)| inside);
        let number =
            |at: usize| arguments.split(',').nth(at).and_then(|text| text.trim().parse::<u32>().ok());
        let fraction = || u8::try_from(number(0).unwrap_or(0).min(6)).unwrap_or(6);
        let unsigned = lower.contains("unsigned");
        if lower.contains("zerofill") {
            return Err("ZEROFILL is not supported".into());
        }
        let int = |name: &str, signed: u32, without: u32| Kind::Int {
            name: name.into(),
            width: number(0).unwrap_or(if unsigned { without } else { signed }),
            unsigned,
        };
        Ok(match name {
            "tinyint" | "int1" => int("tinyint", 4, 3),
            "bool" | "boolean" => Kind::Int { name: "tinyint".into(), width: 1, unsigned: false },
            "smallint" | "int2" => int("smallint", 6, 5),
            "mediumint" | "middleint" | "int3" => int("mediumint", 9, 8),
            "int" | "integer" | "int4" => int("int", 11, 10),
            "bigint" | "int8" => int("bigint", 20, 20),
            "serial" => Kind::Int { name: "bigint".into(), width: 20, unsigned: true },
            "decimal" | "dec" | "numeric" | "fixed" => {
                let small = |at, default| u8::try_from(number(at).unwrap_or(default).min(65)).unwrap_or(65);
                Kind::Decimal(small(0, 10), small(1, 0))
            }
            "float" if arguments.is_empty() => Kind::Float,
            "float" | "double" | "double precision" | "real" if !arguments.contains(',') => Kind::Double,
            "char" | "character" | "nchar" | "national char" => Kind::Char(number(0).unwrap_or(1)),
            "varchar" | "character varying" | "nvarchar" | "char varying" | "national varchar" => {
                Kind::Varchar(number(0).unwrap_or(255))
            }
            "tinytext" | "text" | "mediumtext" | "longtext" => Kind::Text(name.into()),
            "json" | "clob" | "long" => Kind::Text("longtext".into()),
            "tinyblob" | "blob" | "mediumblob" | "longblob" => Kind::Bytes(name.into()),
            "binary" | "varbinary" => Kind::Bytes(format!("{name}({})", number(0).unwrap_or(1))),
            "date" => Kind::Date,
            "datetime" => Kind::DateTime(fraction()),
            "timestamp" => Kind::Timestamp(fraction()),
            "time" => Kind::Time(fraction()),
            "year" => Kind::Year,
            "enum" => Kind::Enum(strings(arguments)),
            "set" => Kind::Set(strings(arguments)),
            "" => Kind::Text("longtext".into()),
            _ => return Err(format!("the type {written} is not supported")),
        })
    }

    /// As `SHOW COLUMNS` has it.
    pub fn written(&self) -> String {
        let with =
            |name: &str, fraction: u8| if fraction > 0 { format!("{name}({fraction})") } else { name.into() };
        let quoted = |values: &[String]| {
            let values: Vec<String> =
                values.iter().map(|value| format!("'{}'", value.replace('\'', "''"))).collect();
            values.join(",")
        };
        match self {
            Kind::Int { name, width, unsigned } => {
                format!("{name}({width}){}", if *unsigned { " unsigned" } else { "" })
            }
            Kind::Decimal(digits, scale) => format!("decimal({digits},{scale})"),
            Kind::Float => "float".into(),
            Kind::Double => "double".into(),
            Kind::Char(length) => format!("char({length})"),
            Kind::Varchar(length) => format!("varchar({length})"),
            Kind::Text(name) | Kind::Bytes(name) => name.clone(),
            Kind::Date => "date".into(),
            Kind::DateTime(fraction) => with("datetime", *fraction),
            Kind::Timestamp(fraction) => with("timestamp", *fraction),
            Kind::Time(fraction) => with("time", *fraction),
            Kind::Year => "year(4)".into(),
            Kind::Enum(values) => format!("enum({})", quoted(values)),
            Kind::Set(values) => format!("set({})", quoted(values)),
        }
    }

    /// The type in SQLite's schema: the same words where SQLite makes the right thing of them.
    pub fn stored(&self) -> String {
        match self {
            Kind::Enum(_) | Kind::Set(_) | Kind::Bytes(_) => "TEXT".into(),
            Kind::Year => "INTEGER".into(),
            // SQLite takes a number in brackets only at the end.
            Kind::Int { name, unsigned: true, .. } => format!("{name} unsigned"),
            kind => kind.written(),
        }
    }

    /// What reading the column gives; `bytes` when its collation compares bytes.
    pub fn gives(&self, bytes: bool) -> Type {
        match self {
            Kind::Int { unsigned: true, .. } => Type::UInt,
            Kind::Int { .. } | Kind::Year => Type::Int,
            Kind::Decimal(_, scale) => Type::Decimal(*scale),
            Kind::Float => Type::Float,
            Kind::Double => Type::Double,
            Kind::Bytes(_) => Type::Bytes,
            Kind::Char(_) | Kind::Varchar(_) | Kind::Text(_) | Kind::Enum(_) | Kind::Set(_) => {
                if bytes {
                    Type::Bytes
                } else {
                    Type::Text
                }
            }
            Kind::Date => Type::Date,
            Kind::DateTime(_) | Kind::Timestamp(_) => Type::DateTime,
            Kind::Time(_) => Type::Time,
        }
    }

    /// What stands in a column that must not be NULL when nothing else is said.
    pub fn implicit_default(&self) -> String {
        match self {
            Kind::Int { .. } | Kind::Decimal(..) | Kind::Float | Kind::Double | Kind::Year => "0".into(),
            Kind::Date => "0000-00-00".into(),
            Kind::DateTime(_) | Kind::Timestamp(_) => "0000-00-00 00:00:00".into(),
            Kind::Time(_) => "00:00:00".into(),
            Kind::Enum(values) => values.first().cloned().unwrap_or_default(),
            _ => String::new(),
        }
    }
}

/// Quoted strings between commas.
fn strings(text: &str) -> Vec<String> {
    let mut strings = Vec::new();
    let mut signs = text.chars().peekable();
    while let Some(quote) = signs.find(|sign| matches!(sign, '\'' | '"')) {
        let mut string = String::new();
        while let Some(sign) = signs.next() {
            if sign == quote && signs.next_if_eq(&quote).is_none() {
                break;
            }
            string.push(sign);
        }
        strings.push(string);
    }
    strings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_shown_as_mysql_shows_them() {
        for (written, shown) in [
            ("INT", "int(11)"),
            ("int unsigned", "int(10) unsigned"),
            ("bigint(32)", "bigint(32)"),
            ("BIGINT(20) UNSIGNED", "bigint(20) unsigned"),
            ("bool", "tinyint(1)"),
            ("varchar(64)", "varchar(64)"),
            ("decimal", "decimal(10,0)"),
            ("enum('a','it''s')", "enum('a','it''s')"),
            ("datetime", "datetime"),
            ("timestamp(3)", "timestamp(3)"),
            ("year", "year(4)"),
        ] {
            assert_eq!(Kind::parse(written).unwrap().written(), shown);
        }
        assert!(Kind::parse("geometry").is_err());
    }
}
