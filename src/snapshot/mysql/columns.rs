//! How each type of MySQL and MariaDB is asked for, so that what arrives is what Debezium would have sent.

use super::super::form::Form;
use super::super::reading::{PLAIN, Read, innermost, is_time, with};
use crate::catalog::MysqlType;
use crate::column::Type;
use crate::job::{Column, Encoding};

/// Debezium sends NULL for a zero date, or 1970-01-01 where the column cannot be NULL …
const DATE: &str = "IF(LEFT(CAST({} AS CHAR), 10) = '0000-00-00', NULL, CAST({} AS CHAR))";
const REQUIRED_DATE: &str =
    "IF(LEFT(CAST({} AS CHAR), 10) = '0000-00-00', '1970-01-01', CAST({} AS CHAR))";
const REQUIRED_DATETIME: &str =
    "IF(LEFT(CAST({} AS CHAR), 10) = '0000-00-00', '1970-01-01 00:00:00', CAST({} AS CHAR))";
const DAYS: &str = "DATEDIFF({}, '1970-01-01')";
const MICROS: &str = "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', {})";
/// Of a time of day, which goes beyond 24 hours and below zero.
const SPAN_MICROS: &str =
    "TIMESTAMPDIFF(MICROSECOND, '1970-01-01', ADDTIME('1970-01-01 00:00:00.000000', {}))";
/// As a number: a text has the zeros of `ZEROFILL` and of a year before 1000, which are no JSON.
const NUMBER: &str = "{} + 0";
const DIGITS: &str = "BIN({})";

/// `None` where what Debezium sends cannot be known.
pub(in crate::snapshot) fn read(kind: &MysqlType, nullable: bool, column: &Column) -> Option<Read> {
    let target = innermost(&column.kind);
    let (is_text, is_time) = (matches!(target, Type::String), is_time(target));
    let is_float = matches!(target, Type::Float32 | Type::Float64);
    let keep = column.encoding;
    let but = |why, read: Option<Read>| {
        read.map(|read| Read {
            not_compared: Some(why),
            ..read
        })
    };
    match kind.name.as_str() {
        "tinyint" if *target == Type::Bool => with(PLAIN, Form::Bool, keep),
        // whatever `bigint.unsigned.handling.mode` makes of it
        "bigint" => with(NUMBER, Form::Raw, Encoding::Plain),
        "tinyint" | "smallint" | "mediumint" | "int" | "year" | "double" => {
            with(NUMBER, Form::Raw, keep)
        }
        "float" => but(
            "a connector's snapshot has six digits of it, its changes have all",
            with("CAST({} AS DOUBLE)", Form::Raw, keep),
        ),
        "decimal" if is_float => with(PLAIN, Form::Float, keep),
        "decimal" => with(PLAIN, Form::Decimal, Encoding::Plain),
        "bit" if kind.precision == 1 => with(NUMBER, Form::Bool, keep),
        "bit" if keep == Encoding::Base64 => with(DIGITS, Form::Bits, keep),
        "date" if is_time && nullable => with(DATE, Form::Iso, Encoding::Plain),
        "date" if is_time => with(REQUIRED_DATE, Form::Iso, Encoding::Plain),
        "datetime" if is_time && nullable => with(DATE, Form::Iso, Encoding::Plain),
        "datetime" | "timestamp" if is_time => with(REQUIRED_DATETIME, Form::Iso, Encoding::Plain),
        "time" if is_time => with(SPAN_MICROS, Form::Raw, Encoding::Micros),
        "date" if !is_text => with(DAYS, Form::Raw, keep),
        "datetime" if !is_text => with(MICROS, Form::Raw, keep),
        "time" if !is_text => with(SPAN_MICROS, Form::Raw, keep),
        "char" | "varchar" | "tinytext" | "text" | "mediumtext" | "longtext" | "set" | "uuid" => {
            with(PLAIN, Form::Text, keep)
        }
        "enum" => but(
            "a connector writes a comma in a label in two ways",
            with(PLAIN, Form::Text, keep),
        )
        .map(|read| match kind.has_comma {
            true => read,
            false => Read {
                not_compared: None,
                ..read
            },
        }),
        "json" => but(
            "a connector writes JSON with spaces and order of its own",
            with(PLAIN, Form::Text, keep),
        ),
        "binary" | "varbinary" | "tinyblob" | "blob" | "mediumblob" | "longblob"
            if keep == Encoding::Base64 =>
        {
            with(PLAIN, Form::Bytes, keep)
        }
        _ => None,
    }
}

/// Expressions whose order in MySQL is ClickHouse's order of the column.
pub(in crate::snapshot) fn order(kind: &MysqlType, target: &Type, column: &str) -> Vec<String> {
    match innermost(target) {
        // its second half first
        Type::Uuid => [20, 1]
            .map(|from| format!("CAST(SUBSTRING(CAST({column} AS CHAR), {from}, 18) AS BINARY)"))
            .to_vec(),
        Type::String if is_bytes(kind) => vec![column.to_owned()],
        Type::String => vec![format!("CAST(CONVERT({column} USING utf8mb4) AS BINARY)")],
        _ => vec![column.to_owned()],
    }
}

pub(in crate::snapshot) fn is_bytes(kind: &MysqlType) -> bool {
    kind.name.ends_with("binary") || kind.name.ends_with("blob")
}
