//! One INSERT's worth of rows.

use super::data::varint;
use super::{Data, Key, Type};

/// Columns of equal length, one row per key, sorted by key.
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    columns: Vec<(String, Type)>,
    data: Vec<Data>,
    rows: usize,
}

impl Block {
    pub(crate) fn new(columns: Vec<(String, Type)>, data: Vec<Data>, rows: usize) -> Block {
        Block {
            columns,
            data,
            rows,
        }
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    pub fn columns(&self) -> &[(String, Type)] {
        &self.columns
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        self.data.iter().map(Data::held).sum()
    }

    /// Place of a column.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|(column, _)| column == name)
    }

    /// A column's cells.
    pub(crate) fn data(&self, column: usize) -> Option<&Data> {
        self.data.get(column)
    }

    /// The key of a row, by the places of the key's columns.
    pub fn key(&self, row: usize, places: &[usize]) -> Key {
        let cell = |place: &usize| self.data.get(*place).and_then(|data| data.cell(row));
        Key(places
            .iter()
            .map(|place| cell(place).unwrap_or_default().into())
            .collect())
    }

    /// Gives each row its version and its partition, where the message's own are not those of the row.
    pub fn stamp(&mut self, stamps: &[(u64, i32)]) {
        debug_assert_eq!(stamps.len(), self.rows);
        let versions = stamps.iter().flat_map(|(version, _)| version.to_le_bytes());
        let partitions = stamps.iter().flat_map(|(_, at)| at.to_le_bytes());
        for (name, cells) in [
            ("_version", versions.collect::<Vec<u8>>()),
            ("_partition", partitions.collect()),
        ] {
            let place = self.place(name);
            if let Some(Data::Fixed { bytes, .. }) = place.and_then(|at| self.data.get_mut(at)) {
                *bytes = cells;
            }
        }
    }

    /// The rows that are kept.
    #[must_use]
    pub fn keep(&self, kept: impl Fn(usize) -> bool) -> Block {
        let order: Vec<u32> = (0..self.rows)
            .filter(|row| kept(*row))
            .map(|row| row as u32)
            .collect();
        let data = self.data.iter().map(|data| data.gather(&order)).collect();
        Block::new(self.columns.clone(), data, order.len())
    }

    /// Row `row` as one JSON object, for people.
    pub fn show(&self, row: usize) -> String {
        super::show::row(&self.columns, &self.data, row)
    }

    /// Appends one block in the layout of HTTP's `FORMAT Native` (no protocol revision):
    ///
    /// ```text
    /// columns, rows, then per column: name, type, cells
    /// ```
    ///
    /// A block without rows appends nothing. Declared low-cardinality columns travel as what they hold, documents as
    /// text; ClickHouse builds dictionaries and objects (`input_format_native_allow_types_conversion`, on by default).
    pub fn encode_native(&self, out: &mut Vec<u8>) {
        if self.rows == 0 {
            return;
        }
        varint(self.columns.len() as u64, out);
        varint(self.rows as u64, out);
        for ((name, declared), data) in self.columns.iter().zip(&self.data) {
            let kind = match data {
                Data::Same { .. } => declared.clone(),
                _ => sent(declared),
            };
            for text in [name.as_str(), &kind.to_string()] {
                varint(text.len() as u64, out);
                out.extend_from_slice(text.as_bytes());
            }
            match holds_documents(declared) {
                true => documents(data, out),
                false => data.encode(out),
            }
        }
    }

    /// Two halves, for a server that has not the memory for the whole.
    pub fn split(self) -> (Block, Block) {
        let middle = self.rows / 2;
        let part = |rows: std::ops::Range<usize>| {
            let order: Vec<u32> = rows.map(|row| row as u32).collect();
            let data = self.data.iter().map(|data| data.gather(&order)).collect();
            Block::new(self.columns.clone(), data, order.len())
        };
        (part(0..middle), part(middle..self.rows))
    }
}

/// The type as it is announced in the block.
fn sent(kind: &Type) -> Type {
    match kind {
        Type::LowCardinality(inner) => sent(inner),
        Type::Json => Type::String,
        Type::Nullable(inner) => Type::Nullable(Box::new(sent(inner))),
        Type::Array(inner) => Type::Array(Box::new(sent(inner))),
        other => other.clone(),
    }
}

fn holds_documents(kind: &Type) -> bool {
    match kind {
        Type::Nullable(inner) => holds_documents(inner),
        kind => *kind == Type::Json,
    }
}

/// The cells of a `JSON` column; where there is none, the empty object, because an empty text is no document.
fn documents(data: &Data, out: &mut Vec<u8>) {
    match data {
        Data::Nullable { nulls, inner } => {
            out.extend_from_slice(nulls);
            documents(inner, out);
        }
        data => {
            for row in 0..data.len() {
                let text = data.cell(row).filter(|text| !text.is_empty());
                let text = text.unwrap_or(b"{}");
                varint(text.len() as u64, out);
                out.extend_from_slice(text);
            }
        }
    }
}
