//! A transaction with a consistent snapshot: all rows in one query, or the rows of some keys.

use std::collections::HashSet;

use futures_util::TryStreamExt;
use mysql_async::prelude::{Query, Queryable};
use mysql_async::{Conn, ResultSetStream, Row, TextProtocol, Value};
use tokio::sync::Mutex;

use super::position::{self, Position};
use crate::catalog::MysqlSource;
use crate::column::Key;
use crate::error::{Error, Kind, Result};
use crate::snapshot::Reading;
use crate::snapshot::making::{Chunk, Making};

/// Whatever the server's own settings are, these decide how it spells values. A reader that is slow is waited for.
const SETTINGS: [&str; 5] = [
    "SET NAMES utf8mb4",
    "SET SESSION time_zone = '+00:00'",
    "SET SESSION sql_mode = ''",
    "SET SESSION net_write_timeout = 3600",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
];
const BEGIN: &str = "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";
const TIME: &str = "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS SIGNED)";
/// Engines that have such snapshots.
const ENGINE: &str = "SELECT engine FROM information_schema.tables
    WHERE table_schema = ? AND table_name = ? AND engine NOT IN ('InnoDB', 'ROCKSDB')";

/// A transaction on a connection of its own, which the stream of all rows takes with it.
pub struct Transaction<'a> {
    source: &'a MysqlSource,
    reading: &'a Reading,
    connection: Mutex<Option<Conn>>,
    /// nothing where the server does not tell what it has shown to a snapshot
    pub(in crate::snapshot) position: Option<Position>,
    pub(in crate::snapshot) time: i64,
}

impl<'a> Transaction<'a> {
    pub(in crate::snapshot) async fn begin(
        source: &'a MysqlSource,
        reading: &'a Reading,
    ) -> Result<Transaction<'a>> {
        let failed = |error| source.explain(error);
        let mut connection = source.again().await?;
        let place = (&reading.place.schema, &reading.place.table);
        let engine: Option<String> = connection.exec_first(ENGINE, place).await.map_err(failed)?;
        if let Some(engine) = engine {
            let message = format!(
                "MySQL at {}: {} is a table of {engine}, which has no snapshots",
                source.place, reading.place
            );
            return Err(Error::new(Kind::Mismatch, message));
        }
        for sql in SETTINGS {
            connection.query_drop(sql).await.map_err(failed)?;
        }
        let position = position::begin(&mut connection, BEGIN)
            .await
            .map_err(failed)?;
        let time: Option<i64> = connection.query_first(TIME).await.map_err(failed)?;
        Ok(Transaction {
            source,
            reading,
            connection: Mutex::new(Some(connection)),
            position,
            time: time.unwrap_or_default(),
        })
    }

    pub(in crate::snapshot) async fn stream(
        &self,
        percent: Option<u8>,
        making: Making<'a>,
    ) -> Result<Streamed<'a>> {
        let taken = self.connection.lock().await.take();
        let connection = taken.ok_or_else(|| read_twice(self.source))?;
        let stream = self.reading.select(percent).stream(connection).await;
        Ok(Streamed {
            source: self.source,
            rows: stream.map_err(|error| self.source.explain(error))?,
            making,
        })
    }

    pub(in crate::snapshot) async fn look_up(
        &self,
        keys: &[Key],
        mut making: Making<'_>,
    ) -> Result<Chunk> {
        let mut held = self.connection.lock().await;
        let connection = held.as_mut().ok_or_else(|| read_twice(self.source))?;
        let (sql, parameters) = self.reading.select_keys(keys);
        let rows = connection.exec::<Row, _, _>(sql, parameters).await;
        for row in rows.map_err(|error| self.source.explain(error))? {
            put(row, &mut making);
        }
        Ok(only(making.chunk(), self.reading, keys))
    }

    pub(in crate::snapshot) async fn end(self) -> Result<()> {
        match self.connection.into_inner() {
            None => Ok(()),
            Some(connection) => {
                let ended = connection.disconnect().await;
                ended.map_err(|error| self.source.explain(error))
            }
        }
    }
}

fn read_twice(source: &MysqlSource) -> Error {
    let message = format!("MySQL at {}: a snapshot was read twice", source.place);
    Error::new(Kind::Internal, message)
}

/// All rows, on their way.
pub struct Streamed<'a> {
    source: &'a MysqlSource,
    rows: ResultSetStream<'static, 'static, 'static, Row, TextProtocol>,
    making: Making<'a>,
}

impl Streamed<'_> {
    pub(in crate::snapshot) async fn next(&mut self) -> Result<Chunk> {
        while !self.making.is_full() {
            let row = self.rows.try_next().await;
            match row.map_err(|error| self.source.explain(error))? {
                Some(row) => put(row, &mut self.making),
                None => break,
            }
        }
        Ok(self.making.chunk())
    }
}

fn put(row: Row, making: &mut Making<'_>) {
    let cells: Vec<Option<Vec<u8>>> = row.unwrap_raw().into_iter().map(text).collect();
    making.row(cells.iter().map(Option::as_deref));
}

/// As the server writes a value that is asked for as text; what it sends as a number comes as one only by key.
fn text(value: Option<Value>) -> Option<Vec<u8>> {
    match value? {
        Value::NULL => None,
        Value::Bytes(bytes) => Some(bytes),
        Value::Int(number) => Some(number.to_string().into_bytes()),
        Value::UInt(number) => Some(number.to_string().into_bytes()),
        Value::Float(number) => Some(format!("{number:?}").into_bytes()),
        Value::Double(number) => Some(format!("{number:?}").into_bytes()),
        // every expression of a date or a time is text or a number
        Value::Date(..) | Value::Time(..) => None,
    }
}

/// A collation finds more than was asked for: `a` for `A`.
fn only(chunk: Chunk, reading: &Reading, keys: &[Key]) -> Chunk {
    let wanted: HashSet<&Key> = keys.iter().collect();
    let places = reading.key_places(&chunk.block);
    let asked: Vec<bool> = (0..chunk.block.rows())
        .map(|row| wanted.contains(&chunk.block.key(row, &places)))
        .collect();
    let mut refused = chunk.refused;
    refused.retain(|row| row.key.as_ref().is_none_or(|key| wanted.contains(key)));
    Chunk {
        block: chunk
            .block
            .keep(|row| asked.get(row).copied().unwrap_or_default()),
        refused,
    }
}
