//! Compiles the C ABI's two variadic functions and makes `libvhpy.so` stay where it is; with the
//! feature `baseline`, builds what the benchmarks compare with. Refuses `cargo install vhpy`.

mod cargo_install;

use std::process::{Command, ExitCode};

use cargo_install::{Purpose, REFUSAL, purpose};

fn main() -> ExitCode {
    println!("cargo:rerun-if-changed=build");
    println!("cargo:rustc-check-cfg=cfg(cargo_install)");
    match purpose_of_this_build() {
        Purpose::Other => {}
        Purpose::Install => {
            // The program says it, if it is what gets compiled: an embedder's build compiles the library.
            println!("cargo:rustc-cfg=cargo_install");
            println!("cargo:rustc-env=VHPY_REFUSAL={}", REFUSAL.replace('\n', " "));
            // What this run found out is not for the next build.
            println!("cargo:rerun-if-changed=build/is-asked-again");
        }
        Purpose::InstallOfThis => {
            eprintln!("{REFUSAL}");
            return ExitCode::FAILURE;
        }
    }
    println!("cargo:rerun-if-changed=src/ffi/variadic.c");
    let include = std::env::var("DEP_VHPY_ABI_INCLUDE").unwrap_or_else(|_| "plugin-abi/include".into());
    println!("cargo:rerun-if-changed={include}/vhpy.h");
    cc::Build::new()
        .file("src/ffi/variadic.c")
        .include(include)
        .std("c99")
        .warnings(true)
        .extra_warnings(true)
        .compile("vhpy_variadic");
    // A hub may dlclose the library while thread-local data and fork handlers still point
    // into it. It is mapped once and stays; opening it again finds it as it was.
    println!("cargo:rustc-cdylib-link-arg=-Wl,-z,nodelete");
    if std::env::var_os("CARGO_FEATURE_BASELINE").is_some() {
        baseline();
    }
    ExitCode::SUCCESS
}

/// Cargo is the process that has started this one.
fn purpose_of_this_build() -> Purpose {
    let command_line = std::fs::read(format!("/proc/{}/cmdline", std::os::unix::process::parent_id()));
    let command_line =
        command_line.map(|words| String::from_utf8_lossy(&words).into_owned()).unwrap_or_default();
    purpose(command_line.split('\0'), &std::env::var("OUT_DIR").unwrap_or_default())
}

/// What the interpreter tells about itself, a line each.
const QUESTION: &str = "\
import sys, sysconfig
get = sysconfig.get_config_var
print(get('INCLUDEPY'), get('LIBDIR'), 'python' + get('LDVERSION'), sys.base_prefix, sys.executable, sep='\\n')
";

/// The in-process yardstick of the benchmarks: nothing else here needs Python's headers or library.
fn baseline() {
    println!("cargo:rerun-if-changed=benches/baseline");
    println!("cargo:rerun-if-env-changed=VHPY_BASELINE_PYTHON");
    let python = std::env::var("VHPY_BASELINE_PYTHON").unwrap_or_else(|_| "python3".into());
    let output = Command::new(&python)
        .args(["-c", QUESTION])
        .output()
        .unwrap_or_else(|error| panic!("{python} cannot be started ({error}): set VHPY_BASELINE_PYTHON"));
    let told = String::from_utf8_lossy(&output.stdout);
    let [include, libdir, library, prefix, executable] = told.lines().collect::<Vec<_>>()[..] else {
        panic!("{python} did not say where its headers are: {}", String::from_utf8_lossy(&output.stderr));
    };
    cc::Build::new()
        .file("benches/baseline/baseline.c")
        .include(include)
        .opt_level(2)
        .flag_if_supported("-std=gnu11")
        .compile("vhpy_baseline");
    println!("cargo:rustc-link-search=native={libdir}");
    println!("cargo:rustc-link-lib=dylib={library}");
    println!("cargo:rustc-link-arg=-Wl,-rpath,{libdir}");
    println!("cargo:rustc-env=VHPY_BASELINE_PREFIX={prefix}");
    println!("cargo:rustc-env=VHPY_BASELINE_EXECUTABLE={executable}");
}
