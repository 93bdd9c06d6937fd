//! `cargo bench --bench scripts -- [--quick] [--json FILE] [NAME…]`, the same as `vhpy bench`.

use clap::Parser;

/// Measure what scripts cost.
#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    options: vhpy::bench::Options,
    /// Cargo adds it.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), vhpy::bench::Error> {
    let arguments = Arguments::parse();
    // Under `cargo test --benches` there is no `--bench`: show that it starts, no more.
    if arguments.bench { vhpy::bench::run(&arguments.options).map(drop) } else { Ok(()) }
}
