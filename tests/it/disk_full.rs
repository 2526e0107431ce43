//! Matrix (b) 16: ClickHouse's disk is full. Nothing is written, nothing is lost, and it goes on when there is room.

use std::time::Duration;

use crate::support::engine::OwnEngine;
use crate::support::stream::Stream;
use crate::support::{PATIENCE, stays, wait_for};

/// Longer than a few tries.
const WHILE: Duration = Duration::from_secs(3);

#[allow(
    clippy::print_stderr,
    reason = "a test that could not run says so where its result is read"
)]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_stops_writing_loses_nothing_and_goes_on_when_there_is_room() {
    let folder = tempfile::tempdir().unwrap();
    let own = match OwnEngine::on_small_disk(folder.path(), 128).await {
        Ok(own) => own,
        Err(reason) => {
            eprintln!("SKIPPED: a small disk cannot be mounted here: {reason}");
            return;
        }
    };
    let stream = Stream::on(&own.engine, "disk_full", 1).await;
    let mut ingest = stream.project.start(&["ingest"]);
    stream.topic.insert(0..10);
    wait_for("the first rows", PATIENCE, || async {
        (stream.count().await == 10 && stream.committed() == 10).then_some(())
    })
    .await;

    fill(&own).await;
    stream.topic.insert(10..20);
    wait_for("ingest to say that it waits", PATIENCE, || async {
        let log = stream.project.log();
        let waits = log.contains("nothing is committed, trying again");
        let why = log.contains("NOT_ENOUGH_SPACE") || log.contains("No space left on device");
        (waits && why).then_some(())
    })
    .await;
    stays(WHILE, || async {
        assert_eq!(stream.committed(), 10, "nothing past what is durable");
    })
    .await;
    assert!(ingest.is_running(), "{}", stream.project.log());
    let letters = format!("SELECT count() FROM {}", stream.ops("dead_letters"));
    assert_eq!(own.engine.number(&letters).await, 0);

    own.engine.ask("DROP TABLE filler SYNC").await.unwrap();
    wait_for("all rows", PATIENCE, || async {
        (stream.count().await == 20 && stream.committed() == 20).then_some(())
    })
    .await;
    ingest.signal("TERM");
    assert_eq!(ingest.wait(PATIENCE), 143);
}

/// Leaves less than what ClickHouse sets aside for an insert, 1 MiB.
async fn fill(own: &OwnEngine) {
    let create =
        "CREATE TABLE filler (text String CODEC(NONE)) ENGINE = MergeTree ORDER BY tuple()";
    own.engine.ask(create).await.unwrap();
    own.engine.ask("SYSTEM STOP MERGES filler").await.unwrap();
    for kilobytes in [8_000, 1_000, 100] {
        let more = format!(
            "INSERT INTO filler SELECT randomString(100000) FROM numbers({})",
            kilobytes / 100
        );
        let mut refused = None;
        for _ in 0..40 {
            refused = own.engine.ask(&more).await.err();
            if refused.is_some() {
                break;
            }
        }
        let refused = refused.expect("the disk is full at last");
        let known = ["NOT_ENOUGH_SPACE", "No space left on device"];
        assert!(known.iter().any(|word| refused.contains(word)), "{refused}");
    }
}
