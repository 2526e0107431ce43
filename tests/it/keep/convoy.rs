//! Batches that wait for each other: each leans on the one before it, and all of them on a delete that comes last.

use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, Producer as _};

use crate::support::kafka::{Topic, key, producer};
use crate::support::{Engine, PATIENCE, Project, wait_for};

const JOB: &str = r#"
topic = "{topic}"
key = ["id"]
[columns]
id = "Int64"
turn = "Int32"
big = { type = "String", toast = "keep" }
more = { type = "String", toast = "keep" }
"#;
const UNSENT: &str = "__debezium_unavailable_value";
const ROUNDS: i64 = 2;
const TURNS: i64 = 8;
/// Keys of a round.
const KEYS: i64 = 5;
/// From a key to the one that it becomes.
const MOVED: i64 = 1_000;

#[tokio::test(flavor = "multi_thread")]
async fn each_of_a_row_of_batches_that_wait_keeps_what_the_one_before_it_wrote() {
    let name = "keep_convoy";
    let project = Project::new(name, &Engine::of_stack()).await;
    let topic = Topic::create(name, 2).await;
    project.write(
        "jobs/silver/docs.toml",
        &JOB.replace("{topic}", &topic.name),
    );
    project.succeed(&["migrate"]);
    let table = format!("{}.docs_versions", project.database("silver"));
    let sending = producer(&[]);
    let send = |partition,
                op: char,
                id: i64,
                turn: i64,
                big: &str,
                lsn: i64,
                other: Option<(&str, i64)>| {
        let more = if op == 'c' && other.is_none() {
            "more"
        } else {
            UNSENT
        };
        let image = format!(r#"{{"id":{id},"turn":{turn},"big":"{big}","more":"{more}"}}"#);
        let (before, after) = match op {
            'd' => (image.as_str(), "null"),
            _ => ("null", image.as_str()),
        };
        let value = format!(
            r#"{{"before":{before},"after":{after},"source":{{"lsn":{lsn}}},"op":"{op}"}}"#
        );
        let key = key(id);
        let mut message = BaseRecord::to(&topic.name)
            .partition(partition)
            .key(&key)
            .payload(&value);
        if let Some((header, other)) = other {
            let other = crate::support::kafka::key(other);
            let header = Header {
                key: header,
                value: Some(&other),
            };
            message = message.headers(OwnedHeaders::new().insert(header));
        }
        assert!(sending.send(message).is_ok());
    };
    let arrived = async |what: &str, sql: &str, wanted: u64| {
        sending.flush(PATIENCE).unwrap();
        wait_for(what, PATIENCE, || async {
            (project.engine.number(sql).await == wanted).then_some(())
        })
        .await;
    };
    let ingest = project.start(&["ingest"]);
    for round in 0..ROUNDS {
        let ids = round * KEYS..(round + 1) * KEYS;
        for id in ids.clone() {
            send(1, 'c', id, 0, "turn 0", 10, None);
        }
        let there = format!(
            "SELECT countDistinct(id) FROM {table} WHERE id < {}",
            ids.end
        );
        arrived("the first rows", &there, ids.end as u64).await;
        for turn in 1..=TURNS {
            for id in ids.clone() {
                // every other turn says the large value anew
                let big = if turn % 2 == 0 {
                    format!("turn {turn}")
                } else {
                    UNSENT.to_owned()
                };
                match turn {
                    1 => send(
                        0,
                        'c',
                        id + MOVED,
                        turn,
                        &big,
                        1_000 + id,
                        Some(("__debezium.oldkey", id)),
                    ),
                    _ => send(0, 'u', id + MOVED, turn, &big, 1_000 + id + turn, None),
                }
            }
            // it waits for nobody, and so tells that the batch is under way
            let marker = 10 * MOVED + round * TURNS + turn;
            send(0, 'c', marker, turn, "turn 0", 10, None);
            let there = format!("SELECT count() FROM {table} FINAL WHERE id = {marker}");
            arrived("the marker", &there, 1).await;
        }
        for id in ids.clone() {
            send(
                1,
                'd',
                id,
                0,
                "",
                1_000 + id,
                Some(("__debezium.newkey", id + MOVED)),
            );
        }
        let last = format!(
            "SELECT count() FROM {table} FINAL WHERE id >= {MOVED} AND turn = {TURNS} AND id < {} + {MOVED}",
            ids.end
        );
        arrived("the last turn", &last, ids.end as u64).await;
    }
    drop(ingest);
    // of every version that no merge has taken
    let wrong = format!(
        "SELECT DISTINCT turn, big, more FROM {table} WHERE id >= {MOVED} AND id < {} AND (big != concat('turn ', toString(turn - turn % 2)) OR more != 'more')",
        10 * MOVED
    );
    assert_eq!(project.engine.rows(&wrong).await, Vec::<String>::new());
}
