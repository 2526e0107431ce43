//! Built anew from what Kafka still holds: `bullion resync --source kafka`, for jobs whose source cannot be asked.

mod odd_topics;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use bullion::column::version;

use super::{LARGE, assert_tidy};
use crate::support::kafka::{Topic, key};
#[cfg(feature = "failpoints")]
use crate::support::program::process_state;
use crate::support::{Dice, Engine, PATIENCE, Project, wait_for};

/// Columns of the message itself are in no source, so a resync from there refuses the job.
const JOB: &str = r#"
topic = "{topic}"
key = ["id"]
[columns]
id = "Int64"
note = "Nullable(String)"
[metadata]
place = "offset"
"#;
const RESYNC: [&str; 4] = ["resync", "notes", "--source", "kafka"];

/// id → note
type Notes = BTreeMap<i64, String>;

async fn started(name: &str, job: &str) -> (Project, Topic) {
    let project = Project::new(name, &Engine::of_stack()).await;
    let topic = Topic::create(name, 3).await;
    project.write(
        "jobs/silver/notes.toml",
        &job.replace("{topic}", &topic.name),
    );
    project.succeed(&["migrate"]);
    (project, topic)
}

async fn notes(project: &Project) -> Notes {
    let sql = format!(
        "SELECT id, note FROM {}.notes ORDER BY id",
        project.database("silver")
    );
    let rows = project.engine.rows(&sql).await;
    let pair = |row: &String| {
        let (id, note) = row.split_once('\t').unwrap();
        (id.parse().unwrap(), note.to_owned())
    };
    rows.iter().map(pair).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_built_anew_from_its_messages_while_ingest_writes_and_ghosts_are_told_first() {
    let (project, topic) = started("resync_kafka_live", JOB).await;
    let (project, topic) = (Arc::new(project), Arc::new(topic));
    let engine = project.engine.clone();
    let table = format!("{}.notes_versions", project.database("silver"));
    topic.insert(1..3_001);
    let mut expected: Notes = (1..3_001).map(|id| (id, "x".to_owned())).collect();
    for id in 2_010..2_020 {
        topic.change('d', id, "x");
        expected.remove(&id);
    }
    // an earlier declaration of the job took this message, and this one does not
    let offset = topic.end(0);
    topic.flush();
    let refused = offset.max(topic.end(0)).unwrap();
    topic.send(
        0,
        Some(&key(2_400)),
        Some(br#"{"before":null,"after":{"id":2400,"note":{"no":"text"}},"source":{},"op":"u"}"#),
    );
    topic.flush();
    project.succeed(&["ingest", "--until-caught-up"]);
    expected.insert(2_400, "taken".to_owned());
    for damage in [
        format!(
            "INSERT INTO {table} (id, note, _version, _partition) VALUES (2400, 'taken', {}, 0)",
            version(1, refused)
        ),
        format!(
            "INSERT INTO {table} (id, note, _version, _partition) SELECT 9000 + number, 'ghost', {}, number % 3 FROM numbers(10)",
            version(1, 7) + 1
        ),
        format!(
            "ALTER TABLE {table} UPDATE note = 'wrong' WHERE id > 2500 SETTINGS mutations_sync = 1"
        ),
        format!(
            "ALTER TABLE {table} DELETE WHERE id >= 2100 AND id < 2110 SETTINGS mutations_sync = 1"
        ),
    ] {
        engine.ask(&damage).await.unwrap();
    }
    let told = project.run(&RESYNC);
    assert_eq!(told.exit, 2, "{}", told.text());
    assert!(
        told.text()
            .contains("does not tell of 10 rows of silver: 0 are of messages"),
        "{}",
        told.text()
    );
    assert!(told.text().contains("--not-in-kafka"), "{}", told.text());
    assert_tidy(&project).await;

    let ingest = project.start(&["ingest"]);
    let going = Arc::new(AtomicBool::new(true));
    let looks = Arc::new(AtomicU64::new(0));
    let reader = tokio::spawn({
        let (going, looks) = (Arc::clone(&going), Arc::clone(&looks));
        let sql = format!(
            "SELECT count() FROM {}.notes WHERE id > 200",
            project.database("silver")
        );
        let engine = engine.clone();
        async move {
            while going.load(Ordering::Relaxed) {
                // the old table lacks ten and has ten ghosts; 2010 to 2019 were deleted
                assert_eq!(engine.ask(&sql).await.unwrap().trim(), "2790");
                looks.fetch_add(1, Ordering::Relaxed);
            }
        }
    });
    let writer = tokio::spawn({
        let (topic, going) = (Arc::clone(&topic), Arc::clone(&going));
        async move {
            let (mut dice, mut written, mut turn) = (Dice::new(5), Notes::new(), 0);
            while going.load(Ordering::Relaxed) {
                turn += 1;
                let id = 1 + i64::try_from(dice.below(200)).unwrap();
                let note = format!("turn {turn}");
                topic.change('u', id, &note);
                topic.flush();
                written.insert(id, note);
            }
            written
        }
    });
    let resync = {
        let project = Arc::clone(&project);
        let arguments = [&RESYNC[..], &["--not-in-kafka", "drop", "--output", "json"]].concat();
        let work = move || project.succeed(&arguments);
        tokio::task::spawn_blocking(work).await.unwrap().json()
    };
    going.store(false, Ordering::Relaxed);
    expected.extend(writer.await.unwrap());
    reader.await.unwrap();
    assert!(looks.load(Ordering::Relaxed) > 5, "{looks:?}");
    assert_eq!(
        (&resync["removed"], &resync["refused"]),
        (&10.into(), &1.into())
    );
    assert_eq!(resync["rejects"]["bad_value"], 1);
    wait_for("the last changes", PATIENCE, || async {
        (notes(&project).await == expected).then_some(())
    })
    .await;
    drop(ingest);
    assert_tidy(&project).await;
    // and the columns of the message are those of the message, but for the row that was kept
    let odd = format!(
        "SELECT count() FROM {table} FINAL WHERE place != bitAnd(bitShiftRight(_version, 8), 0xffffffffffff)"
    );
    assert_eq!(engine.number(&odd).await, 1);
}

/// A change of the row whose large value is sent, or is not.
fn send(topic: &Topic, op: char, id: i64, note: &str, sent: bool) {
    let big = match sent {
        true => format!("big {id}"),
        false => "__debezium_unavailable_value".to_owned(),
    };
    let image = format!(r#"{{"id":{id},"note":"{note}","big":"{big}"}}"#);
    let (before, after) = match op {
        'd' => (image.as_str(), "null"),
        _ => ("null", image.as_str()),
    };
    let value =
        format!(r#"{{"before":{before},"after":{after},"source":{{"lsn":1}},"op":"{op}"}}"#);
    topic.send(
        i32::try_from(id % 3).unwrap(),
        Some(&key(id)),
        Some(value.as_bytes()),
    );
}

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn what_retention_has_passed_and_what_a_repair_wrote_is_kept_killed_at_any_step() {
    let (mut project, topic) = started("resync_kafka_killed", LARGE).await;
    let engine = project.engine.clone();
    let table = format!("{}.notes_versions", project.database("silver"));
    let early = project.run(&RESYNC);
    assert_eq!(early.exit, 75, "ingest has read nothing: {}", early.text());
    let mut expected = Notes::new();
    for id in 1..301 {
        send(&topic, 'c', id, "old", true);
        expected.insert(id, "old".to_owned());
    }
    topic.flush();
    project.succeed(&["ingest", "--until-caught-up"]);
    for partition in 0..3 {
        topic
            .delete_below(partition, topic.end(partition).unwrap())
            .await;
    }
    for id in 1..51 {
        send(&topic, 'u', id, "new", false);
        expected.insert(id, "new".to_owned());
    }
    for id in 301..351 {
        send(&topic, 'c', id, "young", true);
        expected.insert(id, "young".to_owned());
    }
    send(&topic, 'd', 60, "old", true);
    expected.remove(&60);
    topic.flush();
    project.succeed(&["ingest", "--until-caught-up"]);
    for repair in [
        format!(
            "INSERT INTO {table} SELECT * REPLACE (_version + 1 AS _version, 'repaired' AS note) FROM {table} FINAL WHERE id = 310"
        ),
        // a ghost that a repair has taken away, of which Kafka has the create
        format!(
            "INSERT INTO {table} SELECT * REPLACE (_version + 1 AS _version, 1 AS _deleted) FROM {table} FINAL WHERE id = 311"
        ),
    ] {
        engine.ask(&repair).await.unwrap();
    }
    expected.insert(310, "repaired".to_owned());
    expected.remove(&311);
    assert_eq!(notes(&project).await, expected);
    let told = project.run(&RESYNC);
    assert_eq!(told.exit, 2, "{}", told.text());
    assert!(
        told.text()
            .contains("does not tell of 250 rows of silver: 249 are of messages"),
        "{}",
        told.text()
    );
    let keep = [&RESYNC[..], &["--not-in-kafka", "keep", "--output", "json"]].concat();
    for (point, swapped) in [
        ("resync-begun", false),
        ("resync-filled", false),
        ("resync-swapped", true),
        ("resync-copied", true),
        ("resync-dropped", false),
    ] {
        project.set("BULLION_FAILPOINT", &format!("{point}:1:kill"));
        let killed = project.run(&keep);
        assert_eq!(killed.exit, -1, "{point}: {}", killed.text());
        project.unset("BULLION_FAILPOINT");
        // what ingest reads after the kill goes into whichever table has the name
        send(&topic, 'u', 2, point, false);
        topic.flush();
        expected.insert(2, point.to_owned());
        project.succeed(&["ingest", "--until-caught-up"]);
        if point == "resync-swapped" {
            // a letter of a message that Kafka has forgotten, written into the old table just before the swap
            let old = super::swapped_out(&project).await;
            let row = format!(
                "INSERT INTO {old} (id, note, big, _version, _partition) VALUES (400, 'letter', 'big 400', {}, 1)",
                version(1, 3)
            );
            engine.ask(&row).await.unwrap();
            expected.insert(400, "letter".to_owned());
        }
        let again = project.succeed(&keep).json();
        assert_eq!(again["finished_earlier"], swapped, "{point}");
        assert_eq!(notes(&project).await, expected, "{point}");
        assert_tidy(&project).await;
    }
    let whole = format!(
        "SELECT count() FROM {}.notes WHERE big != concat('big ', toString(id))",
        project.database("silver")
    );
    assert_eq!(engine.number(&whole).await, 0, "large values are kept");
    let letters = format!(
        "SELECT count() FROM {}.dead_letters",
        project.database("ops")
    );
    assert_eq!(engine.number(&letters).await, 0);

    // of nothing but messages; large values that are in none of them are those that silver has
    let drop = [&RESYNC[..], &["--not-in-kafka", "drop", "--output", "json"]].concat();
    // a table that got a column meanwhile is not replaced by one without it
    project.set("BULLION_FAILPOINT", "resync-begun:1:stop");
    let mut widened = project.start(&drop);
    let pid = widened.0.id();
    wait_for("the table to be begun", PATIENCE, || async {
        (process_state(pid) == Some('T')).then_some(())
    })
    .await;
    project.unset("BULLION_FAILPOINT");
    let alter = format!("ALTER TABLE {table} ADD COLUMN more Int8");
    engine.ask(&alter).await.unwrap();
    widened.signal("CONT");
    assert_eq!(widened.wait(PATIENCE), 1, "{}", project.log());
    assert!(
        project.log().contains("got other columns meanwhile"),
        "{}",
        project.log()
    );
    let dropped = project.succeed(&drop).json();
    assert_eq!(
        (&dropped["removed"], &dropped["refused"]),
        (&250.into(), &0.into())
    );
    expected.retain(|id, _| *id < 51 || (301..351).contains(id));
    expected.extend([(310, "young".to_owned()), (311, "young".to_owned())]);
    assert_eq!(notes(&project).await, expected);
    assert_eq!(engine.number(&whole).await, 0);
}

const DOCUMENTS: &str = r#"
topic = "{topic}"
format = "mongodb-json"
key = ["_id"]
[columns]
_id = "Int64"
city = { type = "Nullable(String)", path = "address.city" }
document = { type = "String", path = "$" }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn documents_of_mongodb_are_built_anew_without_a_word_where_nothing_is_at_stake() {
    let (project, topic) = started("resync_kafka_documents", DOCUMENTS).await;
    let silver = project.database("silver");
    for id in 0..30 {
        let after = format!(r#"{{\"_id\":{id},\"address\":{{\"city\":\"Bern {id}\"}}}}"#);
        let value = format!(
            r#"{{"before":null,"after":"{after}","source":{{"connector":"mongodb"}},"op":"c"}}"#
        );
        let key = format!(r#"{{"id":"{id}"}}"#);
        topic.send(id % 3, Some(&key), Some(value.as_bytes()));
    }
    topic.send(0, Some(r#"{"id":"3"}"#), None);
    topic.flush();
    project.succeed(&["ingest", "--until-caught-up"]);
    let rows = format!("SELECT _id, city, document FROM {silver}.notes ORDER BY _id");
    let before = project.engine.rows(&rows).await;
    assert_eq!(before.len(), 29);
    let damage = format!(
        "ALTER TABLE {silver}.notes_versions UPDATE city = 'Atlantis' WHERE _id > 20 SETTINGS mutations_sync = 1"
    );
    project.engine.ask(&damage).await.unwrap();
    let planned = project.succeed(&[&RESYNC[..], &["--dry-run"]].concat());
    assert!(
        planned.text().contains("31 messages of topic"),
        "{}",
        planned.text()
    );
    assert_ne!(project.engine.rows(&rows).await, before);
    let done = project
        .succeed(&[&RESYNC[..], &["--output", "json"]].concat())
        .json();
    assert_eq!(
        (&done["messages"], &done["removed"], &done["kept"]),
        (&31.into(), &0.into(), &0.into())
    );
    assert_eq!(project.engine.rows(&rows).await, before);
    assert_tidy(&project).await;
}
