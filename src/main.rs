//! The program `vhpy`: an embedded hub to run and test scripts.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
