//! Cells of a source row become a row of the job, by the job's own decoder.

use super::Reading;
use super::copy::Line;
use crate::column::{Block, Key, Rows};
use crate::envelope::{Decoder, Fate, Headers, Message};

/// Rows of one chunk: one question to ClickHouse each, a few tens of megabytes at most.
pub(super) const CHUNK_ROWS: usize = 50_000;
const CHUNK_BYTES: usize = 16 << 20;

/// Rows that belong together, sorted by key.
pub struct Chunk {
    pub block: Block,
    /// rows that the job cannot hold
    pub refused: Vec<Refused>,
}

impl Chunk {
    /// A refused row that does not say which it is: none of silver's keys is known to be missing from the source.
    pub fn hides_a_key(&self) -> bool {
        self.refused.iter().any(|row| row.key.is_none())
    }
}

/// A row of the source that its own job would reject.
#[derive(Clone, Debug)]
pub struct Refused {
    /// none where the key itself is what cannot be read
    pub key: Option<Key>,
    pub reason: &'static str,
    pub column: Option<String>,
}

/// Cells become rows of the job.
pub(super) struct Making<'a> {
    reading: &'a Reading,
    decoder: Decoder,
    keys: Decoder,
    rows: Rows,
    refused: Vec<Refused>,
    line: Line,
    message: Vec<u8>,
    /// what follows the row's image in its envelope
    tail: Vec<u8>,
    most_rows: usize,
}

const HEAD: &[u8] = br#"{"before":null,"after":"#;

impl<'a> Making<'a> {
    pub(super) fn new(
        reading: &'a Reading,
        lsn: Option<i64>,
        time: i64,
        most_rows: usize,
    ) -> Making<'a> {
        let lsn = lsn.map_or_else(|| "null".to_owned(), |lsn| lsn.to_string());
        let tail = format!(r#","source":{{"ts_ms":{time},"lsn":{lsn}}},"op":"r","ts_ms":{time}}}"#);
        Making {
            reading,
            decoder: Decoder::new(&reading.job),
            keys: Decoder::new(&reading.key_job),
            rows: Rows::new(&reading.job),
            refused: Vec::new(),
            line: Line::default(),
            message: Vec::new(),
            tail: tail.into_bytes(),
            most_rows,
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() + self.refused.len() >= self.most_rows || self.rows.bytes() >= CHUNK_BYTES
    }

    pub(super) fn line(&mut self, line: &[u8]) {
        let mut cells = std::mem::take(&mut self.line);
        cells.read(line);
        self.row(cells.cells());
        self.line = cells;
    }

    pub(super) fn row<'c>(&mut self, cells: impl Iterator<Item = Option<&'c [u8]>> + Clone) {
        self.message.clear();
        self.message.extend_from_slice(HEAD);
        let keys = cells.clone();
        if self.reading.image(cells, &mut self.message).is_err() {
            self.message.truncate(HEAD.len());
            let spelled = self.reading.key_image(keys, &mut self.message).is_ok();
            self.message.extend_from_slice(&self.tail);
            let key = spelled.then(|| self.key()).flatten();
            return self.refuse("bad_value", key, None);
        }
        self.message.extend_from_slice(&self.tail);
        let message = envelope(self.reading, &self.message);
        match self.decoder.decode(&message, &mut self.rows) {
            Fate::Row => {}
            Fate::Reject(reject) => {
                let key = self.key();
                self.refuse(reject.reason.as_str(), key, reject.column);
            }
            Fate::Skip(skip) => {
                let key = self.key();
                self.refuse(skip.as_str(), key, None);
            }
            Fate::Fail(_) => {
                let key = self.key();
                self.refuse("fail", key, None);
            }
        }
    }

    /// The key of the message, whatever its other columns are.
    fn key(&mut self) -> Option<Key> {
        let mut rows = Rows::new(&self.reading.key_job);
        let message = envelope(self.reading, &self.message);
        let read = matches!(self.keys.decode(&message, &mut rows), Fate::Row);
        read.then(|| {
            let block = rows.finish();
            block.key(0, &self.reading.key_places(&block))
        })
    }

    fn refuse(&mut self, reason: &'static str, key: Option<Key>, column: Option<String>) {
        self.refused.push(Refused {
            key,
            reason,
            column,
        });
    }

    pub(super) fn chunk(&mut self) -> Chunk {
        let rows = std::mem::replace(&mut self.rows, Rows::new(&self.reading.job));
        Chunk {
            block: rows.finish(),
            refused: std::mem::take(&mut self.refused),
        }
    }
}

/// Its version is replaced before it is written: see [`super::Ends`].
fn envelope<'a>(reading: &'a Reading, value: &'a [u8]) -> Message<'a> {
    Message {
        topic: &reading.job.topic,
        partition: super::UNKNOWN_PARTITION,
        offset: 0,
        key: None,
        value: Some(value),
        timestamp: None,
        headers: Headers::NONE,
    }
}
