//! What is left to do: an unfinished backfill that was asked the same goes on, otherwise a new one is cut.

use chrono::{DateTime, Utc};

use super::chunk::{Chunk, From, Order, Request};
use super::csv::{self, Lines};
use super::kafka::{self, Topic};
use super::ledger::{Entry, Ledger, State};
use super::postgres::{self, Table};
use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::job::SilverJob;
use crate::lease::Lease;
use crate::migrate::evolved;
use crate::sink::clickhouse::ClickHouse;

/// A source, ready to be cut and read.
pub(super) enum Input {
    Postgres(Box<Table>),
    Kafka(Box<Topic>),
    Csv(Box<Lines>),
}

/// What stands before the first chunk is read.
pub struct Backfill {
    pub(super) request: Request,
    pub(super) input: Input,
    pub(super) ledger: Ledger,
    pub(super) spec: String,
    /// one that goes on
    pub(super) entry: Option<Entry>,
    /// one that is over, and how: `--restart` ends it, or its gold was built by others
    pub(super) ended: Option<(Entry, State)>,
    /// of a dry run there is none
    pub(super) lease: Option<Lease>,
    /// in the order that they are read in
    pub(super) chunks: Vec<Chunk>,
    pub shape: Shape,
}

/// The plan for people.
#[derive(Clone, Debug, Default)]
pub struct Shape {
    /// where the rows come from, and which
    pub source: String,
    pub unit: &'static str,
    /// chunks that are left
    pub chunks: usize,
    /// rows, messages or lines of them
    pub size: u64,
    /// chunks that an earlier run has done
    pub finished: usize,
    /// id of the one that goes on
    pub goes_on: Option<String>,
    pub notes: Vec<String>,
}

/// Of one that was cut off later.
const FILLED: &str = "silver is filled, and gold is left; --restart reads the source again";

impl Backfill {
    /// Takes the lease, unless it is a dry run, and asks the source and the ledger. Writes nothing.
    pub async fn prepare(
        config: &Config,
        clickhouse: &ClickHouse,
        request: Request,
    ) -> Result<Backfill> {
        let names = &config.clickhouse;
        let job = evolved::verified(clickhouse, (&names.silver, &names.ops), &request.job).await?;
        refuse_senseless(&request, &job)?;
        let lease = match request.dry_run {
            true => None,
            false => {
                let target = format!("silver.{}", job.name);
                Some(Lease::acquire(&config.lease, &target, 0).await?)
            }
        };
        let input = Input::open(config, clickhouse, &job, &request).await?;
        let step = request.chunk.unwrap_or(input.step());
        let spec = request.spec(&job, step, &input.identity(&job));
        let ledger = Ledger::new(clickhouse, &names.ops);
        let earlier = ledger
            .unfinished(&job.name, &spec, request.then_gold)
            .await?;
        let (entry, ended) = match (request.restart, earlier) {
            (true, Some(earlier)) => (None, Some((earlier, State::Replaced))),
            (_, earlier) => (earlier, None),
        };
        let mut backfill = Backfill {
            shape: Shape {
                source: input.show().to_owned(),
                unit: request.source.unit(),
                ..Shape::default()
            },
            request,
            input,
            ledger,
            spec,
            entry,
            ended,
            lease,
            chunks: Vec::new(),
        };
        backfill.lay_out(step).await?;
        Ok(backfill)
    }

    /// When silver was filled, and since when: of one that gold alone is left of.
    pub fn filled(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let entry = self.entry.as_ref().filter(|entry| entry.is_filled())?;
        Some((entry.begun_at()?, entry.recorded_at()?))
    }

    /// The one that goes on has nothing left: the same is asked once more, and the source is read again.
    pub async fn anew(mut self) -> Result<Backfill> {
        self.ended = self.entry.take().map(|entry| (entry, State::Done));
        let step = self.request.chunk.unwrap_or(self.input.step());
        self.lay_out(step).await?;
        Ok(self)
    }

    /// What is left of the one that goes on, or all of a new one.
    async fn lay_out(&mut self, step: u64) -> Result<()> {
        let (finished, mut chunks, notes) = match &self.entry {
            Some(entry) => {
                let (finished, chunks) = self.ledger.chunks(entry).await?;
                let notes = match entry.is_filled() {
                    true => vec![FILLED.to_owned()],
                    false => Vec::new(),
                };
                (finished, chunks, notes)
            }
            None => {
                let (chunks, notes) = self.input.cut(step).await?;
                (0, chunks, notes)
            }
        };
        if self.request.order == Order::Newest {
            chunks.reverse();
        }
        if let (Input::Csv(lines), true) =
            (&self.input, self.entry.is_some() || self.ended.is_some())
        {
            lines.again();
        }
        self.shape = Shape {
            chunks: chunks.len(),
            size: chunks.iter().map(|chunk| chunk.size).sum(),
            finished,
            goes_on: self.entry.as_ref().map(|entry| entry.backfill.clone()),
            notes,
            ..std::mem::take(&mut self.shape)
        };
        self.chunks = chunks;
        Ok(())
    }
}

impl Input {
    async fn open(
        config: &Config,
        clickhouse: &ClickHouse,
        job: &SilverJob,
        request: &Request,
    ) -> Result<Input> {
        Ok(match &request.source {
            From::Postgres(_) => {
                let table = Table::open(config, clickhouse, job, request).await?;
                Input::Postgres(Box::new(table))
            }
            From::Kafka | From::Archive => {
                Input::Kafka(Box::new(Topic::new(config, clickhouse, request)))
            }
            From::Csv(csv) => {
                let lines = Lines::open(config, clickhouse, job, csv, request).await?;
                Input::Csv(Box::new(lines))
            }
        })
    }

    fn step(&self) -> u64 {
        match self {
            Input::Postgres(_) => postgres::CHUNK,
            Input::Kafka(_) => kafka::CHUNK,
            Input::Csv(_) => csv::CHUNK,
        }
    }

    /// What the rows are read from, as far as it tells one request from another.
    fn identity(&self, job: &SilverJob) -> String {
        match self {
            Input::Postgres(table) => table.name.to_string(),
            Input::Kafka(_) => job.topic.clone(),
            Input::Csv(lines) => lines.identity(),
        }
    }

    fn show(&self) -> &str {
        match self {
            Input::Postgres(table) => &table.show,
            Input::Kafka(topic) => &topic.show,
            Input::Csv(lines) => &lines.show,
        }
    }

    async fn cut(&self, step: u64) -> Result<(Vec<Chunk>, Vec<String>)> {
        match self {
            Input::Postgres(table) => table.cut(step).await,
            Input::Kafka(topic) => topic.cut(step).await,
            Input::Csv(lines) => Ok((lines.chunks(), Vec::new())),
        }
    }
}

fn refuse_senseless(request: &Request, job: &SilverJob) -> Result<()> {
    let usage = |message: String| Error::new(Kind::Usage, message);
    if let (Some(from), Some(to)) = (request.from, request.to)
        && from >= to
    {
        return Err(usage(format!(
            "the range [{from}, {to}) holds nothing: it ends where it begins, or before"
        ))
        .advise("a range is half-open: [from, to)"));
    }
    let in_order = request.parallel == 1 && request.order == Order::Oldest;
    if let From::Csv(_) = request.source {
        if request.from.is_some() || request.to.is_some() {
            return Err(usage("a file is read as a whole".to_owned())
                .advise("leave out the range, or cut the file"));
        }
        if !in_order {
            return Err(usage(
                "lines are read in their order: of a key the first one counts".to_owned(),
            )
            .advise("leave out --parallel and --order"));
        }
    }
    let of_topic = matches!(request.source, From::Kafka | From::Archive);
    if of_topic && job.keeps() && !in_order {
        return Err(usage(format!(
            "job {} keeps values that updates do not send (toast = \"keep\"), so its messages are read in their order",
            job.name
        ))
        .advise("leave out --parallel and --order"));
    }
    Ok(())
}
