//! `ops.backfills` and `ops.backfill_chunks`: what was asked, what it was cut into, and what of it is done.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use clickhouse::Row;
use serde::{Deserialize, Serialize};

use super::{Chunk, Part};
use crate::error::{Error, Kind, Result};
use crate::ledger::host;
use crate::sink::clickhouse::{ClickHouse, literal, quote};

/// How a backfill stands. All but the last two may go on; where gold was not asked for, `filled` is an end, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Running,
    /// by a signal
    Stopped,
    Failed,
    /// every chunk is done, and the gold that was asked for with it is not built yet
    Filled,
    Done,
    /// `--restart` put another one in its place
    Replaced,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            State::Running => "running",
            State::Stopped => "stopped",
            State::Failed => "failed",
            State::Filled => "filled",
            State::Done => "done",
            State::Replaced => "replaced",
        }
    }
}

/// A backfill as the ledger knows it.
#[derive(Clone, Debug, Row, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) backfill: String,
    pub(super) job: String,
    pub(super) source: String,
    pub(super) spec: String,
    pub(super) state: String,
    pub(super) chunks: u32,
    pub(super) size: u64,
    pub(super) message: String,
    pub(super) host: String,
    recorded_at: i64,
    /// one more for each word on it; the lease lets one process speak
    version: u64,
}

#[derive(Row, Serialize)]
struct Word {
    backfill: String,
    number: u32,
    part: String,
    size: u64,
    state: String,
    rows: u64,
    written: u64,
    newer: u64,
    refused: u64,
    seconds: f64,
    recorded_at: i64,
    version: u64,
}

#[derive(Row, Deserialize)]
struct Cut {
    number: u32,
    part: String,
    size: u64,
    done: bool,
}

impl Entry {
    pub(super) fn is_filled(&self) -> bool {
        self.state == State::Filled.as_str()
    }

    /// When the last word on it was said, by the clock of the host that said it.
    pub(super) fn recorded_at(&self) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp_millis(self.recorded_at)
    }

    /// By the clock of the host where it was begun.
    pub(super) fn begun_at(&self) -> Option<DateTime<Utc>> {
        let id = uuid::Uuid::parse_str(&self.backfill).ok()?;
        let (seconds, nanos) = id.get_timestamp()?.to_unix();
        DateTime::from_timestamp(seconds.cast_signed(), nanos)
    }
}

/// What became of a chunk.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Counted {
    pub(super) rows: u64,
    pub(super) written: u64,
    pub(super) newer: u64,
    /// by reason and column
    pub(super) refused: HashMap<(&'static str, Option<String>), u64>,
}

impl Counted {
    pub(super) fn refused(&self) -> u64 {
        self.refused.values().sum()
    }

    pub(super) fn refuse(&mut self, reason: &'static str, column: Option<String>) {
        *self.refused.entry((reason, column)).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: Counted) {
        self.rows += other.rows;
        self.written += other.written;
        self.newer += other.newer;
        for (what, count) in other.refused {
            *self.refused.entry(what).or_default() += count;
        }
    }
}

#[derive(Clone)]
pub(super) struct Ledger {
    clickhouse: ClickHouse,
    ops: String,
}

impl Ledger {
    pub(super) fn new(clickhouse: &ClickHouse, ops: &str) -> Ledger {
        Ledger {
            clickhouse: clickhouse.clone(),
            ops: ops.to_owned(),
        }
    }

    /// The latest one of the job that was asked the same, where it has not ended.
    pub(super) async fn unfinished(
        &self,
        job: &str,
        spec: &str,
        then_gold: bool,
    ) -> Result<Option<Entry>> {
        let filled = if then_gold { "" } else { ", 'filled'" };
        let sql = format!(
            "SELECT backfill, toString(job) AS job, toString(source) AS source, spec, toString(state) AS state, chunks, size, message, \
             toString(host) AS host, toUnixTimestamp64Milli(recorded_at) AS recorded_at, version FROM {}.backfills_versions FINAL \
             WHERE job = {} AND spec = {} AND state NOT IN ('done', 'replaced'{filled}) ORDER BY backfill DESC LIMIT 1",
            quote(&self.ops),
            literal(job),
            literal(spec)
        );
        let found = self.clickhouse.all::<Entry>(&sql).await;
        Ok(found.map_err(missing)?.into_iter().next())
    }

    /// Its chunks, and which of them are left.
    pub(super) async fn chunks(&self, entry: &Entry) -> Result<(usize, Vec<Chunk>)> {
        let sql = format!(
            "SELECT number, part, size, CAST(state = 'done', 'Bool') AS done FROM {}.backfill_chunks_versions FINAL \
             WHERE backfill = {} ORDER BY number",
            quote(&self.ops),
            literal(&entry.backfill)
        );
        let cut = self.clickhouse.all::<Cut>(&sql).await.map_err(missing)?;
        let finished = cut.iter().filter(|cut| cut.done).count();
        let left = cut.into_iter().filter(|cut| !cut.done).map(|cut| {
            let part: Part = serde_json::from_str(&cut.part).map_err(|error| {
                let message = format!(
                    "chunk {} of backfill {} is none of ours",
                    cut.number, entry.backfill
                );
                Error::new(Kind::Mismatch, message)
                    .because(error)
                    .advise("begin anew: `--restart`")
            })?;
            Ok(Chunk {
                number: cut.number,
                part,
                size: cut.size,
            })
        });
        Ok((finished, left.collect::<Result<_>>()?))
    }

    /// Its chunks first: a backfill that stands has all of them.
    pub(super) async fn begin(
        &self,
        (job, source, spec): (&str, &str, &str),
        chunks: &[Chunk],
    ) -> Result<Entry> {
        let mut entry = Entry {
            // rises with time
            backfill: uuid::Uuid::now_v7().to_string(),
            job: job.to_owned(),
            source: source.to_owned(),
            spec: spec.to_owned(),
            state: String::new(),
            chunks: u32::try_from(chunks.len()).unwrap_or(u32::MAX),
            size: chunks.iter().map(|chunk| chunk.size).sum(),
            message: String::new(),
            host: host(),
            recorded_at: 0,
            version: 0,
        };
        let words: Vec<Word> = chunks
            .iter()
            .map(|chunk| word(&entry, chunk, None))
            .collect();
        self.write_chunks(&words).await?;
        self.say(&mut entry, State::Running, "").await?;
        Ok(entry)
    }

    /// How the whole stands from now on.
    pub(super) async fn say(&self, entry: &mut Entry, state: State, message: &str) -> Result<()> {
        state.as_str().clone_into(&mut entry.state);
        message.clone_into(&mut entry.message);
        entry.host = host();
        entry.recorded_at = Utc::now().timestamp_millis();
        entry.version += 1;
        let table = format!("{}.backfills_versions", quote(&self.ops));
        let written = self
            .clickhouse
            .insert_rows(&table, std::slice::from_ref(entry))
            .await;
        written.map_err(missing)
    }

    /// Its rows are durable.
    pub(super) async fn done(
        &self,
        entry: &Entry,
        chunk: &Chunk,
        counted: &Counted,
        seconds: f64,
    ) -> Result<()> {
        self.write_chunks(&[word(entry, chunk, Some((counted, seconds)))])
            .await
    }

    async fn write_chunks(&self, words: &[Word]) -> Result<()> {
        if words.is_empty() {
            return Ok(());
        }
        let table = format!("{}.backfill_chunks_versions", quote(&self.ops));
        let written = self.clickhouse.insert_rows(&table, words).await;
        written.map_err(missing)
    }
}

fn word(entry: &Entry, chunk: &Chunk, done: Option<(&Counted, f64)>) -> Word {
    let nothing = Counted::default();
    let (counted, seconds) = done.unwrap_or((&nothing, 0.0));
    Word {
        backfill: entry.backfill.clone(),
        number: chunk.number,
        part: serde_json::to_string(&chunk.part).unwrap_or_default(),
        size: chunk.size,
        state: if done.is_some() { "done" } else { "planned" }.to_owned(),
        rows: counted.rows,
        written: counted.written,
        newer: counted.newer,
        refused: counted.refused(),
        seconds,
        recorded_at: Utc::now().timestamp_millis(),
        version: if done.is_some() { 2 } else { 1 },
    }
}

fn missing(error: Error) -> Error {
    let advice = "run `bullion migrate`: it makes the ledger of backfills";
    crate::ledger::not_migrated(error, advice)
}
