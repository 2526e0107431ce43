//! Makes one batch durable: dead letters first, then the rows as one sorted block, tried again as the error's kind says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::keep::{self, Awaited, Outlook, Patience, Turn};
use crate::batch::{Batch, DeadLetter};
use crate::column::{Block, Rows};
use crate::error::{Error, Kind, Result, Retry};
use crate::failpoint::{self, Point};
use crate::job::SilverJob;
use crate::migrate::silver::{qualified, table_name};
use crate::sink::clickhouse::ClickHouse;
use crate::sink::dead_letters;
use crate::sink::shadows::Watched;
use crate::sink::touches::Touches;

/// First pause after a failed try; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// "Too many parts" means that merges need time, not another try at once.
const SLOW_PAUSE: Duration = Duration::from_secs(2);

/// Where one job's batches go. Shared by all its writes.
pub struct Target {
    pub job: SilverJob,
    pub clickhouse: ClickHouse,
    pub ops: String,
    pub(super) table: String,
    /// the table that this one is to take the place of
    pub(super) replaced: Option<Replaced>,
    /// nothing where nobody else replaces the table
    pub(super) watched: Option<Watched>,
    touches: Touches,
    /// rows that are still to come
    pub(super) awaited: Arc<Awaited>,
    /// how long rows wait for what other partitions hold
    pub(super) patience: Patience,
}

/// A table like a job's that is to take its place, and that nobody reads yet.
pub struct NewTable {
    /// quoted
    pub name: String,
    /// quoted, as an INSERT lists them
    pub columns: String,
}

/// The job's own table, for writes into another one.
#[derive(Clone)]
pub(super) struct Replaced {
    /// quoted
    pub(super) table: String,
    /// of the new table
    pub(super) columns: String,
}

/// What a write did, for the counters.
#[derive(Clone, Debug, Default)]
pub struct Written {
    /// rows after the collapse per key
    pub rows: usize,
    /// the same before the collapse
    pub taken: usize,
    /// partition and offset of rows that leant on others which are nowhere: dead letters
    pub rejected: BTreeSet<(i32, i64)>,
}

impl Target {
    pub fn new(job: SilverJob, clickhouse: ClickHouse, silver: &str, ops: &str) -> Target {
        let table = table_name(&job);
        Target {
            table: qualified(silver, &table),
            replaced: None,
            watched: Some(Watched::new(&clickhouse, silver, &table)),
            touches: Touches::new(&job, &clickhouse, silver, ops),
            ops: ops.to_owned(),
            job,
            clickhouse,
            awaited: Arc::default(),
            patience: Patience::Stream,
        }
    }

    /// Into another table. What rows lean on is looked for there, too, and where it is not there any more, the job's own table
    /// says what became of the row.
    #[must_use]
    pub fn into_table(mut self, new: NewTable) -> Target {
        Target {
            replaced: Some(Replaced {
                table: std::mem::replace(&mut self.table, new.name),
                columns: new.columns,
            }),
            watched: None,
            touches: Touches::none(&self.job, &self.clickhouse, &self.ops),
            ..self
        }
    }

    /// Nobody else is writing what its rows may lean on.
    #[must_use]
    pub fn alone(self) -> Target {
        Target {
            patience: Patience::Alone,
            ..self
        }
    }

    /// Its batches are a bounded part of the topic: rows wait until [`Target::all_is_read`].
    #[must_use]
    pub fn of_part(self) -> Target {
        Target {
            patience: Patience::Part,
            ..self
        }
    }

    /// What rows wait for is there, or will not come any more; or there is more to read, after all.
    pub fn all_is_read(&self, all: bool) {
        self.awaited.set_outlook(match all {
            true => Outlook::CLEAR,
            false => Outlook::HELD_UP,
        });
    }

    /// The same table under another declaration of its columns.
    pub fn of_job(&self, job: SilverJob) -> Arc<Target> {
        Arc::new(Target {
            job,
            clickhouse: self.clickhouse.clone(),
            ops: self.ops.clone(),
            table: self.table.clone(),
            replaced: self.replaced.clone(),
            watched: self.watched.clone(),
            touches: self.touches.clone(),
            awaited: Arc::clone(&self.awaited),
            patience: self.patience,
        })
    }

    /// Returns when the batch is durable, or when a person has to act. Waits for a lost ClickHouse for ever:
    /// whoever cannot wait drops the future.
    pub async fn write(&self, batch: Batch) -> Result<Written> {
        self.write_in_turn(batch, &mut Turn::default(), &|_| {})
            .await
    }

    /// The same among other batches of the job. `parked` is told when rows wait for what others have to write first, and
    /// how many bytes those rows have; the rest is durable then.
    pub async fn write_in_turn(
        &self,
        batch: Batch,
        turn: &mut Turn,
        parked: &(dyn Fn(usize) + Sync),
    ) -> Result<Written> {
        let Batch {
            mut rows,
            dead_letters,
            doubted,
            ..
        } = batch;
        self.write_dead_letters(&dead_letters).await?;
        if !dead_letters.is_empty() {
            failpoint::pass(Point::DeadLettersWritten).await;
        }
        drop(dead_letters);
        let earlier = rows.take_earlier();
        let taken = rows.len();
        let mut written = self.write_rows(rows, doubted, turn, parked).await?;
        written.taken = taken;
        patiently(&self.job.name, || self.touches.touch(&earlier)).await?;
        Ok(written)
    }

    async fn write_rows(
        &self,
        rows: Rows,
        doubted: Vec<DeadLetter>,
        turn: &mut Turn,
        parked: &(dyn Fn(usize) + Sync),
    ) -> Result<Written> {
        if !rows.doubts().is_empty() {
            return keep::write(self, rows, doubted, turn, parked).await;
        }
        let mut written = Written::default();
        if !rows.is_empty() {
            let block = sorted(rows).await?;
            written.rows = block.rows();
            self.write_block(block).await?;
        }
        turn.pass().await?;
        Ok(written)
    }

    /// What is too large for ClickHouse's memory goes in halves, down to single letters.
    pub(super) async fn write_dead_letters(&self, letters: &[DeadLetter]) -> Result<()> {
        let mut waiting = vec![letters];
        let mut tries = Tries::new(&self.job.name);
        while let Some(letters) = waiting.pop() {
            let written = dead_letters::write(&self.clickhouse, &self.ops, &self.job, letters);
            let Err(error) = written.await else {
                tries = Tries::new(&self.job.name);
                continue;
            };
            match error.kind().policy().retry {
                Retry::Never => return Err(error.context("write dead letters")),
                Retry::Halve if letters.len() > 1 => {
                    tracing::warn!(job = self.job.name, letters = letters.len(), %error, "dead letters are too large, halving them");
                    let (first, second) = letters.split_at(letters.len() / 2);
                    waiting.extend([second, first]);
                }
                Retry::Backoff | Retry::SlowDown | Retry::Halve => {
                    tries.pause(&error).await;
                    waiting.push(letters);
                }
            }
        }
        Ok(())
    }

    /// A block that is too large for ClickHouse's memory goes in halves, down to single rows.
    pub(super) async fn write_block(&self, block: Block) -> Result<()> {
        let mut waiting = vec![block];
        let mut tries = Tries::new(&self.job.name);
        while let Some(block) = waiting.pop() {
            let Err(error) = self.insert(&block).await else {
                failpoint::pass(Point::InsertAcked).await;
                // until it is recorded which windows the rows are in and were in they do not count as written
                patiently(&self.job.name, || self.touches.record(&block)).await?;
                tries = Tries::new(&self.job.name);
                continue;
            };
            match error.kind().policy().retry {
                Retry::Never => return Err(error.context(format!("insert into {}", self.table))),
                Retry::Halve if block.rows() > 1 => {
                    tracing::warn!(job = self.job.name, rows = block.rows(), %error, "insert is too large, halving it");
                    let (first, second) = block.split();
                    waiting.push(second);
                    waiting.push(first);
                }
                Retry::Backoff | Retry::Halve => {
                    tries.pause(&error).await;
                    waiting.push(block);
                }
                Retry::SlowDown => {
                    tokio::time::sleep(SLOW_PAUSE).await;
                    tries.pause(&error).await;
                    waiting.push(block);
                }
            }
        }
        Ok(())
    }

    async fn insert(&self, block: &Block) -> Result<()> {
        self.touches.announce(block).await?;
        failpoint::pass(Point::BeforeInsert).await;
        let mut body = Vec::with_capacity(block.bytes());
        block.encode_native(&mut body);
        let columns: Vec<&str> = block
            .columns()
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        self.clickhouse
            .insert_native(&self.table, &columns, Bytes::from(body))
            .await
    }
}

/// Sorting a large block takes tens of milliseconds, too long for a thread that serves others.
async fn sorted(rows: Rows) -> Result<Block> {
    let sorted = tokio::task::spawn_blocking(|| rows.finish()).await;
    sorted.map_err(|error| Error::new(Kind::Internal, "sorting a batch failed").because(error))
}

/// Tries until it is done, or fails with an error that a person has to mend.
pub(super) async fn patiently<T, F: Future<Output = Result<T>>>(
    job: &str,
    mut work: impl FnMut() -> F,
) -> Result<T> {
    let mut tries = Tries::new(job);
    loop {
        match work().await {
            Ok(done) => return Ok(done),
            Err(error) if error.kind().policy().retry == Retry::Never => return Err(error),
            Err(error) => tries.pause(&error).await,
        }
    }
}

/// Pauses between tries, and says so once in a while.
pub(super) struct Tries<'a> {
    job: &'a str,
    pause: Duration,
    since: Instant,
    said: Option<Instant>,
}

impl<'a> Tries<'a> {
    const SAY_EVERY: Duration = Duration::from_secs(10);

    pub(super) fn new(job: &'a str) -> Tries<'a> {
        Tries {
            job,
            pause: FIRST_PAUSE,
            since: Instant::now(),
            said: None,
        }
    }

    pub(super) async fn pause(&mut self, error: &Error) {
        if self
            .said
            .is_none_or(|said| said.elapsed() >= Self::SAY_EVERY)
        {
            let seconds = self.since.elapsed().as_secs();
            tracing::warn!(job = self.job, waiting_s = seconds, %error, "nothing is committed, trying again");
            self.said = Some(Instant::now());
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}
