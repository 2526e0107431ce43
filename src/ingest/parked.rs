//! Whether what parked rows wait for could have come: how far all partitions of the topic were read, by us and by others.
//!
//! | | |
//! |---|---|
//! | our own partition | read up to the end that Kafka told while the rows waited, or past their time |
//! | one of another process | committed up to that end, or past their time by `ops.checkpoints` |
//! | messages are kept undecoded, partitions are paused, Kafka does not answer | nothing can come, so nobody is out of patience |
//! | parked rows alone fill the room that partitions are paused for | nothing will come: patience runs out, and makes room |

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::consume::Consuming;
use super::keep::Outlook;
use super::lane::Lane;
use crate::checkpoint::Checkpoint;
use crate::config::Kafka;
use crate::error::{Error, Result};
use crate::sink::checkpoints;
use crate::source::{Consumer, Partition};

/// How often Kafka is asked while rows wait.
const ASK_EVERY: Duration = Duration::from_secs(10);
/// What it said before this is not known any more: it may have gone away since.
const OUTDATED: Duration = Duration::from_secs(30);
/// A Kafka that cannot be reached is not waited for.
const CONNECT: Duration = Duration::from_secs(5);

/// What Kafka and `ops` say of a topic, asked again and again while rows wait.
#[derive(Default)]
pub(super) struct Asking {
    under_way: Option<JoinHandle<Result<Told>>>,
    last: Option<Instant>,
    told: Option<(Instant, Told)>,
}

/// Partition → where it ends and how far others say they are.
type Told = BTreeMap<i32, End>;

#[derive(Clone, Copy, Debug)]
struct End {
    low: i64,
    high: i64,
    committed: Option<i64>,
    /// latest time of the source below what `ops.checkpoints` has, milliseconds since 1970
    time: Option<i64>,
}

impl Consuming {
    /// Tells rows that wait whether it is in vain.
    pub(super) fn mind_parked(&mut self) {
        let parked = |lane: &Lane| 2 * lane.in_flight.parked_bytes();
        let is_full_of_them = self.lanes.iter().map(parked).sum::<usize>() >= self.budget / 2;
        for index in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get_mut(index) else {
                continue;
            };
            if !lane.target.job.keeps() {
                continue;
            }
            if !lane.in_flight.has_parked() {
                lane.asking = Asking::default();
                lane.target.awaited.set_outlook(Outlook::HELD_UP);
                continue;
            }
            self.ask(index);
            let paused = self.pace.paused.get(index) == Some(&true);
            if let Some(lane) = self.lanes.get(index) {
                // what is kept undecoded may be what they wait for
                let outlook = match paused && is_full_of_them && !lane.is_keeping() {
                    true => Outlook::CLEAR,
                    false if paused || lane.is_keeping() => Outlook::HELD_UP,
                    false => lane.outlook(),
                };
                lane.target.awaited.set_outlook(outlook);
            }
        }
    }

    fn ask(&mut self, index: usize) {
        let Some(lane) = self.lanes.get_mut(index) else {
            return;
        };
        let now = Instant::now();
        match lane.asking.under_way.take() {
            Some(asking) if !asking.is_finished() => lane.asking.under_way = Some(asking),
            Some(asking) => {
                let told = self.runtime.block_on(asking).map_err(Error::panicked);
                match told.and_then(|told| told) {
                    Ok(told) => lane.asking.told = Some((now, told)),
                    Err(error) => {
                        let job = &lane.target.job.name;
                        tracing::debug!(job, %error, "while rows wait for other partitions");
                    }
                }
            }
            None if lane.asking.last.is_some_and(|last| now - last < ASK_EVERY) => {}
            None => {
                lane.asking.last = Some(now);
                let job = lane.target.job.clone();
                let count = lane.identity.as_ref().map_or(0, |known| known.partitions);
                let all = 0..i32::try_from(count).unwrap_or(i32::MAX);
                let partitions = all.map(|number| lane.partition(number)).collect();
                let (kafka, clickhouse) = (self.config.kafka.clone(), self.clickhouse.clone());
                let (ops, group) = (self.ops.clone(), self.group.clone());
                lane.asking.under_way = Some(self.runtime.spawn(async move {
                    let asking = move || ends(&kafka, partitions);
                    // librdkafka blocks
                    let ends = tokio::task::spawn_blocking(asking).await;
                    let mut ends = ends.map_err(Error::panicked)??;
                    let known = checkpoints::read(&clickhouse, &ops, &group, &job).await?;
                    for (partition, end) in &mut ends {
                        let position = known.get(partition);
                        end.time = position.and_then(|position| position.source_time);
                    }
                    Ok(ends)
                }));
            }
        }
    }
}

fn ends(kafka: &Kafka, partitions: Vec<Partition>) -> Result<Told> {
    let consumer = Consumer::glancing(kafka, CONNECT)?;
    let mut ends = Told::new();
    for found in consumer.committed(&partitions)? {
        let (low, high) = consumer.watermarks(&found.partition)?;
        let end = End {
            low,
            high,
            committed: found.offset,
            time: None,
        };
        ends.insert(found.partition.number, end);
    }
    Ok(ends)
}

impl Lane {
    fn outlook(&self) -> Outlook {
        let told = self.asking.told.as_ref();
        let Some((_, told)) = told.filter(|(at, _)| at.elapsed() < OUTDATED) else {
            return Outlook::HELD_UP;
        };
        let mut read = Checkpoint::default();
        for (number, owned) in &self.owned {
            read.advance(*number, owned.next, owned.source_time);
        }
        for (number, position) in [&self.in_flight.covered(), &self.batch.checkpoint]
            .into_iter()
            .flat_map(Checkpoint::iter)
        {
            if self.owned.contains_key(&number) {
                read.advance(number, position.next_offset, position.source_time);
            }
        }
        outlook(told, &read)
    }
}

/// `read`: how far we have read the partitions that are ours.
fn outlook(told: &Told, read: &Checkpoint) -> Outlook {
    let mut outlook = Outlook::CLEAR;
    for (number, end) in told {
        let (next, time, whose) = match read.get(*number) {
            Some(ours) => (Some(ours.next_offset), ours.source_time, &mut outlook.own),
            None => (end.committed, end.time, &mut outlook.others),
        };
        let is_at_end = end.low == end.high || next.is_some_and(|next| next >= end.high);
        if !is_at_end {
            *whose = time.unwrap_or(i64::MIN).min(*whose);
        }
    }
    outlook
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(high: i64, committed: Option<i64>, time: Option<i64>) -> End {
        End {
            low: 0,
            high,
            committed,
            time,
        }
    }

    #[test]
    fn a_partition_is_read_to_its_end_or_to_its_time() {
        let mut read = Checkpoint::default();
        read.advance(0, 50, Some(500));
        read.advance(1, 90, Some(700));
        let told = |own: i64, others: End| {
            let told = [
                (0, end(own, Some(1), Some(1))),
                (1, end(100, None, None)),
                (2, others),
            ];
            Told::from(told)
        };
        let empty = end(0, None, None);
        let of = |told: &Told| {
            let Outlook { own, others } = outlook(told, &read);
            (own, others)
        };
        assert_eq!(of(&told(50, empty)), (700, i64::MAX));
        assert_eq!(of(&told(51, empty)), (500, i64::MAX));
        // by another process: at its end, on its way, and not begun
        assert_eq!(of(&told(50, end(9, Some(9), None))), (700, i64::MAX));
        assert_eq!(of(&told(50, end(9, Some(8), Some(600)))), (700, 600));
        assert_eq!(of(&told(50, end(9, None, None))), (700, i64::MIN));
    }
}
