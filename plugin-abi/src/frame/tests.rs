//! Frames survive the way; what is wrong is an error and nothing worse.

use super::read::read;
use super::*;
use crate::value::{MAX_DEPTH, MAX_VALUES};
use proptest::prelude::*;

fn any_value() -> impl Strategy<Value = Value<'static>> {
    let leaf = prop_oneof![
        Just(Value::Nil),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1e300f64..1e300).prop_map(Value::Float),
        any::<Vec<u8>>().prop_map(|bytes| Value::Text(Cow::Owned(bytes))),
        any::<Vec<u8>>().prop_map(|bytes| Value::Bytes(Cow::Owned(bytes))),
        any::<u64>().prop_map(Value::Handle),
        any::<u64>().prop_map(Value::Pointer),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..8).prop_map(Value::List),
            prop::collection::vec((inner.clone(), inner), 0..8).prop_map(Value::Map),
        ]
    })
}

fn bytes() -> impl Strategy<Value = Cow<'static, [u8]>> {
    any::<Vec<u8>>().prop_map(Cow::Owned)
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
        prop::collection::vec(bytes(), 0..4).prop_map(|warnings| FromWorker::Loaded {
            hooks: HookSet::from_bits(5),
            observers: HookSet::EMPTY,
            warnings
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
    }));
    let mut buffer = Vec::new();
    frame.write(&mut buffer).unwrap();
    assert_eq!(ToWorker::read(buffer.leak()).unwrap(), frame);
}

#[test]
fn nesting_has_a_limit() {
    let nested = |depth| (0..depth).fold(Value::Nil, |inner, _| Value::List(vec![inner]));
    let mut buffer = Vec::new();
    FromWorker::Returned { seq: 1, value: nested(MAX_DEPTH) }.write(&mut buffer).unwrap();
    assert!(FromWorker::read(&buffer).is_ok());
    FromWorker::Returned { seq: 1, value: nested(MAX_DEPTH + 1) }.write(&mut buffer).unwrap();
    assert!(FromWorker::read(&buffer).is_err());

    let mut hostile = vec![0x93, kind::RETURNED, 1];
    hostile.extend(std::iter::repeat_n(0x91, 10_000));
    assert!(FromWorker::read(&hostile).is_err());
}

#[test]
fn claimed_lengths_are_not_believed() {
    // A list, a map, a bin and a str of 4 GiB each.
    for claim in [0xdd, 0xdf, 0xc6, 0xdb] {
        let hostile = [0x93, kind::RETURNED, 1, claim, 0xff, 0xff, 0xff, 0xff, 0];
        assert!(FromWorker::read(&hostile).is_err());
    }
}

#[test]
fn more_values_than_the_budget_are_refused() {
    let mut hostile = vec![0x93, kind::RETURNED, 1, 0xdd];
    hostile.extend((MAX_VALUES as u32 + 1).to_be_bytes());
    hostile.extend(std::iter::repeat_n(0xc0, MAX_VALUES + 1));
    assert!(FromWorker::read(&hostile).is_err());
}
