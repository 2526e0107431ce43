//! The scheduler: each job by its own cron line in its own zone, or after its input; one run of a job at a time.
//!
//! ```text
//! fire ─▶ the last window that ended by then ─▶ is its input complete? ─▶ build ─▶ ops.runs ─▶ the next fire after this one
//!                                                 │ no: ask again, until the grace is over: exit 75 in ops.runs
//! ```
//!
//! A fire whose target is held, or whose ClickHouse is gone, is tried again: `fire`.

mod debounce;
mod fire;
mod follow;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::future::join_all;

use crate::config::Config;
use crate::error::{Error, Kind, Result};
use crate::gold;
use crate::job::{GoldJob, Jobs, When};
use crate::shutdown::Shutdown;
use crate::sink::clickhouse::ClickHouse;
use crate::window::Window;

/// How often an incomplete input, a held lease or a server that is gone is looked at again.
const ASK_AGAIN: Duration = Duration::from_secs(5);
/// How often swaps that were cut off are looked for, whoever did them: until they are redone readers may see old rows beside
/// new ones, and the next fire of their job may be a month away.
const MAKE_WHOLE: Duration = Duration::from_secs(15);
/// Longest single wait for a fire: after it the wall clock is read anew, in case it was set.
const LONGEST_NAP: Duration = Duration::from_secs(60);
/// A clock that is set back by less than this plays no fire twice; one that is set back by more was wrong before, and what
/// it fired has yet to come.
const WRONG_CLOCK: TimeDelta = TimeDelta::hours(1);

pub struct Scheduler {
    pub clickhouse: ClickHouse,
    pub config: Config,
    pub jobs: Jobs,
    pub shutdown: Shutdown,
}

/// The error of a project whose gold jobs have no `schedule`.
pub fn nothing_to_schedule() -> Error {
    Error::new(Kind::Config, "no gold job has a `schedule`")
        .advise("write one into a file of jobs/gold/, such as schedule = \"15 1 * * *\" or schedule = \"on-change\"")
}

impl Scheduler {
    /// Builds every job that has a `schedule` until the signal comes; what runs then is cut short and will be repaired.
    pub async fn run(&self) -> Result<()> {
        let jobs: Vec<&GoldJob> = self
            .jobs
            .gold
            .iter()
            .filter(|job| job.schedule.is_some())
            .collect();
        if jobs.is_empty() {
            return Err(nothing_to_schedule());
        }
        let by_cron = jobs.into_iter().filter(|job| !job.follows_changes());
        tokio::join!(
            join_all(by_cron.map(|job| self.keep_time(job))),
            self.follow_changes(),
            self.make_whole()
        );
        match self.shutdown.requested() {
            Some(signal) => Err(signal.error()),
            None => Ok(()),
        }
    }

    /// Until the signal comes. Whoever opens the door to gold has made whole what he found: this is for what happens later.
    /// What cannot be redone waits for a person, who is not to be kept out by its lease.
    async fn make_whole(&self) {
        let mut failures = 0;
        let mut pause = MAKE_WHOLE;
        while self.nap(pause).await.is_ok() {
            let repaired = gold::repair(&self.clickhouse, &self.config, &self.jobs, &self.shutdown);
            match Box::pin(repaired).await {
                Ok(0) => failures = 0,
                Ok(_) => failures += 1,
                Err(error) => tracing::debug!(%error, "cannot look for swaps that were cut off"),
            }
            pause = match failures {
                0 => MAKE_WHOLE,
                some => MAKE_WHOLE.max(debounce::retry_after(some)),
            };
        }
    }

    async fn keep_time(&self, job: &GoldJob) {
        let mut last = Utc::now();
        let mut told = None;
        loop {
            let now = Utc::now();
            last = counted_from(last, now);
            let Some(fire) = fire_after(job, last, now) else {
                break;
            };
            if told != Some(fire) {
                tracing::info!(job = job.name, at = job.calendar.show(fire), "next fire");
                told = Some(fire);
            }
            let left = (fire - now).to_std().unwrap_or_default();
            if !left.is_zero() {
                match self.nap(left.min(LONGEST_NAP)).await {
                    Ok(()) => continue,
                    Err(_) => return,
                }
            }
            match self.fire(job, fire).await {
                Ok(ended) => tracing::info!(job = job.name, state = ended.state, "run ended"),
                Err(error) if matches!(error.kind(), Kind::Terminated | Kind::Interrupted) => {
                    return;
                }
                Err(error) => {
                    tracing::error!(job = job.name, %error, advice = error.advice(), "run failed")
                }
            }
            last = fire;
        }
        tracing::warn!(job = job.name, "its cron line never fires again");
    }

    async fn nap(&self, time: Duration) -> Result<()> {
        tokio::select! {
            () = tokio::time::sleep(time) => Ok(()),
            signal = self.shutdown.wait() => Err(signal.error()),
        }
    }
}

/// The job's next fire after an instant, in its own zone.
pub fn next_fire(job: &GoldJob, after: DateTime<Utc>) -> Option<DateTime<Utc>> {
    match job.schedule.as_ref()? {
        When::Cron(line) => line.next_after(after, job.calendar.zone),
        When::OnChange => None,
    }
}

/// Where the next fire is counted from: the last one, or the clock, where that was wrong then and has been set back since.
fn counted_from(last: DateTime<Utc>, now: DateTime<Utc>) -> DateTime<Utc> {
    match last - now > WRONG_CLOCK {
        true => now,
        false => last,
    }
}

/// The next fire after an earlier one. Those that have passed meanwhile are played in turn; of several that build the same
/// window the last one.
fn fire_after(job: &GoldJob, earlier: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let mut fire = next_fire(job, earlier)?;
    let window = last_complete(job, fire);
    while let Some(next) = next_fire(job, fire)
        && next <= now
        && last_complete(job, next) == window
    {
        fire = next;
    }
    Some(fire)
}

/// The last window that has ended by the time of a fire.
pub fn last_complete(job: &GoldJob, fire: DateTime<Utc>) -> Window {
    job.calendar.before(job.calendar.window_at(fire))
}

#[cfg(test)]
mod tests;
