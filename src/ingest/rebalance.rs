//! The group gives and takes partitions; before one is given up, what we hold of it is made durable and committed.

use std::time::Duration;

use super::consume::Consuming;
use super::lane::Owned;
use super::start::{Known, position};
use crate::error::Result;
use crate::sink::checkpoints;
use crate::source::{Partition, Rebalance};

/// Others wait for us while we finish; no longer than a dead process would keep its partitions.
const REVOKE_DRAIN: Duration = Duration::from_secs(10);

impl Consuming {
    pub(super) fn answer_group(&mut self) -> Result<()> {
        while let Some(rebalance) = self.consumer.rebalance() {
            match rebalance {
                Rebalance::Assigned(partitions) => self.take_over(&partitions)?,
                Rebalance::Revoked(partitions) => {
                    self.finish_lanes(REVOKE_DRAIN);
                    for index in 0..self.lanes.len() {
                        self.commit_and_wait(index);
                    }
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
        let committed = if partitions.is_empty() {
            Vec::new()
        } else {
            self.consumer.committed(partitions)?
        };
        let mut starts = Vec::new();
        let mut paused = Vec::new();
        let mut unknown = Vec::new();
        for found in committed {
            let partition = found.partition;
            let (low, high) = self.consumer.watermarks(&partition)?;
            let lane = self
                .lanes
                .iter()
                .position(|lane| lane.target.job.topic == partition.topic);
            let Some((index, lane)) =
                lane.and_then(|index| Some((index, self.lanes.get_mut(index)?)))
            else {
                // a heartbeat topic: only its latest message counts
                starts.push((partition, (high - 1).max(low)));
                continue;
            };
            let known = Known {
                committed: found.offset,
                checkpoint: self
                    .known
                    .get(index)
                    .and_then(|known| known.get(&partition.number))
                    .copied(),
                low,
                high,
            };
            let start = match position(&lane.target.job, &partition, &known, self.first_start) {
                Ok(start) => start,
                Err(error) => {
                    lane.fail(error);
                    paused.push(partition.clone());
                    high
                }
            };
            let owned = Owned {
                next: start,
                durable: start,
                source_time: known
                    .checkpoint
                    .and_then(|checkpoint| checkpoint.source_time),
            };
            if lane.failed.is_none() {
                lane.owned.insert(partition.number, owned);
                if found.offset.is_none() {
                    unknown.push((partition.clone(), start));
                }
            }
            starts.push((partition, start));
        }
        self.remember_starts()?;
        self.consumer.assign(&starts)?;
        self.consumer.pause(&paused)?;
        // lag tools and others of the group see where an empty partition stands, too
        if !unknown.is_empty() {
            let starts = unknown.iter().map(|(partition, start)| (partition, *start));
            self.consumer.commit(starts)?;
        }
        for (lane, paused) in self.lanes.iter().zip(&mut self.pace.paused) {
            // newly assigned partitions come unpaused; the next look pauses them where they must be
            if !lane.owned.is_empty() {
                *paused = false;
            }
        }
        self.pace.joined = true;
        tracing::info!(partitions = starts.len(), "partitions assigned");
        Ok(())
    }

    fn give_up(&mut self, partitions: &[Partition]) -> Result<()> {
        for partition in partitions {
            let lane = self
                .lanes
                .iter_mut()
                .find(|lane| lane.target.job.topic == partition.topic);
            if let Some(lane) = lane {
                lane.forget(partition.number);
            }
        }
        tracing::info!(partitions = partitions.len(), "partitions given up");
        self.consumer.unassign(partitions)
    }

    /// A partition that was started once is known for ever, so `first_start` never applies to it again: written before
    /// its first message is read.
    fn remember_starts(&mut self) -> Result<()> {
        let positions = self.positions();
        let mut is_first = false;
        for ((_, checkpoint), known) in positions.iter().zip(&mut self.known) {
            for (number, position) in checkpoint.iter() {
                is_first |= known.insert(number, position).is_none();
            }
        }
        if !is_first {
            return Ok(());
        }
        let write = checkpoints::write(&self.clickhouse, &self.ops, &self.group, &positions);
        self.runtime.block_on(write)
    }
}
