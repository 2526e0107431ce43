//! Many windows of one session: some at a time, progress shown, a signal obeyed, failures counted.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt as _};

use super::{Built, Session};
use crate::audit::{Finding, Severity};
use crate::error::{Error, Kind, Result, Retry};
use crate::ledger::State;
use crate::progress::Progress;
use crate::rate::{Limit, Spacing};
use crate::shutdown::{DRAIN_DEADLINE, Shutdown};
use crate::sink::clickhouse::literal;
use crate::window::Window;

/// How many windows at a time, and how many may begin in a time.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    pub parallel: usize,
    pub rate: Option<Limit>,
}

impl Pace {
    /// One after the other, as fast as it goes.
    pub const ONE: Pace = Pace {
        parallel: 1,
        rate: None,
    };
}

/// What became of the windows of one run.
#[derive(Debug, Default)]
pub struct Summary {
    pub windows: usize,
    pub built: usize,
    pub unchanged: usize,
    pub blocked: usize,
    pub failed: usize,
    pub rows: u64,
    pub read_rows: u64,
    /// what audits found, of either severity
    pub findings: Vec<Finding>,
    pub first_error: Option<Error>,
    /// a window failed by what may be over in some minutes
    pub passes: bool,
}

/// Where a run says what it does.
pub struct Report<'a> {
    pub progress: &'a Progress,
    pub shutdown: &'a Shutdown,
}

/// Pauses before a window is tried again after an answer of "not now".
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// Off a terminal, one line of life so often.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// KILL QUERY gets this much of the drain deadline; the rest is for the ledger and the lease.
const KILL_DEADLINE: Duration = Duration::from_secs(2);

impl Session<'_> {
    /// Builds every window. An error is one that ends the whole run: a signal, a lost lease, a server that is gone.
    pub async fn run(&self, windows: &[Window], pace: Pace, report: Report<'_>) -> Result<Summary> {
        let mut summary = Summary {
            windows: windows.len(),
            ..Summary::default()
        };
        let mut spacing = Spacing::new(pace.rate);
        let begun = stream::iter(windows.to_vec()).then(|window| {
            let wait = spacing.wait(Instant::now());
            async move {
                if wait > Duration::ZERO {
                    tokio::time::sleep(wait).await;
                }
                window
            }
        });
        let mut results = Box::pin(
            begun
                .map(|window| self.build_patiently(window))
                .buffer_unordered(pace.parallel.max(1)),
        );
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.tick().await;
        loop {
            tokio::select! {
                biased;
                signal = report.shutdown.wait() => {
                    drop(results);
                    self.kill_queries().await;
                    return Err(signal.error());
                }
                result = results.next() => match result {
                    Some(result) => {
                        report.progress.finished(result.as_ref().map_or(0, |built| built.contents.rows));
                        summary.count(result)?;
                    }
                    None => {
                        summary.findings = std::mem::take(&mut *self.findings());
                        return Ok(summary);
                    }
                },
                _ = heartbeat.tick() => report.progress.beat(),
            }
        }
    }

    async fn build_patiently(&self, window: Window) -> Result<Built> {
        for pause in PAUSES {
            match self.build(window).await {
                Err(error)
                    if matches!(
                        error.kind().policy().retry,
                        Retry::Backoff | Retry::SlowDown
                    ) =>
                {
                    tracing::warn!(job = self.job.name, %error, "trying the window again");
                    tokio::time::sleep(pause).await;
                }
                result => return result,
            }
        }
        self.build(window).await
    }

    /// The connection is closed already, but a server need not notice that while it computes.
    async fn kill_queries(&self) {
        let sql = format!(
            "KILL QUERY{} WHERE query_id LIKE {} ASYNC",
            self.cluster_wide,
            literal(&format!("{}-%", self.run.id))
        );
        let deadline = KILL_DEADLINE.min(DRAIN_DEADLINE);
        match tokio::time::timeout(deadline, self.clickhouse.execute(&sql)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(job = self.job.name, %error, "cannot kill our queries")
            }
            Err(_) => tracing::warn!(
                job = self.job.name,
                "clickhouse did not kill our queries in time"
            ),
        }
    }
}

impl Summary {
    /// What audits found in rows that readers see nevertheless.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        let warn = |finding: &&Finding| finding.severity == Severity::Warn;
        self.findings.iter().filter(warn)
    }

    /// The same in words; nothing where there are none.
    pub fn warned(&self) -> String {
        match (self.warnings().next(), self.warnings().count()) {
            (None, _) => String::new(),
            (Some(first), 1) => format!("warning: {first}"),
            (Some(first), all) => format!("{all} warnings, the first: {first}"),
        }
    }

    fn count(&mut self, result: Result<Built>) -> Result<()> {
        match result {
            Ok(built) => {
                match built.state {
                    State::Unchanged => self.unchanged += 1,
                    _ => self.built += 1,
                }
                self.rows += built.contents.rows;
                self.read_rows += built.cost.read_rows;
            }
            Err(error) if ends_the_run(error.kind()) => return Err(error),
            Err(error) => {
                match error.kind() {
                    Kind::AuditBlocked => self.blocked += 1,
                    _ => self.failed += 1,
                }
                tracing::error!(%error, "window not built");
                self.passes |= error.kind().passes();
                self.first_error.get_or_insert(error);
            }
        }
        Ok(())
    }

    /// How the run as a whole ended: its own error where every window met one, `WindowsFailed` where only some did.
    pub fn into_error(self) -> Option<Error> {
        let first = self.first_error?;
        let done = self.built + self.unchanged;
        if self.failed == 0 || (done == 0 && self.blocked == 0) {
            return Some(first);
        }
        let message = format!(
            "{} of {} windows were not built; the first: {first}",
            self.failed + self.blocked,
            self.windows
        );
        Some(Error::new(Kind::WindowsFailed, message))
    }
}

/// What no other window of the run would fare better with.
const fn ends_the_run(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::Unreachable | Kind::Denied | Kind::LeaseHeld | Kind::Mismatch | Kind::NotFound
    )
}
