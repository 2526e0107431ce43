//! Just these keys, read from the source again and written so that every later change wins and no earlier one does.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Sides;
use super::scan::KEYS_AT_ONCE;
use crate::column::{Block, Key, Origin, Rows};
use crate::error::{Error, Kind, Result};
use crate::lease::Lease;
use crate::migrate::silver::{qualified, table_name};
use crate::sink::checkpoints;
use crate::sink::stored::{self, Newest, Span};
use crate::snapshot::{self, Ends, Known, NoRoom, Reached, Snapshot};

const POLL: Duration = Duration::from_millis(250);

/// What a repair did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Repaired {
    /// rows of the source written to silver
    pub written: u64,
    /// rows that only silver had, marked as deleted
    pub removed: u64,
    /// changed by ingest meanwhile, so left to it
    pub newer: u64,
    /// silver has never met the key, and ingest has not read the whole topic: only then is its place known
    pub waiting: u64,
    /// the job's own rules reject the source's row
    pub refused: u64,
    /// rewritten 255 times while its partition stood still
    pub exhausted: u64,
}

pub(super) async fn repair(sides: &Sides<'_>, keys: &[Key]) -> Result<Repaired> {
    let (config, job) = (sides.config, sides.job);
    if let Some(left) = sides.reading.left_out.iter().find(|left| !left.readable) {
        let message = format!(
            "job {}: rows cannot be written again, column {}: {}",
            job.name, left.column, left.why
        );
        return Err(Error::new(Kind::Mismatch, message));
    }
    let lease = Lease::acquire(&config.lease, &format!("silver.{}", job.name), 0).await?;
    // the ends come first: what is below them is in what is read from the source afterwards
    let reached = snapshot::reached(&config.kafka, job).await?;
    checkpoints::check_identity(
        sides.clickhouse,
        &config.clickhouse.ops,
        job,
        &reached.identity,
    )
    .await?;
    let caught_up = caught_up(sides, &reached).await?;
    let snapshot = Snapshot::open(sides.source, sides.reading).await?;
    let mut repaired = Repaired::default();
    for keys in keys.chunks(KEYS_AT_ONCE) {
        lease.check().await?;
        let chunk = snapshot.rows_of(keys).await?;
        repaired.refused += chunk.refused.len() as u64;
        let newest = sides.stored.newest(Span::Keys(keys)).await?;
        let newest: BTreeMap<Key, Newest> = newest.into_iter().collect();
        let work = Work {
            sides,
            ends: &reached.ends,
            newest: &newest,
            caught_up,
        };
        let (block, found) = work.stamped(chunk.block, &mut repaired);
        repaired.written += block.rows() as u64;
        work.insert(&block).await?;
        let refused = |key: &&Key| {
            chunk
                .refused
                .iter()
                .any(|row| row.key.as_ref() == Some(*key))
        };
        let gone = keys
            .iter()
            .filter(|key| !found.contains(*key) && !refused(key));
        let ghosts = work.deleted(gone, snapshot.lsn, snapshot.time, &mut repaired);
        repaired.removed += ghosts.rows() as u64;
        work.insert(&ghosts).await?;
    }
    snapshot.close().await?;
    lease.release().await;
    Ok(repaired)
}

/// Whether everything below the ends is in silver; waits for a running ingest as long as the patience says.
async fn caught_up(sides: &Sides<'_>, reached: &Reached) -> Result<bool> {
    let (ops, group) = (&sides.config.clickhouse.ops, &sides.config.kafka.group);
    let until = tokio::time::Instant::now() + sides.request.patience;
    loop {
        let job = sides.job;
        let behind = snapshot::behind(sides.clickhouse, ops, group, job, &reached.filled).await?;
        match behind {
            None => return Ok(true),
            Some(_) if tokio::time::Instant::now() >= until => return Ok(false),
            Some(_) => tokio::time::sleep(POLL).await,
        }
    }
}

struct Work<'a> {
    sides: &'a Sides<'a>,
    ends: &'a Ends,
    newest: &'a BTreeMap<Key, Newest>,
    caught_up: bool,
}

impl Work<'_> {
    /// The version a key's row gets, or nothing where it cannot be written now.
    fn stamp(&self, key: &Key, repaired: &mut Repaired) -> Option<(u64, i32)> {
        let known = self.newest.get(key).map(|newest| Known {
            partition: newest.partition,
            version: newest.version,
        });
        if known.is_none() && !self.caught_up {
            repaired.waiting += 1;
            return None;
        }
        match self.ends.stamp(known) {
            Ok(stamp) => Some((stamp.version, stamp.partition)),
            Err(NoRoom::Newer) => {
                repaired.newer += 1;
                None
            }
            Err(NoRoom::Revisions) => {
                repaired.exhausted += 1;
                None
            }
        }
    }

    /// The rows that can be written, with their versions, and the keys that the source has.
    fn stamped(&self, block: Block, repaired: &mut Repaired) -> (Block, Vec<Key>) {
        let places = self.sides.reading.key_places(&block);
        let keys: Vec<Key> = (0..block.rows())
            .map(|row| block.key(row, &places))
            .collect();
        let stamps: Vec<_> = keys.iter().map(|key| self.stamp(key, repaired)).collect();
        let mut block = block.keep(|row| stamps.get(row).is_some_and(Option::is_some));
        block.stamp(&stamps.into_iter().flatten().collect::<Vec<_>>());
        (block, keys)
    }

    /// A deleted row for each key that silver shows and the source does not have.
    fn deleted<'k>(
        &self,
        keys: impl Iterator<Item = &'k Key>,
        lsn: i64,
        time: i64,
        repaired: &mut Repaired,
    ) -> Block {
        let mut rows = Rows::new(self.sides.job);
        for key in keys {
            let shown = self.newest.get(key).is_some_and(|newest| !newest.deleted);
            let stamp = if shown {
                self.stamp(key, repaired)
            } else {
                None
            };
            if let Some((version, partition)) = stamp {
                rows.delete(
                    key,
                    &Origin {
                        partition,
                        version,
                        deleted: true,
                        size: 0,
                        lsn: Some(lsn),
                        tx_id: None,
                        source_time: Some(time),
                    },
                );
            }
        }
        rows.finish()
    }

    async fn insert(&self, block: &Block) -> Result<()> {
        let config = &self.sides.config.clickhouse;
        let table = qualified(&config.silver, &table_name(self.sides.job));
        stored::insert(self.sides.clickhouse, &table, block).await
    }
}
