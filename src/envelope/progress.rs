//! How far the decoder is in the row that it reads.

use std::ops::Range;

use super::fate::Reason;
use super::value::Scratch;

/// What the decoder remembers while it reads one row.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// per column, the number of the row that last filled it
    filled: Vec<u64>,
    row: u64,
    /// columns whose value reads as a TOAST placeholder, and what is wrong with it where that is no data
    pub(super) doubtful: Vec<(usize, Reason)>,
    /// per column of the job's key, where its value stands in the message
    pub(super) key_spans: Vec<Range<usize>>,
    pub(super) scratch: Scratch,
}

impl Progress {
    pub(super) fn begin(&mut self, columns: usize, keys: usize) {
        self.filled.resize(columns, 0);
        self.key_spans.resize(keys, 0..0);
        self.row += 1;
        self.doubtful.clear();
    }

    /// Whether this is the first value for the column in this row.
    #[inline]
    pub(super) fn fill(&mut self, column: usize) -> bool {
        match self.filled.get_mut(column) {
            Some(row) if *row != self.row => {
                *row = self.row;
                true
            }
            _ => false,
        }
    }

    pub(super) fn is_filled(&self, column: usize) -> bool {
        self.filled.get(column) == Some(&self.row)
    }
}
