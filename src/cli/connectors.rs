//! `bullion connectors apply|status|delete`: Debezium's connectors, through Kafka Connect.

mod apply;
mod delete;
mod status;

use super::{Context, Outcome, out};
use crate::error::Result;

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Check, validate and register jobs/connectors/*.json, and wait until their tasks run
    Apply(apply::Args),
    /// Show the state of every connector and why it failed
    Status(status::Args),
    /// Remove connectors and, when told to, their slot and publication in the source
    Delete(delete::Args),
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    match args.command {
        Command::Apply(args) => apply::run(args, context).await,
        Command::Status(args) => status::run(args, context).await,
        Command::Delete(args) => delete::run(args, context).await,
    }
}

fn tell(context: &Context, text: impl AsRef<str>) {
    if context.output == out::Format::Text {
        out::line(text);
    }
}
