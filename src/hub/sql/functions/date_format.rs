//! `DATE_FORMAT`, `STR_TO_DATE` and what they are made of: names, weeks, ordinals.

use std::fmt::Write;

use jiff::civil::{Date, DateTime};

use super::super::session::Datum;
use super::moment::{
    build, date_of, days, fraction, full_year, written, written_date, written_micros, written_time,
};
use super::{Call, Outcome};

const DAYS: [&str; 7] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub fn day_name(date: Date) -> &'static str {
    usize::try_from(date.weekday().to_monday_zero_offset())
        .ok()
        .and_then(|at| DAYS.get(at))
        .copied()
        .unwrap_or("")
}

pub fn month_name(date: Date) -> &'static str {
    usize::try_from(date.month() - 1).ok().and_then(|at| MONTHS.get(at)).copied().unwrap_or("")
}

/// Year and week as `WEEK(date, mode)` counts them: bit 0 is Monday first, bit 1 the weeks of
/// the year before instead of 0, bit 2 a first week that may be short.
pub fn week(date: Date, mode: i64) -> (i64, i64) {
    let mode = if mode & 1 == 0 { mode ^ 4 } else { mode };
    let (monday, of_year, first_day) = (mode & 1 != 0, mode & 2 != 0, mode & 4 != 0);
    let weekday = |days: i64| if monday { (days + 5) % 7 } else { (days + 6) % 7 };
    let first_of = |year: i16| days(Date::new(year, 1, 1).unwrap_or_default());
    let mut year = date.year();
    let today = days(date);
    let mut first = first_of(year);
    let mut start = weekday(first);
    let mut of_year = of_year;
    if date.month() == 1 && i64::from(date.day()) <= 7 - start {
        if !of_year && (first_day && start != 0 || !first_day && start >= 4) {
            return (year.into(), 0);
        }
        of_year = true;
        year -= 1;
        let length = first - first_of(year);
        first -= length;
        start = (start + 53 * 7 - length) % 7;
    }
    let since = if first_day && start != 0 || !first_day && start >= 4 {
        today - (first + 7 - start)
    } else {
        today - (first - start)
    };
    if of_year && since >= 52 * 7 {
        let length = first_of(year + 1) - first;
        let next = (start + length) % 7;
        if !first_day && next < 4 || first_day && next == 0 {
            return (i64::from(year) + 1, 1);
        }
    }
    (year.into(), since / 7 + 1)
}

/// A moment in the form of `DATE_FORMAT`.
pub fn formatted(moment: DateTime, format: &str) -> String {
    let mut out = String::new();
    let mut signs = format.chars();
    let (date, time) = (moment.date(), moment.time());
    let hour12 = (time.hour() + 11) % 12 + 1;
    let half = if time.hour() < 12 { "AM" } else { "PM" };
    while let Some(sign) = signs.next() {
        if sign != '%' {
            out.push(sign);
            continue;
        }
        let _ = match signs.next() {
            Some('Y') => write!(out, "{:04}", date.year()),
            Some('y') => write!(out, "{:02}", date.year() % 100),
            Some('m') => write!(out, "{:02}", date.month()),
            Some('c') => write!(out, "{}", date.month()),
            Some('M') => write!(out, "{}", month_name(date)),
            Some('b') => write!(out, "{:.3}", month_name(date)),
            Some('d') => write!(out, "{:02}", date.day()),
            Some('e') => write!(out, "{}", date.day()),
            Some('D') => write!(out, "{}{}", date.day(), ordinal(date.day())),
            Some('j') => write!(out, "{:03}", date.day_of_year()),
            Some('W') => write!(out, "{}", day_name(date)),
            Some('a') => write!(out, "{:.3}", day_name(date)),
            Some('w') => write!(out, "{}", date.weekday().to_sunday_zero_offset()),
            Some('H') => write!(out, "{:02}", time.hour()),
            Some('k') => write!(out, "{}", time.hour()),
            Some('h' | 'I') => write!(out, "{hour12:02}"),
            Some('l') => write!(out, "{hour12}"),
            Some('i') => write!(out, "{:02}", time.minute()),
            Some('s' | 'S') => write!(out, "{:02}", time.second()),
            Some('f') => write!(out, "{:06}", time.subsec_nanosecond() / 1000),
            Some('p') => write!(out, "{half}"),
            Some('r') => write!(out, "{hour12:02}:{:02}:{:02} {half}", time.minute(), time.second()),
            Some('T') => write!(out, "{}", written_time(time)),
            Some('U') => write!(out, "{:02}", week(date, 0).1),
            Some('u') => write!(out, "{:02}", week(date, 1).1),
            Some('V') => write!(out, "{:02}", week(date, 2).1),
            Some('v') => write!(out, "{:02}", week(date, 3).1),
            Some('X') => write!(out, "{:04}", week(date, 2).0),
            Some('x') => write!(out, "{:04}", week(date, 3).0),
            Some(other) => write!(out, "{other}"),
            None => Ok(()),
        };
    }
    out
}

fn ordinal(day: i8) -> &'static str {
    match day {
        11..=13 => "th",
        day if day % 10 == 1 => "st",
        day if day % 10 == 2 => "nd",
        day if day % 10 == 3 => "rd",
        _ => "th",
    }
}

pub fn str_to_date(call: &Call<'_>) -> Outcome {
    let (Some(text), Some(format)) = (call.string(0), call.string(1)) else { return Ok(Datum::Null) };
    Ok(parsed(&text, &format).map_or(Datum::Null, |text| Datum::Text(text.into_bytes())))
}

/// A text in this form, as date, time or both, by what the form has.
fn parsed(text: &str, format: &str) -> Option<String> {
    let mut rest = text.trim_start();
    let (mut year, mut month, mut day, mut hour, mut minute, mut second, mut micros) = (0, 0, 0, 0, 0, 0, 0);
    let (mut afternoon, mut day_of_year) = (None, None);
    let (mut with_date, mut with_time) = (false, false);
    let mut signs = format.chars();
    while let Some(sign) = signs.next() {
        if sign.is_whitespace() {
            rest = rest.trim_start();
            continue;
        }
        if sign != '%' {
            rest = rest.strip_prefix(sign)?;
            continue;
        }
        rest = rest.trim_start();
        let mut number = |most: usize| {
            let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
            let (digits, after) = rest.split_at(count);
            rest = after;
            digits.parse::<i64>().ok()
        };
        match signs.next()? {
            'Y' => {
                year = number(4)?;
                with_date = true;
            }
            'y' => {
                year = full_year(number(2)?);
                with_date = true;
            }
            'm' | 'c' => {
                month = number(2)?;
                with_date = true;
            }
            'd' | 'e' => {
                day = number(2)?;
                with_date = true;
            }
            'D' => {
                day = number(2)?;
                rest = rest.trim_start_matches(|sign: char| sign.is_ascii_alphabetic());
                with_date = true;
            }
            'j' => {
                day_of_year = Some(number(3)?);
                with_date = true;
            }
            sign @ ('M' | 'b') => {
                let (at, length) = named(rest, &MONTHS, sign == 'b')?;
                month = i64::try_from(at).ok()? + 1;
                rest = &rest[length..];
                with_date = true;
            }
            sign @ ('W' | 'a') => {
                let (_, length) = named(rest, &DAYS, sign == 'a')?;
                rest = &rest[length..];
            }
            'H' | 'k' | 'h' | 'I' | 'l' => {
                hour = number(2)?;
                with_time = true;
            }
            'i' => {
                minute = number(2)?;
                with_time = true;
            }
            's' | 'S' => {
                second = number(2)?;
                with_time = true;
            }
            'f' => {
                let count = rest.bytes().take(6).take_while(u8::is_ascii_digit).count();
                micros = fraction(&rest[..count]);
                rest = &rest[count..];
                with_time = true;
            }
            'p' => {
                let half = rest.get(..2)?.to_ascii_uppercase();
                afternoon = Some(half == "PM");
                rest = &rest[2..];
            }
            'T' => {
                hour = number(2)?;
                rest = rest.strip_prefix(':')?;
                let mut number = |most: usize| {
                    let count = rest.bytes().take(most).take_while(u8::is_ascii_digit).count();
                    let (digits, after) = rest.split_at(count);
                    rest = after;
                    digits.parse::<i64>().ok()
                };
                minute = number(2)?;
                rest = rest.strip_prefix(':')?;
                let count = rest.bytes().take(2).take_while(u8::is_ascii_digit).count();
                second = rest[..count].parse().ok()?;
                rest = &rest[count..];
                with_time = true;
            }
            '%' => rest = rest.strip_prefix('%')?,
            _ => return None,
        }
    }
    if let Some(afternoon) = afternoon {
        hour = hour % 12 + if afternoon { 12 } else { 0 };
    }
    if let Some(at) = day_of_year {
        let date = date_of(days(Date::new(i16::try_from(year).ok()?, 1, 1).ok()?) + at - 1)?;
        (month, day) = (date.month().into(), date.day().into());
    }
    if !with_date {
        return Some(written_micros((hour * 3600 + minute * 60 + second) * 1_000_000 + micros));
    }
    let moment = build(year, [month, day, hour, minute, second], micros)?;
    Some(if with_time { written(moment) } else { written_date(moment.date()) })
}

/// Which of the names a text begins with, and how long it is there.
fn named(text: &str, names: &[&str], short: bool) -> Option<(usize, usize)> {
    names.iter().enumerate().find_map(|(at, name)| {
        let name = if short { &name[..3] } else { name };
        text.get(..name.len()).filter(|start| start.eq_ignore_ascii_case(name)).map(|_| (at, name.len()))
    })
}
