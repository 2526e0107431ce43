//! What a drift asks for, done: ALTER, then the views, then `ops.columns`. Nothing of it is needed to go on after a
//! crash, which may come between any two: the ALTER is atomic and says in the column's comment what was done, and a view
//! that lags behind its table is made anew at the next start.

use std::time::Duration;

use super::record::{self, Event, State};
use super::refusal::{key_changed, stopped};
use super::resolve::Catalog;
use super::step::{Step, check, steps, told};
use crate::config::{self, Config};
use crate::envelope::{Drift, Sources};
use crate::error::{Result, Retry};
use crate::failpoint::{self, Point};
use crate::job::{NewColumnPolicy, SilverJob};
use crate::migrate::{evolved, silver};
use crate::sink::clickhouse::ClickHouse;

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
        // one process at a time looks at the table and changes it, so no two choose different types
        let lease = evolved::columns_lease(&self.lease, &self.silver, job).await?;
        let settled = self.alter(job, drift, &catalog).await;
        lease.release().await;
        settled
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
    /// Another process may have changed the table since `job` was read from it.
    pub async fn refresh_views(&self, job: &SilverJob) -> Result<()> {
        let job = evolved::verified(&self.clickhouse, (&self.silver, &self.ops), job).await?;
        let plan = |job: SilverJob| async move {
            silver::plan(&self.clickhouse, &self.silver, &job).await
        };
        let (_, changes) = evolved::agreed(&self.clickhouse, &self.silver, &job, plan).await?;
        for change in changes {
            self.clickhouse.execute(&change.sql).await?;
        }
        Ok(())
    }
}
