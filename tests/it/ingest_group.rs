//! Several processes of one group share the partitions, and nothing is lost or counted twice when they come and go.

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};

use crate::support::kafka::{Topic, producer};
use crate::support::stream::Stream;
use crate::support::{PATIENCE, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn the_classic_protocol_shares_partitions() {
    let quick = "session.timeout.ms=3000,heartbeat.interval.ms=500";
    members_come_and_go("group_classic", quick).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_protocol_shares_partitions() {
    members_come_and_go("group_newer", "group.protocol=consumer").await;
}

/// One is there, one joins late, one gets SIGTERM, one is killed: sum and count are right each time.
async fn members_come_and_go(name: &str, properties: &str) {
    let mut stream = Stream::new(name, 4).await;
    stream.project.set("BULLION_KAFKA_PROPERTIES", properties);
    let mut first = stream.project.start(&["ingest"]);
    stream.topic.insert(0..4_000);
    holds(&stream, 4_000).await;

    let late = stream.project.start(&["ingest"]);
    wait_for("the late one to have a share", PATIENCE, || {
        let log = stream.project.log();
        async move { (log.matches("partitions given up").count() >= 1).then_some(()) }
    })
    .await;
    stream.topic.insert(4_000..8_000);
    holds(&stream, 8_000).await;

    first.signal("TERM");
    stream.topic.insert(8_000..12_000);
    assert_eq!(first.wait(PATIENCE), 143);
    holds(&stream, 12_000).await;

    let mut heir = stream.project.start(&["ingest"]);
    late.kill();
    stream.topic.insert(12_000..16_000);
    holds(&stream, 16_000).await;
    heir.signal("TERM");
    assert_eq!(heir.wait(PATIENCE), 143);
    assert_eq!(stream.committed(), 16_000);
    stream.ends("noop");
}

async fn holds(stream: &Stream, rows: u64) {
    let sums = format!(
        "SELECT count(), sum(id) FROM {} WHERE id < {rows}",
        stream.silver("notes")
    );
    let expected = [format!("{rows}\t{}", rows * (rows - 1) / 2)];
    wait_for(&format!("{rows} rows"), PATIENCE, || async {
        (stream.engine.rows(&sums).await == expected).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn caught_up_means_the_whole_group_under_both_protocols() {
    for (name, properties) in [
        ("group_end_classic", "session.timeout.ms=6000"),
        ("group_end_newer", "group.protocol=consumer"),
    ] {
        let mut stream = Stream::new(name, 1).await;
        stream.project.set("BULLION_KAFKA_PROPERTIES", properties);
        stream.topic.insert(0..2_000);
        // more processes than partitions: one of them gets none, and waits for the other's work
        let mut members: Vec<_> = (0..3)
            .map(|_| stream.project.start(&["ingest", "--until-caught-up"]))
            .collect();
        for member in &mut members {
            assert_eq!(member.wait(PATIENCE), 0, "{name}\n{}", stream.project.log());
            assert_eq!((stream.count().await, stream.committed()), (2_000, 2_000));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_given_up_beside_a_member_whose_job_has_stopped() {
    let mut stream = Stream::new("group_beside_stopped", 1).await;
    let other = Topic::create("group_beside_other", 1).await;
    stream.declare("other", &other, "");
    stream.project.succeed(&["migrate"]);
    for _ in 0..2_000 {
        stream.topic.send(0, None, Some(b"garbage"));
    }
    stream.topic.flush();
    other.insert(0..10);
    // the first in the alphabet gets the first partition of each topic
    let named = |name| format!("client.id={name},partition.assignment.strategy=range");
    let own = named("a");
    let own = [("BULLION_KAFKA_PROPERTIES", own.as_str())];
    let mut stopped = stream.project.start_with(&["ingest"], &own);
    wait_for(
        "its job to stop and the other one to go on",
        PATIENCE,
        || async {
            let stopped = stream.project.log().contains("job stopped");
            (stopped && other.committed(&stream.group) == [10]).then_some(())
        },
    )
    .await;
    stream.project.set("BULLION_KAFKA_PROPERTIES", &named("b"));
    let said = stream.gives_up();
    let place = format!(
        "topic {} partition 0 is at offset 0 of 2000, member a-",
        stream.topic.name
    );
    assert!(said.contains(&place), "{said}");
    assert!(!said.contains(&other.name), "{said}");
    stopped.signal("TERM");
    assert_eq!(stopped.wait(PATIENCE), 143);
}

/// The other half of its change of key is in a partition of the job that has stopped.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_given_up_and_a_row_that_waits_is_no_dead_letter() {
    let mut stream = Stream::new("group_beside_half", 2).await;
    let job = format!(
        "topic = \"{}\"\nkey = [\"id\"]\n[columns]\nid = \"Int64\"\nnote = {{ type = \"Nullable(String)\", toast = \"keep\" }}\n",
        stream.topic.name
    );
    stream.project.write("jobs/silver/notes.toml", &job);
    let other = Topic::create("group_beside_going", 1).await;
    stream.declare("other", &other, "");
    stream.project.succeed(&["migrate"]);
    (0..2_000).for_each(|_| stream.topic.send(0, None, Some(b"garbage")));
    stream.topic.flush();
    let named = |name| format!("client.id={name},partition.assignment.strategy=range");
    let own = named("a");
    let own = [("BULLION_KAFKA_PROPERTIES", own.as_str())];
    let mut stopped = stream.project.start_with(&["ingest"], &own);
    wait_for("its job to stop", PATIENCE, || async {
        stream.project.log().contains("job stopped").then_some(())
    })
    .await;
    let moved = r#"{"before":null,"after":{"id":2,"note":"__debezium_unavailable_value"},"source":{"lsn":7},"op":"c"}"#;
    let record = BaseRecord::to(&stream.topic.name).partition(1);
    let header = Header {
        key: "__debezium.oldkey",
        value: Some(r#"{"id":1}"#),
    };
    let record = record.key(r#"{"id":2}"#).payload(moved);
    let sending = producer(&[]);
    let record = record.headers(OwnedHeaders::new().insert(header));
    assert!(sending.send(record).is_ok());
    sending.flush(PATIENCE).unwrap();

    stream.project.set("BULLION_KAFKA_PROPERTIES", &named("b"));
    let said = stream.gives_up();
    let place = format!(
        "topic {} partition 0 is at offset 0 of 2000",
        stream.topic.name
    );
    assert!(said.contains(&place), "{said}");
    let letters = format!(
        "SELECT count() FROM {} WHERE reason = 'toast_placeholder'",
        stream.ops("dead_letters")
    );
    assert_eq!(stream.engine.number(&letters).await, 0);
    stopped.signal("TERM");
    assert_eq!(stopped.wait(PATIENCE), 143);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_given_up_beside_a_member_that_sleeps_and_reached_when_it_wakes_up() {
    let mut stream = Stream::new("group_beside_asleep", 2).await;
    // the broker waits 45 s before it gives the partitions of a silent member away
    stream
        .project
        .set("BULLION_KAFKA_PROPERTIES", "group.protocol=consumer");
    let mut asleep = stream.project.start(&["ingest"]);
    stream.topic.insert(0..100);
    stream.holds(100).await;
    asleep.signal("STOP");
    stream.topic.insert(100..200);
    let said = stream.gives_up();
    assert!(
        said.contains(", member ") && said.contains(" on 127.0.0.1"),
        "{said}"
    );
    asleep.signal("CONT");
    let ended = stream.catch_up();
    assert_eq!(ended.exit, 0, "{}", ended.text());
    assert_eq!((stream.count().await, stream.committed()), (200, 200));
    asleep.signal("TERM");
    assert_eq!(asleep.wait(PATIENCE), 143);
}
