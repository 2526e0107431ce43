//! Lines of a CSV file, chunk by chunk: rows that lose to every change of the topic, and to every row that silver has already.
//!
//! Lines are read in their order: of those with one key the first stays, or with `--overwrite` the last.

mod cell;
mod header;
mod reading;
mod record;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::task::spawn_blocking;

use super::chunk::{Chunk, Part, Request, numbered};
use super::ledger::Counted;
use super::run::Pacing;
use crate::batch::DeadLetter;
use crate::column::{Block, KeyColumns};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::ingest::Breaker;
use crate::job::SilverJob;
use crate::migrate::silver::{qualified, table_name};
use crate::sink::clickhouse::ClickHouse;
use crate::sink::dead_letters;
use crate::sink::stored::{self, Stored};
use crate::sink::touches::Touches;
use crate::snapshot::{self, NoRoom};
use header::Layout;
use reading::Reading;

/// Lines of a chunk: what a kill costs at most.
pub(super) const CHUNK: u64 = 50_000;

/// What is asked of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Csv {
    pub path: PathBuf,
    pub delimiter: u8,
    /// rows whose keys silver knows are written, too
    pub overwrite: bool,
}

pub(super) struct Lines {
    csv: Csv,
    clickhouse: ClickHouse,
    ops: String,
    layout: Arc<Layout>,
    key: KeyColumns,
    /// quoted
    silver: String,
    touches: Touches,
    /// whose dead letters are told from those of the topic
    letters_of: SilverJob,
    breaker: Arc<Mutex<Breaker>>,
    /// an earlier try may have written rows, and not told it
    again: AtomicBool,
    cut: reading::Cut,
    pub(super) show: String,
}

impl Lines {
    /// Reads the file once: where it is cut, and what tells it from another.
    pub(super) async fn open(
        config: &Config,
        clickhouse: &ClickHouse,
        job: &SilverJob,
        csv: &Csv,
        request: &Request,
    ) -> Result<Lines> {
        let (asked, of, step) = (csv.clone(), job.clone(), request.chunk.unwrap_or(CHUNK));
        let cutting = spawn_blocking(move || reading::cut(&asked, &of, step));
        let (layout, cut) = cutting.await.map_err(Error::panicked)??;
        let names = &config.clickhouse;
        let name = file_name(&csv.path);
        let over = if csv.overwrite {
            ", over known keys"
        } else {
            ""
        };
        Ok(Lines {
            csv: csv.clone(),
            clickhouse: clickhouse.clone(),
            ops: names.ops.clone(),
            layout: Arc::new(layout),
            key: KeyColumns::of(job),
            silver: qualified(&names.silver, &table_name(job)),
            touches: Touches::new(job, clickhouse, &names.silver, &names.ops),
            letters_of: SilverJob {
                topic: format!("{}{name}", dead_letters::FILE),
                ..job.clone()
            },
            breaker: Arc::default(),
            again: AtomicBool::new(false),
            cut,
            show: format!("csv file {name}{over}"),
        })
    }

    /// What tells one request from another.
    pub(super) fn identity(&self) -> String {
        let delimiter = char::from(self.csv.delimiter);
        format!("{} {} {delimiter:?}", self.show, self.cut.digest)
    }

    pub(super) fn chunks(&self) -> Vec<Chunk> {
        numbered(self.cut.parts.iter().cloned())
    }

    /// Some of these lines were perhaps written before.
    pub(super) fn again(&self) {
        self.again.store(true, Ordering::Relaxed);
    }

    pub(super) async fn fill(&self, chunk: &Chunk, pacing: &Pacing) -> Result<Counted> {
        let filled = self.fill_once(chunk, pacing).await;
        if filled.is_err() {
            self.again();
        }
        filled
    }

    async fn fill_once(&self, chunk: &Chunk, pacing: &Pacing) -> Result<Counted> {
        let Part::Lines { .. } = chunk.part else {
            return Err(Error::new(Kind::Internal, "a chunk of another source"));
        };
        let mut reading = Reading::open(&self.csv, &self.layout, &self.breaker, &chunk.part)?;
        let mut counted = Counted::default();
        loop {
            let most = pacing.rate.most_at_once();
            let working = spawn_blocking(move || {
                let lines = reading.next(most);
                (reading, lines)
            });
            let (back, lines) = working.await.map_err(Error::panicked)?;
            reading = back;
            let lines = lines?;
            if lines.count == 0 {
                return Ok(counted);
            }
            self.write_letters(&lines.refused).await?;
            let written = self.write(&lines.block).await?;
            for letter in &lines.refused {
                let column = Some(letter.column.clone()).filter(|column| !column.is_empty());
                counted.refuse(letter.reason, column);
            }
            counted.rows += lines.count;
            counted.written += written;
            // a later line of the same key is left alone, too
            counted.newer += lines.count - lines.refused.len() as u64 - written;
            pacing.spend(lines.count, written).await;
        }
    }

    async fn write_letters(&self, letters: &[DeadLetter]) -> Result<()> {
        let written = dead_letters::write(&self.clickhouse, &self.ops, &self.letters_of, letters);
        written
            .await
            .map_err(|error| error.context("write dead letters"))
    }

    async fn write(&self, block: &Block) -> Result<u64> {
        if self.again.load(Ordering::Relaxed) {
            // silver knows these keys now: below they are left alone
            self.touches.touch(&self.touches.of_rows(block)).await?;
        }
        let names = self.key.iter().map(|(name, _)| name);
        let places: Vec<usize> = names.filter_map(|name| block.place(name)).collect();
        let stored = Stored::new(&self.clickhouse, self.silver.clone(), &self.key, Vec::new());
        let newest = stored.newest_of_rows(block, &places).await?;
        let mut stamps = Vec::with_capacity(block.rows());
        let (mut kept, mut exhausted) = (Vec::with_capacity(block.rows()), 0);
        for row in 0..block.rows() {
            let known = newest.get(&block.key(row, &places));
            let known = known.map(|newest| (*newest).into());
            let epoch = self.layout.job.epoch;
            let stamp = snapshot::stamp_of_file(epoch, known, self.csv.overwrite);
            exhausted += u64::from(stamp == Err(NoRoom::Revisions));
            kept.push(stamp.is_ok());
            stamps.extend(stamp.ok().map(|stamp| (stamp.version, stamp.partition)));
        }
        if exhausted > 0 {
            let message = format!(
                "job {}: {exhausted} keys were written over 255 times since their last change",
                self.layout.job.name
            );
            return Err(Error::new(Kind::Mismatch, message));
        }
        let mut block = block.keep(|row| kept.get(row) == Some(&true));
        block.stamp(&stamps);
        let touches = Some(&self.touches);
        stored::insert(&self.clickhouse, &self.silver, &block, touches).await?;
        Ok(block.rows() as u64)
    }
}

fn file_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}
