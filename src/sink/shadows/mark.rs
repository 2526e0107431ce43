//! The comment by which a table that resync has built is known: `bullion resync token=7 epoch=1 ends=0:10,1:1000000`; built
//! from Kafka with what Kafka does not tell of: `… begins=0:3,1:0`.

use std::collections::BTreeMap;

use crate::column::version;

const PREFIX: &str = "bullion resync token=";

/// Which rows of the old table belong into the new one as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    epoch: u8,
    /// what was read when the table was begun ends there; rows from there on are ingest's
    ends: BTreeMap<i32, i64>,
    /// what Kafka had when the table was begun starts there; rows that come from no message of it are taken along
    begins: Option<BTreeMap<i32, i64>>,
}

impl Mark {
    pub(crate) fn new(
        epoch: u8,
        ends: BTreeMap<i32, i64>,
        begins: Option<BTreeMap<i32, i64>>,
    ) -> Mark {
        Mark {
            epoch,
            ends,
            begins,
        }
    }

    /// With the token of whoever built the table; nothing where the comment is another one.
    pub(super) fn parse(comment: &str) -> Option<(u64, Mark)> {
        let mut words = comment.strip_prefix(PREFIX)?.split(' ');
        let token = words.next()?.parse().ok()?;
        let epoch = words.next()?.strip_prefix("epoch=")?.parse().ok()?;
        let ends = offsets(words.next()?.strip_prefix("ends=")?)?;
        let begins = match words.next() {
            Some(begins) => Some(offsets(begins.strip_prefix("begins=")?)?),
            None => None,
        };
        Some((token, Mark::new(epoch, ends, begins)))
    }

    pub(crate) fn comment(&self, token: u64) -> String {
        let ends = spelled(&self.ends);
        let begins = self
            .begins
            .as_ref()
            .map_or_else(String::new, |begins| format!(" begins={}", spelled(begins)));
        format!("{PREFIX}{token} epoch={} ends={ends}{begins}", self.epoch)
    }

    /// Rows of the old table that are in the new one as they are.
    pub(crate) fn carried(&self) -> String {
        match self.untold() {
            None => self.later(),
            Some(untold) => format!("({} OR {untold})", self.later()),
        }
    }

    /// Rows that ingest wrote after the ends were read.
    pub(crate) fn later(&self) -> String {
        let lowest = self.firsts(&self.ends).values().min().copied();
        format!(
            "_version >= {}",
            self.by_partition(&self.ends, lowest.unwrap_or_default())
        )
    }

    /// Whether a row of this partition and version is one of those.
    pub(crate) fn is_later(&self, partition: i32, row: u64) -> bool {
        let firsts = self.firsts(&self.ends);
        let lowest = firsts.values().min();
        firsts
            .get(&partition)
            .or(lowest)
            .is_none_or(|first| row >= *first)
    }

    /// Rows that come from no message that Kafka has: older than its first one, or written from the source database or a
    /// file, which raises the revision.
    pub(crate) fn untold(&self) -> Option<String> {
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
pub(crate) const WRITTEN: &str = "bitAnd(_version, 255) != 0";

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_reads_back_and_no_other_comment_is_one() {
        let ends = BTreeMap::from([(0, 10), (1, 0)]);
        let mark = Mark::new(2, ends.clone(), None);
        assert_eq!(
            mark.comment(7),
            "bullion resync token=7 epoch=2 ends=0:10,1:0"
        );
        assert_eq!(Mark::parse(&mark.comment(7)), Some((7, mark)));
        let mark = Mark::new(2, ends, Some(BTreeMap::from([(0, 3), (1, 0)])));
        assert_eq!(
            mark.comment(8),
            "bullion resync token=8 epoch=2 ends=0:10,1:0 begins=0:3,1:0"
        );
        assert_eq!(Mark::parse(&mark.comment(8)), Some((8, mark)));
        for other in [
            "",
            "mine",
            "bullion resync token=1 epoch=1 ends=0:1 begins=",
            "bullion resync token=1 epoch=x ends=",
            "bullion resync token= epoch=1 ends=0:1",
            "bullion 1234",
        ] {
            assert_eq!(Mark::parse(other), None, "{other}");
        }
    }
}
