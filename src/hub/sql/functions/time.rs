//! Dates and times, in the machine's time zone, as a MySQL server beside the hub has them.
//!
//! They are text: `2020-01-02`, `03:04:05`, `2020-01-02 03:04:05`. What is no date is NULL;
//! `0000-00-00` can be stored, and is none.

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::super::session::{Datum, Env};
use super::date_format::{day_name, formatted, month_name, str_to_date, week};
use super::moment::{
    DAY, LONGEST, date_of, days, full_year, has_date, local, micros, moment, total_micros, with_fraction,
    written, written_date, written_micros, written_time,
};
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

fn now(env: &Env) -> DateTime {
    local(env.running().now).unwrap_or_default()
}

fn utc_now(env: &Env) -> DateTime {
    Timestamp::from_microsecond(env.running().now)
        .map_or_else(|_| DateTime::default(), |now| now.to_zoned(TimeZone::UTC).datetime())
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
