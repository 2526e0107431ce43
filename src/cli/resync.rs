//! `bullion resync`: a silver table built anew from its source, and put in the old one's place at once.

use std::time::Duration;

use super::verify::{span, system_of, table_of};
use super::{Context, Outcome, out};
use crate::error::Result;
use crate::resync::{self, Request};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion resync orders --dry-run   what would be done
  bullion resync orders             readers see the old table, then the new one; ingest may run meanwhile

Killed at any point, the same command goes on or cleans up. A job that another process works on: exit 75.")]
pub struct Args {
    /// Silver job
    #[arg(value_name = "JOB")]
    job: String,
    /// The source table, in the database of postgres.url [default: the last two parts of the job's topic]
    #[arg(long, value_name = "SCHEMA.TABLE")]
    from_postgres: Option<String>,
    /// The source table, in the MariaDB of mysql.url [default: where only mysql.url is set]
    #[arg(long, value_name = "DATABASE.TABLE", conflicts_with = "from_postgres")]
    from_mysql: Option<String>,
    /// How long a running ingest may take to read what the topic holds: ms, s, m, h
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = span)]
    patience: Duration,
    /// Print the plan and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    let job = jobs.one_silver(&args.job)?;
    let given = args.from_postgres.as_deref().or(args.from_mysql.as_deref());
    let request = Request {
        system: system_of(
            &config,
            args.from_postgres.is_some(),
            args.from_mysql.is_some(),
        ),
        table: table_of(&job, given)?,
        job,
        patience: args.patience,
        dry_run: args.dry_run,
    };
    let told = |line: String| match context.output {
        out::Format::Text => out::line(line),
        out::Format::Json => tracing::info!("{line}"),
    };
    let summary = tokio::select! {
        summary = resync::run(&config, &request, told) => summary?,
        signal = context.shutdown.wait() => return Err(signal.error()),
    };
    if args.dry_run {
        return Ok(Outcome::done("planned").with("job", args.job));
    }
    if context.output == out::Format::Text {
        out::line(format!(
            "{}: {} rows, {} removed, {} kept, {} kept that the job rejects, {} of ingest copied, {:.1} s",
            args.job,
            summary.rows,
            summary.removed,
            summary.kept,
            summary.refused,
            summary.copied,
            summary.seconds
        ));
    }
    Ok(Outcome::done("done")
        .with("job", args.job)
        .with("finished_earlier", summary.finished_earlier)
        .with("rows", summary.rows)
        .with("removed", summary.removed)
        .with("kept", summary.kept)
        .with("refused", summary.refused)
        .with("copied", summary.copied)
        .with("seconds", summary.seconds))
}
