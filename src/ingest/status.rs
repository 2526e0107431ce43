//! What ingest is doing right now, shared between the consuming thread and whoever shows it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::lane::Counters;

/// Off a terminal: one line per job and ten seconds.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// On a terminal: four frames a second.
const FRAME: Duration = Duration::from_millis(250);

#[derive(Clone, Debug, Default)]
pub struct JobStatus {
    pub counters: Counters,
    /// messages behind; `None` before the first fetch
    pub lag: Option<i64>,
    pub partitions: usize,
    pub failed: Option<String>,
}

/// Jobs by name.
#[derive(Clone, Default)]
pub struct Status(Arc<Mutex<BTreeMap<String, JobStatus>>>);

impl Status {
    pub fn set(&self, job: &str, status: JobStatus) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(job.to_owned(), status);
    }

    pub fn jobs(&self) -> BTreeMap<String, JobStatus> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Shows the jobs until it is dropped: a live line each on a terminal, a log line each off it.
    pub async fn show(self, terminal: bool) {
        let mut rates = Rates::default();
        if !terminal {
            let mut ticks = tokio::time::interval(HEARTBEAT);
            loop {
                ticks.tick().await;
                for (job, status) in self.jobs() {
                    let rate = rates.of(&job, status.counters.rows);
                    heartbeat(&job, &status, rate);
                }
            }
        }
        let bars = MultiProgress::new();
        let mut lines: BTreeMap<String, ProgressBar> = BTreeMap::new();
        let mut ticks = tokio::time::interval(FRAME);
        loop {
            ticks.tick().await;
            for (job, status) in self.jobs() {
                let rate = rates.of(&job, status.counters.rows);
                let line = lines
                    .entry(job.clone())
                    .or_insert_with(|| bars.add(live_line()));
                line.set_message(describe(&job, &status, rate));
            }
        }
    }
}

fn live_line() -> ProgressBar {
    let line = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        line.set_style(style);
    }
    line.enable_steady_tick(FRAME);
    line
}

fn heartbeat(job: &str, status: &JobStatus, rate: f64) {
    tracing::info!(
        job,
        rows = status.counters.rows,
        rows_per_second = rate.round(),
        rejects = status.counters.rejects.values().sum::<u64>(),
        lag = status.lag,
        freshness_s = freshness(status),
        partitions = status.partitions,
        failed = status.failed,
        "ingest"
    );
}

fn describe(job: &str, status: &JobStatus, rate: f64) -> String {
    if let Some(failed) = &status.failed {
        return format!("{job}: stopped: {failed}");
    }
    let lag = status.lag.map_or("?".to_owned(), |lag| lag.to_string());
    let fresh = freshness(status).map_or("?".to_owned(), |seconds| seconds.to_string());
    let rows = status.counters.rows;
    format!("{job}: {rows} rows, {rate:.0} rows/s, lag {lag}, {fresh} s behind the source")
}

/// Seconds between the source's latest change that we have seen and now.
fn freshness(status: &JobStatus) -> Option<i64> {
    let seen = status.counters.source_time?;
    Some((chrono::Utc::now().timestamp_millis() - seen) / 1000)
}

/// Rows per second since the last look, by job.
#[derive(Default)]
struct Rates(BTreeMap<String, (Instant, u64)>);

impl Rates {
    fn of(&mut self, job: &str, rows: u64) -> f64 {
        let now = Instant::now();
        let last = self.0.insert(job.to_owned(), (now, rows));
        last.map_or(0.0, |(then, before)| {
            let elapsed = now.duration_since(then).as_secs_f64();
            rows.saturating_sub(before) as f64 / elapsed.max(0.001)
        })
    }
}
