//! The archive in a bucket: the same promises over S3's protocol, as MinIO speaks it.

use std::time::Duration;

use super::{QUICK, all_in_kafka, all_of, archived, reading, without_overlap};
use crate::support::minio::{Bucket, Minio, OwnMinio};
use crate::support::stream::Stream;
use crate::support::{PATIENCE, wait_for};

async fn archiving(
    minio: &Minio,
    name: &str,
    partitions: i32,
    roll_after: &str,
) -> (Stream, Bucket) {
    let mut stream = Stream::new(name, partitions).await;
    let bucket = minio.bucket(name).await;
    bucket.archive_of(&mut stream.project);
    let set = [
        ("BULLION_ARCHIVE_ROLL_AFTER", roll_after),
        ("BULLION_KAFKA_PROPERTIES", QUICK),
    ];
    for (variable, value) in set {
        stream.project.set(variable, value);
    }
    (stream, bucket)
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_before_or_after_a_file_is_in_the_bucket_loses_no_message_and_doubles_none() {
    let (stream, bucket) = archiving(&Minio::of_stack(), "archive_s3_kill", 2, "200ms").await;
    let points = ["before-archive", "archived", "before-commit"];
    super::outlives_kills(&stream, &reading(bucket.place()), &points).await;
    assert!(!without_overlap(bucket.files().await).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn silver_is_filled_again_from_a_bucket_and_what_is_missing_there_is_told() {
    let (stream, bucket) = archiving(&Minio::of_stack(), "archive_s3_read", 1, "1h").await;
    // each run ends its file
    for ids in [0..30, 30..60] {
        stream.topic.insert(ids);
        stream.topic.flush();
        stream.ends("done");
    }
    let sql = format!(
        "SELECT id, note, _version FROM {} ORDER BY id",
        stream.silver("notes")
    );
    let before = stream.engine.rows(&sql).await;
    assert_eq!(before.len(), 60);
    let lose = format!("TRUNCATE TABLE {}", stream.silver("notes_versions"));
    stream.engine.ask(&lose).await.unwrap();
    stream.topic.delete_below(0, 60).await;

    let backfill = ["backfill", "notes", "--source", "archive"];
    let json = ["--output", "json"];
    let filled = stream.project.succeed(&[&backfill[..], &json].concat());
    assert_eq!(filled.json()["read"], 60, "{}", filled.text());
    assert_eq!(stream.engine.rows(&sql).await, before);

    assert_eq!(
        bucket
            .lose(&stream.topic.name, &format!("00000-{:020}", 0))
            .await,
        1
    );
    let told = stream.project.succeed(&backfill).stdout;
    let missing = "the archive of partition 0 begins at offset 30";
    assert!(told.contains(missing), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minio_that_is_killed_is_waited_for_and_nothing_is_committed_beyond_what_it_has() {
    let mut own = OwnMinio::start().await;
    let (stream, bucket) = archiving(&own.minio, "archive_s3_lost", 1, "100ms").await;
    let mut ingest = stream.project.start(&["ingest"]);
    stream.topic.insert(0..10);
    stream.holds(10).await;
    own.kill();
    stream.topic.insert(10..20);
    wait_for("the rows, and a word of the archive", PATIENCE, || async {
        let said = stream.project.log().contains("archive: cannot write s3://");
        (stream.count().await == 20 && said).then_some(())
    })
    .await;
    assert_eq!(stream.committed(), 10);
    own.start_again().await;
    stream.holds(20).await;
    ingest.signal("TERM");
    assert_eq!(ingest.wait(Duration::from_secs(20)), 143);
    let kept = archived(&reading(bucket.place()), &stream.topic).await;
    assert_eq!(all_of(&kept).await, all_in_kafka(&stream.topic, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_cannot_be_used_ends_the_start_and_says_what_to_do() {
    let minio = Minio::of_stack();
    let (mut stream, bucket) = archiving(&minio, "archive_s3_refused", 1, "1h").await;
    stream.topic.insert(0..1);
    let [nobody] = crate::support::secure_kafka::free_ports();
    let nowhere = format!("http://127.0.0.1:{nobody}");
    let absent = format!("s3://{}-not", bucket.name);
    let mistakes: [(&str, &str, i32, &[&str]); 4] = [
        (
            "BULLION_ARCHIVE_SECRET_KEY",
            "of-somebody-else",
            2,
            &["SignatureDoesNotMatch", "BULLION_ARCHIVE_SECRET_KEY"],
        ),
        (
            "BULLION_ARCHIVE_ACCESS_KEY",
            "somebody",
            2,
            &["InvalidAccessKeyId", "archive.access_key"],
        ),
        (
            "BULLION_ARCHIVE_URL",
            &absent,
            2,
            &["NoSuchBucket", "bullion makes no bucket"],
        ),
        (
            "BULLION_ARCHIVE_ENDPOINT",
            &nowhere,
            1,
            &["Connection refused", "archive.endpoint"],
        ),
    ];
    for (variable, wrong, exit, told) in mistakes {
        bucket.archive_of(&mut stream.project);
        stream.project.set(variable, wrong);
        let ended = stream.project.run(&["ingest", "--until-caught-up"]);
        let ended = ended.exits(exit).text();
        for words in told {
            assert!(ended.contains(words), "{variable}: {ended}");
        }
        for secret in [
            "of-somebody-else",
            &crate::support::stack("BULLION_MINIO_PASSWORD"),
        ] {
            assert!(!ended.contains(secret), "{ended}");
        }
        // told once, and not once more for everything that passed it on
        assert_eq!(ended.matches(told[0]).count(), 1, "{ended}");
    }
    bucket.archive_of(&mut stream.project);
    stream.ends("done");
}
