//! The Python examples of the manual of the plugin that vhpy replaces run as they stand there,
//! on the embedded hub, and do what they say. That manual is no part of this project: where it is
//! not beside it, nor named by `VHPY_SEED`, this test says so and is skipped.
#![cfg(feature = "cli")]

use crate::support::skip;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use plugin_abi::{CALLS, Value};
use vhpy::ScriptId;
use vhpy::hub::{ConnId, Hub, Options};

const MANUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/reference/seed.md");

/// How long to wait for a password to be checked.
const LIMIT: Duration = Duration::from_secs(60);

/// Added to an example, to look into it.
const PROBE: &str = "\n\ndef probe(expression):\n    return repr(eval(expression))\n";

/// The examples; `None` where the manual is not.
fn examples() -> Option<Vec<String>> {
    let path = std::env::var("VHPY_SEED").unwrap_or_else(|_| MANUAL.into());
    let Ok(text) = std::fs::read_to_string(&path) else {
        skip::cannot_run_here(&format!("there is no {path}; VHPY_SEED can name the manual"));
        return None;
    };
    let blocks =
        text.split("```python\n").skip(1).map(|rest| rest.split("\n```").next().unwrap().to_string());
    let blocks: Vec<String> = blocks.collect();
    assert_eq!(blocks.len(), 26, "the manual has other examples than this test knows");
    Some(blocks)
}

/// A hub with users, and one example.
struct Stage {
    hub: Hub,
    users: Vec<(String, ConnId)>,
    script: Option<ScriptId>,
    folder: tempfile::TempDir,
}

impl Stage {
    fn new() -> Stage {
        let _ = env_logger::builder().is_test(true).try_init();
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(folder.path().join("data"));
        options.settings = [("int_flood_chat_period", "0"), ("hook_timeout", "60"), ("load_timeout", "60")]
            .map(|(name, value)| (name.to_string(), value.as_bytes().to_vec()))
            .to_vec();
        let hub = Hub::open(options).unwrap();
        Stage { hub, users: Vec::new(), script: None, folder }
    }

    fn write(&self, name: &str, source: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, source).unwrap();
        path
    }

    fn load_file(&mut self, path: &Path) -> ScriptId {
        let loaded = self.hub.load_scripts(&[path.to_path_buf()]).remove(0);
        let loaded = loaded.unwrap_or_else(|error| panic!("{error}"));
        let warned = loaded.warnings.iter().find(|warning| !warning.contains("defines no hook"));
        assert_eq!(warned, None);
        self.turn();
        loaded.id
    }

    /// Loads the example.
    fn load(&mut self, source: &str) {
        let path = self.write("example.py", &format!("{source}{PROBE}"));
        self.script = Some(self.load_file(&path));
    }

    fn turn(&mut self) {
        self.hub.begin_turn();
        let scripts = self.hub.supervisor();
        scripts.serve(&mut self.hub);
        self.hub.end_turn();
    }

    /// Somebody comes in as a guest.
    fn guest(&mut self, nick: &str) {
        self.come_in(nick, "");
    }

    /// Somebody comes in with this class.
    fn member(&mut self, nick: &str, class: i64) {
        let path = self.write("register.py", &format!("vh.AddRegUser('{nick}', {class}, 'a password')\n"));
        let id = self.load_file(&path);
        let scripts = self.hub.supervisor();
        scripts.unload(&mut self.hub, id);
        self.come_in(nick, "$MyPass a password|");
    }

    fn come_in(&mut self, nick: &str, password: &str) {
        let peer = format!("10.0.0.{}:5000", self.users.len() + 1).parse().unwrap();
        let id = self.hub.connect_sink(peer, true);
        self.users.push((nick.into(), id));
        let hello = format!("$Supports NoHello NoGetINFO |$Key x|$ValidateNick {nick}|{password}");
        self.hub.message(id, hello.as_bytes());
        let end = Instant::now() + LIMIT;
        let hello = format!("$Hello {nick}");
        while !self.heard(nick).contains(&hello) {
            assert!(Instant::now() < end, "waited for {hello}");
            self.turn();
        }
        let info = format!("$GetNickList|$MyINFO $ALL {nick} d<t V:1,M:A,H:1/0/0,S:1>$ $5\x01$$1$|");
        self.hub.message(id, info.as_bytes());
        self.turn();
    }

    fn say(&mut self, nick: &str, text: &str) {
        let id = self.id(nick);
        self.hub.message(id, format!("<{nick}> {text}|").as_bytes());
        self.turn();
    }

    fn id(&self, nick: &str) -> ConnId {
        self.users.iter().find(|(known, _)| known == nick).map(|(_, id)| *id).expect("somebody who came in")
    }

    /// What somebody got since the last look.
    fn heard(&mut self, nick: &str) -> Vec<String> {
        let id = self.id(nick);
        let bytes = self.hub.sink(id).map(|(_, bytes)| bytes).unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap();
        text.split_terminator('|').map(String::from).collect()
    }

    fn hears(&mut self, nick: &str, what: &str) {
        let heard = self.heard(nick);
        assert!(heard.iter().any(|message| message == what), "{nick}: {what:?} is not in {heard:#?}");
    }

    fn must_go(&mut self, nick: &str) {
        let id = self.id(nick);
        let end = Instant::now() + LIMIT;
        while self.hub.sink(id).is_some() {
            assert!(Instant::now() < end, "waited for {nick} to be put out");
            self.turn();
        }
    }

    fn call(&mut self, function: &str, args: &[Value<'_>]) -> String {
        let scripts = self.hub.supervisor();
        let result = scripts.call(&mut self.hub, self.script.unwrap(), function, args);
        self.turn();
        result.unwrap_or_else(|error| panic!("{function}: {error}")).to_string()
    }

    /// What an expression is, in the example.
    fn probe(&mut self, expression: &str) -> String {
        let scripts = self.hub.supervisor();
        let result = scripts.call(&mut self.hub, self.script.unwrap(), "probe", &[Value::text(expression)]);
        let result = result.unwrap_or_else(|error| panic!("{expression}: {error}"));
        String::from_utf8(result.as_text().unwrap().to_vec()).unwrap()
    }
}

fn list(texts: &[&'static str]) -> Value<'static> {
    texts.iter().map(|text| Value::from(*text)).collect()
}

fn lines(block: &str) -> Vec<String> {
    block.lines().map(|line| format!("    {line}\n")).collect()
}

#[test]
fn scripts_that_hooks_drive() {
    let Some(blocks) = examples() else { return };

    // The first script: everybody is welcomed, chat passes.
    let mut stage = Stage::new();
    stage.load(&blocks[0]);
    stage.guest("old");
    stage.guest("new");
    stage.hears("old", "<vhpy> Welcome new!");
    stage.say("new", "hello");
    stage.hears("old", "<new> hello");
    assert!(stage.hub.supervisor().wants(plugin_abi::Hook::OnTimer));

    // Statistics on demand, and a welcome with the topic.
    let mut stage = Stage::new();
    stage.load(&blocks[5]);
    stage.member("boss", 5);
    stage.guest("nick");
    stage.hears("nick", "$To: nick From: vhpy $<vhpy> Welcome! Topic: ");
    stage.member("helper", 3);
    stage.hears("boss", "$To: boss From: OpChat $<vhpy> helper has joined");
    stage.say("nick", "!stats");
    let (greeting, rest) = ("$To: nick From: vhpy $<vhpy> ", "Hub Stats:\nOnline: 3\nTopic: ");
    stage.hears(
        "nick",
        &format!("{greeting}User Stats for nick:\nClass: 0\nIP: 10.0.0.2\nCountry: None\n\n{rest}"),
    );
    stage.say("nick", "!users");
    let heard = stage.heard("nick").join("|");
    let wanted = format!("{greeting}Total users: 5\nOperators: 4\nFirst 5 users: ");
    assert!(heard.contains(&wanted), "{heard}");
    for nick in ["boss", "nick", "helper", "vhpy", "OpChat"] {
        assert!(heard.rsplit("First 5").next().unwrap().contains(nick), "{nick}: {heard}");
    }

    // A filter.
    let mut stage = Stage::new();
    stage.load(&blocks[22]);
    stage.guest("nick");
    stage.guest("other");
    stage.say("nick", "Buy NOW, it is no SPAM");
    stage.say("nick", "hello");
    let heard = stage.heard("other").join("|");
    assert!(heard.contains("<nick> hello") && !heard.contains("SPAM"), "{heard}");
    stage.hears("nick", "<vhpy> Message blocked: contains 'spam'");

    // A welcome by class.
    let mut stage = Stage::new();
    stage.load(&blocks[23]);
    stage.member("boss", 5);
    stage.guest("nick");
    stage.member("helper", 3);
    stage.member("chief", 4);
    let heard = stage.heard("boss").join("|");
    for what in [
        "<vhpy> Welcome guest nick! Type !help for commands.",
        "$To: boss From: OpChat $<WelcomeBot> Operator chief has logged in.",
    ] {
        assert!(heard.contains(what), "{heard}");
    }
    assert!(!heard.contains("Operator helper") && !heard.contains("guest helper"), "{heard}");

    // Counts that the host asks for.
    let mut stage = Stage::new();
    stage.load(&blocks[24]);
    stage.guest("nick");
    stage.member("helper", 3);
    stage.say("nick", "hello");
    stage.say("nick", "hello again");
    let stats = stage.call("get_stats", &[]);
    for what in [
        "\"total_logins\": 2",
        "\"total_messages\": 2",
        "\"peak_users\": 2",
        "\"users_by_class\": {0: 1, 3: 1}",
    ] {
        assert!(stats.contains(what), "{what} is not in {stats}");
    }
    assert_eq!(stage.call("get_peak_users", &[]), "2");
}

#[test]
fn scripts_that_call_at_once() {
    let Some(blocks) = examples() else { return };

    let mut stage = Stage::new();
    for nick in ["SomeUser", "TargetNick", "BadUser"] {
        stage.guest(nick);
    }
    stage.member("OpNick", 5);
    stage.load(&blocks[1]);
    stage.hears("SomeUser", "<vhpy> Announcement to everyone!");
    stage.hears("TargetNick", "<FromNick> Private message");
    stage.hears("OpNick", "$To: OpNick From: OpChat $<BotNick> Message to operators");
    stage.must_go("BadUser");
    let bans = "vh.SQL('select nick_op, reason, date_limit - date_start from banlist where ban_type = 1')";
    assert_eq!(stage.probe(bans), "(1, [['OpNick', 'Spam', '3600']])");
    assert_eq!(stage.probe("vh.SQL('select op, reason from kicklist')"), "(1, [['OpNick', 'Reason']])");
    assert_eq!(stage.probe("user_class, user_count, result"), "(0, 4, (0, []))");
    assert_eq!(
        stage.probe("sorted(nick_list), sorted(op_list)"),
        "(['BadUser', 'OpChat', 'OpNick', 'SomeUser', 'TargetNick', 'vhpy'], ['OpChat', 'OpNick', 'vhpy'])"
    );

    // The same and more, with the arguments in other orders; a query that has rows; the end.
    let mut stage = Stage::new();
    for nick in ["TargetNick", "ToNick", "UserToKick", "UserToBan"] {
        stage.guest(nick);
    }
    stage.member("OpNick", 5);
    let path = stage.write(
        "table.py",
        "vh.SQL('create table users (nick varchar(30), class int)')\n\
         vh.SQL(\"insert into users values ('a', 1), ('b', 2), ('c', 3)\")\n",
    );
    stage.load_file(&path);
    stage.load(&blocks[11]);
    stage.hears("TargetNick", "<FromNick> Private message");
    stage.hears("ToNick", "$To: ToNick From: FromNick $<FromNick> Private message");
    let heard = stage.heard("OpNick").join("|");
    for what in [
        "<vhpy> Hub announcement!",
        "$<BotNick> Operator message",
        "<BotNick> Message to class 3+",
        "$HubName My Hub",
    ] {
        assert!(heard.contains(what), "{what:?} is not in {heard}");
    }
    let heard = stage.heard("ToNick").join("|");
    assert!(!heard.contains("class 3+") && !heard.contains("Operator message"), "{heard}");
    stage.must_go("UserToKick");
    stage.must_go("UserToBan");
    assert_eq!(stage.probe("result"), "(1, [['b', '2'], ['c', '3']])");
    assert_eq!(stage.probe("user_class, user_ip, user_cc, config_value"), "(-2, None, None, '6000')");
    assert_eq!(stage.probe("vh.SQL(\"select nick from reglist where nick = 'Username'\")"), "(1, [])");
    assert_eq!(stage.hub.stop_code(), Some(0));

    let mut stage = Stage::new();
    stage.load(&blocks[3]);
    let id = stage.script.unwrap();
    // What a script prints arrives by a pipe of its own.
    let end = Instant::now() + LIMIT;
    let wanted = ["vhpy", "OpChat", "example", "example.py", "config"];
    loop {
        let printed = stage.hub.supervisor().last_lines(id).unwrap().join("\n");
        if printed.lines().count() >= 6 {
            assert!(wanted.iter().all(|what| printed.contains(what)), "{printed}");
            break;
        }
        assert!(Instant::now() < end, "waited for six lines: {printed}");
        stage.turn();
    }
    assert_eq!(stage.probe("vh.myid > 0 or vh.myid == 0"), "True");

    // Two blocks that belong together.
    let mut stage = Stage::new();
    stage.guest("username");
    stage.load(&format!("{}\n{}", blocks[6], blocks[7]));
    stage.hears("username", "Test&#36;Message&#124;With&#96;Special&#126;Chars");
    assert_eq!(stage.probe("decoded == original"), "True");

    let mut stage = Stage::new();
    stage.load(&blocks[16]);
    assert_eq!(stage.probe("list(json.loads(data))"), "['time']");
}

#[test]
fn functions_of_the_host() {
    let Some(blocks) = examples() else { return };
    let mut stage = Stage::new();
    stage.load(&blocks[8]);
    let (id, scripts) = (stage.script.unwrap(), stage.hub.supervisor());
    scripts.register(id, "get_stats", |_nick: String| vec![12_i64, 3]);
    scripts.register(id, "add", |a: i64, b: i64| a + b);
    scripts.register(id, "reverse", |text: String| text.chars().rev().collect::<String>());
    stage.guest("nick");
    let heard = stage.heard("nick").join("|");
    assert!(heard.contains("$<vhpy> You have sent 12 messages across 3 logins!"), "{heard}");
    assert!(heard.contains("<vhpy> nick reversed is kcin"), "{heard}");

    let mut stage = Stage::new();
    stage.load(&blocks[10]);
    let id = stage.script.unwrap();
    scripts_of(&stage).register(id, "get_top_users", |limit: i64| {
        ["a", "b", "c"].iter().take(limit as usize).map(|nick| (*nick).to_string()).collect::<Vec<String>>()
    });
    scripts_of(&stage).register(id, "get_user_rank", |nick: String| (nick.as_bytes()[0] - b'`') as i64);
    stage.guest("nick");
    stage.say("nick", "!top10");
    let heard = stage.heard("nick").join("|");
    assert!(
        heard.contains(r"$<vhpy> Top 10 users:\n1. a - 1 messages\n2. b - 2 messages\n3. c - 3"),
        "{heard}"
    );
    assert!(!heard.contains("!top10"), "{heard}");

    // Calls alone, whose arguments are named but not given: `...` stands for more of them.
    let alone = blocks[9].replace(", ...", "");
    assert_ne!(alone, blocks[9]);
    for (block, names, registered, expected) in [
        (alone, "func_name, arg1, arg2 = 'calculate', 3.0, 4.0\n", "calculate", "5.0"),
        (blocks[19].clone(), "", "calculate_distance", "5.0"),
    ] {
        let mut stage = Stage::new();
        let variable = if registered == "calculate" { "result" } else { "distance" };
        let body = lines(&block).concat();
        stage.load(&format!("{names}def run():\n{body}    return {variable}\n"));
        let id = stage.script.unwrap();
        if registered == "calculate" {
            scripts_of(&stage).register(id, registered, |a: f64, b: f64| a.hypot(b));
        } else {
            scripts_of(&stage)
                .register(id, registered, |a: f64, b: f64, c: f64, d: f64| (c - a).hypot(d - b));
        }
        assert_eq!(stage.call("run", &[]), expected);
    }
}

fn scripts_of(stage: &Stage) -> std::rc::Rc<vhpy::Supervisor> {
    stage.hub.supervisor()
}

#[test]
fn functions_that_the_host_calls() {
    let Some(blocks) = examples() else { return };
    let users = list(&["alice", "bob", "charlie"]);
    let config = |count: i64| {
        Value::Map(vec![
            ("hub_name".into(), "MyHub".into()),
            ("name".into(), "Hub".into()),
            ("max_users".into(), Value::Int(count)),
        ])
    };
    let mut stage = Stage::new();
    let mut results = Vec::new();
    let cases: Vec<(usize, &str, &str, Vec<Value<'static>>)> = vec![
        (12, "", "process_users", vec![users.clone()]),
        (13, "", "get_online_users", vec![]),
        (14, "", "validate_config", vec![config(100)]),
        (14, "", "validate_config", vec![config(501)]),
        (15, "", "get_hub_stats", vec![]),
        (17, "total_processed_items = 7\n", "get_stats", vec![]),
        (17, "", "process_user", vec!["username".into(), Value::Int(123)]),
        (18, "call_counts = {'a': 3, 'b': 4}\n", "get_total_calls", vec![]),
        (21, "", "process_users", vec![users.clone()]),
        (21, "applied = []\napply_configuration = applied.append\n", "configure", vec![config(100)]),
        (20, "validate_user = lambda nick: ' ' not in nick\n", "test_user_validation", vec![]),
        (20, "should_block = lambda text: 'spam' in text\n", "test_message_filter", vec![]),
        (20, "validate_user = lambda nick: True\n", "probe", vec!["__name__".into()]),
    ];
    for (number, names, function, args) in cases {
        stage.load(&format!("{names}{}", blocks[number]));
        results.push(stage.call(function, &args));
        let scripts = stage.hub.supervisor();
        scripts.unload(&mut stage.hub, stage.script.unwrap());
    }
    let expected = [
        "3",
        r#"["Alice", "Bob", "Charlie"]"#,
        r#"{"valid": True}"#,
        r#"{"valid": False, "error": "Too many users"}"#,
        r#"{"total_users": 42, "active_users": 15, "uptime_seconds": 36000}"#,
        "7",
        "1",
        "7",
        "3",
        r#"{"status": "ok"}"#,
        "None",
        "None",
        r#""'example'""#,
    ];
    assert_eq!(results, expected);

    let mut stage = Stage::new();
    stage.load(&blocks[25]);
    stage.guest("alice");
    stage.guest("bob");
    let online = stage.call("get_online_users", &[]);
    assert!(["\"alice\"", "\"bob\"", "\"vhpy\""].iter().all(|nick| online.contains(nick)), "{online}");
    assert_eq!(stage.call("process_user_batch", &[users]), "2");
    let config_now = stage.call("get_hub_config", &[]);
    let wanted = r#"{"hub_name": "vhpy hub", "max_users": 6000, "min_share": 0, "features": ["chat", "search", "pm"]}"#;
    assert_eq!(config_now, wanted);
    let changes =
        Value::Map(vec![("hub_name".into(), "Renamed".into()), ("max_users".into(), Value::Int(77))]);
    assert_eq!(stage.call("update_settings", &[changes]), r#"{"status": "updated", "changes": 2}"#);
    stage.hears("alice", "$HubName Renamed");
    assert_eq!(stage.hub.settings().max_users, 77);
}

/// Lists of names are no scripts; each name must be there, and take the arguments that are listed.
#[test]
fn lists_of_names() {
    let Some(blocks) = examples() else { return };
    let mut stage = Stage::new();
    stage.load("");
    let mut functions = 0;
    for line in blocks[2].lines().filter(|line| line.starts_with("vh.")) {
        let (name, rest) = line["vh.".len()..].split_once('(').unwrap();
        let given: Vec<&str> =
            rest.split(')').next().unwrap().split(", ").filter(|arg| !arg.is_empty()).collect();
        assert_eq!(stage.probe(&format!("callable(vh.{name})")), "True", "{name}");
        functions += 1;
        let Some(spec) = CALLS.iter().find(|spec| spec.name == name.replace("Raw", "")) else {
            panic!("{name} is no function of the table");
        };
        assert!(given.len() <= spec.params.len(), "{line}");
        for keyword in given.iter().filter_map(|arg| arg.split_once('=')).map(|(keyword, _)| keyword) {
            let known =
                spec.params.iter().any(|param| param.name == keyword || param.aliases.contains(&keyword));
            assert!(known, "{name} does not know {keyword}");
        }
    }
    assert!(functions > 45, "{functions}");
    let constants: Vec<&str> = blocks[4]
        .split(|char: char| !(char.is_ascii_alphanumeric() || char == '_'))
        .filter(|word| word.starts_with('e') && word.contains('_'))
        .collect();
    assert!(constants.len() >= 9, "{constants:?}");
    for name in constants {
        assert_eq!(stage.probe(&format!("type(vh.{name}).__name__")), "'int'", "{name}");
    }
    let mut stage = Stage::new();
    stage.load(&blocks[4].replace(", etc.", ""));
}
