//! What earlier owners of a target left: staging tables, and swaps that their end, or the engine's, cut off.
//!
//! A REPLACE that an engine's death cut off may have left both the old and the new rows. Its staging passed the audits and
//! still holds what was to be swapped, so the swap is done again from there; the SELECT runs anew only where staging is gone.

use std::time::{Duration, Instant};

use super::{Built, Session};
use crate::error::{Context as _, Error, Kind, Result};
use crate::job::partition_id;
use crate::ledger::{Cost, Known, State};
use crate::sink::clickhouse::literal;
use crate::window::Window;

/// For a REPLACE that an earlier owner sent before its staging was taken from it.
const LATE_SWAP: Duration = Duration::from_secs(30);
const LATE_SWAP_POLL: Duration = Duration::from_millis(100);

/// A window in mid-swap, and the staging that it can be swapped from once more.
struct CutOff {
    known: Known,
    partition: String,
    staging: Option<String>,
}

impl Session<'_> {
    /// After this no owner with an older token can swap, and no window of this job is in mid-swap. Says which were.
    pub(super) async fn recover(&self) -> Result<Vec<Window>> {
        let mut cut_off = Vec::new();
        for known in self.ledger.swapping().await? {
            self.unsettled().insert(known.window);
            cut_off.push(self.take_over(known).await?);
        }
        let left = self.older_staging().await?;
        for name in &left {
            tracing::info!(
                job = self.job.name,
                table = name,
                "dropping what an earlier run left"
            );
            self.drop_table(name).await?;
        }
        if !(left.is_empty() && cut_off.is_empty()) {
            self.outwait_late_swaps(None).await?;
        }
        for left in &cut_off {
            self.settle(left).await?;
        }
        Ok(cut_off.iter().map(|left| left.known.window).collect())
    }

    /// Under a name of ours the staging is safe from our own cleaning, and out of its owner's reach.
    async fn take_over(&self, known: Known) -> Result<CutOff> {
        let window = known.window;
        if self.job.calendar.window_at(window.from) != window {
            let message = format!(
                "window {} of job {} was being swapped when its run died, and the job's grain or zone changed since",
                self.job.calendar.label(window),
                self.job.name
            );
            return Err(Error::new(Kind::Mismatch, message).advise(
                "build it once with the old grain and zone; or rename the target, `bullion migrate`, and build the job anew: `bullion gold JOB --from … --to …`",
            ));
        }
        let partition = partition_id(self.job.calendar, window);
        let ours = self.staging_name(&partition);
        let staging = match known.staging.as_str() {
            "" => None,
            theirs => self.rename(theirs, &ours).await?.then_some(ours),
        };
        Ok(CutOff {
            known,
            partition,
            staging,
        })
    }

    /// False where there is no such table any more.
    async fn rename(&self, from: &str, to: &str) -> Result<bool> {
        let sql = format!(
            "RENAME TABLE {} TO {}{}",
            self.qualified(from),
            self.qualified(to),
            self.cluster_wide
        );
        match self.clickhouse.execute(&sql).await {
            Err(error) if error.kind() == Kind::NotFound => Ok(false),
            renamed => renamed.map(|()| true),
        }
    }

    /// A REPLACE that already runs has found its staging. It ends before we look at what the partitions hold, one of them or all.
    pub(super) async fn outwait_late_swaps(&self, partition: Option<&str>) -> Result<()> {
        let sql = format!(
            "SELECT count() FROM system.processes WHERE startsWith(query, {})",
            literal(&self.replacing(partition))
        );
        let deadline = Instant::now() + LATE_SWAP;
        while self.clickhouse.one::<u64>(&sql).await? > 0 {
            if Instant::now() >= deadline {
                let message = format!(
                    "a swap of an earlier run into {} still goes on in clickhouse",
                    self.job.name
                );
                return Err(Error::new(Kind::Busy, message));
            }
            tokio::time::sleep(LATE_SWAP_POLL).await;
        }
        Ok(())
    }

    async fn settle(&self, left: &CutOff) -> Result<()> {
        let CutOff {
            known,
            partition,
            staging,
        } = left;
        let label = self.job.calendar.label(known.window);
        if self.contents(&self.job.name, partition).await? == known.contents {
            tracing::info!(
                job = self.job.name,
                window = label,
                "the swap that was cut off is complete"
            );
            let mut entry = self.entry(known.window, State::Done, partition);
            entry.contents = known.contents;
            entry.sql_hash = &known.sql_hash;
            self.write(entry).await?;
            self.unsettled().remove(&known.window);
        } else {
            tracing::warn!(
                job = self.job.name,
                window = label,
                "redoing the swap that was cut off"
            );
            match staging {
                Some(staging)
                    if self.contents(staging, partition).await? == known.contents
                        && known.sql_hash == self.job.sql_hash =>
                {
                    let staged = Built {
                        window: known.window,
                        state: State::Swapping,
                        contents: known.contents,
                        // it runs no query: what filled this staging is in the ledger of the run that was cut off
                        query_id: String::new(),
                        cost: Cost::default(),
                        input_at: known.input_at,
                    };
                    let swapped = self.swap(staged, partition, staging).await;
                    swapped.context(format!("gold job {}, window {label}", self.job.name))?
                }
                _ => self.build(known.window).await?,
            };
        }
        if let Some(staging) = staging {
            self.discard(staging).await;
        }
        Ok(())
    }
}
