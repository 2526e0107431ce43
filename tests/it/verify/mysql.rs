//! The same against MariaDB: its order of keys is another than ClickHouse's, and its log is written before others see a change.

use super::{differences, verify};
use crate::support::{Engine, MariaDb, Project};

#[tokio::test(flavor = "multi_thread")]
async fn what_differs_from_mariadb_is_named_and_repaired_and_later_changes_win() {
    let name = "verify_mariadb";
    let engine = Engine::of_stack();
    let mut project = Project::new(name, &engine).await;
    let mut source = MariaDb::new(name).await;
    // by its collation MariaDB takes `Öst` and `ost`, `eu's` and `EU'S` for the same, and sorts them otherwise
    source
        .run(
            "CREATE TABLE orders (region varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, id bigint unsigned,
                 amount decimal(10, 2) NOT NULL, note text, at datetime(6) NOT NULL, PRIMARY KEY (region, id))",
        )
        .await;
    source
        .run(
            "INSERT INTO orders SELECT ELT(1 + seq % 4, 'Öst', 'zz', 'eu''s', 'ABC'), 18446744073709540000 + seq, seq * 1.01,
                 IF(seq % 5 > 0, CONCAT('secret ', seq), NULL), '2025-01-01' + INTERVAL seq * 1000001 MICROSECOND
             FROM seq_1_to_3000",
        )
        .await;
    source.publish(&["orders"], &[]).await;
    project.set("BULLION_MYSQL_URL", &source.url());
    let prefix = source.name.as_str();
    let new = ["new", "silver", "orders", "--from-mysql", "orders"];
    project.succeed(&[&new[..], &["--topic-prefix", prefix]].concat());
    project.succeed(&["migrate"]);
    let rows = format!("SELECT count() FROM {name}_silver.orders");
    project.ingest_until("the snapshot", &rows, &["3000"]).await;
    let equal = verify(&project, "orders", &[]).exits(0).json();
    assert_eq!(
        (&equal["rows"], &equal["status"]),
        (&3000.into(), &"equal".into())
    );
    verify(&project, "orders", &["--sample", "50"]).exits(0);

    let table = format!("{name}_silver.orders_versions");
    let id = |seq: u64| 18446744073709540000_u64 + seq;
    for damage in [
        format!(
            "INSERT INTO {table} SELECT * REPLACE (_version + 1 AS _version, 'wrong' AS note, amount + 1 AS amount)
             FROM {table} FINAL WHERE id IN ({}, {})", id(7), id(2999)
        ),
        format!("INSERT INTO {table} SELECT * REPLACE (_version + 1 AS _version, 1 AS _deleted) FROM {table} FINAL WHERE id = {}", id(8)),
        format!("ALTER TABLE {table} DELETE WHERE id = {} SETTINGS mutations_sync = 1", id(9)),
        // equal by the source's collation, another key in silver
        format!("INSERT INTO {table} SELECT * REPLACE ('EU''S' AS region) FROM (SELECT * FROM {table} FINAL WHERE id = {})", id(10)),
    ] {
        engine.ask(&damage).await.unwrap();
    }
    let different = verify(&project, "orders", &[]).exits(4);
    let wanted = [
        format!("different {}/ABC amount,note", id(7)),
        format!("different {}/ABC amount,note", id(2999)),
        format!("extra {}/EU'S", id(10)),
        format!("missing {}/Öst", id(8)),
        format!("missing {}/zz", id(9)),
    ];
    assert_eq!(differences(&different), wanted);
    let text = different.text();
    assert!(
        !text.contains("wrong") && !text.contains("secret"),
        "{text}"
    );
    let repaired = verify(&project, "orders", &["--repair"]).exits(0).json();
    assert_eq!(repaired["status"], "repaired");
    assert_eq!(repaired["repaired"]["written"], 4);
    assert_eq!(repaired["repaired"]["removed"], 1);
    verify(&project, "orders", &[]).exits(0);

    source
        .run(&format!(
            "UPDATE orders SET note = 'later' WHERE id IN ({}, {})",
            id(7),
            id(8)
        ))
        .await;
    source
        .run(&format!("DELETE FROM orders WHERE id = {}", id(9)))
        .await;
    let later =
        format!("SELECT countIf(note = 'later') * (count() = 2999) FROM {name}_silver.orders");
    project.ingest_until("later changes", &later, &["2"]).await;
    verify(&project, "orders", &[]).exits(0);
}
