//! What `make install` puts in place is all that a hub in C needs, `make uninstall` leaves nothing of
//! it, and `cargo install vhpy` is refused.
#![cfg(feature = "cli")]

#[path = "../../build/cargo_install.rs"]
mod cargo_install;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::compiled::{library, run, worker};
use crate::support::has;
use cargo_install::{Purpose, REFUSAL, purpose};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// `make TARGET` with a prefix, of what this build has built.
fn make(target: &str, prefix: &Path) -> Command {
    let mut make = Command::new("make");
    make.args(["--no-print-directory", "-C", ROOT, target, "DEBUG_FILES=no", "LDCONFIG=true"]);
    let folder = |file: &Path| file.parent().unwrap().display().to_string();
    make.arg(format!("BUILT={}", folder(env!("CARGO_BIN_EXE_vhpy").as_ref())));
    make.arg(format!("LIBRARY={}", folder(&library())));
    make.arg(format!("PREFIX={}", prefix.display()));
    // As in a machine without Rust.
    make.env("CARGO", "/nonexistent/cargo");
    make
}

/// The first block of C in the manual.
fn hub_in_the_manual() -> String {
    let manual = fs::read_to_string(Path::new(ROOT).join("docs/embedding.md")).unwrap();
    let (_, from) = manual.split_once("```c\n").unwrap();
    from.split_once("```").unwrap().0.to_owned()
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect()
}

#[test]
fn a_hub_in_c_is_built_and_runs_with_what_was_installed_and_nothing_is_left_of_it() {
    if !has(&["cc", "make", "objcopy", "pkg-config"]) {
        return;
    }
    worker();
    let folder = tempfile::tempdir().unwrap();
    let prefix = folder.path().join("prefix");
    run(&mut make("install", &prefix));
    fs::write(folder.path().join("hub.c"), hub_in_the_manual()).unwrap();
    fs::write(folder.path().join("welcome.py"), "open('seen', 'w').write('loaded')\n").unwrap();
    let environment = |command: &mut Command| {
        command.current_dir(folder.path()).env("PKG_CONFIG_PATH", prefix.join("share/pkgconfig"));
        command.env_remove("VHPY_WORKER").env_remove("LD_LIBRARY_PATH");
    };
    let mut build = Command::new("sh");
    build.args(["-c", "cc -Wall -o hub hub.c $(pkg-config --cflags --libs vhpy)"]);
    environment(&mut build);
    run(&mut build);
    let mut hub = Command::new("./hub");
    environment(&mut hub);
    run(&mut hub);
    assert_eq!(fs::read_to_string(folder.path().join("seen")).unwrap(), "loaded");

    let mut version = Command::new(prefix.join("bin/vhpy"));
    environment(version.arg("--version"));
    let said = run(&mut version);
    let expected = fs::canonicalize(prefix.join("lib/libvh_worker.so")).unwrap();
    assert!(said.ends_with(&format!(", {}\n", expected.display())), "{said}");
    let mut version = Command::new("pkg-config");
    environment(version.args(["--modversion", "vhpy"]));
    assert_eq!(run(&mut version).trim(), env!("CARGO_PKG_VERSION"));

    run(&mut make("uninstall", &prefix));
    assert_eq!(files_below(&prefix), Vec::<PathBuf>::new());
}

#[test]
fn nothing_is_built_by_make_install() {
    if !has(&["make"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut make = make("install", folder.path());
    let output = make.arg(format!("BUILT={}", folder.path().display())).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("run  make all library  first"), "{said}");
    assert_eq!(files_below(folder.path()), Vec::<PathBuf>::new());
}

#[test]
fn cargo_install_is_told_from_every_other_build() {
    for (line, target, expected) in [
        ("cargo install vhpy", "/tmp/cargo-installAb12Cd/release", Purpose::InstallOfThis),
        ("/usr/bin/cargo +1.89 -Z x --color never install --locked vhpy@0.1.0", "/t", Purpose::InstallOfThis),
        (
            "cargo install --git https://github.com/vhpy/vhpy",
            "/tmp/cargo-installAb12Cd/release",
            Purpose::Install,
        ),
        ("cargo install --path .", "/src/target/release", Purpose::Install),
        // Another program that embeds the library.
        ("cargo install my-hub", "/tmp/cargo-installAb12Cd/release", Purpose::Install),
        // An alias, and a system without /proc.
        ("cargo i vhpy", "/tmp/cargo-installAb12Cd/release", Purpose::Install),
        ("", "/tmp/cargo-installAb12Cd/release", Purpose::Install),
        ("cargo build --release", "/src/target/release", Purpose::Other),
        ("cargo test install", "/src/target/debug", Purpose::Other),
        ("cargo run -- install vhpy", "/src/target/debug", Purpose::Other),
        ("cargo --config install package", "/src/target/package/vhpy-0.1.0", Purpose::Other),
        ("", "/src/target/release", Purpose::Other),
    ] {
        let out_dir = format!("{target}/build/vhpy-0123456789abcdef/out");
        assert_eq!(purpose(line.split(' '), &out_dir), expected, "{line}");
    }
    for way in ["pip install vhpy-hub", "dpkg -i vhpy_", "make all library"] {
        assert!(REFUSAL.contains(way), "{REFUSAL}");
    }
}
