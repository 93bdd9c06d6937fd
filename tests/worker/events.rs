//! What a worker makes of scripts, events and return values.

use crate::support::dedent;
use crate::support::fake_hub::{FakeHub, Options};
use plugin_abi::{Answer, FromWorker, Hook, HookSet, Value};

fn text(text: &str) -> Option<std::borrow::Cow<'static, [u8]>> {
    Some(text.as_bytes().to_vec().into())
}

#[test]
fn every_interpreter_serves_events_and_ends() {
    for flags in [vec![], vec!["-X", "dev"]] {
        let script = "
import atexit
def OnParsedMsgChat(nick, message):
    return 0 if 'spam' in message else vh.GetUserClass(nick) > 0
def UnLoad():
    print('unloading', vh.GetUserClass('x'))
atexit.register(print, 'at exit')
";
        let mut hub = FakeHub::with(script, Options { flags, ..Options::default() });
        hub.reply = Box::new(|_, _| Value::Int(1));
        assert_eq!(hub.chat("alice", "hello"), Answer::GoOn);
        assert_eq!(hub.chat("alice", "spam"), Answer::Block);
        hub.reply = Box::new(|_, _| Value::Int(0));
        assert_eq!(hub.chat("alice", "hello"), Answer::Block);
        assert!(hub.unload().success(), "{}", hub.log());
        hub.wait_for_log("unloading 0");
        hub.wait_for_log("at exit");
    }
}

#[test]
fn return_values_mean_what_the_table_says() {
    let script = "
answer = None
def set_answer(code):
    global answer
    answer = eval(code)
def OnParsedMsgChat(nick, message): return answer
def OnParsedMsgMyINFO(*args): return answer
def OnTimer(): return answer
";
    let mut hub = FakeHub::new(script);
    let chat = |nick: Option<&str>, message: Option<&str>| Answer::Chat {
        nick: nick.and_then(text),
        message: message.and_then(text),
    };
    let send = |data: &'static str, then| Answer::Send { data: data.as_bytes().into(), then };
    let info = Answer::MyInfo([text("d"), None, text("s"), None, text("1")]);
    let table = [
        ("None", [Answer::GoOn, Answer::GoOn, Answer::GoOn]),
        ("1", [Answer::GoOn, Answer::GoOn, Answer::GoOn]),
        ("True", [Answer::GoOn, Answer::GoOn, Answer::GoOn]),
        ("-5", [Answer::GoOn, Answer::GoOn, Answer::GoOn]),
        ("2**70", [Answer::GoOn, Answer::GoOn, Answer::GoOn]),
        ("0", [Answer::Block, Answer::Block, Answer::Block]),
        ("False", [Answer::Block, Answer::Block, Answer::Block]),
        ("'new'", [chat(None, Some("new")), Answer::GoOn, Answer::GoOn]),
        ("('n', 'm')", [chat(Some("n"), Some("m")), Answer::GoOn, Answer::GoOn]),
        ("(None, 'm')", [chat(None, Some("m")), Answer::GoOn, Answer::GoOn]),
        ("('n', None)", [chat(Some("n"), None), Answer::GoOn, Answer::GoOn]),
        ("('x', 1)", [send("x|", 1), send("x|", 1), send("x|", 1)]),
        ("('x|', 0)", [send("x|", 0), send("x|", 0), send("x|", 0)]),
        ("('x', False)", [send("x|", 0), send("x|", 0), send("x|", 0)]),
        ("('d', None, 's', None, '1')", [Answer::GoOn, info, Answer::GoOn]),
        ("('d', None, 's', None, 1)", [Answer::GoOn, Answer::GoOn, Answer::GoOn]),
        ("['n', 'm']", [Answer::GoOn, Answer::GoOn, Answer::GoOn]),
        ("0.0", [Answer::GoOn, Answer::GoOn, Answer::GoOn]),
        ("'a\\0b'", [Answer::GoOn, Answer::GoOn, Answer::GoOn]),
        ("(None, 0)", [Answer::GoOn, Answer::GoOn, Answer::GoOn]),
        ("b'x'", [Answer::GoOn, Answer::GoOn, Answer::GoOn]),
        ("{}", [Answer::GoOn, Answer::GoOn, Answer::GoOn]),
    ];
    for (code, expected) in table {
        hub.function("set_answer", &[code.into()]).unwrap();
        let six: [Value<'static>; 6] = std::array::from_fn(|_| "x".into());
        let answers = [
            hub.chat("a", "b"),
            hub.event(Hook::OnParsedMsgMyINFO, &six),
            hub.event(Hook::OnTimer, &[Value::Float(1.5)]),
        ];
        assert_eq!(answers, expected, "{code}");
    }
    hub.wait_for_log("OnTimer returned {}");
    hub.wait_for_log("OnParsedMsgChat returned ['n', 'm']");
    assert!(!hub.log().contains("returned None"));
    assert!(!hub.log().contains("returned ('x', 1)"));
}

#[test]
fn functions_get_as_many_arguments_as_they_take() {
    let script = "
import functools
seen = []
def OnTimer(): seen.append(())
def OnParsedMsgChat(nick): seen.append((nick,))
def OnParsedMsgPM(*args): seen.append(args)
class Bot:
    def login(self, nick): seen.append((nick,))
    def __call__(self, a, b=None): seen.append((a, b))
OnUserLogin = Bot().login
OnUserCommand = Bot()
OnCloseConnEx = lambda *a: seen.append(a)
def wrap(f):
    @functools.wraps(f)
    def g(*a, **k): return f(*a, **k)
    return g
@wrap
def OnHubCommand(nick, command): seen.append((nick, command))
OnUserLogout = seen.append
def OnNewConn(ip, port, extra): pass
def what(): return [list(x) if isinstance(x, tuple) else x for x in seen]
";
    let mut hub = FakeHub::spare(script, Options::default());
    let loaded = hub.load().unwrap();
    assert_eq!(loaded.warnings.len(), 1, "{loaded:?}");
    assert!(loaded.warnings[0].contains("OnNewConn needs 3"), "{loaded:?}");
    hub.event(Hook::OnTimer, &[Value::Float(1.0)]);
    hub.chat("n", "m");
    hub.event(Hook::OnParsedMsgPM, &["a".into(), "b".into(), "c".into()]);
    hub.event(Hook::OnUserLogin, &["u".into()]);
    hub.event(Hook::OnUserCommand, &["u".into(), "+x".into()]);
    hub.event(Hook::OnCloseConnEx, &["ip".into(), Value::Int(3), "".into()]);
    hub.event(Hook::OnHubCommand, &["u".into(), "x".into(), Value::Int(3), Value::Int(0), "+".into()]);
    hub.event(Hook::OnUserLogout, &["out".into()]);
    let expected = "[[], [\"n\"], [\"a\", \"b\", \"c\"], [\"u\"], [\"u\", \"+x\"], [\"ip\", 3, \"\"], \
                    [\"u\", \"x\"], \"out\"]";
    assert_eq!(hub.function("what", &[]).unwrap().to_string(), expected);
}

#[test]
fn exceptions_are_logged_and_the_hub_goes_on() {
    let mut hub = FakeHub::new(
        "def OnParsedMsgChat(nick, message):
    return 1 / 0
",
    );
    assert_eq!(hub.chat("a", "b"), Answer::GoOn);
    hub.wait_for_log("ZeroDivisionError");
    hub.wait_for_log("script.py\", line 2, in OnParsedMsgChat");
    assert_eq!(hub.chat("a", "b"), Answer::GoOn);
}

#[test]
fn what_no_encoding_has_can_be_printed() {
    let script = r"
        import sys
        def OnParsedMsgChat(nick, message):
            print('out \udcff end')
            print('err \udcff end', file=sys.stderr)
            return 0
        ";
    let mut hub = FakeHub::new(dedent(script));
    assert_eq!(hub.chat("a", "b"), Answer::Block);
    hub.wait_for_log(r"out \udcff end");
    hub.wait_for_log(r"err \udcff end");
}

#[test]
fn sys_exit_in_a_hook_ends_the_worker_with_that_code() {
    let mut hub = FakeHub::new("import sys\ndef OnTimer(): sys.exit(7)\n");
    hub.post(Hook::OnTimer, &[Value::Float(0.0)]);
    assert_eq!(hub.wait().code(), Some(7), "{}", hub.log());
}

#[test]
fn what_fails_at_load_is_said_with_file_and_line() {
    let cases: [(&str, &[&str]); 7] = [
        ("x = 1\ndef f(:\n", &["script.py:2: SyntaxError: "]),
        ("x = 1\n\n1 / 0\n", &["script.py:3: ZeroDivisionError: division by zero"]),
        ("import sys\nsys.exit('no licence')\n", &["script.py:2: SystemExit: no licence", "asked to exit"]),
        ("import no_such_module_here\n", &["script.py:1: ModuleNotFoundError: "]),
        ("import json\njson.loads('{')\n", &["script.py:2: JSONDecodeError: "]),
        ("def f(): g()\ndef g(): raise ValueError\nf()\n", &["script.py:2: ValueError"]),
        ("class E(BaseException): pass\nraise E('x')", &["script.py:2: E: x"]),
    ];
    for (script, expected) in cases {
        let mut hub = FakeHub::spare(script, Options::default());
        let reason = hub.load().unwrap_err();
        for part in expected {
            assert!(reason.contains(part), "{reason}");
        }
        assert_eq!(hub.wait().code(), Some(1), "{}", hub.log());
    }
    let mut hub = FakeHub::spare("", Options::default());
    std::fs::remove_file(hub.folder.path().join("script.py")).unwrap();
    let reason = hub.load().unwrap_err();
    assert!(reason.ends_with("script.py: FileNotFoundError: No such file or directory"), "{reason}");
}

#[test]
fn warnings_name_what_was_probably_meant() {
    let script = "
def OnParsedMsgChatt(nick, msg): pass
def Unload(): pass
OnTimer = 5
";
    let mut hub = FakeHub::spare(script, Options::default());
    let loaded = hub.load().unwrap();
    assert_eq!(loaded.hooks, HookSet::EMPTY);
    let all = loaded.warnings.join("\n");
    assert!(all.contains("OnParsedMsgChatt is no hook and is not called; OnParsedMsgChat was"), "{all}");
    assert!(all.contains("UnLoad was probably meant"), "{all}");
    assert!(all.contains("OnTimer is a int, not a function"), "{all}");
    assert!(all.contains("defines no hook"), "{all}");
}

#[test]
fn the_script_is_a_module_of_its_own_name() {
    let script = r"
import sys, os, vh
import helper
assert __name__ == 'bot' and sys.modules['bot'].__file__ == __file__ == vh.path
assert sys.argv == [__file__]
assert sys.path[0] == os.path.dirname(__file__) and sys.path[1] == '/nowhere/scripts', sys.path
assert '' not in sys.path
assert vh.name == 'bot' and vh.myid == 7 and vh.botname == 'Security' and vh.opchatname == 'OpChat'
assert vh.basedir == '/nowhere' and vh.config_name == 'config' and vh.starttime == 1700000000
assert vh.eCR_KICKED == vh.eCR_BANNED == 2 and isinstance(vh.__version__, str)
assert not hasattr(vh, 'GetIPCity') and helper.vh is vh
assert not {'asyncio', 'traceback', 'logging', 'inspect'} & (set(sys.modules) - helper.before), sys.modules
if __name__ == '__main__': 1 / 0
from vh import *
assert eBOT_OK == 0 and GetUserClass is vh.GetUserClass
def OnTimer(): pass
";
    let mut hub = FakeHub::spare(script, Options { file: "bot.py", ..Options::default() });
    let helper = "import vh\nbefore = set()\n";
    std::fs::write(hub.folder.path().join("helper.py"), helper).unwrap();
    let loaded = hub.load();
    assert!(loaded.is_ok(), "{loaded:?}\n{}", hub.log());
    assert_eq!(loaded.unwrap().warnings, [""; 0]);
}

#[test]
fn a_script_named_like_a_module_of_python_does_not_break_it() {
    let script = "import json, dataclasses, random\nrandom.random()\ndef OnTimer(): print(json.dumps({}))\n";
    let mut hub = FakeHub::spare(script, Options { file: "os.py", ..Options::default() });
    let loaded = hub.load().unwrap();
    assert!(loaded.warnings[0].contains("rename the file"), "{loaded:?}");
    assert_eq!(hub.event(Hook::OnTimer, &[Value::Float(0.0)]), Answer::GoOn);
}

#[test]
fn observers_do_not_answer() {
    let script = "
@vh.observer
def OnTimer(): vh.mc('tick')
OnUserLogin = vh.observer(print)
def OnParsedMsgChat(nick, msg): return 0
";
    let mut hub = FakeHub::spare(script, Options::default());
    let loaded = hub.load().unwrap();
    let mut observers = HookSet::EMPTY;
    observers.insert(Hook::OnTimer);
    observers.insert(Hook::OnUserLogin);
    assert_eq!(loaded.observers, observers);
    hub.observe(Hook::OnTimer, &[Value::Float(0.0)]);
    hub.observe(Hook::OnUserLogin, &["seen by the observer".into()]);
    assert_eq!(hub.chat("a", "b"), Answer::Block);
    assert_eq!(hub.calls.len(), 1);
    assert!(hub.others.is_empty(), "{:?}", hub.others);
    hub.wait_for_log("seen by the observer");
}

#[test]
fn nested_events_run_inside_the_call_that_raised_them() {
    let script = "
order = []
def OnParsedMsgChat(nick, msg):
    order.append('chat')
    vh.KickUser('op', nick, 'because')
    order.append('kicked')
    return ','.join(order)
def OnOperatorKicks(op, nick, reason):
    order.append('kicks' + str(vh.GetUserClass(nick)))
    return 0
";
    let mut hub = FakeHub::new(script);
    let seq = hub.post(Hook::OnParsedMsgChat, &["a".into(), "b".into()]);
    let FromWorker::Call { id, .. } = hub.next("the kick") else { panic!("no call") };
    hub.reply = Box::new(|_, _| Value::Int(3));
    let kicks = hub.event(Hook::OnOperatorKicks, &["op".into(), "a".into(), "because".into()]);
    assert_eq!(kicks, Answer::Block);
    hub.send(&plugin_abi::ToWorker::Reply { id, value: Value::Int(0) });
    assert_eq!(hub.answer(seq), Answer::Chat { nick: None, message: text("chat,kicks3,kicked") });
}

/// A script whose `run(code)` changes its own globals.
const CHANGES: &str = "
def OnParsedMsgChat(nick, message): return 'first'
def run(code): exec(code, globals())
def OnHubCommand(nick, command): exec(command, globals())
";

#[test]
fn a_hook_is_looked_up_when_it_is_called() {
    let said = |what: &'static str| Answer::Chat { nick: None, message: text(what) };
    // What a function of the script does, and what the hub is told and gets then.
    let steps: [(&str, &[Hook], Answer<'static>); 11] = [
        ("def OnParsedMsgChat(nick): return nick + '!'", &[Hook::OnParsedMsgChat], said("a!")),
        (
            "import sys; sys.modules[__name__].OnParsedMsgChat = lambda *all: all[1]",
            &[Hook::OnParsedMsgChat],
            said("b"),
        ),
        ("OnParsedMsgChat = None", &[], Answer::GoOn),
        ("OnParsedMsgChat = lambda nick, message: 0", &[Hook::OnParsedMsgChat], Answer::Block),
        ("del OnParsedMsgChat", &[], Answer::GoOn),
        ("globals()['On' + 'ParsedMsgChat'] = lambda: 'new'", &[Hook::OnParsedMsgChat], said("new")),
        ("OnParsedMsgChat = 5", &[], Answer::GoOn),
        ("other = 5", &[], Answer::GoOn),
        // As many names as before.
        ("del other; OnTimer = lambda: 0", &[Hook::OnTimer], Answer::GoOn),
        ("del OnTimer\ndef OnUserLogin(nick): pass", &[Hook::OnUserLogin], Answer::GoOn),
        (
            "del run; x = 1; OnParsedMsgChat = vh.observer(lambda nick, message: 0)",
            &[Hook::OnUserLogin, Hook::OnParsedMsgChat],
            // The hub waits for this answer, so it gets it.
            Answer::Block,
        ),
    ];
    let mut hub = FakeHub::with(CHANGES, Options::default());
    let mut known = vec![Hook::OnHubCommand, Hook::OnParsedMsgChat];
    for (code, hooks, answer) in &steps {
        hub.event(Hook::OnHubCommand, &["a".into(), Value::text(*code)]);
        let mut expected = vec![Hook::OnHubCommand];
        expected.extend_from_slice(hooks);
        expected.sort();
        // It comes before the answer, and only if it is news.
        let told = std::mem::take(&mut hub.others);
        let mut told = told.iter().map(|frame| match frame {
            FromWorker::Hooks(wants) => wants.hooks.iter().collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        });
        known.sort();
        assert_eq!(told.next(), (known != expected).then(|| expected.clone()), "{code}");
        assert_eq!(told.next(), None);
        known = expected;
        assert_eq!(hub.chat("a", "b"), *answer, "{code}\n{}", hub.log());
    }
    hub.wait_for_log("OnParsedMsgChat is a int, not a function");
    assert_eq!(hub.log().matches("not a function").count(), 1, "{}", hub.log());
}

#[test]
fn other_hooks_are_told_before_a_call_a_result_or_nothing() {
    let mut hub = FakeHub::new(CHANGES);
    let hooks_in = |frame: FromWorker<'_>| match frame {
        FromWorker::Hooks(wants) => (wants.hooks.iter().count(), wants.observers.iter().count()),
        other => panic!("{other:?} instead of hooks"),
    };
    hub.run("OnTimer = print").unwrap();
    let told = hub.others.pop().unwrap();
    assert_eq!(hooks_in(told), (3, 0));
    hub.run("OnTimer = None\nraise KeyError").unwrap_err();
    let told = hub.others.pop().unwrap();
    assert_eq!(hooks_in(told), (2, 0));
    hub.observe(Hook::OnHubCommand, &["a".into(), "OnTimer = vh.observer(print)".into()]);
    assert_eq!(hooks_in(hub.next("hooks")), (3, 1));
    hub.run("def ask():\n    global OnTimer\n    del OnTimer\n    vh.GetUserClass('x')").unwrap();
    hub.run("import threading; threading.Thread(target=ask).start()").unwrap();
    let mut frames = std::mem::take(&mut hub.others);
    if frames.is_empty() {
        frames.push(hub.next("hooks"));
    }
    assert_eq!(hooks_in(frames.remove(0)), (2, 0));
}

#[test]
fn a_hook_may_replace_itself_while_it_runs() {
    let script = "
def make():
    def OnTimer(msec):
        global OnTimer
        OnTimer = make()
        import gc; gc.collect()
        vh.mc(str(msec))
    return OnTimer
OnTimer = make()
";
    let mut hub = FakeHub::with(script, Options::default());
    for _ in 0..100 {
        hub.event(Hook::OnTimer, &[Value::Float(0.5)]);
    }
    assert_eq!(hub.calls.len(), 100, "{}", hub.log());
    assert!(hub.others.is_empty(), "the same hooks: {:?}", hub.others);
}

#[test]
fn any_number_of_other_names_does_not_hide_a_hook() {
    let script = format!("{CHANGES}\nit = 0\nnames = []\n");
    let mut hub = FakeHub::with(&script, Options::default());
    for number in 0..300 {
        let (more, less) = (number % 7, number % 5);
        let code = format!(
            "for name in names[:{less}]: del globals()[name]\n\
                 names = ['name{number}of%d' % i for i in range({more})] + names[{less}:]\n\
                 for name in names[:{more}]: globals()[name] = 1\n\
                 it += 1\n\
                 if it % 3 == 0: OnTimer = print\n\
                 else: globals().pop('OnTimer', 0)"
        );
        hub.run(&code).unwrap();
        let told = std::mem::take(&mut hub.others);
        let expected = usize::from(number > 1 && number % 3 != 1);
        assert_eq!(told.len(), expected, "{number} {told:?}");
    }
}

#[test]
fn what_cannot_have_been_meant_is_a_warning() {
    let script = "
async def OnTimer(): pass
async def OnParsedMsgPM(nick, message): return 0
def OnUserLogin(nick): yield 5
async def OnUserLogout(nick): yield 5
def OnParsedMsgChat(nick, *, message, more=1): pass
def OnParsedMsgSearch(*, more=1): pass
def OnUserInList(nick, more=1): pass
def OnOperatorDrops(op, nick, reason): pass
class OnNewReg: pass
def OnSomethingElse(): pass
OnSomethingOther = int
def Observe(): pass
";
    let expected = [
        "OnParsedMsgPM is async: it runs beside the hub, which does not wait for it",
        "OnUserLogin is a generator (it has a yield): a call of it runs nothing",
        "OnUserLogout is a generator (it has a yield): a call of it runs nothing",
        "OnParsedMsgChat has the keyword-only parameter message without a default",
        "OnOperatorDrops needs 3 arguments, but the hub gives 2: every call will fail",
        "OnNewReg is a class: each event makes an object of it",
        "OnSomethingElse is no hook: the hub does not call it by itself",
    ];
    let mut hub = FakeHub::spare(script, Options::default());
    let mut warnings = hub.load().unwrap().warnings;
    for expected in expected {
        let at = warnings.iter().position(|warning| warning.starts_with(expected));
        warnings.remove(at.unwrap_or_else(|| panic!("{expected:?} is not in {warnings:#?}")));
    }
    assert_eq!(warnings, [""; 0]);
}

#[test]
fn a_file_that_hides_a_module_of_python_s_own_is_a_warning() {
    let options = |file| Options { file, ..Options::default() };
    let mut hub = FakeHub::spare("def OnTimer(): pass", options("colorsys.py"));
    let warnings = hub.load().unwrap().warnings;
    assert!(
        warnings[0].starts_with("Python has a module colorsys, and what is in this folder"),
        "{warnings:?}"
    );
    assert_eq!(warnings.len(), 1, "{warnings:?}");

    let mut hub = FakeHub::spare("import colorsys\ndef OnTimer(): pass", options("script.py"));
    let hides = hub.folder.path().join("colorsys.py");
    std::fs::write(&hides, "").unwrap();
    let warning =
        format!("{} was imported in place of Python's own module colorsys: rename it", hides.display());
    assert_eq!(hub.load().unwrap().warnings, [warning]);

    let mut hub = FakeHub::spare("import colorsys\ncolorsys.rgb_to_hsv(0, 0, 0)", options("script.py"));
    let hides = hub.folder.path().join("colorsys.py");
    std::fs::write(&hides, "").unwrap();
    let reason = hub.load().unwrap_err();
    let warning = format!("; {} was imported in place of", hides.display());
    assert!(reason.contains("AttributeError: ") && reason.contains(&warning), "{reason}");
}
