//! What a silver backfill is asked to do, and the chunks that it is cut into.

use std::fmt;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::csv::Csv;
use crate::catalog::TableName;
use crate::job::SilverJob;
use crate::snapshot::Bound;

/// Where the rows come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    Postgres(TableName),
    Kafka,
    /// what ingest kept of the topic
    Archive,
    Csv(Csv),
}

/// Which chunks come first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Order {
    #[default]
    Oldest,
    Newest,
}

pub struct Request {
    pub job: SilverJob,
    pub source: From,
    /// `[from, to)` of the time column, or of the messages' time
    pub from: Option<DateTime<Utc>>,
    pub to: Option<DateTime<Utc>>,
    pub parallel: usize,
    pub order: Order,
    /// rows of a chunk, where not the source's own
    pub chunk: Option<u64>,
    /// how long a running ingest may take to read what the topic holds
    pub patience: Duration,
    /// the gold that lacks the rows is built next, and the backfill ends with it
    pub then_gold: bool,
    /// cut anew, and forget the chunks that an unfinished one has done
    pub restart: bool,
    /// nothing is written, the ledger included
    pub dry_run: bool,
}

/// A part of a source, read as a whole or read again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// of a table: `[from, to)` of its key or of its time column
    Rows {
        from: Option<Bound>,
        to: Option<Bound>,
    },
    /// of a topic
    Offsets { partition: i32, from: i64, to: i64 },
    /// of a topic whose rows lean on rows of other partitions: all of them together
    Ranges(Vec<Range>),
    /// of a file: the bytes `[at, to)`, and the number of their first line
    Lines { at: u64, to: u64, line: u64 },
}

/// Offsets `[from, to)` of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Range {
    pub partition: i32,
    pub from: i64,
    pub to: i64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    pub number: u32,
    pub part: Part,
    /// rows or messages when it was cut
    pub size: u64,
}

impl From {
    pub fn word(&self) -> &'static str {
        match self {
            From::Postgres(_) => "postgres",
            From::Kafka => "kafka",
            From::Archive => "archive",
            From::Csv(_) => "csv",
        }
    }

    /// What chunks are counted in.
    pub fn unit(&self) -> &'static str {
        match self {
            From::Postgres(_) => "rows",
            From::Kafka | From::Archive => "messages",
            From::Csv(_) => "lines",
        }
    }
}

impl Request {
    /// What has to be the same for chunks of an earlier run to count: what was asked `of` what, and of which declaration. `job`
    /// is the one with what its table has beyond its file.
    pub(super) fn spec(&self, job: &SilverJob, chunk: u64, of: &str) -> String {
        let millis = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_millis());
        json!({
            "source": self.source.word(),
            "of": of,
            "from": millis(self.from),
            "to": millis(self.to),
            "chunk": chunk,
            "job": digest(format!("{job:?}").as_bytes()),
        })
        .to_string()
    }

    /// `, [2024-03-01T00:00:00Z, 2024-04-01T00:00:00Z) of ordered_at`, or nothing.
    pub(super) fn show_range(&self, of: &str) -> String {
        let show = |at: Option<DateTime<Utc>>| {
            at.map_or_else(
                || "…".to_owned(),
                |at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true),
            )
        };
        match (self.from, self.to) {
            (None, None) => String::new(),
            (from, to) => format!(", [{}, {}) of {of}", show(from), show(to)),
        }
    }
}

/// Enough digits to tell declarations and files apart.
pub(super) fn digest(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn hex(hash: &[u8]) -> String {
    let digits = hash.iter().take(8).map(|byte| format!("{byte:02x}"));
    digits.collect()
}

impl fmt::Display for Part {
    /// For errors: never the bounds of keys, which are values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Part::Rows { .. } => f.write_str("rows between two cuts"),
            Part::Offsets {
                partition,
                from,
                to,
            } => write!(f, "partition {partition}, offsets {from} to {to}"),
            Part::Ranges(ranges) => write!(f, "a part of {} partitions", ranges.len()),
            Part::Lines { line, .. } => write!(f, "from line {line} on"),
        }
    }
}

/// Numbered in the order that they were cut in, which is from the oldest to the newest.
pub(super) fn numbered(parts: impl IntoIterator<Item = (Part, u64)>) -> Vec<Chunk> {
    let parts = parts.into_iter().zip(0..);
    parts
        .map(|((part, size), number)| Chunk { number, part, size })
        .collect()
}
