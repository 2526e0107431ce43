//! A gold job: one SELECT per window, the table it fills, and what must hold before readers see it.

mod filled;
mod order;
mod partition;
mod read;
mod reads;
pub(crate) mod sql;

use std::time::Duration;

use crate::audit::Audit;
use crate::cron::Schedule;
use crate::window::{Calendar, Grain, Span, Window};

pub use order::in_dependency_order;
pub(super) use order::{check_dependencies, check_followed};
pub use partition::{WHOLE_TABLE, partition_expression, partition_id};
pub(super) use read::{Declaration, read};
pub use reads::Reads;

/// One validated pair `jobs/gold/<name>.toml` + `<name>.sql`. The target is `gold.<name>`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoldJob {
    pub name: String,
    /// grain and zone: one window is one partition of the target
    pub calendar: Calendar,
    /// the column of the target that places a row in its window; none where the whole table is the window
    pub time_column: Option<String>,
    pub order_by: Vec<String>,
    pub schedule: Option<When>,
    /// how long a fire waits for its window to be complete
    pub grace: Duration,
    /// a scheduled build and one of the last windows take in those that begin within this span before them
    pub lookback: Option<Span>,
    pub depends_on: Vec<Dependency>,
    /// words of the user's own to select the job by
    pub tags: Vec<String>,
    pub audits: Vec<Audit>,
    /// the SELECT as it stands in the file, without a closing `;`
    pub sql: String,
    /// what the ledger knows a build by: changes when the SELECT or the shape of the table changes
    pub sql_hash: String,
}

impl GoldJob {
    /// The windows that this one stands for where a clock chose it: with those that the job looks back on.
    pub fn looking_back(&self, window: Window) -> Vec<Window> {
        match self.lookback {
            Some(span) => self.calendar.looking_back(window, span),
            None => vec![window],
        }
    }

    pub fn follows_changes(&self) -> bool {
        self.schedule == Some(When::OnChange)
    }

    pub fn is_whole_table(&self) -> bool {
        self.calendar.grain == Grain::Table
    }
}

/// What makes `bullion schedule` build a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum When {
    Cron(Schedule),
    /// what it depends on has changed
    OnChange,
}

impl When {
    pub const ON_CHANGE: &str = "on-change";

    pub fn as_str(&self) -> &str {
        match self {
            When::Cron(line) => line.as_str(),
            When::OnChange => When::ON_CHANGE,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// Stands between a target's name and a token in the name of a staging table.
pub const STAGING_INFIX: &str = "__staging_";

#[cfg(test)]
mod tests;
