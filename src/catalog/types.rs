//! PostgreSQL types and the ClickHouse types that hold them, as Debezium writes their values under
//! `time.precision.mode=microseconds`, `decimal.handling.mode=string`, `interval.handling.mode=string` and
//! `binary.handling.mode=base64` or `bytes`. Each line was read off a real connector (Debezium 3.7).

use super::mysql::{self, MysqlType};
use crate::column::Type;
use crate::job::Encoding;

/// A column's type, domains followed to their base.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceType {
    Scalar {
        /// `pg_type.typname`, such as `int4`
        name: String,
        /// `atttypmod`: what stands in parentheses, −1 without
        modifier: i32,
        is_enum: bool,
    },
    Array(Box<SourceType>),
    Mysql(MysqlType),
}

/// Where a column's values go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mapped {
    To {
        kind: Type,
        encoding: Encoding,
        note: Option<&'static str>,
    },
    /// changes do not carry it, or not reliably: it is excluded, and this is why
    LeftOut(&'static str),
}

/// Header that PostgreSQL adds to the modifier of types with a length.
const MODIFIER_HEADER: i32 = 4;
/// `money` is a 64-bit count of hundredths.
const MONEY_DIGITS: u8 = 19;
/// PostgreSQL counts time in microseconds.
const SECOND_DIGITS: u8 = 6;
/// ClickHouse's widest decimal, which a wider numeric does not fit.
const MOST_DECIMAL_DIGITS: i32 = 76;

pub fn map(kind: &SourceType, nullable: bool) -> Mapped {
    match kind {
        SourceType::Array(element) => array(element),
        SourceType::Mysql(kind) => mysql::map(kind, nullable),
        SourceType::Scalar {
            name,
            modifier,
            is_enum,
        } => {
            let scalar = match is_enum {
                true => to(Type::LowCardinality(Box::new(Type::String))),
                false => scalar(name, *modifier),
            };
            match scalar {
                Mapped::To {
                    kind,
                    encoding,
                    note,
                } if nullable => Mapped::To {
                    kind: nullable_of(kind),
                    encoding,
                    note,
                },
                scalar => scalar,
            }
        }
    }
}

/// Values past two kilobytes are ordinary for these, so that PostgreSQL stores them out of line.
pub(super) fn can_be_large(kind: &SourceType) -> bool {
    match kind {
        SourceType::Array(_) => true,
        // the binary log has every value
        SourceType::Mysql(_) => false,
        SourceType::Scalar { name, .. } => matches!(
            name.as_str(),
            "text"
                | "varchar"
                | "bpchar"
                | "citext"
                | "json"
                | "jsonb"
                | "bytea"
                | "xml"
                | "hstore"
                | "tsvector"
                | "path"
                | "polygon"
                | "geometry"
                | "geography"
        ),
    }
}

/// Whether Debezium marks a value that an UPDATE left alone and PostgreSQL did not log. For the other types it sends
/// NULL, which then may be either. Read off Debezium 3.7.
pub(super) fn has_placeholder(kind: &SourceType) -> bool {
    let element_marked = |name: &str| {
        matches!(
            name,
            "text" | "varchar" | "json" | "jsonb" | "bytea" | "int4" | "int8" | "date" | "uuid"
        )
    };
    match kind {
        SourceType::Scalar { name, .. } => !matches!(name.as_str(), "path" | "polygon"),
        SourceType::Mysql(_) => true,
        SourceType::Array(element) => {
            matches!(&**element, SourceType::Scalar { name, .. } if element_marked(name))
        }
    }
}

pub(super) fn nullable_of(kind: Type) -> Type {
    match kind {
        Type::LowCardinality(inner) => Type::LowCardinality(Box::new(Type::Nullable(inner))),
        // ClickHouse has no Nullable(Array(…))
        kind @ Type::Array(_) => kind,
        kind => Type::Nullable(Box::new(kind)),
    }
}

fn array(element: &SourceType) -> Mapped {
    let SourceType::Scalar {
        name,
        modifier,
        is_enum,
    } = element
    else {
        return Mapped::LeftOut("Debezium does not send arrays of arrays");
    };
    if *is_enum || !array_arrives(name) {
        return Mapped::LeftOut(
            "Debezium sends NULL, or nothing, for arrays of this type: make it text",
        );
    }
    if name == "time" && !(0..=3).contains(modifier) {
        return Mapped::LeftOut("Debezium cuts the elements to milliseconds: make it time(3)[]");
    }
    match scalar(name, *modifier) {
        Mapped::To {
            kind,
            encoding,
            note,
        } => Mapped::To {
            kind: Type::Array(Box::new(nullable_of(kind))),
            encoding,
            note,
        },
        left_out => left_out,
    }
}

/// Elements that Debezium 3.7 was seen to send; of other types the whole array arrives as NULL, or its field is missing.
fn array_arrives(name: &str) -> bool {
    matches!(
        name,
        "int2"
            | "int4"
            | "int8"
            | "oid"
            | "float4"
            | "float8"
            | "bool"
            | "numeric"
            | "text"
            | "varchar"
            | "bpchar"
            | "char"
            | "citext"
            | "json"
            | "jsonb"
            | "hstore"
            | "bytea"
            | "uuid"
            | "date"
            | "time"
            | "timetz"
            | "timestamp"
            | "timestamptz"
            | "inet"
            | "cidr"
            | "macaddr"
            | "macaddr8"
            | "int4range"
            | "int8range"
            | "numrange"
            | "tsrange"
            | "tstzrange"
            | "daterange"
    )
}

fn scalar(name: &str, modifier: i32) -> Mapped {
    match name {
        "int2" => to(Type::Int16),
        "int4" => to(Type::Int32),
        "int8" => to(Type::Int64),
        "oid" => to(Type::Int64),
        "float4" => to(Type::Float32),
        "float8" => to(Type::Float64),
        "bool" => to(Type::Bool),
        "numeric" => numeric(modifier),
        "money" => noted(
            decimal(MONEY_DIGITS, 2),
            "two digits after the point, unless lc_monetary says otherwise",
        ),
        "text" | "varchar" | "bpchar" | "char" | "citext" | "xml" | "ltree" | "tsvector" => {
            to(Type::String)
        }
        "inet" | "cidr" | "macaddr" | "macaddr8" => to(Type::String),
        "int4range" | "int8range" | "numrange" | "tsrange" | "tstzrange" | "daterange" => {
            to(Type::String)
        }
        "json" | "jsonb" => to(Type::String),
        "hstore" => noted(Type::String, "JSON text, with hstore.handling.mode=json"),
        "interval" => noted(Type::String, "ISO 8601, such as P1Y2M3DT4H5M6.7S"),
        "uuid" => to(Type::Uuid),
        "timestamptz" => to(instant()),
        "timestamp" => from(instant(), Encoding::Micros),
        "date" => from(Type::Date32, Encoding::Days),
        "time" => from(
            Type::Time64 {
                precision: SECOND_DIGITS,
            },
            Encoding::Micros,
        ),
        "timetz" => noted(
            Type::String,
            "shifted to UTC by Debezium, such as 23:02:03Z",
        ),
        "bytea" => from(Type::String, Encoding::Base64),
        "bit" | "varbit" => bits(name, modifier),
        "point" | "line" | "lseg" | "box" | "path" | "polygon" | "circle" | "geometry"
        | "geography" => from(Type::String, Encoding::Json),
        "vector" => noted_array(Type::Float64),
        "halfvec" => noted_array(Type::Float32),
        "sparsevec" => from(Type::String, Encoding::Json),
        "name" => {
            Mapped::LeftOut("Debezium sends a `name` as NULL after the snapshot: make it text")
        }
        _ => Mapped::LeftOut("Debezium leaves columns of this type out"),
    }
}

fn bits(name: &str, count: i32) -> Mapped {
    match (name, u32::try_from(count)) {
        ("bit", Ok(count)) => bit_number(count),
        _ => bit_bytes(),
    }
}

/// A single bit is a truth value to Debezium, more are bytes with the lowest bit first, from which it cuts those that
/// are zero at the end: as a number they are whole again, where the type tells their count.
pub(super) fn bit_number(count: u32) -> Mapped {
    let number = |kind| from(kind, Encoding::Base64);
    match count {
        1 => to(Type::Bool),
        2..=8 => number(Type::UInt8),
        9..=16 => number(Type::UInt16),
        17..=32 => number(Type::UInt32),
        33..=64 => number(Type::UInt64),
        _ => bit_bytes(),
    }
}

fn bit_bytes() -> Mapped {
    Mapped::To {
        kind: Type::String,
        encoding: Encoding::Base64,
        note: Some("bytes, the lowest bit first; Debezium does not send zeros at the high end"),
    }
}

/// `numeric(p, s)`: p above the sixteenth bit, s in the low eleven, signed.
fn numeric(modifier: i32) -> Mapped {
    let Some(packed) = modifier
        .checked_sub(MODIFIER_HEADER)
        .filter(|packed| *packed >= 0)
    else {
        return noted(
            Type::String,
            "numeric without a precision holds more digits than any Decimal",
        );
    };
    let precision = packed >> 16;
    let scale = ((packed & 0x7ff) ^ 0x400) - 0x400;
    // numeric(3, −2) holds five digits before the point, numeric(2, 5) has five after it
    let digits = (precision - scale.min(0)).max(scale);
    match (u8::try_from(digits), u8::try_from(scale.max(0))) {
        (Ok(digits), Ok(scale)) if i32::from(digits) <= MOST_DECIMAL_DIGITS => {
            to(decimal(digits, scale))
        }
        _ => noted(Type::String, "more digits than ClickHouse's widest Decimal"),
    }
}

pub(super) fn decimal(precision: u8, scale: u8) -> Type {
    Type::Decimal { precision, scale }
}

pub(super) fn instant() -> Type {
    Type::DateTime64 {
        precision: SECOND_DIGITS,
        zone: Some("UTC".to_owned()),
    }
}

pub(super) fn to(kind: Type) -> Mapped {
    from(kind, Encoding::Plain)
}

pub(super) fn from(kind: Type, encoding: Encoding) -> Mapped {
    Mapped::To {
        kind,
        encoding,
        note: None,
    }
}

fn noted(kind: Type, note: &'static str) -> Mapped {
    Mapped::To {
        kind,
        encoding: Encoding::Plain,
        note: Some(note),
    }
}

fn noted_array(element: Type) -> Mapped {
    noted(Type::Array(Box::new(element)), "pgvector; not run by us")
}

#[cfg(test)]
mod tests;
