//! A message gets its fate, and what becomes of a job whose messages are mostly bad.

use std::sync::mpsc::Sender;
use std::time::Instant;

use tokio::runtime::Handle;

use super::{Evolving, Landed, Lane, Waiting};
use crate::envelope::{Fate, Reason, Reject};
use crate::error::{Error, Kind};
use crate::ingest::received::{self, dead_letter};
use crate::job::{Format, SilverJob, Wire};
use crate::source::RawMessage;

/// So many messages at the start that a registry has framed say that the job is wrong, not they.
const FRAMED_AT_START: u64 = 3;

impl Lane {
    /// Gives the message its fate.
    pub fn take(&mut self, raw: &RawMessage<'_>, now: Instant) {
        self.take_or_evolve(raw, now, true);
    }

    /// `may_evolve`: whether the table may be changed for this message; where that was tried, the message is at fault.
    pub(in crate::ingest) fn take_or_evolve(
        &mut self,
        raw: &RawMessage<'_>,
        now: Instant,
        may_evolve: bool,
    ) {
        if self.failed.is_some() {
            return;
        }
        if let Some(evolving) = &mut self.evolving {
            evolving.held.keep(raw);
            return;
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.held.keep(raw);
            return;
        }
        let header = received::header(raw);
        let mut message = received::message(&self.target.job.topic, raw, &header);
        message.timestamp = self.needs_timestamp.then(|| raw.timestamp()).flatten();
        if let Some(id) = self.decoder.missing_schema(&message) {
            self.waiting = Some(Waiting::new(id, raw, now));
            return;
        }
        self.counters.messages += 1;
        let fate = self.decoder.decode(&message, &mut self.batch.rows);
        let mut rejected = None;
        match fate {
            Fate::Row => {
                self.counters.rows += 1;
                self.counters.typed_placeholders += self.decoder.take_typed_placeholders();
                let job = &self.target.job;
                let letter = || dead_letter(job, raw, Reason::ToastPlaceholder.into());
                self.batch.note_doubt(letter);
                if !self.decoder.absent().is_empty() {
                    self.note_absent();
                }
            }
            Fate::Skip(skip) => *self.counters.skips.entry(skip.as_str()).or_default() += 1,
            Fate::Reject(reject) => {
                if let Some(drift) = self.decoder.take_drift().filter(|_| may_evolve) {
                    self.counters.messages -= 1;
                    self.evolving = Some(Evolving::new(*drift, raw));
                    return;
                }
                if reject.reason == Reason::MissingColumn
                    && let Some(field) = &reject.column
                {
                    self.note_missing(field);
                }
                rejected = Some(reject.reason.as_str());
                let framed = reject.reason == Reason::WrongEncoding;
                self.reject(raw, reject);
                if framed && self.starts_framed(raw) {
                    self.fail(framed_by_registry(&self.target.job));
                    return;
                }
            }
            Fate::Fail(error) => {
                let place = format!("partition {} offset {}", raw.partition(), raw.offset());
                self.fail(error.context(format!("topic {} {place}", self.target.job.topic)));
                return;
            }
        }
        let source_time = self.decoder.source_time();
        self.counters.source_time = self.counters.source_time.max(source_time);
        self.cover(raw.partition(), raw.offset() + 1, source_time, now);
        self.mind_breaker(rejected);
    }

    /// The same, and first starts the write of a batch that the messages before have filled. One that this message fills
    /// goes when the call that brought it is over: a large one is not held twice while it is written.
    pub fn hand_over_and_take(
        &mut self,
        raw: &RawMessage<'_>,
        now: Instant,
        (index, runtime, landed): (usize, &Handle, &Sender<Landed>),
    ) {
        if self.is_full() && !self.is_blocked() {
            self.hand_over(index, runtime, landed);
        }
        self.take(raw, now);
    }

    /// Whether a registry has framed every message so far, and there were enough of them to be no accident.
    #[cold]
    fn starts_framed(&self, raw: &RawMessage<'_>) -> bool {
        let wrong = self.counters.rejects.get(Reason::WrongEncoding.as_str());
        self.counters.messages == FRAMED_AT_START
            && wrong == Some(&FRAMED_AT_START)
            && self.target.job.format.wire == Wire::Json
            && raw.value().and_then(<[u8]>::first) == Some(&0)
    }

    /// The partition ends at `next`: what lies between (control records) needs no fate.
    pub fn reach_end(&mut self, partition: i32, next: i64, now: Instant) {
        let moves = self
            .owned
            .get(&partition)
            .is_some_and(|owned| owned.next < next);
        // what is kept is not received yet
        if self.failed.is_none() && !self.is_keeping() && moves {
            self.cover(partition, next, None, now);
        }
    }

    fn cover(&mut self, partition: i32, next: i64, source_time: Option<i64>, now: Instant) {
        // a message of a partition that was lost meanwhile: its row is harmless, its offset is not ours to commit
        if let Some(owned) = self.owned.get_mut(&partition) {
            owned.next = next;
            self.batch.cover(partition, next, source_time, now);
        }
    }

    fn reject(&mut self, raw: &RawMessage<'_>, reject: Reject) {
        let reason = reject.reason.as_str();
        let count = self.counters.rejects.entry(reason).or_default();
        *count += 1;
        if *count == 1 {
            tracing::warn!(
                job = self.target.job.name,
                topic = self.target.job.topic,
                partition = raw.partition(),
                offset = raw.offset(),
                reason,
                column = reject.column,
                "message rejected; it stays in ops.dead_letters, further ones of this reason are only counted"
            );
        }
        self.batch
            .reject(dead_letter(&self.target.job, raw, reject));
    }

    fn mind_breaker(&mut self, rejected: Option<&'static str>) {
        if let Some(error) = self.breaker.count(&self.target.job, rejected) {
            let evidence = std::mem::take(&mut self.batch.dead_letters);
            self.fail(error);
            // written without their offsets: a person can look at them, and the corrected job reads them again
            for letter in evidence {
                self.batch.reject(letter);
            }
        }
    }
}

fn framed_by_registry(job: &SilverJob) -> Error {
    let message = format!(
        "job {}: the messages of topic {} are framed by a schema registry, and {} is not",
        job.name,
        job.topic,
        job.format.as_str()
    );
    let avro = Format {
        wire: Wire::Avro,
        ..job.format
    };
    let word = avro.as_str();
    Error::new(Kind::Mismatch, message).advise(format!(
        "write `format = \"{word}\"` into jobs/silver/{}.toml and set registry.url",
        job.name
    ))
}
