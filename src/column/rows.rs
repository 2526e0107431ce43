//! A column batch under construction, in arrival order.

use super::{Block, Data, Key, Type, order};
use crate::job::{SYSTEM_COLUMNS, SilverJob};

/// Places among the system columns.
const TOPIC: usize = 2;
const PARTITION: usize = 3;

/// `epoch << 56 | offset << 8 | revision`; the revision is 0 when a change first lands.
pub const fn version(epoch: u8, offset: i64) -> u64 {
    (epoch as u64) << 56 | (offset as u64 & 0xffff_ffff_ffff) << 8
}

/// Where a row comes from: the system columns.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub(crate) partition: i32,
    pub(crate) version: u64,
    pub(crate) deleted: bool,
    /// bytes of the message
    pub(crate) size: usize,
    pub(crate) lsn: Option<i64>,
    pub(crate) tx_id: Option<i64>,
    /// milliseconds since 1970
    pub(crate) source_time: Option<i64>,
}

#[derive(Clone, Debug)]
pub struct Rows {
    columns: Vec<(String, Type)>,
    data: Vec<Data>,
    /// columns of the table's ORDER BY
    key: Vec<usize>,
    /// how many columns the job declares; the system's follow
    declared: usize,
    rows: usize,
    /// memory at the last count, and bytes of the messages taken in since
    held: usize,
    since: usize,
}

/// Counting what every column holds costs as much as decoding a short row, so it is done once in so many bytes.
const COUNTED_EVERY: usize = 64 << 10;

impl Rows {
    pub fn new(job: &SilverJob) -> Rows {
        let own = |column: &crate::job::Column| (column.name.clone(), column.kind.clone());
        let mut columns: Vec<(String, Type)> = job.columns.iter().map(own).collect();
        let declared = columns.len();
        for (name, kind) in SYSTEM_COLUMNS {
            if let Ok(kind) = Type::parse(kind) {
                columns.push((name.to_owned(), kind));
            }
        }
        let key = if job.key.is_empty() {
            // of one topic, in the order of (_topic, _partition, _version)
            vec![declared + PARTITION, declared]
        } else {
            let place = |source: &String| {
                job.columns
                    .iter()
                    .position(|column| column.source == *source)
            };
            job.key.iter().filter_map(place).collect()
        };
        let mut data: Vec<Data> = columns.iter().map(|(_, kind)| Data::new(kind)).collect();
        if let Some(topic) = data.get_mut(declared + TOPIC) {
            *topic = Data::Same {
                value: job.topic.as_bytes().into(),
                rows: 0,
            };
        }
        Rows {
            columns,
            data,
            key,
            declared,
            rows: 0,
            held: 0,
            since: 0,
        }
    }

    pub fn len(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Memory held, to within the messages of the last 64 KiB.
    pub fn bytes(&self) -> usize {
        self.held + self.since
    }

    /// The table's columns in block order, the system's own last.
    pub fn columns(&self) -> &[(String, Type)] {
        &self.columns
    }

    /// Row `row` as one JSON object, for people.
    pub fn show(&self, row: usize) -> String {
        super::show::row(&self.columns, &self.data, row)
    }

    /// Collapses to the highest version of each key, sorts by key and gathers.
    pub fn finish(self) -> Block {
        let keys: Vec<order::Key<'_>> = self
            .key
            .iter()
            .filter_map(|&at| {
                let (_, kind) = self.columns.get(at)?;
                Some(order::Key::new(kind, self.data.get(at)?))
            })
            .collect();
        let order = match self.data.get(self.declared) {
            Some(versions) => order::newest_per_key(&keys, versions, self.rows),
            None => Vec::new(),
        };
        let data = self.data.iter().map(|data| data.gather(&order)).collect();
        Block::new(self.columns, data, order.len())
    }

    /// The declared columns, for the decoder to append one cell to each.
    pub(crate) fn cells(&mut self) -> &mut [Data] {
        self.data.get_mut(..self.declared).unwrap_or_default()
    }

    /// Ends the row whose declared cells were appended.
    pub(crate) fn commit(&mut self, origin: &Origin) {
        let optional = |data: &mut Data, value: Option<i64>| match value {
            Some(value) => data.put(value.to_le_bytes()),
            None => data.put_default(),
        };
        let system = self.data.get_mut(self.declared..).unwrap_or_default();
        if let [version, deleted, topic, partition, lsn, tx_id, source_time] = system {
            version.put(origin.version.to_le_bytes());
            deleted.put([u8::from(origin.deleted)]);
            partition.put(origin.partition.to_le_bytes());
            optional(lsn, origin.lsn);
            optional(tx_id, origin.tx_id);
            optional(source_time, origin.source_time);
            topic.put_default();
        }
        self.rows += 1;
        self.since += origin.size;
        if self.since >= COUNTED_EVERY {
            self.held = self.data.iter().map(Data::held).sum();
            self.since = 0;
        }
        debug_assert!(self.data.iter().all(|data| data.len() == self.rows));
    }

    /// A deleted row: its key, and nothing else.
    pub(crate) fn delete(&mut self, key: &Key, origin: &Origin) {
        for place in 0..self.declared {
            let of_key = self.key.iter().position(|at| *at == place);
            let cell = of_key.and_then(|at| key.0.get(at));
            if let Some(data) = self.data.get_mut(place) {
                match cell {
                    Some(cell) => data.put_cell(cell),
                    None => data.put_default(),
                }
            }
        }
        self.commit(origin);
    }

    /// Forgets the cells of a row that was not committed.
    pub(crate) fn rollback(&mut self) {
        let rows = self.rows;
        for data in self.cells() {
            data.truncate(rows);
        }
    }
}
