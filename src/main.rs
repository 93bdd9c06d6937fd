//! The program `vhpy`: an embedded hub to run and test scripts.
#![cfg_attr(not(test), warn(clippy::unwrap_used, clippy::expect_used))]

#[cfg(cargo_install)]
compile_error!(env!("VHPY_REFUSAL"));

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
