//! The process ends, or is asked to end, at every step between poll and commit.

use std::time::{Duration, Instant};

use crate::support::kafka::key;
use crate::support::program::Running;
use crate::support::stream::Stream;
use crate::support::{PATIENCE, wait_for};

/// What a signal leaves: four seconds, and a busy machine.
const DRAINED: Duration = Duration::from_secs(5);
const QUICK: &str = "session.timeout.ms=1500,heartbeat.interval.ms=300";

const POINTS: [&str; 8] = [
    "after-poll",
    "decoded",
    "dead-letters-written",
    "before-insert",
    "insert-acked",
    "before-commit",
    "during-commit",
    "checkpoint-written",
];

/// A stream in which each wave is twenty changes of the same ten rows and one message that is a dead letter.
struct Waves {
    stream: Stream,
    sent: i64,
}

impl Waves {
    async fn new(name: &str) -> Waves {
        let mut stream = Stream::new(name, 2).await;
        stream.project.set("BULLION_KAFKA_PROPERTIES", QUICK);
        Waves { stream, sent: 0 }
    }

    fn send(&mut self) {
        self.sent += 1;
        for id in 0..20 {
            let (id, op) = (id % 10, if id < 10 { 'u' } else { 'c' });
            self.stream
                .topic
                .change(op, id, &format!("wave {}", self.sent));
        }
        self.stream.topic.send(0, None, Some(b"garbage"));
        self.stream.topic.flush();
    }

    fn start(&self, point: &str, action: &str) -> Running {
        let failpoint = format!("{point}:1:{action}");
        let environment = [("BULLION_FAILPOINT", failpoint.as_str())];
        self.stream.project.start_with(&["ingest"], &environment)
    }

    /// Everything once: the rows of the last wave, a dead letter for each wave, nothing else to read.
    async fn are_right(&self) {
        let stream = &self.stream;
        let rows: Vec<String> = (0..10)
            .map(|id| format!("{id}\twave {}", self.sent))
            .collect();
        assert_eq!(stream.rows().await, rows);
        let letters = format!(
            "SELECT count(), uniqExact(offset) FROM {} FINAL",
            stream.ops("dead_letters")
        );
        let wanted = [format!("{0}\t{0}", self.sent)];
        assert_eq!(stream.engine.rows(&letters).await, wanted);
        assert_eq!(stream.committed(), self.sent * 21);
        let versions = format!(
            "SELECT id, note, _version, _deleted, _partition FROM {} FINAL ORDER BY id",
            stream.silver("notes_versions")
        );
        let before = stream.engine.rows(&versions).await;
        stream.ends("noop");
        assert_eq!(stream.engine.rows(&versions).await, before);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_point_between_poll_and_commit_leaves_no_trace() {
    let mut waves = Waves::new("points_kill").await;
    for point in POINTS {
        let mut ingest = waves.start(point, "kill");
        waves.send();
        assert_eq!(ingest.wait(PATIENCE), 137, "{point}");
    }
    waves.stream.catch_up().exits(0);
    waves.are_right().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_at_any_point_between_poll_and_commit_ends_the_run_in_time() {
    let mut waves = Waves::new("points_signal").await;
    for (number, point) in POINTS.iter().enumerate() {
        let mut ingest = waves.start(point, "hold=20000");
        waves.send();
        wait_for(point, PATIENCE, || async {
            let log = waves.stream.project.log();
            (log.matches("fail point").count() > number).then_some(())
        })
        .await;
        let signalled = Instant::now();
        ingest.signal("TERM");
        assert_eq!(ingest.wait(DRAINED), 143, "{point}");
        assert!(signalled.elapsed() < DRAINED, "{point}");
    }
    waves.stream.catch_up().exits(0);
    waves.are_right().await;
}

/// A create of the row, with its schema and a field that the job does not declare yet.
fn with_new_field(id: i64) -> String {
    let field = |name: &str, kind: &str| format!(r#"{{"field":"{name}",{kind}}}"#);
    let schema = [
        field("id", r#""type":"int64","optional":false"#),
        field("note", r#""type":"string","optional":true"#),
        field("extra", r#""type":"int32","optional":true"#),
    ];
    format!(
        r#"{{"schema":{{"type":"struct","fields":[{{"type":"struct","field":"after","fields":[{}]}}]}},"payload":{{"before":null,"after":{{"id":{id},"note":"x","extra":{id}}},"source":{{"ts_ms":1}},"op":"c","ts_ms":2}}}}"#,
        schema.join(",")
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_a_new_column_and_its_rows_leaves_no_trace() {
    let mut waves = Waves::new("points_ddl").await;
    let stream = &mut waves.stream;
    let job = format!(
        "topic = \"{}\"\nkey = [\"id\"]\n[policy]\nnew_column = \"add\"\n[columns]\nid = \"Int64\"\nnote = \"Nullable(String)\"\n",
        stream.topic.name
    );
    stream.project.write("jobs/silver/notes.toml", &job);
    stream.topic.insert(0..10);
    for id in 10..20 {
        let partition = i32::try_from(id).unwrap() % 2;
        let value = with_new_field(id);
        stream
            .topic
            .send(partition, Some(&key(id)), Some(value.as_bytes()));
    }
    stream.topic.flush();
    let mut ingest = waves.start("ddl-done", "kill");
    assert_eq!(ingest.wait(PATIENCE), 137);
    let stream = &waves.stream;
    let table = stream.silver("notes_versions");
    let extra = format!("SELECT count(extra) FROM {table}");
    assert_eq!(
        stream.engine.rows(&extra).await,
        ["0"],
        "only the column is there"
    );
    stream.catch_up().exits(0);
    let sums = format!(
        "SELECT count(), count(extra), sum(extra) FROM {}",
        stream.silver("notes")
    );
    assert_eq!(stream.engine.rows(&sums).await, ["20\t10\t145"]);
    assert_eq!(stream.committed(), 20);
}
