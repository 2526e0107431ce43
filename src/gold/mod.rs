//! Gold: a job's SELECT for one window, built aside, audited, swapped in, verified, and written down.
//!
//! ```text
//! lease ─▶ take over or drop the staging of older tokens ─▶ redo what a crash left `swapping`
//!   each window:  staging ─▶ INSERT SELECT ─▶ only its own partition? ─▶ audits ─▶ same as before? ─▶ nothing to swap
//!                                                                                      │ no
//!                 ledger `done` ◀─ same count and checksum? ◀─ REPLACE PARTITION ◀─ ledger `swapping`
//! ```

mod audit;
mod build;
mod recover;
mod repair;
mod run;
mod staging;
mod work;

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use crate::audit::Finding;
use crate::config::Config;
use crate::error::{Context as _, Result};
use crate::job::GoldJob;
use crate::lease::Lease;
use crate::ledger::{Contents, Cost, Entry, Ledger, Run, State, lease_name};
use crate::migrate;
use crate::migrate::gold::TargetColumn;
use crate::sink::clickhouse::ClickHouse;
use crate::window::Window;

pub use repair::{connect, repair};
pub use run::{Pace, Report, Summary};
pub use staging::statements;
pub use work::{Work, ending};

/// One job under its lease, ready to build windows.
pub struct Session<'a> {
    /// every statement bears the run and the job as its `log_comment`
    clickhouse: ClickHouse,
    /// of gold tables
    database: &'a str,
    /// the database of the ledger and of what audits found
    ops: &'a str,
    cluster_wide: String,
    job: &'a GoldJob,
    run: &'a Run,
    columns: Vec<TargetColumn>,
    ledger: Ledger,
    lease: Lease,
    /// newer servers refuse an empty source unless told; older ones do not know the setting
    empty_source_setting: bool,
    steps: AtomicU64,
    /// windows whose last word is `swapping`: only a swap that was verified may say something else
    unsettled: Mutex<HashSet<Window>>,
    /// what was in mid-swap when this session began, and is whole now
    recovered: Vec<Window>,
    /// of audits, of either severity
    findings: Mutex<Vec<Finding>>,
}

/// A window that stands as its SELECT says.
#[derive(Clone, Debug)]
pub struct Built {
    pub window: Window,
    pub state: State,
    pub contents: Contents,
    /// of the INSERT into staging
    pub query_id: String,
    pub cost: Cost,
    /// when its SELECT began to read, by ClickHouse's clock in microseconds: what silver changes later it may lack
    pub input_at: i64,
}

impl<'a> Session<'a> {
    /// Takes the lease, makes sure that the target is what the job declares, and redoes the swaps that a crash cut off.
    pub async fn open(
        clickhouse: &'a ClickHouse,
        config: &'a Config,
        job: &'a GoldJob,
        run: &'a Run,
    ) -> Result<Session<'a>> {
        let names = &config.clickhouse;
        let ledger = Ledger::new(clickhouse, &names.ops, &job.name);
        let floor = ledger.last_token().await?;
        let lease = Lease::acquire(&config.lease, &lease_name(config, &job.name), floor).await?;
        run.bury_others(clickhouse, &names.ops).await?;
        let columns = migrate::gold::verify(clickhouse, &names.gold, job).await;
        let mut session = Session {
            clickhouse: clickhouse.commented(&format!("bullion {} {}", run.id, job.name)),
            database: &names.gold,
            ops: &names.ops,
            cluster_wide: clickhouse.on_cluster(),
            job,
            run,
            columns: columns.context(format!("gold job {}", job.name))?,
            ledger,
            lease,
            empty_source_setting: staging::knows_empty_source(clickhouse).await?,
            steps: AtomicU64::new(0),
            unsettled: Mutex::default(),
            recovered: Vec::new(),
            findings: Mutex::default(),
        };
        session.recovered = session.recover().await?;
        Ok(session)
    }

    /// `RUN-JOB-PARTITION-N`: one that is tried again runs beside an earlier one whose answer was lost.
    fn query_id(&self, partition: &str) -> String {
        let number = self.steps.fetch_add(1, Ordering::Relaxed);
        format!("{}-{}-{partition}-{number}", self.run.id, self.job.name)
    }

    pub fn token(&self) -> u64 {
        self.lease.token()
    }

    /// Frees the target for other writers.
    pub async fn close(self) {
        self.lease.release().await;
    }

    fn unsettled(&self) -> std::sync::MutexGuard<'_, HashSet<Window>> {
        self.unsettled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn findings(&self) -> std::sync::MutexGuard<'_, Vec<Finding>> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn entry<'e>(&'e self, window: Window, state: State, partition: &'e str) -> Entry<'e> {
        Entry {
            window,
            state,
            partition,
            staging: "",
            sql_hash: &self.job.sql_hash,
            contents: Contents::default(),
            query_id: "",
            cost: Cost::default(),
            message: "",
            input_at: None,
            step: self.steps.fetch_add(1, Ordering::Relaxed),
        }
    }

    async fn write(&self, entry: Entry<'_>) -> Result<()> {
        let token = self.lease.token();
        self.ledger.write(&entry, &self.run.id, token).await
    }
}
