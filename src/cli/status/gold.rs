//! The gold jobs of `bullion status`.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{count, instant};
use crate::cli::out;
use crate::config::Config;
use crate::dirty;
use crate::error::Result;
use crate::job::{GoldJob, Jobs};
use crate::ledger::{Ledger, Recorded};
use crate::sink::clickhouse::ClickHouse;
use crate::status::{Overview, Stretch, command};

/// All of time that a window may begin in.
const EVER: (DateTime<Utc>, DateTime<Utc>) = (DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC);

pub(super) struct Looked<'a> {
    job: &'a GoldJob,
    overview: Overview,
    dirty: usize,
    /// runs that have not ended: they go on, or died
    unfinished: Vec<Recorded>,
}

pub(super) async fn look<'a>(
    clickhouse: &ClickHouse,
    config: &Config,
    jobs: &Jobs,
    job: &'a GoldJob,
    unfinished: &[Recorded],
    now: DateTime<Utc>,
) -> Result<Looked<'a>> {
    let ops = &config.clickhouse.ops;
    let known = Ledger::new(clickhouse, ops, &job.name)
        .known(EVER.0, EVER.1)
        .await?;
    let dirty = dirty::windows(clickhouse, ops, jobs, job).await?.len();
    let own = unfinished.iter().filter(|run| run.job == job.name);
    Ok(Looked {
        job,
        overview: Overview::of(job, &known, now),
        dirty,
        unfinished: own.cloned().collect(),
    })
}

pub(super) fn show(jobs: &[Looked<'_>]) {
    let header = [
        "gold",
        "last built",
        "at",
        "behind",
        "gaps",
        "stale",
        "dirty",
        "failing",
        "blocked",
        "runs",
    ];
    let rows = jobs.iter().map(|looked| {
        let overview = &looked.overview;
        let (last, at) = match overview.last {
            Some((window, at)) => (looked.job.calendar.label(window), built_at(at)),
            None => ("never".to_owned(), None),
        };
        vec![
            looked.job.name.clone(),
            last,
            at.unwrap_or_default(),
            count(overview.behind.map_or(0, |behind| behind.windows)),
            count(overview.gap_windows()),
            count(overview.stale),
            count(looked.dirty),
            count(overview.failing),
            count(overview.blocked),
            runs(looked).join("; "),
        ]
    });
    if !jobs.is_empty() {
        out::table(&header, rows);
    }
}

/// `gold running since …`, `backfill lost: bullion retry …`, `3 windows in mid-swap`
fn runs(looked: &Looked<'_>) -> Vec<String> {
    let told = looked.unfinished.iter().map(|run| match run.is_running() {
        true => format!("{} running since {}", run.command, instant(run.started_at)),
        false => format!("{} lost: bullion retry {}", run.command, run.run),
    });
    let mut told: Vec<String> = told.collect();
    let running = looked.unfinished.iter().any(Recorded::is_running);
    if looked.overview.swapping > 0 && !running {
        told.push(format!("{} windows in mid-swap", looked.overview.swapping));
    }
    told
}

pub(super) fn show_gaps(jobs: &[Looked<'_>]) {
    let ranges = jobs.iter().flat_map(|looked| {
        let missing = looked.overview.missing().map(|stretch| {
            vec![
                looked.job.name.clone(),
                range(looked.job, stretch),
                stretch.windows.to_string(),
                command(looked.job, stretch),
            ]
        });
        missing.collect::<Vec<_>>()
    });
    let ranges: Vec<Vec<String>> = ranges.collect();
    match ranges.is_empty() {
        true => out::line("no window is missing"),
        false => out::table(&["gold", "missing", "windows", "built by"], ranges),
    }
}

/// `2024-03-04`, or `2024-03-04 … 2024-03-06`
fn range(job: &GoldJob, stretch: &Stretch) -> String {
    let first = job.calendar.window_at(stretch.from);
    let last = job
        .calendar
        .window_at(stretch.to - chrono::Duration::milliseconds(1));
    match first == last {
        true => job.calendar.label(first),
        false => format!(
            "{} … {}",
            job.calendar.label(first),
            job.calendar.label(last)
        ),
    }
}

/// From microseconds of ClickHouse's clock.
fn built_at(micros: i64) -> Option<String> {
    let at = DateTime::from_timestamp_micros(micros).filter(|_| micros > 0);
    at.map(instant)
}

pub(super) fn described(looked: &Looked<'_>) -> Value {
    let Looked { job, overview, .. } = looked;
    let missing = overview.missing().map(|stretch| {
        json!({
            "from": instant(stretch.from), "to": instant(stretch.to), "windows": stretch.windows,
            "command": command(job, stretch),
        })
    });
    let runs = looked.unfinished.iter().map(|run| {
        json!({
            "run": run.run, "command": run.command, "state": run.state, "started_at": instant(run.started_at),
            "windows": run.windows, "built": run.built, "unchanged": run.unchanged, "failed": run.failed,
        })
    });
    json!({
        "job": job.name, "grain": job.calendar.grain.to_string(),
        "last_window": overview.last.map(|(window, _)| job.calendar.label(window)),
        "last_built_at": overview.last.and_then(|(_, at)| built_at(at)),
        "behind": overview.behind.map_or(0, |behind| behind.windows), "gaps": overview.gap_windows(),
        "stale": overview.stale, "dirty": looked.dirty, "failing": overview.failing, "blocked": overview.blocked,
        "swapping": overview.swapping, "of_another_grain": overview.foreign,
        "missing": missing.collect::<Vec<_>>(), "runs": runs.collect::<Vec<_>>(),
    })
}
