//! Kafka is read again, and the same rows are written under the same versions: what silver lacks comes back, what it has
//! stays as it is, newer rows of a key win.
//!
//! ```text
//! asked range ─▶ plan: offsets per partition ─▶ receive ─▶ decode ─▶ batch ─▶ silver, ops.dead_letters
//! ```
//!
//! It reads with a consumer of its own, outside of the group, and commits nothing: harmless while ingest runs, and
//! harmless when it is killed.

use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::batch::Batch;
use crate::config::Config;
use crate::envelope::{Decoder, Fate, Headers, Message, Reason};
use crate::error::{Error, Kind, Result};
use crate::ingest::{Breaker, Target, Turn, Written, dead_letter};
use crate::job::SilverJob;
use crate::progress::Progress;
use crate::rate::Rate;
use crate::registry::{self, Registry};
use crate::shutdown::Shutdown;
use crate::sink::clickhouse::ClickHouse;
use crate::source::{Consumer, Item, Partition, RawMessage};
use crate::{migrate, sink};

/// One receive call waits so long; bounds how late a signal is seen.
const RECEIVE: Duration = Duration::from_millis(100);
/// A topic whose next messages do not come for so long is as good as lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// The line of life where no bar is shown.
const BEAT: Duration = Duration::from_secs(10);
/// Of the memory budget: a batch is gathered while another one is written as a sorted block and as a request.
const BATCHES_HELD: usize = 4;

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
    /// first offset that the topic still has
    pub low: i64,
}

#[derive(Clone, Debug)]
pub struct Plan {
    pub ranges: Vec<Range>,
}

impl Plan {
    /// At most: offsets are not all messages.
    pub fn messages(&self) -> u64 {
        let length = |range: &Range| u64::try_from(range.to - range.from).unwrap_or(0);
        self.ranges.iter().map(length).sum()
    }
}

#[derive(Debug, Default)]
pub struct Replayed {
    pub messages: u64,
    pub rows: u64,
    pub skips: BTreeMap<&'static str, u64>,
    pub rejects: BTreeMap<&'static str, u64>,
    /// rows that reached ClickHouse, after the collapse per key
    pub written: u64,
}

/// A consumer that belongs to no group, and what it is to read.
pub struct Replay {
    job: SilverJob,
    consumer: Consumer,
    pub plan: Plan,
}

impl Replay {
    /// Asks Kafka and ClickHouse, and changes nothing in either. Blocks.
    pub async fn prepare(
        config: &Config,
        clickhouse: &ClickHouse,
        job: SilverJob,
        from: &From,
        until: &Until,
    ) -> Result<Replay> {
        let names = &config.clickhouse;
        let job = migrate::evolved::verified(clickhouse, &names.silver, &job).await?;
        let mut kafka = config.kafka.clone();
        // nothing is paused here, so that the end may be told: see `source::properties`
        let told = ("enable.partition.eof".to_owned(), "true".to_owned());
        kafka.properties.extend([told]);
        let consumer = Consumer::connect(&kafka)?;
        let identity = consumer.identify(&job.topic)?;
        // rows of another topic's offsets would carry versions that mean nothing
        let known = sink::checkpoints::known_identity(clickhouse, &names.ops, &job).await?;
        if let Some(known) = known {
            sink::checkpoints::same_identity(&job, &known, &identity)?;
        }
        let partition = |number: i32| Partition {
            topic: job.topic.clone(),
            number,
        };
        let count = i32::try_from(identity.partitions).unwrap_or(i32::MAX);
        let partitions: Vec<Partition> = (0..count).map(partition).collect();
        let plan = plan(&consumer, &job, &partitions, from, until)?;
        Ok(Replay {
            job,
            consumer,
            plan,
        })
    }

    /// Reads and writes what was planned. Blocks, on a thread that may.
    pub fn run(
        mut self,
        config: &Config,
        clickhouse: &ClickHouse,
        progress: &Progress,
        rate: &Rate,
        shutdown: &Shutdown,
    ) -> Result<Replayed> {
        let names = &config.clickhouse;
        let target = Target::new(self.job, clickhouse.clone(), &names.silver, &names.ops);
        let budget = usize::try_from(config.memory_budget).unwrap_or(usize::MAX);
        let mut work = Work {
            decoder: Decoder::new(&target.job),
            registry: Registry::new(&config.registry)?,
            batch: Batch::new(&target.job),
            target: Arc::new(target),
            most_bytes: budget / BATCHES_HELD,
            breaker: Breaker::default(),
            writing: None,
            parked: Vec::new(),
            last_turn: None,
            batches: 0,
            replayed: Replayed::default(),
            runtime: Handle::current(),
        };
        let mut left: BTreeMap<i32, i64> = BTreeMap::new();
        let mut starts = Vec::new();
        for range in self
            .plan
            .ranges
            .iter()
            .filter(|range| range.from < range.to)
        {
            left.insert(range.partition, range.to);
            let number = range.partition;
            let topic = work.target.job.topic.clone();
            starts.push((Partition { topic, number }, range.from));
        }
        self.consumer.assign_exactly(&starts)?;
        let mut last = Instant::now();
        let mut beat = Instant::now();
        while !left.is_empty() {
            if let Some(signal) = shutdown.requested() {
                return Err(signal.error());
            }
            let mut failed = None;
            let mut read = 0;
            for item in self.consumer.receive(RECEIVE).items() {
                match item {
                    Item::Message(raw) => {
                        last = Instant::now();
                        read += 1;
                        let end = left.get(&raw.partition()).copied();
                        // what lies behind the end was fetched with what lies before it
                        if end.is_some_and(|end| raw.offset() < end) {
                            let rows = work.replayed.rows;
                            work.take(&raw)?;
                            progress.advance(1, work.replayed.rows - rows);
                        }
                        if end.is_some_and(|end| raw.offset() + 1 >= end) {
                            left.remove(&raw.partition());
                        }
                    }
                    // what is left below the end are control records
                    Item::EndOfPartition { partition, .. } => {
                        left.remove(&partition);
                    }
                    Item::Error { code, .. } => failed = Some(code),
                }
            }
            if let Some(code) = failed {
                let error = self.consumer.explain(code, "replay");
                match error.kind() {
                    // librdkafka connects again by itself; patience ends below
                    Kind::Unreachable | Kind::Busy => tracing::debug!(%error, "waiting"),
                    _ => return Err(error),
                }
            }
            let resume = Instant::now() + rate.owed(read);
            while let Some(owed) = resume.checked_duration_since(Instant::now()) {
                if let Some(signal) = shutdown.requested() {
                    return Err(signal.error());
                }
                std::thread::sleep(owed.min(RECEIVE));
                last = Instant::now();
            }
            if last.elapsed() > PATIENCE {
                let message = format!(
                    "kafka gave nothing of topic {} for {} s",
                    work.target.job.topic,
                    PATIENCE.as_secs()
                );
                return Err(Error::new(Kind::Unreachable, message));
            }
            if beat.elapsed() >= BEAT {
                beat = Instant::now();
                progress.beat();
            }
        }
        work.hand_over()?;
        work.land_all()?;
        Ok(work.replayed)
    }
}

struct Work {
    target: Arc<Target>,
    decoder: Decoder,
    registry: Option<Registry>,
    batch: Batch,
    most_bytes: usize,
    breaker: Breaker,
    /// one batch is written while the next one is gathered
    writing: Option<(JoinHandle<Result<Written>>, mpsc::Receiver<()>)>,
    /// what else is under way: its rows wait for others
    parked: Vec<JoinHandle<Result<Written>>>,
    last_turn: Option<oneshot::Receiver<()>>,
    batches: u64,
    replayed: Replayed,
    runtime: Handle,
}

impl Work {
    fn take(&mut self, raw: &RawMessage<'_>) -> Result<()> {
        let job = &self.target.job;
        let header = |name: &str| raw.header(name).map(<[u8]>::to_vec);
        let message = Message {
            topic: &job.topic,
            partition: raw.partition(),
            offset: raw.offset(),
            key: raw.key(),
            value: raw.value(),
            timestamp: raw.timestamp(),
            headers: Headers::of(&header),
        };
        if self.decoder.missing_schema(&message).is_some() {
            let teaching =
                registry::teach(self.registry.as_ref(), &mut self.decoder, job, |decoder| {
                    decoder.missing_schema(&message)
                });
            self.runtime.block_on(teaching)?;
        }
        self.replayed.messages += 1;
        let mut rejected = None;
        match self.decoder.decode(&message, &mut self.batch.rows) {
            Fate::Row => {
                self.replayed.rows += 1;
                let letter = || dead_letter(job, raw, Reason::ToastPlaceholder.into());
                self.batch.note_doubt(letter);
            }
            Fate::Skip(skip) => *self.replayed.skips.entry(skip.as_str()).or_default() += 1,
            Fate::Reject(reject) => {
                let reason = reject.reason.as_str();
                rejected = Some(reason);
                *self.replayed.rejects.entry(reason).or_default() += 1;
                self.batch.reject(dead_letter(job, raw, reject));
            }
            Fate::Fail(error) => {
                let place = format!("partition {} offset {}", raw.partition(), raw.offset());
                return Err(error.context(format!("topic {} {place}", job.topic)));
            }
        }
        if let Some(error) = self.breaker.count(job, rejected) {
            return Err(error);
        }
        if self.batch.is_full(self.most_bytes) {
            self.hand_over()?;
        }
        Ok(())
    }

    /// Starts the write of what was gathered, after the one before it has ended.
    fn hand_over(&mut self) -> Result<()> {
        self.land()?;
        let batch = std::mem::replace(&mut self.batch, Batch::new(&self.target.job));
        let target = Arc::clone(&self.target);
        self.batches += 1;
        let mut turn = Turn::next(&mut self.last_turn, self.batches);
        let (parking, parked) = mpsc::channel();
        let writing = self.runtime.spawn(async move {
            let park = move |_| {
                // nobody listens where it was parked before
                let _ = parking.send(());
            };
            target.write_in_turn(batch, &mut turn, &park).await
        });
        self.writing = Some((writing, parked));
        Ok(())
    }

    /// Waits for the write that is under way, or until it waits for rows that are still to be read.
    fn land(&mut self) -> Result<()> {
        if let Some((writing, parked)) = self.writing.take() {
            // an error says that it has ended
            match parked.recv() {
                Ok(()) => self.parked.push(writing),
                Err(_) => self.count(writing)?,
            }
        }
        Ok(())
    }

    /// Waits for every write.
    fn land_all(&mut self) -> Result<()> {
        self.land()?;
        for writing in std::mem::take(&mut self.parked) {
            self.count(writing)?;
        }
        Ok(())
    }

    fn count(&mut self, writing: JoinHandle<Result<Written>>) -> Result<()> {
        let written = self.runtime.block_on(writing);
        let written = written
            .map_err(|error| Error::new(Kind::Internal, "a write panicked").because(error))??;
        self.replayed.written += written.rows as u64;
        let rejected = written.rejected.len() as u64;
        if rejected > 0 {
            self.replayed.rows = self.replayed.rows.saturating_sub(rejected);
            let reason = Reason::ToastPlaceholder.as_str();
            *self.replayed.rejects.entry(reason).or_default() += rejected;
        }
        Ok(())
    }
}

/// Which offsets of which partitions.
fn plan(
    consumer: &Consumer,
    job: &SilverJob,
    partitions: &[Partition],
    from: &From,
    until: &Until,
) -> Result<Plan> {
    let mut named: Vec<&i32> = Vec::new();
    let (mut from_time, mut until_time) = (Offsets::new(), Offsets::new());
    match from {
        From::Start => {}
        From::Time(millis) => from_time = at(consumer, partitions, *millis)?,
        From::Offsets(offsets) => named.extend(offsets.keys()),
    }
    match until {
        Until::Ends => {}
        Until::Time(millis) => until_time = at(consumer, partitions, *millis)?,
        Until::Offsets(offsets) => named.extend(offsets.keys()),
    }
    let known = |number: i32| partitions.iter().any(|known| known.number == number);
    if let Some(number) = named.into_iter().find(|number| !known(**number)) {
        let message = format!(
            "topic {} has partitions 0 to {}, and not {number}",
            job.topic,
            partitions.len().saturating_sub(1)
        );
        return Err(Error::new(Kind::Usage, message));
    }
    let mut ranges = Vec::new();
    for partition in partitions {
        let number = partition.number;
        let (low, high) = consumer.watermarks(partition)?;
        let from = match from {
            From::Start => low,
            From::Time(_) => from_time.get(&number).copied().unwrap_or(high),
            From::Offsets(offsets) => match offsets.get(&number) {
                Some(offset) => *offset,
                None => continue,
            },
        };
        let to = match until {
            Until::Ends => high,
            Until::Time(_) => until_time.get(&number).copied().unwrap_or(high),
            Until::Offsets(offsets) => offsets.get(&number).copied().unwrap_or(high).min(high),
        };
        if from < low {
            return Err(gap(job, partition, from, low));
        }
        ranges.push(Range {
            partition: number,
            from,
            to: to.max(from),
            low,
        });
    }
    Ok(Plan { ranges })
}

fn gap(job: &SilverJob, partition: &Partition, from: i64, low: i64) -> Error {
    let message = format!(
        "job {}: {partition}: messages from offset {from} to {low} are gone, retention has passed them",
        job.name
    );
    Error::new(Kind::Gap, message).advise(format!(
        "begin at {}:{low}, or with --from-start; what is gone must come from a new snapshot",
        partition.number
    ))
}

/// Partition → first offset of that time, where there is one.
fn at(consumer: &Consumer, partitions: &[Partition], millis: i64) -> Result<Offsets> {
    let found = consumer.offsets_at(partitions, millis)?;
    let known = found.into_iter();
    let known = known.filter_map(|found| Some((found.partition.number, found.offset?)));
    Ok(known.collect())
}
