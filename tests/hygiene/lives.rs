//! What a hub lives through in each of the circumstances.

use crate::circumstances::{become_nobody, thread_becomes_nobody};
use crate::support;
use std::io::{BufRead, BufReader};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::Duration;

use crate::support::{LIMIT, Recorder, Stage, config, kill, wait_until};
use crate::*;
use vhpy::supervisor::{Config, RestartLimits};
use vhpy::{Hook, Value};

/// A stage whose folder everybody may read.
fn open_stage(config: Config) -> Stage {
    let stage = Stage::with(config);
    std::fs::set_permissions(stage.folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    stage
}

/// A script that everybody may read.
fn write_for_all(stage: &Stage, name: &str, source: &str) -> std::path::PathBuf {
    let path = stage.write(name, source);
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    path
}

/// Serves until there is a spare that the hub has taken note of and whose interpreter has
/// started, so that the next script gets it.
fn serve_until_spare(stage: &mut Stage) -> i64 {
    let mut spare = 0;
    stage.serve_until("a spare", |supervisor, _| {
        let used: Vec<_> =
            supervisor.scripts().iter().filter_map(|script| script.pid.map(i64::from)).collect();
        let mut spares = children().into_iter().filter(|pid| !used.contains(pid));
        spare = spares.find(|pid| has_handlers(*pid) && is_watched(supervisor.poll_fd(), *pid)).unwrap_or(0);
        spare != 0
    });
    // What it has said is heard.
    while support::poll(stage.supervisor.poll_fd(), 0) {
        stage.supervisor.serve(&mut stage.host);
    }
    spare
}

/// Whether the process handles a signal beyond those that Python itself does: the worker is there.
fn has_handlers(pid: i64) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap_or("0");
    u64::from_str_radix(caught.trim(), 16).unwrap_or(0) >> 31 != 0
}

/// Whether the end of this process is among what the descriptor waits for.
fn is_watched(epoll: i32, pid: i64) -> bool {
    let about = |fd: &str| std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    let is_it = |fd: &str| {
        let about = about(fd);
        let of = about.lines().find_map(|line| line.strip_prefix("Pid:"));
        of.and_then(|of| of.trim().parse().ok()) == Some(pid)
    };
    about(&epoll.to_string())
        .lines()
        .filter_map(|line| line.strip_prefix("tfd:")?.split_whitespace().next())
        .any(is_it)
}

fn is_nobody(stage: &mut Stage, id: vhpy::ScriptId) {
    let users = "list(os.getresuid() + os.getresgid()) + os.getgroups()";
    assert_eq!(stage.call(id, "ask", &[users.into()]), [65534i64; 6].into_iter().collect());
    let read = stage.supervisor.call(&mut stage.host, id, "ask", &["open('/etc/shadow').read()".into()]);
    let refused = read.expect_err("it may not read this").to_string();
    assert!(refused.contains("PermissionError"), "{refused}");
}

fn restarted(stage: &mut Stage, id: vhpy::ScriptId) {
    let before = stage.supervisor.status(id).unwrap().restarts;
    kill(stage.pid(id), libc::SIGKILL);
    stage.serve_until("the restart", |supervisor, _| {
        let status = supervisor.status(id).unwrap();
        status.restarts > before && status.state == "ready"
    });
}

/// What was started as root is given to no script after that, and ends although it may not be
/// signalled any more.
pub fn becomes_nobody(config: Config) {
    let timeouts =
        Config { hook_timeout: Duration::from_secs(1), kill_timeout: Duration::from_secs(1), ..config };
    let mut stage = open_stage(Config { spare: true, ..timeouts });
    let first = stage.load("first.py", ASKED).id;
    assert_eq!(stage.call(first, "ask", &["os.getuid()".into()]), Value::Int(0));
    let hangs = "import ctypes\nctypes.CDLL(None).prctl(1, 0)\ndef hang():\n    while True: pass\n\
                 def ask(what): return eval(what, {'os': __import__('os')})";
    let stays = write_for_all(&stage, "stays.py", hangs);
    let stays = stage.supervisor.load(&mut stage.host, &stays).unwrap().id;
    let stays_in = i64::from(stage.pid(stays));
    let spare = serve_until_spare(&mut stage);
    let second = write_for_all(&stage, "second.py", ASKED);
    assert!(become_nobody());
    let second = stage.supervisor.load(&mut stage.host, &second).unwrap().id;
    assert_ne!(i64::from(stage.pid(second)), spare);
    is_nobody(&mut stage, second);
    wait_until("the end of the spare that is root", || gone(spare));
    // And so are those that are started from now on, spares among them.
    serve_until_spare(&mut stage);
    restarted(&mut stage, second);
    is_nobody(&mut stage, second);
    // One that must be ended is, and is back.
    stage.supervisor.call(&mut stage.host, stays, "hang", &[]).expect_err("it hangs");
    stage.serve_until("the restart", |supervisor, _| {
        let status = supervisor.status(stays).unwrap();
        status.restarts == 1 && status.state == "ready"
    });
    assert!(gone(stays_in));
    is_nobody(&mut stage, stays);
}

/// A script waits for a process that was asked for by root.
pub fn becomes_nobody_meanwhile(config: Config) {
    let mut stage = open_stage(Config { kill_timeout: LIMIT, ..config });
    let path = write_for_all(&stage, "asked.py", ASKED);
    let id = stage.supervisor.load(&mut stage.host, &path).unwrap().id;
    let mut killed = None;
    stage.serve_until("a process that is awaited", |supervisor, _| {
        let status = supervisor.status(id).unwrap();
        if status.state == "ready" && status.pid != killed {
            kill(i32::try_from(status.pid.unwrap()).unwrap(), libc::SIGKILL);
            killed = status.pid;
        }
        (status.state, status.pid) == ("starting", None)
    });
    // It is there, or not; and the thread that starts it has come to rest.
    wait_until("the process", || !children().is_empty() && is_asleep("vhpy-spawn"));
    assert!(become_nobody());
    stage.serve_until("the restart", |supervisor, _| supervisor.status(id).unwrap().state == "ready");
    is_nobody(&mut stage, id);
}

/// Whether the thread of this name waits.
fn is_asleep(name: &str) -> bool {
    std::fs::read_dir("/proc/self/task").unwrap().any(|task| {
        let stat =
            task.and_then(|task| std::fs::read_to_string(task.path().join("stat"))).unwrap_or_default();
        stat.contains(&format!("({name}) S "))
    })
}

pub fn its_thread_becomes_nobody(config: Config) {
    for spare in [false, true] {
        // Who has become nobody comes never back, another thread does not become it.
        let config = Config { spare, ..config.clone() };
        let case = std::thread::spawn(move || {
            let mut stage = open_stage(config);
            let first = write_for_all(&stage, "first.py", ASKED);
            let second = write_for_all(&stage, "second.py", ASKED);
            let first = stage.supervisor.load(&mut stage.host, &first).unwrap().id;
            assert_eq!(stage.call(first, "ask", &["os.getuid()".into()]), Value::Int(0));
            assert!(thread_becomes_nobody());
            let second = stage.supervisor.load(&mut stage.host, &second).unwrap().id;
            is_nobody(&mut stage, second);
            restarted(&mut stage, second);
            is_nobody(&mut stage, second);
        });
        case.join().unwrap();
    }
}

/// No process more is allowed when the script dies: that is no death of its own, however often
/// it is tried, and it is back once one is allowed.
pub fn few_processes(config: Config) {
    let restart = RestartLimits { max_deaths: 2, ..RestartLimits::default() };
    let mut stage = Stage::with(Config { restart, ..config });
    let id = stage.load("asked.py", ASKED).id;
    let allow = |processes| {
        let limit = libc::rlimit { rlim_cur: processes, rlim_max: 10_000 };
        // SAFETY: the structure is valid for reading.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NPROC, &limit) }, 0);
    };
    allow(1);
    kill(stage.pid(id), libc::SIGKILL);
    // The first pause is a second, the next ones are longer.
    stage.serve_until("three attempts that fail", |supervisor, _| {
        let status = supervisor.status(id).unwrap();
        assert_ne!(status.state, "failed", "it was given up");
        status.restarts >= 3
    });
    let told: Vec<_> = stage.host.told.iter().filter(|told| told.contains("cannot be restarted")).collect();
    assert_eq!(told.len(), 1, "operators hear of it once: {:?}", stage.host.told);
    allow(10_000);
    stage.serve_until("the restart", |supervisor, _| supervisor.status(id).unwrap().state == "ready");
    assert_eq!(stage.call(id, "ask", &["1".into()]), Value::Int(1));
}

/// Where there is no other way, the message says which call it is and what to do.
pub fn says_what_is_refused(case: &str) {
    let (call, advice) = match case.split_once(' ') {
        Some((call, "refused")) => (call, "seccomp"),
        Some((call, _)) => (call, "newer kernel"),
        None => (case, ""),
    };
    let folder = tempfile::tempdir().unwrap();
    let said = match vhpy::Supervisor::new(config()) {
        Err(error) => error.to_string(),
        Ok(supervisor) => {
            let path = support::write_script(folder.path(), "asked.py", ASKED);
            supervisor.load(&mut Recorder::default(), &path).unwrap_err().to_string()
        }
    };
    assert!(said.contains(call) && said.contains(advice), "{said}");
}

/// What a script writes has the rights that the hub wants now, not when the spare was started.
pub fn other_umask(config: Config) {
    let mut stage = Stage::with(Config { spare: true, ..config });
    let id = stage.load("asked.py", ASKED).id;
    for umask in [0o077, 0o022, 0o027] {
        serve_until_spare(&mut stage);
        // SAFETY: a call without pointers.
        unsafe { libc::umask(umask) };
        restarted(&mut stage, id);
        let asked = stage.call(id, "ask", &["os.umask(0o777)".into()]);
        assert_eq!(asked, Value::Int(i64::from(umask)));
    }
}

/// Each script is continued by a spare of its own interpreter, whoever dies first.
pub fn spares_of_two_interpreters() {
    let mut stage = Stage::with(Config { spare: true, ..patient() });
    let own = stage.folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    let plain = stage.load("plain.py", ASKED).id;
    let prefix = |stage: &mut Stage, id| support::text(&stage.call(id, "ask", &["sys.prefix".into()]));
    let executable = support::text(&stage.call(plain, "ask", &["sys.executable".into()]));
    let made = Command::new(executable).args(["-m", "venv", "--without-pip"]).arg(own.join(".venv")).status();
    if !made.is_ok_and(|status| status.success()) {
        return println!("CASE SKIPPED: python3 -m venv fails");
    }
    let path = support::write_script(&own, "other.py", ASKED);
    let other = stage.supervisor.load(&mut stage.host, &path).unwrap().id;
    let of_plain = prefix(&mut stage, plain);
    let of_other = prefix(&mut stage, other);
    assert!(of_other.ends_with("own/.venv"), "{of_other}");
    assert_ne!(of_plain, of_other);
    let mut restarts: u64 = 0;
    for (id, prefix_of) in [(other, &of_other), (plain, &of_plain), (other, &of_other), (plain, &of_plain)] {
        restarts += 1;
        // Both processes, and a spare of each.
        stage.serve_until("two spares", |_, _| children().len() == 4);
        let spares = children();
        kill(stage.pid(id), libc::SIGKILL);
        let wanted = restarts.div_ceil(2);
        stage.serve_until("the restart", |supervisor, _| {
            let status = supervisor.status(id).unwrap();
            status.restarts == wanted && status.state == "ready"
        });
        assert!(spares.contains(&i64::from(stage.pid(id))), "a spare took over");
        assert_eq!(&prefix(&mut stage, id), prefix_of);
    }
}

/// Two scripts with stores on disk, in the parent and in a child: each goes on in both, and what is
/// on disk in the end is the parent's.
pub fn forks_with_stores() {
    const STORES: &str = "
        def put(value): vh.store['value'] = value
        def get(): return vh.store.get('value')
        def OnParsedMsgChat(nick, message): return 0
        ";
    let stores = tempfile::tempdir().unwrap();
    let config = || Config { store_dir: Some(stores.path().into()), ..patient() };
    let mut stage = Stage::with(config());
    let ids = ["one.py", "two.py"].map(|name| stage.load(name, STORES).id);
    for round in 0..3i64 {
        for (id, own) in ids.iter().zip([10, 20]) {
            stage.call(*id, "put", &[(round + own).into()]);
        }
        // SAFETY: the child uses what `after_fork` promises, and ends without destructors.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let mut all = stage.supervisor.after_fork(&mut stage.host).is_ok();
            for (id, own) in ids.iter().zip([10, 20]) {
                // Both scripts are there, with what was stored before.
                all &= stage.call(*id, "get", &[]) == Value::Int(round + own);
                stage.call(*id, "put", &[Value::from(-1i64)]);
                all &= stage.call(*id, "get", &[]) == Value::Int(-1);
            }
            let event = [Value::from("n"), Value::from("x")];
            all &= stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &event).blocked;
            stage.supervisor.shutdown(&mut stage.host);
            // SAFETY: calls without pointers.
            unsafe { libc::_exit(i32::from(!all)) };
        }
        let mut status = 0;
        // SAFETY: the status is valid for writing.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(status, 0, "the child of round {round}");
        for (id, own) in ids.iter().zip([10, 20]) {
            assert_eq!(stage.call(*id, "get", &[]), Value::Int(round + own), "the parent's own");
            stage.call(*id, "put", &[(round + own + 100).into()]);
        }
    }
    stage.supervisor.shutdown(&mut stage.host);
    // A script is known by its place in the scripts' folder.
    let mut next = Stage::with(config());
    let again = ["one.py", "two.py"].map(|name| next.load(name, STORES).id);
    for (id, own) in again.iter().zip([10, 20]) {
        assert_eq!(next.call(*id, "get", &[]), Value::Int(2 + own + 100));
    }
}

/// Forks at whatever moment the other threads are in: one reads what a script prints without
/// end, one starts processes. A child that touches what they share waits for ever.
pub fn forks() {
    let folder = tempfile::tempdir().unwrap();
    let control = folder.path().join("control");
    let mut stage = Stage::with(Config { spare: true, control: Some(control.clone()), ..patient() });
    let id = stage.load("asked.py", ASKED).id;
    stage.load("chatterer.py", "import threading\ndef chat():\n    while True: print('x' * 10)\nthreading.Thread(target=chat, daemon=True).start()");
    for number in 0..30 {
        kill(stage.pid(id), libc::SIGKILL);
        // Between the request for a process and its answer, a little later each time.
        for _ in 0..number % 10 {
            stage.supervisor.serve(&mut stage.host);
            std::thread::yield_now();
        }
        // SAFETY: the child uses what `after_fork` promises, and ends without destructors.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: calls without pointers.
            unsafe {
                libc::alarm(60);
                libc::_exit(life_of_a_child(&mut stage, id));
            }
        }
        assert!(child > 0);
        let mut status = 0;
        // SAFETY: the status is valid for writing.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert_eq!(
            status, 0,
            "fork {number}: the child ended with status {status:#x}; 14 is a minute's alarm"
        );
        // The control socket is the parent's, and still there.
        let mut hello = String::new();
        BufReader::new(UnixStream::connect(&control).unwrap()).read_line(&mut hello).unwrap();
        assert!(hello.contains("control"), "{hello}");
        let event = [Value::from("n"), Value::from("x")];
        assert!(stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &event).blocked);
    }
}

/// Its exit code: what did not work.
fn life_of_a_child(stage: &mut Stage, id: vhpy::ScriptId) -> i32 {
    let event = [Value::from("n"), Value::from("x")];
    if stage.supervisor.after_fork(&mut stage.host).is_err() {
        return 1;
    }
    if !stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &event).blocked {
        return 2;
    }
    for script in stage.supervisor.scripts() {
        stage.supervisor.last_lines(script.id);
    }
    kill(stage.pid(id), libc::SIGKILL);
    if !stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &event).blocked {
        return 3;
    }
    stage.supervisor.shutdown(&mut stage.host);
    0
}

/// An interpreter that every user may run.
pub fn python_for_all() -> Option<std::path::PathBuf> {
    ["/usr/bin/python3", "/usr/local/bin/python3"].map(std::path::PathBuf::from).into_iter().find(|python| {
        Command::new(python)
            .args(["-c", "import sys; sys.exit(sys.version_info < (3, 10))"])
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// Load, events, death, restart, function, unload: all of it works and leaves nothing.
pub fn one_life(config: Config, few_descriptors: bool) {
    let mut stage = Stage::with(config);
    let before = open_files();
    let event = |stage: &mut Stage, text: &'static str| {
        stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &["n".into(), text.into()]).blocked
    };
    let id = stage.load("asked.py", ASKED).id;
    assert!(event(&mut stage, "x"));
    let pid = stage.pid(id);
    assert!(!event(&mut stage, "die"));
    stage.serve_until("the restart", |supervisor, _| supervisor.status(id).unwrap().state == "ready");
    assert!(event(&mut stage, "x"));
    assert!(gone(i64::from(pid)), "the first process");
    let ask = |stage: &mut Stage, what: &'static str| stage.call(id, "ask", &[what.into()]);
    assert_eq!(ask(&mut stage, "list(signal.pthread_sigmask(signal.SIG_BLOCK, []))"), Value::List(vec![]));
    // SIGPIPE and SIGXFSZ are ignored by Python itself, SIGINT has its handler.
    let ignored = "sorted(int(s) for s in signal.valid_signals() if signal.getsignal(s) == signal.SIG_IGN)";
    assert_eq!(ask(&mut stage, ignored), [13i64, 25].into_iter().collect());
    assert_eq!(
        ask(&mut stage, "signal.getsignal(signal.SIGINT) == signal.default_int_handler"),
        Value::Bool(true)
    );
    assert_eq!(ask(&mut stage, "os.getpgrp() == os.getpid()"), Value::Bool(true));

    if few_descriptors {
        let mut loaded = 0;
        let refused = (0..100).find_map(|number| {
            let path = stage.write(&format!("more{number}.py"), ASKED);
            let result = stage.supervisor.load(&mut stage.host, &path);
            loaded += usize::from(result.is_ok());
            result.err()
        });
        let refused = refused.expect("64 descriptors do not do for 100 scripts").to_string();
        assert!(refused.contains("files"), "{refused}");
        assert!(loaded >= 3, "{loaded}");
        assert!(event(&mut stage, "x"), "those that are there go on");
        // None is free for the restart at first: it is tried again.
        // SAFETY: a system call without pointers; the descriptors are closed below.
        let mut taken = Vec::new();
        while let Ok(file) = std::fs::File::open("/dev/null") {
            taken.push(file);
        }
        kill(stage.pid(id), libc::SIGKILL);
        let told = |host: &Recorder| host.told.iter().any(|told| told.contains("cannot be restarted"));
        // Its own death frees some, which are taken, too. However often it is tried, the script
        // has died once.
        let mut attempts = 0;
        stage.serve_until("attempts that fail", |supervisor, _| {
            while let Ok(file) = std::fs::File::open("/dev/null") {
                taken.push(file);
            }
            let status = supervisor.status(id).unwrap();
            attempts = status.restarts;
            // Ready at once is ready as before the death.
            attempts >= 4 || attempts >= 2 && status.state == "ready"
        });
        if attempts >= 4 {
            assert!(told(&stage.host), "{:?}", stage.host.told);
        }
        let told = stage.host.told.iter().filter(|told| told.contains("cannot be restarted")).count();
        assert!(told <= 1, "operators hear of it once: {:?}", stage.host.told);
        drop(taken);
        stage.serve_until("the restart", |supervisor, _| supervisor.status(id).unwrap().state == "ready");
    }
    let pids: Vec<i64> =
        stage.supervisor.scripts().iter().filter_map(|script| script.pid).map(i64::from).collect();
    stage.supervisor.shutdown(&mut stage.host);
    assert!(pids.into_iter().all(gone));
    assert!(children().is_empty(), "zombies: {:?}", children());
    // Pipes are closed by another thread, once what they hold is read.
    wait_until("descriptors to be closed", || open_files() == before);
    let Stage { supervisor, folder, .. } = stage;
    drop(supervisor);
    drop(folder);
}
