//! What became of letters: marked beside them, or deleted for good.

use clickhouse::Row;
use serde::Serialize;

use super::read::at;
use super::{Place, marks, table};
use crate::error::Result;
use crate::sink::clickhouse::ClickHouse;

/// Letters of one DELETE: with the longest topic names its text stays below ClickHouse's 256 KiB for a query.
const DELETED_AT_ONCE: usize = 500;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    Resolved,
    Discarded,
}

#[derive(Row, Serialize)]
struct Marked {
    topic: String,
    partition: i32,
    version: u64,
    state: String,
}

/// Marking twice is marking once; the later mark has the last word.
pub async fn mark(clickhouse: &ClickHouse, ops: &str, places: &[Place], mark: Mark) -> Result<()> {
    if places.is_empty() {
        return Ok(());
    }
    let state = match mark {
        Mark::Resolved => "resolved",
        Mark::Discarded => "discarded",
    };
    let marked: Vec<Marked> = places
        .iter()
        .map(|place| Marked {
            topic: place.topic.clone(),
            partition: place.partition,
            version: place.version,
            state: state.to_owned(),
        })
        .collect();
    clickhouse.insert_rows(&marks(ops), &marked).await
}

/// The bytes are gone after this.
pub async fn delete(clickhouse: &ClickHouse, ops: &str, places: &[Place]) -> Result<()> {
    for some in places.chunks(DELETED_AT_ONCE) {
        let on_cluster = clickhouse.on_cluster();
        let sql = format!("DELETE FROM {}{on_cluster} WHERE {}", table(ops), at(some));
        clickhouse.execute(&sql).await?;
    }
    Ok(())
}
