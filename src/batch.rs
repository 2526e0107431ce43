//! Rows and dead letters together with the offsets they cover: data and position are one value.

use std::time::{Duration, Instant};

use crate::checkpoint::Checkpoint;
use crate::column::Rows;
use crate::job::SilverJob;

/// Rows of one insert: ten times what ClickHouse asks for at least, a few tens of MB as one block.
const MOST_ROWS: usize = 200_000;
/// Bytes of one insert, however large the memory budget is: more does not make it cheaper.
const MOST_BYTES: usize = 24 << 20;
/// At the head of a topic: four parts a second and table, which merges keep up with.
const LINGER: Duration = Duration::from_millis(250);
/// Behind, while another insert is under way: fewer and larger ones are cheaper.
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
    pub(crate) fn bytes(&self) -> usize {
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
    /// of the rows' doubts, in their order: what becomes a dead letter where nothing can be kept
    pub doubted: Vec<DeadLetter>,
    pub checkpoint: Checkpoint,
    dead_bytes: usize,
    opened: Option<Instant>,
}

impl Batch {
    pub fn new(job: &SilverJob) -> Batch {
        Batch {
            rows: Rows::new(job),
            dead_letters: Vec::new(),
            doubted: Vec::new(),
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

    /// Keeps the message of the row that was just added, where that row leans on the state before it.
    pub fn note_doubt(&mut self, letter: impl FnOnce() -> DeadLetter) {
        if self.rows.doubts().len() > self.doubted.len() {
            let letter = letter();
            self.dead_bytes += letter.bytes();
            self.doubted.push(letter);
        }
    }

    pub fn bytes(&self) -> usize {
        self.rows.bytes() + self.dead_bytes
    }

    /// Nothing to write and nothing to commit.
    pub fn is_empty(&self) -> bool {
        self.checkpoint.is_empty()
    }

    /// Gathered long enough.
    pub fn is_old(&self, now: Instant, wait_for_more: bool) -> bool {
        let linger = if wait_for_more { LINGER_BEHIND } else { LINGER };
        self.opened
            .is_some_and(|opened| now.duration_since(opened) >= linger)
    }

    /// As large as one insert may be, or as `most_bytes`.
    pub fn is_full(&self, most_bytes: usize) -> bool {
        self.rows.len() >= MOST_ROWS || self.bytes() >= MOST_BYTES.min(most_bytes)
    }
}
