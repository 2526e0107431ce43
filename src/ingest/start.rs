//! From where each partition is read: the group's offset, what `ops.checkpoints` knows, or the first start's rule.

use std::collections::BTreeMap;

use crate::checkpoint::Position;
use crate::config::FirstStart;
use crate::error::{Error, Kind, Result};
use crate::job::SilverJob;
use crate::source::{Consumer, Partition};

/// A job at a later one has run before, so its first start is behind it.
const FIRST_EPOCH: u8 = 1;

/// What is known of one partition when it is assigned.
#[derive(Clone, Copy, Debug)]
pub struct Known {
    /// the group's committed offset, as Kafka remembers it
    pub committed: Option<i64>,
    /// what `ops.checkpoints` remembers, in this epoch
    pub checkpoint: Option<Position>,
    /// first offset that still exists, and first that does not yet
    pub low: i64,
    pub high: i64,
}

/// Where a partition is read on, and its end.
pub struct Next {
    pub partition: Partition,
    pub offset: i64,
    pub end: i64,
}

impl Next {
    pub fn behind(&self) -> i64 {
        (self.end - self.offset).max(0)
    }
}

/// Each partition of a job's topic as Kafka and `ops.checkpoints` know it now.
pub fn of_job(
    consumer: &Consumer,
    job: &SilverJob,
    partitions: u32,
    checkpoints: &BTreeMap<i32, Position>,
    first_start: FirstStart,
) -> Result<Vec<Next>> {
    let partition = |number: u32| Partition {
        topic: job.topic.clone(),
        number: i32::try_from(number).unwrap_or(i32::MAX),
    };
    let partitions: Vec<Partition> = (0..partitions).map(partition).collect();
    let mut all = Vec::new();
    for found in consumer.committed(&partitions)? {
        let (low, high) = consumer.watermarks(&found.partition)?;
        let known = Known {
            committed: found.offset,
            checkpoint: checkpoints.get(&found.partition.number).copied(),
            low,
            high,
        };
        all.push(Next {
            offset: position(job, &found.partition, &known, first_start)?,
            partition: found.partition,
            end: high,
        });
    }
    Ok(all)
}

/// | ops.checkpoints | committed in Kafka | start                                                 |
/// |-----------------|--------------------|-------------------------------------------------------|
/// | unknown         | anything           | first start: the topic's begin or end, as configured  |
/// |                 |                    | (its begin when the epoch was raised: all of it is new;|
/// |                 |                    | a topic that has grown is known, see `sink::checkpoints`)|
/// | known           | yes                | committed                                             |
/// | known           | no (idle a week)   | the checkpoint                                        |
///
/// A start outside of what the topic still holds is an error, never a jump.
pub fn position(
    job: &SilverJob,
    partition: &Partition,
    known: &Known,
    first_start: FirstStart,
) -> Result<i64> {
    let Some(checkpoint) = known.checkpoint else {
        return Ok(match first_start {
            FirstStart::Latest if job.epoch == FIRST_EPOCH => known.high,
            FirstStart::Earliest | FirstStart::Latest => known.low,
        });
    };
    let start = known.committed.unwrap_or(checkpoint.next_offset);
    is_there(job, partition, start, known.low, known.high)?;
    Ok(start)
}

/// An error where the topic does not hold the next offset that we want, and it is not its end either.
pub fn is_there(
    job: &SilverJob,
    partition: &Partition,
    next: i64,
    low: i64,
    high: i64,
) -> Result<()> {
    if next < low {
        let message = format!(
            "job {}: {partition}: messages from offset {next} to {low} are gone, retention has passed them",
            job.name
        );
        return Err(Error::new(Kind::Gap, message));
    }
    if next > high {
        let message = format!(
            "job {}: {partition} ends at offset {high}, but {next} was already ingested: it was truncated or recreated",
            job.name
        );
        return Err(Error::new(Kind::Mismatch, message).advise(format!(
            "if its offsets start over, write `epoch = {}` into jobs/silver/{}.toml",
            job.epoch.saturating_add(1),
            job.name
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Format, Policies};

    fn start(known: Known) -> Result<i64> {
        start_by(1, FirstStart::Earliest, known)
    }

    fn start_by(epoch: u8, first_start: FirstStart, known: Known) -> Result<i64> {
        let job = SilverJob {
            name: "orders".to_owned(),
            topic: "t".to_owned(),
            tables: Vec::new(),
            format: Format::DEBEZIUM_JSON,
            flattened: None,
            key: Vec::new(),
            time_column: None,
            immutable: Vec::new(),
            partition_by: None,
            before_image: false,
            columns: Vec::new(),
            extras: Vec::new(),
            exclude: Vec::new(),
            policies: Policies::default(),
            epoch,
        };
        let partition = Partition {
            topic: "t".to_owned(),
            number: 2,
        };
        position(&job, &partition, &known, first_start)
    }

    fn known(committed: Option<i64>, checkpoint: Option<i64>) -> Known {
        Known {
            committed,
            checkpoint: checkpoint.map(|next_offset| Position {
                next_offset,
                source_time: None,
            }),
            low: 10,
            high: 100,
        }
    }

    #[test]
    fn a_job_that_ops_does_not_know_starts_by_its_rule() {
        assert_eq!(start(known(None, None)).unwrap(), 10);
        // left over from before ClickHouse was emptied, or from an earlier epoch
        assert_eq!(start(known(Some(50), None)).unwrap(), 10);
    }

    #[test]
    fn only_the_first_epoch_may_begin_at_the_end() {
        let latest = |epoch| start_by(epoch, FirstStart::Latest, known(None, None)).unwrap();
        assert_eq!(latest(1), 100);
        assert_eq!(latest(2), 10);
    }

    #[test]
    fn a_known_job_goes_on_where_the_group_or_else_the_checkpoint_stands() {
        assert_eq!(start(known(Some(50), Some(40))).unwrap(), 50);
        assert_eq!(start(known(None, Some(40))).unwrap(), 40);
        assert_eq!(start(known(Some(100), Some(40))).unwrap(), 100);
    }

    #[test]
    fn offsets_that_retention_has_passed_stop_the_job_and_show_the_gap() {
        let error = start(known(Some(4), Some(4))).unwrap_err();
        assert_eq!(error.kind(), Kind::Gap);
        assert!(
            error.to_string().contains("from offset 4 to 10 are gone"),
            "{error}"
        );
    }

    #[test]
    fn a_topic_that_ends_before_our_offset_stops_the_job() {
        let error = start(known(Some(101), Some(40))).unwrap_err();
        assert_eq!(error.kind(), Kind::Mismatch);
        assert!(error.advice().contains("epoch = 2"));
    }
}
