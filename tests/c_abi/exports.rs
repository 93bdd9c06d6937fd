//! The C ABI without scripts: headers, exported names, values, bad input, C++.

use std::process::Command;

use crate::support::compiled::{Host, check_header, library, run, run_cpp};
use crate::support::has;
use plugin_abi::{CALLS, HOOKS};

/// The 18 functions of the old wrapper library.
const WRAPPER: [&str; 18] = [
    "w_Begin",
    "w_CallFunction",
    "w_CallHook",
    "w_CallName",
    "w_End",
    "w_GetHook",
    "w_HasHook",
    "w_HookName",
    "w_Load",
    "w_LogLevel",
    "w_RegisterFunction",
    "w_ReserveID",
    "w_Unload",
    "w_UnregisterFunction",
    "w_free_args",
    "w_pack",
    "w_packprint",
    "w_unpack",
];

fn header() -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/plugin-abi/include/vhpy.h");
    std::fs::read_to_string(path).expect("vhpy.h")
}

#[test]
fn exactly_the_documented_names_are_exported() {
    if !has(&["nm"]) {
        return;
    }
    let names = run(Command::new("nm").args(["-D", "--defined-only", "--format=posix"]).arg(library()));
    let names: Vec<&str> = names.lines().filter_map(|line| line.split(' ').next()).collect();
    let (old, new): (Vec<&str>, Vec<&str>) = names.iter().partition(|name| name.starts_with("w_"));
    assert_eq!(old, WRAPPER);
    let header = header();
    for name in &new {
        assert!(name.starts_with("vhpy_"), "{name} is exported");
        assert!(header.contains(&format!("{name}(")), "{name} is not in vhpy.h");
    }
    // And what the header promises is there.
    for declared in header.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| {
        (word.starts_with("vhpy_") || word.starts_with("w_")) && header.contains(&format!("{word}("))
    }) {
        assert!(names.contains(&declared), "{declared} is in vhpy.h but not in the library");
    }
}

#[test]
fn the_header_compiles_as_c99() {
    check_header("vhpy.h", &["cc", "gcc", "clang"], "c99", "c");
}

#[test]
fn the_headers_compile_as_cpp17() {
    check_header("vhpy.h", &["c++", "g++", "clang++"], "c++17", "c++");
    check_header("vhpy.hpp", &["c++", "g++", "clang++"], "c++17", "c++");
}

#[test]
fn the_header_has_the_numbers_of_the_tables() {
    let header = header();
    let number = |name: &str, value: usize| {
        assert!(header.contains(&format!("    {name} = {value},\n")), "{name} = {value} is not in vhpy.h");
    };
    for spec in &HOOKS {
        number(&format!("W_{}", spec.name), spec.hook as usize);
    }
    for spec in CALLS.iter().filter(|spec| spec.call != plugin_abi::Call::GetIPCity) {
        number(&format!("W_CALL_{}", spec.name), spec.call as usize);
    }
    assert_eq!(header.matches("    W_On").count(), HOOKS.len());
    assert_eq!(header.matches("    W_CALL_").count(), CALLS.len() - 1 + 2);
}

#[test]
fn values_bad_input_and_restarts() {
    let host = Host::new(&[]);
    for name in ["pack", "bad", "cycle"] {
        run(host.command().arg(name));
    }
}

#[test]
fn the_same_under_the_address_sanitizer() {
    let host = Host::new(&["-fsanitize=address"]);
    for name in ["pack", "bad", "cycle"] {
        run(host.command().arg(name));
    }
}

#[test]
fn the_same_under_valgrind() {
    if !has(&["cc", "valgrind"]) {
        return;
    }
    let host = Host::new(&[]);
    let options = ["-q", "--error-exitcode=99", "--leak-check=full", "--errors-for-leak-kinds=definite"];
    for name in ["pack", "bad", "cycle"] {
        run(host.under("valgrind", &options).arg(name));
    }
}

#[test]
fn the_environment_decides_the_numbering() {
    let host = Host::new(&[]);
    for (value, name) in [("1.6", "GetIPASN"), ("1.7", "GetIPCity")] {
        let output =
            host.command().arg("numbering").arg(name).env("VHPY_ABI", value).output().expect("the host");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn cpp_templates_read_and_write_every_type() {
    run_cpp("templates.cpp", true);
}

#[test]
fn a_cpp_plugin_opens_closes_and_opens_again() {
    run_cpp("reopen.cpp", false);
}

/// The file that stands in for the old plugin's wrapper library: it adds one C++ function to
/// what libvhpy.so exports.
#[test]
fn the_old_plugins_wrapper_can_be_exchanged() {
    if !has(&["c++"]) {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (wrapper, program) = (folder.path().join("libvh_python_wrapper.so"), folder.path().join("old"));
    let library = library();
    let beside = library.parent().expect("a folder");
    let root = env!("CARGO_MANIFEST_DIR");
    let compile = |source: &str, out: &std::path::Path, more: &[&std::ffi::OsStr]| {
        let mut command = Command::new("c++");
        command.args(["-std=c++17", "-Wall", "-Wextra", "-Werror", "-fPIC"]).arg(format!("{root}/{source}"));
        run(command.arg("-o").arg(out).args(more));
    };
    let rpath = format!("-Wl,-rpath,{}", beside.display());
    let search = format!("-L{}", beside.display());
    compile(
        "plugin-abi/verlihub/old_wrapper.cpp",
        &wrapper,
        &[
            "-shared".as_ref(),
            "-Wl,--no-as-needed".as_ref(),
            search.as_ref(),
            "-lvhpy".as_ref(),
            rpath.as_ref(),
        ],
    );
    compile("tests/c/old_wrapper.cpp", &program, &[wrapper.as_os_str(), "-ldl".as_ref(), rpath.as_ref()]);
    run(Command::new(&program).arg(&wrapper).env("LD_LIBRARY_PATH", folder.path()));
}
