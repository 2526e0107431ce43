//! Which jobs can run, before anything is read: their tables and topics are what they declare.

use std::collections::BTreeMap;

use super::archiving::Archiving;
use super::caught_up::Others;
use super::discovering::Discovering;
use super::lane::Lane;
use super::{Breaker, Request, Target, heartbeat};
use crate::budget;
use crate::config::Config;
use crate::discover::Finder;
use crate::envelope::Sources;
use crate::error::{Error, Kind, Result, Retry};
use crate::evolve::{Evolver, record};
use crate::job::SilverJob;
use crate::migrate;
use crate::sink::checkpoints;
use crate::sink::clickhouse::ClickHouse;
use crate::source::{Consumer, Identity};

/// Jobs whose table and topic are as declared, and those that stopped before they began.
pub struct Prepared {
    pub clickhouse: ClickHouse,
    pub consumer: Consumer,
    pub evolver: Evolver,
    pub discovering: Discovering,
    pub archiving: Option<Archiving>,
    pub lanes: Vec<Lane>,
    pub others: Option<Others>,
}

pub async fn prepare(config: &Config, request: &Request) -> Result<Prepared> {
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    let consumer = Consumer::connect(&config.kafka)?;
    let in_time = clickhouse.answering_in_time();
    let evolver = Evolver::new(config, &in_time);
    let archiving = match &config.archive {
        Some(settings) => {
            let most = budget::archive(config.memory_budget);
            Some(Archiving::open(settings, most).await?)
        }
        None => None,
    };
    let mut discovering = Discovering::default();
    if let Some(declared) = &request.discover {
        discovering.finder = Finder::new(config, &in_time, declared)?;
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
pub struct Preparing<'a> {
    pub config: &'a Config,
    pub clickhouse: &'a ClickHouse,
    pub consumer: &'a Consumer,
    pub evolver: &'a Evolver,
    pub until_caught_up: bool,
    pub no_breaker: bool,
}

/// The job's lane, which has failed already where only this job cannot run.
pub async fn lane_of(preparing: &Preparing<'_>, declared: &SilverJob) -> Result<Lane> {
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
    let in_time = clickhouse.answering_in_time();
    let target = Target::new(job, in_time, &names.silver, &names.ops);
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
    let job = migrate::evolved::verified(clickhouse, (&names.silver, &names.ops), declared).await?;
    for note in migrate::evolved::notes(declared, &job) {
        tracing::warn!("{note}");
    }
    let identity = consumer.identify(&job.topic)?;
    let watches = job.policies.new_column.watches_source();
    let bookkeeping = async {
        checkpoints::check_identity(clickhouse, config, &job, &identity).await?;
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
    pub fn topics_of(lanes: &[Lane], consumer: &Consumer) -> Vec<String> {
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
