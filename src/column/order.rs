//! Which rows a block keeps, and in which order: the newest of each key, sorted as ClickHouse sorts them.

use std::cmp::Ordering;

use super::{Data, Type};

/// One column of the table's ORDER BY.
pub(super) struct Key<'a> {
    data: &'a Data,
    like: Like,
}

#[derive(Clone, Copy, PartialEq)]
enum Like {
    Signed,
    /// also UUIDs: ClickHouse compares them as one little-endian number, its second half first
    Unsigned,
    Text,
}

impl<'a> Key<'a> {
    pub(super) fn new(kind: &Type, data: &'a Data) -> Key<'a> {
        let like = match kind {
            Type::String | Type::LowCardinality(_) => Like::Text,
            Type::Bool | Type::Uuid | Type::Date | Type::DateTime { .. } => Like::Unsigned,
            Type::UInt8 | Type::UInt16 | Type::UInt32 | Type::UInt64 => Like::Unsigned,
            _ => Like::Signed,
        };
        Key { data, like }
    }

    /// Whether the prefix is the whole value.
    fn is_short(&self) -> bool {
        matches!(self.data, Data::Fixed { width, .. } if *width <= size_of::<u64>())
    }

    /// The value's highest eight bytes, as a number that sorts like the value.
    #[inline]
    fn prefix(&self, row: usize) -> u64 {
        let cell = self.data.cell(row).unwrap_or_default();
        let mut high = [0; 8];
        match self.like {
            Like::Text => {
                for (to, from) in high.iter_mut().zip(cell) {
                    *to = *from;
                }
                u64::from_be_bytes(high)
            }
            like => {
                for (to, from) in high.iter_mut().rev().zip(cell.iter().rev()) {
                    *to = *from;
                }
                let sign = if like == Like::Signed { 1 << 63 } else { 0 };
                u64::from_le_bytes(high) ^ sign
            }
        }
    }

    fn compare(&self, a: usize, b: usize) -> Ordering {
        let (a_cell, b_cell) = (self.data.cell(a), self.data.cell(b));
        match self.like {
            Like::Text => a_cell.cmp(&b_cell),
            _ => self.prefix(a).cmp(&self.prefix(b)).then_with(|| {
                let high_first = |cell: Option<&'a [u8]>| cell.map(|cell| cell.iter().rev());
                match (high_first(a_cell), high_first(b_cell)) {
                    (Some(a), Some(b)) => a.cmp(b),
                    (a, b) => a.is_some().cmp(&b.is_some()),
                }
            }),
        }
    }
}

/// Rows to keep, sorted by key. Of equal versions either is right: they come from the same message.
pub(super) fn newest_per_key(keys: &[Key<'_>], versions: &Data, rows: usize) -> Vec<u32> {
    if keys.is_empty() {
        return (0..rows as u32).collect();
    }
    let mut kept: Vec<(u64, u32)> = Vec::with_capacity(rows);
    for (prefix, _, row) in sorted(keys, versions, rows) {
        match kept.last_mut() {
            Some(last) if last.0 == prefix && beyond_prefix(keys, last.1, row).is_eq() => {
                last.1 = row;
            }
            _ => kept.push((prefix, row)),
        }
    }
    kept.into_iter().map(|(_, row)| row).collect()
}

/// The rows of each key, oldest first, the keys sorted.
pub(super) fn by_key(keys: &[Key<'_>], versions: &Data, rows: usize) -> Vec<Vec<u32>> {
    let mut groups: Vec<(u64, Vec<u32>)> = Vec::new();
    for (prefix, _, row) in sorted(keys, versions, rows) {
        match groups.last_mut() {
            Some((same, group))
                if *same == prefix
                    && group
                        .last()
                        .is_some_and(|last| beyond_prefix(keys, *last, row).is_eq()) =>
            {
                group.push(row);
            }
            _ => groups.push((prefix, vec![row])),
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Prefix, version and place of every row, by key and version.
fn sorted(keys: &[Key<'_>], versions: &Data, rows: usize) -> Vec<(u64, u64, u32)> {
    let version = |row: usize| {
        let cell = versions.cell(row).and_then(|cell| cell.try_into().ok());
        u64::from_le_bytes(cell.unwrap_or_default())
    };
    let Some((first, more)) = keys.split_first() else {
        return Vec::new();
    };
    let mut order: Vec<(u64, u64, u32)> = (0..rows)
        .map(|row| (first.prefix(row), version(row), row as u32))
        .collect();
    if more.is_empty() && first.is_short() {
        order.sort_unstable();
    } else {
        order.sort_unstable_by(|a, b| {
            let by_key = a.0.cmp(&b.0).then_with(|| beyond_prefix(keys, a.2, b.2));
            by_key.then_with(|| (a.1, a.2).cmp(&(b.1, b.2)))
        });
    }
    order
}

pub(super) fn compare(keys: &[Key<'_>], a: usize, b: usize) -> Ordering {
    keys.iter().fold(Ordering::Equal, |so_far, key| {
        so_far.then_with(|| key.compare(a, b))
    })
}

/// Compares two rows whose first key column begins alike.
#[inline]
fn beyond_prefix(keys: &[Key<'_>], a: u32, b: u32) -> Ordering {
    let (a, b) = (a as usize, b as usize);
    let Some((first, more)) = keys.split_first() else {
        return Ordering::Equal;
    };
    let first = if first.is_short() {
        Ordering::Equal
    } else {
        first.compare(a, b)
    };
    more.iter()
        .fold(first, |so_far, key| so_far.then_with(|| key.compare(a, b)))
}
