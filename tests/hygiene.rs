//! What a script's process gets from the hub and what is left of it: descriptors, signals,
//! zombies, shared memory; under the circumstances that hubs run in.
//!
//! Some circumstances are a whole process's. For those this program runs itself again with
//! `HYGIENE_CASE` set; that is a hub with one script, which prints what it finds.

mod support;

use std::io::{BufRead, BufReader};
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use support::{LIMIT, Recorder, Stage, config, kill, wait_until};
use vhpy::supervisor::{Config, RestartLimits};
use vhpy::{Hook, Value};

fn patient() -> Config {
    let restart = RestartLimits { window: Duration::ZERO, ..RestartLimits::default() };
    Config { restart_wait: LIMIT, restart, ..config() }
}

/// A script that evaluates what it is asked.
const ASKED: &str = "
    import os, signal, sys
    def ask(what): return eval(what)
    def OnParsedMsgChat(nick, message):
        if message == 'die': os.abort()
        return 0
    ";

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn gone(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.is_empty() || stat.contains(") Z ")
}

// ---------------------------------------------------------------- one process

#[test]
fn no_descriptor_of_the_hub_is_in_a_worker() {
    let mut stage = Stage::new();
    // Without close-on-exec, as C hubs open theirs.
    // SAFETY: plain system calls; the descriptors belong to nobody else.
    let leaky: Vec<OwnedFd> = (0..20)
        .map(|_| unsafe { OwnedFd::from_raw_fd(libc::open(c"/dev/zero".as_ptr(), libc::O_RDONLY)) })
        .collect();
    // More of them come and go while processes are started.
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let opener = std::thread::spawn({
        let stop = stop.clone();
        move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                // SAFETY: as above.
                unsafe { libc::close(libc::open(c"/dev/zero".as_ptr(), libc::O_RDONLY)) };
                std::thread::yield_now();
            }
        }
    });
    for number in 0..20 {
        let id = stage.load(&format!("s{number}.py"), ASKED).id;
        let pid = stage.pid(id);
        let targets: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok())
            .map(|target| target.display().to_string())
            .collect();
        for target in &targets {
            let is_ours = target.starts_with("pipe:")
                || target == "/dev/null"
                || target.starts_with("/memfd:vhpy")
                || target.starts_with("anon_inode:[eventfd]");
            assert!(is_ours, "{targets:?}");
        }
        assert_eq!(targets.iter().filter(|target| target.starts_with("pipe:")).count(), 5, "{targets:?}");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    opener.join().unwrap();
    drop(leaky);
}

#[test]
fn what_a_script_starts_inherits_nothing_of_the_link() {
    let mut stage = Stage::new();
    let id = stage.load("asked.py", ASKED).id;
    let code = "__import__('subprocess').run([sys.executable, '-c', \
                'import os; print(sorted(map(int, os.listdir(\"/proc/self/fd\"))))'], \
                capture_output=True, close_fds=False).stdout.decode()";
    let listed = support::text(&stage.call(id, "ask", &[code.into()]));
    assert!(listed.starts_with("[0, 1, 2, 3]"), "0 to 2, and the folder that is listed: {listed}");
}

#[test]
fn nothing_is_left_after_restarts_and_reloads() {
    run_again(RESTARTS);
}

fn restarts_and_reloads() {
    let before = open_files();
    let mut stage = Stage::with(patient());
    let id = stage.load("asked.py", ASKED).id;
    for _ in 0..5 {
        kill(stage.pid(id), libc::SIGKILL);
        let event = [Value::from("n"), Value::from("x")];
        assert!(stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &event).blocked);
        stage.supervisor.reload(&mut stage.host, id).unwrap();
    }
    let pid = stage.pid(id);
    stage.supervisor.shutdown(&mut stage.host);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
    drop(stage);
    assert_eq!(open_files(), before, "descriptors");
    let memory = std::fs::read_to_string("/proc/self/maps").unwrap();
    assert!(!memory.contains("memfd:vhpy"), "shared memory: {memory}");
    assert_eq!(children(), [] as [i64; 0]);
}

#[test]
fn dropping_the_supervisor_ends_everything() {
    let mut stage = Stage::with(Config { spare: true, ..patient() });
    let id = stage.load("asked.py", ASKED).id;
    let pid = stage.pid(id);
    let Stage { supervisor, .. } = stage;
    drop(supervisor);
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

// ---------------------------------------------------------------- hot spares

/// The processes that this one has started as spares: its children without a script.
fn children() -> Vec<i64> {
    let own = std::process::id();
    let mut found = Vec::new();
    for task in std::fs::read_dir("/proc/self/task").unwrap() {
        let path = task.unwrap().path().join("children");
        let listed = std::fs::read_to_string(path).unwrap_or_default();
        found.extend(listed.split_whitespace().filter_map(|pid| pid.parse::<i64>().ok()));
    }
    assert!(!found.contains(&i64::from(own)));
    found
}

#[test]
fn a_spare_takes_over() {
    run_again("spare");
}

fn spare() {
    let mut stage = Stage::with(Config { spare: true, ..patient() });
    let id = stage.load("asked.py", ASKED).id;
    let spare_of = |stage: &mut Stage| {
        let mut found = None;
        stage.serve_until("a spare", |supervisor, _| {
            let own = supervisor.scripts()[0].pid.map(i64::from);
            let others: Vec<_> =
                children().into_iter().filter(|pid| Some(*pid) != own && !gone(*pid)).collect();
            assert!(others.len() <= 1, "one per interpreter: {others:?}");
            found = others.first().copied();
            found.is_some()
        });
        found.unwrap()
    };
    let spare = spare_of(&mut stage);
    kill(stage.pid(id), libc::SIGKILL);
    stage.serve_until("the restart", |supervisor, _| {
        let status = supervisor.status(id).unwrap();
        status.restarts == 1 && status.state == "ready"
    });
    assert_eq!(i64::from(stage.pid(id)), spare, "the script is where the spare was");
    let event = [Value::from("n"), Value::from("x")];
    assert!(stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &event).blocked);

    let next = spare_of(&mut stage);
    assert_ne!(next, spare);
    kill(i32::try_from(next).unwrap(), libc::SIGKILL);
    stage.serve_until("another spare", |_, _| gone(next));
    assert_ne!(spare_of(&mut stage), next);
    assert!(stage.host.told.len() == 1, "operators do not care about spares: {:?}", stage.host.told);

    // Switched off.
    stage.supervisor.configure(|config| config.spare = false);
    stage.supervisor.reload(&mut stage.host, id).unwrap();
    stage.serve_until("no spare", |supervisor, _| {
        let own = supervisor.scripts()[0].pid.map(i64::from);
        children().into_iter().all(|pid| Some(pid) == own)
    });
    // And back on, until no script is left that could need it.
    stage.supervisor.configure(|config| config.spare = true);
    stage.supervisor.reload(&mut stage.host, id).unwrap();
    spare_of(&mut stage);
    stage.supervisor.unload(&mut stage.host, id);
    stage.serve_until("no spare", |_, _| children().is_empty());
}

// ---------------------------------------------------------------- circumstances

/// With a spare as well.
const INTERRUPTED: &str = "signals all the time";

/// After its first script, and with a spare.
const BECOMES_NOBODY: &str = "becomes nobody";
/// While a process is being started that a script waits for.
const BECOMES_NOBODY_MEANWHILE: &str = "becomes nobody while a process is started";
/// With the system call, which is for one thread: the one that starts processes stays root.
const ITS_THREAD_BECOMES_NOBODY: &str = "its thread becomes nobody";
/// The limit of processes does not hold for root.
const NOBODY_FEW_PROCESSES: &str = "nobody, few processes";
/// After its spare was started.
const OTHER_UMASK: &str = "sets its umask";

/// Nothing else in the process has descriptors meanwhile.
const RESTARTS: &str = "restarts and reloads";

/// Name and what it does to the process before there is a supervisor; false: not possible here.
type Case = (&'static str, fn() -> bool);

const CASES: [Case; 27] = [
    ("plain", || true),
    (RESTARTS, || true),
    ("two interpreters", || true),
    ("forks with stores", || true),
    ("spare", || true),
    ("forks", || true),
    ("sigchld ignored", || set_signal(libc::SIGCHLD, libc::SIG_IGN)),
    ("children reaped", reap_all_children),
    ("signals ignored and blocked", || {
        for signal in [libc::SIGINT, libc::SIGPIPE, libc::SIGTERM, libc::SIGHUP, libc::SIGUSR1] {
            set_signal(signal, libc::SIG_IGN);
        }
        // SAFETY: the set is filled before it is used.
        unsafe {
            let mut all = std::mem::zeroed();
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &all, std::ptr::null_mut()) == 0
        }
    }),
    (INTERRUPTED, interrupt_all_the_time),
    ("sigpipe deadly", || set_signal(libc::SIGPIPE, libc::SIG_DFL)),
    ("no locked memory", || set_limit(libc::RLIMIT_MEMLOCK, 0)),
    ("few descriptors", || set_limit(libc::RLIMIT_NOFILE, 64)),
    ("no shm", without_shm),
    ("nobody", become_nobody),
    (BECOMES_NOBODY, is_root),
    (BECOMES_NOBODY_MEANWHILE, is_root),
    (ITS_THREAD_BECOMES_NOBODY, is_root),
    (OTHER_UMASK, || true),
    (NOBODY_FEW_PROCESSES, become_nobody),
    // Older filters of containers do not know it; there is another way.
    ("pidfd_open forbidden", || forbid(libc::SYS_pidfd_open, libc::EPERM)),
    ("pidfd_open unknown", || forbid(libc::SYS_pidfd_open, libc::ENOSYS)),
    ("memfd_create refused", || forbid(libc::SYS_memfd_create, libc::EPERM)),
    ("memfd_create not known", || forbid(libc::SYS_memfd_create, libc::ENOSYS)),
    ("eventfd2 refused", || forbid(libc::SYS_eventfd2, libc::EPERM)),
    ("timerfd_create refused", || forbid(libc::SYS_timerfd_create, libc::EPERM)),
    ("epoll_create1 refused", || forbid(libc::SYS_epoll_create1, libc::EPERM)),
];

fn set_signal(signal: i32, handler: libc::sighandler_t) -> bool {
    // SAFETY: ignoring or resetting a signal runs no code.
    unsafe { libc::signal(signal, handler) != libc::SIG_ERR }
}

fn set_limit(resource: libc::__rlimit_resource_t, limit: u64) -> bool {
    let limit = libc::rlimit { rlim_cur: limit, rlim_max: limit };
    // SAFETY: the structure is valid for reading.
    unsafe { libc::setrlimit(resource, &limit) == 0 }
}

extern "C" fn reap(_signal: i32) {
    // SAFETY: waitpid is allowed in signal handlers; errno is put back.
    unsafe {
        let errno = *libc::__errno_location();
        while libc::waitpid(-1, std::ptr::null_mut(), libc::WNOHANG) > 0 {}
        *libc::__errno_location() = errno;
    }
}

fn reap_all_children() -> bool {
    set_signal(libc::SIGCHLD, reap as extern "C" fn(i32) as libc::sighandler_t)
}

extern "C" fn nothing(_signal: i32) {}

/// Signals that the hub handles interrupt its thread wherever it waits.
fn interrupt_all_the_time() -> bool {
    // SAFETY: the handler does nothing; the structure is valid when it is read.
    let hub = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(i32) as libc::sighandler_t;
        if libc::sigaction(libc::SIGALRM, &action, std::ptr::null_mut()) != 0 {
            return false;
        }
        libc::gettid()
    };
    std::thread::spawn(move || {
        // SAFETY: system calls without pointers; one for a thread that has ended fails.
        while unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), hub, libc::SIGALRM) } == 0 {
            std::thread::sleep(std::time::Duration::from_micros(100));
        }
    });
    true
}

/// Makes a system call fail from now on in this thread and those that it starts, and their children,
/// as the filters of containers do.
fn forbid(call: libc::c_long, number: i32) -> bool {
    let call = u32::try_from(call).unwrap();
    let code = |code| u16::try_from(code).unwrap();
    let number = u32::try_from(number).unwrap();
    let mut filter = [
        // The call's number; if it is this one, the error, else nothing.
        libc::sock_filter { code: code(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS), jt: 0, jf: 0, k: 0 },
        libc::sock_filter { code: code(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K), jt: 0, jf: 1, k: call },
        libc::sock_filter {
            code: code(libc::BPF_RET | libc::BPF_K),
            jt: 0,
            jf: 0,
            k: libc::SECCOMP_RET_ERRNO | number,
        },
        libc::sock_filter {
            code: code(libc::BPF_RET | libc::BPF_K),
            jt: 0,
            jf: 0,
            k: libc::SECCOMP_RET_ALLOW,
        },
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_mut_ptr() };
    // SAFETY: the program and its four steps live until the calls return.
    unsafe {
        libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
            && libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &program) == 0
    }
}

fn is_root() -> bool {
    // SAFETY: a call without pointers.
    unsafe { libc::geteuid() == 0 }
}

fn without_shm() -> bool {
    // SAFETY: the strings end with NUL; only this process's view of the files changes.
    unsafe {
        is_root()
            && libc::unshare(libc::CLONE_NEWNS) == 0
            && libc::mount(
                std::ptr::null(),
                c"/".as_ptr(),
                std::ptr::null(),
                libc::MS_REC | libc::MS_PRIVATE,
                std::ptr::null(),
            ) == 0
    }
}

fn become_nobody() -> bool {
    // SAFETY: system calls without pointers, but for an empty list.
    unsafe {
        is_root()
            && libc::setgroups(0, std::ptr::null()) == 0
            && libc::setgid(65534) == 0
            && libc::setuid(65534) == 0
            // As a program that gave up its rights would be otherwise.
            && libc::prctl(libc::PR_SET_DUMPABLE, 1) == 0
    }
}

/// The calling thread alone.
fn thread_becomes_nobody() -> bool {
    const NOBODY: libc::uid_t = 65534;
    // SAFETY: system calls without pointers, but for an empty list.
    unsafe {
        libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) == 0
            && libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY) == 0
            && libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) == 0
            && libc::prctl(libc::PR_SET_DUMPABLE, 1) == 0
    }
}

fn run_again(case: &str) {
    let own = std::env::current_exe().unwrap();
    // Another user must be able to use it; removed here, where that is allowed.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    let output = Command::new(own)
        .args(["--exact", "the_case", "--nocapture", "--include-ignored"])
        .env("HYGIENE_CASE", case)
        .env("HYGIENE_FOLDER", folder.path())
        .env("TMPDIR", folder.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let said =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{case}: {}\n{said}", output.status);
    if let Some((_, rest)) = said.split_once("CASE SKIPPED: ") {
        let why = rest.lines().next().unwrap_or_default();
        support::cannot_run_here(&format!("case \"{case}\": {why}"));
    } else {
        assert!(said.contains("CASE OK"), "{case}: {said}");
    }
}

#[test]
fn it_works_whatever_the_hub_does_with_signals_and_limits() {
    for (case, _) in CASES {
        run_again(case);
    }
}

/// The body of the process that `run_again` starts.
#[test]
#[ignore = "run by the others"]
fn the_case() {
    let Ok(name) = std::env::var("HYGIENE_CASE") else { return };
    let (_, prepare) = CASES.iter().find(|(case, _)| *case == name).unwrap();
    // What nobody may read is read before.
    let mut config = patient();
    config.spare = name == INTERRUPTED;
    if name == "few descriptors" {
        // No failed start counts as a death, or the script would stay down.
        config.restart = RestartLimits { max_deaths: 2, ..RestartLimits::default() };
    }
    if name.contains("nobody") {
        match python_for_all() {
            Some(python) => config.python = Some(python),
            None => return println!("CASE SKIPPED: no Python from 3.10 on in /usr/bin or /usr/local/bin"),
        }
        let folder = std::path::PathBuf::from(std::env::var_os("HYGIENE_FOLDER").unwrap());
        let worker = folder.join("libvh_worker.so");
        let built = std::env::current_exe().unwrap();
        std::fs::copy(built.ancestors().nth(2).unwrap().join("libvh_worker.so"), &worker).unwrap();
        config.worker = Some(worker);
    }
    if !prepare() {
        return println!("CASE SKIPPED: it needs root, or the system refuses it");
    }
    match name.as_str() {
        "spare" => spare(),
        RESTARTS => restarts_and_reloads(),
        "two interpreters" => spares_of_two_interpreters(),
        "forks with stores" => forks_with_stores(),
        "forks" => forks(),
        BECOMES_NOBODY => becomes_nobody(config),
        BECOMES_NOBODY_MEANWHILE => becomes_nobody_meanwhile(config),
        ITS_THREAD_BECOMES_NOBODY => its_thread_becomes_nobody(config),
        OTHER_UMASK => other_umask(config),
        NOBODY_FEW_PROCESSES => few_processes(config),
        refused if refused.ends_with("refused") || refused.ends_with("not known") => {
            says_what_is_refused(refused)
        }
        _ => one_life(config, name == "few descriptors"),
    }
    println!("CASE OK");
}

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
fn becomes_nobody(config: Config) {
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
fn becomes_nobody_meanwhile(config: Config) {
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

fn its_thread_becomes_nobody(config: Config) {
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
fn few_processes(config: Config) {
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
fn says_what_is_refused(case: &str) {
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
fn other_umask(config: Config) {
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
fn spares_of_two_interpreters() {
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
fn forks_with_stores() {
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
fn forks() {
    let mut stage = Stage::with(Config { spare: true, ..patient() });
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
fn python_for_all() -> Option<std::path::PathBuf> {
    ["/usr/bin/python3", "/usr/local/bin/python3"].map(std::path::PathBuf::from).into_iter().find(|python| {
        Command::new(python)
            .args(["-c", "import sys; sys.exit(sys.version_info < (3, 10))"])
            .status()
            .is_ok_and(|status| status.success())
    })
}

/// Load, events, death, restart, function, unload: all of it works and leaves nothing.
fn one_life(config: Config, few_descriptors: bool) {
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

// ---------------------------------------------------------------- the hub's own death

#[test]
fn workers_die_with_a_hub_that_is_killed() {
    kill_a_hub("hub");
    if is_root() {
        kill_a_hub("hub that has become nobody");
    } else {
        support::cannot_run_here("case \"hub that has become nobody\": it needs root");
    }
}

fn kill_a_hub(case: &str) {
    let own = std::env::current_exe().unwrap();
    let mut hub = Command::new(own)
        .args(["--exact", "a_hub_to_kill", "--nocapture", "--include-ignored"])
        .env("HYGIENE_CASE", case)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let mut pids = Vec::new();
    for line in BufReader::new(hub.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        if let Some(listed) = line.strip_prefix("WORKERS ") {
            pids = listed.split_whitespace().map(|pid| pid.parse::<i64>().unwrap()).collect();
            break;
        }
    }
    assert_eq!(pids.len(), 6, "five scripts and a spare");
    assert!(pids.iter().all(|pid| !gone(*pid)));
    hub.kill().unwrap();
    hub.wait().unwrap();
    wait_until("the workers' end", || pids.iter().all(|pid| gone(*pid)));
}

/// The body of the process that `workers_die_with_a_hub_that_is_killed` starts.
#[test]
#[ignore = "run by the other"]
fn a_hub_to_kill() {
    let Ok(case) = std::env::var("HYGIENE_CASE") else { return };
    let mut stage = Stage::with(Config { spare: true, ..patient() });
    stage.load("idle.py", ASKED);
    stage.load(
        "busy.py",
        "import threading\ndef work():\n    while True: pass\nthreading.Thread(target=work).start()",
    );
    stage.load("deaf.py", "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))");
    // Who does not want to die with its parent dies of the end of its pipe; who has closed that,
    // of the end of another, as soon as it waits for the hub.
    stage.load(
        "stays.py",
        "import ctypes, threading\nctypes.CDLL(None).prctl(1, 0)\n\
         def work():\n    while True: pass\nthreading.Thread(target=work).start()",
    );
    stage.load("stays_idle.py", "import ctypes, os\nctypes.CDLL(None).prctl(1, 0)\nos.close(6)");
    stage.serve_until("a spare", |_, _| children().len() == 6);
    // The spare must have come far enough to ask for its death.
    let pids: Vec<String> = children().iter().map(i64::to_string).collect();
    // The folder of scripts goes with the hub's last breath otherwise.
    let _ = std::fs::remove_dir_all(stage.folder.path());
    let becomes_nobody = case == "hub that has become nobody";
    if becomes_nobody {
        assert!(become_nobody());
    }
    println!("\nWORKERS {}", pids.join(" "));
    if becomes_nobody {
        // The spare that is root would be ended by the next visit.
        std::thread::park();
    }
    loop {
        support::poll(stage.supervisor.poll_fd(), 1000);
        stage.supervisor.serve(&mut stage.host);
    }
}
