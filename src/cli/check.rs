//! `vhpy check`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::Args;
use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::AccessFlags;
use plugin_abi::{Call, Value};
use vhpy::check::{CheckError, Finding, RULES, check, rule_named, scripts};
use vhpy::supervisor::{Config, WorkerLibrary, interpreter_of};
use vhpy::{Host, ScriptId, Supervisor};

use super::data_folder;

pub(super) const HELP: &str = "Examples:\n  \
    vhpy check quiz.py\n  \
    vhpy check --github scripts/     annotations in GitHub's pull requests\n  \
    vhpy check --explain VH106\n  \
    vhpy check --env                 why scripts do not start on this machine\n\n\
    A comment  # noqa: VH106  at the end of a line leaves that line alone.\n\n\
    Exit code: 0 when nothing was found, 1 when something was, 2 when it could not be looked for.";

#[derive(Args)]
pub(super) struct CheckArgs {
    /// Scripts, or folders of scripts.
    #[arg(value_name = "PATH", required_unless_present_any = ["explain", "env"])]
    paths: Vec<PathBuf>,

    /// Print the findings as a JSON array.
    #[arg(long, conflicts_with = "github")]
    json: bool,

    /// Print the findings as GitHub's workflow commands.
    #[arg(long)]
    github: bool,

    /// Say what a rule is about, or list all rules.
    #[arg(long, value_name = "CODE", num_args = 0..=1, default_missing_value = "", conflicts_with_all = ["paths", "json", "github", "env"])]
    explain: Option<String>,

    /// Look at this machine instead of scripts: Python, the worker, limits, the data folder.
    #[arg(long, conflicts_with_all = ["paths", "json", "github"])]
    env: bool,

    /// The interpreter for scripts that have no .venv beside them.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,

    /// The data folder that --env looks at
    /// [default: vhpy in the XDG state folder, such as ~/.local/state/vhpy].
    #[arg(long, value_name = "DIR", requires = "env")]
    data: Option<PathBuf>,
}

/// Nothing could be checked.
const NOT_CHECKED: i64 = 2;

pub(super) fn run(args: &CheckArgs) -> Result<i64, String> {
    if let Some(code) = &args.explain {
        return Ok(explain(code));
    }
    if args.env {
        return examine(args);
    }
    let (count, found) = match find(args) {
        Ok(found) => found,
        Err(error) => {
            eprintln!("vhpy: {error}");
            return Ok(NOT_CHECKED);
        }
    };
    let shown = if args.json {
        serde_json::to_string_pretty(&found).map_err(|error| error.to_string())? + "\n"
    } else if args.github {
        found.iter().map(for_github).collect()
    } else {
        let colours = std::io::stdout().is_terminal();
        found.iter().map(|finding| for_people(finding, colours)).collect::<String>()
            + &sum(count, found.len())
    };
    super::print(&shown)?;
    Ok(i64::from(!found.is_empty()))
}

fn find(args: &CheckArgs) -> Result<(usize, Vec<Finding>), CheckError> {
    let scripts = scripts(&args.paths)?;
    Ok((scripts.len(), check(&scripts, args.python.as_deref())?))
}

fn for_people(finding: &Finding, colours: bool) -> String {
    let Finding { file, line, column, code, message, help } = finding;
    let (bold, red, plain) = if colours { ("\x1b[1m", "\x1b[31m", "\x1b[0m") } else { ("", "", "") };
    format!("{bold}{file}:{line}:{column}:{plain} {red}{code}{plain} {message}\n    help: {help}\n")
}

fn sum(scripts: usize, found: usize) -> String {
    let count = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match found {
        0 => format!("Nothing found in {}.\n", count(scripts, "script")),
        found => format!("{} in {}.\n", count(found, "finding"), count(scripts, "script")),
    }
}

/// A workflow command: `%`, line breaks and, in properties, `:` and `,` are escaped.
fn for_github(finding: &Finding) -> String {
    let data = |text: &str| text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A");
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let Finding { file, line, column, code, message, help } = finding;
    let (file, text) = (property(file), data(&format!("{message}\n{help}")));
    format!("::warning file={file},line={line},col={column},title={code}::{text}\n")
}

fn explain(code: &str) -> i64 {
    if code.is_empty() {
        RULES.iter().for_each(|rule| println!("{}  {}", rule.code, rule.name));
        return 0;
    }
    match rule_named(code) {
        Some(rule) => {
            print!("{}", rule.explain());
            0
        }
        None => {
            eprintln!("vhpy: there is no rule {code}; vhpy check --explain lists them all");
            NOT_CHECKED
        }
    }
}

// ---------------------------------------------------------------------- the machine

/// What was looked at, how it is, and what to do if it is not well.
type Examined = (&'static str, Result<String, String>);

/// The fewest files that a hub of some size does with.
const FEW_FILES: u64 = 4096;

/// Less room is too little for a database to live in.
const LITTLE_ROOM: u64 = 64 << 20;

fn examine(args: &CheckArgs) -> Result<i64, String> {
    if std::env::var_os("RUST_LOG").is_none() {
        // A script is loaded on purpose.
        log::set_max_level(log::LevelFilter::Off);
    }
    let data = data_folder(args.data.as_deref())?;
    let examined: [Examined; 6] = [
        ("Python", python(args.python.as_deref(), &data)),
        ("worker", worker()),
        ("C library", Ok(c_library())),
        ("a script", start_one(args.python.as_deref())),
        ("open files", open_files()),
        ("data folder", room(&data)),
    ];
    let mut shown = String::new();
    for (what, result) in &examined {
        let (mark, text) = match result {
            Ok(text) => ("ok ", text),
            Err(text) => ("BAD", text),
        };
        shown += &format!("{mark}  {what:<12} {text}\n");
    }
    super::print(&shown)?;
    Ok(i64::from(examined.iter().any(|(_, result)| result.is_err())))
}

fn python(configured: Option<&Path>, data: &Path) -> Result<String, String> {
    let path =
        interpreter_of(&data.join("scripts/script.py"), configured).map_err(|error| error.to_string())?;
    let asked = "import platform, sys; print(platform.python_implementation(), platform.python_version())";
    let output = std::process::Command::new(&path)
        .args(["-I", "-S", "-c", asked])
        .output()
        .map_err(|error| format!("{} does not start: {error}", path.display()))?;
    let version = String::from_utf8_lossy(&output.stdout).trim().to_string();
    if version.is_empty() {
        return Err(format!("{} does not tell its version", path.display()));
    }
    Ok(format!("{}: {version}", path.display()))
}

fn worker() -> Result<String, String> {
    let worker = WorkerLibrary::open(None).map_err(|error| error.to_string())?;
    Ok(worker.path().display().to_string())
}

fn c_library() -> String {
    // SAFETY: has no conditions; gives a string that lives for ever.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("glibc {}", version.to_string_lossy())
}

/// A hub that has nothing.
struct Nothing;

impl Host for Nothing {
    fn call(&mut self, _: &Supervisor, _: ScriptId, _: Call, _: &[Value<'_>]) -> Value<'static> {
        Value::Nil
    }
}

/// Loads an empty script, as a hub would: whatever is wrong shows.
fn start_one(configured: Option<&Path>) -> Result<String, String> {
    let text = |error: &dyn std::fmt::Display| error.to_string();
    let config = Config { python: configured.map(Path::to_path_buf), ..Config::default() };
    let supervisor = Supervisor::new(config).map_err(|error| text(&error))?;
    let folder = std::env::temp_dir().join(format!("vhpy-check-{}", std::process::id()));
    std::fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let script = folder.join("empty.py");
    let begun = std::time::Instant::now();
    let loaded = std::fs::write(&script, "import vh\n")
        .map_err(|error| text(&error))
        .and_then(|()| supervisor.load(&mut Nothing, &script).map_err(|error| text(&error)));
    let took = begun.elapsed();
    supervisor.shutdown(&mut Nothing);
    // What is left of it lies in the folder for temporary files.
    let _ = std::fs::remove_dir_all(&folder);
    loaded.map(|_| format!("starts in {} ms", took.as_millis()))
}

fn open_files() -> Result<String, String> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| error.to_string())?;
    if hard < FEW_FILES {
        return Err(format!(
            "at most {hard}, and each user takes one: raise the hard limit (ulimit -Hn, LimitNOFILE= of systemd)"
        ));
    }
    Ok(format!("{soft}; a hub takes up to {hard}"))
}

fn room(data: &Path) -> Result<String, String> {
    let shown = data.display();
    // A folder that is not there yet is made where it can be.
    let there = data.ancestors().find(|folder| folder.exists()).unwrap_or(data);
    nix::unistd::access(there, AccessFlags::W_OK | AccessFlags::X_OK).map_err(|error| {
        format!("{} cannot be written to: {error}; name another with --data", there.display())
    })?;
    let disk = nix::sys::statvfs::statvfs(there).map_err(|error| format!("{shown}: {error}"))?;
    let free = disk.blocks_available() * disk.fragment_size();
    if free < LITTLE_ROOM {
        return Err(format!("{shown} has {} MiB left: make room, or name another with --data", free >> 20));
    }
    let note = if there == data { "" } else { ", made at the first start" };
    Ok(format!("{shown}{note}; {} MiB are free", free >> 20))
}
