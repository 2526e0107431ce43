//! The group gives and takes partitions; before one is given up, what we hold of it is made durable and committed.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::{Duration, Instant};

use super::consume::Consuming;
use super::lane::{Lane, Owned};
use super::start::{Known, position};
use crate::archive::Reached;
use crate::checkpoint::Position;
use crate::error::{Error, Kind, Result, Retry};
use crate::sink::checkpoints;
use crate::source::{Partition, Positioned, Rebalance};

/// Others wait for us while we finish; well below any `max.poll.interval.ms`, since nothing is polled meanwhile.
const REVOKE_DRAIN: Duration = Duration::from_secs(5);
/// How often a signal is looked for during that.
const SLICE: Duration = Duration::from_millis(100);
/// The consuming thread waits so long for `ops`; a ClickHouse that is slower is asked again, and polling goes on.
const BOOKKEEPING: Duration = Duration::from_secs(2);
/// Pause before the group is answered again.
const ANSWER_AGAIN: Duration = Duration::from_millis(500);

/// A partition that is about to be ours: its job's index, its number, where it stands.
pub(super) type Taken = (usize, i32, Owned);
/// What `ops.checkpoints` knows: job's index → partition → position.
pub(super) type Checkpoints = BTreeMap<usize, BTreeMap<i32, Position>>;
/// How far the archive is: topic, epoch, partition, position.
type Kept = (String, u8, i32, Reached);

impl Consuming {
    /// What cannot be answered because Kafka or ClickHouse is lost is answered later.
    pub(super) fn answer_group(&mut self) -> Result<()> {
        if Instant::now() < self.pace.answer {
            return Ok(());
        }
        while let Some(rebalance) = self.consumer.rebalance() {
            match rebalance {
                Rebalance::Assigned(partitions) => match self.take_over(&partitions) {
                    Ok(()) => {}
                    Err(error) if may_pass(error.kind()) => {
                        tracing::warn!(%error, "partitions wait until it can be told where they start");
                        self.pace.answer = Instant::now() + ANSWER_AGAIN;
                        self.consumer.postpone(Rebalance::Assigned(partitions));
                        return Ok(());
                    }
                    Err(error) => return Err(error),
                },
                Rebalance::Revoked(partitions) => {
                    if let Some(archiving) = &mut self.archiving {
                        archiving.end_files(Some(&partitions));
                    }
                    let until = Instant::now() + REVOKE_DRAIN;
                    while !self.finish_lanes(SLICE)
                        && Instant::now() < until
                        && self.shutdown.requested().is_none()
                    {}
                    self.commit_and_wait();
                    self.give_up(&partitions)?;
                }
                Rebalance::Lost(partitions) => {
                    tracing::warn!(
                        partitions = partitions.len(),
                        "partitions were lost, nothing is committed for them"
                    );
                    self.give_up(&partitions)?;
                }
            }
        }
        Ok(())
    }

    fn take_over(&mut self, partitions: &[Partition]) -> Result<()> {
        self.check_topics(partitions)?;
        let checkpoints = self.read_checkpoints(partitions)?;
        let committed = if partitions.is_empty() {
            Vec::new()
        } else {
            self.consumer.committed(partitions)?
        };
        let mut starts = Vec::new();
        let mut taken = Vec::new();
        for found in committed {
            let its = self.lanes_on(&found.partition.topic);
            let live: Vec<usize> = its
                .iter()
                .copied()
                .filter(|index| self.is_live(*index))
                .collect();
            let Some(first) = live.first().copied() else {
                if its.is_empty() {
                    // a heartbeat topic: only its latest message counts
                    let (low, high) = self.consumer.watermarks(&found.partition)?;
                    starts.push((found.partition, (high - 1).max(low)));
                } else {
                    // it is paused, and its topic may be gone
                    starts.push((found.partition, found.offset.unwrap_or(0)));
                }
                continue;
            };
            let (low, high) = self.consumer.watermarks(&found.partition)?;
            let known = Known {
                committed: found.offset,
                checkpoint: checkpoints
                    .get(&first)
                    .and_then(|known| known.get(&found.partition.number))
                    .copied(),
                low,
                high,
            };
            let mut start = None;
            for index in live {
                if let Some(lane) = self.lanes.get_mut(index) {
                    start = start.or(start_of(lane, &found, &known, self.first_start));
                }
            }
            starts.push((
                found.partition.clone(),
                start.map_or(high, |owned| owned.next),
            ));
            // also by jobs of the topic that have stopped: nothing is committed past what they have
            if let Some(owned) = start {
                taken.extend(
                    its.iter()
                        .map(|index| (*index, found.partition.number, owned)),
                );
            }
        }
        let archived = self.archived(&taken)?;
        if self.overwrite_stale(&checkpoints, &mut taken)? {
            self.remember_starts(&checkpoints, &taken)?;
        }
        self.consumer.assign(&starts)?;
        if let Some(archiving) = &mut self.archiving {
            for (topic, epoch, number, reached) in archived {
                archiving.own(&topic, epoch, number, reached);
            }
        }
        for (index, number, owned) in taken {
            if let Some(lane) = self.lanes.get_mut(index) {
                lane.owned.insert(number, owned);
            }
        }
        self.pause_as_before(&starts)?;
        self.pace.joined = true;
        tracing::info!(partitions = starts.len(), "partitions assigned");
        Ok(())
    }

    /// Jobs that read this topic.
    fn lanes_on(&self, topic: &str) -> Vec<usize> {
        let lanes = self.lanes.iter().enumerate();
        let its = lanes.filter(|(_, lane)| lane.target.job.topic == topic);
        its.map(|(index, _)| index).collect()
    }

    fn is_live(&self, index: usize) -> bool {
        let lane = self.lanes.get(index);
        lane.is_some_and(|lane| lane.failed.is_none())
    }

    /// Jobs whose topics are among these.
    pub(super) fn lanes_of(&self, partitions: &[Partition]) -> Vec<usize> {
        let touched = |lane: &Lane| {
            let mut partitions = partitions.iter();
            partitions.any(|partition| partition.topic == lane.target.job.topic)
        };
        let lanes = self.lanes.iter().enumerate();
        let its = lanes.filter(|(_, lane)| touched(lane));
        its.map(|(index, _)| index).collect()
    }

    /// Read anew each time: another process of the group may have moved on meanwhile.
    fn read_checkpoints(&self, partitions: &[Partition]) -> Result<Checkpoints> {
        let mut read = BTreeMap::new();
        for index in self.lanes_of(partitions) {
            if let Some(lane) = self.lanes.get(index) {
                let job = &lane.target.job;
                let asked = checkpoints::read(&self.clickhouse, &self.ops, &self.group, job);
                read.insert(index, self.within_patience(asked)?);
            }
        }
        Ok(read)
    }

    /// How far the archive is already, from where each partition starts: what a process wrote that died before it
    /// committed is not written again.
    fn archived(&self, taken: &[Taken]) -> Result<Vec<Kept>> {
        let Some(archiving) = &self.archiving else {
            return Ok(Vec::new());
        };
        let mut starts: BTreeMap<(&str, u8), BTreeMap<i32, i64>> = BTreeMap::new();
        for (index, number, owned) in taken {
            let Some(job) = self.lanes.get(*index).map(|lane| &lane.target.job) else {
                continue;
            };
            if archiving.takes(&job.topic) {
                let starts = starts.entry((&job.topic, job.epoch)).or_default();
                starts.insert(*number, owned.next);
            }
        }
        let mut archived = Vec::new();
        for ((topic, epoch), starts) in starts {
            let reached = archiving.reached(topic, epoch, &starts);
            let reached = self.within_patience(reached)?.into_iter();
            archived.extend(reached.map(|(number, at)| (topic.to_owned(), epoch, number, at)));
        }
        Ok(archived)
    }

    pub(super) fn within_patience<T>(&self, asked: impl Future<Output = Result<T>>) -> Result<T> {
        let answer = self
            .runtime
            .block_on(async { tokio::time::timeout(BOOKKEEPING, asked).await });
        answer.unwrap_or_else(|_| {
            Err(Error::new(
                Kind::Busy,
                format!(
                    "clickhouse, or the archive, did not answer within {} s",
                    BOOKKEEPING.as_secs()
                ),
            ))
        })
    }

    /// New partitions come unpaused: those of a job that stopped or waits are paused like its others.
    fn pause_as_before(&mut self, starts: &[(Partition, i64)]) -> Result<()> {
        let is_paused = |partition: &Partition| {
            let its = self.lanes_on(&partition.topic);
            let waits = |index: &usize| {
                !self.is_live(*index) || self.pace.paused.get(*index) == Some(&true)
            };
            Some(!its.is_empty() && its.iter().all(waits))
        };
        let paused: Vec<Partition> = starts
            .iter()
            .map(|(partition, _)| partition)
            .filter(|partition| is_paused(partition) == Some(true))
            .cloned()
            .collect();
        self.consumer.pause(&paused)
    }

    fn give_up(&mut self, partitions: &[Partition]) -> Result<()> {
        for partition in partitions {
            for lane in &mut self.lanes {
                if lane.target.job.topic == partition.topic {
                    lane.forget(partition.number);
                }
            }
            if let Some(archiving) = &mut self.archiving {
                archiving.forget(partition);
            }
        }
        for (lane, paused) in self.lanes.iter().zip(&mut self.pace.paused) {
            *paused &= !lane.owned.is_empty();
        }
        tracing::info!(partitions = partitions.len(), "partitions given up");
        self.consumer.unassign(partitions)
    }
}

/// What may be otherwise in a moment. A topic that is missing is one to wait for: it is its job's end, or that of none, when it
/// stays away.
fn may_pass(kind: Kind) -> bool {
    kind == Kind::NotFound || kind.policy().retry != Retry::Never
}

/// Where the partition starts; `None` where its job has stopped or stops because of it.
fn start_of(
    lane: &mut Lane,
    found: &Positioned,
    known: &Known,
    first_start: crate::config::FirstStart,
) -> Option<Owned> {
    if lane.failed.is_some() {
        return None;
    }
    match position(&lane.target.job, &found.partition, known, first_start) {
        Ok(start) => Some(Owned {
            next: start,
            durable: start,
            committed: found.offset,
            source_time: known
                .checkpoint
                .and_then(|checkpoint| checkpoint.source_time),
        }),
        Err(error) => {
            lane.fail(error);
            None
        }
    }
}
