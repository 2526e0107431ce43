//! What a topic holds, told by one of its messages: rows of a table, or what connectors write beside them.

use serde_json::{Map, Value};

use super::described::SourceField;
use super::drift::{fields_of, parsed};

/// What kind of message it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// a change of a row, in Debezium's envelope
    Row(RowShape),
    /// a heartbeat, the begin or end of a transaction, a schema change, a logical message
    Beside,
    /// nothing that we know
    Unknown,
}

/// What the message says of its table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RowShape {
    /// the connector, such as `postgresql`
    pub connector: Option<String>,
    pub schema: Option<String>,
    pub table: Option<String>,
    /// in the order of the Kafka key
    pub key: Vec<String>,
    /// in the order of the embedded schema, where there is one
    pub fields: Vec<(String, SourceField)>,
}

impl Shape {
    pub fn of(key: Option<&[u8]>, value: &[u8]) -> Shape {
        let Some(message) = parsed(value) else {
            return Shape::Unknown;
        };
        let payload = &message.payload;
        let has = |name: &str| payload.contains_key(name);
        let op = payload.get("op").and_then(Value::as_str);
        match op {
            Some("c" | "r" | "u" | "d") if has("after") || has("before") => {}
            Some("m" | "t") => return Shape::Beside,
            None if has("status") || has("ddl") || has("tableChanges") => return Shape::Beside,
            None if has("ts_ms") && payload.len() == 1 => return Shape::Beside,
            _ => return Shape::Unknown,
        }
        let source = |name: &str| {
            let found = payload.get("source")?.get(name)?.as_str()?;
            Some(found.to_owned())
        };
        Shape::Row(RowShape {
            connector: source("connector"),
            schema: source("schema").or_else(|| source("db")),
            table: source("table"),
            key: key.map(key_fields).unwrap_or_default(),
            fields: message.schema.as_ref().map(fields_of).unwrap_or_default(),
        })
    }
}

fn key_fields(key: &[u8]) -> Vec<String> {
    let Some(message) = parsed(key) else {
        return Vec::new();
    };
    let in_order = message.schema.as_ref().and_then(|schema| {
        let fields = schema.get("fields")?.as_array()?;
        let name = |field: &Value| Some(field.get("field")?.as_str()?.to_owned());
        fields.iter().map(name).collect::<Option<Vec<String>>>()
    });
    in_order.unwrap_or_else(|| names(&message.payload))
}

fn names(fields: &Map<String, Value>) -> Vec<String> {
    fields.keys().cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connectors_write_beside_rows_is_told_by_its_shape() {
        let of = |value: &str| Shape::of(None, value.as_bytes());
        for beside in [
            r#"{"ts_ms":1}"#,
            r#"{"schema":{"type":"struct"},"payload":{"ts_ms":1}}"#,
            r#"{"status":"BEGIN","id":"1","ts_ms":1}"#,
            r#"{"source":{},"ddl":"CREATE TABLE t ()","tableChanges":[]}"#,
            r#"{"op":"m","message":{"prefix":"x"}}"#,
        ] {
            assert_eq!(of(beside), Shape::Beside, "{beside}");
        }
        for unknown in [
            r#"{"id":1,"name":"flattened"}"#,
            "\0\0\0\0\u{1}avro",
            "",
            "7",
        ] {
            assert_eq!(of(unknown), Shape::Unknown, "{unknown}");
        }
    }

    #[test]
    fn a_row_names_its_table_and_its_key() {
        let value = br#"{"before":null,"after":{"id":1},"source":{"connector":"postgresql","schema":"public","table":"orders"},"op":"c"}"#;
        let Shape::Row(row) = Shape::of(Some(br#"{"id":1}"#), value) else {
            panic!("a row");
        };
        assert_eq!(row.table.as_deref(), Some("orders"));
        assert_eq!(row.key, ["id"]);
        assert!(row.fields.is_empty());
    }
}
