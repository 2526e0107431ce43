//! Rows as a silver table holds them, by key: checksums of key ranges, hashes of rows, versions of keys.
//!
//! ClickHouse hashes each row's RowBinary, which [`crate::column`] makes of its own cells too, so that both sides of a
//! comparison are the same bytes or they are not equal.
//!
//! | file | what it holds |
//! |---|---|
//! | `bound` | keys as conditions |
//! | `hash` | cells and columns as ClickHouse hashes them |
//! | `insert` | rows whose versions are fixed, sent until they are there |

mod bound;
mod hash;
mod insert;

use std::collections::HashMap;

use clickhouse::Row;
use serde::Deserialize;
use serde_bytes::ByteBuf;

use super::clickhouse::{ClickHouse, quote};
use super::recall::{MOST_KEYS, keys_of};
use crate::column::{Block, Key, KeyColumns};
use crate::error::Result;
use bound::{beyond, tuple};
use hash::{cell, expression, hash, sip};

pub use hash::null_hash;
pub use insert::insert;

/// Columns that are compared, of a table and of blocks that are held against it.
pub struct Stored<'a> {
    clickhouse: &'a ClickHouse,
    table: String,
    key: &'a KeyColumns,
    columns: Vec<Compared>,
}

#[derive(Clone, Debug)]
pub struct Compared {
    pub name: String,
    /// a decimal kept as text: equal as a number, whatever zeros stand at its end
    pub is_digits: bool,
    pub is_array: bool,
}

/// Which keys are meant.
#[derive(Clone, Copy)]
pub enum Span<'a> {
    /// above `after`, up to and with `to`; none: without a bound
    Range {
        after: Option<&'a Key>,
        to: Option<&'a Key>,
    },
    Keys(&'a [Key]),
}

/// A row by its hashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashes {
    pub row: u64,
    /// of each compared column
    pub columns: Vec<u64>,
}

#[derive(Row, Deserialize)]
struct Summed {
    rows: u64,
    sum: u64,
}

#[derive(Row, Deserialize)]
struct Hashed {
    key: Vec<ByteBuf>,
    row: u64,
    columns: Vec<u64>,
}

#[derive(Row, Deserialize)]
struct Version {
    key: Vec<ByteBuf>,
    partition: i32,
    version: u64,
    deleted: u8,
}

/// The newest row of a key, deleted ones included.
#[derive(Clone, Copy, Debug)]
pub struct Newest {
    pub partition: i32,
    pub version: u64,
    pub deleted: bool,
}

impl<'a> Stored<'a> {
    /// `table` is quoted already.
    pub fn new(
        clickhouse: &'a ClickHouse,
        table: String,
        key: &'a KeyColumns,
        columns: Vec<Compared>,
    ) -> Stored<'a> {
        Stored {
            clickhouse,
            table,
            key,
            columns,
        }
    }

    pub fn columns(&self) -> &[Compared] {
        &self.columns
    }

    /// Rows that a reader sees, and the sum of their hashes.
    pub async fn sum(&self, span: Span<'_>) -> Result<(u64, u64)> {
        let sql = format!(
            "SELECT count() AS rows, sum({}) AS sum FROM {} FINAL WHERE _deleted = 0 AND {}",
            self.row_hash(),
            self.table,
            self.condition(span)
        );
        let summed: Summed = self.clickhouse.one(&sql).await?;
        Ok((summed.rows, summed.sum))
    }

    /// The rows that a reader sees, at most so many.
    pub async fn hashes(&self, span: Span<'_>, most: usize) -> Result<Vec<(Key, Hashes)>> {
        let columns: Vec<String> = self
            .columns
            .iter()
            .map(|column| hash(&expression(column)))
            .collect();
        let sql = format!(
            "SELECT {} AS key, {} AS row, [{}] AS columns FROM {} FINAL WHERE _deleted = 0 AND {} LIMIT {most}",
            self.key_bytes(),
            self.row_hash(),
            columns.join(", "),
            self.table,
            self.condition(span)
        );
        let rows = self.clickhouse.all_long::<Hashed>(&sql).await?;
        let hashed = |row: Hashed| {
            let hashes = Hashes {
                row: row.row,
                columns: row.columns,
            };
            (self.key_of(row.key), hashes)
        };
        Ok(rows.into_iter().map(hashed).collect())
    }

    /// The newest row of each key, those included that readers do not see.
    pub async fn newest(&self, span: Span<'_>) -> Result<Vec<(Key, Newest)>> {
        self.newest_of(span, None).await
    }

    /// The same of the first so many keys, in the order of the table.
    pub async fn first_newest(&self, span: Span<'_>, most: usize) -> Result<Vec<(Key, Newest)>> {
        self.newest_of(span, Some(most)).await
    }

    async fn newest_of(&self, span: Span<'_>, most: Option<usize>) -> Result<Vec<(Key, Newest)>> {
        let names: Vec<String> = self.key.iter().map(|(name, _)| quote(name)).collect();
        let names = names.join(", ");
        let page = most.map_or_else(String::new, |most| {
            format!(" ORDER BY {names} LIMIT {most} SETTINGS optimize_aggregation_in_order = 1")
        });
        let sql = format!(
            "{} WHERE {} GROUP BY {names}{page}",
            self.select_newest(),
            self.condition(span),
        );
        let rows = self.clickhouse.all_long::<Version>(&sql).await?;
        Ok(rows.into_iter().map(|row| self.newest_row(row)).collect())
    }

    fn select_newest(&self) -> String {
        format!(
            "SELECT {} AS key, argMax(_partition, _version) AS partition, max(_version) AS version, \
             argMax(_deleted, _version) AS deleted FROM {}",
            self.key_bytes(),
            self.table
        )
    }

    fn newest_row(&self, row: Version) -> (Key, Newest) {
        let newest = Newest {
            partition: row.partition,
            version: row.version,
            deleted: row.deleted == 1,
        };
        (self.key_of(row.key), newest)
    }

    /// The same of the keys of a block's rows, wherever in the table they lie.
    pub async fn newest_of_rows(
        &self,
        block: &Block,
        places: &[usize],
    ) -> Result<HashMap<Key, Newest>> {
        let names: Vec<String> = self.key.iter().map(|(name, _)| quote(name)).collect();
        let names = names.join(", ");
        let mut found = HashMap::new();
        for from in (0..block.rows()).step_by(MOST_KEYS) {
            let rows = from..(from + MOST_KEYS).min(block.rows());
            let sql = format!(
                "{} WHERE ({names}) IN ({}) GROUP BY {names}",
                self.select_newest(),
                keys_of(block, rows, places)
            );
            let rows = self.clickhouse.all_long::<Version>(&sql).await?;
            found.extend(rows.into_iter().map(|row| self.newest_row(row)));
        }
        Ok(found)
    }

    /// Copies what there is of some keys, deleted rows included, into another table.
    pub async fn copy_versions(&self, to: &str, columns: &str, keys: &[Key]) -> Result<()> {
        let rest = format!(
            "FROM {} WHERE {}",
            self.table,
            self.condition(Span::Keys(keys))
        );
        self.clickhouse.copy(to, columns, &rest).await
    }

    fn row_hash(&self) -> String {
        let columns: Vec<String> = self.columns.iter().map(expression).collect();
        hash(&columns.join(", "))
    }

    fn key_bytes(&self) -> String {
        let parts: Vec<String> = self
            .key
            .iter()
            .map(|(name, _)| format!("formatRow('RowBinary', {})", quote(name)))
            .collect();
        format!("[{}]", parts.join(", "))
    }

    /// From RowBinary to a cell's own bytes: text loses its length.
    fn key_of(&self, parts: Vec<ByteBuf>) -> Key {
        let cells = self.key.iter().zip(parts).map(|((_, kind), part)| {
            let bytes = part.into_vec();
            match kind.is_text() {
                true => {
                    let length = bytes.iter().take_while(|byte| **byte >= 0x80).count() + 1;
                    bytes.get(length..).unwrap_or_default().into()
                }
                false => bytes.into(),
            }
        });
        Key(cells.collect())
    }

    fn condition(&self, span: Span<'_>) -> String {
        let names: Vec<String> = self.key.iter().map(|(name, _)| quote(name)).collect();
        match span {
            Span::Keys(keys) => {
                let tuples: Vec<String> = keys
                    .iter()
                    .map(|key| tuple(&self.key.literals(key)))
                    .collect();
                if tuples.is_empty() {
                    return "0".to_owned();
                }
                format!("{} IN ({})", tuple(&names), tuples.join(", "))
            }
            Span::Range { after, to } => {
                let after = after.map(|key| beyond(&names, &self.key.literals(key), ">", ">"));
                let to = to.map(|key| beyond(&names, &self.key.literals(key), "<", "<="));
                let bounds: Vec<String> = [after, to].into_iter().flatten().collect();
                if bounds.is_empty() {
                    "1".to_owned()
                } else {
                    bounds.join(" AND ")
                }
            }
        }
    }

    /// The same hash of a block's row.
    pub fn hash_row(
        &self,
        block: &Block,
        row: usize,
        places: &[usize],
        scratch: &mut Vec<u8>,
    ) -> u64 {
        scratch.clear();
        for (column, place) in self.columns.iter().zip(places) {
            cell(column, block, row, *place, scratch);
        }
        sip(scratch)
    }

    /// The same hashes of each column.
    pub fn hash_columns(&self, block: &Block, row: usize, places: &[usize]) -> Vec<u64> {
        let mut scratch = Vec::new();
        let hash = |(column, place): (&Compared, &usize)| {
            scratch.clear();
            cell(column, block, row, *place, &mut scratch);
            sip(&scratch)
        };
        self.columns.iter().zip(places).map(hash).collect()
    }

    /// Where the compared columns stand in a block.
    pub fn places(&self, block: &Block) -> Vec<usize> {
        self.columns
            .iter()
            .filter_map(|column| block.place(&column.name))
            .collect()
    }
}
