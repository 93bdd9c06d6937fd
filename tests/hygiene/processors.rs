//! The processor on which a script's process sleeps, and that nothing that runs in it sees anything of that.

use plugin_abi::{Hook, Value};
use vhpy::supervisor::Config;

use crate::ASKED;
use crate::support::{self, Stage, wait_until};

/// Those that this thread may run on.
fn processors() -> Vec<usize> {
    processors_of(0)
}

/// Those that a process's first thread may run on.
fn processors_of(pid: i32) -> Vec<usize> {
    // SAFETY: the set is plain data, and valid for writing so many bytes.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        assert_eq!(libc::sched_getaffinity(pid, size_of_val(&set), &mut set), 0);
        (0..1024).filter(|processor| libc::CPU_ISSET(*processor, &set)).collect()
    }
}

fn set_processors_of(pid: i32, processors: &[usize]) {
    // SAFETY: as above.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        processors.iter().for_each(|processor| libc::CPU_SET(*processor, &mut set));
        assert_eq!(libc::sched_setaffinity(pid, size_of_val(&set), &set), 0);
    }
}

/// Whether a process's first thread sleeps.
fn sleeps(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
}

fn as_list(processors: &[usize]) -> Value<'static> {
    processors.iter().map(|number| Value::from(*number as i64)).collect()
}

/// A process that sleeps between its events.
pub fn woken_again_and_again(config: Config) {
    let mut stage = Stage::with(config);
    let id = stage.load("asked.py", ASKED).id;
    for number in 0..20 {
        assert_eq!(stage.call(id, "ask", &[format!("{number} + 1").as_str().into()]), Value::Int(number + 1));
        wait_until("the process to sleep", || sleeps(stage.pid(id)));
    }
}

/// A script's process sleeps on the processor of the hub's thread where waking it there is
/// cheap; whatever runs in it finds the processors that it may use as if that were not so.
#[test]
fn a_sleeping_script_is_beside_the_hub_and_sees_nothing_of_it() {
    let all = processors();
    if all.len() < 2 {
        return support::cannot_run_here("there is one processor only");
    }
    let mut stage = Stage::new();
    let script = ASKED.replace("import os", "from concurrent import futures\n    import os, subprocess");
    let id = stage.load("asked.py", &script).id;
    let pid = stage.pid(id);
    let lies_down = || wait_until("it to sleep", || sleeps(pid));
    let mut ask = |what: &str| stage.call(id, "ask", &[what.into()]);

    ask("0");
    let own = "sorted(os.sched_getaffinity(0))";
    let of_a_thread =
        "futures.ThreadPoolExecutor(1).submit(lambda: sorted(os.sched_getaffinity(0))).result()";
    let of_a_child = "eval(subprocess.check_output([sys.executable, '-c', \
                      'import os; print(sorted(os.sched_getaffinity(0)))']))";
    // It sleeps beside the hub when that is tried, which is so within the first twenty times.
    for _ in 0..8 {
        for what in [own, of_a_thread, of_a_child, own] {
            lies_down();
            assert_eq!(ask(what), as_list(&all), "{what}");
        }
        what_is_set_counts(pid, &all, &mut ask);
    }
}

/// What somebody sets while it sleeps counts, and stays.
fn what_is_set_counts(pid: i32, all: &[usize], ask: &mut dyn FnMut(&str) -> Value<'static>) {
    let own = "sorted(os.sched_getaffinity(0))";
    let lies_down = || wait_until("it to sleep", || sleeps(pid));
    let last = &all[all.len() - 1..];
    lies_down();
    // Where it may be tied to, or not.
    let other = match processors_of(pid)[..] {
        [beside] => all.iter().copied().filter(|number| *number != beside).take(1).collect(),
        _ => all[..1].to_vec(),
    };
    set_processors_of(pid, &other);
    assert_eq!(ask(own), as_list(&other));
    lies_down();
    assert_eq!(ask(own), as_list(&other));
    // And what the script sets itself.
    ask(&format!("os.sched_setaffinity(0, {last:?})"));
    lies_down();
    assert_eq!(ask(own), as_list(last));
    ask(&format!("os.sched_setaffinity(0, {all:?})"));
    lies_down();
    assert_eq!(ask(own), as_list(all));
}

/// Scripts that are asked at once work at once.
#[test]
fn scripts_that_are_asked_together_stay_where_they_are() {
    let all = processors();
    let mut stage = Stage::new();
    let scripts: Vec<_> = (0..2).map(|number| stage.load(&format!("s{number}.py"), ASKED).id).collect();
    for id in &scripts {
        stage.call(*id, "ask", &["0".into()]);
    }
    // So often that who is asked alone sleeps beside the hub, for a trial at least.
    for _ in 0..18 {
        wait_until("it to sleep", || sleeps(stage.pid(scripts[0])));
        stage.call(scripts[0], "ask", &["0".into()]);
    }
    for round in 0..20 {
        let event = [Value::from("n"), Value::from("x")];
        assert!(stage.supervisor.event(&mut stage.host, Hook::OnParsedMsgChat, &event).blocked);
        if round == 0 {
            // The first may answer and lie down before the hub has found out that it is not alone.
            continue;
        }
        for id in &scripts {
            wait_until("it to sleep", || sleeps(stage.pid(*id)));
            assert_eq!(processors_of(stage.pid(*id)), all);
        }
    }
}
