//! Measures what scripts in processes of their own cost, beside the same scripts inside the
//! hub's process; the small parts have benchmarks of their own in `benches/`.
//!
//! - [`measure`]: rounds in turns, medians
//! - [`report`]: figures, the table, JSON
//! - [`machine`]: what it was measured on
//! - [`rig`]: a supervisor with scripts, and the hub they believe in
//! - [`baseline`]: the yardstick, CPython inside this process (feature `baseline`)
//! - [`proc`]: what the kernel knows about processes
//! - [`library`]: libraries as hubs in C use them
//! - [`asked`], [`events`], [`functions`], [`lifecycle`], [`quiet`], [`growth`], [`embedded`]: the
//!   benchmarks
//!
//! Everything that is compared is measured in the same run and in turns: a round of one, a
//! round of the other. A figure is the median of its rounds, a ratio the median of the rounds'
//! ratios, so that a machine that changes its pace changes both.

mod asked;
mod baseline;
mod embedded;
mod events;
mod functions;
mod growth;
mod library;
mod lifecycle;
pub mod machine;
pub mod measure;
mod proc;
mod quiet;
pub mod report;
mod rig;

use std::cell::OnceCell;
use std::io;
use std::path::PathBuf;

use crate::supervisor::{CallError, LoadError, StartError};
use asked::Libraries;
use baseline::Baseline;
use machine::Machine;
use measure::Plan;
use report::{Line, Report};
use rig::Scratch;

/// What `vhpy bench` is told.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Options {
    /// A few short rounds: seconds instead of minutes, and less exact
    #[arg(long)]
    pub quick: bool,
    /// Write the figures to a file as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// The interpreter for the scripts; without it the baseline's, or else python3
    #[arg(long, value_name = "PYTHON")]
    pub python: Option<PathBuf>,
    /// Another library with the functions w_*, measured in turns with libvhpy.so as a hub in C
    /// uses both; it stands in the in-process column
    #[arg(long, value_name = "LIBRARY")]
    pub beside: Option<PathBuf>,
    /// Only the benchmarks whose names begin so
    #[arg(value_name = "NAME")]
    pub names: Vec<String>,
}

/// Why there are no figures.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No supervisor.
    #[error(transparent)]
    Start(#[from] StartError),
    /// A benchmark's script did not load.
    #[error("a benchmark's script did not load: {0}")]
    Load(#[from] LoadError),
    /// A benchmark's function failed.
    #[error("a benchmark's function failed: {0}")]
    Call(#[from] CallError),
    /// The embedded hub did not do its part.
    #[error("the embedded hub: {0}")]
    Hub(String),
    /// The system refused something.
    #[error("{what}: {error}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        error: io::Error,
    },
    /// Scripts did not do what the benchmark measures.
    #[error("not measured: {0}")]
    Wrong(String),
    /// A name that no benchmark has.
    #[error("no benchmark's name begins with '{0}'; there are: {1}")]
    Unknown(String, String),
}

impl Error {
    fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> Error {
        let what = what.into();
        move |error| Error::System { what, error }
    }
}

/// What a benchmark is given.
struct Context {
    plan: Plan,
    python: Option<PathBuf>,
    scratch: Scratch,
    baseline: Option<Baseline>,
    quick: bool,
    beside: Option<PathBuf>,
    libraries: OnceCell<Libraries>,
}

impl Context {
    /// The libraries that hubs in C use, opened when they are first needed.
    fn libraries(&self) -> Result<&Libraries, Error> {
        if self.libraries.get().is_none() {
            // Nobody else has put them there meanwhile: this is one thread.
            let _ = self.libraries.set(Libraries::open(self.beside.as_ref())?);
        }
        self.libraries.get().ok_or_else(|| Error::Wrong("there is no library".into()))
    }
}

type Bench = fn(&Context) -> Result<Vec<Line>, Error>;

/// All benchmarks in the order of the table.
const BENCHES: [(&str, Bench); 22] = [
    ("gaps", asked::gaps),
    ("asked", asked::one_by_one),
    ("messages", asked::messages),
    ("has_hook", asked::has_hook),
    ("called", asked::called),
    ("fan", asked::fan_out),
    ("filter", asked::filter),
    ("users", embedded::users),
    ("hook", events::hook),
    ("call", events::call),
    ("scripts", events::several),
    ("observer", events::observer),
    ("burn", events::burn),
    ("loaded", events::loaded),
    ("function", functions::functions),
    ("load", lifecycle::load),
    ("restart", lifecycle::restart),
    ("memory", quiet::memory),
    ("idle", quiet::idle),
    ("steady", quiet::steady),
    ("growth", growth::growth),
    ("embedded", embedded::embedded),
];

/// Measures, prints each figure as it is known and then the table, writes the JSON.
///
/// Call it in a process with one thread: others would disturb it, and be counted.
pub fn run(options: &Options) -> Result<Report, Error> {
    let chosen = choose(&options.names)?;
    // Two Pythons in one process do not get along.
    let baseline = if options.beside.is_none() { Baseline::start()? } else { None };
    let python = options.python.clone().or_else(|| Baseline::executable().map(PathBuf::from));
    let context = Context {
        plan: if options.quick { Plan::QUICK } else { Plan::THOROUGH },
        python,
        scratch: Scratch::new()?,
        baseline,
        quick: options.quick,
        beside: options.beside.clone(),
        libraries: OnceCell::new(),
    };
    let machine = Machine::look(&rig::worker_python(&context)?);
    let mut report = Report { machine, quick: options.quick, lines: Vec::new() };
    for (name, bench) in chosen {
        eprintln!("{name} …");
        match bench(&context) {
            Ok(lines) => report.lines.extend(lines),
            // One that cannot be measured does not take the others along.
            Err(error) => report.lines.push(Line::Skipped { name: name.into(), why: error.to_string() }),
        }
    }
    print!("{report}");
    if let Some(file) = &options.json {
        std::fs::write(file, report.json()).map_err(Error::system(file.display().to_string()))?;
    }
    Ok(report)
}

fn choose(names: &[String]) -> Result<Vec<(&'static str, Bench)>, Error> {
    for name in names {
        if !BENCHES.iter().any(|(known, _)| known.starts_with(name.as_str())) {
            let known: Vec<_> = BENCHES.iter().map(|(name, _)| *name).collect();
            return Err(Error::Unknown(name.clone(), known.join(", ")));
        }
    }
    let wanted = |bench: &str| names.is_empty() || names.iter().any(|name| bench.starts_with(name.as_str()));
    Ok(BENCHES.iter().copied().filter(|(name, _)| wanted(name)).collect())
}
