//! The staging tables of a job: named by fencing token, so that a stale owner's can be told and dropped.

use std::time::Duration;

use clickhouse::{QuerySummary, Row};
use serde::Deserialize;

use super::Session;
use crate::error::{Error, Kind, Result};
use crate::job::{GoldJob, STAGING_INFIX, partition_id};
use crate::ledger::{Contents, Cost};
use crate::migrate::gold::TargetColumn;
use crate::migrate::silver::qualified;
use crate::sink::clickhouse::{ClickHouse, literal, quote};
use crate::window::Window;

/// The setting without which newer servers refuse REPLACE from a table that lacks the partition. Older ones, which do not know
/// it, empty the partition.
pub const EMPTY_SOURCE: &str = "allow_replace_partition_from_empty_source";

pub async fn knows_empty_source(clickhouse: &ClickHouse) -> Result<bool> {
    let sql = format!(
        "SELECT count() FROM system.settings WHERE name = {}",
        literal(EMPTY_SOURCE)
    );
    let found: u64 = clickhouse.one(&sql).await?;
    Ok(found > 0)
}

/// `daily__staging_7_20240331`
fn staging_name(job: &str, token: u64, partition: &str) -> String {
    format!("{job}{STAGING_INFIX}{token}_{partition}")
}

/// Names are quoted and with their databases.
fn create(staging: &str, cluster_wide: &str, target: &str) -> String {
    format!("CREATE TABLE {staging}{cluster_wide} AS {target}")
}

/// By name on both sides: a SELECT whose columns changed places fills the same table.
fn insert(staging: &str, columns: &[TargetColumn], select: &str) -> String {
    let columns: Vec<String> = columns.iter().map(|column| quote(&column.name)).collect();
    let columns = columns.join(", ");
    format!("INSERT INTO {staging} ({columns}) SELECT {columns} FROM (\n{select}\n)")
}

/// No holder of a lease has it: the next one drops what is named by it.
const NOBODYS_TOKEN: u64 = 0;

/// How a build fills its staging table for a window, as statements to run by hand.
pub fn statements(
    database: &str,
    cluster_wide: &str,
    job: &GoldJob,
    columns: &[TargetColumn],
    window: Window,
) -> [String; 2] {
    let partition = partition_id(job.calendar, window);
    let staging = qualified(
        database,
        &staging_name(&job.name, NOBODYS_TOKEN, &partition),
    );
    let target = qualified(database, &job.name);
    [
        create(&staging, cluster_wide, &target),
        insert(&staging, columns, &job.filled(window)),
    ]
}

impl Session<'_> {
    pub(super) fn staging_name(&self, partition: &str) -> String {
        staging_name(&self.job.name, self.lease.token(), partition)
    }

    pub(super) fn qualified(&self, table: &str) -> String {
        qualified(self.database, table)
    }

    /// The staging tables that owners with an older token left.
    pub(super) async fn older_staging(&self) -> Result<Vec<String>> {
        let prefix = format!("{}{STAGING_INFIX}", self.job.name);
        let sql = format!(
            "SELECT name FROM system.tables WHERE database = {} AND startsWith(name, {})",
            literal(self.database),
            literal(&prefix)
        );
        let mut names: Vec<String> = self.clickhouse.all(&sql).await?;
        names.retain(|name| {
            let token = name
                .strip_prefix(&prefix)
                .and_then(|rest| rest.split('_').next())
                .and_then(|token| token.parse::<u64>().ok());
            token.is_some_and(|token| token < self.lease.token())
        });
        Ok(names)
    }

    pub(super) async fn create_staging(&self, staging: &str) -> Result<()> {
        let target = self.qualified(&self.job.name);
        let sql = create(&self.qualified(staging), &self.cluster_wide, &target);
        self.clickhouse.execute(&sql).await
    }

    pub(super) async fn drop_table(&self, table: &str) -> Result<()> {
        let sql = format!(
            "DROP TABLE IF EXISTS {}{}",
            self.qualified(table),
            self.cluster_wide
        );
        self.clickhouse.execute(&sql).await
    }

    /// Runs the job's SELECT for one window into staging.
    pub(super) async fn fill(&self, staging: &str, window: Window, query_id: &str) -> Result<Cost> {
        let sql = insert(&self.qualified(staging), &self.columns, &self.job.sql);
        let query = self
            .clickhouse
            .client()
            .query_raw(&sql)
            .with_setting("param_from", seconds(window.from))
            .with_setting("param_to", seconds(window.to))
            .with_setting("query_id", query_id)
            .with_setting("async_insert", "0")
            // recomputed rows of equal bytes must never vanish
            .with_setting("insert_deduplicate", "0")
            // so that the summary header counts the whole query
            .with_setting("wait_end_of_query", "1");
        let explain = |error| self.clickhouse.explain(error);
        let mut answer = query.fetch_bytes("TabSeparated").map_err(explain)?;
        while answer.next().await.map_err(explain)?.is_some() {}
        Ok(answer.summary().map_or_else(Cost::default, cost))
    }

    /// A row outside of the window would be swapped into a partition that was never built whole.
    pub(super) async fn check_partitions(&self, staging: &str, partition: &str) -> Result<()> {
        #[derive(Row, Deserialize)]
        struct Found {
            partition: String,
            rows: u64,
        }
        let sql = format!(
            "SELECT _partition_id AS partition, count() AS rows FROM {} WHERE _partition_id != {} GROUP BY 1 ORDER BY 1",
            self.qualified(staging),
            literal(partition)
        );
        let outside: Vec<Found> = self.clickhouse.all(&sql).await?;
        let Some(first) = outside.first() else {
            return Ok(());
        };
        let rows: u64 = outside.iter().map(|found| found.rows).sum();
        let message = format!(
            "its SELECT gave {rows} rows of {} other windows (such as partition {}) for the window of partition {partition}",
            outside.len(),
            first.partition
        );
        Err(Error::new(Kind::Query, message).advise(format!(
            "`{}` must lie in [from, to) for every row: compare the SELECT's WHERE and the job's zone",
            self.job.time_column.as_deref().unwrap_or_default()
        )))
    }

    /// Count and checksum of one partition of a table; rows that occur twice count twice.
    pub(super) async fn contents(&self, table: &str, partition: &str) -> Result<Contents> {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| quote(&column.name))
            .collect();
        // the target may have columns of these names, and an alias would stand for them inside the checksum
        let sql = format!(
            "SELECT count() AS rows, sum(sipHash64(tuple({}))) AS checksum FROM {} WHERE _partition_id = {} \
SETTINGS prefer_column_name_to_alias = 1",
            columns.join(", "),
            self.qualified(table),
            literal(partition)
        );
        self.clickhouse.one(&sql).await
    }

    /// One part: fewer merges later, and the least that a crash inside REPLACE can leave.
    pub(super) async fn merge_staging(&self, staging: &str, partition: &str) -> Result<()> {
        let sql = format!(
            "SELECT count() FROM system.parts WHERE active AND database = {} AND table = {}",
            literal(self.database),
            literal(staging)
        );
        let parts: u64 = self.clickhouse.one(&sql).await?;
        if parts < 2 {
            return Ok(());
        }
        let sql = format!(
            "OPTIMIZE TABLE {} PARTITION ID {} FINAL",
            self.qualified(staging),
            literal(partition)
        );
        self.clickhouse.execute(&sql).await
    }

    /// How the statement begins that swaps a partition, or any of them.
    pub(super) fn replacing(&self, partition: Option<&str>) -> String {
        let id = partition.map_or_else(String::new, literal);
        format!(
            "ALTER TABLE {} REPLACE PARTITION ID {id}",
            self.qualified(&self.job.name)
        )
    }

    /// Readers see the old partition before this and the new one after it. An empty staging empties the partition, by REPLACE
    /// as well: a DROP PARTITION would pass where the staging of a stale owner is gone.
    pub(super) async fn replace(&self, staging: &str, partition: &str) -> Result<()> {
        let sql = format!(
            "{} FROM {}",
            self.replacing(Some(partition)),
            self.qualified(staging)
        );
        let mut query = self.clickhouse.client().query_raw(&sql);
        if self.empty_source_setting {
            query = query.with_setting(EMPTY_SOURCE, "1");
        }
        let done = query.execute().await;
        done.map_err(|error| self.clickhouse.explain(error))
    }
}

fn cost(summary: &QuerySummary) -> Cost {
    let nanoseconds = summary.elapsed_ns().unwrap_or_default();
    Cost {
        read_rows: summary.read_rows().unwrap_or_default(),
        read_bytes: summary.read_bytes().unwrap_or_default(),
        written_rows: summary.written_rows().unwrap_or_default(),
        written_bytes: summary.written_bytes().unwrap_or_default(),
        query_seconds: Duration::from_nanos(nanoseconds).as_secs_f64(),
        memory: summary.memory_usage(),
        seconds: 0.0,
    }
}

/// At least ten digits: ClickHouse reads fewer than five as a year.
pub(super) fn seconds(instant: chrono::DateTime<chrono::Utc>) -> String {
    format!("{:010}", instant.timestamp())
}
