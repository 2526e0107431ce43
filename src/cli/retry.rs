//! `bullion retry RUN`: what a run left, failed or was blocked on, in the same windows, and nothing else.

use super::gold::{Told, show_named, work};
use super::{Context, Outcome, out};
use crate::error::{Error, Kind, Result};
use crate::job::{GoldJob, Jobs};
use crate::ledger::{self, Ledger, Recorded, Run};
use crate::sink::clickhouse::ClickHouse;
use crate::window::Window;

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion retry 0197a3c2      a run by the beginning of its id, as `bullion runs` lists it
  bullion runs show 0197a3c2  what it left

Left out is what stands: what the run itself had built, and what a later run has built whole from the SQL of today.")]
pub struct Args {
    /// Its id, or how that begins
    #[arg(value_name = "RUN")]
    run: String,
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    // a window that the run left in mid-swap is whole after this
    let clickhouse = crate::gold::connect(&config, &jobs, &context.shutdown).await?;
    let lines = ledger::of_run(&clickhouse, &config, &args.run).await?;
    refuse_running(&lines)?;
    let left = left(&clickhouse, &config.clickhouse.ops, &jobs, &lines).await?;
    if left.is_empty() {
        let text = "nothing to build: every window of the run stands";
        match context.output {
            out::Format::Text => out::line(text),
            out::Format::Json => tracing::info!("{text}"),
        }
        return Ok(Outcome::done("noop").with("windows", 0));
    }
    for (job, windows) in &left {
        show_named(&context, job, windows);
    }
    let run = Run::new("", "retry");
    let mut told = Told::of(&run);
    for (job, windows) in &left {
        let work = work(job, windows, &run);
        told.build(work, &clickhouse, &config, &context.shutdown)
            .await?;
    }
    let retried = lines.first().map_or("", |line| line.run.as_str());
    Ok(told.outcome(&context)?.with("retried", retried))
}

fn refuse_running(lines: &[Recorded]) -> Result<()> {
    let Some(line) = lines.iter().find(|line| line.is_running()) else {
        return Ok(());
    };
    let message = format!(
        "run {} still builds gold job {} on {}",
        line.run, line.job, line.host
    );
    Err(Error::new(Kind::LeaseHeld, message).advise("wait for its end: `bullion runs` says it"))
}

/// The windows of each job that do not stand, each job after those it depends on.
async fn left(
    clickhouse: &ClickHouse,
    ops: &str,
    jobs: &Jobs,
    lines: &[Recorded],
) -> Result<Vec<(GoldJob, Vec<Window>)>> {
    let Some(run) = lines.first().map(|line| line.run.as_str()) else {
        return Ok(Vec::new());
    };
    let outcomes = ledger::windows_of(clickhouse, ops, run).await?;
    let names: Vec<String> = lines.iter().map(|line| line.job.clone()).collect();
    let mut left = Vec::new();
    for job in jobs.select_gold(&names)? {
        let own = outcomes.iter().filter(|outcome| outcome.job == job.name);
        let mut windows: Vec<Window> = own
            .filter(|outcome| !outcome.stands())
            .map(|outcome| outcome.window)
            .collect();
        let since = Ledger::new(clickhouse, ops, &job.name).since(run).await?;
        windows.retain(|window| {
            let mut finished = since
                .iter()
                .filter(|known| known.is_finished(&job.sql_hash));
            !finished.any(|known| known.window == *window)
        });
        let moved = |window: &&Window| job.calendar.window_at(window.from) != **window;
        if let Some(window) = windows.iter().find(moved) {
            let message = format!(
                "gold job {} has no window [{}, {}) any more: its grain or zone changed since the run",
                job.name, window.from, window.to
            );
            return Err(Error::new(Kind::Mismatch, message)
                .advise("build the windows of today's grain: `bullion gold … --missing`"));
        }
        if !windows.is_empty() {
            left.push((job, windows));
        }
    }
    Ok(left)
}
