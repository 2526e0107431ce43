//! `ops.dead_letters`: messages that could not become rows, written before the commit that passes them, read back by
//! `bullion dlq`. What became of a letter stands beside it in `ops.dead_letter_marks`.

mod filter;
mod mark;
mod read;

pub use filter::{Filter, Offsets, State};
pub use mark::{Mark, delete, mark};
pub use read::{Group, Letter, Place, groups, letters, places, with_letters};

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use serde_bytes::{ByteBuf, Bytes};

use super::clickhouse::{ClickHouse, quote};
use crate::batch::DeadLetter;
use crate::error::Result;
use crate::job::SilverJob;

/// Begins the topic of a letter that is a line of a file: `csv:orders.csv`.
pub const FILE: &str = "csv:";

/// A letter as it is read.
#[derive(Row, Deserialize)]
struct Stored {
    job: String,
    topic: String,
    partition: i32,
    offset: i64,
    version: u64,
    reason: String,
    column: String,
    key: Option<ByteBuf>,
    value: Option<ByteBuf>,
    headers: Vec<(String, Option<ByteBuf>)>,
    message_time: Option<i64>,
}

/// The same as it is written: borrowed, since a letter may be as large as Kafka lets a message be.
#[derive(Row, Serialize)]
struct Lent<'a> {
    job: &'a str,
    topic: &'a str,
    partition: i32,
    offset: i64,
    version: u64,
    reason: &'a str,
    column: &'a str,
    key: Option<&'a Bytes>,
    value: Option<&'a Bytes>,
    headers: Vec<(&'a str, Option<&'a Bytes>)>,
    message_time: Option<i64>,
}

/// The same letter written twice is one row: its key is its coordinates.
pub async fn write(
    clickhouse: &ClickHouse,
    ops: &str,
    job: &SilverJob,
    letters: &[DeadLetter],
) -> Result<()> {
    if letters.is_empty() {
        return Ok(());
    }
    let rows: Vec<Lent<'_>> = letters.iter().map(|letter| lent(job, letter)).collect();
    clickhouse.insert_lent::<Lent<'_>>(&table(ops), &rows).await
}

fn lent<'a>(job: &'a SilverJob, letter: &'a DeadLetter) -> Lent<'a> {
    let bytes = |bytes: &'a Option<Vec<u8>>| bytes.as_deref().map(Bytes::new);
    Lent {
        job: &job.name,
        topic: &job.topic,
        partition: letter.partition,
        offset: letter.offset,
        version: letter.version,
        reason: letter.reason,
        column: &letter.column,
        key: bytes(&letter.key),
        value: bytes(&letter.value),
        headers: letter
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), bytes(value)))
            .collect(),
        message_time: letter.message_time,
    }
}

fn table(ops: &str) -> String {
    format!("{}.dead_letters", quote(ops))
}

fn marks(ops: &str) -> String {
    format!("{}.dead_letter_marks", quote(ops))
}
