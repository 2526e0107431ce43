//! Dates, instants and times of day.

use super::cell;
use crate::job::Encoding::{Days, Json, Micros, Millis, Nanos, Plain};

#[test]
fn times_are_the_same_instant_or_rejected() {
    for (kind, encoding, json, becomes) in [
        (
            "DateTime64(6, 'UTC')",
            Micros,
            "1529507596945104",
            "\"2018-06-20T15:13:16.945104Z\"",
        ),
        (
            "DateTime64(6, 'UTC')",
            Millis,
            "-1",
            "\"1969-12-31T23:59:59.999000Z\"",
        ),
        ("DateTime64(3)", Micros, "1500", "reject: precision_loss v"),
        (
            "DateTime64(9)",
            Nanos,
            "1500",
            "\"1970-01-01T00:00:00.000001500Z\"",
        ),
        (
            "DateTime64(6)",
            Plain,
            "1529507596945104",
            "reject: unit_unknown v",
        ),
        (
            "DateTime64(6)",
            Micros,
            "9223372036825200000",
            "reject: out_of_range v",
        ),
        (
            "DateTime64(6)",
            Micros,
            "-9223372036832400000",
            "reject: out_of_range v",
        ),
        (
            "DateTime64(6)",
            Plain,
            "\"infinity\"",
            "reject: out_of_range v",
        ),
        (
            "DateTime64(6)",
            Plain,
            "\"-infinity\"",
            "reject: out_of_range v",
        ),
        (
            "DateTime64(6)",
            Plain,
            "\"+21016-11-04T06:51:30.123456Z\"",
            "reject: out_of_range v",
        ),
        (
            "DateTime64(6)",
            Plain,
            "\"0001-01-01T00:00:00Z\"",
            "reject: out_of_range v",
        ),
        (
            "DateTime64(6)",
            Plain,
            "\"9999-12-31T23:59:59Z\"",
            "reject: out_of_range v",
        ),
        (
            "DateTime64(0)",
            Plain,
            "\"1900-01-01T00:00:00Z\"",
            "\"1900-01-01T00:00:00Z\"",
        ),
        (
            "DateTime64(0)",
            Plain,
            "\"1899-12-31T23:59:59Z\"",
            "reject: out_of_range v",
        ),
        (
            "DateTime64(0)",
            Plain,
            "\"2299-12-31T23:59:59Z\"",
            "\"2299-12-31T23:59:59Z\"",
        ),
        (
            "DateTime64(9)",
            Plain,
            "\"2263-01-01T00:00:00Z\"",
            "reject: out_of_range v",
        ),
        (
            "DateTime64(3)",
            Plain,
            "\"2020-01-01T00:00:00Z\"",
            "\"2020-01-01T00:00:00.000Z\"",
        ),
        (
            "DateTime64(3)",
            Plain,
            "\"2020-01-01T00:00:00.000000Z\"",
            "\"2020-01-01T00:00:00.000Z\"",
        ),
        (
            "DateTime64(3)",
            Plain,
            "\"2020-01-01T02:00:00+02:00\"",
            "\"2020-01-01T00:00:00.000Z\"",
        ),
        (
            "DateTime64(3)",
            Plain,
            "\"2020-01-01T02:00:00.0001Z\"",
            "reject: precision_loss v",
        ),
        (
            "DateTime64(3)",
            Plain,
            "\"2023-02-29T00:00:00Z\"",
            "reject: bad_value v",
        ),
        (
            "DateTime64(3)",
            Plain,
            "\"2024-02-29 00:00:00\"",
            "\"2024-02-29T00:00:00.000Z\"",
        ),
        (
            "DateTime",
            Plain,
            "\"2106-02-07T06:28:16Z\"",
            "reject: out_of_range v",
        ),
        ("DateTime", Millis, "1000", "\"1970-01-01T00:00:01Z\""),
        ("Date32", Days, "-12000", "\"1937-02-23\""),
        ("Date32", Days, "120529", "\"2299-12-31\""),
        ("Date32", Days, "120530", "reject: out_of_range v"),
        ("Date32", Days, "-25568", "reject: out_of_range v"),
        ("Date32", Days, "-2147472692", "reject: out_of_range v"),
        // a zero date of MySQL: 1970-01-01, or NULL in a column that has none
        ("Date32", Days, "0", "\"1970-01-01\""),
        ("Date32", Days, "null", "reject: null_value v"),
        ("Date32", Plain, "19000", "reject: unit_unknown v"),
        ("Date32", Plain, "\"2024-02-29\"", "\"2024-02-29\""),
        ("Date32", Plain, "\"2024-02-30\"", "reject: bad_value v"),
        ("Date", Days, "-1", "reject: out_of_range v"),
        ("Date", Days, "65535", "\"2149-06-06\""),
        ("Time64(6)", Micros, "86400000000", "\"24:00:00.000000\""),
        ("Time64(6)", Plain, "\"24:00:00\"", "\"24:00:00.000000\""),
        ("Time64(6)", Plain, "\"10:11:12.5Z\"", "\"10:11:12.500000\""),
        (
            "Time64(6)",
            Plain,
            "\"10:11:12+02:00\"",
            "reject: bad_value v",
        ),
        ("Time64(0)", Micros, "-3020399000000", "\"-838:59:59\""),
        (
            "Time64(6)",
            Micros,
            "3600000000000",
            "reject: out_of_range v",
        ),
    ] {
        assert_eq!(
            cell(kind, encoding, json),
            becomes,
            "{kind} {encoding:?} {json}"
        );
    }
}

/// As a connector with `time.precision.mode=structured` wrote them.
#[test]
fn a_time_in_parts_is_the_same_instant_whatever_the_job_declares() {
    const STAMP: &str = r#"{"year":2024,"month":2,"day":29,"hour":12,"minute":0,"second":1,"nanos":123456000,"specialValue":null,"precision":6}"#;
    const ZONED: &str = r#"{"year":2024,"month":2,"day":29,"hour":10,"minute":0,"second":1,"nanos":5000000,"offsetSeconds":-3600,"zoneId":"-01:00","specialValue":null,"precision":6}"#;
    const TIME: &str = r#"{"hour":23,"minute":59,"second":59,"nanos":999999000,"precision":6}"#;
    const DAY: &str = r#"{"year":2024,"month":2,"day":29,"specialValue":null}"#;
    const NEVER: &str =
        r#"{"year":null,"month":null,"day":null,"specialValue":"POSITIVE_INFINITY"}"#;
    for (kind, encoding, json, becomes) in [
        (
            "DateTime64(6, 'UTC')",
            Micros,
            STAMP,
            "\"2024-02-29T12:00:01.123456Z\"",
        ),
        (
            "DateTime64(6, 'UTC')",
            Plain,
            ZONED,
            "\"2024-02-29T11:00:01.005000Z\"",
        ),
        (
            "DateTime64(3, 'UTC')",
            Plain,
            STAMP,
            "reject: precision_loss v",
        ),
        ("Time64(6)", Micros, TIME, "\"23:59:59.999999\""),
        ("Date32", Days, DAY, "\"2024-02-29\""),
        ("Date32", Days, STAMP, "reject: bad_value v"),
        ("Date32", Days, NEVER, "reject: out_of_range v"),
        (
            "Date32",
            Days,
            &DAY.replace("29", "30"),
            "reject: bad_value v",
        ),
        (
            "Date32",
            Days,
            &DAY.replace("2024", "-44"),
            "reject: out_of_range v",
        ),
        (
            "Time64(6)",
            Micros,
            &TIME.replace("59,\"nanos", "60,\"nanos"),
            "reject: bad_value v",
        ),
        ("Time64(6)", Micros, DAY, "reject: bad_value v"),
        ("Time64(6)", Micros, "{}", "reject: bad_value v"),
        (
            "String",
            Json,
            DAY,
            r#""{\"year\":2024,\"month\":2,\"day\":29,\"specialValue\":null}""#,
        ),
    ] {
        assert_eq!(cell(kind, encoding, json), becomes, "{kind} {json}");
    }
}
