//! What a drift asks for, done: ALTER, then the views, then `ops.columns`. Nothing of it is needed to go on after a
//! crash, which may come between any two: the ALTER is atomic and says in the column's comment what was done, and a view
//! that lags behind its table is made anew at the next start.

use std::time::Duration;

use super::record::{self, Event, State};
use super::resolve::{Catalog, Resolved, as_text};
use crate::config::{self, Config};
use crate::envelope::{Changed, Drift, Field, Sources};
use crate::error::{Error, Kind, Result, Retry};
use crate::failpoint::{self, Point};
use crate::job::{Added, Column, NewColumnPolicy, NullPolicy, SYSTEM_COLUMNS, SilverJob};
use crate::lease::Lease;
use crate::migrate::{evolved, silver};
use crate::sink::clickhouse::ClickHouse;

/// Another process has the table for the time of an ALTER.
const LEASE_AGAIN: Duration = Duration::from_millis(100);
/// A dependency that is lost is asked again after this.
const AGAIN: Duration = Duration::from_secs(1);

/// What is needed to change a table.
#[derive(Clone)]
pub struct Evolver {
    clickhouse: ClickHouse,
    silver: String,
    ops: String,
    postgres: config::Postgres,
    lease: config::Lease,
}

/// How it ended, where it did not fail.
pub enum Settled {
    /// the job is decoded like this from now on
    Changed {
        job: Box<SilverJob>,
        sources: Sources,
        /// column → `added` or `widened`, as far as this process did it
        done: Vec<(String, State)>,
    },
    /// the source is what the job declares in these fields: the message is at fault
    Unchanged(Vec<String>),
}

/// One change of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Step {
    state: State,
    /// as it is to be
    column: Column,
    resolved: Resolved,
}

impl Evolver {
    pub fn new(config: &Config, clickhouse: &ClickHouse) -> Evolver {
        Evolver {
            clickhouse: clickhouse.clone(),
            silver: config.clickhouse.silver.clone(),
            ops: config.clickhouse.ops.clone(),
            postgres: config.postgres.clone(),
            lease: config.lease.clone(),
        }
    }

    /// Waits for a lost ClickHouse or source database for ever; an error needs a person.
    pub async fn settle(&self, job: &SilverJob, drift: &Drift) -> Result<Settled> {
        loop {
            match self.try_to_settle(job, drift).await {
                Err(error) if error.kind().policy().retry != Retry::Never => {
                    tracing::warn!(job = job.name, %error, "the table waits to follow its source, trying again");
                    tokio::time::sleep(AGAIN).await;
                }
                done => return done,
            }
        }
    }

    async fn try_to_settle(&self, job: &SilverJob, drift: &Drift) -> Result<Settled> {
        if let Some(fields) = &drift.key {
            return Err(key_changed(job, fields));
        }
        let untold = drift.added.iter().any(|field| field.source.is_none())
            || drift.changed.iter().any(|change| change.source.is_none());
        let catalog = match untold {
            true => Catalog::look(&self.postgres, job, drift).await?,
            false => Catalog::default(),
        };
        if job.policies.new_column == NewColumnPolicy::Stop {
            let steps = steps(job, drift, &catalog)?;
            if let Some(error) = stopped(job, &steps) {
                return Err(error);
            }
        }
        let lease = self.lease(job).await?;
        let settled = self.alter(job, drift, &catalog).await;
        lease.release().await;
        settled
    }

    /// One process at a time looks at the table and changes it, so no two choose different types.
    async fn lease(&self, job: &SilverJob) -> Result<Lease> {
        let target = format!("{}.{}.columns", self.silver, job.name);
        loop {
            match Lease::acquire(&self.lease, &target, 0).await {
                Err(error) if error.kind() == Kind::LeaseHeld => {
                    tokio::time::sleep(LEASE_AGAIN).await;
                }
                acquired => return acquired,
            }
        }
    }

    async fn alter(&self, job: &SilverJob, drift: &Drift, catalog: &Catalog) -> Result<Settled> {
        // another process may have done it meanwhile
        let before = evolved::job(&self.clickhouse, &self.silver, job).await?;
        let steps = steps(&before, drift, catalog)?;
        if job.policies.new_column == NewColumnPolicy::Stop
            && let Some(error) = stopped(job, &steps)
        {
            return Err(error);
        }
        for step in &steps {
            let sql = match step.state {
                State::Widened => {
                    evolved::widen_column(&self.clickhouse, &self.silver, job, &step.column)
                }
                _ => evolved::add_column(&self.clickhouse, &self.silver, job, &step.column),
            };
            let done = self.clickhouse.execute(&sql).await;
            done.map_err(|error| error.context(format!("job {}: {}", job.name, step.what())))?;
            failpoint::pass(Point::DdlDone).await;
            tracing::warn!(
                job = job.name,
                line = step.column.line(),
                source_type = step.resolved.spelled,
                "{}; put the line into jobs/silver/{}.toml",
                step.what(),
                job.name
            );
        }
        let after = evolved::job(&self.clickhouse, &self.silver, job).await?;
        check(&after, &steps)?;
        self.refresh_views(&after).await?;
        failpoint::pass(Point::DdlDone).await;
        let events: Vec<Event> = steps
            .iter()
            .map(|step| Event::new(&after, step.state, &step.column, &step.resolved.spelled))
            .collect();
        record::write(&self.clickhouse, &self.ops, &events).await?;
        let sources = told(drift);
        if after == *job && sources.is_empty() {
            let fields = drift.changed.iter().map(|change| change.field.clone());
            return Ok(Settled::Unchanged(fields.collect()));
        }
        let done = |step: &Step| (step.column.name.clone(), step.state);
        Ok(Settled::Changed {
            done: steps.iter().map(done).collect(),
            job: Box::new(after),
            sources,
        })
    }

    /// Views freeze when they are made: after an ALTER, and at a start after a crash behind one.
    pub async fn refresh_views(&self, job: &SilverJob) -> Result<()> {
        for change in silver::plan(&self.clickhouse, &self.silver, job).await? {
            self.clickhouse.execute(&change.sql).await?;
        }
        Ok(())
    }
}

impl Step {
    fn what(&self) -> String {
        let (name, kind) = (&self.column.name, &self.column.kind);
        match (self.state, self.resolved.told) {
            (State::Widened, _) => format!("column {name} widened to {kind}"),
            (_, true) => format!("column {name} added as {kind}"),
            (_, false) => format!(
                "column {name} added as {kind}, the text of its values, since nothing tells its type"
            ),
        }
    }
}

/// What is to be done to the table; an error where the source has gone where the table cannot follow exactly.
fn steps(job: &SilverJob, drift: &Drift, catalog: &Catalog) -> Result<Vec<Step>> {
    let mut steps = Vec::new();
    for field in &drift.added {
        steps.extend(add(job, drift, field, catalog)?);
    }
    for change in &drift.changed {
        steps.extend(widen(job, change, catalog)?);
    }
    Ok(steps)
}

fn add(job: &SilverJob, drift: &Drift, field: &Field, catalog: &Catalog) -> Result<Option<Step>> {
    let resolved = match &field.source {
        Some(source) => Resolved {
            kind: source.kind.clone(),
            encoding: source.encoding,
            spelled: source.spelled.clone(),
            told: true,
        },
        None => catalog.field(&field.name).cloned().unwrap_or_else(as_text),
    };
    if let Some(column) = job.columns.iter().find(|c| c.source == field.name) {
        // the other process's choice holds where it can
        return match column.kind.widened(&resolved.kind) {
            _ if !resolved.told => Ok(None),
            Some(wider) if wider == column.kind => Ok(None),
            Some(kind) => Ok(Some(Step {
                state: State::Widened,
                column: Column {
                    kind,
                    ..column.clone()
                },
                resolved,
            })),
            None => Err(conflict(job, column, &resolved)),
        };
    }
    let taken = SYSTEM_COLUMNS.iter().any(|(name, _)| *name == field.name);
    let name = match taken {
        true => format!("source{}", field.name),
        false => field.name.clone(),
    };
    if name.is_empty() || job.has_column(&name) {
        let message = format!(
            "job {}: the source has a new field `{}`, and its column `{name}` exists already",
            job.name, field.name
        );
        return Err(Error::new(Kind::Mismatch, message).advise(format!(
            "give it another `name` in jobs/silver/{}.toml, or put it into `exclude`",
            job.name
        )));
    }
    let kind = resolved
        .kind
        .nullable()
        .unwrap_or_else(|| resolved.kind.clone());
    Ok(Some(Step {
        state: State::Added,
        column: Column {
            source: field.name.clone(),
            name,
            kind,
            encoding: resolved.encoding,
            null: NullPolicy::default(),
            toast: job.policies.toast,
            cast: false,
            mask: None,
            added: Some(Added { since: drift.since }),
        },
        resolved,
    }))
}

fn widen(job: &SilverJob, change: &Changed, catalog: &Catalog) -> Result<Option<Step>> {
    let Some(column) = job.columns.iter().find(|c| c.source == change.field) else {
        return Ok(None);
    };
    let (resolved, kind) = match &change.source {
        Some(source) => (
            Resolved {
                kind: source.kind.clone(),
                encoding: source.encoding,
                spelled: source.spelled.clone(),
                told: true,
            },
            match source.fits(column) {
                true => Some(column.kind.clone()),
                false => column.kind.widened(&source.kind),
            }
            .and_then(|kind| match source.optional {
                true => kind.nullable(),
                false => Some(kind),
            }),
        ),
        None => match catalog.field(&change.field) {
            Some(resolved) => (resolved.clone(), {
                let wider = column.kind.widened(&resolved.kind);
                // no schema has said that the type changed: what does not fit is the message's own fault
                Some(wider.unwrap_or_else(|| column.kind.clone()))
            }),
            None => return Ok(None),
        },
    };
    match kind {
        Some(kind) if kind == column.kind => Ok(None),
        _ if job.key.contains(&column.source) => Err(key_type_changed(job, column, &resolved)),
        Some(kind) => Ok(Some(Step {
            state: State::Widened,
            column: Column {
                kind,
                ..column.clone()
            },
            resolved,
        })),
        None => Err(type_changed(job, column, change, &resolved)),
    }
}

/// What the schema said of the fields that are settled now.
fn told(drift: &Drift) -> Sources {
    let added = drift
        .added
        .iter()
        .filter_map(|field| Some((&field.name, field.source.as_ref()?)));
    let changed = drift
        .changed
        .iter()
        .filter_map(|change| Some((&change.field, change.source.as_ref()?)));
    added
        .chain(changed)
        .map(|(name, source)| (name.clone(), source.spelled.clone()))
        .collect()
}

/// After the ALTER the table must say what we wanted of it; a column that somebody made by hand does not.
fn check(job: &SilverJob, steps: &[Step]) -> Result<()> {
    for step in steps {
        let wanted = &step.column;
        match job.columns.iter().find(|c| c.source == wanted.source) {
            Some(found) if found.kind.holds(&wanted.kind) => {}
            Some(found) => return Err(conflict(job, found, &step.resolved)),
            None => {
                let message = format!(
                    "job {}: the table has a column `{}` that its job does not declare",
                    job.name, wanted.name
                );
                return Err(Error::new(Kind::Mismatch, message).advise(declare(job, wanted)));
            }
        }
    }
    Ok(())
}

fn declare(job: &SilverJob, column: &Column) -> String {
    format!(
        "write into [columns] of jobs/silver/{}.toml: {}",
        job.name,
        column.line()
    )
}

/// `new_column = "stop"`: what a person has to write.
fn stopped(job: &SilverJob, steps: &[Step]) -> Option<Error> {
    let lines: Vec<String> = steps.iter().map(|step| step.column.line()).collect();
    let first = steps.first()?;
    let names: Vec<String> = steps
        .iter()
        .map(|step| format!("`{}`", step.column.source))
        .collect();
    let message = format!(
        "job {}: the source of topic {} has changed: {} {} not what the job declares",
        job.name,
        job.topic,
        names.join(", "),
        if steps.len() == 1 { "is" } else { "are" }
    );
    let advice = match first.state {
        State::Widened => format!(
            "new_column = \"add\" in jobs/silver/{}.toml widens the column; its line is then {}",
            job.name,
            lines.join("  and  ")
        ),
        _ => format!(
            "write into [columns] of jobs/silver/{}.toml: {}  and run `bullion migrate`; or let ingest do it: \
             new_column = \"add\"",
            job.name,
            lines.join("  and  ")
        ),
    };
    Some(Error::new(Kind::Mismatch, message).advise(advice))
}

fn conflict(job: &SilverJob, column: &Column, resolved: &Resolved) -> Error {
    let message = format!(
        "job {}: column {} was added as {} by another process, and here its source is {} ({})",
        job.name, column.name, column.kind, resolved.spelled, resolved.kind
    );
    Error::new(Kind::Mismatch, message).advise(
        "two types of one field in one topic: decide on one, and ALTER the table and the job file by hand",
    )
}

fn type_changed(job: &SilverJob, column: &Column, change: &Changed, resolved: &Resolved) -> Error {
    let was = change.was.as_deref().unwrap_or("another type");
    let message = format!(
        "job {}: the source of column {} was {was} and is {} now, which a {} does not hold exactly",
        job.name, column.name, resolved.spelled, column.kind
    );
    Error::new(Kind::Mismatch, message).advise(format!(
        "nothing was written: leave the old column behind under another name (ALTER TABLE … RENAME COLUMN), and declare \
         the new type in jobs/silver/{}.toml, or build the table anew",
        job.name
    ))
}

fn key_type_changed(job: &SilverJob, column: &Column, resolved: &Resolved) -> Error {
    let message = format!(
        "job {}: key column {} is a {}, and its source is {} now: key columns never change by themselves",
        job.name, column.name, column.kind, resolved.spelled
    );
    Error::new(Kind::Mismatch, message).advise(
        "the table is ordered by its key: declare the new type in the job, drop or rename the table, and build it anew",
    )
}

fn key_changed(job: &SilverJob, fields: &[String]) -> Error {
    let message = format!(
        "job {}: the key of topic {} is ({}) now, and the job's is ({}): keys never change by themselves",
        job.name,
        job.topic,
        fields.join(", "),
        job.key.join(", ")
    );
    Error::new(Kind::Mismatch, message).advise(
        "rows of the old and the new key are different rows: correct `key`, drop or rename the table, and build it anew",
    )
}
