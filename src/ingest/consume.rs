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
use super::status::Status;
use crate::config::{Config, FirstStart};
use crate::discover::Found;
use crate::error::{Error, Kind, Result, Retry};
use crate::evolve::Evolver;
use crate::failpoint::{self, Point};
use crate::registry::Registry;
use crate::shutdown::Shutdown;
use crate::sink::clickhouse::ClickHouse;
use crate::source::{Committed, Consumer, Item, Partition, RawMessage};

/// One receive call waits so long for a full buffer; bounds latency and idle wake-ups alike.
const RECEIVE: Duration = Duration::from_millis(25);
/// A commit that Kafka did not take is sent again after this.
const COMMIT_AGAIN: Duration = Duration::from_secs(1);
/// How often it is said that Kafka does not answer a commit.
const COMMIT_IS_LATE: Duration = Duration::from_secs(30);

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

/// When things were last done, and how the loop keeps up.
pub struct Pace {
    pub checkpoint: Instant,
    pub status: Instant,
    /// when offsets were last sent or refused
    pub commit: Instant,
    /// when a commit was last said to be late
    pub late_commit: Instant,
    pub topics: Instant,
    /// when a topic was last looked at, and which job's it was
    pub glance: Instant,
    pub glanced: usize,
    /// not before this is the group answered again, after an answer that Kafka or ClickHouse held up
    pub answer: Instant,
    /// the last write of `ops.checkpoints`, while it is under way
    pub checkpointing: Option<tokio::task::JoinHandle<()>>,
    /// Kafka refused a commit, so everything is to be sent again
    pub commit_again: bool,
    /// the last receive call filled its buffer: there is more than we can take at once
    pub behind: bool,
    /// the group has given us our partitions, be they none
    pub joined: bool,
    /// jobs whose partitions are paused now
    pub paused: Vec<bool>,
}

impl Pace {
    pub fn new(lanes: usize) -> Pace {
        let now = Instant::now();
        Pace {
            checkpoint: now,
            status: now,
            commit: now,
            late_commit: now,
            topics: now,
            glance: now,
            glanced: 0,
            answer: now,
            checkpointing: None,
            commit_again: false,
            behind: false,
            joined: false,
            paused: vec![false; lanes],
        }
    }

    fn mind_late_commit(&mut self, since: Instant, now: Instant) {
        let last = since.max(self.late_commit);
        if now.duration_since(last) >= COMMIT_IS_LATE {
            self.late_commit = now;
            let seconds = now.duration_since(since).as_secs();
            tracing::warn!(
                seconds,
                "kafka has not answered a commit of offsets, later ones wait for it"
            );
        }
    }
}

/// Where the messages of a topic go.
#[derive(Clone, Copy)]
enum Route {
    Lane(usize),
    /// of several jobs; each takes what is its own
    Shared(usize),
    Heartbeat,
}

/// Topic handle → route; a handful of entries, looked through from the start.
#[derive(Default)]
pub struct Routes {
    by_handle: Vec<(usize, Route)>,
    shared: Vec<Vec<usize>>,
}

impl Routes {
    fn of(&mut self, message: &RawMessage<'_>, lanes: &[Lane]) -> Route {
        let handle = message.topic_handle();
        let known = self.by_handle.iter().find(|(known, _)| *known == handle);
        if let Some((_, route)) = known {
            return *route;
        }
        let name = message.topic().to_string_lossy();
        let is_its = |(at, lane): (usize, &Lane)| (lane.target.job.topic == name).then_some(at);
        let its: Vec<usize> = lanes.iter().enumerate().filter_map(is_its).collect();
        let route = match its.as_slice() {
            [] => Route::Heartbeat,
            [lane] => Route::Lane(*lane),
            _ => {
                self.shared.push(its);
                Route::Shared(self.shared.len() - 1)
            }
        };
        self.by_handle.push((handle, route));
        route
    }
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

    /// One commit is under way at most: what lands meanwhile goes with the next one.
    fn commit_landed(&mut self) {
        while let Ok(landed) = self.landed.try_recv() {
            self.land(landed);
        }
        self.take_durable();
        let now = Instant::now();
        match self.consumer.last_commit(Duration::ZERO) {
            Committed::Settled => {}
            Committed::Awaited(since) => return self.pace.mind_late_commit(since, now),
            Committed::Refused(error) => {
                tracing::warn!(%error, "offsets were not committed, they are sent again while the partitions are ours");
                self.pace.commit_again = true;
                self.pace.commit = now;
            }
        }
        let again = self.pace.commit_again;
        // what was refused may have been cut off: whatever is left of it on the way arrives first
        if again && now.duration_since(self.pace.commit) < COMMIT_AGAIN {
            return;
        }
        let offsets = self.durable_offsets(again);
        self.pace.commit_again = false;
        if offsets.is_empty() {
            return;
        }
        self.pace.commit = now;
        failpoint::reach(Point::BeforeCommit);
        let sent = self
            .consumer
            .commit(offsets.iter().map(|(partition, next)| (partition, *next)));
        failpoint::reach(Point::DuringCommit);
        if let Err(error) = sent {
            tracing::warn!(%error, "offsets were not committed, trying again soon");
            self.pace.commit_again = true;
        }
    }

    /// What landed is durable now.
    pub(super) fn take_durable(&mut self) {
        self.lanes.iter_mut().for_each(Lane::take_durable);
    }

    pub(super) fn land(&mut self, landed: Landed) {
        if let Some(lane) = self.lanes.get_mut(landed.lane) {
            lane.land(landed.id, landed.outcome);
        }
    }

    /// Of the partitions that are ours now: what is durable and was not sent to Kafka yet, or all of it. A topic of several
    /// jobs is as far as the last of them, also where that one has stopped.
    pub(super) fn durable_offsets(&mut self, all: bool) -> Vec<(Partition, i64)> {
        let mut offsets = Vec::new();
        for index in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get(index) else {
                continue;
            };
            let mut changed = Vec::new();
            for (number, owned) in &lane.owned {
                let durable = self.durable_for_all(&lane.target.job.topic, *number, owned.durable);
                if all || owned.committed != Some(durable) {
                    changed.push((lane.partition(*number), durable));
                }
            }
            let Some(lane) = self.lanes.get_mut(index) else {
                continue;
            };
            for (partition, durable) in changed {
                if let Some(owned) = lane.owned.get_mut(&partition.number) {
                    owned.committed = Some(durable);
                }
                offsets.push((partition, durable));
            }
        }
        offsets
    }

    /// What is durable of a partition in each job of its topic, and in the archive.
    pub(super) fn durable_for_all(&self, topic: &str, number: i32, durable: i64) -> i64 {
        let its = self
            .lanes
            .iter()
            .filter(|lane| lane.target.job.topic == topic);
        let positions = its.filter_map(|lane| Some(lane.owned.get(&number)?.durable));
        let archived = self.archiving.as_ref();
        let archived = archived.and_then(|archiving| archiving.durable(topic, number));
        positions.chain(archived).fold(durable, i64::min)
    }

    fn hand_over_due(&mut self) {
        let now = Instant::now();
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            // everything below the ends is here already: nothing more to wait for
            let ending = self.others.is_some() && lane.has_reached_ends(|owned| owned.next);
            let due = lane.is_due(now, self.pace.behind) || (ending && lane.has_gathered());
            let wanted = (lane.failed.is_none() && due) || lane.has_evidence();
            if wanted && !lane.is_blocked() {
                lane.hand_over(index, &self.runtime, &self.landing);
            }
        }
    }

    /// Pauses what cannot be taken: jobs that stopped, jobs with full batches, everything above the budget.
    fn mind_memory(&mut self) -> Result<()> {
        let archived = self.archiving.as_ref().map_or(0, Archiving::bytes);
        let held = self.lanes.iter().map(Lane::bytes).sum::<usize>() + archived;
        let over = held > self.budget;
        let wish = |(lane, paused): (&Lane, &bool)| {
            // with hysteresis: a resumed partition is fetched anew
            let relieved = held < self.budget / 2 && !lane.is_blocked() && !lane.is_keeping();
            over || lane.is_keeping()
                || (lane.is_full() && lane.is_blocked())
                || (*paused && !relieved)
        };
        let wishes: Vec<bool> = self.lanes.iter().zip(&self.pace.paused).map(wish).collect();
        for index in 0..self.lanes.len() {
            let Some(lane) = self.lanes.get(index) else {
                continue;
            };
            // one that has stopped does not hold up the others of its topic
            let mut live = self.lanes.iter().zip(&wishes).filter(|(other, _)| {
                other.failed.is_none() && other.target.job.topic == lane.target.job.topic
            });
            let first = live.next();
            let wanted = first.is_none_or(|(_, wish)| *wish) || live.any(|(_, wish)| *wish);
            let Some(paused) = self.pace.paused.get_mut(index) else {
                continue;
            };
            if wanted != *paused && !lane.owned.is_empty() {
                let partitions = lane.partitions();
                if wanted {
                    self.consumer.pause(&partitions)?;
                } else {
                    self.consumer.resume(&partitions)?;
                }
                *paused = wanted;
            }
        }
        Ok(())
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
