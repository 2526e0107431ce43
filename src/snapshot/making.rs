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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::catalog::{Column, Identity, SourceType, System, Table, TableName};
    use crate::job::parse_silver;

    fn column(name: &str, kind: SourceType, spelled: &str) -> Column {
        Column {
            name: name.to_owned(),
            kind,
            spelled: spelled.to_owned(),
            nullable: false,
            generated: false,
            toastable: false,
        }
    }

    #[test]
    fn a_row_that_the_job_cannot_hold_is_told_with_its_key() {
        let scalar = |name: &str| SourceType::Scalar {
            name: name.to_owned(),
            modifier: -1,
            is_enum: false,
        };
        let numbers = SourceType::Array(Box::new(scalar("int4")));
        let table = Table {
            name: TableName::parse("public.t"),
            system: System::Postgres,
            partitioned: false,
            identity: Identity::Default,
            columns: vec![
                column("id", scalar("int8"), "bigint"),
                column("flag", scalar("bool"), "boolean"),
                column("numbers", numbers, "integer[]"),
            ],
            key: vec!["id".to_owned()],
        };
        let text = "topic = \"t\"\nkey = [\"id\"]\n[columns]\nid = \"Int64\"\nflag = \"Bool\"\n\
            numbers = \"Array(Nullable(Int32))\"\n";
        let job = parse_silver("t", Path::new("t.toml"), text).unwrap();
        let reading = Reading::new(&job, &table).unwrap();
        let mut making = Making::new(&reading, None, 0, CHUNK_ROWS);
        for line in [
            "1\tt\t{1,2}",
            "2\tt\t{{1,2},{3,4}}",
            "3\tmaybe\t{1}",
            "4\t\\N\t{1}",
        ] {
            making.line(line.as_bytes());
        }
        let chunk = making.chunk();
        assert_eq!(chunk.block.rows(), 1);
        let told: Vec<_> = chunk
            .refused
            .iter()
            .map(|row| {
                let key = row.key.as_ref().map(|key| reading.key.texts(key).concat());
                (key, row.reason, row.column.clone())
            })
            .collect();
        let refused = |key: &str, reason, column: Option<&str>| {
            (Some(key.to_owned()), reason, column.map(str::to_owned))
        };
        assert_eq!(
            told,
            [
                refused("2", "bad_value", None),
                refused("3", "bad_value", None),
                refused("4", "null_value", Some("flag")),
            ]
        );
    }
}
