//! Where a row's unsent values are: in an older row of the batch, in silver, nowhere, or not there yet.
//!
//! ```text
//! u(K, big = ?) ─▶ the newest state of K below its version: a row of the batch, else of silver
//! d(K₁) with `newkey` ─▶ the same, so that the deleted row holds them
//! c(K₂, big = ?) with `oldkey` ─▶ d(K₁) of the same change, in the batch or in silver; not there yet: it is in a partition
//!                                 that others read, or that we have not read so far
//! ```
//!
//! Only older state is read, and state that is certain: a dead letter of the key between the two makes it no answer.

use std::collections::{BTreeSet, HashMap};

use crate::batch::DeadLetter;
use crate::column::{Rows, key_bytes};
use crate::sink::recall::{Key, Stored};

/// The rows of one key, of which at least one has doubts.
pub struct Case {
    pub key: Key,
    /// oldest first
    pub rows: Vec<u32>,
}

/// Everything that a decision rests on.
pub struct Known<'a> {
    pub rows: &'a Rows,
    /// of the rows' doubts, in their order: the message each came from
    pub letters: &'a [DeadLetter],
    pub cases: &'a [Case],
    pub stored: &'a HashMap<Vec<u8>, Vec<Stored>>,
    /// Kafka key → versions of its dead letters
    pub dead: &'a HashMap<Vec<u8>, Vec<u64>>,
    /// keys whose rows an earlier batch has not written yet
    pub awaited: &'a BTreeSet<Vec<u8>>,
    /// what is not there yet will not come any more
    pub out_of_patience: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    Row(u32),
    Silver(Vec<u8>, u64),
    Nothing,
    NotYet,
}

/// What becomes of one key's rows.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// doubts whose values are nowhere, and the column that is missing first
    pub rejected: Vec<(usize, usize)>,
    pub write: Option<Write>,
    pub wait: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Write {
    pub row: u32,
    /// column → where its cell is
    pub cells: Vec<(usize, Found)>,
}

/// The cases by key, and the doubts by row.
pub struct Deciding<'a> {
    known: &'a Known<'a>,
    by_key: HashMap<&'a [u8], usize>,
    doubts: HashMap<u32, usize>,
}

impl<'a> Deciding<'a> {
    pub fn new(known: &'a Known<'a>) -> Deciding<'a> {
        let cases = known.cases.iter().enumerate();
        let doubts = known.rows.doubts().iter().enumerate();
        Deciding {
            by_key: cases
                .map(|(at, case)| (case.key.0.as_slice(), at))
                .collect(),
            doubts: doubts.map(|(at, doubt)| (doubt.row as u32, at)).collect(),
            known,
        }
    }

    /// The newest row that can be told is written; newer ones that cannot are rejected.
    pub fn decide(&self, at: usize) -> Decision {
        let mut decision = Decision::default();
        let Some(case) = self.known.cases.get(at) else {
            return decision;
        };
        let rows = self.known.rows;
        let newest = self.stored(&case.key.0).map(|stored| stored.version).max();
        for (place, row) in case.rows.iter().enumerate().rev() {
            if newest >= Some(rows.version(*row as usize)) {
                // written before, or outdone: nothing more to say
                return decision;
            }
            let mut write = Write {
                row: *row,
                cells: Vec::new(),
            };
            let mut missing = None;
            for column in self.doubted(*row) {
                match self.value(at, place, *column) {
                    // an earlier batch that is still to write has a patience of its own
                    Found::NotYet
                        if !self.known.out_of_patience
                            || self.known.awaited.contains(&case.key.0) =>
                    {
                        // all of it is decided again: what is rejected now would be so once more
                        return Decision {
                            wait: true,
                            ..Decision::default()
                        };
                    }
                    Found::NotYet | Found::Nothing => {
                        missing = missing.or(Some(*column));
                        write.cells.push((*column, Found::Nothing));
                    }
                    found => write.cells.push((*column, found)),
                }
            }
            match (missing, self.doubts.get(row)) {
                (Some(column), Some(doubt)) if !rows.is_deleted(*row as usize) => {
                    decision.rejected.push((*doubt, column));
                }
                (missing, _) => {
                    if missing.is_some() {
                        // nobody may take its defaults for values: without its place in the source no create finds it
                        let source = rows.source_columns();
                        write.cells.retain(|(column, _)| !source.contains(column));
                        write
                            .cells
                            .extend(source.map(|column| (column, Found::Nothing)));
                    }
                    decision.write = Some(write);
                    return decision;
                }
            }
        }
        decision
    }

    fn value(&self, at: usize, place: usize, column: usize) -> Found {
        let (rows, Some(case)) = (self.known.rows, self.known.cases.get(at)) else {
            return Found::Nothing;
        };
        let Some(row) = case.rows.get(place).copied() else {
            return Found::Nothing;
        };
        if !self.doubted(row).contains(&column) {
            return Found::Row(row);
        }
        let version = rows.version(row as usize);
        let deleted = rows.is_deleted(row as usize);
        let key = &case.key.0;
        // it may be there itself
        if self.stored(key).any(|stored| stored.version == version) {
            return Found::Silver(key.clone(), version);
        }
        if let Some(old) = self.moved_from(row) {
            return self.moved(&old, row, column);
        }
        let before = place
            .checked_sub(1)
            .and_then(|place| case.rows.get(place).copied());
        if before.is_none() && self.known.awaited.contains(key) {
            // what silver has is not what the row was by then
            return Found::NotYet;
        }
        let before_version = before.map(|row| rows.version(row as usize));
        let stored = self
            .stored(key)
            .filter(|stored| stored.version < version)
            .max_by_key(|stored| stored.version);
        let stored_version = stored.map(|stored| stored.version);
        if self.has_dead_letter(row, before_version.max(stored_version), version) {
            return Found::Nothing;
        }
        if let (Some(before), true) = (before, before_version > stored_version) {
            let gone = rows.is_deleted(before as usize);
            return match gone && !(deleted && self.doubts.contains_key(&before)) {
                true => Found::Nothing,
                false => self.value(at, place - 1, column),
            };
        }
        match stored {
            Some(stored) if stored.deleted && !deleted => Found::Nothing,
            Some(stored) => Found::Silver(key.clone(), stored.version),
            None => Found::Nothing,
        }
    }

    /// A value that stands at the delete of the key before: the two are one change of the source, at one place of its log.
    fn moved(&self, old: &[u8], row: u32, column: usize) -> Found {
        let rows = self.known.rows;
        let Some(lsn) = rows.lsn(row as usize) else {
            return Found::Nothing;
        };
        let same = |stored: &&Stored| stored.deleted && stored.lsn == Some(lsn);
        if let Some(stored) = self.stored(old).find(same) {
            return Found::Silver(old.to_vec(), stored.version);
        }
        if let Some(at) = self.by_key.get(old).copied()
            && let Some(case) = self.known.cases.get(at)
        {
            let is_its = |row: &u32| {
                let deleted = rows.is_deleted(*row as usize);
                deleted && rows.lsn(*row as usize) == Some(lsn) && self.doubts.contains_key(row)
            };
            if let Some(place) = case.rows.iter().position(is_its) {
                return self.value(at, place, column);
            }
        }
        let transaction = rows.tx_id(row as usize);
        let unknown =
            |stored: &Stored| stored.deleted && stored.lsn.is_none() && stored.tx_id == transaction;
        match transaction.is_some() && self.stored(old).copied().any(|stored| unknown(&stored)) {
            true => Found::Nothing,
            false => Found::NotYet,
        }
    }

    fn stored(&self, key: &[u8]) -> impl Iterator<Item = &Stored> {
        self.known.stored.get(key).into_iter().flatten()
    }

    fn doubted(&self, row: u32) -> &[usize] {
        let doubt = self.doubts.get(&row);
        let doubt = doubt.and_then(|at| self.known.rows.doubts().get(*at));
        doubt.map_or(&[], |doubt| doubt.columns.as_slice())
    }

    fn moved_from(&self, row: u32) -> Option<Vec<u8>> {
        let doubt = self.known.rows.doubts().get(*self.doubts.get(&row)?)?;
        Some(key_bytes(doubt.moved_from.as_ref()?, 0))
    }

    fn has_dead_letter(&self, row: u32, after: Option<u64>, before: u64) -> bool {
        let letter = self
            .doubts
            .get(&row)
            .and_then(|at| self.known.letters.get(*at));
        let key = letter.and_then(|letter| letter.key.as_ref());
        let dead = key.and_then(|key| self.known.dead.get(key));
        dead.is_some_and(|versions| {
            let mut versions = versions.iter();
            versions.any(|version| Some(*version) > after && *version < before)
        })
    }
}
