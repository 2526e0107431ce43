//! Messages that real connectors and other people's tests wrote.

use std::path::Path;

use super::{columns, message, tell};
use crate::column::Rows;
use crate::envelope::Decoder;
use crate::job::SilverJob;

/// The fate of every message of a fixture: one per line, `key^value` where there is a key.
pub(super) fn fates(job: &SilverJob, file: &str) -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let whole = file.ends_with(".json");
    let messages: Vec<&str> = if whole {
        vec![&text]
    } else {
        text.lines().collect()
    };
    let (mut decoder, mut rows) = (Decoder::new(job), Rows::new(job));
    let mut fates = Vec::new();
    for (offset, line) in messages.into_iter().enumerate() {
        let (key, value) = match line.split_once('^') {
            Some((key, value)) if !line.starts_with("{\"schema") => (Some(key.as_bytes()), value),
            _ => (None, line),
        };
        let fate = decoder.decode(
            &message(offset as i64, key, Some(value.as_bytes())),
            &mut rows,
        );
        fates.push(tell(&fate, &rows));
    }
    fates
}

fn customers() -> SilverJob {
    columns(
        &["id"],
        &[
            ("id", "Int32"),
            ("first_name", "String"),
            ("last_name", "LowCardinality(String)"),
            ("email", "Nullable(String)"),
        ],
    )
}

#[test]
fn the_same_log_with_and_without_schema_gives_the_same_rows() {
    let plain = fates(&customers(), "risingwave/debezium_log_no_schema_field.1");
    assert_eq!(plain, fates(&customers(), "risingwave/debezium_log.1"));
    assert_eq!(
        plain,
        [
            r#"row: {"email":"sally.thomas@acme.com","first_name":"Sally","id":1001,"last_name":"Thomas"}"#,
            r#"row: {"email":"gbailey@foobar.com","first_name":"George","id":1002,"last_name":"Bailey"}"#,
            r#"row: {"email":"ed@walker.com","first_name":"Edward","id":1003,"last_name":"Walker"}"#,
            r#"row: {"email":"annek@noanswer.org","first_name":"Anne","id":1004,"last_name":"Kretchmar"}"#,
            r#"row: {"email":"add","first_name":"add","id":1005,"last_name":"add"}"#,
            r#"row: {"email":"annek@noanswer.org","first_name":"Anne1","id":1004,"last_name":"Kretchmar"}"#,
            r#"row: {"email":"add1","first_name":"add1","id":1006,"last_name":"add1"}"#,
            r#"row: {"email":"add","first_name":"add","id":1005,"last_name":"add2"}"#,
            r#"row: {"email":"add1","first_name":"add1","id":1006,"last_name":"add2"}"#,
            r#"delete: {"email":null,"first_name":"","id":1006,"last_name":""}"#,
        ]
    );
}

#[test]
fn white_space_and_schemas_do_not_matter() {
    let anne = r#"row: {"email":"annek@noanswer.org","first_name":"Anne","id":1004,"last_name":"Kretchmar"}"#;
    for file in [
        "serde-update.json",
        "serde-with-schema.json",
        "serde-without-schema.json",
    ] {
        assert_eq!(
            fates(&customers(), &format!("debezium/{file}")),
            [anne],
            "{file}"
        );
    }
    let unknown = fates(&customers(), "debezium/serde-unknown-property.json");
    assert_eq!(unknown, ["reject: unknown_column middle_name"]);
}

#[test]
fn a_snapshot_of_forty_columns_follows_its_own_schema() {
    let job = columns(
        &["c_id", "c_d_id", "c_w_id"],
        &[
            ("c_id", "Int32"),
            ("c_d_id", "Int32"),
            ("c_w_id", "Int32"),
            ("c_first", "String"),
            ("c_since", "DateTime64(0)"),
            ("c_credit_lim", "Float32"),
            ("c_payment_cnt", "Nullable(Int32)"),
        ],
    );
    let first = fates(&job, "risingwave/bug_bash.1");
    assert_eq!(first.len(), 25);
    assert!(
        first
            .iter()
            .all(|fate| fate == "reject: unknown_column c_middle")
    );
    let mut job = job;
    job.policies.new_column = crate::job::NewColumnPolicy::Ignore;
    let second = fates(&job, "risingwave/bug_bash.1");
    assert!(
        second.iter().all(|fate| fate.starts_with("row: ")),
        "{second:?}"
    );
    assert_eq!(
        second[0],
        r#"row: {"c_credit_lim":50000.0,"c_d_id":1,"c_first":"2 4Py0Rg","c_id":1,"c_payment_cnt":1,"c_since":"2015-11-22T00:00:00Z","c_w_id":1}"#
    );
}

#[test]
fn a_key_that_is_no_json_is_no_key_of_this_job() {
    let job = columns(
        &["order_id"],
        &[
            ("order_id", "Int32"),
            ("order_date", "Int64"),
            ("customer_name", "String"),
            ("price", "Nullable(Decimal(10, 2))"),
            ("product_id", "Int32"),
            ("order_status", "Int16"),
        ],
    );
    assert_eq!(
        fates(&job, "risingwave/debezium_mess_key.1"),
        ["reject: bad_key"; 4]
    );
}

#[test]
fn a_payload_without_a_schema_beside_it_is_read_too() {
    let mut job = columns(
        &["L_ORDERKEY", "L_LINENUMBER"],
        &[
            ("L_ORDERKEY", "Int64"),
            ("L_LINENUMBER", "Int32"),
            ("L_EXTENDEDPRICE", "Decimal(12, 2)"),
            ("L_SHIPDATE", "Date32"),
        ],
    );
    job.policies.new_column = crate::job::NewColumnPolicy::Ignore;
    assert_eq!(
        fates(&job, "risingwave/debezium_ignore_case_json.1"),
        [
            r#"row: {"L_EXTENDEDPRICE":"55828.11","L_LINENUMBER":1,"L_ORDERKEY":56165,"L_SHIPDATE":"1992-06-22"}"#,
            r#"row: {"L_EXTENDEDPRICE":"19378.81","L_LINENUMBER":1,"L_ORDERKEY":56166,"L_SHIPDATE":"1993-11-07"}"#,
            r#"row: {"L_EXTENDEDPRICE":"4830.25","L_LINENUMBER":2,"L_ORDERKEY":56166,"L_SHIPDATE":"1993-09-15"}"#,
        ]
    );
}

#[test]
fn documents_and_avro_are_other_formats() {
    let mongo = fates(
        &customers(),
        "risingwave/debezium_mongo_json_customers_no_schema_field.1",
    );
    assert_eq!(
        mongo[..3],
        [
            "reject: wrong_encoding",
            "reject: wrong_encoding",
            "reject: wrong_encoding"
        ]
    );
    let avro = fates(&customers(), "risingwave/debezium_compact_avro_json.1");
    assert!(
        avro.iter().all(|fate| fate.starts_with("reject: ")),
        "{avro:?}"
    );
}
