//! What a worker inherits, and what restarts, reloads and ends leave behind: nothing.

use crate::circumstances::{RESTARTS, run_again};
use crate::support;
use std::os::fd::{FromRawFd, OwnedFd};
use std::path::Path;

use crate::support::{Stage, kill};
use crate::*;
use vhpy::supervisor::Config;
use vhpy::{Hook, Value};

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

pub fn restarts_and_reloads() {
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

#[test]
fn a_spare_takes_over() {
    run_again("spare");
}

pub fn spare() {
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
