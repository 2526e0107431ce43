//! The same against MariaDB, whose order of keys is another than ClickHouse's, through the real Debezium.

use crate::support::{Engine, MariaDb, Project};

#[cfg(feature = "failpoints")]
#[tokio::test(flavor = "multi_thread")]
async fn a_table_of_mariadb_is_built_anew_killed_at_any_step_and_later_changes_win() {
    let name = "resync_mariadb";
    let engine = Engine::of_stack();
    let mut project = Project::new(name, &engine).await;
    let mut source = MariaDb::new(name).await;
    for sql in [
        "CREATE TABLE orders (region varchar(20) CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci, id bigint unsigned,
             amount decimal(10, 2) NOT NULL, note text, PRIMARY KEY (region, id))",
        "INSERT INTO orders SELECT ELT(1 + seq % 4, 'Öst', 'zz', 'eu''s', 'ABC'), 18446744073709540000 + seq, seq * 1.01,
             IF(seq % 5 > 0, CONCAT('note ', seq), NULL) FROM seq_1_to_2000",
    ] {
        source.run(sql).await;
    }
    source.publish(&["orders"], &[]).await;
    // nothing but mysql.url says where the rows are
    project.set("BULLION_MYSQL_URL", &source.url());
    let prefix = source.name.as_str();
    let new = ["new", "silver", "orders", "--from-mysql", "orders"];
    project.succeed(&[&new[..], &["--topic-prefix", prefix]].concat());
    project.succeed(&["migrate"]);
    let rows = format!("SELECT count() FROM {name}_silver.orders");
    project.ingest_until("the snapshot", &rows, &["2000"]).await;

    let table = format!("{name}_silver.orders_versions");
    let id = |seq: u64| 18446744073709540000_u64 + seq;
    for damage in [
        // a ghost whose key is equal to another's by the source's collation, wrong rows, rows that are gone
        format!(
            "INSERT INTO {table} SELECT * REPLACE ('EU''S' AS region) FROM (SELECT * FROM {table} FINAL WHERE id = {})",
            id(10)
        ),
        format!(
            "INSERT INTO {table} SELECT * REPLACE (_version + 1 AS _version, 'wrong' AS note) FROM {table} FINAL WHERE id % 3 = 0"
        ),
        format!(
            "INSERT INTO {table} SELECT * REPLACE (_version + 1 AS _version, 1 AS _deleted) FROM {table} FINAL WHERE id = {}",
            id(8)
        ),
        format!(
            "ALTER TABLE {table} DELETE WHERE id = {} SETTINGS mutations_sync = 1",
            id(9)
        ),
    ] {
        engine.ask(&damage).await.unwrap();
    }
    let verify = ["verify", "orders", "--patience", "2s"];
    assert_eq!(project.run(&verify).exit, 4);
    let resync = ["resync", "orders", "--patience", "60s", "--output", "json"];
    // changes that come meanwhile have to be read
    let ingest = project.start(&["ingest"]);
    for (turn, point) in ["resync-begun", "resync-filled", "resync-swapped"]
        .into_iter()
        .enumerate()
    {
        project.set("BULLION_FAILPOINT", &format!("{point}:1:kill"));
        // a resync that was swapped when it was killed is finished by the next one
        let killed = project.run(&resync);
        assert_eq!(killed.exit, -1, "{point}: {}", killed.text());
        project.unset("BULLION_FAILPOINT");
        source
            .run(&format!(
                "UPDATE orders SET note = 'turn {turn}' WHERE id = {}",
                id(100)
            ))
            .await;
    }
    let finished = project.succeed(&resync).json();
    assert_eq!(finished["finished_earlier"], true);
    let whole = project.succeed(&resync).json();
    assert_eq!(
        (&whole["rows"], &whole["removed"]),
        (&2000.into(), &0.into())
    );
    drop(ingest);
    let ghost = format!("SELECT argMax(_deleted, _version) FROM {table} WHERE region = 'EU''S'");
    assert_eq!(engine.rows(&ghost).await, ["1"]);
    let tables = format!(
        "SELECT name FROM system.tables WHERE database = '{name}_silver' AND name LIKE 'orders\\_v%'"
    );
    assert_eq!(engine.rows(&tables).await, ["orders_versions"]);

    source
        .run(&format!(
            "UPDATE orders SET note = 'later' WHERE id IN ({}, {})",
            id(3),
            id(8)
        ))
        .await;
    source
        .run(&format!("DELETE FROM orders WHERE id = {}", id(9)))
        .await;
    let later =
        format!("SELECT countIf(note = 'later') * (count() = 1999) FROM {name}_silver.orders");
    project.ingest_until("later changes", &later, &["2"]).await;
    project.succeed(&verify);
}
