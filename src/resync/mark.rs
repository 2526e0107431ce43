//! Which rows of the old table are in the new one as they are, and those of which Kafka does not tell.

use clickhouse::Row;
use serde::Deserialize;

use crate::replay::Range;
use crate::sink::shadows::{Mark, WRITTEN};
use crate::snapshot::Ends;

/// Of a table that is filled with the source's rows, read after the ends were.
pub(super) fn of(ends: &Ends) -> Mark {
    Mark::new(ends.epoch(), ends.iter().collect(), None)
}

/// Of a table that is read from these offsets of a topic.
pub(super) fn of_topic(epoch: u8, ranges: &[Range], keeps_untold: bool) -> Mark {
    let of = |offset: fn(&Range) -> i64| {
        let pair = |range: &Range| (range.partition, offset(range));
        ranges.iter().map(pair).collect()
    };
    let begins = keeps_untold.then(|| of(|range| range.from));
    Mark::new(epoch, of(|range| range.to), begins)
}

/// What of the untold rows readers see, by why Kafka does not tell of them.
#[derive(Clone, Copy, Debug, Default, Row, Deserialize)]
pub(super) struct Untold {
    pub(super) older: u64,
    pub(super) written: u64,
}

impl Untold {
    /// The question, of a table whose name is quoted.
    pub(super) fn question(epoch: u8, ranges: &[Range], table: &str) -> String {
        let mark = of_topic(epoch, ranges, true);
        let (untold, later) = (mark.untold().unwrap_or_default(), mark.later());
        format!(
            "SELECT countIf(NOT {WRITTEN}) AS older, countIf({WRITTEN}) AS written FROM {table} FINAL \
             WHERE _deleted = 0 AND {untold} AND NOT ({later})"
        )
    }

    pub(super) fn rows(self) -> u64 {
        self.older + self.written
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn a_table_of_messages_and_one_of_the_source_have_the_same_ends() {
        let range = |partition, from, to| Range {
            partition,
            from,
            to,
            low: from,
        };
        let ranges = [range(0, 3, 10), range(1, 0, 0)];
        let ends = BTreeMap::from([(0, 10), (1, 0)]);
        assert_eq!(of_topic(2, &ranges, false), of(&Ends::new(2, ends.clone())));
        let begins = BTreeMap::from([(0, 3), (1, 0)]);
        assert_eq!(of_topic(2, &ranges, true), Mark::new(2, ends, Some(begins)));
    }
}
