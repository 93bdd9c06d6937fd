//! Which events reach a script that says which it wants, and what is said of filters that cannot
//! be used.

use std::time::Duration;

use crate::support::{Recorder, Stage, config, kill, text};
use vhpy::supervisor::{CallError, Config};
use vhpy::{Call, Hook, Value};

/// A script whose filter the test sets, with what its hook got.
const SCRIPT: &str = "
    import vh
    seen = []
    def hook(nick, message):
        seen.append(message)
        return 0
    def want(code):
        global OnParsedMsgChat
        OnParsedMsgChat = eval(code)(lambda nick, message: hook(nick, message))
    def has_seen():
        now = list(seen)
        seen.clear()
        return now
    ";

fn chat(stage: &mut Stage, nick: &str, message: &[u8]) -> bool {
    let args = [Value::from(nick), Value::text(message)];
    stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &args).blocked
}

/// Sets the filter, raises the event, and says whether the script got it.
fn gets(stage: &mut Stage, filter: &str, message: &[u8]) -> bool {
    let id = stage.supervisor.scripts()[0].id;
    stage.call(id, "want", &[filter.into()]);
    let blocked = chat(stage, "nick", message);
    let seen = stage.call(id, "has_seen", &[]);
    let got = seen != Value::List(vec![]);
    assert_eq!(blocked, got, "{filter}: the answer is the script's or none");
    got
}

#[test]
fn an_event_reaches_a_script_that_wants_it() {
    let mut stage = Stage::new();
    stage.load("wants.py", SCRIPT);
    let cases: &[(&str, &str, bool)] = &[
        ("vh.when(startswith='!')", "!dice", true),
        ("vh.when(startswith='!')", "dice!", false),
        ("vh.when(startswith=['!', '+'])", "+dice", true),
        ("vh.when(startswith=['!', '+'])", "-dice", false),
        ("vh.when(startswith='')", "anything", true),
        ("vh.when(endswith='?')", "what?", true),
        ("vh.when(endswith='?')", "what? yes", false),
        ("vh.when(contains='casino')", "the casino is open", true),
        ("vh.when(contains='casino')", "the Casino is open", false),
        ("vh.when(contains=['casino', 'poker'])", "poker night", true),
        ("vh.when(contains=['casino', 'poker'])", "chess night", false),
        ("vh.when(contains=('é',))", "caf\u{e9}s", true),
        ("vh.when(contains='casino', ignore_case=True)", "the CaSiNo", true),
        ("vh.when(startswith='straße', ignore_case=True)", "STRAßE 5", true),
        ("vh.when(startswith='привет', ignore_case=True)", "ПРИВЕТ всем", true),
        ("vh.when(endswith='ПОКА', ignore_case=True)", "ну пока", true),
        ("vh.when(startswith='a.c', ignore_case=True)", "abc", false),
        (r"vh.when(matches=r'\bdc(pp)?\b')", "i use dcpp here", true),
        (r"vh.when(matches=r'\bdc(pp)?\b')", "abcdcppx", false),
        (r"vh.when(matches=r'^\w{3}$')", "äöü", true),
        (r"vh.when(matches=r'^\w{3}$')", "äöü!", false),
        (r"vh.when(matches=[r'^a', r'z$'])", "buzz", true),
        (r"vh.when(matches=r'^A', ignore_case=True)", "abc", true),
        // Keywords are all needed; decorators above each other one of them.
        ("vh.when(startswith='!', contains='die')", "!die now", true),
        ("vh.when(startswith='!', contains='die')", "!live", false),
        ("(lambda f: vh.when(startswith='!')(vh.when(contains='die')(f)))", "to die", true),
        ("(lambda f: vh.when(startswith='!')(vh.when(contains='die')(f)))", "!x", true),
        ("(lambda f: vh.when(startswith='!')(vh.when(contains='die')(f)))", "x", false),
        ("vh.when(startswith='ni', arg='nick')", "whatever", true),
        ("vh.when(startswith='x', arg='nick')", "x", false),
        // No filter, and no function.
        ("(lambda f: f)", "anything", true),
        ("vh.when(contains='x')", "", false),
    ];
    for (filter, message, wanted) in cases {
        assert_eq!(gets(&mut stage, filter, message.as_bytes()), *wanted, "{filter}: {message:?}");
    }
    // Bytes that are no UTF-8 are a character each, as they are for the script.
    for (filter, message, wanted) in [
        ("vh.when(matches=r'^a.b$')", &b"a\x80b"[..], true),
        ("vh.when(matches=r'^a..b$')", b"a\xe9\x80b", true),
        ("vh.when(matches=r'^a.b$')", b"a\xe9\x80b", false),
        ("vh.when(contains='é')", b"\xff caf\xc3\xa9", true),
        ("vh.when(contains='é')", b"caf\xe9", false),
        (r"vh.when(matches=r'^\w+$')", b"a\x80", false),
    ] {
        assert_eq!(gets(&mut stage, filter, message), wanted, "{filter}: {message:?}");
    }
}

#[test]
fn texts_are_compared_as_the_script_sees_them() {
    /// Encoding, filter, message, whether it is wanted.
    type Case = (&'static str, &'static str, &'static [u8], bool);
    let cases: &[Case] = &[
        ("cp1251", "vh.when(startswith='привет', ignore_case=True)", b"\xcf\xd0\xc8\xc2\xc5\xd2!", true),
        ("cp1251", "vh.when(contains='привет')", b"\xcf\xd0\xc8\xc2\xc5\xd2!", false),
        ("cp1251", "vh.when(contains='plain')", b"plain", true),
        // Of no character in this encoding.
        ("cp1251", "vh.when(matches=r'^a.b$')", b"a\x98b", true),
        // What a browser takes for the euro sign.
        ("latin-1", r"vh.when(contains='\x80')", b"5 \x80", true),
        ("latin-1", "vh.when(contains='€')", b"5 \x80", false),
        ("cp1252", "vh.when(contains='€')", b"5 \x80", true),
        ("koi8-r", "vh.when(contains='да')", b"\xc4\xc1", true),
        ("ascii", "vh.when(contains='a')", b"\xff a", true),
        // A second byte that is a letter alone, and one that is half of two characters.
        ("gbk", "vh.when(contains='A')", b"\x81\x41", false),
        ("gbk", "vh.when(contains='丄')", b"\x81\x41", true),
        ("gbk", "vh.when(startswith='丄')", b"x", false),
        ("big5", "vh.when(contains='\\\\')", b"\xa5\x5c", false),
        ("big5", "vh.when(contains='功')", b"\xa5\x5c", true),
        ("shift_jis", "vh.when(contains='ソ')", b"\x83\x5c", true),
        ("shift_jis", "vh.when(endswith='\\\\')", b"\x83\x5c", false),
    ];
    for encoding in ["cp1251", "latin-1", "cp1252", "koi8-r", "ascii", "gbk", "big5", "shift_jis"] {
        let mut stage = Stage::with(Config { encoding: encoding.into(), ..config() });
        stage.load("wants.py", SCRIPT);
        let id = stage.supervisor.scripts()[0].id;
        for (_, filter, message, wanted) in cases.iter().filter(|(of, ..)| *of == encoding) {
            // The filter's text is Python: plain ASCII in the frame, so that no encoding matters.
            let ascii: String = filter
                .chars()
                .map(|c| if c.is_ascii() { c.to_string() } else { format!("\\u{:04x}", u32::from(c)) })
                .collect();
            stage.call(id, "want", &[ascii.as_str().into()]);
            assert_eq!(chat(&mut stage, "nick", message), *wanted, "{encoding}: {filter}: {message:?}");
        }
    }
}

#[test]
fn a_class_is_asked_for_once_and_last() {
    let mut stage = Stage::new();
    stage.host = Recorder::answering(|_, _, call, args| match call {
        Call::GetUserClass => Value::Int(if text(&args[0]) == "op" { 3 } else { 0 }),
        _ => Value::Int(1),
    });
    for name in ["a.py", "b.py"] {
        stage.load(
            name,
            "
            import vh
            @vh.when(min_class=3, startswith='!')
            @vh.when(startswith='all')
            def OnParsedMsgChat(nick, message):
                return 0
            ",
        );
    }
    let classes =
        |stage: &Stage| stage.host.calls.iter().filter(|(_, call, _)| *call == Call::GetUserClass).count();
    for (nick, message, blocked, asked) in [
        ("op", "hello", false, 0),
        ("op", "!hello", true, 1),
        ("alice", "!hello", false, 1),
        ("alice", "all of you", true, 0),
        ("op", "all", true, 0),
    ] {
        let before = classes(&stage);
        assert_eq!(chat(&mut stage, nick, message.as_bytes()), blocked, "{nick}: {message}");
        assert_eq!(classes(&stage) - before, asked, "{nick}: {message}");
    }
}

#[test]
fn an_event_that_does_not_match_waits_for_nobody() {
    // It would wait for an hour.
    let mut stage = Stage::with(Config {
        restart_wait: Duration::from_secs(3600),
        hook_timeout: Duration::from_secs(3600),
        load_timeout: Duration::from_secs(3600),
        spare: false,
        ..config()
    });
    let gate = stage.folder.path().join("gate");
    let source = format!(
        "
        import os, time, vh
        # Its second process loads for as long as the test likes.
        if 'loaded' in vh.store:
            while not os.path.exists({gate:?}):
                time.sleep(0.01)
        vh.store['loaded'] = True
        @vh.when(startswith='!')
        def OnParsedMsgChat(nick, message):
            return 0
        "
    );
    let loaded = stage.load("slow.py", &source);
    kill(stage.pid(loaded.id), libc::SIGKILL);
    stage.serve_until("it is being restarted", |supervisor, _| {
        supervisor.status(loaded.id).unwrap().state == "starting"
    });
    assert!(!chat(&mut stage, "nick", b"hello"));
    assert_eq!(stage.state(loaded.id), "starting");
    // One that matches waits, and is answered.
    std::fs::write(gate, "").unwrap();
    assert!(chat(&mut stage, "nick", b"!hello"));
    // Who is asked alone is answered for, too.
    let args = ["nick".into(), "hello".into()];
    let answer = stage.supervisor.event_to(&mut stage.host, loaded.id, Hook::OnParsedMsgChat, &args);
    assert_eq!(answer, Some(plugin_abi::Answer::GoOn));
    assert_eq!(stage.supervisor.status(loaded.id).unwrap().events, 1);
}

#[test]
fn a_filter_that_cannot_be_used_is_an_error_where_it_stands() {
    let mut stage = Stage::new();
    for (source, expected) in [
        (
            "@vh.when(matches='a(?=b)')\ndef OnParsedMsgChat(n, m): pass",
            "a.py:1: ValueError: vh.when(): the pattern \"a(?=b)\" cannot be used: look-around, including look-ahead and look-behind, is not supported",
        ),
        (
            r"@vh.when(matches=r'(a)\1')",
            r#"the pattern "(a)\\1" cannot be used: backreferences are not supported"#,
        ),
        ("@vh.when(matches='a(')", "unclosed group"),
        (r"@vh.when(matches=r'(\w{200}){200}')", "is too large: write it shorter, or count less in it"),
        ("@vh.when(matches='a' * 5000)", "is too large"),
        ("@vh.when(contains=['x'] * 5000)", "the filters of a script have at most 4096 texts together"),
        ("@vh.when(contains=5)", "TypeError"),
        ("@vh.when(contains=[5])", "TypeError: vh.when(): contains is a text or a list of texts, not int"),
        ("@vh.when(contains=[])", "ValueError: vh.when(): contains has no text, so nothing would ever match"),
        (r"@vh.when(contains='\udc80')", "contains has a character that is half of a pair"),
        ("@vh.when()", "TypeError: vh.when() needs a keyword"),
        ("@vh.when", "TypeError: when() takes 0 positional arguments"),
        ("@vh.when(min_class='x')", "TypeError: vh.when(): min_class is a number, not str"),
        ("@vh.when(contains='x', arg=5)", "TypeError: vh.when(): arg is the name of an argument, not int"),
        ("@vh.when(startwith='x')", "startwith"),
        (
            "@vh.when(contains='x', arg='mesage')",
            "ValueError: OnParsedMsgChat: vh.when(arg='mesage'): its arguments with text are: nick, message",
        ),
        (
            "@vh.when(contains='x')\ndef OnTimer(): pass\ndef f():",
            "OnTimer has no text that vh.when() could look at",
        ),
        (
            "@vh.when(min_class=3)\ndef OnNewConn(ip): pass\ndef f():",
            "OnNewConn: vh.when(min_class=…) is for hooks that have a nick",
        ),
        (
            "@vh.when(contains='x', arg='user_class')\ndef OnHubCommand(*a): pass\ndef f():",
            "its arguments with text are: nick, command, prefix",
        ),
        (
            "OnTimer = vh.when(contains='x')(5)\ndef f():",
            "TypeError: vh.when() is for functions that the script defines, not for a int",
        ),
        (
            "@vh.command('two words')\ndef f(nick):",
            "ValueError: vh.command(): a command's name is a letter of a to z",
        ),
        ("@vh.command\ndef f(nick):", "needs the command's name"),
        ("@vh.command('x', help='a\\nb')\ndef f(nick):", "the help of a command is one line"),
        ("@vh.command('x', min_class='a')\ndef f(nick):", "min_class a number"),
        ("@vh.command('x')\ndef f(*words):", "the first parameter is the nick"),
    ] {
        let source = if source.contains("def f") || source.contains("def OnParsed") {
            source.to_string()
        } else {
            format!("{source}\ndef OnParsedMsgChat(nick, message):")
        };
        let source = if source.ends_with(':') { source + " pass" } else { source };
        let path = stage.write("a.py", &source);
        let error = stage.supervisor.load(&mut stage.host, &path).expect_err(&source).to_string();
        assert!(error.contains(expected), "{source}\n{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
    assert!(stage.supervisor.scripts().is_empty());
}

#[test]
fn a_second_function_of_a_filtered_hook_is_pointed_out() {
    let mut stage = Stage::new();
    let cases = [
        (
            "@vh.when(contains='a')\ndef OnParsedMsgChat(n, m): pass\n@vh.when(contains='b')\ndef OnParsedMsgChat(n, m): pass",
            true,
        ),
        ("def OnParsedMsgChat(n, m): pass\n@vh.when(contains='b')\ndef OnParsedMsgChat(n, m): pass", true),
        ("@vh.when(contains='a')\ndef OnParsedMsgChat(n, m): pass\ndef OnParsedMsgChat(n, m): pass", true),
        ("@vh.when(contains='a')\n@vh.when(contains='b')\ndef OnParsedMsgChat(n, m): pass", false),
        (
            "import functools\n@vh.when(contains='a')\ndef OnParsedMsgChat(n, m): pass\nOnParsedMsgChat = functools.wraps(OnParsedMsgChat)(lambda *a: 0)",
            false,
        ),
        ("@vh.observer\n@vh.when(contains='a')\ndef OnParsedMsgChat(n, m): pass", false),
    ];
    for (source, warned) in cases {
        let loaded = stage.load("twice.py", source);
        let expected = "OnParsedMsgChat is defined twice, and only the last one is called";
        let found = loaded.warnings.iter().filter(|warning| warning.contains(expected)).count();
        assert_eq!(found, usize::from(warned), "{source}\n{:?}", loaded.warnings);
        stage.supervisor.unload(&mut stage.host, loaded.id);
    }
}

#[test]
fn a_hook_that_is_assigned_anew_brings_its_own_filter_or_none() {
    let mut stage = Stage::new();
    let loaded = stage.load(
        "anew.py",
        "
        import vh
        @vh.when(startswith='to')
        def OnParsedMsgChat(nick, message):
            global OnParsedMsgChat
            if message == 'to one':
                OnParsedMsgChat = vh.when(startswith='one')(lambda nick, message: 0)
            if message == 'to all':
                OnParsedMsgChat = lambda nick, message: 0
        first = OnParsedMsgChat
        def back():
            global OnParsedMsgChat
            OnParsedMsgChat = first
        def broken():
            global OnParsedMsgChat
            OnParsedMsgChat = vh.when(startswith='x', arg='nobody')(lambda nick, message: 0)
        ",
    );
    assert!(!chat(&mut stage, "n", b"one"));
    chat(&mut stage, "n", b"to one");
    assert!(chat(&mut stage, "n", b"one"));
    assert!(!chat(&mut stage, "n", b"two"));
    stage.call(loaded.id, "back", &[]);
    chat(&mut stage, "n", b"to all");
    assert!(chat(&mut stage, "n", b"anything"));
    // One that cannot be used is not called, rather than for everything.
    stage.call(loaded.id, "broken", &[]);
    assert!(!chat(&mut stage, "n", b"anything"));
    // A new process has the filters of its source.
    kill(stage.pid(loaded.id), libc::SIGKILL);
    stage.serve_until("it is back", |supervisor, _| {
        let status = supervisor.status(loaded.id).unwrap();
        status.restarts == 1 && status.state == "ready"
    });
    assert!(!chat(&mut stage, "n", b"one"));
    let error = stage.supervisor.call(&mut stage.host, loaded.id, "nothing", &[]);
    assert!(matches!(error, Err(CallError::Raised(_))));
}

/// The first example of a page of the manual.
fn example(page: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(page);
    let text = std::fs::read_to_string(&path).unwrap();
    let after = text.split("```python\n").nth(1).unwrap_or_else(|| panic!("{page} has no example"));
    after.split("```").next().unwrap().to_string()
}

#[test]
fn the_example_of_the_page_on_filters_does_what_it_says() {
    let mut stage = Stage::new();
    stage.host = Recorder::answering(|_, _, call, _| match call {
        Call::GetUserClass => Value::Int(0),
        _ => Value::Int(1),
    });
    stage.load("example.py", &example("filters.md"));
    for (message, blocked) in [
        ("The Casino is open", true),
        ("see http://bad.example now", true),
        ("see http://good.org now", false),
        ("hello", false),
    ] {
        assert_eq!(chat(&mut stage, "n", message.as_bytes()), blocked, "{message}");
    }
    for tag in ["<++ V:1>", "<lurker V:1>"] {
        let args = ["n".into(), "me".into(), tag.into(), "".into(), "".into(), "0".into()];
        stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgMyINFO, &args);
    }
    assert_eq!(stage.host.texts(Call::usermc), ["Not here.", "Not here.", "me: who would have thought"]);
}

#[test]
fn the_example_of_the_page_on_commands_does_what_it_says() {
    let mut stage = Stage::new();
    let id = stage.load("example.py", &example("commands.md")).id;
    let mut give = |command: &str, class: i64, prefix: &str| {
        let args = ["nick".into(), command.into(), Value::Int(class), Value::Int(0), prefix.into()];
        stage.supervisor.event(&mut stage.host, Hook::OnHubCommand, &args).blocked
    };
    assert!(give("dice", 0, "+") && give("DICE 2 1", 0, "+") && give("dice many", 0, "!"));
    assert!(!give("wall hello there", 0, "+") && give("wall hello  there", 3, "!"));
    let said = stage.host.texts(Call::usermc);
    assert!(said[0].starts_with("nick rolls ["), "{said:?}");
    assert_eq!(said[1..], ["nick rolls [1, 1]", "Usage: !dice [count] [sides]"]);
    assert_eq!(stage.host.texts(Call::mc), ["nick says: hello  there"]);
    // A host that asks one script after the other gets the same.
    let args = ["nick".into(), "dice".into(), Value::Int(0), Value::Int(1), "+".into()];
    let answer = stage.supervisor.event_to(&mut stage.host, id, Hook::OnHubCommand, &args);
    assert_eq!(answer, Some(plugin_abi::Answer::Block));
    assert_eq!(stage.host.texts(Call::pm).len(), 1);
    assert!(stage.supervisor.has_hook(id, Hook::OnHubCommand));
    let commands = stage.supervisor.commands(&mut stage.host, 2);
    assert_eq!(commands.iter().map(|command| &*command.usage).collect::<Vec<_>>(), ["[count] [sides]"]);
}
