//! Whatever a script passes to a function of `vh`, it gets what a library's author expects, an
//! exception that names function and argument where it is wrong; hub and script go on.
#![cfg(feature = "cli")]

use crate::support::client::HubBuilder;
use crate::support::eval::{EVAL, all, eval};
use plugin_abi::call::{CALLS, Gives, Omitted, ParamKind};

/// The table of functions as a literal of Python: name, and for each parameter its name, its
/// kind and whether it can be left out. `vh.users` takes any number of fields, without a name.
fn table() -> String {
    let mut rows = String::new();
    for spec in CALLS.iter().filter(|spec| spec.gives != Gives::Users) {
        rows += &format!("    ('{}', [", spec.name);
        for param in spec.params {
            let kind = match param.kind {
                ParamKind::Text => "text",
                ParamKind::Int => "int",
                ParamKind::TextOrNumber => "either",
            };
            let required = if param.default == Omitted::Required { "True" } else { "False" };
            rows += &format!("('{}', '{kind}', {required}), ", param.name);
        }
        rows += "]),\n";
    }
    format!("TABLE = [\n{rows}]\n")
}

/// Calls every function with every bad value in the place of every argument.
const SCRIPT: &str = r"
import array, decimal, fractions
recursive = []
recursive.append(recursive)
endless = {}
endless['it'] = endless

class Raises:
    def __str__(self): raise RuntimeError('str')
    def __index__(self): raise RuntimeError('index')
    def __float__(self): raise RuntimeError('float')

WRONG = [b'bytes', bytearray(b'x'), memoryview(b'x'), [], ['x'], (), ('x',), {}, {1}, object(), object, len,
         (x for x in 'ab'), recursive, endless, 1j, ..., lambda: 0, array.array('i', [1]), vh]
NO_TEXT = [0, 5, -1, True, 1.5, 2 ** 100, float('nan')]
NO_INT = ['', 'x', '5', 1.0, float('nan'), float('inf'), decimal.Decimal(5), fractions.Fraction(1, 2)]
HUGE = [2 ** 63, -2 ** 63 - 1, 2 ** 64, 10 ** 5000]

def good(kind): return 5 if kind == 'int' else 'x'

def call(name, params, at, value):
    # By name, and by position where that is the same.
    args = {param: good(kind) for param, kind, required in params if required}
    args[params[at][0]] = value
    try:
        return getattr(vh, name)(**args)
    except Exception as error:
        return error

def expect(problems, name, params, at, value, kinds):
    result = call(name, params, at, value)
    shown = f'{name}({params[at][0]}={type(value).__name__})'
    if type(result) not in kinds:
        problems.append(f'{shown} gave {ascii(result)[:100]}')
    elif f'{name}()' not in str(result) or repr(params[at][0]) not in str(result):
        problems.append(f'{shown}: the text is {result}')

def wrong_values():
    problems, count = [], 0
    for name, params in TABLE:
        for at, (param, kind, required) in enumerate(params):
            cases = [(value, [TypeError]) for value in WRONG]
            if kind == 'text': cases += [(value, [TypeError]) for value in NO_TEXT]
            if kind == 'int': cases += [(value, [TypeError]) for value in NO_INT] + [(value, [OverflowError]) for value in HUGE]
            cases.append((Raises(), [TypeError] if kind == 'text' else [RuntimeError]))
            if kind != 'int': cases += [('a\0b', [ValueError]), ('\0', [ValueError])]
            if kind == 'either':
                cases += [(float('nan'), [ValueError]), (float('inf'), [ValueError]), (2 ** 64, [OverflowError]), (10 ** 5000, [OverflowError])]
            for value, kinds in cases:
                count += 1
                if type(value) is Raises and kind != 'text':
                    # It is the object's own exception.
                    result = call(name, params, at, value)
                    if type(result) not in (RuntimeError, TypeError): problems.append(f'{name}: {ascii(result)}')
                else:
                    expect(problems, name, params, at, value, kinds)
    return problems or count

def wrong_counts():
    problems, count = [], 0
    for name, params in TABLE:
        function = getattr(vh, name)
        cases = [(('x',) * (len(params) + 1), {}), ((), {'no_such': 1}), (('x',) * 50, {})]
        if any(required for _, _, required in params): cases.append(((), {}))
        if params: cases.append((tuple(good(kind) for _, kind, _ in params), {params[0][0]: 'x'}))
        for args, named in cases:
            count += 1
            try:
                problems.append(f'{name}{args}{named} gave {ascii(function(*args, **named))[:80]}')
            except TypeError as error:
                if not str(error).startswith(f'{name}() '): problems.append(f'{name}: {error}')
            except Exception as error:
                problems.append(f'{name}: {ascii(error)}')
    return problems or count

def right_but_odd():
    # What can be passed does no harm: lone surrogates, long texts, the ends of what fits, nothing at all.
    problems, count = [], 0
    for name, params in TABLE:
        if name == 'StopHub': continue
        for at, (param, kind, required) in enumerate(params):
            values = [None] if kind == 'int' else [None, '', '\ud800', '\udcff\udc80', '|', '$', '\n', '-1', '%s%n', 'x' * 5_000]
            values += [] if kind == 'text' else [2 ** 63 - 1, -2 ** 63, 0, -1, True]
            for value in values:
                count += 1
                result = call(name, params, at, value)
                if isinstance(result, Exception): problems.append(f'{name}({param}={ascii(value)[:40]}): {ascii(result)}')
    return problems or count

def very_long():
    # Ten megabytes arrive, or the call says that they cannot; nothing else.
    problems, count = [], 0
    text = 'x' * 10_000_000
    for name, params in TABLE:
        for at, (param, kind, required) in enumerate(params):
            if kind == 'int' or not required: continue
            count += 1
            result = call(name, params, at, text)
            if isinstance(result, Exception): problems.append(f'{name}({param}): {ascii(result)[:100]}')
            break
    return problems or count
";

#[test]
fn every_function_stands_bad_input() {
    let script = format!("{EVAL}{}{SCRIPT}", table());
    let hub = HubBuilder::new().script("eval.py", &script).set("adv_max_outbuf_size", "200000000").start();
    let mut master = hub.master();
    for what in ["wrong_values()", "wrong_counts()"] {
        let result = eval(&mut master, what);
        let count: usize = result.parse().unwrap_or_else(|_| panic!("{what}: {result}"));
        assert!(count > CALLS.len(), "{what} tried only {count}");
    }
    for value in ["1", "None", "b'nick'", "'nik'", "'a\\0b'", "'\\ud800'", "'x' * 5_000", "['nick']"] {
        let result = eval(&mut master, &format!("vh.users({value})"));
        assert!(result.contains("Error"), "vh.users({value}): {result}");
    }
    // What follows does what it says: in the end, the hub's own names may be others.
    for what in ["right_but_odd()", "very_long()"] {
        master.chat(&format!("+eval {what}"));
        let result = master.wait_for("> = ");
        let count = result.split("> = ").nth(1).and_then(|count| count.parse::<usize>().ok());
        assert!(count.is_some_and(|count| count > CALLS.len() / 2), "{what}: {result}");
    }
    let mut nick = hub.guest("nick");
    master.chat("still here");
    nick.wait_for("<master> still here");
    master.chat("!pylist");
    let list = master.wait_for(" eval: ");
    assert!(list.contains("eval: ready"), "{list}");
}

#[test]
fn queries_that_fail_say_why() {
    let mut hub = HubBuilder::new().script("eval.py", EVAL).start();
    let mut master = hub.master();
    for (query, reason) in [
        ("nonsense", "error in your SQL syntax"),
        ("select * from nowhere", "Table 'verlihub.nowhere' doesn't exist"),
        ("select 1; select 2", ""),
        ("select", ""),
        ("pragma writable_schema = 1", "PRAGMA writable_schema is not supported"),
        ("attach '/tmp/x' as x", "ATTACH '/tmp/x' is not supported"),
        ("insert into reglist (no_such) values (1)", "no_such"),
        (
            "with recursive n(x) as (select 1 union all select x + 1 from n) select count(*) from n",
            "stopped after 2 seconds",
        ),
        ("select ?1", ""),
        ("\u{fffd}\u{1f600}", ""),
    ] {
        let result = eval(&mut master, &format!("vh.SQL({query:?})"));
        if !reason.is_empty() {
            assert_eq!(result, "(0, [])", "{query}");
            let line = hub.logs(&format!("the query: {query}"));
            assert!(line.contains(reason) && line.contains("WARN"), "{query}: {line}");
        }
    }
    all(
        &mut master,
        &[
            ("vh.SQL('select 1')", "(1, [['1']])"),
            ("vh.SQL('')", "(1, [])"),
            ("vh.SQL('select 1 union select 2', -5)", "(1, [['1'], ['2']])"),
        ],
    );
}
