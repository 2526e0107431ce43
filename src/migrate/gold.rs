//! A gold job's target in ClickHouse: columns from the SELECT itself, one partition for each window.

use clickhouse::Row;
use serde::Deserialize;

use super::silver::qualified;
use super::{Change, audits};
use crate::column::Type;
use crate::config;
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::{GoldJob, WHOLE_TABLE, partition_expression};
use crate::ledger;
use crate::sink::clickhouse::{ClickHouse, literal, quote};

#[derive(Row, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct TargetColumn {
    pub name: String,
    pub r#type: String,
}

pub async fn plan(
    clickhouse: &ClickHouse,
    names: &config::ClickHouse,
    job: &GoldJob,
) -> Result<Vec<Change>> {
    let database = &names.gold;
    let doing = format!("gold job {}", job.name);
    let selected = selected_columns(clickhouse, job).await.context(&doing)?;
    let declared = declared(job, &selected).context(&doing)?;
    let Some(found) = existing(clickhouse, database, &job.name).await? else {
        let mut changes = Vec::new();
        let windows = ledger::standing(clickhouse, &names.ops, &job.name).await?;
        if windows > 0 {
            changes.push(Change {
                what: format!(
                    "note that {windows} windows of gold job {} are to be built again: its table is gone",
                    job.name
                ),
                sql: ledger::forget(&names.ops, &job.name),
            });
        }
        changes.push(Change {
            what: format!("create table {database}.{}", job.name),
            sql: create_table(clickhouse, database, job, &declared),
        });
        return Ok(changes);
    };
    let missing = found.missing_columns(database, job, &declared)?;
    if missing.is_empty() {
        let target = qualified(database, &job.name);
        let asked = audits::check_sql(clickhouse, &target, job).await;
        asked.context(&doing)?;
    }
    let alter = |column: &TargetColumn| Change {
        what: format!("add column {} to {database}.{}", column.name, job.name),
        sql: format!(
            "ALTER TABLE {}{} ADD COLUMN IF NOT EXISTS {} {}",
            qualified(database, &job.name),
            clickhouse.on_cluster(),
            quote(&column.name),
            column.r#type
        ),
    };
    Ok(missing.iter().map(alter).collect())
}

/// A build's own look before its first window: the target stands and is what the job declares.
pub async fn verify(
    clickhouse: &ClickHouse,
    database: &str,
    job: &GoldJob,
) -> Result<Vec<TargetColumn>> {
    let table = format!("{database}.{}", job.name);
    let Some(found) = existing(clickhouse, database, &job.name).await? else {
        let error = Error::new(Kind::NotFound, format!("table {table} does not exist"));
        return Err(error.advise("run `bullion migrate`"));
    };
    let selected = selected_columns(clickhouse, job).await?;
    let declared = declared(job, &selected)?;
    match found.missing_columns(database, job, &declared)?.first() {
        None => {
            audits::check_sql(clickhouse, &qualified(database, &job.name), job).await?;
            Ok(selected)
        }
        Some(column) => Err(Error::new(
            Kind::Mismatch,
            format!("table {table} lacks column `{}`", column.name),
        )
        .advise("run `bullion migrate`")),
    }
}

/// Unix seconds for parameters whose value does not matter.
const ANY_INSTANT: &str = "1700000000";

async fn selected_columns(clickhouse: &ClickHouse, job: &GoldJob) -> Result<Vec<TargetColumn>> {
    described(clickhouse, &job.sql).await
}

/// What a SELECT over a window gives, by ClickHouse's own word; it runs nothing.
pub async fn described(clickhouse: &ClickHouse, select: &str) -> Result<Vec<TargetColumn>> {
    #[derive(Row, Deserialize)]
    #[allow(dead_code, reason = "a row of DESCRIBE is read whole")]
    struct Described {
        name: String,
        r#type: String,
        default_type: String,
        default_expression: String,
        comment: String,
        codec_expression: String,
        ttl_expression: String,
    }
    let sql = format!("DESCRIBE TABLE (\n{select}\n)");
    let asked = clickhouse.client().query_raw(&sql);
    let asked = asked
        .with_setting("param_from", ANY_INSTANT)
        .with_setting("param_to", ANY_INSTANT);
    let rows = asked.fetch_all::<Described>().await;
    let rows = rows.map_err(|error| clickhouse.explain(error))?;
    Ok(rows
        .into_iter()
        .map(|row| TargetColumn {
            name: row.name,
            r#type: row.r#type,
        })
        .collect())
}

struct Declared {
    columns: Vec<TargetColumn>,
    partition_key: String,
    sorting_key: String,
}

fn declared(job: &GoldJob, selected: &[TargetColumn]) -> Result<Declared> {
    let mismatch = |message: String| Error::new(Kind::Mismatch, message);
    for wanted in job.order_by.iter().chain(&job.time_column) {
        let Some(column) = selected.iter().find(|column| column.name == *wanted) else {
            let names = selected.iter().map(|column| column.name.as_str());
            let near = crate::fault::suggestion(wanted, names);
            return Err(mismatch(format!(
                "its SELECT has no column `{wanted}`{near}"
            )));
        };
        if column.r#type.starts_with("Nullable(") {
            return Err(mismatch(format!(
                "column `{wanted}` is {}: a table is neither sorted nor cut by what may be NULL",
                column.r#type
            ))
            .advise("wrap it in assumeNotNull(…) or ifNull(…, …) in the SELECT"));
        }
    }
    audits::check_columns(job, selected)?;
    let partition_key = match &job.time_column {
        Some(time) => partition_key(job, time, selected).map_err(mismatch)?,
        None => WHOLE_TABLE.to_owned(),
    };
    let sorting: Vec<String> = job.order_by.iter().map(|name| quote(name)).collect();
    Ok(Declared {
        columns: selected.to_vec(),
        partition_key,
        sorting_key: sorting.join(", "),
    })
}

/// How the time column cuts the target into one partition for each window.
fn partition_key(job: &GoldJob, time: &str, selected: &[TargetColumn]) -> Result<String, String> {
    let column = selected.iter().find(|column| column.name == time);
    Type::parse(column.map_or("", |column| column.r#type.as_str()))
        .and_then(|kind| partition_expression(job.calendar, &quote(time), &kind))
        .map_err(|reason| format!("time_column `{time}`: {reason}"))
}

fn create_table(
    clickhouse: &ClickHouse,
    database: &str,
    job: &GoldJob,
    declared: &Declared,
) -> String {
    let column = |column: &TargetColumn| format!("    {} {}", quote(&column.name), column.r#type);
    let columns: Vec<String> = declared.columns.iter().map(column).collect();
    let replicated = if clickhouse.is_replicated() {
        "Replicated"
    } else {
        ""
    };
    format!(
        "CREATE TABLE IF NOT EXISTS {}{}\n(\n{}\n)\nENGINE = {replicated}MergeTree\nPARTITION BY {}\nORDER BY ({})",
        qualified(database, &job.name),
        clickhouse.on_cluster(),
        columns.join(",\n"),
        declared.partition_key,
        declared.sorting_key
    )
}

struct Existing {
    engine: String,
    partition_key: String,
    sorting_key: String,
    columns: Vec<TargetColumn>,
}

async fn existing(clickhouse: &ClickHouse, database: &str, name: &str) -> Result<Option<Existing>> {
    #[derive(Row, Deserialize)]
    struct Table {
        engine: String,
        partition_key: String,
        sorting_key: String,
    }
    let place = format!("database = {} AND", literal(database));
    let sql = format!(
        "SELECT engine, partition_key, sorting_key FROM system.tables WHERE {place} name = {}",
        literal(name)
    );
    let Some(table) = clickhouse.all::<Table>(&sql).await?.into_iter().next() else {
        return Ok(None);
    };
    let sql = format!(
        "SELECT name, type FROM system.columns WHERE {place} table = {} ORDER BY position",
        literal(name)
    );
    // a table made without PARTITION BY is what PARTITION BY tuple() makes
    let partition_key = match table.partition_key.as_str() {
        "" => WHOLE_TABLE.to_owned(),
        _ => table.partition_key,
    };
    Ok(Some(Existing {
        engine: table.engine,
        partition_key,
        sorting_key: table.sorting_key,
        columns: clickhouse.all(&sql).await?,
    }))
}

impl Existing {
    /// Columns that the SELECT has and the table lacks; anything else that differs is refused.
    fn missing_columns(
        &self,
        database: &str,
        job: &GoldJob,
        declared: &Declared,
    ) -> Result<Vec<TargetColumn>> {
        let refuse = |what: &str, found: &str, wanted: &str| {
            let message = format!(
                "table {database}.{} has {what} {found}, the job wants {wanted}",
                job.name
            );
            Err(Error::new(Kind::Mismatch, message).advise(
                "bullion never rewrites a table: rename or drop it, or correct the job, then `bullion migrate`; `bullion gold --missing` fills a new one",
            ))
        };
        // names are compared as ClickHouse prints them: without needless quotes
        let plain = |text: &str| text.replace(['`', ' '], "");
        if !matches!(
            self.engine.as_str(),
            "MergeTree" | "ReplicatedMergeTree" | "SharedMergeTree"
        ) {
            return refuse("engine", &self.engine, "MergeTree");
        }
        if plain(&self.partition_key) != plain(&declared.partition_key) {
            return refuse("PARTITION BY", &self.partition_key, &declared.partition_key);
        }
        // a key of one column keeps the parentheses it was written with
        let bare = |text: &str| plain(text).trim_matches(['(', ')']).to_owned();
        if bare(&self.sorting_key) != bare(&declared.sorting_key) {
            return refuse("ORDER BY", &self.sorting_key, &declared.sorting_key);
        }
        let mut missing = Vec::new();
        for column in &declared.columns {
            match self.columns.iter().find(|found| found.name == column.name) {
                None => missing.push(column.clone()),
                Some(found) if found.r#type == column.r#type => {}
                Some(found) => {
                    let what = format!("column `{}` of type", column.name);
                    return refuse(&what, &found.r#type, &column.r#type);
                }
            }
        }
        for found in &self.columns {
            if !declared
                .columns
                .iter()
                .any(|column| column.name == found.name)
            {
                return refuse("column", &format!("`{}`", found.name), "none of that name");
            }
        }
        Ok(missing)
    }
}
