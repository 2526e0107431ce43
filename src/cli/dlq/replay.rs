//! `bullion dlq replay`: letters become rows at the versions they would have had.

use serde_json::{Map, Value, json};

use super::{Chosen, Context, Outcome, Result, tell};
use crate::dlq::{Counted, Replay};
use crate::error::{Error, Kind};
use crate::sink::clickhouse::ClickHouse;
use crate::sink::dead_letters;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion dlq replay --job orders --dry-run              what would become of them now
  bullion dlq replay --job orders --reason out_of_range  after the job's column was widened

A row is written at the version of its message: newer rows of its key stay. What is rejected again stays a letter,
with its new reason, and the exit code is 3. Harmless while ingest runs, and as often as you like.")]
pub struct Args {
    #[command(flatten)]
    chosen: Chosen,
    /// Decode and count, and write nothing
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    // a name that nobody declared is a slip of the pen
    jobs.select_silver(&args.chosen.job)?;
    let filter = args.chosen.filter(&config)?;
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    let ops = &config.clickhouse.ops;
    let places = dead_letters::places(&clickhouse, ops, &filter, args.chosen.limit).await?;
    if places.is_empty() {
        tell(&context, "no dead letters");
        return Ok(Outcome::done("noop").with("letters", 0));
    }
    let letters = places.len();
    tell(&context, format!("{letters} dead letters"));
    let replay = Replay {
        config: &config,
        clickhouse: &clickhouse,
        jobs: &jobs,
        dry_run: args.dry_run,
        shutdown: &context.shutdown,
    };
    let replayed = replay.run(places).await?;
    let mut told = Map::new();
    for (name, job) in &replayed.jobs {
        say(&context, name, job, args.dry_run);
        told.insert(name.clone(), counted(job));
    }
    let outcome = Outcome::done(if args.dry_run { "planned" } else { "done" })
        .with("letters", letters)
        .with("jobs", Value::Object(told));
    match replayed.rejected() {
        0 => Ok(outcome),
        _ if args.dry_run => Ok(outcome),
        rejected => Ok(outcome.failed(&Error::new(
            Kind::StillRejected,
            format!("{rejected} of {letters} dead letters were rejected again"),
        ))),
    }
}

fn say(context: &Context, name: &str, job: &Counted, dry_run: bool) {
    let skipped: u64 = job.skips.values().sum();
    let rejected: u64 = job.rejects.values().sum();
    let rows = if dry_run { "would become rows" } else { "rows" };
    tell(
        context,
        format!(
            "{name}: {} {rows}, {skipped} skipped, {rejected} rejected again",
            job.rows
        ),
    );
    for ((reason, column), count) in &job.rejects {
        let column = match column.as_str() {
            "" => String::new(),
            column => format!(" ({column})"),
        };
        tell(context, format!("  {count} {reason}{column}"));
    }
}

fn counted(job: &Counted) -> Value {
    let rejects = job.rejects.iter();
    let rejects = rejects.map(
        |((reason, column), count)| json!({"reason": reason, "column": column, "letters": count}),
    );
    json!({"rows": job.rows, "skips": job.skips, "rejects": rejects.collect::<Vec<_>>()})
}
