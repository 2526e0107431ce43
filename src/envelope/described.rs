//! A field as an embedded schema describes it: the type that holds its values, and how they are written.

use serde_json::Value;

use crate::column::Type;
use crate::job::Encoding;

/// What a schema says of one field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceField {
    /// the schema's own words, such as `int32` or `io.debezium.time.MicroTimestamp`; a `?` behind them: optional
    pub spelled: String,
    pub optional: bool,
    /// never Nullable
    pub kind: Type,
    pub encoding: Encoding,
    /// a NULL of it may mean that an UPDATE left a large value alone, so it is not proof that the column takes NULL
    pub nested: bool,
}

/// Digits of a second that a source's own time with a zone has at most.
const ZONED_DIGITS: u8 = 6;
const MOST_DECIMAL_DIGITS: u8 = 76;

pub(super) fn described(schema: &Value) -> SourceField {
    let primitive = text(schema, "type");
    let name = text(schema, "name");
    let parameter = |name: &str| -> Option<i64> {
        let found = schema.get("parameters")?.get(name)?;
        found.as_str()?.parse().ok()
    };
    let short = name
        .strip_prefix("io.debezium.")
        .or_else(|| name.strip_prefix("org.apache.kafka.connect.data."))
        .unwrap_or_default();
    let (kind, encoding) = match short {
        "time.Date" | "Date" => (Type::Date32, Encoding::Days),
        "time.Time" | "Time" => (Type::Time64 { precision: 3 }, Encoding::Millis),
        "time.MicroTime" => (Type::Time64 { precision: 6 }, Encoding::Micros),
        "time.NanoTime" => (Type::Time64 { precision: 9 }, Encoding::Nanos),
        "time.Timestamp" | "Timestamp" => (instant(3), Encoding::Millis),
        "time.MicroTimestamp" => (instant(6), Encoding::Micros),
        "time.NanoTimestamp" => (instant(9), Encoding::Nanos),
        "time.ZonedTimestamp" => (instant(ZONED_DIGITS), Encoding::Plain),
        "Decimal" => decimal(parameter("connect.decimal.precision"), parameter("scale")),
        "data.Bits" => bits(parameter("length")),
        "data.Uuid" => (Type::Uuid, Encoding::Plain),
        "data.Enum" => (
            Type::LowCardinality(Box::new(Type::String)),
            Encoding::Plain,
        ),
        "data.VariableScaleDecimal" => (Type::String, Encoding::Plain),
        _ => match primitive {
            "boolean" => (Type::Bool, Encoding::Plain),
            "int8" => (Type::Int8, Encoding::Plain),
            "int16" => (Type::Int16, Encoding::Plain),
            "int32" => (Type::Int32, Encoding::Plain),
            "int64" => (Type::Int64, Encoding::Plain),
            "float" | "float32" => (Type::Float32, Encoding::Plain),
            "double" | "float64" => (Type::Float64, Encoding::Plain),
            "bytes" => (Type::String, Encoding::Base64),
            "string" => (Type::String, Encoding::Plain),
            // arrays, maps and structures: an Array column could not tell NULL from the empty array
            _ => (Type::String, Encoding::Json),
        },
    };
    let optional = schema.get("optional").and_then(Value::as_bool) == Some(true);
    SourceField {
        spelled: spelled(schema, optional),
        optional,
        nested: encoding == Encoding::Json,
        kind,
        encoding,
    }
}

/// The semantic name, else the primitive type, with the parameters that change what values mean.
fn spelled(schema: &Value, optional: bool) -> String {
    let name = match text(schema, "name") {
        "" => text(schema, "type"),
        name => name,
    };
    let mut spelled = name.to_owned();
    let parameters = ["connect.decimal.precision", "scale", "length"];
    let given: Vec<&str> = parameters
        .iter()
        .filter_map(|name| schema.get("parameters")?.get(*name)?.as_str())
        .collect();
    if !given.is_empty() {
        spelled.push_str(&format!("({})", given.join(",")));
    }
    if let Some(items) = schema.get("items") {
        spelled.push_str(&format!(" of {}", self::spelled(items, false)));
    }
    if optional {
        spelled.push('?');
    }
    spelled
}

fn instant(precision: u8) -> Type {
    Type::DateTime64 {
        precision,
        zone: Some("UTC".to_owned()),
    }
}

/// A decimal whose digits nobody bounds is kept as its text.
fn decimal(precision: Option<i64>, scale: Option<i64>) -> (Type, Encoding) {
    let small = |number: i64| u8::try_from(number).ok();
    match (precision.and_then(small), scale.and_then(small)) {
        (Some(precision @ 1..=MOST_DECIMAL_DIGITS), Some(scale)) if scale <= precision => {
            (Type::Decimal { precision, scale }, Encoding::Unscaled)
        }
        _ => (Type::String, Encoding::Plain),
    }
}

fn bits(length: Option<i64>) -> (Type, Encoding) {
    let kind = match length {
        Some(1..=8) => Type::UInt8,
        Some(9..=16) => Type::UInt16,
        Some(17..=32) => Type::UInt32,
        Some(33..=64) => Type::UInt64,
        _ => Type::String,
    };
    (kind, Encoding::Base64)
}

fn text<'a>(schema: &'a Value, name: &str) -> &'a str {
    schema.get(name).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_tells_the_type_and_the_unit() {
        for (schema, expected) in [
            (r#"{"type":"int32","optional":false}"#, "int32 Int32 plain"),
            (r#"{"type":"int64","optional":true}"#, "int64? Int64 plain"),
            (
                r#"{"type":"int32","name":"io.debezium.time.Date"}"#,
                "io.debezium.time.Date Date32 days",
            ),
            (
                r#"{"type":"int64","name":"io.debezium.time.MicroTimestamp"}"#,
                "io.debezium.time.MicroTimestamp DateTime64(6, 'UTC') micros",
            ),
            (
                r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2","connect.decimal.precision":"10"}}"#,
                "org.apache.kafka.connect.data.Decimal(10,2) Decimal(10, 2) unscaled",
            ),
            (
                r#"{"type":"bytes","name":"org.apache.kafka.connect.data.Decimal","parameters":{"scale":"2"}}"#,
                "org.apache.kafka.connect.data.Decimal(2) String plain",
            ),
            (
                r#"{"type":"bytes","name":"io.debezium.data.Bits","parameters":{"length":"12"}}"#,
                "io.debezium.data.Bits(12) UInt16 base64",
            ),
            (
                r#"{"type":"array","items":{"type":"int32"},"optional":true}"#,
                "array of int32? String json",
            ),
            (
                r#"{"type":"string","name":"io.debezium.data.Json"}"#,
                "io.debezium.data.Json String plain",
            ),
        ] {
            let field = described(&serde_json::from_str(schema).unwrap());
            let encoding = field.encoding.as_str();
            assert_eq!(
                format!("{} {} {encoding}", field.spelled, field.kind),
                expected
            );
        }
    }
}
