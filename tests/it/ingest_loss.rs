//! Why offsets are committed by hand: the same kill with and without `enable.auto.commit`.

use std::time::{Duration, Instant};

use crate::support::engine::OwnEngine;
use crate::support::stream::Stream;
use crate::support::{PATIENCE, stays, wait_for};

/// Waves of rows while ClickHouse is frozen; then ingest is killed and a new one reads what is left.
async fn survivors_of_a_kill(name: &str, properties: &str) -> (u64, u64) {
    let folder = tempfile::tempdir().unwrap();
    let own = OwnEngine::start(folder.path().join("engine")).await;
    let mut stream = Stream::on(&own.engine, name, 1).await;
    stream.project.set("BULLION_KAFKA_PROPERTIES", properties);
    stream.project.set("BULLION_UNSAFE_KAFKA_PROPERTIES", "1");
    let auto = properties.contains("enable.auto.commit=true");
    stream.topic.insert(0..10);
    let ingest = stream.project.start(&["ingest"]);
    wait_for("the first rows", PATIENCE, || async {
        (stream.count().await == 10).then_some(())
    })
    .await;
    wait_for("their commit", PATIENCE, || async {
        (stream.committed() == 10).then_some(())
    })
    .await;
    own.signal("STOP");
    let mut sent = 10;
    // the first two inserts are under way to the frozen engine; what comes later is in ingest's memory alone
    let waves = Instant::now() + Duration::from_secs(3);
    while Instant::now() < waves {
        stream.topic.insert(sent..sent + 10);
        sent += 10;
        if auto {
            wait_for("the commit of nothing", PATIENCE, || async {
                (stream.committed() == sent).then_some(())
            })
            .await;
        } else {
            stays(Duration::from_millis(100), || async {
                assert_eq!(stream.committed(), 10)
            })
            .await;
        }
    }
    ingest.kill();
    own.signal("CONT");
    stream.project.unset("BULLION_KAFKA_PROPERTIES");
    stream.project.unset("BULLION_UNSAFE_KAFKA_PROPERTIES");
    assert_eq!(stream.catch_up().exit, 0);
    (u64::try_from(sent).unwrap(), stream.count().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_auto_commit_the_same_kill_loses_rows_and_without_it_none() {
    let (sent, found) = survivors_of_a_kill("faults_manual", "").await;
    assert_eq!(found, sent);
    let auto = "enable.auto.commit=true,enable.auto.offset.store=true,auto.commit.interval.ms=50";
    let (sent, found) = survivors_of_a_kill("faults_auto", auto).await;
    assert!(
        found < sent,
        "all of {sent} rows survived, so this test shows nothing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn auto_commit_is_refused() {
    let mut stream = Stream::new("faults_refused", 1).await;
    stream
        .project
        .set("BULLION_KAFKA_PROPERTIES", "enable.auto.commit=true");
    let ended = stream.project.run(&["ingest", "--until-caught-up"]);
    assert_eq!(ended.exit, 2, "{}", ended.text());
    assert!(
        ended.stderr.contains(
            "`kafka.properties.enable.auto.commit` cannot be set: offsets are committed only after"
        ),
        "{}",
        ended.text()
    );
}
