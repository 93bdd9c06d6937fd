//! The manual says what the program does: generated parts are those that the tables give,
//! examples pass a type checker, links lead somewhere.
//!
//! `UPDATE_DOCS=1 cargo test --test docs` writes the generated parts anew.

#[path = "docs/circles.rs"]
mod circles;
mod support;

use crate::support::venv;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use plugin_abi::manual;
use vhpy::supervisor::option;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Fails if a file is not what it should be, or makes it so.
fn keep(path: &str, wanted: &str) {
    let file = root().join(path);
    let found = fs::read_to_string(&file).unwrap_or_default();
    if found == wanted {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&file, wanted).unwrap();
        return;
    }
    let line = found.lines().zip(wanted.lines()).position(|(found, wanted)| found != wanted);
    panic!("{path} differs from the tables from line {:?} on: run `make docs`", line.map(|line| line + 1));
}

/// A file with the part between the marks replaced.
fn with_table(path: &str, name: &str, table: &str) -> String {
    let text = fs::read_to_string(root().join(path)).unwrap();
    let start = format!("<!-- generated: {name} -->\n");
    let (before, rest) = text.split_once(&start).unwrap_or_else(|| panic!("{path} has no {start}"));
    let (_, after) = rest.split_once("<!-- end -->").unwrap_or_else(|| panic!("{path}: {name} has no end"));
    format!("{before}{start}{table}<!-- end -->{after}")
}

/// The header with the list of options in its comment.
fn with_options(path: &str) -> String {
    const BEGIN: &str = " * (begin of the options)\n";
    const END: &str = " * (end of the options) */\n";
    let text = fs::read_to_string(root().join(path)).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the options' begin");
    let (_, after) = rest.split_once(END).expect("the options' end");
    format!("{before}{BEGIN}{}{END}{after}", option::header_lines())
}

#[test]
fn the_tables_in_the_manual_are_those_of_the_program() {
    keep("plugin-abi/include/vhpy.h", &with_options("plugin-abi/include/vhpy.h"));
    for page in ["docs/operators.md", "docs/verlihub.md"] {
        keep(page, &with_table(page, "options", &option::operators_table()));
    }
    keep("docs/hooks.md", &with_table("docs/hooks.md", "hooks", &manual::hooks_table()));
    keep("docs/functions.md", &with_table("docs/functions.md", "functions", &manual::functions_table()));
    keep("docs/functions.md", &with_table("docs/functions.md", "constants", &manual::constants_table()));
    let privacy = manual::privacy_table();
    keep("docs/recording.md", &with_table("docs/recording.md", "privacy", &privacy));
    #[cfg(feature = "hub")]
    keep("docs/check.md", &with_table("docs/check.md", "rules", &vhpy::check::manual()));
}

/// What the manual shows of programs' output is what they print: in `<!-- terminal: NAME -->`, the
/// lines after `$ ` are commands of one folder and what follows is their output, `$ cat` included,
/// which makes the file. `UPDATE_DOCS=1` writes the outputs anew.
#[cfg(feature = "cli")]
#[test]
fn terminals_in_the_manual_show_what_is_printed() {
    let Some(venv) = venv::packages() else { return };
    let programs = Path::new(env!("CARGO_BIN_EXE_vhpy")).parent().unwrap().to_path_buf();
    let path = std::env::join_paths(
        [venv.join("bin"), programs]
            .into_iter()
            .chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    )
    .unwrap();
    let mut shown = 0;
    for markdown in markdown_files() {
        let folder = tempfile::tempdir().unwrap();
        let text = fs::read_to_string(&markdown).unwrap();
        let mut parts = text.split("<!-- terminal: ");
        let mut wanted = parts.next().unwrap_or_default().to_string();
        for part in parts {
            shown += 1;
            let (name, rest) = part.split_once(" -->\n```console\n").unwrap();
            let (session, after) = rest.split_once("```\n<!-- end -->").unwrap();
            let played = play(session, folder.path(), &path);
            wanted += &format!("<!-- terminal: {name} -->\n```console\n{played}```\n<!-- end -->{after}");
        }
        let page = markdown.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        keep(&page, &wanted);
    }
    assert!(shown >= 1, "the manual has lost its terminals");
}

/// Runs the commands of a session again, and gives it with what they print now.
#[cfg(feature = "cli")]
fn play(session: &str, folder: &Path, path: &std::ffi::OsStr) -> String {
    let mut played = String::new();
    for command in session.split("$ ").skip(1) {
        // A `$ ` within a line is no prompt.
        let (line, printed) = command.split_once('\n').unwrap_or((command, ""));
        played += &format!("$ {line}\n");
        let words: Vec<&str> = line.split(' ').collect();
        if let ["cat", file] = words[..]
            && !folder.join(file).exists()
        {
            fs::write(folder.join(file), printed).unwrap();
        }
        let output = Command::new("sh")
            .args(["-c", line])
            .current_dir(folder)
            .env("PATH", path)
            .env("PYTHONPATH", root().join("python/src"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTEST_ADDOPTS", "-p vhpy_hub.pytest_plugin -p no:cacheprovider")
            .env("VHPY_EXPECT_TIMEOUT", "60")
            .env("VHPY", env!("CARGO_BIN_EXE_vhpy"))
            .env_remove("RUST_LOG")
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        let said = said.replace(&*folder.to_string_lossy(), "~");
        played += &untimed(&said);
    }
    played
}

/// Seconds that something took are those that the manual has always shown.
#[cfg(feature = "cli")]
fn untimed(said: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in said.split(' ') {
        let is_time = word.trim_end().strip_suffix('s').is_some_and(|number| number.parse::<f64>().is_ok());
        words.push(if is_time { word.replace(word.trim_end(), "0.21s") } else { word.into() });
    }
    words.join(" ")
}

fn markdown_files() -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(root().join("docs"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    files.push(root().join("README.md"));
    files.sort();
    files
}

/// The blocks of code in one language.
fn blocks(text: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("\n```").next().unwrap().to_string() + "\n").collect()
}

/// Examples in the manual and the example scripts, as a user with a strict checker sees them.
#[test]
fn examples_pass_a_strict_type_checker() {
    let Some(venv) = venv::packages() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for markdown in markdown_files() {
        let stem = markdown.file_stem().unwrap().to_string_lossy().to_lowercase();
        let text = fs::read_to_string(&markdown).unwrap();
        for (number, block) in blocks(&text, "python").into_iter().enumerate() {
            let file = folder.path().join(format!("{stem}_{number}.py"));
            fs::write(&file, block).unwrap();
            files.push(file);
        }
    }
    assert!(files.len() >= 6, "the manual has lost its examples: {files:?}");
    let scripts = fs::read_dir(root().join("examples/scripts")).unwrap();
    files.extend(
        scripts
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "py")),
    );
    let output = Command::new(venv.join("bin/mypy"))
        .args(["--strict", "--python-version", "3.10", "--no-error-summary", "--cache-dir"])
        .arg(folder.path().join("cache"))
        .args(&files)
        .env("MYPYPATH", std::env::join_paths([root().join("worker"), root().join("python/src")]).unwrap())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[test]
fn links_in_the_manual_lead_somewhere() {
    let mut broken = Vec::new();
    for markdown in markdown_files() {
        let text = fs::read_to_string(&markdown).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.starts_with("http") || link.starts_with('#') {
                continue;
            }
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = markdown.parent().unwrap().join(file);
            let there = fs::read_to_string(&target).map_or(target.exists(), |text| {
                heading.is_empty() || text.lines().any(|line| anchor(line).as_deref() == Some(heading))
            });
            if !there {
                broken.push(format!("{}: {link}", markdown.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// What the manual names of this repository in backticks: files, folders, fuzz targets.
#[test]
fn files_that_the_manual_names_are_there() {
    const ROOTS: [&str; 8] =
        ["src/", "worker/", "plugin-abi/", "tests/", "fuzz/", "examples/", "benches/", "docs/"];
    let mut missing = Vec::new();
    let more = ["CONTRIBUTING.md", "CHANGELOG.md"].map(|name| root().join(name));
    for markdown in markdown_files().into_iter().chain(more) {
        let text = fs::read_to_string(&markdown).unwrap();
        for name in text.split('`').skip(1).step_by(2) {
            let is_path = ROOTS.iter().any(|start| name.starts_with(start)) && !name.contains(['*', ' ']);
            let there = |path: &str| root().join(path).exists();
            if is_path && !there(name) && !there(&format!("{name}.rs")) {
                missing.push(format!("{}: {name}", markdown.display()));
            }
        }
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The sources in these folders.
fn sources() -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> = ["tests", "src", "worker/src", "plugin-abi/src", "fuzz/fuzz_targets"]
        .map(|name| root().join(name))
        .into();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    found
}

/// What a column "test" of the manual names: `file`: `test`, `test`; `file`; `make target`.
#[test]
fn tests_that_the_manual_names_are_there() {
    let sources = sources();
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let (mut named, mut missing) = (0, Vec::new());
    for markdown in markdown_files() {
        let text = fs::read_to_string(&markdown).unwrap();
        let mut in_table = false;
        for line in text.lines() {
            in_table = line.ends_with("| test |") || (in_table && line.starts_with('|'));
            if !in_table || line.ends_with("| test |") || line.ends_with("| --- |") {
                continue;
            }
            let cell = line.trim_end_matches('|').rsplit('|').next().unwrap_or_default();
            for group in cell.split(';') {
                named += 1;
                let mut names = group.split('`').skip(1).step_by(2);
                let file = names.next().unwrap_or_default();
                if let Some(target) = file.strip_prefix("make ") {
                    if !makefile.contains(&format!("\n{target}:")) {
                        missing.push(format!("{}: no target {target}", markdown.display()));
                    }
                    continue;
                }
                let is_it = |path: &Path| {
                    let path = path.with_extension("");
                    path.ends_with(file.trim_end_matches(".rs"))
                        || path.ends_with(Path::new(file).join("main"))
                };
                let texts: Vec<&String> =
                    sources.iter().filter(|(path, _)| is_it(path)).map(|(_, text)| text).collect();
                if file.is_empty() || texts.is_empty() {
                    missing.push(format!("{}: no file for{group}", markdown.display()));
                }
                for name in names {
                    let start = format!("fn {name}(");
                    let is_there = |text: &&String| {
                        let lines: Vec<&str> = text.lines().map(str::trim_start).collect();
                        lines.windows(3).any(|near| near[2].starts_with(&start) && near.contains(&"#[test]"))
                    };
                    if !texts.iter().any(is_there) {
                        missing.push(format!("{}: no test {name} in {file}", markdown.display()));
                    }
                }
            }
        }
    }
    assert!(named > 40, "the tables are not read: {named}");
    assert!(missing.is_empty(), "{missing:#?}");
}

/// The anchor that a heading gets where Markdown is shown.
fn anchor(line: &str) -> Option<String> {
    let title = line.strip_prefix('#')?.trim_start_matches('#').trim();
    let kept = title.chars().filter(|char| char.is_alphanumeric() || *char == ' ' || *char == '-');
    Some(kept.collect::<String>().to_lowercase().replace(' ', "-"))
}

/// A number behind the name of a variable in the manual's prose, such as `` `hook_timeout` (2 s) ``:
/// the name, the number, its unit.
#[cfg(feature = "hub")]
fn numbers_behind_names(text: &str) -> Vec<(String, f64, String)> {
    let flat = text.replace('\n', " ");
    let pieces: Vec<&str> = flat.split('`').collect();
    let behind = pieces.windows(2).filter_map(|pair| {
        let (name, rest) = (pair[0], pair[1].strip_prefix(" (")?);
        let is_name =
            name.contains('_') && name.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
        let end = rest.find(|letter: char| !(letter.is_ascii_digit() || letter == '.' || letter == ','))?;
        let number = rest[..end].trim_end_matches(['.', ',']).replace(',', "").parse().ok()?;
        let unit = rest[end..].trim_start().split([')', ',', ';', ' ']).next().unwrap_or_default();
        is_name.then(|| (name.to_string(), number, unit.to_string()))
    });
    behind.collect()
}

#[test]
#[cfg(feature = "hub")]
fn numbers_in_the_manuals_prose_are_the_defaults() {
    let folder = tempfile::tempdir().unwrap();
    let stored = vhpy::hub::StoredConfiguration::open(folder.path()).unwrap();
    let defaults: std::collections::HashMap<String, String> =
        stored.variables().iter().map(|one| (one.name.to_string(), one.default.clone())).collect();
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for markdown in markdown_files() {
        let text = fs::read_to_string(&markdown).unwrap();
        // Verlihub has defaults of its own for its variables.
        let of_verlihub = markdown.ends_with("docs/verlihub.md");
        for (name, number, unit) in numbers_behind_names(&text) {
            let Some(default) = defaults.get(&name).filter(|_| !of_verlihub) else { continue };
            let default: f64 = default.parse().unwrap_or(f64::NAN);
            let said =
                if unit == "MiB" && !name.starts_with("limit_") { number * 1_048_576.0 } else { number };
            seen += 1;
            if said != default {
                wrong.push(format!("{}: {name} is {default}, not {number} {unit}", markdown.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen >= 6, "only {seen} numbers were found");

    // Where they stand without a name.
    let config = vhpy::supervisor::Config::default();
    let restart = &config.restart;
    let (hook, kill) = (config.hook_timeout.as_secs(), config.kill_timeout.as_secs());
    let (deaths, longest) = (restart.max_deaths, restart.max_delay.as_secs());
    assert_eq!((restart.window.as_secs(), restart.first_delay.as_secs()), (60, 1), "a minute, and 1, 2, 4 …");
    for (page, sentence) in [
        ("README.md", format!("waits {hook} s, goes on without it; {kill} s later the script is killed")),
        ("README.md", format!("gives up after more than {deaths} deaths in a minute")),
        (
            "docs/operators.md",
            format!("after 1, 2, 4 … {longest} seconds. More than {deaths} deaths within a minute"),
        ),
        (
            "docs/safety.md",
            format!("pauses of 1, 2, 4 … {longest} s; after more than {deaths} deaths in a minute"),
        ),
    ] {
        let text = fs::read_to_string(root().join(page)).unwrap();
        assert!(text.contains(&sentence), "{page} does not say {sentence:?}");
    }
}
