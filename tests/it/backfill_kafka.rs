//! Silver filled from a bounded part of its topic, or of the archive of it.

use crate::support::stream::Stream;

fn backfill(stream: &Stream, arguments: &str, exit: i32) -> serde_json::Value {
    backfill_from("kafka", stream, arguments, exit)
}

fn backfill_from(source: &str, stream: &Stream, more: &str, exit: i32) -> serde_json::Value {
    let arguments = format!("backfill notes --source {source} {more} --output json");
    let arguments: Vec<&str> = arguments.split_whitespace().collect();
    stream.project.run(&arguments).exits(exit).json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_the_topic_is_read_again_chunk_by_chunk_under_the_same_versions() {
    let mut stream = Stream::new("backfill_kafka", 2).await;
    stream.topic.insert(0..300);
    for id in 0..50 {
        stream.topic.change('u', id, "updated");
    }
    stream.topic.send(0, None, Some(b"garbage"));
    stream.topic.flush();
    stream.ends("done");
    let sql = format!(
        "SELECT id, note, _version, _deleted, _partition FROM {} FINAL ORDER BY id",
        stream.silver("notes_versions")
    );
    let before = stream.engine.rows(&sql).await;
    let lose = format!("TRUNCATE TABLE {}", stream.silver("notes_versions"));
    stream.engine.ask(&lose).await.unwrap();

    assert_eq!(backfill(&stream, "--from 2100-01-01", 0)["status"], "noop");
    let planned = backfill(&stream, "--from 2020-01-01 --chunk 100 --dry-run", 0);
    assert_eq!(
        (&planned["chunks"], &planned["to_read"]),
        (&4.into(), &351.into())
    );
    assert_eq!(stream.count().await, 0);

    #[cfg(feature = "failpoints")]
    {
        stream.project.set("BULLION_FAILPOINT", "chunk-done:2:kill");
        backfill_killed(&stream);
        stream.project.unset("BULLION_FAILPOINT");
        // what comes meanwhile belongs to no chunk of it
        stream.topic.insert(300..310);
    }
    let rest = backfill(&stream, "--from 2020-01-01 --chunk 100", 0);
    #[cfg(feature = "failpoints")]
    assert_eq!(
        (&rest["finished_before"], &rest["read"]),
        (&2.into(), &151.into())
    );
    assert_eq!(rest["rejected"]["bad_json"], 1);
    assert_eq!(stream.engine.rows(&sql).await, before);
    let again = backfill(
        &stream,
        "--from 2020-01-01 --parallel 3 --chunk 60 --order newest",
        0,
    );
    assert!(again["read"].as_u64() >= Some(351), "{again}");
    let letters = format!("SELECT count() FROM {} FINAL", stream.ops("dead_letters"));
    assert_eq!(stream.engine.number(&letters).await, 1);
}

#[cfg(feature = "failpoints")]
fn backfill_killed(stream: &Stream) {
    let arguments = "backfill notes --source kafka --from 2020-01-01 --chunk 100 --parallel 1";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    assert_eq!(stream.project.run(&arguments).exit, -1);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_messages_stop_it_however_small_its_chunks_are() {
    let stream = Stream::new("backfill_bad", 1).await;
    (0..600).for_each(|_| stream.topic.send(0, None, Some(b"garbage")));
    stream.topic.flush();
    let arguments = "backfill notes --source kafka --chunk 400 --parallel 1";
    let arguments: Vec<&str> = arguments.split(' ').collect();
    let told = stream.project.run(&arguments).exits(1).text();
    assert!(told.contains("500 of the last 500 messages"), "{told}");
}

#[cfg(feature = "archive")]
#[tokio::test(flavor = "multi_thread")]
async fn what_kafka_has_forgotten_comes_from_the_archive_under_the_same_versions() {
    let mut stream = Stream::new("backfill_archive", 2).await;
    stream.project.set("BULLION_ARCHIVE_URL", "kept");
    let refused = backfill_from("archive", &stream, "", 2);
    assert!(
        refused["error"].as_str().unwrap().contains("has nothing"),
        "{refused}"
    );
    // each run ends its files
    stream.topic.insert(0..100);
    stream.topic.send(0, None, Some(b"garbage"));
    stream.topic.flush();
    stream.ends("done");
    stream.topic.change('d', 7, "x");
    for id in 0..50 {
        stream.topic.change('u', id, "updated");
    }
    stream.topic.flush();
    stream.ends("done");
    let sql = format!(
        "SELECT id, note, _version, _deleted, _partition FROM {} FINAL ORDER BY id",
        stream.silver("notes_versions")
    );
    let before = stream.engine.rows(&sql).await;
    let letters = format!("SELECT count() FROM {} FINAL", stream.ops("dead_letters"));
    for table in [stream.silver("notes_versions"), stream.ops("dead_letters")] {
        let lose = format!("TRUNCATE TABLE {table}");
        stream.engine.ask(&lose).await.unwrap();
    }
    for partition in [0, 1] {
        let end = stream.topic.end(partition).unwrap();
        stream.topic.delete_below(partition, end).await;
    }

    assert_eq!(backfill(&stream, "", 0)["status"], "noop");
    let late = backfill_from("archive", &stream, "--from 2100-01-01", 0);
    assert_eq!(late["status"], "noop");
    let range = "--from 2020-01-01 --to 2100-01-01 --chunk 30";
    let filled = backfill_from("archive", &stream, range, 0);
    assert_eq!(
        (&filled["read"], &filled["chunks"]),
        (&152.into(), &6.into()),
        "{filled}"
    );
    assert_eq!(stream.engine.rows(&sql).await, before);
    assert_eq!(stream.engine.number(&letters).await, 1);

    // what somebody took away is told, and the rest is read
    let kept = stream.project.path("kept");
    let day = std::fs::read_dir(kept.join(&stream.topic.name).join("epoch=1"));
    let day = day.unwrap().next().unwrap().unwrap().path();
    let first = format!("00000-{:020}-{:020}.parquet", 0, 51);
    std::fs::remove_file(day.join(first)).unwrap();
    let told = stream
        .project
        .succeed(&["backfill", "notes", "--source", "archive"]);
    assert!(
        told.stdout
            .contains("the archive of partition 0 begins at offset 51"),
        "{}",
        told.text()
    );
}
