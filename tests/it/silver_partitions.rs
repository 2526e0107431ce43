//! Silver in partitions of a time that its key holds.

use crate::support::stream::Stream;

const DAY: i64 = 86_400_000;
/// Of a block, and more than the hundred that ClickHouse allows in one by itself.
const DAYS: i64 = 150;

fn job(stream: &Stream, partitions: &str) -> String {
    format!(
        "topic = \"{}\"\nkey = [\"id\", \"at\"]\ntime_column = \"at\"\n{partitions}\n[columns]\nid = \"Int64\"\nnote = \"Nullable(String)\"\n\
         at = {{ type = \"DateTime64(3, 'UTC')\", from = \"millis\" }}\n",
        stream.topic.name
    )
}

fn change(stream: &Stream, op: char, id: i64, note: &str) {
    let at = id * DAY;
    let image = format!(r#"{{"id":{id},"note":"{note}","at":{at}}}"#);
    let key = format!(r#"{{"id":{id},"at":{at}}}"#);
    // as without REPLICA IDENTITY FULL: a delete knows its key alone
    let value = match op {
        'd' => format!(
            r#"{{"before":{{"id":{id},"note":null,"at":{at}}},"after":null,"source":{{}},"op":"d"}}"#
        ),
        _ => format!(r#"{{"before":null,"after":{image},"source":{{}},"op":"{op}"}}"#),
    };
    stream.topic.send(0, Some(&key), Some(value.as_bytes()));
    if op == 'd' {
        stream.topic.send(0, Some(&key), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn updates_and_deletes_find_the_partition_of_their_row_and_a_window_reads_no_other() {
    let stream = Stream::new("silver_partitions", 1).await;
    std::fs::remove_file(stream.project.path("jobs/silver/notes.toml")).unwrap();
    stream.project.write(
        "jobs/silver/events.toml",
        &job(&stream, "partition_by = \"day\""),
    );
    stream.project.succeed(&["migrate"]);
    for id in 0..DAYS {
        change(&stream, 'c', id, "new");
    }
    stream.topic.flush();
    stream.ends("done");
    for id in 0..DAYS {
        match id % 3 {
            0 => change(&stream, 'u', id, "changed"),
            1 => change(&stream, 'd', id, ""),
            _ => {}
        }
    }
    stream.topic.flush();
    stream.ends("done");
    let events = stream.silver("events");
    let sql = format!("SELECT note, count() FROM {events} GROUP BY note ORDER BY note");
    assert_eq!(stream.engine.rows(&sql).await, ["changed\t50", "new\t50"]);
    let sql = format!(
        "SELECT uniqExact(_partition_id) FROM {events}_versions WHERE at >= toDateTime(3 * 86400, 'UTC') AND at < toDateTime(4 * 86400, 'UTC')"
    );
    assert_eq!(stream.engine.number(&sql).await, 1);
    // nothing is to be done, and what the table cannot become is refused
    let again = stream.project.succeed(&["migrate", "--dry-run"]);
    assert!(!again.text().contains("events"), "{}", again.text());
    for other in ["partition_by = \"month\"", ""] {
        stream
            .project
            .write("jobs/silver/events.toml", &job(&stream, other));
        let refused = stream.project.run(&["migrate"]);
        assert_eq!(refused.exit, 2, "{}", refused.text());
        assert!(
            refused.text().contains("PARTITION BY"),
            "{}",
            refused.text()
        );
    }
}
