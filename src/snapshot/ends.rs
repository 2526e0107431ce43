//! How far a job's topic is, read before the source, and whether ingest has passed that.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::Ends;
use crate::config;
use crate::error::{Error, Kind, Result};
use crate::job::SilverJob;
use crate::sink::checkpoints;
use crate::sink::clickhouse::ClickHouse;
use crate::source::{Consumer, Identity, Partition};

const POLL: Duration = Duration::from_millis(250);

/// A partition that ingest has still to read, up to what was its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Behind {
    pub partition: i32,
    pub next_offset: i64,
    pub end: i64,
}

impl Behind {
    pub fn error(&self, job: &SilverJob) -> Error {
        let message = format!(
            "job {}: ingest has not read what topic {} holds: partition {} is at offset {} of {}",
            job.name, job.topic, self.partition, self.next_offset, self.end
        );
        Error::new(Kind::NotFresh, message).advise(format!(
            "`bullion ingest {} --until-caught-up`, or leave ingest running, and try again",
            job.name
        ))
    }
}

/// A job's topic as it stands.
pub struct Reached {
    pub identity: Identity,
    pub ends: Ends,
    /// the same, of the partitions that hold anything
    pub filled: BTreeMap<i32, i64>,
}

/// Asks the brokers who the topic is and where each partition ends.
pub async fn reached(kafka: &config::Kafka, job: &SilverJob) -> Result<Reached> {
    let (kafka, job) = (kafka.clone(), job.clone());
    // librdkafka blocks
    let asked = tokio::task::spawn_blocking(move || ask(&Consumer::connect(&kafka)?, &job)).await;
    asked.map_err(Error::panicked)?
}

fn ask(consumer: &Consumer, job: &SilverJob) -> Result<Reached> {
    let identity = consumer.identify(&job.topic)?;
    let partitions = identity.partitions;
    let (mut all, mut filled) = (BTreeMap::new(), BTreeMap::new());
    for number in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
        let partition = Partition {
            topic: job.topic.clone(),
            number,
        };
        let (low, high) = consumer.watermarks(&partition)?;
        all.insert(number, high);
        if high > low {
            filled.insert(number, high);
        }
    }
    Ok(Reached {
        identity,
        ends: Ends::new(job.epoch, all),
        filled,
    })
}

/// Waits as long as the patience says for a running ingest to make everything below the ends durable; what it lacks then.
pub async fn caught_up(
    clickhouse: &ClickHouse,
    config: &config::Config,
    job: &SilverJob,
    reached: &Reached,
    patience: Duration,
) -> Result<Option<Behind>> {
    let (ops, group) = (&config.clickhouse.ops, &config.kafka.group);
    let until = Instant::now() + patience;
    loop {
        let behind = behind(clickhouse, ops, group, job, &reached.filled).await?;
        if behind.is_none() || Instant::now() >= until {
            return Ok(behind);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The first partition whose messages below these ends are not all durable in silver.
pub async fn behind(
    clickhouse: &ClickHouse,
    ops: &str,
    group: &str,
    job: &SilverJob,
    ends: &BTreeMap<i32, i64>,
) -> Result<Option<Behind>> {
    let reached = checkpoints::read(clickhouse, ops, group, job).await?;
    let behind = ends.iter().map(|(partition, end)| Behind {
        partition: *partition,
        next_offset: reached.get(partition).map_or(0, |at| at.next_offset),
        end: *end,
    });
    Ok(behind.into_iter().find(|at| at.next_offset < at.end))
}
