//! Just these keys, read from the source again and written so that every later change wins and no earlier one does.

use std::collections::{BTreeMap, BTreeSet};

use super::Sides;
use super::scan::KEYS_AT_ONCE;
use crate::column::Key;
use crate::error::{Error, Kind, Result};
use crate::lease::Lease;
use crate::migrate::silver::{qualified, table_name};
use crate::sink::checkpoints;
use crate::sink::stored::{self, Newest, Span};
use crate::sink::touches::Touches;
use crate::snapshot::{self, Left, Snapshot, Stamping};

/// What a repair did.
#[derive(Clone, Copy, Debug, Default)]
pub struct Repaired {
    /// rows of the source written to silver
    pub written: u64,
    /// rows that only silver had, marked as deleted
    pub removed: u64,
    /// the job's own rules reject the source's row
    pub refused: u64,
    pub left: Left,
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
    checkpoints::check_identity(sides.clickhouse, config, job, &reached.identity).await?;
    let patience = sides.request.patience;
    let behind = snapshot::caught_up(sides.clickhouse, config, job, &reached, patience).await?;
    let snapshot = Snapshot::of(sides.source, sides.reading).await?;
    snapshot.needs_position()?;
    let stamping = Stamping {
        reading: sides.reading,
        ends: &reached.ends,
        lsn: snapshot.lsn,
        time: snapshot.time,
        caught_up: behind.is_none(),
    };
    let table = qualified(&config.clickhouse.silver, &table_name(job));
    let names = &config.clickhouse;
    let touches = Touches::new(job, sides.clickhouse, &names.silver, &names.ops);
    let mut repaired = Repaired::default();
    let left = &mut repaired.left;
    for keys in keys.chunks(KEYS_AT_ONCE) {
        lease.check().await?;
        let chunk = snapshot.rows_of(keys).await?;
        repaired.refused += chunk.refused.len() as u64;
        let newest = sides.stored.newest(Span::Keys(keys)).await?;
        let newest: BTreeMap<Key, Newest> = newest.into_iter().collect();
        let known = |key: &Key| newest.get(key).map(|newest| (*newest).into());
        let block = stamping.rows(&chunk.block, known, left);
        repaired.written += block.rows() as u64;
        stored::insert(sides.clickhouse, &table, &block, Some(&touches)).await?;
        if chunk.hides_a_key() {
            continue;
        }
        let places = sides.reading.key_places(&chunk.block);
        let mut found: BTreeSet<Key> = chunk
            .refused
            .into_iter()
            .filter_map(|row| row.key)
            .collect();
        found.extend((0..chunk.block.rows()).map(|row| chunk.block.key(row, &places)));
        let gone = newest
            .iter()
            .filter(|(key, newest)| !newest.deleted && !found.contains(*key));
        let ghosts = stamping.deleted(gone.map(|(key, newest)| (key, (*newest).into())), left);
        repaired.removed += ghosts.rows() as u64;
        stored::insert(sides.clickhouse, &table, &ghosts, Some(&touches)).await?;
    }
    snapshot.close().await?;
    lease.release().await;
    Ok(repaired)
}
