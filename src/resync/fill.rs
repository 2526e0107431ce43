//! The shadow table gets every row of the source, and a deleted row for every key that only silver has.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::Summary;
use super::swap::Tables;
use crate::column::Key;
use crate::error::{Error, Kind, Result};
use crate::job::DeletePolicy;
use crate::lease::Lease;
use crate::sink::clickhouse::ClickHouse;
use crate::sink::stored::{self, Newest, Span, Stored};
use crate::snapshot::{Chunk, Ends, Left, Reading, Snapshot, Stamping};

/// Keys of silver that are looked at together.
const PAGE: usize = 50_000;
/// Keys of one question.
const KEYS_AT_ONCE: usize = 500;
const SAY_EVERY: Duration = Duration::from_secs(10);

/// Rows that the job rejects, of the last range and of this one: a key may lie beyond the last row that was read.
#[derive(Default)]
struct Refusals {
    before: Refused,
    now: Refused,
}

#[derive(Default)]
struct Refused {
    keys: HashSet<Key>,
    hides_a_key: bool,
}

impl Refusals {
    fn add(&mut self, keys: Vec<Key>, hides_a_key: bool) {
        self.now.keys.extend(keys);
        self.now.hides_a_key |= hides_a_key;
    }

    fn name(&self, key: &Key) -> bool {
        self.now.keys.contains(key) || self.before.keys.contains(key)
    }

    fn hide_a_key(&self) -> bool {
        self.now.hides_a_key || self.before.hides_a_key
    }

    fn next_range(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }
}

pub(super) struct Filling<'a> {
    pub(super) clickhouse: &'a ClickHouse,
    pub(super) tables: &'a Tables<'a>,
    pub(super) reading: &'a Reading,
    pub(super) ends: &'a Ends,
    pub(super) lease: &'a Lease,
}

impl Filling<'_> {
    pub(super) async fn fill(&self, snapshot: &Snapshot<'_>) -> Result<Summary> {
        let live = Stored::new(
            self.clickhouse,
            self.tables.live(),
            &self.reading.key,
            Vec::new(),
        );
        let stamping = Stamping {
            reading: self.reading,
            ends: self.ends,
            lsn: snapshot.lsn,
            time: snapshot.time,
            caught_up: true,
        };
        let columns = self.tables.columns().await?;
        let mut summary = Summary::default();
        let mut refusals = Refusals::default();
        let mut chunks = snapshot.chunks(None).await?;
        let mut after: Option<Key> = None;
        let mut said = Instant::now();
        loop {
            self.lease.check().await?;
            let chunk = chunks.next().await?;
            let keys = chunk
                .as_ref()
                .map(|chunk| self.keys(chunk))
                .unwrap_or_default();
            if let Some(chunk) = &chunk {
                let keys: Vec<Key> = chunk
                    .refused
                    .iter()
                    .filter_map(|row| row.key.clone())
                    .collect();
                self.keep(&live, &columns, &keys).await?;
                summary.refused += chunk.refused.len() as u64;
                refusals.add(keys, chunk.hides_a_key());
            }
            let last = keys.last().cloned();
            if chunk.is_some() && last.is_none() {
                continue;
            }
            let mut left = Left::default();
            let mut known: HashMap<Key, Newest> = HashMap::new();
            let ours: HashSet<&Key> = keys.iter().collect();
            let mut from = after.clone();
            loop {
                let span = Span::Range {
                    after: from.as_ref(),
                    to: last.as_ref(),
                };
                let page = live.first_newest(span, PAGE).await?;
                let only_ours = |key: &Key| !ours.contains(key) && !refusals.name(key);
                let keeps = refusals.hide_a_key() || self.keeps_deleted();
                let (kept, gone): (Vec<_>, Vec<_>) = page
                    .iter()
                    .filter(|(key, _)| only_ours(key))
                    .partition(|(_, newest)| !newest.deleted && keeps);
                let kept: Vec<Key> = kept.into_iter().map(|(key, _)| key.clone()).collect();
                self.keep(&live, &columns, &kept).await?;
                summary.kept += kept.len() as u64;
                summary.removed += gone.iter().filter(|(_, newest)| !newest.deleted).count() as u64;
                let deleted = gone.iter().map(|(key, newest)| (key, (*newest).into()));
                let deleted = stamping.deleted(deleted, &mut left);
                stored::insert(self.clickhouse, &self.tables.shadow(), &deleted, None).await?;
                let whole = page.len() < PAGE;
                from = page.last().map(|(key, _)| key.clone());
                known.extend(page.into_iter().filter(|(key, _)| ours.contains(key)));
                if whole {
                    break;
                }
            }
            if let Some(chunk) = &chunk {
                let of = |key: &Key| known.get(key).map(|newest| (*newest).into());
                let block = stamping.rows(&chunk.block, of, &mut left);
                stored::insert(self.clickhouse, &self.tables.shadow(), &block, None).await?;
                summary.rows += chunk.block.rows() as u64;
            }
            if left.exhausted > 0 {
                let message = format!(
                    "{} keys were rewritten 255 times while their partition stood still",
                    left.exhausted
                );
                return Err(
                    Error::new(Kind::NotFresh, message).advise("try again after the next change")
                );
            }
            if chunk.is_none() {
                return Ok(summary);
            }
            after = last;
            refusals.next_range();
            if said.elapsed() >= SAY_EVERY {
                said = Instant::now();
                let (job, rows) = (&self.reading.job.name, summary.rows);
                tracing::info!(job, rows, "filling the shadow table");
            }
        }
    }

    /// A row that the source does not have is none that should go.
    fn keeps_deleted(&self) -> bool {
        self.reading.job.policies.delete == DeletePolicy::Ignore
    }

    /// Copies rows as silver has them.
    async fn keep(&self, live: &Stored<'_>, columns: &str, keys: &[Key]) -> Result<()> {
        let shadow = self.tables.shadow();
        for keys in keys.chunks(KEYS_AT_ONCE) {
            live.copy_versions(&shadow, columns, keys).await?;
        }
        Ok(())
    }

    fn keys(&self, chunk: &Chunk) -> Vec<Key> {
        let places = self.reading.key_places(&chunk.block);
        (0..chunk.block.rows())
            .map(|row| chunk.block.key(row, &places))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_range_refused_counts_in_the_next_one_whether_it_says_its_key_or_not() {
        let key = Key(vec![Box::from(*b"7")]);
        let mut refusals = Refusals::default();
        refusals.add(vec![key.clone()], false);
        refusals.add(Vec::new(), true);
        for (named, hidden) in [(true, true), (true, true), (false, false)] {
            assert_eq!(
                (refusals.name(&key), refusals.hide_a_key()),
                (named, hidden)
            );
            refusals.next_range();
        }
    }
}
