//! What stands in ClickHouse against what is declared: the statements that close the gap, and nothing else.

mod audits;
pub mod evolved;
pub mod gold;
mod ops;
pub mod silver;
pub mod times;
mod told;

use crate::config::Config;
use crate::error::Result;
use crate::job::{Jobs, SilverJob, in_dependency_order};
use crate::sink::clickhouse::{ClickHouse, literal, quote};

/// One statement that is still missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// for people: `create table silver.orders_versions`
    pub what: String,
    pub sql: String,
}

/// Databases first, then ops, then every silver job; for gold see [`apply`]. A real thing that contradicts its job is an error, never altered.
pub async fn plan(clickhouse: &ClickHouse, config: &Config, jobs: &Jobs) -> Result<Vec<Change>> {
    let names = &config.clickhouse;
    let mut changes = Vec::new();
    for database in [&names.ops, &names.silver, &names.gold] {
        changes.extend(database_change(clickhouse, database).await?);
    }
    changes.extend(ops::plan(clickhouse, &names.ops).await?);
    for job in &jobs.silver {
        let plan =
            |job: SilverJob| async move { silver::plan(clickhouse, &names.silver, &job).await };
        let (job, planned) = evolved::agreed(clickhouse, &names.silver, job, plan).await?;
        changes.extend(planned);
        changes.extend(told::plan(clickhouse, names, jobs, &job).await?);
    }
    Ok(changes)
}

/// Makes every change, telling each one after it was made. A gold SELECT can only be described once the tables it
/// reads stand, so gold targets are planned last, each after those of the jobs it depends on.
pub async fn apply(
    clickhouse: &ClickHouse,
    config: &Config,
    jobs: &Jobs,
    told: impl Fn(&Change),
) -> Result<Vec<Change>> {
    let mut made = Vec::new();
    for change in plan(clickhouse, config, jobs).await? {
        clickhouse.execute(&change.sql).await?;
        told(&change);
        made.push(change);
    }
    for job in in_dependency_order(&jobs.gold) {
        for change in gold::plan(clickhouse, &config.clickhouse, job).await? {
            clickhouse.execute(&change.sql).await?;
            told(&change);
            made.push(change);
        }
    }
    Ok(made)
}

/// What people should write into job files, because ingest has done it to the tables already.
pub async fn notes(clickhouse: &ClickHouse, config: &Config, jobs: &Jobs) -> Result<Vec<String>> {
    let mut notes = Vec::new();
    for job in &jobs.silver {
        let decoded = evolved::job(clickhouse, &config.clickhouse.silver, job).await?;
        notes.extend(evolved::notes(job, &decoded));
    }
    Ok(notes)
}

async fn database_change(clickhouse: &ClickHouse, name: &str) -> Result<Option<Change>> {
    let sql = format!(
        "SELECT count() FROM system.databases WHERE name = {}",
        literal(name)
    );
    let found: u64 = clickhouse.one(&sql).await?;
    Ok((found == 0).then(|| Change {
        what: format!("create database {name}"),
        sql: format!(
            "CREATE DATABASE IF NOT EXISTS {}{}",
            quote(name),
            clickhouse.on_cluster()
        ),
    }))
}
