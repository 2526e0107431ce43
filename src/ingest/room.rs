//! Batches go when they are due, and what cannot be taken is paused.

use std::time::Instant;

use super::archiving::Archiving;
use super::consume::Consuming;
use super::lane::Lane;
use crate::error::Result;

impl Consuming {
    pub(super) fn hand_over_due(&mut self) {
        let now = Instant::now();
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            // everything below the ends is here already: nothing more to wait for
            let ending = self.others.is_some() && lane.has_reached_ends(|owned| owned.next);
            let due = lane.is_due(now, self.pace.behind) || (ending && lane.has_gathered());
            let wanted = (lane.failed.is_none() && due) || lane.has_evidence();
            if wanted && !lane.is_blocked() {
                lane.hand_over(index, &self.runtime, &self.landing);
            }
        }
    }

    /// Pauses what cannot be taken: jobs that stopped, jobs with full batches, everything above the budget.
    pub(super) fn mind_memory(&mut self) -> Result<()> {
        let archived = self.archiving.as_ref().map_or(0, Archiving::bytes);
        let held = self.lanes.iter().map(Lane::bytes).sum::<usize>() + archived;
        let over = held > self.budget;
        let wish = |(lane, paused): (&Lane, &bool)| {
            // with hysteresis: a resumed partition is fetched anew
            let relieved = held < self.budget / 2 && !lane.is_blocked() && !lane.is_keeping();
            over || lane.is_keeping()
                || (lane.is_full() && lane.is_blocked())
                || (*paused && !relieved)
        };
        let wishes: Vec<bool> = self.lanes.iter().zip(&self.pace.paused).map(wish).collect();
        for index in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get(index) else {
                continue;
            };
            // one that has stopped does not hold up the others of its topic
            let mut live = self.lanes.iter().zip(&wishes).filter(|(other, _)| {
                other.failed.is_none() && other.target.job.topic == lane.target.job.topic
            });
            let first = live.next();
            let wanted = first.is_none_or(|(_, wish)| *wish) || live.any(|(_, wish)| *wish);
            let Some(paused) = self.pace.paused.get_mut(index) else {
                continue;
            };
            if wanted != *paused && !lane.owned.is_empty() {
                let partitions = lane.partitions();
                if wanted {
                    self.consumer.pause(&partitions)?;
                } else {
                    self.consumer.resume(&partitions)?;
                }
                *paused = wanted;
            }
        }
        Ok(())
    }
}
