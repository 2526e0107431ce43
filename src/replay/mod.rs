//! Kafka, or its archive, is read again, and the same rows are written under the same versions: what silver lacks
//! comes back, what it has stays as it is, newer rows of a key win.
//!
//! ```text
//! asked range ─▶ plan: offsets per partition ─▶ receive ─▶ decode ─▶ batch ─▶ silver, ops.dead_letters
//! ```
//!
//! Kafka is read with a consumer of its own, outside of the group, and nothing is committed: harmless while ingest runs, and
//! harmless when it is killed.
//!
//! | file | what it holds |
//! |---|---|
//! | `plan` | which offsets |
//! | `work` | messages become rows |

mod plan;
mod work;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub use crate::ingest::NewTable;
pub use plan::{From, Offsets, Plan, Range, Until};
use work::Work;

use crate::archive::Archived;
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::ingest::Breaker;
use crate::job::SilverJob;
use crate::progress::Progress;
use crate::rate::Rate;
use crate::shutdown::Shutdown;
use crate::sink::clickhouse::ClickHouse;
use crate::source::{Consumer, Item, Partition};
use crate::{migrate, sink};

/// One receive call waits so long; bounds how late a signal is seen.
const RECEIVE: Duration = Duration::from_millis(100);
/// A topic whose next messages do not come for so long is as good as lost.
const PATIENCE: Duration = Duration::from_secs(60);
/// The line of life where no bar is shown.
const BEAT: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct Replayed {
    pub messages: u64,
    pub rows: u64,
    pub skips: BTreeMap<&'static str, u64>,
    pub rejects: BTreeMap<&'static str, u64>,
    /// rows that reached ClickHouse, after the collapse per key
    pub written: u64,
}

/// A job's messages, and which of them are to be read.
pub struct Replay {
    job: SilverJob,
    feed: Feed,
    /// where the rows go, instead of the job's own table
    table: Option<NewTable>,
    breaker: Arc<Mutex<Breaker>>,
    pub plan: Plan,
}

/// Where messages come from.
enum Feed {
    /// belongs to no group
    Kafka(Consumer),
    Archive(Archived),
}

/// How fast messages are read, and who hears of it.
struct Watch<'a> {
    progress: &'a Progress,
    rate: &'a Rate,
    shutdown: &'a Shutdown,
    beat: Instant,
}

impl Watch<'_> {
    fn check(&mut self) -> Result<()> {
        if self.beat.elapsed() >= BEAT {
            self.beat = Instant::now();
            self.progress.beat();
        }
        match self.shutdown.requested() {
            Some(signal) => Err(signal.error()),
            None => Ok(()),
        }
    }

    /// After so many messages; whether there was anything to wait for.
    fn pause(&mut self, read: u64) -> Result<bool> {
        let resume = Instant::now() + self.rate.owed(read);
        let mut waited = false;
        while let Some(owed) = resume.checked_duration_since(Instant::now()) {
            self.check()?;
            std::thread::sleep(owed.min(RECEIVE));
            waited = true;
        }
        Ok(waited)
    }
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
        let job = migrate::evolved::verified(clickhouse, (&names.silver, &names.ops), &job).await?;
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
        let plan = plan::of_topic(&consumer, &job, &partitions, from, until)?;
        let group = &config.kafka.group;
        let starts = sink::checkpoints::epoch_starts(clickhouse, &names.ops, group, &job).await?;
        plan.check_epoch(&job, &starts)?;
        Ok(Replay {
            job,
            feed: Feed::Kafka(consumer),
            table: None,
            breaker: Arc::default(),
            plan,
        })
    }

    /// Asks the archive and ClickHouse, and changes nothing in either. Kafka is not asked.
    pub async fn from_archive(
        config: &Config,
        clickhouse: &ClickHouse,
        job: SilverJob,
        from: &From,
        until: &Until,
    ) -> Result<Replay> {
        let names = &config.clickhouse;
        let databases = (names.silver.as_str(), names.ops.as_str());
        let job = migrate::evolved::verified(clickhouse, databases, &job).await?;
        let Some(settings) = &config.archive else {
            return Err(Error::new(Kind::Config, "there is no archive to read from")
                .advise("set archive.url in bullion.toml: docs/archive.md"));
        };
        let archived = Archived::list(settings, &job.topic, job.epoch).await?;
        let plan = plan::of_archive(&archived, &job, from, until).await?;
        if plan.ranges.is_empty() {
            let message = format!(
                "job {}: the archive has nothing of topic {} in epoch {}",
                job.name, job.topic, job.epoch
            );
            return Err(Error::new(Kind::NotFound, message)
                .advise("look for the topic's folder where archive.url says"));
        }
        Ok(Replay {
            job,
            feed: Feed::Archive(archived),
            table: None,
            breaker: Arc::default(),
            plan,
        })
    }

    /// Rows go into this table.
    #[must_use]
    pub fn into_table(self, table: NewTable) -> Replay {
        Replay {
            table: Some(table),
            ..self
        }
    }

    /// Its bad messages count together with those of other parts of the topic.
    #[must_use]
    pub fn counted_by(self, breaker: &Arc<Mutex<Breaker>>) -> Replay {
        Replay {
            breaker: Arc::clone(breaker),
            ..self
        }
    }

    /// Reads and writes what was planned. Blocks, on a thread that may.
    pub fn run(
        self,
        config: &Config,
        clickhouse: &ClickHouse,
        progress: &Progress,
        rate: &Rate,
        shutdown: &Shutdown,
    ) -> Result<Replayed> {
        let work = Work::new(config, clickhouse, self.job, self.table, self.breaker)?;
        let watch = Watch {
            progress,
            rate,
            shutdown,
            beat: Instant::now(),
        };
        let mut ranges = self.plan.ranges;
        ranges.retain(|range| range.from < range.to);
        match self.feed {
            Feed::Kafka(consumer) => read_topic(consumer, &ranges, work, watch),
            Feed::Archive(archived) => read_archive(&archived, &ranges, work, watch),
        }
    }
}

fn read_topic(
    mut consumer: Consumer,
    ranges: &[Range],
    mut work: Work,
    mut watch: Watch<'_>,
) -> Result<Replayed> {
    let mut left: BTreeMap<i32, i64> = BTreeMap::new();
    let mut starts = Vec::new();
    for range in ranges {
        left.insert(range.partition, range.to);
        let number = range.partition;
        let topic = work.topic().to_owned();
        starts.push((Partition { topic, number }, range.from));
    }
    consumer.assign_exactly(&starts)?;
    let mut last = Instant::now();
    while !left.is_empty() {
        watch.check()?;
        let mut failed = None;
        let mut read = 0;
        for item in consumer.receive(RECEIVE).items() {
            match item {
                Item::Message(raw) => {
                    last = Instant::now();
                    read += 1;
                    let end = left.get(&raw.partition()).copied();
                    // what lies behind the end was fetched with what lies before it
                    if end.is_some_and(|end| raw.offset() < end) {
                        // less than before where a write has shown rejects
                        let rows = work.replayed.rows;
                        work.take(&raw)?;
                        watch
                            .progress
                            .advance(1, work.replayed.rows.saturating_sub(rows));
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
            let error = consumer.explain(code, "replay");
            match error.kind() {
                // librdkafka connects again by itself; patience ends below
                Kind::Unreachable | Kind::Busy => tracing::debug!(%error, "waiting"),
                _ => return Err(error),
            }
        }
        if watch.pause(read)? {
            last = Instant::now();
        }
        if last.elapsed() > PATIENCE {
            let message = format!(
                "kafka gave nothing of topic {} for {} s",
                work.topic(),
                PATIENCE.as_secs()
            );
            return Err(Error::new(Kind::Unreachable, message));
        }
    }
    work.end()
}

fn read_archive(
    archived: &Archived,
    ranges: &[Range],
    mut work: Work,
    mut watch: Watch<'_>,
) -> Result<Replayed> {
    for range in ranges {
        let mut reader = archived.read(range.partition, range.from, range.to);
        while let Some(messages) = work.runtime.clone().block_on(reader.next())? {
            watch.check()?;
            for message in &messages {
                let rows = work.replayed.rows;
                work.take(&message.message())?;
                watch
                    .progress
                    .advance(1, work.replayed.rows.saturating_sub(rows));
            }
            watch.pause(messages.len() as u64)?;
        }
    }
    work.end()
}
