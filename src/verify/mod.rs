//! Silver held against the source database: checksums of key ranges, and the keys where they differ.
//!
//! ```text
//! snapshot ─ chunks by key ─▶ sum = sum of silver's range? ── yes: next range
//!                                        └─ no: halves, down to the keys that differ ─▶ looked at again until they
//!                                           are equal, or have stayed different ─▶ reported, --repair
//! ```
//!
//! | file | what it holds |
//! |---|---|
//! | `scan` | all rows once: ranges, sums, suspects |
//! | `settle` | suspects looked at again: what was on its way is equal by then |
//! | `repair` | just these keys, read again and written under the version rule |

mod repair;
mod scan;
mod settle;

use std::time::{Duration, Instant};

pub use repair::Repaired;
use scan::Suspects;

use crate::catalog::{Database, System, TableName};
use crate::column::{Key, Type};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::job::SilverJob;
use crate::migrate::evolved;
use crate::migrate::silver::{qualified, table_name};
use crate::sink::clickhouse::ClickHouse;
use crate::sink::stored::{Compared, Stored};
use crate::snapshot::{Behind, LeftOut, Reading, Snapshot};

/// What `bullion verify` is asked to do.
pub struct Request {
    pub job: SilverJob,
    /// whose table it is
    pub system: System,
    pub table: TableName,
    /// only so many percent of the source's pages, and no search for rows that only silver has
    pub sample: Option<u8>,
    /// how long a key has to stay different, unchanged on both sides, before it is reported
    pub patience: Duration,
    pub repair: bool,
}

pub struct Report {
    pub table: TableName,
    /// the source's position in its log when the rows were read, where it tells one
    pub position: Option<String>,
    pub rows: u64,
    pub ranges: u64,
    pub differences: Vec<Difference>,
    /// looked different once, and were equal when looked at again
    pub in_flight: u64,
    /// changed on one side or the other as long as they were looked at
    pub changing: u64,
    /// NULL in silver by `toast = "null"`, where the source has a value
    pub unsent: u64,
    /// only in silver, by `delete = "ignore"`
    pub kept: u64,
    pub left_out: Vec<LeftOut>,
    /// so many suspects that not all of them were looked at
    pub cut: bool,
    /// ingest has not read what the topic held when the differences were seen
    pub behind: Option<Behind>,
    pub repaired: Option<Repaired>,
    pub seconds: f64,
}

/// A key whose row is not the same on both sides. Values are never part of it.
#[derive(Clone, Debug)]
pub struct Difference {
    /// name and value of each key column
    pub key: Vec<(String, String)>,
    pub what: What,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// the source has it, silver does not
    Missing,
    /// silver has it, the source does not
    Extra,
    /// columns whose values differ
    Different(Vec<String>),
    /// the job's own rules reject the source's row
    Refused {
        reason: &'static str,
        column: Option<String>,
    },
}

/// Everything that both sides are asked through.
struct Sides<'a> {
    config: &'a Config,
    /// with what its table has beyond its file
    job: &'a SilverJob,
    clickhouse: &'a ClickHouse,
    source: &'a Database,
    reading: &'a Reading,
    stored: Stored<'a>,
    request: &'a Request,
}

pub async fn run(config: &Config, request: &Request) -> Result<Report> {
    let began = Instant::now();
    let clickhouse = ClickHouse::connect(&config.clickhouse).await?;
    let silver = &config.clickhouse.silver;
    let job =
        &evolved::verified(&clickhouse, (silver, &config.clickhouse.ops), &request.job).await?;
    let mut source = Database::connect(config, request.system).await?;
    let table = source.table(&request.table).await?;
    let reading = Reading::new(job, &table)?;
    let name = qualified(silver, &table_name(job));
    let sides = Sides {
        config,
        job,
        clickhouse: &clickhouse,
        source: &source,
        reading: &reading,
        stored: Stored::new(&clickhouse, name, &reading.key, compared(&reading)),
        request,
    };
    let snapshot = Snapshot::of(&source, &reading).await?;
    let position = snapshot.position.clone();
    let mut suspects = Suspects::default();
    let scanned = match request.sample {
        None => scan::all(&sides, &snapshot, &mut suspects).await?,
        Some(percent) => scan::some(&sides, &snapshot, percent, &mut suspects).await?,
    };
    // the rest of a scan that was cut short is still on its way over the first connection
    let fresh;
    let source = if suspects.cut {
        fresh = Database::connect(config, request.system).await?;
        &fresh
    } else {
        snapshot.close().await?;
        &source
    };
    let sides = Sides { source, ..sides };
    let cut = suspects.cut;
    let mut settled = settle::settle(&sides, suspects).await?;
    let mut repaired = None;
    if request.repair && !settled.differences.is_empty() {
        let keys: Vec<_> = settled
            .differences
            .iter()
            .map(|(key, _)| key.clone())
            .collect();
        repaired = Some(repair::repair(&sides, &keys).await?);
        settled.look_again(&sides).await?;
    }
    let shown = |(key, what): (Key, What)| {
        let names = reading.key.iter().map(|(name, _)| name.clone());
        Difference {
            key: names.zip(reading.key.texts(&key)).collect(),
            what,
        }
    };
    Ok(Report {
        table: request.table.clone(),
        position,
        rows: scanned.rows,
        ranges: scanned.ranges,
        differences: settled.differences.into_iter().map(shown).collect(),
        in_flight: settled.in_flight,
        changing: settled.changing,
        unsent: settled.unsent,
        kept: settled.kept,
        left_out: reading.left_out.clone(),
        cut,
        behind: settled.behind,
        repaired,
        seconds: began.elapsed().as_secs_f64(),
    })
}

/// The columns whose values are known on both sides.
fn compared(reading: &Reading) -> Vec<Compared> {
    let left_out = |name: &String| reading.left_out.iter().any(|left| left.column == *name);
    let columns = reading
        .job
        .columns
        .iter()
        .filter(|column| !left_out(&column.name));
    columns
        .map(|column| Compared {
            name: column.name.clone(),
            is_digits: reading.is_decimal(&column.name) && column.kind.is_text(),
            is_array: matches!(column.kind, Type::Array(_)),
        })
        .collect()
}

impl Report {
    /// How the command ends: nothing where both sides are equal.
    pub fn error(&self, job: &SilverJob) -> Option<Error> {
        let found = self.differences.len();
        if found == 0 {
            return None;
        }
        if let Some(behind) = &self.behind {
            let message = format!(
                "job {}: {found} keys differ, but ingest has not read what the topic held then: partition {} is at offset \
                 {} of {}",
                job.name, behind.partition, behind.next_offset, behind.end
            );
            return Some(Error::new(Kind::NotFresh, message).advise(format!(
                "`bullion ingest {} --until-caught-up`, then verify again",
                job.name
            )));
        }
        let more = if self.cut { "at least " } else { "" };
        let message = format!(
            "job {}: {more}{found} keys differ between silver and {}",
            job.name, self.table
        );
        Some(Error::new(Kind::Differs, message))
    }
}
