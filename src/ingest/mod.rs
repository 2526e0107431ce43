//! Silver, continuously: receive → fate → batch → write → commit, in that order.
//!
//! | file        | what it holds                                                            |
//! |-------------|--------------------------------------------------------------------------|
//! | `consume`   | the loop, on a thread of its own; commits only what landed               |
//! | `caught_up` | `--until-caught-up`: the ends are reached, or others of the group stand still |
//! | `discovering` | topics that appear get a lane                                          |
//! | `archiving` | raw messages become files of the archive before their offsets are committed |
//! | `drain`     | the end: what is under way is finished and committed                     |
//! | `tell`      | counters, lags, freshness by heartbeats, `ops.checkpoints`               |
//! | `rebalance` | partitions come and go: start offsets, drain before giving up            |
//! | `evolving`  | a job waits while its table follows its source                           |
//! | `schemas`   | a job waits for a schema of the registry                                 |
//! | `lane`      | one job: decoder, batch, batches under way                               |
//! | `breaker`   | stops a job whose input is mostly rejects                                |
//! | `write`     | one batch becomes durable, with retries by kind of error                 |
//! | `keep`      | the same where rows lean on older ones: values that an update did not send |
//! | `lag`       | messages behind, asked from outside                                      |
//! | `start`     | from which offset a partition is read                                    |
//! | `status`    | counters and lag, shown as live lines or heartbeats                      |
//! | `peek`      | fates and rows of the next messages, nothing written                     |

mod archiving;
mod breaker;
mod caught_up;
mod consume;
mod discovering;
mod drain;
mod evolving;
mod heartbeat;
mod keep;
pub mod lag;
mod lane;
mod peek;
mod rebalance;
mod schemas;
mod start;
mod status;
mod tell;
mod write;

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use archiving::Archiving;
pub use breaker::Breaker;
use caught_up::Others;
use consume::{Consuming, Ended, Pace, Routes};
use discovering::Discovering;
use heartbeat::Heartbeats;
pub use keep::Turn;
pub use lane::Counters;
use lane::Lane;
pub use lane::dead_letter;
pub use status::Status;
pub use write::{Target, Written};

use crate::budget;
use crate::config::Config;
use crate::discover::{Finder, Found};
use crate::envelope::Sources;
use crate::error::{Error, Kind, Result, Retry};
use crate::evolve::{Evolver, record};
use crate::job::SilverJob;
use crate::migrate;
use crate::registry::Registry;
use crate::shutdown::{DRAIN_DEADLINE, Shutdown};
use crate::sink::checkpoints;
use crate::sink::clickhouse::ClickHouse;
use crate::source::{Consumer, Identity};

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
        clickhouse: prepared.clickhouse,
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
        done = working => done.map_err(|error| Error::new(Kind::Internal, "a thread panicked").because(error))?,
        signal = shutdown.wait() => Err(signal.error()),
    }
}

/// Jobs whose table and topic are as declared, and those that stopped before they began.
struct Prepared {
    clickhouse: ClickHouse,
    consumer: Consumer,
    evolver: Evolver,
    discovering: Discovering,
    archiving: Option<Archiving>,
    lanes: Vec<Lane>,
    others: Option<Others>,
}

async fn prepare(config: &Config, request: &Request) -> Result<Prepared> {
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    let consumer = Consumer::connect(&config.kafka)?;
    let evolver = Evolver::new(config, &clickhouse);
    let archiving = match &config.archive {
        Some(settings) => {
            let most = budget::archive(config.memory_budget);
            Some(Archiving::open(settings, most).await?)
        }
        None => None,
    };
    let mut discovering = Discovering::default();
    if let Some(declared) = &request.discover {
        discovering.finder = Finder::new(config, &clickhouse, declared)?;
        discovering.begin().await?;
    }
    let preparing = Preparing {
        config,
        clickhouse: &clickhouse,
        consumer: &consumer,
        evolver: &evolver,
        until_caught_up: request.until_caught_up.is_some(),
        no_breaker: request.no_breaker,
    };
    let mut lanes = Vec::new();
    let made = discovering
        .found
        .iter()
        .filter_map(|found| found.job.as_ref());
    for declared in request.jobs.iter().chain(made) {
        lanes.push(lane_of(&preparing, declared).await?);
    }
    let none_runs = lanes.iter().all(|lane| lane.failed.is_some());
    if none_runs && !(lanes.is_empty() && discovering.is_on()) {
        let first = lanes.into_iter().find_map(|lane| lane.failed);
        return Err(first.unwrap_or_else(|| {
            Error::new(Kind::NotFound, "there is no silver job to run")
                .advise("`bullion new silver <name> --from-postgres schema.table` writes one")
        }));
    }
    Ok(Prepared {
        clickhouse,
        consumer,
        evolver,
        discovering,
        archiving,
        lanes,
        others: request.until_caught_up.map(Others::new),
    })
}

/// A fault of what all jobs share, and not of one.
fn is_shared(kind: Kind) -> bool {
    kind == Kind::Denied || kind.policy().retry != Retry::Never
}

/// What a lane is made with.
struct Preparing<'a> {
    config: &'a Config,
    clickhouse: &'a ClickHouse,
    consumer: &'a Consumer,
    evolver: &'a Evolver,
    until_caught_up: bool,
    no_breaker: bool,
}

/// The job's lane, which has failed already where only this job cannot run.
async fn lane_of(preparing: &Preparing<'_>, declared: &SilverJob) -> Result<Lane> {
    let Preparing {
        config,
        clickhouse,
        consumer,
        ..
    } = preparing;
    let names = &config.clickhouse;
    let ready = ready(config, preparing.evolver, clickhouse, consumer, declared).await;
    let (job, sources, ready) = match ready {
        Ok(ready) => (ready.job, ready.sources, Ok(ready.identity)),
        Err(error) => (declared.clone(), Sources::default(), Err(error)),
    };
    let target = Target::new(job, (*clickhouse).clone(), &names.silver, &names.ops);
    let mut lane = Lane::new(target, sources, budget::batch(config.memory_budget));
    if preparing.no_breaker {
        lane.breaker = Breaker::off();
    }
    match ready {
        Ok(identity) => {
            if preparing.until_caught_up {
                lane.ends = ends(consumer, &lane, identity.partitions)?;
            }
            lane.identity = Some(identity);
        }
        // every other job would meet the same: nothing can run now
        Err(error) if is_shared(error.kind()) => return Err(error),
        Err(error) => lane.fail(error.context(format!("job {}", declared.name))),
    }
    Ok(lane)
}

/// Partition → first offset that does not exist yet, of those that hold anything.
fn ends(consumer: &Consumer, lane: &Lane, partitions: u32) -> Result<BTreeMap<i32, i64>> {
    let mut ends = BTreeMap::new();
    for number in 0..i32::try_from(partitions).unwrap_or(i32::MAX) {
        let (low, high) = consumer.watermarks(&lane.partition(number))?;
        if high > low {
            ends.insert(number, high);
        }
    }
    Ok(ends)
}

/// A job that can run.
struct Ready {
    /// as it is decoded, see `migrate::evolved`
    job: SilverJob,
    sources: Sources,
    identity: Identity,
}

/// The table is what the job declares, and the topic is the one that the job's offsets belong to.
async fn ready(
    config: &Config,
    evolver: &Evolver,
    clickhouse: &ClickHouse,
    consumer: &Consumer,
    declared: &SilverJob,
) -> Result<Ready> {
    let names = &config.clickhouse;
    let job = migrate::evolved::verified(clickhouse, &names.silver, declared).await?;
    for note in migrate::evolved::notes(declared, &job) {
        tracing::warn!("{note}");
    }
    let identity = consumer.identify(&job.topic)?;
    let watches = job.policies.new_column.watches_source();
    let bookkeeping = async {
        checkpoints::check_identity(clickhouse, &names.ops, &job, &identity).await?;
        match watches {
            true => {
                record::catch_up(clickhouse, &names.ops, declared, &job).await?;
                record::sources(clickhouse, &names.ops, &job).await
            }
            false => Ok(Sources::default()),
        }
    };
    let sources = bookkeeping.await.map_err(|error| match error.kind() {
        Kind::NotFound => error.advise("run `bullion migrate` first"),
        _ => error,
    })?;
    if watches {
        evolver.refresh_views(&job).await?;
    }
    Ok(Ready {
        job,
        sources,
        identity,
    })
}

impl Prepared {
    /// Topics of the jobs that can run, and the heartbeat topics of their connectors where they exist.
    fn topics_of(lanes: &[Lane], consumer: &Consumer) -> Vec<String> {
        let running = lanes.iter().filter(|lane| lane.failed.is_none());
        let mut topics: Vec<String> = running.map(|lane| lane.target.job.topic.clone()).collect();
        topics.sort();
        topics.dedup();
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
