//! Topics that appear: a connector publishes a new table, and no job takes it.
//!
//! ```text
//! [discover] topics = "shop\\.public\\..*"
//!   every topic that matches, is no job's, and holds rows ─▶ mode "report": the command that makes its job
//!                                                         └▶ mode "auto":   table, jobs/silver/<name>.toml, ingested
//! ```

mod declare;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use regex::Regex;

use crate::catalog::{Source, TableName, silver_job};
use crate::checkpoint::Checkpoint;
use crate::config::{Config, DiscoverMode, FirstStart};
use crate::envelope::{RowShape, Shape};
use crate::error::{Error, Kind, Result, Retry};
use crate::job::{self, SilverJob};
use crate::lease::Lease;
use crate::migrate;
use crate::sink::checkpoints;
use crate::sink::clickhouse::ClickHouse;
use crate::source::{Consumer, Item, Partition};

/// A topic shows what it holds by one of so many first messages.
const FIRST_MESSAGES: usize = 20;
/// They are on the broker already, or the topic is looked at again later.
const PATIENCE: Duration = Duration::from_secs(3);
/// Topics of brokers, connectors and their bookkeeping.
const NEVER: [&str; 3] = ["__", "_schemas", "connect-"];

/// A topic that no job takes, told once.
pub struct Found {
    pub topic: String,
    /// what a person runs to make its job
    pub command: String,
    /// the job that was made, whose table stands and whose file is written
    pub job: Option<SilverJob>,
}

pub struct Finder {
    config: Config,
    clickhouse: ClickHouse,
    consumer: Consumer,
    pattern: Regex,
    /// of topics that have a job, were told, or hold no rows
    settled: BTreeSet<String>,
    /// of jobs
    names: BTreeSet<String>,
}

impl Finder {
    /// Nothing where the configuration asks for nothing. `jobs`: all that are declared.
    pub fn new(
        config: &Config,
        clickhouse: &ClickHouse,
        jobs: &[SilverJob],
    ) -> Result<Option<Finder>> {
        let Some(pattern) = &config.discover.topics else {
            return Ok(None);
        };
        Ok(Some(Finder {
            pattern: pattern.clone(),
            config: config.clone(),
            clickhouse: clickhouse.clone(),
            consumer: Consumer::connect(&config.kafka)?,
            settled: jobs.iter().map(|job| job.topic.clone()).collect(),
            names: jobs.iter().map(|job| job.name.clone()).collect(),
        }))
    }

    /// Looks once at what the brokers have. Blocks, as librdkafka does.
    pub async fn look(&mut self) -> Result<Vec<Found>> {
        let mut found = Vec::new();
        for topic in self.consumer.topics()? {
            let matches = self.pattern.is_match(&topic)
                && !NEVER.iter().any(|start| topic.starts_with(start))
                && !self.settled.contains(&topic);
            if !matches {
                continue;
            }
            match self.shape_of(&topic)? {
                // looked at again: nothing is there yet
                None => {}
                Some(Shape::Beside) => drop(self.settled.insert(topic)),
                Some(Shape::Unknown) => {
                    tracing::warn!(
                        topic,
                        "a topic matches discover.topics and is no job's, and its messages are no Debezium envelopes in JSON: \
                         write its job by hand, with its `format`"
                    );
                    self.settled.insert(topic);
                }
                Some(Shape::Row(row)) => {
                    let (told, is_settled) = self.found(&topic, &row).await;
                    found.push(told);
                    if is_settled {
                        self.settled.insert(topic);
                    }
                }
            }
        }
        Ok(found)
    }

    /// What is told of a topic of rows, and whether that is all: a job that is not made because something does not answer
    /// now is made at a later look.
    async fn found(&mut self, topic: &str, row: &RowShape) -> (Found, bool) {
        let mut found = Found {
            topic: topic.to_owned(),
            command: command(&self.name_of(topic, row), topic, row),
            job: None,
        };
        if self.config.discover.mode == DiscoverMode::Auto {
            match self.adopt(topic, row).await {
                Ok(job) => {
                    found.job = Some(job);
                    return (found, true);
                }
                Err(error) if may_pass(error.kind()) => {
                    tracing::warn!(topic, %error, "a new topic has no job yet, trying again soon");
                    return (found, false);
                }
                Err(error) => tracing::warn!(topic, %error, "no job was made for it"),
            }
        }
        let command = &found.command;
        tracing::warn!(
            topic,
            command,
            "a topic matches discover.topics and no job takes it"
        );
        (found, true)
    }

    fn name_of(&self, topic: &str, row: &RowShape) -> String {
        let name = declare::name_of(topic, row, |name| self.is_taken(name));
        name.unwrap_or_else(|| "NAME".to_owned())
    }

    fn is_taken(&self, name: &str) -> bool {
        self.names.contains(name) || self.file_of(name).exists()
    }

    fn file_of(&self, name: &str) -> PathBuf {
        self.config.jobs.join("silver").join(format!("{name}.toml"))
    }

    /// One process at a time looks at the folder and writes to it, so no two make a job for one topic.
    async fn adopt(&mut self, topic: &str, row: &RowShape) -> Result<SilverJob> {
        let target = format!("{}.new-topics", self.config.clickhouse.silver);
        let lease = Lease::acquire(&self.config.lease, &target, 0).await?;
        let adopted = match job::silver_of_topic(&self.config, topic) {
            Ok(mut declared) => match (declared.pop(), declared.is_empty()) {
                (None, _) => self.make(topic, row).await,
                (Some(job), true) => {
                    let name = &job.name;
                    tracing::warn!(topic, job = name, "a new topic: its job was made meanwhile");
                    Ok(job)
                }
                (Some(_), false) => {
                    let message = "several jobs were made for it meanwhile";
                    Err(Error::new(Kind::Mismatch, message).advise("start ingest again"))
                }
            },
            Err(error) => Err(error),
        };
        lease.release().await;
        adopted
    }

    /// The table first, the file last: until the file is there, the next look does all of it again.
    async fn make(&mut self, topic: &str, row: &RowShape) -> Result<SilverJob> {
        let text = self.declaration(topic, row).await?;
        let name = self.name_of(topic, row);
        let file = self.file_of(&name);
        let job = job::parse_silver(&name, &file, &text)?;
        let names = &self.config.clickhouse;
        for change in migrate::silver::plan(&self.clickhouse, &names.silver, &job).await? {
            self.clickhouse.execute(&change.sql).await?;
        }
        if self.config.kafka.first_start == FirstStart::Latest {
            self.start_at_first_message(&job).await?;
        }
        write(&file, &text)?;
        tracing::warn!(
            topic,
            job = name,
            "a new topic: its job was written to jobs/silver/{name}.toml, and it is ingested from its first message"
        );
        self.names.insert(name);
        Ok(job)
    }

    /// By the source database where it is known and has the table, else by the messages' schema.
    async fn declaration(&self, topic: &str, row: &RowShape) -> Result<String> {
        let postgres = row
            .connector
            .as_deref()
            .is_none_or(|name| name == "postgresql");
        if let (true, true, Some(schema), Some(table)) = (
            self.config.postgres.url.is_some(),
            postgres,
            &row.schema,
            &row.table,
        ) {
            let source = Source::connect(&self.config.postgres).await?;
            let name = TableName {
                schema: schema.clone(),
                table: table.clone(),
            };
            match source.table(&name).await {
                Ok(table) => return Ok(declare::following(&silver_job(&table, topic)?)),
                Err(error) if may_pass(error.kind()) => return Err(error),
                Err(error) => {
                    tracing::warn!(topic, %error, "the source database does not tell the columns")
                }
            }
        }
        declare::from_schema(topic, row).ok_or_else(|| {
            Error::new(
                Kind::NotFound,
                "neither a source database nor a schema in the messages tells its columns",
            )
        })
    }

    /// `kafka.first_start = "latest"` is for topics that were there before us.
    async fn start_at_first_message(&self, job: &SilverJob) -> Result<()> {
        let mut starts = Checkpoint::default();
        for partition in self.partitions(&job.topic)? {
            let (low, _) = self.consumer.watermarks(&partition)?;
            starts.advance(partition.number, low, None);
        }
        let (ops, group) = (&self.config.clickhouse.ops, &self.config.kafka.group);
        checkpoints::write(&self.clickhouse, ops, group, &[(job.clone(), starts)]).await
    }

    fn partitions(&self, topic: &str) -> Result<Vec<Partition>> {
        let count = self.consumer.identify(topic)?.partitions;
        let partition = |number: u32| Partition {
            topic: topic.to_owned(),
            number: i32::try_from(number).unwrap_or(i32::MAX),
        };
        Ok((0..count).map(partition).collect())
    }

    /// What the topic's first messages are; nothing where there is none yet.
    fn shape_of(&mut self, topic: &str) -> Result<Option<Shape>> {
        let mut starts = Vec::new();
        for partition in self.partitions(topic)? {
            let (low, high) = self.consumer.watermarks(&partition)?;
            if high > low {
                starts.push((partition, low));
            }
        }
        if starts.is_empty() {
            return Ok(None);
        }
        self.consumer.assign_exactly(&starts)?;
        let until = Instant::now() + PATIENCE;
        let mut seen: Option<Shape> = None;
        let mut looked = 0;
        while looked < FIRST_MESSAGES && Instant::now() < until {
            for item in self.consumer.receive(Duration::from_millis(100)).items() {
                let Item::Message(message) = item else {
                    continue;
                };
                looked += 1;
                let Some(value) = message.value() else {
                    continue;
                };
                let shape = Shape::of(message.key(), value);
                let is_row = matches!(shape, Shape::Row(_));
                // one row makes a topic of rows, whatever stands before it
                if is_row || seen.is_none() {
                    seen = Some(shape);
                }
                if is_row {
                    looked = FIRST_MESSAGES;
                    break;
                }
            }
        }
        self.consumer.assign_exactly(&[])?;
        Ok(seen)
    }
}

/// A server that does not answer now, or another process at the same work.
fn may_pass(kind: Kind) -> bool {
    kind == Kind::LeaseHeld || kind.policy().retry != Retry::Never
}

/// The command that makes the job; what a message says is quoted for a shell.
fn command(name: &str, topic: &str, row: &RowShape) -> String {
    let from = match row.connector.as_deref() {
        Some("mysql" | "mariadb") => "mysql",
        _ => "postgres",
    };
    let table = match (&row.schema, &row.table) {
        (Some(schema), Some(table)) => format!("{schema}.{table}"),
        _ => topic
            .split_once('.')
            .map_or(topic, |(_, table)| table)
            .to_owned(),
    };
    format!(
        "bullion new silver {name} --from-{from} {} --topic {}",
        word(&table),
        word(topic)
    )
}

fn word(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match text.chars().all(plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// As a whole or not at all.
fn write(file: &std::path::Path, text: &str) -> Result<()> {
    let unfinished = file.with_extension("toml.new");
    let written =
        std::fs::write(&unfinished, text).and_then(|()| std::fs::rename(&unfinished, file));
    written.map_err(|error| {
        Error::new(Kind::File, format!("cannot write {}", file.display()))
            .because(error)
            .advise("`discover.mode = \"auto\"` needs a folder of jobs that ingest may write to")
    })
}
