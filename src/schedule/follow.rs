//! Jobs with `schedule = "on-change"`: what they lack is built when what they depend on has changed.
//!
//! ```text
//! every second: one query, when did each input change last? ─▶ debounce ─▶ which windows are behind? ─▶ build ─▶ ops.runs
//!                                                                 ▲                                         │
//!                                                                 └── jobs that depend on it follow at once ┘
//! ```
//!
//! One job after the other, each after those it depends on: a change runs through the whole graph in one round.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use chrono::Utc;
use clickhouse::Row;
use serde::Deserialize;

use super::debounce::Debounce;
use super::{ASK_AGAIN, Scheduler};
use crate::dirty;
use crate::error::{Error, Kind, Result};
use crate::gold::{Pace, Work};
use crate::job::{Dependency, GoldJob, in_dependency_order};
use crate::ledger::{MADE_ANEW, Run};
use crate::sink::clickhouse::{ClickHouse, literal, quote};
use crate::window::Window;

/// How often ClickHouse is asked what has changed: a small part of what a change waits for anyway.
const POLL: Duration = Duration::from_secs(1);
/// Windows of one build, the newest ones: those that a history lacks come in further builds, and other jobs in between.
const MOST_WINDOWS: usize = 100;

/// One job, and what is known of it.
struct Follower<'j> {
    job: &'j GoldJob,
    /// names of followers that it depends on, directly or not
    upstream: Vec<&'j str>,
    debounce: Debounce,
    /// the window that the clock is in: when it ends, what was built of it is complete at last
    current: Window,
}

/// When each silver and gold table changed last, and when each follower's own was made anew, by ClickHouse's clock.
type Changes = HashMap<String, i64>;

impl Scheduler {
    /// Until the signal comes.
    pub(super) async fn follow_changes(&self) {
        let mut followers = self.followers();
        if followers.is_empty() {
            return;
        }
        let began = Instant::now();
        let mut last: Option<Changes> = None;
        let mut is_lost = false;
        loop {
            let looked = tokio::select! {
                looked = changes(&self.clickhouse, &self.config.clickhouse.ops, &followers) => looked,
                _ = self.shutdown.wait() => return,
            };
            let pause = match looked {
                Ok(changes) => {
                    if std::mem::take(&mut is_lost) {
                        let now = began.elapsed();
                        let all = followers.iter_mut();
                        all.for_each(|follower| follower.debounce.forgive(now));
                    }
                    note(&mut followers, last.as_ref(), &changes, began.elapsed());
                    last = Some(changes);
                    POLL
                }
                Err(error) => {
                    if !is_lost {
                        tracing::warn!(%error, advice = error.advice(), "cannot look for changes, trying again");
                    }
                    is_lost = true;
                    ASK_AGAIN
                }
            };
            // where nobody answers, builds would only fail, and be tried ever later
            if !is_lost && self.round(&mut followers, began).await.is_err() {
                return;
            }
            if self.nap(pause).await.is_err() {
                return;
            }
        }
    }

    fn followers(&self) -> Vec<Follower<'_>> {
        let mut upstream: HashMap<&str, Vec<&str>> = HashMap::new();
        let mut followers = Vec::new();
        for job in in_dependency_order(&self.jobs.gold) {
            let mut before = Vec::new();
            for dependency in &job.depends_on {
                if let Dependency::Gold(name) = dependency {
                    before.extend(upstream.get(name.as_str()).into_iter().flatten().copied());
                }
            }
            if job.follows_changes() {
                followers.push(Follower {
                    job,
                    upstream: before.clone(),
                    debounce: Debounce::default(),
                    current: job.calendar.window_at(Utc::now()),
                });
                before.push(&job.name);
            }
            upstream.insert(&job.name, before);
        }
        followers
    }

    /// Builds what is due; `Err` is a signal.
    async fn round(&self, followers: &mut [Follower<'_>], began: Instant) -> Result<()> {
        let mut built: Vec<&str> = Vec::new();
        for place in 0..followers.len() {
            let (before, rest) = followers.split_at_mut(place);
            let Some(follower) = rest.first_mut() else {
                break;
            };
            let now = began.elapsed();
            let upstream = |name: &&str| follower.upstream.contains(name);
            let follows = built.iter().any(upstream);
            if follows {
                follower.debounce.changed(now);
            }
            let waits = before
                .iter()
                .any(|other| upstream(&other.job.name.as_str()) && other.debounce.is_pending());
            let is_due = follower.debounce.due().is_some_and(|due| due <= now);
            // of two jobs that it depends on one may always be pending
            if !(follows || is_due && !waits) {
                continue;
            }
            follower.debounce.begin();
            match self.catch_up(follower.job).await {
                Ok(Caught { changed, left }) => {
                    follower.debounce.succeed(now, began.elapsed());
                    if changed {
                        built.push(&follower.job.name);
                    }
                    if left {
                        follower.debounce.changed(began.elapsed());
                    }
                }
                Err(error) if matches!(error.kind(), Kind::Terminated | Kind::Interrupted) => {
                    return Err(error);
                }
                Err(error) => {
                    tracing::warn!(job = follower.job.name, %error, advice = error.advice(), "not built, trying again");
                    follower.debounce.fail(began.elapsed());
                }
            }
        }
        Ok(())
    }

    /// Builds the windows that a job lacks, the newest of them where they are many.
    async fn catch_up(&self, job: &GoldJob) -> Result<Caught> {
        let ops = &self.config.clickhouse.ops;
        let mut behind = tokio::select! {
            behind = dirty::behind(&self.clickhouse, ops, &self.jobs, job, Utc::now()) => behind?,
            signal = self.shutdown.wait() => return Err(signal.error()),
        };
        let left = behind.len() > MOST_WINDOWS;
        behind.reverse();
        behind.truncate(MOST_WINDOWS);
        if behind.is_empty() {
            return Ok(Caught::default());
        }
        let work = Work {
            job,
            windows: &behind,
            pace: Pace::ONE,
            run: Run::new(&job.name, "schedule"),
            terminal: false,
        };
        let built = work.perform(&self.clickhouse, &self.config, &self.shutdown);
        let summary = built.await?;
        let (changed, unchanged) = (summary.built, summary.unchanged);
        tracing::info!(
            job = job.name,
            built = changed,
            unchanged,
            "built what has changed"
        );
        match summary.into_error() {
            Some(error) => Err(error),
            None => Ok(Caught {
                changed: changed > 0,
                left,
            }),
        }
    }
}

/// What came of a build.
#[derive(Default)]
struct Caught {
    /// readers see something new
    changed: bool,
    /// there is more to build
    left: bool,
}

/// Which jobs have something new to build. At the first look nobody knows, so all of them do.
fn note(followers: &mut [Follower<'_>], last: Option<&Changes>, changes: &Changes, now: Duration) {
    for follower in followers {
        let dependencies = follower.job.depends_on.iter().map(Dependency::to_string);
        let own = format!("{ANEW}.{}", follower.job.name);
        let mut names = dependencies.chain([own]);
        let is_new = |name: String| last.is_none_or(|last| last.get(&name) != changes.get(&name));
        let current = follower.job.calendar.window_at(Utc::now());
        if names.any(is_new) || current != follower.current {
            follower.debounce.changed(now);
        }
        follower.current = current;
    }
}

/// A table that is empty again, in [`Changes`]; what a job builds itself is no reason to build it.
const ANEW: &str = "anew";

/// One question for all jobs.
async fn changes(
    clickhouse: &ClickHouse,
    ops: &str,
    followers: &[Follower<'_>],
) -> Result<Changes> {
    #[derive(Row, Deserialize)]
    struct Change {
        name: String,
        at: i64,
    }
    let (mut silver, mut gold) = (Vec::new(), Vec::new());
    for dependency in followers
        .iter()
        .flat_map(|follower| &follower.job.depends_on)
    {
        match dependency {
            Dependency::Silver(name) => silver.push(literal(name)),
            Dependency::Gold(name) => gold.push(literal(name)),
        }
    }
    let own = followers.iter().map(|follower| literal(&follower.job.name));
    let own = own.collect();
    let anew = format!("if(message = {}, changed_at, NULL)", literal(MADE_ANEW));
    let part = |layer: &str, table: &str, time: &str, names: Vec<String>| {
        let known = match names.is_empty() {
            true => "0".to_owned(),
            false => format!("job IN ({})", names.join(", ")),
        };
        format!(
            "SELECT concat('{layer}.', job) AS name, ifNull(toUnixTimestamp64Micro(max({time})), 0) AS at FROM {}.{table} WHERE {known} GROUP BY job",
            quote(ops)
        )
    };
    let sql = format!(
        "{} UNION ALL {} UNION ALL {}",
        part("silver", "touches", "at", silver),
        part("gold", "windows_versions", "changed_at", gold),
        part(ANEW, "windows_versions", &anew, own)
    );
    let found: Vec<Change> = clickhouse.all(&sql).await.map_err(missing)?;
    let found = found.into_iter().map(|change| (change.name, change.at));
    Ok(found.collect())
}

fn missing(error: Error) -> Error {
    match error.kind() {
        Kind::NotFound => error.advise("run `bullion migrate`: it makes the tables of ops"),
        _ => error,
    }
}
