//! Topics that appear while ingest runs: looked for on a thread of its own, taken up by the loop.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::consume::Consuming;
use super::prepare::{Prepared, Preparing, lane_of};
use crate::discover::{Finder, Found};
use crate::error::{Error, Kind, Result};

/// How soon a new table is noticed.
const LOOK_EVERY: Duration = Duration::from_secs(5);

type Looked = (Finder, Result<Vec<Found>>);

/// The finder, while it is here and while it looks.
#[derive(Default)]
pub struct Discovering {
    pub finder: Option<Finder>,
    looking: Option<JoinHandle<Looked>>,
    last: Option<Instant>,
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
        let (finder, found) = looked
            .map_err(|error| Error::new(Kind::Internal, "a thread panicked").because(error))?;
        self.discovering.finder = Some(finder);
        match found {
            Ok(found) => {
                for found in found {
                    if let Some(job) = &found.job {
                        self.take_up(job)?;
                    }
                    self.discovering.found.push(found);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "looking for new topics failed, looking again soon")
            }
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

    fn take_up(&mut self, job: &crate::job::SilverJob) -> Result<()> {
        let preparing = Preparing {
            config: &self.config,
            clickhouse: &self.clickhouse,
            consumer: &self.consumer,
            evolver: &self.evolver,
            until_caught_up: self.others.is_some(),
            no_breaker: false,
        };
        let lane = self.runtime.block_on(lane_of(&preparing, job))?;
        self.lanes.push(lane);
        self.pace.paused.push(false);
        let topics = Prepared::topics_of(&self.lanes, &self.consumer);
        self.consumer.subscribe(topics.iter().map(String::as_str))
    }
}
