//! `--dirty` and `--missing`: the windows that the ledger and silver's changes ask for.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::backfill;
use crate::cli::{Context, out};
use crate::config::Config;
use crate::dirty;
use crate::error::{Error, Kind, Result};
use crate::job::{GoldJob, Jobs};
use crate::ledger::Ledger;
use crate::sink::clickhouse::ClickHouse;
use crate::window::{Limits, MOST_WINDOWS, Window};

/// Windows that are told by name.
const MOST_NAMED: usize = 10;

#[derive(clap::Args)]
pub struct DueArgs {
    /// Windows that were built and whose input has changed since; a row that moved counts in both of its windows
    #[arg(long)]
    dirty: bool,
    /// Windows never built, failed, or built from an older SQL: of the range, or from the first one known to the last
    #[arg(long)]
    missing: bool,
}

impl DueArgs {
    pub fn is_given(&self) -> bool {
        self.dirty || self.missing
    }

    /// Oldest first; of `range` alone where there is one.
    pub async fn windows(
        &self,
        clickhouse: &ClickHouse,
        config: &Config,
        declared: &Jobs,
        job: &GoldJob,
        range: Option<&[Window]>,
        limits: Limits,
    ) -> Result<Vec<Window>> {
        let ops = &config.clickhouse.ops;
        let mut due = BTreeSet::new();
        if self.dirty {
            let dirty = dirty::windows(clickhouse, ops, declared, job).await?;
            due.extend(
                dirty
                    .into_iter()
                    .filter(|window| range.is_none_or(|range| range.binary_search(window).is_ok())),
            );
        }
        if self.missing {
            let ledger = Ledger::new(clickhouse, ops, &job.name);
            let range = match range {
                Some(range) => range.to_vec(),
                None => known_span(&ledger, job, limits).await?,
            };
            due.extend(backfill::plan(&ledger, job, &range, false).await?.to_build);
        }
        Ok(due.into_iter().collect())
    }
}

/// Every window from the first to the last that the ledger knows.
async fn known_span(ledger: &Ledger, job: &GoldJob, limits: Limits) -> Result<Vec<Window>> {
    let known = ledger
        .known(DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC)
        .await?;
    let (Some(first), Some(last)) = (known.first(), known.last()) else {
        return Ok(Vec::new());
    };
    let mut windows = Vec::new();
    let mut next = job.calendar.window_at(first.window.from);
    while next.from < last.window.to {
        if limits.incomplete || next.to <= limits.now {
            windows.push(next);
        }
        if windows.len() > MOST_WINDOWS && !limits.large {
            let message = format!(
                "the ledger knows more than {MOST_WINDOWS} windows of gold job {}",
                job.name
            );
            return Err(Error::new(Kind::Usage, message)
                .advise("give a range, or --allow-large where all of them are meant"));
        }
        next = job.calendar.after(next);
    }
    Ok(windows)
}

/// What is built, before it is.
pub fn show(context: &Context, job: &GoldJob, windows: &[Window]) {
    let named: Vec<String> = windows
        .iter()
        .take(MOST_NAMED)
        .map(|window| job.calendar.label(*window))
        .collect();
    let more = if windows.len() > named.len() {
        ", …"
    } else {
        ""
    };
    let text = match windows.len() {
        0 => format!("{}: nothing to build", job.name),
        count => format!("{}: {count} to build: {}{more}", job.name, named.join(", ")),
    };
    match context.output {
        out::Format::Text => out::line(text),
        out::Format::Json => tracing::info!("{text}"),
    }
}
