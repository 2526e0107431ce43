//! Into a table that is to take another one's place: where the older row is not there any more that an update leans on, the
//! table that is replaced has the row which the update became at its time.

use std::collections::{BTreeMap, BTreeSet};

use super::{Keeping, looked_up};
use crate::column::{Data, key_bytes};
use crate::error::Result;
use crate::sink::recall::{Key, Place};

/// Versions of one offset that no message has made.
const REVISION: u64 = 0xff;

impl Keeping<'_> {
    /// Takes over what the replaced table has of these rows, or of later messages; gives those that it knows nothing of.
    pub(super) async fn taken_over(
        &self,
        rejected: Vec<(usize, usize)>,
    ) -> Result<Vec<(usize, usize)>> {
        let Some(replaced) = self
            .target
            .replaced
            .as_ref()
            .filter(|_| !rejected.is_empty())
        else {
            return Ok(rejected);
        };
        let key_columns = self.rows.key_columns();
        let place = Place {
            clickhouse: &self.target.clickhouse,
            table: &replaced.table,
            key: &key_columns,
        };
        let mut keys: BTreeMap<Vec<u8>, Vec<Data>> = BTreeMap::new();
        let mut of_row = Vec::new();
        for (doubt, column) in rejected {
            let Some(row) = self.rows.doubts().get(doubt).map(|doubt| doubt.row) else {
                continue;
            };
            let cells = self.rows.key_cells(row);
            let key = key_bytes(&cells, 0);
            of_row.push(((doubt, column), key.clone(), self.rows.version(row)));
            keys.insert(key, cells);
        }
        let keys: Vec<Key> = keys.into_iter().collect();
        let job = &self.target.job.name;
        let stored = looked_up(job, || place.versions(&keys, &[])).await?;
        let is_known = |key: &Vec<u8>, version: u64| {
            let mut versions = stored.get(key).into_iter().flatten();
            versions.any(|row| row.version >= version && row.version & REVISION == 0)
        };
        let of_known = of_row.iter().filter(|(_, key, at)| is_known(key, *at));
        let known: BTreeSet<&Vec<u8>> = of_known.map(|(_, key, _)| key).collect();
        let known: Vec<Key> = keys
            .into_iter()
            .filter(|(key, _)| known.contains(key))
            .collect();
        let (table, columns) = (&self.target.table, &replaced.columns);
        looked_up(job, || place.copy_to(table, columns, &known)).await?;
        let unknown = of_row
            .into_iter()
            .filter(|(_, key, version)| !is_known(key, *version));
        Ok(unknown.map(|(rejected, ..)| rejected).collect())
    }
}
