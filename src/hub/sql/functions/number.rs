//! Numbers.

use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive, Zero};
use rusqlite::types::ValueRef;

use super::decimal;
use super::{Call, Function, Outcome, text_of, truth};
use crate::hub::sql::session::Datum;

/// Names, whether the answer changes by itself, functions.
pub const FUNCTIONS: &[(&str, bool, Function)] = &[
    ("vh_num", false, |call| Ok(call.real(0).map_or(Datum::Null, whole_if_exact))),
    ("vh_int", false, |call| Ok(call.int(0).map_or(Datum::Null, Datum::Int))),
    ("vh_dec", false, |call| scaled(call, 1)),
    ("vh_dbl", false, |call| call.real(0).map_or(Ok(Datum::Null), |number| text_of(shown(number)))),
    ("vh_flt", false, |call| call.real(0).map_or(Ok(Datum::Null), |number| text_of(shown_float(number)))),
    ("vh_ustr", false, |call| match call.raw(0) {
        ValueRef::Integer(number) => text_of(number.cast_unsigned().to_string()),
        _ => call.text(0).map_or(Ok(Datum::Null), text_of_cow),
    }),
    ("vh_uint", false, |call| match call.raw(0) {
        ValueRef::Integer(number) if number < 0 => Err("BIGINT UNSIGNED value is out of range".into()),
        ValueRef::Real(number) if !(0.0..=9.2e18).contains(&number) => {
            Err("BIGINT UNSIGNED value is out of range".into())
        }
        value => Ok(Datum::of(value)),
    }),
    ("vh_add", false, |call| arithmetic(call, |one, other| Some(one + other))),
    ("vh_sub", false, |call| arithmetic(call, |one, other| Some(one - other))),
    ("vh_mul", false, |call| arithmetic(call, |one, other| Some(one * other))),
    ("vh_div", false, |call| arithmetic(call, |one, other| decimal::divided(&one, &other))),
    ("vh_mod", false, |call| {
        arithmetic(call, |one, other| if other.is_zero() { None } else { Some(one % other) })
    }),
    ("vh_fmod", false, |call| two(call, |one, other| (other != 0.0).then(|| one % other))),
    ("vh_intdiv", false, |call| {
        let (Some(one), Some(other)) = (decimal::of(call.raw(0)), decimal::of(call.raw(1))) else {
            return Ok(Datum::Null);
        };
        if other.is_zero() {
            return Ok(Datum::Null);
        }
        let quotient = (one / other).with_scale_round(0, RoundingMode::Down);
        quotient.to_i64().map(Datum::Int).ok_or_else(|| "BIGINT value is out of range".into())
    }),
    ("vh_abs", false, |call| match call.raw(0) {
        ValueRef::Integer(number) => {
            number.checked_abs().map(Datum::Int).ok_or_else(|| "BIGINT value is out of range".into())
        }
        _ => one(call, |number| Some(number.abs())),
    }),
    ("vh_decabs", false, |call| unary(call, |number| number.abs())),
    ("vh_decneg", false, |call| unary(call, |number| -number)),
    ("vh_sign", false, |call| {
        Ok(call
            .real(0)
            .map_or(Datum::Null, |number| Datum::Int(i64::from(number > 0.0) - i64::from(number < 0.0))))
    }),
    ("vh_floor", false, |call| rounded_to_whole(call, RoundingMode::Floor)),
    ("vh_ceil", false, |call| rounded_to_whole(call, RoundingMode::Ceiling)),
    ("vh_ffloor", false, |call| one(call, |number| Some(number.floor()))),
    ("vh_fceil", false, |call| one(call, |number| Some(number.ceil()))),
    ("vh_decround", false, |call| round_decimal(call, RoundingMode::HalfUp)),
    ("vh_dectrunc", false, |call| round_decimal(call, RoundingMode::Down)),
    ("vh_fround", false, |call| round_real(call, RoundingMode::HalfEven)),
    ("vh_ftrunc", false, |call| round_real(call, RoundingMode::Down)),
    ("vh_pow", false, |call| two(call, |one, other| Some(one.powf(other)))),
    ("vh_sqrt", false, |call| one(call, |number| (number >= 0.0).then(|| number.sqrt()))),
    ("vh_exp", false, |call| one(call, |number| Some(number.exp()))),
    ("vh_ln", false, |call| one(call, |number| (number > 0.0).then(|| number.ln()))),
    ("vh_log2", false, |call| one(call, |number| (number > 0.0).then(|| number.log2()))),
    ("vh_log10", false, |call| one(call, |number| (number > 0.0).then(|| number.log10()))),
    ("vh_logb", false, |call| {
        two(call, |base, number| (number > 0.0 && base > 0.0 && base != 1.0).then(|| number.ln() / base.ln()))
    }),
    ("vh_sin", false, |call| one(call, |number| Some(number.sin()))),
    ("vh_cos", false, |call| one(call, |number| Some(number.cos()))),
    ("vh_tan", false, |call| one(call, |number| Some(number.tan()))),
    ("vh_cot", false, |call| one(call, |number| Some(1.0 / number.tan()))),
    ("vh_asin", false, |call| one(call, |number| (number.abs() <= 1.0).then(|| number.asin()))),
    ("vh_acos", false, |call| one(call, |number| (number.abs() <= 1.0).then(|| number.acos()))),
    ("vh_atan", false, |call| one(call, |number| Some(number.atan()))),
    ("vh_atan2", false, |call| two(call, |one, other| Some(one.atan2(other)))),
    ("vh_degrees", false, |call| one(call, |number| Some(number.to_degrees()))),
    ("vh_radians", false, |call| one(call, |number| Some(number.to_radians()))),
    ("vh_bit_count", false, |call| {
        Ok(call.int(0).map_or(Datum::Null, |number| Datum::Int(number.count_ones().into())))
    }),
    ("vh_shl", false, |call| shift(call, |number, by| number << by)),
    ("vh_shr", false, |call| shift(call, |number, by| number >> by)),
    ("vh_xor", false, |call| match (call.int(0), call.int(1)) {
        (Some(one), Some(other)) => Ok(Datum::Int(one ^ other)),
        _ => Ok(Datum::Null),
    }),
    ("vh_lxor", false, |call| match (call.real(0), call.real(1)) {
        (Some(one), Some(other)) => truth((one != 0.0) != (other != 0.0)),
        _ => Ok(Datum::Null),
    }),
    ("vh_rand", true, |_| Ok(Datum::Real(random()))),
    ("vh_conv", false, conv),
    ("vh_greatest", false, |call| extreme(call, |one, other| one > other)),
    ("vh_least", false, |call| extreme(call, |one, other| one < other)),
    ("vh_interval", false, |call| {
        let Some(first) = call.real(0) else { return Ok(Datum::Int(-1)) };
        let reached =
            (1..call.count()).take_while(|at| call.real(*at).is_none_or(|limit| limit <= first)).count();
        Ok(Datum::Int(i64::try_from(reached).unwrap_or(0)))
    }),
    ("vh_format", false, |call| {
        let (Some(number), Some(places)) = (decimal::of(call.raw(0)), call.int(1)) else {
            return Ok(Datum::Null);
        };
        text_of(with_commas(&number, places.clamp(0, 38)))
    }),
];

fn text_of_cow(text: std::borrow::Cow<'_, [u8]>) -> Outcome {
    text_of(text.into_owned())
}

/// The number with which a text begins; 0 if with none.
pub fn leading(text: &[u8]) -> f64 {
    decimal::leading_digits(text).parse().unwrap_or(0.0)
}

fn whole_if_exact(number: f64) -> Datum {
    Datum::Real(number)
}

/// A number as MySQL shows it: the fewest digits, an exponent only where it is long.
pub fn shown(number: f64) -> String {
    digits(&format!("{number:e}"))
}

/// A `FLOAT` as MySQL shows it: six digits.
pub fn shown_float(number: f64) -> String {
    let rounded: f64 = format!("{:.5e}", number).parse().unwrap_or(number);
    digits(&format!("{rounded:e}"))
}

/// From `1.25e-3` to `0.00125`, if it is not too long.
fn digits(scientific: &str) -> String {
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-15..15).contains(&exponent) {
        let number: BigDecimal = scientific.parse().unwrap_or_default();
        let plain = decimal::written(&number);
        return if plain.starts_with("-0") && number.is_zero() { "0".into() } else { plain };
    }
    format!("{mantissa}e{exponent}")
}

fn one(call: &Call<'_>, function: fn(f64) -> Option<f64>) -> Outcome {
    real(call.real(0).and_then(function))
}

fn two(call: &Call<'_>, function: fn(f64, f64) -> Option<f64>) -> Outcome {
    let (Some(one), Some(other)) = (call.real(0), call.real(1)) else { return Ok(Datum::Null) };
    real(function(one, other))
}

fn real(number: Option<f64>) -> Outcome {
    match number {
        None => Ok(Datum::Null),
        Some(number) if number.is_finite() => Ok(Datum::Real(number)),
        Some(_) => Err("DOUBLE value is out of range".into()),
    }
}

fn arithmetic(call: &Call<'_>, function: fn(BigDecimal, BigDecimal) -> Option<BigDecimal>) -> Outcome {
    let (Some(one), Some(other)) = (decimal::of(call.raw(0)), decimal::of(call.raw(1))) else {
        return Ok(Datum::Null);
    };
    match function(one, other) {
        Some(number) => Ok(Datum::Text(decimal::result(&number)?.into_bytes())),
        None => Ok(Datum::Null),
    }
}

fn unary(call: &Call<'_>, function: fn(BigDecimal) -> BigDecimal) -> Outcome {
    decimal::of(call.raw(0)).map_or(Ok(Datum::Null), |number| text_of(decimal::written(&function(number))))
}

fn scaled(call: &Call<'_>, scale: usize) -> Outcome {
    if call.is_null(0) {
        return Ok(Datum::Null);
    }
    text_of(decimal::rounded(call.raw(0), u8::try_from(call.int(scale).unwrap_or(0)).unwrap_or(0)))
}

fn rounded_to_whole(call: &Call<'_>, mode: RoundingMode) -> Outcome {
    let Some(number) = decimal::of(call.raw(0)) else { return Ok(Datum::Null) };
    let whole = number.with_scale_round(0, mode);
    Ok(whole.to_i64().map_or_else(|| Datum::Text(whole.to_plain_string().into_bytes()), Datum::Int))
}

/// The second argument says how many digits stay; the third, how many are shown.
fn round_decimal(call: &Call<'_>, mode: RoundingMode) -> Outcome {
    let (Some(number), Some(places)) = (decimal::of(call.raw(0)), call.int(1)) else {
        return Ok(Datum::Null);
    };
    let number = number.with_scale_round(places.clamp(-100, 38), mode);
    match call.raw(2) {
        ValueRef::Null => Ok(number
            .to_i64()
            .map_or_else(|| Datum::Text(number.with_scale(0).to_plain_string().into_bytes()), Datum::Int)),
        _ => text_of(decimal::written(&number.with_scale(call.int(2).unwrap_or(0).clamp(0, 38)))),
    }
}

fn round_real(call: &Call<'_>, mode: RoundingMode) -> Outcome {
    let (Some(number), Some(places)) = (call.real(0), call.int(1)) else { return Ok(Datum::Null) };
    let places = i32::try_from(places.clamp(-308, 308)).unwrap_or(0);
    let power = 10f64.powi(places.abs());
    let scaled = if places >= 0 { number * power } else { number / power };
    if !scaled.is_finite() || !power.is_finite() {
        return Ok(Datum::Real(if places >= 0 { number } else { 0.0 }));
    }
    let whole = if mode == RoundingMode::Down { scaled.trunc() } else { scaled.round_ties_even() };
    Ok(Datum::Real(if places >= 0 { whole / power } else { whole * power }))
}

fn shift(call: &Call<'_>, function: fn(u64, u32) -> u64) -> Outcome {
    let (Some(number), Some(by)) = (call.int(0), call.int(1)) else { return Ok(Datum::Null) };
    let shifted =
        u32::try_from(by).ok().filter(|by| *by < 64).map_or(0, |by| function(number.cast_unsigned(), by));
    Ok(Datum::Int(shifted.cast_signed()))
}

/// A random number from 0 to 1.
fn random() -> f64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    let bits = RandomState::new().build_hasher().finish();
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// The greatest or least number, NULL if one is.
fn extreme(call: &Call<'_>, wins: fn(f64, f64) -> bool) -> Outcome {
    if call.any_null() {
        return Ok(Datum::Null);
    }
    let mut best = 0;
    for at in 1..call.count() {
        let (one, other) = (call.real(at).unwrap_or(0.0), call.real(best).unwrap_or(0.0));
        if wins(one, other) {
            best = at;
        }
    }
    Ok(Datum::of(call.raw(best)))
}

fn conv(call: &Call<'_>) -> Outcome {
    let (Some(text), Some(from), Some(to)) = (call.string(0), call.int(1), call.int(2)) else {
        return Ok(Datum::Null);
    };
    let base = |base: i64| u32::try_from(base.abs()).ok().filter(|base| (2..=36).contains(base));
    let (Some(from), Some(to_base)) = (base(from), base(to)) else { return Ok(Datum::Null) };
    let text = text.trim();
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let mut number: u64 = 0;
    for digit in text.chars().map_while(|sign| sign.to_digit(from)) {
        number = number.saturating_mul(from.into()).saturating_add(digit.into());
    }
    let number = if negative { number.wrapping_neg() } else { number };
    let (minus, mut rest) =
        if to < 0 && number.cast_signed() < 0 { (true, number.wrapping_neg()) } else { (false, number) };
    let mut digits = Vec::new();
    while rest > 0 || digits.is_empty() {
        let digit = u32::try_from(rest % u64::from(to_base)).unwrap_or(0);
        digits.push(char::from_digit(digit, to_base).unwrap_or('0').to_ascii_uppercase() as u8);
        rest /= u64::from(to_base);
    }
    if minus {
        digits.push(b'-');
    }
    digits.reverse();
    text_of(digits)
}

fn with_commas(number: &BigDecimal, places: i64) -> String {
    let plain = number.with_scale_round(places, RoundingMode::HalfUp).to_plain_string();
    let (sign, plain) = plain.strip_prefix('-').map_or(("", plain.as_str()), |plain| ("-", plain));
    let (whole, fraction) = plain.split_once('.').map_or((plain, ""), |(whole, fraction)| (whole, fraction));
    let mut out = String::from(sign);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    if !fraction.is_empty() {
        out.push('.');
        out.push_str(fraction);
    }
    out
}
