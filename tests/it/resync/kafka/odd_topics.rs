//! Topics that cannot be built from, and one of more days than ClickHouse takes at once.

use super::{JOB, Notes, RESYNC, assert_tidy, notes, started};
use crate::support::{PATIENCE, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_a_key_and_a_topic_that_got_more_partitions_are_refused() {
    let (project, mut topic) =
        started("resync_kafka_refused", &JOB.replace("[\"id\"]", "[]")).await;
    topic.insert(1..10);
    project.succeed(&["ingest", "--until-caught-up"]);
    let keyless = project.run(&RESYNC);
    assert_eq!(keyless.exit, 2, "{}", keyless.text());
    assert!(
        keyless.text().contains("--from-start"),
        "{}",
        keyless.text()
    );

    let (project, grown) = started("resync_kafka_grown", JOB).await;
    topic = grown;
    topic.insert(1..10);
    project.succeed(&["ingest", "--until-caught-up"]);
    topic.grow(4).await;
    let job = format!("epoch = 2\n{JOB}").replace("{topic}", &topic.name);
    project.write("jobs/silver/notes.toml", &job);
    wait_for("the new partition to be known", PATIENCE, || async {
        (project.run(&["ingest", "--until-caught-up"]).exit == 0).then_some(())
    })
    .await;
    let refused = project.run(&RESYNC);
    assert_eq!(refused.exit, 2, "{}", refused.text());
    assert!(
        refused.text().contains("got more partitions"),
        "{}",
        refused.text()
    );
    let source = project.run(&[
        "resync",
        "notes",
        "--source",
        "kafka",
        "--from-postgres",
        "public.notes",
    ]);
    assert_eq!(source.exit, 2, "one source at a time");
}

const DAYS: &str = r#"
topic = "{topic}"
key = ["id", "at"]
time_column = "at"
partition_by = "day"
[columns]
id = "Int64"
note = "Nullable(String)"
at = { type = "DateTime64(3, 'UTC')", from = "millis" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_more_days_than_clickhouse_takes_at_once_are_taken_along() {
    let (project, topic) = started("resync_kafka_days", DAYS).await;
    let change = |id: i64| {
        let at = id * 86_400_000;
        let value = format!(
            r#"{{"before":null,"after":{{"id":{id},"note":"{id}","at":{at}}},"source":{{}},"op":"c"}}"#
        );
        let key = format!(r#"{{"id":{id},"at":{at}}}"#);
        topic.send(0, Some(&key), Some(value.as_bytes()));
    };
    (0..150).for_each(change);
    topic.flush();
    project.succeed(&["ingest", "--until-caught-up"]);
    topic.delete_below(0, topic.end(0).unwrap()).await;
    change(150);
    topic.flush();
    project.succeed(&["ingest", "--until-caught-up"]);
    let keep = [&RESYNC[..], &["--not-in-kafka", "keep", "--output", "json"]].concat();
    let kept = project.succeed(&keep).json();
    assert_eq!((&kept["kept"], &kept["copied"]), (&150.into(), &150.into()));
    let expected: Notes = (0..151).map(|id| (id, id.to_string())).collect();
    assert_eq!(notes(&project).await, expected);
    assert_tidy(&project).await;
}
