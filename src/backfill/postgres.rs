//! Rows of the source database, chunk by chunk, under the version rule of `snapshot::version`.
//!
//! The ends of the topic are read once, before the first chunk. What a later chunk holds beyond them comes again from Kafka,
//! at or above the ends, and wins; so every chunk may have a snapshot of its own.

use super::chunk::{Chunk, From, Part, Request, numbered};
use super::ledger::Counted;
use super::run::Pacing;
use crate::catalog::{Source, TableName};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::job::SilverJob;
use crate::migrate::silver::{qualified, table_name};
use crate::sink::checkpoints;
use crate::sink::clickhouse::ClickHouse;
use crate::sink::stored::{self, Stored};
use crate::sink::touches::Touches;
use crate::snapshot::{self, Axis, Between, Bound, Cuts, Ends, Left, Reading, Snapshot, Stamping};

/// Rows of a chunk: what a kill costs at most, for each that was under way.
pub(super) const CHUNK: u64 = 50_000;

pub(super) struct Table {
    config: Config,
    clickhouse: ClickHouse,
    job: SilverJob,
    reading: Reading,
    axis: Axis,
    /// the whole of what was asked for
    from: Option<Bound>,
    to: Option<Bound>,
    /// quoted
    silver: String,
    touches: Touches,
    ends: Option<Ends>,
    pub(super) name: TableName,
    pub(super) show: String,
}

impl Table {
    pub(super) async fn open(
        config: &Config,
        clickhouse: &ClickHouse,
        job: &SilverJob,
        request: &Request,
    ) -> Result<Table> {
        let From::Postgres(name) = &request.source else {
            return Err(Error::new(Kind::Internal, "another source was asked for"));
        };
        let source = Source::connect(&config.postgres).await?;
        let table = source.table(name).await?;
        let reading = Reading::new(job, &table)?;
        if let Some(left) = reading.left_out.iter().find(|left| !left.readable) {
            let message = format!(
                "job {}: column {} cannot be read: {}",
                job.name, left.column, left.why
            );
            return Err(Error::new(Kind::Mismatch, message));
        }
        let axis = match (request.from, request.to) {
            (None, None) => Axis::of_key(&reading, &table),
            _ => Axis::of_time(&reading, &table)?,
        };
        let names = &config.clickhouse;
        Ok(Table {
            from: request.from.map(|at| axis.instant(at)),
            to: request.to.map(|at| axis.instant(at)),
            silver: qualified(&names.silver, &table_name(job)),
            touches: Touches::new(job, clickhouse, &names.silver, &names.ops),
            show: format!(
                "postgres table {name}{}, in parts of {}",
                request.show_range(&axis.show()),
                axis.show()
            ),
            config: config.clone(),
            clickhouse: clickhouse.clone(),
            job: job.clone(),
            reading,
            axis,
            name: name.clone(),
            ends: None,
        })
    }

    /// The chunks, and what a person should know before they are read.
    pub(super) async fn cut(&self, rows: u64) -> Result<(Vec<Chunk>, Vec<String>)> {
        let source = Source::connect(&self.config.postgres).await?;
        let snapshot = Snapshot::open(&source, &self.reading).await?;
        let between = Between {
            from: self.from.as_ref(),
            to: self.to.as_ref(),
        };
        let cuts = snapshot.cuts(&self.axis, between, rows).await?;
        let mut notes = Vec::new();
        if !snapshot.is_indexed(&self.axis).await? {
            notes.push(format!(
                "no index of the table begins with {}: each chunk reads the whole table",
                self.axis.show()
            ));
        }
        snapshot.close().await?;
        Ok((self.chunks(cuts, rows), notes))
    }

    /// The first and the last reach as far as what was asked for: rows that come meanwhile are in one of them.
    fn chunks(&self, cuts: Cuts, rows: u64) -> Vec<Chunk> {
        if cuts.rows == 0 {
            return Vec::new();
        }
        let froms = std::iter::once(self.from.clone()).chain(cuts.bounds.iter().cloned().map(Some));
        let tos = cuts.bounds.iter().cloned().map(Some);
        let tos = tos.chain(std::iter::once(self.to.clone()));
        let mut left = cuts.rows;
        numbered(froms.zip(tos).map(|(from, to)| {
            let size = left.min(rows);
            left -= size;
            (Part::Rows { from, to }, size)
        }))
    }

    /// The ends come first: what is below them is in what is read from the source afterwards. A key that silver does not
    /// know has had no change below them only once ingest has read all of those.
    pub(super) async fn begin(&mut self, request: &Request) -> Result<()> {
        let (config, job) = (&self.config, &self.job);
        let reached = snapshot::reached(&config.kafka, job).await?;
        checkpoints::check_identity(&self.clickhouse, config, job, &reached.identity).await?;
        let patience = request.patience;
        let behind = snapshot::caught_up(&self.clickhouse, config, job, &reached, patience).await?;
        if let Some(behind) = behind {
            return Err(behind.error(job));
        }
        self.ends = Some(reached.ends);
        Ok(())
    }

    pub(super) async fn fill(&self, chunk: &Chunk, pacing: &Pacing) -> Result<Counted> {
        let (Part::Rows { from, to }, Some(ends)) = (&chunk.part, &self.ends) else {
            return Err(Error::new(Kind::Internal, "a chunk of another source"));
        };
        let source = Source::connect(&self.config.postgres).await?;
        let snapshot = Snapshot::open(&source, &self.reading).await?;
        let stamping = Stamping {
            reading: &self.reading,
            ends,
            lsn: snapshot.lsn,
            time: snapshot.time,
            caught_up: true,
        };
        let key = &self.reading.key;
        let stored = Stored::new(&self.clickhouse, self.silver.clone(), key, Vec::new());
        let (mut counted, mut left) = (Counted::default(), Left::default());
        let between = Between {
            from: from.as_ref(),
            to: to.as_ref(),
        };
        let most_rows = pacing.rate.most_at_once();
        let mut read = snapshot.part(&self.axis, between, most_rows).await?;
        while let Some(rows) = read.next().await? {
            let places = self.reading.key_places(&rows.block);
            let newest = stored.newest_of_rows(&rows.block, &places).await?;
            let known = |key: &_| newest.get(key).map(|newest| (*newest).into());
            let block = stamping.rows(&rows.block, known, &mut left);
            let touches = Some(&self.touches);
            stored::insert(&self.clickhouse, &self.silver, &block, touches).await?;
            for refused in &rows.refused {
                counted.refuse(refused.reason, refused.column.clone());
            }
            let count = (rows.block.rows() + rows.refused.len()) as u64;
            counted.rows += count;
            counted.written += block.rows() as u64;
            pacing.spend(count, block.rows() as u64).await;
        }
        snapshot.close().await?;
        if left.exhausted > 0 {
            let message = format!(
                "job {}: {} keys were rewritten 255 times while their partition stood still",
                self.job.name, left.exhausted
            );
            return Err(
                Error::new(Kind::NotFresh, message).advise("try again after the next change")
            );
        }
        counted.newer = left.newer;
        Ok(counted)
    }
}
