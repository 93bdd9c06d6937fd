//! The `!py…` commands of operators. The host decides who may give them.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use plugin_abi::Hook;

use super::figures::short_time;
use super::load_error::{LoadError, Loaded};
use super::script::ScriptId;
use super::script_file::PACKAGE;
use super::tasks::{Describe, Outcome};
use super::ticket::Ticket;
use super::{Host, ScriptStatus, Supervisor};
use crate::log_level::{self, LEVELS};

/// A command: its name, what follows it, what it does.
struct Command {
    name: &'static str,
    usage: &'static str,
    help: &'static str,
    run: Run,
}

/// How a command is run.
enum Run {
    /// It is answered at once.
    Answer(fn(&Supervisor, &str) -> String),
    /// It does something with scripts, which takes its time; an error is the answer.
    Act(fn(&Supervisor, &str) -> Result<Vec<Act>, String>),
}

/// What is to be done with a script.
enum Act {
    /// To load the one of this file.
    Load(PathBuf),
    /// To unload this one, of this name.
    Unload(ScriptId, String),
    /// To load this one again, of this name.
    Reload(ScriptId, String),
}

/// What a command has come to.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// This is the answer: text of several lines in UTF-8.
    Said(String),
    /// The answer is the [`Outcome::Said`] of this ticket.
    Later(Ticket),
}

static COMMANDS: &[Command] = &[
    Command {
        name: "pyload",
        usage: "PATH|NUMBER",
        help: "load a script, by its path or its number in !pyfiles",
        run: Run::Act(load),
    },
    Command { name: "pyunload", usage: "NAME|ID|PATH", help: "unload a script", run: Run::Act(unload) },
    Command {
        name: "pyreload",
        usage: "[NAME|ID|PATH]",
        help: "load a script again, or all",
        run: Run::Act(reload),
    },
    Command { name: "pylist", usage: "", help: "list the loaded scripts", run: Run::Answer(list) },
    Command {
        name: "pystat",
        usage: "[NAME|ID|PATH]",
        help: "tell how the scripts do, or one and its hooks, the slowest first",
        run: Run::Answer(stat),
    },
    Command {
        name: "pyfiles",
        usage: "",
        help: "list the scripts in the scripts folder",
        run: Run::Answer(files),
    },
    Command {
        name: "pylog",
        usage: "[0-5|show NAME]",
        help: "tell or set the log level, or show a script's last lines",
        run: Run::Answer(log),
    },
    Command {
        name: "pyset",
        usage: "NAME|ID [HOOK] OPTION VALUE",
        help: "give a script a value of its own for an option; - takes it back",
        run: Run::Answer(set),
    },
    Command {
        name: "pykeep",
        usage: "NAME|ID",
        help: "load a script at every start, by a link in the scripts folder",
        run: Run::Answer(keep),
    },
    Command { name: "pyhelp", usage: "", help: "list these commands", run: Run::Answer(help) },
];

impl Supervisor {
    /// Runs an operator's command, with or without the hub's prefix: `pylist`, `!pyload x.py`, and
    /// waits until it is done. The answer is text of several lines in UTF-8. `None` when it is no
    /// command of ours.
    pub fn console(&self, host: &mut dyn Host, command: &str) -> Option<String> {
        self.visit(host);
        let (found, rest) = command_of(command)?;
        let acts = match found.run {
            Run::Answer(answer) => return Some(answer(self, rest)),
            Run::Act(acts) => match acts(self, rest) {
                Ok(acts) => acts,
                Err(answer) => return Some(answer),
            },
        };
        let answers: Vec<String> = acts
            .into_iter()
            .map(|act| match &act {
                Act::Load(path) => act.describe(self, Outcome::Loaded(self.load(host, path))),
                Act::Reload(id, _) => act.describe(self, Outcome::Reloaded(self.reload(host, *id))),
                Act::Unload(id, _) => {
                    self.drop_version(*id);
                    self.unload(host, *id);
                    act.describe(self, Outcome::Unloaded)
                }
            })
            .collect();
        Some(answers.join("\n"))
    }

    /// As [`Supervisor::console`], but does not wait: what takes its time is begun, and the host is
    /// told of the answer by [`Host::finished`].
    pub fn begin_console(&self, host: &mut dyn Host, command: &str) -> Option<Answer> {
        self.visit(host);
        let (found, rest) = command_of(command)?;
        let acts = match found.run {
            Run::Answer(answer) => return Some(Answer::Said(answer(self, rest))),
            Run::Act(acts) => match acts(self, rest) {
                Ok(acts) => acts,
                Err(answer) => return Some(Answer::Said(answer)),
            },
        };
        let mut refusals = Vec::new();
        let mut parts: Vec<(Ticket, Describe)> = Vec::new();
        for act in acts {
            let begun = match &act {
                Act::Load(path) => self.begin_load(path),
                Act::Unload(id, _) => {
                    self.drop_version(*id);
                    self.begin_unload(*id)
                }
                Act::Reload(id, _) => self.begin_reload(*id),
            };
            match begun {
                Ok(ticket) => {
                    let folder = self.config.borrow().scripts_dir.clone();
                    parts.push((ticket, Box::new(move |outcome| act.said(folder.as_deref(), outcome))));
                }
                Err(error) => refusals.push(act.refused(&error)),
            }
        }
        if parts.is_empty() {
            return Some(Answer::Said(refusals.join("\n")));
        }
        if let Some((_, describe)) = parts.first_mut()
            && !refusals.is_empty()
        {
            let inner = std::mem::replace(describe, Box::new(|_| String::new()));
            *describe = Box::new(move |outcome| refusals.join("\n") + "\n" + &inner(outcome));
        }
        let tickets: Vec<Ticket> = parts.iter().map(|(ticket, _)| *ticket).collect();
        let command = self.tasks.begin_command(parts);
        tickets.into_iter().for_each(|ticket| self.catch_up(ticket));
        Some(Answer::Later(command))
    }
}

impl Act {
    fn describe(&self, supervisor: &Supervisor, outcome: Outcome) -> String {
        let folder = supervisor.config.borrow().scripts_dir.clone();
        self.said(folder.as_deref(), outcome)
    }

    fn refused(&self, error: &LoadError) -> String {
        match self {
            Act::Load(path) => format!("Script {}", error.about(path)),
            Act::Unload(_, name) => format!("Script {name} is not unloaded: {error}"),
            Act::Reload(_, name) => format!("Script {name} is not reloaded: {error}"),
        }
    }

    /// What an operator is told of its outcome.
    fn said(&self, scripts_dir: Option<&Path>, outcome: Outcome) -> String {
        match (self, outcome) {
            (_, Outcome::Loaded(Err(error)) | Outcome::Reloaded(Err(error))) => self.refused(&error),
            (Act::Load(path), Outcome::Loaded(Ok(loaded))) => {
                let hint = hint_to_keep(scripts_dir, path, &loaded.name);
                told_of(&loaded, "loaded") + &hint.unwrap_or_default()
            }
            (_, Outcome::Loaded(Ok(loaded))) => told_of(&loaded, "loaded"),
            (_, Outcome::Reloaded(Ok(loaded))) => told_of(&loaded, "reloaded"),
            (Act::Unload(_, name) | Act::Reload(_, name), Outcome::Unloaded) => {
                format!("Script {name} is unloaded")
            }
            (Act::Load(path), Outcome::Unloaded) => format!("Script {} is unloaded", path.display()),
            (_, Outcome::Said(text)) => text,
        }
    }
}

/// Whether [`Supervisor::console`] would run this.
pub fn is_command(command: &str) -> bool {
    command_of(command).is_some()
}

/// Whether an operator's line is a command that changes something, rather than tells something.
pub fn is_act(line: &str) -> bool {
    let tells = |name: &str, rest: &str| {
        matches!(name, "pylist" | "pyfiles" | "pyhelp" | "pystat")
            || name == "pylog" && (rest.is_empty() || rest.starts_with("show"))
    };
    command_of(line).is_some_and(|(command, rest)| !tells(command.name, rest))
}

/// The command of an operator's line, and what follows its name.
fn command_of(line: &str) -> Option<(&'static Command, &str)> {
    let line = line.trim().trim_start_matches(['!', '+', '.', '/', '*']);
    let (name, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let found = COMMANDS.iter().find(|known| known.name.eq_ignore_ascii_case(name))?;
    Some((found, rest.trim()))
}

fn load(supervisor: &Supervisor, what: &str) -> Result<Vec<Act>, String> {
    if what.is_empty() {
        return Err(usage("pyload"));
    }
    let path = file_for(supervisor, what);
    Ok(vec![Act::Load(path.ok_or_else(|| format!("There is no file number {what}: see !pyfiles"))?)])
}

/// What to tell of a script that the next start would not find.
fn hint_to_keep(folder: Option<&Path>, path: &Path, name: &str) -> Option<String> {
    let mut path = path.canonicalize().ok()?;
    if path.is_dir() {
        path.push(PACKAGE);
    }
    (!is_kept(folder?, &path)).then(|| {
        format!(
            "\nIt is not in the scripts folder, so the next start does not load it: !pykeep {name} keeps it"
        )
    })
}

/// Whether a start loads this file, which is no link, from the folder of scripts.
fn is_kept(folder: &Path, script: &Path) -> bool {
    let files = script_files(folder).unwrap_or_default();
    files.iter().any(|file| file.canonicalize().is_ok_and(|file| file == script))
}

/// Links a script into the folder whose scripts every start loads.
fn keep(supervisor: &Supervisor, what: &str) -> String {
    if what.is_empty() {
        return usage("pykeep");
    }
    let Some(folder) = supervisor.config.borrow().scripts_dir.clone() else {
        return "The hub has no scripts folder".into();
    };
    let Some(script) = supervisor.find(what).and_then(|id| supervisor.status(id)) else {
        return unknown(what);
    };
    let (name, path) = (&script.name, &script.path);
    if path.file_name().is_some_and(|file| file == PACKAGE) {
        return format!(
            "Script {name} is a folder, and a start loads files alone: name it on the command line"
        );
    }
    if is_kept(&folder, path) {
        return format!("Script {name} is loaded at every start already");
    }
    let link = folder.join(path.file_name().unwrap_or_default());
    if is_test(&link) || link.extension().is_none_or(|extension| extension != "py") {
        return format!("Script {name} cannot be kept: a start loads files NAME.py, and no tests");
    }
    let linked = std::fs::create_dir_all(&folder).and_then(|()| std::os::unix::fs::symlink(path, &link));
    match linked {
        Ok(()) => format!("Script {name} is kept: {} leads to {}", link.display(), path.display()),
        Err(error) => format!("Script {name} is not kept: {}: {error}", link.display()),
    }
}

/// A number of the last list of files, a path, or a path in the scripts folder.
fn file_for(supervisor: &Supervisor, what: &str) -> Option<PathBuf> {
    if let Ok(number) = what.parse::<usize>() {
        return supervisor.listed_files.borrow().get(number).cloned();
    }
    let path = PathBuf::from(what);
    let folder = supervisor.config.borrow().scripts_dir.clone();
    let is_script = |path: &PathBuf| path.is_file() || path.join(PACKAGE).is_file();
    let inside = folder.map(|folder| folder.join(&path)).filter(is_script);
    let with_suffix = inside.clone().is_none().then(|| {
        let folder = supervisor.config.borrow().scripts_dir.clone()?;
        Some(folder.join(format!("{what}.py"))).filter(|file| file.is_file())
    });
    if is_script(&path) { Some(path) } else { Some(inside.or(with_suffix.flatten()).unwrap_or(path)) }
}

fn unload(supervisor: &Supervisor, what: &str) -> Result<Vec<Act>, String> {
    if what.is_empty() {
        return Err(usage("pyunload"));
    }
    let id = supervisor.find(what).ok_or_else(|| unknown(what))?;
    Ok(vec![Act::Unload(id, name_of(supervisor, what))])
}

fn name_of(supervisor: &Supervisor, what: &str) -> String {
    let status = supervisor.find(what).and_then(|id| supervisor.status(id));
    status.map_or(what.to_string(), |status| status.name)
}

fn reload(supervisor: &Supervisor, what: &str) -> Result<Vec<Act>, String> {
    if what.is_empty() {
        let all = supervisor.scripts();
        if all.is_empty() {
            return Err("No script is loaded".into());
        }
        return Ok(all.into_iter().map(|status| Act::Reload(status.id, status.name)).collect());
    }
    let id = supervisor.find(what).ok_or_else(|| unknown(what))?;
    Ok(vec![Act::Reload(id, name_of(supervisor, what))])
}

pub(super) fn report(what: &str, result: Result<Loaded, LoadError>, done: &str) -> String {
    match result {
        Ok(loaded) => told_of(&loaded, done),
        Err(error) => format!("Script {what} is not {done}: {error}"),
    }
}

fn told_of(loaded: &Loaded, done: &str) -> String {
    let mut text = format!("Script {} is {done} as number {}", loaded.name, loaded.id);
    for warning in &loaded.warnings {
        let _ = write!(text, "\nWarning: {warning}");
    }
    text
}

fn list(supervisor: &Supervisor, _rest: &str) -> String {
    let scripts = supervisor.scripts();
    if scripts.is_empty() {
        return "No script is loaded: see !pyfiles and !pyload".into();
    }
    lines(scripts.iter().map(line_of))
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.collect::<Vec<_>>().join("\n")
}

/// One script in a line without columns, which not every client's font would keep.
pub(super) fn line_of(status: &ScriptStatus) -> String {
    let mut line = format!("{} {}: {}", status.id, status.name, status.state);
    if let Some(pid) = status.pid {
        let _ = write!(line, ", process {pid}");
    }
    if let Some(uptime) = status.uptime {
        let _ = write!(line, ", up {}", duration(uptime));
    }
    let _ = write!(line, ", {}", counted(status.events, "event"));
    if let Some((hook, took)) = status.figures.longest() {
        let _ = write!(line, ", slowest {} in {hook}", short_time(took));
    }
    if status.figures.raised() > 0 {
        let _ = write!(line, ", {}", counted(status.figures.raised(), "exception"));
    }
    if status.restarts > 0 {
        let _ = write!(line, ", {}", counted(status.restarts, "restart"));
    }
    if let Some(memory) = status.memory {
        let _ = write!(line, ", {}", mebibytes(memory));
    }
    let _ = write!(line, ", {}", status.path.display());
    line
}

/// `1 event`, `2 events`.
fn counted(number: u64, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

fn stat(supervisor: &Supervisor, what: &str) -> String {
    let statuses = if what.is_empty() {
        supervisor.scripts()
    } else {
        match supervisor.find(what).and_then(|id| supervisor.status(id)) {
            Some(status) => return lines(figures_of(&status).into_iter()),
            None => return unknown(what),
        }
    };
    if statuses.is_empty() {
        return "No script is loaded: see !pyfiles and !pyload".into();
    }
    stat_lines(statuses)
}

/// A line for each script, that with the slowest hook first.
pub(super) fn stat_lines(mut statuses: Vec<ScriptStatus>) -> String {
    statuses.sort_by_key(|status| std::cmp::Reverse(status.figures.longest().map(|(_, took)| took)));
    lines(statuses.iter().map(|status| format!("{}: {}", status.name, summary(status))))
}

/// How a script does, in one line.
fn summary(status: &ScriptStatus) -> String {
    let figures = &status.figures;
    let mut parts = vec![
        status.state.to_string(),
        counted(status.events, "event"),
        format!("{} in hooks", short_time(figures.time())),
    ];
    if let Some((hook, took)) = figures.longest() {
        parts.push(format!("slowest {} in {hook}", short_time(took)));
    }
    parts.extend(figures.processor.map(|time| format!("processor {}", short_time(time))));
    parts.extend(status.memory.map(mebibytes));
    let all = [
        (figures.calls, "call"),
        (figures.blocked(), "blocked"),
        (figures.raised(), "exception"),
        (figures.late, "late"),
        (status.restarts, "restart"),
    ];
    parts.extend(all.into_iter().filter(|(number, _)| *number > 0).map(|(number, what)| match what {
        "blocked" | "late" => format!("{number} {what}"),
        what => counted(number, what),
    }));
    parts.join(", ")
}

/// How a script does, then how each of its hooks does.
pub(super) fn figures_of(status: &ScriptStatus) -> Vec<String> {
    let mut lines = vec![format!("{}: {}", status.name, summary(status))];
    for hook in &status.figures.hooks {
        let times = &hook.times;
        let mut line = format!("{}: {}", hook.hook, counted(hook.events, "event"));
        if let Some(mean) = times.total.checked_div(times.count()) {
            let (mean, longest) = (Duration::from_nanos(mean), Duration::from_nanos(times.longest));
            let _ = write!(line, ", {} each, slowest {}", short_time(mean), short_time(longest));
        }
        for (number, what) in [(hook.blocked, "blocked"), (times.raised, "raised"), (hook.late, "late")] {
            if number > 0 {
                let _ = write!(line, ", {number} {what}");
            }
        }
        lines.push(line);
    }
    lines
}

/// Columns padded to their widest entry.
fn table<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let lines: Vec<String> = rows
        .iter()
        .map(|row| {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(widths) {
                let _ = write!(line, "{cell:<width$}  ");
            }
            line.trim_end().to_string()
        })
        .collect();
    lines.join("\n")
}

fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86400 => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
        _ => format!("{} d {} h", seconds / 86400, seconds / 3600 % 24),
    }
}

/// The scripts of a folder in the order in which a hub loads them; the tests beside them are none.
pub fn script_files(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "py") && path.is_file())
        .filter(|path| !is_test(path))
        .collect();
    files.sort();
    Ok(files)
}

/// Whether a file is pytest's, by its name.
fn is_test(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name == "conftest.py" || name.starts_with("test_")
}

fn files(supervisor: &Supervisor, _rest: &str) -> String {
    let Some(folder) = supervisor.config.borrow().scripts_dir.clone() else {
        return "The hub has no scripts folder".into();
    };
    let files = match script_files(&folder) {
        Ok(files) if files.is_empty() => return format!("There are no scripts in {}", folder.display()),
        Ok(files) => files,
        Err(error) => return format!("{} cannot be read: {error}", folder.display()),
    };
    let mut text = format!("Scripts in {}:", folder.display());
    for (number, file) in files.iter().enumerate() {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let loaded = supervisor.find(&file.to_string_lossy()).map(|id| format!(" (loaded as number {id})"));
        let _ = write!(text, "\n{number}  {name}{}", loaded.unwrap_or_default());
    }
    *supervisor.listed_files.borrow_mut() = files;
    text
}

fn log(supervisor: &Supervisor, what: &str) -> String {
    if let Some(name) = what.strip_prefix("show") {
        return last_lines(supervisor, name.trim());
    }
    match what.parse::<usize>() {
        Ok(level) if level < LEVELS.len() => {
            log_level::set(i64::try_from(level).unwrap_or(0));
            format!("The log level is {level}: {}", LEVELS[level].1)
        }
        _ if what.is_empty() => {
            let at = log_level::current();
            format!("The log level is {at}: {}", LEVELS[at].1)
        }
        _ => usage("pylog"),
    }
}

fn set(supervisor: &Supervisor, what: &str) -> String {
    let words: Vec<&str> = what.split_whitespace().collect();
    let (script, hook, option, value) = match words[..] {
        [script, hook, option, value] => match Hook::from_name(hook) {
            Some(hook) => (script, Some(hook), option, value),
            None => return format!("There is no hook {hook}"),
        },
        [script, option, value] => (script, None, option, value),
        _ => return usage("pyset"),
    };
    let Some(id) = supervisor.find(script) else { return unknown(script) };
    let own = Some(value).filter(|value| *value != "-");
    match supervisor.set_script_option(id, hook, option, own) {
        Ok(()) => {
            let name = name_of(supervisor, script);
            let at = hook.map_or(String::new(), |hook| format!(" in {hook}"));
            let is = own.map_or("as the hub's".to_string(), str::to_string);
            format!("Script {name}{at}: {option} is now {is}")
        }
        Err(error) => error.to_string(),
    }
}

fn last_lines(supervisor: &Supervisor, what: &str) -> String {
    match supervisor.find(what).and_then(|id| supervisor.last_lines(id)) {
        None => unknown(what),
        Some(lines) if lines.is_empty() => format!("Script {what} has printed nothing"),
        Some(lines) => {
            let lines = fold(lines);
            lines[lines.len().saturating_sub(40)..].join("\n")
        }
    }
}

/// Says once what is there many times in a row, as the stack of a recursion is.
fn fold(lines: Vec<String>) -> Vec<String> {
    let mut folded: Vec<(String, usize)> = Vec::new();
    for line in lines {
        match folded.last_mut() {
            Some((last, count)) if *last == line => *count += 1,
            _ => folded.push((line, 1)),
        }
    }
    let shown = |(line, count)| if count == 1 { line } else { format!("{line} ({count} times)") };
    folded.into_iter().map(shown).collect()
}

fn help(_supervisor: &Supervisor, _rest: &str) -> String {
    let rows: Vec<[String; 2]> = COMMANDS
        .iter()
        .map(|command| [format!("!{} {}", command.name, command.usage), command.help.to_string()])
        .collect();
    table(&rows)
}

fn usage(name: &str) -> String {
    let known = COMMANDS.iter().find(|command| command.name == name);
    known.map_or(String::new(), |command| format!("Usage: !{} {} – {}", name, command.usage, command.help))
}

pub(super) fn unknown(what: &str) -> String {
    format!("There is no script {what}: see !pylist")
}
