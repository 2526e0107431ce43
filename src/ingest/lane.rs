//! One job within ingest: its decoder, the batch it gathers, and its batches on their way.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::breaker::Breaker;
use super::evolving::Evolving;
use super::keep::Turn;
use super::schemas::Waiting;
use super::start;
use super::write::{Target, Written};
use crate::batch::{Batch, DeadLetter};
use crate::checkpoint::InFlight;
use crate::column;
use crate::envelope::{Decoder, Fate, Headers, Message, Reason, Reject, Schema, Sources};
use crate::error::{Error, Kind, Result};
use crate::evolve::Event;
use crate::job::{Format, SilverJob, Wire};
use crate::source::{Consumer, Identity, Partition, RawMessage};

/// Writes under way per job: one is encoded while ClickHouse works on the other.
const MOST_IN_FLIGHT: usize = 2;

/// So many messages at the start that a registry has framed say that the job is wrong, not they.
const FRAMED_AT_START: u64 = 3;

pub struct Lane {
    pub target: Arc<Target>,
    pub in_flight: InFlight,
    pub counters: Counters,
    /// why the job stopped; its partitions stay paused while the other jobs go on
    pub failed: Option<Error>,
    /// partitions of the job's topic that are ours now
    pub owned: BTreeMap<i32, Owned>,
    /// who the topic was at the start; `None` where the job did not get so far
    pub identity: Option<Identity>,
    /// since when the brokers say that there is no such topic
    pub missing_since: Option<Instant>,
    /// partition → end at the start, where there is anything to read; only for `--until-caught-up`
    pub ends: BTreeMap<i32, i64>,
    /// the table is being changed for a message; later ones wait behind it
    pub(super) evolving: Option<Evolving>,
    /// messages that wait for a schema
    pub(super) waiting: Option<Waiting>,
    /// for `ops.columns`
    pub(super) events: Vec<Event>,
    most_bytes: usize,
    pub(super) decoder: Decoder,
    pub(super) batch: Batch,
    pub breaker: Breaker,
    /// of the batch that was handed over last, where batches take turns
    last_turn: Option<oneshot::Receiver<()>>,
    needs_timestamp: bool,
}

/// A partition that is ours.
#[derive(Clone, Copy, Debug)]
pub struct Owned {
    /// first offset that was not received yet
    pub next: i64,
    /// first offset that is not durable yet
    pub durable: i64,
    /// what was last sent to Kafka as committed
    pub committed: Option<i64>,
    /// latest time of the source below `durable`, milliseconds since 1970
    pub source_time: Option<i64>,
}

/// What happened to a job's messages since the start.
#[derive(Clone, Debug, Default)]
pub struct Counters {
    pub messages: u64,
    pub rows: u64,
    pub rejects: BTreeMap<&'static str, u64>,
    pub skips: BTreeMap<&'static str, u64>,
    /// rows that reached ClickHouse, after the collapse per key
    pub written: u64,
    pub inserts: u64,
    /// latest time of the source, milliseconds since 1970
    pub source_time: Option<i64>,
    /// columns whose source has changed: `added`, `widened`, `missing`
    pub columns: BTreeMap<String, &'static str>,
}

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
    /// `most_bytes`: of one batch, see `budget`.
    pub fn new(target: Target, sources: Sources, most_bytes: usize) -> Lane {
        Lane {
            identity: None,
            missing_since: None,
            ends: BTreeMap::new(),
            evolving: None,
            waiting: None,
            events: Vec::new(),
            most_bytes,
            decoder: Decoder::new(&target.job).knowing(sources),
            batch: Batch::new(&target.job),
            in_flight: InFlight::default(),
            counters: Counters::default(),
            breaker: Breaker::default(),
            last_turn: None,
            needs_timestamp: target.job.needs_timestamp(),
            failed: None,
            owned: BTreeMap::new(),
            target: Arc::new(target),
        }
    }

    /// Messages are kept, because something else has to happen first.
    pub fn is_keeping(&self) -> bool {
        self.evolving.is_some() || self.waiting.is_some()
    }

    pub(super) fn learn_schema(&mut self, id: u32, schema: Option<Schema>) {
        self.decoder.learn_schema(id, schema);
    }

    /// Gives the message its fate.
    pub fn take(&mut self, raw: &RawMessage<'_>, now: Instant) {
        self.take_or_evolve(raw, now, true);
    }

    /// `may_evolve`: whether the table may be changed for this message; where that was tried, the message is at fault.
    pub(super) fn take_or_evolve(&mut self, raw: &RawMessage<'_>, now: Instant, may_evolve: bool) {
        if self.failed.is_some() {
            return;
        }
        if let Some(evolving) = &mut self.evolving {
            evolving.keep(raw);
            return;
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.keep(raw);
            return;
        }
        let header = |name: &str| raw.header(name).map(<[u8]>::to_vec);
        let message = Message {
            topic: &self.target.job.topic,
            partition: raw.partition(),
            offset: raw.offset(),
            key: raw.key(),
            value: raw.value(),
            timestamp: self.needs_timestamp.then(|| raw.timestamp()).flatten(),
            headers: Headers::of(&header),
        };
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

    /// Stops this job alone. What it gathered is given up: nothing past the last durable batch is committed.
    pub fn fail(&mut self, error: Error) {
        tracing::error!(job = self.target.job.name, %error, next = error.advice(), "job stopped, its topic is paused");
        self.batch = Batch::new(&self.target.job);
        self.evolving = None;
        self.waiting = None;
        self.failed = Some(error);
    }

    /// No further write can start before one ends.
    pub fn is_blocked(&self) -> bool {
        self.in_flight.writing() >= MOST_IN_FLIGHT
    }

    /// The batch is as large as an insert may be: it goes as soon as a write may start.
    pub fn is_full(&self) -> bool {
        self.batch.is_full(self.most_bytes)
    }

    pub fn is_missed_for_less_than(&self, time: Duration) -> bool {
        self.missing_since
            .is_none_or(|since| since.elapsed() < time)
    }

    /// Dead letters of a job that stopped because of them.
    pub fn has_evidence(&self) -> bool {
        self.failed.is_some() && !self.batch.dead_letters.is_empty()
    }

    /// Whether all partitions that are ours have come as far as they reached at the start.
    pub fn has_reached_ends(&self, position: impl Fn(&Owned) -> i64) -> bool {
        self.owned.iter().all(|(number, owned)| {
            let end = self.ends.get(number);
            end.is_none_or(|end| position(owned) >= *end)
        })
    }

    /// What other processes of the group have to reach.
    pub fn ends_of_others(&self) -> Vec<(Partition, i64)> {
        let others = self
            .ends
            .iter()
            .filter(|(number, _)| self.failed.is_none() && !self.owned.contains_key(number));
        others
            .map(|(number, end)| (self.partition(*number), *end))
            .collect()
    }

    /// What is missing where our offset is not in the topic any more; `None` where that cannot be told.
    pub fn gap(&self, partition: i32, consumer: &Consumer) -> Option<Error> {
        let next = self.owned.get(&partition)?.next;
        let partition = self.partition(partition);
        let (low, high) = consumer.watermarks(&partition).ok()?;
        start::is_there(&self.target.job, &partition, next, low, high).err()
    }

    pub fn partition(&self, number: i32) -> Partition {
        Partition {
            topic: self.target.job.topic.clone(),
            number,
        }
    }

    pub fn partitions(&self) -> Vec<Partition> {
        self.owned
            .keys()
            .map(|number| self.partition(*number))
            .collect()
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
        let kept = self.evolving.as_ref().map_or(0, Evolving::bytes)
            + self.waiting.as_ref().map_or(0, Waiting::bytes);
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
                if !written.rejected.is_empty() {
                    let rejected = written.rejected.len() as u64;
                    self.counters.rows = self.counters.rows.saturating_sub(rejected);
                    let reason = Reason::ToastPlaceholder.as_str();
                    *self.counters.rejects.entry(reason).or_default() += rejected;
                    tracing::warn!(
                        job = self.target.job.name,
                        rejected,
                        reason,
                        "nothing to keep: the rows before them are not in silver; they stay in ops.dead_letters"
                    );
                }
                self.in_flight.durable(id);
                self.counters.written += written.rows as u64;
                self.counters.inserts += u64::from(written.rows > 0);
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

    /// The partition belongs to somebody else now.
    pub fn forget(&mut self, partition: i32) {
        self.owned.remove(&partition);
        self.batch.checkpoint.forget(partition);
        self.in_flight.forget(partition);
        if let Some(evolving) = &mut self.evolving {
            evolving.forget(partition);
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.forget(partition);
        }
    }
}

/// The message as it came, and why it is no row.
pub fn dead_letter(job: &SilverJob, raw: &RawMessage<'_>, reject: Reject) -> DeadLetter {
    DeadLetter {
        partition: raw.partition(),
        offset: raw.offset(),
        // of the row that this message would have been
        version: column::version(job.epoch, raw.offset()),
        reason: reject.reason.as_str(),
        column: reject.column.unwrap_or_default(),
        key: raw.key().map(<[u8]>::to_vec),
        value: raw.value().map(<[u8]>::to_vec),
        headers: raw.headers(),
        message_time: raw.timestamp(),
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
