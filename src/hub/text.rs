//! The hub's encoding, and text that is the same in all of them: nicks' keys, numbers,
//! periods; the protocol's own characters are left to `protocol`.

use encoding_rs::Encoding;

/// The encoding of everything that clients send and receive. The hub passes their bytes on as
/// they are; it converts only what it says itself, and what it logs.
#[derive(Clone, Copy, Debug)]
pub struct Charset(&'static Encoding);

impl Charset {
    /// UTF-8.
    pub const UTF_8: Charset = Charset(encoding_rs::UTF_8);

    /// The encoding that operators call by this name: `utf-8`, `cp1251`, `iso-8859-2`, `gbk`.
    /// `None` for an unknown one, and for UTF-16, in which `|` is not one byte.
    pub fn named(name: &str) -> Option<Charset> {
        let encoding = Encoding::for_label(name.trim().as_bytes())?;
        (encoding.is_ascii_compatible() && encoding != encoding_rs::REPLACEMENT).then_some(Charset(encoding))
    }

    /// Whether it is UTF-8.
    pub fn is_utf8(self) -> bool {
        self.0 == encoding_rs::UTF_8
    }

    /// Whether it has characters of two bytes whose second can be an ASCII letter or sign.
    pub fn has_pairs(self) -> bool {
        use encoding_rs::{BIG5, EUC_KR, GB18030, GBK, SHIFT_JIS};
        [GBK, GB18030, BIG5, SHIFT_JIS, EUC_KR].contains(&self.0)
    }

    /// Whether it is one of Windows' code pages.
    pub fn is_code_page(self) -> bool {
        self.0.name().starts_with("windows-")
    }

    /// The name by which Python knows it.
    pub fn python_name(self) -> String {
        let name = self.0.name().to_ascii_lowercase();
        match name.strip_prefix("windows-") {
            Some("874") => "cp874".into(),
            Some(page) => format!("cp{page}"),
            None => name,
        }
    }

    /// Text in this encoding; what it lacks becomes `?`.
    pub fn encode(self, text: &str) -> Vec<u8> {
        crate::encoding::encode(self.0, text).into_owned()
    }

    /// Readable text, for logs and file names.
    pub fn decode(self, bytes: &[u8]) -> String {
        self.0.decode_without_bom_handling(bytes).0.into_owned()
    }
}

/// What nicks are compared by: hubs take `Nick` and `nick` for the same.
pub fn nick_key(nick: &[u8]) -> Box<[u8]> {
    nick.to_ascii_lowercase().into_boxed_slice()
}

/// A decimal number, with nothing around it but blanks.
pub fn number(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// A period such as `30s`, `5m`, `3h`, `1d`, `2w`, `1M`, `1y`, in seconds; a bare number is
/// days. `None` when it is none, or not positive.
pub fn period(text: &[u8]) -> Option<i64> {
    let text = text.trim_ascii();
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (count, unit) = text.split_at_checked(digits)?;
    let unit = match unit {
        b"s" | b"S" => 1,
        b"m" => 60,
        b"h" | b"H" => 3600,
        b"" | b"d" | b"D" => 86_400,
        b"w" | b"W" => 7 * 86_400,
        b"M" => 4 * 7 * 86_400,
        b"y" | b"Y" => 12 * 4 * 7 * 86_400,
        _ => return None,
    };
    number(count)?.checked_mul(unit).filter(|seconds| *seconds > 0)
}

/// A period as people say it: `2 days 3 hours`.
pub fn spoken_period(seconds: i64) -> String {
    let mut rest = seconds.max(0);
    let mut parts = Vec::new();
    for (unit, length) in [("week", 604_800), ("day", 86_400), ("hour", 3600), ("minute", 60), ("second", 1)]
    {
        let count = rest / length;
        rest %= length;
        if count > 0 && parts.len() < 2 {
            parts.push(format!("{count} {unit}{}", if count == 1 { "" } else { "s" }));
        }
    }
    if parts.is_empty() { "0 seconds".into() } else { parts.join(" ") }
}

/// Bytes as people say them: `1.50 GiB`.
pub fn spoken_size(bytes: u64) -> String {
    let mut size = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB", "TiB"] {
        if size < 1024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{size:.2} {unit}") };
        }
        size /= 1024.0;
    }
    format!("{size:.2} PiB")
}

/// A moment as people write it, in the hub's time zone: `2026-11-25 18:40`.
pub fn spoken_time(seconds: i64) -> String {
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// Splits off the first word; the rest has no blanks in front.
pub fn first_word(text: &[u8]) -> (&[u8], &[u8]) {
    let text = text.trim_ascii_start();
    match text.iter().position(|byte| byte.is_ascii_whitespace()) {
        Some(at) => (&text[..at], text[at..].trim_ascii_start()),
        None => (text, b""),
    }
}

/// Where a text begins in another.
pub fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len().max(1)).position(|window| window == what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodings_are_known_by_operators_names() {
        for (name, python) in [
            ("utf-8", "utf-8"),
            ("cp1251", "cp1251"),
            ("CP1252", "cp1252"),
            ("iso-8859-2", "iso-8859-2"),
            ("gbk", "gbk"),
        ] {
            assert_eq!(Charset::named(name).unwrap().python_name(), python);
        }
        assert!(Charset::named("utf-16").is_none());
        assert!(Charset::named("klingon").is_none());
    }

    #[test]
    fn what_an_encoding_lacks_becomes_a_question_mark() {
        let cp1251 = Charset::named("cp1251").unwrap();
        assert_eq!(cp1251.encode("Привет 你好!"), b"\xcf\xf0\xe8\xe2\xe5\xf2 ??!");
        assert_eq!(cp1251.decode(b"\xcf\xf0\xe8\xe2\xe5\xf2"), "Привет");
        assert_eq!(Charset::UTF_8.encode("ü"), "ü".as_bytes());
    }

    #[test]
    fn periods_have_units() {
        assert_eq!(period(b"3h"), Some(10_800));
        assert_eq!(period(b"1d"), Some(86_400));
        assert_eq!(period(b"2"), Some(172_800));
        for wrong in [&b"h"[..], b"", b"-1d", b"0", b"3 hours", b"99999999999999999d"] {
            assert_eq!(period(wrong), None, "{wrong:?}");
        }
        assert_eq!(spoken_period(97_201), "1 day 3 hours");
        assert_eq!(spoken_size(1_610_612_736), "1.50 GiB");
    }

    #[test]
    fn words_are_split_off() {
        assert_eq!(first_word(b"  kick  somebody now"), (&b"kick"[..], &b"somebody now"[..]));
        assert_eq!(first_word(b"help"), (&b"help"[..], &b""[..]));
        assert_eq!(find(b"is kicking x because: y", b" because: "), Some(12));
        assert_eq!(find(b"x", b""), None);
    }
}
