//! A gold job: one SELECT per window, the table it fills, and what must hold before readers see it.

mod order;
mod partition;
mod read;
mod sql;

use std::time::Duration;

use crate::cron::Schedule;
use crate::window::Calendar;

pub(super) use order::check_dependencies;
pub use order::in_dependency_order;
pub use partition::{partition_expression, partition_id};
pub(super) use read::{Declaration, read};

/// One validated pair `jobs/gold/<name>.toml` + `<name>.sql`. The target is `gold.<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoldJob {
    pub name: String,
    /// grain and zone: one window is one partition of the target
    pub calendar: Calendar,
    /// the column of the target that places a row in its window
    pub time_column: String,
    pub order_by: Vec<String>,
    pub schedule: Option<Schedule>,
    /// how long a fire waits for its window to be complete
    pub grace: Duration,
    pub depends_on: Vec<Dependency>,
    pub audits: Vec<Audit>,
    /// the SELECT as it stands in the file, without a closing `;`
    pub sql: String,
    /// what the ledger knows a build by: changes when the SELECT or the shape of the table changes
    pub sql_hash: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Dependency {
    Silver(String),
    Gold(String),
}

impl std::fmt::Display for Dependency {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Dependency::Silver(name) => write!(f, "silver.{name}"),
            Dependency::Gold(name) => write!(f, "gold.{name}"),
        }
    }
}

/// A question to the staging table whose answer must be no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    pub name: String,
    pub severity: Severity,
    pub check: Check,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    /// any row of this SELECT over `{staging}` is a finding
    Sql(String),
    NotNull(Vec<String>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// readers keep the old data
    Block,
    Warn,
}

/// Where an audit's SELECT names the staging table.
pub const STAGING: &str = "{staging}";
/// Stands between a target's name and a token in the name of a staging table.
pub const STAGING_INFIX: &str = "__staging_";

#[cfg(test)]
mod tests;
