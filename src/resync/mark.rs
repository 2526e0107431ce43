//! The comment by which a table that is being built is known: `bullion resync epoch=1 ends=0:10,1:1000000`.

use std::collections::BTreeMap;

use crate::column::version;
use crate::snapshot::Ends;

const PREFIX: &str = "bullion resync ";

/// The ends of the topic when the table was begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    epoch: u8,
    ends: BTreeMap<i32, i64>,
}

impl Mark {
    pub(super) fn of(ends: &Ends) -> Mark {
        Mark {
            epoch: ends.epoch(),
            ends: ends.iter().collect(),
        }
    }

    /// Nothing where the comment is another one.
    pub(super) fn parse(comment: &str) -> Option<Mark> {
        let (epoch, ends) = comment.strip_prefix(PREFIX)?.split_once(' ')?;
        let end = |text: &str| {
            let (partition, end) = text.split_once(':')?;
            Some((partition.parse().ok()?, end.parse().ok()?))
        };
        Some(Mark {
            epoch: epoch.strip_prefix("epoch=")?.parse().ok()?,
            ends: ends
                .strip_prefix("ends=")?
                .split(',')
                .map(end)
                .collect::<Option<_>>()?,
        })
    }

    pub(super) fn comment(&self) -> String {
        let ends: Vec<String> = self
            .ends
            .iter()
            .map(|(partition, end)| format!("{partition}:{end}"))
            .collect();
        format!("{PREFIX}epoch={} ends={}", self.epoch, ends.join(","))
    }

    /// Rows that ingest wrote after the ends were read.
    pub(super) fn later(&self) -> String {
        let partitions: Vec<String> = self.ends.keys().map(i32::to_string).collect();
        let first = |end: &i64| version(self.epoch, *end);
        let versions: Vec<String> = self
            .ends
            .values()
            .map(|end| format!("'{}'", first(end)))
            .collect();
        let lowest = self.ends.values().map(first).min().unwrap_or_default();
        format!(
            "_version >= transform(_partition, CAST([{}] AS Array(Int32)), CAST([{}] AS Array(UInt64)), toUInt64('{lowest}'))",
            partitions.join(", "),
            versions.join(", ")
        )
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
        for other in ["", "mine", "bullion resync epoch=x ends=", "bullion 1234"] {
            assert_eq!(Mark::parse(other), None, "{other}");
        }
    }
}
