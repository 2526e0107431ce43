//! What stands in ClickHouse against what is declared: the statements that close the gap, and nothing else.

mod ops;
pub mod silver;

use crate::config::Config;
use crate::error::Result;
use crate::job::Jobs;
use crate::sink::clickhouse::{ClickHouse, literal, quote};

/// One statement that is still missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// for people: `create table silver.orders_versions`
    pub what: String,
    pub sql: String,
}

/// Databases first, then ops, then every silver job. A real thing that contradicts its job is an error, never altered.
pub async fn plan(clickhouse: &ClickHouse, config: &Config, jobs: &Jobs) -> Result<Vec<Change>> {
    let names = &config.clickhouse;
    let mut changes = Vec::new();
    for database in [&names.ops, &names.silver, &names.gold] {
        changes.extend(database_change(clickhouse, database).await?);
    }
    changes.extend(ops::plan(clickhouse, &names.ops).await?);
    for job in &jobs.silver {
        changes.extend(silver::plan(clickhouse, &names.silver, job).await?);
    }
    Ok(changes)
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
