//! `silver.<name>_times`: where each key has been in event time, for jobs whose rows may move; see `sink::touches`.

use std::fmt::Write as _;

use super::Change;
use super::silver::{qualified, sorting_key, table_name as versions};
use crate::error::{Error, Kind, Result};
use crate::job::{EarlierTime, SilverJob};
use crate::sink::clickhouse::{ClickHouse, literal, quote};
use crate::window::Bucket;

pub const BUCKET: &str = "_bucket";
pub const VERSION: &str = "_version";
/// the key has been elsewhere since, and that was told
pub const LEFT: &str = "_left";

/// Rows between two marks of the primary index: a question asks for keys that lie anywhere, so each of them costs so
/// many rows, and not ClickHouse's 8,192.
const GRANULARITY: u32 = 256;

pub fn table_name(job: &SilverJob) -> String {
    format!("{}_times", job.name)
}

/// Only a job whose rows' earlier times have to be looked up has one.
fn wanted(job: &SilverJob) -> Option<String> {
    let time = job.time_column.as_ref()?;
    let kept = job.earlier_time().is_some_and(EarlierTime::is_kept);
    kept.then(|| format!("times of {time}, all rows noted"))
}

/// `filled`: the silver table is there already, and so are its rows perhaps.
pub(super) async fn plan(
    clickhouse: &ClickHouse,
    database: &str,
    job: &SilverJob,
    filled: bool,
) -> Result<Vec<Change>> {
    let Some(complete) = wanted(job) else {
        return Ok(Vec::new());
    };
    let name = format!("{database}.{}", table_name(job));
    let found = comment(clickhouse, database, job).await?;
    let mut changes = Vec::new();
    match found.as_deref() {
        Some(comment) if comment == complete => return Ok(changes),
        Some(_) => changes.push(Change {
            what: format!("empty table {name}: it knows another time column, or not all rows"),
            sql: format!(
                "TRUNCATE TABLE {}{}",
                qualified(database, &table_name(job)),
                clickhouse.on_cluster()
            ),
        }),
        None => {
            let comment = if filled { "" } else { &complete };
            changes.push(Change {
                what: format!("create table {name}"),
                sql: create(clickhouse, database, job, comment),
            });
        }
    }
    if filled {
        let table = qualified(database, &table_name(job));
        changes.push(noted(database, job));
        changes.push(Change {
            what: format!("record that {name} knows all rows"),
            sql: format!(
                "ALTER TABLE {table}{} MODIFY COMMENT {}",
                clickhouse.on_cluster(),
                literal(&complete)
            ),
        });
    }
    Ok(changes)
}

/// A table that calls itself complete, and was not kept up while the job told no times, or others: rows may lie elsewhere by now.
/// What it knows beside that makes a window too much dirty at most.
pub(super) async fn again(
    clickhouse: &ClickHouse,
    database: &str,
    job: &SilverJob,
) -> Result<Option<Change>> {
    let complete = wanted(job);
    if complete.is_none() || comment(clickhouse, database, job).await? != complete {
        return Ok(None);
    }
    Ok(Some(noted(database, job)))
}

fn noted(database: &str, job: &SilverJob) -> Change {
    let name = table_name(job);
    let time = job.time_column.as_deref().unwrap_or_default();
    Change {
        what: format!("note the time of every row in {database}.{name}"),
        sql: fill(
            &qualified(database, &name),
            &qualified(database, &versions(job)),
            &sorting_key(job),
            time,
        ),
    }
}

/// Notes every time that the rows of `versions`, which is quoted, have or had.
pub fn touch(ops: &str, job: &str, time: &str, versions: &str) -> String {
    format!(
        "INSERT INTO {}.touches (job, bucket) SELECT DISTINCT {}, {} FROM {versions} WHERE _deleted = 0",
        quote(ops),
        literal(job),
        Bucket::sql(&quote(time))
    )
}

/// Ingest's own look: what it cannot look up it would never tell.
pub(super) async fn verify(clickhouse: &ClickHouse, database: &str, job: &SilverJob) -> Result<()> {
    let Some(complete) = wanted(job) else {
        return Ok(());
    };
    if comment(clickhouse, database, job).await?.as_deref() == Some(&complete) {
        return Ok(());
    }
    let message = format!(
        "table {database}.{} does not know the times of all rows of job {}",
        table_name(job),
        job.name
    );
    Err(Error::new(Kind::NotFound, message).advise("run `bullion migrate`"))
}

async fn comment(
    clickhouse: &ClickHouse,
    database: &str,
    job: &SilverJob,
) -> Result<Option<String>> {
    let sql = format!(
        "SELECT comment FROM system.tables WHERE database = {} AND name = {}",
        literal(database),
        literal(&table_name(job))
    );
    Ok(clickhouse.all::<String>(&sql).await?.into_iter().next())
}

fn create(clickhouse: &ClickHouse, database: &str, job: &SilverJob, comment: &str) -> String {
    let mut sql = format!(
        "CREATE TABLE IF NOT EXISTS {}{}\n(",
        qualified(database, &table_name(job)),
        clickhouse.on_cluster()
    );
    let key = sorting_key(job);
    for name in &key {
        let column = job.columns.iter().find(|column| column.name == *name);
        if let Some(column) = column {
            // writing to a String cannot fail
            let _ = write!(sql, "\n    {} {},", quote(name), column.kind);
        }
    }
    let quoted: Vec<String> = key.iter().map(|name| quote(name)).collect();
    let replicated = if clickhouse.is_replicated() {
        "Replicated"
    } else {
        ""
    };
    let _ = write!(
        sql,
        "\n    {BUCKET} Int32,\n    {VERSION} UInt64,\n    {LEFT} UInt8\n)\n\
ENGINE = {replicated}ReplacingMergeTree({VERSION}, {LEFT})\nORDER BY ({}, {BUCKET})\n\
SETTINGS index_granularity = {GRANULARITY}\nCOMMENT {}",
        quoted.join(", "),
        literal(comment)
    );
    sql
}

/// Notes the time of every row that readers of `versions` see; both tables are quoted.
pub fn fill(times: &str, versions: &str, key: &[String], time: &str) -> String {
    let key: Vec<String> = key.iter().map(|name| quote(name)).collect();
    let key = key.join(", ");
    format!(
        "INSERT INTO {times} ({key}, {BUCKET}, {VERSION}, {LEFT}) SELECT {key}, {}, {VERSION}, 0 FROM {versions} FINAL WHERE _deleted = 0",
        Bucket::sql(&quote(time))
    )
}
