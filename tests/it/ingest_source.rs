//! The source says things again, goes back, or says them beside each other: silver is what it means in the end.

use crate::support::kafka::key;
use crate::support::stream::Stream;
use crate::support::{Engine, PATIENCE, Project, Source, wait_for};

/// A change with its position in the source's log.
fn at(lsn: i64, op: char, id: i64, note: &str) -> String {
    let image = format!(r#"{{"id":{id},"note":"{note}"}}"#);
    let (before, after) = match op {
        'd' => (image.as_str(), "null"),
        _ => ("null", image.as_str()),
    };
    format!(
        r#"{{"before":{before},"after":{after},"source":{{"ts_ms":{lsn},"lsn":{lsn},"txId":{lsn}}},"op":"{op}","ts_ms":{lsn}}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_that_a_restarted_connector_says_again_come_right() {
    let stream = Stream::new("source_again", 1).await;
    let say = |text: &str, id: i64| {
        stream.topic.send(0, Some(&key(id)), Some(text.as_bytes()));
    };
    let last: Vec<(String, i64)> = vec![
        (at(100, 'c', 1, "first"), 1),
        (at(101, 'u', 1, "second"), 1),
        (at(102, 'c', 2, "short"), 2),
        (at(103, 'd', 2, "short"), 2),
        (at(104, 'u', 1, "third"), 1),
        (at(105, 'c', 3, "stays"), 3),
    ];
    let all = |many: usize| last[..many].iter().for_each(|(text, id)| say(text, *id));
    let wanted = ["1\tthird", "3\tstays"];
    all(6);
    stream.topic.flush();
    stream.ends("done");
    assert_eq!(stream.rows().await, wanted);
    // the last minutes again, twice, the first time cut short, each as a run of its own
    for many in [3, 6] {
        all(many);
        stream.topic.flush();
        stream.ends("done");
    }
    assert_eq!(stream.rows().await, wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_whose_log_goes_back_after_a_failover_changes_no_order() {
    let stream = Stream::new("source_lower", 1).await;
    for (lsn, note) in [(9_000, "before"), (9_001, "last of the old server")] {
        let text = at(lsn, 'u', 1, note);
        stream.topic.send(0, Some(&key(1)), Some(text.as_bytes()));
    }
    stream.topic.flush();
    stream.ends("done");
    for (lsn, note) in [(17, "first of the new one"), (16, "and lower still")] {
        let text = at(lsn, 'u', 1, note);
        stream.topic.send(0, Some(&key(1)), Some(text.as_bytes()));
        stream.topic.flush();
        stream.ends("done");
        assert_eq!(stream.rows().await, [format!("1\t{note}")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_changes_across_two_processes_is_right_when_one_of_them_sleeps() {
    let mut stream = Stream::new("source_key", 2).await;
    let quick = "session.timeout.ms=6000,heartbeat.interval.ms=500";
    stream.project.set("BULLION_KAFKA_PROPERTIES", quick);
    let members = [stream.project.start(&["ingest"]), {
        stream.topic.insert(0..2);
        stream.project.start(&["ingest"])
    }];
    wait_for("both to have a share", PATIENCE, || async {
        let log = stream.project.log();
        // one gives a partition up, or both came at once
        let shared = log.contains("partitions given up partitions=1")
            || log.matches("partitions assigned partitions=1").count() == 2;
        shared.then_some(())
    })
    .await;
    stream.topic.insert(2..8);
    wait_for("the rows", PATIENCE, || async {
        (stream.count().await == 8).then_some(())
    })
    .await;
    // ids 0, 2 … live in partition 0, and 1, 3 … in partition 1: each round moves two rows across, in both directions
    for (round, sleeper) in members.iter().enumerate() {
        let round = i64::try_from(round).unwrap();
        sleeper.signal("STOP");
        for id in [4 * round, 4 * round + 1] {
            stream.topic.change('d', id, "x");
            stream
                .topic
                .send(i32::try_from(id % 2).unwrap(), Some(&key(id)), None);
            stream.topic.change('c', 101 + id, "moved");
        }
        stream.topic.flush();
        let half = format!(
            "SELECT count() FROM {} WHERE note = 'moved' AND id >= {}",
            stream.silver("notes"),
            101 + 4 * round
        );
        wait_for("the half of the one that is awake", PATIENCE, || async {
            (stream.engine.number(&half).await >= 1).then_some(())
        })
        .await;
        sleeper.signal("CONT");
        let ids = format!("SELECT id FROM {} ORDER BY id", stream.silver("notes"));
        let mut wanted: Vec<i64> = (0..8)
            .filter(|id| id % 4 > 1 || *id >= 4 * (round + 1))
            .collect();
        wanted.extend((0..=round).flat_map(|round| [101 + 4 * round, 102 + 4 * round]));
        let wanted: Vec<String> = wanted.iter().map(i64::to_string).collect();
        wait_for("old keys gone and new ones there", PATIENCE, || async {
            (stream.engine.rows(&ids).await == wanted).then_some(())
        })
        .await;
    }
}

const JOB: &str = r#"
topic = "{topic}"
key = ["id"]
[columns]
id = "Int64"
note = "Nullable(String)"
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_incremental_snapshot_beside_streamed_changes_comes_right() {
    let name = "source_incremental";
    let project = Project::new(name, &Engine::of_stack()).await;
    let source = Source::new(name).await;
    source
        .run(
            "CREATE TABLE notes (id bigint PRIMARY KEY, note text);
             CREATE TABLE signals (id text PRIMARY KEY, type text, data text);
             INSERT INTO notes SELECT n, 'snapshot' FROM generate_series(1, 600) n",
        )
        .await;
    source
        .publish(
            &["notes", "signals"],
            &[
                ("signal.data.collection", "public.signals"),
                ("incremental.snapshot.chunk.size", "40"),
                // nothing of the table has come by the first snapshot
                ("snapshot.mode", "no_data"),
            ],
        )
        .await;
    let job = JOB.replace("{topic}", &source.topic("notes"));
    project.write("jobs/silver/notes.toml", &job);
    source
        .run("INSERT INTO notes VALUES (601, 'streamed')")
        .await;
    project.succeed(&["migrate"]);
    wait_for("the topic", PATIENCE, || async {
        (project.run(&["ingest", "--peek", "1"]).exit == 0).then_some(())
    })
    .await;
    let ingest = project.start(&["ingest"]);
    source
        .run(
            r#"INSERT INTO signals VALUES ('1', 'execute-snapshot', '{"data-collections": ["public.notes"], "type": "incremental"}')"#,
        )
        .await;
    // updates, moves and deletes of the rows that are being read
    for step in 0..40 {
        source
            .run(&format!(
                "UPDATE notes SET note = 'updated {step}' WHERE id % 40 = {step} AND id < 500;
                 DELETE FROM notes WHERE id = 501 + {step};
                 UPDATE notes SET id = id + 1000 WHERE id = 550 + {step};"
            ))
            .await;
    }
    source
        .run("INSERT INTO notes VALUES (700, 'the end')")
        .await;
    let mut wanted = source.rows("SELECT id, note FROM notes").await;
    wanted.sort();
    let sql = format!("SELECT id, note FROM {name}_silver.notes");
    wait_for("silver to be the source", PATIENCE, || async {
        let mut found = project.engine.rows(&sql).await;
        found.sort();
        (found == wanted).then_some(())
    })
    .await;
    ingest.kill();
}
