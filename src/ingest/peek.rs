//! `bullion ingest --peek N`: what would become of the next messages. Reads outside of the group and writes nothing.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::{received, start};
use crate::column::Rows;
use crate::config::Config;
use crate::envelope::{Decoder, Fate};
use crate::error::{Kind, Result};
use crate::job::SilverJob;
use crate::migrate::evolved;
use crate::registry::{self, Registry};
use crate::sink::checkpoints;
use crate::sink::clickhouse::ClickHouse;
use crate::source::{Consumer, Item};

/// A topic that has nothing new to show is left after this.
const PATIENCE: Duration = Duration::from_secs(10);

/// One line for each of the next `count` messages of each job.
pub async fn peek(config: &Config, jobs: &[SilverJob], count: usize) -> Result<Vec<String>> {
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    let registry = Registry::new(&config.registry)?;
    let mut lines = Vec::new();
    for job in jobs {
        let job = &evolved::job(&clickhouse, &config.clickhouse.silver, job).await?;
        let mut kafka = config.kafka.clone();
        // nothing is paused here, so that the end may be told: see `source::properties`
        let told = ("enable.partition.eof".to_owned(), "true".to_owned());
        kafka.properties.extend([told]);
        let mut consumer = Consumer::connect(&kafka)?;
        let partitions = consumer.identify(&job.topic)?.partitions;
        let group = &config.kafka.group;
        let known = checkpoints::read(&clickhouse, &config.clickhouse.ops, group, job).await;
        let known = match known {
            // before the first `bullion migrate`
            Err(error) if error.kind() == Kind::NotFound => BTreeMap::new(),
            known => known?,
        };
        let first_start = config.kafka.first_start;
        let mut starts = Vec::new();
        let mut left = BTreeMap::new();
        for next in start::of_job(&consumer, job, partitions, &known, first_start)? {
            if next.behind() > 0 {
                left.insert(next.partition.number, next.end);
                starts.push((next.partition, next.offset));
            }
        }
        consumer.assign_exactly(&starts)?;
        lines.extend(show(&mut consumer, registry.as_ref(), job, count, left).await?);
    }
    Ok(lines)
}

async fn show(
    consumer: &mut Consumer,
    registry: Option<&Registry>,
    job: &SilverJob,
    count: usize,
    mut left: BTreeMap<i32, i64>,
) -> Result<Vec<String>> {
    let mut decoder = Decoder::new(job);
    let mut rows = Rows::new(job);
    let mut lines = Vec::new();
    let until = Instant::now() + PATIENCE;
    while lines.len() < count && !left.is_empty() && Instant::now() < until {
        for item in consumer.receive(Duration::from_millis(100)).items() {
            match item {
                Item::Message(raw) if lines.len() < count => {
                    let header = received::header(&raw);
                    let mut message = received::message(&job.topic, &raw, &header);
                    message.timestamp = raw.timestamp();
                    registry::teach(registry, &mut decoder, job, |decoder| {
                        decoder.missing_schema(&message)
                    })
                    .await?;
                    let doubts = rows.doubts().len();
                    let fate = match decoder.decode(&message, &mut rows) {
                        Fate::Row if rows.doubts().len() > doubts => {
                            format!("row, keeping {} {}", kept(&rows), rows.show(rows.len() - 1))
                        }
                        Fate::Row => format!("row {}", rows.show(rows.len() - 1)),
                        Fate::Skip(skip) => format!("skip {}", skip.as_str()),
                        Fate::Reject(reject) => {
                            let column = reject
                                .column
                                .map_or(String::new(), |column| format!(" ({column})"));
                            format!("reject {}{column}", reject.reason.as_str())
                        }
                        Fate::Fail(error) => format!("fail {error}"),
                    };
                    lines.push(format!(
                        "{} partition {} offset {}: {fate}",
                        job.name,
                        raw.partition(),
                        raw.offset()
                    ));
                }
                Item::EndOfPartition { partition, .. } => {
                    left.remove(&partition);
                }
                Item::Message(_) | Item::Error { .. } => {}
            }
        }
    }
    Ok(lines)
}

/// Columns of the last row whose values are those that the row had before.
fn kept(rows: &Rows) -> String {
    let columns = rows.doubts().last().map_or(&[][..], |doubt| &doubt.columns);
    let name = |at: &usize| Some(rows.columns().get(*at)?.0.as_str());
    let names: Vec<&str> = columns.iter().filter_map(name).collect();
    names.join(", ")
}
