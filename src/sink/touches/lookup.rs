//! Which other times the keys of a block have had.

use std::collections::{BTreeSet, HashMap};

use super::{Rows, Times, Touches, Tracked};
use crate::column::{Block, Data, Type, key_bytes};
use crate::error::Result;
use crate::job::EarlierTime;
use crate::migrate::times;
use crate::sink::clickhouse::quote;
use crate::sink::recall::{Place, inlined, number, plain};
use crate::window::Bucket;

/// Keys of one question: it carries them in hexadecimal, and its text stays below a few megabytes.
const MOST_KEYS: usize = 50_000;

/// What the keys of a block had before.
pub(super) struct Earlier {
    pub(super) buckets: BTreeSet<Bucket>,
    /// these times again, as left
    pub(super) left: Block,
}

impl Default for Earlier {
    fn default() -> Earlier {
        Earlier {
            buckets: BTreeSet::new(),
            left: Block::new(Vec::new(), Vec::new(), 0),
        }
    }
}

impl Touches {
    pub(super) async fn earlier(
        &self,
        tracked: &Tracked,
        block: &Block,
        rows: &Rows,
    ) -> Result<Earlier> {
        let (deleted, live): (Vec<u32>, Vec<u32>) = (0..block.rows() as u32)
            .partition(|row| rows.deleted.get(*row as usize) == Some(&true));
        let mut found = Vec::new();
        for some in deleted.chunks(MOST_KEYS) {
            // a row that was there has one time, that of its deletion has none
            found.push(self.times_of(tracked, rows.keys(block, some), 0).await?);
        }
        if tracked.earlier == EarlierTime::OfAll {
            for some in live.chunks(MOST_KEYS) {
                // its own time is there already
                found.push(self.times_of(tracked, rows.keys(block, some), 1).await?);
            }
        }
        Ok(judge(block, rows, found))
    }

    /// The times at which readers of silver see the keys of a block.
    pub(super) async fn current(
        &self,
        tracked: &Tracked,
        block: &Block,
    ) -> Result<BTreeSet<Bucket>> {
        let rows = Rows::of(tracked, block);
        let all: Vec<u32> = (0..block.rows() as u32).collect();
        let mut found = BTreeSet::new();
        for some in all.chunks(MOST_KEYS) {
            let (columns, asked) = asked(rows.keys(block, some));
            let place = Place {
                clickhouse: &self.clickhouse,
                table: &tracked.versions,
                key: &columns,
            };
            let sql = format!(
                "SELECT DISTINCT {} FROM {} FINAL WHERE _deleted = 0 AND ({}) IN ({asked})",
                Bucket::sql(&quote(&tracked.time)),
                tracked.versions,
                place.names()
            );
            for buckets in place.read(&sql, &[Type::Int32]).await? {
                found.extend((0..buckets.len()).map(|row| bucket_at(&buckets, row)));
            }
        }
        Ok(found)
    }

    /// The times of those keys that have more than so many.
    async fn times_of(
        &self,
        tracked: &Tracked,
        keys: Vec<((String, Type), Data)>,
        more_than: usize,
    ) -> Result<Vec<Data>> {
        let (columns, asked) = asked(keys);
        let place = Place {
            clickhouse: &self.clickhouse,
            table: &tracked.times,
            key: &columns,
        };
        let (names, own) = (place.names(), [times::BUCKET, times::VERSION].map(quote));
        let own = own.join(", ");
        let sql = format!(
            "SELECT {}, found.1, found.2 FROM (SELECT {names}, groupArray(({own})) AS all FROM {} FINAL \
             WHERE ({names}) IN ({asked}) GROUP BY {names} HAVING length(all) > {more_than}) ARRAY JOIN all AS found \
             SETTINGS optimize_aggregation_in_order = 1",
            place.selected(&columns),
            tracked.times,
        );
        let mut kinds: Vec<Type> = columns.iter().map(|(_, kind)| plain(kind)).collect();
        kinds.extend([Type::Int32, Type::UInt64]);
        place.read(&sql, &kinds).await
    }
}

/// The key's columns, and a question's list of keys.
fn asked(keys: Vec<((String, Type), Data)>) -> (Vec<(String, Type)>, String) {
    let (columns, data): (Vec<(String, Type)>, Vec<_>) = keys.into_iter().unzip();
    let count = data.first().map_or(0, Data::len);
    let sent = columns
        .iter()
        .map(|(name, kind)| (name.clone(), plain(kind)));
    let asked = inlined(&Block::new(sent.collect(), data, count));
    (columns, asked)
}

fn bucket_at(buckets: &Data, row: usize) -> Bucket {
    let cell = buckets.cell(row).and_then(|cell| cell.try_into().ok());
    Bucket(i32::from_le_bytes(cell.unwrap_or_default()))
}

/// Times of rows older than the block's; a newer row of a key has been told by whoever wrote it.
fn judge(block: &Block, rows: &Rows, found: Vec<Vec<Data>>) -> Earlier {
    let mut earlier = Earlier::default();
    if found
        .iter()
        .all(|found| found.last().is_none_or(|data| data.len() == 0))
    {
        return earlier;
    }
    let order: Vec<u32> = (0..block.rows() as u32).collect();
    let (columns, keys): (Vec<_>, Vec<_>) = rows.keys(block, &order).into_iter().unzip();
    let newest: HashMap<Vec<u8>, u64> = rows
        .versions
        .iter()
        .enumerate()
        .map(|(row, version)| (key_bytes(&keys, row), *version))
        .collect();
    let mut left_keys: Vec<Data> = columns
        .iter()
        .map(|(_, kind): &(String, Type)| Data::new(kind))
        .collect();
    let mut left = Times::default();
    for found in found {
        let Some((key, [bucket, version])) = found.split_last_chunk() else {
            continue;
        };
        for row in 0..version.len() {
            let own = newest
                .get(&key_bytes(key, row))
                .copied()
                .unwrap_or_default();
            let bucket = bucket_at(bucket, row);
            if number(version, row).is_some_and(|version| version < own) {
                earlier.buckets.insert(bucket);
                left.push(bucket, own, true);
                for (to, from) in left_keys.iter_mut().zip(key) {
                    to.append(&from.gather(&[row as u32]));
                }
            }
        }
    }
    earlier.left = left.of_keys(columns.into_iter().zip(left_keys).collect());
    earlier
}
