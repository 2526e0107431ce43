//! What is left of a batch: rows that wait, which others must know of.

use std::collections::HashSet;

use super::Keeping;
use super::decide::Case;
use crate::batch::DeadLetter;

impl Keeping<'_> {
    /// Lets go of everything but these cases.
    pub(super) fn reduce_to(&mut self, left: &[usize]) {
        let mut order = Vec::new();
        let mut cases = Vec::new();
        for (at, case) in std::mem::take(&mut self.cases).into_iter().enumerate() {
            if left.binary_search(&at).is_err() {
                continue;
            }
            let start = order.len() as u32;
            order.extend(&case.rows);
            cases.push(Case {
                rows: (start..order.len() as u32).collect(),
                ..case
            });
        }
        let (rows, kept) = self.rows.only(&order);
        let letter = |at: usize| self.letters.get(at).cloned();
        self.letters = kept.into_iter().filter_map(letter).collect();
        self.rows = rows;
        self.cases = cases;
    }

    /// Later batches must know whose rows are still to come.
    pub(super) fn await_keys(&self, moves: u64) {
        let keys = self.cases.iter().map(|case| case.key.0.clone());
        let awaited = &self.target.awaited;
        awaited.wait_for(self.number, keys.collect(), moves);
    }

    /// Of all that waits; the messages, too, which would become dead letters.
    pub(super) fn bytes(&self) -> usize {
        self.rows.bytes() + self.letters.iter().map(DeadLetter::bytes).sum::<usize>()
    }

    /// Time of the source of the newest row that waits, milliseconds since 1970.
    pub(super) fn newest_time(&self) -> Option<i64> {
        let doubts = self.rows.doubts().iter();
        doubts
            .filter_map(|doubt| self.rows.source_time(doubt.row))
            .max()
    }

    /// Rows of partitions that are somebody else's now: whoever reads them again writes them.
    pub(super) fn let_go(&mut self) {
        let doubts = self.rows.doubts().iter().zip(&self.letters);
        let given_up: HashSet<u32> = doubts
            .filter(|(_, letter)| {
                let awaited = &self.target.awaited;
                awaited.is_given_up(letter.partition, self.number)
            })
            .map(|(doubt, _)| doubt.row as u32)
            .collect();
        if given_up.is_empty() {
            return;
        }
        let is_ours = |case: &Case| !case.rows.iter().any(|row| given_up.contains(row));
        let cases = self.cases.iter().enumerate();
        let ours: Vec<usize> = cases
            .filter(|(_, case)| is_ours(case))
            .map(|(at, _)| at)
            .collect();
        self.reduce_to(&ours);
    }
}
