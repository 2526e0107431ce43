//! One job within ingest: its decoder, the batch it gathers, and its batches on their way; `taking` fills them, `writing` sends them.

mod taking;
mod writing;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::breaker::Breaker;
use super::evolving::Evolving;
use super::keep::Turn;
use super::parked::Asking;
use super::schemas::Waiting;
use super::start;
use super::write::Target;
use crate::batch::Batch;
use crate::checkpoint::InFlight;
use crate::envelope::{Decoder, Schema, Sources};
use crate::error::Error;
use crate::evolve::Event;
use crate::source::{Consumer, Identity, Partition};
pub use writing::Landed;

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
    /// while rows wait for what other partitions hold
    pub(super) asking: Asking,
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
    /// values that spell a TOAST placeholder and are data
    pub typed_placeholders: u64,
    /// rows that reached ClickHouse, after the collapse per key
    pub written: u64,
    pub inserts: u64,
    /// latest time of the source, milliseconds since 1970
    pub source_time: Option<i64>,
    /// columns whose source has changed: `added`, `widened`, `missing`
    pub columns: BTreeMap<String, &'static str>,
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
            asking: Asking::default(),
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

    /// Stops this job alone. What it gathered is given up: nothing past the last durable batch is committed.
    pub fn fail(&mut self, error: Error) {
        tracing::error!(job = self.target.job.name, %error, next = error.advice(), "job stopped, its topic is paused");
        self.batch = Batch::new(&self.target.job);
        self.evolving = None;
        self.waiting = None;
        self.failed = Some(error);
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

    /// Whether everything up to the ends was read, and what is not durable are rows that wait for other partitions.
    pub fn only_waits(&self) -> bool {
        let parked = self.in_flight.has_parked() && self.in_flight.writing() == 0;
        let gathered = self.is_keeping() || self.has_gathered();
        parked && !gathered && self.has_reached_ends(|owned| owned.next)
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

    /// The partition belongs to somebody else now.
    pub fn forget(&mut self, partition: i32) {
        self.owned.remove(&partition);
        self.batch.checkpoint.forget(partition);
        self.in_flight.forget(partition);
        let last = self.in_flight.last_id();
        self.target.awaited.give_up(partition, last);
        if let Some(evolving) = &mut self.evolving {
            evolving.held.forget(partition);
        }
        if let Some(waiting) = &mut self.waiting {
            waiting.held.forget(partition);
        }
    }
}
