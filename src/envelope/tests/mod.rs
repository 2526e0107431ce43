//! What a job decodes, told in messages.

mod avro;
mod captured;
mod corpus;
mod drift;
mod flattened;
mod folds;
mod keys;
mod mongodb;
mod odd_input;
mod options;
mod samples;
mod times;
mod values;

use super::{Decoder, Fate, Headers, Message};
use crate::column::{Rows, Type};
use crate::job::{
    Column, Encoding, Format, NullPolicy, Policies, SYSTEM_COLUMNS, SilverJob, ToastPolicy,
};

/// `id Int64, name Nullable(String)` keyed by `id`, and whatever else a test adds.
pub(crate) fn job(more: &[(&str, &str, Encoding)]) -> SilverJob {
    let base = [("id", "Int64", Encoding::Plain)];
    let column = |(name, kind, encoding): &(&str, &str, Encoding)| Column {
        source: (*name).to_owned(),
        name: (*name).to_owned(),
        kind: Type::parse(kind).unwrap(),
        encoding: *encoding,
        null: NullPolicy::Reject,
        added: None,
        toast: ToastPolicy::Reject,
        cast: false,
        mask: None,
    };
    SilverJob {
        name: "orders".into(),
        topic: "shop.public.orders".into(),
        tables: vec![],
        format: Format::DEBEZIUM_JSON,
        flattened: None,
        key: vec!["id".into()],
        time_column: None,
        immutable: Vec::new(),
        partition_by: None,
        before_image: false,
        columns: base.iter().chain(more).map(column).collect(),
        extras: vec![],
        exclude: vec![],
        policies: Policies::default(),
        epoch: 1,
    }
}

pub(super) fn message<'a>(
    offset: i64,
    key: Option<&'a [u8]>,
    value: Option<&'a [u8]>,
) -> Message<'a> {
    Message {
        topic: "shop.public.orders",
        partition: 3,
        offset,
        key,
        value,
        timestamp: None,
        headers: Headers::NONE,
    }
}

/// `row: {…declared columns…}`, `skip: …`, `reject: reason column`.
pub(super) fn told(job: &SilverJob, key: Option<&str>, value: Option<&str>) -> String {
    let mut rows = Rows::new(job);
    let mut decoder = Decoder::new(job);
    let message = message(7, key.map(str::as_bytes), value.map(str::as_bytes));
    let fate = decoder.decode(&message, &mut rows);
    tell(&fate, &rows)
}

pub(super) fn tell(fate: &Fate, rows: &Rows) -> String {
    match fate {
        Fate::Row => {
            let shown = rows.show(rows.len() - 1);
            let mut row: serde_json::Map<String, serde_json::Value> =
                serde_json::from_str(&shown).unwrap();
            let deleted = row["_deleted"] == 1;
            row.retain(|name, _| SYSTEM_COLUMNS.iter().all(|(system, _)| system != name));
            let row = serde_json::Value::Object(row);
            if deleted {
                format!("delete: {row}")
            } else {
                format!("row: {row}")
            }
        }
        Fate::Skip(skip) => format!("skip: {}", skip.as_str()),
        Fate::Reject(reject) => {
            let column = reject.column.as_deref().unwrap_or_default();
            format!("reject: {} {column}", reject.reason.as_str())
                .trim_end()
                .to_owned()
        }
        Fate::Fail(error) => format!("fail: {error}"),
    }
}

/// What a bare value becomes in a column of this type; the reason where it is rejected.
pub(super) fn cell(kind: &str, encoding: Encoding, json: &str) -> String {
    let job = job(&[("v", kind, encoding)]);
    let value = format!(r#"{{"before":null,"after":{{"id":1,"v":{json}}},"op":"c"}}"#);
    let told = told(&job, Some(r#"{"id":1}"#), Some(&value));
    match told
        .strip_prefix(r#"row: {"id":1,"v":"#)
        .and_then(|row| row.strip_suffix('}'))
    {
        Some(value) => value.to_owned(),
        None => told,
    }
}

/// A job of plain columns.
pub(super) fn columns(key: &[&str], columns: &[(&str, &str)]) -> SilverJob {
    let plain: Vec<_> = columns
        .iter()
        .map(|(name, kind)| (*name, *kind, Encoding::Plain))
        .collect();
    let mut job = job(&plain);
    job.columns.remove(0);
    job.key = key.iter().map(|name| (*name).to_owned()).collect();
    job
}
