//! Single cells outside of an insert: as RowBinary for checksums, as text for people, as literals for a query.

use std::fmt::Write as _;

use super::data::{span, varint};
use super::{Data, Type, show};
use crate::job::SilverJob;

/// The values that identify a row, in the order of the table's ORDER BY: each cell's own bytes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub Vec<Box<[u8]>>);

/// How the columns of a job's key are read back from their bytes.
#[derive(Clone, Debug)]
pub struct KeyColumns(Vec<(String, Type)>);

impl KeyColumns {
    pub fn of(job: &SilverJob) -> KeyColumns {
        let column = |field: &String| {
            let found = job.columns.iter().find(|column| column.source == *field)?;
            Some((found.name.clone(), found.kind.clone()))
        };
        KeyColumns(job.key.iter().filter_map(column).collect())
    }

    pub fn iter(&self) -> impl Iterator<Item = &(String, Type)> {
        self.0.iter()
    }

    /// `region = eu, id = 7`: what a person needs to look the row up.
    pub fn show(&self, key: &Key) -> String {
        let parts: Vec<String> = self
            .0
            .iter()
            .zip(self.texts(key))
            .map(|((name, _), text)| format!("{name} = {text}"))
            .collect();
        parts.join(", ")
    }

    /// Each value as text; bytes that are no text as `\x…`, as PostgreSQL writes them.
    pub fn texts(&self, key: &Key) -> Vec<String> {
        let cells = self.0.iter().zip(&key.0);
        cells.map(|((_, kind), bytes)| text(kind, bytes)).collect()
    }

    /// Each value as an expression that ClickHouse folds to it, whatever bytes it holds.
    pub fn literals(&self, key: &Key) -> Vec<String> {
        let cells = self.0.iter().zip(&key.0);
        cells
            .map(|((_, kind), bytes)| literal(kind, bytes))
            .collect()
    }
}

fn text(kind: &Type, bytes: &[u8]) -> String {
    match (kind, std::str::from_utf8(bytes)) {
        (Type::String | Type::LowCardinality(_), Ok(text)) => text.to_owned(),
        (Type::String | Type::LowCardinality(_), Err(_)) => format!("\\x{}", hex(bytes)),
        _ => match show::cell_of(kind, bytes) {
            serde_json::Value::String(text) => text,
            other => other.to_string(),
        },
    }
}

fn literal(kind: &Type, bytes: &[u8]) -> String {
    let spelled = kind.to_string().replace('\'', "\\'");
    match kind {
        Type::String | Type::LowCardinality(_) => format!("unhex('{}')", hex(bytes)),
        Type::DateTime64 { .. } => {
            let ticks = i64::from_le_bytes(bytes.try_into().unwrap_or_default());
            format!("reinterpret(CAST('{ticks}' AS Int64), '{spelled}')")
        }
        Type::DateTime { .. } => {
            let seconds = u32::from_le_bytes(bytes.try_into().unwrap_or_default());
            format!("CAST(CAST('{seconds}' AS UInt32), '{spelled}')")
        }
        _ => format!("CAST('{}', '{spelled}')", text(kind, bytes)),
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // writing to a String cannot fail
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl Data {
    /// One cell in ClickHouse's RowBinary, as `formatRow('RowBinary', …)` gives it.
    pub(crate) fn row_binary(&self, row: usize, out: &mut Vec<u8>) {
        match self {
            Data::Fixed { .. } => out.extend_from_slice(self.cell(row).unwrap_or_default()),
            Data::Text { .. } | Data::Same { .. } => {
                let text = self.cell(row).unwrap_or_default();
                varint(text.len() as u64, out);
                out.extend_from_slice(text);
            }
            Data::Nullable { nulls, inner } => match nulls.get(row) {
                Some(0) => {
                    out.push(0);
                    inner.row_binary(row, out);
                }
                _ => out.push(1),
            },
            Data::Array { ends, inner } => {
                let elements = span(ends, row);
                varint(elements.len() as u64, out);
                for element in elements {
                    inner.row_binary(element, out);
                }
            }
        }
    }

    /// Appends a cell's own bytes, as [`Data::cell`] gave them.
    pub(super) fn put_cell(&mut self, cell: &[u8]) {
        match self {
            Data::Fixed { width, bytes } => {
                bytes.extend(
                    cell.iter()
                        .copied()
                        .chain(std::iter::repeat(0))
                        .take(*width),
                );
            }
            _ => self.put_text(cell),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(kinds: &[&str]) -> KeyColumns {
        let column = |kind: &&str| ((*kind).to_owned(), Type::parse(kind).unwrap());
        KeyColumns(kinds.iter().map(column).collect())
    }

    #[test]
    fn a_key_is_told_as_text_and_asked_for_as_a_literal_that_cannot_leave_its_quotes() {
        let columns = columns(&["Int64", "String", "DateTime64(6, 'UTC')", "String"]);
        let key = Key(vec![
            Box::from((-7_i64).to_le_bytes()),
            Box::from(*b"o'); DROP"),
            Box::from(1_500_000_i64.to_le_bytes()),
            Box::from([0xff, 0x00]),
        ]);
        assert_eq!(
            columns.texts(&key),
            ["-7", "o'); DROP", "1970-01-01T00:00:01.500000Z", "\\xff00"]
        );
        assert_eq!(
            columns.literals(&key),
            [
                "CAST('-7', 'Int64')",
                "unhex('6f27293b2044524f50')",
                "reinterpret(CAST('1500000' AS Int64), 'DateTime64(6, \\'UTC\\')')",
                "unhex('ff00')"
            ]
        );
    }
}
