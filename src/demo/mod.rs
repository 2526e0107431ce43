//! The demo: captured change events become silver and gold tables, with no service installed, and are checked.
//!
//! ```text
//! capture ─▶ mock Kafka (in this process) ─▶ bullion ingest ─▶ silver ─▶ bullion gold ─▶ gold
//!                                              └───── the engine, a child on the folder's data ─────┘
//!                                                       answers: the same as PostgreSQL's?
//! ```
//!
//! Every command is a child process of the same binary, told by environment what a user would write into
//! `bullion.toml`. The mock cluster is another one each time, so each replay raises the epoch of the silver jobs.

mod answers;
mod capture;
mod chaos;
mod command;
pub mod folder;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};

use crate::embedded::kafka::MockKafka;
use crate::error::{Context as _, Error, Kind, Result};
use crate::sink::clickhouse::ClickHouse;
use capture::Capture;
pub use chaos::Killed;
use command::{Commands, GROUP};
use folder::{Engine, Folder, GOLD, SILVER};

/// The days of the capture, in New York.
pub const DAYS: (&str, &str) = ("2013-02-04", "2013-02-14");

pub struct Request {
    pub data: PathBuf,
    /// replay once more while the ingester is killed again and again
    pub chaos: bool,
}

/// Something that is done, and what it took.
#[derive(Clone, Debug)]
pub struct Step {
    pub what: String,
    pub took: Duration,
}

/// What stands at the end.
pub struct Report {
    pub folder: Folder,
    pub engine: Engine,
    pub epoch: u8,
    /// answers that are equal to PostgreSQL's
    pub answers: usize,
    /// over all of silver
    pub checksum: String,
    pub tables: Vec<(String, u64)>,
    /// one row per day, from gold
    pub days: Vec<Map<String, Value>>,
    pub killed: Vec<Killed>,
    pub steps: Vec<Step>,
}

/// Runs the whole demo and tells each step when it is done.
pub async fn run(request: Request, tell: impl FnMut(&Step) + Send) -> Result<Report> {
    let begun = Instant::now();
    let folder = Folder::make(&request.data)?;
    let engine = folder.engine().await?;
    let clickhouse = ClickHouse::connect(&engine.address()).await?;
    let capture = blocking(Capture::open).await?;
    let mut demo = Demo {
        folder,
        engine,
        clickhouse,
        capture: Arc::new(capture),
        steps: Vec::new(),
        tell,
    };
    let version: String = demo.clickhouse.one("SELECT version()").await?;
    let word = if demo.engine.is_ours() {
        "started"
    } else {
        "found running"
    };
    demo.done(format!("engine: ClickHouse {version} {word}"), begun);
    let mut replayed = demo.replay(Replay::Undisturbed).await?;
    if request.chaos {
        let undisturbed = replayed.checksum;
        replayed = demo.replay(Replay::Chaos).await?;
        if replayed.checksum != undisturbed {
            let message = format!(
                "silver has the checksum {} after the kills, and {undisturbed} without them",
                replayed.checksum
            );
            return Err(Error::new(Kind::Internal, message));
        }
    }
    demo.report(replayed).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Replay {
    Undisturbed,
    Chaos,
}

struct Replayed {
    epoch: u8,
    /// answers that are equal to PostgreSQL's
    answers: usize,
    checksum: String,
    killed: Vec<Killed>,
}

struct Demo<T> {
    folder: Folder,
    engine: Engine,
    clickhouse: ClickHouse,
    capture: Arc<Capture>,
    steps: Vec<Step>,
    tell: T,
}

impl<T: FnMut(&Step) + Send> Demo<T> {
    /// One replay of the whole capture in an epoch of its own, from Kafka to checked answers.
    async fn replay(&mut self, how: Replay) -> Result<Replayed> {
        let begun = Instant::now();
        let epoch = next_epoch(&self.clickhouse, &self.folder).await?;
        self.folder.write_jobs(epoch)?;
        let kafka = Arc::new(blocking(|| MockKafka::start(GROUP)).await?);
        self.capture.create_topics(&kafka)?;
        let partitions = self.capture.partitions();
        let topics = format!("{} partitions of a mock Kafka", partitions.len());
        if how == Replay::Undisturbed {
            let (capture, filled) = (Arc::clone(&self.capture), Arc::clone(&kafka));
            blocking(move || capture.replay(&filled, 0, capture.messages())).await?;
            nothing_lost(&kafka, &partitions)?;
            let messages = self.capture.messages();
            self.done(
                format!("replay: {messages} change events into {topics}"),
                begun,
            );
        }
        let begun = Instant::now();
        let brokers = kafka.brokers.clone();
        let result = self.command(&brokers, "migrate", &[]).await?;
        let changes = result["changes"].as_array().map_or(0, Vec::len);
        self.done(
            format!("migrate: {changes} changes to ClickHouse, epoch {epoch}"),
            begun,
        );
        let begun = Instant::now();
        let mut killed = Vec::new();
        if how == Replay::Chaos {
            killed = self.chaos(&kafka, epoch).await?;
            let times = killed.len();
            self.done(
                format!("chaos: {topics} filled while ingest was killed {times} times with -9"),
                begun,
            );
        }
        let begun = Instant::now();
        let result = self
            .command(&brokers, "ingest", &["--until-caught-up"])
            .await?;
        let rows: u64 = figures(&result, "rows");
        let messages = figures(&result, "messages");
        self.done(
            format!("ingest: {messages} messages became {rows} rows of silver"),
            begun,
        );
        nothing_lost(&kafka, &partitions)?;
        self.gold(&brokers).await?;
        let begun = Instant::now();
        let answers = answers::check(&self.clickhouse, epoch).await?;
        let checksum = answers::checksum(&self.clickhouse).await?;
        self.done(
            format!("check: {answers} answers equal PostgreSQL's, checksum of silver {checksum}"),
            begun,
        );
        Ok(Replayed {
            epoch,
            answers,
            checksum,
            killed,
        })
    }

    async fn gold(&mut self, brokers: &str) -> Result<()> {
        let begun = Instant::now();
        let mut arguments = GOLD.to_vec();
        arguments.extend(["--from", DAYS.0, "--to", DAYS.1]);
        let result = self.command(brokers, "gold", &arguments).await?;
        let count = |key: &str| result[key].as_u64().unwrap_or_default();
        let (built, unchanged) = (count("built"), count("unchanged"));
        self.done(
            format!("gold: 2 jobs, {built} days built, {unchanged} unchanged"),
            begun,
        );
        Ok(())
    }

    async fn chaos(&self, kafka: &Arc<MockKafka>, epoch: u8) -> Result<Vec<Killed>> {
        let commands = Commands {
            folder: &self.folder,
            engine: &self.engine,
            brokers: &kafka.brokers,
        };
        let chaos = chaos::Chaos {
            commands,
            kafka: Arc::clone(kafka),
            capture: Arc::clone(&self.capture),
            clickhouse: &self.clickhouse,
            epoch,
        };
        chaos.run().await
    }

    async fn command(&self, brokers: &str, name: &str, arguments: &[&str]) -> Result<Value> {
        let commands = Commands {
            folder: &self.folder,
            engine: &self.engine,
            brokers,
        };
        commands.run(name, arguments).await
    }

    fn done(&mut self, what: String, begun: Instant) {
        let step = Step {
            what,
            took: begun.elapsed(),
        };
        (self.tell)(&step);
        self.steps.push(step);
    }

    async fn report(self, replayed: Replayed) -> Result<Report> {
        let silver = SILVER.iter().map(|name| format!("silver.{name}"));
        let gold = GOLD.iter().map(|name| format!("gold.{name}"));
        let mut tables = Vec::new();
        for name in silver.chain(gold) {
            let count = self
                .clickhouse
                .one(&format!("SELECT count() FROM {name}"))
                .await?;
            tables.push((name, count));
        }
        let days = answers::rows(&self.clickhouse, BY_DAY).await?;
        Ok(Report {
            folder: self.folder,
            engine: self.engine,
            epoch: replayed.epoch,
            answers: replayed.answers,
            checksum: replayed.checksum,
            tables,
            days,
            killed: replayed.killed,
            steps: self.steps,
        })
    }
}

/// The result table that the demo shows: the blizzard of the 8th and 9th stands out.
const BY_DAY: &str =
    "SELECT toString(flight_date) AS day, sum(flights) AS flights, sum(cancelled) AS cancelled,
    toDecimalString(sum(dep_delay_minutes) / sum(departed), 1) AS mean_delay
    FROM gold.flights_by_day GROUP BY flight_date ORDER BY flight_date";

/// Epochs have eight bits, and each replay takes one.
async fn next_epoch(clickhouse: &ClickHouse, folder: &Folder) -> Result<u8> {
    let known = "SELECT count() FROM system.tables WHERE database = 'ops' AND name = 'topics'";
    if clickhouse.one::<u64>(known).await? == 0 {
        return Ok(1);
    }
    let latest: u8 = clickhouse.one("SELECT max(epoch) FROM ops.topics").await?;
    latest.checked_add(1).ok_or_else(|| {
        let path = folder.path().display();
        Error::new(
            Kind::Config,
            format!("the demo in {path} has used up its 255 epochs"),
        )
        .advise(format!(
            "remove {path}, or take another folder with --data DIR"
        ))
    })
}

fn nothing_lost(kafka: &MockKafka, partitions: &[(String, i32)]) -> Result<()> {
    match kafka.lost(partitions)? {
        None => Ok(()),
        Some((topic, partition)) => {
            let message = format!("the mock Kafka dropped messages of {topic} {partition}");
            Err(Error::new(Kind::Internal, message))
        }
    }
}

/// The sum of one figure over all jobs of an ingest's result.
fn figures(result: &Value, key: &str) -> u64 {
    let jobs = result["jobs"].as_object();
    let values = jobs.into_iter().flat_map(Map::values);
    values.filter_map(|job| job[key].as_u64()).sum()
}

/// librdkafka's calls and decompression wait or work: not on the runtime's own threads.
async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R> + Send + 'static,
) -> Result<R> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined
        .map_err(|error| Error::new(Kind::Internal, "a step broke off").because(error))?
        .context("demo")
}
