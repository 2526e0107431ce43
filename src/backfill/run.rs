//! Chunks of one backfill: some at a time, each marked in the ledger once its rows are durable; progress shown, a signal obeyed.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;

use super::chunk::Chunk;
use super::ledger::{Counted, Entry, Ledger, State};
use super::plan::{Backfill, Input};
use crate::envelope::Reason;
use crate::error::{Error, Kind, Result, Retry};
use crate::failpoint::{self, Point};
use crate::lease::Lease;
use crate::progress::Progress;
use crate::rate::{Limit, Rate};
use crate::shutdown::Shutdown;

/// Pauses before a chunk is tried again after an answer of "not now".
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// Off a terminal, one line of life so often.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// What writing the end of a run may take: after a signal there is a drain deadline.
const LAST_WORD: Duration = Duration::from_secs(1);

/// How fast chunks are read, and who hears of it.
pub(super) struct Pacing {
    pub(super) progress: Progress,
    pub(super) rate: Rate,
    pub(super) shutdown: Shutdown,
}

impl Pacing {
    /// So many were read, and so many rows came of them.
    pub(super) async fn spend(&self, read: u64, rows: u64) {
        self.progress.advance(read, rows);
        self.rate.pause(read).await;
    }
}

/// What a run did.
#[derive(Debug, Default)]
pub struct Summary {
    pub backfill: String,
    /// by whichever run
    pub begun_at: DateTime<Utc>,
    /// by this run
    pub chunks: usize,
    pub rows: u64,
    pub written: u64,
    /// left alone: silver has a newer row
    pub newer: u64,
    /// what the job's rules reject, by reason and column
    pub refused: BTreeMap<String, u64>,
    pub seconds: f64,
}

/// Its rows are durable, and gold was asked for: the same request goes on with that until [`Filled::end`].
pub struct Filled {
    ledger: Ledger,
    entry: Entry,
}

impl Filled {
    pub async fn end(mut self) -> Result<()> {
        self.ledger.say(&mut self.entry, State::Done, "").await
    }
}

/// What those who read chunks have in common.
struct Work {
    input: Input,
    ledger: Ledger,
    entry: Entry,
    lease: Arc<Lease>,
    pacing: Arc<Pacing>,
    waiting: Mutex<VecDeque<Chunk>>,
    done: Mutex<(usize, Counted)>,
}

impl Backfill {
    /// Reads and writes what was planned. Cut short by a signal, an error or a kill, the same request goes on.
    pub async fn run(
        mut self,
        limit: Option<Limit>,
        shutdown: &Shutdown,
        terminal: bool,
    ) -> Result<(Summary, Filled)> {
        let Some(lease) = self.lease.take().map(Arc::new) else {
            return Err(Error::new(Kind::Internal, "a dry run was run"));
        };
        let result = self.read(&lease, limit, shutdown, terminal).await;
        if let Some(lease) = Arc::into_inner(lease) {
            lease.release().await;
        }
        result
    }

    async fn read(
        mut self,
        lease: &Arc<Lease>,
        limit: Option<Limit>,
        shutdown: &Shutdown,
        terminal: bool,
    ) -> Result<(Summary, Filled)> {
        let began = Instant::now();
        if let Input::Postgres(table) = &mut self.input
            && !self.chunks.is_empty()
        {
            tokio::select! {
                begun = table.begin(&self.request) => begun?,
                signal = shutdown.wait() => return Err(signal.error()),
            }
        }
        let mut entry = self.stand().await?;
        let progress = Progress::new(
            &self.request.job.name,
            self.shape.unit,
            self.shape.size,
            terminal,
        );
        let work = Arc::new(Work {
            input: self.input,
            ledger: self.ledger.clone(),
            entry: entry.clone(),
            lease: Arc::clone(lease),
            pacing: Arc::new(Pacing {
                progress,
                rate: Rate::new(limit),
                shutdown: shutdown.clone(),
            }),
            waiting: Mutex::new(self.chunks.into()),
            done: Mutex::default(),
        });
        let result = match work.perform(self.request.parallel, shutdown).await {
            Ok(()) => work.try_again().await,
            error => error,
        };
        let (state, message) = match &result {
            Ok(()) if self.request.then_gold => (State::Filled, String::new()),
            Ok(()) => (State::Done, String::new()),
            Err(error) if is_signal(error) => (State::Stopped, error.to_string()),
            Err(error) => (State::Failed, error.to_string()),
        };
        let said = self.ledger.say(&mut entry, state, &message);
        match (tokio::time::timeout(LAST_WORD, said).await, &result) {
            (Ok(Ok(())), _) => {}
            // the same again would find nothing left, and say so then
            (Ok(Err(error)), _) => tracing::warn!(%error, "cannot write how the backfill ended"),
            (Err(_), _) => tracing::warn!("clickhouse did not take how the backfill ended in time"),
        }
        let (chunks, counted) = std::mem::take(&mut *lock(&work.done));
        result?;
        failpoint::pass(Point::SilverFilled).await;
        let summary = Summary {
            begun_at: entry.begun_at().unwrap_or_else(Utc::now),
            backfill: entry.backfill.clone(),
            chunks,
            rows: counted.rows,
            written: counted.written,
            newer: counted.newer,
            refused: reasons(counted),
            seconds: began.elapsed().as_secs_f64(),
        };
        let ledger = self.ledger;
        Ok((summary, Filled { ledger, entry }))
    }

    /// The ledger knows it before anything is read.
    async fn stand(&mut self) -> Result<Entry> {
        if let Some((mut ended, state)) = self.ended.take() {
            self.ledger.say(&mut ended, state, "").await?;
        }
        match self.entry.take() {
            Some(mut entry) => {
                self.ledger.say(&mut entry, State::Running, "").await?;
                Ok(entry)
            }
            None => {
                let request = &self.request;
                let asked = (
                    request.job.name.as_str(),
                    request.source.word(),
                    self.spec.as_str(),
                );
                // in the order that they were cut in
                let mut chunks = self.chunks.clone();
                chunks.sort_by_key(|chunk| chunk.number);
                self.ledger.begin(asked, &chunks).await
            }
        }
    }
}

impl Work {
    async fn perform(self: &Arc<Self>, parallel: usize, shutdown: &Shutdown) -> Result<()> {
        let mut readers = JoinSet::new();
        for _ in 0..parallel.max(1) {
            readers.spawn(Arc::clone(self).read());
        }
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.tick().await;
        let result = loop {
            tokio::select! {
                biased;
                signal = shutdown.wait() => break Err(signal.error()),
                ended = readers.join_next() => match ended {
                    None => break Ok(()),
                    Some(Ok(Ok(()))) => {}
                    Some(Ok(Err(error))) => break Err(error),
                    Some(Err(error)) => {
                        break Err(Error::new(Kind::Internal, "a reader panicked").because(error));
                    }
                },
                _ = heartbeat.tick() => self.pacing.progress.beat(),
            }
        };
        // an insert that is dropped has happened or has not: its chunk is read again
        readers.shutdown().await;
        result
    }

    /// When every chunk is there.
    async fn try_again(&self) -> Result<()> {
        if let Input::Kafka(topic) = &self.input {
            self.lease.check().await?;
            let left = Box::pin(topic.try_again(&self.pacing.shutdown)).await?;
            let reason = (Reason::ToastPlaceholder.as_str(), None);
            if let (Some(left), Some(count)) = (left, lock(&self.done).1.refused.get_mut(&reason)) {
                *count = left.min(*count);
            }
        }
        Ok(())
    }

    async fn read(self: Arc<Self>) -> Result<()> {
        loop {
            let Some(chunk) = lock(&self.waiting).pop_front() else {
                return Ok(());
            };
            let began = Instant::now();
            let counted = self.fill_patiently(&chunk).await.map_err(|error| {
                error.context(format!("chunk {} ({})", chunk.number, chunk.part))
            })?;
            failpoint::pass(Point::ChunkWritten).await;
            let seconds = began.elapsed().as_secs_f64();
            self.ledger
                .done(&self.entry, &chunk, &counted, seconds)
                .await?;
            self.count(counted);
            failpoint::pass(Point::ChunkDone).await;
        }
    }

    fn count(&self, counted: Counted) {
        let mut done = lock(&self.done);
        done.0 += 1;
        done.1.add(counted);
    }

    async fn fill_patiently(&self, chunk: &Chunk) -> Result<Counted> {
        for pause in PAUSES {
            match self.fill(chunk).await {
                Err(error)
                    if matches!(
                        error.kind().policy().retry,
                        Retry::Backoff | Retry::SlowDown
                    ) =>
                {
                    tracing::warn!(chunk = chunk.number, %error, "trying the chunk again");
                    tokio::time::sleep(pause).await;
                }
                result => return result,
            }
        }
        self.fill(chunk).await
    }

    async fn fill(&self, chunk: &Chunk) -> Result<Counted> {
        self.lease.check().await?;
        match &self.input {
            Input::Postgres(table) => table.fill(chunk, &self.pacing).await,
            Input::Kafka(topic) => topic.fill(chunk, &self.pacing).await,
            Input::Csv(lines) => lines.fill(chunk, &self.pacing).await,
        }
    }
}

fn reasons(counted: Counted) -> BTreeMap<String, u64> {
    let named = |(reason, column): (&str, Option<String>)| match column {
        Some(column) => format!("{reason} ({column})"),
        None => reason.to_owned(),
    };
    let all = counted.refused.into_iter().filter(|(_, count)| *count > 0);
    all.map(|(what, count)| (named(what), count)).collect()
}

fn is_signal(error: &Error) -> bool {
    matches!(error.kind(), Kind::Terminated | Kind::Interrupted)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
