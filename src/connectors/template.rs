//! The text of a connector that loses nothing: the rules' own values, and what differs per source.

use std::fmt::Write as _;

use super::POSTGRES;
use super::rules::RULES;
use crate::catalog::TableName;

/// `jobs/connectors/<name>.json`. Address and password stay in Kafka Connect's environment.
pub fn template(name: &str, database: &str, tables: &[TableName]) -> String {
    let tables: Vec<String> = tables.iter().map(TableName::to_string).collect();
    let tables = tables.join(",");
    // slots hold lower-case letters, digits and `_` only
    let slot = format!("bullion_{}", name.to_lowercase());
    let own = [
        ("connector.class", POSTGRES),
        ("tasks.max", "1"),
        ("database.hostname", "${env:BULLION_POSTGRES_HOST}"),
        ("database.port", "${env:BULLION_POSTGRES_PORT}"),
        ("database.user", "${env:BULLION_POSTGRES_USER}"),
        ("database.password", "${env:BULLION_POSTGRES_PASSWORD}"),
        ("database.dbname", database),
        ("topic.prefix", name),
        ("table.include.list", &tables),
        ("slot.name", &slot),
        ("publication.name", &slot),
        // −1: the broker's own default
        ("topic.creation.default.partitions", "-1"),
        ("topic.creation.default.replication.factor", "-1"),
    ];
    let safe = RULES
        .iter()
        .filter_map(|rule| Some((rule.key, rule.write?)));
    let mut text = String::from("{");
    for (index, (key, value)) in own.into_iter().chain(safe).enumerate() {
        let comma = if index == 0 { "" } else { "," };
        // JSON text of a string; writing to a String cannot fail
        let value = serde_json::Value::from(value);
        let _ = write!(text, "{comma}\n  \"{key}\": {value}");
    }
    text.push_str("\n}\n");
    text
}
