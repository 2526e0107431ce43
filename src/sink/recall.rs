//! What silver and the dead letters hold of some keys, for rows that lean on the state before them.
//!
//! Keys travel as one Native block, spelled in hexadecimal by us: nothing of a message becomes SQL.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::ops::Range;

use super::clickhouse::{ClickHouse, literal, quote};
use crate::column::{Block, Data, Type, key_bytes, read_native};
use crate::error::{Error, Kind, Result};

/// Keys of one question: a few hundred KB of hexadecimal, and a set that ClickHouse looks up by its primary index.
pub(super) const MOST_KEYS: usize = 5_000;

/// One version of a key's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) version: u64,
    pub(crate) deleted: bool,
    pub(crate) lsn: Option<i64>,
    pub(crate) tx_id: Option<i64>,
    /// of the columns that were asked about
    pub(crate) bytes: u64,
}

/// A key: its bytes to compare by, and its cells.
pub(crate) type Key = (Vec<u8>, Vec<Data>);

/// Where to look.
pub(crate) struct Place<'a> {
    pub(crate) clickhouse: &'a ClickHouse,
    /// quoted
    pub(crate) table: &'a str,
    pub(crate) key: &'a [(String, Type)],
}

impl Place<'_> {
    /// Every version that is still there of each key, and how large these columns are in it.
    pub(crate) async fn versions(
        &self,
        keys: &[Key],
        columns: &[String],
    ) -> Result<HashMap<Vec<u8>, Vec<Stored>>> {
        let sized: Vec<String> = columns.iter().map(|name| quote(name)).collect();
        let sized = match sized.is_empty() {
            true => "toUInt64(0)".to_owned(),
            false => format!("byteSize({})", sized.join(", ")),
        };
        let mut found: HashMap<Vec<u8>, Vec<Stored>> = HashMap::new();
        for some in keys.chunks(MOST_KEYS) {
            let cells: Vec<&[Data]> = some.iter().map(|(_, cells)| cells.as_slice()).collect();
            let sql = format!(
                "SELECT {}, _version, _deleted, _lsn, _tx_id, {sized} FROM {} WHERE ({}) IN ({})",
                self.selected(self.key),
                self.table,
                self.names(),
                asked(self.key, &cells, None)
            );
            let mut kinds: Vec<Type> = self.key.iter().map(|(_, kind)| plain(kind)).collect();
            let long = || Type::Nullable(Box::new(Type::Int64));
            kinds.extend([Type::UInt64, Type::UInt8, long(), long(), Type::UInt64]);
            let data = self.read(&sql, &kinds).await?;
            let Some((key, [version, deleted, lsn, tx_id, bytes])) = data.split_last_chunk() else {
                continue;
            };
            for row in 0..version.len() {
                let stored = Stored {
                    version: number(version, row).unwrap_or_default(),
                    deleted: deleted.cell(row) == Some(&[1]),
                    lsn: number(lsn, row).map(u64::cast_signed),
                    tx_id: number(tx_id, row).map(u64::cast_signed),
                    bytes: number(bytes, row).unwrap_or_default(),
                };
                found.entry(key_bytes(key, row)).or_default().push(stored);
            }
        }
        Ok(found)
    }

    /// The cells of these columns in rows of exactly these keys and versions; a row that a merge has taken is missing.
    pub(crate) async fn values(
        &self,
        rows: &[(Key, u64)],
        columns: &[(String, Type)],
    ) -> Result<(HashMap<(Vec<u8>, u64), u32>, Vec<Data>)> {
        let cells: Vec<&[Data]> = rows
            .iter()
            .map(|((_, cells), _)| cells.as_slice())
            .collect();
        let versions: Vec<u64> = rows.iter().map(|(_, version)| *version).collect();
        let sql = format!(
            "SELECT {}, _version, {} FROM {} WHERE ({}, _version) IN ({})",
            self.selected(self.key),
            cast(columns),
            self.table,
            self.names(),
            asked(self.key, &cells, Some(&versions))
        );
        let mut kinds: Vec<Type> = self.key.iter().map(|(_, kind)| plain(kind)).collect();
        kinds.push(Type::UInt64);
        kinds.extend(columns.iter().map(|(_, kind)| plain(kind)));
        let mut data = self.read(&sql, &kinds).await?;
        let values = data.split_off(self.key.len() + 1);
        let mut places = HashMap::new();
        if let Some((version, key)) = data.split_last() {
            for row in 0..version.len() {
                let version = number(version, row).unwrap_or_default();
                places.insert((key_bytes(key, row), version), row as u32);
            }
        }
        Ok((places, values))
    }

    /// Copies what messages have made of these keys into another table. Its name and its columns are quoted.
    pub(crate) async fn copy_to(&self, table: &str, columns: &str, keys: &[Key]) -> Result<()> {
        for some in keys.chunks(MOST_KEYS) {
            let cells: Vec<&[Data]> = some.iter().map(|(_, cells)| cells.as_slice()).collect();
            let rest = format!(
                "FROM {} WHERE bitAnd(_version, 255) = 0 AND ({}) IN ({})",
                self.table,
                self.names(),
                asked(self.key, &cells, None)
            );
            self.clickhouse.copy(table, columns, &rest).await?;
        }
        Ok(())
    }

    pub(super) fn names(&self) -> String {
        let names: Vec<String> = self.key.iter().map(|(name, _)| quote(name)).collect();
        names.join(", ")
    }

    pub(super) fn selected(&self, columns: &[(String, Type)]) -> String {
        let spelled = |(name, kind): &(String, Type)| match plain(kind) {
            same if same == *kind => quote(name),
            plain => format!("CAST({} AS {plain})", quote(name)),
        };
        let spelled: Vec<String> = columns.iter().map(spelled).collect();
        spelled.join(", ")
    }

    pub(super) async fn read(&self, sql: &str, kinds: &[Type]) -> Result<Vec<Data>> {
        let answer = self.clickhouse.native(sql).await?;
        read_native(&answer, kinds).ok_or_else(|| {
            let message = format!(
                "clickhouse answered in other columns than asked of {}",
                self.table
            );
            Error::new(Kind::Mismatch, message)
        })
    }
}

/// These columns in these types: another process may have widened one a moment ago.
fn cast(columns: &[(String, Type)]) -> String {
    let cast = |(name, kind): &(String, Type)| format!("CAST({} AS {})", quote(name), plain(kind));
    columns.iter().map(cast).collect::<Vec<_>>().join(", ")
}

/// Versions of the dead letters of these Kafka keys.
pub(crate) async fn dead_letters(
    clickhouse: &ClickHouse,
    ops: &str,
    topic: &str,
    keys: &[Vec<u8>],
) -> Result<HashMap<Vec<u8>, Vec<u64>>> {
    let mut found: HashMap<Vec<u8>, Vec<u64>> = HashMap::new();
    let column = [("key".to_owned(), Type::String)];
    for some in keys.chunks(MOST_KEYS) {
        let cells: Vec<Vec<Data>> = some
            .iter()
            .map(|key| {
                let mut data = Data::new(&Type::String);
                data.put_text(key);
                vec![data]
            })
            .collect();
        let cells: Vec<&[Data]> = cells.iter().map(Vec::as_slice).collect();
        let sql = format!(
            "SELECT assumeNotNull(key), version FROM {}.dead_letters WHERE topic = {} AND key IN ({})",
            quote(ops),
            literal(topic),
            asked(&column, &cells, None)
        );
        let answer = clickhouse.native(&sql).await?;
        let data = read_native(&answer, &[Type::String, Type::UInt64]).unwrap_or_default();
        if let [key, version] = data.as_slice() {
            for row in 0..version.len() {
                let key = key.cell(row).unwrap_or_default().to_vec();
                let version = number(version, row).unwrap_or_default();
                found.entry(key).or_default().push(version);
            }
        }
    }
    Ok(found)
}

/// `SELECT * FROM format(Native, unhex('…'))`: these keys, with a version each where there are some.
fn asked(key: &[(String, Type)], cells: &[&[Data]], versions: Option<&[u64]>) -> String {
    let mut columns: Vec<(String, Type)> = key
        .iter()
        .map(|(name, kind)| (name.clone(), plain(kind)))
        .collect();
    let mut data: Vec<Data> = columns.iter().map(|(_, kind)| Data::new(kind)).collect();
    for key in cells {
        for (column, cell) in data.iter_mut().zip(*key) {
            column.append(cell);
        }
    }
    if let Some(versions) = versions {
        columns.push(("_version".to_owned(), Type::UInt64));
        let mut column = Data::new(&Type::UInt64);
        versions
            .iter()
            .for_each(|version| column.put(version.to_le_bytes()));
        data.push(column);
    }
    inlined(&Block::new(columns, data, cells.len()))
}

/// The keys of these rows of a block, by the places of the key's columns.
pub(super) fn keys_of(block: &Block, rows: Range<usize>, places: &[usize]) -> String {
    let order: Vec<u32> = rows.map(|row| row as u32).collect();
    let column = |place: &usize| {
        let (name, kind) = block.columns().get(*place)?;
        let data = block.data(*place)?.gather(&order);
        Some(((name.clone(), plain(kind)), data))
    };
    let (columns, data) = places.iter().filter_map(column).unzip();
    inlined(&Block::new(columns, data, order.len()))
}

/// `SELECT * FROM format(Native, unhex('…'))`: the rows of a block.
pub(super) fn inlined(block: &Block) -> String {
    let mut bytes = Vec::new();
    block.encode_native(&mut bytes);
    let mut sql = String::with_capacity(2 * bytes.len() + 64);
    sql.push_str("SELECT * FROM format(Native, unhex('");
    for byte in bytes {
        // writing to a String cannot fail
        let _ = write!(sql, "{byte:02x}");
    }
    sql.push_str("'))");
    sql
}

/// Without its dictionary: how cells are held here.
pub(super) fn plain(kind: &Type) -> Type {
    match kind {
        Type::LowCardinality(inner) => plain(inner),
        Type::Array(inner) => Type::Array(Box::new(plain(inner))),
        other => other.clone(),
    }
}

pub(super) fn number(data: &Data, row: usize) -> Option<u64> {
    Some(u64::from_le_bytes(data.cell(row)?.try_into().ok()?))
}
