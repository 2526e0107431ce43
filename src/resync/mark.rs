//! The comment by which a table that is being built is known: `bullion resync epoch=1 ends=0:10,1:1000000`; built from Kafka
//! with what Kafka does not tell of: `… begins=0:3,1:0`.

use std::collections::BTreeMap;

use clickhouse::Row;
use serde::Deserialize;

use crate::column::version;
use crate::replay::Range;
use crate::snapshot::Ends;

const PREFIX: &str = "bullion resync ";

/// Which rows of the old table belong into the new one as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    epoch: u8,
    /// what was read when the table was begun ends there; rows from there on are ingest's
    ends: BTreeMap<i32, i64>,
    /// what Kafka had when the table was begun starts there; rows that come from no message of it are taken along
    begins: Option<BTreeMap<i32, i64>>,
}

impl Mark {
    pub(super) fn of(ends: &Ends) -> Mark {
        Mark {
            epoch: ends.epoch(),
            ends: ends.iter().collect(),
            begins: None,
        }
    }

    /// Of a table that is read from these offsets of a topic.
    pub(super) fn of_topic(epoch: u8, ranges: &[Range], keeps_untold: bool) -> Mark {
        let of = |offset: fn(&Range) -> i64| {
            let pair = |range: &Range| (range.partition, offset(range));
            ranges.iter().map(pair).collect()
        };
        Mark {
            epoch,
            ends: of(|range| range.to),
            begins: keeps_untold.then(|| of(|range| range.from)),
        }
    }

    /// Nothing where the comment is another one.
    pub(super) fn parse(comment: &str) -> Option<Mark> {
        let mut words = comment.strip_prefix(PREFIX)?.split(' ');
        let epoch = words.next()?.strip_prefix("epoch=")?.parse().ok()?;
        let ends = offsets(words.next()?.strip_prefix("ends=")?)?;
        let begins = match words.next() {
            Some(begins) => Some(offsets(begins.strip_prefix("begins=")?)?),
            None => None,
        };
        Some(Mark {
            epoch,
            ends,
            begins,
        })
    }

    pub(super) fn comment(&self) -> String {
        let ends = spelled(&self.ends);
        let begins = self
            .begins
            .as_ref()
            .map_or_else(String::new, |begins| format!(" begins={}", spelled(begins)));
        format!("{PREFIX}epoch={} ends={ends}{begins}", self.epoch)
    }

    /// Rows of the old table that are in the new one as they are.
    pub(super) fn carried(&self) -> String {
        match self.untold() {
            None => self.later(),
            Some(untold) => format!("({} OR {untold})", self.later()),
        }
    }

    /// Rows that ingest wrote after the ends were read.
    fn later(&self) -> String {
        let lowest = self.firsts(&self.ends).values().min().copied();
        format!(
            "_version >= {}",
            self.by_partition(&self.ends, lowest.unwrap_or_default())
        )
    }

    /// Whether a row of this partition and version is one of those.
    pub(super) fn is_later(&self, partition: i32, row: u64) -> bool {
        let firsts = self.firsts(&self.ends);
        let lowest = firsts.values().min();
        firsts
            .get(&partition)
            .or(lowest)
            .is_none_or(|first| row >= *first)
    }

    /// Rows that come from no message that Kafka has: older than its first one, or written from the source database or a
    /// file, which raises the revision.
    fn untold(&self) -> Option<String> {
        let begins = self.begins.as_ref()?;
        Some(format!("({} OR {WRITTEN})", self.older(begins)))
    }

    /// Rows of messages that Kafka does not have any more.
    fn older(&self, begins: &BTreeMap<i32, i64>) -> String {
        format!("_version < {}", self.by_partition(begins, u64::MAX))
    }

    /// The first version of each partition, in SQL.
    fn by_partition(&self, offsets: &BTreeMap<i32, i64>, other: u64) -> String {
        let partitions: Vec<String> = offsets.keys().map(i32::to_string).collect();
        let firsts = self.firsts(offsets);
        let versions: Vec<String> = firsts.values().map(|first| format!("'{first}'")).collect();
        format!(
            "transform(_partition, CAST([{}] AS Array(Int32)), CAST([{}] AS Array(UInt64)), toUInt64('{other}'))",
            partitions.join(", "),
            versions.join(", ")
        )
    }

    fn firsts(&self, offsets: &BTreeMap<i32, i64>) -> BTreeMap<i32, u64> {
        let first = |(partition, offset): (&i32, &i64)| (*partition, version(self.epoch, *offset));
        offsets.iter().map(first).collect()
    }
}

/// Their revision is above 0.
const WRITTEN: &str = "bitAnd(_version, 255) != 0";

fn offsets(text: &str) -> Option<BTreeMap<i32, i64>> {
    let pair = |text: &str| {
        let (partition, offset) = text.split_once(':')?;
        Some((partition.parse().ok()?, offset.parse().ok()?))
    };
    text.split(',').map(pair).collect()
}

fn spelled(offsets: &BTreeMap<i32, i64>) -> String {
    let pair = |(partition, offset): (&i32, &i64)| format!("{partition}:{offset}");
    offsets.iter().map(pair).collect::<Vec<_>>().join(",")
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
        let mark = Mark::of_topic(epoch, ranges, true);
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

    #[test]
    fn a_mark_reads_back_and_no_other_comment_is_one() {
        let mark = Mark::of(&Ends::new(2, BTreeMap::from([(0, 10), (1, 0)])));
        assert_eq!(mark.comment(), "bullion resync epoch=2 ends=0:10,1:0");
        assert_eq!(Mark::parse(&mark.comment()), Some(mark));
        let range = |partition, from, to| Range {
            partition,
            from,
            to,
            low: from,
        };
        let ranges = [range(0, 3, 10), range(1, 0, 0)];
        assert_eq!(
            Mark::of_topic(2, &ranges, false),
            Mark::of(&Ends::new(2, BTreeMap::from([(0, 10), (1, 0)])))
        );
        let mark = Mark::of_topic(2, &ranges, true);
        assert_eq!(
            mark.comment(),
            "bullion resync epoch=2 ends=0:10,1:0 begins=0:3,1:0"
        );
        assert_eq!(Mark::parse(&mark.comment()), Some(mark));
        for other in [
            "",
            "mine",
            "bullion resync epoch=1 ends=0:1 begins=",
            "bullion resync epoch=x ends=",
            "bullion 1234",
        ] {
            assert_eq!(Mark::parse(other), None, "{other}");
        }
    }
}
