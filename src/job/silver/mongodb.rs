//! What only a job of MongoDB's documents may say, and must.

use super::{Column, Encoding, Shape};
use crate::document::{Located, Section};

/// The source of a column that holds the whole document; a field of this name has no other way into a column.
pub const WHOLE_DOCUMENT: &str = "$";
/// Every document has it, and the Kafka key is its value.
const ID: &str = "_id";

/// An update without the document as it then was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupMiss {
    /// the connector may send changes only (`capture.mode=change_streams`): leaving one out would leave silver behind
    Reject,
    /// the connector looks documents up (`change_streams_update_full`), and this one was gone: its delete follows
    Skip,
}

pub(super) const LOOKUP_MISSES: [(&str, LookupMiss); 2] =
    [("reject", LookupMiss::Reject), ("skip", LookupMiss::Skip)];

/// `path`, and `from` words of ids, mean nothing elsewhere.
pub(super) fn check_column(
    table: &Section<'_>,
    shape: Shape,
    path: Option<&Located<String>>,
    encoding: Encoding,
) {
    if shape == Shape::Mongodb {
        return;
    }
    if let Some(path) = path {
        table.fault(path.line, "`path` is for documents: formats of mongodb");
    }
    if matches!(encoding, Encoding::ObjectId | Encoding::Text) {
        let message = format!(
            "`from = \"{}\"` is for formats of mongodb",
            encoding.as_str()
        );
        table.fault(table.line(), message);
    }
}

pub(super) fn check(
    root: &Section<'_>,
    shape: Shape,
    key: &[Located<String>],
    columns: &[Located<Column>],
) {
    if shape != Shape::Mongodb {
        return;
    }
    if key.len() != 1 || key.iter().any(|field| field.value != ID) {
        let line = key.first().map_or(0, |field| field.line);
        root.fault(line, "the key of MongoDB's documents is `key = [\"_id\"]`");
    }
    for (index, column) in columns.iter().enumerate() {
        let Column { source, kind, .. } = &column.value;
        let same = |other: &&Located<Column>| other.value.source == *source;
        if columns.iter().take(index).find(same).is_some() {
            let message = format!("two columns are made of the document's `{source}`");
            root.fault(column.line, message);
        }
        let holds = matches!(
            kind,
            crate::column::Type::String | crate::column::Type::Json
        );
        if source == WHOLE_DOCUMENT && !holds {
            let message = format!("the whole document is a JSON or a String, no {kind}");
            root.fault(column.line, message);
        }
    }
}
