//! Is a window's input complete? Every partition of every source topic has to have passed its end, heartbeats included.

use chrono::{DateTime, TimeZone, Utc};
use clickhouse::Row;
use serde::Deserialize;

use crate::config::Config;
use crate::error::Result;
use crate::job::{Dependency, GoldJob, Jobs};
use crate::ledger::Ledger;
use crate::sink::clickhouse::{ClickHouse, literal, quote};
use crate::window::Window;

/// How far the input of a window is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Freshness {
    Complete,
    /// what is waited for
    Waiting(String),
}

/// Looks at everything that a job depends on; `window` is what [`crate::window::Calendar::input_of`] gives for it.
pub async fn of_window(
    clickhouse: &ClickHouse,
    config: &Config,
    jobs: &Jobs,
    job: &GoldJob,
    window: Window,
) -> Result<Freshness> {
    let ops = &config.clickhouse.ops;
    for dependency in &job.depends_on {
        let waiting = match dependency {
            Dependency::Silver(name) => {
                let topic = jobs.silver.iter().find(|silver| silver.name == *name);
                let Some(silver) = topic else { continue };
                let seen = watermark(clickhouse, config, &silver.topic).await?;
                silver_waiting(config, &silver.topic, seen, window)
            }
            Dependency::Gold(name) => {
                let Some(gold) = jobs.gold.iter().find(|gold| gold.name == *name) else {
                    continue;
                };
                let needed = match job.is_whole_table() {
                    // of all its windows the last that has ended: those before it are its own affair
                    true => gold.calendar.before(gold.calendar.window_at(window.to)),
                    false => window,
                };
                gold_waiting(clickhouse, ops, gold, needed).await?
            }
        };
        if let Some(what) = waiting {
            return Ok(Freshness::Waiting(what));
        }
    }
    Ok(Freshness::Complete)
}

/// The source time that our group has passed in every partition of a topic; none while one of them is unknown.
pub async fn watermark(
    clickhouse: &ClickHouse,
    config: &Config,
    topic: &str,
) -> Result<Option<DateTime<Utc>>> {
    #[derive(Row, Deserialize)]
    struct Seen {
        lowest: i64,
        known: u64,
        partitions: u64,
    }
    let (ops, group) = (quote(&config.clickhouse.ops), literal(&config.kafka.group));
    let topic = literal(topic);
    // the newest epoch tells how many partitions the topic has; those of an older one may be gone
    let sql = format!(
        "SELECT ifNull(min(seen), 0) AS lowest, countIf(seen IS NOT NULL) AS known, \
toUInt64(ifNull((SELECT argMax(partitions, epoch) FROM {ops}.topics FINAL WHERE topic = {topic}), 0)) AS partitions \
FROM (SELECT partition, max(toUnixTimestamp64Milli(source_time)) AS seen FROM {ops}.checkpoints FINAL \
WHERE `group` = {group} AND topic = {topic} AND bitShiftRight(version, 56) = (SELECT max(epoch) FROM {ops}.topics WHERE topic = {topic}) \
GROUP BY partition)"
    );
    let seen: Seen = clickhouse.one(&sql).await?;
    if seen.known == 0 || seen.known < seen.partitions {
        return Ok(None);
    }
    Ok(Utc.timestamp_millis_opt(seen.lowest).single())
}

fn silver_waiting(
    config: &Config,
    topic: &str,
    seen: Option<DateTime<Utc>>,
    window: Window,
) -> Option<String> {
    match seen {
        Some(seen) if seen >= window.to => None,
        Some(seen) => Some(format!("topic {topic} has been read up to {seen}")),
        None => Some(format!(
            "not every partition of topic {topic} has been read by group {} (kafka.group)",
            config.kafka.group
        )),
    }
}

/// Every window of the other job that overlaps this one has to be finished.
async fn gold_waiting(
    clickhouse: &ClickHouse,
    ops: &str,
    gold: &GoldJob,
    window: Window,
) -> Result<Option<String>> {
    let first = gold.calendar.window_at(window.from);
    let ledger = Ledger::new(clickhouse, ops, &gold.name);
    let known = ledger.known(first.from, window.to).await?;
    let mut needed = first;
    while needed.from < window.to {
        let finished = known
            .iter()
            .any(|known| known.window == needed && known.is_finished(&gold.sql_hash));
        if !finished {
            let label = gold.calendar.label(needed);
            return Ok(Some(format!(
                "window {label} of gold job {} is not built",
                gold.name
            )));
        }
        needed = gold.calendar.after(needed);
    }
    Ok(None)
}
