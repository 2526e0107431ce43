//! Which event times the rows of silver that were written lie in, and lay in before: gold's windows of both are dirty.
//!
//! ```text
//! their times into <name>_times ─▶ rows are visible ─▶ which other times do their keys have there? ─▶ ops.touches
//!                                                            ─▶ those other times are marked as left ─▶ offsets committed
//! ```
//!
//! `<name>_times` has one row for each key and each quarter of an hour that the key was in since it was last left. The
//! versions in silver cannot say it: a merge takes the old ones.
//!
//! A crash before the commit brings the rows again, and an earlier time is not left before it was touched. What comes again
//! may come as one block with newer rows of the same keys, and is collapsed to them; the times of rows that were seen in
//! between are in `<name>_times` by then, because they were entered before anybody could see the rows.
//!
//! Writers need no order among each other: one writes its rows' times before it asks, so of two that move one key, either
//! the later one finds the other's time, or the other touches its own time after that.

mod lookup;
mod whole;

use std::collections::BTreeSet;

use bytes::Bytes;
use clickhouse::Row;
use serde::Serialize;

use super::clickhouse::{ClickHouse, quote};
use crate::column::{Block, Data, Type, seconds_of};
use crate::error::{Context as _, Result};
use crate::failpoint::{self, Point};
use crate::job::{EarlierTime, SilverJob};
use crate::migrate::silver::{qualified, sorting_key, table_name};
use crate::migrate::times;
use crate::window::Bucket;
use lookup::Earlier;

/// Tracks what one job's rows touch; does nothing where the job declares no time column.
#[derive(Clone)]
pub struct Touches {
    clickhouse: ClickHouse,
    ops: String,
    job: String,
    tracked: Option<Tracked>,
}

#[derive(Clone)]
struct Tracked {
    time: String,
    key: Vec<String>,
    earlier: EarlierTime,
    /// quoted
    times: String,
    /// silver's own table, quoted
    versions: String,
}

#[derive(Row, Serialize)]
struct Touched {
    job: String,
    bucket: i32,
}

impl Touches {
    pub fn new(job: &SilverJob, clickhouse: &ClickHouse, silver: &str, ops: &str) -> Touches {
        let tracked = job.time_column.clone().zip(job.earlier_time());
        Touches {
            clickhouse: clickhouse.clone(),
            ops: ops.to_owned(),
            job: job.name.clone(),
            tracked: tracked.map(|(time, earlier)| Tracked {
                time,
                key: sorting_key(job),
                earlier,
                times: qualified(silver, &times::table_name(job)),
                versions: qualified(silver, &table_name(job)),
            }),
        }
    }

    /// Of a table that nobody reads yet: nothing is tracked.
    pub fn none(job: &SilverJob, clickhouse: &ClickHouse, ops: &str) -> Touches {
        Touches {
            clickhouse: clickhouse.clone(),
            ops: ops.to_owned(),
            job: job.name.clone(),
            tracked: None,
        }
    }

    /// Before the block's rows are visible: where they will be. Again after any error.
    pub async fn announce(&self, block: &Block) -> Result<()> {
        match &self.tracked {
            Some(tracked) if tracked.earlier.is_kept() && !block.is_empty() => {
                let entries = Rows::of(tracked, block).entries(block);
                let entered = self.enter(tracked, entries).await;
                entered.context("note the times of rows")?;
                failpoint::pass(Point::TimesEntered).await;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// After the block's rows were announced and are visible, and before anything says that they are done. Again after any error.
    pub async fn record(&self, block: &Block) -> Result<()> {
        match &self.tracked {
            Some(tracked) if !block.is_empty() => {
                let recorded = self.record_rows(tracked, block).await;
                recorded.context("record which times were touched")
            }
            _ => Ok(()),
        }
    }

    async fn record_rows(&self, tracked: &Tracked, block: &Block) -> Result<()> {
        let rows = Rows::of(tracked, block);
        let mut touched: BTreeSet<Bucket> = rows.buckets.iter().flatten().copied().collect();
        let mut earlier = Earlier::default();
        if tracked.earlier.is_kept() {
            earlier = self.earlier(tracked, block, &rows).await?;
            touched.extend(&earlier.buckets);
        }
        self.touch(&touched).await?;
        failpoint::pass(Point::Touched).await;
        self.enter(tracked, earlier.left).await
    }

    /// Where rows that no message brought will be, and where their keys are until then. After they were announced.
    pub async fn affected(&self, block: &Block) -> Result<BTreeSet<Bucket>> {
        let Some(tracked) = self.tracked.as_ref().filter(|_| !block.is_empty()) else {
            return Ok(BTreeSet::new());
        };
        let rows = Rows::of(tracked, block);
        let found = match tracked.earlier {
            EarlierTime::OfNone => Ok(BTreeSet::new()),
            EarlierTime::Told => self.current(tracked, block).await,
            EarlierTime::OfDeleted | EarlierTime::OfAll => {
                let earlier = self.earlier(tracked, block, &rows).await;
                earlier.map(|earlier| earlier.buckets)
            }
        };
        let mut affected = found.context("look up the times of rows")?;
        affected.extend(rows.buckets.iter().flatten());
        Ok(affected)
    }

    /// Where a block's own rows are.
    pub fn of_rows(&self, block: &Block) -> BTreeSet<Bucket> {
        let rows = self
            .tracked
            .as_ref()
            .map(|tracked| Rows::of(tracked, block));
        let buckets = rows.map(|rows| rows.buckets).unwrap_or_default();
        buckets.into_iter().flatten().collect()
    }

    /// After what changed there is visible.
    pub async fn touch(&self, buckets: &BTreeSet<Bucket>) -> Result<()> {
        let touched: Vec<Touched> = buckets
            .iter()
            .map(|bucket| Touched {
                job: self.job.clone(),
                bucket: bucket.0,
            })
            .collect();
        if touched.is_empty() {
            return Ok(());
        }
        let table = format!("{}.touches", quote(&self.ops));
        self.clickhouse.insert_rows(&table, &touched).await
    }

    async fn enter(&self, tracked: &Tracked, times: Block) -> Result<()> {
        if times.is_empty() {
            return Ok(());
        }
        let mut body = Vec::with_capacity(times.bytes());
        times.encode_native(&mut body);
        let names: Vec<&str> = times
            .columns()
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        self.clickhouse
            .insert_native(&tracked.times, &names, Bytes::from(body))
            .await
    }
}

/// What is asked of a block's rows.
struct Rows {
    /// places of the key's columns
    key: Vec<usize>,
    /// nothing for a deleted row that does not tell its time
    buckets: Vec<Option<Bucket>>,
    versions: Vec<u64>,
    deleted: Vec<bool>,
}

impl Rows {
    fn of(tracked: &Tracked, block: &Block) -> Rows {
        let cells = |name: &str| block.place(name).and_then(|place| block.data(place));
        let place = block.place(&tracked.time);
        let time =
            place.and_then(|place| Some((&block.columns().get(place)?.1, block.data(place)?)));
        let deleted = cells("_deleted");
        let versions = cells("_version");
        let mut rows = Rows {
            key: tracked
                .key
                .iter()
                .filter_map(|name| block.place(name))
                .collect(),
            buckets: Vec::with_capacity(block.rows()),
            versions: Vec::with_capacity(block.rows()),
            deleted: Vec::with_capacity(block.rows()),
        };
        for row in 0..block.rows() {
            let is_deleted = deleted.and_then(|data| data.cell(row)) == Some(&[1]);
            let seconds = time.and_then(|(kind, data)| seconds_of(kind, data.cell(row)?));
            let bucket = seconds.map_or(Bucket::NO_TIME, Bucket::of_seconds);
            // the key of a deleted row is there, its other columns are not
            let tells = !is_deleted || tracked.earlier == EarlierTime::OfNone;
            rows.buckets.push(tells.then_some(bucket));
            rows.deleted.push(is_deleted);
            let version = versions.and_then(|data| data.cell(row)?.try_into().ok());
            rows.versions.push(version.map_or(0, u64::from_le_bytes));
        }
        rows
    }

    /// One row for each key that is there, and when.
    fn entries(&self, block: &Block) -> Block {
        let mut order = Vec::with_capacity(self.buckets.len());
        let mut times = Times::default();
        for (row, (bucket, version)) in self.buckets.iter().zip(&self.versions).enumerate() {
            if let Some(bucket) = bucket {
                order.push(row as u32);
                times.push(*bucket, *version, false);
            }
        }
        times.of_keys(self.keys(block, &order))
    }

    /// The key's columns of some rows.
    fn keys(&self, block: &Block, order: &[u32]) -> Vec<((String, Type), Data)> {
        let column = |place: &usize| {
            let named = block.columns().get(*place)?.clone();
            Some((named, block.data(*place)?.gather(order)))
        };
        self.key.iter().filter_map(column).collect()
    }
}

/// The columns of `<name>_times` beside the key.
#[derive(Default)]
struct Times {
    buckets: Vec<u8>,
    versions: Vec<u8>,
    left: Vec<u8>,
}

impl Times {
    fn push(&mut self, bucket: Bucket, version: u64, left: bool) {
        self.buckets.extend(bucket.0.to_le_bytes());
        self.versions.extend(version.to_le_bytes());
        self.left.push(u8::from(left));
    }

    fn of_keys(self, keys: Vec<((String, Type), Data)>) -> Block {
        let rows = self.left.len();
        let fixed = |width, bytes| Data::Fixed { width, bytes };
        let own = [
            (times::BUCKET, Type::Int32, fixed(4, self.buckets)),
            (times::VERSION, Type::UInt64, fixed(8, self.versions)),
            (times::LEFT, Type::UInt8, fixed(1, self.left)),
        ];
        let own = own.map(|(name, kind, data)| ((name.to_owned(), kind), data));
        let (columns, data) = keys.into_iter().chain(own).unzip();
        Block::new(columns, data, rows)
    }
}
