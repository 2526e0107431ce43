//! `toast = "keep"`: what an update did not send is what the row had, on a real PostgreSQL and a real Debezium.

mod convoy;

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::BaseRecord;

use crate::support::kafka::{Topic, producer};
use crate::support::program::Running;
use crate::support::{Engine, PATIENCE, Project, Source, wait_for};

const DOCS: &str = r#"
topic = "{topic}"
key = ["id"]

[policy]
toast = "keep"

[columns]
id = "Int64"
turn = "Int32"
words = "Nullable(String)"
raw = { type = "Nullable(String)", from = "base64" }
tree = "Nullable(String)"
tags = "Array(String)"
numbers = "Array(Int32)"
"#;

/// EXTERNAL: out of line and not compressed, so that a few KB are large.
const TABLE: &str = "CREATE TABLE docs (
    id bigint PRIMARY KEY, turn int NOT NULL, words text, raw bytea, tree jsonb, tags text[] NOT NULL, numbers int[] NOT NULL
);
ALTER TABLE docs ALTER words SET STORAGE EXTERNAL, ALTER raw SET STORAGE EXTERNAL, ALTER tree SET STORAGE EXTERNAL,
    ALTER tags SET STORAGE EXTERNAL, ALTER numbers SET STORAGE EXTERNAL;
CREATE FUNCTION long(seed int) RETURNS text LANGUAGE sql IMMUTABLE AS
    $$ SELECT string_agg(md5((seed * 1000 + n)::text), '') FROM generate_series(1, 90) n $$;
CREATE FUNCTION many(seed int) RETURNS int[] LANGUAGE sql IMMUTABLE AS
    $$ SELECT array_agg(seed + n) FROM generate_series(1, 900) n $$;
INSERT INTO docs SELECT n, 0, long(n), decode(long(n), 'hex'), to_jsonb(long(n)), ARRAY[long(n), 'x'], many(n) FROM generate_series(1, 40) n;";

const KILLS: usize = 4;
const CHANGES: usize = 120;

/// xorshift: the same changes in every run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn toast_placeholders_keep_the_values_before_them() {
    let name = "toast_keep";
    let engine = Engine::of_stack();
    let mut project = Project::new(name, &engine).await;
    let source = Source::new(name).await;
    source.run(TABLE).await;
    project.write(
        "jobs/silver/docs.toml",
        &DOCS.replace("{topic}", &source.topic("docs")),
    );
    source.publish(&["docs"], &[]).await;
    project.succeed(&["migrate"]);
    wait_for("the topic", PATIENCE, || async {
        (project.run(&["ingest", "--peek", "1"]).exit == 0).then_some(())
    })
    .await;

    let mut dice = Dice(42);
    let mut ids: Vec<u64> = (1..=40).collect();
    let mut next = 41;
    for kill in 0..=KILLS {
        let ingest: Running = project.start(&["ingest"]);
        for _ in 0..CHANGES {
            source.run(&change(&mut dice, &mut ids, &mut next)).await;
        }
        if kill < KILLS {
            ingest.kill();
            continue;
        }
        same(&project, &source, "the changes").await;
        ingest.kill();
    }

    // everything again, by another group, when merges have left the last version of each key alone
    let table = format!("{name}_silver.docs_versions");
    engine
        .ask(&format!("OPTIMIZE TABLE {table} FINAL"))
        .await
        .unwrap();
    project.set("BULLION_KAFKA_GROUP", &format!("{}-again", source.name));
    project.succeed(&["ingest", "--until-caught-up"]);
    same(&project, &source, "a second reading").await;

    engine
        .ask(&format!("TRUNCATE TABLE {table}"))
        .await
        .unwrap();
    project.set("BULLION_KAFKA_GROUP", &format!("{}-anew", source.name));
    project.succeed(&["ingest", "--until-caught-up"]);
    same(&project, &source, "a rebuild").await;
}

/// Inserts, updates that leave large columns alone, changes of key, deletes.
fn change(dice: &mut Dice, ids: &mut Vec<u64>, next: &mut u64) -> String {
    let at = dice.roll(ids.len() as u64) as usize;
    let id = ids[at];
    let seed = dice.roll(10_000);
    let new = *next;
    match dice.roll(12) {
        0 => {
            *next += 1;
            ids.push(new);
            format!(
                "INSERT INTO docs VALUES ({new}, 1, long({seed}), NULL, to_jsonb(long({seed})), ARRAY[long({seed})], many({seed}))"
            )
        }
        1 | 2 => {
            *next += 1;
            ids[at] = new;
            format!("UPDATE docs SET id = {new}, turn = turn + 1 WHERE id = {id}")
        }
        3 if ids.len() > 20 => {
            ids.swap_remove(at);
            format!("DELETE FROM docs WHERE id = {id}")
        }
        4 => format!("UPDATE docs SET words = long({seed}) WHERE id = {id}"),
        5 => format!(
            "UPDATE docs SET raw = decode(long({seed}), 'hex'), tree = NULL WHERE id = {id}"
        ),
        6 => format!("UPDATE docs SET words = NULL, numbers = many({seed}) WHERE id = {id}"),
        7 => format!(
            "UPDATE docs SET turn = -1 WHERE id = {id}; UPDATE docs SET tags = ARRAY[long({seed}), 'y', ''] WHERE id = {id}"
        ),
        _ => format!("UPDATE docs SET turn = turn + 1 WHERE id = {id}"),
    }
}

/// Row for row, and nothing was rejected.
async fn same(project: &Project, source: &Source, after: &str) {
    let expected = source
        .rows(
            "SELECT id, turn, md5(words), md5(encode(raw, 'hex')), md5(tree #>> '{}'), md5(array_to_string(tags, ',')),
             md5(array_to_string(numbers, ',')) FROM docs ORDER BY id",
        )
        .await;
    let md5 = |text: &str| format!("lower(hex(MD5({text})))");
    let mut sql = "SELECT id, turn".to_owned();
    for text in [
        "words",
        "lower(hex(raw))",
        "JSON_VALUE(tree, '$')",
        "arrayStringConcat(tags, ',')",
        "arrayStringConcat(numbers, ',')",
    ] {
        let text = text.replace("JSON_VALUE(tree, '$')", "trim(BOTH '\"' FROM tree)");
        let _ = write!(sql, ", {}", md5(&text));
    }
    let name = &project.name;
    let _ = write!(sql, " FROM {name}_silver.docs ORDER BY id FORMAT TSVRaw");
    let until = Instant::now() + PATIENCE;
    while project.engine.rows(&sql).await != expected && Instant::now() < until {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(project.engine.rows(&sql).await, expected, "after {after}");
    let rejected = format!("SELECT reason, column, partition, offset FROM {name}_ops.dead_letters");
    assert_eq!(project.engine.rows(&rejected).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_whose_row_is_not_in_silver_is_a_dead_letter() {
    let name = "toast_nowhere";
    let engine = Engine::of_stack();
    let project = Project::new(name, &engine).await;
    let topic = Topic::create(name, 1).await;
    let job = "topic = \"{topic}\"\nkey = [\"id\"]\n[columns]\nid = \"Int64\"\nn = \"Int32\"\n\
               big = { type = \"String\", toast = \"keep\" }\n";
    project.write(
        "jobs/silver/docs.toml",
        &job.replace("{topic}", &topic.name),
    );
    project.succeed(&["migrate"]);
    let sending = producer(&[]);
    let send = |op: &str, id: i64, n: &str, big: &str| {
        let value = format!(
            r#"{{"before":null,"after":{{"id":{id},"n":{n},"big":"{big}"}},"source":{{"lsn":1}},"op":"{op}"}}"#
        );
        let key = format!(r#"{{"id":{id}}}"#);
        let value = (op != "x").then_some(value.as_bytes());
        crate::support::kafka::send(&sending, &topic.name, 0, Some(&key), value);
    };
    let unsent = "__debezium_unavailable_value";
    send("c", 1, "1", "one");
    send("u", 1, "2", unsent); // 1: kept
    send("u", 2, "2", unsent); // 2: never seen
    send("c", 3, "1", "three");
    send("x", 3, "", "");
    send("u", 3, "2", unsent); // 5: deleted before
    send("c", 4, "1", "four");
    send("u", 4, "\"?\"", "new"); // 7: a dead letter that may have said it
    send("u", 4, "3", unsent); // 8
    // of a connector whose headers arrive and say nothing of another key: somebody has typed it
    let typed = format!(
        r#"{{"before":null,"after":{{"id":5,"n":1,"big":"{unsent}"}},"source":{{}},"op":"c"}}"#
    );
    let record = BaseRecord::to(&topic.name)
        .key(r#"{"id":5}"#)
        .payload(&typed)
        .headers(OwnedHeaders::new().insert(Header {
            key: "__debezium.context.connectorName",
            value: Some("postgresql"),
        }));
    sending.send(record).map_err(|(error, _)| error).unwrap();
    rdkafka::producer::Producer::flush(&sending, PATIENCE).unwrap();
    let ended = project.succeed(&["ingest", "--until-caught-up", "--output", "json"]);
    let rows = format!("SELECT id, n, big FROM {name}_silver.docs ORDER BY id");
    let stored = ["1\t2\tone", "4\t1\tfour", &format!("5\t1\t{unsent}")];
    assert_eq!(engine.rows(&rows).await, stored);
    assert_eq!(ended.json()["jobs"]["docs"]["typed_placeholders"], 1);
    let letters = format!(
        "SELECT offset, reason, column, value LIKE '%\"op\":\"u\"%' FROM {name}_ops.dead_letters ORDER BY offset"
    );
    let expected = [
        "2\ttoast_placeholder\tbig\t1",
        "5\ttoast_placeholder\tbig\t1",
        "7\tbad_value\tn\t1",
        "8\ttoast_placeholder\tbig\t1",
    ];
    assert_eq!(engine.rows(&letters).await, expected, "{}", ended.text());
}
