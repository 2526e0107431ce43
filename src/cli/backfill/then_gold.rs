//! What of gold a backfill of silver has made due: named with the command that builds it, or built.

use std::collections::BTreeSet;

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};

use super::super::gold::{Told, work};
use super::super::{Context, Outcome, out};
use crate::backfill::plan;
use crate::config::Config;
use crate::dirty;
use crate::error::{Kind, Result};
use crate::job::{GoldJob, Jobs, SilverJob};
use crate::ledger::{Ledger, Run};
use crate::select;
use crate::sink::clickhouse::ClickHouse;
use crate::window::Window;

/// How far this host's clock may be ahead of ClickHouse's. What was touched a little earlier and is built is left out anyway.
const CLOCKS: Duration = Duration::minutes(1);

/// So often, and after this pause, a job is asked for again that somebody else builds: five minutes, which one that follows silver
/// is done in, most often.
const LEASE_TRIES: u32 = 60;
const LEASE_AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

/// Gold after a backfill of one silver job.
pub(super) struct ThenGold<'a> {
    pub(super) context: &'a Context,
    pub(super) config: &'a Config,
    pub(super) jobs: &'a Jobs,
    pub(super) silver: &'a SilverJob,
    /// when the backfill was begun, by whichever run
    pub(super) since: DateTime<Utc>,
}

/// The windows of one job that lack what silver has now.
struct Due {
    /// built before
    dirty: usize,
    /// oldest first
    windows: Vec<Window>,
}

impl ThenGold<'_> {
    /// Names what is due; nothing is built but what a crash left in mid-swap.
    pub(super) async fn look(&self, clickhouse: &ClickHouse) -> Result<Value> {
        let Context { shutdown, .. } = self.context;
        crate::gold::repair(clickhouse, self.config, self.jobs, shutdown).await?;
        self.tell(clickhouse).await
    }

    async fn tell(&self, clickhouse: &ClickHouse) -> Result<Value> {
        let mut told = Vec::new();
        for job in self.downstream()? {
            let due = self.due(clickhouse, &job).await?;
            let (Some(first), Some(last)) = (due.windows.first(), due.windows.last()) else {
                continue;
            };
            let calendar = job.calendar;
            let (from, to) = (calendar.show(first.from), calendar.show(last.to));
            let command = match (job.is_whole_table(), due.dirty == due.windows.len()) {
                (true, _) => format!("bullion gold {}", job.name),
                (_, true) => format!("bullion gold {} --dirty", job.name),
                _ => format!(
                    "bullion gold {} --dirty --missing --from {} --to {}",
                    job.name, from, to
                ),
            };
            if self.context.output == out::Format::Text {
                let (count, range) = (due.windows.len(), format!("[{from}, {to})"));
                out::line(format!(
                    "  gold job {} lacks it in {count} windows of {range}: {command}",
                    job.name
                ));
            }
            told.push(json!({
                "job": job.name, "windows": due.windows.len(), "dirty": due.dirty, "from": from, "to": to,
                "command": command,
            }));
        }
        Ok(Value::from(told))
    }

    /// Builds what is due of each job, after those it depends on.
    pub(super) async fn build(&self) -> Result<Outcome> {
        let Context { shutdown, .. } = self.context;
        let clickhouse = crate::gold::connect(self.config, self.jobs, shutdown).await?;
        let run = Run::new("", "backfill");
        let mut told = Told::of(&run);
        for job in self.downstream()? {
            if let Some(error) = told.failed_dependency(&job) {
                told.note(&job, Err(error));
                continue;
            }
            let mut tries = 1;
            loop {
                // known only when the jobs before this one are built
                let due = self.due(&clickhouse, &job).await?;
                if due.windows.is_empty() {
                    break;
                }
                let work = work(&job, &due.windows, &run);
                match work.perform(&clickhouse, self.config, shutdown).await {
                    Err(error) if matches!(error.kind(), Kind::Terminated | Kind::Interrupted) => {
                        return Err(error);
                    }
                    // a job that follows silver builds just these windows now
                    Err(error) if error.kind() == Kind::LeaseHeld && tries < LEASE_TRIES => {
                        tries += 1;
                        tokio::select! {
                            () = tokio::time::sleep(LEASE_AGAIN) => {}
                            signal = shutdown.wait() => return Err(signal.error()),
                        }
                    }
                    result => {
                        told.note(&job, result);
                        break;
                    }
                }
            }
        }
        told.outcome(self.context)
    }

    /// Whether somebody has built what a backfill, whose rows were there by then, has made due. What others have made due
    /// since is not its own.
    pub(super) async fn stands(
        &self,
        clickhouse: &ClickHouse,
        filled: DateTime<Utc>,
    ) -> Result<bool> {
        let surely_later = (filled + CLOCKS).timestamp_micros();
        for job in self.downstream()? {
            let due = self.due(clickhouse, &job).await?;
            let ledger = Ledger::new(clickhouse, &self.config.clickhouse.ops, &job.name);
            let seen = ledger.seen().await?.into_iter();
            let later: BTreeSet<Window> = seen
                .filter(|seen| seen.input_at >= surely_later)
                .map(|seen| seen.window)
                .collect();
            let had_ended = |window: &Window| window.to <= filled || job.is_whole_table();
            let mut left = due.windows.iter().filter(|window| had_ended(window));
            if left.any(|window| !later.contains(window)) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Each job after those it depends on; none is no fault.
    fn downstream(&self) -> Result<Vec<GoldJob>> {
        let selector = [format!("silver.{}+", self.silver.name)];
        let selected = select::nodes(self.jobs, &selector, &[])?;
        let is_gold = |node: &select::Node| matches!(node, select::Node::Gold(_));
        match selected.iter().any(is_gold) {
            true => select::gold(self.jobs, &selector, &[]),
            false => Ok(Vec::new()),
        }
    }

    /// What was built and is dirty, and what was touched by the backfill, has ended, and does not stand.
    async fn due(&self, clickhouse: &ClickHouse, job: &GoldJob) -> Result<Due> {
        let ops = &self.config.clickhouse.ops;
        let dirty = dirty::windows(clickhouse, ops, self.jobs, job).await?;
        let since = self.since - CLOCKS;
        let touched = dirty::touched(clickhouse, ops, self.silver, job, since).await?;
        let ledger = Ledger::new(clickhouse, ops, &job.name);
        let missing = plan(&ledger, job, &touched, false).await?.to_build;
        let now = Utc::now();
        let has_ended = |window: &Window| window.to <= now || job.is_whole_table();
        let mut due: BTreeSet<Window> = missing.into_iter().filter(has_ended).collect();
        due.extend(&dirty);
        Ok(Due {
            dirty: dirty.len(),
            windows: due.into_iter().collect(),
        })
    }
}
