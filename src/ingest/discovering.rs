//! Topics that appear while ingest runs: looked for on a thread of its own, taken up by the loop.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::consume::Consuming;
use super::prepare::{Prepared, Preparing, lane_of};
use crate::discover::{Finder, Found};
use crate::error::{Error, Result};

/// How soon a new table is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

type Looked = (Finder, Result<Vec<Found>>);

/// The finder, while it is here and while it looks.
#[derive(Default)]
pub struct Discovering {
    pub finder: Option<Finder>,
    looking: Option<JoinHandle<Looked>>,
    last: Option<Instant>,
    /// what is not taken up yet
    waiting: Vec<Found>,
    /// everything that was found since the start
    pub found: Vec<Found>,
}

impl Discovering {
    pub fn is_on(&self) -> bool {
        self.finder.is_some() || self.looking.is_some()
    }

    /// The first look, before anything is read.
    pub async fn begin(&mut self) -> Result<()> {
        if let Some(finder) = &mut self.finder {
            self.found = finder.look().await?;
            self.last = Some(Instant::now());
        }
        Ok(())
    }
}

impl Consuming {
    /// Looks now and then; what was found gets a lane, and its topic is subscribed to.
    pub(super) fn discover(&mut self) -> Result<()> {
        let looked = match self.discovering.looking.take() {
            Some(looking) if !looking.is_finished() => {
                self.discovering.looking = Some(looking);
                return Ok(());
            }
            Some(looking) => self.runtime.block_on(looking),
            None => {
                self.look();
                return Ok(());
            }
        };
        let (finder, found) = looked.map_err(Error::panicked)?;
        self.discovering.finder = Some(finder);
        match found {
            Ok(found) => self.discovering.waiting.extend(found),
            Err(error) => {
                tracing::warn!(%error, "looking for new topics failed, looking again soon")
            }
        }
        for found in std::mem::take(&mut self.discovering.waiting) {
            self.take_up(found)?;
        }
        Ok(())
    }

    fn look(&mut self) {
        let last = self.discovering.last;
        if last.is_some_and(|last| last.elapsed() < LOOK_EVERY) {
            return;
        }
        let Some(mut finder) = self.discovering.finder.take() else {
            return;
        };
        self.discovering.last = Some(Instant::now());
        let runtime = self.runtime.clone();
        // librdkafka blocks
        let looking = self.runtime.spawn_blocking(move || {
            let found = runtime.block_on(finder.look());
            (finder, found)
        });
        self.discovering.looking = Some(looking);
    }

    /// A new topic ends nobody: what is not there to take it up with is waited for.
    fn take_up(&mut self, found: Found) -> Result<()> {
        if let Some(job) = &found.job {
            let preparing = Preparing {
                config: &self.config,
                clickhouse: &self.clickhouse,
                consumer: &self.consumer,
                evolver: &self.evolver,
                until_caught_up: self.others.is_some(),
                no_breaker: false,
            };
            match self.runtime.block_on(lane_of(&preparing, job)) {
                Ok(lane) => self.lanes.push(lane),
                Err(error) => {
                    let (job, topic) = (&job.name, &job.topic);
                    tracing::warn!(job, topic, %error, "a new topic is not ingested yet, trying again soon");
                    self.discovering.waiting.push(found);
                    return Ok(());
                }
            }
            self.pace.paused.push(false);
            let topics = Prepared::topics_of(&self.lanes, &self.consumer);
            self.consumer.subscribe(topics.iter().map(String::as_str))?;
        }
        let known = &mut self.discovering.found;
        // told before, when no job could be made for it
        known.retain(|before| before.topic != found.topic);
        known.push(found);
        Ok(())
    }
}
