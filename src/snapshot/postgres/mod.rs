//! Rows of PostgreSQL: `COPY` in a repeatable-read transaction, or a join with the keys that are asked for.

mod columns;
mod query;

use std::pin::Pin;

use bytes::{Buf, Bytes};
use futures_util::{StreamExt, TryStreamExt};
use tokio_postgres::CopyOutStream;
use tokio_postgres::error::SqlState;

use super::Reading;
use super::making::{Chunk, Making};
use crate::catalog::Source;
use crate::column::Key;
use crate::error::Result;
pub(super) use columns::{is_bytes, order, read};
pub(super) use query::identifier;

/// Whatever the server's own settings are, these decide how it spells values; nothing is written.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
    SET LOCAL TimeZone = 'UTC'; SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = 'postgres';
    SET LOCAL bytea_output = 'hex'; SET LOCAL extra_float_digits = 1; SET LOCAL row_security = off;
    SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0";

/// The first statement fixes what the transaction sees, so what is committed later has a higher position and time.
const POSITION: &str = "SELECT (CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()
        ELSE pg_current_wal_insert_lsn() END - '0/0'::pg_lsn)::bigint,
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

/// Begins the transaction; its position and time.
pub(super) async fn begin(source: &Source) -> Result<(i64, i64)> {
    let failed = |error| source.explain(error);
    source.client.batch_execute(BEGIN).await.map_err(failed)?;
    let row = source.client.query_one(POSITION, &[]).await;
    let row = row.map_err(failed)?;
    Ok((row.get(0), row.get(1)))
}

pub(super) async fn commit(source: &Source) -> Result<()> {
    let ended = source.client.batch_execute("COMMIT").await;
    ended.map_err(|error| source.explain(error))
}

/// As PostgreSQL writes a position in its log.
pub(super) fn position(lsn: i64) -> String {
    format!("{:X}/{:X}", lsn >> 32, lsn & 0xffff_ffff)
}

pub(super) async fn look_up(
    source: &Source,
    reading: &Reading,
    keys: &[Key],
    making: &mut Making<'_>,
) -> Result<()> {
    match rows_of(source, reading, keys, making).await {
        Ok(()) => Ok(()),
        Err(error) if error.code().is_some_and(is_no_value) => Err(source
            .explain(error)
            .advise("silver holds a key that the source's type cannot: look for it by hand")),
        Err(error) => Err(source.explain(error)),
    }
}

async fn rows_of(
    source: &Source,
    reading: &Reading,
    keys: &[Key],
    making: &mut Making<'_>,
) -> Result<(), tokio_postgres::Error> {
    let parameters = reading.parameters(keys);
    let rows = source
        .client
        .query_raw(&reading.lookup(), &parameters)
        .await?;
    let mut rows = std::pin::pin!(rows);
    while let Some(row) = rows.try_next().await? {
        let cells = (0..row.len()).map(|at| row.try_get::<_, Option<&str>>(at));
        let cells = cells.collect::<Result<Vec<_>, _>>()?;
        making.row(cells.iter().map(|cell| cell.map(str::as_bytes)));
    }
    Ok(())
}

/// A text that is no value of the key's type, or out of its range.
fn is_no_value(code: &SqlState) -> bool {
    code.code().starts_with("22")
}

/// Lines of one COPY.
pub struct Copied<'a> {
    source: &'a Source,
    stream: Option<Pin<Box<CopyOutStream>>>,
    unread: Bytes,
    /// the start of a line whose end has not come yet
    rest: Vec<u8>,
    making: Making<'a>,
}

impl<'a> Copied<'a> {
    pub(super) async fn begin(
        source: &'a Source,
        sql: &str,
        making: Making<'a>,
    ) -> Result<Copied<'a>> {
        let stream = source.client.copy_out(sql).await;
        Ok(Copied {
            source,
            stream: Some(Box::pin(stream.map_err(|error| source.explain(error))?)),
            unread: Bytes::new(),
            rest: Vec::new(),
            making,
        })
    }

    pub(super) async fn next(&mut self) -> Result<Chunk> {
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
        Ok(self.making.chunk())
    }
}
