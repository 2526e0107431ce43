//! Messages become rows and dead letters, one batch written while the next one is gathered.

use std::sync::{Arc, mpsc};

use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Replayed;
use crate::batch::Batch;
use crate::config::Config;
use crate::envelope::{Decoder, Fate, Reason};
use crate::error::{Error, Kind, Result};
use crate::ingest::received::{self, dead_letter};
use crate::ingest::{Breaker, Target, Turn, Written};
use crate::job::SilverJob;
use crate::registry::{self, Registry};
use crate::sink::clickhouse::ClickHouse;
use crate::source::RawMessage;

/// Of the memory budget: a batch is gathered while another one is written as a sorted block and as a request.
const BATCHES_HELD: usize = 4;

pub(super) struct Work {
    target: Arc<Target>,
    decoder: Decoder,
    registry: Option<Registry>,
    batch: Batch,
    most_bytes: usize,
    breaker: Breaker,
    /// one batch is written while the next one is gathered
    writing: Option<(JoinHandle<Result<Written>>, mpsc::Receiver<()>)>,
    /// what else is under way: its rows wait for others
    parked: Vec<JoinHandle<Result<Written>>>,
    last_turn: Option<oneshot::Receiver<()>>,
    batches: u64,
    pub(super) replayed: Replayed,
    pub(super) runtime: Handle,
}

impl Work {
    /// Within a runtime, which its writes have. `table`: another one than the job's own.
    pub(super) fn new(
        config: &Config,
        clickhouse: &ClickHouse,
        job: SilverJob,
        table: Option<String>,
    ) -> Result<Work> {
        let names = &config.clickhouse;
        let target = Target::new(job, clickhouse.clone(), &names.silver, &names.ops);
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
            breaker: Breaker::default(),
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
        Ok(self.replayed)
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
        if let Some(error) = self.breaker.count(job, rejected) {
            return Err(error);
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
        let writing = self.runtime.spawn(async move {
            let park = move |_| {
                // nobody listens where it was parked before
                let _ = parking.send(());
            };
            target.write_in_turn(batch, &mut turn, &park).await
        });
        self.writing = Some((writing, parked));
        Ok(())
    }

    /// Waits for the write that is under way, or until it waits for rows that are still to be read.
    fn land(&mut self) -> Result<()> {
        if let Some((writing, parked)) = self.writing.take() {
            // an error says that it has ended
            match parked.recv() {
                Ok(()) => self.parked.push(writing),
                Err(_) => self.count(writing)?,
            }
        }
        Ok(())
    }

    /// Waits for every write.
    fn land_all(&mut self) -> Result<()> {
        self.land()?;
        for writing in std::mem::take(&mut self.parked) {
            self.count(writing)?;
        }
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
        let tripped = self.breaker.count_late(job, rows, rejected, reason);
        tripped.map_or(Ok(()), Err)
    }
}
