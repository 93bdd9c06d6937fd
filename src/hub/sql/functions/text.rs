//! Text. Positions and lengths are in characters of the hub's encoding.

use std::net::{Ipv4Addr, Ipv6Addr};

use md5::Md5;
use memchr::memmem;
use rusqlite::types::ValueRef;
use sha1::Sha1;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::super::super::text::Charset;
use super::super::collate::{self, characters, weights};
use super::super::guard::LONGEST_VALUE;
use super::super::session::Datum;
use super::pattern::{like, regexp_replace, with_regex};
use super::{Call, Function, Outcome, text_of, too_long, truth};

/// Names, whether the answer changes by itself, functions.
pub const FUNCTIONS: &[(&str, bool, Function)] = &[
    ("vh_concat", false, |call| if call.any_null() { Ok(Datum::Null) } else { joined(call, 0, b"") }),
    ("vh_concat_ws", false, |call| match call.text(0) {
        Some(between) => joined(call, 1, &between),
        None => Ok(Datum::Null),
    }),
    ("vh_left", false, |call| part(call, |_, length| (0, length))),
    ("vh_right", false, |call| part(call, |all, length| (all.saturating_sub(length), length))),
    ("vh_substr", false, substr),
    ("vh_locate", false, |call| locate(call, false)),
    ("vh_locate_bytes", false, |call| locate(call, true)),
    ("vh_octets", false, |call| Ok(call.text(0).map_or(Datum::Null, |text| count_of(text.len())))),
    ("vh_bits", false, |call| Ok(call.text(0).map_or(Datum::Null, |text| count_of(text.len() * 8)))),
    ("vh_chars", false, |call| {
        Ok(call.text(0).map_or(Datum::Null, |text| count_of(count(&text, call.env.charset))))
    }),
    ("vh_lower", false, |call| mapped(call, lower)),
    ("vh_upper", false, |call| mapped(call, upper)),
    ("vh_trim", false, trim),
    ("vh_replace", false, replace),
    ("vh_reverse", false, |call| {
        let Some(text) = call.text(0) else { return Ok(Datum::Null) };
        let mut out = vec![0; text.len()];
        let mut end = text.len();
        let mut rest = &text[..];
        while !rest.is_empty() {
            let (sign, after) = rest.split_at(length_of_first(rest, call.env.charset));
            let start = end - sign.len();
            if let Some(place) = out.get_mut(start..end) {
                place.copy_from_slice(sign);
            }
            (end, rest) = (start, after);
        }
        text_of(out)
    }),
    ("vh_repeat", false, |call| {
        let (Some(text), Some(times)) = (call.text(0), call.int(1)) else { return Ok(Datum::Null) };
        repeated(&text, times)
    }),
    ("vh_lpad", false, |call| padded(call, true)),
    ("vh_rpad", false, |call| padded(call, false)),
    ("vh_strcmp", false, |call| {
        let (Some(one), Some(other)) = (call.text(0), call.text(1)) else { return Ok(Datum::Null) };
        Ok(Datum::Int(collate::compare(&one, &other, call.env.charset) as i64))
    }),
    ("vh_field", false, |call| {
        let found = call.text(0).and_then(|text| {
            (1..call.count())
                .find(|at| call.text(*at).is_some_and(|other| same(&text, &other, call.env.charset)))
        });
        Ok(count_of(found.unwrap_or(0)))
    }),
    ("vh_nfield", false, |call| {
        let found =
            call.real(0).and_then(|number| (1..call.count()).find(|at| call.real(*at) == Some(number)));
        Ok(count_of(found.unwrap_or(0)))
    }),
    ("vh_find_in_set", false, |call| {
        let (Some(text), Some(set)) = (call.text(0), call.text(1)) else { return Ok(Datum::Null) };
        let mut all = set.split(|byte| *byte == b',');
        let found =
            if set.is_empty() { None } else { all.position(|each| same(&text, each, call.env.charset)) };
        Ok(count_of(found.map_or(0, |at| at + 1)))
    }),
    ("vh_elt", false, |call| {
        let at = call.int(0).and_then(|at| usize::try_from(at).ok()).filter(|at| *at > 0);
        Ok(at.map_or(Datum::Null, |at| Datum::of(call.raw(at))))
    }),
    ("vh_make_set", false, |call| {
        let Some(bits) = call.int(0) else { return Ok(Datum::Null) };
        let chosen = (1..call.count())
            .filter(|at| *at <= 64 && bits >> (at - 1) & 1 == 1)
            .filter_map(|at| call.text(at));
        text_of(chosen.collect::<Vec<_>>().join(&b','))
    }),
    ("vh_hex", false, |call| match call.raw(0) {
        ValueRef::Null => Ok(Datum::Null),
        ValueRef::Integer(number) => text_of(format!("{number:X}")),
        ValueRef::Real(number) => text_of(format!("{:X}", number.round() as i64)),
        ValueRef::Text(text) | ValueRef::Blob(text) => {
            if text.len() > LONGEST_VALUE / 2 {
                return Err(too_long());
            }
            text_of(hex(text).to_ascii_uppercase())
        }
    }),
    ("vh_unhex", false, |call| {
        let Some(text) = call.text(0) else { return Ok(Datum::Null) };
        let digits: Option<Vec<u8>> =
            text.iter().map(|byte| char::from(*byte).to_digit(16).map(|digit| digit as u8)).collect();
        let Some(mut digits) = digits else { return Ok(Datum::Null) };
        if digits.len() % 2 == 1 {
            digits.insert(0, 0);
        }
        text_of(
            digits
                .chunks(2)
                .map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit))
                .collect::<Vec<u8>>(),
        )
    }),
    ("vh_char", false, |call| {
        let mut out = Vec::new();
        for number in (0..call.count()).filter_map(|at| call.int(at)) {
            let bytes = (number as u32).to_be_bytes();
            let start = bytes.iter().position(|byte| *byte != 0).unwrap_or(3);
            out.extend_from_slice(bytes.get(start..).unwrap_or_default());
        }
        text_of(out)
    }),
    ("vh_ascii", false, |call| {
        Ok(call.text(0).map_or(Datum::Null, |text| Datum::Int(text.first().copied().unwrap_or(0).into())))
    }),
    ("vh_ord", false, |call| {
        let Some(text) = call.text(0) else { return Ok(Datum::Null) };
        let first = text.get(..length_of_first(&text, call.env.charset)).unwrap_or_default();
        Ok(Datum::Int(first.iter().fold(0, |number, byte| number << 8 | i64::from(*byte))))
    }),
    ("vh_md5", false, |call| hashed(call, |text| hex(&Md5::digest(text)))),
    ("vh_sha1", false, |call| hashed(call, |text| hex(&Sha1::digest(text)))),
    ("vh_sha2", false, |call| match call.int(1) {
        Some(0 | 256) => hashed(call, |text| hex(&Sha256::digest(text))),
        Some(224) => hashed(call, |text| hex(&Sha224::digest(text))),
        Some(384) => hashed(call, |text| hex(&Sha384::digest(text))),
        Some(512) => hashed(call, |text| hex(&Sha512::digest(text))),
        _ => Ok(Datum::Null),
    }),
    ("vh_crc32", false, |call| {
        Ok(call.text(0).map_or(Datum::Null, |text| Datum::Int(crc32fast::hash(&text).into())))
    }),
    ("vh_insert", false, insert),
    ("vh_space", false, |call| call.int(0).map_or(Ok(Datum::Null), |times| repeated(b" ", times))),
    ("vh_quote", false, |call| {
        let Some(text) = call.text(0) else { return text_of("NULL") };
        let mut out = vec![b'\''];
        for byte in text.iter() {
            match byte {
                b'\'' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
                0 => out.extend_from_slice(b"\\0"),
                26 => out.extend_from_slice(b"\\Z"),
                byte => out.push(*byte),
            }
        }
        out.push(b'\'');
        text_of(out)
    }),
    ("vh_substring_index", false, substring_index),
    ("vh_soundex", false, soundex),
    ("vh_to_base64", false, |call| {
        use base64::Engine;
        let Some(text) = call.text(0) else { return Ok(Datum::Null) };
        if text.len() > LONGEST_VALUE / 3 * 2 {
            return Err(too_long());
        }
        let whole = base64::engine::general_purpose::STANDARD.encode(&text[..]).into_bytes();
        text_of(whole.chunks(76).collect::<Vec<_>>().join(&b'\n'))
    }),
    ("vh_from_base64", false, |call| {
        use base64::Engine;
        let Some(text) = call.text(0) else { return Ok(Datum::Null) };
        let text: Vec<u8> = text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        base64::engine::general_purpose::STANDARD.decode(text).map_or(Ok(Datum::Null), text_of)
    }),
    ("vh_like", false, |call| like(call, false)),
    ("vh_like_bytes", false, |call| like(call, true)),
    ("vh_regexp", false, |call| with_regex(call, 2, |regex, text| truth(regex.is_match(text)))),
    ("vh_regexp_substr", false, |call| {
        with_regex(call, 2, |regex, text| {
            text_of(regex.find(text).map_or(&b""[..], |found| found.as_bytes()))
        })
    }),
    ("vh_regexp_instr", false, |call| {
        with_regex(call, 2, |regex, text| {
            let before = regex.find(text).and_then(|found| text.get(..found.start()));
            Ok(count_of(before.map_or(0, |before| count(before, Charset::UTF_8) + 1)))
        })
    }),
    ("vh_regexp_replace", false, regexp_replace),
    ("vh_inet_aton", false, |call| {
        Ok(call.string(0).and_then(|text| address(&text)).map_or(Datum::Null, Datum::Int))
    }),
    ("vh_inet_ntoa", false, |call| {
        let number = call.int(0).and_then(|number| u32::try_from(number).ok());
        number.map_or(Ok(Datum::Null), |number| text_of(Ipv4Addr::from(number).to_string()))
    }),
    ("vh_inet6_aton", false, |call| match call.string(0) {
        None => Ok(Datum::Null),
        Some(text) => match (text.parse::<Ipv4Addr>(), text.parse::<Ipv6Addr>()) {
            (Ok(address), _) => text_of(address.octets()),
            (_, Ok(address)) => text_of(address.octets()),
            _ => Ok(Datum::Null),
        },
    }),
    ("vh_inet6_ntoa", false, |call| {
        let Some(bytes) = call.text(0) else { return Ok(Datum::Null) };
        if let Ok(four) = <[u8; 4]>::try_from(&bytes[..]) {
            text_of(Ipv4Addr::from(four).to_string())
        } else if let Ok(sixteen) = <[u8; 16]>::try_from(&bytes[..]) {
            text_of(Ipv6Addr::from(sixteen).to_string())
        } else {
            Ok(Datum::Null)
        }
    }),
    ("vh_is_ipv4", false, |call| truth(call.string(0).is_some_and(|text| text.parse::<Ipv4Addr>().is_ok()))),
    ("vh_is_ipv6", false, |call| truth(call.string(0).is_some_and(|text| text.parse::<Ipv6Addr>().is_ok()))),
    ("vh_fold", false, |call| {
        let folded = call.text(0).and_then(|text| collate::folded(&text, call.env.charset));
        Ok(folded.map_or(Datum::Null, |text| Datum::Text(text.into_bytes())))
    }),
    ("vh_enum_index", false, |call| {
        let (Some(text), Some(values)) = (call.text(0), call.string(1)) else { return Ok(Datum::Null) };
        let at = values.split('\u{1}').position(|value| same(&text, value.as_bytes(), Charset::UTF_8));
        Ok(count_of(at.map_or(0, |at| at + 1)))
    }),
    ("vh_uuid", true, |_| {
        use std::hash::{BuildHasher, Hasher, RandomState};
        let half = || RandomState::new().build_hasher().finish();
        let digits = format!("{:016x}{:016x}", half(), half());
        let piece = |from: usize, to: usize| digits.get(from..to).unwrap_or_default();
        text_of(format!(
            "{}-{}-4{}-8{}-{}",
            piece(0, 8),
            piece(8, 12),
            piece(13, 16),
            piece(17, 20),
            piece(20, 32)
        ))
    }),
];

fn count_of(count: usize) -> Datum {
    Datum::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

fn same(one: &[u8], other: &[u8], charset: Charset) -> bool {
    collate::compare(one, other, charset).is_eq()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |at: u8| char::from(DIGITS[usize::from(at & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

fn hashed(call: &Call<'_>, hash: impl Fn(&[u8]) -> String) -> Outcome {
    call.text(0).map_or(Ok(Datum::Null), |text| text_of(hash(&text)))
}

/// How many bytes the first character has.
fn length_of_first(text: &[u8], charset: Charset) -> usize {
    if charset.is_utf8() {
        return text.utf8_chunks().next().map_or(0, |_| match text.first() {
            Some(0xc2..0xe0) => valid(text, 2),
            Some(0xe0..0xf0) => valid(text, 3),
            Some(0xf0..0xf5) => valid(text, 4),
            _ => 1,
        });
    }
    match text {
        [0x81..=0xfe, 0x40..=0xff, ..] if charset.has_pairs() => 2,
        [] => 0,
        _ => 1,
    }
}

fn valid(text: &[u8], length: usize) -> usize {
    if text.get(..length).is_some_and(|bytes| std::str::from_utf8(bytes).is_ok()) { length } else { 1 }
}

fn count(text: &[u8], charset: Charset) -> usize {
    if text.is_ascii() {
        return text.len();
    }
    offset(text, usize::MAX, charset).1
}

/// Where so many characters end, in bytes; and how many there are before that.
fn offset(text: &[u8], characters: usize, charset: Charset) -> (usize, usize) {
    if text.is_ascii() {
        let at = characters.min(text.len());
        return (at, at);
    }
    let (mut at, mut count) = (0, 0);
    while count < characters && at < text.len() {
        at += length_of_first(text.get(at..).unwrap_or_default(), charset);
        count += 1;
    }
    (at, count)
}

/// The characters from one place on, at most so many.
fn slice(text: &[u8], from: usize, length: usize, charset: Charset) -> &[u8] {
    let start = offset(text, from, charset).0;
    let rest = text.get(start..).unwrap_or_default();
    rest.get(..offset(rest, length, charset).0).unwrap_or_default()
}

fn part(call: &Call<'_>, which: fn(usize, usize) -> (usize, usize)) -> Outcome {
    let (Some(text), Some(length)) = (call.text(0), call.int(1)) else { return Ok(Datum::Null) };
    let (from, length) = which(count(&text, call.env.charset), usize::try_from(length).unwrap_or(0));
    text_of(slice(&text, from, length, call.env.charset))
}

fn substr(call: &Call<'_>) -> Outcome {
    if call.any_null() {
        return Ok(Datum::Null);
    }
    let (Some(text), Some(from)) = (call.text(0), call.int(1)) else { return Ok(Datum::Null) };
    let length = if call.count() > 2 { call.int(2).unwrap_or(0) } else { i64::MAX };
    let all = i64::try_from(count(&text, call.env.charset)).unwrap_or(i64::MAX);
    let from = if from < 0 { all + from } else { from - 1 };
    if from < 0 || from >= all || length <= 0 {
        return text_of("");
    }
    let [from, length] = [from, length].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    text_of(slice(&text, from, length, call.env.charset))
}

/// What is looked for, where, from which character on.
fn locate(call: &Call<'_>, bytes: bool) -> Outcome {
    let (Some(what), Some(text)) = (call.text(0), call.text(1)) else { return Ok(Datum::Null) };
    let from = if call.count() > 2 { call.int(2).unwrap_or(0) } else { 1 };
    let charset = call.env.charset;
    let all = count(&text, charset);
    let Some(from) = usize::try_from(from).ok().filter(|from| *from > 0 && from - 1 <= all) else {
        return Ok(Datum::Int(0));
    };
    let rest = slice(&text, from - 1, usize::MAX, charset);
    let found = if bytes || text.is_ascii() && what.is_ascii() {
        let at = if bytes {
            memmem::find(rest, &what)
        } else {
            memmem::find(&rest.to_ascii_lowercase(), &what.to_ascii_lowercase())
        };
        at.map(|at| count(rest.get(..at).unwrap_or_default(), charset))
    } else {
        let what: Vec<u32> = weights(&what, charset).collect();
        find(weights(rest, charset), &what)
    };
    Ok(count_of(found.map_or(0, |at| at + from)))
}

/// Where a sequence is found for the first time (Knuth, Morris, Pratt).
fn find(text: impl Iterator<Item = u32>, what: &[u32]) -> Option<usize> {
    if what.is_empty() {
        return Some(0);
    }
    // For each start of what is looked for: how much of its end is a start again.
    let mut borders = vec![0; what.len()];
    let mut border = 0;
    for at in 1..what.len() {
        while border > 0 && what[at] != what[border] {
            border = borders[border - 1];
        }
        if what[at] == what[border] {
            border += 1;
        }
        borders[at] = border;
    }
    let mut matched = 0;
    for (at, sign) in text.enumerate() {
        while matched > 0 && sign != what[matched] {
            matched = borders[matched - 1];
        }
        if sign == what[matched] {
            matched += 1;
        }
        if matched == what.len() {
            return Some(at + 1 - matched);
        }
    }
    None
}

fn joined(call: &Call<'_>, from: usize, between: &[u8]) -> Outcome {
    let mut out = Vec::new();
    let mut first = true;
    for text in (from..call.count()).filter_map(|at| call.text(at)) {
        if !first {
            out.extend_from_slice(between);
        }
        first = false;
        out.extend_from_slice(&text);
        if out.len() > LONGEST_VALUE {
            return Err(too_long());
        }
    }
    text_of(out)
}

fn lower(sign: char) -> char {
    one_to_one(sign, sign.to_lowercase())
}

fn upper(sign: char) -> char {
    one_to_one(sign, sign.to_uppercase())
}

fn one_to_one(sign: char, mut mapped: impl Iterator<Item = char>) -> char {
    match (mapped.next(), mapped.next()) {
        (Some(mapped), None) => mapped,
        _ => sign,
    }
}

fn mapped(call: &Call<'_>, map: fn(char) -> char) -> Outcome {
    let Some(text) = call.text(0) else { return Ok(Datum::Null) };
    let charset = call.env.charset;
    if !charset.is_utf8() && !text.is_ascii() {
        return text_of(charset.encode(&charset.decode(&text).chars().map(map).collect::<String>()));
    }
    let mut out = Vec::with_capacity(text.len());
    for sign in characters(&text, charset) {
        match sign {
            Ok(sign) => out.extend_from_slice(map(sign).encode_utf8(&mut [0; 4]).as_bytes()),
            Err(byte) => out.push(byte),
        }
    }
    text_of(out)
}

/// Text, where (1 in front, 2 at the end, 3 both), what.
fn trim(call: &Call<'_>) -> Outcome {
    let (Some(text), Some(place), Some(what)) = (call.text(0), call.int(1), call.text(2)) else {
        return Ok(Datum::Null);
    };
    let mut rest = &text[..];
    if !what.is_empty() {
        while place & 1 != 0
            && let Some(after) = rest.strip_prefix(&what[..])
        {
            rest = after;
        }
        while place & 2 != 0
            && let Some(before) = rest.strip_suffix(&what[..])
        {
            rest = before;
        }
    }
    text_of(rest)
}

fn replace(call: &Call<'_>) -> Outcome {
    let (Some(text), Some(what), Some(with)) = (call.text(0), call.text(1), call.text(2)) else {
        return Ok(Datum::Null);
    };
    if what.is_empty() {
        return text_of(text.into_owned());
    }
    let mut out = Vec::new();
    let mut last = 0;
    for at in memmem::find_iter(&text, &what[..]) {
        out.extend_from_slice(text.get(last..at).unwrap_or_default());
        out.extend_from_slice(&with);
        last = at + what.len();
        if out.len() > LONGEST_VALUE {
            return Err(too_long());
        }
    }
    out.extend_from_slice(text.get(last..).unwrap_or_default());
    text_of(out)
}

fn repeated(text: &[u8], times: i64) -> Outcome {
    let times = usize::try_from(times).unwrap_or(0);
    if text.len().checked_mul(times).is_none_or(|length| length > LONGEST_VALUE) {
        return Err(too_long());
    }
    text_of(text.repeat(times))
}

fn padded(call: &Call<'_>, left: bool) -> Outcome {
    let (Some(text), Some(length)) = (call.text(0), call.int(1)) else { return Ok(Datum::Null) };
    let with = if call.count() > 2 { call.text(2) } else { Some(b" ".as_slice().into()) };
    let (Some(with), Ok(length)) = (with, usize::try_from(length)) else { return Ok(Datum::Null) };
    let charset = call.env.charset;
    let has = count(&text, charset);
    if has >= length {
        return text_of(slice(&text, 0, length, charset));
    }
    if length > LONGEST_VALUE {
        return Err(too_long());
    }
    if with.is_empty() {
        return text_of("");
    }
    let missing = length - has;
    let each = count(&with, charset);
    let mut padding = with.repeat(missing / each + 1);
    padding.truncate(offset(&padding, missing, charset).0);
    text_of(if left { [&padding, &text[..]].concat() } else { [&text[..], &padding].concat() })
}

/// Text, from which character on, how many go, what comes in their place.
fn insert(call: &Call<'_>) -> Outcome {
    let (Some(text), Some(at), Some(gone), Some(with)) =
        (call.text(0), call.int(1), call.int(2), call.text(3))
    else {
        return Ok(Datum::Null);
    };
    let charset = call.env.charset;
    let all = i64::try_from(count(&text, charset)).unwrap_or(i64::MAX);
    if at < 1 || at > all {
        return text_of(text.into_owned());
    }
    let gone = if gone < 0 { all } else { gone };
    let [before, gone] = [at - 1, gone].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let before_bytes = slice(&text, 0, before, charset);
    let after = slice(&text, before.saturating_add(gone), usize::MAX, charset);
    text_of([before_bytes, &with, after].concat())
}

fn substring_index(call: &Call<'_>) -> Outcome {
    let (Some(text), Some(between), Some(which)) = (call.text(0), call.text(1), call.int(2)) else {
        return Ok(Datum::Null);
    };
    if between.is_empty() || which == 0 {
        return text_of("");
    }
    let places: Vec<usize> = memmem::find_iter(&text, &between[..]).collect();
    let nth = usize::try_from(which.unsigned_abs()).unwrap_or(usize::MAX);
    if nth > places.len() {
        return text_of(text.into_owned());
    }
    text_of(if which > 0 {
        text.get(..places[nth - 1]).unwrap_or_default()
    } else {
        text.get(places[places.len() - nth] + between.len()..).unwrap_or_default()
    })
}

fn soundex(call: &Call<'_>) -> Outcome {
    let Some(text) = call.string(0) else { return Ok(Datum::Null) };
    let code = |sign: char| match sign {
        'B' | 'F' | 'P' | 'V' => '1',
        'C' | 'G' | 'J' | 'K' | 'Q' | 'S' | 'X' | 'Z' => '2',
        'D' | 'T' => '3',
        'L' => '4',
        'M' | 'N' => '5',
        'R' => '6',
        _ => '0',
    };
    let mut letters =
        text.chars().filter(|sign| sign.is_ascii_alphabetic()).map(|sign| sign.to_ascii_uppercase());
    let Some(first) = letters.next() else { return text_of("") };
    let mut out = String::from(first);
    let mut last = code(first);
    for letter in letters {
        let new = code(letter);
        if new != '0' && new != last {
            out.push(new);
        }
        if !matches!(letter, 'H' | 'W') {
            last = new;
        }
    }
    while out.len() < 4 {
        out.push('0');
    }
    text_of(out)
}

/// An address as a number, in its short forms too: `127.1`.
fn address(text: &str) -> Option<i64> {
    let parts: Vec<&str> = text.split('.').collect();
    let (last, first) = parts.split_last()?;
    if first.len() > 3 {
        return None;
    }
    let byte =
        |part: &str| part.parse::<i64>().ok().filter(|number| (0..256).contains(number) && part.len() <= 3);
    let mut number = 0;
    for part in first {
        number = number << 8 | byte(part)?;
    }
    // What is missing is in the middle.
    let missing = if first.is_empty() { 0 } else { 3 - first.len() };
    Some((number << (8 * missing)) << 8 | byte(last)?)
}
