//! `bullion backfill`: many windows of a gold job, or a range of a silver table from its source, some parts at a time; run again
//! after a kill, it goes on.

mod gold;
mod silver;
mod then_gold;

use std::path::PathBuf;
use std::time::Duration;

use super::gold::RangeArgs;
use super::verify::span;
use super::{Context, Outcome};
use crate::backfill::Order;
use crate::error::{Error, Kind, Result};
use crate::job::Jobs;
use crate::rate::Limit;

#[derive(clap::Args)]
#[command(after_help = "\
Examples, gold:
  bullion backfill orders_by_day --from 2024-01-01 --to 2025-01-01 --dry-run   which windows are left
  bullion backfill orders_by_day --from 2024-01-01 --to 2025-01-01             build them
  bullion backfill orders_by_day --last 30d --rebuild                          the finished ones too
  bullion backfill orders_by_day --last 365d --rate 10/m                       gently: ten windows begin in a minute
Examples, silver:
  bullion backfill orders --source postgres                                    every row of the source table
  bullion backfill orders --source postgres --from 2024-01-01 --to 2025-01-01  rows of a year, by the job's time_column
  bullion backfill orders --source kafka --last 3d                             messages of the last three days, again
  bullion backfill orders --source archive --from 2024-01-01                   what Kafka has forgotten
  bullion backfill orders --source postgres --rate 5000 --parallel 1           gently
  bullion backfill orders --source csv --file orders.csv                       rows that silver does not have yet

The plan is printed first. Killed at any moment, the same command goes on: finished windows and chunks are left out.
Ingest may run meanwhile, and later changes win. The gold windows that lack the rows are named, or built: --then-gold. Two at once: exit 75.")]
pub struct Args {
    /// Gold job, or with --source a silver job
    #[arg(value_name = "JOB")]
    job: String,
    #[command(flatten)]
    range: RangeArgs,
    /// Windows or chunks at a time [default: 2; 1 where order matters]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=32))]
    parallel: Option<u8>,
    /// Which windows or chunks come first
    #[arg(long, value_enum, default_value_t)]
    order: Order,
    /// No faster: of gold windows begun, of silver rows (postgres), messages (kafka, archive) or lines (csv), all that are under
    /// way together; 5000 is a second's, 10/m a minute's, 600/h an hour's
    #[arg(long, value_name = "N[/s|/m|/h]")]
    rate: Option<Limit>,
    /// Print the plan and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Gold: build finished windows as well
    #[arg(long, conflicts_with = "source")]
    rebuild: bool,
    #[command(flatten)]
    silver: Silver,
}

/// Heading of the options of a silver backfill.
const SILVER: &str = "Silver";

#[derive(clap::Args)]
struct Silver {
    /// Where the rows of a silver table come from
    #[arg(long, value_enum, help_heading = SILVER)]
    source: Option<Source>,
    /// The source table, in the database of postgres.url [default: the last two parts of the job's topic]
    #[arg(long, value_name = "SCHEMA.TABLE", requires = "source", help_heading = SILVER)]
    table: Option<String>,
    /// A CSV file whose first line names its columns
    #[arg(long, value_name = "PATH", requires = "source", help_heading = SILVER)]
    file: Option<PathBuf>,
    /// What stands between the cells of a CSV file
    #[arg(long, value_name = "BYTE", default_value = ",", value_parser = delimiter, help_heading = SILVER)]
    delimiter: u8,
    /// Lines of a CSV file are written over rows that silver has
    #[arg(long, requires = "file", help_heading = SILVER)]
    overwrite: bool,
    /// Rows, messages or lines of a chunk: what a kill makes to be read again [default: 50000, 500000 messages]
    #[arg(long, value_name = "N", requires = "source", value_parser = clap::value_parser!(u64).range(1..), help_heading = SILVER)]
    chunk: Option<u64>,
    /// How long a running ingest may take to read what the topic holds: ms, s, m, h
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = span, help_heading = SILVER)]
    patience: Duration,
    /// Build the gold windows that lack the rows then, instead of naming them
    #[arg(long, requires = "source", help_heading = SILVER)]
    then_gold: bool,
    /// Forget what an unfinished backfill of the same range has done
    #[arg(long, requires = "source", help_heading = SILVER)]
    restart: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Source {
    /// The source database: the row as it is now, under a version that loses to every later change
    Postgres,
    /// The topic, between two times: the same rows under the same versions
    Kafka,
    /// What ingest kept of the topic in Parquet files, between two times: as kafka, after retention has passed
    Archive,
    /// A file: rows that lose to every change, and to what silver has already
    Csv,
}

fn delimiter(text: &str) -> std::result::Result<u8, String> {
    match text.as_bytes() {
        b"\\t" => Ok(b'\t'),
        [b'"' | b'\r' | b'\n'] => Err("it cannot be told from quotes and lines".to_owned()),
        [byte] => Ok(*byte),
        _ => Err("one byte, such as `;`, or `\\t`".to_owned()),
    }
}

/// Windows or chunks at a time, where nothing is said.
const PARALLEL: u8 = 2;

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    match args.silver.source {
        Some(source) => Box::pin(silver::run(source, args, context, config, &jobs)).await,
        None => {
            refuse_silver(&args.job, &jobs)?;
            gold::run(args, context, config, &jobs).await
        }
    }
}

/// A silver job has no windows; its rows come from somewhere.
fn refuse_silver(name: &str, jobs: &Jobs) -> Result<()> {
    let is_gold = jobs.gold.iter().any(|job| job.name == name);
    if is_gold || jobs.one_silver(name).is_err() {
        return Ok(());
    }
    let message = format!("{name} is a silver job: where do its rows come from?");
    Err(Error::new(Kind::Usage, message)
        .advise("--source postgres, --source kafka, --source archive or --source csv"))
}
