//! Gold: a job's SELECT for one window, built aside, audited, swapped in, verified, and written down.
//!
//! ```text
//! lease ─▶ recover what a crash left `swapping` ─▶ drop staging of older tokens
//!   each window:  staging ─▶ INSERT SELECT ─▶ only its own partition? ─▶ audits ─▶ same as before? ─▶ nothing to swap
//!                                                                                      │ no
//!                 ledger `done` ◀─ same count and checksum? ◀─ REPLACE PARTITION ◀─ ledger `swapping`
//! ```

mod audit;
mod build;
mod run;
mod staging;
mod work;

use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::Config;
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::{GoldJob, partition_id};
use crate::lease::Lease;
use crate::ledger::{Contents, Cost, Entry, Ledger, Run, State};
use crate::migrate;
use crate::migrate::gold::TargetColumn;
use crate::sink::clickhouse::ClickHouse;
use crate::window::Window;

pub use run::{Pace, Report, Summary};
pub use work::{Work, ending};

/// One job under its lease, ready to build windows.
pub struct Session<'a> {
    clickhouse: &'a ClickHouse,
    /// of gold tables
    database: &'a str,
    cluster_wide: String,
    job: &'a GoldJob,
    run: &'a Run,
    columns: Vec<TargetColumn>,
    ledger: Ledger,
    lease: Lease,
    /// newer servers refuse an empty source unless told; older ones do not know the setting
    empty_source_setting: bool,
    steps: AtomicU64,
}

/// A window that stands as its SELECT says.
#[derive(Clone, Copy, Debug)]
pub struct Built {
    pub window: Window,
    pub state: State,
    pub contents: Contents,
    pub cost: Cost,
    /// when its SELECT began to read, by ClickHouse's clock in microseconds: what silver changes later it may lack
    pub input_at: i64,
}

impl<'a> Session<'a> {
    /// Takes the lease, repairs what a crash left behind, and makes sure that the target is what the job declares.
    pub async fn open(
        clickhouse: &'a ClickHouse,
        config: &'a Config,
        job: &'a GoldJob,
        run: &'a Run,
    ) -> Result<Session<'a>> {
        let names = &config.clickhouse;
        let ledger = Ledger::new(clickhouse, &names.ops, &job.name);
        let floor = ledger.last_token().await?;
        let target = format!("{}.{}", names.gold, job.name);
        let lease = Lease::acquire(&config.lease, &target, floor).await?;
        let columns = migrate::gold::verify(clickhouse, &names.gold, job).await;
        let session = Session {
            clickhouse,
            database: &names.gold,
            cluster_wide: clickhouse.on_cluster(),
            job,
            run,
            columns: columns.context(format!("gold job {}", job.name))?,
            ledger,
            lease,
            empty_source_setting: staging::knows_empty_source(clickhouse).await?,
            steps: AtomicU64::new(0),
        };
        session.drop_older_staging().await?;
        session.recover().await?;
        Ok(session)
    }

    /// Frees the target for other writers.
    pub async fn close(self) {
        self.lease.release().await;
    }

    /// A REPLACE that was cut off by an engine's death may have left both the old and the new rows.
    async fn recover(&self) -> Result<()> {
        for left in self.ledger.swapping().await? {
            let window = left.window;
            let label = self.job.calendar.label(window);
            if self.job.calendar.window_at(window.from) != window {
                let message = format!(
                    "window {label} of job {} was being swapped when its run died, and the job's grain or zone changed since",
                    self.job.name
                );
                return Err(Error::new(Kind::Mismatch, message).advise(
                    "build it once with the old grain and zone, or drop its partition by hand",
                ));
            }
            let partition = partition_id(self.job.calendar, window);
            let found = self.contents(&self.job.name, &partition).await?;
            if found == left.contents {
                tracing::info!(
                    job = self.job.name,
                    window = label,
                    "the swap that was cut off is complete"
                );
                let mut entry = self.entry(window, State::Done, &partition);
                entry.contents = found;
                entry.sql_hash = &left.sql_hash;
                self.write(entry).await?;
            } else {
                tracing::warn!(
                    job = self.job.name,
                    window = label,
                    "redoing the swap that was cut off"
                );
                self.build(window).await?;
            }
        }
        Ok(())
    }

    fn entry<'e>(&'e self, window: Window, state: State, partition: &'e str) -> Entry<'e> {
        Entry {
            window,
            state,
            partition,
            staging: "",
            sql_hash: &self.job.sql_hash,
            contents: Contents::default(),
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
