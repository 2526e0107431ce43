//! `bullion ingest`: silver tables from their topics.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::verify::span;
use super::{Context, Outcome, out};
use crate::error::{Error, Result};
use crate::ingest::{self, Counters, Request, Status, Summary};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion ingest                           all silver jobs, until SIGTERM: drained and committed within 4 s
  bullion ingest orders --until-caught-up  one job, to the ends that its topic has now
  bullion ingest orders --peek 5           look at the next five messages; nothing is written or committed

Start it on more hosts with the same `kafka.group`, and they share the partitions.")]
pub struct Args {
    /// Silver jobs [default: all]
    #[arg(value_name = "JOB")]
    jobs: Vec<String>,
    /// End when each partition has reached the end it had at the start
    #[arg(long)]
    until_caught_up: bool,
    /// How long other processes of the group may stand still before they have caught up: ms, s, m, h; then exit 75
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = span, requires = "until_caught_up")]
    patience: Duration,
    /// Go on with a job whose messages are mostly rejected: all of them become dead letters
    #[arg(long)]
    no_breaker: bool,
    /// Show what would become of the next N messages of each job, and write nothing
    #[arg(long, value_name = "N", conflicts_with = "until_caught_up")]
    peek: Option<usize>,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    // who names jobs wants these and no others
    let discover = args.jobs.is_empty().then(|| jobs.silver.clone());
    let declared = jobs;
    let jobs = declared.select_silver(&args.jobs)?;
    if let Some(count) = args.peek {
        let lines = ingest::peek(&config, jobs, count, &context.shutdown).await?;
        if context.output == out::Format::Text {
            lines.iter().for_each(out::line);
        }
        return Ok(Outcome::done("done").with("messages", lines));
    }
    declared.whole_topics(&jobs)?;
    let request = Request {
        jobs,
        until_caught_up: args.until_caught_up.then_some(args.patience),
        no_breaker: args.no_breaker,
        discover,
    };
    let status = Status::default();
    let shown = tokio::spawn(status.clone().show(out::is_terminal()));
    let summary = ingest::run(&config, request, status, context.shutdown.clone()).await;
    shown.abort();
    let summary = summary?;
    let outcome = report(&summary, context.output);
    let failed = summary
        .jobs
        .into_values()
        .find_map(|job| job.failed)
        .or(summary.given_up);
    match (context.shutdown.requested(), failed) {
        // drained: what was read is durable and committed
        (Some(signal), _) => Ok(outcome.failed(&signal.error())),
        (None, Some(error)) => Ok(outcome.failed(&error)),
        (None, None) => Ok(outcome),
    }
}

fn report(summary: &Summary, output: out::Format) -> Outcome {
    let mut jobs = Map::new();
    for (name, job) in &summary.jobs {
        if output == out::Format::Text {
            out::line(line(name, &job.counters, job.failed.as_ref()));
        }
        let counters = &job.counters;
        let counted = json!({
            "messages": counters.messages, "rows": counters.rows, "written": counters.written,
            "inserts": counters.inserts, "skips": counters.skips, "rejects": counters.rejects,
            "columns": counters.columns, "typed_placeholders": counters.typed_placeholders,
            "failed": job.failed.as_ref().map(ToString::to_string),
        });
        jobs.insert(name.clone(), counted);
    }
    let mut found = Vec::new();
    for new in &summary.found {
        let job = new.job.as_ref().map(|job| job.name.as_str());
        if output == out::Format::Text {
            let made = job.map_or_else(
                || format!("no job takes it: {}", new.command),
                |job| format!("its job was made: jobs/silver/{job}.toml"),
            );
            out::line(format!("new topic {}: {made}", new.topic));
        }
        found.push(json!({ "topic": new.topic, "command": new.command, "job": job }));
    }
    let messages: u64 = summary.jobs.values().map(|job| job.counters.messages).sum();
    Outcome::done(if messages == 0 { "noop" } else { "done" })
        .with("jobs", Value::Object(jobs))
        .with("new_topics", found)
        .with("seconds", summary.seconds)
}

fn line(name: &str, counters: &Counters, failed: Option<&Error>) -> String {
    let total = |counts: &std::collections::BTreeMap<&str, u64>| counts.values().sum::<u64>();
    let mut line = format!(
        "{name}: {} messages, {} rows, {} skipped, {} rejected",
        counters.messages,
        counters.rows,
        total(&counters.skips),
        total(&counters.rejects)
    );
    for (reason, count) in &counters.rejects {
        line.push_str(&format!(
            "\n  rejected {count} {reason}: see `bullion dlq list`"
        ));
    }
    if let Some(error) = failed {
        line.push_str(&format!("\n  stopped: {error}"));
    }
    line
}
