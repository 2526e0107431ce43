//! Rows as Debezium's ExtractNewRecordState leaves them, by each of its ways to tell of deletes, through the real transform.

use crate::support::{Engine, PATIENCE, Project, Source, stack, wait_for};
use crate::types::avro_converters;

/// A table, the settings of its transform, and what its job declares.
struct Way {
    table: &'static str,
    settings: &'static [(&'static str, &'static str)],
    deletes: &'static str,
}

const fn way(
    table: &'static str,
    settings: &'static [(&'static str, &'static str)],
    deletes: &'static str,
) -> Way {
    Way {
        table,
        settings,
        deletes,
    }
}

const JSON: &str = "flattened-json";
const MODE: &str = "delete.tombstone.handling.mode";
const WAYS: [Way; 5] = [
    way("tombstone", &[(MODE, "tombstone")], "tombstone"),
    way(
        "delete_to_tombstone",
        &[(MODE, "delete-to-tombstone")],
        "tombstone",
    ),
    way("rewrite", &[(MODE, "rewrite")], "rewrite"),
    way(
        "rewrite_with_tombstone",
        &[(MODE, "rewrite-with-tombstone")],
        "rewrite",
    ),
    way("drop", &[(MODE, "drop")], "none"),
];

const VERSION: (&str, &str) = ("plugin.version", "[2.7.4.Final]");
const DELETES: &str = "delete.handling.mode";
const TOMBSTONES: &str = "drop.tombstones";
const OLDER: [Way; 4] = [
    way(
        "drop_but_tombstones",
        &[VERSION, (DELETES, "drop"), (TOMBSTONES, "false")],
        "tombstone",
    ),
    way(
        "none",
        &[VERSION, (DELETES, "none"), (TOMBSTONES, "true")],
        "tombstone",
    ),
    way(
        "rewrite",
        &[VERSION, (DELETES, "rewrite"), (TOMBSTONES, "true")],
        "rewrite",
    ),
    way("drop", &[VERSION], "none"),
];

#[tokio::test(flavor = "multi_thread")]
async fn flattened_rows_follow_the_source_by_every_way_of_telling_deletes() {
    rows_follow("flattened", JSON, &WAYS, &[]).await;
}

/// Before 3.2 two settings said it; the transform and the connector are Debezium 2.7's.
#[tokio::test(flavor = "multi_thread")]
async fn flattened_rows_follow_the_source_by_every_older_way_of_telling_deletes() {
    let version = ("connector.plugin.version", VERSION.1);
    rows_follow("flattened_older", JSON, &OLDER, &[version]).await;
}

/// The same rows from Avro; a registry keeps their schemas.
#[tokio::test(flavor = "multi_thread")]
async fn flattened_rows_follow_the_source_in_avro() {
    let converters = avro_converters(&stack("BULLION_REGISTRY_API"));
    let converters = converters.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let adjusted = [("schema.name.adjustment.mode", "avro")];
    let settings: Vec<(&str, &str)> = adjusted.into_iter().chain(converters).collect();
    let [tombstone, _, rewrite, ..] = WAYS;
    rows_follow(
        "flattened_avro",
        "flattened-avro",
        &[tombstone, rewrite],
        &settings,
    )
    .await;
}

async fn rows_follow(name: &str, format: &str, ways: &[Way], more: &[(&str, &str)]) {
    let mut project = Project::new(name, &Engine::of_stack()).await;
    project.set("BULLION_REGISTRY_URL", &stack("BULLION_REGISTRY_URL"));
    let source = Source::new(name).await;
    let tables: Vec<&str> = ways.iter().map(|way| way.table).collect();
    for table in &tables {
        source
            .run(&format!(
                "CREATE TABLE {table} (id bigint PRIMARY KEY, note text, price numeric(10, 2), at timestamp);
                INSERT INTO {table} SELECT n, 'snapshot ' || n, n + 0.5, '2024-01-01 00:00:00.000001' FROM generate_series(1, 4) n"
            ))
            .await;
    }
    let settings = transforms(&source, ways);
    let settings = settings.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let settings: Vec<(&str, &str)> = settings.chain(more.iter().copied()).collect();
    source.publish(&tables, &settings).await;
    for table in &tables {
        source
            .run(&format!(
                "UPDATE {table} SET note = 'updated' WHERE id = 1; DELETE FROM {table} WHERE id = 2;
                UPDATE {table} SET id = 30 WHERE id = 3; INSERT INTO {table} VALUES (5, NULL, -1.25, NULL)"
            ))
            .await;
    }
    for Way { table, deletes, .. } in ways {
        let job = format!(
            "topic = \"{}\"\nformat = \"{format}\"\ndeletes = \"{deletes}\"\nkey = [\"id\"]\n[columns]\nid = \"Int64\"\n\
             note = \"Nullable(String)\"\nprice = \"Decimal(10, 2)\"\nat = \"Nullable(DateTime64(6, 'UTC'))\"\n",
            source.topic(table)
        );
        project.write(&format!("jobs/silver/{table}.toml"), &job);
    }
    project.succeed(&["migrate"]);

    for Way { table, deletes, .. } in ways {
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
        let what = format!("silver to follow by {table}");
        wait_for(&what, PATIENCE, || async {
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
        assert_eq!(project.engine.rows(&sql).await, ["1"], "{table}");
    }
    let rejected = format!("SELECT count() FROM {name}_ops.dead_letters");
    assert_eq!(project.engine.number(&rejected).await, 0);
}

/// One transform for each table, with the embedded schema: `adaptive` units and `precise` decimals need it.
fn transforms(source: &Source, ways: &[Way]) -> Vec<(String, String)> {
    let names: Vec<&str> = ways.iter().map(|way| way.table).collect();
    let mut settings = Vec::new();
    let mut set = |key: &str, value: &str| settings.push((key.to_owned(), value.to_owned()));
    set("transforms", &names.join(","));
    set("predicates", &names.join(","));
    set("value.converter.schemas.enable", "true");
    set("decimal.handling.mode", "precise");
    set("time.precision.mode", "adaptive");
    for way in ways {
        let transform = |key: &str| format!("transforms.{}.{key}", way.table);
        set(
            &transform("type"),
            "io.debezium.transforms.ExtractNewRecordState",
        );
        set(&transform("predicate"), way.table);
        set(&transform("add.fields"), "op,table,lsn,txId,source.ts_ms");
        for (key, value) in way.settings {
            set(&transform(key), value);
        }
        let predicate = |key: &str| format!("predicates.{}.{key}", way.table);
        set(
            &predicate("type"),
            "org.apache.kafka.connect.transforms.predicates.TopicNameMatches",
        );
        let topic = source.topic(way.table).replace('.', "\\.");
        set(&predicate("pattern"), &topic);
    }
    settings
}
