//! MySQL's and MariaDB's types and the ClickHouse types that hold them, as Debezium writes their values under
//! `time.precision.mode=microseconds`, `decimal.handling.mode=string`, `bigint.unsigned.handling.mode=precise` and
//! `binary.handling.mode=base64` or `bytes`. Each line was read off a real connector (MariaDB 10.11, Debezium 3.5).

use crate::catalog::Mapped;
use crate::catalog::types::{bit_number, decimal, from, instant, nullable_of, to};
use crate::column::Type;
use crate::job::Encoding;

/// A column's type as `information_schema` describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MysqlType {
    /// `data_type`, lower case, such as `bigint`
    pub name: String,
    pub unsigned: bool,
    /// digits of a number, bits of a bit field
    pub precision: u32,
    pub scale: u32,
    /// a label of an `enum` has a comma in it
    pub has_comma: bool,
}

/// MySQL counts time in microseconds.
const SECOND_DIGITS: u8 = 6;

pub fn map(kind: &MysqlType, nullable: bool) -> Mapped {
    match scalar(kind) {
        Mapped::To {
            kind,
            encoding,
            note,
        } if nullable => Mapped::To {
            kind: nullable_of(kind),
            encoding,
            note,
        },
        mapped => mapped,
    }
}

fn scalar(kind: &MysqlType) -> Mapped {
    let sign = |signed, unsigned| to(if kind.unsigned { unsigned } else { signed });
    match kind.name.as_str() {
        "tinyint" => sign(Type::Int8, Type::UInt8),
        "smallint" => sign(Type::Int16, Type::UInt16),
        "mediumint" | "int" => sign(Type::Int32, Type::UInt32),
        "bigint" if kind.unsigned => from(Type::UInt64, Encoding::Unscaled),
        "bigint" => to(Type::Int64),
        "float" => noted(
            Type::Float32,
            Encoding::Plain,
            "MariaDB's snapshot has the six digits that the server prints; changes have all",
        ),
        "double" => to(Type::Float64),
        // at most 65 digits
        "decimal" => match (u8::try_from(kind.precision), u8::try_from(kind.scale)) {
            (Ok(precision), Ok(scale)) => to(decimal(precision, scale)),
            _ => to(Type::String),
        },
        "bit" => bit_number(kind.precision),
        "date" => noted(
            Type::Date32,
            Encoding::Days,
            "a zero date arrives as NULL, or as 1970-01-01 where it is NOT NULL",
        ),
        "datetime" => noted(
            instant(),
            Encoding::Micros,
            "no zone: counted as if it were UTC; zero as for a date",
        ),
        "timestamp" => noted(
            instant(),
            Encoding::Plain,
            "an instant; zero arrives as 1970-01-01",
        ),
        "time" => from(
            Type::Time64 {
                precision: SECOND_DIGITS,
            },
            Encoding::Micros,
        ),
        "year" => to(Type::UInt16),
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" => to(Type::String),
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob" => {
            from(Type::String, Encoding::Base64)
        }
        "enum" => noted(
            Type::LowCardinality(Box::new(Type::String)),
            Encoding::Plain,
            "Debezium 3.5 writes a comma in a label as \\, in changes",
        ),
        "set" => noted(
            Type::String,
            Encoding::Plain,
            "its members, separated by commas",
        ),
        "json" => to(Type::String),
        "uuid" => to(Type::Uuid),
        "point" | "linestring" | "polygon" | "multipoint" | "multilinestring" | "multipolygon"
        | "geometry" | "geometrycollection" | "geomcollection" => {
            noted(Type::String, Encoding::Json, "`wkb` in base64, and `srid`")
        }
        "vector" => Mapped::To {
            kind: Type::Array(Box::new(Type::Float32)),
            encoding: Encoding::Plain,
            note: Some("not run here"),
        },
        "inet4" | "inet6" => {
            Mapped::LeftOut("Debezium 3.5 cannot read the definition of a table with such a column")
        }
        _ => Mapped::LeftOut("Debezium leaves columns of this type out"),
    }
}

fn noted(kind: Type, encoding: Encoding, note: &'static str) -> Mapped {
    Mapped::To {
        kind,
        encoding,
        note: Some(note),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_hold_every_value_of_the_source() {
        let shown = |name: &str, unsigned, (precision, scale), nullable| {
            let kind = MysqlType {
                name: name.to_owned(),
                unsigned,
                precision,
                scale,
                has_comma: false,
            };
            match map(&kind, nullable) {
                Mapped::To { kind, encoding, .. } => format!("{kind} {}", encoding.as_str()),
                Mapped::LeftOut(_) => "left out".to_owned(),
            }
        };
        for (name, unsigned, size, nullable, expected) in [
            ("tinyint", true, (3, 0), false, "UInt8 plain"),
            ("mediumint", true, (8, 0), true, "Nullable(UInt32) plain"),
            ("bigint", true, (20, 0), true, "Nullable(UInt64) unscaled"),
            ("decimal", false, (65, 30), false, "Decimal(65, 30) plain"),
            ("bit", false, (1, 0), false, "Bool plain"),
            ("bit", false, (9, 0), false, "UInt16 base64"),
            ("time", false, (0, 0), true, "Nullable(Time64(6)) micros"),
            (
                "enum",
                false,
                (0, 0),
                true,
                "LowCardinality(Nullable(String)) plain",
            ),
            ("inet6", false, (0, 0), false, "left out"),
        ] {
            assert_eq!(shown(name, unsigned, size, nullable), expected, "{name}");
        }
    }
}
