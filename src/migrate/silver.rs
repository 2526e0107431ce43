//! A silver job in ClickHouse: `<name>_versions`, the view `<name>` that is the right answer, and `<name>_between`.

use std::fmt::Write as _;

use chrono_tz::Tz;
use clickhouse::Row;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::{Change, times, told};
use crate::error::{Error, Kind, Result};
use crate::job::{SYSTEM_COLUMNS, SilverJob, partition_expression};
use crate::sink::clickhouse::{ClickHouse, literal, quote};
use crate::window::Calendar;

pub async fn plan(clickhouse: &ClickHouse, database: &str, job: &SilverJob) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let found = existing(clickhouse, database, job).await?;
    let is_there = found.is_some();
    match found {
        None => changes.push(Change {
            what: format!("create table {database}.{}", table_name(job)),
            sql: create_table(clickhouse, database, job),
        }),
        Some(table) => {
            for (name, kind) in table.missing_columns(database, job)? {
                changes.push(Change {
                    what: format!("add column {name} to {database}.{}", table_name(job)),
                    sql: format!(
                        "ALTER TABLE {}{} ADD COLUMN IF NOT EXISTS {} {kind}",
                        qualified(database, &table_name(job)),
                        clickhouse.on_cluster(),
                        quote(&name)
                    ),
                });
            }
        }
    }
    changes.extend(times::plan(clickhouse, database, job, is_there).await?);
    for (name, select) in views(database, job) {
        let comment = fingerprint(&select);
        if view_comment(clickhouse, database, &name).await?.as_deref() != Some(&comment)
            || !has_types(clickhouse, database, &name, job).await?
        {
            changes.push(Change {
                what: format!("create view {database}.{name}"),
                sql: format!(
                    "CREATE OR REPLACE VIEW {}{} AS {select} COMMENT {}",
                    qualified(database, &name),
                    clickhouse.on_cluster(),
                    literal(&comment)
                ),
            });
        }
    }
    Ok(changes)
}

/// Ingest's own look before the first insert: the table must be there and be what the job declares.
pub async fn verify(
    clickhouse: &ClickHouse,
    (database, ops): (&str, &str),
    job: &SilverJob,
) -> Result<()> {
    let table = format!("{database}.{}", table_name(job));
    let Some(found) = existing(clickhouse, database, job).await? else {
        return Err(
            Error::new(Kind::NotFound, format!("table {table} does not exist"))
                .advise("run `bullion migrate`"),
        );
    };
    match found.missing_columns(database, job)?.first() {
        None => {
            times::verify(clickhouse, database, job).await?;
            told::verify(clickhouse, ops, job).await
        }
        Some((column, _)) => Err(Error::new(
            Kind::Mismatch,
            format!("table {table} lacks column `{column}`"),
        )
        .advise("run `bullion migrate`")),
    }
}

pub fn table_name(job: &SilverJob) -> String {
    format!("{}_versions", job.name)
}

/// `database`.`name`, quoted.
pub fn qualified(database: &str, name: &str) -> String {
    format!("{}.{}", quote(database), quote(name))
}

/// Every column of the table in its order: the job's, then bullion's own.
pub fn table_columns(job: &SilverJob) -> Vec<(String, String)> {
    let own = SYSTEM_COLUMNS
        .iter()
        .map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned()));
    let declared = job
        .columns
        .iter()
        .map(|column| (column.name.clone(), column.kind.to_string()));
    let extras = job
        .extras
        .iter()
        .map(|extra| (extra.name.clone(), extra.kind.to_string()));
    declared.chain(extras).chain(own).collect()
}

/// Column names of the table's ORDER BY.
pub fn sorting_key(job: &SilverJob) -> Vec<String> {
    if job.key.is_empty() {
        // a redelivered message has the same coordinates, so it still counts once
        return ["_topic", "_partition", "_version"]
            .map(str::to_owned)
            .to_vec();
    }
    let name = |field: &String| {
        let column = job.columns.iter().find(|column| column.source == *field);
        column.map(|column| column.name.clone())
    };
    job.key.iter().filter_map(name).collect()
}

/// PARTITION BY, where the job wants it.
fn partition_key(job: &SilverJob) -> Option<String> {
    let calendar = Calendar {
        grain: job.partition_by?,
        zone: Tz::UTC,
    };
    let time = job.time_column.as_ref()?;
    let column = job.columns.iter().find(|column| column.name == *time)?;
    partition_expression(calendar, &quote(time), &column.kind).ok()
}

fn create_table(clickhouse: &ClickHouse, database: &str, job: &SilverJob) -> String {
    let mut sql = format!(
        "CREATE TABLE IF NOT EXISTS {}{}\n(",
        qualified(database, &table_name(job)),
        clickhouse.on_cluster()
    );
    // writing to a String cannot fail
    for (index, (name, kind)) in table_columns(job).into_iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        let _ = write!(sql, "{comma}\n    {} {kind}", quote(&name));
    }
    if let Some(time) = &job.time_column {
        let _ = write!(
            sql,
            ",\n    INDEX time_minmax {} TYPE minmax GRANULARITY 1",
            quote(time)
        );
    }
    let key: Vec<String> = sorting_key(job).iter().map(|name| quote(name)).collect();
    let replicated = if clickhouse.is_replicated() {
        "Replicated"
    } else {
        ""
    };
    let _ = write!(
        sql,
        "\n)\nENGINE = {replicated}ReplacingMergeTree(_version, _deleted)\n{}ORDER BY ({})",
        partition_key(job).map_or_else(String::new, |key| format!("PARTITION BY {key}\n")),
        key.join(", ")
    );
    sql
}

/// What each view selects. A view's columns freeze when it is made, so they are written out.
fn views(database: &str, job: &SilverJob) -> Vec<(String, String)> {
    let table = qualified(database, &table_name(job));
    let columns: Vec<String> = table_columns(job)
        .iter()
        .filter(|(name, _)| name != "_deleted")
        .map(|(name, _)| quote(name))
        .collect();
    let columns = columns.join(", ");
    let current = format!("SELECT {columns} FROM {table} FINAL WHERE _deleted = 0");
    let mut views = vec![(job.name.clone(), current.clone())];
    if let (Some(time), false) = (&job.time_column, job.key.is_empty()) {
        let key: Vec<String> = sorting_key(job).iter().map(|name| quote(name)).collect();
        let key = key.join(", ");
        let time = quote(time);
        let window = format!(
            "{time} >= {{from:DateTime64(3, 'UTC')}} AND {time} < {{to:DateTime64(3, 'UTC')}}"
        );
        // FINAL runs over just the keys that have any version in the window, so it stays exact
        let between = format!(
            "{current} AND {window} AND ({key}) IN (SELECT {key} FROM {table} WHERE {window})"
        );
        views.push((format!("{}_between", job.name), between));
    }
    views
}

fn fingerprint(select: &str) -> String {
    let digest = Sha256::digest(select.as_bytes());
    let hex: String = digest
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("bullion {hex}")
}

async fn view_comment(
    clickhouse: &ClickHouse,
    database: &str,
    view: &str,
) -> Result<Option<String>> {
    let sql = format!(
        "SELECT comment FROM system.tables WHERE database = {} AND name = {}",
        literal(database),
        literal(view)
    );
    Ok(clickhouse.all::<String>(&sql).await?.into_iter().next())
}

/// Whether the view's columns have the table's types: they freeze when it is made, and the table's may be widened.
async fn has_types(
    clickhouse: &ClickHouse,
    database: &str,
    view: &str,
    job: &SilverJob,
) -> Result<bool> {
    let sql = format!(
        "SELECT name, type FROM system.columns WHERE database = {} AND table = {}",
        literal(database),
        literal(view)
    );
    let found = clickhouse.all::<DescribedColumn>(&sql).await?;
    let declared = table_columns(job);
    Ok(found.iter().all(|column| {
        let wanted = declared.iter().find(|(name, _)| *name == column.name);
        wanted.is_none_or(|(_, kind)| *kind == column.r#type)
    }))
}

/// A table as ClickHouse describes it.
struct Existing {
    engine: String,
    partition_key: String,
    sorting_key: String,
    columns: Vec<(String, String)>,
}

#[derive(Row, Deserialize)]
struct Described {
    engine: String,
    partition_key: String,
    sorting_key: String,
}

#[derive(Row, Deserialize)]
struct DescribedColumn {
    name: String,
    r#type: String,
}

async fn existing(
    clickhouse: &ClickHouse,
    database: &str,
    job: &SilverJob,
) -> Result<Option<Existing>> {
    let place = format!("database = {} AND", literal(database));
    let table = literal(&table_name(job));
    let sql = format!(
        "SELECT engine_full AS engine, partition_key, sorting_key FROM system.tables WHERE {place} name = {table}"
    );
    let Some(described) = clickhouse.all::<Described>(&sql).await?.into_iter().next() else {
        return Ok(None);
    };
    let sql = format!(
        "SELECT name, type FROM system.columns WHERE {place} table = {table} ORDER BY position"
    );
    let columns = clickhouse.all::<DescribedColumn>(&sql).await?;
    Ok(Some(Existing {
        engine: described.engine,
        partition_key: described.partition_key,
        sorting_key: described.sorting_key,
        columns: columns
            .into_iter()
            .map(|column| (column.name, column.r#type))
            .collect(),
    }))
}

/// `(a, b)` and `` `a`, b `` as `a, b`: how ClickHouse spells a key depends on how it was declared.
fn plain_list(key: &str) -> String {
    let inner = key.strip_prefix('(').and_then(|key| key.strip_suffix(')'));
    inner.unwrap_or(key).replace('`', "")
}

impl Existing {
    /// Columns that the job declares and the table lacks; anything else that differs is refused.
    fn missing_columns(&self, database: &str, job: &SilverJob) -> Result<Vec<(String, String)>> {
        let table = format!("{database}.{}", table_name(job));
        let refuse = |what: &str, found: &str, declared: &str| {
            let message = format!(
                "table {table} has {what} {found}, job `{}` declares {declared}",
                job.name
            );
            Err(Error::new(Kind::Mismatch, message).advise(
                "bullion never rewrites a table: rename or drop it, or correct the job, then `bullion migrate`",
            ))
        };
        let engine = "ReplacingMergeTree(_version, _deleted)";
        let found = self.engine.split(" PARTITION BY").next();
        let found = found.and_then(|text| text.split(" ORDER BY").next());
        let found = found.unwrap_or_default();
        let plain = found.strip_prefix("Replicated").unwrap_or(found);
        let same = plain == engine
            || (found.starts_with("Replicated") && found.ends_with("_version, _deleted)"));
        if !same {
            return refuse("engine", found, engine);
        }
        let declared = partition_key(job).unwrap_or_default();
        if plain_list(&self.partition_key) != plain_list(&declared) {
            let shown = |key: &str| if key.is_empty() { "none" } else { key }.to_owned();
            return refuse(
                "PARTITION BY",
                &shown(&self.partition_key),
                &shown(&declared),
            );
        }
        let declared = sorting_key(job).join(", ");
        if plain_list(&self.sorting_key) != declared {
            return refuse("ORDER BY", &self.sorting_key, &declared);
        }
        let mut missing = Vec::new();
        for (name, kind) in table_columns(job) {
            match self.columns.iter().find(|(found, _)| *found == name) {
                None => missing.push((name, kind)),
                Some((_, found)) if *found == kind => {}
                Some((_, found)) => return refuse(&format!("column `{name}`"), found, &kind),
            }
        }
        Ok(missing)
    }
}
