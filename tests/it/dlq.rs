//! Dead letters: found by what they are, shown without what they hold, replayed at their own version, put away.

use crate::support::kafka::{change, key};
use crate::support::stream::Stream;
use crate::support::{PATIENCE, wait_for};

const SECRET: &str = "ada@example.org";

/// Rows 1, 2 and 4; messages that no row came of: garbage, a note that is a number (twice), a key without a value.
async fn with_letters(name: &str) -> Stream {
    let stream = Stream::new(name, 1).await;
    let topic = &stream.topic;
    let number = |id: i64, note: i64| change('u', id, "#").replace("\"#\"", &note.to_string());
    topic.change('c', 1, "one");
    topic.send(0, None, Some(format!("garbage {SECRET}").as_bytes()));
    topic.send(0, Some(&key(1)), Some(number(1, 11).as_bytes()));
    topic.send(0, Some(&key(2)), Some(number(2, 22).as_bytes()));
    topic.change('u', 2, "two, later");
    topic.send(0, Some("{}"), Some(b""));
    topic.change('c', 4, "four");
    topic.flush();
    stream.ends("done");
    let rows = ["1\tone", "2\ttwo, later", "4\tfour"];
    assert_eq!(stream.rows().await, rows);
    stream
}

/// A job whose `note` takes numbers too, as their own text.
fn correct(stream: &Stream) {
    let file = "jobs/silver/notes.toml";
    let text = std::fs::read_to_string(stream.project.path(file)).unwrap();
    let wider = r#"note = { type = "Nullable(String)", from = "json" }"#;
    let corrected = text.replace(r#"note = "Nullable(String)""#, wider);
    stream.project.write(file, &corrected);
}

fn dlq(stream: &Stream, arguments: &str, exit: i32) -> serde_json::Value {
    let arguments = format!("dlq {arguments} --output json");
    let arguments: Vec<&str> = arguments.split(' ').collect();
    stream.project.run(&arguments).exits(exit).json()
}

/// How many letters a filter finds.
fn found(stream: &Stream, filter: &str) -> u64 {
    let listed = dlq(stream, &format!("list{filter}"), 0);
    listed["letters"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_counted_by_reason_and_shown_without_values_unless_asked() {
    let stream = with_letters("dlq_list").await;
    let listed = dlq(&stream, "list", 0);
    let told: Vec<String> = listed["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| {
            format!(
                "{} {} {}",
                group["letters"], group["reason"], group["column"]
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            r#"2 "bad_value" "note""#,
            r#"1 "bad_json" """#,
            r#"1 "empty_value" """#
        ]
    );
    let topic = &stream.topic.name;
    for (filter, letters) in [
        ("", 4),
        (" --job notes", 4),
        (" --job other", 0),
        (" --reason bad_json --reason empty_value", 2),
        (" --column note", 2),
        (&format!(" --topic {topic} --partition 0"), 4),
        (" --partition 1", 0),
        (" --offsets 2..4", 2),
        (" --offsets 5", 1),
        (" --from 2020-01-01", 4),
        (" --to 2020-01-01", 0),
        (" --state discarded", 0),
        (" --state any", 4),
    ] {
        assert_eq!(found(&stream, filter), letters, "{filter}");
    }
    let each = dlq(&stream, "list --each --limit 2", 0);
    let offsets: Vec<i64> = each["each"]
        .as_array()
        .unwrap()
        .iter()
        .map(|letter| letter["offset"].as_i64().unwrap())
        .collect();
    assert_eq!(offsets, [1, 2]);

    let place = format!("{topic}/0/1");
    let bare = stream.project.succeed(&["dlq", "show", &place]);
    assert!(bare.text().contains("bad_json") && !bare.text().contains(SECRET));
    let whole = dlq(&stream, &format!("show {place} --values"), 0);
    assert_eq!(whole["letters"][0]["value"], format!("garbage {SECRET}"));
    assert_eq!(whole["letters"][0]["state"], "open");
    dlq(&stream, &format!("show {topic}/0/0"), 2);
    assert_eq!(dlq(&stream, "list --job other", 0)["status"], "noop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_letter_is_a_row_at_its_own_version_and_loses_to_a_newer_one() {
    let stream = with_letters("dlq_replay").await;
    // as the job still is: rejected again
    let again = dlq(&stream, "replay --column note", 3);
    assert_eq!(again["jobs"]["notes"]["rows"], 0);
    assert_eq!(found(&stream, ""), 4);

    correct(&stream);
    let planned = dlq(&stream, "replay --dry-run", 0);
    assert_eq!(
        (&planned["status"], &planned["jobs"]["notes"]["rows"]),
        (&"planned".into(), &2.into())
    );
    assert_eq!(found(&stream, ""), 4);
    assert_eq!(stream.count().await, 3);

    // a line of a file, which no message is behind of: it keeps nobody else from being replayed
    let letters = stream.ops("dead_letters");
    let line = format!(
        "INSERT INTO {letters} SELECT * REPLACE ('csv:notes.csv' AS topic, -1 AS partition) FROM {letters} WHERE column = 'note' LIMIT 1"
    );
    stream.engine.ask(&line).await.unwrap();
    dlq(&stream, "replay --topic csv:notes.csv", 2);

    let replayed = dlq(&stream, "replay", 3);
    assert_eq!(replayed["jobs"]["notes"]["rows"], 2);
    assert_eq!(
        dlq(&stream, "discard --topic csv:notes.csv --delete --yes", 0)["status"],
        "done"
    );
    // 1 took the update; of 2 a newer row was there
    let rows = ["1\t11", "2\ttwo, later", "4\tfour"];
    assert_eq!(stream.rows().await, rows);
    let version = format!(
        "SELECT bitShiftRight(_version, 56), bitShiftRight(_version, 8) % 256, _version % 256 FROM {} FINAL WHERE id = 1",
        stream.silver("notes_versions")
    );
    // epoch 1, offset 2, revision 0
    assert_eq!(stream.engine.rows(&version).await, ["1\t2\t0"]);
    assert_eq!(found(&stream, ""), 2);
    assert_eq!(found(&stream, " --state resolved"), 2);

    // a kill before the mark: the rows are there, the letters are open; and a redelivery writes the letters again
    let unmark = format!("TRUNCATE TABLE {}", stream.ops("dead_letter_marks"));
    stream.engine.ask(&unmark).await.unwrap();
    assert_eq!(found(&stream, " --column note"), 2);
    assert_eq!(dlq(&stream, "replay --column note", 0)["status"], "done");
    assert_eq!(stream.rows().await, rows);
    let redelivered =
        format!("INSERT INTO {letters} SELECT * FROM {letters} WHERE column = 'note'");
    stream.engine.ask(&redelivered).await.unwrap();
    assert_eq!(found(&stream, ""), 2, "what was resolved stays so");
    assert_eq!(dlq(&stream, "replay --column note", 0)["status"], "noop");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_rejected_again_has_its_new_reason_and_its_bytes() {
    let stream = with_letters("dlq_again").await;
    let file = "jobs/silver/notes.toml";
    let text = std::fs::read_to_string(stream.project.path(file)).unwrap();
    let without = text.replace("note = \"Nullable(String)\"\n", "");
    stream.project.write(file, &without);
    let again = dlq(&stream, "replay --column note", 3);
    assert_eq!(
        again["jobs"]["notes"]["rejects"][0]["reason"],
        "unknown_column"
    );
    let reasons = format!(
        "SELECT offset, reason, key, position(assumeNotNull(value), '\"note\":') > 0 FROM {} FINAL WHERE column = 'note' ORDER BY offset",
        stream.ops("dead_letters")
    );
    let expected = [
        "2\tunknown_column\t{\"id\":1}\t1",
        "3\tunknown_column\t{\"id\":2}\t1",
    ];
    assert_eq!(stream.engine.rows(&reasons).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_discarded_letter_is_hidden_and_keeps_its_bytes_unless_it_is_deleted() {
    let stream = with_letters("dlq_discard").await;
    let refused = dlq(&stream, "discard --reason bad_json", 2);
    assert!(refused["next"].as_str().unwrap().contains("--yes"));
    assert_eq!(found(&stream, ""), 4);
    dlq(&stream, "discard --reason bad_json --yes", 0);
    assert_eq!(found(&stream, ""), 3);
    assert_eq!(found(&stream, " --state discarded"), 1);
    let whole = dlq(
        &stream,
        &format!("show {}/0/1 --values", stream.topic.name),
        0,
    );
    assert_eq!(whole["letters"][0]["state"], "discarded");
    assert_eq!(whole["letters"][0]["value"], format!("garbage {SECRET}"));

    dlq(&stream, "discard --state discarded --delete --yes", 0);
    let bytes = format!(
        "SELECT count() FROM {} FINAL WHERE reason = 'bad_json'",
        stream.ops("dead_letters")
    );
    assert_eq!(stream.engine.number(&bytes).await, 0);
    assert_eq!(found(&stream, " --state any"), 3);
    assert_eq!(
        dlq(&stream, "discard --reason bad_json --yes", 0)["status"],
        "noop"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_of_garbage_stops_its_job_until_a_person_lets_it_pass() {
    let stream = Stream::new("dlq_breaker", 1).await;
    for _ in 0..600 {
        stream.topic.send(0, None, Some(b"garbage"));
    }
    stream.topic.insert(0..10);
    let ended = stream.catch_up();
    assert_eq!(ended.exit, 1, "{}", ended.text());
    assert!(
        ended.text().contains("500 of the last 500 messages"),
        "{}",
        ended.text()
    );
    assert!(ended.text().contains("500 bad_json"), "{}", ended.text());
    assert_eq!((stream.count().await, stream.committed()), (0, 0));
    let let_pass = ["ingest", "--until-caught-up", "--no-breaker"];
    stream.project.succeed(&let_pass);
    assert_eq!((stream.count().await, stream.committed()), (10, 610));
    assert_eq!(found(&stream, ""), 600);
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_are_replayed_while_ingest_runs() {
    let stream = with_letters("dlq_live").await;
    correct(&stream);
    let mut ingest = stream.project.start(&["ingest"]);
    stream.topic.insert(100..600);
    dlq(&stream, "replay", 3);
    wait_for("all rows", PATIENCE, || async {
        (stream.count().await == 503).then_some(())
    })
    .await;
    ingest.signal("TERM");
    assert_eq!(ingest.wait(PATIENCE), 143);
    assert_eq!(
        stream.rows().await[..2],
        ["1\t11", "2\ttwo, later"].map(str::to_owned)
    );
}
