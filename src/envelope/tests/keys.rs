//! What identifies a row: Kafka's key, or else the row itself.

use super::{columns, job, told};
use crate::job::Encoding::Plain;
use crate::job::SilverJob;

fn orders() -> SilverJob {
    job(&[("name", "Nullable(String)", Plain)])
}

const KEY: Option<&str> = Some(r#"{"id":1}"#);

#[test]
fn a_delete_is_by_the_kafka_key_and_else_by_the_image_before() {
    let orders = orders();
    let deleted = r#"delete: {"id":1,"name":null}"#;
    let told = |key, value| told(&orders, key, Some(value));
    assert_eq!(
        told(KEY, r#"{"before":null,"after":null,"op":"d"}"#),
        deleted
    );
    assert_eq!(
        told(KEY, r#"{"op":"d","before":{"id":1,"name":null}}"#),
        deleted
    );
    assert_eq!(
        told(
            None,
            r#"{"op":"d","before":{"id":1,"name":"x","other":[1]}}"#
        ),
        deleted
    );
    assert_eq!(
        told(None, r#"{"op":"d","before":null}"#),
        "reject: unkeyed_delete"
    );
    assert_eq!(
        told(None, r#"{"op":"d","before":{"name":"x"}}"#),
        "reject: null_key id"
    );
    assert_eq!(
        told(Some(r#"{"id":null}"#), r#"{"op":"d","before":null}"#),
        "reject: null_key id"
    );
    assert_eq!(
        told(Some("{}"), r#"{"op":"d","before":null}"#),
        "reject: null_key id"
    );
    let wrapped = r#"{"schema":{"type":"struct","fields":[]},"payload":{"id":1}}"#;
    assert_eq!(told(Some(wrapped), r#"{"op":"d"}"#), deleted);
    let extra = r#"{"id":1,"__dbz__physicalTableIdentifier":"a"}"#;
    assert_eq!(
        told(Some(extra), r#"{"op":"d"}"#),
        "reject: key_mismatch __dbz__physicalTableIdentifier"
    );
    let twice = r#"{"op":"c","after":{"id":1,"name":"x"}}"#;
    assert_eq!(
        told(Some(r#"{"id":1,"id":1}"#), twice),
        "reject: duplicate_field id"
    );
    assert_eq!(told(Some(r#"{"id":12}"#), twice), "reject: key_mismatch id");
    assert_eq!(told(Some(r#"{"id":1} x"#), twice), "reject: bad_key");
    assert_eq!(told(Some("{}"), twice), "reject: null_key");
    assert_eq!(told(Some("1"), r#"{"op":"d"}"#), "reject: bad_key");
    let same = r#"{"op":"c","after":{"id":1,"name":"x"}}"#;
    assert_eq!(
        told(Some(r#"{ "id" : 1 }"#), same),
        r#"row: {"id":1,"name":"x"}"#
    );
}

#[test]
fn tables_without_a_key_take_inserts_only() {
    let mut keyless = orders();
    keyless.key.clear();
    let told = |value| told(&keyless, None, Some(value));
    assert_eq!(
        told(r#"{"op":"c","after":{"id":1,"name":"x"}}"#),
        r#"row: {"id":1,"name":"x"}"#
    );
    assert_eq!(
        told(r#"{"op":"u","after":{"id":1,"name":"x"}}"#),
        "reject: unkeyed_update"
    );
    assert_eq!(
        told(r#"{"op":"d","before":{"id":1}}"#),
        "reject: unkeyed_delete"
    );
}

/// Placeholders are what the source did not send, but only in an update.
#[test]
fn a_key_keeps_its_values_whatever_they_spell() {
    let mut job = job(&[]);
    job.columns[0].kind = crate::column::Type::String;
    let value = r#"{"after":{"id":"__debezium_unavailable_value"},"op":"u"}"#;
    let key = r#"{"id":"__debezium_unavailable_value"}"#;
    assert_eq!(
        told(&job, Some(key), Some(value)),
        r#"row: {"id":"__debezium_unavailable_value"}"#
    );
    let escaped = r#"{"after":{"id":"caf\u00e9"},"op":"c"}"#;
    assert_eq!(
        told(&job, Some(r#"{"id":"café"}"#), Some(escaped)),
        r#"row: {"id":"café"}"#
    );
}

#[test]
fn a_key_column_may_be_called_schema_or_payload() {
    for first in ["schema", "payload"] {
        let job = columns(&[first, "id"], &[(first, "String"), ("id", "Int64")]);
        let key = format!(r#"{{"{first}":"public","id":1}}"#);
        let row = format!(r#"{{"id":1,"{first}":"public"}}"#);
        let value = format!(r#"{{"before":null,"after":{key},"op":"c"}}"#);
        assert_eq!(told(&job, Some(&key), Some(&value)), format!("row: {row}"));
        assert_eq!(told(&job, Some(&key), None), format!("delete: {row}"));
        let wrapped = format!(r#"{{"schema":{{"type":"struct","fields":[]}},"payload":{key}}}"#);
        assert_eq!(told(&job, Some(&wrapped), None), format!("delete: {row}"));
    }
}
