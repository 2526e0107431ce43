//! What each column type takes, exactly, and what it refuses.

use super::{cell, job, told};
use crate::job::Encoding::{Base64, Base64Url, Days, Hex, Json, Micros, Plain, Unscaled};
use crate::job::{NullPolicy, ToastPolicy, ValuePolicy};

const KEY: Option<&str> = Some(r#"{"id":1}"#);
const TOAST: &str = "__debezium_unavailable_value";

#[test]
fn a_toast_placeholder_is_never_stored() {
    let base64 = "\"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==\"";
    let codes: Vec<String> = TOAST.bytes().map(|byte| byte.to_string()).collect();
    let codes = format!("[{}]", codes.join(","));
    let quoted = format!("\"{TOAST}\"");
    for (kind, encoding, json) in [
        ("Nullable(String)", Plain, quoted.as_str()),
        ("Nullable(Decimal(10, 2))", Plain, &quoted),
        ("Nullable(Decimal(10, 2))", Unscaled, &quoted),
        ("Nullable(String)", Base64, base64),
        ("Nullable(String)", Base64, &quoted),
        ("Nullable(String)", Json, &format!("{{{quoted}:{quoted}}}")),
        ("Array(String)", Plain, &format!("[{quoted}]")),
        ("Array(Nullable(Int32))", Plain, &codes),
        ("Array(Date32)", Days, &codes),
        (
            "Array(UUID)",
            Plain,
            "[\"b68a35a7-17ad-35b3-af2a-ae46edb4545a\"]",
        ),
    ] {
        let mut job = job(&[("v", kind, encoding)]);
        let update = format!(r#"{{"after":{{"id":1,"v":{json}}},"op":"u"}}"#);
        assert_eq!(
            told(&job, KEY, Some(&update)),
            "reject: toast_placeholder v",
            "{kind} {json}"
        );
        job.columns
            .iter_mut()
            .for_each(|column| column.toast = ToastPolicy::Null);
        let expected = if kind.starts_with("Array") {
            "reject: toast_placeholder v"
        } else {
            r#"row: {"id":1,"v":null}"#
        };
        assert_eq!(told(&job, KEY, Some(&update)), expected, "{kind} {json}");
    }
    for (op, kind, becomes) in [
        ("r", "String", format!(r#"row: {{"id":1,"v":{quoted}}}"#)), // somebody typed it
        ("r", "Decimal(10, 2)", "reject: bad_decimal v".to_owned()),
        // the second half of a change of key
        ("c", "String", "reject: toast_placeholder v".to_owned()),
        (
            "c",
            "Decimal(10, 2)",
            "reject: toast_placeholder v".to_owned(),
        ),
    ] {
        let value = format!(r#"{{"after":{{"id":1,"v":{quoted}}},"op":"{op}"}}"#);
        let job = job(&[("v", kind, Plain)]);
        assert_eq!(told(&job, KEY, Some(&value)), becomes, "{op} {kind}");
    }
}

#[test]
fn numbers_are_exact_or_rejected() {
    for (kind, encoding, json, becomes) in [
        ("Int64", Plain, "9007199254740993", "9007199254740993"),
        (
            "Int64",
            Plain,
            "-9223372036854775808",
            "-9223372036854775808",
        ),
        (
            "Int64",
            Plain,
            "9223372036854775808",
            "reject: out_of_range v",
        ),
        (
            "UInt64",
            Plain,
            "18446744073709551615",
            "18446744073709551615",
        ),
        (
            "UInt64",
            Plain,
            "18446744073709551616",
            "reject: out_of_range v",
        ),
        ("UInt8", Plain, "-1", "reject: out_of_range v"),
        ("UInt8", Plain, "-0", "0"),
        ("Int8", Plain, "-128", "-128"),
        ("Int8", Plain, "300", "reject: out_of_range v"),
        ("Int8", Plain, "true", "reject: bad_value v"),
        ("Int32", Plain, "1.5", "reject: bad_value v"),
        ("Int32", Plain, "\"12\"", "reject: bad_value v"),
        ("Int32", Plain, "null", "reject: null_value v"),
        ("Bool", Plain, "true", "true"),
        ("Bool", Plain, "1", "reject: bad_value v"),
        ("String", Plain, "12", "reject: bad_value v"),
        ("Float32", Plain, "1.1", "1.1"),
        ("Float64", Plain, "\"NaN\"", "\"NaN\""),
        ("Float64", Plain, "\"-Infinity\"", "\"-inf\""),
        ("Float64", Plain, "1e400", "reject: out_of_range v"),
        ("Float32", Plain, "1e39", "reject: out_of_range v"),
        ("Float64", Plain, "NaN", "reject: bad_json v"),
        ("UInt16", Base64, "\"gQE=\"", "385"),
        ("UInt8", Base64, "\"\"", "0"),
        ("UInt8", Base64, "\"gQE=\"", "reject: out_of_range v"),
        ("Bool", Base64, "\"AQ==\"", "true"),
        (
            "UUID",
            Plain,
            "\"61f0c404-5cb3-11e7-907b-a6006ad3dba0\"",
            "\"61f0c404-5cb3-11e7-907b-a6006ad3dba0\"",
        ),
        ("UUID", Plain, "\"61f0c404\"", "reject: bad_value v"),
        ("String", Base64, "\"aGVsbG8=\"", "\"hello\""),
        ("String", Base64, "\"*\"", "reject: bad_value v"),
        ("String", Base64Url, "\"fn5-Pz8_\"", "\"~~~???\""),
        ("String", Base64Url, "\"fn5+\"", "reject: bad_value v"),
        ("String", Hex, "\"68656C6c6f\"", "\"hello\""),
        ("String", Hex, "\"6\"", "reject: bad_value v"),
        ("String", Hex, "\"6g\"", "reject: bad_value v"),
        (
            "UInt64",
            Unscaled,
            "\"AP//////////\"",
            "18446744073709551615",
        ),
        (
            "UInt64",
            Unscaled,
            "\"AQAAAAAAAAAA\"",
            "reject: out_of_range v",
        ),
        ("UInt64", Unscaled, "\"/w==\"", "reject: out_of_range v"),
        ("UInt64", Unscaled, "7", "7"),
        ("Int8", Unscaled, "\"gA==\"", "-128"),
        ("Int8", Unscaled, "\"AIA=\"", "reject: out_of_range v"),
        (
            "String",
            Plain,
            "\"a\\u0000\\ud83d\\ude00\\/\"",
            "\"a\\u0000😀/\"",
        ),
        (
            "String",
            Json,
            "{\"a\": [1, null]}",
            "\"{\\\"a\\\": [1, null]}\"",
        ),
        ("String", Json, "\"{\\\"a\\\":1}\"", "\"{\\\"a\\\":1}\""),
        // hstore with a NULL, as a map and as text
        ("String", Json, "{\"k\":null}", "\"{\\\"k\\\":null}\""),
        // an enum is its label, whatever its list said once
        ("LowCardinality(String)", Plain, "\"new\"", "\"new\""),
        ("Array(Nullable(Int32))", Plain, "[1,null,3]", "[1,null,3]"),
        (
            "Array(Array(String))",
            Plain,
            "[[\"a\"],[]]",
            "[[\"a\"],[]]",
        ),
        ("Array(Int32)", Plain, "[1,null]", "reject: null_value v"),
        ("Array(Int32)", Plain, "null", "reject: null_value v"),
        ("LowCardinality(Nullable(String))", Plain, "null", "null"),
    ] {
        assert_eq!(
            cell(kind, encoding, json),
            becomes,
            "{kind} {encoding:?} {json}"
        );
    }
}

#[test]
fn a_null_array_is_empty_where_the_job_says_so() {
    let mut job = job(&[
        ("v", "Array(Nullable(Int32))", Plain),
        ("w", "String", Plain),
    ]);
    let row = |v: &str| format!(r#"{{"after":{{"id":1,"v":{v},"w":"x"}},"op":"c"}}"#);
    assert_eq!(
        told(&job, KEY, Some(&row("null"))),
        "reject: null_value v",
        "unless declared"
    );
    job.columns[1].null = NullPolicy::Empty;
    for (json, becomes) in [("null", "[]"), ("[]", "[]"), ("[null]", "[null]")] {
        assert_eq!(
            told(&job, KEY, Some(&row(json))),
            format!(r#"row: {{"id":1,"v":{becomes},"w":"x"}}"#)
        );
    }
}

#[test]
fn decimals_keep_every_digit() {
    let long = "1234567890123456789012345678901234567890123456789012345678901234567890123456";
    let quoted = format!("\"{long}\"");
    let too_long = format!("\"{long}7\"");
    let fraction = format!("\"-0.{long}\"");
    for (kind, encoding, json, becomes) in [
        ("Decimal(10, 2)", Unscaled, "\"MDk=\"", "\"123.45\""),
        ("Decimal(10, 2)", Unscaled, "\"\"", "\"0.00\""),
        (
            "Decimal(10, 2)",
            Unscaled,
            "\"==wT9Wmw==\"",
            "reject: bad_decimal v",
        ),
        (
            "Decimal(18, 3)",
            Plain,
            r#"{"scale":3,"value":"SOx4FQ=="}"#,
            "\"1223456.789\"",
        ),
        (
            "Decimal(18, 7)",
            Plain,
            r#"{"value":"wT9Wmw==","scale":7}"#,
            "\"-105.2813669\"",
        ),
        (
            "Decimal(18, 2)",
            Plain,
            r#"{"scale":-2,"value":"AQ=="}"#,
            "\"100.00\"",
        ),
        (
            "String",
            Unscaled,
            r#"{"scale":-2,"value":"AQ=="}"#,
            "\"100\"",
        ),
        (
            "String",
            Unscaled,
            r#"{"scale":3,"value":"AQ=="}"#,
            "\"0.001\"",
        ),
        (
            "Decimal(18, 2)",
            Plain,
            r#"{"scale":"foo","value":"AQ=="}"#,
            "reject: bad_decimal v",
        ),
        ("Decimal(18, 2)", Plain, "{}", "reject: bad_decimal v"),
        ("Decimal(10, 2)", Plain, "123.45", "\"123.45\""),
        ("Decimal(10, 2)", Plain, "1.2345e2", "\"123.45\""),
        ("Decimal(10, 2)", Plain, "\"-0.5\"", "\"-0.50\""),
        (
            "Decimal(10, 2)",
            Plain,
            "\"0.001\"",
            "reject: precision_loss v",
        ),
        ("Decimal(10, 2)", Plain, "\"1.5000\"", "\"1.50\""),
        ("Decimal(4, 2)", Plain, "99.99", "\"99.99\""),
        ("Decimal(4, 2)", Plain, "100", "reject: out_of_range v"),
        ("Decimal(4, 2)", Plain, "1e9999", "reject: out_of_range v"),
        (
            "Decimal(4, 2)",
            Plain,
            "1e999999999",
            "reject: out_of_range v",
        ),
        ("Decimal(76, 0)", Plain, &quoted, &quoted),
        ("Decimal(76, 0)", Plain, long, &quoted),
        ("Decimal(76, 0)", Plain, &too_long, "reject: out_of_range v"),
        ("Decimal(76, 76)", Plain, &fraction, &fraction),
        ("Decimal(38, 2)", Plain, &quoted, "reject: out_of_range v"),
        ("Decimal(10, 2)", Plain, "\"NAN\"", "reject: out_of_range v"),
        (
            "Decimal(10, 2)",
            Plain,
            "\"POSITIVE_INFINITY\"",
            "reject: out_of_range v",
        ),
        ("Decimal(10, 2)", Plain, "\"NaN\"", "reject: out_of_range v"),
        (
            "Decimal(10, 2)",
            Plain,
            "\"Infinity\"",
            "reject: out_of_range v",
        ),
        (
            "Decimal(10, 2)",
            Plain,
            "\"twelve\"",
            "reject: bad_decimal v",
        ),
        ("String", Plain, "\"NAN\"", "\"NAN\""),
    ] {
        assert_eq!(
            cell(kind, encoding, json),
            becomes,
            "{kind} {encoding:?} {json}"
        );
    }
}

#[test]
fn the_embedded_schema_knows_better_than_the_job() {
    let job = job(&[
        ("at", "DateTime64(6, 'UTC')", Plain),
        ("day", "Date32", Micros),
        ("price", "Decimal(10, 2)", Plain),
        ("raw", "String", Plain),
        ("amount", "String", Plain),
        ("days", "Array(Date32)", Plain),
    ]);
    let field = |name: &str, kind: &str, semantic: &str| {
        format!(
            r#"{{"type":"{kind}","field":"{name}","name":"{semantic}","parameters":{{"scale":"2"}}}}"#
        )
    };
    let fields = [
        field("id", "int64", ""),
        field("at", "int64", "io.debezium.time.Timestamp"),
        field("day", "int32", "io.debezium.time.Date"),
        field("price", "bytes", "org.apache.kafka.connect.data.Decimal"),
        field("raw", "bytes", ""),
        field("amount", "struct", "io.debezium.data.VariableScaleDecimal"),
        format!(
            r#"{{"type":"array","field":"days","items":{}}}"#,
            field("", "int32", "io.debezium.time.Date")
        ),
    ];
    let value = format!(
        r#"{{"schema":{{"type":"struct","fields":[{{"type":"struct","field":"after","fields":[{}]}}]}},"payload":{}}}"#,
        fields.join(","),
        r#"{"after":{"id":1,"at":1000,"day":1,"price":"MDk=","raw":"aGk=","amount":{"scale":1,"value":"MDk="},"days":[0]},"op":"c"}"#
    );
    let row = r#"row: {"amount":"1234.5","at":"1970-01-01T00:00:01.000000Z","day":"1970-01-02","days":["1970-01-01"],"id":1,"price":"123.45","raw":"hi"}"#;
    assert_eq!(told(&job, KEY, Some(&value)), row);
    let swapped = value.replacen("{\"schema\":", "{\"payload\":null,\"schema\":", 1);
    assert_ne!(
        told(&job, KEY, Some(&swapped)),
        row,
        "two payloads are no message"
    );
}

#[test]
fn a_value_out_of_range_may_become_null_where_the_job_says_so() {
    for (kind, encoding, json) in [
        ("Nullable(Int8)", Plain, "300"),
        ("Nullable(DateTime64(6))", Micros, "9223372036825200000"),
        ("Nullable(Decimal(4, 2))", Plain, "\"NAN\""),
        ("Nullable(Decimal(4, 2))", Plain, "0.001"),
    ] {
        let mut job = job(&[("v", kind, encoding)]);
        let value = format!(r#"{{"after":{{"id":1,"v":{json}}},"op":"c"}}"#);
        assert!(told(&job, KEY, Some(&value)).starts_with("reject: "));
        job.policies.out_of_range = ValuePolicy::Null;
        assert_eq!(
            told(&job, KEY, Some(&value)),
            r#"row: {"id":1,"v":null}"#,
            "{kind} {json}"
        );
    }
}
