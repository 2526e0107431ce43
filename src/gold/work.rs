//! One run of one job: its lease, its windows, and its line in `ops.runs` from begin to end.

use std::time::Duration;

use super::{Pace, Report, Session, Summary};
use crate::config::Config;
use crate::error::{Kind, Result};
use crate::job::GoldJob;
use crate::ledger::{Ending, Run};
use crate::progress::Progress;
use crate::shutdown::Shutdown;
use crate::sink::clickhouse::ClickHouse;
use crate::window::Window;

/// One job's windows, to be built under its lease and written into `ops.runs`.
pub struct Work<'a> {
    pub job: &'a GoldJob,
    pub windows: &'a [Window],
    pub pace: Pace,
    pub run: Run,
    /// a person watches
    pub terminal: bool,
}

/// What writing the end of a run may take: after a signal it is the last second of the drain deadline.
const LAST_WORD: Duration = Duration::from_secs(1);

impl Work<'_> {
    /// The plan, the lease, the windows, and how it ended.
    pub async fn perform(
        &self,
        clickhouse: &ClickHouse,
        config: &Config,
        shutdown: &Shutdown,
    ) -> Result<Summary> {
        let ops = &config.clickhouse.ops;
        self.run.plan(clickhouse, ops, self.windows).await?;
        match self.open(clickhouse, config, shutdown).await {
            Ok(session) => self.build(session, clickhouse, ops, shutdown).await,
            Err(error) => {
                let result = Err(error);
                let ended = ending(self.windows.len(), &result);
                self.last_word(clickhouse, ops, &ended).await;
                result
            }
        }
    }

    /// Takes the lease, and writes no line of the run: `begin` or `give_up` does.
    pub async fn open<'a>(
        &'a self,
        clickhouse: &'a ClickHouse,
        config: &'a Config,
        shutdown: &Shutdown,
    ) -> Result<Session<'a>> {
        tokio::select! {
            session = Session::open(clickhouse, config, self.job, &self.run) => session,
            signal = shutdown.wait() => Err(signal.error()),
        }
    }

    /// What `perform` does once the lease is there.
    pub async fn begin(
        &self,
        session: Session<'_>,
        clickhouse: &ClickHouse,
        ops: &str,
        shutdown: &Shutdown,
    ) -> Result<Summary> {
        match self.run.plan(clickhouse, ops, self.windows).await {
            Ok(()) => self.build(session, clickhouse, ops, shutdown).await,
            Err(error) => {
                session.close().await;
                Err(error)
            }
        }
    }

    /// Notes that nothing was built, for a reason met before it came to this job.
    pub async fn give_up(&self, clickhouse: &ClickHouse, ops: &str, ended: &Ending) -> Result<()> {
        self.run.plan(clickhouse, ops, self.windows).await?;
        self.run.write(clickhouse, ops, ended, true).await
    }

    async fn build(
        &self,
        session: Session<'_>,
        clickhouse: &ClickHouse,
        ops: &str,
        shutdown: &Shutdown,
    ) -> Result<Summary> {
        let result = self.run_windows(&session, clickhouse, ops, shutdown).await;
        let mut ended = ending(self.windows.len(), &result);
        ended.token = session.token();
        // before others may build: whoever finds the lease free and no end knows that this process died
        self.last_word(clickhouse, ops, &ended).await;
        session.close().await;
        result
    }

    async fn run_windows(
        &self,
        session: &Session<'_>,
        clickhouse: &ClickHouse,
        ops: &str,
        shutdown: &Shutdown,
    ) -> Result<Summary> {
        let begun = Ending {
            state: "running",
            windows: self.windows.len(),
            token: session.token(),
            ..Ending::default()
        };
        self.run.write(clickhouse, ops, &begun, false).await?;
        let progress = Progress::new(
            &self.job.name,
            "windows",
            self.windows.len() as u64,
            self.terminal,
        );
        let report = Report {
            progress: &progress,
            shutdown,
        };
        session.run(self.windows, self.pace, report).await
    }

    async fn last_word(&self, clickhouse: &ClickHouse, ops: &str, ended: &Ending) {
        let written = async {
            self.run.write(clickhouse, ops, ended, true).await?;
            self.run.keep(clickhouse, ops).await
        };
        match tokio::time::timeout(LAST_WORD, written).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(job = self.job.name, %error, "cannot write how the run ended")
            }
            Err(_) => tracing::warn!(
                job = self.job.name,
                "clickhouse did not take how the run ended in time"
            ),
        }
    }
}

/// A result as `ops.runs` keeps it.
pub fn ending(windows: usize, result: &Result<Summary>) -> Ending {
    match result {
        Ok(summary) => {
            let failed = summary.failed + summary.blocked;
            let done = summary.built + summary.unchanged;
            let (state, exit) = match (&summary.first_error, done) {
                (None, _) if summary.built == 0 => ("noop", 0),
                (None, _) => ("done", 0),
                (Some(_), _) if summary.failed == 0 => {
                    ("blocked", Kind::AuditBlocked.policy().exit)
                }
                (Some(error), 0) => ("failed", error.kind().policy().exit),
                (Some(_), _) => ("partial", Kind::WindowsFailed.policy().exit),
            };
            Ending {
                state,
                windows,
                built: summary.built,
                unchanged: summary.unchanged,
                failed,
                exit,
                message: match &summary.first_error {
                    Some(error) => error.to_string(),
                    None => summary.warned(),
                },
                token: 0,
            }
        }
        Err(error) => Ending {
            state: match error.kind() {
                Kind::LeaseHeld => "lease held",
                Kind::NotFresh => "not fresh",
                Kind::Terminated | Kind::Interrupted => "terminated",
                _ => "failed",
            },
            windows,
            exit: error.kind().policy().exit,
            message: error.to_string(),
            ..Ending::default()
        },
    }
}
