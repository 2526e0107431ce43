//! Every type of MySQL and MariaDB, and values that it holds.

pub struct Case {
    /// the column's name
    pub name: &'static str,
    pub kind: &'static str,
    /// as SQL
    pub values: &'static [&'static str],
    /// how MariaDB and ClickHouse spell a value the same; `?` is the column
    pub spelled: [&'static str; 2],
}

const WHOLE: [&str; 2] = ["?", "toString(?)"];
const BITS: [&str; 2] = ["? + 0", "toString(toUInt64(?))"];
const FLOAT: [&str; 2] = ["CAST(? AS DOUBLE)", "toString(toFloat64(?))"];
const TEXT: [&str; 2] = ["HEX(CONVERT(? USING utf8mb4))", "hex(?)"];
const BYTES: [&str; 2] = ["HEX(?)", "hex(?)"];
const INSTANT: [&str; 2] = ["DATE_FORMAT(?, '%Y-%m-%d %H:%i:%s.%f')", "toString(?)"];
const CLOCK: [&str; 2] = ["TIME_FORMAT(?, '%H:%i:%s.%f')", "toString(?)"];
const SHAPE: [&str; 2] = [
    "CONCAT(HEX(ST_AsBinary(?)), ' ', ST_SRID(?))",
    "hex(base64Decode(JSONExtractString(?, 'wkb'))) || ' ' || toString(JSONExtractInt(?, 'srid'))",
];

const fn case(
    name: &'static str,
    kind: &'static str,
    values: &'static [&'static str],
    spelled: [&'static str; 2],
) -> Case {
    Case {
        name,
        kind,
        values,
        spelled,
    }
}

pub const CASES: [Case; 49] = [
    case("yes", "bool", &["0", "1"], WHOLE),
    case("tiny", "tinyint", &["-128", "127"], WHOLE),
    case("tiny_u", "tinyint unsigned", &["0", "255"], WHOLE),
    case("small", "smallint", &["-32768", "32767"], WHOLE),
    case("small_u", "smallint unsigned", &["0", "65535"], WHOLE),
    case("medium", "mediumint", &["-8388608", "8388607"], WHOLE),
    case("medium_u", "mediumint unsigned", &["0", "16777215"], WHOLE),
    case("whole", "int", &["-2147483648", "2147483647"], WHOLE),
    case("whole_u", "int unsigned", &["0", "4294967295"], WHOLE),
    case(
        "padded_number",
        "int(8) zerofill",
        &["42"],
        ["? + 0", "toString(?)"],
    ),
    case(
        "big",
        "bigint",
        &[
            "-9223372036854775808",
            "9007199254740993",
            "9223372036854775807",
        ],
        WHOLE,
    ),
    case(
        "big_u",
        "bigint unsigned",
        &["0", "9223372036854775808", "18446744073709551615"],
        WHOLE,
    ),
    case(
        "price",
        "decimal(10, 2)",
        &["-99999999.99", "0.01", "1.10"],
        ["?", "toDecimalString(?, 2)"],
    ),
    case(
        "d65",
        "decimal(65, 0)",
        &[
            "-99999999999999999999999999999999999999999999999999999999999999999",
            "1",
        ],
        ["?", "toDecimalString(?, 0)"],
    ),
    case(
        "d65_30",
        "decimal(65, 30)",
        &[
            "12345678901234567890123456789012345.123456789012345678901234567890",
            "-0.000000000000000000000000000001",
        ],
        ["?", "toDecimalString(?, 30)"],
    ),
    case(
        "d38_u",
        "decimal(38, 10) unsigned",
        &["9999999999999999999999999999.9999999999"],
        ["?", "toDecimalString(?, 10)"],
    ),
    case("single", "float", &["1.1", "-12345.6", "0"], FLOAT),
    case("single_2", "float(7, 2)", &["12345.67"], FLOAT),
    case(
        "dbl",
        "double",
        &["0.1", "-1.7976931348623157e308", "5e-324"],
        FLOAT,
    ),
    case("dbl_5", "double(20, 5)", &["3.14159"], FLOAT),
    case("flag", "bit(1)", &["b'1'", "b'0'"], BITS),
    case("flags_9", "bit(9)", &["b'100000010'", "b'0'"], BITS),
    case(
        "flags_64",
        "bit(64)",
        &[
            "b'1000000000000000000000000000000000000000000000000000000000000001'",
            "b'10'",
        ],
        BITS,
    ),
    case(
        "day",
        "date",
        &["'1900-01-01'", "'2024-02-29'", "'2299-12-31'"],
        WHOLE,
    ),
    case(
        "clock",
        "time",
        &["'-838:59:59'", "'838:59:59'", "'00:00:00'"],
        CLOCK,
    ),
    case(
        "clock_6",
        "time(6)",
        &["'23:59:59.999999'", "'-00:00:00.000001'"],
        CLOCK,
    ),
    case(
        "local_0",
        "datetime",
        &["'1900-01-01 00:00:00'", "'2024-02-29 12:00:01'"],
        INSTANT,
    ),
    case(
        "local_3",
        "datetime(3)",
        &["'1969-12-31 23:59:59.999'"],
        INSTANT,
    ),
    case(
        "local_6",
        "datetime(6)",
        &[
            "'2299-12-31 23:59:59.999999'",
            "'2024-02-29 12:00:00.000001'",
        ],
        INSTANT,
    ),
    case(
        "moment",
        "timestamp",
        &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"],
        INSTANT,
    ),
    case(
        "moment_6",
        "timestamp(6)",
        &["'2024-07-01 12:00:00.000001'"],
        INSTANT,
    ),
    case("born", "year", &["1901", "2155"], WHOLE),
    case("padded", "char(5)", &["'a'", "''", "'häß😀x'"], TEXT),
    case(
        "words",
        "varchar(50)",
        &["''", "'it''s \"q\" \\\\ /'", "'東京 😀'", "' a '"],
        TEXT,
    ),
    case(
        "western",
        "varchar(20) CHARACTER SET latin1",
        &["'café'", "'ÿ'"],
        TEXT,
    ),
    case(
        "wide",
        "varchar(20) CHARACTER SET utf16",
        &["'東京'", "'😀'"],
        TEXT,
    ),
    case(
        "essay",
        "mediumtext",
        &["'line\\nline\\ttab'", "REPEAT('ü', 20000)"],
        TEXT,
    ),
    case("essays", "longtext", &["'x'"], TEXT),
    case(
        "raw_8",
        "binary(8)",
        &["x'0102'", "x'0000000000000000'", "x'ff00ff00ff00ff00'"],
        BYTES,
    ),
    case("raw", "varbinary(20)", &["x'ff00'", "''", "x'80'"], BYTES),
    case("file", "blob", &["x'00ff105c22'", "''"], BYTES),
    case("files", "longblob", &["REPEAT(x'00fe', 5000)"], BYTES),
    case(
        "kind",
        "enum('a', 'b''q', 'ü x', '')",
        &["'a'", "'b''q'", "'ü x'", "''"],
        TEXT,
    ),
    case("tags", "set('x', 'y', 'z')", &["'x,z'", "''", "'y'"], TEXT),
    case(
        "document",
        "json",
        &[r#"'{"b": 1.50,  "a":[null,"é\\n😀"]}'"#, "'null'", "'[]'"],
        TEXT,
    ),
    case(
        "token",
        "uuid",
        &[
            "'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'",
            "'00000000-0000-0000-0000-000000000000'",
        ],
        WHOLE,
    ),
    case(
        "place",
        "point",
        &[
            "POINT(1.5, -2.25)",
            "ST_GeomFromText('POINT(0.1 1e300)', 4326)",
        ],
        SHAPE,
    ),
    case(
        "outline",
        "polygon",
        &["ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')"],
        SHAPE,
    ),
    case(
        "shape",
        "geometry",
        &[
            "ST_GeomFromText('MULTIPOINT(1 1,2 2)')",
            "ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')",
        ],
        SHAPE,
    ),
];
