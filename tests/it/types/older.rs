//! Debezium 2.7 beside 3.x: the same values, and its transform's older settings for deletes.

use super::cases::{Case, cases, precise_cases};
use super::values_arrive;

/// A second version of the plugin: `stack/stack start debezium27`.
const VERSION: (&str, &str) = ("connector.plugin.version", "[2.7.4.Final]");

/// What 2.7 does not send, or not exactly: money beyond 2^53, the fractions of times in arrays.
const NOT_SENT: [&str; 7] = [
    "rule",
    "stretch",
    "frame",
    "disc",
    "lexemes",
    "cash",
    "clocks_with_zone",
];

fn sent(mut cases: Vec<Case>) -> Vec<Case> {
    cases.retain(|case| !NOT_SENT.contains(&case.name));
    cases
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_from_debezium_2_7() {
    let mut cases = sent(cases());
    // milliseconds or microseconds, by the column's precision: the job written from the table says microseconds
    cases.retain(|case| !matches!(case.name, "local_3" | "local_0"));
    let settings = [
        VERSION,
        ("time.precision.mode", "adaptive_time_microseconds"),
    ];
    values_arrive("types_older_plain", "debezium-json", &settings, &cases).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_type_arrives_from_debezium_2_7_under_embedded_schemas() {
    let settings = [
        VERSION,
        ("time.precision.mode", "adaptive"),
        ("decimal.handling.mode", "precise"),
        ("value.converter.schemas.enable", "true"),
    ];
    let mut cases = sent(precise_cases());
    // NULL under `adaptive`, which fails the connector where the column is NOT NULL
    cases.retain(|case| case.name != "clocks_3");
    values_arrive("types_older_schema", "debezium-json", &settings, &cases).await;
}
