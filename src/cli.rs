//! The command line: what can be said there, and what is said back; the hub itself is the
//! library's.

mod backup;
mod check;
mod config;
mod ctl;
mod debug;
mod generated;
mod logging;
mod new;
mod replay;
mod running_hub;
mod top;
mod trial;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgMatches, Args, FromArgMatches, Parser, Subcommand};
use vhpy::hub::{
    Acceptor, Accounts, Charset, Identity, Options, Server, ServerError, ServiceManager, Settings,
};
use vhpy::supervisor::option::{OptionSpec, of_operators_for_scripts};
use vhpy::supervisor::{Config, LoadError, RECORDING_LIMIT, Supervisor, describe_worker};

use logging::LogFormat;

/// Python scripting for Direct Connect hubs, every script in a process of its own.
#[derive(Parser)]
#[command(name = "vhpy", version, long_version = long_version(), arg_required_else_help = true)]
struct Program {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a Direct Connect hub with Python scripts.
    ///
    /// The first start makes an account with the highest class and prints its password, once.
    /// Log in with it in any NMDC client, such as ncdc or EiskaltDC++, and type !help.
    ///
    /// Scripts of the scripts folder are loaded by themselves, in the order of their names, and
    /// then those given here. Operators load, reload and unload more with !pyload, !pyreload
    /// and !pyunload.
    ///
    /// SIGTERM and SIGINT end the hub in order; SIGHUP lets it read its configuration again, unless
    /// it was started from a terminal: then it ends with that.
    #[command(after_help = "Examples:\n  \
        vhpy hub welcome.py                 a hub on this machine only, with one script\n  \
        vhpy hub --listen 0.0.0.0:411       a hub for everybody\n  \
        RUST_LOG=debug vhpy hub             with more in the log\n\n\
        Exit code: 0 after an orderly end (or the code that a script gave to StopHub), \
        1 when the hub cannot start, 2 for a wrong command line.")]
    Hub(Box<HubArgs>),

    /// Set the password of a registered nick, also while the hub runs.
    ///
    /// Without a nick, it is the only master's. The password is asked for, or read from the first
    /// line of the standard input when that is no terminal. It holds from the next login on.
    #[command(after_help = "Examples:\n  \
        vhpy passwd                  a new password for the master\n  \
        vhpy passwd --random anna    one that is made and shown\n\n\
        Exit code: 0 when it is set, 1 when nothing was changed, 2 for a wrong command line.")]
    Passwd(PasswdArgs),

    /// Write the hub's data folder to one file, also while the hub runs.
    ///
    /// The file holds accounts, bans and configuration as of one moment, what scripts have
    /// stored, and the scripts; it has a checksum and can be read by its owner alone. It is a tar
    /// archive. What is made again by itself (.venv, __pycache__) is left out.
    #[command(after_help = backup::BACKUP_HELP)]
    Backup(backup::BackupArgs),

    /// Put a backup in the place of what the data folder holds.
    ///
    /// Nothing is changed when the backup is damaged or a hub runs on the folder. What was there
    /// before is kept in the folder, as before-restore-…, for you to remove. A restore that is
    /// interrupted is finished by the next start of the hub.
    #[command(after_help = backup::RESTORE_HELP)]
    Restore(backup::RestoreArgs),

    /// Read and change the hub's configuration variables, without the hub.
    ///
    /// They are those that !getconfig and !setconfig are about in chat. A hub that runs on the
    /// folder takes changes over when it gets SIGHUP, or at its next start.
    #[command(after_help = config::HELP)]
    Config(config::ConfigArgs),

    /// Ask a hub that runs how its scripts do, and steer them.
    #[command(after_help = ctl::HELP)]
    Ctl(ctl::CtlArgs),

    /// Watch the scripts of a hub that runs: the busiest first, their hooks, and what they print.
    #[command(after_help = top::HELP)]
    Top(top::TopArgs),

    /// Debug a script of a hub that runs: breakpoint() in it opens pdb here.
    ///
    /// Meanwhile the hub goes on without the script: it gets no events, and its deadlines stand still.
    #[command(after_help = debug::HELP)]
    Debug(debug::DebugArgs),

    /// Tell what cannot have been meant in scripts, without running them.
    ///
    /// Misspelt hooks, wrong arguments of the functions of vh, hooks that keep the hub waiting, text
    /// pasted into SQL and more, each with what to do. Each script is read with the Python that
    /// would run it.
    #[command(after_help = check::HELP)]
    Check(check::CheckArgs),

    /// Try scripts in the terminal: a hub with two users, and you say what they say.
    ///
    /// What users see and scripts print is shown. A script that is saved is loaded again. Time
    /// stands still but for /tick. From a pipe, each line is an input.
    #[command(after_help = trial::HELP)]
    Try(trial::TryArgs),

    /// Give what a hub has recorded to a script, and show where its answers differ.
    ///
    /// The recording is made with vhpy hub --record or vhpy try --record. The script runs in a process
    /// as in a hub; what it asks the hub is answered as the recording has it. Answers that hang on
    /// what the recording masks are marked, and count as alike.
    #[command(after_help = replay::HELP)]
    Replay(replay::ReplayArgs),

    /// Write a script to begin with, and a test of it.
    New(new::NewArgs),

    /// Print the type stub of the module vh, for editors and type checkers.
    ///
    /// With --dir, write it where editors, mypy and pyright find it: as a folder vh beside the
    /// scripts, with a vh.py that says that the module exists in scripts alone.
    #[command(after_help = "Example:\n  vhpy stub --dir ~/.local/state/vhpy/scripts")]
    Stub(new::StubArgs),

    /// Write manual pages and completions below a share folder, for packages.
    #[command(hide = true)]
    Generate {
        /// The folder.
        share: PathBuf,
    },

    /// Measure what scripts cost, beside the same scripts in-process where that was built in.
    Bench(vhpy::bench::Options),
}

#[derive(Args)]
struct HubArgs {
    /// Python scripts to load beside those of the scripts folder.
    #[arg(value_name = "SCRIPT")]
    scripts: Vec<PathBuf>,

    /// Where clients connect: ADDRESS:PORT, more than once if you like. Port 0 takes any free one
    /// [default: 127.0.0.1:4111, unless there is --listen-tls].
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<String>,

    /// Where clients connect with TLS (nmdcs://), as with --listen.
    #[arg(long, value_name = "ADDRESS")]
    listen_tls: Vec<String>,

    /// The certificate for TLS, in PEM format, with those that vouch for it
    /// [default: one that the hub makes, in the folder tls of the data folder].
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "listen_tls"])]
    tls_cert: Option<PathBuf>,

    /// The certificate's key, in PEM format.
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

    /// Where the hub keeps accounts, bans and its configuration
    /// [default: vhpy in the XDG state folder, such as ~/.local/state/vhpy].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// The folder of the scripts that are loaded by themselves
    /// [default: scripts in the data folder].
    #[arg(long = "scripts", value_name = "DIR", value_parser = folder)]
    scripts_dir: Option<PathBuf>,

    /// Start without scripts, when one of them keeps the hub from starting or its operators out: they
    /// are named, and load with !pyload.
    #[arg(long)]
    safe: bool,

    /// The encoding of all text: utf-8, cp1251, cp1252, iso-8859-2, gbk, …
    #[arg(long, value_name = "NAME")]
    encoding: Option<String>,

    /// How many users may be online at once.
    #[arg(long, value_name = "NUMBER")]
    max_users: Option<u32>,

    /// A folder with MaxMind's .mmdb files, for vh.GetIPCC, vh.GetGeoIP and the like.
    #[arg(long, value_name = "DIR")]
    geoip: Option<PathBuf>,

    /// Where Prometheus and others can read figures over HTTP: ADDRESS:PORT, with the pages /metrics
    /// and /health [default: nowhere].
    #[arg(long, value_name = "ADDRESS")]
    metrics: Option<std::net::SocketAddr>,

    /// Where the socket for vhpy ctl is; empty is none [default: control in the data folder].
    #[arg(long, value_name = "PATH")]
    control: Option<PathBuf>,

    /// The group that may use vhpy ctl besides the hub's user.
    #[arg(long, value_name = "GROUP", default_value = "", hide_default_value = true)]
    control_group: String,

    /// How the log is written: text for people, or JSON with an object a line.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = LogFormat::Text)]
    log_format: LogFormat,

    /// Write events, calls and answers of scripts to a new file, for vhpy replay. Passwords and private
    /// texts are masked, addresses get pseudonyms. It ends at 64 MiB.
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,

    #[command(flatten)]
    scripts_options: ScriptOptions,

    /// The number of an inherited socket by which a test kit steers the hub: see the documentation
    /// of src/hub/test_control.rs.
    #[arg(long, value_name = "FD", hide = true)]
    test_control: Option<RawFd>,

    /// Sets a configuration variable for this run; !getconfig lists them all.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = assignment)]
    set: Vec<(String, String)>,
}

/// The supervisor's options as flags: `--hook-timeout 5`.
#[derive(Default)]
struct ScriptOptions(Vec<(&'static str, String)>);

impl ScriptOptions {
    fn flag(option: &OptionSpec) -> Arg {
        let flag = option.name.replace('_', "-");
        Arg::new(option.name)
            .long(flag)
            .value_name(option.value)
            .help(option.meaning.trim_end_matches('.'))
            .allow_negative_numbers(true)
    }
}

impl Args for ScriptOptions {
    fn augment_args(command: clap::Command) -> clap::Command {
        command.next_help_heading("Scripts").args(of_operators_for_scripts().map(ScriptOptions::flag))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        ScriptOptions::augment_args(command)
    }
}

impl FromArgMatches for ScriptOptions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<ScriptOptions, clap::Error> {
        let mut options = ScriptOptions::default();
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        for option in of_operators_for_scripts() {
            let Some(value) = matches.get_one::<String>(option.name) else { continue };
            // A wrong value is a wrong command line, and is said before anything starts.
            option.set(&mut Config::default(), value.as_bytes()).map_err(|error| {
                clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{error}\n"))
            })?;
            self.0.push((option.name, value.clone()));
        }
        Ok(())
    }
}

#[derive(Args)]
struct PasswdArgs {
    /// Whose password.
    #[arg(value_name = "NICK")]
    nick: Option<String>,

    /// The data folder of the hub
    /// [default: vhpy in the XDG state folder, such as ~/.local/state/vhpy].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,

    /// Make a password and show it.
    #[arg(long)]
    random: bool,
}

fn assignment(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE, such as hub_name=Mine")?;
    // A wrong variable is a wrong command line, and is said before anything starts.
    Settings::default().set(name.trim(), value.as_bytes()).map_err(|error| error.to_string())?;
    Ok((name.trim().into(), value.into()))
}

fn folder(text: &str) -> Result<PathBuf, String> {
    match std::fs::metadata(text) {
        Ok(found) if found.is_dir() => Ok(text.into()),
        Ok(_) => Err("this is no folder; scripts are named without --scripts".into()),
        Err(error) => Err(format!("there is no such folder: {error}")),
    }
}

/// Version, commit, worker, protocol: what somebody who helps wants to know. The commit is known to
/// builds by `make`.
fn long_version() -> String {
    let commit = option_env!("VHPY_COMMIT").filter(|commit| !commit.is_empty()).unwrap_or("unknown");
    format!("{}\ncommit {commit}\nworker {}", plugin_abi::start::BUILD, describe_worker())
}

/// Runs the program.
pub fn main() -> ExitCode {
    // SAFETY: no other thread runs yet.
    let service = unsafe { take_service_manager() };
    let program = Program::parse();
    // `try` shows what is logged among what is seen.
    let logs = !matches!(program.command, Command::Try(_));
    let format = match &program.command {
        Command::Hub(args) => args.log_format,
        _ => LogFormat::Text,
    };
    if let Err(error) = if logs { logging::start(format) } else { Ok(()) } {
        eprintln!("vhpy: {error}");
        return ExitCode::from(2);
    }
    if !matches!(program.command, Command::Hub(_)) {
        end_with_the_reader();
    }
    let result = match program.command {
        Command::Hub(args) => run_hub(*args, service),
        Command::Passwd(args) => set_password(&args),
        Command::Backup(args) => backup::backup(&args),
        Command::Restore(args) => backup::restore(&args),
        Command::Config(args) => config::run(&args),
        Command::Ctl(args) => ctl::run(&args),
        Command::Debug(args) => debug::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Generate { share } => generated::write(&share),
        Command::Check(args) => check::run(&args),
        Command::Try(args) => trial::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::New(args) => new::new(&args),
        Command::Stub(args) => new::stub(&args),
        Command::Bench(options) => return run_bench(&options),
    };
    match result {
        Ok(code) => ExitCode::from(u8::try_from(code & 0xff).unwrap_or(1)),
        Err(error) => {
            eprintln!("vhpy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Whoever reads the output may have enough of it, as in `vhpy config list | head`: the program
/// ends then, as all do. A hub does not.
fn end_with_the_reader() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: no handler of ours is involved, and no thread has been started.
    let _ = unsafe { signal(Signal::SIGPIPE, SigHandler::SigDfl) };
}

fn run_bench(options: &vhpy::bench::Options) -> ExitCode {
    if std::env::var_os("RUST_LOG").is_none() {
        // Scripts are loaded and killed on purpose.
        log::set_max_level(log::LevelFilter::Off);
    }
    match vhpy::bench::run(options) {
        Ok(_) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vhpy: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `vhpy` in the XDG state folder.
fn default_data() -> Option<PathBuf> {
    let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")))?;
    Some(state.join("vhpy"))
}

fn data_folder(given: Option<&Path>) -> Result<PathBuf, String> {
    match given {
        Some(data) => absolute(data),
        None => default_data()
            .ok_or_else(|| "there is no home folder for the hub's data; give one with --data".into()),
    }
}

fn set_password(args: &PasswdArgs) -> Result<i64, String> {
    let data = data_folder(args.data.as_deref())?;
    let accounts = Accounts::open(&data).map_err(|error| error.to_string())?;
    let nick = accounts.find(args.nick.as_deref()).map_err(|error| error.to_string())?;
    if args.random {
        let password = accounts.set_random_password(&nick).map_err(|error| error.to_string())?;
        println!("{nick} has a new password: {password}");
    } else {
        let password = ask_password(&nick).map_err(|error| format!("cannot read the password: {error}"))?;
        accounts.set_password(&nick, &password).map_err(|error| error.to_string())?;
        println!("{nick} has a new password.");
    }
    Ok(0)
}

fn ask_password(nick: &str) -> std::io::Result<String> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin().read_line(&mut line)?;
        return Ok(line.trim_end_matches(['\r', '\n']).into());
    }
    let password = rpassword::prompt_password(format!("New password for {nick}: "))?;
    if rpassword::prompt_password("The same again: ")? != password {
        return Err(std::io::Error::other("the two differ"));
    }
    Ok(password)
}

/// The socket that a test kit has handed over, with this number.
fn inherited_socket(fd: RawFd) -> Result<UnixStream, String> {
    use nix::fcntl::{FcntlArg, FdFlag, fcntl};
    let cannot = |why: &dyn std::fmt::Display| format!("--test-control {fd}: {why}");
    // Those of the standard streams are in use, and the program has opened no other yet.
    if fd <= 2 {
        return Err(cannot(&"a number from 3 on is wanted"));
    }
    // SAFETY: it is only asked about; a number that is not open is an error.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    fcntl(borrowed, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|error| cannot(&error))?;
    // SAFETY: it is open, and whoever started the program handed it over with this option; nothing
    // in the program has it, since this runs before anything is opened.
    Ok(UnixStream::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

/// The service manager that has started the hub, if one has. Scripts are not to inherit the way to
/// it.
///
/// # Safety
/// No other thread may run: the environment is changed.
unsafe fn take_service_manager() -> Option<(OsString, Option<Duration>)> {
    let [socket, limit, process] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"].map(|name| {
        let value = std::env::var_os(name);
        // SAFETY: the caller's promise.
        unsafe { std::env::remove_var(name) };
        value
    });
    let number = |text: Option<OsString>| text?.to_str()?.parse::<u64>().ok();
    let is_ours = number(process).is_none_or(|process| process == u64::from(std::process::id()));
    let limit = number(limit).filter(|limit| is_ours && *limit > 0).map(Duration::from_micros);
    Some((socket?, limit))
}

fn run_hub(args: HubArgs, service: Option<(OsString, Option<Duration>)>) -> Result<i64, String> {
    let test_control = args.test_control.map(inherited_socket).transpose()?;
    let mut options = options(&args)?;
    match vhpy::hub::raise_limit() {
        Ok(before) => options.script_files = Some(before),
        Err(error) => log::warn!("the limit of open files stays as it is: {error}"),
    }
    let mut server = listening(&args, options)?;
    server.handle_signals().map_err(|error| format!("cannot handle signals: {error}"))?;
    if let Some(socket) = test_control {
        server.steer_by(socket).map_err(|error| format!("--test-control: {error}"))?;
    }
    if let Some((socket, watchdog)) = service {
        match ServiceManager::at(&socket, watchdog) {
            Ok(service) => server.report_to(service),
            Err(error) => log::warn!("the service manager at {}: {error}", socket.display()),
        }
    }
    if let Some(file) = &args.record {
        record(&server.hub().supervisor(), file)?;
    }
    greet(&mut server, &args)?;
    server.run().map_err(|error| error.to_string())
}

fn record(supervisor: &Supervisor, file: &Path) -> Result<(), String> {
    let file = absolute(file)?;
    supervisor.record(&file, RECORDING_LIMIT).map_err(|error| format!("nothing is recorded: {error}"))
}

/// A hub that listens where it was told to.
fn listening(args: &HubArgs, options: Options) -> Result<Server, String> {
    let told = |error: ServerError| error.to_string();
    let own = options.data.join("tls");
    let mut plain = args.listen.iter().map(String::as_str);
    let first = plain.next().or(args.listen_tls.is_empty().then_some("127.0.0.1:4111"));
    let mut server = match first {
        Some(first) => Server::bind(first, options).map_err(told)?,
        None => Server::open(options).map_err(told)?,
    };
    for address in plain {
        server.listen(address).map_err(told)?;
    }
    if !args.listen_tls.is_empty() {
        let identity = match (&args.tls_cert, &args.tls_key) {
            (Some(certificate), Some(key)) => {
                Identity::Files { certificate: absolute(certificate)?, key: absolute(key)? }
            }
            _ => Identity::Own(own),
        };
        let acceptor = Acceptor::open(identity).map_err(|error| error.to_string())?;
        for address in &args.listen_tls {
            server.listen_tls(address, acceptor.clone()).map_err(told)?;
        }
    }
    Ok(server)
}

fn options(args: &HubArgs) -> Result<Options, String> {
    let data = data_folder(args.data.as_deref())?;
    let mut options = Options::new(data);
    options.scripts = args.scripts_dir.as_deref().map(absolute).transpose()?;
    options.metrics = args.metrics;
    options.geoip = args.geoip.as_deref().map(absolute).transpose()?;
    let named = |path: &Path| if path.as_os_str().is_empty() { Ok(path.into()) } else { absolute(path) };
    options.control = args.control.as_deref().map(named).transpose()?;
    options.control_group.clone_from(&args.control_group);
    // What is typed is UTF-8, whatever the hub speaks.
    let charset = args.encoding.as_deref().and_then(Charset::named).unwrap_or(Charset::UTF_8);
    let mut set = |name: &str, value: String| options.settings.push((name.into(), charset.encode(&value)));
    args.encoding.iter().for_each(|encoding| set("hub_encoding", encoding.clone()));
    args.max_users.iter().for_each(|users| set("max_users", users.to_string()));
    args.scripts_options.0.iter().for_each(|(name, value)| set(name, value.clone()));
    args.set.iter().for_each(|(name, value)| set(name, value.clone()));
    Ok(options)
}

fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Writes to the standard output.
fn print(text: &str) -> Result<(), String> {
    std::io::stdout().write_all(text.as_bytes()).map_err(|error| error.to_string())
}

/// Loads the scripts, unless it shall start without any, and says what there is.
fn greet(server: &mut Server, args: &HubArgs) -> Result<(), String> {
    // A hub goes on when nobody reads what it says.
    let mut said = String::new();
    let scripts = args.scripts.iter().map(|path| absolute(path)).collect::<Result<Vec<_>, _>>()?;
    let left_out = if args.safe { server.scripts_to_load(&scripts) } else { Vec::new() };
    let results = if args.safe { Vec::new() } else { server.load_scripts(&scripts) };
    let loaded = results.iter().filter(|(_, result)| result.is_ok()).count();
    let count = match loaded {
        0 => "no scripts".into(),
        1 => "1 script".into(),
        loaded => format!("{loaded} scripts"),
    };
    let why = if args.safe { " (--safe)" } else { "" };
    said += &format!("The hub listens on {}, with {count}{why}.\n", server.local_addr());
    for (at, url) in server.urls().iter().enumerate() {
        if at > 0 || url.starts_with("nmdcs:") {
            said += &format!("  {url}\n");
        }
    }
    if let Some(metrics) = server.hub().supervisor().metrics_address() {
        said += &format!("  Metrics are at http://{metrics}/metrics\n");
    }
    for (path, result) in &results {
        match result {
            Ok(loaded) => {
                for warning in &loaded.warnings {
                    said += &format!("  {}: {warning}\n", loaded.name);
                }
            }
            Err(LoadError::Script(_)) if log::log_enabled!(log::Level::Error) => {
                said += &format!("  {} is not loaded; the log says why\n", path.display());
            }
            Err(error) => said += &format!("  {}\n", error.about(path)),
        }
    }
    for path in &left_out {
        said += &format!("  {} is not loaded: !pyload {0} does it\n", path.display());
    }
    if results.is_empty() && left_out.is_empty() {
        said += &format!("  Scripts go into {}\n", server.hub().scripts_folder().display());
    }
    if let Some((nick, password)) = server.hub().take_first_account() {
        said += &format!(
            "A first account was made; this is shown only now:\n  nick {nick}, password {password}\n"
        );
    }
    server.say_ready(&results);
    // Whoever waits for the address may read it from a pipe.
    let mut stdout = std::io::stdout().lock();
    if let Err(error) = stdout.write_all(said.as_bytes()).and_then(|()| stdout.flush()) {
        let address = server.local_addr();
        log::warn!("the hub listens on {address}; nobody reads more of its standard output: {error}");
    }
    Ok(())
}
