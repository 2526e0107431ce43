//! How far the archive is in partitions that are about to be read.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use super::Store;
use super::name::{Covers, covered, date_folder, folder, parse_date};
use crate::error::Result;

/// Of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reached {
    /// first offset that is in no file
    pub next: i64,
    /// of the newest file
    pub date: Option<NaiveDate>,
}

/// From these offsets on, without a gap. Newest dates are looked at first, and no more of them than are needed.
pub async fn reached(
    store: &Store,
    topic: &str,
    epoch: u8,
    starts: &BTreeMap<i32, i64>,
) -> Result<BTreeMap<i32, Reached>> {
    let mut found: BTreeMap<i32, Vec<Covers>> = BTreeMap::new();
    let mut newest: BTreeMap<i32, NaiveDate> = BTreeMap::new();
    let mut open = starts.clone();
    for date in store
        .look(&folder(topic, epoch))
        .await?
        .folders
        .iter()
        .rev()
    {
        if open.is_empty() {
            break;
        }
        let Some(date) = parse_date(date) else {
            continue;
        };
        let listing = store.look(&date_folder(topic, epoch, date)).await?;
        for covers in listing.files.iter().filter_map(|name| Covers::parse(name)) {
            let Some(start) = starts.get(&covers.partition) else {
                continue;
            };
            newest.entry(covers.partition).or_insert(date);
            if covers.from <= *start {
                open.remove(&covers.partition);
            }
            found.entry(covers.partition).or_default().push(covers);
        }
    }
    let of = |(partition, start): (&i32, &i64)| {
        let files = found.get(partition).into_iter().flatten();
        let reached = Reached {
            next: covered(files, *start),
            date: newest.get(partition).copied(),
        };
        (*partition, reached)
    };
    Ok(starts.iter().map(of).collect())
}
