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
    /// rows of batches that were written, and rejects that only the write has shown
    written: u64,
    late: u64,
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
        self.end_window();
        None
    }

    /// Counts messages that were not rejected.
    pub fn pass(&mut self, messages: u32) {
        self.messages += messages;
        self.end_window();
    }

    fn end_window(&mut self) {
        if self.messages >= WINDOW {
            self.messages = 0;
            self.rejects.clear();
        }
    }

    /// Counts a batch whose last fates are known: `late` of so many rows leant on others that are nowhere, and are dead
    /// letters for this reason. They came as rows, so they are held against rows.
    pub fn count_late(
        &mut self,
        job: &SilverJob,
        rows: u64,
        late: u64,
        reason: &'static str,
    ) -> Option<Error> {
        self.written += rows;
        self.late += late;
        let (most, window) = (u64::from(MOST_REJECTS), u64::from(WINDOW));
        let trips = self.late >= most && self.late * window >= self.written * most;
        if trips && !self.off {
            let message = format!(
                "job {}: {} of the last {} rows of topic {} were rejected ({reason})",
                job.name, self.late, self.written, job.topic
            );
            return Some(Error::new(Kind::TooManyRejects, message));
        }
        if self.written >= window {
            (self.written, self.late) = (0, 0);
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::job::parse_silver;

    #[test]
    fn rejects_that_only_the_write_has_shown_trip_it_where_they_are_most_rows() {
        let text = "topic = \"t\"\nkey = [\"id\"]\n[columns]\nid = \"Int64\"\n";
        let job = parse_silver("t", Path::new("t.toml"), text).unwrap();
        let mut breaker = Breaker::default();
        let mut late = |rows, late| breaker.count_late(&job, rows, late, "toast_placeholder");
        // a few of very many, however many they are
        assert!(late(1_000_000, 600).is_none());
        assert!(late(600, 400).is_none());
        let error = late(200, 150).unwrap();
        assert_eq!(error.kind(), Kind::TooManyRejects);
        assert!(
            error.to_string().contains("550 of the last 800 rows"),
            "{error}"
        );
        let mut off = Breaker::off();
        assert!(
            off.count_late(&job, 1_000, 1_000, "toast_placeholder")
                .is_none()
        );
    }
}
