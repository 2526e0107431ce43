//! A column batch under construction, in arrival order.

mod leaning;

use std::collections::BTreeSet;

use super::{Block, Data, Key, Type, order};
use crate::job::{SYSTEM_COLUMNS, SilverJob};
use crate::window::Bucket;

pub(crate) use leaning::{Cell, key_bytes};

/// Places among the system columns.
const TOPIC: usize = 2;
const PARTITION: usize = 3;
const LSN: usize = 4;
const TX_ID: usize = 5;
const SOURCE_TIME: usize = 6;

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

/// A row that leaves columns to the state before it.
#[derive(Clone, Debug)]
pub(crate) struct Doubt {
    pub(crate) row: usize,
    /// places among the table's columns; their cells hold defaults
    pub(crate) columns: Vec<usize>,
    /// where a change of key made the row: the key that it had, one cell a column
    pub(crate) moved_from: Option<Vec<Data>>,
}

#[derive(Clone, Debug)]
pub struct Rows {
    columns: Vec<(String, Type)>,
    data: Vec<Data>,
    /// columns of the table's ORDER BY
    key: Vec<usize>,
    /// how many columns the decoder reads from images; the job's further ones follow
    declared: usize,
    /// place of the first of the system's
    system: usize,
    /// of the further columns: what stands in a row that nothing else is given for
    constants: Vec<Option<Data>>,
    rows: usize,
    doubts: Vec<Doubt>,
    /// where rows were before, as their messages say
    earlier: BTreeSet<Bucket>,
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
        let extra = |extra: &crate::job::Extra| (extra.name.clone(), extra.kind.clone());
        columns.extend(job.extras.iter().map(extra));
        let system = columns.len();
        for (name, kind) in SYSTEM_COLUMNS {
            if let Ok(kind) = Type::parse(kind) {
                columns.push((name.to_owned(), kind));
            }
        }
        let key = if job.key.is_empty() {
            // of one topic, in the order of (_topic, _partition, _version)
            vec![system + PARTITION, system]
        } else {
            let place = |source: &String| {
                job.columns
                    .iter()
                    .position(|column| column.source == *source)
            };
            job.key.iter().filter_map(place).collect()
        };
        let mut data: Vec<Data> = columns.iter().map(|(_, kind)| Data::new(kind)).collect();
        if let Some(topic) = data.get_mut(system + TOPIC) {
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
            system,
            constants: job
                .extras
                .iter()
                .map(|extra| extra.constant().cloned())
                .collect(),
            rows: 0,
            doubts: Vec::new(),
            earlier: BTreeSet::new(),
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
        let order = match self.data.get(self.system) {
            Some(versions) => order::newest_per_key(&self.sorting(), versions, self.rows),
            None => Vec::new(),
        };
        let data = self.data.iter().map(|data| data.gather(&order)).collect();
        Block::new(self.columns, data, order.len())
    }

    /// The declared columns, for the decoder to append one cell to each.
    pub(crate) fn cells(&mut self) -> &mut [Data] {
        self.data.get_mut(..self.declared).unwrap_or_default()
    }

    /// The job's columns that come from elsewhere, for one cell each before the row ends.
    pub(crate) fn extras(&mut self) -> &mut [Data] {
        self.data
            .get_mut(self.declared..self.system)
            .unwrap_or_default()
    }

    /// Constants, and the default of what only a message of Kafka would have.
    fn fill_extras(&mut self) {
        let rows = self.rows;
        let extras = self.data.get_mut(self.declared..self.system);
        for (data, constant) in extras.unwrap_or_default().iter_mut().zip(&self.constants) {
            match constant {
                _ if data.len() > rows => {}
                Some(constant) => data.append(constant),
                None => data.put_default(),
            }
        }
    }

    /// Ends the row whose declared cells were appended.
    pub(crate) fn commit(&mut self, origin: &Origin) {
        let optional = |data: &mut Data, value: Option<i64>| match value {
            Some(value) => data.put(value.to_le_bytes()),
            None => data.put_default(),
        };
        if !self.constants.is_empty() {
            self.fill_extras();
        }
        let system = self.data.get_mut(self.system..).unwrap_or_default();
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

    /// Says where a row was before the change that is on its way.
    pub(crate) fn was_at(&mut self, bucket: Bucket) {
        self.earlier.insert(bucket);
    }

    pub(crate) fn take_earlier(&mut self) -> BTreeSet<Bucket> {
        std::mem::take(&mut self.earlier)
    }

    /// Says of the last row that it needs the state before it.
    pub(crate) fn doubt(&mut self, doubt: Doubt) {
        self.doubts.push(doubt);
    }

    /// In the order of their rows.
    pub(crate) fn doubts(&self) -> &[Doubt] {
        &self.doubts
    }

    /// Forgets the cells of a row that was not committed.
    pub(crate) fn rollback(&mut self) {
        let rows = self.rows;
        for data in self.cells() {
            data.truncate(rows);
        }
    }
}
