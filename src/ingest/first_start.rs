//! A partition's first start, made known for ever before its first message is read.

use std::collections::BTreeMap;

use super::consume::Consuming;
use super::rebalance::{Checkpoints, Taken};
use crate::checkpoint::Checkpoint;
use crate::error::{Kind, Result};
use crate::job::SilverJob;
use crate::sink::checkpoints;
use crate::source::Partition;

impl Consuming {
    /// What the group committed before `ops` was emptied, or in an earlier epoch, has to be gone before a first start is
    /// known: the next start of a partition that is known goes on at what is committed. Whether that is so now.
    pub(super) fn overwrite_stale(
        &mut self,
        checkpoints: &Checkpoints,
        taken: &mut [Taken],
    ) -> Result<bool> {
        let mut stale: BTreeMap<Partition, i64> = BTreeMap::new();
        for (index, number, owned) in taken.iter_mut() {
            let is_stale = owned.committed.is_some_and(|offset| offset != owned.next);
            let lane = self.lanes.get(*index);
            if let Some(lane) = lane.filter(|_| is_stale && is_first(checkpoints, *index, *number))
            {
                stale.insert(lane.partition(*number), owned.next);
                owned.committed = Some(owned.next);
            }
        }
        if stale.is_empty() {
            return Ok(true);
        }
        let offsets = stale.iter().map(|(partition, next)| (partition, *next));
        match self.consumer.commit_and_wait(offsets) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == Kind::Unreachable => Err(error),
            // the group may have gone on without us, and says so only after our answer
            Err(error) => {
                tracing::warn!(%error, "where partitions start is not known for ever yet");
                for (_, _, owned) in taken {
                    owned.committed = None;
                }
                Ok(false)
            }
        }
    }

    /// A partition that was started once is known for ever, so `first_start` never applies to it again: written before
    /// its first message is read.
    pub(super) fn remember_starts(&self, checkpoints: &Checkpoints, taken: &[Taken]) -> Result<()> {
        let first: Vec<(SilverJob, Checkpoint)> = taken
            .iter()
            .filter(|(index, number, _)| is_first(checkpoints, *index, *number))
            .filter_map(|(index, number, owned)| {
                let mut checkpoint = Checkpoint::default();
                checkpoint.advance(*number, owned.next, owned.source_time);
                let lane = self.lanes.get(*index)?;
                Some((lane.target.job.clone(), checkpoint))
            })
            .collect();
        let write = checkpoints::write(&self.clickhouse, &self.ops, &self.group, &first);
        self.within_patience(write)
    }
}

/// Nothing was ever read of the partition in this epoch.
fn is_first(checkpoints: &Checkpoints, index: usize, number: i32) -> bool {
    let known = checkpoints.get(&index);
    !known.is_some_and(|known| known.contains_key(&number))
}
