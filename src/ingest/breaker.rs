//! Stops a job whose input is mostly rejects: then the job is wrong, and not a few messages.

use std::collections::BTreeMap;

use crate::error::{Error, Kind};
use crate::job::SilverJob;

/// The breaker looks at this many messages at a time …
const WINDOW: u32 = 1_000;
/// … and trips when so many of them are rejected. Fewer are dead letters, however many there are in all: they are read
/// while the job goes on.
const MOST_REJECTS: u32 = 500;

/// Reasons of one window, counted; or told to let everything pass.
#[derive(Debug, Default)]
pub struct Breaker {
    messages: u32,
    rejects: BTreeMap<&'static str, u32>,
    off: bool,
}

impl Breaker {
    /// Counts and never trips: a person has looked and wants all of it as dead letters.
    pub fn off() -> Breaker {
        Breaker {
            off: true,
            ..Breaker::default()
        }
    }

    /// Counts one message of the job, with the reason where it was rejected; an error when it is to stop.
    #[inline]
    pub fn count(&mut self, job: &SilverJob, rejected: Option<&'static str>) -> Option<Error> {
        self.messages += 1;
        if let Some(reason) = rejected {
            *self.rejects.entry(reason).or_default() += 1;
            if let Some(error) = self.tripped(job) {
                return Some(error);
            }
        }
        if self.messages >= WINDOW {
            self.messages = 0;
            self.rejects.clear();
        }
        None
    }

    #[cold]
    fn tripped(&self, job: &SilverJob) -> Option<Error> {
        let rejects: u32 = self.rejects.values().sum();
        if self.off || rejects < MOST_REJECTS {
            return None;
        }
        let counted: Vec<String> = self
            .rejects
            .iter()
            .map(|(reason, count)| format!("{count} {reason}"))
            .collect();
        let message = format!(
            "job {}: {rejects} of the last {} messages of topic {} were rejected ({})",
            job.name,
            self.messages,
            job.topic,
            counted.join(", ")
        );
        Some(Error::new(Kind::TooManyRejects, message))
    }
}
