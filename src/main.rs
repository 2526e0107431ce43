//! Parse, run, outcome to exit code.

use std::process::ExitCode;

use bullion::cli::{self, Cli};
use clap::Parser;

fn main() -> ExitCode {
    match Cli::try_parse() {
        Ok(cli) => ExitCode::from(cli.run()),
        Err(error) => ExitCode::from(cli::explain(&error)),
    }
}
