//! One partition's messages on their way into the archive, one file after the other.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use bytes::Bytes;
use chrono::NaiveDate;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

use crate::archive::{Chunk, Covers, File, Name, Reached, Store, day_of};
use crate::error::{Error, Result};
use crate::failpoint::{self, Point};
use crate::ingest::write::Tries;
use crate::source::RawMessage;

pub struct Part {
    /// of this time that the partition is ours
    pub id: u64,
    /// first offset that is in no file
    pub durable: i64,
    partition: i32,
    /// where the file begins that is gathered now
    from: i64,
    /// first offset that was not taken
    next: i64,
    /// of the file that is gathered now, once there is a message
    date: Option<NaiveDate>,
    chunk: Chunk,
    opened: Option<Instant>,
    /// what of the file is encoded, where no task has it
    file: Option<Box<File>>,
    encoded: usize,
    /// files whose end is waiting or under way
    ending: usize,
    waiting: VecDeque<Work>,
    task: Option<Task>,
}

/// A chunk to be added to the file under way, which is whole with it where it has a name.
struct Work {
    chunk: Chunk,
    name: Option<Name>,
}

struct Task {
    handle: JoinHandle<()>,
    bytes: usize,
}

impl Drop for Task {
    /// Nobody waits for it any more; a file is written whole or not at all.
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// The end of a task, as it reaches the consuming thread.
pub struct Landed {
    pub topic: String,
    pub partition: i32,
    pub id: u64,
    pub outcome: Outcome,
}

pub enum Outcome {
    Grown(Box<File>),
    /// a file is written: so far is durable
    Stored(i64),
    Failed(Error),
}

impl Part {
    pub fn new(id: u64, partition: i32, reached: Reached) -> Part {
        Part {
            id,
            durable: reached.next,
            partition,
            from: reached.next,
            next: reached.next,
            date: reached.date,
            chunk: Chunk::default(),
            opened: None,
            file: None,
            encoded: 0,
            ending: 0,
            waiting: VecDeque::new(),
            task: None,
        }
    }

    /// A file is of the day of its first message, and no day follows a later one; days to come are no days yet.
    pub fn take(&mut self, message: &RawMessage<'_>, today: NaiveDate, now: Instant) {
        if message.offset() < self.next {
            return;
        }
        let day = message.timestamp().and_then(day_of);
        let day = Some(day.map_or(today, |day| day.min(today)));
        if day > self.date {
            self.seal(true);
            self.date = day;
        }
        self.chunk.push(message);
        self.next = message.offset() + 1;
        self.opened.get_or_insert(now);
    }

    /// A file without messages says that there are none.
    pub fn reach_end(&mut self, next: i64, today: NaiveDate, now: Instant) {
        if next > self.next {
            self.date.get_or_insert(today);
            self.next = next;
            self.opened.get_or_insert(now);
        }
    }

    pub fn gathered(&self) -> usize {
        self.chunk.bytes()
    }

    /// Of the file that still grows.
    pub fn encoded(&self) -> usize {
        match self.ending {
            0 => self.encoded,
            _ => 0,
        }
    }

    pub fn bytes(&self) -> usize {
        let waiting: usize = self.waiting.iter().map(|work| work.chunk.bytes()).sum();
        let working = self.task.as_ref().map_or(0, |task| task.bytes);
        self.gathered() + self.encoded + waiting + working
    }

    pub fn is_older_than(&self, time: Duration, now: Instant) -> bool {
        self.opened
            .is_some_and(|opened| now.duration_since(opened) >= time)
    }

    pub fn is_settled(&self) -> bool {
        self.task.is_none() && self.waiting.is_empty()
    }

    /// What was gathered is to be encoded, and with `end` to be written with the file that it belongs to.
    pub fn seal(&mut self, end: bool) {
        let Some(date) = self.date else {
            return;
        };
        let nothing = match end {
            true => self.from == self.next,
            false => self.chunk.is_empty(),
        };
        if nothing {
            return;
        }
        let covers = Covers {
            partition: self.partition,
            from: self.from,
            to: self.next,
        };
        self.waiting.push_back(Work {
            chunk: std::mem::take(&mut self.chunk),
            name: end.then_some(Name { date, covers }),
        });
        if end {
            self.from = self.next;
            self.opened = None;
            self.ending += 1;
        }
    }

    /// One task at a time: a file has one end.
    pub fn start(
        &mut self,
        store: &Arc<Store>,
        (topic, epoch): (&str, u8),
        runtime: &Handle,
        landing: &Sender<Landed>,
    ) {
        if self.task.is_some() {
            return;
        }
        let Some(work) = self.waiting.pop_front() else {
            return;
        };
        let bytes = work.chunk.bytes();
        let (store, file) = (Arc::clone(store), self.file.take());
        let (landing, topic) = (landing.clone(), topic.to_owned());
        let (partition, id) = (self.partition, self.id);
        let handle = runtime.spawn(async move {
            let outcome = work.run(file, &store, (&topic, epoch)).await;
            // the consuming thread is gone only when the process ends
            let _ = landing.send(Landed {
                topic,
                partition,
                id,
                outcome: outcome.unwrap_or_else(Outcome::Failed),
            });
        });
        self.task = Some(Task { handle, bytes });
    }

    pub fn land(&mut self, outcome: Outcome) {
        self.task = None;
        match outcome {
            Outcome::Grown(file) => {
                self.encoded = file.bytes();
                self.file = Some(file);
            }
            Outcome::Stored(to) => {
                self.encoded = 0;
                self.ending -= 1;
                self.durable = self.durable.max(to);
            }
            Outcome::Failed(_) => {}
        }
    }
}

impl Work {
    async fn run(
        self,
        file: Option<Box<File>>,
        store: &Store,
        topic: (&str, u8),
    ) -> Result<Outcome> {
        let Work { chunk, name } = self;
        let encoded = tokio::task::spawn_blocking(move || {
            let mut file = match file {
                Some(file) => file,
                None => Box::new(File::begin()?),
            };
            if !chunk.is_empty() {
                file.append(chunk)?;
            }
            Ok::<_, Error>(file)
        });
        let file = encoded.await.map_err(Error::panicked)??;
        let Some(name) = name else {
            return Ok(Outcome::Grown(file));
        };
        failpoint::pass(Point::BeforeArchive).await;
        store_until_done(store, &name.path(topic.0, topic.1), &file.end()?, topic.0).await;
        failpoint::pass(Point::Archived).await;
        Ok(Outcome::Stored(name.covers.to))
    }
}

/// A place that cannot be written to is waited for, as every other dependency: nothing is committed meanwhile.
async fn store_until_done(store: &Store, path: &str, bytes: &Bytes, topic: &str) {
    let mut tries = Tries::new(topic);
    while let Err(error) = store.write(path, bytes.clone()).await {
        tries.pause(&error.context("archive")).await;
    }
}
