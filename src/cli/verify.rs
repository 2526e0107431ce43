//! `bullion verify`: silver held against the source database, and the keys where they differ.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{Context, Outcome, out};
use crate::catalog::{System, TableName};
use crate::config::Config;
use crate::document::parse_duration;
use crate::error::{Error, Kind, Result};
use crate::job::SilverJob;
use crate::verify::{self, Difference, Report, Request, What};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion verify orders              every row, by checksums of key ranges; differing keys are named, values never
  bullion verify orders --repair     and reads just those keys again from the source
  bullion verify orders --sample 5   the rows of 5 percent of the source's pages

A key that differs is looked at again until it is equal, or has stayed different and unchanged on both sides for the
patience: what is on its way from the source is no difference. Exit 0: equal, 4: different, 75: ingest is behind.")]
pub struct Args {
    /// Silver job
    #[arg(value_name = "JOB")]
    job: String,
    /// The source table, in the database of postgres.url [default: the last two parts of the job's topic]
    #[arg(long, value_name = "SCHEMA.TABLE")]
    from_postgres: Option<String>,
    /// The source table, in the MySQL or MariaDB of mysql.url [default: where only mysql.url is set]
    #[arg(long, value_name = "DATABASE.TABLE", conflicts_with = "from_postgres")]
    from_mysql: Option<String>,
    /// Percent of the source's pages, of MySQL's rows; rows that only silver has are not looked for
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(1..=100))]
    sample: Option<u8>,
    /// How long a key stays different before it is reported: ms, s, m, h
    #[arg(long, value_name = "SPAN", default_value = "30s", value_parser = span)]
    patience: Duration,
    /// Read the differing keys again from the source and write them, so that every later change wins
    #[arg(long)]
    repair: bool,
}

pub fn span(text: &str) -> Result<Duration, String> {
    parse_duration(text).ok_or_else(|| "such as 30s".to_owned())
}

/// Differences that are printed one by one; `--output json` has them all.
const PRINTED: usize = 100;

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
        sample: args.sample,
        patience: args.patience,
        repair: args.repair,
    };
    let report = tokio::select! {
        report = verify::run(&config, &request) => report?,
        signal = context.shutdown.wait() => return Err(signal.error()),
    };
    if context.output == out::Format::Text {
        show(&request.job, &report);
    }
    let outcome = outcome(&request.job, &report);
    Ok(match report.error(&request.job) {
        Some(error) => outcome.failed(&error),
        None => outcome,
    })
}

/// The one that is named; else the one that is configured, PostgreSQL where both are.
pub fn system_of(config: &Config, postgres: bool, mysql: bool) -> System {
    let only_mysql = config.postgres.url.is_none() && config.mysql.url.is_some();
    match mysql || (only_mysql && !postgres) {
        true => System::Mysql,
        false => System::Postgres,
    }
}

/// The job's own where it names one; else Debezium's topics end with schema and table.
pub fn table_of(job: &SilverJob, given: Option<&str>) -> Result<TableName> {
    if job.tables.len() > 1 {
        // the rows of the others would look as if the source had lost them
        let message = format!(
            "job {}: silver holds the rows of several tables, so no single one is its source",
            job.name
        );
        return Err(Error::new(Kind::Usage, message).advise("give each table a job of its own"));
    }
    if let Some(given) = given.or(job.tables.first().map(String::as_str)) {
        return Ok(TableName::parse(given));
    }
    let mut parts = job.topic.rsplitn(3, '.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(table), Some(schema), Some(_)) => Ok(TableName {
            schema: schema.to_owned(),
            table: table.to_owned(),
        }),
        _ => {
            let message = format!(
                "job {}: topic {} does not tell the source table",
                job.name, job.topic
            );
            Err(Error::new(Kind::Usage, message)
                .advise("name it: --from-postgres schema.table, or --from-mysql database.table"))
        }
    }
}

fn show(job: &SilverJob, report: &Report) {
    out::line(format!(
        "{}: {} rows of {}{} held against silver in {} ranges, {:.1} s",
        job.name,
        report.rows,
        report.table,
        report
            .position
            .as_ref()
            .map_or_else(String::new, |at| format!(" at {at}")),
        report.ranges,
        report.seconds
    ));
    for left in &report.left_out {
        out::line(format!("  not compared: {}, {}", left.column, left.why));
    }
    for (count, what) in [
        (
            report.in_flight,
            "looked different and were equal a moment later",
        ),
        (
            report.changing,
            "changed as long as they were looked at: undecided",
        ),
        (
            report.unsent,
            "lack a value that the source did not send (toast = \"null\")",
        ),
        (
            report.kept,
            "are deleted in the source and kept (delete = \"ignore\")",
        ),
    ] {
        if count > 0 {
            out::line(format!("  {count} {what}"));
        }
    }
    if let Some(repaired) = &report.repaired {
        out::line(format!(
            "  repaired: {} written, {} removed",
            repaired.written, repaired.removed
        ));
        for (count, what) in [
            (repaired.left.newer, "changed meanwhile, left to ingest"),
            (
                repaired.left.waiting,
                "not written: silver does not know their partition before ingest has caught up",
            ),
            (
                repaired.left.exhausted,
                "not written: rewritten 255 times at the same offset",
            ),
        ] {
            if count > 0 {
                out::line(format!("  {count} {what}"));
            }
        }
    }
    for difference in report.differences.iter().take(PRINTED) {
        out::line(format!("  {}", line(difference)));
    }
    if report.differences.len() > PRINTED {
        let more = report.differences.len() - PRINTED;
        out::line(format!("  and {more} more: --output json names them"));
    }
    if report.differences.is_empty() {
        out::line(match report.repaired {
            Some(_) => "  equal after the repair",
            None => "  equal",
        });
    }
}

fn line(difference: &Difference) -> String {
    let key: Vec<String> = difference
        .key
        .iter()
        .map(|(name, value)| format!("{name} = {value}"))
        .collect();
    let key = key.join(", ");
    match &difference.what {
        What::Missing => format!("missing in silver: {key}"),
        What::Extra => format!("only in silver: {key}"),
        What::Different(columns) => format!("different: {key}: {}", columns.join(", ")),
        What::Refused { reason, column } => match column {
            Some(column) => format!("the job rejects it: {key}: {reason} ({column})"),
            None => format!("the job rejects it: {key}: {reason}"),
        },
    }
}

fn outcome(job: &SilverJob, report: &Report) -> Outcome {
    let differences: Vec<Value> = report.differences.iter().map(told).collect();
    let left_out: Vec<&str> = report
        .left_out
        .iter()
        .map(|left| left.column.as_str())
        .collect();
    let status = match (differences.is_empty(), &report.repaired) {
        (true, None) => "equal",
        (true, Some(_)) => "repaired",
        (false, _) => "different",
    };
    let mut outcome = Outcome::done(status)
        .with("job", job.name.as_str())
        .with("table", report.table.to_string())
        .with("position", report.position.clone())
        .with("rows", report.rows)
        .with("ranges", report.ranges)
        .with("in_flight", report.in_flight)
        .with("changing", report.changing)
        .with("unsent", report.unsent)
        .with("kept", report.kept)
        .with("not_compared", left_out)
        .with("cut", report.cut)
        .with("differences", differences)
        .with("seconds", report.seconds);
    if let Some(repaired) = &report.repaired {
        outcome = outcome.with(
            "repaired",
            json!({
                "written": repaired.written, "removed": repaired.removed, "newer": repaired.left.newer,
                "waiting": repaired.left.waiting, "refused": repaired.refused, "exhausted": repaired.left.exhausted,
            }),
        );
    }
    outcome
}

fn told(difference: &Difference) -> Value {
    let key: Map<String, Value> = difference
        .key
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    let (kind, columns, reason) = match &difference.what {
        What::Missing => ("missing", Vec::new(), None),
        What::Extra => ("extra", Vec::new(), None),
        What::Different(columns) => ("different", columns.clone(), None),
        What::Refused { reason, column } => {
            ("rejected", column.iter().cloned().collect(), Some(*reason))
        }
    };
    json!({"key": key, "kind": kind, "columns": columns, "reason": reason})
}
