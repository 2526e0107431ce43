//! Silver, continuously: receive → fate → batch → write → commit, in that order.
//!
//! | file        | what it holds                                                            |
//! |-------------|--------------------------------------------------------------------------|
//! | `prepare`   | which jobs can run, before anything is read                              |
//! | `consume`   | the loop, on a thread of its own                                         |
//! | `pace`      | when the loop last did what it does now and then                         |
//! | `routes`    | which jobs a message is for                                              |
//! | `commit`    | offsets follow what is durable, one commit after the other               |
//! | `room`      | batches go when they are due, and what cannot be taken is paused         |
//! | `caught_up` | `--until-caught-up`: the ends are reached, or others of the group stand still |
//! | `discovering` | topics that appear get a lane                                          |
//! | `archiving` | raw messages become files of the archive before their offsets are committed |
//! | `drain`     | the end: what is under way is finished and committed                     |
//! | `tell`      | counters, lags, freshness by heartbeats, `ops.checkpoints`               |
//! | `rebalance` | partitions come and go: start offsets, drain before giving up            |
//! | `evolving`  | a job waits while its table follows its source                           |
//! | `schemas`   | a job waits for a schema of the registry                                 |
//! | `lane`      | one job: decoder, batch, batches under way                               |
//! | `received`  | a message as Kafka gave it, for the decoder or as a dead letter          |
//! | `breaker`   | stops a job whose input is mostly rejects                                |
//! | `write`     | one batch becomes durable, with retries by kind of error                 |
//! | `keep`      | the same where rows lean on older ones: values that an update did not send |
//! | `parked`    | whether what those rows wait for could have come                          |
//! | `lag`       | messages behind, asked from outside                                      |
//! | `start`     | from which offset a partition is read                                    |
//! | `status`    | counters and lag, shown as live lines or heartbeats                      |
//! | `peek`      | fates and rows of the next messages, nothing written                     |

mod archiving;
mod breaker;
mod caught_up;
mod commit;
mod consume;
mod discovering;
mod drain;
mod evolving;
mod first_start;
mod heartbeat;
mod held;
mod keep;
pub mod lag;
mod lane;
mod pace;
mod parked;
mod peek;
mod prepare;
mod rebalance;
pub mod received;
mod room;
mod routes;
mod schemas;
mod start;
mod status;
mod tell;
mod topics;
mod write;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::mpsc;
use std::time::{Duration, Instant};

pub use breaker::Breaker;
use consume::{Consuming, Ended};
use heartbeat::Heartbeats;
pub use keep::Turn;
pub use lane::Counters;
use lane::Lane;
use pace::Pace;
use prepare::{Prepared, prepare};
use routes::Routes;
pub use status::Status;
pub use write::{NewTable, Target, Written};

use crate::budget;
use crate::config::Config;
use crate::discover::Found;
use crate::error::{Error, Kind, Result};
use crate::job::SilverJob;
use crate::registry::Registry;
use crate::shutdown::{DRAIN_DEADLINE, Shutdown};

/// Of the drain's deadline: for the last words of the process.
const LEAVING: Duration = Duration::from_millis(300);

/// How a run of ingest ended, by job.
pub struct Summary {
    pub jobs: BTreeMap<String, JobEnd>,
    /// topics that no job took
    pub found: Vec<Found>,
    /// others of the group stood still before they had caught up
    pub given_up: Option<Error>,
    pub seconds: f64,
}

pub struct JobEnd {
    pub counters: Counters,
    pub failed: Option<Error>,
}

/// What `bullion ingest` is asked to do.
pub struct Request {
    pub jobs: Vec<SilverJob>,
    /// how long others of the group may stand still before they have caught up
    pub until_caught_up: Option<Duration>,
    /// a job whose messages are mostly rejected goes on: all of them are wanted as dead letters
    pub no_breaker: bool,
    /// every declared job, where topics of none are to be looked for
    pub discover: Option<Vec<SilverJob>>,
}

/// Reads the jobs' topics until a signal comes, or until each partition has reached the end it had at the start.
pub async fn run(
    config: &Config,
    request: Request,
    status: Status,
    shutdown: Shutdown,
) -> Result<Summary> {
    let began = Instant::now();
    let prepared = {
        let config = config.clone();
        interruptible(&shutdown, move || async move {
            prepare(&config, &request).await
        })
        .await?
    };
    let topics = Prepared::topics_of(&prepared.lanes, &prepared.consumer);
    if !topics.is_empty() {
        prepared
            .consumer
            .subscribe(topics.iter().map(String::as_str))?;
    }
    let (landing, landed) = mpsc::channel();
    let consuming = Consuming {
        pace: Pace::new(prepared.lanes.len()),
        consumer: prepared.consumer,
        lanes: prepared.lanes,
        routes: Routes::default(),
        others: prepared.others,
        first_start: config.kafka.first_start,
        group: config.kafka.group.clone(),
        budget: budget::rows(config.memory_budget),
        clickhouse: prepared.clickhouse.answering_in_time(),
        ops: config.clickhouse.ops.clone(),
        runtime: tokio::runtime::Handle::current(),
        landed,
        landing,
        status,
        shutdown: shutdown.clone(),
        heartbeats: Heartbeats::default(),
        evolver: prepared.evolver,
        discovering: prepared.discovering,
        archiving: prepared.archiving,
        config: config.clone(),
        registry: Registry::new(&config.registry)?,
    };
    let ended = consume_on_thread(consuming, shutdown).await?;
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
        jobs: ended.lanes.into_iter().map(end).collect(),
        found: ended.found,
        given_up: ended.given_up,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// One line for each of the next `count` messages of each job; writes nothing and commits nothing.
pub async fn peek(
    config: &Config,
    jobs: Vec<SilverJob>,
    count: usize,
    shutdown: &Shutdown,
) -> Result<Vec<String>> {
    let config = config.clone();
    interruptible(shutdown, move || async move {
        peek::peek(&config, &jobs, count).await
    })
    .await
}

/// librdkafka blocks, so it has a thread; after a signal nobody waits for it longer than the drain may take.
async fn consume_on_thread(consuming: Consuming, shutdown: Shutdown) -> Result<Ended> {
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
        tokio::time::sleep(DRAIN_DEADLINE - LEAVING).await;
        signal
    };
    tokio::select! {
        ended = receiver => ended.map_err(|_| Error::new(Kind::Internal, "the consuming thread panicked"))?,
        signal = overdue => Err(signal.error().context("the drain took too long and was cut short")),
    }
}

/// librdkafka's questions block for up to ten seconds; a signal does not wait for them.
async fn interruptible<T: Send + 'static, F: Future<Output = Result<T>>>(
    shutdown: &Shutdown,
    work: impl FnOnce() -> F + Send + 'static,
) -> Result<T> {
    let runtime = tokio::runtime::Handle::current();
    let working = tokio::task::spawn_blocking(move || runtime.block_on(work()));
    tokio::select! {
        done = working => done.map_err(Error::panicked)?,
        signal = shutdown.wait() => Err(signal.error()),
    }
}
