//! Messages become rows and dead letters, one batch written while the next one is gathered.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Replayed;
use crate::batch::Batch;
use crate::config::Config;
use crate::envelope::{Decoder, Fate, Reason};
use crate::error::{Error, Kind, Result};
use crate::ingest::received::{self, dead_letter};
use crate::ingest::{Breaker, NewTable, Target, Turn, Written};
use crate::job::SilverJob;
use crate::registry::{self, Registry};
use crate::sink::clickhouse::ClickHouse;
use crate::source::RawMessage;

/// Of the memory budget: a batch is gathered while another one is written as a sorted block and as a request, and rows wait.
const BATCHES_HELD: usize = 4;

/// Messages that are not rejected are told to the breaker so many at a time: others count there, too.
const COUNTED_AT_ONCE: u32 = 100;

/// A write under way, and the bytes of its rows that wait for others.
struct Writing {
    task: JoinHandle<Result<Written>>,
    parked: mpsc::Receiver<()>,
    bytes: Arc<AtomicUsize>,
}

pub(super) struct Work {
    target: Arc<Target>,
    decoder: Decoder,
    registry: Option<Registry>,
    batch: Batch,
    most_bytes: usize,
    /// of all parts of a run
    breaker: Arc<Mutex<Breaker>>,
    /// not counted there yet
    passed: u32,
    /// one batch is written while the next one is gathered
    writing: Option<Writing>,
    /// what else is under way: its rows wait for others
    parked: Vec<Writing>,
    last_turn: Option<oneshot::Receiver<()>>,
    batches: u64,
    pub(super) replayed: Replayed,
    pub(super) runtime: Handle,
}

/// A part that failed is begun anew: what it left under way would wait for rows that nobody reads any more.
impl Drop for Work {
    fn drop(&mut self) {
        for writing in self.writing.iter().chain(&self.parked) {
            writing.task.abort();
        }
    }
}

impl Work {
    /// Within a runtime, which its writes have. `table`: another one than the job's own.
    pub(super) fn new(
        config: &Config,
        clickhouse: &ClickHouse,
        job: SilverJob,
        table: Option<NewTable>,
        breaker: Arc<Mutex<Breaker>>,
    ) -> Result<Work> {
        let names = &config.clickhouse;
        let target = Target::new(job, clickhouse.clone(), &names.silver, &names.ops).of_part();
        let target = match table {
            Some(table) => target.into_table(table),
            None => target,
        };
        let budget = usize::try_from(config.memory_budget).unwrap_or(usize::MAX);
        Ok(Work {
            decoder: Decoder::new(&target.job),
            registry: Registry::new(&config.registry)?,
            batch: Batch::new(&target.job),
            target: Arc::new(target),
            most_bytes: budget / BATCHES_HELD,
            breaker,
            passed: 0,
            writing: None,
            parked: Vec::new(),
            last_turn: None,
            batches: 0,
            replayed: Replayed::default(),
            runtime: Handle::current(),
        })
    }

    /// Everything that was taken is durable.
    pub(super) fn end(mut self) -> Result<Replayed> {
        self.hand_over()?;
        self.land_all()?;
        Ok(std::mem::take(&mut self.replayed))
    }

    pub(super) fn topic(&self) -> &str {
        &self.target.job.topic
    }

    pub(super) fn take(&mut self, raw: &RawMessage<'_>) -> Result<()> {
        let job = &self.target.job;
        let header = received::header(raw);
        let mut message = received::message(&job.topic, raw, &header);
        message.timestamp = raw.timestamp();
        if self.decoder.missing_schema(&message).is_some() {
            let teaching =
                registry::teach(self.registry.as_ref(), &mut self.decoder, job, |decoder| {
                    decoder.missing_schema(&message)
                });
            self.runtime.block_on(teaching)?;
        }
        self.replayed.messages += 1;
        let mut rejected = None;
        match self.decoder.decode(&message, &mut self.batch.rows) {
            Fate::Row => {
                self.replayed.rows += 1;
                let letter = || dead_letter(job, raw, Reason::ToastPlaceholder.into());
                self.batch.note_doubt(letter);
            }
            Fate::Skip(skip) => *self.replayed.skips.entry(skip.as_str()).or_default() += 1,
            Fate::Reject(reject) => {
                let reason = reject.reason.as_str();
                rejected = Some(reason);
                *self.replayed.rejects.entry(reason).or_default() += 1;
                self.batch.reject(dead_letter(job, raw, reject));
            }
            Fate::Fail(error) => {
                let place = format!("partition {} offset {}", raw.partition(), raw.offset());
                return Err(error.context(format!("topic {} {place}", job.topic)));
            }
        }
        self.passed += u32::from(rejected.is_none());
        if rejected.is_some() || self.passed >= COUNTED_AT_ONCE {
            let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
            breaker.pass(std::mem::take(&mut self.passed));
            if let Some(error) = rejected.and_then(|reason| breaker.count(job, Some(reason))) {
                return Err(error);
            }
        }
        if self.batch.is_full(self.most_bytes) {
            self.hand_over()?;
        }
        Ok(())
    }

    /// Starts the write of what was gathered, after the one before it has ended.
    fn hand_over(&mut self) -> Result<()> {
        self.land()?;
        let batch = std::mem::replace(&mut self.batch, Batch::new(&self.target.job));
        let target = Arc::clone(&self.target);
        self.batches += 1;
        let mut turn = Turn::next(&mut self.last_turn, self.batches);
        let (parking, parked) = mpsc::channel();
        let bytes = Arc::new(AtomicUsize::new(0));
        let waiting = Arc::clone(&bytes);
        let task = self.runtime.spawn(async move {
            let park = move |bytes| {
                waiting.store(bytes, Ordering::Relaxed);
                // nobody listens where it was parked before
                let _ = parking.send(());
            };
            target.write_in_turn(batch, &mut turn, &park).await
        });
        self.writing = Some(Writing {
            task,
            parked,
            bytes,
        });
        self.make_room()
    }

    /// Rows that wait take a batch's part of the memory at most: beyond that it is as if nothing more were to be read.
    fn make_room(&mut self) -> Result<()> {
        let (ended, waiting) = std::mem::take(&mut self.parked)
            .into_iter()
            .partition(|writing| writing.task.is_finished());
        self.parked = waiting;
        for writing in Vec::<Writing>::into_iter(ended) {
            self.count(writing.task)?;
        }
        let bytes = |writing: &Writing| writing.bytes.load(Ordering::Relaxed);
        let held: usize = self.parked.iter().map(bytes).sum();
        if held <= self.most_bytes {
            return Ok(());
        }
        tracing::warn!(
            job = self.target.job.name,
            bytes = held,
            "rows that wait for other partitions fill the memory, they are not waited for any longer"
        );
        self.land_all()
    }

    /// Waits for the write that is under way, or until it waits for rows that are still to be read.
    fn land(&mut self) -> Result<()> {
        if let Some(writing) = self.writing.take() {
            // an error says that it has ended
            match writing.parked.recv() {
                Ok(()) => self.parked.push(writing),
                Err(_) => self.count(writing.task)?,
            }
        }
        Ok(())
    }

    /// Waits for every write.
    fn land_all(&mut self) -> Result<()> {
        self.land()?;
        self.target.all_is_read(true);
        for writing in std::mem::take(&mut self.parked) {
            self.count(writing.task)?;
        }
        self.target.all_is_read(false);
        Ok(())
    }

    fn count(&mut self, writing: JoinHandle<Result<Written>>) -> Result<()> {
        let written = self.runtime.block_on(writing);
        let written = written
            .map_err(|error| Error::new(Kind::Internal, "a write panicked").because(error))??;
        self.replayed.written += written.rows as u64;
        let rejected = written.rejected.len() as u64;
        let reason = Reason::ToastPlaceholder.as_str();
        if rejected > 0 {
            self.replayed.rows = self.replayed.rows.saturating_sub(rejected);
            *self.replayed.rejects.entry(reason).or_default() += rejected;
        }
        let (job, rows) = (&self.target.job, written.taken as u64);
        let mut breaker = self.breaker.lock().unwrap_or_else(PoisonError::into_inner);
        let tripped = breaker.count_late(job, rows, rejected, reason);
        tripped.map_or(Ok(()), Err)
    }
}
