//! `bullion runs show RUN`: each window of a run, where its query is found in ClickHouse, and what it cost.

use indicatif::{BinaryBytes, HumanCount};
use serde_json::{Value, json};

use super::{Context, described, duration, instant, took, windows};
use crate::cli::{Outcome, out};
use crate::error::Result;
use crate::job::Jobs;
use crate::ledger::{self, Recorded};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion runs show 0197a3c2
  bullion sql \"SELECT * FROM system.query_log WHERE query_id = '…'\"      more of one query, where the server keeps its log
  bullion sql \"KILL QUERY WHERE query_id LIKE '0197a3c2-…-%' ASYNC\"      stops the queries of a run")]
pub struct Args {
    /// Its id, or how that begins
    #[arg(value_name = "RUN")]
    run: String,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    let clickhouse = crate::gold::connect(&config, &jobs, &context.shutdown).await?;
    let lines = ledger::of_run(&clickhouse, &config, &args.run).await?;
    let id = lines.first().map_or("", |line| line.run.as_str());
    let ops = &config.clickhouse.ops;
    let outcomes = ledger::windows_of(&clickhouse, ops, id).await?;
    let mut told = Vec::new();
    for line in &lines {
        let own = outcomes.iter().filter(|outcome| outcome.job == line.job);
        let own: Vec<&ledger::Outcome> = own.collect();
        if context.output == out::Format::Text {
            show(&jobs, line, &own);
        }
        let mut job = described(line);
        job["each"] = own.iter().map(|own| outcome(&jobs, line, own)).collect();
        told.push(job);
    }
    Ok(Outcome::done("done").with("run", id).with("jobs", told))
}

fn show(jobs: &Jobs, line: &Recorded, outcomes: &[&ledger::Outcome]) {
    out::line(format!("{}: {}", line.job, summary(line)));
    if !line.message.is_empty() {
        out::line(format!("  {}", line.message));
    }
    if outcomes.is_empty() {
        return;
    }
    let header = [
        "window", "outcome", "rows", "took", "query", "read", "written", "memory", "query id",
    ];
    let rows = outcomes.iter().map(|outcome| {
        let cost = &outcome.cost;
        let size = |rows: u64, bytes: u64| match rows {
            0 => String::new(),
            rows => format!("{} rows, {}", HumanCount(rows), BinaryBytes(bytes)),
        };
        let seconds = |seconds: f64| match seconds > 0.0 {
            true => format!("{seconds:.3} s"),
            false => String::new(),
        };
        vec![
            label(jobs, outcome),
            word(line, outcome).to_owned(),
            outcome.rows.to_string(),
            seconds(cost.seconds),
            seconds(cost.query_seconds),
            size(cost.read_rows, cost.read_bytes),
            size(cost.written_rows, cost.written_bytes),
            cost.memory
                .map_or_else(String::new, |bytes| BinaryBytes(bytes).to_string()),
            outcome.query_id.clone(),
        ]
    });
    out::table(&header, rows);
    for outcome in outcomes
        .iter()
        .filter(|outcome| !outcome.message.is_empty())
    {
        out::line(format!("  {}: {}", label(jobs, outcome), outcome.message));
    }
}

/// `gold, done, 3 built of 3 windows, 1.2 s, from 2024-03-05T01:00:00Z on host`
fn summary(line: &Recorded) -> String {
    let took = took(line).map_or_else(String::new, |took| format!(", {}", duration(took)));
    let fire = match line.scheduled_for {
        Some(at) => format!(", fire of {}", instant(at)),
        None => String::new(),
    };
    format!(
        "{}, {}, {} windows{took}, from {} on {}{fire}",
        line.command,
        line.state,
        windows(line),
        instant(line.started_at),
        line.host
    )
}

/// What is planned in a run that is over was left.
fn word(line: &Recorded, outcome: &ledger::Outcome) -> &'static str {
    match outcome.state {
        Some(state) => state.as_str(),
        None if line.is_running() => "planned",
        None => "left",
    }
}

/// In the job's own words, where it still cuts time like this.
fn label(jobs: &Jobs, outcome: &ledger::Outcome) -> String {
    let window = outcome.window;
    let job = jobs.gold.iter().find(|job| job.name == outcome.job);
    match job.filter(|job| job.calendar.window_at(window.from) == window) {
        Some(job) => job.calendar.label(window),
        None => format!("[{}, {})", instant(window.from), instant(window.to)),
    }
}

fn outcome(jobs: &Jobs, line: &Recorded, outcome: &ledger::Outcome) -> Value {
    let cost = &outcome.cost;
    json!({
        "window": label(jobs, outcome), "from": instant(outcome.window.from), "to": instant(outcome.window.to),
        "outcome": word(line, outcome), "rows": outcome.rows, "query_id": outcome.query_id,
        "read_rows": cost.read_rows, "read_bytes": cost.read_bytes, "written_rows": cost.written_rows,
        "written_bytes": cost.written_bytes, "query_seconds": cost.query_seconds, "memory": cost.memory,
        "seconds": cost.seconds, "error": (!outcome.message.is_empty()).then_some(&outcome.message),
    })
}
