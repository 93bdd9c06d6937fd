//! Dates and times, in the machine's time zone, as a MySQL server beside the hub has them.
//!
//! They are text: `2020-01-02`, `03:04:05`, `2020-01-02 03:04:05`. What is no date is NULL;
//! `0000-00-00` can be stored, and is none.

use std::fmt::Write;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use rusqlite::types::ValueRef;

use super::super::session::{Datum, Env};
use super::{Call, Function, Outcome, number, text_of};

/// Names, whether the answer changes by itself, functions.
pub const FUNCTIONS: &[(&str, bool, Function)] = &[
    ("vh_now", true, |call| text_of(with_fraction(now(call.env), call.int(0).unwrap_or(0)))),
    ("vh_curdate", true, |call| text_of(written_date(now(call.env).date()))),
    ("vh_curtime", true, |call| text_of(written_time(now(call.env).time()))),
    ("vh_utc", true, |call| {
        let utc = utc_now(call.env);
        match call.int(0) {
            Some(1) => text_of(written_date(utc.date())),
            Some(2) => text_of(written_time(utc.time())),
            _ => text_of(written(utc)),
        }
    }),
    ("vh_unix", true, |call| Ok(Datum::Int(call.env.running().now.div_euclid(1_000_000)))),
    ("vh_unix_of", false, |call| {
        let Some(moment) = moment(call.raw(0)) else { return Ok(Datum::Null) };
        let Ok(zoned) = TimeZone::system().to_ambiguous_zoned(moment).compatible() else {
            return Ok(Datum::Int(0));
        };
        let seconds = zoned.timestamp().as_second();
        match moment.subsec_nanosecond() / 1000 {
            0 => Ok(Datum::Int(seconds.max(0))),
            micros => text_of(format!("{seconds}.{micros:06}")),
        }
    }),
    ("vh_from_unix", false, |call| {
        let Some(seconds) = call.real(0).filter(|seconds| (0.0..=253_402_300_799.0).contains(seconds)) else {
            return Ok(Datum::Null);
        };
        let micros = (seconds * 1e6).round() as i64;
        let Some(moment) = local(micros) else { return Ok(Datum::Null) };
        match call.string(1) {
            Some(format) => text_of(formatted(moment, &format)),
            None => text_of(written(moment)),
        }
    }),
    ("vh_dt", false, |call| {
        Ok(moment(call.raw(0)).map_or(Datum::Null, |moment| Datum::Text(written(moment).into_bytes())))
    }),
    ("vh_date", false, |call| with_date(call, |date| text_of(written_date(date)))),
    ("vh_time", false, |call| {
        Ok(micros(call.raw(0)).map_or(Datum::Null, |micros| Datum::Text(written_micros(micros).into_bytes())))
    }),
    ("vh_date_format", false, |call| {
        let (Some(moment), Some(format)) = (moment(call.raw(0)), call.string(1)) else {
            return Ok(Datum::Null);
        };
        text_of(formatted(moment, &format))
    }),
    ("vh_time_format", false, |call| {
        let (Some(micros), Some(format)) = (micros(call.raw(0)), call.string(1)) else {
            return Ok(Datum::Null);
        };
        // Hours may be more than those of a day.
        let hours = micros.abs() / 3_600_000_000;
        let format = format.replace("%H", &format!("{hours:02}")).replace("%k", &hours.to_string());
        let time = Time::midnight()
            .checked_add(Span::new().microseconds(micros.rem_euclid(DAY)))
            .unwrap_or_default();
        text_of(formatted(Date::constant(2000, 1, 1).to_datetime(time), &format))
    }),
    ("vh_str_to_date", false, str_to_date),
    ("vh_date_add", false, date_add),
    ("vh_datediff", false, |call| {
        let (Some(one), Some(other)) = (moment(call.raw(0)), moment(call.raw(1))) else {
            return Ok(Datum::Null);
        };
        Ok(Datum::Int(days(one.date()) - days(other.date())))
    }),
    ("vh_timediff", false, |call| {
        let (one, other) = (call.raw(0), call.raw(1));
        let difference = if has_date(one) && has_date(other) {
            moment(one).zip(moment(other)).map(|(one, other)| total_micros(one) - total_micros(other))
        } else {
            micros(one).zip(micros(other)).map(|(one, other)| one - other)
        };
        Ok(difference.map_or(Datum::Null, |micros| {
            Datum::Text(written_micros(micros.clamp(-LONGEST, LONGEST)).into_bytes())
        }))
    }),
    ("vh_addtime", false, |call| {
        let (Some(more), sign) = (micros(call.raw(1)), call.int(2).unwrap_or(1)) else {
            return Ok(Datum::Null);
        };
        let first = call.raw(0);
        if has_date(first) {
            let Some(moment) = moment(first) else { return Ok(Datum::Null) };
            let moved = moment.checked_add(Span::new().microseconds(more * sign));
            return Ok(moved.map_or(Datum::Null, |moment| Datum::Text(written(moment).into_bytes())));
        }
        Ok(micros(first)
            .map_or(Datum::Null, |micros| Datum::Text(written_micros(micros + more * sign).into_bytes())))
    }),
    ("vh_timestampdiff", false, timestampdiff),
    ("vh_to_days", false, |call| with_date(call, |date| Ok(Datum::Int(days(date))))),
    ("vh_from_days", false, |call| {
        let Some(days) = call.int(0) else { return Ok(Datum::Null) };
        Ok(date_of(days).map_or(Datum::Null, |date| Datum::Text(written_date(date).into_bytes())))
    }),
    ("vh_to_seconds", false, |call| {
        Ok(moment(call.raw(0))
            .map_or(Datum::Null, |moment| Datum::Int(total_micros(moment).div_euclid(1_000_000))))
    }),
    ("vh_year", false, |call| zero_or(call, |moment| moment.year().into())),
    ("vh_month", false, |call| zero_or(call, |moment| moment.month().into())),
    ("vh_day", false, |call| zero_or(call, |moment| moment.day().into())),
    ("vh_hour", false, |call| time_part(call, |micros| micros / 3_600_000_000)),
    ("vh_minute", false, |call| time_part(call, |micros| micros / 60_000_000 % 60)),
    ("vh_second", false, |call| time_part(call, |micros| micros / 1_000_000 % 60)),
    ("vh_microsecond", false, |call| time_part(call, |micros| micros % 1_000_000)),
    ("vh_quarter", false, |call| with_date(call, |date| Ok(Datum::Int(i64::from(date.month() + 2) / 3)))),
    ("vh_dayofweek", false, |call| {
        with_date(call, |date| Ok(Datum::Int(date.weekday().to_sunday_one_offset().into())))
    }),
    ("vh_weekday", false, |call| {
        with_date(call, |date| Ok(Datum::Int(date.weekday().to_monday_zero_offset().into())))
    }),
    ("vh_dayofyear", false, |call| with_date(call, |date| Ok(Datum::Int(date.day_of_year().into())))),
    ("vh_dayname", false, |call| with_date(call, |date| text_of(day_name(date)))),
    ("vh_monthname", false, |call| with_date(call, |date| text_of(month_name(date)))),
    ("vh_week", false, |call| {
        let mode = call.int(1).unwrap_or(0);
        with_date(call, |date| Ok(Datum::Int(week(date, mode).1)))
    }),
    ("vh_yearweek", false, |call| {
        let mode = call.int(1).unwrap_or(0);
        with_date(call, |date| {
            let (year, week) = week(date, mode | 2);
            Ok(Datum::Int(year * 100 + week))
        })
    }),
    ("vh_last_day", false, |call| with_date(call, |date| text_of(written_date(date.last_of_month())))),
    ("vh_makedate", false, |call| {
        let (Some(year), Some(day)) = (call.int(0), call.int(1).filter(|day| *day > 0)) else {
            return Ok(Datum::Null);
        };
        let first = i16::try_from(full_year(year)).ok().and_then(|year| Date::new(year, 1, 1).ok());
        let date = first.and_then(|first| date_of(days(first) + day - 1));
        Ok(date.map_or(Datum::Null, |date| Datum::Text(written_date(date).into_bytes())))
    }),
    ("vh_maketime", false, |call| {
        let (Some(hour), Some(minute), Some(second)) = (call.int(0), call.int(1), call.int(2)) else {
            return Ok(Datum::Null);
        };
        if !(0..60).contains(&minute) || !(0..60).contains(&second) || hour.abs() > 838 {
            return Ok(Datum::Null);
        }
        let size = hour.abs() * 3600 + minute * 60 + second;
        text_of(written_micros(if hour < 0 { -size } else { size } * 1_000_000))
    }),
    ("vh_sec_to_time", false, |call| {
        let Some(seconds) = call.real(0) else { return Ok(Datum::Null) };
        text_of(written_micros(((seconds * 1e6).round() as i64).clamp(-LONGEST, LONGEST)))
    }),
    ("vh_time_to_sec", false, |call| {
        Ok(micros(call.raw(0)).map_or(Datum::Null, |micros| Datum::Int(micros / 1_000_000)))
    }),
    ("vh_extract", false, extract),
    ("vh_period_add", false, |call| {
        let (Some(period), Some(more)) = (call.int(0), call.int(1)) else { return Ok(Datum::Null) };
        let months = full_year(period / 100) * 12 + period % 100 - 1 + more;
        Ok(Datum::Int(months.div_euclid(12) * 100 + months.rem_euclid(12) + 1))
    }),
    ("vh_period_diff", false, |call| {
        let (Some(one), Some(other)) = (call.int(0), call.int(1)) else { return Ok(Datum::Null) };
        let months = |period: i64| full_year(period / 100) * 12 + period % 100;
        Ok(Datum::Int(months(one) - months(other)))
    }),
    ("vh_tnum", false, |call| Ok(as_number(call))),
];

const DAY: i64 = 86_400_000_000;

/// `838:59:59`, the longest time.
const LONGEST: i64 = 3_020_399_000_000;

/// A moment in the machine's time zone.
fn local(micros: i64) -> Option<DateTime> {
    Some(Timestamp::from_microsecond(micros).ok()?.to_zoned(TimeZone::system()).datetime())
}

fn now(env: &Env) -> DateTime {
    local(env.running().now).unwrap_or_default()
}

fn utc_now(env: &Env) -> DateTime {
    Timestamp::from_microsecond(env.running().now)
        .map_or_else(|_| DateTime::default(), |now| now.to_zoned(TimeZone::UTC).datetime())
}

/// As it is stored and shown.
pub fn written(moment: DateTime) -> String {
    let micros = moment.subsec_nanosecond() / 1000;
    let fraction = if micros > 0 { format!(".{micros:06}") } else { String::new() };
    format!("{} {}{fraction}", written_date(moment.date()), written_time(moment.time()))
}

fn with_fraction(moment: DateTime, digits: i64) -> String {
    let micros = format!("{:06}", moment.subsec_nanosecond() / 1000);
    let digits = usize::try_from(digits.clamp(0, 6)).unwrap_or(0);
    let whole = format!("{} {}", written_date(moment.date()), written_time(moment.time()));
    if digits == 0 { whole } else { format!("{whole}.{}", &micros[..digits]) }
}

fn written_date(date: Date) -> String {
    format!("{:04}-{:02}-{:02}", date.year(), date.month(), date.day())
}

fn written_time(time: Time) -> String {
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
fn days(date: Date) -> i64 {
    let since = date.since(Date::constant(1970, 1, 1)).map_or(0, |span| i64::from(span.get_days()));
    719_528 + since
}

fn date_of(days: i64) -> Option<Date> {
    let span = Span::new().try_days(days - 719_528).ok()?;
    Date::constant(1970, 1, 1).checked_add(span).ok().filter(|date| date.year() >= 0)
}

fn total_micros(moment: DateTime) -> i64 {
    let time = moment.time();
    let seconds = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    days(moment.date()) * DAY + seconds * 1_000_000 + i64::from(time.subsec_nanosecond()) / 1000
}

/// Years of two digits are those from 1970 to 2069.
fn full_year(year: i64) -> i64 {
    match year {
        0..70 => year + 2000,
        70..100 => year + 1900,
        year => year,
    }
}

/// A date and time as MySQL reads them: with any signs between the numbers, or with none.
pub fn read(text: &str) -> Option<DateTime> {
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
fn fraction(text: &str) -> i64 {
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

fn build(year: i64, [month, day, hour, minute, second]: [i64; 5], micros: i64) -> Option<DateTime> {
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

fn has_date(value: ValueRef<'_>) -> bool {
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

fn with_date(call: &Call<'_>, then: impl FnOnce(Date) -> Outcome) -> Outcome {
    moment(call.raw(0)).map_or(Ok(Datum::Null), |moment| then(moment.date()))
}

/// A part of a date; 0 of `0000-00-00`.
fn zero_or(call: &Call<'_>, part: fn(DateTime) -> i64) -> Outcome {
    let zero = call.text(0).is_some_and(|text| text.starts_with(b"0000-00-00"));
    Ok(moment(call.raw(0))
        .map_or(if zero { Datum::Int(0) } else { Datum::Null }, |moment| Datum::Int(part(moment))))
}

fn time_part(call: &Call<'_>, part: fn(i64) -> i64) -> Outcome {
    Ok(micros(call.raw(0)).map_or(Datum::Null, |micros| Datum::Int(part(micros.abs()))))
}

fn as_number(call: &Call<'_>) -> Datum {
    let Some(text) = call.string(0) else { return Datum::Null };
    let digits: String = text.chars().filter(|sign| sign.is_ascii_digit() || matches!(sign, '.')).collect();
    let number = digits.parse::<i64>().ok();
    let negative = text.starts_with('-');
    match number {
        Some(number) => Datum::Int(if negative { -number } else { number }),
        None => Datum::Real(number::leading(digits.as_bytes())),
    }
}

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

fn day_name(date: Date) -> &'static str {
    usize::try_from(date.weekday().to_monday_zero_offset())
        .ok()
        .and_then(|at| DAYS.get(at))
        .copied()
        .unwrap_or("")
}

fn month_name(date: Date) -> &'static str {
    usize::try_from(date.month() - 1).ok().and_then(|at| MONTHS.get(at)).copied().unwrap_or("")
}

/// Year and week as `WEEK(date, mode)` counts them: bit 0 is Monday first, bit 1 the weeks of
/// the year before instead of 0, bit 2 a first week that may be short.
fn week(date: Date, mode: i64) -> (i64, i64) {
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
fn formatted(moment: DateTime, format: &str) -> String {
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

fn str_to_date(call: &Call<'_>) -> Outcome {
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

/// The numbers of an interval such as `1:30`, of a unit such as `minute_second`.
fn interval(unit: &str, value: &str) -> Option<Span> {
    let negative = value.trim_start().starts_with('-');
    let numbers: Vec<i64> = value
        .split(|sign: char| !sign.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    let names: Vec<&str> = match unit {
        "second_microsecond" => vec!["second", "microsecond"],
        "minute_microsecond" => vec!["minute", "second", "microsecond"],
        "minute_second" => vec!["minute", "second"],
        "hour_microsecond" => vec!["hour", "minute", "second", "microsecond"],
        "hour_second" => vec!["hour", "minute", "second"],
        "hour_minute" => vec!["hour", "minute"],
        "day_microsecond" => vec!["day", "hour", "minute", "second", "microsecond"],
        "day_second" => vec!["day", "hour", "minute", "second"],
        "day_minute" => vec!["day", "hour", "minute"],
        "day_hour" => vec!["day", "hour"],
        "year_month" => vec!["year", "month"],
        _ => return single(unit, value),
    };
    // Where there are fewer numbers, the first ones are missing.
    let missing = names.len().checked_sub(numbers.len())?;
    let mut span = Span::new();
    for (name, number) in names.iter().skip(missing).zip(numbers) {
        span = add(span, name, if negative { -number } else { number })?;
    }
    Some(span)
}

fn single(unit: &str, value: &str) -> Option<Span> {
    let number = number::leading(value.as_bytes());
    if unit == "second" {
        return add(Span::new(), "microsecond", (number * 1e6).round() as i64);
    }
    let number = if number.abs() < 1e15 { number.round() as i64 } else { return None };
    match unit {
        "quarter" => add(Span::new(), "month", number.checked_mul(3)?),
        "week" => add(Span::new(), "day", number.checked_mul(7)?),
        unit => add(Span::new(), unit, number),
    }
}

fn add(span: Span, unit: &str, number: i64) -> Option<Span> {
    match unit {
        "microsecond" => span.try_microseconds(number),
        "second" => span.try_seconds(number),
        "minute" => span.try_minutes(number),
        "hour" => span.try_hours(number),
        "day" => span.try_days(number),
        "month" => span.try_months(number),
        "year" => span.try_years(number),
        _ => return None,
    }
    .ok()
}

/// What is added to, how much, the unit, 1 or -1, and what comes out: 0 as it looks, 1 a date,
/// 2 a date and time, 3 a time.
fn date_add(call: &Call<'_>) -> Outcome {
    let (Some(value), Some(unit), Some(sign)) = (call.string(1), call.string(2), call.int(3)) else {
        return Ok(Datum::Null);
    };
    let Some(span) = interval(&unit, &value) else { return Ok(Datum::Null) };
    let span = if sign < 0 { span.negate() } else { span };
    let first = call.raw(0);
    if call.int(4) == Some(3) {
        let Some(micros) = micros(first) else { return Ok(Datum::Null) };
        let start = Date::constant(2000, 1, 1).to_datetime(Time::midnight());
        let Ok(end) = start.checked_add(span) else { return Ok(Datum::Null) };
        return text_of(written_micros(micros + total_micros(end) - total_micros(start)));
    }
    let Some(moment) = moment(first) else { return Ok(Datum::Null) };
    let Ok(moved) = moment.checked_add(span) else { return Ok(Datum::Null) };
    if moved.year() < 0 {
        return Ok(Datum::Null);
    }
    let of_days = !["hour", "minute", "second"].iter().any(|name| unit.contains(name));
    let date_only = match call.int(4) {
        Some(1) => true,
        Some(2) => false,
        _ => of_days && call.text(0).is_some_and(|text| !text.contains(&b':') && text.len() <= 10),
    };
    text_of(if date_only { written_date(moved.date()) } else { written(moved) })
}

/// The unit, from, to.
fn timestampdiff(call: &Call<'_>) -> Outcome {
    let (Some(unit), Some(from), Some(to)) = (call.string(0), moment(call.raw(1)), moment(call.raw(2)))
    else {
        return Ok(Datum::Null);
    };
    let difference = total_micros(to) - total_micros(from);
    let months = || {
        let (early, late, sign) = if from <= to { (from, to, 1) } else { (to, from, -1) };
        let mut months = (i64::from(late.year()) - i64::from(early.year())) * 12 + i64::from(late.month())
            - i64::from(early.month());
        let within = |moment: DateTime| (moment.day(), moment.time());
        if within(late) < within(early) {
            months -= 1;
        }
        months * sign
    };
    Ok(Datum::Int(match unit.trim_start_matches("sql_tsi_") {
        "microsecond" => difference,
        "second" => difference / 1_000_000,
        "minute" => difference / 60_000_000,
        "hour" => difference / 3_600_000_000,
        "day" => difference / DAY,
        "week" => difference / DAY / 7,
        "month" => months(),
        "quarter" => months() / 3,
        "year" => months() / 12,
        other => return Err(format!("the unit {other} is not supported")),
    }))
}

/// A value, the unit.
fn extract(call: &Call<'_>) -> Outcome {
    let Some(unit) = call.string(1) else { return Ok(Datum::Null) };
    let value = call.raw(0);
    let date = || moment(value).map(|moment| moment.date());
    let time = || micros(value).map(i64::abs);
    let (year, month, day) = match date() {
        Some(date) => (i64::from(date.year()), i64::from(date.month()), i64::from(date.day())),
        None => (0, 0, 0),
    };
    let size = time().unwrap_or(0);
    let (hour, minute, second, micro) =
        (size / 3_600_000_000, size / 60_000_000 % 60, size / 1_000_000 % 60, size % 1_000_000);
    let of_date = matches!(unit.as_str(), "year" | "month" | "day" | "year_month" | "quarter" | "week")
        || unit.starts_with("day_");
    if of_date && date().is_none() || !of_date && time().is_none() {
        return Ok(Datum::Null);
    }
    Ok(Datum::Int(match unit.as_str() {
        "year" => year,
        "month" => month,
        "day" => day,
        "quarter" => (month + 2) / 3,
        "week" => week(date().unwrap_or_default(), 0).1,
        "hour" => hour,
        "minute" => minute,
        "second" => second,
        "microsecond" => micro,
        "year_month" => year * 100 + month,
        "day_hour" => day * 100 + hour,
        "day_minute" => (day * 100 + hour) * 100 + minute,
        "day_second" => ((day * 100 + hour) * 100 + minute) * 100 + second,
        "hour_minute" => hour * 100 + minute,
        "hour_second" => (hour * 100 + minute) * 100 + second,
        "minute_second" => minute * 100 + second,
        "second_microsecond" => second * 1_000_000 + micro,
        "minute_microsecond" => (minute * 100 + second) * 1_000_000 + micro,
        "hour_microsecond" => ((hour * 100 + minute) * 100 + second) * 1_000_000 + micro,
        "day_microsecond" => (((day * 100 + hour) * 100 + minute) * 100 + second) * 1_000_000 + micro,
        other => return Err(format!("the unit {other} is not supported")),
    }))
}
