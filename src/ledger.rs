//! The ledger: which window was built from which SQL with which result, and every run. It lives where the data lives.
//!
//! ```text
//! ops.windows       the last word on each window, here
//! ops.runs          each run of each job            run, read by history
//! ops.run_windows   each window of each run         plan and outcome: run, read by history
//! ```

mod anew;
mod history;
mod run;

use chrono::{DateTime, TimeZone, Utc};
use clickhouse::Row;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::sink::clickhouse::{ClickHouse, error_code, literal, quote};
use crate::window::Window;

pub use anew::{MADE_ANEW, forget, standing};
pub use history::{Outcome, Recorded, lease_name, of_run, recent, unfinished, windows_of};
pub use run::{Ending, Run, host};

/// What became of a window. `Swapping` is the only state that a crash can leave behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// written before the ALTER: whoever finds it verifies and redoes the window first
    Swapping,
    Done,
    /// built, and the target already held the same
    Unchanged,
    Blocked,
    Failed,
}

impl State {
    const WORDS: [(State, &'static str); 5] = [
        (State::Swapping, "swapping"),
        (State::Done, "done"),
        (State::Unchanged, "unchanged"),
        (State::Blocked, "blocked"),
        (State::Failed, "failed"),
    ];

    pub fn as_str(self) -> &'static str {
        let found = State::WORDS.iter().find(|(state, _)| *state == self);
        found.map_or("failed", |(_, word)| word)
    }

    fn parse(text: &str) -> Option<State> {
        let found = State::WORDS.iter().find(|(_, word)| *word == text);
        found.map(|(state, _)| *state)
    }
}

/// Rows of a partition: equal contents have equal figures, in whatever order and parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Row, Serialize, Deserialize)]
pub struct Contents {
    pub rows: u64,
    pub checksum: u64,
}

/// What the SELECT of one build cost ClickHouse, in its own figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    pub read_rows: u64,
    pub read_bytes: u64,
    pub written_rows: u64,
    pub written_bytes: u64,
    pub query_seconds: f64,
    /// bytes; few servers say it
    pub memory: Option<u64>,
    /// of the whole build until its swap, audits included, by our clock
    pub seconds: f64,
}

/// One word on one window.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    pub window: Window,
    pub state: State,
    pub partition: &'a str,
    pub staging: &'a str,
    pub sql_hash: &'a str,
    pub contents: Contents,
    /// of the INSERT into staging, in ClickHouse's own logs
    pub query_id: &'a str,
    pub cost: Cost,
    pub message: &'a str,
    /// when it began to read its input, by ClickHouse's clock in microseconds; nothing where it does not stand, or where
    /// it completes what an earlier entry began
    pub input_at: Option<i64>,
    /// rises within one token; the last word on a window has the highest
    pub step: u64,
}

/// What the ledger knows of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    pub window: Window,
    pub state: State,
    pub sql_hash: String,
    /// what a window in mid-swap is replaced from
    pub staging: String,
    pub contents: Contents,
    /// when the build that made it began to read, by ClickHouse's clock in microseconds; 0: nobody knows
    pub input_at: i64,
    /// its build began to read after its end, and not while it was still in progress
    pub whole: bool,
}

impl Known {
    /// Built whole from this SQL: nothing is left to do unless its input changed.
    pub fn is_finished(&self, sql_hash: &str) -> bool {
        let stands = matches!(self.state, State::Done | State::Unchanged);
        stands && self.whole && self.sql_hash == sql_hash
    }
}

/// What a window's readers see, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub window: Window,
    /// when the build that made it began to read, by ClickHouse's clock in microseconds; 0: nobody knows
    pub input_at: i64,
    /// when it last changed; 0: never
    pub changed_at: i64,
}

/// A window that was read after its end; where nobody knows when it was read, that was written down after it.
const WHOLE: &str = "if(toUnixTimestamp64Micro(windows.input_at) > 0, windows.input_at, toDateTime64(windows.recorded_at, 6, 'UTC')) >= window_to";

/// Low bits of an entry's version; 2^20 words of one holder on one job are beyond any run.
const STEP_BITS: u32 = 20;

/// The ledger of one job.
#[derive(Clone)]
pub struct Ledger {
    clickhouse: ClickHouse,
    ops: String,
    job: String,
}

#[derive(Row, Deserialize)]
struct KnownRow {
    begins: i64,
    ends: i64,
    state: String,
    sql_hash: String,
    staging: String,
    rows: u64,
    checksum: u64,
    input_at: i64,
    whole: bool,
}

impl Ledger {
    pub fn new(clickhouse: &ClickHouse, ops: &str, job: &str) -> Ledger {
        Ledger {
            clickhouse: clickhouse.clone(),
            ops: ops.to_owned(),
            job: job.to_owned(),
        }
    }

    /// The highest fencing token that ever wrote here: a new one must be above it, wherever tokens are kept.
    pub async fn last_token(&self) -> Result<u64> {
        let sql = format!(
            "SELECT max(token) FROM {}.windows_versions WHERE job = {}",
            quote(&self.ops),
            literal(&self.job)
        );
        self.clickhouse.one(&sql).await.map_err(missing)
    }

    /// Every window that a crash left in mid-swap, oldest first.
    pub async fn swapping(&self) -> Result<Vec<Known>> {
        self.select("AND state = 'swapping'").await
    }

    /// What is known of the windows that begin in `[from, to)`, oldest first.
    pub async fn known(&self, from: DateTime<Utc>, to: DateTime<Utc>) -> Result<Vec<Known>> {
        let condition = format!(
            "AND toUnixTimestamp64Milli(window_from) >= {} AND toUnixTimestamp64Milli(window_from) < {}",
            from.timestamp_millis(),
            to.timestamp_millis()
        );
        self.select(&condition).await
    }

    /// The windows whose last word is of a run that began after this one, oldest first.
    pub async fn since(&self, run_id: &str) -> Result<Vec<Known>> {
        let later = format!("AND run_id > {}", literal(run_id));
        self.select(&later).await
    }

    /// Every window that was ever built, oldest first.
    pub async fn seen(&self) -> Result<Vec<Seen>> {
        #[derive(Row, Deserialize)]
        struct SeenRow {
            begins: i64,
            ends: i64,
            input_at: i64,
            changed_at: i64,
        }
        // a window whose first build failed has nothing to be seen
        let sql = format!(
            "SELECT toUnixTimestamp64Milli(window_from) AS begins, toUnixTimestamp64Milli(window_to) AS ends, \
toUnixTimestamp64Micro(input_at) AS input_at, toUnixTimestamp64Micro(changed_at) AS changed_at FROM {}.windows \
WHERE job = {} AND (state IN ('done', 'unchanged', 'swapping') OR toUnixTimestamp64Micro(windows.input_at) > 0) ORDER BY window_from",
            quote(&self.ops),
            literal(&self.job)
        );
        let rows: Vec<SeenRow> = self.clickhouse.all(&sql).await.map_err(missing)?;
        let seen = rows.into_iter().filter_map(|row| {
            Some(Seen {
                window: Window {
                    from: Utc.timestamp_millis_opt(row.begins).single()?,
                    to: Utc.timestamp_millis_opt(row.ends).single()?,
                },
                input_at: row.input_at,
                changed_at: row.changed_at,
            })
        });
        Ok(seen.collect())
    }

    /// Windows that stand, were built while they were in progress, and have ended by now.
    pub async fn ended_since(&self) -> Result<Vec<Window>> {
        let condition = format!(
            "AND state IN ('done', 'unchanged') AND NOT ({WHOLE}) AND window_to <= now64(3)"
        );
        let known = self.select(&condition).await?;
        Ok(known.into_iter().map(|known| known.window).collect())
    }

    async fn select(&self, condition: &str) -> Result<Vec<Known>> {
        let sql = format!(
            "SELECT toUnixTimestamp64Milli(window_from) AS begins, toUnixTimestamp64Milli(window_to) AS ends, \
CAST(state, 'String') AS state, sql_hash, staging, rows, checksum, \
toUnixTimestamp64Micro(input_at) AS input_at, CAST({WHOLE}, 'Bool') AS whole FROM {}.windows WHERE job = {} {condition} ORDER BY window_from",
            quote(&self.ops),
            literal(&self.job)
        );
        let rows: Vec<KnownRow> = self.clickhouse.all(&sql).await.map_err(missing)?;
        let known = rows.into_iter().filter_map(|row| {
            let window = Window {
                from: Utc.timestamp_millis_opt(row.begins).single()?,
                to: Utc.timestamp_millis_opt(row.ends).single()?,
            };
            Some(Known {
                window,
                state: State::parse(&row.state)?,
                sql_hash: row.sql_hash,
                staging: row.staging,
                contents: Contents {
                    rows: row.rows,
                    checksum: row.checksum,
                },
                input_at: row.input_at,
                // a whole table has no end to wait for
                whole: row.whole || window == Window::EVERYTHING,
            })
        });
        Ok(known.collect())
    }

    /// Jobs of which a crash, or a run that still goes on, left windows in mid-swap.
    pub async fn jobs_in_mid_swap(clickhouse: &ClickHouse, ops: &str) -> Result<Vec<String>> {
        let sql = format!(
            "SELECT DISTINCT CAST(job, 'String') AS job FROM {}.windows WHERE state = 'swapping' ORDER BY job",
            quote(ops)
        );
        clickhouse.all(&sql).await.map_err(missing)
    }

    pub async fn write(&self, entry: &Entry<'_>, run_id: &str, token: u64) -> Result<()> {
        let version = token << STEP_BITS | entry.step.min((1 << STEP_BITS) - 1);
        let sql = format!(
            "INSERT INTO {ops}.windows_versions (job, window_from, window_to, state, partition, staging, sql_hash, rows, checksum, \
read_rows, read_bytes, seconds, message, run_id, token, recorded_at, version, input_at, changed_at, query_id, written_rows, \
written_bytes, query_seconds, memory) SELECT {job}, \
fromUnixTimestamp64Milli({from}, 'UTC'), fromUnixTimestamp64Milli({to}, 'UTC'), {state}, {partition}, {staging}, {hash}, \
{rows}, {checksum}, {read_rows}, {read_bytes}, {seconds}, {message}, {run}, {token}, now64(3), {version}, {input_at}, {changed_at}, \
{query_id}, {written_rows}, {written_bytes}, {query_seconds}, {memory}",
            ops = quote(&self.ops),
            job = literal(&self.job),
            from = int64(entry.window.from),
            to = int64(entry.window.to),
            state = literal(entry.state.as_str()),
            partition = literal(entry.partition),
            staging = literal(entry.staging),
            hash = literal(entry.sql_hash),
            rows = entry.contents.rows,
            checksum = entry.contents.checksum,
            read_rows = entry.cost.read_rows,
            read_bytes = entry.cost.read_bytes,
            seconds = entry.cost.seconds,
            message = literal(entry.message),
            run = literal(run_id),
            input_at = self.input_at(entry),
            changed_at = self.changed_at(entry),
            query_id = literal(entry.query_id),
            written_rows = entry.cost.written_rows,
            written_bytes = entry.cost.written_bytes,
            query_seconds = entry.cost.query_seconds,
            memory = entry
                .cost
                .memory
                .map_or_else(|| "NULL".to_owned(), |bytes| bytes.to_string()),
        );
        insert(&self.clickhouse, &sql).await
    }

    /// What does not stand leaves what readers see as it was, except that a swap that was cut off may have changed it.
    fn input_at(&self, entry: &Entry<'_>) -> String {
        match (entry.input_at, entry.state) {
            (Some(at), _) => format!("fromUnixTimestamp64Micro(toInt64({at}), 'UTC')"),
            (None, State::Done) => self.of_last(entry.window, "input_at"),
            (None, _) => self.of_last(
                entry.window,
                "if(state = 'swapping', toDateTime64(0, 6, 'UTC'), input_at)",
            ),
        }
    }

    /// Written after readers see it.
    fn changed_at(&self, entry: &Entry<'_>) -> String {
        match entry.state {
            State::Done => "now64(6)".to_owned(),
            _ => self.of_last(entry.window, "if(state = 'swapping', now64(6), changed_at)"),
        }
    }

    /// An expression over the last word on a window.
    fn of_last(&self, window: Window, expression: &str) -> String {
        format!(
            "(SELECT max({expression}) FROM {}.windows WHERE job = {} AND window_from = fromUnixTimestamp64Milli({}, 'UTC') \
AND window_to = fromUnixTimestamp64Milli({}, 'UTC'))",
            quote(&self.ops),
            literal(&self.job),
            int64(window.from),
            int64(window.to)
        )
    }
}

fn int64(at: DateTime<Utc>) -> String {
    format!("toInt64({})", at.timestamp_millis())
}

/// Plain and synchronous: an entry stands when this returns.
async fn insert(clickhouse: &ClickHouse, sql: &str) -> Result<()> {
    let query = clickhouse
        .client()
        .query_raw(sql)
        .with_setting("async_insert", "0")
        .with_setting("insert_deduplicate", "0");
    let done = query.execute().await;
    done.map_err(|error| missing(clickhouse.explain(error)))
}

fn missing(error: Error) -> Error {
    not_migrated(error, "run `bullion migrate`: it makes the ledger")
}

/// What ClickHouse says where `ops` was never migrated, or by an older bullion only.
pub fn not_migrated(error: Error, advice: &'static str) -> Error {
    match (error.kind(), error_code(&error.to_string())) {
        (Kind::NotFound, _) => error.advise(advice),
        // no such column, to an insert and to a SELECT
        (Kind::Query, Some(16 | 47)) => {
            let message = "the tables of ops are those of an older bullion";
            let older = Error::new(Kind::Mismatch, message).because(error);
            older.advise("run `bullion migrate`: it adds what they lack")
        }
        _ => error,
    }
}
