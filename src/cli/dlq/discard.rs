//! `bullion dlq discard`: letters that nobody wants. Nothing is lost unless it is said twice.

use std::io::{IsTerminal, Write};

use super::{Chosen, Context, Outcome, Result, tell};
use crate::error::{Error, Kind};
use crate::sink::clickhouse::ClickHouse;
use crate::sink::dead_letters::{self, Mark};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion dlq discard --job orders --reason bad_json          hidden; `--state discarded` still finds them
  bullion dlq discard --state any --to 2024-01-01 --delete    gone, with their bytes

At a terminal the command asks; elsewhere it needs --yes.")]
pub struct Args {
    #[command(flatten)]
    chosen: Chosen,
    /// Delete the letters and their bytes for good
    #[arg(long)]
    delete: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let config = context.config()?;
    let filter = args.chosen.filter(&config)?;
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    let ops = &config.clickhouse.ops;
    let places = dead_letters::places(&clickhouse, ops, &filter, args.chosen.limit).await?;
    if places.is_empty() {
        tell(&context, "no dead letters");
        return Ok(Outcome::done("noop").with("letters", 0));
    }
    let letters = places.len();
    let what = if args.delete {
        format!("delete {letters} dead letters and their bytes for good")
    } else {
        format!("hide {letters} dead letters, and keep their bytes")
    };
    if !args.yes && !agreed(&what)? {
        tell(&context, "nothing was done");
        return Ok(Outcome::done("noop").with("letters", 0));
    }
    if args.delete {
        dead_letters::delete(&clickhouse, ops, &places).await?;
    } else {
        dead_letters::mark(&clickhouse, ops, &places, Mark::Discarded).await?;
    }
    let done = if args.delete { "deleted" } else { "discarded" };
    tell(&context, format!("{letters} dead letters {done}"));
    Ok(Outcome::done("done")
        .with("letters", letters)
        .with("deleted", args.delete))
}

/// Only a person at a terminal can be asked.
fn agreed(what: &str) -> Result<bool> {
    let mut stderr = std::io::stderr();
    if !(std::io::stdin().is_terminal() && stderr.is_terminal()) {
        return Err(Error::new(
            Kind::Usage,
            format!("nobody can be asked whether to {what}"),
        )
        .advise("add --yes if that is meant"));
    }
    let question = format!("{what}? [y/N] ");
    let _ = stderr.write_all(question.as_bytes());
    let _ = stderr.flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    Ok(read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes"))
}
