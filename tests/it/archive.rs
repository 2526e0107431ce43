//! Raw messages are in the archive before their offsets are committed, each once, whatever dies.

#[cfg(feature = "archive")]
mod s3;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bullion::archive::{Archived, Place, Settings};
use bullion::source::Kept;
use rdkafka::consumer::Consumer as _;
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::support::kafka::{self, Topic};
use crate::support::stream::Stream;
use crate::support::{PATIENCE, wait_for};

const QUICK: &str = "session.timeout.ms=1500,heartbeat.interval.ms=300";

fn folder(stream: &Stream) -> PathBuf {
    stream.project.path("kept")
}

fn settings(folder: &Path) -> Settings {
    reading(Place::Folder(folder.to_owned()))
}

/// What is there is read alike, whatever wrote it.
fn reading(place: Place) -> Settings {
    Settings {
        place,
        topics: None,
        roll_after: Duration::from_secs(1),
        roll_bytes: 1,
    }
}

async fn archiving(name: &str, partitions: i32, roll_after: &str) -> Stream {
    let mut stream = Stream::new(name, partitions).await;
    stream.project.set("BULLION_ARCHIVE_URL", "kept");
    stream.project.set("BULLION_ARCHIVE_ROLL_AFTER", roll_after);
    stream.project.set("BULLION_KAFKA_PROPERTIES", QUICK);
    stream
}

async fn archived(settings: &Settings, topic: &Topic) -> Archived {
    Archived::list(settings, &topic.name, 1).await.unwrap()
}

/// Everything that the archive has of a topic.
async fn all_of(archived: &Archived) -> Vec<Kept> {
    let mut all = Vec::new();
    for partition in archived.partitions() {
        let (low, high) = archived.watermarks(partition).unwrap();
        assert_eq!(archived.holes(partition, low, high), []);
        let mut reader = archived.read(partition, low, high);
        while let Some(messages) = reader.next().await.unwrap() {
            all.extend(messages);
        }
    }
    all
}

/// The same as Kafka gives it, by a client that is not ours.
fn all_in_kafka(topic: &Topic, partitions: i32) -> Vec<Kept> {
    let reader = kafka::member("nobody");
    let mut all = Vec::new();
    for partition in 0..partitions {
        let end = topic.end(partition).unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&topic.name, partition, Offset::Beginning)
            .unwrap();
        reader.assign(&list).unwrap();
        let mut next = 0;
        while next < end {
            // nothing is also what it says when the partitions have changed
            let Some(message) = reader.poll(PATIENCE) else {
                continue;
            };
            let message = message.unwrap();
            next = message.offset() + 1;
            let headers = message.headers().into_iter().flat_map(|list| list.iter());
            all.push(Kept {
                partition,
                offset: message.offset(),
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                timestamp: message.timestamp().to_millis(),
                headers: headers
                    .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                    .collect(),
            });
        }
    }
    all
}

/// Names of a topic's files, of which no two of a partition overlap.
fn files(folder: &Path, topic: &Topic) -> Vec<String> {
    let mut names = Vec::new();
    let epoch = folder.join(&topic.name).join("epoch=1");
    for date in std::fs::read_dir(epoch).into_iter().flatten() {
        for file in std::fs::read_dir(date.unwrap().path()).unwrap() {
            names.push(file.unwrap().file_name().into_string().unwrap());
        }
    }
    without_overlap(names)
}

fn without_overlap(names: Vec<String>) -> Vec<String> {
    let stems = names
        .iter()
        .filter_map(|name| name.strip_suffix(".parquet"));
    let mut names: Vec<String> = stems.map(str::to_owned).collect();
    names.sort();
    let mut reached: BTreeMap<&str, &str> = BTreeMap::new();
    for name in &names {
        let mut parts = name.split('-');
        let mut part = || parts.next().unwrap();
        let (partition, from, to) = (part(), part(), part());
        let before = reached.insert(partition, to);
        assert!(before.is_none_or(|before| before <= from), "{names:?}");
    }
    names
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_before_or_after_a_file_is_written_loses_no_message_and_doubles_none() {
    let stream = archiving("archive_kill", 2, "200ms").await;
    let points = [
        "after-poll",
        "before-archive",
        "archived",
        "insert-acked",
        "before-commit",
        "during-commit",
    ];
    outlives_kills(&stream, &settings(&folder(&stream)), &points).await;
    files(&folder(&stream), &stream.topic);
}

/// Of a topic with two partitions.
#[cfg(feature = "failpoints")]
async fn outlives_kills(stream: &Stream, settings: &Settings, points: &[&str]) {
    for point in points {
        let failpoint = format!("{point}:1:kill");
        let environment = [("BULLION_FAILPOINT", failpoint.as_str())];
        let mut ingest = stream.project.start_with(&["ingest"], &environment);
        for id in 0..20 {
            stream.topic.change('u', id, point);
        }
        stream.topic.send(1, None, Some(b"garbage"));
        stream.topic.send(0, Some("tombstone"), None);
        stream.topic.flush();
        assert_eq!(ingest.wait(PATIENCE), 137, "{point}");
        // nothing is committed that is not kept
        let kept = archived(settings, &stream.topic).await;
        for (partition, committed) in (0..).zip(stream.topic.committed(&stream.group)) {
            let reached = kept.watermarks(partition).map_or(0, |(_, high)| high);
            assert!(committed <= reached, "{point}: {committed} > {reached}");
        }
    }
    stream.catch_up().exits(0);
    let kept = archived(settings, &stream.topic).await;
    assert_eq!(all_of(&kept).await, all_in_kafka(&stream.topic, 2));
    let ends: Vec<i64> = (0..2)
        .map(|partition| stream.topic.end(partition).unwrap())
        .collect();
    assert_eq!(stream.topic.committed(&stream.group), ends);
    stream.ends("noop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_cannot_be_written_is_waited_for_and_nothing_is_committed() {
    let stream = archiving("archive_lost", 1, "100ms").await;
    // where the file's folder should be
    let today = chrono::Utc::now().date_naive();
    let blocked = folder(&stream).join(&stream.topic.name).join("epoch=1");
    std::fs::create_dir_all(&blocked).unwrap();
    for day in [today, today.succ_opt().unwrap()] {
        std::fs::write(blocked.join(format!("date={day}")), "in the way").unwrap();
    }
    let mut ingest = stream.project.start(&["ingest"]);
    stream.topic.insert(0..10);
    wait_for("the rows, and a word of the archive", PATIENCE, || async {
        let said = stream.project.log().contains("archive: cannot write");
        (stream.count().await == 10 && said).then_some(())
    })
    .await;
    assert_eq!(stream.committed(), 0);
    for day in [today, today.succ_opt().unwrap()] {
        std::fs::remove_file(blocked.join(format!("date={day}"))).unwrap();
    }
    wait_for("the commit", PATIENCE, || async {
        (stream.committed() == 10).then_some(())
    })
    .await;
    ingest.signal("TERM");
    assert_eq!(ingest.wait(Duration::from_secs(5)), 143);
    let kept = archived(&settings(&folder(&stream)), &stream.topic).await;
    assert_eq!(all_of(&kept).await, all_in_kafka(&stream.topic, 1));
}

/// Two processes, one of which is asked to leave: files of an hour are ended when partitions go.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_that_moves_takes_its_file_along() {
    let stream = archiving("archive_moves", 4, "1h").await;
    let mut first = stream.project.start(&["ingest"]);
    stream.topic.insert(0..40);
    wait_for("the first rows", PATIENCE, || async {
        (stream.count().await == 40).then_some(())
    })
    .await;
    assert_eq!(stream.committed(), 0, "a file is under way");
    let mut second = stream.project.start(&["ingest"]);
    wait_for("what was given up to be committed", PATIENCE, || async {
        (stream.committed() > 0).then_some(())
    })
    .await;
    stream.topic.insert(40..80);
    wait_for("all rows", PATIENCE, || async {
        (stream.count().await == 80).then_some(())
    })
    .await;
    for ingest in [&mut first, &mut second] {
        ingest.signal("TERM");
        assert_eq!(ingest.wait(Duration::from_secs(5)), 143);
    }
    // a commit may have met a rebalance
    stream.catch_up().exits(0);
    assert_eq!(stream.committed(), 80);
    let kept = archived(&settings(&folder(&stream)), &stream.topic).await;
    assert_eq!(all_of(&kept).await, all_in_kafka(&stream.topic, 4));
    files(&folder(&stream), &stream.topic);
}

#[tokio::test(flavor = "multi_thread")]
async fn markers_of_transactions_are_no_hole_and_every_coordinate_is_kept() {
    let stream = archiving("archive_transactions", 1, "1h").await;
    let id = format!("archive-{}", std::process::id());
    let producer = kafka::producer(&[("transactional.id", &id)]);
    use rdkafka::producer::Producer as _;
    producer.init_transactions(PATIENCE).unwrap();
    for (id, commit) in [(1, true), (2, false), (3, true)] {
        producer.begin_transaction().unwrap();
        let value = kafka::change('c', id, "x");
        let headers = rdkafka::message::OwnedHeaders::new()
            .insert(rdkafka::message::Header {
                key: "h",
                value: Some("1"),
            })
            .insert(rdkafka::message::Header {
                key: "h",
                value: None::<&str>,
            });
        let record = rdkafka::producer::BaseRecord::<str, str>::to(&stream.topic.name)
            .partition(0)
            .key("k")
            .payload(&value)
            .headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(PATIENCE).unwrap();
        match commit {
            true => producer.commit_transaction(PATIENCE).unwrap(),
            false => producer.abort_transaction(PATIENCE).unwrap(),
        }
        if id == 1 {
            stream.ends("done");
        }
    }
    stream.ends("done");
    let kept = archived(&settings(&folder(&stream)), &stream.topic).await;
    let all = all_of(&kept).await;
    let offsets: Vec<i64> = all.iter().map(|message| message.offset).collect();
    assert_eq!(offsets, [0, 4]);
    assert_eq!(kept.watermarks(0), Some((0, stream.topic.end(0).unwrap())));
    assert_eq!(
        all[0].headers,
        [
            ("h".to_owned(), Some(b"1".to_vec())),
            ("h".to_owned(), None)
        ]
    );
}
