//! How a gold job stands, from what the ledger knows of its windows. Pure: no clock, no server.
//!
//! ```text
//! ──┬────┬────┬────┬────┬────┬────┬────┬────┬──▶ time
//!   │done│done│    │done│fail│done│    │    │
//!   first      gap       failing   last  └ behind ┘ now
//! ```

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use crate::due::Reason;
use crate::job::GoldJob;
use crate::ledger::{Known, State};
use crate::window::{Grain, MOST_WINDOWS, Window};

/// Windows next to each other, `[from, to)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub from: DateTime<Utc>,
    pub to: DateTime<Utc>,
    pub windows: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Overview {
    /// the latest window that readers see, and when its build began, in microseconds since 1970; 0: nobody knows
    pub last: Option<(Window, i64)>,
    /// between the first and the last that readers see, never built
    pub gaps: Vec<Stretch>,
    /// after the last one, ended since
    pub behind: Option<Stretch>,
    /// of an older SQL, or built before they had ended
    pub stale: usize,
    /// the last build failed; readers see what was there before, if anything
    pub failing: usize,
    /// an audit stood in the way
    pub blocked: usize,
    /// being swapped, or a swap was cut off and cannot be redone yet
    pub swapping: usize,
    /// of an older grain or zone of the job: nobody will build them again
    pub foreign: usize,
}

impl Overview {
    pub fn of(job: &GoldJob, known: &[Known], now: DateTime<Utc>) -> Overview {
        let mut overview = Overview::default();
        let mut seen = BTreeSet::new();
        for known in known {
            if job.calendar.window_at(known.window.from) != known.window {
                overview.foreign += 1;
                continue;
            }
            // on purpose, or by an event whose time is wrong: no gap leads to it
            if known.window.from > now {
                continue;
            }
            match Reason::of(Some(known), &job.sql_hash) {
                Reason::Failed => overview.failing += 1,
                Reason::Blocked => overview.blocked += 1,
                Reason::MidSwap => overview.swapping += 1,
                Reason::Stale => overview.stale += 1,
                Reason::Incomplete if known.window.to <= now => overview.stale += 1,
                _ => {}
            }
            // what failed before it was ever built has nothing to be seen
            if !matches!(known.state, State::Failed | State::Blocked) || known.input_at > 0 {
                seen.insert(known.window);
                overview.last = Some((known.window, known.input_at));
            }
        }
        if job.calendar.grain != Grain::Table {
            overview.find_missing(job, &seen, now);
        }
        overview
    }

    fn find_missing(&mut self, job: &GoldJob, seen: &BTreeSet<Window>, now: DateTime<Utc>) {
        let (Some(first), Some(last)) = (seen.first(), seen.last()) else {
            return;
        };
        let mut after = *first;
        for window in seen.iter().skip(1) {
            self.gaps
                .extend(stretch(job, job.calendar.after(after), window.from));
            after = *window;
        }
        let complete = job.calendar.window_at(now).from;
        self.behind = stretch(job, job.calendar.after(*last), complete);
    }

    pub fn missing(&self) -> impl Iterator<Item = &Stretch> {
        self.gaps.iter().chain(&self.behind)
    }

    pub fn gap_windows(&self) -> usize {
        self.gaps.iter().map(|gap| gap.windows).sum()
    }
}

/// The windows from one on that begin before an instant; none where there are none.
fn stretch(job: &GoldJob, first: Window, until: DateTime<Utc>) -> Option<Stretch> {
    let windows = std::iter::successors(Some(first), |window| Some(job.calendar.after(*window)));
    let mut windows = windows.take_while(|window| window.from < until);
    let first = windows.next()?;
    let (to, count) = windows.fold((first.to, 1), |(_, count), window| (window.to, count + 1));
    Some(Stretch {
        from: first.from,
        to,
        windows: count,
    })
}

/// What builds a stretch, to be pasted.
pub fn command(job: &GoldJob, stretch: &Stretch) -> String {
    let zone = job.calendar.zone;
    let edge = |at: DateTime<Utc>| match job.calendar.grain {
        // an hour may occur twice in a day
        Grain::Hour => job.calendar.show(at),
        _ => at.with_timezone(&zone).format("%Y-%m-%d").to_string(),
    };
    let many = match stretch.windows > MOST_WINDOWS {
        true => " --allow-large",
        false => "",
    };
    format!(
        "bullion gold {} --from {} --to {}{many}",
        job.name,
        edge(stretch.from),
        edge(stretch.to)
    )
}

#[cfg(test)]
mod tests;
