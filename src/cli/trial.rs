//! `vhpy try`: a hub in the terminal; what is typed is said, and what users see is printed.

use std::collections::BTreeSet;
use std::io::{BufRead, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::Args;
use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::sys::eventfd::{EfdFlags, EventFd};
use notify::{RecursiveMode, Watcher};
use plugin_abi::{Hook, Value};
use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::DefaultHistory;
use rustyline::validate::Validator;
use rustyline::{Context, Editor, ExternalPrinter, Helper};
use vhpy::hub::{Options, Sight, Stage};

use super::absolute;

pub(super) const HELP: &str = "Examples:\n  \
    vhpy try quiz.py\n  \
    printf '+quiz\\nbob: paris\\n' | vhpy try quiz.py     one line an input, for reports of faults\n\n\
    Exit code: 0, 1 when a script raised, died or was not loaded, 2 when an input made no sense.";

#[derive(Args)]
pub(super) struct TryArgs {
    /// The scripts.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,

    /// The interpreter for scripts that have no .venv beside them.
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,

    /// Write events, calls and answers to a new file, for vhpy replay.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
}

const USAGE: &str = "\
hello                  alice says it; +stats and !kick are said, too
bob: hello             bob says it
bob> alice: psst       bob writes it to alice
/join carol 3          carol comes, as an operator (1 registered, 2 VIP, 3 operator … 10 master)
/quit bob              bob leaves
/as bob                bob says what follows
/search linux iso      the one who speaks searches
/tick 60               the hub's clock goes on by so many seconds, with OnTimer for each
/call get_stats 5      calls a function of the last script; arguments are JSON
/reload                loads the scripts again; saving one does, too
/users, /help, /exit";

const COMMANDS: [&str; 9] =
    ["/join ", "/quit ", "/as ", "/search ", "/tick ", "/call ", "/reload", "/users", "/help"];

/// How long a file must lie still before it is loaded again.
const STILL: Duration = Duration::from_millis(100);

// ------------------------------------------------------------------------- the log

/// What scripts print and the hub complains of, until it is shown.
struct Lines {
    lines: Mutex<Vec<(Level, String)>>,
    /// Whether a script raised or died.
    raised: AtomicBool,
    woken: Arc<EventFd>,
}

/// The program's log, which is a static of the crate `log`.
struct Collector(Arc<Lines>);

impl Log for Collector {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "script" || metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let text = record.args().to_string();
        let is_traceback = record.target() == "script" && text.contains("Traceback (most recent call last)");
        if is_traceback || record.level() == Level::Error {
            self.0.raised.store(true, Ordering::Relaxed);
        }
        self.0.lines.lock().unwrap_or_else(PoisonError::into_inner).push((record.level(), text));
        // It fails only when it is set already.
        let _ = self.0.woken.write(1);
    }

    fn flush(&self) {}
}

fn event() -> Result<EventFd, String> {
    EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).map_err(|error| error.to_string())
}

// -------------------------------------------------------------------------- the trial

/// What comes from outside.
enum Input {
    Line(String),
    Saved(PathBuf),
    End,
}

struct Trial {
    stage: Stage,
    /// Names and files.
    scripts: Vec<(String, PathBuf)>,
    speaker: String,
    lines: Arc<Lines>,
    colours: bool,
    printer: Box<dyn FnMut(&str)>,
    /// Whether an input made no sense.
    senseless: bool,
}

/// A folder that goes with this value.
struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub(super) fn run(args: &TryArgs) -> Result<i64, String> {
    let lines = Arc::new(Lines {
        lines: Mutex::default(),
        raised: AtomicBool::new(false),
        woken: Arc::new(event()?),
    });
    log::set_boxed_logger(Box::new(Collector(Arc::clone(&lines)))).map_err(|error| error.to_string())?;
    log::set_max_level(LevelFilter::Info);
    let folder = Folder(std::env::temp_dir().join(format!("vhpy-try-{}", std::process::id())));
    let mut stage = Stage::open(options(&folder.0, args)?).map_err(|error| error.to_string())?;
    if let Some(file) = &args.record {
        super::record(&stage.hub().supervisor(), file)?;
    }
    let is_terminal = std::io::stdin().is_terminal();
    let mut trial = Trial {
        stage,
        scripts: Vec::new(),
        speaker: "alice".into(),
        lines,
        colours: std::io::stdout().is_terminal(),
        printer: Box::new(|text| {
            // Who does not read ends the program by that.
            let _ = std::io::stdout().write_all(text.as_bytes());
        }),
        senseless: false,
    };
    for file in &args.files {
        trial.load(&absolute(file)?);
    }
    for nick in ["alice", "bob"] {
        trial.join(nick, 0);
    }
    trial.show();
    if is_terminal {
        trial.converse()?
    } else {
        trial.follow()
    }
    let Trial { stage, lines, senseless, .. } = trial;
    stage.close();
    Ok(match (lines.raised.load(Ordering::Relaxed), senseless) {
        // Whoever was there has seen it.
        _ if is_terminal => 0,
        (true, _) => 1,
        (false, true) => 2,
        (false, false) => 0,
    })
}

fn options(data: &Path, args: &TryArgs) -> Result<Options, String> {
    let mut options = Options::new(data);
    // Whoever types is not too fast.
    for period in ["chat", "to", "search", "other"] {
        options.settings.push((format!("int_flood_{period}_period"), b"0".to_vec()));
    }
    if let Some(python) = &args.python {
        options.settings.push(("python".into(), python.to_string_lossy().into_owned().into_bytes()));
    }
    Ok(options)
}

impl Trial {
    // --------------------------------------------------------------------- output

    fn print(&mut self, text: &str) {
        (self.printer)(&format!("{text}\n"));
    }

    fn painted(&self, colour: &str, text: &str) -> String {
        if self.colours { format!("\x1b[{colour}m{text}\x1b[0m") } else { text.to_string() }
    }

    fn complain(&mut self, text: &str) {
        self.senseless = true;
        let text = self.painted("31", text);
        self.print(&text);
    }

    /// Prints what scripts logged and users saw since the last time.
    fn show(&mut self) {
        let lines = std::mem::take(&mut *self.lines.lines.lock().unwrap_or_else(PoisonError::into_inner));
        for (level, line) in lines {
            let line = self.painted(if level == Level::Info { "2" } else { "33" }, &format!("  | {line}"));
            self.print(&line);
        }
        let nicks: Vec<String> = self.stage.nicks().into_iter().map(String::from).collect();
        let mut seen: Vec<(Sight, Vec<&str>)> = Vec::new();
        for nick in &nicks {
            for sight in self.stage.seen_by(nick) {
                let same =
                    seen.iter_mut().find(|(known, by)| *known == sight && !by.contains(&nick.as_str()));
                match same {
                    Some((_, by)) => by.push(nick),
                    None => seen.push((sight, vec![nick])),
                }
            }
        }
        for (sight, by) in seen {
            let line = match sight {
                Sight::Chat(line) => line,
                Sight::Private(from, line) => format!("PM from {from}: {line}"),
                Sight::Closed => "the hub closed the connection".into(),
                // Who came and went is what was typed.
                Sight::List(_) => continue,
            };
            let who = format!("[{}] ", by.join(", "));
            let who = if by.len() == nicks.len() { String::new() } else { self.painted("36", &who) };
            for line in line.lines() {
                self.print(&format!("{who}{line}"));
            }
        }
    }

    // -------------------------------------------------------------------- scripts

    fn load(&mut self, path: &Path) {
        match self.stage.load(path) {
            Ok(loaded) => {
                let hooks = names(&self.stage.hooks(&loaded.name));
                self.print(&format!("{} is loaded: {hooks}", loaded.name));
                self.warn(&loaded.warnings);
                self.scripts.push((loaded.name, path.to_path_buf()));
            }
            Err(error) => {
                self.lines.raised.store(true, Ordering::Relaxed);
                let text = self.painted("31", &error.about(path));
                self.print(&text);
                // It is loaded once it is mended.
                let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                self.scripts.push((stem, path.to_path_buf()));
            }
        }
        self.lines
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .retain(|(_, line)| !(line.starts_with("script ") && line.contains(" is not loaded")));
    }

    fn warn(&mut self, warnings: &[String]) {
        for warning in warnings {
            let line = self.painted("33", &format!("  warning: {warning}"));
            self.print(&line);
        }
    }

    fn reload(&mut self, path: &Path) {
        let Some(at) = self.scripts.iter().position(|(_, known)| known == path) else { return };
        let (name, path) = self.scripts.get(at).cloned().unwrap_or_default();
        let supervisor = self.stage.hub().supervisor();
        let Some(id) = supervisor.find(&path.to_string_lossy()) else {
            self.scripts.remove(at);
            return self.load(&path);
        };
        let before = self.stage.hooks(&name);
        match supervisor.reload(self.stage.hub(), id) {
            Ok(loaded) => {
                let after = self.stage.hooks(&name);
                let only = |these: &[Hook], those: &[Hook]| {
                    these.iter().filter(|hook| !those.contains(hook)).copied().collect::<Vec<_>>()
                };
                let (new, gone) = (only(&after, &before), only(&before, &after));
                let mut text = format!("{name} is reloaded");
                if !new.is_empty() {
                    text += &format!("; new: {}", names(&new));
                }
                if !gone.is_empty() {
                    text += &format!("; gone: {}", names(&gone));
                }
                self.print(&text);
                self.warn(&loaded.warnings);
            }
            Err(error) => {
                self.lines.raised.store(true, Ordering::Relaxed);
                let text = self.painted("31", &format!("{name} is not reloaded: {error}"));
                self.print(&text);
            }
        }
    }

    // ---------------------------------------------------------------------- input

    /// Does what is typed. False when that is the end.
    fn line(&mut self, line: &str) -> bool {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.trim().is_empty() || line.starts_with('#') {
            return true;
        }
        if let Some(command) = line.strip_prefix('/') {
            let (name, rest) = command.split_once(' ').unwrap_or((command, ""));
            if name == "exit" {
                return false;
            }
            self.command(name, rest.trim());
        } else {
            self.talk(line);
        }
        self.stage.settle();
        self.show();
        true
    }

    fn talk(&mut self, line: &str) {
        if let Some((from, rest)) = line.split_once("> ")
            && self.is_here(from)
            && let Some((to, text)) = rest.split_once(": ")
        {
            self.stage.whisper(from, to, text);
            return;
        }
        if let Some((from, text)) = line.split_once(": ")
            && self.is_here(from)
        {
            self.stage.say(from, text);
            return;
        }
        let speaker = self.speaker.clone();
        if !self.stage.say(&speaker, line) {
            self.complain(&format!("{speaker} is not here: /join {speaker}, or /as NICK"));
        }
    }

    fn is_here(&self, nick: &str) -> bool {
        self.stage.nicks().contains(&nick)
    }

    fn command(&mut self, name: &str, rest: &str) {
        let speaker = self.speaker.clone();
        match (name, rest) {
            ("help", _) => self.print(USAGE),
            ("users", _) => {
                let nicks = self.stage.nicks().join(", ");
                self.print(&nicks);
            }
            ("reload", _) => {
                for (_, path) in self.scripts.clone() {
                    self.reload(&path);
                }
            }
            ("join", nick) if !nick.is_empty() => {
                let (nick, class) = nick.split_once(' ').unwrap_or((nick, "0"));
                match class.trim().parse() {
                    Ok(class) => self.join(nick, class),
                    Err(_) => self.complain("/join NICK [CLASS], with a class from 0 to 10"),
                }
            }
            ("quit", nick) if self.is_here(nick) => {
                self.stage.quit(nick);
            }
            ("as", nick) if self.is_here(nick) => self.speaker = nick.into(),
            ("quit" | "as", nick) => self.complain(&format!("there is no user {nick:?}; /users lists them")),
            ("search", what) if !what.is_empty() => {
                self.stage.search(&speaker, what);
            }
            ("tick", times) => match if times.is_empty() { Ok(1) } else { times.parse::<u32>() } {
                Ok(times) => (0..times).for_each(|_| self.stage.tick()),
                Err(_) => self.complain("/tick [SECONDS]"),
            },
            ("call", function) if !function.is_empty() => self.call(function),
            _ => self.complain(&format!(
                "there is no {}: /help says what there is",
                format!("/{name} {rest}").trim_end()
            )),
        }
    }

    fn join(&mut self, nick: &str, class: i64) {
        if let Err(error) = self.stage.join(nick, class) {
            self.complain(&error.to_string());
        }
        self.stage.settle();
    }

    fn call(&mut self, what: &str) {
        let (function, rest) = what.split_once(' ').unwrap_or((what, ""));
        let args: Result<Vec<serde_json::Value>, _> =
            serde_json::Deserializer::from_str(rest).into_iter().collect();
        let Ok(args) = args else {
            return self.complain("/call FUNCTION [ARGUMENT…], with arguments in JSON: /call top 5 \"all\"");
        };
        let Some((script, _)) = self.scripts.last().cloned() else { return };
        let args: Vec<Value<'static>> = args.iter().map(argument).collect();
        match self.stage.call(&script, function, &args) {
            Ok(value) => self.print(&value.to_string()),
            Err(error) => {
                self.lines.raised.store(true, Ordering::Relaxed);
                let text = self.painted("31", &error.to_string());
                self.print(&text);
            }
        }
    }

    /// Takes lines from a pipe, and shows them.
    fn follow(&mut self) {
        for line in std::io::stdin().lock().split(b'\n').map_while(Result::ok) {
            // What is no UTF-8 is shown as such, and nothing behind it is lost.
            let line = String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(&line));
            self.print(&format!("> {line}"));
            if !self.line(&line) {
                break;
            }
        }
    }

    /// Takes lines from somebody at a terminal, and reloads what they save.
    fn converse(&mut self) -> Result<(), String> {
        let (sender, inputs) = channel();
        let woken = Arc::clone(&self.lines.woken);
        let nicks = Arc::new(Mutex::new(Vec::new()));
        let mut editor = Editor::<Nicks, DefaultHistory>::new().map_err(|error| error.to_string())?;
        editor.set_helper(Some(Nicks(Arc::clone(&nicks))));
        if let Ok(mut printer) = editor.create_external_printer() {
            self.printer = Box::new(move |text| {
                // The terminal is gone then, which the next input tells.
                let _ = printer.print(text.to_string());
            });
        }
        let _watcher = self.watch(&sender, &woken);
        self.print("Type what alice says, or /help.");
        let (line_sender, line_woken) = (sender, Arc::clone(&woken));
        std::thread::spawn(move || read_lines(editor, &line_sender, &line_woken));
        loop {
            *nicks.lock().unwrap_or_else(PoisonError::into_inner) =
                self.stage.nicks().into_iter().map(String::from).collect();
            self.stage.wait(Some(woken.as_fd()), None);
            // Set or not, what there is is looked at.
            let _ = woken.read();
            if !self.take(&inputs) {
                return Ok(());
            }
            self.stage.turn();
            self.stage.hub().supervisor().catch_up_with_output();
            self.show();
        }
    }

    fn take(&mut self, inputs: &Receiver<Input>) -> bool {
        let mut saved = BTreeSet::new();
        loop {
            let input = match saved.is_empty() {
                true => inputs.try_recv().ok(),
                // An editor writes in several steps.
                false => inputs.recv_timeout(STILL).ok(),
            };
            match input {
                Some(Input::Line(line)) if !self.line(&line) => return false,
                Some(Input::Line(_)) => {}
                Some(Input::Saved(path)) => {
                    saved.insert(path);
                }
                Some(Input::End) => return false,
                None => break,
            }
        }
        for path in saved {
            self.reload(&path);
        }
        true
    }

    /// Tells of scripts that are saved, for as long as the value lives.
    fn watch(&mut self, sender: &Sender<Input>, woken: &Arc<EventFd>) -> Option<notify::RecommendedWatcher> {
        let (sender, woken) = (sender.clone(), Arc::clone(woken));
        let told = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            if event.kind.is_access() {
                return;
            }
            for path in event.paths {
                let _ = sender.send(Input::Saved(path));
            }
            let _ = woken.write(1);
        };
        let mut watcher = notify::recommended_watcher(told).ok()?;
        let folders: BTreeSet<PathBuf> =
            self.scripts.iter().filter_map(|(_, path)| path.parent().map(Path::to_path_buf)).collect();
        for folder in folders {
            if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
                self.print(&format!("{}: saved scripts are not noticed: {error}; /reload", folder.display()));
            }
        }
        Some(watcher)
    }
}

fn names(hooks: &[Hook]) -> String {
    match hooks {
        [] => "no hooks".into(),
        hooks => hooks.iter().map(|hook| hook.name()).collect::<Vec<_>>().join(", "),
    }
}

fn argument(json: &serde_json::Value) -> Value<'static> {
    use serde_json::Value as Json;
    match json {
        Json::Null => Value::Nil,
        Json::Bool(yes) => Value::Bool(*yes),
        Json::Number(number) => match number.as_i64() {
            Some(whole) => Value::Int(whole),
            None => Value::Float(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Value::from(text.clone().into_bytes()),
        Json::Array(list) => Value::List(list.iter().map(argument).collect()),
        Json::Object(map) => Value::Map(
            map.iter().map(|(key, value)| (Value::from(key.clone().into_bytes()), argument(value))).collect(),
        ),
    }
}

fn read_lines(mut editor: Editor<Nicks, DefaultHistory>, sender: &Sender<Input>, woken: &EventFd) {
    loop {
        let input = match editor.readline("> ") {
            Ok(line) => {
                // Without it, the line is not there to be typed again.
                let _ = editor.add_history_entry(&line);
                Input::Line(line)
            }
            Err(ReadlineError::Interrupted) => continue,
            Err(_) => Input::End,
        };
        let is_end = matches!(input, Input::End);
        let sent = sender.send(input);
        let _ = woken.write(1);
        if is_end || sent.is_err() {
            return;
        }
    }
}

/// Completes commands and nicks.
struct Nicks(Arc<Mutex<Vec<String>>>);

impl Completer for Nicks {
    type Candidate = String;

    fn complete(&self, line: &str, at: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = line.get(..at).unwrap_or_default();
        let start = typed.rfind(' ').map_or(0, |space| space + 1);
        let word = typed.get(start..).unwrap_or_default();
        let nicks = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let commands = COMMANDS.iter().map(|command| (*command).to_string()).filter(|_| start == 0);
        let all = commands.chain(nicks);
        Ok((start, all.filter(|candidate| !word.is_empty() && candidate.starts_with(word)).collect()))
    }
}

impl Hinter for Nicks {
    type Hint = String;
}

impl Highlighter for Nicks {}
impl Validator for Nicks {}
impl Helper for Nicks {}
