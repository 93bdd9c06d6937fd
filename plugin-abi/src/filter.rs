//! Filters: what a script says about the events that a hook of it wants, and the test of an event
//! against that, in linear time and without an allocation. Who tests, and when, is the hub's
//! matter.
//!
//! A [`HookFilter`] travels from the worker as a plain [`Value`]; [`Filters::read`] believes
//! nothing of it. Both sides build the same matchers, so that a script hears of a pattern that
//! cannot be used where it wrote it.
//!
//! Texts are compared as the script would see them: a [`Decoder`] makes UTF-8 of the hub's bytes
//! first, where they are not that already. Bytes that mean nothing in the hub's encoding are each
//! one character that no text of a filter has, U+FFFD here.

use std::fmt;

use aho_corasick::AhoCorasick;
use memchr::memmem::Finder;
use regex::bytes::{Regex, RegexBuilder};

use crate::hook::{ArgKind, Hook};
use crate::value::Value;

/// How many texts and patterns the filters of one script may have together.
pub const MAX_TEXTS: usize = 4096;
/// How many bytes those may have together.
pub const MAX_BYTES: usize = 256 << 10;
/// How many tests there may be in the filters of one script.
pub const MAX_TESTS: usize = 256;
/// How many of these may be patterns, which take the hub's time to build.
pub const MAX_PATTERNS: usize = 32;
/// How long a pattern may be, in bytes.
pub const MAX_PATTERN: usize = 4096;
/// How large a pattern may become when it is built, in bytes.
pub const MAX_BUILT: usize = 1 << 20;

/// How a text is compared with an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Relation {
    /// The argument begins with one of the texts.
    StartsWith = 0,
    /// It ends with one of them.
    EndsWith = 1,
    /// One of them is in it.
    Contains = 2,
    /// One of them, a regular expression each, is found in it.
    Matches = 3,
}

impl Relation {
    /// All of them; the index is the number.
    pub const ALL: [Relation; 4] =
        [Relation::StartsWith, Relation::EndsWith, Relation::Contains, Relation::Matches];

    /// The keyword of `vh.when`.
    pub const fn keyword(self) -> &'static str {
        match self {
            Relation::StartsWith => "startswith",
            Relation::EndsWith => "endswith",
            Relation::Contains => "contains",
            Relation::Matches => "matches",
        }
    }
}

/// One comparison: one of the texts must fit.
#[derive(Clone, Debug, PartialEq)]
pub struct Test {
    /// How.
    pub relation: Relation,
    /// The place of the argument.
    pub arg: usize,
    /// Whether upper and lower case are the same.
    pub ignore_case: bool,
    /// The texts; one at least.
    pub texts: Vec<String>,
}

/// What must all be so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Clause {
    /// The comparisons.
    pub tests: Vec<Test>,
    /// The least class of who caused the event.
    pub min_class: Option<i64>,
}

/// What a hook wants: one of the clauses must hold.
#[derive(Clone, Debug, PartialEq)]
pub struct HookFilter {
    /// The hook.
    pub hook: Hook,
    /// The clauses; one at least.
    pub clauses: Vec<Clause>,
}

/// What is wrong with a filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// What came is no filter.
    #[error("not a filter: {0}")]
    Malformed(&'static str),
    /// The hook has no such argument, or it is a number.
    #[error("{hook} has no text as its argument {at}")]
    NoText {
        /// The hook.
        hook: Hook,
        /// The place.
        at: usize,
    },
    /// Nobody's class can be asked for.
    #[error("min_class: {0} has no argument that is a nick")]
    NoActor(Hook),
    /// One of the limits of this module.
    #[error("the filters of a script have at most {most} {what} together")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        most: usize,
    },
    /// A pattern is too long, or would become too large.
    #[error("the pattern {0:?} is too large: write it shorter, or count less in it")]
    TooLarge(String),
    /// A pattern is none, or asks for what takes more than linear time.
    #[error("the pattern {pattern:?} cannot be used: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// Why not.
        reason: String,
    },
}

// ------------------------------------------------------------------ as values

impl HookFilter {
    /// As it travels.
    pub fn to_value(&self) -> Value<'static> {
        let test = |test: &Test| {
            let texts = test.texts.iter().map(|text| Value::from(text.as_str()).into_owned());
            Value::List(vec![
                Value::Int(test.relation as i64),
                Value::Int(test.arg as i64),
                Value::Bool(test.ignore_case),
                Value::List(texts.collect()),
            ])
        };
        let clause = |clause: &Clause| {
            Value::List(vec![
                clause.min_class.map_or(Value::Nil, Value::Int),
                Value::List(clause.tests.iter().map(test).collect()),
            ])
        };
        let clauses = self.clauses.iter().map(clause).collect();
        Value::List(vec![Value::Int(self.hook as i64), Value::List(clauses)])
    }

    /// What somebody claims to be one.
    pub fn from_value(value: &Value<'_>) -> Result<HookFilter, FilterError> {
        let [hook, clauses] = list(value)? else { return Err(FilterError::Malformed("a filter's parts")) };
        let hook =
            place(hook).and_then(Hook::from_number).ok_or(FilterError::Malformed("there is no such hook"))?;
        let clauses = list(clauses)?.iter().map(clause_from).collect::<Result<Vec<_>, _>>()?;
        if clauses.is_empty() {
            return Err(FilterError::Malformed("no clause"));
        }
        Ok(HookFilter { hook, clauses })
    }
}

fn clause_from(value: &Value<'_>) -> Result<Clause, FilterError> {
    let [min_class, tests] = list(value)? else { return Err(FilterError::Malformed("a clause's parts")) };
    let min_class = match min_class {
        Value::Nil => None,
        Value::Int(class) => Some(*class),
        _ => return Err(FilterError::Malformed("a class")),
    };
    Ok(Clause { tests: list(tests)?.iter().map(test_from).collect::<Result<_, _>>()?, min_class })
}

fn test_from(value: &Value<'_>) -> Result<Test, FilterError> {
    let [relation, arg, Value::Bool(ignore_case), texts] = list(value)? else {
        return Err(FilterError::Malformed("a test's parts"));
    };
    let relation = place(relation).and_then(|number| Relation::ALL.get(number).copied());
    let (Some(relation), Some(arg)) = (relation, place(arg)) else {
        return Err(FilterError::Malformed("a test's numbers"));
    };
    let texts = list(texts)?.iter().map(|text| {
        let bytes = text.as_text().ok_or(FilterError::Malformed("a text"))?;
        Ok(std::str::from_utf8(bytes).map_err(|_| FilterError::Malformed("a text"))?.to_owned())
    });
    let texts = texts.collect::<Result<Vec<_>, FilterError>>()?;
    if texts.is_empty() {
        return Err(FilterError::Malformed("no text"));
    }
    Ok(Test { relation, arg, ignore_case: *ignore_case, texts })
}

fn list<'v, 'a>(value: &'v Value<'a>) -> Result<&'v [Value<'a>], FilterError> {
    match value {
        Value::List(list) => Ok(list),
        _ => Err(FilterError::Malformed("a list is missing")),
    }
}

fn place(value: &Value<'_>) -> Option<usize> {
    value.as_int().and_then(|number| usize::try_from(number).ok())
}

// ------------------------------------------------------------------- matchers

/// A test that is ready to be made.
enum Matcher {
    StartsWith(Vec<String>),
    EndsWith(Vec<String>),
    One(Box<Finder<'static>>),
    Many(Box<AhoCorasick>),
    Patterns(Vec<Regex>),
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Matcher::StartsWith(_) => "StartsWith",
            Matcher::EndsWith(_) => "EndsWith",
            Matcher::One(_) | Matcher::Many(_) => "Contains",
            Matcher::Patterns(_) => "Patterns",
        })
    }
}

impl Matcher {
    /// `known` may have patterns that were built before.
    fn build(test: &Test, known: Option<&Filters>) -> Result<Matcher, FilterError> {
        if test.relation == Relation::Matches || test.ignore_case {
            let pattern = |text: &String| built(&pattern_of(test, text), text, known);
            return Ok(Matcher::Patterns(test.texts.iter().map(pattern).collect::<Result<_, _>>()?));
        }
        Ok(match (test.relation, &*test.texts) {
            (Relation::StartsWith, texts) => Matcher::StartsWith(texts.to_vec()),
            (Relation::EndsWith, texts) => Matcher::EndsWith(texts.to_vec()),
            (_, [text]) => Matcher::One(Box::new(Finder::new(text).into_owned())),
            (_, texts) => {
                let built = AhoCorasick::new(texts).map_err(|_| FilterError::TooLarge(texts.concat()))?;
                Matcher::Many(Box::new(built))
            }
        })
    }

    #[inline]
    fn fits(&self, text: &[u8]) -> bool {
        match self {
            Matcher::StartsWith(starts) => starts.iter().any(|start| text.starts_with(start.as_bytes())),
            Matcher::EndsWith(ends) => ends.iter().any(|end| text.ends_with(end.as_bytes())),
            Matcher::One(finder) => finder.find(text).is_some(),
            Matcher::Many(many) => many.is_match(text),
            Matcher::Patterns(patterns) => patterns.iter().any(|pattern| pattern.is_match(text)),
        }
    }
}

/// The pattern for a text, which is one itself or to be found as it is.
fn pattern_of(test: &Test, text: &str) -> String {
    let text = match test.relation {
        Relation::Matches => text.to_owned(),
        _ => regex::escape(text),
    };
    let (start, end) = match test.relation {
        Relation::StartsWith => (r"\A", ""),
        Relation::EndsWith => ("", r"\z"),
        Relation::Contains | Relation::Matches => ("", ""),
    };
    let flag = if test.ignore_case { "(?i)" } else { "" };
    format!("{flag}{start}{text}{end}")
}

fn built(pattern: &str, shown: &str, known: Option<&Filters>) -> Result<Regex, FilterError> {
    if let Some(regex) = known.and_then(|known| known.pattern(pattern)) {
        return Ok(regex.clone());
    }
    if pattern.len() > MAX_PATTERN {
        return Err(FilterError::TooLarge(shown.chars().take(40).collect()));
    }
    let builder = RegexBuilder::new(pattern).size_limit(MAX_BUILT).dfa_size_limit(MAX_BUILT).build();
    builder.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => FilterError::TooLarge(shown.to_owned()),
        error => {
            // The crate draws a picture of several lines; its last one says what is wrong.
            let reason = error.to_string();
            let last = reason.lines().last().unwrap_or_default();
            let reason = last.strip_prefix("error: ").unwrap_or(last).to_owned();
            FilterError::Pattern { pattern: shown.to_owned(), reason }
        }
    })
}

#[derive(Debug)]
struct Ready {
    tests: Vec<(usize, Matcher)>,
    min_class: Option<i64>,
}

/// The filter of one hook, ready to be used.
#[derive(Debug)]
pub struct Filter {
    clauses: Vec<Ready>,
    /// The place of the nick whose class counts.
    actor: usize,
}

/// Whether an event is for a hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Passes {
    /// It is.
    Yes,
    /// It is not.
    No,
    /// It is if the class of who caused it is this one or a higher.
    FromClass(i64),
}

impl Filter {
    fn build(filter: &HookFilter, known: Option<&Filters>) -> Result<Filter, FilterError> {
        let hook = filter.hook;
        let mut clauses = Vec::with_capacity(filter.clauses.len());
        for clause in &filter.clauses {
            if clause.min_class.is_some() && hook.actor().is_none() {
                return Err(FilterError::NoActor(hook));
            }
            let mut tests = Vec::with_capacity(clause.tests.len());
            for test in &clause.tests {
                let at = test.arg;
                if !hook.spec().args.get(at).is_some_and(|arg| arg.kind == ArgKind::Text) {
                    return Err(FilterError::NoText { hook, at });
                }
                tests.push((at, Matcher::build(test, known)?));
            }
            clauses.push(Ready { tests, min_class: clause.min_class });
        }
        Ok(Filter { clauses, actor: hook.actor().unwrap_or_default() })
    }

    /// The place of the nick of who caused the event.
    pub fn actor(&self) -> usize {
        self.actor
    }

    /// Tests an event's arguments. One that is missing or no text fits nothing.
    pub fn test(&self, texts: &mut Texts<'_>) -> Passes {
        let mut least: Option<i64> = None;
        for clause in &self.clauses {
            let fits = clause.tests.iter().all(|(at, matcher)| texts.fit(*at, matcher));
            match clause.min_class {
                _ if !fits => {}
                None => return Passes::Yes,
                Some(class) => least = Some(least.map_or(class, |least| least.min(class))),
            }
        }
        least.map_or(Passes::No, Passes::FromClass)
    }
}

/// The filters of one script.
#[derive(Debug, Default)]
pub struct Filters {
    /// By the hooks' numbers.
    by_hook: Vec<Option<Filter>>,
    /// How the hub's bytes are read for this script.
    decoder: Decoder,
    /// Those that were read.
    source: Vec<HookFilter>,
}

impl Filters {
    /// Reads what a worker sent: a list of filters, and how a byte is a character. Patterns that
    /// are in the old ones are not built again.
    pub fn read(
        filters: &Value<'_>,
        decoder: Decoder,
        old: Option<&Filters>,
    ) -> Result<Filters, FilterError> {
        let source = match filters {
            Value::Nil => Vec::new(),
            filters => list(filters)?.iter().map(HookFilter::from_value).collect::<Result<Vec<_>, _>>()?,
        };
        Filters::build(source, decoder, old)
    }

    /// Builds the matchers.
    pub fn build(
        source: Vec<HookFilter>,
        decoder: Decoder,
        old: Option<&Filters>,
    ) -> Result<Filters, FilterError> {
        within_limits(&source)?;
        let mut by_hook: Vec<Option<Filter>> = Vec::new();
        if !source.is_empty() {
            by_hook.resize_with(Hook::COUNT, || None);
        }
        for filter in &source {
            if let Some(place) = by_hook.get_mut(filter.hook as usize) {
                *place = Some(Filter::build(filter, old)?);
            }
        }
        Ok(Filters { by_hook, decoder, source })
    }

    /// The filter of a hook, if it has one.
    #[inline]
    pub fn of(&self, hook: Hook) -> Option<&Filter> {
        self.by_hook.get(hook as usize)?.as_ref()
    }

    /// How bytes are read.
    #[inline]
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// How many patterns were built that the old ones do not have.
    pub fn new_patterns(&self, old: Option<&Filters>) -> usize {
        let is_new = |pattern: &&Regex| old.is_none_or(|old| old.pattern(pattern.as_str()).is_none());
        self.patterns().filter(is_new).count()
    }

    /// What they were built from.
    pub fn source(&self) -> &[HookFilter] {
        &self.source
    }

    fn pattern(&self, pattern: &str) -> Option<&Regex> {
        self.patterns().find(|known| known.as_str() == pattern)
    }

    fn patterns(&self) -> impl Iterator<Item = &Regex> {
        let tests =
            self.by_hook.iter().flatten().flat_map(|filter| &filter.clauses).flat_map(|all| &all.tests);
        tests.flat_map(|(_, matcher)| match matcher {
            Matcher::Patterns(patterns) => patterns.as_slice(),
            _ => &[],
        })
    }
}

fn within_limits(filters: &[HookFilter]) -> Result<(), FilterError> {
    let clauses = || filters.iter().flat_map(|filter| &filter.clauses);
    let tests = || clauses().flat_map(|clause| &clause.tests);
    let texts = || tests().flat_map(|test| &test.texts);
    let is_pattern = |test: &&Test| test.relation == Relation::Matches || test.ignore_case;
    let limits = [
        ("tests", clauses().count() + tests().count(), MAX_TESTS),
        ("texts", texts().count(), MAX_TEXTS),
        ("bytes", texts().map(String::len).sum(), MAX_BYTES),
        (
            "patterns and texts that ignore case",
            tests().filter(is_pattern).map(|test| test.texts.len()).sum(),
            MAX_PATTERNS,
        ),
    ];
    match limits.into_iter().find(|(_, count, most)| count > most) {
        Some((what, _, most)) => Err(FilterError::TooMany { what, most }),
        None => Ok(()),
    }
}

// ------------------------------------------------------------------- decoding

/// Makes UTF-8 of bytes; each that means nothing becomes U+FFFD.
pub type Decode = Box<dyn Fn(&[u8], &mut String)>;

/// How the hub's bytes are read.
#[derive(Default)]
pub enum Decoder {
    /// They are UTF-8.
    #[default]
    Utf8,
    /// Each is a character.
    Table {
        /// Which.
        chars: Box<[char; 256]>,
        /// Whether the first 128 are those of ASCII.
        has_ascii: bool,
    },
    /// In another way.
    Other(Decode),
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Decoder::Utf8 => "Utf8",
            Decoder::Table { .. } => "Table",
            Decoder::Other(_) => "Other",
        })
    }
}

impl Decoder {
    /// What a worker says: nothing, or the character of each byte.
    pub fn table(value: &Value<'_>) -> Result<Option<Decoder>, FilterError> {
        let numbers = match value {
            Value::Nil => return Ok(None),
            value => list(value)?,
        };
        let mut chars = Box::new(['\u{fffd}'; 256]);
        if numbers.len() != chars.len() {
            return Err(FilterError::Malformed("a table of characters"));
        }
        for (place, number) in chars.iter_mut().zip(numbers) {
            let number = number.as_int().and_then(|number| u32::try_from(number).ok());
            // A surrogate is a byte that means nothing.
            *place = number.and_then(char::from_u32).unwrap_or('\u{fffd}');
        }
        let has_ascii = (0..128u8).all(|byte| chars[usize::from(byte)] == char::from(byte));
        Ok(Some(Decoder::Table { chars, has_ascii }))
    }

    /// Decodes into `out`, unless the bytes are right as they are.
    fn decode(&self, bytes: &[u8], out: &mut String) -> bool {
        match self {
            Decoder::Utf8 => {
                if bytes.is_ascii() || std::str::from_utf8(bytes).is_ok() {
                    return false;
                }
                out.clear();
                for chunk in bytes.utf8_chunks() {
                    out.push_str(chunk.valid());
                    chunk.invalid().iter().for_each(|_| out.push('\u{fffd}'));
                }
            }
            Decoder::Table { chars, has_ascii } => {
                if *has_ascii && bytes.is_ascii() {
                    return false;
                }
                out.clear();
                out.extend(bytes.iter().map(|&byte| chars[usize::from(byte)]));
            }
            Decoder::Other(decode) => {
                out.clear();
                decode(bytes, out);
            }
        }
        true
    }
}

/// An event's arguments while they are tested.
pub struct Texts<'a> {
    args: &'a [Value<'a>],
    decoder: &'a Decoder,
    /// Where texts are decoded; its room is used again.
    scratch: &'a mut String,
    /// Which argument is there.
    decoded: Option<usize>,
    /// Which argument needs no decoding.
    plain: Option<usize>,
}

impl<'a> Texts<'a> {
    /// These arguments, in the hub's bytes.
    #[inline]
    pub fn new(args: &'a [Value<'a>], decoder: &'a Decoder, scratch: &'a mut String) -> Texts<'a> {
        Texts { args, decoder, scratch, decoded: None, plain: None }
    }

    #[inline]
    fn fit(&mut self, at: usize, matcher: &Matcher) -> bool {
        let Some(bytes) = self.args.get(at).and_then(Value::as_text) else { return false };
        if self.decoded != Some(at) && self.plain != Some(at) {
            let is_decoded = self.decoder.decode(bytes, self.scratch);
            let place = if is_decoded { &mut self.decoded } else { &mut self.plain };
            *place = Some(at);
        }
        matcher.fits(if self.decoded == Some(at) { self.scratch.as_bytes() } else { bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::borrow::Cow;

    fn value() -> impl Strategy<Value = Value<'static>> {
        let leaf = prop_oneof![
            Just(Value::Nil),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            (0..60i64).prop_map(Value::Int),
            any::<Vec<u8>>().prop_map(|bytes| Value::Text(Cow::Owned(bytes))),
            r"[a-z(\[{*+?.)\]}|^$\\0-9,]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(8, 128, 4, |inner| prop::collection::vec(inner, 0..6).prop_map(Value::List))
    }

    /// What is nearly a filter.
    fn filter() -> impl Strategy<Value = Value<'static>> {
        let text = prop_oneof![
            4 => r"[a-z(\[{*+?.)\]}|^$\\0-9,]{0,12}".prop_map(Value::from),
            1 => value(),
        ];
        let test = (0..6i64, 0..8i64, any::<bool>(), prop::collection::vec(text, 0..4)).prop_map(
            |(relation, arg, ignore_case, texts)| {
                Value::List(vec![
                    Value::Int(relation),
                    Value::Int(arg),
                    Value::Bool(ignore_case),
                    Value::List(texts),
                ])
            },
        );
        let clause = (prop_oneof![Just(Value::Nil), any::<i64>().prop_map(Value::Int)], test)
            .prop_map(|(class, test)| Value::List(vec![class, Value::List(vec![test])]));
        (0..50i64, prop::collection::vec(clause, 0..4))
            .prop_map(|(hook, clauses)| Value::List(vec![Value::Int(hook), Value::List(clauses)]))
    }

    fn try_all(filters: &Value<'_>, message: &[u8]) {
        let Ok(filters) = Filters::read(filters, Decoder::Utf8, None) else { return };
        let args = vec![Value::text(message); 6];
        for spec in &crate::HOOKS {
            if let Some(filter) = filters.of(spec.hook) {
                let mut scratch = String::new();
                filter.test(&mut Texts::new(&args, filters.decoder(), &mut scratch));
            }
        }
        // What was read travels as it came, and what was built is not built again.
        let source = Value::List(filters.source().iter().map(HookFilter::to_value).collect());
        let again = Filters::read(&source, Decoder::Utf8, Some(&filters)).expect("it was read before");
        assert_eq!(again.source(), filters.source());
        assert_eq!(again.new_patterns(Some(&filters)), 0);
    }

    #[test]
    fn the_lowest_class_of_the_clauses_that_fit_is_asked_for() {
        let clause = |min_class, text: &str| Clause {
            tests: vec![Test {
                relation: Relation::Contains,
                arg: 1,
                ignore_case: false,
                texts: vec![text.into()],
            }],
            min_class,
        };
        let clauses =
            vec![clause(Some(1), "a"), clause(Some(3), "b"), clause(Some(2), "c"), clause(None, "d")];
        let filter = HookFilter { hook: Hook::OnParsedMsgChat, clauses };
        let filters = Filters::build(vec![filter], Decoder::Utf8, None).unwrap();
        for (message, wanted) in [
            ("b", Passes::FromClass(3)),
            ("bc", Passes::FromClass(2)),
            ("abc", Passes::FromClass(1)),
            ("ab", Passes::FromClass(1)),
            ("abd", Passes::Yes),
            ("x", Passes::No),
        ] {
            let args = [Value::from("nick"), Value::from(message)];
            let mut scratch = String::new();
            let filter = filters.of(Hook::OnParsedMsgChat).unwrap();
            assert_eq!(
                filter.test(&mut Texts::new(&args, filters.decoder(), &mut scratch)),
                wanted,
                "{message}"
            );
        }
    }

    proptest! {
        #[test]
        fn garbage_is_an_error_and_nothing_worse(garbage in value(), message: Vec<u8>) {
            try_all(&garbage, &message);
            let _ = Decoder::table(&garbage);
            let _ = crate::command::read(&garbage);
        }

        #[test]
        fn what_is_nearly_a_filter_is_an_error_and_nothing_worse(
            filters in prop::collection::vec(filter(), 0..4).prop_map(Value::List),
            message: Vec<u8>,
        ) {
            try_all(&filters, &message);
        }

        #[test]
        fn texts_are_found_where_python_finds_them(
            relation in 0..3usize,
            texts in prop::collection::vec("[abé ]{0,3}", 1..4),
            message in "[abé ]{0,8}",
            ignore_case: bool,
        ) {
            let relation = Relation::ALL[relation];
            let test = Test { relation, arg: 1, ignore_case, texts: texts.clone() };
            let clauses = vec![Clause { tests: vec![test], min_class: None }];
            let filter = HookFilter { hook: Hook::OnParsedMsgChat, clauses };
            let filters = Filters::build(vec![filter], Decoder::Utf8, None).unwrap();
            let args = [Value::from("nick"), Value::from(message.as_str())];
            let mut scratch = String::new();
            let filter = filters.of(Hook::OnParsedMsgChat).unwrap();
            let passes = filter.test(&mut Texts::new(&args, filters.decoder(), &mut scratch));
            let expected = texts.iter().any(|text| match relation {
                Relation::StartsWith => message.starts_with(text.as_str()),
                Relation::EndsWith => message.ends_with(text.as_str()),
                _ => message.contains(text.as_str()),
            });
            prop_assert_eq!(passes == Passes::Yes, expected);
        }
    }

    fn one(relation: Relation, texts: Vec<String>) -> Result<Filters, FilterError> {
        let test = Test { relation, arg: 1, ignore_case: false, texts };
        let clauses = vec![Clause { tests: vec![test], min_class: None }];
        Filters::build(vec![HookFilter { hook: Hook::OnParsedMsgChat, clauses }], Decoder::Utf8, None)
    }

    #[test]
    fn limits_hold() {
        let pattern = |text: &str| one(Relation::Matches, vec![text.to_owned()]);
        assert!(matches!(pattern(r"(\w{100}){100}"), Err(FilterError::TooLarge(_))));
        assert!(matches!(pattern(&"a".repeat(MAX_PATTERN + 1)), Err(FilterError::TooLarge(_))));
        assert!(matches!(pattern(&"(".repeat(MAX_PATTERN)), Err(FilterError::Pattern { .. })));
        assert!(matches!(pattern("(?=a)"), Err(FilterError::Pattern { .. })));
        let many = |count| vec![String::from("a"); count];
        assert!(matches!(
            one(Relation::Matches, many(MAX_PATTERNS + 1)),
            Err(FilterError::TooMany { most: MAX_PATTERNS, .. })
        ));
        assert!(one(Relation::Contains, many(MAX_TEXTS)).is_ok());
        assert!(one(Relation::Contains, many(MAX_TEXTS + 1)).is_err());
        assert!(one(Relation::StartsWith, vec!["a".repeat(MAX_BYTES + 1)]).is_err());
    }
}
