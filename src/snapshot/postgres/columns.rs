//! How each type of PostgreSQL is asked for, so that what arrives is what Debezium would have sent.

use super::super::form::Form;
use super::super::reading::{PLAIN, Read, innermost, is_time, with};
use crate::catalog::SourceType;
use crate::column::Type;
use crate::job::{Column, Encoding};

/// Every field, as Debezium's `interval.handling.mode=string` has it.
const INTERVAL: &str = "CASE WHEN {} IS NOT NULL THEN format('P%sY%sM%sDT%sH%sM%sS', extract(year FROM {}), extract(month FROM {}), \
extract(day FROM {}), extract(hour FROM {}), extract(minute FROM {}), trim_scale(extract(second FROM {}))) END";
const TIMETZ: &str = "({} AT TIME ZONE 'UTC')::time::text || 'Z'";
const MICROS: &str = "(extract(epoch FROM {}) * 1000000)::bigint";
const DAYS: &str = "({} - date '1970-01-01')";

/// How a column of this type is read for a column of the job; `None` where what Debezium sends cannot be known.
pub(in crate::snapshot) fn read(kind: &SourceType, column: &Column) -> Option<Read> {
    let target = innermost(&column.kind);
    let SourceType::Scalar {
        name,
        is_enum,
        modifier,
    } = kind
    else {
        return array(kind, column);
    };
    let keep = column.encoding;
    if *is_enum {
        return with(PLAIN, Form::Text, keep);
    }
    let is_text = matches!(target, Type::String);
    let is_time = is_time(target);
    let is_float = matches!(target, Type::Float32 | Type::Float64);
    let is_decimal = matches!(target, Type::Decimal { .. });
    let is_number = !is_text && !is_time && !is_float && !is_decimal;
    match name.as_str() {
        "int2" | "int4" | "int8" | "oid" => with(PLAIN, Form::Raw, keep),
        "float4" | "float8" => with(PLAIN, Form::Float, keep),
        "bool" => with(PLAIN, Form::Bool, keep),
        "numeric" if is_float => with(PLAIN, Form::Float, keep),
        "numeric" => with(PLAIN, Form::Decimal, Encoding::Plain),
        "money" => with("{}::numeric", Form::Decimal, Encoding::Plain),
        "text" | "varchar" | "bpchar" | "char" | "citext" | "xml" | "ltree" | "tsvector"
        | "uuid" | "json" | "jsonb" | "inet" | "cidr" | "macaddr" | "macaddr8" | "int4range"
        | "int8range" | "numrange" | "tsrange" | "tstzrange" | "daterange" => {
            with(PLAIN, Form::Text, keep)
        }
        "hstore" => Some(Read {
            expression: "hstore_to_json({})",
            form: Form::Text,
            encoding: keep,
            not_compared: Some("the order of its pairs is the connector's"),
        }),
        "interval" if is_text => with(INTERVAL, Form::Text, keep),
        "timetz" if is_text => with(TIMETZ, Form::Text, keep),
        "date" | "timestamp" | "timestamptz" | "time" if is_time => {
            with(PLAIN, Form::Iso, Encoding::Plain)
        }
        "date" if is_number => with(DAYS, Form::Raw, keep),
        "timestamp" | "time" if is_number => with(MICROS, Form::Raw, keep),
        "bytea" if keep == Encoding::Base64 => with(PLAIN, Form::Base64, keep),
        "bit" if *modifier == 1 => with(PLAIN, Form::Bool, keep),
        "bit" | "varbit" if keep == Encoding::Base64 => with(PLAIN, Form::Bits, keep),
        "vector" | "halfvec" => with(PLAIN, Form::Raw, keep),
        _ => None,
    }
}

fn array(kind: &SourceType, column: &Column) -> Option<Read> {
    let SourceType::Array(element) = kind else {
        return None;
    };
    let SourceType::Scalar { name, .. } = &**element else {
        return None;
    };
    let as_array = matches!(column.kind, Type::Array(_));
    let element_column = match &column.kind {
        Type::Array(inner) => Column {
            kind: (**inner).clone(),
            ..column.clone()
        },
        _ => column.clone(),
    };
    // an array kept as its JSON text is compared where every connector writes the same text
    let same_text = matches!(
        name.as_str(),
        "int2" | "int4" | "int8" | "text" | "varchar" | "bool" | "uuid"
    );
    let as_text = same_text && column.encoding == Encoding::Json;
    if !as_array && !as_text {
        return None;
    }
    let read = read(element, &element_column)?;
    (read.expression == PLAIN && read.not_compared.is_none()).then(|| Read {
        form: Form::Array(Box::new(read.form)),
        encoding: if as_array {
            read.encoding
        } else {
            Encoding::Json
        },
        ..read
    })
}

fn is_named(kind: &SourceType, names: &[&str]) -> bool {
    matches!(kind, SourceType::Scalar { name, .. } if names.contains(&name.as_str()))
}

/// Expressions whose order in PostgreSQL is ClickHouse's order of the column.
pub(in crate::snapshot) fn order(kind: &SourceType, target: &Type, column: &str) -> Vec<String> {
    match innermost(target) {
        // its second half first
        Type::Uuid => [9, 1]
            .map(|from| format!("substring(uuid_send({column}) from {from} for 8)"))
            .to_vec(),
        Type::String if is_named(kind, &["text", "varchar"]) => {
            vec![format!("{column} COLLATE \"C\"")]
        }
        Type::String if !is_named(kind, &["bytea"]) => {
            vec![format!("format('%s', {column}) COLLATE \"C\"")]
        }
        _ => vec![column.to_owned()],
    }
}

pub(in crate::snapshot) fn is_bytes(kind: &SourceType) -> bool {
    is_named(kind, &["bytea"])
}
