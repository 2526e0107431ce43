//! The one loop of ingest, on a thread of its own:
//!
//! ```text
//! receive ─▶ fate of each message ─▶ answer the group ─▶ commit what landed ─▶ hand over what is due ─▶ mind the memory
//! ```

use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::archiving::Archiving;
use super::caught_up::{Others, Way};
use super::discovering::Discovering;
use super::heartbeat::Heartbeats;
use super::lane::{Landed, Lane};
use super::pace::Pace;
use super::routes::{Route, Routes};
use super::status::Status;
use crate::config::{Config, FirstStart};
use crate::discover::Found;
use crate::error::{Error, Kind, Result, Retry};
use crate::evolve::Evolver;
use crate::failpoint::{self, Point};
use crate::registry::Registry;
use crate::shutdown::Shutdown;
use crate::sink::clickhouse::ClickHouse;
use crate::source::{Consumer, Item, RawMessage};

/// One receive call waits so long for a full buffer; bounds latency and idle wake-ups alike.
const RECEIVE: Duration = Duration::from_millis(25);

/// How the loop ended.
pub struct Ended {
    pub lanes: Vec<Lane>,
    pub found: Vec<Found>,
    /// why it ended before the whole group had reached the ends
    pub given_up: Option<Error>,
}

/// What the loop is made of.
pub struct Consuming {
    pub consumer: Consumer,
    pub lanes: Vec<Lane>,
    pub routes: Routes,
    /// where the run is to end by itself: what the others of the group are waited for
    pub others: Option<Others>,
    pub first_start: FirstStart,
    pub group: String,
    /// bytes
    pub budget: usize,
    pub clickhouse: ClickHouse,
    pub ops: String,
    pub runtime: Handle,
    pub landed: Receiver<Landed>,
    pub landing: Sender<Landed>,
    pub status: Status,
    pub shutdown: Shutdown,
    pub heartbeats: Heartbeats,
    pub evolver: Evolver,
    pub discovering: Discovering,
    pub archiving: Option<Archiving>,
    pub config: Config,
    pub registry: Option<Registry>,
    pub pace: Pace,
}

impl Consuming {
    /// Runs until a signal, until caught up, or until every job has stopped; then drains.
    pub fn run(mut self) -> Result<Ended> {
        let way = loop {
            self.receive()?;
            self.consumer.check_welcome()?;
            self.answer_group()?;
            self.look_for_lost_topics();
            self.look_at_next_topic();
            self.mind_archive();
            self.commit_landed();
            self.mind_schemas();
            self.evolve();
            self.discover()?;
            self.hand_over_due();
            self.mind_memory()?;
            self.mind_parked();
            self.tell();
            if self.shutdown.requested().is_some() {
                break Way::Open;
            }
            let way = self.way_to_ends();
            let none_is_left = self.lanes.iter().all(|lane| lane.failed.is_some());
            if !matches!(way, Way::Open) || (none_is_left && !self.discovering.is_on()) {
                break way;
            }
        };
        self.drain();
        Ok(Ended {
            lanes: self.lanes,
            found: self.discovering.found,
            given_up: match way {
                Way::GivenUp(error) => Some(error),
                Way::Open | Way::CaughtUp => None,
            },
        })
    }

    fn receive(&mut self) -> Result<()> {
        let Consuming {
            consumer,
            lanes,
            routes,
            heartbeats,
            archiving,
            runtime,
            landing,
            pace,
            ..
        } = self;
        let received = consumer.receive(RECEIVE);
        let now = Instant::now();
        pace.behind = received.is_full();
        if !received.is_empty() {
            failpoint::reach(Point::AfterPoll);
        }
        let mut failures = Vec::new();
        for item in received.items() {
            match item {
                Item::Message(message) => match routes.of(&message, lanes) {
                    Route::Heartbeat => {
                        let topic = message.topic().to_string_lossy();
                        heartbeats.take(&topic, message.value(), now);
                    }
                    Route::Lane(index) => {
                        if let Some(lane) = lanes.get_mut(index) {
                            archive(archiving.as_mut(), lane, &message, now);
                            lane.hand_over_and_take(&message, now, (index, runtime, landing));
                        }
                    }
                    Route::Shared(at) => {
                        for index in routes.shared.get(at).into_iter().flatten().copied() {
                            if let Some(lane) = lanes.get_mut(index) {
                                archive(archiving.as_mut(), lane, &message, now);
                                lane.hand_over_and_take(&message, now, (index, runtime, landing));
                            }
                        }
                    }
                },
                // only told where it was asked for, see `peek`
                Item::EndOfPartition { .. } => {}
                Item::Error {
                    code,
                    topic,
                    partition,
                } => {
                    let topic = topic.map(|topic| topic.to_string_lossy().into_owned());
                    failures.push((code, topic, partition));
                }
            }
        }
        if lanes.iter().any(Lane::has_gathered) {
            failpoint::reach(Point::Decoded);
        }
        self.consumer.free_received();
        for (code, topic, partition) in failures {
            self.note_failure(code, topic.as_deref(), partition)?;
        }
        if !self.pace.behind {
            self.pass_control_records(now);
        }
        Ok(())
    }

    /// What is below a position and was not received (transaction markers) needs no fate, and must not hide the end.
    fn pass_control_records(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            match self.consumer.positions(&lane.partitions()) {
                Ok(positions) => {
                    for found in positions {
                        if let Some(next) = found.offset {
                            lane.reach_end(found.partition.number, next, now);
                            if let Some(archiving) = &mut self.archiving {
                                archiving.reach_end(&found.partition, next, now);
                            }
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, job = lane.target.job.name, "no positions"),
            }
        }
    }

    /// A fault of one topic is its job's; a fault of the brokers is waited out; a group that may not be ends the run.
    fn note_failure(
        &mut self,
        code: rdkafka_sys::RDKafkaErrorCode,
        topic: Option<&str>,
        partition: i32,
    ) -> Result<()> {
        let place = topic.map_or("consume".to_owned(), |topic| {
            format!("consume topic {topic} partition {partition}")
        });
        let error = self.consumer.explain(code, &place);
        let fatal = matches!(code, rdkafka_sys::RDKafkaErrorCode::Fatal);
        if fatal || (topic.is_none() && error.kind() == Kind::Denied) {
            return Err(error);
        }
        let mut found = false;
        for lane in &mut self.lanes {
            if Some(lane.target.job.topic.as_str()) != topic {
                continue;
            }
            found = true;
            match error.kind() {
                _ if lane.failed.is_some() => {}
                // a broker that comes back may say so for a moment; see `check_topic`
                Kind::NotFound => self.consumer.miss_topic(),
                Kind::Gap => {
                    let shown = lane.gap(partition, &self.consumer);
                    lane.fail(shown.unwrap_or_else(|| self.consumer.explain(code, &place)));
                }
                kind if kind.policy().retry == Retry::Never => {
                    lane.fail(self.consumer.explain(code, &place));
                }
                _ => tracing::warn!(%error, "waiting for kafka"),
            }
        }
        if !found {
            tracing::warn!(%error, "waiting for kafka");
        }
        Ok(())
    }

    fn mind_archive(&mut self) {
        let Some(archiving) = &mut self.archiving else {
            return;
        };
        archiving.mind(Instant::now());
        for (topic, error) in archiving.take_failed() {
            for lane in &mut self.lanes {
                if lane.target.job.topic == topic && lane.failed.is_none() {
                    let message = format!("the archive of topic {topic}: {error}");
                    lane.fail(Error::new(error.kind(), message));
                }
            }
        }
    }
}

/// A job that has stopped takes nothing more; its messages come again.
fn archive(archiving: Option<&mut Archiving>, lane: &Lane, message: &RawMessage<'_>, now: Instant) {
    if let Some(archiving) = archiving
        && lane.failed.is_none()
    {
        archiving.take(&lane.target.job.topic, message, now);
    }
}
