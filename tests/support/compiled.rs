//! The libraries of this build, and the C and C++ test hosts, which the system's compilers compile
//! and which run against them.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use super::skip::{find, has};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Cargo builds the library for integration tests, beside them or one level up.
pub fn library() -> PathBuf {
    let test = std::env::current_exe().expect("this test's own path");
    let found =
        test.ancestors().skip(1).take(2).map(|folder| folder.join("libvhpy.so")).find(|file| file.exists());
    found.unwrap_or_else(|| panic!("no libvhpy.so beside {}", test.display()))
}

/// The worker's library, built as this test is, or the one that `VHPY_WORKER` names. It is another
/// package of the workspace, which cargo does not build for this one's tests.
pub fn worker() -> &'static Path {
    static WORKER: OnceLock<PathBuf> = OnceLock::new();
    WORKER.get_or_init(|| {
        if let Some(path) = std::env::var_os("VHPY_WORKER") {
            return path.into();
        }
        let folder = library().parent().expect("the library's folder").to_owned();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--package", "vhpy-worker", "--manifest-path"]);
        build.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        run(&mut build);
        let target = folder.ancestors().find(|folder| folder.join("libvh_worker.so").exists());
        target.expect("libvh_worker.so").join("libvh_worker.so")
    })
}

/// A path below `tests/c`.
pub fn source(name: &str) -> PathBuf {
    Path::new(ROOT).join("tests/c").join(name)
}

/// Runs a command to its end and gives its output, or fails with all of it.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = text_of(&output);
    assert!(output.status.success(), "{command:?}: {}\n{text}", output.status);
    text
}

fn text_of(output: &Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    let text = String::from_utf8_lossy(&both).into_owned();
    // The end says why.
    text.chars().skip(text.chars().count().saturating_sub(20_000)).collect()
}

fn compiler(name: &str, standard: &str) -> Command {
    let mut command = Command::new(name);
    command.arg(format!("-std={standard}")).args([
        "-D_GNU_SOURCE",
        "-Wall",
        "-Wextra",
        "-pedantic",
        "-Werror",
        "-g",
    ]);
    command.arg("-I").arg(Path::new(ROOT).join("plugin-abi/include"));
    command
}

/// The C host, in a folder of its own.
pub struct Host {
    folder: tempfile::TempDir,
}

impl Host {
    /// Compiles it with these flags besides.
    pub fn new(flags: &[&str]) -> Host {
        let folder = tempfile::tempdir().expect("a folder for the host");
        let sources =
            ["host.c", "hub.c", "pack.c", "scripts.c", "life.c", "old_ways.c", "visits.c"].map(source);
        let mut command = compiler("cc", "c99");
        command
            .args(flags)
            .args(sources)
            .arg("-pthread")
            .arg("-o")
            .arg(folder.path().join("host"))
            .arg("-ldl");
        run(&mut command);
        Host { folder }
    }

    /// A command that starts it with the library.
    pub fn command(&self) -> Command {
        let mut command = Command::new(self.folder.path().join("host"));
        command.arg(library()).env("VHPY_WORKER", worker());
        command
    }

    /// The same under another program.
    pub fn under(&self, program: &str, options: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(options)
            .arg(self.folder.path().join("host"))
            .arg(library())
            .env("VHPY_WORKER", worker());
        command
    }
}

/// Compiles a header alone: by the first compiler, and by each of the others that there is.
pub fn check_header(header: &str, compilers: &[&str], standard: &str, language: &str) {
    if !has(&compilers[..1]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("only");
    std::fs::write(&file, format!("#include \"{header}\"\nint main(void) {{ return 0; }}\n"))
        .expect("a file");
    for name in compilers.iter().filter(|name| find(name).is_some()) {
        let mut command = compiler(name, standard);
        run(command.args(["-fsyntax-only", "-x", language]).arg(&file));
    }
}

/// Compiles a C++ program of `tests/c` and runs it with the library's path. Without a compiler the
/// test is skipped.
pub fn run_cpp(name: &str, linked: bool) {
    if !has(&["c++"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder for the program");
    let program = folder.path().join("program");
    let mut command = compiler("c++", "c++17");
    command.arg(source(name)).arg("-o").arg(&program);
    if linked {
        let library = library();
        let beside = library.parent().expect("the library's folder");
        command.arg(&library).arg(format!("-Wl,-rpath,{}", beside.display()));
    }
    run(command.arg("-ldl"));
    run(Command::new(&program).arg(library()).env("VHPY_WORKER", worker()));
}
