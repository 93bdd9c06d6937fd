//! Threads, functions, forks, the store, and the end of a worker.

use crate::support::compiled::worker;
use std::time::Instant;

use crate::support::LIMIT;
use crate::support::fake_hub::{ANYTHING, FakeHub, Options, python};
use plugin_abi::{Answer, Call, FromWorker, Hook, ToWorker, Value};

/// Serves calls until a condition holds.
fn serve_until(hub: &mut FakeHub, what: &str, mut done: impl FnMut(&FakeHub) -> bool) {
    let start = Instant::now();
    while !done(hub) {
        assert!(start.elapsed() < LIMIT, "waited {LIMIT:?} for {what}\n{}", hub.log());
        let frame = hub.next(what);
        hub.serve(frame);
    }
}

#[test]
fn threads_call_while_the_main_thread_is_idle_busy_or_calling() {
    let script = "
import threading
def work(number):
    for i in range(300):
        assert vh.GetUserClass(f'{number}/{i}') == number * 1000 + i
    vh.mc(f'done {number}')
def start():
    for number in range(8):
        threading.Thread(target=work, args=(number,)).start()
def OnParsedMsgChat(nick, message):
    total = sum(range(2000))
    return vh.GetUserClass('7/5') == 7005
";
    let mut hub = FakeHub::with(script, Options::default());
    hub.reply = Box::new(|call, args| match call {
        Call::GetUserClass => {
            let text = String::from_utf8(args[0].as_text().unwrap().to_vec()).unwrap();
            let (number, i) = text.split_once('/').unwrap();
            Value::Int(number.parse::<i64>().unwrap() * 1000 + i.parse::<i64>().unwrap())
        }
        _ => Value::Int(1),
    });
    hub.function("start", &[]).unwrap();
    for _ in 0..500 {
        assert_eq!(hub.chat("a", "b"), Answer::GoOn);
    }
    let done = |hub: &FakeHub| hub.calls.iter().filter(|(call, _)| *call == Call::mc).count() == 8;
    serve_until(&mut hub, "all threads", done);
    assert_eq!(hub.calls.len(), 8 * 301 + 500);
    assert_eq!(hub.chat("a", "b"), Answer::GoOn);
    assert!(hub.unload().success(), "{}", hub.log());
    assert!(!hub.log().contains("Traceback"), "{}", hub.log());
}

#[test]
fn a_hook_may_wait_for_a_thread_that_calls() {
    let script = "
import threading
def ask(found): found.append(vh.GetUserClass('x'))
def OnParsedMsgChat(nick, message):
    found = []
    thread = threading.Thread(target=ask, args=(found,))
    thread.start()
    thread.join()
    return str(found[0])
";
    let mut hub = FakeHub::new(script);
    hub.reply = Box::new(|_, _| Value::Int(5));
    for _ in 0..50 {
        let message = Some(b"5"[..].into());
        assert_eq!(hub.chat("a", "b"), Answer::Chat { nick: None, message });
    }
}

#[test]
fn events_run_on_the_main_thread_though_another_thread_leads() {
    let script = "
import threading
main = threading.main_thread()
def ask():
    while vh.GetUserClass('thread') == 1: pass
    print('thread ends')
threading.Thread(target=ask).start()
def OnParsedMsgChat(nick, message):
    assert threading.current_thread() is main
    return vh.GetUserClass('hook') == 1
";
    let mut hub = FakeHub::new(script);
    hub.reply = Box::new(|_, _| Value::Int(1));
    for _ in 0..2000 {
        assert_eq!(hub.chat("a", "b"), Answer::GoOn);
    }
    hub.reply = Box::new(|_, _| Value::Int(0));
    assert_eq!(hub.chat("a", "b"), Answer::Block);
    serve_until(&mut hub, "the thread's end", |hub| {
        hub.log().contains("thread ends") || !hub.calls.is_empty()
    });
    assert!(hub.unload().success(), "{}", hub.log());
}

#[test]
fn threads_and_asyncio_run_while_the_worker_waits() {
    let script = "
import asyncio, threading
async def tick():
    for number in range(20):
        await asyncio.sleep(0.001)
    vh.mc('ticked')
threading.Thread(target=lambda: asyncio.run(tick()), daemon=True).start()
def OnTimer(): pass
";
    let mut hub = FakeHub::new(script);
    serve_until(&mut hub, "the loop", |hub| hub.calls.iter().any(|(call, _)| *call == Call::mc));
}

#[test]
fn running_daemon_threads_do_not_crash_the_end() {
    let script = "
import threading, time
def ask():
    while True: vh.GetUserClass('x')
def burn():
    while True: sum(range(100))
for _ in range(4):
    threading.Thread(target=ask, daemon=True).start()
    threading.Thread(target=burn, daemon=True).start()
def OnTimer(): pass
";
    for flags in [vec![], vec!["-X", "dev"]] {
        let options = Options { flags, ..Options::default() };
        let mut hub = FakeHub::with(script, options);
        for _ in 0..20 {
            hub.event(Hook::OnTimer, &[Value::Float(0.0)]);
        }
        let status = hub.unload();
        assert!(status.success(), "{status}\n{}", hub.log());
    }
}

#[test]
fn threads_that_wait_at_the_end_get_an_exception() {
    let script = "
import threading
def ask():
    try: vh.GetUserClass('x')
    except RuntimeError as error: print('thread:', error)
def OnTimer(): threading.Thread(target=ask).start()
";
    let mut hub = FakeHub::new(script);
    hub.post(Hook::OnTimer, &[Value::Float(0.0)]);
    let mut frame = hub.next("the answer or the call");
    if matches!(frame, FromWorker::Answer { .. }) {
        frame = hub.next("the call");
    }
    let FromWorker::Call { .. } = frame else { panic!("{frame:?}") };
    assert!(hub.unload().success(), "{}", hub.log());
    hub.wait_for_log("thread: the script is being unloaded");
}

#[test]
fn both_rings_full_is_no_deadlock() {
    let script = "
@vh.observer
def OnParsedMsgChat(nick, message):
    vh.store['x'] = message
def OnTimer(): return 0
";
    let mut hub = FakeHub::with(script, Options { ring_bytes: 4096, ..Options::default() });
    let message: &'static str = "x".repeat(1500).leak();
    // The hub reads nothing while it sends, and the script sends as much as it is sent.
    for _ in 0..200 {
        hub.observe(Hook::OnParsedMsgChat, &["n".into(), message.into()]);
    }
    assert_eq!(hub.event(Hook::OnTimer, &[Value::Float(0.0)]), Answer::Block);
    assert_eq!(hub.others.len(), 200);
}

#[test]
fn forked_children_keep_away_from_the_link() {
    let script = "
import os, sys
def OnParsedMsgChat(nick, message):
    child = os.fork()
    if child == 0:
        try: vh.mc('x')
        except RuntimeError as error: os.write(1, f'child: {error}\\n'.encode())
        if message == 'return': return 0
        os._exit(3)
    _, status = os.waitpid(child, 0)
    return str(os.waitstatus_to_exitcode(status))
";
    let mut hub = FakeHub::with(script, Options::default());
    let answer = |code: &'static str| Answer::Chat { nick: None, message: Some(code.as_bytes().into()) };
    assert_eq!(hub.chat("a", "exit"), answer("3"));
    assert_eq!(hub.chat("a", "return"), answer("0"));
    hub.wait_for_log("child: vh works only in the script's own process");
    assert!(hub.calls.is_empty());
}

#[test]
fn functions_are_called_with_values_and_give_values() {
    let script = "
def echo(*args): return args[0] if len(args) == 1 else list(args)
def add(a, b): return a + b
def fail(): raise KeyError('nope')
def huge(): return 2**64
def loop():
    a = []
    a.append(a)
    return a
class Thing: name = 'thing'
thing = Thing()
def give(): return thing
def give_nested(): return {'a': [thing, (x for x in [])]}
def is_it(x): return x is thing
def kinds(): return [{1, 1}, (1, 2), frozenset([3]), bytearray(b'x'), b'y', {'k': None}, {(1, 2): 3}, True]
number = 5
def nested(): return vh.GetUserClass('x')
";
    let mut hub = FakeHub::new(script);
    hub.reply = Box::new(|_, _| Value::Int(9));
    let deep = (0..60).fold(Value::Nil, |inner, _| Value::List(vec![inner]));
    for value in [
        Value::Nil,
        Value::Bool(true),
        Value::Int(i64::MIN),
        Value::Float(-0.5),
        "text".into(),
        Value::Bytes(b"\0\xff"[..].into()),
        Value::List(vec![Value::Int(1), "a".into()]),
        Value::Map(vec![("k".into(), Value::List(vec![])), (Value::Int(1), Value::Nil)]),
        deep,
        (0..100_000i64).collect(),
    ] {
        assert_eq!(hub.function("echo", std::slice::from_ref(&value)), Ok(value));
    }
    let many: Vec<Value<'static>> = (0..20i64).map(Value::Int).collect();
    assert_eq!(hub.function("echo", &many), Ok(Value::List(many)));
    assert_eq!(hub.function("add", &[Value::Int(1), Value::Int(2)]), Ok(Value::Int(3)));
    assert_eq!(hub.function("nested", &[]), Ok(Value::Int(9)));
    let kinds = "[[1], [1, 2], [3], b\"x\", b\"y\", {\"k\": None}, {[1, 2]: 3}, True]";
    assert_eq!(hub.function("kinds", &[]).unwrap().to_string(), kinds);
    let table = [
        ("fail", "KeyError: 'nope'"),
        ("huge", "OverflowError: what huge() returned has an int beyond 64 bits"),
        ("loop", "ValueError: what loop() returned is nested deeper than 64 levels, or holds itself"),
        ("missing", "NameError: the script script has no function missing"),
        ("number", "NameError: the script script has no function number"),
        ("add", "TypeError: add() missing 2 required positional arguments"),
    ];
    for (name, expected) in table {
        let error = hub.function(name, &[]).unwrap_err();
        assert!(error.starts_with(expected), "{error}");
    }
    hub.wait_for_log("in fail");

    let Value::Handle(number) = hub.function("give", &[]).unwrap() else { panic!("no handle") };
    assert_eq!(hub.function("is_it", &[Value::Handle(number)]), Ok(Value::Bool(true)));
    hub.send(&ToWorker::Release(number));
    let error = hub.function("is_it", &[Value::Handle(number)]).unwrap_err();
    assert!(error.contains("was released"), "{error}");
    let nested = hub.function("give_nested", &[]).unwrap();
    assert!(
        matches!(&nested, Value::Map(map) if matches!(&map[0].1, Value::List(list)
        if matches!(list[..], [Value::Handle(_), Value::Handle(_)]))),
        "{nested}"
    );
}

#[test]
fn names_follow_the_hub() {
    let mut hub = FakeHub::new("def names(): return vh.botname + '/' + vh.opchatname");
    let names = ToWorker::Names { botname: b"B"[..].into(), opchatname: b"O"[..].into() };
    hub.send(&names);
    assert_eq!(hub.function("names", &[]), Ok("B/O".into()));
}

#[test]
fn the_store_is_a_dict_that_the_hub_keeps() {
    let store = vec![("old".into(), Value::List(vec![Value::Int(1), "é".into()]))];
    let options = Options { store: store.clone(), encoding: "cp1251", ..Options::default() };
    let mut hub = FakeHub::with(ANYTHING, options);
    let result = hub.run(
        r"
from collections.abc import MutableMapping
s = vh.store
assert isinstance(s, MutableMapping) and list(s) == ['old'] and s['old'] == [1, '\xe9']
s['a'] = {'x': (1, 2.5, None), 'y': b'b', 'z': '\u65e5\u672c\ud800\0'}
assert s['a'] == {'x': [1, 2.5, None], 'y': b'b', 'z': '\u65e5\u672c\ud800\0'}
s['a']['x'] = 1
assert s['a']['x'] == [1, 2.5, None], 'only assignment changes it'
assert len(s) == 2 and 'a' in s and 'b' not in s and s.get('b', 5) == 5 and 5 not in s
s.update(b=1, c=2)
assert s.setdefault('b', 9) == 1 and s.pop('c') == 2 and s.pop('c', None) is None
assert sorted(s.keys()) == ['a', 'b', 'old'] and dict(s.items())['b'] == 1
del s['b']
assert s == {'old': [1, '\xe9'], 'a': s['a']} and repr(s).startswith('<vh.store {')
def fails(kind, code):
    try: exec(code, {'s': s})
    except kind as error: return str(error)
    raise AssertionError(code)
fails(KeyError, 's[chr(120)]')
fails(KeyError, 'del s[chr(120)]')
assert 'must be a str, not int' in fails(TypeError, 's[5] = 1')
assert 'has a object' in fails(TypeError, 's[chr(120)] = object()')
assert 'nested deeper' in fails(ValueError, 'a = []; a.append(a); s[chr(120)] = a')
fails(OverflowError, 's[chr(120)] = 2**64')
s['\udc98\xe9\ud800'] = '\udc98'
assert s['\udc98\xe9\ud800'] == '\udc98' and '\udc98' not in s
del s['\udc98\xe9\ud800']
assert 'at most 4194304' in fails(ValueError, 's[chr(120)] = chr(120) * (4 << 20)')
s['big'] = 'x' * ((4 << 20) - 400)
fails(ValueError, 's[chr(120)] = chr(120) * 400')
s['big'] = 'small'
s['x'] = 'x' * 400
s.clear()
assert len(s) == 0
s['x'] = 'x' * ((4 << 20) - 100)
it = True
",
    );
    assert_eq!(result, Ok(Value::Bool(true)), "{}", hub.log());
    let stored: Vec<String> = hub
        .others
        .iter()
        .map(|frame| match frame {
            FromWorker::Store { key, value } => {
                let key = String::from_utf8_lossy(key).replace('\u{fffd}', "?");
                value.as_ref().map_or(format!("-{key}"), |_| format!("+{key}"))
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let expected = "+a +b +c -c -b +???é??? -???é??? +big +big +x -old -a -big -x +x";
    assert_eq!(stored.join(" "), expected);
}

#[test]
fn signals_are_handled_while_the_worker_sleeps() {
    let script = "
import signal
def handle(number, frame): vh.mc('got it')
signal.signal(signal.SIGUSR1, handle)
def OnTimer(): pass
";
    let mut hub = FakeHub::new(script);
    hub.event(Hook::OnTimer, &[Value::Float(0.0)]);
    // SAFETY: the child is ours and has not been waited for.
    unsafe { libc::kill(hub.child.id() as i32, libc::SIGUSR1) };
    serve_until(&mut hub, "the handler", |hub| hub.calls.len() == 1);
}

#[test]
fn the_hub_can_ask_for_the_stack() {
    let mut hub = FakeHub::new(
        "
import time
def OnTimer():
    vh.mc('stuck')
    while True: pass
",
    );
    hub.post(Hook::OnTimer, &[Value::Float(0.0)]);
    serve_until(&mut hub, "the call", |hub| hub.calls.len() == 1);
    // SAFETY: as above.
    unsafe { libc::kill(hub.child.id() as i32, plugin_abi::start::STACK_SIGNAL) };
    hub.wait_for_log("in OnTimer");
}

#[test]
fn a_worker_whose_hub_is_another_process_ends_at_once() {
    let status = std::process::Command::new(python())
        .args(["-c", plugin_abi::start::BOOT])
        .arg(worker())
        .arg("1")
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&status.stderr);
    assert!(error.contains("only a hub starts this"), "{error}");
}

/// What a script holds at its end, and with what it keeps its globals in use for ever.
const HOLDS: &str = "
import atexit, os, shelve, sys, threading
file = open(folder + '/file', 'w')
file.write('precious\\n')
shelf = shelve.open(folder + '/shelf', writeback=True)
shelf['list'] = []
shelf['list'].append('precious')
class Last:
    file = os.open(folder + '/last', os.O_WRONLY | os.O_CREAT)
    def __del__(self): os.write(self.file, str(order).encode())
last = Last()
order = []
atexit.register(lambda: order.append('exit'))
def wait():
    threading.main_thread().join()
    order.append('thread')
threading.Thread(target=wait).start()
@vh.observer
def OnTimer(): pass
def give(): return last
";

#[test]
fn what_the_globals_of_a_script_hold_is_finalised_in_python_s_order() {
    let ways = [
        ("", "script.py"),
        // A module of Python's own that is loaded has this name, so the script is not among them.
        ("", "codecs.py"),
        (
            "def burn():\n    while True: order\nthreading.Thread(target=burn, daemon=True).start()\n",
            "script.py",
        ),
        (
            "def sleep():\n    while True: threading.Event().wait(1e-4)\nthreading.Thread(target=sleep, daemon=True).start()\n",
            "codecs.py",
        ),
        (
            "def ask():\n    while True: vh.GetUserClass('x')\nthreading.Thread(target=ask, daemon=True).start()\n",
            "script.py",
        ),
        ("sys.modules[__name__] = last\n", "script.py"),
    ];
    for (more, file) in ways {
        let folder = tempfile::tempdir().unwrap();
        let script = format!("folder = {:?}\n{HOLDS}{more}", folder.path());
        let mut hub = FakeHub::with(script, Options { file, ..Options::default() });
        let Value::Handle(_) = hub.function("give", &[]).unwrap() else { panic!("no handle") };
        assert!(hub.unload().success(), "{}", hub.log());
        let read = |name| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("file"), "precious\n", "{file} {more}");
        // Where only a daemon thread keeps them, its names are gone when it is their turn.
        if more.is_empty() {
            assert_eq!(read("last"), "['thread', 'exit']", "{file}");
        }
        let program = "import shelve, sys; print(shelve.open(sys.argv[1])['list'])";
        let shelf = folder.path().join("shelf");
        let shown = std::process::Command::new(python()).args(["-c", program]).arg(shelf).output().unwrap();
        assert_eq!(String::from_utf8_lossy(&shown.stdout), "['precious']\n", "{file} {more}\n{}", hub.log());
    }
}

#[test]
fn processes_of_multiprocessing_can_import_what_the_script_imports() {
    let script = "
import concurrent.futures, multiprocessing, vh
name, number = vh.botname, vh.eCR_KICKED
@vh.observer
def OnTimer(): pass
def work(number):
    found = [number * 2, name, vh.name]
    for use in (lambda: vh.mc('x'), lambda: vh.store, lambda: vh.nothing):
        try: use()
        except (AttributeError, RuntimeError) as error: found.append(f'{type(error).__name__}: {error}')
    return found
def nested(number):
    with multiprocessing.get_context('spawn').Pool(1) as pool: return pool.map(work, [number])[0]
def start(method):
    context = multiprocessing.get_context(method)
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        return [pool.submit(work, 4).result(), pool.submit(nested, 4).result()]
";
    for method in ["spawn", "forkserver"] {
        let mut hub = FakeHub::with(script, Options::default());
        let results = hub.function("start", &[method.into()]);
        let Ok(Value::List(results)) = results else { panic!("{results:?}\n{}", hub.log()) };
        for result in results {
            let Value::List(found) = &result else { panic!("{result}") };
            assert_eq!(found[..3], [Value::Int(8), "Security".into(), "script".into()]);
            let refused: Vec<String> = found[3..]
                .iter()
                .map(|text| String::from_utf8_lossy(text.as_text().unwrap()).into())
                .collect();
            assert!(
                refused[0].starts_with("RuntimeError: vh cannot be used here: the hub is there for"),
                "{refused:?}"
            );
            assert!(refused[1].starts_with("RuntimeError: vh.store: the hub is there for"), "{refused:?}");
            assert_eq!(refused[2], "AttributeError: module 'vh' has no attribute 'nothing'");
        }
        assert!(hub.unload().success(), "{}", hub.log());
    }
}

#[test]
fn the_module_can_be_reloaded_and_found() {
    let mut hub = FakeHub::with(ANYTHING, Options::default());
    hub.reply = Box::new(|_, _| Value::Int(3));
    let result = hub.run(
        "
import importlib, importlib.util, sys
before = vh.store
assert importlib.reload(vh) is vh is sys.modules['vh']
assert vh.store is before and vh.botname == 'Security'
assert importlib.util.find_spec('vh') is vh.__spec__
it = vh.GetUserClass('x')
",
    );
    assert_eq!(result, Ok(Value::Int(3)), "{}", hub.log());
}

#[test]
fn timers_and_coroutines_run_beside_hooks_and_end_before_the_script_is_unloaded() {
    let script = "
import asyncio
ended = []
@vh.every(0.01)
def tick(): vh.mc('tick')
@vh.every(0.01)
async def beat(): vh.mc('beat')
async def for_ever():
    try:
        await asyncio.sleep(3600)
    finally:
        ended.append('coroutine')
async def OnParsedMsgChat(nick, message):
    await asyncio.sleep(0)
    vh.mc('async ' + message)
def start():
    vh.spawn(for_ever())
    vh.after(0.01, vh.mc, 'later')
def UnLoad():
    import threading
    print('ENDED', ended, [thread.name for thread in threading.enumerate()])
";
    let mut hub = FakeHub::spare(script, Options::default());
    let loaded = hub.load().unwrap();
    assert!(loaded.observers.contains(Hook::OnParsedMsgChat));
    hub.function("start", &[]).unwrap();
    hub.observe(Hook::OnParsedMsgChat, &["a".into(), "b".into()]);
    for wanted in ["tick", "beat", "async b", "later", "tick"] {
        let said = move |hub: &FakeHub| hub.calls.iter().any(|(_, args)| args[0] == Value::from(wanted));
        serve_until(&mut hub, wanted, said);
    }
    assert!(hub.unload().success(), "{}", hub.log());
    hub.wait_for_log("ENDED ['coroutine'] ['MainThread']");
}

#[test]
fn what_is_put_off_runs_once_the_hub_says_that_no_event_is_in_flight() {
    let script = "
import vh
vh.after(0, print, 'FIRST')
def OnParsedMsgChat(nick, message):
    vh.after(0, vh.mc, message)
";
    let mut hub = FakeHub::with(script, Options::default());
    let put_off = |hub: &mut FakeHub| match hub.others.pop() {
        Some(FromWorker::Later(number)) => number,
        other => panic!("{other:?} instead of a number"),
    };
    let first = put_off(&mut hub);
    hub.chat("alice", "one");
    let one = put_off(&mut hub);
    hub.chat("alice", "two");
    let two = put_off(&mut hub);
    assert!(first < one && one < two);
    // What belongs to an event in flight stays.
    hub.send(&ToWorker::Due(one));
    serve_until(&mut hub, "one", |hub| !hub.calls.is_empty());
    hub.wait_for_log("FIRST");
    assert_eq!(hub.calls, [(Call::mc, vec![Value::from("one"), Value::Nil])]);
    hub.send(&ToWorker::Due(two));
    serve_until(&mut hub, "two", |hub| hub.calls.len() > 1);
    assert_eq!(hub.calls[1].1[0], Value::from("two"));
}

#[test]
fn timers_begin_when_the_script_has_loaded_and_drop_what_they_miss() {
    let script = "
import threading, time, vh
@vh.every(0.001)
def tick():
    ticks.append(time.monotonic())
    if len(ticks) == 1: time.sleep(0.2)
time.sleep(0.05)
ticks = []
def count(): return len(ticks)
def made_up():
    # How many more ticks than periods there were, after the long one, which took 200 periods.
    some = ticks[1:]
    return len(some) - (some[-1] - some[0]) / 0.001
";
    let mut hub = FakeHub::with(script, Options::default());
    let start = Instant::now();
    while hub.function("count", &[]).unwrap().as_int() < Some(40) {
        assert!(start.elapsed() < LIMIT, "no ticks\n{}", hub.log());
    }
    let made_up = hub.function("made_up", &[]);
    assert!(matches!(made_up, Ok(Value::Float(ticks)) if ticks <= 2.0), "{made_up:?}\n{}", hub.log());
    assert_eq!(hub.log(), "");
}

#[test]
fn timers_and_coroutines_say_what_is_wrong() {
    let mut hub = FakeHub::with(ANYTHING, Options::default());
    for (code, expected) in [
        ("vh.every('5')", "TypeError: vh.every(): seconds is a number, not str"),
        ("vh.every(0)", "ValueError: vh.every(): 0 seconds; at least 0.001, and no more than "),
        ("vh.every(1)(None)", "TypeError: vh.every() is for functions, not for a NoneType"),
        ("vh.after(-1, print)", "ValueError: vh.after(): -1 seconds; at least 0, and no more than "),
        ("vh.after(float('nan'), print)", "ValueError: vh.after(): nan seconds; at least 0"),
        (
            "vh.after(1, None)",
            "TypeError: vh.after() is for functions, not for a NoneType: give the function itself",
        ),
        (
            "vh.spawn(print)",
            "TypeError: vh.spawn() is for coroutines, as a call of an async def gives one, not for a ",
        ),
    ] {
        let said = hub.run(code).unwrap().to_string();
        assert!(said.contains(expected), "{code}: {said}");
    }
    hub.run("vh.after(0.001, lambda: {}['key'])").unwrap();
    hub.wait_for_log("KeyError: 'key'");
    hub.run("async def fails(): {}['other']\nvh.spawn(fails())").unwrap();
    hub.wait_for_log("KeyError: 'other'");
    hub.run("import os\nchild = os.fork()\nif not child:\n    try: vh.after(1, print)\n    except RuntimeError as error: print(error, flush=True)\n    os._exit(0)\nos.waitpid(child, 0)").unwrap();
    hub.wait_for_log("vh works only in the script's own process, not in one that it forked");
}

#[test]
fn a_timer_that_does_not_end_does_not_keep_unload_from_being_called() {
    let script = "
import threading, vh
begun = threading.Event()
@vh.every(0.001)
def stays():
    begun.set()
    threading.Event().wait()
def wait(): begun.wait()
def UnLoad(): print('UNLOADED')
";
    let mut hub = FakeHub::with(script, Options::default());
    hub.function("wait", &[]).unwrap();
    hub.send(&ToWorker::Unload { within: 20 });
    assert!(hub.wait().success(), "{}", hub.log());
    hub.wait_for_log("UNLOADED");
    assert!(
        hub.log().contains("a timer's function still runs 0.0 s after the script was told to end"),
        "{}",
        hub.log()
    );
}
