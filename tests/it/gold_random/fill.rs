//! Backfills of silver, killed, and started again: what they had done is not done twice.

use super::drive::{KILLED, Stage};
use super::plan::{Fill, From};
use crate::support::program::Ran;

const FILE: &str = "orders.csv";

impl Stage<'_> {
    /// Beside live changes a fill may have to wait for ingest: exit 75.
    pub(super) async fn fill(&mut self, fill: &Fill) -> Result<(), String> {
        let mut line = format!(
            "backfill orders --source {} {}",
            fill.from.word(),
            fill.more
        );
        match fill.from {
            From::Csv => {
                self.project.write(FILE, &self.orders.export().await);
                line.push_str(&format!(" --file {FILE}"));
            }
            From::Postgres => line.push_str(" --patience 1s"),
            From::Kafka | From::Archive => {}
        }
        self.happened.fills += 1;
        let ended = self.command(&line, fill.point.as_deref(), &[0, 75, KILLED])?;
        nothing_is_missing(&ended)?;
        if ended.exit != KILLED {
            return Ok(());
        }
        self.happened.killed_fills += 1;
        if !fill.again {
            return Ok(());
        }
        let left = self.left(fill.from).await;
        let ended = self.command(&line, None, &[0, 75])?;
        nothing_is_missing(&ended)?;
        match left {
            Some((backfill, done)) if ended.exit == 0 => goes_on(&ended, &backfill, done),
            _ => Ok(()),
        }
    }

    /// The fill that was killed, and how many of its chunks are done; nothing where all of it was.
    async fn left(&self, from: From) -> Option<(String, u64)> {
        let ops = self.project.database("ops");
        let sql = format!(
            "SELECT backfill, state FROM {ops}.backfills WHERE source = '{}' ORDER BY recorded_at DESC LIMIT 1",
            from.word()
        );
        let row = self.project.engine.rows(&sql).await.into_iter().next()?;
        let (backfill, state) = row.split_once('\t')?;
        if !matches!(state, "running" | "filled") {
            return None;
        }
        let sql = format!(
            "SELECT countIf(state = 'done') FROM {ops}.backfill_chunks WHERE backfill = '{backfill}'"
        );
        let done = self.project.engine.rows(&sql).await;
        Some((backfill.to_owned(), done.first()?.parse().ok()?))
    }
}

/// What was on its way to the ledger at the kill may have come since: as many chunks are left out, or more.
fn goes_on(ended: &Ran, backfill: &str, done: u64) -> Result<(), String> {
    let text = ended.text();
    let left_out = text.split("plan: ").nth(1).and_then(|plan| {
        let (count, _) = plan.split_once(" chunks done and left out")?;
        count.parse::<u64>().ok()
    });
    let goes_on = text.contains(&format!("backfill {backfill} goes on"));
    match goes_on && left_out >= Some(done) {
        true => Ok(()),
        false => Err(format!(
            "{backfill}, {done} chunks of it done, did not go on:\n{text}"
        )),
    }
}

/// Ingest kept every message, whatever killed it.
fn nothing_is_missing(ended: &Ran) -> Result<(), String> {
    let text = ended.text();
    let says = |hole: &str| text.contains(hole);
    match says("are in no file") || says("the archive of partition") {
        true => Err(format!("the archive has not all of the topic:\n{text}")),
        false => Ok(()),
    }
}
