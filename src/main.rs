//! The program `vhpy`: an embedded hub to run and test scripts.

fn main() {}
