//! A snapshot of the source database, and the rows of one table in it.

use super::making::{CHUNK_ROWS, Chunk, Making};
use super::{Axis, Between, Bound, Cuts, Reading, mysql, postgres};
use crate::catalog::{Database, Source};
use crate::column::Key;
use crate::error::{Error, Kind, Result};

/// One repeatable-read transaction.
pub struct Snapshot<'a> {
    of: Of<'a>,
    reading: &'a Reading,
    /// PostgreSQL's position in its log; a change of MySQL has none that is a number
    pub lsn: Option<i64>,
    /// the source's position in its log as the source writes it, where it tells one
    pub position: Option<String>,
    /// milliseconds since 1970, by the source's clock
    pub time: i64,
}

enum Of<'a> {
    Postgres(&'a Source),
    Mysql(Box<mysql::Transaction<'a>>),
}

impl<'a> Snapshot<'a> {
    pub async fn open(source: &'a Source, reading: &'a Reading) -> Result<Snapshot<'a>> {
        let (lsn, time) = postgres::begin(source).await?;
        Ok(Snapshot {
            of: Of::Postgres(source),
            reading,
            lsn: Some(lsn),
            position: Some(postgres::position(lsn)),
            time,
        })
    }

    pub async fn of(database: &'a Database, reading: &'a Reading) -> Result<Snapshot<'a>> {
        let source = match database {
            Database::Postgres(source) => return Snapshot::open(source, reading).await,
            Database::Mysql(source) => source,
        };
        let transaction = mysql::Transaction::begin(source, reading).await?;
        Ok(Snapshot {
            reading,
            lsn: None,
            position: transaction.position.as_ref().map(ToString::to_string),
            time: transaction.time,
            of: Of::Mysql(Box::new(transaction)),
        })
    }

    /// An error where the source does not tell which position of its log the snapshot has: then a change may be on Kafka that
    /// it lacks, and its rows must not win over that.
    pub fn needs_position(&self) -> Result<()> {
        if self.position.is_some() {
            return Ok(());
        }
        let message = format!(
            "job {}: the source does not tell which position of its log a snapshot has, so a change may be on Kafka that the \
             snapshot lacks",
            self.reading.job.name
        );
        Err(Error::new(Kind::Mismatch, message)
            .advise("MariaDB tells it; with MySQL, `bullion replay` writes what the topic holds"))
    }

    /// Every row of the table in the order of its key, or those of so many percent of its pages. Asked for once.
    pub async fn chunks(&self, percent: Option<u8>) -> Result<Chunks<'a>> {
        let making = self.making(CHUNK_ROWS);
        Ok(match &self.of {
            Of::Postgres(source) => {
                let sql = self.reading.copy(percent);
                Chunks::Postgres(postgres::Copied::begin(source, &sql, making).await?)
            }
            Of::Mysql(transaction) => Chunks::Mysql(transaction.stream(percent, making).await?),
        })
    }

    /// The rows between two cuts, in any order, at most so many at a time.
    pub async fn part(
        &self,
        axis: &Axis,
        between: Between<'_>,
        most_rows: usize,
    ) -> Result<Chunks<'a>> {
        let source = self.postgres()?;
        let sql = self.reading.copy_part(&axis.condition(between));
        let making = self.making(most_rows.min(CHUNK_ROWS));
        let copied = postgres::Copied::begin(source, &sql, making).await?;
        Ok(Chunks::Postgres(copied))
    }

    /// Where a part is cut into parts of so many rows. Reads the axis once, by its index where there is one.
    pub async fn cuts(&self, axis: &Axis, between: Between<'_>, rows: u64) -> Result<Cuts> {
        let source = self.postgres()?;
        let sql = axis.cuts(self.reading, between, rows.max(1));
        let row = source.client.query_one(&sql, &[]).await;
        let row = row.map_err(|error| source.explain(error))?;
        let columns = (1..row.len()).map(|at| row.try_get::<_, Vec<String>>(at));
        let columns = columns.collect::<Result<Vec<_>, _>>();
        let columns = columns.map_err(|error| source.explain(error))?;
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
        let source = self.postgres()?;
        let (sql, [table, column]) = axis.indexed();
        let row = source.client.query_one(sql, &[&table, &column]).await;
        Ok(row.map_err(|error| source.explain(error))?.get(0))
    }

    /// The rows of these keys, as many as there are.
    pub async fn rows_of(&self, keys: &[Key]) -> Result<Chunk> {
        let mut making = self.making(CHUNK_ROWS);
        match &self.of {
            Of::Postgres(source) => {
                postgres::look_up(source, self.reading, keys, &mut making).await?;
                Ok(making.chunk())
            }
            Of::Mysql(transaction) => transaction.look_up(keys, making).await,
        }
    }

    pub async fn close(self) -> Result<()> {
        match self.of {
            Of::Postgres(source) => postgres::commit(source).await,
            Of::Mysql(transaction) => transaction.end().await,
        }
    }

    fn making(&self, most_rows: usize) -> Making<'a> {
        Making::new(self.reading, self.lsn, self.time, most_rows)
    }

    /// A table is cut into parts in PostgreSQL only.
    fn postgres(&self) -> Result<&'a Source> {
        match &self.of {
            Of::Postgres(source) => Ok(source),
            Of::Mysql(_) => Err(Error::new(
                Kind::Mismatch,
                "a table of MySQL is not read in parts",
            )),
        }
    }
}

/// All rows of a table, on their way.
#[cfg_attr(
    not(feature = "mysql"),
    expect(
        clippy::large_enum_variant,
        reason = "without MySQL the other variant is never made"
    )
)]
pub enum Chunks<'a> {
    Postgres(postgres::Copied<'a>),
    Mysql(mysql::Streamed<'a>),
}

impl Chunks<'_> {
    /// The next rows by key; `None` after the last.
    pub async fn next(&mut self) -> Result<Option<Chunk>> {
        let chunk = match self {
            Chunks::Postgres(copied) => copied.next().await?,
            Chunks::Mysql(streamed) => streamed.next().await?,
        };
        let empty = chunk.block.is_empty() && chunk.refused.is_empty();
        Ok((!empty).then_some(chunk))
    }
}
