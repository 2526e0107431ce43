//! A resync of a job whose columns are masked, cast, constant, and kept where an update does not send them.

use crate::support::kafka::{Topic, key};
use crate::support::{Engine, Project, Source};

const JOB: &str = r#"
topic = "{topic}"
key = ["id"]
[columns]
id = "Int64"
card = { type = "Nullable(String)", mask = "last 4" }
email = { type = "Nullable(String)", mask = "hash" }
secret = { type = "Nullable(String)", mask = "null" }
visits = { type = "Nullable(Int64)", cast = true }
big = { type = "String", toast = "keep" }
[constants]
region = { type = "LowCardinality(String)", value = "eu" }
"#;

fn send(topic: &Topic, op: char, id: i64, visits: &str, big: &str) {
    let image = format!(
        r#"{{"id":{id},"card":"1234-5678-{id}","email":"{id}@example.org","secret":"s{id}","visits":"{visits}","big":"{big}"}}"#
    );
    let value = format!(r#"{{"before":null,"after":{image},"source":{{"lsn":1}},"op":"{op}"}}"#);
    let partition = i32::try_from(id % 2).unwrap();
    topic.send(partition, Some(&key(id)), Some(value.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn masked_cast_constant_and_kept_columns_are_what_ingest_makes_of_them() {
    let name = "resync_options";
    let mut project = Project::new(name, &Engine::of_stack()).await;
    let source = Source::new(name).await;
    let topic = Topic::create(name, 2).await;
    project.set("BULLION_POSTGRES_URL", &source.url());
    project.set("BULLION_MASK_KEY", "sixteen bytes or more");
    project.write(
        "jobs/silver/people.toml",
        &JOB.replace("{topic}", &topic.name),
    );
    project.succeed(&["migrate"]);
    source
        .run(
            "CREATE TABLE people (id bigint PRIMARY KEY, card text, email text, secret text, visits text, big text NOT NULL);
             INSERT INTO people SELECT n, '1234-5678-' || n, n || '@example.org', 's' || n, n::text, 'big ' || n
             FROM generate_series(1, 40) n;
             UPDATE people SET visits = 'many' WHERE id IN (5, 40)",
        )
        .await;
    for id in 1..40 {
        send(&topic, 'c', id, &id.to_string(), &format!("big {id}"));
    }
    // casts that fail: of a row that silver has, and of one that it has not
    send(&topic, 'u', 5, "many", "big 5");
    send(&topic, 'c', 40, "many", "big 40");
    send(&topic, 'u', 7, "7", "__debezium_unavailable_value");
    topic.flush();
    project.succeed(&["ingest", "--until-caught-up"]);
    let silver = project.database("silver");
    let rows = format!(
        "SELECT id, card, email, secret, visits, big, region FROM {silver}.people ORDER BY id"
    );
    let before = project.engine.rows(&rows).await;
    assert_eq!(before.len(), 39);
    assert!(before[6].starts_with("7\t*******78-7\t"), "{}", before[6]);
    assert!(before[6].ends_with("\t\\N\t7\tbig 7\teu"), "{}", before[6]);
    let damage = format!(
        "ALTER TABLE {silver}.people_versions UPDATE card = 'wrong', email = 'wrong', big = 'wrong', region = 'us' WHERE id != 5
         SETTINGS mutations_sync = 1"
    );
    let resync = [
        "resync",
        "people",
        "--from-postgres",
        "public.people",
        "--output",
        "json",
    ];
    for _ in 0..2 {
        project.engine.ask(&damage).await.unwrap();
        assert_ne!(project.engine.rows(&rows).await, before);
        let done = project.succeed(&resync).json();
        assert_eq!((&done["rows"], &done["refused"]), (&38.into(), &2.into()));
        assert_eq!(project.engine.rows(&rows).await, before);
    }
    // an update leans on a row that the resync has written
    send(&topic, 'u', 7, "8", "__debezium_unavailable_value");
    topic.flush();
    project.succeed(&["ingest", "--until-caught-up"]);
    let seven = format!("SELECT visits, big FROM {silver}.people WHERE id = 7");
    assert_eq!(project.engine.rows(&seven).await, ["8\tbig 7"]);
    // and Kafka makes the same of it, the rows of the source included
    let kafka = [
        "resync",
        "people",
        "--source",
        "kafka",
        "--not-in-kafka",
        "drop",
        "--output",
        "json",
    ];
    let done = project.succeed(&kafka).json();
    assert_eq!(
        (&done["removed"], &done["rejects"]["bad_value"]),
        (&0.into(), &2.into())
    );
    let seven_and = before.iter().filter(|row| !row.starts_with("7\t"));
    let others = format!(
        "SELECT id, card, email, secret, visits, big, region FROM {silver}.people WHERE id != 7 ORDER BY id"
    );
    assert_eq!(
        project.engine.rows(&others).await,
        seven_and.cloned().collect::<Vec<_>>()
    );
}
