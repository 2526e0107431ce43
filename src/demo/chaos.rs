//! kill -9 for the ingester while the data flows: each life ends as soon as it has made progress.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::process::Child;

use super::capture::Capture;
use super::command::Commands;
use super::{blocking, nothing_lost};
use crate::embedded::kafka::MockKafka;
use crate::error::{Error, Kind, Result};
use crate::sink::clickhouse::ClickHouse;

/// Lives of the ingester that end with kill -9.
const KILLS: usize = 4;
/// The table, and the end of the topic, whose progress decides when to kill: most events are its.
const WATCHED: &str = "flights";
/// A life without progress for so long is a fault.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks at the progress: short against the time that one write takes.
const LOOK: Duration = Duration::from_millis(5);

/// How far the ingester had come with flights when it was killed, all partitions together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Killed {
    /// next offset that ClickHouse has rows below
    pub durable: i64,
    /// next offset that was committed to Kafka; the messages between the two come again
    pub committed: i64,
}

/// What a life must have moved before it ends.
#[derive(Clone, Copy)]
enum Sign {
    /// rows are in ClickHouse, their offsets may not be committed yet
    Written,
    /// offsets are committed, the next rows may be on their way
    Committed,
}

pub(super) struct Chaos<'a> {
    pub(super) commands: Commands<'a>,
    pub(super) kafka: Arc<MockKafka>,
    pub(super) capture: Arc<Capture>,
    pub(super) clickhouse: &'a ClickHouse,
    pub(super) epoch: u8,
}

impl Chaos<'_> {
    /// Sends the whole capture; every slice but the last meets an ingester that does not survive it.
    pub(super) async fn run(&self) -> Result<Vec<Killed>> {
        let messages = self.capture.messages();
        let slice = messages.div_ceil(KILLS + 1);
        let mut killed = Vec::new();
        for life in 0..KILLS {
            let before = self.progress().await?;
            let mut ingest = self.commands.start("ingest", &[])?;
            let filling = self.fill(life * slice, (life + 1) * slice);
            let sign = if life % 2 == 0 {
                Sign::Written
            } else {
                Sign::Committed
            };
            let (filled, seen) = tokio::join!(filling, self.until(sign, before, &mut ingest));
            filled?;
            seen?;
            let dead = ingest.kill().await;
            dead.map_err(|error| {
                Error::new(Kind::Internal, "cannot kill the ingester").because(error)
            })?;
            killed.push(self.progress().await?);
        }
        self.fill(KILLS * slice, messages).await?;
        nothing_lost(&self.kafka, &self.capture.partitions())?;
        Ok(killed)
    }

    async fn fill(&self, first: usize, end: usize) -> Result<()> {
        let (capture, kafka) = (Arc::clone(&self.capture), Arc::clone(&self.kafka));
        blocking(move || capture.replay(&kafka, first, end)).await
    }

    async fn until(&self, sign: Sign, before: Killed, ingest: &mut Child) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let now = self.progress().await?;
            let moved = match sign {
                Sign::Written => now.durable > before.durable,
                Sign::Committed => now.committed > before.committed,
            };
            if moved {
                return Ok(());
            }
            let ended = ingest.try_wait().ok().flatten();
            let log = self.commands.folder.log_file("ingest");
            let advice = format!("see {}", log.display());
            if let Some(status) = ended {
                let message = format!("ingest ended by itself with {status}");
                return Err(Error::new(Kind::Internal, message).advise(advice));
            }
            if Instant::now() > deadline {
                let message = format!("ingest made no progress in {} s", PATIENCE.as_secs());
                return Err(Error::new(Kind::Internal, message).advise(advice));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn progress(&self) -> Result<Killed> {
        let sql = format!(
            "SELECT toInt64(sum(next)) FROM (
                SELECT max(bitAnd(bitShiftRight(_version, 8), 0xFFFFFFFFFFFF)) + 1 AS next
                FROM silver.{WATCHED}_versions WHERE bitShiftRight(_version, 56) = {} GROUP BY _partition)",
            self.epoch
        );
        let durable = self.clickhouse.one(&sql).await?;
        let mut partitions = self.capture.partitions();
        partitions.retain(|(topic, _)| topic.ends_with(&format!(".{WATCHED}")));
        let kafka = Arc::clone(&self.kafka);
        let committed = blocking(move || kafka.committed(&partitions)).await?;
        Ok(Killed { durable, committed })
    }
}
