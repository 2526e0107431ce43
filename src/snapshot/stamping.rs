//! Rows that were read from the source get the versions that they are written under.

use super::{Ends, Known, NoRoom, Reading, Stamp};
use crate::column::{Block, Key, Origin, Rows};

/// What all rows of one snapshot have in common.
pub struct Stamping<'a> {
    pub reading: &'a Reading,
    /// read before the snapshot was opened
    pub ends: &'a Ends,
    pub lsn: Option<i64>,
    pub time: i64,
    /// ingest has read everything below the ends, so that a key which silver does not know has had no change there
    pub caught_up: bool,
}

/// Keys that were not written, by why.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// changed by ingest meanwhile
    pub newer: u64,
    /// unknown to silver, and ingest has not read the whole topic
    pub waiting: u64,
    /// rewritten 255 times while the partition stood still
    pub exhausted: u64,
}

impl Stamping<'_> {
    fn stamp(&self, known: Option<Known>, left: &mut Left) -> Option<Stamp> {
        if known.is_none() && !self.caught_up {
            left.waiting += 1;
            return None;
        }
        match self.ends.stamp(known) {
            Ok(stamp) => Some(stamp),
            Err(NoRoom::Newer) => {
                left.newer += 1;
                None
            }
            Err(NoRoom::Revisions) => {
                left.exhausted += 1;
                None
            }
        }
    }

    /// The rows that can be written, with their versions; `known` is silver's newest row of a key.
    pub fn rows(
        &self,
        block: &Block,
        known: impl Fn(&Key) -> Option<Known>,
        left: &mut Left,
    ) -> Block {
        let places = self.reading.key_places(block);
        let stamps: Vec<Option<Stamp>> = (0..block.rows())
            .map(|row| self.stamp(known(&block.key(row, &places)), left))
            .collect();
        let mut block = block.keep(|row| stamps.get(row).is_some_and(Option::is_some));
        let stamps = stamps.into_iter().flatten();
        block.stamp(
            &stamps
                .map(|stamp| (stamp.version, stamp.partition))
                .collect::<Vec<_>>(),
        );
        block
    }

    /// A deleted row for each key that silver knows and the source does not have.
    pub fn deleted<'k>(
        &self,
        keys: impl Iterator<Item = (&'k Key, Known)>,
        left: &mut Left,
    ) -> Block {
        let mut rows = Rows::new(&self.reading.job);
        for (key, known) in keys {
            if let Some(stamp) = self.stamp(Some(known), left) {
                rows.delete(
                    key,
                    &Origin {
                        partition: stamp.partition,
                        version: stamp.version,
                        deleted: true,
                        size: 0,
                        lsn: self.lsn,
                        tx_id: None,
                        source_time: Some(self.time),
                    },
                );
            }
        }
        rows.finish()
    }
}
