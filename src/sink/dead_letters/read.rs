//! Dead letters read back: counted by reason, listed by place, and whole with their bytes.

use std::collections::HashSet;

use clickhouse::Row;
use serde::Deserialize;

use super::{Filter, Stored, table};
use crate::error::{Error, Kind, Result};
use crate::sink::clickhouse::{ClickHouse, literal};

/// Letters of one job, topic, reason and column.
#[derive(Clone, Debug, Row, Deserialize)]
pub struct Group {
    pub job: String,
    pub topic: String,
    pub reason: String,
    pub column: String,
    pub letters: u64,
    /// milliseconds since 1970, of the messages
    pub oldest: Option<i64>,
    pub newest: Option<i64>,
}

/// Where a letter lies and why, without its bytes.
#[derive(Clone, Debug, Row, Deserialize)]
pub struct Place {
    pub job: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub version: u64,
    pub reason: String,
    pub column: String,
    /// milliseconds since 1970
    pub message_time: Option<i64>,
    /// of key and value together
    pub bytes: u64,
}

#[derive(Row, Deserialize)]
struct At {
    partition: i32,
    version: u64,
}

/// Places that one question names.
const PLACES_AT_ONCE: usize = 1_000;

/// A whole letter.
#[derive(Clone, Debug)]
pub struct Letter {
    pub job: String,
    pub topic: String,
    pub partition: i32,
    pub offset: i64,
    pub version: u64,
    pub reason: String,
    pub column: String,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    pub message_time: Option<i64>,
}

impl Letter {
    /// The epoch of the job that wrote it.
    pub fn epoch(&self) -> u8 {
        epoch(self.version)
    }
}

impl Place {
    pub fn epoch(&self) -> u8 {
        epoch(self.version)
    }
}

fn epoch(version: u64) -> u8 {
    (version >> 56) as u8
}

/// The largest groups first.
pub async fn groups(clickhouse: &ClickHouse, ops: &str, filter: &Filter) -> Result<Vec<Group>> {
    let sql = format!(
        "SELECT toString(job) AS job, toString(topic) AS topic, toString(reason) AS reason, column, count() AS letters, \
         min(message_time) AS oldest, max(message_time) AS newest FROM (SELECT * {}) \
         GROUP BY job, topic, reason, column ORDER BY letters DESC, job, topic, reason, column",
        filter.source(ops)
    );
    clickhouse.all(&sql).await.map_err(unmigrated)
}

/// In the order of topic, partition and version; at most `limit`, where there is one.
pub async fn places(
    clickhouse: &ClickHouse,
    ops: &str,
    filter: &Filter,
    limit: Option<u64>,
) -> Result<Vec<Place>> {
    let limit = limit.map_or_else(String::new, |limit| format!(" LIMIT {limit}"));
    let sql = format!(
        "SELECT toString(job) AS job, toString(topic) AS topic, partition, offset, version, toString(reason) AS reason, \
         column, message_time, ifNull(length(key), 0) + ifNull(length(value), 0) AS bytes FROM (SELECT * {}) \
         ORDER BY topic, partition, version{limit}",
        filter.source(ops)
    );
    clickhouse.all(&sql).await.map_err(unmigrated)
}

/// Which of these partitions and versions of a topic have a letter.
pub async fn with_letters(
    clickhouse: &ClickHouse,
    ops: &str,
    topic: &str,
    versions: &[(i32, u64)],
) -> Result<HashSet<(i32, u64)>> {
    let mut found = HashSet::new();
    for some in versions.chunks(PLACES_AT_ONCE) {
        let places: Vec<String> = some
            .iter()
            .map(|(partition, version)| format!("({partition}, {version})"))
            .collect();
        let sql = format!(
            "SELECT partition, version FROM {} WHERE topic = {} AND (partition, version) IN ({})",
            table(ops),
            literal(topic),
            places.join(", ")
        );
        let rows = clickhouse.all::<At>(&sql).await.map_err(unmigrated)?;
        found.extend(rows.into_iter().map(|at| (at.partition, at.version)));
    }
    Ok(found)
}

/// The letters at these places, in the same order, with their bytes.
pub async fn letters(clickhouse: &ClickHouse, ops: &str, places: &[Place]) -> Result<Vec<Letter>> {
    if places.is_empty() {
        return Ok(Vec::new());
    }
    let sql = format!(
        "SELECT toString(job) AS job, toString(topic) AS topic, partition, offset, version, toString(reason) AS reason, \
         column, key, value, CAST(headers, 'Array(Tuple(String, Nullable(String)))') AS headers, message_time \
         FROM (SELECT * FROM {} FINAL WHERE {}) ORDER BY topic, partition, version",
        table(ops),
        at(places)
    );
    let stored = clickhouse.all::<Stored>(&sql).await.map_err(unmigrated)?;
    let bytes = |bytes: Option<serde_bytes::ByteBuf>| bytes.map(serde_bytes::ByteBuf::into_vec);
    let letter = |stored: Stored| Letter {
        job: stored.job,
        topic: stored.topic,
        partition: stored.partition,
        offset: stored.offset,
        version: stored.version,
        reason: stored.reason,
        column: stored.column,
        key: bytes(stored.key),
        value: bytes(stored.value),
        headers: stored
            .headers
            .into_iter()
            .map(|(name, value)| (name, bytes(value)))
            .collect(),
        message_time: stored.message_time,
    };
    Ok(stored.into_iter().map(letter).collect())
}

/// `(topic, partition, version) IN (…)`.
pub(super) fn at(places: &[Place]) -> String {
    let tuple = |place: &Place| {
        format!(
            "({}, {}, {})",
            literal(&place.topic),
            place.partition,
            place.version
        )
    };
    let tuples: Vec<String> = places.iter().map(tuple).collect();
    format!("(topic, partition, version) IN ({})", tuples.join(", "))
}

/// A ClickHouse that was migrated by an older bullion.
fn unmigrated(error: Error) -> Error {
    match error.kind() {
        Kind::NotFound => error.advise("run `bullion migrate` first"),
        _ => error,
    }
}
