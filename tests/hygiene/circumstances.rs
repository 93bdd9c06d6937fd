//! The circumstances of a whole process, and how it is brought about that they hold.

use crate::leftovers::{restarts_and_reloads, spare};
use crate::lives::*;
use crate::processors::woken_again_and_again;
use crate::support;
use std::process::{Command, Stdio};

use crate::*;
use vhpy::supervisor::RestartLimits;

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
pub const RESTARTS: &str = "restarts and reloads";

/// Nobody may choose a processor.
const NO_CHOICE: &str = "no choice of processor";

/// Name and what it does to the process before there is a supervisor; false: not possible here.
type Case = (&'static str, fn() -> bool);

const CASES: [Case; 28] = [
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
    (NO_CHOICE, || forbid(libc::SYS_sched_setaffinity, libc::EPERM)),
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

pub fn is_root() -> bool {
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

pub fn become_nobody() -> bool {
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
pub fn thread_becomes_nobody() -> bool {
    const NOBODY: libc::uid_t = 65534;
    // SAFETY: system calls without pointers, but for an empty list.
    unsafe {
        libc::syscall(libc::SYS_setgroups, 0, std::ptr::null::<libc::gid_t>()) == 0
            && libc::syscall(libc::SYS_setresgid, NOBODY, NOBODY, NOBODY) == 0
            && libc::syscall(libc::SYS_setresuid, NOBODY, NOBODY, NOBODY) == 0
            && libc::prctl(libc::PR_SET_DUMPABLE, 1) == 0
    }
}

/// What it says.
pub fn run_again(case: &str) -> String {
    let own = std::env::current_exe().unwrap();
    // Another user must be able to use it; removed here, where that is allowed.
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o1777)).unwrap();
    let output = Command::new(own)
        .args(["--exact", "circumstances::the_case", "--nocapture", "--include-ignored"])
        .env("HYGIENE_CASE", case)
        .env("HYGIENE_FOLDER", folder.path())
        .env("TMPDIR", folder.path())
        .env("RUST_LOG", "warn")
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
    said
}

#[test]
fn it_works_whatever_the_hub_does_with_signals_and_limits() {
    for (case, _) in CASES {
        let said = run_again(case);
        // Where the kernel lets scripts sleep beside the hub anyway, there is nothing to say.
        let refused = said.matches("scripts cannot choose their processor").count();
        assert!(refused <= usize::from(case == NO_CHOICE), "{case}: {said}");
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
        NO_CHOICE => woken_again_and_again(config),
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
