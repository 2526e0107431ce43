//! What the parts of a silver job ask of each other.

use crate::column::Type;
use crate::document::{Located, Section};
use crate::fault::suggestion;

use super::{Column, DeletePolicy, Extra, Format, Mask, Policies, Shape, ToastPolicy};

/// Every silver table has these, after the columns of its job.
pub const SYSTEM_COLUMNS: [(&str, &str); 7] = [
    ("_version", "UInt64"),
    ("_deleted", "UInt8"),
    ("_topic", "LowCardinality(String)"),
    ("_partition", "Int32"),
    ("_lsn", "Nullable(Int64)"),
    ("_tx_id", "Nullable(Int64)"),
    ("_source_time", "Nullable(DateTime64(3, 'UTC'))"),
];

pub(super) fn names(root: &Section<'_>, columns: &[Located<Column>], extras: &[Located<Extra>]) {
    let columns = columns
        .iter()
        .map(|column| (column.value.name.as_str(), column.line));
    let extras = extras
        .iter()
        .map(|extra| (extra.value.name.as_str(), extra.line));
    let names: Vec<(&str, usize)> = columns.chain(extras).collect();
    for (index, (name, line)) in names.iter().enumerate() {
        if SYSTEM_COLUMNS.iter().any(|(system, _)| system == name) {
            let message = format!("column `{name}` collides with bullion's own: give it a `name`");
            root.fault(*line, message);
        }
        let mut before = names.iter().take(index);
        if before.any(|(other, _)| other == name) {
            root.fault(*line, format!("two columns are named `{name}`"));
        }
    }
}

pub(super) fn key(root: &Section<'_>, key: &[Located<String>], columns: &[Located<Column>]) {
    for field in key {
        let found = columns
            .iter()
            .find(|column| column.value.source == field.value);
        let Some(column) = found else {
            let near = suggestion(
                &field.value,
                columns.iter().map(|column| column.value.source.as_str()),
            );
            let message = format!("key field `{}` is not in [columns]{near}", field.value);
            root.fault(field.line, message);
            continue;
        };
        let kind = &column.value.kind;
        if kind.is_nullable()
            || matches!(
                kind,
                Type::Array(_) | Type::Json | Type::Float32 | Type::Float64
            )
        {
            let message = format!("key field `{}` cannot be a {kind}", field.value);
            root.fault(column.line, message);
        }
        if matches!(column.value.mask, Some(Mask::Null | Mask::Last(_))) {
            let message = format!(
                "key field `{}` can be masked by a hash only: rows must stay apart",
                field.value
            );
            root.fault(column.line, message);
        }
    }
}

/// What is kept is found by the row's key, and by the deletes that changes of key leave behind.
pub(super) fn kept(
    root: &Section<'_>,
    key: &[Located<String>],
    columns: &[Located<Column>],
    policies: Policies,
) {
    let mut keeping = columns
        .iter()
        .filter(|column| column.value.toast == ToastPolicy::Keep);
    let Some(first) = keeping.next() else {
        return;
    };
    let why = if key.is_empty() {
        "needs a `key`: nothing else says which row came before"
    } else if policies.delete == DeletePolicy::Ignore {
        "needs `delete = \"delete\"`: what a change of key leaves alone is found at the deleted row"
    } else {
        return;
    };
    root.fault(first.line, format!("`toast = \"keep\"` {why}"));
}

pub(super) fn tables(root: &Section<'_>, tables: &[Located<String>], format: Format) {
    for table in tables {
        if !table.value.contains('.') {
            let message = format!("`{}`: a table is written schema.table", table.value);
            root.fault(table.line, message);
        }
        if format.shape != Shape::Envelope {
            let message =
                "only Debezium's envelope says of which table a change is: leave `table` out";
            root.fault(table.line, message);
        }
    }
}

pub(super) fn exclude(
    root: &Section<'_>,
    exclude: &[Located<String>],
    columns: &[Located<Column>],
) {
    for field in exclude {
        if columns
            .iter()
            .any(|column| column.value.source == field.value)
        {
            let message = format!("`{}` is both in [columns] and in `exclude`", field.value);
            root.fault(field.line, message);
        }
    }
}

pub(super) fn immutable(
    root: &Section<'_>,
    immutable: &[Located<String>],
    columns: &[Located<Column>],
) {
    let names = || columns.iter().map(|column| column.value.name.as_str());
    for wanted in immutable {
        if !names().any(|name| name == wanted.value) {
            let near = suggestion(&wanted.value, names());
            let message = format!("immutable `{}` is no column{near}", wanted.value);
            root.fault(wanted.line, message);
        }
    }
}

pub(super) fn time_column(
    root: &Section<'_>,
    wanted: &Located<String>,
    columns: &[Located<Column>],
) {
    let names = columns.iter().map(|column| column.value.name.as_str());
    match columns
        .iter()
        .find(|column| column.value.name == wanted.value)
    {
        None => {
            let near = suggestion(&wanted.value, names);
            let message = format!("time_column `{}` is no column{near}", wanted.value);
            root.fault(wanted.line, message);
        }
        Some(column) => {
            let inner = match &column.value.kind {
                Type::Nullable(inner) => inner,
                kind => kind,
            };
            if !matches!(
                inner,
                Type::Date | Type::Date32 | Type::DateTime { .. } | Type::DateTime64 { .. }
            ) {
                let message = format!("time_column `{}` is a {inner}, no time", wanted.value);
                root.fault(wanted.line, message);
            }
        }
    }
}
