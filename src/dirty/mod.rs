//! Which windows of gold are dirty: something they read was changed after their last build began to read.
//!
//! ```text
//! ops.touches   event times of silver's rows, before and after a change ─┐
//!                                                                        ├─ later than input_at of a window they lie in?
//! ops.windows   windows of gold whose contents changed ──────────────────┘
//! ```
//!
//! All times are ClickHouse's own. A touch is recorded after its rows are visible and a build's `input_at` is taken
//! before it reads, so a row that a build has not seen is always told of later.

mod overlap;
mod touched;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeZone, Utc};
use clickhouse::Row;
use serde::Deserialize;

use crate::column::Type;
use crate::error::Result;
use crate::job::{Dependency, GoldJob, Jobs, SilverJob};
use crate::ledger::{Ledger, Seen};
use crate::sink::clickhouse::{ClickHouse, literal, quote};
use crate::window::{Bucket, Calendar, Grain, Window};
pub use overlap::Change;
pub use touched::touched;

/// The windows of a job that were built, and whose input was changed since; oldest first.
pub async fn windows(
    clickhouse: &ClickHouse,
    ops: &str,
    jobs: &Jobs,
    job: &GoldJob,
) -> Result<Vec<Window>> {
    let seen = seen(clickhouse, ops, job).await?;
    let changes = changes(clickhouse, ops, jobs, job).await?;
    Ok(overlap::dirty(&seen, changes))
}

/// The windows that lack a change to what they read, whether they were built before or not, those that were built while they
/// were in progress and have ended since, and those in mid-swap; oldest first. None that is still to come.
pub async fn behind(
    clickhouse: &ClickHouse,
    ops: &str,
    jobs: &Jobs,
    job: &GoldJob,
    now: DateTime<Utc>,
) -> Result<Vec<Window>> {
    let seen = seen(clickhouse, ops, job).await?;
    let changes = changes(clickhouse, ops, jobs, job).await?;
    let ledger = Ledger::new(clickhouse, ops, &job.name);
    let mut behind: BTreeSet<Window> = ledger.ended_since().await?.into_iter().collect();
    let cut_off = ledger.swapping().await?.into_iter();
    behind.extend(cut_off.map(|known| known.window));
    behind.retain(|window| job.calendar.window_at(window.from) == *window);
    behind.extend(overlap::unseen(&seen, &changes, job.calendar));
    behind.extend(overlap::dirty(&seen, changes));
    Ok(behind
        .into_iter()
        .filter(|window| window.from <= now)
        .collect())
}

/// What an older grain or zone built is stale, not dirty.
async fn seen(clickhouse: &ClickHouse, ops: &str, job: &GoldJob) -> Result<Vec<Seen>> {
    let mut seen = Ledger::new(clickhouse, ops, &job.name).seen().await?;
    seen.retain(|seen| job.calendar.window_at(seen.window.from) == seen.window);
    Ok(seen)
}

/// Whatever a job depends on, as far as its changes are tracked.
async fn changes(
    clickhouse: &ClickHouse,
    ops: &str,
    jobs: &Jobs,
    job: &GoldJob,
) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    for dependency in &job.depends_on {
        match dependency {
            Dependency::Silver(name) => {
                let silver = jobs.silver.iter().find(|silver| silver.name == *name);
                if let Some(silver) = silver.filter(|silver| silver.time_column.is_some()) {
                    changes.extend(of_silver(clickhouse, ops, silver, job.calendar).await?);
                }
            }
            Dependency::Gold(name) => {
                let seen = Ledger::new(clickhouse, ops, name).seen().await?;
                changes.extend(seen.iter().map(|seen| Change {
                    from: seen.window.from,
                    to: seen.window.to,
                    at: seen.changed_at,
                }));
            }
        }
    }
    Ok(changes)
}

async fn of_silver(
    clickhouse: &ClickHouse,
    ops: &str,
    silver: &SilverJob,
    calendar: Calendar,
) -> Result<Vec<Change>> {
    #[derive(Row, Deserialize)]
    struct Touch {
        bucket: i32,
        at: i64,
    }
    let sql = format!(
        "SELECT bucket, toUnixTimestamp64Micro(max(at)) AS at FROM {}.touches WHERE job = {} GROUP BY bucket",
        quote(ops),
        literal(&silver.name)
    );
    let touches: Vec<Touch> = clickhouse.all(&sql).await?;
    let dates = holds_dates(silver);
    let change = |touch: Touch| {
        let bucket = Bucket(touch.bucket);
        let (from, to) = match dates {
            // every row is in the whole table, whatever its time
            _ if calendar.grain == Grain::Table => (Window::EVERYTHING.from, Window::EVERYTHING.to),
            // a row without a time is in no window
            _ if bucket == Bucket::NO_TIME => return None,
            true => date(bucket, calendar)?,
            false => (bucket.begin()?, bucket.end()?),
        };
        let at = touch.at;
        Some(Change { from, to, at })
    };
    Ok(touches.into_iter().filter_map(change).collect())
}

fn holds_dates(silver: &SilverJob) -> bool {
    let time = silver.time_column.as_deref();
    let column = silver
        .columns
        .iter()
        .find(|column| Some(column.name.as_str()) == time);
    column.is_some_and(|column| match &column.kind {
        Type::Nullable(inner) => matches!(**inner, Type::Date | Type::Date32),
        kind => matches!(kind, Type::Date | Type::Date32),
    })
}

/// A date is compared with instants as its midnight in UTC, and with dates of a zone as that zone's day: whatever the SELECT
/// does, the row is within both.
fn date(bucket: Bucket, calendar: Calendar) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
    const DAY: chrono::Duration = chrono::Duration::days(1);
    let utc = bucket.begin()?;
    let local = calendar.zone.from_local_datetime(&utc.naive_utc());
    let local = local
        .earliest()
        .map_or(utc, |local| local.with_timezone(&Utc));
    Some((utc.min(local), utc.max(local) + DAY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::window::Grain;

    #[test]
    fn a_date_is_the_day_of_the_zone_and_that_of_utc() {
        let calendar = |zone| Calendar {
            grain: Grain::Day,
            zone,
        };
        let midnight: DateTime<Utc> = "2024-03-31T00:00:00Z".parse().unwrap();
        let bucket = Bucket::of_seconds(midnight.timestamp());
        let span = |zone| date(bucket, calendar(zone)).unwrap();
        let at = |text: &str| -> DateTime<Utc> { text.parse().unwrap() };
        assert_eq!(span(chrono_tz::UTC), (midnight, at("2024-04-01T00:00:00Z")));
        assert_eq!(
            span(chrono_tz::Europe::Berlin),
            (at("2024-03-30T23:00:00Z"), at("2024-04-01T00:00:00Z"))
        );
        assert_eq!(
            span(chrono_tz::America::New_York),
            (midnight, at("2024-04-01T04:00:00Z"))
        );
    }
}
