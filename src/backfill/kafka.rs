//! A bounded part of the topic, or of its archive, read again under the same versions: `replay`, chunk by chunk.

use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::chunk::{self, Chunk, From, Part, Request, numbered};
use super::ledger::Counted;
use super::run::Pacing;
use crate::config::Config;
use crate::dlq;
use crate::envelope::Reason;
use crate::error::{Error, Kind, Result};
use crate::ingest::Breaker;
use crate::job::{Jobs, SilverJob};
use crate::replay::{self, Offsets, Range, Replay, Until};
use crate::shutdown::Shutdown;
use crate::sink::clickhouse::ClickHouse;
use crate::sink::dead_letters::{self, Filter, State};

/// Messages of a chunk: each has a consumer of its own, which takes a moment to connect.
pub(super) const CHUNK: u64 = 500_000;

pub(super) struct Topic {
    config: Config,
    clickhouse: ClickHouse,
    /// as it is declared
    job: SilverJob,
    archived: bool,
    from: replay::From,
    until: Until,
    /// of the messages' time
    range: (Option<DateTime<Utc>>, Option<DateTime<Utc>>),
    /// of all chunks
    breaker: Arc<Mutex<Breaker>>,
    pub(super) show: String,
}

impl Topic {
    pub(super) fn new(config: &Config, clickhouse: &ClickHouse, request: &Request) -> Topic {
        let mut config = config.clone();
        // what one replay may hold is what all of them may
        config.memory_budget /= request.parallel.max(1) as u64;
        Topic {
            config,
            clickhouse: clickhouse.clone(),
            job: request.job.clone(),
            archived: request.source == From::Archive,
            from: request.from.map_or(replay::From::Start, |at| {
                replay::From::Time(at.timestamp_millis())
            }),
            until: request
                .to
                .map_or(Until::Ends, |at| Until::Time(at.timestamp_millis())),
            range: (request.from, request.to),
            breaker: Arc::default(),
            show: format!(
                "{}topic {}{}",
                if request.source == From::Archive {
                    "the archive of "
                } else {
                    ""
                },
                request.job.topic,
                request.show_range("the messages' time")
            ),
        }
    }

    pub(super) async fn cut(&self, messages: u64) -> Result<(Vec<Chunk>, Vec<String>)> {
        let plan = self
            .replay(self.from.clone(), self.until.clone(), |replay| {
                Ok(replay.plan)
            })
            .await?;
        let mut notes = Vec::new();
        let shortened = |range: &&Range| range.from == range.low && range.low > 0;
        match (plan.ranges.iter().find(shortened), self.archived) {
            (Some(_), false) => notes.push(
                "messages below the topic's begin are gone, retention has passed them".to_owned(),
            ),
            (Some(range), true) => notes.push(format!(
                "the archive of partition {} begins at offset {}",
                range.partition, range.low
            )),
            (None, _) => {}
        }
        notes.extend(plan.holes.iter().map(|hole| {
            format!(
                "offsets {} to {} of partition {} are in no file: the archive was off, or files were taken away",
                hole.from, hole.to, hole.partition
            )
        }));
        let parts = match self.job.keeps() {
            true => parts_of_all(&plan.ranges, messages),
            false => parts(&plan.ranges, messages),
        };
        Ok((numbered(parts), notes))
    }

    pub(super) async fn fill(&self, chunk: &Chunk, pacing: &Arc<Pacing>) -> Result<Counted> {
        let (mut from, mut until) = (Offsets::new(), Offsets::new());
        match &chunk.part {
            Part::Offsets {
                partition,
                from: begin,
                to,
            } => {
                from.insert(*partition, *begin);
                until.insert(*partition, *to);
            }
            Part::Ranges(ranges) => {
                from.extend(ranges.iter().map(|range| (range.partition, range.from)));
                until.extend(ranges.iter().map(|range| (range.partition, range.to)));
            }
            Part::Rows { .. } | Part::Lines { .. } => {
                return Err(Error::new(Kind::Internal, "a chunk of another source"));
            }
        }
        let (from, until) = (replay::From::Offsets(from), Until::Offsets(until));
        let (config, clickhouse, pacing) = (
            self.config.clone(),
            self.clickhouse.clone(),
            Arc::clone(pacing),
        );
        let breaker = Arc::clone(&self.breaker);
        let replayed = self
            .replay(from, until, move |replay| {
                let Pacing {
                    progress,
                    rate,
                    shutdown,
                } = &*pacing;
                let replay = replay.counted_by(&breaker);
                replay.run(&config, &clickhouse, progress, rate, shutdown)
            })
            .await?;
        let mut counted = Counted {
            rows: replayed.messages,
            written: replayed.written,
            ..Counted::default()
        };
        for (reason, count) in replayed.rejects {
            counted.refused.insert((reason, None), count);
        }
        Ok(counted)
    }

    /// What rows leant on may have come in a later chunk than they: their messages are tried once more when all are there.
    /// How many of them are dead letters still; `None` where rows do not lean on others.
    pub(super) async fn try_again(&self, shutdown: &Shutdown) -> Result<Option<u64>> {
        if !self.job.keeps() {
            return Ok(None);
        }
        let (ops, job) = (&self.config.clickhouse.ops, &self.job);
        let filter = Filter {
            jobs: vec![job.name.clone()],
            topics: vec![job.topic.clone()],
            reasons: vec![Reason::ToastPlaceholder.as_str().to_owned()],
            from: self.range.0,
            to: self.range.1,
            // one that was resolved before is a letter again where its row had been lost
            state: State::Any,
            ..Filter::default()
        };
        let mut places = dead_letters::places(&self.clickhouse, ops, &filter, None).await?;
        places.retain(|place| place.epoch() == job.epoch);
        let letters = dlq::Replay {
            config: &self.config,
            clickhouse: &self.clickhouse,
            jobs: &Jobs {
                silver: vec![job.clone()],
                gold: Vec::new(),
            },
            dry_run: false,
            shutdown,
        };
        Ok(Some(letters.run(places).await?.rejected()))
    }

    /// librdkafka blocks, so it has a thread.
    async fn replay<T: Send + 'static>(
        &self,
        from: replay::From,
        until: Until,
        then: impl FnOnce(Replay) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (config, clickhouse, job) = (
            self.config.clone(),
            self.clickhouse.clone(),
            self.job.clone(),
        );
        let (runtime, archived) = (Handle::current(), self.archived);
        let working = spawn_blocking(move || {
            let prepared = runtime.block_on(async {
                match archived {
                    false => Replay::prepare(&config, &clickhouse, job, &from, &until).await,
                    true => Replay::from_archive(&config, &clickhouse, job, &from, &until).await,
                }
            });
            then(prepared?)
        });
        working.await.map_err(Error::panicked)?
    }
}

/// The partitions in turn, so that all of them advance in time together.
fn parts(ranges: &[Range], messages: u64) -> Vec<(Part, u64)> {
    let step = i64::try_from(messages.max(1)).unwrap_or(i64::MAX);
    let mut parts = Vec::new();
    let mut begun: Vec<(i32, i64, i64)> = ranges
        .iter()
        .map(|range| (range.partition, range.from, range.to))
        .collect();
    while !begun.is_empty() {
        begun.retain(|(_, from, to)| from < to);
        for (partition, from, to) in &mut begun {
            let end = from.saturating_add(step).min(*to);
            let part = Part::Offsets {
                partition: *partition,
                from: *from,
                to: end,
            };
            parts.push((part, (end - *from).unsigned_abs()));
            *from = end;
        }
    }
    parts
}

/// The same share of every partition in each, so that what happened at one time is read together.
fn parts_of_all(ranges: &[Range], messages: u64) -> Vec<(Part, u64)> {
    let length = |range: &Range| i128::from(range.to) - i128::from(range.from);
    let all: i128 = ranges.iter().map(length).sum();
    let step = i128::from(messages.max(1));
    let count = (all + step - 1) / step;
    let cut = |range: &Range, number: i128| {
        let offset = length(range) * number / count;
        range
            .from
            .saturating_add(i64::try_from(offset).unwrap_or(i64::MAX))
    };
    let part = |number: i128| {
        let ranges = ranges.iter().map(|range| chunk::Range {
            partition: range.partition,
            from: cut(range, number),
            to: cut(range, number + 1),
        });
        let ranges: Vec<chunk::Range> = ranges.filter(|range| range.from < range.to).collect();
        let lengths = ranges
            .iter()
            .map(|range| (range.to - range.from).unsigned_abs());
        let size = lengths.sum();
        (Part::Ranges(ranges), size)
    };
    (0..count).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_partitions_that_lean_on_each_other_each_chunk_has_its_share() {
        let range = |partition, from, to| Range {
            partition,
            from,
            to,
            low: 0,
        };
        let all = [range(0, 5, 8), range(1, 0, 5), range(2, 7, 7)];
        let part = |first: (i64, i64), second: (i64, i64), size: u64| {
            let ranges = [(0, first), (1, second)].map(|(partition, (from, to))| chunk::Range {
                partition,
                from,
                to,
            });
            (Part::Ranges(ranges.to_vec()), size)
        };
        let expected = [
            part((5, 6), (0, 1), 2),
            part((6, 7), (1, 3), 3),
            part((7, 8), (3, 5), 3),
        ];
        assert_eq!(parts_of_all(&all, 3), expected);
        assert!(parts_of_all(&[range(0, 4, 4)], 3).is_empty());
    }

    #[test]
    fn partitions_are_cut_in_turn_and_nothing_is_left_out() {
        let range = |partition, from, to| Range {
            partition,
            from,
            to,
            low: 0,
        };
        let cut = parts(&[range(0, 5, 8), range(1, 0, 5), range(2, 7, 7)], 2);
        let cut: Vec<(i32, i64, i64, u64)> = cut
            .into_iter()
            .filter_map(|(part, size)| match part {
                Part::Offsets {
                    partition,
                    from,
                    to,
                } => Some((partition, from, to, size)),
                _ => None,
            })
            .collect();
        let expected = [
            (0, 5, 7, 2),
            (1, 0, 2, 2),
            (0, 7, 8, 1),
            (1, 2, 4, 2),
            (1, 4, 5, 1),
        ];
        assert_eq!(cut, expected);
    }
}
