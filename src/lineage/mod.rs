//! Lineage: which tables a gold job reads, and from which of their columns each of its own comes.
//!
//! ```text
//! the names in the SELECT ──▶ job::Reads ──────────────▶ jobs, by files only
//! EXPLAIN QUERY TREE ──▶ tree ──▶ tables and columns ──▶ jobs and columns, by ClickHouse
//! ```

pub mod draw;
mod tree;

use std::collections::BTreeSet;

pub use tree::{Given, Origin};

use crate::config;
use crate::error::Result;
use crate::job::{Dependency, GoldJob, Jobs, Reads};
use crate::sink::clickhouse::ClickHouse;
use tree::Tree;

/// What one gold job comes from.
#[derive(Clone, Debug)]
pub struct Lineage {
    pub reads: Reads,
    /// tables that are no job's, as ClickHouse names them
    pub others: BTreeSet<String>,
    /// where ClickHouse was asked
    pub columns: Option<Vec<Given>>,
}

/// By the names in the SELECT.
pub fn declared(job: &GoldJob, jobs: &Jobs, names: &config::ClickHouse) -> Lineage {
    Lineage {
        reads: Reads::by_names(job, jobs, names),
        others: BTreeSet::new(),
        columns: None,
    }
}

/// By ClickHouse's own reading of the SELECT.
pub async fn resolved(
    clickhouse: &ClickHouse,
    job: &GoldJob,
    jobs: &Jobs,
    names: &config::ClickHouse,
) -> Result<Lineage> {
    // ClickHouse evaluates some subqueries to read a query: over the first window of all there is nothing to evaluate
    let window = job.calendar.window_at(chrono::DateTime::UNIX_EPOCH);
    // after one pass every name is resolved and nothing is optimised away yet
    let sql = format!("EXPLAIN QUERY TREE passes = 1 {}", job.filled(window));
    let lines: Vec<String> = clickhouse.all(&sql).await?;
    let text = lines.join("\n");
    let tree = Tree::parse(&text);
    let mut read = BTreeSet::new();
    let mut others = BTreeSet::new();
    for table in tree.tables().into_keys() {
        match job_of(jobs, names, &table) {
            Some(dependency) => {
                read.insert(dependency);
            }
            None => {
                others.insert(table);
            }
        }
    }
    Ok(Lineage {
        reads: Reads::new(job, read),
        others,
        columns: Some(tree.columns()),
    })
}

/// The job whose table ClickHouse names so.
pub fn job_of(jobs: &Jobs, names: &config::ClickHouse, table: &str) -> Option<Dependency> {
    let (database, table) = table.split_once('.')?;
    jobs.job_of(names, database, table)
}
