//! Decimal numbers: exact, as text of digits; the arithmetic is `bigdecimal`'s.

use std::str::FromStr;

use bigdecimal::num_bigint::BigInt;
use bigdecimal::{BigDecimal, RoundingMode, Zero};
use rusqlite::types::ValueRef;

/// How many digits after the point there are at most.
const MOST_SCALE: i64 = 38;

/// A value as a decimal number. Text counts as far as it is one.
pub fn of(value: ValueRef<'_>) -> Option<BigDecimal> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.into()),
        // The fewest digits that mean this number are those that somebody wrote.
        ValueRef::Real(number) if number.is_finite() => BigDecimal::from_str(&format!("{number}")).ok(),
        ValueRef::Real(_) => Some(BigDecimal::zero()),
        ValueRef::Text(text) | ValueRef::Blob(text) => Some(leading(text)),
    }
}

/// The characters with which a text is a number.
pub fn leading_digits(text: &[u8]) -> &str {
    let start = text.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(text.len());
    let text = text.get(start..).unwrap_or_default();
    let mut end = usize::from(matches!(text.first(), Some(b'-' | b'+')));
    let digits = |from: usize| text.iter().skip(from).take_while(|byte| byte.is_ascii_digit()).count();
    let whole = digits(end);
    end += whole;
    if text.get(end) == Some(&b'.') {
        let fraction = digits(end + 1);
        if whole + fraction > 0 {
            end += 1 + fraction;
        }
    }
    if end > 0 && matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'-' | b'+')));
        let exponent = digits(end + 1 + sign);
        if exponent > 0 {
            end += 1 + sign + exponent;
        }
    }
    text.get(..end).and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default()
}

/// The number with which a text begins; 0 if with none.
pub fn leading(text: &[u8]) -> BigDecimal {
    let text = leading_digits(text);
    // A huge exponent would be as many digits.
    let exponent = text.split(['e', 'E']).nth(1).and_then(|digits| digits.parse::<i32>().ok()).unwrap_or(0);
    if text.len() > 400 || exponent.abs() > 80 {
        return BigDecimal::zero();
    }
    BigDecimal::from_str(text).unwrap_or_default()
}

/// A number with so many digits after the point, as text.
pub fn rounded(value: ValueRef<'_>, scale: u8) -> String {
    of(value).unwrap_or_default().with_scale_round(scale.into(), RoundingMode::HalfUp).to_plain_string()
}

/// As text, with as many digits as there are.
pub fn written(number: &BigDecimal) -> String {
    let number = if number.fractional_digit_count() < 0 { number.with_scale(0) } else { number.clone() };
    number.to_plain_string()
}

/// Division as MySQL does it: the quotient has whole words of nine digits, cut off, so that
/// what is done with it afterwards is more exact than what is shown.
pub fn divided(one: &BigDecimal, other: &BigDecimal) -> Option<BigDecimal> {
    if other.is_zero() {
        return None;
    }
    let (one_scale, other_scale) =
        (one.fractional_digit_count().max(0), other.fractional_digit_count().max(0));
    let words = |digits: i64| (digits + 8) / 9 * 9;
    let (one_words, other_words) = (words(one_scale), words(other_scale));
    let more = (4 - (one_words - one_scale + other_words - other_scale)).max(0);
    let scale = words(one_words + other_words + more).min(MOST_SCALE + 9);
    let (dividend, _) = one.with_scale(one_scale).into_bigint_and_exponent();
    let (divisor, _) = other.with_scale(other_scale).into_bigint_and_exponent();
    let power = scale - one_scale + other_scale;
    let ten = |power: i64| BigInt::from(10).pow(u32::try_from(power).unwrap_or(0));
    let quotient =
        if power >= 0 { dividend * ten(power) / divisor } else { dividend / (divisor * ten(-power)) };
    Some(BigDecimal::new(quotient, scale))
}

/// A result that is not too large, as text.
pub fn result(number: &BigDecimal) -> Result<String, String> {
    let number = if number.fractional_digit_count() > MOST_SCALE + 9 {
        number.with_scale_round(MOST_SCALE, RoundingMode::HalfUp)
    } else {
        number.clone()
    };
    if number.digits() > 90 {
        return Err("DECIMAL value is out of range".into());
    }
    Ok(written(&number))
}
