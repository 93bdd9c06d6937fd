//! Which nicks can be told from others: what a nick must not hold because nobody would see it;
//! what the protocol forbids is in `protocol`.

use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::Charset;

/// Letters and symbols by their category, but drawn as nothing or as a blank.
const BLANK: [char; 6] = ['\u{34f}', '\u{115f}', '\u{1160}', '\u{2800}', '\u{3164}', '\u{ffa0}'];

/// Zero width non-joiner and joiner, which some scripts need to write their words.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];

/// The first character of a nick that cannot be seen: a control, format or separator character.
/// Two nicks that differ only in such look the same. Bytes that the encoding lacks are shown
/// in some way, so they count as seen.
pub(super) fn unseen(nick: &[u8], charset: Charset) -> Option<char> {
    if let Some(byte) = nick.iter().find(|byte| byte.is_ascii_control()) {
        return Some(char::from(*byte));
    }
    if nick.is_ascii() {
        return None;
    }
    let text: Vec<char> = charset.decode(nick).chars().collect();
    // Windows' code pages have no such controls: it is how bytes without a meaning are decoded.
    let is_lacking = |c: char| charset.is_code_page() && ('\u{80}'..='\u{9f}').contains(&c);
    let at =
        (0..text.len()).find(|at| !is_seen(&text, *at) && !text.get(*at).copied().is_some_and(is_lacking));
    at.and_then(|at| text.get(at)).copied()
}

fn is_seen(text: &[char], at: usize) -> bool {
    use GeneralCategoryGroup::{Letter, Mark, Other, Separator};
    let Some(this) = text.get(at) else { return true };
    if JOINERS.contains(this) {
        let group = |at: Option<usize>| at.and_then(|at| text.get(at)).map(|c| c.general_category_group());
        let before = group(at.checked_sub(1));
        return matches!(before, Some(Letter | Mark)) && group(Some(at + 1)) == Some(Letter);
    }
    match this.general_category_group() {
        Separator => false,
        // What no standard has assigned, or only its users have, has a shape of its own.
        Other => !matches!(this.general_category(), GeneralCategory::Control | GeneralCategory::Format),
        _ => !BLANK.contains(this),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nobody_sees_is_found() {
        for nick in ["Jürgen", "你好", "Ольга", "a-b_[c]", "می\u{200c}خواهم", "क्\u{200d}ष", "😀", "a\u{e000}"]
        {
            assert_eq!(unseen(nick.as_bytes(), Charset::UTF_8), None, "{nick}");
        }
        for (nick, what) in [
            ("boss\u{200b}", '\u{200b}'),
            ("boss\u{200d}", '\u{200d}'),
            ("\u{200d}boss", '\u{200d}'),
            ("1\u{200d}2", '\u{200d}'),
            ("bo\u{202e}ss", '\u{202e}'),
            ("bo\u{ad}ss", '\u{ad}'),
            ("bo\u{a0}ss", '\u{a0}'),
            ("bo\u{2028}ss", '\u{2028}'),
            ("bo\u{3000}ss", '\u{3000}'),
            ("bo\u{3164}ss", '\u{3164}'),
            ("bo\tss", '\t'),
            ("boss\u{7f}", '\u{7f}'),
            ("boss\u{85}", '\u{85}'),
            ("\u{feff}boss", '\u{feff}'),
            ("boss\u{e0041}", '\u{e0041}'),
        ] {
            assert_eq!(unseen(nick.as_bytes(), Charset::UTF_8), Some(what), "{}", nick.escape_unicode());
        }
    }

    #[test]
    fn nicks_are_read_in_the_hubs_encoding() {
        let cp1251 = Charset::named("cp1251").unwrap();
        assert_eq!(unseen(b"bo\xa0ss", cp1251), Some('\u{a0}'));
        assert_eq!(unseen(b"bo\xad\xe0", cp1251), Some('\u{ad}'));
        assert_eq!(unseen(b"bad\x98", cp1251), None, "no character");
        assert_eq!(unseen(b"bad\x98", Charset::named("iso-8859-2").unwrap()), Some('\u{98}'));
        assert_eq!(unseen(b"\xce\xeb\xfc\xe3\xe0", cp1251), None);
        // Old clients' bytes in a hub of UTF-8.
        assert_eq!(unseen(b"J\xfcrgen", Charset::UTF_8), None);
    }
}
