//! What is asked of rows that lean on others: who they are, and blocks of a choice of them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Doubt, LSN, Rows, SOURCE_TIME, TX_ID};
use crate::column::{Block, Data, Type, order};

impl Rows {
    pub(crate) fn version(&self, row: usize) -> u64 {
        let cell = self.system(0, row).and_then(|cell| cell.try_into().ok());
        u64::from_le_bytes(cell.unwrap_or_default())
    }

    pub(crate) fn is_deleted(&self, row: usize) -> bool {
        self.system(1, row) == Some(&[1])
    }

    pub(crate) fn lsn(&self, row: usize) -> Option<i64> {
        let cell = self.system(LSN, row)?;
        Some(i64::from_le_bytes(cell.try_into().ok()?))
    }

    pub(crate) fn tx_id(&self, row: usize) -> Option<i64> {
        let cell = self.system(TX_ID, row)?;
        Some(i64::from_le_bytes(cell.try_into().ok()?))
    }

    /// Milliseconds since 1970.
    pub(crate) fn source_time(&self, row: usize) -> Option<i64> {
        let cell = self.system(SOURCE_TIME, row)?;
        Some(i64::from_le_bytes(cell.try_into().ok()?))
    }

    fn system(&self, place: usize, row: usize) -> Option<&[u8]> {
        self.data.get(self.system + place)?.cell(row)
    }

    /// Places of the columns that say which change of the source a row is.
    pub(crate) fn source_columns(&self) -> [usize; 3] {
        [LSN, TX_ID, SOURCE_TIME].map(|place| self.system + place)
    }

    /// Name and type of each key column.
    pub(crate) fn key_columns(&self) -> Vec<(String, Type)> {
        let column = |at: &usize| self.columns.get(*at).cloned();
        self.key.iter().filter_map(column).collect()
    }

    /// The key of a row, one cell a column.
    pub(crate) fn key_cells(&self, row: usize) -> Vec<Data> {
        let cell = |at: &usize| Some(self.data.get(*at)?.gather(&[row as u32]));
        self.key.iter().filter_map(cell).collect()
    }

    /// The rows of each key, oldest first, the keys sorted.
    pub(crate) fn by_key(&self) -> Vec<Vec<u32>> {
        match self.data.get(self.system) {
            Some(versions) => order::by_key(&self.sorting(), versions, self.rows),
            None => Vec::new(),
        }
    }

    pub(super) fn sorting(&self) -> Vec<order::Key<'_>> {
        let key = |at: &usize| {
            let (_, kind) = self.columns.get(*at)?;
            Some(order::Key::new(kind, self.data.get(*at)?))
        };
        self.key.iter().filter_map(key).collect()
    }

    /// A block of these rows, whose keys are sorted. `elsewhere`: column → place in `order` → where its cell is instead.
    pub(crate) fn block(
        &mut self,
        order: &[u32],
        elsewhere: &BTreeMap<usize, Vec<(usize, Cell)>>,
        found: &[Option<Data>],
    ) -> Block {
        let mut gathered = Vec::with_capacity(self.data.len());
        for (column, data) in self.data.iter_mut().enumerate() {
            let Some(moved) = elsewhere.get(&column) else {
                gathered.push(data.gather(order));
                continue;
            };
            let rows = data.len();
            data.put_default();
            if let Some(Some(found)) = found.get(column) {
                data.append(found);
            }
            let mut places = order.to_vec();
            for (place, cell) in moved {
                if let Some(row) = places.get_mut(*place) {
                    *row = match cell {
                        Cell::Row(row) => *row,
                        Cell::Default => rows as u32,
                        Cell::Found(at) => rows as u32 + 1 + at,
                    };
                }
            }
            gathered.push(data.gather(&places));
            data.truncate(rows);
        }
        Block::new(self.columns.clone(), gathered, order.len())
    }

    /// Sorts rows of different keys as ClickHouse sorts them.
    pub(crate) fn sort_by_key(&self, rows: &mut [u32]) {
        let keys = self.sorting();
        rows.sort_by(|a, b| order::compare(&keys, *a as usize, *b as usize));
    }

    /// Only these rows, in this order, with their doubts, and which doubts those were.
    pub(crate) fn only(&self, order: &[u32]) -> (Rows, Vec<usize>) {
        let data: Vec<Data> = self.data.iter().map(|data| data.gather(order)).collect();
        let places: HashMap<usize, usize> = order
            .iter()
            .enumerate()
            .map(|(place, row)| (*row as usize, place))
            .collect();
        let kept = self.doubts.iter().enumerate();
        let mut kept: Vec<(usize, Doubt)> = kept
            .filter_map(|(at, doubt)| {
                let row = *places.get(&doubt.row)?;
                Some((
                    at,
                    Doubt {
                        row,
                        ..doubt.clone()
                    },
                ))
            })
            .collect();
        kept.sort_by_key(|(_, doubt)| doubt.row);
        let (kept, doubts) = kept.into_iter().unzip();
        let rows = Rows {
            columns: self.columns.clone(),
            key: self.key.clone(),
            declared: self.declared,
            system: self.system,
            constants: self.constants.clone(),
            rows: order.len(),
            doubts,
            earlier: BTreeSet::new(),
            held: data.iter().map(Data::held).sum(),
            since: 0,
            data,
        };
        (rows, kept)
    }
}

/// Keys are equal where these are: each cell behind its length.
pub(crate) fn key_bytes(key: &[Data], row: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for data in key {
        let cell = data.cell(row).unwrap_or_default();
        bytes.extend_from_slice(&(cell.len() as u32).to_le_bytes());
        bytes.extend_from_slice(cell);
    }
    bytes
}

/// Where a cell of a block comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cell {
    /// another row of the same batch
    Row(u32),
    /// what was read from silver
    Found(u32),
    Default,
}
