//! A job whose table follows its source: what it gathered is written, messages are kept, the table is changed, and
//! decoding goes on with the message that asked for it.

use std::time::Instant;

use tokio::task::JoinHandle;

use super::consume::Consuming;
use super::held::Held;
use super::lane::Lane;
use crate::batch::Batch;
use crate::envelope::{Decoder, Drift};
use crate::error::{Error, Kind, Result};
use crate::evolve::{Event, Settled, State, record};
use crate::source::RawMessage;

/// A lane that waits for its table.
pub struct Evolving {
    drift: Drift,
    /// partition and offset of the message that asked for it; it may be somebody else's meanwhile
    asked_by: (i32, i64),
    /// the message that asked for it, and what had been received behind it
    pub held: Held,
    settling: Option<JoinHandle<Result<Settled>>>,
}

impl Evolving {
    pub fn new(drift: Drift, message: &RawMessage<'_>) -> Evolving {
        Evolving {
            drift,
            asked_by: (message.partition(), message.offset()),
            held: Held::with(message),
            settling: None,
        }
    }
}

impl Consuming {
    /// Takes each waiting job one step further, if it is time.
    pub(super) fn evolve(&mut self) {
        for index in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get_mut(index) else {
                continue;
            };
            if lane.evolving.is_some() && lane.has_gathered() {
                if !lane.is_blocked() {
                    lane.hand_over(index, &self.runtime, &self.landing);
                }
                continue;
            }
            // a parked batch may wait for messages that are kept here
            let written = lane.in_flight.writing() == 0;
            let Some(evolving) = &mut lane.evolving else {
                continue;
            };
            match evolving.settling.take() {
                None if !written => {}
                None => {
                    let (evolver, job) = (self.evolver.clone(), lane.target.job.clone());
                    let drift = evolving.drift.clone();
                    let settling = async move { evolver.settle(&job, &drift).await };
                    evolving.settling = Some(self.runtime.spawn(settling));
                }
                Some(settling) if !settling.is_finished() => evolving.settling = Some(settling),
                Some(settling) => {
                    let settled = self.runtime.block_on(settling).unwrap_or_else(|error| {
                        Err(Error::new(Kind::Internal, "a task panicked").because(error))
                    });
                    lane.go_on(settled);
                }
            }
        }
    }

    /// What was learnt of the sources goes to `ops.columns`; nothing under way rests on it, so it is not waited for.
    pub(super) fn tell_columns(&mut self) {
        let events = self.column_events();
        if events.is_empty() {
            return;
        }
        let (clickhouse, ops) = (self.clickhouse.clone(), self.ops.clone());
        self.runtime.spawn(async move {
            if let Err(error) = record::write(&clickhouse, &ops, &events).await {
                tracing::warn!(%error, "ops.columns was not written");
            }
        });
    }

    pub(super) fn column_events(&mut self) -> Vec<Event> {
        self.lanes.iter_mut().flat_map(Lane::take_events).collect()
    }
}

impl Lane {
    /// The table is what the message needs, or will never be.
    fn go_on(&mut self, settled: Result<Settled>) {
        let Some(evolving) = self.evolving.take() else {
            return;
        };
        let mut at_fault = false;
        match settled {
            Err(error) => return self.fail(error),
            Ok(Settled::Unchanged(fields)) => {
                at_fault = true;
                for field in fields {
                    self.decoder.settle(&field);
                }
            }
            Ok(Settled::Changed { job, sources, done }) => {
                for field in &evolving.drift.gone {
                    self.note_missing(field);
                }
                for (column, state) in done {
                    self.counters.columns.insert(column, state.as_str());
                }
                let mut known = self.decoder.sources().clone();
                known.extend(sources);
                self.target = self.target.of_job(*job);
                self.decoder = Decoder::new(&self.target.job).knowing(known);
                self.batch = Batch::new(&self.target.job);
            }
        }
        let now = Instant::now();
        for kept in evolving.held.release() {
            let message = kept.message();
            let asked = evolving.asked_by == (message.partition(), message.offset());
            self.take_or_evolve(&message, now, !(at_fault && asked));
        }
    }

    /// Columns of the last row that its message has no field for, told once each. Messages that are older than a column
    /// which ingest has added lack it, too, and are nothing to tell of.
    #[cold]
    pub(super) fn note_absent(&mut self) {
        let time = self.decoder.source_time();
        let job = &self.target.job;
        let dropped: Vec<String> = self
            .decoder
            .absent()
            .iter()
            .filter_map(|column| job.columns.get(*column))
            .filter(|column| column.added.is_none_or(|added| time > added.since))
            .map(|column| column.source.clone())
            .collect();
        for field in dropped {
            self.note_missing(&field);
        }
    }

    pub(super) fn note_missing(&mut self, field: &str) {
        let target = &self.target;
        let Some(column) = target.job.columns.iter().find(|c| c.source == field) else {
            return;
        };
        let known = self
            .counters
            .columns
            .insert(column.name.clone(), State::Missing.as_str());
        if known == Some(State::Missing.as_str()) {
            return;
        }
        tracing::warn!(
            job = target.job.name,
            topic = target.job.topic,
            field,
            "the source does not send this field any more: dropped or renamed? `missing_column` says what becomes of its rows"
        );
        let source = self
            .decoder
            .sources()
            .get(field)
            .cloned()
            .unwrap_or_default();
        self.events
            .push(Event::new(&target.job, State::Missing, column, &source));
    }

    fn take_events(&mut self) -> Vec<Event> {
        let mut events = std::mem::take(&mut self.events);
        if self.decoder.has_learnt() {
            events.extend(record::seen(&self.target.job, self.decoder.sources()));
        }
        events
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::config::Config;
    use crate::envelope::Sources;
    use crate::ingest::Target;
    use crate::job::parse_silver;
    use crate::sink::clickhouse::ClickHouse;
    use crate::source::Kept;

    fn lane() -> Lane {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bullion.toml");
        std::fs::write(&file, "").unwrap();
        let config = Config::load_from(Some(&file), &BTreeMap::new()).unwrap();
        let text = "topic = \"t\"\nkey = [\"id\"]\n[policy]\nnew_column = \"add\"\n[columns]\nid = \"Int64\"\n";
        let job = parse_silver("t", Path::new("t.toml"), text).unwrap();
        let clickhouse = ClickHouse::new(&config.clickhouse).unwrap();
        let target = Target::new(job, clickhouse, "silver", "ops");
        Lane::new(target, Sources::default(), 1 << 20)
    }

    #[test]
    fn what_a_message_of_a_partition_that_is_gone_asked_for_is_nobody_elses_fault() {
        let of_partition = |partition| Kept {
            partition,
            offset: 5,
            key: Some(br#"{"id":1}"#.to_vec()),
            value: Some(br#"{"before":null,"after":{"id":1,"new":"x"},"op":"c"}"#.to_vec()),
            timestamp: None,
            headers: Vec::new(),
        };
        let (mut lane, now) = (lane(), Instant::now());
        for partition in [0, 1] {
            lane.take(&of_partition(partition).message(), now);
        }
        lane.forget(0);
        lane.go_on(Ok(Settled::Unchanged(Vec::new())));
        // it has not been asked for this one yet
        assert!(lane.evolving.is_some());
        assert_eq!(lane.counters.rejects.len(), 0);
        lane.go_on(Ok(Settled::Unchanged(Vec::new())));
        assert!(lane.evolving.is_none());
        assert_eq!(lane.counters.rejects.values().sum::<u64>(), 1);
    }
}
