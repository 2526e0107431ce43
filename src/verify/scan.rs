//! All rows of the source once, in chunks by key, each held against silver's range of the same keys.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::Sides;
use crate::column::Key;
use crate::error::Result;
use crate::sink::stored::{Hashes, Span};
use crate::snapshot::{Chunk, Snapshot};

/// A range with no more rows than this is compared row by row.
const LEAF: usize = 1_000;
/// Parts of a range whose sums differ.
const FAN: usize = 8;
/// So many keys are looked at one by one; where more differ, `bullion resync` is the answer.
const MOST_SUSPECTS: usize = 10_000;
/// Keys of one question.
pub(super) const KEYS_AT_ONCE: usize = 500;
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Keys that looked different once.
#[derive(Default)]
pub(super) struct Suspects {
    pub(super) keys: BTreeSet<Key>,
    /// more than are looked at
    pub(super) cut: bool,
}

impl Suspects {
    fn add(&mut self, key: Key) {
        if self.keys.len() < MOST_SUSPECTS {
            self.keys.insert(key);
        } else {
            self.cut = true;
        }
    }
}

#[derive(Default)]
pub(super) struct Scanned {
    pub(super) rows: u64,
    pub(super) ranges: u64,
}

/// A chunk as its hashes.
struct Hashed {
    keys: Vec<Key>,
    rows: Vec<u64>,
}

impl Hashed {
    fn of(sides: &Sides<'_>, chunk: &Chunk) -> Hashed {
        let block = &chunk.block;
        let key_places = sides.reading.key_places(block);
        let places = sides.stored.places(block);
        let mut scratch = Vec::new();
        let rows = 0..block.rows();
        Hashed {
            keys: rows
                .clone()
                .map(|row| block.key(row, &key_places))
                .collect(),
            rows: rows
                .map(|row| sides.stored.hash_row(block, row, &places, &mut scratch))
                .collect(),
        }
    }
}

pub(super) async fn all(
    sides: &Sides<'_>,
    snapshot: &Snapshot<'_>,
    suspects: &mut Suspects,
) -> Result<Scanned> {
    let mut scanned = Scanned::default();
    let mut chunks = snapshot.chunks(None).await?;
    let mut after: Option<Key> = None;
    let mut said = Instant::now();
    while let Some(chunk) = chunks.next().await? {
        scanned.rows += (chunk.block.rows() + chunk.refused.len()) as u64;
        refused(sides, &chunk, suspects);
        let hashed = Hashed::of(sides, &chunk);
        drop(chunk);
        let Some(last) = hashed.keys.last().cloned() else {
            continue;
        };
        compare(sides, &hashed, after.as_ref(), Some(&last), suspects).await?;
        after = Some(last);
        scanned.ranges += 1;
        if suspects.cut {
            return Ok(scanned);
        }
        if said.elapsed() >= SAY_EVERY {
            said = Instant::now();
            tracing::info!(
                job = sides.job.name,
                rows = scanned.rows,
                suspects = suspects.keys.len(),
                "comparing"
            );
        }
    }
    let nothing = Hashed {
        keys: Vec::new(),
        rows: Vec::new(),
    };
    compare(sides, &nothing, after.as_ref(), None, suspects).await?;
    scanned.ranges += 1;
    Ok(scanned)
}

/// Rows of some of the source's pages, each looked up in silver.
pub(super) async fn some(
    sides: &Sides<'_>,
    snapshot: &Snapshot<'_>,
    percent: u8,
    suspects: &mut Suspects,
) -> Result<Scanned> {
    let mut scanned = Scanned::default();
    let mut chunks = snapshot.chunks(Some(percent)).await?;
    while let Some(chunk) = chunks.next().await? {
        scanned.rows += (chunk.block.rows() + chunk.refused.len()) as u64;
        scanned.ranges += 1;
        refused(sides, &chunk, suspects);
        let hashed = Hashed::of(sides, &chunk);
        let batches = hashed.keys.chunks(KEYS_AT_ONCE);
        for (keys, rows) in batches.zip(hashed.rows.chunks(KEYS_AT_ONCE)) {
            let found = sides.stored.hashes(Span::Keys(keys), keys.len()).await?;
            let found: HashMap<Key, Hashes> = found.into_iter().collect();
            for (key, row) in keys.iter().zip(rows) {
                if found.get(key).is_none_or(|hashes| hashes.row != *row) {
                    suspects.add(key.clone());
                }
            }
        }
        if suspects.cut {
            return Ok(scanned);
        }
    }
    Ok(scanned)
}

fn refused(sides: &Sides<'_>, chunk: &Chunk, suspects: &mut Suspects) {
    for row in &chunk.refused {
        match &row.key {
            Some(key) => suspects.add(key.clone()),
            None => tracing::warn!(
                job = sides.job.name,
                reason = row.reason,
                "a row of the source has a key that silver cannot hold"
            ),
        }
    }
}

/// Sums first; where they differ, parts of the range, down to single keys.
async fn compare(
    sides: &Sides<'_>,
    hashed: &Hashed,
    after: Option<&Key>,
    to: Option<&Key>,
    suspects: &mut Suspects,
) -> Result<()> {
    let mut waiting = vec![(0..hashed.keys.len(), after, to)];
    while let Some((rows, after, to)) = waiting.pop() {
        let span = Span::Range { after, to };
        let ours = hashed.rows.get(rows.clone()).unwrap_or_default();
        let sum = ours.iter().fold(0_u64, |sum, hash| sum.wrapping_add(*hash));
        if sides.stored.sum(span).await? == (ours.len() as u64, sum) {
            continue;
        }
        if ours.len() > LEAF {
            let step = ours.len().div_ceil(FAN);
            let mut from = after;
            for start in rows.clone().step_by(step) {
                let end = (start + step).min(rows.end);
                let last = if end == rows.end {
                    to
                } else {
                    hashed.keys.get(end - 1)
                };
                waiting.push((start..end, from, last));
                from = last;
            }
            continue;
        }
        let most = ours.len() + MOST_SUSPECTS + 1;
        let found = sides.stored.hashes(span, most).await?;
        let mut found: HashMap<Key, Hashes> = found.into_iter().collect();
        let keys = hashed.keys.get(rows).unwrap_or_default();
        for (key, row) in keys.iter().zip(ours) {
            if found.remove(key).is_none_or(|hashes| hashes.row != *row) {
                suspects.add(key.clone());
            }
        }
        found.into_keys().for_each(|key| suspects.add(key));
        if suspects.cut {
            return Ok(());
        }
    }
    Ok(())
}
