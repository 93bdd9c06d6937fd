//! How MySQL compares text: the collation `utf8mb4_general_ci`, by which `a`, `A` and `ä` are
//! one letter and spaces at the end do not count.
//!
//! Each character has a weight. Those that differ from the character itself were read from a
//! MariaDB server (`weight_string`), and stand here in runs.

use std::cmp::Ordering;
use std::ffi::{c_int, c_void};
use std::sync::{Arc, LazyLock};

use rusqlite::{Connection, ffi};

use super::super::text::Charset;
use super::guard::Deadline;

/// The collation's name in SQLite. No stored table has it: other programs do not know it.
pub const NAME: &str = "mysql";

/// Runs of characters: the first, how many, how far apart, whether weights grow with them, the
/// first weight.
const RUNS: &[(u16, u16, u16, bool, u16)] = &[
    (0x0061, 26, 1, true, 0x0041),
    (0x00b5, 1, 1, true, 0x039c),
    (0x00c0, 6, 1, false, 0x0041),
    (0x00c7, 2, 2, true, 0x0043),
    (0x00c8, 2, 2, false, 0x0045),
    (0x00cb, 1, 1, true, 0x0045),
    (0x00cc, 4, 1, false, 0x0049),
    (0x00d1, 2, 1, true, 0x004e),
    (0x00d3, 4, 1, false, 0x004f),
    (0x00d9, 4, 1, false, 0x0055),
    (0x00dd, 1, 1, true, 0x0059),
    (0x00df, 1, 1, true, 0x0053),
    (0x00e0, 6, 1, false, 0x0041),
    (0x00e6, 1, 1, true, 0x00c6),
    (0x00e7, 2, 2, true, 0x0043),
    (0x00e8, 2, 2, false, 0x0045),
    (0x00eb, 1, 1, true, 0x0045),
    (0x00ec, 4, 1, false, 0x0049),
    (0x00f0, 1, 1, true, 0x00d0),
    (0x00f1, 2, 1, true, 0x004e),
    (0x00f3, 4, 1, false, 0x004f),
    (0x00f8, 1, 1, true, 0x00d8),
    (0x00f9, 4, 1, false, 0x0055),
    (0x00fd, 2, 2, false, 0x0059),
    (0x00fe, 1, 1, true, 0x00de),
    (0x0100, 6, 1, false, 0x0041),
    (0x0106, 8, 1, false, 0x0043),
    (0x010e, 2, 1, false, 0x0044),
    (0x0111, 1, 1, true, 0x0110),
    (0x0112, 10, 1, false, 0x0045),
    (0x011c, 8, 1, false, 0x0047),
    (0x0124, 2, 1, false, 0x0048),
    (0x0127, 1, 1, true, 0x0126),
    (0x0128, 10, 1, false, 0x0049),
    (0x0133, 1, 1, true, 0x0132),
    (0x0134, 2, 1, false, 0x004a),
    (0x0136, 2, 1, false, 0x004b),
    (0x0139, 6, 1, false, 0x004c),
    (0x0140, 2, 2, true, 0x013f),
    (0x0143, 6, 1, false, 0x004e),
    (0x014b, 1, 1, true, 0x014a),
    (0x014c, 6, 1, false, 0x004f),
    (0x0153, 1, 1, true, 0x0152),
    (0x0154, 6, 1, false, 0x0052),
    (0x015a, 8, 1, false, 0x0053),
    (0x0162, 4, 1, false, 0x0054),
    (0x0167, 1, 1, true, 0x0166),
    (0x0168, 12, 1, false, 0x0055),
    (0x0174, 2, 1, false, 0x0057),
    (0x0176, 3, 1, false, 0x0059),
    (0x0179, 6, 1, false, 0x005a),
    (0x017f, 1, 1, true, 0x0053),
    (0x0183, 2, 2, true, 0x0182),
    (0x0188, 1, 1, true, 0x0187),
    (0x018c, 1, 1, true, 0x018b),
    (0x0192, 1, 1, true, 0x0191),
    (0x0195, 1, 1, true, 0x01f6),
    (0x0199, 1, 1, true, 0x0198),
    (0x01a0, 2, 1, false, 0x004f),
    (0x01a3, 2, 2, true, 0x01a2),
    (0x01a8, 1, 1, true, 0x01a7),
    (0x01ad, 1, 1, true, 0x01ac),
    (0x01af, 2, 1, false, 0x0055),
    (0x01b4, 2, 2, true, 0x01b3),
    (0x01b9, 1, 1, true, 0x01b8),
    (0x01bd, 1, 1, true, 0x01bc),
    (0x01bf, 1, 1, true, 0x01f7),
    (0x01c5, 2, 1, false, 0x01c4),
    (0x01c8, 2, 1, false, 0x01c7),
    (0x01cb, 2, 1, false, 0x01ca),
    (0x01cd, 2, 1, false, 0x0041),
    (0x01cf, 2, 1, false, 0x0049),
    (0x01d1, 2, 1, false, 0x004f),
    (0x01d3, 10, 1, false, 0x0055),
    (0x01dd, 1, 1, true, 0x018e),
    (0x01de, 4, 1, false, 0x0041),
    (0x01e2, 2, 1, false, 0x00c6),
    (0x01e5, 1, 1, true, 0x01e4),
    (0x01e6, 2, 1, false, 0x0047),
    (0x01e8, 2, 1, false, 0x004b),
    (0x01ea, 4, 1, false, 0x004f),
    (0x01ee, 2, 1, false, 0x01b7),
    (0x01f0, 1, 1, true, 0x004a),
    (0x01f2, 2, 1, false, 0x01f1),
    (0x01f4, 2, 1, false, 0x0047),
    (0x01f8, 2, 1, false, 0x004e),
    (0x01fa, 2, 1, false, 0x0041),
    (0x01fc, 2, 1, false, 0x00c6),
    (0x01fe, 2, 1, false, 0x00d8),
    (0x0200, 4, 1, false, 0x0041),
    (0x0204, 4, 1, false, 0x0045),
    (0x0208, 4, 1, false, 0x0049),
    (0x020c, 4, 1, false, 0x004f),
    (0x0210, 4, 1, false, 0x0052),
    (0x0214, 4, 1, false, 0x0055),
    (0x0218, 2, 1, false, 0x0053),
    (0x021a, 2, 1, false, 0x0054),
    (0x021d, 1, 1, true, 0x021c),
    (0x021e, 2, 1, false, 0x0048),
    (0x0223, 2, 2, true, 0x0222),
    (0x0226, 2, 1, false, 0x0041),
    (0x0228, 2, 1, false, 0x0045),
    (0x022a, 8, 1, false, 0x004f),
    (0x0232, 2, 1, false, 0x0059),
    (0x0253, 1, 1, true, 0x0181),
    (0x0254, 1, 1, true, 0x0186),
    (0x0256, 2, 1, true, 0x0189),
    (0x0259, 1, 1, true, 0x018f),
    (0x025b, 1, 1, true, 0x0190),
    (0x0260, 1, 1, true, 0x0193),
    (0x0263, 1, 1, true, 0x0194),
    (0x0268, 1, 1, true, 0x0197),
    (0x0269, 1, 1, true, 0x0196),
    (0x026f, 1, 1, true, 0x019c),
    (0x0272, 1, 1, true, 0x019d),
    (0x0275, 1, 1, true, 0x019f),
    (0x0280, 1, 1, true, 0x01a6),
    (0x0283, 1, 1, true, 0x01a9),
    (0x0288, 1, 1, true, 0x01ae),
    (0x028a, 2, 1, true, 0x01b1),
    (0x0292, 1, 1, true, 0x01b7),
    (0x0345, 1, 1, true, 0x0399),
    (0x0386, 1, 1, true, 0x0391),
    (0x0388, 1, 1, true, 0x0395),
    (0x0389, 1, 1, true, 0x0397),
    (0x038a, 1, 1, true, 0x0399),
    (0x038c, 1, 1, true, 0x039f),
    (0x038e, 1, 1, true, 0x03a5),
    (0x038f, 1, 1, true, 0x03a9),
    (0x0390, 1, 1, true, 0x0399),
    (0x03aa, 1, 1, true, 0x0399),
    (0x03ab, 1, 1, true, 0x03a5),
    (0x03ac, 1, 1, true, 0x0391),
    (0x03ad, 1, 1, true, 0x0395),
    (0x03ae, 1, 1, true, 0x0397),
    (0x03af, 1, 1, true, 0x0399),
    (0x03b0, 1, 1, true, 0x03a5),
    (0x03b1, 17, 1, true, 0x0391),
    (0x03c2, 2, 1, false, 0x03a3),
    (0x03c4, 6, 1, true, 0x03a4),
    (0x03ca, 1, 1, true, 0x0399),
    (0x03cb, 2, 2, false, 0x03a5),
    (0x03cc, 1, 1, true, 0x039f),
    (0x03ce, 1, 1, true, 0x03a9),
    (0x03d0, 1, 1, true, 0x0392),
    (0x03d1, 1, 1, true, 0x0398),
    (0x03d3, 2, 1, false, 0x03d2),
    (0x03d5, 1, 1, true, 0x03a6),
    (0x03d6, 1, 1, true, 0x03a0),
    (0x03db, 11, 2, true, 0x03da),
    (0x03f0, 1, 1, true, 0x039a),
    (0x03f1, 1, 1, true, 0x03a1),
    (0x03f2, 1, 1, true, 0x03a3),
    (0x0400, 2, 1, false, 0x0415),
    (0x0403, 1, 1, true, 0x0413),
    (0x0407, 1, 1, true, 0x0406),
    (0x040c, 1, 1, true, 0x041a),
    (0x040d, 1, 1, true, 0x0418),
    (0x040e, 1, 1, true, 0x0423),
    (0x0430, 32, 1, true, 0x0410),
    (0x0450, 2, 1, false, 0x0415),
    (0x0452, 5, 2, true, 0x0402),
    (0x0453, 1, 1, true, 0x0413),
    (0x0455, 1, 1, true, 0x0405),
    (0x0457, 1, 1, true, 0x0406),
    (0x0459, 2, 2, true, 0x0409),
    (0x045c, 1, 1, true, 0x041a),
    (0x045d, 1, 1, true, 0x0418),
    (0x045e, 1, 1, true, 0x0423),
    (0x045f, 1, 1, true, 0x040f),
    (0x0461, 11, 2, true, 0x0460),
    (0x0476, 2, 1, false, 0x0474),
    (0x0479, 5, 2, true, 0x0478),
    (0x048d, 26, 2, true, 0x048c),
    (0x04c1, 2, 1, false, 0x0416),
    (0x04c4, 1, 1, true, 0x04c3),
    (0x04c8, 1, 1, true, 0x04c7),
    (0x04cc, 1, 1, true, 0x04cb),
    (0x04d0, 4, 1, false, 0x0410),
    (0x04d5, 1, 1, true, 0x04d4),
    (0x04d6, 2, 1, false, 0x0415),
    (0x04d9, 3, 1, false, 0x04d8),
    (0x04dc, 2, 1, false, 0x0416),
    (0x04de, 2, 1, false, 0x0417),
    (0x04e1, 1, 1, true, 0x04e0),
    (0x04e2, 4, 1, false, 0x0418),
    (0x04e6, 2, 1, false, 0x041e),
    (0x04e9, 3, 1, false, 0x04e8),
    (0x04ec, 2, 1, false, 0x042d),
    (0x04ee, 6, 1, false, 0x0423),
    (0x04f4, 2, 1, false, 0x0427),
    (0x04f8, 2, 1, false, 0x042b),
    (0x0561, 38, 1, true, 0x0531),
    (0x1e00, 2, 1, false, 0x0041),
    (0x1e02, 6, 1, false, 0x0042),
    (0x1e08, 2, 1, false, 0x0043),
    (0x1e0a, 10, 1, false, 0x0044),
    (0x1e14, 10, 1, false, 0x0045),
    (0x1e1e, 2, 1, false, 0x0046),
    (0x1e20, 2, 1, false, 0x0047),
    (0x1e22, 10, 1, false, 0x0048),
    (0x1e2c, 4, 1, false, 0x0049),
    (0x1e30, 6, 1, false, 0x004b),
    (0x1e36, 8, 1, false, 0x004c),
    (0x1e3e, 6, 1, false, 0x004d),
    (0x1e44, 8, 1, false, 0x004e),
    (0x1e4c, 8, 1, false, 0x004f),
    (0x1e54, 4, 1, false, 0x0050),
    (0x1e58, 8, 1, false, 0x0052),
    (0x1e60, 10, 1, false, 0x0053),
    (0x1e6a, 8, 1, false, 0x0054),
    (0x1e72, 10, 1, false, 0x0055),
    (0x1e7c, 4, 1, false, 0x0056),
    (0x1e80, 10, 1, false, 0x0057),
    (0x1e8a, 4, 1, false, 0x0058),
    (0x1e8e, 2, 1, false, 0x0059),
    (0x1e90, 6, 1, false, 0x005a),
    (0x1e96, 1, 1, true, 0x0048),
    (0x1e97, 1, 1, true, 0x0054),
    (0x1e98, 1, 1, true, 0x0057),
    (0x1e99, 1, 1, true, 0x0059),
    (0x1e9b, 1, 1, true, 0x0053),
    (0x1ea0, 24, 1, false, 0x0041),
    (0x1eb8, 16, 1, false, 0x0045),
    (0x1ec8, 4, 1, false, 0x0049),
    (0x1ecc, 24, 1, false, 0x004f),
    (0x1ee4, 14, 1, false, 0x0055),
    (0x1ef2, 8, 1, false, 0x0059),
    (0x1f00, 16, 1, false, 0x0391),
    (0x1f10, 6, 1, false, 0x0395),
    (0x1f18, 6, 1, false, 0x0395),
    (0x1f20, 16, 1, false, 0x0397),
    (0x1f30, 16, 1, false, 0x0399),
    (0x1f40, 6, 1, false, 0x039f),
    (0x1f48, 6, 1, false, 0x039f),
    (0x1f50, 8, 1, false, 0x03a5),
    (0x1f59, 4, 2, false, 0x03a5),
    (0x1f60, 16, 1, false, 0x03a9),
    (0x1f70, 1, 1, true, 0x0391),
    (0x1f71, 1, 1, true, 0x1fbb),
    (0x1f72, 3, 2, true, 0x0395),
    (0x1f73, 2, 2, true, 0x1fc9),
    (0x1f77, 1, 1, true, 0x1fdb),
    (0x1f78, 1, 1, true, 0x039f),
    (0x1f79, 1, 1, true, 0x1ff9),
    (0x1f7a, 1, 1, true, 0x03a5),
    (0x1f7b, 1, 1, true, 0x1feb),
    (0x1f7c, 1, 1, true, 0x03a9),
    (0x1f7d, 1, 1, true, 0x1ffb),
    (0x1f80, 16, 1, false, 0x0391),
    (0x1f90, 16, 1, false, 0x0397),
    (0x1fa0, 16, 1, false, 0x03a9),
    (0x1fb0, 7, 2, false, 0x0391),
    (0x1fb1, 2, 2, false, 0x0391),
    (0x1fb7, 2, 2, false, 0x0391),
    (0x1fbe, 1, 1, true, 0x0399),
    (0x1fc2, 3, 1, false, 0x0397),
    (0x1fc6, 2, 1, false, 0x0397),
    (0x1fc8, 2, 2, true, 0x0395),
    (0x1fcc, 1, 1, true, 0x0397),
    (0x1fd0, 3, 1, false, 0x0399),
    (0x1fd6, 5, 1, false, 0x0399),
    (0x1fe0, 3, 1, false, 0x03a5),
    (0x1fe4, 2, 1, false, 0x03a1),
    (0x1fe6, 5, 1, false, 0x03a5),
    (0x1fec, 1, 1, true, 0x03a1),
    (0x1ff2, 3, 1, false, 0x03a9),
    (0x1ff6, 2, 1, false, 0x03a9),
    (0x1ff8, 1, 1, true, 0x039f),
    (0x1ffa, 2, 2, false, 0x03a9),
    (0x2170, 16, 1, true, 0x2160),
    (0x24d0, 26, 1, true, 0x24b6),
    (0xff41, 26, 1, true, 0xff21),
];

/// The weight of each character up to U+FFFF.
static WEIGHTS: LazyLock<Vec<u16>> = LazyLock::new(|| {
    let mut weights: Vec<u16> = (0..=u16::MAX).collect();
    for &(first, count, step, grows, weight) in RUNS {
        for at in 0..count {
            if let Some(place) = weights.get_mut(usize::from(first + at * step)) {
                *place = if grows { weight + at * step } else { weight };
            }
        }
    }
    weights
});

/// The weight of what lies beyond U+FFFF: all the same.
const BEYOND: u16 = 0xfffd;

/// The weight of a character.
pub fn weight(sign: char) -> u16 {
    WEIGHTS.get(sign as usize).copied().unwrap_or(BEYOND)
}

/// A character, or a byte that is none: those differ from all characters.
pub fn weights(text: &[u8], charset: Charset) -> impl Iterator<Item = u32> {
    characters(text, charset).map(|sign| match sign {
        Ok(sign) => u32::from(weight(sign)),
        Err(byte) => 0x11_0000 + u32::from(byte),
    })
}

/// A text's characters; bytes that are none are `Err`.
pub fn characters(text: &[u8], charset: Charset) -> impl Iterator<Item = Result<char, u8>> {
    let decoded = (!charset.is_utf8() && !text.is_ascii()).then(|| charset.decode(text).into_bytes());
    let mut rest = decoded;
    let mut at = 0;
    let mut ended = text;
    std::iter::from_fn(move || match &mut rest {
        Some(owned) => {
            let (sign, length) = first_of(owned.get(at..)?)?;
            at += length;
            Some(sign)
        }
        None => {
            let (sign, length) = first_of(ended)?;
            ended = ended.get(length..)?;
            Some(sign)
        }
    })
}

/// The first character, and how many bytes it has.
fn first_of(text: &[u8]) -> Option<(Result<char, u8>, usize)> {
    let &first = text.first()?;
    let length = match first {
        0..0x80 => return Some((Ok(first.into()), 1)),
        0xc2..0xe0 => 2,
        0xe0..0xf0 => 3,
        0xf0..0xf5 => 4,
        _ => return Some((Err(first), 1)),
    };
    let sign = text.get(..length).and_then(|bytes| std::str::from_utf8(bytes).ok()?.chars().next());
    Some(sign.map_or((Err(first), 1), |sign| (Ok(sign), length)))
}

/// Compares two texts.
pub fn compare(one: &[u8], other: &[u8], charset: Charset) -> Ordering {
    let (one, other) = (without_spaces(one), without_spaces(other));
    if one == other {
        return Ordering::Equal;
    }
    // What is left of the longer one is compared with spaces.
    let (mut one, mut other) = (weights(one, charset), weights(other, charset));
    loop {
        return match (one.next(), other.next()) {
            (None, None) => Ordering::Equal,
            (Some(one), Some(other)) if one == other => continue,
            (Some(one), Some(other)) => one.cmp(&other),
            (Some(0x20), None) | (None, Some(0x20)) => continue,
            (Some(one), None) => one.cmp(&0x20),
            (None, Some(other)) => 0x20.cmp(&other),
        };
    }
}

fn without_spaces(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
    text.get(..end).unwrap_or_default()
}

/// What SQLite's `nocase` finds a text by, among texts of visible ASCII: the one text of that
/// kind that is equal to it. `None` when there is none.
pub fn folded(text: &[u8], charset: Charset) -> Option<String> {
    weights(without_spaces(text), charset)
        .map(|weight| char::from_u32(weight).filter(|sign| matches!(sign, '!'..='~')))
        .collect()
}

/// What SQLite hands to the comparison.
struct Collator {
    charset: Charset,
    deadline: Arc<Deadline>,
}

/// Makes the collation known to a connection.
pub fn register(connection: &Connection, charset: Charset, deadline: Arc<Deadline>) -> rusqlite::Result<()> {
    let collator = Box::into_raw(Box::new(Collator { charset, deadline }));
    // rusqlite's own would change bytes that are no UTF-8 before they are compared.
    // SAFETY: the handle is that of an open connection; SQLite keeps `collator` until it calls
    // `forget`, once, when the collation or the connection goes; the name ends in NUL.
    let code = unsafe {
        ffi::sqlite3_create_collation_v2(
            connection.handle(),
            c"mysql".as_ptr(),
            ffi::SQLITE_UTF8,
            collator.cast(),
            Some(compare_for_sqlite),
            Some(forget),
        )
    };
    if code == ffi::SQLITE_OK {
        return Ok(());
    }
    // SAFETY: SQLite does not call `forget` when it fails.
    drop(unsafe { Box::from_raw(collator) });
    Err(rusqlite::Error::SqliteFailure(ffi::Error::new(code), None))
}

unsafe extern "C" fn compare_for_sqlite(
    collator: *mut c_void,
    length: c_int,
    text: *const c_void,
    other_length: c_int,
    other: *const c_void,
) -> c_int {
    // SAFETY: the collator lives as `register` says. SQLite gives two texts with their lengths,
    // which stay as they are during the call; an empty one may be NULL.
    let (collator, text, other) =
        unsafe { (&*collator.cast::<Collator>(), bytes(text, length), bytes(other, other_length)) };
    if text.len() > 10_000 && collator.deadline.is_over() {
        // The query is stopped at SQLite's next look at the clock.
        return 0;
    }
    compare(text, other, collator.charset) as c_int
}

/// # Safety
/// `start` is NULL or the start of so many bytes that stay as they are during 'a.
unsafe fn bytes<'a>(start: *const c_void, length: c_int) -> &'a [u8] {
    match usize::try_from(length) {
        // SAFETY: promised by the caller.
        Ok(length) if length > 0 && !start.is_null() => unsafe {
            std::slice::from_raw_parts(start.cast(), length)
        },
        _ => &[],
    }
}

unsafe extern "C" fn forget(collator: *mut c_void) {
    // SAFETY: it comes from `register`, and SQLite calls this once.
    drop(unsafe { Box::from_raw(collator.cast::<Collator>()) });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn same(one: &str, other: &str) -> bool {
        compare(one.as_bytes(), other.as_bytes(), Charset::UTF_8) == Ordering::Equal
    }

    #[test]
    fn case_accents_and_spaces_at_the_end_do_not_count() {
        assert!(
            same("alice", "ALICE")
                && same("Älbert", "albert")
                && same("a", "a  ")
                && same("ПРИВЕТ", "привет")
        );
        assert!(same("ß", "s") && !same("a", "b") && !same("a ", " a") && !same("a", "ab"));
        assert_eq!(
            compare(b"a\n", b"a", Charset::UTF_8),
            Ordering::Less,
            "as the server's: less than a space"
        );
        assert_eq!(compare(b"\xff", b"\xfe", Charset::UTF_8), Ordering::Greater);
        let cyrillic = Charset::named("cp1251").unwrap();
        assert_eq!(compare(b"\xcf", b"\xef", cyrillic), Ordering::Equal);
    }

    #[test]
    fn a_folded_text_is_what_visible_ascii_is_found_by() {
        assert_eq!(folded("Älice ".as_bytes(), Charset::UTF_8).as_deref(), Some("ALICE"));
        assert_eq!(folded("привет".as_bytes(), Charset::UTF_8), None);
        assert_eq!(folded(b"a b", Charset::UTF_8), None);
    }
}
