//! A snapshot of the source database, and the rows of one table in it.

use std::pin::Pin;

use bytes::{Buf, Bytes};
use futures_util::{StreamExt, TryStreamExt};
use tokio_postgres::CopyOutStream;
use tokio_postgres::error::SqlState;

use super::copy::Line;
use super::{Axis, Between, Bound, Cuts, Reading};
use crate::catalog::Source;
use crate::column::{Block, Key, Rows};
use crate::envelope::{Decoder, Fate, Headers, Message};
use crate::error::Result;

/// Rows of one chunk: one question to ClickHouse each, a few tens of megabytes at most.
const CHUNK_ROWS: usize = 50_000;
const CHUNK_BYTES: usize = 16 << 20;

/// Whatever the server's own settings are, these decide how it spells values; nothing is written.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres';
    SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; SET LOCAL row_security = off;
    SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// The first statement fixes what the transaction sees, so what is committed later has a higher position and time.
const POSITION: &str = "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
        ELSE pg_current_wal_insert_lsn() END - '0/0'::pg_lsn)::bigint,
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// One repeatable-read transaction of a connection.
pub struct Snapshot<'a> {
    source: &'a Source,
    reading: &'a Reading,
    pub lsn: i64,
    /// milliseconds since 1970, by the source's clock
    pub time: i64,
}

/// Rows that belong together, sorted by key.
pub struct Chunk {
    pub block: Block,
    /// rows that the job cannot hold
    pub refused: Vec<Refused>,
}

/// A row of the source that its own job would reject.
#[derive(Clone, Debug)]
pub struct Refused {
    /// none where the key itself is what cannot be read
    pub key: Option<Key>,
    pub reason: &'static str,
    pub column: Option<String>,
}

impl<'a> Snapshot<'a> {
    pub async fn open(source: &'a Source, reading: &'a Reading) -> Result<Snapshot<'a>> {
        let failed = |error| source.explain(error);
        source.client.batch_execute(BEGIN).await.map_err(failed)?;
        let row = source.client.query_one(POSITION, &[]).await;
        let row = row.map_err(failed)?;
        Ok(Snapshot {
            source,
            reading,
            lsn: row.get(0),
            time: row.get(1),
        })
    }

    /// Every row of the table in the order of its key, or those of so many percent of its pages.
    pub async fn chunks(&self, percent: Option<u8>) -> Result<Chunks<'a>> {
        self.stream(&self.reading.copy(percent), CHUNK_ROWS).await
    }

    /// The rows between two cuts, in any order, at most so many at a time.
    pub async fn part(
        &self,
        axis: &Axis,
        between: Between<'_>,
        most_rows: usize,
    ) -> Result<Chunks<'a>> {
        let sql = self.reading.copy_part(&axis.condition(between));
        self.stream(&sql, most_rows.min(CHUNK_ROWS)).await
    }

    async fn stream(&self, sql: &str, most_rows: usize) -> Result<Chunks<'a>> {
        let stream = self.source.client.copy_out(sql).await;
        Ok(Chunks {
            source: self.source,
            stream: Some(Box::pin(
                stream.map_err(|error| self.source.explain(error))?,
            )),
            unread: Bytes::new(),
            rest: Vec::new(),
            making: Making::new(self.reading, self.lsn, self.time, most_rows),
        })
    }

    /// Where a part is cut into parts of so many rows. Reads the axis once, by its index where there is one.
    pub async fn cuts(&self, axis: &Axis, between: Between<'_>, rows: u64) -> Result<Cuts> {
        let sql = axis.cuts(self.reading, between, rows.max(1));
        let row = self.source.client.query_one(&sql, &[]).await;
        let row = row.map_err(|error| self.source.explain(error))?;
        let columns = (1..row.len()).map(|at| row.try_get::<_, Vec<String>>(at));
        let columns = columns.collect::<Result<Vec<_>, _>>();
        let columns = columns.map_err(|error| self.source.explain(error))?;
        let count = columns.first().map_or(0, Vec::len);
        let bound = |at: usize| -> Bound {
            let cells = columns.iter().filter_map(|column| column.get(at).cloned());
            cells.collect()
        };
        let mut bounds: Vec<Bound> = (0..count).map(bound).collect();
        // rows of one time are not cut apart
        bounds.dedup();
        Ok(Cuts {
            rows: row.get::<_, i64>(0).max(0).cast_unsigned(),
            bounds,
        })
    }

    /// Whether an index leads to the parts of an axis; without one each of them reads the whole table.
    pub async fn is_indexed(&self, axis: &Axis) -> Result<bool> {
        let (sql, [table, column]) = axis.indexed();
        let row = self.source.client.query_one(sql, &[&table, &column]).await;
        Ok(row.map_err(|error| self.source.explain(error))?.get(0))
    }

    /// The rows of these keys, as many as there are.
    pub async fn rows_of(&self, keys: &[Key]) -> Result<Chunk> {
        let mut making = Making::new(self.reading, self.lsn, self.time, CHUNK_ROWS);
        match self.look_up(keys, &mut making).await {
            Ok(()) => Ok(making.chunk()),
            Err(error) if error.code().is_some_and(is_no_value) => Err(self
                .source
                .explain(error)
                .advise("silver holds a key that the source's type cannot: look for it by hand")),
            Err(error) => Err(self.source.explain(error)),
        }
    }

    async fn look_up(
        &self,
        keys: &[Key],
        making: &mut Making<'_>,
    ) -> Result<(), tokio_postgres::Error> {
        let parameters = self.reading.parameters(keys);
        let client = &self.source.client;
        let rows = client
            .query_raw(&self.reading.lookup(), &parameters)
            .await?;
        let mut rows = std::pin::pin!(rows);
        while let Some(row) = rows.try_next().await? {
            let cells = (0..row.len()).map(|at| row.try_get::<_, Option<&str>>(at));
            let cells = cells.collect::<Result<Vec<_>, _>>()?;
            making.row(cells.iter().map(|cell| cell.map(str::as_bytes)));
        }
        Ok(())
    }

    pub async fn close(self) -> Result<()> {
        let ended = self.source.client.batch_execute("COMMIT").await;
        ended.map_err(|error| self.source.explain(error))
    }
}

/// A text that is no value of the key's type, or out of its range.
fn is_no_value(code: &SqlState) -> bool {
    code.code().starts_with("22")
}

/// All rows of a table, on their way.
pub struct Chunks<'a> {
    source: &'a Source,
    stream: Option<Pin<Box<CopyOutStream>>>,
    unread: Bytes,
    /// the start of a line whose end has not come yet
    rest: Vec<u8>,
    making: Making<'a>,
}

impl Chunks<'_> {
    /// The next rows by key; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Chunk>> {
        while !self.making.is_full() {
            if let Some(end) = memchr::memchr(b'\n', &self.unread) {
                if self.rest.is_empty() {
                    self.making.line(self.unread.get(..end).unwrap_or_default());
                } else {
                    self.rest
                        .extend_from_slice(self.unread.get(..end).unwrap_or_default());
                    self.making.line(&self.rest);
                    self.rest.clear();
                }
                self.unread.advance(end + 1);
                continue;
            }
            self.rest.extend_from_slice(&self.unread);
            let Some(stream) = &mut self.stream else {
                break;
            };
            match stream.next().await {
                Some(bytes) => self.unread = bytes.map_err(|error| self.source.explain(error))?,
                None => {
                    self.unread = Bytes::new();
                    self.stream = None;
                }
            }
        }
        let chunk = self.making.chunk();
        let empty = chunk.block.is_empty() && chunk.refused.is_empty();
        Ok((!empty).then_some(chunk))
    }
}

/// Cells become rows of the job.
struct Making<'a> {
    reading: &'a Reading,
    decoder: Decoder,
    keys: Decoder,
    rows: Rows,
    refused: Vec<Refused>,
    line: Line,
    message: Vec<u8>,
    /// what follows the row's image in its envelope
    tail: Vec<u8>,
    most_rows: usize,
}

const HEAD: &[u8] = br#"{"before":null,"after":"#;

impl<'a> Making<'a> {
    fn new(reading: &'a Reading, lsn: i64, time: i64, most_rows: usize) -> Making<'a> {
        let tail = format!(r#","source":{{"ts_ms":{time},"lsn":{lsn}}},"op":"r","ts_ms":{time}}}"#);
        Making {
            reading,
            decoder: Decoder::new(&reading.job),
            keys: Decoder::new(&reading.key_job),
            rows: Rows::new(&reading.job),
            refused: Vec::new(),
            line: Line::default(),
            message: Vec::new(),
            tail: tail.into_bytes(),
            most_rows,
        }
    }

    fn is_full(&self) -> bool {
        self.rows.len() + self.refused.len() >= self.most_rows || self.rows.bytes() >= CHUNK_BYTES
    }

    fn line(&mut self, line: &[u8]) {
        let mut cells = std::mem::take(&mut self.line);
        cells.read(line);
        self.row(cells.cells());
        self.line = cells;
    }

    fn row<'c>(&mut self, cells: impl Iterator<Item = Option<&'c [u8]>>) {
        self.message.clear();
        self.message.extend_from_slice(HEAD);
        if self.reading.image(cells, &mut self.message).is_err() {
            return self.refuse("bad_value", None);
        }
        self.message.extend_from_slice(&self.tail);
        let message = envelope(self.reading, &self.message);
        match self.decoder.decode(&message, &mut self.rows) {
            Fate::Row => {}
            Fate::Reject(reject) => {
                let mut rows = Rows::new(&self.reading.key_job);
                let read = matches!(self.keys.decode(&message, &mut rows), Fate::Row);
                let key = read.then(|| {
                    let block = rows.finish();
                    block.key(0, &self.reading.key_places(&block))
                });
                self.refused.push(Refused {
                    key,
                    reason: reject.reason.as_str(),
                    column: reject.column,
                });
            }
            Fate::Skip(skip) => self.refuse(skip.as_str(), None),
            Fate::Fail(_) => self.refuse("fail", None),
        }
    }

    fn refuse(&mut self, reason: &'static str, key: Option<Key>) {
        self.refused.push(Refused {
            key,
            reason,
            column: None,
        });
    }

    fn chunk(&mut self) -> Chunk {
        let rows = std::mem::replace(&mut self.rows, Rows::new(&self.reading.job));
        Chunk {
            block: rows.finish(),
            refused: std::mem::take(&mut self.refused),
        }
    }
}

/// Its version is replaced before it is written: see [`super::Ends`].
fn envelope<'a>(reading: &'a Reading, value: &'a [u8]) -> Message<'a> {
    Message {
        topic: &reading.job.topic,
        partition: super::UNKNOWN_PARTITION,
        offset: 0,
        key: None,
        value: Some(value),
        timestamp: None,
        headers: Headers::NONE,
    }
}
