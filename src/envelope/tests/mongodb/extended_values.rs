//! Single values of Extended JSON in columns of every type.

use super::*;

#[test]
fn a_date_is_the_same_instant_in_every_spelling() {
    for spelled in [
        r#"{"$date":1739455297970}"#,
        r#"{"$date": {"$numberLong": "1739455297970"}}"#,
        r#"{"$date":"2025-02-13T14:01:37.970Z"}"#,
        r#"{"$date":"2025-02-13T15:01:37.97+01:00"}"#,
    ] {
        let instant = cell("DateTime64(3, 'UTC')", Encoding::Plain, spelled);
        assert_eq!(instant, r#""2025-02-13T14:01:37.970Z""#, "{spelled}");
        assert_eq!(cell("DateTime64(3)", Encoding::Millis, spelled), instant);
        assert_eq!(cell("String", Encoding::Plain, spelled), instant);
        assert_eq!(
            cell("Date32", Encoding::Plain, spelled),
            "reject: bad_value v"
        );
    }
    assert_eq!(
        cell("Date32", Encoding::Plain, r#"{"$date":86400000}"#),
        r#""1970-01-02""#
    );
    assert_eq!(
        cell("DateTime64(3)", Encoding::Plain, r#"{"$date":-1}"#),
        r#""1969-12-31T23:59:59.999Z""#
    );
    let far = r#"{"$date":{"$numberLong":"9223372036854775807"}}"#;
    assert_eq!(
        cell("DateTime64(3)", Encoding::Plain, far),
        "reject: out_of_range v"
    );
    assert_eq!(cell("String", Encoding::Plain, far), "reject: bad_value v");
}

#[test]
fn numbers_are_exact_or_rejected() {
    let plain = |kind: &str, extended: &str| cell(kind, Encoding::Plain, extended);
    assert_eq!(
        plain("Int64", r#"{"$numberLong":"9007199254740993"}"#),
        "9007199254740993"
    );
    assert_eq!(plain("Int32", "5.0"), "5");
    assert_eq!(plain("Int32", "5.5"), "reject: bad_value v");
    assert_eq!(plain("Int8", "300"), "reject: out_of_range v");
    assert_eq!(plain("Int32", r#""5""#), "reject: bad_value v");
    assert_eq!(plain("Float64", r#"{"$numberDouble":"2.5E-3"}"#), "0.0025");
    assert_eq!(plain("Float64", "NaN"), r#""NaN""#);
    assert_eq!(
        plain("Float64", r#"{"$numberDouble":"-Infinity"}"#),
        r#""-inf""#
    );
    assert_eq!(
        plain("Decimal(38, 4)", r#"{"$numberDecimal":"1.10"}"#),
        r#""1.1000""#
    );
    assert_eq!(
        plain("Decimal(38, 0)", r#"{"$numberDecimal":"1.1E+3"}"#),
        r#""1100""#
    );
    assert_eq!(
        plain("Decimal(9, 1)", r#"{"$numberDecimal":"1.25"}"#),
        "reject: precision_loss v"
    );
    for special in ["NaN", "Infinity", "-Infinity"] {
        let decimal = format!(r#"{{"$numberDecimal":"{special}"}}"#);
        assert_eq!(plain("Decimal(38, 4)", &decimal), "reject: out_of_range v");
        assert_eq!(plain("String", &decimal), format!("{special:?}"));
        let mut job = collection("Int64", &[("v", "Nullable(Decimal(38, 4))")]);
        job.policies.out_of_range = ValuePolicy::Null;
        let document = format!(r#"{{"_id":1,"v":{decimal}}}"#);
        let row = told(&job, None, Some(&value("c", Some(&document))));
        assert_eq!(row, r#"row: {"_id":1,"v":null}"#);
    }
}

#[test]
fn ids_bytes_and_what_is_no_value() {
    let plain = |kind: &str, extended: &str| cell(kind, Encoding::Plain, extended);
    assert_eq!(
        plain("String", r#"{"$oid":"67AB6E1D2C3F4A5B6C7D8E9F"}"#),
        r#""67ab6e1d2c3f4a5b6c7d8e9f""#
    );
    let (old, new) = (
        r#"{"$binary":"AQID","$type":"00"}"#,
        r#"{"$binary":{"base64":"AQID","subType":"00"}}"#,
    );
    for binary in [old, new] {
        assert_eq!(plain("String", binary), r#""AQID""#);
        assert_eq!(
            cell("String", Encoding::Base64, binary),
            r#""\u0001\u0002\u0003""#
        );
    }
    let uuid = r#"{"$binary":{"base64":"AAECAwQFBgcICQoLDA0ODw==","subType":"04"}}"#;
    assert_eq!(
        plain("UUID", uuid),
        r#""00010203-0405-0607-0809-0a0b0c0d0e0f""#
    );
    assert_eq!(
        plain("UUID", &uuid.replace("04", "03")),
        "reject: bad_value v"
    );
    assert_eq!(plain("Nullable(String)", r#"{"$undefined":true}"#), "null");
    assert_eq!(
        plain("Int32", r#"{"$undefined":true}"#),
        "reject: null_value v"
    );
    assert_eq!(plain("String", r#"{"$minKey":1}"#), "reject: bad_value v");
    assert_eq!(
        plain("Array(Int64)", r#"[1,{"$numberLong":"2"},3.0]"#),
        "[1,2,3]"
    );
    assert_eq!(
        plain("Array(DateTime64(3))", r#"[{"$date":0}]"#),
        r#"["1970-01-01T00:00:00.000Z"]"#
    );
}

#[test]
fn a_column_of_any_type_keeps_each_value_as_extended_json() {
    let any = |extended: &str| cell("Nullable(String)", Encoding::Json, extended);
    assert_eq!(any("5"), r#""5""#);
    assert_eq!(any(r#""5""#), r#""\"5\"""#);
    assert_eq!(any("5.0"), r#""5.0""#);
    assert_eq!(any("null"), "null");
    assert_eq!(any(r#"{"$minKey": 1}"#), r#""{\"$minKey\":1}""#);
    assert_eq!(any(r#"[ 1, {"$numberLong":"2"} ]"#), r#""[1,2]""#);
    assert_eq!(
        any(r#"{"$date":0}"#),
        r#""{\"$date\":\"1970-01-01T00:00:00.000Z\"}""#
    );
}
