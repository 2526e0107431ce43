//! The one loop of ingest, on a thread of its own:
//!
//! ```text
//! receive ─▶ fate of each message ─▶ answer the group ─▶ commit what landed ─▶ hand over what is due ─▶ mind the memory
//! ```

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use super::heartbeat::Heartbeats;
use super::lane::{Landed, Lane};
use super::start::Checkpoints;
use super::status::{JobStatus, Status};
use crate::checkpoint::Checkpoint;
use crate::config::FirstStart;
use crate::error::Result;
use crate::job::SilverJob;
use crate::shutdown::Shutdown;
use crate::sink::checkpoints;
use crate::sink::clickhouse::ClickHouse;
use crate::source::{Consumer, Item, Partition, RawMessage};

/// One receive call waits so long for a full buffer; bounds latency and idle wake-ups alike.
const RECEIVE: Duration = Duration::from_millis(25);
/// `ops.checkpoints` is for what Kafka forgets within days; a small insert now and then is enough.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(5);
/// How often `--until-caught-up` asks how far others of the group have come, once we are done.
const ASK_OTHERS_EVERY: Duration = Duration::from_millis(250);
/// How often counters and lags are published.
const STATUS_EVERY: Duration = Duration::from_millis(250);
/// Of the four seconds that a process has after SIGTERM; the rest is for the commit and for leaving the group.
const DRAIN: Duration = Duration::from_millis(2_000);
/// The last write of `ops.checkpoints`; Kafka has the offsets already.
const LAST_CHECKPOINT: Duration = Duration::from_millis(500);

/// What the loop is made of.
pub struct Consuming {
    pub consumer: Consumer,
    pub lanes: Vec<Lane>,
    pub routes: Routes,
    /// what `ops.checkpoints` knew at the start, by lane
    pub known: Checkpoints,
    /// partition → end offset at the start; only for `--until-caught-up`
    pub ends: Option<BTreeMap<Partition, i64>>,
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
    pub pace: Pace,
}

/// When things were last done, and how the loop keeps up.
pub struct Pace {
    pub checkpoint: Instant,
    pub status: Instant,
    /// the last receive call filled its buffer: there is more than we can take at once
    pub behind: bool,
    /// the group has given us our partitions, be they none
    pub joined: bool,
    /// when the group may be asked again how far its others are
    pub ask_others: Instant,
    /// jobs whose partitions are paused now
    pub paused: Vec<bool>,
}

/// Where the messages of a topic go.
#[derive(Clone, Copy)]
enum Route {
    Lane(usize),
    Heartbeat,
}

/// Topic handle → route; a handful of entries, looked through from the start.
#[derive(Default)]
pub struct Routes(Vec<(usize, Route)>);

impl Routes {
    fn of(&mut self, message: &RawMessage<'_>, lanes: &[Lane]) -> Route {
        let handle = message.topic_handle();
        if let Some((_, route)) = self.0.iter().find(|(known, _)| *known == handle) {
            return *route;
        }
        let name = message.topic().to_string_lossy();
        let lane = lanes.iter().position(|lane| lane.target.job.topic == name);
        let route = lane.map_or(Route::Heartbeat, Route::Lane);
        self.0.push((handle, route));
        route
    }
}

impl Consuming {
    /// Runs until a signal, until caught up, or until every job has stopped; then drains.
    pub fn run(mut self) -> Result<Vec<Lane>> {
        loop {
            self.receive();
            self.answer_group()?;
            self.commit_landed();
            self.hand_over_due();
            self.mind_memory()?;
            self.tell();
            let over = self.shutdown.requested().is_some()
                || (self.is_caught_up() && self.others_are_caught_up())
                || self.lanes.iter().all(|lane| lane.failed.is_some());
            if over {
                break;
            }
        }
        self.drain();
        Ok(self.lanes)
    }

    fn receive(&mut self) {
        let Consuming {
            consumer,
            lanes,
            routes,
            heartbeats,
            runtime,
            landing,
            pace,
            ..
        } = self;
        let received = consumer.receive(RECEIVE);
        let now = Instant::now();
        pace.behind = received.is_full();
        let mut failures = Vec::new();
        for item in received.items() {
            match item {
                Item::Message(message) => match routes.of(&message, lanes) {
                    Route::Heartbeat => {
                        let topic = message.topic().to_string_lossy();
                        heartbeats.take(&topic, message.value(), now);
                    }
                    Route::Lane(index) => {
                        let Some(lane) = lanes.get_mut(index) else {
                            continue;
                        };
                        lane.take(&message, now);
                        if lane.is_full() && !lane.is_blocked() {
                            lane.hand_over(index, runtime, landing);
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
        for (code, topic, partition) in failures {
            self.note_failure(code, topic.as_deref(), partition);
        }
        if !self.pace.behind {
            self.pass_control_records(now);
        }
    }

    /// What is below a position and was not received (transaction markers) needs no fate, and must not hide the end.
    fn pass_control_records(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            match self.consumer.positions(&lane.partitions()) {
                Ok(positions) => {
                    for found in positions {
                        if let Some(next) = found.offset {
                            lane.reach_end(found.partition.number, next, now);
                        }
                    }
                }
                Err(error) => tracing::warn!(%error, job = lane.target.job.name, "no positions"),
            }
        }
    }

    /// A fault of one topic is its job's; a fault of the brokers is waited out.
    fn note_failure(
        &mut self,
        code: rdkafka_sys::RDKafkaErrorCode,
        topic: Option<&str>,
        partition: i32,
    ) {
        use crate::error::Retry;
        let place = topic.map_or("consume".to_owned(), |topic| {
            format!("consume topic {topic} partition {partition}")
        });
        let error = self.consumer.explain(code, &place);
        let lane = self
            .lanes
            .iter_mut()
            .find(|lane| Some(lane.target.job.topic.as_str()) == topic);
        match (lane, error.kind().policy().retry) {
            (Some(lane), Retry::Never) if lane.failed.is_none() => lane.fail(error),
            (Some(_), Retry::Never) => {}
            _ => tracing::warn!(%error, "waiting for kafka"),
        }
    }

    pub(super) fn commit_landed(&mut self) {
        while let Ok(landed) = self.landed.try_recv() {
            self.land(landed);
        }
        for index in 0..self.lanes.len() {
            let offsets = self.take_durable(index);
            if offsets.is_empty() {
                continue;
            }
            let sent = self
                .consumer
                .commit(offsets.iter().map(|(partition, next)| (partition, *next)));
            if let Err(error) = sent {
                tracing::warn!(%error, "offsets were not committed, their messages may come again");
            }
        }
    }

    pub(super) fn land(&mut self, landed: Landed) {
        if let Some(lane) = self.lanes.get_mut(landed.lane) {
            lane.land(landed.id, landed.result);
        }
    }

    pub(super) fn take_durable(&mut self, index: usize) -> Vec<(Partition, i64)> {
        let Some(lane) = self.lanes.get_mut(index) else {
            return Vec::new();
        };
        let reached = lane.take_durable();
        let offset = |(number, position): (i32, crate::checkpoint::Position)| {
            (lane.partition(number), position.next_offset)
        };
        reached.iter().map(offset).collect()
    }

    fn hand_over_due(&mut self) {
        let now = Instant::now();
        // everything below the ends is here already: nothing more to wait for
        let ending = self.ends.is_some() && !self.pace.behind;
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            let due = lane.is_due(now, self.pace.behind) || (ending && lane.has_gathered());
            if lane.failed.is_none() && !lane.is_blocked() && due {
                lane.hand_over(index, &self.runtime, &self.landing);
            }
        }
    }

    /// Pauses what cannot be taken: jobs that stopped, jobs with full batches, everything above the budget.
    fn mind_memory(&mut self) -> Result<()> {
        let held: usize = self.lanes.iter().map(Lane::bytes).sum();
        let over = held > self.budget;
        for (lane, paused) in self.lanes.iter().zip(&mut self.pace.paused) {
            // with hysteresis: a resumed partition is fetched anew
            let relieved = held < self.budget / 2 && !lane.is_blocked();
            let wanted = lane.failed.is_some()
                || over
                || (lane.is_full() && lane.is_blocked())
                || (*paused && !relieved);
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

    fn tell(&mut self) {
        let now = Instant::now();
        if now.duration_since(self.pace.status) >= STATUS_EVERY {
            self.pace.status = now;
            self.settle_heartbeats(now);
            for lane in &self.lanes {
                self.status.set(&lane.target.job.name, self.status_of(lane));
            }
        }
        if now.duration_since(self.pace.checkpoint) >= CHECKPOINT_EVERY {
            self.pace.checkpoint = now;
            let (clickhouse, ops) = (self.clickhouse.clone(), self.ops.clone());
            let (group, positions) = (self.group.clone(), self.positions());
            self.runtime.spawn(async move {
                if let Err(error) = checkpoints::write(&clickhouse, &ops, &group, &positions).await
                {
                    tracing::warn!(%error, "ops.checkpoints was not written, trying again soon");
                }
            });
        }
    }

    /// A partition at its end is as far as the source was at the last heartbeat.
    fn settle_heartbeats(&mut self, now: Instant) {
        for lane in &mut self.lanes {
            let Some(time) = self.heartbeats.settled(&lane.target.job.topic, now) else {
                continue;
            };
            for number in lane.owned.keys().copied().collect::<Vec<_>>() {
                let end = self.consumer.known_end(&lane.partition(number));
                if let Some(owned) = lane.owned.get_mut(&number)
                    && end.is_some_and(|end| owned.durable >= end)
                {
                    owned.source_time = owned.source_time.max(Some(time));
                }
            }
        }
    }

    fn status_of(&self, lane: &Lane) -> JobStatus {
        let behind = |(number, owned): (&i32, &super::lane::Owned)| {
            let end = self.consumer.known_end(&lane.partition(*number))?;
            Some((end - owned.durable).max(0))
        };
        JobStatus {
            counters: lane.counters.clone(),
            lag: lane.owned.iter().map(behind).sum(),
            partitions: lane.owned.len(),
            failed: lane.failed.as_ref().map(ToString::to_string),
        }
    }

    /// What is durable now, by job.
    pub(super) fn positions(&self) -> Vec<(SilverJob, Checkpoint)> {
        let of = |lane: &Lane| {
            let mut checkpoint = Checkpoint::default();
            for (number, owned) in &lane.owned {
                checkpoint.advance(*number, owned.durable, owned.source_time);
            }
            (lane.target.job.clone(), checkpoint)
        };
        self.lanes.iter().map(of).collect()
    }

    /// Every partition that is ours has passed the end that its topic had at the start.
    fn is_caught_up(&self) -> bool {
        let Some(ends) = &self.ends else {
            return false;
        };
        let reached = |lane: &Lane| {
            lane.owned.iter().all(|(number, owned)| {
                let end = ends.get(&lane.partition(*number)).copied().unwrap_or(0);
                owned.durable >= end
            })
        };
        self.pace.joined
            && self
                .lanes
                .iter()
                .all(|lane| lane.failed.is_some() || reached(lane))
    }

    /// The same for the partitions that others of the group own, as it has committed; a member that was killed owns
    /// its partitions until the group misses it, and they come to us then. Asked now and then only.
    fn others_are_caught_up(&mut self) -> bool {
        let now = Instant::now();
        if now < self.pace.ask_others {
            return false;
        }
        self.pace.ask_others = now + ASK_OTHERS_EVERY;
        let ends = self.ends.iter().flatten();
        let others: Vec<Partition> = ends
            .filter(|(partition, _)| self.is_elsewhere(partition))
            .map(|(partition, _)| partition.clone())
            .collect();
        if others.is_empty() {
            return true;
        }
        let found = match self.consumer.committed(&others) {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "while waiting for the others of the group");
                return false;
            }
        };
        let end = |partition| self.ends.as_ref().and_then(|ends| ends.get(partition));
        found.iter().all(|positioned| match positioned.offset {
            Some(next) => end(&positioned.partition).is_none_or(|end| next >= *end),
            // its owner began at the end, and has had nothing to commit
            None => self.first_start == FirstStart::Latest,
        })
    }

    /// Whether a job that goes on waits for this partition without owning it.
    fn is_elsewhere(&self, partition: &Partition) -> bool {
        self.lanes.iter().any(|lane| {
            lane.failed.is_none()
                && lane.target.job.topic == partition.topic
                && !lane.owned.contains_key(&partition.number)
        })
    }

    /// Finishes what is under way within the deadline, commits it and writes it down. What is left is redelivered.
    fn drain(&mut self) {
        let partitions: Vec<Partition> = self.lanes.iter().flat_map(Lane::partitions).collect();
        if let Err(error) = self.consumer.pause(&partitions) {
            tracing::warn!(%error, "while draining");
        }
        self.finish_lanes(DRAIN);
        for index in 0..self.lanes.len() {
            self.commit_and_wait(index);
        }
        let positions = self.positions();
        let write = checkpoints::write(&self.clickhouse, &self.ops, &self.group, &positions);
        let runtime = self.runtime.clone();
        let written =
            runtime.block_on(async { tokio::time::timeout(LAST_CHECKPOINT, write).await });
        match written {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "ops.checkpoints was not written, kafka has the offsets")
            }
            Err(_) => {
                tracing::warn!("ops.checkpoints was not written in time, kafka has the offsets")
            }
        }
        self.tell();
    }

    /// Hands over every batch and waits for the writes, but not past the deadline.
    pub(super) fn finish_lanes(&mut self, deadline: Duration) {
        let until = Instant::now() + deadline;
        loop {
            for (index, lane) in self.lanes.iter_mut().enumerate() {
                if lane.failed.is_none() && lane.has_gathered() && !lane.is_blocked() {
                    lane.hand_over(index, &self.runtime, &self.landing);
                }
            }
            if self
                .lanes
                .iter()
                .all(|lane| lane.failed.is_some() || lane.in_flight.is_settled())
            {
                return;
            }
            let left = until.saturating_duration_since(Instant::now());
            match self.landed.recv_timeout(left) {
                Ok(landed) => self.land(landed),
                Err(_) => {
                    tracing::warn!("writes did not end in time; their messages will come again");
                    return;
                }
            }
        }
    }

    pub(super) fn commit_and_wait(&mut self, index: usize) {
        let offsets = self.take_durable(index);
        if offsets.is_empty() {
            return;
        }
        let offsets = offsets.iter().map(|(partition, next)| (partition, *next));
        if let Err(error) = self.consumer.commit_and_wait(offsets) {
            tracing::warn!(%error, "offsets were not committed, their messages may come again");
        }
    }
}
