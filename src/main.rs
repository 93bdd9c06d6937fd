//! The program `vhpy`: an embedded hub to run and test scripts.

use clap::Parser;

/// Python scripting for Direct Connect hubs.
#[derive(Parser)]
enum Arguments {
    /// Measure what scripts cost
    Bench(vhpy::bench::Options),
}

fn main() -> std::process::ExitCode {
    let result = match Arguments::parse() {
        Arguments::Bench(options) => vhpy::bench::run(&options).map(drop),
    };
    match result {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("vhpy: {error}");
            std::process::ExitCode::FAILURE
        }
    }
}
