//! Parse, run, outcome to exit code.

use std::process::ExitCode;

use bullion::cli::Cli;
use clap::Parser;

fn main() -> ExitCode {
    ExitCode::from(Cli::parse().run())
}
