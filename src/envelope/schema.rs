//! The schema that a message may embed: what it says about how each field is written.

use std::collections::HashMap;

use serde_json::Value;

use super::fate::Reason;
use super::json::Step;
use super::reader::Wire;

/// Field → how it is written. Fields about which the schema says nothing are left to the job's declaration.
pub(super) type Wires = HashMap<String, Wire>;

pub(super) fn parsed(schema: &[u8]) -> Step<Value> {
    serde_json::from_slice(schema).map_err(|_| Reason::BadJson)
}

/// Of a value's schema: the fields of `after`. Of a key's schema: its own fields.
pub(super) fn wires(schema: &Value) -> Wires {
    let envelope = fields(schema);
    let named = |name: &str| envelope.iter().find(|field| text(field, "field") == name);
    let row = match named("after").or_else(|| named("before")) {
        Some(image) => fields(image),
        None => envelope,
    };
    let known = row
        .iter()
        .filter_map(|field| Some((text(field, "field").to_owned(), wire(field)?)));
    known.collect()
}

fn fields(schema: &Value) -> &[Value] {
    let fields = schema.get("fields").and_then(Value::as_array);
    fields.map_or(&[], Vec::as_slice)
}

fn text<'a>(schema: &'a Value, name: &str) -> &'a str {
    schema.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn wire(schema: &Value) -> Option<Wire> {
    const DEBEZIUM: &str = "io.debezium.";
    const CONNECT: &str = "org.apache.kafka.connect.data.";
    let name = text(schema, "name");
    let short = name
        .strip_prefix(DEBEZIUM)
        .or_else(|| name.strip_prefix(CONNECT))
        .unwrap_or_default();
    let named = match short {
        "time.Date" | "Date" => Wire::Days,
        "time.Time" | "time.Timestamp" | "Time" | "Timestamp" => Wire::Ticks(3),
        "time.MicroTime" | "time.MicroTimestamp" => Wire::Ticks(6),
        "time.NanoTime" | "time.NanoTimestamp" => Wire::Ticks(9),
        "Decimal" => {
            let scale = schema
                .get("parameters")
                .map(|parameters| text(parameters, "scale"));
            Wire::Unscaled(scale.and_then(|scale| scale.parse().ok()))
        }
        "data.VariableScaleDecimal" => Wire::Unscaled(None),
        "data.Bits" => Wire::Base64,
        "time.ZonedTimestamp"
        | "time.ZonedTime"
        | "time.IsoDate"
        | "time.IsoTime"
        | "time.IsoTimestamp"
        | "data.Json"
        | "data.Uuid"
        | "data.Enum"
        | "data.EnumSet"
        | "data.Xml"
        | "data.Ltree"
        | "time.Year"
        | "time.MicroDuration"
        | "time.NanoDuration"
        | "time.Interval" => Wire::Plain,
        _ => match text(schema, "type") {
            "bytes" => Wire::Base64,
            "array" => Wire::Array(Box::new(schema.get("items").and_then(wire)?)),
            "struct" | "map" => Wire::Json,
            _ => return None,
        },
    };
    Some(named)
}
