//! A topic may be deleted, made anew, or given more partitions while it is read.

use std::time::{Duration, Instant};

use super::consume::Consuming;
use crate::error::{Kind, Result, Retry};
use crate::sink::checkpoints;
use crate::source::{ANSWER, Partition};

/// How often a topic is looked for that librdkafka misses.
const LOOK_FOR_TOPICS: Duration = Duration::from_secs(3);
/// A topic that is deleted and made again between two fetches says so to nobody, and librdkafka goes on in the new one at
/// the old one's offset: each topic is looked at so often.
const LOOK_AT_TOPICS: Duration = Duration::from_secs(10);
/// What a look may take, three times: the loop waits meanwhile.
const GLANCE: Duration = Duration::from_millis(500);
/// A broker that has just come back may not know its topics for a moment.
const GONE: Duration = Duration::from_secs(10);

impl Consuming {
    /// A topic that is gone takes its partitions along without a word to its job.
    pub(super) fn look_for_lost_topics(&mut self) {
        let due = self.pace.topics.elapsed() >= LOOK_FOR_TOPICS;
        if !due || !self.consumer.has_missed_topic() {
            return;
        }
        self.pace.topics = Instant::now();
        for index in 0..self.lanes.len() {
            self.look_at(index);
        }
    }

    /// One topic after the other, each once in a while.
    pub(super) fn look_at_next_topic(&mut self) {
        let every = LOOK_AT_TOPICS / u32::try_from(self.lanes.len()).unwrap_or(u32::MAX).max(1);
        if self.pace.glance.elapsed() < every {
            return;
        }
        self.pace.glance = Instant::now();
        self.pace.glanced = (self.pace.glanced + 1) % self.lanes.len().max(1);
        self.look_at(self.pace.glanced);
    }

    fn look_at(&mut self, index: usize) {
        if let Err(error) = self.check_topic(index, GLANCE) {
            tracing::debug!(%error, "while looking at a topic");
        }
    }

    pub(super) fn check_topics(&mut self, partitions: &[Partition]) -> Result<()> {
        for index in self.lanes_of(partitions) {
            self.check_topic(index, ANSWER)?;
        }
        Ok(())
    }

    /// A topic may have been deleted, made anew, or given more partitions, since the start.
    fn check_topic(&mut self, index: usize, patience: Duration) -> Result<()> {
        let Some(lane) = self.lanes.get_mut(index) else {
            return Ok(());
        };
        let (None, Some(known)) = (&lane.failed, &lane.identity) else {
            return Ok(());
        };
        let topic = &lane.target.job.topic;
        let found = self.consumer.identify_within(topic, patience);
        let same =
            found.and_then(|found| checkpoints::same_identity(&lane.target.job, known, &found));
        let missing = matches!(&same, Err(error) if error.kind() == Kind::NotFound);
        lane.missing_since = missing.then(|| lane.missing_since.unwrap_or_else(Instant::now));
        match same {
            Err(error) if missing && lane.is_missed_for_less_than(GONE) => Err(error),
            Err(error) if error.kind().policy().retry == Retry::Never => {
                let job = format!("job {}", lane.target.job.name);
                lane.fail(error.context(job));
                Ok(())
            }
            same => same,
        }
    }
}
