//! The windows that rows of one silver table were written into since a moment, whether they were built before or not.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};

use super::of_silver;
use super::overlap::windows_of;
use crate::error::Result;
use crate::job::{GoldJob, SilverJob};
use crate::sink::clickhouse::ClickHouse;
use crate::window::Window;

/// Oldest first; none where the silver job declares no time column.
pub async fn touched(
    clickhouse: &ClickHouse,
    ops: &str,
    silver: &SilverJob,
    job: &GoldJob,
    since: DateTime<Utc>,
) -> Result<Vec<Window>> {
    if silver.time_column.is_none() {
        return Ok(Vec::new());
    }
    let changes = of_silver(clickhouse, ops, silver, job.calendar).await?;
    let late = changes
        .iter()
        .filter(|change| change.at >= since.timestamp_micros());
    let windows: BTreeSet<Window> = late
        .flat_map(|change| windows_of(change, job.calendar))
        .collect();
    Ok(windows.into_iter().collect())
}
