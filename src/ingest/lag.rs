//! How many messages a job is behind, asked from outside of ingest: up to the ends of its topic, from what its group has
//! committed, or else from the checkpoint.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use super::start::{self, Next};
use crate::checkpoint::Position;
use crate::config::{Config, Kafka};
use crate::error::{Error, Kind, Result};
use crate::job::SilverJob;
use crate::sink::checkpoints;
use crate::sink::clickhouse::ClickHouse;
use crate::source::{Consumer, Identity};

/// Kafka may take so long for all jobs together; what it has not told by then is not known.
const PATIENCE: Duration = Duration::from_secs(5);

/// Messages behind, or why that is not known.
pub type Lag = Result<i64>;

/// What `ops` knows of a job.
struct Asked {
    job: SilverJob,
    checkpoints: BTreeMap<i32, Position>,
    identity: Option<Identity>,
}

/// In the order of the jobs. An error is ClickHouse's: Kafka's are the jobs' own.
pub async fn lags(
    clickhouse: &ClickHouse,
    config: &Config,
    jobs: &[&SilverJob],
) -> Result<Vec<Lag>> {
    let (ops, group) = (&config.clickhouse.ops, &config.kafka.group);
    let mut asked = Vec::new();
    for job in jobs {
        asked.push(Asked {
            job: (*job).clone(),
            checkpoints: checkpoints::read(clickhouse, ops, group, job).await?,
            identity: checkpoints::known_identity(clickhouse, ops, job).await?,
        });
    }
    let (told, mut telling) = unbounded_channel();
    let kafka = config.kafka.clone();
    // librdkafka blocks; nobody waits for the thread when time is up
    tokio::task::spawn_blocking(move || ask(&kafka, asked, &told));
    let until = Instant::now() + PATIENCE;
    let mut lags = Vec::new();
    while let Ok(Some(lag)) = timeout_at(until, telling.recv()).await {
        lags.push(lag);
    }
    lags.resize_with(jobs.len(), || Err(silent(&config.kafka)));
    Ok(lags)
}

fn ask(kafka: &Kafka, asked: Vec<Asked>, told: &UnboundedSender<Lag>) {
    let consumer = Consumer::glancing(kafka, PATIENCE);
    for asked in &asked {
        let lag = match &consumer {
            Ok(consumer) => lag(consumer, asked, kafka),
            Err(error) => Err(Error::new(error.kind(), error.to_string())),
        };
        // nobody listens any more when time is up
        if told.send(lag).is_err() {
            return;
        }
    }
}

fn lag(consumer: &Consumer, asked: &Asked, kafka: &Kafka) -> Lag {
    let job = &asked.job;
    let found = consumer.identify_within(&job.topic, PATIENCE)?;
    if let Some(known) = &asked.identity {
        checkpoints::same_identity(job, known, &found)?;
    }
    let partitions = found.partitions;
    let next = start::of_job(
        consumer,
        job,
        partitions,
        &asked.checkpoints,
        kafka.first_start,
    )?;
    Ok(next.iter().map(Next::behind).sum())
}

fn silent(kafka: &Kafka) -> Error {
    let message = format!(
        "kafka at {} has not answered within {} s",
        kafka.brokers,
        PATIENCE.as_secs()
    );
    Error::new(Kind::Unreachable, message)
}
