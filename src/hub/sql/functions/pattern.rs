//! `LIKE` and regular expressions.

use regex::bytes::{Regex, RegexBuilder};

use super::super::collate::{self, characters};
use super::super::session::Datum;
use super::{Call, Outcome, text_of, too_long, truth};

/// Text, pattern, the character that takes the meaning from the next one.
pub(super) fn like(call: &Call<'_>, bytes: bool) -> Outcome {
    let (Some(text), Some(pattern)) = (call.text(0), call.text(1)) else { return Ok(Datum::Null) };
    let escape = call.string(2).and_then(|text| text.chars().next());
    let charset = call.env.charset;
    let weigh = |sign: Result<char, u8>| match sign {
        Ok(sign) if bytes => sign as u32,
        Ok(sign) => collate::weight(sign).into(),
        Err(byte) => 0x11_0000 + u32::from(byte),
    };
    let mut wanted = Vec::new();
    let mut signs = characters(&pattern, charset);
    while let Some(sign) = signs.next() {
        wanted.push(match sign {
            Ok(sign) if Some(sign) == escape => {
                signs.next().map_or(Wanted::Sign(weigh(Ok(sign))), |next| Wanted::Sign(weigh(next)))
            }
            Ok('%') if matches!(wanted.last(), Some(Wanted::Any)) => continue,
            Ok('%') => Wanted::Any,
            Ok('_') => Wanted::One,
            sign => Wanted::Sign(weigh(sign)),
        });
    }
    let text: Vec<u32> = characters(&text, charset).map(weigh).collect();
    truth(is_like(&text, &wanted, call)?)
}

/// One part of a pattern.
#[derive(PartialEq)]
enum Wanted {
    Sign(u32),
    One,
    Any,
}

fn is_like(text: &[u32], wanted: &[Wanted], call: &Call<'_>) -> Result<bool, String> {
    let (mut at, mut part) = (0, 0);
    // Where the last `%` was, and from where in the text it is tried next.
    let mut back: Option<(usize, usize)> = None;
    let mut steps = 0u32;
    while at < text.len() {
        steps += 1;
        if steps.is_multiple_of(1 << 16) {
            call.in_time()?;
        }
        match wanted.get(part) {
            Some(Wanted::Any) => {
                back = Some((part, at));
                part += 1;
            }
            Some(Wanted::One) => {
                at += 1;
                part += 1;
            }
            Some(Wanted::Sign(sign)) if *sign == text[at] => {
                at += 1;
                part += 1;
            }
            _ => match back {
                Some((any, from)) => {
                    back = Some((any, from + 1));
                    at = from + 1;
                    part = any + 1;
                }
                None => return Ok(false),
            },
        }
    }
    Ok(wanted.iter().skip(part).all(|part| *part == Wanted::Any))
}

/// The pattern in the dialect of the crate: what MySQL's has besides.
fn regex(call: &Call<'_>, sensitive: bool) -> Result<Option<Regex>, String> {
    let Some(pattern) = call.text(1) else { return Ok(None) };
    let charset = call.env.charset;
    let pattern = charset.decode(&pattern).replace("[[:<:]]", r"\b").replace("[[:>:]]", r"\b");
    if pattern.len() > 10_000 {
        return Err("a regular expression may have 10,000 bytes".into());
    }
    RegexBuilder::new(&pattern)
        .case_insensitive(!sensitive)
        .size_limit(1 << 20)
        .dfa_size_limit(1 << 20)
        .build()
        .map(Some)
        .map_err(|error| format!("the regular expression cannot be used here: {error}"))
}

/// Text, pattern, whether case counts.
pub(super) fn with_regex(
    call: &Call<'_>,
    sensitive: usize,
    then: impl Fn(&Regex, &[u8]) -> Outcome,
) -> Outcome {
    let Some(text) = call.text(0) else { return Ok(Datum::Null) };
    let Some(regex) = cached_regex(call, call.int(sensitive) == Some(1))? else { return Ok(Datum::Null) };
    if call.env.charset.is_utf8() {
        return then(&regex, &text);
    }
    match then(&regex, call.env.charset.decode(&text).as_bytes())? {
        Datum::Text(text) => text_of(call.env.charset.encode(&String::from_utf8_lossy(&text))),
        other => Ok(other),
    }
}

fn cached_regex(call: &Call<'_>, sensitive: bool) -> Result<Option<std::sync::Arc<Regex>>, String> {
    if let Ok(Some(known)) = call.context.get_aux::<Regex>(1) {
        return Ok(Some(known));
    }
    let Some(regex) = regex(call, sensitive)? else { return Ok(None) };
    call.context.set_aux(1, regex).map(Some).map_err(|error| error.to_string())
}

/// Text, pattern, replacement, whether case counts.
pub(super) fn regexp_replace(call: &Call<'_>) -> Outcome {
    let Some(with) = call.string(2) else { return Ok(Datum::Null) };
    // MySQL's \\1 is the crate's ${1}.
    let mut replacement = String::new();
    let mut signs = with.chars().peekable();
    while let Some(sign) = signs.next() {
        match sign {
            '\\' => match signs.next() {
                Some(digit) if digit.is_ascii_digit() => replacement.push_str(&format!("${{{digit}}}")),
                Some(other) => replacement.push(other),
                None => {}
            },
            '$' => replacement.push_str("$$"),
            other => replacement.push(other),
        }
    }
    with_regex(call, 3, |regex, text| {
        if replacement.len() > 1000 && text.len() > 1000 {
            return Err(too_long());
        }
        text_of(regex.replace_all(text, replacement.as_bytes()).into_owned())
    })
}
