//! What the loop tells while it works: counters and lags, how fresh idle partitions are, `ops.checkpoints`.

use std::time::{Duration, Instant};

use super::consume::Consuming;
use super::lane::{Lane, Owned};
use super::status::JobStatus;
use crate::checkpoint::Checkpoint;
use crate::failpoint::{self, Point};
use crate::job::SilverJob;
use crate::sink::checkpoints;

/// `ops.checkpoints` is for what Kafka forgets within days; a small insert now and then is enough.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);
/// How often counters and lags are published.
const STATUS_EVERY: Duration = Duration::from_millis(250);

impl Consuming {
    pub(super) fn tell(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.pace.status) >= STATUS_EVERY {
            self.pace.status = now;
            self.settle_heartbeats(now);
            self.tell_columns();
            for lane in &self.lanes {
                self.status.set(&lane.target.job.name, self.status_of(lane));
            }
        }
        let idle = self
            .pace
            .checkpointing
            .as_ref()
            .is_none_or(tokio::task::JoinHandle::is_finished);
        if idle && now.duration_since(self.pace.checkpoint) >= CHECKPOINT_EVERY {
            self.pace.checkpoint = now;
            let (clickhouse, ops) = (self.clickhouse.clone(), self.ops.clone());
            let (group, positions) = (self.group.clone(), self.positions());
            let write = self.runtime.spawn(async move {
                match checkpoints::write(&clickhouse, &ops, &group, &positions).await {
                    Ok(()) => failpoint::pass(Point::CheckpointWritten).await,
                    Err(error) => {
                        tracing::warn!(%error, "ops.checkpoints was not written, trying again soon");
                    }
                }
            });
            self.pace.checkpointing = Some(write);
        }
    }

    /// A partition at its end is as far as the source was at the last heartbeat. The ends of paused partitions are not
    /// asked for, so nothing is known of them.
    fn settle_heartbeats(&mut self, now: Instant) {
        for (lane, paused) in self.lanes.iter_mut().zip(&self.pace.paused) {
            if *paused {
                continue;
            }
            let Some(time) = self.heartbeats.settled(&lane.target.job.topic, now) else {
                continue;
            };
            for number in lane.owned.keys().copied().collect::<Vec<_>>() {
                let end = self.consumer.known_end(&lane.partition(number));
                if let Some(owned) = lane.owned.get_mut(&number)
                    && end.is_some_and(|end| owned.durable >= end)
                {
                    owned.source_time = owned.source_time.max(Some(time));
                }
            }
        }
    }

    fn status_of(&self, lane: &Lane) -> JobStatus {
        let behind = |(number, owned): (&i32, &Owned)| {
            let end = self.consumer.known_end(&lane.partition(*number))?;
            Some((end - owned.durable).max(0))
        };
        JobStatus {
            counters: lane.counters.clone(),
            lag: lane.owned.iter().map(behind).sum(),
            partitions: lane.owned.len(),
            failed: lane.failed.as_ref().map(ToString::to_string),
        }
    }

    /// What is durable now, by job.
    pub(super) fn positions(&self) -> Vec<(SilverJob, Checkpoint)> {
        let of = |lane: &Lane| {
            let mut checkpoint = Checkpoint::default();
            for (number, owned) in &lane.owned {
                let topic = &lane.target.job.topic;
                let durable = self.durable_for_all(topic, *number, owned.durable);
                checkpoint.advance(*number, durable, owned.source_time);
            }
            (lane.target.job.clone(), checkpoint)
        };
        self.lanes.iter().map(of).collect()
    }
}
