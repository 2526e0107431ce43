//! A range of a silver table, from its source.

use std::fmt::Write as _;

use serde_json::json;

use super::super::verify::table_of;
use super::super::{Context, Outcome, out};
use super::{Args, PARALLEL, Source};
use crate::backfill::{Backfill, From, Order, Request, Shape, Summary};
use crate::config::Config;
use crate::error::Result;
use crate::job::{Jobs, SilverJob};
use crate::sink::clickhouse::ClickHouse;

pub(super) async fn run(
    source: Source,
    args: Args,
    context: Context,
    config: Config,
    jobs: &Jobs,
) -> Result<Outcome> {
    let job = jobs.one_silver(&args.job)?;
    let request = asked(source, &args, &config, job)?;
    let parallel = request.parallel;
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    let backfill = tokio::select! {
        prepared = Backfill::prepare(&config, &clickhouse, request) => prepared?,
        signal = context.shutdown.wait() => return Err(signal.error()),
    };
    let shape = backfill.shape.clone();
    let told = told(&args, &shape, parallel);
    match context.output {
        out::Format::Text => out::line(told),
        out::Format::Json => tracing::info!("{told}"),
    }
    let outcome = |status: &str| {
        Outcome::done(status)
            .with("job", args.job.as_str())
            .with("source", shape.source.as_str())
            .with("chunks", shape.chunks + shape.finished)
            .with("finished_before", shape.finished)
    };
    if args.dry_run {
        return Ok(outcome("planned").with("to_read", shape.size));
    }
    if shape.chunks == 0 && shape.goes_on.is_none() {
        return Ok(outcome("noop"));
    }
    let rate = args.silver.rate;
    let summary = backfill
        .run(rate, &context.shutdown, out::is_terminal())
        .await?;
    if context.output == out::Format::Text {
        tell(&args.job, &shape, &summary);
    }
    Ok(outcome("done")
        .with("backfill", summary.backfill)
        .with("read", summary.rows)
        .with("written", summary.written)
        .with("newer", summary.newer)
        .with("rejected", json!(summary.refused))
        .with("seconds", summary.seconds))
}

fn asked(source: Source, args: &Args, config: &Config, job: SilverJob) -> Result<Request> {
    let in_order = source == Source::Kafka && job.keeps();
    let (from, to) = args.range.bounds(config.time_zone)?;
    Ok(Request {
        source: match source {
            Source::Postgres => From::Postgres(table_of(&job, args.silver.table.as_deref())?),
            Source::Kafka => From::Kafka,
        },
        job,
        from,
        to,
        parallel: usize::from(args.parallel.unwrap_or(if in_order { 1 } else { PARALLEL })),
        order: args.order,
        chunk: args.silver.chunk,
        patience: args.silver.patience,
        restart: args.silver.restart,
        dry_run: args.dry_run,
    })
}

fn told(args: &Args, shape: &Shape, parallel: usize) -> String {
    let mut text = format!("{}: from {}\n", args.job, shape.source);
    for note in &shape.notes {
        // writing to a String cannot fail
        let _ = writeln!(text, "  note: {note}");
    }
    if let Some(id) = &shape.goes_on {
        let _ = writeln!(text, "backfill {id} goes on");
    }
    let _ = write!(
        text,
        "plan: {} chunks done and left out, {} to read with {} {}, {parallel} at a time, {}",
        shape.finished,
        shape.chunks,
        shape.size,
        shape.unit,
        match args.order {
            Order::Oldest => "oldest first",
            Order::Newest => "newest first",
        }
    );
    text
}

fn tell(job: &str, shape: &Shape, summary: &Summary) {
    out::line(format!(
        "{job}: {} chunks, {} {} read, {} rows written, {:.1} s",
        summary.chunks, summary.rows, shape.unit, summary.written, summary.seconds
    ));
    if summary.newer > 0 {
        out::line(format!(
            "  {} left alone: ingest has written a newer row meanwhile",
            summary.newer
        ));
    }
    for (reason, count) in &summary.refused {
        out::line(format!("  {count} rejected by the job's rules: {reason}"));
    }
}
