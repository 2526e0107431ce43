//! One fire of a cron line: it waits for its input, and is tried again where something is in its way that passes by itself.
//!
//! ```text
//! input complete? ─▶ redo swaps that were cut off ─▶ lease ─▶ build ─▶ ops.runs
//!      ▲ │ no                                          │ held     │ ClickHouse is gone or busy
//!      └─┘                 ▲                           │          │
//!                          └───────── after a while ◀──┴──────────┘     until the grace is over
//! ```
//!
//! `ops.runs` has a line for the first try that did not get the lease, one for each build that was begun, and the end.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::debounce::retry_after;
use super::{ASK_AGAIN, Scheduler, last_complete, next_fire};
use crate::error::{Error, Kind, Result};
use crate::freshness::{self, Freshness};
use crate::gold::{self, Pace, Summary, Work, ending};
use crate::job::GoldJob;
use crate::ledger::{Ending, Ledger, Run};
use crate::window::Window;

/// A build is tried again for so long at least, even where the input came at the end of the grace, or the fire is played
/// late: a server that is updated is back by then, and a swap that another process redoes is done.
const OUTLIVE: TimeDelta = TimeDelta::minutes(10);

/// One fire of a job.
struct Fire<'a> {
    job: &'a GoldJob,
    at: DateTime<Utc>,
    /// those before the last one are looked back at
    windows: Vec<Window>,
}

impl Fire<'_> {
    /// Each try is a run of its own: its queries have its name.
    fn work(&self) -> Work<'_> {
        let mut run = Run::new(&self.job.name, "schedule");
        run.scheduled_for = Some(self.at);
        Work {
            job: self.job,
            windows: &self.windows,
            pace: Pace::ONE,
            run,
            terminal: false,
        }
    }
}

impl Fire<'_> {
    /// The next window has its fire already.
    fn is_followed(&self, now: DateTime<Utc>) -> bool {
        let next = next_fire(self.job, self.at).filter(|next| *next <= now);
        next.is_some_and(|next| Some(&last_complete(self.job, next)) != self.windows.last())
    }
}

/// What came of one try.
enum Tried {
    /// nothing was built, and nothing written down
    NotBegun(Error),
    Begun(Result<Summary>),
}

impl Tried {
    fn passes(&self) -> bool {
        match self {
            Tried::NotBegun(error) | Tried::Begun(Err(error)) => error.kind().passes(),
            Tried::Begun(Ok(summary)) => summary.passes,
        }
    }
}

impl Scheduler {
    /// What one fire does; `Err` is a run that could not even be written down, or a signal.
    pub async fn fire(&self, job: &GoldJob, at: DateTime<Utc>) -> Result<Ending> {
        let window = last_complete(job, at);
        let fire = Fire {
            job,
            at,
            windows: job.looking_back(window),
        };
        let label = job.calendar.label(window);
        if let Err(error) = self.wait_for_input(job, window, at).await {
            if error.kind() == Kind::NotFresh {
                tracing::warn!(job = job.name, window = label, %error, "gave up waiting");
            }
            return self.give_up(&fire.work(), error).await;
        }
        let before = fire.windows.len() - 1;
        tracing::info!(job = job.name, window = label, before, "building");
        self.build_until(&fire, last_try(at, job.grace, Utc::now()))
            .await
    }

    /// Tries until it is built, or fails by what needs a person.
    async fn build_until(&self, fire: &Fire<'_>, last_try: DateTime<Utc>) -> Result<Ending> {
        // by its own clock, as the ledger says when a build began to read; a server that is gone is met again
        let complete = self.clickhouse.now().await.unwrap_or(i64::MAX);
        let (mut met, mut failures) = (None, 0);
        loop {
            let work = fire.work();
            if met == Some(Kind::LeaseHeld) && self.was_built_by_another(fire, complete).await {
                return self.note_built(&work).await;
            }
            let tried = self.attempt(&work).await?;
            let is_over = !tried.passes() || Utc::now() >= last_try;
            let pause = match tried {
                // the ledger knows what is left of it, and newer windows are not to wait for it
                Tried::Begun(result) if fire.is_followed(Utc::now()) => {
                    return Ok(ending(fire.windows.len(), &result));
                }
                Tried::NotBegun(error) if is_over => return self.give_up(&work, error).await,
                Tried::Begun(result) if is_over => {
                    return Ok(ending(fire.windows.len(), &result));
                }
                Tried::NotBegun(error) => {
                    let kind = error.kind();
                    if met.replace(kind) != Some(kind) {
                        tracing::warn!(job = fire.job.name, %error, "cannot build yet, trying again");
                        // a server that is gone takes no word either
                        let _told = self.give_up(&work, error).await;
                    }
                    ASK_AGAIN
                }
                Tried::Begun(result) => {
                    failures += 1;
                    let message = ending(fire.windows.len(), &result).message;
                    tracing::warn!(job = fire.job.name, message, "not built, trying again");
                    retry_after(failures)
                }
            };
            if let Err(signal) = self.nap(pause).await {
                return self.give_up(&fire.work(), signal).await;
            }
        }
    }

    /// Another scheduler had the lease, and has built these windows from the input that we had waited for.
    async fn was_built_by_another(&self, fire: &Fire<'_>, complete: i64) -> bool {
        let (Some(first), Some(last)) = (fire.windows.first(), fire.windows.last()) else {
            return false;
        };
        let ledger = Ledger::new(
            &self.clickhouse,
            &self.config.clickhouse.ops,
            &fire.job.name,
        );
        let Ok(known) = ledger.known(first.from, last.to).await else {
            return false;
        };
        let stands = |window: &Window| {
            let mut known = known.iter().filter(|known| known.window == *window);
            known.any(|known| known.is_finished(&fire.job.sql_hash) && known.input_at >= complete)
        };
        fire.windows.iter().all(stands)
    }

    async fn note_built(&self, work: &Work<'_>) -> Result<Ending> {
        let ended = Ending {
            state: "noop",
            windows: work.windows.len(),
            unchanged: work.windows.len(),
            message: "another process has built it meanwhile".to_owned(),
            ..Ending::default()
        };
        let ops = &self.config.clickhouse.ops;
        work.run.write(&self.clickhouse, ops, &ended, true).await?;
        Ok(ended)
    }

    /// `Err` is a signal.
    async fn attempt(&self, work: &Work<'_>) -> Result<Tried> {
        // what it depends on may be in mid-swap
        let repaired = gold::repair(&self.clickhouse, &self.config, &self.jobs, &self.shutdown);
        match repaired.await {
            Err(error) if is_signal(&error) => return Err(error),
            // the build meets the same trouble
            Err(error) => tracing::debug!(%error, "cannot look for swaps that were cut off"),
            Ok(_) => {}
        }
        let opened = work.open(&self.clickhouse, &self.config, &self.shutdown);
        let session = match opened.await {
            Ok(session) => session,
            Err(error) => return Ok(Tried::NotBegun(error)),
        };
        let ops = &self.config.clickhouse.ops;
        let built = work.begin(session, &self.clickhouse, ops, &self.shutdown);
        match built.await {
            Err(error) if is_signal(&error) => Err(error),
            result => Ok(Tried::Begun(result)),
        }
    }

    /// A ClickHouse that is down or busy is waited for like input that is late.
    async fn wait_for_input(
        &self,
        job: &GoldJob,
        window: Window,
        fire: DateTime<Utc>,
    ) -> Result<()> {
        let deadline = fire + job.grace;
        let input = job.calendar.input_of(window, fire);
        loop {
            let missing =
                match freshness::of_window(&self.clickhouse, &self.config, &self.jobs, job, input)
                    .await
                {
                    Ok(Freshness::Complete) => return Ok(()),
                    Ok(Freshness::Waiting(what)) => what,
                    Err(error) if error.kind().passes() => error.to_string(),
                    Err(error) => return Err(error),
                };
            if Utc::now() >= deadline {
                let label = job.calendar.label(window);
                let message = format!(
                    "window {label} of gold job {} is not complete: {missing}",
                    job.name
                );
                return Err(Error::new(Kind::NotFresh, message));
            }
            tracing::debug!(job = job.name, missing, "waiting for the window's input");
            let left = (deadline - Utc::now()).to_std().unwrap_or_default();
            self.nap(left.min(ASK_AGAIN)).await?;
        }
    }

    /// Writes down that nothing was built; `Err` where that fails, or the signal that it was.
    async fn give_up(&self, work: &Work<'_>, error: Error) -> Result<Ending> {
        let ended = ending(work.windows.len(), &Err(error));
        let ops = &self.config.clickhouse.ops;
        work.give_up(&self.clickhouse, ops, &ended).await?;
        match self.shutdown.requested() {
            Some(signal) => Err(signal.error()),
            None => Ok(ended),
        }
    }
}

fn is_signal(error: &Error) -> bool {
    matches!(error.kind(), Kind::Terminated | Kind::Interrupted)
}

/// From when on what fails is not tried again.
fn last_try(fire: DateTime<Utc>, grace: Duration, now: DateTime<Utc>) -> DateTime<Utc> {
    (fire + grace).max(now + OUTLIVE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_build_is_tried_until_the_grace_is_over_and_for_minutes_at_least() {
        let at =
            |text: &str| -> DateTime<Utc> { format!("2024-03-05T{text}:00Z").parse().unwrap() };
        let hour = Duration::from_secs(3600);
        assert_eq!(last_try(at("01:00"), hour, at("01:02")), at("02:00"));
        // its input came at the last moment, or it is played late
        assert_eq!(last_try(at("01:00"), hour, at("01:58")), at("02:08"));
        assert_eq!(last_try(at("01:00"), hour, at("09:00")), at("09:10"));
    }
}
