//! What a message tells of a source that has changed.

use super::{job, message, tell};
use crate::column::{Rows, Type};
use crate::envelope::{Decoder, Drift, Sources};
use crate::job::{Added, Encoding, NewColumnPolicy, SilverJob, ValuePolicy};

/// `id Int64, n Int32` under `new_column = "add"`.
fn follows() -> SilverJob {
    let mut job = job(&[("n", "Int32", Encoding::Plain)]);
    job.policies.new_column = NewColumnPolicy::Add;
    job
}

/// A change whose fields are `name: (schema type, value)`.
fn change(fields: &[(&str, &str, &str)]) -> String {
    let schema: Vec<String> = fields
        .iter()
        .map(|(name, kind, _)| format!(r#"{{"field":"{name}",{kind}}}"#))
        .collect();
    let values: Vec<String> = fields
        .iter()
        .map(|(name, _, value)| format!(r#""{name}":{value}"#))
        .collect();
    format!(
        r#"{{"schema":{{"fields":[{{"field":"after","fields":[{}]}}]}},"payload":{{"before":null,"after":{{{}}},"source":{{"ts_ms":99,"schema":"public","table":"orders"}},"op":"c"}}}}"#,
        schema.join(","),
        values.join(",")
    )
}

fn bare(after: &str) -> String {
    format!(
        r#"{{"before":null,"after":{after},"source":{{"ts_ms":99,"schema":"public","table":"orders"}},"op":"c"}}"#
    )
}

fn decode(decoder: &mut Decoder, job: &SilverJob, value: &str) -> (String, Option<Drift>) {
    let mut rows = Rows::new(job);
    let message = message(7, Some(br#"{"id":1}"#), Some(value.as_bytes()));
    let fate = decoder.decode(&message, &mut rows);
    (tell(&fate, &rows), decoder.take_drift().map(|drift| *drift))
}

const INT32: &str = r#""type":"int32","optional":false"#;
const INT64: &str = r#""type":"int64","optional":false"#;
const TEXT: &str = r#""type":"string","optional":false"#;

#[test]
fn a_new_field_is_told_with_what_its_schema_says() {
    let job = follows();
    let mut decoder = Decoder::new(&job);
    let micros = r#""type":"int64","optional":true,"name":"io.debezium.time.MicroTimestamp""#;
    let value = change(&[
        ("id", INT64, "1"),
        ("n", INT32, "2"),
        ("at", micros, "null"),
    ]);
    let (told, drift) = decode(&mut decoder, &job, &value);
    assert_eq!(told, "reject: unknown_column at");
    let drift = drift.unwrap();
    assert_eq!(
        (drift.table.as_deref(), drift.since),
        (Some("orders"), Some(99))
    );
    let source = drift.added[0].source.as_ref().unwrap();
    assert_eq!(source.kind, Type::parse("DateTime64(6, 'UTC')").unwrap());
    assert_eq!(source.encoding, Encoding::Micros);
}

#[test]
fn a_renamed_field_is_one_that_is_new_and_one_that_is_gone() {
    let job = follows();
    let mut decoder = Decoder::new(&job);
    let (_, drift) = decode(&mut decoder, &job, &bare(r#"{"id":1,"amount":2}"#));
    let drift = drift.unwrap();
    assert_eq!(drift.added[0].name, "amount");
    assert_eq!(drift.added[0].source, None);
    assert_eq!(drift.gone, ["n"]);
}

#[test]
fn jobs_that_do_not_follow_their_source_look_at_nothing() {
    let mut job = follows();
    job.policies.new_column = NewColumnPolicy::Reject;
    let mut decoder = Decoder::new(&job);
    let (told, drift) = decode(&mut decoder, &job, &bare(r#"{"id":1,"n":2,"x":3}"#));
    assert_eq!((told.as_str(), drift), ("reject: unknown_column x", None));
}

#[test]
fn a_type_that_has_changed_is_told_before_a_value_is_read_by_it() {
    let job = follows();
    let known = Sources::from([("n".to_owned(), "int32".to_owned())]);
    let mut decoder = Decoder::new(&job).knowing(known);
    let before = change(&[("id", INT64, "1"), ("n", INT32, "2")]);
    assert_eq!(
        decode(&mut decoder, &job, &before).0,
        r#"row: {"id":1,"n":2}"#
    );
    for (now, value) in [(INT64, "3"), (TEXT, "\"3\"")] {
        let after = change(&[("id", INT64, "1"), ("n", now, value)]);
        for _ in 0..2 {
            let (told, drift) = decode(&mut decoder, &job, &after);
            assert_eq!(told, "reject: type_changed n");
            let changed = &drift.unwrap().changed[0];
            assert_eq!(changed.was.as_deref(), Some("int32"));
        }
    }
    // the first schema is still what the job declares
    assert_eq!(
        decode(&mut decoder, &job, &before).0,
        r#"row: {"id":1,"n":2}"#
    );
}

#[test]
fn a_column_that_begins_to_take_null_is_a_changed_one() {
    let job = follows();
    let known = Sources::from([("n".to_owned(), "int32".to_owned())]);
    let mut decoder = Decoder::new(&job).knowing(known);
    let optional = r#""type":"int32","optional":true"#;
    let (told, drift) = decode(
        &mut decoder,
        &job,
        &change(&[("id", INT64, "1"), ("n", optional, "null")]),
    );
    assert_eq!(told, "reject: type_changed n");
    assert!(drift.unwrap().changed[0].source.as_ref().unwrap().optional);
}

#[test]
fn what_was_never_seen_otherwise_is_the_declaration_of_a_person() {
    let mut job = job(&[("at", "DateTime64(3, 'UTC')", Encoding::Millis)]);
    job.policies.new_column = NewColumnPolicy::Add;
    let mut decoder = Decoder::new(&job);
    let value = |at| change(&[("id", INT64, "1"), ("at", INT64, at)]);
    let (told, _) = decode(&mut decoder, &job, &value("1700000000000"));
    assert!(told.starts_with("row:"), "{told}");
    let (told, drift) = decode(&mut decoder, &job, &value("1e3"));
    assert_eq!((told.as_str(), drift), ("reject: bad_value at", None));
}

#[test]
fn a_value_past_its_column_asks_whether_the_source_is_wider() {
    let job = follows();
    let mut decoder = Decoder::new(&job);
    let wide = change(&[("id", INT64, "1"), ("n", INT64, "9000000000")]);
    let (told, drift) = decode(&mut decoder, &job, &wide);
    assert_eq!(told, "reject: out_of_range n");
    assert_eq!(
        drift.unwrap().changed[0].source.as_ref().unwrap().kind,
        Type::Int64
    );
    let (_, drift) = decode(&mut decoder, &job, &bare(r#"{"id":1,"n":9000000000}"#));
    assert_eq!(
        drift.unwrap().changed[0].source,
        None,
        "somebody else may know"
    );
    decoder.settle("n");
    let (_, drift) = decode(&mut decoder, &job, &bare(r#"{"id":1,"n":9000000000}"#));
    assert_eq!(drift, None, "and does not");
}

#[test]
fn another_key_is_told_with_its_fields() {
    let job = follows();
    let mut decoder = Decoder::new(&job);
    let mut rows = Rows::new(&job);
    let value = bare(r#"{"id":1,"n":2}"#);
    let message = message(7, Some(br#"{"id":1,"n":2}"#), Some(value.as_bytes()));
    decoder.decode(&message, &mut rows);
    let fields = decoder.take_drift().unwrap().key.unwrap();
    assert_eq!(fields, ["id", "n"]);
}

#[test]
fn messages_older_than_a_column_that_ingest_added_store_null() {
    let mut job = job(&[("n", "Nullable(Int32)", Encoding::Plain)]);
    let mut decoder = Decoder::new(&job);
    let older = bare(r#"{"id":1}"#);
    let (told, _) = decode(&mut decoder, &job, &older);
    assert_eq!(told, "reject: missing_column n");
    job.columns[1].added = Some(Added { since: Some(5) });
    let mut decoder = Decoder::new(&job);
    let (told, _) = decode(&mut decoder, &job, &older);
    assert_eq!(told, r#"row: {"id":1,"n":null}"#);
    assert_eq!(decoder.absent(), [1]);
    job.columns[1].added = None;
    job.policies.missing_column = ValuePolicy::Null;
    let (told, _) = decode(&mut Decoder::new(&job), &job, &older);
    assert_eq!(told, r#"row: {"id":1,"n":null}"#);
    job.columns[1].kind = Type::Int32;
    let (told, _) = decode(&mut Decoder::new(&job), &job, &older);
    assert_eq!(told, "reject: missing_column n", "an Int32 has no NULL");
}
