//! One window, from its SELECT to the ledger's `done`.

use std::time::Instant;

use super::{Built, Session};
use crate::error::{Context as _, Error, Kind, Result};
use crate::failpoint::{self, Point};
use crate::job::partition_id;
use crate::ledger::{Contents, Cost, Entry, State};
use crate::window::Window;

impl Session<'_> {
    /// Builds one window; on an error readers still see what they saw before, and the ledger says what happened.
    pub async fn build(&self, window: Window) -> Result<Built> {
        let partition = partition_id(self.job.calendar, window);
        let staging = self.staging_name(&partition);
        let doing = || {
            format!(
                "gold job {}, window {}",
                self.job.name,
                self.job.calendar.label(window)
            )
        };
        if self.unsettled().contains(&window) {
            // the answer to its swap was lost: it must not be the one that comes last
            self.outwait_late_swaps(Some(&partition)).await?;
        }
        let started = Instant::now();
        let query_id = self.query_id(&partition);
        let built = match self
            .stage(window, &partition, &staging, query_id.clone())
            .await
        {
            Ok(built) => built,
            Err(error) => {
                // a stale owner's staging is gone, which says less than why
                let error = match self.lease.check().await {
                    Err(lost) if lost.kind() == Kind::LeaseHeld => lost,
                    _ => error,
                };
                let mut entry = self.entry(window, failure(&error), &partition);
                entry.query_id = &query_id;
                entry.cost.seconds = started.elapsed().as_secs_f64();
                self.record_failure(entry, &error).await;
                self.discard(&staging).await;
                return Err(error.context(doing()));
            }
        };
        let result = match built.state {
            State::Swapping => self
                .swap(built, &partition, &staging)
                .await
                .context(doing()),
            _ => self.record(built, &partition).await.context(doing()),
        };
        self.discard(&staging).await;
        result
    }

    /// Everything before the point of no return: `Swapping` when there is something to swap, else `Unchanged`.
    async fn stage(
        &self,
        window: Window,
        partition: &str,
        staging: &str,
        query_id: String,
    ) -> Result<Built> {
        let started = Instant::now();
        self.lease.check().await?;
        self.drop_table(staging).await?;
        self.create_staging(staging).await?;
        let input_at = self.clickhouse.now().await?;
        let cost = self.fill(staging, window, &query_id).await?;
        failpoint::pass(Point::StagingFilled).await;
        self.check_partitions(staging, partition).await?;
        self.audit(staging, window).await?;
        let contents = self.contents(staging, partition).await?;
        let before = self.contents(&self.job.name, partition).await?;
        let state = if contents == before {
            State::Unchanged
        } else {
            self.merge_staging(staging, partition).await?;
            State::Swapping
        };
        let seconds = started.elapsed().as_secs_f64();
        Ok(Built {
            window,
            state,
            contents,
            query_id,
            cost: Cost { seconds, ..cost },
            input_at,
        })
    }

    /// From here on a crash leaves `swapping` in the ledger, and the next command repairs the window.
    pub(super) async fn swap(
        &self,
        staged: Built,
        partition: &str,
        staging: &str,
    ) -> Result<Built> {
        self.lease.check().await?;
        failpoint::pass(Point::LeaseChecked).await;
        let mut entry = self.entry(staged.window, State::Swapping, partition);
        entry.staging = staging;
        entry.contents = staged.contents;
        entry.query_id = &staged.query_id;
        entry.cost = staged.cost;
        entry.input_at = Some(staged.input_at);
        self.unsettled().insert(staged.window);
        self.write(entry).await?;
        failpoint::pass(Point::SwapAnnounced).await;
        if let Err(error) = self.replace(staging, partition).await {
            // a stale owner's staging is gone, which says less than why
            self.lease.check().await?;
            return Err(error);
        }
        failpoint::pass(Point::Swapped).await;
        let found = self.contents(&self.job.name, partition).await?;
        if found != staged.contents {
            return Err(differs(found, staged.contents));
        }
        let done = Built {
            state: State::Done,
            ..staged
        };
        self.record(done, partition).await
    }

    /// The last word on a window whose partition holds just what it should.
    async fn record(&self, built: Built, partition: &str) -> Result<Built> {
        let mut entry = self.entry(built.window, built.state, partition);
        entry.contents = built.contents;
        entry.query_id = &built.query_id;
        entry.cost = built.cost;
        entry.input_at = Some(built.input_at);
        self.write(entry).await?;
        self.unsettled().remove(&built.window);
        Ok(built)
    }

    /// The failure itself is what the caller hears of, so a ledger that cannot be written is only logged. It stays silent
    /// where a swap was cut off before, which somebody still has to redo, and where the window is another owner's by now.
    async fn record_failure(&self, mut entry: Entry<'_>, error: &Error) {
        if self.unsettled().contains(&entry.window) || error.kind() == Kind::LeaseHeld {
            return;
        }
        let message = error.to_string();
        entry.message = &message;
        if let Err(error) = self.write(entry).await {
            tracing::warn!(job = self.job.name, %error, "cannot write the ledger");
        }
    }

    pub(super) async fn discard(&self, staging: &str) {
        if let Err(error) = self.drop_table(staging).await {
            tracing::warn!(job = self.job.name, table = staging, %error, "cannot drop a staging table; the next run will");
        }
    }
}

/// What a window is called that was not built for this reason.
fn failure(error: &Error) -> State {
    match error.kind() {
        Kind::AuditBlocked => State::Blocked,
        _ => State::Failed,
    }
}

fn differs(found: Contents, wanted: Contents) -> Error {
    let message = format!(
        "after the swap the partition holds {} rows (checksum {:016x}), staging held {} ({:016x})",
        found.rows, found.checksum, wanted.rows, wanted.checksum
    );
    Error::new(Kind::Busy, message)
        .advise("the ledger says `swapping`: the next command on gold redoes the swap first")
}
