//! A range of a silver table, from its source.

use std::fmt::Write as _;

use serde_json::json;

use super::super::verify::table_of;
use super::super::{Context, Outcome, out};
use super::then_gold::ThenGold;
use super::{Args, PARALLEL, Source};
use crate::backfill::{Backfill, Csv, From, Order, Request, Shape, Summary};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::job::{Jobs, SilverJob};
use crate::sink::clickhouse::ClickHouse;

pub(super) async fn run(
    source: Source,
    args: Args,
    context: Context,
    config: Config,
    jobs: &Jobs,
) -> Result<Outcome> {
    let silver = jobs.one_silver(&args.job)?;
    let request = asked(source, &args, &config, silver.clone())?;
    let parallel = request.parallel;
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    let gold_since = |since| ThenGold {
        context: &context,
        config: &config,
        jobs,
        silver: &silver,
        since,
    };
    let prepare = async {
        let backfill = Backfill::prepare(&config, &clickhouse, request).await?;
        // gold that others have built since is no reason to leave the source unread
        match backfill.filled() {
            Some((begun, filled)) if gold_since(begun).stands(&clickhouse, filled).await? => {
                backfill.anew().await
            }
            _ => Ok(backfill),
        }
    };
    let backfill = tokio::select! {
        prepared = prepare => prepared?,
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
    let (summary, filled) = backfill
        .run(args.rate, &context.shutdown, out::is_terminal())
        .await?;
    if context.output == out::Format::Text {
        tell(&args.job, &shape, &summary);
    }
    let then_gold = gold_since(summary.begun_at);
    let outcome = outcome("done");
    let outcome = match args.silver.then_gold {
        true => {
            let gold = then_gold.build().await?;
            match gold.exit {
                0 => filled.end().await?,
                _ => out::complain(
                    "  all that is left of gold: the same command, which does not read the source again",
                ),
            }
            Outcome {
                exit: gold.exit,
                ..outcome.with("status", if gold.exit == 0 { "done" } else { "partial" })
            }
            .with("gold", gold.result)
        }
        false => match then_gold.look(&clickhouse).await {
            Ok(due) => outcome.with("gold", due),
            // silver is done whatever is known of gold
            Err(error) => {
                tracing::warn!(%error, "cannot tell which windows of gold lack the rows");
                outcome
            }
        },
    };
    Ok(outcome
        .with("backfill", summary.backfill)
        .with("read", summary.rows)
        .with("written", summary.written)
        .with("newer", summary.newer)
        .with("rejected", json!(summary.refused))
        .with("seconds", summary.seconds))
}

fn asked(source: Source, args: &Args, config: &Config, job: SilverJob) -> Result<Request> {
    let in_order = match source {
        Source::Csv => true,
        Source::Kafka | Source::Archive => job.keeps(),
        Source::Postgres => false,
    };
    if source != Source::Csv && args.silver.file.is_some() {
        return Err(Error::new(Kind::Usage, "--file is for --source csv"));
    }
    let (from, to) = args.range.bounds(config.time_zone)?;
    Ok(Request {
        source: match source {
            Source::Postgres => From::Postgres(table_of(&job, args.silver.table.as_deref())?),
            Source::Kafka => From::Kafka,
            Source::Archive => From::Archive,
            Source::Csv => From::Csv(file(args)?),
        },
        job,
        from,
        to,
        parallel: usize::from(args.parallel.unwrap_or(if in_order { 1 } else { PARALLEL })),
        order: args.order,
        chunk: args.silver.chunk,
        patience: args.silver.patience,
        then_gold: args.silver.then_gold,
        restart: args.silver.restart,
        dry_run: args.dry_run,
    })
}

fn file(args: &Args) -> Result<Csv> {
    let path = args.silver.file.clone().ok_or_else(|| {
        Error::new(Kind::Usage, "which file? its first line names its columns")
            .advise("--file orders.csv")
    })?;
    Ok(Csv {
        path,
        delimiter: args.silver.delimiter,
        overwrite: args.silver.overwrite,
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
        let why = match shape.unit {
            "lines" => "silver has their keys already, or an earlier line had (--overwrite)",
            _ => "ingest has written a newer row meanwhile",
        };
        out::line(format!("  {} left alone: {why}", summary.newer));
    }
    for (reason, count) in &summary.refused {
        out::line(format!("  {count} rejected by the job's rules: {reason}"));
    }
}
