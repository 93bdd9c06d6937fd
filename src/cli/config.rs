//! `vhpy config`.

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use vhpy::hub::{Kind, StoredConfiguration, Variable};

use super::data_folder;

pub(super) const HELP: &str = "Examples:\n  \
    vhpy config list --changed\n  \
    vhpy config explain max_users\n  \
    vhpy config set hub_name 'My hub'\n\n\
    Exit code: 0 when it is done, 1 when not, 2 for a wrong command line.";

#[derive(Args)]
pub(super) struct ConfigArgs {
    #[command(subcommand)]
    what: What,

    /// The data folder of the hub
    /// [default: vhpy in the XDG state folder, such as ~/.local/state/vhpy].
    #[arg(long, global = true, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Subcommand)]
enum What {
    /// List the variables with their values; * marks those that were changed.
    List {
        /// Only those that were changed.
        #[arg(long)]
        changed: bool,
    },
    /// Print the value of a variable, and nothing else.
    Get { name: String },
    /// Change a variable.
    Set {
        name: String,
        #[arg(allow_hyphen_values = true)]
        value: String,
    },
    /// Make a variable what it is by default.
    Reset { name: String },
    /// Say what a variable means, and what values it takes.
    Explain { name: String },
}

pub(super) fn run(args: &ConfigArgs) -> Result<i64, String> {
    let data = data_folder(args.data.as_deref())?;
    let told = |error: vhpy::hub::StoredConfigurationError| error.to_string();
    let mut stored = StoredConfiguration::open(&data).map_err(told)?;
    match &args.what {
        What::List { changed } => {
            stored.variables().iter().filter(|one| !changed || one.is_changed()).for_each(|one| {
                let mark = if one.is_changed() { '*' } else { ' ' };
                println!("{mark} {} = {}", one.name, one.value);
            });
        }
        What::Get { name } => println!("{}", stored.variable(name).map_err(told)?.value),
        What::Set { name, value } => is_now(&stored.set(name, Some(value)).map_err(told)?),
        What::Reset { name } => is_now(&stored.set(name, None).map_err(told)?),
        What::Explain { name } => explain(&stored.variable(name).map_err(told)?),
    }
    Ok(0)
}

fn is_now(variable: &Variable) {
    println!("{} = {}", variable.name, variable.value);
    if std::io::stdout().is_terminal() {
        println!("A hub that runs takes it over at SIGHUP or its next start.");
    }
}

fn explain(variable: &Variable) {
    println!("{}: {}", variable.name, variable.meaning);
    println!("  takes    {}", values(variable.kind));
    println!("  default  {}", shown(&variable.default));
    println!("  now      {}", shown(&variable.value));
}

fn values(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "0 or 1",
        Kind::Int => "a whole number",
        Kind::Real => "a number",
        Kind::Text => "text",
    }
}

fn shown(value: &str) -> &str {
    if value.is_empty() { "(empty)" } else { value }
}
