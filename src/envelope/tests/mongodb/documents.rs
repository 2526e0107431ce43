//! Whole documents, and paths that lead into them.

use super::*;

const ODD: &str = r#"{ "_id": {"$numberLong":"1"}, "a.b": 1, "a": {"b": 2}, "$price": 3, "": "empty", "u": {"$undefined":true},
    "min": {"$minKey":1}, "dec": {"$numberDecimal":"NaN"}, "t": {"$timestamp":{"t":1,"i":2}}, "mixed": [1, "x", {"y": null}],
    "no": {"$oid": "short"}, "date": {"$date": "not one"}, "q": "a\"b\\c\nd" }"#;

#[test]
fn the_document_column_holds_all_of_it_in_one_spelling() {
    let job = collection(
        "Int64",
        &[
            ("$", "String"),
            ("a.b", "Int32"),
            ("gone", "Nullable(String)"),
        ],
    );
    let row = told(&job, Some(&key("1")), Some(&value("r", Some(ODD))));
    let row: serde_json::Value = serde_json::from_str(row.strip_prefix("row: ").unwrap()).unwrap();
    assert_eq!(row["a.b"], 1, "the field of that very name comes first");
    assert_eq!(row["gone"], serde_json::Value::Null);
    assert_eq!(
        row["$"],
        concat!(
            r#"{"_id":1,"a.b":1,"a":{"b":2},"$price":3,"":"empty","u":{"$undefined":true},"#,
            r#""min":{"$minKey":1},"dec":{"$numberDecimal":"NaN"},"t":{"$timestamp":{"t":1,"i":2}},"mixed":[1,"x",{"y":null}],"#,
            r#""no":{"$oid":"short"},"date":{"$date":"not one"},"q":"a\"b\\c\nd"}"#
        )
    );
}

#[test]
fn a_json_column_escapes_dots_as_clickhouse_does() {
    let job = collection("Int64", &[("$", "JSON")]);
    let row = told(
        &job,
        Some(&key("1")),
        Some(&value("r", Some(r#"{"_id":1,"a.b":1,"a":{"b":2}}"#))),
    );
    assert_eq!(
        row,
        r#"row: {"$":"{\"_id\":1,\"a%2Eb\":1,\"a\":{\"b\":2}}","_id":1}"#
    );
    assert_eq!(
        cell("JSON", Encoding::Plain, r#"{"x":{"$date":0}}"#),
        r#""{\"x\":{\"$date\":\"1970-01-01T00:00:00.000Z\"}}""#
    );
    assert_eq!(cell("JSON", Encoding::Plain, "[1]"), "reject: bad_value v");
    assert_eq!(cell("Nullable(JSON)", Encoding::Plain, "null"), "null");
}

#[test]
fn paths_lead_into_documents() {
    let job = collection(
        "Int64",
        &[
            ("address.city", "Nullable(String)"),
            ("address.geo.lat", "Nullable(Float64)"),
            ("$", "String"),
        ],
    );
    let row = |document: &str| {
        let told = told(&job, None, Some(&value("c", Some(document))));
        let row: serde_json::Value =
            serde_json::from_str(told.strip_prefix("row: ").unwrap()).unwrap();
        (
            row["address.city"].to_string(),
            row["address.geo.lat"].to_string(),
        )
    };
    let both =
        row(r#"{"_id":1,"address":{"street":"x","city":"Bern","geo":{"lon":7,"lat":46.9}}}"#);
    assert_eq!(both, (r#""Bern""#.to_owned(), "46.9".to_owned()));
    assert_eq!(row(r#"{"_id":1,"address":"Bern"}"#).0, "null");
    assert_eq!(row(r#"{"_id":1}"#).0, "null");
    assert_eq!(
        row(r#"{"address":{"city":"inner"},"_id":1,"address.city":"literal"}"#).0,
        r#""literal""#
    );
}

#[test]
fn without_a_document_column_a_field_without_a_column_follows_the_policy() {
    let mut job = collection("Int64", &[("a", "Int32")]);
    let document = value("c", Some(r#"{"_id":1,"a":2,"b":{"c":3}}"#));
    assert_eq!(
        told(&job, None, Some(&document)),
        "reject: unknown_column b"
    );
    job.policies.new_column = NewColumnPolicy::Ignore;
    assert_eq!(told(&job, None, Some(&document)), r#"row: {"_id":1,"a":2}"#);
}
