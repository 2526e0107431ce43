//! MongoDB's documents, in every spelling of Extended JSON. MongoDB itself is not run here: the messages are from other
//! people's captures and from Debezium's documentation.

mod documents;
mod extended_values;

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
