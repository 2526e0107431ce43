//! Where silver is asked what rows keep: in the job's table, and, when `bullion resync` has put a new one in its place and
//! not yet brought over what was written last, in the one that was swapped out, too.

use std::collections::HashMap;
use std::future::Future;

use super::{Keeping, looked_up};
use crate::column::{Data, Type};
use crate::error::Result;
use crate::sink::recall::{Key, Place, Stored};
use crate::sink::shadows::{Shadows, Watched};

/// Rows by key and version, and the cells of their columns.
pub(super) type Values = (HashMap<(Vec<u8>, u64), u32>, Vec<Data>);

impl Keeping<'_> {
    /// As [`Place::versions`], of all tables that have rows of the job.
    pub(super) async fn versions(
        &self,
        keys: &[Key],
        columns: &[String],
    ) -> Result<HashMap<Vec<u8>, Vec<Stored>>> {
        let key = self.rows.key_columns();
        let ask = |tables: Vec<String>| {
            let key = &key;
            async move {
                let mut found: HashMap<Vec<u8>, Vec<Stored>> = HashMap::new();
                for table in &tables {
                    for (key, stored) in self.place(table, key).versions(keys, columns).await? {
                        found.entry(key).or_default().extend(stored);
                    }
                }
                Ok(found)
            }
        };
        looked_up(&self.target.job.name, || self.undisturbed(ask)).await
    }

    /// As [`Place::values`], of all tables that have rows of the job.
    pub(super) async fn values(
        &self,
        wanted: &[(Key, u64)],
        columns: &[(String, Type)],
    ) -> Result<Values> {
        let key = self.rows.key_columns();
        let ask = |tables: Vec<String>| {
            let key = &key;
            async move {
                let mut all = Values::default();
                for table in &tables {
                    let found = self.place(table, key).values(wanted, columns).await?;
                    all = together(all, found);
                }
                Ok(all)
            }
        };
        looked_up(&self.target.job.name, || self.undisturbed(ask)).await
    }

    /// Asks until no tables were exchanged meanwhile: what was beside the job's table is the same before and after.
    async fn undisturbed<T, F: Future<Output = Result<T>>>(
        &self,
        ask: impl Fn(Vec<String>) -> F,
    ) -> Result<T> {
        let own = &self.target.table;
        let Some(watched) = &self.target.watched else {
            return ask(vec![own.clone()]).await;
        };
        let mut before = match watched.seen() {
            Some(seen) => seen,
            None => watched.look().await?,
        };
        loop {
            let answer = match self.tables(watched, &before).await {
                Ok(tables) => ask(tables).await,
                Err(error) => Err(error),
            };
            let after = watched.look().await?;
            if after == before {
                return answer;
            }
            before = after;
        }
    }

    /// The job's own table, and what of others belongs into it.
    async fn tables(&self, watched: &Watched, shadows: &Shadows) -> Result<Vec<String>> {
        let mut tables = vec![self.target.table.clone()];
        let columns = self.rows.columns().iter();
        let columns: Vec<(String, String)> = columns
            .map(|(name, kind)| (name.clone(), kind.to_string()))
            .collect();
        for old in shadows.swapped_out() {
            let rest = watched.rest_of(old, shadows.mark.as_ref(), &columns);
            tables.push(rest.await?);
        }
        Ok(tables)
    }

    fn place<'b>(&'b self, table: &'b str, key: &'b [(String, Type)]) -> Place<'b> {
        Place {
            clickhouse: &self.target.clickhouse,
            table,
            key,
        }
    }
}

/// The rows of one table behind those of another.
fn together((mut places, mut values): Values, (more, columns): Values) -> Values {
    let rows = values.first().map_or(0, Data::len) as u32;
    if values.is_empty() {
        return (more, columns);
    }
    places.extend(more.into_iter().map(|(row, place)| (row, rows + place)));
    for (column, more) in values.iter_mut().zip(&columns) {
        column.append(more);
    }
    (places, values)
}
