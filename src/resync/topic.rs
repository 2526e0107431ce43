//! From Kafka: every message that the topic still has, under its own version, as far as ingest has come.
//!
//! Rows from there on are ingest's, and are carried over. Rows that come from no message which Kafka has (older than the topic,
//! or written from the source database) are at stake: they are kept or dropped as the caller says, and never without a word.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::mark::{self, Untold};
use super::swap::Parts;
use super::untold::Comparing;
use super::{Anew, Filled, NotInKafka, Summary};
use crate::column::KeyColumns;
use crate::error::{Error, Kind, Result};
use crate::failpoint::{self, Point};
use crate::job::SilverJob;
use crate::lease::Lease;
use crate::progress::Progress;
use crate::rate::Rate;
use crate::replay::{self, NewTable, Offsets, Replay, Replayed, Until};
use crate::shutdown::Shutdown;
use crate::sink::checkpoints;

/// How often a reader of messages looks whether the lease is still its own.
const LOOK: Duration = Duration::from_secs(5);

/// Nothing where the plan was all that was asked for.
pub(super) async fn fill(
    anew: &Anew<'_>,
    asked: Option<NotInKafka>,
    terminal: bool,
    shutdown: &Shutdown,
    told: impl Fn(String),
) -> Result<Option<Filled>> {
    let Anew { job, tables, .. } = *anew;
    check(anew).await?;
    let replay = prepare(anew).await?;
    let ranges = replay.plan.ranges.clone();
    let question = Untold::question(job.epoch, &ranges, &tables.live());
    let untold: Untold = anew.clickhouse.one(&question).await?;
    told(plan(anew, &replay, untold).await?);
    if asked.is_none() && untold.rows() > 0 {
        return Err(untold_error(job, untold));
    }
    if anew.dry_run {
        return Ok(None);
    }
    let keeps = asked != Some(NotInKafka::Drop);
    let mark = mark::of_topic(job.epoch, &ranges, keeps);
    tables.create_shadow(&mark).await?;
    failpoint::pass(Point::ResyncBegun).await;
    let mut seen = Parts::new();
    let mut summary = Summary::default();
    if keeps {
        // first, since messages may lean on what older ones have left
        summary.copied = tables.carry(&mark, &mut seen).await?;
        summary.kept = untold.rows();
    }
    let replayed = read(anew, replay, terminal, shutdown).await?;
    summary.messages = replayed.messages;
    summary.rows = replayed.rows;
    summary.rejects = replayed.rejects;
    let comparing = Comparing {
        anew,
        mark: &mark,
        asked,
    };
    if let Err(error) = comparing.run(&mut summary).await {
        tables.drop_shadow().await?;
        return Err(error);
    }
    Ok(Some(Filled {
        mark,
        seen,
        summary,
    }))
}

/// What cannot be built from messages, whatever they are.
async fn check(anew: &Anew<'_>) -> Result<()> {
    let Anew { job, .. } = *anew;
    if KeyColumns::of(job).iter().next().is_none() {
        let message = format!(
            "job {} has no key: each of its messages is a row, and nothing tells which are too many",
            job.name
        );
        return Err(Error::new(Kind::Mismatch, message).advise(format!(
            "`bullion replay {} --from-start` writes them again",
            job.name
        )));
    }
    if checkpoints::has_grown(anew.clickhouse, &anew.config.clickhouse.ops, job).await? {
        let message = format!(
            "job {}: topic {} got more partitions when its epoch was raised: read under epoch {}, messages of before would \
             win over those of after",
            job.name, job.topic, job.epoch
        );
        return Err(Error::new(Kind::Mismatch, message).advise(
            "build the table from its source database: `bullion resync` without --source kafka",
        ));
    }
    Ok(())
}

/// Which messages: from the first that there is to the first that ingest has not made durable.
async fn prepare(anew: &Anew<'_>) -> Result<Replay> {
    let Anew { job, config, .. } = *anew;
    let ops = &config.clickhouse.ops;
    let reached = checkpoints::read(anew.clickhouse, ops, &config.kafka.group, job).await?;
    if reached.is_empty() {
        let message = format!(
            "job {}: ingest has read nothing of topic {} in epoch {}, so there is nothing to build anew",
            job.name, job.topic, job.epoch
        );
        return Err(Error::new(Kind::NotFresh, message).advise(format!(
            "`bullion ingest {} --until-caught-up` builds it",
            job.name
        )));
    }
    let ends: Offsets = reached
        .iter()
        .map(|(partition, position)| (*partition, position.next_offset))
        .collect();
    let (config, clickhouse, job) = (config.clone(), anew.clickhouse.clone(), job.clone());
    let runtime = Handle::current();
    // librdkafka blocks, so it has a thread
    let preparing = spawn_blocking(move || {
        let (from, until) = (replay::From::Start, Until::Offsets(ends));
        runtime.block_on(Replay::prepare(&config, &clickhouse, job, &from, &until))
    });
    preparing.await.map_err(Error::panicked)?
}

async fn plan(anew: &Anew<'_>, replay: &Replay, untold: Untold) -> Result<String> {
    let Anew { job, tables, .. } = *anew;
    let stored = tables.rows().await?;
    Ok(format!(
        "{}: {stored} rows in silver, of which Kafka does not tell {}; {} messages of topic {} at most go into {}, which then \
         takes the place of {}",
        job.name,
        untold.rows(),
        replay.plan.messages(),
        job.topic,
        tables.shadow_name(),
        tables.name()
    ))
}

fn untold_error(job: &SilverJob, untold: Untold) -> Error {
    let message = format!(
        "job {}: Kafka does not tell of {} rows of silver: {} are of messages that topic {} does not have any more, {} were \
         written from the source database or a file",
        job.name,
        untold.rows(),
        untold.older,
        job.topic,
        untold.written
    );
    Error::new(Kind::Mismatch, message).advise(
        "`--not-in-kafka keep` leaves them as they are, `--not-in-kafka drop` is without them",
    )
}

/// Blocks a thread, and ends early where the lease is lost.
async fn read(
    anew: &Anew<'_>,
    replay: Replay,
    terminal: bool,
    shutdown: &Shutdown,
) -> Result<Replayed> {
    let (config, clickhouse, shutdown) = (
        anew.config.clone(),
        anew.clickhouse.clone(),
        shutdown.clone(),
    );
    // a column that ingest adds to the live table meanwhile is none of the shadow's
    let replay = replay.into_table(NewTable {
        name: anew.tables.shadow(),
        columns: anew.tables.columns().await?,
    });
    let messages = replay.plan.messages();
    let progress = Progress::new(&anew.job.name, "messages", messages, terminal);
    let reading = spawn_blocking(move || {
        let rate = Rate::unlimited();
        replay.run(&config, &clickhouse, &progress, &rate, &shutdown)
    });
    tokio::select! {
        read = reading => read.map_err(Error::panicked)?,
        lost = lost(anew.lease) => Err(lost),
    }
}

async fn lost(lease: &Lease) -> Error {
    loop {
        tokio::time::sleep(LOOK).await;
        if let Err(error) = lease.check().await {
            return error;
        }
    }
}
