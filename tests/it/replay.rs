//! `bullion replay`: Kafka read again, the same rows under the same versions.

use crate::support::kafka::key;
use crate::support::stream::Stream;
use crate::support::{PATIENCE, wait_for};

fn replay(stream: &Stream, arguments: &str, exit: i32) -> serde_json::Value {
    let arguments = format!("replay notes {arguments} --output json");
    let arguments: Vec<&str> = arguments.split(' ').collect();
    stream.project.run(&arguments).exits(exit).json()
}

/// Everything a row is, its version included.
async fn versions(stream: &Stream) -> Vec<String> {
    let sql = format!(
        "SELECT id, note, _version, _deleted, _partition FROM {} FINAL ORDER BY id",
        stream.silver("notes_versions")
    );
    stream.engine.rows(&sql).await
}

async fn lose_all(stream: &Stream) {
    let sql = format!("TRUNCATE TABLE {}", stream.silver("notes_versions"));
    stream.engine.ask(&sql).await.unwrap();
    assert_eq!(stream.count().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_clickhouse_lost_come_back_as_they_were() {
    let stream = Stream::new("replay_lost", 2).await;
    stream.topic.insert(0..200);
    for id in 0..50 {
        stream.topic.change('u', id, "updated");
    }
    stream.topic.change('d', 60, "x");
    stream.topic.send(0, Some(&key(60)), None);
    stream.topic.send(0, None, Some(b"garbage"));
    stream.topic.flush();
    stream.ends("done");
    let (before, committed) = (versions(&stream).await, stream.committed());
    assert_eq!(before.len(), 199);

    // nothing lost: nothing changes
    replay(&stream, "--from-start", 0);
    assert_eq!(versions(&stream).await, before);

    lose_all(&stream).await;
    let planned = replay(&stream, "--from-start --dry-run", 0);
    assert_eq!(planned["status"], "planned");
    assert_eq!(stream.count().await, 0);
    let replayed = replay(&stream, "--from-start", 0);
    assert_eq!(
        (&replayed["messages"], &replayed["rejects"]["bad_json"]),
        (&253.into(), &1.into())
    );
    assert_eq!(versions(&stream).await, before);
    assert_eq!(stream.committed(), committed, "the group is not touched");
    let letters = format!("SELECT count() FROM {} FINAL", stream.ops("dead_letters"));
    assert_eq!(stream.engine.number(&letters).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_asked_offsets_and_times_are_read() {
    let stream = Stream::new("replay_ranges", 2).await;
    stream.topic.insert(0..200);
    stream.ends("done");
    lose_all(&stream).await;
    let some = replay(&stream, "--from-offset 1:10 --until-offset 1:15", 0);
    assert_eq!(some["messages"], 5);
    let ids = format!("SELECT id FROM {} ORDER BY id", stream.silver("notes"));
    assert_eq!(
        stream.engine.rows(&ids).await,
        ["21", "23", "25", "27", "29"]
    );
    assert_eq!(
        replay(&stream, "--from-time 2999-01-01T00:00:00Z", 2)["status"],
        "failed"
    );
    assert_eq!(
        replay(&stream, "--from-time 2100-01-01", 0)["status"],
        "noop"
    );
    assert_eq!(
        replay(&stream, "--from-time 2020-01-01 --until-time 2020-01-02", 0)["status"],
        "noop"
    );
    assert_eq!(
        replay(&stream, "--from-time 2020-01-01", 0)["messages"],
        200
    );
    assert_eq!(stream.count().await, 200);

    for wrong in [
        "--from-offset 2:0",
        "--from-offset x",
        "--from-start --from-time 2020-01-01",
        "",
    ] {
        let ended = stream.project.run(
            &["replay", "notes"]
                .into_iter()
                .chain(wrong.split_whitespace())
                .collect::<Vec<_>>(),
        );
        assert_eq!(ended.exit, 2, "{wrong}: {}", ended.text());
    }

    stream.topic.delete_below(0, 40).await;
    let gone = replay(&stream, "--from-offset 0:7", 1);
    let error = gone["error"].as_str().unwrap();
    assert!(
        error.contains("messages from offset 7 to 40 are gone"),
        "{error}"
    );
    assert!(gone["next"].as_str().unwrap().contains("0:40"));
    assert_eq!(replay(&stream, "--from-start", 0)["messages"], 160);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_beside_ingest_changes_nothing_even_when_it_is_killed() {
    let stream = Stream::new("replay_live", 2).await;
    stream.topic.insert(0..20_000);
    let mut ingest = stream.project.start(&["ingest"]);
    wait_for("the rows", PATIENCE, || async {
        (stream.count().await == 20_000).then_some(())
    })
    .await;
    for id in 0..2_000 {
        stream.topic.change('u', id, "newer");
    }
    stream.topic.flush();
    let killed = stream.project.start(&["replay", "notes", "--from-start"]);
    let whole = replay(&stream, "--from-start", 0);
    assert!(whole["messages"].as_u64().unwrap() >= 20_000);
    killed.kill();
    let newer = format!(
        "SELECT count() FROM {} WHERE note = 'newer'",
        stream.silver("notes")
    );
    wait_for("the updates", PATIENCE, || async {
        (stream.engine.number(&newer).await == 2_000).then_some(())
    })
    .await;
    assert_eq!(stream.count().await, 20_000);
    assert!(ingest.is_running());
    ingest.signal("TERM");
    assert_eq!(ingest.wait(PATIENCE), 143);
    assert_eq!(stream.committed(), 22_000);
}
