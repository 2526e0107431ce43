//! Offsets follow what is durable, one commit after the other.

use std::time::{Duration, Instant};

use super::consume::Consuming;
use super::lane::{Landed, Lane};
use super::pace::Pace;
use crate::failpoint::{self, Point};
use crate::source::{Committed, Partition};

/// A commit that Kafka did not take is sent again after this.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);
/// How often it is said that Kafka does not answer a commit.
const COMMIT_IS_LATE: Duration = Duration::from_secs(30);

impl Consuming {
    /// One commit is under way at most: what lands meanwhile goes with the next one.
    pub(super) fn commit_landed(&mut self) {
        while let Ok(landed) = self.landed.try_recv() {
            self.land(landed);
        }
        self.take_durable();
        let now = Instant::now();
        match self.consumer.last_commit(Duration::ZERO) {
            Committed::Settled => {}
            Committed::Awaited(since) => return self.pace.mind_late_commit(since, now),
            Committed::Refused(error) => {
                tracing::warn!(%error, "offsets were not committed, they are sent again while the partitions are ours");
                self.pace.commit_again = true;
                self.pace.commit = now;
            }
        }
        let again = self.pace.commit_again;
        // what was refused may have been cut off: whatever is left of it on the way arrives first
        if again && now.duration_since(self.pace.commit) < COMMIT_AGAIN {
            return;
        }
        let offsets = self.durable_offsets(again);
        self.pace.commit_again = false;
        if offsets.is_empty() {
            return;
        }
        self.pace.commit = now;
        failpoint::reach(Point::BeforeCommit);
        let sent = self
            .consumer
            .commit(offsets.iter().map(|(partition, next)| (partition, *next)));
        failpoint::reach(Point::DuringCommit);
        if let Err(error) = sent {
            tracing::warn!(%error, "offsets were not committed, trying again soon");
            self.pace.commit_again = true;
        }
    }

    /// What landed is durable now.
    pub(super) fn take_durable(&mut self) {
        self.lanes.iter_mut().for_each(Lane::take_durable);
    }

    pub(super) fn land(&mut self, landed: Landed) {
        if let Some(lane) = self.lanes.get_mut(landed.lane) {
            lane.land(landed.id, landed.outcome);
        }
    }

    /// Of the partitions that are ours now: what is durable and was not sent to Kafka yet, or all of it. A topic of several
    /// jobs is as far as the last of them, also where that one has stopped.
    pub(super) fn durable_offsets(&mut self, all: bool) -> Vec<(Partition, i64)> {
        let mut offsets = Vec::new();
        for index in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get(index) else {
                continue;
            };
            let mut changed = Vec::new();
            for (number, owned) in &lane.owned {
                let durable = self.durable_for_all(&lane.target.job.topic, *number, owned.durable);
                if all || owned.committed != Some(durable) {
                    changed.push((lane.partition(*number), durable));
                }
            }
            let Some(lane) = self.lanes.get_mut(index) else {
                continue;
            };
            for (partition, durable) in changed {
                if let Some(owned) = lane.owned.get_mut(&partition.number) {
                    owned.committed = Some(durable);
                }
                offsets.push((partition, durable));
            }
        }
        offsets
    }

    /// What is durable of a partition in each job of its topic, and in the archive.
    pub(super) fn durable_for_all(&self, topic: &str, number: i32, durable: i64) -> i64 {
        let its = self
            .lanes
            .iter()
            .filter(|lane| lane.target.job.topic == topic);
        let positions = its.filter_map(|lane| Some(lane.owned.get(&number)?.durable));
        let archived = self.archiving.as_ref();
        let archived = archived.and_then(|archiving| archiving.durable(topic, number));
        positions.chain(archived).fold(durable, i64::min)
    }
}

impl Pace {
    fn mind_late_commit(&mut self, since: Instant, now: Instant) {
        let last = since.max(self.late_commit);
        if now.duration_since(last) >= COMMIT_IS_LATE {
            self.late_commit = now;
            let seconds = now.duration_since(since).as_secs();
            tracing::warn!(
                seconds,
                "kafka has not answered a commit of offsets, later ones wait for it"
            );
        }
    }
}
