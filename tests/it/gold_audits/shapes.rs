//! Audits of windows without rows, of whole tables, of columns of every type.

use super::{HELD, with_audits};
use crate::gold::daily;
use crate::support::EmbeddedProject;

#[tokio::test]
async fn an_empty_window_has_nothing_wrong_but_the_number_of_its_rows() {
    let project = daily().await;
    with_audits(
        &project,
        "[[audits]]\nname = \"sums\"\nnot_null = [\"total\"]\n\n[[audits]]\nname = \"like yesterday\"\nrow_count = { min_ratio = 0.5, max_ratio = 2 }\n",
    );
    // nothing was ever built before it: nothing to compare with
    project.run("gold --date 2024-02-28").await.exits(0);
    project
        .run("gold --from 2024-02-29 --to 2024-03-06")
        .await
        .exits(0);
    let before = project.ask(HELD).await;
    project
        .sql(
            "ALTER TABLE events DELETE WHERE toDate(at) = '2024-03-05' SETTINGS mutations_sync = 2",
        )
        .await;
    let blocked = project.run("gold --date 2024-03-05").await.exits(4);
    let expected = "audit `like yesterday` found 0 rows, fewer than 0.5 times the 3 of 2024-03-04";
    assert!(blocked.stderr.contains(expected), "{}", blocked.stderr);
    assert_eq!(project.ask(HELD).await, before);
    with_audits(
        &project,
        "[[audits]]\nname = \"some rows\"\nrow_count = { min = 1 }\n\n[[audits]]\nname = \"enough\"\nseverity = \"warn\"\nrow_count = { min = 3 }\n",
    );
    let blocked = project
        .run("gold --date 2024-02-27 --output json")
        .await
        .exits(4);
    let audits = &blocked.json()["jobs"][0]["audits"];
    assert_eq!(audits[0]["what"], "0 rows, fewer than 1");
    assert_eq!(audits[1]["severity"], "warn");
}

#[tokio::test]
async fn a_whole_table_and_columns_of_every_type_are_audited() {
    let project = EmbeddedProject::new().await;
    project
        .sql("CREATE TABLE things (id UInt64, price Decimal(10, 2), share Float64, paid Bool, state Enum8('open' = 1, 'shut' = 2), \
at DateTime64(3, 'Europe/Berlin'), word LowCardinality(Nullable(String)), who UUID) ENGINE = MergeTree ORDER BY id")
        .await;
    project
        .sql("INSERT INTO things SELECT number, 0.5, 0.5, true, 'open', '2024-03-01 00:00:00', NULL, toUUID('6bd7cf2c-8f2e-4b5e-a5b1-c0bd3c1b2f11') \
FROM numbers(10)")
        .await;
    project.write("jobs/gold/now.sql", "SELECT * FROM things");
    project.write(
        "jobs/gold/now.toml",
        r#"
grain = "table"
order_by = ["id"]
audits = [
    { name = "price", range = { column = "price", min = 0.01, max = "1000.25" } },
    { name = "share", range = { column = "share", min = 0, max = 1.5 } },
    { name = "paid", accepted_values = { column = "paid", values = [true] } },
    { name = "state", accepted_values = { column = "state", values = ["open", "ajar"] } },
    { name = "at", range = { column = "at", min = 2000-01-01T00:00:00 } },
    { name = "word", accepted_values = { column = "word", values = ["yes", "no"] } },
    { name = "who", accepted_values = { column = "who", values = ["6bd7cf2c-8f2e-4b5e-a5b1-c0bd3c1b2f11"] } },
    { name = "id", unique = ["id", "at", "word"] },
    { name = "as many as now", row_count = { min_ratio = 0.5, max_ratio = 2 } },
]
"#,
    );
    project.run("migrate").await.exits(0);
    project.run("gold now").await.exits(0);
    project
        .sql("INSERT INTO things SELECT 3, 0, nan, false, 'shut', '1999-12-31 23:00:00', 'maybe', generateUUIDv4(number) FROM numbers(20)")
        .await;
    let blocked = project.run("gold now --output json").await.exits(4);
    let found: Vec<String> = blocked.json()["jobs"][0]["audits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|audit| format!("{} {}", audit["audit"].as_str().unwrap(), audit["found"]))
        .collect();
    assert_eq!(
        found,
        [
            "price 20",
            "share 20",
            "paid 20",
            "state 20",
            "at 20",
            "word 20",
            "who 20",
            "id 1",
            "as many as now 30"
        ],
        "{}",
        blocked.stderr
    );
    assert_eq!(project.ask("SELECT count() FROM gold.now").await, "10");
    let key = "SELECT key_columns, keys FROM ops.audit_failures WHERE audit = 'id'";
    assert_eq!(
        project.ask(key).await,
        "['id','at','word']\t[['3','1999-12-31 23:00:00.000','maybe']]"
    );
}
