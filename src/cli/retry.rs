//! `bullion retry RUN`: what a run left, failed or was blocked on, in the same windows, and nothing else.

use chrono::Utc;

use super::gold::{Look, Told, show_named, work};
use super::{Context, Outcome, out};
use crate::due::{self, Search};
use crate::error::{Error, Kind, Result};
use crate::job::{GoldJob, Jobs};
use crate::ledger::{self, Ledger, Recorded, Run};
use crate::sink::clickhouse::ClickHouse;
use crate::window::{Limits, Window};

#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  bullion retry 0197a3c2      a run by the beginning of its id, as `bullion runs` lists it
  bullion runs show 0197a3c2  what it left

Left out is what stands: what the run itself had built, and what a later run has built whole from the SQL of today.
A job that waited for one that failed is built as the run would have built it: with --dirty or --missing, what is due by now.")]
pub struct Args {
    /// Its id, or how that begins
    #[arg(value_name = "RUN")]
    run: String,
}

/// What a run left of a job.
enum Left {
    /// they do not stand
    Windows(Vec<Window>),
    /// it did not come to the job: what it would have looked for, within these where it was given a range
    Unseen(Search, Option<Vec<Window>>),
}

pub async fn run(args: Args, context: Context) -> Result<Outcome> {
    let (config, jobs) = context.declarations()?;
    // a window that the run left in mid-swap is whole after this
    let clickhouse = crate::gold::connect(&config, &jobs, &context.shutdown).await?;
    let lines = ledger::of_run(&clickhouse, &config, &args.run).await?;
    refuse_running(&lines)?;
    let left = left(&clickhouse, &config.clickhouse.ops, &jobs, &lines).await?;
    for (job, left) in &left {
        if let Left::Windows(windows) = left {
            show_named(&context, job, windows);
        }
    }
    let run = Run {
        search: lines.iter().find_map(|line| line.search),
        ..Run::new("", "retry")
    };
    let mut told = Told::of(&run);
    let mut is_nothing = true;
    for (job, left) in left {
        let windows = match left {
            Left::Windows(windows) => windows,
            // it waits again
            Left::Unseen(_, range) if told.failed_dependency(&job).is_some() => {
                range.unwrap_or_default()
            }
            // what is due is known only when the jobs before this one are built
            Left::Unseen(search, range) => {
                let look = Look {
                    clickhouse: &clickhouse,
                    config: &config,
                    declared: &jobs,
                    limits: Limits {
                        now: Utc::now(),
                        incomplete: search.incomplete,
                        large: search.large,
                    },
                    wish: search.wish(),
                };
                let due = due::to_build(&look.at(&job, range.as_deref(), &[]).await?);
                if due.is_empty() {
                    continue;
                }
                show_named(&context, &job, &due);
                due
            }
        };
        is_nothing = false;
        let work = work(&job, &windows, &run);
        told.build(work, &clickhouse, &config, &context.shutdown)
            .await?;
    }
    if is_nothing {
        let text = "nothing to build: every window of the run stands";
        match context.output {
            out::Format::Text => out::line(text),
            out::Format::Json => tracing::info!("{text}"),
        }
        return Ok(Outcome::done("noop").with("windows", 0));
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

/// What of each job does not stand, each job after those it depends on.
async fn left(
    clickhouse: &ClickHouse,
    ops: &str,
    jobs: &Jobs,
    lines: &[Recorded],
) -> Result<Vec<(GoldJob, Left)>> {
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
        let unseen = unseen(&job, lines);
        if unseen.is_none() {
            let since = Ledger::new(clickhouse, ops, &job.name).since(run).await?;
            windows.retain(|window| {
                let mut finished = since
                    .iter()
                    .filter(|known| known.is_finished(&job.sql_hash));
                !finished.any(|known| known.window == *window)
            });
        }
        refuse_moved(&job, &windows)?;
        match unseen {
            Some(search) => {
                let range = (!windows.is_empty()).then_some(windows);
                left.push((job, Left::Unseen(search, range)));
            }
            None if windows.is_empty() => {}
            None => left.push((job, Left::Windows(windows))),
        }
    }
    Ok(left)
}

/// What a run that looked for windows itself had still to look for: it never had the job's lease.
fn unseen(job: &GoldJob, lines: &[Recorded]) -> Option<Search> {
    let line = lines.iter().find(|line| line.job == job.name)?;
    line.search.filter(|_| line.token == 0)
}

fn refuse_moved(job: &GoldJob, windows: &[Window]) -> Result<()> {
    let moved = |window: &&Window| job.calendar.window_at(window.from) != **window;
    let Some(window) = windows.iter().find(moved) else {
        return Ok(());
    };
    let message = format!(
        "gold job {} has no window [{}, {}) any more: its grain or zone changed since the run",
        job.name, window.from, window.to
    );
    Err(Error::new(Kind::Mismatch, message)
        .advise("build the windows of today's grain: `bullion gold … --missing`"))
}
