//! Silver, continuously: receive → fate → batch → write → commit, in that order.
//!
//! | file        | what it holds                                                            |
//! |-------------|--------------------------------------------------------------------------|
//! | `consume`   | the loop, on a thread of its own; commits only what landed               |
//! | `rebalance` | partitions come and go: start offsets, drain before giving up            |
//! | `lane`      | one job: decoder, batch, batches under way, breaker                      |
//! | `write`     | one batch becomes durable, with retries by kind of error                 |
//! | `start`     | from which offset a partition is read                                    |
//! | `status`    | counters and lag, shown as live lines or heartbeats                      |
//! | `peek`      | fates and rows of the next messages, nothing written                     |

mod consume;
mod heartbeat;
mod lane;
mod peek;
mod rebalance;
mod start;
mod status;
mod write;

use std::collections::BTreeMap;
use std::sync::mpsc;
use std::time::Instant;

use consume::{Consuming, Pace, Routes};
use heartbeat::Heartbeats;
pub use lane::Counters;
use lane::Lane;
pub use peek::peek;
pub use status::Status;
use write::Target;

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::job::SilverJob;
use crate::migrate;
use crate::shutdown::{DRAIN_DEADLINE, Shutdown};
use crate::sink::checkpoints;
use crate::sink::clickhouse::ClickHouse;
use crate::source::{Consumer, Partition};

/// How a run of ingest ended, by job.
pub struct Summary {
    pub jobs: BTreeMap<String, JobEnd>,
    pub seconds: f64,
}

pub struct JobEnd {
    pub counters: Counters,
    pub failed: Option<Error>,
}

/// What `bullion ingest` is asked to do.
pub struct Request {
    pub jobs: Vec<SilverJob>,
    pub until_caught_up: bool,
}

/// Reads the jobs' topics until a signal comes, or until each partition has reached the end it had at the start.
pub async fn run(
    config: &Config,
    request: Request,
    status: Status,
    shutdown: Shutdown,
) -> Result<Summary> {
    let began = Instant::now();
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    let consumer = Consumer::new(&config.kafka)?;
    let prepared = prepare(config, &request, &clickhouse, &consumer).await?;
    let topics = prepared.topics(&consumer);
    consumer.subscribe(topics.iter().map(String::as_str))?;
    let (landing, landed) = mpsc::channel();
    let now = Instant::now();
    let consuming = Consuming {
        pace: Pace {
            checkpoint: now,
            status: now,
            behind: false,
            joined: false,
            ask_others: Instant::now(),
            paused: vec![false; prepared.lanes.len()],
        },
        consumer,
        lanes: prepared.lanes,
        routes: Routes::default(),
        known: prepared.known,
        ends: prepared.ends,
        first_start: config.kafka.first_start,
        group: config.kafka.group.clone(),
        budget: usize::try_from(config.memory_budget).unwrap_or(usize::MAX),
        clickhouse,
        ops: config.clickhouse.ops.clone(),
        runtime: tokio::runtime::Handle::current(),
        landed,
        landing,
        status,
        shutdown: shutdown.clone(),
        heartbeats: Heartbeats::default(),
    };
    let lanes = consume_on_thread(consuming, shutdown).await?;
    let end = |lane: Lane| {
        let name = lane.target.job.name.clone();
        (
            name,
            JobEnd {
                counters: lane.counters,
                failed: lane.failed,
            },
        )
    };
    Ok(Summary {
        jobs: lanes.into_iter().map(end).collect(),
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// librdkafka blocks, so it has a thread; after a signal nobody waits for it longer than the drain may take.
async fn consume_on_thread(consuming: Consuming, shutdown: Shutdown) -> Result<Vec<Lane>> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let spawned = std::thread::Builder::new()
        .name("consume".to_owned())
        .spawn(move || {
            // the receiver is gone only when the drain took too long
            let _ = sender.send(consuming.run());
        });
    spawned.map_err(|error| Error::new(Kind::Internal, "cannot start a thread").because(error))?;
    let overdue = async {
        let signal = shutdown.wait().await;
        tokio::time::sleep(DRAIN_DEADLINE).await;
        signal
    };
    tokio::select! {
        ended = receiver => ended.map_err(|_| Error::new(Kind::Internal, "the consuming thread panicked"))?,
        signal = overdue => Err(signal.error().context("the drain took too long and was cut short")),
    }
}

/// Jobs whose table and topic are as declared, and those that stopped before they began.
struct Prepared {
    lanes: Vec<Lane>,
    known: start::Checkpoints,
    ends: Option<BTreeMap<Partition, i64>>,
}

async fn prepare(
    config: &Config,
    request: &Request,
    clickhouse: &ClickHouse,
    consumer: &Consumer,
) -> Result<Prepared> {
    let names = &config.clickhouse;
    let mut prepared = Prepared {
        lanes: Vec::new(),
        known: Vec::new(),
        ends: request.until_caught_up.then(BTreeMap::new),
    };
    for job in &request.jobs {
        let target = Target::new(job.clone(), clickhouse.clone(), &names.silver, &names.ops);
        let mut lane = Lane::new(target);
        let ready = ready(config, clickhouse, consumer, job).await;
        match ready {
            Ok(partitions) => {
                if let Some(ends) = &mut prepared.ends {
                    for number in 0..partitions {
                        let partition = lane.partition(number);
                        let (low, high) = consumer.watermarks(&partition)?;
                        // an empty one has nothing that somebody could commit
                        if high > low {
                            ends.insert(partition, high);
                        }
                    }
                }
            }
            // every other job would meet the same: nothing can run
            Err(error) if matches!(error.kind(), Kind::Unreachable | Kind::Denied) => {
                return Err(error);
            }
            Err(error) => lane.fail(error.context(format!("job {}", job.name))),
        }
        let known = checkpoints::read(clickhouse, &names.ops, &config.kafka.group, job).await;
        prepared
            .known
            .push(known.map_err(|error| match error.kind() {
                Kind::NotFound => error.advise("run `bullion migrate` first"),
                _ => error,
            })?);
        prepared.lanes.push(lane);
    }
    if prepared.lanes.iter().all(|lane| lane.failed.is_some()) {
        let first = prepared.lanes.into_iter().find_map(|lane| lane.failed);
        return Err(first.unwrap_or_else(|| {
            Error::new(Kind::NotFound, "there is no silver job to run")
                .advise("`bullion new silver <name> --from-postgres schema.table` writes one")
        }));
    }
    Ok(prepared)
}

/// The table is what the job declares, and the topic is the one that the job's offsets belong to.
async fn ready(
    config: &Config,
    clickhouse: &ClickHouse,
    consumer: &Consumer,
    job: &SilverJob,
) -> Result<i32> {
    let names = &config.clickhouse;
    migrate::silver::verify(clickhouse, &names.silver, job).await?;
    let identity = consumer.identify(&job.topic)?;
    checkpoints::check_identity(clickhouse, &names.ops, job, &identity).await?;
    Ok(i32::try_from(identity.partitions).unwrap_or(i32::MAX))
}

impl Prepared {
    /// Topics of the jobs that can run, and the heartbeat topics of their connectors where they exist.
    fn topics(&self, consumer: &Consumer) -> Vec<String> {
        let running = self.lanes.iter().filter(|lane| lane.failed.is_none());
        let mut topics: Vec<String> = running.map(|lane| lane.target.job.topic.clone()).collect();
        let mut beats: Vec<String> = topics
            .iter()
            .map(|topic| heartbeat::topic_of(topic))
            .collect();
        beats.sort();
        beats.dedup();
        beats.retain(|topic| consumer.identify(topic).is_ok());
        topics.extend(beats);
        topics
    }
}
