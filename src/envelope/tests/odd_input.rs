//! The bad-input table: an exact message, and the one fate that it has.

mod odd_bytes;

use super::{job, message, tell, told};
use crate::column::Rows;
use crate::envelope::{Decoder, Fate, Headers, LARGEST_MESSAGE, Message};
use crate::job::Encoding::Plain;
use crate::job::{DeletePolicy, SilverJob, ToastPolicy, TruncatePolicy};

fn orders() -> SilverJob {
    job(&[("name", "Nullable(String)", Plain)])
}

const KEY: Option<&str> = Some(r#"{"id":1}"#);

#[test]
fn a_null_value_deletes_its_key_however_it_is_spelled() {
    let orders = orders();
    let deleted = r#"delete: {"id":1,"name":null}"#;
    let wrapped = r#"{"schema":{"type":"struct","fields":[]},"payload":null}"#;
    for value in [
        None,
        Some("null"),
        Some(" null "),
        Some(wrapped),
        Some(r#"{"payload":null}"#),
    ] {
        assert_eq!(told(&orders, KEY, value), deleted, "{value:?}");
    }
    assert_eq!(told(&orders, None, None), "skip: tombstone");
    assert_eq!(told(&orders, None, Some("null")), "skip: null_value");
    let mut archive = orders.clone();
    archive.policies.delete = DeletePolicy::Ignore;
    assert_eq!(told(&archive, KEY, None), "skip: tombstone");
    let delete = r#"{"before":null,"after":null,"op":"d"}"#;
    assert_eq!(told(&archive, KEY, Some(delete)), "skip: delete_ignored");
}

#[test]
fn what_is_no_envelope_is_a_dead_letter() {
    for (value, fate) in [
        ("", "reject: empty_value"),
        ("{", "reject: bad_json"),
        ("nul", "reject: bad_json"),
        (
            r#"{"op":"c","after":{"id":1,"name":"x"}"#,
            "reject: bad_json",
        ),
        (
            r#"{"op":"c","after":{"id":1,"name":"x"}} {}"#,
            "reject: bad_json",
        ),
        ("\u{feff}{\"op\":\"c\"}", "reject: bad_json"),
        ("\0\0\0\0\u{7}xyz", "reject: wrong_encoding"),
        ("\"text\"", "reject: wrong_encoding"),
        ("[1,2]", "reject: wrong_encoding"),
        (r#"{"after":{"id":1,"name":"x"}}"#, "reject: unknown_op"),
        (
            r#"{"after":{"id":1,"name":"x"},"op":"x"}"#,
            "reject: unknown_op",
        ),
        (
            r#"{"after":{"id":1,"name":"x"},"op":"C"}"#,
            "reject: unknown_op",
        ),
        (
            r#"{"after":{"id":1,"name":"x"},"op":1}"#,
            "reject: unknown_op",
        ),
        (r#"{"op":"c","after":null}"#, "reject: missing_image"),
        (r#"{"op":"u","before":{"id":1}}"#, "reject: missing_image"),
        (
            r#"{"op":"c","after":{"id":1,"name":"x","name":"y"}}"#,
            "reject: duplicate_field name",
        ),
        (
            r#"{"op":"c","op":"d","after":{"id":1,"name":"x"}}"#,
            "reject: duplicate_field",
        ),
        (
            r#"{"op":"c","after":{"id":1}}"#,
            "reject: missing_column name",
        ),
        (
            r#"{"op":"c","after":{"id":1,"name":"x","new":1}}"#,
            "reject: unknown_column new",
        ),
        (
            r#"{"op":"c","after":{"id":2,"name":"x"}}"#,
            "reject: key_mismatch id",
        ),
        (
            r#"{"op":"c","after":{"id":null,"name":"x"}}"#,
            "reject: null_key id",
        ),
        (
            r#"{"op":"c","after":{"id":1,"name":"\ud800"}}"#,
            "reject: bad_utf8 name",
        ),
        (
            r#"{"op":"c","after":{"id":1,"name":"\ud800\u0041"}}"#,
            "reject: bad_utf8 name",
        ),
        (
            "{\"op\":\"c\",\"after\":{\"id\":1,\"name\":\"a\nb\"}}",
            "reject: bad_json name",
        ),
        (
            r#"{"op":"c","after":{"id":01,"name":"x"}}"#,
            "reject: bad_json id",
        ),
        (r#"{"op":"t","source":{}}"#, "reject: truncate"),
    ] {
        assert_eq!(told(&orders(), KEY, Some(value)), fate, "{value}");
    }
}

#[test]
fn messages_that_are_no_changes_are_skipped_by_their_shape() {
    for (value, fate) in [
        (r#"{"ts_ms":1}"#, "skip: heartbeat"),
        (
            r#"{"schema":{"type":"struct"},"payload":{"ts_ms":1}}"#,
            "skip: heartbeat",
        ),
        (
            r#"{"status":"BEGIN","id":"571:5","event_count":null,"data_collections":null,"ts_ms":1}"#,
            "skip: transaction",
        ),
        (
            r#"{"source":{},"ts_ms":1,"databaseName":"x","ddl":"DROP TABLE y","tableChanges":[]}"#,
            "skip: schema_change",
        ),
        (
            r#"{"op":"m","ts_ms":1,"source":{"table":""},"message":{"prefix":"p","content":"aGk="}}"#,
            "skip: logical_message",
        ),
    ] {
        assert_eq!(told(&orders(), None, Some(value)), fate, "{value}");
    }
}

#[test]
fn a_truncate_follows_the_policy() {
    let mut orders = orders();
    orders.policies.truncate = TruncatePolicy::Ignore;
    assert_eq!(told(&orders, None, Some(r#"{"op":"t"}"#)), "skip: truncate");
    orders.policies.truncate = TruncatePolicy::Fail;
    assert_eq!(
        told(&orders, None, Some(r#"{"op":"t"}"#)),
        "fail: job orders: the source table was truncated: topic shop.public.orders, partition 3, offset 7"
    );
}

#[test]
fn the_source_block_is_diagnostic_whatever_it_holds() {
    let job = orders();
    for source in [
        r#"null"#,
        r#"{"lsn":null}"#,
        r#"{"lsn":-9223372036854776000,"ts_ms":"x","txId":1.5}"#,
        r#"{"lsn":"23911624","snapshot":true}"#,
        r#"{"snapshot":"last_in_data_collection","ts_ms":9223372036854775807}"#,
        r#"{}"#,
        r#"{"lsn":[],"txId":{},"ts_ms":true}"#,
    ] {
        let value = format!(r#"{{"after":{{"id":1,"name":"x"}},"source":{source},"op":"r"}}"#);
        assert_eq!(
            told(&job, KEY, Some(&value)),
            r#"row: {"id":1,"name":"x"}"#,
            "{source}"
        );
        let nothing = r#"{"_lsn":null,"_source_time":null,"_tx_id":null}"#;
        assert_eq!(told_of_source(&job, &value), nothing, "{source}");
    }
    let value = r#"{"after":{"id":1,"name":"x"},"source":{"lsn":23911624,"txId":-5,"ts_ms":null},"op":"r"}"#;
    let known = r#"{"_lsn":23911624,"_source_time":null,"_tx_id":-5}"#;
    assert_eq!(told_of_source(&job, value), known);
}

/// The diagnostic columns of the row that the value becomes.
fn told_of_source(job: &SilverJob, value: &str) -> String {
    let (mut decoder, mut rows) = (Decoder::new(job), Rows::new(job));
    let message = message(7, KEY.map(str::as_bytes), Some(value.as_bytes()));
    let fate = decoder.decode(&message, &mut rows);
    assert!(matches!(fate, Fate::Row), "{fate:?}");
    let mut row: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(&rows.show(0)).unwrap();
    row.retain(|name, _| ["_lsn", "_tx_id", "_source_time"].contains(&name.as_str()));
    serde_json::Value::Object(row).to_string()
}

#[test]
fn every_mark_of_a_snapshot_is_accepted() {
    let job = orders();
    for mark in [
        "true",
        "false",
        "null",
        r#""true""#,
        r#""false""#,
        r#""first""#,
        r#""first_in_data_collection""#,
        r#""last_in_data_collection""#,
        r#""last""#,
        r#""incremental""#,
    ] {
        let source = format!(r#"{{"snapshot":{mark},"ts_ms":1}}"#);
        let value = format!(r#"{{"after":{{"id":1,"name":"x"}},"source":{source},"op":"r"}}"#);
        let row = r#"row: {"id":1,"name":"x"}"#;
        assert_eq!(told(&job, KEY, Some(&value)), row, "{mark}");
    }
}

/// Somebody typed it: an insert has all its values, unless it is one half of a change of key.
#[test]
fn the_placeholders_text_on_an_insert_is_stored_and_counted() {
    let mut job = job(&[("name", "Nullable(String)", Plain), ("n", "Int32", Plain)]);
    let value = r#"{"after":{"id":1,"name":"__debezium_unavailable_value","n":2},"op":"c"}"#;
    let wrong = r#"{"after":{"id":1,"name":"x","n":"__debezium_unavailable_value"},"op":"c"}"#;
    let context: (&str, &[u8]) = ("__debezium.context.connectorName", b"postgresql");
    let moved: (&str, &[u8]) = ("__debezium.oldkey", br#"{"id":7}"#);
    let unreadable: (&str, &[u8]) = ("__debezium.oldkey", b"Struct{id=7}");
    let decode = |job: &SilverJob, value: &str, headers: &[(&str, &[u8])]| {
        let (mut decoder, mut rows) = (Decoder::new(job), Rows::new(job));
        let find = |name: &str| {
            let found = headers.iter().find(|(header, _)| *header == name);
            found.map(|(_, value)| value.to_vec())
        };
        let message = Message {
            headers: Headers::of(&find),
            ..message(1, KEY.map(str::as_bytes), Some(value.as_bytes()))
        };
        let fate = decoder.decode(&message, &mut rows);
        let told = tell(&fate, &rows);
        let doubts = rows.doubts().iter().map(|doubt| doubt.columns.clone());
        (
            told,
            decoder.take_typed_placeholders(),
            doubts.collect::<Vec<_>>(),
        )
    };
    let rejected = |column: &str| (format!("reject: toast_placeholder {column}"), 0, vec![]);
    let typed = r#"row: {"id":1,"n":2,"name":"__debezium_unavailable_value"}"#;
    assert_eq!(
        decode(&job, value, &[context]),
        (typed.to_owned(), 1, vec![])
    );
    assert_eq!(decode(&job, wrong, &[context]).0, "reject: bad_value n");
    // whether headers reach us at all is not known, or it says that the row was moved
    assert_eq!(decode(&job, value, &[]), rejected("name"));
    assert_eq!(decode(&job, value, &[context, moved]), rejected("name"));
    for column in &mut job.columns {
        column.toast = ToastPolicy::Keep;
    }
    let kept = r#"row: {"id":1,"n":2,"name":null}"#;
    assert_eq!(
        decode(&job, value, &[context, moved]),
        (kept.to_owned(), 0, vec![vec![1]])
    );
    assert_eq!(
        decode(&job, value, &[context, unreadable]),
        rejected("name")
    );
    assert_eq!(decode(&job, value, &[]), rejected("name"));
    let update = value.replace("\"op\":\"c\"", "\"op\":\"u\"");
    assert_eq!(
        decode(&job, &update, &[]),
        (kept.to_owned(), 0, vec![vec![1]])
    );
    let read = value.replace("\"op\":\"c\"", "\"op\":\"r\"");
    assert_eq!(decode(&job, &read, &[]), (typed.to_owned(), 0, vec![]));
}

#[test]
fn a_topic_of_several_tables_is_read_table_by_table() {
    let mut job = orders();
    job.tables = vec!["public.orders".to_owned()];
    let of = |table: &str, op: &str| {
        let image = r#"{"id":1,"name":"x"}"#;
        let after = if op == "d" { "null" } else { image };
        format!(
            r#"{{"before":null,"after":{after},"source":{{"db":"shop","schema":"public","table":"{table}"}},"op":"{op}"}}"#
        )
    };
    let row = r#"row: {"id":1,"name":"x"}"#;
    let deleted = r#"delete: {"id":1,"name":null}"#;
    let told = |key, value: &str| told(&job, key, Some(value));
    assert_eq!(told(KEY, &of("orders", "c")), row);
    assert_eq!(told(KEY, &of("orders", "d")), deleted);
    assert_eq!(told(KEY, &of("customers", "c")), "skip: other_table");
    assert_eq!(told(KEY, &of("customers", "d")), "skip: other_table");
    // as it never is SQL
    assert_eq!(
        told(KEY, &of("x`; DROP TABLE y; --", "c")),
        "skip: other_table"
    );
    let wrapped = format!(r#"{{"schema":null,"payload":{}}}"#, of("customers", "c"));
    assert_eq!(told(KEY, &wrapped), "skip: other_table");
    let without_schemas = of("orders", "c").replace(r#""schema":"public""#, r#""schema":null"#);
    assert_eq!(told(KEY, &without_schemas), "skip: other_table");
    // what names no table is told by its form
    assert_eq!(told(KEY, r#"{"ts_ms":1}"#), "skip: heartbeat");
    assert_eq!(told(KEY, "{"), "reject: bad_json");
    assert_eq!(super::told(&job, KEY, None), "skip: tombstone");
    // a router may tell the tables apart in the key: ignored where it is declared as left out, else no key of ours
    let marked = Some(r#"{"id":1,"__dbz__physicalTableIdentifier":"a"}"#);
    let reason = "reject: key_mismatch __dbz__physicalTableIdentifier";
    assert_eq!(told(marked, &of("orders", "c")), reason);
    let mut job = job.clone();
    job.exclude = vec!["__dbz__physicalTableIdentifier".to_owned()];
    assert_eq!(super::told(&job, marked, Some(&of("orders", "c"))), row);
    assert_eq!(super::told(&job, marked, Some(&of("orders", "d"))), deleted);
}
