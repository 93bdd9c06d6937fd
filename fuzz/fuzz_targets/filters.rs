//! Any filter and any message: what is built tests without a panic, as the simplest code would, and is
//! the same after it has travelled.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plugin_abi::filter::{Clause, Decoder, Filters, HookFilter, Passes, Relation, Test, Texts};
use plugin_abi::{Hook, Value};

const HOOK: Hook = Hook::OnParsedMsgChat;
/// The places of its nick and its message.
const ARGS: usize = 2;

/// What a comparison is by the standard library, for text that has one meaning only.
fn simply(test: &Test, text: &str) -> Option<bool> {
    if test.relation == Relation::Matches
        || test.ignore_case && !(text.is_ascii() && test.texts.iter().all(|text| text.is_ascii()))
    {
        return None;
    }
    let fold = |text: &str| if test.ignore_case { text.to_ascii_lowercase() } else { text.to_owned() };
    let text = fold(text);
    Some(test.texts.iter().map(|part| fold(part)).any(|part| match test.relation {
        Relation::StartsWith => text.starts_with(&part),
        Relation::EndsWith => text.ends_with(&part),
        _ => text.contains(&part),
    }))
}

/// One comparison from some bytes: two that choose, and texts with NULs between them.
fn read(bytes: &[u8]) -> Option<Test> {
    let [relation, flags, texts @ ..] = bytes else { return None };
    let texts = std::str::from_utf8(texts).ok()?.split('\0').map(str::to_owned).collect();
    let relation = Relation::ALL[usize::from(*relation) % Relation::ALL.len()];
    Some(Test { relation, arg: usize::from(flags >> 1) % ARGS, ignore_case: flags & 1 != 0, texts })
}

fuzz_target!(|bytes: &[u8]| {
    // Nick, message, clauses; in a clause comparisons.
    let mut parts = bytes.split(|byte| *byte == 0xfe);
    let (Some(nick), Some(message)) = (parts.next(), parts.next()) else { return };
    let mut clauses = Vec::new();
    for part in parts {
        let Some((class, tests)) = part.split_first() else { return };
        let Some(tests) = tests.split(|byte| *byte == 0xff).map(read).collect() else { return };
        clauses.push(Clause { tests, min_class: (*class < 11).then_some(i64::from(*class)) });
    }
    if clauses.is_empty() {
        return;
    }
    let source = HookFilter { hook: HOOK, clauses };
    let travelled = HookFilter::from_value(&source.to_value()).expect("what was written can be read");
    assert_eq!(travelled, source);
    let Ok(filters) = Filters::build(vec![travelled], Decoder::default(), None) else { return };
    let again = Filters::build(filters.source().to_vec(), Decoder::default(), Some(&filters));
    assert_eq!(again.expect("as before").new_patterns(Some(&filters)), 0);

    let args = [Value::text(nick), Value::text(message)];
    let filter = filters.of(HOOK).expect("it was built");
    let passes = filter.test(&mut Texts::new(&args, filters.decoder(), &mut String::new()));

    let texts = [std::str::from_utf8(nick), std::str::from_utf8(message)];
    let [Ok(nick), Ok(message)] = texts else { return };
    let mut expected = Passes::No;
    for clause in &source.clauses {
        let fits = clause.tests.iter().map(|test| simply(test, [nick, message][test.arg]));
        let Some(fits) = fits.collect::<Option<Vec<bool>>>() else { return };
        expected = match (expected, clause.min_class) {
            (before, _) if fits.contains(&false) => before,
            (Passes::Yes, _) | (_, None) => Passes::Yes,
            (Passes::FromClass(least), Some(class)) => Passes::FromClass(least.min(class)),
            (Passes::No, Some(class)) => Passes::FromClass(class),
        };
    }
    assert_eq!(passes, expected, "{source:?}");
});
