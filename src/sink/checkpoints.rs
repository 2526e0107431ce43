//! `ops.checkpoints` and `ops.topics`: what ingest must still know when Kafka has forgotten it.

use std::collections::BTreeMap;

use clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::clickhouse::{ClickHouse, literal, quote};
use crate::checkpoint::{Checkpoint, Position};
use crate::config::{Config, Kafka};
use crate::error::{Error, Kind, Result};
use crate::job::SilverJob;
use crate::source::{Consumer, Identity, Partition};

#[derive(Row, Serialize, Deserialize)]
struct Stored {
    group: String,
    topic: String,
    partition: i32,
    next_offset: i64,
    source_time: Option<i64>,
    version: u64,
}

#[derive(Row, Deserialize)]
struct Known {
    partition: i32,
    next_offset: i64,
    source_time: Option<i64>,
}

/// The highest wins, so a late write of an earlier position changes nothing.
fn version(epoch: u8, next_offset: i64) -> u64 {
    (u64::from(epoch) << 56) | u64::try_from(next_offset).unwrap_or(0)
}

pub async fn write(
    clickhouse: &ClickHouse,
    ops: &str,
    group: &str,
    positions: &[(SilverJob, Checkpoint)],
) -> Result<()> {
    let mut rows = Vec::new();
    for (job, checkpoint) in positions {
        rows.extend(checkpoint.iter().map(|(partition, position)| Stored {
            group: group.to_owned(),
            topic: job.topic.clone(),
            partition,
            next_offset: position.next_offset,
            source_time: position.source_time,
            version: version(job.epoch, position.next_offset),
        }));
    }
    if rows.is_empty() {
        return Ok(());
    }
    clickhouse
        .insert_rows(&format!("{}.checkpoints", quote(ops)), &rows)
        .await
}

/// What is known of a topic's partitions in the job's epoch; empty: this is the first start.
pub async fn read(
    clickhouse: &ClickHouse,
    ops: &str,
    group: &str,
    job: &SilverJob,
) -> Result<BTreeMap<i32, Position>> {
    let sql = format!(
        "SELECT partition, next_offset, source_time FROM {}.checkpoints FINAL \
         WHERE `group` = {} AND topic = {} AND bitShiftRight(version, 56) = {}",
        quote(ops),
        literal(group),
        literal(&job.topic),
        job.epoch
    );
    let known = clickhouse.all::<Known>(&sql).await?;
    let position = |known: Known| {
        let position = Position {
            next_offset: known.next_offset,
            source_time: known.source_time,
        };
        (known.partition, position)
    };
    Ok(known.into_iter().map(position).collect())
}

#[derive(Row, Serialize, Deserialize)]
struct Topic {
    topic: String,
    epoch: u8,
    cluster_id: String,
    topic_id: String,
    partitions: u32,
}

/// Compares the topic with what stands in `ops.topics`, or writes it there when the epoch is new.
pub async fn check_identity(
    clickhouse: &ClickHouse,
    config: &Config,
    job: &SilverJob,
    found: &Identity,
) -> Result<()> {
    let table = format!("{}.topics", quote(&config.clickhouse.ops));
    let sql = format!(
        "SELECT topic, epoch, cluster_id, topic_id, partitions FROM {table} FINAL WHERE topic = {} ORDER BY epoch",
        literal(&job.topic)
    );
    let known = clickhouse.all::<Topic>(&sql).await?;
    let latest = known.last().map_or(0, |topic| topic.epoch);
    if job.epoch < latest {
        let message = format!(
            "job {} declares epoch {}, but topic {} is at epoch {latest}",
            job.name, job.epoch, job.topic
        );
        return Err(Error::new(Kind::Mismatch, message).advise(format!(
            "write `epoch = {latest}` into jobs/silver/{}.toml",
            job.name
        )));
    }
    match known.iter().find(|topic| topic.epoch == job.epoch) {
        Some(topic) => {
            let known = Identity {
                cluster_id: topic.cluster_id.clone(),
                topic_id: topic.topic_id.clone(),
                partitions: topic.partitions,
            };
            same_identity(job, &known, found)
        }
        None => {
            let grown = |topic: &&Topic| {
                let same = topic.cluster_id == found.cluster_id && topic.topic_id == found.topic_id;
                same && !topic.topic_id.is_empty() && topic.partitions < found.partitions
            };
            if let Some(before) = known.last().filter(grown) {
                go_on(clickhouse, config, job, before).await?;
            }
            let topic = Topic {
                topic: job.topic.clone(),
                epoch: job.epoch,
                cluster_id: found.cluster_id.clone(),
                topic_id: found.topic_id.clone(),
                partitions: found.partitions,
            };
            clickhouse.insert_rows(&table, &[topic]).await
        }
    }
}

/// A topic with more partitions than before: the old ones go on where they are, in the new epoch, and are not read again. So
/// whatever was read before the keys moved loses against what comes after, in whichever partition. Where that was is kept
/// first: read again below it, old changes would have the new epoch.
async fn go_on(
    clickhouse: &ClickHouse,
    config: &Config,
    job: &SilverJob,
    before: &Topic,
) -> Result<()> {
    let (kafka, ops) = (config.kafka.clone(), quote(&config.clickhouse.ops));
    let (topic, count) = (job.topic.clone(), before.partitions);
    // librdkafka blocks
    let asked = tokio::task::spawn_blocking(move || committed(&kafka, &topic, count)).await;
    let committed = asked.map_err(Error::panicked)??;
    let sql = format!(
        "SELECT `group`, topic, partition, next_offset, source_time, version FROM {ops}.checkpoints FINAL \
         WHERE topic = {} AND bitShiftRight(version, 56) = {}",
        literal(&job.topic),
        before.epoch
    );
    let known = clickhouse.all::<Stored>(&sql).await?;
    let (starts, checkpoints) = begin(known, job.epoch, &config.kafka.group, &committed);
    if starts.is_empty() {
        return Ok(());
    }
    clickhouse
        .insert_rows(&format!("{ops}.epoch_starts"), &starts)
        .await?;
    clickhouse
        .insert_rows(&format!("{ops}.checkpoints"), &checkpoints)
        .await
}

/// What the group has committed of a topic's first partitions.
fn committed(kafka: &Kafka, topic: &str, partitions: u32) -> Result<BTreeMap<i32, i64>> {
    let all = 0..i32::try_from(partitions).unwrap_or(i32::MAX);
    let partition = |number| Partition {
        topic: topic.to_owned(),
        number,
    };
    let partitions: Vec<Partition> = all.map(partition).collect();
    let found = Consumer::connect(kafka)?.committed(&partitions)?;
    let known = found.into_iter();
    let known = known.filter_map(|found| Some((found.partition.number, found.offset?)));
    Ok(known.collect())
}

/// Where an epoch begins, and the same as its first checkpoints. The group itself goes on at what it has committed, which the
/// last checkpoint may lie some seconds behind. Other groups are known by theirs alone.
fn begin(
    known: Vec<Stored>,
    epoch: u8,
    group: &str,
    committed: &BTreeMap<i32, i64>,
) -> (Vec<EpochStart>, Vec<Stored>) {
    let checkpoints = known.into_iter().map(|known| {
        let ours = committed
            .get(&known.partition)
            .filter(|_| known.group == group);
        let next_offset = ours.map_or(known.next_offset, |next| known.next_offset.max(*next));
        Stored {
            next_offset,
            version: version(epoch, next_offset),
            ..known
        }
    });
    let checkpoints: Vec<Stored> = checkpoints.collect();
    let start = |at: &Stored| EpochStart {
        group: at.group.clone(),
        topic: at.topic.clone(),
        epoch,
        partition: at.partition,
        start_offset: at.next_offset,
    };
    (checkpoints.iter().map(start).collect(), checkpoints)
}

#[derive(Row, Serialize)]
struct EpochStart {
    group: String,
    topic: String,
    epoch: u8,
    partition: i32,
    start_offset: i64,
}

#[derive(Row, Deserialize)]
struct Start {
    partition: i32,
    start_offset: i64,
}

/// Where the job's epoch begins in partitions that were there before it; nothing in those that are read from their begin.
pub async fn epoch_starts(
    clickhouse: &ClickHouse,
    ops: &str,
    group: &str,
    job: &SilverJob,
) -> Result<BTreeMap<i32, i64>> {
    let sql = format!(
        "SELECT partition, start_offset FROM {}.epoch_starts FINAL WHERE `group` = {} AND topic = {} AND epoch = {}",
        quote(ops),
        literal(group),
        literal(&job.topic),
        job.epoch
    );
    let starts = match clickhouse.all::<Start>(&sql).await {
        // before `bullion migrate`
        Err(error) if error.kind() == Kind::NotFound => Vec::new(),
        starts => starts?,
    };
    let start = |start: Start| (start.partition, start.start_offset);
    Ok(starts.into_iter().map(start).collect())
}

/// What `ops.topics` holds of the job's topic in its epoch; nothing before its first start.
pub async fn known_identity(
    clickhouse: &ClickHouse,
    ops: &str,
    job: &SilverJob,
) -> Result<Option<Identity>> {
    let sql = format!(
        "SELECT topic, epoch, cluster_id, topic_id, partitions FROM {}.topics FINAL WHERE topic = {} AND epoch = {}",
        quote(ops),
        literal(&job.topic),
        job.epoch
    );
    let known = clickhouse.all::<Topic>(&sql).await?;
    Ok(known.into_iter().next().map(|topic| Identity {
        cluster_id: topic.cluster_id,
        topic_id: topic.topic_id,
        partitions: topic.partitions,
    }))
}

/// Whether the topic had fewer partitions in an earlier epoch: messages of then would be read under this epoch.
pub async fn has_grown(clickhouse: &ClickHouse, ops: &str, job: &SilverJob) -> Result<bool> {
    let sql = format!(
        "SELECT topic, epoch, cluster_id, topic_id, partitions FROM {}.topics FINAL WHERE topic = {}",
        quote(ops),
        literal(&job.topic)
    );
    let known = clickhouse.all::<Topic>(&sql).await?;
    let Some(now) = known.iter().find(|topic| topic.epoch == job.epoch) else {
        return Ok(false);
    };
    let smaller = |earlier: &Topic| {
        let same = earlier.cluster_id == now.cluster_id && earlier.topic_id == now.topic_id;
        same && earlier.epoch < now.epoch && earlier.partitions < now.partitions
    };
    Ok(known.iter().any(smaller))
}

/// Refuses a topic that is another one than the job's offsets belong to, and says how its new offsets may win.
pub fn same_identity(job: &SilverJob, known: &Identity, found: &Identity) -> Result<()> {
    let Some(what) = difference(known, found) else {
        return Ok(());
    };
    let message = format!(
        "topic {} is not the one job {} knows: {what}",
        job.topic, job.name
    );
    let grown = known.partitions < found.partitions && known.topic_id == found.topic_id;
    let why = match grown {
        true => "read docs/faults.md, *More partitions*, before you",
        false => "its offsets start over:",
    };
    Err(Error::new(Kind::Mismatch, message).advise(format!(
        "{why} write `epoch = {}` into jobs/silver/{}.toml; later changes then win over every earlier one",
        job.epoch.saturating_add(1),
        job.name
    )))
}

fn difference(known: &Identity, found: &Identity) -> Option<String> {
    if known.cluster_id != found.cluster_id {
        return Some(format!(
            "it lives on cluster {} and not on {}",
            found.cluster_id, known.cluster_id
        ));
    }
    if known.partitions != found.partitions {
        return Some(format!(
            "it has {} partitions and not {}, so keys have moved between them",
            found.partitions, known.partitions
        ));
    }
    (known.topic_id != found.topic_id).then(|| "it was deleted and created again".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_begins_where_the_group_goes_on_and_not_where_its_last_checkpoint_was() {
        let known = |group: &str, partition, next_offset| Stored {
            group: group.to_owned(),
            topic: "t".to_owned(),
            partition,
            next_offset,
            source_time: None,
            version: version(1, next_offset),
        };
        let known = vec![known("g", 0, 90), known("g", 1, 7), known("other", 0, 40)];
        let (starts, checkpoints) = begin(known, 2, "g", &BTreeMap::from([(0, 100), (1, 3)]));
        let starts: Vec<(&str, i32, i64)> = starts
            .iter()
            .map(|start| (start.group.as_str(), start.partition, start.start_offset))
            .collect();
        assert_eq!(starts, [("g", 0, 100), ("g", 1, 7), ("other", 0, 40)]);
        let next: Vec<(i64, u64)> = checkpoints
            .iter()
            .map(|at| (at.next_offset, at.version))
            .collect();
        let expected = [100, 7, 40].map(|next| (next, version(2, next)));
        assert_eq!(next, expected);
    }

    #[test]
    fn a_topic_is_another_one_when_cluster_id_or_partitions_differ() {
        let found = |cluster: &str, id: &str, partitions| Identity {
            cluster_id: cluster.to_owned(),
            topic_id: id.to_owned(),
            partitions,
        };
        let known = found("c", "i", 3);
        assert_eq!(difference(&known, &found("c", "i", 3)), None);
        assert!(
            difference(&known, &found("d", "i", 3))
                .unwrap()
                .contains("cluster")
        );
        assert!(
            difference(&known, &found("c", "i", 6))
                .unwrap()
                .contains("6 partitions")
        );
        assert!(
            difference(&known, &found("c", "j", 3))
                .unwrap()
                .contains("created again")
        );
    }
}
