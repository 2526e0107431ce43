//! One run: a command's work on one job, its plan, and how it stands or ended. A command over several jobs is one run with a
//! line for each of them.

use chrono::{DateTime, Utc};
use clickhouse::Row;
use serde::Serialize;

use super::{insert, int64, missing};
use crate::due::Search;
use crate::error::Result;
use crate::sink::clickhouse::{ClickHouse, literal, quote};
use crate::window::Window;

/// One execution of one job, as `ops.runs` shows it.
#[derive(Clone, Debug)]
pub struct Run {
    pub id: String,
    pub job: String,
    /// gold, backfill, schedule, retry or repair
    pub command: &'static str,
    pub scheduled_for: Option<DateTime<Utc>>,
    /// none where a range alone says what is built
    pub search: Option<Search>,
    pub started_at: DateTime<Utc>,
}

/// How a run stands or ended.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    pub state: &'static str,
    pub windows: usize,
    pub built: usize,
    pub unchanged: usize,
    pub failed: usize,
    pub exit: u8,
    pub message: String,
    /// of the lease that it runs under; 0: it has none
    pub token: u64,
}

/// A line of `ops.run_windows_versions` before anything is known of the window.
#[derive(Row, Serialize)]
struct Planned {
    run_id: String,
    job: String,
    window_from: i64,
    window_to: i64,
    state: &'static str,
    version: u64,
}

impl Run {
    pub fn new(job: &str, command: &'static str) -> Run {
        Run {
            // rises with time, so runs sort by their start
            id: uuid::Uuid::now_v7().to_string(),
            job: job.to_owned(),
            command,
            scheduled_for: None,
            search: None,
            started_at: Utc::now(),
        }
    }

    /// The same command's work on another job.
    #[must_use]
    pub fn on(&self, job: &str) -> Run {
        Run {
            job: job.to_owned(),
            started_at: Utc::now(),
            ..self.clone()
        }
    }

    /// Notes what is to be built, all of it at once, before anything is.
    pub async fn plan(&self, clickhouse: &ClickHouse, ops: &str, windows: &[Window]) -> Result<()> {
        if windows.is_empty() {
            return Ok(());
        }
        let planned: Vec<Planned> = windows
            .iter()
            .map(|window| Planned {
                run_id: self.id.clone(),
                job: self.job.clone(),
                window_from: window.from.timestamp_millis(),
                window_to: window.to.timestamp_millis(),
                state: "planned",
                version: 0,
            })
            .collect();
        let table = format!("{}.run_windows_versions", quote(ops));
        clickhouse
            .insert_rows(&table, &planned)
            .await
            .map_err(missing)
    }

    /// Keeps what the ledger says of this run's windows beside its plan: the next run that builds them has the last word there.
    pub async fn keep(&self, clickhouse: &ClickHouse, ops: &str) -> Result<()> {
        let own = format!("run_id = {}", literal(&self.id));
        keep(clickhouse, ops, &self.job, &own).await
    }

    /// Called with the job's lease in hand: whatever else still says `running` has died.
    pub async fn bury_others(&self, clickhouse: &ClickHouse, ops: &str) -> Result<()> {
        let running = format!(
            "job = {} AND state = 'running' AND run_id != {}",
            literal(&self.job),
            literal(&self.id)
        );
        let sql = format!("SELECT run_id FROM {}.runs WHERE {running}", quote(ops));
        let dead: Vec<String> = clickhouse.all(&sql).await.map_err(missing)?;
        if dead.is_empty() {
            return Ok(());
        }
        let dead: Vec<String> = dead.iter().map(|id| literal(id)).collect();
        let theirs = format!("run_id IN ({})", dead.join(", "));
        keep(clickhouse, ops, &self.job, &theirs).await?;
        // nobody knows when it died
        let sql = format!(
            "INSERT INTO {ops}.runs_versions ({RUN_COLUMNS}, state, version) SELECT {RUN_COLUMNS}, 'lost', 2 FROM {ops}.runs \
WHERE {running}",
            ops = quote(ops)
        );
        insert(clickhouse, &sql).await
    }

    /// `finished` is the last word; the one before it says that the run goes on.
    pub async fn write(
        &self,
        clickhouse: &ClickHouse,
        ops: &str,
        result: &Ending,
        finished: bool,
    ) -> Result<()> {
        let instant = |at: DateTime<Utc>| format!("fromUnixTimestamp64Milli({}, 'UTC')", int64(at));
        let sql = format!(
            "INSERT INTO {ops}.runs_versions (run_id, job, command, state, scheduled_for, started_at, finished_at, windows, built, \
unchanged, failed, exit, message, host, token, search, version) SELECT {id}, {job}, {command}, {state}, {scheduled}, {started}, {ended}, \
{windows}, {built}, {unchanged}, {failed}, {exit}, {message}, {host}, {token}, {search}, {version}",
            ops = quote(ops),
            id = literal(&self.id),
            job = literal(&self.job),
            command = literal(self.command),
            state = literal(result.state),
            scheduled = self
                .scheduled_for
                .map_or_else(|| "NULL".to_owned(), instant),
            started = instant(self.started_at),
            ended = if finished { "now64(3)" } else { "NULL" },
            windows = result.windows,
            built = result.built,
            unchanged = result.unchanged,
            failed = result.failed,
            exit = result.exit,
            message = literal(&result.message),
            host = literal(&host()),
            token = result.token,
            search = literal(
                &self
                    .search
                    .map(|search| search.to_string())
                    .unwrap_or_default()
            ),
            version = u8::from(finished) + 1,
        );
        insert(clickhouse, &sql).await
    }
}

/// Of `ops.runs`, but for the state.
const RUN_COLUMNS: &str = "run_id, job, command, scheduled_for, started_at, finished_at, windows, built, unchanged, failed, exit, \
message, host, token, search";
/// What `ops.windows` and `ops.run_windows` both have.
const WINDOW_COLUMNS: &str = "run_id, job, window_from, window_to, state, rows, query_id, read_rows, read_bytes, written_rows, \
written_bytes, query_seconds, memory, seconds, message, recorded_at, version";

async fn keep(clickhouse: &ClickHouse, ops: &str, job: &str, runs: &str) -> Result<()> {
    let sql = format!(
        "INSERT INTO {ops}.run_windows_versions ({WINDOW_COLUMNS}) SELECT {WINDOW_COLUMNS} FROM {ops}.windows_versions FINAL \
WHERE job = {job} AND {runs}",
        ops = quote(ops),
        job = literal(job)
    );
    insert(clickhouse, &sql).await
}

pub fn host() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
