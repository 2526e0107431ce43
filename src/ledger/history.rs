//! What `ops.runs` and `ops.run_windows` tell of runs; whether one that says `running` still does, its lease says.

use std::collections::HashMap;

use chrono::{DateTime, TimeZone, Utc};
use clickhouse::Row;
use serde::Deserialize;

use super::{Cost, State, missing};
use crate::config::Config;
use crate::due::Search;
use crate::error::{Error, Kind, Result};
use crate::lease::Lease;
use crate::sink::clickhouse::{ClickHouse, literal, quote};
use crate::window::Window;

/// One line of `ops.runs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    pub run: String,
    pub job: String,
    pub command: String,
    /// `running`, `lost` (its process died), or how it ended
    pub state: String,
    pub scheduled_for: Option<DateTime<Utc>>,
    pub started_at: DateTime<Utc>,
    pub finished_at: Option<DateTime<Utc>>,
    pub windows: u32,
    pub built: u32,
    pub unchanged: u32,
    pub failed: u32,
    pub message: String,
    pub host: String,
    /// of the lease it ran under; 0: it did not come so far
    pub token: u64,
    pub search: Option<Search>,
}

impl Recorded {
    pub fn is_running(&self) -> bool {
        self.state == "running"
    }
}

/// What became of one window in one run.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    pub job: String,
    pub window: Window,
    /// none: planned, and nothing was said of it since
    pub state: Option<State>,
    pub rows: u64,
    pub query_id: String,
    pub cost: Cost,
    pub message: String,
}

impl Outcome {
    /// What the run was to do about the window is done.
    pub fn stands(&self) -> bool {
        matches!(self.state, Some(State::Done | State::Unchanged))
    }
}

/// The lease under which a gold job's target is written.
pub fn lease_name(config: &Config, job: &str) -> String {
    format!("{}.{job}", config.clickhouse.gold)
}

/// The last `count` runs, of one job or of all, newest first; a run over several jobs has a line for each.
pub async fn recent(
    clickhouse: &ClickHouse,
    config: &Config,
    job: Option<&str>,
    count: u32,
) -> Result<Vec<Recorded>> {
    let of_job = job.map_or_else(|| "1".to_owned(), |job| format!("job = {}", literal(job)));
    let condition = format!(
        "{of_job} AND run_id IN (SELECT DISTINCT run_id FROM {}.runs WHERE {of_job} ORDER BY run_id DESC LIMIT {count})",
        quote(&config.clickhouse.ops)
    );
    told(clickhouse, config, &condition).await
}

/// The lines of runs that have not ended: they go on, or died and no later run of their job has found it yet.
pub async fn unfinished(clickhouse: &ClickHouse, config: &Config) -> Result<Vec<Recorded>> {
    let running = format!(
        "run_id IN (SELECT run_id FROM {}.runs WHERE state = 'running')",
        quote(&config.clickhouse.ops)
    );
    let lines = told(clickhouse, config, &running).await?;
    let open = |line: &Recorded| line.is_running() || line.state == "lost";
    Ok(lines.into_iter().filter(open).collect())
}

/// The lines of the one run whose id begins like this.
pub async fn of_run(
    clickhouse: &ClickHouse,
    config: &Config,
    beginning: &str,
) -> Result<Vec<Recorded>> {
    let condition = format!("startsWith(run_id, {})", literal(beginning));
    let lines = told(clickhouse, config, &condition).await?;
    let Some(first) = lines.first() else {
        let message = format!("there is no run {beginning}");
        return Err(Error::new(Kind::NotFound, message).advise("`bullion runs` lists them"));
    };
    if let Some(other) = lines.iter().find(|line| line.run != first.run) {
        let message = format!(
            "several runs begin with {beginning}, such as {} and {}",
            first.run, other.run
        );
        return Err(Error::new(Kind::Usage, message).advise("give more of its id"));
    }
    Ok(lines)
}

/// Every window of a run, by job and time.
pub async fn windows_of(clickhouse: &ClickHouse, ops: &str, run: &str) -> Result<Vec<Outcome>> {
    #[derive(Row, Deserialize)]
    struct Line {
        job: String,
        begins: i64,
        ends: i64,
        state: String,
        rows: u64,
        query_id: String,
        read_rows: u64,
        read_bytes: u64,
        written_rows: u64,
        written_bytes: u64,
        query_seconds: f64,
        memory: Option<u64>,
        seconds: f64,
        message: String,
    }
    let sql = format!(
        "SELECT CAST(job, 'String') AS job, toUnixTimestamp64Milli(window_from) AS begins, toUnixTimestamp64Milli(window_to) AS ends, \
CAST(state, 'String') AS state, rows, query_id, read_rows, read_bytes, written_rows, written_bytes, query_seconds, memory, seconds, message \
FROM {}.run_windows WHERE run_id = {} ORDER BY job, window_from",
        quote(ops),
        literal(run)
    );
    let lines: Vec<Line> = clickhouse.all(&sql).await.map_err(missing)?;
    let outcomes = lines.into_iter().filter_map(|line| {
        Some(Outcome {
            job: line.job,
            window: Window {
                from: instant(line.begins)?,
                to: instant(line.ends)?,
            },
            state: State::parse(&line.state),
            rows: line.rows,
            query_id: line.query_id,
            cost: Cost {
                read_rows: line.read_rows,
                read_bytes: line.read_bytes,
                written_rows: line.written_rows,
                written_bytes: line.written_bytes,
                query_seconds: line.query_seconds,
                memory: line.memory,
                seconds: line.seconds,
            },
            message: line.message,
        })
    });
    Ok(outcomes.collect())
}

/// A run ends in the ledger before it frees its lease, so one that has neither an end nor its lease has died.
async fn told(clickhouse: &ClickHouse, config: &Config, condition: &str) -> Result<Vec<Recorded>> {
    let ops = &config.clickhouse.ops;
    let lines = lines(clickhouse, ops, condition).await?;
    let running: Vec<Recorded> = lines
        .iter()
        .filter(|line| line.is_running())
        .cloned()
        .collect();
    if running.is_empty() {
        return Ok(lines);
    }
    let mut held = HashMap::new();
    for run in &running {
        let token = Lease::held(&config.lease, &lease_name(config, &run.job)).await?;
        held.insert(run.job.clone(), token);
    }
    // one that has ended since it was first looked at says so now
    let mut lines = self::lines(clickhouse, ops, condition).await?;
    mark_lost(&mut lines, &running, &held);
    Ok(lines)
}

/// Of those that were running before the leases were looked at.
fn mark_lost(lines: &mut [Recorded], running: &[Recorded], held: &HashMap<String, Option<u64>>) {
    for line in lines.iter_mut().filter(|line| line.is_running()) {
        let was = |before: &Recorded| before.run == line.run && before.job == line.job;
        let holds = held.get(&line.job) == Some(&Some(line.token));
        if !holds && running.iter().any(was) {
            "lost".clone_into(&mut line.state);
        }
    }
}

/// How a run that was cut short had come along, only its windows say. `condition` is over what both tables have.
async fn lines(clickhouse: &ClickHouse, ops: &str, condition: &str) -> Result<Vec<Recorded>> {
    #[derive(Row, Deserialize)]
    struct Line {
        run_id: String,
        job: String,
        command: String,
        state: String,
        scheduled: Option<i64>,
        started: i64,
        finished: Option<i64>,
        windows: u32,
        all_built: u32,
        all_unchanged: u32,
        all_failed: u32,
        message: String,
        host: String,
        token: u64,
        search: String,
    }
    let sql = format!(
        "SELECT run_id, CAST(job, 'String') AS job, CAST(command, 'String') AS command, CAST(state, 'String') AS state, \
toUnixTimestamp64Milli(scheduled_for) AS scheduled, toUnixTimestamp64Milli(started_at) AS started, \
toUnixTimestamp64Milli(finished_at) AS finished, windows, greatest(built, now_built) AS all_built, \
greatest(unchanged, now_unchanged) AS all_unchanged, greatest(failed, now_failed) AS all_failed, message, CAST(host, 'String') AS host, token, search \
FROM (SELECT * FROM {ops}.runs WHERE {condition}) AS line LEFT JOIN (SELECT run_id, job, toUInt32(countIf(state = 'done')) AS now_built, \
toUInt32(countIf(state = 'unchanged')) AS now_unchanged, toUInt32(countIf(state IN ('failed', 'blocked'))) AS now_failed \
FROM {ops}.run_windows WHERE {condition} GROUP BY run_id, job) AS counted USING (run_id, job) ORDER BY run_id DESC, started, job",
        ops = quote(ops)
    );
    let lines: Vec<Line> = clickhouse.all(&sql).await.map_err(missing)?;
    let recorded = lines.into_iter().filter_map(|line| {
        Some(Recorded {
            run: line.run_id,
            job: line.job,
            command: line.command,
            state: line.state,
            scheduled_for: line.scheduled.and_then(instant),
            started_at: instant(line.started)?,
            finished_at: line.finished.and_then(instant),
            windows: line.windows,
            built: line.all_built,
            unchanged: line.all_unchanged,
            failed: line.all_failed,
            message: line.message,
            host: line.host,
            token: line.token,
            search: Search::parse(&line.search),
        })
    });
    Ok(recorded.collect())
}

fn instant(millis: i64) -> Option<DateTime<Utc>> {
    Utc.timestamp_millis_opt(millis).single()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(id: &str, job: &str, state: &str, token: u64) -> Recorded {
        Recorded {
            run: id.to_owned(),
            job: job.to_owned(),
            command: "gold".to_owned(),
            state: state.to_owned(),
            scheduled_for: None,
            started_at: DateTime::UNIX_EPOCH,
            finished_at: None,
            windows: 1,
            built: 0,
            unchanged: 0,
            failed: 0,
            message: String::new(),
            host: String::new(),
            token,
            search: None,
        }
    }

    #[test]
    fn a_run_is_lost_that_neither_ended_nor_holds_its_lease() {
        let before = [
            run("1", "held", "running", 7),
            run("2", "taken", "running", 7),
            run("3", "free", "running", 7),
            run("4", "ends", "running", 7),
        ];
        let held = HashMap::from([
            ("held".to_owned(), Some(7)),
            ("taken".to_owned(), Some(8)),
            ("free".to_owned(), None),
            ("ends".to_owned(), None),
        ]);
        let mut after = before.to_vec();
        "done".clone_into(&mut after[3].state);
        // it began after the lease was looked at
        after.push(run("5", "free", "running", 8));
        mark_lost(&mut after, &before, &held);
        let states: Vec<&str> = after.iter().map(|run| run.state.as_str()).collect();
        assert_eq!(states, ["running", "lost", "lost", "done", "running"]);
    }
}
