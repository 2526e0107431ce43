//! Silver held against its source, and repaired: `bullion verify`, on real parts.

mod mysql;
mod odd_tables;

use serde_json::Value;

use crate::support::kafka::{Topic, change, key};
use crate::support::program::Ran;
use crate::support::{Engine, PATIENCE, Project, Source, http, stack, wait_for};

const JOB: &str = r#"
topic = "{topic}"
key = ["id"]
[columns]
id = "Int64"
note = "Nullable(String)"
"#;

const ORDERS: &str = r#"
topic = "{topic}"
key = ["region", "id"]
[columns]
region = "LowCardinality(String)"
id = "Int64"
amount = "Decimal(10, 2)"
note = "Nullable(String)"
at = "DateTime64(6, 'UTC')"
"#;

/// `kind key columns` of every difference, sorted.
fn differences(ran: &Ran) -> Vec<String> {
    let told = |difference: &Value| {
        let key: Vec<String> = difference["key"]
            .as_object()
            .unwrap()
            .values()
            .map(|value| value.as_str().unwrap().to_owned())
            .collect();
        let columns: Vec<&str> = difference["columns"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        format!(
            "{} {} {}",
            difference["kind"].as_str().unwrap(),
            key.join("/"),
            columns.join(",")
        )
    };
    let json = ran.json();
    let mut told: Vec<String> = json["differences"]
        .as_array()
        .unwrap()
        .iter()
        .map(told)
        .collect();
    told.sort();
    told.iter().map(|told| told.trim().to_owned()).collect()
}

fn verify(project: &Project, job: &str, more: &[&str]) -> Ran {
    let mut arguments = vec!["verify", job, "--output", "json", "--patience", "1s"];
    arguments.extend(more);
    project.run(&arguments)
}

async fn delete_connector(name: &str) {
    let url = format!("{}/connectors/{name}", stack("BULLION_CONNECT_URL"));
    http().delete(url).send().await.unwrap();
}

/// Real Debezium: damage of every kind is named and repaired; the ghosts of a second snapshot are found and removed;
/// changes that come later still win.
#[tokio::test(flavor = "multi_thread")]
async fn what_differs_from_the_source_is_named_without_its_values_and_repaired() {
    let name = "verify_orders";
    let engine = Engine::of_stack();
    let mut project = Project::new(name, &engine).await;
    let source = Source::new(name).await;
    source
        .run(
            "CREATE TABLE orders (region text, id bigint, amount numeric(10, 2) NOT NULL, note text, at timestamptz NOT NULL,
                 PRIMARY KEY (region, id));
             INSERT INTO orders SELECT CASE WHEN n % 3 = 0 THEN 'Öst' ELSE 'eu''s' END, n, n * 1.01,
                 CASE WHEN n % 4 > 0 THEN 'secret ' || n END, timestamptz '2025-01-01Z' + n * interval '1.000001 s'
             FROM generate_series(1, 3000) n",
        )
        .await;
    source.publish(&["orders"], &[]).await;
    project.set("BULLION_POSTGRES_URL", &source.url());
    project.write(
        "jobs/silver/orders.toml",
        &ORDERS.replace("{topic}", &source.topic("orders")),
    );
    project.succeed(&["migrate"]);
    let rows = format!("SELECT count() FROM {name}_silver.orders");
    project.ingest_until("the snapshot", &rows, &["3000"]).await;
    let equal = verify(&project, "orders", &[]).exits(0);
    assert_eq!(equal.json()["rows"], 3000);
    assert_eq!(equal.json()["status"], "equal");
    verify(&project, "orders", &["--sample", "50"]).exits(0);

    // damage of every kind, behind ingest's back
    let table = format!("{name}_silver.orders_versions");
    for damage in [
        format!(
            "INSERT INTO {table} SELECT * REPLACE (_version + 1 AS _version, 'wrong' AS note, amount + 1 AS amount)
             FROM {table} FINAL WHERE id IN (7, 2999)"
        ),
        format!("INSERT INTO {table} SELECT * REPLACE (_version + 1 AS _version, 1 AS _deleted) FROM {table} FINAL WHERE id = 8"),
        format!("ALTER TABLE {table} DELETE WHERE id = 9 SETTINGS mutations_sync = 1"),
        format!("INSERT INTO {table} SELECT * REPLACE (9999 AS id) FROM (SELECT * FROM {table} FINAL WHERE id = 10)"),
    ] {
        engine.ask(&damage).await.unwrap();
    }
    let different = verify(&project, "orders", &[]).exits(4);
    assert_eq!(
        differences(&different),
        [
            "different 2999/eu's amount,note",
            "different 7/eu's amount,note",
            "extra 9999/eu's",
            "missing 8/eu's",
            "missing 9/Öst",
        ]
    );
    let text = project
        .run(&["verify", "orders", "--patience", "0s"])
        .exits(4)
        .text();
    assert!(
        text.contains("only in silver: region = eu's, id = 9999"),
        "{text}"
    );
    assert!(
        !text.contains("wrong") && !text.contains("secret"),
        "{text}"
    );
    let repaired = verify(&project, "orders", &["--repair"]).exits(0);
    assert_eq!(repaired.json()["status"], "repaired");
    assert_eq!(repaired.json()["repaired"]["written"], 4);
    assert_eq!(repaired.json()["repaired"]["removed"], 1);
    verify(&project, "orders", &[]).exits(0);

    // later changes of repaired rows win; a process that holds the lease keeps others out
    source
        .run(
            "UPDATE orders SET note = 'later' WHERE id IN (7, 8); DELETE FROM orders WHERE id IN (9, 2999);
             INSERT INTO orders VALUES ('eu''s', 9999, 1, 'back', now())",
        )
        .await;
    project
        .ingest_until("later changes", &rows, &["2999"])
        .await;
    verify(&project, "orders", &[]).exits(0);

    // the slot is lost, rows are deleted meanwhile, and a second snapshot says nothing of them
    delete_connector(&source.name).await;
    wait_for("the slot to be dropped", PATIENCE, || async {
        let drop = format!("SELECT pg_drop_replication_slot('{}')", source.name);
        source.client.batch_execute(&drop).await.ok()
    })
    .await;
    source
        .run("DELETE FROM orders WHERE id BETWEEN 100 AND 104; UPDATE orders SET note = 'unseen' WHERE id = 105")
        .await;
    source
        .publish(&["orders"], &[("snapshot.mode", "when_needed")])
        .await;
    let note = format!("SELECT count() FROM {name}_silver.orders WHERE note = 'unseen'");
    wait_for("the second snapshot", PATIENCE, || async {
        project.succeed(&["ingest", "--until-caught-up"]);
        (engine.number(&note).await == 1).then_some(())
    })
    .await;
    // the rest of the snapshot is on its way: what the topic holds by then has to be in silver first
    let ghosts = wait_for("ingest to pass the snapshot", PATIENCE, || async {
        project.succeed(&["ingest", "--until-caught-up"]);
        Some(verify(&project, "orders", &[])).filter(|ran| ran.exit == 4)
    })
    .await;
    assert_eq!(
        differences(&ghosts),
        [
            "extra 100/eu's",
            "extra 101/eu's",
            "extra 102/Öst",
            "extra 103/eu's",
            "extra 104/eu's"
        ]
    );
    let repaired = verify(&project, "orders", &["--repair"]).exits(0);
    assert_eq!(repaired.json()["repaired"]["removed"], 5);
    source
        .run("INSERT INTO orders VALUES ('eu''s', 100, 2, 'again', now())")
        .await;
    project
        .ingest_until("a removed key that comes back", &rows, &["2995"])
        .await;
    verify(&project, "orders", &[]).exits(0);
    delete_connector(&source.name).await;
}

/// Partitions that end at 10, at 1,000,000 and at 0, made by hand; the truth is in PostgreSQL.
#[tokio::test(flavor = "multi_thread")]
async fn a_repaired_row_wins_over_every_earlier_change_and_loses_to_every_later_one() {
    let name = "verify_versions";
    let engine = Engine::of_stack();
    let mut project = Project::new(name, &engine).await;
    let source = Source::new(name).await;
    let topic = Topic::create(name, 3).await;
    project.set("BULLION_POSTGRES_URL", &source.url());
    project.write(
        "jobs/silver/notes.toml",
        &JOB.replace("{topic}", &topic.name),
    );
    project.succeed(&["migrate"]);
    let send = |partition, op, id, note| {
        topic.send(
            partition,
            Some(&key(id)),
            Some(change(op, id, note).as_bytes()),
        );
    };
    // silver learns of 1, 5 and 6 on partition 0, and of 2 and 7 on partition 1
    for id in [1, 5, 6] {
        send(0, 'c', id, "old");
    }
    for id in [2, 7] {
        send(1, 'c', id, "old");
    }
    for _ in 3..10 {
        topic.send(0, None, None);
    }
    for _ in 2..1_000_000 {
        topic.send(1, None, None);
    }
    topic.flush();
    assert_eq!(
        [0, 1, 2].map(|at| topic.end(at)),
        [Some(10), Some(1_000_000), Some(0)]
    );
    // the source: 1 and 2 have other notes, 3 and 4 never came, 5 and 7 are gone, 6 is as it is
    source
        .run(
            "CREATE TABLE notes (id bigint PRIMARY KEY, note text);
             INSERT INTO notes VALUES (1, 'true'), (2, 'true'), (3, 'true'), (4, NULL), (6, 'old')",
        )
        .await;
    let notes = ["--from-postgres", "public.notes"];
    let repair = ["--from-postgres", "public.notes", "--repair"];

    // ingest has read nothing yet: where an unknown key lives cannot be known, so nothing is written
    let early = verify(&project, "notes", &repair).exits(75);
    assert_eq!(early.json()["repaired"]["waiting"], 5);
    project.succeed(&["ingest", "--until-caught-up"]);
    let expected = [
        "different 1 note",
        "different 2 note",
        "extra 5",
        "extra 7",
        "missing 3",
        "missing 4",
    ];
    assert_eq!(
        differences(&verify(&project, "notes", &notes).exits(4)),
        expected
    );
    let repaired = verify(&project, "notes", &repair).exits(0).json();
    assert_eq!(
        (
            &repaired["repaired"]["written"],
            &repaired["repaired"]["removed"]
        ),
        (&4.into(), &2.into())
    );
    let versions = format!(
        "SELECT id, bitAnd(bitShiftRight(v, 8), 0xffffffffffff), bitAnd(v, 255), at FROM (SELECT id, max(_version) AS v,
             argMax(_partition, _version) AS at FROM {name}_silver.notes_versions GROUP BY id) ORDER BY id"
    );
    let below_zero = (1_u64 << 48) - 1;
    assert_eq!(
        engine.rows(&versions).await,
        [
            "1\t9\t1\t0".to_owned(),
            "2\t999999\t1\t1".to_owned(),
            format!("3\t{below_zero}\t1\t-1"),
            format!("4\t{below_zero}\t1\t-1"),
            "5\t9\t1\t0".to_owned(),
            "6\t2\t0\t0".to_owned(),
            "7\t999999\t1\t1".to_owned(),
        ]
    );

    // broken and repaired again while no partition moved: the revision rises
    engine
        .ask(&format!(
            "INSERT INTO {name}_silver.notes_versions SELECT * REPLACE (_version + 1 AS _version, 'broken' AS note)
             FROM {name}_silver.notes_versions FINAL WHERE id IN (1, 3)"
        ))
        .await
        .unwrap();
    verify(&project, "notes", &repair).exits(0);
    let revisions = engine.rows(&versions).await;
    assert_eq!(
        [&revisions[0], &revisions[2]],
        ["1\t9\t3\t0", &format!("3\t{below_zero}\t3\t-1")]
    );
    // a stale owner's late write of an earlier change
    engine
        .ask(&format!(
            "INSERT INTO {name}_silver.notes_versions (id, note, _version, _deleted, _topic, _partition)
             VALUES (1, 'late', {}, 0, 't', 0), (7, 'late', {}, 0, 't', 1)",
            bullion::column::version(1, 8),
            bullion::column::version(1, 999_998)
        ))
        .await
        .unwrap();
    verify(&project, "notes", &notes).exits(0);

    // later changes of each, on the partition of each
    for (partition, op, id) in [
        (0, 'u', 1),
        (1, 'd', 2),
        (2, 'u', 3),
        (0, 'd', 4),
        (0, 'c', 5),
        (1, 'c', 7),
    ] {
        send(partition, op, id, "newest");
    }
    topic.flush();
    project.succeed(&["ingest", "--until-caught-up"]);
    source
        .run(
            "UPDATE notes SET note = 'newest' WHERE id IN (1, 3); DELETE FROM notes WHERE id IN (2, 4);
             INSERT INTO notes VALUES (5, 'newest'), (7, 'newest')",
        )
        .await;
    verify(&project, "notes", &notes).exits(0);
    let rows = engine
        .rows(&format!(
            "SELECT id, note FROM {name}_silver.notes ORDER BY id"
        ))
        .await;
    assert_eq!(
        rows,
        ["1\tnewest", "3\tnewest", "5\tnewest", "6\told", "7\tnewest"]
    );

    // a row that the job's own rules reject is named, and left to the job
    source
        .run("ALTER TABLE notes ALTER note TYPE bytea USING note::bytea")
        .await;
    let refused = project.run(&[
        "verify",
        "notes",
        "--from-postgres",
        "public.notes",
        "--output",
        "json",
        "--patience",
        "0s",
    ]);
    assert_eq!(refused.json()["not_compared"], serde_json::json!(["note"]));
}
