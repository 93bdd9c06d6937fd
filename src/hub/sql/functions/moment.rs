//! How dates and times are read and written; what is done with them is in [`time`](super::time).

use std::fmt::Write;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rusqlite::types::ValueRef;

pub const DAY: i64 = 86_400_000_000;

/// `838:59:59`, the longest time.
pub const LONGEST: i64 = 3_020_399_000_000;

/// A moment in the machine's time zone.
pub fn local(micros: i64) -> Option<DateTime> {
    Some(Timestamp::from_microsecond(micros).ok()?.to_zoned(TimeZone::system()).datetime())
}

/// As it is stored and shown.
pub fn written(moment: DateTime) -> String {
    let micros = moment.subsec_nanosecond() / 1000;
    let fraction = if micros > 0 { format!(".{micros:06}") } else { String::new() };
    format!("{} {}{fraction}", written_date(moment.date()), written_time(moment.time()))
}

pub fn with_fraction(moment: DateTime, digits: i64) -> String {
    let micros = format!("{:06}", moment.subsec_nanosecond() / 1000);
    let digits = usize::try_from(digits.clamp(0, 6)).unwrap_or(0);
    let whole = format!("{} {}", written_date(moment.date()), written_time(moment.time()));
    if digits == 0 { whole } else { format!("{whole}.{}", &micros[..digits]) }
}

pub fn written_date(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
}

pub fn written_time(time: Time) -> String {
    format!("{:02}:{:02}:{:02}", time.hour(), time.minute(), time.second())
}

/// A time, which may be longer than a day.
pub fn written_micros(micros: i64) -> String {
    let size = micros.abs();
    let seconds = size / 1_000_000;
    let sign = if micros < 0 { "-" } else { "" };
    let mut text = format!("{sign}{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    if size % 1_000_000 > 0 {
        let _ = write!(text, ".{:06}", size % 1_000_000);
    }
    text
}

/// Days since the year 0, as `TO_DAYS` counts them.
pub fn days(date: Date) -> i64 {
    let since = date.since(Date::constant(1970, 1, 1)).map_or(0, |span| i64::from(span.get_days()));
    719_528 + since
}

pub fn date_of(days: i64) -> Option<Date> {
    let span = Span::new().try_days(days - 719_528).ok()?;
    Date::constant(1970, 1, 1).checked_add(span).ok().filter(|date| date.year() >= 0)
}

pub fn total_micros(moment: DateTime) -> i64 {
    let time = moment.time();
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    days(moment.date()) * DAY + seconds * 1_000_000 + i64::from(time.subsec_nanosecond()) / 1000
}

/// Years of two digits are those from 1970 to 2069.
pub fn full_year(year: i64) -> i64 {
    match year {
        0..70 => year + 2000,
        70..100 => year + 1900,
        year => year,
    }
}

/// A date and time as MySQL reads them: with any signs between the numbers, or with none.
fn read(text: &str) -> Option<DateTime> {
    let text = text.trim();
    let run = text.bytes().take_while(u8::is_ascii_digit).count();
    let separated = text
        .get(run..)
        .and_then(|rest| rest.chars().next())
        .is_some_and(|sign| sign != '.' && sign != ' ' && sign != 'T');
    if !separated || run > 4 {
        return read_digits(text, run);
    }
    let mut numbers = Vec::new();
    let mut rest = text;
    let mut micros = 0;
    while numbers.len() < 6 {
        let count = rest.bytes().take_while(u8::is_ascii_digit).count();
        if count == 0 {
            break;
        }
        let (digits, after) = rest.split_at(count);
        numbers.push((digits.parse::<i64>().ok()?, count));
        if numbers.len() == 6 {
            micros = after.strip_prefix('.').map_or(0, fraction);
            break;
        }
        let gap = after.find(|sign: char| sign.is_ascii_digit()).unwrap_or(after.len());
        if after[..gap].chars().any(|sign| sign.is_alphabetic() && sign != 'T') {
            break;
        }
        rest = &after[gap..];
    }
    let (year, digits) = *numbers.first()?;
    let part = |at: usize| numbers.get(at).map_or(0, |(number, _)| *number);
    if numbers.len() < 3 {
        return None;
    }
    build(
        if digits <= 2 { full_year(year) } else { year },
        [part(1), part(2), part(3), part(4), part(5)],
        micros,
    )
}

/// Six digits of a fraction.
pub fn fraction(text: &str) -> i64 {
    let digits: String =
        text.chars().take_while(char::is_ascii_digit).chain("000000".chars()).take(6).collect();
    digits.parse().unwrap_or(0)
}

fn read_digits(text: &str, run: usize) -> Option<DateTime> {
    let digits = text.get(..run)?;
    let micros = text.get(run..).and_then(|rest| rest.strip_prefix('.')).map_or(0, fraction);
    let number = |from: usize, to: usize| digits.get(from..to).and_then(|part| part.parse::<i64>().ok());
    let (year, rest) = match run {
        14 | 8 => (number(0, 4)?, 4),
        12 | 6 => (full_year(number(0, 2)?), 2),
        _ => return None,
    };
    let part = |at: usize| number(rest + at * 2, rest + at * 2 + 2).unwrap_or(0);
    build(year, [part(0), part(1), part(2), part(3), part(4)], micros)
}

pub fn build(year: i64, [month, day, hour, minute, second]: [i64; 5], micros: i64) -> Option<DateTime> {
    let small = |number: i64| i8::try_from(number).ok();
    DateTime::new(
        i16::try_from(year).ok()?,
        small(month)?,
        small(day)?,
        small(hour)?,
        small(minute)?,
        small(second)?,
        i32::try_from(micros * 1000).ok()?,
    )
    .ok()
}

/// A value as a date and time.
pub fn moment(value: ValueRef<'_>) -> Option<DateTime> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => {
            let digits = number.to_string();
            // 101 is 2000-01-01.
            let width = match digits.len() {
                1..=6 => 6,
                7..=8 => 8,
                9..=12 => 12,
                _ => 14,
            };
            read(&format!("{digits:0>width$}"))
        }
        ValueRef::Real(number) => moment(ValueRef::Integer(number as i64)),
        ValueRef::Text(text) | ValueRef::Blob(text) => read(std::str::from_utf8(text).ok()?),
    }
}

pub fn has_date(value: ValueRef<'_>) -> bool {
    matches!(value, ValueRef::Text(text) if text.iter().filter(|byte| **byte == b'-').count() >= 2)
}

/// A value as a time, in microseconds.
pub fn micros(value: ValueRef<'_>) -> Option<i64> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) if number.abs() < 10_000_000 => from_digits(number),
        ValueRef::Integer(_) => moment(value).map(|moment| total_micros(moment) % DAY),
        ValueRef::Real(number) => {
            let part = ((number.abs().fract() * 1e6).round() as i64) * if number < 0.0 { -1 } else { 1 };
            from_digits(number.trunc() as i64).map(|micros| micros + part)
        }
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            let text = std::str::from_utf8(text).ok()?.trim();
            if has_date(value) || text.len() >= 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
                return read(text).map(|moment| total_micros(moment) % DAY);
            }
            read_time(text)
        }
    }
}

fn from_digits(number: i64) -> Option<i64> {
    let size = number.abs();
    let (hour, minute, second) = (size / 10_000, size / 100 % 100, size % 100);
    let micros = (hour * 3600 + minute * 60 + second) * 1_000_000;
    (minute < 60 && second < 60).then_some(if number < 0 { -micros } else { micros })
}

fn read_time(text: &str) -> Option<i64> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (days, text) = match text.split_once(' ') {
        Some((days, rest)) if !days.contains(':') => (days.parse::<i64>().ok()?, rest.trim()),
        _ => (0, text),
    };
    let (whole, micros) = text.split_once('.').map_or((text, 0), |(whole, rest)| (whole, fraction(rest)));
    let parts: Vec<&str> = whole.split(':').collect();
    let number = |at: usize| {
        let digits = parts.get(at).map_or("", |part| part.trim());
        let digits = &digits[..digits.bytes().take_while(u8::is_ascii_digit).count()];
        digits.parse::<i64>().ok()
    };
    let size = match parts.len() {
        1 if days == 0 => from_digits(number(0)?)?,
        1 => number(0)? * 3_600_000_000,
        _ => {
            let (hour, minute, second) =
                (number(0)?, number(1)?, if parts.len() > 2 { number(2)? } else { 0 });
            if minute > 59 || second > 59 {
                return None;
            }
            (hour * 3600 + minute * 60 + second) * 1_000_000
        }
    };
    let size = size.checked_add(days.checked_mul(DAY)?)?.checked_add(micros)?.min(LONGEST);
    Some(if negative { -size } else { size })
}
