//! Messages that wait for a schema: their job keeps them until the registry has answered, then it goes on.
//!
//! ```text
//! message of an unknown id ─▶ job waits: messages are kept, partitions paused, polling goes on, nothing committed
//! registry's answer        ─▶ decoder learns it ─▶ what was kept gets its fate
//! ```

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::consume::Consuming;
use super::held::Held;
use super::lane::Lane;
use crate::envelope::Schema;
use crate::error::{Error, Kind, Result, Retry};
use crate::registry;
use crate::source::RawMessage;

/// Pause after a registry that did not answer; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A registry that stays away is told of once in a while.
const SAY_EVERY: Duration = Duration::from_secs(10);

/// A lane that waits for a schema.
pub struct Waiting {
    id: u32,
    /// the message that needs it, and what had been received behind it
    pub held: Held,
    asking: Option<JoinHandle<Result<Option<Schema>>>>,
    /// not before this is the registry asked
    at: Instant,
    pause: Duration,
    since: Instant,
    said: Option<Instant>,
}

impl Waiting {
    pub fn new(id: u32, message: &RawMessage<'_>, now: Instant) -> Waiting {
        Waiting {
            id,
            held: Held::with(message),
            asking: None,
            at: now,
            pause: FIRST_PAUSE,
            since: now,
            said: None,
        }
    }

    fn ask_again(&mut self, job: &str, error: &Error) {
        let now = Instant::now();
        self.at = now + self.pause;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
        if self.said.is_none_or(|said| now - said >= SAY_EVERY) {
            let seconds = self.since.elapsed().as_secs();
            tracing::warn!(job, schema = self.id, waiting_s = seconds, %error, "nothing is committed, asking again");
            self.said = Some(now);
        }
    }
}

impl Consuming {
    /// Takes each job that waits for a schema one step further, if it is time.
    pub(super) fn mind_schemas(&mut self) {
        let now = Instant::now();
        for lane in &mut self.lanes {
            let Some(waiting) = &mut lane.waiting else {
                continue;
            };
            match waiting.asking.take() {
                None if waiting.at > now => {}
                None => match self.registry.clone() {
                    None => {
                        let error = registry::needed(&lane.target.job.name);
                        lane.fail(error);
                    }
                    Some(registry) => {
                        let id = waiting.id;
                        let asking = async move { registry.schema(id).await };
                        waiting.asking = Some(self.runtime.spawn(asking));
                    }
                },
                Some(asking) if !asking.is_finished() => waiting.asking = Some(asking),
                Some(asking) => {
                    let answer = self.runtime.block_on(asking).unwrap_or_else(|error| {
                        Err(Error::new(Kind::Internal, "a task panicked").because(error))
                    });
                    lane.take_answer(answer);
                }
            }
        }
    }
}

impl Lane {
    fn take_answer(&mut self, answer: Result<Option<Schema>>) {
        match answer {
            Ok(schema) => {
                let Some(waiting) = self.waiting.take() else {
                    return;
                };
                self.learn_schema(waiting.id, schema);
                let now = Instant::now();
                // one of them may need another schema, or another table: the rest waits again
                for kept in waiting.held.release() {
                    self.take(&kept.message(), now);
                }
            }
            Err(error) if error.kind().policy().retry == Retry::Never => self.fail(error),
            Err(error) => {
                let job = self.target.job.name.clone();
                if let Some(waiting) = &mut self.waiting {
                    waiting.ask_again(&job, &error);
                }
            }
        }
    }
}
