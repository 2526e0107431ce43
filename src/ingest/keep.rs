//! Writes a batch in which rows lean on older ones: columns that an update did not send (`toast = "keep"`).
//!
//! ```text
//! earlier batches are in silver ─▶ ask silver for the keys ─▶ decide ─▶ write ─▶ next batch's turn
//!                                       ▲                       └─ what is not there yet ─┐
//!                                       └────────────── pause, but not for ever ──────────┘
//! ```
//!
//! Values are read and written in portions, so that memory is bounded however large they are.

mod awaited;
mod decide;
mod left;
mod patience;
mod portions;
mod replaced;
mod silver;
#[cfg(test)]
mod tests;
mod turn;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant};

use super::write::{Target, Written, patiently};
use crate::batch::DeadLetter;
use crate::column::{Cell, Data, Rows, key_bytes};
use crate::envelope::Reason;
use crate::error::{Context, Error, Kind, Result};
use crate::sink::recall::{self, Key, Stored};
pub use awaited::{Awaited, Outlook};
use decide::{Case, Deciding, Found, Known, Write};
pub use patience::Patience;
use patience::Waited;
use portions::{leans_on_silver, portions};
pub use turn::Turn;

/// First pause before what is not there yet is looked for again; doubles up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_millis(3_200);

/// What a batch that keeps is made of, until nothing of it is left to write.
struct Keeping<'a> {
    target: &'a Target,
    rows: Rows,
    letters: Vec<DeadLetter>,
    cases: Vec<Case>,
    number: u64,
    written: Written,
}

/// So many batches that wait ask silver at the longest pause; more of them ask less often, each.
const ASK_TOGETHER: u32 = 50;

/// `parked` is told when the rest waits for others, and how many bytes that is.
pub async fn write(
    target: &Target,
    rows: Rows,
    letters: Vec<DeadLetter>,
    turn: &mut Turn,
    parked: &(dyn Fn(usize) + Sync),
) -> Result<Written> {
    let number = turn.number;
    let written = until_written(target, rows, letters, turn, parked).await;
    if written.is_err() {
        target.awaited.leave(number);
    }
    written
}

async fn until_written(
    target: &Target,
    rows: Rows,
    letters: Vec<DeadLetter>,
    turn: &mut Turn,
    parked: &(dyn Fn(usize) + Sync),
) -> Result<Written> {
    turn.wait().await?;
    let (mut keeping, mut ready) = Keeping::new(target, rows, letters, turn.number).await?;
    let (mut waited, mut pause) = (Waited::default(), FIRST_PAUSE);
    loop {
        let awaited = &target.awaited;
        let began = Instant::now();
        let (moves, mut moved) = (awaited.moves(), pin!(awaited.moved()));
        // what moves from now on is not missed
        moved.as_mut().enable();
        let left = keeping
            .round(
                std::mem::take(&mut ready),
                waited.is_over(target.patience, awaited),
            )
            .await?;
        keeping.reduce_to(&left);
        keeping.await_keys(moves);
        turn.pass().await?;
        if left.is_empty() {
            return Ok(keeping.written);
        }
        parked(keeping.bytes());
        let looked = Instant::now();
        pause = match tokio::time::timeout(pause, moved).await {
            Ok(()) => FIRST_PAUSE,
            Err(_) => {
                let together = awaited.waiting().div_ceil(ASK_TOGETHER).max(1);
                (LONGEST_PAUSE * together).min(2 * pause)
            }
        };
        let took = (looked - began, looked.elapsed());
        waited.round(took, awaited.outlook(), keeping.newest_time());
        keeping.let_go();
    }
}

impl<'a> Keeping<'a> {
    /// And the rows that need nobody, by key.
    async fn new(
        target: &'a Target,
        rows: Rows,
        letters: Vec<DeadLetter>,
        number: u64,
    ) -> Result<(Keeping<'a>, Vec<u32>)> {
        let grouped = tokio::task::spawn_blocking(move || {
            let groups = rows.by_key();
            (rows, groups)
        });
        let (rows, groups) = grouped
            .await
            .map_err(|error| Error::new(Kind::Internal, "sorting a batch failed").because(error))?;
        let doubtful: HashSet<usize> = rows.doubts().iter().map(|doubt| doubt.row).collect();
        let (mut cases, mut ready) = (Vec::new(), Vec::new());
        for group in groups {
            let newest = group.last().copied();
            if group.iter().any(|row| doubtful.contains(&(*row as usize))) {
                let cells = rows.key_cells(newest.unwrap_or_default() as usize);
                let key = (key_bytes(&cells, 0), cells);
                cases.push(Case { key, rows: group });
            } else {
                ready.extend(newest);
            }
        }
        let written = Written::default();
        let keeping = Keeping {
            target,
            rows,
            letters,
            cases,
            number,
            written,
        };
        Ok((keeping, ready))
    }

    /// Writes what can be told now; gives the cases that are left.
    async fn round(&mut self, mut order: Vec<u32>, out_of_patience: bool) -> Result<Vec<usize>> {
        // first: a batch that writes its rows while silver is asked is not awaited afterwards, and the answer lacks them
        let awaited = self.target.awaited.before(self.number);
        let stored = self.stored().await?;
        let dead = self.dead_letters().await?;
        let (mut rejected, mut from_silver, mut left) = (Vec::new(), Vec::new(), Vec::new());
        let mut elsewhere: HashMap<u32, Vec<(usize, Found)>> = HashMap::new();
        {
            let known = Known {
                rows: &self.rows,
                letters: &self.letters,
                cases: &self.cases,
                stored: &stored,
                dead: &dead,
                awaited: &awaited,
                out_of_patience,
            };
            let deciding = Deciding::new(&known);
            for at in 0..self.cases.len() {
                let decision = deciding.decide(at);
                rejected.extend(decision.rejected);
                if decision.wait {
                    left.push(at);
                }
                match decision.write {
                    Some(write) if leans_on_silver(&write) => from_silver.push((at, write)),
                    Some(write) => {
                        order.push(write.row);
                        elsewhere.insert(write.row, write.cells);
                    }
                    None => {}
                }
            }
        }
        let rejected = self.taken_over(rejected).await?;
        self.reject(rejected).await?;
        self.put(order, elsewhere, HashMap::new(), &[]).await?;
        for portion in portions(from_silver, &stored) {
            left.extend(self.put_from_silver(portion).await?);
        }
        left.sort_unstable();
        Ok(left)
    }

    /// What silver holds of the cases' keys, and of those they had before.
    async fn stored(&self) -> Result<HashMap<Vec<u8>, Vec<Stored>>> {
        let mut keys: BTreeMap<Vec<u8>, Vec<Data>> = BTreeMap::new();
        for case in &self.cases {
            keys.insert(case.key.0.clone(), case.key.1.clone());
        }
        let mut columns = BTreeSet::new();
        for doubt in self.rows.doubts() {
            columns.extend(doubt.columns.iter().copied());
            if let Some(cells) = &doubt.moved_from {
                keys.insert(key_bytes(cells, 0), cells.clone());
            }
        }
        let keys: Vec<Key> = keys.into_iter().collect();
        let columns: Vec<String> = columns
            .into_iter()
            .filter_map(|at| Some(self.rows.columns().get(at)?.0.clone()))
            .collect();
        self.versions(&keys, &columns).await
    }

    async fn dead_letters(&self) -> Result<HashMap<Vec<u8>, Vec<u64>>> {
        let keys: BTreeSet<Vec<u8>> = self
            .letters
            .iter()
            .filter_map(|letter| letter.key.clone())
            .collect();
        let keys: Vec<Vec<u8>> = keys.into_iter().collect();
        let Target {
            clickhouse,
            ops,
            job,
            ..
        } = self.target;
        looked_up(&job.name, || {
            recall::dead_letters(clickhouse, ops, &job.topic, &keys)
        })
        .await
    }

    async fn reject(&mut self, rejected: Vec<(usize, usize)>) -> Result<()> {
        let mut letters = Vec::new();
        for (doubt, column) in rejected {
            let declared = self.target.job.columns.get(column);
            if let Some(letter) = self.letters.get(doubt) {
                letters.push(DeadLetter {
                    reason: Reason::ToastPlaceholder.as_str(),
                    column: declared.map_or(String::new(), |column| column.source.clone()),
                    ..letter.clone()
                });
            }
        }
        let places = letters
            .iter()
            .map(|letter| (letter.partition, letter.offset));
        self.written.rejected.extend(places);
        self.target.write_dead_letters(&letters).await
    }

    /// Reads the values of one portion and writes its rows; gives the cases whose values a merge has just taken.
    async fn put_from_silver(&mut self, portion: Vec<(usize, Write)>) -> Result<Vec<usize>> {
        let mut wanted: BTreeMap<(Vec<u8>, u64), Vec<Data>> = BTreeMap::new();
        let mut columns = BTreeSet::new();
        for (at, write) in &portion {
            for (column, found) in &write.cells {
                if let Found::Silver(key, version) = found {
                    columns.insert(*column);
                    let cells = self.key_of(*at, key);
                    wanted.insert((key.clone(), *version), cells);
                }
            }
        }
        let wanted: Vec<(Key, u64)> = wanted
            .into_iter()
            .map(|((key, version), cells)| ((key, cells), version))
            .collect();
        let columns: Vec<usize> = columns.into_iter().collect();
        let named: Vec<(String, crate::column::Type)> = columns
            .iter()
            .filter_map(|at| self.rows.columns().get(*at).cloned())
            .collect();
        let (places, values) = self.values(&wanted, &named).await?;
        let mut found: Vec<Option<Data>> = vec![None; self.rows.columns().len()];
        for (column, data) in columns.into_iter().zip(values) {
            if let Some(slot) = found.get_mut(column) {
                *slot = Some(data);
            }
        }
        let (mut order, mut elsewhere, mut vanished) = (Vec::new(), HashMap::new(), Vec::new());
        for (at, write) in portion {
            let there = write.cells.iter().all(|(_, found)| match found {
                Found::Silver(key, version) => places.contains_key(&(key.clone(), *version)),
                _ => true,
            });
            if there {
                order.push(write.row);
                elsewhere.insert(write.row, write.cells);
            } else {
                vanished.push(at);
            }
        }
        self.put(order, elsewhere, places, &found).await?;
        Ok(vanished)
    }

    /// The cells of a key: the case's own, or that which a row of it had before.
    fn key_of(&self, at: usize, key: &[u8]) -> Vec<Data> {
        let own = self.cases.get(at).filter(|case| case.key.0 == key);
        let other = || self.cases.iter().find(|case| case.key.0 == key);
        if let Some(case) = own.or_else(other) {
            return case.key.1.clone();
        }
        let mut before = self
            .rows
            .doubts()
            .iter()
            .filter_map(|doubt| doubt.moved_from.as_ref());
        let found = before.find(|cells| key_bytes(cells, 0) == key);
        found.cloned().unwrap_or_default()
    }

    /// Writes these rows as one block.
    async fn put(
        &mut self,
        mut order: Vec<u32>,
        elsewhere: HashMap<u32, Vec<(usize, Found)>>,
        places: HashMap<(Vec<u8>, u64), u32>,
        found: &[Option<Data>],
    ) -> Result<()> {
        if order.is_empty() {
            return Ok(());
        }
        self.rows.sort_by_key(&mut order);
        let mut cells: BTreeMap<usize, Vec<(usize, Cell)>> = BTreeMap::new();
        for (place, row) in order.iter().enumerate() {
            for (column, from) in elsewhere.get(row).into_iter().flatten() {
                let cell = match from {
                    Found::Row(row) => Cell::Row(*row),
                    Found::Silver(key, version) => match places.get(&(key.clone(), *version)) {
                        Some(at) => Cell::Found(*at),
                        None => Cell::Default,
                    },
                    Found::Nothing | Found::NotYet => Cell::Default,
                };
                cells.entry(*column).or_default().push((place, cell));
            }
        }
        let block = self.rows.block(&order, &cells, found);
        self.written.rows += block.rows();
        self.target.write_block(block).await
    }
}

async fn looked_up<T, F: Future<Output = Result<T>>>(
    job: &str,
    ask: impl FnMut() -> F,
) -> Result<T> {
    let found = patiently(job, ask).await;
    found.context("look up what a row keeps")
}
