//! Loading, reloading and unloading without waiting for it, and what becomes of events meanwhile.

use std::path::PathBuf;
use std::time::Duration;

use crate::chat;
use crate::support::{LIMIT, Stage, config, kill};
use vhpy::supervisor::{Config, LoadError, Outcome, ScriptId, Ticket, WhenAway};
use vhpy::{Call, Hook, Supervisor, Value};

/// What a script waits for.
struct Gate(PathBuf);

impl Gate {
    fn of(stage: &Stage, name: &str) -> Gate {
        Gate(stage.folder.path().join(name))
    }

    /// Python that waits until the gate is open.
    fn wait(&self) -> String {
        format!(
            "import os, time\nopen({0:?}, 'w').close()\nwhile not os.path.exists({1:?}): time.sleep(0.002)\n",
            self.0.with_extension("reached"),
            self.0
        )
    }

    fn is_reached(&self) -> bool {
        self.0.with_extension("reached").exists()
    }

    fn open(&self) {
        std::fs::write(&self.0, "").expect("the gate opens");
    }
}

/// What has become of a ticket; waits for that.
fn outcome(stage: &mut Stage, ticket: Ticket) -> Outcome {
    stage.serve_until("what was begun", |_, host| host.finished.iter().any(|(known, _)| *known == ticket));
    let at = stage.host.finished.iter().position(|(known, _)| *known == ticket).unwrap();
    stage.host.finished.swap_remove(at).1
}

fn reloaded(stage: &mut Stage, id: ScriptId) -> Result<ScriptId, LoadError> {
    let ticket = stage.supervisor.begin_reload(id)?;
    match outcome(stage, ticket) {
        Outcome::Reloaded(result) => result.map(|loaded| loaded.id),
        other => panic!("{other:?}"),
    }
}

const FILTER: &str = "def OnParsedMsgChat(nick, message): return 0 if message == 'bad' else 1\n";

#[test]
fn nobody_waits_for_a_script_that_loads() {
    let mut stage = Stage::new();
    stage.load("filter.py", FILTER);
    let gate = Gate::of(&stage, "gate");
    let slow = stage.write("slow.py", &(gate.wait() + "def OnUserLogin(nick): return 0\n"));
    let ticket = stage.supervisor.begin_load(&slow).unwrap();
    stage.serve_until("the script to load", |_, _| gate.is_reached());
    for _ in 0..100 {
        assert!(chat(&mut stage, "nick", "bad").blocked);
        assert!(!chat(&mut stage, "nick", "good").blocked);
    }
    assert!(stage.host.finished.is_empty());
    assert_eq!(stage.supervisor.scripts()[1].state, "starting");
    let again = stage.supervisor.begin_load(&slow).unwrap_err();
    assert!(matches!(again, LoadError::Twice { .. }), "{again}");
    gate.open();
    match outcome(&mut stage, ticket) {
        Outcome::Loaded(Ok(loaded)) => assert_eq!((loaded.id, loaded.name.as_str()), (ScriptId(1), "slow")),
        other => panic!("{other:?}"),
    }
}

#[test]
fn nobody_waits_for_a_script_that_cannot_be_loaded() {
    let mut stage = Stage::new();
    let path =
        stage.write("raises.py", "vh.AddRobot('robot', 10, '', '', '', 0)\nvh.store['a'] = 1\n1 / 0\n");
    let ticket = stage.supervisor.begin_load(&path).unwrap();
    match outcome(&mut stage, ticket) {
        Outcome::Loaded(Err(error)) => assert!(error.to_string().contains("raises.py:3"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(stage.host.texts(Call::DelRobot), ["robot"]);
    assert!(stage.supervisor.scripts().is_empty());
}

#[test]
fn nobody_waits_for_a_script_that_hangs_while_it_ends() {
    let mut stage = Stage::new();
    stage.load("filter.py", FILTER);
    let gate = Gate::of(&stage, "gate");
    let ends = gate.wait().lines().map(|line| format!("    {line}\n")).collect::<String>();
    let other = stage.load("other.py", &format!("{FILTER}def UnLoad():\n{ends}    vh.mc('ended')\n")).id;
    let ticket = stage.supervisor.begin_unload(other).unwrap();
    let second = stage.supervisor.begin_unload(other).unwrap();
    stage.serve_until("UnLoad()", |_, _| gate.is_reached());
    assert!(!stage.supervisor.has_hook(other, Hook::OnParsedMsgChat), "it gets no events any more");
    for _ in 0..100 {
        assert!(chat(&mut stage, "nick", "bad").blocked);
    }
    assert!(stage.host.finished.is_empty());
    assert!(stage.supervisor.begin_reload(other).is_err(), "it is being unloaded");
    gate.open();
    assert!(matches!(outcome(&mut stage, ticket), Outcome::Unloaded));
    assert!(matches!(outcome(&mut stage, second), Outcome::Unloaded));
    assert_eq!(stage.host.texts(Call::mc), ["ended"]);
    assert_eq!(stage.supervisor.count(), 1);
}

#[test]
fn a_script_that_does_not_end_is_made_to_while_nobody_waits() {
    let hook_timeout = Duration::from_millis(50);
    let mut stage = Stage::with(Config { hook_timeout, kill_timeout: hook_timeout, ..config() });
    let source = "
        import signal, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        def UnLoad():
            while True: time.sleep(1)
        ";
    let id = stage.load("stays.py", source).id;
    let ticket = stage.supervisor.begin_unload(id).unwrap();
    assert!(matches!(outcome(&mut stage, ticket), Outcome::Unloaded));
    assert!(stage.supervisor.scripts().is_empty());
}

#[test]
fn what_is_loading_can_be_unloaded() {
    let mut stage = Stage::new();
    let gate = Gate::of(&stage, "gate");
    let path = stage.write("slow.py", &gate.wait());
    let load = stage.supervisor.begin_load(&path).unwrap();
    stage.serve_until("the script to load", |_, _| gate.is_reached());
    let id = stage.supervisor.find("slow").unwrap();
    let unload = stage.supervisor.begin_unload(id).unwrap();
    assert!(matches!(outcome(&mut stage, load), Outcome::Loaded(Err(_))));
    assert!(matches!(outcome(&mut stage, unload), Outcome::Unloaded));
    assert!(stage.supervisor.scripts().is_empty());
}

#[test]
fn the_version_before_serves_until_the_next_is_compiled() {
    let mut stage = Stage::new();
    let id = stage.load("filter.py", FILTER).id;
    let pid = stage.pid(id);
    stage.write("filter.py", "def broken(:\n");
    let error = reloaded(&mut stage, id).unwrap_err().to_string();
    assert!(error.contains("filter.py:1: SyntaxError") && error.contains(" serves on"), "{error}");
    assert_eq!((stage.state(id), stage.pid(id)), ("ready", pid), "it was not touched");
    assert!(chat(&mut stage, "nick", "bad").blocked);
    // What UnLoad() stores is found by the next.
    stage.write("filter.py", &format!("{FILTER}def UnLoad(): vh.store['left'] = 5\n"));
    reloaded(&mut stage, id).unwrap();
    stage.write("filter.py", &format!("{FILTER}found = vh.store['left']\ndef get(): return found\n"));
    reloaded(&mut stage, id).unwrap();
    assert_eq!(stage.call(id, "get", &[]), Value::Int(5));
}

#[test]
fn events_wait_for_a_reload_in_all_as_long_as_restart_wait() {
    let mut stage = Stage::with(Config { restart_wait: LIMIT, ..config() });
    let id = stage.load("filter.py", FILTER).id;
    stage.write("filter.py", &FILTER.replace("bad", "evil"));
    let ticket = stage.supervisor.begin_reload(id).unwrap();
    stage.serve_until("the version before to be told to end", |supervisor, _| {
        supervisor.status(id).is_some_and(|status| status.state != "ready")
    });
    assert!(chat(&mut stage, "nick", "evil").blocked, "the next version was asked");
    assert!(!chat(&mut stage, "nick", "bad").blocked);
    assert!(matches!(outcome(&mut stage, ticket), Outcome::Reloaded(Ok(_))));
}

/// The states in which a script cannot answer.
#[test]
fn who_must_not_be_open_blocks_while_it_is_away() {
    for (when_away, blocked) in [(WhenAway::Pass, false), (WhenAway::Block, true)] {
        let mut stage = Stage::with(Config { restart_wait: Duration::ZERO, when_away, ..config() });
        let source = format!("{FILTER}import vh\ndef OnTimer(ms): pass\n");
        let id = stage.load("filter.py", &source).id;
        let gate = Gate::of(&stage, "gate");
        let next = format!("{}{FILTER}", gate.wait());
        stage.write("filter.py", &next);
        let ticket = stage.supervisor.begin_reload(id).unwrap();
        stage.serve_until("the next version to load", |_, _| gate.is_reached());
        assert_eq!(chat(&mut stage, "nick", "good").blocked, blocked, "while it is reloaded");
        assert!(!stage.supervisor.event(&mut stage.host, Hook::OnUserLogin, &["nick".into()]).blocked);
        gate.open();
        assert!(matches!(outcome(&mut stage, ticket), Outcome::Reloaded(Ok(_))));
        assert!(!chat(&mut stage, "nick", "good").blocked);
        // A death, after which its top level waits again.
        std::fs::remove_file(&gate.0).unwrap();
        kill(stage.pid(id), libc::SIGKILL);
        stage.serve_until("its death", |supervisor, _| supervisor.scripts()[0].state != "ready");
        assert_eq!(chat(&mut stage, "nick", "good").blocked, blocked, "while it is restarted");
        gate.open();
        stage.serve_until("the next process", |supervisor, _| supervisor.scripts()[0].state == "ready");
        // It is late, then stuck.
        stage.supervisor.configure(|config| config.hook_timeout = Duration::from_millis(20));
        kill(stage.pid(id), libc::SIGSTOP);
        assert_eq!(chat(&mut stage, "nick", "good").blocked, blocked, "when it is late");
        assert_eq!(chat(&mut stage, "nick", "good").blocked, blocked, "when it is stuck");
        kill(stage.pid(id), libc::SIGCONT);
    }
}

/// How many reloads are made; all of them with "make chaos".
fn reloads() -> usize {
    std::env::var("VHPY_RELOADS").ok().and_then(|number| number.parse().ok()).unwrap_or(60)
}

#[test]
fn nothing_that_both_versions_block_slips_through_a_reload() {
    let mut stage = Stage::with(Config { when_away: WhenAway::Block, ..config() });
    let id = stage.load("filter.py", FILTER).id;
    let mut asked = 0;
    for number in 0..reloads() {
        stage.write("filter.py", &format!("version = {number}\n{FILTER}def get(): return version\n"));
        let ticket = stage.supervisor.begin_reload(id).unwrap();
        while !stage.host.finished.iter().any(|(known, _)| *known == ticket) {
            assert!(chat(&mut stage, "nick", "bad").blocked, "reload {number}");
            asked += 1;
        }
        assert!(matches!(outcome(&mut stage, ticket), Outcome::Reloaded(Ok(_))));
        assert_eq!(stage.call(id, "get", &[]), Value::from(i64::try_from(number).unwrap()));
    }
    assert!(asked > reloads(), "{asked} messages during {} reloads", reloads());
}

#[test]
fn what_a_load_that_failed_has_done_is_undone() {
    let mut stage = Stage::new();
    let source =
        "vh.store['count'] = 1\ndef count(): return vh.store['count']\ndef keys(): return len(vh.store)\n";
    let id = stage.load("stores.py", source).id;
    stage.write(
        "stores.py",
        "vh.store['count'] = 2\nvh.store['more'] = 1\nvh.AddRobot('robot', 10, '', '', '', 0)\n1 / 0\n",
    );
    reloaded(&mut stage, id).unwrap_err();
    assert_eq!(stage.host.texts(Call::DelRobot), ["robot"]);
    stage.write("stores.py", &source.replace("vh.store['count'] = 1", ""));
    reloaded(&mut stage, id).unwrap();
    assert_eq!(stage.call(id, "count", &[]), Value::Int(1));
    assert_eq!(stage.call(id, "keys", &[]), Value::Int(1));
}

#[test]
fn a_command_is_answered_when_it_is_done() {
    use vhpy::supervisor::console::Answer;
    let mut stage = Stage::new();
    let gate = Gate::of(&stage, "gate");
    let slow = stage.write("slow.py", &gate.wait());
    stage.load("quick.py", FILTER);
    let begin = |stage: &mut Stage, command: &str| match stage
        .supervisor
        .begin_console(&mut stage.host, command)
        .expect("a command")
    {
        Answer::Later(ticket) => Ok(ticket),
        Answer::Said(text) => Err(text),
    };
    let said = |stage: &mut Stage, ticket| match outcome(stage, ticket) {
        Outcome::Said(text) => text,
        other => panic!("{other:?}"),
    };
    assert!(begin(&mut stage, "!pylist").unwrap_err().contains("quick"));
    assert!(begin(&mut stage, "!pyunload nobody").unwrap_err().contains("no script"));
    let load = begin(&mut stage, &format!("!pyload {}", slow.display())).unwrap();
    stage.serve_until("the script to load", |_, _| gate.is_reached());
    let all = begin(&mut stage, "!pyreload").unwrap();
    let answer = said(&mut stage, all);
    assert!(answer.contains("quick is reloaded") && answer.contains("slow is not reloaded"), "{answer}");
    gate.open();
    assert!(said(&mut stage, load).contains("Script slow is loaded as number 1"));
    let unload = begin(&mut stage, "!pyunload slow").unwrap();
    assert_eq!(said(&mut stage, unload), "Script slow is unloaded");
}

/// A script without a process has nothing to end.
#[test]
fn a_command_that_takes_no_time_is_answered_too() {
    use vhpy::supervisor::console::Answer;
    let mut stage = Stage::new();
    let id = stage.load("script.py", FILTER).id;
    stage.supervisor.configure(|config| config.restart.max_deaths = 0);
    kill(stage.pid(id), libc::SIGKILL);
    stage.serve_until("its end", |supervisor, _| supervisor.scripts()[0].state == "failed");
    let begun = stage.supervisor.begin_console(&mut stage.host, "!pyunload script").expect("a command");
    let Answer::Later(ticket) = begun else { panic!("it is answered at once") };
    match outcome(&mut stage, ticket) {
        Outcome::Said(text) => assert_eq!(text, "Script script is unloaded"),
        other => panic!("{other:?}"),
    }
    assert!(stage.host.finished.is_empty(), "and nobody else is told: {:?}", stage.host.finished);
}

/// Every way in which what is on disk can fail to load: a file, and what is in it.
const WAYS: &[(&str, &str, &str)] = &[
    ("a syntax error", "filter.py", "def broken(:\n"),
    ("an import error", "filter.py", "import does_not_exist\n"),
    ("an exit", "filter.py", "import sys\nsys.exit(3)\n"),
    ("an end", "filter.py", "import os\nos._exit(0)\n"),
    ("a crash", "filter.py", "import os\nos.kill(os.getpid(), 11)\n"),
    ("an exception", "filter.py", "1 / 0\n"),
    ("a hang", "filter.py", "while True: pass\n"),
    ("a broken module", "words.py", "BAD = [\n"),
];

const WITH_MODULE: &str = "
import words
def OnParsedMsgChat(nick, message): return 0 if message in words.BAD else 1
def fail():
    raise ValueError('told')  # the line that ran
";

/// A script with a module beside it, which are broken then.
fn broken(way: &(&str, &str, &str)) -> (Stage, ScriptId) {
    let load_timeout = if way.0 == "a hang" { Duration::from_secs(3) } else { LIMIT };
    let mut stage = Stage::with(Config { load_timeout, ..config() });
    stage.write("words.py", "BAD = ['bad']\n");
    let id = stage.load("filter.py", WITH_MODULE).id;
    assert!(chat(&mut stage, "nick", "bad").blocked);
    std::fs::write(stage.folder.path().join(way.1), way.2).unwrap();
    (stage, id)
}

fn still_filters(stage: &mut Stage, id: ScriptId, what: &str) {
    assert!(chat(stage, "nick", "bad").blocked, "{what}");
    assert!(!chat(stage, "nick", "good").blocked, "{what}");
    // A death of it changes nothing about that.
    let pid = stage.pid(id);
    kill(pid, libc::SIGKILL);
    stage.serve_until("the next process", |supervisor, _| {
        let status = supervisor.status(id).unwrap();
        status.state == "ready" && status.pid != u32::try_from(pid).ok()
    });
    assert!(chat(stage, "nick", "bad").blocked, "{what}");
    let _ = stage.supervisor.call(&mut stage.host, id, "fail", &[]);
    stage.supervisor.catch_up_with_output();
    let lines = stage.supervisor.last_lines(id).unwrap().join("\n");
    assert!(lines.contains("# the line that ran"), "{what}: {lines}");
    // It is not looked at again once it is mended.
    stage.write("words.py", "BAD = ['evil']\n");
    stage.write("filter.py", WITH_MODULE);
    reloaded(stage, id).unwrap();
    assert!(chat(stage, "nick", "evil").blocked && !chat(stage, "nick", "bad").blocked, "{what}");
}

#[test]
fn whatever_is_wrong_with_a_new_version_the_filter_filters_after_a_reload() {
    for way in WAYS {
        let (mut stage, id) = broken(way);
        let error = reloaded(&mut stage, id).unwrap_err().to_string();
        assert!(error.contains("; the version from ") && error.ends_with(" serves on"), "{}: {error}", way.0);
        still_filters(&mut stage, id, way.0);
    }
}

#[test]
fn whatever_is_wrong_with_what_is_on_disk_the_filter_filters_after_a_crash() {
    for way in WAYS {
        let (mut stage, id) = broken(way);
        let pid = stage.pid(id);
        kill(pid, libc::SIGKILL);
        stage.serve_until("the version that was kept", |supervisor, host| {
            let told = host.told.iter().any(|text| text.ends_with(" serves on"));
            told && supervisor.status(id).unwrap().state == "ready"
        });
        still_filters(&mut stage, id, way.0);
    }
}

/// A stage whose scripts keep their versions on disk.
fn on_disk(config: Config) -> Stage {
    let stage = Stage::with(config);
    let store = stage.folder.path().join("store");
    stage.supervisor.configure(|config| config.store_dir = Some(store));
    stage
}

/// The hub ends, and starts again without scripts.
fn start_again(stage: &mut Stage) {
    stage.supervisor.shutdown(&mut stage.host);
    stage.supervisor = Supervisor::new(stage.supervisor.config()).expect("a supervisor");
}

/// The files with versions.
fn kept(stage: &Stage) -> Vec<PathBuf> {
    let files = std::fs::read_dir(stage.folder.path().join("store")).expect("the folder of the stores");
    let files = files.map(|entry| entry.expect("a file").path());
    files.filter(|file| file.extension().is_some_and(|extension| extension == "version")).collect()
}

#[test]
fn whatever_is_wrong_with_what_is_on_disk_the_filter_filters_after_a_start_of_the_hub() {
    for way in WAYS {
        let load_timeout = if way.0 == "a hang" { Duration::from_secs(3) } else { LIMIT };
        let mut stage = on_disk(Config { load_timeout, ..config() });
        stage.write("words.py", "BAD = ['bad']\n");
        stage.load("filter.py", WITH_MODULE);
        start_again(&mut stage);
        let path = stage.folder.path().join("filter.py");
        std::fs::write(stage.folder.path().join(way.1), way.2).unwrap();
        let loaded = stage.supervisor.load(&mut stage.host, &path);
        let loaded = loaded.unwrap_or_else(|error| panic!("{}: {error}", way.0));
        let warned = |text: &String| text.contains("; the version from ") && text.ends_with(" serves on");
        assert!(loaded.warnings.iter().any(warned), "{}: {:?}", way.0, loaded.warnings);
        assert!(stage.host.told.iter().any(warned), "{}: {:?}", way.0, stage.host.told);
        still_filters(&mut stage, loaded.id, way.0);
    }
}

#[test]
fn a_version_is_on_disk_until_an_operator_unloads_the_script() {
    let mut stage = on_disk(config());
    let path = stage.write("filter.py", FILTER);
    let load = |stage: &mut Stage| stage.supervisor.load(&mut stage.host, &path).map(|loaded| loaded.id);
    for damaged in [false, true] {
        stage.write("filter.py", FILTER);
        load(&mut stage).unwrap();
        start_again(&mut stage);
        let files = kept(&stage);
        assert_eq!(files.len(), 1, "the end of the hub leaves it: {files:?}");
        stage.write("filter.py", "1 / 0\n");
        if damaged {
            let mut bytes = std::fs::read(&files[0]).unwrap();
            *bytes.last_mut().unwrap() ^= 1;
            std::fs::write(&files[0], bytes).unwrap();
            let error = load(&mut stage).unwrap_err().to_string();
            assert!(error.contains("ZeroDivisionError"), "{error}");
            break;
        }
        let id = load(&mut stage).unwrap();
        assert!(chat(&mut stage, "nick", "bad").blocked);
        // What calls it by its number, as a hub does at its end, does not mean it for good.
        assert!(stage.supervisor.unload(&mut stage.host, id));
        load(&mut stage).unwrap();
        let said = stage.supervisor.console(&mut stage.host, "!pyunload filter");
        assert_eq!(said.as_deref(), Some("Script filter is unloaded"));
        load(&mut stage).unwrap_err();
        start_again(&mut stage);
        assert_eq!(kept(&stage), Vec::<PathBuf>::new());
        load(&mut stage).unwrap_err();
    }
}

#[test]
fn who_must_not_be_open_is_not_before_the_first_load_of_a_start() {
    for (when_away, blocked) in [(WhenAway::Pass, false), (WhenAway::Block, true)] {
        let mut stage = on_disk(Config { when_away, ..config() });
        let source = format!("import vh\n{FILTER}@vh.observer\ndef OnUserLogin(nick): pass\n");
        let path = stage.write("filter.py", &source);
        stage.supervisor.load(&mut stage.host, &path).unwrap();
        start_again(&mut stage);
        let gate = Gate::of(&stage, "gate");
        stage.write("filter.py", &(gate.wait() + &source));
        let ticket = stage.supervisor.begin_load(&path).unwrap();
        stage.serve_until("the script to load", |_, _| gate.is_reached());
        assert_eq!(chat(&mut stage, "nick", "good").blocked, blocked, "while it loads");
        assert!(!stage.supervisor.event(&mut stage.host, Hook::OnUserLogin, &["nick".into()]).blocked);
        gate.open();
        assert!(matches!(outcome(&mut stage, ticket), Outcome::Loaded(Ok(_))));
        assert!(!chat(&mut stage, "nick", "good").blocked);
    }
}
