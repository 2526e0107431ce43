//! Rows as Debezium's ExtractNewRecordState leaves them, by each of its ways to tell of deletes, through the real transform.

use std::time::Duration;

use crate::support::{Engine, Project, Source, wait_for};

/// How long Debezium may take to publish what was committed.
const PUBLISHED: Duration = Duration::from_secs(60);

/// The transform's mode, which is also the table's name, and what the job declares.
const MODES: [(&str, &str); 5] = [
    ("tombstone", "tombstone"),
    ("delete-to-tombstone", "tombstone"),
    ("rewrite", "rewrite"),
    ("rewrite-with-tombstone", "rewrite"),
    ("drop", "none"),
];

#[tokio::test(flavor = "multi_thread")]
async fn flattened_rows_follow_the_source_by_every_way_of_telling_deletes() {
    let name = "flattened";
    let project = Project::new(name, &Engine::of_stack()).await;
    let source = Source::new(name).await;
    let tables: Vec<String> = MODES
        .iter()
        .map(|(mode, _)| mode.replace('-', "_"))
        .collect();
    for table in &tables {
        source
            .run(&format!(
                "CREATE TABLE {table} (id bigint PRIMARY KEY, note text, price numeric(10, 2), at timestamp);
                INSERT INTO {table} SELECT n, 'snapshot ' || n, n + 0.5, '2024-01-01 00:00:00.000001' FROM generate_series(1, 4) n"
            ))
            .await;
    }
    let settings = transforms(&source, &tables);
    let settings: Vec<(&str, &str)> = settings
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let names: Vec<&str> = tables.iter().map(String::as_str).collect();
    source.publish(&names, &settings).await;
    for table in &tables {
        source
            .run(&format!(
                "UPDATE {table} SET note = 'updated' WHERE id = 1; DELETE FROM {table} WHERE id = 2;
                UPDATE {table} SET id = 30 WHERE id = 3; INSERT INTO {table} VALUES (5, NULL, -1.25, NULL)"
            ))
            .await;
    }
    for ((_, deletes), table) in MODES.iter().zip(&tables) {
        let job = format!(
            "topic = \"{}\"\nformat = \"flattened-json\"\ndeletes = \"{deletes}\"\nkey = [\"id\"]\n[columns]\nid = \"Int64\"\n\
             note = \"Nullable(String)\"\nprice = \"Decimal(10, 2)\"\nat = \"Nullable(DateTime64(6, 'UTC'))\"\n",
            source.topic(table)
        );
        project.write(&format!("jobs/silver/{table}.toml"), &job);
    }
    project.succeed(&["migrate"]);

    for ((mode, deletes), table) in MODES.iter().zip(&tables) {
        let cells = "id, coalesce(note, '-'), price, coalesce((extract(epoch FROM at) * 1000000)::bigint::text, '-')";
        let mut expected = source
            .rows(&format!("SELECT {cells} FROM {table} ORDER BY id"))
            .await;
        if *deletes == "none" {
            let old = "1704067200000001";
            expected.extend([2, 3].map(|id| format!("{id}\tsnapshot {id}\t{id}.50\t{old}")));
            expected.sort();
        }
        let sql = format!(
            "SELECT id, ifNull(note, '-'), toDecimalString(price, 2), ifNull(toString(toUnixTimestamp64Micro(at)), '-') \
             FROM {name}_silver.{table} ORDER BY toString(id)"
        );
        expected.sort();
        let what = format!("silver to follow by {mode}");
        wait_for(&what, PUBLISHED, || async {
            // exit 2 until Debezium has made the topic
            let ran = project.run(&["ingest", "--until-caught-up", table]);
            assert!(matches!(ran.exit, 0 | 2), "{}", ran.text());
            (project.engine.rows(&sql).await == expected).then_some(())
        })
        .await;
        // the transform's fields fill the diagnostic columns where it adds them
        let sql = format!(
            "SELECT countIf(_lsn > 0 AND _source_time IS NOT NULL) >= 4 FROM {name}_silver.{table}"
        );
        assert_eq!(project.engine.rows(&sql).await, ["1"], "{mode}");
    }
    let rejected = format!("SELECT count() FROM {name}_ops.dead_letters");
    assert_eq!(project.engine.number(&rejected).await, 0);
}

/// One transform for each table, with the embedded schema: `adaptive` units and `precise` decimals need it.
fn transforms(source: &Source, tables: &[String]) -> Vec<(String, String)> {
    let mut settings = vec![
        ("transforms".to_owned(), tables.join(",")),
        ("predicates".to_owned(), tables.join(",")),
        (
            "value.converter.schemas.enable".to_owned(),
            "true".to_owned(),
        ),
        ("decimal.handling.mode".to_owned(), "precise".to_owned()),
        ("time.precision.mode".to_owned(), "adaptive".to_owned()),
    ];
    for ((mode, _), table) in MODES.iter().zip(tables) {
        let mut set = |key: &str, value: &str| settings.push((key.to_owned(), value.to_owned()));
        let transform = format!("transforms.{table}");
        set(
            &format!("{transform}.type"),
            "io.debezium.transforms.ExtractNewRecordState",
        );
        set(&format!("{transform}.predicate"), table);
        set(&format!("{transform}.delete.tombstone.handling.mode"), mode);
        set(
            &format!("{transform}.add.fields"),
            "op,table,lsn,txId,source.ts_ms",
        );
        let predicate = format!("predicates.{table}");
        set(
            &format!("{predicate}.type"),
            "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
        );
        set(
            &format!("{predicate}.pattern"),
            &source.topic(table).replace('.', "\\."),
        );
    }
    settings
}
