//! The messages of a topic in the order of their offsets, each once, whatever files hold them.

use std::collections::VecDeque;
use std::sync::Arc;

use super::name::{Covers, Name, date_folder, day_of, folder, parse_date};
use super::parquet::Rows;
use super::{Settings, Store};
use crate::error::{Error, Result};
use crate::source::Kept;

/// Milliseconds that a producer's clock may be ahead of ours: a day, which costs the look at a day's files.
const AHEAD: i64 = 24 * 60 * 60 * 1_000;

/// The files of one topic in one epoch, as they were when they were listed.
pub struct Archived {
    store: Arc<Store>,
    topic: String,
    epoch: u8,
    /// by partition and offset
    files: Vec<Name>,
}

/// Offsets that no file covers: the archive was off, or files were taken away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hole {
    pub partition: i32,
    pub from: i64,
    pub to: i64,
}

impl Archived {
    pub async fn list(settings: &Settings, topic: &str, epoch: u8) -> Result<Archived> {
        let store = Arc::new(Store::open(settings)?);
        let mut files = Vec::new();
        for date in store.look(&folder(topic, epoch)).await?.folders {
            let Some(date) = parse_date(&date) else {
                continue;
            };
            let listing = store.look(&date_folder(topic, epoch, date)).await?;
            let covers = listing.files.iter().filter_map(|name| Covers::parse(name));
            files.extend(covers.map(|covers| Name { date, covers }));
        }
        files.sort_by(|one, other| one.covers.cmp(&other.covers));
        Ok(Archived {
            store,
            topic: topic.to_owned(),
            epoch,
            files,
        })
    }

    pub fn partitions(&self) -> Vec<i32> {
        let mut numbers: Vec<i32> = self
            .files
            .iter()
            .map(|file| file.covers.partition)
            .collect();
        numbers.dedup();
        numbers
    }

    /// First offset that is covered, and first behind all that are; nothing where the archive has nothing.
    pub fn watermarks(&self, partition: i32) -> Option<(i64, i64)> {
        let low = self.of(partition).map(|file| file.covers.from).min()?;
        let high = self.of(partition).map(|file| file.covers.to).max()?;
        Some((low, high))
    }

    /// What of these offsets is in no file.
    pub fn holes(&self, partition: i32, from: i64, to: i64) -> Vec<Hole> {
        let mut holes = Vec::new();
        let mut reached = from;
        let ends = [(to, to)];
        let files = self
            .of(partition)
            .map(|file| (file.covers.from, file.covers.to));
        for (start, end) in files.chain(ends) {
            let start = start.min(to);
            if start > reached {
                holes.push(Hole {
                    partition,
                    from: reached,
                    to: start,
                });
            }
            reached = reached.max(end);
        }
        holes
    }

    /// The first message whose time is not before this one, in milliseconds since 1970: as Kafka answers the question.
    pub async fn offset_at(&self, partition: i32, millis: i64) -> Result<Option<i64>> {
        // a message's file is of its own day or a later one, but of an earlier one where its time was ahead of our clock
        let day = day_of(millis.saturating_sub(AHEAD));
        let files = self.of(partition).filter(|file| Some(file.date) >= day);
        let mut reader = self.reader(files.cloned().collect(), i64::MIN, i64::MAX);
        while let Some(messages) = reader.next().await? {
            let found = messages
                .iter()
                .find(|message| message.timestamp >= Some(millis));
            if let Some(found) = found {
                return Ok(Some(found.offset));
            }
        }
        Ok(None)
    }

    /// Messages of a partition from this offset on and before that one.
    pub fn read(&self, partition: i32, from: i64, to: i64) -> Reader {
        let wanted = |file: &&Name| file.covers.to > from && file.covers.from < to;
        let files = self.of(partition).filter(wanted);
        self.reader(files.cloned().collect(), from, to)
    }

    fn reader(&self, files: VecDeque<Name>, from: i64, to: i64) -> Reader {
        Reader {
            store: Arc::clone(&self.store),
            topic: self.topic.clone(),
            epoch: self.epoch,
            files,
            open: None,
            next: from,
            to,
        }
    }

    fn of(&self, partition: i32) -> impl Iterator<Item = &Name> {
        let files = self.files.iter();
        files.filter(move |file| file.covers.partition == partition)
    }
}

/// Reads one partition; holds one file, encoded, and the messages of one row group.
pub struct Reader {
    store: Arc<Store>,
    topic: String,
    epoch: u8,
    files: VecDeque<Name>,
    open: Option<(String, Rows)>,
    /// what is below was given already
    next: i64,
    to: i64,
}

impl Reader {
    /// Some more messages, in order, or the end. What is held is that of about one chunk, see `ingest::archiving`.
    pub async fn next(&mut self) -> Result<Option<Vec<Kept>>> {
        loop {
            if let Some((path, rows)) = &mut self.open {
                let read = rows.next();
                match read.map_err(|error| at(path, error))? {
                    Some(mut messages) => {
                        messages.retain(|message| (self.next..self.to).contains(&message.offset));
                        let Some(last) = messages.last() else {
                            continue;
                        };
                        self.next = last.offset + 1;
                        return Ok(Some(messages));
                    }
                    None => self.open = None,
                }
            }
            let Some(name) = self.files.pop_front() else {
                return Ok(None);
            };
            // whole in what was read before
            if name.covers.to <= self.next {
                continue;
            }
            let path = name.path(&self.topic, self.epoch);
            let bytes = self.store.read(&path).await?;
            let rows =
                Rows::open(bytes, name.covers.partition).map_err(|error| at(&path, error))?;
            self.open = Some((path, rows));
        }
    }
}

fn at(path: &str, error: Error) -> Error {
    error.context(path.to_owned())
}

#[cfg(all(test, feature = "archive"))]
mod tests;
