//! `--dirty` and `--missing`: the windows that the ledger and silver's changes ask for.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::cli::{Context, out};
use crate::config::Config;
use crate::dirty;
use crate::due::{self, Planned, Search, Standing, Wish};
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

    /// What is built of the windows that are looked at: all of them where neither was given.
    pub fn wish(&self) -> Wish {
        match self.is_given() {
            true => Wish::Due {
                missing: self.missing,
                dirty: self.dirty,
            },
            false => Wish::Every,
        }
    }

    /// The same for the run's own line.
    pub fn search(&self, limits: Limits) -> Option<Search> {
        self.is_given().then_some(Search {
            missing: self.missing,
            dirty: self.dirty,
            incomplete: limits.incomplete,
            large: limits.large,
        })
    }
}

/// Where windows are looked for.
pub struct Look<'a> {
    pub clickhouse: &'a ClickHouse,
    pub config: &'a Config,
    pub declared: &'a Jobs,
    /// what bounds a search that was given no range
    pub limits: Limits,
    pub wish: Wish,
}

impl Look<'_> {
    /// Why each window of a job would be built or not, oldest first: those of `range` alone where there is one, else those
    /// that the ledger knows, as far as they are wished for. `upstream` is what is built before, of jobs that this one reads.
    pub async fn at(
        &self,
        job: &GoldJob,
        range: Option<&[Window]>,
        upstream: &[Window],
    ) -> Result<Vec<Planned>> {
        let ops = &self.config.clickhouse.ops;
        let ledger = Ledger::new(self.clickhouse, ops, &job.name);
        let (missing, changes) = match self.wish {
            Wish::Every => (false, true),
            Wish::Due { missing, dirty } => (missing, dirty),
        };
        let dirty = match changes {
            true => dirty::windows(self.clickhouse, ops, self.declared, job).await?,
            false => Vec::new(),
        };
        let upstream = match changes && !upstream.is_empty() {
            true => touched(&ledger, job, upstream).await?,
            false => Vec::new(),
        };
        let windows: BTreeSet<Window> = match range {
            Some(range) => range.iter().copied().collect(),
            None => {
                let span = match missing {
                    true => known_span(&ledger, job, self.limits).await?,
                    false => Vec::new(),
                };
                span.iter()
                    .chain(&dirty)
                    .chain(&upstream)
                    .copied()
                    .collect()
            }
        };
        let windows: Vec<Window> = windows.into_iter().collect();
        let (Some(first), Some(last)) = (windows.first(), windows.last()) else {
            return Ok(Vec::new());
        };
        let standing = Standing {
            known: &ledger.known(first.from, last.to).await?,
            dirty: &dirty,
            upstream: &upstream,
            sql_hash: &job.sql_hash,
        };
        Ok(due::sort(&windows, standing, self.wish))
    }
}

/// The windows of a job that were built, and lie where others will be.
async fn touched(ledger: &Ledger, job: &GoldJob, others: &[Window]) -> Result<Vec<Window>> {
    let seen = ledger.seen().await?.into_iter().map(|seen| seen.window);
    let overlap = |window: &Window| {
        let mut others = others.iter();
        others.any(|other| other.from < window.to && window.from < other.to)
    };
    Ok(seen
        .filter(|window| job.calendar.window_at(window.from) == *window && overlap(window))
        .collect())
}

/// Every window from the first to the last that the ledger knows; a whole table has just one, whether the ledger knows it or not.
async fn known_span(ledger: &Ledger, job: &GoldJob, limits: Limits) -> Result<Vec<Window>> {
    if job.is_whole_table() {
        return Ok(vec![Window::EVERYTHING]);
    }
    let mut known = ledger
        .known(DateTime::<Utc>::MIN_UTC, DateTime::<Utc>::MAX_UTC)
        .await?;
    // from when the job was a whole table
    known.retain(|known| known.window != Window::EVERYTHING);
    let (Some(first), Some(last)) = (known.first(), known.last()) else {
        return Ok(Vec::new());
    };
    let mut windows = Vec::new();
    let mut next = job.calendar.window_at(first.window.from);
    while next.from < last.window.to && (limits.incomplete || next.to <= limits.now) {
        windows.push(next);
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
