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
use crate::error::{Error, Kind, Result};
use crate::job::{self, SilverJob};
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
                    found.push(self.found(&topic, &row).await);
                    self.settled.insert(topic);
                }
            }
        }
        Ok(found)
    }

    async fn found(&mut self, topic: &str, row: &RowShape) -> Found {
        let name = declare::name_of(topic, row, |name| self.is_taken(name));
        let name = name.unwrap_or_else(|| "NAME".to_owned());
        let command = command(&name, topic, row);
        let mut job = None;
        if self.config.discover.mode == DiscoverMode::Auto {
            match self.adopt(&name, topic, row).await {
                Ok(made) => job = Some(made),
                Err(error) => tracing::warn!(topic, %error, "no job was made for it"),
            }
        }
        match &job {
            Some(job) => tracing::warn!(
                topic,
                job = job.name,
                "a new topic: its job was written to jobs/silver/{}.toml, and it is ingested from its first message",
                job.name
            ),
            None => tracing::warn!(
                topic,
                command,
                "a topic matches discover.topics and no job takes it"
            ),
        }
        Found {
            topic: topic.to_owned(),
            command,
            job,
        }
    }

    fn is_taken(&self, name: &str) -> bool {
        self.names.contains(name) || self.file_of(name).exists()
    }

    fn file_of(&self, name: &str) -> PathBuf {
        self.config.jobs.join("silver").join(format!("{name}.toml"))
    }

    /// The table first, the file last: until the file is there, the next look does all of it again.
    async fn adopt(&mut self, name: &str, topic: &str, row: &RowShape) -> Result<SilverJob> {
        let text = self.declaration(topic, row).await?;
        let file = self.file_of(name);
        let job = job::parse_silver(name, &file, &text)?;
        let names = &self.config.clickhouse;
        for change in migrate::silver::plan(&self.clickhouse, &names.silver, &job).await? {
            self.clickhouse.execute(&change.sql).await?;
        }
        if self.config.kafka.first_start == FirstStart::Latest {
            self.start_at_first_message(&job).await?;
        }
        write(&file, &text)?;
        self.names.insert(name.to_owned());
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
