//! The functions of `vh`: arguments, answers, text.

use crate::support::fake_hub::{ANYTHING, FakeHub, Options};
use plugin_abi::call::{CALLS, Gives, Omitted, ParamKind};
use plugin_abi::{Answer, Call, Value};

fn hub() -> FakeHub {
    FakeHub::new(ANYTHING)
}

fn owned(text: &str) -> Value<'static> {
    Value::from(text.to_owned())
}

/// What the hub is handed for a call.
fn handed(hub: &mut FakeHub, code: &str) -> (Call, Vec<Value<'static>>) {
    hub.calls.clear();
    let result = hub.run(code).unwrap();
    assert_eq!(hub.calls.len(), 1, "{code}: {result}");
    hub.calls.remove(0)
}

/// The exception that a piece of code raises.
fn raised(hub: &mut FakeHub, code: &str) -> String {
    hub.calls.clear();
    let result = hub.run(code).unwrap();
    assert!(hub.calls.is_empty(), "{code} reached the hub: {:?}", hub.calls);
    let text = result.as_text().unwrap_or_else(|| panic!("{code} gave {result}"));
    String::from_utf8(text.to_vec()).unwrap()
}

#[test]
fn every_function_hands_over_its_arguments_in_the_hosts_order() {
    let mut hub = FakeHub::with(ANYTHING, Options { has_ip_city: true, ..Options::default() });
    // vh.users looks at its fields itself; `tests/hub/functions.rs` asks for each.
    for spec in CALLS.iter().filter(|spec| spec.gives != Gives::Users) {
        let given = |at: usize| match spec.params[at].kind {
            ParamKind::Int => Value::Int(at as i64 + 10),
            _ => owned(&format!("text {at}")),
        };
        let shown = |at: usize| match given(at) {
            Value::Int(number) => number.to_string(),
            other => other.to_string(),
        };
        let expected: Vec<_> = spec.host_order.iter().map(|at| given((*at).into())).collect();
        let all: Vec<_> = (0..spec.params.len()).map(shown).collect();
        let call = handed(&mut hub, &format!("vh.{}({})", spec.name, all.join(", ")));
        assert_eq!(call, (spec.call, expected.clone()), "{}", spec.name);
        let named: Vec<_> =
            (0..spec.params.len()).map(|at| format!("{}={}", spec.params[at].name, shown(at))).collect();
        let call = handed(&mut hub, &format!("vh.{}({})", spec.name, named.join(", ")));
        assert_eq!(call, (spec.call, expected.clone()), "{}", spec.name);
        for (at, param) in spec.params.iter().enumerate() {
            for alias in param.aliases {
                let mut named = named.clone();
                named[at] = format!("{alias}={}", shown(at));
                let call = handed(&mut hub, &format!("vh.{}({})", spec.name, named.join(", ")));
                assert_eq!(call, (spec.call, expected.clone()), "{} {alias}", spec.name);
            }
        }
        // Only what is required, by name.
        let required: Vec<_> = (0..spec.params.len())
            .filter(|at| spec.params[*at].default == Omitted::Required)
            .map(|at| named[at].clone())
            .collect();
        let expected: Vec<_> = spec
            .host_order
            .iter()
            .map(|&at| match (spec.params[at as usize].default, spec.params[at as usize].kind) {
                (Omitted::Required, _) => given(at.into()),
                (Omitted::Int(number), _) => Value::Int(number),
                (Omitted::Text(text), _) => text.into(),
                (Omitted::Empty, ParamKind::Int) => Value::Int(0),
                (Omitted::Empty, _) => Value::Nil,
            })
            .collect();
        let call = handed(&mut hub, &format!("vh.{}({})", spec.name, required.join(", ")));
        assert_eq!(call, (spec.call, expected), "{}", spec.name);
        // One too many, an unknown name, one too few. SQL has one more that the hub never sees.
        let most = spec.params.len() + usize::from(spec.call == Call::SQL);
        let too_many = format!("vh.{}({})", spec.name, vec!["'x'"; most + 1].join(", "));
        let error = raised(&mut hub, &too_many);
        assert!(error.starts_with(&format!("TypeError: {}() takes ", spec.name)), "{error}");
        let error = raised(&mut hub, &format!("vh.{}(no_such_name=1)", spec.name));
        assert!(error.contains("unexpected keyword argument 'no_such_name'"), "{error}");
        if let Some(first) = spec.params.iter().find(|param| param.default == Omitted::Required) {
            let error = raised(&mut hub, &format!("vh.{}()", spec.name));
            let expected = format!("TypeError: {}() misses argument '{}'", spec.name, first.name);
            assert!(error.starts_with(&expected), "{error}");
        }
    }
}

#[test]
fn wrong_arguments_are_named() {
    let mut hub = hub();
    let table = [
        ("vh.GetUserClass(5)", "TypeError: GetUserClass() argument 'nick' must be a str or None, not int"),
        (
            "vh.GetUserClass(b'x')",
            "TypeError: GetUserClass() argument 'nick' must be a str or None, not bytes",
        ),
        ("vh.StopHub('x')", "TypeError: StopHub() argument 'code' must be an int, not str"),
        ("vh.StopHub(1.0)", "TypeError: StopHub() argument 'code' must be an int, not float"),
        ("vh.StopHub(2**63)", "OverflowError: StopHub() argument 'code' does not fit into 64 bits"),
        ("vh.StopHub(-2**63 - 1)", "OverflowError: StopHub() argument 'code' does not fit"),
        ("vh.mc('a\\0b')", "ValueError: mc() argument 'message' has a null character"),
        ("vh.mc('x', message='y')", "TypeError: mc() got two values for argument 'message'"),
        ("vh.SetMyINFO('n', size=float('nan'))", "ValueError: SetMyINFO() argument 'size' is NaN"),
        ("vh.SetMyINFO('n', size=float('inf'))", "ValueError: SetMyINFO() argument 'size' is inf"),
        ("vh.SetMyINFO('n', size=2**64)", "OverflowError: SetMyINFO() argument 'size'"),
        (
            "vh.SetMyINFO('n', size=[])",
            "TypeError: SetMyINFO() argument 'size' must be a str, a number or None",
        ),
        ("vh.GetUsersCount(1)", "TypeError: GetUsersCount() takes no arguments, 1 given"),
        ("vh.SQL('?', 5, 'a')", "TypeError: SQL() argument 'parameters' must be a tuple or list, not str"),
        ("vh.SQL('?', 5, (1, 2))", "ValueError: SQL() has 1 places (?) in the query, and 2 parameters"),
        (
            "vh.SQL('?', 5, ({},))",
            "TypeError: SQL() parameter 1 must be a str, int, float, bool, bytes or None",
        ),
        ("vh.SQL('?', 5, (float('nan'),))", "ValueError: SQL() parameter 1 is NaN"),
        ("vh.SQL('?', 5, (1,), 2)", "TypeError: SQL() takes 1 to 2 arguments, 4 given"),
        ("vh.sql_quote([])", "TypeError: sql_quote() argument 'value' must be a str"),
        ("vh.Encode(5)", "TypeError: Encode() argument 'text' must be a str, not int"),
        ("vh.SendToUser('x')", "TypeError: SendToUser() takes 2 arguments, 1 given"),
    ];
    for (code, expected) in table {
        let error = raised(&mut hub, code);
        assert!(error.starts_with(expected), "{code}: {error}");
    }
}

#[test]
fn both_orders_work() {
    let mut hub = hub();
    let text = |text: &'static str| Value::from(text);
    let table: Vec<(&str, Call, Vec<Value<'static>>)> = vec![
        ("vh.SQL('q', 5)", Call::SQL, vec![text("q"), Value::Int(5)]),
        ("vh.SQL(5, 'q')", Call::SQL, vec![text("q"), Value::Int(5)]),
        ("vh.SQL('q')", Call::SQL, vec![text("q"), Value::Int(100)]),
        ("vh.SQL(5, query='q')", Call::SQL, vec![text("q"), Value::Int(5)]),
        ("vh.SQL('?', 5, ('a',))", Call::SQL, vec![text("'a'"), Value::Int(5)]),
        ("vh.SQL(5, '?', [1])", Call::SQL, vec![text("1"), Value::Int(5)]),
        ("vh.SQL('?', parameters=(None,))", Call::SQL, vec![text("NULL"), Value::Int(100)]),
        ("vh.SQL(query='?', limit=2, parameters=(b'a',))", Call::SQL, vec![text("X'61'"), Value::Int(2)]),
        ("vh.SQL('q', 5, ())", Call::SQL, vec![text("q"), Value::Int(5)]),
        ("vh.GetConfig('v')", Call::GetConfig, vec![text("config"), text("v"), Value::Nil]),
        ("vh.GetConfig('c', 'v')", Call::GetConfig, vec![text("c"), text("v"), Value::Nil]),
        ("vh.GetConfig('v', default=5)", Call::GetConfig, vec![text("config"), text("v"), text("5")]),
        ("vh.GetConfig('c', 'v', 'd')", Call::GetConfig, vec![text("c"), text("v"), text("d")]),
        ("vh.GetConfig('v', conf='c')", Call::GetConfig, vec![text("c"), text("v"), Value::Nil]),
        ("vh.SetConfig('v', 5)", Call::SetConfig, vec![text("config"), text("v"), text("5")]),
        ("vh.SetConfig('v', value=True)", Call::SetConfig, vec![text("config"), text("v"), text("1")]),
        ("vh.SetConfig('c', 'v', 1.5)", Call::SetConfig, vec![text("c"), text("v"), text("1.5")]),
        ("vh.SetConfig('c', 'v', value=3.0)", Call::SetConfig, vec![text("c"), text("v"), text("3")]),
        (
            "vh.SetConfig('v', 1e22)",
            Call::SetConfig,
            vec![text("config"), text("v"), text("10000000000000000000000")],
        ),
        ("vh.classmc('m', 3, 'n')", Call::classmc, vec![text("m"), Value::Int(3), Value::Int(10), text("n")]),
        ("vh.classmc('m', 3)", Call::classmc, vec![text("m"), Value::Int(3), Value::Int(10), Value::Nil]),
        (
            "vh.classmc('m', 3, 5, 'n')",
            Call::classmc,
            vec![text("m"), Value::Int(3), Value::Int(5), text("n")],
        ),
        ("vh.SendToAll('m')", Call::mc, vec![text("m"), Value::Nil]),
        ("vh.SendToUser('n', 'm')", Call::usermc, vec![text("m"), text("n"), Value::Nil]),
        ("vh.StopHub(None, True)", Call::StopHub, vec![Value::Int(0), Value::Int(1)]),
        ("vh.GetUserClass(None)", Call::GetUserClass, vec![Value::Nil]),
        ("vh.CloseConnection('n', 2)", Call::CloseConnection, vec![text("n"), Value::Int(0), Value::Int(2)]),
        (
            "class I:\n  def __index__(self): return 9\nvh.StopHub(I())",
            Call::StopHub,
            vec![Value::Int(9), Value::Int(0)],
        ),
    ];
    for (code, call, args) in table {
        assert_eq!(handed(&mut hub, code), (call, args), "{code}");
    }
}

#[test]
fn answers_become_what_the_table_says() {
    let list =
        |values: &[&'static str]| values.iter().map(|text| Value::from(*text)).collect::<Value<'static>>();
    let mut hub = hub();
    let six = ["n", "d", "t", "s", "m", "5"];
    let geo = Value::Map(vec![("city".into(), "Bonn".into()), ("latitude".into(), Value::Float(50.5))]);
    let geo_list = Value::List(vec!["city".into(), "Bonn".into(), "latitude".into(), Value::Float(50.5)]);
    let rows = Value::List(vec![Value::List(vec!["a".into(), "b".into()])]);
    let table: Vec<(&str, Value<'static>, &str)> = vec![
        ("vh.mc('x')", Value::Int(1), "True"),
        ("vh.mc('x')", Value::Int(0), "False"),
        ("vh.mc('x')", Value::Nil, "False"),
        ("vh.GetUserClass('x')", Value::Int(3), "3"),
        ("vh.GetUserClass('x')", Value::Nil, "-2"),
        ("vh.IsRobotNickBad('x')", Value::Nil, "5"),
        ("vh.GetUsersCount()", Value::Nil, "0"),
        ("vh.GetServFreq()", Value::Float(1.5), "1.5"),
        ("vh.GetServFreq()", Value::Nil, "0.0"),
        ("vh.GetUserIP('x')", "1.2.3.4".into(), "'1.2.3.4'"),
        ("vh.GetUserIP('x')", Value::Nil, "None"),
        ("vh.GetUserIP('x')", "".into(), "''"),
        ("vh.Topic()", Value::Nil, "''"),
        ("vh.GetTotalShareSize()", "12".into(), "'12'"),
        ("vh.GetMyINFO('x')", list(&six), "('n', 'd', 't', 's', 'm', '5')"),
        ("vh.GetMyINFO('x')", Value::Nil, "None"),
        ("vh.name_and_version()", list(&["a", "1"]), "('a', '1')"),
        ("vh.name_and_version()", Value::Nil, "('', '')"),
        (
            "vh.UserRestrictions('x')",
            Value::Int(5),
            "{'chat': True, 'pm': False, 'search': True, 'ctm': False}",
        ),
        ("vh.UserRestrictions('x')", Value::Nil, "{}"),
        ("vh.SQL('q')", Value::List(vec![Value::Int(1), rows]), "(1, [['a', 'b']])"),
        ("vh.SQL('q')", Value::Nil, "(0, [])"),
        ("vh.GetGeoIP('x')", geo, "{'city': 'Bonn', 'latitude': 50.5}"),
        ("vh.GetGeoIP('x')", geo_list, "{'city': 'Bonn', 'latitude': 50.5}"),
        ("vh.GetGeoIP('x')", Value::Nil, "None"),
        ("vh.GetNickList()", "$NickList a$$b$$".into(), "['a', 'b']"),
        ("vh.GetNickList()", "$NickList a$$b$$|".into(), "['a', 'b']"),
        ("vh.GetNickList()", "a$$b".into(), "['a', 'b']"),
        ("vh.GetNickList()", "$NickList ".into(), "[]"),
        ("vh.GetOpList()", "".into(), "[]"),
        ("vh.GetBotList()", list(&["a", "b"]), "['a', 'b']"),
        ("vh.GetNickList()", Value::Nil, "[]"),
        ("vh.GetRawNickList()", list(&["a", "b"]), "'$NickList a$$b$$'"),
        ("vh.GetRawOpList()", "$OpList a$$b$$".into(), "'$OpList a$$b$$'"),
        ("vh.GetRawBotList()", Value::Nil, "'$BotList '"),
        ("vh.GetNickList().split('$$')", list(&["a", "b"]), "['a', 'b']"),
        ("vh.GetNickList().split('$')", list(&["a", "b"]), "['a', '', 'b']"),
        ("vh.GetNickList().split('$$', 1)", list(&["a", "b", "c"]), "['a', 'b$$c']"),
        ("vh.GetNickList().split()", list(&["a", "b"]), "['a', 'b']"),
        (
            "(lambda n: (type(n) is vh.NickList, isinstance(n, list), 'a' in n, n == ['a']))(vh.GetNickList())",
            list(&["a"]),
            "(True, True, True, True)",
        ),
    ];
    for (code, answer, expected) in table {
        let given = answer.clone();
        hub.reply = Box::new(move |_, _| given.clone());
        let result = hub.run(&format!("it = repr({code})")).unwrap();
        assert_eq!(result, owned(expected), "{code} with {answer}");
    }
}

/// Nothing but plain ASCII stands in quotes: what a backslash means, and where a character ends,
/// depends on the server. What a subclass says of itself is not asked for.
#[test]
fn a_value_in_a_query_is_a_literal_of_every_server() {
    let mut hub = hub();
    for (value, expected) in [
        ("'plain text, 5$ | more?'", "'plain text, 5$ | more?'"),
        ("''", "''"),
        ("'it\\'s'", "_utf8mb4 X'69742773'"),
        ("chr(92)", "_utf8mb4 X'5C'"),
        ("'ä'", "_utf8mb4 X'C3A4'"),
        ("'\\0'", "_utf8mb4 X'00'"),
        ("'\\udcff'", "X'FF'"),
        ("b'\\xbf\\x27'", "X'BF27'"),
        ("-5", "-5"),
        ("10**30", "1000000000000000000000000000000"),
        ("True", "1"),
        ("1.5", "1.5e0"),
        ("-1e300", "-1e300"),
        ("None", "NULL"),
        ("type('Liar', (int,), {'__str__': lambda self: '1; drop table t'})(3)", "3"),
        ("__import__('enum').IntEnum('Kind', 'A').A", "1"),
        ("type('Word', (str,), {'__str__': lambda self: 'x'})('y')", "'y'"),
    ] {
        let literal = hub.run(&format!("it = vh.sql_quote({value})")).unwrap();
        assert_eq!(literal, owned(expected), "{value}");
    }
}

#[test]
fn entities_are_those_five() {
    let mut hub = hub();
    let plain = r"'a$b|c`d~e\x05f&amp;é\ud800'";
    let encoded = r"'a&#36;b&#124;c&#96;d&#126;e&#5;f&amp;é\ud800'";
    for code in [
        format!("it = vh.Encode({plain}) == vh.encode({plain}) == {encoded}"),
        format!("it = vh.Decode({encoded}) == vh.decode({encoded}) == {plain}"),
        "it = vh.Decode('&#38;#36; &#36 &#38;') == '&#38;#36; &#36 &#38;'".into(),
    ] {
        assert_eq!(hub.run(&code).unwrap(), Value::Bool(true), "{code}");
    }
}

#[test]
fn functions_have_help() {
    let mut hub = hub();
    let result = hub.run(
        "import inspect
assert str(inspect.signature(vh.GetUserClass)) == '(nick)'
assert str(inspect.signature(vh.SQL)) == '(query, limit=100, parameters=())'
assert 'class' in vh.GetUserClass.__doc__ and vh.GetUserClass.__module__ == 'vh'
assert 'conf' in vh.SetConfig.__doc__
it = True",
    );
    assert_eq!(result, Ok(Value::Bool(true)));
}

#[test]
fn dynamic_functions() {
    let mut hub = hub();
    hub.dynamic = Box::new(|name, args| match name {
        "echo" => Ok(Value::List(args.to_vec())),
        "fail" => Err((plugin_abi::frame::Failure::Failed, "no such luck".into())),
        _ => Err((plugin_abi::frame::Failure::Missing, format!("there is no function {name}"))),
    });
    let table = [
        (
            "it = vh.CallDynamicFunction('echo', 1, 'a', 2.5, None, True, b'x', [1, {'k': (2,)}])",
            "[1, \"a\", 2.5, None, True, b\"x\", [1, {\"k\": [2]}]]",
        ),
        ("it = vh.call('echo')", "[]"),
        ("it = vh.call('echo', *range(20))[19]", "19"),
        ("vh.call('fail')", "\"RuntimeError: no such luck\""),
        ("vh.call('nothing')", "\"NameError: there is no function nothing\""),
    ];
    for (code, expected) in table {
        assert_eq!(hub.run(code).unwrap().to_string(), expected, "{code}");
    }
    let table = [
        ("vh.call(5)", "TypeError: call() argument 'name' must be a str"),
        ("vh.call()", "TypeError: call() takes at least 1 argument, 0 given"),
        ("vh.call('echo', 1, object())", "TypeError: echo() argument 2 has a object, which cannot be sent"),
        ("vh.call('echo', 2**64)", "OverflowError: echo() argument 1 has an int beyond 64 bits"),
        ("vh.call('echo', ['a\\0'])", "ValueError: echo() argument 1 has a null character"),
        ("a = []; a.append(a); vh.call('echo', a)", "ValueError: echo() argument 1 is nested deeper"),
        ("d = {}; d['d'] = d; vh.call('echo', d)", "ValueError: echo() argument 1 is nested deeper"),
        ("vh.call('echo', (x for x in []))", "TypeError: echo() argument 1 has a generator"),
        ("vh.call('echo', 'x' * (65 << 20))", "ValueError: echo(): a message of "),
    ];
    for (code, expected) in table {
        let error = raised(&mut hub, code);
        assert!(error.starts_with(expected), "{code}: {error}");
    }
}

#[test]
fn long_texts_travel_in_pieces() {
    let mut hub = FakeHub::with(
        "def OnParsedMsgChat(nick, message): return message[::-1] if vh.mc(message * 3) else 0\n",
        Options { ring_bytes: 4096, ..Options::default() },
    );
    hub.reply = Box::new(|_, args| Value::Int((args[0].as_text().unwrap().len() == 3_000_000).into()));
    let message: &'static str = "x".repeat(999_999).leak();
    let message: &'static str = format!("{message}y").leak();
    let Answer::Chat { message: Some(answer), .. } = hub.chat("n", message) else { panic!("no message") };
    assert_eq!(answer.len(), 1_000_000);
    assert_eq!(answer[0], b'y');
}

#[test]
fn no_byte_of_a_text_is_lost_in_any_encoding() {
    let script = "
def OnParsedMsgChat(nick, message): return (nick, message)
def check(text): return vh.GetUserIP(text)
def same(text, other): return text == other
";
    let mut texts: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![b'a', byte, b'b', byte]).collect();
    // All pairs of bytes, many in one text, apart from each other.
    for first in 0x80..=0xff_u8 {
        texts.push((1..=255u8).flat_map(|second| [first, second, b' ']).collect());
        texts.push((1..=255u8).flat_map(|second| [first, second]).collect());
    }
    texts.push("żółć ñandú Привет 你好 🐍".as_bytes().to_vec());
    texts.retain(|text| !text.contains(&0));
    for encoding in ["utf-8", "cp1251", "cp1252", "iso-8859-2", "gbk", "utf8", "UTF-8"] {
        let mut hub = FakeHub::with(script, Options { encoding, ..Options::default() });
        for text in &texts {
            let given: &'static [u8] = text.clone().leak();
            let answer = hub.event(plugin_abi::Hook::OnParsedMsgChat, &["n".into(), given.into()]);
            let expected = Answer::Chat { nick: Some(b"n"[..].into()), message: Some(given.into()) };
            assert!(answer == expected, "{encoding}: {given:?} came back as {answer:?}");
        }
        for text in texts.iter().rev().take(100) {
            let given: &'static [u8] = text.clone().leak();
            hub.reply = Box::new(|_, args| args[0].clone());
            assert_eq!(hub.function("check", &[given.into()]), Ok(given.into()), "{encoding}");
        }
    }
}

#[test]
fn what_an_encoding_lacks_becomes_a_question_mark() {
    let table = [
        ("cp1251", "Привет ñ 🐍 \\udcff \\ud800", &b"\xcf\xf0\xe8\xe2\xe5\xf2 ? ? \xff ?"[..]),
        ("iso-8859-2", "ż Я", b"\xbf ?"),
        ("gbk", "你 🐍", b"\xc4\xe3 ?"),
        ("cp1252", "ñ \\udc81 Я", b"\xf1 \x81 ?"),
        ("utf-8", "ñ \\udcff \\ud800x", b"\xc3\xb1 \xff ?x"),
    ];
    for (encoding, text, expected) in table {
        let script = format!("def OnParsedMsgChat(nick, message): return '{text}'\n");
        let mut hub = FakeHub::with(script, Options { encoding, ..Options::default() });
        let message = Some(expected.into());
        assert_eq!(hub.chat("a", "b"), Answer::Chat { nick: None, message }, "{encoding}");
    }
    let mut hub =
        FakeHub::spare("def OnTimer(): pass", Options { encoding: "klingon", ..Options::default() });
    assert!(hub.load().unwrap().warnings[0].contains("klingon"));
}

#[test]
fn texts_of_all_interpreters() {
    let mut hub = FakeHub::with(ANYTHING, Options::default());
    hub.reply = Box::new(|_, args| args[0].clone());
    let result = hub.run("s = 'é\\udcff' * 1000; it = vh.GetUserIP(s) == s");
    assert_eq!(result, Ok(Value::Bool(true)));
}
