//! `bullion resync`: a silver table built anew, and put in the old one's place at once.

use std::time::Duration;

use serde_json::json;

use super::verify::{span, system_of, table_of};
use super::{Context, Outcome, out};
use crate::catalog::System;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::job::SilverJob;
use crate::resync::{self, From, NotInKafka, Request, Summary};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion resync orders --dry-run        what would be done
  bullion resync orders                  every row of the source database; ingest may run meanwhile
  bullion resync orders --source kafka   every message that the topic still has, where the source cannot be asked

Readers see the old table, then the new one. Killed at any point, the same command goes on or cleans up. A job that another
process works on: exit 75.")]
pub struct Args {
    /// Silver job
    #[arg(value_name = "JOB")]
    job: String,
    /// Where the rows come from [default: the database that is configured, PostgreSQL where both are]
    #[arg(long, value_enum, conflicts_with_all = ["from_postgres", "from_mysql"])]
    source: Option<Source>,
    /// The source table, in the database of postgres.url [default: the last two parts of the job's topic]
    #[arg(long, value_name = "SCHEMA.TABLE")]
    from_postgres: Option<String>,
    /// The source table, in the MariaDB of mysql.url [default: where only mysql.url is set]
    #[arg(long, value_name = "DATABASE.TABLE", conflicts_with = "from_postgres")]
    from_mysql: Option<String>,
    /// With --source kafka: rows of silver that come from no message which Kafka still has [default: refuse if there are any]
    #[arg(long, value_enum, requires = "source")]
    not_in_kafka: Option<NotInKafka>,
    /// How long a running ingest may take to read what the topic holds: ms, s, m, h
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = span)]
    patience: Duration,
    /// Print the plan and do nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Source {
    Postgres,
    /// MariaDB; MySQL does not say which position of its log a snapshot has
    Mysql,
    /// The topic, as far as ingest has read it: the same rows under the same versions
    Kafka,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    let job = jobs.one_silver(&args.job)?;
    let request = Request {
        from: from(&args, &config, &job)?,
        job,
        dry_run: args.dry_run,
    };
    let told = |line: String| match context.output {
        out::Format::Text => out::line(line),
        out::Format::Json => tracing::info!("{line}"),
    };
    let summary = tokio::select! {
        summary = resync::run(&config, &request, &context.shutdown, told) => summary?,
        signal = context.shutdown.wait() => return Err(signal.error()),
    };
    if args.dry_run {
        return Ok(Outcome::done("planned").with("job", args.job));
    }
    if context.output == out::Format::Text {
        tell(&args.job, &summary);
    }
    Ok(Outcome::done("done")
        .with("job", args.job)
        .with("finished_earlier", summary.finished_earlier)
        .with("messages", summary.messages)
        .with("rows", summary.rows)
        .with("rejects", json!(summary.rejects))
        .with("removed", summary.removed)
        .with("kept", summary.kept)
        .with("refused", summary.refused)
        .with("copied", summary.copied)
        .with("seconds", summary.seconds))
}

fn from(args: &Args, config: &Config, job: &SilverJob) -> Result<From> {
    if args.source == Some(Source::Kafka) {
        return Ok(From::Kafka {
            untold: args.not_in_kafka,
            terminal: out::is_terminal(),
        });
    }
    if args.not_in_kafka.is_some() {
        return Err(Error::new(
            Kind::Usage,
            "--not-in-kafka is for --source kafka",
        ));
    }
    let given = args.from_postgres.as_deref().or(args.from_mysql.as_deref());
    let named = args.from_postgres.is_some() || args.source == Some(Source::Postgres);
    Ok(From::Table {
        system: match args.source {
            Some(Source::Mysql) => System::Mysql,
            _ => system_of(config, named, args.from_mysql.is_some()),
        },
        table: table_of(job, given)?,
        patience: args.patience,
    })
}

fn tell(job: &str, summary: &Summary) {
    let Summary {
        rows,
        removed,
        refused,
        kept,
        copied,
        seconds,
        ..
    } = summary;
    out::line(format!(
        "{job}: {rows} rows, {removed} removed, {kept} kept, {refused} kept that the job rejects, \
         {copied} copied as they were, {seconds:.1} s"
    ));
    for (reason, count) in &summary.rejects {
        out::line(format!(
            "  rejected {count} {reason}: see `bullion dlq list`"
        ));
    }
}
