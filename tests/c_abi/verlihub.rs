//! The adapter for Verlihub with a fake hub: what of it needs no Verlihub is compiled by the
//! system's compiler and runs with real scripts.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::support::compiled::{library, run, worker};
use crate::support::has;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn program() -> &'static Path {
    static PROGRAM: OnceLock<(tempfile::TempDir, PathBuf)> = OnceLock::new();
    let (_, program) = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder for the program");
        let program = folder.path().join("cases");
        let root = Path::new(ROOT);
        let adapter = root.join("plugin-abi/verlihub");
        let library = library();
        let beside = library.parent().expect("the library's folder");
        let mut compiler = Command::new("c++");
        compiler.args(["-std=c++17", "-Wall", "-Wextra", "-pedantic", "-Werror", "-g", "-pthread"]);
        compiler.arg("-I").arg(root.join("plugin-abi/include")).arg("-I").arg(&adapter);
        compiler.arg(root.join("tests/verlihub/fake/cases.cpp"));
        compiler.args(["callbacks.cpp", "scripts.cpp", "waiting.cpp"].map(|file| adapter.join(file)));
        compiler.arg("-o").arg(&program).arg(&library).arg(format!("-Wl,-rpath,{}", beside.display()));
        run(&mut compiler);
        (folder, program)
    });
    program
}

fn case(name: &str) {
    if !has(&["c++"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder for the hub");
    let scripts = folder.path().join("scripts");
    std::fs::create_dir(&scripts).expect("a folder for scripts");
    std::fs::copy(Path::new(ROOT).join("tests/verlihub/fake/fake.py"), scripts.join("fake.py"))
        .expect("the script");
    // The hub shows the folder's real path.
    let folder = folder.path().canonicalize().expect("the folder's path");
    run(Command::new(program()).arg(name).arg(folder).env("VHPY_WORKER", worker()));
}

#[test]
fn every_function_reaches_the_hub_with_its_arguments() {
    case("calls");
}

#[test]
fn a_hub_that_refuses_is_told_of() {
    case("refusals");
}

/// Also what needs Verlihub is compiled, against declarations of what it uses of that: a slip of
/// the pen is noticed where no Verlihub is installed.
#[test]
fn every_file_compiles() {
    if !has(&["c++"]) {
        return;
    }
    let root = Path::new(ROOT);
    let adapter = root.join("plugin-abi/verlihub");
    let files =
        std::fs::read_dir(&adapter).expect("the adapter's folder").map(|entry| entry.expect("a file").path());
    let sources: Vec<PathBuf> =
        files.filter(|file| file.extension().is_some_and(|suffix| suffix == "cpp")).collect();
    assert!(sources.len() >= 7, "{sources:?}");
    for source in sources {
        let mut compiler = Command::new("c++");
        compiler.args(["-std=c++17", "-fsyntax-only", "-fPIC", "-Wall", "-Wextra", "-Werror"]);
        compiler.arg("-DVERLIHUB_VERSION=\"1.7\"").arg("-I").arg(root.join("plugin-abi/include"));
        compiler.arg("-isystem").arg(root.join("tests/verlihub/declared"));
        run(compiler.arg(source));
    }
}

#[test]
fn events_and_their_answers() {
    case("events");
}

#[test]
fn the_operators_console() {
    case("console");
}

#[test]
fn commands_are_in_the_menus_of_clients() {
    case("menus");
}

#[test]
fn every_argument_fits_into_its_line() {
    case("grammar");
}

#[test]
fn what_a_script_may_not_do_in_an_event_waits_for_its_end() {
    case("waiting");
}

#[test]
fn options_in_the_hubs_configuration() {
    case("options");
}

#[test]
fn scripts_end_in_order_and_begin_again() {
    case("endings");
}

#[test]
fn a_scripts_thread_wakes_the_hub() {
    case("thread");
}

#[test]
fn half_an_installation_is_harmless() {
    case("broken");
}

/// What the plugin's own classes make of every event and every function, in a Verlihub that prints
/// what it is asked for.
#[test]
fn the_whole_plugin_does_as_is_written_down() {
    if !has(&["c++"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder for the hub");
    let place = folder.path().canonicalize().expect("the folder's path");
    let root = Path::new(ROOT);
    let fake = root.join("tests/verlihub/fake");
    let adapter = root.join("plugin-abi/verlihub");
    let (library, program) = (library(), folder.path().join("whole"));
    let mut compiler = Command::new("c++");
    compiler.args([
        "-std=c++17",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-g",
        "-pthread",
        "-DVERLIHUB_VERSION=\"1.7\"",
    ]);
    compiler.arg("-I").arg(root.join("plugin-abi/include"));
    compiler.arg("-isystem").arg(root.join("tests/verlihub/declared"));
    compiler.args(["whole.cpp", "printing_hub.cpp"].map(|file| fake.join(file)));
    let own = ["callbacks", "plugin", "scripts", "server", "server_admin", "waiting"];
    compiler.args(own.map(|file| adapter.join(file).with_extension("cpp")));
    let beside = library.parent().expect("the library's folder");
    compiler.arg("-o").arg(&program).arg(&library).arg(format!("-Wl,-rpath,{}", beside.display()));
    run(&mut compiler);
    std::fs::create_dir(folder.path().join("scripts")).expect("a folder for scripts");
    std::fs::copy(fake.join("whole.py"), folder.path().join("scripts/whole.py")).expect("the script");
    let output = Command::new(program).arg(&place).env("VHPY_WORKER", worker()).output().expect("it runs");
    let said = String::from_utf8_lossy(&output.stdout).replace(&*place.to_string_lossy(), "FOLDER");
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}\n{said}\n{log}", output.status);
    let file = fake.join("expected.txt");
    if std::env::var_os("UPDATE_EXPECTED").is_some() {
        std::fs::write(&file, &said).expect("expected.txt is written");
    }
    let expected = std::fs::read_to_string(&file).unwrap_or_default();
    let differs = expected.lines().zip(said.lines()).position(|(expected, said)| expected != said);
    let at = differs.unwrap_or(expected.lines().count().min(said.lines().count()));
    let near = |text: &str| text.lines().skip(at.saturating_sub(3)).take(8).collect::<Vec<_>>().join("\n");
    assert!(
        expected == said,
        "line {} of expected.txt (UPDATE_EXPECTED=1 writes it anew); expected:\n{}\n\nfound:\n{}\n\nlog:\n{log}",
        at + 1,
        near(&expected),
        near(&said)
    );
}
