//! Batches go to ClickHouse, and what has landed there may be committed.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::Instant;

use tokio::runtime::Handle;

use super::{Lane, Turn};
use crate::batch::Batch;
use crate::envelope::Reason;
use crate::error::Result;
use crate::ingest::write::Written;

/// Writes under way per job: one is encoded while ClickHouse works on the other.
const MOST_IN_FLIGHT: usize = 2;

/// The end of one write, as it reaches the consuming thread.
pub struct Landed {
    pub lane: usize,
    pub id: u64,
    pub outcome: Outcome,
}

pub enum Outcome {
    /// it goes on when others have come; what is left of it has so many bytes
    Parked(usize),
    Ended(Result<Written>),
}

impl Lane {
    /// No further write can start before one ends.
    pub fn is_blocked(&self) -> bool {
        self.in_flight.writing() >= MOST_IN_FLIGHT
    }

    /// The batch is as large as an insert may be: it goes as soon as a write may start.
    pub fn is_full(&self) -> bool {
        self.batch.is_full(self.most_bytes)
    }

    pub fn is_due(&self, now: Instant, behind: bool) -> bool {
        // an idle ClickHouse is given what there is, even when much more is to come
        let wait_for_more = behind && self.in_flight.writing() > 0;
        !self.batch.is_empty() && (self.is_full() || self.batch.is_old(now, wait_for_more))
    }

    pub fn has_gathered(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Memory of rows that are not durable yet. A batch on its way is there as a sorted block and as a request, too.
    pub fn bytes(&self) -> usize {
        let kept = self.evolving.as_ref().map_or(0, |lane| lane.held.bytes())
            + self.waiting.as_ref().map_or(0, |lane| lane.held.bytes());
        self.batch.bytes() + 2 * self.in_flight.bytes() + kept
    }

    /// Starts the write of what was gathered; its end arrives at `landed`.
    pub fn hand_over(&mut self, index: usize, runtime: &Handle, landed: &Sender<Landed>) {
        let batch = std::mem::replace(&mut self.batch, Batch::new(&self.target.job));
        let id = self
            .in_flight
            .hand_over(batch.checkpoint.clone(), batch.bytes());
        let target = Arc::clone(&self.target);
        let landed = landed.clone();
        let mut turn = match self.target.job.keeps() {
            true => Turn::next(&mut self.last_turn, id),
            false => Turn::default(),
        };
        runtime.spawn(async move {
            let tell = |outcome| {
                // the consuming thread is gone only when the process ends
                let _ = landed.send(Landed {
                    lane: index,
                    id,
                    outcome,
                });
            };
            let parked = |bytes| tell(Outcome::Parked(bytes));
            let result = target.write_in_turn(batch, &mut turn, &parked).await;
            tell(Outcome::Ended(result));
        });
    }

    /// A write has ended.
    pub fn land(&mut self, id: u64, outcome: Outcome) {
        let result = match outcome {
            Outcome::Parked(bytes) => return self.in_flight.parked(id, bytes),
            Outcome::Ended(result) => result,
        };
        match result {
            Ok(written) => {
                let reason = Reason::ToastPlaceholder.as_str();
                if !written.rejected.is_empty() {
                    let rejected = written.rejected.len() as u64;
                    self.counters.rows = self.counters.rows.saturating_sub(rejected);
                    *self.counters.rejects.entry(reason).or_default() += rejected;
                    tracing::warn!(
                        job = self.target.job.name,
                        rejected,
                        reason,
                        "nothing to keep: the rows before them are not in silver; they stay in ops.dead_letters"
                    );
                }
                self.counters.written += written.rows as u64;
                self.counters.inserts += u64::from(written.rows > 0);
                let (rows, late) = (written.taken as u64, written.rejected.len() as u64);
                let job = &self.target.job;
                match self.breaker.count_late(job, rows, late, reason) {
                    Some(error) if self.failed.is_none() => {
                        // the corrected job reads it again
                        self.in_flight.failed(id);
                        self.fail(error);
                    }
                    _ => self.in_flight.durable(id),
                }
            }
            Err(error) => {
                self.in_flight.failed(id);
                if self.failed.is_none() {
                    self.fail(error);
                }
            }
        }
    }

    /// Takes out what landed: so far may be committed.
    pub fn take_durable(&mut self) {
        let reached = self.in_flight.take_durable();
        for (partition, position) in reached.iter() {
            if let Some(owned) = self.owned.get_mut(&partition) {
                owned.durable = owned.durable.max(position.next_offset);
                owned.source_time = owned.source_time.max(position.source_time);
            }
        }
    }
}
