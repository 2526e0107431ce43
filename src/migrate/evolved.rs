//! Columns that ingest itself has added or widened: the table's own comments say which, so that every process and every
//! restart decodes in the same way. The job file is never rewritten.
//!
//! ```text
//! job file + comments of silver.<name>_versions ─▶ the job as it is decoded     a pure function
//! ```

use std::future::Future;
use std::time::{Duration, Instant};

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::silver::{self, qualified, table_name};
use crate::column::Type;
use crate::config;
use crate::error::{Kind, Result};
use crate::job::{Added, Column, Encoding, NullPolicy, SilverJob};
use crate::lease::Lease;
use crate::sink::clickhouse::{ClickHouse, literal, quote};

/// Begins the comment of a column that ingest has made or changed.
const MARK: &str = "bullion evolved ";

/// What the comment of such a column says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// the source field
    pub field: String,
    /// how its values are written, as in a job file's `from`
    pub from: String,
    /// made by ingest; otherwise declared, and only widened
    pub added: bool,
    /// the source's time of the message that brought the field, milliseconds since 1970
    pub since: Option<i64>,
}

/// A column of the table as ClickHouse describes it.
#[derive(Clone, Debug, Row, Deserialize)]
pub struct TableColumn {
    pub name: String,
    pub r#type: String,
    pub comment: String,
}

impl Mark {
    fn parse(comment: &str) -> Option<Mark> {
        serde_json::from_str(comment.strip_prefix(MARK)?).ok()
    }

    fn comment(&self) -> String {
        // strings, a number and a boolean: always JSON
        format!("{MARK}{}", serde_json::to_string(self).unwrap_or_default())
    }
}

/// Another process has the table for the time of an ALTER …
const LEASE_AGAIN: Duration = Duration::from_millis(100);
/// … or of the copies after a swap, which is worth a word once in a while.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Waits until nobody else changes the columns of the job's table, and keeps others from it.
pub async fn columns_lease(
    config: &config::Lease,
    database: &str,
    job: &SilverJob,
) -> Result<Lease> {
    let target = format!("{database}.{}.columns", job.name);
    let mut said = Instant::now();
    loop {
        match Lease::acquire(config, &target, 0).await {
            Err(error) if error.kind() == Kind::LeaseHeld => {
                if said.elapsed() >= SAY_EVERY {
                    said = Instant::now();
                    tracing::warn!(job = job.name, %error, "its columns wait for another process");
                }
                tokio::time::sleep(LEASE_AGAIN).await;
            }
            acquired => return acquired,
        }
    }
}

/// Columns of the job's table in their order; none where there is no table yet.
pub async fn columns(
    clickhouse: &ClickHouse,
    database: &str,
    job: &SilverJob,
) -> Result<Vec<TableColumn>> {
    let sql = format!(
        "SELECT name, type, comment FROM system.columns WHERE database = {} AND table = {} ORDER BY position",
        literal(database),
        literal(&table_name(job))
    );
    clickhouse.all(&sql).await
}

/// The job as it is decoded: what its file declares, and what its table has beyond that.
pub async fn job(clickhouse: &ClickHouse, database: &str, job: &SilverJob) -> Result<SilverJob> {
    Ok(effective(job, &columns(clickhouse, database, job).await?))
}

/// The job as it is decoded, and its table is known to hold it.
pub async fn verified(
    clickhouse: &ClickHouse,
    (database, ops): (&str, &str),
    declared: &SilverJob,
) -> Result<SilverJob> {
    let verify =
        |job: SilverJob| async move { silver::verify(clickhouse, (database, ops), &job).await };
    let (decoded, ()) = agreed(clickhouse, database, declared, verify).await?;
    Ok(decoded)
}

/// The job as it is decoded, and what a look at its table by it says. Another process may ALTER the table between the two:
/// then both are taken again.
pub async fn agreed<T, F: Future<Output = Result<T>>>(
    clickhouse: &ClickHouse,
    database: &str,
    declared: &SilverJob,
    look: impl Fn(SilverJob) -> F,
) -> Result<(SilverJob, T)> {
    let mut decoded = job(clickhouse, database, declared).await?;
    loop {
        match look(decoded.clone()).await {
            Ok(seen) => return Ok((decoded, seen)),
            Err(error) if error.kind() == Kind::Mismatch => {
                let again = job(clickhouse, database, declared).await?;
                if again == decoded {
                    return Err(error);
                }
                decoded = again;
            }
            Err(error) => return Err(error),
        }
    }
}

/// A declared field keeps its declaration, except that its column may have been widened since. What the file excludes
/// stays out. Comments that nobody of ours wrote mean nothing.
pub fn effective(job: &SilverJob, table: &[TableColumn]) -> SilverJob {
    let mut job = job.clone();
    for found in table {
        let (Some(mark), Ok(kind)) = (Mark::parse(&found.comment), Type::parse(&found.r#type))
        else {
            continue;
        };
        let added = mark.added.then_some(Added { since: mark.since });
        let declared = job.columns.iter_mut().find(|c| c.source == mark.field);
        match declared {
            Some(column) if column.name == found.name => {
                column.added = column.added.or(added);
                if kind.holds(&column.kind) {
                    column.kind = kind;
                }
            }
            Some(_) => {}
            None if !mark.added || job.exclude.contains(&mark.field) => {}
            None => job.columns.push(Column {
                source: mark.field,
                name: found.name.clone(),
                kind,
                encoding: Encoding::parse(&mark.from).unwrap_or(Encoding::Plain),
                null: NullPolicy::default(),
                toast: job.policies.toast,
                cast: false,
                mask: None,
                added,
            }),
        }
    }
    job
}

/// Columns of the decoded job that its file lacks, or declares narrower.
pub fn undeclared<'a>(declared: &SilverJob, effective: &'a SilverJob) -> Vec<&'a Column> {
    let same = |column: &&Column| {
        let found = declared.columns.iter().find(|c| c.source == column.source);
        found.is_none_or(|found| found.kind != column.kind)
    };
    effective.columns.iter().filter(same).collect()
}

/// What tells people to write into the job file what ingest has done, one sentence for each column.
pub fn notes(declared: &SilverJob, effective: &SilverJob) -> Vec<String> {
    let told = |column: &Column| {
        let known = declared.columns.iter().any(|c| c.source == column.source);
        let (done, into) = match known {
            true => ("widened", "correct"),
            false => ("added", "put it into"),
        };
        format!(
            "job {}: column {} was {done} by ingest; {into} jobs/silver/{}.toml: {}",
            declared.name,
            column.name,
            declared.name,
            column.line()
        )
    };
    undeclared(declared, effective)
        .into_iter()
        .map(told)
        .collect()
}

/// Adds the column where it is not there: of two processes at once, one makes it and the other finds it.
pub fn add_column(
    clickhouse: &ClickHouse,
    database: &str,
    job: &SilverJob,
    column: &Column,
) -> String {
    alter(
        clickhouse,
        database,
        job,
        "ADD COLUMN IF NOT EXISTS",
        column,
    )
}

/// Gives the column its wider type.
pub fn widen_column(
    clickhouse: &ClickHouse,
    database: &str,
    job: &SilverJob,
    column: &Column,
) -> String {
    alter(clickhouse, database, job, "MODIFY COLUMN", column)
}

fn alter(
    clickhouse: &ClickHouse,
    database: &str,
    job: &SilverJob,
    how: &str,
    column: &Column,
) -> String {
    let mark = Mark {
        field: column.source.clone(),
        from: column.encoding.as_str().to_owned(),
        added: column.added.is_some(),
        since: column.added.and_then(|added| added.since),
    };
    format!(
        "ALTER TABLE {}{} {how} {} {} COMMENT {}",
        qualified(database, &table_name(job)),
        clickhouse.on_cluster(),
        quote(&column.name),
        column.kind,
        literal(&mark.comment())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::Policies;

    fn job() -> SilverJob {
        crate::envelope::tests::job(&[("n", "Int32", Encoding::Plain)])
    }

    fn table(columns: &[(&str, &str, &str)]) -> Vec<TableColumn> {
        let column = |(name, kind, comment): &(&str, &str, &str)| TableColumn {
            name: (*name).to_owned(),
            r#type: (*kind).to_owned(),
            comment: (*comment).to_owned(),
        };
        columns.iter().map(column).collect()
    }

    fn mark(field: &str, added: bool) -> String {
        let mark = Mark {
            field: field.to_owned(),
            from: "micros".to_owned(),
            added,
            since: Some(5),
        };
        mark.comment()
    }

    #[test]
    fn the_decoded_job_is_its_file_and_what_the_table_says_of_itself() {
        let found = table(&[
            ("id", "Int64", ""),
            ("n", "Nullable(Int64)", &mark("n", false)),
            ("at", "Nullable(DateTime64(6, 'UTC'))", &mark("at", true)),
            ("by_hand", "Nullable(String)", "a note of somebody"),
        ]);
        let decoded = effective(&job(), &found);
        let told: Vec<String> = decoded
            .columns
            .iter()
            .map(|c| format!("{} {} {}", c.name, c.kind, c.encoding.as_str()))
            .collect();
        assert_eq!(
            told,
            [
                "id Int64 plain",
                "n Nullable(Int64) plain",
                "at Nullable(DateTime64(6, 'UTC')) micros"
            ]
        );
        assert_eq!(decoded.columns[2].added, Some(Added { since: Some(5) }));
        assert_eq!(effective(&decoded, &found), decoded, "again is the same");
        assert_eq!(
            notes(&job(), &decoded),
            [
                "job orders: column n was widened by ingest; correct jobs/silver/orders.toml: n = \"Nullable(Int64)\"",
                "job orders: column at was added by ingest; put it into jobs/silver/orders.toml: at = { type = \"Nullable(DateTime64(6, 'UTC'))\", from = \"micros\" }",
            ]
        );
    }

    #[test]
    fn what_the_file_excludes_or_declares_otherwise_stays_as_it_says() {
        let mut declared = job();
        declared.exclude.push("at".to_owned());
        let found = table(&[
            ("n", "Int16", &mark("n", false)),
            ("at", "Nullable(String)", &mark("at", true)),
        ]);
        assert_eq!(effective(&declared, &found), declared);
        assert_eq!(declared.policies, Policies::default());
    }
}
