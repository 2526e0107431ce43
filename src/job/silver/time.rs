//! How the time that a row had before is known: gold has to rebuild the window of that time, too.

use super::{DeletePolicy, SilverJob};

/// Of rows that are written, whose earlier time has to be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EarlierTime {
    /// nobody's: a row without a key never changes, and a time that is part of the key changes with it
    OfNone,
    /// the time never changes, and a deleted row does not tell it
    OfDeleted,
    OfAll,
    /// nobody's: every message tells it
    Told,
}

impl EarlierTime {
    /// Whether the times of rows are kept, to be looked up later.
    pub fn is_kept(self) -> bool {
        matches!(self, EarlierTime::OfDeleted | EarlierTime::OfAll)
    }
}

impl SilverJob {
    /// Nothing where the job declares no time column, so that its changes are not tracked.
    pub fn earlier_time(&self) -> Option<EarlierTime> {
        let time = self.time_column.as_ref()?;
        let column = self.columns.iter().find(|column| column.name == *time)?;
        if self.key.is_empty() || self.key.contains(&column.source) {
            return Some(EarlierTime::OfNone);
        }
        Some(
            match (self.immutable.contains(time), self.policies.delete) {
                (true, DeletePolicy::Ignore) => EarlierTime::OfNone,
                _ if self.before_image => EarlierTime::Told,
                (true, DeletePolicy::Delete) => EarlierTime::OfDeleted,
                (false, _) => EarlierTime::OfAll,
            },
        )
    }
}
