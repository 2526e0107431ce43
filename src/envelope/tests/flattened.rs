//! Rows as ExtractNewRecordState leaves them, by each of its ways to tell of deletes.

use super::{Decoder, columns, job, message, tell, told};
use crate::column::Rows;
use crate::job::{Deletes, Encoding, Flattened, Format, Shape, SilverJob};

const KEY: Option<&str> = Some(r#"{"id":1}"#);

fn flattened(mut job: SilverJob, deletes: Deletes) -> SilverJob {
    job.format = Format {
        shape: Shape::Flattened,
        ..Format::DEBEZIUM_JSON
    };
    job.flattened = Some(Flattened {
        deletes,
        prefix: Flattened::PREFIX.into(),
    });
    job
}

fn of(deletes: Deletes, value: &str) -> String {
    let job = job(&[("name", "Nullable(String)", Encoding::Plain)]);
    told(&flattened(job, deletes), KEY, Some(value))
}

#[test]
fn a_row_marked_as_deleted_is_a_delete_whether_the_mark_is_text_or_a_boolean() {
    for (deleted, becomes) in [
        (r#""true""#, r#"delete: {"id":1,"name":null}"#),
        ("true", r#"delete: {"id":1,"name":null}"#),
        (r#""false""#, r#"row: {"id":1,"name":"a"}"#),
        ("false", r#"row: {"id":1,"name":"a"}"#),
        (r#""yes""#, "reject: bad_value __deleted"),
        ("1", "reject: bad_value __deleted"),
    ] {
        let value = format!(r#"{{"id":1,"name":"a","__deleted":{deleted}}}"#);
        assert_eq!(of(Deletes::Rewrite, &value), becomes, "{deleted}");
    }
}

#[test]
fn a_job_that_expects_marks_stops_at_a_message_without_one() {
    let told = of(Deletes::Rewrite, r#"{"id":1,"name":"a","__op":"u"}"#);
    assert!(told.starts_with("fail: job orders: topic shop.public.orders, partition 3, offset 7:"));
    assert!(told.contains("__deleted"), "{told}");
}

#[test]
fn without_marks_every_row_is_an_upsert_and_a_null_value_a_delete() {
    let row = r#"{"id":1,"name":"a"}"#;
    for deletes in [Deletes::Tombstone, Deletes::None] {
        assert_eq!(of(deletes, row), r#"row: {"id":1,"name":"a"}"#);
        let job = job(&[("name", "Nullable(String)", Encoding::Plain)]);
        let job = flattened(job, deletes);
        assert_eq!(told(&job, KEY, None), r#"delete: {"id":1,"name":null}"#);
    }
    for (op, becomes) in [
        ("c", r#"row: {"id":1,"name":"a"}"#),
        ("r", r#"row: {"id":1,"name":"a"}"#),
        ("d", r#"delete: {"id":1,"name":null}"#),
        ("x", "reject: unknown_op"),
    ] {
        let value = format!(r#"{{"id":1,"name":"a","__op":"{op}"}}"#);
        assert_eq!(of(Deletes::Tombstone, &value), becomes);
    }
    let both = r#"{"id":1,"name":"a","__op":"d","__deleted":"false"}"#;
    assert_eq!(of(Deletes::Rewrite, both), "reject: bad_value __deleted");
}

#[test]
fn added_fields_are_no_columns_unless_the_job_declares_them() {
    let added = r#"{"id":1,"__table":"t","name":"a","__lsn":7,"__op":"u"}"#;
    assert_eq!(of(Deletes::Tombstone, added), r#"row: {"id":1,"name":"a"}"#);
    let job = columns(&["id"], &[("id", "Int64"), ("__table", "String")]);
    let value = r#"{"id":1,"__table":"t","__op":"u"}"#;
    let job = flattened(job, Deletes::None);
    let (mut rows, mut decoder) = (Rows::new(&job), Decoder::new(&job));
    decoder.decode(&message(7, None, Some(value.as_bytes())), &mut rows);
    assert!(
        rows.show(0).starts_with(r#"{"__table":"t","#),
        "{}",
        rows.show(0)
    );
    let unknown = of(Deletes::Tombstone, r#"{"id":1,"name":"a","more":1}"#);
    assert_eq!(unknown, "reject: unknown_column more");
}

#[test]
fn added_fields_fill_the_diagnostic_columns() {
    let job = flattened(job(&[]), Deletes::Tombstone);
    let (mut rows, mut decoder) = (Rows::new(&job), Decoder::new(&job));
    let value =
        br#"{"id":1,"__lsn":24,"__txId":5,"__source_ts_ms":1700000000123,"__ts_ms":1700000000999}"#;
    let fate = decoder.decode(&message(7, None, Some(value)), &mut rows);
    assert_eq!(tell(&fate, &rows), r#"row: {"id":1}"#);
    assert_eq!(decoder.source_time(), Some(1_700_000_000_123));
    let shown = rows.show(0);
    assert!(
        shown.contains(r#""_lsn":24,"#) && shown.contains(r#""_tx_id":5,"#),
        "{shown}"
    );
    let seconds = br#"{"id":2,"__op":null,"__lsn":null}"#;
    let fate = decoder.decode(&message(8, None, Some(seconds)), &mut rows);
    assert_eq!(tell(&fate, &rows), r#"row: {"id":2}"#);
}

#[test]
fn an_embedded_schema_says_how_the_fields_are_written() {
    let job = job(&[("at", "DateTime64(6, 'UTC')", Encoding::Plain)]);
    let job = flattened(job, Deletes::Rewrite);
    let wrapped = |row: &str| {
        let field = r#"{"type":"int64","field":"at","name":"io.debezium.time.MicroTimestamp"}"#;
        format!(
            r#"{{"schema":{{"type":"struct","fields":[{{"type":"int64","field":"id"}},{field}]}},"payload":{row}}}"#
        )
    };
    let row = wrapped(r#"{"id":1,"at":1529507596945104,"__deleted":"false"}"#);
    assert_eq!(
        told(&job, KEY, Some(&row)),
        r#"row: {"at":"2018-06-20T15:13:16.945104Z","id":1}"#
    );
    let gone = wrapped(r#"{"id":1,"at":1529507596945104,"__deleted":"true"}"#);
    assert!(told(&job, None, Some(&gone)).starts_with(r#"delete: {"#));
    let null = r#"{"schema":null,"payload":null}"#;
    assert!(told(&job, KEY, Some(null)).starts_with(r#"delete: {"#));
}

#[test]
fn other_kinds_of_message_are_recognised_by_shape() {
    for (value, becomes) in [
        (r#"{"ts_ms":1}"#, "skip: heartbeat"),
        (r#"{"status":"BEGIN","ts_ms":5}"#, "skip: transaction"),
        (
            r#"{"ddl":"CREATE TABLE","tableChanges":[]}"#,
            "skip: schema_change",
        ),
        (
            r#"{"before":null,"after":{"id":1,"name":"a"},"op":"c"}"#,
            r#"row: {"id":1,"name":"a"}"#,
        ),
        (r#"{"id":1"#, "reject: bad_json"),
        ("[1]", "reject: wrong_encoding"),
        (
            r#"{"id":1,"id":1,"name":"a"}"#,
            "reject: duplicate_field id",
        ),
        (
            r#"{"id":1,"name":"a","__op":"u","__op":"d"}"#,
            "reject: duplicate_field",
        ),
        (r#"{"id":2,"name":"a"}"#, "reject: key_mismatch id"),
        (
            r#"{"id":1,"name":"__debezium_unavailable_value"}"#,
            "reject: toast_placeholder name",
        ),
    ] {
        assert_eq!(of(Deletes::Tombstone, value), becomes, "{value}");
    }
}

#[test]
fn a_table_may_have_columns_named_as_the_wrapping_is() {
    let job = columns(
        &["id"],
        &[("schema", "String"), ("payload", "String"), ("id", "Int64")],
    );
    let told = told(
        &flattened(job, Deletes::None),
        KEY,
        Some(r#"{"schema":"s","payload":"p","id":1}"#),
    );
    assert_eq!(told, r#"row: {"id":1,"payload":"p","schema":"s"}"#);
}

#[test]
fn a_table_without_a_key_takes_rows_and_rejects_deletes() {
    let job = flattened(columns(&[], &[("id", "Int64")]), Deletes::None);
    assert_eq!(told(&job, None, Some(r#"{"id":1}"#)), r#"row: {"id":1}"#);
    let deleted = told(&job, None, Some(r#"{"id":1,"__deleted":"true"}"#));
    assert_eq!(deleted, "reject: unkeyed_delete");
}
