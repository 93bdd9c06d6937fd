//! Reads scripts without running them and tells what cannot have been meant: [`check`], with the
//! Python that would run them; the rules are [`RULES`].

mod rules;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Seek, Write};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::memfd::{MFdFlags, memfd_create};
use plugin_abi::hook::Replaces;
use serde_json::{Value as Json, json};

pub use rules::{RULES, Rule, is_said_at_load, manual, rule_named};

use crate::supervisor::console::script_files;
use crate::supervisor::{NotFound, interpreter_of};

/// What reads the scripts.
const READER: &str = include_str!("check.py");

/// Something that cannot have been meant.
#[derive(Clone, Debug, serde::Deserialize, serde::Serialize)]
pub struct Finding {
    /// The script.
    pub file: String,
    /// The line, from 1.
    pub line: u32,
    /// The column, from 1.
    pub column: u32,
    /// The rule.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// How to mend it.
    pub help: String,
}

/// Why nothing was checked. The text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// A path that leads nowhere.
    #[error("{0}: {1}")]
    Path(String, std::io::Error),
    /// A folder without scripts.
    #[error("{0}: there are no scripts in this folder")]
    Empty(String),
    /// No Python.
    #[error(transparent)]
    Python(#[from] NotFound),
    /// Python does not start.
    #[error("{0} does not start: {1}")]
    Start(String, std::io::Error),
    /// Python failed.
    #[error("{0} cannot read scripts: {1}; vhpy needs CPython 3.10 or later")]
    Failed(String, String),
}

/// The scripts that paths mean: files, and those of folders.
///
/// # Errors
/// For a path that cannot be read, or a folder without scripts.
pub fn scripts(paths: &[PathBuf]) -> Result<Vec<PathBuf>, CheckError> {
    let mut scripts = Vec::new();
    for path in paths {
        let wrong = |error| CheckError::Path(path.display().to_string(), error);
        let metadata = std::fs::metadata(path).map_err(wrong)?;
        if metadata.is_dir() {
            let found = script_files(path).map_err(wrong)?;
            if found.is_empty() {
                return Err(CheckError::Empty(path.display().to_string()));
            }
            scripts.extend(found);
        } else if metadata.is_file() {
            scripts.push(path.clone());
        } else {
            // Such as a pipe, which would be waited for.
            return Err(wrong(std::io::Error::other("this is neither a file nor a folder")));
        }
    }
    Ok(scripts)
}

/// Checks scripts, each with the Python that would run it; `configured` is the hub's.
///
/// # Errors
/// When there is no Python for a script, or it cannot be used.
pub fn check(scripts: &[PathBuf], configured: Option<&Path>) -> Result<Vec<Finding>, CheckError> {
    let mut by_python: BTreeMap<PathBuf, Vec<&Path>> = BTreeMap::new();
    for script in scripts {
        let absolute = std::path::absolute(script).unwrap_or_else(|_| script.clone());
        by_python.entry(interpreter_of(&absolute, configured)?).or_default().push(script);
    }
    let mut found = Vec::new();
    for (python, scripts) in by_python {
        found.extend(read(&python, &scripts, &Limits::of(scripts.len()))?);
    }
    let place =
        |finding: &Finding| scripts.iter().position(|script| script.to_string_lossy() == finding.file);
    found.sort_by_key(place);
    Ok(found)
}

/// What reading scripts may take.
struct Limits {
    /// Bytes of address space.
    memory: u64,
    /// Seconds of processor time.
    seconds: u64,
    /// Bytes of one script.
    bytes: u64,
}

impl Limits {
    fn of(scripts: usize) -> Limits {
        Limits { memory: 2 << 30, seconds: 60 + scripts as u64, bytes: 4 << 20 }
    }
}

/// Lets a Python read scripts.
fn read(python: &Path, scripts: &[&Path], limits: &Limits) -> Result<Vec<Finding>, CheckError> {
    let shown = || python.display().to_string();
    // Isolated and without packages' own start-up: nothing runs but the reader.
    let start = |error: std::io::Error| CheckError::Start(shown(), error);
    // Not a pipe: a program that does not read it would leave nobody to write to.
    let asked = memfd_create("scripts", MFdFlags::MFD_CLOEXEC).map_err(|error| start(error.into()))?;
    let mut asked = File::from(asked);
    asked.write_all(question(scripts, limits).to_string().as_bytes()).map_err(start)?;
    asked.rewind().map_err(start)?;
    let output = Command::new(python)
        .args(["-I", "-S", "-X", "utf8", "-c", READER])
        .stdin(asked)
        .output()
        .map_err(start)?;
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.trim().lines().last().unwrap_or("it said nothing").to_string();
    if !output.status.success() {
        let why = output.status.signal().map_or(last, |signal| format!("signal {signal}"));
        return Err(CheckError::Failed(shown(), why));
    }
    serde_json::from_slice(&output.stdout).map_err(|error| CheckError::Failed(shown(), error.to_string()))
}

/// What the reader is told: the files and the tables.
fn question(scripts: &[&Path], limits: &Limits) -> Json {
    let hooks: serde_json::Map<String, Json> = plugin_abi::HOOKS
        .iter()
        .map(|spec| {
            let args: Vec<&str> = spec.args.iter().map(|arg| arg.name).collect();
            let replaces = match spec.replaces {
                Replaces::Never => "Never",
                Replaces::Chat => "Chat",
                Replaces::MyInfo => "MyInfo",
            };
            let row = json!({"args": args, "blocks": spec.hook.can_block(), "replaces": replaces});
            (spec.name.to_string(), row)
        })
        .collect();
    let aliases: serde_json::Map<String, Json> = plugin_abi::CALLS
        .iter()
        .map(|spec| {
            let aliases: Vec<&str> = spec.params.iter().flat_map(|param| param.aliases).copied().collect();
            (spec.name.to_string(), json!(aliases))
        })
        .collect();
    let files: Vec<String> = scripts.iter().map(|script| script.to_string_lossy().into_owned()).collect();
    let Limits { memory, seconds, bytes } = limits;
    let limits = json!({"memory": memory, "seconds": seconds, "bytes": bytes});
    let stub = plugin_abi::stub::pyi();
    json!({"files": files, "stub": stub, "hooks": hooks, "aliases": aliases, "limits": limits})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(folder: &Path, name: &str, source: &str) -> Vec<String> {
        let file = folder.join(name);
        std::fs::write(&file, source).unwrap();
        let found = check(&[file], None).unwrap();
        found.into_iter().map(|finding| finding.code).collect()
    }

    /// Each rule finds its own example, and nothing in what is to be written instead.
    #[test]
    fn each_rule_finds_its_bad_example_and_not_its_good_one() {
        for rule in RULES {
            let folder = tempfile::tempdir().unwrap();
            assert_eq!(codes(folder.path(), rule.file, rule.bad), [rule.code], "{}", rule.bad);
            if !rule.good.is_empty() {
                assert_eq!(codes(folder.path(), rule.file, rule.good), [""; 0], "{}", rule.good);
            }
        }
    }

    /// The scripts that are meant to be read have no findings.
    #[test]
    fn the_example_scripts_have_no_findings() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scripts");
        let found = check(&scripts(&[examples]).unwrap(), None).unwrap();
        let unwanted: Vec<_> = found.iter().filter(|finding| !finding.file.ends_with("crash.py")).collect();
        assert!(unwanted.is_empty(), "{unwanted:#?}");
    }

    #[test]
    fn what_is_found_and_what_is_not() {
        let cases: &[(&str, &[&str])] = &[
            // Only the rule that is named is silenced.
            ("def OnTimerr(): pass  # noqa", &[]),
            ("def OnTimerr(): pass  # noqa: VH101", &[]),
            ("def OnTimerr(): pass  # noqa: VH102", &["VH101"]),
            // Names.
            ("def on_timer(): pass", &["VH101"]),
            ("def on_timer(): pass\non_timer()", &[]),
            ("def onwards(): pass", &[]),
            ("import vh as hub\nhub.Nothing()", &["VH201"]),
            ("from vh import mc, pmm", &["VH201"]),
            ("import vh\nif hasattr(vh, 'GetMoon'): vh.GetMoon()", &[]),
            ("import vh\nprint(vh.eCR_KICKED, vh.store, vh.observer)", &[]),
            // Calls: keywords, aliases, overloads, what cannot be told.
            ("import vh\nvh.mc(message='a', from_nick='b')", &[]),
            ("import vh\nvh.mc('a', nick='b')", &["VH202"]),
            ("import vh\nvh.AddRegUser('a', uclass=1, passwd='x')", &[]),
            ("import vh\nvh.SQL(10, 'select 1')\nvh.SQL('select 1')", &[]),
            ("import vh\nargs = ['a']\nvh.usermc(*args)", &[]),
            ("import vh\nvh.GetUserClass(3)", &["VH203"]),
            // Answers.
            ("def OnParsedMsgChat(nick, message): return message, nick", &[]),
            ("def OnParsedMsgChat(nick, message): return 'other'", &[]),
            ("def OnParsedMsgPM(nick, message, to): return ('<a> b|', 0)", &[]),
            ("def OnParsedMsgPM(nick, message, to): return [0]", &["VH301"]),
            ("import vh\n@vh.observer\ndef OnParsedMsgChat(nick): return 0", &["VH302"]),
            ("def OnTimer():\n    def inner(): return 'a'\n    inner()", &[]),
            // Waiting.
            ("from time import sleep as nap\ndef OnTimer(): rest()\ndef rest(): nap(1)", &["VH106"]),
            ("import time\ndef work(): time.sleep(1)", &[]),
            (
                "import threading, time\ndef OnTimer(): threading.Thread(target=work).start()\ndef work(): time.sleep(1)",
                &[],
            ),
            ("import time, vh\n@vh.observer\ndef OnTimer(): time.sleep(1)", &[]),
            ("import vh\nvh.SQL('select %s' % vh.name)", &["VH501"]),
            ("import vh\nvh.SQL('select %d' % vh.myid)", &[]),
            ("import vh\ndef f(nick):\n    query = 'select ' + nick\n    vh.SQL(query)", &["VH501"]),
            ("import vh\ndef f(nick):\n    vh.SQL('select {}'.format(nick))", &["VH501"]),
            ("import vh\ndef f(nick):\n    vh.SQL('select ' + 'a' + 'b')", &[]),
        ];
        for (source, wanted) in cases {
            let folder = tempfile::tempdir().unwrap();
            assert_eq!(codes(folder.path(), "script.py", source), *wanted, "{source}");
        }
    }

    #[test]
    fn a_quoted_text_and_an_installed_package_are_no_findings() {
        let folder = tempfile::tempdir().unwrap();
        let source = "import vh\ndef f(nick):\n    vh.SQL(f'select {vh.sql_quote(nick)}')";
        assert_eq!(codes(folder.path(), "script.py", source), [""; 0]);
        std::fs::write(folder.path().join("beside.py"), "").unwrap();
        assert_eq!(codes(folder.path(), "script.py", "import beside, os.path, vh"), [""; 0]);
        std::fs::write(folder.path().join("json.py"), "").unwrap();
        assert_eq!(codes(folder.path(), "script.py", "import json"), ["VH401"]);
    }

    #[test]
    fn a_script_that_cannot_be_read_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, source: &[u8]| {
            std::fs::write(folder.path().join(name), source).unwrap();
            folder.path().join(name)
        };
        let files = [
            write("minus.py", format!("x = {}1", "-".repeat(200_000)).as_bytes()),
            write("plus.py", format!("x = 1{}", " + 1".repeat(3_000)).as_bytes()),
            write("brackets.py", "(".repeat(50_000).as_bytes()),
            write("zero.py", b"x = 1\0"),
            write("bytes.py", b"x = '\xff'"),
            write("last.py", b"def OnTimer(): pass\ndef OnTimr(): pass"),
        ];
        let found = check(&files, None).unwrap();
        let of = |name: &str| found.iter().filter(|finding| finding.file.ends_with(name)).count();
        for name in ["minus.py", "brackets.py", "zero.py", "bytes.py", "last.py"] {
            assert!(of(name) > 0, "{name}: {found:?}");
        }
        // A pipe is waited for by nobody.
        let pipe = folder.path().join("pipe.py");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(matches!(scripts(&[pipe]), Err(CheckError::Path(..))));
    }

    /// What cannot be read within bounds is a finding, and the others are read.
    #[test]
    fn reading_takes_no_more_than_it_may() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, source: String| {
            std::fs::write(folder.path().join(name), source).unwrap();
            folder.path().join(name)
        };
        let files = [
            write("large.py", "# comment\n".repeat(500_000)),
            write("dear.py", format!("x = [{}]", "a,".repeat(1_000_000))),
            write("last.py", "def OnTimr(): pass".into()),
        ];
        let scripts: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        let limits = Limits { memory: 256 << 20, seconds: 60, bytes: 4 << 20 };
        let python = interpreter_of(&files[0], None).unwrap();
        let found = read(&python, &scripts, &limits).unwrap();
        let told: Vec<(&str, &str)> =
            found.iter().map(|finding| (finding.code.as_str(), finding.message.as_str())).collect();
        assert_eq!(told.len(), 3, "{told:?}");
        assert!(told[0].0 == "VH001" && told[0].1.contains("more than 4 MiB"), "{told:?}");
        assert!(told[1].0 == "VH001" && told[1].1.contains("256 MiB"), "{told:?}");
        assert_eq!(told[2].0, "VH101", "{told:?}");
    }
}
