//! What ingest reads or writes is gone or replaced in mid-run: the job stops before it could lie, and says what is missing.

use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::support::lying_front::{About, Lie, LyingFront};
use crate::support::stream::Stream;
use crate::support::wait_for;
use crate::support::{PATIENCE, kafka};

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_dropped_in_mid_run_stops_its_job_and_is_not_made_again() {
    let stream = Stream::new("gone_table", 1).await;
    let mut ingest = stream.project.start(&["ingest"]);
    stream.topic.insert(0..10);
    stream.holds(10).await;
    let table = stream.silver("notes_versions");
    let drop = format!("DROP TABLE {table} SYNC");
    stream.engine.ask(&drop).await.unwrap();
    stream.topic.insert(10..20);
    assert_eq!(ingest.wait(PATIENCE), 2, "{}", stream.project.log());
    assert!(stream.project.log().contains("insert into"));
    assert_eq!(stream.committed(), 10);
    let exists = stream.engine.ask(&format!("EXISTS TABLE {table}")).await;
    assert_eq!(exists.unwrap().trim(), "0");
    let letters = format!("SELECT count() FROM {}", stream.ops("dead_letters"));
    assert_eq!(stream.engine.rows(&letters).await, ["0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_deleted_and_recreated_in_mid_run_stops_its_job_until_the_epoch_is_raised()
{
    let mut stream = Stream::new("gone_recreated", 2).await;
    let mut ingest = stream.project.start(&["ingest"]);
    stream.topic.insert(0..20);
    stream.holds(20).await;
    stream.topic.recreate(2).await;
    // more than the old topic held, so that no offset alone tells the two apart
    for id in 0..40 {
        stream.topic.change('c', id, "of the new topic");
    }
    stream.topic.flush();
    assert_eq!(ingest.wait(PATIENCE), 2, "{}", stream.project.log());
    let log = stream.project.log();
    assert!(log.contains("deleted and created again"), "{log}");
    assert!(log.contains("epoch = 2"), "{log}");
    stream.declare("notes", &stream.topic, "epoch = 2");
    stream.ends("done");
    let rows = stream.rows().await;
    assert_eq!(rows.len(), 40);
    assert!(rows.iter().all(|row| row.ends_with("of the new topic")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_beyond_the_end_of_a_truncated_log_stops_the_job() {
    let stream = Stream::new("gone_truncated", 1).await;
    stream.topic.insert(0..10);
    stream.ends("done");
    // as after an unclean election: the group stands where no message is any more
    let mut beyond = TopicPartitionList::new();
    let name = &stream.topic.name;
    beyond
        .add_partition_offset(name, 0, Offset::Offset(50))
        .unwrap();
    let member = kafka::member(&stream.group);
    member.commit(&beyond, CommitMode::Sync).unwrap();
    drop(member);
    stream.topic.insert(10..20);
    let ended = stream.catch_up();
    assert_eq!(ended.exit, 2, "{}", ended.text());
    let words = "ends at offset 20, but 50 was already ingested: it was truncated or recreated";
    assert!(ended.text().contains(words), "{}", ended.text());
    assert_eq!(stream.count().await, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_that_overtakes_a_running_job_stops_it_and_shows_the_gap() {
    let mut stream = Stream::new("gone_retention", 1).await;
    let front = LyingFront::before(&stream.engine);
    let project = &mut stream.project;
    project.set("BULLION_CLICKHOUSE_URL", &front.engine.url);
    // little is fetched ahead, so that what is deleted was not received yet
    let small = "queued.min.messages=1,queued.max.messages.kbytes=1,fetch.message.max.bytes=2000";
    project.set("BULLION_KAFKA_PROPERTIES", small);
    project.set("BULLION_MEMORY_BUDGET", "16MiB");
    project.set("BULLION_CLICKHOUSE_INSERT_TIMEOUT", "20s");
    let mut ingest = stream.project.start(&["ingest"]);
    stream.topic.insert(0..10);
    stream.holds(10).await;
    // blocked: nothing is committed, and after two batches and a full one nothing is fetched
    front.lie(About::Insert("notes_versions"), usize::MAX, Lie::Hang);
    let large = "x".repeat(1_000_000);
    for id in 10..30 {
        stream.topic.change('c', id, &large);
    }
    stream.topic.flush();
    wait_for("a full memory", PATIENCE, || async {
        (front.lies().len() >= 2).then_some(())
    })
    .await;
    stream.topic.delete_below(0, 29).await;
    stream.topic.insert(30..40);
    front.repent();
    assert_eq!(ingest.wait(PATIENCE), 1, "{}", stream.project.log());
    let log = stream.project.log();
    assert!(
        log.contains("to 29 are gone, retention has passed them"),
        "{log}"
    );
}
