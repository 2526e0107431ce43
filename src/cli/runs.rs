//! `bullion runs`: what was built when, by which command, how it ended and what it cost.

mod show;

use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{Context, Outcome, out};
use crate::error::Result;
use crate::ledger::{self, Recorded};

/// A screenful.
const LAST: u32 = 20;
/// Characters of an error in the list; `show` has all of it.
const BRIEF: usize = 100;

#[derive(clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  bullion runs                             the last runs of gold, newest first
  bullion runs --job orders_by_day --last 100
  bullion runs show 0197a3c2               what became of each window, its query id and cost

running: it holds the job's lease. lost: it has neither ended nor its lease, so its process died;
`bullion retry RUN` builds what it left."
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// Of this gold job
    #[arg(long, value_name = "JOB")]
    job: Option<String>,
    /// So many runs; one over several jobs has a line for each
    #[arg(long, value_name = "N", default_value_t = LAST)]
    last: u32,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Each window of one run, with the id of its query in ClickHouse and what that cost
    Show(show::Args),
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    match args.command {
        Some(Command::Show(args)) => show::run(args, context).await,
        None => list(args.job.as_deref(), args.last, context).await,
    }
}

async fn list(job: Option<&str>, last: u32, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    let clickhouse = crate::gold::connect(&config, &jobs, &context.shutdown).await?;
    let runs = ledger::recent(&clickhouse, &config, job, last).await?;
    if context.output == out::Format::Text {
        show_list(&runs);
    }
    let runs: Vec<Value> = runs.iter().map(described).collect();
    let status = if runs.is_empty() { "noop" } else { "done" };
    Ok(Outcome::done(status).with("runs", runs))
}

fn show_list(runs: &[Recorded]) {
    if runs.is_empty() {
        out::line("no runs yet");
        return;
    }
    let header = [
        "run", "started", "command", "job", "state", "windows", "took", "error",
    ];
    let rows = runs.iter().map(|run| {
        vec![
            run.run.clone(),
            instant(run.started_at),
            run.command.clone(),
            run.job.clone(),
            run.state.clone(),
            windows(run),
            took(run).map(duration).unwrap_or_default(),
            brief(&run.message),
        ]
    });
    out::table(&header, rows);
}

fn described(run: &Recorded) -> Value {
    json!({
        "run": run.run, "job": run.job, "command": run.command, "state": run.state,
        "scheduled_for": run.scheduled_for.map(instant), "started_at": instant(run.started_at),
        "finished_at": run.finished_at.map(instant), "seconds": took(run).map(|took| took.as_secs_f64()),
        "windows": run.windows, "built": run.built, "unchanged": run.unchanged, "failed": run.failed,
        "error": (!run.message.is_empty()).then_some(&run.message), "host": run.host,
    })
}

/// `3 built, 1 failed of 5`; what was not reached is not counted.
fn windows(run: &Recorded) -> String {
    let counts = [
        (run.built, "built"),
        (run.unchanged, "unchanged"),
        (run.failed, "failed"),
    ];
    let counts: Vec<String> = counts
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    match counts.as_slice() {
        [] => format!("of {}", run.windows),
        counts => format!("{} of {}", counts.join(", "), run.windows),
    }
}

/// Nobody knows when a lost one ended.
fn took(run: &Recorded) -> Option<Duration> {
    let end = match run.finished_at {
        Some(end) => end,
        None if run.is_running() => Utc::now(),
        None => return None,
    };
    // begin by our clock, end by ClickHouse's
    Some((end - run.started_at).to_std().unwrap_or_default())
}

fn duration(took: Duration) -> String {
    let seconds = took.as_secs();
    match seconds {
        0..60 => format!("{:.1} s", took.as_secs_f64()),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

fn instant(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn brief(message: &str) -> String {
    let line = message.lines().next().unwrap_or_default();
    match line.char_indices().nth(BRIEF) {
        Some((end, _)) => format!("{}…", line.get(..end).unwrap_or(line)),
        None => line.to_owned(),
    }
}
