//! The hub's thread never waits for the system to start a process or to write to a disk.
//!
//! The test starts this very program again, with functions in front of the C library's that
//! wait until they are told to go on: a hub that waits with them would wait for ever.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{LIMIT, Stage, config, has, kill};
use vhpy::supervisor::{Config, RestartLimits};
use vhpy::{Hook, ScriptId, Value};

const ROLE: &str = "VHPY_SLOW_SYSTEM";
/// The function that is slow, and what is done meanwhile.
type Case = (&'static str, fn(Gate));

const CASES: [Case; 2] = [("posix_spawn", slow_to_start), ("fdatasync", slow_to_write)];

#[test]
fn the_hub_waits_for_no_slow_system() {
    if !has(&["cc"]) {
        return;
    }
    for (name, _) in CASES {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("hold.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hygiene/hold.c");
        let mut cc = Command::new("cc");
        cc.args(["-shared", "-fPIC", "-O2", "-o"]).arg(&library).arg(source).arg("-ldl");
        run(cc);
        let mut again = Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "slow_system::the_case", "--nocapture", "--include-ignored"]).env(ROLE, name);
        again.env("LD_PRELOAD", library).env("VHPY_HOLD", folder.path());
        run(again);
    }
}

fn run(mut command: Command) {
    let output = command.output().unwrap();
    let said =
        [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
}

/// The body of the process that is started again.
#[test]
#[ignore = "run by the other"]
fn the_case() {
    let Ok(role) = std::env::var(ROLE) else { return };
    // SAFETY: a call without pointers. A hub that waits for ever ends here.
    unsafe { libc::alarm(2 * u32::try_from(LIMIT.as_secs()).unwrap()) };
    let (name, case) = CASES.iter().find(|(name, _)| *name == role).unwrap();
    case(Gate(PathBuf::from(std::env::var_os("VHPY_HOLD").unwrap()).join(name)));
}

/// What holds one function of the system.
struct Gate(PathBuf);

impl Gate {
    fn shut(&self) {
        let _ = std::fs::remove_file(self.held());
        nix::unistd::mkfifo(&self.0, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    }

    fn holds_somebody(&self) -> bool {
        self.held().exists()
    }

    fn held(&self) -> PathBuf {
        self.0.with_extension("held")
    }

    fn open(&self) {
        // For both, so that it does not wait for a reader; kept open until nobody can come.
        let both = std::fs::File::options().read(true).write(true).open(&self.0).unwrap();
        std::fs::remove_file(&self.0).unwrap();
        std::mem::forget(both);
    }
}

fn slow_to_start(gate: Gate) {
    const ANSWERS: &str = "def OnParsedMsgChat(nick, message): return (__name__, 1)";
    let restart = RestartLimits { window: Duration::ZERO, ..RestartLimits::default() };
    for spare in [false, true] {
        let mut stage = Stage::with(Config { spare, restart, restart_wait: Duration::ZERO, ..config() });
        let victim = stage.load("victim.py", ANSWERS).id;
        stage.load("bystander.py", ANSWERS);
        let answers = |stage: &mut Stage| {
            let args = [Value::from("nick"), Value::from("message")];
            stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &args).send.len()
        };
        assert_eq!(answers(&mut stage), 2);
        gate.shut();
        kill_until_held(&mut stage, victim, &gate);
        for _ in 0..100 {
            assert_eq!(answers(&mut stage), 1, "the bystander answers");
        }
        let status = stage.supervisor.status(victim).unwrap();
        assert_eq!((status.state, status.pid), ("starting", None));
        gate.open();
        stage.serve_until("the restart", |supervisor, _| supervisor.status(victim).unwrap().state == "ready");
        assert_eq!(answers(&mut stage), 2);

        // A script that is unloaded before its process is there leaves nothing behind.
        gate.shut();
        kill_until_held(&mut stage, victim, &gate);
        assert!(stage.supervisor.unload(&mut stage.host, victim));
        gate.open();
        stage.supervisor.shutdown(&mut stage.host);
        assert_eq!(children(), 0);
    }
}

/// Kills the script until its next process is one that is held; before that it gets those
/// that were started before the gate was shut.
fn kill_until_held(stage: &mut Stage, victim: ScriptId, gate: &Gate) {
    let (mut held, mut killed) = (false, None);
    stage.serve_until("a process of the script's that is held", |supervisor, _| {
        let status = supervisor.status(victim).unwrap();
        if status.state == "ready" && status.pid != killed {
            kill(i32::try_from(status.pid.unwrap()).unwrap(), libc::SIGKILL);
            killed = status.pid;
        }
        // Those that were started before are known one visit after it.
        let is_last = std::mem::replace(&mut held, gate.holds_somebody());
        is_last && (status.state, status.pid) == ("starting", None)
    });
}

fn children() -> usize {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let children =
        threads.filter_map(|thread| std::fs::read_to_string(thread.ok()?.path().join("children")).ok());
    children.map(|children| children.split_whitespace().count()).sum()
}

fn slow_to_write(gate: Gate) {
    let folder = tempfile::tempdir().unwrap();
    let mut stage = Stage::with(Config { store_dir: Some(folder.path().to_path_buf()), ..config() });
    let stores = "
        def put(number):
            vh.store['big'] = [number, 'x' * 100_000]
        def get(): return vh.store['big'][0]
        ";
    let id = stage.load("stores.py", stores).id;
    let path = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let size = || std::fs::metadata(&path).unwrap().len();
    gate.shut();
    let mut number = 0i64;
    while !gate.holds_somebody() {
        stage.call(id, "put", &[number.into()]);
        number += 1;
        assert!(number < 1000, "the journal has {} bytes and is not written anew", size());
    }
    for _ in 0..100 {
        number += 1;
        stage.call(id, "put", &[number.into()]);
    }
    // Unloading does not wait for the disk either, and what was stored is all there.
    let id = again(&mut stage, id);
    assert_eq!(stage.call(id, "get", &[]), Value::Int(number));
    let before = size();
    gate.open();
    while size() >= before {
        number += 1;
        stage.call(id, "put", &[number.into()]);
    }
    // What was stored while the new journal was written is in it.
    let id = again(&mut stage, id);
    assert_eq!(stage.call(id, "get", &[]), Value::Int(number));
}

fn again(stage: &mut Stage, id: ScriptId) -> ScriptId {
    let path = stage.supervisor.status(id).unwrap().path;
    assert!(stage.supervisor.unload(&mut stage.host, id));
    stage.supervisor.load(&mut stage.host, &path).unwrap().id
}
