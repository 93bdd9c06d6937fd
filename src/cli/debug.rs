//! `vhpy debug`: pdb of a script in a hub that runs, over its control socket.

use std::io::{Read, Write};
use std::net::Shutdown;

use clap::Args;
use serde_json::{Value, json};

use super::running_hub::{Hub, NO_HUB, Place};

pub(super) const HELP: &str = "Examples:\n  \
    vhpy debug quiz           # then let it run into a breakpoint(); c goes on, Ctrl-D leaves\n  \
    vhpy debug quiz --stack\n  \
    py-spy top --pid $(vhpy debug quiz --pid)\n\n\
    Exit code: 0 when it is done, 1 when it was refused, 2 for a wrong command line, 3 when there is no \
    hub.";

#[derive(Args)]
pub(super) struct DebugArgs {
    /// The script.
    name: String,

    /// Show where all its threads are, without stopping it.
    #[arg(long, conflicts_with = "pid")]
    stack: bool,

    /// Print the number of its process, for py-spy and debugpy.
    #[arg(long)]
    pid: bool,

    #[command(flatten)]
    place: Place,
}

pub(super) fn run(args: &DebugArgs) -> Result<i64, String> {
    let Some(mut hub) = args.place.connect()? else { return Ok(NO_HUB) };
    let what = match args {
        DebugArgs { stack: true, .. } => "stacks",
        DebugArgs { pid: true, .. } => "status",
        _ => "debug",
    };
    let answer = hub.ask(&json!({"do": what, "script": args.name}))?;
    if let Some(error) = answer["error"].as_str() {
        eprintln!("vhpy: {error}");
        return Ok(1);
    }
    if args.pid {
        return Ok(print_pid(&args.name, &answer["answer"]["pid"]));
    }
    println!("{}", answer["text"].as_str().unwrap_or_default());
    match args.stack {
        true => Ok(0),
        false => relay(hub).map_err(|error| format!("the connection to the hub: {error}")),
    }
}

fn print_pid(name: &str, pid: &Value) -> i64 {
    match pid.as_i64() {
        Some(pid) => {
            println!("{pid}");
            0
        }
        None => {
            eprintln!("vhpy: script {name} has no process just now");
            1
        }
    }
}

/// What is typed goes to the hub, and what comes from there is shown, until one of the two ends. The hub
/// leaves out what a terminal would obey.
fn relay(hub: Hub) -> std::io::Result<i64> {
    let mut shown = hub.into_stream();
    let mut typed = shown.get_ref().try_clone()?;
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut typed);
        let _ = typed.shutdown(Shutdown::Write);
    });
    let mut buffer = [0; 4096];
    let mut out = std::io::stdout().lock();
    loop {
        let count = match shown.read(&mut buffer) {
            Ok(0) => return Ok(0),
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        out.write_all(&buffer[..count])?;
        out.flush()?;
    }
}
