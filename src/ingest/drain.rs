//! The end of a run, and of owning a partition: what is under way is finished, committed and written down.

use std::time::{Duration, Instant};

use super::consume::Consuming;
use super::lane::Lane;
use crate::evolve::record;
use crate::failpoint::{self, Point};
use crate::sink::checkpoints;
use crate::source::Partition;

/// Of the four seconds that a process has after SIGTERM; the rest is for the commit and for leaving the group.
const DRAIN: Duration = Duration::from_millis(2_000);
/// The last write of `ops.checkpoints`; Kafka has the offsets already.
const LAST_CHECKPOINT: Duration = Duration::from_millis(500);

impl Consuming {
    /// Finishes what is under way within the deadline, commits it and writes it down. What is left is redelivered.
    pub(super) fn drain(&mut self) {
        let partitions: Vec<Partition> = self.lanes.iter().flat_map(Lane::partitions).collect();
        if let Err(error) = self.consumer.pause(&partitions) {
            tracing::warn!(%error, "while draining");
        }
        if let Some(archiving) = &mut self.archiving {
            archiving.end_files(None);
        }
        if !self.finish_lanes(DRAIN) {
            tracing::warn!("writes did not end in time; their messages will come again");
        }
        failpoint::reach(Point::BeforeCommit);
        self.commit_and_wait();
        let positions = self.positions();
        let events = self.column_events();
        let write = async {
            checkpoints::write(&self.clickhouse, &self.ops, &self.group, &positions).await?;
            record::write(&self.clickhouse, &self.ops, &events).await
        };
        let written = self
            .runtime
            .block_on(async { tokio::time::timeout(LAST_CHECKPOINT, write).await });
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "ops.checkpoints or ops.columns was not written, kafka has the offsets")
            }
            Err(_) => {
                tracing::warn!("ops.checkpoints was not written in time, kafka has the offsets")
            }
        }
        self.tell();
    }

    /// Hands over every batch and waits for the writes, but not past the deadline; whether all of them ended.
    pub(super) fn finish_lanes(&mut self, deadline: Duration) -> bool {
        let until = Instant::now() + deadline;
        loop {
            for (index, lane) in self.lanes.iter_mut().enumerate() {
                let waiting = (lane.failed.is_none() && lane.has_gathered()) || lane.has_evidence();
                if waiting && !lane.is_blocked() {
                    lane.hand_over(index, &self.runtime, &self.landing);
                }
            }
            if self.lanes.iter().all(|lane| lane.in_flight.is_settled()) {
                let archiving = self.archiving.as_mut();
                return archiving.is_none_or(|archiving| archiving.finish(until));
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.landed.recv_timeout(left) {
                Ok(landed) => self.land(landed),
                Err(_) => return false,
            }
        }
    }

    /// Commits everything that is durable, in one request behind the one that may be under way, and waits for Kafka's answer.
    pub(super) fn commit_and_wait(&mut self) {
        self.take_durable();
        let offsets = self.durable_offsets(true);
        if offsets.is_empty() {
            return;
        }
        let offsets = offsets.iter().map(|(partition, next)| (partition, *next));
        if let Err(error) = self.consumer.commit_and_wait(offsets) {
            tracing::warn!(%error, "offsets were not committed, their messages may come again");
            // of partitions that stay ours
            self.pace.commit_again = true;
        }
    }
}
