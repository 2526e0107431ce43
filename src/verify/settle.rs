//! Keys that looked different are looked at again, each time in a new snapshot. What was on its way is equal by then;
//! what changes starts its time anew; what stays different, unchanged on both sides, is a difference.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::scan::{KEYS_AT_ONCE, Suspects};
use super::{Sides, What};
use crate::column::Key;
use crate::error::Result;
use crate::job::DeletePolicy;
use crate::sink::stored::{Hashes, Span, null_hash};
use crate::snapshot::{self, Behind, Snapshot};

/// Between looks; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A key that changes all the time is given up after so many times the patience.
const LONGEST: u32 = 5;

#[derive(Default)]
pub(super) struct Settled {
    pub(super) differences: Vec<(Key, What)>,
    pub(super) in_flight: u64,
    pub(super) changing: u64,
    pub(super) unsent: u64,
    pub(super) kept: u64,
    pub(super) behind: Option<Behind>,
}

/// Both sides of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    source: Sight,
    silver: Option<Hashes>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Sight {
    Absent,
    Row(Hashes),
    Refused {
        reason: &'static str,
        column: Option<String>,
    },
}

enum Verdict {
    Equal,
    /// the job's policies explain it
    Unsent,
    Kept,
    Differs(What),
}

pub(super) async fn settle(sides: &Sides<'_>, suspects: Suspects) -> Result<Settled> {
    let mut settled = Settled::default();
    if suspects.keys.is_empty() {
        return Ok(settled);
    }
    let began = Instant::now();
    let patience = sides.request.patience;
    // what the topic holds now has to be in silver before a difference counts as one
    let ends = match snapshot::reached(&sides.config.kafka, sides.job).await {
        Ok(reached) => Some(reached.filled),
        Err(error) => {
            tracing::warn!(%error, "cannot tell whether ingest has read everything");
            None
        }
    };
    let mut open: BTreeMap<Key, (Look, Instant)> = BTreeMap::new();
    let mut keys: Vec<Key> = suspects.keys.into_iter().collect();
    let mut pause = FIRST_PAUSE;
    loop {
        let looked = look(sides, &keys).await?;
        let now = Instant::now();
        for (key, look) in looked {
            match verdict(sides, &look) {
                Verdict::Equal => {
                    open.remove(&key);
                    settled.in_flight += 1;
                }
                Verdict::Unsent => {
                    open.remove(&key);
                    settled.unsent += 1;
                }
                Verdict::Kept => {
                    open.remove(&key);
                    settled.kept += 1;
                }
                Verdict::Differs(_) => {
                    let same = open.get(&key).is_some_and(|(before, _)| *before == look);
                    if !same {
                        open.insert(key, (look, now));
                    }
                }
            }
        }
        let stayed = |since: &Instant| now.duration_since(*since) >= patience;
        let all_stayed = open.values().all(|(_, since)| stayed(since));
        if all_stayed || began.elapsed() >= patience * LONGEST {
            for (key, (look, since)) in open {
                match verdict(sides, &look) {
                    Verdict::Differs(what) if stayed(&since) => {
                        settled.differences.push((key, what))
                    }
                    _ => settled.changing += 1,
                }
            }
            break;
        }
        keys = open.keys().cloned().collect();
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
    if let (Some(ends), false) = (ends, settled.differences.is_empty()) {
        let (ops, group) = (&sides.config.clickhouse.ops, &sides.config.kafka.group);
        settled.behind = snapshot::behind(sides.clickhouse, ops, group, sides.job, &ends).await?;
    }
    Ok(settled)
}

impl Settled {
    /// After a repair: what is still different.
    pub(super) async fn look_again(&mut self, sides: &Sides<'_>) -> Result<()> {
        let keys: Vec<Key> = self.differences.drain(..).map(|(key, _)| key).collect();
        for (key, look) in look(sides, &keys).await? {
            if let Verdict::Differs(what) = verdict(sides, &look) {
                self.differences.push((key, what));
            }
        }
        Ok(())
    }
}

async fn look(sides: &Sides<'_>, keys: &[Key]) -> Result<Vec<(Key, Look)>> {
    let mut looked = Vec::with_capacity(keys.len());
    let snapshot = Snapshot::of(sides.source, sides.reading).await?;
    for keys in keys.chunks(KEYS_AT_ONCE) {
        let mut sights: BTreeMap<Key, Sight> = BTreeMap::new();
        let chunk = snapshot.rows_of(keys).await?;
        let (block, places) = (&chunk.block, sides.stored.places(&chunk.block));
        let key_places = sides.reading.key_places(block);
        let mut scratch = Vec::new();
        for row in 0..block.rows() {
            let hashes = Hashes {
                row: sides.stored.hash_row(block, row, &places, &mut scratch),
                columns: sides.stored.hash_columns(block, row, &places),
            };
            sights.insert(block.key(row, &key_places), Sight::Row(hashes));
        }
        let mut absent = Sight::Absent;
        for refused in chunk.refused {
            let (reason, column) = (refused.reason, refused.column);
            let sight = Sight::Refused { reason, column };
            match refused.key {
                Some(key) => _ = sights.insert(key, sight),
                // it may be any of those that were not found
                None => absent = sight,
            }
        }
        let stored = sides.stored.hashes(Span::Keys(keys), keys.len()).await?;
        let mut stored: BTreeMap<Key, Hashes> = stored.into_iter().collect();
        looked.extend(keys.iter().map(|key| {
            let look = Look {
                source: sights.remove(key).unwrap_or_else(|| absent.clone()),
                silver: stored.remove(key),
            };
            (key.clone(), look)
        }));
    }
    snapshot.close().await?;
    Ok(looked)
}

fn verdict(sides: &Sides<'_>, look: &Look) -> Verdict {
    let policies = sides.job.policies;
    let (ours, theirs) = match (&look.source, &look.silver) {
        (Sight::Absent, None) => return Verdict::Equal,
        (Sight::Absent, Some(_)) if policies.delete == DeletePolicy::Ignore => {
            return Verdict::Kept;
        }
        (Sight::Absent, Some(_)) => return Verdict::Differs(What::Extra),
        (Sight::Row(_), None) => return Verdict::Differs(What::Missing),
        (Sight::Refused { reason, column }, _) => {
            let column = column.clone();
            return Verdict::Differs(What::Refused { reason, column });
        }
        (Sight::Row(ours), Some(theirs)) => (ours, theirs),
    };
    if ours.row == theirs.row {
        return Verdict::Equal;
    }
    let pairs = ours.columns.iter().zip(&theirs.columns);
    let differing: Vec<(&str, u64)> = sides
        .stored
        .columns()
        .iter()
        .zip(pairs)
        .filter(|(_, (ours, theirs))| ours != theirs)
        .map(|(column, (_, theirs))| (column.name.as_str(), *theirs))
        .collect();
    let hole =
        |(name, theirs): &(&str, u64)| *theirs == null_hash() && sides.reading.can_be_unsent(name);
    if differing.iter().all(hole) {
        return Verdict::Unsent;
    }
    let names = differing.into_iter().map(|(name, _)| name.to_owned());
    Verdict::Differs(What::Different(names.collect()))
}
