//! Frames survive the way; what is wrong is an error and nothing worse.

use super::read::read;
use super::*;
use crate::value::{MAX_DEPTH, MAX_VALUES};
use proptest::prelude::*;

/// Values without extension types: those that the quick reader reads.
fn plain_value() -> impl Strategy<Value = Value<'static>> {
    nested(plain_leaf(), 24)
}

fn plain_leaf() -> impl Strategy<Value = Value<'static>> {
    prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-200i64..200).prop_map(Value::Int),
        (-1e300f64..1e300).prop_map(Value::Float),
        any::<Vec<u8>>().prop_map(|bytes| Value::Text(Cow::Owned(bytes))),
    ]
}

fn any_value() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        4 => plain_leaf(),
        1 => any::<Vec<u8>>().prop_map(|bytes| Value::Bytes(Cow::Owned(bytes))),
        1 => any::<u64>().prop_map(Value::Handle),
        1 => any::<u64>().prop_map(Value::Pointer),
    ];
    nested(leaf, 8)
}

fn nested(
    leaf: impl Strategy<Value = Value<'static>> + 'static,
    most: usize,
) -> impl Strategy<Value = Value<'static>> {
    leaf.prop_recursive(4, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..most).prop_map(Value::List),
            prop::collection::vec((inner.clone(), inner), 0..most).prop_map(Value::Map),
        ]
    })
}

fn bytes() -> impl Strategy<Value = Cow<'static, [u8]>> {
    any::<Vec<u8>>().prop_map(Cow::Owned)
}

fn wants() -> impl Strategy<Value = Wants<'static>> {
    (any::<u64>(), any::<u64>(), any_value(), any_value(), any_value()).prop_map(
        |(hooks, observers, filters, table, commands)| Wants {
            hooks: HookSet::from_bits(hooks),
            observers: HookSet::from_bits(observers),
            filters,
            table,
            commands,
        },
    )
}

fn any_from_worker() -> impl Strategy<Value = FromWorker<'static>> {
    let field = || prop::option::of(bytes());
    let answer = prop_oneof![
        Just(Answer::GoOn),
        Just(Answer::Block),
        (field(), field()).prop_map(|(nick, message)| Answer::Chat { nick, message }),
        prop::array::uniform5(field()).prop_map(Answer::MyInfo),
        (bytes(), any::<i64>()).prop_map(|(data, then)| Answer::Send { data, then }),
    ];
    let args = || prop::collection::vec(any_value(), 0..10).prop_map(Args::from_vec);
    prop_oneof![
        (any::<u64>(), answer).prop_map(|(seq, answer)| FromWorker::Answer { seq, answer }),
        (any::<u64>(), 0..Call::COUNT, args()).prop_map(|(id, at, args)| FromWorker::Call {
            id,
            call: crate::call::CALLS[at].call,
            args
        }),
        (any::<u64>(), bytes(), args()).prop_map(|(id, name, args)| FromWorker::Dynamic { id, name, args }),
        (any::<u64>(), any_value()).prop_map(|(seq, value)| FromWorker::Returned { seq, value }),
        (bytes(), prop::option::of(any_value())).prop_map(|(key, value)| FromWorker::Store { key, value }),
        (any::<u64>(), bytes()).prop_map(|(seq, reason)| FromWorker::Raised { seq, reason }),
        (wants(), prop::collection::vec(bytes(), 0..4))
            .prop_map(|(wants, warnings)| FromWorker::Loaded { wants, warnings }),
        wants().prop_map(FromWorker::Hooks),
        any::<u64>().prop_map(FromWorker::Later),
        Just(FromWorker::Prepared),
        (any::<u64>(), prop::sample::select(DebugAsk::ALL.to_vec()), bytes())
            .prop_map(|(id, ask, text)| FromWorker::Debug { id, ask, text }),
        (bytes(), bytes()).prop_map(|(file, text)| FromWorker::Source { file, text }),
        (0..Hook::COUNT, ".*", bytes(), any::<Option<u64>>()).prop_map(|(number, text, place, slow)| {
            let hook = Hook::from_number(number).unwrap();
            let what = slow.map_or(Noticed::Raised(text), Noticed::Slow);
            FromWorker::Noticed { hook, what, place }
        }),
    ]
}

proptest! {
    #[test]
    fn frames_survive_the_way(frame in any_from_worker()) {
        let mut buffer = Vec::new();
        frame.write(&mut buffer).unwrap();
        prop_assert_eq!(FromWorker::read(buffer.leak()).unwrap(), frame);
    }

    #[test]
    fn events_survive_the_way(seq in any::<u64>(), number in 0..Hook::COUNT,
                              args in prop::collection::vec(any_value(), 0..10)) {
        let frame = ToWorker::Event {
            seq, hook: Hook::from_number(number).unwrap(), args: Args::from_vec(args),
        };
        let mut buffer = Vec::new();
        frame.write(&mut buffer).unwrap();
        prop_assert_eq!(ToWorker::read(buffer.leak()).unwrap(), frame);
    }

    #[test]
    fn the_quick_reader_reads_what_the_general_one_reads(
        frame in any_from_worker(), seq in any::<u64>(), number in 0..Hook::COUNT,
        args in prop::collection::vec(any_value(), 0..10), damage in any::<Option<(prop::sample::Index, u8)>>()
    ) {
        let hook = Hook::from_number(number).unwrap();
        let event = ToWorker::Event { seq, hook, args: Args::from_vec(args) };
        let (mut from, mut to) = (Vec::new(), Vec::new());
        frame.write(&mut from).unwrap();
        event.write(&mut to).unwrap();
        for bytes in [&mut from, &mut to] {
            if let Some((at, byte)) = damage {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        if let Some(quick) = quick::from_worker(&from) {
            let general = read::<FromWorker<'_>>(&from).unwrap();
            prop_assert_eq!(format!("{quick:?}"), format!("{general:?}"));
        }
        if let Some(quick) = quick::to_worker(&to) {
            let general = read::<ToWorker<'_>>(&to).unwrap();
            prop_assert_eq!(format!("{quick:?}"), format!("{general:?}"));
        }
    }

    #[test]
    fn the_quick_reader_reads_lists_and_maps(
        value in plain_value(), number in any::<u64>(), damage in any::<Option<(prop::sample::Index, u8)>>()
    ) {
        let args = || Args::from_vec(vec![value.clone(), Value::Int(1)]);
        let from = [
            FromWorker::Returned { seq: number, value: value.clone() },
            FromWorker::Call { id: number, call: Call::mc, args: args() },
        ];
        let to = [
            ToWorker::Reply { id: number, value: value.clone() },
            ToWorker::Event { seq: number, hook: Hook::OnTimer, args: args() },
            ToWorker::Function { seq: number, name: b"echo"[..].into(), args: args() },
        ];
        for frame in &from {
            check_quick(|out| frame.write(out).unwrap(), damage, quick::from_worker, read);
        }
        for frame in &to {
            check_quick(|out| frame.write(out).unwrap(), damage, quick::to_worker, read);
        }
        check_quick(|out| from[0].write(out).unwrap(), damage, quick::returned, |bytes| {
            read(bytes).map(|frame| match frame {
                FromWorker::Returned { value, .. } => value,
                other => panic!("{other:?} is no result"),
            })
        });
    }

    #[test]
    fn garbage_is_an_error_and_nothing_worse(bytes in any::<Vec<u8>>()) {
        let _ = FromWorker::read(&bytes);
        let _ = ToWorker::read(&bytes);
    }

    #[test]
    fn damaged_frames_are_an_error_and_nothing_worse(
        frame in any_from_worker(), at in any::<prop::sample::Index>(), to in any::<u8>()
    ) {
        let mut buffer = Vec::new();
        frame.write(&mut buffer).unwrap();
        let at = at.index(buffer.len());
        buffer[at] = to;
        let _ = FromWorker::read(&buffer);
        let _ = FromWorker::read(&buffer[..at]);
    }
}

/// Holds the quick reader against the general one: on a frame, or on what damage made of it.
fn check_quick<F: std::fmt::Debug>(
    write: impl Fn(&mut Vec<u8>),
    damage: Option<(prop::sample::Index, u8)>,
    quick: impl Fn(&'static [u8]) -> Option<F>,
    general: impl Fn(&'static [u8]) -> Result<F, FrameError>,
) {
    let mut bytes = Vec::new();
    write(&mut bytes);
    if let Some((at, byte)) = damage {
        let at = at.index(bytes.len());
        bytes[at] = byte;
    }
    let bytes = bytes.leak();
    match quick(bytes) {
        Some(quick) => assert_eq!(format!("{quick:?}"), format!("{:?}", general(bytes).unwrap())),
        None => assert!(damage.is_some(), "the quick reader leaves this to the other: {bytes:?}"),
    }
}

/// What both readers have to say to a frame.
fn both_read(bytes: &[u8]) -> (bool, bool) {
    (quick::from_worker(bytes).is_some(), read::<FromWorker<'_>>(bytes).is_ok())
}

#[test]
fn the_load_frame_survives_the_way() {
    let frame = ToWorker::Load(Box::new(Load {
        id: 7,
        path: b"/hub/scripts/a.py"[..].into(),
        scripts_dir: b"/hub/scripts"[..].into(),
        botname: b"bot"[..].into(),
        opchatname: b"ops"[..].into(),
        basedir: b"/hub"[..].into(),
        config_name: b"config"[..].into(),
        starttime: 1,
        encoding: b"utf-8"[..].into(),
        has_ip_city: true,
        store: vec![("key".into(), 5i64.into())],
        kept: vec![("a.py".into(), "import vh".into())],
    }));
    let mut buffer = Vec::new();
    frame.write(&mut buffer).unwrap();
    assert_eq!(ToWorker::read(buffer.leak()).unwrap(), frame);
}

#[test]
fn lengths_of_every_size_are_read_quickly() {
    let mut buffer = Vec::new();
    for length in [0, 15, 16, 255, 256, 1024, 1025, 65_535, 65_536] {
        for value in [
            Value::Text(vec![b'x'; length].into()),
            Value::List(vec![Value::text("element"); length]),
            Value::List(vec![Value::Int(5); length]),
            Value::Map(vec![(Value::text("key"), Value::Int(-1)); length]),
        ] {
            let frame = FromWorker::Returned { seq: 1, value };
            frame.write(&mut buffer).unwrap();
            assert!(quick::from_worker(&buffer).is_some_and(|read| read == frame), "{length}");
        }
    }
}

#[test]
fn nesting_has_a_limit() {
    let lists = |depth| (0..depth).fold(Value::Nil, |inner, _| Value::List(vec![inner]));
    let maps = |depth| (0..depth).fold(Value::Nil, |inner, _| Value::Map(vec![(Value::Nil, inner)]));
    let mut buffer = Vec::new();
    for (depth, fits) in [(MAX_DEPTH, true), (MAX_DEPTH + 1, false)] {
        for value in [lists(depth), maps(depth)] {
            FromWorker::Returned { seq: 1, value }.write(&mut buffer).unwrap();
            assert_eq!(both_read(&buffer), (fits, fits), "{depth}");
            assert_eq!(FromWorker::read(&buffer).is_ok(), fits);
            assert_eq!(read_returned(&buffer).is_ok(), fits);
        }
        // The list of the arguments counts.
        for value in [lists(depth - 1), maps(depth - 1)] {
            let args = Args::from_vec(vec![value]);
            FromWorker::Call { id: 1, call: Call::mc, args }.write(&mut buffer).unwrap();
            assert_eq!(both_read(&buffer), (fits, fits), "{depth}");
        }
    }

    let mut hostile = vec![0x93, kind::RETURNED, 1];
    hostile.extend(std::iter::repeat_n(0x91, 10_000));
    assert!(FromWorker::read(&hostile).is_err());
}

#[test]
fn claimed_lengths_are_not_believed() {
    // A list, a map, a bin and a str of 4 GiB each.
    for claim in [0xdd, 0xdf, 0xc6, 0xdb] {
        let hostile = [0x93, kind::RETURNED, 1, claim, 0xff, 0xff, 0xff, 0xff, 0];
        assert_eq!(both_read(&hostile), (false, false));
    }
    // A list and a map of so many values as a frame may hold, which are not there.
    for claim in [0xdd, 0xdf] {
        let hostile = [0x93, kind::RETURNED, 1, claim, 0, 0x1f, 0xff, 0xff, 0, 0];
        assert_eq!(both_read(&hostile), (false, false));
    }
}

#[test]
fn more_values_than_the_budget_are_refused() {
    let list = |length: usize| [&[0xdd][..], &(length as u32).to_be_bytes(), &vec![0xc0; length]].concat();
    let map = |length: usize| [&[0xdf][..], &(length as u32).to_be_bytes(), &vec![0xc0; 2 * length]].concat();
    // The list itself counts, and of a map each key and each value.
    let (fits, too_many) = (MAX_VALUES - 1, MAX_VALUES);
    for (value, is_ok) in [
        (list(fits), true),
        (list(too_many), false),
        (map(fits / 2), true),
        (map(too_many / 2), false),
        ([&[0x92][..], &list(fits - 2 - 7), &list(7)].concat(), true),
        ([&[0x92][..], &list(fits - 2 - 7), &list(8)].concat(), false),
    ] {
        let frame = [&[0x93, kind::RETURNED, 1][..], &value].concat();
        assert_eq!(both_read(&frame), (is_ok, is_ok));
    }
    // Of arguments each counts, their list does not.
    for (length, is_ok) in [(fits, true), (too_many, false)] {
        let frame = [&[0x94, kind::CALL, 1, Call::mc as u8, 0x91][..], &list(length)].concat();
        assert_eq!(both_read(&frame), (is_ok, is_ok), "as an argument");
    }
}

#[test]
fn a_frame_that_is_too_long_is_refused() {
    let mut frame = vec![0x93, kind::RETURNED, 1, 0xc6];
    frame.extend((MAX_FRAME as u32).to_be_bytes());
    frame.resize(frame.len() + MAX_FRAME, 0);
    assert!(matches!(FromWorker::read(&frame), Err(FrameError::TooLong(_))));
}

#[test]
fn a_frame_with_more_parts_than_its_kind_is_refused() {
    let mut frames = [Vec::new(), Vec::new(), Vec::new()];
    ToWorker::Release(7).write(&mut frames[0]).unwrap();
    write_event(&mut frames[1], 1, Hook::OnTimer, &[Value::Float(1.5)]).unwrap();
    FromWorker::Later(7).write(&mut frames[2]).unwrap();
    for mut buffer in frames {
        let is_read = |buffer: &[u8]| ToWorker::read(buffer).is_ok() || FromWorker::read(buffer).is_ok();
        assert!(is_read(&buffer), "{buffer:?}");
        // The first byte says how many parts follow.
        buffer[0] += 1;
        buffer.push(0xc0);
        assert!(!is_read(&buffer), "{buffer:?}");
    }
}
