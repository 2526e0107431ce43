//! A bounded part of the topic, or of its archive, read again under the same versions: `replay`, chunk by chunk.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::chunk::{Chunk, From, Part, Request, numbered};
use super::ledger::Counted;
use super::run::Pacing;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::job::SilverJob;
use crate::replay::{self, Offsets, Range, Replay, Until};
use crate::sink::clickhouse::ClickHouse;

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
        Ok((numbered(parts(&plan.ranges, messages)), notes))
    }

    pub(super) async fn fill(&self, chunk: &Chunk, pacing: &Arc<Pacing>) -> Result<Counted> {
        let Part::Offsets {
            partition,
            from,
            to,
        } = chunk.part
        else {
            return Err(Error::new(Kind::Internal, "a chunk of another source"));
        };
        let from = replay::From::Offsets(Offsets::from([(partition, from)]));
        let until = Until::Offsets(Offsets::from([(partition, to)]));
        let (config, clickhouse, pacing) = (
            self.config.clone(),
            self.clickhouse.clone(),
            Arc::clone(pacing),
        );
        let replayed = self
            .replay(from, until, move |replay| {
                let Pacing {
                    progress,
                    rate,
                    shutdown,
                } = &*pacing;
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

#[cfg(test)]
mod tests {
    use super::*;

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
                Part::Rows { .. } | Part::Lines { .. } => None,
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
