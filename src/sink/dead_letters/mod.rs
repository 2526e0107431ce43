//! `ops.dead_letters`: messages that could not become rows, written before the commit that passes them, read back by
//! `bullion dlq`. What became of a letter stands beside it in `ops.dead_letter_marks`.

mod filter;
mod mark;
mod read;

pub use filter::{Filter, Offsets, State};
pub use mark::{Mark, delete, mark};
pub use read::{Group, Letter, Place, groups, letters, places};

use clickhouse::Row;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::clickhouse::{ClickHouse, quote};
use crate::batch::DeadLetter;
use crate::error::Result;
use crate::job::SilverJob;

#[derive(Row, Serialize, Deserialize)]
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
    let bytes = |bytes: &Option<Vec<u8>>| bytes.clone().map(ByteBuf::from);
    // one at a time: a letter may be as large as Kafka lets a message be
    let stored = |letter: &DeadLetter| Stored {
        job: job.name.clone(),
        topic: job.topic.clone(),
        partition: letter.partition,
        offset: letter.offset,
        version: letter.version,
        reason: letter.reason.to_owned(),
        column: letter.column.clone(),
        key: bytes(&letter.key),
        value: bytes(&letter.value),
        headers: letter
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), bytes(value)))
            .collect(),
        message_time: letter.message_time,
    };
    let rows = (0..letters.len()).filter_map(|at| letters.get(at).map(stored));
    clickhouse
        .insert_each::<Stored, Stored>(&table(ops), rows)
        .await
}

fn table(ops: &str) -> String {
    format!("{}.dead_letters", quote(ops))
}

fn marks(ops: &str) -> String {
    format!("{}.dead_letter_marks", quote(ops))
}
