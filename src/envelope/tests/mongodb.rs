//! MongoDB's documents, in every spelling of Extended JSON. MongoDB itself is not run here: the messages are from other
//! people's captures and from Debezium's documentation.

use super::samples::fates;
use super::{columns, told};
use crate::job::{Encoding, Format, LookupMiss, NewColumnPolicy, Shape, SilverJob, ValuePolicy};

/// `_id` and these, keyed by `_id`.
fn collection(id: &str, more: &[(&str, &str)]) -> SilverJob {
    let all: Vec<_> = std::iter::once(("_id", id))
        .chain(more.iter().copied())
        .collect();
    let mut job = columns(&["_id"], &all);
    job.format = Format {
        shape: Shape::Mongodb,
        ..Format::DEBEZIUM_JSON
    };
    job
}

fn from(mut job: SilverJob, source: &str, encoding: Encoding) -> SilverJob {
    let column = job
        .columns
        .iter_mut()
        .find(|column| column.source == source);
    column.unwrap().encoding = encoding;
    job
}

fn value(op: &str, after: Option<&str>) -> String {
    let after = serde_json::json!(after);
    format!(
        r#"{{"before":null,"after":{after},"updateDescription":null,"source":{{"ts_ms":5,"collection":"c"}},"op":"{op}","ts_ms":6}}"#
    )
}

fn key(id: &str) -> String {
    serde_json::json!({ "id": id }).to_string()
}

/// What a document with `_id` 1 and this field becomes in a column of this type.
fn cell(kind: &str, encoding: Encoding, extended: &str) -> String {
    let job = from(collection("Int64", &[("v", kind)]), "v", encoding);
    let document = format!(r#"{{"_id":1,"v":{extended}}}"#);
    let told = told(&job, Some(&key("1")), Some(&value("c", Some(&document))));
    let cell = told.strip_prefix(r#"row: {"_id":1,"v":"#);
    cell.and_then(|cell| cell.strip_suffix('}'))
        .map_or(told.clone(), str::to_owned)
}

/// What becomes of a delete by this key.
fn deleted(job: &SilverJob, id: &str) -> String {
    told(job, Some(&key(id)), Some(&value("d", None)))
}

#[test]
fn captured_customers_are_the_same_with_and_without_schema() {
    let names = [
        ("first_name", "String"),
        ("last_name", "String"),
        ("email", "Nullable(String)"),
    ];
    let job = collection("Int64", &names);
    let plain = fates(
        &job,
        "risingwave/debezium_mongo_json_customers_no_schema_field.1",
    );
    assert_eq!(
        plain,
        fates(&job, "risingwave/debezium_mongo_json_customers.1")
    );
    assert_eq!(plain.len(), 4);
    assert_eq!(
        plain[3],
        r#"row: {"_id":1004,"email":"annek@noanswer.org","first_name":"Anne","last_name":"Kretchmar"}"#
    );
}

#[test]
fn an_id_has_one_form_however_key_and_document_spell_it() {
    let job = collection("Int64", &[]);
    for in_key in [
        "1004",
        r#"{"$numberLong":"1004"}"#,
        r#"{"$numberInt": "1004"}"#,
        "1004.0",
    ] {
        for in_document in [
            r#"{"$numberLong": "1004"}"#,
            "1004",
            r#"{"$numberDouble":"1004.0"}"#,
        ] {
            let document = format!(r#"{{"_id":{in_document}}}"#);
            let row = told(&job, Some(&key(in_key)), Some(&value("c", Some(&document))));
            assert_eq!(row, r#"row: {"_id":1004}"#, "{in_key} {in_document}");
        }
        assert_eq!(deleted(&job, in_key), r#"delete: {"_id":1004}"#);
    }
    let other = told(
        &job,
        Some(&key("1005")),
        Some(&value("c", Some(r#"{"_id":1004}"#))),
    );
    assert_eq!(other, "reject: key_mismatch _id");
}

#[test]
fn an_object_id_and_the_same_digits_as_text_are_never_one_row() {
    const OID: &str = r#"{"$oid": "67ab6e1d2c3f4a5b6c7d8e9f"}"#;
    const TEXT: &str = r#""67ab6e1d2c3f4a5b6c7d8e9f""#;
    let plain = collection("String", &[]);
    assert_eq!(
        deleted(&plain, OID),
        r#"delete: {"_id":"67ab6e1d2c3f4a5b6c7d8e9f"}"#
    );
    assert_eq!(deleted(&plain, r#""abc""#), r#"delete: {"_id":"abc"}"#);
    assert_eq!(deleted(&plain, TEXT), "reject: ambiguous_id _id");
    assert_eq!(deleted(&plain, "1004"), "reject: bad_value _id");

    let any = from(collection("String", &[]), "_id", Encoding::Json);
    assert_eq!(
        deleted(&any, OID),
        r#"delete: {"_id":"{\"$oid\":\"67ab6e1d2c3f4a5b6c7d8e9f\"}"}"#
    );
    assert_eq!(
        deleted(&any, TEXT),
        r#"delete: {"_id":"\"67ab6e1d2c3f4a5b6c7d8e9f\""}"#
    );
    assert_eq!(
        deleted(&any, r#"{"$numberLong":"7"}"#),
        r#"delete: {"_id":"7"}"#
    );
    assert_eq!(deleted(&any, r#""7""#), r#"delete: {"_id":"\"7\""}"#);
    let nested = r#"{"a": {"$numberLong":"1"}, "b": 2.0}"#;
    assert_eq!(
        deleted(&any, nested),
        r#"delete: {"_id":"{\"a\":1,\"b\":2}"}"#
    );
    let document = format!(r#"{{"_id":{nested}}}"#);
    let same = told(
        &any,
        Some(&key(r#"{"a":1,"b":{"$numberDouble":"2.0"}}"#)),
        Some(&value("c", Some(&document))),
    );
    assert_eq!(same, r#"row: {"_id":"{\"a\":1,\"b\":2}"}"#);

    let only_ids = from(collection("String", &[]), "_id", Encoding::ObjectId);
    assert_eq!(
        deleted(&only_ids, OID),
        r#"delete: {"_id":"67ab6e1d2c3f4a5b6c7d8e9f"}"#
    );
    assert_eq!(deleted(&only_ids, TEXT), "reject: bad_value _id");
    let only_texts = from(collection("String", &[]), "_id", Encoding::Text);
    assert_eq!(
        deleted(&only_texts, TEXT),
        r#"delete: {"_id":"67ab6e1d2c3f4a5b6c7d8e9f"}"#
    );
    assert_eq!(deleted(&only_texts, OID), "reject: bad_value _id");
}

#[test]
fn a_key_that_is_no_document_id_is_rejected() {
    let job = collection("String", &[]);
    let by = |key: &str| told(&job, Some(key), Some(&value("d", None)));
    assert_eq!(by(r#"{"id":"67ab"}"#), "reject: bad_key");
    assert_eq!(by(r#"{"id":67}"#), "reject: bad_key");
    assert_eq!(by(r#"{"_id":"\"a\""}"#), "reject: bad_key");
    assert_eq!(by(r#"{"id":"\"a\"","shard":"1"}"#), "reject: bad_key");
    assert_eq!(by(r#"{"id":"\"a\"}"#), "reject: bad_key");
    assert_eq!(
        by(r#"{"schema":{},"payload":{"id":"\"a\""}}"#),
        r#"delete: {"_id":"a"}"#
    );
    assert_eq!(
        told(&job, Some(&key(r#""a""#)), None),
        r#"delete: {"_id":"a"}"#
    );
    assert_eq!(
        told(&job, None, Some(&value("d", None))),
        "reject: unkeyed_delete"
    );
    assert_eq!(told(&job, None, None), "skip: tombstone");
}

#[test]
fn a_delete_without_a_key_takes_it_from_the_image_before() {
    let job = collection("String", &[("n", "Int32")]);
    let before = value("d", None).replace(
        r#""before":null"#,
        r#""before":"{\"_id\": \"a\", \"n\": 3}""#,
    );
    assert_eq!(
        told(&job, None, Some(&before)),
        r#"delete: {"_id":"a","n":0}"#
    );
}

#[test]
fn a_document_that_is_no_extended_json_is_rejected() {
    let job = collection("Int64", &[("$", "String")]);
    let of = |after: &str| told(&job, None, Some(&value("c", Some(after))));
    // a stray closing quote
    assert_eq!(of(r#"{"_id":1}""#), "reject: bad_document");
    assert_eq!(of(r#"{"_id":1"#), "reject: bad_document");
    assert_eq!(of("[1]"), "reject: bad_document");
    assert_eq!(of(""), "reject: bad_document");
    assert_eq!(of(r#"{"_id":1,"a":1,"a":2}"#), "reject: duplicate_field");
    assert_eq!(
        of(r#"{"_id":1,"a":99999999999999999999}"#),
        "reject: bad_document"
    );
    assert_eq!(of(r#"{"_id":1,"a":"\ud800"}"#), "reject: bad_utf8");
    let deep = format!(
        r#"{{"_id":1,"a":{}1{}}}"#,
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    assert_eq!(of(&deep), "reject: too_deep");
    let before = value("d", None).replace(r#""before":null"#, r#""before":"{\"_id\":1}\"""#);
    assert_eq!(
        told(&job, Some(&key("1")), Some(&before)),
        "reject: bad_document"
    );
}

#[test]
fn an_update_without_its_document_is_a_miss_only_where_the_job_says_so() {
    let mut job = collection("Int64", &[]);
    let missed = value("u", None);
    let described = missed.replace(
        r#""updateDescription":null"#,
        r#""updateDescription":{"removedFields":null,"updatedFields":"{\"a\": 1}","truncatedArrays":null}"#,
    );
    let patched = missed.replace(r#""before":null"#, r#""patch":"{\"$set\":{\"a\":1}}""#);
    assert_eq!(
        told(&job, Some(&key("1")), Some(&missed)),
        "skip: lookup_miss"
    );
    assert_eq!(
        told(&job, Some(&key("1")), Some(&described)),
        "reject: patch_only"
    );
    assert_eq!(
        told(&job, Some(&key("1")), Some(&patched)),
        "reject: patch_only"
    );
    job.policies.lookup_miss = LookupMiss::Skip;
    assert_eq!(
        told(&job, Some(&key("1")), Some(&described)),
        "skip: lookup_miss"
    );
    assert_eq!(
        told(&job, Some(&key("1")), Some(&patched)),
        "reject: patch_only"
    );
    let created = told(&job, Some(&key("1")), Some(&value("c", None)));
    assert_eq!(created, "reject: missing_image");
}

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

#[test]
fn messages_beside_changes_are_known_by_their_shape() {
    let job = collection("Int64", &[]);
    let of = |value: &str| told(&job, Some(r#"{"serverName":"s"}"#), Some(value));
    assert_eq!(of(r#"{"ts_ms":5}"#), "skip: heartbeat");
    assert_eq!(
        of(r#"{"status":"BEGIN","id":"7","ts_ms":5}"#),
        "skip: transaction"
    );
    assert_eq!(of("\u{0}\u{0}\u{0}\u{0}\u{1}abc"), "reject: wrong_encoding");
    assert_eq!(of("{"), "reject: bad_json");
    assert_eq!(of(r#"{"a":1} x"#), "reject: bad_json");
    assert_eq!(
        told(&job, Some(&key("1")), Some("null")),
        r#"delete: {"_id":1}"#
    );
    assert_eq!(
        told(
            &job,
            Some(&key("1")),
            Some(&value("x", Some("{\"_id\":1}")))
        ),
        "reject: unknown_op"
    );
}
