//! Dead letters are tried again: the stored bytes, under the job as it is declared now.
//!
//! ```text
//! letters of one job and epoch ─▶ decode ─▶ rows at their first version ─▶ silver ─▶ mark as resolved
//!                                     └──▶ rejected again: the letter's new reason
//! ```
//!
//! A row is a pure function of its message and its job, and it carries the version that it would have had: so a newer
//! row of its key wins, a second replay changes nothing, and a kill between the row and its mark is harmless. The state
//! of a letter stands in a table that ingest never writes: a redelivery cannot open what was resolved.

use std::collections::BTreeMap;

use crate::batch::{Batch, DeadLetter};
use crate::config::Config;
use crate::envelope::{Decoder, Fate, Headers, Message, Reason};
use crate::error::{Error, Kind, Result};
use crate::ingest::Target;
use crate::job::{Jobs, SilverJob, unknown_job};
use crate::migrate;
use crate::registry::{self, Registry};
use crate::shutdown::Shutdown;
use crate::sink::clickhouse::ClickHouse;
use crate::sink::dead_letters::{self, FILE, Letter, Mark, Place};

/// Letters read, decoded and written at a time …
const LETTERS_AT_ONCE: usize = 500;
/// … and bytes of them: one large message is 16 MiB, and is held three times on its way.
const BYTES_AT_ONCE: u64 = 8 << 20;

/// What a replay made of the letters, by job.
#[derive(Debug, Default)]
pub struct Replayed {
    pub jobs: BTreeMap<String, Counted>,
}

#[derive(Debug, Default)]
pub struct Counted {
    pub rows: u64,
    pub skips: BTreeMap<&'static str, u64>,
    /// rejected again, by reason and column
    pub rejects: BTreeMap<(&'static str, String), u64>,
}

impl Replayed {
    pub fn rejected(&self) -> u64 {
        let all = self.jobs.values().flat_map(|job| job.rejects.values());
        all.sum()
    }
}

/// Everything that a replay needs beside the letters.
pub struct Replay<'a> {
    pub config: &'a Config,
    pub clickhouse: &'a ClickHouse,
    pub jobs: &'a Jobs,
    /// decode and count, and write nothing
    pub dry_run: bool,
    pub shutdown: &'a Shutdown,
}

impl Replay<'_> {
    /// Letters of jobs that are not declared any more, or that read another topic now, are refused before any other is
    /// touched.
    pub async fn run(&self, places: Vec<Place>) -> Result<Replayed> {
        let mut places = without_files(places);
        // letters of one job and epoch stand together, in the order of their versions within a partition
        places.sort_by(|a, b| {
            let by = |place: &Place| (place.epoch(), place.partition, place.version);
            (&a.job, by(a)).cmp(&(&b.job, by(b)))
        });
        let groups: Vec<&[Place]> = places
            .chunk_by(|a, b| a.job == b.job && a.epoch() == b.epoch())
            .collect();
        let mut declared = Vec::new();
        for group in &groups {
            declared.push(self.job_of(group).await?);
        }
        let mut replayed = Replayed::default();
        for (group, job) in groups.into_iter().zip(declared) {
            let counted = replayed.jobs.entry(job.name.clone()).or_default();
            self.group(job, group, counted).await?;
        }
        Ok(replayed)
    }

    /// The job under which these letters are read: as it is declared, in the epoch that they were written in.
    async fn job_of(&self, group: &[Place]) -> Result<SilverJob> {
        let name = group.first().map_or("", |place| place.job.as_str());
        let known = || self.jobs.silver.iter().map(|job| job.name.as_str());
        let declared = self.jobs.silver.iter().find(|job| job.name == name);
        let job = declared
            .cloned()
            .ok_or_else(|| unknown_job("silver", name, known()))?;
        if let Some(other) = group.iter().find(|place| place.topic != job.topic) {
            let message = format!(
                "job {name} reads topic {} now, and this letter is of topic {}: their offsets cannot be compared",
                job.topic, other.topic
            );
            return Err(Error::new(Kind::Mismatch, message).advise(format!(
                "leave it out with `--topic {}`, or discard it",
                job.topic
            )));
        }
        let names = &self.config.clickhouse;
        let databases = (names.silver.as_str(), names.ops.as_str());
        let mut job = migrate::evolved::verified(self.clickhouse, databases, &job).await?;
        job.epoch = group.first().map_or(job.epoch, Place::epoch);
        Ok(job)
    }

    async fn group(&self, job: SilverJob, group: &[Place], counted: &mut Counted) -> Result<()> {
        let names = &self.config.clickhouse;
        let target = Target::new(job, self.clickhouse.clone(), &names.silver, &names.ops).alone();
        let registry = Registry::new(&self.config.registry)?;
        let mut decoder = Decoder::new(&target.job);
        for some in chunks(group) {
            if let Some(signal) = self.shutdown.requested() {
                return Err(signal.error());
            }
            let letters = dead_letters::letters(self.clickhouse, &names.ops, some).await?;
            let mut batch = Batch::new(&target.job);
            let mut resolved = Vec::new();
            for letter in letters {
                let place = place_of(some, &letter);
                registry::teach(registry.as_ref(), &mut decoder, &target.job, |decoder| {
                    as_message(&letter, |message| decoder.missing_schema(message))
                })
                .await?;
                if decode(&mut decoder, letter, &mut batch, counted)? {
                    resolved.extend(place);
                }
            }
            if !self.dry_run {
                let written = target.write(batch).await?;
                for (partition, offset) in written.rejected {
                    resolved.retain(|place: &Place| {
                        (place.partition, place.offset) != (partition, offset)
                    });
                    counted.rows = counted.rows.saturating_sub(1);
                    let reason = (Reason::ToastPlaceholder.as_str(), String::new());
                    *counted.rejects.entry(reason).or_default() += 1;
                }
                // last: a kill before this leaves letters open whose rows are there, and a replay finds nothing to change
                let ops = &names.ops;
                dead_letters::mark(self.clickhouse, ops, &resolved, Mark::Resolved).await?;
            }
        }
        Ok(())
    }
}

/// Lines of files have no message behind them. Asked for alone, they are refused with what to do.
fn without_files(places: Vec<Place>) -> Vec<Place> {
    let is_of_file = |place: &Place| place.topic.starts_with(FILE);
    if places.iter().all(is_of_file) {
        return places;
    }
    let (files, messages): (Vec<Place>, Vec<Place>) = places.into_iter().partition(is_of_file);
    if !files.is_empty() {
        tracing::warn!(
            letters = files.len(),
            "letters of CSV files are left out: correct the lines in a file of their own"
        );
    }
    messages
}

/// The letter as the message that it was.
fn as_message<T>(letter: &Letter, with: impl FnOnce(&Message<'_>) -> T) -> T {
    let header = |name: &str| {
        let mut headers = letter.headers.iter().rev();
        headers.find(|(found, _)| found == name)?.1.clone()
    };
    with(&Message {
        topic: &letter.topic,
        partition: letter.partition,
        offset: letter.offset,
        key: letter.key.as_deref(),
        value: letter.value.as_deref(),
        timestamp: letter.message_time,
        headers: Headers::of(&header),
    })
}

/// Whether the letter is one no more.
fn decode(
    decoder: &mut Decoder,
    letter: Letter,
    batch: &mut Batch,
    counted: &mut Counted,
) -> Result<bool> {
    let fate = as_message(&letter, |message| decoder.decode(message, &mut batch.rows));
    match fate {
        Fate::Row => {
            counted.rows += 1;
            batch.note_doubt(|| DeadLetter {
                partition: letter.partition,
                offset: letter.offset,
                version: letter.version,
                reason: Reason::ToastPlaceholder.as_str(),
                column: String::new(),
                key: letter.key.clone(),
                value: letter.value.clone(),
                headers: letter.headers.clone(),
                message_time: letter.message_time,
            });
        }
        Fate::Skip(skip) => *counted.skips.entry(skip.as_str()).or_default() += 1,
        Fate::Reject(reject) => {
            let reason = reject.reason.as_str();
            let column = reject.column.unwrap_or_default();
            *counted.rejects.entry((reason, column.clone())).or_default() += 1;
            batch.reject(DeadLetter {
                partition: letter.partition,
                offset: letter.offset,
                version: letter.version,
                reason,
                column,
                key: letter.key,
                value: letter.value,
                headers: letter.headers,
                message_time: letter.message_time,
            });
            return Ok(false);
        }
        Fate::Fail(error) => {
            let place = format!(
                "topic {} partition {} offset {}",
                letter.topic, letter.partition, letter.offset
            );
            return Err(error.context(place));
        }
    }
    Ok(true)
}

fn place_of(places: &[Place], letter: &Letter) -> Option<Place> {
    let same = |place: &&Place| {
        (place.partition, place.version) == (letter.partition, letter.version)
            && place.topic == letter.topic
    };
    places.iter().find(same).cloned()
}

/// Runs of letters that are small enough together; a letter that is larger than that stands alone.
fn chunks(places: &[Place]) -> impl Iterator<Item = &[Place]> {
    let mut rest = places;
    std::iter::from_fn(move || {
        let mut bytes = 0;
        let fits = |place: &&Place| {
            bytes += place.bytes;
            bytes <= BYTES_AT_ONCE
        };
        let count = rest.iter().take(LETTERS_AT_ONCE).take_while(fits).count();
        let (some, after) = rest.split_at(count.max(1).min(rest.len()));
        rest = after;
        (!some.is_empty()).then_some(some)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(bytes: u64) -> Place {
        Place {
            job: "orders".to_owned(),
            topic: "t".to_owned(),
            partition: 0,
            offset: 0,
            version: 0,
            reason: "bad_json".to_owned(),
            column: String::new(),
            message_time: None,
            bytes,
        }
    }

    #[test]
    fn letters_are_read_in_runs_of_bounded_bytes() {
        let sizes = [3, 5, 1, 16, 8, 2].map(|mib| place(mib << 20));
        let runs: Vec<usize> = chunks(&sizes).map(<[Place]>::len).collect();
        assert_eq!(runs, [2, 1, 1, 1, 1]);
        let many = vec![place(1); 2 * LETTERS_AT_ONCE + 1];
        let runs: Vec<usize> = chunks(&many).map(<[Place]>::len).collect();
        assert_eq!(runs, [LETTERS_AT_ONCE, LETTERS_AT_ONCE, 1]);
        assert_eq!(chunks(&[]).count(), 0);
    }
}
