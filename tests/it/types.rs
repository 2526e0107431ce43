//! Every common PostgreSQL type from its table to silver, value for value, by the job that `bullion new silver` writes.

mod cases;
mod modes;
mod numbers;
mod older;
mod random;
mod refused;
mod spelling;

use std::collections::BTreeMap;

use crate::support::{Engine, Project, Source, stack};
use cases::{Case, PREPARE, cases, precise_cases};

/// The format of the jobs that `bullion new silver` writes.
const JSON: &str = "debezium-json";
/// Cases whose text in PostgreSQL is not what Debezium sends, so that `bullion verify` says it does not compare them.
const NOT_COMPARED: [&str; 8] = [
    "pairs",
    "maps",
    "clocks_with_zone",
    "rule",
    "stretch",
    "frame",
    "disc",
    "place",
];
/// Changed rows start here, so that they and the snapshot's rows have the same values.
const STREAMED: usize = 1_000;
/// Added to a key that changes.
const MOVED: usize = 10_000;

#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_as_it_is() {
    values_arrive("types_plain", JSON, &[], &cases()).await;
}

/// The schema says how each value is written, so the same job reads another connector's messages.
#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_as_it_is_under_embedded_schemas() {
    let settings = [
        ("value.converter.schemas.enable", "true"),
        ("decimal.handling.mode", "precise"),
    ];
    let cases = precise_cases();
    values_arrive("types_schema", JSON, &settings, &cases).await;
}

/// The same values from Avro, whose units and scales a registry keeps.
#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_as_it_is_in_avro() {
    let api = stack("BULLION_REGISTRY_API");
    let mut settings = vec![
        ("decimal.handling.mode", "precise"),
        ("schema.name.adjustment.mode", "avro"),
    ];
    let converters = avro_converters(&api);
    settings.extend(
        converters
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str())),
    );
    values_arrive("types_avro", "debezium-avro", &settings, &precise_cases()).await;
}

/// Apicurio's converter in Confluent's framing, for keys and for values.
pub fn avro_converters(api: &str) -> Vec<(String, String)> {
    let of = |part: &str| {
        let set = |name: &str, value: &str| (format!("{part}.converter{name}"), value.to_owned());
        [
            set("", "io.apicurio.registry.utils.converter.AvroConverter"),
            set(".apicurio.registry.url", api),
            set(".apicurio.registry.auto-register", "true"),
            set(".apicurio.registry.find-latest", "true"),
            set(".apicurio.registry.as-confluent", "true"),
            set(".apicurio.registry.use-id", "contentId"),
            set(".apicurio.registry.headers.enabled", "false"),
        ]
    };
    ["key", "value"].into_iter().flat_map(of).collect()
}

async fn values_arrive(name: &str, format: &str, settings: &[(&str, &str)], cases: &[Case]) {
    let (mut project, source) = (
        Project::new(name, &Engine::of_stack()).await,
        Source::new(name).await,
    );
    source.run(PREPARE).await;
    source.run(&table(cases)).await;
    let rows = rows(cases);
    for row in 0..rows {
        source.run(&insert(cases, row, row)).await;
    }
    source.publish(&["types"], settings).await;
    make_job(&mut project, &source, "types", format);
    assert_same(&project, &source, cases, "the snapshot").await;

    for row in 0..rows {
        source.run(&insert(cases, STREAMED + row, row)).await;
    }
    source
        .run("BEGIN; UPDATE types SET words = 'never'; ROLLBACK")
        .await;
    assert_same(&project, &source, cases, "inserts").await;

    for row in 0..rows {
        for first in [0, STREAMED] {
            source.run(&update(cases, first + row, row + 1)).await;
        }
    }
    source.run("DELETE FROM types WHERE id % 5 = 2").await;
    let moved = format!("UPDATE types SET id = id + {MOVED} WHERE id % 5 = 3");
    source.run(&moved).await;
    assert_same(
        &project,
        &source,
        cases,
        "updates, deletes and changes of key",
    )
    .await;
    // the same by checksums: what the product itself compares, and what it says it cannot
    let verified = project.succeed(&["verify", "types", "--patience", "1s", "--output", "json"]);
    let left_out = &verified.json()["not_compared"];
    let spelled_otherwise = cases
        .iter()
        .filter(|case| NOT_COMPARED.contains(&case.name))
        .flat_map(|case| ["", "_or_null"].map(|twin| format!("{}{twin}", case.name)));
    let expected: Vec<String> = spelled_otherwise.collect();
    assert_eq!(
        left_out,
        &serde_json::json!(expected),
        "{}",
        verified.text()
    );
}

/// Writes the job by looking at the source, as a user does, and makes its table.
fn make_job(project: &mut Project, source: &Source, table: &str, format: &str) {
    project.set("BULLION_POSTGRES_URL", &source.url());
    let from = format!("public.{table}");
    let prefix = source.name.as_str();
    project.succeed(&[
        "new",
        "silver",
        table,
        "--from-postgres",
        &from,
        "--topic-prefix",
        prefix,
    ]);
    if format != JSON {
        project.set("BULLION_REGISTRY_URL", &stack("BULLION_REGISTRY_URL"));
        let file = format!("jobs/silver/{table}.toml");
        let job = std::fs::read_to_string(project.path(&file)).unwrap();
        assert!(job.contains(JSON), "{job}");
        project.write(&file, &job.replace(JSON, format));
    }
    project.succeed(&["check"]);
    project.succeed(&["migrate"]);
}

/// Each type twice: `NOT NULL`, and as `…_or_null`. Rows are so wide that PostgreSQL stores cells out of line, hence FULL.
fn table(cases: &[Case]) -> String {
    let columns: Vec<String> = cases
        .iter()
        .map(|case| {
            let Case { name, kind, .. } = case;
            format!("{name} {kind} NOT NULL, {name}_or_null {kind}")
        })
        .collect();
    format!(
        "CREATE TABLE types (id bigint PRIMARY KEY, {}); ALTER TABLE types REPLICA IDENTITY FULL",
        columns.join(", ")
    )
}

/// So many that each value stands in both columns, and NULLs between.
fn rows(cases: &[Case]) -> usize {
    2 * cases.iter().map(|case| case.values.len()).max().unwrap()
}

/// Column and value, for every column.
fn values(cases: &[Case], turn: usize) -> Vec<(String, &'static str)> {
    let value = |case: &Case, turn: usize| case.values[turn % case.values.len()];
    let both = cases.iter().flat_map(|case| {
        let or_null = match turn % 2 {
            0 => value(case, turn / 2),
            _ => "NULL",
        };
        [
            (case.name.to_owned(), value(case, turn)),
            (format!("{}_or_null", case.name), or_null),
        ]
    });
    both.collect()
}

fn insert(cases: &[Case], id: usize, turn: usize) -> String {
    let (columns, values): (Vec<_>, Vec<_>) = values(cases, turn).into_iter().unzip();
    let (columns, values) = (columns.join(", "), values.join(", "));
    format!("INSERT INTO types (id, {columns}) VALUES ({id}, {values})")
}

fn update(cases: &[Case], id: usize, turn: usize) -> String {
    let set: Vec<String> = values(cases, turn)
        .into_iter()
        .map(|(column, value)| format!("{column} = {value}"))
        .collect();
    format!("UPDATE types SET {} WHERE id = {id}", set.join(", "))
}

/// Cell for cell, by query; `after` is what was done last.
async fn assert_same(project: &Project, source: &Source, cases: &[Case], after: &str) {
    let spelled = |of: fn(&Case) -> &str| {
        let cells = cases.iter().flat_map(move |case| {
            ["", "_or_null"].map(|twin| of(case).replace('?', &format!("{}{twin}", case.name)))
        });
        let cells: Vec<String> = cells.collect();
        format!("id, {}", cells.join(", "))
    };
    let in_postgres = spelled(|case| &case.spelling.postgres);
    let in_clickhouse = spelled(|case| &case.spelling.clickhouse);
    let expected = source
        .rows(&format!("SELECT {in_postgres} FROM types ORDER BY id"))
        .await;
    let sql = format!(
        "SELECT {in_clickhouse} FROM {}_silver.types ORDER BY id FORMAT TSVRaw",
        project.name
    );
    let tell = |found: &[String]| {
        format!(
            "after {after}\n{}",
            differences(cases, &expected, found).join("\n")
        )
    };
    project.ingest_until_equal(&sql, &expected, tell).await;
}

/// Per column the first row that differs, and the rows that only one side has.
fn differences(cases: &[Case], expected: &[String], found: &[String]) -> Vec<String> {
    let names = cases
        .iter()
        .flat_map(|case| ["", "_or_null"].map(|twin| format!("{}{twin}", case.name)));
    let names: Vec<String> = std::iter::once("id".to_owned()).chain(names).collect();
    let by_id = |rows: &[String]| -> BTreeMap<String, Vec<String>> {
        let cells = rows
            .iter()
            .map(|row| row.split('\t').map(str::to_owned).collect::<Vec<_>>());
        cells.map(|cells| (cells[0].clone(), cells)).collect()
    };
    let (expected, found) = (by_id(expected), by_id(found));
    let mut told = BTreeMap::new();
    for (id, row) in &expected {
        let Some(other) = found.get(id) else {
            told.insert(id.clone(), "missing in silver".to_owned());
            continue;
        };
        for (name, (a, b)) in names.iter().zip(row.iter().zip(other)) {
            if a != b {
                let difference = format!("{a} in PostgreSQL, {b} in silver");
                told.entry(name.clone()).or_insert(difference);
            }
        }
    }
    for id in found.keys().filter(|id| !expected.contains_key(*id)) {
        told.insert(id.clone(), "only in silver".to_owned());
    }
    told.into_iter()
        .map(|(place, difference)| format!("{place}: {difference}"))
        .collect()
}
