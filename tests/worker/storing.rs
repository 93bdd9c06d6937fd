//! `vh.store` on disk: what a script stored survives its death and the hub's, whole or not at
//! all; what does not fit raises in the script.

use crate::support;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::fake_hub::{FakeHub, Options};
use crate::support::{LIMIT, Stage, config, kill};
use vhpy::Value;
use vhpy::supervisor::{Config, RestartLimits};

/// Stores ever new values under two keys, each of which shows whether it is whole; every
/// change is told once the hub has it.
const STORES: &str = "
    def put(first, count, size, marked=0, mark=None):
        for number in range(first, first + count):
            vh.store['big'] = [number] * size
            vh.store['pair'] = {'a': number, 'b': -number}
            if mark and number == first + marked:
                open(mark, 'w').close()
        return number
    def get(): return [vh.store.get('big'), vh.store.get('pair')]
    def fill(size):
        try:
            vh.store['more'] = 'x' * size
        except ValueError as error:
            return str(error)
    def length(key): return len(vh.store.get(key, ''))
    ";

fn on_disk(folder: &std::path::Path) -> Config {
    let restart = RestartLimits { window: Duration::ZERO, ..RestartLimits::default() };
    let store_dir = Some(folder.join("stores"));
    Config { restart_wait: LIMIT, restart, store_dir, ..config() }
}

/// Both values are whole, and not older than the last that was known to be stored.
fn check(values: &Value<'_>, known: i64) -> i64 {
    let Value::List(values) = values else { panic!("{values}") };
    let [Value::List(big), Value::Map(pair)] = values.as_slice() else { panic!("{values:?}") };
    let number = big[0].as_int().unwrap();
    assert!(big.iter().all(|value| value.as_int() == Some(number)), "half of one value and half of another");
    let find =
        |key: &str| pair.iter().find(|(name, _)| support::text(name) == key).unwrap().1.as_int().unwrap();
    assert_eq!(find("a"), -find("b"), "half of a pair");
    assert!(number >= known && find("a") >= known, "{number} and {} are older than {known}", find("a"));
    number
}

#[test]
fn a_script_killed_while_it_stores_loses_no_stored_value() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::with(on_disk(folder.path()));
    let id = stage.load("stores.py", STORES).id;
    let mut known = 0;
    for round in 0..5u64 {
        let args = [known.into(), 20i64.into(), 10_000i64.into()];
        known = stage.call(id, "put", &args).as_int().unwrap();
        let pid = stage.pid(id);
        let mark = folder.path().join(format!("mark{round}"));
        let marked = i64::try_from(7 * round).unwrap();
        let args = [
            known.into(),
            1_000_000i64.into(),
            10_000i64.into(),
            marked.into(),
            mark.to_str().unwrap().to_string().into(),
        ];
        let killer = std::thread::spawn(move || {
            // The call has stored something, and goes on for much longer. A death before it would
            // be noticed by the call itself, and the next process would serve it.
            support::wait_until("the call to store something", || mark.exists());
            kill(pid, libc::SIGKILL);
        });
        assert!(stage.supervisor.call(&mut stage.host, id, "put", &args).is_err(), "it is killed");
        known += marked;
        killer.join().unwrap();
        let restarts = round + 1;
        stage.serve_until("the restart", |supervisor, _| {
            let status = supervisor.status(id).unwrap();
            status.state == "ready" && status.restarts == restarts
        });
        let values = stage.call(id, "get", &[]);
        known = check(&values, known);
    }
}

#[test]
fn a_hub_killed_while_a_script_stores_loses_no_stored_value() {
    let folder = tempfile::tempdir().unwrap();
    let own = std::env::current_exe().unwrap();
    let mut known = 0;
    for _ in 0..3 {
        let mut hub = Command::new(&own)
            .args(["--exact", "storing::a_hub_that_stores", "--nocapture", "--include-ignored"])
            .env("STORE_FOLDER", folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(hub.stdout.take().unwrap()).lines().map_while(Result::ok);
        let mut seen = 0;
        for line in lines {
            // The last line may be half.
            if let Some(number) = line.strip_prefix("STORED ").and_then(|number| number.strip_suffix('.')) {
                known = number.parse().unwrap();
                seen += 1;
                if seen == 10 {
                    hub.kill().unwrap();
                }
            }
        }
        hub.wait().unwrap();
        assert!(seen >= 10, "the hub stored {seen} times");
        let mut stage = hub_with_store(folder.path());
        let id = stage.supervisor.find("stores").unwrap();
        let values = stage.call(id, "get", &[]);
        known = check(&values, known);
        stage.supervisor.shutdown(&mut stage.host);
    }
}

/// The script must lie in the same place each time, which is what its store is known by.
fn hub_with_store(folder: &std::path::Path) -> Stage {
    let mut stage = Stage::with(on_disk(folder));
    let path = support::write_script(folder, "stores.py", STORES);
    stage.supervisor.load(&mut stage.host, &path).unwrap();
    stage
}

/// The body of the process that the test above starts.
#[test]
#[ignore = "run by the other"]
fn a_hub_that_stores() {
    let Some(folder) = std::env::var_os("STORE_FOLDER") else { return };
    let mut stage = hub_with_store(folder.as_ref());
    let id = stage.supervisor.find("stores").unwrap();
    let before = stage.call(id, "get", &[]);
    let mut number = if let Value::List(values) = &before { values[0].as_list_start() } else { 0 };
    loop {
        number =
            stage.call(id, "put", &[(number + 1).into(), 5i64.into(), 20_000i64.into()]).as_int().unwrap();
        println!("\nSTORED {number}.");
    }
}

trait Start {
    /// The first number of a list, or 0.
    fn as_list_start(&self) -> i64;
}

impl Start for Value<'_> {
    fn as_list_start(&self) -> i64 {
        match self {
            Value::List(values) => values.first().and_then(Value::as_int).unwrap_or(0),
            _ => 0,
        }
    }
}

#[test]
fn what_does_not_fit_raises_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::with(on_disk(folder.path()));
    let id = stage.load("stores.py", STORES).id;
    let pid = stage.pid(id);
    assert_eq!(stage.call(id, "fill", &[(3i64 << 20).into()]), Value::Nil);
    let error = support::text(&stage.call(id, "fill", &[(4i64 << 20).into()]));
    assert!(error.contains("does not fit"), "{error}");
    assert_eq!(stage.call(id, "length", &["more".into()]), Value::Int(3 << 20));
    assert_eq!(stage.call(id, "fill", &[10i64.into()]), Value::Nil, "what is replaced makes room");
    assert_eq!(stage.pid(id), pid, "it is no reason to die");
    stage.supervisor.reload(&mut stage.host, id).unwrap();
    assert_eq!(stage.call(id, "length", &["more".into()]), Value::Int(10));
}

#[test]
fn a_key_may_have_any_bytes_that_a_nick_can_have() {
    let folder = tempfile::tempdir().unwrap();
    for encoding in ["utf-8", "cp1251"] {
        let mut stage = Stage::with(Config { encoding: encoding.into(), ..on_disk(folder.path()) });
        let path = support::write_script(
            folder.path(),
            "counts.py",
            "
            def count(nick):
                vh.store[nick] = vh.store.get(nick, 0) + 1
                return [vh.store[nick], list(vh.store) == [nick]]
            def forget(nick): del vh.store[nick]
            ",
        );
        let id = stage.supervisor.load(&mut stage.host, &path).unwrap().id;
        // 0x98 is nothing in cp1251, and neither is valid UTF-8.
        let nick = || Value::from(b"mallory\x98\xff".to_vec());
        for expected in 1..=3i64 {
            let counted = stage.call(id, "count", &[nick()]);
            assert_eq!(counted, Value::List(vec![expected.into(), true.into()]), "{encoding}");
            stage.supervisor.reload(&mut stage.host, id).unwrap();
        }
        stage.call(id, "forget", &[nick()]);
        stage.supervisor.shutdown(&mut stage.host);
    }
}

/// What a crash cut off is the last change alone, and what is stored after that is no worse off:
/// it is there when the journal is opened again, however much of the last record was left.
#[test]
fn what_is_stored_after_a_torn_end_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let file = |folder: &std::path::Path| {
        let mut files = std::fs::read_dir(folder.join("stores")).unwrap().map(|entry| entry.unwrap().path());
        files.find(|path| path.extension().is_some_and(|suffix| suffix == "store")).expect("a store")
    };
    let get = |stage: &mut Stage| {
        let id = stage.supervisor.find("stores").unwrap();
        let Value::List(values) = stage.call(id, "get", &[]) else { panic!("a list") };
        let Value::Map(pair) = &values[1] else { panic!("{values:?}") };
        let big =
            if let Value::List(big) = &values[0] { big[0].as_int().unwrap() } else { panic!("{values:?}") };
        (big, pair[0].1.as_int().unwrap())
    };
    let put = |stage: &mut Stage, number: i64| {
        let id = stage.supervisor.find("stores").unwrap();
        stage.call(id, "put", &[number.into(), 1i64.into(), 10i64.into()]);
        stage.supervisor.shutdown(&mut stage.host);
    };
    put(&mut hub_with_store(folder.path()), -100);
    put(&mut hub_with_store(folder.path()), 0);
    let mut number = 0;
    for cut in 1..=12 {
        let path = file(folder.path());
        let whole = std::fs::read(&path).unwrap();
        std::fs::write(&path, &whole[..whole.len() - cut]).unwrap();
        let mut stage = hub_with_store(folder.path());
        // The pair is what was stored last; of those before it, each was cut off in its turn.
        let (big, pair) = get(&mut stage);
        assert_eq!(big, number, "{cut} bytes are cut off");
        assert_eq!(pair, -100, "{cut} bytes of the last change are cut off");
        number += 100;
        put(&mut stage, number);
        let mut again = hub_with_store(folder.path());
        assert_eq!(get(&mut again), (number, number), "after {cut} bytes were cut off");
        again.supervisor.shutdown(&mut again.host);
    }
}

/// So that the hub has a version to start when the next one does not load.
#[test]
fn the_hub_is_told_from_what_a_script_and_the_modules_beside_it_were_loaded() {
    let script = "import json, beside\n";
    let mut hub = FakeHub::spare(script, Options::default());
    std::fs::write(hub.folder.path().join("beside.py"), "import late\n").unwrap();
    std::fs::write(hub.folder.path().join("late.py"), "IT = 1\n").unwrap();
    std::fs::write(hub.folder.path().join("unused.py"), "IT = 2\n").unwrap();
    hub.load().unwrap();
    let told = |file: &str, text: &str| (file.as_bytes().to_vec(), text.as_bytes().to_vec());
    let expected =
        [told("script.py", script), told("late.py", "IT = 1\n"), told("beside.py", "import late\n")];
    for source in &expected {
        assert!(hub.sources.contains(source), "{:?}", hub.sources);
    }
    assert_eq!(hub.sources.len(), expected.len(), "{:?}", hub.sources);
}
