//! From where ingest goes on when Kafka has changed behind its back.

use crate::support::kafka::{self, Topic};
use crate::support::stream::Stream;
use crate::support::{PATIENCE, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_recreated_topic_stops_the_job_until_its_epoch_is_raised() {
    let mut stream = Stream::new("start_recreated", 1).await;
    stream.topic.insert(0..20);
    stream.topic.change('u', 1, "of the old topic");
    stream.topic.flush();
    stream.ends("done");
    stream.topic.recreate(1).await;
    stream.topic.change('u', 1, "of the new topic");
    stream.topic.flush();
    let ended = stream.catch_up();
    assert_eq!(ended.exit, 2, "{}", ended.text());
    assert!(
        ended.text().contains("deleted and created again"),
        "{}",
        ended.text()
    );
    assert!(ended.json()["next"].as_str().unwrap().contains("epoch = 2"));
    assert!(
        stream
            .rows()
            .await
            .contains(&"1\tof the old topic".to_owned())
    );

    stream.declare("notes", &stream.topic, "epoch = 2");
    stream.ends("done");
    let rows = stream.rows().await;
    assert!(rows.contains(&"1\tof the new topic".to_owned()), "{rows:?}");
    assert_eq!(rows.len(), 20);
    stream.ends("noop");
    // back to the old number is refused, too
    stream.declare("notes", &stream.topic, "");
    assert_eq!(stream.catch_up().exit, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_number_of_partitions_stops_the_job_at_the_start_and_in_mid_run() {
    let mut stream = Stream::new("start_partitions", 1).await;
    let quick = "topic.metadata.refresh.interval.ms=1000";
    stream.project.set("BULLION_KAFKA_PROPERTIES", quick);
    stream.topic.insert(0..20);
    let mut ingest = stream.project.start(&["ingest"]);
    wait_for("rows", PATIENCE, || async {
        (stream.count().await == 20).then_some(())
    })
    .await;
    stream.topic.grow(3).await;
    assert_eq!(ingest.wait(PATIENCE), 2, "{}", stream.project.log());
    assert!(
        stream
            .project
            .log()
            .contains("it has 3 partitions and not 1")
    );
    let ended = stream.catch_up();
    assert_eq!(ended.exit, 2, "{}", ended.text());
    assert!(
        ended.text().contains("it has 3 partitions and not 1"),
        "{}",
        ended.text()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_move_to_new_partitions_are_in_order_in_the_next_epoch() {
    let stream = Stream::new("start_grown", 1).await;
    // far more messages in the old partition than the new ones will have
    for wave in 0..10 {
        for id in 0..9 {
            stream.topic.change('u', id, &format!("old {wave}"));
        }
    }
    stream.topic.flush();
    stream.ends("done");
    stream.topic.grow(3).await;
    // a producer that knows them
    let grown = Topic::known(&stream.topic.name, 3);
    wait_for("the new partitions", PATIENCE, || async {
        (grown.end(2) == Some(0)).then_some(())
    })
    .await;
    (0..6).for_each(|id| grown.change('u', id, "new"));
    (6..9).for_each(|id| grown.change('d', id, "gone"));
    grown.flush();
    wait_for("the job to stop", PATIENCE, || async {
        (stream.catch_up().exit == 2).then_some(())
    })
    .await;
    // as a kill leaves it: what is committed last is not in the last checkpoint
    let checkpoints = stream.ops("checkpoints");
    for sql in [
        format!("TRUNCATE TABLE {checkpoints}"),
        format!(
            "INSERT INTO {checkpoints} (`group`, topic, partition, next_offset, version) VALUES ('{}', '{}', 0, 80, bitShiftLeft(toUInt64(1), 56) + 80)",
            stream.group, stream.topic.name
        ),
    ] {
        stream.engine.ask(&sql).await.unwrap();
    }
    stream.declare("notes", &stream.topic, "epoch = 2");
    let ended = stream.ends("done");
    let read = &ended.json()["jobs"]["notes"]["messages"];
    assert_eq!(read, 9, "the old ones are not read again");
    let rows: Vec<String> = (0..6).map(|id| format!("{id}\tnew")).collect();
    assert_eq!(stream.rows().await, rows);
    stream.ends("noop");
    // and when Kafka has forgotten the group
    kafka::forget_group(&stream.group).await;
    stream.ends("noop");
    assert_eq!(stream.rows().await, rows);
    // old changes do not come back with the new epoch
    let replay = |from: &[&str]| stream.project.run(&[&["replay", "notes"], from].concat());
    let refused = replay(&["--from-start"]).exits(2);
    let begin = "begin at 0:90,1:0,2:0";
    assert!(refused.text().contains(begin), "{}", refused.text());
    replay(&["--from-offset", "0:90,1:0,2:0"]).exits(0);
    assert_eq!(stream.rows().await, rows);
}

#[tokio::test(flavor = "multi_thread")]
async fn retention_that_has_passed_the_committed_offset_shows_the_gap() {
    let stream = Stream::new("start_gap", 1).await;
    stream.topic.insert(0..10);
    stream.ends("done");
    stream.topic.insert(10..50);
    stream.topic.delete_below(0, 30).await;
    let ended = stream.catch_up();
    assert_eq!(ended.exit, 1, "{}", ended.text());
    assert!(
        ended
            .text()
            .contains("messages from offset 10 to 30 are gone"),
        "{}",
        ended.text()
    );
    assert_eq!((stream.count().await, stream.committed()), (10, 10));
    assert!(ended.json()["next"].as_str().unwrap().contains("`epoch`"));
    // what is left is read in the next epoch; what is gone has to come from the source
    stream.declare("notes", &stream.topic, "epoch = 2");
    stream.ends("done");
    assert_eq!((stream.count().await, stream.committed()), (30, 50));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_that_kafka_has_forgotten_goes_on_from_the_checkpoint() {
    let stream = Stream::new("start_forgotten", 2).await;
    stream.topic.insert(0..100);
    stream.ends("done");
    kafka::forget_group(&stream.group).await;
    assert_eq!(stream.committed(), 0);
    stream.topic.insert(100..130);
    let ended = stream.ends("done");
    assert_eq!(
        ended.json()["jobs"]["notes"]["messages"],
        30,
        "{}",
        ended.text()
    );
    assert_eq!((stream.count().await, stream.committed()), (130, 130));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_that_is_killed_does_not_go_on_at_what_the_group_had_committed_before() {
    let mut stream = Stream::new("start_emptied", 1).await;
    // a member that was killed is not waited for
    let quick = "session.timeout.ms=1500,heartbeat.interval.ms=300";
    stream.project.set("BULLION_KAFKA_PROPERTIES", quick);
    stream.topic.insert(0..50);
    stream.ends("done");
    for table in [
        stream.silver("notes_versions"),
        stream.ops("checkpoints"),
        stream.ops("topics"),
    ] {
        let emptied = stream.engine.ask(&format!("TRUNCATE TABLE {table}")).await;
        emptied.unwrap();
    }
    let environment = [("BULLION_FAILPOINT", "before-commit:1:kill")];
    let mut ingest = stream.project.start_with(&["ingest"], &environment);
    assert_eq!(ingest.wait(PATIENCE), 137, "{}", stream.project.log());
    let silver = stream.silver("notes_versions");
    let emptied = stream.engine.ask(&format!("TRUNCATE TABLE {silver}")).await;
    emptied.unwrap();
    stream.ends("done");
    assert_eq!((stream.count().await, stream.committed()), (50, 50));
}
