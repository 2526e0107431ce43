//! Which ClickHouse type holds which source type: the table that `bullion types` prints and `docs/types.md` holds.
//! It asks [`map`], so it says what `bullion new silver` writes.

use super::{Mapped, MysqlType, SourceType, System, map};
use crate::job::Encoding;

/// One source type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// as the source writes it
    pub source: &'static str,
    /// what stands in the message
    pub message: &'static str,
    /// the ClickHouse type; nothing where it is left out
    pub column: Option<String>,
    /// `from` in the job, where it is needed
    pub from: Option<&'static str>,
    pub note: &'static str,
}

const NUMBER: &str = "number";
const TEXT: &str = "text";
const DIGITS: &str = "text of its digits";
const BITS: &str = "base64, the lowest bit first";
const MICROS: &str = "microseconds";
const ELEMENTS: &str = "array of the above";

/// Its spelling, `pg_type.typname`, its modifier, and how Debezium writes it. A final `[]` is an array.
const POSTGRES: [(&str, &str, i32, &str); 64] = [
    ("smallint", "int2", -1, NUMBER),
    ("integer", "int4", -1, NUMBER),
    ("bigint", "int8", -1, NUMBER),
    ("oid", "oid", -1, NUMBER),
    ("real", "float4", -1, "number, or `\"NaN\"`, `\"Infinity\"`"),
    (
        "double precision",
        "float8",
        -1,
        "number, or `\"NaN\"`, `\"Infinity\"`",
    ),
    ("boolean", "bool", -1, "true, false"),
    ("numeric(10, 2)", "numeric", modifier(10, 2), DIGITS),
    ("numeric(76, 38)", "numeric", modifier(76, 38), DIGITS),
    ("numeric(77, 1)", "numeric", modifier(77, 1), DIGITS),
    ("numeric(3, -2)", "numeric", modifier(3, -2), DIGITS),
    ("numeric", "numeric", -1, DIGITS),
    ("money", "money", -1, DIGITS),
    ("text, varchar, char, citext", "text", -1, TEXT),
    ("\"char\"", "char", -1, TEXT),
    ("xml", "xml", -1, TEXT),
    ("ltree", "ltree", -1, TEXT),
    ("tsvector", "tsvector", -1, TEXT),
    ("json, jsonb", "jsonb", -1, "text of the document"),
    ("hstore", "hstore", -1, "text of a JSON object"),
    ("uuid", "uuid", -1, TEXT),
    ("an enum", "mood", -1, TEXT),
    ("a domain", "", -1, "as its base type"),
    ("bytea", "bytea", -1, "base64"),
    ("bit, bit(1)", "bit", 1, "true, false"),
    ("bit(2) … bit(8)", "bit", 8, BITS),
    ("bit(9) … bit(16)", "bit", 16, BITS),
    ("bit(17) … bit(32)", "bit", 32, BITS),
    ("bit(33) … bit(64)", "bit", 64, BITS),
    ("bit(65) …, bit varying", "varbit", -1, BITS),
    ("date", "date", -1, "days since 1970"),
    ("time", "time", -1, MICROS),
    ("time with time zone", "timetz", -1, "ISO 8601 text"),
    ("timestamp", "timestamp", -1, MICROS),
    (
        "timestamp with time zone",
        "timestamptz",
        -1,
        "ISO 8601 text",
    ),
    ("interval", "interval", -1, "ISO 8601 text"),
    ("inet, cidr, macaddr, macaddr8", "inet", -1, TEXT),
    ("int4range, int8range, numrange", "numrange", -1, TEXT),
    ("tsrange, tstzrange, daterange", "tstzrange", -1, TEXT),
    ("multiranges", "int4multirange", -1, "not sent"),
    ("point", "point", -1, "object: `x`, `y`, `wkb`"),
    ("line", "line", -1, "object: `a`, `b`, `c`"),
    ("circle", "circle", -1, "object: `center`, `radius`"),
    (
        "lseg, box, path, polygon",
        "polygon",
        -1,
        "object: `wkb`, `srid`",
    ),
    (
        "geometry, geography (PostGIS)",
        "geometry",
        -1,
        "object: `wkb`, `srid`",
    ),
    ("vector (pgvector)", "vector", -1, "array of numbers"),
    ("halfvec (pgvector)", "halfvec", -1, "array of numbers"),
    (
        "sparsevec (pgvector)",
        "sparsevec",
        -1,
        "object: `dimensions`, `vector`",
    ),
    ("smallint[] … bigint[], oid[]", "int8[]", -1, ELEMENTS),
    ("real[], double precision[]", "float8[]", -1, ELEMENTS),
    ("boolean[]", "bool[]", -1, ELEMENTS),
    ("numeric(10, 2)[]", "numeric[]", modifier(10, 2), ELEMENTS),
    ("numeric[]", "numeric[]", -1, ELEMENTS),
    ("text[], json[], inet[], ranges[]", "text[]", -1, ELEMENTS),
    ("bytea[]", "bytea[]", -1, ELEMENTS),
    ("uuid[]", "uuid[]", -1, ELEMENTS),
    ("date[]", "date[]", -1, ELEMENTS),
    ("time(3)[]", "time[]", 3, ELEMENTS),
    ("time[]", "time[]", -1, ELEMENTS),
    ("timestamp[]", "timestamp[]", -1, ELEMENTS),
    ("timestamp with time zone[]", "timestamptz[]", -1, ELEMENTS),
    ("arrays of other types", "money[]", -1, "NULL, or not sent"),
    ("integer[][]", "int4[][]", -1, "array of NULLs"),
    (
        "name, pg_lsn, xid, tid, composite types, …",
        "pg_lsn",
        -1,
        "not sent",
    ),
];

type MysqlRow = (&'static str, &'static str, bool, (u32, u32), &'static str);

/// Its spelling, `data_type`, whether it is unsigned, precision and scale, and how Debezium writes it.
const MYSQL: [MysqlRow; 33] = [
    ("tinyint, bool", "tinyint", false, (3, 0), NUMBER),
    ("tinyint unsigned", "tinyint", true, (3, 0), NUMBER),
    ("smallint", "smallint", false, (5, 0), NUMBER),
    ("smallint unsigned", "smallint", true, (5, 0), NUMBER),
    ("mediumint, int", "int", false, (10, 0), NUMBER),
    (
        "mediumint unsigned, int unsigned",
        "int",
        true,
        (10, 0),
        NUMBER,
    ),
    ("bigint", "bigint", false, (19, 0), NUMBER),
    (
        "bigint unsigned",
        "bigint",
        true,
        (20, 0),
        "base64 of a big-endian number",
    ),
    ("float, float(M, D)", "float", false, (12, 0), NUMBER),
    ("double, double(M, D)", "double", false, (22, 0), NUMBER),
    ("decimal(10, 2)", "decimal", false, (10, 2), DIGITS),
    ("decimal(65, 30)", "decimal", false, (65, 30), DIGITS),
    ("bit, bit(1)", "bit", false, (1, 0), "true, false"),
    ("bit(2) … bit(8)", "bit", false, (8, 0), BITS),
    ("bit(9) … bit(16)", "bit", false, (16, 0), BITS),
    ("bit(17) … bit(32)", "bit", false, (32, 0), BITS),
    ("bit(33) … bit(64)", "bit", false, (64, 0), BITS),
    ("date", "date", false, (0, 0), "days since 1970"),
    ("time(0) … time(6)", "time", false, (0, 0), MICROS),
    (
        "datetime(0) … datetime(6)",
        "datetime",
        false,
        (0, 0),
        MICROS,
    ),
    (
        "timestamp(0) … timestamp(6)",
        "timestamp",
        false,
        (0, 0),
        "ISO 8601 text",
    ),
    ("year", "year", false, (0, 0), NUMBER),
    ("char, varchar, every text", "text", false, (0, 0), TEXT),
    (
        "binary, varbinary, every blob",
        "blob",
        false,
        (0, 0),
        "base64",
    ),
    ("enum", "enum", false, (0, 0), TEXT),
    ("set", "set", false, (0, 0), TEXT),
    ("json", "json", false, (0, 0), "text of the document"),
    ("uuid (MariaDB)", "uuid", false, (0, 0), TEXT),
    ("inet4, inet6 (MariaDB)", "inet4", false, (0, 0), "not sent"),
    (
        "point",
        "point",
        false,
        (0, 0),
        "object: `x`, `y`, `wkb`, `srid`",
    ),
    (
        "geometry and its other kinds",
        "geometry",
        false,
        (0, 0),
        "object: `wkb`, `srid`",
    ),
    ("vector", "vector", false, (0, 0), "array of numbers"),
    ("generated columns", "", false, (0, 0), "as their type"),
];

/// `numeric(p, s)` as PostgreSQL packs it.
const fn modifier(precision: i32, scale: i32) -> i32 {
    (precision << 16 | scale & 0x7ff) + 4
}

pub fn listing(system: System) -> Vec<Listed> {
    match system {
        System::Postgres => POSTGRES
            .iter()
            .map(|(source, name, modifier, message)| {
                listed(source, message, postgres(name, *modifier))
            })
            .collect(),
        System::Mysql => MYSQL
            .iter()
            .map(|(source, name, unsigned, (precision, scale), message)| {
                let kind = MysqlType {
                    name: (*name).to_owned(),
                    unsigned: *unsigned,
                    precision: *precision,
                    scale: *scale,
                    has_comma: false,
                };
                listed(
                    source,
                    message,
                    Some(SourceType::Mysql(kind)).filter(|_| !name.is_empty()),
                )
            })
            .collect(),
    }
}

fn postgres(name: &str, modifier: i32) -> Option<SourceType> {
    if let Some(element) = name.strip_suffix("[]") {
        return postgres(element, modifier).map(|element| SourceType::Array(Box::new(element)));
    }
    (!name.is_empty()).then(|| SourceType::Scalar {
        name: name.to_owned(),
        modifier,
        is_enum: name == "mood",
    })
}

/// Nothing for what is read as another type of the table.
fn listed(source: &'static str, message: &'static str, kind: Option<SourceType>) -> Listed {
    let (column, encoding, note) = match kind.map(|kind| map(&kind, false)) {
        None => (Some("as that type".to_owned()), Encoding::Plain, ""),
        Some(Mapped::To {
            kind,
            encoding,
            note,
        }) => (Some(kind.to_string()), encoding, note.unwrap_or_default()),
        Some(Mapped::LeftOut(why)) => (None, Encoding::Plain, why),
    };
    Listed {
        source,
        message,
        column,
        from: (encoding != Encoding::Plain).then(|| encoding.as_str()),
        note,
    }
}
