//! What ingest does when its parts fail: it waits for what comes back and stops what needs a person.

use std::time::Duration;

use crate::support::engine::OwnEngine;
use crate::support::kafka::Topic;
use crate::support::stream::Stream;
use crate::support::{PATIENCE, stays, wait_for};

/// Longer than both the session and the time between two polls that the test allows.
const LOST: Duration = Duration::from_secs(9);

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_clickhouse_is_waited_for_without_leaving_the_group_or_committing() {
    let folder = tempfile::tempdir().unwrap();
    let mut own = OwnEngine::start(folder.path().join("engine")).await;
    let mut stream = Stream::on(&own.engine, "faults_clickhouse", 2).await;
    let impatient = "session.timeout.ms=6000,max.poll.interval.ms=7000";
    stream.project.set("BULLION_KAFKA_PROPERTIES", impatient);
    stream.topic.insert(0..100);
    let mut ingest = stream.project.start(&["ingest"]);
    let holds = async |rows: u64| {
        wait_for(&format!("{rows} rows"), PATIENCE, || async {
            (stream.count().await == rows).then_some(())
        })
        .await;
    };
    holds(100).await;
    wait_for("the commit", PATIENCE, || async {
        (stream.committed() == 100).then_some(())
    })
    .await;
    let only_once =
        |log: String| log.matches("partitions assigned").count() == 1 && !log.contains("were lost");

    // frozen: connections stay open and nothing answers
    own.signal("STOP");
    stream.topic.insert(100..200);
    stays(LOST, || async { assert_eq!(stream.committed(), 100) }).await;
    assert!(ingest.is_running());
    own.signal("CONT");
    holds(200).await;

    // killed: connections are refused
    own.kill();
    stream.topic.insert(200..300);
    stays(LOST, || async { assert_eq!(stream.committed(), 200) }).await;
    assert!(ingest.is_running());
    own.restart().await;
    holds(300).await;
    wait_for("the commit", PATIENCE, || async {
        (stream.committed() == 300).then_some(())
    })
    .await;
    assert!(only_once(stream.project.log()), "{}", stream.project.log());
    ingest.signal("TERM");
    assert_eq!(ingest.wait(PATIENCE), 143);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_job_stops_and_the_others_go_on() {
    let stream = Stream::new("faults_one_job", 1).await;
    let garbage = Topic::create("faults_garbage", 1).await;
    let mut doomed = Topic::create("faults_doomed", 1).await;
    let wrong = Topic::create("faults_wrong_key", 1).await;
    for (job, topic) in [
        ("garbage", &garbage),
        ("doomed", &doomed),
        ("wrong", &wrong),
    ] {
        stream.declare(job, topic, "");
    }
    stream.project.succeed(&["migrate"]);
    let other = stream.silver("wrong_versions");
    for sql in [
        format!("DROP TABLE {other}"),
        format!(
            "CREATE TABLE {other} (id Int64, note String, _version UInt64, _deleted UInt8) ENGINE = ReplacingMergeTree(_version, _deleted) ORDER BY note"
        ),
    ] {
        stream.engine.ask(&sql).await.unwrap();
    }
    stream.topic.insert(0..100);
    doomed.insert(0..10);
    for _ in 0..2_000 {
        garbage.send(0, None, Some(b"garbage"));
    }
    garbage.flush();
    let mut ingest = stream.project.start(&["ingest"]);
    wait_for("the good rows", PATIENCE, || async {
        (stream.count().await == 100).then_some(())
    })
    .await;
    wait_for("the doomed rows", PATIENCE, || async {
        (stream.count_of("doomed").await == 10).then_some(())
    })
    .await;
    let says = async |words: &str| {
        wait_for(words, PATIENCE, || async {
            stream.project.log().contains(words).then_some(())
        })
        .await;
    };
    says("of topic faults_garbage").await;
    says("wrong_versions has ORDER BY note").await;
    doomed.delete().await;
    says("job stopped, its topic is paused job=\"doomed\"").await;
    // the rest of the process has not noticed
    stream.topic.insert(100..200);
    wait_for("more good rows", PATIENCE, || async {
        (stream.count().await == 200).then_some(())
    })
    .await;
    assert!(ingest.is_running());
    ingest.signal("TERM");
    assert_eq!(ingest.wait(PATIENCE), 143);
    assert_eq!(
        garbage.committed(&stream.group),
        [0],
        "the breaker's messages come again"
    );
    let letters = format!(
        "SELECT count() > 0 FROM {} WHERE job = 'garbage'",
        stream.ops("dead_letters")
    );
    assert_eq!(
        stream.engine.rows(&letters).await,
        ["1"],
        "a person can look at some of them"
    );

    // and a run that ends by itself names each of them
    std::fs::remove_file(stream.project.path("jobs/silver/doomed.toml")).unwrap();
    let ended = stream.catch_up();
    let result = ended.json();
    assert_eq!(ended.exit, 1, "{}", ended.text());
    assert_eq!(result["status"], "failed");
    assert_eq!(result["jobs"]["notes"]["failed"], serde_json::Value::Null);
    assert!(
        result["jobs"]["garbage"]["failed"]
            .as_str()
            .unwrap()
            .contains("were rejected")
    );
    assert!(
        result["jobs"]["wrong"]["failed"]
            .as_str()
            .unwrap()
            .contains("ORDER BY")
    );
}
