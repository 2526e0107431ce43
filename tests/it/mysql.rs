//! Every type of MySQL and MariaDB from its table to silver, value for value, by the job that `bullion new silver` writes.

mod cases;

use crate::support::{Engine, MariaDb, Project};
use cases::{CASES, Case};

/// Changed rows start here, so that they and the snapshot's rows have the same values.
const STREAMED: usize = 1_000;
/// Added to a key that changes.
const MOVED: usize = 10_000;

/// Cases whose text in MariaDB is not what Debezium sends.
const NOT_COMPARED: [&str; 5] = ["single", "single_2", "place", "outline", "shape"];

#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_mariadb_arrives_as_it_is() {
    values_arrive("mysql_plain", &[]).await;
}

/// The schema says how each value is written, so the same job reads a connector with Debezium's defaults.
#[tokio::test(flavor = "multi_thread")]
async fn every_type_of_mariadb_arrives_as_it_is_under_embedded_schemas() {
    let settings = [
        ("value.converter.schemas.enable", "true"),
        ("decimal.handling.mode", "precise"),
        ("time.precision.mode", "adaptive_time_microseconds"),
        ("binary.handling.mode", "bytes"),
    ];
    values_arrive("mysql_schema", &settings).await;
}

async fn values_arrive(name: &str, settings: &[(&str, &str)]) {
    let mut project = Project::new(name, &Engine::of_stack()).await;
    let mut source = MariaDb::new(name).await;
    source.run(&table()).await;
    let turns = 2 * CASES.iter().map(|case| case.values.len()).max().unwrap();
    for turn in 0..turns {
        source.run(&insert(turn, turn)).await;
    }
    source.publish(&["types"], settings).await;
    project.set("BULLION_MYSQL_URL", &source.url());
    let prefix = source.name.as_str();
    let new = ["new", "silver", "types", "--from-mysql", "types"];
    project.succeed(&[&new[..], &["--topic-prefix", prefix]].concat());
    project.succeed(&["check"]);
    project.succeed(&["migrate"]);
    assert_same(&project, &mut source, "the snapshot").await;

    for turn in 0..turns {
        source.run(&insert(STREAMED + turn, turn)).await;
    }
    assert_same(&project, &mut source, "inserts").await;

    for turn in 0..turns {
        for first in [0, STREAMED] {
            source.run(&update(first + turn, turn + 1)).await;
        }
    }
    source.run("DELETE FROM types WHERE id % 5 = 2").await;
    let moved = format!("UPDATE types SET id = id + {MOVED} WHERE id % 5 = 3");
    source.run(&moved).await;
    assert_same(&project, &mut source, "updates, deletes, changes of key").await;

    // the same by checksums: what the product itself compares, and what it says it cannot
    let verified = project.succeed(&["verify", "types", "--patience", "1s", "--output", "json"]);
    let expected = both(|case| NOT_COMPARED.contains(&case.name));
    assert_eq!(
        verified.json()["not_compared"],
        serde_json::json!(expected),
        "{}",
        verified.text()
    );

    // MySQL's changes have a position in the binary log, which is no LSN
    let sql = format!(
        "SELECT countIf(_lsn IS NOT NULL), countIf(_source_time IS NULL) FROM {name}_silver.types"
    );
    assert_eq!(project.engine.rows(&sql).await, ["0\t0"]);
}

/// Each type twice: `NOT NULL`, and as `…_or_null`.
fn table() -> String {
    let columns = CASES.iter().map(|Case { name, kind, .. }| {
        format!("{name} {kind} NOT NULL, {name}_or_null {kind} NULL")
    });
    let columns: Vec<String> = columns.collect();
    format!(
        "CREATE TABLE types (id bigint PRIMARY KEY, {})",
        columns.join(", ")
    )
}

/// Column and value, for every column; so many turns that each value stands in both, and NULLs between.
fn values(turn: usize) -> impl Iterator<Item = (String, &'static str)> {
    let value = |case: &Case, turn: usize| case.values[turn % case.values.len()];
    CASES.iter().flat_map(move |case| {
        let or_null = match turn % 2 {
            0 => value(case, turn / 2),
            _ => "NULL",
        };
        [
            (case.name.to_owned(), value(case, turn)),
            (format!("{}_or_null", case.name), or_null),
        ]
    })
}

fn insert(id: usize, turn: usize) -> String {
    let (columns, values): (Vec<_>, Vec<_>) = values(turn).unzip();
    let (columns, values) = (columns.join(", "), values.join(", "));
    format!("INSERT INTO types (id, {columns}) VALUES ({id}, {values})")
}

fn update(id: usize, turn: usize) -> String {
    let set = values(turn).map(|(column, value)| format!("{column} = {value}"));
    let set: Vec<String> = set.collect();
    format!("UPDATE types SET {} WHERE id = {id}", set.join(", "))
}

fn columns() -> Vec<String> {
    both(|_| true)
}

/// The two columns of each such case.
fn both(which: fn(&&Case) -> bool) -> Vec<String> {
    let twins = |case: &Case| ["", "_or_null"].map(|twin| format!("{}{twin}", case.name));
    CASES.iter().filter(which).flat_map(twins).collect()
}

fn spelled(side: usize) -> String {
    let cells = CASES
        .iter()
        .flat_map(|case| [case.spelled[side]; 2])
        .zip(columns());
    let cells: Vec<String> = cells
        .map(|(spelling, column)| spelling.replace('?', &column))
        .collect();
    format!("id, {}", cells.join(", "))
}

/// Cell for cell, by query; `after` is what was done last.
async fn assert_same(project: &Project, source: &mut MariaDb, after: &str) {
    let sql = format!("SELECT {} FROM types ORDER BY id", spelled(0));
    let expected = source.rows(&sql).await;
    let sql = format!(
        "SELECT {} FROM {}_silver.types ORDER BY id FORMAT TSVRaw",
        spelled(1),
        project.name
    );
    let tell = |found: &[String]| {
        format!(
            "after {after}\n{}",
            differences(&expected, found).join("\n")
        )
    };
    project.ingest_until_equal(&sql, &expected, tell).await;
}

/// Cells that differ in rows of the same place.
fn differences(expected: &[String], found: &[String]) -> Vec<String> {
    let names: Vec<String> = std::iter::once("id".to_owned()).chain(columns()).collect();
    let rows = expected.iter().zip(found);
    let cells = rows.flat_map(|(a, b)| names.iter().zip(a.split('\t').zip(b.split('\t'))));
    let mut told: Vec<String> = cells
        .filter(|(_, (a, b))| a != b)
        .map(|(name, (a, b))| format!("{name}: {a} in MariaDB, {b} in silver"))
        .collect();
    told.sort();
    told.dedup();
    told
}
