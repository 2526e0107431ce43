//! `ops.told_by`: by which time column the changes of a silver job are told in `ops.touches`.
//!
//! ```text
//! job file  time_column = "at" ──┐
//!                                ├─ the same? ─▶ writers may begin
//! ops.told_by           "at" ────┘      │ no: they are refused, and `migrate` notes all that may have changed, then the column
//! ```
//!
//! That something was touched says nothing: a single batch may have been told since the job file was changed.

use super::silver::{qualified, table_name};
use super::{Change, times};
use crate::config;
use crate::error::{Error, Kind, Result};
use crate::job::{Dependency, Jobs, SilverJob};
use crate::sink::clickhouse::{ClickHouse, literal, quote};
use crate::window::{Bucket, Window};

/// The column by which the job wants them told; empty where it has none.
fn wanted(job: &SilverJob) -> &str {
    job.time_column.as_deref().unwrap_or_default()
}

/// Rows that were there before the job declared its time column, or declared it again: nobody has told where they are, or
/// were, so all of it is told. The mark comes last.
pub(super) async fn plan(
    clickhouse: &ClickHouse,
    names: &config::ClickHouse,
    jobs: &Jobs,
    job: &SilverJob,
) -> Result<Vec<Change>> {
    let (ops, by) = (&names.ops, wanted(job));
    let found = found(clickhouse, ops, job).await?;
    if found.as_deref().unwrap_or_default() == by {
        return Ok(Vec::new());
    }
    let mut changes = Vec::new();
    if !by.is_empty() {
        if found.is_some() {
            changes.extend(times::again(clickhouse, &names.silver, job).await?);
        }
        changes.extend(rows(clickhouse, names, job, by).await?);
        changes.extend(windows(clickhouse, ops, jobs, job).await?);
    }
    let what = match by {
        "" => format!("record that nobody tells the changes of job {}", job.name),
        _ => format!(
            "record that the changes of job {} are told by {by}",
            job.name
        ),
    };
    changes.push(Change {
        what,
        sql: format!(
            "INSERT INTO {}.told_by (job, time_column) VALUES ({}, {})",
            quote(ops),
            literal(&job.name),
            literal(by)
        ),
    });
    Ok(changes)
}

/// Whoever is about to write the job's rows tells their changes as everybody before, or not at all.
pub(super) async fn verify(clickhouse: &ClickHouse, ops: &str, job: &SilverJob) -> Result<()> {
    let by = wanted(job);
    let found = found(clickhouse, ops, job).await?.unwrap_or_default();
    if found == by {
        return Ok(());
    }
    let message = match (by, found.as_str()) {
        (by, "") => format!(
            "the changes of job {} were not told by `{by}` until now",
            job.name
        ),
        ("", found) => format!(
            "the changes of job {} were told by `{found}` until now",
            job.name
        ),
        (by, found) => format!(
            "the changes of job {} were told by `{found}` until now, and not by `{by}`",
            job.name
        ),
    };
    Err(Error::new(Kind::Mismatch, message)
        .advise("run `bullion migrate`: it notes what windows of gold may lack"))
}

async fn found(clickhouse: &ClickHouse, ops: &str, job: &SilverJob) -> Result<Option<String>> {
    let sql = format!(
        "SELECT time_column FROM {}.told_by FINAL WHERE job = {}",
        quote(ops),
        literal(&job.name)
    );
    match clickhouse.all::<String>(&sql).await {
        // the table comes with the next `migrate`
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        found => Ok(found?.into_iter().next()),
    }
}

/// Where the rows of silver are.
async fn rows(
    clickhouse: &ClickHouse,
    names: &config::ClickHouse,
    job: &SilverJob,
    by: &str,
) -> Result<Option<Change>> {
    let table = qualified(&names.silver, &table_name(job));
    let some = format!("SELECT count() FROM (SELECT 1 FROM {table} WHERE _deleted = 0 LIMIT 1)");
    Ok(is_any(clickhouse, &some).await?.then(|| Change {
        what: format!(
            "note in {}.touches where the rows of {}.{} are: their changes were not noted until now",
            names.ops, names.silver, job.name
        ),
        sql: times::touch(&names.ops, &job.name, by, &table),
    }))
}

/// Where they may have been when gold was built: they are gone from there, and silver does not know it any more.
async fn windows(
    clickhouse: &ClickHouse,
    ops: &str,
    jobs: &Jobs,
    job: &SilverJob,
) -> Result<Option<Change>> {
    let reads = |dependency: &Dependency| matches!(dependency, Dependency::Silver(name) if *name == job.name);
    let readers = jobs
        .gold
        .iter()
        .filter(|gold| gold.depends_on.iter().any(reads));
    let readers: Vec<String> = readers.map(|gold| literal(&gold.name)).collect();
    if readers.is_empty() {
        return Ok(None);
    }
    let built = format!(
        "FROM {}.windows_versions WHERE job IN ({})",
        quote(ops),
        readers.join(", ")
    );
    let some = format!("SELECT count() FROM (SELECT 1 {built} LIMIT 1)");
    Ok(is_any(clickhouse, &some).await?.then(|| Change {
        what: format!(
            "note in {ops}.touches which windows were built from {}: rows may have left them",
            job.name
        ),
        sql: format!(
            "INSERT INTO {}.touches (job, bucket) SELECT DISTINCT {}, \
if(toUnixTimestamp64Milli(window_to) = {}, toInt32({}), {}) {built}",
            quote(ops),
            literal(&job.name),
            // whole tables, which take any change: 1970 is no day of theirs
            Window::EVERYTHING.to.timestamp_millis(),
            Bucket::NO_TIME.0,
            Bucket::sql("window_from")
        ),
    }))
}

/// False where there is no such table yet.
async fn is_any(clickhouse: &ClickHouse, count: &str) -> Result<bool> {
    match clickhouse.one::<u64>(count).await {
        Err(error) if error.kind() == Kind::NotFound => Ok(false),
        count => Ok(count? > 0),
    }
}
