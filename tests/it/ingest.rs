//! Ingest: what becomes of each message, and how a run ends.

use std::time::{Duration, Instant};

use rdkafka::producer::Producer as _;

use crate::support::kafka::{self, change, change_with_schema, key};
use crate::support::stream::Stream;
use crate::support::{PATIENCE, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn garbage_becomes_one_dead_letter_with_its_bytes_however_often_it_is_delivered() {
    let stream = Stream::new("ingest_garbage", 1).await;
    stream.topic.change('c', 1, "before");
    stream
        .topic
        .send(0, Some("\u{1f600} key"), Some(b"{\"op\": \xff\0 garbage"));
    stream.topic.change('c', 2, "after");
    stream.topic.flush();
    stream.ends("done");
    assert_eq!(stream.rows().await, ["1\tbefore", "2\tafter"]);
    let letters = format!(
        "SELECT job, topic, partition, offset, version, reason, key, hex(value) FROM {} FINAL",
        stream.ops("dead_letters")
    );
    let expected = [format!(
        "notes\t{}\t0\t1\t{}\tbad_utf8\t\u{1f600} key\t7B226F70223A20FF002067617262616765",
        stream.topic.name,
        (1_u64 << 56) | (1 << 8)
    )];
    assert_eq!(stream.engine.rows(&letters).await, expected);
    assert_eq!(stream.committed(), 3);

    // the group and the checkpoints are forgotten: everything is delivered again
    kafka::forget_group(&stream.group).await;
    let forget = format!("TRUNCATE TABLE {}", stream.ops("checkpoints"));
    stream.engine.ask(&forget).await.unwrap();
    let again = stream.ends("done");
    assert_eq!(again.json()["jobs"]["notes"]["messages"], 3);
    assert_eq!(stream.engine.rows(&letters).await, expected);
    assert_eq!(stream.count().await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_passes_a_dead_letter_that_cannot_be_written() {
    let stream = Stream::new("ingest_letter_first", 1).await;
    stream.topic.change('c', 1, "x");
    stream.topic.send(0, None, Some(b"garbage"));
    stream.topic.flush();
    let letters = stream.ops("dead_letters");
    let rename = |from: &str, to: &str| format!("RENAME TABLE {from} TO {to}");
    let aside = format!("{letters}_aside");
    stream.engine.ask(&rename(&letters, &aside)).await.unwrap();
    let ended = stream.catch_up();
    assert_eq!(ended.exit, 2, "{}", ended.text());
    assert!(
        ended.text().contains("write dead letters"),
        "{}",
        ended.text()
    );
    assert_eq!(stream.committed(), 0);
    stream.engine.ask(&rename(&aside, &letters)).await.unwrap();
    stream.ends("done");
    assert_eq!((stream.count().await, stream.committed()), (1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn schemas_tombstones_and_bare_deletes_mix_in_one_topic() {
    let stream = Stream::new("ingest_mixed", 1).await;
    let say = |id: i64, value: Option<&str>| {
        let value = value.map(str::as_bytes);
        stream.topic.send(0, Some(&key(id)), value);
    };
    say(1, Some(&change('r', 1, "snapshot")));
    say(2, Some(&change_with_schema('c', 2, "with schema")));
    say(1, Some(&change_with_schema('u', 1, "updated with schema")));
    say(2, Some(&change('u', 2, "updated without")));
    say(3, Some(&change('c', 3, "goes")));
    // REPLICA IDENTITY NOTHING: only the Kafka key says which row
    say(
        3,
        Some(r#"{"before":null,"after":null,"op":"d","ts_ms":1}"#),
    );
    say(3, None);
    say(4, Some(&change('c', 4, "goes too")));
    say(4, Some(&change_with_schema('d', 4, "goes too")));
    say(5, Some(&change('c', 5, "compacted away")));
    say(5, None);
    stream.topic.flush();
    let ended = stream.ends("done");
    assert_eq!(
        stream.rows().await,
        ["1\tupdated with schema", "2\tupdated without"],
        "{}",
        ended.text()
    );
    assert_eq!(
        ended.json()["jobs"]["notes"]["rejects"],
        serde_json::json!({})
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn trailing_control_records_and_aborted_rows_do_not_hang_the_end() {
    let stream = Stream::new("ingest_transactions", 3).await;
    let id = format!("{}.tx", stream.topic.name);
    let producer = kafka::producer(&[("transactional.id", &id)]);
    producer.init_transactions(PATIENCE).unwrap();
    let transaction = |ids: &[i64], commit: bool| {
        producer.begin_transaction().unwrap();
        for id in ids {
            // partition 0 and 1; partition 2 stays empty
            let partition = i32::try_from(*id).unwrap() % 2;
            let value = change('c', *id, "x");
            let (name, key) = (&stream.topic.name, key(*id));
            kafka::send(
                &producer,
                name,
                partition,
                Some(&key),
                Some(value.as_bytes()),
            );
        }
        producer.flush(PATIENCE).unwrap();
        match commit {
            true => producer.commit_transaction(PATIENCE).unwrap(),
            false => producer.abort_transaction(PATIENCE).unwrap(),
        }
    };
    stream.ends("noop");
    transaction(&[1, 2], true);
    transaction(&[3, 4], false);
    transaction(&[5], true);
    transaction(&[6], false);
    stream.ends("done");
    assert_eq!(stream.rows().await, ["1\tx", "2\tx", "5\tx"]);
    let ends: i64 = (0..3)
        .filter_map(|partition| stream.topic.end(partition))
        .sum();
    assert_eq!(stream.committed(), ends, "control records are passed");
    stream.ends("noop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peek_shows_fates_and_leaves_no_trace() {
    let stream = Stream::new("ingest_peek", 1).await;
    stream.topic.change('c', 1, "shown");
    stream.topic.send(0, None, Some(b"garbage"));
    stream.topic.change('c', 3, "shown too");
    stream.topic.change('c', 4, "too many");
    stream.topic.flush();
    let peek = stream.project.succeed(&["ingest", "--peek", "3"]);
    let lines: Vec<String> = peek.stdout.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 3, "{}", peek.text());
    assert!(lines[0].starts_with("notes partition 0 offset 0: row ") && lines[0].contains("shown"));
    assert_eq!(lines[1], "notes partition 0 offset 1: reject bad_json");
    for table in [
        stream.silver("notes_versions"),
        stream.ops("dead_letters"),
        stream.ops("checkpoints"),
    ] {
        let count = stream
            .engine
            .rows(&format!("SELECT count() FROM {table}"))
            .await;
        assert_eq!(count, ["0"], "{table}");
    }
    assert_eq!(stream.committed(), 0);
    stream.ends("done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_drains_within_four_seconds_and_commits_exactly_what_is_written() {
    let stream = Stream::new("ingest_sigterm", 2).await;
    let mut ingest = stream.project.start(&["ingest"]);
    let mut next = 0;
    // the signal comes while messages do
    wait_for("rows", PATIENCE, || {
        stream.topic.insert(next..next + 500);
        next += 500;
        async { (stream.count().await > 1_000).then_some(()) }
    })
    .await;
    ingest.signal("TERM");
    let signalled = Instant::now();
    assert_eq!(ingest.wait(PATIENCE), 143, "{}", stream.project.log());
    assert!(
        signalled.elapsed() < Duration::from_secs(4),
        "{:?}",
        signalled.elapsed()
    );
    assert_eq!(
        stream.count().await,
        u64::try_from(stream.committed()).unwrap()
    );
    let checkpoints = format!(
        "SELECT sum(next_offset) FROM {} FINAL",
        stream.ops("checkpoints")
    );
    assert_eq!(
        stream.engine.rows(&checkpoints).await,
        [stream.committed().to_string()]
    );
}
