//! Audits of a gold job: what must hold of a window's new rows before readers see any of them.
//!
//! Declarations and their SQL only; `gold` asks them of the staging table, `migrate` whether they can be asked at all.

mod question;
mod read;
mod row_count;

use std::fmt;

use crate::document::Scalar;
use crate::window::Window;

pub use question::STAGING;
pub(crate) use read::read;
pub use row_count::{Before, Ratio, RowCount};

/// A question to the staging table whose answer must be no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// one of its kind in the job: what is found is kept under it
    pub name: String,
    pub severity: Severity,
    pub check: Check,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// readers keep the old rows
    Block,
    /// the new rows are swapped in, and it is told
    Warn,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Check {
    NotNull(Vec<String>),
    /// no two rows of the window are equal in all of these
    Unique(Vec<String>),
    /// NULL is no finding
    Accepted {
        column: String,
        values: Vec<Scalar>,
    },
    /// both ends belong to it; NULL is no finding
    Range {
        column: String,
        min: Option<Scalar>,
        max: Option<Scalar>,
    },
    RowCount(RowCount),
    /// any row of this SELECT over `{staging}` is a finding
    Sql(String),
}

impl Severity {
    const WORDS: [(&'static str, Severity); 2] =
        [("block", Severity::Block), ("warn", Severity::Warn)];

    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Block => "block",
            Severity::Warn => "warn",
        }
    }
}

impl Check {
    /// The field of the job file that asks it.
    pub fn kind(&self) -> &'static str {
        match self {
            Check::NotNull(_) => "not_null",
            Check::Unique(_) => "unique",
            Check::Accepted { .. } => "accepted_values",
            Check::Range { .. } => "range",
            Check::RowCount(_) => "row_count",
            Check::Sql(_) => "sql",
        }
    }

    /// The columns of the target that it names.
    pub fn columns(&self) -> &[String] {
        match self {
            Check::NotNull(columns) | Check::Unique(columns) => columns,
            Check::Accepted { column, .. } | Check::Range { column, .. } => {
                std::slice::from_ref(column)
            }
            Check::RowCount(_) | Check::Sql(_) => &[],
        }
    }
}

/// What an audit found in the new rows of a window: figures, never values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub window: Window,
    pub audit: String,
    pub severity: Severity,
    pub found: u64,
    /// such as `3 rows`
    pub what: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "audit `{}` found {}", self.audit, self.what)
    }
}

#[cfg(test)]
mod tests;
