//! Scripts with real packages, from a virtual environment beside them, work in one hub at the
//! same time; and the test kit's own tests and those of the example scripts, which are pytest's.
#![cfg(feature = "cli")]

use crate::support::venv;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use vhpy::supervisor::{Config, Replacement};
use vhpy::{Call, Hook, Host, ScriptId, Supervisor, Value};

const PATIENCE: Duration = Duration::from_secs(120);

/// Two users, and what scripts told them.
#[derive(Default)]
struct TwoUsers {
    told: Vec<String>,
}

impl Host for TwoUsers {
    fn call(&mut self, _: &Supervisor, _: ScriptId, call: Call, args: &[Value<'_>]) -> Value<'static> {
        match call {
            Call::GetNickList => ["alice", "bob"].into_iter().collect(),
            Call::GetUserClass => Value::Int(match args.first().and_then(Value::as_text) {
                Some(b"alice") => 3,
                Some(b"bob") => 0,
                _ => -2,
            }),
            Call::usermc => {
                self.told.push(args.first().map(ToString::to_string).unwrap_or_default());
                true.into()
            }
            _ => Value::Nil,
        }
    }
}

/// A folder with the scripts and a `.venv`.
fn folder(venv: &Path) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(venv, folder.path().join(".venv")).unwrap();
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/packages");
    for entry in std::fs::read_dir(scripts).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "py") {
            std::fs::copy(&path, folder.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    folder
}

/// The body of what a server answers.
fn get(port: i64, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap()))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    Ok(answer.split_once("\r\n\r\n").map(|(_, body)| body.to_string()).unwrap_or_default())
}

/// Asks until the server answers at all: it starts in the background.
fn get_patiently(port: i64, path: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match get(port, path) {
            Ok(body) if !body.is_empty() => return body,
            other => assert!(Instant::now() < deadline, "no answer to {path}: {other:?}"),
        }
    }
}

/// Runs a module of the shared environment's Python in the project's folder, as users have it where
/// the package is installed; its output says what failed.
fn run_module(venv: &Path, arguments: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(venv.join("bin/python"))
        .arg("-m")
        .args(arguments)
        .current_dir(root)
        .env("PYTHONPATH", root.join("python/src"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("VHPY", env!("CARGO_BIN_EXE_vhpy"))
        // What must come may take long on a busy machine.
        .env("VHPY_EXPECT_TIMEOUT", "60")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{arguments:?}:\n{said}");
}

/// The plugin is named, since the package is not installed.
const PYTEST: [&str; 8] =
    ["pytest", "-p", "vhpy_hub.pytest_plugin", "-p", "no:cacheprovider", "-q", "-n", "4"];

#[test]
fn the_test_kit_does_what_it_says() {
    let Some(venv) = venv::packages() else { return };
    run_module(&venv, &[&PYTEST[..], &["tests/kit"]].concat());
}

#[test]
fn the_example_scripts_have_tests_that_pass() {
    let Some(venv) = venv::packages() else { return };
    run_module(&venv, &[&PYTEST[..], &["examples/tests"]].concat());
}

#[test]
fn the_test_kit_and_what_uses_it_are_typed() {
    let Some(venv) = venv::packages() else { return };
    run_module(
        &venv,
        &[
            "mypy",
            "--strict",
            "--cache-dir=/dev/null",
            "python/src/vhpy_hub",
            "examples/tests",
            "tests/kit/test_kit.py",
        ],
    );
}

#[test]
fn numpy_pydantic_orjson_and_fastapi_work_in_one_hub_at_the_same_time() {
    let Some(venv) = venv::packages() else { return };
    let folder = folder(&venv);
    let config = Config { load_timeout: PATIENCE, hook_timeout: PATIENCE, ..Config::default() };
    let supervisor = Supervisor::new(config).unwrap();
    let mut host = TwoUsers::default();
    let paths: Vec<PathBuf> =
        ["with_numpy.py", "with_pydantic.py", "with_fastapi.py"].map(|name| folder.path().join(name)).into();
    let loaded = supervisor.load_all(&mut host, &paths);
    let ids: Vec<ScriptId> = loaded.into_iter().map(|loaded| loaded.unwrap().id).collect();
    let &[numpy, _, web] = ids.as_slice() else { panic!("{ids:?}") };

    let prefix = supervisor.call(&mut host, numpy, "prefix", &[]).unwrap();
    let expected = folder.path().canonicalize().unwrap().join(".venv");
    assert_eq!(prefix.as_text(), Some(expected.as_os_str().as_encoded_bytes()));

    // Requests come in while every message goes through all three scripts.
    let port = supervisor.call(&mut host, web, "port", &[]).unwrap().as_int().unwrap();
    let answered = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let bodies: Vec<[String; 2]> =
                (0..20).map(|_| ["/users", "/async"].map(|path| get_patiently(port, path))).collect();
            answered.store(true, Ordering::Release);
            bodies
        });
        let mut sent = 0u32;
        while !answered.load(Ordering::Acquire) || sent < 200 {
            let length = sent as usize % 15 + 1;
            let message = "x".repeat(length);
            let args = ["bob".into(), message.as_str().into()];
            let verdict = supervisor.event(&mut host, Hook::OnParsedMsgChat, &args);
            let json = format!(r#"{{"message":"{message}","nick":"bob"}}"#);
            assert_eq!(
                verdict.replacement,
                Some(Replacement::Chat { nick: None, message: Some(json.into_bytes()) })
            );
            sent += 1;
            assert!(!asking.is_finished() || answered.load(Ordering::Acquire), "the client failed");
            supervisor.serve(&mut host);
            // The server needs the processor, too.
            std::thread::yield_now();
        }
        for [users, classes] in asking.join().unwrap() {
            assert_eq!(users, r#"["alice","bob"]"#);
            assert_eq!(classes, r#"{"alice":3,"bob":0}"#);
        }
        let summary = supervisor.call(&mut host, numpy, "summary", &[]).unwrap().to_string();
        assert!(summary.contains(&format!("\"count\": {sent}.0")), "{sent} sent: {summary}");
    });

    let long = "x".repeat(21);
    let verdict = supervisor.event(&mut host, Hook::OnParsedMsgChat, &["bob".into(), long.as_str().into()]);
    assert!(verdict.blocked);
    assert_eq!(host.told, [r#""string_too_long""#]);

    supervisor.shutdown(&mut host);
    assert!(supervisor.scripts().is_empty());
}

#[test]
fn gevents_greenlets_run_between_events_in_a_thread_of_the_real_kind() {
    let Some(venv) = venv::packages() else { return };
    let folder = folder(&venv);
    let config = Config { load_timeout: PATIENCE, hook_timeout: PATIENCE, ..Config::default() };
    let supervisor = Supervisor::new(config).unwrap();
    let mut host = TwoUsers::default();
    supervisor.load(&mut host, &folder.path().join("with_gevent.py")).unwrap();
    let deadline = Instant::now() + PATIENCE;
    for number in 0..20 {
        let message = format!("message {number}");
        let args = ["bob".into(), message.as_str().into()];
        assert!(!supervisor.event(&mut host, Hook::OnParsedMsgChat, &args).blocked);
        while host.told.len() <= number {
            assert!(Instant::now() < deadline, "waited for the answer to {message}; so far {:?}", host.told);
            supervisor.serve(&mut host);
            std::thread::yield_now();
        }
        assert_eq!(host.told[number], format!("\"a greenlet read {message}\""));
    }
    supervisor.shutdown(&mut host);
}
