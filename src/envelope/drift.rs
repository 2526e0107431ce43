//! What a message shows of its source that its job does not know: new, changed and vanished fields, another key.
//!
//! Only messages that could not become rows are looked at, so nothing here is on the way of the others.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::described::{SourceField, described};
use super::fate::{Reason, Reject};
use super::message::Message;
use super::plan::Plan;
use crate::column::Type;
use crate::job::{Column, Encoding};

/// How a job's source differs from its declaration, as far as one message tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drift {
    /// where the row lives, as the message says: never more than a name to look up
    pub schema: Option<String>,
    pub table: Option<String>,
    /// when the source made the change, milliseconds since 1970
    pub since: Option<i64>,
    pub added: Vec<Field>,
    pub changed: Vec<Changed>,
    /// declared fields that the row lacks
    pub gone: Vec<String>,
    /// the fields of the Kafka key, where they are not those of the job's key
    pub key: Option<Vec<String>>,
}

/// A field of the source; `source` is what the embedded schema says of it, where there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    pub source: Option<SourceField>,
}

/// A declared field whose values the column does not hold any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    pub field: String,
    /// the schema's words of before
    pub was: Option<String>,
    pub source: Option<SourceField>,
}

/// Declared field → the schema's words for it that were seen last.
pub type Sources = BTreeMap<String, String>;

/// What the fields of a schema are, by name.
pub(super) fn fields_of(schema: &Value) -> Vec<(String, SourceField)> {
    let fields = |of: &Value| -> Vec<Value> {
        let found = of.get("fields").and_then(Value::as_array);
        found.cloned().unwrap_or_default()
    };
    let named =
        |field: &Value, wanted: &str| field.get("field").and_then(Value::as_str) == Some(wanted);
    let envelope = fields(schema);
    let row = match envelope.iter().find(|field| named(field, "after")) {
        Some(image) => fields(image),
        None => return Vec::new(),
    };
    let name = |field: &Value| Some(field.get("field")?.as_str()?.to_owned());
    row.iter()
        .filter_map(|field| Some((name(field)?, described(field))))
        .collect()
}

/// Compares a schema with what was known of the source. Fields that still fit are learnt; those that do not are told.
pub(super) fn judge(
    plan: &Plan,
    sources: &mut Sources,
    fields: &[(String, SourceField)],
) -> Vec<Changed> {
    let mut changed = Vec::new();
    for (name, field) in fields {
        let Some(column) = plan.job.columns.iter().find(|c| c.source == *name) else {
            continue;
        };
        let was = sources.get(name);
        if was == Some(&field.spelled) {
            continue;
        }
        let became_optional = was.is_some_and(|was| !was.ends_with('?')) && field.optional;
        let needs_null = became_optional && !field.nested && !column.kind.is_nullable();
        if was.is_some() && (needs_null || !field.fits(column)) {
            changed.push(Changed {
                field: name.clone(),
                was: was.cloned(),
                source: Some(SourceField {
                    optional: needs_null,
                    ..field.clone()
                }),
            });
        } else {
            sources.insert(name.clone(), field.spelled.clone());
        }
    }
    changed
}

impl SourceField {
    /// Whether the column takes every value of the field as it is.
    pub fn fits(&self, column: &Column) -> bool {
        let kind = &column.kind;
        let is_text = kind.holds(&Type::String);
        let bytes = |encoding| encoding == Encoding::Base64;
        match self.kind {
            // every value is tried, and one that does not convert exactly is its message's own fault
            _ if column.cast && self.is_spelled() => true,
            Type::String if is_text => bytes(column.encoding) == bytes(self.encoding),
            // written as text, kept as that text
            Type::Uuid | Type::DateTime64 { .. } if is_text => self.encoding == Encoding::Plain,
            _ => kind.holds(&self.kind),
        }
    }
}

impl SourceField {
    /// Its values are texts, numbers or truths as they stand, which a cast reads.
    fn is_spelled(&self) -> bool {
        let integer = |kind: &Type| Type::Int64.holds(kind) || Type::UInt64.holds(kind);
        let spelled = match &self.kind {
            Type::String | Type::Bool | Type::Float32 | Type::Float64 => true,
            kind => integer(kind),
        };
        spelled && self.encoding == Encoding::Plain
    }
}

/// Nothing where the message itself is at fault.
pub(super) fn of(
    plan: &Plan,
    message: &Message<'_>,
    reject: &Reject,
    settled: &BTreeSet<String>,
) -> Option<Drift> {
    let envelope = parsed(message.value?)?;
    let fields = envelope.schema.as_ref().map(fields_of).unwrap_or_default();
    let source = |name: &str| {
        let found = fields.iter().find(|(field, _)| field == name);
        found.map(|(_, field)| field.clone())
    };
    let text = |name: &str| {
        let found = envelope.payload.get("source")?.get(name)?.as_str()?;
        Some(found.to_owned())
    };
    let mut drift = Drift {
        schema: text("schema").or_else(|| text("db")),
        table: text("table"),
        since: envelope
            .payload
            .get("source")
            .and_then(|source| source.get("ts_ms")?.as_i64()),
        ..Drift::default()
    };
    let after = envelope.payload.get("after").and_then(Value::as_object);
    match reject.reason {
        Reason::UnknownColumn => {
            let after = after?;
            let names = after.keys().filter(|name| !is_known(plan, name));
            drift.added = names
                .map(|name| Field {
                    name: name.clone(),
                    source: source(name),
                })
                .collect();
            drift.gone = gone(plan, after);
            (!drift.added.is_empty()).then_some(drift)
        }
        Reason::KeyMismatch | Reason::NullKey | Reason::MissingColumn => {
            drift.key = other_key(plan, message.key?);
            drift.key.is_some().then_some(drift)
        }
        Reason::OutOfRange | Reason::PrecisionLoss | Reason::BadValue => {
            let name = reject.column.as_deref()?;
            let column = plan.job.columns.iter().find(|c| c.source == name)?;
            // digits that are sent as text are told by the database alone
            let told = |field: &SourceField| field.kind != Type::String;
            let source = source(name).filter(told);
            let wider = match &source {
                Some(field) => column.kind.widened(&field.kind)? != column.kind,
                None => !settled.contains(name),
            };
            drift.changed.push(Changed {
                field: name.to_owned(),
                was: None,
                source: source.map(|field| SourceField {
                    optional: false,
                    ..field
                }),
            });
            wider.then_some(drift)
        }
        _ => None,
    }
}

fn is_known(plan: &Plan, name: &str) -> bool {
    plan.job.columns.iter().any(|column| column.source == name)
        || plan.job.exclude.iter().any(|field| field == name)
}

fn gone(plan: &Plan, after: &Map<String, Value>) -> Vec<String> {
    let columns = plan.job.columns.iter();
    columns
        .filter(|column| !after.contains_key(&column.source))
        .map(|column| column.source.clone())
        .collect()
}

/// The Kafka key's fields where they are not the job's.
fn other_key(plan: &Plan, key: &[u8]) -> Option<Vec<String>> {
    let envelope = parsed(key)?;
    let fields: Vec<String> = envelope.payload.keys().cloned().collect();
    let same = fields.len() == plan.job.key.len()
        && plan.job.key.iter().all(|field| fields.contains(field));
    (!same && !plan.job.key.is_empty() && !fields.is_empty()).then_some(fields)
}

pub(super) struct Parsed {
    pub(super) schema: Option<Value>,
    pub(super) payload: Map<String, Value>,
}

pub(super) fn parsed(bytes: &[u8]) -> Option<Parsed> {
    let Ok(Value::Object(mut whole)) = serde_json::from_slice(bytes) else {
        return None;
    };
    let wrapped = whole.contains_key("payload") && whole.contains_key("schema");
    if !wrapped {
        return Some(Parsed {
            schema: None,
            payload: whole,
        });
    }
    let schema = whole.remove("schema").filter(|schema| !schema.is_null());
    match whole.remove("payload") {
        Some(Value::Object(payload)) => Some(Parsed { schema, payload }),
        _ => None,
    }
}
