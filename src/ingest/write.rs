//! Makes one batch durable: dead letters first, then the rows as one sorted block, tried again as the error's kind says.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::batch::{Batch, DeadLetter};
use crate::column::{Block, Rows};
use crate::error::{Error, Kind, Result, Retry};
use crate::failpoint::{self, Point};
use crate::job::SilverJob;
use crate::migrate::silver::{qualified, table_name};
use crate::sink::clickhouse::ClickHouse;
use crate::sink::dead_letters;

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
    table: String,
}

/// What a write did, for the counters.
#[derive(Clone, Copy, Debug)]
pub struct Written {
    /// rows after the collapse per key
    pub rows: usize,
}

impl Target {
    pub fn new(job: SilverJob, clickhouse: ClickHouse, silver: &str, ops: &str) -> Target {
        Target {
            table: qualified(silver, &table_name(&job)),
            ops: ops.to_owned(),
            job,
            clickhouse,
        }
    }

    /// The same table under another declaration of its columns.
    pub fn of_job(&self, job: SilverJob) -> Arc<Target> {
        Arc::new(Target {
            job,
            clickhouse: self.clickhouse.clone(),
            ops: self.ops.clone(),
            table: self.table.clone(),
        })
    }

    /// Returns when the batch is durable, or when a person has to act. Waits for a lost ClickHouse for ever:
    /// whoever cannot wait drops the future.
    pub async fn write(&self, batch: Batch) -> Result<Written> {
        let Batch {
            rows, dead_letters, ..
        } = batch;
        self.write_dead_letters(&dead_letters).await?;
        if !dead_letters.is_empty() {
            failpoint::pass(Point::DeadLettersWritten).await;
        }
        drop(dead_letters);
        if rows.is_empty() {
            return Ok(Written { rows: 0 });
        }
        let block = sorted(rows).await?;
        let written = Written { rows: block.rows() };
        self.write_block(block).await?;
        Ok(written)
    }

    async fn write_dead_letters(&self, letters: &[DeadLetter]) -> Result<()> {
        let mut tries = Tries::new(&self.job.name);
        loop {
            match dead_letters::write(&self.clickhouse, &self.ops, &self.job, letters).await {
                Ok(()) => return Ok(()),
                Err(error) => match error.kind().policy().retry {
                    Retry::Never => return Err(error.context("write dead letters")),
                    Retry::Backoff | Retry::Halve | Retry::SlowDown => tries.pause(&error).await,
                },
            }
        }
    }

    /// A block that is too large for ClickHouse's memory goes in halves, down to single rows.
    async fn write_block(&self, block: Block) -> Result<()> {
        let mut waiting = vec![block];
        let mut tries = Tries::new(&self.job.name);
        while let Some(block) = waiting.pop() {
            failpoint::pass(Point::BeforeInsert).await;
            let Err(error) = self.insert(&block).await else {
                failpoint::pass(Point::InsertAcked).await;
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

/// Pauses between tries, and says so once in a while.
struct Tries<'a> {
    job: &'a str,
    pause: Duration,
    since: Instant,
    said: Option<Instant>,
}

impl<'a> Tries<'a> {
    const SAY_EVERY: Duration = Duration::from_secs(10);

    fn new(job: &'a str) -> Tries<'a> {
        Tries {
            job,
            pause: FIRST_PAUSE,
            since: Instant::now(),
            said: None,
        }
    }

    async fn pause(&mut self, error: &Error) {
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
