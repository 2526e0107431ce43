//! Every common PostgreSQL type, and values that it holds.

use super::numbers::numbers;
use super::spelling::{
    Spelling, array, bool, bytes, clock, decimal, digits, disc, ends, float, hstore, instant,
    interval, line, plain, point, spelling, text, whole,
};

pub struct Case {
    /// the column's name
    pub name: &'static str,
    pub kind: &'static str,
    /// as SQL
    pub values: &'static [&'static str],
    pub spelling: Spelling,
}

pub fn case(
    name: &'static str,
    kind: &'static str,
    values: &'static [&'static str],
    spelling: Spelling,
) -> Case {
    Case {
        name,
        kind,
        values,
        spelling,
    }
}

/// With `decimal.handling.mode=precise` Debezium 3.7 stops at a numeric NaN, and takes a scale of −2 for 2046.
const ONLY_AS_TEXT: [&str; 2] = ["hundreds", "no_number"];
/// What `cases` needs to exist.
pub const PREPARE: &str = "
    CREATE EXTENSION hstore;
    CREATE EXTENSION citext;
    CREATE EXTENSION ltree;
    CREATE TYPE mood AS ENUM ('sad', 'so so', 'it''s \"ok\"');
    CREATE DOMAIN cents AS numeric(12, 2) CHECK (VALUE > -1000000);
    CREATE DOMAIN cheap AS cents;";

pub fn cases() -> Vec<Case> {
    [numbers(), texts(), times(), arrays(), others()]
        .into_iter()
        .flatten()
        .collect()
}

/// The cases that hold under `decimal.handling.mode=precise`.
pub fn precise_cases() -> Vec<Case> {
    let mut cases = cases();
    cases.retain(|case| !ONLY_AS_TEXT.contains(&case.name));
    for case in &mut cases {
        match case.name {
            "any_digits" => case.spelling = digits(),
            "sums" => case.spelling = array(digits()),
            _ => {}
        }
    }
    cases
}

fn texts() -> Vec<Case> {
    vec![
        case(
            "words",
            "text",
            &[
                "''",
                "'it''s \"quoted\" \\ /'",
                "E'two\\nlines\\tand\\r\\u0001'",
                "'häßlich — 東京 😀'",
                "' spaces '",
                "'NULL'",
            ],
            text(),
        ),
        case(
            "short",
            "varchar(5)",
            &["'😀😀😀😀😀'", "''", "'ab   '"],
            text(),
        ),
        case("padded", "char(4)", &["'a'", "''", "'abcd'"], text()),
        case("letter", "\"char\"", &["'x'"], text()),
        case("caseless", "citext", &["'MiXed'"], text()),
        case(
            "feeling",
            "mood",
            &["'sad'", "'so so'", "'it''s \"ok\"'"],
            text(),
        ),
        case(
            "token",
            "uuid",
            &[
                "'00000000-0000-0000-0000-000000000000'",
                "'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'",
            ],
            plain(),
        ),
        case(
            "raw",
            "bytea",
            &[r"'\x00ff105c22'", "''", r"'\x80'"],
            bytes(),
        ),
        case(
            "document",
            "json",
            &[
                r#"'{"b" : 1.50,  "a":[null,"x\u00e9\n"]}'"#,
                "'null'",
                "'1e400'",
                "'\"t\"'",
            ],
            text(),
        ),
        case(
            "binary_document",
            "jsonb",
            &[
                r#"'{"b" : 1.50,  "a":[null,"é\n😀"]}'"#,
                "'null'",
                "'[]'",
                "'\"t\"'",
            ],
            text(),
        ),
        case(
            "markup",
            "xml",
            &["'<a b=\"c\">d &amp; e</a>'", "'text only'"],
            text(),
        ),
        case(
            "lexemes",
            "tsvector",
            &["'a fat ''o''''clock'':2A cat:3'", "''"],
            text(),
        ),
        case(
            "path_of_labels",
            "ltree",
            &["'Top.Science.Astronomy'"],
            text(),
        ),
        case(
            "pairs",
            "hstore",
            &[r#"'a=>1, b=>NULL, "c d"=>"say \"hi\" ü"'"#, "''"],
            hstore(),
        ),
    ]
}

fn times() -> Vec<Case> {
    vec![
        case(
            "day",
            "date",
            &[
                "'1900-01-01'",
                "'1969-12-31'",
                "'2024-02-29'",
                "'2299-12-31'",
            ],
            plain(),
        ),
        case(
            "clock",
            "time",
            &[
                "'00:00:00'",
                "'12:34:56.789012'",
                "'23:59:59.999999'",
                "'24:00:00'",
            ],
            clock(),
        ),
        case("clock_3", "time(3)", &["'12:34:56.789'"], clock()),
        case(
            "clock_with_zone",
            "timetz",
            &["'12:34:56.123456+02'", "'01:00:07-05:30'"],
            spelling("(? AT TIME ZONE 'UTC')::time::text || 'Z'", "?"),
        ),
        case(
            "local",
            "timestamp",
            &[
                "'1900-01-01 00:00:00'",
                "'1969-12-31 23:59:59.999999'",
                "'2024-02-29 12:00:00.000001'",
                "'2299-12-31 23:59:59.999999'",
            ],
            instant(),
        ),
        case(
            "local_3",
            "timestamp(3)",
            &["'2024-02-29 12:00:00.123'", "'1969-12-31 23:59:59.999'"],
            instant(),
        ),
        case(
            "local_0",
            "timestamp(0)",
            &["'2024-02-29 12:00:01'"],
            instant(),
        ),
        case(
            "moment",
            "timestamptz",
            &[
                "'1900-01-01 00:00:00Z'",
                "'1969-12-31 23:59:59.999999Z'",
                "'2024-07-01 12:00:00.5+05:30'",
                "'2299-12-31 23:59:59.999999Z'",
            ],
            instant(),
        ),
        case(
            "moment_3",
            "timestamptz(3)",
            &["'2024-07-01 12:00:00.123-08'"],
            instant(),
        ),
        case(
            "pause",
            "interval",
            &[
                "'1 year 2 months 3 days 04:05:06.78'",
                "'0'",
                "'-1 mons -2 days -00:00:03.000001'",
                "'40 days 100:00:00'",
            ],
            interval(),
        ),
    ]
}

fn arrays() -> Vec<Case> {
    vec![
        case(
            "smalls",
            "smallint[]",
            &["'{}'", "'{-32768,NULL,1}'"],
            array(whole()),
        ),
        case(
            "wholes",
            "int[]",
            &["'{1,NULL,-2147483648}'", "'{}'"],
            array(whole()),
        ),
        case(
            "bigs",
            "bigint[]",
            &["'{9223372036854775807,NULL}'"],
            array(whole()),
        ),
        case(
            "doubles",
            "double precision[]",
            &["'{0.1,NULL,-1e300}'"],
            array(float()),
        ),
        case("truths", "boolean[]", &["'{t,f,NULL}'"], array(bool())),
        case(
            "tags",
            "text[]",
            &[
                r#"'{"",NULL,"NULL","a \"b\", {c}","it''s","back\\slash","😀"}'"#,
                "'{}'",
                "ARRAY[E'two\\nlines']",
            ],
            array(text()),
        ),
        case("shorts", "varchar(5)[]", &["'{ab,NULL}'"], array(text())),
        case(
            "sums",
            "numeric[]",
            &["'{1.50,NULL,-1e-10}'", "'{}'"],
            array(text()),
        ),
        case(
            "prices",
            "numeric(10, 2)[]",
            &["'{1.5,NULL,-99999999.99}'"],
            array(decimal(2)),
        ),
        case(
            "days",
            "date[]",
            &["'{1900-01-01,NULL,2024-02-29}'"],
            array(plain()),
        ),
        case(
            "locals",
            "timestamp[]",
            &["'{\"2024-01-01 00:00:00.000001\",NULL}'"],
            array(instant()),
        ),
        case(
            "moments",
            "timestamptz[]",
            &["'{\"2024-01-01 00:00:00.000001Z\",NULL}'"],
            array(instant()),
        ),
        case("reals", "real[]", &["'{1.5,NULL,-0.1}'"], array(float())),
        case(
            "object_ids",
            "oid[]",
            &["'{4294967295,NULL}'"],
            array(whole()),
        ),
        case("letters", "\"char\"[]", &["'{x,NULL}'"], array(text())),
        case(
            "padded_words",
            "char(3)[]",
            &["'{abc,NULL}'"],
            array(text()),
        ),
        case(
            "caseless_words",
            "citext[]",
            &["'{MiX,NULL}'"],
            array(text()),
        ),
        case(
            "documents",
            "jsonb[]",
            &[r#"'{"{\"a\": [1, null]}",NULL,"null"}'"#],
            array(text()),
        ),
        case("maps", "hstore[]", &[r#"'{"a=>1",NULL}'"#], array(hstore())),
        case(
            "files",
            "bytea[]",
            &[r#"'{"\\x00ff",NULL,""}'"#],
            array(bytes()),
        ),
        case(
            "clocks_3",
            "time(3)[]",
            &["'{12:34:56.789,NULL}'"],
            array(clock()),
        ),
        case(
            "clocks_with_zone",
            "timetz[]",
            &["'{12:34:56.123+02,NULL}'"],
            array(spelling("(? AT TIME ZONE 'UTC')::time::text || 'Z'", "?")),
        ),
        case(
            "addresses",
            "inet[]",
            &["'{10.1.2.3,::1,NULL}'"],
            array(text()),
        ),
        case(
            "networks",
            "cidr[]",
            &["'{10.0.0.0/8,NULL}'"],
            array(text()),
        ),
        case(
            "cards",
            "macaddr[]",
            &["'{08:00:2b:01:02:03,NULL}'"],
            array(text()),
        ),
        case(
            "spans",
            "int8range[]",
            &["'{\"[1,2)\",empty,NULL}'"],
            array(text()),
        ),
        case(
            "number_spans",
            "numrange[]",
            &["'{\"[1.50,2)\",NULL}'"],
            array(text()),
        ),
        case(
            "tokens",
            "uuid[]",
            &["'{f81d4fae-7dec-11d0-a765-00a0c91e6bf6,NULL}'"],
            array(plain()),
        ),
    ]
}

fn others() -> Vec<Case> {
    vec![
        case(
            "address",
            "inet",
            &["'10.1.2.3'", "'10.1.2.3/8'", "'::1'", "'2001:db8::/32'"],
            text(),
        ),
        case(
            "network",
            "cidr",
            &["'10.0.0.0/8'", "'::/0'", "'192.168.1.1/32'"],
            text(),
        ),
        case("card", "macaddr", &["'08:00:2b:01:02:03'"], text()),
        case("card_8", "macaddr8", &["'08:00:2b:01:02:03:04:05'"], text()),
        case("flag", "bit(1)", &["B'1'", "B'0'"], bool()),
        case(
            "flags",
            "bit(8)",
            &["B'10000001'", "B'00000000'", "B'11111111'", "B'00000110'"],
            whole(),
        ),
        case(
            "flags_12",
            "bit(12)",
            &["B'100000000010'", "B'000000000001'"],
            whole(),
        ),
        case(
            "flags_64",
            "bit(64)",
            &[
                "B'0000000000000000000000000000000000000000000000000000000000000000'",
                "B'1000000000000000000000000000000000000000000000000000000000000001'",
            ],
            whole(),
        ),
        // its length never leaves PostgreSQL: Debezium sends bytes
        case(
            "var_flags",
            "varbit",
            &["B'1'", "B'0001'", "B'10'", "B'1000000001'"],
            spelling(
                "lpad(?::text, 64, '0')::bit(64)::bigint::text",
                "toString(toInt64(reinterpretAsUInt64(?)))",
            ),
        ),
        case(
            "span",
            "int4range",
            &["'[1,5)'", "'empty'", "'(,)'", "'[-3,]'"],
            text(),
        ),
        case(
            "big_span",
            "int8range",
            &["'[1,9223372036854775807)'"],
            text(),
        ),
        case("number_span", "numrange", &["'(1.50,2]'"], text()),
        case(
            "local_span",
            "tsrange",
            &["'[2024-01-01 00:00:00.5,)'"],
            text(),
        ),
        case(
            "day_span",
            "daterange",
            &["'[2024-01-01,2024-02-29]'"],
            text(),
        ),
        // in the session's zone, which the connector's is UTC
        case(
            "moment_span",
            "tstzrange",
            &["'[2024-01-01 00:00:00.5Z,2024-01-02 00:00:00Z)'"],
            text(),
        ),
        case("rule", "line", &["'{1,-2.5,3}'"], line()),
        case(
            "stretch",
            "lseg",
            &["'((0.5,-1),(2,1e10))'"],
            ends(["((?)[0])[0]", "((?)[0])[1]", "((?)[1])[0]", "((?)[1])[1]"]),
        ),
        case(
            "frame",
            "box",
            &["'((1,2),(0,0))'"],
            ends(["((?)[0])[0]", "((?)[0])[1]", "((?)[0])[0]", "((?)[1])[1]"]),
        ),
        case("disc", "circle", &["'<(1.5,-1),2.25>'"], disc()),
        case(
            "place",
            "point",
            &["'(1.5,-2.25)'", "'(0.1,1e300)'"],
            point(),
        ),
    ]
}
