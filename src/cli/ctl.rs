//! `vhpy ctl`: asks a hub that runs, and steers its scripts, over its control socket.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::absolute;
use super::running_hub::{NO_HUB, Place};

pub(super) const HELP: &str = "Examples:\n  \
    vhpy ctl list\n  \
    vhpy ctl reload quiz\n  \
    vhpy ctl call quiz get_score '\"alice\"'\n  \
    vhpy ctl --json status quiz\n\n\
    Exit code: 0 when it is done, 1 when it was refused, 2 for a wrong command line, 3 when there is no \
    hub.";

/// How often `log -f` looks.
const FOLLOW: Duration = Duration::from_millis(500);

#[derive(Args)]
pub(super) struct CtlArgs {
    #[command(subcommand)]
    what: What,

    #[command(flatten)]
    place: Place,

    /// Print what the hub answers, as JSON.
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum What {
    /// List the scripts.
    List,
    /// Tell how the scripts do, the slowest first.
    Stat,
    /// Tell how a script and its hooks do.
    Status { name: String },
    /// Show where all threads of a script are, without stopping it.
    Stacks { name: String },
    /// Load a script.
    Load { path: PathBuf },
    /// Unload a script.
    Unload { name: String },
    /// Load a script anew, or all.
    Reload { name: Option<String> },
    /// Show what a script, or all, printed last.
    Log {
        /// Go on with what they print.
        #[arg(short, long)]
        follow: bool,
        name: Option<String>,
    },
    /// Call a function of a script; arguments are JSON, or text where they are none.
    Call {
        name: String,
        function: String,
        #[arg(allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Raise an event; arguments as for call.
    Event {
        hook: String,
        #[arg(allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Change an option or a variable of the hub, or an option of one script; - takes that back.
    Set {
        /// [NAME [HOOK]] OPTION VALUE
        #[arg(num_args = 2..=4, allow_hyphen_values = true, value_names = ["OPTION", "VALUE"])]
        what: Vec<String>,
    },
    /// Write events, calls and answers to a new file, for vhpy replay; without a file, end that.
    Record { file: Option<PathBuf> },
    /// Show what a script keeps in vh.store.
    Store { name: String },
}

pub(super) fn run(args: &CtlArgs) -> Result<i64, String> {
    let Some(mut hub) = args.place.connect()? else { return Ok(NO_HUB) };
    let mut request = request(&args.what)?;
    loop {
        let answer = hub.ask(&request)?;
        if args.json {
            println!("{answer}");
        } else if let Some(error) = answer.get("error") {
            eprintln!("vhpy: {}", error.as_str().unwrap_or("refused"));
        } else if let Some(text) = answer["text"].as_str().filter(|text| !text.is_empty()) {
            println!("{text}");
        }
        if answer.get("error").is_some() {
            return Ok(1);
        }
        if !matches!(args.what, What::Log { follow: true, .. }) {
            return Ok(0);
        }
        request["since"] = answer["answer"]["next"].clone();
        std::thread::sleep(FOLLOW);
    }
}

fn request(what: &What) -> Result<Value, String> {
    let args = |args: &[String]| -> Vec<Value> {
        args.iter().map(|arg| serde_json::from_str(arg).unwrap_or_else(|_| json!(arg))).collect()
    };
    Ok(match what {
        What::List => json!({"do": "list"}),
        What::Stat => json!({"do": "stat"}),
        What::Status { name } => json!({"do": "status", "script": name}),
        What::Stacks { name } => json!({"do": "stacks", "script": name}),
        What::Load { path } => json!({"do": "load", "path": absolute(path)?}),
        What::Unload { name } => json!({"do": "unload", "script": name}),
        What::Reload { name } => with_script("reload", name.as_ref()),
        What::Log { name, .. } => with_script("log", name.as_ref()),
        What::Call { name, function, args: given } => {
            json!({"do": "call", "script": name, "function": function, "args": args(given)})
        }
        What::Event { hook, args: given } => json!({"do": "event", "hook": hook, "args": args(given)}),
        What::Set { what } => {
            let keys: &[&str] = match what.len() {
                2 => &["option", "value"],
                3 => &["script", "option", "value"],
                _ => &["script", "hook", "option", "value"],
            };
            let mut request = json!({"do": "set"});
            keys.iter().zip(what).for_each(|(key, value)| request[*key] = json!(value));
            request
        }
        What::Record { file: Some(file) } => json!({"do": "record", "path": absolute(file)?}),
        What::Record { file: None } => json!({"do": "record"}),
        What::Store { name } => json!({"do": "store", "script": name}),
    })
}

fn with_script(what: &str, script: Option<&String>) -> Value {
    let mut request = BTreeMap::from([("do", json!(what))]);
    request.extend(script.map(|script| ("script", json!(script))));
    json!(request)
}
