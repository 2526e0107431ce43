//! Rows and dead letters together with the offsets they cover: data and position are one value.

use std::time::{Duration, Instant};

use crate::checkpoint::Checkpoint;
use crate::column::Rows;
use crate::job::SilverJob;

/// Rows of one insert: ten times what ClickHouse asks for at least, a few tens of MB as one block.
const MOST_ROWS: usize = 200_000;
/// Bytes of one insert; with two of them under way and one building a job stays below 96 MiB.
const MOST_BYTES: usize = 24 << 20;
/// At the head of a topic: four parts a second and table, which merges keep up with.
const LINGER: Duration = Duration::from_millis(250);
/// Behind: fewer and larger inserts are cheaper.
const LINGER_BEHIND: Duration = Duration::from_secs(2);

/// A message that could not become a row, with its original bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    pub partition: i32,
    pub offset: i64,
    pub version: u64,
    pub reason: &'static str,
    /// the source field it is about; empty where it is about none
    pub column: String,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// milliseconds since 1970
    pub message_time: Option<i64>,
}

impl DeadLetter {
    fn bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + length(value))
            .sum();
        size_of::<DeadLetter>() + length(&self.key) + length(&self.value) + headers
    }
}

/// What one job gathers until it is worth an insert.
pub struct Batch {
    pub rows: Rows,
    pub dead_letters: Vec<DeadLetter>,
    pub checkpoint: Checkpoint,
    dead_bytes: usize,
    opened: Option<Instant>,
}

impl Batch {
    pub fn new(job: &SilverJob) -> Batch {
        Batch {
            rows: Rows::new(job),
            dead_letters: Vec::new(),
            checkpoint: Checkpoint::default(),
            dead_bytes: 0,
            opened: None,
        }
    }

    /// Covers a message whose fate is in this batch already.
    pub fn cover(&mut self, partition: i32, next: i64, source_time: Option<i64>, now: Instant) {
        self.opened.get_or_insert(now);
        self.checkpoint.advance(partition, next, source_time);
    }

    pub fn reject(&mut self, letter: DeadLetter) {
        self.dead_bytes += letter.bytes();
        self.dead_letters.push(letter);
    }

    pub fn bytes(&self) -> usize {
        self.rows.bytes() + self.dead_bytes
    }

    /// Nothing to write and nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.checkpoint.is_empty()
    }

    /// Large enough or old enough to be written.
    pub fn is_due(&self, now: Instant, behind: bool) -> bool {
        let linger = if behind { LINGER_BEHIND } else { LINGER };
        let old = self
            .opened
            .is_some_and(|opened| now.duration_since(opened) >= linger);
        old || self.is_full()
    }

    pub fn is_full(&self) -> bool {
        self.rows.len() >= MOST_ROWS || self.bytes() >= MOST_BYTES
    }
}
