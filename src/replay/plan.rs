//! Which offsets of which partitions a replay reads.

use std::collections::BTreeMap;

use crate::archive::{Archived, Hole};
use crate::error::{Error, Kind, Result};
use crate::job::SilverJob;
use crate::source::{Consumer, Partition};

/// Partition → offset.
pub type Offsets = BTreeMap<i32, i64>;

/// Where a replay begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum From {
    /// the first message that each partition still has
    Start,
    /// messages that are not older, milliseconds since 1970
    Time(i64),
    /// of these partitions, and of no others
    Offsets(Offsets),
}

/// Where it ends: the first offset that is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Until {
    /// the ends that the partitions have now
    Ends,
    Time(i64),
    Offsets(Offsets),
}

/// What is read of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    pub partition: i32,
    pub from: i64,
    pub to: i64,
    /// first offset that the topic, or the archive, still has
    pub low: i64,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub ranges: Vec<Range>,
    /// of the archive: what of the ranges is in none of its files
    pub holes: Vec<Hole>,
}

impl Plan {
    /// At most: offsets are not all messages.
    pub fn messages(&self) -> u64 {
        let length = |range: &Range| u64::try_from(range.to - range.from).unwrap_or(0);
        self.ranges.iter().map(length).sum()
    }

    /// Refuses messages that were read in an earlier epoch: in this one their rows would win over later changes of keys
    /// that have moved to other partitions since.
    pub(super) fn check_epoch(&self, job: &SilverJob, starts: &Offsets) -> Result<()> {
        let start = |range: &Range| starts.get(&range.partition).copied().unwrap_or(range.low);
        let mut ranges = self.ranges.iter();
        let Some(early) = ranges.find(|range| range.from < start(range) && range.from < range.to)
        else {
            return Ok(());
        };
        let begin = self
            .ranges
            .iter()
            .map(|range| format!("{}:{}", range.partition, range.from.max(start(range))))
            .collect::<Vec<_>>()
            .join(",");
        let message = format!(
            "job {}: {}/{}: messages from offset {} to {} were read in an earlier epoch than {}, and would win over later changes",
            job.name,
            job.topic,
            early.partition,
            early.from,
            start(early),
            job.epoch
        );
        Err(Error::new(Kind::Mismatch, message).advise(format!(
            "begin at {begin}: `bullion replay {} --from-offset {begin}`, or a later --from; what is older comes from the source: `bullion verify --repair`, `bullion resync`",
            job.name
        )))
    }
}

/// What there is of one partition.
struct Held {
    number: i32,
    low: i64,
    high: i64,
}

/// First offset of each partition that is of these times, where there is one.
#[derive(Default)]
struct Times {
    from: Offsets,
    until: Offsets,
}

pub(super) fn of_topic(
    consumer: &Consumer,
    job: &SilverJob,
    partitions: &[Partition],
    from: &From,
    until: &Until,
) -> Result<Plan> {
    let mut times = Times::default();
    if let From::Time(millis) = from {
        times.from = at(consumer, partitions, *millis)?;
    }
    if let Until::Time(millis) = until {
        times.until = at(consumer, partitions, *millis)?;
    }
    let mut held = Vec::new();
    for partition in partitions {
        let (low, high) = consumer.watermarks(partition)?;
        let number = partition.number;
        held.push(Held { number, low, high });
    }
    let ranges = ranges(job, &held, &times, from, until)?;
    let holes = Vec::new();
    Ok(Plan { ranges, holes })
}

pub(super) async fn of_archive(
    archived: &Archived,
    job: &SilverJob,
    from: &From,
    until: &Until,
) -> Result<Plan> {
    let (mut held, mut times) = (Vec::new(), Times::default());
    for number in archived.partitions() {
        let Some((low, high)) = archived.watermarks(number) else {
            continue;
        };
        held.push(Held { number, low, high });
        if let From::Time(millis) = from {
            let found = archived.offset_at(number, *millis).await?;
            times.from.extend(found.map(|offset| (number, offset)));
        }
        if let Until::Time(millis) = until {
            let found = archived.offset_at(number, *millis).await?;
            times.until.extend(found.map(|offset| (number, offset)));
        }
    }
    let ranges = ranges(job, &held, &times, from, until)?;
    let holes = |range: &Range| archived.holes(range.partition, range.from, range.to);
    let holes = ranges.iter().flat_map(holes).collect();
    Ok(Plan { ranges, holes })
}

fn ranges(
    job: &SilverJob,
    held: &[Held],
    times: &Times,
    from: &From,
    until: &Until,
) -> Result<Vec<Range>> {
    let mut named: Vec<&i32> = Vec::new();
    if let From::Offsets(offsets) = from {
        named.extend(offsets.keys());
    }
    if let Until::Offsets(offsets) = until {
        named.extend(offsets.keys());
    }
    let known = |number: i32| held.iter().any(|known| known.number == number);
    if let Some(number) = named.into_iter().find(|number| !known(**number)) {
        let known: Vec<String> = held.iter().map(|held| held.number.to_string()).collect();
        let message = format!(
            "topic {} has partitions {}, and not {number}",
            job.topic,
            known.join(", ")
        );
        return Err(Error::new(Kind::Usage, message));
    }
    let mut ranges = Vec::new();
    for Held { number, low, high } in held {
        let from = match from {
            From::Start => *low,
            From::Time(_) => times.from.get(number).copied().unwrap_or(*high),
            From::Offsets(offsets) => match offsets.get(number) {
                Some(offset) => *offset,
                None => continue,
            },
        };
        let to = match until {
            Until::Ends => *high,
            Until::Time(_) => times.until.get(number).copied().unwrap_or(*high),
            Until::Offsets(offsets) => offsets.get(number).map_or(*high, |to| *to.min(high)),
        };
        if from < *low {
            return Err(gap(job, *number, from, *low));
        }
        ranges.push(Range {
            partition: *number,
            from,
            to: to.max(from),
            low: *low,
        });
    }
    Ok(ranges)
}

fn gap(job: &SilverJob, number: i32, from: i64, low: i64) -> Error {
    let topic = &job.topic;
    let message = format!(
        "job {}: {topic}/{number}: messages from offset {from} to {low} are gone, retention has passed them",
        job.name
    );
    Error::new(Kind::Gap, message).advise(format!(
        "`bullion replay {} --from-offset {number}:{low}` begins at what is left, --from-start everywhere; what is gone comes from the archive or the source: `bullion backfill`, `bullion verify --repair`",
        job.name
    ))
}

/// Partition → first offset of that time, where there is one.
fn at(consumer: &Consumer, partitions: &[Partition], millis: i64) -> Result<Offsets> {
    let found = consumer.offsets_at(partitions, millis)?;
    let known = found.into_iter();
    let known = known.filter_map(|found| Some((found.partition.number, found.offset?)));
    Ok(known.collect())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::job::parse_silver;

    #[test]
    fn messages_of_an_earlier_epoch_are_refused_with_where_to_begin() {
        let text = "topic = \"t\"\nkey = [\"id\"]\nepoch = 2\n[columns]\nid = \"Int64\"\n";
        let job = parse_silver("t", Path::new("t.toml"), text).unwrap();
        let plan = |from: [i64; 2], to: i64| Plan {
            ranges: (0..2)
                .zip(from)
                .map(|(partition, from)| Range {
                    partition,
                    from,
                    to,
                    low: 0,
                })
                .collect(),
            holes: Vec::new(),
        };
        let starts = Offsets::from([(0, 90)]);
        plan([90, 0], 100).check_epoch(&job, &starts).unwrap();
        // nothing is read of it
        plan([50, 50], 50).check_epoch(&job, &starts).unwrap();
        let refused = plan([89, 4], 100).check_epoch(&job, &starts).unwrap_err();
        assert!(
            refused
                .to_string()
                .contains("t/0: messages from offset 89 to 90")
        );
        assert!(
            refused
                .advice()
                .starts_with("begin at 0:90,1:4: `bullion replay t --from-offset 0:90,1:4`, or")
        );
    }
}
