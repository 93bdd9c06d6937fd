//! The C ABI with scripts: the C host loads them as a hub does and calls everything both ways.
//! The sizes are those of the suites of the plugin that this replaces.

use std::process::Command;
use std::sync::OnceLock;

use crate::support::compiled::{Host, library, run, run_cpp, source, worker};
use crate::support::has;

fn host() -> &'static Host {
    static HOST: OnceLock<Host> = OnceLock::new();
    HOST.get_or_init(|| Host::new(&[]))
}

/// One run of the host with a script.
fn check(host: &Host, name: &str, script: &str, count: u64) {
    let text = run(host.command().arg(name).arg(source(script)).arg(count.to_string()));
    // Seen with --nocapture: how long a million messages took, how much memory is out.
    println!("{}", text.lines().filter(|line| !line.starts_with("    log")).collect::<Vec<_>>().join("\n"));
}

#[test]
fn basics() {
    check(host(), "basics", "host.py", 1);
}

#[test]
fn a_hundred_thousand_hooks_functions_and_threads() {
    check(host(), "stress", "host.py", 100_000);
}

#[test]
fn a_million_messages() {
    check(host(), "messages", "host.py", 1_000_000);
}

#[test]
fn values_of_every_type() {
    check(host(), "types", "host.py", 1);
}

#[test]
fn every_call_in_both_numberings() {
    check(host(), "calls", "every_call.py", 1);
}

#[test]
fn functions_of_the_host() {
    check(host(), "dynamic", "host.py", 1);
}

#[test]
fn the_ways_of_hosts_of_the_old_library() {
    check(host(), "old_ways", "old_ways.py", 1);
}

#[test]
fn every_call_is_a_visit() {
    check(host(), "visits", "visits.py", 1);
}

#[test]
fn nesting_death_and_recovery() {
    check(host(), "recovery", "host.py", 1);
}

#[test]
fn a_hub_that_becomes_a_daemon() {
    check(host(), "fork", "host.py", 1);
}

/// The first event waits for the scripts of the child, however long they take to load.
#[test]
fn a_hub_that_becomes_a_daemon_where_python_starts_slowly() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let (script, bin) = (folder.path().join("host.py"), folder.path().join(".venv/bin"));
    std::fs::copy(source("host.py"), &script).expect("the script");
    std::fs::create_dir_all(&bin).expect("a folder");
    let python = bin.join("python");
    std::fs::write(&python, "#!/bin/sh\nsleep 0.5\nexec python3 \"$@\"\n").expect("an interpreter");
    std::fs::set_permissions(&python, PermissionsExt::from_mode(0o755)).expect("an interpreter");
    run(host().command().arg("fork").arg(script).arg("1"));
}

#[test]
fn a_signal_handler_that_calls_while_the_library_is_inside() {
    check(host(), "signals", "host.py", 300);
}

#[test]
fn one_event_for_all_scripts() {
    check(host(), "plugin", "host.py", 1);
}

#[test]
fn no_leak_in_a_hundred_thousand_events() {
    check(host(), "leaks", "host.py", 100_000);
}

#[test]
fn memory_under_the_address_sanitizer() {
    let host = Host::new(&["-fsanitize=address"]);
    for (name, script) in [
        ("basics", "host.py"),
        ("types", "host.py"),
        ("calls", "every_call.py"),
        ("dynamic", "host.py"),
        ("plugin", "host.py"),
    ] {
        check(&host, name, script, 1);
    }
    check(&host, "stress", "host.py", 2_000);
}

#[test]
fn memory_under_valgrind() {
    if !has(&["cc", "valgrind"]) {
        return;
    }
    let options = ["-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite"];
    for (name, script) in [("basics", "host.py"), ("calls", "every_call.py"), ("dynamic", "host.py")] {
        run(host().under("valgrind", &options).arg(name).arg(source(script)));
    }
}

/// A host in Python, which loads the library as any other does.
#[test]
fn every_option_has_its_effect() {
    run(Command::new("python3").arg(source("options.py")).arg(library()).env("VHPY_WORKER", worker()));
}

#[test]
fn cpp_functions_for_scripts() {
    run_cpp("lambdas.cpp", true);
}
